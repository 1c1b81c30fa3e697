// Migrations, the good ones and those that something goes wrong with: whatever happens, each VM is
// in exactly one place and works there. Every run is checked in full and its invariants (one place
// per VM, conservation) are asserted 100 times or more on the way.
#include <fmt/format.h>

#include <string>

#include "base/units.h"
#include "tests/unit/run/running.h"

using namespace weft;
using namespace weft::scenarios;
using analysis::MigrationState;

namespace {

/// Four hypervisors in two racks; `a` moves, `b` stays on hv-1-2 and talks to it.
std::string scenario(const std::string& duration, const std::string& traffic,
                     const std::string& events, const std::string& memory = "64MiB",
                     const std::string& dirty = "20MB/s", const std::string& more = "") {
  return fmt::format(
      "name: move\nseed: 5\nduration: {}\n"
      "underlay:\n  leaf_spine: {{spines: 2, leaves: 2, hosts_per_leaf: 2}}\n"
      "  host_links: {{rate: 10Gbps, delay: 1us}}\n"
      "tenants:\n  t:\n    networks: {{n: {{subnet: 10.0.0.0/24}}}}\n    groups:\n"
      "      a: {{count: 2, network: n, place: {{a-1: hv-1-1, a-2: hv-1-1}}, memory: {}, dirty: "
      "{}}}\n"
      "      b: {{count: 1, network: n, place: hv-1-2}}\n"
      "traffic:\n{}events:\n{}{}",
      duration, memory, dirty, traffic, events, more);
}

const std::string kRpc =
    "  - {name: ask, from: t/b-1, to: t/a-1, rpc: {port: 80, request: 200B, response: 2KB, rate: "
    "500/s}, start: 100ms}\n";
const std::string kPing =
    "  - {name: ask, from: t/b-1, to: t/a-1, ping: {interval: 2ms}, start: 100ms}\n";

std::string place_of(const analysis::Results& r, const std::string& vm) {
  for (const auto& v : r.vms)
    if (v.name == vm) return r.nodes.at(v.last_node).name;
  return "unknown";
}

std::uint64_t connections_lost(const analysis::Results& r) {
  std::uint64_t lost = 0;
  for (const auto& t : r.traffic)
    for (const auto& p : t.pairs) lost += p.connections_lost;
  return lost;
}

}  // namespace

TEST_CASE("a move: rounds shrink, the guest stands still briefly, no connection is lost") {
  const auto r = run_text(
      scenario("1500ms", kRpc, "  - {name: go, at: 500ms, migrate: {vm: t/a-1, to: hv-2-1}}\n"));
  const auto& m = r.migrations.at(0);
  CHECK(m.state == MigrationState::done);
  REQUIRE(m.rounds.size() >= 2);
  CHECK(m.rounds[0].bytes == 64u << 20);
  for (std::size_t i = 1; i < m.rounds.size(); ++i)
    CHECK(m.rounds[i].bytes < m.rounds[i - 1].bytes);
  CHECK(m.rounds.back().stop_and_copy);
  CHECK(m.downtime > Duration{});
  CHECK(m.downtime < milliseconds(10));
  CHECK(place_of(r, "t/a-1") == "hv-2-1");
  CHECK(connections_lost(r) == 0);
  const Count after = count(r, 0, 1000, 1400);
  CHECK(after.sent >= 150);
  CHECK(after.delivered == after.sent);
}

TEST_CASE("a move between two hypervisors of one rack") {
  const auto r = run_text(
      scenario("1s", kPing, "  - {name: go, at: 300ms, migrate: {vm: t/a-1, to: hv-1-2}}\n"));
  CHECK(r.migrations.at(0).state == MigrationState::done);
  CHECK(place_of(r, "t/a-1") == "hv-1-2");
  const Count after = count(r, 0, 600, 900);
  CHECK(after.sent >= 140);
  CHECK(after.delivered == after.sent);
}

