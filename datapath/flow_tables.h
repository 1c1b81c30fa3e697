// FlowTables: the rules of one switch, table by table, each with its classifier, and a generation
// per table that says when it last changed: a cached decision is good as long as no table that it
// looked up has changed since.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/classifier.h"
#include "datapath/decision.h"

namespace weft::datapath {

class FlowTables {
 public:
  explicit FlowTables(ClassifierOptions options = {}) : options_(options) {}
  /// Adds, or replaces the rule with the same table, priority and match (its counts stay). An
  /// identical rule changes nothing, not even the generation.
  void add(Rule rule, Time now);
  /// Strict: table, priority and match must be equal. False if there is no such rule.
  bool remove(const Rule& key, Time now = {});
  /// OpenFlow's modify: gives the rules that `filter` means (strict: this very rule) these actions
  /// and this cookie; counts stay. Returns how many.
  std::size_t modify(const Rule& rule, const RuleFilter& filter, bool strict);
  /// OpenFlow's non-strict delete. Returns how many went.
  std::size_t remove_covered(const Rule& key, const RuleFilter& filter, Time now = {});
  /// learn(): adds the rule; if it is there as it is, restarts its hard timeout only.
  void learn(const Rule& rule, Time now);
  /// Removes rules whose idle or hard timeout is over; returns how many.
  std::size_t expire(Time now);

  /// A rule of the same table and priority, and not of the same match, that some packet fits as
  /// well as this one; nullptr: none.
  const InstalledRule* overlapping(const Rule& rule) const;

  /// Rules with send_flow_rem that went since this was called last; the oldest are forgotten when
  /// nobody calls.
  struct Removed {
    enum class Reason : std::uint8_t { idle_timeout, hard_timeout, deleted } reason;
    std::shared_ptr<InstalledRule> rule;
    Time at{};  ///< when it was noticed
  };
  std::vector<Removed> take_removed();

  /// Best rule or nullptr; adds the bits looked at.
  const std::shared_ptr<InstalledRule>* lookup(std::uint8_t table, const FlowKey& key,
                                               FlowMask& looked_at) const;
  /// Sorted by table, priority (high first), match text.
  std::vector<std::shared_ptr<InstalledRule>> sorted() const;

  /// Grows with every change of any table.
  std::uint64_t generation() const { return generation_; }
  /// True if no table of the set has changed since `generation`.
  bool unchanged(const std::bitset<256>& tables, std::uint64_t generation) const;
  /// Something that every decision depends on changed (a port came or went).
  void change_everything();
  std::size_t memory_bytes() const {
    std::size_t n = 0;
    for (const auto& [number, table] : tables_) n += table.classifier.memory_bytes();
    return n;
  }
  /// Some rule has an idle or hard timeout.
  bool has_timeouts() const { return with_timeout_ != 0; }
  std::size_t size() const { return live_; }

 private:
  struct Table {
    Classifier classifier;
  };
  void changed(std::uint8_t table);
  bool remove(const Rule& key, Removed::Reason reason, Time now);

  ClassifierOptions options_;
  std::map<std::uint8_t, Table> tables_;
  std::vector<std::shared_ptr<InstalledRule>> rules_;
  std::vector<std::uint32_t> free_;
  std::uint64_t generation_ = 1;
  std::uint64_t serial_ = 0;
  std::uint64_t everything_ = 0;
  std::array<std::uint64_t, 256> changed_{};
  std::size_t live_ = 0;
  std::size_t with_timeout_ = 0;
  std::deque<Removed> removed_;
};

}  // namespace weft::datapath
