#include "datapath/compose.h"

#include <vector>

#include "datapath/checksum.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using Bytes = std::vector<std::uint8_t>;

void put(Bytes& b, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) b.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void put(Bytes& b, Ip6 value) {
  put(b, value.high, 8);
  put(b, value.low, 8);
}
void put(Bytes& b, std::span<const std::uint8_t> bytes) {
  b.insert(b.end(), bytes.begin(), bytes.end());
}

void put_nd_option(Bytes& b, std::uint8_t type, std::uint64_t mac) {
  if (mac == 0) return;
  put(b, type, 1);
  put(b, 1, 1);
  put(b, mac, 6);
}

/// The transport's header and the payload; checksums are zero.
Bytes transport(const FlowKey& key, const ComposeOptions& options) {
  const auto get = [&key](FieldPlace p) { return key.get(p); };
  Bytes b;
  switch (get(place::nw_proto)) {
    case wire::kProtoTcp:
      put(b, get(place::tp_src), 2);
      put(b, get(place::tp_dst), 2);
      put(b, options.sequence, 4);
      put(b, (get(place::tcp_flags) & 0x10) != 0 ? options.acknowledgement : 0, 4);
      put(b, 0x5000 | get(place::tcp_flags), 2);
      put(b, 0xffff, 2);
      put(b, 0, 4);
      break;
    case wire::kProtoUdp:
      put(b, get(place::tp_src), 2);
      put(b, get(place::tp_dst), 2);
      put(b, 8 + options.payload.size(), 2);
      put(b, 0, 2);
      break;
    case wire::kProtoIcmp:
    case wire::kProtoIcmpv6: {
      if ((get(place::nw_proto) == wire::kProtoIcmpv6) != key.is_ip6()) break;
      const std::uint64_t type = get(place::tp_src);
      put(b, type, 1);
      put(b, get(place::tp_dst), 1);
      put(b, 0, 2);
      if (key.is_ip6() &&
          (type == wire::kNdNeighbourSolicitation || type == wire::kNdNeighbourAdvertisement)) {
        const bool solicited = type == wire::kNdNeighbourAdvertisement;
        put(b, solicited ? wire::NdNeighbour::kSolicited | wire::NdNeighbour::kOverride : 0, 4);
        put(b, key.get128(place::nd_target));
        put_nd_option(b, wire::kNdOptionSourceMac, get(place::hw_src));
        put_nd_option(b, wire::kNdOptionTargetMac, get(place::hw_dst));
      } else {
        put(b, options.echo_id, 2);
        put(b, options.echo_sequence, 2);
      }
      break;
    }
    default:
      break;
  }
  put(b, options.payload);
  return b;
}

}  // namespace

void compose_frame(Packet& packet, const FlowKey& key, const ComposeOptions& options) {
  const auto get = [&key](FieldPlace p) { return key.get(p); };
  Bytes b;
  put(b, get(place::eth_dst), 6);
  put(b, get(place::eth_src), 6);
  if (const std::uint64_t tci = get(place::vlan_tci); (tci & kVlanPresent) != 0) {
    put(b, 0x8100, 2);
    put(b, tci & ~std::uint64_t{kVlanPresent}, 2);
  }
  put(b, get(place::eth_type), 2);
  const auto l3 = static_cast<std::uint32_t>(b.size());
  const bool ip = key.is_ip4() || key.is_ip6();
  if (key.is_arp()) {
    put(b, 0x0001080006040000 | get(place::nw_proto), 8);
    put(b, get(place::hw_src), 6);
    put(b, get(place::nw_src), 4);
    put(b, get(place::hw_dst), 6);
    put(b, get(place::nw_dst), 4);
  } else if (!ip) {
    put(b, options.payload);
  }
  const Bytes l4 = ip ? transport(key, options) : Bytes{};
  if (key.is_ip4()) {
    put(b, 0x45, 1);
    put(b, get(place::nw_tos), 1);
    put(b, 20 + l4.size(), 2);
    put(b, 0x00004000, 4);
    put(b, get(place::nw_ttl), 1);
    put(b, get(place::nw_proto), 1);
    put(b, 0, 2);
    put(b, get(place::nw_src), 4);
    put(b, get(place::nw_dst), 4);
  } else if (key.is_ip6()) {
    put(b, 0x60000000 | get(place::nw_tos) << 20 | get(place::ipv6_label), 4);
    put(b, l4.size(), 2);
    put(b, get(place::nw_proto), 1);
    put(b, get(place::nw_ttl), 1);
    put(b, key.get128(place::ip_src));
    put(b, key.get128(place::ip_dst));
  }
  put(b, l4);
  packet.payload = {};
  std::copy(b.begin(), b.end(), packet.reset_headers(static_cast<std::uint32_t>(b.size())));
  if (ip) finish_l4_checksum(packet, l3);
}

}  // namespace weft::datapath
