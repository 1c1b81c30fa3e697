// The control channel through the fabric: what reaches the hypervisors and when, for any number of
// threads, and what a cut, a stopped controller and damaged frames do to it.
#include <fmt/format.h>

#include <string>

#include "models/control_stream.h"
#include "tests/unit/run/running.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

/// A ping a millisecond from rack 2 to a VM that moves from rack 1 to rack 2 at 1.2 s.
std::string scenario(const std::string& events, const std::string& underlay = "",
                     const std::string& control = "") {
  return fmt::format(
      "name: in-band\nseed: 3\nduration: 4s\n"
      "underlay:\n  leaf_spine: {{spines: 2, leaves: 2, hosts_per_leaf: 2}}\n{}"
      "overlay: {{control: {{through: fabric{}}}}}\n"
      "tenants:\n  t:\n    networks: {{n: {{subnet: 10.0.0.0/24}}}}\n    groups:\n"
      "      a: {{count: 1, network: n, place: hv-1-2, memory: 16MiB, dirty: 1MB/s}}\n"
      "      b: {{count: 1, network: n, place: hv-2-2}}\n"
      "traffic:\n  - {{name: ask, from: t/b-1, to: t/a-1, ping: {{interval: 1ms}}, start: 100ms}}\n"
      "events:\n  - {{name: move, at: 1200ms, migrate: {{vm: t/a-1, to: hv-2-1}}}}\n{}",
      underlay, control, events);
}

void check_whole(const analysis::Results& r, int from, int to) {
  const Count c = count(r, 0, from, to);
  INFO("from " << from << " to " << to << " ms");
  CHECK(c.sent + 10 >= static_cast<std::uint64_t>(to - from));
  CHECK(c.delivered == c.sent);
}

}  // namespace

TEST_CASE("in band the world is wired by TCP over the fabric, and moves are followed") {
  for (const char* underlay : {"", "  family: ipv6\n"}) {
    const auto r = run_text(scenario("", underlay));
    check_whole(r, 200, 1200);
    check_whole(r, 1300, 3800);
    CHECK(r.control.messages > 20);
    CHECK(r.control.bytes > 1000);
    // Every control byte crosses the controller's link.
    for (const auto& l : r.links)
      if (l.name == "leaf-1--controller-1")
        CHECK(l.directions[0].bytes + l.directions[1].bytes > r.control.bytes);
  }
}

TEST_CASE("in band a run is the same for any number of threads") {
  const std::string text =
      scenario("  - {name: cut, at: 1s, fail: {link: leaf-1--controller-1, for: 1s}}\n");
  const auto one = run_text(text, 1), two = run_text(text, 2), four = run_text(text, 4);
  CHECK(one.digest == two.digest);
  CHECK(one.digest == four.digest);
}

TEST_CASE("a cut delays control, which then catches up") {
  const auto r =
      run_text(scenario("  - {name: cut, at: 1s, fail: {link: leaf-1--controller-1, for: 1s}}\n"));
  check_whole(r, 200, 1200);  // rules stay where they are
  CHECK(r.migrations.at(0).state == analysis::MigrationState::done);
  CHECK(count(r, 0, 1300, 2000).delivered == 0);  // nobody knows where the VM is
  check_whole(r, 3000, 3800);
}

TEST_CASE("a slow link makes control slow") {
  // At 1 Mb/s the states of four hypervisors take a good while.
  const auto r = run_text(scenario("", "  host_links: {rate: 10Gbps}\n"));
  const auto slow = run_text(scenario("", "  host_links: {rate: 1Mbps, delay: 5ms}\n"));
  const auto first = [](const analysis::Results& results) {
    const auto& samples = results.traffic.at(0).samples;
    return samples.empty() ? Time::never() : samples.front().at;
  };
  CHECK(first(r) < Time{} + milliseconds(110));
  CHECK(first(slow) > Time{} + milliseconds(110));
}

TEST_CASE("a controller that dies resets its connections, and is found again") {
  const auto r =
      run_text(scenario("  - {name: dead, at: 1s, controller: {stop: controller-1, for: 1s}}\n"));
  check_whole(r, 200, 1200);
  check_whole(r, 3500, 3800);
  CHECK(r.control.lost > 0);
  bool refused = false;
  for (const auto& d : r.drops) refused = refused || d.reason == "guest.no_listener";
  CHECK(refused);
}

TEST_CASE("a lossy link loses no control message for good") {
  const auto r = run_text(scenario("", "  fabric_links: {rate: 100Gbps, loss: 1%}\n"));
  CHECK(r.migrations.at(0).state == analysis::MigrationState::done);
  const Count after = count(r, 0, 3000, 3800);
  CHECK(after.delivered > after.sent / 10 * 9);
}

TEST_CASE("frames come out of a stream as they went in, however it is cut") {
  using models::ControlFrame;
  std::vector<std::uint8_t> stream;
  const std::vector<std::size_t> sizes = {0, 1, 7, 8, 9, 1400, 0, 65535};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::vector<std::uint8_t> body(sizes[i], static_cast<std::uint8_t>(i));
    const Payload frame = models::encode_frame(ControlFrame::message, body);
    const std::size_t had = stream.size();
    stream.resize(had + frame.size());
    frame.materialise(0, {stream.data() + had, frame.size()});
  }
  for (const std::size_t piece : {1u, 3u, 8u, 100u, 1u << 20}) {
    models::ControlFrameReader reader;
    std::vector<std::size_t> got;
    bool same = true;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      const std::size_t n = std::min(piece, stream.size() - at);
      REQUIRE(reader.feed(Payload::copy_of({stream.data() + at, n}),
                          [&](ControlFrame type, const std::vector<std::uint8_t>& body) {
                            same = same && type == ControlFrame::message;
                            for (const auto b : body) same = same && b == got.size();
                            got.push_back(body.size());
                            return true;
                          }));
    }
    CHECK(got == sizes);
    CHECK(same);
  }
  for (const std::size_t at : {0u, 1u, 2u, 3u, 4u}) {  // magic, version, type, a length of 16 MiB
    INFO("byte " << at);
    auto bad = stream;
    bad[at] = at == 4 ? 1 : 99;
    models::ControlFrameReader reader;
    CHECK(!reader.feed(Payload::copy_of(bad), [](ControlFrame, const auto&) { return true; }));
  }
}
