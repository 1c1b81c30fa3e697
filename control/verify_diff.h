// What a change would alter: two networks, verified with the same ports standing for the others,
// and compared packet by packet as sent. What arrives changed in addresses or ports differs as
// well.
//
// Two ports are alike here if they are alike in both networks and have the same MAC and addresses
// in both. A port that is in one network only can do nothing in the other one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/reach_summary.h"
#include "control/verify.h"

namespace weft::control {

struct ReachChange {
  std::vector<std::string> from, to;  ///< ports, by name; of one class each
  ReachSummary allowed, forbidden;    ///< newly
  std::string allowed_text, forbidden_text;
  std::optional<ExamplePacket> allowed_example, forbidden_example;
};

/// By name of the first ports; empty: no packet is treated in another way.
Result<std::vector<ReachChange>> compare_reach(const Intent& before, const Intent& after,
                                               const Verifier::Options& options = {});

}  // namespace weft::control
