// Load balancers, DHCP, DNS, QoS and mirrors as flows.
//
// Load balancers choose by groups of type select, as OVN does: the switch hashes a new connection
// into one of the buckets, so shares need no rules per client, and what the caches keep is one
// decision per connection. A group is a row of its own that agents reconcile like rules (flow.h).
// Where clients stay with their backend (affinity) a rule that is learned in the switch says which
// it was; it names the backend and not its address, so it cannot outlive it: a backend that is gone
// or not up has no rule in to_backend, and the group chooses again.
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "control/compile_env.h"
#include "control/dhcp_options.h"
#include "control/logical.h"
#include "control/policy_flows.h"

namespace weft::control {

// --- load balancers ------------------------------------------------------------------------------

namespace {

/// Where clients of a load balancer are: a network, and if it is a router's, the MACs that they
/// send to.
struct ClientSide {
  const Network* network = nullptr;
  bool direct = false;
  std::vector<Mac> routers;  // of it, whose VIPs these are
};

/// MACs of routers with a port on the network whose subnets have the address.
std::optional<Mac> router_for(Env& env, const Network& network, const IpAddress& address) {
  for (const std::string& name : env.referrers(Table::network, network.name, Table::router)) {
    const Router* router = env.row<Table::router>(name);
    if (router == nullptr) continue;
    for (const RouterPort& p : router->ports) {
      if (p.network != network.name || !p.gateways.empty() || !router->gateways.empty()) continue;
      const auto& subnets = p.subnets.empty() ? network.subnets : p.subnets;
      if (std::any_of(subnets.begin(), subnets.end(),
                      [&](const Prefix& s) { return s.contains(address); }))
        return p.mac;
    }
  }
  return std::nullopt;
}

std::map<std::string, ClientSide> client_sides(Env& env, const LoadBalancer& l) {
  std::map<std::string, ClientSide> out;
  for (const std::string& name : l.networks)
    if (const Network* n = env.row<Table::network>(name)) out[name] = {n, true, {}};
  for (const std::string& name : l.routers) {
    const Router* router = env.row<Table::router>(name);
    if (router == nullptr) continue;
    for (const RouterPort& p : router->ports) {
      const Network* n = p.network.empty() ? nullptr : env.row<Table::network>(p.network);
      if (n == nullptr) continue;
      ClientSide& side = out[p.network];
      side.network = n;
      side.routers.push_back(p.mac);
    }
  }
  return out;
}

/// The MAC that VIPs of a network without a router have there.
Mac balancer_mac(const Network& network) { return Mac::from_u64(0x025649000000ULL + network.vni); }

const char* protocol_of(const LoadBalancer& l, const Vip& vip) {
  const bool is6 = vip.address.is6;
  if (vip.port == 0) return family(is6);
  if (l.protocol == AclProtocol::udp) return is6 ? "udp6" : "udp";
  return is6 ? "tcp6" : "tcp";
}

Prefix host_prefix(const IpAddress& a) { return {a, a.is6 ? 128 : 32}; }

std::string endpoint(const IpAddress& a, std::uint16_t port) {
  if (port == 0) return a.text();
  return a.is6 ? fmt::format("[{}]:{}", a.text(), port) : fmt::format("{}:{}", a.text(), port);
}

class VipFlows {
 public:
  VipFlows(Env& env, const LoadBalancer& balancer, const Vip& vip)
      : balancer_(balancer), vip_(vip), protocol_(protocol_of(balancer, vip)) {
    for (const Backend& b : vip.backends)
      if (!balancer.health_check || b.logical_port.empty() || env.is_up(b.logical_port))
        backends_.push_back(b);
    std::set<std::uint32_t> used{0};
    for (const Backend& b : backends_) {
      auto id = static_cast<std::uint32_t>(hash_string(endpoint(b.address, b.port)));
      while (!used.insert(id).second) ++id;
      ids_.push_back(id);
    }
  }

  /// On one network.
  void clients(const ClientSide& side, std::vector<Flow>& out) const {
    if (side.direct) client("", side, out);
    if (!side.direct)
      for (const Mac& mac : side.routers) client(",dl_dst=" + mac.text(), side, out);
  }

