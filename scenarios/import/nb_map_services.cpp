#include <fmt/format.h>

#include <algorithm>

#include "scenarios/import/nb_mapper.h"

namespace weft::imports {
namespace {

std::uint64_t to_number(std::string_view text) {
  const auto canonical = canonical_atom(AtomType::integer, text);
  const auto n = canonical ? std::stoll(*canonical) : 0;
  return n > 0 ? static_cast<std::uint64_t>(n) : 0;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

}  // namespace

// --- load balancers ------------------------------------------------------------------------------

void NbMapper::map_load_balancers() {
  std::map<const NbRow*, std::set<std::string>> networks, routers;
  const auto attached = [&](const NbRow& row, auto& where) {
    for (const NbRow* lb : children(row, "load_balancer")) where[lb].insert(name_of(row));
    for (const NbRow* group : children(row, "load_balancer_group"))
      for (const NbRow* lb : children(*group, "load_balancer")) where[lb].insert(name_of(row));
  };
  for (const NbRow* ls : sorted("Logical_Switch")) attached(*ls, networks);
  for (const NbRow* lr : sorted("Logical_Router")) attached(*lr, routers);
  for (const NbRow* row : sorted("Load_Balancer")) {
    control::LoadBalancer lb;
    lb.name = name_of(*row);
    lb.tenant = "ovn";
    lb.networks = networks[row];
    lb.routers = routers[row];
    const std::string& protocol = row->text("protocol");
    if (protocol == "sctp") {
      refuse(*row, "protocol", "weft balances tcp and udp", "remove the load balancer");
      continue;
    }
    lb.protocol = protocol == "udp" ? control::AclProtocol::udp : control::AclProtocol::tcp;
    if (!map_vips(*row, lb)) continue;
    // With health checks a mapping of addresses to ports tells which port must be up.
    lb.reject_without_backends = row->option("options", "reject") == "true";
    lb.affinity_seconds =
        static_cast<std::uint32_t>(to_number(row->option("options", "affinity_timeout")));
    const Datum& fields = row->get("selection_fields");
    const Datum whole{{"ip_dst", ""}, {"ip_src", ""}, {"tp_dst", ""}, {"tp_src", ""}};
    if (!fields.empty() && fields != whole)
      refuse(*row, "selection_fields", "weft chooses by addresses, protocol and ports together",
             "ip_src,ip_dst,tp_src,tp_dst, or clear the column; options:affinity_timeout keeps a "
             "client at its backend");
    lb.cookie = cookie(*row);
    insert(std::move(lb), row);
  }
}

bool NbMapper::map_vips(const NbRow& row, control::LoadBalancer& out) {
  std::map<IpAddress, std::string> mapped;
  for (const auto& [address_text, text] : row.get("ip_port_mappings")) {
    // PORT:SOURCE, and names may have colons of their own.
    const auto address = parse_endpoint(address_text);
    std::size_t end = text.rfind(':');
    if (text.ends_with(']')) end = text.rfind(":[");
    if (!address || end == std::string::npos || end == 0) {
      refuse(row, "ip_port_mappings",
             fmt::format("'{}={}' is not ADDRESS=PORT:SOURCE", address_text, text));
      return false;
    }
    mapped[address->address] = text.substr(0, end);
  }
  std::set<std::string> checked;
  for (const NbRow* check : children(row, "health_check")) checked.insert(check->text("vip"));
  bool any_port = false;
  for (const auto& [vip_text, backends_text] : row.get("vips")) {
    const auto vip = parse_endpoint(vip_text);
    if (!vip) {
      refuse(row, "vips", vip.error().message);
      return false;
    }
    any_port |= vip->port != 0;
    control::Vip v;
    v.address = vip->address;
    v.port = vip->port;
    for (const std::string_view word : split_words(backends_text, ", ")) {
      const auto backend = parse_endpoint(word);
      if (!backend) {
        refuse(row, "vips", backend.error().message);
        return false;
      }
      control::Backend b{backend->address, backend->port, {}};
      if (const auto it = mapped.find(b.address); it != mapped.end() && !checked.empty()) {
        if (!ports_.contains(it->second)) {
          refuse(row, "ip_port_mappings", fmt::format("there is no port '{}'", it->second));
          return false;
        }
        b.logical_port = it->second;
      }
      v.backends.push_back(std::move(b));
    }
    if (!checked.empty() && checked.erase(vip_text) == 0) {
      refuse(row, "health_check",
             fmt::format("there is none for {}, but for other addresses of "
                         "the same load balancer",
                         vip_text),
             "weft checks all or none: split the load balancer");
      return false;
    }
    out.vips.push_back(std::move(v));
  }
  if (row.has("health_check")) {
    if (!checked.empty()) {
      refuse(row, "health_check",
             fmt::format("'{}' is none of its virtual addresses", *checked.begin()));
      return false;
    }
    out.health_check = true;
  }
  if (!any_port) out.protocol = control::AclProtocol::any;
  return true;
}

// --- DHCP, DNS -----------------------------------------------------------------------------------

void NbMapper::map_dhcp() {
  for (const NbRow* row : sorted("DHCP_Options")) {
    control::DhcpOptions dhcp;
    dhcp.name = made_name(control::Table::dhcp_options, "dhcp", *row);
    names_[row] = dhcp.name;
    dhcp.tenant = "ovn";
    const auto subnet = parse_loose_prefix(row->text("cidr"));
    if (!subnet) {
      refuse(*row, "cidr", subnet.error().message);
      continue;
    }
    dhcp.subnet = *subnet;
    const bool six = subnet->address.is6;
    const std::string& id = row->option("options", "server_id");
    const auto mac = parse_mac(six ? id : row->option("options", "server_mac"));
    const auto address = parse_ip(id);
    if (!mac || (!six && (!address || address->is6))) {
      // OVN answers nothing without them.
      refuse(*row, "options",
             six ? "server_id must be an Ethernet address"
                 : "server_id must be an IPv4 address and server_mac an Ethernet address");
      continue;
    }
    dhcp.server_mac = *mac;
    // DHCPv6 servers speak from their link-local address.
    dhcp.server = six ? IpAddress(Ip6{0xfe80ULL << 48, interface_identifier(*mac)}) : *address;
    if (const std::string& lease = row->option("options", "lease_time"); !lease.empty())
      dhcp.lease_seconds =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(to_number(lease), 0xffffffff));
    for (const auto& [key, value] : row->get("options"))
      if (key != "server_id" && key != "server_mac" && key != "lease_time")
        dhcp.options[key] = value;
    insert(std::move(dhcp), row);
  }
}

void NbMapper::map_dns() {
  std::map<const NbRow*, std::set<std::string>> networks;
  for (const NbRow* ls : sorted("Logical_Switch"))
    for (const NbRow* dns : children(*ls, "dns_records")) networks[dns].insert(name_of(*ls));
  for (const NbRow* row : sorted("DNS")) {
    control::Dns dns;
    dns.name = made_name(control::Table::dns, "dns", *row);
    dns.tenant = "ovn";
    dns.networks = networks[row];
    for (const auto& [name, text] : row->get("records")) {
      const std::string key = lower(name);
      if (key.ends_with(".in-addr.arpa") || key.ends_with(".ip6.arpa")) {
        note(*row, "DNS.records for names of addresses (PTR)", "weft answers for addresses only");
        continue;
      }
      for (const std::string_view word : split_words(text, ", ")) {
        const auto address = parse_ip(word);
        if (address)
          dns.records[key].push_back(*address);
        else
          refuse(*row, "records", fmt::format("'{}={}' is no address", name, text));
      }
    }
    insert(std::move(dns), row);
  }
}

// --- QoS, mirrors --------------------------------------------------------------------------------

void NbMapper::map_qos() {
  for (const NbRow* ls : sorted("Logical_Switch")) {
    for (const NbRow* row : children(*ls, "qos_rules")) {
      control::Qos qos;
      qos.name = made_name(control::Table::qos, "qos", *row);
      qos.network = name_of(*ls);
      qos.direction = row->text("direction") == "to-lport" ? control::AclDirection::to_port
                                                           : control::AclDirection::from_port;
      qos.priority = static_cast<int>(row->number("priority"));
      qos.match = row->text("match");
      if (row->get("action").contains("mark"))
        refuse(*row, "action", "mark: weft marks packets by DSCP only", "remove the key");
      if (row->get("action").contains("dscp"))
        qos.dscp = static_cast<std::uint32_t>(to_number(row->option("action", "dscp")));
      qos.rate_kbps = to_number(row->option("bandwidth", "rate"));
      qos.burst_kbits = to_number(row->option("bandwidth", "burst"));
      if (check_match(*row)) insert(std::move(qos), row);
    }
  }
}

void NbMapper::map_mirrors() {
  std::map<const NbRow*, std::set<std::string>> sources;
  for (const auto& [name, row] : port_rows_)
    for (const NbRow* mirror : children(*row, "mirror_rules")) sources[mirror].insert(name);
  for (const NbRow* row : sorted("Mirror")) {
    if (sources[row].empty()) {
      note(*row, "Mirror that no port has", "it copies nothing");
      continue;
    }
    control::Mirror mirror;
    mirror.name = row->text("name");
    mirror.tenant = "ovn";
    mirror.ports = sources[row];
    mirror.sent = row->text("filter") != "to-lport";
    mirror.received = row->text("filter") != "from-lport";
    const std::string& sink = row->text("sink");
    if (row->text("type") == "lport" || row->text("type") == "local") {
      if (ports_.contains(sink)) mirror.sink = sink;
    } else if (const auto address = parse_ip(sink)) {
      std::vector<std::string> at;
      for (const auto& [name, port] : ports_)
        if (std::find(port.addresses.begin(), port.addresses.end(), *address) !=
            port.addresses.end())
          at.push_back(name);
      if (at.size() == 1) {
        mirror.sink = at.front();
        note(*row, "Mirror.type " + row->text("type"), "copies reach the port without a tunnel");
      }
    }
    if (mirror.sink.empty()) {
      refuse(*row, "sink",
             fmt::format("'{}' is no port of the network, nor the address of one", sink),
             "weft's mirrors copy to a port; collectors outside of the network are not reached");
      continue;
    }
    insert(std::move(mirror), row);
  }
}

}  // namespace weft::imports
