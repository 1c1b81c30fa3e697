// Incremental equals recompute after each random change; bad channels and restarts at random
// moments end with an empty difference; the styles give equal rules.
#include "tests/catch.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using namespace weft::control;

namespace {

/// One random change of the intent or of where ports are.
class Chaos {
 public:
  Chaos(Lab& lab, std::uint64_t seed) : lab_(lab), r_(seed, "chaos") {}

  void step() {
    const Intent& in = lab_.controller().intent();
    Transaction t;
    switch (r_.below(28)) {
      case 0:
        add_port(t);
        break;
      case 1:
        remove_port(in, t);
        break;
      case 2: {
        Port p = pick(in.ports());
        p.mac = mac_of(0x500000 + ++count_);
        if (r_.below(2) == 0 && !p.addresses.empty()) p.addresses.pop_back();
        t.update(p);
        break;
      }
      case 3:
      case 4: {
        Group g = pick(in.groups());
        const Port& p = pick(in.ports());
        if (in.tenant_of_port(p.name) != g.tenant) break;
        if (!g.members.erase(p.name)) g.members.insert(p.name);
        t.update(g);
        break;
      }
      case 5:
      case 6:
        add_acl(in, t);
        break;
      case 7:
        if (!in.acls().empty()) t.remove(Table::acl, pick(in.acls()).name);
        break;
      case 8: {
        Tenant tenant = pick(in.tenants());
        tenant.has_policy = r_.below(4) != 0;
        tenant.default_allow = r_.below(2) == 0;
        if (tenant.default_cookie == 0) tenant.default_cookie = 1;
        t.update(tenant);
        break;
      }
      case 9: {
        Router router = pick(in.routers());
        if (router.ports.size() > 1 && r_.below(2) == 0) {
          router.ports.pop_back();
        } else {
          router.ports = full_router_.count(router.name) ? full_router_[router.name] : router.ports;
        }
        t.update(router);
        break;
      }
      case 10: {
        Network n = pick(in.networks());
        n.vni = 1000 + ++count_;
        t.update(n);
        break;
      }
      case 11: {
        Port p = pick(in.ports());
        p.requested = "hv-" + std::to_string(1 + r_.below(lab_.host_count()));
        t.update(p);
        break;
      }
      case 12:
      case 13:
        change_route(in, t);
        break;
      case 14:
        change_nat(in, t);
        break;
      case 15:
        change_policy(in, t);
        break;
      case 16: {  // gateways come and go: of the last port or the whole router, or none
        Router router = pick(in.routers());
        router.gateways.clear();
        for (RouterPort& p : router.ports) p.gateways.clear();
        std::vector<Gateway> some;
        for (unsigned h = 1; h <= lab_.host_count(); ++h)
          if (r_.below(2) == 0)
            some.push_back({"hv-" + std::to_string(h), static_cast<int>((h * 7 + count_) % 5)});
        const auto same = [](const Gateway& a, const Gateway& b) {
          return a.priority == b.priority;
        };
        if (some.size() > 1 && same(some[0], some[1])) some.pop_back();
        if (r_.below(3) == 0)
          router.gateways = some;
        else if (!router.ports.empty())
          router.ports.back().gateways = some;
        if (some.empty())  // no gateway, no translation
          for (const auto& [table, name] : in.referrers(Table::router, router.name))
            if (table == Table::nat) t.remove(Table::nat, name);
        t.update(router);
        break;
      }
      case 17: {
        Port p = pick(in.ports());
        p.unknown = !p.unknown;
        if (r_.below(3) == 0) p.type = p.type == PortType::vm ? PortType::external : PortType::vm;
        t.update(p);
        break;
      }
      case 18:
      case 19:
        add_acl_by_match(in, t);
        break;
      case 20: {
        AddressSet set = pick(in.address_sets());
        set.prefixes.push_back({Ip4{0x0a000000u + (++count_ << 8)}, 24});
        if (r_.below(2) == 0) set.prefixes.erase(set.prefixes.begin());
        t.update(set);
        break;
      }
      case 21:
      case 22:
        change_balancer(in, t);
        break;
      case 23:
        change_service(in, t);
        break;
      default:
        move_something(in);
    }
    if (t.empty()) return;
    const auto result = lab_.transact(t);
    if (!result.ok()) ++refused;
    ++applied;
  }

