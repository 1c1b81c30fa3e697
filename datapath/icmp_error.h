// ICMP errors and echo replies as routers, virtual routers and hosts make them: one place for the
// rules of when an error must not be sent, and for what it quotes.
//
// An error quotes the offending IP packet as far as fits: up to 576 bytes of IPv4 (RFC 1812
// 4.3.2.3), up to 1280 bytes of IPv6 (RFC 4443 2.4 c). No error is sent about an ICMP error, a
// fragment other than the first, a packet to a multicast or broadcast address (IPv6: except too
// big), or one whose source does not name a single host.
#pragma once

#include <cstdint>

#include "base/net_types.h"
#include "datapath/packet.h"

namespace weft {

/// The kinds of error in family-neutral form.
enum class IcmpErrorKind : std::uint8_t {
  time_exceeded,
  net_unreachable,
  host_unreachable,
  port_unreachable,
  too_big
};

/// Makes `error` (a fresh packet) the Ethernet frame of an ICMP or ICMPv6 error about the untagged
/// Ethernet frame `about`, sent by `from` back to its source: MACs are those of `about`, swapped.
/// `mtu`: for too_big, bytes of IP packet. Returns false (error untouched) if none may be sent.
bool build_icmp_error(Packet& error, const Packet& about, IcmpErrorKind kind, const IpAddress& from,
                      std::uint32_t mtu = 0);

/// The same with a numeric type and code, for rules that name them.
bool build_icmp_error(Packet& error, const Packet& about, std::uint8_t type, std::uint8_t code,
                      std::uint32_t value, const IpAddress& from);

/// Turns an ICMP(v6) echo request into its reply in place: MACs and addresses swapped, TTL fresh,
/// checksum right. False if the frame is no echo request.
bool turn_into_echo_reply(Packet& packet);

}  // namespace weft
