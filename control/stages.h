// Stages: the tables of one vSwitch, and what they mean to each other. Everything that compiles
// rules (compile.cpp for what has no location, rules.cpp for what has) speaks of tables by these
// names. A logical datapath is a network (its VNI) or a router (kRouterDatapath + its number); the
// one a packet is in is its metadata.
//
// clang-format off
//   table                 looks at                     does
//   -- a network, on the way in --
//    0 admit              in_port                      VM port: metadata = network, reg14 the port's
//                                                      key, reg13 = its ct zone.
//                                                      Tunnel port: metadata = tun_id, and with
//                                                      GENEVE or STT reg14, reg15 from it -> 34
//    2 port_security      reg14, MACs, addresses       a port sends only from its own MAC and
//                                                      addresses (ARP and ND bodies too), and no
//                                                      router advertisements or redirects
//    3 mirror_from        metadata, reg14              copies of what mirrored ports send
//    4 from_port_ct       metadata                     tracked networks: ct(zone=reg13,nat)
//    5 from_port_state    ct_state                     replies and related pass (-> 8)
//    6 from_classify      metadata, reg14              reg1, reg2 = the port's profile
//    7 from_policy        reg1, reg2, reg3, packet     rules on what ports send, tier by tier
//    8 from_shape         metadata, packet             meters and DSCP
//    9 balance            metadata, VIP                new connections to VIPs: reg12 = VIP -> 11
//   10 from_commit        ct_state                     new: commit, so that answers are replies
//   11 to_backend         reg11, reg12                 ct(nat) to the backend reg11 -> 12; if there is
//                                                      none yet, the VIP's group chooses one
//   12 responder          ARP, ND                      answers for every known address and gateway;
//                                                      a port's questions about itself pass (they
//                                                      are announcements and collision checks)
//   13 services           DHCP, DNS                    answers
//   14 to_router          eth_dst = router             metadata = router, reg14 = its port -> 15
//   -- a router --
//   15 router_input       reg14, packet                echo, TTL, its own addresses
//   16 router_undo        ip dst                       gateway: replies back through source NAT
//   17 router_dnat        ip dst                       gateway: ct in the zone of destination NAT
//   18 router_translate   ip dst, ct_state             gateway: new connections to external addresses
//   19 router_balance     -                            free: a router's VIPs are balanced at 9 of the
//                                                      networks on it (see below)
//   20 route              ip dst | src                 reg4 (IPv4) or xxreg1 (IPv6) = next hop, reg9 =
//                                                      router port it leaves by; or reg10 = one of
//                                                      several by the hash of the flow -> 21
//   21 route_member       as 20, reg10                 the next hop of that member
//   22 reroute            packet                       policies: drop, another next hop
//   23 reroute_member     as 22, reg10                 as 21
//   24 router_egress      reg9                         gateway ports: to the gateway that has them
//   25 router_undnat      ip src                       gateway: replies back through destination NAT
//   26 router_snat        ip src                       gateway: source NAT
//   27 router_output      reg9                         TTL - 1, metadata = network, eth_src = the
//                                                      router's; towards a peer router -> 15
//   -- a network, on the way out --
//   28 resolve            metadata, next hop           eth_dst, reg15
//   29 l2_lookup          metadata, eth_dst            reg15 = key, or kFloodKey for multicast
//   32 locate             metadata, reg15              local: -> 40. Remote: tun_dst -> 33. Flood:
//                                                      one copy per remote VTEP that has ports of
//                                                      the network, one per local port
//   33 encapsulate        -                            tun_id = metadata, GENEVE option (or STT's
//                                                      context) = reg14 (15 bits) and reg15 (16
//                                                      bits), output tunnel
//   34 from_tunnel        metadata, reg15 | eth_dst    local ports only: nothing that came from a
//                                                      tunnel goes into one. Encapsulations that
//                                                      carry no keys find the port by inner eth_dst
//   35 affinity           reg12, client                from 9; learned: reg11 = this client's backend
//   40 to_port_ct         metadata                     tracked networks: ct(zone=reg13,nat), which
//                                                      is the destination port's zone from here on
//   41 to_port_state      ct_state                     replies and related pass (-> 44)
//   42 classify           metadata, reg15              reg1, reg2 = the port's profile
//   43 policy             reg1, reg2, reg3, packet     rules on what ports are sent, tier by tier
//   44 shape              metadata, packet             meters and DSCP
//   45 commit             ct_state                     new: commit
//   46 mirror_to          metadata, reg15              copies of what mirrored ports get
//   47 deliver            metadata, reg15              output
// clang-format on
//
// Gateways (gateways.h): what a router sends out by a gateway port goes, with nothing changed,
// through a tunnel of the port's network to the hypervisor that has it, reg15 = kGatewayKey + the
// router's number, reg14 = the router port that it came in by. There it enters the router once
// more. So only that hypervisor knows neighbours on the external network and translates; and TTL,
// policy by ingress and translation are as if the packet had entered there.
//   30 neighbour          next hop                     learned from what external ports bring
//   31 neighbour_found    reg0 bit 3                   on to 32, or nobody answers to that address
//
// Other registers: reg0 bit 0, "this packet is not to be tracked" (a stateless rule allowed it);
// bit 1, "connection tracking calls it invalid"; bit 2, "it came in by an external port"; bit 3,
// "30 knew"; bit 4, "it goes back to the port that it came from"; reg3, the tier; reg12, the VIP's
// group, and reg11, its backend.
//
// Load balancing happens where the client is, in its zone: there the reply finds the translation
// again on its way back (40), whichever way it takes. So a router's VIPs cannot wait until the
// packet is in the router: by then the client's zone has a connection without translation. A
// backend that is its own client is told apart at its port's commit (45): same source and
// destination, by way of a VIP; it gets the VIP as its source, so that its answers come back.
//
// A reject of a rule on what ports are sent (43) is answered where the port is, and the answer has
// to find the sender: it goes on at 14 as if the port had sent it, but without being judged.
//
// Copies of mirrors go to their sink by its key like other packets, with reg14 = kMirrorKey, by
// which the sink's hypervisor knows not to track or judge them. Tunnels that carry no port keys
// carry no copies.
//
// Policy. A *profile* is the set of things (groups, network, itself, prefixes) that the tenant's
// rules judge and a port belongs to, for each direction; ports with equal sets share one copy of
// the rules, so a hypervisor has (sources x profiles) rules and not (sources x ports). Between
// peers, policy is evaluated at the destination and sources are addresses: port security makes them
// true. Priorities: an Acl of priority p becomes 2p + 1, a deny 2p + 2 (at most 65535), so that
// deny beats allow at equal priority and never at a lower one. What no rule of a tier matches goes
// on to the next tier (priority 0), behind the last one to the default.
//
// What is judged again: packets in the original direction, established or not, always meet the
// rules. Withdrawing what allowed a connection cuts it: its next packet is dropped and marks the
// connection (ct_mark bit 0), and marked replies are dropped too; an allow takes the mark away. A
// port's zone is shared by both directions: what it sends is committed when it leaves (even if the
// other side will refuse it), which is what lets answers in. ARP and ND pass the policy.
//
// Known limit, shared with OVN: a port that has sent towards B accepts from B what looks like the
// reply, even if B never got the packet.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft::control {

