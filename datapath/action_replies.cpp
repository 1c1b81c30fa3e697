// The texts of dhcp_reply, dhcpv6_reply and dns_reply.
#include <fmt/core.h>

#include "datapath/action_parts.h"

namespace weft::datapath {

// --- dhcp_reply ---

namespace {
constexpr std::string_view kHex = "0123456789abcdef";

Result<std::string> hex_bytes(const Piece& p) {
  std::string out;
  std::string_view t = p.text;
  if (t.starts_with("0x")) t.remove_prefix(2);
  for (std::size_t i = 0; i + 1 < t.size(); i += 2) {
    const auto high = kHex.find(t[i]), low = kHex.find(t[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) break;
    out += static_cast<char>(high << 4 | low);
  }
  if (t.empty() || out.size() * 2 != t.size() || out.size() > 255)
    return fail(p, fmt::format("'{}' is not the value of an option", p.text),
                "write 1 to 255 bytes as pairs of small hexadecimal digits");
  return out;
}

std::string hex_text(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    out += kHex[static_cast<std::uint8_t>(c) >> 4];
    out += kHex[static_cast<std::uint8_t>(c) & 15];
  }
  return out;
}
}  // namespace

Result<DhcpLease> parse_dhcp(const Piece& inside) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  DhcpLease d;
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    auto item = cut(p, "=");
    if (!item) return item.error();
    const std::string_view name = item->name.text;
    const Piece& v = item->value;
    const auto address = [&]() -> Result<Ip4> {
      auto a = weft::parse_ip(v.text);
      if (!a || a->is6)
        return fail(v, fmt::format("'{}' is not an IPv4 address", v.text), "write 10.0.0.1");
      return a->v4();
    };
    const auto one = [&](Ip4& target) -> Result<> {
      auto a = address();
      if (!a) return a.error();
      target = *a;
      return {};
    };
    const auto another = [&](std::vector<Ip4>& list) -> Result<> {
      auto a = address();
      if (!a) return a.error();
      if (list.size() == 63) return fail(v, "more than 63 addresses", "remove some");
      list.push_back(*a);
      return {};
    };
    const auto text = [&](std::string& target) -> Result<> {
      if (v.text.empty() || v.text.size() > 255)
        return fail(v, fmt::format("{} has 1 to 255 characters", name), "shorten it");
      target = std::string(v.text);
      return {};
    };
    Result<> done;
    if (name == "address") {
      done = one(d.address);
    } else if (name == "server") {
      done = one(d.server);
    } else if (name == "netmask") {
      done = one(d.netmask);
    } else if (name == "router") {
      done = another(d.routers);
    } else if (name == "dns") {
      done = another(d.dns);
    } else if (name == "domain") {
      done = text(d.domain);
    } else if (name == "hostname") {
      done = text(d.hostname);
    } else if (name == "mac") {
      auto mac = parse_mac(v.text);
      if (!mac)
        return fail(v, fmt::format("'{}' is not a MAC address", v.text),
                    "write the server's, such as 02:00:00:00:00:01");
      d.mac = *mac;
    } else if (name == "lease" || name == "mtu") {
      auto n = number_up_to(v, name == "mtu" ? 0xffff : 0xffffffff, name);
      if (!n) return n.error();
      if (name == "mtu")
        d.mtu = static_cast<std::uint16_t>(*n);
      else
        d.lease = static_cast<std::uint32_t>(*n);
    } else if (name.starts_with("option")) {
      auto code = number_up_to(item->name.from(6), 254, "option");
      if (!code) return code.error();
      if (*code == 0) return fail(item->name, "option 0 is padding", "remove it");
      auto value = hex_bytes(v);
      if (!value) return value.error();
      d.options.emplace_back(static_cast<std::uint8_t>(*code), std::move(*value));
    } else {
      return fail(p, fmt::format("dhcp_reply() has no '{}'", name),
                  did_you_mean(name,
                               {"address", "server", "mac", "netmask", "router", "dns", "lease",
                                "mtu", "domain", "hostname", "option"},
                               "it takes address, server, mac, netmask, router, dns, lease, mtu, "
                               "domain, hostname, optionN"));
    }
    if (!done) return done.error();
  }
  if (d.address == Ip4{} || d.server == Ip4{} || d.mac == Mac{})
    return fail(inside, "dhcp_reply() without address, server and mac",
                "write dhcp_reply(address=10.0.0.5,server=10.0.0.1,mac=02:00:00:00:00:01)");
  return d;
}

std::string format_dhcp(const DhcpLease& d) {
  std::string out = fmt::format("dhcp_reply(address={},server={},mac={}", d.address.text(),
                                d.server.text(), d.mac.text());
  if (d.netmask != Ip4{}) out += ",netmask=" + d.netmask.text();
  for (const Ip4 a : d.routers) out += ",router=" + a.text();
  for (const Ip4 a : d.dns) out += ",dns=" + a.text();
  if (d.lease != 3600) out += fmt::format(",lease={}", d.lease);
  if (d.mtu != 0) out += fmt::format(",mtu={}", d.mtu);
  if (!d.domain.empty()) out += ",domain=" + d.domain;
  if (!d.hostname.empty()) out += ",hostname=" + d.hostname;
  for (const auto& [code, value] : d.options)
    out += fmt::format(",option{}={}", code, hex_text(value));
  return out + ")";
}

