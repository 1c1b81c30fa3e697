#include "datapath/pipeline.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "datapath/fast_parse.h"
#include "datapath/pipeline_impl.h"
#include "datapath/statement.h"
#include "datapath/tunnel/stt.h"
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
  // What GRE is depends on whom it is for. Where both are here, keys tell them apart, and those
  // that a gre port names are plain GRE's.
  const bool nvgre = tunnel_ports[static_cast<int>(TunnelKind::nvgre)] != 0;
  const bool gre = tunnel_ports[static_cast<int>(TunnelKind::gre)] != 0;
  DecapOptions& reading = vtep.receiver.decap;
  reading.gre_keys.clear();
  if (nvgre != gre) {
    reading.gre = nvgre ? GreReading::nvgre : GreReading::gre;
  } else if (nvgre) {
    reading.gre = GreReading::by_key;
    for (const PortConfig& p : ports)
      if (p.kind == PortKind::tunnel && p.tunnel == TunnelKind::gre && p.key)
        reading.gre_keys.push_back(static_cast<std::uint32_t>(*p.key));
  }
  receiver.configure(vtep.receiver);
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
  return impl_->add_rule(std::move(*rule));
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

Result<> Pipeline::apply(std::string_view line) {
  auto statement = parse_statement(line);
  if (!statement) return statement.error();
  return apply(*statement);
}

Result<> Pipeline::apply(const Statement& st) {
  Impl& s = *impl_;
  switch (st.subject) {
    case Statement::Subject::port:
      add_port(st.port);
      return {};
    case Statement::Subject::vtep:
      s.vtep = st.vtep;
      s.receiver.configure(s.vtep.receiver);
      s.index_ports();
      return {};
    case Statement::Subject::ct:
      s.change_tracking(st.ct);
      return {};
    case Statement::Subject::group:
      return s.change_group(st);
    case Statement::Subject::meter:
      s.change_meter(st);
      return {};
    case Statement::Subject::mirror:
      std::erase_if(s.mirrors,
                    [&](const Mirror& m) { return !m.name.empty() && m.name == st.mirror.name; });
      if (s.mirrors.size() >= kMaxMirrors)
        return Error{fmt::format("more than {} mirrors", kMaxMirrors),
                     {},
                     "let one mirror select several ports"};
      s.mirrors.push_back(st.mirror);
      s.tables.change_everything();
      return {};
    case Statement::Subject::flow:
      break;
  }
  if (!s.faults.forget_counts)
    s.megaflows.count_for_rules();  // what has passed so far counts for the rules as they were
  switch (st.verb) {
    case Statement::Verb::add:
      return s.add_rule(st.rule);
    case Statement::Verb::modify:
    case Statement::Verb::modify_strict:
      s.tables.modify(st.rule, st.filter, st.verb == Statement::Verb::modify_strict);
      break;
    case Statement::Verb::remove:
      s.tables.remove_covered(st.rule, st.filter, s.clock);
      break;
    case Statement::Verb::remove_strict:
      s.tables.remove(st.rule, s.clock);
      break;
    case Statement::Verb::insert_buckets:  // of groups
    case Statement::Verb::remove_buckets:
      break;
  }
  return {};
}

Result<> Pipeline::Impl::add_rule(Rule rule) {
  if (std::exchange(rule.check_overlap, false))
    if (const InstalledRule* other = tables.overlapping(rule))
      return Error{"the rule overlaps with " + format_priority_and_match(other->rule),
                   {},
                   "give one of them another priority, or leave check_overlap out"};
  tables.add(std::move(rule), clock);
  return {};
}

Result<> Pipeline::Impl::change_group(const Statement& st) {
  megaflows.count_for_rules();
  if (st.verb == Statement::Verb::remove || st.verb == Statement::Verb::remove_strict) {
    // Rules that send to a group go with it, as OpenFlow says.
    RuleFilter users;
    const auto forget = [&](std::uint32_t id) {
      users.out_group = id;
      tables.remove_covered({}, users, clock);
    };
    if (st.group.id == GroupTable::kAll) {
      groups.for_each([&](const InstalledGroup& g) { forget(g.group.id); });
      groups.clear();
    } else if (groups.remove(st.group.id)) {
      forget(st.group.id);
    }
  } else if (st.verb == Statement::Verb::insert_buckets ||
             st.verb == Statement::Verb::remove_buckets) {
    auto changed =
        groups.change_buckets(st.group, st.verb == Statement::Verb::insert_buckets, st.at_bucket);
    if (!changed) return changed;
  } else {
    groups.put(st.group, clock);
  }
  tables.change_everything();
  return {};
}

