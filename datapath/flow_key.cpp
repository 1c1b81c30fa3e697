#include "datapath/flow_key.h"

#include <algorithm>
#include <vector>

#include "base/hash.h"
#include "base/names.h"

namespace weft::datapath {

std::uint64_t hash_packet_part(const FlowKey& key, std::uint64_t seed) {
  const auto& w = key.w;
  // Not tos, ttl and TCP flags: they differ between the packets of one flow, and rules that look at
  // them are rare.
  const std::uint64_t w9 = w[9] & 0xFFFFFFFFFF0000FFULL, w14 = w[14] & ~0xFFFFULL;
  std::uint64_t a = fold_multiply(w[0] ^ seed, w[7] ^ 0xE7037ED1A0B428DBULL);
  std::uint64_t b = fold_multiply(w[8] ^ 0x8EBC6AF09C88C6E3ULL, w9 ^ seed);
  a = fold_multiply(a ^ w[10] ^ 0x589965CC75374CC3ULL, w[11] ^ w14 ^ 0x1D8E4E27C47D124FULL);
  b = fold_multiply(b ^ w[12] ^ 0xEB44ACCAB455D165ULL, w[13] ^ w[15] ^ 0x9E3779B97F4A7C15ULL);
  if ((w[1] | w[4] | w[5]) != 0) {  // it came through a tunnel
    a = fold_multiply(a ^ w[1], w[2] ^ w[6] ^ 0xA0761D6478BD642FULL);
    b = fold_multiply(b ^ w[3], w[4] ^ 0xE7037ED1A0B428DBULL);
    a = fold_multiply(a ^ w[5], 0x8EBC6AF09C88C6E3ULL);
  }
  if ((w[16] << 16 | w[17] | w[18] | w[19] | w[20] | w[21]) != 0) {  // ARP, neighbours, ct_label
    a = fold_multiply(a ^ w[16], w[17] ^ 0x589965CC75374CC3ULL);
    b = fold_multiply(b ^ w[18], w[19] ^ 0x1D8E4E27C47D124FULL);
    a = fold_multiply(a ^ w[20], w[21] ^ 0xEB44ACCAB455D165ULL);
  }
  return fold_multiply(a ^ 0xA0761D6478BD642FULL, b ^ seed);
}

std::uint32_t hash_inner_flow(const FlowKey& key, std::uint64_t seed) {
  const auto& w = key.w;
  // Not ttl, tos and fragment bits: one flow keeps one port.
  // Fragments count by addresses and protocol alone, the first like the later ones.
  const bool fragment = (w[9] >> 24 & 0xff) != 0;
  const std::uint64_t l4 = w[9] & (fragment ? 0xFFULL : 0xFFFFFFFF000000FFULL);
  std::uint64_t a = fold_multiply(w[7] ^ seed, w[8] ^ 0xE7037ED1A0B428DBULL);
  std::uint64_t b = fold_multiply(w[10] ^ w[11] ^ 0x8EBC6AF09C88C6E3ULL, w[12] ^ seed);
  a = fold_multiply(a ^ w[13], b ^ l4 ^ 0x589965CC75374CC3ULL);
  return static_cast<std::uint32_t>(a ^ a >> 32);
}

namespace {

using F = Field;
using P = Prerequisite;
using T = FieldFormat;

constexpr FieldInfo register_info(unsigned n, std::string_view name, std::string_view nxm) {
  const FieldPlace p = place::reg(n);
  return {static_cast<F>(static_cast<unsigned>(F::reg0) + n),
          name,
          "",
          nxm,
          p.word,
          p.shift,
          32,
          T::hex,
          P::none,
          true};
}

/// A word is xregN, two are xxregN: register 2N or 4N is the most significant.
constexpr FieldInfo wide_register(F first, unsigned n, bool two, std::string_view name,
                                  std::string_view nxm) {
  return {static_cast<F>(static_cast<unsigned>(first) + n),
          name,
          "",
          nxm,
          static_cast<std::uint8_t>(two ? 27 + 2 * n : 27 + n),
          0,
          static_cast<std::uint8_t>(two ? 128 : 64),
          T::hex,
          P::none,
          true};
}

constexpr std::array<FieldInfo, kFields> kTable{{
    {F::ct_state, "ct_state", "NXM_NX_CT_STATE", "NXM_NX_CT_STATE", 14, 32, 24, T::ct_state,
     P::none, false},
    {F::ct_zone, "ct_zone", "", "NXM_NX_CT_ZONE", 14, 16, 16, T::decimal, P::none, false},
    {F::ct_mark, "ct_mark", "", "NXM_NX_CT_MARK", 15, 0, 32, T::hex, P::none, false},
    {F::ct_label, "ct_label", "", "NXM_NX_CT_LABEL", 20, 0, 128, T::hex, P::none, false},
    {F::ct_nw_src, "ct_nw_src", "", "NXM_NX_CT_NW_SRC", 23, 0, 32, T::ip4, P::none, false},
    {F::ct_nw_dst, "ct_nw_dst", "", "NXM_NX_CT_NW_DST", 25, 0, 32, T::ip4, P::none, false},
    {F::ct_ipv6_src, "ct_ipv6_src", "", "NXM_NX_CT_IPV6_SRC", 22, 0, 128, T::ip6, P::none, false},
    {F::ct_ipv6_dst, "ct_ipv6_dst", "", "NXM_NX_CT_IPV6_DST", 24, 0, 128, T::ip6, P::none, false},
    {F::ct_nw_proto, "ct_nw_proto", "", "NXM_NX_CT_NW_PROTO", 14, 56, 8, T::decimal, P::none,
     false},
    {F::ct_tp_src, "ct_tp_src", "", "NXM_NX_CT_TP_SRC", 15, 32, 16, T::decimal, P::none, false},
    {F::ct_tp_dst, "ct_tp_dst", "", "NXM_NX_CT_TP_DST", 15, 48, 16, T::decimal, P::none, false},
    {F::pkt_mark, "pkt_mark", "", "NXM_NX_PKT_MARK", 35, 0, 32, T::hex, P::none, true},
    register_info(0, "reg0", "NXM_NX_REG0"),
    register_info(1, "reg1", "NXM_NX_REG1"),
    register_info(2, "reg2", "NXM_NX_REG2"),
    register_info(3, "reg3", "NXM_NX_REG3"),
    register_info(4, "reg4", "NXM_NX_REG4"),
    register_info(5, "reg5", "NXM_NX_REG5"),
    register_info(6, "reg6", "NXM_NX_REG6"),
    register_info(7, "reg7", "NXM_NX_REG7"),
    register_info(8, "reg8", "NXM_NX_REG8"),
    register_info(9, "reg9", "NXM_NX_REG9"),
    register_info(10, "reg10", "NXM_NX_REG10"),
    register_info(11, "reg11", "NXM_NX_REG11"),
    register_info(12, "reg12", "NXM_NX_REG12"),
    register_info(13, "reg13", "NXM_NX_REG13"),
    register_info(14, "reg14", "NXM_NX_REG14"),
    register_info(15, "reg15", "NXM_NX_REG15"),
    wide_register(F::xreg0, 0, false, "xreg0", "OXM_OF_PKT_REG0"),
    wide_register(F::xreg0, 1, false, "xreg1", "OXM_OF_PKT_REG1"),
    wide_register(F::xreg0, 2, false, "xreg2", "OXM_OF_PKT_REG2"),
    wide_register(F::xreg0, 3, false, "xreg3", "OXM_OF_PKT_REG3"),
    wide_register(F::xreg0, 4, false, "xreg4", "OXM_OF_PKT_REG4"),
    wide_register(F::xreg0, 5, false, "xreg5", "OXM_OF_PKT_REG5"),
    wide_register(F::xreg0, 6, false, "xreg6", "OXM_OF_PKT_REG6"),
    wide_register(F::xreg0, 7, false, "xreg7", "OXM_OF_PKT_REG7"),
    wide_register(F::xxreg0, 0, true, "xxreg0", "NXM_NX_XXREG0"),
    wide_register(F::xxreg0, 1, true, "xxreg1", "NXM_NX_XXREG1"),
    wide_register(F::xxreg0, 2, true, "xxreg2", "NXM_NX_XXREG2"),
    wide_register(F::xxreg0, 3, true, "xxreg3", "NXM_NX_XXREG3"),
    {F::tun_id, "tun_id", "tunnel_id OXM_OF_TUNNEL_ID", "NXM_NX_TUN_ID", 1, 0, 64, T::hex, P::none,
     true},
    {F::tun_src, "tun_src", "", "NXM_NX_TUN_IPV4_SRC", 3, 0, 32, T::ip4, P::none, true},
    {F::tun_dst, "tun_dst", "", "NXM_NX_TUN_IPV4_DST", 5, 0, 32, T::ip4, P::none, true},
    {F::tun_ipv6_src, "tun_ipv6_src", "", "NXM_NX_TUN_IPV6_SRC", 2, 0, 128, T::ip6, P::none, true},
    {F::tun_ipv6_dst, "tun_ipv6_dst", "", "NXM_NX_TUN_IPV6_DST", 4, 0, 128, T::ip6, P::none, true},
    {F::tun_tos, "tun_tos", "", "NXM_NX_TUN_TOS", 16, 48, 8, T::hex, P::none, false},
    {F::tun_ttl, "tun_ttl", "", "NXM_NX_TUN_TTL", 6, 56, 8, T::decimal, P::none, false},
    {F::tun_flags, "tun_flags", "", "NXM_NX_TUN_FLAGS", 6, 52, 1, T::tun_flags, P::none, true},
    {F::tun_metadata0, "tun_metadata0", "", "NXM_NX_TUN_METADATA0", 6, 0, 32, T::hex, P::none,
     true},
    {F::metadata, "metadata", "", "OXM_OF_METADATA", 26, 0, 64, T::hex, P::none, true},
    {F::in_port, "in_port", "NXM_OF_IN_PORT", "OXM_OF_IN_PORT", 0, 0, 32, T::decimal, P::none,
     true},
    {F::vlan_tci, "vlan_tci", "", "NXM_OF_VLAN_TCI", 7, 48, 16, T::hex, P::none, true},
    {F::vlan_vid, "vlan_vid", "", "OXM_OF_VLAN_VID", 7, 48, 13, T::hex, P::none, true},
    {F::dl_vlan, "dl_vlan", "", "NXM_OF_VLAN_VID", 7, 48, 12, T::decimal, P::vlan, true},
    {F::dl_vlan_pcp, "dl_vlan_pcp", "vlan_pcp", "OXM_OF_VLAN_PCP", 7, 61, 3, T::decimal, P::vlan,
     true},
    {F::eth_src, "dl_src", "eth_src OXM_OF_ETH_SRC", "NXM_OF_ETH_SRC", 8, 0, 48, T::mac, P::none,
     true},
    {F::eth_dst, "dl_dst", "eth_dst OXM_OF_ETH_DST", "NXM_OF_ETH_DST", 7, 0, 48, T::mac, P::none,
     true},
    {F::eth_type, "dl_type", "eth_type OXM_OF_ETH_TYPE", "NXM_OF_ETH_TYPE", 8, 48, 16, T::hex,
     P::none, false},
    {F::nw_src, "nw_src", "ip_src OXM_OF_IPV4_SRC", "NXM_OF_IP_SRC", 11, 0, 32, T::ip4, P::ip4,
     true},
    {F::nw_dst, "nw_dst", "ip_dst OXM_OF_IPV4_DST", "NXM_OF_IP_DST", 13, 0, 32, T::ip4, P::ip4,
     true},
    {F::ipv6_src, "ipv6_src", "OXM_OF_IPV6_SRC", "NXM_NX_IPV6_SRC", 10, 0, 128, T::ip6, P::ip6,
     true},
    {F::ipv6_dst, "ipv6_dst", "OXM_OF_IPV6_DST", "NXM_NX_IPV6_DST", 12, 0, 128, T::ip6, P::ip6,
     true},
    {F::ipv6_label, "ipv6_label", "ipv6_flabel OXM_OF_IPV6_FLABEL", "NXM_NX_IPV6_LABEL", 6, 32, 20,
     T::hex, P::ip6, true},
    {F::arp_spa, "arp_spa", "OXM_OF_ARP_SPA", "NXM_OF_ARP_SPA", 11, 0, 32, T::ip4, P::arp, true},
    {F::arp_tpa, "arp_tpa", "OXM_OF_ARP_TPA", "NXM_OF_ARP_TPA", 13, 0, 32, T::ip4, P::arp, true},
    {F::arp_op, "arp_op", "OXM_OF_ARP_OP", "NXM_OF_ARP_OP", 9, 0, 8, T::decimal, P::arp, true},
    {F::nw_proto, "nw_proto", "ip_proto OXM_OF_IP_PROTO", "NXM_OF_IP_PROTO", 9, 0, 8, T::decimal,
     P::ip, false},
    {F::nw_tos, "nw_tos", "", "NXM_OF_IP_TOS", 9, 8, 8, T::decimal, P::ip, true},
    {F::nw_ecn, "nw_ecn", "ip_ecn OXM_OF_IP_ECN", "NXM_NX_IP_ECN", 9, 8, 2, T::decimal, P::ip,
     true},
    {F::nw_ttl, "nw_ttl", "ip_ttl nw_hlim", "NXM_NX_IP_TTL", 9, 16, 8, T::decimal, P::ip, true},
    {F::ip_frag, "nw_frag", "ip_frag", "NXM_NX_IP_FRAG", 9, 24, 2, T::frag, P::ip, false},
    {F::tp_src, "tp_src",
     "tcp_src udp_src sctp_src NXM_OF_TCP_SRC NXM_OF_UDP_SRC OXM_OF_UDP_SRC OXM_OF_SCTP_SRC",
     "OXM_OF_TCP_SRC", 9, 32, 16, T::decimal, P::ports, true},
    {F::tp_dst, "tp_dst",
     "tcp_dst udp_dst sctp_dst NXM_OF_TCP_DST NXM_OF_UDP_DST OXM_OF_UDP_DST OXM_OF_SCTP_DST",
     "OXM_OF_TCP_DST", 9, 48, 16, T::decimal, P::ports, true},
    {F::tcp_flags, "tcp_flags", "OXM_OF_TCP_FLAGS", "NXM_NX_TCP_FLAGS", 14, 0, 12, T::tcp_flags,
     P::tcp, false},
    {F::icmp_type, "icmp_type",
     "icmpv6_type NXM_OF_ICMP_TYPE NXM_NX_ICMPV6_TYPE OXM_OF_ICMPV6_TYPE", "OXM_OF_ICMPV4_TYPE", 9,
     32, 8, T::decimal, P::icmp, true},
    {F::icmp_code, "icmp_code",
     "icmpv6_code NXM_OF_ICMP_CODE NXM_NX_ICMPV6_CODE OXM_OF_ICMPV6_CODE", "OXM_OF_ICMPV4_CODE", 9,
     48, 8, T::decimal, P::icmp, true},
    {F::arp_sha, "arp_sha", "OXM_OF_ARP_SHA", "NXM_NX_ARP_SHA", 16, 0, 48, T::mac, P::arp, true},
    {F::arp_tha, "arp_tha", "OXM_OF_ARP_THA", "NXM_NX_ARP_THA", 17, 0, 48, T::mac, P::arp, true},
    {F::nd_target, "nd_target", "OXM_OF_IPV6_ND_TARGET", "NXM_NX_ND_TARGET", 18, 0, 128, T::ip6,
     P::nd, true},
    {F::nd_sll, "nd_sll", "OXM_OF_IPV6_ND_SLL", "NXM_NX_ND_SLL", 16, 0, 48, T::mac, P::nd, true},
    {F::nd_tll, "nd_tll", "OXM_OF_IPV6_ND_TLL", "NXM_NX_ND_TLL", 17, 0, 48, T::mac, P::nd, true},
}};

constexpr bool table_is_in_order() {
  for (unsigned i = 0; i < kFields; ++i)
    if (static_cast<unsigned>(kTable[i].id) != i) return false;
  return true;
}
static_assert(table_is_in_order());

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    if (low(a[i]) != low(b[i])) return false;
  }
  return true;
}

