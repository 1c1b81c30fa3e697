// Logical flows of each thing of the intent, as pure functions of its rows. No locations, no
// OpenFlow port numbers: those join in rules.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/flow.h"
#include "control/intent.h"

namespace weft::control {

/// Where a port's MAC is multicast or broadcast.
inline constexpr const char* kMulticast = "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00";

/// Flows that every hypervisor with this network has. `tracked`: its tenant has a policy.
std::vector<Flow> network_flows(const Network& network, bool tracked);

/// Flows of a router on one of its networks: gateway answers, routes to the networks in `to`.
struct RouteTarget {
  const Network* network;
  const RouterPort* port;
};
std::vector<Flow> router_flows(const Network& network, const RouterPort& port,
                               const std::vector<RouteTarget>& to);

/// Flows that let others reach a port: answers for it, its neighbour entry, its L2 entry.
std::vector<Flow> port_flows(const Network& network, const Port& port);

/// Flows that only the port's own hypervisor needs: port security, announcements, and with policy
/// the classification into `profile`.
std::vector<Flow> local_port_flows(const Network& network, const Port& port, bool tracked,
                                   std::uint64_t profile);

/// One policy rule for one profile and some of its sources. `any_source`: no match on the source.
std::vector<Flow> acl_flows(const Acl& acl, std::uint64_t profile, bool any_source,
                            const std::vector<Prefix>& sources, bool any_destination,
                            const std::vector<Prefix>& destinations);
Flow default_flow(const Tenant& tenant, std::uint64_t profile);

/// [first, last] as "value/mask" items of tp_dst, fewest first.
std::vector<std::string> port_masks(const AclPorts& range);

/// fe80::/64 address that follows from the MAC (RFC 4291, appendix A).
Ip6 link_local(const Mac& mac);

}  // namespace weft::control
