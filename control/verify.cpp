#include "control/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "control/logical.h"
#include "control/port_classes.h"
#include "control/rules.h"

namespace weft::control {

using datapath::Field;
using datapath::FlowKey;
namespace at = datapath::place;

namespace {

constexpr std::uint32_t kFirstPort = 1;
constexpr std::uint64_t kSyn = 0x002;
constexpr std::uint64_t kTtl = 64;

/// Networks and routers that are joined, by datapath, and the ports on them.
struct Component {
  std::set<std::uint32_t> datapaths;
  std::vector<PortIdentity> ports;  // by of_port - kFirstPort
  std::map<std::string, std::size_t> by_name;
  std::unique_ptr<SymbolicTables> tables;
};

std::vector<std::set<std::uint32_t>> joined_datapaths(const Intent& intent) {
  std::map<std::uint32_t, std::uint32_t> parent;
  const auto find = [&](std::uint32_t d) {
    parent.try_emplace(d, d);
    while (parent[d] != d) d = parent[d] = parent[parent[d]];
    return d;
  };
  for (const auto& [name, n] : intent.networks()) find(n.vni);
  for (const auto& [name, r] : intent.routers())
    for (const RouterPort& p : r.ports) {
      const std::uint32_t there = p.network.empty()
                                      ? datapath_of(intent.routers().at(p.peer_router))
                                      : intent.networks().at(p.network).vni;
      const std::uint32_t a = find(datapath_of(r)), b = find(there);
      parent[a] = b;
    }
  std::map<std::uint32_t, std::set<std::uint32_t>> by_root;
  std::vector<std::uint32_t> all;
  for (const auto& [d, up] : parent) all.push_back(d);
  for (const std::uint32_t d : all) by_root[find(d)].insert(d);
  std::vector<std::set<std::uint32_t>> out;
  for (auto& [root, datapaths] : by_root) out.push_back(std::move(datapaths));
  return out;
}

/// What a vSwitch has that carries every port of the component.
struct SwitchContents {
  std::vector<datapath::Rule> rules;
  std::vector<datapath::Group> groups;
};

Error unreadable(const std::string& text, const Error& error) {
  return {fmt::format("cannot verify: rule `{}`: {}", text, error.message), {}, error.remedy};
}

Result<SwitchContents> contents_of(const Compiler& compiler, const Component& c) {
  HostRules host({Ip4{1}, 0, TunnelType::geneve});
  const auto add_range = [&](const std::string& range) {
    const RecordTable& all = compiler.records();
    for (auto it = all.lower_bound(range); it != all.end() && it->first.starts_with(range); ++it)
      host.set_record(it->first, it->second);
  };
  std::set<std::uint64_t> profiles;
  for (const std::uint32_t d : c.datapaths) add_range(network_range(d));
  for (const PortIdentity& p : c.ports) {
    add_range(local_record_key({p.datapath, p.key}));
    if (const std::uint64_t profile = compiler.profile_of_port(p.name)) profiles.insert(profile);
    host.set_local(p.name, p.of_port);
  }
  for (const std::uint64_t profile : profiles) add_range(profile_range(profile));
  host.update();
  SwitchContents out;
  out.rules.reserve(host.size());
  for (const auto& [key, body] : host.rules()) {
    const std::string text = rule_text(key, body);
    // Groups and meters are carried like rules; a meter decides nothing about where packets go.
    if (key.table == kMeterTable) continue;
    if (key.table == kGroupTable) {
      auto group = datapath::parse_group(text);
      if (!group) return unreadable(text, group.error());
      out.groups.push_back(std::move(*group));
      continue;
    }
    auto rule = datapath::parse_rule(text);
    if (!rule) return unreadable(text, rule.error());
    out.rules.push_back(std::move(*rule));
  }
  return out;
}

/// Everything that the port might send that could begin a connection.
std::vector<Beam> first_packets(const PortIdentity& port) {
  std::vector<Beam> out;
  for (const bool is6 : {false, true})
    for (const bool echo : {false, true}) {
      Beam beam;
      // What no sender writes is zero when a packet comes in.
      for (unsigned i = 0; i < datapath::kKeyWords; ++i)
        if (i < 6 || i == 14 || i == 15 || i >= datapath::kHeaderWords) beam.known.w[i] = ~0ULL;
      const auto fix = [&](Field field, std::uint64_t value) {
        set_constant(beam, field, value);
        narrow(beam, Cube::of(field, value));
      };
      set_constant(beam, Field::in_port, port.of_port);
      for (const Field f : {Field::tun_metadata0, Field::tun_flags, Field::tun_ttl, Field::tun_tos})
        set_constant(beam, f, 0);
      fix(Field::eth_type, is6 ? 0x86dd : 0x0800);
      fix(Field::vlan_tci, 0);
      fix(Field::ip_frag, 0);
      fix(Field::nw_ttl, kTtl);
      // Of others than TCP no rule looks at these.
      set_constant(beam, Field::tcp_flags, kSyn);
      for (const Field f : {Field::arp_sha, Field::arp_tha}) set_constant(beam, f, 0);
      set_constant(beam, datapath::info(Field::nd_target), {}, {~0ULL, ~0ULL});
      const Cube icmp = Cube::of(Field::nw_proto, is6 ? 58 : 1);
      if (echo) {
        fix(Field::nw_proto, is6 ? 58 : 1);
        fix(Field::tp_src, is6 ? 128 : 8);
        fix(Field::tp_dst, 0);
      } else {
        beam.without.push_back(icmp);
      }
      out.push_back(std::move(beam));
    }
  return out;
}

/// Which rules decide something, by cookie.
struct RuleUse {
  std::set<std::uint64_t> used;
  std::map<std::uint64_t, std::set<std::uint64_t>> hidden;  // -> cookies of those above
};

/// Writes down what arrives where.
class Arrivals final : public SymbolicTables::Visitor {
 public:
  Arrivals(const SymbolicTables& tables, const std::vector<bool>& wanted_ports,
           const std::set<PortPlace>& wanted_places, std::size_t most, RuleUse& use)
      : tables_(tables),
        wanted_ports_(wanted_ports),
        wanted_places_(wanted_places),
        most_(most),
        use_(use) {}

