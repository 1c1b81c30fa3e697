// Threads: the same bits on any number of them, and a fair share of the work for each.
#include "scenarios/run/run.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

analysis::Results run_on(const std::string& file, unsigned threads) {
  RunOptions o;
  o.threads = threads;
  o.until = milliseconds(400);
  o.write_folder = false;
  const auto outcome = run_scenario(std::string(WEFT_SOURCE_DIR "/scenarios/library/") + file, o);
  REQUIRE(outcome.errors.empty());
  REQUIRE(outcome.results.identity.fault.empty());
  return outcome.results;
}

}  // namespace

TEST_CASE("two workers each do a quarter of the work or more, with the same digest", "[threads]") {
  for (const char* file : {"three-tier-migration.yaml", "link-failure-under-load.yaml"}) {
    INFO(file);
    const auto one = run_on(file, 1);
    const auto two = run_on(file, 2);
    const auto four = run_on(file, 4);
    CHECK(one.digest == two.digest);
    CHECK(one.digest == four.digest);
    REQUIRE(two.engine.workers.size() == 2);
    CHECK(two.engine.events == two.engine.workers[0].events + two.engine.workers[1].events);
    for (const auto& w : two.engine.workers) CHECK(w.events * 4 >= two.engine.events);
    CHECK(two.engine.windows > 0);
  }
}
