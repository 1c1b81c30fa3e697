#include <fmt/format.h>

#include <algorithm>

#include "scenarios/import/nb_mapper.h"

namespace weft::imports {

using control::Gateway;

void NbMapper::map_routers() {
  const Rows routers = sorted("Logical_Router");
  for (const NbRow* row : routers) {
    check_enabled(*row);
    control::Router router;
    router.name = name_of(*row);
    router.tenant = "ovn";
    bool whole = true, distributed_gateway = false;
    for (const NbRow* lrp : children(*row, "ports")) {
      whole &= map_router_port(*lrp, *row, router);
      if (whole) distributed_gateway |= !router.ports.back().gateways.empty();
    }
    if (const std::string& chassis = row->option("options", "chassis"); !chassis.empty()) {
      chassis_.insert(chassis);
      router.gateways.push_back({chassis, 0});
      if (distributed_gateway)
        refuse(*row, "options", "chassis pins the router, but one of its ports has gateways",
               "one of both");
      for (const control::RouterPort& port : router.ports)
        if (!port.network.empty()) exits_[port.network].push_back(chassis);
    }
    if (whole) insert(std::move(router), row);
  }
  for (const NbRow* row : routers) {
    map_routes(*row);
    map_policies(*row);
    map_nat(*row);
  }
  for (auto& [network, where] : exits_) {
    std::vector<std::string> once;
    for (const std::string& name : where)
      if (std::find(once.begin(), once.end(), name) == once.end()) once.push_back(name);
    where = std::move(once);
  }
}

bool NbMapper::map_router_port(const NbRow& lrp, const NbRow& router, control::Router& out) {
  control::RouterPort port;
  port.name = lrp.text("name");
  check_enabled(lrp);
  const auto mac = parse_mac(lrp.text("mac"));
  if (!mac) {
    refuse(lrp, "mac", fmt::format("'{}' is no Ethernet address", lrp.text("mac")));
    return false;
  }
  port.mac = *mac;
  for (const auto& [text, ignored] : lrp.get("networks")) {
    const auto parsed = parse_interface(text);
    if (!parsed) {
      refuse(lrp, "networks", parsed.error().message, "for example 10.0.0.1/24");
      return false;
    }
    port.addresses.push_back(parsed->address);
    if (std::find(port.subnets.begin(), port.subnets.end(), parsed->prefix) == port.subnets.end())
      port.subnets.push_back(parsed->prefix);
  }
  std::sort(port.addresses.begin(), port.addresses.end());
  std::sort(port.subnets.begin(), port.subnets.end());
  port.gateways = gateways_of(lrp);
  const auto on = lrp_switch_.find(&lrp);
  if (on != lrp_switch_.end()) {
    port.network = name_of(*on->second);
    for (const Gateway& g : port.gateways) exits_[port.network].push_back(g.hypervisor);
  } else if (lrp.has("peer")) {
    const auto found = store_.named("Logical_Router_Port", lrp.text("peer"));
    const Rows owners = found.empty() ? Rows{} : [&] {
      Rows rows;
      for (const NbRow* r : store_.referrers("Logical_Router", "ports", found.front()->uuid))
        rows.push_back(r);
      return rows;
    }();
    if (owners.empty() || found.front()->text("peer") != port.name) {
      refuse(lrp, "peer",
             fmt::format("'{}' is no router port that names this one in turn", lrp.text("peer")));
      return false;
    }
    port.peer_port = lrp.text("peer");
    port.peer_router = name_of(*owners.front());
  } else {
    refuse(lrp, "peer",
           fmt::format("the port of {} leads nowhere: no switch port of type router names it, and "
                       "it has no peer",
                       router.title()),
           "attach it, or remove it");
    return false;
  }
  out.ports.push_back(std::move(port));
  return true;
}

std::vector<Gateway> NbMapper::gateways_of(const NbRow& lrp) {
  if (lrp.has("gateway_chassis") && lrp.has("ha_chassis_group")) {
    refuse(lrp, "ha_chassis_group", "gateway_chassis is set as well", "clear one of both");
    return {};
  }
  std::vector<Gateway> out;
  const auto add = [&](const NbRow& chassis) {
    const std::string& name = chassis.text("chassis_name");
    chassis_.insert(name);
    out.push_back({name, static_cast<int>(chassis.number("priority"))});
  };
  for (const NbRow* g : children(lrp, "gateway_chassis")) add(*g);
  for (const NbRow* group : children(lrp, "ha_chassis_group"))
    for (const NbRow* chassis : children(*group, "ha_chassis")) add(*chassis);
  // OVN breaks ties by name; weft wants them broken.
  std::sort(out.begin(), out.end(), [](const Gateway& a, const Gateway& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.hypervisor < b.hypervisor;
  });
  for (std::size_t i = 1; i < out.size(); ++i)
    out[i].priority = std::min(out[i].priority, out[i - 1].priority - 1);
  return out;
}

void NbMapper::map_routes(const NbRow& router) {
  for (const NbRow* row : children(router, "static_routes")) {
    control::Route route;
    route.name = made_name(control::Table::route, "route", *row);
    route.router = name_of(router);
    const auto prefix = parse_loose_prefix(row->text("ip_prefix"));
    if (!prefix) {
      refuse(*row, "ip_prefix", prefix.error().message);
      continue;
    }
    route.prefix = *prefix;
    route.by_source = row->text("policy") == "src-ip";
    if (row->text("nexthop") != "discard") {
      const auto hop = parse_ip(row->text("nexthop"));
      if (!hop) {
        refuse(*row, "nexthop", fmt::format("'{}' is no address", row->text("nexthop")),
               "an address, or discard");
        continue;
      }
      route.next_hop = *hop;
    }
    route.output = row->text("output_port");
    route.cookie = cookie(*row);
    insert(std::move(route), row);
  }
}

void NbMapper::map_policies(const NbRow& router) {
  for (const NbRow* row : children(router, "policies")) {
    control::Policy policy;
    policy.name = made_name(control::Table::policy, "policy", *row);
    policy.router = name_of(router);
    policy.priority = static_cast<int>(row->number("priority"));
    policy.match = row->text("match");
    const std::string& action = row->text("action");
    if (action == "drop")
      policy.action = control::Policy::Action::drop;
    else if (action == "reroute")
      policy.action = control::Policy::Action::reroute;
    else if (action != "allow")
      refuse(*row, "action", fmt::format("weft's policies cannot {}", action));
    std::set<IpAddress> hops;
    for (const char* column : {"nexthop", "nexthops"})
      for (const auto& [text, ignored] : row->get(column)) {
        const auto hop = parse_ip(text);
        if (hop)
          hops.insert(*hop);
        else
          refuse(*row, column, fmt::format("'{}' is no address", text));
      }
    if (action == "reroute") policy.next_hops.assign(hops.begin(), hops.end());
    if (!check_match(*row)) continue;
    policy.cookie = cookie(*row);
    insert(std::move(policy), row);
  }
}

// Without gateway_port OVN takes the only port with gateways, or of several the one whose network
// has the external address.
std::string NbMapper::nat_gateway(const NbRow& router, const NbRow& nat,
                                  const IpAddress& external) {
  const Rows named = children(nat, "gateway_port");
  if (!named.empty()) return named.front()->text("name");
  Rows gateways, near;
  for (const NbRow* lrp : children(router, "ports")) {
    if (!lrp->has("gateway_chassis") && !lrp->has("ha_chassis_group")) continue;
    gateways.push_back(lrp);
    for (const auto& [text, ignored] : lrp->get("networks"))
      if (const auto parsed = parse_interface(text); parsed && parsed->prefix.contains(external))
        near.push_back(lrp);
  }
  if (gateways.size() < 2) return {};
  if (near.size() == 1) return near.front()->text("name");
  refuse(nat, "gateway_port",
         fmt::format("{} has {} ports with gateways, and the external "
                     "address does not say which is meant",
                     router.title(), gateways.size()),
         "--gateway-port=PORT says which");
  return {};
}

void NbMapper::map_nat(const NbRow& router) {
  bool gateway = !router.option("options", "chassis").empty();
  for (const NbRow* lrp : children(router, "ports"))
    gateway |= lrp->has("gateway_chassis") || lrp->has("ha_chassis_group");
  for (const NbRow* row : children(router, "nat")) {
    if (!gateway) {
      note(*row, "NAT without a gateway",
           "its router has neither options:chassis nor a port with gateways, so it has no effect");
      continue;
    }
    control::Nat nat;
    nat.name = made_name(control::Table::nat, "nat", *row);
    nat.router = name_of(router);
    const std::string& kind = row->text("type");
    nat.kind = kind == "snat"   ? control::Nat::Kind::snat
               : kind == "dnat" ? control::Nat::Kind::dnat
                                : control::Nat::Kind::floating;
    const auto external = parse_ip(row->text("external_ip"));
    const auto logical = parse_loose_prefix(row->text("logical_ip"));
    if (!external || !logical) {
      const char* column = external ? "logical_ip" : "external_ip";
      refuse(*row, column, fmt::format("'{}' is no address", row->text(column)));
      continue;
    }
    nat.external = *external;
    nat.logical = *logical;
    nat.gateway = nat_gateway(router, *row, *external);
    if (const std::string& range = row->text("external_port_range"); !range.empty()) {
      const auto ends = split_words(range, "-");
      const auto first = ends.empty() || ends.size() > 2
                             ? Result<std::string>(Error{""})
                             : canonical_atom(AtomType::integer, ends.front());
      const auto last = first ? canonical_atom(AtomType::integer, ends.back()) : first;
      const bool fits = first && last && std::stoll(*first) >= 1 && std::stoll(*last) <= 65535 &&
                        std::stoll(*first) <= std::stoll(*last);
      if (!fits)
        refuse(*row, "external_port_range", fmt::format("'{}' is no range of ports", range));
      else if (kind != "snat")
        refuse(*row, "external_port_range", "weft has ranges for snat only", "clear the column");
      else
        nat.external_ports = {static_cast<std::uint16_t>(std::stoll(*first)),
                              static_cast<std::uint16_t>(std::stoll(*last))};
    }
    // Both make it distributed; one alone does nothing.
    if (row->has("logical_port") && row->has("external_mac") && kind == "dnat_and_snat") {
      const auto mac = parse_mac(row->text("external_mac"));
      if (!mac) {
        refuse(*row, "external_mac",
               fmt::format("'{}' is no Ethernet address", row->text("external_mac")));
        continue;
      }
      if (!ports_.contains(row->text("logical_port"))) {
        refuse(*row, "logical_port",
               fmt::format("there is no port '{}'", row->text("logical_port")));
        continue;
      }
      // A gateway router translates where it is, whatever port is named.
      if (router.option("options", "chassis").empty()) {
        nat.port = row->text("logical_port");
        nat.external_mac = *mac;
        // What is translated where its port is leaves the overlay there.
        for (const NbRow* lrp : children(router, "ports"))
          if (lrp_switch_.contains(lrp) &&
              (lrp->has("gateway_chassis") || lrp->has("ha_chassis_group")))
            floating_[name_of(*lrp_switch_[lrp])].insert(nat.port);
      }
    } else if (row->has("external_mac") || (row->has("logical_port") && kind != "dnat_and_snat")) {
      note(*row, "NAT with logical_port or external_mac alone", "it is translated at the gateway");
    }
    nat.cookie = cookie(*row);
    insert(std::move(nat), row);
  }
}

}  // namespace weft::imports
