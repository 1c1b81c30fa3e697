// What a switch remembers: connections, statistics, cache entries, timeouts.
#include <map>

#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using wire::TcpHeader;

/// A rule opens connections from port 1 to port 2; replies pass; all else is denied.
constexpr const char* kFirewall =
    "table=0,priority=1,ip,actions=ct(table=1,zone=7)\n"
    "table=1,priority=9,ct_state=+trk+inv,ip,actions=drop(ct.invalid)\n"
    "table=1,priority=8,ct_state=+trk+est,ct_mark=1,tcp,in_port=1,actions=output:2\n"
    "table=1,priority=8,ct_state=+trk+rpl,ct_mark=1,ip,in_port=2,actions=output:1\n"
    "table=1,priority=7,ct_state=+trk+new,tcp,in_port=1,tp_dst=8080,"
    "actions=ct(commit,zone=7,exec(set_field:1->ct_mark)),output:2\n"
    "table=1,priority=1,cookie=0xd,actions=drop(policy)\n";

FlowSpec forward(std::uint8_t flags) { return {.tcp_flags = flags, .payload = 10}; }
FlowSpec backward(std::uint8_t flags) {
  FlowSpec f = forward(flags);
  std::swap(f.src, f.dst);
  std::swap(f.src_port, f.dst_port);
  return f;
}

TEST_CASE("a stateful policy", "[pipeline][ct]") {
  for (const bool cached : {true, false}) {
    datapath::CacheOptions options;
    options.exact_match = options.megaflow = cached;
    Lab lab(options);
    lab.pipeline.check_caches(1);
    lab.rules(kFirewall);
    for (int round = 0; round < 3; ++round) {
      // Before it is open, nothing comes back.
      FlowSpec early = backward(TcpHeader::kSyn | TcpHeader::kAck);
      early.dst_port = static_cast<std::uint16_t>(50000 + round);
      REQUIRE(lab.send(early, 2).starts_with("drop("));
      FlowSpec syn = forward(TcpHeader::kSyn), synack = backward(TcpHeader::kSyn | TcpHeader::kAck),
               ack = forward(TcpHeader::kAck), data = backward(TcpHeader::kAck);
      for (FlowSpec* f : {&syn, &ack}) f->src_port = static_cast<std::uint16_t>(40000 + round);
      for (FlowSpec* f : {&synack, &data}) f->dst_port = static_cast<std::uint16_t>(40000 + round);
      REQUIRE(lab.send(syn, 1) == "2");
      REQUIRE(lab.send(synack, 2) == "1");
      REQUIRE(lab.send(ack, 1) == "2");
      REQUIRE(lab.send(data, 2) == "1");
      // Another service of the same host is closed, and so is the other direction.
      FlowSpec other = syn;
      other.dst_port = 22;
      REQUIRE(lab.send(other, 1) == "drop(policy)");
      REQUIRE(lab.outputs.dropped[0].cookie == 0xd);
      FlowSpec reverse = backward(TcpHeader::kSyn);
      reverse.dst_port = 8080;
      reverse.src_port = 1;
      REQUIRE(lab.send(reverse, 2) == "drop(policy)");
    }
    REQUIRE(lab.pipeline.stats().connections == 3);
    REQUIRE(lab.pipeline.dump_connections().size() == 3);
    const auto& s = lab.pipeline.stats();
    // Each tracked packet is looked up twice.
    REQUIRE(s.packets == 3 * 7 * 2);
    if (cached) REQUIRE(s.exact_match_hits + s.megaflow_hits > 0);
  }
}

TEST_CASE("connections move with their VM", "[pipeline][ct]") {
  Lab a, b;
  a.rules(kFirewall);
  b.rules(kFirewall);
  REQUIRE(a.send(forward(TcpHeader::kSyn), 1) == "2");
  REQUIRE(a.send(backward(TcpHeader::kSyn | TcpHeader::kAck), 2) == "1");
  REQUIRE(a.send(forward(TcpHeader::kAck), 1) == "2");
  REQUIRE(b.send(backward(TcpHeader::kAck), 2).starts_with("drop("));
  const auto states = a.pipeline.export_zone(7, a.now);
  REQUIRE(a.pipeline.stats().connections == 0);
  b.pipeline.import_zone(7, states, b.now);
  REQUIRE(b.pipeline.stats().connections == 1);
  REQUIRE(b.send(backward(TcpHeader::kAck), 2) == "1");
  REQUIRE(b.send(forward(TcpHeader::kAck), 1) == "2");
}

