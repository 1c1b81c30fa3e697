// Action: what a rule does with a packet, as a value, and its text in the syntax of ovs-ofctl.
//
// load, set_field and mod_* are one kind (`set`): a field, a value and a mask. It prints as load
// when it writes a part of a field that is a range of bits, else as set_field.
//
// Beyond ovs-ofctl, and printed as they are read:
//   drop(REASON)                 ends the packet with a reason of drop_reasons.def: drop(policy)
//   arp_reply(MAC)               turns an ARP request into the reply of its target, with MAC, and
//                                sends it back out of in_port
//   nd_reply(MAC)                the same for a neighbour solicitation
//   icmp_error(TYPE,CODE,SOURCE) answers the sender with an ICMP or ICMPv6 error from SOURCE; the
//                                packet itself is dropped
//   icmp_echo_reply              turns an echo request into its reply, back out of in_port
//   flood                        a copy to every port but tunnels, the uplink and in_port
//   dhcp_reply(address=A,server=A,mac=M,...)
//                                answers a DHCP request (dhcp.h), back out of in_port
//   dhcpv6_reply(mac=M,address=A,...)
//                                the same for DHCPv6 (dhcp6.h)
//   dns_reply(NAME=A/A,...)      answers a query over UDP for one of the names (dns.h), back out of
//                                in_port; for any other packet the rule goes on
//   reject, reject(SOURCE)       refuses an IP packet: a TCP reset, or an ICMP or ICMPv6 error
//                                (replies.h), back out of in_port; the packet itself is dropped
//   reject(table=N)              the same, but the answer goes on in a table, with the fields as
//                                they are now (registers, tunnel, in_port) and its own headers
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"
#include "datapath/dhcp.h"
#include "datapath/dhcp6.h"
#include "datapath/dns.h"
#include "datapath/flow_key.h"
#include "datapath/match.h"
#include "datapath/nat_spec.h"
#include "datapath/verdict.h"

namespace weft::datapath {

enum class ActionKind : std::uint8_t {
  output,        ///< port, max_length
  output_field,  ///< source: the port's number is in a field
  in_port,
  flood,
  drop,        ///< reason
  set,         ///< field, value, mask
  move,        ///< source range to field range
  resubmit,    ///< port (kSamePort: unchanged), table (kSameTable: unchanged)
  goto_table,  ///< table
  dec_ttl,     ///< ids
  ct,
  ct_clear,
  push_vlan,  ///< number: type
  pop_vlan,
  note,        ///< text
  arp_reply,   ///< mac
  nd_reply,    ///< mac
  icmp_error,  ///< type, code, address
  icmp_echo_reply,
  dhcp_reply,    ///< dhcp
  all,           ///< a copy to every port but in_port
  group,         ///< number
  meter,         ///< number
  learn,         ///< learn
  controller,    ///< controller
  clone,         ///< nested, on a copy of the packet and the fields
  push,          ///< source range onto the stack
  pop,           ///< stack to target range
  exit,          ///< nothing further, in no table
  reject,        ///< address: that ICMP errors come from, zero: the packet's destination; table
  dns_reply,     ///< dns
  dhcpv6_reply,  ///< dhcp6
  multipath,     ///< target = one of `number` links by `hash`; links 0 .. number - 1
};

/// Bits [from, from + bits) of a field, as in NXM_NX_REG0[0..15].
struct FieldRange {
  Field field{};
  std::uint8_t from = 0;
  std::uint8_t bits = 0;
  bool operator==(const FieldRange&) const = default;
};

/// How multipath() chooses: what it hashes, and the link for a hash.
struct Multipath {
  enum class Fields : std::uint8_t { eth_src, symmetric_l3, symmetric_l3l4, symmetric_l3l4_udp };
  enum class Choice : std::uint8_t {
    modulo_n,  ///< hash mod n
    hrw,       ///< highest random weight: another n moves few flows
  };
  Fields fields{};
  Choice choice{};
  std::uint16_t basis = 0;
  bool operator==(const Multipath&) const = default;
};

/// Copies a packet to the owner of the switch.
struct ControllerSpec {
  std::uint16_t max_length = 0xffff;  ///< bytes that the owner wants to see
  std::uint8_t reason = 1;            ///< 0: no match, 1: an action, 2: invalid TTL
  std::uint16_t id = 0;
  std::vector<std::uint8_t> userdata;
  bool operator==(const ControllerSpec&) const = default;
};

/// A part of the rule that learn() adds: what of a packet becomes what of the rule.
struct LearnSpec {
  enum class Kind : std::uint8_t {
    match,   ///< `target` of the match becomes the value
    load,    ///< an action that writes the value to `target`
    output,  ///< an action that sends to the port whose number is in `source`
  };
  Kind kind = Kind::match;
  bool immediate = false;  ///< the value is `value`, else that of `source`
  FieldRange target{};
  FieldRange source{};
  Ip6 value{};
  bool operator==(const LearnSpec&) const = default;
};

struct Learn {
  std::uint8_t table = 1;
  std::uint16_t priority = 32768;
  std::uint16_t idle_timeout = 0;
  std::uint16_t hard_timeout = 0;
  std::uint64_t cookie = 0;
  std::vector<LearnSpec> specs;
  bool operator==(const Learn&) const = default;
};

struct Action {
  static constexpr std::uint32_t kSamePort = 0xfff8;
  static constexpr std::uint32_t kLocalPort = 0xfffe;  ///< LOCAL: the port of that kind
  static constexpr std::uint16_t kSameTable = 0xff;
  static constexpr std::uint16_t kNoTable = 0xff;

