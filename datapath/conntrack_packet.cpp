#include "datapath/conntrack_packet.h"

#include <algorithm>

#include "datapath/conntrack.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

Ip6 widen(Ip4 a) { return {0, a.value}; }

bool is_icmp(std::uint8_t protocol) {
  return protocol == wire::kProtoIcmp || protocol == wire::kProtoIcmpv6;
}

bool is_error_type(std::uint8_t type, bool is6) {
  if (is6) return type >= wire::kIcmpv6Unreachable && type <= wire::kIcmpv6ParameterProblem;
  return type == wire::kIcmpUnreachable || type == wire::kIcmpRedirect ||
         type == wire::kIcmpTimeExceeded || type == wire::kIcmpParameterProblem;
}

// Ports or echo identifier of the transport header at `p`, of which `n` bytes are there. False if
// the packet belongs to no connection.
bool fill_ports(CtTuple& tuple, const std::uint8_t* p, std::size_t n) {
  if (is_icmp(tuple.protocol)) {
    if (n < sizeof(wire::IcmpHeader)) return false;
    const auto& icmp = wire::at<wire::IcmpHeader>(p);
    const bool request =
        icmp.type == (tuple.is6 ? wire::kIcmpv6EchoRequest : wire::kIcmpEchoRequest);
    const bool answer = icmp.type == (tuple.is6 ? wire::kIcmpv6EchoReply : wire::kIcmpEchoReply);
    if (!request && !answer) return false;
    tuple.src_port = tuple.dst_port = icmp.identifier();
    tuple.echo = request ? 1 : 2;
    return true;
  }
  if (tuple.protocol == wire::kProtoTcp || tuple.protocol == wire::kProtoUdp) {
    if (n < 4) return false;
    tuple.src_port = wire::load_be<std::uint16_t>(p);
    tuple.dst_port = wire::load_be<std::uint16_t>(p + 2);
  }
  return true;
}

// The tuple of a packet quoted by an ICMP error. It is cut off, so its lengths mean nothing.
bool quoted_tuple(std::span<const std::uint8_t> bytes, bool is6, CtTuple& tuple) {
  const auto transport = quoted_transport(bytes, is6);
  if (!transport) return false;
  tuple.is6 = is6;
  if (is6) {
    const auto& ip = wire::at<wire::Ipv6Header>(bytes.data());
    tuple.src = ip.src;
    tuple.dst = ip.dst;
  } else {
    const auto& ip = wire::at<wire::Ipv4Header>(bytes.data());
    tuple.src = widen(ip.src);
    tuple.dst = widen(ip.dst);
  }
  tuple.protocol = transport->protocol;
  return fill_ports(tuple, bytes.data() + transport->offset, bytes.size() - transport->offset);
}

CtPacket icmp_error_packet(const Packet& packet, const ParsedHeaders& parsed) {
  // The quoted packet may lie in the payload.
  std::uint8_t quoted[kQuotedBytes];
  const std::uint32_t n = std::min(kQuotedBytes, parsed.l3_end - parsed.payload);
  const std::uint32_t in_headers = std::min(n, packet.header_size() - parsed.payload);
  std::copy_n(packet.data() + parsed.payload, in_headers, quoted);
  packet.payload.materialise(0, {quoted + in_headers, n - in_headers});
  CtPacket out;
  if (quoted_tuple({quoted, n}, parsed.is_ipv6(), out.tuple)) out.kind = CtPacket::Kind::icmp_error;
  return out;
}

/// The options that tracking looks at.
void read_options(std::span<const std::uint8_t> bytes, TcpSegment& segment) {
  // Nearly always there is nothing but a timestamp.
  if (bytes.size() == 12 && wire::load_be<std::uint32_t>(bytes.data()) == 0x0101080a) return;
  wire::TcpOptions options;
  wire::parse_tcp_options(bytes, options);
  segment.sack_permitted = options.sack_permitted;
  if (options.window_scale) segment.window_scale = *options.window_scale;
  for (unsigned i = 0; i < options.sack_blocks; ++i) {
    const std::uint32_t edge = options.sack[i].right;
    if (static_cast<std::int32_t>(edge - segment.sack) > 0) segment.sack = edge;
  }
}

