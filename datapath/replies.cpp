#include "datapath/replies.h"

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/icmp_error.h"
#include "datapath/rewrite.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using wire::store_be;

/// Ethernet header of the answer: back to the sender, from `from`, with the original's tags.
std::uint32_t answer_ethernet(const Packet& original, const ParsedHeaders& parsed, Mac to, Mac from,
                              std::uint16_t type, Packet& answer, std::uint32_t behind) {
  const std::uint32_t l2 = parsed.l3;
  std::uint8_t* p = answer.reset_headers(l2 + behind);
  std::memcpy(p, to.bytes.data(), 6);
  std::memcpy(p + 6, from.bytes.data(), 6);
  std::memcpy(p + 12, original.data() + 12, l2 - 14);
  store_be(p + l2 - 2, type);
  return l2;
}

Mac mac_at(const std::uint8_t* p) {
  Mac m;
  std::memcpy(m.bytes.data(), p, 6);
  return m;
}

}  // namespace

bool make_arp_reply(const Packet& request, const ParsedHeaders& parsed, Mac mac, Packet& reply) {
  const auto* q = wire::view<wire::ArpHeader>(request.headers(), parsed.l3);
  if (q == nullptr || !q->is_ethernet_ipv4() || q->operation != wire::kArpRequest) return false;
  const std::uint32_t l2 = answer_ethernet(request, parsed, mac_at(request.data() + 6), mac,
                                           wire::kEtherArp, reply, sizeof(wire::ArpHeader));
  auto& a = wire::at<wire::ArpHeader>(reply.data() + l2);
  a.set_ethernet_ipv4();
  a.operation = wire::kArpReply;
  a.sender_mac = mac;
  a.sender_ip = q->target_ip.get();
  a.target_mac = q->sender_mac;
  a.target_ip = q->sender_ip.get();
  return true;
}

namespace {

/// RFC 4861, 7.1.1: solicitations that must be discarded in silence.
bool is_valid_solicitation(const Packet& packet, const ParsedHeaders& parsed) {
  const auto& ip = wire::at<wire::Ipv6Header>(packet.data() + parsed.l3);
  const auto& ns = wire::at<wire::NdNeighbour>(packet.data() + parsed.l4);
  if (ip.hop_limit != 255 || ns.code != 0 || ns.target.get().high >> 56 == 0xff ||
      verify_checksums(packet) != ChecksumFault::ok)
    return false;
  const bool from_nobody = ip.src.get() == Ip6{};
  const Ip6 to = ip.dst.get();
  if (from_nobody && (to.high != 0xff02ULL << 48 || to.low >> 24 != 0x1ff)) return false;
  const std::uint32_t end = std::min(parsed.l3_end, packet.header_size());
  for (std::uint32_t at = parsed.l4 + sizeof(wire::NdNeighbour); at < end;) {
    const std::uint8_t* option = packet.data() + at;
    if (end - at < 2 || option[1] == 0 || option[1] * 8u > end - at) return false;
    if (from_nobody && option[0] == wire::kNdOptionSourceMac) return false;
    at += option[1] * 8u;
  }
  return true;
}

}  // namespace