/// n_packets and n_bytes of each rule by cookie.
std::map<std::string, std::pair<long, long>> counts(const Lab& lab) {
  std::map<std::string, std::pair<long, long>> out;
  for (const std::string& line : lab.pipeline.dump_flows()) {
    const auto value = [&](const std::string& name) {
      const auto at = line.find(name + "=") + name.size() + 1;
      return line.substr(at, line.find(',', at) - at);
    };
    out[value("cookie")] = {std::stol(value("n_packets")), std::stol(value("n_bytes"))};
  }
  return out;
}

TEST_CASE("statistics add up whatever the caches do", "[pipeline][stats]") {
  for (int mode = 0; mode < 4; ++mode) {
    datapath::CacheOptions options;
    options.exact_match = (mode & 1) != 0;
    options.megaflow = (mode & 2) != 0;
    options.megaflow_limit = 5;  // entries are evicted all the time
    Lab lab(options);
    lab.rules(
        "table=0,cookie=0x1,ip,actions=resubmit(,1)\n"
        "table=1,priority=2,cookie=0x2,tcp,tp_dst=80,actions=output:2\n"
        "table=1,priority=2,cookie=0x3,tcp,tp_dst=81,actions=output:3\n"
        "table=1,priority=1,cookie=0x4,actions=drop(policy)");
    Lcg random{static_cast<std::uint64_t>(mode) + 5};
    std::map<std::string, std::pair<long, long>> want;
    for (int i = 0; i < 500; ++i) {
      FlowSpec f{.dst_port = static_cast<std::uint16_t>(80 + random.below(4)),
                 .payload = static_cast<std::uint32_t>(random.below(100))};
      f.src_port = static_cast<std::uint16_t>(random.below(6));
      f.dst = 0x0a000000 + static_cast<std::uint32_t>(random.below(9));
      const long size = 54 + static_cast<long>(f.payload);
      lab.send(f, 1);
      const std::string rule = f.dst_port == 80 ? "0x2" : f.dst_port == 81 ? "0x3" : "0x4";
      for (const std::string& r : {std::string("0x1"), rule}) {
        ++want[r].first;
        want[r].second += size;
      }
      // Rules change; what was counted stays.
      if (i == 150) lab.rules("table=1,priority=2,cookie=0x3,tcp,tp_dst=81,actions=output:4");
      if (i == 250) lab.rules("table=1,priority=3,cookie=0x5,udp,tp_dst=9,actions=output:4");
      if (i == 350) lab.pipeline.expire(lab.now);
    }
    want["0x5"] = {0, 0};
    INFO("mode " << mode);
    REQUIRE(counts(lab) == want);
    const auto& s = lab.pipeline.stats();
    REQUIRE(s.packets == 500);
    REQUIRE(s.exact_match_hits + s.megaflow_hits + s.slow_path == 500);
    REQUIRE(s.rules == 5);
    REQUIRE(s.megaflows <= 5);
  }
}

TEST_CASE("idle entries go, busy ones stay", "[pipeline][cache]") {
  Lab lab;
  lab.rules("priority=2,tcp,tp_dst=80,actions=output:2\npriority=1,tcp,actions=output:3");
  for (std::uint16_t port = 80; port < 90; ++port) lab.send({.dst_port = port}, 1);
  // Port 80 in all its bits; the others by as many leading bits as tell them from 80.
  REQUIRE(lab.pipeline.stats().megaflows == 5);
  for (int i = 1; i <= 12; ++i) {
    lab.now = Time{} + seconds(i);
    REQUIRE(lab.send({.dst_port = 80}, 1) == "2");
    lab.pipeline.expire(lab.now);
  }
  REQUIRE(lab.pipeline.stats().megaflows == 1);
  REQUIRE(lab.pipeline.dump_megaflows().size() == 1);
  REQUIRE(lab.pipeline.dump_megaflows()[0] ==
          "recirc_id=0,tcp,in_port=1,tp_dst=80, packets:13, bytes:702, actions:2");
}

TEST_CASE("wide rules make wide megaflows", "[pipeline][cache]") {
  Lab lab;
  lab.rules("in_port=1,actions=output:2");
  for (std::uint16_t port = 0; port < 100; ++port)
    lab.send({.src_port = port, .dst_port = port}, 1);
  REQUIRE(lab.pipeline.stats().megaflows == 1);
  REQUIRE(lab.pipeline.stats().slow_path == 1);
  REQUIRE(lab.pipeline.stats().exact_match_hits + lab.pipeline.stats().megaflow_hits == 99);
}

