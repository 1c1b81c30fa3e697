#include "datapath/tunnel/stt.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/rewrite.h"
#include "datapath/wire/wire.h"

namespace weft::datapath::stt {
namespace {

using wire::SttHeader;
using wire::TcpHeader;

constexpr std::uint32_t kEthernet = sizeof(wire::EthernetHeader);
constexpr std::uint16_t kDei = 0x1000;

bool has_checksum(const ParsedHeaders& h) {
  return h.ok() && h.l4 != 0 && h.fragment == Fragment::none &&
         (h.ip_proto == wire::kProtoTcp || h.ip_proto == wire::kProtoUdp);
}

std::uint8_t* checksum_field(Packet& packet, const ParsedHeaders& h) {
  return packet.data() + h.l4 + (h.ip_proto == wire::kProtoTcp ? 16 : 6);
}

/// What encapsulation does before it cuts.
struct Sender {
  InnerIp inner;  ///< of the frame as it was
  std::uint32_t total = 0;

  /// Puts the STT header in front of the frame.
  void prepare(Packet& packet, const OuterTemplate& outer) {
    inner = inner_ip(packet.data(), 0, packet.header_size());
    std::uint16_t vlan = 0;
    ParsedHeaders h = parse_materialising(packet);
    if (tag_moves(packet, outer)) {
      vlan = static_cast<std::uint16_t>(h.vlan_tci | SttHeader::kVlanPresent);
      pop_tag(packet, h);
      h = parse_materialising(packet);
    }
    SttHeader header;
    std::memcpy(&header, outer.bytes + outer.size - kFrameHeader, sizeof header);
    header.vlan = vlan;
    if (h.ok() && h.is_ipv4()) header.flags |= SttHeader::kIpv4;
    if (has_checksum(h)) {
      if (h.l4 < 256) header.l4_offset = static_cast<std::uint8_t>(h.l4);
      if (h.ip_proto == wire::kProtoTcp) header.flags |= SttHeader::kTcp;
      if (packet.segment_size != 0 && h.ip_proto == wire::kProtoTcp) {
        header.mss = packet.segment_size;
        header.flags |= SttHeader::kChecksumPartial;
        const std::uint64_t sum =
            outer_pseudo_sum(packet.data() + h.l3, h.is_ipv6(), h.ip_proto, h.l3_end - h.l4);
        wire::store_be(checksum_field(packet, h), fold_sum(sum));
      } else if (wire::load_be<std::uint16_t>(checksum_field(packet, h)) != 0 &&
                 verify_checksums(packet) == ChecksumFault::ok) {
        header.flags |= SttHeader::kChecksumVerified;
      }
    }
    packet.segment_size = 0;
    std::memcpy(packet.push(sizeof header), &header, sizeof header);
    total = packet.size();
  }

  /// The tag of a frame goes into the STT header, where there is no room for DEI.
  static bool tag_moves(const Packet& packet, const OuterTemplate& outer) {
    if (!outer.vlan_in_header || packet.header_size() < kEthernet + 4) return false;
    const std::uint8_t* p = packet.data();
    return wire::load_be<std::uint16_t>(p + 12) == wire::kEtherVlan &&
           (wire::load_be<std::uint16_t>(p + 14) & kDei) == 0;
  }

  /// Bytes that the frame's data will have.
  static std::uint32_t size_of(const Packet& packet, const OuterTemplate& outer) {
    return kFrameHeader + packet.size() - (tag_moves(packet, outer) ? 4 : 0);
  }

