#include "analysis/trace/tracer.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <set>

#include "analysis/trace/packet_fields.h"
#include "base/names.h"
#include "datapath/compose.h"
#include "datapath/match.h"
#include "datapath/tunnel/tunnel.h"
#include "datapath/wire/wire.h"
#include "models/hypervisor.h"

namespace weft::analysis {

using datapath::FlowKey;
using datapath::HeldPacket;
using datapath::TraceEnd;
using datapath::TraceLine;
using datapath::TraceResult;
namespace place = datapath::place;

namespace {

constexpr std::size_t kMostFrames = 4096;  ///< of one question: copies, answers, tunnels

using RulePointer = std::shared_ptr<const datapath::InstalledRule>;

enum class AnswerKind : std::uint8_t { reply, refusal, other };

/// What a frame that the switch made in answer says.
AnswerKind kind_of_answer(const FlowKey& key) {
  const std::uint64_t proto = key.get(place::nw_proto), type = key.get(place::tp_src);
  if (key.is_ip4() || key.is_ip6()) {
    if (proto == wire::kProtoTcp)
      return (key.get(place::tcp_flags) & 4) != 0 ? AnswerKind::refusal : AnswerKind::reply;
    if (key.is_ip4() && proto == wire::kProtoIcmp) {
      if (type == wire::kIcmpUnreachable)
        return key.get(place::tp_dst) == wire::kIcmpFragmentationNeeded ? AnswerKind::other
                                                                        : AnswerKind::refusal;
      return type == wire::kIcmpTimeExceeded || type == wire::kIcmpParameterProblem
                 ? AnswerKind::other
                 : AnswerKind::reply;
    }
    if (key.is_ip6() && proto == wire::kProtoIcmpv6) {
      if (type == wire::kIcmpv6Unreachable) return AnswerKind::refusal;
      return type < 128 ? AnswerKind::other : AnswerKind::reply;
    }
  }
  return AnswerKind::reply;
}

/// "ARP reply: 10.0.1.1 is at 02:..": what a reply is called.
std::string name_of_reply(const FlowKey& key) {
  const std::uint64_t proto = key.get(place::nw_proto), type = key.get(place::tp_src);
  if (key.is_arp()) return "an ARP reply";
  if (key.is_ip6() && proto == wire::kProtoIcmpv6 && type == wire::kNdNeighbourAdvertisement)
    return "a neighbour advertisement";
  if (key.is_ip4() && proto == wire::kProtoIcmp && type == wire::kIcmpEchoReply)
    return "an echo reply";
  if (key.is_ip6() && proto == wire::kProtoIcmpv6 && type == wire::kIcmpv6EchoReply)
    return "an echo reply";
  if (key.is_ip4() && proto == wire::kProtoUdp && key.get(place::tp_src) == 67)
    return "a DHCP reply";
  if (proto == wire::kProtoTcp) return "a TCP reset";
  if (proto == wire::kProtoIcmp || proto == wire::kProtoIcmpv6) return "an ICMP error";
  return "an answer";
}

/// A rule, as ovs-ofctl writes its priority and match; "" for none.
std::string text_of(const RulePointer& rule) {
  return rule == nullptr ? std::string() : datapath::format_priority_and_match(rule->rule);
}

std::string tunnel_text(const TraceHop& hop) {
  std::string out = fmt::format("{} to {}, vni {}", hop.name, hop.dst.text(), hop.vni);
  if (hop.dst_port != 0) out += fmt::format(", udp {} -> {}", hop.src_port, hop.dst_port);
  return out;
}

/// "recirc(0x1) - resume conntrack with ct_state=new|trk, as ...": what is between = and ,.
std::string state_in(const std::string& line) {
  const auto from = line.find("ct_state=");
  if (from == std::string::npos) return {};
  return line.substr(from, line.find(',', from) - from);
}

}  // namespace

/// One question.
class Tracer::Run {
 public:
  Run(Tracer& tracer, const control::Port& port, Switches::Seat seat, bool text)
      : t_(tracer), port_(port), seat_(seat), text_(text) {
    answer_.from = port.name;
  }

