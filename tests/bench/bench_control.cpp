// Control plane: OVN's three-tier case (N ports in three groups, one router, two rules, 10 ports
// per hypervisor): cold compile, and the price of single changes at the controller and at an agent.
#include <benchmark/benchmark.h>

#include <deque>

#include "control/compile.h"
#include "control/controller.h"
#include "control/expression_match.h"
#include "control/rules.h"
#include "control/verify.h"

namespace weft::control {
namespace {

Mac mac_of(std::uint32_t n) { return Mac::from_u64(0x020000000000ULL + n); }

Port port_of(std::uint32_t tier, std::uint32_t n) {
  static const char* tiers[] = {"web", "app", "db"};
  Port p;
  p.name = std::string("shop/") + tiers[tier] + "-" + std::to_string(n);
  p.network = std::string("shop/") + tiers[tier] + "-net";
  p.mac = mac_of((tier + 1) << 16 | n);
  p.addresses = {Ip4{0x0a000000u + (tier << 16) + 10 + n}};
  return p;
}

Transaction three_tier(std::uint32_t ports) {
  Transaction t;
  t.insert(Tenant{"shop", true, false, 1});
  Router router{"shop/r1", "shop", {}};
  static const char* tiers[] = {"web", "app", "db"};
  for (std::uint32_t tier = 0; tier < 3; ++tier) {
    const Ip4 base{0x0a000000u + (tier << 16)};
    const std::string net = std::string("shop/") + tiers[tier] + "-net";
    t.insert(Network{net, "shop", 100 + tier, {{base, 16}}, 1500});
    router.ports.push_back({net, mac_of(tier), {Ip4{base.value + 1}}});
    router.ports.back().mac = mac_of(0xff0000 + tier);
    Group group{std::string("shop/") + tiers[tier], "shop", {}};
    for (std::uint32_t n = 0; n < ports / 3; ++n) {
      const Port p = port_of(tier, n);
      group.members.insert(p.name);
      t.insert(p);
    }
    t.insert(group);
  }
  t.insert(router);
  for (std::uint64_t i = 0; i < 2; ++i) {
    Acl a;
    a.name = "shop/rule-" + std::to_string(i);
    a.tenant = "shop";
    a.cookie = 10 + i;
    a.from = {Peer::Kind::group, std::string("shop/") + tiers[i], {}};
    a.to = {Peer::Kind::group, std::string("shop/") + tiers[i + 1], {}};
    a.protocol = AclProtocol::tcp;
    a.ports = {{static_cast<std::uint16_t>(8080 + i), static_cast<std::uint16_t>(8080 + i)}};
    t.insert(a);
  }
  return t;
}

/// A sink that only counts.
struct CountingSink : RuleSink {
  void add_rule(const std::string&) override { ++operations; }
  void delete_rule(const std::string&) override { ++operations; }
  std::vector<std::string> installed_rules() const override { return {}; }
  std::uint64_t operations = 0;
};

/// A controller and hypervisors of which the first two have real agents.
struct World {
  explicit World(std::uint32_t ports) : count(ports) {
    ControllerOptions o;
    o.timing.batch = {};
    for (std::uint32_t h = 0; h < std::max(2u, ports / 10); ++h)
      o.hypervisors.push_back("hv-" + std::to_string(h));
    controller = std::make_unique<Controller>(o);
    controller->start(now);
    for (std::uint32_t h = 0; h < o.hypervisors.size(); ++h) {
      AgentOptions a;
      a.hypervisor = o.hypervisors[h];
      a.vtep = Ip4{0xac100000u + h};
      a.tunnel_port = 2;
      a.session = 1;
      agents.push_back(std::make_unique<Agent>(a, sinks.emplace_back()));
      agents.back()->start(now);
    }
    benchmark::DoNotOptimize(controller->transact(three_tier(ports), now).ok());
    for (std::uint32_t tier = 0; tier < 3; ++tier)
      for (std::uint32_t n = 0; n < ports / 3; ++n)
        agents[(tier * (ports / 3) + n) % agents.size()]->port_up(
            {port_of(tier, n).name, 10 + n, true, 1}, now);
  }
  /// Carries all messages of the first `busy` hypervisors until there are none.
  void exchange(std::size_t busy) {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t i = 0; i < busy; ++i)
        for (auto& m : agents[i]->take_outgoing()) {
          controller->on_message(m.hypervisor, m.bytes, now);
          moved = true;
        }
      for (auto& m : controller->take_outgoing()) {
        const auto i = static_cast<std::size_t>(std::stoul(m.hypervisor.substr(3)));
        if (i < busy) agents[i]->on_message(m.bytes, now);
        moved = true;
      }
    }
  }
  std::uint32_t count;
  Time now{};
  std::unique_ptr<Controller> controller;
  std::deque<CountingSink> sinks;
  std::vector<std::unique_ptr<Agent>> agents;
};