template <class Visit>
void for_each_alias(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const auto space = list.find(' ');
    visit(list.substr(0, space));
    list = space == std::string_view::npos ? std::string_view{} : list.substr(space + 1);
  }
}

}  // namespace

const FieldInfo& info(Field field) { return kTable[static_cast<std::size_t>(field)]; }

const FieldInfo* find_field(std::string_view name) {
  struct Name {
    std::string_view text;
    const FieldInfo* field;
  };
  static const std::vector<Name> kNames = [] {
    std::vector<Name> names;
    for (const FieldInfo& f : kTable) {
      names.push_back({f.name, &f});
      names.push_back({f.nxm, &f});
      for_each_alias(f.aliases, [&](std::string_view a) { names.push_back({a, &f}); });
    }
    std::sort(names.begin(), names.end(), [](auto& a, auto& b) { return a.text < b.text; });
    return names;
  }();
  const auto it = std::lower_bound(kNames.begin(), kNames.end(), name,
                                   [](const Name& n, std::string_view t) { return n.text < t; });
  if (it != kNames.end() && it->text == name) return it->field;
  if (name.find("xm_") == 1 || name.find("xx_") == 1)  // NXM names in small letters
    for (const Name& n : kNames)
      if (equal_ignoring_case(n.text, name)) return n.field;
  return nullptr;
}

