// NVGRE (RFC 7637): GRE straight behind IP with a key and nothing else, protocol type 0x6558. The
// key is the VSID (24 bits) and the FlowID (8 bits), a hash of the inner flow for switches that
// spread by the key. Checksum, sequence and routing bits, another version and reserved VSIDs are
// dropped, and so are frames with an inner 802.1Q tag; a sender strips the tag.
#pragma once

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::nvgre {

inline constexpr std::uint32_t kHeaderSize = 8;

/// Whether a VSID may name a network: 0x1000-0xFFFFFE.
bool valid_vsid(std::uint64_t vsid);

/// Writes the header, FlowID 0, at `out` and returns its size.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// The FlowID of a flow: 1-255 of a hash of it.
std::uint8_t flow_id_of(std::uint32_t hash);

/// Reads the header from the bytes behind IP. Gives its size, or 0 with `result.reason` and
/// `result.detail`.
std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result);

}  // namespace weft::datapath::nvgre
