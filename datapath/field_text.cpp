// Values of fields as text, both ways (declared in flow_key.h).
#include <fmt/core.h>

#include <bit>
#include <charconv>
#include <optional>

#include "datapath/flow_key.h"

namespace weft::datapath {
namespace {

struct FlagName {
  std::string_view name;
  std::uint32_t bit;
};
constexpr FlagName kCtStates[] = {{"new", 0x01}, {"est", 0x02}, {"rel", 0x04},  {"rpl", 0x08},
                                  {"inv", 0x10}, {"trk", 0x20}, {"snat", 0x40}, {"dnat", 0x80}};
constexpr FlagName kTcpFlags[] = {{"fin", 1},  {"syn", 2},  {"rst", 4},   {"psh", 8}, {"ack", 16},
                                  {"urg", 32}, {"ece", 64}, {"cwr", 128}, {"ns", 256}};

/// "0x" and up to 32 digits.
std::optional<Ip6> parse_wide_hex(std::string_view text) {
  if (text.size() < 3 || text.size() > 34 || text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
    return std::nullopt;
  text.remove_prefix(2);
  Ip6 v{};
  for (char c : text) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    v = {v.high << 4 | v.low >> 60, v.low << 4 | static_cast<std::uint64_t>(digit)};
  }
  return v;
}
constexpr FlagName kTunFlags[] = {{"oam", 1}};

std::optional<std::uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return v;
}

Ip6 prefix_mask(int length, int width) {
  Ip6 m{};
  for (int i = 0; i < length; ++i) {
    const int bit = width - 1 - i;
    (bit >= 64 ? m.high : m.low) |= 1ULL << (bit % 64);
  }
  return m;
}

/// Length of a mask that is a prefix of `width` bits, or -1.
int prefix_length(Ip6 mask, int width) {
  for (int n = 0; n <= width; ++n)
    if (prefix_mask(n, width) == mask) return n;
  return -1;
}

Error wrong(const FieldInfo& f, std::string_view text, std::string_view remedy) {
  return {fmt::format("'{}' is not a value of {}", text, f.name), {}, std::string(remedy)};
}

template <std::size_t N>
Result<MaskedValue> parse_flags(const FieldInfo& f, std::string_view text,
                                const FlagName (&names)[N]) {
  std::string all;
  for (const FlagName& n : names) all += (all.empty() ? "" : ", ") + std::string(n.name);
  MaskedValue out;
  const std::string_view whole = text;
  while (!text.empty()) {
    const char sign = text[0];
    if (sign != '+' && sign != '-')
      return wrong(f, whole, "write + or - before each flag: +trk+est-new");
    text.remove_prefix(1);
    const std::string_view name = text.substr(0, text.find_first_of("+-"));
    text.remove_prefix(name.size());
    const FlagName* found = nullptr;
    for (const FlagName& n : names)
      if (n.name == name) found = &n;
    if (found == nullptr)
      return Error{fmt::format("unknown flag '{}' in {}", name, f.name), {}, "flags are: " + all};
    if ((out.mask.low & found->bit) != 0)
      return Error{fmt::format("flag '{}' twice in {}", name, f.name), {}, "write each flag once"};
    out.mask.low |= found->bit;
    if (sign == '+') out.value.low |= found->bit;
  }
  return out;
}

/// "new|trk": the flags that are set, and no other is.
template <std::size_t N>
std::optional<MaskedValue> parse_names(const FieldInfo& f, std::string_view text,
                                       const FlagName (&names)[N]) {
  MaskedValue out{{}, field_ones(f)};
  while (true) {
    const std::string_view name = text.substr(0, text.find('|'));
    std::uint32_t bit = 0;
    for (const FlagName& n : names)
      if (n.name == name) bit = n.bit;
    if (bit == 0) return std::nullopt;
    out.value.low |= bit;
    if (name.size() == text.size()) return out;
    text.remove_prefix(name.size() + 1);
  }
}

template <std::size_t N>
std::optional<std::string> format_names(std::uint64_t value, const FlagName (&names)[N]) {
  std::string out;
  for (const FlagName& n : names) {
    if ((value & n.bit) == 0) continue;
    out += (out.empty() ? "" : "|") + std::string(n.name);
    value &= ~static_cast<std::uint64_t>(n.bit);
  }
  if (value != 0 || out.empty()) return std::nullopt;
  return out;
}

template <std::size_t N>
std::optional<std::string> format_flags(MaskedValue v, const FlagName (&names)[N]) {
  std::string out;
  std::uint64_t left = v.mask.low;
  for (int sign = 0; sign < 2; ++sign) {  // set flags first, as Open vSwitch prints them
    for (const FlagName& n : names) {
      if ((v.mask.low & n.bit) == 0 || ((v.value.low & n.bit) != 0) == (sign == 1)) continue;
      out += (sign == 0 ? '+' : '-');
      out += n.name;
      left &= ~static_cast<std::uint64_t>(n.bit);
    }
  }
  if (left != 0 || out.empty()) return std::nullopt;
  return out;
}

Result<Ip6> parse_plain(const FieldInfo& f, std::string_view text) {
  switch (f.format) {
    case FieldFormat::mac: {
      auto mac = parse_mac(text);
      if (!mac) return wrong(f, text, "a MAC address is written 02:00:00:00:00:01");
      return Ip6{0, mac->to_u64()};
    }
    case FieldFormat::ip4: {
      auto ip = parse_ip(text);
      if (ip && !ip->is6) return ip->bits;
      if (auto n = parse_number(text); n && *n <= 0xFFFFFFFFULL) return Ip6{0, *n};
      return wrong(f, text, "an IPv4 address is written 10.0.0.1 or 10.0.0.0/8");
    }
    case FieldFormat::ip6: {
      auto ip = parse_ip(text);
      if (ip && ip->is6) return ip->bits;
      return wrong(f, text, "an IPv6 address is written 2001:db8::1 or 2001:db8::/32");
    }
    default: {
      const auto n = parse_number(text);
      if (!n && f.bits == 128)
        if (const auto wide = parse_wide_hex(text)) return *wide;
      if (!n) return wrong(f, text, "write a number, decimal or 0x...");
      if (f.bits < 64 && *n > f.at().ones())
        return wrong(f, text,
                     fmt::format("{} has {} bits: at most {:#x}", f.name, f.bits, f.at().ones()));
      return Ip6{0, *n};
    }
  }
}

std::string format_plain(const FieldInfo& f, Ip6 v) {
  switch (f.format) {
    case FieldFormat::mac:
      return Mac::from_u64(v.low).text();
    case FieldFormat::ip4:
      return Ip4{static_cast<std::uint32_t>(v.low)}.text();
    case FieldFormat::ip6:
      return v.text();
    case FieldFormat::decimal:
      if (f.id == Field::in_port && v.low == 0xfffe) return "LOCAL";
      if (f.id == Field::in_port && v.low == 0xfffd) return "CONTROLLER";
      return fmt::format("{}", v.low);
    default:
      if (f.id == Field::vlan_tci) return fmt::format("{:#06x}", v.low);
      if (v.high != 0) return fmt::format("{:#x}{:016x}", v.high, v.low);
      return v.low == 0 ? "0" : fmt::format("{:#x}", v.low);
  }
}

constexpr struct {
  std::string_view name;
  std::uint8_t value, mask;
} kFragments[] = {
    {"no", 0, 3}, {"yes", 1, 1}, {"first", 1, 3}, {"later", 3, 3}, {"not_later", 0, 2}};

}  // namespace

