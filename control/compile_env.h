// What compile.cpp and its neighbours share: the view of the intent through which node functions
// look (everything that they look at is written down, graph.h), and the functions, one for each
// kind of row. A function is asked about rows that are gone too, and then answers "no records".
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "control/expression_match.h"
#include "control/faults.h"
#include "control/flow.h"
#include "control/graph.h"
#include "control/intent.h"
#include "control/records.h"
#include "control/tenant_names.h"

namespace weft::control {

/// Most matches of one expression, or of one member of a set in it: ten times what the intent lets
/// in (match_check.h), so that no rule is lost here.
inline constexpr std::size_t kMatchLimit = 1'000'000;

/// One record (records.h) that a node contributes; no two nodes contribute the same key at rest.
struct Record {
  std::string key;
  std::string value;
  std::size_t flows = 0;
  bool operator==(const Record&) const = default;
};
using Records = std::vector<Record>;

/// Nothing if there are no flows.
void add_flows(Records& out, std::string key, const std::vector<Flow>& flows);

/// What a node can depend on.
struct Fact {
  enum class Kind : std::uint8_t {
    row,        ///< a row: `table`, `name`
    referrers,  ///< which rows of `source` refer to a row
    scope,      ///< which Acls judge `name` = scope_name() of a peer
    broad,      ///< which prefixes, address sets or "any" Acls of tenant `name` judge
    alike,      ///< which Routes have the router and prefix of `name` = route_group()
    up,         ///< whether port `name` is somewhere
  };
  Kind kind = Kind::row;
  Table table = Table::tenant;
  Table source = Table::tenant;
  std::string name;
  bool operator==(const Fact&) const = default;
};
struct FactHash {
  std::size_t operator()(const Fact& f) const {
    return hash_string(f.name) ^ (static_cast<std::size_t>(f.kind) << 56) ^
           (static_cast<std::size_t>(f.table) << 48) ^ (static_cast<std::size_t>(f.source) << 40);
  }
};

class Env {
 public:
  virtual ~Env() = default;

  /// Null if there is no such row.
  template <Table table>
  const RowOf<table>* row(const std::string& name) {
    facts_.read({Fact::Kind::row, table, Table::tenant, name});
    return now_->find<table>(name);
  }
  /// Whether some hypervisor carries the port: discovered, not desired.
  bool is_up(const std::string& port) {
    facts_.read({Fact::Kind::up, Table::port, Table::tenant, port});
    return up_.contains(port);
  }
  /// Names of the rows of `source` that refer to a row, sorted.
  std::vector<std::string> referrers(Table table, const std::string& name, Table source);

  // --- values that are computed once and shared ---
  /// Whether connection tracking and policy apply to the tenant's ports.
  virtual bool is_judged(const std::string& tenant) = 0;
  /// Where the port is among all: its network's VNI and its key; invalid (vni 0) if it is not.
  virtual PortPlace place(const std::string& port) = 0;
  /// Null if there is no such expression, or it is none.
  virtual std::shared_ptr<const Expression> expression(const std::string& match) = 0;
  /// OVN's "a group's addresses": of the group's ports, of one family.
  virtual std::vector<IpAddress> addresses_of_group(const std::string& group) = 0;
  /// Names of the routes of one router that share this one's prefix, itself too, sorted.
  virtual std::vector<std::string> routes_alike(const Route& route) = 0;

  const Faults& faults() const { return faults_; }

 protected:
  Env(Graph& graph, const Faults& faults) : facts_(graph), faults_(faults) {}
  Facts<Fact, FactHash> facts_;
  const Intent* now_ = nullptr;
  std::set<std::string> up_;
  const Faults faults_;
};

/// Names of expressions, looked up through an Env for one tenant.
class EnvNames final : public TenantNames {
 public:
  EnvNames(Env& env, std::string tenant) : TenantNames(std::move(tenant)), env_(env) {}

 private:
  const Group* group_row(const std::string& name) const override {
    return env_.row<Table::group>(name);
  }
  const AddressSet* set_row(const std::string& name) const override {
    return env_.row<Table::address_set>(name);
  }
  PortPlace place(const std::string& port) const override { return env_.place(port); }
  std::vector<IpAddress> addresses_of(const Group& group) const override {
    return env_.addresses_of_group(group.name);
  }
  Env& env_;
};

// --- one function per kind of row: routing.cpp, services.cpp
// --------------------------------------

Records route_records(Env& env, const std::string& name);
Records policy_records(Env& env, const std::string& name);
Records nat_records(Env& env, const std::string& name);
Records load_balancer_records(Env& env, const std::string& name);
/// What only the hypervisor of `port` needs.
Records dhcp_records(Env& env, const std::string& port);
Records mirror_records(Env& env, const std::string& port);
Records dns_records(Env& env, const std::string& name);
Records qos_records(Env& env, const std::string& name);

}  // namespace weft::control
