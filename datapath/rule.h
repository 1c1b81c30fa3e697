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
  bool send_flow_rem = false;      ///< its end is told (FlowTables::take_removed)
  bool check_overlap = false;      ///< of the statement: it is not added where it would overlap
  Match match{};
  std::vector<Action> actions;

  bool operator==(const Rule&) const = default;
};

/// Which rules modify and delete mean, beside the match.
struct RuleFilter {
  bool any_table = true;            ///< no table was written
  std::uint64_t cookie = 0;         ///< delete cookie=V/M
  std::uint64_t cookie_mask = 0;    ///< the bits of the cookie that must be so
  std::uint32_t out_port = 0;       ///< only rules that output there; 0: all
  std::uint64_t out_group = ~0ULL;  ///< only rules that use this group; ~0: all
  bool operator==(const RuleFilter&) const = default;
};

/// Errors carry the column (1-based).
Result<Rule> parse_rule(std::string_view text, const PortNames* names = nullptr);
/// As parse_rule; actions may be missing and are ignored (ovs-ofctl --strict del-flows).
/// `filter`, if given, receives what such commands take beside a match.
Result<Rule> parse_rule_key(std::string_view text, const PortNames* names = nullptr,
                            RuleFilter* filter = nullptr);
std::string format_rule(const Rule& rule);
/// What parse_rule_key reads; the priority only if it counts (`strict`).
std::string format_rule_key(const Rule& rule, const RuleFilter& filter, bool strict);
/// As OpenFlow's non-strict delete: true if every packet of `rule` is one of `key`, and the filter
/// fits.
bool is_covered(const Rule& rule, const Rule& key, const RuleFilter& filter);
/// "priority=100,ip,nw_dst=10.0.0.0/8"
std::string format_priority_and_match(const Rule& rule);

}  // namespace weft::datapath