Result<MaskedValue> parse_field_value(const FieldInfo& f, std::string_view text) {
  if (text.empty())
    return Error{fmt::format("{} has no value", f.name), {}, fmt::format("write {}=VALUE", f.name)};
  const bool signs = text[0] == '+' || text[0] == '-';
  if (f.format == FieldFormat::ct_state && signs) return parse_flags(f, text, kCtStates);
  if (f.format == FieldFormat::ct_state)
    if (auto names = parse_names(f, text, kCtStates)) return *names;
  if (f.format == FieldFormat::tcp_flags && signs) return parse_flags(f, text, kTcpFlags);
  if (f.format == FieldFormat::tcp_flags)
    if (auto names = parse_names(f, text, kTcpFlags)) return *names;
  if (f.format == FieldFormat::tun_flags && signs) return parse_flags(f, text, kTunFlags);
  if (f.format == FieldFormat::tun_flags)
    if (auto names = parse_names(f, text, kTunFlags)) return *names;
  if (f.format == FieldFormat::frag) {
    for (const auto& k : kFragments)
      if (k.name == text) return MaskedValue{{0, k.value}, {0, k.mask}};
    return wrong(f, text, "one of no, yes, first, later, not_later");
  }
  const auto slash = text.find('/');
  auto value = parse_plain(f, text.substr(0, slash));
  if (!value) return value.error();
  MaskedValue out{*value, field_ones(f)};
  out.value.low &= out.mask.low;
  if (slash == std::string_view::npos) return out;

  const std::string_view mask_text = text.substr(slash + 1);
  const bool address = f.format == FieldFormat::ip4 || f.format == FieldFormat::ip6;
  const auto number = parse_number(mask_text);
  const std::uint64_t width = f.bits;
  if (address && number && mask_text.substr(0, 2) != "0x") {
    if (*number > width)
      return wrong(f, text, fmt::format("the prefix length is at most {}", f.bits));
    out.mask = prefix_mask(static_cast<int>(*number), f.bits);
  } else {
    auto mask = parse_plain(f, mask_text);
    if (!mask)
      return Error{
          fmt::format("'{}' is not a mask of {}", mask_text, f.name), {}, mask.error().remedy};
    out.mask = *mask;
  }
  out.value.high &= out.mask.high;
  out.value.low &= out.mask.low;
  return out;
}

std::string format_field_value(const FieldInfo& f, MaskedValue v) {
  if (f.format == FieldFormat::frag) {
    for (const auto& k : kFragments)
      if (k.value == v.value.low && k.mask == v.mask.low) return std::string(k.name);
  }
  const bool all = v.mask == field_ones(f);
  if (f.format == FieldFormat::ct_state && all)
    if (auto text = format_names(v.value.low, kCtStates)) return *text;
  if (f.format == FieldFormat::ct_state)
    if (auto text = format_flags(v, kCtStates)) return *text;
  if (f.format == FieldFormat::tun_flags)
    if (auto text = format_flags(v, kTunFlags)) return *text;
  if (f.format == FieldFormat::tcp_flags && all)
    if (auto text = format_names(v.value.low, kTcpFlags)) return *text;
  if (f.format == FieldFormat::tcp_flags && !all)
    if (auto text = format_flags(v, kTcpFlags)) return *text;
  std::string out = format_plain(f, v.value);
  if (all) return out;
  if (f.format == FieldFormat::ip4 || f.format == FieldFormat::ip6) {
    const int n = prefix_length(v.mask, f.bits);
    if (n >= 0) return out + fmt::format("/{}", n);
  }
  if (f.format == FieldFormat::decimal)  // a mask reads better beside a value in the same base
    return fmt::format("{:#x}/{:#x}", v.value.low, v.mask.low);
  return out + "/" + format_plain(f, v.mask);
}

}  // namespace weft::datapath
