#include "datapath/frame_text.h"

#include <fmt/core.h>

#include <vector>

#include "datapath/parse.h"
#include "datapath/tunnel/tunnel.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr int kMaxDepth = 4;

std::string frame_text(Bytes bytes, std::uint32_t base, std::uint32_t end, int depth);

std::string tcp_flags_text(std::uint8_t flags) {
  // tcpdump's letters: "S." is SYN and ACK.
  std::string out;
  const struct {
    std::uint8_t bit;
    char letter;
  } letters[] = {{wire::TcpHeader::kFin, 'F'}, {wire::TcpHeader::kSyn, 'S'},
                 {wire::TcpHeader::kRst, 'R'}, {wire::TcpHeader::kPsh, 'P'},
                 {wire::TcpHeader::kAck, '.'}, {wire::TcpHeader::kUrg, 'U'},
                 {wire::TcpHeader::kEce, 'E'}, {wire::TcpHeader::kCwr, 'W'}};
  for (const auto& l : letters)
    if ((flags & l.bit) != 0) out += l.letter;
  return out.empty() ? "none" : out;
}

std::string arp_text(Bytes bytes, const ParsedHeaders& h) {
  const auto& arp = wire::at<wire::ArpHeader>(bytes.data() + h.l3);
  const std::string sender = arp.sender_ip.get().text();
  const std::string target = arp.target_ip.get().text();
  if (!arp.is_ethernet_ipv4()) return "ARP of another kind than IPv4 over Ethernet";
  if (arp.operation == wire::kArpRequest) {
    if (sender == target)
      return fmt::format("ARP, Announcement {} is-at {}", sender, arp.sender_mac.text());
    return fmt::format("ARP, Request who-has {} tell {}", target, sender);
  }
  if (arp.operation == wire::kArpReply) {
    return fmt::format("ARP, Reply {} is-at {}", sender, arp.sender_mac.text());
  }
  return fmt::format("ARP, operation {}", arp.operation.get());
}

std::string tcp_text(Bytes bytes, const ParsedHeaders& h) {
  const auto& tcp = wire::at<wire::TcpHeader>(bytes.data() + h.l4);
  std::string out =
      fmt::format("Flags [{}], seq {}", tcp_flags_text(tcp.flags), tcp.sequence.get());
  if ((tcp.flags & wire::TcpHeader::kAck) != 0)
    out += fmt::format(", ack {}", tcp.acknowledgement.get());
  out += fmt::format(", win {}", tcp.window.get());
  wire::TcpOptions options;
  const std::uint32_t fixed = h.l4 + static_cast<std::uint32_t>(sizeof(wire::TcpHeader));
  const bool whole = wire::parse_tcp_options(bytes.subspan(fixed, h.payload - fixed), options);
  if (options.mss) out += fmt::format(", mss {}", *options.mss);
  if (options.window_scale) out += fmt::format(", wscale {}", *options.window_scale);
  if (options.sack_permitted) out += ", sackOK";
  for (unsigned i = 0; i < options.sack_blocks; ++i) {
    out += fmt::format(", sack {}:{}", options.sack[i].left, options.sack[i].right);
  }
  if (!whole) out += ", bad options";
  return out + fmt::format(", length {}", h.payload_size());
}

std::string ip_text(Bytes bytes, const ParsedHeaders& h, int depth);

