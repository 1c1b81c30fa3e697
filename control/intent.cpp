#include "control/intent.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/names.h"
#include "control/dhcp_options.h"
#include "control/encoding.h"
#include "control/match_check.h"
#include "datapath/dns.h"

namespace weft::control {
namespace {

struct TableInfo {
  std::string_view name;   // in quotas and JSON
  std::string_view title;  // in messages
};
constexpr TableInfo kTableInfo[] = {{"tenant", "tenant"},
                                    {"network", "network"},
                                    {"router", "router"},
                                    {"port", "port"},
                                    {"group", "group"},
                                    {"address_set", "address set"},
                                    {"acl", "policy rule"},
                                    {"route", "route"},
                                    {"policy", "routing policy"},
                                    {"nat", "NAT"},
                                    {"load_balancer", "load balancer"},
                                    {"dhcp_options", "DHCP options"},
                                    {"dns", "DNS"},
                                    {"qos", "QoS rule"},
                                    {"mirror", "mirror"}};
static_assert(std::size(kTableInfo) == kTables);

constexpr std::uint32_t kMaxPortKey = 32'766;  // the last one of 15 bits is a mirror's
constexpr std::uint32_t kMaxMeter = 0xffff0000;
constexpr std::uint32_t kMaxGroup = 0xffffff00;
constexpr std::uint64_t kCookieEnd = 1ULL << 63;

std::string text_of(const RowId& id) {
  return fmt::format("{} '{}'", kTableInfo[static_cast<std::size_t>(id.first)].title, id.second);
}

RowId id_of(const Row& row) { return {table_of(row), name_of(row)}; }

RowId target_of(const Peer& peer) {
  switch (peer.kind) {
    case Peer::Kind::group:
      return {Table::group, peer.name};
    case Peer::Kind::port:
      return {Table::port, peer.name};
    case Peer::Kind::network:
      return {Table::network, peer.name};
    case Peer::Kind::address_set:
      return {Table::address_set, peer.name};
    case Peer::Kind::any:
    case Peer::Kind::prefix:
      break;
  }
  return {};
}

// --- what rows name and claim ------------------------------------------------------------------

struct ReferencesOf {
  std::vector<RowId> out{};
  void add(Table table, const std::string& name) {
    if (!name.empty()) out.emplace_back(table, name);
  }
  void add_all(Table table, const std::set<std::string>& names) {
    for (const std::string& n : names) out.emplace_back(table, n);
  }
  void must(Table table, const std::string& name) { out.emplace_back(table, name); }

