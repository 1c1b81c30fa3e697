// Philox against the published vectors (Random123's kat_vectors), streams by their properties.
#include "base/random.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "tests/catch.h"

using namespace weft;

TEST_CASE("Philox 4x32-10 gives the published answers") {
  struct Row {
    std::array<std::uint32_t, 4> counter;
    std::array<std::uint32_t, 2> key;
    std::array<std::uint32_t, 4> expected;
  };
  const Row rows[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Row& row : rows) CHECK(philox4x32(row.counter, row.key) == row.expected);
}

TEST_CASE("a stream is decided by seed and name alone") {
  const auto draw = [](std::uint64_t seed, const std::string& name) {
    RandomStream s(seed, name);
    std::vector<std::uint32_t> out(9);
    for (auto& v : out) v = s.next_u32();
    return out;
  };
  CHECK(draw(7, "link/leaf-1--spine-2/loss") == draw(7, "link/leaf-1--spine-2/loss"));
  std::set<std::vector<std::uint32_t>> distinct;
  for (std::uint64_t seed : {0ULL, 1ULL, 7ULL, ~0ULL}) {
    for (const char* name : {"", "a", "b", "ab", "link/leaf-1--spine-2/loss"}) {
      distinct.insert(draw(seed, name));
    }
  }
  CHECK(distinct.size() == 20);
}

TEST_CASE("the first draws of a named stream are fixed for good") {
  RandomStream s(7, "link/leaf-1--spine-2/loss");
  const std::uint32_t words[] = {s.next_u32(), s.next_u32(), s.next_u32(), s.next_u32(),
                                 s.next_u32()};
  const std::uint32_t expected[] = {0xa5f11bad, 0x1789f3bb, 0xf34c0cb2, 0xce7d550b, 0x56543b74};
  for (std::size_t i = 0; i < std::size(words); ++i) CHECK(words[i] == expected[i]);
  RandomStream e(7, "gaps");
  const std::int64_t gaps[] = {
      e.exponential(microseconds(10)).ps, e.exponential(microseconds(10)).ps,
      e.exponential(microseconds(10)).ps, e.exponential(microseconds(10)).ps};
  const std::int64_t expected_gaps[] = {16'628'232, 13'120'641, 1'824'398, 395'515};
  for (std::size_t i = 0; i < std::size(gaps); ++i) CHECK(gaps[i] == expected_gaps[i]);
}

TEST_CASE("a copy continues as the original does") {
  RandomStream s(1, "guest");
  for (int i = 0; i < 3; ++i) s.next_u32();
  RandomStream moved = s;
  for (int i = 0; i < 20; ++i) CHECK(moved.next_u64() == s.next_u64());
}

TEST_CASE("below stays below and reaches everything evenly") {
  RandomStream s(3, "below");
  for (std::uint64_t bound : {1ULL, 2ULL, 3ULL, 10ULL, 0xffffffffULL, 0x100000000ULL,
                              0x100000001ULL, 0xC000000000000000ULL, ~0ULL}) {
    for (int i = 0; i < 1000; ++i) REQUIRE(s.below(bound) < bound);
  }
  // Chi-square over 10 cells, 9 degrees of freedom: 33.7 has probability 1e-4, and the draws are
  // the same in every run.
  std::uint64_t cells[10] = {};
  constexpr std::uint64_t kDraws = 100'000;
  for (std::uint64_t i = 0; i < kDraws; ++i) ++cells[s.below(10)];
  double chi = 0;
  for (std::uint64_t c : cells) {
    const double d = static_cast<double>(c) - kDraws / 10.0;
    chi += d * d / (kDraws / 10.0);
  }
  CHECK(chi < 33.7);
  // The large path: thirds of a bound just above 2^63, where a biased draw would show at once.
  const std::uint64_t bound = 3ULL << 62;
  std::uint64_t thirds[3] = {};
  for (int i = 0; i < 30'000; ++i) ++thirds[s.below(bound) >> 62];
  for (std::uint64_t t : thirds) CHECK((t > 9'600 && t < 10'400));
  CHECK_THROWS_AS(s.below(0), InternalFault);
}

TEST_CASE("a chance has its probability") {
  RandomStream s(4, "chance");
  CHECK_FALSE(s.chance_ppb(0));
  CHECK(s.chance_ppb(1'000'000'000));
  CHECK_FALSE(s.chance_u32(0));
  CHECK(s.chance_u32(1ULL << 32));
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) hits += s.chance_ppb(10'000'000) ? 1 : 0;  // 1 %
  CHECK((hits > 850 && hits < 1150));
}

TEST_CASE("exponential gaps have the mean, the spread and the tail of the distribution") {
  RandomStream s(5, "gaps");
  const Duration mean = microseconds(10);
  constexpr int kDraws = 200'000;
  double sum = 0;
  double squares = 0;
  int above_mean = 0;
  std::int64_t longest = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Duration gap = s.exponential(mean);
    REQUIRE(gap.ps >= 0);
    const double x = static_cast<double>(gap.ps) / static_cast<double>(mean.ps);
    sum += x;
    squares += x * x;
    above_mean += gap > mean ? 1 : 0;
    longest = std::max(longest, gap.ps);
  }
  CHECK(sum / kDraws == Approx(1.0).epsilon(0.01));
  CHECK(squares / kDraws == Approx(2.0).epsilon(0.03));
  CHECK(above_mean / static_cast<double>(kDraws) == Approx(0.36788).epsilon(0.02));
  CHECK((longest > 8 * mean.ps && longest < 43 * mean.ps));
  CHECK(s.exponential(Duration{0}) == Duration{0});
  CHECK(s.exponential(seconds(9'000'000)).ps >= 0);
}
