// Verification against its slow twins: packets sent through real pipelines, and the page that says
// who may talk to whom.
#include "control/verify.h"

#include "control/reach_summary.h"
#include "control/reach_table.h"
#include "control/verify_diff.h"
#include "tests/catch.h"
#include "tests/oracle/control_policy.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using control::Acl;
using control::AclProtocol;
using control::Peer;
using control::Verification;
using control::Verifier;

namespace {

/// Three tiers of three ports whose policy is drawn: rules between peers, and, if `wild`, rules by
/// expression in both directions and several tiers.
control::Transaction drawn(std::uint64_t seed, bool wild) {
  RandomStream r(seed, "drawn");
  control::Transaction t = three_tier("shop", 100, 3, true, r.below(2) == 0);
  t.remove(control::Table::acl, "shop/web-to-app");
  if (r.below(2) == 0) t.remove(control::Table::acl, "shop/app-to-db");
  t.insert(control::AddressSet{"shop/few", "shop", {{Ip4{0x0a00010a}, 31}, {Ip4{0x0a000200}, 24}}});
  const std::array<std::string, 3> tiers = {"web", "app", "db"};
  const auto tier = [&] { return tiers[r.below(3)]; };
  const auto peer = [&]() -> Peer {
    const std::string name = "shop/" + tier();
    switch (r.below(6)) {
      case 0:
        return {};
      case 1:
        return {Peer::Kind::port, name + "-" + std::to_string(1 + r.below(3)), {}};
      case 2:
        return {Peer::Kind::network, name + "-net", {}};
      case 3:
        return {Peer::Kind::address_set, "shop/few", {}};
      default:
        return {Peer::Kind::group, name, {}};
    }
  };
  const std::vector<std::string> expressions = {
      "ip4 && tcp.dst == {22, 80}",
      "ip4.src == $web_ip4 && udp",
      "inport == \"shop/web-1\" || ip6.dst == fd00:0:0:2::/64",
      "ip && 100 <= tcp.dst <= 1500 && tcp.src != 40000",
      "icmp4 || icmp6",
      "eth.dst == 01:00:00:00:00:00/01:00:00:00:00:00",
      "ip4.dst == 10.0.2.11 && ip.proto != 17"};
  for (unsigned i = 0; i < 10; ++i) {
    Acl a;
    a.name = "shop/rule-" + std::to_string(i);
    a.tenant = "shop";
    a.cookie = 7000 + i;
    a.action = r.below(2) == 0 ? control::AclAction::allow : control::AclAction::drop;
    a.priority = static_cast<int>(r.below(4));
    if (wild && r.below(2) == 0) {
      a.match = expressions[r.below(expressions.size())];
      a.to = {Peer::Kind::group, "shop/" + tier(), {}};
      a.direction =
          r.below(2) == 0 ? control::AclDirection::to_port : control::AclDirection::from_port;
      a.tier = static_cast<int>(r.below(2));
      if (r.below(4) == 0) a.action = control::AclAction::pass;
    } else {
      a.from = peer();
      a.to = peer();
      a.protocol = static_cast<AclProtocol>(r.below(4));
      if (a.protocol == AclProtocol::tcp || a.protocol == AclProtocol::udp)
        for (auto n = r.below(3); n > 0; --n) {
          const auto first = static_cast<std::uint16_t>(r.below(2000));
          a.ports.push_back({first, static_cast<std::uint16_t>(first + r.below(900))});
        }
    }
    t.insert(a);
  }
  return t;
}

control::Intent intent_of(const control::Transaction& t) {
  control::Intent intent;
  const auto applied = intent.apply(t);
  INFO((applied.ok() ? "" : applied.error().text()));
  REQUIRE(applied.ok());
  return intent;
}

datapath::FlowKey key_of(const FrameSpec& f) {
  namespace at = datapath::place;
  datapath::FlowKey key;
  const bool is6 = f.from.is6, icmp = f.protocol == wire::kProtoIcmp;
  key.set(at::eth_src, f.src.to_u64());
  key.set(at::eth_dst, f.dst.to_u64());
  key.set(at::eth_type, is6 ? 0x86dd : 0x0800);
  key.set128(at::ip_src, f.from.bits);
  key.set128(at::ip_dst, f.to.bits);
  key.set(at::nw_proto, icmp && is6 ? 58 : f.protocol);
  key.set(at::nw_ttl, f.ttl);
  key.set(at::tp_src, icmp ? (is6 ? 128 : 8) : f.src_port);
  key.set(at::tp_dst, icmp ? 0 : f.dst_port);
  return key;
}

/// TCP, UDP and echo requests.
FrameSpec frame_of(const datapath::FlowKey& key) {
  namespace at = datapath::place;
  FrameSpec f;
  const bool is6 = key.is_ip6();
  f.src = Mac::from_u64(key.get(at::eth_src));
  f.dst = Mac::from_u64(key.get(at::eth_dst));
  const auto address = [&](unsigned word) {
    const Ip6 a = key.get128(word);
    return is6 ? IpAddress(a) : IpAddress(Ip4{static_cast<std::uint32_t>(a.low)});
  };
  f.from = address(at::ip_src);
  f.to = address(at::ip_dst);
  const std::uint64_t protocol = key.get(at::nw_proto);
  f.protocol = protocol == 58 ? wire::kProtoIcmp : static_cast<std::uint8_t>(protocol);
  f.src_port = static_cast<std::uint16_t>(key.get(at::tp_src));
  f.dst_port = static_cast<std::uint16_t>(key.get(at::tp_dst));
  return f;
}

std::vector<std::string> names_of(const control::Intent& intent) {
  std::vector<std::string> out;
  for (const auto& [name, port] : intent.ports()) out.push_back(name);
  return out;
}

bool delivers(const Verification& v, const std::string& from, const std::string& to,
              const FrameSpec& f) {
  const control::Reach* reach = v.between(from, to);
  if (reach == nullptr) return false;
  const datapath::FlowKey key = key_of(f);
  return std::any_of(reach->arrivals.begin(), reach->arrivals.end(),
                     [&](const control::Arrival& a) { return a.sent.contains(key); });
}

std::string summary(const Verification& v, const std::string& from, const std::string& to) {
  const control::Reach* reach = v.between(from, to);
  return reach == nullptr ? "nothing" : control::ReachSummary::of(*reach).text(true, true);
}

}  // namespace

