// Intent: the desired state of the overlay, as tables that are changed only by whole transactions.
//
//   Tenant         who owns rows; whether a policy exists, what it does by default, its quotas
//   Network        a logical switch: VNI, subnets, guests' MTU
//   Router         a logical router: its ports, on networks or towards a peer router
//   Port           a logical port: MAC, addresses, network; the hypervisors that should carry it
//   Group          ports of one tenant, by name (OVN: port group)
//   AddressSet     prefixes, for use in policy
//   Acl            one policy rule: between named peers, or by a match expression of OVN's language
//   Route          a static route of a router        Policy   a policy route of a router
//   Nat            source or destination NAT, or a floating address, of a router
//   LoadBalancer   virtual addresses and their backends, on networks and routers
//   DhcpOptions    what a DHCP server answers        Dns      names that networks resolve
//   Qos            meter or DSCP by match            Mirror   copies of ports' traffic
//
// Rows refer to each other by name; names are unique within a table over all tenants, so writers
// qualify them ("shop/web-1"). A transaction is applied whole or not at all: every row is checked
// against the state that the whole transaction leads to, and every violation is named, not only the
// first.
//
// Tenants are principals. A transaction says who asks (`by`; empty: the operator): a tenant can
// change rows of its own only, within its quotas; whatever it asks, no row of another tenant can
// change or be referred to, except that two routers may be joined when each names the other.
//
// Each row type lists its fields once (`fields`), and what needs all of them - saving, JSON,
// equality - follows from that list. What the database adds to a row by itself are numbers that are
// on the wire or in rules: a port's `key` within its network (1..32766, what a GENEVE option of
// 15 + 16 bits can carry), a router's `key`. A key is chosen once, never changes while the row
// lives and is kept by save()/load().
//
// The tables are ordered maps: whoever iterates them sees the same order in every run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"

