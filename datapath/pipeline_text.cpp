// What a Pipeline says about itself: dumps and traces.
#include <fmt/core.h>

#include <algorithm>

#include "datapath/pipeline_impl.h"

namespace weft::datapath {
namespace {

std::string format_set(const Step& s) {
  std::string out;
  FlowKey value, mask;
  value.w[s.word] = s.value;
  mask.w[s.word] = s.mask;
  for (unsigned i = 0; i < kFields; ++i) {
    const FieldInfo& f = info(static_cast<Field>(i));
    if (f.bits == 128 || f.word != s.word || f.id == Field::vlan_tci ||
        f.needs == Prerequisite::vlan)
      continue;
    if (f.needs == Prerequisite::arp || f.needs == Prerequisite::icmp) continue;  // same places
    const std::uint64_t m = mask.get(f.at()) & field_ones(f).low;
    if (m == 0) continue;
    mask.set(f.at(), mask.get(f.at()) & ~m);
    const MaskedValue v{{0, value.get(f.at()) & m}, {0, m}};
    out += fmt::format("{}{}={}", out.empty() ? "" : ",", f.name, format_field_value(f, v));
  }
  if (mask.w[s.word] != 0)
    out += fmt::format("{}word{}={:#x}/{:#x}", out.empty() ? "" : ",", s.word,
                       value.w[s.word] & mask.w[s.word], mask.w[s.word]);
  return "set(" + out + ")";
}

std::string format_step(const Step& s, const Decision& d) {
  switch (s.kind) {
    case StepKind::output:
      return fmt::format("{}", s.number);
    case StepKind::tunnel: {
      const OuterStep& o = d.outers[s.number];
      std::string ports;
      if (o.encap.ports)
        ports = fmt::format(",ports={}->{}", o.encap.ports->ingress, o.encap.ports->egress);
      return fmt::format("{}(tun_id={:#x},dst={}{})",
                         o.encap.kind == TunnelKind::vxlan ? "vxlan" : "geneve", o.encap.vni,
                         o.encap.dst.text(), ports);
    }
    case StepKind::set:
    case StepKind::set_key:
      return format_set(s);
    case StepKind::set_vlan:
      return fmt::format("set_vlan({:#x})", s.value);
    case StepKind::push_vlan:
      return fmt::format("push_vlan({:#x})", s.value);
    case StepKind::pop_vlan:
      return "pop_vlan";
    case StepKind::track:
      return fmt::format("ct(zone={})", s.zone);
    case StepKind::commit:
      if ((s.mask & 0xffffffff) == 0) return fmt::format("ct(commit,zone={})", s.zone);
      return fmt::format("ct(commit,zone={},mark={:#x}/{:#x})", s.zone, s.mask >> 32,
                         s.mask & 0xffffffff);
    case StepKind::aside:
      return fmt::format("aside({})", s.number);
    case StepKind::recirculate:
      return fmt::format("recirc({})", s.number);
    case StepKind::arp_reply:
      return fmt::format("arp_reply({})", Mac::from_u64(s.value).text());
    case StepKind::nd_reply:
      return fmt::format("nd_reply({})", Mac::from_u64(s.value).text());
    case StepKind::icmp_error: {
      const IcmpErrorStep& e = d.errors[s.number];
      return fmt::format("icmp_error({},{},{})", e.type, e.code, e.source.text());
    }
    case StepKind::icmp_echo_reply:
      return "icmp_echo_reply";
    case StepKind::drop:
      return fmt::format("drop({})", name_of(static_cast<DropReason>(s.number)));
  }
  return "";
}

}  // namespace

std::string format_steps(const Decision& d) {
  std::string out;
  for (const Step& s : d.steps) out += (out.empty() ? "" : ",") + format_step(s, d);
  return out;
}

std::string format_key(const FlowKey& key, const FlowMask& mask) {
  Match m;
  m.mask = mask;
  std::string out;
  if (mask.get(place::recirc_id) != 0)
    out = fmt::format("recirc_id({})", key.get(place::recirc_id));
  m.mask.set(place::recirc_id, 0);
  // The endpoints of a tunnel over IPv4 are shown as IPv4, though all 128 bits were looked at.
  for (const unsigned at : {place::tun_src, place::tun_dst})
    if (key.w[at] == 0 && key.w[at + 1] >> 32 == 0 && key.w[at + 1] != 0) {
      m.mask.w[at] = 0;
      m.mask.w[at + 1] &= 0xffffffff;
    }
  for (unsigned i = 0; i < kKeyWords; ++i) m.value.w[i] = key.w[i] & m.mask.w[i];
  const std::string match = format_match(m);
  if (!match.empty()) out += (out.empty() ? "" : ",") + match;
  return out;
}

std::vector<std::string> Pipeline::dump_flows() const {
  impl_->megaflows.count_for_rules();
  std::vector<std::string> out;
  for (const auto& r : impl_->tables.sorted()) {
    std::string timeouts;
    if (r->rule.idle_timeout != 0)
      timeouts += fmt::format("idle_timeout={}, ", r->rule.idle_timeout);
    if (r->rule.hard_timeout != 0)
      timeouts += fmt::format("hard_timeout={}, ", r->rule.hard_timeout);
    out.push_back(fmt::format("cookie={:#x}, table={}, n_packets={}, n_bytes={}, {}{} actions={}",
                              r->rule.cookie, r->rule.table, r->packets, r->bytes, timeouts,
                              format_priority_and_match(r->rule), format_actions(r->rule.actions)));
  }
  return out;
}

std::vector<std::string> Pipeline::dump_megaflows() const {
  std::vector<std::string> out;
  impl_->megaflows.for_each([&](const Megaflow& e) {
    out.push_back(fmt::format("{}, packets:{}, bytes:{}, actions:{}",
                              format_key(e.full_key(), e.table->mask), e.packets, e.bytes,
                              format_steps(e.decision)));
  });
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> Pipeline::dump_connections() const {
  return impl_->connections.dump(impl_->clock);
}

std::vector<TraceLine> Pipeline::trace(const Packet& packet, PortNo in_port, Time now) const {
  const Impl& s = *impl_;
  std::vector<TraceLine> lines;
  const PortConfig* port = s.port(in_port.value);
  if (port == nullptr || s.world.pool == nullptr) {
    lines.push_back({0, fmt::format("port {} does not exist", in_port.value), 0});
    return lines;
  }
  if (port->kind == PortKind::local) {
    lines.push_back({0, "from the host's own stack: out to the uplink", 0});
    return lines;
  }
  PacketPool& pool = *s.world.pool;
  struct Copy {
    PacketPool& pool;
    Packet* packet;
    ~Copy() { pool.give(packet); }
  } copy{pool, pool.clone(packet, packet.id)};

  FlowKey key;
  key.w[0] = in_port.value;
  ParsedHeaders parsed = parse_materialising(*copy.packet);
  if (port->kind == PortKind::uplink) {
    const TunnelKind kind = parsed.ok() ? tunnel_kind_of(*copy.packet, parsed) : TunnelKind::none;
    const std::uint32_t tunnel = s.tunnel_ports[static_cast<int>(kind)];
    const Decap d = tunnel != 0 ? decap(*copy.packet, parsed) : Decap{};
    if (d.status == Decap::Status::drop) {
      lines.push_back({0, fmt::format("drop: {} ({})", name_of(d.reason), d.detail), 0});
      return lines;
    }
    if (!d.ok() || d.info.dst != s.vtep.address) {
      lines.push_back({0, "no tunnel of this endpoint: out to the host's own stack", 0});
      return lines;
    }
    lines.push_back(
        {0,
         fmt::format("decapsulate {}: tun_id={:#x}, from {}",
                     kind == TunnelKind::vxlan ? "VXLAN" : "GENEVE", d.info.vni, d.info.src.text()),
         0});
    key.w[0] = tunnel;
    key.w[1] = d.info.vni;
    key.set128(place::tun_src, d.info.src.bits);
    key.set128(place::tun_dst, d.info.dst.bits);
    if (d.info.ports)
      key.w[6] = static_cast<std::uint64_t>(d.info.ports->ingress) << 16 | d.info.ports->egress;
    parsed = parse_materialising(*copy.packet);
  }
  if (!parsed.ok()) {
    lines.push_back(
        {0, fmt::format("drop: {} ({})", name_of(DropReason::malformed), to_string(parsed.error)),
         0});
    return lines;
  }
  extract(*copy.packet, parsed, key);

  RecirculationTable recirculation;  // its own: a trace leaves nothing behind
  const CtPacket ct = ct_packet(*copy.packet, parsed);
  for (int pass = 0; pass < 16; ++pass) {
    FlowMask shown;
    for (unsigned i = 0; i < kPacketWords; ++i) shown.w[i] = key.w[i] != 0 ? ~0ULL : 0;
    shown.w[14] = 0;
    for (const FieldPlace p :
         {place::tcp_flags, place::ct_zone, place::ct_state, place::ct_nw_proto})
      if (key.get(p) != 0) look_at(shown, p);
    lines.push_back({0, "Flow: " + format_key(key, shown), 0});
    const Decision d = translate(s.view(), recirculation, key, &lines);
    lines.push_back({0, "Megaflow: " + format_key(key, d.mask), 0});
    lines.push_back({0, "Datapath actions: " + format_steps(d), 0});
    bool again = false;
    CtResult state;
    for (const Step& step : d.steps) {
      if (step.kind == StepKind::set || step.kind == StepKind::set_key)
        key.w[step.word] = (key.w[step.word] & ~step.mask) | step.value;
      if (step.kind == StepKind::set_vlan || step.kind == StepKind::push_vlan)
        key.set(place::vlan_tci, step.value | kVlanPresent);
      if (step.kind == StepKind::pop_vlan) key.set(place::vlan_tci, 0);
      if (step.kind == StepKind::track || step.kind == StepKind::commit) {
        state = s.connections.peek(ct, step.zone, now);
        key.set(place::ct_state, state.state);
        key.set(place::ct_zone, step.zone);
        key.set(place::ct_mark, state.mark);
      }
      if (step.kind == StepKind::recirculate) {
        key.set(place::recirc_id, step.number);
        again = true;
      }
    }
    if (!again) break;
  }
  return lines;
}

}  // namespace weft::datapath
