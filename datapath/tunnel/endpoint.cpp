#include "datapath/tunnel/endpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace weft::datapath {
namespace {

constexpr std::string_view kNames[] = {"df",
                                       "dscp",
                                       "ecn",
                                       "flow_id",
                                       "gre_checksum",
                                       "gre_key",
                                       "gre_sequence",
                                       "inner_vlan",
                                       "lisp_echo_nonce",
                                       "lisp_instance",
                                       "lisp_locators",
                                       "lisp_map_versions",
                                       "lisp_nonce",
                                       "outer_vlan",
                                       "source_ports",
                                       "stt_vlan",
                                       "ttl",
                                       "udp_checksum"};

Result<std::uint32_t> number(std::string_view text, std::uint32_t least, std::uint32_t most) {
  std::string_view digits = text;
  const bool hex = digits.starts_with("0x");
  if (hex) digits.remove_prefix(2);
  std::uint32_t v = 0;
  const auto [end, e] =
      std::from_chars(digits.data(), digits.data() + digits.size(), v, hex ? 16 : 10);
  if (digits.empty() || e != std::errc{} || end != digits.data() + digits.size() || v < least ||
      v > most)
    return Error{fmt::format("'{}' is out of range", text),
                 {},
                 fmt::format("write a number from {} to {}", least, most)};
  return v;
}

Result<bool> yes_or_no(std::optional<bool>& target, std::string_view text) {
  if (text != "0" && text != "1")
    return Error{fmt::format("'{}' is neither 0 nor 1", text), {}, "write 0 or 1"};
  target = text == "1";
  return true;
}

template <class T>
Result<bool> number_into(std::optional<T>& target, std::string_view text, std::uint32_t least,
                         std::uint32_t most) {
  const auto v = number(text, least, most);
  if (!v) return v.error();
  target = static_cast<T>(*v);
  return true;
}

/// A number, or the inner packet's.
Result<bool> number_or_inherit(std::optional<std::uint8_t>& target, std::optional<bool>& inherit,
                               std::string_view text, std::uint32_t least, std::uint32_t most) {
  if (text == "inherit") {
    inherit = true;
    target.reset();
    return true;
  }
  auto done = number_into(target, text, least, most);
  if (!done) {
    Error e = done.error();
    e.remedy += ", or inherit";
    return e;
  }
  inherit = false;
  return true;
}

Result<bool> port_range(EncapChoices& c, std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos)
    return Error{fmt::format("'{}' is no range of ports", text), {}, "write FIRST-LAST"};
  const auto first = number(text.substr(0, dash), 1, 65535);
  if (!first) return first.error();
  const auto last = number(text.substr(dash + 1), *first, 65535);
  if (!last) return last.error();
  c.source_ports = {static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
  return true;
}

/// Source and destination version, 12 bits each.
Result<bool> map_versions(LispFields& lisp, std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos)
    return Error{fmt::format("'{}' are no map versions", text), {}, "write SOURCE-DESTINATION"};
  const auto source = number(text.substr(0, dash), 0, 4095);
  if (!source) return source.error();
  const auto destination = number(text.substr(dash + 1), 0, 4095);
  if (!destination) return destination.error();
  if (lisp.nonce)
    return Error{"a nonce and map versions together", {}, "a header has room for one of them"};
  lisp.map_versions = *source << 12 | *destination;
  return true;
}

}  // namespace

void apply(const EncapChoices& c, TunnelEncap& e) {
  if (c.copy_ecn) e.ecn_compatibility = !*c.copy_ecn;
  if (c.inherit_dscp) e.inherit_dscp = *c.inherit_dscp;
  if (c.dscp) e.dscp = *c.dscp;
  if (c.inherit_ttl) e.inherit_ttl = *c.inherit_ttl;
  if (c.ttl) e.ttl = *c.ttl;
  if (c.dont_fragment) e.dont_fragment = *c.dont_fragment;
  if (c.udp_checksum) e.udp_checksum = *c.udp_checksum;
  if (c.source_ports == std::pair<std::uint16_t, std::uint16_t>{49152, 65535}) {
    e.first_source_port = e.last_source_port = 0;  // what is so anyway
  } else if (c.source_ports) {
    e.first_source_port = c.source_ports->first;
    e.last_source_port = c.source_ports->second;
  }
  if (c.outer_vlan) e.outer_vlan = *c.outer_vlan;
  if (c.keep_inner_vlan) e.keep_inner_vlan = *c.keep_inner_vlan;
  if (c.flow_id) e.flow_id = *c.flow_id;
  if (c.gre_key) e.gre_key = *c.gre_key;
  if (c.gre_checksum) e.gre_checksum = *c.gre_checksum;
  if (c.gre_sequence) e.gre_sequence = *c.gre_sequence;
  if (c.stt_vlan) e.vlan_in_header = *c.stt_vlan;
  if (c.lisp_instance) e.instance = *c.lisp_instance;
  // The header has room for one of them, and for 8 bits of locators beside an instance id.
  if (c.lisp.nonce) {
    e.lisp.nonce = c.lisp.nonce;
    e.lisp.echo_nonce = c.lisp.echo_nonce;
    e.lisp.map_versions.reset();
  }
  if (c.lisp.map_versions) {
    e.lisp.map_versions = c.lisp.map_versions;
    e.lisp.nonce.reset();
    e.lisp.echo_nonce = false;
  }
  if (c.lisp.locators) e.lisp.locators = c.lisp.locators;
  if (e.instance && e.lisp.locators) *e.lisp.locators &= 0xff;
}

