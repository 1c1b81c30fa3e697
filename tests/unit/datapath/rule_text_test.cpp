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
    {"vlan_vid=7,actions=drop", "dl_vlan=7,actions=drop"},
    {"dl_vlan=0xffff,actions=drop", "vlan_tci=0x0000,actions=drop"},
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
    {"actions=set_field:4103->vlan_vid", "actions=set_field:7->dl_vlan"},
    {"ip,ip_frag=later,nw_tos=0x20,nw_ecn=1,nw_ttl=1,actions=drop",
     "ip,nw_tos=32,nw_ecn=1,nw_ttl=1,nw_frag=later,actions=drop"},
    {"tcp,tcp_flags=+syn-ack,actions=drop", "tcp,tcp_flags=+syn-ack,actions=drop"},
    {"tcp,tcp_flags=2,actions=drop", "tcp,tcp_flags=0x2,actions=drop"},
    {"cookie=0x1f, duration=1.5s, table=0, n_packets=3, n_bytes=180, idle_timeout=5, priority=32768"
     " actions=drop",
     nullptr},
    {"actions=load:5->NXM_NX_REG0[]", "actions=set_field:0x5->reg0"},
    {"actions=load:5->NXM_NX_REG0[4..7]", "actions=load:0x5->NXM_NX_REG0[4..7]"},
    {"actions=load:1->nxm_nx_reg0[31]", "actions=load:0x1->NXM_NX_REG0[31]"},
    {"actions=set_field:0x50/0xf0->reg2", "actions=load:0x5->NXM_NX_REG2[4..7]"},
    {"actions=set_field:0x50/0x55->reg2", "actions=set_field:0x50/0x55->reg2"},
    {"actions=mod_dl_dst:02:00:00:00:00:01,mod_nw_dst:1.2.3.4,mod_tp_dst:80,mod_vlan_vid:5",
     "actions=set_field:02:00:00:00:00:01->dl_dst,set_field:1.2.3.4->nw_dst,"
     "set_field:80->tp_dst,set_field:5->dl_vlan"},
    {"actions=set_tunnel:7,set_field:1.1.1.1->tun_dst,output:NXM_NX_REG15[]",
     "actions=set_field:0x7->tun_id,set_field:1.1.1.1->tun_dst,output:NXM_NX_REG15[]"},
    {"actions=output:reg15", "actions=output:NXM_NX_REG15[]"},
    {"actions=output:reg15[0..15]", "actions=output:NXM_NX_REG15[0..15]"},
    {"actions=move:reg0[0..15]->reg1[16..31],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
     "actions=move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31],"
     "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]"},
    {"actions=resubmit(,5),resubmit(3,6),resubmit:4,goto_table:9",
     "actions=resubmit(,5),resubmit(3,6),resubmit:4,goto_table:9"},
    {"actions=ct(commit, zone=NXM_NX_REG13[0..15], table=4, exec(set_field:1/1->ct_mark))",
     "actions=ct(commit,table=4,zone=NXM_NX_REG13[0..15],"
     "exec(load:0x1->NXM_NX_CT_MARK[0]))"},
    {"actions=ct(table=1,zone=NXM_NX_REG13[])", "actions=ct(table=1,zone=NXM_NX_REG13[0..15])"},
    {"actions=ct(commit),ct_clear,2", "actions=ct(commit),ct_clear,output:2"},
    {"actions=push_vlan:0x8100,pop_vlan,strip_vlan,dec_ttl,note:00.11",
     "actions=push_vlan:0x8100,pop_vlan,pop_vlan,dec_ttl,note:00.11"},
    {"actions=drop(policy)", "actions=drop(policy)"},
    {"actions=drop(port.security)", "actions=drop(port.security)"},
    {"actions=arp_reply(02:00:00:00:00:01)", "actions=arp_reply(02:00:00:00:00:01)"},
    {"actions=nd_reply(02:00:00:00:00:01)", "actions=nd_reply(02:00:00:00:00:01)"},
    {"actions=icmp_error(11,0,10.0.0.1)", "actions=icmp_error(11,0,10.0.0.1)"},
    {"actions=icmp_error(3,0,fd00::1)", "actions=icmp_error(3,0,fd00::1)"},
    {"actions=ct(commit,force,zone=3,table=4,nat(src=10.0.0.1-10.0.0.9:1000-2000,random),"
     "exec(load:1->NXM_NX_CT_LABEL[64],set_field:5/7->ct_mark))",
     "actions=ct(commit,force,table=4,zone=3,nat(src=10.0.0.1-10.0.0.9:1000-2000,random),"
     "exec(load:0x1->NXM_NX_CT_LABEL[64],load:0x5->NXM_NX_CT_MARK[0..2]))"},
    {"actions=ct(nat,table=1),ct_clear", "actions=ct(table=1,nat),ct_clear"},
    {"actions=ct(commit,exec(set_field:0x10000000000000001->ct_label))",
     "actions=ct(commit,exec(set_field:0x10000000000000001->ct_label))"},
    {"actions=ct(commit,nat(dst=[fd00::1]-[fd00::2]:80))",
     "actions=ct(commit,nat(dst=[fd00::1]-[fd00::2]:80))"},
    {"actions=icmp_echo_reply", "actions=icmp_echo_reply"},
    {"actions=reject", "actions=reject"},
    {"ip,actions=reject(10.0.0.1)", "ip,actions=reject(10.0.0.1)"},
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
    {"actions=ct(nat(src=1.1.1.1))", 12, "nat(src=...) or nat(dst=...) without commit",
     "write ct(commit,...,nat(...)), or nat alone for connections that are there"},
    {"actions=ct(force)", 12, "force without commit", "write ct(commit,force,...)"},
    {"actions=ct(commit,nat(src=1.1.1.300))", 27, "'1.1.1.300' is not a range of addresses",
     nullptr},
    {"actions=ct(commit,alg=ftp)", 19, "ct() has no 'alg=ftp'",
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
    {"actions=ct(comit)", 12, "ct() has no 'comit'", nullptr},
    {"actions=ct(exec(set_field:1->ct_mark))", 12, "exec(...) without commit", nullptr},
    {"actions=ct(commit,exec(output:1))", 24, "'output' is not allowed inside exec()", nullptr},
    {"actions=drop(policy),output:1", 22, "an action that is never reached", nullptr},
    {"actions=resubmit(,5", 9, "a '(' that no ')' closes", nullptr},
    {"actions=arp_reply(1.2.3.4)", 19, "'1.2.3.4' is not a MAC address", nullptr},
    {"actions=icmp_error(11,0)", 20, nullptr, "write icmp_error(11,0,10.0.0.1)"},
    {"actions=reject(fd00)", 16, "'fd00' is not an address", nullptr},
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
