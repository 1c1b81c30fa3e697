// Underlay addresses, as spec.h describes at NodeSpec. A scheme that people can read off: host N of
// leaf L is 172.16.L.N. What is written in the scenario stays; the rest is filled in around it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "scenarios/loader/ports.h"
#include "scenarios/loader/sections.h"

namespace weft::scenarios {

IpAddress host_address(const Prefix& subnet, std::uint64_t n) {
  if (!subnet.address.is6) return Ip4{subnet.address.v4().value + static_cast<std::uint32_t>(n)};
  Ip6 bits = subnet.address.v6();
  bits.low += n;
  return bits;
}

namespace {

/// Locally administered; the second byte says whose: 48 machines, 52 routers.
Mac underlay_mac(std::uint64_t kind, std::size_t index) {
  return Mac::from_u64(0x020000000000ULL | kind << 32 | (index + 1));
}

/// The last address that a host may have.
std::uint64_t last_host(const Prefix& subnet) {
  const int host_bits = (subnet.address.is6 ? 128 : 32) - subnet.length;
  if (subnet.address.is6) return host_bits >= 16 ? 0xffff : (1ULL << host_bits) - 1;
  if (host_bits == 0) return 0;
  return host_bits == 1 ? 1 : (1ULL << host_bits) - 2;
}

Prefix subnet_of(const IpAddress& address, int length) {
  Prefix prefix{address, length};
  if (!address.is6) {
    const std::uint32_t mask = length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
    prefix.address = Ip4{address.v4().value & mask};
  } else {
    Ip6 bits = address.v6();
    bits.high &= length >= 64 ? ~0ULL : length == 0 ? 0 : ~0ULL << (64 - length);
    bits.low &= length >= 128 ? ~0ULL : length <= 64 ? 0 : ~0ULL << (128 - length);
    prefix.address = bits;
  }
  return prefix;
}

/// The numbered subnets of an underlay and the loopbacks of its routers.
struct Plan {
  bool ipv6 = false;
  std::uint32_t base = 0;  ///< IPv4: of leaf subnets
  int length = 24;

