#include "control/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/gateways.h"
#include "control/logical.h"

namespace weft::control {
namespace {

std::string place_node(PortPlace at) { return fmt::format("place/{:07x}/{:04x}", at.vni, at.key); }
std::string flood_node(std::uint32_t vni) { return fmt::format("flood/{:07x}", vni); }

std::string at_port(PortPlace at) {
  return fmt::format("metadata=0x{:x},reg15=0x{:x}", at.vni, at.key);
}

std::string load_zone(std::uint32_t of_port) {
  return fmt::format("load:0x{:x}->NXM_NX_REG13[]", zone_of(of_port));
}

std::vector<Flow> base_flows(const Chassis& chassis) {
  std::vector<Flow> out;
  const auto add = [&](Stage stage, int priority, const char* match, std::string actions) {
    out.push_back(stage_flow(stage, priority, match, std::move(actions)));
  };
  const auto pass = [&](Stage stage, int priority, const char* match, Stage next) {
    add(stage, priority, match, go_to(next));
  };

  std::string admit = "move:NXM_NX_TUN_ID[0..23]->OXM_OF_METADATA[0..23],";
  if (carries_ports(chassis.tunnel))
    admit +=
        "move:NXM_NX_TUN_METADATA0[16..30]->NXM_NX_REG14[0..14],"
        "move:NXM_NX_TUN_METADATA0[0..15]->NXM_NX_REG15[0..15],";
  if (chassis.tunnel_port != 0)
    add(Stage::admit, 100, fmt::format("in_port={}", chassis.tunnel_port).c_str(),
        admit + go_to(Stage::from_tunnel));

  add(Stage::port_security, 0, "", "drop(port.security)");
  pass(Stage::mirror_from, 0, "", Stage::from_port_ct);

  // ARP, ND and multicast are not tracked on the way in; ARP and ND not on the way out either.
  for (const bool in : {true, false}) {
    const Stage ct = in ? Stage::from_port_ct : Stage::to_port_ct;
    const Stage state = in ? Stage::from_port_state : Stage::to_port_state;
    const Stage classify = in ? Stage::from_classify : Stage::classify;
    const Stage shape = in ? Stage::from_shape : Stage::shape;
    const Stage commit = in ? Stage::from_commit : Stage::commit;
    const Stage next = in ? Stage::responder : Stage::mirror_to;
    for (const char* match : {"arp", "icmp6,icmp_type=135", "icmp6,icmp_type=136"})
      pass(ct, 110, match, shape);
    if (in) pass(ct, 105, kMulticast, shape);
    pass(ct, 0, "", shape);

    add(state, 110, "ct_state=+trk+est+rpl,ct_mark=0x1/0x1", "drop(policy)");
    add(state, 100, "ct_state=+trk+inv", "drop(ct.invalid)");
    pass(state, 90, "ct_state=+trk+est+rpl", shape);
    pass(state, 90, "ct_state=+trk+rel", shape);
    pass(state, 0, "", classify);
    // A port that no policy judges.
    pass(classify, 0, "", shape);

    pass(shape, 0, "", in ? Stage::balance : commit);

    pass(commit, 120, "reg0=0x1/0x1", next);
    add(commit, 110, "reg0=0x2/0x2", "drop(ct.invalid)");
    for (const char* ip : {"ip", "ipv6"}) {
      add(commit, 100, fmt::format("ct_state=+trk+new,{}", ip).c_str(),
          fmt::format("ct(commit,zone={}),{}", kZone, go_to(next)));
      add(commit, 100, fmt::format("ct_state=+trk+est-rpl,ct_mark=0x1/0x1,{}", ip).c_str(),
          fmt::format("ct(commit,zone={},exec(load:0->NXM_NX_CT_MARK[0])),{}", kZone, go_to(next)));
    }
    pass(commit, 0, "", next);
  }
  pass(Stage::balance, 0, "", Stage::from_commit);
  pass(Stage::responder, 0, "", Stage::services);
  pass(Stage::services, 0, "", Stage::to_router);
  const std::string copy = fmt::format("reg14=0x{:x}", kMirrorKey);
  pass(Stage::to_port_ct, 200, copy.c_str(), Stage::deliver);

  pass(Stage::to_router, 0, "", Stage::l2_lookup);
  // Translation is the gateway's: others step over its stages.
  pass(Stage::router_input, 0, "", Stage::router_balance);
  pass(Stage::router_undo, 0, "", Stage::router_dnat);
  for (const Stage done : {Stage::router_dnat, Stage::router_translate})
    add(done, 0, "", "ct_clear," + go_to(Stage::router_balance));
  pass(Stage::router_balance, 0, "", Stage::route);
  add(Stage::route, 0, "", "drop(route.none)");
  pass(Stage::reroute, 0, "", Stage::router_egress);
  pass(Stage::router_egress, 0, "", Stage::router_output);
  pass(Stage::router_undnat, 0, "", Stage::router_snat);
  add(Stage::router_snat, 0, "", "ct_clear," + go_to(Stage::router_output));
  add(Stage::router_output, 0, "", "drop(route.none)");
  add(Stage::neighbour_found, 100, "reg0=0x8/0x8",
      "load:0->NXM_NX_REG0[3]," + go_to(Stage::locate));
  add(Stage::neighbour_found, 0, "", "drop(route.neighbour)");

  add(Stage::resolve, 0, "", "drop(route.neighbour)");
  add(Stage::l2_lookup, 0, "", "drop(l2.unknown)");
  add(Stage::locate, 0, "", "drop(l2.unknown)");
  add(Stage::from_tunnel, 0, "", "drop(tunnel.unknown)");

  if (chassis.tunnel_port != 0) {
    std::string send = "move:OXM_OF_METADATA[0..23]->NXM_NX_TUN_ID[0..23],";
    if (carries_ports(chassis.tunnel))
      send +=
          "move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],"
          "move:NXM_NX_REG15[0..15]->NXM_NX_TUN_METADATA0[0..15],";
    if (!carries_ports(chassis.tunnel))
      add(Stage::encapsulate, 100, copy.c_str(), "drop(l2.unknown)");
    add(Stage::encapsulate, 0, "", fmt::format("{}output:{}", send, chassis.tunnel_port));
    // A gateway sends on what came to it through the tunnel, which no output to the port that it
    // came in by would do.
    add(Stage::encapsulate, 100, fmt::format("in_port={}", chassis.tunnel_port).c_str(),
        fmt::format("load:0->NXM_OF_IN_PORT[],{}output:{}", send, chassis.tunnel_port));
  }
  pass(Stage::mirror_to, 0, "", Stage::deliver);
  add(Stage::deliver, 110, "reg0=0x10/0x10", "in_port");
  add(Stage::deliver, 0, "", "drop(vm.gone)");
  return out;
}

}  // namespace

HostRules::HostRules(Chassis chassis, Faults faults)
    : chassis_(std::move(chassis)), faults_(faults) {
  contribute("base", base_flows(chassis_));
}

const RuleBody* HostRules::winner(const RuleKey& key) const {
  const auto it = rules_.find(key);
  if (it == rules_.end()) return nullptr;
  const Claim* best = &it->second.front();
  for (const Claim& claim : it->second)
    if (*claim.node < *best->node) best = &claim;
  return &best->body;
}

void HostRules::touch(const RuleKey& key) {
  const auto [it, fresh] = touched_.try_emplace(key);
  if (!fresh) return;
  if (const RuleBody* body = winner(key)) it->second = *body;
}

void HostRules::contribute(const std::string& node, std::vector<Flow> flows) {
  const auto it = contributions_.try_emplace(node).first;
  const std::string* name = &it->first;
  for (const RuleKey& key : it->second) {
    touch(key);
    const auto rule = rules_.find(key);
    std::erase_if(rule->second, [&](const Claim& c) { return c.node == name; });
    if (rule->second.empty()) rules_.erase(rule);
  }
  it->second.clear();
  for (Flow& flow : flows) {
    touch(flow.key);
    auto& claims = rules_[flow.key];
    // Within one node the first of equal keys counts.
    if (std::any_of(claims.begin(), claims.end(), [&](const Claim& c) { return c.node == name; }))
      continue;
    claims.push_back({name, std::move(flow.body)});
    it->second.push_back(std::move(flow.key));
  }
  if (it->second.empty()) contributions_.erase(it);
}

void HostRules::change_place(PortPlace at, const std::function<void(Place&)>& change) {
  Network& network = networks_[at.vni];
  Place& place = network.places[at.key];
  const auto remote = [&]() -> std::optional<IpAddress> {
    if (place.of_port != 0 || place.name.empty() || place.external || !place.vtep ||
        *place.vtep == chassis_.vtep)
      return std::nullopt;
    return place.vtep;
  };
  const auto before = remote();
  const std::uint32_t port_before = place.of_port;
  const bool special_before = place.external || place.unknown;
  change(place);
  const auto after = remote();
  if (before != after) {
    if (before && --network.vteps[*before] == 0) {
      network.vteps.erase(*before);
      dirty_floods_.insert(at.vni);
    }
    if (after && ++network.vteps[*after] == 1) dirty_floods_.insert(at.vni);
  }
  if (place.of_port != port_before) {
    if (place.of_port != 0) network.local[at.key] = place.of_port;
    if (place.of_port == 0) network.local.erase(at.key);
    dirty_floods_.insert(at.vni);
    if (const auto stash = of_ports_.find(at); stash != of_ports_.end())
      activate(stash->second, place.of_port != 0);
  }
  const bool special = place.external || place.unknown;
  if (special) network.special.insert(at.key);
  if (!special) network.special.erase(at.key);
  if (special || special_before) dirty_floods_.insert(at.vni);
  dirty_places_.insert(at);
}

void HostRules::activate(const Stash& stash, bool active) {
  for (const auto& [key, flows] : stash) contribute(key, active ? flows : std::vector<Flow>{});
}

void HostRules::set_stashed(Stash& stash, const std::string& key,
                            std::optional<std::vector<Flow>> flows, bool active) {
  contribute(key, active && flows ? *flows : std::vector<Flow>{});
  if (flows) stash[key] = std::move(*flows);
  if (!flows) stash.erase(key);
}

void HostRules::set_gateway(const std::string& key, const std::optional<GatewayRecord>& record) {
  const GatewayId id = gateway_of(key);
  std::vector<Flow> flows;
  const bool here = record && !record->hypervisor.empty() && record->vtep == chassis_.vtep;
  const bool was_here = here_.contains(id);
  if (here) here_[id].insert(key);
  if (!here && was_here && here_[id].erase(key) == 1 && here_[id].empty()) here_.erase(id);
  if (here_.contains(id) != was_here)
    if (const auto stash = of_gateways_.find(id); stash != of_gateways_.end())
      activate(stash->second, !was_here);
  if (record) {
    const PortPlace it{record->network, kGatewayKey + id.router};
    const std::string enter =
        fmt::format("load:0x{:x}->OXM_OF_METADATA[],", kRouterDatapath + id.router);
    const std::string to_it =
        fmt::format("metadata=0x{:x},dl_dst={}", record->network, record->mac.text());
    if (!here) {
      flows.push_back(
          stage_flow(Stage::locate, 100, at_port(it),
                     record->hypervisor.empty() ? "drop(route.none)" : towards(record->vtep)));
    } else if (carries_ports(chassis_.tunnel)) {
      flows.push_back(
          stage_flow(Stage::from_tunnel, 100, at_port(it), enter + go_to(Stage::router_input)));
    } else {
      const auto from = [&](std::uint32_t port) {
        return fmt::format("{}load:0x{:x}->NXM_NX_REG14[],{}", enter, port,
                           go_to(Stage::router_input));
      };
      flows.push_back(stage_flow(Stage::from_tunnel, 110,
                                 fmt::format("{},dl_src={}", to_it, record->mac.text()), from(0)));
      flows.push_back(stage_flow(Stage::from_tunnel, 100, to_it, from(id.port)));
    }
  }
  contribute(key, std::move(flows));
}

bool HostRules::set_record(const std::string& key, const RecordValue& value) {
  if (is_location(key)) {
    std::optional<LocationRecord> location;
    if (value) location = decode_location(*value);
    change_place({vni_of(key), port_key_of(key)}, [&](Place& place) {
      if (faults_.keep_old_tunnel && place.vtep) return;
      place.vtep.reset();
      if (location) place.vtep = location->vtep;
    });
    return !value || location.has_value();
  }
  if (is_port_record(key)) {
    std::optional<PortRecord> record;
    if (value) record = decode_port_record(*value);
    const PortPlace at{vni_of(key), port_key_of(key)};
    change_place(at, [&](Place& place) {
      const auto named = place_of_.find(place.name);
      if (named != place_of_.end() && named->second == at) place_of_.erase(named);
      place.name = record ? record->name : "";
      place.mac = record ? record->mac : Mac{};
      place.external = record && record->external;
      place.unknown = record && record->unknown;
      const auto local = record ? local_.find(record->name) : local_.end();
      place.of_port = local != local_.end() ? local->second : 0;
      if (record) place_of_[record->name] = at;
    });
    contribute(key, record ? std::move(record->flows) : std::vector<Flow>{});
    return !value || record.has_value();
  }
  if (is_gateway(key)) {
    const auto record = value ? decode_gateway(*value) : std::nullopt;
    set_gateway(key, record);
    return !value || record.has_value();
  }
  std::optional<std::vector<Flow>> flows;
  if (value) flows = decode_flows(*value);
  const bool good = !value || flows.has_value();
  if (scope_of(key) == RecordScope::gateway) {
    const GatewayId id = gateway_of(key);
    set_stashed(of_gateways_[id], key, std::move(flows), here_.contains(id));
    return good;
  }
  const PortPlace at{vni_of(key), port_key_of(key)};
  if (scope_of(key) == RecordScope::local_port && key != local_record_key(at)) {
    const auto network = networks_.find(at.vni);
    const bool local = network != networks_.end() && network->second.local.contains(at.key);
    set_stashed(of_ports_[at], key, std::move(flows), local);
    return good;
  }
  contribute(key, flows ? std::move(*flows) : std::vector<Flow>{});
  return good;
}

void HostRules::set_local(const std::string& port, std::uint32_t of_port) {
  local_[port] = of_port;
  if (const auto it = place_of_.find(port); it != place_of_.end())
    change_place(it->second, [&](Place& place) { place.of_port = of_port; });
}

void HostRules::erase_local(const std::string& port) {
  local_.erase(port);
  if (const auto it = place_of_.find(port); it != place_of_.end())
    change_place(it->second, [&](Place& place) { place.of_port = 0; });
}

std::string HostRules::towards(const IpAddress& vtep) const {
  return fmt::format("set_field:{}->{},{}", vtep.text(), vtep.is6 ? "tun_ipv6_dst" : "tun_dst",
                     go_to(Stage::encapsulate));
}

std::vector<Flow> HostRules::place_flows(PortPlace at, const Place& place) const {
  std::vector<Flow> out;
  const std::string here = at_port(at);
  if (place.of_port != 0) {
    const std::string zone = load_zone(place.of_port) + "," + go_to(Stage::to_port_ct);
    out.push_back(
        stage_flow(Stage::admit, 100, fmt::format("in_port={}", place.of_port),
                   fmt::format("{}load:0x{:x}->OXM_OF_METADATA[],load:0x{:x}->NXM_NX_REG14[],{},{}",
                               place.external ? "load:1->NXM_NX_REG0[2]," : "", at.vni, at.key,
                               load_zone(place.of_port), go_to(Stage::port_security))));
    out.push_back(stage_flow(Stage::locate, 100, here, zone));
    // Back to where it came from (a router's doing, or a load balancer's): one zone sees it twice,
    // and must look at it anew, which it does if another zone has been asked in between.
    out.push_back(stage_flow(
        Stage::locate, 110, fmt::format("in_port={},{}", place.of_port, here),
        fmt::format("load:1->NXM_NX_REG0[4],{},ct(zone={},table={})", load_zone(place.of_port),
                    kNoZone, static_cast<unsigned>(Stage::to_port_ct))));
    if (carries_ports(chassis_.tunnel))
      out.push_back(stage_flow(Stage::from_tunnel, 100, here, zone));
    else
      out.push_back(stage_flow(Stage::from_tunnel, 100,
                               fmt::format("metadata=0x{:x},dl_dst={}", at.vni, place.mac.text()),
                               fmt::format("load:0x{:x}->NXM_NX_REG15[],{}", at.key, zone)));
    out.push_back(stage_flow(Stage::deliver, 100, here, fmt::format("output:{}", place.of_port)));
  } else if (!place.name.empty() && place.vtep && *place.vtep != chassis_.vtep) {
    out.push_back(stage_flow(Stage::locate, 100, here, towards(*place.vtep)));
  }
  return out;
}

std::string HostRules::copy_to(std::uint32_t key, std::uint32_t of_port) const {
  return fmt::format("load:0x{:x}->NXM_NX_REG15[],{},{}", key, load_zone(of_port),
                     go_to(Stage::to_port_ct));
}

/// External ports. Several hypervisors may have the same one, all on one physical network, which
/// carries a copy to each: so what comes in there is handed on to other hypervisors by the one that
/// is the port's location and by no other, and what a tunnel brings never goes out there as a copy
/// for all.
std::vector<Flow> HostRules::flood_flows(std::uint32_t vni, const Network& network) const {
  if (network.local.empty()) return {};
  const bool keys = carries_ports(chassis_.tunnel);
  std::vector<std::string> remote, outside, inside;
  for (const auto& [vtep, ports] : network.vteps) remote.push_back(towards(vtep));
  const auto to_all = remote.size();
  std::vector<std::uint32_t> external;
  bool hands_on = false;
  for (const std::uint32_t key : network.special) {
    const Place& place = network.places.at(key);
    if (!place.external) continue;
    if (place.of_port != 0) {
      external.push_back(key);
      outside.push_back(copy_to(key, place.of_port));
      hands_on |= is_here(place);
    } else if (place.vtep && keys && !is_here(place)) {
      remote.push_back(fmt::format("load:0x{:x}->NXM_NX_REG15[],{}", key, towards(*place.vtep)));
    }
  }
  for (const auto& [key, of_port] : network.local)
    if (std::find(external.begin(), external.end(), key) == external.end())
      inside.push_back(copy_to(key, of_port));

  std::vector<Flow> out;
  const std::string all = at_port({vni, kFloodKey});
  const auto add = [&](Stage stage, int priority, const std::string& match,
                       std::initializer_list<const std::vector<std::string>*> parts) {
    std::string actions;
    for (const auto* part : parts)
      for (const std::string& copy : *part) actions += (actions.empty() ? "" : ",") + copy;
    if (actions.empty()) actions = "drop(l2.not_for_me)";
    out.push_back(stage_flow(stage, priority, match, std::move(actions)));
  };
  add(Stage::locate, 100, all, {&remote, &outside, &inside});
  if (!external.empty()) {
    if (hands_on) remote.resize(to_all);
    if (!hands_on) remote.clear();
    add(Stage::locate, 110, fmt::format("{},{}", all, kFromOutside), {&remote, &inside});
    for (const std::uint32_t key : external)
      if (keys)
        out.push_back(stage_flow(Stage::from_tunnel, 110, fmt::format("{},reg14=0x{:x}", all, key),
                                 "drop(l2.same_port)"));
  }
  if (inside.empty()) return out;
  if (keys) add(Stage::from_tunnel, 100, all, {&inside});
  if (!keys)
    add(Stage::from_tunnel, 90, fmt::format("metadata=0x{:x},{}", vni, kMulticast), {&inside});
  return out;
}

/// Unicast to MACs that no port has: a copy to each port that takes it.
std::vector<Flow> HostRules::unknown_flows(std::uint32_t vni, const Network& network) const {
  const bool keys = carries_ports(chassis_.tunnel);
  std::string all, from_outside, from_tunnel;
  std::set<IpAddress> vteps;
  const auto append = [](std::string& to, const std::string& what) {
    to += (to.empty() ? "" : ",") + what;
  };
  bool has_external = false, hands_on = false;
  for (const std::uint32_t key : network.special) {
    const Place& place = network.places.at(key);
    has_external |= place.external && place.of_port != 0;
    hands_on |= place.external && place.of_port != 0 && is_here(place);
  }
  // Local copies last: they change the zone.
  for (const std::uint32_t key : network.special) {
    const Place& place = network.places.at(key);
    if (!place.unknown || place.of_port != 0 || !place.vtep || is_here(place)) continue;
    if (!keys && !vteps.insert(*place.vtep).second) continue;
    const std::string copy =
        fmt::format("load:0x{:x}->NXM_NX_REG15[],{}", key, towards(*place.vtep));
    append(all, copy);
    if (hands_on && !place.external) append(from_outside, copy);
  }
  for (const std::uint32_t key : network.special) {
    const Place& place = network.places.at(key);
    if (!place.unknown || place.of_port == 0) continue;
    const std::string copy = copy_to(key, place.of_port);
    append(all, copy);
    if (!place.external) append(from_outside, copy);
    if (!place.external || is_here(place)) append(from_tunnel, copy);
  }
  std::vector<Flow> out;
  const std::string nobody = at_port({vni, kUnknownKey});
  if (!all.empty()) out.push_back(stage_flow(Stage::locate, 100, nobody, all));
  if (has_external)
    out.push_back(stage_flow(Stage::locate, 110, fmt::format("{},{}", nobody, kFromOutside),
                             from_outside.empty() ? "drop(l2.unknown)" : from_outside));
  if (!keys && !from_tunnel.empty())
    out.push_back(
        stage_flow(Stage::from_tunnel, 20, fmt::format("metadata=0x{:x}", vni), from_tunnel));
  return out;
}

std::vector<RuleChange> HostRules::update() {
  for (const PortPlace at : dirty_places_) {
    Network& network = networks_[at.vni];
    const auto it = network.places.find(at.key);
    if (it == network.places.end()) continue;
    contribute(place_node(at), place_flows(at, it->second));
    if (it->second.name.empty() && !it->second.vtep) network.places.erase(it);
  }
  dirty_places_.clear();
  for (const std::uint32_t vni : dirty_floods_) {
    std::vector<Flow> flows = flood_flows(vni, networks_[vni]);
    for (Flow& flow : unknown_flows(vni, networks_[vni])) flows.push_back(std::move(flow));
    contribute(flood_node(vni), std::move(flows));
  }
  dirty_floods_.clear();

  std::vector<RuleChange> changes;
  for (const auto& [key, before] : touched_) {
    const RuleBody* now = winner(key);
    if (now == nullptr && before) changes.push_back({key, std::nullopt, before});
    if (now != nullptr && (!before || *before != *now)) changes.push_back({key, *now, before});
  }
  touched_.clear();
  return changes;
}

std::map<RuleKey, RuleBody> HostRules::rules() const {
  std::map<RuleKey, RuleBody> out;
  for (const auto& [key, claims] : rules_) out.emplace(key, *winner(key));
  return out;
}

void sort_for_installation(std::vector<RuleChange>& changes) {
  const auto forbids = [](const std::optional<RuleBody>& body) {
    return body && (body->actions.find("drop") != std::string::npos ||
                    body->actions.find("reject") != std::string::npos);
  };
  // Table, then (removal: allowances first; addition: denials first).
  const auto rank = [&](const RuleChange& c) {
    const bool adds = c.body.has_value();
    const bool denies = forbids(adds ? c.body : c.before);
    return std::pair(adds ? 255 - c.key.table : 256 + c.key.table, adds ? !denies : denies);
  };
  std::stable_sort(changes.begin(), changes.end(),
                   [&](const RuleChange& a, const RuleChange& b) { return rank(a) < rank(b); });
}

}  // namespace weft::control
