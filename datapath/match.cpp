#include "datapath/match.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "datapath/text_piece.h"

namespace weft::datapath {
namespace {

struct Shorthand {
  std::string_view name;
  std::uint16_t eth_type;
  int proto;  // -1: any
};
constexpr std::uint32_t kLocal = 0xfffe;

constexpr Shorthand kShorthands[] = {
    {"ip", 0x0800, -1},  {"ipv6", 0x86dd, -1}, {"arp", 0x0806, -1},   {"rarp", 0x8035, -1},
    {"tcp", 0x0800, 6},  {"udp", 0x0800, 17},  {"icmp", 0x0800, 1},   {"sctp", 0x0800, 132},
    {"tcp6", 0x86dd, 6}, {"udp6", 0x86dd, 17}, {"icmp6", 0x86dd, 58}, {"sctp6", 0x86dd, 132},
    {"ip4", 0x0800, -1}, {"ip6", 0x86dd, -1},  {"icmpv6", 0x86dd, 58}};

Error at_column(Error e, int column) {
  e.place.column = column;
  return e;
}

/// What a match says about the kind of packet.
struct Kind {
  int eth_type = -1;
  int proto = -1;
  explicit Kind(const Match& m) {
    if (m.mask.get(place::eth_type) == 0xffff)
      eth_type = static_cast<int>(m.value.get(place::eth_type));
    if (m.mask.get(place::nw_proto) == 0xff) proto = static_cast<int>(m.value.get(place::nw_proto));
  }
  bool ip4() const { return eth_type == 0x0800; }
  bool ip6() const { return eth_type == 0x86dd; }
  bool ip() const { return ip4() || ip6(); }
  bool arp() const { return eth_type == 0x0806 || eth_type == 0x8035; }
  bool has(Prerequisite p) const {
    switch (p) {
      case Prerequisite::none:
      case Prerequisite::vlan:
        return true;
      case Prerequisite::ip4:
        return ip4();
      case Prerequisite::ip6:
        return ip6();
      case Prerequisite::ip:
        return ip();
      case Prerequisite::arp:
        return arp();
      case Prerequisite::ports:
        return ip() && (proto == 6 || proto == 17 || proto == 132);
      case Prerequisite::tcp:
        return ip() && proto == 6;
      case Prerequisite::icmp:
        return (ip4() && proto == 1) || (ip6() && proto == 58);
      case Prerequisite::nd:
        return ip6() && proto == 58;
    }
    return false;
  }
};

std::string_view needed_words(Prerequisite p) {
  switch (p) {
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
      return "icmp6";
    default:
      return "";
  }
}

FlowKey spread(const FieldInfo& f, Ip6 v) {
  FlowKey k;
  write_field(k, f, v);
  return k;
}

}  // namespace

bool prerequisites_hold(Prerequisite p, const FlowKey& key) {
  const std::uint64_t type = key.get(place::eth_type);
  const std::uint64_t proto = key.get(place::nw_proto);
  const bool ip4 = type == 0x0800, ip6 = type == 0x86dd;
  const bool whole = (key.get(place::nw_frag) & kFragLater) == 0;
  switch (p) {
    case Prerequisite::none:
    case Prerequisite::vlan:
      return true;
    case Prerequisite::ip4:
      return ip4;
    case Prerequisite::ip6:
      return ip6;
    case Prerequisite::ip:
      return ip4 || ip6;
    case Prerequisite::arp:
      return type == 0x0806;
    case Prerequisite::ports:
      return (ip4 || ip6) && whole && (proto == 6 || proto == 17 || proto == 132);
    case Prerequisite::tcp:
      return (ip4 || ip6) && whole && proto == 6;
    case Prerequisite::icmp:
      return whole && ((ip4 && proto == 1) || (ip6 && proto == 58));
    case Prerequisite::nd: {
      const std::uint64_t icmp = key.get(place::tp_src);
      return whole && ip6 && proto == 58 && (icmp == 135 || icmp == 136) &&
             key.get(place::tp_dst) == 0;
    }
  }
  return false;
}

void look_at_prerequisites(FlowMask& mask, Prerequisite p) {
  if (p == Prerequisite::none) return;
  if (p == Prerequisite::vlan) return look_at(mask, place::vlan_tci);
  look_at(mask, place::eth_type);
  if (p == Prerequisite::ip4 || p == Prerequisite::ip6 || p == Prerequisite::ip ||
      p == Prerequisite::arp)
    return;
  look_at(mask, place::nw_proto);
  look_at(mask, place::nw_frag);
  if (p != Prerequisite::nd) return;
  look_at(mask, place::tp_src);
  look_at(mask, place::tp_dst);
}

bool has_prerequisite(const Match& match, Prerequisite p) { return Kind(match).has(p); }

bool is_shorthand(std::string_view name) {
  for (const Shorthand& s : kShorthands)
    if (s.name == name) return true;
  return false;
}

bool find_port(std::string_view text, const PortNames* names, std::uint32_t& number) {
  const auto [end, e] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!text.empty() && e == std::errc{} && end == text.data() + text.size()) return true;
  if (text == "LOCAL" || text == "local") {
    number = kLocal;
    return true;
  }
  if (names == nullptr) return false;
  if (text.size() > 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  const auto found = names->find(text);
  if (found == names->end()) return false;
  number = found->second;
  return true;
}

Result<> MatchReader::put(const FieldInfo& field, MaskedValue v, int column) {
  const FlowKey value = spread(field, v.value);
  const FlowKey mask = spread(field, v.mask);
  for (unsigned i = 0; i < kKeyWords; ++i) {
    const std::uint64_t both = mask.w[i] & match_.mask.w[i];
    if (((value.w[i] ^ match_.value.w[i]) & both) != 0)
      return at_column({fmt::format("{} contradicts what the match said before", field.name),
                        {},
                        "a packet cannot be both; split it into two rules"},
                       column);
    match_.mask.w[i] |= mask.w[i];
    match_.value.w[i] |= value.w[i];
  }
  int& first = column_[static_cast<std::size_t>(field.id)];
  if (first == 0) first = column;
  return {};
}

Result<> MatchReader::add(std::string_view item, int column) {
  const auto equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  if (equals == std::string_view::npos) {
    for (const Shorthand& s : kShorthands) {
      if (s.name != name) continue;
      if (auto r = put(info(Field::eth_type), {{0, s.eth_type}, {0, 0xffff}}, column); !r) return r;
      if (s.proto < 0) return {};
      return put(info(Field::nw_proto), {{0, static_cast<std::uint64_t>(s.proto)}, {0, 0xff}},
                 column);
    }
  }
  const FieldInfo* field = find_field(name);
  if (is_dscp(name) && equals != std::string_view::npos) {
    const FieldInfo& tos = info(Field::nw_tos);
    auto value = parse_field_value(tos, item.substr(equals + 1));
    if (!value || value->value.low > 63 || item.find('/') != std::string_view::npos)
      return at_column({fmt::format("'{}' is not a value of ip_dscp", item.substr(equals + 1)),
                        {},
                        "write a number from 0 to 63"},
                       column + static_cast<int>(equals) + 1);
    const auto n = read_number(item.substr(equals + 1));
    return put(tos, {{0, n.value_or(0) << 2}, field_ones(tos)}, column);
  }
  if (field == nullptr) {
    const std::string near = nearest_field(name);
    return at_column({fmt::format("unknown field '{}'", name),
                      {},
                      near.empty() ? "fields are those of ovs-fields(7), such as nw_dst or reg0"
                                   : fmt::format("did you mean {}?", near)},
                     column);
  }
  if (equals == std::string_view::npos)
    return at_column(
        {fmt::format("{} has no value", name), {}, fmt::format("write {}=VALUE", name)}, column);
  const int value_column = column + static_cast<int>(equals) + 1;
  const std::string_view value_text = item.substr(equals + 1);
  if (value_text == "*") return {};
  if (field->id == Field::in_port && value_text.find('/') == std::string_view::npos) {
    std::uint32_t port = 0;
    const auto number = read_number(value_text);
    if (value_text == "CONTROLLER" || value_text == "controller")
      port = 0xfffd;
    else if (number)
      port = static_cast<std::uint32_t>(std::min<std::uint64_t>(*number, 0xffffffff));
    else if (!find_port(value_text, names_, port))
      return at_column({fmt::format("'{}' is not a port", value_text),
                        {},
                        "write a number from 0 to 65279, LOCAL, or the name of a port declared "
                        "before"},
                       value_column);
    if (port > 65279 && port != kLocal && port != 0xfffd)
      return at_column({fmt::format("'{}' is not a port", value_text),
                        {},
                        "write a number from 0 to 65279, or LOCAL"},
                       value_column);
    return put(*field, {{0, port}, field_ones(*field)}, column);
  }
  // No tag at all is written as dl_vlan=0xffff.
  if (field->id == Field::dl_vlan && (value_text == "0xffff" || value_text == "65535"))
    return put(info(Field::vlan_tci), {{0, 0}, {0, 0x1fff}}, value_column);
  auto value = parse_field_value(*field, item.substr(equals + 1));
  if (!value) return at_column(value.error(), value_column);
  if (field->needs == Prerequisite::vlan) {
    if (auto r = put(info(Field::vlan_tci), {{0, kVlanPresent}, {0, kVlanPresent}}, column); !r)
      return r;
    column_[static_cast<std::size_t>(Field::vlan_tci)] = 0;
  }
  return put(*field, *value, column);
}

Result<Match> MatchReader::finish() const {
  const Kind kind(match_);
  for (unsigned i = 0; i < kFields; ++i) {
    if (column_[i] == 0) continue;
    const FieldInfo& f = info(static_cast<Field>(i));
    if (kind.has(f.needs)) continue;
    // As ovs-ofctl: the IP names also mean ARP's fields, which live in the same place.
    const bool shared = f.id == Field::nw_src || f.id == Field::nw_dst || f.id == Field::nw_proto;
    if (shared && kind.arp()) continue;
    return at_column({fmt::format("{} exists only in some packets, and the match does not say "
                                  "which",
                                  f.name),
                      {},
                      fmt::format("add {}", needed_words(f.needs))},
                     column_[i]);
  }
  return match_;
}

Result<Match> parse_match(std::string_view text, const PortNames* names) {
  MatchReader reader(names);
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == ',' || text[at] == ' ') {
      ++at;
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(", ", at), text.size());
    if (auto r = reader.add(text.substr(at, end - at), static_cast<int>(at) + 1); !r)
      return r.error();
    at = end;
  }
  return reader.finish();
}

