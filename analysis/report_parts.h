// Parts of report.html: escaped text, scales, charts as static SVG. Coordinates use only the four
// basic operations on doubles, which every IEEE machine rounds alike: the page is bit-identical
// wherever it is made, and its hash belongs to the run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/results.h"

namespace weft::analysis::report {

extern const char* const kStyle;
extern const char* const kScript;

/// Something that lasted, drawn behind a chart.
struct Band {
  std::string name;
  Time from{}, to{};
  bool bad = false;  ///< a failure rather than a move
};
std::vector<Band> bands_of(const Results& results);

struct Series {
  std::string name;
  std::string colour;                 ///< class: c1 ... c6, muted, bad
  std::vector<std::uint64_t> values;  ///< one per column
  bool area = false;
};

/// Series over time with a tooltip; columns of `step`, starting at time 0.
struct TimeChart {
  std::string title;
  Duration step{};
  Time end{};
  std::vector<Series> series;
  std::vector<Band> bands;
  bool stacked_columns = false;  ///< columns on top of each other instead of lines
  /// "", "b/s" or "ps". Values are per column and are shown per second if `per_second`.
  std::string unit;
  bool per_second = true;
};
std::string time_chart(const TimeChart& chart);

/// Adds neighbouring buckets up so that at most `most` columns remain; returns how many were
/// joined.
std::size_t columns_for(std::size_t buckets, std::size_t most);

std::string latency_chart(const TrafficResult& traffic);
std::string topology(const Results& results);
std::string migration_timeline(const MigrationResult& migration);

}  // namespace weft::analysis::report
