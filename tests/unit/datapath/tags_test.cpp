// Tags upon tags, byte for byte; neighbour discovery written and judged.
#include "datapath/checksum.h"
#include "tests/catch.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

// UDP from 10.0.0.5 to 10.0.0.9, behind `tags`.
Bytes frame(const std::string& tags) {
  return hex("020000000009 020000000005" + tags +
             "0800 4500 0020 0001 0000 4011 66bf 0a000005 0a000009 04d2 0050 000c 0000 61626364");
}
std::string sent(Lab& lab, const Bytes& b) { return lab.send(lab.packet(b), 1); }
std::string sent_with_checksum(Lab& lab, const Bytes& b) {
  Packet* p = lab.packet(b);
  finish_l4_checksum(*p, 14);
  return lab.send(p, 1);
}
/// The tags of what came out, and of the rest what changes.
std::string seen(const Lab& lab, std::size_t n = 0) {
  const Bytes b = lab.output_bytes(n);
  std::size_t at = 12;
  std::string out;
  while (b[at] == 0x81 || b[at] == 0x88) {
    for (int i = 0; i < 4; ++i) {
      const char* digits = "0123456789abcdef";
      out += digits[b[at] >> 4];
      out += digits[b[at++] & 15];
    }
    out += ' ';
  }
  REQUIRE(slow_verify(b, at + 2));
  return out + "ttl " + std::to_string(b[at + 2 + 8]);
}

TEST_CASE("a tag is pushed upon a tag, and the headers behind stay within reach", "[tags]") {
  Lab lab;
  lab.pipeline.check_caches(1);
  lab.rules(
      "table=0,actions=push_vlan:0x88a8,set_field:4105->vlan_vid,dec_ttl,output:2,resubmit(,1)\n"
      "table=1,ip,dl_vlan=9,actions=pop_vlan,mod_nw_ttl:9,output:3,pop_vlan,resubmit(,2)\n"
      "table=2,vlan_tci=0,actions=mod_nw_ttl:7,output:4");
  for (int i = 0; i < 2; ++i) {
    REQUIRE(sent(lab, frame("8100 a064")) == "2 3 4");
    CHECK(seen(lab, 0) == "88a80009 8100a064 ttl 63");
    CHECK(seen(lab, 1) == "8100a064 ttl 9");
    CHECK(seen(lab, 2) == "ttl 7");
    REQUIRE(sent(lab, frame("")) == "2 3 4");
    CHECK(seen(lab, 0) == "88a80009 ttl 63");
    CHECK(seen(lab, 1) == "ttl 9");
  }
}

TEST_CASE("tags survive connection tracking", "[tags]") {
  Lab lab;
  lab.rules(
      "table=0,ip,actions=push_vlan:0x8100,mod_vlan_vid:9,ct(table=1)\n"
      "table=1,ct_state=+trk,dl_vlan=9,actions=pop_vlan,resubmit(,2)\n"
      "table=2,dl_vlan=100,dl_vlan_pcp=5,actions=dec_ttl,output:2");
  for (int i = 0; i < 2; ++i) {
    REQUIRE(sent(lab, frame("8100 a064")) == "2");
    CHECK(seen(lab) == "8100a064 ttl 63");
  }
  CHECK(sent(lab, frame("8100 a065")) == "drop(flow.miss)");
}

TEST_CASE("a second tag that came with the frame shows when the first is gone", "[tags]") {
  Lab lab;
  lab.rules(
      "table=0,dl_vlan=5,dl_type=0x8100,actions=pop_vlan,output:2,resubmit(,1)\n"
      "table=0,dl_vlan=6,actions=drop\n"
      "table=1,vlan_tci=0,dl_type=0x8100,actions=output:3");
  REQUIRE(sent(lab, frame("88a8 0005 8100 0006")) == "2 3");
  CHECK(seen(lab) == "81000006 ttl 64");
  CHECK(sent(lab, frame("8100 0006 8100 0005")) == "drop(flow.drop)");
}

