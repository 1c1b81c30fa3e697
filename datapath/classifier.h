// Classifier: finds the rule of highest priority that matches a key, by tuple space search
// (Srinivasan et al., SIGCOMM 1999, as in Open vSwitch): rules with equal masks share a hash table,
// a *subtable*; a lookup probes one subtable after the other.
//
// A lookup also says which bits of the key it looked at. Any key that agrees in these bits gets the
// same answer; that is what makes a megaflow sound, and the fewer bits, the more packets a megaflow
// serves. Four optimisations keep them few (Pfaff et al., NSDI 2015, section 5), each of which can
// be switched off:
//
// - priority sorting: subtables come in the order of their best rule, and the search ends when no
//   later one can hold a better rule. Without it every subtable is probed.
// - staged lookup: a subtable is probed in stages (metadata, L2, L3, L4), each with an index of the
//   hashes that occur up to there; a probe that fails early has looked at the earlier stages only.
// - prefix tracking: a trie of the rules' prefixes per address field says which prefix lengths
//   can match the packet's address, and how many of its bits say so. A subtable of another length
//   is left out.
// - port tries: a subtable that fails only at the end is excused by the few leading bits of the
//   ports that no rule of it has, if there are such.
//
// A subtable that cannot match needs one witness only: where a trie is the witness, nothing else of
// that subtable goes into the mask. The answer and the mask depend on the rules and the looked-at
// bits alone, never on earlier lookups or on the order in which rules came.
//
// Two rules of equal priority that match the same packet: the one whose mask compares greater wins.
//
// The classifier does not own rules; a rule must be removed before it dies. An entry keeps only the
// words of its value that the mask has: a switch may hold a hundred thousand.
// tests/oracle/classifier_twin.h is the slow twin.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "datapath/cache_options.h"
#include "datapath/flow_key.h"
#include "datapath/hash_index.h"
#include "datapath/match.h"
#include "datapath/prefix_trie.h"
#include "datapath/sparse_mask.h"

namespace weft::datapath {

class Classifier {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  explicit Classifier(ClassifierOptions options = {}) : options_(options) {}

  /// No entry with this match and priority may exist. `owner` is the caller's number for the rule.
  void insert(const Match& match, std::uint16_t priority, std::uint32_t owner);
  /// Gives the owner of the removed entry, kNone if there was none.
  std::uint32_t remove(const Match& match, std::uint16_t priority);
  /// Owner of the entry with exactly this match and priority, or kNone.
  std::uint32_t find(const Match& match, std::uint16_t priority) const;

  /// Owner of the best match or kNone; adds the bits looked at to `looked_at`.
  std::uint32_t lookup(const FlowKey& key, FlowMask& looked_at) const;

  std::size_t size() const { return size_; }
  std::size_t subtables() const { return subtables_.size(); }
  std::size_t memory_bytes() const;

 private:
  /// Fields with a trie: IPv4 source and destination, IPv6 source and destination.
  static constexpr unsigned kTries = 4;

  struct Entry {
    std::uint32_t owner = 0;
    std::uint16_t priority = 0;
  };
  struct Subtable {
    FlowMask mask{};
    StagedMask staged{};
    std::uint16_t max_priority = 0;
    std::uint8_t trie_stage = 0;                       // before which the tries are asked
    std::array<std::uint8_t, kTries> prefix_length{};  // 0: no prefix of this field
    std::uint8_t ports_length = 0;  // up to the last bit looked at of (tp_src, tp_dst); 0: none
    PrefixTrie ports;
    std::array<HashCounter, kStages - 1> partial;  // of the stages before the last
    HashIndex index;                               // to entries
    std::vector<Entry> entries;
    std::vector<std::uint64_t> values;  // staged.count words each, in the order of entries
    std::vector<std::uint32_t> free;
    std::map<std::uint16_t, std::uint32_t> priorities;  // how many entries have each

    bool value_is(std::uint32_t entry, const FlowKey& key) const {
      const std::uint64_t* v = values.data() + std::size_t{entry} * staged.count;
      std::uint64_t difference = 0;
      for (unsigned i = 0; i < staged.count; ++i)
        difference |= (key.w[staged.word[i]] & staged.bits[i]) ^ v[i];
      return difference == 0;
    }
  };
  struct Search;

  Subtable* subtable_of(const FlowMask& mask) const;
  Subtable& make_subtable(const FlowMask& mask);
  std::uint32_t entry_of(const Subtable& s, const Match& match, std::uint16_t priority,
                         std::uint32_t hash) const;
  /// Adds the rule to, or takes it from, the indexes of stages, the tries and the port trie; gives
  /// its whole hash.
  std::uint32_t count_in(Subtable& s, const FlowKey& value, bool add);
  void sort();

  ClassifierOptions options_;
  std::vector<std::unique_ptr<Subtable>> subtables_;  // max priority falling, then mask falling
  std::array<PrefixTrie, kTries> tries_;
  std::size_t size_ = 0;
};

}  // namespace weft::datapath