namespace weft::control {

using Bytes = std::vector<std::uint8_t>;

struct Tenant {
  std::string name;
  /// Without a policy everything within the tenant is allowed and nothing is tracked.
  bool has_policy = false;
  bool default_allow = true;         ///< what no rule matches; meaningful with a policy
  std::uint64_t default_cookie = 0;  ///< names the default in drops; 0 < cookie < 2^63
  /// Most rows of a table that the tenant may own, by the table's name ("port"); absent: any
  /// number.
  std::map<std::string, std::uint32_t> quotas{};
  bool operator==(const Tenant&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("has_policy", s.has_policy);
    v("default_allow", s.default_allow);
    v("default_cookie", s.default_cookie);
    v("quotas", s.quotas);
  }
};

struct Network {
  std::string name;  ///< "shop/web-net"
  std::string tenant;
  std::uint32_t vni = 0;        ///< 1..2^24-1, unique
  std::vector<Prefix> subnets;  ///< disjoint; several of a family are allowed
  std::uint32_t mtu = 1500;
  /// Ports may have addresses outside the subnets (imported networks say nothing of subnets).
  bool any_address = false;
  bool operator==(const Network&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("vni", s.vni);
    v("subnets", s.subnets);
    v("mtu", s.mtu);
    v("any_address", s.any_address);
  }
};

/// One candidate to carry what must be in one place; the highest priority that is alive does.
struct Gateway {
  std::string hypervisor;
  int priority = 0;
  bool operator==(const Gateway&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("hypervisor", s.hypervisor);
    v("priority", s.priority);
  }
};

/// On a network, or (`network` empty) towards a port of another router.
struct RouterPort {
  std::string network;
  Mac mac{};
  std::vector<IpAddress> addresses;  ///< the gateway's; each inside a subnet of the network
  std::string name{};                ///< unique within the router; empty: the network's name
  /// Directly connected prefixes; empty: the network's subnets.
  std::vector<Prefix> subnets{};
  std::string peer_router{};  ///< both ends must name each other
  std::string peer_port{};
  /// A distributed gateway port: what leaves by it does so on the best of these that is alive.
  std::vector<Gateway> gateways{};
  const std::string& label() const { return name.empty() ? network : name; }
  bool operator==(const RouterPort&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("network", s.network);
    v("mac", s.mac);
    v("addresses", s.addresses);
    v("name", s.name);
    v("subnets", s.subnets);
    v("peer_router", s.peer_router);
    v("peer_port", s.peer_port);
    v("gateways", s.gateways);
  }
};

/// Distributed: it routes on every hypervisor, unless `gateways` pin it whole to one.
struct Router {
  /// A gateway's packets name their router in 14 bits, and it has two zones of connection tracking.
  static constexpr std::uint32_t kMaxKey = 0x3fff;
  std::string name;
  std::string tenant;
  std::vector<RouterPort> ports;
  std::vector<Gateway> gateways{};
  std::uint32_t key = 0;  ///< set by the database; ignored in transactions
  bool operator==(const Router&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("ports", s.ports);
    v("gateways", s.gateways);
    v("key", s.key);
  }
};

enum class PortType : std::uint8_t {
  vm,        ///< a VM's or container's interface
  external,  ///< the way out to a physical network, on the hypervisors that `requested`, `also`
             ///< name
};

struct Port {
  std::string name;  ///< "shop/web-1"
  std::string network;
  Mac mac{};
  /// Each inside a subnet of the network. Of an external port: those of the one neighbour beyond it
  /// that is known beforehand (the provider's router), whose MAC `mac` is; it may have none.
  std::vector<IpAddress> addresses;
  /// The hypervisor that is asked to carry it (it gets the port's surroundings ahead of time);
  /// empty: anyone. Where the port *is* follows from what hypervisors report.
  std::string requested{};
  std::uint32_t key = 0;  ///< set by the database; ignored in transactions
  PortType type = PortType::vm;
  /// It sends from its own MAC and addresses (and `allowed`) only.
  bool security = true;
  std::vector<Prefix> allowed{};  ///< further sources, with security
  bool enabled = true;            ///< disabled: nothing goes in or out
  bool unknown = false;           ///< unicast to MACs that no port has comes here
  /// More hypervisors that carry it at the same time (live migration): everything for the port is
  /// sent to all of them.
  std::vector<std::string> also{};
  bool activation_by_rarp = false;  ///< those let nothing out before the guest has sent a RARP
  std::string dhcp4{}, dhcp6{};     ///< names of DhcpOptions; empty: no answer
  bool operator==(const Port&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("network", s.network);
    v("mac", s.mac);
    v("addresses", s.addresses);
    v("requested", s.requested);
    v("key", s.key);
    v("type", s.type);
    v("security", s.security);
    v("allowed", s.allowed);
    v("enabled", s.enabled);
    v("unknown", s.unknown);
    v("also", s.also);
    v("activation_by_rarp", s.activation_by_rarp);
    v("dhcp4", s.dhcp4);
    v("dhcp6", s.dhcp6);
  }
};

struct Group {
  std::string name;  ///< "shop/web"
  std::string tenant;
  std::set<std::string> members;  ///< port names
  bool operator==(const Group&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("members", s.members);
  }
};

struct AddressSet {
  std::string name;
  std::string tenant;
  std::vector<Prefix> prefixes;
  bool operator==(const AddressSet&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("prefixes", s.prefixes);
  }
};

struct Peer {
  enum class Kind : std::uint8_t { any, group, port, network, prefix, address_set };
  Kind kind = Kind::any;
  std::string name{};  ///< group, port, network, address set
  Prefix prefix{};     ///< prefix
  auto operator<=>(const Peer&) const = default;
  std::string text() const;  ///< "group shop/web"
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("kind", s.kind);
    v("name", s.name);
    v("prefix", s.prefix);
  }
};

enum class AclProtocol : std::uint8_t { any, icmp, tcp, udp };  ///< icmp: ICMP and ICMPv6

struct AclPorts {
  std::uint16_t first = 0, last = 65535;
  auto operator<=>(const AclPorts&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("first", s.first);
    v("last", s.last);
  }
};

enum class AclAction : std::uint8_t {
  allow,            ///< connections that it opens, and their replies
  drop,             ///< in silence
  reject,           ///< with a TCP reset or an ICMP error
  allow_stateless,  ///< this packet, untracked; replies need a rule of their own
  pass,             ///< no verdict in this tier: go on with the next one
};

