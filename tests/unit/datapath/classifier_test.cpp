#include "datapath/classifier.h"

#include <set>

#include "base/crc32c.h"

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

/// Every combination of the optimisations has a number.
datapath::ClassifierOptions options_of(std::uint64_t n) {
  return {.staged_lookup = (n & 1) == 0,
          .prefix_tracking = (n & 2) == 0,
          .priority_sorting = (n & 4) == 0,
          .port_tries = (n & 8) == 0};
}

TEST_CASE("the classifier agrees with a list of rules, and says what it looked at",
          "[classifier]") {
  for (std::uint64_t seed = 1; seed <= 64; ++seed) {
    RandomRules random(seed);
    Classifier fast(options_of(seed % 16)), plain(options_of(15));
    oracle::ClassifierTwin slow;
    std::uint32_t next = 0;
    std::uint64_t saved = 0;
    for (int step = 0; step < 150; ++step) {
      if (random.below(3) != 0 || slow.entries.empty()) {
        const auto m = parse_match(random.match(true));
        REQUIRE(m.ok());
        const auto priority = static_cast<std::uint16_t>(random.below(5));
        if (fast.find(m.value(), priority) == Classifier::kNone) {
          fast.insert(m.value(), priority, next);
          plain.insert(m.value(), priority, next);
          slow.entries.push_back({m.value(), priority, next++});
        }
      } else {
        const auto e = slow.entries[random.below(slow.entries.size())];
        REQUIRE(fast.remove(e.match, static_cast<std::uint16_t>(e.priority)) == e.owner);
        REQUIRE(fast.find(e.match, static_cast<std::uint16_t>(e.priority)) == Classifier::kNone);
        plain.remove(e.match, static_cast<std::uint16_t>(e.priority));
        slow.remove(e.owner);
      }
      REQUIRE(fast.size() == slow.entries.size());
      for (int i = 0; i < 4; ++i) {
        FlowKey key = near_key(random, slow);
        FlowMask looked;
        const std::uint32_t found = fast.lookup(key, looked);
        REQUIRE(found == slow.lookup(key));
        // No optimisation looks at a bit that the plain search does not look at.
        FlowMask all;
        REQUIRE(plain.lookup(key, all) == found);
        for (unsigned w = 0; w < kKeyWords; ++w) {
          REQUIRE((looked.w[w] & ~all.w[w]) == 0);
          saved += looked.w[w] != all.w[w];
        }
        // Bits that were not looked at may be anything, above all what a rule would like them to
        // be.
        for (int wish = 0; wish < 3 && !slow.entries.empty(); ++wish) {
          const auto& e = slow.entries[random.below(slow.entries.size())];
          FlowKey other;
          for (unsigned w = 0; w < kKeyWords; ++w)
            other.w[w] = (key.w[w] & (looked.w[w] | ~e.match.mask.w[w])) |
                         (e.match.value.w[w] & ~looked.w[w]);
          REQUIRE(slow.lookup(other) == found);
        }
        for (int flip = 0; flip < 4; ++flip) {
          FlowKey other = key;
          for (unsigned w = 0; w < kKeyWords; ++w)
            other.w[w] ^= (random.below(1u << 30) << 34 ^ random.below(1u << 30)) & ~looked.w[w];
          REQUIRE(slow.lookup(other) == found);
        }
      }
    }
    REQUIRE((saved != 0) == (seed % 16 != 15));
  }
}

TEST_CASE("the hash of a mask is the same with and without the processor's instruction",
          "[classifier]") {
  // RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending.
  const auto of = [](auto word) {
    std::uint32_t c = 0xffffffff;
    for (std::uint64_t i = 0; i < 4; ++i) c = crc32c(c, word(i));
    return ~c;
  };
  REQUIRE(of([](std::uint64_t) { return 0ULL; }) == 0x8a9136aa);
  REQUIRE(of([](std::uint64_t) { return ~0ULL; }) == 0x62a8ab43);
  REQUIRE(of([](std::uint64_t i) { return 0x0706050403020100ULL + 0x0808080808080808ULL * i; }) ==
          0x46dd794e);
  if (!crc32c_in_hardware()) WARN("skipped: this processor has no CRC-32C instruction");
  RandomRules random(3);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 2000; ++i) {
    FlowMask mask;
    for (auto n = random.below(8); n > 0; --n)
      mask.w[random.below(kKeyWords)] = random.below(1u << 30) << 34 | random.below(1u << 30);
    const datapath::SparseMask sparse(mask);
    FlowKey keys[5];
    const FlowKey* pointers[5];
    for (std::size_t k = 0; k < 5; ++k) {
      for (auto& w : keys[k].w) w = random.below(1u << 30) << 34 | random.below(1u << 30);
      pointers[k] = &keys[k];
    }
    const std::uint64_t seed = random.below(1u << 30) << 34 | random.below(1u << 30);
    std::uint32_t here[5], portable[5];
    sparse.hash_burst(pointers, seed, here);
    sparse.hash_burst_portable(pointers, seed, portable);
    for (std::size_t k = 0; k < 5; ++k) {
      REQUIRE(here[k] == portable[k]);
      REQUIRE(sparse.hash(keys[k], seed) == here[k]);
      seen.insert(here[k]);
    }
  }
  REQUIRE(seen.size() > 8000);
}

