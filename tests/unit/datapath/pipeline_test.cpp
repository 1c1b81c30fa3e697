// Rules and packets in, packets out.
#include "datapath/pipeline.h"

#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using datapath::PortNo;
using wire::kProtoIcmp;
using wire::kProtoIcmpv6;
using wire::kProtoTcp;
using wire::kProtoUdp;

struct Case {
  const char* what;
  const char* rules;
  FlowSpec packet;
  std::uint32_t in_port;
  const char* outcome;
};

FlowSpec tcp(std::uint16_t port = 8080) { return {.dst_port = port, .payload = 100}; }
FlowSpec udp(std::uint16_t port = 53) {
  return {.protocol = kProtoUdp, .dst_port = port, .payload = 64};
}
FlowSpec tcp6() { return {.is6 = true, .payload = 40}; }

const Case kCases[] = {
    {"an empty table drops", "", tcp(), 1, "drop(flow.miss)"},
    {"in_port to output", "in_port=1,actions=output:2", tcp(), 1, "2"},
    {"no loop back", "actions=output:1", tcp(), 1, "drop(l2.same_port)"},
    {"unless said so", "actions=in_port", tcp(), 1, "1"},
    {"output to nowhere", "actions=output:77", tcp(), 1, "drop(port.none)"},
    {"a named reason", "tcp,actions=drop(policy)", tcp(), 1, "drop(policy)"},
    {"drop", "actions=drop", tcp(), 1, "drop(flow.drop)"},
    {"higher priority wins",
     "priority=1,ip,actions=output:2\npriority=2,tcp,tp_dst=8080,actions=output:3", tcp(), 1, "3"},
    {"priority, not length of the match",
     "priority=2,ip,actions=output:2\npriority=1,tcp,tp_dst=8080,actions=output:3", tcp(), 1, "2"},
    {"prefixes",
     "priority=3,ip,nw_dst=10.0.1.0/24,actions=output:2\n"
     "priority=2,ip,nw_dst=10.0.0.0/16,actions=output:3",
     tcp(), 1, "3"},
    {"IPv6", "ipv6,ipv6_dst=fd00::a00:203,actions=output:4", tcp6(), 1, "4"},
    {"IPv6 prefixes", "tcp6,ipv6_src=fd00::/8,actions=output:4", tcp6(), 1, "4"},
    {"ports with a mask", "udp,tp_dst=0x30/0xfff0,actions=output:2", udp(), 1, "2"},
    {"flags", "tcp,tcp_flags=+ack-syn,actions=output:2", tcp(), 1, "2"},
    {"copies, the last is the packet", "actions=output:2,output:3,output:4", tcp(), 1, "2 3 4"},
    {"flood", "actions=flood", tcp(), 2, "1 3 4"},
    {"registers and resubmit",
     "table=0,ip,actions=load:0x3->NXM_NX_REG15[0..15],resubmit(,7)\n"
     "table=7,reg15=3,actions=output:NXM_NX_REG15[]",
     tcp(), 1, "3"},
    {"what a table does stays done",
     "table=0,actions=resubmit(,1),resubmit(,2)\ntable=1,actions=set_field:5->reg1\n"
     "table=2,reg1=5,actions=output:4",
     tcp(), 1, "4"},
    {"a reason from a table that is not the last",
     "table=0,actions=resubmit(,1),resubmit(,2)\ntable=1,actions=drop(policy)\n"
     "table=2,actions=output:4",
     tcp(), 1, "drop(policy)"},
    {"goto_table", "table=0,actions=goto_table:9\ntable=9,actions=output:2", tcp(), 1, "2"},
    {"resubmit with another in_port",
     "table=0,in_port=1,actions=resubmit(4,3)\ntable=3,in_port=4,actions=output:2", tcp(), 1, "2"},
    {"rules that loop", "actions=resubmit(,1)\ntable=1,actions=resubmit(,0)", tcp(), 1,
     "drop(flow.resubmit)"},
    {"move and match",
     "table=0,tcp,actions=move:NXM_OF_TCP_DST[]->NXM_NX_REG3[4..19],resubmit(,1)\n"
     "table=1,reg3=0x1f900,actions=output:2",
     tcp(), 1, "2"},
    {"metadata",
     "table=0,actions=set_field:0x12/0xff->metadata,resubmit(,1)\n"
     "table=1,metadata=0x2/0xf,actions=output:3",
     tcp(), 1, "3"},
    {"TTL that is over", "ip,actions=set_field:1->nw_ttl,dec_ttl,output:2", tcp(), 1,
     "drop(route.ttl) controller"},
    {"untracked is not new",
     "table=0,ct_state=-trk,ip,actions=ct(table=1,zone=5)\n"
     "table=1,ct_state=+trk+new,actions=output:2",
     tcp(), 1, "2"},
    {"a vlan", "dl_vlan=100,actions=strip_vlan,output:2", {.vlan = true}, 1, "2"},
    {"no vlan", "vlan_tci=0,actions=output:2", {.vlan = true}, 1, "drop(flow.miss)"},
    {"the host's own frames leave by the uplink", "", tcp(), 30, "20"},
    {"what is no tunnel goes to the host", "", tcp(), 20, "30"},
    {"tunnel ports receive nothing by themselves", "actions=output:1", tcp(), 10,
     "drop(port.none)"},
    {"no such port", "actions=output:1", tcp(), 55, "drop(port.none)"},
    {"no destination for a tunnel", "actions=output:11", tcp(), 1, "drop(tunnel.unknown)"},
};

TEST_CASE("rules and packets in, packets out", "[pipeline]") {
  for (const Case& c : kCases) {
    // The first packet takes the slow path, the others the caches; all must agree.
    for (const bool exact : {true, false}) {
      for (const bool mega : {true, false}) {
        datapath::CacheOptions options;
        options.exact_match = exact;
        options.megaflow = mega;
        Lab lab(options);
        lab.rules(c.rules);
        lab.pipeline.check_caches(1);
        INFO(c.what << " exact " << exact << " mega " << mega);
        for (int i = 0; i < 3; ++i) REQUIRE(lab.send(c.packet, c.in_port) == c.outcome);
        const auto& s = lab.pipeline.stats();
        REQUIRE(s.exact_match_hits + s.megaflow_hits + s.slow_path == s.packets);
      }
    }
  }
}

}  // namespace
}  // namespace weft::test
