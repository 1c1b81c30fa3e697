// Rule: one entry of a flow table, as a value, and its text in the syntax of ovs-ofctl:
//
//   table=0,priority=100,cookie=0x1,ip,nw_dst=10.0.0.0/8,actions=output:2
//
// parse_rule(format_rule(r)) == r, and format_rule(parse_rule(t)) is the canonical form of t.
// Statistics that dump_flows prints (n_packets=..., duration=...) are accepted and ignored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "datapath/action.h"
#include "datapath/match.h"

namespace weft::datapath {

struct Rule {
  std::uint8_t table = 0;
  std::uint16_t priority = 32768;
  std::uint64_t cookie = 0;
  std::uint16_t idle_timeout = 0;  ///< seconds without a packet, 0: never
  std::uint16_t hard_timeout = 0;  ///< seconds since it was added, 0: never
  Match match{};
  std::vector<Action> actions;

  bool operator==(const Rule&) const = default;
};

/// Errors carry the column (1-based).
Result<Rule> parse_rule(std::string_view text);
/// As parse_rule; actions may be missing and are ignored (ovs-ofctl --strict del-flows).
Result<Rule> parse_rule_key(std::string_view text);
std::string format_rule(const Rule& rule);
/// "priority=100,ip,nw_dst=10.0.0.0/8"
std::string format_priority_and_match(const Rule& rule);

}  // namespace weft::datapath