bool make_nd_reply(const Packet& solicitation, const ParsedHeaders& parsed, Mac mac,
                   Packet& reply) {
  const auto* ns = wire::view<wire::NdNeighbour>(solicitation.headers(), parsed.l4);
  if (parsed.ip_version != 6 || ns == nullptr || parsed.l4 == 0 ||
      !is_valid_solicitation(solicitation, parsed))
    return false;
  const auto& asked = wire::at<wire::Ipv6Header>(solicitation.data() + parsed.l3);
  const bool probe = asked.src.get() == Ip6{};
  const Mac to = probe ? Mac{{0x33, 0x33, 0, 0, 0, 1}} : mac_at(solicitation.data() + 6);
  constexpr std::uint32_t kLength = sizeof(wire::NdNeighbour) + sizeof(wire::NdMacOption);
  const std::uint32_t l2 =
      answer_ethernet(solicitation, parsed, to, mac, wire::kEtherIpv6, reply, 40 + kLength);
  auto& ip = wire::at<wire::Ipv6Header>(reply.data() + l2);
  ip.set_first_word(0, 0);
  ip.payload_length = kLength;
  ip.next_header = wire::kProtoIcmpv6;
  ip.hop_limit = 255;
  ip.src = ns->target.get();
  ip.dst = probe ? Ip6{0xff02ULL << 48, 1} : asked.src.get();
  auto& na = wire::at<wire::NdNeighbour>(reply.data() + l2 + 40);
  na.type = wire::kNdNeighbourAdvertisement;
  na.code = 0;
  na.flags = wire::NdNeighbour::kOverride | (probe ? 0 : wire::NdNeighbour::kSolicited);
  na.target = ns->target.get();
  auto& option = wire::at<wire::NdMacOption>(reply.data() + l2 + 40 + sizeof(wire::NdNeighbour));
  option.type = wire::kNdOptionTargetMac;
  option.length = 1;
  option.mac = mac;
  finish_l4_checksum(reply, l2);
  return true;
}

namespace {

/// The tags of a frame, taken off and put on again.
struct Tags {
  std::uint8_t bytes[64];
  std::uint32_t size;

  Tags(Packet& packet, const ParsedHeaders& parsed) : size(parsed.l3 - 14u) {
    WEFT_CHECK(size <= sizeof(bytes));
    std::memcpy(bytes, packet.data() + 12, size);
    std::memmove(packet.data() + size, packet.data(), 12);
    packet.pull(size);
  }
  void put_on(Packet& packet) const {
    std::uint8_t* p = packet.push(size);
    std::memmove(p, p + size, 12);
    std::memcpy(p + 12, bytes, size);
  }
};

}  // namespace

bool make_icmp_error(Packet& about, const ParsedHeaders& parsed, std::uint8_t type,
                     std::uint8_t code, std::uint32_t word, const IpAddress& source,
                     Packet& error) {
  if (!parsed.has_vlan) return build_icmp_error(error, about, type, code, word, source);
  const Tags tags(about, parsed);
  const bool made = build_icmp_error(error, about, type, code, word, source);
  tags.put_on(about);
  if (made) tags.put_on(error);
  return made;
}

bool make_echo_reply(Packet& copy, const ParsedHeaders& parsed) {
  if (!parsed.has_vlan) return turn_into_echo_reply(copy);
  const Tags tags(copy, parsed);
  const bool made = turn_into_echo_reply(copy);
  tags.put_on(copy);
  return made;
}

namespace {

IpAddress address_at(const std::uint8_t* p, bool is6) {
  if (!is6) return Ip4{wire::load_be<std::uint32_t>(p)};
  return Ip6{wire::load_be<std::uint64_t>(p), wire::load_be<std::uint64_t>(p + 8)};
}

/// Ethernet with the original's tags and type, and an IP header around `length` bytes.
std::uint8_t* begin_ip_answer(const Packet& original, const ParsedHeaders& parsed,
                              const UdpAnswer& way, std::uint8_t protocol, std::uint32_t length,
                              Packet& answer) {
  const bool is6 = parsed.is_ipv6();
  const std::uint32_t l3 = parsed.l3, header = is6 ? 40 : 20;
  std::uint8_t* p = answer.reset_headers(l3 + header + length);
  std::memset(p, 0, l3 + header + length);
  std::memcpy(p, way.to.bytes.data(), 6);
  std::memcpy(p + 6, way.from.bytes.data(), 6);
  std::memcpy(p + 12, original.data() + 12, l3 - 12);
  if (is6) {
    auto& ip = wire::at<wire::Ipv6Header>(p + l3);
    ip.set_first_word(0, 0);
    ip.payload_length = static_cast<std::uint16_t>(length);
    ip.next_header = protocol;
    ip.hop_limit = 64;
    ip.src = way.source.v6();
    ip.dst = way.target.v6();
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(p + l3);
    ip.version_ihl = 0x45;
    ip.total_length = static_cast<std::uint16_t>(header + length);
    ip.ttl = 64;
    ip.protocol = protocol;
    ip.src = way.source.v4();
    ip.dst = way.target.v4();
  }
  answer.pair = kNoPair;
  return p + l3 + header;
}

}  // namespace

