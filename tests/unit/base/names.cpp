// "Did you mean": slips are found, strangers are not; and the text of an Error.
#include "base/names.h"

#include "base/hash.h"
#include "base/random.h"
#include "base/result.h"
#include "tests/catch.h"

using namespace weft;

TEST_CASE("a slip finds the name that was meant") {
  const std::vector<std::string> keys{"seed",    "duration", "underlay", "overlay", "tenants",
                                      "traffic", "events",   "capture",  "expect",  "name"};
  struct Row {
    const char* wrong;
    const char* meant;
  };
  for (const auto& [wrong, meant] : std::initializer_list<Row>{{"sed", "seed"},
                                                               {"durration", "duration"},
                                                               {"traffci", "traffic"},
                                                               {"tenant", "tenants"},
                                                               {"Seed", "seed"},
                                                               {"captures", "capture"},
                                                               {"overlay", "overlay"},
                                                               {"expects", "expect"},
                                                               {"nmae", "name"},
                                                               {"zebra", ""},
                                                               {"", ""},
                                                               {"x", ""},
                                                               {"velocity", ""}}) {
    CAPTURE(wrong);
    CHECK(nearest_name(wrong, keys) == meant);
  }
  // Another case is nearer than another letter.
  CHECK(nearest_name("gbps", {"bps", "Kbps", "Gbps", "Tbps"}) == "Gbps");
  CHECK(nearest_name("a", {"b"}).empty());
  CHECK(nearest_name("anything", {}).empty());
  CHECK(nearest_name(std::string(100'000, 'a'), {std::string(100'000, 'b')}).empty());
}

TEST_CASE("any single slip in a long enough name leads back to it") {
  RandomStream random(1, "slips");
  for (int i = 0; i < 5'000; ++i) {
    std::string name;
    for (std::uint64_t k = 4 + random.below(8); k > 0; --k) {
      name += static_cast<char>('a' + random.below(26));
    }
    std::string slip = name;
    const std::size_t at = random.below(name.size() - 1);
    switch (random.below(4)) {
      case 0:
        slip.erase(at, 1);
        break;
      case 1:
        slip.insert(at, 1, 'x');
        break;
      case 2:
        slip[at] = '#';
        break;
      default:
        std::swap(slip[at], slip[at + 1]);
    }
    CAPTURE(name, slip);
    REQUIRE(nearest_name(slip, {"0123456789", name, "9876543210"}) == name);
  }
}

TEST_CASE("an error says where, what and what to do, as far as it knows") {
  CHECK(Error{"it broke"}.text() == "error: it broke");
  CHECK(Error{"it broke", {"a.yaml", 3, 7}, "mend it"}.text() ==
        "a.yaml:3:7: error: it broke\n  help: mend it");
  CHECK(Error{"it broke", {"a.yaml", 3, 0}}.text() == "a.yaml:3: error: it broke");
  CHECK(Error{"it broke", {"a.yaml", 0, 0}}.text() == "a.yaml: error: it broke");
  Result<int> failed = Error{"no number"};
  CHECK_FALSE(failed.ok());
  CHECK_THROWS_AS(failed.value(), InternalFault);
  Result<int> good = 4;
  CHECK(*good == 4);
  CHECK_THROWS_AS(good.error(), InternalFault);
}

TEST_CASE("hashes are fixed for good") {
  CHECK(hash_string("") == 0x2d06800538d394c2ULL);  // XXH3's published value for no input
  CHECK(hash_string("weft", 7) == 0x2a7e6952d5aef3c2ULL);
  Chain128 a;
  Chain128 b;
  a.add(1, 2);
  a.add(3, 4);
  b.add(3, 4);
  b.add(1, 2);
  CHECK_FALSE(a == b);
  CHECK(a.text() == "2f3b37f425156803cccd9bbb2ec277ed");
}