// --- dhcpv6_reply ---

Result<Dhcp6Lease> parse_dhcp6(const Piece& inside) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  Dhcp6Lease d;
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    auto item = cut(p, "=");
    if (!item) return item.error();
    const std::string_view name = item->name.text;
    const Piece& v = item->value;
    const auto address = [&]() -> Result<Ip6> {
      auto a = weft::parse_ip(v.text);
      if (!a || !a->is6)
        return fail(v, fmt::format("'{}' is not an IPv6 address", v.text), "write fd00::1");
      return a->v6();
    };
    if (name == "address" || name == "server" || name == "dns") {
      auto a = address();
      if (!a) return a.error();
      if (name == "dns" && d.dns.size() == 63)
        return fail(v, "more than 63 addresses", "remove some");
      if (name == "dns")
        d.dns.push_back(*a);
      else
        (name == "address" ? d.address : d.server) = *a;
    } else if (name == "domain") {
      DnsTable check;  // of the name
      if (auto ok = check.add(v.text, Ip4{}); !ok)
        return fail(v, ok.error().message, ok.error().remedy);
      if (d.domains.size() == 31) return fail(v, "more than 31 domains", "remove some");
      d.domains.push_back(check.names().begin()->first);
    } else if (name == "mac") {
      auto mac = parse_mac(v.text);
      if (!mac)
        return fail(v, fmt::format("'{}' is not a MAC address", v.text),
                    "write the server's, such as 02:00:00:00:00:01");
      d.mac = *mac;
    } else if (name == "lease") {
      auto n = number_up_to(v, 0xffffffff, name);
      if (!n) return n.error();
      d.lease = static_cast<std::uint32_t>(*n);
    } else if (name.starts_with("option")) {
      auto code = number_up_to(item->name.from(6), 65535, "option");
      if (!code) return code.error();
      if (*code == 0) return fail(item->name, "there is no option 0", "remove it");
      auto value = hex_bytes(v);
      if (!value) return value.error();
      d.options.emplace_back(static_cast<std::uint16_t>(*code), std::move(*value));
    } else {
      return fail(
          p, fmt::format("dhcpv6_reply() has no '{}'", name),
          did_you_mean(name, {"address", "server", "mac", "dns", "lease", "domain", "option"},
                       "it takes address, mac, server, dns, domain, lease, optionN"));
    }
  }
  if (d.mac == Mac{})
    return fail(inside, "dhcpv6_reply() without the server's mac",
                "write dhcpv6_reply(mac=02:00:00:00:00:01,address=fd00::5)");
  return d;
}

std::string format_dhcp6(const Dhcp6Lease& d) {
  std::string out = "dhcpv6_reply(mac=" + d.mac.text();
  if (d.address != Ip6{}) out += ",address=" + d.address.text();
  if (d.server != Ip6{}) out += ",server=" + d.server.text();
  for (const Ip6& a : d.dns) out += ",dns=" + a.text();
  for (const std::string& name : d.domains) out += ",domain=" + name;
  if (d.lease != 3600) out += fmt::format(",lease={}", d.lease);
  for (const auto& [code, value] : d.options)
    out += fmt::format(",option{}={}", code, hex_text(value));
  return out + ")";
}

// --- dns_reply ---

Result<SharedDns> parse_dns(const Piece& inside) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  auto table = std::make_shared<DnsTable>();
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    auto item = cut(p, "=");
    if (!item) return item.error();
    if (item->mark == 0)
      return fail(p, fmt::format("{} has no address", p.text), "write NAME=10.0.0.4/fd00::4");
    // A name cannot be taken for it: no address is a number.
    if (const auto n = read_number(item->value.text); n && item->name.text == "ttl") {
      if (*n > 0x7fffffff) return fail(item->value, "a TTL has 31 bits", "write seconds");
      table->ttl = static_cast<std::uint32_t>(*n);
      continue;
    }
    for (Piece rest = item->value;;) {
      const auto slash = rest.text.find('/');
      const Piece one = rest.part(0, slash);
      auto address = weft::parse_ip(one.text);
      if (!address)
        return fail(one, fmt::format("'{}' is not an address", one.text),
                    "write NAME=10.0.0.4/fd00::4, with '/' between the addresses of a name");
      if (auto ok = table->add(item->name.text, *address); !ok)
        return fail(item->name, ok.error().message, ok.error().remedy);
      if (slash == std::string_view::npos) break;
      rest = rest.from(slash + 1);
    }
  }
  if (table->empty())
    return fail(inside, "dns_reply() without a name", "write dns_reply(vm1.lab=10.0.0.4)");
  return SharedDns{std::move(table)};
}

std::string format_dns(const SharedDns& dns) {
  std::string out;
  if (dns.table->ttl != 3600) out = fmt::format("ttl={}", dns.table->ttl);
  for (const auto& [name, addresses] : dns.table->names()) {
    out += (out.empty() ? "" : ",") + name;
    for (std::size_t i = 0; i < addresses.size(); ++i)
      out += (i == 0 ? "=" : "/") + addresses[i].text();
  }
  return "dns_reply(" + out + ")";
}

}  // namespace weft::datapath
