// What a scenario's words come to: addresses, places, pairs, rates, times, overrides, warnings.
#include <algorithm>
#include <map>
#include <set>

#include "scenarios/spec.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

Scenario load(const std::string& text, const std::vector<std::string>& set = {}) {
  auto result = load_scenario_text(text, "test.yaml", set);
  for (const auto& error : result.errors) UNSCOPED_INFO(error.text());
  REQUIRE(result.scenario);
  return std::move(*result.scenario);
}

std::string first_error(const std::string& text, const std::vector<std::string>& set = {}) {
  const auto result = load_scenario_text(text, "test.yaml", set);
  REQUIRE(!result.errors.empty());
  return result.errors.front().text();
}

const std::string kFabric = "underlay: {leaf_spine: {spines: 2, leaves: 3, hosts_per_leaf: 2}}\n";

std::string with_vms(int count, const std::string& subnet, const std::string& rest = "") {
  return kFabric + "tenants:\n  t:\n    networks: {n: {subnet: " + subnet +
         "}}\n    groups: {g: {count: " + std::to_string(count) + ", network: n}}\n" + rest;
}

std::vector<std::string> vm_addresses(const Scenario& s) {
  std::vector<std::string> out;
  for (const auto& vm : s.tenants[0].vms) out.push_back(vm.addresses[0].text());
  return out;
}

using Strings = std::vector<std::string>;

std::vector<std::pair<std::size_t, std::size_t>> pairs_of(const Scenario& s, std::size_t t = 0) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  for (const auto& p : s.traffic[t].pairs) out.emplace_back(p.from.index, p.to.index);
  return out;
}

}  // namespace

TEST_CASE("underlay addresses scale with the fabric") {
  struct Row {
    const char* leaf_spine;
    const char* family;
    const char* first;
    const char* last;
    int length;
  };
  const Row rows[] = {
      {"{spines: 2, leaves: 4, hosts_per_leaf: 4}", "ipv4", "172.16.1.1", "172.16.4.4", 24},
      {"{spines: 4, leaves: 64, hosts_per_leaf: 64}", "ipv4", "172.16.1.1", "172.16.64.64", 24},
      {"{spines: 1, leaves: 2, hosts_per_leaf: 400}", "ipv4", "172.16.2.1", "172.16.5.144", 23},
      {"{spines: 1, leaves: 5000, hosts_per_leaf: 1}", "ipv4", "10.0.1.1", "10.19.136.1", 24},
      {"{spines: 2, leaves: 4, hosts_per_leaf: 4}", "ipv6", "fd00:0:0:1::1", "fd00:0:0:4::4", 64},
  };
  for (const Row& row : rows) {
    INFO(row.leaf_spine << " " << row.family);
    const Scenario s = load(std::string("underlay: {family: ") + row.family +
                            ", leaf_spine: " + row.leaf_spine + "}\n");
    std::set<IpAddress> seen;
    std::set<Mac> macs;
    const NodeSpec* first = nullptr;
    for (const NodeSpec& node : s.underlay.nodes) {
      if (node.kind == NodeKind::hypervisor && first == nullptr) first = &node;
      REQUIRE(node.address);
      CHECK(seen.insert(*node.address).second);
      CHECK(macs.insert(node.mac).second);
      if (node.kind != NodeKind::hypervisor) continue;
      CHECK(node.gateway == s.underlay.nodes[*node.leaf].address);
    }
    CHECK(first->address->text() == row.first);
    CHECK(s.underlay.nodes.back().address->text() == row.last);
    CHECK(s.underlay.nodes.back().prefix_length == row.length);
  }
}

