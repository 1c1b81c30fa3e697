// The parser: a table of frames in bytes and what must be found in them, and bytes of no meaning.
#include "datapath/parse.h"

#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft::datapath {
namespace {

using test::Bytes;
using test::hex;

const char* const kEthIp4 = "020000000002 020000000001 0800";
const char* const kEthIp6 = "020000000002 020000000001 86dd";

struct Case {
  const char* name;
  std::string frame;
  ParseError error;
  std::uint8_t version = 0;
  std::uint8_t proto = 0;
  std::uint16_t l3 = 0, l4 = 0, payload = 0;
  std::uint32_t l3_end = 0;
  Fragment fragment = Fragment::none;
};

std::string operator+(const char* a, const std::string& b) { return std::string(a) + b; }

const std::string kAddresses4 = "0a000001 0a000002";
const std::string kAddresses6 = "fd000000000000000000000000000001 fd000000000000000000000000000002";

const std::vector<Case>& cases() {
  using E = ParseError;
  static const std::vector<Case> table = {
      {"nothing", "", E::truncated},
      {"half Ethernet", "02000000000202000000", E::truncated, 0, 0, 0, 0, 0, 10},
      {"ARP with padding",
       "ffffffffffff 020000000001 0806 0001 0800 06 04 0001"
       "020000000001 0a000001 000000000000 0a000002 000000000000000000000000000000000000",
       E::none, 0, 0, 14, 0, 42, 42},
      {"ARP cut off", "ffffffffffff 020000000001 0806 0001 0800 06 04 0001", E::truncated, 0, 0, 14,
       0, 14, 22},
      {"unknown type", "ffffffffffff 020000000001 88cc 0001", E::none, 0, 0, 14, 0, 14, 16},
      {"UDP",
       kEthIp4 + std::string("45000020 00004000 4011 0000") + kAddresses4 +
           "1111 2222 000c 0000 01020304",
       E::none, 4, 17, 14, 34, 42, 46},
      {"UDP with Ethernet padding",
       kEthIp4 + std::string("4500001c 00004000 4011 0000") + kAddresses4 +
           "1111 2222 0008 0000 000000000000000000000000000000000000",
       E::none, 4, 17, 14, 34, 42, 42},
      {"UDP behind a VLAN tag",
       "020000000002 020000000001 8100 6064 0800 4500001c 00004000 4011 0000" + kAddresses4 +
           "1111 2222 0008 0000",
       E::none, 4, 17, 18, 38, 46, 46},
      {"two tags: not looked through", "020000000002 020000000001 88a8 0064 8100 0065 0800 4500",
       E::none, 0, 0, 18, 0, 18, 24},
      {"tag cut off", "020000000002 020000000001 8100 60", E::truncated, 0, 0, 0, 0, 0, 15},
      {"TCP with options",
       kEthIp4 + std::string("4500002c 00004000 4006 0000") + kAddresses4 +
           "1f90 9c40 00000001 00000002 6012 ffff 0000 0000 020405b4",
       E::none, 4, 6, 14, 34, 58, 58},
      {"IPv4 with options",
       kEthIp4 + std::string("46000024 00004000 4001 0000") + kAddresses4 +
           "94040000 0800 0000 0001 0002 01020304",
       E::none, 4, 1, 14, 38, 46, 50},
      {"IPv4 longer than the frame",
       kEthIp4 + std::string("45000021 00004000 4011 0000") + kAddresses4 +
           "1111 2222 000c 0000 01020304",
       E::malformed, 0, 0, 14, 0, 14, 46},
      {"IPv4 shorter than its header",
       kEthIp4 + std::string("45000013 00004000 4011 0000") + kAddresses4, E::malformed, 0, 0, 14,
       0, 14, 34},
      {"IPv4 header length below 5",
       kEthIp4 + std::string("44000014 00004000 4011 0000") + kAddresses4, E::malformed, 0, 0, 14,
       0, 14, 34},
      {"IPv4 header cut off", kEthIp4 + std::string("45000014 0000"), E::truncated, 0, 0, 14, 0, 14,
       20},
      {"IPv4 type, IPv6 version",
       kEthIp4 + std::string("65000014 00004000 4011 0000") + kAddresses4, E::malformed, 0, 0, 14,
       0, 14, 34},
      {"UDP header beyond the IP packet, in the padding",
       kEthIp4 + std::string("45000018 00004000 4011 0000") + kAddresses4 + "1111 2222 0008 0000",
       E::malformed, 4, 17, 14, 0, 34, 38},
      {"UDP length too long",
       kEthIp4 + std::string("4500001c 00004000 4011 0000") + kAddresses4 + "1111 2222 0009 0000",
       E::malformed, 4, 17, 14, 0, 34, 42},
      {"UDP length below 8",
       kEthIp4 + std::string("4500001c 00004000 4011 0000") + kAddresses4 + "1111 2222 0007 0000",
       E::malformed, 4, 17, 14, 0, 34, 42},
      {"TCP offset below 5",
       kEthIp4 + std::string("45000028 00004000 4006 0000") + kAddresses4 +
           "1f90 9c40 00000001 00000002 4012 ffff 0000 0000",
       E::malformed, 4, 6, 14, 0, 34, 54},
      {"TCP offset beyond the packet",
       kEthIp4 + std::string("45000028 00004000 4006 0000") + kAddresses4 +
           "1f90 9c40 00000001 00000002 f012 ffff 0000 0000",
       E::truncated, 4, 6, 14, 0, 34, 54},
      {"first fragment: UDP longer than it",
       kEthIp4 + std::string("4500001c 00002000 4011 0000") + kAddresses4 + "1111 2222 05dc 0000",
       E::none, 4, 17, 14, 34, 42, 42, Fragment::first},
      {"later fragment",
       kEthIp4 + std::string("45000018 00000001 4011 0000") + kAddresses4 + "01020304", E::none, 4,
       17, 14, 0, 34, 38, Fragment::later},
      {"SCTP: no transport header that we know",
       kEthIp4 + std::string("45000018 00004000 4084 0000") + kAddresses4 + "01020304", E::none, 4,
       132, 14, 0, 34, 38},
      {"ICMPv6 over IPv4 is nothing",
       kEthIp4 + std::string("4500001c 00004000 403a 0000") + kAddresses4 + "8000 0000 0001 0002",
       E::none, 4, 58, 14, 0, 34, 42},
      {"IPv6 UDP",
       kEthIp6 + std::string("60000000 000c 11 40") + kAddresses6 + "1111 2222 000c 0000 01020304",
       E::none, 6, 17, 14, 54, 62, 66},
      {"IPv6 too long",
       kEthIp6 + std::string("60000000 000d 11 40") + kAddresses6 + "1111 2222 000c 0000 01020304",
       E::malformed, 0, 0, 14, 0, 14, 66},
      {"IPv6 hop-by-hop, then ICMPv6",
       kEthIp6 + std::string("60000000 0010 00 40") + kAddresses6 +
           "3a00 050200000100 8000 0000 0001 0002",
       E::none, 6, 58, 14, 62, 70, 70},
      {"IPv6 first fragment",
       kEthIp6 + std::string("60000000 0010 2c 40") + kAddresses6 +
           "1100 0001 00000007 1111 2222 05dc 0000",
       E::none, 6, 17, 14, 62, 70, 70, Fragment::first},
      {"IPv6 atomic fragment",
       kEthIp6 + std::string("60000000 0010 2c 40") + kAddresses6 +
           "1100 0000 00000007 1111 2222 0008 0000",
       E::none, 6, 17, 14, 62, 70, 70},
      {"IPv6 later fragment",
       kEthIp6 + std::string("60000000 000c 2c 40") + kAddresses6 + "1100 05a8 00000007 01020304",
       E::none, 6, 17, 14, 0, 62, 66, Fragment::later},
      {"IPv6 extension header that overruns",
       kEthIp6 + std::string("60000000 0008 00 40") + kAddresses6 + "3a05 050200000100",
       E::truncated, 6, 0, 14, 0, 54, 62},
      {"IPv6 no next header", kEthIp6 + std::string("60000000 0000 3b 40") + kAddresses6, E::none,
       6, 59, 14, 0, 54, 54},
      {"IPv6 nine destination options",
       kEthIp6 + std::string("60000000 0048 3c 40") + kAddresses6 +
           "3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000"
           "3c00000000000000 3c00000000000000 3c00000000000000 3b00000000000000",
       E::malformed, 6, 60, 14, 0, 118, 126},
  };
  return table;
}

void require_fields(const Case& c, const ParsedHeaders& h) {
  INFO(c.name << ": " << to_string(h.error));
  CHECK(h.error == c.error);
  CHECK(int(h.ip_version) == int(c.version));
  CHECK(int(h.ip_proto) == int(c.proto));
  CHECK(h.l3 == c.l3);
  CHECK(h.l4 == c.l4);
  CHECK(h.payload == c.payload);
  CHECK(h.l3_end == c.l3_end);
  CHECK(h.fragment == c.fragment);
}

TEST_CASE("frames and their headers") {
  for (const Case& c : cases()) {
    const Bytes frame = hex(c.frame);
    require_fields(c, parse_bytes(frame, static_cast<std::uint32_t>(frame.size())));
  }
}

TEST_CASE("headers in the payload are asked for, then moved") {
  PacketArena arena;
  PacketPool pool(arena);
  for (const Case& c : cases()) {
    const Bytes frame = hex(c.frame);
    for (std::size_t there = 0; there < frame.size(); ++there) {
      Packet* p = pool.take();
      test::set_frame(*p, frame, there);
      const ParsedHeaders before = parse_headers(*p);
      // Without moving, the answer is the right one or a request for more.
      if (before.error != ParseError::needs_payload) require_fields(c, before);
      require_fields(c, parse_materialising(*p));
      REQUIRE(test::frame_of(*p) == frame);
      pool.give(p);
    }
  }
}

TEST_CASE("every field of a TCP frame") {
  const test::OnePacket one;
  Packet* p = one.p;
  test::FlowSpec flow;
  flow.vlan = true;
  flow.tos = 0xb9;
  flow.tcp_flags = 0x12;
  flow.payload = 100;
  for (bool is6 : {false, true}) {
    flow.is6 = is6;
    test::build(*p, flow);
    const ParsedHeaders h = parse_headers(*p);
    REQUIRE(h.ok());
    REQUIRE(h.has_vlan);
    REQUIRE(h.vlan_tci == 0x6064);
    REQUIRE(h.eth_type == (is6 ? 0x86dd : 0x0800));
    REQUIRE(h.tos == 0xb9);
    REQUIRE(h.ttl == 64);
    REQUIRE(h.tcp_flags == 0x12);
    REQUIRE(h.payload_size() == 100);
    const ParsedHeaders ip = parse_ip(p->headers(), p->size(), h.l3);
    REQUIRE(ip.l4 == h.l4);
    REQUIRE(ip.l3_end == h.l3_end);
  }
}

TEST_CASE("random bytes: offsets stay inside and nothing is read outside") {
  // Each input lies in a buffer of exactly its size, so that ASan sees a read past its end.
  test::Lcg random{3};
  unsigned good = 0;
  for (int i = 0; i < 200000; ++i) {
    const auto& c = cases()[random.below(cases().size())];
    Bytes bytes = hex(c.frame);
    if (i % 4 == 0) bytes.resize(random.below(80));
    for (auto n = random.below(6); n > 0 && !bytes.empty(); --n)
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next());
    if (!bytes.empty() && i % 3 == 0) bytes.resize(random.below(bytes.size()) + 1);
    const auto size =
        static_cast<std::uint32_t>(bytes.size() + (i % 5 == 0 ? random.below(50) : 0));
    const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), exact.get());
    const ParsedHeaders h = parse_bytes({exact.get(), bytes.size()}, size);
    REQUIRE(h.l3_end <= size);
    REQUIRE(h.l3 <= bytes.size());
    REQUIRE(h.payload <= bytes.size());
    if (!h.ok()) continue;
    ++good;
    REQUIRE(h.payload >= h.l3);
    REQUIRE(h.payload <= h.l3_end);
    if (h.l4 != 0) REQUIRE(h.payload - h.l4 >= 8);
  }
  REQUIRE(good > 10000);
}