  TraceAnswer run(const GuestPacket& packet) {
    answer_.sent = packet.key;
    if (text_) answer_.parts.push_back({port_.name + " sends", {"  " + packet_text(packet.key)}});
    std::optional<DropReason> unsent = packet.unsent;
    answer_.note = packet.why;
    if (const auto refused = t_.switches_->refusal_at(seat_); refused && !unsent) {
      unsent = refused;
      answer_.note = port_.name + " sends nothing now";
    }
    if (unsent) {
      answer_.packet = packet.key;
      answer_.stage = "guest";
      answer_.reason = name_of(*unsent);
      if (text_) answer_.parts.back().lines.push_back("  not sent: " + answer_.note);
      return std::move(answer_);
    }
    PacketPool& pool = t_.switches_->pool();
    HeldPacket frame(pool.take(), datapath::GiveBack{&pool});
    const auto known =
        t_.switches_->conversation(seat_, packet.key).value_or(Switches::Conversation{});
    datapath::compose_frame(*frame, packet.key,
                            {.echo_id = known.echo_id,
                             .sequence = known.sequence,
                             .acknowledgement = known.acknowledgement,
                             .payload = packet.payload});
    waiting_.push_back({seat_, std::move(frame), false, {}, "from " + port_.name});
    for (std::size_t n = 0; n < kMostFrames && !waiting_.empty(); ++n) {
      Frame next = std::move(waiting_.front());
      waiting_.pop_front();
      pass(next);
    }
    conclude();
    return std::move(answer_);
  }

 private:
  struct Frame {
    Switches::Seat seat;
    HeldPacket packet;
    bool is_answer = false;
    RulePointer written;  ///< the rule of somebody's row that it passed last
    std::string comes;    ///< "from shop/web-1", "out of the tunnel"
  };
  struct Given {
    std::string port;
    FlowKey key;
    RulePointer decided;
  };
  struct Lost {
    FlowKey key;
    DropReason reason;
    RulePointer rule;   ///< that dropped it
    std::string stage;  ///< or where it was lost
    std::string intent;
  };

  std::string hypervisor_name(std::size_t h) const { return t_.view_->hypervisors[h].name; }

  void pass(const Frame& frame) {
    const TraceResult result =
        t_.switches_->trace(frame.seat, *frame.packet, {.ct_next = {}, .text = text_});
    answer_.hops.push_back(
        {.kind = TraceHop::Kind::hypervisor, .name = hypervisor_name(frame.seat.hypervisor)});
    if (text_) tell(frame, result);
    RulePointer written = frame.written;
    for (const TraceLine& l : result.lines)
      if (l.rule != nullptr && t_.meaning_.is_written(l.cookie)) written = l.rule;
    for (const TraceEnd& end : result.ends) take(frame, result, end, written);
    if (flood_ == nullptr) flood_ = fan_out(result);
  }

  /// The rule that made copies: the last one before a table that is not the last thing done.
  static RulePointer fan_out(const TraceResult& result) {
    RulePointer before;
    int depth = 0;
    for (const TraceLine& l : result.lines) {
      if (l.kind != TraceLine::Kind::table) continue;
      if (l.depth > depth) return before;
      depth = l.depth;
      before = l.rule;
    }
    return nullptr;
  }

  void take(const Frame& frame, const TraceResult& result, const TraceEnd& end,
            const RulePointer& written) {
    const bool has_line = end.line != TraceEnd::kNoLine;
    const RulePointer rule = has_line ? result.lines[end.line].rule : nullptr;
    switch (end.kind) {
      case TraceEnd::Kind::dropped: {
        Lost lost{key_of(*end.packet), end.reason, rule, {}, {}};
        lost.stage = has_line ? t_.meaning_.stage(result.lines[end.line].table)
                              : hypervisor_name(frame.seat.hypervisor);
        lost.intent =
            rule != nullptr ? t_.meaning_.intent(rule->rule) : t_.meaning_.intent_of(end.cookie);
        if (lost.intent.empty() && has_line)
          lost.intent = t_.meaning_.around(result.lines, end.line);
        say(fmt::format("dropped: {}", name_of(end.reason)));
        if (!frame.is_answer) lost_.push_back(std::move(lost));
        return;
      }
      case TraceEnd::Kind::consumed:
        if (!frame.is_answer) consumed_by_ = rule;
        return;
      case TraceEnd::Kind::controller:
        say("given to the controller");
        return;
      case TraceEnd::Kind::out:
        break;
    }
    if (end.how == datapath::Output::Kind::mirrored) {
      say(fmt::format("a mirror's copy goes to port {}", end.port.value));
      return;
    }
    const bool is_answer = frame.is_answer || end.how == datapath::Output::Kind::answer;
    const Switches::Seat to{frame.seat.hypervisor, end.port};
    if (end.port == models::kUplinkPort)
      return leave(to, *end.packet, is_answer, is_answer ? nullptr : written);
    const std::string name = t_.switches_->port_at(to);
    if (name.empty()) {
      say("to the hypervisor's own stack");
      return;
    }
    if (is_answer) {
      say(fmt::format("{} goes to {}", name_of_reply(key_of(*end.packet)), name));
      if (!answer_key_ && name == port_.name) answer_key_ = key_of(*end.packet);
      return;
    }
    if (const auto refused = t_.switches_->refusal_at(to)) {
      say(fmt::format("{} takes nothing now: {}", name, name_of(*refused)));
      lost_.push_back({key_of(*end.packet), *refused, nullptr, "guest", "port " + name});
      return;
    }
    say(fmt::format("to {}", name));
    given_.push_back({name, key_of(*end.packet), written ? written : rule});
  }

