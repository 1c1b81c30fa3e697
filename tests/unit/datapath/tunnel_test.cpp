// Tunnels: golden bytes (computed outside this code), round trips, what a receiver must refuse, and
// bytes of no meaning.
#include "datapath/tunnel/tunnel.h"

#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft::datapath {
namespace {

using test::Bytes;
using test::frame_of;
using test::hex;

const std::string kInnerArp =
    "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000"
    "0a000002";

TunnelEncap encap_to(TunnelKind kind, bool is6) {
  TunnelEncap e;
  e.kind = kind;
  e.src_mac = Mac::from_u64(0x02000000000a);
  e.dst_mac = Mac::from_u64(0x02000000000b);
  if (is6) {
    e.src = Ip6{0x20010db800000000, 1};
    e.dst = Ip6{0x20010db800000000, 2};
  } else {
    e.src = Ip4{0xc0a80001};
    e.dst = Ip4{0xc0a80002};
  }
  e.vni = 5;
  return e;
}

struct Golden {
  const char* name;
  TunnelKind kind;
  bool is6;
  bool checksum;
  bool ports;
  std::uint32_t vni;
  const char* outer;
};

const Golden kGolden[] = {
    {"VXLAN over IPv4, no checksum", TunnelKind::vxlan, false, false, false, 5,
     "02000000000b02000000000a0800 4500004e000040004011b94bc0a80001c0a80002 c00012b5003a0000"
     "0800000000000500"},
    {"VXLAN over IPv6", TunnelKind::vxlan, true, true, false, 5,
     "02000000000b02000000000a86dd "
     "60000000003a114020010db800000000000000000000000120010db8000000000"
     "000000000000002 c00012b5003a963e 0800000000000500"},
    {"GENEVE with ports over IPv4", TunnelKind::geneve, false, true, true, 5,
     "02000000000b02000000000a0800 45000056000040004011b943c0a80001c0a80002 c00017c100428aa4"
     "0240655800000500 0102800100010002"},
    {"GENEVE with ports over IPv6", TunnelKind::geneve, true, true, true, 5,
     "02000000000b02000000000a86dd "
     "600000000042114020010db800000000000000000000000120010db8000000000"
     "000000000000002 c00017c10042b083 0240655800000500 0102800100010002"},
    {"GENEVE without options", TunnelKind::geneve, false, true, false, 0x123456,
     "02000000000b02000000000a0800 4500004e000040004011b94bc0a80001c0a80002 c00017c1003aaac6"
     "0000655812345600"},
};

using World = test::OnePacket;

TEST_CASE("golden bytes of both tunnels over both families") {
  World w;
  for (const Golden& g : kGolden) {
    INFO(g.name);
    TunnelEncap e = encap_to(g.kind, g.is6);
    e.udp_checksum = g.checksum;
    e.vni = g.vni;
    if (g.ports) e.ports = LogicalPorts{1, 2};
    const Bytes inner = hex(kInnerArp);
    Bytes expected = hex(g.outer);
    REQUIRE(overhead_of(e) == expected.size());
    expected.insert(expected.end(), inner.begin(), inner.end());
    // Also with the inner frame's bytes partly or wholly in the payload.
    for (std::size_t there : {inner.size(), std::size_t{14}, std::size_t{3}, std::size_t{0}}) {
      test::set_frame(*w.p, inner, there);
      REQUIRE(encap(*w.p, make_outer(e), 0));
      REQUIRE(frame_of(*w.p) == expected);
      REQUIRE(inner_frame_offset(expected, parse_bytes(expected, w.p->size())) ==
              expected.size() - inner.size());
      const Decap d = decap(*w.p, parse_materialising(*w.p));
      INFO(d.detail);
      REQUIRE(d.ok());
      REQUIRE(frame_of(*w.p) == inner);
      REQUIRE(d.info.kind == g.kind);
      REQUIRE(d.info.vni == g.vni);
      REQUIRE(d.info.src == e.src);
      REQUIRE(d.info.dst == e.dst);
      REQUIRE(d.info.ttl == 64);
      REQUIRE(d.info.src_port == 0xc000);
      REQUIRE(d.info.ports == e.ports);
    }
  }
}

TEST_CASE("round trips of random frames with right checksums outside and in") {
  World w;
  test::Lcg random{4};
  for (int i = 0; i < 20000; ++i) {
    TunnelEncap e = encap_to(i % 2 == 0 ? TunnelKind::vxlan : TunnelKind::geneve, i % 3 == 0);
    e.vni = static_cast<std::uint32_t>(random.below(1 << 24));
    e.udp_checksum = e.dst.is6 || random.below(4) != 0;
    e.dscp = static_cast<std::uint8_t>(random.below(64));
    e.inherit_dscp = random.below(4) == 0;
    e.ttl = static_cast<std::uint8_t>(random.below(255) + 1);
    if (e.kind == TunnelKind::geneve && random.below(2) != 0) {
      e.ports = LogicalPorts{static_cast<std::uint16_t>(random.below(0x8000)),
                             static_cast<std::uint16_t>(random.next())};
    }
    test::FlowSpec flow;
    flow.is6 = random.below(2) != 0;
    flow.protocol = random.below(2) != 0 ? wire::kProtoTcp : wire::kProtoUdp;
    flow.src = static_cast<std::uint32_t>(random.next());
    flow.src_port = static_cast<std::uint16_t>(random.next());
    flow.tos = static_cast<std::uint8_t>(random.next());
    flow.vlan = e.kind == TunnelKind::geneve && random.below(3) == 0;
    flow.payload = static_cast<std::uint32_t>(random.below(random.below(8) == 0 ? 60000 : 1500));
    flow.stream = random.next();
    test::build(*w.p, flow);
    const Bytes inner = frame_of(*w.p);
    const ParsedHeaders before = parse_headers(*w.p);
    const std::uint32_t hash = flow_hash(*w.p, before);
    REQUIRE(encap(*w.p, make_outer(e), hash));
    const Bytes outer = frame_of(*w.p);
    REQUIRE(outer.size() == inner.size() + overhead_of(e));
    REQUIRE(test::slow_verify(outer, 14));
    REQUIRE(verify_checksums(*w.p, true) == ChecksumFault::ok);
    const ParsedHeaders parsed = parse_headers(*w.p);
    REQUIRE(parsed.ok());
    REQUIRE(parsed.tos == (e.inherit_dscp ? flow.tos : (e.dscp << 2 | (flow.tos & 3))));
    const Decap d = decap(*w.p, parsed);
    REQUIRE(d.ok());
    REQUIRE(d.info.vni == e.vni);
    REQUIRE(d.info.ports == e.ports);
    REQUIRE(d.info.src_port == source_port_of(hash));
    REQUIRE(d.info.src_port >= 49152);
    REQUIRE(frame_of(*w.p) == inner);
    REQUIRE(w.p->payload == Payload::stream(flow.stream, 17, flow.payload));
  }
}

TEST_CASE("a frame that does not fit the outer lengths is left alone") {
  World w;
  test::FlowSpec flow;
  flow.payload = 65535 - 40;
  test::build(*w.p, flow);
  const Bytes inner = frame_of(*w.p);
  REQUIRE_FALSE(encap(*w.p, make_outer(encap_to(TunnelKind::vxlan, false)), 1));
  REQUIRE(frame_of(*w.p) == inner);
}

struct Refusal {
  const char* name;
  std::string tunnel;  ///< header behind UDP; the inner ARP frame follows
  bool vxlan;
  DropReason reason;
};

Bytes wrap(const std::string& tunnel, bool vxlan, const Bytes& inner, std::uint16_t checksum = 0) {
  const Bytes header = hex(tunnel);
  const auto udp = static_cast<std::uint16_t>(8 + header.size() + inner.size());
  Bytes f = hex("02000000000b02000000000a0800 4500000000004000401100000a0000010a000002 c0000000");
  wire::store_be<std::uint16_t>(f.data() + 16, static_cast<std::uint16_t>(20 + udp));
  wire::store_be<std::uint16_t>(f.data() + 36, vxlan ? 4789 : 6081);
  wire::store_be<std::uint16_t>(f.data() + 24,
                                static_cast<std::uint16_t>(~test::slow_sum(f, 14, 34)));
  f.push_back(static_cast<std::uint8_t>(udp >> 8));
  f.push_back(static_cast<std::uint8_t>(udp));
  f.push_back(static_cast<std::uint8_t>(checksum >> 8));
  f.push_back(static_cast<std::uint8_t>(checksum));
  f.insert(f.end(), header.begin(), header.end());
  f.insert(f.end(), inner.begin(), inner.end());
  return f;
}

TEST_CASE("what a receiver must refuse") {
  World w;
  const Refusal table[] = {
      {"VXLAN without I", "f7ffffff000005ff", true, DropReason::tunnel_bad},
      {"GENEVE version 1", "4000655800000500", false, DropReason::tunnel_bad},
      {"GENEVE control packet with an unknown critical option", "0180655800000500 01038000", false,
       DropReason::tunnel_bad},
      {"GENEVE carrying IPv4", "0000080000000500", false, DropReason::tunnel_bad},
      {"unknown critical option", "0140655800000500 01038000", false, DropReason::tunnel_bad},
      {"critical option behind one that is skipped", "0340655800000500 ffff010111223344 01038000",
       false, DropReason::tunnel_bad},
      {"option data overruns the options", "0140655800000500 01020001", false,
       DropReason::tunnel_bad},
      {"options overrun the packet", "3f40655800000500", false, DropReason::malformed},
      {"port option of 8 bytes", "0340655800000500 01028002 0001000200000000", false,
       DropReason::tunnel_bad},
      {"port option of 0 bytes", "0140655800000500 01028000", false, DropReason::tunnel_bad},
  };
  for (const Refusal& r : table) {
    INFO(r.name);
    const Bytes frame = wrap(r.tunnel, r.vxlan, hex(kInnerArp));
    test::set_frame(*w.p, frame);
    const Decap d = decap(*w.p, parse_headers(*w.p));
    REQUIRE(d.status == Decap::Status::drop);
    REQUIRE(d.reason == r.reason);
    REQUIRE(std::string(d.detail) != "");
    REQUIRE(frame_of(*w.p) == frame);
  }
}

TEST_CASE("what a receiver must ignore") {
  World w;
  const Bytes inner = hex(kInnerArp);
  struct {
    const char* name;
    std::string tunnel;
    bool vxlan;
    std::optional<LogicalPorts> ports;
  } const table[] = {
      {"VXLAN reserved bits", "ffffffff000005ff", true, {}},
      {"GENEVE reserved bits", "003f6558000005ff", false, {}},
      {"unknown option, skipped", "0200655800000500 ffff010111223344", false, {}},
      {"reserved bits of an option", "0140655800000500 ffff01e0", false, {}},
      {"port option behind an unknown one", "0440655800000500 ffff0101deadbeef 01028001 ffff0003",
       false, LogicalPorts{0x7fff, 3}},
  };
  for (const auto& t : table) {
    INFO(t.name);
    // With trailing Ethernet padding, which must not get into the inner frame.
    Bytes frame = wrap(t.tunnel, t.vxlan, inner);
    frame.resize(frame.size() + 7, 0xee);
    for (std::size_t there : {frame.size(), std::size_t{50}, std::size_t{42}}) {
      test::set_frame(*w.p, frame, there);
      const Decap d = decap(*w.p, parse_headers(*w.p));
      INFO(d.detail);
      REQUIRE(d.ok());
      REQUIRE(d.info.vni == 5);
      REQUIRE(d.info.ports == t.ports);
      REQUIRE(frame_of(*w.p) == inner);
    }
  }
}

TEST_CASE("wrong checksums are dropped, zero is accepted") {
  World w;
  const Bytes inner = hex(kInnerArp);
  Bytes frame = wrap("0800000000000500", true, inner, 0x1234);
  test::set_frame(*w.p, frame);
  REQUIRE(decap(*w.p, parse_headers(*w.p)).reason == DropReason::bad_checksum);

  // Right outside, then each bit of UDP header, tunnel and inner frame flipped in turn.
  test::set_frame(*w.p, inner);
  encap(*w.p, make_outer(encap_to(TunnelKind::geneve, false)), 77);
  frame = frame_of(*w.p);
  for (std::size_t bit = 34 * 8; bit < frame.size() * 8; ++bit) {
    Bytes bad = frame;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    test::set_frame(*w.p, bad);
    REQUIRE_FALSE(decap(*w.p, parse_headers(*w.p)).ok());
  }
  // A bit of the outer IPv4 header that the parser does not mind.
  frame[22] ^= 1;
  test::set_frame(*w.p, frame);
  REQUIRE(decap(*w.p, parse_headers(*w.p)).reason == DropReason::bad_checksum);
}

TEST_CASE("what is no tunnel stays as it is") {
  World w;
  test::FlowSpec flow;
  flow.protocol = wire::kProtoUdp;
  flow.dst_port = 4790;
  flow.payload = 100;
  test::build(*w.p, flow);
  const Bytes frame = frame_of(*w.p);
  REQUIRE(decap(*w.p, parse_headers(*w.p)).status == Decap::Status::not_tunnel);
  flow.protocol = wire::kProtoTcp;
  flow.dst_port = 4789;
  test::build(*w.p, flow);
  REQUIRE(decap(*w.p, parse_headers(*w.p)).status == Decap::Status::not_tunnel);
  test::set_frame(*w.p, wrap("0800000000000500", true, hex(kInnerArp)));
  w.p->data()[20] = 0x20;  // more fragments
  REQUIRE(decap(*w.p, parse_headers(*w.p)).status == Decap::Status::not_tunnel);
}

TEST_CASE("a tag inside VXLAN is discarded unless configured otherwise") {
  World w;
  test::FlowSpec flow;
  flow.vlan = true;
  for (TunnelKind kind : {TunnelKind::vxlan, TunnelKind::geneve}) {
    for (bool allowed : {false, true}) {
      test::build(*w.p, flow);
      TunnelEncap e = encap_to(kind, false);
      e.keep_inner_vlan = true;
      encap(*w.p, make_outer(e), 1);
      const Decap d = decap(*w.p, parse_headers(*w.p), {.vxlan_inner_vlan = allowed});
      REQUIRE(d.ok() == (allowed || kind == TunnelKind::geneve));
    }
  }
}

TEST_CASE("ECN by RFC 6040, figure 4") {
  // Rows: inner Not-ECT, ECT(1), ECT(0), CE; columns: outer in the same order of code points.
  const int expected[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
  World w;
  for (std::uint8_t inner = 0; inner < 4; ++inner) {
    for (std::uint8_t outer = 0; outer < 4; ++outer) {
      REQUIRE(decap_ecn(inner, outer) == expected[inner][outer]);
      for (bool is6 : {false, true}) {
        test::FlowSpec flow;
        flow.is6 = is6;
        flow.tos = static_cast<std::uint8_t>(0xb8 | inner);
        flow.payload = 33;
        test::build(*w.p, flow);
        encap(*w.p, make_outer(encap_to(TunnelKind::geneve, false)), 1);
        REQUIRE((w.p->data()[15] & 3) == inner);
        w.p->data()[15] = static_cast<std::uint8_t>((w.p->data()[15] & 0xfc) | outer);
        finish_ipv4_checksum(*w.p, 14);
        const Decap d = decap(*w.p, parse_headers(*w.p));
        REQUIRE(d.ok() == (expected[inner][outer] >= 0));
        if (!d.ok()) continue;
        REQUIRE(parse_headers(*w.p).tos == (0xb8 | expected[inner][outer]));
        REQUIRE(test::slow_verify(frame_of(*w.p), 14));
      }
    }
  }
}

TEST_CASE("random damage never crashes, and what is accepted lies inside") {
  World w;
  test::Lcg random{6};
  unsigned accepted = 0;
  unsigned refused = 0;
  for (int i = 0; i < 100000; ++i) {
    const bool vxlan = random.below(3) == 0;
    Bytes inner = hex(kInnerArp);
    inner.resize(random.below(60));
    Bytes frame = wrap(
        vxlan ? "0800000000000500" : "0540655800000500 ffff0101deadbeef 01028001 00010003 ffff0000",
        vxlan, inner);
    for (auto n = random.below(4); n > 0; --n) {
      frame[38 + random.below(frame.size() - 38)] = static_cast<std::uint8_t>(random.next());
    }
    if (i % 4 == 0) frame.resize(random.below(frame.size()) + 1);
    test::set_frame(*w.p, frame, i % 2 == 0 ? frame.size() : random.below(frame.size() + 1));
    const Decap d = decap(*w.p, parse_materialising(*w.p));
    if (d.ok()) {
      ++accepted;
      REQUIRE(w.p->size() >= 14);
      REQUIRE(w.p->size() <= frame.size() - 50);  // damage may shorten the options
    } else if (d.status == Decap::Status::drop) {
      ++refused;
    } else {
      REQUIRE(frame_of(*w.p) == frame);
    }
  }
  REQUIRE(accepted > 1000);
  REQUIRE(refused > 1000);
}

}  // namespace
}  // namespace weft::datapath