TEST_CASE("a trie of prefixes agrees with a list of them", "[classifier]") {
  using datapath::leading_bits;
  using datapath::PrefixTrie;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    RandomRules random(seed);
    PrefixTrie trie;
    std::vector<std::pair<Ip6, unsigned>> list;
    const auto value = [&]() -> Ip6 {
      // Few distinct bits, so that prefixes nest.
      const std::uint64_t high = random.below(4) << 62 | random.below(2) << 40 | random.below(2);
      return {high, random.below(3) << 63 | random.below(4)};
    };
    const auto inside = [](Ip6 a, Ip6 b, unsigned n) {
      const Ip6 m = leading_bits(n);
      return ((a.high ^ b.high) & m.high) == 0 && ((a.low ^ b.low) & m.low) == 0;
    };
    for (int step = 0; step < 400; ++step) {
      if (random.below(5) < 3 || list.empty()) {
        const unsigned lengths[] = {1, 2, 24, 32, 63, 64, 65, 66, 127, 128};
        list.push_back({value(), lengths[random.below(10)]});
        trie.insert(list.back().first, list.back().second);
      } else {
        const auto at = static_cast<std::ptrdiff_t>(random.below(list.size()));
        trie.remove(list[static_cast<std::size_t>(at)].first,
                    list[static_cast<std::size_t>(at)].second);
        list.erase(list.begin() + at);
      }
      const Ip6 v = value();
      const auto check = [&](Ip6 of, const PrefixTrie::Found& found) {
        for (unsigned n = 1; n <= 128; ++n) {
          bool has = false;
          for (const auto& [prefix, length] : list)
            has = has || (length == n && inside(of, prefix, n));
          if (found.has(n) != has) return false;
        }
        return true;
      };
      const PrefixTrie::Found found = trie.lookup(v);
      REQUIRE(check(v, found));
      // Values that agree in the bits it names get the same answer.
      const Ip6 keep = leading_bits(found.bits), any = value();
      REQUIRE(check({(v.high & keep.high) | (any.high & ~keep.high),
                     (v.low & keep.low) | (any.low & ~keep.low)},
                    found));
      REQUIRE(check({(v.high & keep.high) | (~v.high & ~keep.high),
                     (v.low & keep.low) | (~v.low & ~keep.low)},
                    found));
    }
  }
}

TEST_CASE("what each optimisation leaves out of the mask", "[classifier]") {
  // The flow table of NSDI 2015, section 7.2.
  const std::pair<const char*, int> rules[] = {{"arp", 4},
                                               {"ip,nw_dst=11.1.0.0/16", 3},
                                               {"tcp,nw_dst=9.1.1.1,tcp_src=10,tcp_dst=10", 2},
                                               {"ip,nw_dst=9.1.1.0/24", 1}};
  const auto mask_of = [&](datapath::ClassifierOptions options, const char* packet) {
    Classifier c(options);
    for (std::uint32_t i = 0; i < 4; ++i)
      c.insert(parse_match(rules[i].first).value(), static_cast<std::uint16_t>(rules[i].second), i);
    Match m;
    (void)c.lookup(parse_match(packet).value().value, m.mask);
    // The mask as text: of a packet whose fields are all zero but the prerequisites.
    m.value.set(datapath::place::eth_type, 0x0800);
    if (m.mask.get(datapath::place::nw_proto) != 0) m.value.set(datapath::place::nw_proto, 6);
    return datapath::format_match(m);
  };
  const datapath::ClassifierOptions none = options_of(15);
  const char* const web = "tcp,nw_dst=9.1.1.2,tp_src=40000,tp_dst=80";
  const char* const far = "tcp,nw_dst=200.0.0.1,tp_src=40000,tp_dst=80";
  const char* const eleven = "tcp,nw_dst=11.1.2.3,tp_src=40000,tp_dst=80";
  CHECK(mask_of(none, web) == "tcp,nw_dst=0.0.0.0,tp_src=0,tp_dst=0");
  auto only = none;
  only.priority_sorting = true;
  CHECK(mask_of(only, eleven) == "ip,nw_dst=0.0.0.0/16");
  only = none;
  only.prefix_tracking = true;
  CHECK(mask_of(only, web) == "ip,nw_dst=0.0.0.0/31");
  only = none;
  only.staged_lookup = true;
  CHECK(mask_of(only, web) == "tcp,nw_dst=0.0.0.0");
  only = none;
  only.port_tries = true;
  CHECK(mask_of(only, web) == "ip,nw_dst=0.0.0.0/24,tp_src=0x0/0x8000");
  CHECK(mask_of({}, web) == "ip,nw_dst=0.0.0.0/31");
  CHECK(mask_of({}, far) == "ip,nw_dst=0.0.0.0/1");
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