TEST_CASE("answers keep the tags that the packet has", "[tags]") {
  Lab lab;
  lab.rules("actions=push_vlan:0x88a8,mod_vlan_vid:9,icmp_error(3,1,10.0.0.1)");
  REQUIRE(sent(lab, frame("8100 0064")) == "1 drop(route.none)");
}

TEST_CASE("pushing has an end", "[tags]") {
  Lab lab;
  std::string rule = "actions=push_vlan:0x8100";
  for (int i = 0; i < 8; ++i) rule += ",push_vlan:0x8100";
  lab.rules(rule + ",output:2");
  CHECK(sent(lab, frame("")) == "2");
  CHECK(lab.output_bytes().size() == frame("").size() + 36);
  CHECK(sent(lab, frame("8100 0001")) == "drop(parse.malformed)");
}

// fd00::5 asks for fd00::1.
Bytes solicitation() {
  return hex(
      "3333ff000001 020000000005 86dd 60000000 0020 3a ff"
      "fd000000000000000000000000000005 ff0200000000000000000001ff000001"
      "87 00 0000 00000000 fd000000000000000000000000000001 0101 020000000005");
}

TEST_CASE("neighbour discovery can be rewritten", "[tags][reply]") {
  Lab lab;
  lab.rules(
      "table=0,icmp6,icmp_type=135,icmp_code=0,actions=set_field:fd00::9->nd_target,"
      "set_field:02:00:00:00:00:77->nd_sll,output:2\n"
      "table=0,icmp6,icmp_type=136,icmp_code=0,actions=set_field:02:00:00:00:00:78->nd_tll,"
      "load:7->nd_target[0..7],output:2");
  REQUIRE(sent_with_checksum(lab, solicitation()) == "2");
  Bytes want = solicitation();
  want[14 + 40 + 23] = 9;
  want.back() = 0x77;
  Bytes got = lab.output_bytes();
  REQUIRE(slow_verify(got, 14));
  got[56] = got[57] = 0;
  CHECK(got == want);

  Bytes advertisement = solicitation();
  advertisement[54] = 136;
  REQUIRE(sent_with_checksum(lab, advertisement) == "2");
  got = lab.output_bytes();
  REQUIRE(slow_verify(got, 14));
  CHECK(got[14 + 40 + 23] == 7);
  CHECK(got.back() == 5);  // it has no option of that kind
  advertisement[78] = 2;
  REQUIRE(sent_with_checksum(lab, advertisement) == "2");
  got = lab.output_bytes();
  REQUIRE(slow_verify(got, 14));
  CHECK(got.back() == 0x78);
}

TEST_CASE("solicitations that RFC 4861 says to discard get no answer", "[tags][reply]") {
  Lab lab;
  lab.rules("icmp6,icmp_type=135,actions=nd_reply(02:aa:00:00:00:01)");
  CHECK(sent_with_checksum(lab, solicitation()) == "1 consumed");
  const auto changed = [&](std::initializer_list<std::pair<std::size_t, std::uint8_t>> list) {
    Bytes b = solicitation();
    for (const auto& [at, v] : list) b[at] = v;
    return sent_with_checksum(lab, b);
  };
  CHECK(changed({{21, 64}}) == "drop(parse.malformed)");    // the hop limit
  CHECK(changed({{55, 1}}) == "drop(parse.malformed)");     // the code
  CHECK(changed({{62, 0xff}}) == "drop(parse.malformed)");  // a target that is a group
  CHECK(changed({{79, 0}}) == "drop(parse.malformed)");     // an option of no length
  CHECK(changed({{79, 2}}) == "drop(parse.malformed)");     // one beyond the end
  // From nobody: with a source's MAC, or to an address that no node asks for.
  CHECK(changed({{22, 0}, {37, 0}}) == "drop(parse.malformed)");
  CHECK(changed({{22, 0}, {37, 0}, {78, 14}}) == "1 consumed");
  CHECK(changed({{22, 0}, {37, 0}, {78, 14}, {50, 0}}) == "drop(parse.malformed)");
  Packet* p = lab.packet(solicitation());  // no checksum
  CHECK(lab.send(p, 1) == "drop(parse.malformed)");
}

}  // namespace
}  // namespace weft::test
