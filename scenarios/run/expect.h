// Expectations: what the scenario said should be, held against what was. Every expectation gives
// an outcome that a person can act on: what was seen, when and where, and the line that asked.
//
// None can hold by accident: where nothing was measured it fails and says so; "delivered: 0" holds
// only if something was sent, and names what dropped it; a migration that never ran or never
// finished fails whatever its bounds; `dropped_by` must account for all that was lost.
//
// Windows (`from`/`to`, `during`). Latency samples count if question-to-answer touches the window;
// counters are kept in buckets of Results::traffic_interval and count from the bucket that holds
// the window's start to the one that holds its end, which the outcome states.
#pragma once

#include <vector>

#include "analysis/results.h"
#include "scenarios/spec.h"

namespace weft::scenarios {

/// One outcome per expectation, in the scenario's order.
std::vector<analysis::ExpectationOutcome> evaluate(const Scenario& scenario,
                                                   const analysis::Results& results);

}  // namespace weft::scenarios
