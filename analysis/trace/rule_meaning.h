// What a rule of a virtual switch stands for: the stage of the logical pipeline, and the row of the
// desired state that it was made from. Rules of policies, routes, NAT and load balancers carry
// their row's cookie; of the others the match says what they are about: a network (metadata), a
// port of it (its key, MAC or address), a router (its own metadata, MAC or address).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "analysis/trace/guest_packet.h"
#include "analysis/trace/network_view.h"
#include "datapath/decision.h"
#include "datapath/pipeline.h"

namespace weft::analysis {

class RuleMeaning {
 public:
  /// Both must outlive it.
  RuleMeaning(const NetworkView& view, const AddressBook& book);

  /// "l2-lookup"; "table 3" where tables are no stages.
  std::string stage(std::uint8_t table) const;
  /// "acl shop/web-to-app, three-tier.yaml:40", "network shop/web-net", "router shop/r1"; empty: of
  /// the infrastructure.
  std::string intent(const datapath::Rule& rule) const;
  /// The logical datapath that a packet is in when it comes to the table of line `at`: "network
  /// shop/web-net", "router shop/r1"; empty: in none yet.
  std::string around(const std::vector<datapath::TraceLine>& lines, std::size_t at) const;
  /// Of a cookie alone; empty if it names no row.
  std::string intent_of(std::uint64_t cookie) const;
  /// Whether the rule decides for a row that somebody wrote, rather than for where things are.
  bool is_written(std::uint64_t cookie) const { return rows_.contains(cookie); }

 private:
  void name(std::uint64_t cookie, std::string text);
  std::string datapath_named(std::uint64_t metadata) const;

  const NetworkView& view_;
  const AddressBook& book_;
  std::map<std::uint64_t, std::string> rows_;                           // by cookie
  std::map<std::uint64_t, std::string> networks_;                       // by VNI
  std::map<std::uint64_t, std::string> routers_;                        // by metadata
  std::map<std::pair<std::string, std::uint64_t>, std::string> ports_;  // network, key
  std::map<std::pair<std::string, std::uint64_t>, std::string> macs_;   // network, MAC
};

}  // namespace weft::analysis
