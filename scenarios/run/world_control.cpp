// From a specification to the control plane's intent, the control channels and the plan of events.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "models/controller_host.h"
#include "models/controller_node.h"
#include "models/director.h"
#include "models/hypervisor.h"
#include "scenarios/addressing.h"
#include "scenarios/run/world.h"

namespace weft::scenarios {

using control::Transaction;

std::uint64_t World::cookie_for(std::size_t tenant, const std::string& rule, const Place& place) {
  origins_.push_back({tenant, rule, place});
  return origins_.size();
}

const PolicyOrigin* World::origin_of(std::uint64_t cookie) const {
  return cookie >= 1 && cookie <= origins_.size() ? &origins_[cookie - 1] : nullptr;
}

control::Acl World::acl_of(std::size_t tenant, const PolicyRuleSpec& rule) {
  const auto& t = scenario_.tenants[tenant];
  auto peer = [&](const PeerSpec& p) {
    control::Peer out;
    switch (p.kind) {
      case PeerSpec::Kind::any:
        out.kind = control::Peer::Kind::any;
        break;
      case PeerSpec::Kind::group:
        out.kind = control::Peer::Kind::group;
        out.name = t.name + "/" + t.groups[p.index].name;
        break;
      case PeerSpec::Kind::vm:
        out.kind = control::Peer::Kind::port;
        out.name = t.vms[p.index].name;
        break;
      case PeerSpec::Kind::network:
        out.kind = control::Peer::Kind::network;
        out.name = network_name(tenant, p.index);
        break;
      case PeerSpec::Kind::prefix:
        out.kind = control::Peer::Kind::prefix;
        out.prefix = p.prefix;
        break;
    }
    return out;
  };
  control::Acl acl;
  acl.name = t.name + "/" + rule.name;
  acl.tenant = t.name;
  acl.cookie = cookie_for(tenant, "policy." + rule.name, rule.place);
  acl.action = rule.allow ? control::AclAction::allow : control::AclAction::drop;
  acl.priority = rule.priority;
  acl.from = peer(rule.from);
  acl.to = peer(rule.to);
  switch (rule.protocol) {
    case Protocol::any:
      acl.protocol = control::AclProtocol::any;
      break;
    case Protocol::icmp:
      acl.protocol = control::AclProtocol::icmp;
      break;
    case Protocol::tcp:
      acl.protocol = control::AclProtocol::tcp;
      break;
    case Protocol::udp:
      acl.protocol = control::AclProtocol::udp;
      break;
  }
  for (const auto& range : rule.ports) acl.ports.push_back({range.first, range.last});
  return acl;
}

World::Desired World::desired_by(const Scenario& scenario) {
  World world;
  world.scenario_ = scenario;
  world.build_intent();
  return {std::move(world.intent_), std::move(world.origins_)};
}

const control::Intent* World::intent() const {
  return controller_ != nullptr && controller_->is_running() ? &controller_->controller()->intent()
                                                             : nullptr;
}

void World::build_intent() {
  for (std::size_t i = 0; i < scenario_.tenants.size(); ++i) {
    const auto& t = scenario_.tenants[i];
    control::Tenant tenant;
    tenant.name = t.name;
    tenant.has_policy = t.policy.has_value();
    if (t.policy) {
      tenant.default_allow = t.policy->default_allow;
      tenant.default_cookie = cookie_for(i, "policy.default", t.policy->default_place);
    }
    intent_.insert(tenant);
    for (std::size_t n = 0; n < t.networks.size(); ++n)
      intent_.insert(control::Network{.name = network_name(i, n),
                                      .tenant = t.name,
                                      .vni = t.networks[n].vni,
                                      .subnets = t.networks[n].subnets,
                                      .mtu = t.networks[n].mtu});
    for (const auto& r : t.routers) {
      control::Router router{.name = t.name + "/" + r.name, .tenant = t.name, .ports = {}};
      for (const std::size_t n : r.networks) {
        control::RouterPort port{.network = network_name(i, n), .mac = r.mac, .addresses = {}};
        for (const auto& subnet : t.networks[n].subnets)
          port.addresses.push_back(router_address(subnet));
        router.ports.push_back(std::move(port));
      }
      intent_.insert(std::move(router));
    }
    for (const auto& vm : t.vms)
      intent_.insert(control::Port{.name = vm.name,
                                   .network = network_name(i, vm.network),
                                   .mac = vm.mac,
                                   .addresses = vm.addresses,
                                   .requested = scenario_.underlay.nodes[vm.host].name});
    for (const auto& g : t.groups) {
      control::Group group{.name = t.name + "/" + g.name, .tenant = t.name, .members = {}};
      for (const std::size_t v : g.vms) group.members.insert(t.vms[v].name);
      intent_.insert(std::move(group));
    }
    if (t.policy)
      for (const auto& rule : t.policy->rules) intent_.insert(acl_of(i, rule));
  }
}

// In band the controller is a node of the underlay, which build_nodes has made; out of band it is
// an LP of its own with a pair of channels to each hypervisor.
Result<> World::build_controller(control::ControllerOptions options) {
  const auto& control = scenario_.overlay.control;
  WEFT_CHECK(control.controllers == 1, "the loader lets no second controller through");
  if (control.in_band) {
    WEFT_CHECK(controller_host_ != nullptr, "a controller in band without its machine");
    controller_host_->install(std::move(options), intent_, actions_);
    controller_ = &controller_host_->process();
    controller_lp_ = sim::LpId{static_cast<std::uint32_t>(*control.attach)};
    const auto& address = scenario_.underlay.nodes[*control.attach].address;
    WEFT_CHECK(address.has_value(), "a controller in band without an address");
    for (auto* hypervisor : hypervisors_)
      if (hypervisor != nullptr) hypervisor->set_controller(*address);
    engine_->post(controller_lp_, Time{}, sim::EventClass::command, models::kStart, 0, 0);
    return {};
  }
  auto made = std::make_unique<models::ControllerNode>("controller-1", std::move(options), intent_,
                                                       actions_);
  auto& node = *made;
  controller_ = &node.process();
  controller_lp_ = engine_->add("controller-1", std::move(made), 4.0);
  engine_->post(controller_lp_, Time{}, sim::EventClass::command, models::kStart, 0, 0);
  for (std::size_t i = 0; i < hypervisors_.size(); ++i) {
    if (hypervisors_[i] == nullptr) continue;
    const auto& name = scenario_.underlay.nodes[i].name;
    for (const bool up : {true, false}) {
      const sim::LpId hv{static_cast<std::uint32_t>(i)};
      auto channel =
          engine_->connect(up ? hv : controller_lp_, up ? controller_lp_ : hv, control.latency);
      if (!channel.ok()) {
        Error e = channel.error();
        e.place = control.place;
        return e;
      }
      models::ControlLink link{
          .channel = *channel,
          .latency = control.latency,
          .bandwidth = control.bandwidth,
          .loss_ppb = control.loss.ppb,
          .loss = RandomStream(options_.seed, "control/" + name + (up ? "/up" : "/down"))};
      if (up) {
        hypervisors_[i]->set_control_link(std::move(link));
      } else {
        node.set_link(name, std::move(link));
      }
    }
  }
  return {};
}

Result<> World::build_control() {
  build_plan();
  const auto& control = scenario_.overlay.control;
  control::ControllerOptions options;
  options.faults = planted_in_control_;
  options.style =
      control.style == ControlStyle::central ? control::Style::central : control::Style::hybrid;
  for (std::size_t i = 0; i < hypervisors_.size(); ++i)
    if (hypervisors_[i] != nullptr) options.hypervisors.push_back(scenario_.underlay.nodes[i].name);

  if (!scenario_.overlay.rules.empty()) {
    // The rules are all there is: nobody to hear of a change.
    for (const auto& event : plan_->events)
      for (const auto& part : event.parts)
        if (part.target == kToController)
          return Error{"event '" + event.name + "' needs a control plane",
                       {},
                       "without `overlay.rules` there is one"};
  } else if (!options.hypervisors.empty() || control.in_band)
    if (auto done = build_controller(std::move(options)); !done.ok()) return done;

  // Commands: posted at load when their time is known, else left to the director.
  for (auto& event : plan_->events)
    for (auto& part : event.parts)
      if (part.target == kToController) part.target = controller_lp_;
  const bool any_after = std::any_of(plan_->events.begin(), plan_->events.end(),
                                     [](const auto& e) { return e.after.has_value(); });
  if (any_after) {
    auto director = std::make_unique<models::Director>(plan_);
    director_ = director.get();
    director_lp_ = engine_->add("director", std::move(director), 0.1);
    std::set<sim::LpId> reachable;
    for (const auto& event : plan_->events)
      if (event.after)
        for (const auto& part : event.parts) reachable.insert(part.target);
    for (const sim::LpId to : reachable) {
      auto channel = engine_->connect(director_lp_, to, models::kSignalDelay);
      if (!channel.ok()) return channel.error();
      director_->set_channel(to, *channel);
    }
    for (std::size_t i = 0; i < hypervisors_.size(); ++i) {
      if (hypervisors_[i] == nullptr) continue;
      auto channel = engine_->connect(sim::LpId{static_cast<std::uint32_t>(i)}, director_lp_,
                                      models::kSignalDelay);
      if (!channel.ok()) return channel.error();
      hypervisors_[i]->set_director(*channel);
    }
  }
  for (const auto& event : plan_->events) {
    if (!event.at) continue;
    for (const auto& part : event.parts)
      engine_->post(part.target, *event.at + part.delay, part.event_class, part.kind, part.aux,
                    part.data);
  }

  // Channels on which guests travel: between all places a VM may be and all it may go to.
  std::map<std::string, std::set<std::uint32_t>> places;
  for (const auto& t : scenario_.tenants)
    for (const auto& vm : t.vms) places[vm.name].insert(static_cast<std::uint32_t>(vm.host));
  for (const auto& event : plan_->events)
    if (event.move) places[event.move->vm].insert(event.move->to);
  std::set<std::pair<std::uint32_t, std::uint32_t>> pairs;
  for (const auto& event : plan_->events)
    if (event.move)
      for (const std::uint32_t from : places[event.move->vm])
        if (from != event.move->to) {
          pairs.insert({from, event.move->to});
          pairs.insert({event.move->to, from});
        }
  for (const auto& [from, to] : pairs) {
    auto channel = engine_->connect(sim::LpId{from}, sim::LpId{to}, models::kSignalDelay);
    if (!channel.ok()) return channel.error();
    hypervisors_[from]->set_handoff_channel(to, *channel);
    hypervisors_[from]->set_node_address(
        to, scenario_.underlay.nodes[to].address.value_or(IpAddress{}));
  }
  return {};
}

void World::build_plan() {
  using models::CommandPart;
  using sim::EventClass;
  const auto& u = scenario_.underlay;
  auto lp = [](std::size_t node) { return sim::LpId{static_cast<std::uint32_t>(node)}; };

  auto state_parts = [&](std::vector<CommandPart>& parts, const std::optional<std::size_t>& link,
                         const std::optional<std::size_t>& node, bool up, std::uint32_t by,
                         Duration delay) {
    const models::TopologyChange change{.index = static_cast<std::uint32_t>(link ? *link : *node),
                                        .is_link = link.has_value(),
                                        .up = up,
                                        .by = by};
    auto link_ends = [&](std::size_t l) {
      for (const std::size_t end : {u.links[l].a, u.links[l].b})
        parts.push_back({lp(end), EventClass::port_state, models::kPortState, port_index(end, l),
                         change.pack(), delay});
    };
    if (link) {
      link_ends(*link);
    } else {
      parts.push_back(
          {lp(*node), EventClass::port_state, models::kNodeState, 0, change.pack(), delay});
      for (std::size_t l = 0; l < u.links.size(); ++l)
        if (u.links[l].a == *node || u.links[l].b == *node) link_ends(l);
    }
    for (std::size_t r = 0; r < u.nodes.size(); ++r)
      if (u.nodes[r].kind == NodeKind::router)
        parts.push_back({lp(r), EventClass::port_state, models::kTopology, 0, change.pack(),
                         delay + u.convergence});
  };
  auto controller_part = [&](models::ControllerAction action, Duration delay) {
    actions_.push_back(std::move(action));
    return CommandPart{kToController, EventClass::command, models::kCommand, 0, actions_.size() - 1,
                       delay};
  };

  std::map<std::string, std::set<std::size_t>> candidates;
  for (const auto& t : scenario_.tenants)
    for (const auto& vm : t.vms) candidates[vm.name].insert(vm.host);
  for (const auto& e : scenario_.events)
    if (e.migrate) candidates[endpoint_name(e.migrate->vm)].insert(e.migrate->to);

  auto& events = plan_->events;
  for (std::size_t i = 0; i < scenario_.events.size(); ++i) {
    const auto& spec = scenario_.events[i];
    models::PlanEvent event;
    event.name = spec.name;
    event.at = spec.at;
    if (spec.after) {
      std::uint32_t phase = 0;
      bool known = false;
      for (std::uint32_t p = 0; p <= static_cast<std::uint32_t>(models::Phase::failed); ++p)
        if (models::phase_name(p) == spec.after->phase) {
          phase = p;
          known = true;
        }
      if (!known && spec.after->phase.starts_with("round-")) {
        phase = static_cast<std::uint32_t>(models::Phase::round) +
                static_cast<std::uint32_t>(std::stoul(spec.after->phase.substr(6)));
        known = true;
      }
      WEFT_CHECK(known, "event {} waits for the unknown phase '{}'", spec.name, spec.after->phase);
      event.after = models::PlanEvent::After{static_cast<std::uint32_t>(spec.after->event), phase,
                                             spec.after->delay};
    }
    if (spec.migrate) {
      const auto& m = *spec.migrate;
      const std::string vm = endpoint_name(m.vm);
      event.move = models::MovePlan{.vm = vm,
                                    .to = static_cast<std::uint32_t>(m.to),
                                    .bandwidth = m.bandwidth,
                                    .max_downtime = m.max_downtime,
                                    .max_rounds = m.max_rounds};
      for (const std::size_t host : candidates[vm])
        event.parts.push_back({lp(host), EventClass::command, models::kCommand, 0, i, {}});
      // The destination is asked for ahead of time, so that its rules are there when the VM is.
      models::ControllerAction action;
      action.kind = models::ControllerAction::Kind::request;
      action.port = vm;
      action.hypervisor = u.nodes[m.to].name;
      action.what = fmt::format("{} is requested on {}", vm, u.nodes[m.to].name);
      event.parts.push_back(controller_part(std::move(action), {}));
    } else if (spec.fail) {
      const auto by = static_cast<std::uint32_t>(i + 1);
      state_parts(event.parts, spec.fail->link, spec.fail->node, false, by, {});
      if (spec.fail->duration)
        state_parts(event.parts, spec.fail->link, spec.fail->node, true, by, *spec.fail->duration);
    } else if (spec.heal) {
      state_parts(event.parts, spec.heal->link, spec.heal->node, true, 0, {});
    } else if (spec.controller) {
      const bool stop = spec.controller->stop;
      auto action = [&](bool stops) {
        models::ControllerAction a;
        a.kind =
            stops ? models::ControllerAction::Kind::stop : models::ControllerAction::Kind::start;
        a.what = stops ? "the controller stops" : "the controller starts";
        return a;
      };
      event.parts.push_back(controller_part(action(stop), {}));
      if (stop && spec.controller->duration)
        event.parts.push_back(controller_part(action(false), *spec.controller->duration));
    } else if (spec.intent) {
      models::ControllerAction action;
      action.kind = models::ControllerAction::Kind::json;
      action.json = spec.intent->transaction;
      action.what = "the desired state changes";
      event.parts.push_back(controller_part(std::move(action), {}));
    } else if (spec.policy) {
      models::ControllerAction action;
      const auto& tenant = scenario_.tenants[spec.policy->tenant];
      for (const auto& name : spec.policy->remove)
        action.transaction.remove(control::Table::acl, tenant.name + "/" + name);
      for (const auto& rule : spec.policy->add)
        action.transaction.insert(acl_of(spec.policy->tenant, rule));
      action.what = fmt::format("the policy of {} changes: {} rules added, {} removed", tenant.name,
                                spec.policy->add.size(), spec.policy->remove.size());
      event.parts.push_back(controller_part(std::move(action), {}));
    }
    events.push_back(std::move(event));
  }
}

}  // namespace weft::scenarios