TEST_CASE("far more flows than room: it degrades", "[pipeline][cache]") {
  datapath::CacheOptions options;
  options.megaflow_limit = 100;
  options.exact_match_entries = 64;
  options.classifier.port_tries = false;  // or a few megaflows would do
  Lab lab(options);
  lab.rules(
      "tcp,tp_dst=80/0xfffe,actions=output:2\nudp,tp_src=1,tp_dst=1,actions=output:3\n"
      "priority=1,tcp,tp_src=1,tp_dst=1,actions=drop");
  for (std::uint16_t i = 0; i < 5000; ++i) {
    lab.now = Time{} + microseconds(i);
    REQUIRE(lab.send({.src_port = i, .dst_port = 80}, 1) == "2");
    // A flow that is always there keeps its entry.
    if (i > 0) {
      const auto before = lab.pipeline.stats().slow_path;
      REQUIRE(lab.send({.src_port = 9999, .dst_port = 80}, 1) == "2");
      if (i > 1) REQUIRE(lab.pipeline.stats().slow_path == before);
    }
  }
  REQUIRE(lab.pipeline.stats().megaflows == 100);
}

TEST_CASE("rules time out", "[pipeline][rules]") {
  Lab lab;
  lab.rules(
      "priority=3,idle_timeout=2,in_port=1,actions=output:2\n"
      "priority=3,hard_timeout=3,in_port=2,actions=output:1\n"
      "priority=1,actions=drop(policy)");
  for (int tenth = 0; tenth < 60; ++tenth) {
    lab.now = Time{} + milliseconds(100 * tenth);
    REQUIRE(lab.send(FlowSpec{}, 1) == "2");
    REQUIRE(lab.send(FlowSpec{}, 2) == (tenth <= 30 ? "1" : "drop(policy)"));
    lab.pipeline.expire(lab.now);
  }
  lab.now = Time{} + seconds(8);
  lab.pipeline.expire(lab.now);
  REQUIRE(lab.send(FlowSpec{}, 1) == "drop(policy)");
  REQUIRE(lab.pipeline.dump_flows().size() == 1);
}

TEST_CASE("a change of rules is seen by the next packet", "[pipeline][cache]") {
  Lab lab;
  lab.pipeline.check_caches(1);
  lab.rules(
      "table=0,actions=resubmit(,1)\ntable=1,priority=1,actions=output:2\n"
      "table=9,actions=output:3");
  const auto out = [&] { return lab.send(FlowSpec{}, 1); };
  REQUIRE(out() == "2");
  REQUIRE(out() == "2");
  lab.rules("table=1,priority=2,tcp,actions=output:3");
  REQUIRE(out() == "3");
  REQUIRE(lab.pipeline.delete_flow("table=1,priority=2,tcp").ok());
  REQUIRE(out() == "2");
  lab.rules("table=1,priority=1,actions=output:4");  // modified in place
  REQUIRE(out() == "4");
  REQUIRE_FALSE(lab.pipeline.delete_flow("table=1,priority=2,tcp").ok());
  REQUIRE(lab.pipeline.delete_flow("table=0").ok());
  REQUIRE(out() == "drop(flow.miss)");
  lab.rules("table=0,actions=resubmit(,1)");
  REQUIRE(out() == "4");
  lab.pipeline.remove_port(datapath::PortNo{4});
  REQUIRE(out() == "drop(port.none)");
  // A table that the packet does not visit, and a rule that says what it said, change nothing.
  const auto before = lab.pipeline.stats().revalidated;
  lab.rules("table=9,actions=output:1\ntable=1,priority=1,actions=output:4");
  REQUIRE(out() == "drop(port.none)");
  REQUIRE(lab.pipeline.stats().revalidated == before);
}