void Pipeline::Impl::change_meter(const Statement& st) {
  if (st.verb != Statement::Verb::remove && st.verb != Statement::Verb::remove_strict)
    meters.put(st.meter, clock);
  else if (st.meter.id == Meter::kAll)
    meters.clear();
  else
    meters.remove(st.meter.id);
  tables.change_everything();
}

void Pipeline::Impl::change_tracking(const CtStatement& st) {
  if (st.zone) {
    if (st.limit) connections.set_zone_limit(*st.zone, *st.limit);
    if (!st.timeouts.empty()) {
      CtTimeouts timeouts = connections.zone_timeouts(*st.zone);
      for (const auto& [which, value] : st.timeouts) timeouts.*which = value;
      connections.set_zone_timeouts(*st.zone, timeouts);
    }
    return;
  }
  CtOptions now = connections.options();
  if (st.max_connections) now.max_connections = *st.max_connections;
  if (st.limit) now.zone_limit = *st.limit;
  if (st.early_drop) now.early_drop = *st.early_drop;
  if (st.verify_checksums) now.verify_checksums = *st.verify_checksums;
  if (st.reassemble) now.fragments.reassemble = *st.reassemble;
  if (st.loose) now.tcp.loose = *st.loose;
  if (st.liberal) now.tcp.liberal = *st.liberal;
  for (const auto& [which, value] : st.timeouts) now.timeouts.*which = value;
  connections.set_options(now);
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
    case PortKind::uplink:
      for (; !burst.empty(); burst = burst.subspan(std::min(burst.size(), MegaflowCache::kBurst)))
        s.burst(burst.first(std::min(burst.size(), MegaflowCache::kBurst)), *port, now, result);
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

void Pipeline::Impl::parse(Pass& pass) {
  if (!pass.plain) {
    pass.key = {};
    pass.plain = true;
  }
  pass.key.w[0] = pass.in_port;
  if (parse_plain(*pass.packet, pass.parsed, pass.key)) [[likely]]
    return;
  pass.plain = false;
  for (const unsigned w : kPlainWords) pass.key.w[w] = 0;
  pass.parsed = parse_materialising(*pass.packet);
  if (pass.parsed.ok()) extract(*pass.packet, pass.parsed, pass.key);
}

Pipeline::Impl::Arrival Pipeline::Impl::arrive(Pass& pass, Outputs& result) {
  Packet* packet = pass.packet;
  const ParsedHeaders outer = parse_materialising(*packet);
  const DecapOptions& reading = vtep.receiver.decap;
  if (outer.ok() && outer.ip_proto == wire::kProtoGre)
    ensure_headers(*packet, std::min(outer.l3_end, outer.payload + 12u));
  const TunnelKind kind =
      tunnel_kind_of(*packet, outer, reading.ports, reading.gre, reading.gre_keys);
  const bool part = outer.fragment != Fragment::none;
  if (!part && (kind == TunnelKind::none || tunnel_ports[static_cast<int>(kind)] == 0))
    return {Arrival::Kind::local};
  const std::uint8_t* ip = packet->data() + outer.l3;
  const bool mine =
      outer.is_ipv4()
          ? !vtep.address.is6 && wire::at<wire::Ipv4Header>(ip).dst.get() == vtep.address.v4()
          : vtep.address.is6 && wire::at<wire::Ipv6Header>(ip).dst.get() == vtep.address.v6();
  if (!mine) return {Arrival::Kind::local};
  Decap d;
  if (part || kind == TunnelKind::stt) [[unlikely]] {
    const Arrival arrival = take_part(pass, outer, d, result);
    if (arrival.kind != Arrival::Kind::look_up) return arrival;
  } else {
    d = decap(*packet, outer, reading);
  }
  if (d.status == Decap::Status::drop) return {Arrival::Kind::drop, d.reason};
  if (d.status == Decap::Status::control) [[unlikely]] {
    result.consumed.push_back(packet);
    return {Arrival::Kind::gone};
  }
  if (!d.ok()) return {Arrival::Kind::local};
  pass.key = key_behind_tunnel(d.info);
  pass.in_port = static_cast<std::uint32_t>(pass.key.get(place::in_port));
  pass.plain = false;
  if (!parse_plain(*packet, pass.parsed, pass.key)) {
    pass.parsed = parse_materialising(*packet);
    if (!pass.parsed.ok()) return {Arrival::Kind::malformed};
    extract(*packet, pass.parsed, pass.key);
  }
  if (pass.in_port == 0) return {Arrival::Kind::drop, DropReason::tunnel_unknown};
  pass.owner = pass.in_port | pass.key.w[place::tun_id.word] << 32;
  return {Arrival::Kind::look_up};
}

Pipeline::Impl::Arrival Pipeline::Impl::take_part(Pass& pass, const ParsedHeaders& outer, Decap& d,
                                                  Outputs& result) {
  std::vector<Packet*> joined;
  std::vector<GivenUp> given_up;
  const auto received = receiver.receive(*pass.packet, outer, pass.now, joined, given_up);
  result.consumed.insert(result.consumed.end(), joined.begin(), joined.end());
  give_up_parts(given_up, result);
  using What = TunnelReceiver::Result::What;
  if (received.what == What::held) return {Arrival::Kind::gone};
  if (received.what == What::again) return {Arrival::Kind::drop, DropReason::part_duplicate};
  d = received.decap;
  if (d.ok() && tunnel_ports[static_cast<int>(d.info.kind)] == 0)
    return {Arrival::Kind::drop, DropReason::tunnel_unknown};
  return {Arrival::Kind::look_up};
}

void Pipeline::Impl::give_up_parts(std::vector<GivenUp>& given_up, Outputs& result) {
  for (const GivenUp& g : given_up) drop(g.packet, g.reason, 0, result);
}

void Pipeline::Impl::burst(std::span<Packet* const> packets, const PortConfig& port, Time now,
                           Outputs& result) {
  const auto n = static_cast<unsigned>(packets.size());
  if (passes.size() < n) passes.resize(n);
  Arrival arrivals[MegaflowCache::kBurst];
  Pass* look_up[MegaflowCache::kBurst];
  unsigned count_look_up = 0;
  for (Packet* p : packets) __builtin_prefetch(p->data());
  for (unsigned i = 0; i < n; ++i) {
    Pass& pass = passes[i];
    pass.fresh();
    pass.packet = packets[i];
    pass.in_port = port.number.value;
    pass.owner = pass.in_port;
    pass.now = now;
    if (port.kind == PortKind::uplink) {
      arrivals[i] = arrive(pass, result);
    } else {
      pass.packet->tenant = port.tenant;
      parse(pass);
      if (!pass.parsed.ok()) arrivals[i].kind = Arrival::Kind::malformed;
    }
    if (arrivals[i].kind == Arrival::Kind::look_up) look_up[count_look_up++] = &pass;
  }
  Megaflow* found[MegaflowCache::kBurst];
  bool exact_hit[MegaflowCache::kBurst];
  // A packet alone gains nothing from a search in stages.
  const bool ahead = count_look_up > 1;
  if (ahead) {
    find_all({look_up, count_look_up}, found, exact_hit);
    fetch_connections({look_up, count_look_up}, found);
  }
  const std::uint64_t removals = megaflows.removals();
  unsigned next = 0;
  for (unsigned i = 0; i < n; ++i) {
    Pass& pass = passes[i];
    switch (arrivals[i].kind) {
      case Arrival::Kind::look_up:
        break;
      case Arrival::Kind::gone:
        continue;
      case Arrival::Kind::malformed:
        drop(pass.packet, DropReason::malformed, 0, result);
        continue;
      case Arrival::Kind::drop:
        drop(pass.packet, arrivals[i].reason, 0, result);
        continue;
      case Arrival::Kind::local:
        if (local == 0) {
          drop(pass.packet, DropReason::no_port, 0, result);
        } else {
          output(pass.packet, local, result);
        }
        continue;
    }
    const unsigned at = next++;
    // What was found ahead holds if nothing has changed since: neither rules nor, by an earlier
    // packet of this burst, the cache.
    Megaflow* e = ahead ? found[at] : nullptr;
    if (e == nullptr || megaflows.removals() != removals || check_one_in != 0 ||
        e->generation != tables.generation()) [[unlikely]] {
      run(pass, result);
      pass.plain = false;
      continue;
    }
    ++stats.packets;
    ++(exact_hit[at] ? stats.exact_match_hits : stats.megaflow_hits);
    count(*e, pass);
    const SharedDecision& d = *e->shared;
    if (!d.keeps_key) pass.plain = false;
    if (d.simple) {
      const Step& step = d.decision.steps[0];
      if (step.kind == StepKind::output) {
        output(pass.packet, step.number, result);
        continue;
      }
    }
    if (execute(pass, d.decision, result)) run(pass, result, &d);
  }
}

void Pipeline::Impl::find_all(std::span<Pass* const> look_up, Megaflow** found, bool* exact_hit) {
  constexpr std::size_t kBurst = MegaflowCache::kBurst;
  const auto n = static_cast<unsigned>(look_up.size());
  const FlowKey* keys[kBurst];
  if (!use_exact_match(n)) {
    for (unsigned i = 0; i < n; ++i) {
      keys[i] = &look_up[i]->key;
      exact_hit[i] = false;
    }
    return megaflows.lookup_burst({keys, n}, found, stats.tuples_searched);
  }
  std::uint64_t hash[kBurst];
  for (unsigned i = 0; i < n; ++i) {
    hash[i] = hash_packet_part(look_up[i]->key, seed);
    exact.prefetch(hash[i]);
  }
  for (unsigned i = 0; i < n; ++i) {
    found[i] = exact.candidate(hash[i]);
    if (found[i] == nullptr) continue;
    __builtin_prefetch(found[i]);
    __builtin_prefetch(reinterpret_cast<const std::byte*>(found[i]) + 64);
  }
  unsigned at[kBurst];
  unsigned missed = 0;
  for (unsigned i = 0; i < n; ++i) {
    exact_hit[i] = found[i] != nullptr && found[i]->matches(look_up[i]->key);
    exact.note(exact_hit[i]);
    if (exact_hit[i]) continue;
    at[missed] = i;
    keys[missed++] = &look_up[i]->key;
  }
  if (missed == 0) return;
  Megaflow* others[kBurst];
  megaflows.lookup_burst({keys, missed}, others, stats.tuples_searched);
  for (unsigned i = 0; i < missed; ++i) {
    found[at[i]] = others[i];
    if (others[i] != nullptr) exact.insert(hash[at[i]], others[i]);
  }
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
  if (tunnel.kind == TunnelKind::stt && vtep.stt_ports) {
    key.w[1] = stt::network_of(tunnel.vni);
    key.w[6] = tunnel.vni & 0x7fffffff;
  }
  key.set128(place::tun_src, tunnel.src.bits);
  key.set128(place::tun_dst, tunnel.dst.bits);
  if (tunnel.ports)
    key.w[6] = static_cast<std::uint64_t>(tunnel.ports->ingress) << 16 | tunnel.ports->egress;
  key.set(place::tun_tos, tunnel.tos);
  key.set(place::tun_ttl, tunnel.ttl);
  return key;
}

void Pipeline::Impl::fetch_connections(std::span<Pass* const> look_up, Megaflow* const* found) {
  bool any = false;
  for (std::size_t i = 0; i < look_up.size(); ++i) {
    if (found[i] == nullptr || !found[i]->shared->tracks_first) continue;
    Pass& pass = *look_up[i];
    pass.ct = tracked_packet(pass);
    pass.ct_dirty = true;
    pass.ct_hash_zone = found[i]->decision().steps[0].zone;
    pass.ct_hash = connections.hash(pass.ct, pass.ct_hash_zone);
    pass.ct_read = pass.ct_hashed = any = true;
    connections.prefetch_slot(pass.ct_hash);
  }
  if (!any) return;
  for (Pass* pass : look_up)
    if (pass->ct_hashed) connections.prefetch_connection(pass->ct_hash);
}

void Pipeline::Impl::run(Pass& pass, Outputs& result, const SharedDecision* from) {
  for (;;) {
    const Decision* decision = &uncached;
    Megaflow* entry = find(pass, from);
    if (pass.waits) [[unlikely]]
      return wait(pass, result);
    if (entry != nullptr) {
      count(*entry, pass);
      from = entry->shared;
      decision = &from->decision;
    } else {
      from = nullptr;
      for (const auto& rule : uncached.rules) {
        ++rule->packets;
        rule->bytes += pass.packet->size();
        rule->used = std::max(rule->used, pass.now);
      }
      for (const auto& counter : uncached.counters) {
        ++counter->packets;
        counter->bytes += pass.packet->size();
      }
    }
    if (!execute(pass, *decision, result)) return;
  }
}

Megaflow* Pipeline::Impl::find(Pass& pass, const SharedDecision* from) {
  ++stats.packets;
  const auto holds = [&](Megaflow& e) {
    return e.generation == tables.generation() || faults.skip_revalidation ||
           revalidate(e, pass.key);
  };
  const bool cached = options.exact_match || options.megaflow;
  const bool check = check_one_in != 0 && pass.packet->id % check_one_in == 0;
  if (from != nullptr && from->next != nullptr && from->next->matches(pass.key) &&
      from->next->generation == tables.generation()) {
    ++stats.megaflow_hits;
    ++stats.tuples_searched;
    if (check) compare_with_slow_path(pass, *from->next);
    return from->next;
  }
  const bool use_exact = use_exact_match(1);
  std::uint64_t hash = 0;
  if (use_exact) {
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
      if (use_exact) exact.insert(hash, e);
      if (from != nullptr) from->next = e;
      return e;
    }
  }
  if (upcalls.limited() && !pass.served) [[unlikely]] {
    --stats.packets;  // it will be looked up again
    pass.waits = true;
    return nullptr;
  }
  pass.served = false;
  ++stats.slow_path;
  Megaflow* e = slow_path(pass);
  if (from != nullptr) from->next = e;
  if (use_exact && e != nullptr) exact.insert(hash, e);
  return e;
}

