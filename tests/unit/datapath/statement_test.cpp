// Lines of a switch file: canonical text, errors with their place, and texts at random.
#include "datapath/statement.h"

#include "tests/catch.h"
#include "tests/fuzz/switch_entry.h"
#include "tests/unit/datapath/random_rules.h"

namespace weft::test {
namespace {

using datapath::format_statement;
using datapath::parse_statement;

struct Pair {
  const char* text;
  const char* canonical;  // nullptr: as it is
};

const Pair kPairs[] = {
    {"port 1=vm", nullptr},
    {"port 10=vxlan,name=vx0,remote=172.16.0.2,key=42", nullptr},
    {"port 10=geneve,remote_ip=fd00::1,key=flow,down", "port 10=geneve,remote=fd00::1,down"},
    {"vtep address=10.0.0.1,mtu=1500",
     "vtep address=10.0.0.1,mac=00:00:00:00:00:00,next_hop=00:00:"
     "00:00:00:00,mtu=1500"},
    {"vtep address=10.0.0.1,mac=00:00:00:00:00:00,next_hop=00:00:00:00:00:00,mtu=9000,fragments="
     "refuse,zero_checksum=accept,decap_dscp=copy,decap_ttl=copy,verify_checksum=0,df=0,dscp="
     "inherit"
     ",ecn=compatibility,flow_id=0,gre_checksum=1,gre_key=0,gre_sequence=1,inner_vlan=1,lisp_nonce="
     "5,lisp_echo_nonce=1,lisp_instance=0,lisp_locators=7,outer_vlan=100,source_ports=1-65535,"
     "stt_vlan=0,ttl=inherit,udp_checksum=0",
     nullptr},
    {"port 10=lisp,name=l,remote=172.16.0.2,key=42,lisp_map_versions=1-4095,tenant=3", nullptr},
    {"ct zone=3,limit=0x10,udp=1500ms,tcp_established=2h,udp=90s",
     "ct zone=3,limit=16,tcp_established=7200s,udp=90s"},
    {"ct max=5,limit=4,early_drop=0,checksums=0,loose=0,liberal=1,fragments=invalid,icmp=7ms",
     nullptr},
    {"  flow add  ip actions=2", "table=0,priority=32768,ip,actions=output:2"},
    {"delete", nullptr},
    {"delete table=3, ip", "delete table=3,ip"},
    {"delete cookie=0x5/-1,ip", "!"},
    {"delete cookie=5/0xff,out_port=3", "delete cookie=0x5/0xff,out_port=3"},
    {"delete_strict table=0,priority=7,ip", nullptr},
    {"modify tcp,actions=3", "modify priority=32768,tcp,actions=output:3"},
    {"group_id=1,type=all,bucket=output:1",
     "group group_id=1,type=all,bucket=bucket_id:0,actions="
     "output:1"},
    {"group group_id=7,type=select,selection_method=hash,fields(ip_dst,nw_src=255.255.0.0),bucket="
     "weight:3,actions=resubmit(,5),drop(policy)",
     "group group_id=7,type=select,selection_method=hash,fields(nw_src=255.255.0.0,nw_dst),bucket="
     "bucket_id:0,weight:3,actions=resubmit(,5),drop(policy)"},
    {"group group_id=7,type=select,selection_method=maglev,selection_method_param=251,bucket="
     "bucket_id:4,actions=output:1",
     nullptr},
    {"group group_id=2,type=ff,bucket=watch_port:3,watch_group:1,actions=output:3",
     "group group_id=2,type=ff,bucket=bucket_id:0,watch_port:3,watch_group:1,actions=output:3"},
    {"group delete group_id=2", nullptr},
    {"group delete", "group delete group_id=all"},
    {"meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=10,type=drop,rate=7",
     "meter meter=1,kbps,burst,band=type=drop,rate=1000,burst_size=10,band=type=drop,rate=7"},
    {"meter delete meter=1", nullptr},
    {"mirror name=m,select_all,output_port=3", nullptr},
    {"mirror select_dst_port=1,select_src_port=2,output_port=3",
     "mirror select_src_port=2,select_dst_port=1,output_port=3"},
    {"actions=learn(table=3,idle_timeout=5,fin_idle_timeout=3)", "!"},
    {"send_flow_rem check_overlap no_packet_counts importance=5 actions=2",
     "table=0,send_flow_rem,check_overlap,priority=32768,actions=output:2"},
    {"meter=1 pktps burst stats bands=type=drop rate=1000 burst_size=10",
     "meter meter=1,pktps,burst,band=type=drop,rate=1000,burst_size=10"},
    {"group_id=1 type=all bucket=output:2 bucket=actions=mod_nw_ttl:5, output:3",
     "group group_id=1,type=all,bucket=bucket_id:0,actions=output:2,"
     "bucket=bucket_id:1,actions=set_field:5->nw_ttl,output:3"},
    {"group insert_bucket group_id=1,command_bucket_id=first,bucket=bucket_id=7,weight:3,output:2",
     "group insert_buckets group_id=1,command_bucket_id=first,bucket=bucket_id:7,weight:3,"
     "actions=output:2"},
    {"group insert_buckets group_id=1,bucket=output:2",
     "group insert_buckets group_id=1,command_bucket_id=last,bucket=actions=output:2"},
    {"group remove_buckets group_id=1,command_bucket_id=7",
     "group remove_buckets group_id=1,command_bucket_id=7"},
    {"ip,actions=learn(hard_timeout=5,priority=3,cookie=9,eth_type=0x800,NXM_OF_IP_SRC[],load:5->"
     "reg0,"
     "output:in_port)",
     "table=0,priority=32768,ip,actions=learn(table=1,hard_timeout=5,priority=3,cookie=0x9,NXM_OF_"
     "ETH_"
     "TYPE[]=0x800,NXM_OF_IP_SRC[],load:0x5->NXM_NX_REG0[],output:NXM_OF_IN_PORT[])"},
    {"actions=controller,CONTROLLER:128,controller(reason=no_match,id=3,userdata=00.ff,max_len=9)",
     "table=0,priority=32768,actions=CONTROLLER:65535,CONTROLLER:128,controller(max_len=9,reason="
     "no_match,id=3,userdata=00.ff)"},
    {"actions=group:5,meter:6,clone(dec_ttl,2),push:reg0,pop:NXM_NX_REG1[0..7],all,exit",
     "table=0,priority=32768,actions=group:5,meter:6,clone(dec_ttl,output:2),push:NXM_NX_REG0[],"
     "pop:NXM_NX_REG1[0..7],all,exit"},
    {"actions=dhcp_reply(server=10.0.0.1,address=10.0.0.5,mac=02:00:00:00:00:01,lease=60,dns=8.8.8."
     "8,dns=1.1.1.1,option43=0a0b)",
     "table=0,priority=32768,actions=dhcp_reply(address=10.0.0.5,server=10.0.0.1,mac=02:00:00:00:00"
     ":01,dns=8.8.8.8,dns=1.1.1.1,lease=60,option43=0a0b)"},
    {"actions=write_metadata:5,set_vlan_vid:7",
     "table=0,priority=32768,actions=set_field:0x5->metadata,mod_vlan_vid:7"},
};

TEST_CASE("statements have one canonical text", "[statement]") {
  for (const Pair& p : kPairs) {
    INFO(p.text);
    const auto s = parse_statement(p.text);
    if (p.canonical != nullptr && p.canonical[0] == '!') {
      CHECK_FALSE(s.ok());
      continue;
    }
    if (!s) FAIL(s.error().text());
    const std::string text = format_statement(*s);
    CHECK(text == (p.canonical != nullptr ? p.canonical : p.text));
    const auto again = parse_statement(text);
    REQUIRE(again.ok());
    CHECK(format_statement(*again) == text);
    CHECK(again->rule == s->rule);
    CHECK(again->group == s->group);
    CHECK(again->meter == s->meter);
    CHECK(again->mirror == s->mirror);
    CHECK(again->filter == s->filter);
  }
}

struct Wrong {
  const char* file;
  int line, column;
  const char* message;
  const char* remedy;
};

const Wrong kWrong[] = {
    {"ip,actions=2\n# fine\n\n  tcp,tp_dts=3,actions=2\n", 4, 7, "unknown field 'tp_dts'",
     "did you mean tp_dst?"},
    {"flow add ip,nw_dst=1.2.3,actions=drop", 1, 20, "'1.2.3' is not a value of nw_dst", nullptr},
    {"ip,actions=output:nowhere", 1, 19, "unknown field 'nowhere'", nullptr},
    {"port 1=vm,name=a\nport 2=vn", 2, 8, "a port's kind has no 'vn'", "did you mean vm?"},
    {"port x=vm", 1, 6, "'x' is not a value of a port", nullptr},
    {"port 0=vm", 1, 6, "0 is no port", "ports are 1 to 65279"},
    {"port 1=vm,remote=1.2.3.4", 1, 11, "remote is for tunnels", "remove it"},
    {"port 1", 1, 6, "'1' declares no port", nullptr},
    {"vtep adress=1.2.3.4", 1, 6, "vtep has no 'adress'", "did you mean address?"},
    {"vtep ttl=300", 1, 10, "ttl: '300' is out of range",
     "write a number from 1 to 255, or inherit"},
    {"vtep mtu=0", 1, 10, "'0' is not a value of mtu", "write a number from 576 to 65535"},
    {"vtep address=fd00::1,mtu=1000", 1, 26, "an MTU of 1000 for IPv6", nullptr},
    {"vtep address=10.0.0.1\n vtep address=10.0.0.2", 2, 2, "vtep is there already, since line 1",
     "remove one of the two"},
    {"vtep ecn=off", 1, 10, "ecn: 'off' is no way to treat ECN", nullptr},
    {"vtep lisp_nonce=1,lisp_map_versions=1-2", 1, 37,
     "lisp_map_versions: a nonce and map versions together", nullptr},
    {"vtep source_ports=9-5", 1, 19, "source_ports: '5' is out of range",
     "write a number from 9 to 65535"},
    {"vtep fragments=maybe", 1, 16, "'maybe' is not a value of fragments",
     "write one of reassemble, refuse"},
    {"port 1=vm\nport 2=vm\nport 1=vm", 3, 6, "port 1 is there already, since line 1", nullptr},
    {"port 1=vm,name=a\nport 2=vm,name=a", 2, 11, "a port named a is there already, since line 1",
     nullptr},
    {"port 1=uplink\nport 2=uplink", 2, 8, "a port of kind uplink is there already, since line 1",
     nullptr},
    {"port 10=vxlan,key=99999999999", 1, 19, "'99999999999' is not a value of key",
     "write a number from 0 to 16777215"},
    {"port 10=geneve,key=16777216", 1, 20, "'16777216' is not a value of key", nullptr},
    {"port 10=nvgre,key=42", 1, 19, "'42' is not a value of key",
     "write a number from 4096 to 16777214"},
    {"port 10=gre,key=4294967296", 1, 17, "'4294967296' is not a value of key", nullptr},
    {"port 10=etherip,key=5000", 1, 17, "etherip carries no key", "remove it"},
    {"port 10=vxlan,flow_id=1", 1, 15, "flow_id is not for vxlan", "remove it"},
    {"port 1=vm,ttl=3", 1, 11, "ttl is not for vm", "remove it"},
    {"vtep address=10.0.0.1\nport 10=vxlan,remote=fd00::2", 2, 22,
     "fd00::2 is not of the endpoint's family (10.0.0.1)", "write an IPv4 address"},
    {"port 10=vxlan,remote=10.0.0.2\nvtep address=fd00::1", 1, 22,
     "10.0.0.2 is not of the endpoint's family (fd00::1)", "write an IPv6 address"},
    {"group_id=1,type=all,bucket=output:1\ngroup_id=1,type=all,bucket=output:2", 2, 1,
     "group 1 is there already, since line 1", "write `group modify ...` to change it"},
    {"meter=1,kbps,band=type=drop,rate=5\nmeter=1,kbps,band=type=drop,rate=5", 2, 1,
     "meter 1 is there already, since line 1", "write `meter modify ...` to change it"},
    {"ct", 1, 3, "a ct statement that says nothing", nullptr},
    {"ct zone=1", 1, 4, "a ct statement that says nothing", nullptr},
    {"ct zone=1,early_drop=1", 1, 11,
     "what concerns the whole table, in a statement about one zone", nullptr},
    {"ct udp=0s", 1, 8, "a timeout of 0s", nullptr},
    {"ct udp=3", 1, 8, "'3' has no unit", nullptr},
    {"ct upd=3s", 1, 4, "ct has no 'upd'", "did you mean udp?"},
    {"delete out_port=x", 1, 17, "'x' is not a port", nullptr},
    {"delete cookie=1/z", 1, 17, "'z' is not a value of cookie", nullptr},
    {"group type=all", 1, 7, "a group without a number", "begin with group_id=N"},
    {"group_id=1,bucket=output:1", 1, 1, "a group without a type", nullptr},
    {"group_id=1,type=some", 1, 17, "'some' is not a type of group",
     "one of all, select, indirect, ff"},
    {"group_id=1,type=ff,bucket=output:1", 1, 1,
     "bucket 0 of a fast-failover group watches nothing", nullptr},
    {"group_id=1,type=indirect", 1, 1, "an indirect group with 0 buckets", nullptr},
    {"group_id=1,type=all,bucket=outptu:1", 1, 28, "unknown action 'outptu'",
     "did you mean output?"},
    {"group_id=1,type=all,bucket=actions=2,bucket=actions=group:x", 1, 59, "'x' is not a group",
     nullptr},
    {"group_id=1,type=select,selection_method=maglev,selection_method_param=10,bucket=output:1", 1,
     1, "a Maglev table of 10 entries", nullptr},
    {"group_id=1,type=select,selection_method=hash,bucket=output:1", 1, 1,
     "selection_method=hash without fields", nullptr},
    {"group_id=1,type=all,bukcet=output:1", 1, 21, "a group has no 'bukcet'",
     "did you mean bucket?"},
    {"meter=1,band=type=drop,rate=5", 1, 1, "a meter without a unit", "add kbps or pktps"},
    {"meter=1,kbps", 1, 1, "a meter without a band", nullptr},
    {"meter=1,kbps,band=type=dscp_remark,rate=5", 1, 24, "a band of type 'dscp_remark'",
     "weft has type=drop only"},
    {"meter=0,kbps,band=type=drop,rate=5", 1, 7, "0 is no meter", nullptr},
    {"meter=1,kbps,rate=5", 1, 14, "rate outside of a band", nullptr},
    {"mirror output_port=1", 1, 8, "a mirror that selects nothing", nullptr},
    {"mirror select_all", 1, 8, "a mirror without an output", nullptr},
    {"actions=normal", 1, 9, "weft has no action 'normal'", nullptr},
    {"actions=learn(table=300)", 1, 21, "'300' is not a table", nullptr},
    {"ip,actions=learn(NXM_OF_IP_SRC[])", 1, 18,
     "nw_src exists only in some packets, and learn() does not say which", nullptr},
    {"actions=learn(limit=3)", 1, 15, "weft's learn() has no limit", "remove it"},
    {"actions=learn(NXM_OF_ETH_SRC[]=NXM_NX_REG0[])", 1, 15, "32 bits become 48 bits", nullptr},
    {"actions=learn(load:5->dl_type)", 1, 23, "dl_type cannot be written", nullptr},
    {"actions=controller(usrdata=00)", 1, 20, "controller() has no 'usrdata'",
     "did you mean userdata?"},
    {"actions=controller(userdata=0)", 1, 29, "userdata is bytes of two hexadecimal digits",
     nullptr},
    {"actions=meter:x", 1, 15, "'x' is not a meter", nullptr},
    {"actions=clone(outptu:1)", 1, 15, "unknown action 'outptu'", "did you mean output?"},
    {"actions=pop:dl_type", 1, 13, "dl_type cannot be written", nullptr},
    {"insert_buckets ip,actions=2", 1, 1, "insert_buckets is for groups", nullptr},
    {"group insert_buckets command_bucket_id=x,group_id=1", 1, 40,
     "'x' is not a value of command_bucket_id", nullptr},
    {"actions=exit,drop", 1, 14, "drop beside other actions", nullptr},
    {"actions=learn(NXM_OF_IP_SRC[])", 1, 15,
     "NXM_OF_IP_SRC exists only in some packets, and the match does not say which",
     "add ip to the match"},
    {"actions=dhcp_reply(address=10.0.0.5)", 1, 20, "dhcp_reply() without address, server and mac",
     nullptr},
    {"actions=dhcp_reply(adress=10.0.0.5)", 1, 20, "dhcp_reply() has no 'adress'",
     "did you mean address?"},
};

TEST_CASE("a file's errors have line, column and remedy", "[statement]") {
  for (const Wrong& w : kWrong) {
    INFO(w.file);
    const auto file = datapath::parse_switch_file(w.file, "rules");
    REQUIRE_FALSE(file.ok());
    INFO(file.error().text());
    CHECK(file.error().place == Place{"rules", w.line, w.column});
    CHECK(file.error().message == w.message);
    if (w.remedy != nullptr) CHECK(file.error().remedy == w.remedy);
    CHECK_FALSE(file.error().remedy.empty());
  }
}

TEST_CASE("no line of a file crashes its reader", "[statement]") {
  RandomRules random(4);
  const std::string letters = "ab()[]:,->=/+.#159x \ntcpgroumvidl";
  int understood = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string text;
    if (i % 4 == 0)
      for (const auto& line : random.surroundings()) text += line + "\n";
    else if (i % 4 == 1)
      text = kPairs[random.below(std::size(kPairs))].text;
    else
      text = random.rule(3) + "\n" + random.rule(3);
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
    understood += datapath::parse_switch_file(text, "f").ok();
    fuzz::switch_file({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }
  REQUIRE(understood > 1000);
}

}  // namespace
}  // namespace weft::test
