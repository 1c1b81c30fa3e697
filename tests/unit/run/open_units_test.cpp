// What is lost and what is on its way when a run ends.
#include <set>

#include "tests/unit/run/running.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

/// Two VMs on two hosts; `links` and `rest` complete it.
std::string lab(const std::string& duration, const std::string& rest,
                const std::string& links = "{rate: 10Gbps, delay: 1us}",
                const std::string& policy = "") {
  return "name: open\nduration: " + duration +
         "\nunderlay: {leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1}, host_links: " +
         links +
         "}\ntenants: {t: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {v: {count: 2, network: "
         "n}}" +
         policy + "}}\n" + rest;
}

/// Every unit is delivered, lost or open, in all and in each bucket.
analysis::PairResult whole(const analysis::Results& r, std::size_t traffic) {
  const auto& t = r.traffic.at(traffic);
  const auto sum = analysis::total_of(t);
  CHECK(sum.delivered + sum.lost() + sum.pending == sum.sent);
  std::uint64_t open = 0;
  for (const auto& p : t.series) {
    CHECK(p.answered + p.open <= p.sent);
    open += p.open;
  }
  CHECK(open == sum.pending);
  return sum;
}

}  // namespace

TEST_CASE("what the policy dropped just before the end is lost", "[open]") {
  const auto r = run_text(lab("150ms", R"(
traffic:
  - {name: p, from: t/v-1, to: t/v-2, ping: {interval: 1ms}}
  - {name: r, from: t/v-1, to: t/v-2, rpc: {rate: 100/s}}
  - {name: b, from: t/v-1, to: t/v-2, bulk: {size: 1MB}}
  - {name: s, from: t/v-1, to: t/v-2, scan: {ports: 1-100}}
expect:
  - {traffic: p, lost: 0}
  - {traffic: r, lost: 0}
)",
                              "{rate: 10Gbps}", ", policy: {default: deny}"));
  for (std::size_t t = 0; t < 4; ++t) {
    const auto sum = whole(r, t);
    INFO(r.traffic[t].name);
    CHECK(sum.lost() == sum.sent);
  }
  CHECK(whole(r, 3).sent == 100);
  REQUIRE(r.expectations.size() == 2);
  CHECK(!r.expectations[0].passed);
  CHECK(!r.expectations[1].passed);
  CHECK(r.expectations[0].seen.find("lost 148 of 148 sent") != std::string::npos);
}

TEST_CASE("a cut of the only path loses all that is sent into it", "[open]") {
  const auto r = run_text(lab("300ms", R"(
traffic:
  - {name: p, from: t/v-1, to: t/v-2, ping: {interval: 1ms}, start: 10ms}
  - {name: u, from: t/v-1, to: t/v-2, udp: {rate: 10Mbps}, start: 10ms}
  - {name: r, from: t/v-1, to: t/v-2, rpc: {rate: 100/s}, start: 10ms}
  - {name: b, from: t/v-1, to: t/v-2, bulk: {size: 10GB}, start: 10ms}
events: [{name: cut, at: 200ms, fail: {link: leaf-1--spine-1}}]
expect:
  - {traffic: p, lost: 0, during: cut}
  - {traffic: u, lost: 0, window: {from: 200ms}}
  - {traffic: r, lost: 0, during: cut}
  - {traffic: b, lost: 0}
  - {traffic: p, delivered_ratio: {max: 1%}, during: cut}
)"));
  for (std::size_t t = 0; t < 4; ++t) {
    INFO(r.traffic[t].name);
    CHECK(whole(r, t).pending == 0);
    CHECK(whole(r, t).lost() > 0);
    CHECK(!r.expectations.at(t).passed);
  }
  CHECK(r.expectations.at(4).passed);
  CHECK(r.expectations.at(4).seen.find("(0 of 100)") != std::string::npos);
}

TEST_CASE("what is on its way at the end is open", "[open]") {
  // One way takes 2 x 5 ms and a little: about ten pings each way are under way.
  const auto r = run_text(lab("100ms", R"(
traffic:
  - {name: p, from: t/v-1, to: t/v-2, ping: {interval: 1ms}}
  - {name: e, from: t/v-2, to: t/v-1, ping: {interval: 1ms, size: 0B}}
  - {name: u, from: t/v-1, to: t/v-2, udp: {rate: 8Mbps}}
  - {name: r, from: t/v-1, to: t/v-2, rpc: {rate: 1000/s, response: 100B}, warmup: 50ms}
  - {name: b, from: t/v-1, to: t/v-2, bulk: {size: 10GB}}
expect:
  - {traffic: p, lost: 0}
  - {traffic: b, lost: 0}
  - {traffic: b, delivered_ratio: {min: 0%}}
)",
                              "{rate: 10Gbps, delay: 5ms}"));
  CHECK(whole(r, 0).pending == 20);
  CHECK(whole(r, 1).pending == 20);
  CHECK(whole(r, 2).pending >= 9);
  CHECK(whole(r, 2).pending <= 11);
  CHECK(whole(r, 3).pending >= 20);
  CHECK(whole(r, 3).delivered > 0);
  CHECK(whole(r, 4).pending == 1);
  for (std::size_t t = 0; t < 5; ++t) CHECK(whole(r, t).lost() == 0);
  CHECK(r.expectations.at(0).passed);
  CHECK(r.expectations.at(0).seen.find("20 of them open") != std::string::npos);
  CHECK(r.expectations.at(1).passed);
  CHECK(!r.expectations.at(2).passed);  // nothing is settled
}

