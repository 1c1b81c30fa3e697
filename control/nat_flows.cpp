// NAT as flows of the gateway port that an external address is reached by (gateways.h), or, for a
// floating address with a MAC of its own, of the hypervisor that has the port behind it.
//
// A router has two zones of connection tracking where it translates, one for source and one for
// destination NAT, so that one packet can have both done to it:
//
//   in (reg14 = gateway port, dst = external)
//     undo       ct(snat zone, nat)      replies: dst becomes the inside address
//     dnat       ct(dnat zone, nat)      known connections: dst becomes the inside address
//     translate  ct(commit, nat(dst))    new ones
//   out (reg9 = gateway port)
//     undnat     ct(dnat zone, nat)      replies: src becomes the external address
//     snat       ct(commit, nat(src))    the others, by the longest prefix of their source
//
// Hairpin: what leaves by the gateway port for an external address of the router turns round there
// and comes in again, translated in both ways, so that the answer comes back the same way.
#include <fmt/format.h>

#include <algorithm>

#include "control/agent.h"
#include "control/compile_env.h"
#include "control/gateways.h"
#include "control/routing.h"

namespace weft::control {
namespace {

/// The router port that the external address is reached by; null: there is none.
const RouterPort* port_of(Env& env, const Router& router, const Nat& nat) {
  std::uint32_t number = 0;
  if (!nat.gateway.empty()) {
    number = port_number(router, nat.gateway);
  } else if (!router.gateways.empty()) {
    number = port_towards(env, router, nat.external);
  } else {
    const auto has = [](const RouterPort& p) { return !p.gateways.empty(); };
    if (std::count_if(router.ports.begin(), router.ports.end(), has) == 1)
      number =
          port_number(router, std::find_if(router.ports.begin(), router.ports.end(), has)->label());
  }
  if (number == 0) return nullptr;
  const RouterPort& port = router.ports[number - 1];
  return is_gateway_port(router, port) ? &port : nullptr;
}

std::string ct(const std::string& what, Stage next, std::uint16_t zone, const std::string& nat) {
  return fmt::format("ct({}table={},zone={},{})", what, static_cast<unsigned>(next), zone, nat);
}

class Translation {
 public:
  Translation(const Router& router, std::uint32_t number, const Nat& nat)
      : nat_(nat),
        here_(in_datapath(datapath_of(router))),
        family_(family(nat.external.is6)),
        in_(fmt::format("{},reg14=0x{:x},{}", here_, number, family_)),
        out_(fmt::format("{},reg9=0x{:x},{}", here_, number, family_)),
        snat_(snat_zone(router.key)),
        dnat_(dnat_zone(router.key)) {
    const std::uint8_t all = nat.external.is6 ? 128 : 32;
    to_external_ = prefix_match({nat.external, all}, false);
    from_external_ = prefix_match({nat.external, all}, true);
    from_inside_ = prefix_match(nat.logical, true);
    is_dnat_ = nat.kind != Nat::Kind::snat;
    is_snat_ = nat.kind != Nat::Kind::dnat;
  }

