#include "control/logical.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "control/gateways.h"

namespace weft::control {
namespace {

std::string in_network(const Network& n) { return in_datapath(n.vni); }

std::string load_key(std::uint32_t key) { return fmt::format("load:0x{:x}->NXM_NX_REG15[]", key); }

std::string ip_match(const IpAddress& a, bool source) {
  if (a.is6) return fmt::format("ipv6_{}={}", source ? "src" : "dst", a.text());
  return fmt::format("nw_{}={}", source ? "src" : "dst", a.text());
}

}  // namespace

std::string prefix_match(const Prefix& p, bool source) {
  const char* side = source ? "src" : "dst";
  const bool host = p.length == (p.address.is6 ? 128 : 32);
  const std::string text = host ? p.address.text() : p.text();
  return fmt::format("{}_{}={}", p.address.is6 ? "ipv6" : "nw", side, text);
}

const char* family(bool is6) { return is6 ? "ipv6" : "ip"; }

std::string in_datapath(std::uint32_t datapath) { return fmt::format("metadata=0x{:x}", datapath); }

std::string question(const std::string& where, const IpAddress& address) {
  if (address.is6) return fmt::format("{},icmp6,icmp_type=135,nd_target={}", where, address.text());
  return fmt::format("{},arp,arp_op=1,arp_tpa={}", where, address.text());
}

Flow answer(const Network& n, const IpAddress& address, const Mac& mac) {
  return stage_flow(Stage::responder, 100, question(in_network(n), address),
                    fmt::format("{}({})", address.is6 ? "nd_reply" : "arp_reply", mac.text()));
}

namespace {

void add_security(const Network& n, const Port& p, std::vector<Flow>& out) {
  const std::string mac = p.mac.text();
  if (!p.security) {
    out.push_back(stage_flow(Stage::port_security, 90,
                             fmt::format("{},reg14=0x{:x}", in_network(n), p.key),
                             go_to(Stage::mirror_from)));
    return;
  }
  const std::string self = fmt::format("{},reg14=0x{:x},dl_src={}", in_network(n), p.key, mac);
  const std::string next = go_to(Stage::mirror_from);
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
  for (const Prefix& prefix : p.allowed) {
    pass(90, fmt::format("{},{}", family(prefix.address.is6), prefix_match(prefix, true)));
    if (prefix.address.is6) continue;
    four = true;
    pass(90, fmt::format("arp,arp_spa={},arp_sha={}", prefix.text(), mac));
  }
  if (four) {
    // A client that asks DHCP has no address yet.
    pass(90, "udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,tp_src=68,tp_dst=67");
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
      return fmt::format("ct(table={},zone={},nat)", static_cast<unsigned>(next), kZone);
    };
    out.push_back(
        stage_flow(Stage::from_port_ct, 100, here + "," + ip, track(Stage::from_port_state)));
    out.push_back(stage_flow(Stage::to_port_ct, 100, here + "," + ip, track(Stage::to_port_state)));
  }
  out.push_back(stage_flow(Stage::l2_lookup, 100, here + "," + kMulticast,
                           load_key(kFloodKey) + "," + go_to(Stage::locate)));
  out.push_back(stage_flow(Stage::from_tunnel, 10, here, "drop(vm.gone)"));
  return out;
}

std::uint32_t port_number(const Router& router, const std::string& label) {
  for (std::uint32_t i = 0; i < router.ports.size(); ++i)
    if (router.ports[i].label() == label) return i + 1;
  return 0;
}

std::string next_hop_match(const IpAddress& a) {
  if (!a.is6) return fmt::format("reg4=0x{:x}", a.v4().value);
  return fmt::format("xxreg1=0x{:x}{:016x}", a.bits.high, a.bits.low);
}

int route_priority(const Prefix& prefix, bool connected, bool by_source) {
  return 10 + 3 * prefix.length + (connected ? 2 : by_source ? 0 : 1);
}

std::string route_actions(bool is6, const std::optional<IpAddress>& next_hop,
                          std::uint32_t number) {
  std::string hop;
  if (!next_hop) {
    hop = is6 ? "move:NXM_NX_IPV6_DST[]->NXM_NX_XXREG1[]" : "move:NXM_OF_IP_DST[]->NXM_NX_REG4[]";
  } else if (is6) {
    hop = fmt::format("load:0x{:x}->NXM_NX_XXREG1[64..127],load:0x{:x}->NXM_NX_XXREG1[0..63]",
                      next_hop->bits.high, next_hop->bits.low);
  } else {
    hop = fmt::format("load:0x{:x}->NXM_NX_REG4[]", next_hop->v4().value);
  }
  return fmt::format("{},load:0x{:x}->NXM_NX_REG9[]", hop, number);
}

std::vector<Flow> router_entry_flows(const RouterView::Side& side, const Router& router) {
  std::vector<Flow> out;
  const RouterPort& port = *side.port;
  const Network& n = *side.network;
  const std::string enter = enter_router(router, port_number(router, port.label()));
  for (const IpAddress& a : port.addresses) {
    out.push_back(answer(n, a, port.mac));
    // Another router of the network sends to this one.
    out.push_back(
        stage_flow(Stage::resolve, 100,
                   fmt::format("{},{},{}", in_network(n), family(a.is6), next_hop_match(a)),
                   fmt::format("mod_dl_dst:{},{}", port.mac.text(), enter)));
  }
  for (const bool is6 : {false, true})
    out.push_back(stage_flow(
        Stage::to_router, 100,
        fmt::format("{},{},dl_dst={}", in_network(n), family(is6), port.mac.text()), enter));
  out.push_back(stage_flow(Stage::to_router, 90,
                           fmt::format("{},dl_dst={}", in_network(n), port.mac.text()),
                           "drop(route.none)"));
  return out;
}

std::string output_actions(const Mac& mac, const Network& network) {
  return fmt::format(
      "dec_ttl,mod_dl_src:{},load:0x{:x}->OXM_OF_METADATA[],load:0->NXM_NX_REG14[],{}", mac.text(),
      network.vni, go_to(Stage::resolve));
}

std::vector<Flow> router_flows(const RouterView& view) {
  std::vector<Flow> out;
  const std::string here = in_datapath(datapath_of(*view.router));
  const auto add = [&](Stage stage, int priority, const std::string& match, std::string actions) {
    out.push_back(stage_flow(stage, priority, here + match, std::move(actions)));
  };
  for (const RouterView::Side& side : view.sides) {
    const RouterPort& port = *side.port;
    const std::uint32_t number = port_number(*view.router, port.label());
    for (const IpAddress& a : port.addresses) {
      // It answers for all its addresses, whichever network the question comes from.
      const std::string ask = fmt::format(",{},{}", a.is6 ? "icmp6" : "icmp", ip_match(a, false));
      add(Stage::router_input, 110, fmt::format("{},icmp_type={}", ask, a.is6 ? 128 : 8),
          "icmp_echo_reply");
      // That of a gateway port may be one that is translated there: from inside it is routed.
      const std::string in = is_gateway_port(*view.router, port)
                                 ? fmt::format(",reg14=0x{:x}", number)
                                 : std::string();
      add(Stage::router_input, 90, fmt::format("{},{},{}", in, family(a.is6), ip_match(a, false)),
          "drop(route.none)");
      for (int ttl : {0, 1})
        add(Stage::router_input, 105,
            fmt::format(",reg14=0x{:x},{},nw_ttl={}", number, family(a.is6), ttl),
            fmt::format("icmp_error({},0,{})", a.is6 ? 3 : 11, a.text()));
    }
    for (const Prefix& subnet : side.subnets())
      add(Stage::route, route_priority(subnet, true, false),
          fmt::format(",{},{}", family(subnet.address.is6), prefix_match(subnet, false)),
          route_actions(subnet.address.is6, {}, number) + "," + go_to(Stage::reroute));
    const std::string by = fmt::format(",reg9=0x{:x}", number);
    if (side.network != nullptr)
      add(Stage::router_output, 100, by, output_actions(port.mac, *side.network));
    else
      add(Stage::router_output, 100, by,
          fmt::format("dec_ttl,mod_dl_src:{},{}", port.mac.text(),
                      enter_router(*side.peer, side.peer_number)));
    if (is_gateway_port(*view.router, port) && view.router->gateways.empty())
      for (Flow& flow : gateway_redirect_flows(side, *view.router)) out.push_back(std::move(flow));
  }
  return out;
}

std::vector<Flow> port_flows(const Network& n, const Port& p) {
  std::vector<Flow> out;
  const std::string here = in_network(n);
  const std::string found = load_key(p.key) + "," + go_to(Stage::locate);
  if (!p.enabled) return out;
  if (p.type == PortType::external || p.unknown)
    out.push_back(
        stage_flow(Stage::l2_lookup, 1, here, load_key(kUnknownKey) + "," + go_to(Stage::locate)));
  if (p.type == PortType::external) {
    for (Flow& flow : neighbour_flows(n)) out.push_back(std::move(flow));
    if (p.addresses.empty()) return out;
  }
  for (const IpAddress& a : p.addresses) {
    // Who is outside answers for itself.
    if (p.type != PortType::external) out.push_back(answer(n, a, p.mac));
    out.push_back(stage_flow(Stage::resolve, 100,
                             fmt::format("{},{},{}", here, family(a.is6), next_hop_match(a)),
                             fmt::format("mod_dl_dst:{},{}", p.mac.text(), found)));
  }
  out.push_back(
      stage_flow(Stage::l2_lookup, 50, fmt::format("{},dl_dst={}", here, p.mac.text()), found));
  return out;
}

std::vector<Flow> local_port_flows(const Network& n, const Port& p, std::uint64_t profile) {
  std::vector<Flow> out;
  if (!p.enabled) return out;
  if (p.type == PortType::external) {
    out.push_back(stage_flow(Stage::port_security, 90,
                             fmt::format("{},reg14=0x{:x}", in_network(n), p.key),
                             go_to(Stage::from_port_ct)));
    for (Flow& flow : learning_flows(n, p)) out.push_back(std::move(flow));
    return out;
  }
  add_security(n, p, out);
  const std::string from = fmt::format("{},reg14=0x{:x}", in_network(n), p.key);
  for (const IpAddress& a : p.addresses)
    out.push_back(stage_flow(Stage::responder, 110, question(from, a), go_to(Stage::services)));
  if (profile == 0) return out;
  const std::string load = fmt::format("load:0x{:x}->NXM_NX_REG1[],load:0x{:x}->NXM_NX_REG2[],",
                                       profile >> 32, profile & 0xffffffffu);
  out.push_back(stage_flow(Stage::from_classify, 100, from,
                           load + "load:0->NXM_NX_REG3[]," + go_to(Stage::from_policy)));
  out.push_back(stage_flow(Stage::classify, 100,
                           fmt::format("{},reg15=0x{:x}", in_network(n), p.key),
                           load + "load:0->NXM_NX_REG3[]," + go_to(Stage::policy)));
  return out;
}

}  // namespace weft::control
