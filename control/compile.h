// Compiler: from the intent's rows to records of logical flows (records.h), as a graph:
//
//   Network, Tenant ─────────▶ n/VNI/net
//   Router, Network ─────────▶ n/VNI/router/NAME      Router ─▶ reach: networks one hop away
//   Port, Network ───────────▶ n/VNI/port/KEY
//   Acl.to, Group, Port ─────▶ profile of each port ─▶ q/VNI/KEY (with Port, Network)
//                                      │
//   Acl, Group, Port ────────▶ a/PROFILE/ACL|SOURCE
//
// apply() recomputes the records that the changed rows can influence and no others; a Compiler made
// from the whole intent at once gives the same records (tests compare them after every change).
// Changes that are rare and touch much (a subnet, an address set, a tenant's default) recompute
// their tenant.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/faults.h"
#include "control/intent.h"
#include "control/records.h"
#include "control/replica.h"

namespace weft::control {

class Compiler {
 public:
  Compiler() = default;
  explicit Compiler(Faults faults) : faults_(faults) {}
  /// `now` is the intent after the changes.
  void apply(const Intent& now, const std::vector<RowChange>& changes);
  /// All of `now` at once.
  static Compiler of(const Intent& now, Faults faults = {});

  const RecordTable& records() const { return records_; }
  std::uint64_t logical_flows() const { return flows_; }
  /// Keys of records that changed (or went) since the last call.
  std::set<std::string> take_changed() { return std::exchange(changed_, {}); }

  /// The network itself and those that a router joins it to.
  const std::set<std::uint32_t>& reach(std::uint32_t vni) const;
  /// 0: its tenant has no policy (or there is no such port).
  std::uint64_t profile_of_port(const std::string& port) const;
  /// As compiled; invalid (vni 0) if there is no such port.
  PortPlace place_of(const std::string& port) const;
  const std::map<PortPlace, std::string>& ports_by_place() const { return by_place_; }
  /// Ports whose place or profile changed, and whether reach changed, since the last call.
  struct Selection {
    std::set<std::string> ports;
    bool reach = false;
  };
  Selection take_selection_changes() { return std::exchange(selection_, {}); }

  bool operator==(const Compiler& other) const;

 private:
  struct Profile {
    std::string tenant;
    std::set<Peer> peers;
    std::size_t ports = 0;
    bool operator==(const Profile&) const = default;
  };
  struct TenantPolicy {
    std::set<std::string> acls;
    std::map<Peer, std::set<std::string>> destinations;  // Acl.to -> acls
    std::set<std::uint64_t> profiles;
    bool operator==(const TenantPolicy&) const = default;
  };
  /// What the changes of one apply() have touched.
  struct Dirty {
    std::set<std::string> networks, routers, ports, reprofile, tenants;
    std::set<std::pair<std::string, std::string>> acls;      // tenant, acl
    std::set<std::pair<std::string, std::string>> elements;  // acl, port
    std::set<std::uint64_t> new_profiles, defaults;
  };

  void note(const Intent& now, const Tenant* before, const Tenant* after, Dirty& dirty);
  void note(const Intent& now, const Network* before, const Network* after, Dirty& dirty);
  void note(const Intent& now, const Router* before, const Router* after, Dirty& dirty);
  void note(const Intent& now, const Port* before, const Port* after, Dirty& dirty);
  void note(const Intent& now, const Group* before, const Group* after, Dirty& dirty);
  void note(const Intent& now, const AddressSet* before, const AddressSet* after, Dirty& dirty);
  void note(const Intent& now, const Acl* before, const Acl* after, Dirty& dirty);
  void note(const Intent&, const auto*, const auto*, Dirty&) {}
  void note_destination(const Intent& now, const Peer& peer, const std::string& tenant,
                        Dirty& dirty);
  void note_source_group(const Intent& now, const std::string& group, const std::string& port,
                         Dirty& dirty);
  void spread_tenants(const Intent& now, Dirty& dirty);
  void assign_profiles(const Intent& now, Dirty& dirty);
  void emit_policy(const Intent& now, const Dirty& dirty);
  void emit_acl(const Intent& now, const std::string& acl, std::uint64_t profile);
  void emit_networks(const Intent& now, const Dirty& dirty);
  void emit_routers(const Intent& now, const Dirty& dirty);
  void emit_ports(const Intent& now, const Dirty& dirty);
  void compute_reach(const Intent& now);

  void put(const std::string& key, std::string value, std::size_t flows);
  void put_flows(const std::string& key, const std::vector<Flow>& flows);
  void remove(const std::string& key);
  void replace_range(const std::string& range,
                     const std::map<std::string, std::vector<Flow>>& fresh);

  Faults faults_;
  RecordTable records_;
  std::map<std::string, std::size_t> flow_counts_;
  std::uint64_t flows_ = 0;
  std::set<std::string> changed_;
  Selection selection_;

  std::map<std::string, TenantPolicy> policies_;
  std::map<std::uint64_t, Profile> profiles_;
  std::map<std::string, std::uint64_t> port_profile_;
  std::map<std::string, PortPlace> places_;
  std::map<PortPlace, std::string> by_place_;
  std::map<std::string, std::set<std::string>> router_records_;  // router -> keys
  std::map<std::uint32_t, std::set<std::uint32_t>> reach_;
};

}  // namespace weft::control
