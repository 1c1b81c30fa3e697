#include "datapath/action.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/names.h"
#include "datapath/action_parts.h"
#include "datapath/multipath.h"

namespace weft::datapath {
namespace {

constexpr std::string_view kNames[] = {"output",
                                       "in_port",
                                       "flood",
                                       "drop",
                                       "set_field",
                                       "load",
                                       "move",
                                       "resubmit",
                                       "goto_table",
                                       "dec_ttl",
                                       "ct",
                                       "ct_clear",
                                       "push_vlan",
                                       "pop_vlan",
                                       "strip_vlan",
                                       "mod_dl_src",
                                       "mod_dl_dst",
                                       "mod_nw_src",
                                       "mod_nw_dst",
                                       "mod_tp_src",
                                       "mod_tp_dst",
                                       "mod_nw_tos",
                                       "mod_nw_ttl",
                                       "mod_vlan_vid",
                                       "mod_vlan_pcp",
                                       "set_tunnel",
                                       "note",
                                       "arp_reply",
                                       "nd_reply",
                                       "icmp_error",
                                       "icmp_echo_reply",
                                       "dhcp_reply",
                                       "dhcpv6_reply",
                                       "dns_reply",
                                       "reject",
                                       "all",
                                       "group",
                                       "meter",
                                       "learn",
                                       "controller",
                                       "clone",
                                       "push",
                                       "pop",
                                       "exit",
                                       "multipath",
                                       "mod_nw_ecn",
                                       "set_nw_ttl",
                                       "LOCAL",
                                       "write_metadata",
                                       "set_vlan_vid",
                                       "set_vlan_pcp"};

/// What Open vSwitch has and weft has not.
constexpr std::string_view kUnsupported[] = {
    "normal",        "NORMAL",        "bundle",           "bundle_load",  "conjunction",
    "sample",        "enqueue",       "set_queue",        "pop_queue",    "fin_timeout",
    "push_mpls",     "pop_mpls",      "dec_mpls_ttl",     "set_mpls_ttl", "encap",
    "decap",         "dec_nsh_ttl",   "check_pkt_larger", "delete_field", "write_actions",
    "apply_actions", "clear_actions", "debug_recirc",     "debug_slow"};

std::optional<std::uint64_t> number(std::string_view t) { return read_number(t); }

Error not_writable(const Piece& p, const FieldInfo& f) {
  return fail(p, fmt::format("{} cannot be written", f.name),
              f.id == Field::ct_mark || f.id == Field::ct_label
                  ? "ct_mark and ct_label are set inside ct(commit,exec(...))"
                  : "registers, addresses, ports and tunnel fields can");
}

// --- one action ---

struct Context {
  const PortNames* names = nullptr;
  bool in_exec = false;
  Known known{};
  int table = -1;  // of the rule; -1: no rule
};

Result<std::vector<Action>> parse_list(Piece all, Context context);

bool may_write(const FieldInfo& f, Context c) {
  return c.in_exec ? f.id == Field::ct_mark || f.id == Field::ct_label : f.writable;
}

/// Writing OXM's vlan_vid writes the identifier: that there is a tag goes without saying.
void without_tag_bit(Action& a) {
  if (a.target.field != Field::vlan_vid) return;
  const FieldInfo& f = info(Field::dl_vlan);
  a.target = {f.id, 0, f.bits};
  a.value.low &= field_ones(f).low;
  a.mask.low &= field_ones(f).low;
}

Result<Action> parse_load(const Piece& value, const Piece& target, Context c);

Result<Action> parse_set(const Piece& value, const Piece& name, Context c) {
  if (is_dscp(name.text)) return parse_load(value, name, c);
  auto field = field_of(name);
  if (!field) return field.error();
  if (!may_write(**field, c)) return not_writable(name, **field);
  if (auto ok = check_known(name, **field, c.known); !ok) return ok.error();
  auto v = parse_field_value(**field, value.text);
  if (!v) {
    Error e = v.error();
    e.place.column = value.column;
    return e;
  }
  if ((*field)->id == Field::nw_tos)
    if (const auto n = number(value.text); n && (*n & 3) != 0)
      return fail(value, fmt::format("{} is not a type of service", *n),
                  "its two low bits are ECN: write a multiple of 4, and nw_ecn for those");
  Action a;
  a.kind = ActionKind::set;
  a.target = {(*field)->id, 0, (*field)->bits};
  a.value = v->value;
  a.mask = v->mask;
  without_tag_bit(a);
  return a;
}

Result<Action> parse_load(const Piece& value, const Piece& target, Context c) {
  auto range = range_of(target);
  if (!range) return range.error();
  const FieldInfo& f = info(range->field);
  if (!may_write(f, c)) return not_writable(target, f);
  if (auto ok = check_known(target, f, c.known); !ok) return ok.error();
  Ip6 v{};
  if (const auto n = number(value.text)) {
    v.low = *n;
  } else {
    auto parsed = parse_field_value(f, value.text);
    if (!parsed)
      return fail(value, fmt::format("'{}' is not a number", value.text), "write 0x... or decimal");
    v = parsed->value;
  }
  const Ip6 ones = low_ones(range->bits);
  if ((v.low & ~ones.low) != 0 || (v.high & ~ones.high) != 0)
    return fail(value, fmt::format("{} does not fit {} bits", value.text, range->bits),
                "write a smaller value or a wider range");
  Action a;
  a.kind = ActionKind::set;
  a.target = {f.id, 0, f.bits};
  const Ip6 all = field_ones(f);
  a.value = shift_left(v, range->from);
  a.mask = shift_left(ones, range->from);
  a.value = {a.value.high & all.high, a.value.low & all.low};
  a.mask = {a.mask.high & all.high, a.mask.low & all.low};
  without_tag_bit(a);
  return a;
}

Result<Action> parse_ct(const Piece& whole, Piece inside, Context c) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  Action a;
  a.kind = ActionKind::ct;
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    if (p.text == "commit") {
      a.commit = true;
    } else if (p.text == "force") {
      a.force = true;
    } else if (p.text == "nat" || (p.text.starts_with("nat(") && p.text.ends_with(")"))) {
      const Piece n = p.text.size() > 5 ? p.part(4, p.text.size() - 5) : p.part(3, 0);
      auto nat = parse_nat(n.text, n.column);
      if (!nat) return nat.error();
      a.nat = *nat;
    } else if (p.text.starts_with("table=")) {
      auto n = number_up_to(p.from(6), 254, "table");
      if (!n) return n.error();
      a.table = static_cast<std::uint16_t>(*n);
    } else if (p.text.starts_with("zone=")) {
      const Piece z = p.from(5);
      if (const auto n = number(z.text)) {
        if (*n > 0xffff) return fail(z, "a zone has 16 bits", "write a number from 0 to 65535");
        a.zone = static_cast<std::uint16_t>(*n);
      } else {
        auto range = range_of(z);
        if (!range) return range.error();
        if (auto ok = check_known(z, info(range->field), c.known); !ok) return ok.error();
        if (range->bits > 16 && range->bits != 32)
          return fail(z, "a zone has 16 bits", "write FIELD[0..15]");
        if (range->bits > 16) range->bits = 16;
        a.zone_from_field = true;
        a.source = *range;
      }
    } else if (p.text.starts_with("exec(") && p.text.ends_with(")")) {
      auto nested = parse_list(p.part(5, p.text.size() - 6), {nullptr, true, c.known});
      if (!nested) return nested.error();
      a.nested = std::move(*nested);
    } else {
      return fail(p, fmt::format("ct() has no '{}'", p.text),
                  p.text.starts_with("alg")
                      ? "helpers for FTP and TFTP do not exist here"
                      : "it takes commit, force, table=N, zone=N or zone=FIELD[0..15], nat(...), "
                        "exec(set_field:V->ct_mark)");
    }
  }
  if (a.force && !a.commit)
    return fail(inside, "force without commit", "write ct(commit,force,...)");
  if (a.nat.chooses() && !a.commit)
    return fail(inside, "nat(src=...) or nat(dst=...) without commit",
                "write ct(commit,...,nat(...)), or nat alone for connections that are there");
  if (!a.nested.empty() && !a.commit)
    return fail(inside, "exec(...) without commit", "write ct(commit,...,exec(...))");
  // Open vSwitch wants to be told that it is IP. Here what is not is passed on untracked, so that
  // one rule may serve frames of every kind; only a match that says otherwise is a mistake.
  if (const Match* m = c.known.match;
      m != nullptr && m->mask.get(place::eth_type) != 0 && !has_prerequisite(*m, Prerequisite::ip))
    return fail(whole, "ct() tracks IP only, and the match says otherwise",
                "add ip or ipv6 to the match");
  return a;
}

