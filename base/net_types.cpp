#include "base/net_types.h"

#include <fmt/format.h>

namespace weft {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Decimal of at most three digits, no leading zero, up to `limit`; -1 if it is not.
int read_small(std::string_view text, int limit) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return -1;
  int v = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return -1;
    v = v * 10 + (c - '0');
  }
  return v <= limit ? v : -1;
}

bool read_ip4(std::string_view text, std::uint32_t& out) {
  out = 0;
  for (int i = 0; i < 4; ++i) {
    const std::size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (i == 3)) return false;
    const int v = read_small(text.substr(0, dot), 255);
    if (v < 0) return false;
    out = out << 8 | static_cast<std::uint32_t>(v);
    if (i < 3) text.remove_prefix(dot + 1);
  }
  return true;
}

/// Reads colon-separated groups into `groups`; false if they are malformed or more than 8.
bool read_groups(std::string_view text, bool may_end_in_ip4, std::array<std::uint16_t, 8>& groups,
                 std::size_t& count) {
  count = 0;
  if (text.empty()) return true;
  while (true) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    std::uint32_t ip4 = 0;
    if (colon == std::string_view::npos && may_end_in_ip4 && read_ip4(group, ip4)) {
      if (count > 6) return false;
      groups[count++] = static_cast<std::uint16_t>(ip4 >> 16);
      groups[count++] = static_cast<std::uint16_t>(ip4);
      return true;
    }
    if (group.empty() || group.size() > 4 || count == 8) return false;
    unsigned v = 0;
    for (char c : group) {
      const int digit = hex_value(c);
      if (digit < 0) return false;
      v = v << 4 | static_cast<unsigned>(digit);
    }
    groups[count++] = static_cast<std::uint16_t>(v);
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
  }
}

bool read_ip6(std::string_view text, Ip6& out) {
  std::array<std::uint16_t, 8> head{};
  std::array<std::uint16_t, 8> tail{};
  std::size_t head_count = 0;
  std::size_t tail_count = 0;
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!read_groups(text, true, head, head_count) || head_count != 8) return false;
  } else {
    if (!read_groups(text.substr(0, gap), false, head, head_count)) return false;
    if (!read_groups(text.substr(gap + 2), true, tail, tail_count)) return false;
    if (head_count + tail_count > 7) return false;
    for (std::size_t i = 0; i < tail_count; ++i) head[8 - tail_count + i] = tail[i];
  }
  out = {};
  for (std::size_t i = 0; i < 4; ++i) out.high = out.high << 16 | head[i];
  for (std::size_t i = 4; i < 8; ++i) out.low = out.low << 16 | head[i];
  return true;
}

/// `a` with the bits beyond `length` cleared.
IpAddress masked(IpAddress a, int length) {
  if (!a.is6) length += 96;
  const auto keep = [](int bits) {
    return bits <= 0 ? 0ULL : bits >= 64 ? ~0ULL : ~0ULL << (64 - bits);
  };
  a.bits.high &= keep(length);
  a.bits.low &= keep(length - 64);
  return a;
}

}  // namespace

std::string Mac::text() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2],
                     bytes[3], bytes[4], bytes[5]);
}

std::string Ip4::text() const {
  return fmt::format("{}.{}.{}.{}", value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255);
}

// RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of
// equals) becomes "::", an IPv4-mapped address shows its IPv4 part.
std::string Ip6::text() const {
  if (high == 0 && low >> 32 == 0xffff) {
    return "::ffff:" + Ip4{static_cast<std::uint32_t>(low)}.text();
  }
  std::array<std::uint16_t, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) {
    groups[i] = static_cast<std::uint16_t>((i < 4 ? high : low) >> (48 - 16 * (i % 4)));
  }
  std::size_t best = 8;
  std::size_t best_length = 1;
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    i = end + 1;
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += fmt::format("{:x}", groups[i]);
  }
  return out;
}

std::string IpAddress::text() const { return is6 ? bits.text() : v4().text(); }

bool Prefix::contains(const IpAddress& a) const {
  return a.is6 == address.is6 && masked(a, length) == masked(address, length);
}

std::string Prefix::text() const { return fmt::format("{}/{}", address.text(), length); }

Result<Mac> parse_mac(std::string_view text) {
  const Error error{fmt::format("'{}' is not a MAC address", text),
                    {},
                    "a MAC address is six pairs of hexadecimal digits: 02:00:00:00:00:01"};
  if (text.size() != 17 || (text[2] != ':' && text[2] != '-')) return error;
  Mac mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const int high = hex_value(text[3 * i]);
    const int low = hex_value(text[3 * i + 1]);
    if (high < 0 || low < 0) return error;
    if (i < 5 && text[3 * i + 2] != text[2]) return error;
    mac.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return mac;
}

Result<IpAddress> parse_ip(std::string_view text) {
  std::uint32_t ip4 = 0;
  if (read_ip4(text, ip4)) return IpAddress(Ip4{ip4});
  Ip6 ip6;
  if (text.find(':') != std::string_view::npos && read_ip6(text, ip6)) return IpAddress(ip6);
  return Error{fmt::format("'{}' is not an IP address", text),
               {},
               "write four numbers from 0 to 255 (10.0.1.5) or an IPv6 address (fd00:1::5)"};
}

Result<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  auto address = parse_ip(text.substr(0, slash));
  if (!address) {
    Error error = address.error();
    error.message = fmt::format("'{}' is not a prefix: {}", text, error.message);
    error.remedy = "a prefix is an address, '/' and a length: 10.0.1.0/24 or fd00:1::/64";
    return error;
  }
  const int longest = address->is6 ? 128 : 32;
  if (slash == std::string_view::npos) {
    return Error{fmt::format("'{}' has no prefix length", text),
                 {},
                 fmt::format("write {}/{} for this one address", text, longest)};
  }
  const int length = read_small(text.substr(slash + 1), longest);
  if (length < 0) {
    return Error{fmt::format("'{}': '{}' is not a prefix length", text, text.substr(slash + 1)),
                 {},
                 fmt::format("the length is a number from 0 to {}", longest)};
  }
  Prefix prefix{masked(*address, length), length};
  if (prefix.address != *address) {
    return Error{fmt::format("'{}' has bits set beyond its length", text),
                 {},
                 fmt::format("write {} for the network, or {}/{} for the one address",
                             prefix.text(), address->text(), longest)};
  }
  return prefix;
}

}  // namespace weft
