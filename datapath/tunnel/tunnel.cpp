#include "datapath/tunnel/tunnel.h"

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/tunnel/geneve.h"
#include "datapath/tunnel/vxlan.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

constexpr std::uint32_t kL3 = sizeof(wire::EthernetHeader);

// The TOS or traffic class of an Ethernet frame's IP header. `header_size` bytes are there.
struct InnerIp {
  std::uint32_t l3 = 0;
  std::uint8_t version = 0;
  std::uint8_t tos = 0;
};

InnerIp inner_ip(const std::uint8_t* p, std::uint32_t header_size) {
  InnerIp out;
  if (header_size < kL3) return out;
  std::uint32_t l3 = kL3;
  auto type = wire::load_be<std::uint16_t>(p + 12);
  if (type == wire::kEtherVlan || type == wire::kEtherQinQ) {
    if (header_size < kL3 + 4) return out;
    type = wire::load_be<std::uint16_t>(p + 16);
    l3 += 4;
  }
  if (header_size < l3 + 2) return out;
  if (type == wire::kEtherIpv4) {
    out = {l3, 4, p[l3 + 1]};
  } else if (type == wire::kEtherIpv6) {
    out = {l3, 6, static_cast<std::uint8_t>(p[l3] << 4 | p[l3 + 1] >> 4)};
  }
  return out;
}

// Bytes of an inner frame that inner_ip may look at.
constexpr std::uint32_t kInnerLook = kL3 + 4 + 2;

void set_inner_ecn(Packet& packet, const InnerIp& inner, std::uint8_t ecn) {
  std::uint8_t* p = packet.data() + inner.l3;
  const auto tos = static_cast<std::uint8_t>((inner.tos & ~wire::kEcnMask) | ecn);
  if (inner.version == 6) {
    p[0] = static_cast<std::uint8_t>((p[0] & 0xf0) | tos >> 4);
    p[1] = static_cast<std::uint8_t>((p[1] & 0x0f) | tos << 4);
    return;
  }
  if (!ensure_headers(packet, inner.l3 + sizeof(wire::Ipv4Header))) return;  // cut off: never mind
  auto& ip = wire::at<wire::Ipv4Header>(packet.data() + inner.l3);
  ip.checksum =
      update_checksum(ip.checksum, static_cast<std::uint16_t>(ip.version_ihl << 8 | ip.tos),
                      static_cast<std::uint16_t>(ip.version_ihl << 8 | tos));
  ip.tos = tos;
}

Decap dropped(Decap result, DropReason reason, const char* detail) {
  result.status = Decap::Status::drop;
  result.reason = reason;
  result.detail = detail;
  return result;
}

std::uint64_t outer_pseudo_sum(const ParsedHeaders& outer, const std::uint8_t* l3,
                               std::uint32_t length) {
  if (outer.is_ipv4()) {
    const auto& ip = wire::at<wire::Ipv4Header>(l3);
    return pseudo_header_sum(ip.src, ip.dst, wire::kProtoUdp, length);
  }
  const auto& ip = wire::at<wire::Ipv6Header>(l3);
  return pseudo_header_sum(ip.src, ip.dst, wire::kProtoUdp, length);
}

}  // namespace

std::uint32_t overhead_of(const TunnelEncap& encap) {
  const std::uint32_t tunnel = encap.kind == TunnelKind::vxlan ? vxlan::kHeaderSize
                               : encap.ports ? geneve::kHeaderSize + geneve::kPortsOptionSize
                                             : geneve::kHeaderSize;
  return kL3 + (encap.dst.is6 ? 40u : 20u) + 8u + tunnel;
}

