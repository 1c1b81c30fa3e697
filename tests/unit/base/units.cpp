// Quantities: what is read, what is refused and why, and that what is printed reads back.
#include "base/units.h"

#include <limits>

#include "base/random.h"
#include "tests/catch.h"

using namespace weft;
using Catch::Matchers::Contains;

TEST_CASE("durations are read exactly") {
  struct Row {
    const char* text;
    std::int64_t ps;
  };
  for (const auto& [text, ps] : std::initializer_list<Row>{
           {"0s", 0},
           {"1ps", 1},
           {"1us", 1'000'000},
           {"1.5us", 1'500'000},
           {"25 us", 25'000'000},
           {"0.001ns", 1},
           {"1e-3s", 1'000'000'000},
           {"1e3ns", 1'000'000},
           {"1E+2ps", 100},
           {".5s", 500'000'000'000},
           {"2min", 120'000'000'000'000},
           {"1h", 3'600'000'000'000'000},
           {"10.000000000001s", 10'000'000'000'001},
           {"0.1000000000000000000s", 100'000'000'000},
           {"9223372036854775807ps", std::numeric_limits<std::int64_t>::max()}}) {
    CAPTURE(text);
    const auto d = parse_duration(text);
    REQUIRE(d.ok());
    CHECK(d->ps == ps);
  }
}

TEST_CASE("what is no quantity is refused with the reason") {
  struct Row {
    const char* text;
    const char* message;
  };
  for (const auto& [text, message] : std::initializer_list<Row>{
           {"", "is not a duration"},
           {"10", "has no unit"},
           {"us", "is not a duration"},
           {"1uS", "did you mean 'us'?"},
           {"1sec", "'sec' is not a unit"},
           {"-1s", "is negative"},
           {"0.5ps", "finer than the smallest step, 1ps"},
           {"1e-13s", "finer than"},
           {"9223372036854775808ps", "too large"},
           {"1e300s", "too large"},
           {"1e999999999s", "too large"},
           {"1.2.3s", "is not a unit"},
           {"1.", "is not a duration"},
           {".", "is not a duration"},
           {" 1s", "is not a duration"},
           {"1s ", "is not a unit"},
           {"1e-999999999s", "finer than"},
           {"0x10s", "is not a unit"},
           {"999999999999999999999999999999999999999999s", "is not a duration"},
           {"nan", "is not a duration"},
           {"1e5", "has no unit"}}) {
    CAPTURE(text);
    const auto d = parse_duration(text);
    REQUIRE_FALSE(d.ok());
    CHECK_THAT(d.error().message, Contains(message));
    CHECK_THAT(d.error().remedy, Contains("ps, ns, us, ms, s, min, h"));
  }
  CHECK_THAT(parse_rate("25gbps").error().message, Contains("did you mean 'Gbps'?"));
  CHECK_THAT(parse_bytes("64kb").error().remedy, Contains("KiB"));
  CHECK_FALSE(parse_bytes("0.5B").ok());
  CHECK_FALSE(parse_rate("30000000Tbps").ok());
}

TEST_CASE("rates, sizes, frequencies and probabilities are read exactly") {
  CHECK(parse_rate("25Gbps")->bps == 25'000'000'000);
  CHECK(parse_rate("2.5Gbps")->bps == 2'500'000'000);
  CHECK(parse_rate("1bps")->bps == 1);
  CHECK(parse_bytes("64KB")->bytes == 64'000);
  CHECK(parse_bytes("4GiB")->bytes == 4ULL << 30);
  CHECK(parse_bytes("0.5KiB")->bytes == 512);
  CHECK(parse_bytes_per_second("40MB/s")->bytes == 40'000'000);
  CHECK_FALSE(parse_bytes_per_second("40MB").ok());
  CHECK(parse_frequency("200/s")->per_kilosecond == 200'000);
  CHECK(parse_frequency("0.5/s")->per_kilosecond == 500);
  CHECK(parse_frequency("2k/s")->per_kilosecond == 2'000'000);
  CHECK(parse_frequency("1M/s")->per_kilosecond == 1'000'000'000);
  CHECK(parse_frequency("60/min")->per_kilosecond == 1'000);
  CHECK(parse_frequency("1/min")->per_kilosecond == 17);  // 16.67, to the nearest
  CHECK_FALSE(parse_frequency("0.0001/h").ok());
  CHECK(parse_probability("1%")->ppb == 10'000'000);
  CHECK(parse_probability("0.001")->ppb == 1'000'000);
  CHECK(parse_probability("1e-6")->ppb == 1'000);
  CHECK(parse_probability("100%")->ppb == 1'000'000'000);
  CHECK(parse_probability("1")->ppb == 1'000'000'000);
  CHECK(parse_probability("0")->ppb == 0);
  CHECK_THAT(parse_probability("100.0000001%").error().message, Contains("more than 1"));
  CHECK_THAT(parse_probability("2").error().message, Contains("more than 1"));
  CHECK_FALSE(parse_probability("1e-10").ok());
}

TEST_CASE("quantities are printed short and exact, or to three digits") {
  struct Row {
    std::int64_t ps;
    const char* text;
  };
  for (const auto& [ps, text] : std::initializer_list<Row>{{0, "0s"},
                                                           {1, "1ps"},
                                                           {999, "999ps"},
                                                           {1'000, "1ns"},
                                                           {1'500'000, "1.5us"},
                                                           {2'500'000'000, "2.5ms"},
                                                           {1'234'000'000, "1.234ms"},
                                                           {1'234'567'000, "1.23ms"},
                                                           {12'345'678, "12.3us"},
                                                           {123'456'789, "123us"},
                                                           {999'999'600'000, "1s"},
                                                           {999'999'999, "1ms"},
                                                           {-1'500'000, "-1.5us"},
                                                           {90'000'000'000'000, "90s"},
                                                           {120'000'000'000'000, "2min"},
                                                           {7'200'000'000'000'000, "2h"},
                                                           {1'230'004'560, "1.23ms"},
                                                           {1'000'000'001'000, "1s"}}) {
    CHECK(format_duration({ps}) == text);
  }
  CHECK(format_duration({std::numeric_limits<std::int64_t>::min()}) == "-9223372s");
  CHECK(format_time({0}) == "0s");
  CHECK(format_time({1'000'003'027'001}) == "1.000003027001s");
  CHECK(format_time({20}) == "0.00000000002s");
  CHECK(format_time(Time::never()) == "never");
  CHECK(format_rate({25'000'000'000}) == "25Gbps");
  CHECK(format_rate({1'234'567}) == "1.23Mbps");
  CHECK(format_rate({0}) == "0bps");
  CHECK(format_bytes({64'000}) == "64KB");
  CHECK(format_bytes({65'536}) == "64KiB");
  CHECK(format_bytes({4ULL << 30}) == "4GiB");
  CHECK(format_bytes({1'500}) == "1.5KB");
  CHECK(format_bytes({0}) == "0B");
  CHECK(format_bytes({1'234'567'891}) == "1.23GB");
  CHECK(format_count(0) == "0");
  CHECK(format_count(999) == "999");
  CHECK(format_count(1'234'567) == "1 234 567");
}

TEST_CASE("what is printed reads back: exactly, or within half of the third digit") {
  RandomStream random(1, "units");
  for (int i = 0; i < 20'000; ++i) {
    const auto ps = static_cast<std::int64_t>(random.next_u64() >> (1 + random.below(62)));
    const std::string text = format_duration({ps});
    CAPTURE(ps, text);
    const auto back = parse_duration(text);
    REQUIRE(back.ok());
    const std::int64_t off = std::llabs(back->ps - ps);
    REQUIRE(off <= ps / 200);
    const std::uint64_t bytes = random.next_u64() >> random.below(62);
    CAPTURE(bytes, format_bytes({bytes}));
    const auto size = parse_bytes(format_bytes({bytes}));
    REQUIRE(size.ok());
    REQUIRE((size->bytes > bytes ? size->bytes - bytes : bytes - size->bytes) <= bytes / 200);
  }
  // Round figures are exact.
  for (int i = 0; i < 5'000; ++i) {
    std::int64_t ps = static_cast<std::int64_t>(random.below(1000));
    for (std::uint64_t k = random.below(15); k > 0; --k) ps *= 10;
    CAPTURE(ps);
    REQUIRE(parse_duration(format_duration({ps}))->ps == ps);
  }
}

TEST_CASE("no text makes a parser fall over") {
  RandomStream random(2, "garbage");
  const char alphabet[] = "0123456789..ee+-/% sumnphGKMTBib\xff\x01";
  int accepted = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (std::uint64_t k = random.below(12); k > 0; --k) {
      text += alphabet[random.below(sizeof alphabet - 1)];
    }
    CAPTURE(text);
    accepted += parse_duration(text).ok() + parse_rate(text).ok() + parse_bytes(text).ok() +
                parse_bytes_per_second(text).ok() + parse_frequency(text).ok() +
                parse_probability(text).ok();
  }
  CHECK(accepted > 100);  // the alphabet does reach the units
}

TEST_CASE("serialisation time is rounded up to a picosecond") {
  CHECK(serialisation_time(1, {400'000'000'000}).ps == 20);
  CHECK(serialisation_time(1'500, {25'000'000'000}).ps == 480'000);
  CHECK(serialisation_time(1, {3'000'000'000'000}).ps == 3);  // 2.67
  CHECK(serialisation_time(0, {1}).ps == 0);
  CHECK(serialisation_time(~0ULL, {1}).ps == std::numeric_limits<std::int64_t>::max());
  CHECK_THROWS_AS(serialisation_time(1, {0}), InternalFault);
  RandomStream random(3, "serialisation");
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t bytes = random.below(1 << 20);
    const std::uint64_t bps = 1'000 + random.below(1'000'000'000'000);
    const auto ps = static_cast<unsigned __int128>(serialisation_time(bytes, {bps}).ps);
    const unsigned __int128 exact = static_cast<unsigned __int128>(bytes) * 8'000'000'000'000;
    REQUIRE(ps * bps >= exact);
    REQUIRE((ps == 0 || (ps - 1) * bps < exact));
  }
}
