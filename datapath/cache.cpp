#include "datapath/cache.h"

#include <algorithm>
#include <bit>
#include <new>

#include "base/check.h"

namespace weft::datapath {
namespace {

constexpr std::align_val_t kLine{64};
/// How many entries an eviction compares.
constexpr unsigned kSample = 16;

std::uint32_t hash_of(const FlowMask& mask) {
  std::uint64_t h = 0;
  for (unsigned i = 0; i < kPacketWords; ++i) h = mix64(h ^ mask.w[i], i);
  return static_cast<std::uint32_t>(h ^ h >> 32);
}

}  // namespace

// --- one entry ---

FlowKey Megaflow::full_key() const {
  FlowKey k;
  for (unsigned i = 0; i < table->sparse.count; ++i) k.w[table->sparse.word[i]] = key()[i];
  return k;
}

void Megaflow::count_for_rules() {
  const std::uint64_t p = packets - packets_counted;
  const std::uint64_t b = bytes - bytes_counted;
  packets_counted = packets;
  bytes_counted = bytes;
  if (p == 0) return;
  for (const auto& rule : decision().rules) {
    rule->packets += p;
    rule->bytes += b;
    rule->used = std::max(rule->used, used);
  }
  for (const auto& counter : decision().counters) {
    counter->packets += p;
    counter->bytes += b;
  }
}

// --- where entries lie ---

MegaflowCache::MegaflowCache(MegaflowLimits limits, std::uint64_t hash_seed)
    : limits_(limits), seed_(mix64(hash_seed, 0x6d656761)) {
  static_assert(sizeof(Megaflow) % 8 == 0 && sizeof(Megaflow) < 128);
  constexpr unsigned header = sizeof(Megaflow) / 8;
  constexpr unsigned most = (header + kPacketWords + 7) / 8 * 8;
  sizes_[0].words = 16 - header;
  sizes_[1].words = 24 - header;
  sizes_[2].words = most - header;
}

MegaflowCache::~MegaflowCache() {
  for (const Size& s : sizes_)
    for (std::byte* chunk : s.chunks) ::operator delete(chunk, kLine);
}

Megaflow& MegaflowCache::allocate(unsigned words) {
  unsigned size = 0;
  while (sizes_[size].words < words) ++size;
  Size& s = sizes_[size];
  if (s.free != 0) {
    Megaflow& e = *at(s.free - 1);
    const std::uint32_t slot = s.free - 1;
    s.free = e.slot;
    e.slot = slot;
    return e;
  }
  const std::uint32_t slot = s.made << 2 | size;
  const std::size_t room = (std::size_t{kFirstChunk} << s.chunks.size()) - kFirstChunk;
  if (s.made == room)
    s.chunks.push_back(static_cast<std::byte*>(
        ::operator new((std::size_t{kFirstChunk} << s.chunks.size()) * s.stride(), kLine)));
  ++s.made;
  auto* e = new (at(slot)) Megaflow();
  e->slot = slot;
  return *e;
}

MaskTable& MegaflowCache::table_of(const FlowMask& mask) {
  const std::uint32_t hash = hash_of(mask);
  const std::uint32_t known =
      by_mask_.find(hash, [&](std::uint32_t n) { return tables_[n]->mask == mask; });
  if (known != HashIndex::kNone) return *tables_[known];
  std::uint32_t number;
  if (free_tables_.empty()) {
    number = static_cast<std::uint32_t>(tables_.size());
    tables_.emplace_back();
  } else {
    number = free_tables_.back();
    free_tables_.pop_back();
  }
  tables_[number] = std::make_unique<MaskTable>();
  MaskTable& t = *tables_[number];
  t.mask = mask;
  t.sparse = SparseMask(mask, kPacketWords);
  t.number = number;
  by_mask_.insert(hash, number);
  order_.push_back(&t);
  return t;
}

// --- shares of owners ---

std::uint32_t MegaflowCache::owner_number(std::uint64_t name) {
  const auto hash = static_cast<std::uint32_t>(mix64(name, seed_));
  const auto is = [&](std::uint32_t n) { return owners_[n].name == name; };
  if (const std::uint32_t known = owner_index_.find(hash, is); known != kNone) return known;
  std::uint32_t number;
  if (free_owners_.empty()) {
    number = static_cast<std::uint32_t>(owners_.size());
    owners_.emplace_back();
  } else {
    number = free_owners_.back();
    free_owners_.pop_back();
  }
  owners_[number].name = name;
  owner_index_.insert(hash, number);
  return number;
}

std::uint32_t MegaflowCache::of_owner(std::uint64_t owner) const {
  const auto hash = static_cast<std::uint32_t>(mix64(owner, seed_));
  const std::uint32_t n =
      owner_index_.find(hash, [&](std::uint32_t k) { return owners_[k].name == owner; });
  return n == kNone ? 0 : owners_[n].count;
}

bool MegaflowCache::evict_one(std::uint32_t owner) {
  if (live_.empty()) return false;
  // Fair: what each could have if all had the same. Whoever has more pays first, and whoever
  // has most of all pays before them.
  const std::size_t fair = limits_.entries / std::max<std::size_t>(owner_index_.size(), 1);
  Megaflow* worst = nullptr;
  std::uint32_t worst_excess = 0;
  for (unsigned seen = 0; seen < kSample && seen < live_.size(); ++seen) {
    // All over the list: neighbours in it are often of one port.
    hand_ = mix64(hand_, seed_);
    Megaflow& e = *at(live_[hand_ % live_.size()]);
    if (owner != kNone && e.owner != owner) continue;
    const std::uint32_t held = owners_[e.owner].count;
    const std::uint32_t excess = held > fair ? held : 0;
    if (worst == nullptr || excess > worst_excess ||
        (excess == worst_excess && e.used < worst->used)) {
      worst = &e;
      worst_excess = excess;
    }
  }
  if (worst == nullptr) return false;
  ++evicted_;
  remove(*worst);
  return true;
}

// --- lookups ---

Megaflow* MegaflowCache::lookup(const FlowKey& key, std::uint64_t& tuples_searched) {
  for (MaskTable* table : order_) {
    ++tuples_searched;
    const std::uint32_t found = table->index.find(
        table->sparse.hash(key, seed_), [&](std::uint32_t slot) { return at(slot)->matches(key); });
    if (found == HashIndex::kNone) continue;
    ++table->hits;
    return at(found);
  }
  return nullptr;
}

void MegaflowCache::lookup_burst(std::span<const FlowKey* const> keys, Megaflow** found,
                                 std::uint64_t& tuples_searched) {
  std::uint8_t waiting[kBurst];
  const FlowKey* pending[kBurst];
  std::uint32_t hash[kBurst];
  Megaflow* first[kBurst];
  auto left = static_cast<unsigned>(keys.size());
  for (unsigned i = 0; i < left; ++i) {
    waiting[i] = static_cast<std::uint8_t>(i);
    found[i] = nullptr;
  }
  unsigned tuples = 0;
  for (MaskTable* table : order_) {
    ++tuples;
    for (unsigned i = 0; i < left; ++i) pending[i] = keys[waiting[i]];
    table->sparse.hash_burst({pending, left}, seed_, hash);
    for (unsigned i = 0; i < left; ++i) table->index.prefetch(hash[i]);
    for (unsigned i = 0; i < left; ++i) {
      const std::uint32_t slot = table->index.find(hash[i], [](std::uint32_t) { return true; });
      first[i] = slot == HashIndex::kNone ? nullptr : at(slot);
      if (first[i] == nullptr) continue;
      __builtin_prefetch(first[i]);
      __builtin_prefetch(reinterpret_cast<const std::byte*>(first[i]) + 64);
    }
    unsigned still = 0;
    for (unsigned i = 0; i < left; ++i) {
      const unsigned k = waiting[i];
      Megaflow* e = first[i];
      if (e != nullptr && !e->matches(*keys[k])) [[unlikely]] {
        const std::uint32_t slot =
            table->index.find(hash[i], [&](std::uint32_t s) { return at(s)->matches(*keys[k]); });
        e = slot == HashIndex::kNone ? nullptr : at(slot);
      }
      if (e == nullptr) {
        waiting[still++] = static_cast<std::uint8_t>(k);
        continue;
      }
      found[k] = e;
      ++table->hits;
      tuples_searched += tuples;
    }
    left = still;
    if (left == 0) return;
  }
}

// --- entries come and go ---

Megaflow* MegaflowCache::insert(const FlowKey& key, std::uint64_t owner, Decision& decision,
                                std::uint64_t generation, Time now, bool exact) {
  if (limits_.entries == 0) return nullptr;
  if (limits_.owner_limit != 0 && of_owner(owner) >= limits_.owner_limit &&
      !evict_one(owner_number(owner)))
    return nullptr;
  if (live_.size() >= limits_.entries) (void)evict_one(kNone);
  if (exact || order_.size() >= limits_.mask_limit)
    for (unsigned i = 0; i < kPacketWords; ++i) decision.mask.w[i] = ~0ULL;
  MaskTable& table = table_of(decision.mask);
  Megaflow& e = allocate(table.sparse.count);
  std::uint64_t* to = e.key();
  for (unsigned i = 0; i < table.sparse.count; ++i)
    to[i] = key.w[table.sparse.word[i]] & table.sparse.bits[i];
  e.table = &table;
  e.shared = decisions_.take(std::move(decision));
  e.generation = generation;
  e.packets = e.bytes = e.packets_counted = e.bytes_counted = 0;
  e.used = e.added = now;
  e.hash = table.sparse.hash(key, seed_);
  e.place = static_cast<std::uint32_t>(live_.size());
  live_.push_back(e.slot);
  table.index.insert(e.hash, e.slot);
  ++table.live;
  e.owner = owner_number(owner);
  ++owners_[e.owner].count;
  return &e;
}

void MegaflowCache::replace(Megaflow& entry, Decision decision, std::uint64_t generation) {
  entry.count_for_rules();
  const SharedDecision* fresh = decisions_.take(std::move(decision));
  decisions_.release(entry.shared);
  entry.shared = fresh;
  entry.generation = generation;
  ++removals_;  // who holds the old decision must not go on with it
}

void MegaflowCache::remove(Megaflow& entry) {
  entry.count_for_rules();
  ++removals_;
  if (Owner& o = owners_[entry.owner]; --o.count == 0) {
    owner_index_.erase(static_cast<std::uint32_t>(mix64(o.name, seed_)), entry.owner);
    free_owners_.push_back(entry.owner);
  }
  MaskTable& table = *tables_[entry.table->number];
  table.index.erase(entry.hash, entry.slot);
  if (--table.live == 0) {
    by_mask_.erase(hash_of(table.mask), table.number);
    std::erase(order_, &table);
    free_tables_.push_back(table.number);
    tables_[table.number] = nullptr;
  }
  decisions_.release(entry.shared);
  entry.table = nullptr;
  entry.shared = nullptr;
  const std::uint32_t last = live_.back();
  live_[entry.place] = last;
  at(last)->place = entry.place;
  live_.pop_back();
  Size& s = sizes_[entry.slot & 3];
  const std::uint32_t slot = entry.slot;
  entry.slot = s.free;
  s.free = slot + 1;
}

void MegaflowCache::sweep(Time now, Duration idle, Duration hard, std::size_t most) {
  for (most = std::min(most, live_.size()); most > 0 && !live_.empty(); --most) {
    if (swept_ >= live_.size()) swept_ = 0;
    Megaflow& e = *at(live_[swept_]);
    if (now - e.used >= idle || (hard != Duration{} && now - e.added >= hard)) {
      remove(e);  // another one takes its place
      continue;
    }
    e.count_for_rules();
    ++swept_;
  }
  std::stable_sort(order_.begin(), order_.end(),
                   [](const MaskTable* a, const MaskTable* b) { return a->hits > b->hits; });
  for (MaskTable* t : order_) t->hits /= 2;
}

void MegaflowCache::clear() {
  while (!live_.empty()) remove(*at(live_.back()));
}

void MegaflowCache::count_for_rules() {
  for (const std::uint32_t slot : live_) at(slot)->count_for_rules();
}

std::size_t MegaflowCache::memory_bytes() const {
  std::size_t n = decisions_.memory_bytes() + by_mask_.memory_bytes() +
                  live_.capacity() * sizeof(std::uint32_t) + owners_.capacity() * sizeof(Owner);
  for (const Size& s : sizes_) n += s.made * s.stride();
  for (const MaskTable* t : order_) n += sizeof(MaskTable) + t->index.memory_bytes();
  return n;
}

// --- exact match ---

ExactMatchCache::ExactMatchCache(std::uint32_t limit)
    : limit_(std::bit_floor(std::max<std::uint64_t>(limit / 2, 1))) {
  const std::uint64_t sets = std::min<std::uint64_t>(limit_, 32);
  slots_.resize(sets * 2);
  mask_ = sets - 1;
  window_ = static_cast<std::uint32_t>(limit_ * 4);
}

void ExactMatchCache::judge() {
  // The first window after a sleep fills the cache. One hit in four pays for itself.
  const bool pays = hits_ * 4 >= lookups_;
  if (!pays && warm_ && mask_ + 1 == limit_) asleep_ = window_ * 16;
  warm_ = asleep_ == 0;
  lookups_ = hits_ = 0;
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
    warm_ = false;
  }
  Slot* s = &slots_[(hash & mask_) * 2];
  s[1] = s[0];
  s[0] = {static_cast<std::uint32_t>(hash >> 32), entry};
}

void ExactMatchCache::clear() { std::fill(slots_.begin(), slots_.end(), Slot{}); }

}  // namespace weft::datapath
