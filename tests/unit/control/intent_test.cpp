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
      {"has a match that is none",
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