  std::vector<Flow> flows() {
    add(Stage::router_input, 95, in_ + "," + to_external_, go_to(Stage::router_undo));
    // For an external address and nothing knows it.
    add(Stage::route, 40'000, in_ + "," + to_external_, "drop(route.none)");
    if (is_snat_) add_source();
    if (is_dnat_) add_destination();
    return std::move(flows_);
  }
  /// Behind the translation: what is for an external address comes in again.
  std::vector<Flow> hairpin(std::uint32_t number) {
    add(Stage::router_output, 110, out_ + "," + to_external_,
        fmt::format("ct_clear,load:0x{:x}->NXM_NX_REG14[],load:0->NXM_NX_REG9[],{}", number,
                    go_to(Stage::router_input)));
    return std::move(flows_);
  }
  /// Where the port is: its way out does not lead to the gateway.
  std::vector<Flow> distributed(const Network& outside, const Router& router,
                                std::uint32_t number) {
    const std::string mac = nat_.external_mac.text();
    Flow reply = answer(outside, nat_.external, nat_.external_mac);
    reply.key.priority = 110;
    add(Stage::responder, 110,
        question(fmt::format("{},{}", in_datapath(outside.vni), kFromOutside), nat_.external),
        reply.body.actions);
    add(Stage::to_router, 110,
        fmt::format("{},{},dl_dst={}", in_datapath(outside.vni), family_, mac),
        enter_router(router, number));
    add(Stage::router_egress, 120, out_ + "," + from_inside_, go_to(Stage::router_undnat));
    add(Stage::router_output, 120, out_ + "," + from_external_,
        "ct_clear," + output_actions(nat_.external_mac, outside));
    return std::move(flows_);
  }

 private:
  void add(Stage stage, int priority, const std::string& match, std::string actions) {
    flows_.push_back(stage_flow(stage, priority, match, std::move(actions)));
    if (nat_.cookie != 0) flows_.back().body.cookie = nat_.cookie;
  }
  void add_source() {
    add(Stage::router_undo, 100, fmt::format("{},{},{}", here_, family_, to_external_),
        ct("", Stage::router_dnat, snat_, "nat"));
    const bool ranged = nat_.external_ports != AclPorts{};
    const std::string address = nat_.external.is6 && ranged
                                    ? fmt::format("[{}]", nat_.external.text())
                                    : nat_.external.text();
    const std::string ports =
        ranged ? fmt::format(":{}-{}", nat_.external_ports.first, nat_.external_ports.last) : "";
    add(Stage::router_snat, 100 + 2 * nat_.logical.length + (is_dnat_ ? 1 : 0),
        out_ + "," + from_inside_,
        ct("commit,", Stage::router_output, snat_, fmt::format("nat(src={}{})", address, ports)));
  }
  void add_destination() {
    const std::string to = fmt::format("{},{},{}", here_, family_, to_external_);
    add(Stage::router_dnat, 100, to, ct("", Stage::router_translate, dnat_, "nat"));
    // Through the same stage once more: nothing there matches it then.
    add(Stage::router_translate, 100, to + ",ct_state=+trk+new",
        ct("commit,", Stage::router_translate, dnat_,
           fmt::format("nat(dst={})", nat_.logical.address.text())));
    add(Stage::router_undnat, 100, out_ + "," + from_inside_,
        ct("", Stage::router_snat, dnat_, "nat"));
    // Replies that have the external address already are no case for source NAT.
    add(Stage::router_snat, 400, out_ + "," + from_external_,
        "ct_clear," + go_to(Stage::router_output));
  }

  const Nat& nat_;
  const std::string here_, family_, in_, out_;
  const std::uint16_t snat_, dnat_;
  std::string to_external_, from_external_, from_inside_;
  bool is_dnat_ = false, is_snat_ = false;
  std::vector<Flow> flows_;
};

void append(std::vector<Flow>& to, std::vector<Flow> what) {
  to.insert(to.end(), std::make_move_iterator(what.begin()), std::make_move_iterator(what.end()));
}

}  // namespace

Records nat_records(Env& env, const std::string& name) {
  Records out;
  const Nat* nat = env.row<Table::nat>(name);
  const Router* router = nat == nullptr ? nullptr : env.row<Table::router>(nat->router);
  if (router == nullptr) return out;
  const RouterPort* port = port_of(env, *router, *nat);
  const Network* network = port == nullptr ? nullptr : env.row<Table::network>(port->network);
  if (network == nullptr) return out;
  const GatewayId id = gateway_id(*router, *port);
  Translation translation(*router, id.port, *nat);
  if (!nat->port.empty() && router->gateways.empty()) {
    const PortPlace place = env.place(nat->port);
    if (place.vni == 0) return out;
    std::vector<Flow> flows = translation.flows();
    append(flows, translation.distributed(*network, *router, id.port));
    add_flows(out, local_record_key(place) + "/nat/" + name, flows);
    return out;
  }
  std::vector<Flow> entry, here = translation.flows();
  append(here, translation.hairpin(id.port));
  add_address(*network, *router, *port, nat->external, entry, here);
  add_flows(out, network_range(network->vni) + "nat/" + name, entry);
  add_flows(out, gateway_range(id) + "nat/" + name, here);
  return out;
}

}  // namespace weft::control