TEST_CASE("dumps and traces", "[pipeline][text]") {
  Lab lab;
  lab.rules(
      "table=0,priority=100,cookie=0x2a,ip,nw_dst=10.0.2.0/24 "
      "actions=dec_ttl,set_field:02:00:00:00:00:09->eth_dst,resubmit(,5)\n"
      "table=0,priority=1,actions=drop\n"
      "table=5,tcp,tp_dst=8080,actions=set_field:7->tun_id,set_field:172.16.0.2->tun_dst,output:"
      "10");
  Packet* p = lab.packet(FlowSpec{.payload = 10});
  const auto trace = lab.pipeline.trace(*p, datapath::PortNo{1}, lab.now);
  CHECK(format_trace(trace, "br0") ==
        "Flow: tcp,in_port=1,vlan_tci=0x0000,dl_src=02:00:0a:00:01:02,"
        "dl_dst=02:00:0a:00:02:03,nw_src=10.0.1.2,nw_dst=10.0.2.3,nw_tos=0,nw_ecn=0,nw_ttl=64,"
        "nw_frag=no,tp_src=40000,tp_dst=8080,tcp_flags=ack\n"
        "\n"
        "bridge(\"br0\")\n"
        "-------------\n"
        " 0. ip,nw_dst=10.0.2.0/24, priority 100, cookie 0x2a\n"
        "    dec_ttl\n"
        "    set_field:02:00:00:00:00:09->dl_dst\n"
        "    resubmit(,5)\n"
        " 5. tcp,tp_dst=8080, priority 32768\n"
        "    set_field:0x7->tun_id\n"
        "    set_field:172.16.0.2->tun_dst\n"
        "    output:10\n"
        "\n"
        "Final flow: tcp,tun_id=0x7,tun_dst=172.16.0.2,in_port=1,vlan_tci=0x0000,"
        "dl_src=02:00:0a:00:01:02,dl_dst=02:00:00:00:00:09,nw_src=10.0.1.2,nw_dst=10.0.2.3,"
        "nw_tos=0,nw_ecn=0,nw_ttl=63,nw_frag=no,tp_src=40000,tp_dst=8080,tcp_flags=ack\n"
        "Megaflow: recirc_id=0,tcp,in_port=1,nw_dst=10.0.2.0/24,nw_ttl=64,tp_dst=8080\n"
        "Datapath actions: set(dl_dst=02:00:00:00:00:09,nw_ttl=63),"
        "vxlan(tun_id=0x7,dst=172.16.0.2)\n");
  REQUIRE(lab.pipeline.stats().packets == 0);  // a trace leaves nothing behind
  REQUIRE(lab.pipeline.stats().megaflows == 0);
  REQUIRE(lab.send(p, 1) == "20");
  REQUIRE(lab.pipeline.dump_flows() ==
          std::vector<std::string>{
              "cookie=0x2a, table=0, n_packets=1, n_bytes=64, priority=100,ip,nw_dst=10.0.2.0/24 "
              "actions=dec_ttl,set_field:02:00:00:00:00:09->dl_dst,resubmit(,5)",
              "cookie=0x0, table=0, n_packets=0, n_bytes=0, priority=1 actions=drop",
              "cookie=0x0, table=5, n_packets=1, n_bytes=64, priority=32768,tcp,tp_dst=8080 "
              "actions=set_field:0x7->tun_id,set_field:172.16.0.2->tun_dst,output:10"});
  // A dump reads back as rules.
  Lab copy;
  for (const auto& line : lab.pipeline.dump_flows()) REQUIRE(copy.pipeline.add_flow(line).ok());
  REQUIRE(copy.pipeline.stats().rules == 3);
}

TEST_CASE("a trace follows tunnels and connections", "[pipeline][text]") {
  Lab a, b({}, lab_vtep(2));
  a.rules("actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:10");
  b.rules(
      "table=0,in_port=10,ip,actions=ct(table=1,zone=3)\n"
      "table=1,ct_state=+new+trk,ip,cookie=0x77,actions=ct(commit,zone=3),output:1\n"
      "table=1,ct_state=+est+trk,ip,actions=output:2");
  REQUIRE(a.send(FlowSpec{.payload = 10}, 1) == "20");
  Packet* p = b.packet(a.output_bytes());
  const auto text = [&] {
    std::string t;
    for (const auto& l : b.pipeline.trace(*p, datapath::PortNo{20}, b.now))
      t += format_trace_line(l) + "\n";
    return t;
  };
  const std::string before = text();
  INFO(before);
  REQUIRE(before == text());
  REQUIRE(before.find("decapsulate vxlan: tun_id=0x5, from 172.16.0.1\n") == 0);
  REQUIRE(before.find("ct_state=+new+trk") != std::string::npos);
  REQUIRE(before.find("cookie 0x77") != std::string::npos);
  REQUIRE(before.ends_with("Datapath actions: ct(commit,zone=3),1\n"));
  REQUIRE(b.pipeline.stats().connections == 0);
  REQUIRE(b.send(p, 20) == "1");
  REQUIRE(b.pipeline.stats().connections == 1);
  p = b.packet(Bytes(10));
  REQUIRE(text() == "no tunnel of this endpoint: out to the host's own stack\n");
  b.pool.give(p);
}