TEST_CASE("an overloaded link: drops are losses, what is queued is open", "[open]") {
  const auto r =
      run_text(lab("50ms", "traffic: [{name: u, from: t/v-1, to: t/v-2, udp: {rate: 200Mbps}}]\n",
                   "{rate: 100Mbps, delay: 1us, queue: 100KB}"));
  const auto sum = whole(r, 0);
  std::uint64_t dropped = 0;
  for (const auto& g : r.drops) dropped += g.traffic == "u" ? g.count : 0;
  CHECK(dropped > 300);
  CHECK(sum.lost() == dropped);
  CHECK(sum.pending > 50);
  CHECK(sum.pending <= r.totals.in_flight);
}

TEST_CASE("a run that was stopped early has no verdict", "[open]") {
  const auto loaded = load_scenario_text(lab("1s", R"(
traffic: [{name: p, from: t/v-1, to: t/v-2, ping: {interval: 1ms}}]
expect: [{traffic: p, lost: 0}, {traffic: p, delivered: 0, sent: {min: 1}, dropped_by: policy.default}]
)",
                                             "{rate: 10Gbps}", ", policy: {default: deny}"),
                                         "test.yaml");
  REQUIRE(loaded.scenario);
  RunOptions options;
  options.write_folder = false;
  options.until = milliseconds(100);
  const auto outcome = run_loaded(*loaded.scenario, options);
  CHECK(outcome.exit_code == 0);
  CHECK(analysis::verdict_of(outcome.results) == analysis::Verdict::none);
  for (const auto& e : outcome.results.expectations) {
    CHECK(!e.judged);
    CHECK(!e.passed);
    CHECK(e.seen == "not judged: stopped at 100 ms, the scenario lasts 1 s");
  }
  options.until = seconds(5);  // beyond the end: the whole run
  const auto all = run_loaded(*loaded.scenario, options);
  CHECK(all.exit_code == 1);
  CHECK(analysis::verdict_of(all.results) == analysis::Verdict::failed);
}

TEST_CASE("drops that a failure caused name it and its line", "[open]") {
  const auto r = run_text(lab("100ms", R"(
traffic: [{name: p, from: t/v-1, to: t/v-2, ping: {interval: 1ms}, start: 5ms}]
events:
  - {name: cut, at: 20ms, fail: {link: leaf-1--spine-1, for: 20ms}}
  - {name: dead, at: 60ms, fail: {node: leaf-2, for: 20ms}}
)"));
  REQUIRE(!r.drops.empty());
  std::size_t by_cut = 0, by_dead = 0;
  for (const auto& d : r.drop_entries) {
    INFO(r.drops[d.group].reason << " at " << d.where << " at " << d.at.ps);
    CHECK(d.event == (d.at < Time{} + milliseconds(60) ? "cut" : "dead"));
    CHECK(d.place.line == (d.event == "cut" ? 8 : 9));
    ++(d.event == "cut" ? by_cut : by_dead);
  }
  CHECK(by_cut >= 20);
  CHECK(by_cut <= 22);
  CHECK(by_dead >= 20);
  for (const auto& g : r.drops) {
    std::set<std::string> events;
    for (const auto& d : r.drop_entries)
      if (&r.drops[d.group] == &g) events.insert(d.event);
    CHECK(g.event == (events.size() == 1 ? *events.begin() : ""));
    CHECK((g.place.line > 0) == (events.size() == 1));
  }
}