TEST_CASE("trim_frame cuts payload, then headers") {
  const test::OnePacket one;
  Packet* p = one.p;
  const Bytes bytes(100, 7);
  for (std::uint32_t n : {100u, 99u, 61u, 60u, 59u, 1u, 0u}) {
    test::set_frame(*p, bytes, 60);
    trim_frame(*p, n);
    REQUIRE(test::frame_of(*p) == Bytes(n, 7));
  }
}

TEST_CASE("the flow hash sees the flow and nothing else") {
  const test::OnePacket one;
  Packet* p = one.p;
  for (bool is6 : {false, true}) {
    test::FlowSpec flow;
    flow.is6 = is6;
    auto hash = [&] {
      test::build(*p, flow);
      return flow_hash(*p, parse_headers(*p), 5);
    };
    const std::uint32_t first = hash();
    flow.payload = 50;
    flow.tos = 3;
    REQUIRE(hash() == first);
    ++flow.src_port;
    REQUIRE(hash() != first);
    --flow.src_port;
    ++flow.dst;
    REQUIRE(hash() != first);
    --flow.dst;
    flow.protocol = wire::kProtoUdp;
    REQUIRE(hash() != first);
    flow.protocol = wire::kProtoIcmp;
    flow.payload = 0;
    if (is6) continue;
    const std::uint32_t icmp = hash();
    ++flow.dst_port;  // the sequence number
    REQUIRE(hash() == icmp);
  }
}

}  // namespace
}  // namespace weft::datapath
