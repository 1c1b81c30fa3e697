// Sets of numbers of some width as lists of (value, mask): what a comparison says of its bits,
// before it is put where the field lies (for expression_match.cpp).
//
// Lists are reduced: sorted by mask and value, no entry within another one. Those of ranges and
// complements of prefixes are disjoint prefixes.
#pragma once

#include <optional>
#include <vector>

#include "base/net_types.h"

namespace weft::control {

struct Bits {
  Ip6 mask{};
  Ip6 value{};
  auto operator<=>(const Bits&) const = default;
};

Ip6 ones(unsigned width);
/// Sorts, and removes entries that lie within another one.
void reduce(std::vector<Bits>& list);
/// The numbers from `low` to `high`.
std::vector<Bits> range(Ip6 low, Ip6 high, unsigned width);
/// All numbers in no entry of the list, which must be reduced. None: more than `most` entries.
std::optional<std::vector<Bits>> complement(const std::vector<Bits>& list, unsigned width,
                                            std::size_t most);

}  // namespace weft::control
