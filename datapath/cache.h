// The two caches in front of the tables.
//
// MegaflowCache: decisions by tuple space search over the masks that the slow path reported. Any
// entry that matches a key gives the right decision, so the first hit ends the search and the order
// of the masks is free: busy ones come first (sorted now and then by hits). A burst is looked up
// mask by mask: hash all keys, fetch all slots, fetch all entries, compare.
//
// ExactMatchCache: from the hash of a packet's key to the megaflow that served it last; two-way, in
// sets of two slots. It holds no key: a hit is confirmed by comparing the packet with the
// megaflow's own mask and key, which is both smaller and exactly as safe (any matching megaflow is
// right). It starts small and grows with use up to its limit, because a simulation has thousands of
// switches with ten flows each; and it steps aside for a while when it does not pay (too many flows
// for its size), because then it only costs cache misses.
//
// Both are bounded, and so is what one owner can take of them. An owner is the port that packets
// came in by or, behind a tunnel, its network: a tenant's flood is its own here and where it
// arrives.
// - A full megaflow cache evicts one of a few entries: of the owner that holds the most of what was
//   sampled beyond its fair share, the one that was not used for longest. A flood evicts itself.
// - `owner_limit` bounds the entries of one owner from the start: beyond it, it evicts its own.
// - Beyond `mask_limit` masks a new entry matches its packet's flow exactly, so that nobody can
// make
//   everybody's lookups long by provoking masks (tuple space explosion).
// A sweep (idle and hard timeouts, counting for rules) looks at a bounded number of entries a call.
//
// Entries have stable addresses for the life of the cache; a freed one has no table, matches
// nothing, and is used again. They come in three sizes, by how many words their mask has, in
// chunks that double: ten megaflows take a few KB, a million take no copy.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/time.h"
#include "datapath/decision_store.h"
#include "datapath/hash_index.h"
#include "datapath/sparse_mask.h"

namespace weft::datapath {

struct MaskTable {
  FlowMask mask{};
  SparseMask sparse{};
  HashIndex index;         // to the slots of MegaflowCache's entries
  std::uint64_t hits = 0;  // since the last sort
  std::uint32_t live = 0;
  std::uint32_t number = 0;
};

/// The words of its key follow it in memory.
struct alignas(8) Megaflow {
  const MaskTable* table = nullptr;  ///< nullptr: free
  const SharedDecision* shared = nullptr;
  std::uint64_t generation = 0;  ///< of the tables when the decision was last known to hold
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  Time used{};
  std::uint32_t hash = 0;
  std::uint32_t slot = 0;   ///< its number; of a free one: the next free one of its size
  std::uint32_t place = 0;  ///< in the list of live ones
  std::uint32_t owner = 0;  ///< the number of whom it counts for

  // Counted so far for the decision's rules.
  std::uint64_t packets_counted = 0;
  std::uint64_t bytes_counted = 0;
  Time added{};

  const Decision& decision() const { return shared->decision; }
  std::uint64_t* key() { return reinterpret_cast<std::uint64_t*>(this + 1); }
  const std::uint64_t* key() const { return reinterpret_cast<const std::uint64_t*>(this + 1); }
  bool matches(const FlowKey& k) const {
    if (table == nullptr) return false;
    const SparseMask& m = table->sparse;
    const std::uint64_t* mine = key();
    std::uint64_t difference = 0;
    for (unsigned i = 0; i < m.count; ++i) difference |= (k.w[m.word[i]] & m.bits[i]) ^ mine[i];
    return difference == 0;
  }
  /// The whole masked key, for texts.
  FlowKey full_key() const;
  /// Adds what was counted since the last time to the rules.
  void count_for_rules();
};

struct MegaflowLimits {
  std::uint32_t entries = 200'000;
  std::uint32_t owner_limit = 0;  ///< entries of one owner; 0: no limit of its own
  std::uint32_t mask_limit = 512;
};

class MegaflowCache {
 public:
  static constexpr std::size_t kBurst = 32;

  MegaflowCache(MegaflowLimits limits, std::uint64_t hash_seed);
  ~MegaflowCache();
  MegaflowCache(const MegaflowCache&) = delete;
  MegaflowCache& operator=(const MegaflowCache&) = delete;

  Megaflow* lookup(const FlowKey& key, std::uint64_t& tuples_searched);
  /// The same for up to kBurst keys at once; `found` gets nullptr where there is none. Counts the
  /// tuples of the hits only: whoever looks up a miss again counts those.
  void lookup_burst(std::span<const FlowKey* const> keys, Megaflow** found,
                    std::uint64_t& tuples_searched);
  /// The entry for `key` under the decision's mask (all bits if `exact`). Makes room if there is
  /// none; nullptr, and `decision` is untouched, if none can be made for this owner.
  Megaflow* insert(const FlowKey& key, std::uint64_t owner, Decision& decision,
                   std::uint64_t generation, Time now, bool exact);
  /// The same entry does something else from now on.
  void replace(Megaflow& entry, Decision decision, std::uint64_t generation);
  void remove(Megaflow& entry);
  /// Looks at `most` entries, going on where the last call stopped: removes those not used for
  /// `idle` or older than `hard` (0: never); the others count for their rules. Sorts the masks.
  void sweep(Time now, Duration idle, Duration hard, std::size_t most);
  /// Removes all; counts go to the rules first.
  void clear();
  void count_for_rules();

