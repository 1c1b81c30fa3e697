// Router: a physical IP switch - leaf, spine, or `kind: router`.
//
// Per frame: is it for my port's MAC; parse; is it for one of my own addresses; TTL; longest-prefix
// match; ECMP by a hash of the outer 5-tuple mixed with this switch's own seed; MTU of the way out;
// rewrite the MACs; queue. ICMP errors (time exceeded, unreachable, too big) go back to the source,
// from the router's own address, never about ICMP errors, fragments after the first, or multicast
// (RFC 792, RFC 1812 4.3.2.7, RFC 4443 2.4).
//
// Neighbours. The fabric's links are point to point between known interfaces, so next-hop MACs come
// with the routes, as if resolved; the router answers ARP and neighbour solicitations for its own
// interface addresses.
//
// Routes follow the router's view of the topology, which lags a failure by the convergence delay.
#pragma once

#include <memory>
#include <string>

#include "datapath/icmp_error.h"
#include "models/fib.h"
#include "models/node.h"
#include "models/topology.h"

namespace weft::models {

class Router final : public Device {
 public:
  /// `hash_gre_key`: ECMP looks at GRE's key, where NVGRE has its FlowID. All of a fabric alike:
  /// the hash travels with the packet.
  Router(Node node, std::shared_ptr<const Topology> topology, std::uint64_t ecmp_seed,
         bool hash_gre_key = false);
  void handle(sim::Context& context, const sim::Event& event) override;
  Node& node() override { return node_; }
  const std::vector<Route>& routes() const { return routes_; }

 private:
  void forward(std::uint16_t in, Packet* packet);
  void answer_arp(std::uint16_t in, Packet* packet);
  void for_myself(std::uint16_t in, Packet* packet);
  void send_error(std::uint16_t in, const Packet& about, IcmpErrorKind kind, std::uint32_t mtu = 0);
  bool owns(const IpAddress& a) const;
  /// Whether a question about `target` that came in by `in` is answered with this router's MAC: its
  /// own address there, or (RFC 1027) one of the same subnet that it reaches by another port - the
  /// ports of a leaf share a subnet.
  bool answers_for(std::uint16_t in, const IpAddress& target);
  void rebuild();

  Node node_;
  std::shared_ptr<const Topology> topology_;
  TopologyView view_;
  std::vector<Route> routes_;
  Fib fib_;
  std::uint64_t ecmp_seed_;
  bool hash_gre_key_;
  std::vector<IpAddress> own_;  ///< sorted: loopbacks and interface addresses
};

}  // namespace weft::models
