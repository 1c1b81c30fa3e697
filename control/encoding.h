// Encoding of everything the control plane puts into bytes: big-endian integers, strings and blobs
// with their length in front. Reader never reads past its end: the first thing that does not fit
// makes it `failed`, and from then on it gives zeros and empty strings, so decoders check once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/net_types.h"

namespace weft::control {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u16(std::uint16_t v) { number(v, 2); }
  void u32(std::uint32_t v) { number(v, 4); }
  void u64(std::uint64_t v) { number(v, 8); }
  /// Up to 2^32 - 1 bytes.
  void text(std::string_view s) {
    u32(static_cast<std::uint32_t>(s.size()));
    out_.append(s);
  }
  void mac(const Mac& m) {
    for (std::uint8_t b : m.bytes) u8(b);
  }
  void ip(const IpAddress& a) {
    u8(a.is6 ? 6 : 4);
    if (a.is6) u64(a.bits.high);
    if (a.is6) u64(a.bits.low);
    if (!a.is6) u32(a.v4().value);
  }
  void prefix(const Prefix& p) {
    ip(p.address);
    u8(static_cast<std::uint8_t>(p.length));
  }

 private:
  void number(std::uint64_t v, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      out_.push_back(static_cast<char>(v >> shift));
  }
  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  bool failed() const { return failed_; }
  /// Everything was read and nothing was missing.
  bool finished() const { return !failed_ && in_.empty(); }
  std::size_t left() const { return in_.size(); }
  void fail() {
    failed_ = true;
    in_ = {};
  }

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::string_view text() { return take(u32()); }
  Mac mac() {
    Mac m;
    for (std::uint8_t& b : m.bytes) b = u8();
    return m;
  }
  IpAddress ip() {
    const std::uint8_t family = u8();
    if (family == 4) return Ip4{u32()};
    if (family != 6) fail();
    Ip6 a;
    a.high = u64();
    a.low = u64();
    return a;
  }
  Prefix prefix() {
    Prefix p;
    p.address = ip();
    p.length = u8();
    if (p.length > (p.address.is6 ? 128 : 32)) fail();
    return p;
  }
  /// A count of things that take at least `least` bytes each: a count that cannot be true fails
  /// before anybody reserves memory for it.
  std::uint32_t count(std::size_t least) {
    const std::uint32_t n = u32();
    if (n > left() / least) fail();
    return failed_ ? 0 : n;
  }

 private:
  std::string_view take(std::size_t n) {
    if (n > in_.size()) {
      fail();
      return {};
    }
    const std::string_view part = in_.substr(0, n);
    in_.remove_prefix(n);
    return part;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t v = 0;
    for (char c : take(bytes)) v = v << 8 | static_cast<std::uint8_t>(c);
    return v;
  }
  std::string_view in_;
  bool failed_ = false;
};

}  // namespace weft::control
