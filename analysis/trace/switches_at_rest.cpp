// Switches of a network at rest. Of a small network a controller is told the desired state and
// hears from every hypervisor which ports it has, as it would in life; then it is asked for each
// switch's rules. Of a large one switches get the rules that packets need (needed_rules.h).
#include <algorithm>
#include <map>
#include <vector>

#include "analysis/trace/needed_rules.h"
#include "analysis/trace/packet_fields.h"
#include "analysis/trace/switches.h"
#include "control/controller.h"
#include "datapath/statement.h"
#include "models/hypervisor.h"

namespace weft::analysis {
namespace {

using datapath::Pipeline;
using datapath::PortKind;

/// Agents are here to report; nobody installs what they are told.
class NoRules final : public control::RuleSink {
 public:
  void add_rule(const std::string&) override {}
  void delete_rule(const std::string&) override {}
  std::vector<std::string> installed_rules() const override { return {}; }
};

/// Nothing is lost on the way: everything is said in one message, and nothing twice.
control::Timing one_breath() {
  control::Timing t;
  t.message_limit = 65535;
  t.window = 1u << 20;
  t.batch = {};
  return t;
}

datapath::CacheOptions no_caches() {
  datapath::CacheOptions o;
  o.exact_match = o.megaflow = false;
  o.exact_match_entries = 2;
  return o;
}

/// Up to so many ports every switch has all its rules.
constexpr std::size_t kSmall = 256;
/// Rules of all switches together before they begin anew: a gigabyte or two.
constexpr std::size_t kMostRules = 2'000'000;

class SwitchesAtRest final : public Switches {
 public:
  SwitchesAtRest(const NetworkView& view, RestRules which) : view_(view), pool_(arena_) {
    switches_.resize(view.hypervisors.size());
    for (std::size_t h = 0; h < view.hypervisors.size(); ++h) {
      const auto& ports = view.hypervisors[h].ports;
      for (std::size_t i = 0; i < ports.size(); ++i)
        seats_.try_emplace(ports[i], Seat{h, datapath::PortNo{static_cast<std::uint32_t>(i + 1)}});
    }
    if (!view.rules.empty()) return;
    const bool large = view.intent.ports().size() > kSmall && NeededRules::is_for(view.intent);
    if (which == RestRules::all || (which == RestRules::automatic && !large)) {
      converge();
      return;
    }
    needed_.emplace(view);
    for (const auto& [name, port] : view.intent.ports()) {
      by_mac_[port.mac.to_u64()].push_back(name);
      for (const IpAddress& a : port.addresses) by_address_[a].push_back(name);
    }
  }

  std::optional<Seat> seat_of(const std::string& port) const override {
    const auto found = seats_.find(port);
    if (found == seats_.end()) return std::nullopt;
    return found->second;
  }
  std::string port_at(const Seat& seat) const override {
    const auto& ports = view_.hypervisors[seat.hypervisor].ports;
    const std::uint32_t n = seat.port.value;
    return n >= 1 && n <= ports.size() ? ports[n - 1] : std::string();
  }
  std::optional<DropReason> refusal_at(const Seat&) const override { return std::nullopt; }
  datapath::TraceResult trace(const Seat& seat, const Packet& packet,
                              const datapath::TraceOptions& options) override {
    if (!needed_) return pipeline(seat.hypervisor).trace_packet(packet, seat.port, Time{}, options);
    return trace_as_needed(seat, packet, options);
  }
  PacketPool& pool() override { return pool_; }

 private:
  void converge() {
    control::ControllerOptions options;
    options.timing = one_breath();
    for (const HypervisorView& h : view_.hypervisors) options.hypervisors.push_back(h.name);
    auto controller = control::Controller::restored(options, view_.intent.save());
    WEFT_CHECK(controller.ok(), "a desired state does not load: {}",
               controller.ok() ? "" : controller.error().text());
    controller_.emplace(std::move(controller).value());
    controller_->start(Time{});
    NoRules sink;
    std::map<std::string, control::Agent> agents;
    for (const HypervisorView& h : view_.hypervisors) {
      control::AgentOptions o;
      o.hypervisor = h.name;
      o.vtep = h.vtep.address;
      o.tunnel_port = models::kTunnelPort.value;
      o.tunnel = view_.tunnel_type;
      o.timing = one_breath();
      control::Agent& agent = agents.try_emplace(h.name, o, sink).first->second;
      agent.start(Time{});
      for (std::uint32_t i = 0; i < h.ports.size(); ++i)
        agent.port_up({.name = h.ports[i], .of_port = i + 1}, Time{});
    }
    // Until the controller has heard of every port; what it would answer then is asked of it
    // directly.
    for (int round = 0; round < 8 && !located(); ++round) {
      for (const auto& out : controller_->take_outgoing())
        if (const auto to = agents.find(out.hypervisor); to != agents.end())
          to->second.on_message(out.bytes, Time{});
      for (auto& [name, agent] : agents)
        for (const auto& out : agent.take_outgoing())
          controller_->on_message(name, out.bytes, Time{});
    }
    WEFT_CHECK(located(), "the controller has not heard of every port");
  }
  bool located() const {
    for (const HypervisorView& h : view_.hypervisors)
      for (const std::string& port : h.ports)
        if (view_.intent.ports().contains(port) && controller_->location_of(port) != h.name)
          return false;
    return true;
  }

  // --- rules as they are needed ---

