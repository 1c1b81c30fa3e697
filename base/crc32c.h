// CRC-32C (Castagnoli), word by word: the one hash that processors have an instruction for. As a
// hash it is fast and mixes well, but linear: whoever may choose keys can choose colliding ones,
// unless what goes in is keyed by something that is not linear.
//
// The instruction must be used inside a function that is compiled for it (a call for each word
// costs more than the hash), so what is here is the portable path, to which such functions must be
// equal bit for bit, and the question whether they may run.
#pragma once

#include <array>
#include <cstdint>

namespace weft {

namespace detail {
/// By byte and by how many bytes follow it in the word.
constexpr auto kCrc32cTables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c >> 1 ^ ((c & 1) != 0 ? 0x82F63B78u : 0);
    t[0][i] = c;
  }
  for (std::uint32_t i = 0; i < 256; ++i)
    for (std::size_t k = 1; k < 8; ++k) t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 255];
  return t;
}();
}  // namespace detail

/// Eight bytes more, low byte first; no inversion before or after.
constexpr std::uint32_t crc32c(std::uint32_t crc, std::uint64_t word) {
  word ^= crc;
  std::uint32_t out = 0;
  for (std::size_t k = 0; k < 8; ++k) out ^= detail::kCrc32cTables[7 - k][word >> (8 * k) & 255];
  return out;
}

/// This processor has the instruction (x86-64: SSE 4.2), and this build functions for it.
bool crc32c_in_hardware();

}  // namespace weft

#if defined(__x86_64__)
#define WEFT_CRC32C_TARGET __attribute__((target("sse4.2")))
#endif