std::span<const std::string_view> choice_names() { return kNames; }

Result<bool> set_choice(EncapChoices& c, std::string_view name, std::string_view value) {
  if (name == "ecn") {
    if (value != "copy" && value != "compatibility")
      return Error{fmt::format("'{}' is no way to treat ECN", value),
                   {},
                   "write copy, or compatibility for Not-ECT outside (RFC 6040, 4.1)"};
    c.copy_ecn = value == "copy";
    return true;
  }
  if (name == "dscp") return number_or_inherit(c.dscp, c.inherit_dscp, value, 0, 63);
  if (name == "ttl") return number_or_inherit(c.ttl, c.inherit_ttl, value, 1, 255);
  if (name == "df") return yes_or_no(c.dont_fragment, value);
  if (name == "udp_checksum") return yes_or_no(c.udp_checksum, value);
  if (name == "source_ports") return port_range(c, value);
  if (name == "outer_vlan") return number_into(c.outer_vlan, value, 1, 4094);
  if (name == "inner_vlan") return yes_or_no(c.keep_inner_vlan, value);
  if (name == "flow_id") return yes_or_no(c.flow_id, value);
  if (name == "gre_key") return yes_or_no(c.gre_key, value);
  if (name == "gre_checksum") return yes_or_no(c.gre_checksum, value);
  if (name == "gre_sequence") return yes_or_no(c.gre_sequence, value);
  if (name == "stt_vlan") return yes_or_no(c.stt_vlan, value);
  if (name == "lisp_instance") return yes_or_no(c.lisp_instance, value);
  if (name == "lisp_nonce") {
    if (c.lisp.map_versions)
      return Error{"a nonce and map versions together", {}, "a header has room for one of them"};
    return number_into(c.lisp.nonce, value, 0, 0xffffff);
  }
  if (name == "lisp_echo_nonce") {
    std::optional<bool> echo;
    auto done = yes_or_no(echo, value);
    if (!done) return done;
    if (*echo && !c.lisp.nonce)
      return Error{"a nonce that is to be echoed, but none is sent", {}, "add lisp_nonce=N before"};
    c.lisp.echo_nonce = *echo;
    return true;
  }
  if (name == "lisp_map_versions") return map_versions(c.lisp, value);
  if (name == "lisp_locators") return number_into(c.lisp.locators, value, 0, 0xffffffff);
  return false;
}

std::string format_choices(const EncapChoices& c) {
  std::string out;
  const auto flag = [&](const char* name, const std::optional<bool>& v) {
    if (v) out += fmt::format(",{}={}", name, *v ? 1 : 0);
  };
  flag("df", c.dont_fragment);
  if (c.inherit_dscp && *c.inherit_dscp)
    out += ",dscp=inherit";
  else if (c.dscp)
    out += fmt::format(",dscp={}", *c.dscp);
  if (c.copy_ecn) out += *c.copy_ecn ? ",ecn=copy" : ",ecn=compatibility";
  flag("flow_id", c.flow_id);
  flag("gre_checksum", c.gre_checksum);
  flag("gre_key", c.gre_key);
  flag("gre_sequence", c.gre_sequence);
  flag("inner_vlan", c.keep_inner_vlan);
  if (c.lisp.nonce) out += fmt::format(",lisp_nonce={}", *c.lisp.nonce);
  if (c.lisp.echo_nonce) out += ",lisp_echo_nonce=1";
  flag("lisp_instance", c.lisp_instance);
  if (c.lisp.locators) out += fmt::format(",lisp_locators={}", *c.lisp.locators);
  if (c.lisp.map_versions)
    out += fmt::format(",lisp_map_versions={}-{}", *c.lisp.map_versions >> 12,
                       *c.lisp.map_versions & 0xfff);
  if (c.outer_vlan) out += fmt::format(",outer_vlan={}", *c.outer_vlan);
  if (c.source_ports)
    out += fmt::format(",source_ports={}-{}", c.source_ports->first, c.source_ports->second);
  flag("stt_vlan", c.stt_vlan);
  if (c.inherit_ttl && *c.inherit_ttl)
    out += ",ttl=inherit";
  else if (c.ttl)
    out += fmt::format(",ttl={}", *c.ttl);
  flag("udp_checksum", c.udp_checksum);
  return out;
}

}  // namespace weft::datapath
