// The slow twin of models/topology routing: Boost.Graph's Dijkstra from every router, and from the
// distances the next hops by their definition - a neighbour n is a next hop from s to d if
// w(s, n) + dist(n, d) == dist(s, d). Shares no code with compute_routes.
#pragma once

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dijkstra_shortest_paths.hpp>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "models/topology.h"

namespace weft::oracle {

/// For topologies of routers and hosts joined by links only (no bridges): per destination host
/// address, the set of (port) a router may use.
inline std::map<IpAddress, std::set<std::uint16_t>> next_ports(const models::Topology& t,
                                                               const models::TopologyView& v,
                                                               std::uint32_t self) {
  using Graph =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, boost::no_property,
                            boost::property<boost::edge_weight_t, int>>;
  auto router = [&](std::uint32_t n) { return t.nodes[n].role == models::NodeRole::router; };
  auto alive = [&](std::size_t l) {
    return !v.link_down[l] && !v.node_down[t.links[l].a] && !v.node_down[t.links[l].b];
  };
  Graph g(t.nodes.size());
  for (std::size_t l = 0; l < t.links.size(); ++l)
    if (alive(l) && router(t.links[l].a) && router(t.links[l].b))
      boost::add_edge(t.links[l].a, t.links[l].b, t.links[l].weight, g);
  constexpr int kFar = std::numeric_limits<int>::max();
  auto distances_from = [&](std::uint32_t source) {
    std::vector<int> d(t.nodes.size(), kFar);
    boost::dijkstra_shortest_paths(g, source,
                                   boost::distance_map(boost::make_iterator_property_map(
                                       d.begin(), boost::get(boost::vertex_index, g))));
    return d;
  };
  const auto mine = distances_from(self);
  std::map<IpAddress, std::set<std::uint16_t>> out;
  for (std::size_t h = 0; h < t.links.size(); ++h) {
    if (!alive(h)) continue;
    std::uint32_t r = t.links[h].a, host = t.links[h].b;
    std::uint16_t port = t.links[h].port_a;
    if (router(host)) {
      std::swap(r, host);
      port = t.links[h].port_b;
    }
    if (router(host) || !router(r)) continue;
    const IpAddress address = t.nodes[host].addresses.at(0);
    if (r == self) {
      out[address].insert(port);
      continue;
    }
    if (mine[r] == kFar) continue;
    for (std::size_t l = 0; l < t.links.size(); ++l) {
      if (!alive(l)) continue;
      const auto& e = t.links[l];
      if (e.a != self && e.b != self) continue;
      const std::uint32_t n = e.a == self ? e.b : e.a;
      if (!router(n)) continue;
      const auto theirs = distances_from(n);
      if (theirs[r] != kFar && theirs[r] + e.weight == mine[r])
        out[address].insert(e.a == self ? e.port_a : e.port_b);
    }
  }
  return out;
}

}  // namespace weft::oracle
