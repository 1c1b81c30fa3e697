// Fixed-point mathematics for everything that decides an event: logarithm, exponential and cube
// root with results that are integers, equal on every machine (golden tables in tests/unit/base).
#pragma once

#include <cstdint>

namespace weft {

/// Q32.32: value = raw / 2^32.
struct Fixed {
  std::int64_t raw = 0;
  static constexpr Fixed from_int(std::int64_t n) { return {n << 32}; }
  constexpr bool operator==(const Fixed&) const = default;
};

/// Natural logarithm of x / 2^32, for x in [1, 2^63); error below 2^-30.
Fixed fixed_ln(std::uint64_t x_q32);
/// e^x for x in [-20, 20]; error below 2^-32 (the last place) + 2^-40 of the result.
Fixed fixed_exp(Fixed x);
/// Floor of the cube root.
std::uint64_t cube_root(std::uint64_t x);
/// Floor of the square root.
std::uint64_t square_root(std::uint64_t x);
/// a * b / c with a 128-bit intermediate, rounded down, at most 2^64 - 1; c > 0.
std::uint64_t multiply_divide(std::uint64_t a, std::uint64_t b, std::uint64_t c);

}  // namespace weft
