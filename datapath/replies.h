// Frames that the switch makes in answer to one: ARP replies, neighbour advertisements, ICMP errors
// and echo replies. Each fills a fresh packet (its id, tenant and parent are set by the caller);
// false means that no answer is due.
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

/// build_icmp_error (icmp_error.h) for frames that may have a tag, which the answer then has too.
/// `about` is as before when it returns.
bool make_icmp_error(Packet& about, const ParsedHeaders& parsed, std::uint8_t type,
                     std::uint8_t code, std::uint32_t word, const IpAddress& source, Packet& error);

/// turn_into_echo_reply (icmp_error.h) of a copy of the request, with or without a tag.
bool make_echo_reply(Packet& copy, const ParsedHeaders& parsed);

}  // namespace weft::datapath