  /// What does not depend on the network.
  void choice(std::vector<Flow>& out) const {
    if (backends_.empty()) return;
    std::string buckets;
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      buckets += fmt::format(",bucket=bucket_id:{},actions=load:0x{:x}->NXM_NX_REG11[],{}", i,
                             ids_[i], go_to(Stage::to_backend));
      backend(backends_[i], ids_[i], out);
    }
    add(Stage::to_backend, 50, of_vip(), fmt::format("group:{}", vip_.group), out);
    out.push_back(group_flow(vip_.group, "type=select" + buckets));
  }

 private:
  std::string of_vip() const { return fmt::format("reg12=0x{:x}", vip_.group); }

  void add(Stage stage, int priority, std::string match, std::string actions,
           std::vector<Flow>& out) const {
    out.push_back(stage_flow(stage, priority, std::move(match), std::move(actions)));
    if (balancer_.cookie != 0) out.back().body.cookie = balancer_.cookie;
  }

  void client(const std::string& to, const ClientSide& side, std::vector<Flow>& out) const {
    std::string match = fmt::format("{},ct_state=+trk+new,{},{}{}", in_datapath(side.network->vni),
                                    protocol_, prefix_match(host_prefix(vip_.address), false), to);
    if (vip_.port != 0) match += fmt::format(",tp_dst={}", vip_.port);
    std::string actions;
    if (backends_.empty())
      actions = balancer_.reject_without_backends ? "reject" : "drop(balance.no_backend)";
    else
      actions = fmt::format("load:0x{:x}->NXM_NX_REG12[],load:0->NXM_NX_REG11[],{}{}", vip_.group,
                            balancer_.affinity_seconds == 0 ? "" : go_to(Stage::affinity) + ",",
                            go_to(Stage::to_backend));
    add(Stage::balance, vip_.port == 0 ? 110 : 120, std::move(match), std::move(actions), out);
  }

  std::string learn() const {
    if (balancer_.affinity_seconds == 0) return {};
    const bool is6 = vip_.address.is6;
    return fmt::format(
        "learn(table={},priority=100,hard_timeout={},eth_type=0x{:x},OXM_OF_METADATA[],"
        "NXM_NX_REG12[],{},load:NXM_NX_REG11[]->NXM_NX_REG11[]),",
        static_cast<unsigned>(Stage::affinity), balancer_.affinity_seconds, is6 ? 0x86dd : 0x800,
        is6 ? "NXM_NX_IPV6_SRC[]" : "NXM_OF_IP_SRC[]");
  }

  void backend(const Backend& b, std::uint32_t id, std::vector<Flow>& out) const {
    add(Stage::to_backend, 100, fmt::format("{},reg11=0x{:x},{}", of_vip(), id, protocol_),
        fmt::format("{}ct(commit,zone={},nat(dst={}),table={})", learn(), kZone,
                    endpoint(b.address, b.port), static_cast<unsigned>(Stage::responder)),
        out);
    const Prefix self = host_prefix(b.address);
    add(Stage::commit, 105,
        fmt::format("{},ct_state=+trk+new,{},{},{}", of_vip(), family(b.address.is6),
                    prefix_match(self, true), prefix_match(self, false)),
        fmt::format("ct(commit,zone={},nat(src={}),table={})", kZone, vip_.address.text(),
                    static_cast<unsigned>(Stage::mirror_to)),
        out);
  }

