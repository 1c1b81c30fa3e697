#include "control/intent.h"

#include <functional>

#include "tests/catch.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using namespace weft::control;

namespace {

Intent shop() {
  Intent intent;
  REQUIRE(intent.apply(three_tier("shop", 100, 3, true)).ok());
  REQUIRE(intent.apply(three_tier("shed", 200, 1, false)).ok());
  return intent;
}

struct Case {
  std::string says;  // part of the message
  std::function<void(const Intent&, Transaction&)> make;
};

template <class T>
T with(T row, const std::function<void(T&)>& change) {
  change(row);
  return row;
}

Acl by_match(const std::string& match) {
  Acl a;
  a.name = "shop/by-match";
  a.tenant = "shop";
  a.cookie = 999'999;
  a.to = {Peer::Kind::network, "shop/web-net", {}};
  a.match = match;
  return a;
}

DhcpOptions dhcp(const std::map<std::string, std::string>& options) {
  DhcpOptions d{"shop/dhcp", "shop", {Ip4{0x0a000100}, 24}, Ip4{0x0a000101}, mac_of(1)};
  d.options = options;
  return d;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"port 'shop/web-1' exists already",
       [](const Intent& in, Transaction& t) { t.insert(in.ports().at("shop/web-1")); }},
      {"is it 'shop/web-1'?",
       [](const Intent&, Transaction& t) { t.remove(Table::port, "shop/web-l"); }},
      {"network 'shop/web-net' refers to tenant 'shop', which does not exist",
       [](const Intent&, Transaction& t) { t.remove(Table::tenant, "shop"); }},
      {"group 'shop/web' refers to port 'shop/web-1', which does not exist",
       [](const Intent&, Transaction& t) { t.remove(Table::port, "shop/web-1"); }},
      {"claims VNI 100",
       [](const Intent&, Transaction& t) {
         t.insert(Network{"shop/x", "shop", 100, {}, 1500});
       }},
      {"has VNI 16777216",
       [](const Intent&, Transaction& t) {
         t.insert(Network{"shop/x", "shop", 1u << 24, {}, 1500});
       }},
      {"has subnets 10.0.0.0/8 and 10.1.0.0/16, which overlap",
       [](const Intent&, Transaction& t) {
         t.insert(
             Network{"shop/x", "shop", 9, {{Ip4{0x0a000000}, 8}, {Ip4{0x0a010000}, 16}}, 1500});
       }},
      {"which is no prefix",
       [](const Intent&, Transaction& t) {
         t.insert(Network{"shop/x", "shop", 9, {{Ip4{0x0a000001}, 24}}, 1500});
       }},
      {"MTU 67",
       [](const Intent&, Transaction& t) {
         t.insert(Network{"shop/x", "shop", 9, {}, 67});
       }},
      {"in no subnet of network 'shop/web-net'",
       [](const Intent& in, Transaction& t) {
         t.update(with<Port>(in.ports().at("shop/web-1"),
                             [](Port& p) { p.addresses = {Ip4{0x0a000209}}; }));
       }},
      {"which stands for all of 10.0.1.0/24",
       [](const Intent& in, Transaction& t) {
         t.update(with<Port>(in.ports().at("shop/web-1"),
                             [](Port& p) { p.addresses = {Ip4{0x0a0001ff}}; }));
       }},
      {"claims address 10.0.1.11 on network 'shop/web-net'",
       [](const Intent& in, Transaction& t) {
         t.update(with<Port>(in.ports().at("shop/web-1"),
                             [](Port& p) { p.addresses = {Ip4{0x0a00010b}}; }));
       }},
      {"claims address 10.0.1.1 on network",  // the gateway's
       [](const Intent& in, Transaction& t) {
         t.update(with<Port>(in.ports().at("shop/web-1"),
                             [](Port& p) { p.addresses = {Ip4{0x0a000101}}; }));
       }},
      {"claims MAC 02:00:00:01:00:02",
       [](const Intent& in, Transaction& t) {
         t.update(
             with<Port>(in.ports().at("shop/web-1"), [](Port& p) { p.mac = mac_of(0x10002); }));
       }},
      {"which is no station's",
       [](const Intent& in, Transaction& t) {
         t.update(
             with<Port>(in.ports().at("shop/web-1"), [](Port& p) { p.mac = Mac::broadcast(); }));
       }},
      {"of tenant 'shop' refers to port 'shed/web-1' of tenant 'shed'",
       [](const Intent& in, Transaction& t) {
         t.update(with<Group>(in.groups().at("shop/web"),
                              [](Group& g) { g.members.insert("shed/web-1"); }));
       }},
      {"of tenant 'shop' refers to network 'shed/web-net' of tenant 'shed'",
       [](const Intent& in, Transaction& t) {
         t.update(with<Acl>(in.acls().at("shop/web-to-app"), [](Acl& a) {
           a.from = {Peer::Kind::network, "shed/web-net", {}};
         }));
       }},
      {"priority 32768",
       [](const Intent& in, Transaction& t) {
         t.update(with<Acl>(in.acls().at("shop/web-to-app"), [](Acl& a) { a.priority = 32768; }));
       }},
      {"has cookie 0",
       [](const Intent& in, Transaction& t) {
         t.update(with<Acl>(in.acls().at("shop/web-to-app"), [](Acl& a) { a.cookie = 0; }));
       }},
      {"claims cookie 100000",  // the default's
       [](const Intent& in, Transaction& t) {
         t.update(with<Acl>(in.acls().at("shop/web-to-app"), [](Acl& a) { a.cookie = 100000; }));
       }},
      {"only tcp and udp have ports",
       [](const Intent& in, Transaction& t) {
         t.update(with<Acl>(in.acls().at("shop/web-to-app"),
                            [](Acl& a) { a.protocol = AclProtocol::icmp; }));
       }},
      {"port range 9-8, which is empty",
       [](const Intent& in, Transaction& t) {
         t.update(with<Acl>(in.acls().at("shop/web-to-app"), [](Acl& a) { a.ports = {{9, 8}}; }));
       }},
      {"names a peer without a name",
       [](const Intent& in, Transaction& t) {
         t.update(with<Acl>(in.acls().at("shop/web-to-app"), [](Acl& a) {
           a.to = {Peer::Kind::group, "", {}};
         }));
       }},
      {"whose subnets 10.0.1.0/24 and 10.0.1.128/25 overlap",
       [](const Intent& in, Transaction& t) {
         t.insert(Network{"shop/x", "shop", 9, {{Ip4{0x0a000180}, 25}}, 1500});
         t.update(with<Router>(in.routers().at("shop/r1"), [](Router& r) {
           r.ports.push_back({"shop/x", mac_of(1), {Ip4{0x0a000181}}});
         }));
       }},
      {"two ports on network 'shop/web-net'",
       [](const Intent& in, Transaction& t) {
         t.update(with<Router>(in.routers().at("shop/r1"), [](Router& r) {
           r.ports.push_back({"shop/web-net", mac_of(1), {}});
         }));
       }},
      {"moves from tenant 'shop' to 'shed'",
       [](const Intent& in, Transaction& t) {
         t.update(with<Group>(in.groups().at("shop/web"), [](Group& g) {
           g.tenant = "shed";
           g.members.clear();
         }));
       }},
      {"needs a name",
       [](const Intent&, Transaction& t) {
         t.insert(Group{"", "shop", {}});
       }},
      {"control character or '|'",
       [](const Intent&, Transaction& t) {
         t.insert(Group{"a|b", "shop", {}});
       }},
      {"has a match that cannot be read",
       [](const Intent&, Transaction& t) { t.insert(by_match("tcp.dst == ")); }},
      {"matches $nobody, but tenant 'shop' has no such address set",
       [](const Intent&, Transaction& t) { t.insert(by_match("ip4.src == $nobody")); }},
      {"matches @nobody, but tenant 'shop' has no such group",
       [](const Intent&, Transaction& t) { t.insert(by_match("outport == @nobody")); }},
      {"matches @others, but tenant 'shop' has no such group",  // it is another tenant's
       [](const Intent&, Transaction& t) {
         t.insert(Group{"others", "shed", {}});
         t.insert(by_match("inport == @others"));
       }},
      {"by `outport`, which is not known then",
       [](const Intent&, Transaction& t) {
         Acl a = by_match("outport == \"web-1\"");
         a.direction = AclDirection::from_port;
         t.insert(a);
       }},
      {"is_chassis_resident",
       [](const Intent&, Transaction& t) { t.insert(by_match("is_chassis_resident(\"web-1\")")); }},
      {"becomes too many",
       [](const Intent&, Transaction& t) {
         AddressSet a{"shop/a", "shop", {}}, b{"shop/b", "shop", {}};
         for (std::uint32_t i = 0; i < 400; ++i) {
           a.prefixes.push_back({Ip4{0x0b000000 + 2 * i}, 32});
           b.prefixes.push_back({Ip4{0x0c000000 + 2 * i}, 32});
         }
         t.insert(a).insert(b);
         t.insert(by_match("(ip4.src == $a || tcp) && (ip4.dst == $b || udp)"));
       }},
      {"claims VIP tcp 172.30.0.1:80 on network 'shop/web-net'",
       [](const Intent&, Transaction& t) {
         for (const char* name : {"shop/one", "shop/two"}) {
           LoadBalancer l;
           l.name = name;
           l.tenant = "shop";
           l.vips = {{Ip4{0xac1e0001}, 80, {}}};
           l.networks = {"shop/web-net"};
           t.insert(l);
         }
       }},
      {"has option 'ruoter', which DHCP does not know; is it 'router'?",
       [](const Intent&, Transaction& t) {
         t.insert(dhcp({{"ruoter", "10.0.1.1"}}));
       }},
      {"has option mtu=99999, which it cannot be",
       [](const Intent&, Transaction& t) {
         t.insert(dhcp({{"mtu", "99999"}}));
       }},
      {"has record 'a..b', which is no name of DNS",
       [](const Intent&, Transaction& t) {
         t.insert(Dns{"shop/dns", "shop", {{"a..b", {Ip4{1}}}}, {}});
       }},
      {"whose network is not 'shop/web-net', its sink's",
       [](const Intent&, Transaction& t) {
         t.insert(Mirror{"shop/spy", "shop", {"shop/app-1"}, true, true, "shop/web-1"});
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("each violation is named and nothing of the transaction is applied") {
  for (const Case& c : cases()) {
    Intent intent = shop();
    const Bytes before = intent.save();
    Transaction t;
    t.insert(Tenant{"bystander", false, true, 0});
    c.make(intent, t);
    const auto result = intent.apply(t);
    INFO(c.says);
    REQUIRE_FALSE(result.ok());
    INFO(result.error().text());
    REQUIRE(result.error().message.find(c.says) != std::string::npos);
    const bool unchanged = intent.save() == before;
    REQUIRE(unchanged);
    // The indexes were restored too: what was right before is right now.
    Transaction good;
    good.insert(Network{"shop/x", "shop", 9, {{Ip4{0x0b000000}, 24}}, 1500});
    REQUIRE(intent.apply(good).ok());
  }
}

TEST_CASE("all violations of a transaction are named, not only the first") {
  Intent intent = shop();
  Transaction t;
  t.insert(Network{"shop/x", "shop", 100, {}, 1});
  t.remove(Table::group, "shop/nothing-like-it");
  const auto result = intent.apply(t);
  REQUIRE_FALSE(result.ok());
  for (const char* part : {"VNI 100", "MTU 1", "nothing-like-it"})
    REQUIRE(result.error().message.find(part) != std::string::npos);
}

TEST_CASE("the order of a transaction's rows does not matter for references") {
  Transaction t = three_tier("shop", 100, 2, true);
  std::reverse(t.changes.begin(), t.changes.end());
  Intent intent;
  REQUIRE(intent.apply(t).ok());
  Transaction everything;
  for (const auto& change : three_tier("shop", 100, 2, true).changes)
    everything.remove(static_cast<Table>(change.row.index()), name_of(change.row));
  REQUIRE(intent.apply(everything).ok());
  REQUIRE(intent.save() == Intent().save());
}

TEST_CASE("routes, policies, gateways and NAT that make no sense are refused, with the reason") {
  const auto gateway = [](Transaction& t, auto&& change) {
    t.update(with<Router>(shop().routers().at("shop/r1"), [&](Router& r) {
      r.ports[2].gateways = {{"hv-1", 2}, {"hv-2", 1}};
      change(r);
    }));
  };
  const auto snat = [](auto&& change) {
    Nat n;
    n.name = "shop/nat";
    n.router = "shop/r1";
    n.external = Ip4{0x0a000363};
    n.logical = {Ip4{0x0a000100}, 24};
    change(n);
    return n;
  };
  struct Wrong {
    const char* message;
    std::function<void(Transaction&)> ask;
  };
  const auto nothing = [](auto&) {};
  const Wrong wrongs[] = {
      {"needs one port with gateways that 10.0.3.99 is reached by; router 'shop/r1' has 0",
       [&](Transaction& t) { t.insert(snat(nothing)); }},
      {"is at port 'shop/web-net', which has no gateways",
       [&](Transaction& t) {
         gateway(t, nothing);
         t.insert(snat([](Nat& n) { n.gateway = "shop/web-net"; }));
       }},
      {"has a range of ports, which only source NAT chooses from",
       [&](Transaction& t) {
         gateway(t, nothing);
         t.insert(snat([](Nat& n) {
           n.kind = Nat::Kind::dnat;
           n.logical = {Ip4{0x0a00010a}, 32};
           n.external_ports = {1, 2};
         }));
       }},
      {"translates 10.0.3.99 to itself",
       [&](Transaction& t) {
         gateway(t, nothing);
         t.insert(snat([](Nat& n) {
           n.kind = Nat::Kind::floating;
           n.logical = {n.external, 32};
         }));
       }},
      {"external address 10.0.3.99 of router 'shop/r1'",
       [&](Transaction& t) {
         gateway(t, nothing);
         for (const char* name : {"shop/one", "shop/two"})
           t.insert(snat([&](Nat& n) {
             n.name = name;
             n.kind = Nat::Kind::dnat;
             n.logical = {Ip4{0x0a00010a}, 32};
           }));
       }},
      {"has gateways itself and for port",
       [&](Transaction& t) { gateway(t, [](Router& r) {
                               r.gateways = {{"hv-3", 1}};
                             }); }},
      {"has two gateways of priority 2",
       [&](Transaction& t) {
         gateway(t, [](Router& r) { r.ports[2].gateways.push_back({"hv-3", 2}); });
       }},
      {"which is on gateways: put a network between the two",
       [&](Transaction& t) {
         const auto link = [](const char* router) {
           RouterPort p;
           p.name = "link";
           p.mac = mac_of(0x123);
           p.peer_router = router;
           p.peer_port = "link";
           return p;
         };
         t.insert(Router{"shop/r2", "shop", {link("shop/r1")}, {{"hv-1", 1}}});
         t.update(with<Router>(shop().routers().at("shop/r1"),
                               [&](Router& r) { r.ports.push_back(link("shop/r2")); }));
       }},
      {"has a match that cannot be read",
       [&](Transaction& t) {
         t.insert(Policy{"shop/p", "shop/r1", 1, "tcp.dst =="});
       }},
      {"has next hop 11.0.0.1, which is on no subnet of router 'shop/r1'",
       [&](Transaction& t) {
         t.insert(Route{"shop/route", "shop/r1", {Ip4{0}, 0}, false, Ip4{0x0b000001}});
       }},
      {"has MAC 00:00:00:00:00:00, which is no station's",
       [&](Transaction& t) {
         Port p;
         p.name = "shop/out";
         p.network = "shop/web-net";
         p.type = PortType::external;
         p.addresses = {Ip4{0x0a0001fe}};
         t.insert(p);
       }},
  };
  for (const Wrong& w : wrongs) {
    Intent intent = shop();
    const Bytes before = intent.save();
    Transaction t;
    w.ask(t);
    const auto result = intent.apply(t);
    INFO(w.message << ": " << (result.ok() ? "applied" : result.error().text()));
    REQUIRE_FALSE(result.ok());
    REQUIRE(result.error().text().find(w.message) != std::string::npos);
    REQUIRE(intent.save() == before);
  }
  Intent intent = shop();
  Transaction good;
  gateway(good, nothing);
  good.insert(snat(nothing));
  REQUIRE(intent.apply(good).ok());
}

TEST_CASE("a port keeps its key while it lives and gets another on another network") {
  Intent intent = shop();
  const Port web = intent.ports().at("shop/web-2");
  REQUIRE(web.key == 2);
  Transaction t;
  t.update(with<Port>(web, [](Port& p) {
    p.mac = mac_of(77);
    p.key = 9;
  }));
  REQUIRE(intent.apply(t).ok());
  REQUIRE(intent.ports().at("shop/web-2").key == 2);
  Transaction away;
  away.update(with<Port>(web, [](Port& p) {
    p.network = "shop/app-net";
    p.addresses = {Ip4{0x0a000263}};
  }));
  REQUIRE(intent.apply(away).ok());
  REQUIRE(intent.ports().at("shop/web-2").key == 4);
}

TEST_CASE("a transaction reports what it changed and nothing else") {
  Intent intent = shop();
  Transaction t;
  t.update(intent.ports().at("shop/web-1"));
  t.remove(Table::acl, "shop/web-to-app");
  const auto changes = intent.apply(t);
  REQUIRE(changes.ok());
  REQUIRE(changes->size() == 1);
  REQUIRE(name_of(*changes->front().before) == "shop/web-to-app");
  REQUIRE_FALSE(changes->front().after.has_value());
}

TEST_CASE("saved state comes back equal; bytes that are none are refused") {
  const Intent intent = shop();
  const Bytes saved = intent.save();
  const auto loaded = Intent::load(saved);
  REQUIRE(loaded.ok());
  const bool equal = loaded->save() == saved && loaded->ports() == intent.ports();
  REQUIRE(equal);
  REQUIRE_FALSE(Intent::load({}).ok());
  for (std::size_t n = 0; n < saved.size(); n += 7)
    REQUIRE_FALSE(Intent::load(Bytes(saved.begin(), saved.begin() + static_cast<long>(n))).ok());
  RandomStream r(1, "flip");
  for (int i = 0; i < 2000; ++i) {
    Bytes broken = saved;
    broken[r.below(broken.size())] ^= static_cast<std::uint8_t>(1 + r.below(255));
    const auto result = Intent::load(broken);  // may be a valid state; must not crash
    if (!result.ok()) continue;
    const bool stable = Intent::load(result->save())->save() == result->save();
    REQUIRE(stable);
  }
}

TEST_CASE("what a match names cannot go while the match is there") {
  Intent intent = shop();
  Transaction t;
  t.insert(AddressSet{"shop/some", "shop", {{Ip4{0x0a000100}, 24}}});
  Acl acl = by_match("ip4.src == $some && inport == @web && ip4.dst != $app_ip4");
  t.insert(acl);
  REQUIRE(intent.apply(t).ok());
  const Bytes before = intent.save();
  const std::pair<Table, const char*> named[] = {
      {Table::address_set, "shop/some"}, {Table::group, "shop/web"}, {Table::group, "shop/app"}};
  for (const auto& [table, name] : named) {
    Transaction gone;
    gone.remove(table, name);
    for (const char* user : {"shop/web-to-app", "shop/app-to-db"})
      if (intent.acls().contains(user)) gone.remove(Table::acl, user);
    const auto result = intent.apply(gone);
    INFO(name);
    REQUIRE_FALSE(result.ok());
    INFO(result.error().text());
    REQUIRE(result.error().message.find("policy rule 'shop/by-match' matches ") !=
            std::string::npos);
    const bool unchanged = intent.save() == before;
    REQUIRE(unchanged);
  }
  // With the match it can; and a set that comes in the same transaction may be named.
  Transaction both;
  both.remove(Table::address_set, "shop/some");
  acl.match = "ip4.src == $other";
  both.update(acl);
  both.insert(AddressSet{"shop/other", "shop", {{Ip4{0x0a000100}, 24}}});
  const auto done = intent.apply(both);
  INFO((done.ok() ? "" : done.error().text()));
  REQUIRE(done.ok());
  // What is saved brings its mentions back.
  auto loaded = Intent::load(intent.save());
  REQUIRE(loaded.ok());
  Transaction gone;
  gone.remove(Table::address_set, "shop/other");
  REQUIRE_FALSE(loaded->apply(gone).ok());
}

TEST_CASE("a set that grows is measured again in the matches that name it") {
  Intent intent = shop();
  Transaction t;
  AddressSet a{"shop/a", "shop", {}}, b = a;
  b.name = "shop/b";
  for (std::uint32_t i = 0; i < 400; ++i) a.prefixes.push_back({Ip4{0x0b000000 + 2 * i}, 32});
  b.prefixes = {{Ip4{0x0c000000}, 32}};
  t.insert(a).insert(b).insert(by_match("(ip4.src == $a || tcp) && (ip4.dst == $b || udp)"));
  REQUIRE(intent.apply(t).ok());
  for (std::uint32_t i = 1; i < 400; ++i) b.prefixes.push_back({Ip4{0x0c000000 + 2 * i}, 32});
  Transaction grow;
  grow.update(b);
  const auto result = intent.apply(grow);
  REQUIRE_FALSE(result.ok());
  REQUIRE(result.error().message.find("becomes too many") != std::string::npos);
}

TEST_CASE("a VIP keeps its group as long as it is there; two never share one") {
  Intent intent = shop();
  LoadBalancer l;
  l.name = "shop/lb";
  l.tenant = "shop";
  for (std::uint32_t i = 1; i <= 3; ++i) l.vips.push_back({Ip4{0xac1e0000 + i}, 80, {}});
  LoadBalancer other = l;
  other.name = "shop/other";
  Transaction t;
  t.insert(l).insert(other);
  REQUIRE(intent.apply(t).ok());
  const auto vips = [&](const char* name) { return intent.find<Table::load_balancer>(name)->vips; };
  std::set<std::uint32_t> groups;
  for (const char* name : {"shop/lb", "shop/other"})
    for (const Vip& v : vips(name)) groups.insert(v.group);
  REQUIRE(groups.size() == 6);
  REQUIRE(*groups.begin() > 0);
  const std::uint32_t third = vips("shop/lb")[2].group;
  l.vips.erase(l.vips.begin());
  Transaction less;
  less.update(l);
  REQUIRE(intent.apply(less).ok());
  REQUIRE(vips("shop/lb")[1].group == third);
}
