// Gateways and NAT: a router whose port on an external network is on one of two hypervisors, with
// the physical network played by the test.
#include "tests/unit/control/routed.h"

using namespace weft;
using namespace weft::test;
using control::Nat;
using control::Style;
using control::TunnelType;

namespace {

constexpr unsigned kOut = 9;  // the external network: 10.0.9.0/24
const Mac kProvider = mac_of(0xaaaaaa);
const Mac kGateway = Plan::router_mac(1, kOut);

/// hv-1 and hv-2 have the external port and are candidates, VMs are on hv-3 and hv-4.
Plan site(bool pinned = false) {
  Plan p;
  for (unsigned n : {1u, 2u, kOut}) p.network(n);
  p.vm(1, 10);
  p.vm(1, 11);
  p.vm(2, 10);
  control::Port out;
  out.name = "t/out";
  out.network = p.net_name(kOut);
  out.mac = kProvider;
  out.addresses = {ip4(10, 0, kOut, 254), ip6(kOut, 254)};
  out.requested = "hv-1";
  out.also = {"hv-2"};
  out.type = control::PortType::external;
  out.security = false;
  p.t.insert(out);
  control::Router r{"t/r", "t", {p.leg(1, 1), p.leg(1, 2), p.leg(1, kOut)}};
  const std::vector<control::Gateway> gateways{{"hv-2", 10}, {"hv-1", 20}};
  (pinned ? r.gateways : r.ports[2].gateways) = gateways;
  p.t.insert(r);
  p.route("t/r", {Ip4{0}, 0}, ip4(10, 0, kOut, 254));
  p.route("t/r", {Ip6{}, 0}, ip6(kOut, 254));
  return p;
}

Nat nat(const std::string& name, Nat::Kind kind, IpAddress external, Prefix logical) {
  Nat n;
  n.name = "t/" + name;
  n.router = "t/r";
  n.kind = kind;
  n.external = external;
  n.logical = logical;
  static std::uint64_t cookies = 700;
  n.cookie = ++cookies;
  return n;
}
Prefix host_of(IpAddress a) { return {a, static_cast<std::uint8_t>(a.is6 ? 128 : 32)}; }

void place(Lab& lab) {
  lab.attach("t/out", 0);
  lab.attach("t/out", 1);
  lab.bind("t/1-10", 2);
  lab.bind("t/1-11", 3);
  lab.bind("t/2-10", 3);
  rests(lab);
}

const IpAddress kWorld4 = ip4(8, 8, 8, 8), kWorld6 = ip6(0x88, 8);

/// From a VM to an address outside, by its router.
FrameSpec outward(const std::string& vm, IpAddress to) {
  const unsigned net = static_cast<unsigned>(vm[2] - '0');
  const unsigned host = static_cast<unsigned>(std::stoul(vm.substr(4)));
  FrameSpec f;
  f.src = mac_of(100 * 0x10000 + net * 0x100 + host);
  f.dst = Plan::router_mac(1, net);
  f.from = to.is6 ? IpAddress(ip6(net, host)) : IpAddress(ip4(10, 0, net, host));
  f.to = to;
  return f;
}
FrameSpec inward(IpAddress from, IpAddress to, std::uint16_t src_port, std::uint16_t dst_port) {
  FrameSpec f;
  f.src = kProvider;
  f.dst = kGateway;
  f.from = from;
  f.to = to;
  f.src_port = src_port;
  f.dst_port = dst_port;
  return f;
}
Fate from_outside(Lab& lab, unsigned host, const FrameSpec& f) {
  return lab.send_at("t/out", host, [&](Packet& p) { build_frame(p, f); });
}

/// The one frame that got out, by the external port of `host`.
const Delivery& out_by(const Fate& fate, unsigned host) {
  INFO(text_of(fate));
  REQUIRE(fate.delivered.size() == 1);
  REQUIRE(fate.delivered[0].vm == "t/out");
  REQUIRE(fate.delivered[0].host == host);
  return fate.delivered[0];
}
const Delivery& to_vm(const Fate& fate, const std::string& vm) {
  INFO(text_of(fate));
  REQUIRE(fate.delivered.size() == 1);
  REQUIRE(fate.delivered[0].vm == vm);
  return fate.delivered[0];
}

}  // namespace