TEST_CASE("VMs are addressed in order, around the router and what is written") {
  struct Row {
    int count;
    const char* subnet;
    const char* vms;
    Strings expected;
  };
  const Row rows[] = {
      {3, "10.0.0.0/24", "", {"10.0.0.11", "10.0.0.12", "10.0.0.13"}},
      {3, "10.0.0.0/29", "", {"10.0.0.2", "10.0.0.3", "10.0.0.4"}},
      {1, "10.0.0.0/30", "", {"10.0.0.2"}},
      {3,
       "10.0.0.0/24",
       "    vms: {g-2: {ip: 10.0.0.50}}\n",
       {"10.0.0.11", "10.0.0.50", "10.0.0.13"}},
      {3,
       "10.0.0.0/24",
       "    vms: {g-3: {ip: 10.0.0.11}}\n",
       {"10.0.0.12", "10.0.0.13", "10.0.0.11"}},
      {5,
       "10.0.0.0/29",
       "    vms: {g-1: {ip: 10.0.0.6}}\n",
       {"10.0.0.6", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.2"}},
      {2, "\"2001:db8::/64\"", "", {"2001:db8::b", "2001:db8::c"}},
  };
  for (const Row& row : rows) {
    INFO(row.subnet << " " << row.vms);
    CHECK(vm_addresses(load(with_vms(row.count, row.subnet, row.vms))) == row.expected);
  }
}

TEST_CASE("a full subnet still gives each VM an address of its own") {
  const Scenario s = load(with_vms(253, "10.0.0.0/24"));
  std::set<std::string> seen{"10.0.0.1"};
  for (const auto& a : vm_addresses(s)) CHECK(seen.insert(a).second);
}

TEST_CASE("two tenants get the same MACs and addresses, but their own identifiers") {
  const Scenario s =
      load(kFabric +
           "tenants:\n"
           "  a: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {g: {count: 2, network: n}}}\n"
           "  b: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {g: {count: 2, network: n}}}\n");
  CHECK(s.tenants[0].vms[1].mac == s.tenants[1].vms[1].mac);
  CHECK(s.tenants[0].vms[1].addresses == s.tenants[1].vms[1].addresses);
  CHECK(s.tenants[0].networks[0].vni == 5001);
  CHECK(s.tenants[1].networks[0].vni == 5002);
}

TEST_CASE("places") {
  const auto hosts = [](const Scenario& s) {
    Strings out;
    for (const auto& vm : s.tenants[0].vms) out.push_back(s.underlay.nodes[vm.host].name);
    return out;
  };
  const auto with = [](const std::string& place) {
    return kFabric +
           "tenants: {t: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {g: {count: 4, "
           "network: n, place: " +
           place + "}}}}\n";
  };
  CHECK(hosts(load(with("spread"))) == Strings{"hv-1-1", "hv-2-1", "hv-3-1", "hv-1-2"});
  CHECK(hosts(load(with("pack"))) == Strings{"hv-1-1", "hv-1-1", "hv-1-1", "hv-1-1"});
  CHECK(hosts(load(with("hv-2-2"))) == Strings{"hv-2-2", "hv-2-2", "hv-2-2", "hv-2-2"});
  CHECK(hosts(load(with("{g-2: hv-1-1, g-4: hv-3-2}"))) ==
        Strings{"hv-2-1", "hv-1-1", "hv-3-1", "hv-3-2"});
  const std::string small =
      "underlay: {hypervisors: {memory: 2GiB}, leaf_spine: {spines: 1, leaves: "
      "2, hosts_per_leaf: 1}}\n";
  CHECK(hosts(load(small + with("pack").substr(kFabric.size()))) ==
        Strings{"hv-1-1", "hv-1-1", "hv-2-1", "hv-2-1"});
}

TEST_CASE("pairs") {
  const auto with = [](const std::string& traffic) {
    return with_vms(5, "10.0.0.0/24", "traffic:\n  - {from: t, ping: {}, " + traffic + "}\n");
  };
  using P = std::vector<std::pair<std::size_t, std::size_t>>;
  CHECK(pairs_of(load(with("to: t"))).size() == 20);
  CHECK(pairs_of(load(with("pairs: neighbour"))) == P{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 0}});
  CHECK(pairs_of(load(with("to: t/g-1, pairs: all"))) == P{{1, 0}, {2, 0}, {3, 0}, {4, 0}});
  const std::string one =
      with_vms(4, "10.0.0.0/24",
               "traffic:\n  - {from: [t/g-1, t/g-2], to: [t/g-3, t/g-4], pairs: "
               "one-to-one, ping: {}}\n");
  CHECK(pairs_of(load(one)) == P{{0, 2}, {1, 3}});
  for (int seed = 0; seed < 50; ++seed) {
    const std::string text =
        with("to: t, pairs: permutation") + "seed: " + std::to_string(seed) + "\n";
    std::set<std::size_t> from, to;
    for (const auto& [f, t] : pairs_of(load(text))) {
      CHECK(f != t);
      from.insert(f);
      to.insert(t);
    }
    CHECK(from.size() == 5);
    CHECK(to.size() == 5);
    CHECK(pairs_of(load(text)) == pairs_of(load(text)));
  }
  std::set<P> different;
  for (int seed = 0; seed < 20; ++seed) {
    const std::string text =
        with("to: t, pairs: {random: 2}") + "seed: " + std::to_string(seed) + "\n";
    const auto pairs = pairs_of(load(text));
    CHECK(pairs.size() == 10);
    CHECK(std::set(pairs.begin(), pairs.end()).size() == 10);
    for (const auto& [f, t] : pairs) CHECK(f != t);
    different.insert(pairs);
  }
  CHECK(different.size() > 5);
}

TEST_CASE("rates are divided into pairs") {
  const auto rate = [](const std::string& per) {
    return load(with_vms(
                    4, "10.0.0.0/24",
                    "traffic:\n  - {from: t, to: t, udp: {rate: 12Mbps, rate_per: " + per + "}}\n"))
        .traffic[0]
        .rate.bps;
  };
  CHECK(rate("pair") == 12'000'000);
  CHECK(rate("source") == 4'000'000);
  CHECK(rate("total") == 1'000'000);
}

TEST_CASE("after another event's time is a time; after a migration's phase stays") {
  const Scenario s =
      load(with_vms(2, "10.0.0.0/24",
                    "duration: 10s\n"
                    "events:\n"
                    "  - {name: b, after: a, delay: 10ms, fail: {node: leaf-2, for: 1s}}\n"
                    "  - {name: a, at: 1s, fail: {link: leaf-1--spine-1, for: 500ms}}\n"
                    "  - {name: c, after: b.start, migrate: {vm: t/g-1, to: hv-3-2}}\n"
                    "  - {name: d, after: c.start, heal: {node: leaf-2}}\n"
                    "  - {name: e, after: c.round-1, fail: {node: spine-2, for: 1s}}\n"
                    "  - {name: f, after: e, delay: 1ms, fail: {node: leaf-3}}\n"));
  CHECK(s.events[0].at == Time{} + milliseconds(1510));
  CHECK(s.events[2].at == Time{} + milliseconds(1510));
  CHECK(s.events[3].at == Time{} + milliseconds(1510));
  REQUIRE(s.events[5].after);
  CHECK(s.events[5].after->event == 2);
  CHECK(s.events[5].after->phase == "round-1");
  CHECK(s.events[5].after->delay == milliseconds(1001));
}

TEST_CASE("overrides") {
  const std::string plain =
      with_vms(2, "10.0.0.0/24",
               "traffic:\n"
               "  - {name: p, from: t/g-1, to: t/g-2, ping: {interval: 1ms}}\n"
               "  - {name: q, from: t/g-2, to: t/g-1, ping: {interval: 1ms}}\n");
  CHECK(load(plain, {"traffic.0.ping.interval=7ms"}).traffic[0].interval == milliseconds(7));
  CHECK(load(plain, {"traffic.q.ping.interval=7ms"}).traffic[1].interval == milliseconds(7));
  CHECK(load(plain, {"traffic.q.ping.interval=7ms"}).traffic[0].interval == milliseconds(1));
  CHECK(load(plain, {"seed=5", "duration=3s"}).seed == 5);
  CHECK(load(plain, {"overlay.control.latency=3ms"}).overlay.control.latency == milliseconds(3));
  CHECK(load(plain, {"traffic.p.ping={interval: 2ms, count: 3}"}).traffic[0].count == 3);
  CHECK(first_error(plain, {"traffic.r.ping.count=1"}).find("no item `r`") != std::string::npos);
  CHECK(first_error(plain, {"traffic.2.ping.count=1"}).find("no item `2`") != std::string::npos);
  CHECK(first_error(plain, {"seeed=1"}).find("did you mean `seed`") != std::string::npos);
  CHECK(first_error(plain, {"seed"}).find("PATH=VALUE") != std::string::npos);
  CHECK(first_error(plain, {"seed=x"}).rfind("--set seed=x:1:1: error", 0) == 0);
  CHECK(first_error(plain, {"seed.deep=1"}).find("expected a whole number") != std::string::npos);
  CHECK(first_error(plain, {"duration=[1"}).find("not valid YAML") != std::string::npos);
}

TEST_CASE("an override of an aliased part changes that place only") {
  const std::string text =
      kFabric +
      "tenants: {t: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {g: {count: 2, network: n}}}}\n"
      "traffic:\n"
      "  - {name: p, from: t/g-1, to: t/g-2, ping: &common {interval: 1ms}}\n"
      "  - {name: q, from: t/g-2, to: t/g-1, ping: *common}\n";
  const Scenario s = load(text, {"traffic.q.ping.interval=9ms"});
  CHECK(s.traffic[0].interval == milliseconds(1));
  CHECK(s.traffic[1].interval == milliseconds(9));
}

TEST_CASE("a tunnel that does not fit is warned of, with the figures") {
  struct Row {
    const char* encapsulation;
    const char* family;
    int mtu;
    bool warned;
  };
  // 1500 of the guest + 14 Ethernet + header (VXLAN 8, GENEVE 8 + 8) + 8 UDP + 20 or 40 IP.
  const Row rows[] = {{"vxlan", "ipv4", 1550, false},  {"vxlan", "ipv4", 1549, true},
                      {"geneve", "ipv4", 1558, false}, {"geneve", "ipv4", 1557, true},
                      {"geneve", "ipv6", 1578, false}, {"geneve", "ipv6", 1577, true}};
  for (const Row& row : rows) {
    INFO(row.encapsulation << " " << row.family << " " << row.mtu);
    const Scenario s =
        load(std::string("underlay: {family: ") + row.family +
             ", leaf_spine: {spines: 1, leaves: 1, hosts_per_leaf: 1}, fabric_links: "
             "{mtu: " +
             std::to_string(row.mtu) + "}}\noverlay: {encapsulation: " + row.encapsulation +
             "}\ntenants: {t: {networks: {net-a: {subnet: 10.0.0.0/24}}}}\n");
    REQUIRE(s.warnings.size() == (row.warned ? 1 : 0));
    if (row.warned) CHECK(s.warnings[0].message.find("t/net-a") != std::string::npos);
  }
}

TEST_CASE("a rule that never decides is warned of") {
  const auto warnings = [](const std::string& rules) {
    return load(with_vms(1, "10.0.0.0/24", "    policy: {rules: [" + rules + "]}\n")).warnings;
  };
  CHECK(warnings("{name: a, allow: {tcp: 80}}, {name: b, allow: {tcp: 81}}").empty());
  auto w = warnings("{name: a, allow: {tcp: 80}}, {name: b, allow: {tcp: 80}}");
  REQUIRE(w.size() == 1);
  CHECK(w[0].message.find("`b` never decides: `a`") != std::string::npos);
  w = warnings("{name: a, allow: {tcp: 80}}, {name: b, deny: {tcp: 80}}");
  REQUIRE(w.size() == 1);
  CHECK(w[0].message.find("`a` never decides: `b`") != std::string::npos);
  w = warnings("{name: a, allow: {tcp: 80}, priority: 200}, {name: b, deny: {tcp: 80}}");
  REQUIRE(w.size() == 1);
  CHECK(w[0].message.find("`b` never decides: `a`") != std::string::npos);
}

TEST_CASE("what can only fail is warned of") {
  struct Row {
    const char* rest;
    const char* warning;  ///< empty: none
  };
  const Row rows[] = {
      {"traffic: [{from: t/g-1, to: t/g-2, udp: {rate: 1Mbps, size: 1472B}}]\n", ""},
      {"traffic: [{from: t/g-1, to: t/g-2, udp: {rate: 1Mbps, size: 1473B}}]\n",
       "every packet has 1501 bytes with its headers, but t/g-1 has MTU 1500"},
      {"traffic: [{from: t/g-1, to: t/g-2, ping: {size: 7000B}}]\n", "route.too_big"},
      {"traffic: [{from: t/g-1, to: t/g-2, bulk: {size: 7000B}}]\n", ""},
      {"events: [{at: 1ms, migrate: {vm: t/g-1, to: hv-2-2, bandwidth: 8Mbps}}]\n",
       "cannot converge: `t/g-1` dirties 1MB/s of memory and the copy sends 8Mbps at most"},
      {"events: [{at: 1ms, migrate: {vm: t/g-1, to: hv-2-2, bandwidth: 9Mbps}}]\n", ""},
      {"events: [{at: 1ms, migrate: {vm: t/g-1, to: hv-2-2}}]\n", ""},
  };
  for (const Row& row : rows) {
    INFO(row.rest);
    const Scenario s = load(kFabric +
                            "tenants: {t: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {g: "
                            "{count: 2, network: n, dirty: 1MB/s}}}}\n" +
                            row.rest);
    REQUIRE(s.warnings.size() == (*row.warning == '\0' ? 0 : 1));
    if (*row.warning != '\0') {
      INFO(s.warnings[0].message);
      CHECK(s.warnings[0].message.find(row.warning) != std::string::npos);
      CHECK(s.warnings[0].place.line > 0);
    }
  }
}

TEST_CASE("a bad subnet is told of once") {
  const auto result = load_scenario_text(
      with_vms(2, "10.0.0.0/33") + "traffic: [{from: t/g-1, to: t/g-2, ping: {}}]\n", "test.yaml");
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].message.find("33") != std::string::npos);
}

