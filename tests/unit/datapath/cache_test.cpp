// The caches alone: what is full gives way fairly, what is swept is bounded, what is counted adds
// up, and an exact-match cache that does not pay steps aside.
#include "datapath/cache.h"

#include <map>

#include "tests/catch.h"
#include "tests/unit/datapath/random_rules.h"

namespace weft::test {
namespace {

using datapath::Decision;
using datapath::ExactMatchCache;
using datapath::FlowKey;
using datapath::InstalledRule;
using datapath::Megaflow;
using datapath::MegaflowCache;
namespace place = datapath::place;

/// A decision that looked at the port and the transport ports.
Decision decision(std::shared_ptr<InstalledRule> rule = nullptr, std::uint64_t value = 0) {
  Decision d;
  look_at(d.mask, place::in_port);
  look_at(d.mask, place::tp_src);
  datapath::Step s;
  s.value = value;
  d.steps.push_back(s);
  if (rule != nullptr) d.rules.push_back(std::move(rule));
  return d;
}

FlowKey key_of(std::uint32_t port, std::uint64_t flow) {
  FlowKey k;
  k.set(place::in_port, port);
  k.set(place::tp_src, flow);
  return k;
}

Megaflow* put(MegaflowCache& cache, const FlowKey& key, Time now, Decision d = decision()) {
  return cache.insert(key, key.get(place::in_port), d, 1, now, false);
}

Megaflow* get(MegaflowCache& cache, const FlowKey& key) {
  std::uint64_t tuples = 0;
  return cache.lookup(key, tuples);
}

TEST_CASE("a flood evicts itself, not the others", "[cache]") {
  MegaflowCache cache({.entries = 1000}, 1);
  Time now{};
  for (std::uint32_t port = 1; port <= 10; ++port)
    for (std::uint64_t flow = 0; flow < 20; ++flow) put(cache, key_of(port, flow), now);
  // Port 99 makes new flows; the others' entries are the oldest all the time.
  for (std::uint64_t flow = 0; flow < 20'000; ++flow) {
    now += microseconds(1);
    REQUIRE(put(cache, key_of(99, flow), now) != nullptr);
    REQUIRE(cache.size() <= 1000);
  }
  std::size_t left = 0;
  for (std::uint32_t port = 1; port <= 10; ++port) left += cache.of_owner(port);
  REQUIRE(left == 200);
  REQUIRE(cache.of_owner(99) == 800);
}

TEST_CASE("a port stays within its own limit", "[cache]") {
  MegaflowCache cache({.entries = 1000, .owner_limit = 50}, 1);
  Time now{};
  for (std::uint64_t flow = 0; flow < 5000; ++flow) {
    now += microseconds(1);
    const FlowKey key = key_of(static_cast<std::uint32_t>(1 + flow % 3), flow);
    if (put(cache, key, now) != nullptr) REQUIRE(get(cache, key) != nullptr);
    for (std::uint32_t port = 1; port <= 3; ++port) REQUIRE(cache.of_owner(port) <= 50);
  }
  REQUIRE(cache.size() == 150);
  REQUIRE(cache.evicted() > 4000);
}

TEST_CASE("beyond so many masks, entries match exactly", "[cache]") {
  MegaflowCache cache({.entries = 1000, .mask_limit = 8}, 1);
  for (unsigned bit = 0; bit < 16; ++bit)
    for (unsigned other = 0; other < 16; ++other) {
      Decision d = decision();
      d.mask.w[place::tp_src.word] =
          1ULL << (place::tp_src.shift + bit) | 1ULL << (place::tp_dst.shift + other);
      put(cache, key_of(1, bit * 16 + other), Time{}, d);
    }
  REQUIRE(cache.masks() == 9);
  REQUIRE(cache.size() == 256);
}

TEST_CASE("a sweep is bounded and comes round", "[cache]") {
  MegaflowCache cache({.entries = 10'000}, 1);
  for (std::uint64_t flow = 0; flow < 5000; ++flow) put(cache, key_of(1, flow), Time{});
  const Time later = Time{} + seconds(11);
  for (std::uint64_t flow = 0; flow < 5000; flow += 5) get(cache, key_of(1, flow))->used = later;
  std::size_t before = cache.size();
  for (int call = 0; call < 50; ++call) {
    cache.sweep(later, seconds(10), {}, 100);
    REQUIRE(before - cache.size() <= 100);
    before = cache.size();
  }
  REQUIRE(cache.size() == 1000);
  for (std::uint64_t flow = 0; flow < 5000; flow += 5)
    REQUIRE(get(cache, key_of(1, flow)) != nullptr);
  // A hard timeout spares nobody.
  for (int call = 0; call < 10; ++call) cache.sweep(later, seconds(10), seconds(5), 100);
  REQUIRE(cache.size() == 0);
}

TEST_CASE("entries and rules count the same, whatever happens to the entries", "[cache]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    RandomRules random(seed);
    MegaflowCache cache({.entries = 40, .owner_limit = seed % 2 == 0 ? 25u : 0u}, seed);
    std::vector<std::shared_ptr<InstalledRule>> rules;
    for (std::uint64_t n = 0; n < 5; ++n) {
      rules.push_back(std::make_shared<InstalledRule>());
      rules.back()->serial = n;
    }
    std::map<std::uint64_t, std::uint64_t> packets;  // of a rule
    Time now{};
    for (int step = 0; step < 4000; ++step) {
      now += milliseconds(1);
      const FlowKey key = key_of(static_cast<std::uint32_t>(1 + random.below(3)), random.below(60));
      const std::uint64_t n = random.below(5);
      Megaflow* e = get(cache, key);
      if (e == nullptr) {
        e = put(cache, key, now, decision(rules[n], n));
        if (e == nullptr) continue;
      } else if (random.below(20) == 0) {
        cache.replace(*e, decision(rules[n], n), 2);
      } else if (random.below(30) == 0) {
        cache.remove(*e);
        continue;
      }
      ++e->packets;
      e->bytes += 100;
      e->used = now;
      ++packets[e->decision().steps[0].value];
      if (random.below(100) == 0) cache.sweep(now, milliseconds(50), {}, 20);
      if (random.below(1000) == 0) cache.clear();
    }
    cache.count_for_rules();
    for (std::uint64_t n = 0; n < 5; ++n) {
      REQUIRE(rules[n]->packets == packets[n]);
      REQUIRE(rules[n]->bytes == 100 * packets[n]);
    }
  }
}

TEST_CASE("a burst finds what single lookups find", "[cache]") {
  RandomRules random(5);
  MegaflowCache cache({.entries = 4000}, 1);
  for (int i = 0; i < 3000; ++i) {
    Decision d = decision();
    if (random.below(2) == 0) look_at(d.mask, place::nw_src);
    if (random.below(3) == 0) look_at128(d.mask, place::ip_dst);
    FlowKey key = key_of(static_cast<std::uint32_t>(random.below(3)), random.below(400));
    key.w[11] = random.below(4);
    if (get(cache, key) == nullptr) put(cache, key, Time{}, d);
  }
  std::size_t found = 0;
  for (int i = 0; i < 500; ++i) {
    FlowKey keys[MegaflowCache::kBurst];
    const FlowKey* pointers[MegaflowCache::kBurst];
    Megaflow* got[MegaflowCache::kBurst];
    const std::size_t n = 1 + random.below(MegaflowCache::kBurst);
    for (std::size_t k = 0; k < n; ++k) {
      keys[k] = key_of(static_cast<std::uint32_t>(random.below(3)), random.below(500));
      keys[k].w[11] = random.below(4);
      pointers[k] = &keys[k];
    }
    std::uint64_t tuples = 0;
    cache.lookup_burst({pointers, n}, got, tuples);
    for (std::size_t k = 0; k < n; ++k) {
      REQUIRE(got[k] == get(cache, keys[k]));
      found += got[k] != nullptr;
    }
  }
  REQUIRE(found > 1000);
}

TEST_CASE("an exact-match cache that does not pay steps aside, and comes back", "[cache]") {
  MegaflowCache megaflows({.entries = 10}, 1);
  Megaflow* e = put(megaflows, FlowKey{}, Time{});
  ExactMatchCache cache(64);
  std::uint64_t used = 0;
  const auto run = [&](std::uint64_t flows, int packets) {
    used = 0;
    for (int i = 0; i < packets; ++i) {
      if (!cache.awake(1)) continue;
      ++used;
      const std::uint64_t hash = mix64(static_cast<std::uint64_t>(i) % flows, 9);
      if (cache.lookup(hash, FlowKey{}) == nullptr) cache.insert(hash, e);
    }
  };
  run(16, 20'000);
  REQUIRE(used == 20'000);
  run(100'000, 20'000);
  REQUIRE(used < 5'000);
  run(16, 20'000);
  REQUIRE(used > 15'000);
}

}  // namespace
}  // namespace weft::test
