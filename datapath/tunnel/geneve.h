// GENEVE (RFC 8926): UDP port 6081, an 8-byte header with a 24-bit VNI and options. The one option
// we know is OVN's, with the logical ports (LogicalPorts). Unknown critical options, options that
// overrun, other versions, other payloads than Ethernet, and control packets (O) are dropped;
// unknown options without the critical bit are skipped.
#pragma once

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::geneve {

inline constexpr std::uint32_t kHeaderSize = 8;
inline constexpr std::uint32_t kPortsOptionSize = 8;

/// Writes header and option at `out` and returns their size.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// Reads the header from the bytes behind UDP. Gives its size with options, or 0 with
/// `result.reason` and `result.detail`.
std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result);

}  // namespace weft::datapath::geneve
