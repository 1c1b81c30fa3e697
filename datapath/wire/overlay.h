// VXLAN (RFC 7348) and GENEVE (RFC 8926) headers: what lies between the outer UDP header and the
// inner Ethernet frame. Encoding and decoding are in datapath/tunnel.
#pragma once

#include "datapath/wire/endian.h"

namespace weft::wire {

struct VxlanHeader {
  std::uint8_t flags;
  std::uint8_t reserved1[3];
  be24 vni;
  std::uint8_t reserved2;

  static constexpr std::uint8_t kFlagI = 0x08;
};
static_assert(sizeof(VxlanHeader) == 8 && Header<VxlanHeader>);

struct GeneveHeader {
  std::uint8_t version_options;  ///< version (2 bits), options length in words (6 bits)
  std::uint8_t flags;
  be16 protocol;  ///< 0x6558: an Ethernet frame follows
  be24 vni;
  std::uint8_t reserved;

  static constexpr std::uint8_t kFlagControl = 0x80;   ///< O
  static constexpr std::uint8_t kFlagCritical = 0x40;  ///< C

  unsigned version() const { return version_options >> 6; }
  unsigned options_length() const { return (version_options & 0x3f) * 4u; }
};
static_assert(sizeof(GeneveHeader) == 8 && Header<GeneveHeader>);

struct GeneveOption {
  be16 option_class;
  std::uint8_t type;
  std::uint8_t reserved_length;  ///< low 5 bits: length of the data in words

  static constexpr std::uint8_t kCritical = 0x80;  ///< bit of `type`
  unsigned data_length() const { return (reserved_length & 0x1f) * 4u; }
};
static_assert(sizeof(GeneveOption) == 4 && Header<GeneveOption>);

/// OVN's option with the logical ports: one reserved bit, 15 bits ingress, 16 bits egress.
inline constexpr std::uint16_t kGeneveClassOvn = 0x0102;
inline constexpr std::uint8_t kGeneveTypeOvnPorts = 0x80;

}  // namespace weft::wire
