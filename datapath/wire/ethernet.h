// Ethernet II (IEEE 802.3) and the 802.1Q tag. No FCS: frames are kept without it.
#pragma once

#include "datapath/wire/endian.h"

namespace weft::wire {

inline constexpr std::uint16_t kEtherIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherArp = 0x0806;
inline constexpr std::uint16_t kEtherTransparentBridging = 0x6558;
inline constexpr std::uint16_t kEtherVlan = 0x8100;
inline constexpr std::uint16_t kEtherIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherQinQ = 0x88a8;
/// Smaller values of the type field are a length (802.3), not a type.
inline constexpr std::uint16_t kEtherMinType = 0x0600;

struct EthernetHeader {
  Mac dst;
  Mac src;
  be16 type;
};
static_assert(sizeof(EthernetHeader) == 14);

/// What follows an Ethernet type of 0x8100: the tag control information and the type behind it.
struct VlanTag {
  be16 tci;
  be16 type;
  std::uint16_t vid() const { return tci & 0x0fff; }
  std::uint8_t pcp() const { return static_cast<std::uint8_t>(tci >> 13); }
};
static_assert(sizeof(VlanTag) == 4);

static_assert(Header<EthernetHeader> && Header<VlanTag>);

}  // namespace weft::wire
