// Keys, ties, refusals: the rules of sim/engine.h one by one.
#include <algorithm>

#include "tests/catch.h"
#include "tests/unit/sim/scripted.h"

using namespace weft;
using namespace weft::sim;
using namespace weft::sim::test;

namespace {

constexpr Duration kDelay = microseconds(1);

std::string fault_of(Engine& engine, Time until) {
  try {
    engine.run(until);
  } catch (const InternalFault& fault) {
    return fault.what();
  }
  return "no fault";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an event's key packs class, origin and sequence in this order") {
  const Event e{Time{5},
                Event::make_order(EventClass::control, LpId{(1u << 24) - 1}, (1ULL << 37) - 1)};
  CHECK(e.event_class() == EventClass::control);
  CHECK(e.origin() == LpId{(1u << 24) - 1});
  CHECK(e.sequence() == (1ULL << 37) - 1);
  const auto order = [](EventClass c, std::uint32_t origin, std::uint64_t sequence) {
    return Event::make_order(c, LpId{origin}, sequence);
  };
  CHECK(order(EventClass::command, 9, 9) < order(EventClass::port_state, 0, 0));
  CHECK(order(EventClass::timer, 1, 9) < order(EventClass::timer, 2, 0));
  CHECK(order(EventClass::timer, 2, 0) < order(EventClass::timer, 2, 1));
  CHECK(to_string(EventClass::arrival) == "arrival");
}

TEST_CASE("ties in time go by class, then origin, then the origin's sequence") {
  Engine engine{{}};
  std::vector<std::uint16_t> seen;
  const LpId sink =
      add_scripted(engine, "sink", [&](Context&, const Event& e) { seen.push_back(e.kind); });
  const Time at = Time{} + microseconds(5);
  std::vector<std::pair<std::uint64_t, std::uint16_t>> expected;
  std::vector<ChannelId> channels(40);
  std::vector<LpId> sources;
  for (std::uint32_t s = 0; s < 40; ++s) {
    sources.push_back(add_scripted(engine, "source", [&, s](Context& c, const Event&) {
      for (std::uint16_t k = 0; k < 5; ++k)  // classes backwards
        c.send(channels[s], at, static_cast<EventClass>(4 - k),
               static_cast<std::uint16_t>(s * 5 + k), 0, 0);
    }));
  }
  for (std::uint32_t s = 0; s < 40; ++s) {
    channels[s] = *engine.connect(sources[s], sink, kDelay);
    engine.post(sources[s], Time{static_cast<std::int64_t>(40 - s)}, EventClass::command, 0, 0, 0);
    for (std::uint16_t k = 0; k < 5; ++k)
      expected.push_back({static_cast<std::uint64_t>(4 - k) << 32 | s << 8 | k,
                          static_cast<std::uint16_t>(s * 5 + k)});
  }
  engine.run(Time{} + microseconds(10));
  std::sort(expected.begin(), expected.end());
  REQUIRE(seen.size() == expected.size());
  for (std::size_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == expected[i].second);
}

TEST_CASE("what an LP schedules within the window is merged in") {
  Engine engine{{.max_window = microseconds(1)}};
  std::vector<std::int64_t> seen;
  const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event& e) {
    seen.push_back(c.now().ps);
    if (e.kind > 0)
      for (int i = 5; i >= 1; --i)
        c.schedule(c.now() + Duration{i * 10}, EventClass::timer,
                   static_cast<std::uint16_t>(e.kind - 1), 0, 0);
  });
  for (std::int64_t t = 0; t < 2'000; t += 35)
    engine.post(lp, Time{t}, EventClass::command, 3, 0, 0);
  engine.run(Time{} + seconds(1));
  CHECK(seen.size() == 58 * (1 + 5 + 25 + 125));
  CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE("an event at the end of the run does not run, until the run goes on") {
  Engine engine{{}};
  std::vector<std::int64_t> seen;
  const LpId lp =
      add_scripted(engine, "lp", [&](Context& c, const Event&) { seen.push_back(c.now().ps); });
  for (std::int64_t t : {0, 99, 100, 101, 1'000'000'000})
    engine.post(lp, Time{t}, EventClass::command, 0, 0, 0);
  CHECK(engine.reached() == Time{});
  engine.run(Time{100});
  CHECK(seen == std::vector<std::int64_t>{0, 99});
  CHECK(engine.reached() == Time{100});
  engine.post(lp, Time{100}, EventClass::command, 0, 0, 0);
  CHECK_THROWS_AS(engine.post(lp, Time{99}, EventClass::command, 0, 0, 0), InternalFault);
  engine.run(Time{50});  // no later: nothing
  CHECK(seen.size() == 2);
  engine.run(Time::never());
  CHECK(seen == std::vector<std::int64_t>{0, 99, 100, 100, 101, 1'000'000'000});
  CHECK(engine.stats().events == 6);
}

TEST_CASE("a channel without delay is refused, naming both ends") {
  Engine engine{{}};
  const LpId a = add_scripted(engine, "hv-1-1", {});
  const LpId b = add_scripted(engine, "leaf-1", {});
  for (std::int64_t delay : {0, -1}) {
    const auto refused = engine.connect(a, b, Duration{delay});
    REQUIRE(!refused.ok());
    CHECK(contains(refused.error().message, "hv-1-1"));
    CHECK(contains(refused.error().message, "leaf-1"));
    CHECK(!refused.error().remedy.empty());
  }
  CHECK(engine.connect(a, a, Duration{0}).ok());
  CHECK(!engine.connect(a, a, Duration{-1}).ok());
  CHECK(engine.connect(a, b, Duration{1}).ok());
  CHECK(engine.stats().lookahead == Duration{1});
}

TEST_CASE("a breach of the rules is a fault that names the event") {
  for (unsigned threads : {1u, 2u}) {
    for (int breach = 0; breach < 5; ++breach) {
      CAPTURE(threads, breach);
      int discarded = 0;
      ChannelId ab, ba;
      {
        Engine engine{{.threads = threads}};
        const auto discard = [&](const Event& e) { discarded += e.kind == 42; };
        const LpId a = add_scripted(
            engine, "hv-1-1",
            [&](Context& c, const Event&) {
              TimerId timer;
              const Time past{c.now().ps - 1};
              if (breach == 0)
                c.send(ab, c.now() + kDelay - Duration{1}, EventClass::arrival, 42, 0, 7);
              if (breach == 1) c.send(ba, c.now() + kDelay, EventClass::arrival, 42, 0, 7);
              if (breach == 2)
                c.send(ChannelId{77}, c.now() + kDelay, EventClass::arrival, 42, 0, 7);
              if (breach == 3) c.schedule(past, EventClass::arrival, 42, 0, 7);
              if (breach == 4) c.arm(timer, past, 42, 0, 7);
            },
            discard);
        const LpId b = add_scripted(engine, "leaf-1", {}, discard);
        ab = *engine.connect(a, b, kDelay);
        ba = *engine.connect(b, a, kDelay);
        engine.post(a, Time{} + microseconds(3), EventClass::command, 0, 0, 0);
        engine.post(a, Time{} + microseconds(3), EventClass::command, 42, 0, 0);
        const std::string fault = fault_of(engine, Time{} + seconds(1));
        CHECK(contains(fault, "hv-1-1 at 3000000 ps"));
        CHECK(contains(fault, "kind 42"));
        if (breach == 0) {
          CHECK(contains(fault, "too early"));
          CHECK(contains(fault, "leaf-1"));
          CHECK(contains(fault, "time 3999999 ps, class arrival, origin hv-1-1"));
        }
        CHECK_THROWS_AS(engine.run(Time{} + seconds(2)), InternalFault);
      }
      CHECK(discarded == 2);  // the refused event, and the one behind it
    }
  }
}

TEST_CASE("an exception of a handler comes out of run(), on any number of threads") {
  for (unsigned threads : {1u, 2u, 3u}) {
    Engine engine{{.threads = threads}};
    std::vector<LpId> lps;
    for (int i = 0; i < 6; ++i)
      lps.push_back(add_scripted(engine, "lp", [&, i](Context& c, const Event&) {
        if (i == 4 && c.now() > Time{} + microseconds(20)) throw InternalFault("lp 4 broke");
        c.schedule(c.now() + nanoseconds(700), EventClass::timer, 0, 0, 0);
      }));
    for (int i = 0; i < 6; ++i) {
      REQUIRE(engine.connect(lps[i], lps[(i + 1) % 6], kDelay).ok());
      engine.post(lps[i], Time{}, EventClass::command, 0, 0, 0);
    }
    CHECK(fault_of(engine, Time{} + seconds(1)) == "lp 4 broke");
  }
}

TEST_CASE("unique ids and streams depend on names only") {
  std::vector<std::uint64_t> ids;
  std::uint32_t drawn = 0;
  Engine engine{{.seed = 5}};
  const LpId other = add_scripted(engine, "other", {});
  const LpId lp = add_scripted(engine, "lp", [&](Context& c, const Event&) {
    ids.push_back(c.unique_id());
    drawn = c.stream("link/a--b/loss").next_u32();
    CHECK(c.worker() == 0);
    CHECK(c.self() == LpId{1});
  });
  engine.post(lp, Time{}, EventClass::command, 0, 0, 0);
  engine.post(lp, Time{1}, EventClass::command, 0, 0, 0);
  engine.run(Time{10});
  CHECK(ids == std::vector<std::uint64_t>{(1ULL << 40) + 1, (1ULL << 40) + 2});
  CHECK(drawn == RandomStream(5, "link/a--b/loss").next_u32());
  CHECK(engine.events_of(lp) == 2);
  CHECK(engine.events_of(other) == 0);
  CHECK(engine.name(lp) == "lp");
  CHECK(!(engine.chain(lp) == Chain128{}));
  CHECK(engine.chain(other) == Chain128{});
}
