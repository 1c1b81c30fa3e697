// Frames that the switch makes in answer to one: ARP replies, neighbour advertisements, ICMP
// errors, echo replies, TCP resets; and the headers of answers over UDP. Each fills a fresh packet
// (its id, tenant and parent are set by the caller); false means that no answer is due.
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

/// A frame from one station to one station: no group or broadcast address, and a sender that can be
/// answered.
bool has_one_sender_and_receiver(const Packet& packet, const ParsedHeaders& parsed);

/// RFC 9293, 3.10.7.1: the reset that a host sends for a segment to a connection that it does not
/// have. None for a reset, for a later fragment, and for what is not from one host to one.
bool make_tcp_reset(const Packet& segment, const ParsedHeaders& parsed, Packet& reset);

/// The error for a packet that is refused: port unreachable for UDP, else communication
/// administratively prohibited (RFC 1812, 5.2.7.1; RFC 4443, 3.1), from `source`, or in the name of
/// the destination if that is of another family or zero. The reset for TCP.
bool make_rejection(Packet& about, const ParsedHeaders& parsed, const IpAddress& source,
                    Packet& answer);

/// Where an answer over UDP goes, and from where.
struct UdpAnswer {
  Mac to{}, from{};
  IpAddress source{}, target{};
  std::uint16_t src_port = 0, dst_port = 0;
};
/// The addresses of an IP packet, swapped; ports are zero.
UdpAnswer turned_round(const Packet& packet, const ParsedHeaders& parsed);
/// Fills `answer` with everything in front of `length` bytes of data, which are zero: tags and type
/// are those of `original`. Returns the data; the checksums are the caller's to finish.
std::uint8_t* begin_udp_answer(const Packet& original, const ParsedHeaders& parsed,
                               const UdpAnswer& way, std::uint32_t length, Packet& answer);

}  // namespace weft::datapath
