// The oracle against a hand-written table of who may talk to whom. It stands alone: what swarm
// believes must be right by itself.
#include "tests/oracle/policy_oracle.h"

#include "scenarios/swarm/generate.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

const char* const kShop = R"(
name: table
underlay: {leaf_spine: {spines: 1, leaves: 1, hosts_per_leaf: 1}}
tenants:
  shop:
    networks:
      a: {subnet: 10.0.1.0/24}
      b: {subnet: 10.0.2.0/24}
      alone: {subnet: 10.0.3.0/24}
    routers: {r1: [a, b]}
    groups:
      web: {count: 2, network: a}
      app: {count: 2, network: b}
      far: {count: 1, network: alone}
    policy:
      default: deny
      rules:
        - {name: web-app, allow: {from: web, to: app, tcp: 8080-8090}}
        - {name: not-one, deny: {from: web, to: app-2, tcp: 8085}}
        - {name: but-up,  allow: {from: web-2, to: app-2, tcp: 8085}, priority: 200}
        - {name: low,     deny: {from: any, to: any, icmp: any}, priority: 50}
        - {name: pings,   allow: {from: a, to: b, icmp: any}}
        - {name: prefix,  allow: {from: 10.0.2.8/30, to: 10.0.1.11, udp: 53}}
        - {name: island,  allow: {from: web, to: far}}
  open:
    networks: {n: {subnet: 10.0.1.0/24}}
    groups: {x: {count: 2, network: n}}
)";

struct Row {
  const char* from;
  const char* to;
  Protocol protocol;
  std::uint16_t port;
  bool allowed;
  const char* reason;  ///< of a refusal
};

const Row kRows[] = {
    {"web-1", "app-1", Protocol::tcp, 8080, true, ""},
    {"web-1", "app-1", Protocol::tcp, 8090, true, ""},
    {"web-1", "app-1", Protocol::tcp, 8091, false, "default"},
    {"web-1", "app-1", Protocol::udp, 8080, false, "default"},
    {"app-1", "web-1", Protocol::tcp, 8080, false, "default"},
    {"web-1", "app-2", Protocol::tcp, 8085, false, "not-one"},  // deny beats allow
    {"web-2", "app-2", Protocol::tcp, 8085, true, ""},          // the higher priority decides
    {"web-1", "app-2", Protocol::icmp, 0, true, ""},            // over the lower deny
    {"app-2", "web-1", Protocol::icmp, 0, false, "low"},
    {"app-1", "web-1", Protocol::udp, 53, true, ""},          // 10.0.2.11 is in the prefix
    {"app-2", "web-1", Protocol::udp, 53, false, "default"},  // 10.0.2.12 is not
    {"app-1", "web-2", Protocol::udp, 53, false, "default"},
    {"web-1", "web-2", Protocol::tcp, 8080, false, "default"},  // same network, same policy
    {"web-1", "far-1", Protocol::tcp, 80, false, ""},           // allowed, but not joined
};

std::size_t vm_named(const TenantSpec& tenant, const std::string& name) {
  for (std::size_t v = 0; v < tenant.vms.size(); ++v)
    if (tenant.vms[v].name == tenant.name + "/" + name) return v;
  FAIL("no VM " << name);
  return 0;
}

}  // namespace

TEST_CASE("the oracle answers the table", "[swarm][oracle]") {
  const auto loaded = load_scenario_text(kShop, "table.yaml");
  for (const auto& e : loaded.errors) UNSCOPED_INFO(e.text());
  REQUIRE(loaded.scenario);
  const auto& shop = loaded.scenario->tenants[0];
  for (const Row& row : kRows) {
    CAPTURE(row.from, row.to, row.port);
    const std::size_t from = vm_named(shop, row.from), to = vm_named(shop, row.to);
    const auto answer = oracle::judge(
        shop, &*shop.policy,
        {from, to, shop.vms[from].addresses[0], shop.vms[to].addresses[0], row.protocol, row.port});
    CHECK(answer.allowed == row.allowed);
    if (*row.reason != 0) CHECK(answer.reasons == std::set<std::string>{row.reason});
  }
  const auto& open = loaded.scenario->tenants[1];
  REQUIRE_FALSE(open.policy);
  CHECK(oracle::judge(open, nullptr,
                      {0, 1, open.vms[0].addresses[0], open.vms[1].addresses[0], Protocol::tcp, 1})
            .allowed);
}

TEST_CASE("generated scenarios load, differ, and are the same for the same seed", "[swarm]") {
  std::set<std::string> texts;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const std::string text = swarm::generate(seed).text();
    CHECK(text == swarm::generate(seed).text());
    texts.insert(text);
    const auto loaded = load_scenario_text(text, "swarm.yaml");
    for (const auto& e : loaded.errors) UNSCOPED_INFO(e.text());
    if (!loaded.scenario) UNSCOPED_INFO(text);
    REQUIRE(loaded.scenario);
    CHECK_FALSE(loaded.scenario->traffic.empty());
  }
  CHECK(texts.size() == 300);
}
