#include "analysis/trace/packet_fields.h"

#include <fmt/format.h>

#include "datapath/extract.h"
#include "datapath/wire/wire.h"

namespace weft::analysis {

using datapath::Field;
using datapath::FlowKey;
namespace place = datapath::place;

namespace {

class Fields {
 public:
  explicit Fields(const FlowKey& key) : key_(key) {}

  std::vector<PacketField> run() {
    add("eth_src", Field::eth_src);
    add("eth_dst", Field::eth_dst);
    if ((key_.get(place::vlan_tci) & datapath::kVlanPresent) != 0) {
      add("dl_vlan", Field::dl_vlan);
      add("dl_vlan_pcp", Field::dl_vlan_pcp);
    }
    out_.push_back({"eth_type", fmt::format("{:#06x}", key_.get(place::eth_type)), false});
    if (key_.is_arp()) {
      add("arp_op", Field::arp_op);
      add("arp_spa", Field::arp_spa);
      add("arp_tpa", Field::arp_tpa);
      add("arp_sha", Field::arp_sha);
      add("arp_tha", Field::arp_tha);
    }
    if (key_.is_ip4() || key_.is_ip6()) ip();
    return std::move(out_);
  }

 private:
  void add(std::string_view name, Field field) {
    const auto& f = datapath::info(field);
    std::string text =
        datapath::format_field_value(f, {datapath::read_field(key_, f), datapath::field_ones(f)});
    out_.push_back({name, std::move(text), f.format == datapath::FieldFormat::decimal});
  }

  void ip() {
    const bool is6 = key_.is_ip6();
    add(is6 ? "ipv6_src" : "ip_src", is6 ? Field::ipv6_src : Field::nw_src);
    add(is6 ? "ipv6_dst" : "ip_dst", is6 ? Field::ipv6_dst : Field::nw_dst);
    if (is6 && key_.get(place::ipv6_label) != 0) add("ipv6_label", Field::ipv6_label);
    add("nw_proto", Field::nw_proto);
    add("nw_tos", Field::nw_tos);
    add("nw_ttl", Field::nw_ttl);
    if (key_.get(place::nw_frag) != 0) add("ip_frag", Field::ip_frag);
    switch (key_.get(place::nw_proto)) {
      case wire::kProtoTcp:
        add("tcp_src", Field::tp_src);
        add("tcp_dst", Field::tp_dst);
        // Sign by flag reads best and reads back.
        out_.push_back({"tcp_flags", flags(), false});
        break;
      case wire::kProtoUdp:
        add("udp_src", Field::tp_src);
        add("udp_dst", Field::tp_dst);
        break;
      case wire::kProtoIcmp:
      case wire::kProtoIcmpv6:
        icmp();
        break;
      default:
        break;
    }
  }

  void icmp() {
    if ((key_.get(place::nw_proto) == wire::kProtoIcmpv6) != key_.is_ip6()) return;
    add("icmp_type", Field::icmp_type);
    add("icmp_code", Field::icmp_code);
    const std::uint64_t type = key_.get(place::tp_src);
    if (!key_.is_ip6() ||
        (type != wire::kNdNeighbourSolicitation && type != wire::kNdNeighbourAdvertisement))
      return;
    add("nd_target", Field::nd_target);
    if (key_.get(place::hw_src) != 0) add("nd_sll", Field::nd_sll);
    if (key_.get(place::hw_dst) != 0) add("nd_tll", Field::nd_tll);
  }

  /// "+syn+ack"; "0" if none is set.
  std::string flags() const {
    const auto& f = datapath::info(Field::tcp_flags);
    const std::uint64_t value = key_.get(place::tcp_flags);
    if (value == 0) return "0";
    return datapath::format_field_value(f, {{0, value}, {0, value}});
  }

  const FlowKey& key_;
  std::vector<PacketField> out_;
};

/// What ovs-ofctl calls such a packet; empty: only its type says.
std::string_view kind_of(const FlowKey& key) {
  const std::uint64_t proto = key.get(place::nw_proto);
  if (key.is_arp()) return "arp";
  if (key.is_ip4()) {
    return proto == wire::kProtoTcp    ? "tcp"
           : proto == wire::kProtoUdp  ? "udp"
           : proto == wire::kProtoSctp ? "sctp"
           : proto == wire::kProtoIcmp ? "icmp"
                                       : "ip";
  }
  if (!key.is_ip6()) return "";
  return proto == wire::kProtoTcp      ? "tcp6"
         : proto == wire::kProtoUdp    ? "udp6"
         : proto == wire::kProtoSctp   ? "sctp6"
         : proto == wire::kProtoIcmpv6 ? "icmp6"
                                       : "ipv6";
}

}  // namespace

std::vector<PacketField> packet_fields(const FlowKey& key) { return Fields(key).run(); }

std::string packet_text(const FlowKey& key) {
  std::string out(kind_of(key));
  const bool says_protocol = !out.empty() && out != "ip" && out != "ipv6";
  for (const PacketField& f : packet_fields(key)) {
    if (f.name == "eth_type" && !kind_of(key).empty()) continue;
    if (f.name == "nw_proto" && says_protocol) continue;
    if (f.name == "nw_tos" && f.text == "0") continue;
    if (!out.empty()) out += ',';
    out += fmt::format("{}={}", f.name, f.text);
  }
  return out;
}

FlowKey key_of(const Packet& packet) {
  FlowKey key;
  datapath::extract(packet, datapath::parse_headers(packet), key);
  return key;
}

}  // namespace weft::analysis
