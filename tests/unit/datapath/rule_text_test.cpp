// Rules as text, both ways.
#include "datapath/rule.h"

#include "tests/catch.h"
#include "tests/unit/datapath/random_rules.h"

namespace weft::test {
namespace {

using datapath::format_rule;
using datapath::parse_rule;

struct Pair {
  const char* text;
  const char* canonical;  // without "table=0,priority=32768," in front
};

const Pair kPairs[] = {
    {"actions=drop", "actions=drop"},
    {"ip,nw_dst=10.1.2.3/8 actions=output:2", "ip,nw_dst=10.0.0.0/8,actions=output:2"},
    {"dl_type=0x800,nw_proto=6,tcp_dst=80,actions=2", "tcp,tp_dst=80,actions=output:2"},
    {"eth_type=0x86dd,ip_proto=58,icmpv6_type=135,nd_target=fd00::1,nd_sll=02:00:00:00:00:01,"
     "actions=in_port",
     "icmp6,icmp_type=135,nd_target=fd00::1,nd_sll=02:00:00:00:00:01,actions=in_port"},
    {"ip_dst=1.2.3.4,ip_src=5.6.7.8,ip,eth_src=02:00:00:00:00:01,actions=drop",
     "ip,dl_src=02:00:00:00:00:01,nw_src=5.6.7.8,nw_dst=1.2.3.4,actions=drop"},
    {"ip,nw_dst=10.0.0.1/255.0.255.0,actions=drop", "ip,nw_dst=10.0.0.0/255.0.255.0,actions=drop"},
    {"ipv6,ipv6_dst=2001:db8::1/32,actions=drop", "ipv6,ipv6_dst=2001:db8::/32,actions=drop"},
    {"tcp,tcp_src=0x50/0xfff0,actions=drop", "tcp,tp_src=0x50/0xfff0,actions=drop"},
    {"arp,arp_op=1,nw_dst=10.0.0.1,arp_sha=02:00:00:00:00:01,actions=drop",
     "arp,arp_tpa=10.0.0.1,arp_op=1,arp_sha=02:00:00:00:00:01,actions=drop"},
    {"reg0=1,reg15=0x10/0xf0,metadata=7/0xff,actions=drop",
     "reg0=0x1,reg15=0x10/0xf0,metadata=0x7/0xff,actions=drop"},
    {"ct_state=+trk-new+est,ct_zone=3,ct_mark=1/1,ip,actions=drop",
     "ct_state=+est+trk-new,ct_zone=3,ct_mark=0x1/0x1,ip,actions=drop"},
    {"ip,ct_state=+trk,ct_label=0x1000000000000000000000002/0x100000000000000000000000f,"
     "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.0/8,ct_nw_proto=6,ct_tp_src=1,ct_tp_dst=80/0xfffe,"
     "actions=drop",
     "ct_state=+trk,ct_label=0x1000000000000000000000002/0x100000000000000000000000f,"
     "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.0/8,ct_nw_proto=6,ct_tp_src=1,ct_tp_dst=0x50/0xfffe,"
     "ip,actions=drop"},
    {"ct_label=5,ct_ipv6_src=fd00::1,ct_ipv6_dst=fd00::/64,actions=drop",
     "ct_label=0x5,ct_ipv6_src=fd00::1,ct_ipv6_dst=fd00::/64,actions=drop"},
    {"ct_state=0x21/0x23,ip,actions=drop", "ct_state=+new+trk-est,ip,actions=drop"},
    {"tun_id=5,tun_src=1.1.1.1,tun_dst=2.2.2.2,tun_metadata0=0x10002,actions=drop",
     "tun_id=0x5,tun_src=1.1.1.1,tun_dst=2.2.2.2,tun_metadata0=0x10002,actions=drop"},
    {"tun_ipv6_dst=fd00::1,actions=drop", "tun_ipv6_dst=fd00::1,actions=drop"},
    {"vlan_tci=0x1064/0x1fff,actions=drop", "dl_vlan=100,actions=drop"},
    {"dl_vlan=100,dl_vlan_pcp=3,actions=drop", "dl_vlan=100,dl_vlan_pcp=3,actions=drop"},
    {"vlan_vid=7,actions=drop", "vlan_tci=0x0007/0x1fff,actions=drop"},
    {"dl_vlan=0xffff,actions=drop", "vlan_tci=0x0000/0x1fff,actions=drop"},
    {"vlan_tci=0x1000/0x1000,actions=drop", "vlan_tci=0x1000/0x1000,actions=drop"},
    {"ct_label=0x123456789abcdef0123,ip,pkt_mark=3,actions=drop",
     "ct_label=0x123456789abcdef0123,pkt_mark=0x3,ip,actions=drop"},
    {"ipv6,ipv6_label=0x12345,actions=drop", "ipv6,ipv6_label=0x12345,actions=drop"},
    {"xreg1=0x100000002,actions=drop", "reg2=0x1,reg3=0x2,actions=drop"},
    {"xxreg0=0x1000000020000000300000004/0xf000000ff,actions=drop",
     "reg2=0x3/0xf,reg3=0x4/0xff,actions=drop"},
    {"vlan_vid=0x1007,actions=drop", "dl_vlan=7,actions=drop"},
    {"vlan_vid=0x1000/0x1000,actions=drop", "vlan_tci=0x1000/0x1000,actions=drop"},
    {"tun_flags=+oam,tun_tos=4,tun_ttl=64,actions=drop",
     "tun_tos=0x4,tun_ttl=64,tun_flags=+oam,actions=drop"},
    {"actions=set_field:0x5->xreg3,load:7->NXM_NX_XXREG1[64..95]",
     "actions=set_field:0x5->xreg3,load:0x7->NXM_NX_XXREG1[64..95]"},
    {"dl_vlan=5,actions=set_field:4103->vlan_vid", "dl_vlan=5,actions=mod_vlan_vid:7"},
    {"ip,ip_frag=later,nw_tos=0x20,nw_ecn=1,nw_ttl=1,actions=drop",
     "ip,nw_tos=32,nw_ecn=1,nw_ttl=1,nw_frag=later,actions=drop"},
    {"tcp,tcp_flags=+syn-ack,actions=drop", "tcp,tcp_flags=+syn-ack,actions=drop"},
    {"tcp,tcp_flags=ns|ack,actions=drop", "tcp,tcp_flags=ack|ns,actions=drop"},
    {"in_port=LOCAL,actions=LOCAL,output:local,resubmit(LOCAL,5)",
     "in_port=LOCAL,actions=LOCAL,LOCAL,resubmit(LOCAL,5)"},
    {"in_port=CONTROLLER,actions=drop", "in_port=CONTROLLER,actions=drop"},
    {"ip,ip_dscp=4,actions=set_field:3->ip_dscp,move:ip_dscp->reg0[0..5],mod_nw_ecn:2",
     "ip,nw_tos=16,actions=set_field:12->nw_tos,move:NXM_OF_IP_TOS[2..7]->NXM_NX_REG0[0..5],"
     "set_field:2->nw_ecn"},
    {"ip,nw_src=*,actions=2", "ip,actions=output:2"},
    {"dl_vlan=65535,actions=2", "vlan_tci=0x0000/0x1fff,actions=output:2"},
    {"tun_flags=oam,actions=set_field:oam->tun_flags",
     "tun_flags=+oam,actions=set_field:+oam->tun_flags"},
    {"udp,actions=set_field:5->udp_dst,load:5->NXM_OF_UDP_DST[0..3],move:udp_src->reg0[0..15]",
     "udp,actions=set_field:5->udp_dst,load:0x5->NXM_OF_UDP_DST[0..3],"
     "move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15]"},
    {"sctp6,actions=set_field:5->sctp_dst,push:sctp_src",
     "sctp6,actions=set_field:5->sctp_dst,push:OXM_OF_SCTP_SRC[]"},
    {"icmp6,actions=set_field:3->icmpv6_type,move:icmpv6_code->reg0[0..7]",
     "icmp6,actions=set_field:3->icmpv6_type,move:NXM_NX_ICMPV6_CODE[]->NXM_NX_REG0[0..7]"},
    {"udp,actions=learn(table=1,eth_type=0x800,nw_proto=17,NXM_OF_UDP_DST[]=NXM_OF_UDP_SRC[])",
     "udp,actions=learn(table=1,NXM_OF_ETH_TYPE[]=0x800,NXM_OF_IP_PROTO[]=0x11,"
     "NXM_OF_UDP_DST[]=NXM_OF_UDP_SRC[])"},
    {"dl_vlan=3,actions=set_field:3->vlan_pcp,move:vlan_vid->reg0[0..12],"
     "move:OXM_OF_VLAN_VID[0..11]->reg1[0..11]",
     "dl_vlan=3,actions=mod_vlan_pcp:3,move:OXM_OF_VLAN_VID[]->NXM_NX_REG0[0..12],"
     "move:OXM_OF_VLAN_VID[0..11]->NXM_NX_REG1[0..11]"},
    {"icmp6,icmp_type=136,actions=set_field:00:00:00:00:00:05->nd_tll,load:0->in_port[]",
     "icmp6,icmp_type=136,actions=set_field:00:00:00:00:00:05->nd_tll,load:0x0->NXM_OF_IN_PORT[]"},
    {"actions=push_vlan:0x88a8,set_field:4100->vlan_vid",
     "actions=push_vlan:0x88a8,mod_vlan_vid:4"},
    {"ip,actions=dec_ttl(1,2),output(port=1,max_len=100),resubmit(5,),ct(commit,nat(dst))",
     "ip,actions=dec_ttl(1,2),output(port=1,max_len=100),resubmit:5,ct(commit,nat(dst))"},
    {"actions=exit,output:1", "actions=exit,output:1"},
    {"actions=output:1 output:2, note:0aff", "actions=output:1,output:2,note:0a.ff"},
    {"tcp,tcp_flags=2,actions=drop", "tcp,tcp_flags=syn,actions=drop"},
    {"cookie=0x1f, duration=1.5s, table=0, n_packets=3, n_bytes=180, idle_timeout=5, priority=32768"
     " actions=drop",
     nullptr},
    {"actions=load:5->NXM_NX_REG0[]", "actions=set_field:0x5->reg0"},
    {"actions=load:5->NXM_NX_REG0[4..7]", "actions=load:0x5->NXM_NX_REG0[4..7]"},
    {"actions=load:1->nxm_nx_reg0[31]", "actions=load:0x1->NXM_NX_REG0[31]"},
    {"actions=set_field:0x50/0xf0->reg2", "actions=load:0x5->NXM_NX_REG2[4..7]"},
    {"actions=set_field:0x50/0x55->reg2", "actions=set_field:0x50/0x55->reg2"},
    {"actions=mod_dl_dst:02:00:00:00:00:01,mod_nw_dst:1.2.3.4,mod_tp_dst:80,mod_vlan_vid:5",
     "actions=set_field:02:00:00:00:00:01->dl_dst,mod_nw_dst:1.2.3.4,mod_tp_dst:80,"
     "mod_vlan_vid:5"},
    {"actions=set_tunnel:7,set_field:1.1.1.1->tun_dst,output:NXM_NX_REG15[]",
     "actions=set_field:0x7->tun_id,set_field:1.1.1.1->tun_dst,output:NXM_NX_REG15[]"},
    {"actions=output:reg15", "actions=output:NXM_NX_REG15[]"},
    {"actions=output:reg15[0..15]", "actions=output:NXM_NX_REG15[0..15]"},
    {"actions=move:reg0[0..15]->reg1[16..31],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
     "actions=move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31],"
     "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]"},
    {"actions=resubmit(,5),resubmit(3,6),resubmit:4,goto_table:9",
     "actions=resubmit(,5),resubmit(3,6),resubmit:4,goto_table:9"},
    {"ip,actions=ct(commit, zone=NXM_NX_REG13[0..15], table=4, exec(set_field:1/1->ct_mark))",
     "ip,actions=ct(commit,table=4,zone=NXM_NX_REG13[0..15],"
     "exec(load:0x1->NXM_NX_CT_MARK[0]))"},
    {"ip,actions=ct(table=1,zone=NXM_NX_REG13[])",
     "ip,actions=ct(table=1,zone=NXM_NX_REG13[0..15])"},
    {"ip,actions=ct(commit),ct_clear,2", "ip,actions=ct(commit),ct_clear,output:2"},
    {"actions=push_vlan:0x8100,pop_vlan,strip_vlan,dec_ttl,note:00.11",
     "actions=push_vlan:0x8100,pop_vlan,pop_vlan,dec_ttl,note:00.11"},
    {"actions=drop(policy)", "actions=drop(policy)"},
    {"actions=drop(port.security)", "actions=drop(port.security)"},
    {"actions=arp_reply(02:00:00:00:00:01)", "actions=arp_reply(02:00:00:00:00:01)"},
    {"actions=nd_reply(02:00:00:00:00:01)", "actions=nd_reply(02:00:00:00:00:01)"},
    {"actions=icmp_error(11,0,10.0.0.1)", "actions=icmp_error(11,0,10.0.0.1)"},
    {"actions=icmp_error(3,0,fd00::1)", "actions=icmp_error(3,0,fd00::1)"},
    {"ip,actions=ct(commit,force,zone=3,table=4,nat(src=10.0.0.1-10.0.0.9:1000-2000,random),"
     "exec(load:1->NXM_NX_CT_LABEL[64],set_field:5/7->ct_mark))",
     "ip,actions=ct(commit,force,table=4,zone=3,nat(src=10.0.0.1-10.0.0.9:1000-2000,random),"
     "exec(load:0x1->NXM_NX_CT_LABEL[64],load:0x5->NXM_NX_CT_MARK[0..2]))"},
    {"ip,actions=ct(nat,table=1),ct_clear", "ip,actions=ct(table=1,nat),ct_clear"},
    {"ip,actions=ct(commit,exec(set_field:0x10000000000000001->ct_label))",
     "ip,actions=ct(commit,exec(set_field:0x10000000000000001->ct_label))"},
    {"ip,actions=ct(commit,nat(dst=[fd00::1]-[fd00::2]:80))",
     "ip,actions=ct(commit,nat(dst=[fd00::1]-[fd00::2]:80))"},
    {"actions=icmp_echo_reply", "actions=icmp_echo_reply"},
    {"actions=reject", "actions=reject"},
    {"ip,actions=reject(10.0.0.1)", "ip,actions=reject(10.0.0.1)"},
    {"actions=reject(table=14)", "actions=reject(table=14)"},
    {"ip,actions=reject(10.0.0.1,table=14)", "ip,actions=reject(10.0.0.1,table=14)"},
    {"actions=load:0->NXM_OF_IN_PORT[],output:2", "actions=load:0x0->NXM_OF_IN_PORT[],output:2"},
    {"actions=dns_reply(VM2.Lab.=10.0.0.5, vm1.lab=fd00:0::4/10.0.0.4,ttl=60),output:2",
     "actions=dns_reply(ttl=60,vm1.lab=fd00::4/10.0.0.4,vm2.lab=10.0.0.5),output:2"},
    {"actions=dns_reply(ttl=10.0.0.4)", "actions=dns_reply(ttl=10.0.0.4)"},
    {"actions=dhcpv6_reply(address=fd00::5,server=fe80::1,mac=02:00:00:00:00:01,dns=fd00::1,"
     "dns=fd00::2,domain=A.lab,lease=60,option59=00ff)",
     "actions=dhcpv6_reply(mac=02:00:00:00:00:01,address=fd00::5,server=fe80::1,dns=fd00::1,"
     "dns=fd00::2,domain=a.lab,lease=60,option59=00ff)"},
    {"actions=dhcpv6_reply(mac=02:00:00:00:00:01)", "actions=dhcpv6_reply(mac=02:00:00:00:00:01)"},
    {"actions=IN_PORT,flood", "actions=in_port,flood"},
};

TEST_CASE("rules have one canonical text", "[rule]") {
  for (const Pair& p : kPairs) {
    INFO(p.text);
    const auto rule = parse_rule(p.text);
    if (!rule) FAIL(rule.error().text());
    const std::string text = format_rule(rule.value());
    if (p.canonical != nullptr)
      REQUIRE(text == std::string("table=0,priority=32768,") + p.canonical);
    else
      REQUIRE(text == "table=0,cookie=0x1f,idle_timeout=5,priority=32768,actions=drop");
    const auto again = parse_rule(text);
    INFO(text);
    REQUIRE(again.ok());
    REQUIRE(again.value() == rule.value());
    REQUIRE(format_rule(again.value()) == text);
  }
}

TEST_CASE("random rules survive printing and reading", "[rule]") {
  RandomRules random(1);
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random.rule(4);
    INFO(text);
    const auto rule = parse_rule(text);
    if (!rule) FAIL(rule.error().text());
    const std::string canonical = format_rule(rule.value());
    const auto again = parse_rule(canonical);
    INFO(canonical);
    REQUIRE(again.ok());
    REQUIRE(again.value() == rule.value());
    REQUIRE(format_rule(again.value()) == canonical);
  }
}

struct Wrong {
  const char* text;
  int column;
  const char* message;
  const char* remedy;
};

const Wrong kWrong[] = {
    {"nw_dts=10.0.0.1,actions=drop", 1, "unknown field 'nw_dts'", "did you mean nw_dst?"},
    {"ip,nw_dst=10.0.0.300,actions=drop", 11, "'10.0.0.300' is not a value of nw_dst", nullptr},
    {"ct_label=0x100000000000000000000000000000002,actions=drop", 10, nullptr,
     "write a number, decimal or 0x..."},
    {"ip,nw_dst=10.0.0.0/33,actions=drop", 11, nullptr, "the prefix length is at most 32"},
    {"nw_dst=10.0.0.1,actions=drop", 1, nullptr, "add ip"},
    {"ip,tp_dst=80,actions=drop", 4, nullptr, "add tcp, udp, tcp6 or udp6"},
    {"tcp,udp,actions=drop", 5, "nw_proto contradicts what the match said before", nullptr},
    {"tcp,tp_dst=70000,actions=drop", 12, nullptr, "tp_dst has 16 bits: at most 0xffff"},
    {"ip,actions=ct(nat(src=1.1.1.1))", 15, "nat(src=...) or nat(dst=...) without commit",
     "write ct(commit,...,nat(...)), or nat alone for connections that are there"},
    {"ip,actions=ct(force)", 15, "force without commit", "write ct(commit,force,...)"},
    {"ip,actions=ct(commit,nat(src=1.1.1.300))", 30, "'1.1.1.300' is not a range of addresses",
     nullptr},
    {"ip,actions=ct(commit,alg=ftp)", 22, "ct() has no 'alg=ftp'",
     "helpers for FTP and TFTP do not exist here"},
    {"table=300,actions=drop", 7, "'300' is not a value of table", nullptr},
    {"ip", 3, "the rule has no actions", nullptr},
    {"actions=", 1, "no actions after 'actions='", nullptr},
    {"actions=outptu:2", 9, "unknown action 'outptu'", "did you mean output?"},
    {"actions=output:0", 16, "0 is no port", nullptr},
    {"actions=output:2,,drop", 18, "an empty action between commas", nullptr},
    {"actions=drop(polciy)", 14, "unknown drop reason 'polciy'", "did you mean policy?"},
    {"actions=set_field:5->reg16", 22, "unknown field 'reg16'", nullptr},
    {"actions=set_field:5", 9, "set_field has no '->'", nullptr},
    {"actions=set_field:5->ct_mark", 22, "ct_mark cannot be written",
     "ct_mark and ct_label are set inside ct(commit,exec(...))"},
    {"actions=load:0x10->NXM_NX_REG0[0..3]", 14, "0x10 does not fit 4 bits", nullptr},
    {"actions=load:1->NXM_NX_REG0[0..32]", 29, nullptr, "reg0 has bits 0..31; write [FIRST..LAST]"},
    {"actions=move:reg0[0..3]->reg1[0..4]", 9, "move from 4 bits to 5 bits", nullptr},
    {"ip,actions=ct(comit)", 15, "ct() has no 'comit'", nullptr},
    {"ip,actions=ct(exec(set_field:1->ct_mark))", 15, "exec(...) without commit", nullptr},
    {"ip,actions=ct(commit,exec(output:1))", 27, "'output' is not allowed inside exec()", nullptr},
    {"actions=drop(policy),output:1", 22, "an action that is never reached", nullptr},
    {"actions=resubmit(,5", 9, "a '(' that no ')' closes", nullptr},
    {"actions=arp_reply(1.2.3.4)", 19, "'1.2.3.4' is not a MAC address", nullptr},
    {"actions=icmp_error(11,0)", 20, nullptr, "write icmp_error(11,0,10.0.0.1)"},
    {"in_port=70000,actions=2", 9, "'70000' is not a port", nullptr},
    {"in_port=vm-9,actions=2", 9, "'vm-9' is not a port", nullptr},
    {"ip,ip_dscp=64,actions=2", 12, "'64' is not a value of ip_dscp", nullptr},
    {"udp,actions=set_field:80->tcp_dst", 27, nullptr, "add tcp or tcp6 to the match"},
    {"icmp6,actions=move:icmp_type->reg0[0..7]", 20, nullptr, "add icmp to the match"},
    {"actions=set_field:10.0.0.1->ip_dst", 29, nullptr, "add ip to the match"},
    {"actions=move:nw_src->reg0", 14, nullptr, "add ip to the match"},
    {"actions=set_field:5->vlan_vid", 22, nullptr,
     "add dl_vlan=N or vlan_tci=0x1000/0x1000 to the match"},
    {"icmp6,actions=set_field:fd00::1->nd_target", 34, nullptr, nullptr},
    {"icmp6,icmp_type=136,actions=set_field:00:00:00:00:00:05->nd_sll", 58, nullptr,
     "add icmp6,icmp_type=135 to the match"},
    {"tcp6,actions=learn(table=1,load:nw_src->reg0)", 33, nullptr, "add ip to the match"},
    {"ip,actions=learn(table=1,load:tcp_src->reg0[0..15])", 31, nullptr, nullptr},
    {"ip,actions=mod_nw_tos:19", 23, "19 is not a type of service", nullptr},
    {"ip,actions=set_field:19->nw_tos", 22, "19 is not a type of service", nullptr},
    {"actions=output:2,drop", 18, "drop beside other actions", nullptr},
    {"table=5,actions=goto_table:5", 28, "goto_table from table 5 to table 5", nullptr},
    {"arp,actions=ct(table=1)", 13, "ct() tracks IP only, and the match says otherwise", nullptr},
    {"actions=note:zzz", 14, "a note is bytes of two hexadecimal digits", nullptr},
    {"actions=check_pkt_larger(100)->reg0[0]", 9, "weft has no action 'check_pkt_larger'", nullptr},
    {"actions=push_vlan:0x8847", 19, "'0x8847' is not the type of a VLAN tag", nullptr},
    {"actions=output(port=1,max_len=10)", 31, "10 bytes are less than an Ethernet header", nullptr},
    {"actions=output(port=1)", 16, "output() without port and max_len", nullptr},
    {"ip,actions=dec_ttl(x)", 20, "'x' is not a controller id", nullptr},
    {"actions=reject(fd00)", 16, "'fd00' is not an address", nullptr},
    {"actions=reject(table=x)", 22, "'x' is not a table", nullptr},
    {"actions=reject,output:2", 16, "an action that is never reached", nullptr},
    {"actions=dns_reply()", 19, "dns_reply() without a name", nullptr},
    {"actions=dns_reply(vm1)", 19, "vm1 has no address", "write NAME=10.0.0.4/fd00::4"},
    {"actions=dns_reply(vm1=10.0.0.4/x)", 32, "'x' is not an address", nullptr},
    {"actions=dns_reply(a..b=10.0.0.4)", 19, nullptr, nullptr},
    {"actions=dhcpv6_reply(address=fd00::5)", 22, "dhcpv6_reply() without the server's mac",
     nullptr},
    {"actions=dhcpv6_reply(address=10.0.0.5)", 30, "'10.0.0.5' is not an IPv6 address", nullptr},
    {"actions=dhcpv6_reply(adress=fd00::5)", 22, nullptr, "did you mean address?"},
    {"ct_state=+trk+bogus,ip,actions=drop", 10, "unknown flag 'bogus' in ct_state", nullptr},
    {"ip,ip_frag=maybe,actions=drop", 12, nullptr, "one of no, yes, first, later, not_later"},
};

TEST_CASE("errors name the column and a remedy", "[rule]") {
  for (const Wrong& w : kWrong) {
    INFO(w.text);
    const auto rule = parse_rule(w.text);
    REQUIRE_FALSE(rule.ok());
    INFO(rule.error().text());
    CHECK(rule.error().place.column == w.column);
    if (w.message != nullptr) CHECK(rule.error().message == w.message);
    if (w.remedy != nullptr) CHECK(rule.error().remedy == w.remedy);
    CHECK_FALSE(rule.error().remedy.empty());
  }
}

TEST_CASE("no text crashes the parser", "[rule]") {
  RandomRules random(9);
  const std::string letters = "ab()[]:,->=/+.0159x tcpiregoutd";
  for (int i = 0; i < 20000; ++i) {
    std::string text = random.rule(3);
    for (auto n = random.below(4); n > 0; --n) {
      const auto at = random.below(text.size());
      switch (random.below(3)) {
        case 0:
          text[at] = letters[random.below(letters.size())];
          break;
        case 1:
          text.erase(at, 1 + random.below(3));
          break;
        default:
          text.insert(at, 1, letters[random.below(letters.size())]);
      }
      if (text.empty()) text = "x";
    }
    INFO(text);
    const auto rule = parse_rule(text);
    if (!rule) {
      REQUIRE_FALSE(rule.error().message.empty());
    } else {
      const auto again = parse_rule(format_rule(rule.value()));
      REQUIRE(again.ok());
      REQUIRE(again.value() == rule.value());
    }
  }
}

}  // namespace
}  // namespace weft::test