TEST_CASE("controllers through the fabric are nodes") {
  const Scenario s = load(kFabric + "overlay: {control: {through: fabric, attach: leaf-3}}\n");
  REQUIRE(s.overlay.control.attach);
  const std::size_t first = *s.overlay.control.attach;
  CHECK(s.underlay.nodes[first].name == "controller-1");
  CHECK(s.underlay.nodes[first].kind == NodeKind::host);
  CHECK(s.underlay.nodes[first].address->text() == "172.16.3.3");
  CHECK(s.underlay.nodes[first].gateway->text() == "172.16.3.254");
  CHECK(s.underlay.links.back().name == "leaf-3--controller-1");
}

TEST_CASE("a graph of named nodes gets its subnets from its wires") {
  const Scenario s = load(
      "underlay:\n"
      "  nodes: {h1: {kind: host}, h2: {kind: host, ip: 10.1.0.9/16}, h3: {kind: host, ip: "
      "10.1.0.10/16},\n"
      "          sw: {kind: switch}, r: {kind: router}, r2: {kind: router}}\n"
      "  links: [h2--sw, h3--sw, sw--r, h1--r2, {between: [r, r2], rate: 1Gbps, name: trunk}]\n"
      "capture: [r.trunk, h1.uplink, r2.h1]\n");
  const auto& n = s.underlay.nodes;
  CHECK(n[0].address->text() == "192.168.2.1");
  CHECK(n[0].gateway->text() == "192.168.2.254");
  CHECK(n[1].prefix_length == 16);
  CHECK(n[1].gateway->text() == "10.1.255.254");
  REQUIRE(n[4].interfaces.size() == 1);
  CHECK(n[4].interfaces[0].address.text() == "10.1.255.254");
  CHECK(s.underlay.links[4].name == "trunk");
  CHECK(s.underlay.links[4].rate.bps == 1'000'000'000);
  CHECK(s.captures[0].link == 4);
  CHECK(s.captures[2].node == 5);
  CHECK(s.captures[2].link == 3);
}

TEST_CASE("loading large scenarios is a matter of moments") {
  const Scenario s = load(
      "underlay: {leaf_spine: {spines: 16, leaves: 128, hosts_per_leaf: 32}}\n"
      "tenants: {t: {networks: {n: {subnet: 10.0.0.0/16}}, groups: {g: {count: 20000, network: "
      "n}}}}\n"
      "traffic:\n  - {from: t, to: t, pairs: permutation, ping: {}}\n");
  CHECK(s.tenants[0].vms.size() == 20000);
  CHECK(s.traffic[0].pairs.size() == 20000);
  std::map<std::size_t, int> load_of;
  for (const auto& vm : s.tenants[0].vms) ++load_of[vm.host];
  CHECK(load_of.size() == 4096);
  for (const auto& [host, vms] : load_of) CHECK((vms == 4 || vms == 5));
}