TEST_CASE("what verify says arrives is what the page of the oracle allows") {
  const std::uint64_t seed = GENERATE(range(1, 7));
  const control::Intent intent = intent_of(drawn(seed, false));
  const auto v = control::verify(intent, {{}, false});
  INFO((v.ok() ? "" : v.error().text()));
  REQUIRE(v.ok());
  Lab lab(seed, 1, control::Style::hybrid, control::TunnelType::geneve, {}, false);
  REQUIRE(lab.transact(drawn(seed, false)).ok());
  RandomStream r(seed, "attempts");
  const auto names = names_of(intent);
  for (const std::string& from : names)
    for (const std::string& to : names) {
      if (from == to) continue;
      for (int i = 0; i < 20; ++i) {
        FrameSpec f = lab.between(from, to, r.below(2) == 0);
        const auto protocol = static_cast<AclProtocol>(1 + r.below(3));
        f.protocol = protocol == AclProtocol::tcp   ? wire::kProtoTcp
                     : protocol == AclProtocol::udp ? wire::kProtoUdp
                                                    : wire::kProtoIcmp;
        f.dst_port = static_cast<std::uint16_t>(r.below(3000));
        const Answer want = judge(intent, {from, to, f.from, f.to, protocol, f.dst_port});
        INFO(from << " to " << to << " " << f.to.text() << " protocol " << int(f.protocol)
                  << " port " << f.dst_port << "; " << summary(*v, from, to));
        REQUIRE(delivers(*v, from, to, f) == (want.kind == Answer::Kind::delivered));
      }
    }
}

TEST_CASE("what verify says arrives is what pipelines deliver, whatever is sent") {
  const std::uint64_t seed = GENERATE(range(1, 8));
  Lab lab(seed, 2, control::Style::hybrid, control::TunnelType::geneve);
  REQUIRE(lab.transact(drawn(seed, true)).ok());
  const control::Intent& intent = lab.controller().intent();
  unsigned n = 0;
  const auto names = names_of(intent);
  for (const std::string& name : names) lab.bind(name, n++ % 2);
  REQUIRE(lab.settle());
  const auto v = control::verify(intent, {{}, false});
  INFO((v.ok() ? "" : v.error().text()));
  REQUIRE(v.ok());

  RandomStream r(seed, "packets");
  std::uint16_t source_port = 20000;
  for (int i = 0; i < 800; ++i) {
    const std::string from = names[r.below(names.size())], to = names[r.below(names.size())];
    if (from == to) continue;
    FrameSpec f = lab.between(from, to, r.below(2) == 0);
    const FrameSpec other = lab.between(from, names[r.below(names.size())], f.from.is6);
    switch (r.below(8)) {
      case 0:
        f.dst = other.dst;  // an address behind another MAC
        break;
      case 1:
        f.dst = Mac::broadcast();
        break;
      case 2:
        f.from = other.to;  // somebody else's
        break;
      default:
        break;
    }
    const std::array<std::uint8_t, 3> protocols = {wire::kProtoTcp, wire::kProtoUdp,
                                                   wire::kProtoIcmp};
    f.protocol = protocols[r.below(3)];
    f.src_port = ++source_port;
    f.dst_port = static_cast<std::uint16_t>(r.below(3000));
    const std::set<std::string> receivers = lab.send_frame(from, f).receivers();
    for (const std::string& receiver : names) {
      if (receiver == from) continue;
      INFO(from << " to " << f.to.text() << " behind " << f.dst.text() << " protocol "
                << int(f.protocol) << " port " << f.dst_port << " at " << receiver << "; "
                << summary(*v, from, receiver));
      REQUIRE(delivers(*v, from, receiver, f) == receivers.contains(receiver));
    }
  }
  // The other way round: the packet that it gives as an example is delivered.
  for (const auto& [pair, reach] : v->reach) {
    const std::string &from = v->classes[pair.first].ports[0],
                      &to = v->classes[pair.second].ports[0];
    const auto example = control::example_packet(intent, reach, from, to);
    REQUIRE(example);
    INFO(from << " to " << to << ": " << example->packet);
    const auto parsed = datapath::parse_match(example->packet);
    REQUIRE(parsed.ok());
    FrameSpec f = frame_of(parsed->value);
    f.src_port = ++source_port;
    if (delivers(*v, from, to, f)) REQUIRE(lab.send_frame(from, f).receivers().contains(to));
  }
}

