// Wire formats: each field of each header at its offset, against bytes written by hand.
#include "datapath/wire/wire.h"

#include <vector>

#include "tests/catch.h"

namespace weft::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST_CASE("big-endian fields at any address") {
  Bytes bytes(32, 0);
  for (std::size_t i : {0u, 1u, 3u}) {
    at<BigEndian<std::uint16_t>>(bytes.data() + i) = 0x1234;
    REQUIRE(bytes[i] == 0x12);
    REQUIRE(bytes[i + 1] == 0x34);
    at<be24>(bytes.data() + i) = 0xabcdef;
    REQUIRE(bytes[i + 2] == 0xef);
    REQUIRE(at<be24>(bytes.data() + i) == 0xabcdefu);
    at<be64>(bytes.data() + i) = 0x0102030405060708ULL;
    REQUIRE(at<be32>(bytes.data() + i + 2) == 0x03040506u);
    at<Ip6Field>(bytes.data() + i) = Ip6{1, 2};
    REQUIRE(at<Ip6Field>(bytes.data() + i).get() == Ip6{1, 2});
  }
}

TEST_CASE("a view never leaves the bytes") {
  const Bytes bytes(20, 0);
  REQUIRE(view<Ipv4Header>(bytes, 0) != nullptr);
  REQUIRE(view<Ipv4Header>(bytes, 1) == nullptr);
  REQUIRE(view<UdpHeader>(bytes, 12) != nullptr);
  REQUIRE(view<UdpHeader>(bytes, 13) == nullptr);
  REQUIRE(view<UdpHeader>(bytes, 21) == nullptr);
  REQUIRE(view<UdpHeader>(bytes, SIZE_MAX) == nullptr);
}

TEST_CASE("fields of a captured-like TCP frame") {
  const Bytes f = {0x02, 0,    0,    0,    0,    2,    0x02, 0,    0,    0,    0,    1,
                   0x81, 0x00, 0xa0, 0x64, 0x08, 0x00, 0x45, 0x02, 0x00, 0x28, 0xbe, 0xef,
                   0x40, 0x00, 0x40, 0x06, 0x12, 0x34, 10,   0,    1,    2,    10,   0,
                   2,    3,    0x1f, 0x90, 0xc0, 0x01, 1,    2,    3,    4,    5,    6,
                   7,    8,    0x50, 0x12, 0xff, 0xfe, 0xab, 0xcd, 0,    9};
  const auto* eth = view<EthernetHeader>(f);
  REQUIRE(eth->src.to_u64() == 0x020000000001);
  REQUIRE(eth->type == kEtherVlan);
  const auto* tag = view<VlanTag>(f, 14);
  REQUIRE(tag->vid() == 100);
  REQUIRE(tag->pcp() == 5);
  REQUIRE(tag->type == kEtherIpv4);
  const auto* ip = view<Ipv4Header>(f, 18);
  REQUIRE(ip->version() == 4);
  REQUIRE(ip->header_length() == 20);
  REQUIRE((ip->tos & kEcnMask) == kEcnEct0);
  REQUIRE(ip->total_length == 40);
  REQUIRE(ip->identification == 0xbeef);
  REQUIRE(ip->dont_fragment());
  REQUIRE_FALSE(ip->is_fragment());
  REQUIRE(ip->ttl == 64);
  REQUIRE(ip->protocol == kProtoTcp);
  REQUIRE(ip->checksum == 0x1234);
  REQUIRE(ip->src.get() == Ip4{0x0a000102});
  REQUIRE(ip->dst.get() == Ip4{0x0a000203});
  const auto* tcp = view<TcpHeader>(f, 38);
  REQUIRE(tcp->src_port == 8080);
  REQUIRE(tcp->dst_port == 0xc001);
  REQUIRE(tcp->sequence == 0x01020304u);
  REQUIRE(tcp->acknowledgement == 0x05060708u);
  REQUIRE(tcp->header_length() == 20);
  REQUIRE(tcp->flags == (TcpHeader::kSyn | TcpHeader::kAck));
  REQUIRE(tcp->window == 0xfffe);
  REQUIRE(tcp->checksum == 0xabcd);
  REQUIRE(tcp->urgent == 9);
}