/// Which way a rule by match looks: at what its ports are sent, or at what they send (OVN:
/// to-lport, from-lport).
enum class AclDirection : std::uint8_t { to_port, from_port };

/// Two forms. Between peers: opens (or denies) connections from -> to. By expression: `match`, over
/// what reaches (`direction`) the ports of `to`, which then is a network or a group. Replies pass
/// by connection tracking. Lower tiers first, in a tier higher priority first; deny beats allow at
/// equal priority.
struct Acl {
  static constexpr int kMaxPriority = 32'767;
  static constexpr int kTiers = 4;
  std::string name;  ///< "shop/web-to-app"
  std::string tenant;
  std::uint64_t cookie = 0;  ///< names the rule in drops; 0 < cookie < 2^63, unique
  AclAction action = AclAction::allow;
  int priority = 100;  ///< 0..kMaxPriority
  Peer from{}, to{};
  AclProtocol protocol = AclProtocol::any;
  std::vector<AclPorts> ports{};  ///< destination ports of tcp, udp; empty: all
  std::string match{};            ///< OVN's match language (expression.h); empty: the peers' form
  AclDirection direction = AclDirection::to_port;
  int tier = 0;  ///< 0..kTiers-1
  bool log = false;
  /// Connections that were open when the rule came to forbid them live on.
  bool spare_established = false;
  bool denies() const { return action == AclAction::drop || action == AclAction::reject; }
  bool operator==(const Acl&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("cookie", s.cookie);
    v("action", s.action);
    v("priority", s.priority);
    v("from", s.from);
    v("to", s.to);
    v("protocol", s.protocol);
    v("ports", s.ports);
    v("match", s.match);
    v("direction", s.direction);
    v("tier", s.tier);
    v("log", s.log);
    v("spare_established", s.spare_established);
  }
};

/// Several with the same prefix share the load (ECMP by a hash of the flow).
struct Route {
  std::string name;
  std::string router;
  Prefix prefix{};
  bool by_source = false;               ///< `prefix` is of the source address
  std::optional<IpAddress> next_hop{};  ///< none: discard
  std::string output{};                 ///< label of a router port; empty: the one of `next_hop`
  std::uint64_t cookie = 0;             ///< names it in drops and traces
  bool operator==(const Route&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("router", s.router);
    v("prefix", s.prefix);
    v("by_source", s.by_source);
    v("next_hop", s.next_hop);
    v("output", s.output);
    v("cookie", s.cookie);
  }
};

/// Looks at packets that are routed already, and may send them elsewhere.
struct Policy {
  enum class Action : std::uint8_t { allow, drop, reroute };
  std::string name;
  std::string router;
  int priority = 0;
  std::string match{};  ///< OVN's match language
  Action action = Action::allow;
  std::vector<IpAddress> next_hops{};  ///< reroute
  std::uint64_t cookie = 0;
  bool operator==(const Policy&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("router", s.router);
    v("priority", s.priority);
    v("match", s.match);
    v("action", s.action);
    v("next_hops", s.next_hops);
    v("cookie", s.cookie);
  }
};

struct Nat {
  enum class Kind : std::uint8_t { snat, dnat, floating };  ///< OVN: snat, dnat, dnat_and_snat
  std::string name;
  std::string router;
  Kind kind = Kind::snat;
  IpAddress external{};
  Prefix logical{};           ///< snat: a prefix; dnat, floating: one address
  std::string gateway{};      ///< label of the router port; empty: the only one with gateways
  AclPorts external_ports{};  ///< snat: range of source ports
  /// floating: translated where this port is, with this MAC outside, instead of at the gateway.
  std::string port{};
  Mac external_mac{};
  std::uint64_t cookie = 0;
  bool operator==(const Nat&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("router", s.router);
    v("kind", s.kind);
    v("external", s.external);
    v("logical", s.logical);
    v("gateway", s.gateway);
    v("external_ports", s.external_ports);
    v("port", s.port);
    v("external_mac", s.external_mac);
    v("cookie", s.cookie);
  }
};

struct Backend {
  IpAddress address{};
  std::uint16_t port = 0;
  std::string logical_port{};  ///< health: up while this port is
  bool operator==(const Backend&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("address", s.address);
    v("port", s.port);
    v("logical_port", s.logical_port);
  }
};

