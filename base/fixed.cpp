#include "base/fixed.h"

#include <bit>
#include <limits>

#include "base/check.h"

// Inside, numbers are Q62: 62 bits of fraction in a signed 64-bit word, products in 128 bits. The
// series are cut where the next term is below 2^-45, well under the bounds that fixed.h promises.
namespace weft {
namespace {

using SignedWide = __int128;
using Wide = unsigned __int128;

constexpr std::int64_t kOne = std::int64_t{1} << 62;
constexpr std::int64_t kLn2 = 0x2C5C85FDF473DE6B;    // ln 2 in Q62
constexpr std::int64_t kSqrt2 = 0x5A827999FCEF3242;  // square root of 2 in Q62

constexpr std::int64_t multiply(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>((static_cast<SignedWide>(a) * b) >> 62);
}

}  // namespace

Fixed fixed_ln(std::uint64_t x) {
  WEFT_CHECK(x > 0 && x < (1ULL << 63), "fixed_ln of {}", x);
  // x = m * 2^power with m in [1, 2), then moved to [sqrt 1/2, sqrt 2).
  int power = 63 - std::countl_zero(x);
  auto m = static_cast<std::int64_t>(x << (62 - power));
  if (m >= kSqrt2) {
    m >>= 1;
    ++power;
  }
  // ln m = 2 atanh z = 2 (z + z^3/3 + z^5/5 + ...), z = (m - 1) / (m + 1), |z| < 0.172.
  const SignedWide numerator = static_cast<SignedWide>(m - kOne) << 62;
  const SignedWide denominator = static_cast<SignedWide>(m) + kOne;
  const auto z = static_cast<std::int64_t>(numerator / denominator);
  const std::int64_t square = multiply(z, z);
  std::int64_t sum = 0;
  for (int k = 19; k >= 1; k -= 2) sum = multiply(sum, square) + kOne / k;
  const std::int64_t ln_m = 2 * multiply(sum, z);
  const SignedWide total = static_cast<SignedWide>(power - 32) * kLn2 + ln_m;
  return {static_cast<std::int64_t>((total + (SignedWide{1} << 29)) >> 30)};
}

Fixed fixed_exp(Fixed x) {
  constexpr std::int64_t kLimit = std::int64_t{20} << 32;
  WEFT_CHECK(x.raw >= -kLimit && x.raw <= kLimit, "fixed_exp of {} / 2^32", x.raw);
  // e^x = 2^power * e^r with |r| <= ln 2 / 2.
  const SignedWide wide = static_cast<SignedWide>(x.raw) << 30;
  const SignedWide shifted = wide + kLn2 / 2;
  auto power = static_cast<int>(shifted / kLn2);
  if (shifted < 0 && shifted % kLn2 != 0) --power;
  const auto r = static_cast<std::int64_t>(wide - static_cast<SignedWide>(power) * kLn2);
  std::int64_t sum = kOne;
  for (int k = 14; k >= 1; --k) sum = kOne + multiply(sum, r) / k;
  // sum is Q62; the result is Q32, times 2^power.
  const int shift = 30 - power;
  if (shift <= 0) return {sum << -shift};
  return {(sum + (std::int64_t{1} << (shift - 1))) >> shift};
}

std::uint64_t cube_root(std::uint64_t x) {
  std::uint64_t root = 0;
  for (int shift = 63; shift >= 0; shift -= 3) {
    root <<= 1;
    // (root + 1)^3 - root^3, with what of x is still to be covered.
    const std::uint64_t step = 3 * root * (root + 1) + 1;
    if ((x >> shift) >= step) {
      x -= step << shift;
      ++root;
    }
  }
  return root;
}

std::uint64_t square_root(std::uint64_t x) {
  std::uint64_t root = 0;
  std::uint64_t rest = 0;
  for (int shift = 62; shift >= 0; shift -= 2) {
    rest = (rest << 2) | ((x >> shift) & 3);
    const std::uint64_t step = (root << 2) | 1;
    root <<= 1;
    if (rest >= step) {
      rest -= step;
      root |= 1;
    }
  }
  return root;
}

std::uint64_t multiply_divide(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  WEFT_CHECK(c > 0);
  const Wide quotient = static_cast<Wide>(a) * b / c;
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  return quotient > kMax ? kMax : static_cast<std::uint64_t>(quotient);
}

}  // namespace weft
