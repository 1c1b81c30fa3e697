// Switches of a network at rest: a controller is told the desired state and hears from every
// hypervisor which ports it has, as it would in life; then it is asked for each switch's rules.
#include <map>
#include <vector>

#include "analysis/trace/switches.h"
#include "control/controller.h"
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

class SwitchesAtRest final : public Switches {
 public:
  explicit SwitchesAtRest(const NetworkView& view) : view_(view), pool_(arena_) {
    switches_.resize(view.hypervisors.size());
    for (std::size_t h = 0; h < view.hypervisors.size(); ++h) {
      const auto& ports = view.hypervisors[h].ports;
      for (std::size_t i = 0; i < ports.size(); ++i)
        seats_.try_emplace(ports[i], Seat{h, datapath::PortNo{static_cast<std::uint32_t>(i + 1)}});
    }
    if (view.rules.empty()) converge();
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
    return pipeline(seat.hypervisor).trace_packet(packet, seat.port, Time{}, options);
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

  const Pipeline& pipeline(std::size_t h) {
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
    for (const std::string& rule : controller_ ? controller_->rules_of(host.name) : view_.rules) {
      const auto added = made->add_flow(rule);
      WEFT_CHECK(added.ok(), "a rule that the switch refuses: '{}': {}", rule,
                 added.ok() ? "" : added.error().text());
    }
    switches_[h] = std::move(made);
    return *switches_[h];
  }

  const NetworkView& view_;
  PacketArena arena_;
  PacketPool pool_;
  PacketId ids_ = 0;
  std::map<std::string, Seat> seats_;
  std::optional<control::Controller> controller_;
  std::vector<std::unique_ptr<Pipeline>> switches_;
};

}  // namespace

std::unique_ptr<Switches> switches_at_rest(const NetworkView& view) {
  return std::make_unique<SwitchesAtRest>(view);
}

}  // namespace weft::analysis
