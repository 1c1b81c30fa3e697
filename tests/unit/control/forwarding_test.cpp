// Compiled rules in real pipelines: who reaches whom, and what the switch answers itself.
#include "control/logical.h"
#include "tests/catch.h"
#include "tests/oracle/control_policy.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using control::Style;
using control::TunnelType;

namespace {

void bind_all(Lab& lab) {
  unsigned n = 0;
  for (const auto& [name, port] : lab.controller().intent().ports())
    lab.bind(name, n++ % static_cast<unsigned>(lab.host_count()));
}

std::string errors_of(Lab& lab) {
  for (unsigned i = 0; i < lab.host_count(); ++i)
    if (!lab.host(i).sink->errors.empty()) return lab.host(i).sink->errors.front();
  return {};
}

std::string text_of(const Fate& fate) {
  std::string out;
  for (const Delivery& d : fate.delivered) out += "to " + d.vm + " ";
  for (const Drop& d : fate.drops) out += "drop " + d.reason + " ";
  return out;
}

}  // namespace

TEST_CASE("every pair of ports talks exactly when the intent says so") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const auto style = GENERATE(Style::hybrid, Style::central);
  Lab lab(1, 3, style, tunnel);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, true)).ok());
  REQUIRE(lab.transact(three_tier("shed", 200, 2, false)).ok());  // same addresses, no policy
  bind_all(lab);
  REQUIRE(lab.settle());
  REQUIRE(errors_of(lab) == "");

  std::uint16_t source_port = 1000;
  unsigned delivered = 0, refused = 0;
  for (const auto& [from, a] : lab.controller().intent().ports())
    for (const auto& [to, b] : lab.controller().intent().ports()) {
      if (from == to) continue;
      // Another tenant's port has the address of one of ours: never send to that by mistake.
      if (from.substr(0, 4) != to.substr(0, 4)) continue;
      for (bool is6 : {false, true})
        for (std::uint16_t port : {8080, 5432, 22}) {
          FrameSpec f = lab.between(from, to, is6);
          f.src_port = ++source_port;
          f.dst_port = port;
          const Answer want = judge(lab.controller().intent(),
                                    {from, to, f.from, f.to, control::AclProtocol::tcp, port});
          const Fate fate = lab.send_frame(from, f);
          INFO(from << " to " << to << " port " << port << " ipv6 " << is6 << ": "
                    << text_of(fate));
          if (want.kind == Answer::Kind::delivered) {
            REQUIRE(fate.receivers() == std::set<std::string>{to});
            REQUIRE(fate.drops.empty());
            const bool same_host = lab.host_of(from) == lab.host_of(to);
            REQUIRE(fate.tunnelled == (same_host ? 0u : 1u));
            ++delivered;
            // The answer passes although no rule allows that direction.
            FrameSpec r = lab.between(to, from, is6);
            r.src_port = f.dst_port;
            r.dst_port = f.src_port;
            r.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
            const Fate back = lab.send_frame(to, r);
            INFO("answer: " << text_of(back));
            REQUIRE(back.receivers() == std::set<std::string>{from});
          } else {
            REQUIRE(fate.delivered.empty());
            REQUIRE(fate.drops.size() == 1);
            REQUIRE(fate.drops[0].reason == "policy");
            REQUIRE(fate.drops[0].cookie == want.cookie);
            const auto meaning = lab.controller().describe_cookie(fate.drops[0].cookie);
            REQUIRE(meaning);
            REQUIRE(meaning->name == "default");
            REQUIRE(meaning->tenant == "shop");
            ++refused;
          }
        }
    }
  REQUIRE(delivered > 100);
  REQUIRE(refused > 100);
}

