// What a switch does to a packet's bytes at a hop, on real headers in place: find the destination,
// hash the flow for ECMP, decrement TTL with an incremental checksum (RFC 1624), mark ECN. Untagged
// Ethernet; everything here expects at least the fixed IP header to be present (checked once by
// view_frame).
#pragma once

#include <cstdint>
#include <cstring>

#include "base/hash.h"
#include "base/net_types.h"
#include "datapath/packet.h"
#include "datapath/wire/endian.h"

namespace weft::models {

inline std::uint16_t load16(const std::uint8_t* p) { return wire::load_be<std::uint16_t>(p); }
inline std::uint32_t load32(const std::uint8_t* p) { return wire::load_be<std::uint32_t>(p); }
inline std::uint64_t load64(const std::uint8_t* p) { return wire::load_be<std::uint64_t>(p); }
inline void store16(std::uint8_t* p, std::uint16_t v) { wire::store_be(p, v); }

enum class FrameKind : std::uint8_t { ipv4, ipv6, arp, other, cut_off };

/// Ethernet type and whether the fixed headers are all there.
inline FrameKind view_frame(const Packet& p) {
  if (p.header_size() < 14) return FrameKind::cut_off;
  switch (load16(p.data() + 12)) {
    case 0x0800:
      return p.header_size() >= 34 ? FrameKind::ipv4 : FrameKind::cut_off;
    case 0x86dd:
      return p.header_size() >= 54 ? FrameKind::ipv6 : FrameKind::cut_off;
    case 0x0806:
      return p.header_size() >= 42 ? FrameKind::arp : FrameKind::cut_off;
    default:
      return FrameKind::other;
  }
}

inline IpAddress destination_of(const Packet& p, FrameKind kind) {
  const std::uint8_t* ip = p.data() + 14;
  if (kind == FrameKind::ipv4) return Ip4{load32(ip + 16)};
  return Ip6{load64(ip + 24), load64(ip + 32)};
}
inline IpAddress source_of(const Packet& p, FrameKind kind) {
  const std::uint8_t* ip = p.data() + 14;
  if (kind == FrameKind::ipv4) return Ip4{load32(ip + 12)};
  return Ip6{load64(ip + 8), load64(ip + 16)};
}

/// Hash of the outermost 5-tuple (3-tuple for fragments and other protocols); never 0. Cached in
/// the packet until its headers change; each switch mixes in its own seed. `gre_key`: with GRE's
/// key (RFC 7637, 3.2: VSID and FlowID), which switches ignore unless they are told.
inline std::uint32_t route_hash(Packet& p, FrameKind kind, bool gre_key = false) {
  if (p.route_hash != 0) return p.route_hash;
  const std::uint8_t* ip = p.data() + 14;
  std::uint64_t h;
  std::uint32_t at;
  std::uint8_t protocol;
  bool ports = true;
  if (kind == FrameKind::ipv4) {
    h = load64(ip + 12);
    protocol = ip[9];
    at = 14 + (ip[0] & 15) * 4u;
    ports = (load16(ip + 6) & 0x3fff) == 0;
  } else {
    h = mix64(load64(ip + 8) ^ load64(ip + 24) * 3, load64(ip + 16) ^ load64(ip + 32) * 5);
    protocol = ip[6];
    at = 54;
  }
  std::uint64_t l4 = protocol;
  if (ports && (protocol == 6 || protocol == 17) && p.header_size() >= at + 4)
    l4 |= static_cast<std::uint64_t>(load32(p.data() + at)) << 8;
  if (gre_key && ports && protocol == 47 && p.header_size() >= at + 12) [[unlikely]] {
    const std::uint8_t* gre = p.data() + at;
    // The key follows the checksum, if there is one.
    if ((gre[0] & 0x20) != 0)
      l4 |= static_cast<std::uint64_t>(load32(gre + ((gre[0] & 0x80) != 0 ? 8 : 4))) << 8;
  }
  p.route_hash = static_cast<std::uint32_t>(mix64(h, l4) >> 32) | 1;
  return p.route_hash;
}

/// Which of `n` equal paths a switch takes for a packet with this hash.
inline std::size_t ecmp_choice(std::uint32_t hash, std::uint64_t seed, std::size_t n) {
  return (mix64(hash, seed) >> 32) * n >> 32;
}

inline std::uint8_t ttl_of(const Packet& p, FrameKind kind) {
  return p.data()[14 + (kind == FrameKind::ipv4 ? 8 : 7)];
}

/// TTL or hop limit minus one; the caller has seen that it is above 1.
inline void decrement_ttl(Packet& p, FrameKind kind) {
  std::uint8_t* ip = p.data() + 14;
  if (kind == FrameKind::ipv6) {
    --ip[7];
    return;
  }
  --ip[8];
  std::uint32_t sum = load16(ip + 10) + 0x0100u;  // the word lost 0x0100, so ~sum gains it
  store16(ip + 10, static_cast<std::uint16_t>(sum + (sum >= 0xffffu)));
}

/// Length of the IP packet in bytes, by the frame (Ethernet padding included).
inline std::uint32_t ip_bytes(const Packet& p) { return p.size() - 14; }

/// Sets CE if the packet is ECN-capable; false if it is not (or no IP).
inline bool mark_congestion(Packet& p) {
  const FrameKind kind = view_frame(p);
  std::uint8_t* ip = p.data() + 14;
  if (kind == FrameKind::ipv4) {
    if ((ip[1] & 3) == 0) return false;
    const std::uint32_t old_word = load16(ip);
    ip[1] |= 3;
    std::uint32_t sum =
        static_cast<std::uint16_t>(~load16(ip + 10)) + (0xffffu - old_word) + load16(ip);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    store16(ip + 10, static_cast<std::uint16_t>(~sum));
    return true;
  }
  if (kind == FrameKind::ipv6) {
    if ((ip[1] & 0x30) == 0) return false;
    ip[1] |= 0x30;
    return true;
  }
  return false;
}

}  // namespace weft::models
