#include "datapath/tunnel/tunnel.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/tunnel/etherip.h"
#include "datapath/tunnel/geneve.h"
#include "datapath/tunnel/gre.h"
#include "datapath/tunnel/lisp.h"
#include "datapath/tunnel/nvgre.h"
#include "datapath/tunnel/otv.h"
#include "datapath/tunnel/stt.h"
#include "datapath/tunnel/vxlan.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

constexpr std::uint32_t kEthernet = sizeof(wire::EthernetHeader);
constexpr const char* kNames[kTunnelKinds] = {"none", "vxlan",   "geneve", "nvgre", "stt",
                                              "lisp", "etherip", "gre",    "otv"};

bool over_udp(TunnelKind kind) {
  return kind == TunnelKind::vxlan || kind == TunnelKind::geneve || kind == TunnelKind::lisp ||
         kind == TunnelKind::otv;
}

std::uint8_t protocol_of(TunnelKind kind) {
  if (over_udp(kind)) return wire::kProtoUdp;
  if (kind == TunnelKind::stt) return wire::kProtoTcp;
  return kind == TunnelKind::etherip ? wire::kProtoEtherIp : wire::kProtoGre;
}

std::uint16_t registered_port(TunnelKind kind) {
  switch (kind) {
    case TunnelKind::vxlan:
      return wire::kPortVxlan;
    case TunnelKind::geneve:
      return wire::kPortGeneve;
    case TunnelKind::lisp:
      return wire::kPortLisp;
    case TunnelKind::otv:
      return wire::kPortOtv;
    case TunnelKind::stt:
      return wire::kPortStt;
    default:
      return 0;
  }
}

/// Header of the tunnel itself, with what is in front of it behind IP.
std::uint32_t header_behind_ip(const TunnelEncap& encap) {
  switch (encap.kind) {
    case TunnelKind::geneve:
      return 8 + geneve::size_of(encap);
    case TunnelKind::vxlan:
    case TunnelKind::lisp:
    case TunnelKind::otv:
      return 8 + 8;
    case TunnelKind::nvgre:
      return nvgre::kHeaderSize;
    case TunnelKind::gre:
      return gre::size_of(encap);
    case TunnelKind::etherip:
      return etherip::kHeaderSize;
    case TunnelKind::stt:
      return stt::kSegmentHeader + stt::kFrameHeader;
    case TunnelKind::none:
      break;
  }
  return 0;
}

std::uint32_t encode_header(const TunnelEncap& encap, std::uint8_t* out) {
  switch (encap.kind) {
    case TunnelKind::vxlan:
      return vxlan::encode(encap, out);
    case TunnelKind::geneve:
      return geneve::encode(encap, out);
    case TunnelKind::nvgre:
      return nvgre::encode(encap, out);
    case TunnelKind::lisp:
      return lisp::encode(encap, out);
    case TunnelKind::etherip:
      return etherip::encode(out);
    case TunnelKind::gre:
      return gre::encode(encap, out);
    case TunnelKind::otv:
      return otv::encode(encap, out);
    case TunnelKind::stt:
      return stt::encode(encap, out);
    case TunnelKind::none:
      break;
  }
  return 0;
}

std::uint32_t decode_header(TunnelKind kind, std::span<const std::uint8_t> bytes,
                            const DecapOptions& options, Decap& result) {
  switch (kind) {
    case TunnelKind::vxlan:
      return vxlan::decode(bytes, result);
    case TunnelKind::geneve:
      return geneve::decode(bytes, options, result);
    case TunnelKind::nvgre:
      return nvgre::decode(bytes, result);
    case TunnelKind::lisp:
      return lisp::decode(bytes, result);
    case TunnelKind::etherip:
      return etherip::decode(bytes, result);
    case TunnelKind::gre:
      return gre::decode(bytes, result);
    case TunnelKind::otv:
      return otv::decode(bytes, result);
    case TunnelKind::stt:
    case TunnelKind::none:
      break;
  }
  return 0;
}

