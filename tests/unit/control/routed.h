// Networks, routers and hosts for tests of routing, in a few words.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/catch.h"
#include "tests/unit/control/lab.h"

namespace weft::test {

inline Prefix prefix4(std::uint32_t address, int length) {
  return {Ip4{address}, static_cast<std::uint8_t>(length)};
}
inline Ip4 ip4(unsigned a, unsigned b, unsigned c, unsigned d) {
  return Ip4{a << 24 | b << 16 | c << 8 | d};
}
/// fd00:NET::HOST
inline Ip6 ip6(unsigned net, unsigned host) {
  return Ip6{0xfd00ULL << 48 | std::uint64_t{net} << 32, host};
}

/// Builds an intent: network N is 10.0.N.0/24 and fd00:N::/64 with VNI 100 + N.
class Plan {
 public:
  explicit Plan(std::string tenant = "t") : tenant_(std::move(tenant)) {
    t.insert(control::Tenant{tenant_, false, true, 0});
  }

  std::string net_name(unsigned n) const { return tenant_ + "/net-" + std::to_string(n); }
  void network(unsigned n) {
    t.insert(control::Network{net_name(n), tenant_, base_ + n, subnets(n), 1500});
  }
  static std::vector<Prefix> subnets(unsigned n) {
    return {{ip4(10, 0, n, 0), 24}, {ip6(n, 0), 64}};
  }
  /// "t/N-HOST" with 10.0.N.HOST and fd00:N::HOST.
  std::string vm(unsigned n, unsigned host) {
    control::Port p;
    p.name = tenant_ + "/" + std::to_string(n) + "-" + std::to_string(host);
    p.network = net_name(n);
    p.mac = mac_of(base_ * 0x10000 + n * 0x100 + host);
    p.addresses = {ip4(10, 0, n, host), ip6(n, host)};
    t.insert(p);
    return p.name;
  }
  static control::RouterPort on(const std::string& network, unsigned n, unsigned host, Mac mac) {
    return {network, mac, {ip4(10, 0, n, host), ip6(n, host)}};
  }
  /// A port of router `r` on network n with address 10.0.n.host.
  control::RouterPort leg(unsigned r, unsigned n, unsigned host = 1) const {
    return on(net_name(n), n, host, router_mac(r, n));
  }
  static Mac router_mac(unsigned r, unsigned n) { return mac_of(0xf00000 + r * 0x100 + n); }
  /// A port `name` towards port `there` of another router.
  static control::RouterPort link(const std::string& name, const std::string& router,
                                  const std::string& there, unsigned n, unsigned host) {
    control::RouterPort p;
    p.name = name;
    p.mac = mac_of(0xe00000 + n * 0x100 + host);
    p.addresses = {ip4(10, 0, n, host), ip6(n, host)};
    p.subnets = subnets(n);
    p.peer_router = router;
    p.peer_port = there;
    return p;
  }
  std::string router(const std::string& name, std::vector<control::RouterPort> ports) {
    const std::string full = tenant_ + "/" + name;
    t.insert(control::Router{full, tenant_, std::move(ports)});
    return full;
  }
  void route(const std::string& router, const Prefix& to, std::optional<IpAddress> hop,
             bool by_source = false, const std::string& output = {}) {
    control::Route r;
    r.name = router + "-route-" + std::to_string(++count_);
    r.router = router;
    r.prefix = to;
    r.by_source = by_source;
    r.next_hop = hop;
    r.output = output;
    r.cookie = 9'000'000 + base_ * 1000 + count_;
    t.insert(r);
  }
  /// To network n by 10.0.hop_net.hop, in both families.
  void route_to(const std::string& router, unsigned n, unsigned hop_net, unsigned hop) {
    route(router, subnets(n)[0], ip4(10, 0, hop_net, hop));
    route(router, subnets(n)[1], ip6(hop_net, hop));
  }

  control::Transaction t;
  unsigned base_ = 100;

 private:
  std::string tenant_;
  unsigned count_ = 0;
};

inline void must(Result<> r) {
  INFO((r.ok() ? std::string() : r.error().text()));
  REQUIRE(r.ok());
}

/// Everything that must hold at rest.
inline void rests(Lab& lab) {
  REQUIRE(lab.settle());
  for (unsigned i = 0; i < lab.host_count(); ++i)
    REQUIRE((lab.host(i).sink->errors.empty() ? "" : lab.host(i).sink->errors.front()) == "");
  REQUIRE(lab.controller().check_recompute() == "");
}

inline std::string text_of(const Fate& fate) {
  std::string out;
  for (const Delivery& d : fate.delivered) out += "to " + d.vm + " ";
  for (const Drop& d : fate.drops) out += "drop " + d.reason + " ";
  return out;
}

inline Mac mac_at(const std::vector<std::uint8_t>& frame, std::size_t at) {
  Mac m;
  std::copy_n(frame.begin() + static_cast<long>(at), 6, m.bytes.begin());
  return m;
}
inline std::uint8_t ttl_of(const Delivery& d) { return d.frame[d.frame[12] == 0x86 ? 21 : 22]; }
inline IpAddress source_of(const Delivery& d) {
  const auto& f = d.frame;
  if (f[12] == 0x86) {
    Ip6 a;
    for (int i = 0; i < 8; ++i) a.high = a.high << 8 | f[22 + i];
    for (int i = 0; i < 8; ++i) a.low = a.low << 8 | f[30 + i];
    return a;
  }
  return Ip4{std::uint32_t{f[26]} << 24 | f[27] << 16 | f[28] << 8 | f[29]};
}
inline IpAddress destination_of(const Delivery& d) {
  const auto& f = d.frame;
  if (f[12] == 0x86) {
    Ip6 a;
    for (int i = 0; i < 8; ++i) a.high = a.high << 8 | f[38 + i];
    for (int i = 0; i < 8; ++i) a.low = a.low << 8 | f[46 + i];
    return a;
  }
  return Ip4{std::uint32_t{f[30]} << 24 | f[31] << 16 | f[32] << 8 | f[33]};
}
inline std::uint16_t source_port_of(const Delivery& d) {
  const std::size_t l4 = d.frame[12] == 0x86 ? 54 : 34;
  return static_cast<std::uint16_t>(d.frame[l4] << 8 | d.frame[l4 + 1]);
}
inline std::uint16_t destination_port_of(const Delivery& d) {
  const std::size_t l4 = d.frame[12] == 0x86 ? 54 : 34;
  return static_cast<std::uint16_t>(d.frame[l4 + 2] << 8 | d.frame[l4 + 3]);
}

}  // namespace weft::test