  bool wants(std::uint8_t table, const Beam& beam) override {
    if (table != static_cast<std::uint8_t>(Stage::locate) &&
        table != static_cast<std::uint8_t>(Stage::to_port_ct))
      return true;
    const std::uint64_t key = beam.value.get(at::reg(15));
    if (beam.known.get(at::reg(15)) != 0xffffffff || key >= kFloodKey) return true;
    return wanted_places_.contains({static_cast<std::uint32_t>(beam.value.get(at::metadata)),
                                    static_cast<std::uint32_t>(key)});
  }
  void deliver(std::uint32_t of_port, const Beam& beam) override {
    const std::size_t port = of_port - kFirstPort;
    if (port >= wanted_ports_.size() || !wanted_ports_[port]) return;
    const auto parts = beam.parts(most_);
    if (!parts) {
      too_many = true;
      return;
    }
    if (parts->empty()) return;
    const auto shared = std::make_shared<const Beam>(beam);
    for (const Cube& part : *parts) found[port].arrivals.push_back({part, shared});
  }
  bool asks_about(std::size_t rule) override { return !use_.used.contains(cookie(rule)); }
  void used(std::size_t rule) override { use_.used.insert(cookie(rule)); }
  void hidden(std::size_t rule, const std::vector<std::size_t>& higher) override {
    auto& by = use_.hidden[cookie(rule)];
    for (const std::size_t h : higher)
      if (cookie(h) != cookie(rule)) by.insert(cookie(h));
  }

  std::map<std::size_t, Reach> found;  // by port
  bool too_many = false;

