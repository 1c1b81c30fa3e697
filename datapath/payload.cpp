#include "datapath/payload.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/hash.h"
#include "datapath/checksum.h"

namespace weft {
namespace {

constexpr std::uint64_t kBlock = 64;  // words; one full cycle of each byte's series
constexpr std::uint32_t kBase = 0x80;

/// prefix[s][n]: sum of (step * m) mod 64 for m < n, for the odd step 2 s + 1; two cycles long, so
/// that a slice of a block with any phase is one difference.
struct CycleSums {
  std::uint16_t prefix[32][2 * kBlock + 1] = {};
  constexpr CycleSums() {
    for (unsigned s = 0; s < 32; ++s)
      for (unsigned n = 0; n < 2 * kBlock; ++n)
        prefix[s][n + 1] = static_cast<std::uint16_t>(prefix[s][n] + (2 * s + 1) * n % kBlock);
  }
};
constexpr CycleSums kCycles;
constexpr std::uint64_t kFullCycle = kBlock * (kBlock - 1) / 2;  // 0 + 1 + ... + 63

/// The two series of one block of a stream.
struct Block {
  std::uint32_t high_phase, high_step, low_phase, low_step;  // steps as indices of CycleSums
  Block(std::uint64_t stream, std::uint64_t block) {
    const std::uint64_t h = mix64(stream, block);
    high_phase = h & 63;
    low_phase = h >> 6 & 63;
    high_step = h >> 12 & 31;
    low_step = h >> 17 & 31;
  }
  std::uint32_t word(std::uint64_t within) const {
    const auto i = static_cast<std::uint32_t>(within);
    const std::uint32_t high = kBase + ((2 * high_step + 1) * (high_phase + i) & 63);
    const std::uint32_t low = kBase + ((2 * low_step + 1) * (low_phase + i) & 63);
    return high << 8 | low;
  }
  /// Sum of the words [from, to) of the block, kBase left out.
  std::uint64_t sum(std::uint64_t from, std::uint64_t to) const {
    const auto part = [&](std::uint32_t step, std::uint32_t phase) {
      return static_cast<std::uint64_t>(kCycles.prefix[step][phase + to]) -
             kCycles.prefix[step][phase + from];
    };
    return (part(high_step, high_phase) << 8) + part(low_step, low_phase);
  }
};

std::uint32_t word_of(std::uint64_t stream, std::uint64_t k) {
  return Block(stream, k / kBlock).word(k % kBlock);
}

/// Sum of the words [first, first + count), not folded; count below 2^32.
std::uint64_t sum_of_words(std::uint64_t stream, std::uint64_t first, std::uint64_t count) {
  if (count == 0) return 0;
  std::uint64_t total = count * (kBase << 8 | kBase);
  const std::uint64_t last = first + count - 1;  // inclusive: `first + count` may be 2^63
  const std::uint64_t head = first / kBlock, tail = last / kBlock;
  if (head == tail) return total + Block(stream, head).sum(first % kBlock, last % kBlock + 1);
  total += Block(stream, head).sum(first % kBlock, kBlock);
  total += (tail - head - 1) * (kFullCycle << 8) + (tail - head - 1) * kFullCycle;
  return total + Block(stream, tail).sum(0, last % kBlock + 1);
}

}  // namespace

SharedBytes* SharedBytes::make(std::span<const std::uint8_t> bytes) {
  WEFT_CHECK(bytes.size() <= UINT32_MAX);
  void* memory = ::operator new(sizeof(SharedBytes) + bytes.size());
  auto* shared = new (memory) SharedBytes(static_cast<std::uint32_t>(bytes.size()));
  if (!bytes.empty()) std::memcpy(static_cast<void*>(shared + 1), bytes.data(), bytes.size());
  return shared;
}

void SharedBytes::release() {
  // The last owner must see what the others did before it frees.
  if (count_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  this->~SharedBytes();
  ::operator delete(static_cast<void*>(this));
}

std::span<const std::uint8_t> SharedBytes::bytes() const {
  return {reinterpret_cast<const std::uint8_t*>(this + 1), size_};
}

Payload Payload::stream(std::uint64_t stream_id, std::uint64_t offset, std::uint32_t length) {
  Payload p;
  p.stream_ = stream_id;
  p.offset_ = offset;
  p.length_ = length;
  return p;
}

Payload Payload::copy_of(std::span<const std::uint8_t> bytes) {
  Payload p;
  if (bytes.empty()) return p;
  p.bytes_ = SharedBytes::make(bytes);
  p.length_ = static_cast<std::uint32_t>(bytes.size());
  return p;
}

Payload Payload::slice(std::uint32_t from, std::uint32_t length) const {
  WEFT_CHECK(from <= length_ && length <= length_ - from, "slice [{}, +{}) of {} bytes", from,
             length, length_);
  Payload p(*this);
  p.offset_ += from;
  if (length != length_) p.sum_ = kNoSum;
  p.length_ = length;
  return p;
}

void Payload::materialise(std::uint32_t from, std::span<std::uint8_t> out) const {
  WEFT_CHECK(from <= length_ && out.size() <= length_ - from, "bytes [{}, +{}) of {}", from,
             out.size(), length_);
  if (out.empty()) return;
  if (bytes_ != nullptr) {
    std::memcpy(out.data(), bytes_->bytes().data() + offset_ + from, out.size());
    return;
  }
  const std::uint64_t start = offset_ + from;
  std::uint64_t k = start / 2;
  std::size_t i = 0;
  if (start % 2 != 0) out[i++] = static_cast<std::uint8_t>(word_of(stream_, k++));
  while (i < out.size()) {
    const Block block(stream_, k / kBlock);
    for (std::uint64_t within = k % kBlock; within < kBlock && i < out.size(); ++within, ++k) {
      const std::uint32_t word = block.word(within);
      out[i++] = static_cast<std::uint8_t>(word >> 8);
      if (i < out.size()) out[i++] = static_cast<std::uint8_t>(word);
    }
  }
}

std::uint16_t Payload::compute_sum() const {
  if (length_ == 0) return 0;
  if (bytes_ != nullptr) return fold_sum(sum_bytes(bytes_->bytes().subspan(offset_, length_)));

  // Whole words as a closed form, then a half word at either end. An odd start means that the
  // slice's own words are the stream's words seen through a shift of one byte: in ones-complement
  // arithmetic that is a multiplication by 256, a swap of the folded sum.
  const bool odd_start = offset_ % 2 != 0;
  const std::uint64_t end = offset_ + length_;
  const std::uint64_t first = offset_ / 2 + offset_ % 2;
  const std::uint64_t count = end / 2 > first ? end / 2 - first : 0;
  std::uint64_t total = sum_of_words(stream_, first, count);
  if (odd_start) total += word_of(stream_, offset_ / 2) & 0xff;
  if (end % 2 != 0 && end / 2 >= first) total += word_of(stream_, end / 2) & 0xff00;
  const std::uint16_t folded = fold_sum(total);
  return odd_start ? swap_sum(folded) : folded;
}

bool Payload::operator==(const Payload& other) const {
  if (length_ != other.length_) return false;
  if (length_ == 0) return true;
  if (is_stream() != other.is_stream()) return false;
  if (is_stream()) return stream_ == other.stream_ && offset_ == other.offset_;
  return std::memcmp(bytes_->bytes().data() + offset_, other.bytes_->bytes().data() + other.offset_,
                     length_) == 0;
}

}  // namespace weft
