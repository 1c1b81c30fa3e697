// Hashes that are part of results: fixed functions of their input, equal on every machine and
// compiler (unlike std::hash). Chain128 is the running hash of which run digests are made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weft {

/// 64x64 -> 128 bit multiply, folded. The building block of everything below.
constexpr std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) {
  const unsigned __int128 p = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(p) ^ static_cast<std::uint64_t>(p >> 64);
}

/// Mixes two words into one well-spread word.
constexpr std::uint64_t mix64(std::uint64_t a, std::uint64_t b = 0) {
  return fold_multiply(a ^ 0x9E3779B97F4A7C15ULL, b ^ 0xE7037ED1A0B428DBULL);
}

/// Hash of bytes with a seed (XXH3-64: fixed by its specification).
std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t hash_string(std::string_view text, std::uint64_t seed = 0);

/// A chained 128-bit hash: order matters, every word matters.
struct Chain128 {
  std::uint64_t low = 0x243F6A8885A308D3ULL;
  std::uint64_t high = 0x13198A2E03707344ULL;

  constexpr void add(std::uint64_t a, std::uint64_t b) {
    low = fold_multiply(low ^ a, 0xA0761D6478BD642FULL) + b;
    high = fold_multiply(high ^ b, 0xE7037ED1A0B428DBULL) + (low ^ a);
  }
  void add_bytes(std::span<const std::byte> bytes);
  constexpr bool operator==(const Chain128&) const = default;
  /// 32 hexadecimal digits.
  std::string text() const;
};

}  // namespace weft
