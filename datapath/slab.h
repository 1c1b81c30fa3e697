// Slab: plain values under small numbers, in blocks that never move. A block is allocated when the
// first of its values is needed, so an empty slab costs nothing and a large one has no slack worth
// naming; freed numbers are used again, the last one first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace weft::datapath {

template <class T>
class Slab {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) >= sizeof(std::uint32_t));

 public:
  static constexpr std::uint32_t kBlock = 256;

  T& operator[](std::uint32_t i) { return blocks_[i / kBlock][i % kBlock]; }
  const T& operator[](std::uint32_t i) const { return blocks_[i / kBlock][i % kBlock]; }

  /// The number of a value that is all zero.
  std::uint32_t take() {
    if (!free_.empty()) {
      const std::uint32_t i = free_.back();
      free_.pop_back();
      (*this)[i] = T{};
      return i;
    }
    if (size_ % kBlock == 0) blocks_.push_back(std::make_unique<T[]>(kBlock));
    return size_++;
  }
  void give(std::uint32_t i) { free_.push_back(i); }
  /// Has room for the number `i`; for a slab that follows another's numbers, and takes none itself.
  void cover(std::uint32_t i) {
    for (; size_ <= i; ++size_)
      if (size_ % kBlock == 0) blocks_.push_back(std::make_unique<T[]>(kBlock));
  }

  /// One more than the highest number ever taken.
  std::uint32_t size() const { return size_; }
  /// Bytes allocated.
  std::size_t memory() const {
    return blocks_.size() * kBlock * sizeof(T) + blocks_.capacity() * sizeof(blocks_[0]) +
           free_.capacity() * sizeof(std::uint32_t);
  }

 private:
  std::vector<std::unique_ptr<T[]>> blocks_;
  std::vector<std::uint32_t> free_;
  std::uint32_t size_ = 0;
};

}  // namespace weft::datapath
