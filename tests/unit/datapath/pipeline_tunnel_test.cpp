// Frames through two switches: encapsulation, decapsulation, what does not fit, what is refused.
#include <set>

#include "datapath/parse.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using wire::kProtoIcmp;
using wire::kProtoIcmpv6;
using wire::kProtoTcp;
using wire::kProtoUdp;

/// Two hypervisors: 172.16.0.1 and 172.16.0.2, or fd00::1 and fd00::2.
datapath::VtepConfig vtep_of(std::uint32_t n, bool v6) {
  datapath::VtepConfig v = lab_vtep(n);
  if (v6) v.address = Ip6{0xfd00ULL << 48, n};
  return v;
}

TEST_CASE("a frame crosses two switches unchanged", "[pipeline][tunnel]") {
  for (const bool outer6 : {false, true}) {
    for (const bool geneve : {false, true}) {
      for (const auto& spec : std::vector<FlowSpec>{{.payload = 1000},
                                                    {.protocol = kProtoUdp, .payload = 17},
                                                    {.is6 = true, .payload = 3},
                                                    {.protocol = kProtoIcmp, .payload = 56},
                                                    {.tos = 2, .payload = 10}}) {
        Lab a({}, vtep_of(1, outer6)), b({}, vtep_of(2, outer6));
        const std::string to =
            outer6 ? "set_field:fd00::2->tun_ipv6_dst" : "set_field:172.16.0.2->tun_dst";
        a.rules("in_port=1,actions=set_field:0xabcdef->tun_id,set_field:0x30007->tun_metadata0," +
                to + ",output:" + (geneve ? "11" : "10"));
        b.rules(std::string("in_port=") + (geneve ? "11" : "10") + ",tun_id=0xabcdef" +
                (geneve ? ",tun_metadata0=0x30007" : "") +
                (outer6 ? ",tun_ipv6_src=fd00::1" : ",tun_src=172.16.0.1,tun_dst=172.16.0.2") +
                ",actions=output:3");
        INFO("outer6 " << outer6 << " geneve " << geneve << " proto " << int(spec.protocol));
        for (int i = 0; i < 2; ++i) {  // through the slow path, then the cache
          Packet* p = a.packet(spec);
          p->route_hash = 99;
          const Bytes inner = frame_of(*p);
          REQUIRE(a.send(p, 1) == "20");
          const Packet& outer = *a.outputs.out[0].packet;
          REQUIRE(outer.route_hash == 0);
          REQUIRE(outer.tenant == 1);
          REQUIRE(verify_checksums(outer, true) == ChecksumFault::ok);
          const std::uint32_t overhead = (outer6 ? 70u : 50u) + (geneve ? 8u : 0u);
          REQUIRE(outer.size() == inner.size() + overhead);
          // The outer header says what it must.
          const Bytes bytes = frame_of(outer);
          const std::size_t udp = outer6 ? 54 : 34;
          REQUIRE(bytes[udp] * 256 + bytes[udp + 1] >= 49152);
          REQUIRE(bytes[udp + 2] * 256 + bytes[udp + 3] == (geneve ? 6081 : 4789));
          REQUIRE((bytes[outer6 ? 15 : 15] & (outer6 ? 0x30 : 0x03)) ==
                  (outer6 ? (spec.tos & 3) << 4 : (spec.tos & 3)));
          Packet* q = a.take_output();
          const bool arrived = b.send(b.packet(frame_of(*q)), 20) == "3";
          a.pool.give(q);
          REQUIRE(arrived);
          REQUIRE(b.output_bytes() == inner);
        }
        REQUIRE(a.pipeline.stats().exact_match_hits + a.pipeline.stats().megaflow_hits == 1);
        REQUIRE(b.pipeline.stats().exact_match_hits + b.pipeline.stats().megaflow_hits == 1);
      }
    }
  }
}

