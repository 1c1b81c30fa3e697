// Flow: one rule of one table, as the compilers make it; with no location in it, it is a *logical
// flow*. RuleKey is what makes two rules the same in OpenFlow: table, priority, match.
//
// Groups and meters are reconciled like rules, as rules of two tables that no switch has, behind
// all others: so they are added before the rules that use them and removed after. Their match is
// what names them ("group_id=5") and their actions are the rest of the line that makes them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/stages.h"

namespace weft::control {

inline constexpr std::uint8_t kMeterTable = 254, kGroupTable = 255;

struct RuleKey {
  std::uint8_t table = 0;
  std::uint16_t priority = 0;
  std::string match;  ///< ovs-ofctl syntax; empty: everything
  auto operator<=>(const RuleKey&) const = default;
  /// "table=8,priority=90,MATCH", "group_id=5", "meter=5": as delete_rule takes it.
  std::string text() const;
};

struct RuleBody {
  std::uint64_t cookie = 0;
  std::string actions;
  bool operator==(const RuleBody&) const = default;
};

struct Flow {
  RuleKey key;
  RuleBody body;
  bool operator==(const Flow&) const = default;
};

/// A rule of a stage with the stage's own cookie.
Flow stage_flow(Stage stage, int priority, std::string match, std::string actions);

/// A group or a meter; `body` is as of `ovs-ofctl add-group`, add-meter, without the number.
Flow group_flow(std::uint32_t id, std::string body);
Flow meter_flow(std::uint32_t id, std::string body);

/// "cookie=0x1,table=8,priority=90,MATCH,actions=...", "group_id=5,type=select,..."
std::string rule_text(const RuleKey& key, const RuleBody& body);
/// Back from rule_text; none if the text was not made by it.
std::optional<Flow> parse_rule_text(std::string_view text);

/// The statement (docs/ofproto.md) that takes away what RuleKey::text() names:
/// "delete_strict table=8,...", "group delete group_id=5".
std::string removal_of(std::string_view key);

/// Several flows as bytes, and back (none: damaged).
std::string encode_flows(const std::vector<Flow>& flows);
std::optional<std::vector<Flow>> decode_flows(std::string_view bytes);

/// "resubmit(,N)"
std::string go_to(Stage stage);

}  // namespace weft::control
