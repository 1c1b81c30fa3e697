#include "scenarios/import/nb_schema.h"

#include "base/check.h"

namespace weft::imports {
namespace {

// Types in short: s string, i integer, b boolean, &T a row of T that is kept alive, ~T a row of T
// that may vanish, {a,b} one of these strings. Then ? for at most one, * for any number, + for at
// least one; K:V is a map.
struct ColumnLine {
  const char* name;
  const char* type;
  Use use = Use::used;
  const char* why = "";
};
struct TableLine {
  const char* name;
  const char* kind;  // "root", "unique", both, or neither
  std::vector<ColumnLine> columns;
  Use use = Use::used;
  const char* why = "";
};

constexpr Use kUsed = Use::used, kListed = Use::listed, kIgnored = Use::ignored,
              kNoted = Use::noted, kRefused = Use::refused;
constexpr const char* kCloud = "notes of the cloud's management";
constexpr const char* kStatus = "status that OVN writes itself";
constexpr const char* kLogging = "how log messages look";
constexpr const char* kProtection = "it limits what reaches OVN's controller, which weft has not";
constexpr const char* kSamples = "samples for IPFIX collectors are not taken";

const ColumnLine kExternalIds{"external_ids", "s:s", kIgnored, kCloud};

std::vector<TableLine> lines() {
  return {
      {"NB_Global",
       "root",
       {{"name", "s", kIgnored, kCloud},
        {"nb_cfg", "i", kIgnored, kStatus},
        {"nb_cfg_timestamp", "i", kIgnored, kStatus},
        {"sb_cfg", "i", kIgnored, kStatus},
        {"sb_cfg_timestamp", "i", kIgnored, kStatus},
        {"hv_cfg", "i", kIgnored, kStatus},
        {"hv_cfg_timestamp", "i", kIgnored, kStatus},
        kExternalIds,
        {"connections", "&Connection*", kIgnored, "how to reach the database"},
        {"ssl", "&SSL?", kIgnored, "how to reach the database"},
        {"options", "s:s", kListed},
        {"ipsec", "b", kNoted, "tunnels are not encrypted"}}},
      {"Logical_Switch",
       "root",
       {{"name", "s"},
        {"ports", "&Logical_Switch_Port*"},
        {"acls", "&ACL*"},
        {"qos_rules", "&QoS*"},
        {"load_balancer", "~Load_Balancer*"},
        {"load_balancer_group", "&Load_Balancer_Group*"},
        {"dns_records", "~DNS*"},
        {"copp", "~Copp?", kIgnored, kProtection},
        {"other_config", "s:s", kListed},
        kExternalIds,
        {"forwarding_groups", "&Forwarding_Group*", kRefused, "weft has no forwarding groups"}}},
      {"Logical_Switch_Port",
       "unique",
       {{"name", "s"},
        {"type", "s"},
        {"options", "s:s", kListed},
        {"parent_name", "s?", kRefused, "weft has no nested containers behind a VLAN tag"},
        {"tag_request", "i?", kUsed},
        {"tag", "i?", kUsed},
        {"addresses", "s*"},
        {"dynamic_addresses", "s?"},
        {"port_security", "s*"},
        {"up", "b?", kIgnored, kStatus},
        {"enabled", "b?"},
        {"dhcpv4_options", "~DHCP_Options?"},
        {"dhcpv6_options", "~DHCP_Options?"},
        {"mirror_rules", "~Mirror*"},
        {"ha_chassis_group", "&HA_Chassis_Group?", kRefused,
         "weft has no ports of type external (SR-IOV)"},
        {"peer", "s?", kRefused, "weft joins switches by routers only"},
        kExternalIds}},
      {"Forwarding_Group",
       "",
       {{"name", "s"},
        {"vip", "s"},
        {"vmac", "s"},
        {"liveness", "b"},
        kExternalIds,
        {"child_port", "s+"}},
       kRefused,
       "weft has no forwarding groups"},
      {"Address_Set", "root unique", {{"name", "s"}, {"addresses", "s*"}, kExternalIds}},
      {"Port_Group",
       "root unique",
       {{"name", "s"}, {"ports", "~Logical_Switch_Port*"}, {"acls", "&ACL*"}, kExternalIds}},
      {"Load_Balancer",
       "root",
       {{"name", "s"},
        {"vips", "s:s"},
        {"protocol", "{tcp,udp,sctp}?"},
        {"health_check", "&Load_Balancer_Health_Check*"},
        {"ip_port_mappings", "s:s"},
        {"selection_fields",
         "{eth_src,eth_dst,ip_src,ip_dst,tp_src,tp_dst,ip_proto,ipv6_src,ipv6_dst}*"},
        {"options", "s:s", kListed},
        kExternalIds}},
      {"Load_Balancer_Group", "root unique", {{"name", "s"}, {"load_balancer", "~Load_Balancer*"}}},
      {"Load_Balancer_Health_Check",
       "",
       {{"vip", "s"},
        {"options", "s:s", kNoted,
         "a backend is healthy while its port is up; intervals and counts are not kept"},
        kExternalIds}},
      {"ACL",
       "",
       {{"name", "s?"},
        {"priority", "i"},
        {"direction", "{from-lport,to-lport}"},
        {"match", "s"},
        {"action", "{allow,allow-related,allow-stateless,drop,reject,pass}"},
        {"log", "b"},
        {"severity", "{alert,warning,notice,info,debug}?", kIgnored, kLogging},
        {"meter", "s?", kIgnored, kLogging},
        {"label", "i", kIgnored, "a mark in connection tracking for people who debug"},
        {"tier", "i"},
        {"sample_new", "&Sample?", kNoted, kSamples},
        {"sample_est", "&Sample?", kNoted, kSamples},
        {"network_function_group", "s?", kRefused, "weft has no network functions"},
        {"options", "s:s", kListed},
        kExternalIds}},
      {"QoS",
       "",
       {{"priority", "i"},
        {"direction", "{from-lport,to-lport}"},
        {"match", "s"},
        {"action", "{dscp,mark}:i"},
        {"bandwidth", "{rate,burst}:i"},
        kExternalIds}},
      {"Mirror",
       "root unique",
       {{"name", "s"},
        {"filter", "{from-lport,to-lport,both}"},
        {"sink", "s"},
        {"type", "{gre,erspan,local,lport}"},
        {"index", "i", kNoted, "copies arrive bare, without a tunnel that has an index"},
        {"mirror_rules", "&Mirror_Rule*", kRefused, "weft mirrors all of a port's traffic"},
        kExternalIds}},
      {"Mirror_Rule",
       "",
       {{"match", "s"}, {"action", "s"}, {"priority", "i"}},
       kRefused,
       "weft mirrors all of a port's traffic"},
      {"Meter",
       "root unique",
       {{"name", "s"},
        {"unit", "{kbps,pktps}"},
        {"bands", "&Meter_Band+"},
        {"fair", "b?"},
        kExternalIds},
       kIgnored,
       "OVN uses these meters for log messages and for its controller"},
      {"Meter_Band",
       "",
       {{"action", "{drop}"}, {"rate", "i"}, {"burst_size", "i"}, kExternalIds},
       kIgnored,
       "OVN uses these meters for log messages and for its controller"},
      {"Logical_Router",
       "root",
       {{"name", "s"},
        {"ports", "&Logical_Router_Port*"},
        {"static_routes", "&Logical_Router_Static_Route*"},
        {"policies", "&Logical_Router_Policy*"},
        {"enabled", "b?"},
        {"nat", "&NAT*"},
        {"load_balancer", "~Load_Balancer*"},
        {"load_balancer_group", "&Load_Balancer_Group*"},
        {"copp", "~Copp?", kIgnored, kProtection},
        {"options", "s:s", kListed},
        kExternalIds}},
      {"Logical_Router_Port",
       "unique",
       {{"name", "s"},
        {"gateway_chassis", "&Gateway_Chassis*"},
        {"ha_chassis_group", "&HA_Chassis_Group?"},
        {"options", "s:s", kListed},
        {"networks", "s+"},
        {"mac", "s"},
        {"peer", "s?"},
        {"enabled", "b?"},
        {"ipv6_ra_configs", "s:s", kNoted, "routers send no advertisements"},
        {"ipv6_prefix", "s*", kIgnored, kStatus},
        {"dhcp_relay", "&DHCP_Relay?", kRefused, "weft's routers relay no DHCP"},
        {"status", "s:s", kIgnored, kStatus},
        kExternalIds}},
      {"Logical_Router_Static_Route",
       "",
       {{"route_table", "s", kRefused, "weft has one table of routes for each router"},
        {"ip_prefix", "s"},
        {"policy", "{src-ip,dst-ip}?"},
        {"nexthop", "s"},
        {"output_port", "s?"},
        {"bfd", "~BFD?", kRefused, "weft does not watch next hops by BFD"},
        {"selection_fields",
         "{eth_src,eth_dst,ip_proto,ip_src,ip_dst,ipv6_src,ipv6_dst,tp_src,tp_dst}*", kRefused,
         "weft spreads over next hops by addresses, protocol and ports"},
        {"options", "s:s", kListed},
        kExternalIds}},
      {"Logical_Router_Policy",
       "",
       {{"priority", "i"},
        {"match", "s"},
        {"action", "{allow,drop,reroute,jump}"},
        {"nexthop", "s?"},
        {"nexthops", "s*"},
        {"output_port", "~Logical_Router_Port?", kRefused, "weft finds the port by the next hop"},
        {"chain", "s?", kRefused, "weft has no chains of policies"},
        {"jump_chain", "s?", kRefused, "weft has no chains of policies"},
        {"bfd_sessions", "~BFD*", kRefused, "weft does not watch next hops by BFD"},
        {"options", "s:s", kListed},
        kExternalIds}},
      {"NAT",
       "",
       {{"external_ip", "s"},
        {"external_mac", "s?"},
        {"external_port_range", "s"},
        {"logical_ip", "s"},
        {"logical_port", "s?"},
        {"type", "{dnat,snat,dnat_and_snat}"},
        {"allowed_ext_ips", "&Address_Set?", kRefused, "weft translates towards all addresses"},
        {"exempted_ext_ips", "&Address_Set?", kRefused, "weft translates towards all addresses"},
        {"gateway_port", "~Logical_Router_Port?"},
        {"match", "s", kRefused, "weft's NAT looks at addresses only"},
        {"priority", "i", kRefused, "weft's NAT takes the longest prefix"},
        {"options", "s:s", kListed},
        kExternalIds}},
      {"DHCP_Options", "root", {{"cidr", "s"}, {"options", "s:s"}, kExternalIds}},
      {"DHCP_Relay",
       "root unique",
       {{"name", "s"}, {"servers", "s?"}, {"options", "s:s"}, kExternalIds},
       kRefused,
       "weft's routers relay no DHCP"},
      {"Connection",
       "",
       {{"target", "s"},
        {"max_backoff", "i?"},
        {"inactivity_probe", "i?"},
        {"other_config", "s:s"},
        kExternalIds,
        {"is_connected", "b"},
        {"status", "s:s"}},
       kIgnored,
       "how to reach the database"},
      {"DNS",
       "root",
       {{"records", "s:s"},
        {"options", "s:s", kIgnored, "how OVN forwards other questions"},
        kExternalIds}},
      {"SSL",
       "",
       {{"private_key", "s"},
        {"certificate", "s"},
        {"ca_cert", "s"},
        {"bootstrap_ca_cert", "b"},
        {"ssl_protocols", "s"},
        {"ssl_ciphers", "s"},
        {"ssl_ciphersuites", "s"},
        kExternalIds},
       kIgnored,
       "how to reach the database"},
      {"Gateway_Chassis",
       "unique",
       {{"name", "s"},
        {"chassis_name", "s"},
        {"priority", "i"},
        kExternalIds,
        {"options", "s:s", kIgnored, "reserved by OVN"}}},
      {"HA_Chassis", "", {{"chassis_name", "s"}, {"priority", "i"}, kExternalIds}},
      {"HA_Chassis_Group",
       "root unique",
       {{"name", "s"}, {"ha_chassis", "&HA_Chassis*"}, kExternalIds}},
      {"BFD",
       "root",
       {{"logical_port", "s"},
        {"dst_ip", "s"},
        {"min_tx", "i?"},
        {"min_rx", "i?"},
        {"detect_mult", "i?"},
        {"status", "s?"},
        kExternalIds,
        {"options", "s:s"}},
       kIgnored,
       "it watches; routes that heed it are refused"},
      {"Static_MAC_Binding",
       "root",
       {{"logical_port", "s"}, {"ip", "s"}, {"mac", "s"}, {"override_dynamic_mac", "b"}},
       kRefused,
       "weft's routers know the neighbours that have ports, and ask for others"},
      {"Chassis_Template_Var",
       "root",
       {{"chassis", "s"}, {"variables", "s:s"}, kExternalIds},
       kRefused,
       "weft has no templates"},
      {"Copp",
       "root unique",
       {{"name", "s"}, {"meters", "s:s"}, kExternalIds},
       kIgnored,
       kProtection},
      {"Sampling_App", "root", {{"type", "s"}, {"id", "i"}, kExternalIds}, kIgnored, kSamples},
      {"Sample_Collector",
       "root",
       {{"id", "i"}, {"name", "s"}, {"probability", "i"}, {"set_id", "i"}, kExternalIds},
       kIgnored,
       kSamples},
      {"Sample",
       "root",
       {{"collectors", "&Sample_Collector*"}, {"metadata", "i"}},
       kIgnored,
       kSamples},
  };
}

constexpr const char* kNumbers = "numbers on the wire are weft's own";
constexpr const char* kMulticast = "weft floods multicast";
constexpr const char* kLearning = "weft's routers know their neighbours from the ports";
constexpr const char* kWorks = "how OVN's daemons work";

AtomType atom_of(std::string_view& type, NbColumn& column) {
  const char first = type.front();
  type.remove_prefix(1);
  if (first == 's') return AtomType::string;
  if (first == 'i') return AtomType::integer;
  if (first == 'b') return AtomType::boolean;
  if (first == '{') {
    std::size_t end = type.find('}');
    for (std::string_view list = type.substr(0, end); !list.empty();) {
      const std::size_t comma = std::min(list.find(','), list.size());
      column.choices.emplace_back(list.substr(0, comma));
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
    type.remove_prefix(end + 1);
    return AtomType::string;
  }
  WEFT_CHECK(first == '&' || first == '~');
  column.strong = first == '&';
  const std::size_t end = std::min(type.find_first_of("?*+"), type.size());
  column.target = type.substr(0, end);
  type.remove_prefix(end);
  return AtomType::uuid;
}

NbColumn column_of(const ColumnLine& line) {
  NbColumn c;
  c.name = line.name;
  c.use = line.use;
  c.why = line.why;
  std::string_view type = line.type;
  c.key = atom_of(type, c);
  if (type.starts_with(":")) {
    type.remove_prefix(1);
    c.is_map = true;
    c.value = atom_of(type, c);
    c.min = 0, c.max = kMany;
  }
  if (type == "?") c.min = 0;
  if (type == "*") c.min = 0, c.max = kMany;
  if (type == "+") c.max = kMany;
  return c;
}

}  // namespace

const NbColumn* NbTable::column(std::string_view wanted) const {
  const auto it = columns.find(wanted);
  return it == columns.end() ? nullptr : &it->second;
}

const std::map<std::string, NbTable, std::less<>>& nb_tables() {
  static const auto tables = [] {
    std::map<std::string, NbTable, std::less<>> out;
    for (const TableLine& line : lines()) {
      NbTable& t = out[line.name];
      t.name = line.name;
      t.root = std::string_view(line.kind).find("root") != std::string_view::npos;
      t.unique = std::string_view(line.kind).find("unique") != std::string_view::npos;
      t.use = line.use;
      t.why = line.why;
      for (const ColumnLine& c : line.columns) t.columns[c.name] = column_of(c);
    }
    return out;
  }();
  return tables;
}

const NbTable* nb_table(std::string_view name) {
  const auto it = nb_tables().find(name);
  return it == nb_tables().end() ? nullptr : &it->second;
}

const std::vector<NbOption>& nb_options() {
  static const std::vector<NbOption> options = {
      {"NB_Global", "options", "mac_prefix"},
      {"NB_Global", "options", "default_acl_drop"},
      {"NB_Global", "options", "bfd-*", kIgnored, "", kWorks},
      {"NB_Global", "options", "mac_binding_*", kIgnored, "", kLearning},
      {"NB_Global", "options", "fdb_removal_limit", kIgnored, "", kLearning},
      {"NB_Global", "options", "controller_event", kIgnored, "", kWorks},
      {"NB_Global", "options", "northd_*", kIgnored, "", kWorks},
      {"NB_Global", "options", "northd-*", kIgnored, "", kWorks},
      {"NB_Global", "options", "use_*", kIgnored, "", kWorks},
      {"NB_Global", "options", "ignore_*", kIgnored, "", kWorks},
      {"NB_Global", "options", "debug_*", kIgnored, "", kWorks},
      {"NB_Global", "options", "e2e_timestamp", kIgnored, "", kStatus},
      {"NB_Global", "options", "max_tunid", kIgnored, "", kStatus},
      {"NB_Global", "options", "name", kIgnored, "", kCloud},
      {"NB_Global", "options", "svc_monitor_*", kIgnored, "", kStatus},
      {"NB_Global", "options", "lb_hairpin_use_ct_mark", kIgnored, "", kWorks},
      {"NB_Global", "options", "enable_chassis_nb_cfg_update", kIgnored, "", kWorks},
      {"NB_Global", "options", "always_tunnel", kNoted, "false",
       "packets to ports with physical networks take the tunnel only where they must"},
      {"NB_Global", "options", "vxlan_mode", kIgnored, "",
       "the encapsulation is chosen where the network is run"},
      {"NB_Global", "options", "ic-route-*", kNoted, "false",
       "routes are not exchanged with other OVN deployments"},
      {"NB_Global", "options", "ic_*", kNoted, "false",
       "routes are not exchanged with other OVN deployments"},

      {"Logical_Switch", "other_config", "subnet"},
      {"Logical_Switch", "other_config", "exclude_ips"},
      {"Logical_Switch", "other_config", "ipv6_prefix"},
      {"Logical_Switch", "other_config", "mac_only"},
      {"Logical_Switch", "other_config", "requested-tnl-key"},
      {"Logical_Switch", "other_config", "mcast_*", kNoted, "false", kMulticast},
      {"Logical_Switch", "other_config", "vlan-passthru", kRefused, "false",
       "weft's guests send without VLAN tags"},
      {"Logical_Switch", "other_config", "interconn-ts", kRefused, "",
       "weft joins no OVN deployments"},
      {"Logical_Switch", "other_config", "broadcast-arps-to-all-routers", kRefused, "true",
       "weft's switches send ARP to all routers"},
      {"Logical_Switch", "other_config", "fdb_age_threshold", kIgnored, "", kLearning},
      {"Logical_Switch", "other_config", "enable-stateless-acl-with-lb", kRefused, "false",
       "weft balances tracked connections only"},
      {"Logical_Switch", "other_config", "ct-zone-limit", kRefused, "",
       "weft limits connections for each hypervisor"},

      {"Logical_Switch_Port", "options", "router-port"},
      {"Logical_Switch_Port", "options", "requested-chassis"},
      {"Logical_Switch_Port", "options", "activation-strategy"},
      {"Logical_Switch_Port", "options", "l2gateway-chassis"},
      {"Logical_Switch_Port", "options", "network_name", kNoted, "",
       "physical networks have no names: a way out is where it is placed"},
      {"Logical_Switch_Port", "options", "nat-addresses", kNoted, "",
       "translated addresses are not announced ahead of questions"},
      {"Logical_Switch_Port", "options", "exclude-lb-vips-from-garp", kIgnored, "",
       "translated addresses are not announced ahead of questions"},
      {"Logical_Switch_Port", "options", "arp_proxy", kRefused, "",
       "weft's routers answer for their own addresses"},
      {"Logical_Switch_Port", "options", "ethtype", kRefused, "802.11q", "weft has no double tags"},
      {"Logical_Switch_Port", "options", "localnet_learn_fdb", kIgnored, "", kLearning},
      {"Logical_Switch_Port", "options", "iface-id-ver", kIgnored, "", kWorks},
      {"Logical_Switch_Port", "options", "vif-plug*", kIgnored, "", kWorks},
      {"Logical_Switch_Port", "options", "requested-tnl-key", kNoted, "", kNumbers},
      {"Logical_Switch_Port", "options", "hostname", kNoted, "",
       "DHCP replies carry no host name of a port's own"},
      {"Logical_Switch_Port", "options", "qos_min_rate", kRefused, "",
       "weft does not shape ports; a QoS row limits"},
      {"Logical_Switch_Port", "options", "qos_max_rate", kRefused, "",
       "weft does not shape ports; a QoS row limits"},
      {"Logical_Switch_Port", "options", "qos_burst", kRefused, "",
       "weft does not shape ports; a QoS row limits"},
      {"Logical_Switch_Port", "options", "qos_physical_network", kIgnored, "", kWorks},
      {"Logical_Switch_Port", "options", "mcast_flood*", kNoted, "false", kMulticast},
      {"Logical_Switch_Port", "options", "virtual-*", kRefused, "", "weft has no virtual ports"},
      {"Logical_Switch_Port", "options", "vtep-*", kRefused, "", "weft has no VTEP gateways"},
      {"Logical_Switch_Port", "options", "disable_garp_rarp", kIgnored, "", kWorks},
      {"Logical_Switch_Port", "options", "disable_arp_nd_rsp", kRefused, "false",
       "weft answers ARP for ports that it knows"},
      {"Logical_Switch_Port", "options", "force_fdb_lookup", kRefused, "false", kLearning},
      {"Logical_Switch_Port", "options", "pkt_clone_type", kRefused, "",
       "weft has no multicast clones of unicast"},
      {"Logical_Switch_Port", "options", "lsp-*", kIgnored, "", kStatus},

      {"Load_Balancer", "options", "reject"},
      {"Load_Balancer", "options", "affinity_timeout"},
      {"Load_Balancer", "options", "event", kNoted, "false",
       "a virtual address without backends raises no event"},
      {"Load_Balancer", "options", "hairpin_snat_ip", kNoted, "",
       "a backend that asks itself sees the virtual address as the client"},
      {"Load_Balancer", "options", "hairpin_orig_tuple", kIgnored, "", kWorks},
      {"Load_Balancer", "options", "skip_snat", kIgnored, "", "forced SNAT is refused anyway"},
      {"Load_Balancer", "options", "add_route", kRefused, "false",
       "weft's neighbouring routers need a route to a virtual address"},
      {"Load_Balancer", "options", "neighbor_responder", kNoted, "reachable",
       "routers answer ARP for virtual addresses of their own subnets"},
      {"Load_Balancer", "options", "template", kRefused, "false", "weft has no templates"},
      {"Load_Balancer", "options", "address-family", kIgnored, "", "it is for templates"},
      {"Load_Balancer", "options", "ct_flush", kIgnored, "", kWorks},
      {"Load_Balancer", "options", "use_stateless_nat", kRefused, "false",
       "weft balances tracked connections only"},
      {"Load_Balancer", "options", "distributed", kRefused, "false",
       "weft's balancers choose among all backends"},

      {"ACL", "options", "apply-after-lb", kRefused, "false",
       "weft judges what a port sends before it is balanced"},
      {"ACL", "options", "log-related", kIgnored, "", kLogging},
      {"ACL", "options", "persist-established", kRefused, "false",
       "in weft a rule that denies says whether it spares open connections"},

      {"Logical_Router", "options", "chassis"},
      {"Logical_Router", "options", "dnat_force_snat_ip", kRefused, "",
       "weft has no forced SNAT after DNAT"},
      {"Logical_Router", "options", "lb_force_snat_ip", kRefused, "",
       "weft has no forced SNAT after load balancing"},
      {"Logical_Router", "options", "mcast_relay", kRefused, "false",
       "weft's routers relay no multicast"},
      {"Logical_Router", "options", "dynamic_neigh_routers", kIgnored, "", kLearning},
      {"Logical_Router", "options", "always_learn_from_arp_request", kIgnored, "", kLearning},
      {"Logical_Router", "options", "mac_binding_age_threshold", kIgnored, "", kLearning},
      {"Logical_Router", "options", "requested-tnl-key", kNoted, "", kNumbers},
      {"Logical_Router", "options", "snat-ct-zone", kIgnored, "", kWorks},
      {"Logical_Router", "options", "ct-commit-all", kIgnored, "", kWorks},
      {"Logical_Router", "options", "ct-zone-limit", kRefused, "",
       "weft limits connections for each hypervisor"},
      {"Logical_Router", "options", "disable_garp_rarp", kIgnored, "", kWorks},
      {"Logical_Router", "options", "route_table", kRefused, "",
       "weft has one table of routes for each router"},
      {"Logical_Router", "options", "dynamic-routing*", kRefused, "false",
       "weft's routers exchange no routes"},

      {"Logical_Router_Port", "options", "redirect-type", kRefused, "overlay",
       "weft takes the tunnel to a gateway"},
      {"Logical_Router_Port", "options", "reside-on-redirect-chassis", kRefused, "false",
       "weft routes between networks where the sender is"},
      {"Logical_Router_Port", "options", "mcast_flood", kNoted, "false", kMulticast},
      {"Logical_Router_Port", "options", "requested-tnl-key", kNoted, "", kNumbers},
      {"Logical_Router_Port", "options", "prefix_delegation", kRefused, "false",
       "weft's routers ask for no prefix"},
      {"Logical_Router_Port", "options", "prefix", kRefused, "false",
       "weft's routers ask for no prefix"},
      {"Logical_Router_Port", "options", "route_table", kRefused, "",
       "weft has one table of routes for each router"},
      {"Logical_Router_Port", "options", "gateway_mtu", kRefused, "",
       "weft's routers compare with the MTU of the network"},
      {"Logical_Router_Port", "options", "gateway_mtu_bypass", kRefused, "",
       "weft's routers compare with the MTU of the network"},
      {"Logical_Router_Port", "options", "routing-protocol*", kRefused, "",
       "weft's routers exchange no routes"},
      {"Logical_Router_Port", "options", "dynamic-routing*", kRefused, "false",
       "weft's routers exchange no routes"},

      {"Logical_Router_Static_Route", "options", "ecmp_symmetric_reply", kRefused, "false",
       "weft sends replies by the routes, not back where the question came from"},
      {"Logical_Router_Static_Route", "options", "origin", kIgnored, "", kStatus},
      {"Logical_Router_Policy", "options", "pkt_mark", kRefused, "0",
       "weft's policies mark no packets"},
      {"NAT", "options", "stateless", kRefused, "false", "weft translates tracked connections"},
      {"NAT", "options", "add_route", kRefused, "false",
       "weft's neighbouring routers need a route to a translated address"},
  };
  return options;
}

const NbOption* nb_option(std::string_view table, std::string_view column, std::string_view key) {
  for (const NbOption& o : nb_options()) {
    if (o.table != table || o.column != column) continue;
    if (o.key == key) return &o;
    if (o.key.ends_with('*') && key.starts_with(o.key.substr(0, o.key.size() - 1))) return &o;
  }
  return nullptr;
}

std::vector<std::string> nb_option_keys(std::string_view table, std::string_view column) {
  std::vector<std::string> out;
  for (const NbOption& o : nb_options())
    if (o.table == table && o.column == column) out.emplace_back(o.key);
  return out;
}

std::string_view name_of(Use use) {
  switch (use) {
    case Use::used:
      return "used";
    case Use::listed:
      return "listed";
    case Use::ignored:
      return "ignored";
    case Use::noted:
      return "noted";
    case Use::refused:
      return "refused";
  }
  return "refused";
}

}  // namespace weft::imports
