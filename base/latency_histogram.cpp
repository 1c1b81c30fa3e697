#include "base/latency_histogram.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace weft {

std::size_t LatencyHistogram::bucket_of(std::int64_t ps) {
  WEFT_CHECK(ps >= 0);
  const auto v = static_cast<std::uint64_t>(ps);
  if (v < (1u << kSubBits)) return static_cast<std::size_t>(v);
  const int shift = std::bit_width(v) - 1 - kSubBits;
  return (static_cast<std::size_t>(shift + 1) << kSubBits) +
         static_cast<std::size_t>((v >> shift) - (1u << kSubBits));
}

std::int64_t LatencyHistogram::lower_bound_of(std::size_t bucket) {
  if (bucket < (1u << kSubBits)) return static_cast<std::int64_t>(bucket);
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::size_t within = bucket & ((1u << kSubBits) - 1);
  return static_cast<std::int64_t>((std::uint64_t{1u << kSubBits} + within) << shift);
}

void LatencyHistogram::add(Duration latency) {
  const std::size_t b = bucket_of(latency.ps);
  if (b >= buckets.size()) buckets.resize(b + 1, 0);
  ++buckets[b];
  min_ps = count == 0 ? latency.ps : std::min(min_ps, latency.ps);
  max_ps = std::max(max_ps, latency.ps);
  sum_ps += static_cast<std::uint64_t>(latency.ps);
  ++count;
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  if (other.count == 0) return;
  if (buckets.size() < other.buckets.size()) buckets.resize(other.buckets.size(), 0);
  for (std::size_t i = 0; i < other.buckets.size(); ++i) buckets[i] += other.buckets[i];
  min_ps = count == 0 ? other.min_ps : std::min(min_ps, other.min_ps);
  max_ps = std::max(max_ps, other.max_ps);
  sum_ps += other.sum_ps;
  count += other.count;
}

}  // namespace weft
