// Timers: millions of re-armings, cancelling from inside, recycled slots, no heap of stale entries.
#include "tests/catch.h"
#include "tests/unit/sim/scripted.h"

using namespace weft;
using namespace weft::sim;
using namespace weft::sim::test;

TEST_CASE("pushing a timer back a million times costs no memory and fires once") {
  Engine engine{{.max_window = microseconds(1)}};
  TimerId timer;
  std::vector<std::int64_t> fired;
  std::int64_t last = 0;
  int left = 1'000'000;
  const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event& e) {
    if (e.kind == 2) return fired.push_back(c.now().ps);
    last = (c.now() + milliseconds(200)).ps;
    c.arm(timer, Time{last}, 2, 0, 0);
    CHECK_FALSE(c.deadline(timer) != Time{last});
    if (--left > 0) c.schedule(c.now() + nanoseconds(300), EventClass::arrival, 1, 0, 0);
  });
  engine.post(lp, Time{}, EventClass::command, 1, 0, 0);
  engine.run(Time{} + seconds(2));
  CHECK(fired == std::vector<std::int64_t>{last});
  CHECK(engine.stats().events == 1'000'001);
  CHECK(engine.stats().calendar_bytes < 400'000);
}

TEST_CASE("moving a timer to earlier times leaves nothing behind") {
  Engine engine{{.max_window = microseconds(1)}};
  std::vector<TimerId> timers(1000);
  std::vector<int> fired(1000);
  const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event& e) {
    if (e.kind == 2) {
      ++fired[e.data];
      return;
    }
    // From ten seconds down to one millisecond, each timer 1000 times: a million armings.
    for (int round = 1000; round >= 1; --round)
      for (std::size_t i = 0; i < timers.size(); ++i)
        c.arm(timers[i],
              c.now() + milliseconds(round * 10) + Duration{static_cast<std::int64_t>(i)}, 2, 0, i);
  });
  engine.post(lp, Time{}, EventClass::command, 1, 0, 0);
  engine.run(Time{} + milliseconds(1));
  CHECK(engine.stats().calendar_bytes < 1'000'000);  // a stale one each would be 32 MB
  engine.run(Time{} + seconds(20));
  CHECK(fired == std::vector<int>(1000, 1));
  CHECK(engine.stats().events == 1001);
}

TEST_CASE("a million timers armed and cancelled") {
  Engine engine{{.max_window = microseconds(1)}};
  int fired = 0, rounds = 0;
  const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event& e) {
    if (e.kind == 2) {
      ++fired;
      return;
    }
    for (int i = 0; i < 100; ++i) {
      TimerId timer;
      c.arm(timer, c.now() + milliseconds(200), 2, 0, 0);
      CHECK_FALSE(!c.armed(timer));
      TimerId copy = timer;
      if (i != 0) c.cancel(timer);
      if (i != 0) c.cancel(copy);  // harmless
    }
    if (++rounds < 10'000) c.schedule(c.now() + microseconds(2), EventClass::arrival, 1, 0, 0);
  });
  engine.post(lp, Time{}, EventClass::command, 1, 0, 0);
  engine.run(Time{} + milliseconds(19));
  // Only the 10,000 that stay armed are in the calendar, with a vehicle each.
  CHECK(engine.stats().calendar_bytes < 1'500'000);
  engine.run(Time{} + seconds(1));
  CHECK(fired == 10'000);
}

TEST_CASE("a timer's handler may cancel, re-arm, and touch others that are due at the same time") {
  Engine engine{{}};
  std::vector<TimerId> timers(4);
  std::vector<std::pair<std::int64_t, std::uint16_t>> fired;
  const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event& e) {
    if (e.event_class() != EventClass::timer) {
      for (std::uint16_t i = 0; i < 4; ++i) c.arm(timers[i], Time{1000}, i, 0, 0);
      c.arm(timers[0], Time{1000}, 0, 0, 0);  // again: now behind the other three
      return;
    }
    fired.push_back({c.now().ps, e.kind});
    if (e.kind == 1) {
      CHECK(!c.armed(timers[1]));
      c.cancel(timers[1]);  // the one that fires
      c.cancel(timers[2]);  // due now
      c.arm(timers[1], c.now(), 9, 0, 0);
      CHECK(c.deadline(timers[1]) == Time{1000});
    }
    if (e.kind == 9) {
      CHECK(c.deadline(timers[2]) == Time::never());
      c.arm(timers[3], Time{5000}, 5, 0, 0);
      c.arm(timers[3], Time{3000}, 6, 0, 0);
      c.arm(timers[3], Time{4000}, 7, 0, 0);
    }
  });
  engine.post(lp, Time{}, EventClass::command, 0, 0, 0);
  engine.run(Time{} + seconds(1));
  const std::vector<std::pair<std::int64_t, std::uint16_t>> expected = {
      {1000, 1}, {1000, 3}, {1000, 0}, {1000, 9}, {4000, 7}};
  CHECK(fired == expected);
  CHECK(engine.stats().events == 6);
}

TEST_CASE("a stale vehicle is neither an event nor in the digest") {
  const auto run = [](bool detour) {
    Engine engine{{.max_window = microseconds(1)}};
    const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event& e) {
      if (e.kind != 0) return;
      TimerId a;
      // Both ways the timer is armed twice and fires at 9 ms under its second number; only the
      // detour leaves a vehicle at 1 ms on its way.
      c.arm(a, Time{} + milliseconds(detour ? 1 : 9), 3, 0, 0);
      c.arm(a, Time{} + milliseconds(9), 3, 0, 0);
    });
    engine.post(lp, Time{}, EventClass::command, 0, 0, 0);
    engine.run(Time{} + seconds(1));
    CHECK(engine.stats().events == 2);
    CHECK(engine.stats().windows == 2);
    return engine.digest();
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("timers in the far future") {
  Engine engine{{}};
  std::vector<std::int64_t> fired;
  std::vector<std::int64_t> wanted;
  for (int bit = 0; bit < 62; ++bit) wanted.push_back((1LL << bit) + 1);
  wanted.push_back(Time::never().ps - 1);
  const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event& e) {
    if (e.kind == 1) return fired.push_back(c.now().ps);
    for (auto t = wanted.rbegin(); t != wanted.rend(); ++t) {
      TimerId timer;
      c.arm(timer, Time{*t}, 1, 0, 0);
    }
  });
  const LpId other = add_scripted(engine, "other", {});
  REQUIRE(engine.connect(lp, other, picoseconds(40'001)).ok());
  engine.post(lp, Time{}, EventClass::command, 0, 0, 0);
  engine.run(Time::never());
  CHECK(fired == wanted);
}
