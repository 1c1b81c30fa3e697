// The encapsulations beside VXLAN and GENEVE (tunnel_test.cpp): golden bytes, made by the writer of
// tests/e2e/tunnel_frames.py, whose packets tshark has read; each flag bit and each truncation of
// each header; round trips of random frames; the options of both ends.
#include "datapath/tunnel/geneve.h"
#include "datapath/tunnel/lisp.h"
#include "datapath/tunnel/nvgre.h"
#include "datapath/tunnel/stt.h"
#include "datapath/tunnel/tunnel.h"
#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft::datapath {
namespace {

using test::Bytes;
using test::frame_of;
using test::hex;
using World = test::OnePacket;

const std::string kInnerArp =
    "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000"
    "0a000002";
const std::string kInnerIp =
    "02000000000202000000000108004500001c00004000401123cd0a0001020a0002039c401f9000082d09";

TunnelEncap encap_to(TunnelKind kind, bool is6) {
  TunnelEncap e;
  e.kind = kind;
  e.src_mac = Mac::from_u64(0x02000000000a);
  e.dst_mac = Mac::from_u64(0x02000000000b);
  e.src = is6 ? IpAddress(Ip6{0x20010db800000000, 1}) : IpAddress(Ip4{0xc0a80001});
  e.dst = is6 ? IpAddress(Ip6{0x20010db800000000, 2}) : IpAddress(Ip4{0xc0a80002});
  e.vni = kind == TunnelKind::etherip ? 0 : 0x1005;
  return e;
}

const TunnelKind kAll[] = {TunnelKind::vxlan, TunnelKind::geneve, TunnelKind::nvgre,
                           TunnelKind::stt,   TunnelKind::lisp,   TunnelKind::etherip,
                           TunnelKind::gre,   TunnelKind::otv};

DecapOptions reading(TunnelKind kind) {
  DecapOptions o;
  if (kind == TunnelKind::gre) o.gre = GreReading::gre;
  return o;
}

Decap decap_of(World& w, TunnelKind kind = TunnelKind::none) {
  return decap(*w.p, parse_materialising(*w.p), reading(kind));
}

struct Golden {
  const char* name;
  TunnelKind kind;
  bool is6;
  void (*set)(TunnelEncap&);
  const char* outer;  ///< in front of the inner frame
};

const Golden kGolden[] = {
    {"NVGRE over IPv4", TunnelKind::nvgre, false, [](TunnelEncap& e) { e.flow_id = true; },
     "02000000000b02000000000a08004500004600004000402fb935c0a80001c0a8"
     "00022000655800100501"},
    {"STT over IPv4", TunnelKind::stt, false, [](TunnelEncap& e) { e.vni = 0x123456789abcdef0; },
     "02000000000b02000000000a080045000064000040004006b940c0a80001c0a8"
     "0002c0001d2f003c0000000000095018ffff5784000000052200000000001234"
     "56789abcdef00000"},
    {"LISP over IPv4", TunnelKind::lisp, false, [](TunnelEncap& e) { e.vni = 0xabcdef; },
     "02000000000b02000000000a080045000040000040004011b959c0a80001c0a8"
     "0002c00010f5002c219c08000000abcdef00"},
    {"EtherIP over IPv4", TunnelKind::etherip, false, [](TunnelEncap& e) { e.vni = 0; },
     "02000000000b02000000000a080045000040000040004061b909c0a80001c0a8"
     "00023000"},
    {"GRE with a key over IPv4", TunnelKind::gre, false, [](TunnelEncap& e) { e.vni = 0xfedcba98; },
     "02000000000b02000000000a08004500004600004000402fb935c0a80001c0a8"
     "000220006558fedcba98"},
    {"GRE with all over IPv4", TunnelKind::gre, false,
     [](TunnelEncap& e) { e.gre_checksum = e.gre_sequence = true; },
     "02000000000b02000000000a08004500004e00004000402fb92dc0a80001c0a8"
     "0002b0006558e5b300000000100500000009"},
    {"OTV over IPv4", TunnelKind::otv, false, [](TunnelEncap& e) { e.overlay = 77; },
     "02000000000b02000000000a08004500004e000040004011b94bc0a80001c0a8"
     "0002c0002118003a9acb0800004d00100500"},
    {"NVGRE over IPv6", TunnelKind::nvgre, true, [](TunnelEncap& e) { e.flow_id = true; },
     "02000000000b02000000000a86dd6000000000322f4020010db8000000000000"
     "00000000000120010db80000000000000000000000022000655800100501"},
    {"STT over IPv6", TunnelKind::stt, true, [](TunnelEncap& e) { e.vni = 0x123456789abcdef0; },
     "02000000000b02000000000a86dd600000000050064020010db8000000000000"
     "00000000000120010db8000000000000000000000002c0001d2f003c00000000"
     "00095018ffff7d6300000005220000000000123456789abcdef00000"},
    {"LISP over IPv6", TunnelKind::lisp, true, [](TunnelEncap& e) { e.vni = 0xabcdef; },
     "02000000000b02000000000a86dd60000000002c114020010db8000000000000"
     "00000000000120010db8000000000000000000000002c00010f5002c477b0800"
     "0000abcdef00"},
    {"EtherIP over IPv6", TunnelKind::etherip, true, [](TunnelEncap& e) { e.vni = 0; },
     "02000000000b02000000000a86dd60000000002c614020010db8000000000000"
     "00000000000120010db80000000000000000000000023000"},
    {"GRE with a key over IPv6", TunnelKind::gre, true, [](TunnelEncap& e) { e.vni = 0xfedcba98; },
     "02000000000b02000000000a86dd6000000000322f4020010db8000000000000"
     "00000000000120010db800000000000000000000000220006558fedcba98"},
    {"GRE with all over IPv6", TunnelKind::gre, true,
     [](TunnelEncap& e) { e.gre_checksum = e.gre_sequence = true; },
     "02000000000b02000000000a86dd60000000003a2f4020010db8000000000000"
     "00000000000120010db8000000000000000000000002b0006558e5b300000000"
     "100500000009"},
    {"OTV over IPv6", TunnelKind::otv, true, [](TunnelEncap& e) { e.overlay = 77; },
     "02000000000b02000000000a86dd60000000003a114020010db8000000000000"
     "00000000000120010db8000000000000000000000002c0002118003ac0aa0800"
     "004d00100500"},
    {"LISP with a nonce", TunnelKind::lisp, false,
     [](TunnelEncap& e) {
       e.lisp.nonce = 0x010203;
       e.lisp.echo_nonce = true;
       e.lisp.locators = 3;
     },
     "02000000000b02000000000a080045000040000040004011b959c0a80001c0a8"
     "0002c00010f5002cd552e801020300100503"},
    {"LISP with map-versions", TunnelKind::lisp, false,
     [](TunnelEncap& e) {
       e.instance = false;
       e.lisp.map_versions = 0x123456;
       e.lisp.locators = 0xfedcba98;
     },
     "02000000000b02000000000a080045000040000040004011b959c0a80001c0a8"
     "0002c00010f5002c868c50123456fedcba98"},
    {"GRE with nothing, tagged outside", TunnelKind::gre, false,
     [](TunnelEncap& e) {
       e.gre_key = false;
       e.outer_vlan = 0x6064;
     },
     "02000000000b02000000000a8100606408004500004200004000402fb939c0a8"
     "0001c0a8000200006558"},
    {"STT with a tag and ports", TunnelKind::stt, false,
     [](TunnelEncap& e) {
       e.ports = LogicalPorts{3, 4};
       e.outer_vlan = 7;
     },
     "02000000000b02000000000a81000007080045000064000040004006b940c0a8"
     "0001c0a80002c0001d2f003c0000000000095018ffff29d20000000522000000"
     "000000001005000300040000"},
};

TEST_CASE("golden bytes of the other encapsulations") {
  World w;
  for (const Golden& g : kGolden) {
    INFO(g.name);
    TunnelEncap e = encap_to(g.kind, g.is6);
    g.set(e);
    const Bytes inner = hex(kInnerIp);
    const bool ip = g.kind == TunnelKind::lisp;
    Bytes expected = hex(g.outer);
    REQUIRE(overhead_of(e) == expected.size());
    expected.insert(expected.end(), inner.begin() + (ip ? 14 : 0), inner.end());
    for (std::size_t there : {inner.size(), std::size_t{14}, std::size_t{3}, std::size_t{0}}) {
      test::set_frame(*w.p, inner, there);
      REQUIRE(encap(*w.p, make_outer(e), 0, 9));
      REQUIRE(frame_of(*w.p) == expected);
      const InnerPlace place = inner_place(expected, parse_bytes(expected, w.p->size()));
      REQUIRE(place.kind == (g.kind == TunnelKind::gre && e.gre_key ? TunnelKind::nvgre : g.kind));
      const Decap d = decap_of(w, g.kind);
      INFO(d.detail);
      REQUIRE(d.ok());
      Bytes out = frame_of(*w.p);
      if (ip) {
        std::copy_n(inner.begin(), 12, out.begin());
      }
      REQUIRE(out == inner);
      REQUIRE(d.info.kind == g.kind);
      if (d.info.has_id)
        REQUIRE(d.info.vni == (e.ports ? stt::context_of(e.vni, *e.ports) : e.vni));
      REQUIRE(d.info.src == e.src);
      REQUIRE(d.info.dst == e.dst);
      REQUIRE(d.info.lisp == e.lisp);
    }
  }
}

TEST_CASE("round trips of random frames through every encapsulation") {
  World w;
  test::Lcg random{4};
  for (int i = 0; i < 40000; ++i) {
    TunnelEncap e = encap_to(kAll[i % std::size(kAll)], random.below(2) != 0);
    const auto coin = [&] { return random.below(2) != 0; };
    if (e.kind == TunnelKind::stt) e.vni = random.next() << 32 | random.next();
    if (e.kind == TunnelKind::nvgre) e.vni = 0x1000 + random.below(0xffeffe);
    if (e.kind == TunnelKind::gre) e.vni = random.below(1ULL << 32);
    e.udp_checksum = e.dst.is6 || coin();
    e.dscp = static_cast<std::uint8_t>(random.below(64));
    e.inherit_dscp = coin();
    e.ttl = static_cast<std::uint8_t>(random.below(255) + 1);
    e.inherit_ttl = coin();
    e.ecn_compatibility = random.below(4) == 0;
    e.all_source_ports = coin();
    e.keep_inner_vlan = true;
    e.vlan_in_header = coin();
    e.mtu = 65535;
    e.gre_checksum = coin();
    e.gre_sequence = coin();
    e.gre_key = coin();
    if (coin()) e.outer_vlan = static_cast<std::uint16_t>(random.below(4095));
    if (e.kind == TunnelKind::geneve) {
      if (coin()) e.ports = LogicalPorts{1, 2};
      Bytes data(random.below(125));
      for (auto n = random.below(4); n > 0; --n)
        geneve::append_option(e.options, static_cast<std::uint16_t>(random.next()),
                              static_cast<std::uint8_t>(random.below(0x80)), data);
      if (e.ports && e.options.size() > geneve::kMaxOptions - geneve::kPortsOptionSize)
        e.ports.reset();
    }
    test::FlowSpec flow;
    flow.is6 = coin();
    flow.protocol = coin() ? wire::kProtoTcp : wire::kProtoUdp;
    flow.src_port = static_cast<std::uint16_t>(random.next());
    flow.tos = static_cast<std::uint8_t>(random.next());
    if (e.ecn_compatibility) flow.tos |= 2;
    flow.vlan = e.kind != TunnelKind::nvgre && e.kind != TunnelKind::lisp && random.below(3) == 0;
    flow.payload = static_cast<std::uint32_t>(random.below(random.below(8) == 0 ? 60000 : 1500));
    flow.stream = random.next();
    test::build(*w.p, flow);
    Bytes inner = frame_of(*w.p);
    const std::uint32_t hash = flow_hash(*w.p, parse_headers(*w.p));
    INFO(name_of(e.kind) << " " << i);
    REQUIRE(encap(*w.p, make_outer(e), hash, 77));
    const Bytes outer = frame_of(*w.p);
    const bool moved = e.kind == TunnelKind::stt && flow.vlan && e.vlan_in_header;
    REQUIRE(outer.size() == inner.size() + overhead_of(e) -
                                (e.kind == TunnelKind::lisp ? 14
                                 : moved                    ? 4
                                                            : 0));
    REQUIRE(verify_checksums(*w.p, true) == ChecksumFault::ok);
    const ParsedHeaders parsed = parse_headers(*w.p);
    REQUIRE(parsed.ok());
    REQUIRE(parsed.has_vlan == e.outer_vlan.has_value());
    REQUIRE(parsed.tos == ((e.inherit_dscp ? flow.tos & 0xfc : e.dscp << 2) |
                           (e.ecn_compatibility ? 0 : flow.tos & 3)));
    REQUIRE(parsed.ttl == (e.inherit_ttl ? 64 : e.ttl));
    if (parsed.l4 != 0) {
      const std::uint16_t port = wire::at<wire::UdpHeader>(outer.data() + parsed.l4).src_port;
      REQUIRE(port == (e.all_source_ports ? wide_source_port_of(hash) : source_port_of(hash)));
      REQUIRE((e.all_source_ports ? port != 0 : port >= 49152));
    }
    DecapOptions o = reading(e.kind);
    o.vxlan_inner_vlan = true;
    std::vector<std::uint8_t> options;
    const Decap d = decap(*w.p, parsed, o, &options);
    INFO(d.detail);
    REQUIRE(d.ok());
    if (d.info.has_id) REQUIRE(d.info.vni == e.vni);
    REQUIRE(d.info.has_id ==
            (identifier_bits(e.kind) != 0 && (e.kind != TunnelKind::gre || e.gre_key)));
    REQUIRE(d.info.ports == e.ports);
    REQUIRE(options.size() == e.options.size() + (e.ports ? 8 : 0));
    REQUIRE(std::equal(e.options.rbegin(), e.options.rend(), options.rbegin()));
    if (e.kind == TunnelKind::gre && e.gre_sequence) REQUIRE(d.info.sequence == 77u);
    if (e.kind == TunnelKind::nvgre) REQUIRE(d.info.flow_id == nvgre::flow_id_of(hash));
    Bytes out = frame_of(*w.p);
    if (e.kind == TunnelKind::lisp) {
      std::copy_n(inner.begin(), 12, out.begin());
      // RFC 9300, 5.3: the TTL is at most the outer one, the DSCP is the outer one.
      const std::uint8_t ttl = std::min<std::uint8_t>(64, parsed.ttl);
      inner[flow.is6 ? 21 : 22] = ttl;
      const unsigned dscp = parsed.tos & 0xfcu;
      if (flow.is6) {
        inner[14] = static_cast<std::uint8_t>(0x60 | dscp >> 4);
        inner[15] = static_cast<std::uint8_t>((inner[15] & 0x3f) | (dscp << 4 & 0xc0));
      } else {
        inner[15] = static_cast<std::uint8_t>(dscp | (inner[15] & 3u));
        inner[24] = inner[25] = 0;
        const auto sum = static_cast<std::uint16_t>(~test::slow_sum(inner, 14, 34));
        wire::store_be(inner.data() + 24, sum);
      }
    }
    REQUIRE(out == inner);
    REQUIRE(w.p->payload == Payload::stream(flow.stream, 17, flow.payload));
  }
}

/// Flips each bit of the tunnel's own header in a frame without checksums over it.
void each_bit(TunnelKind kind, std::uint32_t from, const std::string& accepted_bits) {
  World w;
  TunnelEncap e = encap_to(kind, false);
  e.udp_checksum = false;
  test::set_frame(*w.p, hex(kInnerIp));
  REQUIRE(encap(*w.p, make_outer(e), 0));
  const Bytes frame = frame_of(*w.p);
  DecapOptions o = reading(kind);
  o.verify_checksum = false;
  if (kind == TunnelKind::nvgre) o.gre = GreReading::nvgre;
  for (std::size_t bit = 0; bit < accepted_bits.size(); ++bit) {
    Bytes bad = frame;
    bad[from + bit / 8] ^= static_cast<std::uint8_t>(0x80 >> bit % 8);
    test::set_frame(*w.p, bad);
    const Decap d = decap(*w.p, parse_headers(*w.p), o);
    INFO(name_of(kind) << " bit " << bit << " " << d.detail);
    REQUIRE(d.status != Decap::Status::not_tunnel);
    const char expected = accepted_bits[bit];
    if (expected == '?') continue;
    REQUIRE(d.status == (expected == '+'   ? Decap::Status::ok
                         : expected == 'c' ? Decap::Status::control
                         : expected == 's' ? Decap::Status::segment
                                           : Decap::Status::drop));
  }
}

TEST_CASE("each bit of each header") {
  // '+' accepted, '-' dropped, 'c' control packet, '?' as the bytes behind have it.
  each_bit(TunnelKind::vxlan, 42,
           "++++-+++"
           "++++++++++++++++++++++++");
  // Version; options length (an option out of the inner frame's first bytes, which is not whole);
  // O, C and reserved; protocol type.
  each_bit(TunnelKind::geneve, 42,
           "--??????"
           "c+++++++"
           "----------------"
           "++++++++");
  each_bit(TunnelKind::otv, 42,
           "++++-+++"
           "++++++++++++++++++++++++");
  // N, L, E (without N: nothing), V, I (off: no instance id), reserved, KK.
  each_bit(TunnelKind::lisp, 42,
           "++++++--"
           "++++++++++++++++++++++++");
  // C R K S, bits 4-5 of RFC 1701, ignored ones, version; protocol type; VSID 0x1005.
  each_bit(TunnelKind::nvgre, 34,
           "------"
           "+++++++"
           "---"
           "----------------"
           "+++++++++++-++++++++++++"
           "++++++++");
  // C (a checksum that is the first of the key: not verified here) and S move what follows.
  each_bit(TunnelKind::gre, 34,
           "+-++--"
           "+++++++"
           "---"
           "----------------");
  each_bit(TunnelKind::etherip, 34, "----------------");
  // Version; unused, TCP, IPv4, partial (not beside verified), verified.
  each_bit(TunnelKind::stt, 54,
           "--------"
           "++++++-+");
}

TEST_CASE("truncations of every encapsulation") {
  World w;
  for (const TunnelKind kind : kAll) {
    for (const bool is6 : {false, true}) {
      TunnelEncap e = encap_to(kind, is6);
      if (kind == TunnelKind::geneve) e.ports = LogicalPorts{1, 2};
      if (kind == TunnelKind::gre) e.gre_checksum = e.gre_sequence = true;
      test::set_frame(*w.p, hex(kInnerIp));
      REQUIRE(encap(*w.p, make_outer(e), 0));
      const Bytes frame = frame_of(*w.p);
      for (std::size_t n = 0; n < frame.size(); ++n) {
        // As it is, and with outer lengths that agree with it, so that the tunnel's own header is
        // what ends too early.
        for (const bool agrees : {false, true}) {
          Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(n));
          const std::size_t l4 = is6 ? 54 : 34;
          if (agrees && n >= l4) {
            wire::store_be(cut.data() + (is6 ? 18 : 16),
                           static_cast<std::uint16_t>(n - (is6 ? l4 : 14)));
            if (!is6) {
              cut[24] = cut[25] = 0;
              wire::store_be(cut.data() + 24,
                             static_cast<std::uint16_t>(~test::slow_sum(cut, 14, 34)));
            }
            if (cut[is6 ? 20 : 23] == wire::kProtoUdp && n >= l4 + 8)
              wire::store_be(cut.data() + l4 + 4, static_cast<std::uint16_t>(n - l4));
          }
          for (std::size_t there : {cut.size(), cut.size() / 2, std::size_t{0}}) {
            test::set_frame(*w.p, cut, there);
            DecapOptions o = reading(kind);
            o.verify_checksum = false;
            const Decap d = decap(*w.p, parse_materialising(*w.p), o);
            INFO(name_of(kind) << (is6 ? " over IPv6, " : ", ") << n << " of " << frame.size());
            // What still holds an inner header may be accepted, shorter; never longer than it is.
            if (d.ok()) {
              REQUIRE(agrees);
              REQUIRE(w.p->size() + (kind == TunnelKind::lisp ? 36u : overhead_of(e)) <= n);
            } else {
              REQUIRE(frame_of(*w.p).size() <= cut.size());
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a tag is stripped where it must not travel") {
  World w;
  for (const TunnelKind kind : {TunnelKind::vxlan, TunnelKind::nvgre}) {
    for (const int tags : {1, 2}) {
      test::FlowSpec flow;
      flow.vlan = true;
      flow.payload = 10;
      flow.tos = 0xb9;
      test::build(*w.p, flow);
      Bytes tagged = frame_of(*w.p);
      Bytes plain = tagged;
      plain.erase(plain.begin() + 12, plain.begin() + 16);
      if (tags == 2) tagged.insert(tagged.begin() + 12, {0x88, 0xa8, 0, 5});
      test::set_frame(*w.p, tagged);
      REQUIRE(encap(*w.p, make_outer(encap_to(kind, false)), 1));
      REQUIRE((w.p->data()[15] & 3) == 1);  // ECN is found behind the tags
      REQUIRE(decap_of(w).ok());
      REQUIRE(frame_of(*w.p) == plain);
    }
  }
}

TEST_CASE("DSCP and TTL come back where the options say so") {
  World w;
  for (const bool is6 : {false, true}) {
    test::FlowSpec flow;
    flow.is6 = is6;
    flow.tos = 0x20;
    flow.payload = 5;
    test::build(*w.p, flow);
    TunnelEncap e = encap_to(TunnelKind::geneve, false);
    e.dscp = 46;
    e.ttl = 17;
    encap(*w.p, make_outer(e), 1);
    const Decap d = decap(*w.p, parse_headers(*w.p), {.copy_dscp = true, .copy_ttl = true});
    REQUIRE(d.ok());
    const ParsedHeaders h = parse_headers(*w.p);
    REQUIRE(h.tos == 46 << 2);
    REQUIRE(h.ttl == 17);
    REQUIRE(test::slow_verify(frame_of(*w.p), 14));
  }
}

TEST_CASE("GENEVE options: limits and order") {
  std::vector<std::uint8_t> options;
  REQUIRE_FALSE(geneve::append_option(options, 1, 1, Bytes(125)));
  REQUIRE(options.empty());
  REQUIRE(geneve::append_option(options, 0x0103, 0x05, Bytes(3, 7)));
  REQUIRE(options == hex("01030501 07070700"));
  REQUIRE(geneve::append_option(options, 2, 2, Bytes(124)));
  REQUIRE(geneve::append_option(options, 2, 2, Bytes(112)));
  REQUIRE(options.size() == 252);
  REQUIRE_FALSE(geneve::append_option(options, 2, 2, {}));
  TunnelEncap e = encap_to(TunnelKind::geneve, true);
  e.options = options;
  REQUIRE(overhead_of(e) == 14 + 40 + 8 + 8 + 252);
  World w;
  test::set_frame(*w.p, hex(kInnerArp));
  REQUIRE(encap(*w.p, make_outer(e), 0));
  REQUIRE((w.p->data()[14 + 40 + 8 + 1] & 0x40) == 0);  // nothing critical: no C
  REQUIRE(decap_of(w).ok());
  REQUIRE(frame_of(*w.p) == hex(kInnerArp));

  options.clear();
  geneve::append_option(options, 0x0103, 0x85, Bytes(4));
  e.options = options;
  test::set_frame(*w.p, hex(kInnerArp));
  REQUIRE(encap(*w.p, make_outer(e), 0));
  REQUIRE((w.p->data()[14 + 40 + 8 + 1] & 0x40) != 0);
  const Bytes frame = frame_of(*w.p);
  REQUIRE(decap_of(w).reason == DropReason::tunnel_bad);
  test::set_frame(*w.p, frame);
  DecapOptions o;
  o.known_options = {{0x0103, 0x85}};
  REQUIRE(decap(*w.p, parse_headers(*w.p), o).ok());
}

TEST_CASE("GENEVE control packets are for the endpoint") {
  World w;
  TunnelEncap e = encap_to(TunnelKind::geneve, false);
  e.control = true;
  test::set_frame(*w.p, hex(kInnerArp));
  REQUIRE(encap(*w.p, make_outer(e), 0));
  const Bytes frame = frame_of(*w.p);
  const Decap d = decap_of(w);
  REQUIRE(d.status == Decap::Status::control);
  REQUIRE(frame_of(*w.p) == frame);
  REQUIRE(d.segment.end - d.segment.begin == hex(kInnerArp).size());
}

TEST_CASE("LISP's map-cache") {
  lisp::MapCache map;
  const auto prefix = [](std::uint32_t address, int length) {
    return Prefix{Ip4{address}, length};
  };
  map.add(5, prefix(0x0a000000, 8), Ip4{0xc0a80002});
  map.add(5, prefix(0x0a000200, 24), Ip4{0xc0a80003});
  map.add(6, prefix(0, 0), Ip4{0xc0a80004});
  map.add(5, prefix(0x0a000000, 8), Ip4{0xc0a80005});
  REQUIRE(map.size() == 3);
  REQUIRE(map.lookup(5, Ip4{0x0a000203}) == IpAddress(Ip4{0xc0a80003}));
  REQUIRE(map.lookup(5, Ip4{0x0a000303}) == IpAddress(Ip4{0xc0a80005}));
  REQUIRE(map.lookup(6, Ip4{0x0a000203}) == IpAddress(Ip4{0xc0a80004}));
  REQUIRE_FALSE(map.lookup(5, Ip4{0x0b000000}));

  World w;
  TunnelEncap base = encap_to(TunnelKind::lisp, false);
  base.vni = 5;
  test::set_frame(*w.p, hex(kInnerIp));
  REQUIRE(lisp::encap_by_map(*w.p, map, base, 1).ok);
  DecapOptions o;
  o.lisp_src_mac = Mac::from_u64(0x020000000001);
  o.lisp_dst_mac = Mac::from_u64(0x020000000002);
  const Decap d = decap(*w.p, parse_headers(*w.p), o);
  REQUIRE(d.ok());
  REQUIRE(d.info.dst == IpAddress(Ip4{0xc0a80003}));
  REQUIRE(frame_of(*w.p) == hex(kInnerIp));
  base.vni = 7;
  REQUIRE(lisp::encap_by_map(*w.p, map, base, 1).reason == DropReason::tunnel_no_mapping);
  REQUIRE(frame_of(*w.p) == hex(kInnerIp));
  test::set_frame(*w.p, hex(kInnerArp));
  REQUIRE_FALSE(lisp::encap_by_map(*w.p, map, base, 1).ok);
  REQUIRE_FALSE(encap(*w.p, make_outer(base), 1));
  REQUIRE(frame_of(*w.p) == hex(kInnerArp));
}

}  // namespace
}  // namespace weft::datapath
