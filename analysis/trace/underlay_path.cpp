#include "analysis/trace/underlay_path.h"

#include <algorithm>

#include "datapath/wire/ethernet.h"
#include "models/hop.h"

namespace weft::analysis {

using models::NodeRole;

const models::Fib& UnderlayPath::fib(std::uint32_t router) {
  const auto known = fibs_.find(router);
  if (known != fibs_.end()) return known->second;
  const models::Topology& t = *view_.topology;
  std::vector<IpAddress> own = t.nodes[router].addresses;
  for (const auto& interface : t.interfaces[router])
    for (const auto& [address, length] : interface.addresses) own.push_back(address);
  std::sort(own.begin(), own.end());
  models::Fib& fresh = fibs_[router];
  const auto said = view_.routes.find(router);
  if (said != view_.routes.end())
    fresh.rebuild(said->second, own);
  else
    fresh.rebuild(models::compute_routes(t, models::TopologyView(t), router), own);
  return fresh;
}

UnderlayPath::UnderlayPath(const UnderlayView& view) : view_(view) {
  const models::Topology& t = *view.topology;
  links_.resize(t.nodes.size());
  const auto put = [&](std::uint32_t node, std::uint16_t port, std::uint32_t link) {
    auto& of_node = links_[node];
    if (of_node.size() <= port) of_node.resize(std::size_t{port} + 1, UINT32_MAX);
    of_node[port] = link;
  };
  for (std::uint32_t i = 0; i < t.links.size(); ++i) {
    put(t.links[i].a, t.links[i].port_a, i);
    put(t.links[i].b, t.links[i].port_b, i);
  }
}

bool UnderlayPath::cross(Place from, std::uint32_t& link, Place& to) const {
  const auto& of_node = links_[from.node];
  if (from.port >= of_node.size() || of_node[from.port] == UINT32_MAX) return false;
  link = of_node[from.port];
  const auto& l = view_.topology->links[link];
  const bool forward = l.a == from.node && l.port_a == from.port;
  to = forward ? Place{l.b, l.port_b} : Place{l.a, l.port_a};
  return true;
}

bool UnderlayPath::reaches(Place at, std::uint64_t mac, int depth) const {
  const models::Topology& t = *view_.topology;
  std::uint32_t link = 0;
  Place to{};
  if (depth > 64 || !cross(at, link, to)) return false;
  const NodeRole role = t.nodes[to.node].role;
  if (role != NodeRole::bridge && role != NodeRole::hub)
    return t.interfaces[to.node][to.port].mac.to_u64() == mac;
  for (std::uint16_t p = 0; p < t.interfaces[to.node].size(); ++p)
    if (p != to.port && reaches({to.node, p}, mac, depth + 1)) return true;
  return false;
}

// The loader refuses loops of repeaters, so there is one way.
bool UnderlayPath::behind(std::uint32_t repeater, std::uint16_t in, std::uint64_t mac,
                          std::uint16_t& out) {
  const auto& interfaces = view_.topology->interfaces[repeater];
  for (std::uint16_t p = 0; p < interfaces.size(); ++p) {
    if (p == in || !reaches({repeater, p}, mac, 0)) continue;
    out = p;
    return true;
  }
  return false;
}

UnderlayWalk UnderlayPath::follow(std::uint32_t from, Packet& frame) {
  using models::FrameKind;
  const models::Topology& t = *view_.topology;
  UnderlayWalk walk;
  const auto dropped = [&](DropReason reason, std::uint32_t node, std::string where) {
    walk.node = node;
    walk.reason = reason;
    walk.where = std::move(where);
    return walk;
  };
  Place out{from, 0};
  for (int hop = 0; hop < 256; ++hop) {
    std::uint32_t link = 0;
    Place at{};
    if (!cross(out, link, at))
      return dropped(DropReason::no_port, out.node, t.nodes[out.node].name);
    const std::string link_name = link < view_.links.size() ? view_.links[link] : "";
    if (is_down(view_.node_down, out.node))
      return dropped(DropReason::node_down, out.node, t.nodes[out.node].name);
    walk.hops.push_back({true, link, link_name});
    if (is_down(view_.link_down, link)) return dropped(DropReason::link_down, out.node, link_name);
    if (is_down(view_.node_down, at.node))
      return dropped(DropReason::link_down, at.node, link_name);
    const auto& node = t.nodes[at.node];
    walk.hops.push_back({false, at.node, node.name});
    const auto& ethernet = wire::at<wire::EthernetHeader>(frame.data());
    if (node.role == NodeRole::bridge || node.role == NodeRole::hub) {
      if (!behind(at.node, at.port, ethernet.dst.to_u64(), out.port))
        return dropped(DropReason::not_for_me, at.node, node.name);
      out.node = at.node;
      continue;
    }
    const Mac mine = t.interfaces[at.node][at.port].mac;
    if (!(ethernet.dst == mine)) return dropped(DropReason::not_for_me, at.node, node.name);
    if (node.role == NodeRole::host) {
      walk.arrived = true;
      walk.node = at.node;
      return walk;
    }
    const FrameKind kind = models::view_frame(frame);
    if (kind != FrameKind::ipv4 && kind != FrameKind::ipv6)
      return dropped(DropReason::no_route, at.node, node.name);
    const auto [hops, own] = fib(at.node).lookup(models::destination_of(frame, kind));
    if (own) {
      walk.arrived = true;
      walk.node = at.node;
      return walk;
    }
    if (hops.empty()) return dropped(DropReason::no_route, at.node, node.name);
    if (models::ttl_of(frame, kind) <= 1)
      return dropped(DropReason::ttl_expired, at.node, node.name);
    std::size_t choice = 0;
    if (hops.size() > 1) {
      const std::uint64_t seed =
          at.node < view_.ecmp_seeds.size() ? view_.ecmp_seeds[at.node] : at.node;
      choice = models::ecmp_choice(models::route_hash(frame, kind, view_.hash_gre_key), seed,
                                   hops.size());
    }
    walk.hops.back().equal = hops.size();
    const models::NextHop& next = hops[choice];
    std::uint32_t next_link = 0;
    Place beyond{};
    if (cross({at.node, next.port}, next_link, beyond)) {
      const std::uint32_t mtu = next_link < view_.mtu.size() ? view_.mtu[next_link] : 9000;
      if (models::ip_bytes(frame) > mtu) return dropped(DropReason::too_big, at.node, node.name);
    }
    models::decrement_ttl(frame, kind);
    auto& header = wire::at<wire::EthernetHeader>(frame.data());
    header.dst = next.mac;
    header.src = t.interfaces[at.node][next.port].mac;
    out = {at.node, next.port};
  }
  return dropped(DropReason::ttl_expired, out.node, t.nodes[out.node].name);
}

}  // namespace weft::analysis
