// HashIndex: from a hash to the indices of things with that hash. Open addressing with linear
// probing and backward-shift deletion: no tombstones, so it never degrades with churn, and a lookup
// touches one or two cache lines. The things themselves, and their equality, are the caller's.
#pragma once

#include <cstdint>
#include <vector>

namespace weft::datapath {

class HashIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  void insert(std::uint32_t hash, std::uint32_t value) {
    if ((used_ + 1) * 4 > slots_.size() * 3) grow();
    place(hash, value);
    ++used_;
  }
  /// Removes the pair, if it is there.
  void erase(std::uint32_t hash, std::uint32_t value) {
    if (slots_.empty()) return;
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash & mask;
    while (slots_[i].value != kNone && (slots_[i].hash != hash || slots_[i].value != value))
      i = (i + 1) & mask;
    if (slots_[i].value == kNone) return;
    --used_;
    for (std::size_t j = (i + 1) & mask;; j = (j + 1) & mask) {
      if (slots_[j].value == kNone) break;
      // An entry may move back to the hole unless its home lies behind the hole.
      if (((j - (slots_[j].hash & mask)) & mask) >= ((j - i) & mask)) {
        slots_[i] = slots_[j];
        i = j;
      }
    }
    slots_[i] = {};
  }
  /// The first value with this hash for which `is(value)` holds, else kNone.
  template <class Is>
  std::uint32_t find(std::uint32_t hash, Is is) const {
    if (slots_.empty()) return kNone;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash & mask; slots_[i].value != kNone; i = (i + 1) & mask)
      if (slots_[i].hash == hash && is(slots_[i].value)) return slots_[i].value;
    return kNone;
  }
  void prefetch(std::uint32_t hash) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
  }
  template <class Visit>
  void for_each(std::uint32_t hash, Visit visit) const {
    find(hash, [&](std::uint32_t v) {
      visit(v);
      return false;
    });
  }
  std::size_t size() const { return used_; }
  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }
  /// Puts another value in the place of one that is there.
  void replace(std::uint32_t hash, std::uint32_t value, std::uint32_t fresh) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash & mask;
    while (slots_[i].hash != hash || slots_[i].value != value) i = (i + 1) & mask;
    slots_[i].value = fresh;
  }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t value = kNone;
  };
  void place(std::uint32_t hash, std::uint32_t value) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash & mask;
    while (slots_[i].value != kNone) i = (i + 1) & mask;
    slots_[i] = {hash, value};
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? 8 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& s : old)
      if (s.value != kNone) place(s.hash, s.value);
  }

  std::vector<Slot> slots_;  // a power of two
  std::size_t used_ = 0;
};

/// Which hashes occur in a multiset of them.
class HashCounter {
 public:
  void add(std::uint32_t hash) {
    const std::uint32_t n = count(hash);
    if (n == HashIndex::kNone) {
      index_.insert(hash, 1);
    } else {
      index_.replace(hash, n, n + 1);
    }
  }
  /// It must be there.
  void remove(std::uint32_t hash) {
    const std::uint32_t n = count(hash);
    if (n == 1) {
      index_.erase(hash, 1);
    } else {
      index_.replace(hash, n, n - 1);
    }
  }
  bool contains(std::uint32_t hash) const { return count(hash) != HashIndex::kNone; }
  std::size_t memory_bytes() const { return index_.memory_bytes(); }

 private:
  std::uint32_t count(std::uint32_t hash) const {
    return index_.find(hash, [](std::uint32_t) { return true; });
  }
  HashIndex index_;  // the value is the count
};

}  // namespace weft::datapath
