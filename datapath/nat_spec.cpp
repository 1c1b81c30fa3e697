#include "datapath/nat_spec.h"

#include <fmt/core.h>

#include <charconv>
#include <optional>

namespace weft::datapath {
namespace {

constexpr std::string_view kShape =
    "write nat(src=10.0.0.1-10.0.0.9:1000-2000) or nat(dst=[fd00::1]:80); flags are persistent, "
    "hash, random";

Error wrong(int column, std::string message, std::string_view remedy = kShape) {
  return {std::move(message), {.file = {}, .line = 0, .column = column}, std::string(remedy)};
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size() || v == 0) return std::nullopt;
  return v;
}

Result<> read_ports(NatSpec& spec, std::string_view text, int column) {
  const auto dash = text.find('-');
  const auto low = port_of(text.substr(0, dash));
  const auto high = dash == std::string_view::npos ? low : port_of(text.substr(dash + 1));
  if (!low || !high || *low > *high)
    return wrong(column, fmt::format("'{}' is not a range of ports", text),
                 "ports run from 1 to 65535, the lower first: 1000-2000");
  spec.port_min = *low;
  spec.port_max = *high;
  return {};
}

/// "A", "A-B", with ":PORTS" behind; IPv6 with ports stands in brackets.
Result<> read_range(NatSpec& spec, std::string_view text, int column) {
  const bool brackets = text[0] == '[';
  const bool ports_follow = brackets || text.find('.') != std::string_view::npos;
  std::size_t end = text.size();
  if (ports_follow) {
    const auto from = brackets ? text.rfind(']') : 0;
    if (from == std::string_view::npos)
      return wrong(column, "a '[' that no ']' closes", "write [fd00::1]:80");
    if (const auto colon = text.find(':', from); colon != std::string_view::npos) {
      end = colon;
      if (auto r = read_ports(spec, text.substr(colon + 1), column + static_cast<int>(colon) + 1);
          !r)
        return r;
    }
  }
  const std::string_view addresses = text.substr(0, end);
  const auto dash = addresses.find('-');
  const auto address = [&](std::string_view t) -> std::optional<IpAddress> {
    if (brackets) {
      if (t.size() < 2 || t.front() != '[' || t.back() != ']') return std::nullopt;
      t = t.substr(1, t.size() - 2);
    }
    const auto ip = parse_ip(t);
    if (!ip) return std::nullopt;
    return *ip;
  };
  const auto first = address(addresses.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : address(addresses.substr(dash + 1));
  if (!first || !last || first->is6 != last->is6 || first->bits > last->bits)
    return wrong(column, fmt::format("'{}' is not a range of addresses", addresses));
  spec.has_address = true;
  spec.is6 = first->is6;
  spec.min = first->bits;
  spec.max = last->bits;
  return {};
}

}  // namespace

Result<NatSpec> parse_nat(std::string_view text, int column) {
  NatSpec spec;
  spec.kind = NatSpec::Kind::as_recorded;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, end - at);
    const int here = column + static_cast<int>(at);
    at = end + 1;
    const auto equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    if (name == "src" || name == "dst") {
      if (spec.chooses()) return wrong(here, "nat() takes one of src and dst");
      spec.kind = name == "src" ? NatSpec::Kind::source : NatSpec::Kind::destination;
      if (equals != std::string_view::npos && equals + 1 < item.size()) {
        const int value = here + static_cast<int>(equals) + 1;
        const Result<> read = read_range(spec, item.substr(equals + 1), value);
        if (!read.ok()) return read.error();
      } else if (equals != std::string_view::npos) {
        return wrong(here, fmt::format("{} has no address", name));
      }
    } else if (item == "persistent") {
      spec.persistent = true;
    } else if (item == "hash") {
      spec.hash = true;
    } else if (item == "random") {
      spec.random = true;
    } else {
      return wrong(here, fmt::format("nat() has no '{}'", item));
    }
  }
  if (!spec.chooses() && (spec.persistent || spec.hash || spec.random))
    return wrong(column, "a flag of nat() without src or dst");
  if (spec.hash && spec.random) return wrong(column, "nat() takes one of hash and random");
  return spec;
}

std::string format_nat(const NatSpec& s) {
  if (!s.chooses()) return "nat";
  std::string out = s.kind == NatSpec::Kind::source ? "nat(src" : "nat(dst";
  if (s.has_address) {
    const bool brackets = s.is6 && s.port_min != 0;
    const auto address = [&](Ip6 a) {
      const std::string t = s.is6 ? a.text() : Ip4{static_cast<std::uint32_t>(a.low)}.text();
      return brackets ? "[" + t + "]" : t;
    };
    out += "=" + address(s.min);
    if (s.max != s.min) out += "-" + address(s.max);
    if (s.port_min != 0) out += fmt::format(":{}", s.port_min);
    if (s.port_max != s.port_min) out += fmt::format("-{}", s.port_max);
  }
  if (s.persistent) out += ",persistent";
  if (s.hash) out += ",hash";
  if (s.random) out += ",random";
  return out + ")";
}

}  // namespace weft::datapath
