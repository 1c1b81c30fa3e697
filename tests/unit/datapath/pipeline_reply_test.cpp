// Answers that the switch gives itself, byte for byte.
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

TEST_CASE("ARP is answered", "[pipeline][reply]") {
  Lab lab;
  lab.rules(
      "arp,arp_op=1,arp_tpa=10.0.0.1,actions=arp_reply(02:aa:00:00:00:01)\n"
      "priority=1,actions=drop");
  const Bytes request =
      hex("ffffffffffff 020000000005 0806 0001 0800 06 04 0001"
          "020000000005 0a000005 000000000000 0a000001");
  for (int i = 0; i < 2; ++i) {
    REQUIRE(lab.send(lab.packet(request), 2) == "2 consumed");
    REQUIRE(lab.output_bytes() == hex("020000000005 02aa00000001 0806 0001 0800 06 04 0002"
                                      "02aa00000001 0a000001 020000000005 0a000005"));
    REQUIRE(lab.outputs.out[0].packet->tenant == 1);
    REQUIRE(lab.outputs.out[0].packet->parent == lab.outputs.consumed[0]->id);
  }
  // A reply, or a request for another address, is none of its business.
  Bytes other = request;
  other[41] = 2;
  REQUIRE(lab.send(lab.packet(other), 2) == "drop(flow.drop)");
  other = request;
  other[21] = 2;
  REQUIRE(lab.send(lab.packet(other), 2) == "drop(flow.drop)");
}

TEST_CASE("ARP can be answered with moves, as OVN does", "[pipeline][reply]") {
  Lab lab;
  lab.rules(
      "arp,arp_op=1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
      "mod_dl_src:02:aa:00:00:00:01,load:2->NXM_OF_ARP_OP[],"
      "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],load:0x02aa00000001->NXM_NX_ARP_SHA[],"
      "move:NXM_OF_ARP_SPA[]->NXM_NX_REG0[],move:NXM_OF_ARP_TPA[]->NXM_OF_ARP_SPA[],"
      "move:NXM_NX_REG0[]->NXM_OF_ARP_TPA[],in_port");
  REQUIRE(lab.send(lab.packet(hex("ffffffffffff 020000000005 0806 0001 0800 06 04 0001"
                                  "020000000005 0a000005 000000000000 0a000001")),
                   2) == "2");
  REQUIRE(lab.output_bytes() == hex("020000000005 02aa00000001 0806 0001 0800 06 04 0002"
                                    "02aa00000001 0a000001 020000000005 0a000005"));
}

TEST_CASE("neighbour solicitations are answered", "[pipeline][reply]") {
  Lab lab;
  lab.rules("icmp6,icmp_type=135,nd_target=fd00::1,actions=nd_reply(02:aa:00:00:00:01)");
  // fd00::5 asks for fd00::1 with its MAC as an option.
  Bytes ask =
      hex("3333ff000001 020000000005 86dd 60000000 0020 3a ff"
          "fd000000000000000000000000000005 ff0200000000000000000001ff000001"
          "87 00 0000 00000000 fd000000000000000000000000000001 0101 020000000005");
  {
    Packet* p = lab.packet(ask);
    finish_l4_checksum(*p, 14);
    ask = frame_of(*p);
    REQUIRE(lab.send(p, 1) == "1 consumed");
  }
  const Bytes want =
      hex("020000000005 02aa00000001 86dd 60000000 0020 3a ff"
          "fd000000000000000000000000000001 fd000000000000000000000000000005"
          "88 00 0000 60000000 fd000000000000000000000000000001 0201 02aa00000001");
  REQUIRE(slow_verify(lab.output_bytes(), 14));
  Bytes got = lab.output_bytes();
  got[56] = got[57] = 0;  // the checksum was verified above
  REQUIRE(got == want);

  // Duplicate address detection: from nobody, so the answer goes to all nodes, unsolicited.
  Bytes probe =
      hex("3333ff000001 020000000005 86dd 60000000 0018 3a ff"
          "00000000000000000000000000000000 ff0200000000000000000001ff000001"
          "87 00 0000 00000000 fd000000000000000000000000000001");
  Packet* p = lab.packet(probe);
  finish_l4_checksum(*p, 14);
  REQUIRE(lab.send(p, 1) == "1 consumed");
  got = lab.output_bytes();
  REQUIRE(slow_verify(got, 14));
  got[56] = got[57] = 0;
  REQUIRE(got == hex("333300000001 02aa00000001 86dd 60000000 0020 3a ff"
                     "fd000000000000000000000000000001 ff020000000000000000000000000001"
                     "88 00 0000 20000000 fd000000000000000000000000000001 0201 02aa00000001"));
}

TEST_CASE("a router answers pings to itself", "[pipeline][reply]") {
  for (const bool v6 : {false, true}) {
    Lab lab;
    lab.rules(
        "priority=2,icmp,icmp_type=8,actions=icmp_echo_reply\n"
        "priority=2,icmp6,icmp_type=128,actions=icmp_echo_reply\npriority=1,actions=drop");
    const FlowSpec ping{.is6 = v6,
                        .protocol = v6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp,
                        .src_port = 77,
                        .dst_port = 3,
                        .icmp_type = static_cast<std::uint8_t>(v6 ? 128 : 8),
                        .payload = 56};
    for (int i = 0; i < 2; ++i) {
      REQUIRE(lab.send(ping, 1) == "1 consumed");
      FlowSpec pong = ping;
      std::swap(pong.src, pong.dst);
      pong.icmp_type = v6 ? 129 : 0;
      Packet* want = lab.packet(pong);
      REQUIRE(lab.output_bytes() == frame_of(*want));
      REQUIRE(lab.outputs.out[0].packet->payload == want->payload);
      lab.pool.give(want);
    }
  }
}