TEST_CASE("a routed packet has a lower TTL, the router's source MAC and the port's destination") {
  Lab lab(2, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 1, false)).ok());
  lab.bind("shop/web-1", 0);
  lab.bind("shop/app-1", 1);
  REQUIRE(lab.settle());
  FrameSpec f = lab.between("shop/web-1", "shop/app-1", false);
  const Fate fate = lab.send_frame("shop/web-1", f);
  REQUIRE(fate.delivered.size() == 1);
  const auto& frame = fate.delivered[0].frame;
  REQUIRE(Mac{{frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]}} == mac_of(0x20001));
  REQUIRE(Mac{{frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]}} == mac_of(0xff0001));
  REQUIRE(frame[22] == 63);

  SECTION("and at TTL 1 the router answers") {
    for (bool is6 : {false, true}) {
      f = lab.between("shop/web-1", "shop/app-1", is6);
      f.ttl = 1;
      const Fate expired = lab.send_frame("shop/web-1", f);
      REQUIRE(expired.receivers() == std::set<std::string>{"shop/web-1"});
      REQUIRE(expired.drops.size() == 1);
      REQUIRE(expired.drops[0].reason == "route.ttl");
      REQUIRE(expired.delivered[0].frame[is6 ? 54 : 34] == (is6 ? 3 : 11));
    }
  }
  SECTION("and the router answers pings to any of its addresses") {
    for (bool is6 : {false, true})
      for (std::uint32_t net : {1u, 3u}) {
        f = lab.between("shop/web-1", "shop/app-1", is6);
        f.protocol = wire::kProtoIcmp;
        f.to = is6 ? IpAddress(Ip6{0xfd00ULL << 48 | net, 1})
                   : IpAddress(Ip4{0x0a000001u + (net << 8)});
        const Fate echo = lab.send_frame("shop/web-1", f);
        REQUIRE(echo.receivers() == std::set<std::string>{"shop/web-1"});
        REQUIRE(echo.delivered[0].frame[is6 ? 54 : 34] == (is6 ? 129 : 0));
      }
  }
  SECTION("and an address outside all subnets has no route") {
    f.to = Ip4{0x08080808};
    const Fate none = lab.send_frame("shop/web-1", f);
    REQUIRE(none.drops.size() == 1);
    REQUIRE(none.drops[0].reason == "route.none");
  }
  SECTION("and an address of a subnet that no port has is no neighbour") {
    f.to = Ip4{0x0a0002f0};
    const Fate none = lab.send_frame("shop/web-1", f);
    REQUIRE(none.drops.size() == 1);
    REQUIRE(none.drops[0].reason == "route.neighbour");
  }
}

TEST_CASE("ARP is answered locally; announcements reach every port of the network once") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  Lab lab(3, 3, Style::hybrid, tunnel);
  REQUIRE(lab.transact(three_tier("shop", 100, 6, GENERATE(true, false))).ok());
  bind_all(lab);
  REQUIRE(lab.settle());
  const auto& ports = lab.controller().intent().ports();
  const auto& web = ports.at("shop/web-1");

  const auto ask = [&](Ip4 who) {
    return lab.send("shop/web-1",
                    [&](Packet& p) { build_arp(p, 1, web.mac, web.addresses[0].v4(), who); });
  };
  for (const Ip4 who : {ports.at("shop/web-4").addresses[0].v4(), Ip4{0x0a000101}}) {
    const Fate fate = ask(who);
    REQUIRE(fate.receivers() == std::set<std::string>{"shop/web-1"});
    REQUIRE(fate.consumed == 1);
    REQUIRE(fate.tunnelled == 0);
    REQUIRE(fate.delivered[0].frame[21] == 2);
  }
  const Fate announced = ask(web.addresses[0].v4());
  std::set<std::string> others;
  for (const auto& [name, port] : ports)
    if (port.network == web.network && name != web.name) others.insert(name);
  REQUIRE(announced.receivers() == others);
  REQUIRE(announced.delivered.size() == others.size());
  REQUIRE(announced.tunnelled == 2);
}

TEST_CASE("a port that lies about itself is dropped") {
  Lab lab(4, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, false)).ok());
  bind_all(lab);
  REQUIRE(lab.settle());
  const FrameSpec honest = lab.between("shop/web-1", "shop/web-2", false);
  REQUIRE(lab.send_frame("shop/web-1", honest).receivers() == std::set<std::string>{"shop/web-2"});
  FrameSpec wrong_mac = honest;
  wrong_mac.src = mac_of(0x999);
  FrameSpec wrong_ip = honest;
  wrong_ip.from = Ip4{0x0a000163};
  FrameSpec wrong_ip6 = lab.between("shop/web-1", "shop/web-2", true);
  wrong_ip6.from = Ip6{0xfd00ULL << 48 | 1, 0x63};
  for (const FrameSpec& f : {wrong_mac, wrong_ip, wrong_ip6}) {
    const Fate fate = lab.send_frame("shop/web-1", f);
    REQUIRE(fate.delivered.empty());
    REQUIRE(fate.drops.size() == 1);
    REQUIRE(fate.drops[0].reason == "port.security");
  }
  const Fate arp = lab.send("shop/web-1", [&](Packet& p) {
    build_arp(p, 2, honest.src, Ip4{0x0a000163}, Ip4{0x0a00010b});
  });
  REQUIRE(arp.drops.size() == 1);
  REQUIRE(arp.drops[0].reason == "port.security");
}