TEST_CASE("what leaves by a gateway port does so on the best hypervisor that is alive") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const auto style = GENERATE(Style::hybrid, Style::central);
  const bool pinned = GENERATE(false, true);
  Lab lab(31, 4, style, tunnel);
  must(lab.transact(site(pinned).t));
  place(lab);
  // A hypervisor that only its controller cannot hear still forwards: the test takes it for dead.
  const auto check = [&](unsigned gateway, bool other_lives = true) {
    INFO("gateway " << gateway);
    for (const bool is6 : {false, true}) {
      const IpAddress world = is6 ? kWorld6 : kWorld4;
      Fate fate = lab.send_frame("t/1-10", outward("t/1-10", world));
      const Delivery& d = out_by(fate, gateway);
      REQUIRE(fate.tunnelled == 1);
      REQUIRE(ttl_of(d) == 63);
      REQUIRE(mac_at(d.frame, 0) == kProvider);
      REQUIRE(mac_at(d.frame, 6) == kGateway);
      // The answer comes in there, and at the other one it does not.
      FrameSpec back = inward(world, outward("t/1-10", world).from, 80, 40000);
      fate = from_outside(lab, gateway, back);
      REQUIRE(ttl_of(to_vm(fate, "t/1-10")) == 63);
      REQUIRE(fate.tunnelled == 1);
      if (!other_lives) continue;
      fate = from_outside(lab, 1 - gateway, back);
      REQUIRE(fate.delivered.empty());
      REQUIRE(fate.tunnelled == 0);
    }
    // So do questions for its address.
    for (const unsigned host : {0u, 1u}) {
      if (host != gateway && !other_lives) continue;
      const Fate asked = lab.send_at("t/out", host, [&](Packet& p) {
        build_arp(p, 1, mac_of(0xbbbbbb), ip4(10, 0, kOut, 77), ip4(10, 0, kOut, 1));
      });
      REQUIRE(asked.tunnelled == 0);
      REQUIRE(asked.delivered.size() == (host == gateway ? 1 : 0));
      if (host == gateway) REQUIRE(mac_at(asked.delivered[0].frame, 6) == kGateway);
    }
  };
  check(0);
  // The first falls silent: its place is taken; it comes back: it has it again.
  lab.silence(0, true);
  lab.run_for(seconds(3));
  check(1, false);
  lab.silence(0, false);
  lab.run_for(seconds(3));
  rests(lab);
  check(0);
  // Nobody is left.
  lab.silence(0, true);
  lab.silence(1, true);
  lab.run_for(seconds(3));
  const Fate lost = lab.send_frame("t/1-10", outward("t/1-10", kWorld4));
  REQUIRE(lost.drops.at(0).reason == "route.none");
}

TEST_CASE("neighbours outside are those that are known and those that spoke") {
  Lab lab(32, 4, Style::hybrid, GENERATE(TunnelType::geneve, TunnelType::vxlan));
  must(lab.transact(site().t));
  place(lab);
  const IpAddress stranger = ip4(10, 0, kOut, 77);
  const Fate unknown = lab.send_frame("t/1-10", outward("t/1-10", stranger));
  REQUIRE(unknown.drops.at(0).reason == "route.neighbour");
  const Fate asked = lab.send_at("t/out", 0, [&](Packet& p) {
    build_arp(p, 1, mac_of(0xbbbbbb), stranger.v4(), ip4(10, 0, kOut, 1));
  });
  REQUIRE(asked.delivered.size() == 1);
  const Fate known = lab.send_frame("t/1-10", outward("t/1-10", stranger));
  REQUIRE(mac_at(out_by(known, 0).frame, 0) == mac_of(0xbbbbbb));
  // It moves to another card.
  lab.send_at("t/out", 0,
              [&](Packet& p) { build_arp(p, 2, mac_of(0xcccccc), stranger.v4(), stranger.v4()); });
  const Fate moved = lab.send_frame("t/1-10", outward("t/1-10", stranger));
  REQUIRE(mac_at(out_by(moved, 0).frame, 0) == mac_of(0xcccccc));
}

