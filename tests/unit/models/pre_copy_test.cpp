// Pre-copy against its closed form: with a constant dirty rate D below the bandwidth B and every
// write to a fresh page, round i sends V (D/B)^(i-1) (Clark et al., NSDI 2005).
#include "models/pre_copy.h"
#include "tests/catch.h"

using namespace weft;
using models::PreCopy;

TEST_CASE("rounds shrink by the ratio of dirty rate to bandwidth", "[migration]") {
  // V = 2^30 pages-aligned, B = 2^30 B/s, D = 2^27 B/s: each round is exactly an eighth.
  constexpr std::uint64_t kV = 1ULL << 30, kB = 1ULL << 30, kD = 1ULL << 27;
  PreCopy m({kV, kD, milliseconds(0), 30});
  std::uint64_t expected = kV;
  for (int i = 1; i <= 6; ++i) {
    REQUIRE(m.round().bytes == expected);
    REQUIRE(m.round().number == static_cast<std::uint32_t>(i));
    REQUIRE_FALSE(m.round().stop_and_copy);
    const Duration took{
        static_cast<std::int64_t>(multiply_divide(m.round().bytes, 1'000'000'000'000ULL, kB))};
    m.finish_round(took);
    expected /= 8;
  }
}

TEST_CASE("stop-and-copy comes when the rest fits the downtime, or after the last round",
          "[migration]") {
  PreCopy quick({1ULL << 30, 1ULL << 27, milliseconds(130), 30});
  quick.finish_round(seconds(1));  // 128 MiB dirty, at 1 GiB/s: 125 ms
  REQUIRE(quick.round().stop_and_copy);
  REQUIRE(quick.round().bytes == 1ULL << 27);

  PreCopy never({1ULL << 30, 1ULL << 31, milliseconds(50), 4});
  for (int i = 0; i < 4; ++i) {
    REQUIRE_FALSE(never.round().stop_and_copy);
    never.finish_round(seconds(1));
  }
  REQUIRE(never.round().stop_and_copy);
  REQUIRE(never.round().number == 5);
  REQUIRE(never.round().bytes == 1ULL << 30);  // never more than all memory
}

TEST_CASE("dirty memory comes in whole pages", "[migration]") {
  PreCopy m({1ULL << 20, 1000, milliseconds(0), 30});
  REQUIRE(m.dirtied_in(milliseconds(1)) == PreCopy::kPage);
  REQUIRE(m.dirtied_in(Duration{0}) == 0);
}
