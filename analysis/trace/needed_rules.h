// NeededRules: the rules of large networks' switches, as far as a packet can need them. A
// hypervisor of a network of 5,000 ports has some 30,000 rules, most of which say where one port is
// or that one port may send; a packet is about two or three ports. So a switch begins with what is
// about no port in particular, and gets the records of a port (records.h) when a packet first names
// it: by its addresses, its MAC, or as the one that sends. The compiler and HostRules make the
// rules, as they do for every agent; only the choice of records is made here.
//
// A port's records can matter to a packet that does not name it in three cases, and these ports
// are there from the start (`always`): it takes unknown destinations, it may send from prefixes, or
// somebody routes, translates or balances to it. Multicast names all ports of its network. Where
// that is not all (gateways and external ports tie packets to places), is_for() says no.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analysis/trace/network_view.h"
#include "control/compile.h"
#include "control/rules.h"

namespace weft::analysis {

class NeededRules {
 public:
  /// Whether the choice of records is known to be right for this desired state.
  static bool is_for(const control::Intent& intent);

  /// `view` must outlive it.
  explicit NeededRules(const NetworkView& view);
  ~NeededRules();

  /// What the switch of a hypervisor needs besides what it has got so far; empty: nothing.
  std::vector<control::RuleChange> begin(std::size_t hypervisor);
  std::vector<control::RuleChange> name(std::size_t hypervisor,
                                        const std::vector<std::string>& ports);
  /// Whether one of them would bring rules that the hypervisor has not got.
  bool lacks(std::size_t hypervisor, const std::vector<std::string>& ports);
  /// Ports of a network, all or those that the hypervisor carries.
  std::vector<std::string> ports_of(const std::string& network) const;
  std::vector<std::string> local_ports(std::size_t hypervisor) const;
  /// Forgets what all switches have got.
  void restart();

 private:
  struct Host;
  using Records = std::vector<std::pair<std::string, control::RecordValue>>;
  struct ProfileRecords {
    Records common;
    std::map<std::string, Records> of_port;
  };
  Host& host(std::size_t hypervisor);
  const Records& common_of(std::uint32_t datapath);
  const ProfileRecords& of_profile(std::uint64_t profile);
  void give(Host& host, std::size_t hypervisor, const std::string& port);
  static void put(Host& host, const Records& records);

  const NetworkView& view_;
  control::Compiler compiler_;
  std::map<std::string, std::pair<std::size_t, std::uint32_t>> seats_;  // hypervisor, OpenFlow port
  std::map<std::uint32_t, Records> common_;
  std::map<std::uint64_t, ProfileRecords> profiles_;
  std::vector<std::string> always_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

}  // namespace weft::analysis
