// Traces: one packet or flow through the tables by the slow path itself, told line by line (trace.h
// says what a packet's trace is). Nothing is changed: recirculation ids are the trace's own.
#include "datapath/trace.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

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

/// Caches that a switch for one packet has no use for.
CacheOptions no_caches() {
  CacheOptions o;
  o.exact_match = o.megaflow = false;
  o.exact_match_entries = 2;
  return o;
}

bool tracks(const Decision& d) {
  return std::any_of(d.steps.begin(), d.steps.end(), [](const Step& s) {
    return s.kind == StepKind::track || s.kind == StepKind::commit;
  });
}

/// What the next ct(table=N) of a pass finds, if the options say it.
class Answers {
 public:
  explicit Answers(const TraceOptions& options) : options_(options) {}
  /// The line that begins a further pass; the key gets the state that was asked for.
  TraceLine resume(FlowKey& key, bool tracked, const char* how) {
    if (tracked && next_ < options_.ct_next.size()) {
      const auto state = ct_state_of(options_.ct_next[next_++]);
      if (state) key.set(place::ct_state, *state);
      how = "as asked for";
    }
    std::string text = fmt::format("recirc({:#x})", key.get(place::recirc_id));
    const FieldInfo& f = info(Field::ct_state);
    if (tracked)
      text += fmt::format(" - resume conntrack with ct_state={}, {}",
                          format_field_value(f, {read_field(key, f), field_ones(f)}), how);
    return {0, std::move(text), 0, Kind::recirculation};
  }

 private:
  const TraceOptions& options_;
  std::size_t next_ = 0;
};

/// One pass through the tables, with the lines around it.
Decision pass_tables(const SwitchView& view, RecirculationTable& own, const FlowKey& key, bool text,
                     std::vector<TraceLine>& lines) {
  if (text) lines.push_back({0, format_flow(key), 0, Kind::flow});
  Decision d = translate(view, own, key, &lines, text);
  if (text) {
    lines.push_back({0, format_key(key, d.mask), 0, Kind::megaflow});
    lines.push_back({0, format_steps(d, key), 0, Kind::steps});
  }
  return d;
}

}  // namespace

/// Follows the steps of a pass of a flow without a packet, and gives the keys of what is looked up
/// again.
struct Pipeline::Impl::TraceWalk {
  struct Next {
    FlowKey key;
    bool tracked = false;
  };
  std::vector<Next> next;

  void walk(std::span<const Step> steps, FlowKey key) {
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
          key.set(place::vlan_tci, step.value);
          break;
        case StepKind::track:
        case StepKind::commit:
          key.set(place::ct_state, kCtTracked | kCtNew);
          key.set(place::ct_zone, step.zone);
          key.set(place::ct_mark, 0);
          tracked = true;
          break;
        case StepKind::clone:
          if (step.last) break;
          walk(steps.subspan(i + 1, step.number), key);
          i += step.number;
          break;
        case StepKind::aside:
          i += step.number;
          break;
        case StepKind::recirculate:
          next.push_back({key, tracked});
          next.back().key.set(place::recirc_id, step.number);
          break;
        default:
          break;
      }
    }
  }
};

void Pipeline::Impl::trace_flow(const FlowKey& first, const TraceOptions& trace_options,
                                std::vector<TraceLine>& lines) const {
  RecirculationTable own;
  Answers answers(trace_options);
  std::vector<TraceWalk::Next> waiting{{first, false}};
  for (std::size_t pass = 0; pass < waiting.size() && pass < kMaxPasses; ++pass) {
    TraceWalk::Next at = waiting[pass];
    if (pass != 0) lines.push_back(answers.resume(at.key, at.tracked, "as nothing else is known"));
    const Decision d = pass_tables(view(), own, at.key, trace_options.text, lines);
    TraceWalk walk;
    walk.walk(d.steps, at.key);
    waiting.insert(waiting.end(), walk.next.begin(), walk.next.end());
  }
}

std::vector<TraceLine> Pipeline::trace(const FlowKey& flow, Time,
                                       const TraceOptions& options) const {
  std::vector<TraceLine> lines;
  impl_->trace_flow(flow, options, lines);
  return lines;
}