  void operator()(const Tenant&) {}
  void operator()(const Network& n) { must(Table::tenant, n.tenant); }
  void operator()(const Router& r) {
    must(Table::tenant, r.tenant);
    for (const RouterPort& p : r.ports) {
      add(Table::network, p.network);
      add(Table::router, p.peer_router);
    }
  }
  void operator()(const Port& p) {
    must(Table::network, p.network);
    add(Table::dhcp_options, p.dhcp4);
    add(Table::dhcp_options, p.dhcp6);
  }
  void operator()(const Group& g) {
    must(Table::tenant, g.tenant);
    add_all(Table::port, g.members);
  }
  void operator()(const AddressSet& s) { must(Table::tenant, s.tenant); }
  void operator()(const Acl& a) {
    must(Table::tenant, a.tenant);
    for (const Peer* peer : {&a.from, &a.to})
      if (const RowId target = target_of(*peer); !target.second.empty()) out.push_back(target);
  }
  void operator()(const Route& r) { must(Table::router, r.router); }
  void operator()(const Policy& p) { must(Table::router, p.router); }
  void operator()(const Nat& n) {
    must(Table::router, n.router);
    add(Table::port, n.port);
  }
  void operator()(const LoadBalancer& l) {
    must(Table::tenant, l.tenant);
    add_all(Table::network, l.networks);
    add_all(Table::router, l.routers);
    for (const Vip& vip : l.vips)
      for (const Backend& b : vip.backends) add(Table::port, b.logical_port);
  }
  void operator()(const DhcpOptions& d) { must(Table::tenant, d.tenant); }
  void operator()(const Dns& d) {
    must(Table::tenant, d.tenant);
    add_all(Table::network, d.networks);
  }
  void operator()(const Qos& q) { must(Table::network, q.network); }
  void operator()(const Mirror& m) {
    must(Table::tenant, m.tenant);
    add_all(Table::port, m.ports);
    must(Table::port, m.sink);
  }
};

/// What a row claims for itself alone.
struct ClaimsOf {
  std::vector<std::string> out{};
  void cookie(std::uint64_t c) {
    if (c != 0) out.push_back(fmt::format("cookie {}", c));
  }
  void station(const std::string& network, const Mac& mac,
               const std::vector<IpAddress>& addresses) {
    out.push_back(fmt::format("MAC {} on network '{}'", mac.text(), network));
    for (const IpAddress& a : addresses)
      out.push_back(fmt::format("address {} on network '{}'", a.text(), network));
  }
  void operator()(const Tenant& t) {
    if (t.has_policy) cookie(t.default_cookie);
  }
  void operator()(const Network& n) { out.push_back(fmt::format("VNI {}", n.vni)); }
  void operator()(const Router& r) {
    for (const RouterPort& p : r.ports)
      if (!p.network.empty()) station(p.network, p.mac, p.addresses);
  }
  void operator()(const Port& p) {
    if (p.type == PortType::vm) station(p.network, p.mac, p.addresses);
  }
  void operator()(const Acl& a) { cookie(a.cookie); }
  void operator()(const Route& r) { cookie(r.cookie); }
  void operator()(const Policy& p) { cookie(p.cookie); }
  void operator()(const Nat& n) {
    cookie(n.cookie);
    if (n.kind != Nat::Kind::snat)
      out.push_back(fmt::format("external address {} of router '{}'", n.external.text(), n.router));
  }
  void operator()(const LoadBalancer& l) {
    cookie(l.cookie);
    const auto vip = [&](const Vip& v, const char* where, const std::string& name) {
      const char* protocol = v.port == 0 ? "" : l.protocol == AclProtocol::udp ? "udp " : "tcp ";
      out.push_back(
          fmt::format("VIP {}{}:{} on {} '{}'", protocol, v.address.text(), v.port, where, name));
    };
    for (const Vip& v : l.vips) {
      out.push_back(fmt::format("group {}", v.group));
      for (const std::string& n : l.networks) vip(v, "network", n);
      for (const std::string& r : l.routers) vip(v, "router", r);
    }
  }
  void operator()(const auto&) {}
};

std::vector<std::string> claims_of(const Row& row) {
  ClaimsOf claims;
  std::visit(claims, row);
  return std::move(claims.out);
}

bool is_broadcast(const Prefix& subnet, const IpAddress& a) {
  if (a.is6 || subnet.length > 30) return false;
  const std::uint32_t host = 0xffffffffu >> subnet.length;
  return (a.v4().value & host) == host;
}

bool overlap(const Prefix& a, const Prefix& b) {
  if (a.address.is6 != b.address.is6) return false;
  return a.contains(b.address) || b.contains(a.address);
}

bool canonical(const Prefix& p) {
  const auto parsed = parse_prefix(p.text());
  return parsed.ok() && *parsed == p;
}

template <class Visitor, std::size_t... I>
auto dispatch(Table table, Visitor&& visit, std::index_sequence<I...>) {
  using Out = decltype(visit(std::integral_constant<std::size_t, 0>{}));
  using Call = Out (*)(Visitor&);
  static constexpr Call calls[] = {
      [](Visitor& v) -> Out { return v(std::integral_constant<std::size_t, I>{}); }...};
  return calls[static_cast<std::size_t>(table)](visit);
}
/// Calls visit(integral_constant of the table's number).
template <class Visitor>
auto for_table(Table table, Visitor&& visit) {
  return dispatch(table, visit, std::make_index_sequence<kTables>{});
}

}  // namespace

const std::string& name_of(const Row& row) {
  return std::visit([](const auto& r) -> const std::string& { return r.name; }, row);
}

std::string_view name_of(Table table) { return kTableInfo[static_cast<std::size_t>(table)].name; }

std::optional<Table> table_named(std::string_view name) {
  for (std::size_t i = 0; i < kTables; ++i)
    if (kTableInfo[i].name == name) return static_cast<Table>(i);
  return std::nullopt;
}

std::vector<RowId> references_of(const Row& row) {
  ReferencesOf references;
  std::visit(references, row);
  std::vector<RowId> out = std::move(references.out);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string Peer::text() const {
  switch (kind) {
    case Kind::any:
      return "any";
    case Kind::group:
      return "group " + name;
    case Kind::port:
      return "port " + name;
    case Kind::network:
      return "network " + name;
    case Kind::prefix:
      return "prefix " + prefix.text();
    case Kind::address_set:
      return "address set " + name;
  }
  return "any";
}

Transaction& Transaction::insert(Row row) {
  changes.push_back({Kind::insert, std::move(row)});
  return *this;
}

Transaction& Transaction::update(Row row) {
  changes.push_back({Kind::update, std::move(row)});
  return *this;
}

Transaction& Transaction::remove(Table table, const std::string& name) {
  changes.push_back({Kind::remove, for_table(table, [&](auto i) {
                       std::variant_alternative_t<i, Row> row;
                       row.name = name;
                       return Row(std::move(row));
                     })});
  return *this;
}

// Edits an Intent in place, remembers what was there before, and takes everything back when a
// check fails.
class IntentEditor {
 public:
  explicit IntentEditor(Intent& intent) : in_(intent) {}

  Result<std::vector<RowChange>> run(const Transaction& transaction, bool keep_keys) {
    const auto last_key = in_.last_key_;
    by_ = transaction.by;
    for (const Transaction::Change& change : transaction.changes) edit(change, keep_keys);
    check();
    if (!violations_.empty()) {
      for (auto it = before_.rbegin(); it != before_.rend(); ++it) write(it->first, it->second);
      in_.last_key_ = last_key;
      return Error{fmt::format("{}", fmt::join(violations_, "\n")),
                   {},
                   "nothing of the transaction was applied"};
    }
    std::vector<RowChange> changes;
    for (const auto& [id, before] : before_) {
      std::optional<Row> after = in_.row(id);
      if (before != after) changes.push_back({before, std::move(after)});
    }
    return changes;
  }

 private:
  void index(const Row& row, bool add) {
    const RowId id = id_of(row);
    const auto put = [add](auto& map, const auto& key, const auto& value) {
      if (add) {
        map[key].insert(value);
      } else if (const auto it = map.find(key); it != map.end()) {
        it->second.erase(value);
        if (it->second.empty()) map.erase(it);
      }
    };
    for (const std::string& claim : claims_of(row)) put(in_.claims_, claim, text_of(id));
    if (const std::string* match = match_of(row))
      for (const std::string& name : names_in(*match)) put(in_.mentions_, name, id);
    if (const Port* port = std::get_if<Port>(&row)) {
      auto& keys = in_.keys_[port->network];
      if (add) keys[port->key] = port->name;
      if (!add) keys.erase(port->key);
      if (keys.empty()) in_.keys_.erase(port->network);
    }
    const auto number = [&](std::set<std::uint32_t>& used, std::uint32_t n) {
      if (add) used.insert(n);
      if (!add) used.erase(n);
    };
    if (const Router* router = std::get_if<Router>(&row)) number(in_.router_keys_, router->key);
    if (const Qos* qos = std::get_if<Qos>(&row)) number(in_.meters_, qos->meter);
    if (const LoadBalancer* l = std::get_if<LoadBalancer>(&row))
      for (const Vip& vip : l->vips) number(in_.groups_, vip.group);
    if (const std::string* owner = owner_of(row); owner != nullptr) {
      std::uint32_t& n = in_.owned_[*owner][id.first];
      if (add) ++n;
      if (!add) --n;
    }
  }

  /// Null: it has none.
  static const std::string* match_of(const Row& row) {
    return std::visit(
        [](const auto& r) -> const std::string* {
          if constexpr (requires { r.match; })
            if (!r.match.empty()) return &r.match;
          return nullptr;
        },
        row);
  }

  /// Matches may name a set or group of their tenant with or without the tenant's name in front.
  void add_mentions(const RowId& id, std::set<RowId>& out) const {
    if (id.first != Table::group && id.first != Table::address_set) return;
    std::string_view name = id.second;
    const auto add = [&] {
      const auto it = in_.mentions_.find(std::string(name));
      if (it != in_.mentions_.end()) out.insert(it->second.begin(), it->second.end());
    };
    add();
    for (auto slash = name.find('/'); slash != name.npos; slash = name.find('/')) {
      name.remove_prefix(slash + 1);
      add();
    }
  }

  void check_match_of(const RowId& id, const std::string& match, MatchUse use, const Acl* acl,
                      const std::string& tenant) {
    if (auto done = check_match(match, use, acl, in_, tenant); !done)
      violate(id, done.error().message);
  }

  /// Of rows that say so themselves.
  static const std::string* owner_of(const Row& row) {
    return std::visit(
        [](const auto& r) -> const std::string* {
          if constexpr (requires { r.tenant; }) return &r.tenant;
          return nullptr;
        },
        row);
  }

  /// Rows may refer to thousands of others, of which a change touches few.
  void index_references(const RowId& id, const std::optional<Row>& old,
                        const std::optional<Row>& row) {
    const auto was = old ? references_of(*old) : std::vector<RowId>{};
    const auto is = row ? references_of(*row) : std::vector<RowId>{};
    std::vector<RowId> gone, fresh;
    std::set_difference(was.begin(), was.end(), is.begin(), is.end(), std::back_inserter(gone));
    std::set_difference(is.begin(), is.end(), was.begin(), was.end(), std::back_inserter(fresh));
    for (const RowId& target : gone) {
      const auto it = in_.referrers_.find(target);
      it->second.erase(id);
      if (it->second.empty()) in_.referrers_.erase(it);
    }
    for (const RowId& target : fresh) in_.referrers_[target].insert(id);
  }

  /// Makes the row what `row` says (none: absent) and keeps the indexes in step.
  void write(const RowId& id, const std::optional<Row>& row) {
    const std::optional<Row> old = in_.row(id);
    index_references(id, old, row);
    if (old) index(*old, false);
    for_table(id.first, [&](auto i) {
      auto& rows = std::get<i>(in_.tables_);
      if (row) {
        rows[id.second] = std::get<i>(*row);
      } else {
        rows.erase(id.second);
      }
      return 0;
    });
    if (row) index(*row, true);
  }

  std::uint32_t new_key(const Port& port) {
    const auto& used = in_.keys_[port.network];
    std::uint32_t& last = in_.last_key_[port.network];
    if (used.size() >= kMaxPortKey) {
      violate({Table::port, port.name},
              fmt::format("network '{}' has no port numbers left (at most {})", port.network,
                          kMaxPortKey));
      return 0;
    }
    do {
      last = last % kMaxPortKey + 1;
    } while (used.contains(last));
    return last;
  }

  std::uint32_t new_number(const RowId& id, const std::set<std::uint32_t>& used,
                           std::uint32_t most) {
    const std::uint32_t next = used.empty() ? 1 : *used.rbegin() + 1;
    if (next <= most) return next;
    for (std::uint32_t n = 1; n <= most; ++n)
      if (!used.contains(n)) return n;
    violate(id, fmt::format("there are no numbers left (at most {})", most));
    return 0;
  }

  void give_numbers(Row& row, const std::optional<Row>& old) {
    const RowId id = id_of(row);
    if (Port* port = std::get_if<Port>(&row)) {
      const Port* was = old ? &std::get<Port>(*old) : nullptr;
      port->key = was != nullptr && was->network == port->network ? was->key : new_key(*port);
    } else if (Router* router = std::get_if<Router>(&row)) {
      router->key =
          old ? std::get<Router>(*old).key : new_number(id, in_.router_keys_, Router::kMaxKey);
    } else if (Qos* qos = std::get_if<Qos>(&row)) {
      qos->meter = old ? std::get<Qos>(*old).meter : new_number(id, in_.meters_, kMaxMeter);
    } else if (LoadBalancer* l = std::get_if<LoadBalancer>(&row)) {
      give_groups(id, *l, old ? std::get<LoadBalancer>(*old).vips : std::vector<Vip>{});
    }
  }

  /// A VIP keeps its group as long as it is there.
  void give_groups(const RowId& id, LoadBalancer& l, const std::vector<Vip>& old) {
    for (Vip& vip : l.vips) {
      const auto was = std::find_if(old.begin(), old.end(), [&](const Vip& o) {
        return o.address == vip.address && o.port == vip.port;
      });
      vip.group = was != old.end() ? was->group : new_number(id, in_.groups_, kMaxGroup);
      in_.groups_.insert(vip.group);
    }
  }

  void edit(const Transaction::Change& change, bool keep_keys) {
    const RowId id = id_of(change.row);
    std::optional<Row> old = in_.row(id);
    if (change.kind == Transaction::Kind::insert && old) return violate(id, "exists already");
    if (change.kind != Transaction::Kind::insert && !old) return violate(id, missing(id));
    if (seen_.emplace(id, before_.size()).second) before_.emplace_back(id, old);
    if (change.kind == Transaction::Kind::remove) return write(id, std::nullopt);
    Row row = change.row;
    if (!keep_keys) give_numbers(row, old);
    write(id, row);
  }

  std::string missing(const RowId& id) {
    std::vector<std::string> names;
    for_table(id.first, [&](auto i) {
      for (const auto& [name, row] : std::get<i>(in_.tables_)) names.push_back(name);
      return 0;
    });
    const std::string near = nearest_name(id.second, names);
    return near.empty() ? "does not exist" : fmt::format("does not exist; is it '{}'?", near);
  }

  void violate(const RowId& id, const std::string& what) {
    violations_.push_back(fmt::format("{} {}", text_of(id), what));
  }

  // Whatever changed, and whatever refers to something that changed, must be right afterwards.
  void check() {
    std::set<RowId> affected;
    for (const auto& [id, before] : before_) {
      const auto it = in_.referrers_.find(id);
      if (it != in_.referrers_.end()) affected.insert(it->second.begin(), it->second.end());
      affected.insert(id);
      add_mentions(id, affected);
      check_principal(id, before);
    }
    for (const RowId& id : affected) {
      const std::optional<Row> row = in_.row(id);
      if (!row) continue;
      check_name(id);
      for (const std::string& claim : claims_of(*row))
        if (in_.claims_[claim].size() > 1)
          violate(id, fmt::format("claims {}, which is claimed more than once", claim));
      bool whole = true;
      for (const RowId& target : references_of(*row)) {
        if (in_.row(target)) continue;
        violate(id, fmt::format("refers to {}, which {}", text_of(target), missing(target)));
        whole = false;
      }
      if (whole) std::visit([&](const auto& r) { check_row(id, r); }, *row);
    }
  }

  /// Who asks must own the row before and after.
  void check_principal(const RowId& id, const std::optional<Row>& before) {
    const std::optional<Row> after = in_.row(id);
    check_quota(id, before, after);
    if (by_.empty() || (!before && !after)) return;
    if (id.first == Table::tenant) return violate(id, "can be changed by the operator only");
    const auto owner = [&](const Row& row) {
      if (const std::string* own = owner_of(row)) return *own;
      return in_.tenant_of(row);
    };
    for (const auto* row : {&before, &after}) {
      if (!*row) continue;
      // A row whose network or router went in the same transaction was its owner's, or that is
      // a violation of its own.
      const std::string who = owner(**row);
      if (!who.empty() && who != by_)
        return violate(id, fmt::format("belongs to tenant '{}', not to '{}' that asks", who, by_));
    }
  }

  void check_quota(const RowId& id, const std::optional<Row>& before,
                   const std::optional<Row>& after) {
    if (before || !after) return;
    const std::string owner = in_.tenant_of(*after);
    const Tenant* tenant = in_.find<Table::tenant>(owner);
    if (tenant == nullptr) return;
    const auto quota = tenant->quotas.find(std::string(name_of(id.first)));
    if (quota == tenant->quotas.end()) return;
    const std::uint32_t has = rows_of(owner, id.first);
    if (has > quota->second)
      violate(id, fmt::format("is one too many: tenant '{}' may have {} rows of table {}, not {}",
                              owner, quota->second, name_of(id.first), has));
  }

  std::uint32_t rows_of(const std::string& owner, Table table) {
    const bool own = table != Table::port && table != Table::route && table != Table::policy &&
                     table != Table::nat && table != Table::qos;
    if (own) return in_.owned_[owner][table];
    std::uint32_t n = 0;
    for_table(table, [&](auto i) {
      for (const auto& [name, row] : std::get<i>(in_.tables_))
        n += in_.tenant_of(Row(row)) == owner;
      return 0;
    });
    return n;
  }

  void check_name(const RowId& id) {
    if (id.second.empty() || id.second.size() > 200)
      violate(id, "needs a name of 1 to 200 characters");
    for (char c : id.second)
      if (static_cast<unsigned char>(c) < 0x20 || c == '|')
        return violate(id, "has a control character or '|' in its name");
  }

  // --- rows --------------------------------------------------------------------------------------

  void check_row(const RowId& id, const Tenant& t) {
    if (t.has_policy) check_cookie(id, t.default_cookie);
    for (const auto& [table, most] : t.quotas)
      if (!table_named(table))
        violate(id, fmt::format("has a quota of '{}', which is no table", table));
  }

  void check_row(const RowId& id, const Network& n) {
    if (n.vni == 0 || n.vni >= 1u << 24)
      violate(id, fmt::format("has VNI {}, but a VNI is 1 to 16777215", n.vni));
    for (std::size_t i = 0; i < n.subnets.size(); ++i) {
      const Prefix& p = n.subnets[i];
      if (!canonical(p)) violate(id, fmt::format("has subnet {}, which is no prefix", p.text()));
      for (std::size_t j = 0; j < i; ++j)
        if (overlap(n.subnets[j], p))
          violate(id, fmt::format("has subnets {} and {}, which overlap", n.subnets[j].text(),
                                  p.text()));
    }
    if (n.mtu < 68) violate(id, fmt::format("has MTU {}, but IPv4 needs 68", n.mtu));
    same_tenant_as_before(id, n);
  }

  const std::vector<Prefix>& subnets_of(const RouterPort& p) const {
    if (!p.subnets.empty() || p.network.empty()) return p.subnets;
    return in_.networks().at(p.network).subnets;
  }

  void check_row(const RowId& id, const Router& r) {
    if (r.key == 0 || r.key > Router::kMaxKey)
      violate(id, fmt::format("has number {}, which is out of range", r.key));
    std::vector<std::pair<Prefix, std::string>> subnets;
    std::set<std::string> labels;
    for (const RouterPort& p : r.ports) {
      if (!labels.insert(p.label()).second)
        violate(id, fmt::format("has two ports {} '{}'", p.name.empty() ? "on network" : "named",
                                p.label()));
      if (p.network.empty() == p.peer_router.empty())
        violate(id,
                fmt::format("has port '{}', which needs a network or a peer router", p.label()));
      if (!p.network.empty()) {
        const Network& n = in_.networks().at(p.network);
        check_tenant(id, r.tenant, n.tenant, {Table::network, p.network});
        check_station(id, n, p.mac, p.addresses, p.subnets);
      } else if (!p.peer_router.empty()) {
        check_peer_port(id, r, p);
      }
      for (const Prefix& subnet : subnets_of(p)) {
        if (!canonical(subnet))
          violate(id, fmt::format("has subnet {}, which is no prefix", subnet.text()));
        for (const auto& [other, name] : subnets)
          if (overlap(other, subnet))
            violate(id, fmt::format("joins '{}' and '{}', whose subnets {} and {} overlap", name,
                                    p.label(), other.text(), subnet.text()));
        subnets.emplace_back(subnet, p.label());
      }
      check_gateways(id, p.gateways);
      check_gateway_port(id, r, p);
    }
    check_gateways(id, r.gateways);
    same_tenant_as_before(id, r);
  }

  void check_gateways(const RowId& id, const std::vector<Gateway>& gateways) {
    std::set<int> priorities;
    for (const Gateway& g : gateways) {
      if (g.hypervisor.empty()) violate(id, "has a gateway without a hypervisor");
      if (!priorities.insert(g.priority).second)
        violate(id, fmt::format("has two gateways of priority {}", g.priority));
    }
  }

  /// Packets for a gateway travel through a tunnel of the network that its port is on.
  void check_gateway_port(const RowId& id, const Router& r, const RouterPort& p) {
    if (p.gateways.empty() && r.gateways.empty()) return;
    if (!p.gateways.empty() && !r.gateways.empty())
      violate(id, fmt::format("has gateways itself and for port '{}'", p.label()));
    if (p.network.empty())
      return violate(id, fmt::format("joins a router by port '{}', which is on gateways: put a "
                                     "network between the two",
                                     p.label()));
    const auto on_it = [&](const RouterPort& o) {
      return o.network == p.network && (!o.gateways.empty() || !r.gateways.empty());
    };
    if (&p == &*std::find_if(r.ports.begin(), r.ports.end(), on_it) &&
        std::count_if(r.ports.begin(), r.ports.end(), on_it) > 1)
      violate(id, fmt::format("has two gateway ports on network '{}'", p.network));
  }

  void check_peer_port(const RowId& id, const Router& r, const RouterPort& p) {
    if (p.mac.is_multicast() || p.mac.to_u64() == 0)
      violate(id, fmt::format("has MAC {}, which is no station's", p.mac.text()));
    const Router& other = in_.routers().at(p.peer_router);
    const auto there = std::find_if(other.ports.begin(), other.ports.end(),
                                    [&](const auto& o) { return o.label() == p.peer_port; });
    if (there == other.ports.end())
      return violate(id, fmt::format("joins port '{}' of {}, which has no such port", p.peer_port,
                                     text_of({Table::router, p.peer_router})));
    if (there->peer_router != r.name || there->peer_port != p.label())
      violate(id, fmt::format("joins port '{}' of {}, which does not name it in turn", p.peer_port,
                              text_of({Table::router, p.peer_router})));
  }

  void check_row(const RowId& id, const Port& p) {
    const Network& n = in_.networks().at(p.network);
    if (p.type == PortType::vm || !p.addresses.empty())
      check_station(id, n, p.mac, p.addresses, {});
    for (const Prefix& a : p.allowed)
      if (!canonical(a)) violate(id, fmt::format("allows {}, which is no prefix", a.text()));
    for (const std::string* dhcp : {&p.dhcp4, &p.dhcp6})
      if (!dhcp->empty())
        check_tenant(id, n.tenant, in_.find<Table::dhcp_options>(*dhcp)->tenant,
                     {Table::dhcp_options, *dhcp});
    if (std::find(p.also.begin(), p.also.end(), p.requested) != p.also.end())
      violate(id, fmt::format("names hypervisor '{}' twice", p.requested));
    const auto& keys = in_.keys_.at(p.network);
    const auto it = keys.find(p.key);
    if (p.key == 0 || p.key > kMaxPortKey || it == keys.end() || it->second != p.name)
      violate(id, fmt::format("has number {}, which is out of range or another's", p.key));
  }

  void check_row(const RowId& id, const Group& g) {
    for (const std::string& m : g.members)
      check_tenant(id, g.tenant, in_.tenant_of_port(m), {Table::port, m});
    same_tenant_as_before(id, g);
  }

  void check_row(const RowId& id, const AddressSet& s) {
    for (const Prefix& p : s.prefixes)
      if (!canonical(p)) violate(id, fmt::format("has {}, which is no prefix", p.text()));
    same_tenant_as_before(id, s);
  }

  void check_row(const RowId& id, const Acl& a) {
    check_cookie(id, a.cookie);
    check_priority(id, a.priority);
    if (a.tier < 0 || a.tier >= Acl::kTiers)
      violate(id, fmt::format("has tier {}, but tiers are 0 to {}", a.tier, Acl::kTiers - 1));
    for (const Peer* peer : {&a.from, &a.to}) check_peer(id, a, *peer);
    if (!a.ports.empty() && a.protocol != AclProtocol::tcp && a.protocol != AclProtocol::udp)
      violate(id, "has ports, but only tcp and udp have ports");
    for (const AclPorts& p : a.ports) check_range(id, p);
    if (a.match.empty()) {
      if (a.direction != AclDirection::to_port)
        violate(id, "judges what ports send, which only a rule by match can");
    } else {
      if (a.to.kind != Peer::Kind::network && a.to.kind != Peer::Kind::group)
        violate(id, "has a match and needs a network or a group in `to`, whose ports it judges");
      if (a.from.kind != Peer::Kind::any || a.protocol != AclProtocol::any || !a.ports.empty())
        violate(id, "has a match and peers, protocol or ports as well");
      check_match_of(id, a.match,
                     a.direction == AclDirection::to_port ? MatchUse::to_port : MatchUse::from_port,
                     &a, a.tenant);
    }
    same_tenant_as_before(id, a);
  }

  void check_range(const RowId& id, const AclPorts& p) {
    if (p.first > p.last)
      violate(id, fmt::format("has port range {}-{}, which is empty", p.first, p.last));
  }

  void check_priority(const RowId& id, int priority) {
    if (priority < 0 || priority > Acl::kMaxPriority)
      violate(id, fmt::format("has priority {}, but priorities are 0 to {}", priority,
                              Acl::kMaxPriority));
  }

  void check_row(const RowId& id, const Route& r) {
    if (!canonical(r.prefix))
      violate(id, fmt::format("has {}, which is no prefix", r.prefix.text()));
    if (r.next_hop && r.next_hop->is6 != r.prefix.address.is6)
      violate(id, "has a prefix and a next hop of different families");
    check_label(id, r.router, r.output);
    if (r.next_hop && r.output.empty() && !connected(r.router, *r.next_hop))
      violate(id, fmt::format("has next hop {}, which is on no subnet of router '{}'",
                              r.next_hop->text(), r.router));
  }

  bool connected(const std::string& router, const IpAddress& a) {
    for (const RouterPort& p : in_.routers().at(router).ports)
      for (const Prefix& subnet : subnets_of(p))
        if (subnet.contains(a)) return true;
    return false;
  }

  void check_label(const RowId& id, const std::string& router, const std::string& label) {
    if (label.empty()) return;
    const auto& ports = in_.routers().at(router).ports;
    if (std::none_of(ports.begin(), ports.end(),
                     [&](const RouterPort& p) { return p.label() == label; }))
      violate(id, fmt::format("names port '{}', which router '{}' does not have", label, router));
  }

  void check_row(const RowId& id, const Policy& p) {
    check_priority(id, p.priority);
    if (p.match.empty())
      violate(id, "has no match; '1' matches everything");
    else
      check_match_of(id, p.match, MatchUse::router, nullptr, in_.routers().at(p.router).tenant);
    if ((p.action == Policy::Action::reroute) == p.next_hops.empty())
      violate(id, "needs next hops if it reroutes, and only then");
    for (const IpAddress& hop : p.next_hops)
      if (!connected(p.router, hop))
        violate(id, fmt::format("has next hop {}, which is on no subnet of router '{}'", hop.text(),
                                p.router));
  }

  void check_row(const RowId& id, const Nat& n) {
    if (!canonical(n.logical))
      violate(id, fmt::format("has {}, which is no prefix", n.logical.text()));
    if (n.logical.address.is6 != n.external.is6)
      violate(id, "translates between families, which NAT does not");
    if (n.kind != Nat::Kind::snat && n.logical.length != (n.external.is6 ? 128 : 32))
      violate(id, "translates to one address, not to a prefix");
    check_range(id, n.external_ports);
    if (n.kind != Nat::Kind::snat && n.external_ports != AclPorts{})
      violate(id, "has a range of ports, which only source NAT chooses from");
    if (n.kind != Nat::Kind::snat && n.logical.address == n.external)
      violate(id, fmt::format("translates {} to itself", n.external.text()));
    if (!n.port.empty()) {
      if (n.kind != Nat::Kind::floating)
        violate(id, "names a port, but only a floating address is translated at one");
      check_tenant(id, in_.routers().at(n.router).tenant, in_.tenant_of_port(n.port),
                   {Table::port, n.port});
      if (n.external_mac.is_multicast() || n.external_mac.to_u64() == 0)
        violate(id, fmt::format("has MAC {}, which is no station's", n.external_mac.text()));
    }
    check_label(id, n.router, n.gateway);
    check_where(id, n);
  }

  /// NAT is done at one gateway port.
  void check_where(const RowId& id, const Nat& n) {
    const Router& r = in_.routers().at(n.router);
    std::size_t all = 0, chosen = 0;
    for (const RouterPort& p : r.ports) {
      if (p.network.empty() || (p.gateways.empty() && r.gateways.empty())) continue;
      const auto& subnets = subnets_of(p);
      const bool reached = r.gateways.empty() ||
                           std::any_of(subnets.begin(), subnets.end(),
                                       [&](const Prefix& s) { return s.contains(n.external); });
      if (p.label() == n.gateway) ++chosen;
      if (reached) ++all;
    }
    if (!n.gateway.empty() && chosen == 0)
      violate(id, fmt::format("is at port '{}', which has no gateways", n.gateway));
    if (n.gateway.empty() && all != 1)
      violate(id, fmt::format("needs one port with gateways that {} is reached by; router '{}' has "
                              "{}: name it in `gateway`",
                              n.external.text(), n.router, all));
  }

  void check_row(const RowId& id, const LoadBalancer& l) {
    if (l.protocol == AclProtocol::icmp) violate(id, "balances ICMP, which has no ports");
    if (l.affinity_seconds > 65'535)
      violate(id,
              fmt::format("has an affinity of {} s, but 65535 is the longest", l.affinity_seconds));
    if (l.cookie >= kCookieEnd) check_cookie(id, l.cookie);
    std::set<std::pair<IpAddress, std::uint16_t>> seen;
    for (const Vip& vip : l.vips) {
      if (!seen.emplace(vip.address, vip.port).second)
        violate(id, fmt::format("has VIP {}:{} twice", vip.address.text(), vip.port));
      if (vip.port != 0 && l.protocol == AclProtocol::any)
        violate(id, "has a VIP with a port, but neither tcp nor udp");
      for (const Backend& b : vip.backends) {
        if (b.address.is6 != vip.address.is6)
          violate(id,
                  fmt::format("has backend {} of another family than its VIP", b.address.text()));
        if ((b.port == 0) != (vip.port == 0))
          violate(id, "has a VIP with a port and a backend without, or the other way round");
        if (!b.logical_port.empty())
          check_tenant(id, l.tenant, in_.tenant_of_port(b.logical_port),
                       {Table::port, b.logical_port});
      }
    }
    for (const std::string& n : l.networks)
      check_tenant(id, l.tenant, in_.networks().at(n).tenant, {Table::network, n});
    for (const std::string& r : l.routers)
      check_tenant(id, l.tenant, in_.routers().at(r).tenant, {Table::router, r});
    same_tenant_as_before(id, l);
  }

  void check_row(const RowId& id, const DhcpOptions& d) {
    if (!canonical(d.subnet))
      violate(id, fmt::format("has {}, which is no prefix", d.subnet.text()));
    if (d.server.is6 != d.subnet.address.is6) violate(id, "has a server of another family");
    if (!d.subnet.address.is6 && d.server.v4() == Ip4{})
      violate(id, "has no server address, in whose name the switch could answer");
    if (d.server_mac.is_multicast() || d.server_mac.to_u64() == 0)
      violate(id, fmt::format("has MAC {}, which is no station's", d.server_mac.text()));
    if (auto done = dhcp_parameters(d); !done) violate(id, done.error().message);
    same_tenant_as_before(id, d);
  }

  void check_row(const RowId& id, const Dns& d) {
    for (const std::string& n : d.networks)
      check_tenant(id, d.tenant, in_.networks().at(n).tenant, {Table::network, n});
    for (const auto& [name, addresses] : d.records)
      if (name.empty() ||
          std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
        violate(id, fmt::format("has record '{}', but names are in lower case", name));
      else if (datapath::DnsTable table; !table.add(name, Ip4{}).ok())
        violate(id, fmt::format("has record '{}', which is no name of DNS", name));
    same_tenant_as_before(id, d);
  }

  void check_row(const RowId& id, const Qos& q) {
    check_priority(id, q.priority);
    if (q.match.empty())
      violate(id, "has no match; '1' matches everything");
    else
      check_match_of(id, q.match,
                     q.direction == AclDirection::to_port ? MatchUse::to_port : MatchUse::from_port,
                     nullptr, in_.networks().at(q.network).tenant);
    if (q.rate_kbps > 0xffffffff || q.burst_kbits > 0xffffffff)
      violate(id, "has a rate or burst beyond 4294967295 kilobits");
    if (q.dscp && *q.dscp > 63)
      violate(id, fmt::format("has DSCP {}, but DSCP is 0 to 63", *q.dscp));
    if (!q.dscp && q.rate_kbps == 0) violate(id, "neither marks nor meters");
  }

  void check_row(const RowId& id, const Mirror& m) {
    for (const std::string& p : m.ports)
      check_tenant(id, m.tenant, in_.tenant_of_port(p), {Table::port, p});
    check_tenant(id, m.tenant, in_.tenant_of_port(m.sink), {Table::port, m.sink});
    if (m.ports.contains(m.sink)) violate(id, "mirrors its own sink");
    const std::string& network = in_.ports().at(m.sink).network;
    for (const std::string& p : m.ports)
      if (in_.ports().at(p).network != network)
        violate(id, fmt::format("mirrors port '{}', whose network is not '{}', its sink's", p,
                                network));
    if (!m.sent && !m.received) violate(id, "mirrors neither what is sent nor what is received");
    same_tenant_as_before(id, m);
  }

  void check_peer(const RowId& id, const Acl& a, const Peer& peer) {
    const RowId target = target_of(peer);
    switch (peer.kind) {
      case Peer::Kind::any:
        return;
      case Peer::Kind::prefix:
        if (!canonical(peer.prefix))
          violate(id, fmt::format("names {}, which is no prefix", peer.prefix.text()));
        return;
      case Peer::Kind::group:
      case Peer::Kind::port:
      case Peer::Kind::network:
      case Peer::Kind::address_set:
        break;
    }
    if (peer.name.empty()) return violate(id, "names a peer without a name");
    check_tenant(id, a.tenant, in_.tenant_of(*in_.row(target)), target);
  }

  void check_cookie(const RowId& id, std::uint64_t cookie) {
    if (cookie == 0 || cookie >= kCookieEnd)
      violate(id, fmt::format("has cookie {}, but a cookie is 1 to 2^63-1", cookie));
  }

  void check_tenant(const RowId& id, const std::string& mine, const std::string& theirs,
                    const RowId& target) {
    if (mine != theirs)
      violate(id, fmt::format("of tenant '{}' refers to {} of tenant '{}'", mine, text_of(target),
                              theirs));
  }

  void check_station(const RowId& id, const Network& n, const Mac& mac,
                     const std::vector<IpAddress>& addresses, const std::vector<Prefix>& own) {
    if (mac.is_multicast() || mac.to_u64() == 0)
      violate(id, fmt::format("has MAC {}, which is no station's", mac.text()));
    for (const IpAddress& a : addresses) {
      const auto inside = [&](const Prefix& p) { return p.contains(a); };
      if (std::any_of(own.begin(), own.end(), inside)) continue;
      const auto subnet = std::find_if(n.subnets.begin(), n.subnets.end(), inside);
      if (subnet == n.subnets.end()) {
        if (n.any_address) continue;
        violate(id, fmt::format("has address {}, which is in no subnet of network '{}'", a.text(),
                                n.name));
      } else if ((!a.is6 && subnet->length < 31 && a == subnet->address) ||
                 is_broadcast(*subnet, a)) {
        violate(id, fmt::format("has address {}, which stands for all of {}", a.text(),
                                subnet->text()));
      }
    }
  }

  template <class T>
  const T* before(const RowId& id) const {
    const auto it = seen_.find(id);
    if (it == seen_.end() || !before_[it->second].second) return nullptr;
    return &std::get<T>(*before_[it->second].second);
  }

  template <class T>
  void same_tenant_as_before(const RowId& id, const T& row) {
    const T* was = before<T>(id);
    if (was != nullptr && was->tenant != row.tenant)
      violate(id, fmt::format("moves from tenant '{}' to '{}'; remove it and insert another",
                              was->tenant, row.tenant));
  }

  Intent& in_;
  std::string by_;
  std::vector<std::pair<RowId, std::optional<Row>>> before_;
  std::map<RowId, std::size_t> seen_;  // index into before_
  std::vector<std::string> violations_;
};

Result<std::vector<RowChange>> Intent::apply(const Transaction& transaction) {
  return IntentEditor(*this).run(transaction, false);
}

std::optional<Row> Intent::row(const RowId& id) const {
  return for_table(id.first, [&](auto i) -> std::optional<Row> {
    const auto& rows = std::get<i>(tables_);
    const auto it = rows.find(id.second);
    if (it == rows.end()) return std::nullopt;
    return it->second;
  });
}

std::vector<Row> Intent::all_rows() const {
  std::vector<Row> out;
  for (std::size_t t = 0; t < kTables; ++t)
    for_table(static_cast<Table>(t), [&](auto i) {
      for (const auto& [name, row] : std::get<i>(tables_)) out.emplace_back(row);
      return 0;
    });
  return out;
}

std::string Intent::tenant_of(const Row& row) const {
  return std::visit(
      [&](const auto& r) -> std::string {
        if constexpr (requires { r.tenant; }) {
          return r.tenant;
        } else if constexpr (requires { r.network; }) {
          const Network* n = find<Table::network>(r.network);
          return n == nullptr ? std::string() : n->tenant;
        } else if constexpr (requires { r.router; }) {
          const Router* router = find<Table::router>(r.router);
          return router == nullptr ? std::string() : router->tenant;
        } else {
          return r.name;
        }
      },
      row);
}

std::string Intent::tenant_of_port(const std::string& port) const {
  const Port* p = find<Table::port>(port);
  const Network* n = p == nullptr ? nullptr : find<Table::network>(p->network);
  return n == nullptr ? std::string() : n->tenant;
}

const std::set<RowId>& Intent::referrers(Table table, const std::string& name) const {
  static const std::set<RowId> none;
  const auto it = referrers_.find({table, name});
  return it == referrers_.end() ? none : it->second;
}

// --- bytes ---------------------------------------------------------------------------------------

namespace {

constexpr std::uint32_t kSavedMagic = 0x57494E54;  // "WINT"
constexpr std::uint16_t kSavedVersion = 3;

template <class T>
concept HasFields = requires(T& t) {
  T::fields(t, [](const char*, auto&) {});
};

/// Writes values by their type; rows and parts of them by their fields.
struct Put {
  Writer& w;
  void operator()(const char*, const auto& value) const { put(value); }

  void put(bool v) const { w.u8(v ? 1 : 0); }
  void put(int v) const { w.u32(static_cast<std::uint32_t>(v)); }
  void put(std::uint16_t v) const { w.u16(v); }
  void put(std::uint32_t v) const { w.u32(v); }
  void put(std::uint64_t v) const { w.u64(v); }
  void put(const std::string& v) const { w.text(v); }
  void put(const Mac& v) const { w.mac(v); }
  void put(const IpAddress& v) const { w.ip(v); }
  void put(const Prefix& v) const { w.prefix(v); }
  template <class E>
  requires std::is_enum_v<E>
  void put(E v) const { w.u8(static_cast<std::uint8_t>(v)); }
  template <HasFields T>
  void put(const T& v) const {
    T::fields(v, *this);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& v) const {
    put(v.first);
    put(v.second);
  }
  template <class T>
  void put(const std::optional<T>& v) const {
    put(v.has_value());
    if (v) put(*v);
  }
  template <class List>
  requires requires(const List& l) {
    l.begin();
    l.size();
  }
  void put(const List& list) const {
    w.u32(static_cast<std::uint32_t>(list.size()));
    for (const auto& v : list) put(v);
  }
};

/// Largest value of each enumeration that is saved.
template <class E>
constexpr std::uint8_t last_of() {
  if constexpr (std::is_same_v<E, Peer::Kind>)
    return static_cast<std::uint8_t>(E::address_set);
  else if constexpr (std::is_same_v<E, AclProtocol>)
    return static_cast<std::uint8_t>(E::udp);
  else if constexpr (std::is_same_v<E, AclAction>)
    return static_cast<std::uint8_t>(E::pass);
  else if constexpr (std::is_same_v<E, AclDirection>)
    return static_cast<std::uint8_t>(E::from_port);
  else if constexpr (std::is_same_v<E, PortType>)
    return static_cast<std::uint8_t>(E::external);
  else if constexpr (std::is_same_v<E, Policy::Action>)
    return static_cast<std::uint8_t>(E::reroute);
  else if constexpr (std::is_same_v<E, Nat::Kind>)
    return static_cast<std::uint8_t>(E::floating);
}

struct Get {
  Reader& r;
  void operator()(const char*, auto& value) const { get(value); }

  void get(bool& v) const {
    const std::uint8_t byte = r.u8();
    if (byte > 1) r.fail();
    v = byte == 1;
  }
  void get(int& v) const { v = static_cast<int>(r.u32()); }
  void get(std::uint16_t& v) const { v = r.u16(); }
  void get(std::uint32_t& v) const { v = r.u32(); }
  void get(std::uint64_t& v) const { v = r.u64(); }
  void get(std::string& v) const { v = r.text(); }
  void get(Mac& v) const { v = r.mac(); }
  void get(IpAddress& v) const { v = r.ip(); }
  void get(Prefix& v) const { v = r.prefix(); }
  template <class E>
  requires std::is_enum_v<E>
  void get(E& v) const {
    const std::uint8_t n = r.u8();
    if (n > last_of<E>()) r.fail();
    v = static_cast<E>(n);
  }
  template <HasFields T>
  void get(T& v) const {
    T::fields(v, *this);
  }
  template <class T>
  void get(std::optional<T>& v) const {
    bool has = false;
    get(has);
    if (has && !r.failed()) get(v.emplace());
  }
  template <class T>
  void get(std::vector<T>& list) const {
    for (std::uint32_t n = r.count(1); n > 0 && !r.failed(); --n) get(list.emplace_back());
  }
  template <class T>
  void get(std::set<T>& list) const {
    for (std::uint32_t n = r.count(1); n > 0 && !r.failed(); --n) {
      T v;
      get(v);
      list.insert(std::move(v));
    }
  }
  template <class K, class V>
  void get(std::map<K, V>& map) const {
    for (std::uint32_t n = r.count(1); n > 0 && !r.failed(); --n) {
      K key;
      get(key);
      get(map[std::move(key)]);
    }
  }
};

}  // namespace

Bytes Intent::save() const {
  std::string out;
  Writer w(out);
  w.u32(kSavedMagic);
  w.u16(kSavedVersion);
  std::apply(
      [&](const auto&... rows) {
        const auto table = [&](const auto& all) {
          w.u32(static_cast<std::uint32_t>(all.size()));
          for (const auto& [name, row] : all) {
            w.text(name);
            Put{w}.put(row);
          }
        };
        (table(rows), ...);
      },
      tables_);
  return Bytes(out.begin(), out.end());
}

Result<Intent> Intent::load(const Bytes& saved) {
  Reader r({reinterpret_cast<const char*>(saved.data()), saved.size()});
  const bool known = r.u32() == kSavedMagic && r.u16() == kSavedVersion;
  Transaction all;
  for (std::size_t t = 0; known && t < kTables; ++t)
    for_table(static_cast<Table>(t), [&](auto i) {
      for (std::uint32_t n = r.count(5); n > 0 && !r.failed(); --n) {
        std::variant_alternative_t<i, Row> row;
        row.name = r.text();
        Get{r}.get(row);
        all.insert(std::move(row));
      }
      return 0;
    });
  if (!known || !r.finished())
    return Error{"these bytes are not a saved desired state", {}, "give what save() returned"};
  std::vector<Row> rows;
  for (Transaction::Change& c : all.changes) rows.push_back(std::move(c.row));
  return of(std::move(rows));
}

std::string save_row(const Row& row) {
  std::string out;
  Writer w(out);
  std::visit([&](const auto& r) { Put{w}.put(r); }, row);
  return out;
}

std::optional<Row> load_row(std::uint8_t table, const std::string& name, const std::string& bytes) {
  if (table >= kTables) return std::nullopt;
  Reader r(bytes);
  Row out = for_table(static_cast<Table>(table), [&](auto i) {
    std::variant_alternative_t<i, Row> row;
    row.name = name;
    Get{r}.get(row);
    return Row(std::move(row));
  });
  if (!r.finished()) return std::nullopt;
  return out;
}

Result<Intent> Intent::of(std::vector<Row> rows) {
  Transaction all;
  for (Row& row : rows) all.insert(std::move(row));
  Intent intent;
  auto applied = IntentEditor(intent).run(all, true);
  if (!applied) return applied.error();
  for (const auto& [network, keys] : intent.keys_) intent.last_key_[network] = keys.rbegin()->first;
  return intent;
}

}  // namespace weft::control
