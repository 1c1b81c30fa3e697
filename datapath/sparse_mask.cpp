#include "datapath/sparse_mask.h"

#include "base/crc32c.h"

#ifdef WEFT_CRC32C_TARGET
#include <nmmintrin.h>
#endif

namespace weft::datapath {
namespace {

constexpr std::array<FlowMask, kStages> kStageBits{stage_bits(Stage::metadata),
                                                   stage_bits(Stage::l2), stage_bits(Stage::l3),
                                                   stage_bits(Stage::l4)};

constexpr bool each_bit_once() {
  for (unsigned i = 0; i < kKeyWords; ++i) {
    std::uint64_t seen = 0;
    for (const FlowMask& m : kStageBits) {
      if ((seen & m.w[i]) != 0) return false;
      seen |= m.w[i];
    }
    if (seen != ~0ULL) return false;
  }
  return true;
}
static_assert(each_bit_once());

constexpr unsigned most_parts() {
  unsigned n = 0;
  for (const FlowMask& m : kStageBits)
    for (const std::uint64_t w : m.w) n += w != 0;
  return n;
}
static_assert(most_parts() <= StagedMask::kMost);

}  // namespace

void SparseMask::hash_burst_portable(std::span<const FlowKey* const> keys, std::uint64_t seed,
                                     std::uint32_t* out) const {
  const std::uint64_t factor = seed | 1;
  for (const FlowKey* key : keys) {
    auto h = static_cast<std::uint32_t>(seed >> 32);
    for (unsigned i = 0; i < count; ++i) h = crc32c(h, (key->w[word[i]] & bits[i]) * factor);
    *out++ = h;
  }
}

#ifdef WEFT_CRC32C_TARGET
namespace {
WEFT_CRC32C_TARGET void hash_burst_here(const SparseMask& m, std::span<const FlowKey* const> keys,
                                        std::uint64_t seed, std::uint32_t* out) {
  const std::uint64_t factor = seed | 1;
  for (const FlowKey* key : keys) {
    std::uint64_t h = seed >> 32;
    for (unsigned i = 0; i < m.count; ++i)
      h = _mm_crc32_u64(h, (key->w[m.word[i]] & m.bits[i]) * factor);
    *out++ = static_cast<std::uint32_t>(h);
  }
}
}  // namespace
#endif

void SparseMask::hash_burst(std::span<const FlowKey* const> keys, std::uint64_t seed,
                            std::uint32_t* out) const {
#ifdef WEFT_CRC32C_TARGET
  if (crc32c_in_hardware()) [[likely]]
    return hash_burst_here(*this, keys, seed, out);
#endif
  hash_burst_portable(keys, seed, out);
}

StagedMask::StagedMask(const FlowMask& mask, bool staged) {
  for (unsigned s = 0; s < kStages; ++s) {
    const unsigned before = count;
    for (unsigned i = 0; i < kKeyWords; ++i) {
      const std::uint64_t part = mask.w[i] & kStageBits[s].w[i];
      if (part == 0) continue;
      bits[count] = part;
      word[count++] = static_cast<std::uint8_t>(i);
    }
    if (count == before) continue;
    if (!staged && stages > 0) --stages;
    stage[stages] = static_cast<Stage>(s);
    end[stages++] = count;
  }
  // A mask of nothing has one stage, in which every key agrees.
  if (stages == 0) stages = 1;
}

}  // namespace weft::datapath
