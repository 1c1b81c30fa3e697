// UDP (RFC 768) of a host.
#include "models/guest/netstack_impl.h"

namespace weft::models {

void NetstackImpl::send_udp(const IpAddress& to, std::uint16_t src_port, std::uint16_t dst_port,
                            Payload payload, std::uint32_t flow, std::uint32_t pair) {
  Packet* p = station().create();
  p->flow = flow;
  p->pair = pair;
  p->payload = std::move(payload);
  const IpAddress src = source_for(to);
  if (src.is_zero()) return drop(p, DropReason::no_route);
  const std::uint32_t l4_size = 8 + p->payload.size();
  if (l4_size + (to.is6 ? 40 : 20) > path_mtu(to)) return drop(p, DropReason::too_big);
  auto& h = wire::at<wire::UdpHeader>(begin_ip(p, src, to, wire::kProtoUdp, 8));
  h.src_port = src_port;
  h.dst_port = dst_port;
  h.length = static_cast<std::uint16_t>(l4_size);
  h.checksum = 0;
  const std::uint16_t checksum = l4_checksum(*p, src, to, wire::kProtoUdp);
  h.checksum = checksum == 0 ? std::uint16_t{0xffff} : checksum;
  send_ip(p, to);
}

void NetstackImpl::send_first_fragment(const IpAddress& to, std::uint16_t dst_port, Payload payload,
                                       std::uint32_t flow, std::uint32_t pair) {
  Packet* p = station().create();
  p->flow = flow;
  p->pair = pair;
  p->payload = std::move(payload);
  const IpAddress src = source_for(to);
  if (src.is_zero() || to.is6) return drop(p, DropReason::no_route);
  std::uint8_t* l4 = begin_ip(p, src, to, wire::kProtoUdp, 8);
  auto& h = wire::at<wire::UdpHeader>(l4);
  h.src_port = dst_port;
  h.dst_port = dst_port;
  h.length = 60000;  // of the whole
  h.checksum = 0;
  auto& ip = wire::at<wire::Ipv4Header>(p->data() + 14);
  ip.flags_fragment = wire::Ipv4Header::kMoreFragments;
  ip.checksum = 0;
  ip.checksum = checksum_of({p->data() + 14, 20});
  send_ip(p, to);
}

void NetstackImpl::receive_udp(Packet* p, const IpView& ip) {
  const auto& h = wire::at<wire::UdpHeader>(p->data() + ip.l4);
  const std::uint32_t length = h.length;
  if (length < 8 || length > ip.l4_size) return drop(p, DropReason::malformed);
  if (ip.src.is6 && h.checksum == 0) return drop(p, DropReason::bad_checksum);
  UdpReceiver* receiver = owns(ip.dst) ? find_port(udp_receivers, h.dst_port) : nullptr;
  if (receiver == nullptr) {
    if (owns(ip.dst)) send_port_unreachable(*p, ip);
    return drop(p, DropReason::no_listener);
  }
  Datagram d;
  d.src = ip.src;
  d.dst = ip.dst;
  d.src_port = h.src_port;
  d.dst_port = h.dst_port;
  d.born = p->born;
  d.flow = p->flow;
  if (p->header_size() > ip.l4 + 8) {  // some of the data lies in the header area
    std::vector<std::uint8_t> frame;
    p->copy_frame(frame);
    const Payload data =
        Payload::copy_of(std::span<const std::uint8_t>(frame).subspan(ip.l4 + 8, length - 8));
    d.payload = &data;
    receiver->on_datagram(d);
  } else {
    d.payload = &p->payload;
    receiver->on_datagram(d);
  }
  station().deliver(p);
}

}  // namespace weft::models