TEST_CASE("a router says that the time is over", "[pipeline][reply]") {
  Lab lab;
  lab.rules(
      "priority=3,cookie=9,ip,nw_ttl=1,actions=icmp_error(11,0,10.0.1.1)\n"
      "priority=3,ipv6,nw_ttl=1,actions=icmp_error(3,0,fd00::99)\n"
      "priority=1,actions=output:2");
  for (const bool v6 : {false, true}) {
    Packet* p = lab.packet(FlowSpec{.is6 = v6, .payload = 1000});
    if (v6) {
      p->data()[21] = 1;
    } else {
      p->data()[22] = 1;
      finish_ipv4_checksum(*p, 14);
    }
    const Bytes original = frame_of(*p);
    REQUIRE(lab.send(p, 1) == "1 drop(route.ttl)");
    if (!v6) REQUIRE(lab.outputs.dropped[0].cookie == 9);
    const Bytes f = lab.output_bytes();
    REQUIRE(slow_verify(f, 14));
    const std::size_t l4 = v6 ? 54 : 34;
    REQUIRE(f[l4] == (v6 ? 3 : 11));
    REQUIRE(f[l4 + 1] == 0);
    REQUIRE(std::equal(f.begin() + static_cast<std::ptrdiff_t>(l4) + 8, f.end(),
                       original.begin() + 14));
    if (!v6) REQUIRE(Bytes(f.begin() + 26, f.begin() + 30) == hex("0a000101"));
    // Nobody answers an error with an error.
    Bytes error = f;
    error[v6 ? 21 : 22] = 1;
    Packet* e = lab.packet(error);
    finish_l4_checksum(*e, 14);
    REQUIRE(lab.send(e, 1) == "drop(route.ttl)");
  }
}

TEST_CASE("answers to tagged frames have the tag", "[pipeline][reply]") {
  Lab lab;
  lab.rules(
      "priority=3,ip,nw_ttl=64,tcp,actions=icmp_error(11,0,10.0.1.1)\n"
      "priority=3,icmp,actions=icmp_echo_reply\n"
      "priority=3,arp,actions=arp_reply(02:aa:00:00:00:01)");
  const auto tag = hex("8100 6064");
  const auto has_tag = [&] {
    const Bytes f = lab.output_bytes();
    return std::equal(tag.begin(), tag.end(), f.begin() + 12) &&
           (f[16] != 8 || f[17] != 0 || slow_verify(f, 18));
  };
  Packet* p = lab.packet(FlowSpec{.vlan = true, .payload = 30});
  const Bytes before = frame_of(*p);
  REQUIRE(lab.send(p, 1) == "1 drop(route.ttl)");
  REQUIRE(has_tag());
  REQUIRE(frame_of(*lab.outputs.dropped[0].packet) == before);
  REQUIRE(lab.send(FlowSpec{.protocol = wire::kProtoIcmp, .vlan = true, .payload = 30}, 1) ==
          "1 consumed");
  REQUIRE(has_tag());
  REQUIRE(lab.send(lab.packet(hex("ffffffffffff 020000000005 8100 6064 0806 0001 0800 06 04 0001"
                                  "020000000005 0a000005 000000000000 0a000001")),
                   2) == "2 consumed");
  REQUIRE(has_tag());
}

TEST_CASE("an error quotes the packet, not the padding behind it", "[pipeline][reply]") {
  Lab lab;
  lab.rules("ip,actions=icmp_error(11,0,10.0.1.1)");
  Packet* p = lab.packet(FlowSpec{.payload = 2});
  Bytes f = frame_of(*p);
  lab.pool.give(p);
  f.resize(60 + 40);  // a real NIC pads
  REQUIRE(lab.send(lab.packet(f), 1) == "1 drop(route.ttl)");
  REQUIRE(lab.output_bytes().size() == 14 + 20 + 8 + 42);
}

TEST_CASE("an answer to a packet from a tunnel goes back through it", "[pipeline][reply]") {
  Lab a, b({}, lab_vtep(2));
  a.rules(
      "in_port=1,actions=set_field:5->tun_id,set_field:0x10002->tun_metadata0,"
      "set_field:172.16.0.2->tun_dst,output:11\n"
      "in_port=11,tun_id=5,tun_metadata0=0x20001,tun_src=172.16.0.2,actions=output:1");
  b.rules("arp,arp_op=1,actions=arp_reply(02:aa:00:00:00:01)");
  REQUIRE(a.send(a.packet(hex("ffffffffffff 020000000005 0806 0001 0800 06 04 0001"
                              "020000000005 0a000005 000000000000 0a000001")),
                 1) == "20");
  REQUIRE(b.send(b.packet(a.output_bytes()), 20) == "20 consumed");
  REQUIRE(verify_checksums(*b.outputs.out[0].packet, true) == ChecksumFault::ok);
  REQUIRE(a.send(a.packet(b.output_bytes()), 20) == "1");
  REQUIRE(a.output_bytes() == hex("020000000005 02aa00000001 0806 0001 0800 06 04 0002"
                                  "02aa00000001 0a000001 020000000005 0a000005"));
}

}  // namespace
}  // namespace weft::test
