#include "models/topology.h"

#include <algorithm>
#include <limits>
#include <map>
#include <queue>
#include <tuple>

#include "base/check.h"

namespace weft::models {

void TopologyView::apply(TopologyChange change) {
  auto& bits = change.is_link ? link_down : node_down;
  WEFT_CHECK(change.index < bits.size(), "topology change about element {} of {}", change.index,
             bits.size());
  const auto it = outages_.try_emplace({change.is_link, change.index}).first;
  const bool up = it->second.apply(change);
  bits[change.index] = !up;
  if (up) outages_.erase(it);
}

namespace {

struct Attachment {
  std::uint32_t node;
  std::uint16_t port;
  int weight;
};

/// Routers and hosts joined by links, bridges and hubs that are up.
struct Segment {
  std::vector<Attachment> routers, hosts;
};

std::vector<Segment> find_segments(const Topology& t, const TopologyView& v) {
  // Union-find over links: two links are in one segment if a live bridge or hub joins them.
  std::vector<std::uint32_t> parent(t.links.size());
  for (std::uint32_t i = 0; i < parent.size(); ++i) parent[i] = i;
  auto root = [&](std::uint32_t x) {
    while (parent[x] != x) x = parent[x] = parent[parent[x]];
    return x;
  };
  auto is_repeater = [&](std::uint32_t n) {
    return t.nodes[n].role == NodeRole::bridge || t.nodes[n].role == NodeRole::hub;
  };
  std::vector<std::int64_t> link_of_repeater(t.nodes.size(), -1);
  for (std::uint32_t l = 0; l < t.links.size(); ++l) {
    if (v.link_down[l]) continue;
    for (std::uint32_t n : {t.links[l].a, t.links[l].b}) {
      if (!is_repeater(n) || v.node_down[n]) continue;
      if (link_of_repeater[n] < 0) link_of_repeater[n] = l;
      parent[root(l)] = root(static_cast<std::uint32_t>(link_of_repeater[n]));
    }
  }
  std::vector<std::int64_t> index(t.links.size(), -1);
  std::vector<Segment> segments;
  for (std::uint32_t l = 0; l < t.links.size(); ++l) {
    if (v.link_down[l]) continue;
    const auto& link = t.links[l];
    // A link to a node that is down carries nothing.
    if (v.node_down[link.a] || v.node_down[link.b]) continue;
    const std::uint32_t r = root(l);
    if (index[r] < 0) {
      index[r] = static_cast<std::int64_t>(segments.size());
      segments.emplace_back();
    }
    Segment& s = segments[static_cast<std::size_t>(index[r])];
    for (auto [n, p] : {std::pair{link.a, link.port_a}, std::pair{link.b, link.port_b}}) {
      if (t.nodes[n].role == NodeRole::router) s.routers.push_back({n, p, link.weight});
      if (t.nodes[n].role == NodeRole::host) s.hosts.push_back({n, p, link.weight});
    }
  }
  return segments;
}

void merge(std::vector<NextHop>& into, const std::vector<NextHop>& from) {
  into.insert(into.end(), from.begin(), from.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

Prefix subnet_of(IpAddress a, int length) {
  Prefix p{a, length};
  const int drop = (a.is6 ? 128 : 32) - length;
  if (drop >= 128) {
    p.address.bits = {};
  } else if (drop >= 64) {
    p.address.bits.low = 0;
    p.address.bits.high &= drop == 64 ? ~0ULL : ~0ULL << (drop - 64);
  } else if (drop > 0) {
    p.address.bits.low &= ~0ULL << drop;
  }
  return p;
}

}  // namespace

std::vector<Route> compute_routes(const Topology& t, const TopologyView& v, std::uint32_t self) {
  const auto segments = find_segments(t, v);
  struct Edge {
    std::uint32_t to;
    std::uint16_t port, far_port;
    int weight;
  };
  std::vector<std::vector<Edge>> edges(t.nodes.size());
  for (const auto& s : segments)
    for (const auto& x : s.routers)
      for (const auto& y : s.routers)
        if (x.node != y.node) edges[x.node].push_back({y.node, x.port, y.port, x.weight});

  // Dijkstra from self; first-hop sets travel along the tight edges.
  constexpr auto kFar = std::numeric_limits<std::int64_t>::max();
  std::vector<std::int64_t> distance(t.nodes.size(), kFar);
  std::vector<std::vector<NextHop>> first(t.nodes.size());
  using Item = std::pair<std::int64_t, std::uint32_t>;
  std::priority_queue<Item, std::vector<Item>, std::greater<>> queue;
  if (!v.node_down[self]) {
    distance[self] = 0;
    queue.push({0, self});
  }
  while (!queue.empty()) {
    auto [d, n] = queue.top();
    queue.pop();
    if (d != distance[n]) continue;
    for (const auto& e : edges[n]) {
      const std::int64_t nd = d + e.weight;
      if (nd > distance[e.to]) continue;
      if (nd < distance[e.to]) {
        distance[e.to] = nd;
        first[e.to].clear();
        queue.push({nd, e.to});
      }
      if (n == self) {
        merge(first[e.to], {{e.port, t.interfaces[e.to][e.far_port].mac, e.to}});
      } else {
        merge(first[e.to], first[n]);
      }
    }
  }

  // Who announces what: a router announces the subnets of its interfaces as they are configured
  // (whether hosts live there or not), and each host by itself where a subnet spans routers.
  std::map<Prefix, std::vector<std::uint32_t>> announced;
  for (std::uint32_t n = 0; n < t.nodes.size(); ++n) {
    if (t.nodes[n].role != NodeRole::router || distance[n] == kFar) continue;
    for (const auto& address : t.nodes[n].addresses)
      announced[{address, address.is6 ? 128 : 32}].push_back(n);
    for (const auto& i : t.interfaces[n])
      for (const auto& [address, length] : i.addresses) {
        auto& who = announced[subnet_of(address, length)];
        if (who.empty() || who.back() != n) who.push_back(n);
      }
  }
  std::map<Prefix, std::size_t> configured;  // subnet -> number of routers it is configured on
  for (std::uint32_t n = 0; n < t.nodes.size(); ++n) {
    std::vector<Prefix> mine;
    for (const auto& i : t.interfaces[n])
      for (const auto& [address, length] : i.addresses) mine.push_back(subnet_of(address, length));
    std::sort(mine.begin(), mine.end());
    mine.erase(std::unique(mine.begin(), mine.end()), mine.end());
    for (const auto& p : mine) ++configured[p];
  }
  std::map<Prefix, std::vector<NextHop>> routes;
  std::map<Prefix, std::int64_t> cost;
  auto offer = [&](const Prefix& p, std::int64_t d, const std::vector<NextHop>& hops) {
    auto [it, fresh] = cost.try_emplace(p, d);
    if (!fresh && d > it->second) return;
    if (!fresh && d < it->second) {
      it->second = d;
      routes[p].clear();
    }
    merge(routes[p], hops);
  };
  for (const auto& [prefix, who] : announced)
    for (std::uint32_t n : who)
      if (n != self) offer(prefix, distance[n], first[n]);
  for (const auto& s : segments)
    for (const auto& h : s.hosts) {
      const auto& host = t.nodes[h.node];
      for (const auto& address : host.addresses) {
        const Prefix exact{address, address.is6 ? 128 : 32};
        const bool spread = configured[subnet_of(address, host.prefix_length)] != 1;
        for (const auto& r : s.routers) {
          if (r.node == self) {
            offer(exact, 0, {{r.port, host.mac, h.node}});
          } else if (spread && distance[r.node] != kFar) {
            offer(exact, distance[r.node], first[r.node]);
          }
        }
      }
    }
  std::vector<Route> out;
  out.reserve(routes.size());
  for (auto& [prefix, hops] : routes)
    if (!hops.empty()) out.push_back({prefix, std::move(hops)});
  return out;
}

}  // namespace weft::models