  const LoadBalancer& balancer_;
  const Vip& vip_;
  const char* protocol_;
  std::vector<Backend> backends_;  // that get connections
  std::vector<std::uint32_t> ids_;
};

/// Who asks for the VIP on its own network is told a MAC, and what is sent there gets on.
void add_vip_answers(Env& env, const ClientSide& side, const Vip& vip, std::vector<Flow>& out) {
  const Network& n = *side.network;
  const auto inside = [&](const Prefix& s) { return s.contains(vip.address); };
  if (std::none_of(n.subnets.begin(), n.subnets.end(), inside)) return;
  const auto router = side.direct ? router_for(env, n, vip.address) : side.routers.front();
  const Mac mac = router ? *router : balancer_mac(n);
  // A port or router that has the address itself answers for it.
  Flow reply = answer(n, vip.address, mac);
  reply.key.priority = 95;
  out.push_back(std::move(reply));
  if (router) return;
  for (const bool is6 : {false, true})
    out.push_back(
        stage_flow(Stage::to_router, 95,
                   fmt::format("{},{},dl_dst={}", in_datapath(n.vni), family(is6), mac.text()),
                   fmt::format("{},{}",
                               is6 ? "move:NXM_NX_IPV6_DST[]->NXM_NX_XXREG1[]"
                                   : "move:NXM_OF_IP_DST[]->NXM_NX_REG4[]",
                               go_to(Stage::resolve))));
}

}  // namespace

Records load_balancer_records(Env& env, const std::string& name) {
  Records out;
  const LoadBalancer* l = env.row<Table::load_balancer>(name);
  if (l == nullptr) return out;
  std::vector<VipFlows> vips;
  std::vector<Flow> shared;
  vips.reserve(l->vips.size());
  for (const Vip& vip : l->vips) vips.emplace_back(env, *l, vip).choice(shared);
  for (const auto& [network, side] : client_sides(env, *l)) {
    std::vector<Flow> flows = shared;
    for (std::size_t i = 0; i < vips.size(); ++i) {
      vips[i].clients(side, flows);
      add_vip_answers(env, side, l->vips[i], flows);
    }
    add_flows(out, network_range(side.network->vni) + "load_balancer/" + name, flows);
  }
  return out;
}

// --- DHCP, DNS -----------------------------------------------------------------------------------

Records dhcp_records(Env& env, const std::string& name) {
  Records out;
  const Port* port = env.row<Table::port>(name);
  const PortPlace place = env.place(name);
  if (port == nullptr || place.vni == 0 || !port->enabled) return out;
  std::vector<Flow> flows;
  const std::string from = fmt::format("{},reg14=0x{:x}", in_datapath(place.vni), place.key);
  for (const std::string* row : {&port->dhcp4, &port->dhcp6}) {
    const DhcpOptions* options = row->empty() ? nullptr : env.row<Table::dhcp_options>(*row);
    if (options == nullptr) continue;
    const bool is6 = options->subnet.address.is6;
    const auto address =
        std::find_if(port->addresses.begin(), port->addresses.end(),
                     [&](const IpAddress& a) { return options->subnet.contains(a); });
    const bool stateless = is6 && is_stateless(*options);
    if (address == port->addresses.end() && !stateless) continue;
    const std::string action =
        dhcp_action(*options, address == port->addresses.end() ? IpAddress{} : *address);
    if (is6) {
      flows.push_back(
          stage_flow(Stage::services, 100, from + ",udp6,tp_src=546,tp_dst=547", action));
      continue;
    }
    for (const std::string& to : {std::string("255.255.255.255"), options->server.text()})
      flows.push_back(stage_flow(Stage::services, 100,
                                 fmt::format("{},udp,nw_dst={},tp_src=68,tp_dst=67", from, to),
                                 action));
  }
  add_flows(out, local_record_key(place) + "/dhcp", flows);
  return out;
}

/// The rows of one network are one table, which the first of them stands for.
Records dns_records(Env& env, const std::string& name) {
  Records out;
  const Dns* row = env.row<Table::dns>(name);
  if (row == nullptr) return out;
  for (const std::string& on : row->networks) {
    const Network* network = env.row<Table::network>(on);
    const auto rows = env.referrers(Table::network, on, Table::dns);
    if (network == nullptr || rows.empty() || rows.front() != name) continue;
    std::map<std::string, std::set<IpAddress>> names;
    for (const std::string& r : rows)
      if (const Dns* dns = env.row<Table::dns>(r))
        for (const auto& [record, addresses] : dns->records)
          names[record].insert(addresses.begin(), addresses.end());
    std::string table;
    for (const auto& [record, addresses] : names) {
      if (addresses.empty()) continue;
      table += (table.empty() ? "" : ",") + record;
      char mark = '=';
      for (const IpAddress& a : addresses) {
        table += std::exchange(mark, '/') + a.text();
      }
    }
    if (table.empty()) continue;
    std::vector<Flow> flows;
    for (const char* udp : {"udp", "udp6"})
      flows.push_back(stage_flow(Stage::services, 90,
                                 fmt::format("{},{},tp_dst=53", in_datapath(network->vni), udp),
                                 fmt::format("dns_reply({}),{}", table, go_to(Stage::to_router))));
    add_flows(out, network_range(network->vni) + "dns/" + name, flows);
  }
  return out;
}

