#include "control/intent.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/names.h"
#include "control/encoding.h"

namespace weft::control {
namespace {

using Id = std::pair<Table, std::string>;

constexpr const char* kTableNames[] = {"tenant", "network",     "router",     "port",
                                       "group",  "address set", "policy rule"};
constexpr std::uint32_t kMaxKey = 32'767;
constexpr std::uint64_t kCookieEnd = 1ULL << 63;

std::string text_of(const Id& id) {
  return fmt::format("{} '{}'", kTableNames[static_cast<std::size_t>(id.first)], id.second);
}

Table table_of(const Row& row) { return static_cast<Table>(row.index()); }
Id id_of(const Row& row) { return {table_of(row), name_of(row)}; }

Id target_of(const Peer& peer) {
  switch (peer.kind) {
    case Peer::Kind::group:
      return {Table::group, peer.name};
    case Peer::Kind::port:
      return {Table::port, peer.name};
    case Peer::Kind::network:
      return {Table::network, peer.name};
    case Peer::Kind::address_set:
      return {Table::address_set, peer.name};
    default:
      return {};
  }
}

struct ReferencesOf {
  std::vector<Id> operator()(const Tenant&) const { return {}; }
  std::vector<Id> operator()(const Network& n) const { return {{Table::tenant, n.tenant}}; }
  std::vector<Id> operator()(const Router& r) const {
    std::vector<Id> out{{Table::tenant, r.tenant}};
    for (const RouterPort& p : r.ports) out.emplace_back(Table::network, p.network);
    return out;
  }
  std::vector<Id> operator()(const Port& p) const { return {{Table::network, p.network}}; }
  std::vector<Id> operator()(const Group& g) const {
    std::vector<Id> out{{Table::tenant, g.tenant}};
    for (const std::string& m : g.members) out.emplace_back(Table::port, m);
    return out;
  }
  std::vector<Id> operator()(const AddressSet& s) const { return {{Table::tenant, s.tenant}}; }
  std::vector<Id> operator()(const Acl& a) const {
    std::vector<Id> out{{Table::tenant, a.tenant}};
    for (const Peer* peer : {&a.from, &a.to})
      if (const Id target = target_of(*peer); !target.second.empty()) out.push_back(target);
    return out;
  }
};

/// What a row claims for itself alone.
struct ClaimsOf {
  std::vector<std::string> operator()(const Tenant& t) const {
    if (!t.has_policy) return {};
    return {fmt::format("cookie {}", t.default_cookie)};
  }
  std::vector<std::string> operator()(const Network& n) const {
    return {fmt::format("VNI {}", n.vni)};
  }
  std::vector<std::string> operator()(const Router& r) const {
    std::vector<std::string> out;
    for (const RouterPort& p : r.ports) station(p.network, p.mac, p.addresses, out);
    return out;
  }
  std::vector<std::string> operator()(const Port& p) const {
    std::vector<std::string> out;
    station(p.network, p.mac, p.addresses, out);
    return out;
  }
  std::vector<std::string> operator()(const Group&) const { return {}; }
  std::vector<std::string> operator()(const AddressSet&) const { return {}; }
  std::vector<std::string> operator()(const Acl& a) const {
    return {fmt::format("cookie {}", a.cookie)};
  }

 private:
  static void station(const std::string& network, const Mac& mac,
                      const std::vector<IpAddress>& addresses, std::vector<std::string>& out) {
    out.push_back(fmt::format("MAC {} on network '{}'", mac.text(), network));
    for (const IpAddress& a : addresses)
      out.push_back(fmt::format("address {} on network '{}'", a.text(), network));
  }
};

std::vector<Id> references_of(const Row& row) {
  std::vector<Id> out = std::visit(ReferencesOf{}, row);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
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

}  // namespace

const std::string& name_of(const Row& row) {
  return std::visit([](const auto& r) -> const std::string& { return r.name; }, row);
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
  const auto named = [&](auto row) {
    row.name = name;
    return Row(std::move(row));
  };
  Row row;
  switch (table) {
    case Table::tenant:
      row = named(Tenant{});
      break;
    case Table::network:
      row = named(Network{});
      break;
    case Table::router:
      row = named(Router{});
      break;
    case Table::port:
      row = named(Port{});
      break;
    case Table::group:
      row = named(Group{});
      break;
    case Table::address_set:
      row = named(AddressSet{});
      break;
    case Table::acl:
      row = named(Acl{});
      break;
  }
  changes.push_back({Kind::remove, std::move(row)});
  return *this;
}

// Edits an Intent in place, remembers what was there before, and takes everything back when a
// check fails.
class IntentEditor {
 public:
  explicit IntentEditor(Intent& intent) : in_(intent) {}

