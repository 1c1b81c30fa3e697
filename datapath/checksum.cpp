#include "datapath/checksum.h"

#include "datapath/packet.h"
#include "datapath/parse.h"
#include "datapath/tunnel/tunnel.h"
#include "datapath/wire/wire.h"

namespace weft {
namespace {

using datapath::Fragment;
using datapath::ParsedHeaders;

/// Where the layer-4 header has its checksum; 0: it has none that we know.
std::uint32_t checksum_offset(std::uint8_t protocol) {
  switch (protocol) {
    case wire::kProtoTcp:
      return 16;
    case wire::kProtoUdp:
      return 6;
    case wire::kProtoIcmp:
    case wire::kProtoIcmpv6:
      return 2;
    default:
      return 0;
  }
}

/// The pseudo header's share of a checksum; 0 for ICMP over IPv4, which has none.
std::uint64_t pseudo_sum(const std::uint8_t* l3, std::uint8_t version, std::uint8_t protocol,
                         std::uint32_t length) {
  if (protocol == wire::kProtoIcmp) return 0;
  if (version == 4) {
    const auto& ip = wire::at<wire::Ipv4Header>(l3);
    return pseudo_header_sum(ip.src, ip.dst, protocol, length);
  }
  const auto& ip = wire::at<wire::Ipv6Header>(l3);
  return pseudo_header_sum(ip.src, ip.dst, protocol, length);
}

ChecksumFault fault_of(std::uint8_t protocol) {
  switch (protocol) {
    case wire::kProtoTcp:
      return ChecksumFault::tcp;
    case wire::kProtoUdp:
      return ChecksumFault::udp;
    case wire::kProtoIcmp:
      return ChecksumFault::icmp;
    default:
      return ChecksumFault::icmpv6;
  }
}

ChecksumFault verify_frame(const Packet& packet, const ParsedHeaders& parsed) {
  const std::uint8_t* l3 = packet.data() + parsed.l3;
  if (parsed.ip_version == 0) return ChecksumFault::ok;
  if (parsed.is_ipv4()) {
    const auto& ip = wire::at<wire::Ipv4Header>(l3);
    if (fold_sum(sum_bytes({l3, ip.header_length()})) != 0xffff) return ChecksumFault::ipv4_header;
  }
  if (!parsed.ok() || parsed.l4 == 0 || parsed.fragment != Fragment::none) return ChecksumFault::ok;
  std::uint32_t end = parsed.l3_end;
  if (parsed.ip_proto == wire::kProtoUdp) {
    const auto& udp = wire::at<wire::UdpHeader>(packet.data() + parsed.l4);
    // RFC 6935: zero over IPv6 is for tunnels only.
    if (udp.checksum == 0) {
      const std::uint16_t port = udp.dst_port;
      const bool tunnel = port == wire::kPortVxlan || port == wire::kPortGeneve ||
                          port == wire::kPortLisp || port == wire::kPortOtv;
      return parsed.is_ipv4() || tunnel ? ChecksumFault::ok : ChecksumFault::udp;
    }
    end = parsed.l4 + udp.length;
  }
  const std::uint64_t pseudo = pseudo_sum(l3, parsed.ip_version, parsed.ip_proto, end - parsed.l4);
  const bool good = fold_sum(pseudo + sum_range(packet, parsed.l4, end)) == 0xffff;
  return good ? ChecksumFault::ok : fault_of(parsed.ip_proto);
}

}  // namespace

std::uint64_t sum_bytes(std::span<const std::uint8_t> bytes, std::uint64_t start) {
  // Sums of 32-bit big-endian words are congruent to sums of 16-bit ones modulo 65535, and 2^32 of
  // them fit 64 bits.
  const std::uint8_t* p = bytes.data();
  std::size_t n = bytes.size();
  std::uint64_t sum = (start & 0xffffffff) + (start >> 32);
  for (; n >= 16; n -= 16, p += 16) {
    sum += static_cast<std::uint64_t>(wire::load_be<std::uint32_t>(p)) +
           wire::load_be<std::uint32_t>(p + 4) + wire::load_be<std::uint32_t>(p + 8) +
           wire::load_be<std::uint32_t>(p + 12);
  }
  for (; n >= 4; n -= 4, p += 4) sum += wire::load_be<std::uint32_t>(p);
  for (; n >= 2; n -= 2, p += 2) sum += wire::load_be<std::uint16_t>(p);
  if (n != 0) sum += static_cast<std::uint64_t>(*p) << 8;
  return sum;
}

std::uint16_t sum_range(const Packet& packet, std::uint32_t from, std::uint32_t to) {
  const auto headers = packet.headers();
  if (to <= headers.size()) return fold_sum(sum_bytes(headers.subspan(from, to - from)));
  const std::uint16_t tail =
      to == packet.size()
          ? packet.payload.sum()
          : packet.payload.slice(0, to - static_cast<std::uint32_t>(headers.size())).sum();
  const auto front = headers.subspan(from);
  return fold_sum(sum_bytes(front, front.size() % 2 != 0 ? swap_sum(tail) : tail));
}

void finish_ipv4_checksum(Packet& packet, std::uint32_t l3) {
  auto* ip = wire::view_mutable<wire::Ipv4Header>(packet.headers(), l3);
  WEFT_CHECK(ip != nullptr && l3 + ip->header_length() <= packet.header_size());
  ip->checksum = 0;
  ip->checksum = checksum_of({packet.data() + l3, ip->header_length()});
}

void finish_l4_checksum(Packet& packet, std::uint32_t l3) {
  WEFT_CHECK(l3 < packet.header_size());
  const std::uint8_t version = packet.data()[l3] >> 4;
  if (version == 4) finish_ipv4_checksum(packet, l3);
  const ParsedHeaders parsed = datapath::parse_ip(packet.headers(), packet.size(), l3);
  WEFT_CHECK(parsed.ok(), "a packet of our own making does not parse: {}",
             datapath::to_string(parsed.error));
  if (parsed.l4 == 0 || parsed.fragment != Fragment::none) return;
  const std::uint8_t protocol = parsed.ip_proto;
  std::uint8_t* field = packet.data() + parsed.l4 + checksum_offset(protocol);
  wire::store_be<std::uint16_t>(field, 0);
  const std::uint32_t length = parsed.l3_end - parsed.l4;
  std::uint64_t sum = pseudo_sum(packet.data() + l3, version, protocol, length);
  sum += sum_range(packet, parsed.l4, parsed.l3_end);
  auto checksum = static_cast<std::uint16_t>(~fold_sum(sum));
  if (checksum == 0 && protocol == wire::kProtoUdp) checksum = 0xffff;
  wire::store_be(field, checksum);
}

const char* to_string(ChecksumFault fault) {
  switch (fault) {
    case ChecksumFault::ok:
      return "ok";
    case ChecksumFault::ipv4_header:
      return "IPv4 header";
    case ChecksumFault::tcp:
      return "TCP";
    case ChecksumFault::udp:
      return "UDP";
    case ChecksumFault::icmp:
      return "ICMP";
    case ChecksumFault::icmpv6:
      return "ICMPv6";
    case ChecksumFault::inner:
      return "inner frame";
  }
  return "?";
}

ChecksumFault verify_checksums(const Packet& packet, const datapath::ParsedHeaders& parsed) {
  return verify_frame(packet, parsed);
}

ChecksumFault verify_checksums(const Packet& packet, bool inner) {
  const ParsedHeaders parsed = datapath::parse_headers(packet);
  const ChecksumFault fault = verify_frame(packet, parsed);
  if (fault != ChecksumFault::ok || !inner) return fault;
  // The caller may have let Ethernet padding through: the inner frame ends where the tunnel does.
  const datapath::InnerPlace place = datapath::inner_place(packet.headers(), parsed);
  if (place.begin == 0 || place.header.info.partial_checksum) return ChecksumFault::ok;
  const ParsedHeaders within =
      place.is_ip ? datapath::parse_ip(packet.headers(), place.end, place.begin)
                  : datapath::parse_bytes(packet.headers(), place.end, place.begin);
  return verify_frame(packet, within) == ChecksumFault::ok ? ChecksumFault::ok
                                                           : ChecksumFault::inner;
}

}  // namespace weft