struct Vip {
  IpAddress address{};
  std::uint16_t port = 0;  ///< 0: all of the address, whatever the protocol
  std::vector<Backend> backends{};
  std::uint32_t group = 0;  ///< number of its group, unique; set by the database
  bool operator==(const Vip&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("address", s.address);
    v("port", s.port);
    v("backends", s.backends);
    v("group", s.group);
  }
};

struct LoadBalancer {
  std::string name;
  std::string tenant;
  AclProtocol protocol = AclProtocol::tcp;  ///< tcp, udp; any where no VIP has a port
  std::vector<Vip> vips{};
  std::set<std::string> networks{}, routers{};  ///< where clients find it
  std::uint32_t affinity_seconds = 0;           ///< a client keeps its backend so long; 0: no
  bool health_check = false;                    ///< backends whose port is not up get nothing
  bool reject_without_backends = false;
  std::uint64_t cookie = 0;
  bool operator==(const LoadBalancer&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("protocol", s.protocol);
    v("vips", s.vips);
    v("networks", s.networks);
    v("routers", s.routers);
    v("affinity_seconds", s.affinity_seconds);
    v("health_check", s.health_check);
    v("reject_without_backends", s.reject_without_backends);
    v("cookie", s.cookie);
  }
};

struct DhcpOptions {
  std::string name;
  std::string tenant;
  Prefix subnet{};
  IpAddress server{};
  Mac server_mac{};
  std::uint32_t lease_seconds = 3600;
  /// Others by OVN's names: "router", "dns_server", "mtu", "domain_name"...
  std::map<std::string, std::string> options{};
  bool operator==(const DhcpOptions&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("subnet", s.subnet);
    v("server", s.server);
    v("server_mac", s.server_mac);
    v("lease_seconds", s.lease_seconds);
    v("options", s.options);
  }
};

struct Dns {
  std::string name;
  std::string tenant;
  std::map<std::string, std::vector<IpAddress>> records{};  ///< lower-case names
  std::set<std::string> networks{};                         ///< whose questions are answered
  bool operator==(const Dns&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("records", s.records);
    v("networks", s.networks);
  }
};

struct Qos {
  std::string name;
  std::string network;
  AclDirection direction = AclDirection::from_port;
  int priority = 100;   ///< 0..Acl::kMaxPriority
  std::string match{};  ///< OVN's match language
  std::optional<std::uint32_t> dscp{};
  std::uint64_t rate_kbps = 0;  ///< 0: no meter
  std::uint64_t burst_kbits = 0;
  std::uint32_t meter = 0;  ///< number of the meter, unique; set by the database
  bool operator==(const Qos&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("network", s.network);
    v("direction", s.direction);
    v("priority", s.priority);
    v("match", s.match);
    v("dscp", s.dscp);
    v("rate_kbps", s.rate_kbps);
    v("burst_kbits", s.burst_kbits);
    v("meter", s.meter);
  }
};

/// Copies what ports send or are sent to another port of the tenant.
struct Mirror {
  std::string name;
  std::string tenant;
  std::set<std::string> ports{};
  bool sent = true, received = true;  ///< by the ports
  std::string sink{};                 ///< a port
  bool operator==(const Mirror&) const = default;
  template <class Self, class Visit>
  static void fields(Self& s, Visit&& v) {
    v("tenant", s.tenant);
    v("ports", s.ports);
    v("sent", s.sent);
    v("received", s.received);
    v("sink", s.sink);
  }
};

/// Alternatives in the order of enum Table.
using Row = std::variant<Tenant, Network, Router, Port, Group, AddressSet, Acl, Route, Policy, Nat,
                         LoadBalancer, DhcpOptions, Dns, Qos, Mirror>;
enum class Table : std::uint8_t {
  tenant,
  network,
  router,
  port,
  group,
  address_set,
  acl,
  route,
  policy,
  nat,
  load_balancer,
  dhcp_options,
  dns,
  qos,
  mirror
};
inline constexpr std::size_t kTables = std::variant_size_v<Row>;
template <Table table>
using RowOf = std::variant_alternative_t<static_cast<std::size_t>(table), Row>;

