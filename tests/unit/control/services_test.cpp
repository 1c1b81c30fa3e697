// Load balancers, DHCP, DNS, QoS and mirrors in real pipelines.
#include "datapath/extract.h"
#include "datapath/parse.h"
#include "datapath/statement.h"
#include "tests/catch.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using namespace weft::control;

namespace {

void bind_all(Lab& lab) {
  unsigned n = 0;
  for (const auto& [name, port] : lab.controller().intent().ports())
    lab.bind(name, n++ % static_cast<unsigned>(lab.host_count()));
  REQUIRE(lab.settle());
}

void check(Lab& lab) {
  for (unsigned i = 0; i < lab.host_count(); ++i) {
    INFO(lab.host(i).name);
    REQUIRE(lab.host(i).sink->errors == std::vector<std::string>{});
  }
  REQUIRE(lab.controller().check_recompute() == "");
}

void apply(Lab& lab, const Transaction& t) {
  const auto done = lab.transact(t);
  INFO((done.ok() ? "" : done.error().text()));
  REQUIRE(done.ok());
  REQUIRE(lab.settle());
  check(lab);
}

/// Who a frame says it is from and to.
struct Ends {
  IpAddress source{}, target{};
  std::uint16_t source_port = 0, target_port = 0;
};
Ends ends_of(const std::vector<std::uint8_t>& frame) {
  Ends e;
  const auto two = [&](std::size_t at) {
    return static_cast<std::uint16_t>(frame.at(at) << 8 | frame.at(at + 1));
  };
  const auto word = [&](std::size_t at, int bytes) {
    std::uint64_t v = 0;
    for (int i = 0; i < bytes; ++i) v = v << 8 | frame.at(at + static_cast<std::size_t>(i));
    return v;
  };
  const bool is6 = two(12) == 0x86dd;
  if (is6) {
    e.source = Ip6{word(22, 8), word(30, 8)};
    e.target = Ip6{word(38, 8), word(46, 8)};
  } else {
    e.source = Ip4{static_cast<std::uint32_t>(word(26, 4))};
    e.target = Ip4{static_cast<std::uint32_t>(word(30, 4))};
  }
  e.source_port = two(is6 ? 54 : 34);
  e.target_port = two(is6 ? 56 : 36);
  return e;
}

std::string text_of(const Fate& fate) {
  std::string out;
  for (const Delivery& d : fate.delivered) out += "to " + d.vm + " ";
  for (const Drop& d : fate.drops) out += "drop " + d.reason + " ";
  return out;
}

IpAddress ip(const char* text) { return parse_ip(text).value(); }

const Port& port_of(Lab& lab, const std::string& name) {
  return lab.controller().intent().ports().at(name);
}
IpAddress address_of(Lab& lab, const std::string& name, bool is6) {
  for (const IpAddress& a : port_of(lab, name).addresses)
    if (a.is6 == is6) return a;
  return {};
}

/// A frame from a port to an address that the router routes.
FrameSpec to_address(Lab& lab, const std::string& from, const IpAddress& to, std::uint16_t port) {
  FrameSpec f;
  const Port& p = port_of(lab, from);
  f.src = p.mac;
  f.from = address_of(lab, from, to.is6);
  f.to = to;
  f.dst_port = port;
  for (const auto& [name, router] : lab.controller().intent().routers())
    for (const RouterPort& r : router.ports)
      if (r.network == p.network) f.dst = r.mac;
  return f;
}

/// The frame that answers what a port got.
FrameSpec answer_to(Lab& lab, const Delivery& d, std::uint8_t protocol = wire::kProtoTcp) {
  const Ends e = ends_of(d.frame);
  FrameSpec f;
  std::copy_n(d.frame.begin() + 6, 6, f.dst.bytes.begin());
  f.src = port_of(lab, d.vm).mac;
  f.from = e.target;
  f.to = e.source;
  f.src_port = e.target_port;
  f.dst_port = e.source_port;
  f.protocol = protocol;
  f.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
  return f;
}

LoadBalancer balancer(Lab& lab, const IpAddress& vip, std::uint16_t port,
                      const std::vector<std::string>& backends, std::uint16_t backend_port) {
  LoadBalancer l;
  l.name = "shop/lb";
  l.tenant = "shop";
  l.cookie = 424242;
  Vip v{vip, port, {}};
  for (const std::string& b : backends)
    v.backends.push_back({address_of(lab, b, vip.is6), backend_port, b});
  l.vips.push_back(v);
  return l;
}

const std::vector<std::string> kApps{"shop/app-1", "shop/app-2", "shop/app-3"};

}  // namespace

