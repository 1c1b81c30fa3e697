#include "datapath/pipeline.h"

#include <algorithm>

#include "base/check.h"
#include "datapath/pipeline_impl.h"
#include "datapath/statement.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

/// Recirculation ids in use before caches and ids start afresh.
constexpr std::size_t kMaxFrozenStates = 1u << 16;

}  // namespace

// --- ports ---

void Pipeline::Impl::index_ports() {
  std::sort(ports.begin(), ports.end(),
            [](const PortConfig& a, const PortConfig& b) { return a.number < b.number; });
  uplink = local = 0;
  particular_tunnels = false;
  std::fill(std::begin(tunnel_ports), std::end(tunnel_ports), 0u);
  for (const PortConfig& p : ports) {
    if (p.kind == PortKind::uplink) uplink = p.number.value;
    if (p.kind == PortKind::local) local = p.number.value;
    if (p.kind == PortKind::tunnel) {
      tunnel_ports[static_cast<int>(p.tunnel)] = p.number.value;
      particular_tunnels = particular_tunnels || !p.remote.is_zero() || p.key;
    }
  }
  tables.change_everything();
}

void Pipeline::add_port(PortConfig config) {
  WEFT_CHECK(config.number.value >= 1 && config.number.value <= 65279, "port {} is out of range",
             config.number.value);
  std::erase_if(impl_->ports, [&](const PortConfig& p) { return p.number == config.number; });
  impl_->ports.push_back(std::move(config));
  impl_->index_ports();
}

void Pipeline::remove_port(PortNo port) {
  std::erase_if(impl_->ports, [&](const PortConfig& p) { return p.number == port; });
  impl_->index_ports();
}

void Pipeline::set_port_up(PortNo port, bool up) {
  for (PortConfig& p : impl_->ports) {
    if (p.number != port || p.up == up) continue;
    p.up = up;
    impl_->tables.change_everything();
  }
}

const std::vector<PortConfig>& Pipeline::ports() const { return impl_->ports; }

PortNames Pipeline::port_names() const {
  PortNames names;
  for (const PortConfig& p : impl_->ports) {
    if (!p.name.empty()) names.emplace(p.name, p.number.value);
    if (p.kind == PortKind::local) names.emplace("LOCAL", p.number.value);
  }
  return names;
}

// --- rules ---

Result<> Pipeline::add_flow(std::string_view text) {
  auto rule = parse_rule(text);
  if (!rule) return rule.error();
  impl_->tables.add(std::move(*rule), impl_->clock);
  return {};
}

Result<> Pipeline::delete_flow(std::string_view text) {
  auto rule = parse_rule_key(text);
  if (!rule) return rule.error();
  if (!impl_->tables.remove(*rule))
    return Error{"no such rule: " + std::string(text),
                 {},
                 "table, priority and match must be those of dump-flows"};
  return {};
}

Result<> Pipeline::apply(const Statement& st) {
  Impl& s = *impl_;
  switch (st.subject) {
    case Statement::Subject::port:
      add_port(st.port);
      return {};
    case Statement::Subject::vtep:
      s.vtep = st.vtep;
      s.tables.change_everything();
      return {};
    case Statement::Subject::flow:
      break;
  }
  s.megaflows.count_for_rules();  // what has passed so far counts for the rules as they were
  switch (st.verb) {
    case Statement::Verb::add:
      s.tables.add(st.rule, s.clock);
      break;
    case Statement::Verb::modify:
    case Statement::Verb::modify_strict:
      s.tables.modify(st.rule, st.filter, st.verb == Statement::Verb::modify_strict);
      break;
    case Statement::Verb::remove:
      s.tables.remove_covered(st.rule, st.filter);
      break;
    case Statement::Verb::remove_strict:
      s.tables.remove(st.rule);
      break;
  }
  return {};
}

// --- bursts ---

void Pipeline::process(std::span<Packet* const> burst, PortNo in_port, Time now, Outputs& result) {
  Impl& s = *impl_;
  s.clock = std::max(s.clock, now);
  if (s.recirculation.size() > kMaxFrozenStates) [[unlikely]] {
    s.megaflows.clear();
    s.exact.clear();
    s.recirculation.clear();
  }
  const PortConfig* port = s.port(in_port.value);
  if (port == nullptr) {
    for (Packet* p : burst) s.drop(p, DropReason::no_port, 0, result);
    return;
  }
  switch (port->kind) {
    case PortKind::vm:
      for (Packet* p : burst) {
        p->tenant = port->tenant;
        s.enter(p, in_port.value, now, nullptr, result);
      }
      return;
    case PortKind::uplink:
      for (Packet* p : burst) s.from_uplink(p, now, result);
      return;
    case PortKind::local:
      for (Packet* p : burst) {
        if (s.uplink != 0)
          s.output(p, s.uplink, result);
        else
          s.drop(p, DropReason::no_port, 0, result);
      }
      return;
    case PortKind::tunnel:  // logical: nothing arrives there by itself
      for (Packet* p : burst) s.drop(p, DropReason::no_port, 0, result);
      return;
  }
}

