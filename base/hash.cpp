#include "base/hash.h"

#include <fmt/core.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace weft {

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t hash_string(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

void Chain128::add_bytes(std::span<const std::byte> bytes) { add(hash_bytes(bytes), bytes.size()); }

std::string Chain128::text() const { return fmt::format("{:016x}{:016x}", high, low); }

}  // namespace weft
