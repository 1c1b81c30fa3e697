// What OVN's rows mean: scripts beside the rows of the desired state that they lead to, and scripts
// that must be refused, with the reason.
#include <algorithm>

#include "scenarios/import/rows.h"
#include "tests/catch.h"
#include "tests/unit/import/canonical.h"
#include "tests/unit/import/ovn_peer.h"

using namespace weft;
using imports::Imported;
using imports::ImportResult;

namespace {

std::string all(const std::vector<Error>& errors) {
  std::string out;
  for (const Error& e : errors) out += e.text() + "\n";
  return out;
}

Imported import_script(const std::string& script, const imports::ImportOptions& options = {}) {
  ImportResult result = imports::import_nbctl(script, "s.nbctl", options);
  INFO(script << "\n" << all(result.errors));
  REQUIRE(result.network);
  return std::move(*result.network);
}

const std::string kSwitch = "ls-add sw\n";
std::string port(const std::string& name, const std::string& addresses) {
  return "lsp-add sw " + name + " -- lsp-set-addresses " + name + " " + addresses + "\n";
}
const std::string kRouter =
    "ls-add sw\nls-add out\nlr-add r\nlrp-add r r-sw 02:00:00:00:00:01 10.0.0.1/24\n"
    "lrp-add r r-out 02:00:00:00:00:02 192.0.2.1/24\n"
    "lsp-add sw sw-r -- lsp-set-type sw-r router -- lsp-set-addresses sw-r router "
    "-- lsp-set-options sw-r router-port=r-sw\n"
    "lsp-add out out-r -- lsp-set-type out-r router -- lsp-set-addresses out-r router "
    "-- lsp-set-options out-r router-port=r-out\n";

}  // namespace