std::string format_match(const Match& m, const FlowKey* packet) {
  const Kind kind(m);
  std::string out;
  const auto item = [&out](std::string_view text) {
    if (!out.empty()) out += ',';
    out += text;
  };
  Match left = m;  // bits not printed yet
  const auto take = [&left](const FieldInfo& f) {
    const FlowKey ones = spread(f, field_ones(f));
    const MaskedValue v{read_field(left.value, f), read_field(left.mask, f)};
    const Ip6 all = field_ones(f);
    for (unsigned i = 0; i < kKeyWords; ++i) {
      left.mask.w[i] &= ~ones.w[i];
      left.value.w[i] &= ~ones.w[i];
    }
    return MaskedValue{{v.value.high & all.high, v.value.low & all.low},
                       {v.mask.high & all.high, v.mask.low & all.low}};
  };
  const auto print = [&](const FieldInfo& f) {
    const MaskedValue v = take(f);
    if (v.mask != Ip6{}) item(fmt::format("{}={}", f.name, format_field_value(f, v)));
  };
  const auto shorthand = [&] {
    const Shorthand* best = nullptr;
    for (const Shorthand& s : kShorthands) {
      if (s.eth_type != kind.eth_type) continue;
      if (s.proto == kind.proto || (s.proto < 0 && best == nullptr)) {
        if (best == nullptr || s.proto >= 0) best = &s;
        if (s.proto >= 0) break;
      }
    }
    if (best == nullptr) return;
    item(best->name);
    take(info(Field::eth_type));
    if (best->proto >= 0) take(info(Field::nw_proto));
  };

  for (unsigned i = 0; i < kFields; ++i) {
    const FieldInfo& f = info(static_cast<Field>(i));
    switch (f.id) {
      case Field::reg0:
        shorthand();
        break;
      case Field::ct_nw_src:
      case Field::ct_nw_dst:
      case Field::tun_src:
      case Field::tun_dst:  // an IPv6 mask reaches beyond the low 32 bits
        if (m.mask.w[f.word - 1u] != 0 || m.mask.w[f.word] >> 32 != 0) continue;
        break;
      case Field::vlan_vid:  // printed as vlan_tci or dl_vlan
        continue;
      case Field::vlan_tci: {
        const std::uint64_t mask = m.mask.get(f.at());
        const bool tag = (m.value.get(f.at()) & kVlanPresent) != 0;
        if (tag && (mask == 0x1fff || mask == 0xf000 || mask == 0xffff)) {
          left.mask.set({7, 60, 1}, 0);
          left.value.set({7, 60, 1}, 0);
          continue;
        }
        break;
      }
      default:
        if (!kind.has(f.needs)) continue;
    }
    print(f);
  }
  // What was looked at without a look at what says that it is there: by the names that the packet's
  // own kind gives, and what even that does not name, by any.
  Match whole;
  if (packet != nullptr) {
    whole.value = *packet;
    whole.mask.set(place::eth_type, 0xffff);
    whole.mask.set(place::nw_proto, 0xff);
  }
  const Kind real(whole);
  for (const bool any : {false, true})
    for (unsigned i = 0; i < kFields; ++i) {
      const FieldInfo& f = info(static_cast<Field>(i));
      if (f.needs != Prerequisite::none && f.needs != Prerequisite::vlan &&
          (any || real.has(f.needs)))
        print(f);
    }
  return out;
}