const std::string& name_of(const Row& row);
inline Table table_of(const Row& row) { return static_cast<Table>(row.index()); }
/// "address_set": as in quotas, JSON and messages of errors.
std::string_view name_of(Table table);
std::optional<Table> table_named(std::string_view name);

/// (table, name).
using RowId = std::pair<Table, std::string>;
/// What a row names, each once, sorted.
std::vector<RowId> references_of(const Row& row);

/// Changes are applied in their order (a row may be removed and inserted again); references and
/// uniqueness are checked against the state after all of them.
struct Transaction {
  enum class Kind : std::uint8_t { insert, update, remove };
  struct Change {
    Kind kind = Kind::insert;
    Row row;  ///< remove: only its type and name count
  };
  std::vector<Change> changes;
  std::string by;  ///< the tenant that asks; empty: the operator

  Transaction& insert(Row row);
  Transaction& update(Row row);
  Transaction& remove(Table table, const std::string& name);
  bool empty() const { return changes.empty(); }
};

/// What a transaction changed, row by row: before (none: inserted) and after (none: removed).
struct RowChange {
  std::optional<Row> before, after;
  const Row& either() const { return after ? *after : *before; }
};

/// One row as bytes (without its table and name), and back; none: it was not made so.
std::string save_row(const Row& row);
std::optional<Row> load_row(std::uint8_t table, const std::string& name, const std::string& bytes);

class Intent {
 public:
  /// Applies all of it or nothing. The error's message has one line per violation.
  Result<std::vector<RowChange>> apply(const Transaction& transaction);

  template <Table table>
  const std::map<std::string, RowOf<table>>& rows() const {
    return std::get<static_cast<std::size_t>(table)>(tables_);
  }
  /// Null if there is none.
  template <Table table>
  const RowOf<table>* find(const std::string& name) const {
    const auto it = rows<table>().find(name);
    return it == rows<table>().end() ? nullptr : &it->second;
  }
  const std::map<std::string, Tenant>& tenants() const { return rows<Table::tenant>(); }
  const std::map<std::string, Network>& networks() const { return rows<Table::network>(); }
  const std::map<std::string, Router>& routers() const { return rows<Table::router>(); }
  const std::map<std::string, Port>& ports() const { return rows<Table::port>(); }
  const std::map<std::string, Group>& groups() const { return rows<Table::group>(); }
  const std::map<std::string, AddressSet>& address_sets() const {
    return rows<Table::address_set>();
  }
  const std::map<std::string, Acl>& acls() const { return rows<Table::acl>(); }
  std::optional<Row> row(const RowId& id) const;
  /// Every row, in the order of tables and names.
  std::vector<Row> all_rows() const;

  /// The tenant that owns a row; empty if there is no such row.
  std::string tenant_of(const Row& row) const;
  std::string tenant_of_port(const std::string& port) const;
  /// Rows that refer to this one, by table and name.
  const std::set<RowId>& referrers(Table table, const std::string& name) const;

  /// All tables as bytes (versioned), and back. Bytes that are not a saved state are an error.
  Bytes save() const;
  static Result<Intent> load(const Bytes& saved);
  /// From rows that another Intent had, numbers of the database included.
  static Result<Intent> of(std::vector<Row> rows);

 private:
  friend class IntentEditor;

  template <class>
  struct TablesOf;
  template <class... Rows>
  struct TablesOf<std::variant<Rows...>> {
    using type = std::tuple<std::map<std::string, Rows>...>;
  };
  TablesOf<Row>::type tables_;

  /// "vni 17", "mac 02:.. on shop/web-net" -> who claims it ("network shop/web-net").
  std::map<std::string, std::set<std::string>> claims_;
  std::map<RowId, std::set<RowId>> referrers_;       ///< -> who refers to it
  std::map<std::string, std::set<RowId>> mentions_;  ///< name in a match -> who has that match
  std::map<std::string, std::map<std::uint32_t, std::string>> keys_;  // network -> key -> port
  std::map<std::string, std::uint32_t> last_key_;                     // network -> given last
  std::set<std::uint32_t> router_keys_, meters_, groups_;
  std::map<std::string, std::map<Table, std::uint32_t>> owned_;  // tenant -> table -> rows
};

}  // namespace weft::control
