// weft trace on networks that are made here: how packets are made whole, what verdicts come of
// rules, and a view made of nothing but a desired state and a placement.
#include <fmt/format.h>

#include "analysis/trace/packet_fields.h"
#include "analysis/trace/tracer.h"
#include "datapath/match.h"
#include "tests/catch.h"
#include "tests/unit/control/lab.h"

namespace weft::analysis {
namespace {

/// Tenant shop of tests/unit/control/lab.h: web, app, db of two ports each, one port a hypervisor.
NetworkView shop() {
  NetworkView view;
  control::Transaction t = test::three_tier("shop", 100, 2, true);
  REQUIRE(view.intent.apply(t).ok());
  std::map<std::string, std::string> placement;
  int n = 0;
  for (const auto& [name, port] : view.intent.ports()) placement[name] = fmt::format("hv-{}", ++n);
  view.hypervisors = hypervisors_of(placement);
  return view;
}

Tracer tracer_of(NetworkView view, RestRules which = RestRules::automatic) {
  auto shared = std::make_shared<const NetworkView>(std::move(view));
  auto switches = switches_at_rest(*shared, which);
  return {std::move(shared), std::move(switches)};
}

TraceAnswer ask(Tracer& tracer, const std::string& from, const std::string& packet) {
  auto answer = tracer.ask(from, packet);
  INFO(packet << (answer ? "" : answer.error().text()));
  REQUIRE(answer.ok());
  return std::move(answer).value();
}

struct Filled {
  const char* from;
  const char* packet;
  const char* sent;  ///< fields that the whole packet has
};

const Filled kFilled[] = {
    // On the link: the other port's MAC.
    {"shop/web-1", "tcp,ip_dst=10.0.1.11,tcp_dst=80",
     "tcp,eth_src=02:00:00:01:00:01,eth_dst=02:00:00:01:00:02,ip_src=10.0.1.10,ip_dst=10.0.1.11,"
     "nw_ttl=64,tcp_src=49152,tcp_dst=80,tcp_flags=+syn"},
    // Not on the link: the router's.
    {"shop/web-1", "udp,nw_dst=10.0.2.10,udp_dst=53",
     "udp,eth_src=02:00:00:01:00:01,eth_dst=02:00:00:ff:00:00,ip_src=10.0.1.10,ip_dst=10.0.2.10,"
     "nw_ttl=64,udp_src=49152,udp_dst=53"},
    {"shop/web-1", "icmp6,ipv6_dst=fd00:0:0:2::a",
     "icmp6,eth_src=02:00:00:01:00:01,eth_dst=02:00:00:ff:00:00,ipv6_src=fd00:0:0:1::a,"
     "ipv6_dst=fd00:0:0:2::a,nw_ttl=64,icmp_type=128,icmp_code=0"},
    // The router itself.
    {"shop/web-1", "icmp,ip_dst=10.0.1.1",
     "icmp,eth_src=02:00:00:01:00:01,eth_dst=02:00:00:ff:00:00,ip_src=10.0.1.10,ip_dst=10.0.1.1,"
     "nw_ttl=64,icmp_type=8,icmp_code=0"},
    {"shop/web-1", "arp,arp_tpa=10.0.1.11",
     "arp,eth_src=02:00:00:01:00:01,eth_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_spa=10.0.1.10,"
     "arp_tpa=10.0.1.11,arp_sha=02:00:00:01:00:01,arp_tha=00:00:00:00:00:00"},
    {"shop/web-1", "icmp6,nd_target=fd00:0:0:1::b",
     "icmp6,eth_src=02:00:00:01:00:01,eth_dst=33:33:ff:00:00:0b,ipv6_src=fd00:0:0:1::a,"
     "ipv6_dst=ff02::1:ff00:b,nw_ttl=255,icmp_type=135,icmp_code=0,nd_target=fd00:0:0:1::b,"
     "nd_sll=02:00:00:01:00:01"},
    // Groups and broadcasts.
    {"shop/web-1", "udp,ip_dst=224.0.0.251,udp_dst=5353",
     "udp,eth_src=02:00:00:01:00:01,eth_dst=01:00:5e:00:00:fb,ip_src=10.0.1.10,"
     "ip_dst=224.0.0.251,nw_ttl=64,udp_src=49152,udp_dst=5353"},
    {"shop/web-1", "udp,ip_dst=10.0.1.255,udp_dst=9",
     "udp,eth_src=02:00:00:01:00:01,eth_dst=ff:ff:ff:ff:ff:ff,ip_src=10.0.1.10,"
     "ip_dst=10.0.1.255,nw_ttl=64,udp_src=49152,udp_dst=9"},
    {"shop/web-1", "udp6,ipv6_dst=ff02::fb,udp_dst=5353",
     "udp6,eth_src=02:00:00:01:00:01,eth_dst=33:33:00:00:00:fb,"
     "ipv6_src=fe80::ff:fe01:1,ipv6_dst=ff02::fb,nw_ttl=64,udp_src=49152,udp_dst=5353"},
    {"shop/web-1", "udp,udp_dst=67",
     "udp,eth_src=02:00:00:01:00:01,eth_dst=ff:ff:ff:ff:ff:ff,ip_src=0.0.0.0,"
     "ip_dst=255.255.255.255,nw_ttl=64,udp_src=68,udp_dst=67"},
    // What is written stays, however wrong.
    {"shop/web-1",
     "tcp,dl_src=02:00:00:00:00:99,dl_dst=02:00:00:00:00:98,nw_src=9.9.9.9,nw_dst=8.8.8.8,tp_src=1,"
     "tp_dst=2,nw_ttl=3,tcp_flags=+fin+ack,nw_tos=8,dl_vlan=5",
     "tcp,eth_src=02:00:00:00:00:99,eth_dst=02:00:00:00:00:98,dl_vlan=5,dl_vlan_pcp=0,"
     "ip_src=9.9.9.9,ip_dst=8.8.8.8,nw_tos=8,nw_ttl=3,tcp_src=1,tcp_dst=2,tcp_flags=+fin+ack"},
};

TEST_CASE("what is missing in a packet is filled in as the guest would", "[trace]") {
  Tracer tracer = tracer_of(shop());
  for (const Filled& f : kFilled) {
    INFO(f.packet);
    const TraceAnswer answer = ask(tracer, f.from, f.packet);
    CHECK(packet_text(answer.sent) == f.sent);
    // The text says the whole packet: it reads back.
    CHECK(ask(tracer, f.from, packet_text(answer.sent)).sent == answer.sent);
  }
}

struct Case {
  const char* from;
  const char* packet;
  TraceVerdict verdict;
  std::vector<std::string> ports;
  const char* reason;
  const char* intent;
};

TEST_CASE("verdicts of a desired state and a placement", "[trace]") {
  const Case cases[] = {
      {"shop/web-1",
       "tcp,ip_dst=10.0.2.11,tcp_dst=8080",
       TraceVerdict::delivered,
       {"shop/app-2"},
       "",
       "acl shop/web-to-app"},
      {"shop/web-1",
       "tcp6,ipv6_dst=fd00:0:0:2::b,tcp_dst=8080",
       TraceVerdict::delivered,
       {"shop/app-2"},
       "",
       "acl shop/web-to-app"},
      {"shop/web-1",
       "tcp,ip_dst=10.0.2.11,tcp_dst=80",
       TraceVerdict::dropped,
       {},
       "policy",
       "default of tenant shop"},
      {"shop/web-1", "arp,arp_tpa=10.0.1.11", TraceVerdict::replied, {}, "", "port shop/web-2"},
      {"shop/web-1",
       "icmp6,nd_target=fd00:0:0:1::1",
       TraceVerdict::replied,
       {},
       "",
       "router shop/r1"},
      {"shop/web-1",
       "arp,arp_tpa=10.0.1.77",
       TraceVerdict::flooded,
       {"shop/web-2"},
       "",
       "network shop/web-net"},
      {"shop/web-1", "icmp,ip_dst=10.0.1.77", TraceVerdict::dropped, {}, "route.neighbour", ""},
      {"shop/web-1", "icmp,ip_dst=10.0.2.77", TraceVerdict::dropped, {}, "route.neighbour", ""},
      {"shop/web-1",
       "icmp,ip_dst=1.1.1.1",
       TraceVerdict::dropped,
       {},
       "route.none",
       "router shop/r1"},
      {"shop/web-1",
       "icmp,ip_dst=10.0.2.1,nw_ttl=1",
       TraceVerdict::replied,
       {},
       "",
       "router shop/r1"},
      {"shop/web-1",
       "icmp,ip_dst=10.0.2.10,nw_ttl=1",
       TraceVerdict::dropped,
       {},
       "route.ttl",
       "router shop/r1"},
      {"shop/web-1",
       "ip,ip_src=10.0.1.11,ip_dst=10.0.2.10",
       TraceVerdict::dropped,
       {},
       "port.security",
       ""},
      {"shop/web-1",
       "eth_type=0x88b5,eth_dst=02:00:00:00:77:77",
       TraceVerdict::dropped,
       {},
       "port.security",
       ""},
  };
  for (const RestRules which : {RestRules::all, RestRules::needed}) {
    Tracer tracer = tracer_of(shop(), which);
    for (const Case& c : cases) {
      INFO(c.packet);
      const TraceAnswer answer = ask(tracer, c.from, c.packet);
      CHECK(name_of(answer.verdict) == name_of(c.verdict));
      CHECK(answer.ports == c.ports);
      CHECK(answer.reason == c.reason);
      if (c.intent[0] != 0) CHECK(answer.intent == c.intent);
      CHECK_FALSE(answer.parts.empty());
    }
  }
}

/// One switch with rules of its own: two ports, no control plane.
NetworkView with_rules(std::vector<std::string> rules) {
  NetworkView view = shop();
  view.rules = std::move(rules);
  view.hypervisors = hypervisors_of({{"shop/web-1", "hv-1"}, {"shop/web-2", "hv-1"}});
  return view;
}

TEST_CASE("packets arrive as translation and rewriting leave them", "[trace]") {
  // A load balancer with affinity by group would be more; one backend is enough to see.
  Tracer tracer = tracer_of(with_rules({
      "table=0,ip,in_port=1,nw_dst=10.0.1.200,actions=ct(commit,zone=7,nat(dst=10.0.1.11:9090),"
      "table=1)",
      "table=1,ct_state=+dnat,tcp,actions=mod_dl_dst:02:00:00:01:00:02,dec_ttl,output:2",
      "table=0,arp,arp_tpa=10.0.1.200,actions=arp_reply(02:00:00:00:99:99)",
  }));
  const TraceAnswer answer = ask(tracer, "shop/web-1", "tcp,ip_dst=10.0.1.200,tcp_dst=80");
  CHECK(answer.verdict == TraceVerdict::delivered);
  CHECK(answer.ports == std::vector<std::string>{"shop/web-2"});
  // Nobody has the address in the desired state: the guest's ARP was answered by the switch.
  CHECK(packet_text(answer.sent).find("eth_dst=02:00:00:00:99:99") != std::string::npos);
  CHECK(packet_text(answer.packet) ==
        "tcp,eth_src=02:00:00:01:00:01,eth_dst=02:00:00:01:00:02,ip_src=10.0.1.10,"
        "ip_dst=10.0.1.11,nw_ttl=63,tcp_src=49152,tcp_dst=9090,tcp_flags=+syn");
  CHECK(answer.stage == "table 1");
  CHECK(answer.intent == "overlay.rules");
}

TEST_CASE("refusals and answers of the switch", "[trace]") {
  Tracer tracer = tracer_of(with_rules({
      "priority=5,udp,tp_dst=1,actions=icmp_error(3,13,10.0.1.1)",
      "priority=5,udp,tp_dst=2,actions=icmp_error(11,0,10.0.1.1)",
      "priority=5,udp,tp_dst=3,actions=output:2",
      "priority=5,udp,tp_dst=67,actions=dhcp_reply(address=10.0.1.10,server=10.0.1.1,"
      "mac=02:00:00:ff:00:00)",
      "priority=5,icmp,actions=icmp_echo_reply",
      "priority=5,udp,tp_dst=4,actions=drop",
  }));
  const auto verdict = [&](const std::string& packet) {
    const TraceAnswer a = ask(tracer, "shop/web-1", packet);
    return fmt::format("{} {}", name_of(a.verdict), a.reason);
  };
  CHECK(verdict("udp,ip_dst=10.0.1.11,udp_dst=1") == "rejected policy");
  CHECK(verdict("udp,ip_dst=10.0.1.11,udp_dst=2") == "dropped route.ttl");
  CHECK(verdict("udp,ip_dst=10.0.1.11,udp_dst=3") == "delivered ");
  CHECK(verdict("udp,udp_dst=67") == "replied ");
  CHECK(verdict("icmp,ip_dst=10.0.1.11") == "replied ");
  CHECK(verdict("udp,ip_dst=10.0.1.11,udp_dst=4") == "dropped flow.drop");
  CHECK(verdict("udp,ip_dst=10.0.1.11,udp_dst=5") == "dropped flow.miss");
  const TraceAnswer refused = ask(tracer, "shop/web-1", "udp,ip_dst=10.0.1.11,udp_dst=1");
  CHECK(refused.packet.get(datapath::place::tp_src) == 3);  // what comes back
  CHECK(refused.rule == "priority=5,udp,tp_dst=1");
}

TEST_CASE("who cannot send is told so", "[trace]") {
  NetworkView view = shop();
  view.hypervisors = hypervisors_of({{"shop/web-1", "hv-1"}});
  Tracer tracer = tracer_of(std::move(view));
  CHECK(tracer.ask("shop/web-2", "icmp,ip_dst=10.0.1.1").error().message ==
        "no hypervisor carries shop/web-2");
  CHECK(tracer.ask("shop/web-11", "icmp,ip_dst=10.0.1.1").error().remedy ==
        "did you mean shop/web-1?");
  // A port that is nowhere is known, but nothing reaches it.
  const TraceAnswer answer = ask(tracer, "shop/web-1", "tcp,ip_dst=10.0.2.10,tcp_dst=8080");
  CHECK(answer.verdict == TraceVerdict::dropped);
  CHECK(answer.reason == "l2.unknown");
}

TEST_CASE("a view of a placement numbers what has no address", "[trace]") {
  const auto hosts = hypervisors_of({{"a", "hv-2"}, {"b", "hv-1"}, {"c", "hv-2"}},
                                    {{"hv-1", Ip4{0xc0a80001}}, {"hv-3", Ip4{0xc0a80003}}});
  REQUIRE(hosts.size() == 3);
  CHECK(hosts[0].name == "hv-1");
  CHECK(hosts[1].ports == std::vector<std::string>{"a", "c"});
  CHECK(hosts[1].vtep.address == IpAddress(Ip4{0xc0a80002}));
  CHECK(hosts[2].ports.empty());
}

}  // namespace
}  // namespace weft::analysis
