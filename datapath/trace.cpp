// Traces: one packet or flow through the tables by the slow path itself, told line by line. Nothing
// is changed: recirculation ids are the trace's own, connections are only looked at, meters and
// learn() do nothing.
#include <fmt/core.h>

#include <algorithm>

#include "datapath/pipeline_impl.h"

namespace weft::datapath {
namespace {

using Kind = TraceLine::Kind;
constexpr int kMaxPasses = 16;

/// What the steps of a pass make of its key; true if it goes on.
bool follow(const Decision& d, FlowKey& key) {
  bool again = false;
  for (const Step& step : d.steps) {
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
      case StepKind::recirculate:
        key.set(place::recirc_id, step.number);
        again = true;
        break;
      default:
        break;
    }
  }
  return again;
}

/// "trk,new", "trk|new" or "+trk+new"; 0xff.. if it cannot be read.
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

/// Passes of a key through the tables until nothing recirculates.
void Pipeline::Impl::trace_passes(FlowKey key, const CtPacket* ct, Time now,
                                  const TraceOptions& trace_options,
                                  std::vector<TraceLine>& lines) const {
  RecirculationTable own;
  std::size_t tracked = 0;
  CtPacket as_it_is = ct != nullptr ? *ct : CtPacket{};
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    lines.push_back({0, format_flow(key), 0, Kind::flow});
    const Decision d = translate(view(), own, key, &lines);
    lines.push_back({0, format_key(key, d.mask), 0, Kind::megaflow});
    lines.push_back({0, format_steps(d), 0, Kind::steps});
    std::string how;
    for (const Step& step : d.steps) {
      if (step.kind != StepKind::track && step.kind != StepKind::commit) continue;
      CtResult state;
      if (ct != nullptr) {
        state = connections.peek(as_it_is, step.zone, now,
                                 step.kind == StepKind::commit || step.number != 0);
        set_connection_fields(key, connections, state, as_it_is);
        if (state.translate) show_translation(key, connections.translation(state), as_it_is);
      } else {
        state.state = kCtTracked | kCtNew;
      }
      key.set(place::ct_state, state.state);
      key.set(place::ct_zone, step.zone);
      key.set(place::ct_mark, state.mark);
      how = ct != nullptr ? "as connection tracking says" : "as nothing else is known";
    }
    if (!follow(d, key)) break;
    if (!how.empty() && tracked < trace_options.ct_next.size()) {
      const auto state = ct_state_of(trace_options.ct_next[tracked++]);
      if (!state) {
        lines.push_back({0, state.error().text(), 0, Kind::note});
        return;
      }
      key.set(place::ct_state, *state);
      how = "as asked for";
    }
    std::string text = fmt::format("recirc({:#x})", key.get(place::recirc_id));
    if (!how.empty())
      text += fmt::format(
          " - resume conntrack with ct_state={}, {}",
          format_field_value(info(Field::ct_state),
                             {{0, key.get(place::ct_state)}, field_ones(info(Field::ct_state))}),
          how);
    lines.push_back({0, std::move(text), 0, Kind::recirculation});
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
