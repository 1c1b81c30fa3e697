#include "datapath/tunnel/lisp.h"

#include <algorithm>

#include "base/check.h"
#include "datapath/wire/wire.h"

namespace weft::datapath::lisp {

using wire::LispHeader;

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  const LispFields& f = encap.lisp;
  WEFT_CHECK(!f.nonce || !f.map_versions, "a LISP nonce and map-versions share their place");
  WEFT_CHECK(!f.echo_nonce || f.nonce, "no nonce to echo");
  auto& header = wire::at<LispHeader>(out);
  header = {};
  header.instance_lsb = 0u;
  if (f.nonce) {
    header.flags |= LispHeader::kNonce;
    header.nonce = *f.nonce;
    if (f.echo_nonce) header.flags |= LispHeader::kEchoNonce;
  }
  if (f.map_versions) {
    header.flags |= LispHeader::kMapVersion;
    header.nonce = *f.map_versions;
  }
  std::uint32_t word = 0;
  if (f.locators) {
    WEFT_CHECK(!encap.instance || *f.locators <= 0xff, "32 locators beside an instance id");
    header.flags |= LispHeader::kLocatorStatus;
    word = *f.locators;
  }
  if (encap.instance) {
    header.flags |= LispHeader::kInstance;
    word |= static_cast<std::uint32_t>(encap.vni) << 8;
  }
  header.instance_lsb = word;
  return kHeaderSize;
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<LispHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "LISP header cut off");
  const std::uint8_t flags = header->flags;
  const std::uint32_t word = header->instance_lsb;
  TunnelInfo& info = result.info;
  if ((flags & LispHeader::kInstance) != 0) {
    info.vni = word >> 8;
    info.has_id = true;
  }
  if ((flags & LispHeader::kLocatorStatus) != 0)
    info.lisp.locators = info.has_id ? word & 0xff : word;
  if ((flags & LispHeader::kEncrypted) != 0) {
    return refuse(result, DropReason::tunnel_bad, "LISP payload is encrypted");
  }
  // Both N and V must not be; if they are, the field is a nonce (RFC 9300, 5.3).
  if ((flags & LispHeader::kNonce) != 0) {
    info.lisp.nonce = header->nonce;
    info.lisp.echo_nonce = (flags & LispHeader::kEchoNonce) != 0;
  } else if ((flags & LispHeader::kMapVersion) != 0) {
    info.lisp.map_versions = header->nonce;
  }
  return kHeaderSize;
}

void finish_decap(Packet& packet, std::uint32_t begin, std::uint32_t end,
                  const DecapOptions& options, Decap& result) {
  ensure_headers(packet, std::min(end, begin + 1));
  const unsigned version = begin < end ? packet.data()[begin] >> 4 : 0;
  if (version != 4 && version != 6) {
    refuse(result, DropReason::tunnel_bad, "LISP payload is neither IPv4 nor IPv6");
    return;
  }
  if (end - begin < (version == 4 ? 20u : 40u)) {
    refuse(result, DropReason::malformed, "no whole IP header in the tunnel");
    return;
  }
  // Ethernet in front of the IP packet, where the outer headers were; they are kept until nothing
  // can go wrong any more.
  constexpr std::uint32_t kEthernet = sizeof(wire::EthernetHeader);
  const std::uint8_t* p = packet.data() + begin;
  std::uint8_t saved[kEthernet];
  std::copy_n(p - kEthernet, kEthernet, saved);
  wire::at<wire::EthernetHeader>(packet.data() + begin - kEthernet) = {
      options.lisp_dst_mac, options.lisp_src_mac,
      version == 4 ? wire::kEtherIpv4 : wire::kEtherIpv6};
  datapath::finish_decap(packet, begin - kEthernet, end, options, result);
  if (!result.ok()) std::copy_n(saved, kEthernet, packet.data() + begin - kEthernet);
}

void MapCache::add(std::uint32_t instance, const Prefix& eids, const IpAddress& locator) {
  for (Entry& e : entries_) {
    if (e.instance == instance && e.eids == eids) {
      e.locator = locator;
      return;
    }
  }
  const auto at = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& e) { return e.eids.length < eids.length; });
  entries_.insert(at, {instance, eids, locator});
}

std::optional<IpAddress> MapCache::lookup(std::uint32_t instance, const IpAddress& eid) const {
  for (const Entry& e : entries_)
    if (e.instance == instance && e.eids.contains(eid)) return e.locator;
  return std::nullopt;
}

IngressResult encap_by_map(Packet& packet, const MapCache& map, const TunnelEncap& base,
                           std::uint32_t hash) {
  WEFT_CHECK(base.kind == TunnelKind::lisp);
  const ParsedHeaders parsed = parse_materialising(packet);
  if (!parsed.ok() || parsed.ip_version == 0) return {false, DropReason::malformed};
  const std::uint8_t* ip = packet.data() + parsed.l3;
  const IpAddress eid = parsed.is_ipv4() ? IpAddress(wire::at<wire::Ipv4Header>(ip).dst.get())
                                         : IpAddress(wire::at<wire::Ipv6Header>(ip).dst.get());
  const auto locator = map.lookup(static_cast<std::uint32_t>(base.vni), eid);
  if (!locator || locator->is6 != base.src.is6) return {false, DropReason::tunnel_no_mapping};
  TunnelEncap to = base;
  to.dst = *locator;
  if (!encap(packet, make_outer(to), hash)) return {false, DropReason::tunnel_too_big};
  return {true, {}};
}

}  // namespace weft::datapath::lisp
