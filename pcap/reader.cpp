#include "pcap/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>

#include "pcap/format.h"

namespace weft::pcap {

using namespace format;

namespace {

constexpr std::int64_t kPicoPerSecond = 1'000'000'000'000;

/// Reads numbers in the file's byte order from a piece of it; never beyond its end.
struct Cursor {
  std::span<const std::uint8_t> left;
  bool swapped = false;  ///< big endian

  bool has(std::size_t n) const { return left.size() >= n; }
  std::uint64_t number(std::size_t n) {
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < n; ++i)
      v |= std::uint64_t{left[i]} << 8 * (swapped ? n - 1 - i : i);
    left = left.subspan(n);
    return v;
  }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::span<const std::uint8_t> take(std::size_t n) {
    const auto part = left.first(n);
    left = left.subspan(std::min<std::size_t>(left.size(), n));
    return part;
  }
};

std::string text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Time CapturedPacket::at() const {
  const __int128 ps = static_cast<__int128>(seconds) * kPicoPerSecond + picoseconds;
  if (ps > std::numeric_limits<std::int64_t>::max() || ps < 0) return Time::never();
  return Time{static_cast<std::int64_t>(ps)};
}

Duration CapturedPacket::since(const CapturedPacket& earlier) const {
  const __int128 ps = (static_cast<__int128>(seconds) - earlier.seconds) * kPicoPerSecond +
                      picoseconds - earlier.picoseconds;
  const __int128 limit = std::numeric_limits<std::int64_t>::max();
  return Duration{static_cast<std::int64_t>(std::clamp(ps, -limit, limit))};
}

struct CaptureReader::Impl {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{nullptr, std::fclose};
  std::vector<std::uint8_t> memory;
  std::uint64_t position = 0;
  std::string path;
  bool swapped = false;
  bool classic = false;
  bool ended = false;
  std::uint64_t packets = 0;
  std::vector<CaptureInterface> interfaces;
  std::size_t section_first = 0;  ///< index of the section's first interface
  std::string application, comment;
  std::vector<std::uint8_t> block;

  Error wrong(const std::string& what) {
    ended = true;
    return {
        fmt::format("{}: {} at byte {}, after {} packets", path, what, position, packets),
        {},
        packets > 0 ? "the packets before that place are whole" : "is it a pcap or pcapng file?"};
  }

  /// Up to n bytes; fewer only at the end of the file.
  std::size_t read(std::uint8_t* out, std::size_t n) {
    std::size_t got = 0;
    if (file) {
      got = std::fread(out, 1, n, file.get());
    } else {
      got = std::min<std::size_t>(n, memory.size() - static_cast<std::size_t>(position));
      std::copy_n(memory.begin() + static_cast<std::ptrdiff_t>(position), got, out);
    }
    return got;
  }

  /// Exactly n more bytes into block; grows in steps, so that a lie costs no memory.
  bool append(std::size_t n) {
    constexpr std::size_t kStep = 1 << 20;
    while (n > 0) {
      const std::size_t step = std::min(n, kStep);
      const std::size_t old = block.size();
      block.resize(old + step);
      if (read(block.data() + old, step) != step) return false;
      position += step;
      n -= step;
    }
    return true;
  }

  Result<> start() {
    block.resize(4);
    const std::size_t got = read(block.data(), 4);
    if (got == 0) return wrong("the file is empty");
    if (got < 4) return wrong("the file is shorter than any capture");
    Cursor c{block, false};
    const std::uint32_t magic = c.u32();
    const std::uint32_t other = __builtin_bswap32(magic);
    if (magic == kSectionHeader) {
      // The block parser wants to read it again.
      if (file) std::rewind(file.get());
      return {};
    }
    classic = true;
    swapped = other == kClassicMicro || other == kClassicNano;
    const std::uint32_t true_magic = swapped ? other : magic;
    if (true_magic != kClassicMicro && true_magic != kClassicNano) {
      return wrong(fmt::format("not a capture (it starts with {:08x})", magic));
    }
    position = 4;
    block.clear();
    if (!append(20)) return wrong("the file header is cut off");
    Cursor h{block, swapped};
    h.take(12);
    CaptureInterface i;
    i.snap_length = h.u32();
    i.link_type = static_cast<std::uint16_t>(h.u32() & 0xffff);
    i.ticks_per_second = true_magic == kClassicNano ? 1'000'000'000 : 1'000'000;
    interfaces.push_back(i);
    return {};
  }

  void stamp(CapturedPacket& p, std::uint64_t ticks, const CaptureInterface& i) const {
    p.seconds = static_cast<std::int64_t>(ticks / i.ticks_per_second);
    // An offset that overflows is as meaningless as one that does not fit: wrap without UB.
    p.seconds = static_cast<std::int64_t>(static_cast<std::uint64_t>(p.seconds) +
                                          static_cast<std::uint64_t>(i.offset_seconds));
    const unsigned __int128 rest = ticks % i.ticks_per_second;
    p.picoseconds = static_cast<std::int64_t>(rest * kPicoPerSecond / i.ticks_per_second);
  }