void read_tcp(const Packet& packet, const ParsedHeaders& parsed, TcpSegment& segment) {
  const std::uint8_t* p = packet.data() + parsed.l4;
  const auto& tcp = wire::at<wire::TcpHeader>(p);
  segment.flags = parsed.tcp_flags;
  segment.sequence = tcp.sequence;
  segment.acknowledgement = segment.sack = tcp.acknowledgement;
  segment.window = tcp.window;
  segment.length = parsed.payload_size();
  const std::uint32_t header = parsed.payload - parsed.l4;
  if (header > sizeof tcp) read_options({p + sizeof tcp, header - sizeof tcp}, segment);
}

}  // namespace

std::optional<QuotedTransport> quoted_transport(std::span<const std::uint8_t> bytes, bool is6) {
  if (!is6) {
    const auto* ip = wire::view<wire::Ipv4Header>(bytes);
    if (ip == nullptr || ip->version() != 4 || ip->header_length() < sizeof *ip ||
        ip->header_length() > bytes.size() || ip->is_later_fragment())
      return std::nullopt;
    return QuotedTransport{ip->header_length(), ip->protocol};
  }
  const auto* ip = wire::view<wire::Ipv6Header>(bytes);
  if (ip == nullptr || ip->version() != 6) return std::nullopt;
  QuotedTransport out{sizeof *ip, ip->next_header};
  for (;;) {
    switch (out.protocol) {
      case wire::kProtoHopByHop:
      case wire::kProtoRouting:
      case wire::kProtoDestinationOptions: {
        const auto* e = wire::view<wire::Ipv6ExtensionHeader>(bytes, out.offset);
        if (e == nullptr || e->bytes() > bytes.size() - out.offset) return std::nullopt;
        out.protocol = e->next_header;
        out.offset += e->bytes();
        break;
      }
      case wire::kProtoFragment: {
        const auto* f = wire::view<wire::Ipv6FragmentHeader>(bytes, out.offset);
        if (f == nullptr || f->offset_bytes() != 0) return std::nullopt;
        out.protocol = f->next_header;
        out.offset += sizeof *f;
        break;
      }
      default:
        return out;
    }
  }
}

CtPacket ct_packet(const Packet& packet, const ParsedHeaders& parsed) {
  CtPacket out;
  if (!parsed.ok() || parsed.ip_version == 0 || parsed.fragment == Fragment::later) return out;
  const std::uint8_t* p = packet.data();
  CtTuple& tuple = out.tuple;
  tuple.protocol = parsed.ip_proto;
  tuple.is6 = parsed.is_ipv6();
  if (tuple.is6) {
    const auto& ip = wire::at<wire::Ipv6Header>(p + parsed.l3);
    tuple.src = ip.src;
    tuple.dst = ip.dst;
  } else {
    const auto& ip = wire::at<wire::Ipv4Header>(p + parsed.l3);
    tuple.src = widen(ip.src);
    tuple.dst = widen(ip.dst);
  }
  if (parsed.l4 == 0) {
    // No transport header that we know: a connection of addresses and protocol. ICMP of the other
    // family, which no stack would take, is none.
    if (!is_icmp(tuple.protocol)) out.kind = CtPacket::Kind::flow;
    return out;
  }
  if (is_icmp(tuple.protocol) && is_error_type(p[parsed.l4], tuple.is6)) {
    return icmp_error_packet(packet, parsed);
  }
  if (fill_ports(tuple, p + parsed.l4, parsed.payload - parsed.l4)) {
    out.kind = CtPacket::Kind::flow;
    if (tuple.protocol == wire::kProtoTcp) read_tcp(packet, parsed, out.tcp);
  }
  return out;
}

}  // namespace weft::datapath