TEST_CASE("unknown destinations have reasons") {
  Lab lab(5, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, false)).ok());
  lab.bind("shop/web-1", 0);
  lab.bind("shop/app-1", 1);
  REQUIRE(lab.settle());
  FrameSpec f = lab.between("shop/web-1", "shop/web-2", false);  // exists, is nowhere
  Fate fate = lab.send_frame("shop/web-1", f);
  REQUIRE(fate.drops.size() == 1);
  REQUIRE(fate.drops[0].reason == "l2.unknown");
  f.dst = mac_of(0x424242);
  fate = lab.send_frame("shop/web-1", f);
  REQUIRE(fate.drops[0].reason == "l2.unknown");
  REQUIRE(lab.controller().describe_cookie(fate.drops[0].cookie)->name == "l2-lookup");
}

TEST_CASE(
    "while a move is not known everywhere packets end at the old hypervisor; then they follow") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const auto style = GENERATE(Style::hybrid, Style::central);
  Lab lab(6, 3, style, tunnel);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, true)).ok());
  bind_all(lab);
  REQUIRE(lab.settle());
  FrameSpec f = lab.between("shop/web-1", "shop/app-1", false);
  f.dst_port = 8080;
  REQUIRE(lab.send_frame("shop/web-1", f).receivers() == std::set<std::string>{"shop/app-1"});
  FrameSpec answer = lab.between("shop/app-1", "shop/web-1", false);
  answer.src_port = 8080;
  answer.dst_port = f.src_port;
  answer.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
  REQUIRE(lab.send_frame("shop/app-1", answer).receivers() == std::set<std::string>{"shop/web-1"});

  const unsigned old_host = lab.host_of("shop/app-1");
  const unsigned web_host = lab.host_of("shop/web-1");
  unsigned to = 0;
  while (to == old_host || to == web_host) ++to;
  lab.move("shop/app-1", to);
  f.tcp_flags = wire::TcpHeader::kAck;
  if (style == Style::hybrid && old_host != web_host) {
    const Fate early = lab.send_frame("shop/web-1", f);
    REQUIRE(early.delivered.empty());
    REQUIRE(early.drops.size() == 1);
    REQUIRE(early.drops[0].reason == "vm.gone");
  }
  REQUIRE(lab.settle());
  REQUIRE(lab.controller().location_of("shop/app-1") == lab.host(to).name);
  REQUIRE(lab.controller().stats().moves == 1);
  // The established connection goes on in both directions: its state moved along.
  REQUIRE(lab.send_frame("shop/web-1", f).receivers() == std::set<std::string>{"shop/app-1"});
  answer.tcp_flags = wire::TcpHeader::kAck;
  REQUIRE(lab.send_frame("shop/app-1", answer).receivers() == std::set<std::string>{"shop/web-1"});
  for (const std::string& rule : lab.host(old_host).sink->book.rules())
    REQUIRE(rule.find("in_port=" + std::to_string(10 + old_host)) == std::string::npos);
}

TEST_CASE("withdrawing a rule cuts what it had opened; a new rule opens") {
  Lab lab(7, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, true)).ok());
  bind_all(lab);
  REQUIRE(lab.settle());
  FrameSpec f = lab.between("shop/web-1", "shop/app-2", false);
  f.dst_port = 8080;
  REQUIRE(lab.send_frame("shop/web-1", f).delivered.size() == 1);
  FrameSpec answer = lab.between("shop/app-2", "shop/web-1", false);
  answer.src_port = 8080;
  answer.dst_port = f.src_port;
  answer.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
  REQUIRE(lab.send_frame("shop/app-2", answer).delivered.size() == 1);
  f.tcp_flags = wire::TcpHeader::kAck;
  REQUIRE(lab.send_frame("shop/web-1", f).delivered.size() == 1);

  const control::Acl rule = lab.controller().intent().acls().at("shop/web-to-app");
  control::Transaction remove;
  remove.remove(control::Table::acl, "shop/web-to-app");
  REQUIRE(lab.transact(remove).ok());
  REQUIRE(lab.settle());
  const Fate cut = lab.send_frame("shop/web-1", f);
  REQUIRE(cut.delivered.empty());
  REQUIRE(cut.drops[0].reason == "policy");
  control::Transaction again;
  again.insert(rule);
  REQUIRE(lab.transact(again).ok());
  REQUIRE(lab.settle());
  REQUIRE(lab.send_frame("shop/web-1", f).delivered.size() == 1);
}

