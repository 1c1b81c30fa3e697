// Static routes and routing policies as flows of their routers. NAT: nat_flows.cpp.
//
// Several next hops: the rule writes the number of one of them, chosen by the hash of the flow, to
// reg10 and the next stage, whose rules have the same matches and priorities and reg10 besides,
// says where that one leads. The hash is the same on every hypervisor, and for both directions.
#include <fmt/format.h>

#include <algorithm>

#include "control/compile_env.h"
#include "control/logical.h"
#include "control/routing.h"

namespace weft::control {
namespace {

struct Hop {
  IpAddress address{};
  std::uint32_t port = 0;
  std::uint64_t cookie = 0;
};

struct Choice {
  Stage stage{}, members{};
  int priority = 0;
  std::string match;
  Stage next{};
  std::uint32_t basis = 0;  ///< routers in a row choose independently
};

/// One rule for one hop; for several the choice among them and one rule each.
void add_hops(const Choice& c, bool is6, const std::vector<Hop>& hops, std::vector<Flow>& out) {
  const auto add = [&](Stage stage, const std::string& match, std::string actions,
                       std::uint64_t cookie) {
    out.push_back(stage_flow(stage, c.priority, match, std::move(actions)));
    if (cookie != 0) out.back().body.cookie = cookie;
  };
  const auto set_out = [&](const Hop& hop) {
    return route_actions(is6, hop.address, hop.port) + "," + go_to(c.next);
  };
  if (hops.size() == 1) return add(c.stage, c.match, set_out(hops[0]), hops[0].cookie);
  add(c.stage, c.match,
      fmt::format("multipath(symmetric_l3l4+udp,{},hrw,{},0,NXM_NX_REG10[]),{}", c.basis,
                  hops.size(), go_to(c.members)),
      hops[0].cookie);
  for (std::size_t i = 0; i < hops.size(); ++i)
    add(c.members, fmt::format("{},reg10=0x{:x}", c.match, i), set_out(hops[i]), hops[i].cookie);
}

/// Names in a policy: a port is one of the router's own.
class RouterNames final : public Resolver {
 public:
  RouterNames(Env& env, const Router& router) : names_(env, router.tenant), router_(router) {}
  std::optional<std::vector<Constant>> address_set(std::string_view name) const override {
    return names_.address_set(name);
  }
  std::optional<std::vector<std::string>> port_group(std::string_view name) const override {
    return names_.port_group(name);
  }
  std::optional<Cube> port(PortSide side, std::string_view name) const override {
    const std::uint32_t number = port_number(router_, std::string(name));
    if (number == 0) return std::nullopt;
    return Cube::of(side == PortSide::in ? datapath::Field::reg14 : datapath::Field::reg9, number);
  }
  bool is_resident(std::string_view) const override { return false; }

 private:
  const EnvNames names_;
  const Router& router_;
};

}  // namespace

std::uint32_t port_towards(Env& env, const Router& router, const IpAddress& a) {
  for (const RouterPort& p : router.ports) {
    const Network* n = p.network.empty() ? nullptr : env.row<Table::network>(p.network);
    const auto& subnets = p.subnets.empty() && n != nullptr ? n->subnets : p.subnets;
    if (std::any_of(subnets.begin(), subnets.end(), [&](const Prefix& s) { return s.contains(a); }))
      return port_number(router, p.label());
  }
  return 0;
}

/// Routes of one prefix are one set of flows: that of the first of them by name.
Records route_records(Env& env, const std::string& name) {
  Records out;
  const Route* route = env.row<Table::route>(name);
  const Router* router = route == nullptr ? nullptr : env.row<Table::router>(route->router);
  if (router == nullptr) return out;
  const std::vector<std::string> alike = env.routes_alike(*route);
  if (alike.empty() || alike.front() != name) return out;

  const bool is6 = route->prefix.address.is6;
  const Choice choice{Stage::route,
                      Stage::route_member,
                      route_priority(route->prefix, false, route->by_source),
                      fmt::format("{},{},{}", in_datapath(datapath_of(*router)), family(is6),
                                  prefix_match(route->prefix, route->by_source)),
                      Stage::reroute,
                      router->key & 0xffff};
  std::vector<Hop> hops;
  std::vector<Flow> flows;
  for (const std::string& member : alike) {
    const Route* r = env.row<Table::route>(member);
    if (r == nullptr) continue;
    if (!r->next_hop) {  // to discard a prefix is no share of the load: all of it goes
      flows.push_back(stage_flow(choice.stage, choice.priority, choice.match, "drop(route.none)"));
      if (r->cookie != 0) flows.back().body.cookie = r->cookie;
      break;
    }
    const std::uint32_t port = r->output.empty() ? port_towards(env, *router, *r->next_hop)
                                                 : port_number(*router, r->output);
    if (port != 0) hops.push_back({*r->next_hop, port, r->cookie});
  }
  if (flows.empty() && !hops.empty()) add_hops(choice, is6, hops, flows);
  add_flows(out, network_range(datapath_of(*router)) + "route/" + name, flows);
  return out;
}

Records policy_records(Env& env, const std::string& name) {
  Records out;
  const Policy* policy = env.row<Table::policy>(name);
  const Router* router = policy == nullptr ? nullptr : env.row<Table::router>(policy->router);
  if (router == nullptr) return out;
  const RouterNames names(env, *router);
  const std::string here = in_datapath(datapath_of(*router));
  std::vector<Flow> flows;
  const auto each_match = [&](const std::string& text, auto&& visit) {
    const auto expression = env.expression(text);
    if (!expression) return;
    if (auto matches = to_matches(*expression, names, {kMatchLimit}))
      for (const datapath::Match& m : *matches) {
        const std::string more = datapath::format_match(m);
        visit(more.empty() ? here : here + "," + more);
      }
  };
  const int priority = 10 + policy->priority;
  if (policy->action != Policy::Action::reroute) {
    const bool drops = policy->action == Policy::Action::drop;
    each_match(policy->match, [&](const std::string& match) {
      flows.push_back(stage_flow(Stage::reroute, priority, match,
                                 drops ? "drop(policy)" : go_to(Stage::router_egress)));
      if (policy->cookie != 0) flows.back().body.cookie = policy->cookie;
    });
  }
  for (const bool is6 : {false, true}) {
    std::vector<Hop> hops;
    for (const IpAddress& hop : policy->next_hops)
      if (const std::uint32_t port = hop.is6 == is6 ? port_towards(env, *router, hop) : 0)
        hops.push_back({hop, port, policy->cookie});
    if (hops.empty()) continue;
    each_match(fmt::format("{} && ({})", is6 ? "ip6" : "ip4", policy->match),
               [&](const std::string& match) {
                 add_hops({Stage::reroute, Stage::reroute_member, priority, match,
                           Stage::router_egress, router->key & 0xffff},
                          is6, hops, flows);
               });
  }
  add_flows(out, network_range(datapath_of(*router)) + "policy/" + name, flows);
  return out;
}

}  // namespace weft::control
