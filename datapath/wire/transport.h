// UDP (RFC 768) and TCP (RFC 9293) with its options (RFC 7323, 2018).
#pragma once

#include <optional>

#include "datapath/wire/endian.h"

namespace weft::wire {

inline constexpr std::uint16_t kPortDns = 53;
inline constexpr std::uint16_t kPortDhcpServer = 67;
inline constexpr std::uint16_t kPortDhcpClient = 68;
inline constexpr std::uint16_t kPortLisp = 4341;
inline constexpr std::uint16_t kPortVxlan = 4789;
inline constexpr std::uint16_t kPortGeneve = 6081;
inline constexpr std::uint16_t kPortStt = 7471;  ///< TCP-shaped
inline constexpr std::uint16_t kPortOtv = 8472;

struct UdpHeader {
  be16 src_port;
  be16 dst_port;
  be16 length;    ///< header and payload
  be16 checksum;  ///< 0: none (IPv4)
};
static_assert(sizeof(UdpHeader) == 8 && Header<UdpHeader>);

struct TcpHeader {
  be16 src_port;
  be16 dst_port;
  be32 sequence;
  be32 acknowledgement;
  std::uint8_t offset_reserved;  ///< header length in words << 4
  std::uint8_t flags;
  be16 window;
  be16 checksum;
  be16 urgent;

  static constexpr std::uint8_t kFin = 0x01;
  static constexpr std::uint8_t kSyn = 0x02;
  static constexpr std::uint8_t kRst = 0x04;
  static constexpr std::uint8_t kPsh = 0x08;
  static constexpr std::uint8_t kAck = 0x10;
  static constexpr std::uint8_t kUrg = 0x20;
  static constexpr std::uint8_t kEce = 0x40;
  static constexpr std::uint8_t kCwr = 0x80;

  unsigned header_length() const { return (offset_reserved >> 4) * 4u; }
  void set_header_length(unsigned bytes) {
    offset_reserved = static_cast<std::uint8_t>(bytes / 4 << 4);
  }
};
static_assert(sizeof(TcpHeader) == 20 && Header<TcpHeader>);

inline constexpr std::uint8_t kTcpOptionEnd = 0;
inline constexpr std::uint8_t kTcpOptionNop = 1;
inline constexpr std::uint8_t kTcpOptionMss = 2;
inline constexpr std::uint8_t kTcpOptionWindowScale = 3;
inline constexpr std::uint8_t kTcpOptionSackPermitted = 4;
inline constexpr std::uint8_t kTcpOptionSack = 5;
inline constexpr std::uint8_t kTcpOptionTimestamps = 8;

/// The options of a TCP header that a stack acts on; unknown ones are skipped.
struct TcpOptions {
  std::optional<std::uint16_t> mss;
  std::optional<std::uint8_t> window_scale;  ///< 0-14
  bool sack_permitted = false;
  struct Timestamps {
    std::uint32_t value;
    std::uint32_t echo;
  };
  std::optional<Timestamps> timestamps;
  struct SackBlock {
    std::uint32_t left;
    std::uint32_t right;
  };
  SackBlock sack[4]{};
  unsigned sack_blocks = 0;
};

/// Reads the bytes behind the fixed 20. False if an option overruns; what came before it is kept.
inline bool parse_tcp_options(std::span<const std::uint8_t> bytes, TcpOptions& out) {
  std::size_t i = 0;
  while (i < bytes.size()) {
    const std::uint8_t kind = bytes[i];
    if (kind == kTcpOptionEnd) return true;
    if (kind == kTcpOptionNop) {
      ++i;
      continue;
    }
    if (i + 1 >= bytes.size()) return false;
    const std::size_t length = bytes[i + 1];
    if (length < 2 || length > bytes.size() - i) return false;
    const std::uint8_t* p = bytes.data() + i + 2;
    if (kind == kTcpOptionMss && length == 4) out.mss = load_be<std::uint16_t>(p);
    if (kind == kTcpOptionWindowScale && length == 3)
      out.window_scale = p[0] > 14 ? std::uint8_t{14} : p[0];
    if (kind == kTcpOptionSackPermitted && length == 2) out.sack_permitted = true;
    if (kind == kTcpOptionTimestamps && length == 10)
      out.timestamps = {{load_be<std::uint32_t>(p), load_be<std::uint32_t>(p + 4)}};
    if (kind == kTcpOptionSack && length >= 10 && (length - 2) % 8 == 0 && length <= 34) {
      out.sack_blocks = static_cast<unsigned>((length - 2) / 8);
      for (unsigned b = 0; b < out.sack_blocks; ++b)
        out.sack[b] = {load_be<std::uint32_t>(p + b * 8), load_be<std::uint32_t>(p + b * 8 + 4)};
    }
    i += length;
  }
  return true;
}

/// Writes the options that are set, padded with NOPs to a multiple of 4, and returns the number of
/// bytes (0-40). SACK blocks that do not fit are left out.
inline unsigned write_tcp_options(const TcpOptions& options, std::uint8_t* out) {
  unsigned n = 0;
  if (options.mss) {
    out[n] = kTcpOptionMss;
    out[n + 1] = 4;
    store_be(out + n + 2, *options.mss);
    n += 4;
  }
  if (options.sack_permitted) {
    out[n] = kTcpOptionSackPermitted;
    out[n + 1] = 2;
    n += 2;
    if (!options.timestamps) {
      out[n++] = kTcpOptionNop;
      out[n++] = kTcpOptionNop;
    }
  } else if (options.timestamps) {
    out[n++] = kTcpOptionNop;
    out[n++] = kTcpOptionNop;
  }
  if (options.timestamps) {
    out[n] = kTcpOptionTimestamps;
    out[n + 1] = 10;
    store_be(out + n + 2, options.timestamps->value);
    store_be(out + n + 6, options.timestamps->echo);
    n += 10;
  }
  if (options.window_scale) {
    out[n++] = kTcpOptionNop;
    out[n] = kTcpOptionWindowScale;
    out[n + 1] = 3;
    out[n + 2] = *options.window_scale;
    n += 3;
  }
  unsigned blocks = options.sack_blocks;
  while (blocks > 0 && n + 4 + blocks * 8 > 40) --blocks;
  if (blocks > 0) {
    out[n++] = kTcpOptionNop;
    out[n++] = kTcpOptionNop;
    out[n++] = kTcpOptionSack;
    out[n++] = static_cast<std::uint8_t>(2 + blocks * 8);
    for (unsigned b = 0; b < blocks; ++b, n += 8) {
      store_be(out + n, options.sack[b].left);
      store_be(out + n + 4, options.sack[b].right);
    }
  }
  return n;
}

}  // namespace weft::wire
