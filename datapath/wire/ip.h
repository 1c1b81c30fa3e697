// IPv4 (RFC 791), IPv6 (RFC 8200) with its fragment header, DSCP and ECN (RFC 2474, 3168).
#pragma once

#include "datapath/wire/endian.h"

namespace weft::wire {

inline constexpr std::uint8_t kProtoHopByHop = 0;
inline constexpr std::uint8_t kProtoIcmp = 1;
inline constexpr std::uint8_t kProtoTcp = 6;
inline constexpr std::uint8_t kProtoUdp = 17;
inline constexpr std::uint8_t kProtoRouting = 43;
inline constexpr std::uint8_t kProtoFragment = 44;
inline constexpr std::uint8_t kProtoGre = 47;
inline constexpr std::uint8_t kProtoAuthentication = 51;
inline constexpr std::uint8_t kProtoIcmpv6 = 58;
inline constexpr std::uint8_t kProtoNoNext = 59;
inline constexpr std::uint8_t kProtoDestinationOptions = 60;
inline constexpr std::uint8_t kProtoEtherIp = 97;
inline constexpr std::uint8_t kProtoSctp = 132;

/// The two low bits of TOS / traffic class.
inline constexpr std::uint8_t kEcnMask = 3;
inline constexpr std::uint8_t kEcnNotEct = 0;
inline constexpr std::uint8_t kEcnEct1 = 1;
inline constexpr std::uint8_t kEcnEct0 = 2;
inline constexpr std::uint8_t kEcnCe = 3;

struct Ipv4Header {
  std::uint8_t version_ihl;
  std::uint8_t tos;
  be16 total_length;
  be16 identification;
  be16 flags_fragment;
  std::uint8_t ttl;
  std::uint8_t protocol;
  be16 checksum;
  Ip4Field src;
  Ip4Field dst;

  static constexpr std::uint16_t kDontFragment = 0x4000;
  static constexpr std::uint16_t kMoreFragments = 0x2000;
  static constexpr std::uint16_t kOffsetMask = 0x1fff;  ///< in units of 8 bytes

  unsigned version() const { return version_ihl >> 4; }
  unsigned header_length() const { return (version_ihl & 0x0f) * 4u; }
  bool dont_fragment() const { return (flags_fragment & kDontFragment) != 0; }
  bool is_fragment() const { return (flags_fragment & (kMoreFragments | kOffsetMask)) != 0; }
  bool is_later_fragment() const { return (flags_fragment & kOffsetMask) != 0; }
};
static_assert(sizeof(Ipv4Header) == 20 && Header<Ipv4Header>);

struct Ipv6Header {
  be32 version_class_label;
  be16 payload_length;
  std::uint8_t next_header;
  std::uint8_t hop_limit;
  Ip6Field src;
  Ip6Field dst;

  unsigned version() const { return version_class_label >> 28; }
  std::uint8_t traffic_class() const {
    return static_cast<std::uint8_t>(version_class_label >> 20);
  }
  std::uint32_t flow_label() const { return version_class_label & 0xfffff; }
  void set_first_word(std::uint8_t traffic_class_value, std::uint32_t flow_label_value) {
    version_class_label = 6u << 28 | static_cast<std::uint32_t>(traffic_class_value) << 20 |
                          (flow_label_value & 0xfffff);
  }
};
static_assert(sizeof(Ipv6Header) == 40 && Header<Ipv6Header>);

struct Ipv6FragmentHeader {
  std::uint8_t next_header;
  std::uint8_t reserved;
  be16 offset_flags;  ///< offset in units of 8 bytes << 3 | more-fragments
  be32 identification;

  std::uint16_t offset_bytes() const { return offset_flags & 0xfff8; }
  bool more_fragments() const { return (offset_flags & 1) != 0; }
};
static_assert(sizeof(Ipv6FragmentHeader) == 8 && Header<Ipv6FragmentHeader>);

/// Hop-by-hop, routing and destination options begin alike.
struct Ipv6ExtensionHeader {
  std::uint8_t next_header;
  std::uint8_t length;  ///< in units of 8 bytes, not counting the first 8

  unsigned bytes() const { return (length + 1u) * 8u; }
};
static_assert(sizeof(Ipv6ExtensionHeader) == 2 && Header<Ipv6ExtensionHeader>);

}  // namespace weft::wire
