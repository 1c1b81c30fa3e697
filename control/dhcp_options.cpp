#include "control/dhcp_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/names.h"

namespace weft::control {
namespace {

enum class Form : std::uint8_t {
  addresses,  // one or several, in braces or alone
  byte,
  word,
  number,
  flag,
  text,
  routes,   // classless static routes (RFC 3442)
  domains,  // search list (RFC 3397)
  named,    // a parameter with addresses
  plain,    // a parameter with a number or a name
  mac,      // checked, and said by DhcpOptions::server_mac
  nothing,  // said elsewhere
};
struct Option {
  std::string_view name;
  Form form;
  unsigned code;               // or
  std::string_view parameter;  // of named and plain
};

constexpr Option kOptions4[] = {
    {"netmask", Form::named, 1, "netmask"},
    {"router", Form::named, 3, "router"},
    {"dns_server", Form::named, 6, "dns"},
    {"mtu", Form::plain, 26, "mtu"},
    {"lease_time", Form::plain, 51, "lease"},
    {"domain_name", Form::plain, 15, "domain"},
    {"hostname", Form::plain, 12, "hostname"},
    {"server_id", Form::nothing, 54, ""},
    {"server_mac", Form::mac, 0, ""},
    {"log_server", Form::addresses, 7, ""},
    {"lpr_server", Form::addresses, 9, ""},
    {"swap_server", Form::addresses, 16, ""},
    {"ip_forward_enable", Form::flag, 19, ""},
    {"policy_filter", Form::addresses, 21, ""},
    {"default_ttl", Form::byte, 23, ""},
    {"broadcast_address", Form::addresses, 28, ""},
    {"router_discovery", Form::flag, 31, ""},
    {"router_solicitation", Form::addresses, 32, ""},
    {"arp_cache_timeout", Form::number, 35, ""},
    {"ethernet_encap", Form::flag, 36, ""},
    {"tcp_ttl", Form::byte, 37, ""},
    {"tcp_keepalive_interval", Form::number, 38, ""},
    {"nis_server", Form::addresses, 41, ""},
    {"ntp_server", Form::addresses, 42, ""},
    {"netbios_name_server", Form::addresses, 44, ""},
    {"netbios_node_type", Form::byte, 46, ""},
    {"T1", Form::number, 58, ""},
    {"T2", Form::number, 59, ""},
    {"tftp_server", Form::text, 66, ""},
    {"bootfile_name", Form::text, 67, ""},
    {"domain_search_list", Form::domains, 119, ""},
    {"classless_static_route", Form::routes, 121, ""},
    {"tftp_server_address", Form::addresses, 150, ""},
    {"path_prefix", Form::text, 210, ""},
    {"ms_classless_static_route", Form::routes, 249, ""},
    {"wpad", Form::text, 252, ""},
};
constexpr Option kOptions6[] = {
    {"dns_server", Form::named, 23, "dns"},     {"domain_search", Form::plain, 24, "domain"},
    {"lease_time", Form::plain, 0, "lease"},    {"server_id", Form::mac, 0, ""},
    {"dhcpv6_stateless", Form::nothing, 0, ""},
};

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<std::uint8_t>(c));
  return out;
}

std::string big_endian(std::uint64_t n, int bytes) {
  std::string out;
  while (bytes-- > 0) out += static_cast<char>(n >> (8 * bytes) & 0xff);
  return out;
}

/// "{a, b}" or "a": the items.
std::vector<std::string_view> items(std::string_view text) {
  std::vector<std::string_view> out;
  if (text.starts_with('{') && text.ends_with('}')) text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    out.push_back(one);
  }
  return out;
}

std::string_view unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

std::optional<std::uint64_t> number(std::string_view text, std::uint64_t most) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n > most) return std::nullopt;
  return n;
}

