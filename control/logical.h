// Logical flows of each thing of the intent, as pure functions of its rows. No locations, no
// OpenFlow port numbers: those join in rules.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/flow.h"
#include "control/intent.h"

namespace weft::control {

/// The zone of the local port at hand, as ct() names it.
inline constexpr const char* kZone = "NXM_NX_REG13[0..15]";

/// Where a port's MAC is multicast or broadcast.
inline constexpr const char* kMulticast = "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00";

/// Flows that every hypervisor with this network has. `tracked`: its tenant has a policy.
std::vector<Flow> network_flows(const Network& network, bool tracked);

/// A router with what its ports lead to.
struct RouterView {
  struct Side {
    const RouterPort* port = nullptr;
    const Network* network = nullptr;  ///< or
    const Router* peer = nullptr;      ///< another router, which it enters
    std::uint32_t peer_number = 0;     ///< by this port
    /// Directly connected prefixes.
    const std::vector<Prefix>& subnets() const {
      return port->subnets.empty() && network != nullptr ? network->subnets : port->subnets;
    }
  };
  const Router* router = nullptr;
  std::vector<Side> sides;
};
/// Number of a port within its router, from 1; 0: there is no such port. In reg14 and reg9.
std::uint32_t port_number(const Router& router, const std::string& label);
/// metadata of the router.
inline std::uint32_t datapath_of(const Router& router) { return kRouterDatapath + router.key; }

/// Flows on the network of a side, by which packets get into the router. Not for gateway ports
/// (gateways.h).
std::vector<Flow> router_entry_flows(const RouterView::Side& side, const Router& router);
/// Out of the router by a port with this MAC into a network: TTL - 1, on to Stage::resolve.
std::string output_actions(const Mac& mac, const Network& network);
/// Flows of the router itself: its answers, connected routes, the way out.
std::vector<Flow> router_flows(const RouterView& view);
/// Priority of a route in Stage::route: longer prefixes first; connected, then static, by source.
int route_priority(const Prefix& prefix, bool connected, bool by_source);
/// Sets out for `next_hop` (none: the destination) by router port `number`.
std::string route_actions(bool is6, const std::optional<IpAddress>& next_hop, std::uint32_t number);
/// "reg4=0xa000001" or "xxreg1=0x...": the next hop.
std::string next_hop_match(const IpAddress& a);

/// Flows that let others reach a port: answers for it, its neighbour entry, its L2 entry.
std::vector<Flow> port_flows(const Network& network, const Port& port);

/// "nw_src=10.0.0.0/8", "ipv6_dst=fd00::1".
std::string prefix_match(const Prefix& prefix, bool source);
/// "metadata=0x64"
std::string in_datapath(std::uint32_t datapath);
/// "ip", "ipv6"
const char* family(bool is6);
/// A question (ARP, ND) for an address, as a match: `where` and more.
std::string question(const std::string& where, const IpAddress& address);
/// Answers questions for an address in a network.
Flow answer(const Network& network, const IpAddress& address, const Mac& mac);

/// Flows that only the port's own hypervisor needs: port security, announcements, and the
/// classification into `profile` (0: nothing judges it).
std::vector<Flow> local_port_flows(const Network& network, const Port& port, std::uint64_t profile);

/// [first, last] as "value/mask" items of tp_dst, fewest first.
std::vector<std::string> port_masks(const AclPorts& range);

/// fe80::/64 address that follows from the MAC (RFC 4291, appendix A).
Ip6 link_local(const Mac& mac);

}  // namespace weft::control