std::string nearest_field(std::string_view wrong) {
  std::vector<std::string> names;
  for (const FieldInfo& f : kTable) {
    names.emplace_back(f.name);
    for_each_alias(f.aliases, [&](std::string_view a) {
      if (a.find("XM_") != 1) names.emplace_back(a);
    });
  }
  return nearest_name(wrong, names);
}

Ip6 read_field(const FlowKey& key, const FieldInfo& field) {
  if (field.bits == 128) return key.get128(field.word);
  return {0, key.get(field.at())};
}

void write_field(FlowKey& key, const FieldInfo& field, Ip6 value) {
  if (field.bits == 128)
    key.set128(field.word, value);
  else
    key.set(field.at(), value.low);
}

void write_field_masked(FlowKey& key, const FieldInfo& field, Ip6 value, Ip6 mask) {
  const Ip6 old = read_field(key, field);
  write_field(key, field,
              {(old.high & ~mask.high) | (value.high & mask.high),
               (old.low & ~mask.low) | (value.low & mask.low)});
}

Ip6 field_ones(const FieldInfo& field) {
  if (field.bits == 128) return {~0ULL, ~0ULL};
  if (field.id == Field::nw_tos) return {0, 0xfc};  // the other two bits are nw_ecn
  return {0, field.at().ones()};
}

}  // namespace weft::datapath
