// Policy by expression in real pipelines: random rules against the page in tests/oracle, and what
// connections live through.
#include "datapath/extract.h"
#include "datapath/parse.h"
#include "tests/catch.h"
#include "tests/oracle/acl_oracle.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using namespace weft::control;

namespace {

void bind_all(Lab& lab) {
  unsigned n = 0;
  for (const auto& [name, port] : lab.controller().intent().ports())
    lab.bind(name, n++ % static_cast<unsigned>(lab.host_count()));
}

void apply(Lab& lab, const Transaction& t) {
  const auto done = lab.transact(t);
  INFO((done.ok() ? "" : done.error().text()));
  REQUIRE(done.ok());
  REQUIRE(lab.settle());
  for (unsigned i = 0; i < lab.host_count(); ++i)
    REQUIRE(lab.host(i).sink->errors == std::vector<std::string>{});
  REQUIRE(lab.controller().check_recompute() == "");
}

std::string text_of(const Fate& fate) {
  std::string out;
  for (const Delivery& d : fate.delivered) out += "to " + d.vm + " ";
  for (const Drop& d : fate.drops) out += "drop " + d.reason + " " + std::to_string(d.cookie) + " ";
  return out;
}

Acl rule(const char* name, int priority, AclAction action, const std::string& match,
         AclDirection direction = AclDirection::to_port, const char* group = "shop/app") {
  static std::uint64_t cookies = 3'000'000;
  Acl a;
  a.name = std::string("shop/") + name;
  a.tenant = "shop";
  a.cookie = ++cookies;
  a.action = action;
  a.priority = priority;
  a.direction = direction;
  a.to = {Peer::Kind::group, group, {}};
  a.match = match;
  return a;
}

/// A packet as the logical pipeline sees it: before it is routed, or at the port it is for.
datapath::FlowKey key_at(Lab& lab, const FrameSpec& f, const std::string& from,
                         const std::string& to, AclDirection direction) {
  PacketArena arena;
  PacketPool pool(arena);
  Packet* packet = pool.take();
  build_frame(*packet, f);
  datapath::FlowKey key;
  datapath::extract(*packet, datapath::parse_materialising(*packet), key);
  pool.give(packet);
  const Intent& in = lab.controller().intent();
  const Port& a = in.ports().at(from);
  const Port& b = in.ports().at(to);
  const bool out = direction == AclDirection::from_port;
  const auto set = [&](datapath::Field field, std::uint64_t value) {
    datapath::write_field(key, datapath::info(field), Ip6{0, value});
  };
  set(datapath::Field::metadata, in.networks().at(out ? a.network : b.network).vni);
  set(datapath::Field::reg14, out || a.network == b.network ? a.key : 0);
  set(datapath::Field::reg15, out ? 0 : b.key);
  return key;
}

std::string random_match(RandomStream& r, bool sent) {
  static const std::vector<std::string> parts = {
      "ip4.src == $some",
      "ip4.dst == $some",
      "ip6.src == $web_ip6",
      "ip4.dst == $app_ip4",
      "inport == @web",
      "inport == {\"web-1\", \"db-2\"}",
      "tcp.dst == {80, 443}",
      "udp.dst >= 80 && udp.dst < 400",
      "tcp.dst != 80",
      "!(udp.dst == 443 || tcp.dst == 443)",
      "ip6",
      "icmp4 || icmp6",
      "ip4.src == 10.0.1.0/24",
      "tcp.src >= 20000",
      "ip.ttl < 255 && ip",
      "outport == @app",
      "outport == {\"db-1\", \"app-1\", \"web-3\"}",
  };
  std::string out;
  const auto n = 1 + r.below(3);
  const char* glue = r.below(3) == 0 ? " || " : " && ";
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::string& part = parts[r.below(parts.size() - (sent ? 2 : 0))];
    out += (i == 0 ? "(" : glue + std::string("(")) + part + ")";
  }
  return out;
}

}  // namespace

