// ARP (RFC 826, 5227) and neighbour discovery (RFC 4861) of a host.
#include "models/guest/netstack_impl.h"

namespace weft::models {
namespace {

constexpr Ip6 kAllNodes{0xff02ULL << 48, 1};

Ip6 solicited_node(const IpAddress& a) {
  return {0xff02ULL << 48, 0x1ff000000ULL | (a.bits.low & 0xffffff)};
}
Mac multicast_mac(const Ip6& group) {
  return Mac::from_u64(0x333300000000ULL | (group.low & 0xffffffff));
}

}  // namespace

Neighbour* NetstackImpl::find_neighbour(const IpAddress& a) {
  std::size_t low = 0, high = neighbours.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (neighbours[middle].address < a)
      low = middle + 1;
    else
      high = middle;
  }
  return low < neighbours.size() && neighbours[low].address == a ? &neighbours[low] : nullptr;
}

Neighbour& NetstackImpl::make_neighbour(const IpAddress& a) {
  if (Neighbour* n = find_neighbour(a)) return *n;
  auto it = neighbours.begin();
  while (it != neighbours.end() && it->address < a) ++it;
  Neighbour fresh;
  fresh.address = a;
  return *neighbours.insert(it, std::move(fresh));
}

const Mac* NetstackImpl::resolve(const IpAddress& hop) {
  Neighbour* n = find_neighbour(hop);
  if (n == nullptr) {
    n = &make_neighbour(hop);
    ask(*n);
    return nullptr;
  }
  if (n->state == Neighbour::State::incomplete) return nullptr;
  if (n->state == Neighbour::State::reachable &&
      now() - n->confirmed >= config.neighbours.lifetime) {
    n->state = Neighbour::State::probing;
    n->tries = 0;
    ask(*n);
  }
  return &n->mac;
}

void NetstackImpl::ask(Neighbour& n) {
  ++n.tries;
  n.next = now() + config.neighbours.retry;
  const bool probing = n.state == Neighbour::State::probing;
  const IpAddress address = n.address;
  const Mac mac = n.mac;
  arm_neighbours();
  if (address.is6) {
    send_solicitation(address, probing ? &mac : nullptr);
  } else {
    ++stats.arp_requests;
    send_arp(wire::kArpRequest, probing ? mac : Mac::broadcast(), source_for(address).v4(), Mac{},
             address.v4());
  }
}

void NetstackImpl::learn(const IpAddress& a, Mac mac, bool create) {
  if (mac.is_multicast() || a.is_zero()) return;
  Neighbour* n = find_neighbour(a);
  if (n == nullptr) {
    if (!create) return;
    n = &make_neighbour(a);
  }
  if (n->state == Neighbour::State::permanent) return;
  if (n->state == Neighbour::State::incomplete || n->mac != mac) ++neighbour_epoch;
  n->mac = mac;
  n->state = Neighbour::State::reachable;
  n->confirmed = now();
  n->next = Time::never();
  n->tries = 0;
  std::vector<Packet*> pending;
  pending.swap(n->pending);
  const std::uint16_t type = a.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
  for (Packet* p : pending) transmit(p, mac, type);
}

void NetstackImpl::neighbours_due() {
  // By address, not by index: giving up removes entries, asking sends.
  std::vector<IpAddress> due;
  for (const Neighbour& n : neighbours)
    if (n.next <= now()) due.push_back(n.address);
  for (const IpAddress& a : due) {
    Neighbour& n = *find_neighbour(a);
    if (n.tries < config.neighbours.attempts) {
      ask(n);
      continue;
    }
    std::vector<Packet*> pending;
    pending.swap(n.pending);
    neighbours.erase(neighbours.begin() + (&n - neighbours.data()));
    ++neighbour_epoch;
    for (Packet* p : pending) drop(p, DropReason::no_neighbour);
  }
  arm_neighbours();
}

void NetstackImpl::arm_neighbours() {
  Time first = Time::never();
  for (const Neighbour& n : neighbours)
    if (n.next < first) first = n.next;
  timers.arm(neighbour_timer, first);
}

void NetstackImpl::drop_pending() {
  for (Neighbour& n : neighbours) {
    for (Packet* p : n.pending) drop(p, DropReason::vm_paused);
    n.pending.clear();
  }
}

void NetstackImpl::send_arp(std::uint16_t operation, Mac ethernet_dst, Ip4 sender, Mac target_mac,
                            Ip4 target) {
  Packet* p = station().create();
  std::uint8_t* frame = p->reset_headers(14 + sizeof(wire::ArpHeader));
  auto& arp = wire::at<wire::ArpHeader>(frame + 14);
  arp.set_ethernet_ipv4();
  arp.operation = operation;
  arp.sender_mac = config.mac;
  arp.sender_ip = sender;
  arp.target_mac = target_mac;
  arp.target_ip = target;
  transmit(p, ethernet_dst, wire::kEtherArp);
}

