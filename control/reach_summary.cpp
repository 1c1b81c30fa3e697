#include "control/reach_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace weft::control {

using datapath::Field;
using datapath::FlowKey;
namespace at = datapath::place;

namespace {

constexpr std::uint64_t kTcp = 6, kUdp = 17;
constexpr std::uint64_t icmp_of(bool is6) { return is6 ? 58 : 1; }

std::string join(const std::vector<std::string>& parts, const char* between) {
  std::string out;
  for (const std::string& p : parts) out += (out.empty() ? "" : between) + p;
  return out;
}

std::uint16_t bits16(const FlowKey& key, datapath::FieldPlace p) {
  return static_cast<std::uint16_t>(key.get(p));
}

/// Ports by source; those with equal destinations together.
std::vector<ReachSummary::Ports> merged(const std::map<PortSet, PortSet>& by_source) {
  PortSet any;
  std::map<PortSet, PortSet> by_destination;  // -> sources
  for (const auto& [source, destination] : by_source) {
    if (source.is_everything()) any.add(destination);
    by_destination[destination].add(source);
  }
  for (const auto& [destination, source] : by_destination)
    if (source.is_everything()) any.add(destination);
  std::vector<ReachSummary::Ports> out;
  if (!any.is_empty()) out.push_back({any, PortSet::everything()});
  for (const auto& [destination, source] : by_destination) {
    PortSet all = any;
    all.add(destination);
    if (all != any) out.push_back({destination, source});
  }
  return out;
}

std::vector<std::string> port_terms(const char* protocol,
                                    const std::vector<ReachSummary::Ports>& list) {
  std::vector<std::string> out;
  for (const auto& [destination, source] : list) {
    std::string term = protocol;
    if (!destination.is_everything()) term += " " + destination.text();
    if (!source.is_everything()) term += " from port " + source.text();
    out.push_back(std::move(term));
  }
  return out;
}

/// What is missing, if that can be said in terms of destination ports.
bool denied_terms(const char* protocol, const std::vector<ReachSummary::Ports>& list,
                  std::vector<std::string>& out) {
  if (list.empty()) {
    out.emplace_back(protocol);
    return true;
  }
  if (list.size() > 1 || !list[0].source.is_everything()) return false;
  if (!list[0].destination.is_everything())
    out.push_back(std::string(protocol) + " " + list[0].destination.complement().text());
  return true;
}

std::bitset<256> other_protocols(bool is6) {
  std::bitset<256> all;
  all.set();
  for (const std::uint64_t p : {kTcp, kUdp, icmp_of(is6)}) all.reset(p);
  return all;
}

std::string protocols_text(const std::bitset<256>& set) {
  std::vector<AclPorts> ranges;
  for (unsigned p = 0; p < 256; ++p)
    if (set[p]) ranges.push_back({static_cast<std::uint16_t>(p), static_cast<std::uint16_t>(p)});
  return "protocol " + PortSet(std::move(ranges)).text();
}

std::string family_text(const ReachSummary::Family& f, bool is6) {
  if (f.is_empty()) return "nothing";
  if (f.is_everything(is6)) return "everything";
  std::vector<std::string> allowed = port_terms("tcp", f.tcp);
  for (std::string& term : port_terms("udp", f.udp)) allowed.push_back(std::move(term));
  if (f.icmp) allowed.emplace_back("icmp");
  const std::bitset<256> others = other_protocols(is6);
  if (f.others == others)
    allowed.emplace_back("other protocols");
  else if (f.others.any())
    allowed.push_back(protocols_text(f.others));
  std::vector<std::string> denied;
  if (denied_terms("tcp", f.tcp, denied) && denied_terms("udp", f.udp, denied)) {
    if (!f.icmp) denied.emplace_back("icmp");
    if (f.others.none())
      denied.emplace_back("other protocols");
    else if (f.others != others)
      denied.push_back(protocols_text(others & ~f.others));
    if (denied.size() < allowed.size()) return "all but " + join(denied, ", ");
  }
  return join(allowed, ", ");
}

}  // namespace

// --- ports ---------------------------------------------------------------------------------------

PortSet::PortSet(std::vector<AclPorts> ranges) {
  std::sort(ranges.begin(), ranges.end());
  for (const AclPorts& r : ranges) {
    if (!ranges_.empty() && r.first <= ranges_.back().last + 1u)
      ranges_.back().last = std::max(ranges_.back().last, r.last);
    else
      ranges_.push_back(r);
  }
}