TEST_CASE("random rules by expression decide as the page in tests/oracle says") {
  const std::uint64_t seed = GENERATE(range(1, 25));
  Lab lab(seed, 2, seed % 3 == 0 ? Style::central : Style::hybrid, TunnelType::geneve);
  RandomStream r(seed, "acl");
  REQUIRE(lab.transact(three_tier("shop", 100, 3, true, r.below(2) == 0)).ok());
  Transaction t;
  t.remove(Table::acl, "shop/web-to-app");
  t.remove(Table::acl, "shop/app-to-db");
  t.insert(AddressSet{"shop/some", "shop", {{Ip4{0x0a00010a}, 31}, {Ip4{0x0a000200}, 24}}});
  std::vector<std::string> all;
  const char* tiers[] = {"web", "app", "db"};
  for (unsigned i = 0; i < 14; ++i) {
    const bool sent = r.below(3) == 0;
    Acl a = rule(("rule-" + std::to_string(i)).c_str(), static_cast<int>(10 * i + r.below(9)),
                 static_cast<AclAction>(r.below(5)), random_match(r, sent),
                 sent ? AclDirection::from_port : AclDirection::to_port);
    const std::string tier = std::string("shop/") + tiers[r.below(3)];
    a.to = r.below(2) == 0 ? Peer{Peer::Kind::group, tier, {}}
                           : Peer{Peer::Kind::network, tier + "-net", {}};
    a.tier = static_cast<int>(r.below(Acl::kTiers));
    a.spare_established = r.below(2) == 0;
    all.push_back(a.name + " " + a.match);
    t.insert(a);
  }
  const auto applied = lab.transact(t);
  INFO((applied.ok() ? "" : applied.error().text()));
  REQUIRE(applied.ok());
  bind_all(lab);
  REQUIRE(lab.settle());
  for (unsigned i = 0; i < 2; ++i) REQUIRE(lab.host(i).sink->errors == std::vector<std::string>{});
  REQUIRE(lab.controller().check_recompute() == "");

  const Intent& in = lab.controller().intent();
  std::vector<std::string> names;
  for (const auto& [name, port] : in.ports()) names.push_back(name);
  std::uint16_t source_port = 19'800;
  unsigned denied = 0, allowed = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string from = names[r.below(names.size())];
    const std::string to = names[r.below(names.size())];
    if (from == to) continue;
    FrameSpec f = lab.between(from, to, r.below(2) == 0);
    const std::uint8_t protocols[] = {wire::kProtoTcp, wire::kProtoUdp, wire::kProtoIcmp};
    f.protocol = protocols[r.below(3)];
    f.src_port = ++source_port;
    const std::uint16_t ports[] = {80, 443, 81, 399, 5000};
    f.dst_port = ports[r.below(5)];
    AclVerdict want = judge_acls(in, from, AclDirection::from_port,
                                 key_at(lab, f, from, to, AclDirection::from_port));
    const bool untracked = want.stateless;
    if (want.allowed)
      want = judge_acls(in, to, AclDirection::to_port,
                        key_at(lab, f, from, to, AclDirection::to_port));
    const Fate fate = lab.send_frame(from, f);
    INFO(from << " to " << to << " " << f.to.text() << " protocol " << int(f.protocol) << " port "
              << f.src_port << " " << f.dst_port << ": " << text_of(fate) << "; want "
              << want.text());
    if (want.allowed) {
      ++allowed;
      REQUIRE(fate.receivers() == std::set<std::string>{to});
      continue;
    }
    ++denied;
    REQUIRE(!fate.drops.empty());
    REQUIRE(fate.drops[0].reason == "policy");
    REQUIRE(fate.drops[0].cookie == want.cookies.front());
    // The answer to a packet that was not tracked belongs to no connection.
    if (want.rejects && untracked) continue;
    REQUIRE(fate.drops.size() == 1);
    REQUIRE(fate.receivers() ==
            (want.rejects ? std::set<std::string>{from} : std::set<std::string>{}));
  }
  REQUIRE(allowed + denied > 300);
}

TEST_CASE("established connections: cut, spared, and untouched where a rule is stateless") {
  Lab lab(2, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, true, true)).ok());
  bind_all(lab);
  REQUIRE(lab.settle());
  FrameSpec f = lab.between("shop/web-1", "shop/app-1", false);
  FrameSpec back = lab.between("shop/app-1", "shop/web-1", false);
  const auto forth_works = [&] { return !lab.send_frame("shop/web-1", f).delivered.empty(); };
  const auto back_works = [&] { return !lab.send_frame("shop/app-1", back).delivered.empty(); };
  const auto open = [&](std::uint16_t port) {
    f.src_port = port;
    f.tcp_flags = wire::TcpHeader::kSyn;
    back.dst_port = port;
    back.src_port = f.dst_port;
    back.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
    const bool opened = forth_works() && back_works();
    f.tcp_flags = back.tcp_flags = wire::TcpHeader::kAck;
    return opened;
  };
  const bool spare = GENERATE(false, true);
  const auto direction = GENERATE(AclDirection::to_port, AclDirection::from_port);
  REQUIRE(open(1000));
  REQUIRE((forth_works() && back_works()));
  Acl deny = rule("deny", 500, AclAction::drop, "tcp.dst == 80", direction,
                  direction == AclDirection::to_port ? "shop/app" : "shop/web");
  deny.spare_established = spare;
  Transaction t;
  t.insert(deny);
  apply(lab, t);
  REQUIRE(forth_works() == spare);
  REQUIRE(back_works() == spare);
  REQUIRE_FALSE(open(1001));
  // An allowance above it brings the old connection back.
  t = {};
  t.insert(rule("allow", 600, AclAction::allow, "tcp.dst == 80", direction,
                direction == AclDirection::to_port ? "shop/app" : "shop/web"));
  apply(lab, t);
  f.src_port = 1000;
  back.dst_port = 1000;
  f.tcp_flags = back.tcp_flags = wire::TcpHeader::kAck;
  REQUIRE(forth_works());
  REQUIRE(back_works());
  REQUIRE(open(1002));
}

TEST_CASE("a set of thousands is taken apart: one member more is one part more") {
  Lab lab(3, 2, Style::hybrid, TunnelType::geneve, {}, false);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, true)).ok());
  bind_all(lab);
  AddressSet set{"shop/big", "shop", {}};
  for (std::uint32_t i = 0; i < 2000; ++i) set.prefixes.push_back({Ip4{0x0b000000 + 2 * i}, 32});
  Transaction t;
  t.insert(set);
  t.insert(rule("big", 100, AclAction::allow, "ip4.src == $big && tcp.dst == 80"));
  apply(lab, t);
  const auto operations = [&] {
    std::uint64_t n = 0;
    for (unsigned i = 0; i < 2; ++i) n += lab.host(i).sink->operations;
    return n;
  };
  const auto before = operations();
  set.prefixes.push_back({Ip4{0x0c000001}, 32});
  t = {};
  t.update(set);
  apply(lab, t);
  REQUIRE(operations() - before == 2);  // one rule on each of two hypervisors
}