void NetstackImpl::receive_arp(Packet* p) {
  if (p->size() < 14 + sizeof(wire::ArpHeader)) return drop(p, DropReason::malformed);
  if (p->header_size() < 42) p->materialise_payload(42 - p->header_size());
  const auto arp = wire::at<wire::ArpHeader>(p->data() + 14);
  if (!arp.is_ethernet_ipv4()) return drop(p, DropReason::malformed);
  const Ip4 sender = arp.sender_ip;
  const Ip4 target = arp.target_ip;
  const bool for_me = owns(target);
  if (!owns(sender)) learn(sender, arp.sender_mac, for_me);
  if (for_me && arp.operation == wire::kArpRequest) {
    ++stats.arp_replies;
    send_arp(wire::kArpReply, arp.sender_mac, target, arp.sender_mac, sender);
  }
  station().consume(p);
}

void NetstackImpl::send_solicitation(const IpAddress& target, const Mac* unicast) {
  ++stats.nd_solicitations;
  const IpAddress src = source_for(target);
  const IpAddress dst = unicast != nullptr ? target : IpAddress(solicited_node(target));
  Packet* p = station().create();
  std::uint8_t* l4 = begin_ip(p, src, dst, wire::kProtoIcmpv6,
                              sizeof(wire::NdNeighbour) + sizeof(wire::NdMacOption), 255);
  auto& ns = wire::at<wire::NdNeighbour>(l4);
  ns.type = wire::kNdNeighbourSolicitation;
  ns.code = 0;
  ns.checksum = 0;
  ns.flags = 0;
  ns.target = target.v6();
  wire::at<wire::NdMacOption>(l4 + sizeof(wire::NdNeighbour)) = {wire::kNdOptionSourceMac, 1,
                                                                 config.mac};
  ns.checksum = l4_checksum(*p, src, dst, wire::kProtoIcmpv6);
  transmit(p, unicast != nullptr ? *unicast : multicast_mac(dst.v6()), wire::kEtherIpv6);
}

void NetstackImpl::send_advertisement(const IpAddress& own, const IpAddress& to, Mac to_mac,
                                      bool solicited) {
  ++stats.nd_advertisements;
  Packet* p = station().create();
  std::uint8_t* l4 = begin_ip(p, own, to, wire::kProtoIcmpv6,
                              sizeof(wire::NdNeighbour) + sizeof(wire::NdMacOption), 255);
  auto& na = wire::at<wire::NdNeighbour>(l4);
  na.type = wire::kNdNeighbourAdvertisement;
  na.code = 0;
  na.checksum = 0;
  na.flags = wire::NdNeighbour::kOverride | (solicited ? wire::NdNeighbour::kSolicited : 0u);
  na.target = own.v6();
  wire::at<wire::NdMacOption>(l4 + sizeof(wire::NdNeighbour)) = {wire::kNdOptionTargetMac, 1,
                                                                 config.mac};
  na.checksum = l4_checksum(*p, own, to, wire::kProtoIcmpv6);
  transmit(p, to_mac, wire::kEtherIpv6);
}

void NetstackImpl::receive_nd(Packet* p, const IpView& ip, std::uint8_t type) {
  if (ip.ttl != 255 || ip.l4_size < sizeof(wire::NdNeighbour))
    return drop(p, DropReason::malformed);
  const std::uint32_t end = ip.l4 + ip.l4_size;
  if (p->header_size() < end) p->materialise_payload(end - p->header_size());
  const auto nd = wire::at<wire::NdNeighbour>(p->data() + ip.l4);
  const std::span<const std::uint8_t> options{p->data() + ip.l4 + sizeof(wire::NdNeighbour),
                                              ip.l4_size - sizeof(wire::NdNeighbour)};
  const IpAddress target = nd.target.get();
  if (type == wire::kNdNeighbourSolicitation) {
    const Mac* source = wire::find_nd_mac(options, wire::kNdOptionSourceMac);
    if (!owns(target)) return drop(p, DropReason::guest_unwanted);
    const Mac from = source != nullptr ? *source : wire::at<wire::EthernetHeader>(p->data()).src;
    if (ip.src.is_zero()) {  // duplicate address detection: tell everybody
      send_advertisement(target, kAllNodes, multicast_mac(kAllNodes), false);
    } else {
      if (source != nullptr) learn(ip.src, *source, true);
      send_advertisement(target, ip.src, from, true);
    }
  } else if (!owns(target)) {
    const Mac* mac = wire::find_nd_mac(options, wire::kNdOptionTargetMac);
    const Neighbour* n = find_neighbour(target);
    const bool override_it = (nd.flags & wire::NdNeighbour::kOverride) != 0;
    if (n != nullptr && mac == nullptr && n->state != Neighbour::State::incomplete)
      mac = &n->mac;  // confirms what is known
    const bool allowed =
        n != nullptr && mac != nullptr &&
        (override_it || n->state == Neighbour::State::incomplete || n->mac == *mac);
    if (allowed) learn(target, Mac(*mac), false);
  }
  station().consume(p);
}

void NetstackImpl::announce() {
  for (const InterfaceAddress& own : config.addresses) {
    if (own.address.is6) {
      send_advertisement(own.address, kAllNodes, multicast_mac(kAllNodes), false);
    } else {
      ++stats.arp_requests;
      send_arp(wire::kArpRequest, Mac::broadcast(), own.address.v4(), Mac{}, own.address.v4());
    }
  }
}

}  // namespace weft::models
