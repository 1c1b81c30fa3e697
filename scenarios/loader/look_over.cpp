// What cannot work, or not as meant, but is no error: seen when the whole scenario is there.
#include <fmt/format.h>

#include <algorithm>

#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

bool same_match(const PolicyRuleSpec& a, const PolicyRuleSpec& b) {
  const auto same_peer = [](const PeerSpec& x, const PeerSpec& y) {
    return x.kind == y.kind && x.index == y.index && x.prefix == y.prefix;
  };
  const auto same_ports = [](const PortRange& x, const PortRange& y) {
    return x.first == y.first && x.last == y.last;
  };
  return same_peer(a.from, b.from) && same_peer(a.to, b.to) && a.protocol == b.protocol &&
         std::equal(a.ports.begin(), a.ports.end(), b.ports.begin(), b.ports.end(), same_ports);
}

void warn_of_shadowed_rules(Context& context, const PolicySpec& policy) {
  constexpr std::size_t kCompared = 2000;  // pairs grow with the square; beyond, nobody reads it
  const std::size_t n = std::min(policy.rules.size(), kCompared);
  for (std::size_t j = 1; j < n; ++j) {
    for (std::size_t i = 0; i < j; ++i) {
      const PolicyRuleSpec &a = policy.rules[i], &b = policy.rules[j];
      if (!same_match(a, b)) continue;
      // Higher priority decides; at equal priority a deny; among equals the first.
      const bool b_wins = b.priority != a.priority ? b.priority > a.priority : a.allow && !b.allow;
      const PolicyRuleSpec& loser = b_wins ? a : b;
      const PolicyRuleSpec& winner = b_wins ? b : a;
      context.diag.warning(loser.place,
                           fmt::format("rule `{}` never decides: `{}` (line {}) matches the same",
                                       loser.name, winner.name, winner.place.line),
                           "remove one, or change its priority");
      break;
    }
  }
}

/// A guest fragments nothing: a datagram or ping beyond its MTU never leaves it.
void warn_of_large_packets(Context& context) {
  const Scenario& scenario = context.scenario;
  for (const TrafficSpec& t : scenario.traffic) {
    if (t.kind != TrafficKind::ping && t.kind != TrafficKind::udp) continue;
    const std::uint64_t packet = t.size.bytes + (t.ipv6 ? 48 : 28);  // IP, and ICMP or UDP
    for (const PairSpec& pair : t.pairs) {
      std::uint32_t mtu = UINT32_MAX;
      if (pair.from.tenant) {
        const TenantSpec& tenant = scenario.tenants[*pair.from.tenant];
        mtu = tenant.networks[tenant.vms[pair.from.index].network].mtu;
      } else {
        for (const LinkSpec& link : scenario.underlay.links)
          if (link.a == pair.from.index || link.b == pair.from.index) mtu = link.mtu;
      }
      if (packet <= mtu) continue;
      context.diag.warning(
          t.place,
          fmt::format("`{}`: every packet has {} bytes with its headers, but {} has MTU {} and "
                      "fragments nothing: all are dropped there as route.too_big",
                      t.name, packet, endpoint_name(scenario, pair.from), mtu),
          fmt::format("a `size` of {}B at most, or a larger `mtu`", mtu - (t.ipv6 ? 48 : 28)));
      break;
    }
  }
}

/// Pre-copy that makes no headway: what is sent in a round is dirtied again meanwhile.
void warn_of_endless_copies(Context& context) {
  const Scenario& scenario = context.scenario;
  for (const EventSpec& event : scenario.events) {
    if (!event.migrate) continue;
    const VmSpec& vm = vm_of(scenario, event.migrate->vm);
    std::uint64_t bps = UINT64_MAX;
    for (const LinkSpec& link : scenario.underlay.links)
      if (link.a == vm.host || link.b == vm.host) bps = link.rate.bps / 5 * 4;
    if (event.migrate->bandwidth) bps = event.migrate->bandwidth->bps;
    if (bps == 0 || vm.dirty_per_second.bytes < bps / 8) continue;
    context.diag.warning(
        event.place,
        fmt::format("`{}` cannot converge: `{}` dirties {}/s of memory and the copy sends {} at "
                    "most, so that stop-and-copy moves all that is dirty after round {}",
                    event.name, vm.name, format_bytes(vm.dirty_per_second), format_rate({bps}),
                    event.migrate->max_rounds),
        "more `bandwidth`, less `dirty`, or fewer `max_rounds` for a shorter move");
  }
}

}  // namespace

void look_over(Context& context) {
  const Scenario& scenario = context.scenario;
  warn_of_large_packets(context);
  warn_of_endless_copies(context);
  std::uint32_t mtu = UINT32_MAX;
  const LinkSpec* narrowest = nullptr;
  for (const LinkSpec& link : scenario.underlay.links) {
    if (link.mtu < mtu) mtu = link.mtu, narrowest = &link;
  }
  const std::uint32_t overhead = tunnel_overhead(scenario);
  for (const TenantSpec& tenant : scenario.tenants) {
    for (const NetworkSpec& network : tenant.networks) {
      if (narrowest == nullptr || network.mtu + overhead <= mtu) continue;
      context.diag.warning(
          network.place,
          fmt::format("network {}/{} (MTU {}) does not fit the underlay: tunnels need MTU {}, link "
                      "`{}` has {}",
                      tenant.name, network.name, network.mtu, network.mtu + overhead,
                      narrowest->name, mtu),
          fmt::format("raise the links' mtu to {} or lower the network's to {}",
                      network.mtu + overhead, mtu - overhead));
    }
    if (tenant.policy) warn_of_shadowed_rules(context, *tenant.policy);
  }
}

}  // namespace weft::scenarios
