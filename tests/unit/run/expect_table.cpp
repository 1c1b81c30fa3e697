// Expectations on made-up results: one row each, the traps included. A row says what is changed in
// a run in which all is well, what is expected of it, whether that holds, and words that the
// outcome must contain.
#include <functional>

#include "scenarios/run/expect.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;
using weft::analysis::Results;

namespace {

using Subject = ExpectSpec::Subject;
using Measures = std::vector<std::pair<std::string, Bounds>>;

Time ms(std::int64_t n) { return Time{} + milliseconds(n); }
Bounds at_least(std::int64_t n) { return {.min = n}; }
Bounds at_most(std::int64_t n) { return {.max = n}; }
Bounds exactly(std::int64_t n) { return {.min = n, .max = n}; }
constexpr std::int64_t kMs = 1'000'000'000;

/// Traffic 0 "web" (rpc) answers all; 1 "probe" (ping) is denied; 2 "idle" (udp) sends nothing.
/// Event 0 "move" is a migration 100-200 ms, 1 "cut" a failure 300-320 ms.
Scenario scenario() {
  Scenario s;
  s.traffic.resize(3);
  s.traffic[0].name = "web", s.traffic[1].name = "probe", s.traffic[2].name = "idle";
  s.events.resize(3);
  s.events[0].name = "move", s.events[1].name = "cut", s.events[2].name = "never";
  s.events[0].migrate = MigrateEvent{};
  s.events[1].at = ms(300);
  s.events[1].fail = FailEvent{.link = 0, .node = {}, .duration = milliseconds(20)};
  s.events[2].at = ms(5000);
  s.underlay.nodes.resize(2);
  s.underlay.nodes[0].name = "hv-1-1", s.underlay.nodes[1].name = "leaf-1";
  s.underlay.links.resize(2);
  s.underlay.links[0].name = "leaf-1--hv-1-1", s.underlay.links[1].name = "spare";
  return s;
}

Results results() {
  Results r;
  r.identity.reached = ms(1000);
  r.identity.planned = seconds(1);
  r.totals = {.created = 5000, .delivered = 4800, .dropped = 100, .packet_hops = 10'000};
  analysis::TrafficResult web{.name = "web", .kind = "rpc", .start = Time{}, .stop = ms(1000)};
  web.pairs = {{.from = "t/a-1",
                .to = "t/b-1",
                .sent = 500,
                .delivered = 500,
                .bytes = 500'000,
                .connections_opened = 1,
                .completed = 500},
               {.from = "t/a-2",
                .to = "t/b-1",
                .sent = 500,
                .delivered = 500,
                .bytes = 500'000,
                .connections_opened = 1,
                .completed = 500,
                .retransmits = 3}};
  for (int i = 0; i < 100; ++i) {
    web.series.push_back({.sent = 10, .delivered = 10, .answered = 10, .bytes = 10'000});
    // 1000 samples of 1 ms, but one of 20 ms that ends at 165 ms.
    for (int k = 0; k < 10; ++k) {
      const bool slow = i == 16 && k == 5;
      web.samples.push_back({ms(10 * i + k), milliseconds(slow ? 20 : 1), slow ? 1u : 0u});
    }
  }
  web.series[0].connections_opened = 2;
  analysis::TrafficResult probe{.name = "probe", .kind = "ping", .start = Time{}, .stop = ms(1000)};
  probe.pairs = {{.from = "t/a-1", .to = "t/c-1", .sent = 100}};
  for (int i = 0; i < 100; ++i) probe.series.push_back({.sent = 1});
  analysis::TrafficResult idle{.name = "idle", .kind = "udp", .start = Time{}, .stop = ms(1000)};
  idle.pairs = {{.from = "t/a-1", .to = "t/b-1"}};
  r.traffic = {web, probe, idle};
  r.drops = {{"probe", "policy", "policy.default", "t", {"lab.yaml", 41, 5}, 100}};
  for (int i = 0; i < 100; ++i) r.drop_entries.push_back({ms(10 * i), 0, 1, 0, "hv-1-1", 98, ""});
  r.migrations = {{.name = "move",
                   .vm = "t/b-1",
                   .from = "hv-1-1",
                   .to = "hv-2-1",
                   .state = analysis::MigrationState::done,
                   .started = ms(100),
                   .ended = ms(200),
                   .rounds = {{1}, {2}, {3}},
                   .total_bytes = 5'000'000,
                   .downtime = milliseconds(12),
                   .packets_lost = 4}};
  r.events = {{"move", ms(100), ms(200)}, {"cut", ms(300), ms(320)}, {"never", {}, {}}};
  r.nodes = {{.name = "hv-1-1"}, {.name = "leaf-1"}};
  analysis::LinkResult link{.name = "leaf-1--hv-1-1", .a = 1, .b = 0, .rate_bps = 1'000'000};
  link.directions[0] = {.from = 1,
                        .to = 0,
                        .packets = 100,
                        .bytes = 62'500,
                        .drops = 2,
                        .ecn_marks = 10,
                        .peak_queue_bytes = 3'000};
  for (int i = 0; i < 10; ++i) {
    link.directions[0].series.push_back({10, 6'250, i == 3 ? 2u : 0u, i == 3 ? 3'000u : 100u, 1});
  }
  link.directions[1] = {.from = 0, .to = 1, .packets = 10, .bytes = 1'000};
  link.directions[1].series.resize(10);
  r.links = {link, {.name = "spare", .rate_bps = 1'000'000}};
  r.caches = {{"hv-1-1", 1000, 900, 90, 10, 5, 3, 2, 40}};
  r.control = {.messages = 12, .bytes = 3'000, .resyncs = 0};
  return r;
}

struct Row {
  const char* name;
  std::function<void(Results&)> change;
  ExpectSpec spec;
  bool passed;
  std::vector<const char*> words;  ///< of "text | seen | when"
};

ExpectSpec subject(Subject s, Measures measures, std::size_t index = 0) {
  ExpectSpec e;
  e.subject = s;
  e.index = index;
  e.measures = std::move(measures);
  return e;
}
ExpectSpec traffic(std::size_t index, Measures measures) {
  return subject(Subject::traffic, std::move(measures), index);
}
ExpectSpec denied(std::size_t index, std::string by,
                  Measures measures = {{"delivered", exactly(0)}}) {
  ExpectSpec e = traffic(index, std::move(measures));
  e.dropped_by = std::move(by);
  return e;
}
ExpectSpec within(ExpectSpec e, std::optional<Time> from, std::optional<Time> to) {
  e.from = from, e.to = to;
  return e;
}
ExpectSpec during(ExpectSpec e, std::size_t event) {
  e.during = event;
  return e;
}
ExpectSpec drops(std::optional<std::string> reason, Measures measures) {
  ExpectSpec e = subject(Subject::drops, std::move(measures));
  e.reason = std::move(reason);
  return e;
}

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    Scenario s = scenario();
    s.expect = {row.spec};
    s.expect[0].place = {"lab.yaml", 60, 3};
    Results r = results();
    if (row.change) row.change(r);
    const auto outcomes = evaluate(s, r);
    REQUIRE(outcomes.size() == 1);
    const std::string all = outcomes[0].text + " | " + outcomes[0].seen + " | " + outcomes[0].when;
    INFO(row.name << ": " << all);
    CHECK(outcomes[0].passed == row.passed);
    CHECK(outcomes[0].place.line == 60);
    CHECK(!outcomes[0].seen.empty());
    for (const char* word : row.words) {
      INFO("wanted: " << word);
      CHECK(all.find(word) != std::string::npos);
    }
  }
}

const std::function<void(Results&)> kAsIs;

}  // namespace

// clang-format off
TEST_CASE("expectations on traffic", "[expect]") {
  check({
      {"sent", kAsIs, traffic(0, {{"sent", at_least(1000)}}), true, {"traffic web: sent ≥ 1 000 |", "sent 1 000"}},
      {"sent too few", kAsIs, traffic(0, {{"sent", at_least(1001)}}), false, {"wanted ≥ 1 001"}},
      {"all of several must hold", kAsIs, traffic(0, {{"sent", at_least(1)}, {"delivered", at_least(1001)}}), false,
       {"sent 1 000; delivered 1 000 of 1 000 sent, wanted ≥ 1 001"}},
      {"lost none", kAsIs, traffic(0, {{"lost", exactly(0)}}), true, {"lost 0 of 1 000 sent"}},
      {"connections", kAsIs, traffic(0, {{"connections", exactly(2)}, {"connections_lost", exactly(0)}}), true, {}},
      {"a lost connection, and whose", [](Results& r) { r.traffic[0].pairs[1].connections_lost = 1; },
       traffic(0, {{"connections_lost", exactly(0)}}), false, {"connections_lost 1 of 2, e.g. t/a-2 to t/b-1, wanted 0"}},
      {"completed, retransmits", kAsIs, traffic(0, {{"completed", at_least(1000)}, {"retransmits", at_most(3)}}), true, {}},
      {"p50 and p99 do not see one slow answer", kAsIs, traffic(0, {{"p50", at_most(kMs)}, {"p99", at_most(kMs)}}), true,
       {"p50 ≤ 1ms", "1 000 samples"}},
      {"max says when, who and where", kAsIs, traffic(0, {{"max", at_most(5 * kMs)}}), false,
       {"max 20ms of 1 000 samples, wanted ≤ 5ms", "slowest 20 ms at 165 ms, t/a-2 to t/b-1"}},
      {"a bound is exact", [](Results& r) { r.traffic[0].samples[5].latency = Duration{20 * kMs + 1}; },
       traffic(0, {{"max", at_most(20 * kMs)}}), false, {"wanted ≤ 20ms"}},
      {"mean", kAsIs, traffic(0, {{"mean", exactly(1'019'000'000)}}), true, {}},
      {"goodput", kAsIs, traffic(0, {{"goodput", exactly(8'000'000)}}), true, {"goodput 8 Mb/s"}},
      {"delivered_ratio", kAsIs, traffic(0, {{"delivered_ratio", exactly(1'000'000)}}), true, {"(1 000 of 1 000)"}},
      {"what is still on its way is not lost", [](Results& r) { r.traffic[0].pairs[0].sent = 503, r.traffic[0].pairs[0].pending = 3; },
       traffic(0, {{"lost", exactly(0)}, {"delivered_ratio", exactly(1'000'000)}}), true, {}},
  });
}

TEST_CASE("no expectation on traffic holds by accident", "[expect]") {
  check({
      {"nothing sent, nothing lost", kAsIs, traffic(2, {{"lost", exactly(0)}}), false, {"nothing was sent"}},
      {"nothing sent, nothing delivered", kAsIs, traffic(2, {{"delivered", exactly(0)}}), false, {"nothing was sent"}},
      {"nothing sent, denied", kAsIs, denied(2, "policy.default"), false, {"nothing was sent"}},
      {"no samples, any percentile", kAsIs, traffic(1, {{"p99", at_most(kMs)}}), false, {"nothing was measured for p99"}},
      {"no connection, none lost", kAsIs, traffic(1, {{"connections_lost", exactly(0)}}), false, {"no connection was ever opened"}},
      {"no connection, no retransmission", kAsIs, traffic(1, {{"retransmits", at_most(100)}}), false, {"no connection was ever opened"}},
      {"nothing delivered, nothing twice", kAsIs, traffic(1, {{"duplicated", exactly(0)}}), false, {"nothing was delivered"}},
      {"nothing delivered, no goodput too high", kAsIs, traffic(1, {{"goodput", at_most(1'000'000)}}), false, {"nothing was delivered"}},
      {"nothing delivered in the window", [](Results& r) { for (std::size_t i = 50; i < 60; ++i) r.traffic[0].series[i] = {.sent = 10}; },
       within(traffic(0, {{"duplicated", exactly(0)}}), ms(500), ms(600)), false, {"nothing was delivered"}},
      {"nor any goodput", [](Results& r) { for (std::size_t i = 50; i < 60; ++i) r.traffic[0].series[i] = {.sent = 10}; },
       within(traffic(0, {{"goodput", at_most(1'000'000)}}), ms(500), ms(600)), false, {"nothing was delivered"}},
      {"what is open is said", [](Results& r) { r.traffic[0].pairs[0].sent = 503, r.traffic[0].pairs[0].pending = 2; },
       traffic(0, {{"lost", exactly(0)}}), false, {"lost 1 of 1 003 sent, 2 of them open, wanted 0"}},
      {"a bound that bounds nothing", kAsIs, traffic(0, {{"sent", Bounds{}}}), false, {"no bound"}},
      {"no measure at all", kAsIs, traffic(0, {}), false, {"nothing was expected"}},
      {"a measure that does not exist", kAsIs, traffic(0, {{"speed", at_most(1)}}), false, {"no measure 'speed'"}},
      {"all on its way", [](Results& r) { r.traffic[0].pairs.resize(1), r.traffic[0].pairs[0] = {.sent = 5, .pending = 5}; },
       traffic(0, {{"delivered_ratio", at_least(0)}}), false, {"still on its way"}},
      {"traffic that is not in the results", [](Results& r) { r.traffic.erase(r.traffic.begin()); },
       traffic(0, {{"lost", exactly(0)}}), false, {"never ran"}},
  });
}

TEST_CASE("what is denied must be dropped by whom it says", "[expect]") {
  check({
      {"denied by the default", kAsIs, denied(1, "policy.default"), true,
       {"delivered 0, dropped by policy.default", "policy.default dropped 100 (lab.yaml:41)"}},
      {"by reason", kAsIs, denied(1, "policy"), true, {"policy dropped 100"}},
      {"without a name: what dropped it is said", kAsIs, traffic(1, {{"delivered", exactly(0)}}), true, {"policy.default dropped 100"}},
      {"nothing arrived, nothing dropped it", [](Results& r) { r.drops.clear(), r.drop_entries.clear(); },
       traffic(1, {{"delivered", exactly(0)}}), false, {"nothing was dropped either"}},
      {"by somebody else", kAsIs, denied(1, "policy.web-to-db"), false, {"policy.web-to-db dropped 0, but policy.default dropped 100"}},
      {"a link took some", [](Results& r) { r.drops[0].count = 98, r.drops.push_back({"probe", "link.loss", "", "", {}, 2}); },
       denied(1, "policy.default"), false, {"but link.loss dropped 2"}},
      {"not all is accounted for", [](Results& r) { r.drops[0].count = 60; }, denied(1, "policy.default"), false, {"dropped 60 (lab.yaml:41), but 100 were lost"}},
      {"one came through", [](Results& r) { r.traffic[1].pairs[0].delivered = 1; }, denied(1, "policy.default"), false,
       {"delivered 1 of 100 sent, wanted 0", "first drop at 0 s at hv-1-1: policy.default"}},
      {"drops of other traffic do not count", [](Results& r) { r.drops[0].traffic = "web"; }, denied(1, "policy.default"), false,
       {"dropped 0, but 100 were lost"}},
      {"nothing was lost", kAsIs, denied(0, "policy.default", {{"sent", at_least(1)}}), false, {"nothing was lost"}},
      {"a refused connection needs no frame per request", [](Results& r) { r.traffic[1].kind = "rpc", r.drops[0].count = 7; },
       denied(1, "policy.default"), true, {}},
      {"but at least one", [](Results& r) { r.traffic[1].kind = "rpc", r.drops.clear(), r.drop_entries.clear(); },
       denied(1, "policy.default"), false, {"dropped 0"}},
  });
}

TEST_CASE("windows", "[expect]") {
  check({
      {"from, to", kAsIs, within(traffic(0, {{"sent", exactly(100)}}), ms(100), ms(200)), true, {"from 100 ms to 200 ms"}},
      {"rounded outwards, and said", kAsIs, within(traffic(0, {{"sent", exactly(30)}}), ms(105), ms(121)), true, {"in steps of 10 ms"}},
      {"the slow one is in it", kAsIs, during(traffic(0, {{"max", at_most(5 * kMs)}}), 0), false, {"during move", "slowest 20 ms at 165 ms"}},
      {"the slow one waits in it", kAsIs, within(traffic(0, {{"max", at_most(5 * kMs)}}), ms(146), ms(147)), false, {}},
      {"the slow one is not in it", kAsIs, during(traffic(0, {{"max", at_most(5 * kMs)}}), 1), true, {"during cut, 300 ms – 320 ms"}},
      {"a command that nobody noted happens when it says", [](Results& r) { r.events.clear(); },
       during(traffic(0, {{"sent", exactly(20)}}), 1), true, {"during cut, 300 ms – 320 ms"}},
      {"but not after the end", [](Results& r) { r.events.clear(); }, during(traffic(0, {{"sent", at_least(0)}}), 2), false, {"never happened"}},
      {"during what never happened", kAsIs, during(traffic(0, {{"lost", exactly(0)}}), 2), false, {"never happened"}},
      {"after the end", kAsIs, within(traffic(0, {{"lost", exactly(0)}}), ms(2000), ms(3000)), false, {"the run ended at 1 s"}},
      {"no samples within", [](Results& r) { r.traffic[0].samples.resize(100); },
       within(traffic(0, {{"p99", at_most(kMs)}}), ms(500), ms(600)), false, {"nothing was measured"}},
      {"samples that were not kept", [](Results& r) { r.traffic[0].samples_left_out = 1; },
       within(traffic(0, {{"p99", at_most(kMs)}}), ms(500), ms(600)), false, {"were not kept"}},
      {"lost within", [](Results& r) { r.traffic[0].series[31].answered = 4; }, during(traffic(0, {{"lost", exactly(0)}}), 1), false,
       {"lost 6 of 20 sent, wanted 0"}},
      {"lost elsewhere", [](Results& r) { r.traffic[0].series[40].answered = 4; }, during(traffic(0, {{"lost", exactly(0)}}), 1), true, {}},
      {"pending at the end is not lost", [](Results& r) { r.traffic[0].series[99].answered = 4, r.traffic[0].series[99].open = 6; },
       within(traffic(0, {{"lost", exactly(0)}}), ms(900), {}), true, {}},
      {"but in the middle it is", [](Results& r) { r.traffic[0].series[50].answered = 4, r.traffic[0].series[99].open = 6; },
       within(traffic(0, {{"lost", exactly(0)}}), ms(400), ms(600)), false, {}},
      {"nothing sent within", [](Results& r) { r.traffic[0].series.resize(30); }, during(traffic(0, {{"lost", exactly(0)}}), 1), false,
       {"nothing was sent"}},
      {"denied within", kAsIs, within(denied(1, "policy.default"), ms(100), ms(200)), true, {}},
      {"drops that were not kept one by one", [](Results& r) { r.drop_entries_left_out = 5; },
       within(denied(1, "policy.default"), ms(100), ms(200)), false, {"cannot be judged"}},
      {"an unfinished migration lasts to the end",
       [](Results& r) { r.migrations[0].ended.reset(), r.migrations[0].state = analysis::MigrationState::running; },
       during(traffic(0, {{"sent", exactly(900)}}), 0), true, {"during move, 100 ms – 1 s"}},
      {"an interrupted run says so", [](Results& r) { r.identity.interrupted = true; }, traffic(0, {{"sent", at_least(1)}}), false,
       {"not judged: interrupted at 1 s of 1 s"}},
      {"a run that was stopped early is not judged", [](Results& r) { r.identity.duration = seconds(3); },
       traffic(0, {{"lost", exactly(0)}}), false, {"not judged: stopped at 1 s, the scenario lasts 3 s"}},
  });
}

TEST_CASE("expectations on migrations", "[expect]") {
  const auto expect = [](Measures m) { return subject(Subject::migration, std::move(m)); };
  check({
      {"downtime", kAsIs, expect({{"downtime", at_most(300 * kMs)}}), true, {"migration move: downtime ≤ 300ms", "downtime 12 ms", "100 ms – 200 ms"}},
      {"all measures", kAsIs,
       expect({{"rounds", exactly(3)}, {"bytes", at_least(5'000'000)}, {"packets_lost", at_most(4)}, {"total_time", exactly(100 * kMs)}}), true,
       {"bytes 5 MB", "total_time 100 ms"}},
      {"too long", kAsIs, expect({{"downtime", at_most(11 * kMs)}}), false, {"downtime 12ms, wanted ≤ 11ms"}},
      {"done is enough", kAsIs, expect({}), true, {"done"}},
      {"never started", [](Results& r) { r.migrations[0].started.reset(), r.migrations[0].state = analysis::MigrationState::waiting; },
       expect({{"downtime", at_most(300 * kMs)}}), false, {"never started"}},
      {"not in the results", [](Results& r) { r.migrations.clear(); }, expect({{"downtime", at_most(1)}}), false, {"never started"}},
      {"unfinished: no downtime yet",
       [](Results& r) {
         r.migrations[0].state = analysis::MigrationState::running;
         r.migrations[0].ended.reset();
         r.migrations[0].downtime = {};
         r.migrations[0].phases = {{"round-2", ms(150), ms(190)}};
       },
       expect({{"downtime", at_most(300 * kMs)}}), false, {"unfinished", "round-2"}},
      {"failed", [](Results& r) { r.migrations[0].state = analysis::MigrationState::failed, r.migrations[0].failure = "hv-2-1 is down"; },
       expect({{"downtime", at_most(300 * kMs)}}), false, {"failed", "hv-2-1 is down"}},
      {"unknown measure", kAsIs, expect({{"speed", at_most(1)}}), false, {"no measure 'speed'"}},
  });
}

TEST_CASE("expectations on links, caches, drops, controller", "[expect]") {
  ExpectSpec on_node = subject(Subject::caches, {{"hit_ratio", at_least(990'000)}});
  on_node.node = 0;
  ExpectSpec elsewhere = on_node;
  elsewhere.node = 1;
  check({
      {"utilisation of the busier direction", kAsIs, subject(Subject::link, {{"utilisation", exactly(500'000)}}), true, {"utilisation 50 %"}},
      {"drops, marks, queue", kAsIs, subject(Subject::link, {{"drops", exactly(2)}, {"ecn_marks", exactly(10)}, {"peak_queue", at_most(3000)}}), true,
       {"peak_queue 3 KB"}},
      {"in a window", kAsIs, within(subject(Subject::link, {{"drops", exactly(0)}, {"ecn_marks", exactly(2)}}), ms(400), ms(600)), true, {}},
      {"in another", kAsIs, during(subject(Subject::link, {{"drops", exactly(0)}}), 1), false, {"drops 2, wanted 0"}},
      {"an idle link drops nothing: no news", kAsIs, subject(Subject::link, {{"drops", exactly(0)}}, 1), false, {"carried nothing"}},
      {"an idle link may be expected to be idle", kAsIs, subject(Subject::link, {{"utilisation", exactly(0)}}, 1), true, {}},
      {"unless nothing moved at all", [](Results& r) { r.totals.packet_hops = 0; }, subject(Subject::link, {{"utilisation", exactly(0)}}, 1), false,
       {"no packet was on any link"}},
      {"hit ratio", kAsIs, subject(Subject::caches, {{"hit_ratio", at_least(990'000)}}), true, {"hit_ratio 99 % of 1 000 lookups"}},
      {"of one hypervisor", kAsIs, on_node, true, {"caches of hv-1-1"}},
      {"of one without lookups", kAsIs, elsewhere, false, {"nothing was measured"}},
      {"megaflows, masks, slow path", kAsIs, subject(Subject::caches, {{"megaflows", at_most(5)}, {"masks", at_most(3)}, {"slow_path", at_most(10)}}), true, {}},
      {"caches over a window", kAsIs, within(on_node, ms(1), ms(2)), false, {"whole run only"}},
      {"no lookups", [](Results& r) { r.caches.clear(); }, subject(Subject::caches, {{"slow_path", exactly(0)}}), false, {"nothing was measured"}},
      {"all drops", kAsIs, drops({}, {{"count", exactly(100)}}), true, {"policy.default 100 of probe"}},
      {"by reason, none", kAsIs, drops("queue.full", {{"count", exactly(0)}}), true, {"drops by queue.full: count 0"}},
      {"by rule", kAsIs, drops("policy.default", {{"count", at_most(99)}}), false, {"count 100 (policy.default 100 of probe), wanted ≤ 99", "first at 0 s at hv-1-1"}},
      {"drops in a window", kAsIs, within(drops({}, {{"count", exactly(11)}}), ms(100), ms(200)), true, {}},
      {"no packets, no drops", [](Results& r) { r.totals = {}; }, drops({}, {{"count", exactly(0)}}), false, {"no packet to drop"}},
      {"controller", kAsIs, subject(Subject::controller, {{"messages", at_least(1)}, {"resyncs", exactly(0)}}), true, {"messages 12; resyncs 0"}},
      {"a silent controller", [](Results& r) { r.control = {}; }, subject(Subject::controller, {{"resyncs", exactly(0)}}), false,
       {"sent no message"}},
  });
}