TEST_CASE("source NAT at the gateway, with ports, and its replies and errors back") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const bool pinned = GENERATE(false, true);
  Lab lab(33, 4, GENERATE(Style::hybrid, Style::central), tunnel);
  Plan p = site(pinned);
  const IpAddress mine4 = ip4(10, 0, kOut, 1), mine6 = ip6(kOut, 5);
  Nat four = nat("snat", Nat::Kind::snat, mine4, {ip4(10, 0, 1, 0), 24});
  four.external_ports = {5000, 5999};
  p.t.insert(four);
  p.t.insert(nat("snat6", Nat::Kind::snat, mine6, {ip6(1, 0), 64}));
  must(lab.transact(p.t));
  place(lab);
  for (const bool is6 : {false, true}) {
    const IpAddress world = is6 ? kWorld6 : kWorld4, mine = is6 ? mine6 : mine4;
    std::set<std::uint16_t> used;
    for (const std::string vm : {"t/1-10", "t/1-11"}) {
      FrameSpec f = outward(vm, world);
      const Fate sent = lab.send_frame(vm, f);
      const Delivery& d = out_by(sent, 0);
      REQUIRE(source_of(d) == mine);
      REQUIRE(ttl_of(d) == 63);
      const std::uint16_t port = source_port_of(d);
      if (!is6) REQUIRE((port >= 5000 && port <= 5999));
      REQUIRE(used.insert(port).second);
      FrameSpec back = inward(world, mine, f.dst_port, port);
      back.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
      const Fate answer = from_outside(lab, 0, back);
      const Delivery& got = to_vm(answer, vm);
      REQUIRE(destination_of(got) == f.from);
      REQUIRE(destination_port_of(got) == f.src_port);
      REQUIRE(source_of(got) == world);
    }
    // What nobody asked for ends at the gateway.
    const Fate uninvited = from_outside(lab, 0, inward(world, mine, 1, 4999));
    REQUIRE(uninvited.delivered.empty());
    REQUIRE(uninvited.drops.at(0).reason == "route.none");
    // Another network is not translated.
    const Fate plain = lab.send_frame("t/2-10", outward("t/2-10", world));
    REQUIRE(source_of(out_by(plain, 0)) == outward("t/2-10", world).from);
  }
  // Its own address answers pings from outside all the same.
  FrameSpec ping = inward(kWorld4, mine4, 7, 0);
  ping.protocol = wire::kProtoIcmp;
  const Fate echo = from_outside(lab, 0, ping);
  REQUIRE(out_by(echo, 0).frame[34] == 0);
}

