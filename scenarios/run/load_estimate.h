// A guess of how many events each node will handle, from the scenario alone: traffic at its rates,
// migrations by their memory. It only balances the partition over threads; no result depends on it.
#pragma once

#include <vector>

#include "scenarios/spec.h"

namespace weft::scenarios {

/// Expected packets per node of the underlay until `end`, each at least 1.
std::vector<double> estimate_load(const Scenario& scenario, Duration end);

}  // namespace weft::scenarios
