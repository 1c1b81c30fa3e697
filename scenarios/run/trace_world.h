// What `weft trace` asks about: a scenario's network at rest (nothing has run), or as it is at a
// time of its simulation; or a network that was imported, which is always at rest.
#pragma once

#include <memory>
#include <optional>

#include "analysis/trace/network_view.h"
#include "analysis/trace/switches.h"
#include "base/time.h"
#include "scenarios/import/import.h"
#include "scenarios/spec.h"

namespace weft::scenarios {

struct TraceTarget {
  std::shared_ptr<const analysis::NetworkView> view;
  std::unique_ptr<analysis::Switches> switches;
};

/// The control plane has converged, everything is up, no connection is established.
Result<TraceTarget> trace_at_rest(const Scenario& scenario);
Result<TraceTarget> trace_at_rest(const imports::Imported& network);

/// Runs the scenario up to `at`, exactly as `weft run` would. Connections, NAT, places of VMs,
/// links and routes are as they are then.
Result<TraceTarget> trace_at(const Scenario& scenario, Time at, unsigned threads);

}  // namespace weft::scenarios
