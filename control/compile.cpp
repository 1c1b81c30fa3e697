#include "control/compile.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "control/logical.h"

namespace weft::control {
namespace {

bool tracked(const Intent& now, const std::string& tenant) {
  return now.tenants().at(tenant).has_policy;
}

std::vector<std::string> ports_of_network(const Intent& now, const std::string& network) {
  std::vector<std::string> out;
  for (const auto& [table, name] : now.referrers(Table::network, network))
    if (table == Table::port) out.push_back(name);
  return out;
}

std::vector<std::string> ports_of_tenant(const Intent& now, const std::string& tenant) {
  std::vector<std::string> out;
  for (const auto& [table, name] : now.referrers(Table::tenant, tenant)) {
    if (table != Table::network) continue;
    const auto ports = ports_of_network(now, name);
    out.insert(out.end(), ports.begin(), ports.end());
  }
  return out;
}

bool any_inside(const std::vector<IpAddress>& addresses, const Prefix& prefix) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const IpAddress& a) { return prefix.contains(a); });
}

bool belongs(const Intent& now, const Port& port, const Peer& peer) {
  switch (peer.kind) {
    case Peer::Kind::any:
      return true;
    case Peer::Kind::group:
      return now.groups().at(peer.name).members.contains(port.name);
    case Peer::Kind::port:
      return peer.name == port.name;
    case Peer::Kind::network:
      return peer.name == port.network;
    case Peer::Kind::prefix:
      return any_inside(port.addresses, peer.prefix);
    case Peer::Kind::address_set:
      break;
  }
  const auto& prefixes = now.address_sets().at(peer.name).prefixes;
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const Prefix& p) { return any_inside(port.addresses, p); });
}

std::uint64_t profile_id(const std::string& tenant, const std::set<Peer>& peers) {
  std::string text = tenant;
  for (const Peer& p : peers) text += '|' + p.text();
  return hash_string(text);
}

std::vector<Prefix> prefixes_of(const Port& port) {
  std::vector<Prefix> out;
  out.reserve(port.addresses.size());
  for (const IpAddress& a : port.addresses) out.push_back({a, a.is6 ? 128 : 32});
  return out;
}

std::vector<Prefix> fixed_prefixes(const Intent& now, const Peer& peer) {
  if (peer.kind == Peer::Kind::prefix) return {peer.prefix};
  if (peer.kind == Peer::Kind::network) return now.networks().at(peer.name).subnets;
  return now.address_sets().at(peer.name).prefixes;
}

std::vector<Flow> flows_from(const Intent& now, const Acl& acl, std::uint64_t profile,
                             bool any_source, const std::vector<Prefix>& sources) {
  const bool by_address =
      acl.to.kind == Peer::Kind::prefix || acl.to.kind == Peer::Kind::address_set;
  return acl_flows(acl, profile, any_source, sources, !by_address,
                   by_address ? fixed_prefixes(now, acl.to) : std::vector<Prefix>{});
}

std::string acl_range(std::uint64_t profile, const std::string& acl) {
  return profile_range(profile) + acl + "|";
}

/// A row before or after its change; one of the two exists.
template <class Row>
const Row& either(const Row* before, const Row* after) {
  const Row* row = after != nullptr ? after : before;
  WEFT_CHECK(row != nullptr, "a change without a row");
  return *row;
}

}  // namespace

// --- records -------------------------------------------------------------------------------------

void Compiler::put(const std::string& key, std::string value, std::size_t flows) {
  RecordValue& slot = records_[key];
  if (slot && *slot == value) return;
  slot = std::make_shared<const std::string>(std::move(value));
  std::size_t& count = flow_counts_[key];
  flows_ += flows - count;
  count = flows;
  changed_.insert(key);
}

void Compiler::put_flows(const std::string& key, const std::vector<Flow>& flows) {
  if (flows.empty()) return remove(key);
  put(key, encode_flows(flows), flows.size());
}

