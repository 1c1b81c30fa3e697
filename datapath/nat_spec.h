// NatSpec: what nat(...) inside a ct() action asks for, and its text in the syntax of ovs-ofctl.
// What is made of it: nat.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/net_types.h"
#include "base/result.h"

namespace weft::datapath {

/// nat, nat(src=...), nat(dst=...).
struct NatSpec {
  enum class Kind : std::uint8_t {
    none,         ///< no NAT
    as_recorded,  ///< `nat`: translate if the connection is a translated one
    source,
    destination,
  };
  Kind kind = Kind::none;
  bool is6 = false;
  bool has_address = false;  ///< else the address stays: nat(src)
  bool persistent = false, hash = false, random = false;
  std::uint16_t port_min = 0, port_max = 0;  ///< 0: no range of ports
  Ip6 min{}, max{};                          ///< IPv4 in the low 32 bits; min <= max
  bool operator==(const NatSpec&) const = default;

  bool chooses() const { return kind >= Kind::source; }
};

/// What is inside nat(...), in the syntax of ovs-ofctl: "src=10.0.0.1-10.0.0.9:1000-2000,random".
/// Errors carry the column within `text`, shifted by `column`.
Result<NatSpec> parse_nat(std::string_view text, int column = 1);
/// "nat", "nat(src=...)"; reads back the same.
std::string format_nat(const NatSpec& spec);

}  // namespace weft::datapath