  void remember_routers() {
    for (const auto& [name, router] : lab_.controller().intent().routers())
      full_router_[name] = router.ports;
  }
  unsigned applied = 0, refused = 0;

 private:
  template <class T>
  T pick(const std::map<std::string, T>& rows) {
    auto it = rows.begin();
    std::advance(it, static_cast<long>(r_.below(rows.size())));
    return it->second;
  }
  void add_port(Transaction& t) {
    const Network n = pick(lab_.controller().intent().networks());
    Port p;
    p.name = n.tenant + "/new-" + std::to_string(++count_);
    p.network = n.name;
    p.mac = mac_of(0x400000 + count_);
    for (const Prefix& s : n.subnets) {
      const std::uint32_t low = 100 + count_ % 100;
      p.addresses.push_back(s.address.is6 ? IpAddress(Ip6{s.address.bits.high, low})
                                          : IpAddress(Ip4{s.address.v4().value + low}));
    }
    t.insert(p);
  }
  void remove_port(const Intent& in, Transaction& t) {
    const Port p = pick(in.ports());
    for (const auto& [table, name] : in.referrers(Table::port, p.name)) {
      if (table != Table::group) t.remove(table, name);
      if (table != Table::group) continue;
      Group g = in.groups().at(name);
      g.members.erase(p.name);
      t.update(g);
    }
    t.remove(Table::port, p.name);
  }
  void add_acl(const Intent& in, Transaction& t) {
    const Group g = pick(in.groups());
    const auto peer = [&]() -> Peer {
      switch (r_.below(5)) {
        case 0:
          return {};
        case 1:
          return {Peer::Kind::prefix, "", {Ip4{0x0a000000u + (1u << 8)}, 24}};
        case 2: {
          for (int i = 0; i < 20; ++i) {
            const Port p = pick(in.ports());
            if (in.tenant_of_port(p.name) == g.tenant) return {Peer::Kind::port, p.name, {}};
          }
          return {};
        }
        case 3:
          for (const auto& [name, n] : in.networks())
            if (n.tenant == g.tenant && r_.below(2) == 0) return {Peer::Kind::network, name, {}};
          return {};
        default:
          return {Peer::Kind::group, g.name, {}};
      }
    };
    Acl a;
    a.name = g.tenant + "/acl-" + std::to_string(++count_);
    a.tenant = g.tenant;
    a.cookie = 5'000'000 + count_;
    a.action = r_.below(2) == 0 ? AclAction::allow : AclAction::drop;
    a.priority = static_cast<int>(r_.below(300));
    a.from = peer();
    a.to = peer();
    a.protocol = static_cast<AclProtocol>(r_.below(4));
    t.insert(a);
  }
  IpAddress somewhere(bool is6) {
    const auto net = static_cast<std::uint32_t>(1 + r_.below(3));
    const auto low = static_cast<std::uint32_t>(1 + r_.below(20));
    if (is6) return Ip6{0xfd00ULL << 48 | net, low};
    return Ip4{0x0a000000u + (net << 8) + low};
  }
  template <class T>
  bool remove_one(const std::map<std::string, T>& rows, Table table, Transaction& t) {
    if (rows.empty() || r_.below(3) != 0) return false;
    t.remove(table, pick(rows).name);
    return true;
  }
  void change_route(const Intent& in, Transaction& t) {
    if (remove_one(in.rows<Table::route>(), Table::route, t)) return;
    Route route;
    route.name = "route-" + std::to_string(++count_);
    route.router = pick(in.routers()).name;
    const bool is6 = r_.below(3) == 0;
    route.prefix = is6 ? Prefix{Ip6{0xfd01ULL << 48, 0}, 64} : Prefix{Ip4{0x0b000000u}, 8};
    route.by_source = r_.below(4) == 0;
    if (r_.below(5) != 0) route.next_hop = somewhere(is6);
    route.cookie = 6'000'000 + count_;
    t.insert(route);
  }
  void change_nat(const Intent& in, Transaction& t) {
    if (remove_one(in.rows<Table::nat>(), Table::nat, t)) return;
    Nat nat;
    nat.name = "nat-" + std::to_string(++count_);
    const Router router = pick(in.routers());
    nat.router = router.name;
    nat.kind = static_cast<Nat::Kind>(r_.below(3));
    nat.external = Ip4{0x0a000300u + 100 + count_ % 100};
    nat.logical = {Ip4{0x0a000100u}, 24};
    if (nat.kind != Nat::Kind::snat) nat.logical = {somewhere(false), 32};
    if (nat.kind == Nat::Kind::floating && r_.below(2) == 0) {
      const Port p = pick(in.ports());
      if (in.tenant_of_port(p.name) == router.tenant) {
        nat.port = p.name;
        nat.external_mac = mac_of(0x600000 + count_);
      }
    }
    nat.cookie = 7'000'000 + count_;
    // There must be a gateway to do it.
    Router with = router;
    const bool has = !with.gateways.empty() ||
                     std::any_of(with.ports.begin(), with.ports.end(),
                                 [](const RouterPort& p) { return !p.gateways.empty(); });
    if (!has && !with.ports.empty()) {
      with.ports.back().gateways = {{"hv-1", 1}, {"hv-2", 2}};
      t.update(with);
    }
    t.insert(nat);
  }
  void change_policy(const Intent& in, Transaction& t) {
    if (remove_one(in.rows<Table::policy>(), Table::policy, t)) return;
    Policy policy;
    policy.name = "policy-" + std::to_string(++count_);
    policy.router = pick(in.routers()).name;
    policy.priority = static_cast<int>(r_.below(100));
    policy.action = static_cast<Policy::Action>(r_.below(3));
    policy.match = r_.below(2) == 0 ? "tcp.dst == 80" : "ip4.src == 10.0.1.0/24 && udp";
    if (policy.action == Policy::Action::reroute)
      for (auto n = 1 + r_.below(3); n > 0; --n) policy.next_hops.push_back(somewhere(r_.below(2)));
    policy.cookie = 8'000'000 + count_;
    t.insert(policy);
  }
  /// One of these: names of other rows in matches, in every direction, tier and action.
  void add_acl_by_match(const Intent& in, Transaction& t) {
    const Group g = pick(in.groups());
    const std::string own = g.name.substr(g.name.find('/') + 1);
    const std::string matches[] = {"ip4.src == $some && tcp.dst == {80, 443}",
                                   "outport == @" + own + " && ip4.src == $" + own + "_ip4",
                                   "inport == @" + own + " && ip4.dst != $some",
                                   "tcp && inport == \"" + pick(in.ports()).name + "\"",
                                   "ip6.src == $" + own + "_ip6 || (udp.dst > 1000 && ip4)"};
    Acl a;
    a.name = g.tenant + "/match-" + std::to_string(++count_);
    a.tenant = g.tenant;
    a.cookie = 6'000'000 + count_;
    a.action = static_cast<AclAction>(r_.below(5));
    a.priority = static_cast<int>(r_.below(300));
    a.tier = static_cast<int>(r_.below(Acl::kTiers));
    a.direction = r_.below(2) == 0 ? AclDirection::to_port : AclDirection::from_port;
    a.spare_established = r_.below(4) == 0;
    a.to = {Peer::Kind::group, g.name, {}};
    a.match = matches[a.direction == AclDirection::to_port ? r_.below(5) : 2 + r_.below(3)];
    t.insert(a);
  }
  template <class T>
  std::string one_of(const std::map<std::string, T>& rows, const std::string& tenant) {
    std::vector<std::string> names;
    for (const auto& [name, row] : rows)
      if (name.starts_with(tenant + "/")) names.push_back(name);
    return names.empty() ? std::string() : names[r_.below(names.size())];
  }
  void change_balancer(const Intent& in, Transaction& t) {
    const auto& all = in.rows<Table::load_balancer>();
    if (!all.empty() && r_.below(3) == 0) {
      t.remove(Table::load_balancer, pick(all).name);
      return;
    }
    const std::string tenant = pick(in.networks()).tenant;
    LoadBalancer l;
    l.name = tenant + "/lb-" + std::to_string(++count_);
    const bool update = !all.empty() && r_.below(2) == 0;
    if (update) l = pick(all);
    l.tenant = update ? l.tenant : tenant;
    l.networks.clear();
    l.routers.clear();
    if (r_.below(2) == 0) l.networks.insert(one_of(in.networks(), l.tenant));
    if (r_.below(2) == 0) l.routers.insert(one_of(in.routers(), l.tenant));
    l.networks.erase("");
    l.routers.erase("");
    l.health_check = r_.below(2) == 0;
    l.affinity_seconds = r_.below(2) == 0 ? 60 : 0;
    if (!update)
      l.vips = {{Ip4{0xac1e0000 + count_}, 80, {}},
                {Ip4{0x0a0001f0}, static_cast<std::uint16_t>(1000 + count_), {}}};
    for (Vip& vip : l.vips) {
      vip.backends.clear();
      for (auto n = r_.below(4); n > 0; --n)
        if (const auto port = one_of(in.ports(), l.tenant); !port.empty())
          for (const IpAddress& a : in.ports().at(port).addresses)
            if (!a.is6) vip.backends.push_back({a, 8080, port});
    }
    update ? t.update(l) : t.insert(l);
  }
  void change_service(const Intent& in, Transaction& t) {
    const std::string tenant = pick(in.networks()).tenant;
    const std::string name = tenant + "/service-" + std::to_string(++count_);
    const std::string network = one_of(in.networks(), tenant);
    switch (r_.below(5)) {
      case 0: {
        DhcpOptions d{name, tenant, {Ip4{0x0a000100}, 24}, Ip4{0x0a000101}, mac_of(7)};
        d.options["mtu"] = std::to_string(1000 + count_);
        t.insert(d);
        if (const auto port = one_of(in.ports(), tenant); !port.empty()) {
          Port p = in.ports().at(port);
          p.dhcp4 = name;
          t.update(p);
        }
        break;
      }
      case 1:
        t.insert(Dns{name, tenant, {{"a" + std::to_string(count_), {Ip4{count_}}}}, {network}});
        break;
      case 2: {
        Qos q{name, network};
        q.direction = r_.below(2) == 0 ? AclDirection::to_port : AclDirection::from_port;
        q.match = "ip4.src == $some";
        q.rate_kbps = 1000;
        if (r_.below(2) == 0) q.dscp = 10;
        t.insert(q);
        break;
      }
      case 3: {
        const std::string a = one_of(in.ports(), tenant), b = one_of(in.ports(), tenant);
        if (!a.empty() && a != b) t.insert(Mirror{name, tenant, {a}, true, true, b});
        break;
      }
      default:
        for (const Table table : {Table::dns, Table::qos, Table::mirror})
          for (const Row& row : in.all_rows())
            if (table_of(row) == table && r_.below(2) == 0) t.remove(table, name_of(row));
    }
  }
  void move_something(const Intent& in) {
    const Port p = pick(in.ports());
    const auto to = static_cast<unsigned>(r_.below(lab_.host_count()));
    if (!lab_.is_bound(p.name)) return lab_.bind(p.name, to);
    if (r_.below(5) == 0) return lab_.unbind(p.name);
    lab_.move(p.name, to);
  }