  Prefix leaf(std::uint64_t number) const {
    if (ipv6) return {Ip6{0xfd00'0000'0000'0000ULL | number, 0}, 64};
    return {Ip4{base + static_cast<std::uint32_t>(number << (32 - length))}, length};
  }
  Prefix segment(std::uint64_t number) const {
    if (ipv6) return {Ip6{0xfd01'0000'0000'0000ULL | number, 0}, 64};
    // 192.168/16 holds 255 of them; the rest go to 10.128/9.
    if (number < 256) return {Ip4{0xc0a80000u + static_cast<std::uint32_t>(number << 8)}, 24};
    return {Ip4{0x0a800000u + static_cast<std::uint32_t>(number << 8)}, 24};
  }
  IpAddress loopback(std::uint64_t number) const {
    if (ipv6) return Ip6{0xfd00'0000'0000'0000ULL, number};
    return Ip4{base + static_cast<std::uint32_t>(number)};
  }
};

/// Leaves with their hosts. False: they do not fit, which has been said.
bool plan_leaves(Context& context, Plan& plan) {
  const UnderlaySpec& underlay = context.scenario.underlay;
  plan.ipv6 = underlay.ipv6;
  plan.base = 0xac100000u;  // 172.16.0.0/12
  // Room for the network, the gateway, the broadcast address, and controllers in band.
  const std::uint64_t needed = std::uint64_t{underlay.hosts_per_leaf} + 3 + kMaxControllers;
  while ((1ULL << (32 - plan.length)) < needed) --plan.length;
  const std::uint64_t total = (std::uint64_t{underlay.leaves} + 1) << (32 - plan.length);
  if (total > (1ULL << 20)) plan.base = 0x0a000000u;  // 10.0.0.0/8
  if (total <= (1ULL << 24) || plan.ipv6) return true;
  context.diag.error(underlay.place,
                     fmt::format("{} leaves of {} hosts need more addresses than 10.0.0.0/8 has",
                                 underlay.leaves, underlay.hosts_per_leaf),
                     "use `family: ipv6`, or fewer leaves");
  return false;
}

class Assigner {
 public:
  Assigner(Context& context, const Plan& plan)
      : context_(context), underlay_(context.scenario.underlay), plan_(plan) {
    links_of_.resize(underlay_.nodes.size());
    for (std::size_t i = 0; i < underlay_.links.size(); ++i) {
      links_of_[underlay_.links[i].a].push_back(i);
      links_of_[underlay_.links[i].b].push_back(i);
    }
    for (const NodeSpec& node : underlay_.nodes) {
      if (node.address) take(node, *node.address);
      for (const InterfaceSpec& interface : node.interfaces) take(node, interface.address);
    }
  }

  void leaves() {
    if (!underlay_.leaf_spine) return;
    std::vector<std::uint64_t> next(underlay_.nodes.size(), 0);
    std::vector<std::uint64_t> number(underlay_.nodes.size(), 0);
    std::uint64_t leaf_count = 0, spine_count = 0;
    for (std::size_t i = 0; i < underlay_.nodes.size(); ++i) {
      NodeSpec& node = underlay_.nodes[i];
      if (node.kind != NodeKind::router) continue;
      if (i < underlay_.spines) {
        node.address = plan_.loopback(++spine_count);
        node.prefix_length = plan_.ipv6 ? 128 : 32;
      } else if (i < underlay_.spines + underlay_.leaves) {
        number[i] = ++leaf_count;
        const Prefix subnet = plan_.leaf(leaf_count);
        node.address = host_address(subnet, last_host(subnet));
        node.prefix_length = subnet.length;
      }
    }
    for (std::size_t i = 0; i < underlay_.nodes.size(); ++i) {
      NodeSpec& node = underlay_.nodes[i];
      if (!is_machine(node) || !node.leaf || links_of_[i].empty()) continue;
      const Prefix subnet = plan_.leaf(number[*node.leaf]);
      NodeSpec& leaf = underlay_.nodes[*node.leaf];
      node.address = host_address(subnet, ++next[*node.leaf]);
      node.prefix_length = subnet.length;
      node.gateway = leaf.address;
      leaf.interfaces.push_back({links_of_[i].front(), *leaf.address, subnet.length});
    }
  }

  /// Broadcast domains outside the leaf-spine part: everything that hosts reach without a router.
  void segments() {
    std::vector<bool> seen(underlay_.links.size(), false);
    std::uint64_t number = 0;
    for (std::size_t first = 0; first < underlay_.links.size(); ++first) {
      if (seen[first]) continue;
      std::vector<std::size_t> links{first};
      seen[first] = true;
      bool machines = false, leaf_spine = false;
      std::vector<std::size_t> hosts;
      std::vector<std::pair<std::size_t, std::size_t>> routers;  // node, link
      for (std::size_t next = 0; next < links.size(); ++next) {
        const LinkSpec& link = underlay_.links[links[next]];
        for (const std::size_t end : {link.a, link.b}) {
          const NodeSpec& node = underlay_.nodes[end];
          if (node.kind == NodeKind::router) {
            routers.emplace_back(end, links[next]);
          } else if (is_machine(node)) {
            machines = true;
            leaf_spine = leaf_spine || node.leaf.has_value();
            hosts.push_back(end);
          } else {
            for (const std::size_t l : links_of_[end]) {
              if (!seen[l]) seen[l] = true, links.push_back(l);
            }
          }
        }
      }
      if (!machines || leaf_spine) continue;
      std::sort(hosts.begin(), hosts.end());
      std::sort(routers.begin(), routers.end());
      segment(hosts, routers, ++number);
    }
  }

  void loopbacks() {
    std::uint64_t number = 0;
    for (NodeSpec& node : underlay_.nodes) {
      if (node.kind != NodeKind::router || node.address) continue;
      if (!node.interfaces.empty()) {
        node.address = node.interfaces.front().address;
        node.prefix_length = node.interfaces.front().prefix_length;
        continue;
      }
      do {
        node.address = plan_.loopback(++number);
      } while (taken_.count(*node.address) != 0 || number <= underlay_.spines);
      node.prefix_length = plan_.ipv6 ? 128 : 32;
    }
  }

  void macs() {
    std::set<Mac> used;
    for (NodeSpec& node : underlay_.nodes) {
      if (node.mac == Mac{}) continue;
      if (!used.insert(node.mac).second) {
        context_.diag.error(node.place, fmt::format("the MAC {} is given twice", node.mac.text()));
      }
    }
    for (std::size_t i = 0; i < underlay_.nodes.size(); ++i) {
      NodeSpec& node = underlay_.nodes[i];
      if (node.mac != Mac{}) continue;
      if (is_machine(node)) node.mac = underlay_mac(0x48, i);
      if (node.kind == NodeKind::router) node.mac = underlay_mac(0x52, i);
    }
  }

 private:
  /// A router may have one address on several of its links, as a leaf has.
  void take(const NodeSpec& node, const IpAddress& address) {
    const auto [owner, fresh] = written_.emplace(address, &node);
    taken_.insert(address);
    if (fresh || (owner->second == &node && node.kind == NodeKind::router)) return;
    context_.diag.error(node.place, fmt::format("the address {} is given twice", address.text()));
  }

  void segment(const std::vector<std::size_t>& hosts,
               const std::vector<std::pair<std::size_t, std::size_t>>& routers,
               std::uint64_t number) {
    Prefix subnet = plan_.segment(number);
    bool written = false;
    const auto adopt = [&](const IpAddress& address, int length) {
      if (!written) subnet = subnet_of(address, length);
      written = true;
    };
    for (const std::size_t h : hosts) {
      if (underlay_.nodes[h].address)
        adopt(*underlay_.nodes[h].address, underlay_.nodes[h].prefix_length);
    }
    const auto interface_on = [&](std::size_t router, std::size_t link) -> InterfaceSpec* {
      for (InterfaceSpec& i : underlay_.nodes[router].interfaces) {
        if (i.link == link) return &i;
      }
      return nullptr;
    };
    for (const auto& [router, link] : routers) {
      if (const InterfaceSpec* i = interface_on(router, link)) adopt(i->address, i->prefix_length);
    }

    std::uint64_t next = 1;
    std::uint64_t back = last_host(subnet);
    const auto free_from = [&](bool upwards) -> std::optional<IpAddress> {
      while (next <= back) {
        const IpAddress address = host_address(subnet, upwards ? next++ : back--);
        if (taken_.insert(address).second) return address;
      }
      return std::nullopt;
    };
    std::optional<IpAddress> gateway;
    for (const auto& [router, link] : routers) {
      InterfaceSpec* interface = interface_on(router, link);
      if (interface == nullptr) {
        const auto address = free_from(false);
        if (!address) return too_small(subnet, underlay_.nodes[router]);
        underlay_.nodes[router].interfaces.push_back({link, *address, subnet.length});
        interface = &underlay_.nodes[router].interfaces.back();
      }
      if (!gateway) gateway = interface->address;
    }
    for (const std::size_t h : hosts) {
      NodeSpec& node = underlay_.nodes[h];
      if (!node.address) {
        node.address = free_from(true);
        if (!node.address) return too_small(subnet, node);
        node.prefix_length = subnet.length;
      } else if (!subnet.contains(*node.address) && written && !gateway) {
        context_.diag.warning(
            node.place, fmt::format("{} is outside {} of the others on its wire, and there is "
                                    "no router",
                                    node.address->text(), subnet.text()));
      }
      if (!node.gateway) {
        node.gateway = gateway;
      } else if (!subnet_of(*node.address, node.prefix_length).contains(*node.gateway)) {
        context_.diag.error(
            node.place,
            fmt::format("the gateway {} of `{}` is not in its subnet {}", node.gateway->text(),
                        node.name, subnet_of(*node.address, node.prefix_length).text()));
      }
    }
  }

  void too_small(const Prefix& subnet, const NodeSpec& node) {
    context_.diag.error(node.place,
                        fmt::format("no address left in {} for `{}`", subnet.text(), node.name),
                        "give the hosts `ip:` with a shorter prefix");
  }

  Context& context_;
  UnderlaySpec& underlay_;
  const Plan& plan_;
  std::vector<std::vector<std::size_t>> links_of_;
  std::set<IpAddress> taken_;
  std::map<IpAddress, const NodeSpec*> written_;
};

}  // namespace

void assign_underlay_addresses(Context& context) {
  Plan plan;
  if (!plan_leaves(context, plan)) return;
  Assigner assigner(context, plan);
  assigner.leaves();
  assigner.segments();
  assigner.loopbacks();
  assigner.macs();
}

}  // namespace weft::scenarios
