// Durations in log-linear buckets: exact below 32 ps, then 32 buckets per power of two (error below
// 3.2 %). For traffic whose samples are too many to keep; merging two is adding them up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace weft {

struct LatencyHistogram {
  static constexpr int kSubBits = 5;
  std::vector<std::uint64_t> buckets;  ///< grown as needed
  std::uint64_t count = 0;
  std::int64_t min_ps = 0, max_ps = 0;
  unsigned __int128 sum_ps = 0;

  static std::size_t bucket_of(std::int64_t ps);
  static std::int64_t lower_bound_of(std::size_t bucket);
  void add(Duration latency);
  void merge(const LatencyHistogram& other);
};

}  // namespace weft
