// Inside of the mapping (nb_map.h): what its parts share. nb_map.cpp judges columns and runs the
// parts; nb_map_ports.cpp has switches and their ports, nb_map_routers.cpp routers, routes and NAT,
// nb_map_policy.cpp groups and ACLs, nb_map_services.cpp load balancers, DHCP, DNS, QoS, mirrors.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/net_types.h"
#include "scenarios/import/import.h"
#include "scenarios/import/nb_addresses.h"

namespace weft::imports {

class NbMapper {
 public:
  NbMapper(const NbStore& store, const ImportOptions& options, Imported& out,
           scenarios::Diagnostics& diag)
      : store_(store), options_(options), out_(out), diag_(diag) {}
  void run();

 private:
  using Rows = std::vector<const NbRow*>;

  // --- nb_map.cpp
  void judge();
  void judge_column(const NbRow& row, const NbColumn& column);
  void write_notes();
  void name_rows();
  void place();
  /// All rows of a table, by name and contents.
  Rows sorted(std::string_view table) const;
  /// What a column names, by name and contents; what does not exist is not in it.
  Rows children(const NbRow& row, std::string_view column) const;
  /// Contents as text, without UUIDs.
  std::string contents(const NbRow& row) const;
  /// OVN's name if no other row of its table has it, else with the UUID's first digits.
  std::string name_of(const NbRow& row) const;
  /// "acl-1a2b3c4d", and a suffix if that is taken.
  std::string made_name(control::Table table, std::string_view prefix, const NbRow& row);

  void refuse(const NbRow& row, std::string_view column, const std::string& what,
              const std::string& remedy = {});
  void note(const NbRow& row, const std::string& what, const std::string& why);
  std::uint64_t cookie(const NbRow& row);
  void insert(control::Row row, const NbRow* origin);
  /// A match of OVN's language; an error if it is none.
  bool check_match(const NbRow& row);
  bool check_enabled(const NbRow& row);

  // --- nb_map_ports.cpp
  struct Dynamic {  ///< a port that OVN's IPAM gives addresses
    const NbRow* row = nullptr;
    std::optional<Mac> mac;
    bool ip4 = false, ip6 = false;  ///< still to be found
  };
  void map_switches();
  void map_network(const NbRow& ls, std::uint32_t vni);
  void read_port(const NbRow& lsp, const NbRow& ls);
  void read_router_port(const NbRow& lsp, const NbRow& ls);
  bool read_addresses(const NbRow& lsp, control::Port& port);
  void read_security(const NbRow& lsp, control::Port& port);
  void read_chassis(const NbRow& lsp, control::Port& port);
  bool read_dynamic(const NbRow& lsp, std::string_view text, control::Port& port);
  void give_addresses(const NbRow& ls);
  Mac unused_mac(const IpAddress* address);
  void finish_ports();

  // --- nb_map_routers.cpp
  void map_routers();
  bool map_router_port(const NbRow& lrp, const NbRow& router, control::Router& out);
  std::vector<control::Gateway> gateways_of(const NbRow& lrp);
  void map_routes(const NbRow& router);
  void map_policies(const NbRow& router);
  void map_nat(const NbRow& router);
  std::string nat_gateway(const NbRow& router, const NbRow& nat, const IpAddress& external);

  // --- nb_map_policy.cpp
  void map_tenant();
  void map_sets();
  void map_acls();
  void map_acl(const NbRow& acl, const control::Peer& to, bool shared);
  void allow_all(const std::string& network);

  // --- nb_map_services.cpp
  void map_load_balancers();
  bool map_vips(const NbRow& lb, control::LoadBalancer& out);
  void map_dhcp();
  void map_dns();
  void map_qos();
  void map_mirrors();

  const NbStore& store_;
  const ImportOptions& options_;
  Imported& out_;
  scenarios::Diagnostics& diag_;

  std::map<const NbRow*, std::string> names_;  // of rows whose own name is not unique
  std::set<control::RowId> taken_;
  std::map<std::pair<std::string, std::string>, Rows> notes_;  // (what, why) -> rows
  std::uint64_t cookies_ = 0;

  std::map<std::string, control::Port> ports_;            // by name
  std::map<std::string, const NbRow*> port_rows_;         // of ports_
  std::map<const NbRow*, const NbRow*> lsp_switch_;       // -> Logical_Switch
  std::map<const NbRow*, const NbRow*> lrp_switch_;       // -> Logical_Switch that it is on
  std::map<const NbRow*, std::vector<Dynamic>> dynamic_;  // by Logical_Switch
  std::set<std::string> nobodys_;                         // ports that no hypervisor carries
  std::set<Mac> macs_;
  std::map<std::string, std::vector<std::string>> exits_;  // network -> chassis of its gateways
  std::map<std::string, std::set<std::string>> floating_;  // network -> ports translated in place
  std::set<std::string> chassis_;                          // that the network names
  std::uint32_t mac_prefix_ = 0x0a0000;
};

}  // namespace weft::imports
