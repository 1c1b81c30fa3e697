// VXLAN (RFC 7348): UDP port 4789, an 8-byte header with the I flag and a 24-bit VNI.
#pragma once

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::vxlan {

inline constexpr std::uint32_t kHeaderSize = 8;

/// Writes the header at `out` and returns its size.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// Reads the header from the bytes behind UDP. Gives its size, or 0 with `result.reason` and
/// `result.detail`. Reserved bits are ignored.
std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result);

}  // namespace weft::datapath::vxlan
