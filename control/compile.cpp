#include "control/compile.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "control/compile_env.h"
#include "control/gateways.h"
#include "control/logical.h"
#include "control/policy_flows.h"

namespace weft::control {
namespace {

using Scope = std::pair<AclDirection, Peer>;

/// What the rules of a tenant judge and a port belongs to.
struct Profile {
  std::string tenant;
  std::set<Scope> scopes;
  auto operator<=>(const Profile&) const = default;

  std::string text() const {
    std::string out = tenant;
    for (const auto& [direction, peer] : scopes)
      out += (direction == AclDirection::to_port ? "|" : "|from ") + peer.text();
    return out;
  }
  std::uint64_t id() const { return hash_string(text()); }
};
struct ProfileHash {
  std::size_t operator()(const Profile& p) const { return p.id(); }
};

/// One rule for the ports of one profile; `source` says which part of it.
struct RulePart {
  std::uint64_t profile = 0;
  std::string acl;
  std::string source{};
  bool operator==(const RulePart&) const = default;
};
struct RulePartHash {
  std::size_t operator()(const RulePart& r) const {
    return hash_string(r.acl) ^ (hash_string(r.source) * 31) ^ (r.profile * 0x9e3779b97f4a7c15ULL);
  }
};

struct StringHash {
  std::size_t operator()(const std::string& s) const { return hash_string(s); }
};
struct RowIdHash {
  std::size_t operator()(const RowId& id) const {
    return hash_string(id.second) ^ (static_cast<std::size_t>(id.first) << 56);
  }
};

/// Where a port is and what judges it.
struct Standing {
  PortPlace place{};
  std::uint64_t profile = 0;
  bool operator==(const Standing&) const = default;
};

std::string scope_name(const std::string& tenant, const Scope& scope) {
  return fmt::format("{}|{}|{}", tenant, static_cast<int>(scope.first), scope.second.text());
}

std::string route_group(const Route& r) {
  return fmt::format("{}|{}|{}", r.router, r.prefix.text(), r.by_source);
}

bool is_broad(const Peer& peer) {
  return peer.kind == Peer::Kind::any || peer.kind == Peer::Kind::prefix ||
         peer.kind == Peer::Kind::address_set;
}

bool any_inside(const std::vector<IpAddress>& addresses, const Prefix& prefix) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const IpAddress& a) { return prefix.contains(a); });
}

std::vector<Prefix> prefixes_of(const Port& port) {
  std::vector<Prefix> out;
  out.reserve(port.addresses.size());
  bool six = false;
  for (const IpAddress& a : port.addresses) {
    out.push_back({a, a.is6 ? 128 : 32});
    six |= a.is6;
  }
  // Port security lets it send from this one too, so it is the same peer.
  if (six) out.push_back({link_local(port.mac), 128});
  return out;
}

}  // namespace

void add_flows(Records& out, std::string key, const std::vector<Flow>& flows) {
  if (!flows.empty()) out.push_back({std::move(key), encode_flows(flows), flows.size()});
}

std::vector<std::string> Env::referrers(Table table, const std::string& name, Table source) {
  facts_.read({Fact::Kind::referrers, table, source, name});
  std::vector<std::string> out;
  const auto& all = now_->referrers(table, name);
  for (auto it = all.lower_bound({source, {}}); it != all.end() && it->first == source; ++it)
    out.push_back(it->second);
  return out;
}

// --- the graph
// ------------------------------------------------------------------------------------

