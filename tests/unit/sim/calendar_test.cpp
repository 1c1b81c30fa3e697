// The parts below the engine: window arithmetic, the wheel of buckets, the partition.
#include "sim/calendar.h"

#include <map>

#include "sim/partition.h"
#include "tests/catch.h"
#include "tests/unit/sim/random_graph.h"

using namespace weft;
using namespace weft::sim;
using weft::sim::test::Draw;

TEST_CASE("the window of a time is the quotient") {
  Draw draw{4};
  std::vector<std::int64_t> widths = {
      1,        2,      3,      5,         127,       32'767,      32'768,
      32'769,   65'535, 65'536, 1'000'000, 1'080'000, 999'999'999, WindowWidth::kWidest,
      INT64_MAX};
  for (int i = 0; i < 200; ++i)
    widths.push_back(1 + static_cast<std::int64_t>(draw(1ULL << (1 + draw(32)))));
  for (std::int64_t wanted : widths) {
    const WindowWidth width{Duration{wanted}};
    const std::int64_t w = width.width().ps;
    CAPTURE(wanted, w);
    const std::int64_t most = std::min(wanted, WindowWidth::kWidest);
    CHECK(w <= most);
    CHECK(w > (most >= 32'768 ? most - most / 100 : most / 2));
    const auto check = [&](std::int64_t t) {
      if (t >= 0 && width.index(Time{t}) != static_cast<std::uint64_t>(t / w)) FAIL("at " << t);
    };
    for (int i = 0; i < 200; ++i) {
      const auto t = static_cast<std::int64_t>(draw(1ULL << (1 + draw(62))));
      for (std::int64_t d : {-1, 0, 1}) {
        check(t + d);
        check(t / w * w + d);
        check(INT64_MAX / w * w + std::min<std::int64_t>(d, 0));
      }
    }
    check(INT64_MAX);
  }
}

TEST_CASE("the wheel gives every event in its window, vehicles taken out are gone") {
  const WindowWidth width{Duration{1}};
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Calendar calendar{width};
    Draw draw{seed * 1001};
    std::map<std::uint64_t, std::multimap<std::uint64_t, bool>> expected;  // window -> ids
    std::vector<std::unique_ptr<TimerSlot>> timers;
    std::uint64_t id = 0, got = 0, removed = 0;
    const auto add = [&](bool timer) {
      const std::uint64_t ahead = draw(1ULL << (1 + draw(5) * 12)) + draw(3);
      const std::uint64_t window = calendar.current() + 1 + ahead;
      Event e{Time{static_cast<std::int64_t>(window)}, ++id, 0, 0, 0, 0};
      if (timer) {
        timers.push_back(std::make_unique<TimerSlot>());
        timers.back()->vehicle_time = e.time;
        timers.back()->vehicle_order = e.order;
        e.target |= kVehicle;
        e.data = reinterpret_cast<std::uintptr_t>(timers.back().get());
        calendar.place(e);
        CHECK_FALSE(timers.back()->where->order != id);
      } else if (!calendar.append_near(e)) {
        calendar.place(e);
      }
      expected[window].emplace(id, true);
    };
    for (int i = 0; i < 3000; ++i) add(i % 3 == 0);
    for (int step = 0; step < 20'000 && !expected.empty(); ++step) {
      if (step % 40 == 0)
        for (int i = 0; i < 20; ++i) add(i % 2 == 0);
      if (!timers.empty() && draw(3) == 0) {  // take one out, wherever it is by now
        auto& timer = timers[draw(timers.size())];
        const auto window = static_cast<std::uint64_t>(timer->vehicle_time.ps);
        if (window > calendar.current() && timer->vehicle_order != 0) {
          calendar.remove_vehicle(*timer);
          expected[window].erase(timer->vehicle_order);
          if (expected[window].empty()) expected.erase(window);
          timer->vehicle_order = 0;
          ++removed;
        }
        std::swap(timer, timers.back());
        if (timers.back()->vehicle_order == 0) timers.pop_back();
      }
      if (expected.empty()) break;
      const std::uint64_t next = calendar.next();
      REQUIRE(next <= expected.begin()->first);
      CHECK_FALSE(calendar.visible(expected.begin()->first) != next);
      calendar.advance(next);
      const auto bucket = calendar.open();
      std::multimap<std::uint64_t, bool> here;
      for (std::size_t i = 0; i < bucket.events; ++i) {
        const Event& e = bucket.chunks[i / Chunk::kEvents]->events[i % Chunk::kEvents];
        here.emplace(e.order, true);
        if (e.target & kVehicle) e.pointer<TimerSlot>()->vehicle_order = 0;
      }
      calendar.recycle(bucket);
      got += here.size();
      if (next == expected.begin()->first) {
        CHECK_FALSE(here != expected.begin()->second);
        expected.erase(expected.begin());
      } else {
        CHECK_FALSE(!here.empty());
      }
    }
    CHECK(got > 1000);
    CHECK(removed > 100);
    std::uint64_t left = 0, waiting = 0;
    for (const auto& [window, ids] : expected) waiting += ids.size();
    calendar.drain([&](const Event&) { ++left; });
    CHECK(left == waiting);
    CHECK(calendar.next() == Calendar::kNone);
  }
}

TEST_CASE("the partition is balanced, and keeps what is tied together") {
  // 8 racks of 8 hosts of weight 4, joined by 4 spines and one controller that knows everybody.
  std::vector<double> weights;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  const auto add = [&](double w) {
    weights.push_back(w);
    return static_cast<std::uint32_t>(weights.size() - 1);
  };
  const std::uint32_t controller = add(1);
  std::vector<std::uint32_t> spines = {add(1), add(1), add(1), add(1)};
  const auto link = [&](std::uint32_t a, std::uint32_t b) {
    edges.push_back({a, b});
    edges.push_back({b, a});
  };
  std::vector<std::vector<std::uint32_t>> racks;
  for (int r = 0; r < 8; ++r) {
    const std::uint32_t leaf = add(2);
    racks.push_back({leaf});
    for (std::uint32_t s : spines) link(leaf, s);
    for (int h = 0; h < 8; ++h) {
      racks.back().push_back(add(4));
      link(racks.back().back(), leaf);
      link(racks.back().back(), controller);
    }
  }
  double total = 0;
  for (double w : weights) total += w;
  for (unsigned workers : {1u, 2u, 3u, 4u, 8u}) {
    const std::vector<unsigned> part = assign_workers(weights, edges, workers);
    REQUIRE(part == assign_workers(weights, edges, workers));
    std::vector<double> have(workers);
    for (std::size_t lp = 0; lp < part.size(); ++lp) have.at(part[lp]) += weights[lp];
    for (double w : have) {
      CHECK(w >= 0.7 * total / workers);
      CHECK(w <= 1.3 * total / workers);
    }
    int split = 0;  // host links that cross
    for (const auto& rack : racks)
      for (std::uint32_t lp : rack) split += part[lp] != part[rack[0]];
    CAPTURE(workers);
    CHECK(split <= static_cast<int>(workers) * 6);
  }
  // As many workers as processes, weights of zero, no edges: each still gets one.
  const std::vector<unsigned> each = assign_workers(std::vector<double>(5, 0.0), {}, 5);
  CHECK(std::set<unsigned>(each.begin(), each.end()).size() == 5);
}