OuterTemplate make_outer(const TunnelEncap& encap) {
  WEFT_CHECK(encap.kind != TunnelKind::none);
  WEFT_CHECK(encap.src.is6 == encap.dst.is6, "{} and {} are of different families",
             encap.src.text(), encap.dst.text());
  WEFT_CHECK(encap.vni < 1u << 24, "VNI {}", encap.vni);
  OuterTemplate out;
  out.kind = encap.kind;
  out.is6 = encap.dst.is6;
  out.udp_checksum = encap.udp_checksum;
  out.inherit_dscp = encap.inherit_dscp;

  auto& ethernet = wire::at<wire::EthernetHeader>(out.bytes);
  ethernet.dst = encap.dst_mac;
  ethernet.src = encap.src_mac;
  ethernet.type = out.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
  const auto tos = static_cast<std::uint8_t>(encap.dscp << 2);
  std::uint32_t l4 = kL3;
  if (out.is6) {
    auto& ip = wire::at<wire::Ipv6Header>(out.bytes + kL3);
    ip.set_first_word(tos, 0);
    ip.payload_length = 0;
    ip.next_header = wire::kProtoUdp;
    ip.hop_limit = encap.ttl;
    ip.src = encap.src.v6();
    ip.dst = encap.dst.v6();
    out.udp_sum = fold_sum(pseudo_header_sum(encap.src.v6(), encap.dst.v6(), wire::kProtoUdp, 0));
    l4 += sizeof(wire::Ipv6Header);
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(out.bytes + kL3);
    ip.version_ihl = 0x45;
    ip.tos = 0;
    ip.total_length = 0;
    ip.identification = 0;
    ip.flags_fragment = wire::Ipv4Header::kDontFragment;
    ip.ttl = encap.ttl;
    ip.protocol = wire::kProtoUdp;
    ip.checksum = 0;
    ip.src = encap.src.v4();
    ip.dst = encap.dst.v4();
    out.ip_sum = fold_sum(sum_bytes({out.bytes + kL3, sizeof(wire::Ipv4Header)}));
    ip.tos = tos;
    out.udp_sum = fold_sum(pseudo_header_sum(encap.src.v4(), encap.dst.v4(), wire::kProtoUdp, 0));
    l4 += sizeof(wire::Ipv4Header);
  }
  auto& udp = wire::at<wire::UdpHeader>(out.bytes + l4);
  udp.src_port = 0;
  udp.dst_port = encap.kind == TunnelKind::vxlan ? wire::kPortVxlan : wire::kPortGeneve;
  udp.length = 0;
  udp.checksum = 0;
  const std::uint32_t tunnel = l4 + sizeof(wire::UdpHeader);
  const std::uint32_t header = encap.kind == TunnelKind::vxlan
                                   ? vxlan::encode(encap, out.bytes + tunnel)
                                   : geneve::encode(encap, out.bytes + tunnel);
  out.size = static_cast<std::uint8_t>(tunnel + header);
  out.udp_sum = fold_sum(sum_bytes({out.bytes + l4, out.size - l4}, out.udp_sum));
  return out;
}

bool encap(Packet& packet, const OuterTemplate& outer, std::uint32_t hash) {
  const std::uint32_t inner_size = packet.size();
  const std::uint32_t ip_size = outer.size - kL3 + inner_size;
  if (ip_size > 0xffff) [[unlikely]]
    return false;
  if (packet.header_size() < kInnerLook) [[unlikely]] {
    ensure_headers(packet, std::min(inner_size, kInnerLook));
  }
  const InnerIp inner = inner_ip(packet.data(), packet.header_size());
  const std::uint16_t source_port = source_port_of(hash);
  const std::uint32_t l4 = kL3 + (outer.is6 ? 40 : 20);
  const auto udp_size = static_cast<std::uint16_t>(outer.size - l4 + inner_size);
  std::uint16_t udp_checksum = 0;
  if (outer.udp_checksum) {
    // The outer headers have an even length: the inner frame's sum needs no swap. The length counts
    // twice, in the pseudo header and in UDP's own.
    const std::uint64_t sum = std::uint64_t{outer.udp_sum} + source_port + 2u * udp_size +
                              sum_range(packet, 0, inner_size);
    udp_checksum = static_cast<std::uint16_t>(~fold_sum(sum));
    if (udp_checksum == 0) udp_checksum = 0xffff;
  }

  std::uint8_t* p = packet.push(outer.size);
  std::memcpy(p, outer.bytes, outer.size);
  if (outer.is6) {
    auto& ip = wire::at<wire::Ipv6Header>(p + kL3);
    auto tos = outer.inherit_dscp
                   ? inner.tos
                   : static_cast<std::uint8_t>(ip.traffic_class() | (inner.tos & wire::kEcnMask));
    ip.set_first_word(tos, 0);
    ip.payload_length = udp_size;
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(p + kL3);
    ip.tos = outer.inherit_dscp ? inner.tos
                                : static_cast<std::uint8_t>(ip.tos | (inner.tos & wire::kEcnMask));
    ip.total_length = static_cast<std::uint16_t>(ip_size);
    ip.checksum =
        static_cast<std::uint16_t>(~fold_sum(std::uint64_t{outer.ip_sum} + ip.tos + ip_size));
  }
  auto& udp = wire::at<wire::UdpHeader>(p + l4);
  udp.src_port = source_port;
  udp.length = udp_size;
  udp.checksum = udp_checksum;
  return true;
}

TunnelKind tunnel_kind_of(std::span<const std::uint8_t> headers, const ParsedHeaders& outer) {
  if (!outer.ok() || outer.l4 == 0 || outer.ip_proto != wire::kProtoUdp ||
      outer.fragment != Fragment::none) {
    return TunnelKind::none;
  }
  const std::uint16_t port = wire::at<wire::UdpHeader>(headers.data() + outer.l4).dst_port;
  if (port == wire::kPortGeneve) return TunnelKind::geneve;
  if (port == wire::kPortVxlan) return TunnelKind::vxlan;
  return TunnelKind::none;
}

