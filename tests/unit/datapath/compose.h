// A frame that has the fields of a flow key, byte by byte: for tests that say packets as flows.
#pragma once

#include "datapath/flow_key.h"
#include "tests/unit/datapath/frames.h"

namespace weft::test {

inline void put(Bytes& b, std::uint64_t v, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) b.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
}
inline void put128(Bytes& b, Ip6 v) {
  put(b, v.high, 8);
  put(b, v.low, 8);
}

/// Ethernet, a tag if vlan_tci says so, ARP or IP with TCP, UDP or ICMP and `payload` zero bytes.
inline void compose(Packet& packet, const datapath::FlowKey& key, std::size_t payload = 0) {
  namespace place = datapath::place;
  const auto get = [&key](datapath::FieldPlace p) { return key.get(p); };
  Bytes b;
  put(b, get(place::eth_dst), 6);
  put(b, get(place::eth_src), 6);
  const auto tci = get(place::vlan_tci);
  if ((tci & datapath::kVlanPresent) != 0) {
    put(b, 0x8100, 2);
    put(b, tci & ~std::uint64_t{datapath::kVlanPresent}, 2);
  }
  put(b, get(place::eth_type), 2);
  const auto l3 = static_cast<std::uint32_t>(b.size());
  if (key.is_arp()) {
    put(b, 0x0001080006040000 | get(place::nw_proto), 8);
    put(b, get(place::hw_src), 6);
    put(b, get(place::nw_src), 4);
    put(b, get(place::hw_dst), 6);
    put(b, get(place::nw_dst), 4);
  }
  if (!key.is_ip4() && !key.is_ip6()) {
    b.resize(b.size() + payload);
    return set_frame(packet, b);
  }
  const auto proto = get(place::nw_proto);
  Bytes l4;
  if (proto == wire::kProtoTcp || proto == wire::kProtoUdp) {
    put(l4, get(place::tp_src), 2);
    put(l4, get(place::tp_dst), 2);
    if (proto == wire::kProtoTcp) {
      put(l4, 0, 8);
      put(l4, 0x5000 | get(place::tcp_flags), 2);
      put(l4, 0xffff, 2);
      put(l4, 0, 4);
    } else {
      put(l4, 8 + payload, 2);
      put(l4, 0, 2);
    }
  } else if (proto == wire::kProtoIcmp || proto == wire::kProtoIcmpv6) {
    put(l4, get(place::tp_src), 1);
    put(l4, get(place::tp_dst), 1);
    put(l4, 0, 6);
  }
  l4.resize(l4.size() + payload);
  if (key.is_ip4()) {
    put(b, 0x45, 1);
    put(b, get(place::nw_tos), 1);
    put(b, 20 + l4.size(), 2);
    put(b, 0x00004000, 4);
    put(b, get(place::nw_ttl), 1);
    put(b, proto, 1);
    put(b, 0, 2);
    put(b, get(place::nw_src), 4);
    put(b, get(place::nw_dst), 4);
  } else {
    put(b, 0x60000000 | get(place::nw_tos) << 20 | get(place::ipv6_label), 4);
    put(b, l4.size(), 2);
    put(b, proto, 1);
    put(b, get(place::nw_ttl), 1);
    put128(b, key.get128(place::ip_src));
    put128(b, key.get128(place::ip_dst));
  }
  b.insert(b.end(), l4.begin(), l4.end());
  set_frame(packet, b);
  finish_l4_checksum(packet, l3);
}

}  // namespace weft::test
