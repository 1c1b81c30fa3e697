#include "base/random.h"

#include <limits>

#include "base/check.h"
#include "base/fixed.h"
#include "base/hash.h"

namespace weft {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> c,
                                        std::array<std::uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c;
}

// Key and stream number come from two hashes, so two names meet only if 128 bits agree.
RandomStream::RandomStream(std::uint64_t seed, std::string_view name) {
  const std::uint64_t key = hash_string(name, seed);
  key_ = {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
  stream_ = hash_string(name, mix64(seed, 0x77656674));
}

std::uint32_t RandomStream::next_u32() {
  if (used_ == 4) {
    words_ =
        philox4x32({static_cast<std::uint32_t>(block_), static_cast<std::uint32_t>(block_ >> 32),
                    static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                   key_);
    ++block_;
    used_ = 0;
  }
  return words_[used_++];
}

std::uint64_t RandomStream::next_u64() {
  const std::uint64_t low = next_u32();
  return low | std::uint64_t{next_u32()} << 32;
}

// Lemire (2019): multiply, and draw again only in the short range that would favour some results.
std::uint64_t RandomStream::below(std::uint64_t bound) {
  WEFT_CHECK(bound > 0);
  if (bound <= std::numeric_limits<std::uint32_t>::max()) {
    const auto narrow = static_cast<std::uint32_t>(bound);
    std::uint64_t product = std::uint64_t{next_u32()} * narrow;
    if (static_cast<std::uint32_t>(product) < narrow) {
      const std::uint32_t threshold = (0U - narrow) % narrow;
      while (static_cast<std::uint32_t>(product) < threshold) {
        product = std::uint64_t{next_u32()} * narrow;
      }
    }
    return product >> 32;
  }
  using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(next_u64()) * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    const std::uint64_t threshold = (0ULL - bound) % bound;
    while (static_cast<std::uint64_t>(product) < threshold) {
      product = static_cast<Wide>(next_u64()) * bound;
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

// u = r / 2^62 with r in [1, 2^62], so -ln u = 30 ln 2 - fixed_ln(r) is in [0, 43].
Duration RandomStream::exponential(Duration mean) {
  constexpr std::int64_t kThirtyLn2 = 89'311'334'155;  // 30 ln 2 in Q32.32
  const std::uint64_t r = (next_u64() >> 2) + 1;
  std::int64_t factor = kThirtyLn2 - fixed_ln(r).raw;
  if (factor < 0) factor = 0;
  const __int128 ps = (static_cast<__int128>(factor) * mean.ps) >> 32;
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  return Duration{ps > kMax ? kMax : static_cast<std::int64_t>(ps)};
}

}  // namespace weft
