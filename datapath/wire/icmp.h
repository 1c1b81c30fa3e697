// ICMP (RFC 792, 1191), ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861).
#pragma once

#include "datapath/wire/endian.h"

namespace weft::wire {

inline constexpr std::uint8_t kIcmpEchoReply = 0;
inline constexpr std::uint8_t kIcmpUnreachable = 3;
inline constexpr std::uint8_t kIcmpRedirect = 5;
inline constexpr std::uint8_t kIcmpEchoRequest = 8;
inline constexpr std::uint8_t kIcmpTimeExceeded = 11;
inline constexpr std::uint8_t kIcmpParameterProblem = 12;
// Codes of kIcmpUnreachable.
inline constexpr std::uint8_t kIcmpNetUnreachable = 0;
inline constexpr std::uint8_t kIcmpHostUnreachable = 1;
inline constexpr std::uint8_t kIcmpPortUnreachable = 3;
inline constexpr std::uint8_t kIcmpFragmentationNeeded = 4;

inline constexpr std::uint8_t kIcmpv6Unreachable = 1;
inline constexpr std::uint8_t kIcmpv6TooBig = 2;
inline constexpr std::uint8_t kIcmpv6TimeExceeded = 3;
inline constexpr std::uint8_t kIcmpv6ParameterProblem = 4;
inline constexpr std::uint8_t kIcmpv6EchoRequest = 128;
inline constexpr std::uint8_t kIcmpv6EchoReply = 129;
inline constexpr std::uint8_t kNdRouterSolicitation = 133;
inline constexpr std::uint8_t kNdRouterAdvertisement = 134;
inline constexpr std::uint8_t kNdNeighbourSolicitation = 135;
inline constexpr std::uint8_t kNdNeighbourAdvertisement = 136;
inline constexpr std::uint8_t kNdRedirect = 137;

/// Both ICMP and ICMPv6: type, code, checksum and one word whose meaning the type gives.
struct IcmpHeader {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be16 word_high;  ///< echo: identifier; fragmentation needed (v4): 0
  be16 word_low;   ///< echo: sequence; fragmentation needed (v4): next-hop MTU

  be16& identifier() { return word_high; }
  be16& sequence() { return word_low; }
  std::uint16_t identifier() const { return word_high; }
  std::uint16_t sequence() const { return word_low; }
  /// ICMPv6 packet too big: the MTU takes the whole word.
  std::uint32_t mtu6() const { return static_cast<std::uint32_t>(word_high) << 16 | word_low; }
  void set_mtu6(std::uint32_t mtu) {
    word_high = static_cast<std::uint16_t>(mtu >> 16);
    word_low = static_cast<std::uint16_t>(mtu);
  }
};
static_assert(sizeof(IcmpHeader) == 8 && Header<IcmpHeader>);

/// Neighbour solicitation and advertisement: ICMPv6 types 135 and 136.
struct NdNeighbour {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be32 flags;  ///< advertisement: router, solicited, override; solicitation: 0
  Ip6Field target;

  static constexpr std::uint32_t kRouter = 0x80000000;
  static constexpr std::uint32_t kSolicited = 0x40000000;
  static constexpr std::uint32_t kOverride = 0x20000000;
};
static_assert(sizeof(NdNeighbour) == 24 && Header<NdNeighbour>);

/// ICMPv6 type 134.
struct NdRouterAdvertisement {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  std::uint8_t hop_limit;
  std::uint8_t flags;     ///< 0x80 managed, 0x40 other
  be16 router_lifetime;   ///< seconds
  be32 reachable_time;    ///< milliseconds
  be32 retransmit_timer;  ///< milliseconds
};
static_assert(sizeof(NdRouterAdvertisement) == 16 && Header<NdRouterAdvertisement>);

inline constexpr std::uint8_t kNdOptionSourceMac = 1;
inline constexpr std::uint8_t kNdOptionTargetMac = 2;
inline constexpr std::uint8_t kNdOptionPrefix = 3;
inline constexpr std::uint8_t kNdOptionMtu = 5;

/// Start of every ND option; `length` counts 8-byte units and is never 0.
struct NdOption {
  std::uint8_t type;
  std::uint8_t length;
};
struct NdMacOption {
  std::uint8_t type;    ///< 1 source, 2 target
  std::uint8_t length;  ///< 1
  Mac mac;
};
static_assert(sizeof(NdMacOption) == 8 && Header<NdMacOption> && Header<NdOption>);

struct NdPrefixOption {
  std::uint8_t type;           ///< 3
  std::uint8_t length;         ///< 4
  std::uint8_t prefix_length;  ///< bits
  std::uint8_t flags;          ///< 0x80 on-link, 0x40 autonomous
  be32 valid_lifetime;         ///< seconds
  be32 preferred_lifetime;     ///< seconds
  be32 reserved;
  Ip6Field prefix;
};
static_assert(sizeof(NdPrefixOption) == 32 && Header<NdPrefixOption>);

struct NdMtuOption {
  std::uint8_t type;    ///< 5
  std::uint8_t length;  ///< 1
  be16 reserved;
  be32 mtu;
};
static_assert(sizeof(NdMtuOption) == 8 && Header<NdMtuOption>);

/// The MAC in the ND option of `type` among `options` (the bytes behind the fixed part), if there.
/// An option of length 0 or one that overruns ends the search (RFC 4861 says discard).
inline const Mac* find_nd_mac(std::span<const std::uint8_t> options, std::uint8_t type) {
  std::size_t at = 0;
  while (options.size() - at >= sizeof(NdMacOption)) {
    const auto* option = view<NdOption>(options, at);
    const std::size_t bytes = option->length * 8u;
    if (bytes == 0 || bytes > options.size() - at) return nullptr;
    if (option->type == type) return &view<NdMacOption>(options, at)->mac;
    at += bytes;
  }
  return nullptr;
}

}  // namespace weft::wire
