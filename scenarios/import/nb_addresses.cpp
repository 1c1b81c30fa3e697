#include "scenarios/import/nb_addresses.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace weft::imports {
namespace {

Prefix masked(const IpAddress& address, int length) {
  Prefix p{address, length};
  const int bits = address.is6 ? 128 : 32;
  for (int i = 0; i < bits - length; ++i) {
    if (i < 64)
      p.address.bits.low &= ~(1ULL << i);
    else
      p.address.bits.high &= ~(1ULL << (i - 64));
  }
  return p;
}

std::optional<unsigned> number(std::string_view text, unsigned most) {
  unsigned out = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failed != std::errc() || end != text.data() + text.size() || out > most) return std::nullopt;
  return out;
}

}  // namespace

std::uint64_t interface_identifier(const Mac& mac) {
  const std::uint64_t m = mac.to_u64();
  return ((m >> 24 ^ 0x020000) << 40) | 0xfffe000000ULL | (m & 0xffffff);
}

std::vector<std::string_view> split_words(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Result<InterfaceAddress> parse_interface(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return Error{fmt::format("'{}' is no address", text)};
  const unsigned most = address->is6 ? 128 : 32;
  if (slash == std::string_view::npos)
    return InterfaceAddress{*address, {*address, static_cast<int>(most)}};
  const auto length = number(text.substr(slash + 1), most);
  if (length) return InterfaceAddress{*address, masked(*address, static_cast<int>(*length))};
  // 255.255.255.0
  const auto mask = parse_ip(text.substr(slash + 1));
  if (mask && !mask->is6 && !address->is6) {
    for (int n = 0; n <= 32; ++n)
      if (masked(Ip4{0xffffffff}, n).address == *mask)
        return InterfaceAddress{*address, masked(*address, n)};
  }
  return Error{fmt::format("'{}' has no prefix length", text)};
}

Result<Prefix> parse_loose_prefix(std::string_view text) {
  const auto parsed = parse_interface(text);
  if (!parsed) return Error{fmt::format("'{}' is no prefix", text)};
  return parsed->prefix;
}

Result<Station> parse_station(std::string_view text) {
  const auto words = split_words(text, " ,\t");
  Station out;
  if (words.empty()) return Error{"an Ethernet address is missing"};
  const auto mac = parse_mac(words[0]);
  if (!mac)
    return Error{fmt::format("'{}' is no Ethernet address, which must stand first", words[0])};
  out.mac = *mac;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto address = parse_interface(words[i]);
    if (!address) return address.error();
    out.addresses.push_back(*address);
  }
  return out;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  std::string_view host = text, port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return Error{fmt::format("'{}': [ is never closed", text)};
    host = text.substr(1, end - 1);
    if (end + 1 < text.size()) {
      if (text[end + 1] != ':') return Error{fmt::format("'{}' is no address and port", text)};
      port = text.substr(end + 2);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    host = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
  }
  const auto address = parse_ip(host);
  if (!address) return Error{fmt::format("'{}' is no address", text)};
  Endpoint out;
  out.address = *address;
  if (host.size() == text.size() || (text.starts_with('[') && text.ends_with(']'))) return out;
  const auto n = number(port, 65535);
  if (!n || *n == 0) return Error{fmt::format("'{}' has no port from 1 to 65535", text)};
  out.port = static_cast<std::uint16_t>(*n);
  return out;
}

}  // namespace weft::imports
