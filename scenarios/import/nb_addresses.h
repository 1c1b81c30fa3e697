// Addresses as OVN writes them in its columns.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/net_types.h"

namespace weft::imports {

/// "10.0.0.1/24": an address of its own and the prefix that it lies in. Without a length: all bits.
struct InterfaceAddress {
  IpAddress address{};
  Prefix prefix{};
};
Result<InterfaceAddress> parse_interface(std::string_view text);

/// "10.0.0.0/24", "10.0.0.1" (all bits), "10.0.0.7/24" (host bits are dropped, as OVN does).
Result<Prefix> parse_loose_prefix(std::string_view text);

/// "80:fa:5b:06:72:b7 10.0.0.4 fd00::4", also separated by commas; each may have a length.
struct Station {
  Mac mac{};
  std::vector<InterfaceAddress> addresses;
};
Result<Station> parse_station(std::string_view text);

/// "10.0.0.10:80", "[fd00::10]:80", "10.0.0.10", "fd00::10".
struct Endpoint {
  IpAddress address{};
  std::uint16_t port = 0;  ///< 0: none was written
};
Result<Endpoint> parse_endpoint(std::string_view text);

/// The lower half of the IPv6 address that a station gives itself (modified EUI-64, RFC 4291).
std::uint64_t interface_identifier(const Mac& mac);

/// Without the empty ones.
std::vector<std::string_view> split_words(std::string_view text, std::string_view separators);

}  // namespace weft::imports