/// The switch for one packet: `real` decides, `dry` is acted on.
struct Pipeline::Impl::DryRun {
  const Impl& real;
  const TraceOptions& trace_options;
  TraceResult& result;
  Impl dry;
  RecirculationTable own{};
  Outputs outputs{};
  std::vector<Packet*> fragments;  // that connection tracking would hold
  PacketId ids = 0;
  std::map<std::uint32_t, std::shared_ptr<InstalledMeter>> meters{};  // as far as they were used

  DryRun(const Impl& r, const TraceOptions& o, TraceResult& out)
      : real(r), trace_options(o), result(out), dry(r.vtep, no_caches(), r.seed) {
    dry.world = {[this] { return ++ids; }, r.world.pool};
    dry.ports = r.ports;
    dry.index_ports();
    dry.connections = ConnTrack::over(r.connections);
    dry.tunnel_sequence = r.tunnel_sequence;
    dry.faults = r.faults;
    dry.fragments_end = &fragments;
  }

  void note(std::string text) { result.lines.push_back({0, std::move(text)}); }

  TraceEnd& end(TraceEnd::Kind kind, Packet* packet) {
    TraceEnd& e = result.ends.emplace_back();
    e.kind = kind;
    e.packet = HeldPacket(packet, GiveBack{real.world.pool});
    return e;
  }

  /// The line of the rule with this cookie that was hit last; `first`: where its pass begins.
  std::size_t line_of(std::uint64_t cookie, bool miss, std::size_t first) const {
    for (std::size_t i = result.lines.size(); i-- > first;) {
      const TraceLine& l = result.lines[i];
      if (l.kind == Kind::table && l.cookie == cookie && (l.rule == nullptr) == miss) return i;
    }
    return TraceEnd::kNoLine;
  }
  std::size_t last_table(std::size_t first) const {
    for (std::size_t i = result.lines.size(); i-- > first;)
      if (result.lines[i].kind == Kind::table) return i;
    return TraceEnd::kNoLine;
  }

  /// What the steps of the pass that began at line `first` brought about.
  void collect(std::size_t first) {
    for (const Output& o : outputs.out) {
      TraceEnd& e = end(TraceEnd::Kind::out, o.packet);
      e.port = o.port;
      e.how = o.kind;
      e.line = last_table(first);
    }
    for (const Dropped& d : outputs.dropped) {
      TraceEnd& e = end(TraceEnd::Kind::dropped, d.packet);
      e.reason = d.reason;
      e.cookie = d.cookie;
      e.line = line_of(d.cookie, d.reason == DropReason::no_rule, first);
    }
    for (Packet* f : fragments) {
      note("ct: a fragment waits for the rest of its packet");
      end(TraceEnd::Kind::consumed, f).line = last_table(first);
    }
    fragments.clear();
    for (Packet* c : outputs.consumed) end(TraceEnd::Kind::consumed, c).line = last_table(first);
    for (ToController& c : outputs.controller) {
      TraceEnd& e = end(TraceEnd::Kind::controller, c.packet);
      e.cookie = c.cookie;
      e.line = line_of(c.cookie, false, first);
    }
    outputs.clear();
  }

  void go(Pass first) {
    Answers answers(trace_options);
    struct Waiting {
      Pass pass;
      bool tracked;
    };
    std::vector<Waiting> waiting{{std::move(first), false}};
    for (std::size_t n = 0; n < waiting.size(); ++n) {
      Waiting at = waiting[n];
      if (n >= kMaxPasses) {
        dry.drop(at.pass.packet, DropReason::resubmit_limit, 0, outputs);
        collect(result.lines.size());
        continue;
      }
      if (n != 0)
        result.lines.push_back(
            answers.resume(at.pass.key, at.tracked, "as connection tracking says"));
      const std::size_t begin = result.lines.size();
      Decision d = pass_tables(real.view(), own, at.pass.key, trace_options.text, result.lines);
      for (auto& meter : d.meters) {
        auto& copy = meters[meter->meter.id];
        if (copy == nullptr) copy = std::make_shared<InstalledMeter>(*meter);
        meter = copy;
      }
      std::vector<Pass> later;
      const bool again = dry.execute_steps(at.pass, d, d.steps, outputs, later);
      collect(begin);
      for (const Pass& p : later) waiting.push_back({p, tracks(d)});
      if (again) waiting.push_back({at.pass, tracks(d)});
    }
  }