bool has_one_sender_and_receiver(const Packet& packet, const ParsedHeaders& parsed) {
  if (parsed.ip_version == 0 || mac_at(packet.data()).is_multicast()) return false;
  const UdpAnswer back = turned_round(packet, parsed);
  const auto group = [](const IpAddress& a) {
    return a.is6 ? a.bits.high >> 56 == 0xff : a.bits.low >> 28 >= 0xe;
  };
  return !group(back.source) && !group(back.target) && !back.target.is_zero();
}

bool make_tcp_reset(const Packet& segment, const ParsedHeaders& parsed, Packet& reset) {
  if (parsed.ip_proto != wire::kProtoTcp || parsed.l4 == 0 ||
      !has_one_sender_and_receiver(segment, parsed))
    return false;
  const auto& tcp = wire::at<wire::TcpHeader>(segment.data() + parsed.l4);
  using Tcp = wire::TcpHeader;
  if ((tcp.flags & Tcp::kRst) != 0) return false;
  std::uint8_t* p = begin_ip_answer(segment, parsed, turned_round(segment, parsed), wire::kProtoTcp,
                                    sizeof(Tcp), reset);
  auto& out = wire::at<Tcp>(p);
  out.src_port = tcp.dst_port.get();
  out.dst_port = tcp.src_port.get();
  out.set_header_length(sizeof(Tcp));
  if ((tcp.flags & Tcp::kAck) != 0) {
    out.sequence = tcp.acknowledgement.get();
    out.flags = Tcp::kRst;
  } else {
    const std::uint32_t length = parsed.payload_size() + ((tcp.flags & Tcp::kSyn) != 0 ? 1 : 0) +
                                 ((tcp.flags & Tcp::kFin) != 0 ? 1 : 0);
    out.acknowledgement = tcp.sequence.get() + length;
    out.flags = Tcp::kRst | Tcp::kAck;
  }
  finish_l4_checksum(reset, parsed.l3);
  return true;
}

bool make_rejection(Packet& about, const ParsedHeaders& parsed, const IpAddress& source,
                    Packet& answer) {
  if (parsed.ip_version == 0) return false;
  if (parsed.ip_proto == wire::kProtoTcp && parsed.l4 != 0)
    return make_tcp_reset(about, parsed, answer);
  const bool is6 = parsed.is_ipv6();
  const bool port = parsed.ip_proto == wire::kProtoUdp;
  const IpAddress from =
      source.is6 == is6 && !source.is_zero() ? source : turned_round(about, parsed).source;
  return is6 ? make_icmp_error(about, parsed, wire::kIcmpv6Unreachable, port ? 4 : 1, 0, from,
                               answer)
             : make_icmp_error(about, parsed, wire::kIcmpUnreachable,
                               port ? wire::kIcmpPortUnreachable : 13, 0, from, answer);
}

UdpAnswer turned_round(const Packet& packet, const ParsedHeaders& parsed) {
  const std::uint8_t* p = packet.data();
  const bool is6 = parsed.is_ipv6();
  const std::uint8_t* src = p + parsed.l3 + (is6 ? 8 : 12);
  return {mac_at(p + 6), mac_at(p), address_at(src + (is6 ? 16 : 4), is6), address_at(src, is6)};
}

std::uint8_t* begin_udp_answer(const Packet& original, const ParsedHeaders& parsed,
                               const UdpAnswer& way, std::uint32_t length, Packet& answer) {
  std::uint8_t* p =
      begin_ip_answer(original, parsed, way, wire::kProtoUdp,
                      static_cast<std::uint32_t>(sizeof(wire::UdpHeader)) + length, answer);
  auto& udp = wire::at<wire::UdpHeader>(p);
  udp.src_port = way.src_port;
  udp.dst_port = way.dst_port;
  udp.length = static_cast<std::uint16_t>(sizeof(wire::UdpHeader) + length);
  return p + sizeof(wire::UdpHeader);
}

}  // namespace weft::datapath