  /// Out of the uplink: as a tunnel's frame, or as it is.
  void leave(const Switches::Seat& from, const Packet& out, bool is_answer,
             const RulePointer& written) {
    PacketPool& pool = t_.switches_->pool();
    HeldPacket frame(pool.clone(out, out.id), datapath::GiveBack{&pool});
    const TraceHop tunnel = tunnel_of(out);
    if (!tunnel.name.empty()) {
      say(tunnel_text(tunnel));
      answer_.hops.push_back(tunnel);
    }
    std::optional<std::size_t> arrives;
    const auto& host = t_.view_->hypervisors[from.hypervisor];
    if (t_.underlay_ && host.node) {
      const UnderlayWalk walk = t_.underlay_->follow(*host.node, *frame);
      tell(walk);
      if (!walk.arrived) {
        if (!is_answer) lost_.push_back({inner_key(out), walk.reason, nullptr, walk.where, {}});
        return;
      }
      const auto at = t_.by_node_.find(walk.node);
      if (at == t_.by_node_.end()) {
        const std::string name = t_.view_->underlay->topology->nodes[walk.node].name;
        if (!is_answer) given_.push_back({name, key_of(*frame), written});
        return;
      }
      arrives = at->second;
    } else if (const auto at = t_.by_address_.find(tunnel.dst);
               !tunnel.name.empty() && at != t_.by_address_.end()) {
      arrives = at->second;
    }
    if (!arrives) {
      if (!is_answer)
        lost_.push_back({inner_key(out), DropReason::no_route, nullptr, "underlay", {}});
      return;
    }
    waiting_.push_back({{*arrives, models::kUplinkPort},
                        std::move(frame),
                        is_answer,
                        written,
                        tunnel.name.empty() ? "from the uplink" : "out of the tunnel"});
  }

  TraceHop tunnel_of(const Packet& frame) const {
    TraceHop hop{.kind = TraceHop::Kind::tunnel, .name = {}};
    const auto opened = open(frame);
    if (!opened.second.ok()) return hop;
    const datapath::TunnelInfo& info = opened.second.info;
    hop.name = name_of(info.kind);
    hop.vni = info.kind == datapath::TunnelKind::stt ? info.vni >> 32 : info.vni;
    hop.src = info.src;
    hop.dst = info.dst;
    const FlowKey outer = key_of(frame);
    if (outer.get(place::nw_proto) == wire::kProtoUdp) {
      hop.src_port = static_cast<std::uint16_t>(outer.get(place::tp_src));
      hop.dst_port = static_cast<std::uint16_t>(outer.get(place::tp_dst));
    }
    return hop;
  }
  /// The headers inside of a tunnel's frame; of another frame its own.
  FlowKey inner_key(const Packet& frame) const { return key_of(*open(frame).first); }
  std::pair<HeldPacket, datapath::Decap> open(const Packet& frame) const {
    PacketPool& pool = t_.switches_->pool();
    HeldPacket copy(pool.clone(frame, frame.id), datapath::GiveBack{&pool});
    datapath::DecapOptions options;
    if (t_.view_->tunnel == datapath::TunnelKind::gre) options.gre = datapath::GreReading::gre;
    if (t_.view_->tunnel == datapath::TunnelKind::nvgre) options.gre = datapath::GreReading::nvgre;
    const auto parsed = datapath::parse_materialising(*copy);
    auto decap = datapath::decap(*copy, parsed, options);
    return {std::move(copy), decap};
  }

  // --- telling ---

  void say(std::string line) {
    if (text_) answer_.parts.back().lines.push_back("  -> " + std::move(line));
  }

