// Names of capture points.
#include "scenarios/run/points.h"

#include "scenarios/spec.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;

TEST_CASE("ports of parallel links are named after the link") {
  const std::string text =
      "underlay:\n"
      "  nodes: {r1: {kind: router}, r2: {kind: router}, h: {kind: host}}\n"
      "  links: [{between: [r1, r2], name: x1}, {between: [r1, r2], name: x2}, h--r1]\n";
  const auto loaded =
      load_scenario_text(text + "capture: [r2.x1, r1.x2, h.r1, r1.h]\n", "test.yaml");
  REQUIRE(loaded.scenario);
  const Scenario& s = *loaded.scenario;
  REQUIRE(s.captures.size() == 4);
  CHECK(s.captures[0].link == 0);
  CHECK(s.captures[1].link == 1);
  CHECK(s.captures[2].point == "h.uplink");
  CHECK(capture_points(s) ==
        std::vector<std::string>{"r1.x1", "r2.x1", "r1.x2", "r2.x2", "r1.h", "h.uplink", "drops"});
  for (const auto& point : capture_points(s)) CHECK(parse_capture_option(s, point).ok());
  const auto refused = load_scenario_text(text + "capture: [r1.r2]\n", "test.yaml");
  REQUIRE(refused.errors.size() == 1);
  CHECK(refused.errors[0].text().find("r1.x") != std::string::npos);
}