void Pipeline::Impl::from_uplink(Packet* packet, Time now, Outputs& result) {
  const ParsedHeaders outer = parse_materialising(*packet);
  const TunnelKind kind = outer.ok() ? tunnel_kind_of(*packet, outer) : TunnelKind::none;
  if (kind != TunnelKind::none && tunnel_ports[static_cast<int>(kind)] != 0) {
    const std::uint8_t* ip = packet->data() + outer.l3;
    const bool mine =
        outer.is_ipv4()
            ? !vtep.address.is6 && wire::at<wire::Ipv4Header>(ip).dst.get() == vtep.address.v4()
            : vtep.address.is6 && wire::at<wire::Ipv6Header>(ip).dst.get() == vtep.address.v6();
    if (mine) {
      const Decap d = decap(*packet, outer);
      if (d.ok()) return enter(packet, tunnel_ports[static_cast<int>(kind)], now, &d, result);
      if (d.status == Decap::Status::drop) return drop(packet, d.reason, 0, result);
    }
  }
  if (local == 0) return drop(packet, DropReason::no_port, 0, result);
  output(packet, local, result);
}

void Pipeline::Impl::enter(Packet* packet, std::uint32_t in_port, Time now, const Decap* d,
                           Outputs& result) {
  Pass pass;
  pass.packet = packet;
  pass.in_port = in_port;
  pass.now = now;
  pass.parsed = parse_materialising(*packet);
  if (!pass.parsed.ok()) return drop(packet, DropReason::malformed, 0, result);
  if (d != nullptr) {
    pass.key = key_behind_tunnel(d->info);
    pass.in_port = static_cast<std::uint32_t>(pass.key.get(place::in_port));
    if (pass.in_port == 0) return drop(packet, DropReason::tunnel_unknown, 0, result);
  } else {
    pass.key.w[0] = in_port;
  }
  extract(*packet, pass.parsed, pass.key);
  run(pass, result);
}

FlowKey Pipeline::Impl::key_behind_tunnel(const TunnelInfo& tunnel) const {
  FlowKey key;
  key.w[0] = tunnel_ports[static_cast<int>(tunnel.kind)];
  if (particular_tunnels) [[unlikely]] {
    int best = -1;
    key.w[0] = 0;
    for (const PortConfig& p : ports) {
      if (p.kind != PortKind::tunnel || p.tunnel != tunnel.kind) continue;
      if (!p.remote.is_zero() && p.remote != tunnel.src) continue;
      if (p.key && *p.key != tunnel.vni) continue;
      const int says = (p.remote.is_zero() ? 0 : 2) + (p.key ? 1 : 0);
      if (says > best) {
        best = says;
        key.w[0] = p.number.value;
      }
    }
  }
  key.w[1] = tunnel.vni;
  key.set128(place::tun_src, tunnel.src.bits);
  key.set128(place::tun_dst, tunnel.dst.bits);
  if (tunnel.ports)
    key.w[6] = static_cast<std::uint64_t>(tunnel.ports->ingress) << 16 | tunnel.ports->egress;
  key.set(place::tun_tos, tunnel.tos);
  key.set(place::tun_ttl, tunnel.ttl);
  return key;
}

void Pipeline::Impl::run(Pass& pass, Outputs& result) {
  for (;;) {
    Megaflow* entry = find(pass);
    ++entry->packets;
    entry->bytes += pass.packet->size();
    entry->used = pass.now;
    if (entry == &scratch) entry->count_for_rules();
    if (!execute(pass, entry->decision, result)) return;
  }
}

Megaflow* Pipeline::Impl::find(Pass& pass) {
  ++stats.packets;
  const auto holds = [&](Megaflow& e) {
    return e.generation == tables.generation() || faults.skip_revalidation ||
           revalidate(e, pass.key);
  };
  const bool cached = options.exact_match || options.megaflow;
  const bool check = check_one_in != 0 && pass.packet->id % check_one_in == 0;
  std::uint64_t hash = 0;
  if (options.exact_match) {
    hash = hash_packet_part(pass.key, seed);
    Megaflow* e = exact.lookup(hash, pass.key);
    if (e != nullptr && holds(*e)) [[likely]] {
      ++stats.exact_match_hits;
      if (check) compare_with_slow_path(pass, *e);
      return e;
    }
  }
  if (cached) {
    Megaflow* e = megaflows.lookup(pass.key, stats.tuples_searched);
    if (e != nullptr && holds(*e)) {
      ++stats.megaflow_hits;
      if (check) compare_with_slow_path(pass, *e);
      if (options.exact_match) exact.insert(hash, e);
      return e;
    }
  }
  ++stats.slow_path;
  Megaflow* e = slow_path(pass);
  if (options.exact_match && e != &scratch) exact.insert(hash, e);
  return e;
}

