// Classifier: finds the rule of highest priority that matches a key, by tuple space search
// (Srinivasan et al., SIGCOMM 1999, as in Open vSwitch): rules with equal masks share a hash table,
// a *subtable*; a lookup probes one subtable after the other, highest priority first, and stops
// when no later one can hold a better rule.
//
// A lookup also says which bits of the key it looked at: the masks of all subtables it probed.
// Any key that agrees in these bits gets the same answer; that is what makes a megaflow sound.
// Staged lookup and prefix tracking can only shrink that set: they would live in lookup(), behind
// the same interface.
//
// Two rules of equal priority that match the same packet: the one whose mask compares greater wins.
// The choice depends on the rules alone, never on the order in which they were added.
//
// The classifier does not own rules; a rule must be removed before it dies.
// tests/oracle/classifier_twin.h is the slow twin.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "datapath/flow_key.h"
#include "datapath/hash_index.h"
#include "datapath/match.h"
#include "datapath/sparse_mask.h"

namespace weft::datapath {

class Classifier {
 public:
  /// What the classifier needs to know of a rule; `owner` is the caller's number for it.
  struct Entry {
    Match match{};
    std::uint16_t priority = 0;
    std::uint32_t owner = 0;
  };
  static constexpr std::uint32_t kNone = 0xffffffff;

  /// No entry with this match and priority may exist.
  void insert(const Match& match, std::uint16_t priority, std::uint32_t owner);
  /// Gives the owner of the removed entry, kNone if there was none.
  std::uint32_t remove(const Match& match, std::uint16_t priority);
  /// Owner of the entry with exactly this match and priority, or kNone.
  std::uint32_t find(const Match& match, std::uint16_t priority) const;

  /// Owner of the best match or kNone; adds the bits looked at to `looked_at`.
  std::uint32_t lookup(const FlowKey& key, FlowMask& looked_at) const;

  std::size_t size() const { return size_; }
  std::size_t subtables() const { return subtables_.size(); }

 private:
  struct Subtable {
    FlowMask mask{};
    SparseMask sparse{};
    std::uint16_t max_priority = 0;
    HashIndex index;
    std::vector<Entry> entries;  // by the index's value
    std::vector<std::uint32_t> free;
    std::map<std::uint16_t, std::uint32_t> priorities;  // how many entries have each
  };
  Subtable* subtable_of(const FlowMask& mask) const;
  void sort();

  std::vector<std::unique_ptr<Subtable>> subtables_;  // max priority falling, then mask falling
  std::size_t size_ = 0;
};

}  // namespace weft::datapath
