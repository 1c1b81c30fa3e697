#include "control/logical.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace weft::control {
namespace {

std::string in_network(const Network& n) { return fmt::format("metadata=0x{:x}", n.vni); }

std::string load_key(std::uint32_t key) { return fmt::format("load:0x{:x}->NXM_NX_REG15[]", key); }

std::string ip_match(const IpAddress& a, bool source) {
  if (a.is6) return fmt::format("ipv6_{}={}", source ? "src" : "dst", a.text());
  return fmt::format("nw_{}={}", source ? "src" : "dst", a.text());
}

std::string prefix_match(const Prefix& p, bool source) {
  const char* side = source ? "src" : "dst";
  const bool host = p.length == (p.address.is6 ? 128 : 32);
  const std::string text = host ? p.address.text() : p.text();
  return fmt::format("{}_{}={}", p.address.is6 ? "ipv6" : "nw", side, text);
}

const char* family(bool is6) { return is6 ? "ipv6" : "ip"; }

/// A question for `address` in this network, as a match.
std::string question(const std::string& where, const IpAddress& address) {
  if (address.is6) return fmt::format("{},icmp6,icmp_type=135,nd_target={}", where, address.text());
  return fmt::format("{},arp,arp_op=1,arp_tpa={}", where, address.text());
}

Flow answer(const Network& n, const IpAddress& address, const Mac& mac) {
  return stage_flow(Stage::responder, 100, question(in_network(n), address),
                    fmt::format("{}({})", address.is6 ? "nd_reply" : "arp_reply", mac.text()));
}

void add_security(const Network& n, const Port& p, std::vector<Flow>& out) {
  const std::string mac = p.mac.text();
  const std::string self = fmt::format("{},reg14=0x{:x},dl_src={}", in_network(n), p.key, mac);
  const std::string next = go_to(Stage::from_port_ct);
  const auto pass = [&](int priority, const std::string& match) {
    out.push_back(stage_flow(Stage::port_security, priority, self + "," + match, next));
  };
  std::vector<IpAddress> six;
  bool four = false;
  for (const IpAddress& a : p.addresses) {
    if (a.is6) {
      six.push_back(a);
      continue;
    }
    four = true;
    pass(90, fmt::format("ip,nw_src={}", a.text()));
    pass(90, fmt::format("arp,arp_spa={},arp_sha={}", a.text(), mac));
  }
  if (four) pass(90, fmt::format("arp,arp_spa=0.0.0.0,arp_sha={}", mac));  // RFC 5227 probe
  if (six.empty()) return;
  six.push_back(link_local(p.mac));
  const std::string none = Mac{}.text();
  for (const IpAddress& source : six) {
    pass(90, fmt::format("ipv6,ipv6_src={}", source.text()));
    for (const std::string& sll : {mac, none})
      pass(95, fmt::format("icmp6,ipv6_src={},icmp_type=135,nd_sll={}", source.text(), sll));
    for (const IpAddress& target : six)
      for (const std::string& tll : {mac, none})
        pass(95, fmt::format("icmp6,ipv6_src={},icmp_type=136,nd_target={},nd_tll={}",
                             source.text(), target.text(), tll));
    // RFC 4862: duplicate address detection has no source yet.
    pass(95, fmt::format("icmp6,ipv6_src=::,icmp_type=135,nd_target={}", source.text()));
  }
  for (int type : {134, 135, 136, 137})
    out.push_back(stage_flow(Stage::port_security, 92,
                             fmt::format("{},icmp6,icmp_type={}", self, type),
                             "drop(port.security)"));
}

}  // namespace

Ip6 link_local(const Mac& mac) {
  std::uint64_t low = 0;
  const auto& b = mac.bytes;
  for (const unsigned v :
       {b[0] ^ 2u, 0u + b[1], 0u + b[2], 0xffu, 0xfeu, 0u + b[3], 0u + b[4], 0u + b[5]})
    low = low << 8 | v;
  return {0xfe80ULL << 48, low};
}

std::vector<std::string> port_masks(const AclPorts& range) {
  std::vector<std::string> out;
  std::uint32_t at = range.first;
  while (at <= range.last) {
    std::uint32_t size = 1;
    while (at % (size * 2) == 0 && at + size * 2 - 1 <= range.last && size < 0x10000) size *= 2;
    if (size == 1)
      out.push_back(fmt::format("{}", at));
    else if (size < 0x10000)
      out.push_back(fmt::format("0x{:x}/0x{:x}", at, 0x10000 - size));
    else
      out.push_back({});
    at += size;
  }
  return out;
}

std::vector<Flow> network_flows(const Network& n, bool tracked) {
  std::vector<Flow> out;
  const std::string here = in_network(n);
  for (const char* ip : {"ip", "ipv6"}) {
    if (!tracked) break;
    const auto track = [](Stage next) {
      return fmt::format("ct(table={},zone=NXM_NX_REG13[0..15])", static_cast<unsigned>(next));
    };
    out.push_back(
        stage_flow(Stage::from_port_ct, 100, here + "," + ip, track(Stage::from_port_commit)));
    out.push_back(stage_flow(Stage::to_port_ct, 100, here + "," + ip, track(Stage::to_port_state)));
  }
  out.push_back(stage_flow(Stage::l2_lookup, 100, here + "," + kMulticast,
                           load_key(kFloodKey) + "," + go_to(Stage::locate)));
  out.push_back(stage_flow(Stage::from_tunnel, 10, here, "drop(vm.gone)"));
  return out;
}

