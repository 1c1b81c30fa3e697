#include "datapath/parse.h"

#include <algorithm>

#include "base/hash.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

// A walk over the frame. `there` bytes may be read; the frame is `size` long.
class Parser {
 public:
  Parser(std::span<const std::uint8_t> bytes, std::uint32_t frame_size)
      : p_(bytes.data()), there_(static_cast<std::uint32_t>(bytes.size())), size_(frame_size) {}

  ParsedHeaders run(std::uint32_t base) {
    ethernet(base);
    return out_;
  }
  ParsedHeaders run_ip(std::uint32_t l3) {
    out_.l3_end = size_;
    if (!need(l3, 1, size_)) return out_;
    const bool is6 = p_[l3] >> 4 == 6;
    out_.eth_type = is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
    out_.l3 = static_cast<std::uint16_t>(l3);
    if (is6) {
      ipv6(l3);
    } else {
      ipv4(l3);
    }
    return out_;
  }

 private:
  /// Whether [offset, offset + n) may be read; sets the error if not. `end` is where the enclosing
  /// header says that its contents end.
  bool need(std::uint32_t offset, std::uint32_t n, std::uint32_t end) {
    if (offset + n <= end && offset + n <= there_) [[likely]]
      return true;
    if (offset + n > size_) {
      out_.error = ParseError::truncated;
    } else if (offset + n > end) {
      out_.error = ParseError::malformed;
    } else {
      out_.error = ParseError::needs_payload;
    }
    return false;
  }
  void malformed() { out_.error = ParseError::malformed; }

  void ethernet(std::uint32_t base) {
    out_.l3_end = size_;
    if (!need(base, sizeof(wire::EthernetHeader), size_)) return;
    std::uint32_t l3 = base + sizeof(wire::EthernetHeader);
    std::uint16_t type = wire::at<wire::EthernetHeader>(p_ + base).type;
    if (type == wire::kEtherVlan || type == wire::kEtherQinQ) {
      if (!need(l3, sizeof(wire::VlanTag), size_)) return;
      const auto& tag = wire::at<wire::VlanTag>(p_ + l3);
      out_.has_vlan = true;
      out_.vlan_tci = tag.tci;
      type = tag.type;
      l3 += sizeof(wire::VlanTag);
    }
    out_.eth_type = type;
    out_.l3 = static_cast<std::uint16_t>(l3);
    out_.payload = out_.l3;
    if (type == wire::kEtherIpv4) return ipv4(l3);
    if (type == wire::kEtherIpv6) return ipv6(l3);
    if (type == wire::kEtherArp) return arp(l3);
  }

  void arp(std::uint32_t l3) {
    if (!need(l3, sizeof(wire::ArpHeader), size_)) return;
    out_.l3_end = l3 + sizeof(wire::ArpHeader);
    out_.payload = static_cast<std::uint16_t>(out_.l3_end);
  }

  void ipv4(std::uint32_t l3) {
    if (!need(l3, sizeof(wire::Ipv4Header), size_)) return;
    const auto& ip = wire::at<wire::Ipv4Header>(p_ + l3);
    const std::uint32_t header = ip.header_length();
    const std::uint32_t total = ip.total_length;
    if (ip.version() != 4 || header < sizeof(wire::Ipv4Header) || total < header) {
      return malformed();
    }
    if (l3 + total > size_) return malformed();
    if (!need(l3, header, l3 + total)) return;
    out_.ip_version = 4;
    out_.ip_proto = ip.protocol;
    out_.tos = ip.tos;
    out_.ttl = ip.ttl;
    out_.l3_end = l3 + total;
    const std::uint32_t l4 = l3 + header;
    out_.payload = static_cast<std::uint16_t>(l4);
    const std::uint16_t fragment = ip.flags_fragment;
    if ((fragment & (wire::Ipv4Header::kMoreFragments | wire::Ipv4Header::kOffsetMask)) != 0) {
      const bool later = (fragment & wire::Ipv4Header::kOffsetMask) != 0;
      out_.fragment = later ? Fragment::later : Fragment::first;
      if (later) return;
    }
    transport(ip.protocol, l4);
  }

  void ipv6(std::uint32_t l3) {
    if (!need(l3, sizeof(wire::Ipv6Header), size_)) return;
    const auto& ip = wire::at<wire::Ipv6Header>(p_ + l3);
    const std::uint32_t end = l3 + sizeof(wire::Ipv6Header) + ip.payload_length;
    if (ip.version() != 6 || end > size_) return malformed();
    out_.ip_version = 6;
    out_.tos = ip.traffic_class();
    out_.ttl = ip.hop_limit;
    out_.l3_end = end;
    std::uint8_t next = ip.next_header;
    std::uint32_t offset = l3 + sizeof(wire::Ipv6Header);
    // Hop-by-hop, destination options (twice), routing, fragment, authentication: with more than
    // eight extension headers somebody is playing.
    for (int i = 0; i <= 8; ++i) {
      out_.ip_proto = next;
      out_.payload = static_cast<std::uint16_t>(offset);
      std::uint32_t length = 0;
      switch (next) {
        case wire::kProtoHopByHop:
        case wire::kProtoRouting:
        case wire::kProtoDestinationOptions: {
          if (!need(offset, 8, end)) return;
          length = wire::at<wire::Ipv6ExtensionHeader>(p_ + offset).bytes();
          break;
        }
        case wire::kProtoAuthentication: {
          if (!need(offset, 8, end)) return;
          length = (p_[offset + 1] + 2u) * 4u;
          break;
        }
        case wire::kProtoFragment: {
          if (!need(offset, sizeof(wire::Ipv6FragmentHeader), end)) return;
          const auto& fragment = wire::at<wire::Ipv6FragmentHeader>(p_ + offset);
          length = sizeof(wire::Ipv6FragmentHeader);
          if (fragment.offset_bytes() != 0) {
            out_.fragment = Fragment::later;
            out_.ip_proto = fragment.next_header;
            out_.payload = static_cast<std::uint16_t>(offset + length);
            return;
          }
          // Offset 0 without more: an atomic fragment (RFC 6946) is a whole packet.
          if (fragment.more_fragments()) out_.fragment = Fragment::first;
          break;
        }
        default:
          return transport(next, offset);
      }
      next = p_[offset];
      if (!need(offset, length, end)) return;
      offset += length;
    }
    malformed();
  }

