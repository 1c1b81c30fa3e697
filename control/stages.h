// Stages: the tables of one vSwitch, and what they mean to each other. Everything that compiles
// rules (compile.cpp for what has no location, rules.cpp for what has) speaks of tables by these
// names.
//
//   table                 looks at                     does
//    0 admit              in_port                      VM port: metadata = network (its VNI), reg14
//    =
//                                                      the port's key, reg13 = its ct zone.
//                                                      Tunnel port: metadata = tun_id, and with
//                                                      GENEVE or STT reg14, reg15 from it -> 30
//    8 port_security      reg14, MACs, addresses       a port sends only from its own MAC and
//                                                      addresses (ARP and ND bodies too), and no
//                                                      router advertisements or redirects
//    9 from_port_ct       metadata                     networks with policy: ct(zone=reg13)
//   10 from_port_commit   ct_state                     new: commit, so that answers are replies
//   12 responder          ARP, ND                      answers for every known address and gateway;
//                                                      a port's questions about itself pass (they
//                                                      are announcements and collision checks)
//   16 route              eth_dst = router             TTL, echo to the router, subnet -> metadata
//   =
//                                                      destination network, eth_src = router
//   20 resolve            metadata, ip dst             eth_dst, reg15
//   24 l2_lookup          metadata, eth_dst            reg15 = key, or kFloodKey for multicast
//   28 locate             metadata, reg15              local: -> 32. Remote: tun_dst -> 29. Flood:
//                                                      one copy per remote VTEP that has ports of
//                                                      the network, one per local port
//   29 encapsulate        -                            tun_id = metadata, GENEVE option (or STT's
//                                                      context) = reg14 (15 bits) and reg15 (16
//                                                      bits), output tunnel
//   30 from_tunnel        metadata, reg15 | eth_dst    local ports only: nothing that came from a
//                                                      tunnel goes into one. The others carry no
//                                                      keys and find the port by inner eth_dst
//   32 to_port_ct         metadata                     networks with policy: ct(zone=reg13), which
//   is
//                                                      the destination port's zone from here on
//   33 to_port_state      ct_state                     replies and related pass; all else is judged
//   34 classify           metadata, reg15              reg1, reg2 = the port's policy profile
//   35 policy             reg1, reg2, source, ports    allow, deny, or the tenant's default
//   36 commit             ct_state                     new: commit
//   37 deliver            metadata, reg15              output
//
// Policy is evaluated at the destination. A *profile* is the set of destinations named by the
// tenant's rules that a port belongs to (its groups, network, itself, prefixes); ports with equal
// sets share one copy of the rules, so a hypervisor has (sources x profiles) rules and not
// (sources x ports). Sources are addresses: port security makes them true. Priorities: an Acl of
// priority p becomes 2p + 1, a deny 2p + 2 (at most 65535), so that deny beats allow at equal
// priority and never at a lower one; the default has priority 0.
//
// What is judged again: packets in the original direction, established or not, always meet the
// rules, so withdrawing an allow cuts the connections that it opened at their next packet. Replies
// pass by state alone. A port's zone is shared by both directions: what it sends is committed when
// it leaves (even if the other side will refuse it), which is what lets answers in. ARP and ND
// pass the policy.
//
// Known limit, shared with OVN: a port that has sent towards B accepts from B what looks like the
// reply, even if B never got the packet.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft::control {

enum class Stage : std::uint8_t {
  admit = 0,
  port_security = 8,
  from_port_ct = 9,
  from_port_commit = 10,
  responder = 12,
  route = 16,
  resolve = 20,
  l2_lookup = 24,
  locate = 28,
  encapsulate = 29,
  from_tunnel = 30,
  to_port_ct = 32,
  to_port_state = 33,
  classify = 34,
  policy = 35,
  commit = 36,
  deliver = 37,
};

/// "l2-lookup"; empty for a number that is no stage.
std::string_view name_of(Stage stage);

/// reg15 of what goes to every port of the network.
inline constexpr std::uint32_t kFloodKey = 0x8000;

/// Rules that stem from no Acl carry a cookie that names their stage.
inline constexpr std::uint64_t kStageCookie = 1ULL << 63;
constexpr std::uint64_t cookie_of(Stage stage) {
  return kStageCookie | static_cast<std::uint64_t>(stage);
}

}  // namespace weft::control
