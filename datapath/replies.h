// Frames that the switch makes in answer to one: ARP replies, neighbour advertisements, ICMP errors
// and echo replies. Each takes a fresh packet from the pool (its id, tenant and parent are set by
// the caller) and leaves the original as it is; nullptr means that no answer is due.
#pragma once

#include "base/net_types.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

/// RFC 826: the reply of the request's target, which has `mac`.
bool make_arp_reply(const Packet& request, const ParsedHeaders& parsed, Mac mac, Packet& reply);

/// RFC 4861, 7.2.4: solicited and overriding, with the target's MAC as an option; to all nodes if
/// the solicitation came from the unspecified address (duplicate address detection).
bool make_nd_reply(const Packet& solicitation, const ParsedHeaders& parsed, Mac mac, Packet& reply);

/// RFC 792, 1191, 4443. `word` is the second word of the ICMP header (the MTU, else 0). Quotes as
/// much of the original as fits 576 bytes (IPv4) or 1280 (IPv6). None is due (false) to an ICMP
/// error, a later fragment, a multicast or broadcast, or if `source` is of the other family.
bool make_icmp_error(const Packet& about, const ParsedHeaders& parsed, std::uint8_t type,
                     std::uint8_t code, std::uint32_t word, const IpAddress& source, Packet& error);

/// Turns a copy of an echo request into its reply.
void turn_into_echo_reply(Packet& copy, const ParsedHeaders& parsed);

}  // namespace weft::datapath
