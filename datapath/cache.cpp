#include "datapath/cache.h"

#include <algorithm>
#include <bit>

namespace weft::datapath {

FlowKey Megaflow::full_key() const {
  FlowKey k;
  for (unsigned i = 0; i < table->sparse.count; ++i) k.w[table->sparse.word[i]] = key[i];
  return k;
}

void Megaflow::count_for_rules() {
  const std::uint64_t p = packets - packets_counted;
  const std::uint64_t b = bytes - bytes_counted;
  packets_counted = packets;
  bytes_counted = bytes;
  if (p == 0) return;
  for (const auto& rule : decision.rules) {
    rule->packets += p;
    rule->bytes += b;
    rule->used = std::max(rule->used, used);
  }
}

Megaflow* MegaflowCache::lookup(const FlowKey& key, std::uint64_t& tuples_searched) {
  for (const auto& table : tables_) {
    ++tuples_searched;
    const std::uint32_t at = table->index.find(
        table->sparse.hash(key), [&](std::uint32_t i) { return entries_[i]->matches(key); });
    if (at == HashIndex::kNone) continue;
    ++table->hits;
    return entries_[at].get();
  }
  return nullptr;
}

MaskTable& MegaflowCache::table_of(const FlowMask& mask) {
  for (const auto& t : tables_)
    if (t->mask == mask) return *t;
  tables_.push_back(std::make_unique<MaskTable>());
  MaskTable& t = *tables_.back();
  t.mask = mask;
  t.sparse = SparseMask(mask, kPacketWords);
  return t;
}

Megaflow* MegaflowCache::insert(const FlowKey& key, Decision decision, std::uint64_t generation,
                                Time now, bool exact) {
  if (limit_ == 0) return nullptr;
  if (live_ >= limit_) evict_one();
  if (exact)
    for (unsigned i = 0; i < kPacketWords; ++i) decision.mask.w[i] = ~0ULL;
  MaskTable& table = table_of(decision.mask);
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(entries_.size());
    entries_.push_back(std::make_unique<Megaflow>());
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Megaflow& e = *entries_[slot];
  for (unsigned i = 0; i < table.sparse.count; ++i)
    e.key[i] = key.w[table.sparse.word[i]] & table.sparse.bits[i];
  e.table = &table;
  e.generation = generation;
  e.packets = e.bytes = e.packets_counted = e.bytes_counted = 0;
  e.total_packets = e.total_bytes = 0;
  e.used = now;
  e.live = true;
  e.decision = std::move(decision);
  e.slot = slot;
  e.hash = table.sparse.hash(key);
  table.index.insert(e.hash, slot);
  ++table.live;
  ++live_;
  return &e;
}

void MegaflowCache::remove(Megaflow& entry) {
  entry.count_for_rules();
  entry.live = false;
  entry.decision = {};
  auto it = std::find_if(tables_.begin(), tables_.end(),
                         [&](const auto& t) { return t.get() == entry.table; });
  (*it)->index.erase(entry.hash, entry.slot);
  entry.table = nullptr;
  if (--(*it)->live == 0) tables_.erase(it);
  free_.push_back(entry.slot);
  --live_;
}

void MegaflowCache::evict_one() {
  Megaflow* oldest = nullptr;
  for (unsigned seen = 0; seen < 8;) {
    hand_ = (hand_ + 1) % entries_.size();
    Megaflow& e = *entries_[hand_];
    if (!e.live) continue;
    ++seen;
    if (oldest == nullptr || e.used < oldest->used) oldest = &e;
  }
  remove(*oldest);
}

void MegaflowCache::expire(Time now, Duration timeout) {
  for (const auto& e : entries_)
    if (e->live && now - e->used >= timeout) remove(*e);
  std::stable_sort(tables_.begin(), tables_.end(),
                   [](const auto& a, const auto& b) { return a->hits > b->hits; });
  for (const auto& t : tables_) t->hits /= 2;
}

void MegaflowCache::clear() {
  for (const auto& e : entries_)
    if (e->live) remove(*e);
}

void MegaflowCache::count_for_rules() {
  for (const auto& e : entries_)
    if (e->live) e->count_for_rules();
}

ExactMatchCache::ExactMatchCache(std::uint32_t limit)
    : limit_(std::bit_floor(std::max<std::uint64_t>(limit / 2, 1))) {
  const std::uint64_t sets = std::min<std::uint64_t>(limit_, 32);
  slots_.resize(sets * 2);
  mask_ = sets - 1;
}

void ExactMatchCache::insert(std::uint64_t hash, Megaflow* entry) {
  // Growing starts afresh: entries come back with their next packet. A set that overflows often
  // enough says that the cache is too small.
  if (slots_[(hash & mask_) * 2 + 1].entry != nullptr && ++replaced_ > mask_ / 2 + 4 &&
      mask_ + 1 < limit_) {
    const std::uint64_t sets = (mask_ + 1) * 4 > limit_ ? limit_ : (mask_ + 1) * 4;
    slots_.assign(sets * 2, {});
    mask_ = sets - 1;
    replaced_ = 0;
  }
  Slot* s = &slots_[(hash & mask_) * 2];
  s[1] = s[0];
  s[0] = {static_cast<std::uint32_t>(hash >> 32), entry};
}

void ExactMatchCache::clear() { std::fill(slots_.begin(), slots_.end(), Slot{}); }

}  // namespace weft::datapath
