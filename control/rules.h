// HostRules: the join of logical flows with locations: from the records of one hypervisor
// (records.h) and its local ports to the rules of its vSwitch (stages.h). The hybrid style runs it
// in the agent, the central style in the controller; it is the same code, so the rules are equal.
//
// A graph with one level: each *node* contributes rules, a change recomputes its nodes only.
//
//   base                    the rules that every vSwitch has
//   n/... q/... a/...       the flows inside a record, as they are
//   place/VVVVVV/KKKK       where a port is: admission and delivery if local, tunnel if remote
//   flood/VVVVVV            copies for multicast: remote VTEPs, local ports; and for what nobody
//   has n/.../gw/...            the way to a gateway port, or from the tunnel into its router g/...
//   q/.../...        the flows inside, while the gateway port (the port) is here
//
// Two nodes may contribute a rule with the same key (two policy rules with equal matches): the one
// whose name sorts first wins, whatever the order of events was.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/faults.h"
#include "control/records.h"
#include "control/replica.h"

namespace weft::control {

struct RuleChange {
  RuleKey key;
  std::optional<RuleBody> body;      ///< none: delete
  std::optional<RuleBody> before{};  ///< as installed so far, as far as is known
};

class HostRules {
 public:
  explicit HostRules(Chassis chassis, Faults faults = {});

  /// Null: the record is gone. Records that cannot be read are taken for gone; false then.
  bool set_record(const std::string& key, const RecordValue& value);
  void set_local(const std::string& port, std::uint32_t of_port);
  void erase_local(const std::string& port);

  /// Brings the rules up to date and returns what changed since the last call, by key.
  std::vector<RuleChange> update();
  std::size_t size() const { return rules_.size(); }
  std::map<RuleKey, RuleBody> rules() const;

 private:
  struct Claim {
    const std::string* node;  // key in contributions_
    RuleBody body;
  };
  struct Place {
    std::string name;  // empty: no record of the port
    Mac mac{};
    std::optional<IpAddress> vtep;
    std::uint32_t of_port = 0;  // 0: not local
    bool external = false, unknown = false;
  };
  struct Network {
    std::map<std::uint32_t, Place> places;
    std::map<IpAddress, std::uint32_t> vteps;      // remote VTEP -> ports there
    std::map<std::uint32_t, std::uint32_t> local;  // key -> OpenFlow port
    std::set<std::uint32_t> special;               // keys of external and unknown ports
  };
  using Stash = std::map<std::string, std::vector<Flow>>;  // record -> flows

  void contribute(const std::string& node, std::vector<Flow> flows);
  const RuleBody* winner(const RuleKey& key) const;
  void touch(const RuleKey& key);
  void change_place(PortPlace at, const std::function<void(Place&)>& change);
  std::vector<Flow> place_flows(PortPlace at, const Place& place) const;
  std::vector<Flow> flood_flows(std::uint32_t vni, const Network& network) const;
  std::vector<Flow> unknown_flows(std::uint32_t vni, const Network& network) const;
  std::string copy_to(std::uint32_t key, std::uint32_t of_port) const;
  bool is_here(const Place& place) const { return place.vtep && *place.vtep == chassis_.vtep; }
  void set_gateway(const std::string& key, const std::optional<GatewayRecord>& record);
  void set_stashed(Stash& stash, const std::string& key, std::optional<std::vector<Flow>> flows,
                   bool active);
  void activate(const Stash& stash, bool active);
  std::string towards(const IpAddress& vtep) const;

  const Chassis chassis_;
  const Faults faults_;
  std::map<std::uint32_t, Network> networks_;
  std::map<std::string, PortPlace> place_of_;        // by port name, from records
  std::map<std::string, std::uint32_t> local_;       // port name -> OpenFlow port
  std::map<GatewayId, std::set<std::string>> here_;  // gateway ports that are here -> who says so
  std::map<GatewayId, Stash> of_gateways_;
  std::map<PortPlace, Stash> of_ports_;
  std::set<PortPlace> dirty_places_;
  std::set<std::uint32_t> dirty_floods_;
  std::map<std::string, std::vector<RuleKey>> contributions_;
  std::map<RuleKey, std::vector<Claim>> rules_;
  std::map<RuleKey, std::optional<RuleBody>> touched_;  // with the body before
};

/// Additions, later stages first, then removals, earlier stages first: at no moment does a packet
/// reach a stage whose rules are missing because of the order.
///
/// Within a table of policy: what forbids is added before what allows, and what allows is removed
/// before what forbids. So at every moment between old (D, A: denials and allowances) and new
/// (D', A') the table holds one of
///    D and part of D', A    |  D, D', A and part of A'  |  D, D', A', part of A  |  part of D, D',
///    A'
/// and the rule that decides, if it allows, is the one that decides among D, A or among D', A': no
/// moment lets a connection through that both the old and the new policy forbid.
void sort_for_installation(std::vector<RuleChange>& changes);

}  // namespace weft::control
