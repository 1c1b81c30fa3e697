// Where the headers of a frame begin and end. parse_headers() reads a frame once, from Ethernet to
// the end of the transport header, and gives offsets: FlowKey, tunnels, connection tracking,
// checksums and the text form all start from it. It never reads past the header area, keeps no
// pointer and allocates nothing.
//
//   | Ethernet | 802.1Q | IPv4 / IPv6 + extensions | TCP / UDP / ICMP | data ...      | padding |
//   0          .        l3                         l4                 payload         l3_end size
//
// What real stacks do, it does: bytes behind the IP packet's own length are Ethernet padding and
// lie behind `l3_end`; a length that says more than there is, is malformed. Only one 802.1Q (or
// 802.1ad) tag is looked through: with two, `eth_type` is the second tag's. Checksums are another
// matter (checksum.h).
//
// Simulated frames keep all headers in the header area. A frame from a capture or a real port may
// have them in its payload: then the error is `needs_payload` and parse_materialising() moves them.
//
// On an error the fields that were reached before it are right, and the others are zero.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/packet.h"
#include "datapath/verdict.h"

namespace weft::datapath {

enum class ParseError : std::uint8_t {
  none,
  truncated,      ///< the frame ends within a header
  malformed,      ///< a header contradicts itself, the frame's length, or the header before it
  needs_payload,  ///< the frame goes on, but in the payload, where the parser does not look
};

enum class Fragment : std::uint8_t { none, first, later };

struct ParsedHeaders {
  ParseError error = ParseError::none;
  Fragment fragment = Fragment::none;  ///< `later` has no transport header
  std::uint8_t ip_version = 0;         ///< 0: not IP; 4; 6
  std::uint8_t ip_proto = 0;           ///< the transport's, behind IPv6 extension headers
  std::uint8_t tos = 0;                ///< TOS or traffic class
  std::uint8_t ttl = 0;                ///< or hop limit
  bool has_vlan = false;
  std::uint8_t tcp_flags = 0;
  std::uint16_t vlan_tci = 0;
  std::uint16_t eth_type = 0;  ///< behind the tag; below 0x600 it is an 802.3 length
  std::uint16_t l3 = 0;        ///< offset of what follows Ethernet and tag; 0: Ethernet is cut off
  std::uint16_t l4 = 0;        ///< offset of TCP, UDP, ICMP, ICMPv6; 0: none that is known or whole
  std::uint16_t payload = 0;   ///< offset behind the last header that was understood
  std::uint32_t l3_end = 0;    ///< IP and ARP: offset of the end of the packet, else the frame's

  bool ok() const { return error == ParseError::none; }
  bool is_ipv4() const { return ip_version == 4; }
  bool is_ipv6() const { return ip_version == 6; }
  bool is_arp() const { return eth_type == 0x0806 && l3_end != 0; }
  /// Bytes of data behind the transport header.
  std::uint32_t payload_size() const { return l3_end - payload; }
};

/// `headers`: the bytes that are there; `frame_size`: where the frame ends, whatever is there.
/// Ethernet begins at `base` (below 32768); all offsets are from headers.data().
ParsedHeaders parse_bytes(std::span<const std::uint8_t> headers, std::uint32_t frame_size,
                          std::uint32_t base = 0);

/// The same from an IPv4 or IPv6 header at `l3` (told by its version nibble) on.
ParsedHeaders parse_ip(std::span<const std::uint8_t> headers, std::uint32_t frame_size,
                       std::uint32_t l3);

inline ParsedHeaders parse_headers(const Packet& packet) {
  return parse_bytes(packet.headers(), packet.size());
}

/// As parse_headers, but first moves into the header area what of the headers lies in the payload:
/// never answers needs_payload.
ParsedHeaders parse_materialising(Packet& packet);

/// Moves payload into the header area until it has `n` bytes. False if the frame is shorter.
bool ensure_headers(Packet& packet, std::uint32_t n);

/// Cuts the frame to its first `n` bytes (Ethernet padding goes); n <= size().
void trim_frame(Packet& packet, std::uint32_t n);

/// Hash of the flow: addresses, protocol and, unless it is a fragment, ports; for other frames MACs
/// and type. Never depends on anything that a router changes. For ECMP and tunnel source ports.
std::uint32_t flow_hash(const Packet& packet, const ParsedHeaders& parsed, std::uint64_t seed = 0);

const char* to_string(ParseError error);

}  // namespace weft::datapath