TEST_CASE("rows of OVN and the line of the listing that they become") {
  struct Case {
    std::string script;
    std::string line;  ///< a line of rows_text, without its indentation
  };
  const std::string acl = kSwitch + port("p", "\"00:00:00:00:00:01 10.0.0.1\"");
  const Case cases[] = {
      {kSwitch, "sw  tenant=ovn  vni=1  any_address=true"},
      {"ls-add b\nls-add a", "b  tenant=ovn  vni=2  any_address=true"},
      {"ls-add a -- set Logical_Switch a other_config:requested-tnl-key=9\nls-add b",
       "a  tenant=ovn  vni=9  any_address=true"},
      {"ls-add a -- set Logical_Switch a other_config:subnet=10.0.0.0/24 "
       "'other_config:ipv6_prefix=\"fd00::\"'",
       "a  tenant=ovn  vni=1  subnets=[10.0.0.0/24, fd00::/64]  any_address=true"},
      {acl, "p  network=sw  mac=00:00:00:00:00:01  addresses=[10.0.0.1]  security=false"},
      {acl + "lsp-set-port-security p \"00:00:00:00:00:01 10.0.0.1\"",
       "p  network=sw  mac=00:00:00:00:00:01  addresses=[10.0.0.1]"},
      {acl + "lsp-set-port-security p \"00:00:00:00:00:01 10.0.0.1/24 10.9.0.0/16\"",
       "p  network=sw  mac=00:00:00:00:00:01  addresses=[10.0.0.1]  allowed=[10.9.0.0/16]"},
      {acl + "lsp-set-port-security p 00:00:00:00:00:01",
       "p  network=sw  mac=00:00:00:00:00:01  addresses=[10.0.0.1]  allowed=[0.0.0.0/0, ::/0]"},
      {kSwitch + port("p", "unknown") + "lsp-set-port-security p 00:00:00:00:00:09",
       "p  network=sw  mac=00:00:00:00:00:09  allowed=[0.0.0.0/0, ::/0]  unknown=true"},
      {acl + "lsp-set-options p requested-chassis=a,b,c activation-strategy=rarp",
       "p  network=sw  mac=00:00:00:00:00:01  addresses=[10.0.0.1]  requested=a  security=false  "
       "also=[b, c]  activation_by_rarp=true"},
      {acl + "lsp-set-enabled p disabled",
       "p  network=sw  mac=00:00:00:00:00:01  addresses=[10.0.0.1]  security=false  enabled=false"},
      {kSwitch + port("p", "dynamic") + "set Logical_Switch sw other_config:subnet=10.0.0.0/30",
       "p  network=sw  mac=0a:00:00:00:00:03  addresses=[10.0.0.2]  security=false"},
      {kSwitch + port("a", "\"00:00:00:00:00:01 10.0.0.2\"") + port("p", "dynamic") +
           "set Logical_Switch sw other_config:subnet=10.0.0.0/24 "
           "'other_config:exclude_ips=10.0.0.3..10.0.0.5 10.0.0.7'",
       "p  network=sw  mac=0a:00:00:00:00:07  addresses=[10.0.0.6]  security=false"},
      {kSwitch + port("z", "dynamic") + port("a", "dynamic") +
           "set Logical_Switch sw other_config:subnet=10.0.0.0/24 "
           "other_config:exclude_ips=10.0.0.3..10.0.0.5\n"
           "--may-exist ls-add sw\n",
       "a  network=sw  mac=0a:00:00:00:00:07  addresses=[10.0.0.6]  security=false"},
      {kSwitch + port("p", "dynamic") +
           "set Logical_Switch sw other_config:mac_only=true\n"
           "set NB_Global . 'options:mac_prefix=\"0c:01:02\"'",
       "p  network=sw  mac=0c:01:02:00:00:01  security=false"},
      {acl + "acl-add sw to-lport 5 'ip4 && tcp.dst == 80' drop",
       "acl-be8bf6fd  tenant=ovn  cookie=2  action=drop  priority=5  to=`network sw`  match=`ip4 "
       "&& tcp.dst == 80`"},
      {acl + "--name=n --tier=2 acl-add sw from-lport 5 ip allow-stateless",
       "n  tenant=ovn  cookie=2  action=allow-stateless  priority=5  to=`network sw`  match=ip  "
       "direction=from-port  tier=2  log=true"},
      {acl + "--name=n acl-add sw to-lport 5 ip pass",
       "n  tenant=ovn  cookie=2  action=pass  priority=5  to=`network sw`  match=ip  log=true"},
      {acl + "pg-add g p\n--name=n acl-add g to-lport 5 'outport == @g && ip4.src == $g_ip4' "
             "allow-related",
       "n  tenant=ovn  cookie=2  priority=5  to=`group g`  match=`outport == @g && ip4.src == "
       "$g_ip4`  log=true"},
      {acl +
           "--name=n acl-add sw to-lport 5 ip drop\nset NB_Global . options:default_acl_drop=true",
       "ovn  has_policy=true  default_allow=false  default_cookie=1"},
      {acl + "ls-add free\n--name=n acl-add sw to-lport 5 ip drop\n"
             "set NB_Global . options:default_acl_drop=true",
       "no-acls-to-free  tenant=ovn  cookie=4  action=allow-stateless  priority=0  to=`network "
       "free`  match=1  tier=3"},
      {kRouter + "lr-route-add r 10.5.0.0/16 10.0.0.9\n",
       "route-0fa00f06  router=r  prefix=10.5.0.0/16  next_hop=10.0.0.9  cookie=1"},
      {kRouter + "lrp-set-gateway-chassis r-out b 5\nlrp-set-gateway-chassis r-out a 5\n",
       "r  tenant=ovn  ports=[{network: out, mac: 02:00:00:00:00:02, addresses: [192.0.2.1], name: "
       "r-out, subnets: [192.0.2.0/24], gateways: [{hypervisor: a, priority: 5}, {hypervisor: b, "
       "priority: 4}]}, {network: sw, mac: 02:00:00:00:00:01, addresses: [10.0.0.1], name: r-sw, "
       "subnets: [10.0.0.0/24]}]"},
      {kRouter + "set Logical_Router r options:chassis=hv\n"
                 "--portrange lr-nat-add r snat 192.0.2.1 10.0.0.0/24 1000-2000",
       "nat-0fa00f06  router=r  external=192.0.2.1  logical=10.0.0.0/24  external_ports={first: "
       "1000, last: 2000}  cookie=1"},
      {"lr-add a -- lrp-add a a-b 02:00:00:00:00:01 10.0.0.1/30 peer=b-a -- lr-add b -- lrp-add b "
       "b-a 02:00:00:00:00:02 10.0.0.2/30 peer=a-b",
       "a  tenant=ovn  ports=[{mac: 02:00:00:00:00:01, addresses: [10.0.0.1], name: a-b, subnets: "
       "[10.0.0.0/30], peer_router: b, peer_port: b-a}]"},
      {acl + "lsp-add sw o -- lsp-set-type o localnet -- lsp-set-addresses o unknown\n",
       "o  network=sw  requested=hv-1  type=external  security=false  unknown=true"},
      {acl + "lsp-add sw o -- lsp-set-type o l2gateway -- lsp-set-options o l2gateway-chassis=x\n",
       "o  network=sw  requested=x  type=external  security=false"},
      {acl + port("q", "\"00:00:00:00:00:02 10.0.0.2\"") +
           "mirror-add m gre 1 from-lport 10.0.0.2 -- lsp-attach-mirror p m",
       "m  tenant=ovn  ports=[p]  received=false  sink=q"},
      {acl + "qos-add sw to-lport 7 'ip4' dscp=3",
       "qos-be8bf6fd  network=sw  direction=to-port  priority=7  match=ip4  dscp=3"},
  };
  for (const Case& c : cases) {
    const Imported network = import_script(c.script);
    const std::string text = imports::rows_text(network);
    INFO(c.script << "\n" << text);
    CHECK(text.find("\n  " + c.line + "\n") != std::string::npos);
    CHECK(network.intent().all_rows().size() == network.transaction.changes.size());
  }
}

