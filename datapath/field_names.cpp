#include "datapath/field_names.h"

#include <fmt/core.h>

#include <algorithm>

namespace weft::datapath {
namespace {

struct Variant {
  Field field;
  std::uint16_t eth_type;  ///< 0: any
  std::uint8_t proto;
  std::string_view name;
  std::string_view nxm;
  std::string_view word;  ///< of a match
};
constexpr Variant kVariants[] = {
    {Field::tp_src, 0, 6, "tcp_src", "NXM_OF_TCP_SRC", "tcp or tcp6"},
    {Field::tp_src, 0, 17, "udp_src", "NXM_OF_UDP_SRC", "udp or udp6"},
    {Field::tp_src, 0, 132, "sctp_src", "OXM_OF_SCTP_SRC", "sctp or sctp6"},
    {Field::tp_dst, 0, 6, "tcp_dst", "NXM_OF_TCP_DST", "tcp or tcp6"},
    {Field::tp_dst, 0, 17, "udp_dst", "NXM_OF_UDP_DST", "udp or udp6"},
    {Field::tp_dst, 0, 132, "sctp_dst", "OXM_OF_SCTP_DST", "sctp or sctp6"},
    {Field::icmp_type, 0x0800, 1, "icmp_type", "NXM_OF_ICMP_TYPE", "icmp"},
    {Field::icmp_type, 0x86dd, 58, "icmpv6_type", "NXM_NX_ICMPV6_TYPE", "icmp6"},
    {Field::icmp_code, 0x0800, 1, "icmp_code", "NXM_OF_ICMP_CODE", "icmp"},
    {Field::icmp_code, 0x86dd, 58, "icmpv6_code", "NXM_NX_ICMPV6_CODE", "icmp6"}};

/// The protocol that a name speaks of; empty: none, or any.
std::string_view family(std::string_view name) {
  constexpr std::string_view kFamilies[] = {"sctp_", "icmpv6_", "tcp_", "udp_"};
  std::string small;
  for (const char c : name.substr(0, name.find('[')))
    small += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  for (const std::string_view f : kFamilies)
    if (small.find(f) != std::string::npos) return f;
  if (small.find("icmp_") != std::string::npos || small.find("icmpv4_") != std::string::npos)
    return "icmp_";
  return {};
}

bool says(const Match& m, const Variant& v) {
  return m.mask.get(place::nw_proto) == 0xff && m.value.get(place::nw_proto) == v.proto &&
         (v.eth_type == 0 ||
          (m.mask.get(place::eth_type) == 0xffff && m.value.get(place::eth_type) == v.eth_type));
}

const Variant* variant_for(Field field, const Match* match) {
  const Variant* first = nullptr;
  for (const Variant& v : kVariants) {
    if (v.field != field) continue;
    if (first == nullptr) first = &v;
    if (match != nullptr && says(*match, v)) return &v;
  }
  return first;
}

bool says_tagged(const Match& m) {
  return (m.mask.get(place::vlan_tci) & m.value.get(place::vlan_tci) & kVlanPresent) != 0;
}

std::string_view word_for(const FieldInfo& f) {
  switch (f.needs) {
    case Prerequisite::ip4:
      return "ip";
    case Prerequisite::ip6:
      return "ipv6";
    case Prerequisite::ip:
      return "ip or ipv6";
    case Prerequisite::arp:
      return "arp";
    case Prerequisite::ports:
      return "tcp, udp, tcp6 or udp6";
    case Prerequisite::tcp:
      return "tcp or tcp6";
    case Prerequisite::icmp:
      return "icmp or icmp6";
    case Prerequisite::nd:
      return f.id == Field::nd_sll   ? "icmp6,icmp_type=135"
             : f.id == Field::nd_tll ? "icmp6,icmp_type=136"
                                     : "icmp6,icmp_type=135 or icmp6,icmp_type=136";
    case Prerequisite::vlan:
      return "dl_vlan=N or vlan_tci=0x1000/0x1000";
    case Prerequisite::none:
      break;
  }
  return "";
}

}  // namespace

Result<> check_known(const Piece& p, const FieldInfo& f, const Known& known) {
  if (known.match == nullptr) return {};
  const Match& m = *known.match;
  const bool vid = f.id == Field::vlan_vid;
  bool there = f.needs == Prerequisite::vlan || vid ? known.tagged || says_tagged(m)
                                                    : has_prerequisite(m, f.needs);
  std::string_view word = vid ? word_for(info(Field::dl_vlan)) : word_for(f);
  if (there && f.needs == Prerequisite::nd) {
    const auto type = m.mask.get(place::tp_src) == 0 ? 0 : m.value.get(place::tp_src);
    there = (type == 135 && f.id != Field::nd_tll) || (type == 136 && f.id != Field::nd_sll);
  }
  if (const std::string_view own = family(p.text); there && !own.empty())
    for (const Variant& v : kVariants)
      if (v.field == f.id && v.name.starts_with(own)) {
        there = says(m, v);
        word = v.word;
      }
  if (there) return {};
  return fail(p,
              fmt::format("{} exists only in some packets, and the match does not say which",
                          p.text.substr(0, p.text.find('['))),
              fmt::format("add {} to the match", word));
}

std::string_view name_of_field(const FieldInfo& f, const Match* match) {
  if (f.id == Field::dl_vlan_pcp) return "vlan_pcp";
  const Variant* v = variant_for(f.id, match);
  return v == nullptr ? f.name : v->name;
}

std::string format_range(const FieldRange& r, const Match* match) {
  const FieldInfo& f = info(r.field);
  if (r.field == Field::in_port && r.from == 0 && r.bits == 16) return "NXM_OF_IN_PORT[]";
  const Variant* v = variant_for(f.id, match);
  const std::string_view nxm = f.id == Field::dl_vlan ? "OXM_OF_VLAN_VID"
                               : v == nullptr         ? f.nxm
                                                      : v->nxm;
  if (r.from == 0 && r.bits == f.bits && f.id != Field::dl_vlan) return fmt::format("{}[]", nxm);
  if (r.bits == 1) return fmt::format("{}[{}]", nxm, r.from);
  return fmt::format("{}[{}..{}]", nxm, r.from, r.from + r.bits - 1);
}

}  // namespace weft::datapath
