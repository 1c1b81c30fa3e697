#include "analysis/results.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace weft::analysis {

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

PairResult total_of(const TrafficResult& traffic) {
  PairResult sum;
  for (const PairResult& p : traffic.pairs) {
    sum.sent += p.sent;
    sum.delivered += p.delivered;
    sum.duplicates += p.duplicates;
    sum.reordered += p.reordered;
    sum.pending += p.pending;
    sum.bytes += p.bytes;
    sum.connections_opened += p.connections_opened;
    sum.connections_closed += p.connections_closed;
    sum.connections_lost += p.connections_lost;
    sum.completed += p.completed;
    sum.retransmits += p.retransmits;
  }
  return sum;
}

bool passed(const Results& results) {
  return results.identity.fault.empty() &&
         std::all_of(results.expectations.begin(), results.expectations.end(),
                     [](const ExpectationOutcome& e) { return e.passed; });
}

}  // namespace weft::analysis
