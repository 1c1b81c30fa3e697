// Frames as text: a table of frames and lines, and no crash on anything.
#include "datapath/frame_text.h"

#include "datapath/tunnel/tunnel.h"
#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft::datapath {
namespace {

struct World : test::OnePacket {
  std::string text(const test::FlowSpec& flow) {
    test::build(*p, flow);
    return describe_frame(*p);
  }
  std::string text(std::string_view bytes) {
    test::set_frame(*p, test::hex(bytes), 10);
    return describe_frame(*p);
  }
};

TEST_CASE("frames read as tcpdump would print them") {
  World w;
  test::FlowSpec flow;
  flow.tcp_flags = 0x12;
  REQUIRE(w.text(flow) ==
          "IP 10.0.1.2.40000 > 10.0.2.3.8080: Flags [S.], seq 1000, ack 0, win 65535, length 0");
  flow.tcp_flags = 0x18;
  flow.payload = 100;
  flow.is6 = true;
  flow.vlan = true;
  REQUIRE(
      w.text(flow) ==
      "vlan 100, p 3, IP6 fd00::a00:102.40000 > fd00::a00:203.8080: Flags [P.], seq 1000, ack 0, "
      "win 65535, length 100");
  flow = {};
  flow.protocol = wire::kProtoUdp;
  flow.payload = 5;
  REQUIRE(w.text(flow) == "IP 10.0.1.2.40000 > 10.0.2.3.8080: UDP, length 5");
  flow.protocol = wire::kProtoIcmp;
  flow.src_port = 7;
  flow.dst_port = 3;
  flow.payload = 56;
  REQUIRE(w.text(flow) == "IP 10.0.1.2 > 10.0.2.3: ICMP echo request, id 7, seq 3, length 64");
  const std::string ethernet = "020000000002 020000000001 ";
  REQUIRE(
      w.text(ethernet + "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002") ==
      "ARP, Request who-has 10.0.0.2 tell 10.0.0.1");
  REQUIRE(
      w.text(ethernet + "0806 0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002") ==
      "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01");
  REQUIRE(w.text(ethernet + "88cc 0102") ==
          "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 0x88cc, length 2");
  REQUIRE(w.text("0200") == "cut off after 2 bytes");
  REQUIRE(w.text(ethernet + "0800 4500") == "IP truncated, length 2");
  REQUIRE(w.text(ethernet + "86dd 60000000 0020 3a ff fd000000000000000000000000000001"
                            "ff0200000000000000000001ff000002 8700 0000 00000000"
                            "fd000000000000000000000000000002 0101 020000000001") ==
          "IP6 fd00::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has fd00::2, from "
          "02:00:00:00:00:01, length 32");
}

TEST_CASE("inner frames follow the tunnel") {
  World w;
  TunnelEncap e;
  e.src = Ip4{0xc0a80001};
  e.dst = Ip4{0xc0a80002};
  e.vni = 5;
  e.ports = LogicalPorts{1, 2};
  test::FlowSpec flow;
  flow.protocol = wire::kProtoUdp;
  test::build(*w.p, flow);
  encap(*w.p, make_outer(e), 0);
  REQUIRE(describe_frame(*w.p) ==
          "IP 192.168.0.1.49152 > 192.168.0.2.6081: Geneve, vni 5, ports 1 -> 2: "
          "IP 10.0.1.2.40000 > 10.0.2.3.8080: UDP, length 0");
  e.kind = TunnelKind::vxlan;
  encap(*w.p, make_outer(e), 0);
  REQUIRE(describe_frame(*w.p).find("VXLAN, vni 5: IP 192.168.0.1.49152 > ") != std::string::npos);
  for (int i = 0; i < 30; ++i) encap(*w.p, make_outer(e), 0);  // no endless recursion
  REQUIRE(describe_frame(*w.p).size() < 1000);
}

TEST_CASE("text of damaged frames") {
  World w;
  test::Lcg random{5};
  for (int i = 0; i < 30000; ++i) {
    test::FlowSpec flow;
    flow.is6 = random.below(2) != 0;
    flow.protocol = random.below(2) != 0   ? wire::kProtoTcp
                    : random.below(2) != 0 ? wire::kProtoUdp
                    : flow.is6             ? wire::kProtoIcmpv6
                                           : wire::kProtoIcmp;
    flow.icmp_type = static_cast<std::uint8_t>(random.below(140));
    flow.payload = static_cast<std::uint32_t>(random.below(60));
    test::build(*w.p, flow);
    TunnelEncap e;
    e.kind = i % 2 == 0 ? TunnelKind::vxlan : TunnelKind::geneve;
    e.src = Ip4{1};
    e.dst = Ip4{2};
    if (i % 3 == 0) encap(*w.p, make_outer(e), 0);
    test::Bytes frame = test::frame_of(*w.p);
    for (auto n = random.below(5); n > 0; --n)
      frame[random.below(frame.size())] = static_cast<std::uint8_t>(random.next());
    frame.resize(random.below(4) == 0 ? random.below(frame.size()) : frame.size());
    test::set_frame(*w.p, frame);
    const std::string text = describe_frame(*w.p);
    REQUIRE_FALSE(text.empty());
    REQUIRE(text.find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace weft::datapath
