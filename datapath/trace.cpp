// Traces: one packet or flow through the tables by the slow path itself, told line by line. Nothing
// is changed: recirculation ids are the trace's own, connections are only looked at, meters and
// learn() do nothing.
#include <fmt/core.h>

#include <algorithm>

#include "datapath/pipeline_impl.h"

namespace weft::datapath {
namespace {

using Kind = TraceLine::Kind;
constexpr std::size_t kMaxPasses = 16;

/// "trk,new", "trk|new" or "+trk+new".
Result<std::uint64_t> ct_state_of(std::string_view text) {
  std::string signs;
  for (char c : text) signs += c == ',' || c == '|' ? '+' : c;
  if (!signs.empty() && signs[0] != '+' && signs[0] != '-') signs.insert(signs.begin(), '+');
  auto v = parse_field_value(info(Field::ct_state), signs);
  if (!v) return v.error();
  return v->value.low;
}

/// What NAT makes of the key and of what is tracked next.
void show_translation(FlowKey& key, const CtTuple& now, CtPacket& packet) {
  key.set128(place::ip_src, now.src);
  key.set128(place::ip_dst, now.dst);
  if (packet.kind == CtPacket::Kind::icmp_error) {
    packet.tuple = now.reversed();
    return;
  }
  packet.tuple = now;
  if (now.echo != 0) return;
  key.set(place::tp_src, now.src_port);
  key.set(place::tp_dst, now.dst_port);
}

}  // namespace

/// Follows the steps of a pass, and gives the keys of what is looked up again.
struct Pipeline::Impl::TraceWalk {
  const Impl& impl;
  const Decision& decision;
  bool real;  ///< there is a packet, and so connections know it
  Time now;
  struct Next {
    FlowKey key;
    CtPacket ct{};  ///< the packet as it is by then
    bool tracked = false;
  };
  std::vector<Next> next;

  void walk(std::span<const Step> steps, FlowKey key, CtPacket ct) {
    bool tracked = false;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Step& step = steps[i];
      switch (step.kind) {
        case StepKind::set:
        case StepKind::set_key:
          key.w[step.word] = (key.w[step.word] & ~step.mask) | step.value;
          break;
        case StepKind::set_vlan:
        case StepKind::push_vlan:
          key.set(place::vlan_tci, step.value | kVlanPresent);
          break;
        case StepKind::pop_vlan:
          key.set(place::vlan_tci, 0);
          break;
        case StepKind::track:
        case StepKind::commit: {
          CtResult state;
          if (real) {
            state = impl.connections.peek(ct, step.zone, now,
                                          step.kind == StepKind::commit || step.number != 0);
            set_connection_fields(key, impl.connections, state, ct);
            if (state.translate) show_translation(key, impl.connections.translation(state), ct);
          } else {
            state.state = kCtTracked | kCtNew;
          }
          key.set(place::ct_state, state.state);
          key.set(place::ct_zone, step.zone);
          key.set(place::ct_mark, state.mark);
          tracked = true;
          break;
        }
        case StepKind::clone:
          if (step.last) break;
          walk(steps.subspan(i + 1, step.number), key, ct);
          i += step.number;
          break;
        case StepKind::aside:
          i += step.number;
          break;
        case StepKind::recirculate:
          next.push_back({key, ct, tracked});
          next.back().key.set(place::recirc_id, step.number);
          break;
        default:
          break;
      }
    }
  }
};

void Pipeline::Impl::trace_passes(FlowKey first, const CtPacket* ct, Time now,
                                  const TraceOptions& trace_options,
                                  std::vector<TraceLine>& lines) const {
  RecirculationTable own;
  std::size_t answers = 0;
  std::vector<TraceWalk::Next> waiting{{first, ct != nullptr ? *ct : CtPacket{}, false}};
  for (std::size_t pass = 0; pass < waiting.size() && pass < kMaxPasses; ++pass) {
    TraceWalk::Next& at = waiting[pass];
    if (pass != 0) {
      const char* how = ct != nullptr ? "as connection tracking says" : "as nothing else is known";
      if (at.tracked && answers < trace_options.ct_next.size()) {
        const auto state = ct_state_of(trace_options.ct_next[answers++]);
        if (state) at.key.set(place::ct_state, *state);
        how = "as asked for";
      }
      std::string text = fmt::format("recirc({:#x})", at.key.get(place::recirc_id));
      const FieldInfo& f = info(Field::ct_state);
      if (at.tracked)
        text += fmt::format(" - resume conntrack with ct_state={}, {}",
                            format_field_value(f, {read_field(at.key, f), field_ones(f)}), how);
      lines.push_back({0, std::move(text), 0, Kind::recirculation});
    }
    const FlowKey key = at.key;
    lines.push_back({0, format_flow(key), 0, Kind::flow});
    const Decision d = translate(view(), own, key, &lines);
    lines.push_back({0, format_key(key, d.mask), 0, Kind::megaflow});
    lines.push_back({0, format_steps(d), 0, Kind::steps});
    TraceWalk walk{*this, d, ct != nullptr, now, {}};
    walk.walk(d.steps, key, at.ct);
    waiting.insert(waiting.end(), walk.next.begin(), walk.next.end());
  }
}