/// What is behind "IP a > b: " of a tunnel's packet.
std::string tunnel_text(Bytes bytes, const InnerPlace& place, int depth) {
  static constexpr const char* kNames[kTunnelKinds] = {"",     "VXLAN",   "Geneve", "NVGRE", "STT",
                                                       "LISP", "EtherIP", "GRE",    "OTV"};
  const TunnelInfo& info = place.header.info;
  std::string out = kNames[static_cast<std::size_t>(place.kind)];
  if (place.header.dropped()) return out + fmt::format(", bad: {}", place.header.detail);
  if (info.has_id) {
    const char* id = place.kind == TunnelKind::nvgre  ? "vsid"
                     : place.kind == TunnelKind::stt  ? "context"
                     : place.kind == TunnelKind::gre  ? "key"
                     : place.kind == TunnelKind::lisp ? "iid"
                                                      : "vni";
    out += fmt::format(", {} {}", id, info.vni);
  }
  if (info.ports) out += fmt::format(", ports {} -> {}", info.ports->ingress, info.ports->egress);
  if (info.flow_id != 0) out += fmt::format(", flow {}", info.flow_id);
  if (info.sequence) out += fmt::format(", seq {}", *info.sequence);
  if (place.header.status == Decap::Status::control) return out + ", control";
  if (place.header.status == Decap::Status::segment) {
    const SttSegment& s = place.header.segment;
    return out + fmt::format(", frame {:#x}, {}-{} of {}", s.frame_id, s.offset,
                             s.offset + s.end - s.begin, s.frame_length);
  }
  if (place.begin == 0) return out + ", cut off";
  if (!place.is_ip) return out + ": " + frame_text(bytes, place.begin, place.end, depth + 1);
  const ParsedHeaders inner = parse_ip(bytes.first(place.end), place.end, place.begin);
  if (!inner.ok()) return out + fmt::format(": IP {}", to_string(inner.error));
  return out + ": " + ip_text(bytes, inner, depth + 1);
}

std::string icmp_text(Bytes bytes, const ParsedHeaders& h) {
  const auto& icmp = wire::at<wire::IcmpHeader>(bytes.data() + h.l4);
  const std::uint32_t length = h.l3_end - h.l4;
  std::string what;
  switch (icmp.type) {
    case wire::kIcmpEchoRequest:
    case wire::kIcmpEchoReply:
      return fmt::format("ICMP echo {}, id {}, seq {}, length {}",
                         icmp.type == wire::kIcmpEchoRequest ? "request" : "reply",
                         icmp.identifier(), icmp.sequence(), length);
    case wire::kIcmpUnreachable:
      if (icmp.code == wire::kIcmpFragmentationNeeded) {
        return fmt::format("ICMP unreachable, need to frag (mtu {}), length {}", icmp.sequence(),
                           length);
      }
      what = icmp.code == wire::kIcmpNetUnreachable    ? "net unreachable"
             : icmp.code == wire::kIcmpHostUnreachable ? "host unreachable"
             : icmp.code == wire::kIcmpPortUnreachable
                 ? "port unreachable"
                 : fmt::format("unreachable, code {}", icmp.code);
      break;
    case wire::kIcmpTimeExceeded:
      what = "time exceeded in-transit";
      break;
    case wire::kIcmpRedirect:
      what = "redirect";
      break;
    default:
      what = fmt::format("type {}, code {}", icmp.type, icmp.code);
  }
  return fmt::format("ICMP {}, length {}", what, length);
}

std::string icmpv6_text(Bytes bytes, const ParsedHeaders& h) {
  const auto& icmp = wire::at<wire::IcmpHeader>(bytes.data() + h.l4);
  const std::uint32_t length = h.l3_end - h.l4;
  const auto* nd = wire::view<wire::NdNeighbour>(bytes.subspan(0, h.l3_end), h.l4);
  const auto options =
      nd == nullptr ? Bytes{} : bytes.subspan(h.l4 + sizeof *nd, length - sizeof *nd);
  std::string what;
  switch (icmp.type) {
    case wire::kIcmpv6EchoRequest:
    case wire::kIcmpv6EchoReply:
      return fmt::format("ICMP6, echo {}, id {}, seq {}, length {}",
                         icmp.type == wire::kIcmpv6EchoRequest ? "request" : "reply",
                         icmp.identifier(), icmp.sequence(), length);
    case wire::kNdNeighbourSolicitation:
    case wire::kNdNeighbourAdvertisement: {
      const bool asks = icmp.type == wire::kNdNeighbourSolicitation;
      what = asks ? "neighbor solicitation" : "neighbor advertisement";
      if (nd == nullptr) {
        what += ", cut off";
        break;
      }
      what += (asks ? ", who has " : ", tgt is ") + nd->target.get().text();
      const Mac* mac =
          wire::find_nd_mac(options, asks ? wire::kNdOptionSourceMac : wire::kNdOptionTargetMac);
      if (mac != nullptr) what += (asks ? ", from " : ", is-at ") + mac->text();
      break;
    }
    case wire::kNdRouterSolicitation:
      what = "router solicitation";
      break;
    case wire::kNdRouterAdvertisement:
      what = "router advertisement";
      break;
    case wire::kIcmpv6Unreachable:
      what = fmt::format("destination unreachable, code {}", icmp.code);
      break;
    case wire::kIcmpv6TooBig:
      what = fmt::format("packet too big, mtu {}", icmp.mtu6());
      break;
    case wire::kIcmpv6TimeExceeded:
      what = "time exceeded in-transit";
      break;
    default:
      what = fmt::format("type {}, code {}", icmp.type, icmp.code);
  }
  return fmt::format("ICMP6, {}, length {}", what, length);
}