struct Compiler::Impl final : Env {
  explicit Impl(Faults f)
      : Env(graph, f),
        judged(graph, [this](const std::string& t) { return compute_judged(t); }),
        standing(
            graph, [this](const std::string& p) { return compute_standing(p); },
            [this](const std::string& p, const Standing* was, const Standing* is) {
              note_standing(p, was, is);
            }),
        scoped(graph,
               [this](const std::string& scope) {
                 facts_.read({Fact::Kind::scope, {}, {}, scope});
                 return scopes.contains(scope);
               }),
        profile_of(graph, [this](const std::string& p) { return compute_profile(p); }),
        expressions(graph,
                    [](const std::string& match) {
                      auto parsed = parse_expression(match, {.any_comparison = true});
                      return parsed ? std::make_shared<const Expression>(std::move(*parsed))
                                    : nullptr;
                    }),
        group_addresses(graph, [this](const std::string& g) { return compute_addresses(g); }),
        tiers(graph, [this](const Profile& p) { return compute_tiers(p); }),
        rows(
            graph, [this](const RowId& id) { return compute_row(id); },
            [this](const RowId& key, const Records* was, const Records* is) {
              exchange(&key, was, is);
            }),
        profiles(
            graph, [this](const Profile& p) { return compute_profile_records(p); },
            [this](const Profile& key, const Records* was, const Records* is) {
              exchange(&key, was, is);
            }),
        rules(
            graph, [this](const RulePart& r) { return compute_rule(r); },
            [this](const RulePart& key, const Records* was, const Records* is) {
              exchange(&key, was, is);
            }) {}

  // --- Env ---
  bool is_judged(const std::string& tenant) override { return judged(tenant); }
  PortPlace place(const std::string& port) override {
    const Port* p = row<Table::port>(port);
    const Network* n = p == nullptr ? nullptr : row<Table::network>(p->network);
    return n == nullptr ? PortPlace{} : PortPlace{n->vni, p->key};
  }
  std::shared_ptr<const Expression> expression(const std::string& match) override {
    return expressions(match);
  }
  std::vector<IpAddress> addresses_of_group(const std::string& group) override {
    return group_addresses(group);
  }
  std::vector<std::string> routes_alike(const Route& route) override {
    const std::string group = route_group(route);
    facts_.read({Fact::Kind::alike, {}, {}, group});
    const auto it = alike.find(group);
    if (it == alike.end()) return {};
    return {it->second.begin(), it->second.end()};
  }

  // --- values ---
  bool compute_judged(const std::string& name) {
    const Tenant* t = row<Table::tenant>(name);
    return t != nullptr && (t->has_policy || !referrers(Table::tenant, name, Table::acl).empty() ||
                            !referrers(Table::tenant, name, Table::load_balancer).empty());
  }

