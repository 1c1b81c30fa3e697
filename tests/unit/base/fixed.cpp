// Fixed-point mathematics: golden values (equal on every machine), error bounds against long
// double, and exact integer roots against their definition.
#include "base/fixed.h"

#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"
#include "tests/catch.h"

using namespace weft;

namespace {
constexpr long double kUnit = 4294967296.0L;
using Wide = unsigned __int128;
}  // namespace

TEST_CASE("ln and exp have golden values") {
  struct LnRow {
    std::uint64_t x;
    std::int64_t raw;
  };
  // round(ln(x / 2^32) * 2^32), computed with 60 decimal digits.
  const LnRow ln_rows[] = {{1ULL, -95265423098LL},
                           {2ULL, -92288378626LL},
                           {3ULL, -90546919247LL},
                           {65536ULL, -47632711549LL},
                           {2147483648ULL, -2977044472LL},
                           {4294967295ULL, -1LL},
                           {4294967296ULL, 0LL},
                           {4294967297ULL, 1LL},
                           {6442450944ULL, 1741459379LL},
                           {42949672960ULL, 9889527671LL},
                           {11674931554ULL, 4294967296LL},
                           {1000000000000000ULL, 53077491962LL},
                           {4611686018427387904ULL, 89311334155LL},
                           {9223372036854775807ULL, 92288378626LL}};
  for (const auto& [x, raw] : ln_rows) {
    CAPTURE(x);
    CHECK(std::llabs(fixed_ln(x).raw - raw) <= 1);
  }
  struct ExpRow {
    std::int64_t x, raw;
  };
  const ExpRow exp_rows[] = {{-85899345920LL, 9LL},
                             {-42949672960LL, 194991LL},
                             {-4294967296LL, 1580030169LL},
                             {-2147483648LL, 2605029347LL},
                             {-1LL, 4294967295LL},
                             {0LL, 4294967296LL},
                             {1LL, 4294967297LL},
                             {2147483648LL, 7081203938LL},
                             {4294967296LL, 11674931555LL},
                             {2977044471LL, 8589934590LL},
                             {21474836480LL, 637429664642LL},
                             {42949672960LL, 94602950235157LL},
                             {64424509440LL, 14040322704823566LL},
                             {85899345920LL, 2083768647442498562LL}};
  for (const auto& [x, raw] : exp_rows) {
    CAPTURE(x);
    CHECK(std::llabs(fixed_exp({x}).raw - raw) <= 1);
  }
  // The last bit too is part of the contract: a sum over many arguments, fixed for good.
  std::uint64_t ln_sum = 0;
  std::uint64_t exp_sum = 0;
  RandomStream random(1, "fixed");
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t x = (random.next_u64() >> (1 + random.below(62))) | 1;
    ln_sum = ln_sum * 31 + static_cast<std::uint64_t>(fixed_ln(x).raw);
    const auto y = static_cast<std::int64_t>(random.below(40ULL << 32)) - (20LL << 32);
    exp_sum = exp_sum * 31 + static_cast<std::uint64_t>(fixed_exp({y}).raw);
  }
  CHECK(ln_sum == 0xd39030ed96dd82f2ULL);
  CHECK(exp_sum == 0x7c4934c28e53ebcbULL);
}

TEST_CASE("ln stays within its error bound and never falls") {
  long double worst = 0;
  std::int64_t last = std::numeric_limits<std::int64_t>::min();
  for (std::uint64_t x = 1; x < (1ULL << 63); x += x / 512 + 1) {
    const std::int64_t raw = fixed_ln(x).raw;
    worst = std::max(worst, std::fabs(static_cast<long double>(raw) / kUnit -
                                      std::log(static_cast<long double>(x) / kUnit)));
    REQUIRE(raw >= last);
    last = raw;
  }
  CHECK(worst < std::ldexp(1.0L, -30));
  CHECK_THROWS_AS(fixed_ln(0), InternalFault);
  CHECK_THROWS_AS(fixed_ln(1ULL << 63), InternalFault);
  CHECK(fixed_ln(1ULL << 32).raw == 0);
}

TEST_CASE("exp stays within its error bound and never falls") {
  constexpr std::int64_t kLimit = 20LL << 32;
  std::int64_t last = 0;
  for (std::int64_t x = -kLimit; x <= kLimit; x += 4'000'037) {
    const long double exact = std::exp(static_cast<long double>(x) / kUnit);
    const std::int64_t raw = fixed_exp({x}).raw;
    const long double error = std::fabs(static_cast<long double>(raw) / kUnit - exact);
    REQUIRE(error <= std::ldexp(1.0L, -32) + std::ldexp(exact, -40));
    REQUIRE(raw >= last);
    last = raw;
  }
  CHECK(fixed_exp({0}).raw == 1LL << 32);
  CHECK_THROWS_AS(fixed_exp({kLimit + 1}), InternalFault);
  CHECK_THROWS_AS(fixed_exp({-kLimit - 1}), InternalFault);
}

TEST_CASE("roots are the floor of the root") {
  const auto check = [](std::uint64_t x) {
    CAPTURE(x);
    const std::uint64_t s = square_root(x);
    REQUIRE(Wide{s} * s <= x);
    REQUIRE((Wide{s} + 1) * (Wide{s} + 1) > x);
    const std::uint64_t c = cube_root(x);
    REQUIRE(Wide{c} * c * c <= x);
    REQUIRE((Wide{c} + 1) * (Wide{c} + 1) * (Wide{c} + 1) > x);
  };
  for (std::uint64_t x = 0; x < 5'000; ++x) check(x);
  for (std::uint64_t r = 1; r <= 2'642'245; r += 997) {  // around each cube
    check(r * r * r - 1);
    check(r * r * r);
  }
  for (std::uint64_t r = 1; r < (1ULL << 32); r = r * 3 + 1) {
    check(r * r - 1);
    check(r * r);
  }
  RandomStream random(2, "roots");
  for (int i = 0; i < 20'000; ++i) check(random.next_u64() >> random.below(64));
  check(std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("multiply_divide is exact in 128 bits and saturates") {
  const std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  CHECK(multiply_divide(max, max, max) == max);
  CHECK(multiply_divide(max, 2, 4) == max / 2);
  CHECK(multiply_divide(10, 10, 3) == 33);
  CHECK(multiply_divide(0, max, 1) == 0);
  CHECK(multiply_divide(max, 2, 1) == max);
  CHECK_THROWS_AS(multiply_divide(1, 1, 0), InternalFault);
  // a*b = q*c + r, by the schoolbook.
  RandomStream random(3, "multiply");
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t a = random.next_u64() >> random.below(64);
    const std::uint64_t c = (random.next_u64() >> random.below(64)) | 1;
    const std::uint64_t b = random.below(c) + 1;  // so that the quotient fits
    const std::uint64_t q = multiply_divide(a, b, c);
    REQUIRE(Wide{q} * c <= Wide{a} * b);
    REQUIRE(Wide{a} * b - Wide{q} * c < c);
  }
}
