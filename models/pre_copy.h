// PreCopy: the memory of a VM while it is being moved (Clark et al., NSDI 2005), as a value that
// answers one question: what does the next round send?
//
//   round 1 sends all memory V; while a round of duration T runs, the VM dirties min(V, D * T)
//   bytes (every write to a fresh page: the worst case, rounded up to pages); the next round sends
//   those. When what is left can be sent within `max_downtime` at the rate of the last round, or
//   after `max_rounds`, the VM is paused and the rest is sent: stop-and-copy.
//
// With a constant D below the bandwidth B, round i sends V (D/B)^(i-1): the closed form that
// tests/unit/models checks exactly.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/fixed.h"
#include "base/time.h"

namespace weft::models {

class PreCopy {
 public:
  static constexpr std::uint64_t kPage = 4096;

  struct Options {
    std::uint64_t memory_bytes = 0;
    std::uint64_t dirty_bytes_per_second = 0;
    Duration max_downtime = milliseconds(50);
    std::uint32_t max_rounds = 30;  ///< stop-and-copy comes at the latest after so many
  };
  struct Round {
    std::uint32_t number = 1;
    std::uint64_t bytes = 0;
    bool stop_and_copy = false;
    bool operator==(const Round&) const = default;
  };

  explicit PreCopy(Options o) : options_(o) {
    round_ = {1, options_.memory_bytes, options_.memory_bytes == 0};
  }
  const Round& round() const { return round_; }

  /// Bytes that the VM dirties while `took` passes.
  std::uint64_t dirtied_in(Duration took) const {
    const std::uint64_t raw = multiply_divide(
        options_.dirty_bytes_per_second, static_cast<std::uint64_t>(took.ps), 1'000'000'000'000ULL);
    const std::uint64_t pages = raw == 0 ? 0 : (raw + kPage - 1) / kPage * kPage;
    return std::min(pages, options_.memory_bytes);
  }

  /// The current round took this long: moves on to the next.
  const Round& finish_round(Duration took) {
    const std::uint64_t left = dirtied_in(took);
    const std::uint64_t sent = std::max<std::uint64_t>(round_.bytes, 1);
    // left / rate <= max_downtime  <=>  left * took <= max_downtime * sent
    const bool short_enough =
        static_cast<unsigned __int128>(left) * static_cast<std::uint64_t>(took.ps) <=
        static_cast<unsigned __int128>(options_.max_downtime.ps) * sent;
    round_ = {round_.number + 1, left, short_enough || round_.number >= options_.max_rounds};
    return round_;
  }

 private:
  Options options_;
  Round round_;
};

}  // namespace weft::models