Megaflow* Pipeline::Impl::slow_path(const Pass& pass) {
  Decision decision = translate(view(), recirculation, pass.key);
  if ((options.megaflow || options.exact_match) && options.megaflow_limit != 0)
    return megaflows.insert(pass.key, std::move(decision), tables.generation(), pass.now,
                            !options.megaflow);
  scratch.decision = std::move(decision);
  scratch.packets = scratch.bytes = scratch.packets_counted = scratch.bytes_counted = 0;
  return &scratch;
}

bool Pipeline::Impl::revalidate(Megaflow& entry, const FlowKey& key) {
  if (tables.unchanged(entry.decision.tables, entry.generation)) {
    entry.generation = tables.generation();
    return true;
  }
  ++stats.revalidated;
  Decision fresh = translate(view(), recirculation, key);
  for (unsigned i = 0; i < kPacketWords; ++i) {
    if ((fresh.mask.w[i] & ~entry.table->mask.w[i]) != 0) {
      // The new rules look at more than this entry distinguishes.
      megaflows.remove(entry);
      return false;
    }
  }
  entry.count_for_rules();
  fresh.mask = entry.table->mask;
  entry.decision = std::move(fresh);
  entry.generation = tables.generation();
  return true;
}

void Pipeline::Impl::compare_with_slow_path(const Pass& pass, const Megaflow& entry) {
  // Once for the packet, and once for the key that has zeros wherever the mask has: what the mask
  // leaves out must not matter.
  const auto agrees = [&](const Decision& d) {
    return d.same_effect(entry.decision) && d.rules == entry.decision.rules;
  };
  const Decision fresh = translate(view(), recirculation, pass.key);
  if (agrees(fresh) && agrees(translate(view(), recirculation, entry.full_key()))) return;
  WEFT_CHECK(
      false,
      "the cached decision for packet {} is not the slow path's\n  cached:    {} actions:{}\n"
      "  slow path: {} actions:{}",
      pass.packet->id, format_key(entry.full_key(), entry.table->mask),
      format_steps(entry.decision), format_key(pass.key, fresh.mask), format_steps(fresh));
}

// --- the rest ---

Pipeline::Pipeline(VtepConfig vtep, CacheOptions caches, std::uint64_t hash_seed)
    : impl_(std::make_unique<Impl>(vtep, caches, hash_seed)) {}
Pipeline::~Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;

void Pipeline::set_world(World world) { impl_->world = std::move(world); }

void Pipeline::expire(Time now) {
  Impl& s = *impl_;
  s.clock = std::max(s.clock, now);
  s.megaflows.count_for_rules();
  s.tables.expire(now);
  s.megaflows.expire(now, s.options.idle_timeout);
  s.connections.expire(now);
}

std::vector<ConnectionState> Pipeline::export_zone(std::uint16_t zone, Time now) {
  Impl& s = *impl_;
  ConnectionState state{s.connections.export_zone(zone, now)};
  s.connections.remove_zone(zone);
  return {std::move(state)};
}

void Pipeline::import_zone(std::uint16_t zone, std::span<const ConnectionState> states, Time now) {
  for (const ConnectionState& state : states) {
    auto count = impl_->connections.import_zone(zone, state.bytes, now);
    WEFT_CHECK(count.ok(), "import_zone({}): {}", zone, count.error().text());
  }
}

const PipelineStats& Pipeline::stats() const {
  PipelineStats& s = impl_->reported;
  s = impl_->stats;
  s.megaflows = impl_->megaflows.size();
  s.masks = impl_->megaflows.masks();
  s.connections = impl_->connections.size();
  s.rules = impl_->tables.size();
  return s;
}

void Pipeline::check_caches(std::uint32_t one_in) { impl_->check_one_in = one_in; }

Result<> Pipeline::plant(std::string_view fault) {
  if (impl_->faults.set(fault)) {
    impl_->tables.change_everything();
    return {};
  }
  return Error{"unknown fault '" + std::string(fault) + "'",
               {},
               "one of skip_revalidation, truncate_vni, widen_mask, skip_checksum_update, "
               "skip_commit, swap_logical_ports"};
}

}  // namespace weft::datapath
