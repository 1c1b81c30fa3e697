// Intent: the desired state of the overlay, as tables that are changed only by whole transactions.
//
//   Tenant         who owns networks; whether a policy exists, and what it does by default
//   Network        a logical switch: VNI, subnets, guests' MTU
//   Router         a logical router with one port (addresses and a MAC) on each of its networks
//   Port           a logical port: MAC, addresses, network; the hypervisor that should carry it
//   Group          ports of one tenant, by name, for use in policy
//   AddressSet     prefixes, for use in policy
//   Acl            one policy rule
//
// Rows refer to each other by name; names are unique within a table over all tenants, so writers
// qualify them ("shop/web-1"). A transaction is applied whole or not at all: every row is checked
// against the state that the whole transaction leads to, and every violation is named, not only the
// first.
//
// What the database adds to a row by itself is the port's `key`: its number within its network
// (1..32767, what a GENEVE option of 15 + 16 bits can carry). A key is chosen once, never changes
// while the row lives and is kept by save()/load(), because it is on the wire.
//
// The tables are ordered maps: whoever iterates them sees the same order in every run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
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
  bool operator==(const Tenant&) const = default;
};

struct Network {
  std::string name;  ///< "shop/web-net"
  std::string tenant;
  std::uint32_t vni = 0;        ///< 1..2^24-1, unique
  std::vector<Prefix> subnets;  ///< at most one IPv4 and one IPv6
  std::uint32_t mtu = 1500;
  bool operator==(const Network&) const = default;
};

struct RouterPort {
  std::string network;
  Mac mac{};
  std::vector<IpAddress> addresses;  ///< the gateway's; each inside a subnet of the network
  bool operator==(const RouterPort&) const = default;
};

/// Routes between the subnets of its own networks.
struct Router {
  std::string name;
  std::string tenant;
  std::vector<RouterPort> ports;
  bool operator==(const Router&) const = default;
};

struct Port {
  std::string name;  ///< "shop/web-1"
  std::string network;
  Mac mac{};
  std::vector<IpAddress> addresses;  ///< each inside a subnet of the network
  /// The hypervisor that is asked to carry it (it gets the port's surroundings ahead of time);
  /// empty: anyone. Where the port *is* follows from what hypervisors report.
  std::string requested;
  std::uint32_t key = 0;  ///< set by the database; ignored in transactions
  bool operator==(const Port&) const = default;
};

struct Group {
  std::string name;  ///< "shop/web"
  std::string tenant;
  std::set<std::string> members;  ///< port names
  bool operator==(const Group&) const = default;
};

struct AddressSet {
  std::string name;
  std::string tenant;
  std::vector<Prefix> prefixes;
  bool operator==(const AddressSet&) const = default;
};

struct Peer {
  enum class Kind : std::uint8_t { any, group, port, network, prefix, address_set };
  Kind kind = Kind::any;
  std::string name;  ///< group, port, network, address set
  Prefix prefix{};   ///< prefix
  auto operator<=>(const Peer&) const = default;
  std::string text() const;  ///< "group shop/web"
};

enum class AclProtocol : std::uint8_t { any, icmp, tcp, udp };  ///< icmp: ICMP and ICMPv6

struct AclPorts {
  std::uint16_t first = 0, last = 65535;
  auto operator<=>(const AclPorts&) const = default;
};

/// A rule opens connections from -> to; replies pass by connection tracking. Higher priority
/// first; deny beats allow at equal priority.
struct Acl {
  static constexpr int kMaxPriority = 30'000;
  std::string name;  ///< "shop/web-to-app"
  std::string tenant;
  std::uint64_t cookie = 0;  ///< names the rule in drops; 0 < cookie < 2^63, unique
  bool allow = true;
  int priority = 100;  ///< 0..kMaxPriority
  Peer from, to;
  AclProtocol protocol = AclProtocol::any;
  std::vector<AclPorts> ports;  ///< destination ports of tcp, udp; empty: all
  bool operator==(const Acl&) const = default;
};

/// Alternatives in the order of enum Table.
using Row = std::variant<Tenant, Network, Router, Port, Group, AddressSet, Acl>;
enum class Table : std::uint8_t { tenant, network, router, port, group, address_set, acl };
const std::string& name_of(const Row& row);

/// Changes are applied in their order (a row may be removed and inserted again); references and
/// uniqueness are checked against the state after all of them.
struct Transaction {
  enum class Kind : std::uint8_t { insert, update, remove };
  struct Change {
    Kind kind = Kind::insert;
    Row row;  ///< remove: only its type and name count
  };
  std::vector<Change> changes;

  Transaction& insert(Row row);
  Transaction& update(Row row);
  Transaction& remove(Table table, const std::string& name);
  bool empty() const { return changes.empty(); }
};

/// What a transaction changed, row by row: before (none: inserted) and after (none: removed).
struct RowChange {
  std::optional<Row> before, after;
};

class Intent {
 public:
  /// Applies all of it or nothing. The error's message has one line per violation.
  Result<std::vector<RowChange>> apply(const Transaction& transaction);

  const std::map<std::string, Tenant>& tenants() const { return tenants_; }
  const std::map<std::string, Network>& networks() const { return networks_; }
  const std::map<std::string, Router>& routers() const { return routers_; }
  const std::map<std::string, Port>& ports() const { return ports_; }
  const std::map<std::string, Group>& groups() const { return groups_; }
  const std::map<std::string, AddressSet>& address_sets() const { return address_sets_; }
  const std::map<std::string, Acl>& acls() const { return acls_; }
  /// Empty if there is no such port.
  std::string tenant_of_port(const std::string& port) const;
  /// Rows that refer to this one, by table and name.
  const std::set<std::pair<Table, std::string>>& referrers(Table table,
                                                           const std::string& name) const;

  /// All tables as bytes (versioned), and back. Bytes that are not a saved state are an error.
  Bytes save() const;
  static Result<Intent> load(const Bytes& saved);

 private:
  friend class IntentEditor;

  std::map<std::string, Tenant> tenants_;
  std::map<std::string, Network> networks_;
  std::map<std::string, Router> routers_;
  std::map<std::string, Port> ports_;
  std::map<std::string, Group> groups_;
  std::map<std::string, AddressSet> address_sets_;
  std::map<std::string, Acl> acls_;

  /// "vni 17", "mac 02:.. on shop/web-net" -> who claims it ("network shop/web-net").
  std::map<std::string, std::set<std::string>> claims_;
  /// (table, name) -> who refers to it.
  std::map<std::pair<Table, std::string>, std::set<std::pair<Table, std::string>>> referrers_;
  std::map<std::string, std::map<std::uint32_t, std::string>> keys_;  // network -> key -> port
  std::map<std::string, std::uint32_t> last_key_;                     // network -> given last
};

}  // namespace weft::control
