#include "datapath/icmp_error.h"

#include <algorithm>

#include "datapath/checksum.h"
#include "datapath/wire/ethernet.h"
#include "datapath/wire/icmp.h"
#include "datapath/wire/ip.h"

namespace weft {
namespace {

using namespace wire;

constexpr std::uint32_t kL3 = sizeof(EthernetHeader);

bool is_error4(const Packet& p, const Ipv4Header& ip) {
  if (ip.protocol != kProtoIcmp) return false;
  const auto* icmp = view<IcmpHeader>(p.headers(), kL3 + ip.header_length());
  return icmp == nullptr ||
         (icmp->type != kIcmpEchoRequest && icmp->type != kIcmpEchoReply && icmp->type < 13);
}

bool is_error6(const Packet& p, const Ipv6Header& ip) {
  if (ip.next_header != kProtoIcmpv6) return false;
  const auto* icmp = view<IcmpHeader>(p.headers(), kL3 + sizeof(Ipv6Header));
  return icmp == nullptr || icmp->type < 128;
}

/// Appends the first `room` bytes (or what there is) of the IP packet in `about` to `error`, whose
/// headers are `own` bytes.
std::uint32_t quote(Packet& error, const Packet& about, std::uint32_t own, std::uint32_t room) {
  const std::uint32_t from_headers = std::min(room, about.header_size() - kL3);
  error.resize_headers(own + from_headers);
  std::copy_n(about.data() + kL3, from_headers, error.data() + own);
  const std::uint32_t from_payload = std::min(room - from_headers, about.payload.size());
  if (from_payload > 0) error.payload = about.payload.slice(0, from_payload);
  return from_headers + from_payload;
}

}  // namespace

bool build_icmp_error(Packet& error, const Packet& about, std::uint8_t type, std::uint8_t code,
                      std::uint32_t value, const IpAddress& from) {
  const auto bytes = about.headers();
  const auto* eth = view<EthernetHeader>(bytes);
  if (eth == nullptr || eth->dst.is_multicast()) return false;
  if (eth->type == kEtherIpv4) {
    const auto* ip = view<Ipv4Header>(bytes, kL3);
    if (ip == nullptr || from.is6 || ip->is_later_fragment() || is_error4(about, *ip)) return false;
    const Ip4 src = ip->src, dst = ip->dst;
    if (dst.value >> 28 == 0xe || dst.value == 0xffffffff || src.value == 0 ||
        src.value >> 28 >= 0xe)
      return false;
    constexpr std::uint32_t kOwn = kL3 + sizeof(Ipv4Header) + sizeof(IcmpHeader);
    error.reset_headers(kOwn);
    const std::uint32_t quoted = quote(
        error, about, kOwn,
        std::min<std::uint32_t>(ip->total_length, 576 - sizeof(Ipv4Header) - sizeof(IcmpHeader)));
    at<EthernetHeader>(error.data()) = {eth->src, eth->dst, kEtherIpv4};
    auto& out = at<Ipv4Header>(error.data() + kL3);
    out.version_ihl = 0x45;
    out.tos = 0xc0;  // internetwork control (RFC 1812 4.3.2.5)
    out.total_length = static_cast<std::uint16_t>(kOwn - kL3 + quoted);
    out.identification = 0;
    out.flags_fragment = 0;
    out.ttl = 64;
    out.protocol = kProtoIcmp;
    out.src = from.v4();
    out.dst = src;
    auto& icmp = at<IcmpHeader>(error.data() + kL3 + sizeof(Ipv4Header));
    icmp.type = type;
    icmp.code = code;
    icmp.word_high = static_cast<std::uint16_t>(value >> 16);
    icmp.word_low = static_cast<std::uint16_t>(value);
  } else if (eth->type == kEtherIpv6) {
    const auto* ip = view<Ipv6Header>(bytes, kL3);
    if (ip == nullptr || !from.is6 || is_error6(about, *ip)) return false;
    const Ip6 src = ip->src, dst = ip->dst;
    const bool multicast = dst.high >> 56 == 0xff;
    if ((multicast && type != kIcmpv6TooBig) || src.high >> 56 == 0xff ||
        (src.high == 0 && src.low == 0))
      return false;
    constexpr std::uint32_t kOwn = kL3 + sizeof(Ipv6Header) + sizeof(IcmpHeader);
    error.reset_headers(kOwn);
    const std::uint32_t quoted =
        quote(error, about, kOwn,
              std::min<std::uint32_t>(ip->payload_length + sizeof(Ipv6Header),
                                      1280 - sizeof(Ipv6Header) - sizeof(IcmpHeader)));
    at<EthernetHeader>(error.data()) = {eth->src, eth->dst, kEtherIpv6};
    auto& out = at<Ipv6Header>(error.data() + kL3);
    out.set_first_word(0, 0);
    out.payload_length = static_cast<std::uint16_t>(sizeof(IcmpHeader) + quoted);
    out.next_header = kProtoIcmpv6;
    out.hop_limit = 64;
    out.src = from.v6();
    out.dst = src;
    auto& icmp = at<IcmpHeader>(error.data() + kL3 + sizeof(Ipv6Header));
    icmp.type = type;
    icmp.code = code;
    icmp.set_mtu6(value);
  } else {
    return false;
  }
  finish_l4_checksum(error, kL3);
  if (!from.is6) finish_ipv4_checksum(error, kL3);
  error.tenant = about.tenant;
  error.flow = about.flow;
  error.pair = kNoPair;
  error.parent = about.id;
  return true;
}

bool build_icmp_error(Packet& error, const Packet& about, IcmpErrorKind kind, const IpAddress& from,
                      std::uint32_t mtu) {
  struct TypeCode {
    std::uint8_t type4, code4, type6, code6;
  };
  constexpr TypeCode kCodes[] = {
      {kIcmpTimeExceeded, 0, kIcmpv6TimeExceeded, 0},
      {kIcmpUnreachable, kIcmpNetUnreachable, kIcmpv6Unreachable, 0},
      {kIcmpUnreachable, kIcmpHostUnreachable, kIcmpv6Unreachable, 3},
      {kIcmpUnreachable, kIcmpPortUnreachable, kIcmpv6Unreachable, 4},
      {kIcmpUnreachable, kIcmpFragmentationNeeded, kIcmpv6TooBig, 0},
  };
  const TypeCode c = kCodes[static_cast<std::size_t>(kind)];
  const std::uint32_t value = kind == IcmpErrorKind::too_big ? mtu : 0;
  return from.is6 ? build_icmp_error(error, about, c.type6, c.code6, value, from)
                  : build_icmp_error(error, about, c.type4, c.code4, value, from);
}

bool turn_into_echo_reply(Packet& packet) {
  auto bytes = packet.headers();
  auto* eth = view_mutable<EthernetHeader>(bytes);
  if (eth == nullptr) return false;
  if (eth->type == kEtherIpv4) {
    auto* ip = view_mutable<Ipv4Header>(bytes, kL3);
    if (ip == nullptr || ip->protocol != kProtoIcmp || ip->is_fragment()) return false;
    auto* icmp = view_mutable<IcmpHeader>(bytes, kL3 + ip->header_length());
    if (icmp == nullptr || icmp->type != kIcmpEchoRequest) return false;
    icmp->type = kIcmpEchoReply;
    const Ip4 src = ip->src;
    ip->src = ip->dst.get();
    ip->dst = src;
    ip->ttl = 64;
    finish_l4_checksum(packet, kL3);
    finish_ipv4_checksum(packet, kL3);
  } else if (eth->type == kEtherIpv6) {
    auto* ip = view_mutable<Ipv6Header>(bytes, kL3);
    if (ip == nullptr || ip->next_header != kProtoIcmpv6) return false;
    auto* icmp = view_mutable<IcmpHeader>(bytes, kL3 + sizeof(Ipv6Header));
    if (icmp == nullptr || icmp->type != kIcmpv6EchoRequest) return false;
    icmp->type = kIcmpv6EchoReply;
    const Ip6 src = ip->src;
    ip->src = ip->dst.get();
    ip->dst = src;
    ip->hop_limit = 64;
    finish_l4_checksum(packet, kL3);
  } else {
    return false;
  }
  std::swap(eth->src, eth->dst);
  packet.route_hash = 0;
  return true;
}

}  // namespace weft