  /// Outer headers in front of a segment's data.
  void finish(Packet& segment, const OuterTemplate& outer, std::uint32_t hash,
              std::uint32_t frame_id, std::uint32_t offset) const {
    const std::uint32_t data = segment.size();
    const std::uint32_t size = outer.size - kFrameHeader;
    std::uint8_t* p = segment.push(size);
    std::memcpy(p, outer.bytes, size);
    const std::uint8_t own =
        outer.is6 ? wire::at<wire::Ipv6Header>(outer.bytes + outer.l3).traffic_class()
                  : outer.bytes[outer.l3 + 1];
    const auto tos = static_cast<std::uint8_t>((outer.inherit_dscp ? inner.tos & 0xfc : own) |
                                               (inner.tos & outer.ecn_mask));
    const std::uint8_t ttl = outer.inherit_ttl && inner.version != 0 ? inner.ttl : outer.ttl;
    write_outer_ip(p, outer, tos, ttl, size - outer.l3 + data);
    auto& tcp = wire::at<TcpHeader>(p + outer.l4);
    tcp.src_port = source_port_for(outer, hash);
    tcp.sequence = total << 16 | offset;
    tcp.acknowledgement = frame_id;
    if (offset + data == total) tcp.flags |= TcpHeader::kPsh;
    const std::uint64_t sum =
        outer_pseudo_sum(p + outer.l3, outer.is6, wire::kProtoTcp, kSegmentHeader + data) +
        sum_range(segment, outer.l4, segment.size());
    tcp.checksum = static_cast<std::uint16_t>(~fold_sum(sum));
  }
};

/// The bytes [from, to) of a frame, sharing its payload, into a fresh packet.
void copy_range(const Packet& frame, std::uint32_t from, std::uint32_t to, Packet& out) {
  const std::uint32_t headers = frame.header_size();
  const std::uint32_t n = from < headers ? std::min(to, headers) - from : 0;
  std::memcpy(out.reset_headers(n), frame.data() + from, n);
  if (to > headers) out.payload = frame.payload.slice(from + n - headers, to - from - n);
}

bool read_segment(std::span<const std::uint8_t> headers, const ParsedHeaders& outer,
                  Decap& result) {
  const auto& tcp = wire::at<TcpHeader>(headers.data() + outer.l4);
  SttSegment& s = result.segment;
  result.info.src_port = tcp.src_port;
  s.frame_id = tcp.acknowledgement;
  s.frame_length = tcp.sequence >> 16;
  s.offset = tcp.sequence & 0xffff;
  s.begin = outer.payload;
  s.end = outer.l3_end;
  if (s.end == s.begin) {
    refuse(result, DropReason::malformed, "STT segment without data");
  } else if (s.frame_length < kFrameHeader + kEthernet) {
    refuse(result, DropReason::malformed, "STT frame shorter than its headers");
  } else if (s.offset + (s.end - s.begin) > s.frame_length) {
    refuse(result, DropReason::tunnel_bad, "STT segment reaches beyond its frame");
  } else {
    return true;
  }
  return false;
}

/// The layer-4 checksum; the IPv4 header's own was whole before and stays, right or wrong.
void complete_checksum(Packet& packet, const ParsedHeaders& h) {
  std::uint8_t* kept = packet.data() + h.l3 + 10;
  const auto header = wire::load_be<std::uint16_t>(kept);
  finish_l4_checksum(packet, h.l3);
  if (h.is_ipv4()) wire::store_be(kept, header);
}

bool whole(const SttSegment& s) { return s.offset == 0 && s.end - s.begin == s.frame_length; }

bool read_frame_header(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<SttHeader>(bytes);
  if (header == nullptr) {
    refuse(result, DropReason::malformed, "STT header cut off");
    return false;
  }
  result.info.vni = header->context;
  result.info.has_id = true;
  result.info.partial_checksum = (header->flags & SttHeader::kChecksumPartial) != 0;
  if (header->version != 0) {
    refuse(result, DropReason::tunnel_bad, "unknown STT version");
    return false;
  }
  constexpr std::uint8_t kBoth = SttHeader::kChecksumVerified | SttHeader::kChecksumPartial;
  if ((header->flags & kBoth) == kBoth) {
    refuse(result, DropReason::tunnel_bad, "STT checksum both verified and partial");
    return false;
  }
  return true;
}

}  // namespace

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  auto& tcp = wire::at<TcpHeader>(out);
  tcp.src_port = 0;
  tcp.dst_port = encap.port != 0 ? encap.port : wire::kPortStt;
  tcp.sequence = 0u;
  tcp.acknowledgement = 0u;
  tcp.set_header_length(kSegmentHeader);
  tcp.flags = TcpHeader::kAck;
  tcp.window = 0xffff;
  tcp.checksum = 0;
  tcp.urgent = 0;
  auto& header = wire::at<SttHeader>(out + kSegmentHeader);
  std::memset(&header, 0, sizeof header);
  WEFT_CHECK(!encap.ports || encap.vni <= 0xffffffff, "STT network {}", encap.vni);
  header.context = encap.ports ? context_of(encap.vni, *encap.ports) : encap.vni;
  return kSegmentHeader + kFrameHeader;
}

std::uint32_t segment_data(const OuterTemplate& outer) {
  const std::uint32_t headers = outer.l4 - outer.l3 + kSegmentHeader;
  return outer.mtu > headers ? outer.mtu - headers : 0;
}