TEST_CASE("one flow keeps one source port, others spread", "[pipeline][tunnel]") {
  Lab a;
  a.rules("in_port=1,actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:10");
  std::set<int> ports;
  for (std::uint16_t n = 0; n < 64; ++n) {
    int port = 0;
    for (const std::uint8_t flags : {wire::TcpHeader::kSyn, wire::TcpHeader::kAck}) {
      REQUIRE(a.send({.src_port = static_cast<std::uint16_t>(1000 + n),
                      .tcp_flags = flags,
                      .tos = static_cast<std::uint8_t>(flags)},
                     1) == "20");
      const Bytes f = a.output_bytes();
      const int now = f[34] * 256 + f[35];
      if (port != 0) REQUIRE(now == port);
      port = now;
    }
    ports.insert(port);
  }
  REQUIRE(ports.size() > 55);
}

TEST_CASE("congestion marks travel by RFC 6040", "[pipeline][tunnel]") {
  struct Row {
    std::uint8_t inner, outer;
    const char* outcome;
    int left;
  };
  for (const Row r : {Row{2, 3, "1", 3}, Row{1, 3, "1", 3}, Row{2, 0, "1", 2},
                      Row{0, 3, "drop(tunnel.bad)", 0}, Row{0, 0, "1", 0}}) {
    Lab a, b({}, lab_vtep(2));
    a.rules("actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:10");
    b.rules("in_port=10,actions=output:1");
    REQUIRE(a.send({.tos = r.inner, .payload = 10}, 1) == "20");
    Bytes f = a.output_bytes();
    f[15] = static_cast<std::uint8_t>((f[15] & 0xfc) | r.outer);  // a switch on the way marked it
    f[24] = f[25] = 0;
    const int sum = 0xffff - slow_sum(f, 14, 34);
    f[24] = static_cast<std::uint8_t>(sum >> 8);
    f[25] = static_cast<std::uint8_t>(sum);
    INFO(int(r.inner) << " in " << int(r.outer));
    const std::string got = b.send(b.packet(f), 20);
    CHECK(got.substr(0, 4) == std::string(r.outcome).substr(0, 4));
    if (got == "1") {
      CHECK((b.output_bytes()[15] & 3) == r.left);
      CHECK(slow_verify(b.output_bytes(), 14));
    }
  }
}

TEST_CASE("frames for another endpoint, and broken ones", "[pipeline][tunnel]") {
  Lab a, b({}, lab_vtep(2));
  a.rules("actions=set_field:5->tun_id,set_field:172.16.0.9->tun_dst,output:10");
  b.rules("in_port=10,actions=output:1");
  REQUIRE(a.send({.payload = 10}, 1) == "20");
  Bytes f = a.output_bytes();
  REQUIRE(b.send(b.packet(f), 20) == "30");  // 172.16.0.9 is not b: the host's stack decides
  REQUIRE(b.output_bytes() == f);            // and sees it as it came
  a.rules("actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:10");
  REQUIRE(a.send({.payload = 10}, 1) == "20");
  f = a.output_bytes();
  REQUIRE(b.send(b.packet(f), 20) == "1");
  Bytes no_flag = f;
  no_flag[42] = 0;  // VXLAN without I
  REQUIRE(b.send(b.packet(no_flag), 20) == "drop(tunnel.bad)");
  // Without a tunnel port of that kind it is the host's business.
  b.pipeline.remove_port(datapath::PortNo{10});
  REQUIRE(b.send(b.packet(f), 20) == "30");
}

