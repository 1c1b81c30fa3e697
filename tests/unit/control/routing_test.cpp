// Static routes, policies and joined routers, in pipelines on several hosts.
#include "control/symbolic.h"
#include "tests/unit/control/routed.h"

using namespace weft;
using namespace weft::test;
using control::Style;
using control::TunnelType;

namespace {

/// 1 - r1 = r2 = r3 - 4, joined by peer ports over 10.0.12.0/24 and 10.0.23.0/24.
Plan chain() {
  Plan p;
  p.network(1);
  p.network(4);
  p.vm(1, 10);
  p.vm(4, 10);
  const std::string r1 = p.router("r1", {p.leg(1, 1), Plan::link("to-2", "t/r2", "to-1", 12, 1)});
  const std::string r2 = p.router(
      "r2", {Plan::link("to-1", "t/r1", "to-2", 12, 2), Plan::link("to-3", "t/r3", "to-2", 23, 2)});
  const std::string r3 = p.router("r3", {Plan::link("to-2", "t/r2", "to-3", 23, 3), p.leg(3, 4)});
  p.route_to(r1, 4, 12, 2);
  p.route_to(r2, 4, 23, 3);
  p.route_to(r2, 1, 12, 1);
  p.route(r3, prefix4(0, 0), ip4(10, 0, 23, 2));
  p.route(r3, {Ip6{}, 0}, ip6(23, 2));
  return p;
}

}  // namespace

TEST_CASE("a chain of routers joined by their ports routes both ways and counts TTL") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const auto style = GENERATE(Style::hybrid, Style::central);
  Lab lab(21, 2, style, tunnel);
  must(lab.transact(chain().t));
  lab.bind("t/1-10", 0);
  lab.bind("t/4-10", 1);
  rests(lab);
  for (const bool is6 : {false, true}) {
    FrameSpec f = lab.between("t/1-10", "t/4-10", is6);
    Fate fate = lab.send_frame("t/1-10", f);
    INFO(text_of(fate));
    REQUIRE(fate.receivers() == std::set<std::string>{"t/4-10"});
    REQUIRE(ttl_of(fate.delivered[0]) == 61);
    REQUIRE(mac_at(fate.delivered[0].frame, 6) == Plan::router_mac(3, 4));
    fate = lab.send_frame("t/4-10", lab.between("t/4-10", "t/1-10", is6));
    INFO(text_of(fate));
    REQUIRE(fate.receivers() == std::set<std::string>{"t/1-10"});
    REQUIRE(ttl_of(fate.delivered[0]) == 61);
    // Each router on the way is the one that answers when the TTL ends there.
    const IpAddress routers[] = {is6 ? IpAddress(ip6(1, 1)) : IpAddress(ip4(10, 0, 1, 1)),
                                 is6 ? IpAddress(ip6(12, 2)) : IpAddress(ip4(10, 0, 12, 2)),
                                 is6 ? IpAddress(ip6(23, 3)) : IpAddress(ip4(10, 0, 23, 3))};
    for (std::uint8_t ttl = 1; ttl <= 3; ++ttl) {
      f.ttl = ttl;
      fate = lab.send_frame("t/1-10", f);
      REQUIRE(fate.receivers() == std::set<std::string>{"t/1-10"});
      REQUIRE(source_of(fate.delivered[0]) == routers[ttl - 1]);
      REQUIRE(fate.drops.at(0).reason == "route.ttl");
    }
    f.ttl = 4;
    REQUIRE(lab.send_frame("t/1-10", f).receivers() == std::set<std::string>{"t/4-10"});
  }
}