  Result<std::optional<CapturedPacket>> next_classic() {
    block.clear();
    block.resize(16);
    const std::size_t got = read(block.data(), 16);
    if (got == 0) return end();
    position += got;
    if (got < 16) return wrong("a packet header is cut off");
    Cursor c{block, swapped};
    CapturedPacket p;
    const std::uint64_t seconds = c.u32();
    const std::uint64_t fraction = c.u32();
    const std::uint32_t length = c.u32();
    p.original_length = c.u32();
    if (length > kLargestBlock) return wrong(fmt::format("a packet claims {} bytes", length));
    stamp(p, fraction, interfaces[0]);  // a fraction beyond one second carries over
    p.seconds += static_cast<std::int64_t>(seconds);
    block.clear();
    if (!append(length)) return wrong("a packet is cut off");
    p.bytes = block;
    ++packets;
    return std::optional(std::move(p));
  }

  std::optional<CapturedPacket> end() {
    ended = true;
    return std::nullopt;
  }

  /// Reads the next block whole into `block` (body only); its type, or none at the end.
  Result<std::optional<std::uint32_t>> next_block() {
    block.clear();
    block.resize(8);
    const std::size_t got = read(block.data(), 8);
    if (got == 0) {
      ended = true;
      return std::optional<std::uint32_t>();
    }
    const std::uint64_t start = position;
    position += got;
    if (got < 8) return wrong("a block header is cut off");
    const bool section = Cursor{block, false}.u32() == kSectionHeader;
    if (section) {
      if (!append(4)) return wrong("a section header is cut off");
      Cursor order{std::span(block).subspan(8), false};
      const std::uint32_t magic = order.u32();
      if (magic != kByteOrder && __builtin_bswap32(magic) != kByteOrder) {
        return wrong("a section header has no byte-order mark");
      }
      swapped = magic != kByteOrder;
    }
    Cursor c{block, swapped};
    const std::uint32_t type = c.u32();
    const std::uint32_t length = c.u32();
    if (length < 12 || length % 4 != 0 || length > kLargestBlock || (section && length < 28)) {
      return wrong(fmt::format("a block claims {} bytes", length));
    }
    if (!append(length - block.size())) {
      return wrong(fmt::format("the block that starts at byte {} is cut off", start));
    }
    Cursor tail{std::span(block).last(4), swapped};
    if (tail.u32() != length) return wrong("the two lengths of a block differ");
    block.erase(block.begin(), block.begin() + 8);
    block.resize(block.size() - 4);
    return std::optional(type);
  }

  /// Calls f(code, value) for each option; false if they are malformed.
  template <class F>
  bool each_option(Cursor c, F f) {
    while (c.has(4)) {
      const std::uint16_t code = c.u16();
      const std::uint16_t length = c.u16();
      if (code == kOptionEnd) return true;
      if (!c.has(length)) return false;
      f(code, c.take(length));
      c.take(std::min<std::size_t>(padded(length) - length, c.left.size()));
    }
    return true;
  }

  Result<> section_header() {
    section_first = interfaces.size();
    application.clear();
    comment.clear();
    Cursor c{block, swapped};
    c.take(4);
    if (const std::uint16_t major = c.u16(); major != 1) {
      return wrong(fmt::format("pcapng version {} is not known", major));
    }
    c.take(10);
    if (!each_option(c, [&](std::uint16_t code, std::span<const std::uint8_t> v) {
          if (code == kSectionApplication) application = text_of(v);
          if (code == kOptionComment) comment = text_of(v);
        })) {
      return wrong("an option of a section header is cut off");
    }
    return {};
  }

  Result<> interface_description() {
    Cursor c{block, swapped};
    if (!c.has(8)) return wrong("an interface description is too short");
    if (interfaces.size() >= 65536) return wrong("more than 65536 interfaces");
    CaptureInterface i;
    i.link_type = c.u16();
    c.take(2);
    i.snap_length = c.u32();
    bool fits = true;
    const bool options = each_option(c, [&](std::uint16_t code, std::span<const std::uint8_t> v) {
      if (code == kInterfaceName) i.name = text_of(v);
      if (code == kInterfaceText) i.description = text_of(v);
      if (code == kInterfaceFilter && v.size() > 1 && v[0] == 0) i.filter = text_of(v.subspan(1));
      if (code == kInterfaceSpeed && v.size() == 8) i.speed_bps = Cursor{v, swapped}.number(8);
      if (code == kInterfaceOffset && v.size() == 8) {
        i.offset_seconds = static_cast<std::int64_t>(Cursor{v, swapped}.number(8));
      }
      if (code == kInterfaceResolution && v.size() == 1) {
        const unsigned power = v[0] & 0x7f;
        const bool binary = (v[0] & 0x80) != 0;
        fits = power <= (binary ? 63u : 19u);
        i.ticks_per_second = 1;
        for (unsigned k = 0; fits && k < power; ++k) i.ticks_per_second *= binary ? 2 : 10;
      }
    });
    if (!options) return wrong("an option of an interface is cut off");
    if (!fits) return wrong("an interface's time resolution is finer than can be counted");
    interfaces.push_back(std::move(i));
    return {};
  }

