#include <fmt/format.h>

#include <algorithm>

#include "scenarios/import/nb_mapper.h"

namespace weft::imports {
namespace {

using control::Port;
using control::PortType;

bool contained(const Prefix& inner, const Prefix& outer) {
  return inner.address.is6 == outer.address.is6 && inner.length >= outer.length &&
         outer.contains(inner.address);
}

}  // namespace

void NbMapper::map_switches() {
  for (const NbRow* global : sorted("NB_Global")) {
    const std::string& prefix = global->option("options", "mac_prefix");
    if (prefix.empty()) continue;
    const auto mac = parse_mac(prefix + ":00:00:00");
    if (mac)
      mac_prefix_ = static_cast<std::uint32_t>(mac->to_u64() >> 24);
    else
      refuse(*global, "options",
             fmt::format("mac_prefix={} is not half an Ethernet address", prefix));
  }
  const Rows switches = sorted("Logical_Switch");
  for (const NbRow* ls : switches)
    for (const NbRow* lsp : children(*ls, "ports")) {
      const auto [it, fresh] = lsp_switch_.emplace(lsp, ls);
      if (!fresh) {
        refuse(*ls, "ports", fmt::format("{} is on {} too", lsp->title(), it->second->title()));
        continue;
      }
      if (lsp->text("type") == "router")
        read_router_port(*lsp, *ls);
      else
        read_port(*lsp, *ls);
    }
  for (const NbRow* lrp : sorted("Logical_Router_Port"))
    if (const auto mac = parse_mac(lrp->text("mac"))) macs_.insert(*mac);
  for (const auto& [name, port] : ports_) macs_.insert(port.mac);
  for (const NbRow* ls : switches) give_addresses(*ls);

  // Numbers that were asked for first; the others get the lowest that is free, by name.
  std::map<const NbRow*, std::uint32_t> numbers;
  std::set<std::uint32_t> used;
  for (const NbRow* ls : switches) {
    const std::string& wanted = ls->option("other_config", "requested-tnl-key");
    if (wanted.empty()) continue;
    const auto number = canonical_atom(AtomType::integer, wanted);
    const auto n = number ? std::stoll(*number) : 0;
    if (n < 1 || n >= 1 << 24 || !used.insert(static_cast<std::uint32_t>(n)).second) {
      refuse(*ls, "other_config",
             fmt::format("requested-tnl-key={} is no free number from 1 to 16777215", wanted));
      continue;
    }
    numbers[ls] = static_cast<std::uint32_t>(n);
  }
  std::uint32_t next = 1;
  for (const NbRow* ls : switches) {
    if (!numbers.contains(ls)) {
      while (used.contains(next)) ++next;
      used.insert(next);
      numbers[ls] = next;
    }
    map_network(*ls, numbers[ls]);
  }
}

void NbMapper::map_network(const NbRow& ls, std::uint32_t vni) {
  control::Network network;
  network.name = name_of(ls);
  network.tenant = "ovn";
  network.vni = vni;
  network.any_address = true;
  std::vector<Prefix> subnets;
  for (const auto& [lrp, on] : lrp_switch_) {
    if (on != &ls) continue;
    for (const auto& [text, ignored] : lrp->get("networks"))
      if (const auto parsed = parse_interface(text)) subnets.push_back(parsed->prefix);
  }
  if (const std::string& subnet = ls.option("other_config", "subnet"); !subnet.empty())
    if (const auto parsed = parse_loose_prefix(subnet)) subnets.push_back(*parsed);
  if (const std::string& prefix = ls.option("other_config", "ipv6_prefix"); !prefix.empty())
    if (const auto address = parse_ip(prefix); address && address->is6)
      subnets.push_back({Ip6{address->bits.high, 0}, 64});
  std::sort(subnets.begin(), subnets.end(), [](const Prefix& a, const Prefix& b) {
    return a.length != b.length ? a.length < b.length : a.address < b.address;
  });
  // Wider ones first: those that lie in one of them say nothing more.
  for (const Prefix& p : subnets)
    if (std::none_of(network.subnets.begin(), network.subnets.end(),
                     [&](const Prefix& wide) { return contained(p, wide); }))
      network.subnets.push_back(p);
  std::sort(network.subnets.begin(), network.subnets.end());
  insert(std::move(network), &ls);
}

// --- ports ---------------------------------------------------------------------------------------

void NbMapper::read_router_port(const NbRow& lsp, const NbRow& ls) {
  const std::string& name = lsp.option("options", "router-port");
  if (name.empty())
    return refuse(lsp, "options", "a port of type router needs router-port",
                  "lsp-set-options PORT router-port=ROUTER-PORT");
  const auto found = store_.named("Logical_Router_Port", name);
  if (found.empty())
    return refuse(lsp, "options", fmt::format("there is no router port '{}'", name));
  const NbRow& lrp = *found.front();
  if (const auto [it, fresh] = lrp_switch_.emplace(&lrp, &ls); !fresh)
    return refuse(lsp, "options", fmt::format("{} is attached twice", lrp.title()));
  if (lrp.has("peer"))
    return refuse(lsp, "options",
                  fmt::format("{} has a peer and is attached to a switch as well", lrp.title()));
  check_enabled(lsp);
  bool reachable = false;
  for (const auto& [text, ignored] : lsp.get("addresses")) {
    if (text == "router") {
      reachable = true;
      continue;
    }
    const auto station = parse_station(text);
    const auto mac = parse_mac(lrp.text("mac"));
    if (station && mac && station->mac == *mac)
      reachable = true;
    else if (text != "unknown")
      refuse(lsp, "addresses", fmt::format("'{}' is not the address of {}", text, lrp.title()),
             "lsp-set-addresses PORT router");
  }
  if (!reachable)
    refuse(lsp, "addresses",
           fmt::format("the switch sends nothing to {} without its address", lrp.title()),
           "lsp-set-addresses PORT router");
  if (lsp.has("port_security"))
    refuse(lsp, "port_security", "weft guards guests' ports, not routers'", "clear the column");
}

void NbMapper::read_port(const NbRow& lsp, const NbRow& ls) {
  Port port;
  port.name = lsp.text("name");
  port.network = name_of(ls);
  port.security = false;
  port.enabled = !lsp.has("enabled") || lsp.is_true("enabled");
  const std::string& type = lsp.text("type");
  if (type == "localnet" || type == "l2gateway") {
    port.type = PortType::external;
    for (const char* tag : {"tag", "tag_request"})
      if (lsp.has(tag) && lsp.text(tag) != "0")
        note(lsp, std::string("Logical_Switch_Port.") + tag,
             "the VLAN of the physical network, which lies outside of weft");
    port.unknown = lsp.get("addresses").contains("unknown");
    if (type == "l2gateway") {
      port.requested = lsp.option("options", "l2gateway-chassis");
      if (port.requested.empty())
        return refuse(lsp, "options", "a port of type l2gateway needs l2gateway-chassis");
      chassis_.insert(port.requested);
    }
    if (lsp.has("port_security"))
      refuse(lsp, "port_security", "weft guards guests' ports, not ways out", "clear the column");
  } else if (type.empty() || type == "localport") {
    if (!read_addresses(lsp, port)) return;
    read_security(lsp, port);
    read_chassis(lsp, port);
    if (type == "localport") {
      nobodys_.insert(port.name);
      note(lsp, "type localport",
           "the port is known by its addresses, but no hypervisor carries it: what is sent to it "
           "ends there");
    }
    if (lsp.has("tag") || (lsp.has("tag_request") && lsp.text("tag_request") != "0"))
      refuse(lsp, "tag", "weft's guests send without VLAN tags", "clear the column");
    for (const auto& [column, out] :
         {std::pair{"dhcpv4_options", &port.dhcp4}, std::pair{"dhcpv6_options", &port.dhcp6}})
      for (const NbRow* dhcp : children(lsp, column)) *out = names_[dhcp];
  } else {
    return refuse(lsp, "type", fmt::format("weft has no ports of type {}", type),
                  "ports for guests (''), router, localnet, l2gateway and localport are imported");
  }
  port_rows_[port.name] = &lsp;
  ports_[port.name] = std::move(port);
}

bool NbMapper::read_addresses(const NbRow& lsp, Port& port) {
  bool have_mac = false;
  std::size_t stations = 0;
  for (const auto& [text, ignored] : lsp.get("addresses")) {
    if (text == "unknown") {
      port.unknown = true;
      continue;
    }
    const auto words = split_words(text, " ,\t");
    if (std::find(words.begin(), words.end(), "dynamic") != words.end()) {
      ++stations;
      if (!read_dynamic(lsp, text, port)) return false;
      continue;
    }
    const auto station = parse_station(text);
    if (!station) {
      refuse(lsp, "addresses", station.error().message,
             "an Ethernet address and then IP addresses, or unknown, or dynamic");
      return false;
    }
    if (have_mac && station->mac != port.mac) {
      refuse(lsp, "addresses",
             fmt::format("two Ethernet addresses, {} and {}; weft's ports have one",
                         port.mac.text(), station->mac.text()),
             "one port for each");
      return false;
    }
    if (!have_mac) ++stations;
    have_mac = true;
    port.mac = station->mac;
    for (const InterfaceAddress& a : station->addresses)
      if (std::find(port.addresses.begin(), port.addresses.end(), a.address) ==
          port.addresses.end())
        port.addresses.push_back(a.address);
  }
  if (stations > 1) {
    refuse(lsp, "addresses", "fixed and dynamic addresses on one port", "one port for each");
    return false;
  }
  std::sort(port.addresses.begin(), port.addresses.end());
  return true;
}

bool NbMapper::read_dynamic(const NbRow& lsp, std::string_view text, Port& port) {
  Dynamic request;
  request.row = &lsp;
  if (lsp.has("dynamic_addresses")) {
    const auto given = parse_station(lsp.text("dynamic_addresses"));
    if (!given) {
      refuse(lsp, "dynamic_addresses", given.error().message);
      return false;
    }
    port.mac = given->mac;
    for (const InterfaceAddress& a : given->addresses) port.addresses.push_back(a.address);
    return true;
  }
  request.ip4 = request.ip6 = true;
  for (const std::string_view word : split_words(text, " ,\t")) {
    if (word == "dynamic") continue;
    if (const auto mac = parse_mac(word)) {
      request.mac = *mac;
      port.mac = *mac;
    } else if (const auto address = parse_ip(word)) {
      port.addresses.push_back(*address);
      (address->is6 ? request.ip6 : request.ip4) = false;
    } else {
      refuse(lsp, "addresses", fmt::format("'{}' in '{}' is no address", word, text));
      return false;
    }
  }
  dynamic_[lsp_switch_[&lsp]].push_back(request);
  return true;
}

void NbMapper::read_security(const NbRow& lsp, Port& port) {
  if (!lsp.has("port_security")) return;
  port.security = true;
  std::set<Prefix> allowed;
  bool first = port.mac == Mac{};
  const bool dynamic =
      std::any_of(dynamic_[lsp_switch_[&lsp]].begin(), dynamic_[lsp_switch_[&lsp]].end(),
                  [&](const Dynamic& d) { return d.row == &lsp; });
  if (first && dynamic)
    return refuse(lsp, "port_security", "the port's Ethernet address is only found by OVN",
                  "give it one: \"MAC dynamic\"");
  for (const auto& [text, ignored] : lsp.get("port_security")) {
    const auto station = parse_station(text);
    if (!station) return refuse(lsp, "port_security", station.error().message);
    if (first) port.mac = station->mac;  // a port whose addresses say unknown
    first = false;
    if (station->mac != port.mac)
      return refuse(lsp, "port_security",
                    fmt::format("{} is not the port's Ethernet address {}; weft's ports have one",
                                station->mac.text(), port.mac.text()));
    if (station->addresses.empty()) {
      allowed.insert({Ip4{0}, 0});
      allowed.insert({Ip6{}, 0});
    }
    for (const InterfaceAddress& a : station->addresses) {
      // Host bits: the mask only tells the broadcast address.
      const bool subnet = a.address == a.prefix.address;
      allowed.insert(subnet ? a.prefix : Prefix{a.address, a.address.is6 ? 128 : 32});
    }
  }
  port.allowed.assign(allowed.begin(), allowed.end());
}

void NbMapper::read_chassis(const NbRow& lsp, Port& port) {
  for (const std::string_view name : split_words(lsp.option("options", "requested-chassis"), ",")) {
    chassis_.insert(std::string(name));
    if (port.requested.empty())
      port.requested = name;
    else if (name != port.requested)
      port.also.emplace_back(name);
  }
  const std::string& strategy = lsp.option("options", "activation-strategy");
  if (strategy.empty()) return;
  if (strategy != "rarp")
    return refuse(lsp, "options",
                  fmt::format("activation-strategy={}: weft knows rarp only", strategy));
  port.activation_by_rarp = !port.also.empty();
}

// --- addresses that OVN gives --------------------------------------------------------------------

// As ovn-northd does: the lowest address of the subnet that is free, not excluded, and neither the
// first one (the router's, by custom) nor the last. Ports that were there first choose first.
void NbMapper::give_addresses(const NbRow& ls) {
  const std::string& subnet_text = ls.option("other_config", "subnet");
  const std::string& prefix6_text = ls.option("other_config", "ipv6_prefix");
  std::optional<Prefix> subnet;
  std::optional<Ip6> prefix6;
  if (!subnet_text.empty()) {
    const auto parsed = parse_loose_prefix(subnet_text);
    if (!parsed || parsed->address.is6 || parsed->length > 30)
      return refuse(ls, "other_config", fmt::format("subnet={} is no IPv4 subnet", subnet_text));
    subnet = *parsed;
  }
  if (!prefix6_text.empty()) {
    const auto parsed = parse_ip(prefix6_text);
    if (!parsed || !parsed->is6)
      return refuse(ls, "other_config", fmt::format("ipv6_prefix={} is no address", prefix6_text));
    prefix6 = parsed->v6();
  }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> excluded;
  for (const std::string_view word : split_words(ls.option("other_config", "exclude_ips"), " ")) {
    const std::size_t dots = word.find("..");
    const auto first = parse_ip(word.substr(0, dots));
    const auto last = dots == std::string_view::npos ? first : parse_ip(word.substr(dots + 2));
    if (!first || !last || first->is6 || last->is6)
      return refuse(ls, "other_config",
                    fmt::format("exclude_ips has '{}', which is no range", word));
    excluded.emplace_back(first->v4().value, last->v4().value);
  }
  auto& requests = dynamic_[&ls];
  std::stable_sort(requests.begin(), requests.end(), [](const Dynamic& a, const Dynamic& b) {
    return a.row->born != b.row->born ? a.row->born < b.row->born
                                      : a.row->text("name") < b.row->text("name");
  });
  std::set<std::uint32_t> used;
  const auto use = [&](const IpAddress& a) {
    if (!a.is6) used.insert(a.v4().value);
  };
  for (const auto& [name, port] : ports_)
    if (port.network == name_of(ls))
      for (const IpAddress& a : port.addresses) use(a);
  for (const auto& [lrp, on] : lrp_switch_)
    if (on == &ls)
      for (const auto& [text, ignored] : lrp->get("networks"))
        if (const auto parsed = parse_interface(text)) use(parsed->address);

  for (const Dynamic& request : requests) {
    Port& port = ports_[request.row->text("name")];
    if (request.ip4 && subnet) {
      const std::uint32_t base = subnet->address.v4().value;
      const std::uint32_t last = base + (0xffffffffu >> subnet->length);
      std::uint32_t at = base + 2;
      for (bool again = true; again && at < last;) {
        again = used.contains(at);
        if (again) ++at;
        for (const auto& [from, to] : excluded)
          if (at >= from && at <= to) at = to + 1, again = true;
      }
      if (at >= last) {
        refuse(*request.row, "addresses",
               fmt::format("{} has no address left in {}", ls.title(), subnet->text()));
        continue;
      }
      used.insert(at);
      port.addresses.emplace_back(Ip4{at});
    }
    // Where neither is there, OVN gives nothing unless it was asked for Ethernet addresses alone.
    const bool gives = subnet || prefix6 || ls.option("other_config", "mac_only") == "true";
    if (!request.mac && gives) {
      const auto four = std::find_if(port.addresses.begin(), port.addresses.end(),
                                     [](const IpAddress& a) { return !a.is6; });
      port.mac = unused_mac(four == port.addresses.end() ? nullptr : &*four);
    }
    if (request.ip6 && prefix6)
      port.addresses.emplace_back(
          Ip6{prefix6->high, prefix6->low | interface_identifier(port.mac)});
    std::sort(port.addresses.begin(), port.addresses.end());
  }
}

Mac NbMapper::unused_mac(const IpAddress* address) {
  constexpr std::uint32_t kSpace = 0xffffff;
  const std::uint32_t base = address == nullptr ? 0 : address->v4().value & kSpace;
  for (std::uint32_t i = 0; i < kSpace - 1; ++i) {
    const std::uint64_t suffix = (base + i) % (kSpace - 1) + 1;
    const Mac mac = Mac::from_u64(static_cast<std::uint64_t>(mac_prefix_) << 24 | suffix);
    if (macs_.insert(mac).second) return mac;
  }
  return {};
}

void NbMapper::finish_ports() {
  for (auto& [name, port] : ports_) {
    const NbRow& row = *port_rows_[name];
    if (port.type == PortType::vm && port.mac == Mac{}) {
      port.mac = unused_mac(port.addresses.empty() || port.addresses[0].is6 ? nullptr
                                                                            : &port.addresses[0]);
      note(row, "no Ethernet address", fmt::format("weft gave it one ({})", port.mac.text()));
    }
    for (const IpAddress& own : port.addresses) {
      if (!port.security) break;
      if (std::none_of(port.allowed.begin(), port.allowed.end(),
                       [&](const Prefix& p) { return p.contains(own); }))
        refuse(row, "port_security",
               fmt::format("does not allow the port's own address {}; weft does", own.text()),
               "remove the address from addresses, or allow it");
      std::erase(port.allowed, Prefix{own, own.is6 ? 128 : 32});
    }
    insert(port, &row);
  }
}

}  // namespace weft::imports
