// Big-endian fields as types of their own, so that a host-order number cannot end up on the wire by
// accident. Every field is an array of bytes: alignment 1, no padding, so a header struct made of
// them may be laid over any byte of a frame without an unaligned access.
//
//   const auto* ip = wire::view<wire::Ipv4Header>(frame, 14);   // nullptr if it does not fit
//   std::uint16_t n = ip->total_length;                         // host order
//   header->total_length = n;                                   // wire order
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/net_types.h"

namespace weft::wire {

constexpr std::uint16_t swap_bytes(std::uint16_t v) { return __builtin_bswap16(v); }
constexpr std::uint32_t swap_bytes(std::uint32_t v) { return __builtin_bswap32(v); }
constexpr std::uint64_t swap_bytes(std::uint64_t v) { return __builtin_bswap64(v); }

/// Reads / writes a big-endian integer at any address.
template <class T>
inline T load_be(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) v = swap_bytes(v);
  return v;
}
template <class T>
inline void store_be(void* p, T v) {
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) v = swap_bytes(v);
  std::memcpy(p, &v, sizeof v);
}

template <class T>
class BigEndian {
 public:
  BigEndian() = default;
  BigEndian(T v) { store_be(bytes_, v); }  // NOLINT: implicit by design
  BigEndian& operator=(T v) {
    store_be(bytes_, v);
    return *this;
  }
  operator T() const { return load_be<T>(bytes_); }  // NOLINT: implicit by design
  T get() const { return load_be<T>(bytes_); }

 private:
  std::uint8_t bytes_[sizeof(T)];
};

using be16 = BigEndian<std::uint16_t>;
using be32 = BigEndian<std::uint32_t>;
using be64 = BigEndian<std::uint64_t>;

/// 24 bits: the identifiers of VXLAN and GENEVE.
class be24 {
 public:
  be24() = default;
  be24& operator=(std::uint32_t v) {
    bytes_[0] = static_cast<std::uint8_t>(v >> 16);
    bytes_[1] = static_cast<std::uint8_t>(v >> 8);
    bytes_[2] = static_cast<std::uint8_t>(v);
    return *this;
  }
  operator std::uint32_t() const {  // NOLINT: implicit by design
    return static_cast<std::uint32_t>(bytes_[0]) << 16 |
           static_cast<std::uint32_t>(bytes_[1]) << 8 | bytes_[2];
  }
  std::uint32_t get() const { return *this; }

 private:
  std::uint8_t bytes_[3];
};

class Ip4Field {
 public:
  Ip4Field() = default;
  Ip4Field& operator=(Ip4 a) {
    store_be(bytes_, a.value);
    return *this;
  }
  operator Ip4() const { return {load_be<std::uint32_t>(bytes_)}; }  // NOLINT: implicit by design
  Ip4 get() const { return *this; }

 private:
  std::uint8_t bytes_[4];
};

class Ip6Field {
 public:
  Ip6Field() = default;
  Ip6Field& operator=(Ip6 a) {
    store_be(bytes_, a.high);
    store_be(bytes_ + 8, a.low);
    return *this;
  }
  operator Ip6() const {  // NOLINT: implicit by design
    return {load_be<std::uint64_t>(bytes_), load_be<std::uint64_t>(bytes_ + 8)};
  }
  Ip6 get() const { return *this; }

 private:
  std::uint8_t bytes_[16];
};

/// A type that may be laid over bytes of a frame.
template <class T>
concept Header = std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> && alignof(T) == 1;

/// The header at `offset`, or nullptr if it does not lie wholly inside.
template <Header T>
const T* view(std::span<const std::uint8_t> bytes, std::size_t offset = 0) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return nullptr;
  return reinterpret_cast<const T*>(bytes.data() + offset);
}
template <Header T>
T* view_mutable(std::span<std::uint8_t> bytes, std::size_t offset = 0) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return nullptr;
  return reinterpret_cast<T*>(bytes.data() + offset);
}
/// The header at `p`, where the caller knows that sizeof(T) bytes lie there.
template <Header T>
const T& at(const std::uint8_t* p) {
  return *reinterpret_cast<const T*>(p);
}
template <Header T>
T& at(std::uint8_t* p) {
  return *reinterpret_cast<T*>(p);
}

}  // namespace weft::wire