TEST_CASE("the longest prefix wins, then connected, destination, source; a discard says which") {
  // r1 has 10.0.9.0/24 with two ways out: r2 (10.0.9.2) and r3 (10.0.9.3), which both have net 4.
  Plan p;
  for (unsigned n : {1, 2, 4, 9}) p.network(n);
  p.vm(1, 10);
  p.vm(2, 10);
  for (unsigned host = 10; host < 14; ++host) p.vm(4, host);
  const std::string r1 = p.router("r1", {p.leg(1, 1), p.leg(1, 2), p.leg(1, 9)});
  p.router("r2", {p.leg(2, 9, 2), p.leg(2, 4, 2)});
  p.router("r3", {p.leg(3, 9, 3), p.leg(3, 4, 3)});
  p.route(r1, {ip4(10, 0, 4, 0), 24}, ip4(10, 0, 9, 2));
  p.route(r1, {ip4(10, 0, 4, 11), 32}, ip4(10, 0, 9, 3));
  p.route(r1, {ip4(10, 0, 4, 12), 32}, std::nullopt);
  p.route(r1, {ip4(10, 0, 2, 0), 24}, ip4(10, 0, 9, 3), true);  // equal length: destination first
  p.route(r1, {ip4(10, 0, 2, 10), 32}, ip4(10, 0, 9, 3), true);
  p.route(r1, {ip4(10, 0, 2, 0), 24}, ip4(10, 0, 9, 2));  // connected first
  Lab lab(22, 2, Style::hybrid, TunnelType::geneve);
  must(lab.transact(p.t));
  unsigned n = 0;
  for (const auto& [name, port] : lab.controller().intent().ports()) lab.bind(name, n++ % 2);
  rests(lab);
  const auto by = [&](const std::string& from, unsigned host) -> std::string {
    FrameSpec f = lab.between(from, "t/4-" + std::to_string(host), false);
    f.dst = Plan::router_mac(1, from == "t/1-10" ? 1 : 2);
    const Fate fate = lab.send_frame(from, f);
    if (fate.delivered.empty()) {
      const auto meaning = lab.controller().describe_cookie(fate.drops.at(0).cookie);
      return fate.drops.at(0).reason + " " + (meaning ? meaning->name : "?");
    }
    const Mac source = mac_at(fate.delivered[0].frame, 6);
    return source == Plan::router_mac(2, 4) ? "r2" : source == Plan::router_mac(3, 4) ? "r3" : "?";
  };
  CHECK(by("t/1-10", 10) == "r2");
  CHECK(by("t/1-10", 11) == "r3");
  CHECK(by("t/1-10", 12) == "route.none t/r1-route-3");
  CHECK(by("t/2-10", 10) == "r3");
  FrameSpec f = lab.between("t/1-10", "t/2-10", false);
  f.dst = Plan::router_mac(1, 1);
  REQUIRE(lab.send_frame("t/1-10", f).receivers() == std::set<std::string>{"t/2-10"});
}

TEST_CASE("several routes with one prefix share flows, each flow on one of them") {
  Plan p;
  for (unsigned n : {1, 4, 9}) p.network(n);
  p.vm(1, 10);
  p.vm(4, 10);
  const std::string r1 = p.router("r1", {p.leg(1, 1), p.leg(1, 9)});
  for (unsigned r : {2u, 3u, 4u}) {
    p.router("r" + std::to_string(r), {p.leg(r, 9, r), p.leg(r, 4, r)});
    p.route_to(r1, 4, 9, r);
  }
  Lab lab(23, 2, GENERATE(Style::hybrid, Style::central), TunnelType::geneve);
  must(lab.transact(p.t));
  lab.bind("t/1-10", 0);
  lab.bind("t/4-10", 1);
  rests(lab);
  const auto spread = [&](bool is6) {
    std::map<Mac, unsigned> by;
    for (std::uint16_t port = 1; port <= 300; ++port) {
      FrameSpec f = lab.between("t/1-10", "t/4-10", is6);
      f.dst = Plan::router_mac(1, 1);
      f.src_port = port;
      Mac first{};
      for (int again = 0; again < 2; ++again) {
        const Fate fate = lab.send_frame("t/1-10", f);
        REQUIRE(fate.receivers() == std::set<std::string>{"t/4-10"});
        const Mac source = mac_at(fate.delivered[0].frame, 6);
        if (again == 0) first = source;
        REQUIRE(source == first);
      }
      ++by[first];
    }
    return by;
  };
  for (const bool is6 : {false, true}) {
    const auto by = spread(is6);
    REQUIRE(by.size() == 3);
    for (const auto& [mac, count] : by) REQUIRE(count > 60);
  }
  // One of them goes; then the others carry everything.
  control::Transaction less;
  less.remove(control::Table::route, "t/r1-route-1");
  must(lab.transact(less));
  rests(lab);
  auto by = spread(false);
  REQUIRE(by.size() == 2);
  REQUIRE(by.count(Plan::router_mac(2, 4)) == 0);
  less = {};
  less.remove(control::Table::route, "t/r1-route-3");
  must(lab.transact(less));
  rests(lab);
  by = spread(false);
  REQUIRE(by.size() == 1);
  REQUIRE(by.count(Plan::router_mac(4, 4)) == 1);
}