void Compiler::remove(const std::string& key) {
  if (records_.erase(key) == 0) return;
  flows_ -= flow_counts_[key];
  flow_counts_.erase(key);
  changed_.insert(key);
}

void Compiler::replace_range(const std::string& range,
                             const std::map<std::string, std::vector<Flow>>& fresh) {
  std::vector<std::string> gone;
  for (auto it = records_.lower_bound(range); it != records_.end() && it->first.starts_with(range);
       ++it)
    if (!fresh.contains(it->first)) gone.push_back(it->first);
  for (const std::string& key : gone) remove(key);
  for (const auto& [key, flows] : fresh) put_flows(key, flows);
}

bool Compiler::operator==(const Compiler& o) const {
  const auto same = [](const auto& a, const auto& b) {
    return a.first == b.first && *a.second == *b.second;
  };
  return std::equal(records_.begin(), records_.end(), o.records_.begin(), o.records_.end(), same) &&
         flows_ == o.flows_ && policies_ == o.policies_ && profiles_ == o.profiles_ &&
         port_profile_ == o.port_profile_ && places_ == o.places_ && by_place_ == o.by_place_ &&
         router_records_ == o.router_records_ && reach_ == o.reach_;
}

// --- what a changed row touches
// --------------------------------------------------------------------

void Compiler::note(const Intent&, const Tenant* before, const Tenant* after, Dirty& dirty) {
  if (before != nullptr && after != nullptr) dirty.tenants.insert(after->name);
}

void Compiler::note(const Intent& now, const Network* before, const Network* after, Dirty& dirty) {
  if (before != nullptr && (after == nullptr || before->vni != after->vni)) {
    remove(network_range(before->vni) + "net");
  }
  if (after == nullptr) return;
  dirty.networks.insert(after->name);
  if (before == nullptr) return;
  dirty.tenants.insert(after->tenant);
  for (const auto& [table, name] : now.referrers(Table::network, after->name))
    if (table == Table::router) dirty.routers.insert(name);
}

void Compiler::note(const Intent&, const Router* before, const Router* after, Dirty& dirty) {
  dirty.routers.insert(either(before, after).name);
}

void Compiler::note(const Intent& now, const Port* before, const Port* after, Dirty& dirty) {
  const std::string& name = either(before, after).name;
  dirty.ports.insert(name);
  dirty.reprofile.insert(name);
  if (before != nullptr && after != nullptr && before->addresses == after->addresses) return;
  for (const auto& [table, referrer] : now.referrers(Table::port, name)) {
    if (table == Table::group) note_source_group(now, referrer, name, dirty);
    if (table == Table::acl) dirty.acls.emplace(now.acls().at(referrer).tenant, referrer);
  }
}

void Compiler::note_source_group(const Intent& now, const std::string& group,
                                 const std::string& port, Dirty& dirty) {
  for (const auto& [table, acl] : now.referrers(Table::group, group))
    if (table == Table::acl && now.acls().at(acl).from == Peer{Peer::Kind::group, group, {}})
      dirty.elements.emplace(acl, port);
}

void Compiler::note(const Intent& now, const Group* before, const Group* after, Dirty& dirty) {
  const std::set<std::string> none;
  const auto& was = before != nullptr ? before->members : none;
  const auto& is = after != nullptr ? after->members : none;
  std::vector<std::string> moved;
  std::set_symmetric_difference(was.begin(), was.end(), is.begin(), is.end(),
                                std::back_inserter(moved));
  const std::string& name = either(before, after).name;
  for (const std::string& port : moved) {
    dirty.reprofile.insert(port);
    note_source_group(now, name, port, dirty);
  }
}

void Compiler::note(const Intent&, const AddressSet* before, const AddressSet* after,
                    Dirty& dirty) {
  dirty.tenants.insert(either(before, after).tenant);
}

