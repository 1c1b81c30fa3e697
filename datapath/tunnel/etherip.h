// EtherIP (RFC 3378): IP protocol 97, two bytes that say version 3, an Ethernet frame. It has no
// identifier and nothing that a switch could hash: one flow per pair of endpoints.
#pragma once

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::etherip {

inline constexpr std::uint32_t kHeaderSize = 2;

/// Writes the header at `out` and returns its size.
std::uint32_t encode(std::uint8_t* out);

/// Reads the header from the bytes behind IP. Gives its size, or 0 with `result.reason` and
/// `result.detail`: another version, or reserved bits that are not zero.
std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result);

}  // namespace weft::datapath::etherip