TEST_CASE("what weft has no counterpart of is refused by name") {
  struct Case {
    std::string script;
    int line;
    const char* message;
  };
  const std::string p = kSwitch + port("p", "\"00:00:00:00:00:01 10.0.0.1\"");
  const Case cases[] = {
      {p + "lsp-set-type p vtep", 3, "Logical_Switch_Port 'p', column type: weft has no ports of"},
      {p + "lsp-add sw c p 7", 3, "column parent_name: 'p': weft has no nested containers"},
      {p + "lsp-set-options p qos_max_rate=5", 3, "qos_max_rate=5: weft does not shape"},
      {p + "lsp-set-options p qos_max=5", 3, "weft does not know the key 'qos_max'"},
      {p + "lsp-set-addresses p \"00:00:00:00:00:01 10.0.0.1\" 00:00:00:00:00:02", 3,
       "two Ethernet addresses"},
      {p + "lsp-set-addresses p 10.0.0.1", 3, "'10.0.0.1' is no Ethernet address"},
      {p + "lsp-set-port-security p 00:00:00:00:00:09", 3, "is not the port's Ethernet address"},
      {p + "lsp-set-port-security p \"00:00:00:00:00:01 10.0.0.9\"", 3,
       "does not allow the port's own address 10.0.0.1"},
      {p + "acl-add sw to-lport 1 'ip4.src = 1' drop", 3, "column match"},
      {p + "acl-add sw to-lport 1 'ip4.src == $nowhere' drop", 3, "no address set 'nowhere'"},
      {p + "acl-add sw to-lport 1 'outport == @nowhere' drop", 3, "no port group 'nowhere'"},
      {p + "acl-add sw to-lport 1 'outport == \"nowhere\"' drop", 3, "no port 'nowhere'"},
      {p + "--apply-after-lb acl-add sw from-lport 1 ip drop", 3, "apply-after-lb=true"},
      {p + "create Static_MAC_Binding logical_port=p ip=10.0.0.1 'mac=\"00:00:00:00:00:01\"'", 3,
       "Static_MAC_Binding"},
      {p + "create Forwarding_Group", 3, ""},
      {p + "set Logical_Switch sw other_config:vlan-passthru=true", 3, "vlan-passthru=true"},
      {p + "create Address_Set name=a 'addresses=\"00:00:00:00:00:01\"'", 3,
       "no address or prefix"},
      {p + "lb-add l 10.9.0.1:80 10.0.0.1:80 sctp", 3, "weft balances tcp and udp"},
      {p + "lb-add l 10.9.0.1:80 10.0.0.1:80 -- set Load_Balancer l selection_fields=ip_src", 3,
       "column selection_fields"},
      {p + "mirror-add m gre 1 both 10.99.0.1 -- lsp-attach-mirror p m", 3,
       "is no port of the network, nor the address of one"},
      {kRouter + "lrp-set-enabled r-sw disabled", 8, "always enabled"},
      {kRouter + "lrp-add r r-x 02:00:00:00:00:09 10.7.0.1/24", 8, "leads nowhere"},
      {kRouter + "lrp-set-options r-sw gateway_mtu=1400", 8, "gateway_mtu=1400"},
      {kRouter + "set Logical_Router r options:lb_force_snat_ip=router_ip", 8, "lb_force_snat_ip"},
      {kRouter + "--route-table=t lr-route-add r 10.5.0.0/16 10.0.0.9", 8, "column route_table"},
      {kRouter + "lr-route-add r 10.5.0.0/16 10.77.0.9", 8, "which is on no subnet"},
      {kRouter + "lr-policy-add r 5 ip4 allow pkt_mark=7", 8, "pkt_mark=7"},
      {kRouter + "lsp-set-addresses sw-r", 8, "sends nothing to Logical_Router_Port 'r-sw'"},
      {kRouter + "set Logical_Router r options:chassis=a\nlrp-set-gateway-chassis r-out a", 8,
       "chassis pins the router"},
      {kRouter + "lrp-set-gateway-chassis r-out a\n--stateless lr-nat-add r dnat_and_snat "
                 "192.0.2.9 10.0.0.9",
       9, "stateless=true"},
      {p + "--id=@d create DHCP_Options cidr=10.0.0.0/24 -- set Logical_Switch_Port p "
           "dhcpv4_options=@d",
       3, "server_id must be an IPv4 address"},
      {p + "lsp-add sw q -- lsp-set-addresses q \"00:00:00:00:00:02 10.0.0.1\"", 3,
       "address 10.0.0.1 on network 'sw'"},
  };
  for (const Case& c : cases) {
    const ImportResult result = imports::import_nbctl(c.script, "s.nbctl");
    INFO(c.script << "\n" << all(result.errors));
    CHECK(!result.network);
    REQUIRE(!result.errors.empty());
    CHECK(std::any_of(result.errors.begin(), result.errors.end(), [&](const Error& e) {
      return e.place.file == "s.nbctl" && e.place.line == c.line &&
             e.message.find(c.message) != std::string::npos;
    }));
  }
}

