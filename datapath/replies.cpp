#include "datapath/replies.h"

#include <cstring>

#include "datapath/checksum.h"
#include "datapath/icmp_error.h"
#include "datapath/rewrite.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using wire::store_be;

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

bool make_icmp_error(Packet& about, const ParsedHeaders& parsed, std::uint8_t type,
                     std::uint8_t code, std::uint32_t word, const IpAddress& source,
                     Packet& error) {
  if (!parsed.has_vlan) return build_icmp_error(error, about, type, code, word, source);
  pop_tag(about, parsed);
  const bool made = build_icmp_error(error, about, type, code, word, source);
  push_tag(about, parsed.vlan_tci);
  if (made) push_tag(error, parsed.vlan_tci);
  return made;
}

bool make_echo_reply(Packet& copy, const ParsedHeaders& parsed) {
  if (!parsed.has_vlan) return turn_into_echo_reply(copy);
  pop_tag(copy, parsed);
  const bool made = turn_into_echo_reply(copy);
  push_tag(copy, parsed.vlan_tci);
  return made;
}

}  // namespace weft::datapath