bool encap_single(Packet& packet, const OuterTemplate& outer, std::uint32_t hash,
                  std::uint32_t frame_id) {
  const std::uint32_t size = Sender::size_of(packet, outer);
  if (size > segment_data(outer) || size > kFrameHeader + kMaxFrame || packet.size() < kEthernet)
    return false;
  Sender sender;
  sender.prepare(packet, outer);
  sender.finish(packet, outer, hash, frame_id, 0);
  return true;
}

bool encap_frame(Packet& packet, const OuterTemplate& outer, std::uint32_t hash,
                 std::uint32_t frame_id, PacketPool& pool, const std::function<PacketId()>& new_id,
                 std::vector<Packet*>& more) {
  ensure_headers(packet, std::min(packet.size(), kInnerLook));
  const std::uint32_t room = segment_data(outer);
  if (room == 0 || packet.size() < kEthernet ||
      Sender::size_of(packet, outer) > kFrameHeader + kMaxFrame)
    return false;
  Sender sender;
  sender.prepare(packet, outer);
  for (std::uint32_t at = room; at < sender.total; at += room) {
    Packet* segment = pool.take();
    segment->id = new_id();
    segment->parent = packet.id;
    segment->born = packet.born;
    segment->tenant = packet.tenant;
    segment->flow = packet.flow;
    segment->observed = packet.observed;
    copy_range(packet, at, std::min(at + room, sender.total), *segment);
    sender.finish(*segment, outer, hash, frame_id, at);
    more.push_back(segment);
  }
  trim_frame(packet, std::min(room, sender.total));
  sender.finish(packet, outer, hash, frame_id, 0);
  return true;
}

void decap(Packet& packet, const ParsedHeaders& outer, const DecapOptions& options, Decap& result) {
  if (!read_segment(packet.headers(), outer, result)) return;
  const std::uint8_t* p = packet.data();
  const std::uint64_t pseudo =
      outer_pseudo_sum(p + outer.l3, outer.is_ipv6(), wire::kProtoTcp, outer.l3_end - outer.l4);
  if (options.verify_checksum &&
      fold_sum(pseudo + sum_range(packet, outer.l4, outer.l3_end)) != 0xffff) {
    refuse(result, DropReason::bad_checksum, "STT segment's checksum");
    return;
  }
  const SttSegment s = result.segment;
  if (!whole(s)) {
    result.status = Decap::Status::segment;
    return;
  }
  open_frame(packet, s.begin, s.end, options, result);
}

void open_frame(Packet& packet, std::uint32_t begin, std::uint32_t end, const DecapOptions& options,
                Decap& result) {
  ensure_headers(packet, std::min(end, begin + kFrameHeader));
  const std::uint32_t there = std::min(end, packet.header_size());
  if (!read_frame_header(packet.headers().subspan(begin, there - begin), result)) return;
  const SttHeader header = wire::at<SttHeader>(packet.data() + begin);
  const std::uint32_t frame = begin + kFrameHeader;
  const bool partial = result.info.partial_checksum;
  if (partial) {
    // Asked before anything changes: a checksum is completed only where there is one.
    ParsedHeaders h;
    for (;;) {
      const std::uint32_t n = std::min(end, packet.header_size());
      h = parse_bytes(packet.headers().first(n), end, frame);
      if (h.error != ParseError::needs_payload || n == end) break;
      ensure_headers(packet, std::min(end, n + 128));
    }
    if (!has_checksum(h)) {
      refuse(result, DropReason::tunnel_bad, "STT partial checksum of what has none");
      return;
    }
  }
  finish_decap(packet, frame, end, options, result);
  if (!result.ok()) return;
  if (partial) {
    const ParsedHeaders h = parse_headers(packet);
    complete_checksum(packet, h);
    const bool tcp = h.ip_proto == wire::kProtoTcp;
    if (tcp && header.mss != 0 && h.payload_size() > header.mss) packet.segment_size = header.mss;
  }
  const std::uint16_t vlan = header.vlan;
  if ((vlan & SttHeader::kVlanPresent) != 0)
    push_tag(packet, static_cast<std::uint16_t>(vlan & ~SttHeader::kVlanPresent));
}

std::uint32_t decode_whole(std::span<const std::uint8_t> headers, const ParsedHeaders& outer,
                           Decap& result) {
  if (!read_segment(headers, outer, result)) return 0;
  if (!whole(result.segment)) {
    // The first segment's header is worth reading in a text; its frame is not whole.
    if (result.segment.offset == 0) read_frame_header(headers.subspan(outer.payload), result);
    if (!result.dropped()) result.status = Decap::Status::segment;
    return 0;
  }
  return read_frame_header(headers.subspan(outer.payload), result) ? kFrameHeader : 0;
}

}  // namespace weft::datapath::stt
