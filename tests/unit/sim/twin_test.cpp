// The engine against its slow twin: every process must see the same events in the same order.
#include "tests/catch.h"
#include "tests/unit/sim/random_graph.h"

using namespace weft;
using namespace weft::sim;
using namespace weft::sim::test;

namespace {

void compare(const World& world, const TwinWorld& twin) {
  for (std::size_t lp = 0; lp < world.processes.size(); ++lp) {
    const auto& mine = world.processes[lp]->behaviour.log;
    const auto& theirs = twin.behaviours[lp].log;
    for (std::size_t i = 0; i < std::min(mine.size(), theirs.size()); ++i)
      if (!(mine[i] == theirs[i])) {
        FAIL("process " << lp << " record " << i << ": time " << mine[i].time << " class "
                        << mine[i].event_class << " origin " << mine[i].origin << " sequence "
                        << mine[i].sequence << ", the twin has time " << theirs[i].time << " class "
                        << theirs[i].event_class << " origin " << theirs[i].origin << " sequence "
                        << theirs[i].sequence);
      }
    CHECK(mine.size() == theirs.size());
  }
}

}  // namespace

TEST_CASE("the engine does what its slow twin does") {
  const std::int64_t delays[] = {1, 2, 7, 300, 65'537, 1'000'000, 1'080'000, 40'000'000};
  std::uint64_t events = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    GraphOptions o;
    o.seed = seed;
    o.processes = 1 + static_cast<std::uint32_t>(seed * 7 % 23);
    o.least_delay = delays[seed % 8];
    o.tokens_per_process = seed % 3 == 0 ? 60 : 3;
    o.ties_percent = seed % 4 * 30;
    CAPTURE(seed);
    World world(o, static_cast<unsigned>(seed % 5) + 1);
    TwinWorld twin(o);
    const std::int64_t until = o.least_delay * 2500;
    world.engine->run(Time{until});
    twin.engine.run(until);
    compare(world, twin);
    // Far into the idle-looking future: blocks of buckets are cascaded.
    const std::int64_t later = o.least_delay * 12'345;
    world.engine->run(Time{later});
    twin.engine.run(later);
    compare(world, twin);
    events += world.engine->stats().events;
  }
  CHECK(events > 100'000);
}

TEST_CASE("window width is no matter of results") {
  GraphOptions o;
  o.seed = 99;
  o.processes = 9;
  o.tokens_per_process = 200;
  TwinWorld twin(o);
  twin.engine.run(o.least_delay * 3000);
  for (std::int64_t window : {1'000LL, 33'000LL, 500'000LL, 5'000'000'000LL}) {
    World world(o, 1, Duration{window});
    world.engine->run(Time{o.least_delay * 3000});
    compare(world, twin);
  }
}
