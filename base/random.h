// Named random streams. A stream is a counter-based generator (Philox 4x32-10, Salmon et al., SC
// 2011) keyed by the scenario's seed and the stream's *name*, e.g. "link/leaf-1--spine-2/loss":
// adding a component never shifts another's draws, and a stream can be copied, moved with a guest,
// or skipped ahead for free. All draws are integers or fixed point; nothing here uses floating
// point, so results are equal on every compiler.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace weft {

/// One Philox 4x32-10 block.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

class RandomStream {
 public:
  RandomStream() = default;
  RandomStream(std::uint64_t seed, std::string_view name);

  std::uint32_t next_u32();
  std::uint64_t next_u64();
  /// Uniform in [0, bound), without bias; bound > 0.
  std::uint64_t below(std::uint64_t bound);
  /// True with probability numerator / 2^32.
  bool chance_u32(std::uint64_t numerator) { return next_u32() < numerator; }
  /// True with probability parts_per_billion / 10^9.
  bool chance_ppb(std::uint64_t parts_per_billion) {
    return below(1'000'000'000) < parts_per_billion;
  }
  /// Exponentially distributed with the given mean, in whole picoseconds, by fixed-point ln.
  Duration exponential(Duration mean);

 private:
  std::array<std::uint32_t, 2> key_{};
  std::uint64_t stream_ = 0;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  unsigned used_ = 4;
};

}  // namespace weft