TEST_CASE("a floating address is reached from outside, leaves with it, and is seen inside too") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const bool pinned = GENERATE(false, true);
  Lab lab(34, 4, Style::hybrid, tunnel);
  Plan p = site(pinned);
  const IpAddress floating4 = ip4(10, 0, kOut, 100), floating6 = ip6(kOut, 100);
  p.t.insert(nat("float", Nat::Kind::floating, floating4, host_of(ip4(10, 0, 2, 10))));
  p.t.insert(nat("float6", Nat::Kind::floating, floating6, host_of(ip6(2, 10))));
  p.t.insert(nat("snat", Nat::Kind::snat, ip4(10, 0, kOut, 1), {ip4(10, 0, 0, 0), 16}));
  p.t.insert(nat("snat6", Nat::Kind::snat, ip6(kOut, 1), {ip6(0, 0), 16}));
  must(lab.transact(p.t));
  place(lab);
  for (const bool is6 : {false, true}) {
    const IpAddress world = is6 ? kWorld6 : kWorld4, floating = is6 ? floating6 : floating4;
    const IpAddress inside = outward("t/2-10", world).from;
    const IpAddress mine = is6 ? IpAddress(ip6(kOut, 1)) : IpAddress(ip4(10, 0, kOut, 1));
    // From outside and back.
    const Fate in = from_outside(lab, 0, inward(world, floating, 1234, 80));
    const Delivery& got = to_vm(in, "t/2-10");
    REQUIRE(destination_of(got) == inside);
    REQUIRE(source_of(got) == world);
    FrameSpec reply = outward("t/2-10", world);
    reply.src_port = 80;
    reply.dst_port = 1234;
    reply.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
    const Fate back = lab.send_frame("t/2-10", reply);
    REQUIRE(source_of(out_by(back, 0)) == floating);
    // Of its own accord.
    FrameSpec own = outward("t/2-10", world);
    own.src_port = 999;
    const Fate went = lab.send_frame("t/2-10", own);
    REQUIRE(source_of(out_by(went, 0)) == floating);
    const Fate answered = from_outside(lab, 0, [&] {
      FrameSpec f = inward(world, floating, 80, 999);
      f.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
      return f;
    }());
    REQUIRE(destination_of(to_vm(answered, "t/2-10")) == inside);
    // From inside by the external address: there and back.
    FrameSpec hairpin = outward("t/1-10", floating);
    hairpin.src_port = 4321;
    const Fate turned = lab.send_frame("t/1-10", hairpin);
    const Delivery& seen = to_vm(turned, "t/2-10");
    REQUIRE(destination_of(seen) == inside);
    REQUIRE(source_of(seen) == mine);
    FrameSpec answer = outward("t/2-10", mine);
    answer.src_port = 80;
    answer.dst_port = source_port_of(seen);
    answer.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
    const Fate returned = lab.send_frame("t/2-10", answer);
    const Delivery& end = to_vm(returned, "t/1-10");
    REQUIRE(source_of(end) == floating);
    REQUIRE(destination_of(end) == hairpin.from);
    REQUIRE(destination_port_of(end) == 4321);
  }
  // Questions for it are answered where the gateway is.
  for (const unsigned host : {0u, 1u}) {
    const Fate asked = lab.send_at("t/out", host, [&](Packet& q) {
      build_arp(q, 1, kProvider, ip4(10, 0, kOut, 254), floating4.v4());
    });
    REQUIRE(asked.delivered.size() == (host == 0 ? 1 : 0));
  }
  // The next gateway takes floating addresses over in the middle of a connection.
  lab.silence(0, true);
  lab.run_for(seconds(3));
  FrameSpec on = inward(kWorld4, floating4, 1234, 80);
  on.tcp_flags = wire::TcpHeader::kAck;
  const Fate later = from_outside(lab, 1, on);
  REQUIRE(destination_of(to_vm(later, "t/2-10")) == ip4(10, 0, 2, 10));
  FrameSpec reply = outward("t/2-10", kWorld4);
  reply.src_port = 80;
  reply.dst_port = 1234;
  reply.tcp_flags = wire::TcpHeader::kAck;
  const Fate back = lab.send_frame("t/2-10", reply);
  REQUIRE(source_of(out_by(back, 1)) == floating4);
}

TEST_CASE("errors about translated packets come back translated") {
  Lab lab(39, 4, Style::hybrid, TunnelType::geneve);
  Plan p = site();
  const IpAddress mine = ip4(10, 0, kOut, 1), floating = ip4(10, 0, kOut, 100);
  p.t.insert(nat("snat", Nat::Kind::snat, mine, {ip4(10, 0, 1, 0), 24}));
  p.t.insert(nat("float", Nat::Kind::floating, floating, host_of(ip4(10, 0, 2, 10))));
  must(lab.transact(p.t));
  place(lab);
  const auto error_about = [](const FrameSpec& outer, const std::vector<std::uint8_t>& frame) {
    return [=](Packet& q) {
      FrameSpec f = outer;
      f.protocol = wire::kProtoIcmp;
      build_frame(q, f);
      // Destination unreachable, with the IP header and 8 bytes of what it is about.
      const std::vector<std::uint8_t> head(q.data(), q.data() + 42);
      std::uint8_t* b = q.reset_headers(42 + 28);
      std::copy(head.begin(), head.end(), b);
      std::copy_n(frame.begin() + 14, 28, b + 42);
      b[34] = 3;
      b[35] = 1;
      b[17] = 20 + 8 + 28;
      std::fill_n(b + 38, 4, std::uint8_t{0});
      q.payload = {};
      finish_l4_checksum(q, 14);
    };
  };
  const auto quoted = [](const Delivery& d, std::size_t at) {
    const auto& f = d.frame;
    return IpAddress(
        Ip4{std::uint32_t{f[at]} << 24 | f[at + 1] << 16 | f[at + 2] << 8 | f[at + 3]});
  };
  // A router outside about what source NAT sent.
  const Fate sent = lab.send_frame("t/1-10", outward("t/1-10", kWorld4));
  const Fate error = lab.send_at(
      "t/out", 0, error_about(inward(ip4(7, 7, 7, 7), mine, 0, 0), out_by(sent, 0).frame));
  const Delivery& got = to_vm(error, "t/1-10");
  REQUIRE(destination_of(got) == ip4(10, 0, 1, 10));
  REQUIRE(quoted(got, 42 + 12) == ip4(10, 0, 1, 10));
  // The VM about what came to its floating address.
  const Fate came = from_outside(lab, 0, inward(kWorld4, floating, 1234, 80));
  FrameSpec back = outward("t/2-10", kWorld4);
  const Fate answer = lab.send("t/2-10", error_about(back, to_vm(came, "t/2-10").frame));
  const Delivery& out = out_by(answer, 0);
  REQUIRE(source_of(out) == floating);
  REQUIRE(quoted(out, 42 + 16) == floating);
}

