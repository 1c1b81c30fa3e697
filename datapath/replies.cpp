#include "datapath/replies.h"

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/rewrite.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using wire::load_be;
using wire::store_be;

constexpr std::uint8_t kTtl = 64;

/// Ethernet header of the answer: back to the sender, from `from`, with the original's tag.
std::uint32_t answer_ethernet(const Packet& original, const ParsedHeaders& parsed, Mac to, Mac from,
                              std::uint16_t type, Packet& answer, std::uint32_t behind) {
  const std::uint32_t l2 = parsed.has_vlan ? 18 : 14;
  std::uint8_t* p = answer.reset_headers(l2 + behind);
  std::memcpy(p, to.bytes.data(), 6);
  std::memcpy(p + 6, from.bytes.data(), 6);
  if (parsed.has_vlan) std::memcpy(p + 12, original.data() + 12, 4);
  store_be(p + l2 - 2, type);
  return l2;
}

Mac mac_at(const std::uint8_t* p) {
  Mac m;
  std::memcpy(m.bytes.data(), p, 6);
  return m;
}

bool is_unicast4(std::uint32_t a) { return a != 0 && a >> 28 < 0xe; }
bool is_unicast6(Ip6 a) { return a != Ip6{} && a.high >> 56 != 0xff; }

bool is_icmp_error(const Packet& packet, const ParsedHeaders& parsed) {
  if (parsed.l4 == 0) return false;
  const std::uint8_t type = packet.data()[parsed.l4];
  if (parsed.ip_version == 4 && parsed.ip_proto == wire::kProtoIcmp)
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
  return parsed.ip_version == 6 && parsed.ip_proto == wire::kProtoIcmpv6 && type < 128;
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

bool make_nd_reply(const Packet& solicitation, const ParsedHeaders& parsed, Mac mac,
                   Packet& reply) {
  const auto* ns = wire::view<wire::NdNeighbour>(solicitation.headers(), parsed.l4);
  if (parsed.ip_version != 6 || ns == nullptr || parsed.l4 == 0) return false;
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

bool make_icmp_error(const Packet& about, const ParsedHeaders& parsed, std::uint8_t type,
                     std::uint8_t code, std::uint32_t word, const IpAddress& source,
                     Packet& error) {
  if (parsed.ip_version == 0 || source.is6 != (parsed.ip_version == 6)) return false;
  if (parsed.fragment == Fragment::later || is_icmp_error(about, parsed)) return false;
  const std::uint8_t* eth = about.data();
  if ((eth[0] & 1) != 0 && type != wire::kIcmpv6TooBig) return false;
  const bool v6 = source.is6;
  const std::uint8_t* ip = eth + parsed.l3;
  if (v6) {
    const auto& h = wire::at<wire::Ipv6Header>(ip);
    if (!is_unicast6(h.src)) return false;
    if (!is_unicast6(h.dst) && type != wire::kIcmpv6TooBig) return false;
  } else {
    const auto& h = wire::at<wire::Ipv4Header>(ip);
    if (!is_unicast4(h.src.get().value) || !is_unicast4(h.dst.get().value)) return false;
  }

  // The quote: headers as they are, then a slice of the payload; nothing is copied but headers.
  const std::uint32_t ip_header = v6 ? 40 : 20;
  const std::uint32_t quote =
      std::min(parsed.l3_end - parsed.l3, (v6 ? 1280u : 576u) - ip_header - 8);
  const std::uint32_t quoted_headers = std::min(quote, about.header_size() - parsed.l3);
  const std::uint32_t l2 = answer_ethernet(about, parsed, mac_at(eth + 6), mac_at(eth),
                                           v6 ? wire::kEtherIpv6 : wire::kEtherIpv4, error,
                                           ip_header + 8 + quoted_headers);
  std::uint8_t* l3 = error.data() + l2;
  std::uint8_t* l4 = l3 + ip_header;
  std::memcpy(l4 + 8, about.data() + parsed.l3, quoted_headers);
  error.payload = about.payload.slice(0, quote - quoted_headers);
  l4[0] = type;
  l4[1] = code;
  store_be<std::uint16_t>(l4 + 2, 0);
  store_be(l4 + 4, word);
  if (v6) {
    auto& h = wire::at<wire::Ipv6Header>(l3);
    h.set_first_word(0, 0);
    h.payload_length = static_cast<std::uint16_t>(8 + quote);
    h.next_header = wire::kProtoIcmpv6;
    h.hop_limit = kTtl;
    h.src = source.v6();
    h.dst = wire::at<wire::Ipv6Header>(about.data() + parsed.l3).src.get();
    finish_l4_checksum(error, l2);
    return true;
  }
  auto& h = wire::at<wire::Ipv4Header>(l3);
  h.version_ihl = 0x45;
  h.tos = 0xc0;  // as Linux: precedence internetwork control
  h.total_length = static_cast<std::uint16_t>(28 + quote);
  h.identification = 0;
  h.flags_fragment = 0;
  h.ttl = kTtl;
  h.protocol = wire::kProtoIcmp;
  h.checksum = 0;
  h.src = source.v4();
  h.dst = wire::at<wire::Ipv4Header>(about.data() + parsed.l3).src.get();
  finish_l4_checksum(error, l2);
  return true;
}

void turn_into_echo_reply(Packet& copy, const ParsedHeaders& parsed) {
  std::uint8_t* p = copy.data();
  const Mac to = mac_at(p + 6);
  std::memcpy(p + 6, p, 6);
  std::memcpy(p, to.bytes.data(), 6);
  std::uint8_t* ip = p + parsed.l3;
  if (parsed.ip_version == 4) {
    std::swap_ranges(ip + 12, ip + 16, ip + 16);
  } else {
    std::swap_ranges(ip + 8, ip + 24, ip + 24);
  }
  // Addresses trade places: no sum changes. TTL and type do.
  rewrite_word(copy, parsed, 9, static_cast<std::uint64_t>(kTtl) << 16, 0xff0000);
  const std::uint64_t type = parsed.ip_version == 4 ? wire::kIcmpEchoReply : wire::kIcmpv6EchoReply;
  rewrite_word(copy, parsed, 9, type << 32, 0xff00000000ULL);
}

}  // namespace weft::datapath
