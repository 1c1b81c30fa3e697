// One digest for any number of threads; fair shares; stopping, pieces, intervals, discarding.
#include <atomic>
#include <thread>

#include "tests/catch.h"
#include "tests/unit/sim/random_graph.h"
#include "tests/unit/sim/scripted.h"

using namespace weft;
using namespace weft::sim;
using namespace weft::sim::test;

namespace {

GraphOptions graph(std::uint64_t seed) {
  GraphOptions o;
  o.seed = seed;
  o.processes = 5 + static_cast<std::uint32_t>(seed * 11 % 40);
  o.tokens_per_process = 40;
  o.record = false;
  return o;
}

}  // namespace

TEST_CASE("the digest is the same for any number of threads") {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const GraphOptions o = graph(seed);
    World one(o);
    one.engine->run(Time{o.least_delay * 1000});
    const EngineStats expected = one.engine->stats();
    CHECK(expected.events > 1'000);
    for (unsigned threads : {2u, 3u, 4u, 8u}) {
      CAPTURE(seed, threads);
      World many(o, threads);
      many.engine->run(Time{o.least_delay * 1000});
      const EngineStats stats = many.engine->stats();
      CHECK(many.engine->digest() == one.engine->digest());
      CHECK(stats.events == expected.events);
      CHECK(stats.windows == expected.windows);
      CHECK(stats.workers.size() == std::min<std::size_t>(threads, o.processes));
      for (std::uint32_t lp = 0; lp < o.processes; ++lp) {
        CHECK(many.engine->chain(LpId{lp}) == one.engine->chain(LpId{lp}));
        CHECK(many.engine->events_of(LpId{lp}) == one.engine->events_of(LpId{lp}));
      }
    }
    World other_seed(graph(seed + 100));
    other_seed.engine->run(Time{o.least_delay * 1000});
    CHECK(!(other_seed.engine->digest() == one.engine->digest()));
  }
}

TEST_CASE("a run in pieces has the digest of the whole") {
  const GraphOptions o = graph(7);
  World whole(o);
  const Time end{o.least_delay * 700};
  whole.engine->run(end);
  for (unsigned threads : {1u, 2u, 3u}) {
    World pieces(o, threads);
    Draw draw{threads * 99 + 1};
    while (pieces.engine->reached() < end) {
      const Time next{pieces.engine->reached().ps + 1 +
                      static_cast<std::int64_t>(
                          draw(static_cast<std::uint64_t>(o.least_delay) * (draw(8) ? 5 : 60)))};
      pieces.engine->run(std::min(next, end));
    }
    CHECK(pieces.engine->digest() == whole.engine->digest());
    CHECK(pieces.engine->stats().events == whole.engine->stats().events);
  }
}

TEST_CASE("each of two workers does a quarter of the events or more") {
  // A leaf-spine fabric of processes: 4 leaves with 4 hosts each, 2 spines; hosts talk to all.
  Engine engine{{.threads = 2}};
  std::vector<LpId> hosts, leaves, spines;
  std::vector<std::vector<ChannelId>> out(22);
  const auto add = [&](const std::string& name) {
    const auto id = static_cast<std::uint32_t>(engine.size());
    return add_scripted(engine, name, [&out, id](Context& c, const Event& e) {
      const auto& ways = out[id];
      c.send(ways[(e.data + c.order()) % ways.size()], c.now() + microseconds(1),
             EventClass::arrival, 0, 0, e.data * 7 + 1);
    });
  };
  const auto link = [&](LpId a, LpId b) {
    out[a.value].push_back(*engine.connect(a, b, microseconds(1)));
    out[b.value].push_back(*engine.connect(b, a, microseconds(1)));
  };
  for (int s = 0; s < 2; ++s) spines.push_back(add("spine"));
  for (int l = 0; l < 4; ++l) {
    leaves.push_back(add("leaf"));
    for (LpId spine : spines) link(leaves.back(), spine);
    for (int h = 0; h < 4; ++h) {
      hosts.push_back(add("host"));
      link(hosts.back(), leaves.back());
      for (std::uint64_t k = 0; k < 5; ++k)
        engine.post(hosts.back(), Time{}, EventClass::command, 0, 0, k);
    }
  }
  engine.run(Time{} + microseconds(500));
  const EngineStats stats = engine.stats();
  REQUIRE(stats.workers.size() == 2);
  CHECK(stats.events == 16 * 5 * 500);
  for (const WorkerStats& w : stats.workers) {
    CHECK(w.events * 4 >= stats.events);
    CHECK(w.logical_processes >= 8);
  }
  CHECK(stats.windows >= 500);
  CHECK(stats.lookahead == microseconds(1));
}