TEST_CASE("a pinned router joins networks at its gateway") {
  Lab lab(40, 4, Style::hybrid, GENERATE(TunnelType::geneve, TunnelType::vxlan));
  must(lab.transact(site(true).t));
  place(lab);
  for (const bool is6 : {false, true}) {
    FrameSpec f = lab.between("t/1-10", "t/2-10", is6);
    f.dst = Plan::router_mac(1, 1);
    const Fate fate = lab.send_frame("t/1-10", f);
    REQUIRE(ttl_of(to_vm(fate, "t/2-10")) == 63);
    REQUIRE(fate.tunnelled == 2);
  }
}

TEST_CASE("destination NAT translates what comes in and not what leaves") {
  Lab lab(35, 4, Style::hybrid, TunnelType::geneve);
  Plan p = site();
  const IpAddress external = ip4(10, 0, kOut, 50);
  p.t.insert(nat("dnat", Nat::Kind::dnat, external, host_of(ip4(10, 0, 2, 10))));
  must(lab.transact(p.t));
  place(lab);
  const Fate in = from_outside(lab, 0, inward(kWorld4, external, 1234, 80));
  REQUIRE(destination_of(to_vm(in, "t/2-10")) == ip4(10, 0, 2, 10));
  FrameSpec reply = outward("t/2-10", kWorld4);
  reply.src_port = 80;
  reply.dst_port = 1234;
  reply.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
  REQUIRE(source_of(out_by(lab.send_frame("t/2-10", reply), 0)) == external);
  FrameSpec own = outward("t/2-10", kWorld4);
  REQUIRE(source_of(out_by(lab.send_frame("t/2-10", own), 0)) == own.from);
}

TEST_CASE("a floating address with a MAC of its own is translated where its port is") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  Lab lab(36, 4, GENERATE(Style::hybrid, Style::central), tunnel);
  Plan p = site();
  const IpAddress floating = ip4(10, 0, kOut, 100);
  Nat n = nat("float", Nat::Kind::floating, floating, host_of(ip4(10, 0, 2, 10)));
  n.port = "t/2-10";
  n.external_mac = mac_of(0x777777);
  p.t.insert(n);
  must(lab.transact(p.t));
  lab.attach("t/out", 3);
  place(lab);
  const auto both_ways = [&](unsigned host) {
    FrameSpec f = inward(kWorld4, floating, static_cast<std::uint16_t>(2000 + host), 80);
    f.dst = n.external_mac;
    const Fate in = from_outside(lab, host, f);
    REQUIRE(in.tunnelled == 0);
    REQUIRE(destination_of(to_vm(in, "t/2-10")) == ip4(10, 0, 2, 10));
    FrameSpec reply = outward("t/2-10", kWorld4);
    reply.src_port = 80;
    reply.dst_port = f.src_port;
    reply.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
    const Fate back = lab.send_frame("t/2-10", reply);
    const Delivery& d = out_by(back, host);
    REQUIRE(back.tunnelled == 0);
    REQUIRE(source_of(d) == floating);
    REQUIRE(mac_at(d.frame, 6) == n.external_mac);
    for (const unsigned h : {0u, 1u, 3u}) {
      const Fate asked = lab.send_at("t/out", h, [&](Packet& q) {
        build_arp(q, 1, kProvider, ip4(10, 0, kOut, 254), floating.v4());
      });
      unsigned answers = 0;
      for (const Delivery& a : asked.delivered) answers += a.frame[21] == 2 ? 1 : 0;
      REQUIRE(answers == (h == host ? 1 : 0));
    }
  };
  both_ways(3);
  // It moves: the address goes along.
  lab.move("t/2-10", 1);
  rests(lab);
  both_ways(1);
}