  void tell(const Frame& frame, const TraceResult& result) {
    TracePart part;
    part.title = fmt::format("{}, {}", hypervisor_name(frame.seat.hypervisor), frame.comes);
    std::string in;
    for (std::size_t i = 0; i < result.lines.size(); ++i) {
      const TraceLine& l = result.lines[i];
      switch (l.kind) {
        case TraceLine::Kind::table: {
          if (std::string now = t_.meaning_.around(result.lines, i); !now.empty() && now != in) {
            in = std::move(now);
            part.lines.push_back("  in " + in);
          }
          const std::string rule =
              l.rule != nullptr ? text_of(l.rule) : std::string("no rule matches");
          part.lines.push_back(fmt::format("  {:<17} {}", t_.meaning_.stage(l.table), rule));
          if (l.rule == nullptr) break;
          if (const std::string why = t_.meaning_.intent(l.rule->rule); !why.empty())
            part.lines.push_back(fmt::format("  {:<17} of {}", "", why));
          break;
        }
        case TraceLine::Kind::action:
          // Where it goes on is the next line.
          if (!l.text.starts_with("resubmit(") && !l.text.starts_with("goto_table"))
            part.lines.push_back(fmt::format("  {:<17}   {}", "", l.text));
          break;
        case TraceLine::Kind::recirculation:
          if (const std::string state = state_in(l.text); !state.empty())
            part.lines.push_back(fmt::format("  {:<17} = {}", "", state));
          break;
        case TraceLine::Kind::note:
          if (!l.text.starts_with(" -> goes on in table"))
            part.lines.push_back(fmt::format("  {}", l.text));
          break;
        default:
          break;
      }
    }
    answer_.parts.push_back(std::move(part));
  }

  void tell(const UnderlayWalk& walk) {
    TracePart part{"underlay", {}};
    for (const UnderlayHop& hop : walk.hops) {
      TraceHop out{.kind = hop.is_link ? TraceHop::Kind::link : TraceHop::Kind::node,
                   .name = hop.name,
                   .equal = hop.equal};
      const bool machine = !hop.is_link && t_.view_->underlay->topology->nodes[hop.index].role ==
                                               models::NodeRole::host;
      if (machine && t_.by_node_.contains(hop.index)) continue;  // it tells of itself
      if (machine) out.kind = TraceHop::Kind::host;
      answer_.hops.push_back(out);
      part.lines.push_back(
          hop.is_link     ? fmt::format("  link {}", hop.name)
          : hop.equal > 1 ? fmt::format("  {} (one of {} equal paths, by the outer headers' hash)",
                                        hop.name, hop.equal)
                          : fmt::format("  {}", hop.name));
    }
    if (!walk.arrived)
      part.lines.push_back(fmt::format("  -> dropped at {}: {}", walk.where, name_of(walk.reason)));
    if (text_) answer_.parts.push_back(std::move(part));
  }

  // --- the verdict ---

  void decide_by(const RulePointer& rule) {
    if (rule == nullptr) return;
    answer_.stage = t_.meaning_.stage(rule->rule.table);
    answer_.rule = text_of(rule);
    answer_.intent = t_.meaning_.intent(rule->rule);
  }

  /// A rule refused it. The answer goes back through the network like any packet, and whether it
  /// arrives depends on a connection that a trace does not open: the refusal is the verdict.
  bool conclude_refusal() {
    const auto refuses = [](const Lost& l) {
      return l.rule != nullptr && !l.rule->rule.actions.empty() &&
             std::any_of(l.rule->rule.actions.begin(), l.rule->rule.actions.end(),
                         [](const auto& a) { return a.kind == datapath::ActionKind::reject; });
    };
    const auto it = std::find_if(lost_.begin(), lost_.end(), refuses);
    if (it == lost_.end()) return false;
    answer_.verdict = TraceVerdict::rejected;
    answer_.packet = it->key;
    for (const Lost& l : lost_)
      if (&l != &*it && kind_of_answer(l.key) == AnswerKind::refusal) answer_.packet = l.key;
    for (const Given& g : given_)
      if (kind_of_answer(g.key) == AnswerKind::refusal) answer_.packet = g.key;
    if (answer_key_) answer_.packet = *answer_key_;
    if (kind_of_answer(answer_.packet) == AnswerKind::refusal)
      answer_.note = name_of_reply(answer_.packet) + " comes back";
    answer_.stage = it->stage;
    answer_.rule = text_of(it->rule);
    answer_.intent = it->intent;
    answer_.reason = name_of(it->reason);
    return true;
  }