int decap_ecn(std::uint8_t inner, std::uint8_t outer) {
  inner &= wire::kEcnMask;
  outer &= wire::kEcnMask;
  if (outer == wire::kEcnCe) return inner == wire::kEcnNotEct ? -1 : int{wire::kEcnCe};
  if (outer == wire::kEcnEct1 && inner == wire::kEcnEct0) return wire::kEcnEct1;
  return inner;
}

Decap decap(Packet& packet, const ParsedHeaders& outer, const DecapOptions& options) {
  Decap result;
  result.info.kind = tunnel_kind_of(packet, outer);
  if (result.info.kind == TunnelKind::none) return result;
  const bool is_vxlan = result.info.kind == TunnelKind::vxlan;

  const std::uint8_t* p = packet.data();
  const wire::UdpHeader udp = wire::at<wire::UdpHeader>(p + outer.l4);
  const std::uint32_t udp_size = udp.length;
  const std::uint32_t end = outer.l4 + udp_size;
  TunnelInfo& info = result.info;
  info.tos = outer.tos;
  info.ttl = outer.ttl;
  info.src_port = udp.src_port;
  if (outer.is_ipv4()) {
    const auto& ip = wire::at<wire::Ipv4Header>(p + outer.l3);
    info.src = ip.src.get();
    info.dst = ip.dst.get();
    if (fold_sum(sum_bytes({p + outer.l3, ip.header_length()})) != 0xffff) {
      return dropped(result, DropReason::bad_checksum, "outer IPv4 header checksum");
    }
  } else {
    const auto& ip = wire::at<wire::Ipv6Header>(p + outer.l3);
    info.src = ip.src.get();
    info.dst = ip.dst.get();
  }
  if (udp.checksum != 0) {
    const std::uint64_t pseudo = outer_pseudo_sum(outer, p + outer.l3, udp_size);
    if (fold_sum(pseudo + sum_range(packet, outer.l4, end)) != 0xffff) {
      return dropped(result, DropReason::bad_checksum, "outer UDP checksum");
    }
  }

  // The tunnel's header as bytes; simulated frames have it there already.
  const std::uint32_t begin = outer.l4 + sizeof(wire::UdpHeader);
  ensure_headers(packet, std::min(end, begin + 8));
  if (!is_vxlan && end > begin) {
    const std::uint32_t options_size = (packet.data()[begin] & 0x3fu) * 4;
    ensure_headers(packet, std::min(end, begin + 8 + options_size));
  }
  const auto there = packet.headers().subspan(begin, std::min(end, packet.header_size()) - begin);
  const std::uint32_t header =
      is_vxlan ? vxlan::decode(there, result) : geneve::decode(there, result);
  if (header == 0) {
    result.status = Decap::Status::drop;
    return result;
  }
  const std::uint32_t inner_at = begin + header;
  const std::uint32_t inner_size = end - inner_at;
  if (inner_size < sizeof(wire::EthernetHeader)) {
    return dropped(result, DropReason::malformed, "no whole Ethernet header in the tunnel");
  }
  ensure_headers(packet, std::min(end, inner_at + kInnerLook));
  const std::uint8_t* inner = packet.data() + inner_at;
  const std::uint32_t inner_there = std::min(end, packet.header_size()) - inner_at;
  const auto inner_type = wire::load_be<std::uint16_t>(inner + 12);
  if (is_vxlan && !options.vxlan_inner_vlan && inner_type == wire::kEtherVlan) {
    return dropped(result, DropReason::tunnel_bad, "802.1Q tag inside VXLAN");
  }
  const InnerIp ip = inner_ip(inner, inner_there);
  int ecn = ip.tos & wire::kEcnMask;
  if (ip.version != 0) {
    ecn = decap_ecn(ip.tos, outer.tos);
    if (ecn < 0) {
      return dropped(result, DropReason::tunnel_bad, "CE outside, Not-ECT inside (RFC 6040)");
    }
  }

  if (end != packet.size()) trim_frame(packet, end);
  packet.pull(inner_at);
  if (ecn != (ip.tos & wire::kEcnMask)) set_inner_ecn(packet, ip, static_cast<std::uint8_t>(ecn));
  result.status = Decap::Status::ok;
  return result;
}

std::uint32_t inner_frame_offset(std::span<const std::uint8_t> headers,
                                 const ParsedHeaders& outer) {
  const TunnelKind kind = tunnel_kind_of(headers, outer);
  if (kind == TunnelKind::none) return 0;
  const std::uint32_t end = outer.l4 + wire::at<wire::UdpHeader>(headers.data() + outer.l4).length;
  const std::uint32_t begin = outer.l4 + sizeof(wire::UdpHeader);
  const auto there = headers.subspan(begin, std::min<std::size_t>(end, headers.size()) - begin);
  Decap result;
  const std::uint32_t header =
      kind == TunnelKind::vxlan ? vxlan::decode(there, result) : geneve::decode(there, result);
  if (header == 0 || begin + header + sizeof(wire::EthernetHeader) > end) return 0;
  return begin + header;
}

}  // namespace weft::datapath
