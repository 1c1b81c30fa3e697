// Random match expressions, and packets that they have a chance to be true of.
#pragma once

#include <iterator>
#include <string>
#include <vector>

#include "control/expression_match.h"
#include "control/expression_symbols.h"

namespace weft::control::test {

struct Lcg {
  std::uint64_t state;
  std::uint64_t next() {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state >> 24;
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  template <class List>
  auto& one_of(const List& list) {
    return list[below(std::size(list))];
  }
};

inline Constant number(std::string_view text) { return parse_constant(text).value(); }

/// Two ports, two groups, sets of each family.
inline NameTable some_names() {
  NameTable n;
  n.ports = {{"p1", 1}, {"p2", 2}, {"p3", 0x8003}};
  n.port_groups = {{"g", {"p1", "p2"}}, {"none", {}}, {"odd", {"p3", "gone"}}};
  n.address_sets = {{"v4", {number("10.0.0.1"), number("10.0.0.0/30"), number("192.168.0.0/16")}},
                    {"v6", {number("fd00::1"), number("fd00::/64")}},
                    {"mac", {number("02:00:00:00:00:01")}},
                    {"empty", {}}};
  n.residents = {"p1"};
  return n;
}

/// Values that constants and packets share, so that comparisons are often true.
inline const char* const kIp4[] = {"10.0.0.0", "10.0.0.1", "10.0.0.2", "192.168.1.1", "224.0.0.1"};
inline const char* const kIp6[] = {"fd00::", "fd00::1", "fd00:0:0:1::1", "fe80::1", "ff02::1"};
inline const char* const kMac[] = {"02:00:00:00:00:01", "02:00:00:00:00:02", "33:33:00:00:00:01",
                                   "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"};
inline const unsigned kSmall[] = {0, 1, 2, 3, 6, 17, 58, 80, 132, 133, 134, 135, 136, 255};
inline const unsigned kTypes[] = {0x800, 0x86dd, 0x806, 0x8035, 0x8847};
inline const unsigned kPorts[] = {0, 1, 79, 80, 81, 443, 1024, 2047, 65535};

/// A constant of at most `bits` bits for the symbol.
inline std::string random_constant(const Symbol& s, unsigned bits, bool may_mask, Lcg& r) {
  using F = datapath::Field;
  if (bits == datapath::info(s.field).bits) {
    switch (s.field) {
      case F::nw_src:
      case F::nw_dst:
      case F::arp_spa:
      case F::arp_tpa:
        if (may_mask && r.below(4) == 0) return "10.0.0.0/" + std::to_string(8 + 2 * r.below(12));
        return r.one_of(kIp4);
      case F::ipv6_src:
      case F::ipv6_dst:
      case F::nd_target:
        if (may_mask && r.below(4) == 0) return "fd00::/" + std::to_string(16 + r.below(100));
        return r.one_of(kIp6);
      case F::eth_src:
      case F::eth_dst:
      case F::arp_sha:
      case F::arp_tha:
      case F::nd_sll:
      case F::nd_tll:
        return r.one_of(kMac);
      case F::eth_type:
        return "0x" + std::string(r.below(2) == 0 ? "800" : r.below(2) == 0 ? "86dd" : "806");
      case F::tp_src:
      case F::tp_dst:
        if (!may_mask || r.below(4) != 0) return std::to_string(r.one_of(kPorts));
        return "0x50/0xfff0";
      default:
        break;
    }
  }
  const std::uint64_t most = bits >= 16 ? 0xffff : (1ULL << bits) - 1;
  std::uint64_t v = r.one_of(kSmall) & most;
  if (!may_mask || r.below(4) != 0) return std::to_string(v);
  const std::uint64_t mask = r.next() & most;
  return std::to_string(v & mask) + "/" + std::to_string(mask);
}

inline std::string random_leaf(const ParseOptions& options, Lcg& r) {
  const auto& all = symbols().all();
  const Symbol& s = r.below(8) == 0 ? all[r.below(2)] : all[r.below(all.size())];
  if (r.below(30) == 0) return r.below(2) == 0 ? "1" : "0";
  if (r.below(30) == 0) return "is_chassis_resident(\"p" + std::to_string(1 + r.below(2)) + "\")";
  const bool any = options.any_comparison || !s.nominal;
  if (s.kind == Symbol::Kind::predicate) return any && r.below(3) == 0 ? "!" + s.name : s.name;
  if (s.kind == Symbol::Kind::port) {
    static const char* const values[] = {"\"p1\"",       "\"p2\"",          "\"p3\"", "@g",
                                         "{@g, \"p3\"}", "{\"p1\", @none}", "@odd"};
    return s.name + (any && r.below(3) == 0 ? " != " : " == ") + r.one_of(values);
  }
  std::string name = s.name;
  unsigned bits = s.bits;
  if (any && s.bits > 1 && r.below(6) == 0) {
    const auto low = r.below(s.bits),
               high = low + r.below(std::min<std::uint64_t>(s.bits - low, 9));
    name += "[" + std::to_string(low) + ".." + std::to_string(high) + "]";
    bits = static_cast<unsigned>(high - low + 1);
  }
  if (bits == 1 && r.below(2) == 0) return (r.below(2) == 0 ? "!" : "") + name;
  if (any && r.below(3) == 0) {
    static const char* const relations[] = {" < ", " <= ", " > ", " >= "};
    if (r.below(4) == 0)
      return random_constant(s, bits, false, r) + " <= " + name + " < " +
             random_constant(s, bits, false, r);
    return name + r.one_of(relations) + random_constant(s, bits, false, r);
  }
  const char* const relation = any && r.below(3) == 0 ? " != " : " == ";
  if (bits == 32 && r.below(4) == 0) return name + relation + (r.below(5) == 0 ? "$empty" : "$v4");
  if (bits == 128 && r.below(4) == 0) return name + relation + "$v6";
  if (bits == 48 && r.below(4) == 0) return name + relation + "{$mac, ff:ff:ff:ff:ff:ff}";
  if (r.below(3) != 0) return name + relation + random_constant(s, bits, true, r);
  std::string set = "{";
  for (auto n = 1 + r.below(3); n > 0; --n) set += random_constant(s, bits, true, r) + ", ";
  return name + relation + set + "}";
}

inline std::string random_text(const ParseOptions& options, int depth, Lcg& r) {
  if (depth == 0 || r.below(3) == 0) return random_leaf(options, r);
  const char* const joint = r.below(2) == 0 ? " && " : " || ";
  std::string out;
  for (auto n = 2 + r.below(2); n > 0; --n) {
    if (!out.empty()) out += joint;
    const bool negated = options.any_comparison && r.below(5) == 0;
    out += (negated ? "!(" : "(") + random_text(options, depth - 1, r) + ")";
  }
  return out;
}

/// A packet that could exist: a field that it does not have is zero.
inline datapath::FlowKey random_packet(Lcg& r) {
  namespace at = datapath::place;
  datapath::FlowKey k;
  const auto mac = [&] { return parse_mac(r.one_of(kMac)).value().to_u64(); };
  const auto ip4 = [&] { return parse_ip(r.one_of(kIp4)).value().bits.low + r.below(3); };
  k.set(at::eth_src, mac());
  k.set(at::eth_dst, mac());
  if (r.below(3) == 0) k.set(at::vlan_tci, datapath::kVlanPresent | (r.next() & 0xe007));
  for (unsigned n = 0; n < 10; ++n) k.set(at::reg(n), r.one_of(kSmall));
  k.set(at::reg(14), 1 + r.below(3));
  k.set(at::reg(15), r.below(2) == 0 ? 0x8003 : 1 + r.below(3));
  k.set(at::pkt_mark, r.one_of(kSmall));
  if (r.below(3) != 0) {
    k.set(at::ct_state, 0x20 | r.below(256));
    k.set(at::ct_mark, r.one_of(kSmall));
    k.set128(at::ct_label, {r.one_of(kSmall), r.one_of(kSmall)});
  }
  const std::uint64_t type = r.below(3) == 0 ? r.one_of(kTypes) : kTypes[r.below(2)];
  k.set(at::eth_type, type);
  if (type == 0x806 || type == 0x8035) {
    k.set(at::nw_proto, r.below(5));
    k.set(at::nw_src, ip4());
    k.set(at::nw_dst, ip4());
    k.set(at::hw_src, mac());
    k.set(at::hw_dst, mac());
  }
  if (type != 0x800 && type != 0x86dd) return k;
  if (type == 0x800) {
    k.set(at::nw_src, ip4());
    k.set(at::nw_dst, ip4());
  } else {
    k.set128(at::ip_src, parse_ip(r.one_of(kIp6)).value().bits);
    k.set128(at::ip_dst, parse_ip(r.one_of(kIp6)).value().bits);
    k.set(at::ipv6_label, r.below(4));
  }
  static const unsigned protocols[] = {6, 6, 17, 132, 2, 1, 58, 58};
  const std::uint64_t protocol = r.one_of(protocols);
  k.set(at::nw_proto, protocol);
  k.set(at::nw_tos, r.next() & 0xff);
  k.set(at::nw_ttl, r.below(2) == 0 ? 255 : r.one_of(kSmall));
  const auto fragment = r.below(8);
  if (fragment == 0) k.set(at::nw_frag, datapath::kFragAny);
  if (fragment == 1) {
    k.set(at::nw_frag, datapath::kFragAny | datapath::kFragLater);
    return k;
  }
  if (protocol == 6 || protocol == 17 || protocol == 132) {
    k.set(at::tp_src, r.one_of(kPorts));
    k.set(at::tp_dst, r.one_of(kPorts));
    if (protocol == 6) k.set(at::tcp_flags, r.below(512));
  }
  if ((protocol == 1 && type == 0x800) || (protocol == 58 && type == 0x86dd)) {
    const std::uint64_t icmp = r.one_of(kSmall);
    k.set(at::tp_src, icmp);
    k.set(at::tp_dst, r.below(2));
    if (type == 0x86dd && (icmp == 135 || icmp == 136)) {
      k.set128(at::nd_target, parse_ip(r.one_of(kIp6)).value().bits);
      k.set(icmp == 135 ? at::hw_src : at::hw_dst, mac());
    }
  }
  return k;
}

}  // namespace weft::control::test
