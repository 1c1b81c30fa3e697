// The table of a verification that people read: from group to group, what arrives. Ports that are
// in no group are spoken of by their network.
//
// Classes of ports (verify.h) are finer than groups or lie across them. A row is about whole groups
// where all their ports are alike, else about the ports for which it holds.
#pragma once

#include <string>
#include <vector>

#include "control/reach_summary.h"
#include "control/verify.h"

namespace weft::control {

struct ReachRow {
  std::string from, to;                           ///< groups, or networks of ports in none
  std::vector<std::string> from_ports, to_ports;  ///< those for which it holds; empty: all
  ReachSummary summary;
  std::string text;
};

/// Rows where something arrives, by name. Packets that a port sends to itself are left out.
std::vector<ReachRow> reach_table(const Intent& intent, const Verification& verification);

/// Names of the rows: each group with its ports, each network with those that are in none.
std::map<std::string, std::vector<std::string>> reach_units(const Intent& intent);

}  // namespace weft::control