TEST_CASE("a rule about a port holds for its link-local address as well") {
  Lab lab(31, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, true, true)).ok());
  lab.bind("shop/web-1", 0);
  lab.bind("shop/web-2", 1);
  REQUIRE(lab.settle());
  const control::Port from = lab.controller().intent().ports().at("shop/web-1");
  const control::Port to = lab.controller().intent().ports().at("shop/web-2");
  FrameSpec f{.src = from.mac, .dst = to.mac, .from = control::link_local(from.mac)};
  f.to = to.addresses[1];
  REQUIRE(f.to.is6);
  REQUIRE(lab.send_frame("shop/web-1", f).receivers() == std::set<std::string>{"shop/web-2"});

  control::Acl deny;
  deny.name = "shop/no-web";
  deny.tenant = "shop";
  deny.cookie = 4711;
  deny.action = control::AclAction::drop;
  deny.from = deny.to = {control::Peer::Kind::group, "shop/web", {}};
  control::Transaction t;
  t.insert(deny);
  REQUIRE(lab.transact(t).ok());
  REQUIRE(lab.settle());
  f.src_port = 40001;
  const Fate fate = lab.send_frame("shop/web-1", f);
  REQUIRE(fate.delivered.empty());
  REQUIRE(fate.drops.size() == 1);
  REQUIRE(fate.drops[0].cookie == 4711);
}

TEST_CASE("what a rule rejects is answered, wherever the sender is") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const bool from_port = GENERATE(false, true);
  Lab lab(8, 2, Style::hybrid, tunnel);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, true, true)).ok());
  lab.bind("shop/web-1", 0);
  lab.bind("shop/web-2", GENERATE(0u, 1u));  // same network
  lab.bind("shop/app-1", GENERATE(0u, 1u));  // behind the router
  control::Transaction t;
  for (const char* group : {"web", "app"}) {
    control::Acl a;
    a.name = std::string("shop/no-") + group;
    a.tenant = "shop";
    a.cookie = group[0] == 'w' ? 71 : 72;
    a.action = control::AclAction::reject;
    a.priority = 900;
    a.direction = from_port ? control::AclDirection::from_port : control::AclDirection::to_port;
    a.to = {control::Peer::Kind::group, std::string("shop/") + group, {}};
    a.match = "tcp.dst == 22 || udp.dst == 22";
    t.insert(a);
  }
  const auto applied = lab.transact(t);
  INFO((applied.ok() ? "" : applied.error().text()));
  REQUIRE(applied.ok());
  REQUIRE(lab.settle());
  REQUIRE(errors_of(lab) == "");
  for (const char* to : {"shop/web-2", "shop/app-1"})
    for (const bool is6 : {false, true})
      for (const std::uint8_t protocol : {wire::kProtoTcp, wire::kProtoUdp}) {
        FrameSpec f = lab.between("shop/web-1", to, is6);
        f.protocol = protocol;
        f.dst_port = 22;
        const Fate fate = lab.send_frame("shop/web-1", f);
        INFO(to << " ipv6 " << is6 << " protocol " << int(protocol) << ": " << text_of(fate));
        REQUIRE(fate.receivers() == std::set<std::string>{"shop/web-1"});
        REQUIRE(fate.drops.size() == 1);
        REQUIRE(fate.drops[0].reason == "policy");
        REQUIRE(fate.drops[0].cookie == (from_port || to[5] == 'w' ? 71 : 72));
        const auto& frame = fate.delivered[0].frame;
        const std::size_t l4 = is6 ? 54 : 34;
        if (protocol == wire::kProtoTcp)
          REQUIRE((frame[l4 + 13] & wire::TcpHeader::kRst) != 0);
        else
          REQUIRE(frame[l4] == (is6 ? 1 : 3));
        // It looks as if the port itself had refused.
        const std::size_t source = is6 ? 22 : 26;
        const std::size_t low = is6 ? 37 : 29;
        REQUIRE(frame[low] == static_cast<std::uint8_t>(is6 ? f.to.bits.low : f.to.v4().value));
        REQUIRE(frame[source] == (is6 ? 0xfd : 10));
        REQUIRE(Mac{{frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]}} == f.src);
        f.dst_port = 23;
        REQUIRE(lab.send_frame("shop/web-1", f).receivers() == std::set<std::string>{to});
      }
}