void Compiler::note_destination(const Intent& now, const Peer& peer, const std::string& tenant,
                                Dirty& dirty) {
  const auto add = [&](const std::vector<std::string>& ports) {
    dirty.reprofile.insert(ports.begin(), ports.end());
  };
  switch (peer.kind) {
    case Peer::Kind::group:
      if (const auto g = now.groups().find(peer.name); g != now.groups().end())
        dirty.reprofile.insert(g->second.members.begin(), g->second.members.end());
      return;
    case Peer::Kind::port:
      dirty.reprofile.insert(peer.name);
      return;
    case Peer::Kind::network:
      add(ports_of_network(now, peer.name));
      return;
    case Peer::Kind::any:
    case Peer::Kind::prefix:
    case Peer::Kind::address_set:
      add(ports_of_tenant(now, tenant));
      return;
  }
}

void Compiler::note(const Intent& now, const Acl* before, const Acl* after, Dirty& dirty) {
  if (before != nullptr) {
    dirty.acls.emplace(before->tenant, before->name);
    TenantPolicy& policy = policies_[before->tenant];
    policy.acls.erase(before->name);
    auto& users = policy.destinations[before->to];
    users.erase(before->name);
    if (users.empty()) {
      policy.destinations.erase(before->to);
      note_destination(now, before->to, before->tenant, dirty);
    }
  }
  if (after != nullptr) {
    dirty.acls.emplace(after->tenant, after->name);
    TenantPolicy& policy = policies_[after->tenant];
    policy.acls.insert(after->name);
    auto& users = policy.destinations[after->to];
    if (users.empty()) note_destination(now, after->to, after->tenant, dirty);
    users.insert(after->name);
  }
}

void Compiler::spread_tenants(const Intent& now, Dirty& dirty) {
  for (const std::string& tenant : dirty.tenants) {
    if (!now.tenants().contains(tenant)) continue;
    for (const auto& [table, name] : now.referrers(Table::tenant, tenant)) {
      if (table == Table::network) dirty.networks.insert(name);
      if (table == Table::router) dirty.routers.insert(name);
      if (table == Table::acl) dirty.acls.emplace(tenant, name);
    }
    for (const std::string& port : ports_of_tenant(now, tenant)) {
      dirty.ports.insert(port);
      dirty.reprofile.insert(port);
    }
    const TenantPolicy& policy = policies_[tenant];
    dirty.defaults.insert(policy.profiles.begin(), policy.profiles.end());
  }
}

// --- nodes
// -----------------------------------------------------------------------------------------

void Compiler::assign_profiles(const Intent& now, Dirty& dirty) {
  for (const std::string& name : dirty.reprofile) {
    std::uint64_t id = 0;
    const auto port = now.ports().find(name);
    if (port != now.ports().end()) {
      const std::string tenant = now.tenant_of_port(name);
      if (tracked(now, tenant)) {
        std::set<Peer> peers;
        TenantPolicy& policy = policies_[tenant];
        for (const auto& [peer, acls] : policy.destinations)
          if (belongs(now, port->second, peer)) peers.insert(peer);
        id = profile_id(tenant, peers);
        if (policy.profiles.insert(id).second) {
          profiles_[id] = {tenant, std::move(peers), 0};
          dirty.new_profiles.insert(id);
        }
      }
    }
    const auto old = port_profile_.find(name);
    const std::uint64_t was = old == port_profile_.end() ? 0 : old->second;
    if (was == id) continue;
    if (was != 0) --profiles_[was].ports;
    if (id != 0) ++profiles_[id].ports;
    if (id != 0) port_profile_[name] = id;
    if (id == 0) port_profile_.erase(name);
    dirty.ports.insert(name);
    selection_.ports.insert(name);
  }
  for (auto it = profiles_.begin(); it != profiles_.end();) {
    if (it->second.ports > 0) {
      ++it;
      continue;
    }
    replace_range(profile_range(it->first), {});
    dirty.new_profiles.erase(it->first);
    dirty.defaults.erase(it->first);
    if (const auto policy = policies_.find(it->second.tenant); policy != policies_.end())
      policy->second.profiles.erase(it->first);
    it = profiles_.erase(it);
  }
}

