#include "models/router.h"

#include <fmt/format.h>

#include <algorithm>

#include "datapath/checksum.h"
#include "datapath/icmp_error.h"
#include "datapath/wire/arp.h"
#include "datapath/wire/ethernet.h"
#include "datapath/wire/icmp.h"
#include "datapath/wire/ip.h"
#include "models/hop.h"

namespace weft::models {

Router::Router(Node node, std::shared_ptr<const Topology> topology, std::uint64_t ecmp_seed,
               bool hash_gre_key)
    : node_(std::move(node)),
      topology_(std::move(topology)),
      view_(*topology_),
      ecmp_seed_(ecmp_seed),
      hash_gre_key_(hash_gre_key) {
  own_ = topology_->nodes[node_.index].addresses;
  for (const auto& i : topology_->interfaces[node_.index])
    for (const auto& [address, length] : i.addresses) own_.push_back(address);
  std::sort(own_.begin(), own_.end());
  rebuild();
}

void Router::rebuild() {
  routes_ = compute_routes(*topology_, view_, node_.index);
  fib_.rebuild(routes_, own_);
}

bool Router::owns(const IpAddress& a) const {
  return std::binary_search(own_.begin(), own_.end(), a);
}

void Router::handle(sim::Context& context, const sim::Event& event) {
  node_.enter(context);
  if (event.kind == kFrame) [[likely]] {
    if (Packet* packet = node_.receive(event)) forward(event.aux, packet);
    return;
  }
  if (node_.handle_state(event)) return;
  if (event.kind == kTopology) {
    if (node_.faults.route_into_failures) return;
    view_.apply(TopologyChange::unpack(event.data));
    rebuild();
    return;
  }
  WEFT_CHECK(false, "router {} got an event of kind {}", node_.name, event.kind);
}

void Router::forward(std::uint16_t in, Packet* packet) {
  const Mac& mine = node_.ports[in].mac;
  const FrameKind kind = view_frame(*packet);
  if (kind == FrameKind::cut_off) return node_.drop(packet, DropReason::malformed, in);
  const auto& eth = wire::at<wire::EthernetHeader>(packet->data());
  if (kind == FrameKind::arp) return answer_arp(in, packet);
  if (eth.dst != mine) [[unlikely]] {
    if (eth.dst.is_multicast()) return for_myself(in, packet);
    return node_.drop(packet, DropReason::not_for_me, in);
  }
  if (kind == FrameKind::other) return node_.drop(packet, DropReason::no_route, in);
  if ((node_.check == CheckLevel::full || node_.may_see_damage) &&
      verify_checksums(*packet) == ChecksumFault::ipv4_header)
    return node_.drop(packet, DropReason::bad_checksum, in);

  const IpAddress destination = destination_of(*packet, kind);
  const auto [hops, own] = fib_.lookup(destination);
  if (own) [[unlikely]]
    return for_myself(in, packet);
  if (hops.empty()) [[unlikely]] {
    send_error(in, *packet, IcmpErrorKind::net_unreachable);
    return node_.drop(packet, DropReason::no_route, in);
  }
  if (ttl_of(*packet, kind) <= 1) [[unlikely]] {
    send_error(in, *packet, IcmpErrorKind::time_exceeded);
    return node_.drop(packet, DropReason::ttl_expired, in);
  }
  std::size_t choice = 0;
  if (hops.size() > 1)
    choice = ecmp_choice(route_hash(*packet, kind, hash_gre_key_), ecmp_seed_, hops.size());
  const NextHop& hop = hops[choice];
  const Port& out = node_.ports[hop.port];
  if (ip_bytes(*packet) > out.mtu) [[unlikely]] {
    send_error(in, *packet, IcmpErrorKind::too_big, out.mtu);
    return node_.drop(packet, DropReason::too_big, hop.port);
  }
  decrement_ttl(*packet, kind);
  auto& e = wire::at<wire::EthernetHeader>(packet->data());
  e.dst = hop.mac;
  e.src = out.mac;
  if (node_.traced(*packet)) [[unlikely]]
    node_.trace_line(
        *packet,
        fmt::format("route to {} by {}{}", destination.text(), out.config.name,
                    hops.size() > 1 ? fmt::format(" (ECMP {} of {})", choice + 1, hops.size())
                                    : std::string()));
  node_.transmit(hop.port, packet);
}

void Router::send_error(std::uint16_t in, const Packet& about, IcmpErrorKind kind,
                        std::uint32_t mtu) {
  const FrameKind frame = view_frame(about);
  const bool is6 = frame == FrameKind::ipv6;
  if (kind == IcmpErrorKind::too_big && !is6 &&
      !wire::at<wire::Ipv4Header>(about.data() + 14).dont_fragment()) {
    // A packet that may be fragmented: this router does not fragment (as data centre switches do
    // not), and without DF the sender would make nothing of the error. The drop says so.
    return;
  }
  // The address of the port it came in by, else any of the family.
  const IpAddress* from = nullptr;
  for (const auto& [address, length] : topology_->interfaces[node_.index][in].addresses)
    if (address.is6 == is6) from = &address;
  if (from == nullptr)
    for (const auto& address : own_)
      if (address.is6 == is6) {
        from = &address;
        break;
      }
  if (from == nullptr) return;
  Packet* error = node_.create();
  if (!build_icmp_error(*error, about, kind, *from, mtu)) {
    --node_.ledger.created;
    node_.pool().give(error);
    return;
  }
  node_.note_created(*error);
  node_.transmit(in, error);
}

bool Router::answers_for(std::uint16_t in, const IpAddress& target) {
  for (const auto& [address, length] : topology_->interfaces[node_.index][in].addresses) {
    if (address == target) return true;
    if (address.is6 != target.is6 || !(Prefix{address, length}.contains(target))) continue;
    const auto [hops, own] = fib_.lookup(target);
    if (!hops.empty() && hops[0].port != in && !own) return true;
  }
  return false;
}

void Router::answer_arp(std::uint16_t in, Packet* packet) {
  auto& arp = wire::at<wire::ArpHeader>(packet->data() + 14);
  const Ip4 target = arp.target_ip;
  if (arp.operation != wire::kArpRequest || !arp.is_ethernet_ipv4() || !answers_for(in, target))
    return node_.consume(packet);
  Packet* reply = node_.create();
  reply->reset_headers(42);
  const Mac mac = node_.ports[in].config.mac;
  wire::at<wire::EthernetHeader>(reply->data()) = {arp.sender_mac, mac, wire::kEtherArp};
  auto& out = wire::at<wire::ArpHeader>(reply->data() + 14);
  out.set_ethernet_ipv4();
  out.operation = wire::kArpReply;
  out.sender_mac = mac;
  out.sender_ip = target;
  out.target_mac = arp.sender_mac;
  out.target_ip = arp.sender_ip.get();
  reply->parent = packet->id;
  node_.consume(packet);
  node_.transmit(in, reply);
}

void Router::for_myself(std::uint16_t in, Packet* packet) {
  const FrameKind kind = view_frame(*packet);
  if (kind == FrameKind::ipv6 && packet->header_size() >= 14 + 40 + 24) {
    const auto& ip = wire::at<wire::Ipv6Header>(packet->data() + 14);
    const auto& nd = wire::at<wire::NdNeighbour>(packet->data() + 54);
    if (ip.next_header == wire::kProtoIcmpv6 && nd.type == wire::kNdNeighbourSolicitation) {
      const Ip6 target = nd.target;
      if (!answers_for(in, target)) return node_.consume(packet);
      Packet* reply = node_.create();
      reply->reset_headers(14 + 40 + 32);
      const Mac mac = node_.ports[in].config.mac;
      const auto& eth = wire::at<wire::EthernetHeader>(packet->data());
      wire::at<wire::EthernetHeader>(reply->data()) = {eth.src, mac, wire::kEtherIpv6};
      auto& rip = wire::at<wire::Ipv6Header>(reply->data() + 14);
      rip.set_first_word(0, 0);
      rip.payload_length = 32;
      rip.next_header = wire::kProtoIcmpv6;
      rip.hop_limit = 255;
      rip.src = target;
      rip.dst = ip.src.get();
      auto& na = wire::at<wire::NdNeighbour>(reply->data() + 54);
      na.type = wire::kNdNeighbourAdvertisement;
      na.code = 0;
      na.flags =
          wire::NdNeighbour::kRouter | wire::NdNeighbour::kSolicited | wire::NdNeighbour::kOverride;
      na.target = target;
      wire::at<wire::NdMacOption>(reply->data() + 78) = {wire::kNdOptionTargetMac, 1, mac};
      finish_l4_checksum(*reply, 14);
      reply->parent = packet->id;
      node_.consume(packet);
      return node_.transmit(in, reply);
    }
  }
  if (kind == FrameKind::ipv4 || kind == FrameKind::ipv6) {
    // Answered from where it came: the request's sender is the reply's destination.
    const IpAddress back = source_of(*packet, kind);
    if (owns(destination_of(*packet, kind)) && turn_into_echo_reply(*packet)) {
      const auto hops = fib_.lookup(back).hops;
      if (hops.empty()) return node_.drop(packet, DropReason::no_route, in);
      auto& eth = wire::at<wire::EthernetHeader>(packet->data());
      eth.dst = hops[0].mac;
      eth.src = node_.ports[hops[0].port].config.mac;
      return node_.transmit(hops[0].port, packet);
    }
  }
  node_.consume(packet);
}

}  // namespace weft::models
