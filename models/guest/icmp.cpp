// ICMP (RFC 792, 1122) and ICMPv6 (RFC 4443) of a host; path MTU (RFC 1191, 8201).
#include <algorithm>
#include <cstring>

#include "models/guest/netstack_impl.h"

namespace weft::models {
namespace {

constexpr Duration kPathMtuLifetime = seconds(600);

}  // namespace

std::uint32_t NetstackImpl::path_mtu(const IpAddress& destination) const {
  const auto it = path_mtus.find(destination);
  if (it == path_mtus.end() || it->second.expires <= now()) return config.mtu;
  return std::min(config.mtu, it->second.mtu);
}

void NetstackImpl::send_echo(const IpAddress& to, std::uint16_t id, std::uint16_t sequence,
                             Payload payload, std::uint32_t flow, std::uint32_t pair) {
  Packet* p = station().create();
  p->flow = flow;
  p->pair = pair;
  p->payload = std::move(payload);
  const IpAddress src = source_for(to);
  const std::uint8_t protocol = to.is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
  auto& h = wire::at<wire::IcmpHeader>(begin_ip(p, src, to, protocol, 8));
  h.type = to.is6 ? wire::kIcmpv6EchoRequest : wire::kIcmpEchoRequest;
  h.code = 0;
  h.checksum = 0;
  h.identifier() = id;
  h.sequence() = sequence;
  const std::uint32_t l3_size = p->size() - 14;
  if (src.is_zero()) return drop(p, DropReason::no_route);
  if (l3_size > path_mtu(to)) return drop(p, DropReason::too_big);
  h.checksum = to.is6 ? l4_checksum(*p, src, to, protocol)
                      : static_cast<std::uint16_t>(~sum_range(*p, 34, p->size()));
  send_ip(p, to);
}

void NetstackImpl::reply_echo(Packet* p, const IpView& ip) {
  ++stats.echo_replies;
  const auto& request = wire::at<wire::IcmpHeader>(p->data() + ip.l4);
  Packet* reply = station().create();
  reply->flow = p->flow;
  reply->pair = p->pair;
  const std::uint32_t data = ip.l4 + 8;
  if (p->header_size() > data) {  // echo data that somebody has looked at
    std::vector<std::uint8_t> frame;
    p->copy_frame(frame);
    reply->payload = Payload::copy_of(std::span<const std::uint8_t>(frame).subspan(data));
  } else {
    reply->payload = p->payload;
  }
  const std::uint8_t protocol = ip.src.is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
  auto& h = wire::at<wire::IcmpHeader>(begin_ip(reply, ip.dst, ip.src, protocol, 8));
  h.type = ip.src.is6 ? wire::kIcmpv6EchoReply : wire::kIcmpEchoReply;
  h.code = 0;
  h.checksum = 0;
  h.word_high = request.word_high;
  h.word_low = request.word_low;
  h.checksum = ip.src.is6 ? l4_checksum(*reply, ip.dst, ip.src, protocol)
                          : static_cast<std::uint16_t>(~sum_range(*reply, 34, reply->size()));
  send_ip(reply, ip.src);
  station().deliver(p);
}

void NetstackImpl::receive_icmp(Packet* p, const IpView& ip) {
  const auto h = wire::at<wire::IcmpHeader>(p->data() + ip.l4);
  const std::uint8_t type = h.type;
  const bool six = ip.src.is6;
  if (six && (type == wire::kNdNeighbourSolicitation || type == wire::kNdNeighbourAdvertisement))
    return receive_nd(p, ip, type);
  if (!owns(ip.dst)) return drop(p, DropReason::guest_unwanted);
  if (type == (six ? wire::kIcmpv6EchoRequest : wire::kIcmpEchoRequest)) return reply_echo(p, ip);
  if (type == (six ? wire::kIcmpv6EchoReply : wire::kIcmpEchoReply)) {
    EchoReceiver* receiver = find_port(echo_receivers, h.identifier());
    if (receiver == nullptr) return drop(p, DropReason::no_listener);
    receiver->on_echo_reply(ip.src, h.sequence(), p->payload);
    return station().deliver(p);
  }
  IcmpNotice notice;
  notice.from = ip.src;
  using Kind = IcmpNotice::Kind;
  if (six && type == wire::kIcmpv6TooBig) {
    notice.kind = Kind::too_big;
    notice.mtu = h.mtu6();
  } else if (six && type == wire::kIcmpv6Unreachable) {
    notice.kind = h.code == 4 ? Kind::port_unreachable : Kind::unreachable;
  } else if (six && type == wire::kIcmpv6TimeExceeded) {
    notice.kind = Kind::ttl_exceeded;
  } else if (!six && type == wire::kIcmpUnreachable) {
    notice.kind = h.code == wire::kIcmpPortUnreachable       ? Kind::port_unreachable
                  : h.code == wire::kIcmpFragmentationNeeded ? Kind::too_big
                                                             : Kind::unreachable;
    notice.mtu = h.word_low;
  } else if (!six && type == wire::kIcmpTimeExceeded) {
    notice.kind = Kind::ttl_exceeded;
  } else {
    return drop(p, DropReason::guest_unwanted);
  }
  receive_icmp_error(p, ip, notice);
}

void NetstackImpl::receive_icmp_error(Packet* p, const IpView& ip, IcmpNotice notice) {
  // The quoted packet: its IP header and at least eight bytes more.
  const std::uint32_t inner = ip.l4 + 8;
  const std::uint32_t end = std::min<std::uint32_t>(p->size(), inner + 60 + 8);
  if (p->header_size() < end) p->materialise_payload(end - p->header_size());
  const std::span<const std::uint8_t> bytes{p->data() + inner, end - inner};
  std::uint32_t l4 = 0;
  IpAddress source;
  if (ip.src.is6) {
    const auto* h = wire::view<wire::Ipv6Header>(bytes);
    if (h == nullptr) return drop(p, DropReason::malformed);
    source = h->src.get();
    notice.destination = h->dst.get();
    notice.protocol = h->next_header;
    l4 = 40;
  } else {
    const auto* h = wire::view<wire::Ipv4Header>(bytes);
    if (h == nullptr || h->header_length() < 20) return drop(p, DropReason::malformed);
    source = h->src.get();
    notice.destination = h->dst.get();
    notice.protocol = h->protocol;
    l4 = h->header_length();
  }
  if (bytes.size() < l4 + 8) return drop(p, DropReason::malformed);
  if (!owns(source)) return drop(p, DropReason::guest_unwanted);
  ++stats.icmp_errors_received;
  const std::uint8_t* quoted = bytes.data() + l4;
  const bool echo = notice.protocol == wire::kProtoIcmp || notice.protocol == wire::kProtoIcmpv6;
  notice.src_port = wire::load_be<std::uint16_t>(quoted + (echo ? 4 : 0));
  notice.dst_port = wire::load_be<std::uint16_t>(quoted + (echo ? 6 : 2));
  if (notice.kind == IcmpNotice::Kind::too_big) {
    const std::uint32_t least = ip.src.is6 ? 1280 : 552;  // RFC 8201; what Linux takes for IPv4
    notice.mtu = std::max(notice.mtu, least);
    if (notice.mtu < path_mtu(notice.destination))
      path_mtus[notice.destination] = {notice.mtu, now() + kPathMtuLifetime};
  }
  station().consume(p);
  if (notice.protocol == wire::kProtoTcp) {
    tcp_notice(notice);
  } else if (notice.protocol == wire::kProtoUdp) {
    if (UdpReceiver* r = find_port(udp_receivers, notice.src_port)) r->on_icmp(notice);
  } else if (echo) {
    if (EchoReceiver* r = find_port(echo_receivers, notice.src_port)) r->on_icmp(notice);
  }
}

void NetstackImpl::send_port_unreachable(const Packet& about, const IpView& ip) {
  // As Linux: a thousand a second, fifty at once.
  const auto grown = static_cast<std::uint64_t>((now() - icmp_refilled) / milliseconds(1));
  if (grown > 0) {
    icmp_tokens = std::min<std::uint64_t>(50, icmp_tokens + grown);
    icmp_refilled += milliseconds(static_cast<std::int64_t>(grown));
  }
  if (icmp_tokens == 0) return;
  --icmp_tokens;
  ++stats.icmp_errors_sent;
  const bool six = ip.src.is6;
  const std::uint32_t outer = six ? 48 : 28;
  const std::uint32_t limit = (six ? 1280u : 576u) - outer;  // of what is quoted
  // Header bytes are quoted as bytes, what is a descriptor stays one.
  const std::uint32_t head = std::min({about.header_size() - 14, limit, 60u});
  const std::uint32_t rest = std::min(about.payload.size(), limit - head);
  const bool whole_head = head == about.header_size() - 14;
  Packet* p = station().create();
  p->flow = about.flow;
  p->pair = kNoPair;  // it carries nothing of the traffic any more
  if (whole_head) p->payload = about.payload.slice(0, rest);
  const std::uint8_t protocol = six ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
  std::uint8_t* l4 = begin_ip(p, ip.dst, ip.src, protocol, 8 + head);
  std::memset(l4, 0, 8);
  auto& h = wire::at<wire::IcmpHeader>(l4);
  h.type = six ? wire::kIcmpv6Unreachable : wire::kIcmpUnreachable;
  h.code = six ? 4 : wire::kIcmpPortUnreachable;
  std::memcpy(l4 + 8, about.data() + 14, head);
  h.checksum = six ? l4_checksum(*p, ip.dst, ip.src, protocol)
                   : static_cast<std::uint16_t>(~sum_range(*p, 34, p->size()));
  send_ip(p, ip.src);
}

}  // namespace weft::models