TEST_CASE("ports are spread over made up hypervisors in turn") {
  std::string script = kSwitch;
  for (int i = 10; i < 35; ++i)
    script += port("p" + std::to_string(i), "00:00:00:00:00:" + std::to_string(i));
  const Imported by_default = import_script(script);
  CHECK(by_default.placement.hypervisors == std::vector<std::string>{"hv-1", "hv-2", "hv-3"});
  CHECK(by_default.placement.ports.at("p10") == "hv-1");
  CHECK(by_default.placement.ports.at("p11") == "hv-2");
  CHECK(by_default.placement.ports.at("p13") == "hv-1");
  const Imported two =
      import_script(script +
                        "lsp-set-options p10 requested-chassis=hv-1\nlsp-set-options p11 "
                        "requested-chassis=rack\n",
                    {.hypervisors = 2});
  CHECK(two.placement.hypervisors == std::vector<std::string>{"hv-1", "rack", "hv-2", "hv-3"});
  CHECK(two.placement.ports.at("p10") == "hv-1");
  CHECK(two.placement.ports.at("p11") == "rack");
  CHECK(two.placement.ports.at("p12") == "hv-2");
}

TEST_CASE("cookies lead to the rows and lines that they are of") {
  const Imported network = import_script(kSwitch + "--name=deny acl-add sw to-lport 1 ip drop\n");
  REQUIRE(network.origins.contains(2));
  CHECK(network.origins.at(2).table == "ACL");
  CHECK(network.origins.at(2).name == "deny");
  CHECK(network.origins.at(2).place.line == 2);
  CHECK(network.origins.at(2).text().find("ACL 'deny' ") == 0);
  CHECK(network.origins.at(2).text().find("(s.nbctl:2)") != std::string::npos);
  CHECK(network.row_origins.at({control::Table::network, "sw"}).place.line == 1);
}

TEST_CASE("the library's databases are what their scripts make") {
  for (const char* name : {"neutron", "ovn-kubernetes"}) {
    INFO(name);
    const test::fs::path base = test::fs::path(WEFT_SOURCE_DIR) / "scenarios/library/ovn" / name;
    const Imported script = import_script(test::read_bytes(base.string() + ".nbctl"));
    const ImportResult database =
        imports::import_ovn_database(test::read_bytes(base.string() + ".db"), "nb.db");
    INFO(all(database.errors));
    REQUIRE(database.network);
    CHECK((test::canonical_rows(*database.network) == test::canonical_rows(script)));
    CHECK(test::canonical_origins(*database.network) == test::canonical_origins(script));
    CHECK(database.network->placement.ports == script.placement.ports);
    CHECK(database.network->placement.hypervisors == script.placement.hypervisors);
  }
}
