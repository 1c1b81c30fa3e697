// Figures: what several outputs derive from Results, once. Integers decide (expectations read
// these); only `mean_interval` computes in floating point, and it goes to people alone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/results.h"

namespace weft::analysis {

/// The nearest-rank percentile: the smallest value of which at least `per_100k` / 100 000 of all
/// are no larger. `sorted` is ascending and not empty.
Duration nearest_rank(std::span<const Duration> sorted, std::uint32_t per_100k);

struct LatencyFigures {
  std::uint64_t count = 0;  ///< 0: nothing was measured, the rest means nothing
  bool exact = true;        ///< false: percentiles come from the histogram (error below 3.2 %)
  Duration min{}, mean{}, p50{}, p90{}, p99{}, p999{}, max{};
  Time max_at{};  ///< when the slowest answer came (exact only)
  std::uint32_t max_pair = 0;
};
LatencyFigures latency_of(const TrafficResult& traffic);
/// False if some latencies are in the histogram alone (udp keeps no single ones).
bool all_samples_kept(const TrafficResult& traffic);
/// Of samples whose time from question to answer touches [from, to].
LatencyFigures latency_of(const TrafficResult& traffic, Time from, Time to);
LatencyFigures latency_of(std::span<const Sample> samples);

/// Mean and half the width of its 95 % confidence interval by the method of batch means (20
/// batches); none with fewer than 40 samples.
struct MeanInterval {
  double mean_ps = 0, half_width_ps = 0;
};
std::optional<MeanInterval> mean_interval(std::span<const Sample> samples);

/// Bytes to applications per second, from the traffic's start to its stop; of a bulk whose
/// transfers are all complete, to the end of the last.
std::uint64_t goodput_bps(const TrafficResult& traffic);

CacheResult total_of(std::span<const CacheResult> caches);
/// Lookups that a cache answered, of all.
std::uint64_t hit_ratio_ppm(const CacheResult& cache);

struct LinkLoad {
  std::size_t link = 0;  ///< index into Results::links
  int direction = 0;
  std::uint64_t mean_ppm = 0;  ///< over the whole run
  std::uint64_t peak_ppm = 0;  ///< of the busiest whole bucket
  std::uint64_t peak_queue_bytes = 0;
};
LinkLoad load_of(const Results& results, std::size_t link, int direction);
/// All directions that carried anything: busiest first, then in scenario order.
std::vector<LinkLoad> busiest_links(const Results& results);
/// "leaf-1 → spine-2"
std::string direction_text(const Results& results, const LinkLoad& load);

std::string_view name_of(MigrationState state);
/// "policy.default (scenario.yaml:41)", "queue.full": rule if there is one, else reason.
std::string drop_title(const DropGroup& group);

/// The same with the failure that caused it: "link.down (cut)".
std::string drop_cause(const DropGroup& group);

/// Rounds of pre-copy; stop-and-copy is none.
std::size_t pre_copy_rounds(const MigrationResult& migration);

/// Where a group's recorded drops happened: "hv-1-1", "hv-1-1 and 3 more"; empty if none was
/// recorded. In the order of Results::drops.
std::vector<std::string> drop_places(const Results& results);

}  // namespace weft::analysis