void Compiler::emit_acl(const Intent& now, const std::string& name, std::uint64_t profile) {
  const std::string range = acl_range(profile, name);
  std::map<std::string, std::vector<Flow>> fresh;
  const auto it = now.acls().find(name);
  const bool forgotten = it != now.acls().end() && it->second.denies() && faults_.forget_deny;
  if (it != now.acls().end() && profiles_.at(profile).peers.contains(it->second.to) && !forgotten) {
    const Acl& acl = it->second;
    const auto from_port = [&](const std::string& port) {
      fresh[range + port] = flows_from(now, acl, profile, false, prefixes_of(now.ports().at(port)));
    };
    switch (acl.from.kind) {
      case Peer::Kind::any:
        fresh[range + "*"] = flows_from(now, acl, profile, true, {});
        break;
      case Peer::Kind::port:
        from_port(acl.from.name);
        break;
      case Peer::Kind::group:
        for (const std::string& m : now.groups().at(acl.from.name).members) from_port(m);
        break;
      case Peer::Kind::network:
      case Peer::Kind::prefix:
      case Peer::Kind::address_set:
        fresh[range + "*"] = flows_from(now, acl, profile, false, fixed_prefixes(now, acl.from));
        break;
    }
  }
  replace_range(range, fresh);
}

void Compiler::emit_policy(const Intent& now, const Dirty& dirty) {
  for (const auto& [tenant, acl] : dirty.acls) {
    const auto policy = policies_.find(tenant);
    if (policy == policies_.end()) continue;
    for (std::uint64_t profile : policy->second.profiles)
      if (!dirty.new_profiles.contains(profile)) emit_acl(now, acl, profile);
  }
  for (std::uint64_t id : dirty.new_profiles) {
    const Profile& profile = profiles_.at(id);
    const TenantPolicy& policy = policies_[profile.tenant];
    for (const Peer& peer : profile.peers)
      for (const std::string& acl : policy.destinations.at(peer)) emit_acl(now, acl, id);
    put_flows(profile_range(id) + "|default", {default_flow(now.tenants().at(profile.tenant), id)});
  }
  for (std::uint64_t id : dirty.defaults)
    put_flows(profile_range(id) + "|default",
              {default_flow(now.tenants().at(profiles_.at(id).tenant), id)});
  for (const auto& [name, port] : dirty.elements) {
    const Acl& acl = now.acls().at(name);
    const bool member = now.groups().at(acl.from.name).members.contains(port);
    for (std::uint64_t id : policies_[acl.tenant].profiles) {
      if (!profiles_.at(id).peers.contains(acl.to)) continue;
      const std::string key = acl_range(id, name) + port;
      if (!member) remove(key);
      if (member)
        put_flows(key, flows_from(now, acl, id, false, prefixes_of(now.ports().at(port))));
    }
  }
}

void Compiler::emit_networks(const Intent& now, const Dirty& dirty) {
  for (const std::string& name : dirty.networks) {
    const auto it = now.networks().find(name);
    if (it == now.networks().end()) continue;
    put_flows(network_range(it->second.vni) + "net",
              network_flows(it->second, tracked(now, it->second.tenant)));
  }
}

void Compiler::emit_routers(const Intent& now, const Dirty& dirty) {
  for (const std::string& name : dirty.routers) {
    std::set<std::string> keys;
    if (const auto it = now.routers().find(name); it != now.routers().end()) {
      std::vector<RouteTarget> targets;
      for (const RouterPort& p : it->second.ports)
        targets.push_back({&now.networks().at(p.network), &p});
      for (const RouteTarget& here : targets) {
        const std::string key = network_range(here.network->vni) + "router/" + name;
        keys.insert(key);
        put_flows(key, router_flows(*here.network, *here.port, targets));
      }
    }
    for (const std::string& old : router_records_[name])
      if (!keys.contains(old)) remove(old);
    router_records_[name] = keys;
    if (keys.empty()) router_records_.erase(name);
  }
}

