// OTV (draft-hasmit-otv): UDP port 8472, an 8-byte header with an instance id (24 bits) and the id
// of the overlay (24 bits). What OTV does between sites (no flooding of unknown unicast, learning
// by its control plane) is not the wire format's matter.
#pragma once

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::otv {

inline constexpr std::uint32_t kHeaderSize = 8;

/// Writes the header at `out` and returns its size.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// Reads the header from the bytes behind UDP. Gives its size, or 0 with `result.reason` and
/// `result.detail`. Reserved bits are ignored.
std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result);

}  // namespace weft::datapath::otv