std::string format_flow(const FlowKey& key) {
  Match m;
  const auto show = [&m](Field f) { write_field(m.mask, info(f), field_ones(info(f))); };
  for (unsigned i = 0; i < kFields; ++i) {
    const auto f = static_cast<Field>(i);
    if (f >= Field::xreg0 && f <= Field::xxreg3) continue;  // shown as registers
    const bool tunnel6 = f == Field::tun_ipv6_src || f == Field::tun_ipv6_dst ||
                         f == Field::ct_ipv6_src || f == Field::ct_ipv6_dst;
    const Ip6 v = read_field(key, info(f));
    if (tunnel6 && v.high == 0 && v.low >> 32 == 0) continue;  // shown as IPv4
    if (v != Ip6{} && info(f).needs == Prerequisite::none) show(f);
  }
  for (const Field f :
       {Field::in_port, Field::vlan_tci, Field::eth_src, Field::eth_dst, Field::eth_type})
    show(f);
  const std::uint64_t proto = key.get(place::nw_proto);
  const bool ip = key.is_ip4() || key.is_ip6();
  if (key.is_arp())
    for (const Field f :
         {Field::arp_spa, Field::arp_tpa, Field::arp_op, Field::arp_sha, Field::arp_tha})
      show(f);
  if (key.is_ip4())
    for (const Field f : {Field::nw_src, Field::nw_dst}) show(f);
  if (key.is_ip6())
    for (const Field f : {Field::ipv6_src, Field::ipv6_dst, Field::ipv6_label}) show(f);
  if (ip)
    for (const Field f :
         {Field::nw_proto, Field::nw_tos, Field::nw_ecn, Field::nw_ttl, Field::ip_frag})
      show(f);
  if (ip && (proto == 6 || proto == 17 || proto == 132))
    for (const Field f : {Field::tp_src, Field::tp_dst}) show(f);
  if (ip && proto == 6) show(Field::tcp_flags);
  const bool icmp6 = key.is_ip6() && proto == 58;
  if (icmp6 || (key.is_ip4() && proto == 1))
    for (const Field f : {Field::icmp_type, Field::icmp_code}) show(f);
  const std::uint64_t type = key.get(place::tp_src);
  if (icmp6 && (type == 135 || type == 136))
    for (const Field f : {Field::nd_target, type == 135 ? Field::nd_sll : Field::nd_tll}) show(f);
  for (unsigned i = 0; i < kKeyWords; ++i) m.value.w[i] = key.w[i] & m.mask.w[i];
  const std::uint64_t recirculation = key.get(place::recirc_id);
  m.mask.set(place::recirc_id, 0);
  m.value.set(place::recirc_id, 0);
  const std::string rest = format_match(m);
  return recirculation == 0 ? rest : fmt::format("recirc_id={:#x},{}", recirculation, rest);
}

}  // namespace weft::datapath