// Random policies against the page in tests/oracle.
TEST_CASE("random policies decide as the page in tests/oracle says") {
  using control::Acl;
  using control::AclProtocol;
  using control::Peer;
  const std::uint64_t seed = GENERATE(range(1, 13));
  Lab lab(seed, 2, Style::hybrid, TunnelType::geneve);
  RandomStream r(seed, "policy");
  REQUIRE(lab.transact(three_tier("shop", 100, 3, true, r.below(2) == 0)).ok());
  control::Transaction t;
  t.remove(control::Table::acl, "shop/web-to-app");
  t.insert(
      control::AddressSet{"shop/some", "shop", {{Ip4{0x0a00010a}, 31}, {Ip4{0x0a000200}, 24}}});
  const auto peer = [&]() -> Peer {
    const char* tiers[] = {"web", "app", "db"};
    const std::string tier = std::string("shop/") + tiers[r.below(3)];
    switch (r.below(6)) {
      case 0:
        return {};
      case 1:
        return {Peer::Kind::group, tier, {}};
      case 2:
        return {Peer::Kind::port, tier + "-" + std::to_string(1 + r.below(3)), {}};
      case 3:
        return {Peer::Kind::network, tier + "-net", {}};
      case 4:
        return {Peer::Kind::prefix,
                "",
                {Ip4{0x0a000000u + ((1 + static_cast<std::uint32_t>(r.below(3))) << 8)}, 24}};
      default:
        return {Peer::Kind::address_set, "shop/some", {}};
    }
  };
  for (unsigned i = 0; i < 12; ++i) {
    Acl a;
    a.name = "shop/rule-" + std::to_string(i);
    a.tenant = "shop";
    a.cookie = 7000 + i;
    a.action = r.below(2) == 0 ? control::AclAction::allow : control::AclAction::drop;
    a.priority = static_cast<int>(r.below(4));
    a.from = peer();
    a.to = peer();
    a.protocol = static_cast<AclProtocol>(r.below(4));
    if (a.protocol == AclProtocol::tcp || a.protocol == AclProtocol::udp)
      for (auto n = r.below(3); n > 0; --n) {
        const auto first = static_cast<std::uint16_t>(r.below(2000));
        a.ports.push_back({first, static_cast<std::uint16_t>(first + r.below(900))});
      }
    t.insert(a);
  }
  auto applied = lab.transact(t);
  INFO((applied.ok() ? "" : applied.error().text()));
  REQUIRE(applied.ok());
  bind_all(lab);
  REQUIRE(lab.settle());
  REQUIRE(errors_of(lab) == "");
  REQUIRE(lab.controller().check_recompute() == "");

  std::vector<std::string> names;
  for (const auto& [name, port] : lab.controller().intent().ports()) names.push_back(name);
  std::uint16_t source_port = 20000;
  for (int i = 0; i < 600; ++i) {
    const std::string from = names[r.below(names.size())];
    const std::string to = names[r.below(names.size())];
    if (from == to) continue;
    FrameSpec f = lab.between(from, to, r.below(2) == 0);
    const auto protocol = static_cast<AclProtocol>(1 + r.below(3));
    f.protocol = protocol == AclProtocol::tcp   ? wire::kProtoTcp
                 : protocol == AclProtocol::udp ? wire::kProtoUdp
                                                : wire::kProtoIcmp;
    f.src_port = ++source_port;
    f.dst_port = static_cast<std::uint16_t>(r.below(3000));
    const Answer want =
        judge(lab.controller().intent(), {from, to, f.from, f.to, protocol, f.dst_port});
    const Fate fate = lab.send_frame(from, f);
    INFO(from << " to " << to << " " << f.to.text() << " protocol " << int(f.protocol) << " port "
              << f.dst_port << ": " << text_of(fate));
    if (want.kind == Answer::Kind::delivered) {
      REQUIRE(fate.receivers() == std::set<std::string>{to});
    } else {
      REQUIRE(fate.delivered.empty());
      REQUIRE(fate.drops.size() == 1);
      const auto meaning = lab.controller().describe_cookie(fate.drops[0].cookie);
      REQUIRE(meaning);
      REQUIRE(meaning->is_policy);
      const auto acl = lab.controller().intent().acls().find(meaning->name);
      const auto wanted = lab.controller().describe_cookie(want.cookie);
      // Two denies of equal priority may both be named.
      if (acl != lab.controller().intent().acls().end()) {
        REQUIRE_FALSE(!acl->second.denies());
        REQUIRE(acl->second.priority == lab.controller().intent().acls().at(wanted->name).priority);
      } else {
        REQUIRE(fate.drops[0].cookie == want.cookie);
      }
    }
  }
}