  void transport(std::uint8_t protocol, std::uint32_t l4) {
    const std::uint32_t end = out_.l3_end;
    std::uint32_t header = 0;
    if (protocol == wire::kProtoTcp) {
      if (!need(l4, sizeof(wire::TcpHeader), end)) return;
      const auto& tcp = wire::at<wire::TcpHeader>(p_ + l4);
      header = tcp.header_length();
      if (header < sizeof(wire::TcpHeader)) return malformed();
      if (!need(l4, header, end)) return;
      out_.tcp_flags = tcp.flags;
    } else if (protocol == wire::kProtoUdp) {
      if (!need(l4, sizeof(wire::UdpHeader), end)) return;
      header = sizeof(wire::UdpHeader);
      const std::uint32_t length = wire::at<wire::UdpHeader>(p_ + l4).length;
      if (length < header) return malformed();
      if (l4 + length > end && out_.fragment == Fragment::none) return malformed();
    } else if ((protocol == wire::kProtoIcmp && out_.ip_version == 4) ||
               (protocol == wire::kProtoIcmpv6 && out_.ip_version == 6)) {
      if (!need(l4, sizeof(wire::IcmpHeader), end)) return;
      header = sizeof(wire::IcmpHeader);
    } else {
      return;
    }
    out_.l4 = static_cast<std::uint16_t>(l4);
    out_.payload = static_cast<std::uint16_t>(l4 + header);
  }

  const std::uint8_t* p_;
  std::uint32_t there_;
  std::uint32_t size_;
  ParsedHeaders out_;
};

}  // namespace

ParsedHeaders parse_bytes(std::span<const std::uint8_t> headers, std::uint32_t frame_size,
                          std::uint32_t base) {
  return Parser(headers, frame_size).run(base);
}

ParsedHeaders parse_ip(std::span<const std::uint8_t> headers, std::uint32_t frame_size,
                       std::uint32_t l3) {
  return Parser(headers, frame_size).run_ip(l3);
}

ParsedHeaders parse_materialising(Packet& packet) {
  for (;;) {
    ParsedHeaders parsed = parse_headers(packet);
    if (parsed.error != ParseError::needs_payload) return parsed;
    packet.materialise_payload(std::min<std::uint32_t>(packet.payload.size(), 128));
  }
}

bool ensure_headers(Packet& packet, std::uint32_t n) {
  if (packet.header_size() >= n) [[likely]]
    return true;
  if (packet.size() < n) return false;
  packet.materialise_payload(n - packet.header_size());
  return true;
}

void trim_frame(Packet& packet, std::uint32_t n) {
  WEFT_CHECK(n <= packet.size());
  if (n >= packet.header_size()) {
    if (n < packet.size()) packet.payload = packet.payload.slice(0, n - packet.header_size());
    return;
  }
  packet.payload.reset();
  packet.resize_headers(n);
}

std::uint32_t flow_hash(const Packet& packet, const ParsedHeaders& parsed, std::uint64_t seed) {
  const std::uint8_t* p = packet.data();
  std::uint64_t h = seed;
  if (parsed.ip_version != 0) {
    std::uint64_t rest = parsed.ip_proto;
    const bool ports = parsed.l4 != 0 && parsed.fragment == Fragment::none &&
                       (parsed.ip_proto == wire::kProtoTcp || parsed.ip_proto == wire::kProtoUdp);
    if (ports) rest |= static_cast<std::uint64_t>(wire::load_be<std::uint32_t>(p + parsed.l4)) << 8;
    if (parsed.ip_version == 4) {
      h = mix64(h ^ wire::load_be<std::uint64_t>(p + parsed.l3 + 12), rest);
    } else {
      const std::uint8_t* a = p + parsed.l3 + 8;
      h = mix64(h ^ wire::load_be<std::uint64_t>(a), wire::load_be<std::uint64_t>(a + 8));
      h = mix64(h ^ wire::load_be<std::uint64_t>(a + 16), wire::load_be<std::uint64_t>(a + 24));
      h = mix64(h, rest);
    }
  } else if (parsed.l3 != 0) {
    const std::uint8_t* ethernet = p + parsed.l3 - (parsed.has_vlan ? 18 : 14);
    h = mix64(h ^ wire::load_be<std::uint64_t>(ethernet),
              static_cast<std::uint64_t>(wire::load_be<std::uint32_t>(ethernet + 8)) << 16 |
                  parsed.eth_type);
  }
  return static_cast<std::uint32_t>(h ^ h >> 32);
}

const char* to_string(ParseError error) {
  switch (error) {
    case ParseError::none:
      return "none";
    case ParseError::truncated:
      return "truncated";
    case ParseError::malformed:
      return "malformed";
    case ParseError::needs_payload:
      return "headers lie in the payload";
  }
  return "?";
}

}  // namespace weft::datapath
