// Routes against Boost.Graph on random graphs with failures; the FIB against a linear scan.
#include "base/random.h"
#include "models/fib.h"
#include "models/topology.h"
#include "tests/catch.h"
#include "tests/oracle/routing_twin.h"

using namespace weft;
using namespace weft::models;

namespace {

Topology random_topology(RandomStream& random) {
  Topology t;
  const auto routers = 2 + random.below(9);
  auto add_node = [&](NodeRole role, IpAddress address) {
    TopologyNode n;
    n.role = role;
    n.addresses = {address};
    n.prefix_length = 24;
    n.mac = Mac::from_u64(0x020000000000 + t.nodes.size());
    n.name = "n" + std::to_string(t.nodes.size());
    t.nodes.push_back(n);
    t.interfaces.emplace_back();
    return static_cast<std::uint32_t>(t.nodes.size() - 1);
  };
  auto add_link = [&](std::uint32_t a, std::uint32_t b, int weight) {
    TopologyLink l;
    l.a = a;
    l.b = b;
    l.port_a = static_cast<std::uint16_t>(t.interfaces[a].size());
    t.interfaces[a].push_back({.mac = t.nodes[a].mac, .addresses = {}});
    l.port_b = static_cast<std::uint16_t>(t.interfaces[b].size());
    t.interfaces[b].push_back({.mac = t.nodes[b].mac, .addresses = {}});
    l.weight = weight;
    t.links.push_back(l);
  };
  for (std::uint32_t r = 0; r < routers; ++r) add_node(NodeRole::router, Ip4{0xac100000 + r});
  for (std::uint32_t r = 1; r < routers; ++r)
    add_link(static_cast<std::uint32_t>(random.below(r)), r, 1 + static_cast<int>(random.below(3)));
  for (std::uint64_t extra = random.below(2 * routers); extra > 0; --extra) {
    const auto a = static_cast<std::uint32_t>(random.below(routers)),
               b = static_cast<std::uint32_t>(random.below(routers));
    if (a != b) add_link(a, b, 1 + static_cast<int>(random.below(3)));
  }
  for (std::uint32_t r = 0; r < routers; ++r) {
    const std::uint32_t subnet = 0x0a000000 + (r << 8);
    const auto hosts = random.below(3);
    for (std::uint32_t h = 0; h < hosts; ++h) {
      const auto host = add_node(NodeRole::host, Ip4{subnet + 1 + h});
      add_link(r, host, 1);
      t.interfaces[r].back().addresses.push_back({Ip4{subnet + 254}, 24});
    }
  }
  return t;
}

}  // namespace

TEST_CASE("routes agree with Boost.Graph on random graphs with failures", "[routing]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    RandomStream random(seed, "topology");
    const Topology t = random_topology(random);
    TopologyView view(t);
    for (std::uint64_t fails = random.below(4); fails > 0; --fails) {
      TopologyChange change;
      change.is_link = random.below(4) != 0;
      change.index = static_cast<std::uint32_t>(
          random.below(change.is_link ? t.links.size() : t.nodes.size()));
      view.apply(change);
    }
    for (std::uint32_t self = 0; self < t.nodes.size(); ++self) {
      if (t.nodes[self].role != NodeRole::router || view.node_down[self]) continue;
      const auto expected = oracle::next_ports(t, view, self);
      Fib fib;
      fib.rebuild(compute_routes(t, view, self), {});
      for (const auto& [address, ports] : expected) {
        std::set<std::uint16_t> got;
        for (const auto& hop : fib.lookup(address).hops) got.insert(hop.port);
        INFO("seed " << seed << " router " << self << " to " << address.text());
        REQUIRE(got == ports);
      }
    }
  }
}

TEST_CASE("a host whose link is down is unreachable at its own leaf", "[routing]") {
  RandomStream random(5, "topology");
  Topology t = random_topology(random);
  for (std::uint32_t l = 0; l < t.links.size(); ++l) {
    const auto host = t.links[l].b;
    if (t.nodes[host].role != NodeRole::host) continue;
    TopologyView view(t);
    view.apply({l, true, false});
    Fib fib;
    fib.rebuild(compute_routes(t, view, t.links[l].a), {});
    REQUIRE(fib.lookup(t.nodes[host].addresses[0]).hops.empty());
  }
}

TEST_CASE("the forwarding table finds the longest prefix, as a linear scan does", "[fib]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomStream random(seed, "fib");
    std::vector<Route> routes;
    std::set<Prefix> used;
    for (int i = 0; i < 60; ++i) {
      Prefix p;
      if (random.below(2) == 0) {
        p.length = static_cast<int>(random.below(33));
        p.address = Ip4{
            static_cast<std::uint32_t>(0x0a000000 | random.below(1 << 12) << 8 | random.below(4)) &
            (p.length == 0 ? 0u : ~0u << (32 - p.length))};
      } else {
        p.length = static_cast<int>(random.below(129));
        Ip6 a{0xfd00000000000000 | random.below(16), random.below(16) << 60 | random.below(4)};
        a.high &= p.length >= 64 ? ~0ULL : p.length == 0 ? 0 : ~0ULL << (64 - p.length);
        a.low &= p.length == 128 ? ~0ULL : p.length <= 64 ? 0 : ~0ULL << (128 - p.length);
        p.address = a;
      }
      if (!used.insert(p).second) continue;
      routes.push_back({p, {{static_cast<std::uint16_t>(i), {}, 0}}});
    }
    const std::vector<IpAddress> own{Ip4{0x0a000102}, Ip6{0xfd00000000000001, 2}};
    Fib fib;
    fib.rebuild(routes, own);
    for (const IpAddress& a : own) {
      REQUIRE(fib.lookup(a).own);
      REQUIRE(fib.lookup(a).hops.empty());
    }
    for (int k = 0; k < 500; ++k) {
      const IpAddress a = random.below(2) == 0
                              ? IpAddress{Ip4{static_cast<std::uint32_t>(
                                    0x0a000000 | random.below(1 << 12) << 8 | random.below(4))}}
                              : IpAddress{Ip6{0xfd00000000000000 | random.below(16),
                                              random.below(16) << 60 | random.below(4)}};
      const Route* best = nullptr;
      for (const auto& r : routes)
        if (r.prefix.contains(a) && (best == nullptr || r.prefix.length > best->prefix.length))
          best = &r;
      const bool mine = std::find(own.begin(), own.end(), a) != own.end();
      const auto [hops, is_own] = fib.lookup(a);
      REQUIRE(is_own == mine);
      if (mine) continue;
      REQUIRE(hops.empty() == (best == nullptr));
      if (best != nullptr) REQUIRE(hops[0].port == best->hops[0].port);
    }
  }
}