  std::size_t size() const { return live_.size(); }
  std::size_t masks() const { return order_.size(); }
  std::uint32_t of_owner(std::uint64_t owner) const;
  std::uint64_t evicted() const { return evicted_; }
  /// Grows whenever an entry goes: pointers found before that may be others' now.
  std::uint64_t removals() const { return removals_; }
  std::size_t memory_bytes() const;
  template <class Visit>
  void for_each(Visit visit) const {
    for (const std::uint32_t slot : live_) visit(*at(slot));
  }

 private:
  /// Words of a key that an entry of a size has room for; with the header 128, 192, 320 bytes.
  static constexpr unsigned kSizes = 3;
  static constexpr unsigned kFirstChunk = 8;
  static constexpr std::uint32_t kNone = HashIndex::kNone;
  struct Size {
    unsigned words = 0;
    std::vector<std::byte*> chunks;  // of kFirstChunk << n entries
    std::uint32_t made = 0;
    std::uint32_t free = 0;  // slot + 1, linked through Megaflow::slot
    std::size_t stride() const { return sizeof(Megaflow) + words * 8; }
  };
  struct Owner {
    std::uint64_t name = 0;
    std::uint32_t count = 0;
  };

  /// A slot is the number of an entry within its size, times four, plus the size.
  Megaflow* at(std::uint32_t slot) const {
    const Size& s = sizes_[slot & 3];
    const std::uint32_t n = (slot >> 2) + kFirstChunk;
    const unsigned chunk = 28u - static_cast<unsigned>(__builtin_clz(n));
    const std::uint32_t within = n - (kFirstChunk << chunk);
    return reinterpret_cast<Megaflow*>(s.chunks[chunk] + within * s.stride());
  }
  Megaflow& allocate(unsigned words);
  MaskTable& table_of(const FlowMask& mask);
  std::uint32_t owner_number(std::uint64_t name);
  /// Takes one of a few entries; only of `owner`, unless it is kNone. False if there was none.
  bool evict_one(std::uint32_t owner);

  MegaflowLimits limits_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<MaskTable>> tables_;  // by number
  std::vector<std::uint32_t> free_tables_;
  HashIndex by_mask_;
  std::vector<MaskTable*> order_;  // as searched
  std::array<Size, kSizes> sizes_;
  DecisionStore decisions_;
  std::vector<std::uint32_t> live_;  // slots
  std::vector<Owner> owners_;        // by number; one that has nothing may be another
  std::vector<std::uint32_t> free_owners_;
  HashIndex owner_index_;
  std::uint64_t hand_ = 0;  // of evictions: draws from live_
  std::size_t swept_ = 0;   // in live_
  std::uint64_t evicted_ = 0;
  std::uint64_t removals_ = 0;
};

class ExactMatchCache {
 public:
  explicit ExactMatchCache(std::uint32_t limit);

  /// Whether to use the cache for the next `lookups` lookups. It sleeps when most of its lookups
  /// missed although it had seen twice as many as it has room for.
  bool awake(std::uint32_t lookups) {
    if (asleep_ == 0) [[likely]]
      return true;
    asleep_ -= asleep_ < lookups ? asleep_ : lookups;
    return false;
  }
  /// The megaflow that the hash leads to and that matches, or nullptr.
  Megaflow* lookup(std::uint64_t hash, const FlowKey& key) {
    Megaflow* e = candidate(hash);
    const bool hit = e != nullptr && e->matches(key);
    note(hit);
    return hit ? e : nullptr;
  }
  /// In two steps, for bursts: where the hash leads to ...
  Megaflow* candidate(std::uint64_t hash) const {
    const Slot* s = &slots_[(hash & mask_) * 2];
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    return s[0].tag == tag ? s[0].entry : s[1].tag == tag ? s[1].entry : nullptr;
  }
  /// ... and whether it matched.
  void note(bool hit) {
    hits_ += hit;
    if (++lookups_ >= window_) [[unlikely]]
      judge();
  }
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&slots_[(hash & mask_) * 2]); }
  /// Newest first; what was there moves to the second slot.
  void insert(std::uint64_t hash, Megaflow* entry);
  void clear();
  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    Megaflow* entry = nullptr;
  };
  void judge();

  std::vector<Slot> slots_;  // two per set
  std::uint64_t mask_;       // sets - 1
  std::uint64_t limit_;      // sets
  std::uint32_t replaced_ = 0;
  std::uint32_t lookups_ = 0;  // in this window
  std::uint32_t hits_ = 0;
  std::uint32_t window_;
  bool warm_ = false;  // this window is not the first one since it slept or grew
  std::uint32_t asleep_ = 0;
};

}  // namespace weft::datapath