  Lab& lab_;
  RandomStream r_;
  std::uint32_t count_ = 0;
  std::map<std::string, std::vector<RouterPort>> full_router_;
};

void populate(Lab& lab) {
  REQUIRE(lab.transact(three_tier("shop", 100, 3, true)).ok());
  REQUIRE(lab.transact(three_tier("shed", 200, 2, false)).ok());
  Transaction sets;
  for (const char* tenant : {"shop", "shed"})
    sets.insert(
        AddressSet{std::string(tenant) + "/some", tenant, {{Ip4{0x0a000100}, 24}, {Ip4{1}, 32}}});
  REQUIRE(lab.transact(sets).ok());
  unsigned n = 0;
  for (const auto& [name, port] : lab.controller().intent().ports())
    if (n++ % 4 != 3) lab.bind(name, n % static_cast<unsigned>(lab.host_count()));
}

Channel bad_channel(RandomStream& r) {
  Channel c;
  c.loss_percent = static_cast<std::uint32_t>(r.below(40));
  c.duplicate_percent = static_cast<std::uint32_t>(r.below(40));
  c.garbage_percent = static_cast<std::uint32_t>(r.below(10));
  c.delay_min = microseconds(20);
  c.delay_max = microseconds(50 + static_cast<std::int64_t>(r.below(8'000)));
  return c;
}

std::vector<std::string> rules(Lab& lab, unsigned host) {
  return lab.host(host).sink->book.rules();
}

}  // namespace

TEST_CASE("incremental equals recompute after each change of 200 random sequences") {
  unsigned applied = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Lab lab(seed, 3, seed % 4 == 0 ? Style::central : Style::hybrid, TunnelType::geneve, {}, false);
    populate(lab);
    Chaos chaos(lab, seed);
    chaos.remember_routers();
    for (int i = 0; i < 12; ++i) {
      chaos.step();
      if (i % 3 == 0) lab.run_for(microseconds(400));
      const std::string difference = lab.controller().check_recompute();
      INFO("seed " << seed << " step " << i);
      REQUIRE(difference == "");
    }
    applied += chaos.applied;
    refused += chaos.refused;
  }
  REQUIRE(applied > 1000);
  REQUIRE(refused < applied / 4);
}

TEST_CASE("over bad channels and with restarts the difference becomes empty") {
  const std::uint64_t seed = GENERATE(range(1, 25));
  RandomStream r(seed, "converge");
  const Style style = r.below(2) == 0 ? Style::hybrid : Style::central;
  Lab lab(seed, 3, style, TunnelType::geneve, bad_channel(r), false);
  populate(lab);
  Chaos chaos(lab, seed);
  chaos.remember_routers();
  for (int i = 0; i < 25; ++i) {
    if (lab.controller_runs()) chaos.step();
    switch (r.below(10)) {
      case 0:
        lab.restart_agent(static_cast<unsigned>(r.below(3)));
        break;
      case 1:
        if (lab.controller_runs()) lab.stop_controller();
        break;
      case 2:
      case 3:
        if (!lab.controller_runs()) lab.start_controller();
        break;
      default:
        break;
    }
    lab.run_for(microseconds(static_cast<std::int64_t>(r.below(20'000))));
  }
  if (!lab.controller_runs()) lab.start_controller();
  lab.settle();
  INFO("seed " << seed);
  REQUIRE(lab.controller().check_recompute() == "");
  REQUIRE(lab.unrest() == "");
  REQUIRE(lab.controller().check_recompute() == "");
  for (unsigned i = 0; i < 3; ++i) {
    for (const auto& [name, port] : lab.host(i).ports)
      if (lab.controller().intent().ports().count(name) > 0)
        REQUIRE(lab.controller().location_of(name) == lab.host(i).name);
  }
}

TEST_CASE("hybrid and central give equal rules, whatever happened on the way") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Lab hybrid(seed, 3, Style::hybrid, tunnel, {}, false);
    Lab central(seed + 1000, 3, Style::central, tunnel, {20, 20, 0, {}, milliseconds(1)}, false);
    for (Lab* lab : {&hybrid, &central}) {
      populate(*lab);
      Chaos chaos(*lab, seed);
      chaos.remember_routers();
      for (int i = 0; i < 20; ++i) {
        chaos.step();
        lab->run_for(milliseconds(lab == &central ? 3 : 1));
      }
      lab->settle();
      INFO("seed " << seed);
      REQUIRE(lab->controller().check_recompute() == "");
      REQUIRE(lab->unrest() == "");
    }
    for (unsigned i = 0; i < 3; ++i) {
      REQUIRE(rules(hybrid, i).size() > 40);
      REQUIRE(rules(hybrid, i) == rules(central, i));
    }
  }
}

TEST_CASE("a controller that restarts changes no rule, and catches up with what happened") {
  const auto style = GENERATE(Style::hybrid, Style::central);
  Lab lab(11, 3, style, TunnelType::geneve, {10, 10, 0, {}, milliseconds(1)}, false);
  populate(lab);
  REQUIRE(lab.settle());
  std::vector<std::uint64_t> operations;
  for (unsigned i = 0; i < 3; ++i) operations.push_back(lab.host(i).sink->operations);
  lab.stop_controller();
  lab.run_for(seconds(2));
  lab.start_controller();
  REQUIRE(lab.settle());
  for (unsigned i = 0; i < 3; ++i) REQUIRE(lab.host(i).sink->operations == operations[i]);

  lab.stop_controller();
  const unsigned to = (lab.host_of("shop/web-1") + 1) % 3;
  lab.move("shop/web-1", to);
  lab.run_for(seconds(1));
  lab.start_controller();
  REQUIRE(lab.settle());
  REQUIRE(lab.controller().location_of("shop/web-1") == lab.host(to).name);
}

TEST_CASE("an agent that restarts finds its rules and changes none") {
  const auto style = GENERATE(Style::hybrid, Style::central);
  Lab lab(12, 3, style, TunnelType::geneve, {}, false);
  populate(lab);
  REQUIRE(lab.settle());
  const auto operations = lab.host(1).sink->operations;
  lab.restart_agent(1);
  REQUIRE(lab.settle());
  REQUIRE(lab.host(1).agent->in_sync());
  REQUIRE(lab.host(1).sink->operations == operations);

  // What changes while it is down is applied as a difference when it is back.
  lab.restart_agent(1);
  Transaction t;
  t.remove(Table::acl, "shop/web-to-app");
  REQUIRE(lab.transact(t).ok());
  REQUIRE(lab.settle());
  REQUIRE(lab.host(1).sink->operations > operations);
  REQUIRE(lab.host(1).sink->operations < operations + 200);
}

TEST_CASE("a late report of the old hypervisor cannot take a port back") {
  Lab lab(13, 2, Style::hybrid, TunnelType::geneve, {}, false);
  populate(lab);
  const std::string port = "shop/app-1";
  if (lab.is_bound(port)) lab.unbind(port);
  lab.run_for(milliseconds(10));
  lab.host(0).agent->port_up({port, 50, true, 7}, lab.now());
  lab.host(1).agent->port_up({port, 50, true, 8}, lab.now());
  lab.run_for(milliseconds(10));
  REQUIRE(lab.controller().location_of(port) == "hv-2");
  lab.host(0).agent->port_up({port, 51, true, 7}, lab.now());
  lab.run_for(milliseconds(10));
  REQUIRE(lab.controller().location_of(port) == "hv-2");
  lab.host(1).agent->port_down(port, lab.now());
  lab.run_for(milliseconds(10));
  REQUIRE(lab.controller().location_of(port) == "");
}

TEST_CASE("agents receive only what their ports can need") {
  Lab lab(14, 3, Style::hybrid, TunnelType::geneve, {}, false);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, true)).ok());
  REQUIRE(lab.transact(three_tier("shed", 200, 3, true)).ok());
  lab.bind("shop/web-1", 0);
  lab.bind("shed/web-1", 1);
  REQUIRE(lab.settle());
  for (const std::string& rule : rules(lab, 0)) {
    for (const char* vni : {"metadata=0xc8,", "metadata=0xc9,", "metadata=0xca,"})
      REQUIRE(rule.find(vni) == std::string::npos);
    // No port here is a destination of app-to-db.
    REQUIRE(rule.find("tp_dst=5432") == std::string::npos);
  }
  REQUIRE(rules(lab, 2).size() < 70);  // no ports: what every vSwitch has
}
