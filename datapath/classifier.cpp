#include "datapath/classifier.h"

#include <algorithm>

#include "base/check.h"

namespace weft::datapath {

Classifier::Subtable* Classifier::subtable_of(const FlowMask& mask) const {
  for (const auto& s : subtables_)
    if (s->mask == mask) return s.get();
  return nullptr;
}

void Classifier::sort() {
  std::sort(subtables_.begin(), subtables_.end(), [](const auto& a, const auto& b) {
    if (a->max_priority != b->max_priority) return a->max_priority > b->max_priority;
    return a->mask > b->mask;
  });
}

void Classifier::insert(const Match& match, std::uint16_t priority, std::uint32_t owner) {
  Subtable* s = subtable_of(match.mask);
  bool order_changes = false;
  if (s == nullptr) {
    auto fresh = std::make_unique<Subtable>();
    fresh->mask = match.mask;
    fresh->sparse = SparseMask(match.mask);
    s = fresh.get();
    subtables_.push_back(std::move(fresh));
    order_changes = true;
  }
  std::uint32_t at;
  if (s->free.empty()) {
    at = static_cast<std::uint32_t>(s->entries.size());
    s->entries.push_back({match, priority, owner});
  } else {
    at = s->free.back();
    s->free.pop_back();
    s->entries[at] = {match, priority, owner};
  }
  s->index.insert(s->sparse.hash(match.value), at);
  ++s->priorities[priority];
  if (order_changes || priority > s->max_priority) {
    s->max_priority = s->priorities.rbegin()->first;
    sort();
  }
  ++size_;
}

std::uint32_t Classifier::find(const Match& match, std::uint16_t priority) const {
  const Subtable* s = subtable_of(match.mask);
  if (s == nullptr) return kNone;
  const std::uint32_t at = s->index.find(s->sparse.hash(match.value), [&](std::uint32_t i) {
    return s->entries[i].priority == priority && s->entries[i].match.value == match.value;
  });
  return at == HashIndex::kNone ? kNone : s->entries[at].owner;
}

std::uint32_t Classifier::remove(const Match& match, std::uint16_t priority) {
  Subtable* s = subtable_of(match.mask);
  if (s == nullptr) return kNone;
  const std::uint32_t hash = s->sparse.hash(match.value);
  const std::uint32_t at = s->index.find(hash, [&](std::uint32_t i) {
    return s->entries[i].priority == priority && s->entries[i].match.value == match.value;
  });
  if (at == HashIndex::kNone) return kNone;
  const std::uint32_t owner = s->entries[at].owner;
  s->index.erase(hash, at);
  s->free.push_back(at);
  --size_;
  const auto count = s->priorities.find(priority);
  WEFT_CHECK(count != s->priorities.end());
  if (--count->second == 0) s->priorities.erase(count);
  if (s->priorities.empty()) {
    std::erase_if(subtables_, [s](const auto& p) { return p.get() == s; });
  } else if (s->priorities.rbegin()->first != s->max_priority) {
    s->max_priority = s->priorities.rbegin()->first;
    sort();
  }
  return owner;
}

std::uint32_t Classifier::lookup(const FlowKey& key, FlowMask& looked_at) const {
  const Entry* best = nullptr;
  for (const auto& s : subtables_) {
    if (best != nullptr && s->max_priority < best->priority) break;
    const SparseMask& m = s->sparse;
    for (unsigned i = 0; i < m.count; ++i) looked_at.w[m.word[i]] |= m.bits[i];
    s->index.for_each(m.hash(key), [&](std::uint32_t at) {
      const Entry& e = s->entries[at];
      // Equal priority: the subtable found first has the greater mask or the greater top priority;
      // only the masks may decide.
      if (best != nullptr && (e.priority < best->priority ||
                              (e.priority == best->priority && e.match.mask < best->match.mask)))
        return;
      if (e.match.matches(key)) best = &e;
    });
  }
  return best == nullptr ? kNone : best->owner;
}

}  // namespace weft::datapath
