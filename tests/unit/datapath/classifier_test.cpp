#include "datapath/classifier.h"

#include <set>

#include "tests/catch.h"
#include "tests/oracle/classifier_twin.h"
#include "tests/unit/datapath/random_rules.h"

namespace weft::test {
namespace {

using datapath::Classifier;
using datapath::FlowKey;
using datapath::FlowMask;
using datapath::kKeyWords;
using datapath::Match;
using datapath::parse_match;

/// A key that some rule is likely to match: one of the rules' values, with noise in it.
FlowKey near_key(RandomRules& random, const oracle::ClassifierTwin& twin) {
  FlowKey key;
  if (!twin.entries.empty()) key = twin.entries[random.below(twin.entries.size())].match.value;
  if (!twin.entries.empty() && random.below(2) == 0) {
    const Match& other = twin.entries[random.below(twin.entries.size())].match;
    for (unsigned i = 0; i < kKeyWords; ++i) key.w[i] |= other.value.w[i];
  }
  for (auto n = random.below(4); n > 0; --n)
    key.w[random.below(kKeyWords)] ^= 1ULL << random.below(64);
  return key;
}

TEST_CASE("the classifier agrees with a list of rules, and says what it looked at",
          "[classifier]") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    RandomRules random(seed);
    Classifier fast;
    oracle::ClassifierTwin slow;
    std::uint32_t next = 0;
    for (int step = 0; step < 150; ++step) {
      if (random.below(3) != 0 || slow.entries.empty()) {
        const auto m = parse_match(random.match(true));
        REQUIRE(m.ok());
        const auto priority = static_cast<std::uint16_t>(random.below(5));
        if (fast.find(m.value(), priority) == Classifier::kNone) {
          fast.insert(m.value(), priority, next);
          slow.entries.push_back({m.value(), priority, next++});
        }
      } else {
        const auto e = slow.entries[random.below(slow.entries.size())];
        REQUIRE(fast.remove(e.match, static_cast<std::uint16_t>(e.priority)) == e.owner);
        REQUIRE(fast.find(e.match, static_cast<std::uint16_t>(e.priority)) == Classifier::kNone);
        slow.remove(e.owner);
      }
      REQUIRE(fast.size() == slow.entries.size());
      for (int i = 0; i < 4; ++i) {
        FlowKey key = near_key(random, slow);
        FlowMask looked;
        const std::uint32_t found = fast.lookup(key, looked);
        REQUIRE(found == slow.lookup(key));
        // Bits that were not looked at may be anything.
        for (int flip = 0; flip < 8; ++flip) {
          FlowKey other = key;
          for (unsigned w = 0; w < kKeyWords; ++w)
            other.w[w] ^= (random.below(1u << 30) << 34 ^ random.below(1u << 30)) & ~looked.w[w];
          REQUIRE(slow.lookup(other) == found);
        }
      }
    }
  }
}

TEST_CASE("equal priorities: the rules decide, not the order of adding", "[classifier]") {
  const char* texts[] = {"ip,nw_dst=10.0.0.0/8", "tcp", "in_port=1", "tcp,tp_dst=80"};
  FlowKey key = parse_match("tcp,nw_dst=10.0.0.1,in_port=1,tp_dst=80").value().value;
  std::set<std::string> winners;
  for (unsigned rotation = 0; rotation < 4; ++rotation) {
    Classifier c;
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned n = (i + rotation) % 4;
      // The one with the higher priority elsewhere must not win because its subtable comes first.
      c.insert(parse_match(texts[n]).value(), 5, n);
      Match elsewhere = parse_match(texts[n]).value();
      for (unsigned w = 0; w < kKeyWords; ++w) elsewhere.value.w[w] ^= elsewhere.mask.w[w];
      c.insert(elsewhere, static_cast<std::uint16_t>(6 + n), 100 + n);
    }
    FlowMask looked;
    winners.insert(texts[c.lookup(key, looked)]);
  }
  REQUIRE(winners.size() == 1);
}

}  // namespace
}  // namespace weft::test
