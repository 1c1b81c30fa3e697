// Addresses of the field as values: MAC, IPv4, IPv6, either of them, and prefixes. Host byte order
// inside the integers; the wire order is a matter of datapath/wire.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace weft {

struct Mac {
  std::array<std::uint8_t, 6> bytes{};
  constexpr auto operator<=>(const Mac&) const = default;
  /// By words: the default compares arrays, which compilers do out of line.
  constexpr bool operator==(const Mac& o) const {
    if (std::is_constant_evaluated()) return bytes == o.bytes;
    std::uint32_t a, b;
    std::uint16_t c, d;
    __builtin_memcpy(&a, bytes.data(), 4);
    __builtin_memcpy(&b, o.bytes.data(), 4);
    __builtin_memcpy(&c, bytes.data() + 4, 2);
    __builtin_memcpy(&d, o.bytes.data() + 4, 2);
    return a == b && c == d;
  }
  constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }
  constexpr bool is_broadcast() const { return *this == broadcast(); }
  static constexpr Mac broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  constexpr std::uint64_t to_u64() const {
    std::uint64_t v = 0;
    for (auto b : bytes) v = v << 8 | b;
    return v;
  }
  static constexpr Mac from_u64(std::uint64_t v) {
    Mac m;
    for (int i = 5; i >= 0; --i, v >>= 8)
      m.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(v);
    return m;
  }
  std::string text() const;  ///< "02:00:00:00:00:01"
};

struct Ip4 {
  std::uint32_t value = 0;
  constexpr auto operator<=>(const Ip4&) const = default;
  std::string text() const;
};

/// 128 bits, as two halves in host order.
struct Ip6 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  constexpr auto operator<=>(const Ip6&) const = default;
  std::string text() const;  ///< RFC 5952
};

/// An IPv4 or IPv6 address. IPv4 is kept in the low 32 bits of `bits` with is6 = false.
struct IpAddress {
  Ip6 bits{};
  bool is6 = false;
  constexpr IpAddress() = default;
  constexpr IpAddress(Ip4 a) : bits{0, a.value} {}    // NOLINT: implicit by design
  constexpr IpAddress(Ip6 a) : bits(a), is6(true) {}  // NOLINT: implicit by design
  constexpr auto operator<=>(const IpAddress&) const = default;
  constexpr Ip4 v4() const { return {static_cast<std::uint32_t>(bits.low)}; }
  constexpr Ip6 v6() const { return bits; }
  constexpr bool is_zero() const { return bits.high == 0 && bits.low == 0; }
  std::string text() const;
};

/// Address and length: 0-32 or 0-128. Bits beyond the length are kept zero by parse_prefix.
struct Prefix {
  IpAddress address{};
  int length = 0;
  constexpr auto operator<=>(const Prefix&) const = default;
  bool contains(const IpAddress& a) const;
  std::string text() const;
};

Result<Mac> parse_mac(std::string_view text);
Result<IpAddress> parse_ip(std::string_view text);
/// "10.0.1.0/24"; set host bits are an error that names the network that was probably meant.
Result<Prefix> parse_prefix(std::string_view text);

}  // namespace weft