  Result<std::optional<CapturedPacket>> packet_block(std::uint32_t type) {
    Cursor c{block, swapped};
    CapturedPacket p;
    std::uint32_t captured = 0;
    std::uint64_t ticks = 0;
    std::uint64_t local = 0;
    if (type == kSimplePacket) {
      if (!c.has(4)) return wrong("a simple packet is too short");
      p.original_length = c.u32();
      captured =
          std::min<std::uint32_t>(p.original_length, static_cast<std::uint32_t>(c.left.size()));
    } else {
      if (!c.has(20)) return wrong("a packet block is too short");
      local = type == kEnhancedPacket ? c.u32() : c.u16();
      if (type == kPacketObsolete) c.take(2);  // its count of drops
      ticks = std::uint64_t{c.u32()} << 32;
      ticks |= c.u32();
      captured = c.u32();
      p.original_length = c.u32();
    }
    if (section_first + local >= interfaces.size()) {
      return wrong(fmt::format("a packet of interface {}, which was not described", local));
    }
    if (!c.has(captured)) return wrong(fmt::format("a packet claims {} bytes", captured));
    p.interface = static_cast<std::uint32_t>(section_first + local);
    if (type == kSimplePacket && interfaces[p.interface].snap_length != 0) {
      captured = std::min(captured, interfaces[p.interface].snap_length);
    }
    stamp(p, ticks, interfaces[p.interface]);
    const auto bytes = c.take(captured);
    p.bytes.assign(bytes.begin(), bytes.end());
    c.take(std::min<std::size_t>(padded(captured) - captured, c.left.size()));
    if (type != kSimplePacket &&
        !each_option(c, [&](std::uint16_t code, std::span<const std::uint8_t> v) {
          if (code == kOptionComment) p.comments.push_back(text_of(v));
          if (code == kPacketFlags && v.size() == 4) {
            const std::uint32_t d = Cursor{v, swapped}.u32() & 3;
            p.direction = d == 3 ? Direction::unknown : static_cast<Direction>(d);
          }
        })) {
      return wrong("an option of a packet is cut off");
    }
    ++packets;
    return std::optional(std::move(p));
  }

  Result<std::optional<CapturedPacket>> next() {
    if (ended) return std::optional<CapturedPacket>();
    if (classic) return next_classic();
    for (;;) {
      auto type = next_block();
      if (!type.ok()) return type.error();
      if (!type.value()) return std::optional<CapturedPacket>();
      Result<> r;
      switch (**type) {
        case kSectionHeader:
          r = section_header();
          break;
        case kInterfaceDescription:
          r = interface_description();
          break;
        case kEnhancedPacket:
        case kSimplePacket:
        case kPacketObsolete:
          return packet_block(**type);
        default:
          break;  // statistics, name resolution, custom: not ours
      }
      if (!r.ok()) return r.error();
    }
  }
};

CaptureReader::CaptureReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CaptureReader::CaptureReader(CaptureReader&&) noexcept = default;
CaptureReader& CaptureReader::operator=(CaptureReader&&) noexcept = default;
CaptureReader::~CaptureReader() = default;

Result<CaptureReader> CaptureReader::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->file.reset(std::fopen(path.c_str(), "rb"));
  if (!impl->file) {
    return Error{fmt::format("cannot read '{}': {}", path, std::strerror(errno)), {}, ""};
  }
  if (auto r = impl->start(); !r.ok()) return r.error();
  return CaptureReader(std::move(impl));
}

Result<CaptureReader> CaptureReader::from_bytes(std::vector<std::uint8_t> bytes) {
  auto impl = std::make_unique<Impl>();
  impl->path = "capture";
  impl->memory = std::move(bytes);
  if (auto r = impl->start(); !r.ok()) return r.error();
  return CaptureReader(std::move(impl));
}

Result<std::optional<CapturedPacket>> CaptureReader::next() { return impl_->next(); }
const std::vector<CaptureInterface>& CaptureReader::interfaces() const { return impl_->interfaces; }
const std::string& CaptureReader::application() const { return impl_->application; }
const std::string& CaptureReader::comment() const { return impl_->comment; }

Result<std::vector<CapturedPacket>> read_capture(const std::string& path) {
  auto reader = CaptureReader::open(path);
  if (!reader.ok()) return reader.error();
  std::vector<CapturedPacket> packets;
  for (;;) {
    auto p = reader->next();
    if (!p.ok()) return p.error();
    if (!p.value()) return packets;
    packets.push_back(std::move(**p));
  }
}

}  // namespace weft::pcap
