// Expression: a match of OVN's language (ovn-sb(5), "Logical_Flow", column "match") as a value:
//
//   outport == @app && ip4.src == $web && tcp.dst == {80, 443}
//   inport == "web-1" && !(ip4.dst == 10.0.0.0/8 || ct.est)
//
// The language, as OVN has it: comparisons of a symbol with a constant or a set of them (==, !=;
// for ordered fields also <, <=, >, >= and 1024 <= tcp.dst < 2048), in either order; bits of
// symbols (tcp.flags[1], ip4.src[24..31]); symbols of one bit and predicates alone (ct.est, tcp);
// constants in decimal, hexadecimal, as IPv4, IPv6 or Ethernet addresses, each with a mask after a
// slash; address sets ($web) and port groups (@app); !, &&, ||, parentheses (&& and || never mix
// without them, ! takes one symbol or a parenthesis); 0 and 1; is_chassis_resident("p"); // and
// /* */ comments. expression_symbols.h has the symbols.
//
// What an expression means:
//  - A comparison is true of the packets that have the field (its prerequisites: tcp.dst needs tcp,
//    which needs ip.proto == 6, which needs ip4 or ip6) and compare so.
//  - ! is carried to the leaves while parsing (De Morgan), and a comparison that it reaches turns
//    round but keeps its prerequisites: !(tcp.dst == 80) is tcp.dst != 80, "TCP, to another port".
//    So there is no "not" in the value: equal meanings are more often equal values.
//  - A predicate that is negated is true of all other packets: !vlan.present, !ip.is_frag.
//  - field == {a, b} is "one of them", field != {a, b} "none of them"; an empty address set makes
//    the first false, and the second true of all packets that have the field. (OVN forgets the
//    prerequisites in this last case.)
//
// OVN refuses what OpenFlow of Open vSwitch cannot do in one flow: "nominal" symbols (inport,
// eth.type, ip.proto, ip.ttl, arp.op, icmp4.type..., and predicates made of them, such as tcp) can
// only be tested positively, not by != or <. So does parse_expression, unless it is told otherwise:
// weft's tables can.
//
// Invariants of the value: `all_of` and `any_of` have at least two children, none of their own
// kind; symbols are those of the one table and live for ever; text() parses back to an equal value.
// Depth is limited by the parser (kDepth), size by its input (kLength).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"

namespace weft::control {

struct Symbol;

enum class Relation : std::uint8_t { eq, ne, lt, le, gt, ge };

/// A number as it was written. Bits of the value lie within the mask.
struct Constant {
  enum class Form : std::uint8_t { decimal, hex, ip4, ip6, mac };
  Form form = Form::decimal;
  bool masked = false;
  Ip6 value{};
  Ip6 mask{};  ///< if masked
  /// How many bits it claims: all of an address, else up to the highest that is set.
  unsigned width() const;
  std::string text() const;
  bool operator==(const Constant&) const = default;
};
/// "10.0.0.1", "10.0.0.0/8", "fd00::/8", "02:00:00:00:00:01", "80", "0x10/0xf0": a member of an
/// address set.
Result<Constant> parse_constant(std::string_view text);

/// What a symbol is compared with.
struct Operand {
  enum class Kind : std::uint8_t { constant, port, address_set, port_group };
  Kind kind = Kind::constant;
  Constant constant{};
  std::string name{};  ///< of the port, set or group
  std::string text() const;
  bool operator==(const Operand&) const = default;
};

/// All that an expression names, by name.
struct References {
  std::set<std::string> address_sets, port_groups, ports;
  bool operator==(const References&) const = default;
};

struct Expression {
  enum class Kind : std::uint8_t { truth, compare, predicate, resident, all_of, any_of };
  Kind kind = Kind::truth;
  bool positive = true;            ///< truth: which one; predicate, resident: not negated
  const Symbol* symbol = nullptr;  ///< compare, predicate
  std::uint8_t first = 0;          ///< compare: the bits of the symbol that are compared
  std::uint8_t bits = 0;           ///< (0: a string)
  Relation relation = Relation::eq;
  std::vector<Operand> operands{};    ///< compare: at least one; eq: any of them, ne: none of them.
                                      ///< resident: the port
  std::vector<Expression> children{}; /**< all_of, any_of */

  std::string text() const;
  References references() const;
  bool operator==(const Expression& other) const;
};

struct ParseOptions {
  /// Whether nominal symbols may be compared with != and <, and predicates of them be negated.
  bool any_comparison = false;
};

/// How deep parentheses nest, and how long a text may be.
inline constexpr int kExpressionDepth = 100;
inline constexpr std::size_t kExpressionLength = 4u << 20;

/// Errors carry the column (1-based byte) within `text`.
Result<Expression> parse_expression(std::string_view text, ParseOptions options = {});

}  // namespace weft::control
