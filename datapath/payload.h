// Payload: what follows the headers of a packet.
//
// A simulated guest's payload is a *descriptor* (stream, offset, length). Its bytes are a pure
// function of stream and position, so they need not exist until somebody looks (a capture, a real
// port), and the ones-complement sum of any slice is known in constant time, so checksums over them
// are always right and always cheap.
//
//   Word k of stream s (big endian, k = offset / 2) lies in block j = k / 64 at i = k mod 64. Each
//   of its two bytes is 0x80 + (step * (phase + i) mod 64), with a phase in [0, 63] and an odd step
//   for each byte derived from (s, j). Every byte is 0x80..0xbf: no text and no small length, so a
//   protocol analyser that guesses by port sees data at once. (Letters it would take for a line of
//   text whose end is still to come, and put the whole stream together again and again.)
//   An odd step visits all 64 values once per block, so every whole block has the same sum; a part
//   of a block is a difference of two table entries. Sums are therefore constant time.
//
// Payload that came from a capture, a real port or a control message is carried as it is: `bytes`
// is a reference-counted immutable buffer shared by clones and slices across threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weft {

/// Immutable bytes shared by reference count. Created by make(); the count starts at 1.
class SharedBytes {
 public:
  static SharedBytes* make(std::span<const std::uint8_t> bytes);
  void retain() { count_.fetch_add(1, std::memory_order_relaxed); }
  void release();
  std::span<const std::uint8_t> bytes() const;

 private:
  explicit SharedBytes(std::uint32_t size) : size_(size) {}
  std::atomic<std::uint32_t> count_{1};
  std::uint32_t size_;
};

class Payload {
 public:
  Payload() = default;
  static Payload stream(std::uint64_t stream_id, std::uint64_t offset, std::uint32_t length);
  static Payload copy_of(std::span<const std::uint8_t> bytes);
  Payload(const Payload& other)
      : stream_(other.stream_),
        offset_(other.offset_),
        bytes_(other.bytes_),
        length_(other.length_),
        sum_(other.sum_) {
    if (bytes_ != nullptr) bytes_->retain();
  }
  Payload(Payload&& other) noexcept
      : stream_(other.stream_),
        offset_(other.offset_),
        bytes_(other.bytes_),
        length_(other.length_),
        sum_(other.sum_) {
    other.forget();
  }
  Payload& operator=(const Payload& other) {
    if (this == &other) return *this;
    if (other.bytes_ != nullptr) other.bytes_->retain();
    if (bytes_ != nullptr) bytes_->release();
    stream_ = other.stream_;
    offset_ = other.offset_;
    bytes_ = other.bytes_;
    length_ = other.length_;
    sum_ = other.sum_;
    return *this;
  }
  Payload& operator=(Payload&& other) noexcept {
    if (this != &other) {
      if (bytes_ != nullptr) bytes_->release();
      stream_ = other.stream_;
      offset_ = other.offset_;
      bytes_ = other.bytes_;
      length_ = other.length_;
      sum_ = other.sum_;
      other.forget();
    }
    return *this;
  }
  ~Payload() {
    if (bytes_ != nullptr) bytes_->release();
  }
  void reset() {
    if (bytes_ != nullptr) bytes_->release();
    forget();
  }

  std::uint32_t size() const { return length_; }
  bool empty() const { return length_ == 0; }
  bool is_stream() const { return bytes_ == nullptr; }
  std::uint64_t stream_id() const { return stream_; }
  /// Position of the first byte within the stream (or within the shared buffer).
  std::uint64_t offset() const { return offset_; }

  /// The part [from, from + length), which must lie inside.
  Payload slice(std::uint32_t from, std::uint32_t length) const;
  /// Writes the bytes [from, from + out.size()) to out.
  void materialise(std::uint32_t from, std::span<std::uint8_t> out) const;
  /// Ones-complement sum of all bytes as big-endian words (an odd last byte is padded with zero),
  /// folded to 16 bits, not inverted. Constant time for streams, and kept: copies of a payload
  /// that has been summed up know it. (One object is not to be used by two threads at once.)
  std::uint16_t sum() const {
    if (sum_ == kNoSum) sum_ = compute_sum();
    return static_cast<std::uint16_t>(sum_);
  }
  /// Same length, and same place of the same stream or, for carried bytes, same bytes. Two empty
  /// payloads are equal.
  bool operator==(const Payload& other) const;

 private:
  static constexpr std::uint32_t kNoSum = UINT32_MAX;
  std::uint16_t compute_sum() const;
  void forget() {
    stream_ = 0;
    offset_ = 0;
    bytes_ = nullptr;
    length_ = 0;
    sum_ = kNoSum;
  }

  std::uint64_t stream_ = 0;
  std::uint64_t offset_ = 0;
  SharedBytes* bytes_ = nullptr;
  std::uint32_t length_ = 0;
  mutable std::uint32_t sum_ = kNoSum;  ///< kNoSum: not yet asked for
};

}  // namespace weft
