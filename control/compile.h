// Compiler: from the intent's rows to records of logical flows (records.h), as a graph (graph.h):
//
//   Network, Tenant ─────────▶ n/VNI/net
//   Router, Network ─────────▶ n/VNI/router/NAME, n/ROUTER/net, g/ROUTER/PORT/port
//   Nat ─▶ n/VNI/nat/NAME, g/ROUTER/PORT/nat/NAME or q/VNI/KEY/nat/NAME
//   Route, Policy, Nat, LoadBalancer, Dns, Qos ─▶ n/DATAPATH/TABLE/NAME
//   Port, Network ───────────▶ n/VNI/port/KEY
//   Acl.to, Group, Port ─────▶ profile of each port ─▶ q/VNI/KEY (with Port, Network, Mirror, DHCP)
//                                      │ holds
//   Acl, Group, Port, AddressSet ─▶ a/PROFILE/ACL|SOURCE
//
// apply() recomputes the records that the changed rows can influence and no others; a Compiler made
// from the whole intent at once gives the same records (tests compare them after every change).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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
  explicit Compiler(Faults faults = {});
  ~Compiler();
  Compiler(Compiler&&) noexcept;
  Compiler& operator=(Compiler&&) noexcept;

  /// `now` is the intent after the changes.
  void apply(const Intent& now, const std::vector<RowChange>& changes);
  /// Whether a port is somewhere (health of backends): discovered state. It counts from the next
  /// apply() on; true if it is news.
  bool set_up(const std::string& port, bool up);
  /// All of `now` at once, where these ports are up.
  static Compiler of(const Intent& now, Faults faults = {}, const std::set<std::string>& up = {});
  const std::set<std::string>& up() const;

  const RecordTable& records() const;
  std::uint64_t logical_flows() const;
  /// Nodes computed so far: how far changes reach.
  std::uint64_t computed() const;
  /// Keys of records that changed (or went) since the last call.
  std::set<std::string> take_changed();

  /// The datapaths that packets of this network can get into without leaving a hypervisor: itself,
  /// the routers on it, what these join. Not through gateways.
  const std::set<std::uint32_t>& reach(std::uint32_t datapath) const;
  struct GatewayPort {
    std::uint32_t network = 0;  ///< VNI
    Mac mac{};
    std::vector<Gateway> candidates{};    ///< best first
    std::set<std::uint32_t> published{};  ///< datapaths that must know where it is
    std::set<std::uint32_t> needs{};      ///< those whose reach() a candidate needs
    bool operator==(const GatewayPort&) const = default;
  };
  const std::map<GatewayId, GatewayPort>& gateways() const;
  /// 0: its tenant has no policy (or there is no such port).
  std::uint64_t profile_of_port(const std::string& port) const;
  /// As compiled; invalid (vni 0) if there is no such port.
  PortPlace place_of(const std::string& port) const;
  const std::map<PortPlace, std::string>& ports_by_place() const;
  /// Ports whose place or profile changed, and whether reach or gateways changed, since the last
  /// call.
  struct Selection {
    std::set<std::string> ports;
    bool reach = false;
  };
  Selection take_selection_changes();

  /// The same records, places, profiles and reach.
  bool operator==(const Compiler& other) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::control
