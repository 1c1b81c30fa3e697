// Ethernet over GRE (RFC 2784, protocol type 0x6558) with the optional key and sequence number of
// RFC 2890. A checksum that is there covers GRE header and payload and is verified; sequence
// numbers are told to the caller and not acted on: Ethernet carries what depends on order itself.
#pragma once

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::gre {

inline constexpr std::uint32_t kMaxHeaderSize = 16;

/// Size of the header with the fields that `encap` asks for: 4-16 bytes.
std::uint32_t size_of(const TunnelEncap& encap);

/// Writes the header at `out`, checksum and sequence number 0, and returns its size.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// Sequence number and checksum of a packet whose GRE header is at `at`.
void finish(Packet& packet, std::uint32_t at, std::uint32_t sequence);

/// Reads the header from the bytes behind IP. Gives its size, or 0 with `result.reason` and
/// `result.detail`. The checksum is the caller's: see checksum_present.
std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result);

/// Of a header that decode() has accepted.
bool checksum_present(std::span<const std::uint8_t> bytes);

}  // namespace weft::datapath::gre
