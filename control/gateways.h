// Gateways: router ports that are in one place, though the router is everywhere.
//
// A gateway port is a port of a router on a network with candidates: its own (a distributed gateway
// port), or those of a router that is pinned whole. One of the candidates *has* it: of those that
// are alive the one with the highest priority (the controller elects, and says so in a record,
// n/.../gw/...). Three sets of flows, none of which knows who that is:
//
//   entry     on the network, everywhere: what is for the router is sent to who has the port, and
//             what external ports bring is left to who has it
//   redirect  of the router, everywhere: what leaves by the port is sent to who has it. A pinned
//             router has none: it exists at its candidates only
//   here      where the port is, above the other two: the way in and out, the neighbours, answers
//
// What is sent carries the port that the packet came in by (stages.h); encapsulations without keys
// carry the router port's MAC as source instead, and the router port is unknown where it arrives: a
// policy that names an ingress port does not match there.
//
// Neighbours on the external network are those that ports have (a port's addresses, the external
// port's own), and those that say who they are: ARP and ND that an external port brings teach a
// rule of Stage::neighbour, which is forgotten ten minutes after its last use. A vSwitch asks
// nobody: an address that never spoke has no neighbour entry, and packets for it are dropped as
// route.neighbour. For the same reason a new gateway announces nothing: it has the old one's MACs
// and the fabric learns where they are from its first packet.
//
// Limits: a gateway that cannot be heard but still forwards goes on as if it had the port until
// its rules change. Connections that it had translated are not known to the next one; floating
// addresses are picked up again, source NAT is not.
#pragma once

#include <string>
#include <vector>

#include "control/logical.h"
#include "control/records.h"

namespace weft::control {

/// reg0 bit 2.
inline constexpr const char* kFromOutside = "reg0=0x4/0x4";

bool is_gateway_port(const Router& router, const RouterPort& port);
/// Candidates, best first.
std::vector<Gateway> candidates_of(const Router& router, const RouterPort& port);
GatewayId gateway_id(const Router& router, const RouterPort& port);

std::vector<Flow> gateway_entry_flows(const RouterView::Side& side, const Router& router);
std::vector<Flow> gateway_redirect_flows(const RouterView::Side& side, const Router& router);
std::vector<Flow> gateway_here_flows(const RouterView::Side& side, const Router& router);

/// What an address of the router on the network of a gateway port needs: answers there, the way in.
void add_address(const Network& network, const Router& router, const RouterPort& port,
                 const IpAddress& address, std::vector<Flow>& entry, std::vector<Flow>& here);

/// On the host of an external port: who is who outside.
std::vector<Flow> learning_flows(const Network& network, const Port& port);
/// On every host of its network: next hops that nobody inside has.
std::vector<Flow> neighbour_flows(const Network& network);

/// "load metadata, load reg14, go to the router's first stage".
std::string enter_router(const Router& router, std::uint32_t port_number);

}  // namespace weft::control