void Pipeline::Impl::wait(Pass& pass, Outputs& result) {
  pass.waits = false;
  if (!upcalls.push(pass.owner, pass, pass.now))
    drop(pass.packet, DropReason::slow_path_full, 0, result);
}

Time Pipeline::next_upcall() const { return impl_->upcalls.next(); }

void Pipeline::serve_upcalls(Time now, Outputs& result) {
  Impl& s = *impl_;
  s.clock = std::max(s.clock, now);
  while (s.upcalls.next() <= now) {
    Pass pass = s.upcalls.pop();
    pass.now = now;
    pass.served = true;
    s.run(pass, result);
  }
}

Megaflow* Pipeline::Impl::slow_path(const Pass& pass) {
  uncached = translate(view(), recirculation, pass.key);
  if (!options.megaflow && !options.exact_match) return nullptr;
  return megaflows.insert(pass.key, pass.owner, uncached, tables.generation(), pass.now,
                          !options.megaflow);
}

bool Pipeline::Impl::revalidate(Megaflow& entry, const FlowKey& key) {
  if (tables.unchanged(entry.decision().tables, entry.generation)) {
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
  if (faults.forget_counts) {
    entry.packets_counted = entry.packets;
    entry.bytes_counted = entry.bytes;
  }
  megaflows.replace(entry, std::move(fresh), tables.generation());
  return true;
}

void Pipeline::Impl::compare_with_slow_path(const Pass& pass, const Megaflow& entry) {
  // Once for the packet, and once for the key that has zeros wherever the mask has: what the mask
  // leaves out must not matter.
  const auto agrees = [&](const Decision& d) {
    return d.same_effect(entry.decision()) && d.rules == entry.decision().rules;
  };
  const Decision fresh = translate(view(), recirculation, pass.key);
  if (agrees(fresh) && agrees(translate(view(), recirculation, entry.full_key()))) return;
  WEFT_CHECK(
      false,
      "the cached decision for packet {} is not the slow path's\n  cached:    {} actions:{}\n"
      "  slow path: {} actions:{}",
      pass.packet->id, format_key(entry.full_key(), entry.table->mask),
      format_steps(entry.decision(), pass.key), format_key(pass.key, fresh.mask),
      format_steps(fresh, pass.key));
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
  if (s.tables.has_timeouts()) s.megaflows.count_for_rules();  // or busy rules look idle
  if (!s.faults.rules_never_expire) s.tables.expire(now);
  s.megaflows.sweep(now, s.options.idle_timeout, s.options.hard_timeout, s.options.sweep_entries);
  s.connections.expire(now);
}

void Pipeline::expire(Time now, Outputs& result) {
  expire(now);
  std::vector<GivenUp> given_up;
  impl_->receiver.expire(now, given_up);
  impl_->ct_fragments.expire(now, given_up);
  impl_->give_up_parts(given_up, result);
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

ConnTrack& Pipeline::connection_tracking() { return impl_->connections; }

const PipelineStats& Pipeline::stats() const {
  PipelineStats& s = impl_->reported;
  s = impl_->stats;
  s.megaflows = impl_->megaflows.size();
  s.masks = impl_->megaflows.masks();
  s.connections = impl_->connections.size();
  s.rules = impl_->tables.size();
  return s;
}

Pipeline::Memory Pipeline::memory() const {
  return {.rules = impl_->tables.memory_bytes(),
          .megaflows = impl_->megaflows.memory_bytes() + impl_->exact.memory_bytes(),
          .connections = impl_->connections.memory()};
}

void Pipeline::check_caches(std::uint32_t one_in) { impl_->check_one_in = one_in; }

Result<> Pipeline::plant(std::string_view fault) {
  if (impl_->faults.set(fault)) {
    CtOptions options = impl_->connections.options();
    options.faults = impl_->faults;
    options.tcp.unchecked = impl_->faults.ct_no_windows;
    impl_->connections.set_options(options);
    impl_->tables.change_everything();
    return {};
  }
  return Error{"unknown fault '" + std::string(fault) + "'", {}, "one of " + Faults::names()};
}

}  // namespace weft::datapath
