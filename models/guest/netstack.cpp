#include "models/guest/netstack.h"

#include "models/guest/netstack_impl.h"

namespace weft::models {
namespace {

bool in_prefix(const IpAddress& address, const InterfaceAddress& own) {
  if (address.is6 != own.address.is6) return false;
  const Ip6 x{address.bits.high ^ own.address.bits.high, address.bits.low ^ own.address.bits.low};
  if (!address.is6)
    return own.length == 0 || (static_cast<std::uint32_t>(x.low) >> (32 - own.length)) == 0;
  if (own.length <= 0) return true;
  if (own.length <= 64) return x.high >> (64 - own.length) == 0;
  return x.high == 0 && x.low >> (128 - own.length) == 0;
}

bool is_link_local(const IpAddress& a) { return a.is6 && a.bits.high >> 54 == 0xfe80 >> 6; }

Ip6 link_local_of(Mac mac) {
  const auto& b = mac.bytes;
  const std::uint64_t low =
      static_cast<std::uint64_t>(b[0] ^ 2) << 56 | static_cast<std::uint64_t>(b[1]) << 48 |
      static_cast<std::uint64_t>(b[2]) << 40 | 0xfffe000000ULL |
      static_cast<std::uint64_t>(b[3]) << 16 | static_cast<std::uint64_t>(b[4]) << 8 | b[5];
  return {0xfe80ULL << 48, low};
}

/// At least `bytes` of the frame as bytes; false if the frame is shorter.
bool as_bytes(Packet* p, std::uint32_t bytes) {
  if (p->header_size() >= bytes) return true;
  if (p->size() < bytes) return false;
  p->materialise_payload(bytes - p->header_size());
  return true;
}

/// Cuts Ethernet padding off.
void trim(Packet* p, std::uint32_t size) {
  if (p->size() == size) return;
  if (size >= p->header_size()) {
    p->payload = p->payload.slice(0, size - p->header_size());
  } else {
    p->payload.reset();
    p->resize_headers(size);
  }
}

}  // namespace

NetstackImpl::NetstackImpl(NetConfig c) : config(std::move(c)) {
  for (const InterfaceAddress& a : config.addresses)
    if (a.address.is6) link_local = link_local_of(config.mac);
  neighbour_timer = timers.add(this, 0);
}

// What still waits for a neighbour is in flight when a run ends: it belongs to the packets' arena,
// and the station may be gone already.
NetstackImpl::~NetstackImpl() = default;

void NetstackImpl::on_timer(std::uint64_t argument) {
  if (argument == 0)
    neighbours_due();
  else
    connection_due(*connections[argument - 1]);
}

bool NetstackImpl::owns(const IpAddress& a) const {
  for (const InterfaceAddress& own : config.addresses)
    if (own.address == a) return true;
  return a.is6 && a == link_local;
}

IpAddress NetstackImpl::source_for(const IpAddress& destination) const {
  if (is_link_local(destination)) return link_local;
  const InterfaceAddress* any = nullptr;
  for (const InterfaceAddress& own : config.addresses) {
    if (own.address.is6 != destination.is6) continue;
    if (in_prefix(destination, own)) return own.address;
    if (any == nullptr) any = &own;
  }
  if (any != nullptr) return any->address;
  return destination.is6 ? IpAddress(Ip6{}) : IpAddress(Ip4{});
}

std::optional<IpAddress> NetstackImpl::next_hop(const IpAddress& destination) const {
  if (is_link_local(destination)) return destination;
  for (const InterfaceAddress& own : config.addresses)
    if (in_prefix(destination, own)) return destination;
  const IpAddress& gateway = destination.is6 ? config.gateway6 : config.gateway4;
  if (gateway.is_zero()) return std::nullopt;
  return gateway;
}

void NetstackImpl::transmit(Packet* p, Mac destination, std::uint16_t ether_type) {
  auto& ethernet = wire::at<wire::EthernetHeader>(p->data());
  ethernet.dst = destination;
  ethernet.src = config.mac;
  ethernet.type = ether_type;
  ++stats.frames_out;
  station().transmit(p);
}

std::uint8_t* NetstackImpl::begin_ip(Packet* p, const IpAddress& src, const IpAddress& dst,
                                     std::uint8_t protocol, std::uint32_t l4_header,
                                     std::uint8_t ttl, std::uint8_t tos) {
  const std::uint32_t l3_header = src.is6 ? 40 : 20;
  std::uint8_t* frame = p->reset_headers(14 + l3_header + l4_header);
  // transmit() sets the destination; until then (it may wait for a neighbour, and be dropped) the
  // header holds nothing of the buffer's last packet: digests are made of these bytes.
  auto& ethernet = wire::at<wire::EthernetHeader>(frame);
  ethernet.dst = Mac{};
  ethernet.src = config.mac;
  ethernet.type = src.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
  const std::uint32_t l4_size = l4_header + p->payload.size();
  if (src.is6) {
    auto& ip = wire::at<wire::Ipv6Header>(frame + 14);
    ip.set_first_word(tos, 0);
    ip.payload_length = static_cast<std::uint16_t>(l4_size);
    ip.next_header = protocol;
    ip.hop_limit = ttl;
    ip.src = src.v6();
    ip.dst = dst.v6();
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(frame + 14);
    ip.version_ihl = 0x45;
    ip.tos = tos;
    ip.total_length = static_cast<std::uint16_t>(20 + l4_size);
    ip.identification = ++ip_id;
    ip.flags_fragment = wire::Ipv4Header::kDontFragment;
    ip.ttl = ttl;
    ip.protocol = protocol;
    ip.checksum = 0;
    ip.src = src.v4();
    ip.dst = dst.v4();
    ip.checksum = checksum_of({frame + 14, 20});
  }
  return frame + 14 + l3_header;
}

std::uint16_t NetstackImpl::l4_checksum(const Packet& p, const IpAddress& src, const IpAddress& dst,
                                        std::uint8_t protocol) const {
  const std::uint32_t l4 = src.is6 ? 54 : 34;
  const std::uint32_t size = p.size() - l4;
  const std::uint64_t pseudo = src.is6 ? pseudo_header_sum(src.v6(), dst.v6(), protocol, size)
                                       : pseudo_header_sum(src.v4(), dst.v4(), protocol, size);
  return static_cast<std::uint16_t>(~fold_sum(pseudo + sum_range(p, l4, p.size())));
}

void NetstackImpl::send_ip(Packet* p, const IpAddress& destination) {
  const std::optional<IpAddress> hop = next_hop(destination);
  if (!hop) {
    drop(p, DropReason::no_route);
    return;
  }
  if (const Mac* mac = resolve(*hop)) {
    transmit(p, *mac, destination.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4);
    return;
  }
  Neighbour& n = *find_neighbour(*hop);
  if (n.pending.size() >= config.neighbours.pending) {
    Packet* oldest = n.pending.front();
    n.pending.erase(n.pending.begin());
    drop(oldest, DropReason::no_neighbour);
  }
  n.pending.push_back(p);
}

bool NetstackImpl::receive_ip4(Packet* p, IpView& ip) {
  const auto fail = [&](DropReason reason) {
    drop(p, reason);
    return false;
  };
  if (!as_bytes(p, 34)) return fail(DropReason::malformed);
  const unsigned ihl = wire::at<wire::Ipv4Header>(p->data() + 14).header_length();
  if (ihl < 20 || !as_bytes(p, 14 + ihl)) return fail(DropReason::malformed);
  const auto& h = wire::at<wire::Ipv4Header>(p->data() + 14);
  const std::uint32_t total = h.total_length;
  if (h.version() != 4 || total < ihl || 14 + total > p->size()) return fail(DropReason::malformed);
  if (fold_sum(sum_bytes({p->data() + 14, ihl})) != 0xffff) return fail(DropReason::bad_checksum);
  ip.src = h.src.get();
  ip.dst = h.dst.get();
  ip.protocol = h.protocol;
  ip.tos = h.tos;
  ip.ttl = h.ttl;
  ip.l4 = 14 + ihl;
  ip.l4_size = total - ihl;
  if (!owns(ip.dst) || h.is_fragment()) return fail(DropReason::guest_unwanted);
  trim(p, 14 + total);
  return true;
}

bool NetstackImpl::receive_ip6(Packet* p, IpView& ip) {
  const auto fail = [&](DropReason reason) {
    drop(p, reason);
    return false;
  };
  if (!as_bytes(p, 54)) return fail(DropReason::malformed);
  const auto& h = wire::at<wire::Ipv6Header>(p->data() + 14);
  const std::uint32_t size = h.payload_length;
  if (h.version() != 6 || 54 + size > p->size()) return fail(DropReason::malformed);
  ip.src = h.src.get();
  ip.dst = h.dst.get();
  ip.protocol = h.next_header;
  ip.tos = h.traffic_class();
  ip.ttl = h.hop_limit;
  ip.l4 = 54;
  ip.l4_size = size;
  const bool multicast = ip.dst.bits.high >> 56 == 0xff;  // the MAC filter has let only ours pass
  if (!multicast && !owns(ip.dst)) return fail(DropReason::guest_unwanted);
  trim(p, 54 + size);
  return true;
}

void NetstackImpl::receive(Packet* p) {
  ++stats.frames_in;
  if (p->corrupted != 0) return drop(p, DropReason::bad_fcs);
  if (!as_bytes(p, 14)) return drop(p, DropReason::malformed);
  const auto& ethernet = wire::at<wire::EthernetHeader>(p->data());
  const std::uint16_t type = ethernet.type;
  const Mac dst = ethernet.dst;
  if (dst != config.mac && !dst.is_broadcast()) {
    bool mine = dst == Mac{{0x33, 0x33, 0, 0, 0, 1}};
    if (!mine && dst.bytes[0] == 0x33 && dst.bytes[1] == 0x33 && dst.bytes[2] == 0xff) {
      const auto group = static_cast<std::uint32_t>(dst.to_u64()) & 0xffffff;
      mine = link_local.is6 && (link_local.bits.low & 0xffffff) == group;
      for (const InterfaceAddress& own : config.addresses)
        mine = mine || (own.address.is6 && (own.address.bits.low & 0xffffff) == group);
    }
    if (!mine) return drop(p, DropReason::not_for_me);
  }
  if (type == wire::kEtherArp) return receive_arp(p);
  IpView ip;
  if (type == wire::kEtherIpv4) {
    if (!receive_ip4(p, ip)) return;
  } else if (type == wire::kEtherIpv6) {
    if (!receive_ip6(p, ip)) return;
  } else {
    return drop(p, DropReason::guest_unwanted);
  }
  const std::uint8_t icmp = ip.src.is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
  const std::uint32_t least = ip.protocol == wire::kProtoTcp ? 20u : 8u;
  if (ip.protocol != wire::kProtoTcp && ip.protocol != wire::kProtoUdp && ip.protocol != icmp)
    return drop(p, DropReason::guest_unwanted);
  if (ip.l4_size < least) return drop(p, DropReason::malformed);
  as_bytes(p, ip.l4 + least);
  const bool no_checksum = ip.protocol == wire::kProtoUdp && !ip.src.is6 &&
                           wire::at<wire::UdpHeader>(p->data() + ip.l4).checksum == 0;
  if (!no_checksum) {
    std::uint64_t sum = sum_range(*p, ip.l4, p->size());
    if (ip.src.is6)
      sum += pseudo_header_sum(ip.src.v6(), ip.dst.v6(), ip.protocol, ip.l4_size);
    else if (ip.protocol != wire::kProtoIcmp)
      sum += pseudo_header_sum(ip.src.v4(), ip.dst.v4(), ip.protocol, ip.l4_size);
    if (fold_sum(sum) != 0xffff) return drop(p, DropReason::bad_checksum);
  }
  if (ip.protocol == wire::kProtoTcp) return receive_tcp(p, ip);
  if (ip.protocol == wire::kProtoUdp) return receive_udp(p, ip);
  receive_icmp(p, ip);
}

// --- the public face -----------------------------------------------------------------------------

Netstack::Netstack(NetConfig config) : impl_(std::make_unique<NetstackImpl>(std::move(config))) {}
Netstack::~Netstack() = default;
const NetConfig& Netstack::config() const { return impl_->config; }
GuestTimers& Netstack::timers() { return impl_->timers; }
const NetstackStats& Netstack::stats() const { return impl_->stats; }

void Netstack::attach(Station& station) {
  if (!impl_->ran) {
    impl_->random = station.stream("guest/" + impl_->config.name + "/stack");
    impl_->ran = true;
  }
  impl_->timers.attach(station);
}

void Netstack::detach() {
  impl_->drop_pending();
  impl_->timers.detach();
}

void Netstack::receive(Packet* packet) { impl_->receive(packet); }
void Netstack::warm(sim::WarmLines& lines) const {
  const NetstackImpl& s = *impl_;
  lines.add(&s, sizeof s);
  lines.add(s.config.addresses.data(), s.config.addresses.size() * sizeof(InterfaceAddress));
  sim::WarmLines::add(lines.arrival, s.udp_receivers.data(), sizeof s.udp_receivers[0]);
  sim::WarmLines::add(lines.timer, s.neighbours.data(), s.neighbours.size() * sizeof(Neighbour));
  s.timers.warm(lines);
}
void Netstack::announce() { impl_->announce(); }
IpAddress Netstack::source_for(const IpAddress& d) const { return impl_->source_for(d); }
bool Netstack::owns(const IpAddress& a) const { return impl_->owns(a); }
void Netstack::send_ip(Packet* packet, const IpAddress& d) { impl_->send_ip(packet, d); }
std::uint32_t Netstack::path_mtu(const IpAddress& d) const { return impl_->path_mtu(d); }

void Netstack::add_static_neighbour(const IpAddress& address, Mac mac) {
  Neighbour& n = impl_->make_neighbour(address);
  n.mac = mac;
  n.state = Neighbour::State::permanent;
  n.next = Time::never();
  ++impl_->neighbour_epoch;
}

void Netstack::bind_echo(std::uint16_t identifier, EchoReceiver* receiver) {
  set_port(impl_->echo_receivers, identifier, receiver);
}
void Netstack::send_echo(const IpAddress& to, std::uint16_t identifier, std::uint16_t sequence,
                         Payload payload, std::uint32_t flow, std::uint32_t pair) {
  impl_->send_echo(to, identifier, sequence, std::move(payload), flow, pair);
}
void Netstack::bind_udp(std::uint16_t port, UdpReceiver* receiver) {
  set_port(impl_->udp_receivers, port, receiver);
}
void Netstack::unbind_udp(std::uint16_t port) {
  set_port<UdpReceiver>(impl_->udp_receivers, port, nullptr);
}
void Netstack::send_udp(const IpAddress& to, std::uint16_t src_port, std::uint16_t dst_port,
                        Payload payload, std::uint32_t flow, std::uint32_t pair) {
  impl_->send_udp(to, src_port, dst_port, std::move(payload), flow, pair);
}
void Netstack::send_first_fragment(const IpAddress& to, std::uint16_t dst_port, Payload payload,
                                   std::uint32_t flow, std::uint32_t pair) {
  impl_->send_first_fragment(to, dst_port, std::move(payload), flow, pair);
}
std::uint16_t Netstack::ephemeral_udp_port() {
  for (int tries = 0; tries < 28232; ++tries) {
    const std::uint16_t port = impl_->next_udp_port;
    impl_->next_udp_port = port == 60999 ? 32768 : static_cast<std::uint16_t>(port + 1);
    if (find_port(impl_->udp_receivers, port) == nullptr) return port;
  }
  return 0;
}
void Netstack::listen(std::uint16_t port, TcpAcceptor* acceptor) {
  set_port(impl_->listeners, port, acceptor);
}
void Netstack::unlisten(std::uint16_t port) {
  set_port<TcpAcceptor>(impl_->listeners, port, nullptr);
}
TcpConnection* Netstack::connect(const IpAddress& to, std::uint16_t port, TcpEvents* events,
                                 std::uint32_t flow, std::uint32_t pair) {
  return impl_->connect(to, port, events, flow, pair);
}
std::size_t Netstack::connections() const {
  return impl_->connections.size() - impl_->free_connections.size();
}

}  // namespace weft::models