  std::vector<IpAddress> compute_addresses(const std::string& name) {
    std::vector<IpAddress> out;
    if (const Group* g = row<Table::group>(name))
      for (const std::string& member : g->members)
        if (const Port* p = row<Table::port>(member))
          out.insert(out.end(), p->addresses.begin(), p->addresses.end());
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  Standing compute_standing(const std::string& port) {
    Standing s{place(port), 0};
    if (const Profile& p = profile_of(port); !p.tenant.empty()) {
      s.profile = p.id();
      profiles.hold(p);
    }
    return s;
  }

  bool belongs(const Port& port, const Peer& peer) {
    if (peer.kind == Peer::Kind::any) return true;
    if (peer.kind == Peer::Kind::prefix) return any_inside(port.addresses, peer.prefix);
    const AddressSet* set = row<Table::address_set>(peer.name);
    return set != nullptr &&
           std::any_of(set->prefixes.begin(), set->prefixes.end(),
                       [&](const Prefix& p) { return any_inside(port.addresses, p); });
  }

  /// Of no tenant: nothing judges the port.
  Profile compute_profile(const std::string& name) {
    const Port* port = row<Table::port>(name);
    const Network* network = port == nullptr ? nullptr : row<Table::network>(port->network);
    if (network == nullptr || !judged(network->tenant)) return {};
    Profile out{network->tenant, {}};
    const auto consider = [&](const Peer& peer) {
      for (const AclDirection d : {AclDirection::to_port, AclDirection::from_port})
        if (scoped(scope_name(out.tenant, {d, peer}))) out.scopes.emplace(d, peer);
    };
    consider({Peer::Kind::port, name, {}});
    consider({Peer::Kind::network, port->network, {}});
    for (const std::string& g : referrers(Table::port, name, Table::group))
      consider({Peer::Kind::group, g, {}});
    facts_.read({Fact::Kind::broad, {}, {}, out.tenant});
    if (const auto it = broad.find(out.tenant); it != broad.end())
      for (const auto& [peer, users] : it->second)
        if (belongs(*port, peer)) out.scopes.emplace(AclDirection::to_port, peer);
    return out;
  }

  std::vector<std::string> acls_of(const std::string& tenant, const Scope& scope) {
    const std::string name = scope_name(tenant, scope);
    facts_.read({Fact::Kind::scope, {}, {}, name});
    const auto it = scopes.find(name);
    if (it == scopes.end()) return {};
    return {it->second.begin(), it->second.end()};
  }

  /// The last tier that has rules, for each direction.
  std::pair<int, int> compute_tiers(const Profile& p) {
    std::pair<int, int> last{};
    for (const Scope& scope : p.scopes)
      for (const std::string& name : acls_of(p.tenant, scope))
        if (const Acl* acl = row<Table::acl>(name)) {
          int& tier = scope.first == AclDirection::to_port ? last.first : last.second;
          tier = std::max(tier, acl->tier);
        }
    return last;
  }

  // --- records ---
  Records compute_profile_records(const Profile& p) {
    const std::uint64_t id = p.id();
    Records out;
    const Tenant* tenant = row<Table::tenant>(p.tenant);
    if (tenant == nullptr) return out;
    for (const Scope& scope : p.scopes)
      for (const std::string& acl : acls_of(p.tenant, scope)) rules.hold({id, acl});
    const auto [to, from] = tiers(p);
    add_flows(out, profile_range(id) + "|default", default_flows(*tenant, id, to, from));
    return out;
  }

  static std::string rule_key(const RulePart& r, const std::string& source) {
    return profile_range(r.profile) + r.acl + "|" + source;
  }

  Records compute_rule(const RulePart& r) {
    Records out;
    const Acl* acl = row<Table::acl>(r.acl);
    if (acl == nullptr || (acl->denies() && faults_.forget_deny)) return out;
    if (!acl->match.empty()) return compute_match(r, *acl);
    const auto emit = [&](const std::string& source, bool any, const std::vector<Prefix>& from) {
      add_flows(out, rule_key(r, source), peer_flows(*acl, r.profile, any, from));
    };
    if (!r.source.empty()) {
      if (const Port* port = row<Table::port>(r.source)) emit(r.source, false, prefixes_of(*port));
      return out;
    }
    switch (acl->from.kind) {
      case Peer::Kind::any:
        emit("*", true, {});
        break;
      case Peer::Kind::port:
        rules.hold({r.profile, r.acl, acl->from.name});
        break;
      case Peer::Kind::group:
        if (const Group* g = row<Table::group>(acl->from.name))
          for (const std::string& m : g->members) rules.hold({r.profile, r.acl, m});
        break;
      case Peer::Kind::network:
      case Peer::Kind::prefix:
      case Peer::Kind::address_set:
        emit("*", false, fixed_prefixes(acl->from));
        break;
    }
    return out;
  }

  std::vector<Flow> peer_flows(const Acl& acl, std::uint64_t profile, bool any_source,
                               const std::vector<Prefix>& sources) {
    const bool by_address =
        acl.to.kind == Peer::Kind::prefix || acl.to.kind == Peer::Kind::address_set;
    return acl_flows(acl, profile, any_source, sources, !by_address,
                     by_address ? fixed_prefixes(acl.to) : std::vector<Prefix>{});
  }

  std::vector<Prefix> fixed_prefixes(const Peer& peer) {
    if (peer.kind == Peer::Kind::prefix) return {peer.prefix};
    if (peer.kind == Peer::Kind::network) {
      const Network* n = row<Table::network>(peer.name);
      return n == nullptr ? std::vector<Prefix>{} : n->subnets;
    }
    const AddressSet* set = row<Table::address_set>(peer.name);
    return set == nullptr ? std::vector<Prefix>{} : set->prefixes;
  }

  /// A rule by expression: whole, or (if a set can be taken apart) one part per member.
  Records compute_match(const RulePart& r, const Acl& acl) {
    Records out;
    const auto parsed = expressions(acl.match);
    if (!parsed) return out;
    const Expression e = without_own_scope(*parsed, acl);
    const EnvNames names(*this, acl.tenant);
    const auto split = splittable_reference(e);
    if (!split) {
      if (auto matches = to_matches(e, names, {kMatchLimit}))
        add_flows(out, rule_key(r, "*"), match_flows(acl, r.profile, *matches));
    } else if (!r.source.empty()) {
      Element element;
      if (split->kind == Operand::Kind::port_group) element.port = r.source;
      if (split->kind == Operand::Kind::address_set)
        element.constant = parse_constant(r.source).value();
      if (auto matches = to_matches(e, names, *split, element, {kMatchLimit}))
        add_flows(out, rule_key(r, r.source), match_flows(acl, r.profile, *matches));
    } else if (split->kind == Operand::Kind::port_group) {
      if (const auto members = names.port_group(split->name))
        for (const std::string& m : *members) rules.hold({r.profile, r.acl, m});
    } else if (const auto members = names.address_set(split->name)) {
      for (const Constant& c : *members) rules.hold({r.profile, r.acl, c.text()});
    }
    return out;
  }

  Records compute_row(const RowId& id) {
    const std::string& name = id.second;
    switch (id.first) {
      case Table::network:
        return network_records(name);
      case Table::router:
        return router_records(name);
      case Table::port:
        return port_records(name);
      case Table::route:
        return route_records(*this, name);
      case Table::policy:
        return policy_records(*this, name);
      case Table::nat:
        return nat_records(*this, name);
      case Table::load_balancer:
        return load_balancer_records(*this, name);
      case Table::dns:
        return dns_records(*this, name);
      case Table::qos:
        return qos_records(*this, name);
      case Table::mirror:
      case Table::tenant:
      case Table::group:
      case Table::address_set:
      case Table::acl:
      case Table::dhcp_options:
        break;
    }
    return {};
  }

  Records network_records(const std::string& name) {
    Records out;
    if (const Network* n = row<Table::network>(name))
      add_flows(out, network_range(n->vni) + "net", network_flows(*n, judged(n->tenant)));
    return out;
  }

  Records router_records(const std::string& name) {
    Records out;
    const Router* router = row<Table::router>(name);
    if (router == nullptr) return out;
    RouterView view{router, {}};
    for (const RouterPort& p : router->ports) {
      RouterView::Side side{&p, nullptr, nullptr, 0};
      if (!p.network.empty()) {
        side.network = row<Table::network>(p.network);
        if (side.network == nullptr) continue;
      } else {
        side.peer = row<Table::router>(p.peer_router);
        if (side.peer == nullptr) continue;
        side.peer_number = port_number(*side.peer, p.peer_port);
      }
      view.sides.push_back(side);
      if (side.network != nullptr) add_entry(out, view.sides.back(), *router);
    }
    add_flows(out, network_range(datapath_of(*router)) + "net", router_flows(view));
    return out;
  }

  static void add_entry(Records& out, const RouterView::Side& side, const Router& router) {
    const bool gateway = is_gateway_port(router, *side.port);
    add_flows(out,
              network_range(side.network->vni) + "router/" + router.name + "/" + side.port->label(),
              gateway ? gateway_entry_flows(side, router) : router_entry_flows(side, router));
    if (gateway)
      add_flows(out, gateway_range(gateway_id(router, *side.port)) + "port",
                gateway_here_flows(side, router));
  }

  Records port_records(const std::string& name) {
    Records out;
    const Port* port = row<Table::port>(name);
    const Network* network = port == nullptr ? nullptr : row<Table::network>(port->network);
    if (network == nullptr) return out;
    const Standing& s = standing(name);
    const bool external = port->type == PortType::external;
    PortRecord record{port->name, port->mac, port_flows(*network, *port), external,
                      port->enabled && (external || port->unknown)};
    out.push_back({port_record_key(s.place), encode(record), record.flows.size()});
    add_flows(out, local_record_key(s.place), local_port_flows(*network, *port, s.profile));
    for (const auto& more : {dhcp_records(*this, name), mirror_records(*this, name)})
      out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  /// Records of one node change: `owner` is its key's address.
  void exchange(const void* owner, const Records* was, const Records* is) {
    if (was != nullptr)
      for (const Record& r : *was) {
        const auto it = held.find(r.key);
        if (it != held.end() && it->second.owner == owner) set(r.key, nullptr, 0);
      }
    if (is != nullptr)
      for (const Record& r : *is) {
        set(r.key, std::make_shared<const std::string>(r.value), r.flows);
        held[r.key].owner = owner;
      }
  }

  void set(const std::string& key, RecordValue value, std::size_t count) {
    const auto it = records.find(key);
    touched.try_emplace(key, it == records.end() ? nullptr : it->second);
    const auto old = held.find(key);
    flows += count - (old == held.end() ? 0 : old->second.flows);
    if (value) {
      records.insert_or_assign(key, std::move(value));
      held[key].flows = count;
    } else {
      if (it != records.end()) records.erase(it);
      if (old != held.end()) held.erase(old);
    }
  }

  void note_standing(const std::string& port, const Standing* was, const Standing* is) {
    selection.ports.insert(port);
    if (was != nullptr) {
      const auto it = by_place.find(was->place);
      if (it != by_place.end() && it->second == port) by_place.erase(it);
    }
    if (is == nullptr || is->place.vni == 0) {
      standings.erase(port);
      return;
    }
    standings[port] = *is;
    by_place[is->place] = port;
  }

  // --- changes ---
  bool set_up(const std::string& port, bool is) {
    if (is ? !up_.insert(port).second : up_.erase(port) == 0) return false;
    facts_.touch({Fact::Kind::up, Table::port, Table::tenant, port});
    return true;
  }
  const std::set<std::string>& up() const { return up_; }

  void index_acl(const Acl& acl, bool add) {
    const std::string scope = scope_name(acl.tenant, {acl.direction, acl.to});
    auto& users = scopes[scope];
    if (add) users.insert(acl.name);
    if (!add) users.erase(acl.name);
    if (users.empty()) scopes.erase(scope);
    facts_.touch({Fact::Kind::scope, {}, {}, scope});
    if (!is_broad(acl.to)) return;
    auto& peers = broad[acl.tenant];
    auto& count = peers[acl.to];
    const bool edge = add ? ++count == 1 : --count == 0;
    if (count == 0) peers.erase(acl.to);
    if (peers.empty()) broad.erase(acl.tenant);
    if (edge) facts_.touch({Fact::Kind::broad, {}, {}, acl.tenant});
  }

  void index_route(const Route& route, bool add) {
    const std::string group = route_group(route);
    auto& members = alike[group];
    if (add) members.insert(route.name);
    if (!add) members.erase(route.name);
    if (members.empty()) alike.erase(group);
    facts_.touch({Fact::Kind::alike, {}, {}, group});
  }

  /// A row that refers to the same things as before changes nothing about who refers to what.
  void note_references(const RowChange& c) {
    const auto before = c.before ? references_of(*c.before) : std::vector<RowId>{};
    const auto after = c.after ? references_of(*c.after) : std::vector<RowId>{};
    std::vector<RowId> moved;
    std::set_symmetric_difference(before.begin(), before.end(), after.begin(), after.end(),
                                  std::back_inserter(moved));
    for (const RowId& target : moved)
      facts_.touch({Fact::Kind::referrers, target.first, table_of(c.either()), target.second});
  }

  void apply(const Intent& now, const std::vector<RowChange>& changes) {
    now_ = &now;
    bool topology = false;
    for (const RowChange& c : changes) {
      const Row& either = c.either();
      const Table table = table_of(either);
      topology |= table == Table::network || table == Table::router ||
                  (table == Table::nat && is_distributed(c));
      facts_.touch({Fact::Kind::row, table, Table::tenant, name_of(either)});
      note_references(c);
      if (table == Table::acl) {
        if (c.before) index_acl(std::get<Acl>(*c.before), false);
        if (c.after) index_acl(std::get<Acl>(*c.after), true);
      }
      if (table == Table::route) {
        if (c.before) index_route(std::get<Route>(*c.before), false);
        if (c.after) index_route(std::get<Route>(*c.after), true);
      }
      if (c.before.has_value() == c.after.has_value()) continue;
      rows.root({table, name_of(either)}, c.after.has_value());
      if (table == Table::port) standing.root(name_of(either), c.after.has_value());
    }
    graph.update();
    if (topology) compute_reach(now);
    for (const auto& [key, before] : touched) {
      const auto it = records.find(key);
      const bool same =
          it == records.end() ? before == nullptr : before != nullptr && *before == *it->second;
      if (!same) changed.insert(key);
    }
    touched.clear();
    now_ = nullptr;
  }

  static bool is_distributed(const RowChange& change) {
    const auto has_port = [](const std::optional<Row>& row) {
      return row && !std::get<Nat>(*row).port.empty();
    };
    return has_port(change.before) || has_port(change.after);
  }

  /// Components of networks and routers, joined where a router port is not a gateway's; and the
  /// gateway ports. Where ports of a component translate themselves, what is beyond its gateway
  /// ports is in it.
  void compute_reach(const Intent& now) {
    std::map<std::uint32_t, std::uint32_t> parent;
    const auto find = [&](std::uint32_t d) {
      parent.try_emplace(d, d);
      while (parent[d] != d) d = parent[d] = parent[parent[d]];
      return d;
    };
    for (const auto& [name, n] : now.networks()) find(n.vni);
    std::map<GatewayId, GatewayPort> ports;
    for (const auto& [name, r] : now.routers()) {
      const std::uint32_t here = find(datapath_of(r));
      for (const RouterPort& p : r.ports) {
        const Network* n = p.network.empty() ? nullptr : &now.networks().at(p.network);
        const std::uint32_t there =
            n != nullptr ? n->vni : datapath_of(now.routers().at(p.peer_router));
        if (!is_gateway_port(r, p)) {
          parent[find(here)] = find(there);
          continue;
        }
        GatewayPort port{there, p.mac, candidates_of(r, p), {there}, {datapath_of(r)}};
        if (r.gateways.empty()) port.published.insert(datapath_of(r));
        for (const RouterPort& side : r.ports)
          if (!side.network.empty()) port.needs.insert(now.networks().at(side.network).vni);
        ports.emplace(gateway_id(r, p), std::move(port));
      }
    }
    std::map<std::uint32_t, std::set<std::uint32_t>> fresh;
    std::map<std::uint32_t, std::uint32_t> roots;
    for (const auto& [d, up] : parent) roots[d] = find(d);
    for (const auto& [d, root] : roots) fresh[root].insert(d);
    for (const auto& [name, nat] : now.rows<Table::nat>()) {
      if (nat.port.empty()) continue;
      const Router& r = now.routers().at(nat.router);
      for (const RouterPort& p : r.ports)
        if (is_gateway_port(r, p) && r.gateways.empty())
          fresh[roots.at(datapath_of(r))].insert(now.networks().at(p.network).vni);
    }
    if (fresh == components && roots == component_of && ports == gateway_ports) return;
    components = std::move(fresh);
    component_of = std::move(roots);
    gateway_ports = std::move(ports);
    selection.reach = true;
  }

  Graph graph;
  Memo<std::string, bool, StringHash> judged;
  Memo<std::string, Standing, StringHash> standing;
  Memo<std::string, bool, StringHash> scoped;
  Memo<std::string, Profile, StringHash> profile_of;
  Memo<std::string, std::shared_ptr<const Expression>, StringHash> expressions;
  Memo<std::string, std::vector<IpAddress>, StringHash> group_addresses;
  Memo<Profile, std::pair<int, int>, ProfileHash> tiers;
  Memo<RowId, Records, RowIdHash> rows;
  Memo<Profile, Records, ProfileHash> profiles;
  Memo<RulePart, Records, RulePartHash> rules;

  struct Held {
    const void* owner = nullptr;
    std::size_t flows = 0;
  };
  RecordTable records;
  std::unordered_map<std::string, Held, StringHash> held;
  std::map<std::string, RecordValue> touched;  // with the value before
  std::set<std::string> changed;
  std::uint64_t flows = 0;

  std::map<std::string, std::set<std::string>> scopes;       // scope_name -> acls
  std::map<std::string, std::set<std::string>> alike;        // route_group -> routes
  std::map<std::string, std::map<Peer, std::size_t>> broad;  // tenant -> peer -> acls
  std::map<std::string, Standing> standings;
  std::map<PortPlace, std::string> by_place;
  std::map<std::uint32_t, std::set<std::uint32_t>> components;  // by root
  std::map<std::uint32_t, std::uint32_t> component_of;
  std::map<GatewayId, GatewayPort> gateway_ports;
  Selection selection;
};

Compiler::Compiler(Faults faults) : impl_(std::make_unique<Impl>(faults)) {}
Compiler::~Compiler() = default;
Compiler::Compiler(Compiler&&) noexcept = default;
Compiler& Compiler::operator=(Compiler&&) noexcept = default;

void Compiler::apply(const Intent& now, const std::vector<RowChange>& changes) {
  impl_->apply(now, changes);
}

bool Compiler::set_up(const std::string& port, bool up) { return impl_->set_up(port, up); }
const std::set<std::string>& Compiler::up() const { return impl_->up(); }

Compiler Compiler::of(const Intent& now, Faults faults, const std::set<std::string>& up) {
  std::vector<RowChange> all;
  for (Row& row : now.all_rows()) all.push_back({std::nullopt, std::move(row)});
  Compiler compiler(faults);
  for (const std::string& port : up) compiler.set_up(port, true);
  compiler.apply(now, all);
  return compiler;
}

const RecordTable& Compiler::records() const { return impl_->records; }
std::uint64_t Compiler::logical_flows() const { return impl_->flows; }
std::uint64_t Compiler::computed() const { return impl_->graph.computed(); }
std::set<std::string> Compiler::take_changed() { return std::exchange(impl_->changed, {}); }
const std::map<PortPlace, std::string>& Compiler::ports_by_place() const { return impl_->by_place; }
Compiler::Selection Compiler::take_selection_changes() {
  return std::exchange(impl_->selection, {});
}

const std::set<std::uint32_t>& Compiler::reach(std::uint32_t datapath) const {
  static const std::set<std::uint32_t> none;
  const auto it = impl_->component_of.find(datapath);
  return it == impl_->component_of.end() ? none : impl_->components.at(it->second);
}

const std::map<GatewayId, Compiler::GatewayPort>& Compiler::gateways() const {
  return impl_->gateway_ports;
}

std::uint64_t Compiler::profile_of_port(const std::string& port) const {
  const auto it = impl_->standings.find(port);
  return it == impl_->standings.end() ? 0 : it->second.profile;
}

PortPlace Compiler::place_of(const std::string& port) const {
  const auto it = impl_->standings.find(port);
  return it == impl_->standings.end() ? PortPlace{} : it->second.place;
}

bool Compiler::operator==(const Compiler& other) const {
  const Impl& a = *impl_;
  const Impl& b = *other.impl_;
  const auto same = [](const auto& x, const auto& y) {
    return x.first == y.first && *x.second == *y.second;
  };
  return std::equal(a.records.begin(), a.records.end(), b.records.begin(), b.records.end(), same) &&
         a.flows == b.flows && a.standings == b.standings && a.by_place == b.by_place &&
         a.components == b.components && a.component_of == b.component_of &&
         a.gateway_ports == b.gateway_ports;
}

}  // namespace weft::control
