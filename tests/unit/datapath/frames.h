// Frames for the tests of datapath/, written byte by byte, and an Internet checksum that shares no
// code with datapath/checksum.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "datapath/checksum.h"
#include "datapath/packet.h"
#include "datapath/wire/wire.h"

namespace weft::test {

using Bytes = std::vector<std::uint8_t>;

/// "02 00 ff" or "0200ff"; blanks and line ends are skipped.
inline Bytes hex(std::string_view text) {
  Bytes out;
  int high = -1;
  for (char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<std::uint8_t>(high * 16 + digit));
      high = -1;
    }
  }
  return out;
}

inline Bytes frame_of(const Packet& packet) {
  Bytes out;
  packet.copy_frame(out);
  return out;
}

/// A packet for as long as a test lasts.
struct OnePacket {
  PacketArena arena;
  PacketPool pool{arena};
  Packet* p = pool.take();
  ~OnePacket() { pool.give(p); }
};

/// Sets packet to these bytes, all in the header area, or all but the first `headers` as payload.
inline void set_frame(Packet& packet, const Bytes& bytes, std::size_t headers = SIZE_MAX) {
  const auto n = static_cast<std::uint32_t>(std::min(headers, bytes.size()));
  std::copy_n(bytes.begin(), n, packet.reset_headers(n));
  packet.payload = Payload::copy_of(std::span(bytes).subspan(n));
}

inline std::uint16_t slow_sum(const Bytes& bytes, std::size_t from, std::size_t to,
                              std::uint32_t sum = 0) {
  for (std::size_t i = from; i < to; ++i) sum += (i - from) % 2 == 0 ? bytes[i] * 256u : bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// Whether the IPv4/IPv6 packet at l3 (no options, no extension headers) has right checksums.
inline bool slow_verify(const Bytes& f, std::size_t l3) {
  const bool is6 = f[l3] >> 4 == 6;
  const std::size_t l4 = l3 + (is6 ? 40 : 20);
  const std::uint8_t protocol = is6 ? f[l3 + 6] : f[l3 + 9];
  const std::size_t end =
      is6 ? l4 + f[l3 + 4] * 256u + f[l3 + 5] : l3 + f[l3 + 2] * 256u + f[l3 + 3];
  if (!is6 && slow_sum(f, l3, l4) != 0xffff) return false;
  std::uint32_t pseudo = 0;
  if (protocol != wire::kProtoIcmp) {
    pseudo = slow_sum(f, is6 ? l3 + 8 : l3 + 12, l4);
    pseudo += protocol + static_cast<std::uint32_t>(end - l4);
  }
  if (protocol == wire::kProtoUdp && f[l4 + 6] == 0 && f[l4 + 7] == 0) return !is6;
  return slow_sum(f, l4, end, pseudo) == 0xffff;
}

struct Lcg {
  std::uint64_t state;
  std::uint64_t next() {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state >> 20;
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
};

struct FlowSpec {
  bool is6 = false;
  std::uint8_t protocol = wire::kProtoTcp;
  std::uint32_t src = 0x0a000102;  ///< low 32 bits of either family
  std::uint32_t dst = 0x0a000203;
  std::uint16_t src_port = 40000;  ///< ICMP: identifier
  std::uint16_t dst_port = 8080;   ///< ICMP: sequence
  std::uint8_t tcp_flags = wire::TcpHeader::kAck;
  std::uint8_t icmp_type = wire::kIcmpEchoRequest;
  std::uint8_t tos = 0;
  bool vlan = false;
  std::uint32_t payload = 0;
  std::uint64_t stream = 1;
};

/// A frame as a guest would send it: headers in the header area, payload as a descriptor.
inline void build(Packet& packet, const FlowSpec& f) {
  const std::uint32_t l3 = f.vlan ? 18 : 14;
  const std::uint32_t l4 = l3 + (f.is6 ? 40 : 20);
  const std::uint32_t header = f.protocol == wire::kProtoTcp ? 20 : 8;
  std::uint8_t* p = packet.reset_headers(l4 + header);
  std::fill_n(p, l4 + header, std::uint8_t{0});
  auto& ethernet = wire::at<wire::EthernetHeader>(p);
  ethernet.dst = Mac::from_u64(0x020000000000 + f.dst);
  ethernet.src = Mac::from_u64(0x020000000000 + f.src);
  const std::uint16_t type = f.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
  ethernet.type = f.vlan ? wire::kEtherVlan : type;
  if (f.vlan) {
    wire::at<wire::VlanTag>(p + 14).tci = 0x6064;
    wire::at<wire::VlanTag>(p + 14).type = type;
  }
  if (f.is6) {
    auto& ip = wire::at<wire::Ipv6Header>(p + l3);
    ip.set_first_word(f.tos, 0);
    ip.payload_length = static_cast<std::uint16_t>(header + f.payload);
    ip.next_header = f.protocol;
    ip.hop_limit = 64;
    ip.src = Ip6{0xfd00ULL << 48, f.src};
    ip.dst = Ip6{0xfd00ULL << 48, f.dst};
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(p + l3);
    ip.version_ihl = 0x45;
    ip.tos = f.tos;
    ip.total_length = static_cast<std::uint16_t>(20 + header + f.payload);
    ip.ttl = 64;
    ip.protocol = f.protocol;
    ip.src = Ip4{f.src};
    ip.dst = Ip4{f.dst};
  }
  if (f.protocol == wire::kProtoTcp) {
    auto& tcp = wire::at<wire::TcpHeader>(p + l4);
    tcp.src_port = f.src_port;
    tcp.dst_port = f.dst_port;
    tcp.sequence = 1000;
    tcp.set_header_length(20);
    tcp.flags = f.tcp_flags;
    tcp.window = 65535;
  } else if (f.protocol == wire::kProtoUdp) {
    auto& udp = wire::at<wire::UdpHeader>(p + l4);
    udp.src_port = f.src_port;
    udp.dst_port = f.dst_port;
    udp.length = static_cast<std::uint16_t>(8 + f.payload);
  } else {
    auto& icmp = wire::at<wire::IcmpHeader>(p + l4);
    icmp.type = f.icmp_type;
    icmp.identifier() = f.src_port;
    icmp.sequence() = f.dst_port;
  }
  packet.payload = Payload::stream(f.stream, 17, f.payload);
  finish_l4_checksum(packet, l3);
}

}  // namespace weft::test