Result<DropReason> reason_of(const Piece& p) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    const auto r = static_cast<DropReason>(i);
    if (name_of(r) == p.text) return r;
    names.emplace_back(name_of(r));
  }
  const std::string near = nearest_name(p.text, names);
  return fail(p, fmt::format("unknown drop reason '{}'", p.text),
              near.empty() ? "reasons are those of drop_reasons.def, such as policy"
                           : fmt::format("did you mean {}?", near));
}

Action simple(ActionKind kind) {
  Action a;
  a.kind = kind;
  return a;
}

/// output(port=1,max_len=100)
Result<Action> parse_cut_output(const Piece& inside, Context c) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  Action a = simple(ActionKind::output);
  for (const Piece& p : *pieces) {
    auto item = cut(p, "=");
    if (!item) return item.error();
    if (item->name.text == "port") {
      const std::string_view t = item->value.text;
      if (t == "LOCAL" || t == "local")
        a.port = Action::kLocalPort;
      else if (!find_port(t, c.names, a.port) || a.port == 0 || a.port > 65279)
        return fail(item->value, fmt::format("'{}' is not a port", t),
                    "write a number from 1 to 65279");
    } else if (item->name.text == "max_len") {
      auto n = number_up_to(item->value, 65535, "length");
      if (!n) return n.error();
      if (*n < 14)
        return fail(item->value, fmt::format("{} bytes are less than an Ethernet header", *n),
                    "write 14 or more");
      a.max_length = static_cast<std::uint16_t>(*n);
    } else {
      return fail(p, fmt::format("output() has no '{}'", item->name.text),
                  "write output(port=PORT,max_len=BYTES)");
    }
  }
  if (a.port == 0 || a.max_length == 0)
    return fail(inside, "output() without port and max_len",
                "write output(port=PORT,max_len=BYTES), or output:PORT");
  return a;
}