TEST_CASE("damaged frames end as malformed, whatever the rules", "[pipeline]") {
  Lab lab;
  lab.rules("actions=output:2");
  Lcg random{3};
  for (int i = 0; i < 3000; ++i) {
    Packet* good = lab.packet(FlowSpec{.is6 = random.below(2) == 0, .payload = 20});
    Bytes f = frame_of(*good);
    lab.pool.give(good);
    f.resize(random.below(f.size() + 1));
    for (auto n = random.below(4); n > 0 && !f.empty(); --n)
      f[random.below(f.size())] = static_cast<std::uint8_t>(random.next());
    const std::uint32_t port = random.below(2) == 0 ? 1 : 20;
    const std::string got = lab.send(lab.packet(f), port);
    REQUIRE((got == "2" || got == "drop(parse.malformed)" || got == "30"));
  }
}

TEST_CASE("rules that go are told of, if they ask for it", "[pipeline]") {
  Lab lab;
  lab.rules(
      "send_flow_rem,priority=5,idle_timeout=2,cookie=7,udp,actions=output:2\n"
      "send_flow_rem,priority=4,hard_timeout=3,actions=output:3\n"
      "table=1,actions=drop");
  lab.send(FlowSpec{.protocol = wire::kProtoUdp}, 1);
  lab.send(FlowSpec{.protocol = wire::kProtoUdp}, 1);
  lab.now += milliseconds(2500);
  lab.pipeline.expire(lab.now, lab.outputs);
  const auto idle = lab.pipeline.take_removed();
  REQUIRE(idle.size() == 1);
  CHECK(
      idle[0].starts_with("reason=idle_timeout, duration=2.500s, cookie=0x7, table=0, "
                          "n_packets=2, n_bytes="));
  CHECK(idle[0].ends_with("priority=5,udp"));
  lab.now += seconds(1);
  lab.pipeline.expire(lab.now, lab.outputs);
  const auto hard = lab.pipeline.take_removed();
  REQUIRE(hard.size() == 1);
  CHECK(hard[0].starts_with("reason=hard_timeout, duration=3.500s"));
  lab.rules("send_flow_rem,arp,actions=drop\ndelete");
  const auto deleted = lab.pipeline.take_removed();
  REQUIRE(deleted.size() == 1);
  CHECK(deleted[0].starts_with("reason=delete"));
  CHECK(lab.pipeline.take_removed().empty());
}

TEST_CASE("check_overlap refuses what another rule of the priority may take", "[pipeline]") {
  Lab lab;
  lab.rules("priority=7,ip,nw_dst=10.0.0.0/8,actions=output:2");
  CHECK_FALSE(lab.pipeline.add_flow("priority=7,check_overlap,tcp,actions=output:3").ok());
  CHECK(lab.pipeline.add_flow("priority=8,check_overlap,tcp,actions=output:3").ok());
  CHECK(lab.pipeline.add_flow("priority=7,check_overlap,ip,nw_dst=11.0.0.0/8,actions=drop").ok());
  CHECK(lab.pipeline.add_flow("priority=7,check_overlap,ip,nw_dst=10.0.0.0/8,actions=drop").ok());
  CHECK(lab.pipeline.dump_flows().size() == 3);
}

TEST_CASE("a packet can be cut on its way out", "[pipeline]") {
  Lab lab;
  lab.rules("actions=output(port=2,max_len=60),output:3,output(port=4,max_len=2000)");
  REQUIRE(lab.send(FlowSpec{.protocol = wire::kProtoUdp, .payload = 500}, 1) == "2 3 4");
  CHECK(lab.output_bytes(0).size() == 60);
  CHECK(lab.output_bytes(1).size() == 542);
  CHECK(lab.output_bytes(2).size() == 542);
}

TEST_CASE("LOCAL is the port of that kind", "[pipeline]") {
  Lab lab;
  lab.rules("actions=LOCAL");
  CHECK(lab.send(FlowSpec{}, 1) == "30");
}

}  // namespace
}  // namespace weft::test
