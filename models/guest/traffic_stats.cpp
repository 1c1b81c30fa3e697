#include "models/guest/traffic_stats.h"

#include <algorithm>
#include <bit>

namespace weft::models {
namespace {

// Values below 16 ps have a bucket each; above, 16 buckets per power of two.
constexpr std::size_t bucket_of(std::uint64_t v) {
  if (v < 16) return static_cast<std::size_t>(v);
  const unsigned top = static_cast<unsigned>(std::bit_width(v)) - 1;  // >= 4
  return (top - 3) * 16ULL + ((v >> (top - 4)) & 15);
}
/// The largest value of a bucket.
constexpr std::uint64_t upper_bound_of(std::size_t bucket) {
  if (bucket < 16) return bucket;
  const unsigned top = static_cast<unsigned>(bucket / 16) + 3;
  const std::uint64_t step = 1ULL << (top - 4);
  return (1ULL << top) + (bucket % 16 + 1) * step - 1;
}

}  // namespace

void LatencyHistogram::add(Duration d) {
  const std::uint64_t v = d.ps > 0 ? static_cast<std::uint64_t>(d.ps) : 0;
  const std::size_t b = bucket_of(v);
  if (b >= buckets_.size()) buckets_.resize(b + 1);
  ++buckets_[b];
  ++count_;
  sum_ += v;
  min_ = std::min(min_, d);
  max_ = std::max(max_, d);
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  if (other.buckets_.size() > buckets_.size()) buckets_.resize(other.buckets_.size());
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

Duration LatencyHistogram::mean() const {
  return count_ == 0 ? Duration{} : Duration{static_cast<std::int64_t>(sum_ / count_)};
}

Duration LatencyHistogram::quantile_ppm(std::uint32_t ppm) const {
  if (count_ == 0) return {};
  // The rank of the value, from 1, rounded up.
  const auto rank = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>((static_cast<unsigned __int128>(count_) * ppm + 999'999) /
                                    1'000'000));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(max_, Duration{static_cast<std::int64_t>(upper_bound_of(i))});
  }
  return max_;
}

TrafficBucket& TrafficStats::bucket(Time at) {
  const auto index =
      static_cast<std::uint32_t>(std::max<std::int64_t>(at.ps, 0) / kTrafficBucket.ps);
  if (!series.empty() && series.back().index == index) return series.back();
  auto it = std::lower_bound(series.begin(), series.end(), index,
                             [](const TrafficBucket& b, std::uint32_t i) { return b.index < i; });
  if (it != series.end() && it->index == index) return *it;
  TrafficBucket fresh;
  fresh.index = index;
  return *series.insert(it, fresh);
}

void TrafficStats::merge(const TrafficStats& other) {
  sent += other.sent;
  delivered += other.delivered;
  duplicates += other.duplicates;
  reordered += other.reordered;
  bytes += other.bytes;
  completed += other.completed;
  connections_opened += other.connections_opened;
  connections_lost += other.connections_lost;
  connections_closed += other.connections_closed;
  retransmits += other.retransmits;
  segments_sent += other.segments_sent;
  segments_received += other.segments_received;
  icmp_errors += other.icmp_errors;
  integrity_faults += other.integrity_faults;
  ports_open += other.ports_open;
  ports_refused += other.ports_refused;
  ports_filtered += other.ports_filtered;
  samples.insert(samples.end(), other.samples.begin(), other.samples.end());
  std::stable_sort(samples.begin(), samples.end(),
                   [](const LatencySample& a, const LatencySample& b) { return a.at < b.at; });
  latency.merge(other.latency);
  for (const TrafficBucket& b : other.series) {
    TrafficBucket& mine = bucket(Time{} + kTrafficBucket * static_cast<std::int64_t>(b.index));
    mine.sent += b.sent;
    mine.delivered += b.delivered;
    mine.duplicates += b.duplicates;
    mine.opened += b.opened;
    mine.lost += b.lost;
    mine.completed += b.completed;
    mine.retransmits += b.retransmits;
    mine.bytes += b.bytes;
  }
}

}  // namespace weft::models