/// `word` before ':' or '(', `rest` after it (without the closing parenthesis).
Result<Action> parse_one(const Piece& whole, std::string_view word, char mark, Piece rest,
                         Context c) {
  const auto set_to = [&](Field f) -> Result<Action> {
    const FieldInfo& i = info(f);
    // mod_* are of OpenFlow 1.0: a packet without the field goes on as it is.
    if (word.starts_with("mod_") && rest.text.find('/') != std::string_view::npos)
      return fail(rest, fmt::format("{} takes no mask", word), "write set_field:VALUE/MASK->FIELD");
    return parse_set(rest, {i.name, whole.column}, {c.names, c.in_exec});
  };
  const auto needs_none = [&](ActionKind kind) -> Result<Action> {
    if (mark != 0 && !rest.text.empty())
      return fail(rest, fmt::format("{} takes no argument", word), fmt::format("write {}", word));
    return simple(kind);
  };
  const auto arrow = rest.text.find("->");

  if (c.in_exec && word != "set_field" && word != "load" && word != "move")
    return fail(whole, fmt::format("'{}' is not allowed inside exec()", word),
                "use set_field:VALUE->ct_mark");
  if (word == "set_field" || word == "load" || word == "move") {
    if (arrow == std::string_view::npos)
      return fail(whole, fmt::format("{} has no '->'", word),
                  fmt::format("write {}:{}->FIELD", word, word == "move" ? "FIELD" : "VALUE"));
    const Piece left = rest.part(0, arrow);
    const Piece right = rest.from(arrow + 2);
    if (word == "set_field") {
      if (right.text.find('[') != std::string_view::npos) return parse_load(left, right, c);
      return parse_set(left, right, c);
    }
    if (word == "load") return parse_load(left, right, c);
    auto source = range_of(left);
    if (!source) return source.error();
    auto target = range_of(right);
    if (!target) return target.error();
    if (!may_write(info(target->field), c)) return not_writable(right, info(target->field));
    if (auto ok = check_known(left, info(source->field), c.known); !ok) return ok.error();
    if (auto ok = check_known(right, info(target->field), c.known); !ok) return ok.error();
    if (source->bits != target->bits)
      return fail(whole, fmt::format("move from {} bits to {} bits", source->bits, target->bits),
                  "give both sides ranges of equal width: reg0[0..15]");
    Action a = simple(ActionKind::move);
    a.source = *source;
    a.target = *target;
    return a;
  }
  if (word == "output" && mark == '(') return parse_cut_output(rest, c);
  if (word == "LOCAL" || word == "local") {
    auto a = needs_none(ActionKind::output);
    if (a) a->port = Action::kLocalPort;
    return a;
  }
  if (word == "output") {
    if (rest.text == "LOCAL" || rest.text == "local") return parse_one(whole, "LOCAL", 0, {}, c);
    if (const auto n = number(rest.text)) {
      if (*n == 0 || *n > 65279)
        return fail(rest, fmt::format("{} is no port", *n), "ports are 1 to 65279");
      Action a = simple(ActionKind::output);
      a.port = static_cast<std::uint32_t>(*n);
      return a;
    }
    if (rest.text == "in_port" || rest.text == "IN_PORT") return simple(ActionKind::in_port);
    if (std::uint32_t named = 0; find_port(rest.text, c.names, named)) {
      Action a = simple(ActionKind::output);
      a.port = named;
      return a;
    }
    auto range = range_of(rest);
    if (!range) return range.error();
    if (range->bits > 64) return fail(rest, "a port has 32 bits", "use a register");
    if (auto ok = check_known(rest, info(range->field), c.known); !ok) return ok.error();
    Action a = simple(ActionKind::output_field);
    a.source = *range;
    return a;
  }
  if (word == "in_port" || word == "IN_PORT") return needs_none(ActionKind::in_port);
  if (word == "flood" || word == "FLOOD") return needs_none(ActionKind::flood);
  if (word == "drop") {
    Action a = simple(ActionKind::drop);
    if (mark != 0) {
      auto reason = reason_of(rest);
      if (!reason) return reason.error();
      a.reason = *reason;
    }
    return a;
  }
  if (word == "all" || word == "ALL") return needs_none(ActionKind::all);
  if (word == "exit") return needs_none(ActionKind::exit);
  if (word == "group" || word == "meter") {
    auto n = number_up_to(rest, word == "group" ? 0xffffff00 : 0xffff0000, word);
    if (!n) return n.error();
    Action a = simple(word == "group" ? ActionKind::group : ActionKind::meter);
    a.number = static_cast<std::uint32_t>(*n);
    return a;
  }
  if (word == "controller" || word == "CONTROLLER") {
    auto spec = parse_controller(rest);
    if (!spec) return spec.error();
    Action a = simple(ActionKind::controller);
    a.controller = std::move(*spec);
    return a;
  }
  if (word == "learn") {
    auto learn = parse_learn(rest, c.known);
    if (!learn) return learn.error();
    Action a = simple(ActionKind::learn);
    a.learn.push_back(std::move(*learn));
    return a;
  }
  if (word == "multipath") {
    auto a = parse_multipath(rest);
    if (!a) return a.error();
    if (auto ok =
            check_known({format_range(a->target), rest.column}, info(a->target.field), c.known);
        !ok)
      return ok.error();
    return a;
  }
  if (word == "clone") {
    auto nested = parse_list(rest, c);
    if (!nested) return nested.error();
    Action a = simple(ActionKind::clone);
    a.nested = std::move(*nested);
    return a;
  }
  if (word == "push" || word == "pop") {
    auto range = range_of(rest);
    if (!range) return range.error();
    Action a = simple(word == "push" ? ActionKind::push : ActionKind::pop);
    if (a.kind == ActionKind::pop && !may_write(info(range->field), c))
      return not_writable(rest, info(range->field));
    if (auto ok = check_known(rest, info(range->field), c.known); !ok) return ok.error();
    (a.kind == ActionKind::push ? a.source : a.target) = *range;
    return a;
  }
  if (word == "dhcp_reply") {
    auto lease = parse_dhcp(rest);
    if (!lease) return lease.error();
    Action a = simple(ActionKind::dhcp_reply);
    a.dhcp.push_back(std::move(*lease));
    return a;
  }
  if (word == "dhcpv6_reply") {
    auto lease = parse_dhcp6(rest);
    if (!lease) return lease.error();
    Action a = simple(ActionKind::dhcpv6_reply);
    a.dhcp6.push_back(std::move(*lease));
    return a;
  }
  if (word == "dns_reply") {
    auto dns = parse_dns(rest);
    if (!dns) return dns.error();
    Action a = simple(ActionKind::dns_reply);
    a.dns = std::move(*dns);
    return a;
  }
  if (word == "reject") {
    Action a = simple(ActionKind::reject);
    if (mark == 0) return a;
    for (std::size_t at = 0; at <= rest.text.size();) {
      const Piece one = rest.part(at, std::min(rest.text.find(',', at), rest.text.size()) - at);
      at += one.text.size() + 1;
      if (one.text.starts_with("table=")) {
        auto n = number_up_to(one.from(6), Action::kNoTable - 1, "table");
        if (!n) return n.error();
        a.table = static_cast<std::uint16_t>(*n);
        continue;
      }
      auto address = weft::parse_ip(one.text);
      if (!address || address->is_zero())
        return fail(one, fmt::format("'{}' is not an address", one.text),
                    "write reject, or reject(10.0.0.1) with the address that errors come from");
      a.address = *address;
    }
    return a;
  }
  if (word == "write_metadata") return set_to(Field::metadata);
  if (word == "resubmit") {
    Action a = simple(ActionKind::resubmit);
    a.port = Action::kSamePort;
    a.table = Action::kSameTable;
    const auto comma = mark == '(' ? rest.text.find(',') : std::string_view::npos;
    const Piece port = rest.part(0, comma);
    if (!port.text.empty() && port.text != "in_port" && port.text != "IN_PORT") {
      if (!find_port(port.text, c.names, a.port) ||
          (a.port > 65279 && a.port != Action::kLocalPort))
        return fail(port, fmt::format("'{}' is not a port", port.text),
                    "write a number from 0 to 65279");
    }
    if (comma != std::string_view::npos && !trim(rest.from(comma + 1)).text.empty()) {
      auto n = number_up_to(trim(rest.from(comma + 1)), 254, "table");
      if (!n) return n.error();
      a.table = static_cast<std::uint16_t>(*n);
    }
    if (a.table == Action::kSameTable && a.port == Action::kSamePort)
      return fail(whole, "resubmit to the same table and port", "write resubmit(,TABLE)");
    return a;
  }
  if (word == "goto_table") {
    auto n = number_up_to(rest, 254, "table");
    if (!n) return n.error();
    if (c.table >= 0 && static_cast<int>(*n) <= c.table)
      return fail(rest, fmt::format("goto_table from table {} to table {}", c.table, *n),
                  "it leads to tables with higher numbers; resubmit leads anywhere");
    Action a = simple(ActionKind::goto_table);
    a.table = static_cast<std::uint16_t>(*n);
    return a;
  }
  if (word == "dec_ttl") {
    Action a = simple(ActionKind::dec_ttl);
    if (mark == 0) return a;
    auto ids = split(rest);
    if (!ids) return ids.error();
    for (const Piece& id : *ids) {
      auto n = number_up_to(id, 0xffff, "controller id");
      if (!n) return n.error();
      a.ids.push_back(static_cast<std::uint16_t>(*n));
    }
    return a;
  }
  if (word == "ct") return parse_ct(whole, rest, c);
  if (word == "ct_clear") return needs_none(ActionKind::ct_clear);
  if (word == "push_vlan") {
    const auto type = number(rest.text);
    if (!type || (*type != 0x8100 && *type != 0x88a8))
      return fail(rest, fmt::format("'{}' is not the type of a VLAN tag", rest.text),
                  "write push_vlan:0x8100 or push_vlan:0x88a8");
    Action a = simple(ActionKind::push_vlan);
    a.number = static_cast<std::uint32_t>(*type);
    return a;
  }
  if (word == "pop_vlan" || word == "strip_vlan") return needs_none(ActionKind::pop_vlan);
  if (word == "mod_dl_src") return set_to(Field::eth_src);
  if (word == "mod_dl_dst") return set_to(Field::eth_dst);
  if (word == "mod_nw_src") return set_to(Field::nw_src);
  if (word == "mod_nw_dst") return set_to(Field::nw_dst);
  if (word == "mod_nw_tos") return set_to(Field::nw_tos);
  if (word == "mod_nw_ttl" || word == "set_nw_ttl") return set_to(Field::nw_ttl);
  if (word == "mod_nw_ecn") return set_to(Field::nw_ecn);
  if (word == "mod_tp_src") return set_to(Field::tp_src);
  if (word == "mod_tp_dst") return set_to(Field::tp_dst);
  if (word == "mod_vlan_vid" || word == "set_vlan_vid") return set_to(Field::dl_vlan);
  if (word == "mod_vlan_pcp" || word == "set_vlan_pcp") return set_to(Field::dl_vlan_pcp);
  if (word == "set_tunnel" || word == "set_tunnel64") return set_to(Field::tun_id);
  if (word == "note") {
    Action a = simple(ActionKind::note);
    for (std::size_t i = 0; i < rest.text.size();) {
      const auto byte = rest.text.size() - i >= 2
                            ? number("0x" + std::string(rest.text.substr(i, 2)))
                            : std::nullopt;
      if (!byte)
        return fail(rest.from(i), "a note is bytes of two hexadecimal digits",
                    "write note:00.11.22");
      a.text += fmt::format("{}{:02x}", a.text.empty() ? "" : ".", *byte);
      i += 2;
      if (i < rest.text.size() && rest.text[i] == '.') ++i;
    }
    return a;
  }
  if (word == "arp_reply" || word == "nd_reply") {
    auto mac = parse_mac(rest.text);
    if (!mac)
      return fail(rest, fmt::format("'{}' is not a MAC address", rest.text),
                  fmt::format("write {}(02:00:00:00:00:01)", word));
    Action a = simple(word == "arp_reply" ? ActionKind::arp_reply : ActionKind::nd_reply);
    a.mac = *mac;
    return a;
  }
  if (word == "icmp_error") {
    auto parts = split(rest);
    if (!parts) return parts.error();
    if (parts->size() != 3)
      return fail(rest, "icmp_error takes a type, a code and a source address",
                  "write icmp_error(11,0,10.0.0.1)");
    auto type = number_up_to((*parts)[0], 255, "type");
    if (!type) return type.error();
    auto code = number_up_to((*parts)[1], 255, "code");
    if (!code) return code.error();
    auto address = weft::parse_ip((*parts)[2].text);
    if (!address)
      return fail((*parts)[2], fmt::format("'{}' is not an address", (*parts)[2].text),
                  "write the address that the error comes from, such as 10.0.0.1");
    Action a = simple(ActionKind::icmp_error);
    a.icmp_type = static_cast<std::uint8_t>(*type);
    a.icmp_code = static_cast<std::uint8_t>(*code);
    a.address = *address;
    return a;
  }
  if (word == "icmp_echo_reply") return needs_none(ActionKind::icmp_echo_reply);
  std::uint32_t named = 0;
  if (mark == 0 && (number(word) || find_port(word, c.names, named))) {
    const Piece all = whole;
    return parse_one(whole, "output", ':', all, c);
  }
  std::vector<std::string> names(std::begin(kNames), std::end(kNames));
  const std::string near = nearest_name(word, names);
  return fail(whole, fmt::format("unknown action '{}'", word),
              near.empty() ? "actions are those of ovs-actions(7), such as output:1 or resubmit(,5)"
                           : fmt::format("did you mean {}?", near));
}