  /// A packet that comes in at the uplink: what is inside of it, if it is for the tables.
  bool arrive(Pass& pass) {
    const Arrival arrival = dry.arrive(pass, outputs);
    switch (arrival.kind) {
      case Arrival::Kind::look_up: {
        const IpAddress from =
            pass.key.w[place::tun_src] == 0 && !real.vtep.address.is6
                ? IpAddress(Ip4{static_cast<std::uint32_t>(pass.key.w[place::tun_src + 1])})
                : IpAddress(pass.key.get128(place::tun_src));
        note(fmt::format("decapsulate {}: tun_id={:#x}, from {}",
                         name_of(dry.port(pass.in_port)->tunnel), pass.key.get(place::tun_id),
                         from.text()));
        return true;
      }
      case Arrival::Kind::gone:
        note("a part of a packet, or the tunnel's own business: held or consumed");
        break;
      case Arrival::Kind::malformed:
        note(fmt::format("drop: {}", name_of(DropReason::malformed)));
        dry.drop(pass.packet, DropReason::malformed, 0, outputs);
        break;
      case Arrival::Kind::drop:
        note(fmt::format("drop: {}", name_of(arrival.reason)));
        dry.drop(pass.packet, arrival.reason, 0, outputs);
        break;
      case Arrival::Kind::local:
        note("no tunnel of this endpoint: out to the host's own stack");
        if (dry.local == 0)
          dry.drop(pass.packet, DropReason::no_port, 0, outputs);
        else
          dry.output(pass.packet, dry.local, outputs);
        break;
    }
    return false;
  }

  void run(const Packet& packet, const PortConfig& port, Time now) {
    Pass pass;
    pass.packet = real.world.pool->clone(packet, packet.id);
    pass.in_port = port.number.value;
    pass.now = now;
    switch (port.kind) {
      case PortKind::local:
        note("from the host's own stack: out to the uplink");
        dry.output(pass.packet, dry.uplink, outputs);
        break;
      case PortKind::tunnel:
        note("nothing arrives at a tunnel port by itself");
        dry.drop(pass.packet, DropReason::no_port, 0, outputs);
        break;
      case PortKind::uplink:
        if (arrive(pass)) return go(pass);
        break;
      case PortKind::vm:
        pass.packet->tenant = port.tenant;
        dry.parse(pass);
        if (pass.parsed.ok()) return go(pass);
        note(fmt::format("drop: {} ({})", name_of(DropReason::malformed),
                         to_string(pass.parsed.error)));
        dry.drop(pass.packet, DropReason::malformed, 0, outputs);
        break;
    }
    collect(result.lines.size());
    // Parts of packets that it would have kept.
    std::vector<GivenUp> kept;
    dry.receiver.clear(kept);
    for (const GivenUp& g : kept) end(TraceEnd::Kind::consumed, g.packet);
  }
};

TraceResult Pipeline::trace_packet(const Packet& packet, PortNo in_port, Time now,
                                   const TraceOptions& options) const {
  TraceResult result;
  const PortConfig* port = impl_->port(in_port.value);
  if (port == nullptr || impl_->world.pool == nullptr) {
    result.lines.push_back({0, fmt::format("port {} does not exist", in_port.value)});
    if (PacketPool* pool = impl_->world.pool; pool != nullptr) {
      TraceEnd& e = result.ends.emplace_back();
      e.kind = TraceEnd::Kind::dropped;
      e.reason = DropReason::no_port;
      e.packet = HeldPacket(pool->clone(packet, packet.id), GiveBack{pool});
    }
    return result;
  }
  Impl::DryRun(*impl_, options, result).run(packet, *port, now);
  return result;
}

std::vector<TraceLine> Pipeline::trace(const Packet& packet, PortNo in_port, Time now,
                                       const TraceOptions& options) const {
  return std::move(trace_packet(packet, in_port, now, options).lines);
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