 private:
  std::uint64_t cookie(std::size_t rule) const { return tables_.rules()[rule].cookie; }
  const SymbolicTables& tables_;
  const std::vector<bool>& wanted_ports_;
  const std::set<PortPlace>& wanted_places_;
  const std::size_t most_;
  RuleUse& use_;
};

}  // namespace

std::optional<Cube> Arrival::arriving_as(const datapath::Match& match) const {
  Beam part = *beam;
  Cube so;
  if (!narrow(part, sent) || !condition(part, match, so) || !narrow(part, so)) return std::nullopt;
  return as_sent(part.sent);
}

CubeSet Reach::sent() const {
  CubeSet out;
  for (const Arrival& a : arrivals) out.add(a.sent);
  out.reduce();
  return out;
}

std::size_t Verification::class_of(const std::string& port) const {
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (std::binary_search(classes[i].ports.begin(), classes[i].ports.end(), port)) return i;
  return classes.size();
}

const Reach* Verification::between(const std::string& from, const std::string& to) const {
  const auto it = reach.find({class_of(from), class_of(to)});
  return it == reach.end() ? nullptr : &it->second;
}

struct Verifier::Impl {
  Intent intent;
  Options options;
  std::vector<Component> components;
  std::vector<PortClass> classes;
  std::vector<std::string> notes;
  std::size_t rules = 0;

