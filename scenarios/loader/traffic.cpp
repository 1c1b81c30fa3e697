// Traffic: who talks to whom, and what. Pairs are made here; how, is said at make_pairs.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

#include "base/random.h"
#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

enum class Pairing : std::uint8_t { all, one_to_one, neighbour, permutation, random };
enum class RatePer : std::uint8_t { pair, source, total };

/// `*` stands for any run of characters.
bool glob(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// (client, server, port) of connections -> the traffic that has it.
using Connections = std::map<std::tuple<EndpointRef, EndpointRef, std::uint16_t>, std::size_t>;

class TrafficReader {
 public:
  TrafficReader(Context& context, Connections& connections)
      : context_(context), diag_(context.diag), connections_(connections) {}

  void read(const YamlNode& node) {
    Scenario& scenario = context_.scenario;
    traffic_.place = node.place;
    traffic_.name = fmt::format("traffic-{}", scenario.traffic.size() + 1);
    Reader reader(diag_, node, "traffic", "traffic");
    if (reader.read("name", traffic_.name)) {
      is_name(diag_, reader.place("name"), traffic_.name, "traffic");
    }
    const std::size_t errors = diag_.count();
    std::vector<EndpointRef> from, to;
    const YamlNode* from_node = reader.require("from");
    if (from_node != nullptr) read_endpoints(*from_node, from);
    const YamlNode* to_node = reader.take("to");
    if (to_node != nullptr) read_endpoints(*to_node, to);
    const YamlNode* pairs = reader.take("pairs");
    reader.read("start", traffic_.start);
    reader.read("stop", traffic_.stop);
    reader.read("warmup", traffic_.warmup);
    std::optional<bool> ipv6;
    bool family = false;
    if (reader.read_choice("family", family, {{"ipv4", false}, {"ipv6", true}})) ipv6 = family;
    read_kind(reader, node);
    reader.finish();
    check_times(reader);
    const bool endpoints = from_node != nullptr && diag_.count() == errors;
    if (endpoints) {
      make_pairs(node, from, to_node == nullptr ? nullptr : &to, pairs);
      choose_family(node, ipv6);
      divide_rate();
      check_paths(node);
      check_connections(node);
    }
    const auto [found, fresh] = context_.traffic.emplace(traffic_.name, scenario.traffic.size());
    if (!fresh) {
      diag_.error(
          reader.place("name"), fmt::format("there are two traffics `{}`", traffic_.name),
          fmt::format("the other is in line {}", scenario.traffic[found->second].place.line));
    }
    scenario.traffic.push_back(std::move(traffic_));
  }

 private:
  // --- endpoints ---

  void read_endpoints(const YamlNode& node, std::vector<EndpointRef>& out) {
    if (node.kind == YamlNode::Kind::sequence) {
      for (const YamlNode* item : node.items) read_endpoints(*item, out);
      return;
    }
    const auto text = scalar_text(diag_, node, "a VM, a group, a tenant, a network or a host");
    if (!text) return;
    std::vector<EndpointRef> found = lookup(*text);
    if (found.empty()) {
      const auto machine = context_.nodes.find(*text);
      if (machine != context_.nodes.end()) {
        const bool hypervisor =
            context_.scenario.underlay.nodes[machine->second].kind == NodeKind::hypervisor;
        diag_.error(node.place, fmt::format("`{}` sends no traffic", *text),
                    hypervisor ? "it is a hypervisor: name its VMs, as shop/web-1"
                               : "traffic is between VMs, or between plain hosts");
      } else if (context_.tenants_whole && context_.underlay_whole) {
        diag_.error(node.place, fmt::format("there is no VM, group or host `{}`", *text),
                    suggest(*text, candidates()));
      } else if (diag_.count() == 0) {
        diag_.error(node.place, fmt::format("there is no VM, group or host `{}`", *text));
      }
      broken_ = true;
      return;
    }
    for (const EndpointRef& endpoint : found) {
      if (seen(out, endpoint)) continue;
      out.push_back(endpoint);
    }
  }

  static bool seen(const std::vector<EndpointRef>& list, const EndpointRef& endpoint) {
    constexpr std::size_t kRecent = 4096;  // lists are in order; a full search would be quadratic
    const std::size_t n = std::min(kRecent, list.size());
    return std::find(list.end() - static_cast<std::ptrdiff_t>(n), list.end(), endpoint) !=
           list.end();
  }

  std::vector<EndpointRef> lookup(const std::string& text) {
    std::vector<EndpointRef> out;
    const Scenario& scenario = context_.scenario;
    const auto add_host = [&](std::size_t n) {
      if (scenario.underlay.nodes[n].kind == NodeKind::host && !is_controller(n))
        out.push_back({std::nullopt, n});
    };
    if (text.find('*') != std::string::npos) {
      for (std::size_t n = 0; n < scenario.underlay.nodes.size(); ++n) {
        if (glob(text, scenario.underlay.nodes[n].name)) add_host(n);
      }
      for (std::size_t t = 0; t < scenario.tenants.size(); ++t) {
        for (std::size_t v = 0; v < scenario.tenants[t].vms.size(); ++v) {
          if (glob(text, scenario.tenants[t].vms[v].name)) out.push_back({t, v});
        }
      }
      return out;
    }
    const std::size_t slash = text.find('/');
    const auto tenant = context_.tenants.find(text.substr(0, slash));
    if (tenant == context_.tenants.end()) {
      const auto node = context_.nodes.find(text);
      if (node != context_.nodes.end()) add_host(node->second);
      return out;
    }
    const std::size_t t = tenant->second;
    const TenantSpec& spec = scenario.tenants[t];
    if (slash == std::string::npos) {
      for (std::size_t v = 0; v < spec.vms.size(); ++v) out.push_back({t, v});
      return out;
    }
    const std::string name = text.substr(slash + 1);
    if (const auto group = context_.groups[t].find(name); group != context_.groups[t].end()) {
      for (const std::size_t v : spec.groups[group->second].vms) out.push_back({t, v});
    } else if (const auto vm = context_.vms[t].find(name); vm != context_.vms[t].end()) {
      out.push_back({t, vm->second});
    } else if (const auto net = context_.networks[t].find(name);
               net != context_.networks[t].end()) {
      for (std::size_t v = 0; v < spec.vms.size(); ++v) {
        if (spec.vms[v].network == net->second) out.push_back({t, v});
      }
    }
    return out;
  }

  bool is_controller(std::size_t node) const {
    const ControlSpec& control = context_.scenario.overlay.control;
    return control.attach && node >= *control.attach &&
           node < *control.attach + control.controllers;
  }

  std::vector<std::string> candidates() const {
    std::vector<std::string> names;
    for (std::size_t t = 0; t < context_.scenario.tenants.size(); ++t) {
      const std::string& tenant = context_.scenario.tenants[t].name;
      for (const auto& [name, index] : context_.groups[t]) names.push_back(tenant + "/" + name);
    }
    for (auto& name : vm_names(context_.scenario)) names.push_back(std::move(name));
    for (std::size_t n = 0; n < context_.scenario.underlay.nodes.size(); ++n) {
      if (context_.scenario.underlay.nodes[n].kind == NodeKind::host && !is_controller(n)) {
        names.push_back(context_.scenario.underlay.nodes[n].name);
      }
    }
    return names;
  }

  // --- pairs ---

  ///   all          every source with every destination, except itself
  ///   one-to-one   the first with the first, the second with the second; as many of both
  ///   neighbour    a ring over `from`: each with the next, the last with the first
  ///   permutation  each source with one destination of its own, at random (by the seed), never
  ///   itself {random: N}  each source with N different destinations, at random (by the seed),
  ///   never itself
  /// Without `to`, the destinations are the sources.
  void make_pairs(const YamlNode& node, const std::vector<EndpointRef>& from,
                  const std::vector<EndpointRef>* given, const YamlNode* how) {
    const std::vector<EndpointRef>& to = given == nullptr ? from : *given;
    Pairing pairing = given == nullptr ? Pairing::neighbour : Pairing::all;
    std::uint64_t count = 0;
    if (how != nullptr && how->kind == YamlNode::Kind::map) {
      Reader reader(diag_, *how, "pairs", "pairs");
      reader.require("random");
      reader.read_integer("random", count, 1, kMaxPairs);
      reader.finish();
      pairing = Pairing::random;
      if (count == 0) return;
    } else if (how != nullptr) {
      const auto choice = convert_choice(diag_, *how, "way to pair",
                                         {"all", "one-to-one", "neighbour", "permutation"});
      if (!choice) return;
      pairing = static_cast<Pairing>(*choice);
    }
    const Place& place = how != nullptr ? how->place : node.place;
    const std::uint64_t pairs = pairing == Pairing::all      ? from.size() * to.size()
                                : pairing == Pairing::random ? from.size() * count
                                                             : from.size();
    if (pairs > kMaxPairs) {
      diag_.error(place,
                  fmt::format("{} pairs: above the limit of {}", format_count(pairs),
                              format_count(kMaxPairs)),
                  "pairs: {random: N} gives each source N destinations");
      return;
    }
    RandomStream stream(context_.scenario.seed, "traffic/" + traffic_.name + "/pairs");
    switch (pairing) {
      case Pairing::all:
        for (const auto& f : from) {
          for (const auto& t : to) add_pair(f, t);
        }
        break;
      case Pairing::one_to_one:
        if (from.size() != to.size()) {
          diag_.error(
              place,
              fmt::format("one-to-one, but {} sources and {} destinations", from.size(), to.size()),
              "as many of both, or pairs: all");
          return;
        }
        for (std::size_t i = 0; i < from.size(); ++i) add_pair(from[i], to[i]);
        break;
      case Pairing::neighbour:
        if (given != nullptr && to != from) {
          diag_.error(place, "`neighbour` is a ring over `from`", "leave out `to`");
          return;
        }
        for (std::size_t i = 0; i < from.size(); ++i)
          add_pair(from[i], from[(i + 1) % from.size()]);
        break;
      case Pairing::permutation:
        permute(place, from, to, stream);
        break;
      case Pairing::random:
        draw(place, from, to, count, stream);
        break;
    }
    if (traffic_.pairs.empty() && !broken_) {
      diag_.error(place, "no pair: nobody talks to itself", "name another `to`");
    }
  }

  void add_pair(const EndpointRef& from, const EndpointRef& to) {
    if (from != to) traffic_.pairs.push_back({from, to});
  }

  void permute(const Place& place, const std::vector<EndpointRef>& from,
               std::vector<EndpointRef> to, RandomStream& stream) {
    if (to.size() < from.size()) {
      diag_.error(
          place,
          fmt::format("a permutation of {} sources over {} destinations", from.size(), to.size()),
          "as many destinations as sources, or more");
      return;
    }
    for (std::size_t i = to.size(); i > 1; --i) std::swap(to[i - 1], to[stream.below(i)]);
    // Whoever drew itself changes with the next; that one cannot draw itself by it, as every
    // endpoint is in `to` once.
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (from[i] == to[i] && to.size() > 1) std::swap(to[i], to[(i + 1) % to.size()]);
    }
    for (std::size_t i = 0; i < from.size(); ++i) add_pair(from[i], to[i]);
  }

  void draw(const Place& place, const std::vector<EndpointRef>& from,
            const std::vector<EndpointRef>& to, std::uint64_t count, RandomStream& stream) {
    for (const EndpointRef& f : from) {
      const auto self = std::find(to.begin(), to.end(), f);
      const std::uint64_t others = to.size() - (self == to.end() ? 0 : 1);
      if (count > others) {
        diag_.error(place, fmt::format("{} destinations for each source, but {} has only {}", count,
                                       endpoint_name(context_.scenario, f), others));
        broken_ = true;
        return;
      }
      // Floyd's choice of `count` among `others`, without itself; in the order of the list.
      std::set<std::uint64_t> chosen;
      for (std::uint64_t j = others - count; j < others; ++j) {
        const std::uint64_t t = stream.below(j + 1);
        if (!chosen.insert(t).second) chosen.insert(j);
      }
      const auto skip = static_cast<std::uint64_t>(self - to.begin());
      for (const std::uint64_t c : chosen) add_pair(f, to[c + (c >= skip ? 1 : 0)]);
    }
  }

  // --- what is sent ---

  void read_kind(Reader& reader, const YamlNode& node) {
    const YamlNode* kinds[] = {reader.take("ping"), reader.take("udp"), reader.take("bulk"),
                               reader.take("rpc"), reader.take("scan")};
    int given = 0;
    for (int k = 0; k < 5; ++k) {
      if (kinds[k] == nullptr) continue;
      ++given;
      traffic_.kind = static_cast<TrafficKind>(k);
    }
    if (given != 1) {
      if (node.kind == YamlNode::Kind::map) {
        diag_.error(node.place, given == 0 ? "traffic that sends nothing" : "traffic of two kinds",
                    "exactly one of ping, udp, bulk, rpc, scan");
      }
      return;
    }
    const YamlNode& kind = *kinds[static_cast<int>(traffic_.kind)];
    switch (traffic_.kind) {
      case TrafficKind::ping:
        return read_ping(kind);
      case TrafficKind::udp:
        return read_udp(kind);
      case TrafficKind::bulk:
        return read_bulk(kind);
      case TrafficKind::rpc:
        return read_rpc(kind);
      case TrafficKind::scan:
        return read_scan(kind);
    }
  }

  void read_ping(const YamlNode& node) {
    Reader reader(diag_, node, "ping", "ping");
    reader.read_positive("interval", traffic_.interval);
    read_size(reader, "size", traffic_.size, 0, 65000);
    reader.read_integer("count", traffic_.count, 1, UINT64_MAX);
    reader.finish();
  }

  void read_udp(const YamlNode& node) {
    Reader reader(diag_, node, "udp", "udp");
    traffic_.port = 4000;
    traffic_.size = {1000};
    reader.read_integer("port", traffic_.port, 1, 65535);
    reader.require("rate");
    if (reader.read("rate", traffic_.rate) && traffic_.rate.bps == 0) zero(reader, "rate");
    read_size(reader, "size", traffic_.size, 1, 65000);
    reader.read_choice("gaps", traffic_.poisson, {{"even", false}, {"poisson", true}});
    read_rate_per(reader);
    reader.finish();
  }

  void read_bulk(const YamlNode& node) {
    Reader reader(diag_, node, "bulk", "bulk");
    traffic_.port = 5001;
    reader.read_integer("port", traffic_.port, 1, 65535);
    reader.require("size");
    read_size(reader, "size", traffic_.size, 1, 1ULL << 50);
    reader.read_integer("repeat", traffic_.repeat, 0, 1'000'000'000);
    reader.finish();
  }

  void read_rpc(const YamlNode& node) {
    Reader reader(diag_, node, "rpc", "rpc");
    traffic_.port = 8080;
    traffic_.request = {500};
    traffic_.response = {16'000};
    reader.read_integer("port", traffic_.port, 1, 65535);
    read_size(reader, "request", traffic_.request, 1, 1ULL << 32);
    read_size(reader, "response", traffic_.response, 1, 1ULL << 32);
    reader.require("rate");
    if (reader.read("rate", traffic_.frequency) && traffic_.frequency.per_kilosecond == 0) {
      zero(reader, "rate");
    }
    read_rate_per(reader);
    reader.read("reconnect", traffic_.reconnect);
    if (reader.read_integer("sessions", traffic_.sessions, 1, 65535)) {
      if (!traffic_.reconnect)
        diag_.error(reader.place("sessions"), "sessions, but one connection for all requests",
                    "write `reconnect: true` as well");
      if (traffic_.port + traffic_.sessions - 1 > 65535)
        diag_.error(reader.place("sessions"),
                    fmt::format("{} sessions from port {} on: there is no port above 65535",
                                traffic_.sessions, traffic_.port));
    }
    reader.finish();
  }

  void read_scan(const YamlNode& node) {
    Reader reader(diag_, node, "scan", "scan");
    traffic_.interval = milliseconds(1);
    reader.read_positive("interval", traffic_.interval);
    reader.read("fragments", traffic_.scan_fragments);
    if (const YamlNode* ports = reader.take("ports")) {
      const auto text = scalar_text(diag_, *ports, "a range of ports such as 1-1024");
      const std::size_t dash = text ? text->find('-') : std::string::npos;
      const auto number = [](const std::string& s) -> unsigned long {
        const bool digits =
            !s.empty() && s.size() <= 5 && s.find_first_not_of("0123456789") == std::string::npos;
        return digits ? std::stoul(s) : 99999;
      };
      if (text) {
        const unsigned long first = number(text->substr(0, dash));
        const unsigned long last =
            dash == std::string::npos ? first : number(text->substr(dash + 1));
        if (first < 1 || last > 65535 || first > last) {
          diag_.error(ports->place, fmt::format("`{}` is no range of ports", *text),
                      "for example 1-1024; from 1 to 65535");
        } else {
          traffic_.scan_first = static_cast<std::uint16_t>(first);
          traffic_.scan_last = static_cast<std::uint16_t>(last);
        }
      }
    }
    reader.finish();
  }

  void read_size(Reader& reader, const char* key, ByteCount& out, std::uint64_t min,
                 std::uint64_t max) {
    ByteCount value = out;
    if (!reader.read(key, value)) return;
    if (value.bytes < min || value.bytes > max) {
      diag_.error(reader.place(key), fmt::format("`{}` is out of range", key),
                  fmt::format("from {}B to {}", min, format_bytes({max})));
      return;
    }
    out = value;
  }

  void zero(Reader& reader, const char* key) {
    diag_.error(reader.place(key), fmt::format("`{}` must be above zero", key));
  }

  void read_rate_per(Reader& reader) {
    reader.read_choice(
        "rate_per", rate_per_,
        {{"pair", RatePer::pair}, {"source", RatePer::source}, {"total", RatePer::total}});
    rate_place_ = reader.place("rate");
  }

  /// `rate_per: source|total` is divided here, so that everyone after deals in pairs.
  void divide_rate() {
    if (rate_per_ == RatePer::pair || traffic_.pairs.empty()) return;
    std::uint64_t share = traffic_.pairs.size();
    if (rate_per_ == RatePer::source) {
      std::map<EndpointRef, std::uint64_t> of;
      for (const PairSpec& pair : traffic_.pairs) ++of[pair.from];
      share = of.begin()->second;
      for (const auto& [endpoint, n] : of) {
        if (n == share) continue;
        diag_.error(rate_place_,
                    fmt::format("rate_per: source, but {} has {} pairs and {} has {}",
                                endpoint_name(context_.scenario, of.begin()->first), share,
                                endpoint_name(context_.scenario, endpoint), n),
                    "split it into two traffics");
        return;
      }
    }
    traffic_.rate.bps /= share;
    traffic_.frequency.per_kilosecond /= share;
    if (traffic_.rate.bps == 0 && traffic_.frequency.per_kilosecond == 0) {
      diag_.error(rate_place_, fmt::format("the rate divided by {} is nothing", share));
    }
  }

  // --- checks ---

  void check_times(Reader& reader) {
    const Time end = Time{} + context_.scenario.duration;
    if (traffic_.start >= end) {
      diag_.error(reader.place("start"), "starts after the end of the run",
                  fmt::format("duration is {}", format_duration(context_.scenario.duration)));
    }
    if (traffic_.stop <= traffic_.start) {
      diag_.error(reader.place("stop"), "stops before it starts",
                  fmt::format("start is {}", format_time(traffic_.start)));
    } else if (traffic_.stop != Time::never() && traffic_.stop > end) {
      diag_.error(reader.place("stop"), "stops after the end of the run",
                  fmt::format("duration is {}; without `stop` it goes on to the end",
                              format_duration(context_.scenario.duration)));
    }
    if (traffic_.warmup.ps > 0 && traffic_.start < std::min(end, traffic_.stop) &&
        traffic_.start + traffic_.warmup >= std::min(end, traffic_.stop)) {
      diag_.error(reader.place("warmup"), "the warm-up leaves nothing to measure");
    }
  }

  bool has_family(const EndpointRef& endpoint, bool ipv6) const {
    if (!endpoint.tenant) return context_.scenario.underlay.ipv6 == ipv6;
    const VmSpec& vm = vm_of(context_.scenario, endpoint);
    for (const Prefix& p :
         context_.scenario.tenants[*endpoint.tenant].networks[vm.network].subnets) {
      if (p.address.is6 == ipv6) return true;
    }
    return false;
  }

  void choose_family(const YamlNode& node, std::optional<bool> wanted) {
    const auto everyone = [&](bool ipv6) {
      return std::all_of(traffic_.pairs.begin(), traffic_.pairs.end(), [&](const PairSpec& pair) {
        return has_family(pair.from, ipv6) && has_family(pair.to, ipv6);
      });
    };
    const bool v4 = everyone(false), v6 = everyone(true);
    traffic_.ipv6 = wanted ? *wanted : !v4 && v6;
    if (traffic_.ipv6 ? v6 : v4) return;
    if (!context_.tenants_whole) return;  // a bad subnet has been told of
    diag_.error(
        node.place,
        wanted ? fmt::format("not all of its ends have an {} address", *wanted ? "IPv6" : "IPv4")
               : "its ends have no family of addresses in common",
        "give the networks `subnets: [IPv4, IPv6]`");
  }

  /// What cannot arrive is worth a word: it is either meant to show that, or a slip.
  void check_paths(const YamlNode& node) {
    const Scenario& scenario = context_.scenario;
    for (const PairSpec& pair : traffic_.pairs) {
      if (pair.from.tenant.has_value() != pair.to.tenant.has_value()) {
        diag_.error(
            node.place,
            fmt::format("`{}` and `{}`: a VM and a plain host have no path",
                        endpoint_name(scenario, pair.from), endpoint_name(scenario, pair.to)),
            "traffic is between VMs, or between plain hosts");
        return;
      }
      if (!pair.from.tenant) continue;
      if (*pair.from.tenant != *pair.to.tenant) {
        diag_.warning(
            node.place,
            fmt::format("`{}` and `{}` belong to different tenants: nothing will arrive",
                        endpoint_name(scenario, pair.from), endpoint_name(scenario, pair.to)));
        return;
      }
      const TenantSpec& tenant = scenario.tenants[*pair.from.tenant];
      const std::size_t a = tenant.vms[pair.from.index].network,
                        b = tenant.vms[pair.to.index].network;
      if (a == b) continue;
      const auto joins = [&](const RouterSpec& r) {
        return std::count(r.networks.begin(), r.networks.end(), a) > 0 &&
               std::count(r.networks.begin(), r.networks.end(), b) > 0;
      };
      if (std::any_of(tenant.routers.begin(), tenant.routers.end(), joins)) continue;
      diag_.warning(node.place,
                    fmt::format("no router joins {} and {}: nothing will arrive",
                                tenant.networks[a].name, tenant.networks[b].name),
                    fmt::format("routers: {{r1: [{}, {}]}}", tenant.networks[a].name,
                                tenant.networks[b].name));
      return;
    }
  }

  void check_connections(const YamlNode& node) {
    if (traffic_.kind != TrafficKind::bulk && traffic_.kind != TrafficKind::rpc) return;
    const std::size_t mine = context_.scenario.traffic.size();
    const unsigned sessions = traffic_.sessions;
    for (std::size_t i = 0; i < traffic_.pairs.size() * sessions; ++i) {
      const PairSpec& pair = traffic_.pairs[i / sessions];
      const auto port = static_cast<std::uint16_t>(traffic_.port + i % sessions);
      const auto [found, fresh] = connections_.emplace(std::tuple{pair.from, pair.to, port}, mine);
      if (fresh) continue;
      const std::string other =
          found->second == mine ? "it" : "`" + context_.scenario.traffic[found->second].name + "`";
      diag_.error(node.place,
                  fmt::format("{} already connects `{}` to `{}` on port {}", other,
                              endpoint_name(context_.scenario, pair.from),
                              endpoint_name(context_.scenario, pair.to), port),
                  "give it another `port`");
      return;
    }
  }

  Context& context_;
  Diagnostics& diag_;
  Connections& connections_;
  TrafficSpec traffic_;
  RatePer rate_per_ = RatePer::pair;
  Place rate_place_;
  bool broken_ = false;
};

}  // namespace

void read_traffic(Context& context, const YamlNode* section) {
  if (section == nullptr || !is_list(context.diag, *section, "traffic")) return;
  const std::size_t errors = context.diag.count();
  Connections connections;
  for (const YamlNode* item : section->items) TrafficReader(context, connections).read(*item);
  context.traffic_whole = context.diag.count() == errors;
}

}  // namespace weft::scenarios