std::vector<Flow> router_flows(const Network& n, const RouterPort& port,
                               const std::vector<RouteTarget>& to) {
  std::vector<Flow> out;
  for (const IpAddress& a : port.addresses) out.push_back(answer(n, a, port.mac));
  const std::string self = fmt::format("{},dl_dst={}", in_network(n), port.mac.text());
  const auto route = [&](int priority, const std::string& match, std::string actions) {
    out.push_back(stage_flow(Stage::route, priority, self + match, std::move(actions)));
  };
  // The router answers for all its addresses, whichever network the question comes from.
  for (const RouteTarget& target : to) {
    for (const IpAddress& a : target.port->addresses) {
      const std::string ask = fmt::format(",{},{}", a.is6 ? "icmp6" : "icmp", ip_match(a, false));
      route(110, fmt::format("{},icmp_type={}", ask, a.is6 ? 128 : 8), "icmp_echo_reply");
      route(106, fmt::format(",{},{}", family(a.is6), ip_match(a, false)), "drop(route.none)");
    }
  }
  for (const IpAddress& a : port.addresses)
    for (int ttl : {0, 1})
      route(105, fmt::format(",{},nw_ttl={}", family(a.is6), ttl),
            fmt::format("icmp_error({},0,{})", a.is6 ? 3 : 11, a.text()));
  for (const RouteTarget& target : to)
    for (const Prefix& subnet : target.network->subnets)
      route(100, fmt::format(",{},{}", family(subnet.address.is6), prefix_match(subnet, false)),
            fmt::format("dec_ttl,load:0x{:x}->OXM_OF_METADATA[],load:0->NXM_NX_REG14[],"
                        "mod_dl_src:{},{}",
                        target.network->vni, target.port->mac.text(), go_to(Stage::resolve)));
  route(50, "", "drop(route.none)");
  return out;
}

std::vector<Flow> port_flows(const Network& n, const Port& p) {
  std::vector<Flow> out;
  const std::string here = in_network(n);
  const std::string found = load_key(p.key) + "," + go_to(Stage::locate);
  for (const IpAddress& a : p.addresses) {
    out.push_back(answer(n, a, p.mac));
    out.push_back(stage_flow(Stage::resolve, 100,
                             fmt::format("{},{},{}", here, family(a.is6), ip_match(a, false)),
                             fmt::format("mod_dl_dst:{},{}", p.mac.text(), found)));
  }
  out.push_back(
      stage_flow(Stage::l2_lookup, 50, fmt::format("{},dl_dst={}", here, p.mac.text()), found));
  return out;
}

std::vector<Flow> local_port_flows(const Network& n, const Port& p, bool tracked,
                                   std::uint64_t profile) {
  std::vector<Flow> out;
  add_security(n, p, out);
  const std::string from = fmt::format("{},reg14=0x{:x}", in_network(n), p.key);
  for (const IpAddress& a : p.addresses)
    out.push_back(stage_flow(Stage::responder, 110, question(from, a), go_to(Stage::route)));
  if (tracked)
    out.push_back(
        stage_flow(Stage::classify, 100, fmt::format("{},reg15=0x{:x}", in_network(n), p.key),
                   fmt::format("load:0x{:x}->NXM_NX_REG1[],load:0x{:x}->NXM_NX_REG2[],{}",
                               profile >> 32, profile & 0xffffffffu, go_to(Stage::policy))));
  return out;
}

namespace {

std::string of_profile(std::uint64_t profile) {
  return fmt::format("reg1=0x{:x},reg2=0x{:x}", profile >> 32, profile & 0xffffffffu);
}

const char* protocol_name(AclProtocol protocol, bool is6) {
  switch (protocol) {
    case AclProtocol::any:
      break;
    case AclProtocol::icmp:
      return is6 ? "icmp6" : "icmp";
    case AclProtocol::tcp:
      return is6 ? "tcp6" : "tcp";
    case AclProtocol::udp:
      return is6 ? "udp6" : "udp";
  }
  return is6 ? "ipv6" : "ip";
}

/// Matches of one side for one family; one empty text if the side is open.
std::vector<std::string> side_matches(bool any, const std::vector<Prefix>& prefixes, bool is6,
                                      bool source) {
  if (any) return {""};
  std::vector<std::string> out;
  for (const Prefix& p : prefixes)
    if (p.address.is6 == is6) out.push_back("," + prefix_match(p, source));
  return out;
}

std::string verdict(bool allow) { return allow ? go_to(Stage::commit) : "drop(policy)"; }

}  // namespace

std::vector<Flow> acl_flows(const Acl& acl, std::uint64_t profile, bool any_source,
                            const std::vector<Prefix>& sources, bool any_destination,
                            const std::vector<Prefix>& destinations) {
  std::vector<std::string> ports;
  for (const AclPorts& range : acl.ports)
    for (const std::string& mask : port_masks(range))
      ports.push_back(mask.empty() ? "" : ",tp_dst=" + mask);
  if (ports.empty()) ports.emplace_back();

  const int priority = std::min(65'535, 2 * acl.priority + 1 + (acl.denies() ? 1 : 0));
  std::vector<Flow> out;
  for (const bool is6 : {false, true}) {
    const std::string head =
        fmt::format("{},{}", of_profile(profile), protocol_name(acl.protocol, is6));
    for (const std::string& from : side_matches(any_source, sources, is6, true))
      for (const std::string& to : side_matches(any_destination, destinations, is6, false))
        for (const std::string& port : ports) {
          Flow f =
              stage_flow(Stage::policy, priority, head + from + to + port, verdict(!acl.denies()));
          f.body.cookie = acl.cookie;
          out.push_back(std::move(f));
        }
  }
  return out;
}

Flow default_flow(const Tenant& tenant, std::uint64_t profile) {
  Flow f = stage_flow(Stage::policy, 0, of_profile(profile), verdict(tenant.default_allow));
  f.body.cookie = tenant.default_cookie;
  return f;
}

}  // namespace weft::control