TEST_CASE("connections to a VIP are shared by its backends, and answers come from the VIP") {
  const auto tunnel = GENERATE(TunnelType::geneve, TunnelType::vxlan);
  const bool is6 = GENERATE(false, true);
  const bool on_router = GENERATE(false, true);
  const bool policy = GENERATE(false, true);
  const bool udp = GENERATE(false, true);
  Lab lab(1, 3, GENERATE(Style::hybrid, Style::central), tunnel);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, policy, true)).ok());
  bind_all(lab);
  const IpAddress vip = is6 ? ip("fd99::1") : ip("172.30.0.1");
  LoadBalancer l = balancer(lab, vip, 80, kApps, 8080);
  l.protocol = udp ? AclProtocol::udp : AclProtocol::tcp;
  if (on_router) l.routers = {"shop/r1"};
  if (!on_router) l.networks = {"shop/web-net", "shop/db-net", "shop/app-net"};
  Transaction t;
  t.insert(l);
  apply(lab, t);

  std::map<std::string, unsigned> share;
  for (const char* client : {"shop/web-1", "shop/web-2", "shop/db-3"})
    for (std::uint16_t n = 0; n < 30; ++n) {
      FrameSpec f = to_address(lab, client, vip, 80);
      f.protocol = udp ? wire::kProtoUdp : wire::kProtoTcp;
      f.src_port = static_cast<std::uint16_t>(20000 + n);
      const Fate fate = lab.send_frame(client, f);
      INFO(client << " " << n << ": " << text_of(fate));
      REQUIRE(fate.delivered.size() == 1);
      const Delivery& d = fate.delivered[0];
      ++share[d.vm];
      const Ends e = ends_of(d.frame);
      REQUIRE(e.source == f.from);
      REQUIRE(e.target == address_of(lab, d.vm, is6));
      REQUIRE(e.target_port == 8080);
      const Fate back = lab.send_frame(d.vm, answer_to(lab, d, f.protocol));
      INFO("back: " << text_of(back));
      REQUIRE(back.receivers() == std::set<std::string>{client});
      const Ends b = ends_of(back.delivered[0].frame);
      REQUIRE(b.source == vip);
      REQUIRE(b.source_port == 80);
      REQUIRE(b.target == f.from);
      // The connection goes on to the same backend.
      f.tcp_flags = wire::TcpHeader::kAck;
      REQUIRE(lab.send_frame(client, f).receivers() == std::set<std::string>{d.vm});
    }
  REQUIRE(share.size() == 3);
  for (const auto& [vm, n] : share) REQUIRE(n > 10);

  // Other ports of the VIP and other protocols are nobody's.
  FrameSpec other = to_address(lab, "shop/web-1", vip, 81);
  other.protocol = udp ? wire::kProtoUdp : wire::kProtoTcp;
  REQUIRE(lab.send_frame("shop/web-1", other).delivered.empty());
  other.dst_port = 80;
  other.protocol = udp ? wire::kProtoTcp : wire::kProtoUdp;
  REQUIRE(lab.send_frame("shop/web-1", other).delivered.empty());

  t = {};
  t.remove(Table::load_balancer, "shop/lb");
  apply(lab, t);
  for (unsigned i = 0; i < 3; ++i)
    for (const std::string& rule : lab.host(i).sink->book.rules())
      REQUIRE(rule.find("group") == std::string::npos);
}

