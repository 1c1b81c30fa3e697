#include "scenarios/swarm/traps.h"

namespace weft::scenarios::swarm {
namespace {

constexpr Trap kTraps[] = {
    {"rule-withdrawn", R"(# An allow is withdrawn while it is in use: the pings must stop arriving.
name: rule-withdrawn
duration: 120ms
underlay: {leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1}}
tenants:
  lab:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups: {vm: {count: 2, network: net}}
    policy:
      default: deny
      rules:
        - {name: pings, allow: {from: vm, to: vm, icmp: any}}
        - {name: web, allow: {from: vm, to: vm, tcp: 80}}
traffic:
  - {name: hello, from: lab/vm-1, to: lab/vm-2, ping: {interval: 2ms}, start: 20ms}
events:
  - {name: withdraw, at: 60ms, policy: {tenant: lab, remove: [pings]}}
)"},
    {"move-before-answer",
     R"(# A client moves while the answer to its ping is far away. Answers are let
# in because the client asked: that knowledge must move along.
name: move-before-answer
duration: 250ms
underlay:
  nodes:
    leaf: {kind: router}
    hv-1: {kind: hypervisor}
    hv-2: {kind: hypervisor}
    hv-3: {kind: hypervisor}
  links: [hv-1--leaf, hv-3--leaf, {between: [hv-2, leaf], delay: 20ms}]
tenants:
  lab:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups:
      client: {count: 1, network: net, place: hv-1, memory: 2MiB, dirty: 1MB/s}
      server: {count: 1, network: net, place: hv-2}
    policy:
      default: deny
      rules:
        - {name: ask, allow: {from: client, to: server, icmp: any}}
traffic:
  - {name: ask, from: lab/client-1, to: lab/server-1, ping: {interval: 100ms, count: 2}, start: 50ms}
events:
  - {name: move, at: 151ms, migrate: {vm: lab/client-1, to: hv-3}}
expect:
  - {migration: move, downtime: {max: 15ms}}
  - {traffic: ask, sent: 2, delivered: 2}
)"},
    {"lossy-transfer",
     R"(# TCP repairs what a bad cable loses; the bytes are checked where they arrive.
name: lossy-transfer
duration: 500ms
underlay:
  leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1}
  host_links: {rate: 1Gbps, delay: 5us, loss: 0.5%}
tenants:
  lab:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups: {vm: {count: 2, network: net}}
traffic:
  - {name: copy, from: lab/vm-1, to: lab/vm-2, bulk: {size: 2MB}, start: 20ms}
)"},
    {"move-past-each-other",
     R"(# Two VMs change places while the controller is slow: what is meant for the
# one that left must not reach the one that came.
name: move-past-each-other
duration: 200ms
underlay: {leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1}}
overlay: {control: {style: central, latency: 15ms}}
tenants:
  lab:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups:
      a: {count: 1, network: net, place: hv-1-1, memory: 2MiB, dirty: 1MB/s}
      b: {count: 1, network: net, place: hv-2-1, memory: 2MiB, dirty: 1MB/s}
      c: {count: 1, network: net, place: hv-2-1}
traffic:
  - {name: to-b, from: lab/c-1, to: lab/b-1, udp: {port: 8000, rate: 10Mbps, size: 500B}, start: 90ms}
events:
  - {name: leave, at: 100ms, migrate: {vm: lab/b-1, to: hv-1-1}}
  - {name: come, at: 105ms, migrate: {vm: lab/a-1, to: hv-2-1}}
)"},
    {"move-while-pinging", R"(# Who pings goes on pinging where it has moved to.
name: move-while-pinging
duration: 200ms
underlay: {leaf_spine: {spines: 1, leaves: 3, hosts_per_leaf: 1}}
tenants:
  lab:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups:
      mover: {count: 1, network: net, place: hv-1-1, memory: 2MiB, dirty: 1MB/s}
      still: {count: 1, network: net, place: hv-2-1}
traffic:
  - {name: out, from: lab/mover-1, to: lab/still-1, ping: {interval: 2ms}, start: 20ms}
  - {name: in, from: lab/still-1, to: lab/mover-1, ping: {interval: 2ms}, start: 20ms}
events:
  - {name: move, at: 60ms, migrate: {vm: lab/mover-1, to: hv-3-1}}
)"},
    {"link-gone-for-good", R"(# A link of the fabric fails and stays dead: everyone takes the other.
name: link-gone-for-good
duration: 150ms
underlay:
  leaf_spine: {spines: 2, leaves: 2, hosts_per_leaf: 2}
  convergence: 5ms
tenants:
  lab:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups: {vm: {count: 4, network: net, place: spread}}
traffic:
  - {name: all, from: lab/vm, to: lab/vm, ping: {interval: 2ms}, start: 20ms}
events:
  - {name: cut, at: 50ms, fail: {link: leaf-1--spine-1}}
)"},
};

}  // namespace

std::span<const Trap> traps() { return kTraps; }

}  // namespace weft::scenarios::swarm