enum class Stage : std::uint8_t {
  admit = 0,
  port_security = 2,
  mirror_from = 3,
  from_port_ct = 4,
  from_port_state = 5,
  from_classify = 6,
  from_policy = 7,
  from_shape = 8,
  balance = 9,
  from_commit = 10,
  to_backend = 11,
  responder = 12,
  services = 13,
  to_router = 14,
  router_input = 15,
  router_undo = 16,
  router_dnat = 17,
  router_translate = 18,
  router_balance = 19,
  route = 20,
  route_member = 21,
  reroute = 22,
  reroute_member = 23,
  router_egress = 24,
  router_undnat = 25,
  router_snat = 26,
  router_output = 27,
  resolve = 28,
  l2_lookup = 29,
  neighbour = 30,
  neighbour_found = 31,
  locate = 32,
  encapsulate = 33,
  from_tunnel = 34,
  affinity = 35,
  to_port_ct = 40,
  to_port_state = 41,
  classify = 42,
  policy = 43,
  shape = 44,
  commit = 45,
  mirror_to = 46,
  deliver = 47,
};

/// "l2-lookup"; empty for a number that is no stage.
std::string_view name_of(Stage stage);

/// reg15 of what goes to every port of the network.
inline constexpr std::uint32_t kFloodKey = 0x8000;
/// reg15 of what is for every port that takes unknown destinations.
inline constexpr std::uint32_t kUnknownKey = 0xc000;
/// metadata of a router: this and its number. Beyond every VNI: it never travels.
inline constexpr std::uint32_t kRouterDatapath = 0x1000000;
/// reg15 of what is for router `number` at its gateway: this and the number.
inline constexpr std::uint32_t kGatewayKey = 0x8000;
/// reg14 of a mirror's copy; no port has this key.
inline constexpr std::uint32_t kMirrorKey = 0x7fff;

/// Rules that stem from no row with a cookie of its own carry one that names their stage.
inline constexpr std::uint64_t kStageCookie = 1ULL << 63;
constexpr std::uint64_t cookie_of(Stage stage) {
  return kStageCookie | static_cast<std::uint64_t>(stage);
}

}  // namespace weft::control