TEST_CASE("a VIP of the subnet answers for itself, with a router and without") {
  const bool with_router = GENERATE(true, false);
  const bool is6 = GENERATE(false, true);
  Lab lab(2, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, false)).ok());
  bind_all(lab);
  if (!with_router) {
    Transaction t;
    t.remove(Table::router, "shop/r1");
    apply(lab, t);
  }
  const IpAddress vip = is6 ? ip("fd00:0:0:1::c8") : ip("10.0.1.200");
  LoadBalancer l = balancer(lab, vip, 0, {"shop/web-2", "shop/web-3"}, 0);
  l.networks = {"shop/web-net"};
  Transaction t;
  t.insert(l);
  apply(lab, t);

  FrameSpec f = to_address(lab, "shop/web-1", vip, 4711);
  const Port& web = port_of(lab, "shop/web-1");
  if (!is6) {
    const Fate fate = lab.send("shop/web-1", [&](Packet& p) {
      build_arp(p, 1, web.mac, web.addresses[0].v4(), vip.v4());
    });
    REQUIRE(fate.receivers() == std::set<std::string>{"shop/web-1"});
    REQUIRE(fate.consumed == 1);
    std::copy_n(fate.delivered[0].frame.begin() + 6, 6, f.dst.bytes.begin());
  } else if (!with_router) {
    f.dst = Mac::from_u64(0x025649000000ULL + 100);
  }
  for (std::uint16_t n = 0; n < 20; ++n) {
    f.src_port = static_cast<std::uint16_t>(30000 + n);
    const Fate fate = lab.send_frame("shop/web-1", f);
    INFO(text_of(fate));
    REQUIRE(fate.delivered.size() == 1);
    const Delivery& d = fate.delivered[0];
    REQUIRE(ends_of(d.frame).target == address_of(lab, d.vm, is6));
    REQUIRE(ends_of(d.frame).target_port == 4711);
    FrameSpec r = answer_to(lab, d);
    r.dst = web.mac;
    const Fate back = lab.send_frame(d.vm, r);
    INFO("back: " << text_of(back));
    REQUIRE(back.receivers() == std::set<std::string>{"shop/web-1"});
    REQUIRE(ends_of(back.delivered[0].frame).source == vip);
  }
}

TEST_CASE("open connections keep a backend that is taken out; new ones go elsewhere") {
  Lab lab(3, 3, GENERATE(Style::hybrid, Style::central), TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, false)).ok());
  bind_all(lab);
  LoadBalancer l = balancer(lab, ip("172.30.0.1"), 80, kApps, 8080);
  l.routers = {"shop/r1"};
  Transaction t;
  t.insert(l);
  apply(lab, t);
  std::map<std::uint16_t, std::string> served;
  FrameSpec f = to_address(lab, "shop/web-1", ip("172.30.0.1"), 80);
  for (std::uint16_t n = 20000; n < 20030; ++n) {
    f.src_port = n;
    const Fate fate = lab.send_frame("shop/web-1", f);
    REQUIRE(fate.delivered.size() == 1);
    served[n] = fate.delivered[0].vm;
    lab.send_frame(served[n], answer_to(lab, fate.delivered[0]));
  }
  l.vips[0].backends.erase(l.vips[0].backends.begin());
  t = {};
  t.update(l);
  apply(lab, t);
  f.tcp_flags = wire::TcpHeader::kAck;
  unsigned at_first = 0;
  for (const auto& [n, vm] : served) {
    f.src_port = n;
    REQUIRE(lab.send_frame("shop/web-1", f).receivers() == std::set<std::string>{vm});
    at_first += vm == kApps[0];
  }
  REQUIRE(at_first > 3);
  f.tcp_flags = wire::TcpHeader::kSyn;
  for (std::uint16_t n = 21000; n < 21030; ++n) {
    f.src_port = n;
    const Fate fate = lab.send_frame("shop/web-1", f);
    REQUIRE(fate.delivered.size() == 1);
    REQUIRE(fate.delivered[0].vm != kApps[0]);
  }
}