PortSet PortSet::matching(std::uint16_t value, std::uint16_t mask) {
  if (const auto low = static_cast<std::uint16_t>(~mask); (low & (low + 1u)) == 0)
    return PortSet({{value, static_cast<std::uint16_t>(value | low)}});
  std::vector<AclPorts> out;
  for (std::uint32_t p = 0; p <= 65535; ++p)
    if ((p & mask) == value)
      out.push_back({static_cast<std::uint16_t>(p), static_cast<std::uint16_t>(p)});
  return PortSet(std::move(out));
}

void PortSet::add(const PortSet& other) {
  std::vector<AclPorts> all = std::move(ranges_);
  all.insert(all.end(), other.ranges_.begin(), other.ranges_.end());
  *this = PortSet(std::move(all));
}

PortSet PortSet::complement() const {
  std::vector<AclPorts> out;
  std::uint32_t next = 0;
  for (const AclPorts& r : ranges_) {
    if (r.first > next)
      out.push_back({static_cast<std::uint16_t>(next), static_cast<std::uint16_t>(r.first - 1)});
    next = r.last + 1u;
  }
  if (next <= 65535) out.push_back({static_cast<std::uint16_t>(next), 65535});
  return PortSet(std::move(out));
}

std::string PortSet::text() const {
  std::string out;
  for (const AclPorts& r : ranges_) {
    if (!out.empty()) out += ",";
    out += r.first == r.last ? fmt::format("{}", r.first) : fmt::format("{}-{}", r.first, r.last);
  }
  return out;
}

// --- summaries -----------------------------------------------------------------------------------

bool ReachSummary::Family::is_empty() const {
  return tcp.empty() && udp.empty() && !icmp && others.none();
}

bool ReachSummary::Family::is_everything(bool is6) const {
  const auto all = [](const std::vector<Ports>& list) {
    return list.size() == 1 && list[0].destination.is_everything() &&
           list[0].source.is_everything();
  };
  return all(tcp) && all(udp) && icmp && others == other_protocols(is6);
}

ReachSummary ReachSummary::of(const Reach& reach) {
  ReachSummary out;
  std::array<std::array<std::map<PortSet, PortSet>, 2>, 2> ports;  // family, tcp/udp
  for (const Arrival& arrival : reach.arrivals) {
    const datapath::Match m = arrival.arrives();
    const bool is6 = m.value.get(at::eth_type) == 0x86dd;
    Family& family = out.family[is6 ? 1 : 0];
    const std::uint64_t mask = m.mask.get(at::nw_proto), value = m.value.get(at::nw_proto);
    for (std::uint64_t p = 0; p < 256; ++p) {
      if ((p & mask) != value) continue;
      if (p == icmp_of(is6)) {
        family.icmp = true;
      } else if (p == kTcp || p == kUdp) {
        auto& by_source = ports[is6 ? 1 : 0][p == kUdp ? 1 : 0];
        by_source[PortSet::matching(bits16(m.value, at::tp_src), bits16(m.mask, at::tp_src))].add(
            PortSet::matching(bits16(m.value, at::tp_dst), bits16(m.mask, at::tp_dst)));
      } else {
        family.others.set(p);
      }
    }
  }
  for (const std::size_t f : {0u, 1u}) {
    out.family[f].tcp = merged(ports[f][0]);
    out.family[f].udp = merged(ports[f][1]);
  }
  return out;
}

std::string ReachSummary::text(bool has4, bool has6) const {
  const std::string four = family_text(family[0], false), six = family_text(family[1], true);
  if (!has6 && family[1].is_empty()) return four;
  if (!has4 && family[0].is_empty()) return six;
  if (four == six) return four;
  if (family[1].is_empty()) return "IPv4: " + four;
  if (family[0].is_empty()) return "IPv6: " + six;
  return fmt::format("IPv4: {}; IPv6: {}", four, six);
}

std::string reach_text(const Intent& intent, const ReachSummary& summary, const std::string& from,
                       const std::string& to) {
  const auto both_have = [&](bool is6) {
    for (const std::string* port : {&from, &to}) {
      const auto& addresses = intent.ports().at(*port).addresses;
      if (std::none_of(addresses.begin(), addresses.end(),
                       [&](const IpAddress& a) { return a.is6 == is6; }))
        return false;
    }
    return true;
  };
  return summary.text(both_have(false), both_have(true));
}

// --- examples ------------------------------------------------------------------------------------