  Result<> build() {
    for (const auto& [name, r] : intent.routers())
      if (!r.gateways.empty() || std::any_of(r.ports.begin(), r.ports.end(),
                                             [](const auto& p) { return !p.gateways.empty(); }))
        return Error{fmt::format("cannot verify: router {} has gateways, and ways through gateways "
                                 "cannot be verified yet",
                                 name),
                     {},
                     "leave gateways out of the network that is verified"};
    // Where ports are is no question here: every backend is up.
    std::set<std::string> up;
    for (const auto& [name, port] : intent.ports()) up.insert(name);
    const Compiler compiler = Compiler::of(intent, {}, up);
    std::map<std::uint32_t, std::vector<const Port*>> by_network;
    for (const auto& [name, port] : intent.ports())
      by_network[intent.networks().at(port.network).vni].push_back(&port);
    for (auto& datapaths : joined_datapaths(intent)) {
      Component c;
      c.datapaths = std::move(datapaths);
      for (const std::uint32_t d : c.datapaths)
        for (const Port* port : by_network[d])
          c.ports.push_back({port->name, d, port->key, 0, port->mac, port->addresses});
      if (c.ports.empty()) continue;
      std::sort(c.ports.begin(), c.ports.end(),
                [](const PortIdentity& a, const PortIdentity& b) { return a.name < b.name; });
      for (std::size_t i = 0; i < c.ports.size(); ++i) {
        c.ports[i].of_port = kFirstPort + static_cast<std::uint32_t>(i);
        c.by_name[c.ports[i].name] = i;
      }
      if (c.ports.size() > 60'000)
        return Error{fmt::format("cannot verify: {} ports are joined with each other, at most "
                                 "60000 can be",
                                 c.ports.size()),
                     {},
                     ""};
      auto contents = contents_of(compiler, c);
      if (!contents) return contents.error();
      rules += contents->rules.size();
      add_classes(c, *contents);
      c.tables = std::make_unique<SymbolicTables>(std::move(contents->rules),
                                                  std::move(contents->groups), options.limits);
      components.push_back(std::move(c));
    }
    return {};
  }

  void add_classes(const Component& c, const SwitchContents& contents) {
    PortClasses found;
    if (options.classes) {
      found = classify_ports(c.ports, contents.rules, contents.groups);
      if (!found.why.empty()) notes.push_back("each port is verified by itself: " + found.why);
    } else {
      for (std::uint32_t i = 0; i < c.ports.size(); ++i) found.of.push_back(i);
    }
    const std::size_t first = classes.size();
    for (std::size_t i = 0; i < c.ports.size(); ++i) {
      const std::size_t k = first + found.of[i];
      if (k >= classes.size()) classes.push_back({{}, components.size()});
      classes[k].ports.push_back(c.ports[i].name);
    }
  }

  Result<Verification> run(const std::vector<PortClass>& asked) {
    Verification out;
    out.classes = asked;
    out.rules = rules;
    out.components = components.size();
    out.notes = notes;
    RuleUse use;
    for (std::size_t n = 0; n < components.size(); ++n)
      if (auto done = run_component(n, asked, use, out); !done) return done.error();
    for (const Component& c : components) out.visits += c.tables->visits();
    out.idle = idle_rules(use);
    return out;
  }

  Result<> run_component(std::size_t n, const std::vector<PortClass>& asked, RuleUse& use,
                         Verification& out) {
    Component& c = components[n];
    std::vector<std::size_t> here;
    std::vector<bool> wanted(c.ports.size());
    std::set<PortPlace> places;
    for (std::size_t k = 0; k < asked.size(); ++k) {
      if (asked[k].component != n) continue;
      here.push_back(k);
      for (std::size_t i = 0; i < std::min<std::size_t>(2, asked[k].ports.size()); ++i) {
        const std::size_t port = c.by_name.at(asked[k].ports[i]);
        wanted[port] = true;
        places.insert({c.ports[port].datapath, c.ports[port].key});
      }
    }
    for (const std::size_t from : here) {
      const PortIdentity& port = c.ports[c.by_name.at(asked[from].ports[0])];
      Arrivals arrivals(*c.tables, wanted, places, options.limits.cubes, use);
      for (const Beam& beam : first_packets(port))
        if (auto done = c.tables->run(static_cast<std::uint8_t>(Stage::admit), beam, arrivals);
            !done)
          return done.error();
      if (arrivals.too_many)
        return Error{fmt::format("cannot verify: what {} can send to others takes more than {} "
                                 "sets of packets to say",
                                 port.name, options.limits.cubes),
                     {},
                     "fewer rules of different priorities that overlap in part"};
      for (const std::size_t to : here) {
        const auto& members = asked[to].ports;
        if (to == from && members.size() < 2) continue;
        const auto it = arrivals.found.find(c.by_name.at(members[to == from ? 1 : 0]));
        if (it != arrivals.found.end()) out.reach[{from, to}] = std::move(it->second);
      }
    }
    return {};
  }

  std::vector<IdleRule> idle_rules(const RuleUse& use) const {
    std::map<std::uint64_t, RowId> rows;
    for (const auto& [name, acl] : intent.acls()) rows[acl.cookie] = {Table::acl, name};
    for (const auto& [name, r] : intent.rows<Table::route>()) rows[r.cookie] = {Table::route, name};
    for (const auto& [name, p] : intent.rows<Table::policy>())
      rows[p.cookie] = {Table::policy, name};
    rows.erase(0);
    std::vector<IdleRule> out;
    for (const auto& [cookie, row] : rows) {
      if (use.used.contains(cookie)) continue;
      IdleRule idle{row, false, {}, false};
      if (const auto it = use.hidden.find(cookie); it != use.hidden.end()) {
        idle.shadowed = true;
        for (const std::uint64_t by : it->second) {
          const auto other = rows.find(by);
          if (other != rows.end())
            idle.by.push_back(other->second);
          else
            idle.by_others = true;
        }
        std::sort(idle.by.begin(), idle.by.end());
      }
      out.push_back(std::move(idle));
    }
    std::sort(out.begin(), out.end(),
              [](const IdleRule& a, const IdleRule& b) { return a.row < b.row; });
    return out;
  }
};

Verifier::Verifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Verifier::~Verifier() = default;
Verifier::Verifier(Verifier&&) noexcept = default;
Verifier& Verifier::operator=(Verifier&&) noexcept = default;

Result<Verifier> Verifier::of(const Intent& intent, const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->intent = intent;
  impl->options = options;
  if (auto built = impl->build(); !built) return built.error();
  return Verifier(std::move(impl));
}

const Intent& Verifier::intent() const { return impl_->intent; }
const std::vector<PortClass>& Verifier::classes() const { return impl_->classes; }
Result<Verification> Verifier::run(const std::vector<PortClass>& classes) {
  return impl_->run(classes);
}

std::vector<PortClass> divided(const std::vector<PortClass>& classes,
                               const std::vector<std::set<std::string>>& sets) {
  std::vector<PortClass> out;
  for (const PortClass& c : classes) {
    std::map<std::vector<bool>, std::vector<std::string>> parts;
    for (const std::string& port : c.ports) {
      std::vector<bool> in;
      for (const auto& set : sets) in.push_back(set.contains(port));
      parts[in].push_back(port);
    }
    for (auto& [in, ports] : parts) out.push_back({std::move(ports), c.component});
  }
  return out;
}

Result<Verification> verify(const Intent& intent, const Verifier::Options& options) {
  auto verifier = Verifier::of(intent, options);
  if (!verifier) return verifier.error();
  return verifier->run(verifier->classes());
}

}  // namespace weft::control