TEST_CASE("with health checks only backends that are somewhere get connections") {
  const bool reject = GENERATE(false, true);
  Lab lab(4, 3, GENERATE(Style::hybrid, Style::central), TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, false)).ok());
  bind_all(lab);
  LoadBalancer l = balancer(lab, ip("172.30.0.1"), 80, kApps, 8080);
  l.networks = {"shop/web-net"};
  l.health_check = true;
  l.reject_without_backends = reject;
  Transaction t;
  t.insert(l);
  apply(lab, t);
  std::uint16_t n = 20000;
  const auto served_by = [&] {
    std::set<std::string> out;
    for (int i = 0; i < 30; ++i) {
      FrameSpec f = to_address(lab, "shop/web-1", ip("172.30.0.1"), 80);
      f.src_port = ++n;
      const Fate fate = lab.send_frame("shop/web-1", f);
      for (const Delivery& d : fate.delivered) out.insert(d.vm);
      for (const Drop& d : fate.drops) out.insert(d.reason);
    }
    return out;
  };
  REQUIRE(served_by() == std::set<std::string>{kApps.begin(), kApps.end()});
  lab.unbind("shop/app-2");
  REQUIRE(lab.settle());
  check(lab);
  REQUIRE(served_by() == std::set<std::string>{"shop/app-1", "shop/app-3"});
  lab.move("shop/app-1", (lab.host_of("shop/app-1") + 1) % 3);
  REQUIRE(lab.settle());
  REQUIRE(served_by() == std::set<std::string>{"shop/app-1", "shop/app-3"});
  lab.unbind("shop/app-1");
  lab.unbind("shop/app-3");
  REQUIRE(lab.settle());
  check(lab);
  if (reject)
    REQUIRE(served_by() == std::set<std::string>{"policy", "shop/web-1"});  // who gets the resets
  else
    REQUIRE(served_by() == std::set<std::string>{"balance.no_backend"});
  lab.bind("shop/app-2", 0);
  REQUIRE(lab.settle());
  REQUIRE(served_by() == std::set<std::string>{"shop/app-2"});
  // A controller that starts anew learns who is up before it says anything.
  lab.stop_controller();
  lab.run_for(milliseconds(10));
  lab.start_controller();
  REQUIRE(lab.settle());
  REQUIRE(served_by() == std::set<std::string>{"shop/app-2"});
}

TEST_CASE("a backend that is its own client gets the VIP as its peer") {
  const bool on_router = GENERATE(false, true);
  const bool is6 = GENERATE(false, true);
  Lab lab(5, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, true, true)).ok());
  bind_all(lab);
  const IpAddress vip = is6 ? ip("fd99::1") : ip("172.30.0.1");
  LoadBalancer l = balancer(lab, vip, 80, {"shop/app-1"}, 8080);
  if (on_router) l.routers = {"shop/r1"};
  if (!on_router) l.networks = {"shop/app-net"};
  Transaction t;
  t.insert(l);
  apply(lab, t);
  FrameSpec f = to_address(lab, "shop/app-1", vip, 80);
  Fate fate = lab.send_frame("shop/app-1", f);
  INFO(text_of(fate));
  REQUIRE(fate.receivers() == std::set<std::string>{"shop/app-1"});
  Ends e = ends_of(fate.delivered[0].frame);
  REQUIRE(e.source == vip);
  REQUIRE(e.target == f.from);
  REQUIRE(e.target_port == 8080);
  const FrameSpec r = answer_to(lab, fate.delivered[0]);
  const Fate back = lab.send_frame("shop/app-1", r);
  INFO("back: " << text_of(back));
  REQUIRE(back.receivers() == std::set<std::string>{"shop/app-1"});
  e = ends_of(back.delivered[0].frame);
  REQUIRE(e.source == vip);
  REQUIRE(e.source_port == 80);
  REQUIRE(e.target == f.from);
  REQUIRE(e.target_port == f.src_port);
  f.tcp_flags = wire::TcpHeader::kAck;
  fate = lab.send_frame("shop/app-1", f);
  REQUIRE(fate.receivers() == std::set<std::string>{"shop/app-1"});
  REQUIRE(ends_of(fate.delivered[0].frame).source == vip);
}

