#include "datapath/flow_tables.h"

#include <algorithm>

namespace weft::datapath {

namespace {
constexpr std::size_t kMostRemoved = 4096;  // that nobody has asked for
}
namespace {
bool can_time_out(const Rule& r) { return r.idle_timeout != 0 || r.hard_timeout != 0; }
}  // namespace

void FlowTables::changed(std::uint8_t table) { changed_[table] = ++generation_; }

void FlowTables::change_everything() { everything_ = ++generation_; }

void FlowTables::add(Rule rule, Time now) {
  Classifier& classifier =
      tables_.try_emplace(rule.table, Table{Classifier(options_)}).first->second.classifier;
  const std::uint32_t at = classifier.find(rule.match, rule.priority);
  if (at != Classifier::kNone) {
    if (rules_[at]->rule == rule) return;
    // The object stays: decisions made under the old rule go on counting for it.
    InstalledRule& installed = *rules_[at];
    with_timeout_ += can_time_out(rule);
    with_timeout_ -= can_time_out(installed.rule);
    changed(rule.table);
    installed.rule = std::move(rule);
    installed.added = installed.used = now;
    return;
  }
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(rules_.size());
    rules_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  classifier.insert(rule.match, rule.priority, slot);
  with_timeout_ += can_time_out(rule);
  changed(rule.table);
  auto installed = std::make_shared<InstalledRule>();
  installed->serial = ++serial_;
  installed->rule = std::move(rule);
  installed->added = installed->used = now;
  rules_[slot] = std::move(installed);
  ++live_;
}

bool FlowTables::remove(const Rule& key, Time now) {
  return remove(key, Removed::Reason::deleted, now);
}

bool FlowTables::remove(const Rule& key, Removed::Reason reason, Time now) {
  const auto table = tables_.find(key.table);
  if (table == tables_.end()) return false;
  const std::uint32_t at = table->second.classifier.remove(key.match, key.priority);
  if (at == Classifier::kNone) return false;
  with_timeout_ -= can_time_out(rules_[at]->rule);
  if (rules_[at]->rule.send_flow_rem) {
    if (removed_.size() == kMostRemoved) removed_.pop_front();
    removed_.push_back({reason, rules_[at], now});
  }
  rules_[at] = nullptr;
  free_.push_back(at);
  changed(key.table);
  --live_;
  return true;
}

void FlowTables::learn(const Rule& rule, Time now) {
  const auto table = tables_.find(rule.table);
  if (table != tables_.end()) {
    const std::uint32_t at = table->second.classifier.find(rule.match, rule.priority);
    if (at != Classifier::kNone && rules_[at]->rule == rule) {
      rules_[at]->added = std::max(rules_[at]->added, now);
      return;
    }
  }
  add(rule, now);
}

std::size_t FlowTables::modify(const Rule& rule, const RuleFilter& filter, bool strict) {
  std::size_t count = 0;
  for (const auto& r : rules_) {
    if (r == nullptr) continue;
    const bool meant = strict ? r->rule.table == rule.table && r->rule.priority == rule.priority &&
                                    r->rule.match == rule.match
                              : is_covered(r->rule, rule, filter);
    if (!meant) continue;
    ++count;
    if (r->rule.actions == rule.actions) continue;
    r->rule.actions = rule.actions;
    if (rule.cookie != 0) r->rule.cookie = rule.cookie;
    changed(r->rule.table);
  }
  return count;
}

const InstalledRule* FlowTables::overlapping(const Rule& rule) const {
  for (const auto& r : rules_) {
    if (r == nullptr || r->rule.table != rule.table || r->rule.priority != rule.priority) continue;
    bool meet = true;
    for (unsigned i = 0; i < kKeyWords && meet; ++i)
      meet = ((r->rule.match.value.w[i] ^ rule.match.value.w[i]) & r->rule.match.mask.w[i] &
              rule.match.mask.w[i]) == 0;
    if (meet && !(r->rule.match == rule.match)) return r.get();
  }
  return nullptr;
}

std::vector<FlowTables::Removed> FlowTables::take_removed() {
  std::vector<Removed> out(removed_.begin(), removed_.end());
  removed_.clear();
  return out;
}

std::size_t FlowTables::remove_covered(const Rule& key, const RuleFilter& filter, Time now) {
  std::vector<Rule> meant;
  for (const auto& r : rules_)
    if (r != nullptr && is_covered(r->rule, key, filter)) meant.push_back(r->rule);
  for (const Rule& r : meant) remove(r, now);
  return meant.size();
}

std::size_t FlowTables::expire(Time now) {
  if (with_timeout_ == 0) return 0;
  std::vector<std::pair<Rule, Removed::Reason>> over;
  for (const auto& r : rules_) {
    if (r == nullptr) continue;
    const bool idle = r->rule.idle_timeout != 0 && now - r->used >= seconds(r->rule.idle_timeout);
    const bool hard = r->rule.hard_timeout != 0 && now - r->added >= seconds(r->rule.hard_timeout);
    if (idle || hard)
      over.emplace_back(r->rule,
                        hard ? Removed::Reason::hard_timeout : Removed::Reason::idle_timeout);
  }
  for (const auto& [rule, reason] : over) remove(rule, reason, now);
  return over.size();
}

const std::shared_ptr<InstalledRule>* FlowTables::lookup(std::uint8_t table, const FlowKey& key,
                                                         FlowMask& looked_at) const {
  const auto it = tables_.find(table);
  if (it == tables_.end()) return nullptr;
  const std::uint32_t at = it->second.classifier.lookup(key, looked_at);
  return at == Classifier::kNone ? nullptr : &rules_[at];
}

bool FlowTables::unchanged(const std::bitset<256>& tables, std::uint64_t generation) const {
  if (everything_ > generation) return false;
  for (const auto& [number, table] : tables_)
    if (changed_[number] > generation && tables[number]) return false;
  return true;
}

std::vector<std::shared_ptr<InstalledRule>> FlowTables::sorted() const {
  struct Line {
    std::shared_ptr<InstalledRule> rule;
    std::string match;
  };
  std::vector<Line> lines;
  for (const auto& r : rules_)
    if (r != nullptr) lines.push_back({r, format_match(r->rule.match)});
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    const Rule &x = a.rule->rule, &y = b.rule->rule;
    if (x.table != y.table) return x.table < y.table;
    if (x.priority != y.priority) return x.priority > y.priority;
    return a.match < b.match;
  });
  std::vector<std::shared_ptr<InstalledRule>> out;
  for (Line& l : lines) out.push_back(std::move(l.rule));
  return out;
}

}  // namespace weft::datapath