TEST_CASE("policies drop, let be and send elsewhere, by priority") {
  Plan p;
  for (unsigned n : {1, 2, 4, 9}) p.network(n);
  p.vm(1, 10);
  p.vm(1, 11);
  p.vm(2, 10);
  p.vm(4, 10);
  const std::string r1 = p.router("r1", {p.leg(1, 1), p.leg(1, 2), p.leg(1, 9)});
  for (unsigned r : {2u, 3u, 4u})
    p.router("r" + std::to_string(r), {p.leg(r, 9, r), p.leg(r, 4, r)});
  p.route_to(r1, 4, 9, 2);
  p.t.insert(control::AddressSet{"t/odd4", "t", {{ip4(10, 0, 1, 11), 32}}});
  p.t.insert(control::AddressSet{"t/odd6", "t", {{ip6(1, 11), 128}}});
  const auto policy = [&](const std::string& name, int priority, const std::string& match,
                          control::Policy::Action action, std::vector<IpAddress> hops = {}) {
    control::Policy row;
    row.name = "t/" + name;
    row.router = r1;
    row.priority = priority;
    row.match = match;
    row.action = action;
    row.next_hops = std::move(hops);
    row.cookie = 8000 + static_cast<unsigned>(priority);
    p.t.insert(row);
  };
  using A = control::Policy::Action;
  policy("drop", 10, "ip4.dst == 10.0.4.0/24 && tcp.dst == 23", A::drop);
  policy("elsewhere", 20, "tcp.dst == {80, 81}", A::reroute, {ip4(10, 0, 9, 3), ip6(9, 3)});
  policy("spare", 30, "(ip4.src == $odd4 || ip6.src == $odd6) && tcp.dst == 81", A::allow);
  policy("by-port", 40, "inport == \"t/net-2\" && tcp.dst == 82", A::reroute,
         {ip4(10, 0, 9, 3), ip4(10, 0, 9, 4)});
  Lab lab(24, 2, Style::hybrid, TunnelType::geneve);
  must(lab.transact(p.t));
  unsigned n = 0;
  for (const auto& [name, port] : lab.controller().intent().ports()) lab.bind(name, n++ % 2);
  rests(lab);
  const auto by = [&](const std::string& from, std::uint16_t port, bool is6,
                      std::uint16_t source = 40000) -> std::string {
    FrameSpec f = lab.between(from, "t/4-10", is6);
    f.dst = Plan::router_mac(1, from[2] == '1' ? 1 : 2);
    f.dst_port = port;
    f.src_port = source;
    const Fate fate = lab.send_frame(from, f);
    if (fate.delivered.empty())
      return fate.drops.at(0).reason + " " +
             lab.controller().describe_cookie(fate.drops.at(0).cookie).value().name;
    const Mac mac = mac_at(fate.delivered[0].frame, 6);
    for (unsigned r : {2u, 3u, 4u})
      if (mac == Plan::router_mac(r, 4)) return "r" + std::to_string(r);
    return "?";
  };
  for (const bool is6 : {false, true}) {
    CHECK(by("t/1-10", 22, is6) == "r2");
    CHECK(by("t/1-10", 80, is6) == "r3");
    CHECK(by("t/1-10", 81, is6) == "r3");
    CHECK(by("t/1-11", 81, is6) == "r2");
    CHECK(by("t/1-10", 82, is6) == "r2");
  }
  CHECK(by("t/1-10", 23, false) == "policy t/drop");
  CHECK(by("t/1-10", 23, true) == "r2");
  CHECK(by("t/2-10", 82, true) == "r2");
  std::set<std::string> used;
  for (std::uint16_t source = 1; source < 40; ++source)
    used.insert(by("t/2-10", 82, false, source));
  CHECK(used == std::set<std::string>{"r3", "r4"});
}