TEST_CASE("with affinity a client keeps its backend until the time is up") {
  Lab lab(6, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, false)).ok());
  bind_all(lab);
  LoadBalancer l = balancer(lab, ip("172.30.0.1"), 80, kApps, 8080);
  l.routers = {"shop/r1"};
  l.affinity_seconds = 60;
  l.health_check = true;
  Transaction t;
  t.insert(l);
  apply(lab, t);
  std::uint16_t n = 20000;
  const auto served_by = [&](const char* client, int times) {
    std::set<std::string> out;
    for (int i = 0; i < times; ++i) {
      FrameSpec f = to_address(lab, client, ip("172.30.0.1"), 80);
      f.src_port = ++n;
      const Fate fate = lab.send_frame(client, f);
      for (const Delivery& d : fate.delivered) out.insert(d.vm);
    }
    return out;
  };
  const auto pass = [&](Duration d) {
    lab.run_for(d);
    for (unsigned i = 0; i < 2; ++i) lab.host(i).pipeline->expire(lab.now());
  };
  std::set<std::string> all;
  for (const char* client : {"shop/web-1", "shop/web-2", "shop/web-3", "shop/db-1"}) {
    const auto one = served_by(client, 20);
    INFO(client);
    REQUIRE(one.size() == 1);
    all.insert(one.begin(), one.end());
  }
  REQUIRE(all.size() > 1);
  const auto mine = served_by("shop/web-1", 1);
  pass(seconds(40));
  REQUIRE(served_by("shop/web-1", 1) == mine);
  pass(seconds(40));
  REQUIRE(served_by("shop/web-1", 5) == mine);
  // Without a connection for a minute it is anybody's again.
  std::set<std::string> later;
  for (int i = 0; i < 12; ++i) {
    pass(seconds(61));
    later.merge(served_by("shop/web-1", 1));
  }
  REQUIRE(later.size() > 1);
  // A backend that is not up is no client's.
  const std::string gone = *served_by("shop/web-1", 1).begin();
  lab.unbind(gone);
  REQUIRE(lab.settle());
  const auto next = served_by("shop/web-1", 10);
  REQUIRE(next.size() == 1);
  REQUIRE(*next.begin() != gone);
}

// --- DHCP, DNS, QoS, mirrors
// ---------------------------------------------------------------------