  /// Ports that have one of the packet's addresses or MACs, of whatever tenant.
  void add_names(const datapath::FlowKey& key, std::vector<std::string>& out) const {
    const auto add = [&](const auto& table, const auto& what) {
      if (const auto found = table.find(what); found != table.end())
        out.insert(out.end(), found->second.begin(), found->second.end());
    };
    namespace place = datapath::place;
    add(by_mac_, key.get(place::eth_src));
    add(by_mac_, key.get(place::eth_dst));
    const bool is6 = key.is_ip6();
    for (const unsigned word : {place::ip_src, place::ip_dst})
      add(by_address_, is6 ? IpAddress(key.get128(word))
                           : IpAddress(Ip4{static_cast<std::uint32_t>(key.w[word + 1])}));
    if (is6) add(by_address_, IpAddress(key.get128(place::nd_target)));
  }
  void install(Pipeline& to, const std::vector<control::RuleChange>& changes) {
    for (const control::RuleChange& c : changes) {
      if (c.body)
        add(to, control::rule_text(c.key, *c.body));
      else if (auto gone = to.apply(control::removal_of(c.key.text())); !gone)
        WEFT_CHECK(false, "{}", gone.error().text());
    }
    rules_ += changes.size();
  }

  datapath::TraceResult trace_as_needed(const Seat& seat, const Packet& packet,
                                        const datapath::TraceOptions& options) {
    using datapath::TraceEnd;
    if (rules_ > kMostRules) {
      needed_->restart();
      switches_.clear();
      switches_.resize(view_.hypervisors.size());
      rules_ = 0;
    }
    const std::size_t h = seat.hypervisor;
    const std::string sender = port_at(seat);
    std::vector<std::string> names;
    if (!sender.empty()) names.push_back(sender);
    const datapath::FlowKey inner = inner_key(packet);
    add_names(inner, names);
    const bool group = (inner.get(datapath::place::eth_dst) >> 40 & 1) != 0;
    // From a tunnel it is for ports here only.
    if (group && sender.empty()) names = needed_->local_ports(h);
    bool all_named = false;
    for (int round = 0;; ++round) {
      Pipeline& at = pipeline(h);
      install(at, needed_->name(h, names));
      datapath::TraceResult result = at.trace_packet(packet, seat.port, Time{}, options);
      names.clear();
      bool answered = false;
      for (const TraceEnd& end : result.ends) {
        answered = answered || end.how == datapath::Output::Kind::answer;
        add_names(inner_key(*end.packet), names);
      }
      if (group && !answered && !all_named && !sender.empty()) {
        all_named = true;
        const auto all = needed_->ports_of(view_.intent.ports().at(sender).network);
        names.insert(names.end(), all.begin(), all.end());
      }
      if (round == 8 || !needed_->lacks(h, names)) return result;
    }
  }
  datapath::FlowKey inner_key(const Packet& packet) {
    const datapath::HeldPacket copy(pool_.clone(packet, packet.id), datapath::GiveBack{&pool_});
    datapath::DecapOptions reading;
    if (view_.tunnel == datapath::TunnelKind::gre) reading.gre = datapath::GreReading::gre;
    if (view_.tunnel == datapath::TunnelKind::nvgre) reading.gre = datapath::GreReading::nvgre;
    const auto parsed = datapath::parse_materialising(*copy);
    (void)datapath::decap(*copy, parsed, reading);
    return key_of(*copy);
  }

  static void add(Pipeline& to, const std::string& rule) {
    const auto statement = datapath::parse_statement(rule);
    WEFT_CHECK(statement.ok(), "'{}': {}", rule, statement.ok() ? "" : statement.error().text());
    const auto added = to.apply(*statement);
    WEFT_CHECK(added.ok(), "a rule that the switch refuses: '{}': {}", rule,
               added.ok() ? "" : added.error().text());
  }

  Pipeline& pipeline(std::size_t h) {
    if (switches_[h]) return *switches_[h];
    const HypervisorView& host = view_.hypervisors[h];
    auto made = std::make_unique<Pipeline>(host.vtep, no_caches(), host.hash_seed);
    made->set_world({[this] { return ++ids_; }, &pool_});
    made->add_port({.number = models::kUplinkPort, .name = "uplink", .kind = PortKind::uplink});
    made->add_port({.number = models::kLocalPort, .name = "local", .kind = PortKind::local});
    made->add_port({.number = models::kTunnelPort,
                    .name = "tunnel",
                    .kind = PortKind::tunnel,
                    .tunnel = view_.tunnel});
    for (std::uint32_t i = 0; i < host.ports.size(); ++i)
      made->add_port({.number = datapath::PortNo{i + 1}, .name = host.ports[i]});
    if (needed_)
      install(*made, needed_->begin(h));
    else
      for (const std::string& rule : controller_ ? controller_->rules_of(host.name) : view_.rules)
        add(*made, rule);
    switches_[h] = std::move(made);
    return *switches_[h];
  }

  const NetworkView& view_;
  PacketArena arena_;
  PacketPool pool_;
  PacketId ids_ = 0;
  std::map<std::string, Seat> seats_;
  std::optional<control::Controller> controller_;
  std::optional<NeededRules> needed_;
  std::map<std::uint64_t, std::vector<std::string>> by_mac_;
  std::map<IpAddress, std::vector<std::string>> by_address_;
  std::size_t rules_ = 0;
  std::vector<std::unique_ptr<Pipeline>> switches_;
};

}  // namespace

std::unique_ptr<Switches> switches_at_rest(const NetworkView& view, RestRules which) {
  return std::make_unique<SwitchesAtRest>(view, which);
}

}  // namespace weft::analysis
