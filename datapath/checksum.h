// The Internet checksum (RFC 1071), its incremental update (RFC 1624) and what builds on it.
//
// Sums are kept in two forms: a running 64-bit sum that has not been folded (add as many 16-bit
// big-endian words to it as you like), and a folded 16-bit sum. A checksum field holds the
// complement of the folded sum. Everything that covers a payload takes Payload::sum(), so the
// checksum of a simulated guest's segment costs the same for 1 byte and for 64 KB.
#pragma once

#include <cstdint>
#include <span>

#include "base/net_types.h"

namespace weft {

class Packet;
namespace datapath {
struct ParsedHeaders;
}

/// Ones-complement sum as big-endian words, an odd last byte padded with zero; not folded.
std::uint64_t sum_bytes(std::span<const std::uint8_t> bytes, std::uint64_t start = 0);

constexpr std::uint16_t fold_sum(std::uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// The folded sum of bytes that start at an odd position of what is summed up.
constexpr std::uint16_t swap_sum(std::uint16_t folded) {
  return static_cast<std::uint16_t>(folded << 8 | folded >> 8);
}

/// Complement of the sum of the bytes: what goes into a checksum field (that was zero).
inline std::uint16_t checksum_of(std::span<const std::uint8_t> bytes, std::uint64_t start = 0) {
  return static_cast<std::uint16_t>(~fold_sum(sum_bytes(bytes, start)));
}

/// RFC 1624 equation 3: the new checksum when a 16-bit word covered by it changes.
constexpr std::uint16_t update_checksum(std::uint16_t checksum, std::uint16_t old_word,
                                        std::uint16_t new_word) {
  return static_cast<std::uint16_t>(
      ~fold_sum(static_cast<std::uint64_t>(static_cast<std::uint16_t>(~checksum)) +
                static_cast<std::uint16_t>(~old_word) + new_word));
}
/// The same for 32 bits (an IPv4 address, a sequence number) at an even position.
constexpr std::uint16_t update_checksum32(std::uint16_t checksum, std::uint32_t old_value,
                                          std::uint32_t new_value) {
  const std::uint32_t not_old = ~old_value;
  return static_cast<std::uint16_t>(
      ~fold_sum(static_cast<std::uint64_t>(static_cast<std::uint16_t>(~checksum)) +
                (not_old >> 16) + (not_old & 0xffff) + (new_value >> 16) + (new_value & 0xffff)));
}

/// Sums of the pseudo headers; `length` is that of the layer-4 header and payload. Not folded.
constexpr std::uint64_t pseudo_header_sum(Ip4 src, Ip4 dst, std::uint8_t protocol,
                                          std::uint32_t length) {
  return static_cast<std::uint64_t>(src.value >> 16) + (src.value & 0xffff) + (dst.value >> 16) +
         (dst.value & 0xffff) + protocol + (length >> 16) + (length & 0xffff);
}
constexpr std::uint64_t pseudo_header_sum(const Ip6& src, const Ip6& dst, std::uint8_t protocol,
                                          std::uint32_t length) {
  std::uint64_t sum = protocol + (length >> 16) + (length & 0xffff);
  for (std::uint64_t half : {src.high, src.low, dst.high, dst.low})
    sum += (half >> 48) + (half >> 32 & 0xffff) + (half >> 16 & 0xffff) + (half & 0xffff);
  return sum;
}

/// Folded sum of the frame's bytes [from, to), headers and payload; constant time in the payload if
/// that is a stream. from <= header_size(), to <= size().
std::uint16_t sum_range(const Packet& packet, std::uint32_t from, std::uint32_t to);

/// Sets the IPv4 header's checksum; the header at `l3` must be whole.
void finish_ipv4_checksum(Packet& packet, std::uint32_t l3);

/// Sets the checksum of the TCP, UDP, ICMP or ICMPv6 header behind the IPv4 or IPv6 header at `l3`
/// (found by its version nibble), and the IPv4 header's own. Extension headers are walked.
/// The lengths in the IP header must be right and the layer-4 header must lie in the header area.
/// Fragments and other protocols are left alone. A UDP checksum that comes out as 0 becomes 0xffff.
void finish_l4_checksum(Packet& packet, std::uint32_t l3);

/// What verify_checksums found. `ok` is also the answer where there is nothing to check.
enum class ChecksumFault : std::uint8_t {
  ok,
  ipv4_header,
  tcp,
  udp,
  icmp,
  icmpv6,
  inner,  ///< some checksum of the frame inside a tunnel
};
const char* to_string(ChecksumFault fault);

/// Checks every checksum of the frame: IPv4 header, TCP, UDP (0 over IPv4: none), ICMP, ICMPv6.
/// With `inner`, also those of the frame inside a tunnel. A frame that cannot be parsed, a
/// fragment, and an unknown protocol have nothing to check beyond what was reached.
ChecksumFault verify_checksums(const Packet& packet, bool inner = false);
/// The same for a frame that has been parsed, outer headers only.
ChecksumFault verify_checksums(const Packet& packet, const datapath::ParsedHeaders& parsed);

}  // namespace weft