void cold_compile(benchmark::State& state) {
  const auto ports = static_cast<std::uint32_t>(state.range(0));
  const Transaction t = three_tier(ports);
  std::uint64_t flows = 0;
  for (auto _ : state) {
    Intent intent;
    benchmark::DoNotOptimize(intent.apply(t).ok());
    flows = Compiler::of(intent).logical_flows();
  }
  state.counters["logical_flows"] = static_cast<double>(flows);
}
BENCHMARK(cold_compile)->Arg(100)->Arg(1000)->Arg(5000)->Unit(benchmark::kMillisecond);

/// Adds and removes a port that is in no group yet: to logical flows, published.
void add_port(benchmark::State& state) {
  World w(static_cast<std::uint32_t>(state.range(0)));
  w.exchange(2);
  Port p = port_of(0, 30'000);
  for (auto _ : state) {
    Transaction add;
    add.insert(p);
    benchmark::DoNotOptimize(w.controller->transact(add, w.now).ok());
    state.PauseTiming();
    Transaction remove;
    remove.remove(Table::port, p.name);
    benchmark::DoNotOptimize(w.controller->transact(remove, w.now).ok());
    w.exchange(2);
    state.ResumeTiming();
  }
}
BENCHMARK(add_port)->Arg(100)->Arg(1000)->Arg(5000)->Unit(benchmark::kMillisecond);

/// Adds a port to a group that a rule names as its source.
void join_group(benchmark::State& state) {
  World w(static_cast<std::uint32_t>(state.range(0)));
  w.exchange(2);
  Transaction add;
  add.insert(port_of(0, 30'000));
  benchmark::DoNotOptimize(w.controller->transact(add, w.now).ok());
  const Group without = w.controller->intent().groups().at("shop/web");
  Group with = without;
  with.members.insert(port_of(0, 30'000).name);
  bool in = false;
  for (auto _ : state) {
    Transaction t;
    t.update(in ? without : with);
    in = !in;
    benchmark::DoNotOptimize(w.controller->transact(t, w.now).ok());
  }
}
BENCHMARK(join_group)->Arg(100)->Arg(1000)->Arg(5000)->Unit(benchmark::kMillisecond);

void add_acl(benchmark::State& state) {
  World w(static_cast<std::uint32_t>(state.range(0)));
  w.exchange(2);
  Acl a = w.controller->intent().acls().at("shop/rule-0");
  a.name = "shop/more";
  a.cookie = 99;
  for (auto _ : state) {
    Transaction add;
    add.insert(a);
    benchmark::DoNotOptimize(w.controller->transact(add, w.now).ok());
    state.PauseTiming();
    Transaction remove;
    remove.remove(Table::acl, a.name);
    benchmark::DoNotOptimize(w.controller->transact(remove, w.now).ok());
    state.ResumeTiming();
  }
}
BENCHMARK(add_acl)->Arg(100)->Arg(1000)->Arg(5000)->Unit(benchmark::kMillisecond);

/// A port moves from hv-0 to hv-1 and back: reports, election, publication, rules on both.
void migrate(benchmark::State& state) {
  World w(static_cast<std::uint32_t>(state.range(0)));
  w.exchange(2);
  const std::string name = port_of(0, 0).name;
  std::uint32_t incarnation = 1;
  std::size_t at = 0;
  for (auto _ : state) {
    w.agents[at]->port_down(name, w.now);
    at = 1 - at;
    w.agents[at]->port_up({name, 9999, true, ++incarnation}, w.now);
    w.exchange(2);
  }
  state.counters["rules"] = static_cast<double>(w.agents[0]->stats().rules);
}
BENCHMARK(migrate)->Arg(100)->Arg(1000)->Arg(5000)->Unit(benchmark::kMillisecond);

/// One agent from nothing to all rules: its records, decoded and joined.
void agent_full_state(benchmark::State& state) {
  World w(static_cast<std::uint32_t>(state.range(0)));
  w.exchange(2);
  const auto records = Compiler::of(w.controller->intent()).records();
  std::size_t rules = 0;
  for (auto _ : state) {
    HostRules host({Ip4{1}, 2, TunnelType::geneve});
    for (const auto& [key, value] : records) host.set_record(key, value);
    host.update();
    rules = host.size();
  }
  state.counters["rules"] = static_cast<double>(rules);
}
BENCHMARK(agent_full_state)->Arg(100)->Arg(1000)->Arg(5000)->Unit(benchmark::kMillisecond);

/// An ACL's match over an address set of N members, to matches, and as texts: time per match.
void expression_to_matches(benchmark::State& state) {
  const auto members = static_cast<std::uint32_t>(state.range(0));
  NameTable names;
  names.ports = {{"app-1", 1}};
  names.port_groups = {{"app", {"app-1"}}};
  for (std::uint32_t i = 0; i < members; ++i)
    names.address_sets["web"].push_back(parse_constant(Ip4{0x0a000000 + 7 * i}.text()).value());
  const auto acl =
      parse_expression("outport == @app && ip4 && ip4.src == $web && tcp.dst == 8080").value();
  const bool texts = state.range(1) != 0;
  for (auto _ : state) {
    const auto matches = to_matches(acl, names).value();
    WEFT_CHECK(matches.size() == members);
    if (texts)
      for (const auto& m : matches) benchmark::DoNotOptimize(datapath::format_match(m).size());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * members);
}
BENCHMARK(expression_to_matches)
    ->ArgNames({"members", "texts"})
    ->Args({1, 0})
    ->Args({5000, 0})
    ->Args({5000, 1})
    ->Unit(benchmark::kMicrosecond);

/// A member joins a set of 5,000: the matches of this member.
void expression_one_element(benchmark::State& state) {
  NameTable names;
  names.ports = {{"app-1", 1}};
  names.port_groups = {{"app", {"app-1"}}};
  for (std::uint32_t i = 0; i < 5000; ++i)
    names.address_sets["web"].push_back(parse_constant(Ip4{0x0a000000 + 7 * i}.text()).value());
  const auto acl =
      parse_expression("outport == @app && ip4 && ip4.src == $web && tcp.dst == 8080").value();
  const Reference reference{Operand::Kind::address_set, "web"};
  const Element element{parse_constant("10.9.9.9").value(), ""};
  for (auto _ : state)
    benchmark::DoNotOptimize(to_matches(acl, names, reference, element).value().size());
}
BENCHMARK(expression_one_element)->Unit(benchmark::kMicrosecond);

void expression_parse(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(
        parse_expression("outport == @app && ip4 && ip4.src == $web && tcp.dst == 8080").ok());
}
BENCHMARK(expression_parse)->Unit(benchmark::kMicrosecond);

/// `weft verify`: compile, find the classes of ports, and what all of them can send to all others.
void verify_all(benchmark::State& state) {
  Intent intent;
  benchmark::DoNotOptimize(
      intent.apply(three_tier(static_cast<std::uint32_t>(state.range(0)))).ok());
  for (auto _ : state) {
    const auto v = verify(intent);
    if (!v.ok()) return state.SkipWithError(v.error().message.c_str());
    state.counters["classes"] = static_cast<double>(v->classes.size());
    state.counters["rules"] = static_cast<double>(v->rules);
    state.counters["visits"] = static_cast<double>(v->visits);
  }
}
BENCHMARK(verify_all)->Arg(100)->Arg(1000)->Arg(5000)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace weft::control

BENCHMARK_MAIN();
