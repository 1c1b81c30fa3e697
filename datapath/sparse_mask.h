// SparseMask: a FlowMask as the list of its words that are not zero, for loops that touch nothing
// else. One per subtable of the classifier and of the megaflow cache.
#pragma once

#include <array>
#include <cstdint>

#include "base/hash.h"
#include "datapath/flow_key.h"

namespace weft::datapath {

struct SparseMask {
  std::array<std::uint64_t, kKeyWords> bits{};
  std::array<std::uint8_t, kKeyWords> word{};
  std::uint8_t count = 0;

  SparseMask() = default;
  explicit SparseMask(const FlowMask& mask, unsigned words = kKeyWords) {
    for (unsigned i = 0; i < words; ++i) {
      if (mask.w[i] == 0) continue;
      bits[count] = mask.w[i];
      word[count++] = static_cast<std::uint8_t>(i);
    }
  }
  std::uint32_t hash(const FlowKey& key) const {
    std::uint64_t h = 0x243F6A8885A308D3ULL;
    for (unsigned i = 0; i < count; ++i)
      h = fold_multiply(h ^ (key.w[word[i]] & bits[i]), 0xA0761D6478BD642FULL + word[i]);
    return static_cast<std::uint32_t>(h ^ h >> 32);
  }
};

}  // namespace weft::datapath
