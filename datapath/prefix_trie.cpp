#include "datapath/prefix_trie.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace weft::datapath {
namespace {

unsigned bit_at(Ip6 v, unsigned n) {
  return static_cast<unsigned>((n < 64 ? v.high >> (63 - n) : v.low >> (127 - n)) & 1);
}

/// How many leading bits two values share.
unsigned shared_bits(Ip6 a, Ip6 b) {
  if (a.high != b.high) return static_cast<unsigned>(std::countl_zero(a.high ^ b.high));
  return 64 + static_cast<unsigned>(std::countl_zero(a.low ^ b.low));
}

Ip6 cut(Ip6 v, unsigned length) {
  const Ip6 m = leading_bits(length);
  return {v.high & m.high, v.low & m.low};
}

}  // namespace

std::uint32_t PrefixTrie::make(Ip6 value, unsigned length, std::uint32_t count) {
  std::uint32_t at;
  if (free_.empty()) {
    at = static_cast<std::uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    at = free_.back();
    free_.pop_back();
  }
  nodes_[at] = Node{cut(value, length), count, {kRoot, kRoot}, static_cast<std::uint8_t>(length)};
  return at;
}

void PrefixTrie::drop(std::uint32_t node) { free_.push_back(node); }

void PrefixTrie::insert(Ip6 value, unsigned length) {
  WEFT_CHECK(length >= 1 && length <= 128);
  if (nodes_.empty()) nodes_.emplace_back();
  std::uint32_t at = kRoot;
  for (;;) {
    if (nodes_[at].length == length) {
      ++nodes_[at].count;
      return;
    }
    const unsigned side = bit_at(value, nodes_[at].length);
    const std::uint32_t next = nodes_[at].child[side];
    if (next == kRoot) {
      const std::uint32_t fresh = make(value, length, 1);
      nodes_[at].child[side] = fresh;
      return;
    }
    const unsigned shared = std::min({shared_bits(value, nodes_[next].value), length,
                                      static_cast<unsigned>(nodes_[next].length)});
    if (shared == nodes_[next].length) {
      at = next;
      continue;
    }
    // The path to `next` forks at `shared`, or the new prefix lies on it.
    const std::uint32_t fork = make(value, shared, 0);
    nodes_[at].child[side] = fork;
    nodes_[fork].child[bit_at(nodes_[next].value, shared)] = next;
    at = fork;
  }
}

void PrefixTrie::remove(Ip6 value, unsigned length) {
  std::uint32_t at = kRoot, parent = kRoot, grandparent = kRoot;
  while (!nodes_.empty() && nodes_[at].length < length) {
    grandparent = parent;
    parent = at;
    at = nodes_[at].child[bit_at(value, nodes_[at].length)];
    if (at == kRoot) break;
  }
  WEFT_CHECK(at != kRoot && nodes_[at].length == length && nodes_[at].count > 0 &&
                 nodes_[at].value == cut(value, length),
             "a prefix that is not in the trie");
  if (--nodes_[at].count != 0) return;
  const auto put = [&](std::uint32_t above, std::uint32_t old, std::uint32_t fresh) {
    nodes_[above].child[nodes_[above].child[1] == old] = fresh;
  };
  const auto only_child = [&](std::uint32_t n) {
    return nodes_[n].child[0] != kRoot ? nodes_[n].child[0] : nodes_[n].child[1];
  };
  if (nodes_[at].child[0] != kRoot && nodes_[at].child[1] != kRoot) return;
  put(parent, at, only_child(at));
  drop(at);
  // A fork with one branch left is none.
  const Node& p = nodes_[parent];
  if (parent != kRoot && p.count == 0 && (p.child[0] == kRoot) != (p.child[1] == kRoot)) {
    put(grandparent, parent, only_child(parent));
    drop(parent);
  }
}

PrefixTrie::Found PrefixTrie::lookup(Ip6 value) const {
  Found found;
  if (nodes_.empty()) return found;
  const Node* node = nodes_.data();
  for (;;) {
    if (node->count != 0)
      found.lengths[(node->length - 1u) / 64] |= 1ULL << (node->length - 1u) % 64;
    found.bits = node->length;
    if (node->length == 128 || (node->child[0] == kRoot && node->child[1] == kRoot)) return found;
    const std::uint32_t next = node->child[bit_at(value, node->length)];
    if (next == kRoot) {
      ++found.bits;
      return found;
    }
    const unsigned shared = shared_bits(value, nodes_[next].value);
    if (shared < nodes_[next].length) {
      found.bits = shared + 1;
      return found;
    }
    node = &nodes_[next];
  }
}

}  // namespace weft::datapath
