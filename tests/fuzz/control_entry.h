// What the fuzzers of the control plane's languages do to an input. As in wire_entry.h, each throws
// InternalFault when a promise is broken.
#pragma once

#include <string_view>

#include "base/check.h"
#include "control/expression_match.h"
#include "tests/fuzz/target.h"

namespace weft::fuzz {

/// A packet whose bits come from the input, as far as they make one.
inline datapath::FlowKey packet_of(std::string_view text) {
  namespace at = datapath::place;
  datapath::FlowKey key;
  std::uint64_t h = 1469598103934665603ULL;
  const auto draw = [&h](std::uint64_t n) {
    h = h * 6364136223846793005ULL + 1442695040888963407ULL;
    return (h >> 33) % n;
  };
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  const bool is6 = draw(3) == 0;
  key.set(at::eth_type, draw(8) == 0 ? 0x806u : is6 ? 0x86ddu : 0x800u);
  key.set(at::reg(14), draw(3));
  key.set(at::reg(15), draw(3));
  key.set(at::ct_state, draw(2) == 0 ? 0 : 0x20 | draw(256));
  if (key.is_arp()) return key;
  constexpr std::uint64_t kProtocols[] = {6, 6, 17, 1, 58};
  key.set(at::nw_proto, kProtocols[draw(5)]);
  key.set(at::nw_ttl, 255 - draw(2));
  constexpr std::uint64_t kPorts[] = {0, 80, 135, 443, 8080};
  key.set(at::tp_src, kPorts[draw(3)]);
  key.set(at::tp_dst, kPorts[draw(5)]);
  if (is6)
    key.set128(at::ip_src, {0xfd00ULL << 48, draw(3)});
  else
    key.set(at::nw_src, 0x0a000000 + draw(3));
  return key;
}

/// A match expression: what is read prints and reads back the same; its matches print and read back
/// too, and are true of a packet iff the expression is. The first byte chooses the options.
inline void expression_one(std::span<const std::uint8_t> input) {
  std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const control::ParseOptions options{!text.empty() && text.front() == '~'};
  if (options.any_comparison) text.remove_prefix(1);
  const auto e = control::parse_expression(text, options);
  if (!e) {
    const Error& error = e.error();
    WEFT_CHECK(!error.message.empty() && !error.remedy.empty());
    WEFT_CHECK(error.place.column >= 1 && error.place.column <= static_cast<int>(text.size()) + 1);
    return;
  }
  const std::string printed = e->text();
  const auto again = control::parse_expression(printed, options);
  WEFT_CHECK(again.ok(), "'{}' is printed but not read: {}", printed, again.error().message);
  WEFT_CHECK(*again == *e, "'{}' reads back as '{}'", printed, again->text());

  static const control::NameTable kNames = [] {
    control::NameTable n;
    n.ports = {{"a", 1}, {"b", 2}};
    n.port_groups = {{"g", {"a", "b"}}};
    n.address_sets = {{"s", {control::parse_constant("10.0.0.1").value()}}};
    return n;
  }();
  const auto cubes = control::to_cubes(*e, kNames, control::Limits{200});
  if (!cubes) return;
  for (const control::Cube& c : cubes->cubes()) {
    const auto match = datapath::parse_match(c.text());
    WEFT_CHECK(match.ok(), "'{}': {}", c.text(), match.error().message);
    WEFT_CHECK(*match == c.match(), "'{}' is another match", c.text());
    const auto is = control::evaluate(*e, kNames, c.example());
    WEFT_CHECK(is.ok() && *is, "'{}' gives '{}', of which it is not true", printed, c.text());
  }
  const datapath::FlowKey key = packet_of(text);
  const auto is = control::evaluate(*e, kNames, key);
  WEFT_CHECK(is.ok() && *is == cubes->contains(key), "'{}' and {}", printed,
             datapath::format_flow(key));
}

inline constexpr Target kControlTargets[] = {
    {"expression", expression_one},
};

}  // namespace weft::fuzz