namespace {

using Octets = std::vector<std::uint8_t>;

/// A datagram with these bytes.
void build_udp(Packet& packet, FrameSpec f, const Octets& data) {
  f.protocol = wire::kProtoUdp;
  build_frame(packet, f);
  Octets bytes(packet.data(), packet.data() + packet.size());
  const bool is6 = f.from.is6;
  const auto put = [&](std::size_t at, std::size_t n) {
    bytes[at] = static_cast<std::uint8_t>(n >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(n);
  };
  put(is6 ? 18 : 16, (is6 ? 8 : 28) + data.size());
  put(is6 ? 58 : 38, 8 + data.size());
  bytes.insert(bytes.end(), data.begin(), data.end());
  std::copy(bytes.begin(), bytes.end(),
            packet.reset_headers(static_cast<std::uint32_t>(bytes.size())));
  packet.payload = {};
  finish_l4_checksum(packet, 14);
}

Octets dhcp_discover(const Mac& mac) {
  Octets d(240);
  d[0] = 1;
  d[1] = 1;
  d[2] = 6;
  d[10] = 0x80;  // answer to everybody
  std::copy(mac.bytes.begin(), mac.bytes.end(), d.begin() + 28);
  const std::uint8_t rest[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
  d.resize(236);
  d.insert(d.end(), std::begin(rest), std::end(rest));
  return d;
}

Octets dhcp6_solicit() {
  return {1, 0x12, 0x34, 0x56, 0,  1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0,
          5, 0,    3,    0,    12, 0, 0, 0,  7, 0, 0, 0, 0, 0, 0, 0, 0};
}

Octets dns_query(std::string_view name, std::uint8_t type) {
  Octets q{0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  while (!name.empty()) {
    const auto end = std::min(name.find('.'), name.size());
    q.push_back(static_cast<std::uint8_t>(end));
    q.insert(q.end(), name.begin(), name.begin() + static_cast<long>(end));
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  const std::uint8_t rest[] = {0, 0, type, 0, 1};
  q.insert(q.end(), std::begin(rest), std::end(rest));
  return q;
}

bool holds(const Octets& frame, const Octets& part) {
  return std::search(frame.begin(), frame.end(), part.begin(), part.end()) != frame.end();
}

}  // namespace

TEST_CASE("DHCP answers at the port, with the options by OVN's names") {
  Lab lab(11, 2, GENERATE(Style::hybrid, Style::central), TunnelType::geneve);
  const bool policy = GENERATE(false, true);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, policy)).ok());
  bind_all(lab);
  DhcpOptions four{"shop/dhcp4", "shop", parse_prefix("10.0.1.0/24").value(), ip("10.0.1.1"),
                   mac_of(0xff0000)};
  four.options = {{"router", "10.0.1.1"},
                  {"dns_server", "{8.8.8.8, 8.8.4.4}"},
                  {"mtu", "1442"},
                  {"ntp_server", "10.0.1.9"},
                  {"classless_static_route", "{10.9.0.0/16,10.0.1.2, 0.0.0.0/0,10.0.1.1}"},
                  {"domain_name", "\"shop.example\""}};
  DhcpOptions six{"shop/dhcp6", "shop", parse_prefix("fd00:0:0:1::/64").value(),
                  ip("fd00:0:0:1::1"), mac_of(0xff0000)};
  six.options = {{"dns_server", "fd00::53"}};
  Transaction t;
  t.insert(four).insert(six);
  Port web = port_of(lab, "shop/web-1");
  web.dhcp4 = four.name;
  web.dhcp6 = six.name;
  t.update(web);
  apply(lab, t);

  FrameSpec f;
  f.src = web.mac;
  f.dst = Mac::broadcast();
  f.from = Ip4{0};
  f.to = Ip4{0xffffffff};
  f.src_port = 68;
  f.dst_port = 67;
  const auto discover = [&](const std::string& vm) {
    f.src = port_of(lab, vm).mac;
    return lab.send(vm, [&](Packet& p) { build_udp(p, f, dhcp_discover(f.src)); });
  };
  const Fate fate = discover("shop/web-1");
  INFO(text_of(fate));
  REQUIRE(fate.receivers() == std::set<std::string>{"shop/web-1"});
  REQUIRE(fate.consumed == 1);
  const Octets& offer = fate.delivered[0].frame;
  REQUIRE(holds(offer, {53, 1, 2}));                      // an offer
  REQUIRE(holds(offer, {10, 0, 1, 10}));                  // the port's address
  REQUIRE(holds(offer, {1, 4, 255, 255, 255, 0}));        // of the subnet
  REQUIRE(holds(offer, {3, 4, 10, 0, 1, 1}));             // router
  REQUIRE(holds(offer, {6, 8, 8, 8, 8, 8, 8, 8, 4, 4}));  // DNS
  REQUIRE(holds(offer, {26, 2, 0x05, 0xa2}));             // MTU
  REQUIRE(holds(offer, {42, 4, 10, 0, 1, 9}));            // NTP
  REQUIRE(holds(offer, {121, 12, 16, 10, 9, 10, 0, 1, 2, 0, 10, 0, 1, 1}));
  REQUIRE(holds(offer, {51, 4, 0, 0, 0x0e, 0x10}));  // an hour
  // Another port has no DHCP: its question is for whoever listens on the network.
  const auto unless_denied = [&](const char* vm) {
    return policy ? std::set<std::string>{} : std::set<std::string>{vm};
  };
  REQUIRE(discover("shop/web-2").receivers() == unless_denied("shop/web-1"));

  FrameSpec s;
  s.src = web.mac;
  s.dst = Mac::from_u64(0x333300010002);
  s.from = Ip6{0xfe80ULL << 48, 0x0000'00ff'fe01'0001};
  s.to = ip("ff02::1:2");
  s.src_port = 546;
  s.dst_port = 547;
  const Fate sixth = lab.send("shop/web-1", [&](Packet& p) { build_udp(p, s, dhcp6_solicit()); });
  INFO(text_of(sixth));
  REQUIRE(sixth.receivers() == std::set<std::string>{"shop/web-1"});
  const Ip6 own = address_of(lab, "shop/web-1", true).v6();
  Octets address{0, 5, 0, 24};
  for (const std::uint64_t word : {own.high, own.low})
    for (int i = 56; i >= 0; i -= 8) address.push_back(static_cast<std::uint8_t>(word >> i));
  REQUIRE(holds(sixth.delivered[0].frame, address));

  // Without the row, nobody answers; and a port that goes takes its rules along.
  web.dhcp4.clear();
  t = {};
  t.update(web);
  apply(lab, t);
  REQUIRE(discover("shop/web-1").receivers() == unless_denied("shop/web-2"));
  const unsigned at = lab.host_of("shop/web-1");
  lab.unbind("shop/web-1");
  REQUIRE(lab.settle());
  for (const std::string& rule : lab.host(at).sink->book.rules())
    REQUIRE(rule.find("dhcp") == std::string::npos);
}

TEST_CASE("names of a network are answered in it, whatever rows they come from") {
  Lab lab(12, 2, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 1, GENERATE(false, true))).ok());
  bind_all(lab);
  Transaction t;
  t.insert(Dns{"shop/names",
               "shop",
               {{"vm1.lab", {ip("10.0.0.4"), ip("fd00::4")}}},
               {"shop/web-net", "shop/app-net"}});
  t.insert(Dns{"shop/more", "shop", {{"vm2.lab", {ip("10.0.0.5")}}}, {"shop/web-net"}});
  apply(lab, t);
  const auto ask = [&](const char* vm, const char* name, std::uint8_t type, bool is6) {
    FrameSpec f = to_address(lab, vm, is6 ? ip("fd77::53") : ip("8.8.8.8"), 53);
    return lab.send(vm, [&](Packet& p) { build_udp(p, f, dns_query(name, type)); });
  };
  for (const bool is6 : {false, true}) {
    Fate fate = ask("shop/web-1", "vm1.lab", 1, is6);
    REQUIRE(fate.receivers() == std::set<std::string>{"shop/web-1"});
    REQUIRE(holds(fate.delivered[0].frame, {0, 4, 10, 0, 0, 4}));
    fate = ask("shop/web-1", "vm2.lab", 1, is6);
    REQUIRE(fate.receivers() == std::set<std::string>{"shop/web-1"});
    REQUIRE(holds(fate.delivered[0].frame, {0, 4, 10, 0, 0, 5}));
    REQUIRE(ask("shop/app-1", "vm1.lab", 28, is6).delivered.size() == 1);
    // What is not in the table goes to the server that was asked.
    for (const Fate& other :
         {ask("shop/web-1", "vm3.lab", 1, is6), ask("shop/app-1", "vm2.lab", 1, is6),
          ask("shop/db-1", "vm1.lab", 1, is6)}) {
      REQUIRE(other.delivered.empty());
      REQUIRE(other.drops.size() == 1);
      REQUIRE(other.drops[0].reason == "route.none");
    }
  }
  t = {};
  t.remove(Table::dns, "shop/more");
  apply(lab, t);
  REQUIRE(ask("shop/web-1", "vm2.lab", 1, false).delivered.empty());
  REQUIRE(ask("shop/web-1", "vm1.lab", 1, false).delivered.size() == 1);
}