void Compiler::emit_ports(const Intent& now, const Dirty& dirty) {
  struct Task {
    const Port* port;
    PortPlace place;
  };
  std::vector<Task> tasks;
  // First give up all old places: in one transaction a place may pass from one port to another.
  for (const std::string& name : dirty.ports) {
    PortPlace place;
    const auto it = now.ports().find(name);
    if (it != now.ports().end()) {
      place = {now.networks().at(it->second.network).vni, it->second.key};
      tasks.push_back({&it->second, place});
    }
    const auto old = places_.find(name);
    if (old == places_.end() || old->second == place) continue;
    if (by_place_[old->second] == name) {
      remove(port_record_key(old->second));
      remove(local_record_key(old->second));
      by_place_.erase(old->second);
    }
    places_.erase(old);
    selection_.ports.insert(name);
  }
  for (const Task& task : tasks) {
    const Port& port = *task.port;
    const Network& network = now.networks().at(port.network);
    if (places_.emplace(port.name, task.place).second) selection_.ports.insert(port.name);
    by_place_[task.place] = port.name;
    PortRecord record{port.name, port.mac, port_flows(network, port)};
    put(port_record_key(task.place), encode(record), record.flows.size());
    put_flows(
        local_record_key(task.place),
        local_port_flows(network, port, tracked(now, network.tenant), profile_of_port(port.name)));
  }
}

void Compiler::compute_reach(const Intent& now) {
  std::map<std::uint32_t, std::set<std::uint32_t>> reach;
  for (const auto& [name, network] : now.networks()) reach[network.vni].insert(network.vni);
  for (const auto& [name, router] : now.routers())
    for (const RouterPort& a : router.ports)
      for (const RouterPort& b : router.ports)
        reach[now.networks().at(a.network).vni].insert(now.networks().at(b.network).vni);
  if (reach == reach_) return;
  reach_ = std::move(reach);
  selection_.reach = true;
}

void Compiler::apply(const Intent& now, const std::vector<RowChange>& changes) {
  Dirty dirty;
  bool topology = false;
  for (const RowChange& change : changes) {
    const Row& row = change.after ? *change.after : *change.before;
    std::visit(
        [&](const auto& r) {
          using T = std::remove_cvref_t<decltype(r)>;
          topology |= std::is_same_v<T, Network> || std::is_same_v<T, Router>;
          note(now, change.before ? &std::get<T>(*change.before) : nullptr,
               change.after ? &std::get<T>(*change.after) : nullptr, dirty);
        },
        row);
  }
  spread_tenants(now, dirty);
  assign_profiles(now, dirty);
  emit_policy(now, dirty);
  emit_networks(now, dirty);
  emit_routers(now, dirty);
  emit_ports(now, dirty);
  if (topology) compute_reach(now);
  std::erase_if(policies_,
                [](const auto& p) { return p.second.acls.empty() && p.second.profiles.empty(); });
}

Compiler Compiler::of(const Intent& now, Faults faults) {
  std::vector<RowChange> all;
  const auto add = [&](const auto& rows) {
    for (const auto& [name, row] : rows) all.push_back({std::nullopt, Row(row)});
  };
  add(now.tenants());
  add(now.networks());
  add(now.routers());
  add(now.ports());
  add(now.groups());
  add(now.address_sets());
  add(now.acls());
  Compiler compiler(faults);
  compiler.apply(now, all);
  return compiler;
}

const std::set<std::uint32_t>& Compiler::reach(std::uint32_t vni) const {
  static const std::set<std::uint32_t> none;
  const auto it = reach_.find(vni);
  return it == reach_.end() ? none : it->second;
}

std::uint64_t Compiler::profile_of_port(const std::string& port) const {
  const auto it = port_profile_.find(port);
  return it == port_profile_.end() ? 0 : it->second;
}

PortPlace Compiler::place_of(const std::string& port) const {
  const auto it = places_.find(port);
  return it == places_.end() ? PortPlace{} : it->second;
}

}  // namespace weft::control
