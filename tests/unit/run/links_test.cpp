// Links as a whole run shows them: failures that overlap, what a link can carry, marks, and damage
// that no frame check notices.
#include "tests/unit/run/running.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

const std::string kOneHop =
    "name: l\nduration: 1s\n"
    "underlay: {leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1, hosts: host}}\n"
    "traffic:\n  - {name: p, from: host-1-1, to: host-2-1, ping: {interval: 1ms}}\n";

std::string star(const std::string& link, const std::string& rest) {
  return "name: s\nduration: 100ms\nunderlay:\n  host_links: " + link +
         "\n  nodes: {h1: {kind: host}, h2: {kind: host}, h3: {kind: host}, sw: {kind: router}}\n"
         "  links: [h1--sw, h2--sw, h3--sw]\n" +
         rest;
}

std::uint64_t dropped(const analysis::Results& r, const std::string& reason) {
  for (const auto& [name, count] : r.totals.by_reason)
    if (name == reason) return count;
  return 0;
}

}  // namespace

TEST_CASE("failures that overlap last until the last of them ends") {
  const auto r = run_text(kOneHop +
                          "events:\n"
                          "  - {at: 100ms, fail: {link: leaf-1--host-1-1, for: 500ms}}\n"
                          "  - {at: 200ms, fail: {link: leaf-1--host-1-1, for: 100ms}}\n"
                          "  - {at: 250ms, fail: {node: leaf-1, for: 100ms}}\n");
  CHECK(count(r, 0, 0, 90).delivered == count(r, 0, 0, 90).sent);
  CHECK(count(r, 0, 110, 590).sent > 400);
  CHECK(count(r, 0, 110, 590).delivered == 0);
  CHECK(count(r, 0, 610, 900).delivered == count(r, 0, 610, 900).sent);
}

TEST_CASE("healing a node leaves its failed links alone, healing a link ends all its failures") {
  const auto r = run_text(kOneHop +
                          "events:\n"
                          "  - {at: 100ms, fail: {link: leaf-1--host-1-1, for: 800ms}}\n"
                          "  - {at: 100ms, fail: {node: leaf-1}}\n"
                          "  - {at: 200ms, heal: {node: leaf-1}}\n"
                          "  - {at: 400ms, fail: {link: leaf-1--host-1-1}}\n"
                          "  - {at: 500ms, heal: {link: leaf-1--host-1-1}}\n");
  CHECK(count(r, 0, 210, 490).sent > 200);
  CHECK(count(r, 0, 210, 490).delivered == 0);
  CHECK(count(r, 0, 510, 900).delivered == count(r, 0, 510, 900).sent);
}

TEST_CASE("no link is used for more than all of its time") {
  const auto r = run_text(star("{rate: 1Gbps, delay: 10us, queue: 1MB}",
                               "traffic:\n  - {name: b, from: h1, to: h3, bulk: {size: 1GB}}\n"
                               "  - {name: u, from: h2, to: h3, udp: {rate: 3Gbps}}\n"));
  const auto most = static_cast<std::uint64_t>(r.link_interval.ps) / 8000;  // bytes at 1 Gb/s
  std::uint64_t busiest = 0;
  for (const auto& link : r.links)
    for (const auto& direction : link.directions) {
      std::uint64_t sum = 0;
      for (const auto& point : direction.series) {
        busiest = std::max(busiest, point.bytes);
        sum += point.bytes;
      }
      CHECK(sum == direction.bytes);
    }
  CHECK(busiest <= most + 1);
  CHECK(busiest > most * 99 / 100);
}

TEST_CASE(
    "what a link carried stands in the interval in which it did, however quiet it is between") {
  const auto r = run_text(
      "name: q\nduration: 1s\n"
      "underlay: {leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1, hosts: host}}\n"
      "traffic:\n  - {from: host-1-1, to: host-2-1, ping: {interval: 300ms}, start: 50ms}\n");
  for (const auto& direction : r.links[0].directions) {
    std::vector<std::int64_t> at;
    for (std::size_t i = 0; i < direction.series.size(); ++i)
      if (direction.series[i].bytes > 0)
        at.push_back((r.link_interval * static_cast<std::int64_t>(i)).ps / 1'000'000'000);
    CHECK(at == std::vector<std::int64_t>{50, 350, 650, 950});
  }
}

TEST_CASE("queues mark what allows it and drop the rest") {
  const std::string link = "{rate: 1Gbps, delay: 10us, queue: 200KB, ecn: {min: 10KB, max: 20KB}}";
  const std::string bulk = "traffic:\n  - {name: b, from: [h1, h2], to: h3, bulk: {size: 3MB}}\n";
  const auto marks = [](const analysis::Results& r) {
    std::uint64_t sum = 0;
    for (const auto& l : r.links)
      for (const auto& d : l.directions) sum += d.ecn_marks;
    return sum;
  };
  const auto with = run_text(star(link, bulk));
  CHECK(marks(with) > 100);
  CHECK(dropped(with, "queue.full") == 0);
  const auto without = run_text(star(link, "tcp: {ecn: false}\n" + bulk));
  CHECK(marks(without) == 0);
  CHECK(dropped(without, "queue.full") > 0);
}

TEST_CASE("damage that no frame check notices is found by checksums or counted, no fault of weft") {
  for (const char* encapsulation : {"vxlan", "geneve"}) {
    const auto r = run_text(
        "name: und\nduration: 300ms\n"
        "underlay:\n  leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1}\n"
        "  fabric_links: {corruption: 5%, corruption_undetected: true}\n"
        "overlay: {encapsulation: " +
        std::string(encapsulation) +
        "}\n"
        "tenants: {t: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {v: {count: 2, network: "
        "n}}}}\n"
        "traffic:\n"
        "  - {name: u, from: t/v-1, to: t/v-2, udp: {rate: 50Mbps, size: 200B}}\n");
    CHECK(dropped(r, "parse.checksum") > 100);
    CHECK(count(r, 0, 0, 300).delivered > 6000);
  }
}
