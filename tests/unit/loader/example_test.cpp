// The example of the design, as a user runs it: what every default and every name comes to.
#include "scenarios/spec.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;

namespace {
Scenario load_example() {
  auto result =
      load_scenario(std::string(WEFT_SOURCE_DIR) + "/scenarios/library/three-tier-migration.yaml");
  for (const auto& error : result.errors) UNSCOPED_INFO(error.text());
  REQUIRE(result.scenario);
  return *result.scenario;
}
}  // namespace

TEST_CASE("the example loads whole") {
  const Scenario s = load_example();
  CHECK(s.name == "three-tier-migration");
  CHECK(s.seed == 7);
  CHECK(s.duration == seconds(10));
  CHECK(s.warnings.empty());

  const UnderlaySpec& u = s.underlay;
  REQUIRE(u.nodes.size() == 2 + 4 + 16);
  REQUIRE(u.links.size() == 8 + 16);
  CHECK(u.nodes[0].name == "spine-1");
  CHECK(u.nodes[2].name == "leaf-1");
  CHECK(u.nodes[2].address->text() == "172.16.1.254");
  CHECK(u.nodes[2].interfaces.size() == 4);
  CHECK(u.nodes[6].name == "hv-1-1");
  CHECK(u.nodes[6].address->text() == "172.16.1.1");
  CHECK(u.nodes[6].gateway->text() == "172.16.1.254");
  CHECK(u.nodes[6].prefix_length == 24);
  CHECK(u.nodes[21].name == "hv-4-4");
  CHECK(u.nodes[21].address->text() == "172.16.4.4");
  CHECK(u.links[0].name == "leaf-1--spine-1");
  CHECK(u.links[0].rate.bps == 100'000'000'000);
  CHECK(u.links[0].ecn->max.bytes == 400'000);
  CHECK(u.links[8].name == "leaf-1--hv-1-1");
  CHECK(u.links[8].rate.bps == 25'000'000'000);
  CHECK(!u.links[8].ecn);

  REQUIRE(s.tenants.size() == 1);
  const TenantSpec& shop = s.tenants[0];
  CHECK(shop.networks[0].vni == 5001);
  CHECK(shop.routers[0].networks == std::vector<std::size_t>{0, 1, 2});
  REQUIRE(shop.vms.size() == 9);
  CHECK(shop.vms[0].name == "shop/web-1");
  CHECK(shop.vms[0].addresses.front().text() == "10.0.1.11");
  CHECK(shop.vms[0].mac.text() == "02:00:00:00:00:01");
  CHECK(u.nodes[shop.vms[0].host].name == "hv-1-1");
  CHECK(u.nodes[shop.vms[1].host].name == "hv-2-1");
  CHECK(shop.vms[4].name == "shop/app-1");
  CHECK(u.nodes[shop.vms[4].host].name == "hv-1-2");
  CHECK(shop.vms[4].memory.bytes == 4ULL << 30);
  CHECK(shop.vms[4].dirty_per_second.bytes == 40'000'000);
  CHECK(shop.vms[8].addresses.front().text() == "10.0.3.11");
  REQUIRE(shop.policy);
  CHECK(!shop.policy->default_allow);
  REQUIRE(shop.policy->rules.size() == 2);
  CHECK(shop.policy->rules[0].ports.front().first == 8080);

  REQUIRE(s.traffic.size() == 2);
  CHECK(s.traffic[0].pairs.size() == 16);
  CHECK(s.traffic[0].frequency.per_kilosecond == 200'000);
  CHECK(s.traffic[0].start == Time{} + milliseconds(100));
  CHECK(s.traffic[1].pairs.size() == 1);

  REQUIRE(s.events.size() == 2);
  CHECK(s.events[0].migrate->to == 15);
  REQUIRE(s.events[1].after);
  CHECK(s.events[1].after->event == 0);
  CHECK(s.events[1].after->phase == "round-2");
  CHECK(s.events[1].fail->duration == milliseconds(500));

  REQUIRE(s.captures.size() == 1);
  CHECK(s.captures[0].node == 6);
  CHECK(s.captures[0].link == 8);
  REQUIRE(s.expect.size() == 3);
  CHECK(s.expect[1].during == 0);
  CHECK(s.expect[2].dropped_by == "policy.default");
  CHECK(s.expect[0].place.line > 0);
}