Result<std::vector<Action>> parse_list(Piece all, Context context) {
  std::vector<Action> out;
  if (trim(all).text.empty()) return out;
  auto pieces = split(all);
  if (!pieces) return pieces.error();
  for (const Piece& p : *pieces) {
    if (p.text.empty()) return fail(p, "an empty action between commas", "remove a comma");
    const auto at = p.text.find_first_of(":(");
    const char mark = at == std::string_view::npos ? '\0' : p.text[at];
    Piece rest = at == std::string_view::npos ? Piece{{}, p.column} : p.from(at + 1);
    if (std::find(std::begin(kUnsupported), std::end(kUnsupported), p.text.substr(0, at)) !=
        std::end(kUnsupported))
      return fail(p, fmt::format("weft has no action '{}'", p.text.substr(0, at)),
                  "docs/ofproto.md lists the actions that it has");
    if (mark == '(') {
      if (p.text.back() != ')')
        return fail(p, fmt::format("text after the ')' of {}", p.text.substr(0, at)),
                    "put a comma between actions");
      rest.text.remove_suffix(1);
    }
    auto action = parse_one(p, p.text.substr(0, at), mark, trim(rest), context);
    if (!action) return action.error();
    switch (action->kind) {
      case ActionKind::push_vlan:
        context.known.tagged = true;
        break;
      case ActionKind::set:
        if (action->target.field == Field::dl_vlan || action->target.field == Field::dl_vlan_pcp)
          context.known.tagged = true;
        break;
      default:
        break;
    }
    out.push_back(std::move(*action));
  }
  // A list that only drops, without a reason, is the empty list.
  if (out.size() == 1 && out[0].kind == ActionKind::drop &&
      out[0].reason == DropReason::rule_drop && all.text.find('(') == std::string_view::npos)
    out.clear();
  for (std::size_t i = 0; i < out.size() && out.size() > 1; ++i)
    if ((*pieces)[i].text == "drop")
      return fail((*pieces)[i], "drop beside other actions",
                  "remove one of them; what no action sends anywhere is dropped");
  for (std::size_t i = 0; i + 1 < out.size(); ++i)
    if (out[i].kind == ActionKind::drop || out[i].kind == ActionKind::goto_table ||
        out[i].kind == ActionKind::reject)
      return fail((*pieces)[i + 1], "an action that is never reached",
                  "drop, reject and goto_table come last");
  return out;
}