/// Writes TOS and TTL of the inner IP header at `ip.l3` of the frame, checksum included.
void set_inner(Packet& packet, const InnerIp& ip, std::uint8_t tos, std::uint8_t ttl) {
  std::uint8_t* p = packet.data() + ip.l3;
  if (ip.version == 6) {
    p[0] = static_cast<std::uint8_t>((p[0] & 0xf0) | tos >> 4);
    p[1] = static_cast<std::uint8_t>((p[1] & 0x0f) | tos << 4);
    p[7] = ttl;
    return;
  }
  if (!ensure_headers(packet, ip.l3 + sizeof(wire::Ipv4Header))) return;  // cut off: never mind
  auto& header = wire::at<wire::Ipv4Header>(packet.data() + ip.l3);
  header.checksum = update_checksum(
      header.checksum, static_cast<std::uint16_t>(header.version_ihl << 8 | header.tos),
      static_cast<std::uint16_t>(header.version_ihl << 8 | tos));
  header.tos = tos;
  header.checksum = update_checksum(header.checksum,
                                    static_cast<std::uint16_t>(header.ttl << 8 | header.protocol),
                                    static_cast<std::uint16_t>(ttl << 8 | header.protocol));
  header.ttl = ttl;
}

bool tagged(const std::uint8_t* p) {
  const auto type = wire::load_be<std::uint16_t>(p + 12);
  return type == wire::kEtherVlan || type == wire::kEtherQinQ;
}

/// How many bytes of 802.1Q tags the frame begins with.
std::uint32_t tag_bytes(Packet& packet) {
  std::uint32_t n = 0;
  while (ensure_headers(packet, kEthernet + n + 4) && tagged(packet.data() + n)) n += 4;
  return n;
}

void drop_tags(Packet& packet, std::uint32_t bytes) {
  std::memmove(packet.data() + bytes, packet.data(), 12);
  packet.pull(bytes);
}

}  // namespace