std::vector<TraceLine> Pipeline::trace(const FlowKey& flow, Time now,
                                       const TraceOptions& options) const {
  std::vector<TraceLine> lines;
  impl_->trace_passes(flow, nullptr, now, options, lines);
  return lines;
}

std::vector<TraceLine> Pipeline::trace(const Packet& packet, PortNo in_port, Time now,
                                       const TraceOptions& options) const {
  const Impl& s = *impl_;
  std::vector<TraceLine> lines;
  const auto note = [&lines](std::string text) { lines.push_back({0, std::move(text)}); };
  const PortConfig* port = s.port(in_port.value);
  if (port == nullptr || s.world.pool == nullptr) {
    note(fmt::format("port {} does not exist", in_port.value));
    return lines;
  }
  if (port->kind == PortKind::local) {
    note("from the host's own stack: out to the uplink");
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
    const DecapOptions& reading = s.vtep.receiver.decap;
    const TunnelKind kind = tunnel_kind_of(*copy.packet, parsed, reading.ports, reading.gre);
    const bool known = s.tunnel_ports[static_cast<int>(kind)] != 0;
    const Decap d = known ? decap(*copy.packet, parsed, reading) : Decap{};
    if (d.status == Decap::Status::drop) {
      note(fmt::format("drop: {} ({})", name_of(d.reason), d.detail));
      return lines;
    }
    if (!d.ok() || d.info.dst != s.vtep.address) {
      note("no tunnel of this endpoint: out to the host's own stack");
      return lines;
    }
    note(fmt::format("decapsulate {}: tun_id={:#x}, from {}", name_of(kind), d.info.vni,
                     d.info.src.text()));
    key = s.key_behind_tunnel(d.info);
    if (key.get(place::in_port) == 0) {
      note(fmt::format("drop: {}", name_of(DropReason::tunnel_unknown)));
      return lines;
    }
    parsed = parse_materialising(*copy.packet);
  }
  if (!parsed.ok()) {
    note(fmt::format("drop: {} ({})", name_of(DropReason::malformed), to_string(parsed.error)));
    return lines;
  }
  extract(*copy.packet, parsed, key);
  const CtPacket ct = ct_packet(*copy.packet, parsed);
  s.trace_passes(key, &ct, now, options, lines);
  return lines;
}

Result<> check_ct_next(std::string_view text) {
  const auto state = ct_state_of(text);
  if (!state) return state.error();
  return {};
}

std::string format_trace_line(const TraceLine& line) {
  switch (line.kind) {
    case Kind::flow:
      return "Flow: " + line.text;
    case Kind::final_flow:
      return "Final flow: " + line.text;
    case Kind::megaflow:
      return "Megaflow: " + line.text;
    case Kind::steps:
      return "Datapath actions: " + line.text;
    default:
      return line.text;
  }
}

std::string format_trace(const std::vector<TraceLine>& lines, std::string_view bridge) {
  std::string out;
  const auto line = [&out](int indent, std::string_view text) {
    if (indent > 0) out.append(static_cast<std::size_t>(indent), ' ');
    out += text;
    out += '\n';
  };
  for (const TraceLine& l : lines) {
    switch (l.kind) {
      case Kind::flow: {
        line(0, format_trace_line(l));
        line(0, "");
        const std::string title = fmt::format("bridge(\"{}\")", bridge);
        line(0, title);
        line(0, std::string(title.size(), '-'));
        break;
      }
      case Kind::table:
        line(l.depth == 0 ? 0 : 8 * l.depth - 4, l.text);
        break;
      case Kind::action:
        line(8 * l.depth + 4, l.text);
        break;
      case Kind::note:
        line(l.depth == 0 ? 0 : 8 * l.depth - 4, l.text);
        break;
      case Kind::final_flow:
        line(0, "");
        line(0, format_trace_line(l));
        break;
      case Kind::megaflow:
      case Kind::steps:
        line(0, format_trace_line(l));
        break;
      case Kind::recirculation: {
        const std::string rule(79, '=');
        line(0, "");
        line(0, rule);
        line(0, l.text);
        line(0, rule);
        line(0, "");
        break;
      }
    }
  }
  return out;
}

}  // namespace weft::datapath
