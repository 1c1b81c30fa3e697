// A slow path of limited speed: who waits, how long, who is refused; and that nothing else changes.
#include "datapath/upcall_queue.h"

#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using datapath::UpcallQueue;

TEST_CASE("upcalls are served one at a time, in turn between ports", "[upcall]") {
  UpcallQueue<int> one({.per_second = 1000, .queue = 4});
  REQUIRE(one.next() == Time::never());
  for (int i = 0; i < 6; ++i) {
    int item = i;
    REQUIRE(one.push(static_cast<std::uint32_t>(i % 2), item, Time{} + microseconds(10)) ==
            (i < 4));
  }
  REQUIRE(one.refused() == 2);
  for (int i = 0; i < 4; ++i) {
    REQUIRE(one.next() == Time{} + microseconds(10) + milliseconds(1 + i));
    REQUIRE(one.pop() == i);
  }
  REQUIRE(one.next() == Time::never());

  UpcallQueue<int> fair({.per_second = 1000, .queue = 100, .port_queue = 3});
  std::vector<int> order;
  for (int i = 0; i < 10; ++i) {
    int item = 100 + i;
    REQUIRE(fair.push(1, item, Time{}) == (i < 3));
  }
  for (int port = 2; port <= 3; ++port) {
    int item = port;
    REQUIRE(fair.push(static_cast<std::uint32_t>(port), item, Time{}));
  }
  while (fair.size() > 0) order.push_back(fair.pop());
  REQUIRE(order == std::vector<int>{100, 2, 3, 101, 102});
}

constexpr const char* kRules =
    "table=0,ip,actions=ct(table=1,zone=1)\n"
    "table=1,priority=2,ct_state=+trk+new,udp,actions=ct(commit,zone=1),output:2\n"
    "table=1,priority=1,actions=drop(policy)";

datapath::CacheOptions limited(std::uint32_t port_queue) {
  datapath::CacheOptions o;
  o.slow_path = {.per_second = 1000, .queue = 50, .port_queue = port_queue};
  // Masks as wide as the rules': every flow takes an upcall.
  o.classifier = {.staged_lookup = false,
                  .prefix_tracking = false,
                  .priority_sorting = false,
                  .port_tries = false};
  return o;
}

TEST_CASE("a packet that misses waits, once for each pass, and then does what it would have done",
          "[upcall][pipeline]") {
  Lab lab(limited(0));
  lab.rules(kRules);
  const FlowSpec flow{.protocol = wire::kProtoUdp};
  Packet* first = lab.packet(flow);
  lab.pipeline.process({&first, 1}, datapath::PortNo{1}, lab.now, lab.outputs);
  REQUIRE(lab.outputs.out.empty());
  REQUIRE(lab.pipeline.stats().packets == 0);
  // Two passes: before ct and behind it.
  for (int pass = 1; pass <= 2; ++pass) {
    REQUIRE(lab.pipeline.next_upcall() == Time{} + milliseconds(pass));
    lab.now = lab.pipeline.next_upcall();
    REQUIRE(lab.outputs.out.empty());
    lab.pipeline.serve_upcalls(lab.now, lab.outputs);
  }
  REQUIRE(lab.outputs.out.size() == 1);
  REQUIRE(lab.pipeline.next_upcall() == Time::never());
  REQUIRE(lab.pipeline.stats().slow_path == 2);
  REQUIRE(lab.pipeline.stats().connections == 1);
  // Now it is cached, and nobody waits.
  REQUIRE(lab.send(flow, 1) == "2");
}

/// Floods from port 3 while port 1 sends a new flow now and then; how many of those arrive.
std::pair<int, Duration> victims_served(std::uint32_t port_queue) {
  Lab lab(limited(port_queue));
  lab.rules(
      "priority=2,udp,nw_src=1.1.1.1,nw_dst=2.2.2.2,tp_src=1,tp_dst=2,actions=drop\n"
      "priority=1,in_port=1,actions=output:2\npriority=1,in_port=3,actions=output:4");
  int served = 0;
  Duration longest{};
  std::map<PacketId, Time> sent;
  for (int ms = 0; ms < 2000; ++ms) {
    lab.now = Time{} + milliseconds(ms);
    lab.release();
    lab.pipeline.serve_upcalls(lab.now, lab.outputs);
    for (const auto& o : lab.outputs.out)
      if (o.port == datapath::PortNo{2}) {
        ++served;
        longest = std::max(longest, lab.now - sent.at(o.packet->id));
      }
    lab.release();
    for (int i = 0; i < 20; ++i) {
      // New flows, half-open connections, and fragments that are nobody's first.
      Packet* p = lab.packet({.protocol = i % 3 == 0 ? wire::kProtoTcp : wire::kProtoUdp,
                              .src = 0x0a000000 + static_cast<std::uint32_t>(ms * 20 + i),
                              .dst = 0x02020202,
                              .src_port = static_cast<std::uint16_t>(ms * 20 + i)});
      if (i % 3 == 1) wire::at<wire::Ipv4Header>(p->data() + 14).flags_fragment = 0x2001;
      lab.pipeline.process({&p, 1}, datapath::PortNo{3}, lab.now, lab.outputs);
    }
    if (ms % 20 == 0) {
      Packet* p = lab.packet({.protocol = wire::kProtoUdp,
                              .dst = 0x02020202,
                              .src_port = static_cast<std::uint16_t>(ms)});
      sent[p->id] = lab.now;
      lab.pipeline.process({&p, 1}, datapath::PortNo{1}, lab.now, lab.outputs);
    }
    for (const auto& d : lab.outputs.dropped) REQUIRE(d.reason == DropReason::slow_path_full);
  }
  // What still waits is served, so that nothing is left inside.
  lab.now += seconds(10);
  lab.pipeline.serve_upcalls(lab.now, lab.outputs);
  return {served, longest};
}

TEST_CASE("with queues by port a flood waits behind itself", "[upcall][pipeline]") {
  const auto [without, without_longest] = victims_served(0);
  const auto [with, with_longest] = victims_served(10);
  REQUIRE(without < 20);
  REQUIRE(with >= 98);
  REQUIRE(with_longest <= milliseconds(3));
  (void)without_longest;
}

}  // namespace
}  // namespace weft::test