TEST_CASE("QoS marks and limits what matches, where it is sent or received") {
  const bool from = GENERATE(true, false);
  Lab lab(13, 2, GENERATE(Style::hybrid, Style::central), TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 2, GENERATE(false, true), true)).ok());
  bind_all(lab);
  Qos mark{"shop/mark", from ? "shop/web-net" : "shop/app-net"};
  mark.direction = from ? AclDirection::from_port : AclDirection::to_port;
  mark.priority = 200;
  mark.match =
      from ? "inport == \"web-1\" && tcp.dst == 80" : "outport == \"app-1\" && tcp.dst == 80";
  mark.dscp = 46;
  Qos limit = mark;
  limit.name = "shop/limit";
  limit.priority = 100;
  limit.match = "udp.dst == {5000, 5001}";
  limit.dscp.reset();
  limit.rate_kbps = 8;
  limit.burst_kbits = 8;
  Transaction t;
  t.insert(mark).insert(limit);
  apply(lab, t);
  for (const bool is6 : {false, true}) {
    FrameSpec f = lab.between("shop/web-1", "shop/app-1", is6);
    const auto dscp = [&] {
      ++f.src_port;
      const Fate fate = lab.send_frame("shop/web-1", f);
      REQUIRE(fate.delivered.size() == 1);
      const Octets& frame = fate.delivered[0].frame;
      return is6 ? (frame[14] << 4 | frame[15] >> 4) >> 2 & 63 : frame[15] >> 2;
    };
    REQUIRE(dscp() == 46);
    f.dst_port = 81;
    REQUIRE(dscp() == 0);
  }
  FrameSpec f = lab.between("shop/web-1", "shop/app-1", false);
  f.protocol = wire::kProtoUdp;
  const auto passes = [&](std::uint16_t port) {
    f.dst_port = port;
    unsigned n = 0;
    for (int i = 0; i < 60; ++i) n += lab.send_frame("shop/web-1", f).delivered.size();
    return n;
  };
  REQUIRE(passes(4999) == 60);
  const unsigned limited = passes(5000);
  REQUIRE(limited > 5);
  REQUIRE(limited < 50);
  REQUIRE(passes(5001) == 0);  // they share it
  limit.rate_kbps = 80'000;
  limit.burst_kbits = 80'000;
  t = {};
  t.update(limit);
  apply(lab, t);
  REQUIRE(passes(5000) == 60);
  t = {};
  t.remove(Table::qos, limit.name);
  t.remove(Table::qos, mark.name);
  apply(lab, t);
  for (unsigned i = 0; i < 2; ++i)
    for (const std::string& rule : lab.host(i).sink->book.rules())
      REQUIRE(rule.find("meter") == std::string::npos);
}