  Result<std::vector<RowChange>> run(const Transaction& transaction, bool keep_keys) {
    const auto last_key = in_.last_key_;
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
      std::optional<Row> after = read(id);
      if (before != after) changes.push_back({before, std::move(after)});
    }
    return changes;
  }

 private:
  template <class Visitor>
  auto in_table(Table table, Visitor&& visit) {
    switch (table) {
      case Table::tenant:
        return visit(in_.tenants_);
      case Table::network:
        return visit(in_.networks_);
      case Table::router:
        return visit(in_.routers_);
      case Table::port:
        return visit(in_.ports_);
      case Table::group:
        return visit(in_.groups_);
      case Table::address_set:
        return visit(in_.address_sets_);
      case Table::acl:
        break;
    }
    return visit(in_.acls_);
  }

  std::optional<Row> read(const Id& id) {
    return in_table(id.first, [&](auto& rows) -> std::optional<Row> {
      const auto it = rows.find(id.second);
      if (it == rows.end()) return std::nullopt;
      return it->second;
    });
  }

  void index(const Row& row, bool add) {
    const Id id = id_of(row);
    const auto put = [add](auto& map, const auto& key, const auto& value) {
      if (add) {
        map[key].insert(value);
      } else if (const auto it = map.find(key); it != map.end()) {
        it->second.erase(value);
        if (it->second.empty()) map.erase(it);
      }
    };
    for (const Id& target : references_of(row)) put(in_.referrers_, target, id);
    for (const std::string& claim : std::visit(ClaimsOf{}, row))
      put(in_.claims_, claim, text_of(id));
    if (const Port* port = std::get_if<Port>(&row)) {
      auto& keys = in_.keys_[port->network];
      if (add) keys[port->key] = port->name;
      if (!add) keys.erase(port->key);
      if (keys.empty()) in_.keys_.erase(port->network);
    }
  }

