#include "control/gateways.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::control {
namespace {

std::string to_gateway(const Router& router, std::uint32_t number) {
  return fmt::format("load:0x{:x}->NXM_NX_REG14[],load:0x{:x}->NXM_NX_REG15[],{}", number,
                     kGatewayKey + router.key, go_to(Stage::locate));
}

/// Learned rules are of no use to anybody once nobody sends there.
constexpr unsigned kForget = 600;

std::string learn(bool is6, const char* address, const char* mac) {
  return fmt::format(
      "learn(table={},priority=100,idle_timeout={},cookie=0x{:x},OXM_OF_METADATA[],eth_type={},"
      "{}[]={}[],load:{}[]->NXM_OF_ETH_DST[],load:NXM_NX_REG14[]->NXM_NX_REG15[],"
      "load:1->NXM_NX_REG0[3])",
      static_cast<unsigned>(Stage::neighbour), kForget, cookie_of(Stage::neighbour),
      is6 ? "0x86dd" : "0x800", is6 ? "NXM_NX_XXREG1" : "NXM_NX_REG4", address, mac);
}

}  // namespace

bool is_gateway_port(const Router& router, const RouterPort& port) {
  return !port.network.empty() && (!port.gateways.empty() || !router.gateways.empty());
}

std::vector<Gateway> candidates_of(const Router& router, const RouterPort& port) {
  std::vector<Gateway> out = router.gateways.empty() ? port.gateways : router.gateways;
  std::stable_sort(out.begin(), out.end(),
                   [](const Gateway& a, const Gateway& b) { return a.priority > b.priority; });
  return out;
}

GatewayId gateway_id(const Router& router, const RouterPort& port) {
  return {router.key, port_number(router, port.label())};
}

std::string enter_router(const Router& router, std::uint32_t number) {
  return fmt::format("load:0x{:x}->OXM_OF_METADATA[],load:0x{:x}->NXM_NX_REG14[],{}",
                     datapath_of(router), number, go_to(Stage::router_input));
}

void add_address(const Network& n, const Router& router, const RouterPort& port, const IpAddress& a,
                 std::vector<Flow>& entry, std::vector<Flow>& here) {
  const std::string where = in_datapath(n.vni);
  const std::uint32_t number = port_number(router, port.label());
  const std::string mac = fmt::format("mod_dl_dst:{},", port.mac.text());
  const std::string hop = fmt::format("{},{},{}", where, family(a.is6), next_hop_match(a));

  entry.push_back(answer(n, a, port.mac));
  entry.push_back(stage_flow(Stage::responder, 105,
                             question(fmt::format("{},{}", where, kFromOutside), a),
                             "drop(l2.not_for_me)"));
  entry.push_back(stage_flow(Stage::resolve, 100, hop, mac + to_gateway(router, number)));

  here.push_back(answer(n, a, port.mac));
  here.back().key.priority = 110;
  here.push_back(stage_flow(Stage::resolve, 110, hop, mac + enter_router(router, number)));
}

std::vector<Flow> gateway_entry_flows(const RouterView::Side& side, const Router& router) {
  std::vector<Flow> out, here;
  const RouterPort& port = *side.port;
  for (const IpAddress& a : port.addresses) add_address(*side.network, router, port, a, out, here);
  const std::string to_it =
      fmt::format("{},dl_dst={}", in_datapath(side.network->vni), port.mac.text());
  const std::string way = to_gateway(router, port_number(router, port.label()));
  out.push_back(stage_flow(Stage::to_router, 105, fmt::format("{},{}", to_it, kFromOutside),
                           "drop(l2.not_for_me)"));
  for (const bool is6 : {false, true})
    out.push_back(stage_flow(Stage::to_router, 100, fmt::format("{},{}", to_it, family(is6)), way));
  out.push_back(stage_flow(Stage::to_router, 90, to_it, "drop(route.none)"));
  return out;
}

std::vector<Flow> gateway_redirect_flows(const RouterView::Side& side, const Router& router) {
  const RouterPort& port = *side.port;
  const std::string mac = port.mac.text();
  return {stage_flow(
      Stage::router_egress, 100,
      fmt::format("{},reg9=0x{:x}", in_datapath(datapath_of(router)),
                  port_number(router, port.label())),
      fmt::format("mod_dl_src:{},mod_dl_dst:{},load:0x{:x}->OXM_OF_METADATA[],"
                  "load:0x{:x}->NXM_NX_REG15[],{}",
                  mac, mac, side.network->vni, kGatewayKey + router.key, go_to(Stage::locate)))};
}

std::vector<Flow> gateway_here_flows(const RouterView::Side& side, const Router& router) {
  std::vector<Flow> entry, out;
  const RouterPort& port = *side.port;
  const Network& n = *side.network;
  const std::uint32_t number = port_number(router, port.label());
  for (const IpAddress& a : port.addresses) add_address(n, router, port, a, entry, out);
  for (const bool is6 : {false, true})
    out.push_back(
        stage_flow(Stage::to_router, 110,
                   fmt::format("{},{},dl_dst={}", in_datapath(n.vni), family(is6), port.mac.text()),
                   enter_router(router, number)));
  const std::string leaves =
      fmt::format("{},reg9=0x{:x}", in_datapath(datapath_of(router)), number);
  out.push_back(stage_flow(Stage::router_egress, 110, leaves, go_to(Stage::router_undnat)));
  // What translation said of the packet is no business of the ports it goes to.
  out.push_back(stage_flow(Stage::router_output, 101, leaves,
                           fmt::format("ct_clear,{}", output_actions(port.mac, n))));
  return out;
}

std::vector<Flow> learning_flows(const Network& n, const Port& p) {
  const std::string from = fmt::format("{},reg14=0x{:x}", in_datapath(n.vni), p.key);
  const std::string next = "," + go_to(Stage::from_port_ct);
  return {stage_flow(Stage::port_security, 95, from + ",arp",
                     learn(false, "NXM_OF_ARP_SPA", "NXM_NX_ARP_SHA") + next),
          stage_flow(Stage::port_security, 95, from + ",icmp6,icmp_type=135",
                     learn(true, "NXM_NX_IPV6_SRC", "NXM_NX_ND_SLL") + next),
          // Duplicate address detection: nobody has it yet.
          stage_flow(Stage::port_security, 96,
                     from + ",icmp6,icmp_type=135,ipv6_src=::", go_to(Stage::from_port_ct)),
          stage_flow(Stage::port_security, 95, from + ",icmp6,icmp_type=136",
                     learn(true, "NXM_NX_ND_TARGET", "NXM_NX_ND_TLL") + next)};
}

std::vector<Flow> neighbour_flows(const Network& n) {
  return {stage_flow(Stage::resolve, 50, in_datapath(n.vni),
                     fmt::format("load:0->NXM_NX_REG0[3],{},{}", go_to(Stage::neighbour),
                                 go_to(Stage::neighbour_found)))};
}

}  // namespace weft::control