TEST_CASE("a mirror's sink gets a copy of what its ports send and get") {
  const unsigned sink_host = GENERATE(0u, 1u, 2u);
  const bool policy = GENERATE(false, true);
  Lab lab(14, 3, Style::hybrid, TunnelType::geneve);
  REQUIRE(lab.transact(three_tier("shop", 100, 3, policy)).ok());
  for (const auto& [name, port] : lab.controller().intent().ports())
    lab.bind(name, name == "shop/web-3" ? sink_host : name == "shop/web-1" ? 0u : 1u);
  REQUIRE(lab.settle());
  Mirror m{"shop/spy", "shop", {"shop/web-1"}, true, true, "shop/web-3"};
  Transaction t;
  t.insert(m);
  apply(lab, t);
  FrameSpec f = lab.between("shop/web-1", "shop/app-1", false);
  f.dst_port = 8080;
  const auto sends = [&] { return lab.send_frame("shop/web-1", f).receivers(); };
  REQUIRE(sends() == std::set<std::string>{"shop/app-1", "shop/web-3"});
  FrameSpec r = lab.between("shop/app-1", "shop/web-1", false);
  r.src_port = f.dst_port;
  r.dst_port = f.src_port;
  r.tcp_flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
  const auto gets = [&] { return lab.send_frame("shop/app-1", r).receivers(); };
  REQUIRE(gets() == std::set<std::string>{"shop/web-1", "shop/web-3"});
  // What is refused on its way out is copied as sent; what never reaches the port is not.
  f.dst_port = 22;
  REQUIRE(sends() == (policy ? std::set<std::string>{"shop/web-3"}
                             : std::set<std::string>{"shop/app-1", "shop/web-3"}));
  f.dst_port = 8080;
  m.received = false;
  t = {};
  t.update(m);
  apply(lab, t);
  REQUIRE(sends() == std::set<std::string>{"shop/app-1", "shop/web-3"});
  REQUIRE(gets() == std::set<std::string>{"shop/web-1"});
  lab.move("shop/web-3", (sink_host + 1) % 3);
  REQUIRE(lab.settle());
  REQUIRE(sends() == std::set<std::string>{"shop/app-1", "shop/web-3"});
  t = {};
  t.remove(Table::mirror, m.name);
  apply(lab, t);
  REQUIRE(sends() == std::set<std::string>{"shop/app-1"});
}