  ActionKind kind = ActionKind::drop;
  std::uint32_t port = 0;
  std::uint16_t max_length = 0;  ///< output: the packet is cut to so many bytes; 0: it is not
  /// ct: where the packet goes on; reject: where the answer does. kNoTable: nowhere.
  std::uint16_t table = kNoTable;
  DropReason reason = DropReason::rule_drop;
  FieldRange target{};  ///< set (whole field) and move
  FieldRange source{};  ///< move, output_field, ct zone
  Ip6 value{};          ///< set
  Ip6 mask{};
  Mac mac{};
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  IpAddress address{};
  std::vector<std::uint16_t> ids;  ///< dec_ttl: controllers that are told; none: 0
  bool commit = false;             ///< ct
  bool force = false;              ///< ct
  bool zone_from_field = false;    ///< ct: zone is in `source`, else in `zone`
  std::uint16_t zone = 0;
  NatSpec nat{};               ///< ct
  std::vector<Action> nested;  ///< ct: exec(...); clone
  std::string text;            ///< note
  std::uint32_t number = 0;    ///< group, meter, multipath, push_vlan
  ControllerSpec controller{};
  std::vector<Learn> learn;       ///< one, if it is learn
  std::vector<DhcpLease> dhcp;    ///< one, if it is dhcp_reply
  std::vector<Dhcp6Lease> dhcp6;  ///< one, if it is dhcpv6_reply
  SharedDns dns;
  Multipath multipath{};

  bool operator==(const Action&) const = default;
};

/// The rule that actions are written for: its match says which fields its packets have.
struct ActionScope {
  const Match* match = nullptr;
  std::uint8_t table = 0;
};

/// "output:1,resubmit(,5)"; without a scope (groups) any field may be written. Errors carry the
/// column (1-based) within `text`, shifted by `column`.
Result<std::vector<Action>> parse_actions(std::string_view text, int column = 1,
                                          const PortNames* names = nullptr,
                                          const ActionScope* scope = nullptr);
/// Canonical text, which ovs-ofctl reads (but for weft's own actions); "drop" for an empty list.
/// Fields have the names that they have in packets of `match`.
std::string format_actions(const std::vector<Action>& actions, const Match* match = nullptr);

}  // namespace weft::datapath