namespace {

const IpAddress* address_of(const Port& port, bool is6) {
  for (const IpAddress& a : port.addresses)
    if (a.is6 == is6) return &a;
  return nullptr;
}

/// Fills what the cube leaves open as a guest would.
FlowKey ordinary(const Cube& cube, const Port& from, const Port& to) {
  const datapath::Match& m = cube.match();
  FlowKey key = m.value;
  const auto prefer = [&](Field f, Ip6 value) {
    const datapath::FieldInfo& field = datapath::info(f);
    const Ip6 mask = datapath::read_field(m.mask, field);
    datapath::write_field_masked(key, field, value, {~mask.high, ~mask.low});
  };
  const bool is6 = key.is_ip6();
  prefer(Field::eth_src, {0, from.mac.to_u64()});
  prefer(Field::eth_dst, {0, to.mac.to_u64()});
  if (const IpAddress* a = address_of(from, is6))
    prefer(is6 ? Field::ipv6_src : Field::nw_src, a->bits);
  if (const IpAddress* a = address_of(to, is6))
    prefer(is6 ? Field::ipv6_dst : Field::nw_dst, a->bits);
  prefer(Field::nw_proto, {0, kTcp});
  prefer(Field::tp_src, {0, 40'000});
  prefer(Field::tp_dst, {0, 80});
  return key;
}

/// How unusual it is to send this: 0, a unicast between addresses of the two.
int strangeness(const FlowKey& key, const Port& from, const Port& to) {
  if ((key.get(at::eth_dst) >> 40 & 1) != 0) return 3;
  const bool is6 = key.is_ip6();
  const auto is = [&](const Port& port, Field field) {
    const Ip6 value = datapath::read_field(key, datapath::info(field));
    return std::any_of(port.addresses.begin(), port.addresses.end(),
                       [&](const IpAddress& a) { return a.is6 == is6 && a.bits == value; });
  };
  return (is(from, is6 ? Field::ipv6_src : Field::nw_src) ? 0 : 2) +
         (is(to, is6 ? Field::ipv6_dst : Field::nw_dst) ? 0 : 1);
}

std::string packet_text(const FlowKey& key) {
  const bool is6 = key.is_ip6();
  const std::uint64_t protocol = key.get(at::nw_proto);
  const bool ports = protocol == kTcp || protocol == kUdp, icmp = protocol == icmp_of(is6);
  std::string out = protocol == kTcp   ? (is6 ? "tcp6" : "tcp")
                    : protocol == kUdp ? (is6 ? "udp6" : "udp")
                    : icmp             ? (is6 ? "icmp6" : "icmp")
                                       : (is6 ? "ipv6" : "ip");
  const auto add = [&](const char* name, Field f) {
    const auto& field = datapath::info(f);
    out += fmt::format(",{}={}", name,
                       datapath::format_field_value(
                           field, {datapath::read_field(key, field), datapath::field_ones(field)}));
  };
  if (!ports && !icmp) out += fmt::format(",nw_proto={}", protocol);
  add("eth_src", Field::eth_src);
  add("eth_dst", Field::eth_dst);
  add(is6 ? "ipv6_src" : "ip_src", is6 ? Field::ipv6_src : Field::nw_src);
  add(is6 ? "ipv6_dst" : "ip_dst", is6 ? Field::ipv6_dst : Field::nw_dst);
  if (key.get(at::nw_tos) >> 2 != 0) add("nw_tos", Field::nw_tos);
  const char* name = protocol == kTcp ? "tcp" : "udp";
  if (ports) {
    out +=
        fmt::format(",{}_src={},{}_dst={}", name, key.get(at::tp_src), name, key.get(at::tp_dst));
  } else if (icmp) {
    out += fmt::format(",icmp_type={}", key.get(at::tp_src));
  }
  return out;
}

}  // namespace

ExamplePacket example_of(const Intent& intent, const CubeSet& sent, const std::string& from,
                         const std::string& to) {
  const Port &a = intent.ports().at(from), &b = intent.ports().at(to);
  std::optional<std::tuple<int, FlowKey>> best;
  for (const Cube& cube : sent.cubes()) {
    const FlowKey key = ordinary(cube, a, b);
    const std::tuple<int, FlowKey> here{strangeness(key, a, b), key};
    if (!best || here < *best) best = here;
  }
  return {from, to, best ? packet_text(std::get<1>(*best)) : ""};
}

std::optional<ExamplePacket> example_packet(const Intent& intent, const Reach& reach,
                                            const std::string& from, const std::string& to,
                                            const datapath::Match& match) {
  CubeSet sent;
  for (const Arrival& arrival : reach.arrivals)
    if (auto part = arrival.arriving_as(match)) sent.add(*part);
  if (sent.is_empty()) return std::nullopt;
  return example_of(intent, sent, from, to);
}

}  // namespace weft::control
