// Payload: the closed form of sum() against the bytes themselves, and slices of slices.
#include "datapath/payload.h"

#include <numeric>
#include <thread>
#include <vector>

#include "base/check.h"
#include "datapath/checksum.h"
#include "tests/catch.h"

namespace weft {
namespace {

// RFC 1071, as plainly as possible.
std::uint16_t slow_sum(const std::vector<std::uint8_t>& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? bytes[i] * 256u : bytes[i];
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return static_cast<std::uint16_t>(sum);
}

std::vector<std::uint8_t> bytes_of(const Payload& p) {
  std::vector<std::uint8_t> out(p.size());
  p.materialise(0, out);
  return out;
}

// Numbers for the tests, independent of base/random.
struct Lcg {
  std::uint64_t state;
  std::uint64_t next() {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state >> 20;
  }
};

TEST_CASE("payload bytes follow the documented function") {
  const auto bytes = bytes_of(Payload::stream(42, 0, 4096));
  for (std::size_t block = 0; block < 32; ++block)
    for (std::size_t half = 0; half < 2; ++half) {
      auto value = [&](std::size_t i) { return bytes[(block * 64 + i) * 2 + half] - 0x80u; };
      const unsigned step = (value(1) - value(0)) & 63;
      REQUIRE(step % 2 == 1);
      for (std::size_t i = 0; i < 64; ++i) REQUIRE(value(i) == ((value(0) + step * i) & 63));
    }
  // Blocks differ: what is one block (or a few) out of place does not look right.
  REQUIRE_FALSE(std::equal(bytes.begin(), bytes.begin() + 128, bytes.begin() + 128));
  // Position, not slice, decides.
  const auto later = bytes_of(Payload::stream(42, 777, 1000));
  REQUIRE(std::equal(later.begin(), later.end(), bytes.begin() + 777));
  REQUIRE(bytes_of(Payload::stream(43, 0, 100)) != bytes_of(Payload::stream(42, 0, 100)));
}

TEST_CASE("payload sum equals the sum of its bytes") {
  Lcg random{1};
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t stream = random.next() % 300;
    const std::uint64_t offset = i % 3 == 0   ? random.next() % 16
                                 : i % 3 == 1 ? random.next()
                                              : ~0ULL - 9000 - random.next();
    const auto length = static_cast<std::uint32_t>(random.next() % (i % 4 == 0 ? 3000 : 12));
    const Payload p = Payload::stream(stream, offset, length);
    INFO("stream " << stream << " offset " << offset << " length " << length);
    REQUIRE(p.sum() == slow_sum(bytes_of(p)));
    const Payload raw = Payload::copy_of(bytes_of(p));
    REQUIRE(raw.sum() == p.sum());
  }
}

TEST_CASE("a long payload's sum is the sum of its parts") {
  const Payload whole = Payload::stream(9, 123456789, 0x7fffffff);
  const Payload left = whole.slice(0, 0x40000000);
  const Payload right = whole.slice(0x40000000, 0x3fffffff);
  REQUIRE(whole.sum() == fold_sum(std::uint64_t{left.sum()} + right.sum()));
}

TEST_CASE("slices compose") {
  Lcg random{2};
  for (bool raw : {false, true}) {
    const Payload stream = Payload::stream(5, 1001, 2000);
    const Payload whole = raw ? Payload::copy_of(bytes_of(stream)) : stream;
    const auto bytes = bytes_of(whole);
    for (int i = 0; i < 2000; ++i) {
      const auto a = static_cast<std::uint32_t>(random.next() % 2001);
      const auto n = static_cast<std::uint32_t>(random.next() % (2001 - a));
      const auto b = static_cast<std::uint32_t>(random.next() % (n + 1));
      const auto m = static_cast<std::uint32_t>(random.next() % (n - b + 1));
      const Payload two = whole.slice(a, n).slice(b, m);
      REQUIRE(two == whole.slice(a + b, m));
      const auto expected = std::vector(bytes.begin() + a + b, bytes.begin() + a + b + m);
      REQUIRE(bytes_of(two) == expected);
      REQUIRE(two.sum() == slow_sum(expected));
    }
  }
}

TEST_CASE("a slice outside is a program error") {
  const Payload p = Payload::stream(1, 0, 10);
  REQUIRE_THROWS_AS(p.slice(5, 6), InternalFault);
  REQUIRE_THROWS_AS(p.slice(11, 0), InternalFault);
  REQUIRE_THROWS_AS(p.slice(1, UINT32_MAX), InternalFault);
}

TEST_CASE("payload equality") {
  const Payload p = Payload::stream(1, 10, 5);
  REQUIRE(p == Payload::stream(1, 10, 5));
  REQUIRE_FALSE(p == Payload::stream(2, 10, 5));
  REQUIRE_FALSE(p == Payload::stream(1, 11, 5));
  REQUIRE_FALSE(p == Payload::stream(1, 10, 6));
  REQUIRE_FALSE(p == Payload::copy_of(bytes_of(p)));
  REQUIRE(Payload::copy_of(bytes_of(p)) == Payload::copy_of(bytes_of(p)));
  REQUIRE(Payload() == Payload::stream(3, 4, 0));
}

TEST_CASE("shared bytes survive copies on several threads") {
  std::vector<std::uint8_t> bytes(1000);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  Payload original = Payload::copy_of(bytes);
  std::vector<std::thread> threads;
  std::vector<int> good(4, 0);
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&good, t, mine = original] {
      for (int i = 0; i < 2000; ++i) {
        Payload copy = mine;
        const Payload part = copy.slice(static_cast<std::uint32_t>(i % 500), 100);
        copy.reset();
        std::uint8_t first = 0;
        part.materialise(0, {&first, 1});
        good[t] += first == static_cast<std::uint8_t>(i % 500);
      }
    });
  }
  original.reset();
  for (auto& t : threads) t.join();
  REQUIRE(good == std::vector<int>(4, 2000));
}

}  // namespace
}  // namespace weft