TEST_CASE("the destination is cut off") {
  // 4 GiB at 8 Gb/s take 4.3 s: round 1 is under way. 64 MiB that are written at 400 MB/s: the
  // last round takes milliseconds, so a failure that follows it by 1 ms hits the middle.
  struct Row {
    const char* what;
    const char* memory;
    const char* dirty;
    const char* failure;
    const char* reason;
    bool came_back;
  };
  const Row rows[] = {
      {"in round 1", "4GiB", "20MB/s",
       "  - {after: go.round-1, delay: 100ms, fail: {node: hv-2-1}}\n", "stays where it is", false},
      {"in round 1, by its link", "4GiB", "20MB/s",
       "  - {after: go.round-1, delay: 100ms, fail: {link: leaf-2--hv-2-1}}\n", "stays where it is",
       false},
      {"in stop-and-copy", "64MiB", "400MB/s",
       "  - {after: go.stop-and-copy, delay: 1ms, fail: {link: leaf-2--hv-2-1}}\n",
       "the VM came back", true},
      {"in stop-and-copy, for good", "64MiB", "400MB/s",
       "  - {after: go.stop-and-copy, delay: 1ms, fail: {node: hv-2-1}}\n", "the VM came back",
       true},
      {"before it began", "64MiB", "20MB/s", "  - {name: cut, at: 900ms, fail: {node: hv-2-1}}\n",
       "did not answer", false},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto r = run_text(scenario(
        "9s", kPing,
        std::string("  - {name: go, at: 1s, migrate: {vm: t/a-1, to: hv-2-1}}\n") + row.failure,
        row.memory, row.dirty));
    const auto& m = r.migrations.at(0);
    CHECK(m.state == MigrationState::failed);
    INFO(m.failure);
    CHECK(m.failure.find(row.reason) != std::string::npos);
    CHECK(place_of(r, "t/a-1") == "hv-1-1");
    CHECK((m.downtime > Duration{}) == row.came_back);
    const Count before = count(r, 0, 200, 900), during = count(r, 0, 2000, 5000);
    CHECK(before.delivered == before.sent);
    CHECK(during.sent >= 1000);
    CHECK(during.delivered == (row.came_back ? 0 : during.sent));
    const Count after = count(r, 0, 7500, 8500);
    CHECK(after.sent >= 490);
    CHECK(after.delivered == after.sent);
  }
}

TEST_CASE("a link that fails briefly during stop-and-copy only makes it longer") {
  const auto r = run_text(scenario(
      "3s", kPing,
      "  - {name: go, at: 500ms, migrate: {vm: t/a-1, to: hv-2-1}}\n"
      "  - {after: go.stop-and-copy, delay: 1ms, fail: {link: leaf-2--hv-2-1, for: 300ms}}\n",
      "64MiB", "400MB/s"));
  const auto& m = r.migrations.at(0);
  CHECK(m.state == MigrationState::done);
  CHECK(m.downtime > milliseconds(300));
  CHECK(m.downtime < milliseconds(1500));
  CHECK(place_of(r, "t/a-1") == "hv-2-1");
  const Count after = count(r, 0, 2300, 2700);
  CHECK(after.sent >= 190);
  CHECK(after.delivered == after.sent);
}

TEST_CASE("the source never hears that the VM has arrived") {
  // Cut off at the moment of the resumption: the VM runs at the destination, cut off as that is,
  // and there only; when the link is back, the source has let it go.
  const auto r = run_text(scenario("9s", kPing,
                                   "  - {name: go, at: 500ms, migrate: {vm: t/a-1, to: hv-2-1}}\n"
                                   "  - {after: go.resume, fail: {link: leaf-1--hv-1-1, for: 6s}}\n"
                                   "  - {name: back, at: 8s, migrate: {vm: t/a-1, to: hv-1-1}}\n"));
  CHECK(r.migrations.at(0).state == MigrationState::done);
  const Count away = count(r, 0, 2000, 5000);
  CHECK(away.delivered == away.sent);
  CHECK(r.migrations.at(1).state == MigrationState::done);
  CHECK(place_of(r, "t/a-1") == "hv-1-1");
  const Count after = count(r, 0, 8500, 8800);
  CHECK(after.sent >= 140);
  CHECK(after.delivered == after.sent);
}

TEST_CASE("a VM moves to and fro, each time at once") {
  const auto r =
      run_text(scenario("3s", kRpc,
                        "  - {name: m1, at: 500ms, migrate: {vm: t/a-1, to: hv-2-1}}\n"
                        "  - {name: m2, after: m1.resume, migrate: {vm: t/a-1, to: hv-1-1}}\n"
                        "  - {name: m3, after: m2.resume, migrate: {vm: t/a-1, to: hv-2-1}}\n"
                        "  - {name: m4, after: m3.done, migrate: {vm: t/a-1, to: hv-1-1}}\n"
                        "  - {name: m5, after: m4.done, migrate: {vm: t/a-1, to: hv-2-1}}\n"));
  REQUIRE(r.migrations.size() == 5);
  for (const auto& m : r.migrations) {
    INFO(m.name << ": " << m.failure);
    CHECK(m.state == MigrationState::done);
  }
  CHECK(place_of(r, "t/a-1") == "hv-2-1");
  CHECK(connections_lost(r) == 0);
  const Count after = count(r, 0, 2400, 2800);
  CHECK(after.sent >= 150);
  CHECK(after.delivered == after.sent);
}

