#include <fmt/format.h>

#include <algorithm>

#include "base/net_types.h"
#include "scenarios/import/nb_addresses.h"
#include "scenarios/import/nbctl_runner.h"

namespace weft::imports {
namespace {

/// As ovn-nbctl stores prefixes: a single address has no length.
std::string short_text(const Prefix& p) {
  return p.length == (p.address.is6 ? 128 : 32) ? p.address.text() : p.text();
}

}  // namespace

void Runner::lr_add(const Call& call) {
  if (!call.args.empty() && !call.has("--add-duplicate") &&
      !store_.named("Logical_Router", call.arg(0)).empty()) {
    if (!call.has("--may-exist"))
      error(call.args[0], fmt::format("there is a Logical_Router '{}' already", call.arg(0)),
            "--may-exist if that is right");
    return;
  }
  put(create("Logical_Router", place_), "name", call.arg(0));
}

void Runner::lrp_add(const Call& call) {
  NbRow* router = find("Logical_Router", call.args[0]);
  if (router == nullptr) return;
  if (!parse_mac(call.arg(2)))
    return error(call.args[2], fmt::format("'{}' is no MAC", call.arg(2)));
  Datum networks;
  std::size_t i = 3;
  for (; i < call.args.size() && call.arg(i).find('=') == std::string::npos; ++i) {
    if (!parse_interface(call.arg(i)))
      return error(call.args[i],
                   fmt::format("'{}' is no address with a prefix length", call.arg(i)),
                   "for example 10.0.0.1/24");
    networks[call.arg(i)];
  }
  if (networks.empty()) return error(call.name, "a router port has at least one address");
  const auto same = store_.named("Logical_Router_Port", call.arg(1));
  if (!same.empty()) {
    if (!call.has("--may-exist"))
      return error(call.args[1], fmt::format("there is a router port '{}' already", call.arg(1)),
                   "--may-exist if that is right");
    const NbRow& port = *same.front();
    if (!router->get("ports").contains(port.uuid) || port.text("mac") != call.arg(2) ||
        port.get("networks") != networks)
      error(call.args[1], fmt::format("the router port '{}' is another one", call.arg(1)));
    return;
  }
  NbRow& port = create("Logical_Router_Port", place_);
  put(port, "name", call.arg(1));
  put(port, "mac", call.arg(2));
  put(port, "networks", std::move(networks));
  put_into(*router, "ports", port.uuid);
  if (i == call.args.size()) return;
  Call rest;
  rest.name = call.name;
  rest.args = {{"Logical_Router_Port", call.name.place}, {port.uuid, call.name.place}};
  rest.args.insert(rest.args.end(), call.args.begin() + static_cast<std::ptrdiff_t>(i),
                   call.args.end());
  db_set(rest);
}

void Runner::lrp_del(const Call& call) {
  NbRow* port = find("Logical_Router_Port", call.args[0], call.has("--if-exists"));
  if (port == nullptr) return;
  for (NbRow* router : store_.referrers("Logical_Router", "ports", port->uuid))
    take_from(*router, "ports", port->uuid);
  store_.erase(*port);
}

void Runner::lrp_gateway(const Call& call) {
  NbRow* port = find("Logical_Router_Port", call.args[0]);
  if (port == nullptr) return;
  if (call.args.size() > 2 && !is_number(call.args[2], 0, 32767, "priority")) return;
  const std::string priority = call.args.size() > 2 ? call.arg(2) : "0";
  const std::string name = call.arg(0) + "-" + call.arg(1);
  const auto same = store_.named("Gateway_Chassis", name);
  NbRow& gateway = same.empty() ? create("Gateway_Chassis", place_) : *same.front();
  put(gateway, "name", name);
  put(gateway, "chassis_name", call.arg(1));
  put(gateway, "priority", *canonical_atom(AtomType::integer, priority));
  put_into(*port, "gateway_chassis", gateway.uuid);
}

void Runner::lrp_del_gateway(const Call& call) {
  NbRow* port = find("Logical_Router_Port", call.args[0]);
  if (port == nullptr) return;
  for (const NbRow* gateway : children(*port, "gateway_chassis"))
    if (gateway->text("chassis_name") == call.arg(1))
      return take_from(*port, "gateway_chassis", gateway->uuid);
  error(call.args[1], fmt::format("'{}' has no gateway on chassis '{}'", call.arg(0), call.arg(1)));
}

void Runner::lrp_redirect(const Call& call) {
  NbRow* port = find("Logical_Router_Port", call.args[0]);
  if (port != nullptr && is_choice(call.args[1], {"overlay", "bridged"}))
    put_into(*port, "options", "redirect-type", call.arg(1));
}

void Runner::route_add(const Call& call) {
  NbRow* router = find("Logical_Router", call.args[0]);
  if (router == nullptr) return;
  const auto prefix = parse_loose_prefix(call.arg(1));
  if (!prefix) return error(call.args[1], prefix.error().message);
  std::string next_hop = call.arg(2);
  if (next_hop != "discard") {
    const auto address = parse_ip(next_hop);
    if (!address)
      return error(call.args[2], fmt::format("'{}' is no address", next_hop), "or discard");
    next_hop = address->text();
  }
  std::string policy = call.option("--policy");
  if (!policy.empty() && policy != "src-ip" && policy != "dst-ip")
    return error(call.options.find("--policy")->second,
                 fmt::format("'{}' is neither src-ip nor dst-ip", policy));
  const bool ecmp = call.has("--ecmp") || call.has("--ecmp-symmetric-reply");
  NbRow* row = nullptr;
  for (NbRow* route : children(*router, "static_routes")) {
    const auto theirs = parse_loose_prefix(route->text("ip_prefix"));
    if (!theirs || *theirs != *prefix ||
        (route->text("policy") == "src-ip") != (policy == "src-ip") ||
        route->text("route_table") != call.option("--route-table"))
      continue;
    if (ecmp && (route->text("nexthop") != next_hop || route->text("output_port") != call.arg(3)))
      continue;
    if (!call.has("--may-exist"))
      return error(call.args[1],
                   fmt::format("'{}' has a route to {} already", call.arg(0), call.arg(1)),
                   "--ecmp for one more next hop, --may-exist to replace it");
    if (ecmp) return;
    row = route;
    break;
  }
  NbRow& route = row == nullptr ? create("Logical_Router_Static_Route", place_) : *row;
  put(route, "ip_prefix", short_text(*prefix));
  put(route, "nexthop", next_hop);
  if (call.args.size() > 3) put(route, "output_port", call.arg(3));
  put(route, "policy", policy);
  put(route, "route_table", call.option("--route-table"));
  if (call.has("--ecmp-symmetric-reply"))
    put_into(route, "options", "ecmp_symmetric_reply", "true");
  put_into(*router, "static_routes", route.uuid);
}

void Runner::route_del(const Call& call) {
  NbRow* router = find("Logical_Router", call.args[0]);
  if (router == nullptr) return;
  std::optional<Prefix> prefix;
  if (call.args.size() > 1) {
    const auto parsed = parse_loose_prefix(call.arg(1));
    if (!parsed) return error(call.args[1], parsed.error().message);
    prefix = *parsed;
  }
  bool any = call.has("--if-exists") || call.args.size() == 1;
  for (NbRow* route : children(*router, "static_routes")) {
    if (prefix) {
      const auto theirs = parse_loose_prefix(route->text("ip_prefix"));
      if (!theirs || *theirs != *prefix) continue;
    }
    if (call.args.size() > 2 && route->text("nexthop") != call.arg(2)) continue;
    if (call.args.size() > 3 && route->text("output_port") != call.arg(3)) continue;
    if (call.has("--policy") &&
        (route->text("policy") == "src-ip") != (call.option("--policy") == "src-ip"))
      continue;
    if (call.has("--route-table") && route->text("route_table") != call.option("--route-table"))
      continue;
    take_from(*router, "static_routes", route->uuid);
    any = true;
  }
  if (!any) error(call.args[1], fmt::format("'{}' has no such route", call.arg(0)));
}

void Runner::policy_add(const Call& call) {
  NbRow* router = find("Logical_Router", call.args[0]);
  if (router == nullptr || !is_number(call.args[1], 0, 32767, "priority") ||
      !is_choice(call.args[3], {"allow", "drop", "reroute"}))
    return;
  const bool reroute = call.arg(3) == "reroute";
  if (reroute && call.args.size() < 5)
    return error(call.name, "reroute needs a next hop",
                 "lr-policy-add ROUTER PRIORITY MATCH reroute NEXTHOP");
  Datum hops;
  if (reroute) {
    const std::string list = call.arg(4);
    for (std::size_t at = 0; at <= list.size();) {
      const std::size_t comma = std::min(list.find(',', at), list.size());
      const std::string hop = list.substr(at, comma - at);
      const auto address = parse_ip(hop);
      if (!address) return error(call.args[4], fmt::format("'{}' is no address", hop));
      hops[address->text()];
      at = comma + 1;
    }
  }
  Datum options;
  for (std::size_t i = reroute ? 5 : 4; i < call.args.size(); ++i) {
    const std::string& word = call.args[i].text;
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      return error(call.args[i], fmt::format("'{}' is not KEY=VALUE", word));
    options[word.substr(0, equals)] = word.substr(equals + 1);
  }
  for (NbRow* same : children(*router, "policies")) {
    if (std::to_string(same->number("priority")) != call.arg(1) ||
        same->text("match") != call.arg(2))
      continue;
    if (!call.has("--may-exist"))
      error(call.name, fmt::format("'{}' has such a policy already", call.arg(0)),
            "--may-exist if that is right");
    return;
  }
  NbRow& policy = create("Logical_Router_Policy", place_);
  put(policy, "priority", *canonical_atom(AtomType::integer, call.arg(1)));
  put(policy, "match", call.arg(2));
  put(policy, "action", call.arg(3));
  put(policy, "nexthops", std::move(hops));
  put(policy, "options", std::move(options));
  put_into(*router, "policies", policy.uuid);
}

void Runner::policy_del(const Call& call) {
  NbRow* router = find("Logical_Router", call.args[0]);
  if (router == nullptr) return;
  const bool by_uuid = call.args.size() > 1 && is_uuid(call.arg(1));
  if (call.args.size() > 1 && !by_uuid && !is_number(call.args[1], 0, 32767, "priority")) return;
  bool any = call.has("--if-exists") || call.args.size() == 1;
  for (NbRow* policy : children(*router, "policies")) {
    if (by_uuid && policy->uuid != call.arg(1)) continue;
    if (!by_uuid && call.args.size() > 1 &&
        std::to_string(policy->number("priority")) != call.arg(1))
      continue;
    if (call.args.size() > 2 && policy->text("match") != call.arg(2)) continue;
    take_from(*router, "policies", policy->uuid);
    any = true;
  }
  if (!any) error(call.args[1], fmt::format("'{}' has no such policy", call.arg(0)));
}

void Runner::nat_add(const Call& call) {
  NbRow* router = find("Logical_Router", call.args[0]);
  if (router == nullptr || !is_choice(call.args[1], {"snat", "dnat", "dnat_and_snat"})) return;
  const std::string kind = call.arg(1);
  const auto external = parse_ip(call.arg(2));
  if (!external) return error(call.args[2], fmt::format("'{}' is no address", call.arg(2)));
  const auto logical = parse_loose_prefix(call.arg(3));
  if (!logical || (kind != "snat" && !parse_ip(call.arg(3))))
    return error(call.args[3], fmt::format("'{}' is no address{}", call.arg(3),
                                           kind == "snat" ? " or prefix" : ""));
  const bool range = call.has("--portrange");
  const std::size_t plain = call.args.size() - (range ? 1 : 0);
  if (plain != 4 && plain != 6)
    return error(call.name, "a logical port and its external MAC come together",
                 range ? "and the port range is last" : "");
  if (plain == 6 && kind != "dnat_and_snat")
    return error(call.args[4], "a logical port is for dnat_and_snat only");
  if (plain == 6 && !parse_mac(call.arg(5)))
    return error(call.args[5], fmt::format("'{}' is no MAC", call.arg(5)));
  if (plain == 6 && find("Logical_Switch_Port", call.args[4]) == nullptr) return;
  if (call.has("--stateless") && kind != "dnat_and_snat")
    return error(call.options.find("--stateless")->second, "--stateless is for dnat_and_snat only");
  std::string gateway;
  for (const char* option : {"--gateway-port", "--gateway_port"}) {
    if (!call.has(option)) continue;
    const NbRow* port = find("Logical_Router_Port", call.options.find(option)->second);
    if (port == nullptr) return;
    gateway = port->uuid;
  }
  const std::string logical_text = short_text(*logical);
  for (NbRow* same : children(*router, "nat")) {
    const char* own = kind == "snat" ? "logical_ip" : "external_ip";
    if (same->text("type") != kind || same->text("gateway_port") != gateway ||
        same->text(own) != (kind == "snat" ? logical_text : external->text()))
      continue;
    const char* other = kind == "snat" ? "external_ip" : "logical_ip";
    const bool equal = same->text(other) == (kind == "snat" ? external->text() : logical_text);
    if (!equal || !call.has("--may-exist"))
      return error(
          call.name,
          fmt::format("'{}' has a NAT of {} {} already", call.arg(0), kind, same->text(own)),
          equal ? "--may-exist if that is right" : "");
    if (plain == 6) {
      put(*same, "logical_port", call.arg(4));
      put(*same, "external_mac", call.arg(5));
    }
    return;
  }
  NbRow& nat = create("NAT", place_);
  put(nat, "type", kind);
  put(nat, "external_ip", external->text());
  put(nat, "logical_ip", logical_text);
  if (plain == 6) {
    put(nat, "logical_port", call.arg(4));
    put(nat, "external_mac", call.arg(5));
  }
  if (range) put(nat, "external_port_range", call.args.back().text);
  put_into(nat, "options", "stateless", call.has("--stateless") ? "true" : "false");
  if (call.has("--add-route")) put_into(nat, "options", "add_route", "true");
  put(nat, "gateway_port", gateway);
  put_into(*router, "nat", nat.uuid);
}

void Runner::nat_del(const Call& call) {
  NbRow* router = find("Logical_Router", call.args[0]);
  if (router == nullptr) return;
  if (call.args.size() > 1 && !is_choice(call.args[1], {"snat", "dnat", "dnat_and_snat"})) return;
  bool any = call.has("--if-exists") || call.args.size() < 3;
  for (NbRow* nat : children(*router, "nat")) {
    if (call.args.size() > 1 && nat->text("type") != call.arg(1)) continue;
    if (call.args.size() > 2 &&
        nat->text(call.arg(1) == "snat" ? "logical_ip" : "external_ip") != call.arg(2))
      continue;
    if (call.args.size() > 3) {
      const NbRow* port = store_.find("Logical_Router_Port", nat->text("gateway_port"));
      if (port == nullptr || port->text("name") != call.arg(3)) continue;
    }
    take_from(*router, "nat", nat->uuid);
    any = true;
  }
  if (!any) error(call.args[2], fmt::format("'{}' has no such NAT", call.arg(0)));
}

void Runner::ha_add(const Call& call) {
  if (!store_.named("HA_Chassis_Group", call.arg(0)).empty()) {
    if (!call.has("--may-exist"))
      error(call.args[0], fmt::format("there is an HA_Chassis_Group '{}' already", call.arg(0)));
    return;
  }
  put(create("HA_Chassis_Group", place_), "name", call.arg(0));
}

void Runner::ha_add_chassis(const Call& call) {
  NbRow* group = find("HA_Chassis_Group", call.args[0]);
  if (group == nullptr || !is_number(call.args[2], 0, 32767, "priority")) return;
  NbRow* chassis = nullptr;
  for (NbRow* c : children(*group, "ha_chassis"))
    if (c->text("chassis_name") == call.arg(1)) chassis = c;
  if (chassis == nullptr) chassis = &create("HA_Chassis", place_);
  put(*chassis, "chassis_name", call.arg(1));
  put(*chassis, "priority", *canonical_atom(AtomType::integer, call.arg(2)));
  put_into(*group, "ha_chassis", chassis->uuid);
}

void Runner::ha_remove_chassis(const Call& call) {
  NbRow* group = find("HA_Chassis_Group", call.args[0]);
  if (group == nullptr) return;
  for (const NbRow* c : children(*group, "ha_chassis"))
    if (c->text("chassis_name") == call.arg(1)) return take_from(*group, "ha_chassis", c->uuid);
  error(call.args[1], fmt::format("'{}' has no chassis '{}'", call.arg(0), call.arg(1)));
}

}  // namespace weft::imports
