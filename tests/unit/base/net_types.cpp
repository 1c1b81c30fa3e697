// Addresses: RFC 5952 text, what is refused, and that what is printed reads back. The system's
// inet_pton is the oracle for which texts are addresses.
#include "base/net_types.h"

#include <arpa/inet.h>

#include <cstring>

#include "base/random.h"
#include "tests/catch.h"

using namespace weft;
using Catch::Matchers::Contains;

TEST_CASE("IPv6 text follows RFC 5952") {
  struct Row {
    const char* read;
    const char* printed;
  };
  for (const auto& [read, printed] :
       std::initializer_list<Row>{{"::", "::"},
                                  {"::1", "::1"},
                                  {"1::", "1::"},
                                  {"0:0:0:0:0:0:0:0", "::"},
                                  {"2001:DB8::1", "2001:db8::1"},
                                  {"2001:0db8::0001", "2001:db8::1"},                // 4.1, 4.3
                                  {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2
                                  {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // longest
                                  {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // first
                                  {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
                                  {"::FFFF:c000:201", "::ffff:192.0.2.1"},
                                  {"2001:db8::192.0.2.1", "2001:db8::c000:201"},
                                  {"fe80::1:0:0:1", "fe80::1:0:0:1"},
                                  {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
                                  {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"}}) {
    CAPTURE(read);
    const auto address = parse_ip(read);
    REQUIRE(address.ok());
    CHECK(address->is6);
    CHECK(address->text() == printed);
  }
}

TEST_CASE("what is no address is refused") {
  for (const char* text : {"",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "256.1.1.1",
                           "1.2.3.04",
                           "1.2.3.-4",
                           "1.2.3.4 ",
                           "a.b.c.d",
                           ":",
                           ":::",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1::2::3",
                           "12345::",
                           "::g",
                           "1:",
                           ":1:2:3:4:5:6:7",
                           "::1.2.3",
                           "1.2.3.4::",
                           "fe80::1%eth0",
                           "1:2:3:4:5:6:7:8::",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "1..2.3"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_ip(text).ok());
  }
}

TEST_CASE("any text: accepted exactly if inet_pton accepts it, with the same value") {
  RandomStream random(1, "addresses");
  const char alphabet[] = "0123456789afF::::....";
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    // Half of the texts are an address with one character changed, the rest are noise.
    if (random.below(2) == 0) {
      text = random.below(2) == 0 ? Ip4{random.next_u32()}.text()
                                  : Ip6{random.next_u64() & random.next_u64() & random.next_u64(),
                                        random.below(3) == 0 ? random.next_u64() : random.below(9)}
                                        .text();
      if (random.below(2) == 0) {
        text[random.below(text.size())] = alphabet[random.below(sizeof alphabet - 1)];
      }
    } else {
      for (std::uint64_t k = random.below(16); k > 0; --k) {
        text += alphabet[random.below(sizeof alphabet - 1)];
      }
    }
    CAPTURE(text);
    unsigned char bytes[16] = {};
    const bool is4 = inet_pton(AF_INET, text.c_str(), bytes) == 1;
    const bool is6 = !is4 && inet_pton(AF_INET6, text.c_str(), bytes) == 1;
    const auto mine = parse_ip(text);
    REQUIRE(mine.ok() == (is4 || is6));
    if (!mine.ok()) continue;
    ++accepted;
    REQUIRE(mine->is6 == is6);
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    for (int k = 0; k < 8 && is6; ++k) high = high << 8 | bytes[k];
    for (int k = 8; k < 16 && is6; ++k) low = low << 8 | bytes[k];
    for (int k = 0; k < 4 && is4; ++k) low = low << 8 | bytes[k];
    REQUIRE(mine->bits == Ip6{high, low});
    REQUIRE(*parse_ip(mine->text()) == *mine);
  }
  CHECK(accepted > 50'000);
}

TEST_CASE("MAC addresses") {
  CHECK(parse_mac("02:00:00:00:00:01")->text() == "02:00:00:00:00:01");
  CHECK(parse_mac("0A-0b-0C-0d-0E-0f")->to_u64() == 0x0a0b0c0d0e0f);
  CHECK(Mac::from_u64(0x0a0b0c0d0e0f).text() == "0a:0b:0c:0d:0e:0f");
  CHECK(parse_mac("ff:ff:ff:ff:ff:ff")->is_broadcast());
  CHECK(parse_mac("01:00:5e:00:00:01")->is_multicast());
  CHECK_FALSE(parse_mac("02:00:00:00:00:01")->is_multicast());
  for (const char* text : {"", "02:00:00:00:00", "02:00:00:00:00:0g", "02:00:00-00:00:01",
                           "020000000001", "02:00:00:00:00:01:", "02.00.00.00.00.01"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_mac(text).ok());
  }
  RandomStream random(2, "mac");
  for (int i = 0; i < 1'000; ++i) {
    const Mac mac = Mac::from_u64(random.next_u64() >> 16);
    REQUIRE(*parse_mac(mac.text()) == mac);
  }
}

TEST_CASE("prefixes: host bits are an error that names the network") {
  CHECK(parse_prefix("10.0.1.0/24")->text() == "10.0.1.0/24");
  CHECK(parse_prefix("0.0.0.0/0")->length == 0);
  CHECK(parse_prefix("fd00:1::/64")->text() == "fd00:1::/64");
  const auto host_bits = parse_prefix("10.0.1.5/24");
  REQUIRE_FALSE(host_bits.ok());
  CHECK_THAT(host_bits.error().remedy, Contains("10.0.1.0/24") && Contains("10.0.1.5/32"));
  CHECK_THAT(parse_prefix("10.0.1.5").error().remedy, Contains("10.0.1.5/32"));
  CHECK_THAT(parse_prefix("fd00::5").error().remedy, Contains("fd00::5/128"));
  for (const char* text : {"", "/", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1",
                           "10.0.0.0/08", "10.0.0.0/8/8", "x/8", "10.0.0.0/ 8"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_prefix(text).ok());
  }
}

TEST_CASE("a prefix contains what agrees in its first bits, and nothing of the other family") {
  RandomStream random(3, "prefix");
  const auto bit = [](const IpAddress& a, int i) {  // bit i from the left
    const int at = a.is6 ? i : i + 96;
    return (at < 64 ? a.bits.high >> (63 - at) : a.bits.low >> (127 - at)) & 1;
  };
  for (int i = 0; i < 20'000; ++i) {
    const bool is6 = random.below(2) == 0;
    const auto draw = [&]() -> IpAddress {
      if (is6) return Ip6{random.next_u64(), random.next_u64()};
      return Ip4{random.next_u32()};
    };
    const IpAddress base = draw();
    IpAddress other = base;
    const int width = is6 ? 128 : 32;
    const auto flip = static_cast<int>(random.below(static_cast<std::uint64_t>(width)));
    const int at = is6 ? flip : flip + 96;
    (at < 64 ? other.bits.high : other.bits.low) ^= 1ULL << (at < 64 ? 63 - at : 127 - at);
    const Prefix prefix{base,
                        static_cast<int>(random.below(static_cast<std::uint64_t>(width) + 1))};
    bool same = true;
    for (int k = 0; k < prefix.length; ++k) same = same && bit(base, k) == bit(other, k);
    REQUIRE(prefix.contains(other) == same);
    REQUIRE(prefix.contains(base));
  }
  CHECK_FALSE(Prefix{Ip4{0}, 0}.contains(Ip6{0, 0}));
  CHECK_FALSE(Prefix{Ip6{0, 0}, 0}.contains(Ip4{0}));
}