// --- text ---

/// A mask that is one run of ones: first bit and width.
std::optional<FieldRange> run_of(Field field, Ip6 mask) {
  for (unsigned width = 1; width <= 64; ++width) {
    for (unsigned from = 0; from + width <= info(field).bits; ++from)
      if (shift_left(low_ones(width), from) == mask)
        return FieldRange{field, static_cast<std::uint8_t>(from), static_cast<std::uint8_t>(width)};
  }
  return std::nullopt;
}

/// The name of OpenFlow 1.0's action that writes a whole field; empty: there is none.
std::string_view mod_word(Field f) {
  switch (f) {
    case Field::dl_vlan:
      return "mod_vlan_vid";
    case Field::dl_vlan_pcp:
      return "mod_vlan_pcp";
    case Field::nw_src:
      return "mod_nw_src";
    case Field::nw_dst:
      return "mod_nw_dst";
    case Field::nw_tos:
      return "mod_nw_tos";
    case Field::nw_ecn:
      return "mod_nw_ecn";
    case Field::nw_ttl:
      return "mod_nw_ttl";
    case Field::tp_src:
      return "mod_tp_src";
    case Field::tp_dst:
      return "mod_tp_dst";
    default:
      return "";
  }
}

std::string format_set(const Action& a, const Match* match) {
  const FieldInfo& f = info(a.target.field);
  const MaskedValue v{a.value, a.mask};
  if (a.mask == field_ones(f)) {
    // set_field is refused where the match does not say that there is such a field.
    const bool vlan = f.needs == Prerequisite::vlan;
    const std::string_view mod = mod_word(f.id);
    if (!mod.empty() && (vlan || (match != nullptr && !has_prerequisite(*match, f.needs))))
      return fmt::format("{}:{}", mod, format_field_value(f, v));
    return fmt::format("set_field:{}->{}", format_field_value(f, v), name_of_field(f, match));
  }
  if (const auto range = run_of(f.id, a.mask))
    return fmt::format("load:{:#x}->{}", shift_right(a.value, range->from).low,
                       format_range(*range, match));
  return fmt::format("set_field:{}->{}", format_field_value(f, v), name_of_field(f, match));
}