// --- QoS, mirrors --------------------------------------------------------------------------------

Records qos_records(Env& env, const std::string& name) {
  Records out;
  const Qos* qos = env.row<Table::qos>(name);
  const Network* network = qos == nullptr ? nullptr : env.row<Table::network>(qos->network);
  const auto parsed = network == nullptr ? nullptr : env.expression(qos->match);
  if (!parsed) return out;
  Expression e = *parsed;
  if (qos->dscp) {  // which only IP has
    static const Expression ip = parse_expression("ip").value();
    Expression both;
    both.kind = Expression::Kind::all_of;
    if (e.kind == Expression::Kind::all_of)
      both.children = std::move(e.children);
    else
      both.children.push_back(std::move(e));
    both.children.push_back(ip);
    e = std::move(both);
  }
  const auto matches = to_matches(e, EnvNames(env, network->tenant), {kMatchLimit});
  if (!matches) return out;

  const bool from = qos->direction == AclDirection::from_port;
  std::vector<Flow> flows;
  std::string actions;
  if (qos->rate_kbps != 0) {
    actions = fmt::format("meter:{},", qos->meter);
    const std::string burst =
        qos->burst_kbits == 0 ? "" : fmt::format(",burst_size={}", qos->burst_kbits);
    flows.push_back(
        meter_flow(qos->meter, fmt::format("kbps{},band=type=drop,rate={}{}",
                                           burst.empty() ? "" : ",burst", qos->rate_kbps, burst)));
  }
  if (qos->dscp) actions += fmt::format("load:{}->NXM_OF_IP_TOS[2..7],", *qos->dscp);
  actions += go_to(from ? Stage::balance : Stage::commit);
  for (const datapath::Match& m : *matches) {
    const std::string text = datapath::format_match(m);
    flows.push_back(stage_flow(from ? Stage::from_shape : Stage::shape, 2 * qos->priority + 1,
                               in_datapath(network->vni) + (text.empty() ? "" : ",") + text,
                               actions));
  }
  add_flows(out, network_range(network->vni) + "qos/" + name, flows);
  return out;
}

Records mirror_records(Env& env, const std::string& name) {
  Records out;
  const PortPlace place = env.place(name);
  if (place.vni == 0) return out;
  std::string sent, received;
  for (const std::string& row : env.referrers(Table::port, name, Table::mirror)) {
    const Mirror* m = env.row<Table::mirror>(row);
    if (m == nullptr || !m->ports.contains(name)) continue;
    const PortPlace sink = env.place(m->sink);
    if (sink.vni == 0) continue;
    const std::string copy = fmt::format(
        "clone(load:0x{:x}->OXM_OF_METADATA[],load:0x{:x}->NXM_NX_REG14[],"
        "load:0x{:x}->NXM_NX_REG15[],load:0->NXM_OF_IN_PORT[],{}),",
        sink.vni, kMirrorKey, sink.key, go_to(Stage::locate));
    if (m->sent) sent += copy;
    if (m->received) received += copy;
  }
  std::vector<Flow> flows;
  if (!sent.empty())
    flows.push_back(stage_flow(Stage::mirror_from, 100,
                               fmt::format("{},reg14=0x{:x}", in_datapath(place.vni), place.key),
                               sent + go_to(Stage::from_port_ct)));
  if (!received.empty())
    flows.push_back(stage_flow(Stage::mirror_to, 100,
                               fmt::format("{},reg15=0x{:x}", in_datapath(place.vni), place.key),
                               received + go_to(Stage::deliver)));
  add_flows(out, local_record_key(place) + "/mirror", flows);
  return out;
}

}  // namespace weft::control
