// The two caches in front of the tables.
//
// MegaflowCache: decisions by tuple space search over the masks that the slow path reported. Any
// entry that matches a key gives the right decision, so the first hit ends the search and the order
// of the masks is free: busy ones come first (sorted now and then by hits).
//
// ExactMatchCache: from the hash of a packet's key to the megaflow that served it last; two-way, in
// sets of two slots. It holds no key: a hit is confirmed by comparing the packet with the
// megaflow's own mask and key, which is both smaller and exactly as safe (any matching megaflow is
// right). It starts small and grows with use up to its limit, because a simulation has thousands of
// switches with ten flows each.
//
// Both are bounded. When the megaflow cache is full, a clock hand goes round and takes the least
// recently used of the next few entries: under attack it degrades to the slow path, never worse.
//
// Entries have stable addresses for the life of the cache; a freed one has live = false, matches
// nothing, and is used again.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/time.h"
#include "datapath/decision.h"
#include "datapath/hash_index.h"
#include "datapath/sparse_mask.h"

namespace weft::datapath {

struct MaskTable {
  FlowMask mask{};
  SparseMask sparse{};
  HashIndex index;         // to MegaflowCache's entries
  std::uint64_t hits = 0;  // since the last sort
  std::uint32_t live = 0;
};

struct Megaflow {
  // What a hit reads comes first.
  std::array<std::uint64_t, kPacketWords> key{};  ///< the words of the mask, in its order, masked
  const MaskTable* table = nullptr;
  std::uint64_t generation = 0;  ///< of the tables when the decision was last known to hold
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  Time used{};
  bool live = false;
  Decision decision;

  // Counted so far for the decision's rules.
  std::uint64_t packets_counted = 0;
  std::uint64_t bytes_counted = 0;
  std::uint64_t total_packets = 0;  ///< under earlier decisions
  std::uint64_t total_bytes = 0;
  std::uint32_t slot = 0;
  std::uint32_t hash = 0;

  bool matches(const FlowKey& k) const {
    if (!live) return false;
    const SparseMask& m = table->sparse;
    std::uint64_t difference = 0;
    for (unsigned i = 0; i < m.count; ++i) difference |= (k.w[m.word[i]] & m.bits[i]) ^ key[i];
    return difference == 0;
  }
  /// The whole masked key, for texts.
  FlowKey full_key() const;
  /// Adds what was counted since the last time to the rules.
  void count_for_rules();
};

class MegaflowCache {
 public:
  explicit MegaflowCache(std::uint32_t limit) : limit_(limit) {}

  Megaflow* lookup(const FlowKey& key, std::uint64_t& tuples_searched);
  /// The entry for `key` under the decision's mask (all bits if `exact`); evicts if full.
  Megaflow* insert(const FlowKey& key, Decision decision, std::uint64_t generation, Time now,
                   bool exact);
  void remove(Megaflow& entry);
  /// Removes entries not used for `timeout`, and sorts the masks by use.
  void expire(Time now, Duration timeout);
  /// Removes all; counts go to the rules first.
  void clear();
  void count_for_rules();

  std::size_t size() const { return live_; }
  std::size_t masks() const { return tables_.size(); }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& e : entries_)
      if (e->live) visit(*e);
  }

 private:
  MaskTable& table_of(const FlowMask& mask);
  void evict_one();

  std::uint32_t limit_;
  std::vector<std::unique_ptr<MaskTable>> tables_;
  std::vector<std::unique_ptr<Megaflow>> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t live_ = 0;
  std::size_t hand_ = 0;
};

class ExactMatchCache {
 public:
  explicit ExactMatchCache(std::uint32_t limit);

  /// The megaflow that the hash leads to and that matches, or nullptr.
  Megaflow* lookup(std::uint64_t hash, const FlowKey& key) const {
    const Slot* s = &slots_[(hash & mask_) * 2];
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    if (s[0].tag == tag && s[0].entry != nullptr && s[0].entry->matches(key)) return s[0].entry;
    if (s[1].tag == tag && s[1].entry != nullptr && s[1].entry->matches(key)) return s[1].entry;
    return nullptr;
  }
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&slots_[(hash & mask_) * 2]); }
  /// Newest first; what was there moves to the second slot.
  void insert(std::uint64_t hash, Megaflow* entry);
  void clear();

 private:
  struct Slot {
    std::uint32_t tag = 0;
    Megaflow* entry = nullptr;
  };
  std::vector<Slot> slots_;  // two per set
  std::uint64_t mask_;       // sets - 1
  std::uint64_t limit_;      // sets
  std::uint32_t replaced_ = 0;
};

}  // namespace weft::datapath