std::optional<std::string> encoded_name(std::string_view name) {
  std::string out;
  if (!is_name(name)) return std::nullopt;
  while (!name.empty()) {
    const auto end = std::min(name.find('.'), name.size());
    if (end == 0 || end > 63) return std::nullopt;
    out += static_cast<char>(end);
    out += name.substr(0, end);
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return out + '\0';
}

/// "30.0.0.0/24,10.0.0.10, 0.0.0.0/0,10.0.0.1"
std::optional<std::string> encoded_routes(std::string_view text) {
  std::string out;
  const auto all = items(text);
  if (all.empty() || all.size() % 2 != 0) return std::nullopt;
  for (std::size_t i = 0; i < all.size(); i += 2) {
    const auto prefix = parse_prefix(all[i]);
    const auto hop = parse_ip(all[i + 1]);
    if (!prefix || prefix->address.is6 || !hop || hop->is6) return std::nullopt;
    out += static_cast<char>(prefix->length);
    out += big_endian(prefix->address.v4().value, 4).substr(0, (prefix->length + 7u) / 8);
    out += big_endian(hop->v4().value, 4);
  }
  return out;
}

/// What comes behind the parameters so far; none: it cannot have this value.
std::optional<std::string> parameter(const Option& o, std::string_view value, bool is6) {
  const auto option = [&](const std::string& bytes) -> std::optional<std::string> {
    if (bytes.empty() || bytes.size() > 255) return std::nullopt;
    return fmt::format(",option{}={}", o.code, hex(bytes));
  };
  switch (o.form) {
    case Form::nothing:
      return "";
    case Form::mac:
      if (!parse_mac(value)) return std::nullopt;
      return "";
    case Form::named:
    case Form::addresses: {
      std::string named, bytes;
      for (const std::string_view one : items(value)) {
        const auto a = parse_ip(one);
        if (!a || a->is6 != is6) return std::nullopt;
        named += fmt::format(",{}={}", o.parameter, a->text());
        if (!is6) bytes += big_endian(a->v4().value, 4);
      }
      if (o.form == Form::addresses) return option(bytes);
      if (named.empty() || (o.parameter == "netmask" && bytes.size() != 4)) return std::nullopt;
      return named;
    }
    case Form::plain: {
      value = unquoted(value);
      const bool counts = o.parameter == "mtu" || o.parameter == "lease";
      if (counts ? !number(value, o.parameter == "mtu" ? 0xffff : 0xffffffff) : !is_name(value))
        return std::nullopt;
      return fmt::format(",{}={}", o.parameter, value);
    }
    case Form::byte:
    case Form::number: {
      const bool one = o.form == Form::byte;
      const auto n = number(value, one ? 0xff : 0xffffffff);
      return n ? option(big_endian(*n, one ? 1 : 4)) : std::nullopt;
    }
    case Form::word: {
      const auto n = number(value, 0xffff);
      return n ? option(big_endian(*n, 2)) : std::nullopt;
    }
    case Form::flag:
      if (value != "0" && value != "1" && value != "true" && value != "false") return std::nullopt;
      return option(big_endian(value == "1" || value == "true", 1));
    case Form::text:
      return option(std::string(unquoted(value)));
    case Form::routes: {
      const auto bytes = encoded_routes(value);
      return bytes ? option(*bytes) : std::nullopt;
    }
    case Form::domains: {
      std::string bytes;
      for (const std::string_view one : items(unquoted(value))) {
        const auto name = encoded_name(one);
        if (!name) return std::nullopt;
        bytes += *name;
      }
      return option(bytes);
    }
  }
  return std::nullopt;
}

}  // namespace

bool is_stateless(const DhcpOptions& options) {
  const auto it = options.options.find("dhcpv6_stateless");
  return it != options.options.end() && it->second == "true";
}

Result<std::string> dhcp_parameters(const DhcpOptions& options) {
  const bool is6 = options.subnet.address.is6;
  const auto* begin = is6 ? std::begin(kOptions6) : std::begin(kOptions4);
  const auto* end = is6 ? std::end(kOptions6) : std::end(kOptions4);
  std::string out;
  if (!is6 && !options.options.contains("netmask")) {
    const int length = options.subnet.length;
    const Ip4 mask{length == 0 ? 0u : 0xffffffffu << (32 - length)};
    if (length > 0) out += ",netmask=" + mask.text();
  }
  if (!options.options.contains("lease_time"))
    out += fmt::format(",lease={}", options.lease_seconds);
  for (const auto& [name, value] : options.options) {
    const auto* o = std::find_if(begin, end, [&](const Option& x) { return x.name == name; });
    if (o == end) {
      std::vector<std::string> names;
      for (const auto* x = begin; x != end; ++x) names.emplace_back(x->name);
      const std::string near = nearest_name(name, names);
      return Error{
          fmt::format("has option '{}', which DHCP{} does not know{}", name, is6 ? "v6" : "",
                      near.empty() ? "" : fmt::format("; is it '{}'?", near)),
          {},
          ""};
    }
    const auto text = parameter(*o, value, is6);
    if (!text)
      return Error{fmt::format("has option {}={}, which it cannot be", name, value), {}, ""};
    out += *text;
  }
  return out;
}

std::string dhcp_action(const DhcpOptions& options, const IpAddress& address) {
  const auto parameters = dhcp_parameters(options);
  const std::string rest = parameters ? *parameters : std::string();
  if (!options.subnet.address.is6)
    return fmt::format("dhcp_reply(address={},server={},mac={}{})", address.text(),
                       options.server.text(), options.server_mac.text(), rest);
  std::string out = "dhcpv6_reply(mac=" + options.server_mac.text();
  if (!is_stateless(options)) out += ",address=" + address.text();
  if (options.server.bits.high != 0 || options.server.bits.low != 0)
    out += ",server=" + options.server.text();
  return out + rest + ")";
}

}  // namespace weft::control
