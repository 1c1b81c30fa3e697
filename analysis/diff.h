// Difference of two runs: what `weft diff RUN_A RUN_B` answers. Two folders are read as they were
// written (summary.json, events.jsonl, metrics.csv); nothing is run.
//
// The verdict is about what happened: the run digest, the events, the metrics, and captures that
// both have. How fast it went, where the scenario's file lay, and captures that only one run took
// are told, but are no difference.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace weft::analysis {

/// A value that differs; empty: the run does not have it.
struct FieldDifference {
  std::string name;  ///< "seed"; "10.000000000 traffic/web sent"
  std::string a, b;
};

struct RunDifference {
  bool same = false;
  std::string digest_a, digest_b;
  std::vector<FieldDifference> identity;     ///< scenario, seed, version, overrides, ...
  std::vector<FieldDifference> only_in_one;  ///< files
  std::vector<std::string> captures;         ///< that both have and that differ
  /// Of events.jsonl: the number of the first line that differs (from 1) in more than `order`, and
  /// both lines.
  std::size_t first_line = 0;
  std::optional<FieldDifference> first_event;
  std::size_t chains = 0;                     ///< logical processes whose chain differs
  std::vector<FieldDifference> first_chains;  ///< some of them, in the order of their ids
  std::vector<FieldDifference> totals;        ///< metrics at the end of the run
  std::vector<FieldDifference> series;        ///< metrics along the way, ordered as in the files
};

/// An Error: a folder is not one of a run, or a file in it is damaged.
Result<RunDifference> diff_runs(const std::string& folder_a, const std::string& folder_b);

/// For people. At most `most` metrics of each kind (0: all).
std::string difference_text(const RunDifference& difference, const std::string& name_a,
                            const std::string& name_b, std::size_t most);

}  // namespace weft::analysis
