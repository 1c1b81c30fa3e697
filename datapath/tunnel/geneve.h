// GENEVE (RFC 8926): UDP port 6081, an 8-byte header with a 24-bit VNI and up to 252 bytes of
// options. The one option we know is OVN's, with the logical ports (LogicalPorts); callers may know
// others (DecapOptions::known_options). Unknown critical options, lengths that overrun, other
// versions and other payloads than Ethernet are dropped; unknown options without the critical bit
// are skipped. The C bit is set if a critical option is there, and is not believed: the options are
// read in any case. O says control packet: Decap::Status::control.
#pragma once

#include <vector>

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::geneve {

inline constexpr std::uint32_t kHeaderSize = 8;
inline constexpr std::uint32_t kPortsOptionSize = 8;
inline constexpr std::uint32_t kMaxOptions = 252;

/// Appends an option to TunnelEncap::options. `type`'s high bit says critical; data is padded with
/// zeros to whole words. False, and nothing changes, if it is longer than 124 bytes or all options
/// together than 252.
bool append_option(std::vector<std::uint8_t>& options, std::uint16_t option_class,
                   std::uint8_t type, std::span<const std::uint8_t> data);

/// Size of header and options.
std::uint32_t size_of(const TunnelEncap& encap);

/// Writes the header and the option with the ports at `out`, without TunnelEncap::options, which
/// follow (their length is in the header); returns the size of what was written.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// Reads the header from the bytes behind UDP. Gives its size with options, or 0 with
/// `result.reason` and `result.detail`. A control packet is `result.status`.
std::uint32_t decode(std::span<const std::uint8_t> bytes, const DecapOptions& options,
                     Decap& result);

}  // namespace weft::datapath::geneve