TEST_CASE("a class's ports are treated alike") {
  const std::uint64_t seed = GENERATE(range(1, 8));
  const control::Intent intent = intent_of(drawn(seed, true));
  const auto by_class = control::verify(intent, {{}, true});
  const auto by_port = control::verify(intent, {{}, false});
  REQUIRE(by_class.ok());
  REQUIRE(by_port.ok());
  REQUIRE(by_port->classes.size() == 9);
  REQUIRE(by_class->classes.size() < 9);
  for (const std::string& from : names_of(intent))
    for (const std::string& to : names_of(intent)) {
      if (from == to) continue;
      INFO(from << " to " << to);
      REQUIRE(summary(*by_class, from, to) == summary(*by_port, from, to));
    }
  REQUIRE(by_class->idle.size() == by_port->idle.size());
}

TEST_CASE("a rule that goes is seen in the comparison, with packets that show it") {
  const std::uint64_t seed = GENERATE(range(1, 7));
  const control::Transaction all = drawn(seed, false);
  const control::Intent before = intent_of(all);
  RandomStream r(seed, "victim");
  std::vector<std::string> rules;
  for (const auto& [name, acl] : before.acls()) rules.push_back(name);
  control::Transaction fewer = all;
  const std::string gone = rules[r.below(rules.size())];
  fewer.remove(control::Table::acl, gone);
  const control::Intent after = intent_of(fewer);
  const auto changes = control::compare_reach(before, after);
  INFO((changes.ok() ? "" : changes.error().text()));
  REQUIRE(changes.ok());

  // The page of the oracle, at every port where something can change.
  std::set<std::uint16_t> edges = {0, 80};
  for (const auto& [name, acl] : before.acls())
    for (const auto& range : acl.ports) {
      edges.insert(range.first);
      edges.insert(static_cast<std::uint16_t>(range.last + 1));
    }
  Lab lab(seed, 1, control::Style::hybrid, control::TunnelType::geneve, {}, false);
  REQUIRE(lab.transact(all).ok());
  const auto in = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (const std::string& from : names_of(before))
    for (const std::string& to : names_of(before)) {
      if (from == to) continue;
      bool opened = false, closed = false;
      for (const bool is6 : {false, true})
        for (const auto protocol :
             {AclProtocol::any, AclProtocol::icmp, AclProtocol::tcp, AclProtocol::udp})
          for (const std::uint16_t port : edges) {
            const FrameSpec f = lab.between(from, to, is6);
            const Attempt attempt{from, to, f.from, f.to, protocol, port};
            const bool was = judge(before, attempt).kind == Answer::Kind::delivered;
            const bool is = judge(after, attempt).kind == Answer::Kind::delivered;
            opened = opened || (is && !was);
            closed = closed || (was && !is);
          }
      const auto change = std::find_if(
          changes->begin(), changes->end(),
          [&](const control::ReachChange& c) { return in(c.from, from) && in(c.to, to); });
      INFO("without " << gone << ": " << from << " to " << to);
      // Rules between peers know a port by its addresses: a link-local source is nobody's to them.
      const auto differs = [](const std::optional<control::ExamplePacket>& example) {
        return example && example->packet.find("ipv6_src=fe80") == std::string::npos;
      };
      const bool allowed = change != changes->end() && differs(change->allowed_example);
      const bool forbidden = change != changes->end() && differs(change->forbidden_example);
      // On one network packets for other addresses get there, too.
      const bool same = before.ports().at(from).network == before.ports().at(to).network;
      REQUIRE((allowed == opened || (same && !opened)));
      REQUIRE((forbidden == closed || (same && !closed)));
    }
  REQUIRE(control::compare_reach(before, before)->empty());
}

