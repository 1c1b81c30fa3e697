// The parser's short cut for what nearly all frames are: Ethernet without a tag, IPv4 without
// options or fragments, TCP or UDP, all headers in the header area. It writes what parse_headers()
// and extract() together would write (a test compares them) in one go; anything out of the ordinary
// is left to them.
#pragma once

#include "datapath/flow_key.h"
#include "datapath/packet.h"
#include "datapath/parse.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {

/// Words of the key that parse_plain() writes; the others it leaves alone.
inline constexpr unsigned kPlainWords[] = {7, 8, 9, 11, 13, 14};

/// False, and nothing is written, if the frame is not plain or not in order.
inline bool parse_plain(const Packet& packet, ParsedHeaders& parsed, FlowKey& key) {
  constexpr std::uint32_t kL3 = 14, kL4 = 34;
  const std::uint8_t* p = packet.data();
  const std::uint32_t there = packet.header_size();
  if (there < kL4 + 8) return false;
  const auto source_and_type = wire::load_be<std::uint64_t>(p + 6);
  // IPv4, five words of header, not a fragment.
  if ((source_and_type & 0xffff) != wire::kEtherIpv4 || p[kL3] != 0x45 ||
      (wire::load_be<std::uint16_t>(p + kL3 + 6) & 0x3fff) != 0)
    return false;
  const std::uint32_t end = kL3 + wire::load_be<std::uint16_t>(p + kL3 + 2);
  if (end > packet.size()) return false;
  const std::uint8_t protocol = p[kL3 + 9];
  std::uint32_t header;
  std::uint8_t tcp_flags = 0;
  std::uint64_t key_flags = 0;
  if (protocol == wire::kProtoUdp) {
    header = sizeof(wire::UdpHeader);
    const std::uint32_t length = wire::load_be<std::uint16_t>(p + kL4 + 4);
    if (kL4 + header > end || length < header || kL4 + length > end) return false;
  } else if (protocol == wire::kProtoTcp) {
    if (kL4 + sizeof(wire::TcpHeader) > end || kL4 + sizeof(wire::TcpHeader) > there) return false;
    const auto& tcp = wire::at<wire::TcpHeader>(p + kL4);
    header = tcp.header_length();
    if (header < sizeof(wire::TcpHeader) || kL4 + header > end || kL4 + header > there)
      return false;
    tcp_flags = tcp.flags;
    key_flags = wire::load_be<std::uint16_t>(p + kL4 + 12) & 0x0fffu;
  } else {
    return false;
  }
  parsed = ParsedHeaders{};
  parsed.ip_version = 4;
  parsed.ip_proto = protocol;
  parsed.tos = p[kL3 + 1];
  parsed.ttl = p[kL3 + 8];
  parsed.tcp_flags = tcp_flags;
  parsed.eth_type = wire::kEtherIpv4;
  parsed.l3 = kL3;
  parsed.l4 = kL4;
  parsed.payload = static_cast<std::uint16_t>(kL4 + header);
  parsed.l3_end = end;
  key.w[7] = wire::load_be<std::uint64_t>(p) >> 16;
  key.w[8] = source_and_type >> 16 | source_and_type << 48;
  key.w[9] = static_cast<std::uint64_t>(protocol) | static_cast<std::uint64_t>(parsed.tos) << 8 |
             static_cast<std::uint64_t>(parsed.ttl) << 16 |
             static_cast<std::uint64_t>(wire::load_be<std::uint16_t>(p + kL4)) << 32 |
             static_cast<std::uint64_t>(wire::load_be<std::uint16_t>(p + kL4 + 2)) << 48;
  key.w[11] = wire::load_be<std::uint32_t>(p + kL3 + 12);
  key.w[13] = wire::load_be<std::uint32_t>(p + kL3 + 16);
  key.w[14] = key_flags;
  return true;
}

}  // namespace weft::datapath
