// Runs a scenario given as text: nothing on disk, everything checked.
#pragma once

#include <string>

#include "scenarios/run/run.h"
#include "tests/catch.h"

namespace weft::scenarios {

inline analysis::Results run_text(const std::string& text, unsigned threads = 1) {
  const LoadResult loaded = load_scenario_text(text, "test.yaml");
  for (const auto& e : loaded.errors) UNSCOPED_INFO(e.text());
  REQUIRE(loaded.scenario);
  RunOptions options;
  options.write_folder = false;
  options.check = CheckLevel::full;
  options.threads = threads;
  const RunOutcome outcome = run_loaded(*loaded.scenario, options);
  for (const auto& e : outcome.errors) UNSCOPED_INFO(e.text());
  UNSCOPED_INFO(outcome.results.identity.fault);
  REQUIRE(outcome.exit_code <= 1);  // no fault; whether expectations hold is the caller's matter
  return outcome.results;
}

/// Sent and delivered of a traffic in [from, to), in milliseconds.
struct Count {
  std::uint64_t sent = 0, delivered = 0;
};
inline Count count(const analysis::Results& r, std::size_t traffic, int from, int to) {
  Count c;
  const auto& series = r.traffic.at(traffic).series;
  for (std::size_t i = 0; i < series.size(); ++i) {
    const Time at = Time{} + r.traffic_interval * static_cast<std::int64_t>(i);
    if (at < Time{} + milliseconds(from) || at >= Time{} + milliseconds(to)) continue;
    c.sent += series[i].sent;
    c.delivered += series[i].delivered;
  }
  return c;
}

}  // namespace weft::scenarios
