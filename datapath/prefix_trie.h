// PrefixTrie: the address (or port) prefixes of a set of rules, as a binary trie with compressed
// paths. One walk answers, for a value, which prefix lengths occur in the set with this value's own
// bits, and how many leading bits decided that. The classifier uses the answer twice: a subtable
// whose prefix length is not among them cannot match, and only the bits walked over need to go into
// the megaflow's mask (Pfaff et al., NSDI 2015, section 5.4).
//
// Values are left-aligned in 128 bits: bit 0 is the most significant. A prefix may be inserted
// several times (rules that differ elsewhere); it is there until it has been removed as often.
//
// Invariant: the shape depends on the set alone, never on the order in which it was made. A node
// other than the root holds a prefix of the set or has two children.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/net_types.h"

namespace weft::datapath {

class PrefixTrie {
 public:
  struct Found {
    std::array<std::uint64_t, 2> lengths{};  ///< bit n - 1: a prefix of length n contains the value
    /// Any value that agrees in so many leading bits gets the same answer.
    unsigned bits = 0;
    bool has(unsigned length) const {
      return (lengths[(length - 1) / 64] >> (length - 1) % 64 & 1) != 0;
    }
  };

  /// Bits of `value` behind `length` are ignored; 1 <= length <= 128.
  void insert(Ip6 value, unsigned length);
  /// The prefix must be there.
  void remove(Ip6 value, unsigned length);
  Found lookup(Ip6 value) const;
  bool empty() const { return nodes_.empty(); }
  std::size_t memory_bytes() const {
    return nodes_.capacity() * sizeof(Node) + free_.capacity() * sizeof(std::uint32_t);
  }

 private:
  static constexpr std::uint32_t kRoot = 0;
  struct Node {
    Ip6 value{};                              // zero behind `length`
    std::uint32_t count = 0;                  // how often this very prefix is in the set
    std::uint32_t child[2] = {kRoot, kRoot};  // kRoot: none
    std::uint8_t length = 0;
  };
  std::uint32_t make(Ip6 value, unsigned length, std::uint32_t count);
  void drop(std::uint32_t node);

  std::vector<Node> nodes_;  // [0] is the root, of length 0
  std::vector<std::uint32_t> free_;
};

/// The first `length` bits of a value; 0 <= length <= 128.
constexpr Ip6 leading_bits(unsigned length) {
  if (length == 0) return {};
  if (length <= 64) return {~0ULL << (64 - length), 0};
  return {~0ULL, length == 128 ? ~0ULL : ~0ULL << (128 - length)};
}

}  // namespace weft::datapath