  /// Makes the row what `row` says (none: absent) and keeps the indexes in step.
  void write(const Id& id, const std::optional<Row>& row) {
    if (const auto old = read(id)) index(*old, false);
    in_table(id.first, [&](auto& rows) {
      using RowType = typename std::remove_reference_t<decltype(rows)>::mapped_type;
      if (row) {
        rows[id.second] = std::get<RowType>(*row);
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
    if (used.size() >= kMaxKey) {
      violate(id_of(port), fmt::format("network '{}' has no port numbers left (at most {})",
                                       port.network, kMaxKey));
      return 0;
    }
    do {
      last = last % kMaxKey + 1;
    } while (used.contains(last));
    return last;
  }

  void edit(const Transaction::Change& change, bool keep_keys) {
    const Id id = id_of(change.row);
    std::optional<Row> old = read(id);
    if (change.kind == Transaction::Kind::insert && old) return violate(id, "exists already");
    if (change.kind != Transaction::Kind::insert && !old) return violate(id, missing(id));
    if (seen_.emplace(id, before_.size()).second) before_.emplace_back(id, old);
    if (change.kind == Transaction::Kind::remove) return write(id, std::nullopt);
    Row row = change.row;
    if (Port* port = std::get_if<Port>(&row); port != nullptr && !keep_keys) {
      const Port* was = old ? &std::get<Port>(*old) : nullptr;
      port->key = was != nullptr && was->network == port->network ? was->key : new_key(*port);
    }
    write(id, row);
  }

  std::string missing(const Id& id) {
    std::vector<std::string> names;
    in_table(id.first, [&](auto& rows) {
      for (const auto& [name, row] : rows) names.push_back(name);
      return 0;
    });
    const std::string near = nearest_name(id.second, names);
    return near.empty() ? "does not exist" : fmt::format("does not exist; is it '{}'?", near);
  }

  void violate(const Id& id, const std::string& what) {
    violations_.push_back(fmt::format("{} {}", text_of(id), what));
  }

  // Whatever changed, and whatever refers to something that changed, must be right afterwards.
  void check() {
    std::set<Id> affected;
    for (const auto& [id, before] : before_) {
      const auto it = in_.referrers_.find(id);
      if (it != in_.referrers_.end()) affected.insert(it->second.begin(), it->second.end());
      affected.insert(id);
    }
    for (const Id& id : affected) {
      const std::optional<Row> row = read(id);
      if (!row) continue;
      check_name(id);
      for (const std::string& claim : std::visit(ClaimsOf{}, *row))
        if (in_.claims_[claim].size() > 1)
          violate(id, fmt::format("claims {}, which is claimed more than once", claim));
      bool whole = true;
      for (const Id& target : references_of(*row)) {
        if (read(target)) continue;
        violate(id, fmt::format("refers to {}, which {}", text_of(target), missing(target)));
        whole = false;
      }
      if (whole) std::visit([&](const auto& r) { check_row(id, r); }, *row);
    }
  }

  void check_name(const Id& id) {
    if (id.second.empty() || id.second.size() > 200)
      violate(id, "needs a name of 1 to 200 characters");
    for (char c : id.second)
      if (static_cast<unsigned char>(c) < 0x20 || c == '|')
        return violate(id, "has a control character or '|' in its name");
  }

  void check_row(const Id& id, const Tenant& t) {
    if (t.has_policy) check_cookie(id, t.default_cookie);
  }

  void check_row(const Id& id, const Network& n) {
    if (n.vni == 0 || n.vni >= 1u << 24)
      violate(id, fmt::format("has VNI {}, but a VNI is 1 to 16777215", n.vni));
    int families[2] = {0, 0};
    for (const Prefix& p : n.subnets) {
      ++families[p.address.is6 ? 1 : 0];
      if (!canonical(p)) violate(id, fmt::format("has subnet {}, which is no prefix", p.text()));
    }
    if (families[0] > 1 || families[1] > 1) violate(id, "has more than one subnet of one family");
    if (n.mtu < 68) violate(id, fmt::format("has MTU {}, but IPv4 needs 68", n.mtu));
    same_tenant_as_before(id, n);
  }

  void check_row(const Id& id, const Router& r) {
    if (r.ports.empty()) violate(id, "has no port");
    std::vector<std::pair<Prefix, std::string>> subnets;
    std::set<std::string> networks;
    for (const RouterPort& p : r.ports) {
      const Network& n = in_.networks_.at(p.network);
      if (!networks.insert(p.network).second)
        violate(id, fmt::format("has two ports on network '{}'", p.network));
      check_tenant(id, r.tenant, n.tenant, {Table::network, p.network});
      check_station(id, n, p.mac, p.addresses);
      for (const Prefix& subnet : n.subnets) {
        for (const auto& [other, name] : subnets)
          if (overlap(other, subnet))
            violate(id, fmt::format("joins '{}' and '{}', whose subnets {} and {} overlap", name,
                                    p.network, other.text(), subnet.text()));
        subnets.emplace_back(subnet, p.network);
      }
    }
    same_tenant_as_before(id, r);
  }

  void check_row(const Id& id, const Port& p) {
    check_station(id, in_.networks_.at(p.network), p.mac, p.addresses);
    const auto& keys = in_.keys_.at(p.network);
    const auto it = keys.find(p.key);
    if (p.key == 0 || p.key > kMaxKey || it == keys.end() || it->second != p.name)
      violate(id, fmt::format("has number {}, which is out of range or another's", p.key));
  }

  void check_row(const Id& id, const Group& g) {
    for (const std::string& m : g.members)
      check_tenant(id, g.tenant, in_.tenant_of_port(m), {Table::port, m});
    same_tenant_as_before(id, g);
  }

  void check_row(const Id& id, const AddressSet& s) {
    for (const Prefix& p : s.prefixes)
      if (!canonical(p)) violate(id, fmt::format("has {}, which is no prefix", p.text()));
    same_tenant_as_before(id, s);
  }

  void check_row(const Id& id, const Acl& a) {
    check_cookie(id, a.cookie);
    if (a.priority < 0 || a.priority > Acl::kMaxPriority)
      violate(id, fmt::format("has priority {}, but priorities are 0 to {}", a.priority,
                              Acl::kMaxPriority));
    for (const Peer* peer : {&a.from, &a.to}) check_peer(id, a, *peer);
    if (!a.ports.empty() && a.protocol != AclProtocol::tcp && a.protocol != AclProtocol::udp)
      violate(id, "has ports, but only tcp and udp have ports");
    for (const AclPorts& p : a.ports)
      if (p.first > p.last)
        violate(id, fmt::format("has port range {}-{}, which is empty", p.first, p.last));
    same_tenant_as_before(id, a);
  }

  void check_peer(const Id& id, const Acl& a, const Peer& peer) {
    const Id target = target_of(peer);
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
    const auto tenant_of = [&]() -> std::string {
      if (peer.kind == Peer::Kind::group) return in_.groups_.at(peer.name).tenant;
      if (peer.kind == Peer::Kind::network) return in_.networks_.at(peer.name).tenant;
      if (peer.kind == Peer::Kind::address_set) return in_.address_sets_.at(peer.name).tenant;
      return in_.tenant_of_port(peer.name);
    };
    check_tenant(id, a.tenant, tenant_of(), target);
  }

  void check_cookie(const Id& id, std::uint64_t cookie) {
    if (cookie == 0 || cookie >= kCookieEnd)
      violate(id, fmt::format("has cookie {}, but a cookie is 1 to 2^63-1", cookie));
  }

  void check_tenant(const Id& id, const std::string& mine, const std::string& theirs,
                    const Id& target) {
    if (mine != theirs)
      violate(id, fmt::format("of tenant '{}' refers to {} of tenant '{}'", mine, text_of(target),
                              theirs));
  }

  void check_station(const Id& id, const Network& n, const Mac& mac,
                     const std::vector<IpAddress>& addresses) {
    if (mac.is_multicast() || mac.to_u64() == 0)
      violate(id, fmt::format("has MAC {}, which is no station's", mac.text()));
    for (const IpAddress& a : addresses) {
      const auto subnet = std::find_if(n.subnets.begin(), n.subnets.end(),
                                       [&](const Prefix& p) { return p.contains(a); });
      if (subnet == n.subnets.end()) {
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
  const T* before(const Id& id) const {
    const auto it = seen_.find(id);
    if (it == seen_.end() || !before_[it->second].second) return nullptr;
    return &std::get<T>(*before_[it->second].second);
  }

  template <class T>
  void same_tenant_as_before(const Id& id, const T& row) {
    const T* was = before<T>(id);
    if (was != nullptr && was->tenant != row.tenant)
      violate(id, fmt::format("moves from tenant '{}' to '{}'; remove it and insert another",
                              was->tenant, row.tenant));
  }

  Intent& in_;
  std::vector<std::pair<Id, std::optional<Row>>> before_;
  std::map<Id, std::size_t> seen_;  // index into before_
  std::vector<std::string> violations_;
};

Result<std::vector<RowChange>> Intent::apply(const Transaction& transaction) {
  return IntentEditor(*this).run(transaction, false);
}

// --- bytes ---------------------------------------------------------------------------------------

namespace {

constexpr std::uint32_t kSavedMagic = 0x57494E54;  // "WINT"
constexpr std::uint16_t kSavedVersion = 1;

struct PutRow {
  Writer& w;
  void operator()(const Tenant& t) const {
    w.u8(t.has_policy);
    w.u8(t.default_allow);
    w.u64(t.default_cookie);
  }
  void operator()(const Network& n) const {
    w.text(n.tenant);
    w.u32(n.vni);
    prefixes(n.subnets);
    w.u32(n.mtu);
  }
  void operator()(const Router& r) const {
    w.text(r.tenant);
    w.u32(static_cast<std::uint32_t>(r.ports.size()));
    for (const RouterPort& p : r.ports) {
      w.text(p.network);
      w.mac(p.mac);
      addresses(p.addresses);
    }
  }
  void operator()(const Port& p) const {
    w.text(p.network);
    w.mac(p.mac);
    addresses(p.addresses);
    w.text(p.requested);
    w.u32(p.key);
  }
  void operator()(const Group& g) const {
    w.text(g.tenant);
    w.u32(static_cast<std::uint32_t>(g.members.size()));
    for (const std::string& m : g.members) w.text(m);
  }
  void operator()(const AddressSet& s) const {
    w.text(s.tenant);
    prefixes(s.prefixes);
  }
  void operator()(const Acl& a) const {
    w.text(a.tenant);
    w.u64(a.cookie);
    w.u8(a.allow);
    w.u16(static_cast<std::uint16_t>(a.priority));
    for (const Peer* p : {&a.from, &a.to}) {
      w.u8(static_cast<std::uint8_t>(p->kind));
      w.text(p->name);
      w.prefix(p->prefix);
    }
    w.u8(static_cast<std::uint8_t>(a.protocol));
    w.u32(static_cast<std::uint32_t>(a.ports.size()));
    for (const AclPorts& p : a.ports) {
      w.u16(p.first);
      w.u16(p.last);
    }
  }
  void prefixes(const std::vector<Prefix>& list) const {
    w.u32(static_cast<std::uint32_t>(list.size()));
    for (const Prefix& p : list) w.prefix(p);
  }
  void addresses(const std::vector<IpAddress>& list) const {
    w.u32(static_cast<std::uint32_t>(list.size()));
    for (const IpAddress& a : list) w.ip(a);
  }
};

struct GetRow {
  Reader& r;
  void operator()(Tenant& t) const {
    t.has_policy = r.u8() != 0;
    t.default_allow = r.u8() != 0;
    t.default_cookie = r.u64();
  }
  void operator()(Network& n) const {
    n.tenant = r.text();
    n.vni = r.u32();
    prefixes(n.subnets);
    n.mtu = r.u32();
  }
  void operator()(Router& router) const {
    router.tenant = r.text();
    for (std::uint32_t n = r.count(14); n > 0; --n) {
      RouterPort& p = router.ports.emplace_back();
      p.network = r.text();
      p.mac = r.mac();
      addresses(p.addresses);
    }
  }
  void operator()(Port& p) const {
    p.network = r.text();
    p.mac = r.mac();
    addresses(p.addresses);
    p.requested = r.text();
    p.key = r.u32();
  }
  void operator()(Group& g) const {
    g.tenant = r.text();
    for (std::uint32_t n = r.count(4); n > 0; --n) g.members.insert(std::string(r.text()));
  }
  void operator()(AddressSet& s) const {
    s.tenant = r.text();
    prefixes(s.prefixes);
  }
  void operator()(Acl& a) const {
    a.tenant = r.text();
    a.cookie = r.u64();
    a.allow = r.u8() != 0;
    a.priority = r.u16();
    for (Peer* p : {&a.from, &a.to}) {
      const std::uint8_t kind = r.u8();
      if (kind > static_cast<std::uint8_t>(Peer::Kind::address_set)) r.fail();
      p->kind = static_cast<Peer::Kind>(kind);
      p->name = r.text();
      p->prefix = r.prefix();
    }
    const std::uint8_t protocol = r.u8();
    if (protocol > static_cast<std::uint8_t>(AclProtocol::udp)) r.fail();
    a.protocol = static_cast<AclProtocol>(protocol);
    for (std::uint32_t n = r.count(4); n > 0; --n) {
      AclPorts& p = a.ports.emplace_back();
      p.first = r.u16();
      p.last = r.u16();
    }
  }
  void prefixes(std::vector<Prefix>& list) const {
    for (std::uint32_t n = r.count(6); n > 0; --n) list.push_back(r.prefix());
  }
  void addresses(std::vector<IpAddress>& list) const {
    for (std::uint32_t n = r.count(5); n > 0; --n) list.push_back(r.ip());
  }
};

template <class RowType>
void put_table(Writer& w, const std::map<std::string, RowType>& rows) {
  w.u32(static_cast<std::uint32_t>(rows.size()));
  for (const auto& [name, row] : rows) {
    w.text(name);
    PutRow{w}(row);
  }
}

template <class RowType>
void get_table(Reader& r, Transaction& out) {
  for (std::uint32_t n = r.count(5); n > 0 && !r.failed(); --n) {
    RowType row;
    row.name = r.text();
    GetRow{r}(row);
    out.insert(std::move(row));
  }
}

}  // namespace

std::string Intent::tenant_of_port(const std::string& port) const {
  const auto p = ports_.find(port);
  if (p == ports_.end()) return {};
  const auto n = networks_.find(p->second.network);
  return n == networks_.end() ? std::string() : n->second.tenant;
}

const std::set<std::pair<Table, std::string>>& Intent::referrers(Table table,
                                                                 const std::string& name) const {
  static const std::set<std::pair<Table, std::string>> none;
  const auto it = referrers_.find({table, name});
  return it == referrers_.end() ? none : it->second;
}

Bytes Intent::save() const {
  std::string out;
  Writer w(out);
  w.u32(kSavedMagic);
  w.u16(kSavedVersion);
  put_table(w, tenants_);
  put_table(w, networks_);
  put_table(w, routers_);
  put_table(w, ports_);
  put_table(w, groups_);
  put_table(w, address_sets_);
  put_table(w, acls_);
  return Bytes(out.begin(), out.end());
}

Result<Intent> Intent::load(const Bytes& saved) {
  Reader r({reinterpret_cast<const char*>(saved.data()), saved.size()});
  const bool known = r.u32() == kSavedMagic && r.u16() == kSavedVersion;
  Transaction all;
  if (known) {
    get_table<Tenant>(r, all);
    get_table<Network>(r, all);
    get_table<Router>(r, all);
    get_table<Port>(r, all);
    get_table<Group>(r, all);
    get_table<AddressSet>(r, all);
    get_table<Acl>(r, all);
  }
  if (!known || !r.finished())
    return Error{"these bytes are not a saved desired state", {}, "give what save() returned"};
  Intent intent;
  auto applied = IntentEditor(intent).run(all, true);
  if (!applied) return applied.error();
  for (const auto& [network, keys] : intent.keys_) intent.last_key_[network] = keys.rbegin()->first;
  return intent;
}

}  // namespace weft::control
