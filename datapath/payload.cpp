#include "datapath/payload.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/hash.h"
#include "datapath/checksum.h"

namespace weft {
namespace {

constexpr std::uint32_t kModulus = 65535;

struct Series {
  std::uint32_t a;
  std::uint32_t b;
  std::uint32_t word(std::uint64_t k) const {
    return static_cast<std::uint32_t>((a + static_cast<std::uint64_t>(b) * (k % kModulus)) %
                                      kModulus);
  }
};

Series series_of(std::uint64_t stream) {
  const std::uint64_t h = mix64(stream);
  return {static_cast<std::uint32_t>((h & 0xffffffff) % kModulus),
          static_cast<std::uint32_t>(1 + (h >> 32) % (kModulus - 1))};
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
  const Series series = series_of(stream_);
  const std::uint64_t start = offset_ + from;
  std::uint32_t word = series.word(start / 2);
  std::size_t i = 0;
  auto next = [&] {
    word += series.b;
    if (word >= kModulus) word -= kModulus;
  };
  if (start % 2 != 0) {
    out[i++] = static_cast<std::uint8_t>(word);
    next();
  }
  for (; i + 1 < out.size(); i += 2, next()) {
    out[i] = static_cast<std::uint8_t>(word >> 8);
    out[i + 1] = static_cast<std::uint8_t>(word);
  }
  if (i < out.size()) out[i] = static_cast<std::uint8_t>(word >> 8);
}

std::uint16_t Payload::sum() const {
  if (length_ == 0) return 0;
  if (bytes_ != nullptr) return fold_sum(sum_bytes(bytes_->bytes().subspan(offset_, length_)));

  // Whole words first .. first + count - 1 as a closed form, then a half word at either end. An odd
  // start means that the slice's own words are the stream's words seen through a shift of one byte:
  // in ones-complement arithmetic that is a multiplication by 256, a swap of the folded sum.
  const Series series = series_of(stream_);
  const bool odd_start = offset_ % 2 != 0;
  const std::uint64_t end = offset_ + length_;
  const std::uint64_t first = (offset_ + 1) / 2;
  const std::uint64_t count = end / 2 > first ? end / 2 - first : 0;
  const std::uint64_t n = count % kModulus;
  const std::uint64_t k = first % kModulus;
  // sum over i < count of (a + b (first + i)) = count a + b (count first + count (count - 1) / 2)
  const std::uint64_t triangle = (count == 0 ? 0 : count * (count - 1) / 2) % kModulus;
  std::uint64_t total = n * series.a + series.b * ((n * k + triangle) % kModulus);
  if (odd_start) total += series.word(offset_ / 2) & 0xff;
  if (end % 2 != 0 && end / 2 >= first) total += series.word(end / 2) & 0xff00;
  auto folded = static_cast<std::uint16_t>(total % kModulus);
  if (folded == 0) {
    // The folded sum of bytes that are not all zero is never 0 but 0xffff. b is not 0, so of two
    // neighbouring words one is not zero: only slices of at most four bytes can be all zero.
    if (length_ > 4) return 0xffff;
    std::uint8_t bytes[4];
    materialise(0, {bytes, length_});
    return fold_sum(sum_bytes({bytes, length_}));
  }
  return odd_start ? static_cast<std::uint16_t>(folded << 8 | folded >> 8) : folded;
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