TEST_CASE("what does not fit the underlay is dropped and answered", "[pipeline][tunnel]") {
  struct Row {
    const char* what;
    bool v6, df, geneve;
    std::uint32_t payload;
    bool fits, answered;
    std::uint32_t mtu;
  };
  // 1550 bytes of underlay: VXLAN leaves 1500 for the inner IP packet, GENEVE with ports 1492.
  const Row rows[] = {
      {"just fits", false, true, false, 1460, true, false, 0},
      {"one byte more", false, true, false, 1461, false, true, 1500},
      {"without DF nobody is told", false, false, false, 1461, false, false, 0},
      {"IPv6 fits", true, false, false, 1440, true, false, 0},
      {"IPv6 is always told", true, false, false, 1441, false, true, 1500},
      {"GENEVE takes more", false, true, true, 1453, false, true, 1492},
      {"GENEVE fits", false, true, true, 1452, true, false, 0},
  };
  for (const Row& r : rows) {
    auto vtep = lab_vtep();
    vtep.underlay_mtu = 1550;
    Lab lab({}, vtep);
    lab.rules(std::string("actions=set_field:5->tun_id,set_field:0x10002->tun_metadata0,"
                          "set_field:172.16.0.2->tun_dst,output:") +
              (r.geneve ? "11" : "10"));
    INFO(r.what);
    for (int i = 0; i < 2; ++i) {
      Packet* p = lab.packet(FlowSpec{.is6 = r.v6, .payload = r.payload});
      if (r.df) {
        p->data()[20] |= 0x40;
        finish_ipv4_checksum(*p, 14);
      }
      const Bytes original = frame_of(*p);
      const PacketId id = p->id;
      const std::string got = lab.send(p, 1);
      if (r.fits) {
        REQUIRE(got == "20");
        continue;
      }
      REQUIRE(got == (r.answered ? "1 drop(tunnel.too_big)" : "drop(tunnel.too_big)"));
      if (!r.answered) continue;
      const Packet& answer = *lab.outputs.out[0].packet;
      REQUIRE(answer.parent == id);
      REQUIRE(answer.tenant == 1);
      REQUIRE(lab.outputs.created.size() == 1);
      REQUIRE(verify_checksums(answer) == ChecksumFault::ok);
      const Bytes f = frame_of(answer);
      REQUIRE(slow_verify(f, 14));
      // From the inner destination to the inner source, quoting the beginning of the packet.
      REQUIRE(std::equal(f.begin(), f.begin() + 6, original.begin() + 6));
      REQUIRE(std::equal(f.begin() + 6, f.begin() + 12, original.begin()));
      const std::size_t l4 = r.v6 ? 54 : 34;
      if (r.v6) {
        REQUIRE(std::equal(f.begin() + 22, f.begin() + 38, original.begin() + 38));
        REQUIRE(std::equal(f.begin() + 38, f.begin() + 54, original.begin() + 22));
        REQUIRE(f[l4] == 2);
        REQUIRE(f.size() == 14 + 1280);
      } else {
        REQUIRE(std::equal(f.begin() + 26, f.begin() + 30, original.begin() + 30));
        REQUIRE(std::equal(f.begin() + 30, f.begin() + 34, original.begin() + 26));
        REQUIRE(f[l4] == 3);
        REQUIRE(f[l4 + 1] == 4);
        REQUIRE(f.size() == 14 + 576);
      }
      REQUIRE(f[l4 + 6] * 256u + f[l4 + 7] == r.mtu);
      REQUIRE(std::equal(f.begin() + static_cast<std::ptrdiff_t>(l4) + 8, f.end(),
                         original.begin() + 14));
    }
  }
}

TEST_CASE("a super-segment is judged by its segments", "[pipeline][tunnel]") {
  auto vtep = lab_vtep();
  vtep.underlay_mtu = 1550;
  Lab lab({}, vtep);
  lab.rules("actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:10");
  for (const std::uint16_t segment : {std::uint16_t{1460}, std::uint16_t{1461}}) {
    Packet* p = lab.packet(FlowSpec{.payload = 14600});
    p->segment_size = segment;
    REQUIRE(lab.send(p, 1) == (segment == 1460 ? "20" : "drop(tunnel.too_big)"));
  }
}

TEST_CASE("planted faults of tunnels are visible at the far end", "[pipeline][tunnel]") {
  for (const char* fault : {"", "truncate_vni", "swap_logical_ports"}) {
    Lab a, b({}, lab_vtep(2));
    if (*fault != 0) REQUIRE(a.pipeline.plant(fault).ok());
    a.rules(
        "actions=set_field:0x123456->tun_id,set_field:0x30007->tun_metadata0,"
        "set_field:172.16.0.2->tun_dst,output:11");
    b.rules("in_port=11,tun_id=0x123456,tun_metadata0=0x30007,actions=output:1");
    REQUIRE(a.send({.payload = 10}, 1) == "20");
    INFO(fault);
    REQUIRE(b.send(b.packet(a.output_bytes()), 20) == (*fault == 0 ? "1" : "drop(flow.miss)"));
  }
}

}  // namespace
}  // namespace weft::test
