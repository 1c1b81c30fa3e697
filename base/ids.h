// Strong ids: an index that cannot be mistaken for another kind of index.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace weft {

template <class Tag, class Rep = std::uint32_t>
struct StrongId {
  Rep value = std::numeric_limits<Rep>::max();
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep v) : value(v) {}
  constexpr auto operator<=>(const StrongId&) const = default;
  constexpr bool valid() const { return value != std::numeric_limits<Rep>::max(); }
};

}  // namespace weft
