#include "models/guest/traffic_stats.h"

#include <algorithm>

namespace weft::models {
TrafficBucket& TrafficStats::bucket(Time at) {
  if (!series.empty()) [[likely]] {
    const std::int64_t into = at.ps - series.back().index * kTrafficBucket.ps;
    if (into >= 0 && into < kTrafficBucket.ps) return series.back();
  }
  const auto index =
      static_cast<std::uint32_t>(std::max<std::int64_t>(at.ps, 0) / kTrafficBucket.ps);
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