TEST_CASE("two VMs move at once, between the same hosts, one way and crossing") {
  for (const bool crossing : {false, true}) {
    INFO((crossing ? "crossing" : "one way"));
    const std::string traffic =
        kRpc + "  - {name: other, from: t/b-1, to: t/a-2, ping: {interval: 2ms}, start: 100ms}\n";
    std::string events = "  - {name: m1, at: 1s, migrate: {vm: t/a-1, to: hv-2-1}}\n";
    if (crossing) {
      events = "  - {name: m0, at: 400ms, migrate: {vm: t/a-2, to: hv-2-1}}\n" + events +
               "  - {name: m2, at: 1s, migrate: {vm: t/a-2, to: hv-1-1}}\n";
    } else {
      events += "  - {name: m2, at: 1s, migrate: {vm: t/a-2, to: hv-2-1}}\n";
    }
    const auto r = run_text(scenario("3s", traffic, events));
    for (const auto& m : r.migrations) {
      INFO(m.name << ": " << m.failure);
      CHECK(m.state == MigrationState::done);
      CHECK(m.started < m.ended);
    }
    CHECK(place_of(r, "t/a-1") == "hv-2-1");
    CHECK(place_of(r, "t/a-2") == (crossing ? "hv-1-1" : "hv-2-1"));
    CHECK(connections_lost(r) == 0);
    for (const std::size_t t : {0, 1}) {
      const Count after = count(r, t, 2000, 2700);
      CHECK(after.sent >= 250);
      CHECK(after.delivered == after.sent);
    }
  }
}

TEST_CASE("a VM that is being moved is not moved again") {
  const auto r = run_text(scenario(
      "2s", kPing,
      "  - {name: m1, at: 500ms, migrate: {vm: t/a-1, to: hv-2-1}}\n"
      "  - {name: m2, at: 510ms, migrate: {vm: t/a-1, to: hv-2-2}}\n"
      "  - {after: m1.stop-and-copy, delay: 500us, name: m3, migrate: {vm: t/a-1, to: hv-2-2}}\n",
      "64MiB", "400MB/s"));
  CHECK(r.migrations.at(0).state == MigrationState::done);
  for (const std::size_t i : {1, 2}) {
    CHECK(r.migrations.at(i).state == MigrationState::failed);
    INFO(r.migrations.at(i).failure);
    CHECK(r.migrations.at(i).failure.find("already being moved by m1") != std::string::npos);
  }
  CHECK(place_of(r, "t/a-1") == "hv-2-1");
}

TEST_CASE("what a move costs a stream of datagrams is what was sent while the guest stood still") {
  // 20 000 datagrams per second.
  const auto r = run_text(scenario(
      "2s",
      "  - {name: stream, from: t/b-1, to: t/a-1, udp: {port: 9, rate: 84.48Mbps, size: 500B}, "
      "start: 100ms}\n",
      "  - {name: go, at: 500ms, migrate: {vm: t/a-1, to: hv-2-1}}\n", "64MiB", "400MB/s"));
  const auto& m = r.migrations.at(0);
  REQUIRE(m.state == MigrationState::done);
  const auto& p = r.traffic.at(0).pairs.at(0);
  CHECK(p.sent > 35'000);
  const auto at_rest =
      static_cast<std::uint64_t>(m.downtime / microseconds(50)) + 1;  // 1 per 50 us
  CHECK(p.sent - p.delivered >= at_rest - 2);
  // And until the sender's hypervisor knows: the port's report, the controller's batch, the news.
  const auto news = static_cast<std::uint64_t>(milliseconds(2) / microseconds(50));
  CHECK(p.sent - p.delivered <= at_rest + news);
  const Count after = count(r, 0, 1000, 1800);
  CHECK(after.delivered == after.sent);
  // All of that is the move's: paused, and gone until the sender knew.
  CHECK(m.packets_lost == p.lost());
  std::uint64_t paused = 0, gone = 0;
  for (const auto& g : r.drops) {
    if (g.traffic != "stream") continue;
    if (g.reason == "vm.paused") paused += g.count;
    if (g.reason == "vm.gone") gone += g.count;
  }
  CHECK(gone > 0);
  CHECK(m.packets_lost == paused + gone);
}

TEST_CASE("what is lost while nobody can tell of the new place is the move's as well") {
  const auto r = run_text(
      scenario("2s", "  - {name: p, from: t/b-1, to: t/a-1, ping: {interval: 1ms}, start: 100ms}\n",
               "  - {name: go, at: 500ms, migrate: {vm: t/a-1, to: hv-2-1}}\n"
               "  - {name: deaf, at: 510ms, controller: {stop: controller-1, for: 900ms}}\n",
               "64MiB", "400MB/s"));
  const auto& m = r.migrations.at(0);
  REQUIRE(m.state == MigrationState::done);
  CHECK(r.traffic.at(0).pairs.at(0).lost() > 500);
  CHECK(m.packets_lost == r.traffic.at(0).pairs.at(0).lost());
}
