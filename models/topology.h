// Topology: the underlay as a graph of nodes and links, and the routes that follow from it. Plain
// immutable values shared by all routers (reading them from several threads is safe); what changes
// - which links and nodes are down - is each router's own TopologyView.
//
// Routing. Routers compute shortest paths by link weight over segments: a segment is what is joined
// by links, bridges and hubs (most segments are one link between two routers). For each router one
// Dijkstra gives, per other router, the set of equal-cost first hops, sorted by port; prefixes that
// a router's hosts live in are announced by it. tests/oracle compares this with Boost.Graph.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/net_types.h"
#include "models/event_kinds.h"

namespace weft::models {

enum class NodeRole : std::uint8_t { router, bridge, hub, host };

struct TopologyNode {
  std::string name;
  NodeRole role = NodeRole::router;
  std::vector<IpAddress> addresses;  ///< host: its own; router: its loopback
  int prefix_length = 0;             ///< host: of its subnet
  Mac mac{};                         ///< host: of its port
};

struct TopologyLink {
  std::uint32_t a = 0, b = 0;            ///< nodes
  std::uint16_t port_a = 0, port_b = 0;  ///< port indices within the nodes
  int weight = 1;
};

/// A router's own port: its MAC, and addresses with subnet where hosts are attached.
struct RouterInterface {
  Mac mac{};
  std::vector<std::pair<IpAddress, int>> addresses;
};

struct Topology {
  std::vector<TopologyNode> nodes;
  std::vector<TopologyLink> links;
  /// interfaces[node][port]; MACs for every node, addresses for routers.
  std::vector<std::vector<RouterInterface>> interfaces;
};

/// What a router believes of the world.
struct TopologyView {
  std::vector<bool> link_down, node_down;
  explicit TopologyView(const Topology& t = {})
      : link_down(t.links.size()), node_down(t.nodes.size()) {}
  void apply(TopologyChange change);

 private:
  std::map<std::pair<bool, std::uint32_t>, Outage> outages_;  // (is link, index): what is down
};

struct NextHop {
  std::uint16_t port = 0;
  Mac mac{};
  std::uint32_t node = 0;
  auto operator<=>(const NextHop&) const = default;
};

struct Route {
  Prefix prefix;
  std::vector<NextHop> hops;  ///< sorted by (port, mac); never empty
  bool operator==(const Route&) const = default;
};

/// All routes of one router under a view, sorted by prefix.
std::vector<Route> compute_routes(const Topology& topology, const TopologyView& view,
                                  std::uint32_t router);

}  // namespace weft::models