std::string format_ct(const Action& a, const Match* match) {
  std::string inside;
  const auto item = [&inside](const std::string& t) { inside += (inside.empty() ? "" : ",") + t; };
  if (a.commit) item("commit");
  if (a.force) item("force");
  if (a.table != Action::kNoTable) item(fmt::format("table={}", a.table));
  if (a.zone_from_field)
    item("zone=" + format_range(a.source, match));
  else if (a.zone != 0)
    item(fmt::format("zone={}", a.zone));
  if (a.nat.kind != NatSpec::Kind::none) item(format_nat(a.nat));
  if (!a.nested.empty()) item("exec(" + format_actions(a.nested, match) + ")");
  return "ct(" + inside + ")";
}

std::string port_text(std::uint32_t port) {
  return port == Action::kLocalPort ? "LOCAL" : fmt::format("{}", port);
}

std::string format_one(const Action& a, const Match* match) {
  switch (a.kind) {
    case ActionKind::output:
      if (a.max_length != 0)
        return fmt::format("output(port={},max_len={})", port_text(a.port), a.max_length);
      return a.port == Action::kLocalPort ? "LOCAL" : fmt::format("output:{}", a.port);
    case ActionKind::output_field:
      return "output:" + format_range(a.source, match);
    case ActionKind::in_port:
      return "in_port";
    case ActionKind::flood:
      return "flood";
    case ActionKind::drop:
      return fmt::format("drop({})", name_of(a.reason));
    case ActionKind::set:
      return format_set(a, match);
    case ActionKind::move:
      return fmt::format("move:{}->{}", format_range(a.source, match),
                         format_range(a.target, match));
    case ActionKind::resubmit:
      if (a.table == Action::kSameTable) return "resubmit:" + port_text(a.port);
      if (a.port == Action::kSamePort) return fmt::format("resubmit(,{})", a.table);
      return fmt::format("resubmit({},{})", port_text(a.port), a.table);
    case ActionKind::goto_table:
      return fmt::format("goto_table:{}", a.table);
    case ActionKind::dec_ttl:
      return a.ids.empty() ? "dec_ttl" : fmt::format("dec_ttl({})", fmt::join(a.ids, ","));
    case ActionKind::ct:
      return format_ct(a, match);
    case ActionKind::ct_clear:
      return "ct_clear";
    case ActionKind::push_vlan:
      return fmt::format("push_vlan:{:#x}", a.number);
    case ActionKind::pop_vlan:
      return "pop_vlan";
    case ActionKind::note:
      return "note:" + a.text;
    case ActionKind::arp_reply:
      return fmt::format("arp_reply({})", a.mac.text());
    case ActionKind::nd_reply:
      return fmt::format("nd_reply({})", a.mac.text());
    case ActionKind::icmp_error:
      return fmt::format("icmp_error({},{},{})", a.icmp_type, a.icmp_code, a.address.text());
    case ActionKind::icmp_echo_reply:
      return "icmp_echo_reply";
    case ActionKind::dhcp_reply:
      return format_dhcp(a.dhcp.at(0));
    case ActionKind::dhcpv6_reply:
      return format_dhcp6(a.dhcp6.at(0));
    case ActionKind::dns_reply:
      return format_dns(a.dns);
    case ActionKind::reject: {
      const std::string from = a.address.is_zero() ? "" : a.address.text();
      if (a.table == Action::kNoTable) return from.empty() ? "reject" : "reject(" + from + ")";
      return fmt::format("reject({}{}table={})", from, from.empty() ? "" : ",", a.table);
    }
    case ActionKind::all:
      return "all";
    case ActionKind::group:
      return fmt::format("group:{}", a.number);
    case ActionKind::meter:
      return fmt::format("meter:{}", a.number);
    case ActionKind::learn:
      return format_learn(a.learn.at(0), match);
    case ActionKind::controller:
      return format_controller(a.controller);
    case ActionKind::clone:
      return "clone(" + format_actions(a.nested, match) + ")";
    case ActionKind::push:
      return "push:" + format_range(a.source, match);
    case ActionKind::pop:
      return "pop:" + format_range(a.target, match);
    case ActionKind::exit:
      return "exit";
    case ActionKind::multipath:
      return format_multipath(a);
  }
  return "";
}

}  // namespace

Result<std::vector<Action>> parse_actions(std::string_view text, int column, const PortNames* names,
                                          const ActionScope* scope) {
  const std::string with_commas = blanks_to_commas(text);
  Context context{names};
  if (scope != nullptr) {
    context.known.match = scope->match;
    context.table = scope->table;
  }
  return parse_list({with_commas, column}, context);
}

std::string format_actions(const std::vector<Action>& actions, const Match* match) {
  if (actions.empty()) return "drop";
  std::string out;
  for (const Action& a : actions) {
    if (!out.empty()) out += ',';
    out += format_one(a, match);
  }
  return out;
}

}  // namespace weft::datapath