TEST_CASE("a stop ends the run at the end of a window, and the run can go on") {
  const GraphOptions o = graph(3);
  World whole(o);
  const Time end{o.least_delay * 500};
  whole.engine->run(end);
  for (unsigned threads : {1u, 2u, 4u}) {
    World stopped(o, threads);
    Engine& engine = *stopped.engine;
    engine.on_interval(Duration{o.least_delay * 100}, [&](Time) { engine.request_stop(); });
    engine.run(end);
    CHECK(engine.stopped());
    CHECK(engine.reached() < end);
    CHECK(engine.reached() >= Time{o.least_delay * 100});
    const std::uint64_t events = engine.stats().events;
    CHECK(events < whole.engine->stats().events);
    engine.run(end);  // still stopped
    CHECK(engine.stats().events == events);
    while (engine.reached() < end) {
      engine.clear_stop();
      engine.run(end);
    }
    CHECK(engine.digest() == whole.engine->digest());
  }
}

TEST_CASE("intervals are called on the thread of run(), in step, at the same times") {
  const GraphOptions o = graph(5);
  std::vector<std::int64_t> first;
  for (unsigned threads : {1u, 2u, 3u}) {
    World world(o, threads);
    std::vector<std::int64_t> times;
    const auto caller = std::this_thread::get_id();
    std::uint64_t events = 0;
    world.engine->on_interval(Duration{o.least_delay * 50}, [&](Time t) {
      CHECK_FALSE(std::this_thread::get_id() != caller);
      times.push_back(t.ps);
      const std::uint64_t now = world.engine->stats().events;  // all workers at rest
      CHECK_FALSE(now < events);
      events = now;
    });
    world.engine->run(Time{o.least_delay * 600});
    CHECK(times.size() >= 8);
    CHECK(times.size() <= 12);
    for (std::size_t i = 1; i < times.size(); ++i)
      CHECK(times[i] / (o.least_delay * 50) > times[i - 1] / (o.least_delay * 50));
    if (first.empty()) first = times;
    CHECK(times == first);
  }
}

TEST_CASE("a callback that throws ends the run on all workers") {
  for (unsigned threads : {1u, 3u}) {
    World world(graph(2), threads);
    world.engine->on_interval(microseconds(10),
                              [](Time) { throw InternalFault("a check failed"); });
    CHECK_THROWS_WITH(world.engine->run(Time{} + milliseconds(1)), "a check failed");
  }
}

TEST_CASE("every owned pointer is handled or discarded, once") {
  for (unsigned threads : {1u, 2u, 4u}) {
    for (const bool run : {false, true}) {
      std::atomic<int> alive{0}, made{0};
      const auto make = [&] {
        ++alive;
        ++made;
        return reinterpret_cast<std::uintptr_t>(new int(0));
      };
      const auto free = [&](const Event& e) {
        if (e.data == 0) return;
        --alive;
        delete e.pointer<int>();
      };
      {
        Engine engine{{.threads = threads, .max_window = nanoseconds(500)}};
        std::vector<ChannelId> out(8);
        std::vector<LpId> lps;
        for (std::uint32_t i = 0; i < 8; ++i) {
          lps.push_back(add_scripted(
              engine, "lp",
              [&, i](Context& c, const Event& e) {
                free(e);
                const auto far = Duration{static_cast<std::int64_t>(c.order() % 977) * 60'000'000};
                c.send(out[i], c.now() + microseconds(1) + far, EventClass::arrival, 0, 0, make());
                if (e.event_class() == EventClass::timer) return;
                TimerId timer;
                c.arm(timer, c.now() + far * 3, 1, 0, make());
              },
              free));
        }
        for (std::uint32_t i = 0; i < 8; ++i) {
          out[i] = *engine.connect(lps[i], lps[(i + 3) % 8], microseconds(1));
          for (int k = 0; k < 20; ++k)
            engine.post(lps[i], Time{k}, EventClass::command, 0, 0, make());
        }
        if (run) engine.run(Time{} + milliseconds(100) + Duration{777});
        CHECK(alive > 0);
        CHECK(made >= (run ? 1000 : 160));
      }
      CHECK(alive == 0);
    }
  }
}

TEST_CASE("more threads than processes are not started") {
  Engine engine{{.threads = 8}};
  int handled = 0;
  const LpId lp = add_scripted(engine, "lp", [&](Context&, const Event&) { ++handled; });
  engine.post(lp, Time{}, EventClass::command, 0, 0, 0);
  engine.run(Time{1});
  CHECK(handled == 1);
  CHECK(engine.threads() == 8);
  CHECK(engine.stats().workers.size() == 1);
}