std::string ip_text(Bytes bytes, const ParsedHeaders& h, int depth) {
  std::string src;
  std::string dst;
  if (h.is_ipv4()) {
    const auto& ip = wire::at<wire::Ipv4Header>(bytes.data() + h.l3);
    src = ip.src.get().text();
    dst = ip.dst.get().text();
  } else {
    const auto& ip = wire::at<wire::Ipv6Header>(bytes.data() + h.l3);
    src = ip.src.get().text();
    dst = ip.dst.get().text();
  }
  const char* name = h.is_ipv4() ? "IP" : "IP6";
  std::string fragment;
  if (h.fragment == Fragment::first) fragment = ", first fragment";
  if (h.fragment == Fragment::later) fragment = ", fragment";
  const bool ports = h.l4 != 0 && (h.ip_proto == wire::kProtoTcp || h.ip_proto == wire::kProtoUdp);
  const InnerPlace place = depth < kMaxDepth ? inner_place(bytes, h) : InnerPlace{};
  if (place.kind != TunnelKind::none && !ports)
    return fmt::format("{} {} > {}: ", name, src, dst) + tunnel_text(bytes, place, depth);
  if (!ports) {
    const std::string head = fmt::format("{} {} > {}: ", name, src, dst);
    if (h.l4 != 0 && h.is_ipv4()) return head + icmp_text(bytes, h) + fragment;
    if (h.l4 != 0) return head + icmpv6_text(bytes, h) + fragment;
    return head + fmt::format("proto {}, length {}{}", h.ip_proto, h.payload_size(), fragment);
  }
  const auto& udp = wire::at<wire::UdpHeader>(bytes.data() + h.l4);  // ports lie alike in TCP
  const std::string head =
      fmt::format("{} {}.{} > {}.{}: ", name, src, udp.src_port.get(), dst, udp.dst_port.get());
  if (place.kind != TunnelKind::none) return head + tunnel_text(bytes, place, depth);
  if (h.ip_proto == wire::kProtoTcp) return head + tcp_text(bytes, h) + fragment;
  return head + fmt::format("UDP, length {}{}", udp.length - 8u, fragment);
}

std::string frame_text(Bytes bytes, std::uint32_t base, std::uint32_t end, int depth) {
  const ParsedHeaders h = parse_bytes(bytes.subspan(0, end), end, base);
  if (h.l3 == 0) return fmt::format("cut off after {} bytes", end - std::min(base, end));
  std::string out;
  if (h.has_vlan) out = fmt::format("vlan {}, p {}, ", h.vlan_tci & 0x0fff, h.vlan_tci >> 13);
  const bool known = h.eth_type == wire::kEtherIpv4 || h.eth_type == wire::kEtherIpv6 ||
                     h.eth_type == wire::kEtherArp;
  if (!h.ok()) {
    const char* what = h.eth_type == wire::kEtherIpv4   ? "IP"
                       : h.eth_type == wire::kEtherIpv6 ? "IP6"
                                                        : "ARP";
    return out + fmt::format("{} {}, length {}", what, to_string(h.error), end - h.l3);
  }
  if (h.ip_version != 0) return out + ip_text(bytes, h, depth);
  if (known) return out + arp_text(bytes, h);
  const auto& ethernet = wire::at<wire::EthernetHeader>(bytes.data() + base);
  return out + fmt::format("{} > {}, ethertype 0x{:04x}, length {}", ethernet.src.text(),
                           ethernet.dst.text(), h.eth_type, end - h.l3);
}

}  // namespace

std::string describe_frame(const Packet& packet) {
  std::vector<std::uint8_t> bytes;
  packet.copy_frame(bytes);
  return frame_text(bytes, 0, packet.size(), 0);
}

}  // namespace weft::datapath