  void conclude() {
    if (conclude_refusal()) return;
    if (!given_.empty()) {
      const Given& first = given_.front();
      const bool group = (first.key.get(place::eth_dst) >> 40 & 1) != 0;
      answer_.verdict =
          group || given_.size() > 1 ? TraceVerdict::flooded : TraceVerdict::delivered;
      std::set<std::string> names;
      for (const Given& g : given_) names.insert(g.port);
      answer_.ports.assign(names.begin(), names.end());
      answer_.packet = first.key;
      const bool written =
          first.decided != nullptr && t_.meaning_.is_written(first.decided->rule.cookie);
      const bool flooded =
          answer_.verdict == TraceVerdict::flooded && flood_ != nullptr && !written;
      return decide_by(flooded ? flood_ : first.decided);
    }
    const Lost* lost = lost_.empty() ? nullptr : &lost_.back();
    if (lost != nullptr) {
      answer_.packet = lost->key;
      answer_.stage = lost->stage;
      answer_.rule = text_of(lost->rule);
      answer_.intent = lost->intent;
      answer_.reason = name_of(lost->reason);
    }
    if (!answer_key_) {
      answer_.verdict = TraceVerdict::dropped;
      if (lost == nullptr) {
        answer_.packet = answer_.sent;
        answer_.note = "nothing is sent on, and nothing answered";
      }
      return;
    }
    answer_.packet = *answer_key_;
    answer_.note = name_of_reply(*answer_key_) + " comes back";
    switch (kind_of_answer(*answer_key_)) {
      case AnswerKind::reply:
        answer_.verdict = TraceVerdict::replied;
        answer_.reason.clear();
        decide_by(consumed_by_);
        return;
      case AnswerKind::refusal:
        answer_.verdict = TraceVerdict::rejected;
        return;
      case AnswerKind::other:
        answer_.verdict = TraceVerdict::dropped;
        if (lost != nullptr) answer_.packet = lost->key;
        return;
    }
  }

  Tracer& t_;
  const control::Port& port_;
  const Switches::Seat seat_;
  const bool text_;
  TraceAnswer answer_;
  std::deque<Frame> waiting_;
  std::vector<Given> given_;
  std::vector<Lost> lost_;
  std::optional<FlowKey> answer_key_;
  RulePointer consumed_by_;
  RulePointer flood_;
};

std::string_view name_of(TraceVerdict verdict) {
  switch (verdict) {
    case TraceVerdict::delivered:
      return "delivered";
    case TraceVerdict::flooded:
      return "flooded";
    case TraceVerdict::replied:
      return "replied";
    case TraceVerdict::rejected:
      return "rejected";
    case TraceVerdict::dropped:
      return "dropped";
  }
  return "";
}

Tracer::Tracer(std::shared_ptr<const NetworkView> view, std::unique_ptr<Switches> switches)
    : view_(std::move(view)),
      switches_(std::move(switches)),
      book_(*view_),
      meaning_(*view_, book_) {
  if (view_->underlay) underlay_.emplace(*view_->underlay);
  for (std::size_t h = 0; h < view_->hypervisors.size(); ++h) {
    by_address_.emplace(view_->hypervisors[h].vtep.address, h);
    if (view_->hypervisors[h].node) by_node_.emplace(*view_->hypervisors[h].node, h);
  }
}
Tracer::~Tracer() = default;

Result<TraceAnswer> Tracer::ask(const std::string& from, std::string_view packet, bool text) {
  const auto& ports = view_->intent.ports();
  const auto port = ports.find(from);
  if (port == ports.end()) {
    std::vector<std::string> names;
    for (const auto& [name, row] : ports) names.push_back(name);
    const std::string near = nearest_name(from, names);
    return Error{fmt::format("there is no port '{}'", from),
                 {},
                 near.empty() ? "ports are named TENANT/NAME, as `weft ls` prints them"
                              : fmt::format("did you mean {}?", near)};
  }
  const auto seat = switches_->seat_of(from);
  if (!seat)
    return Error{fmt::format("no hypervisor carries {}", from),
                 {},
                 "only a port that is somewhere can send"};
  const AskNeighbour ask = [&](const IpAddress& address) -> std::optional<Mac> {
    PacketPool& pool = switches_->pool();
    HeldPacket question(pool.take(), datapath::GiveBack{&pool});
    datapath::compose_frame(*question, neighbour_question(port->second, address));
    const TraceResult result = switches_->trace(*seat, *question, {.ct_next = {}, .text = false});
    for (const TraceEnd& end : result.ends) {
      if (end.kind != TraceEnd::Kind::out || end.how != datapath::Output::Kind::answer ||
          end.port != seat->port)
        continue;
      const FlowKey key = key_of(*end.packet);
      return Mac::from_u64(key.get(key.is_arp() ? place::hw_src : place::hw_dst));
    }
    return std::nullopt;
  };
  const auto filled = guest_packet(*view_, book_, port->second, packet, ask);
  if (!filled) return filled.error();
  return Run(*this, port->second, *seat, text).run(*filled);
}

}  // namespace weft::analysis
