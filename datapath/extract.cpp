#include "datapath/extract.h"

#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

std::uint64_t load48(const std::uint8_t* p) {
  return static_cast<std::uint64_t>(wire::load_be<std::uint32_t>(p)) << 16 |
         wire::load_be<std::uint16_t>(p + 4);
}

void extract_arp(const Packet& packet, const ParsedHeaders& parsed, FlowKey& key) {
  const auto* arp = wire::view<wire::ArpHeader>(packet.headers(), parsed.l3);
  if (arp == nullptr || !arp->is_ethernet_ipv4()) return;
  // An opcode above 255 does not exist; the field has 8 bits, as in Open vSwitch.
  if (arp->operation <= 255) key.set(place::nw_proto, arp->operation);
  key.w[11] = arp->sender_ip.get().value;
  key.w[13] = arp->target_ip.get().value;
  key.set(place::hw_src, arp->sender_mac.to_u64());
  key.w[17] = arp->target_mac.to_u64();
}

void extract_nd(const Packet& packet, const ParsedHeaders& parsed, FlowKey& key) {
  const auto* nd = wire::view<wire::NdNeighbour>(packet.headers(), parsed.l4);
  if (nd == nullptr) return;
  key.set128(place::nd_target, nd->target);
  const std::uint32_t end = std::min(parsed.l3_end, packet.header_size());
  const std::uint32_t begin = parsed.l4 + static_cast<std::uint32_t>(sizeof(wire::NdNeighbour));
  if (begin >= end) return;
  const auto options = packet.headers().subspan(begin, end - begin);
  if (const Mac* m = wire::find_nd_mac(options, wire::kNdOptionSourceMac))
    key.set(place::hw_src, m->to_u64());
  if (const Mac* m = wire::find_nd_mac(options, wire::kNdOptionTargetMac)) key.w[17] = m->to_u64();
}

}  // namespace

void extract(const Packet& packet, const ParsedHeaders& parsed, FlowKey& key) {
  if (parsed.l3 == 0) return;
  const std::uint8_t* p = packet.data();
  const std::uint64_t tci =
      parsed.has_vlan ? static_cast<std::uint64_t>(parsed.vlan_tci | kVlanPresent) : 0;
  key.w[7] = load48(p) | tci << 48;
  key.w[8] = load48(p + 6) | static_cast<std::uint64_t>(parsed.eth_type) << 48;
  if (parsed.ip_version == 0) {
    if (parsed.is_arp()) extract_arp(packet, parsed, key);
    return;
  }
  const std::uint8_t* l3 = p + parsed.l3;
  if (parsed.ip_version == 4) {
    key.w[11] = wire::load_be<std::uint32_t>(l3 + 12);
    key.w[13] = wire::load_be<std::uint32_t>(l3 + 16);
  } else {
    for (unsigned i = 0; i < 4; ++i) key.w[10 + i] = wire::load_be<std::uint64_t>(l3 + 8 + 8 * i);
    key.set(place::ipv6_label, wire::load_be<std::uint32_t>(l3) & 0xfffff);
  }
  std::uint64_t fragment = 0;
  if (parsed.fragment == Fragment::first) fragment = kFragAny;
  if (parsed.fragment == Fragment::later) fragment = kFragAny | kFragLater;
  std::uint64_t w = static_cast<std::uint64_t>(parsed.ip_proto) |
                    static_cast<std::uint64_t>(parsed.tos) << 8 |
                    static_cast<std::uint64_t>(parsed.ttl) << 16 | fragment << 24;
  if (parsed.l4 != 0) {
    const std::uint8_t* l4 = p + parsed.l4;
    switch (parsed.ip_proto) {
      case wire::kProtoTcp:
        key.w[14] = (key.w[14] & ~0xffffULL) | (wire::load_be<std::uint16_t>(l4 + 12) & 0x0fffu);
        [[fallthrough]];
      case wire::kProtoUdp:
      case wire::kProtoSctp:
        w |= static_cast<std::uint64_t>(wire::load_be<std::uint16_t>(l4)) << 32 |
             static_cast<std::uint64_t>(wire::load_be<std::uint16_t>(l4 + 2)) << 48;
        break;
      case wire::kProtoIcmpv6:
        if (parsed.ip_version == 6 &&
            (l4[0] == wire::kNdNeighbourSolicitation || l4[0] == wire::kNdNeighbourAdvertisement))
          extract_nd(packet, parsed, key);
        [[fallthrough]];
      case wire::kProtoIcmp:
        if ((parsed.ip_version == 6) == (parsed.ip_proto == wire::kProtoIcmpv6))
          w |= static_cast<std::uint64_t>(l4[0]) << 32 | static_cast<std::uint64_t>(l4[1]) << 48;
        break;
      default:
        break;
    }
  }
  key.w[9] = w;
}

}  // namespace weft::datapath