TEST_CASE("rules that decide nothing are named, and those above them") {
  control::Transaction t = three_tier("shop", 100, 2, true);
  Acl narrow;
  narrow.name = "shop/narrow";
  narrow.tenant = "shop";
  narrow.cookie = 500;
  narrow.priority = 50;
  narrow.action = control::AclAction::drop;
  narrow.from = {Peer::Kind::port, "shop/web-1", {}};
  narrow.to = {Peer::Kind::group, "shop/app", {}};
  narrow.protocol = AclProtocol::tcp;
  narrow.ports = {{8080, 8080}};
  t.insert(narrow);
  Acl strange = narrow;
  strange.name = "shop/strange";
  strange.cookie = 501;
  strange.from = {Peer::Kind::prefix, "", {Ip4{0xc0a80000}, 16}};  // nobody has such an address
  t.insert(strange);
  const auto v = control::verify(intent_of(t));
  REQUIRE(v.ok());
  REQUIRE(v->idle.size() == 2);
  REQUIRE(v->idle[0].row == control::RowId{control::Table::acl, "shop/narrow"});
  REQUIRE(v->idle[0].shadowed);
  REQUIRE(v->idle[0].by == std::vector<control::RowId>{{control::Table::acl, "shop/web-to-app"}});
  REQUIRE(v->idle[1].row == control::RowId{control::Table::acl, "shop/strange"});
  REQUIRE_FALSE(v->idle[1].shadowed);
}

TEST_CASE("the table speaks of groups where their ports are alike, and of ports where not") {
  control::Transaction t = three_tier("shop", 100, 3, true);
  Acl more;
  more.name = "shop/more";
  more.tenant = "shop";
  more.cookie = 500;
  more.from = {Peer::Kind::port, "shop/web-2", {}};
  more.to = {Peer::Kind::group, "shop/db", {}};
  more.protocol = AclProtocol::udp;
  t.insert(more);
  const control::Intent intent = intent_of(t);
  const auto v = control::verify(intent);
  REQUIRE(v.ok());
  std::vector<std::string> lines;
  for (const auto& row : control::reach_table(intent, *v)) {
    std::string from = row.from, to = row.to;
    for (const std::string& p : row.from_ports) from += " " + p;
    for (const std::string& p : row.to_ports) to += " " + p;
    lines.push_back(from + " -> " + to + ": " + row.text);
  }
  REQUIRE(lines == std::vector<std::string>{"group shop/app -> group shop/db: tcp 5432",
                                            "group shop/web -> group shop/app: tcp 8080",
                                            "group shop/web shop/web-2 -> group shop/db: udp"});
}

TEST_CASE("what cannot be verified is said, not guessed") {
  const auto run = [](const std::string& rule) {
    std::vector<datapath::Rule> rules = {datapath::parse_rule(rule).value()};
    control::SymbolicTables tables(std::move(rules), {}, {});
    struct : control::SymbolicTables::Visitor {
      bool wants(std::uint8_t, const control::Beam&) override { return true; }
      void deliver(std::uint32_t, const control::Beam&) override {}
      bool asks_about(std::size_t) override { return false; }
      void used(std::size_t) override {}
      void hidden(std::size_t, const std::vector<std::size_t>&) override {}
    } visitor;
    const auto done = tables.run(0, control::Beam{}, visitor);
    return done.ok() ? std::string() : done.error().message;
  };
  REQUIRE(run("table=0,actions=output:1") == "");
  for (const char* rule : {"table=0,actions=flood", "table=0,actions=push_vlan:0x8100,output:1",
                           "table=0,actions=group:7", "table=0,actions=dec_ttl,output:1",
                           "table=0,actions=output:NXM_NX_REG3[]"}) {
    INFO(rule);
    REQUIRE(run(rule).starts_with("cannot verify: rule `"));
  }
  REQUIRE(run("table=0,actions=resubmit(,0)") == "");  // ends as in the switch
}

TEST_CASE("sets of ports") {
  using control::AclPorts;
  using control::PortSet;
  REQUIRE(PortSet({{5, 9}, {1, 4}, {20, 20}}).text() == "1-9,20");
  REQUIRE(PortSet({{0, 21}, {23, 65535}}).complement().text() == "22");
  REQUIRE(PortSet().complement().is_everything());
  REQUIRE(PortSet::matching(0x50, 0xfff0).text() == "80-95");
  REQUIRE(PortSet::matching(0, 0xfffe & 0xff0f).ranges().size() == 16);
}
