#include "datapath/decision_store.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace weft::datapath {
namespace {

/// Decisions that are one have one hash; the rest is for equality to find out.
std::uint32_t hash_of(const Decision& d) {
  std::uint64_t h = d.steps.size();
  for (const Step& s : d.steps) {
    h = mix64(h ^ static_cast<std::uint64_t>(s.kind),
              s.number | std::uint64_t{s.word} << 32 | std::uint64_t{s.zone} << 40);
    h = mix64(h ^ s.value, s.mask);
  }
  for (const OuterStep& o : d.outers)
    h = mix64(h ^ o.encap.dst.bits.low, o.encap.dst.bits.high ^ o.encap.vni);
  for (const auto& r : d.rules) h = mix64(h, r->serial);
  return static_cast<std::uint32_t>(h ^ h >> 32);
}

bool one(const Decision& a, const Decision& b) {
  if (!a.same_effect(b) || a.rules != b.rules || a.tables != b.tables || a.counters != b.counters)
    return false;
  for (std::size_t i = 0; i < a.outers.size(); ++i)
    if (a.outers[i].encap != b.outers[i].encap || a.outers[i].overhead != b.outers[i].overhead)
      return false;
  return true;
}

bool leaves_key(const Step& s) {
  return s.kind == StepKind::output || s.kind == StepKind::tunnel || s.kind == StepKind::drop;
}

}  // namespace

const SharedDecision* DecisionStore::take(Decision decision) {
  decision.mask = {};
  const std::uint32_t hash = hash_of(decision);
  const std::uint32_t at =
      index_.find(hash, [&](std::uint32_t i) { return one(all_[i]->decision, decision); });
  if (at != HashIndex::kNone) {
    ++all_[at]->holders;
    return all_[at].get();
  }
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(all_.size());
    all_.push_back(std::make_unique<SharedDecision>());
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  SharedDecision& s = *all_[slot];
  const auto& steps = decision.steps;
  s.simple = steps.size() == 1 && leaves_key(steps[0]) &&
             (steps[0].last || steps[0].kind == StepKind::drop);
  s.keeps_key = std::all_of(steps.begin(), steps.end(), leaves_key);
  s.tracks_first = !steps.empty() && steps[0].kind == StepKind::track;
  s.decision = std::move(decision);
  s.hash = hash;
  s.slot = slot;
  s.holders = 1;
  index_.insert(hash, slot);
  ++live_;
  return &s;
}

void DecisionStore::release(const SharedDecision* decision) {
  SharedDecision& s = *all_[decision->slot];
  WEFT_CHECK(&s == decision && s.holders > 0);
  if (--s.holders != 0) return;
  index_.erase(s.hash, s.slot);
  s.decision = {};
  s.next = nullptr;
  free_.push_back(s.slot);
  --live_;
}

std::size_t DecisionStore::memory_bytes() const {
  std::size_t n = all_.capacity() * sizeof(void*) + free_.capacity() * sizeof(std::uint32_t) +
                  index_.memory_bytes();
  for (const auto& s : all_)
    n += sizeof(SharedDecision) + s->decision.steps.capacity() * sizeof(Step) +
         s->decision.outers.capacity() * sizeof(OuterStep) +
         s->decision.errors.capacity() * sizeof(IcmpErrorStep) +
         s->decision.rules.capacity() * sizeof(std::shared_ptr<InstalledRule>);
  return n;
}

}  // namespace weft::datapath