TEST_CASE("two tenants peer when each names the other, and only the routes between them cross") {
  Plan a("a"), b("b");
  b.base_ = 200;
  a.network(1);
  a.network(2);
  a.vm(1, 10);
  a.vm(2, 10);
  b.network(3);
  b.vm(3, 10);
  const std::string ra =
      a.router("r", {a.leg(1, 1), a.leg(1, 2), Plan::link("peer", "b/r", "peer", 99, 1)});
  const std::string rb = b.router("r", {b.leg(2, 3), Plan::link("peer", "a/r", "peer", 99, 2)});
  a.route_to(ra, 3, 99, 2);
  b.route_to(rb, 1, 99, 1);
  Lab lab(25, 2, Style::hybrid, TunnelType::geneve);
  // Alone, neither side can name the other.
  control::Transaction half = a.t;
  half.by = "";
  REQUIRE_FALSE(lab.transact(half).ok());
  control::Transaction both = a.t;
  both.changes.insert(both.changes.end(), b.t.changes.begin(), b.t.changes.end());
  must(lab.transact(both));
  lab.bind("a/1-10", 0);
  lab.bind("a/2-10", 0);
  lab.bind("b/3-10", 1);
  rests(lab);
  for (const bool is6 : {false, true}) {
    REQUIRE(lab.send_frame("a/1-10", lab.between("a/1-10", "b/3-10", is6)).receivers() ==
            std::set<std::string>{"b/3-10"});
    REQUIRE(lab.send_frame("b/3-10", lab.between("b/3-10", "a/1-10", is6)).receivers() ==
            std::set<std::string>{"a/1-10"});
    // No route of b leads to network 2.
    const Fate none = lab.send_frame("b/3-10", lab.between("b/3-10", "a/2-10", is6));
    REQUIRE(none.drops.at(0).reason == "route.none");
  }
}

TEST_CASE("verify takes each of several next hops for possible, and no other") {
  std::vector<datapath::Rule> rules;
  for (const char* text : {"table=0,ip,actions=multipath(symmetric_l3l4,0,hrw,3,0,reg10),"
                           "resubmit(,1)",
                           "table=1,reg10=0,actions=output:1", "table=1,reg10=1,actions=output:2",
                           "table=1,reg10=2,actions=output:3", "table=1,reg10=3,actions=output:4"})
    rules.push_back(datapath::parse_rule(text).value());
  struct Ports final : control::SymbolicTables::Visitor {
    bool wants(std::uint8_t, const control::Beam&) override { return true; }
    void deliver(std::uint32_t port, const control::Beam&) override { ports.insert(port); }
    bool asks_about(std::size_t) override { return false; }
    void used(std::size_t) override {}
    void hidden(std::size_t, const std::vector<std::size_t>&) override {}
    std::set<std::uint32_t> ports;
  } seen;
  control::SymbolicTables tables(rules, {}, {});
  must(tables.run(0, {}, seen));
  REQUIRE(seen.ports == std::set<std::uint32_t>{1, 2, 3});
}