const char* name_of(TunnelKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

TunnelKind tunnel_kind_named(std::string_view name) {
  for (std::size_t i = 1; i < kTunnelKinds; ++i)
    if (name == kNames[i]) return static_cast<TunnelKind>(i);
  return TunnelKind::none;
}

std::uint32_t refuse(Decap& result, DropReason reason, const char* detail) {
  result.status = Decap::Status::drop;
  result.reason = reason;
  result.detail = detail;
  return 0;
}

InnerIp inner_ip(const std::uint8_t* p, std::uint32_t from, std::uint32_t there) {
  InnerIp out;
  if (there < from + kEthernet) return out;
  std::uint32_t l3 = from + kEthernet;
  auto type = wire::load_be<std::uint16_t>(p + from + 12);
  for (std::uint32_t tags = 0; type == wire::kEtherVlan || type == wire::kEtherQinQ; ++tags) {
    out.tagged = true;
    if (tags == kInnerTags || there < l3 + 4) return out;
    type = wire::load_be<std::uint16_t>(p + l3 + 2);
    l3 += 4;
  }
  if (there < l3 + 9) return out;
  if (type == wire::kEtherIpv4) {
    out = {l3, 4, p[l3 + 1], p[l3 + 8], out.tagged};
  } else if (type == wire::kEtherIpv6) {
    out = {l3, 6, static_cast<std::uint8_t>(p[l3] << 4 | p[l3 + 1] >> 4), p[l3 + 7], out.tagged};
  }
  return out;
}

std::uint64_t outer_pseudo_sum(const std::uint8_t* l3, bool is6, std::uint8_t protocol,
                               std::uint32_t length) {
  if (is6) {
    const auto& ip = wire::at<wire::Ipv6Header>(l3);
    return pseudo_header_sum(ip.src, ip.dst, protocol, length);
  }
  const auto& ip = wire::at<wire::Ipv4Header>(l3);
  return pseudo_header_sum(ip.src, ip.dst, protocol, length);
}

std::uint32_t overhead_of(const TunnelEncap& encap) {
  return kEthernet + (encap.outer_vlan ? 4u : 0u) + (encap.dst.is6 ? 40u : 20u) +
         header_behind_ip(encap);
}

OuterTemplate make_outer(const TunnelEncap& encap) {
  WEFT_CHECK(encap.kind != TunnelKind::none);
  WEFT_CHECK(encap.src.is6 == encap.dst.is6, "{} and {} are of different families",
             encap.src.text(), encap.dst.text());
  WEFT_CHECK(encap.kind == TunnelKind::stt || encap.kind == TunnelKind::etherip ||
                 encap.vni >> identifier_bits(encap.kind) == 0,
             "{} identifier {}", name_of(encap.kind), encap.vni);
  OuterTemplate out;
  out.kind = encap.kind;
  out.is6 = encap.dst.is6;
  out.udp = over_udp(encap.kind);
  out.udp_checksum = encap.udp_checksum;
  out.inherit_dscp = encap.inherit_dscp;
  out.inherit_ttl = encap.inherit_ttl;
  out.all_source_ports = encap.all_source_ports;
  out.first_source_port = encap.first_source_port;
  out.last_source_port = encap.last_source_port;
  out.strip_vlan = encap.kind == TunnelKind::nvgre ||
                   (encap.kind == TunnelKind::vxlan && !encap.keep_inner_vlan);
  out.flow_id = encap.flow_id;
  out.vlan_in_header = encap.vlan_in_header;
  out.ecn_mask = encap.ecn_compatibility ? 0 : wire::kEcnMask;
  out.ttl = encap.ttl;

  auto& ethernet = wire::at<wire::EthernetHeader>(out.bytes);
  ethernet.dst = encap.dst_mac;
  ethernet.src = encap.src_mac;
  const std::uint16_t type = out.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
  ethernet.type = encap.outer_vlan ? wire::kEtherVlan : type;
  std::uint32_t l3 = kEthernet;
  if (encap.outer_vlan) {
    auto& tag = wire::at<wire::VlanTag>(out.bytes + l3);
    tag.tci = *encap.outer_vlan;
    tag.type = type;
    l3 += sizeof tag;
  }
  const auto tos = static_cast<std::uint8_t>(encap.dscp << 2);
  const std::uint8_t protocol = protocol_of(encap.kind);
  std::uint32_t l4 = l3;
  std::uint64_t pseudo = 0;
  if (out.is6) {
    auto& ip = wire::at<wire::Ipv6Header>(out.bytes + l3);
    ip.set_first_word(tos, 0);
    ip.payload_length = 0;
    ip.next_header = protocol;
    ip.hop_limit = encap.ttl;
    ip.src = encap.src.v6();
    ip.dst = encap.dst.v6();
    pseudo = pseudo_header_sum(encap.src.v6(), encap.dst.v6(), protocol, 0);
    l4 += sizeof(wire::Ipv6Header);
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(out.bytes + l3);
    ip.version_ihl = 0x45;
    ip.tos = 0;
    ip.total_length = 0;
    ip.identification = 0;
    ip.flags_fragment = encap.dont_fragment ? wire::Ipv4Header::kDontFragment : std::uint16_t{0};
    ip.ttl = out.inherit_ttl ? std::uint8_t{0} : encap.ttl;
    ip.protocol = protocol;
    ip.checksum = 0;
    ip.src = encap.src.v4();
    ip.dst = encap.dst.v4();
    out.ip_sum = fold_sum(sum_bytes({out.bytes + l3, sizeof(wire::Ipv4Header)}));
    ip.tos = tos;
    pseudo = pseudo_header_sum(encap.src.v4(), encap.dst.v4(), protocol, 0);
    l4 += sizeof(wire::Ipv4Header);
  }
  out.l3 = static_cast<std::uint8_t>(l3);
  out.l4 = static_cast<std::uint8_t>(l4);
  std::uint32_t tunnel = l4;
  if (out.udp) {
    auto& udp = wire::at<wire::UdpHeader>(out.bytes + l4);
    udp.src_port = 0;
    udp.dst_port = encap.port != 0 ? encap.port : registered_port(encap.kind);
    udp.length = 0;
    udp.checksum = 0;
    tunnel += sizeof udp;
  }
  out.size = static_cast<std::uint16_t>(tunnel + encode_header(encap, out.bytes + tunnel));
  if (out.udp) out.udp_sum = fold_sum(sum_bytes({out.bytes + l4, out.size - l4}, fold_sum(pseudo)));
  if (encap.kind == TunnelKind::stt) out.mtu = static_cast<std::uint16_t>(encap.mtu);
  if (encap.kind == TunnelKind::geneve && !encap.options.empty()) {
    out.more = encap.options;
    out.size = static_cast<std::uint16_t>(out.size + out.more.size());
    out.udp_sum = fold_sum(sum_bytes(out.more, out.udp_sum));
  }
  return out;
}

void write_outer_ip(std::uint8_t* p, const OuterTemplate& outer, std::uint8_t tos, std::uint8_t ttl,
                    std::uint32_t ip_size) {
  if (outer.is6) {
    auto& ip = wire::at<wire::Ipv6Header>(p + outer.l3);
    ip.set_first_word(tos, 0);
    ip.payload_length = static_cast<std::uint16_t>(ip_size - sizeof(wire::Ipv6Header));
    ip.hop_limit = ttl;
    return;
  }
  auto& ip = wire::at<wire::Ipv4Header>(p + outer.l3);
  ip.tos = tos;
  ip.total_length = static_cast<std::uint16_t>(ip_size);
  std::uint64_t sum = std::uint64_t{outer.ip_sum} + tos + ip_size;
  if (outer.inherit_ttl) {
    ip.ttl = ttl;
    sum += static_cast<std::uint64_t>(ttl) << 8;
  }
  ip.checksum = static_cast<std::uint16_t>(~fold_sum(sum));
}

bool encap(Packet& packet, const OuterTemplate& outer, std::uint32_t hash, std::uint32_t sequence) {
  std::uint32_t inner_size = packet.size();
  if (packet.header_size() < kInnerLook) [[unlikely]] {
    ensure_headers(packet, std::min(inner_size, kInnerLook));
  }
  if (outer.kind == TunnelKind::stt) [[unlikely]]
    return stt::encap_single(packet, outer, hash, sequence);
  const InnerIp inner = inner_ip(packet.data(), 0, packet.header_size());
  std::uint32_t gone = 0;  // Ethernet or tags that do not travel
  if (inner.tagged && outer.strip_vlan) [[unlikely]]
    gone = tag_bytes(packet);
  if (outer.kind == TunnelKind::lisp) [[unlikely]] {
    const std::uint32_t least = inner.version == 4 ? 20 : 40;
    if (inner.version == 0 || packet.data()[inner.l3] >> 4 != inner.version ||
        inner_size < inner.l3 + least)
      return false;
    gone = inner.l3;
  }
  inner_size -= gone;
  const std::uint32_t ip_size = outer.size - outer.l3 + inner_size;
  // IPv6's length does not count its header, and UDP's would not fit if it did.
  if (ip_size > 0xffff + (outer.is6 ? sizeof(wire::Ipv6Header) : 0u)) [[unlikely]]
    return false;
  if (gone != 0) [[unlikely]] {
    if (outer.kind == TunnelKind::lisp)
      packet.pull(gone);
    else
      drop_tags(packet, gone);
  }
  InnerIp within = inner;
  if (gone != 0 && outer.strip_vlan) [[unlikely]]
    within = inner_ip(packet.data(), 0, packet.header_size());
  const std::uint32_t l4 = outer.l4;
  const auto udp_size = static_cast<std::uint16_t>(outer.size - l4 + inner_size);
  const std::uint16_t source_port = source_port_for(outer, hash);
  std::uint16_t udp_checksum = 0;
  if (outer.udp_checksum && outer.udp) {
    // The outer headers have an even length: the inner frame's sum needs no swap. The length counts
    // twice, in the pseudo header and in UDP's own.
    const std::uint64_t sum = std::uint64_t{outer.udp_sum} + source_port + 2u * udp_size +
                              sum_range(packet, 0, inner_size);
    udp_checksum = static_cast<std::uint16_t>(~fold_sum(sum));
    if (udp_checksum == 0) udp_checksum = 0xffff;
  }

  std::uint8_t* p = packet.push(outer.size);
  if (outer.more.empty()) [[likely]] {
    std::memcpy(p, outer.bytes, outer.size);
  } else {
    const std::size_t head = outer.size - outer.more.size();
    std::memcpy(p, outer.bytes, head);
    std::memcpy(p + head, outer.more.data(), outer.more.size());
  }
  const std::uint8_t own = outer.is6
                               ? wire::at<wire::Ipv6Header>(outer.bytes + outer.l3).traffic_class()
                               : outer.bytes[outer.l3 + 1];
  const auto tos = static_cast<std::uint8_t>((outer.inherit_dscp ? within.tos & 0xfc : own) |
                                             (within.tos & outer.ecn_mask));
  const std::uint8_t ttl = outer.inherit_ttl && within.version != 0 ? within.ttl : outer.ttl;
  write_outer_ip(p, outer, tos, ttl, ip_size);
  if (outer.udp) [[likely]] {
    auto& udp = wire::at<wire::UdpHeader>(p + l4);
    udp.src_port = source_port;
    udp.length = udp_size;
    udp.checksum = udp_checksum;
  } else if (outer.kind == TunnelKind::nvgre) {
    if (outer.flow_id) p[l4 + 7] = nvgre::flow_id_of(hash);
  } else if (outer.kind == TunnelKind::gre) {
    gre::finish(packet, l4, sequence);
  }
  return true;
}

TunnelKind tunnel_kind_of(std::span<const std::uint8_t> headers, const ParsedHeaders& outer,
                          const TunnelPorts& ports, GreReading gre,
                          std::span<const std::uint32_t> gre_keys) {
  if (!outer.ok() || outer.fragment != Fragment::none) return TunnelKind::none;
  if (outer.ip_proto == wire::kProtoUdp) {
    if (outer.l4 == 0) return TunnelKind::none;
    const std::uint16_t port = wire::at<wire::UdpHeader>(headers.data() + outer.l4).dst_port;
    if (port == 0) return TunnelKind::none;
    if (port == ports.geneve) return TunnelKind::geneve;
    if (port == ports.vxlan) return TunnelKind::vxlan;
    if (port == ports.otv) return TunnelKind::otv;
    if (port == ports.lisp) return TunnelKind::lisp;
    return TunnelKind::none;
  }
  if (outer.ip_version == 0) return TunnelKind::none;
  if (outer.ip_proto == wire::kProtoTcp) {
    if (outer.l4 == 0) return TunnelKind::none;
    const std::uint16_t port = wire::at<wire::TcpHeader>(headers.data() + outer.l4).dst_port;
    return port == ports.stt && port != 0 ? TunnelKind::stt : TunnelKind::none;
  }
  if (outer.ip_proto == wire::kProtoEtherIp) return TunnelKind::etherip;
  if (outer.ip_proto != wire::kProtoGre) return TunnelKind::none;
  if (gre != GreReading::by_key)
    return gre == GreReading::nvgre ? TunnelKind::nvgre : TunnelKind::gre;
  const auto* header = wire::view<wire::GreHeader>(headers, outer.payload);
  const bool key = header != nullptr && (header->flags_version & wire::GreHeader::kKey) != 0 &&
                   header->protocol == wire::kEtherTransparentBridging;
  if (!key) return TunnelKind::gre;
  if (!gre_keys.empty()) [[unlikely]] {
    // The key follows a checksum, if there is one.
    const bool checksum = (header->flags_version & wire::GreHeader::kChecksum) != 0;
    const std::size_t at = outer.payload + sizeof *header + (checksum ? 4 : 0);
    if (at + 4 <= headers.size() &&
        std::find(gre_keys.begin(), gre_keys.end(),
                  wire::load_be<std::uint32_t>(headers.data() + at)) != gre_keys.end())
      return TunnelKind::gre;
  }
  return TunnelKind::nvgre;
}

int decap_ecn(std::uint8_t inner, std::uint8_t outer) {
  inner &= wire::kEcnMask;
  outer &= wire::kEcnMask;
  if (outer == wire::kEcnCe) return inner == wire::kEcnNotEct ? -1 : int{wire::kEcnCe};
  if (outer == wire::kEcnEct1 && inner == wire::kEcnEct0) return wire::kEcnEct1;
  return inner;
}

int join_ecn(std::uint8_t a, std::uint8_t b) {
  a &= wire::kEcnMask;
  b &= wire::kEcnMask;
  if (a == b) return a;
  if (a == wire::kEcnCe || b == wire::kEcnCe)
    return a == wire::kEcnNotEct || b == wire::kEcnNotEct ? -1 : int{wire::kEcnCe};
  if (a == wire::kEcnNotEct || b == wire::kEcnNotEct) return wire::kEcnNotEct;
  return wire::kEcnEct0;
}

void finish_decap(Packet& packet, std::uint32_t begin, std::uint32_t end,
                  const DecapOptions& options, Decap& result) {
  const TunnelInfo& info = result.info;
  if (end < begin + kEthernet) {
    refuse(result, DropReason::malformed, "no whole Ethernet header in the tunnel");
    return;
  }
  ensure_headers(packet, std::min(end, begin + kInnerLook));
  const std::uint32_t there = std::min(end, packet.header_size());
  InnerIp ip = inner_ip(packet.data(), begin, there);
  if (ip.tagged) {
    if (info.kind == TunnelKind::vxlan && !options.vxlan_inner_vlan) {
      refuse(result, DropReason::tunnel_bad, "802.1Q tag inside VXLAN");
      return;
    }
    if (info.kind == TunnelKind::nvgre) {
      refuse(result, DropReason::tunnel_bad, "802.1Q tag inside NVGRE");
      return;
    }
  }
  std::uint8_t tos = ip.tos;
  std::uint8_t ttl = ip.ttl;
  if (ip.version != 0) {
    const int ecn = options.forget_ecn ? ip.tos & wire::kEcnMask : decap_ecn(ip.tos, info.tos);
    if (ecn < 0) {
      refuse(result, DropReason::tunnel_bad, "CE outside, Not-ECT inside (RFC 6040)");
      return;
    }
    // RFC 9300, 5.3: LISP copies both back.
    const bool lisp = info.kind == TunnelKind::lisp;
    const bool copy_dscp = options.copy_dscp || lisp;
    tos = static_cast<std::uint8_t>((copy_dscp ? info.tos & 0xfc : ip.tos & 0xfc) | ecn);
    if (options.copy_ttl || lisp) ttl = std::min(ttl, info.ttl);
  }
  if (end != packet.size()) trim_frame(packet, end);
  packet.pull(begin);
  ip.l3 -= begin;
  if (tos != ip.tos || ttl != ip.ttl) set_inner(packet, ip, tos, ttl);
  result.status = Decap::Status::ok;
}

Decap decap(Packet& packet, const ParsedHeaders& outer, const DecapOptions& options,
            std::vector<std::uint8_t>* options_bytes) {
  Decap result;
  TunnelInfo& info = result.info;
  // What tells kinds of GRE apart must be there as bytes.
  if (outer.ok() && outer.ip_proto == wire::kProtoGre)
    ensure_headers(packet, std::min(outer.l3_end, outer.payload + 12u));
  info.kind = tunnel_kind_of(packet, outer, options.ports, options.gre, options.gre_keys);
  if (info.kind == TunnelKind::none) return result;

  const std::uint8_t* p = packet.data();
  info.tos = outer.tos;
  info.ttl = outer.ttl;
  if (outer.is_ipv4()) {
    const auto& ip = wire::at<wire::Ipv4Header>(p + outer.l3);
    info.src = ip.src.get();
    info.dst = ip.dst.get();
    if (fold_sum(sum_bytes({p + outer.l3, ip.header_length()})) != 0xffff) {
      refuse(result, DropReason::bad_checksum, "outer IPv4 header checksum");
      return result;
    }
  } else {
    const auto& ip = wire::at<wire::Ipv6Header>(p + outer.l3);
    info.src = ip.src.get();
    info.dst = ip.dst.get();
  }

  std::uint32_t begin = outer.payload;
  std::uint32_t end = outer.l3_end;
  if (over_udp(info.kind)) [[likely]] {
    const auto& udp = wire::at<wire::UdpHeader>(p + outer.l4);
    const std::uint32_t udp_size = udp.length;
    begin = outer.l4 + sizeof(wire::UdpHeader);
    end = outer.l4 + udp_size;
    info.src_port = udp.src_port;
    if (udp.checksum != 0) {
      const std::uint64_t pseudo =
          outer_pseudo_sum(p + outer.l3, outer.is_ipv6(), wire::kProtoUdp, udp_size);
      if (options.verify_checksum &&
          fold_sum(pseudo + sum_range(packet, outer.l4, end)) != 0xffff) {
        refuse(result, DropReason::bad_checksum, "outer UDP checksum");
        return result;
      }
    } else if (options.zero_checksum == ZeroChecksum::refuse ||
               (options.zero_checksum == ZeroChecksum::over_ipv4 && outer.is_ipv6()) ||
               (options.zero_checksum == ZeroChecksum::by_rfc && outer.is_ipv6() &&
                info.kind == TunnelKind::geneve)) {
      refuse(result, DropReason::bad_checksum, "no outer UDP checksum");
      return result;
    }
  } else if (info.kind == TunnelKind::stt) {
    stt::decap(packet, outer, options, result);
    return result;
  }

  // The tunnel's header as bytes; simulated frames have it there already.
  ensure_headers(packet, std::min(end, begin + 16));
  if (info.kind == TunnelKind::geneve && end > begin) {
    const std::uint32_t options_size = (packet.data()[begin] & 0x3fu) * 4;
    ensure_headers(packet, std::min(end, begin + 8 + options_size));
  }
  const auto there = packet.headers().subspan(begin, std::min(end, packet.header_size()) - begin);
  if (options_bytes != nullptr && info.kind == TunnelKind::geneve &&
      there.size() > geneve::kHeaderSize) {
    const std::size_t most = geneve::kHeaderSize + (there[0] & 0x3fu) * 4;
    options_bytes->assign(there.begin() + geneve::kHeaderSize,
                          there.begin() + static_cast<long>(std::min(most, there.size())));
  }
  const std::uint32_t header = decode_header(info.kind, there, options, result);
  if (header == 0) return result;
  if (result.status == Decap::Status::control) {
    result.segment.begin = begin + header;
    result.segment.end = end;
    return result;
  }
  if (info.kind == TunnelKind::gre && options.verify_checksum && gre::checksum_present(there) &&
      sum_range(packet, begin, end) != 0xffff) {
    refuse(result, DropReason::bad_checksum, "GRE checksum");
    return result;
  }
  if (info.kind == TunnelKind::lisp)
    lisp::finish_decap(packet, begin + header, end, options, result);
  else
    finish_decap(packet, begin + header, end, options, result);
  return result;
}

InnerPlace inner_place(std::span<const std::uint8_t> headers, const ParsedHeaders& outer) {
  InnerPlace out;
  out.kind = tunnel_kind_of(headers, outer);
  if (out.kind == TunnelKind::none) return out;
  out.header.info.kind = out.kind;
  out.is_ip = out.kind == TunnelKind::lisp;
  out.end = outer.l3_end;
  std::uint32_t begin = outer.payload;
  if (over_udp(out.kind))
    out.end = outer.l4 + wire::at<wire::UdpHeader>(headers.data() + outer.l4).length;
  const auto there = headers.subspan(std::min<std::size_t>(begin, headers.size()),
                                     std::min<std::size_t>(out.end, headers.size()) -
                                         std::min<std::size_t>(begin, headers.size()));
  std::uint32_t header = 0;
  if (out.kind == TunnelKind::stt)
    header = stt::decode_whole(headers, outer, out.header);
  else
    header = decode_header(out.kind, there, {}, out.header);
  begin += header;
  const std::uint32_t least = out.is_ip ? 20 : kEthernet;
  const bool whole = header != 0 && out.header.status == Decap::Status::not_tunnel;
  if (whole && begin + least <= out.end && begin + least <= headers.size()) out.begin = begin;
  return out;
}

std::uint32_t inner_frame_offset(std::span<const std::uint8_t> headers,
                                 const ParsedHeaders& outer) {
  const InnerPlace place = inner_place(headers, outer);
  return place.is_ip ? 0 : place.begin;
}

}  // namespace weft::datapath
