#include "analysis/trace/guest_packet.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/logical.h"
#include "datapath/match.h"
#include "datapath/wire/wire.h"

namespace weft::analysis {

using datapath::Field;
using datapath::FieldInfo;
using datapath::FlowKey;
namespace place = datapath::place;

namespace {

constexpr std::uint16_t kSourcePort = 49152;  ///< the first of RFC 6335's dynamic ports
constexpr std::uint8_t kNdHopLimit = 255;
constexpr std::uint8_t kSyn = 0x02;

Error at(Error e, int column) {
  e.place.line = 1;
  e.place.column = column;
  return e;
}

/// Fields that a frame carries; the others belong to switches.
bool in_packet(const FieldInfo& f) {
  return (f.word >= 7 && f.word < 14) || f.id == Field::tcp_flags || f.id == Field::ipv6_label ||
         (f.word >= 16 && f.word < 20 && f.id != Field::tun_tos);
}

/// "tcp_dst" is about TCP, whatever its field is.
int protocol_in_name(std::string_view name) {
  if (name.starts_with("tcp_")) return wire::kProtoTcp;
  if (name.starts_with("udp_")) return wire::kProtoUdp;
  if (name.starts_with("sctp_")) return wire::kProtoSctp;
  if (name.starts_with("icmpv6_")) return wire::kProtoIcmpv6;
  return -1;
}

/// The texts of matches speak of matches and rules; this one is a packet.
Error of_packet(Error e) {
  const auto replace = [](std::string& text, std::string_view what, std::string_view by) {
    if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
  };
  replace(e.message, "what the match said before", "what was said before");
  replace(e.message, "and the match does not say which", "and nothing says that this is one");
  replace(e.remedy, "a packet cannot be both; split it into two rules",
          "a packet has one value in each field");
  replace(e.remedy, "fields are those of ovs-fields(7), such as nw_dst or reg0",
          "fields are those of ovs-fields(7), such as ip_dst or tcp_dst");
  return e;
}

struct Item {
  std::string_view text;
  int column;
};

std::vector<Item> items_of(std::string_view text) {
  std::vector<Item> out;
  for (std::size_t from = 0; from < text.size();) {
    if (text[from] == ',' || text[from] == ' ') {
      ++from;
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(", ", from), text.size());
    out.push_back({text.substr(from, end - from), static_cast<int>(from) + 1});
    from = end;
  }
  return out;
}

Result<> check_item(const Item& item) {
  const auto equals = item.text.find('=');
  const std::string_view name = item.text.substr(0, equals);
  if (equals == std::string_view::npos && datapath::is_shorthand(name)) return {};
  const FieldInfo* field = datapath::find_field(name);
  if (field == nullptr) return {};  // the reader of matches says what is wrong
  if (field->id == Field::in_port)
    return at({"in_port is not for --packet", {}, "--from says where the packet enters"},
              item.column);
  if (!in_packet(*field))
    return at({fmt::format("{} is no field of a packet that a guest sends", name),
               {},
               "it belongs to the switch; --packet describes Ethernet and what is in it"},
              item.column);
  if (equals == std::string_view::npos) return {};
  const auto value = datapath::parse_field_value(*field, item.text.substr(equals + 1));
  if (!value) return {};
  if (field->id == Field::ip_frag && value->value.low != 0)
    return at({"weft trace sends whole packets, no fragments", {}, "leave ip_frag out"},
              item.column);
  if (value->mask != datapath::field_ones(*field) &&
      field->format != datapath::FieldFormat::tcp_flags)
    return at({fmt::format("{} has a mask, and a packet has one value", name),
               {},
               fmt::format("write {}={}", name,
                           datapath::format_field_value(
                               *field, {value->value, datapath::field_ones(*field)}))},
              item.column);
  return {};
}

struct Said {
  FlowKey key{};
  datapath::FlowMask mask{};
  bool has(Field f) const {
    const FieldInfo& i = datapath::info(f);
    return i.bits == 128 ? (mask.w[i.word] | mask.w[i.word + 1u]) != 0 : mask.get(i.at()) != 0;
  }
};

Result<Said> read(std::string_view text) {
  const std::vector<Item> items = items_of(text);
  if (items.empty())
    return at({"there is no packet", {}, "write one, such as 'tcp,ip_dst=10.0.0.2,tcp_dst=80'"}, 1);
  datapath::MatchReader reader;
  for (const Item& item : items) {
    if (auto r = check_item(item); !r) return r.error();
    if (auto r = reader.add(item.text, item.column); !r)
      return at(of_packet(r.error()), r.error().place.column);
  }
  const auto match = reader.finish();
  if (!match) return at(of_packet(match.error()), match.error().place.column);
  Said said{match->value, match->mask};
  const bool ip6 = said.key.is_ip6();
  for (const Item& item : items) {
    const int protocol = protocol_in_name(item.text);
    if (protocol >= 0 && said.key.get(place::nw_proto) != static_cast<std::uint64_t>(protocol))
      return at({fmt::format("{} is of another protocol than the packet",
                             item.text.substr(0, item.text.find('='))),
                 {},
                 fmt::format("the packet's ports are {}_src and {}_dst",
                             said.key.get(place::nw_proto) == wire::kProtoUdp ? "udp" : "tcp",
                             said.key.get(place::nw_proto) == wire::kProtoUdp ? "udp" : "tcp")},
                item.column);
  }
  if (!said.has(Field::eth_type))
    return at({"the packet's kind is missing",
               {},
               "begin with ip, ipv6, arp, tcp, udp, icmp, tcp6, udp6 or icmp6"},
              1);
  if (said.key.get(place::nw_proto) == wire::kProtoSctp &&
      (said.has(Field::tp_src) || said.has(Field::tp_dst)))
    return at({"the switch does not read SCTP's ports", {}, "leave them out"}, 1);
  if (ip6 && said.key.get(place::nw_proto) == wire::kProtoIcmp)
    return at({"IPv6 has no protocol 1", {}, "write icmp6"}, 1);
  return said;
}

IpAddress address_in(const FlowKey& key, bool source, bool is6) {
  const unsigned word = source ? place::ip_src : place::ip_dst;
  if (is6) return IpAddress(key.get128(word));
  return IpAddress(Ip4{static_cast<std::uint32_t>(key.w[word + 1])});
}

void set_address(FlowKey& key, bool source, const IpAddress& a) {
  key.set128(source ? place::ip_src : place::ip_dst, a.is6 ? a.bits : Ip6{0, a.v4().value});
}

/// RFC 1112, RFC 2464; nothing for one that is no group.
std::optional<Mac> group_mac(const IpAddress& a) {
  if (!a.is6) {
    const std::uint32_t v = a.v4().value;
    if (v == 0xffffffff) return Mac::broadcast();
    if (v >> 28 != 0xe) return std::nullopt;
    return Mac::from_u64(0x01005e000000 | (v & 0x7fffff));
  }
  if (a.bits.high >> 56 != 0xff) return std::nullopt;
  return Mac::from_u64(0x333300000000 | (a.bits.low & 0xffffffff));
}

Ip6 solicited_node(Ip6 target) {
  return {0xff02ULL << 48, 0x1ff000000ULL | (target.low & 0xffffff)};
}

bool is_link_local(const IpAddress& a) { return a.is6 && a.bits.high >> 54 == 0xfe80 >> 6; }

/// The last address of an IPv4 subnet.
bool is_subnet_broadcast(const Prefix& subnet, const IpAddress& a) {
  if (a.is6 || subnet.address.is6 || subnet.length > 30 || !subnet.contains(a)) return false;
  const std::uint32_t host = 0xffffffffu >> subnet.length;
  return (a.v4().value & host) == host;
}

/// A DHCP DISCOVER (RFC 2131), as long as BOOTP asks for.
std::vector<std::uint8_t> dhcp_discover(std::uint64_t mac) {
  std::vector<std::uint8_t> out(300, 0);
  out[0] = 1;  // BOOTREQUEST over Ethernet, 6-byte addresses
  out[1] = 1;
  out[2] = 6;
  for (int i = 0; i < 4; ++i)
    out[4 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i + 1);
  out[10] = 0x80;  // answers by broadcast
  for (int i = 0; i < 6; ++i)
    out[28 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(mac >> (40 - 8 * i));
  const std::uint8_t tail[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
  std::copy(std::begin(tail), std::end(tail), out.begin() + 236);
  return out;
}

/// Fills what is missing, field by field.
class Filler {
 public:
  Filler(const NetworkView& view, const AddressBook& book, const control::Port& port,
         const Said& said, const AskNeighbour& ask)
      : book_(book),
        port_(port),
        said_(said),
        ask_(ask),
        network_(view.intent.networks().at(port.network)) {
    out_.key = said.key;
  }

  Result<GuestPacket> run() {
    if (!said_.has(Field::eth_src)) out_.key.set(place::eth_src, port_.mac.to_u64());
    if (out_.key.is_arp()) {
      if (auto r = arp(); !r) return r.error();
    } else if (out_.key.is_ip4() || out_.key.is_ip6()) {
      if (auto r = ip(); !r) return r.error();
    } else if (!said_.has(Field::eth_dst)) {
      return missing("eth_dst", "say for whom the frame is: eth_dst=ff:ff:ff:ff:ff:ff");
    }
    return out_;
  }

 private:
  static Error missing(std::string_view field, std::string remedy) {
    return at({fmt::format("{} is missing", field), {}, std::move(remedy)}, 1);
  }
  void fill(Field f, std::uint64_t value) {
    if (!said_.has(f)) datapath::write_field(out_.key, datapath::info(f), {0, value});
  }

  Result<> arp() {
    if (!said_.has(Field::arp_tpa))
      return missing("arp_tpa", "say whose MAC is asked for: arp_tpa=10.0.0.2");
    fill(Field::arp_op, wire::kArpRequest);
    if (!said_.has(Field::arp_spa)) {
      const auto own = own_address(address_in(out_.key, false, false));
      if (!own) return no_address(false, "arp_spa");
      set_address(out_.key, true, *own);
    }
    fill(Field::arp_sha, out_.key.get(place::eth_src));
    if (!said_.has(Field::eth_dst)) {
      const bool request = out_.key.get(place::nw_proto) == wire::kArpRequest;
      if (!request && said_.has(Field::arp_tha))
        out_.key.set(place::eth_dst, out_.key.get(place::hw_dst));
      else
        out_.key.set(place::eth_dst, Mac::broadcast().to_u64());
    }
    return {};
  }

  Result<> ip() {
    const bool is6 = out_.key.is_ip6();
    const auto proto = static_cast<std::uint8_t>(out_.key.get(place::nw_proto));
    transport(proto, is6);
    const bool dhcp = !is6 && proto == wire::kProtoUdp && out_.key.get(place::tp_dst) == 67;
    const bool nd = proto == wire::kProtoIcmpv6 && is6 &&
                    (out_.key.get(place::tp_src) == wire::kNdNeighbourSolicitation ||
                     out_.key.get(place::tp_src) == wire::kNdNeighbourAdvertisement);
    if (nd && !said_.has(Field::nd_target))
      return missing("nd_target", "say whose MAC it is about: nd_target=fd00::2");
    if (dhcp) {
      fill(Field::tp_src, 68);
      fill(Field::nw_dst, 0xffffffff);
      if (out_.key.get(place::tp_src) == 68) out_.payload = dhcp_discover(port_.mac.to_u64());
    }
    const Field to = is6 ? Field::ipv6_dst : Field::nw_dst;
    if (!said_.has(to) && !dhcp) {
      if (!nd)
        return missing(is6 ? "ipv6_dst" : "ip_dst",
                       is6 ? "say where the packet goes: ipv6_dst=fd00::2"
                           : "say where the packet goes: ip_dst=10.0.0.2");
      set_address(out_.key, false, solicited_node(out_.key.get128(place::nd_target)));
    }
    const IpAddress destination = address_in(out_.key, false, is6);
    if (!said_.has(is6 ? Field::ipv6_src : Field::nw_src) && !dhcp) {
      const auto own = own_address(nd ? IpAddress(out_.key.get128(place::nd_target)) : destination);
      if (!own) return no_address(is6, is6 ? "ipv6_src" : "ip_src");
      set_address(out_.key, true, *own);
    }
    fill(Field::nw_ttl, nd ? kNdHopLimit : 64);
    if (nd) {
      const bool asks = out_.key.get(place::tp_src) == wire::kNdNeighbourSolicitation;
      const bool unspecified = out_.key.get128(place::ip_src) == Ip6{};
      if (!unspecified) fill(asks ? Field::nd_sll : Field::nd_tll, out_.key.get(place::eth_src));
    }
    if (!said_.has(Field::eth_dst)) neighbour(destination);
    return {};
  }

  void transport(std::uint8_t proto, bool is6) {
    if (proto == wire::kProtoTcp || proto == wire::kProtoUdp) {
      const bool dhcp = !is6 && proto == wire::kProtoUdp && out_.key.get(place::tp_dst) == 67;
      if (!dhcp) fill(Field::tp_src, kSourcePort);
    }
    if (proto == wire::kProtoTcp) fill(Field::tcp_flags, kSyn);
    if (proto == wire::kProtoIcmp && !is6) fill(Field::icmp_type, wire::kIcmpEchoRequest);
    if (proto == wire::kProtoIcmpv6 && is6)
      fill(Field::icmp_type,
           said_.has(Field::nd_target) ? wire::kNdNeighbourSolicitation : wire::kIcmpv6EchoRequest);
  }

  /// The address that the guest sends from: one in the destination's subnet, else its first.
  std::optional<IpAddress> own_address(const IpAddress& towards) const {
    if (is_link_local(towards) || (towards.is6 && towards.bits.high >> 48 == 0xff02))
      return IpAddress(control::link_local(port_.mac));
    std::optional<IpAddress> first;
    for (const IpAddress& a : port_.addresses) {
      if (a.is6 != towards.is6) continue;
      if (!first) first = a;
      for (const Prefix& subnet : network_.subnets)
        if (subnet.address.is6 == a.is6 && subnet.contains(a) && subnet.contains(towards)) return a;
    }
    return first;
  }
  Error no_address(bool is6, std::string_view field) const {
    return missing(field, fmt::format("{} has no {} address to send from: write {}=", port_.name,
                                      is6 ? "IPv6" : "IPv4", field));
  }

  bool on_link(const IpAddress& a) const {
    if (is_link_local(a)) return true;
    return std::any_of(network_.subnets.begin(), network_.subnets.end(),
                       [&](const Prefix& s) { return s.address.is6 == a.is6 && s.contains(a); });
  }

  void neighbour(const IpAddress& destination) {
    if (const auto group = group_mac(destination))
      return out_.key.set(place::eth_dst, group->to_u64());
    for (const Prefix& s : network_.subnets)
      if (is_subnet_broadcast(s, destination))
        return out_.key.set(place::eth_dst, Mac::broadcast().to_u64());
    IpAddress hop = destination;
    const bool known_here = book_.owner(port_.network, destination) != nullptr;
    if (!known_here && !on_link(destination)) {
      hop = book_.gateway(port_.network, destination.is6);
      if (hop.is_zero()) {
        out_.unsent = DropReason::no_route;
        out_.why = fmt::format("{} is in none of the subnets of {}, which has no gateway",
                               destination.text(), network_.name);
        return;
      }
    }
    if (const auto* owner = book_.owner(port_.network, hop))
      return out_.key.set(place::eth_dst, owner->mac.to_u64());
    if (const auto mac = ask_(hop)) return out_.key.set(place::eth_dst, mac->to_u64());
    out_.unsent = DropReason::no_neighbour;
    out_.why = fmt::format("nobody in {} answers for {}", network_.name, hop.text());
  }

  const AddressBook& book_;
  const control::Port& port_;
  const Said& said_;
  const AskNeighbour& ask_;
  const control::Network& network_;
  GuestPacket out_{};
};

}  // namespace

AddressBook::AddressBook(const NetworkView& view) {
  for (const auto& [name, port] : view.intent.ports()) {
    for (const IpAddress& a : port.addresses)
      owners_.try_emplace({port.network, a}, Owner{name, false, port.mac});
    if (const auto more = view.aliases.find(name); more != view.aliases.end())
      for (const IpAddress& a : more->second)
        owners_.try_emplace({port.network, a}, Owner{name, false, port.mac});
    owners_.try_emplace({port.network, control::link_local(port.mac)},
                        Owner{name, false, port.mac});
  }
  for (const auto& [name, router] : view.intent.routers())
    for (const control::RouterPort& port : router.ports) {
      if (port.network.empty()) continue;
      for (const IpAddress& a : port.addresses) {
        owners_.try_emplace({port.network, a}, Owner{name, true, port.mac});
        gateways_.try_emplace({port.network, a.is6}, a);
      }
    }
  for (const auto& [network, addresses] : view.gateways) {
    for (const bool is6 : {false, true}) {
      const auto best = std::find_if(addresses.begin(), addresses.end(),
                                     [is6](const IpAddress& a) { return a.is6 == is6; });
      if (best != addresses.end()) gateways_[{network, is6}] = *best;
    }
  }
}

const AddressBook::Owner* AddressBook::owner(const std::string& network,
                                             const IpAddress& address) const {
  const auto found = owners_.find({network, address});
  return found == owners_.end() ? nullptr : &found->second;
}

IpAddress AddressBook::gateway(const std::string& network, bool is6) const {
  const auto found = gateways_.find({network, is6});
  return found == gateways_.end() ? IpAddress{} : found->second;
}

Result<GuestPacket> guest_packet(const NetworkView& view, const AddressBook& book,
                                 const control::Port& port, std::string_view text,
                                 const AskNeighbour& ask) {
  const auto said = read(text);
  if (!said) return said.error();
  return Filler(view, book, port, *said, ask).run();
}

FlowKey neighbour_question(const control::Port& port, const IpAddress& address) {
  FlowKey key;
  key.set(place::eth_src, port.mac.to_u64());
  const auto own = std::find_if(port.addresses.begin(), port.addresses.end(),
                                [&](const IpAddress& a) { return a.is6 == address.is6; });
  const IpAddress from = own != port.addresses.end() ? *own
                         : address.is6               ? IpAddress(control::link_local(port.mac))
                                                     : IpAddress(Ip4{});
  set_address(key, true, from);
  key.set(place::hw_src, port.mac.to_u64());
  if (!address.is6) {
    key.set(place::eth_dst, Mac::broadcast().to_u64());
    key.set(place::eth_type, wire::kEtherArp);
    key.set(place::nw_proto, wire::kArpRequest);
    set_address(key, false, address);
    return key;
  }
  const IpAddress group(solicited_node(address.bits));
  key.set(place::eth_dst, group_mac(group)->to_u64());
  key.set(place::eth_type, wire::kEtherIpv6);
  key.set(place::nw_proto, wire::kProtoIcmpv6);
  key.set(place::nw_ttl, kNdHopLimit);
  key.set(place::tp_src, wire::kNdNeighbourSolicitation);
  set_address(key, false, group);
  key.set128(place::nd_target, address.bits);
  return key;
}

}  // namespace weft::analysis
