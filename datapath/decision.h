// Decision: what the slow path gives back and what the caches hold: a flat list of small steps that
// carries a packet through without any table, the bits of the key the decision rests on, and the
// rules that it counts for.
//
// Steps change words of the key and the same fields in the packet alike (`set`), so after
// recirculation the key is known without reading the packet again. What depends on the packet (an
// address moved into another field) has been looked at, and is a constant here.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/time.h"
#include "datapath/conntrack.h"
#include "datapath/flow_key.h"
#include "datapath/rule.h"
#include "datapath/tunnel/tunnel.h"
#include "datapath/verdict.h"

namespace weft::datapath {

enum class StepKind : std::uint8_t {
  output,       ///< number: port
  tunnel,       ///< number: index of Decision::outers
  set,          ///< word, value, mask: packet and key
  set_key,      ///< word, value, mask: key only (tunnel fields, in_port)
  set_vlan,     ///< value: new tag control information; the frame has a tag
  push_vlan,    ///< number: type (0x8100, 0x88a8), value: tag control information
  pop_vlan,     ///< value: vlan_tci behind it
  track,        ///< ct: zone, number: 1 translates; then the ct_ fields of the key are known
  commit,       ///< ct: zone, value: cookie, number: index of Decision::commits
  aside,        ///< number: how many of the next steps work on a copy that nobody else sees
  recirculate,  ///< number: recirculation id
  arp_reply,    ///< value: MAC
  nd_reply,     ///< value: MAC
  icmp_error,   ///< number: index of Decision::errors
  icmp_echo_reply,
  dhcp_reply,    ///< number: index of Decision::leases
  dhcpv6_reply,  ///< number: index of Decision::leases6
  dns_reply,     ///< number: index of Decision::names. Takes the packet if it has an answer
  reject,        ///< number: index of Decision::errors, whose source and cookie count; value:
                 ///< recirculation id of the answer, 0: it goes back out of in_port
  clone,         ///< number: how many of the next steps work on a copy, which they take
  mirror,        ///< number: port that gets a copy
  meter,         ///< number: index of Decision::meters
  learn,         ///< number: index of Decision::learns
  controller,    ///< number: index of Decision::controllers
  packet_in,     ///< the same with a copy: the packet goes on
  drop,          ///< number: DropReason, value: cookie. Alone, or behind track and commit
};

struct Step {
  StepKind kind = StepKind::drop;
  bool last = false;  ///< takes the packet itself; a step that is not last works on a copy
  std::uint8_t word = 0;
  std::uint16_t zone = 0;
  std::uint32_t number = 0;
  std::uint64_t value = 0;
  std::uint64_t mask = 0;
  bool operator==(const Step&) const = default;
};
static_assert(sizeof(Step) == 32);

struct IcmpErrorStep {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  IpAddress source{};
  std::uint64_t cookie = 0;
  bool operator==(const IcmpErrorStep&) const = default;
};

/// An encapsulation ready to be used, and the figures to check the MTU with.
struct OuterStep {
  TunnelEncap encap{};
  OuterTemplate bytes{};
  std::uint32_t overhead = 0;  ///< bytes beyond the inner frame, outer Ethernet included
  std::uint32_t port = 0;      ///< the tunnel port
  bool operator==(const OuterStep& o) const { return port == o.port && encap == o.encap; }
};

/// A rule in a table, with its statistics. Shared by the table and the decisions that use it, so
/// that a removed rule lives until its last packet has been counted.
struct InstalledRule {
  Rule rule;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  Time added{};
  Time used{};
  std::uint64_t serial = 0;  ///< no other rule of the switch ever has it
};

/// What decisions count for, beside rules.
struct Counter {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// A packet for the owner of the switch.
struct ControllerStep {
  ControllerSpec spec{};
  std::uint8_t table = 0;
  std::uint64_t cookie = 0;
  bool operator==(const ControllerStep&) const = default;
};

struct InstalledMeter;

struct Decision {
  FlowMask mask{};  ///< of the packet part; the rest is zero
  std::vector<Step> steps;
  std::vector<OuterStep> outers;
  std::vector<IcmpErrorStep> errors;
  std::vector<CtCommit> commits;
  std::vector<std::shared_ptr<InstalledRule>> rules;  ///< in the order hit; one may occur twice
  std::bitset<256> tables;                            ///< that were looked up
  std::vector<std::shared_ptr<Counter>> counters;     ///< of groups and buckets
  std::vector<std::shared_ptr<InstalledMeter>> meters;
  std::vector<std::shared_ptr<const Rule>> learns;
  std::vector<ControllerStep> controllers;
  std::vector<DhcpLease> leases;
  std::vector<Dhcp6Lease> leases6;
  std::vector<SharedDns> names;

  bool same_effect(const Decision& o) const {
    return steps == o.steps && outers == o.outers && errors == o.errors && commits == o.commits &&
           meters == o.meters && controllers == o.controllers && leases == o.leases &&
           leases6 == o.leases6 && names == o.names &&
           std::equal(learns.begin(), learns.end(), o.learns.begin(), o.learns.end(),
                      [](const auto& a, const auto& b) { return *a == *b; });
  }
};

}  // namespace weft::datapath
