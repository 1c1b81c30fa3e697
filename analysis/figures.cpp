#include "analysis/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "analysis/text.h"
#include "base/check.h"

namespace weft::analysis {

namespace {

constexpr std::uint32_t kP50 = 50'000, kP90 = 90'000, kP99 = 99'000, kP999 = 99'900;

std::uint64_t rank_of(std::uint64_t count, std::uint32_t per_100k) {
  const auto rank = static_cast<std::uint64_t>(
      (static_cast<unsigned __int128>(count) * per_100k + 99'999) / 100'000);
  return std::max<std::uint64_t>(rank, 1);
}

/// The value of a rank; what lies in a bucket counts as its upper end, never beyond the maximum.
Duration histogram_rank(const LatencyHistogram& h, std::uint32_t per_100k) {
  std::uint64_t left = rank_of(h.count, per_100k);
  for (std::size_t b = 0; b < h.buckets.size(); ++b) {
    if (h.buckets[b] >= left) {
      const std::int64_t upper = LatencyHistogram::lower_bound_of(b + 1) - 1;
      return Duration{std::clamp(upper, h.min_ps, h.max_ps)};
    }
    left -= h.buckets[b];
  }
  return Duration{h.max_ps};
}

}  // namespace

Duration nearest_rank(std::span<const Duration> sorted, std::uint32_t per_100k) {
  WEFT_CHECK(!sorted.empty() && per_100k <= 100'000);
  return sorted[rank_of(sorted.size(), per_100k) - 1];
}

LatencyFigures latency_of(std::span<const Sample> samples) {
  LatencyFigures f;
  if (samples.empty()) return f;
  std::vector<Duration> sorted;
  sorted.reserve(samples.size());
  unsigned __int128 sum = 0;
  const Sample* slowest = &samples.front();
  for (const Sample& s : samples) {
    sorted.push_back(s.latency);
    sum += static_cast<std::uint64_t>(s.latency.ps);
    if (s.latency > slowest->latency) slowest = &s;
  }
  std::sort(sorted.begin(), sorted.end());
  f.count = sorted.size();
  f.min = sorted.front();
  f.mean = Duration{static_cast<std::int64_t>(sum / sorted.size())};
  f.p50 = nearest_rank(sorted, kP50);
  f.p90 = nearest_rank(sorted, kP90);
  f.p99 = nearest_rank(sorted, kP99);
  f.p999 = nearest_rank(sorted, kP999);
  f.max = sorted.back();
  f.max_at = slowest->at;
  f.max_pair = slowest->pair;
  return f;
}

bool all_samples_kept(const TrafficResult& traffic) {
  return traffic.samples_left_out == 0 && traffic.histogram.count <= traffic.samples.size();
}

LatencyFigures latency_of(const TrafficResult& traffic) {
  if (all_samples_kept(traffic)) return latency_of(std::span(traffic.samples));
  const LatencyHistogram& h = traffic.histogram;
  LatencyFigures f;
  f.count = h.count;
  f.exact = false;
  if (h.count == 0) return f;
  f.min = Duration{h.min_ps};
  f.mean = Duration{static_cast<std::int64_t>(h.sum_ps / h.count)};
  f.p50 = histogram_rank(h, kP50);
  f.p90 = histogram_rank(h, kP90);
  f.p99 = histogram_rank(h, kP99);
  f.p999 = histogram_rank(h, kP999);
  f.max = Duration{h.max_ps};
  return f;
}

LatencyFigures latency_of(const TrafficResult& traffic, Time from, Time to) {
  std::vector<Sample> inside;
  for (const Sample& s : traffic.samples) {
    if (s.at >= from && s.at - s.latency <= to) inside.push_back(s);
  }
  LatencyFigures f = latency_of(std::span<const Sample>(inside));
  f.exact = all_samples_kept(traffic);
  return f;
}

std::uint64_t goodput_bps(const TrafficResult& traffic) {
  const PairResult sum = total_of(traffic);
  Time end = traffic.stop;
  if (traffic.kind == "bulk" && sum.sent > 0 && sum.completed == sum.sent &&
      !traffic.samples.empty() && traffic.samples_left_out == 0)
    end = std::min(end, traffic.samples.back().at);  // ordered by time
  return rate_bps(sum.bytes, end - traffic.start);
}

CacheResult total_of(std::span<const CacheResult> caches) {
  CacheResult sum;
  for (const CacheResult& c : caches) {
    sum.lookups += c.lookups;
    sum.exact_match_hits += c.exact_match_hits;
    sum.megaflow_hits += c.megaflow_hits;
    sum.slow_path += c.slow_path;
    sum.megaflows += c.megaflows;
    sum.masks += c.masks;
    sum.connections += c.connections;
    sum.rules += c.rules;
    sum.tuples += c.tuples;
  }
  return sum;
}

std::uint64_t hit_ratio_ppm(const CacheResult& cache) {
  return ppm(cache.exact_match_hits + cache.megaflow_hits, cache.lookups);
}

LinkLoad load_of(const Results& results, std::size_t link, int direction) {
  const LinkResult& l = results.links[link];
  const LinkDirection& d = l.directions[static_cast<std::size_t>(direction)];
  LinkLoad load{link, direction, 0, 0, d.peak_queue_bytes};
  const Duration run = results.identity.reached - Time{};
  load.mean_ppm = ppm(rate_bps(d.bytes, run), l.rate_bps);
  for (std::size_t i = 0; i < d.series.size(); ++i) {
    // The last bucket may be cut off by the end of the run: too short to be a peak of its own.
    const Time end = Time{} + results.link_interval * (static_cast<std::int64_t>(i) + 1);
    if (end > results.identity.reached && i > 0) break;
    const std::uint64_t bps = rate_bps(d.series[i].bytes, results.link_interval);
    load.peak_ppm = std::max(load.peak_ppm, ppm(bps, l.rate_bps));
  }
  load.peak_ppm = std::max(load.peak_ppm, load.mean_ppm);
  return load;
}

std::vector<LinkLoad> busiest_links(const Results& results) {
  std::vector<LinkLoad> loads;
  for (std::size_t i = 0; i < results.links.size(); ++i) {
    for (int d = 0; d < 2; ++d) {
      if (results.links[i].directions[static_cast<std::size_t>(d)].packets == 0) continue;
      loads.push_back(load_of(results, i, d));
    }
  }
  std::stable_sort(loads.begin(), loads.end(),
                   [](const LinkLoad& a, const LinkLoad& b) { return a.mean_ppm > b.mean_ppm; });
  return loads;
}

std::string direction_text(const Results& results, const LinkLoad& load) {
  const LinkDirection& d =
      results.links[load.link].directions[static_cast<std::size_t>(load.direction)];
  return results.nodes[d.from].name + " → " + results.nodes[d.to].name;
}

std::string_view name_of(MigrationState state) {
  switch (state) {
    case MigrationState::waiting:
      return "never started";
    case MigrationState::running:
      return "unfinished";
    case MigrationState::done:
      return "done";
    case MigrationState::failed:
      return "failed";
  }
  return "unknown";
}

std::string drop_title(const DropGroup& group) {
  return group.rule.empty() ? group.reason : group.rule;
}

std::string drop_cause(const DropGroup& group) {
  return group.event.empty() ? drop_title(group)
                             : fmt::format("{} ({})", drop_title(group), group.event);
}

std::size_t pre_copy_rounds(const MigrationResult& migration) {
  return static_cast<std::size_t>(
      std::count_if(migration.rounds.begin(), migration.rounds.end(),
                    [](const MigrationRound& r) { return !r.stop_and_copy; }));
}

std::vector<std::string> drop_places(const Results& results) {
  std::vector<std::map<std::string, std::uint64_t>> counts(results.drops.size());
  for (const DropEntry& e : results.drop_entries) ++counts[e.group][e.where];
  std::vector<std::string> texts;
  for (const auto& places : counts) {
    if (places.empty()) {
      texts.emplace_back();
      continue;
    }
    const auto most =
        std::max_element(places.begin(), places.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    texts.push_back(places.size() == 1
                        ? most->first
                        : fmt::format("{} and {} more", most->first, places.size() - 1));
  }
  return texts;
}

}  // namespace weft::analysis
