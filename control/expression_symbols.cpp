#include "control/expression_symbols.h"

#include <algorithm>
#include <span>

#include "base/names.h"

namespace weft::control {
namespace {

using F = datapath::Field;

/// `needs` is an expression of symbols further up.
struct NumberRow {
  const char* name;
  F field;
  std::uint8_t first, bits;
  bool nominal;
  const char* needs;
};
struct PredicateRow {
  const char* name;
  const char* stands_for;
};

// clang-format off
constexpr NumberRow kRegisters[] = {
    {"reg0", F::reg0, 0, 32, false, ""}, {"reg1", F::reg1, 0, 32, false, ""},
    {"reg2", F::reg2, 0, 32, false, ""}, {"reg3", F::reg3, 0, 32, false, ""},
    {"reg4", F::reg4, 0, 32, false, ""}, {"reg5", F::reg5, 0, 32, false, ""},
    {"reg6", F::reg6, 0, 32, false, ""}, {"reg7", F::reg7, 0, 32, false, ""},
    {"reg8", F::reg8, 0, 32, false, ""}, {"reg9", F::reg9, 0, 32, false, ""},
    {"xreg0", F::xreg0, 0, 64, false, ""}, {"xreg1", F::xreg1, 0, 64, false, ""},
    {"xreg2", F::xreg2, 0, 64, false, ""}, {"xreg3", F::xreg3, 0, 64, false, ""},
    {"xreg4", F::xreg4, 0, 64, false, ""},
    {"xxreg0", F::xxreg0, 0, 128, false, ""}, {"xxreg1", F::xxreg1, 0, 128, false, ""},
    {"pkt.mark", F::pkt_mark, 0, 32, false, ""},
};
constexpr NumberRow kConnection[] = {
    {"ct_mark", F::ct_mark, 0, 32, false, ""},
    {"ct_label", F::ct_label, 0, 128, false, ""},
    {"ct_state", F::ct_state, 0, 24, false, ""},
    {"ct.trk", F::ct_state, 5, 1, false, ""},
    {"ct.new", F::ct_state, 0, 1, false, "ct.trk"},
    {"ct.est", F::ct_state, 1, 1, false, "ct.trk"},
    {"ct.rel", F::ct_state, 2, 1, false, "ct.trk"},
    {"ct.rpl", F::ct_state, 3, 1, false, "ct.trk"},
    {"ct.inv", F::ct_state, 4, 1, false, "ct.trk"},
    {"ct.snat", F::ct_state, 6, 1, false, "ct.trk"},
    {"ct.dnat", F::ct_state, 7, 1, false, "ct.trk"},
};
constexpr NumberRow kEthernet[] = {
    {"eth.src", F::eth_src, 0, 48, false, ""},
    {"eth.dst", F::eth_dst, 0, 48, false, ""},
    {"eth.type", F::eth_type, 0, 16, true, ""},
    {"eth.mcast", F::eth_dst, 40, 1, false, ""},
    {"vlan.tci", F::vlan_tci, 0, 16, false, ""},
};
constexpr PredicateRow kEthernetWords[] = {
    {"eth.bcast", "eth.dst == ff:ff:ff:ff:ff:ff"},
    {"eth.mcastv6", "eth.dst[32..47] == 0x3333"},
    {"vlan.present", "vlan.tci[12]"},
    {"ip4", "eth.type == 0x800"},
    {"ip6", "eth.type == 0x86dd"},
    {"ip", "ip4 || ip6"},
    {"arp", "eth.type == 0x806"},
    {"rarp", "eth.type == 0x8035"},
};
constexpr NumberRow kNetwork[] = {
    {"vlan.vid", F::vlan_tci, 0, 12, false, "vlan.present"},
    {"vlan.pcp", F::vlan_tci, 13, 3, false, "vlan.present"},
    {"ip.proto", F::nw_proto, 0, 8, true, "ip"},
    {"ip.dscp", F::nw_tos, 2, 6, true, "ip"},
    {"ip.ecn", F::nw_tos, 0, 2, true, "ip"},
    {"ip.ttl", F::nw_ttl, 0, 8, true, "ip"},
    {"ip.frag", F::ip_frag, 0, 2, false, "ip"},
    {"ip4.src", F::nw_src, 0, 32, false, "ip4"},
    {"ip4.dst", F::nw_dst, 0, 32, false, "ip4"},
    {"ip6.src", F::ipv6_src, 0, 128, false, "ip6"},
    {"ip6.dst", F::ipv6_dst, 0, 128, false, "ip6"},
    {"ip6.label", F::ipv6_label, 0, 20, false, "ip6"},
    {"arp.op", F::arp_op, 0, 8, true, "arp"},
    {"arp.spa", F::arp_spa, 0, 32, false, "arp"},
    {"arp.sha", F::arp_sha, 0, 48, false, "arp"},
    {"arp.tpa", F::arp_tpa, 0, 32, false, "arp"},
    {"arp.tha", F::arp_tha, 0, 48, false, "arp"},
    {"rarp.op", F::arp_op, 0, 8, true, "rarp"},
    {"rarp.spa", F::arp_spa, 0, 32, false, "rarp"},
    {"rarp.sha", F::arp_sha, 0, 48, false, "rarp"},
    {"rarp.tpa", F::arp_tpa, 0, 32, false, "rarp"},
    {"rarp.tha", F::arp_tha, 0, 48, false, "rarp"},
};
constexpr PredicateRow kNetworkWords[] = {
    {"ip.is_frag", "ip.frag[0]"},
    {"ip.later_frag", "ip.frag[1]"},
    {"ip.first_frag", "ip.is_frag && !ip.later_frag"},
    {"ip4.src_mcast", "ip4.src[28..31] == 0xe"},
    {"ip4.mcast", "eth.mcast && ip4.dst[28..31] == 0xe"},
    {"ip6.mcast_rsvd", "ip6.dst[116..127] == 0xff0 && ip6.dst[0..111] == 0"},
    {"ip6.mcast_all_nodes", "ip6.dst == {ff01::1, ff02::1}"},
    {"ip6.mcast_all_rtrs", "ip6.dst == {ff01::2, ff02::2, ff05::2}"},
    {"ip6.mcast_sol_node", "ip6.dst == ff02::1:ff00:0/104"},
    {"ip6.mcast_flood",
     "eth.mcastv6 && (ip6.mcast_rsvd || ip6.mcast_all_nodes || ip6.mcast_all_rtrs || "
     "ip6.mcast_sol_node)"},
    {"ip6.mcast", "eth.mcastv6 && ip6.dst[120..127] == 0xff"},
    {"icmp4", "ip4 && ip.proto == 1"},
    {"icmp6", "ip6 && ip.proto == 58"},
    {"icmp", "icmp4 || icmp6"},
    {"igmp", "ip4.mcast && ip.proto == 2"},
    {"tcp", "ip.proto == 6"},
    {"udp", "ip.proto == 17"},
    {"sctp", "ip.proto == 132"},
};
constexpr NumberRow kTransport[] = {
    {"icmp4.type", F::icmp_type, 0, 8, true, "icmp4"},
    {"icmp4.code", F::icmp_code, 0, 8, true, "icmp4"},
    {"icmp6.type", F::icmp_type, 0, 8, true, "icmp6"},
    {"icmp6.code", F::icmp_code, 0, 8, true, "icmp6"},
    {"tcp.src", F::tp_src, 0, 16, false, "tcp"},
    {"tcp.dst", F::tp_dst, 0, 16, false, "tcp"},
    {"tcp.flags", F::tcp_flags, 0, 12, false, "tcp"},
    {"udp.src", F::tp_src, 0, 16, false, "udp"},
    {"udp.dst", F::tp_dst, 0, 16, false, "udp"},
    {"sctp.src", F::tp_src, 0, 16, false, "sctp"},
    {"sctp.dst", F::tp_dst, 0, 16, false, "sctp"},
};
constexpr PredicateRow kNeighbourWords[] = {
    {"nd", "icmp6.type == {135, 136} && icmp6.code == 0 && ip.ttl == 255"},
    {"nd_ns", "icmp6.type == 135 && icmp6.code == 0 && ip.ttl == 255"},
    {"nd_ns_mcast", "ip6.mcast && icmp6.type == 135 && icmp6.code == 0 && ip.ttl == 255"},
    {"nd_na", "icmp6.type == 136 && icmp6.code == 0 && ip.ttl == 255"},
    {"nd_rs", "icmp6.type == 133 && icmp6.code == 0 && ip.ttl == 255"},
    {"nd_ra", "icmp6.type == 134 && icmp6.code == 0 && ip.ttl == 255"},
    {"mldv1", "eth.mcastv6 && ip6.src == fe80::/10 && icmp6.type == {130, 131, 132}"},
    {"mldv2", "eth.mcastv6 && ip6.dst == ff02::16 && icmp6.type == 143"},
};
constexpr NumberRow kNeighbour[] = {
    {"nd.target", F::nd_target, 0, 128, false, "nd"},
    {"nd.sll", F::nd_sll, 0, 48, false, "nd_ns"},
    {"nd.tll", F::nd_tll, 0, 48, false, "nd_na"},
};
// clang-format on

/// Whether a predicate can only be tested positively: it is made of what can.
bool any_nominal(const Expression& e) {
  if (e.symbol != nullptr && e.symbol->nominal) return true;
  return std::any_of(e.children.begin(), e.children.end(), any_nominal);
}

Expression known(const char* text, const SymbolTable& table) {
  return parse_expression(text, ParseOptions{true}, table).value();
}

void add_numbers(SymbolTable& table, std::span<const NumberRow> rows) {
  for (const NumberRow& row : rows) {
    Symbol s;
    s.name = row.name;
    s.field = row.field;
    s.first = row.first;
    s.bits = row.bits;
    s.nominal = row.nominal;
    if (*row.needs != '\0') s.needs.push_back(known(row.needs, table));
    table.add(std::move(s));
  }
}

void add_predicates(SymbolTable& table, std::span<const PredicateRow> rows) {
  for (const PredicateRow& row : rows) {
    Symbol s;
    s.name = row.name;
    s.kind = Symbol::Kind::predicate;
    s.bits = 1;
    s.stands_for.push_back(known(row.stands_for, table));
    s.nominal = any_nominal(s.stands_for.front());
    table.add(std::move(s));
  }
}

SymbolTable made() {
  SymbolTable t;
  for (const char* name : {"inport", "outport"}) {
    Symbol s;
    s.name = name;
    s.kind = Symbol::Kind::port;
    s.nominal = true;
    t.add(std::move(s));
  }
  add_numbers(t, kRegisters);
  add_numbers(t, kConnection);
  add_numbers(t, kEthernet);
  add_predicates(t, kEthernetWords);
  add_numbers(t, kNetwork);
  add_predicates(t, kNetworkWords);
  add_numbers(t, kTransport);
  add_predicates(t, kNeighbourWords);
  add_numbers(t, kNeighbour);
  return t;
}

auto place_of(const std::vector<const Symbol*>& by_name, std::string_view name) {
  return std::lower_bound(by_name.begin(), by_name.end(), name,
                          [](const Symbol* s, std::string_view n) { return s->name < n; });
}

}  // namespace

void SymbolTable::add(Symbol symbol) {
  symbol.index = all_.size();
  all_.push_back(std::move(symbol));
  by_name_.insert(place_of(by_name_, all_.back().name), &all_.back());
}

const Symbol* SymbolTable::find(std::string_view name) const {
  const auto it = place_of(by_name_, name);
  return it != by_name_.end() && (*it)->name == name ? *it : nullptr;
}

std::string SymbolTable::nearest(std::string_view wrong) const {
  std::vector<std::string> names;
  names.reserve(all_.size());
  for (const Symbol& s : all_) names.push_back(s.name);
  return nearest_name(wrong.substr(0, 64), names);
}

const SymbolTable& symbols() {
  static const SymbolTable kTable = made();
  return kTable;
}

}  // namespace weft::control