TEST_CASE("IPv6, fragment and ND fields") {
  Bytes b(64, 0);
  auto& ip = at<Ipv6Header>(b.data());
  ip.set_first_word(0xb9, 0x12345);
  ip.payload_length = 24;
  ip.src = Ip6{0x20010db800000000, 1};
  REQUIRE(Bytes(b.begin(), b.begin() + 6) == Bytes{0x6b, 0x91, 0x23, 0x45, 0, 24});
  REQUIRE(ip.version() == 6);
  REQUIRE(ip.traffic_class() == 0xb9);
  REQUIRE(ip.flow_label() == 0x12345);
  REQUIRE(b[8] == 0x20);
  REQUIRE(b[23] == 1);
  auto& fragment = at<Ipv6FragmentHeader>(b.data() + 40);
  fragment.offset_flags = 1480 | 1;
  REQUIRE(fragment.offset_bytes() == 1480);
  REQUIRE(fragment.more_fragments());

  Bytes options = {kNdOptionMtu, 1, 0, 0, 0, 0, 5, 0xdc, kNdOptionTargetMac, 1, 2, 3, 4, 5, 6, 7};
  REQUIRE(find_nd_mac(options, kNdOptionTargetMac)->to_u64() == 0x020304050607);
  REQUIRE(find_nd_mac(options, kNdOptionSourceMac) == nullptr);
  options[1] = 0;  // would loop for ever
  REQUIRE(find_nd_mac(options, kNdOptionTargetMac) == nullptr);
  options[1] = 9;  // overruns
  REQUIRE(find_nd_mac(options, kNdOptionTargetMac) == nullptr);
  REQUIRE(find_nd_mac({}, kNdOptionTargetMac) == nullptr);
}

TEST_CASE("TCP options: what is written is read back, and overruns are refused") {
  for (unsigned mask = 0; mask < 32; ++mask) {
    TcpOptions in;
    if (mask & 1) in.mss = 1460;
    if (mask & 2) in.window_scale = 7;
    in.sack_permitted = (mask & 4) != 0;
    if (mask & 8) in.timestamps = {{0xdeadbeef, 17}};
    if (mask & 16) {
      in.sack_blocks = 2;
      in.sack[0] = {100, 200};
      in.sack[1] = {300, 400};
    }
    std::uint8_t bytes[40];
    const unsigned n = write_tcp_options(in, bytes);
    REQUIRE(n % 4 == 0);
    REQUIRE(n <= 40);
    TcpOptions out;
    REQUIRE(parse_tcp_options({bytes, n}, out));
    REQUIRE(out.mss == in.mss);
    REQUIRE(out.window_scale == in.window_scale);
    REQUIRE(out.sack_permitted == in.sack_permitted);
    REQUIRE(out.timestamps.has_value() == in.timestamps.has_value());
    if (out.timestamps) REQUIRE(out.timestamps->value == 0xdeadbeef);
    if (out.timestamps) REQUIRE(out.timestamps->echo == 17);
    if (in.sack_blocks != 0) REQUIRE(out.sack_blocks >= 1);
    if (out.sack_blocks != 0) REQUIRE(out.sack[0].right == 200);
  }
  TcpOptions out;
  REQUIRE_FALSE(parse_tcp_options(Bytes{2, 4, 5}, out));
  REQUIRE_FALSE(parse_tcp_options(Bytes{2}, out));
  REQUIRE_FALSE(parse_tcp_options(Bytes{9, 1, 0, 0}, out));
  REQUIRE_FALSE(parse_tcp_options(Bytes{9, 0, 0, 0}, out));
  REQUIRE(parse_tcp_options(Bytes{254, 4, 0, 0, 2, 4, 5, 0xb4}, out));
  REQUIRE(out.mss == 1460);
}

TEST_CASE("overlay headers") {
  const Bytes vxlan = {0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0};
  REQUIRE(view<VxlanHeader>(vxlan)->vni == 0x123456u);
  const Bytes geneve = {0x02, 0x40, 0x65, 0x58, 0, 0, 42, 0, 0x01, 0x02, 0x80, 0x01, 0, 3, 0, 4};
  const auto* g = view<GeneveHeader>(geneve);
  REQUIRE(g->version() == 0);
  REQUIRE(g->options_length() == 8);
  REQUIRE((g->flags & GeneveHeader::kFlagCritical) != 0);
  REQUIRE(g->protocol == kEtherTransparentBridging);
  REQUIRE(g->vni == 42u);
  const auto* option = view<GeneveOption>(geneve, 8);
  REQUIRE(option->option_class == kGeneveClassOvn);
  REQUIRE(option->type == kGeneveTypeOvnPorts);
  REQUIRE(option->data_length() == 4);
}

}  // namespace
}  // namespace weft::wire