TEST_CASE("only who has the gateway has its rules; who has no business there has none") {
  Lab lab(37, 5, Style::hybrid, TunnelType::geneve);
  Plan p = site();
  p.t.insert(nat("snat", Nat::Kind::snat, ip4(10, 0, kOut, 1), {ip4(10, 0, 0, 0), 16}));
  must(lab.transact(p.t));
  place(lab);
  const auto count = [&](unsigned host, const std::string& what) {
    unsigned n = 0;
    for (const std::string& rule : lab.host(host).sink->book.rules())
      n += rule.find(what) != std::string::npos ? 1 : 0;
    return n;
  };
  REQUIRE(count(0, "nat(src=") == 1);
  for (const unsigned host : {1u, 2u, 3u, 4u}) REQUIRE(count(host, "nat(src=") == 0);
  // 100 + kOut: of the external network only the way to the gateway.
  REQUIRE(count(2, "metadata=0x6d,") == 1);
  REQUIRE(count(2, "reg15=0x8001,metadata=0x6d") + count(2, "metadata=0x6d,reg15=0x8001") == 1);
  REQUIRE(count(4, "metadata=") == 0);
}

TEST_CASE("unknown destinations reach every port that takes them, once; copies do not circle") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  Lab lab(38, 4, Style::hybrid, tunnel);
  Plan p;
  p.network(1);
  for (unsigned host : {10u, 11u, 12u, 13u}) p.vm(1, host);
  for (auto& change : p.t.changes)
    if (auto* port = std::get_if<control::Port>(&change.row))
      port->unknown = port->name == "t/1-11" || port->name == "t/1-12";
  control::Port out;
  out.name = "t/out";
  out.network = p.net_name(1);
  out.type = control::PortType::external;
  out.requested = "hv-1";
  out.also = {"hv-2"};
  p.t.insert(out);
  must(lab.transact(p.t));
  lab.attach("t/out", 0);
  lab.attach("t/out", 1);
  lab.bind("t/1-10", 0);
  lab.bind("t/1-11", 1);
  lab.bind("t/1-12", 2);
  lab.bind("t/1-13", 3);
  rests(lab);
  FrameSpec f = lab.between("t/1-10", "t/1-13", false);
  f.dst = mac_of(0x123456);
  const Fate fate = lab.send_frame("t/1-10", f);
  INFO(text_of(fate));
  REQUIRE(fate.receivers() == std::set<std::string>{"t/1-11", "t/1-12", "t/out"});
  REQUIRE(fate.delivered.size() == 3);
  for (const Delivery& d : fate.delivered)
    if (d.vm == "t/out") REQUIRE(d.host == 0);
  // Broadcast from inside goes out once, where it is; from outside the location hands it on.
  const auto announce = [&](Packet& q) {
    build_arp(q, 1, mac_of(0x010000 * 100 + 0x100 + 10), ip4(10, 0, 1, 10), ip4(10, 0, 1, 10));
  };
  const Fate all = lab.send("t/1-10", announce);
  REQUIRE(all.delivered.size() == 4);
  REQUIRE(all.receivers() == std::set<std::string>{"t/1-11", "t/1-12", "t/1-13", "t/out"});
  const auto shout = [&](Packet& q) {
    build_arp(q, 1, mac_of(0x999999), ip4(10, 0, 1, 200), ip4(10, 0, 1, 201));
  };
  std::multiset<std::string> heard;
  for (const unsigned host : {0u, 1u})
    for (const Delivery& d : lab.send_at("t/out", host, shout).delivered) heard.insert(d.vm);
  REQUIRE(heard.count("t/1-10") == 1);
  REQUIRE(heard.count("t/1-12") == 1);
  REQUIRE(heard.count("t/1-13") == 1);
  REQUIRE(heard.count("t/out") == 0);
  if (tunnel == TunnelType::geneve) REQUIRE(heard.count("t/1-11") == 1);
}
