// Capture points by name: "hv-1-1.uplink", "leaf-1.spine-2", "shop/web-1", "drops".
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "scenarios/spec.h"

namespace weft::scenarios {

/// Every point of a scenario, in the order of `weft ls`.
std::vector<std::string> capture_points(const Scenario& scenario);

/// "POINT" or "POINT=FILTER" as --capture takes it; an unknown point is an error that names the
/// nearest.
Result<CaptureSpec> parse_capture_option(const Scenario& scenario, const std::string& text);

}  // namespace weft::scenarios
