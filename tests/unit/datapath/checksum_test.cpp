// Checksums against RFC 1071's own example, a plain loop, and frames with bits flipped.
#include "datapath/checksum.h"

#include "datapath/parse.h"
#include "datapath/tunnel/tunnel.h"
#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft {
namespace {

using test::Bytes;

TEST_CASE("the example of RFC 1071") {
  const Bytes bytes = test::hex("0001 f203 f4f5 f6f7");
  REQUIRE(fold_sum(sum_bytes(bytes)) == 0xddf2);
  REQUIRE(checksum_of(bytes) == 0x220d);
}

TEST_CASE("sums of any bytes at any length") {
  test::Lcg random{1};
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes(random.below(200));
    const bool high = i % 3 == 0;
    for (auto& b : bytes) b = high ? 0xff : static_cast<std::uint8_t>(random.next());
    REQUIRE(fold_sum(sum_bytes(bytes)) == test::slow_sum(bytes, 0, bytes.size()));
    const auto start = static_cast<std::uint16_t>(random.next());
    REQUIRE(fold_sum(sum_bytes(bytes, start)) == test::slow_sum(bytes, 0, bytes.size(), start));
  }
  REQUIRE(fold_sum(~0ULL) == 0xffff);
  REQUIRE(fold_sum(0) == 0);
}

TEST_CASE("incremental update equals a new computation, in the corners too") {
  test::Lcg random{2};
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes(20);
    for (auto& b : bytes)
      b = static_cast<std::uint8_t>(i % 2 == 0 ? random.next() : random.below(2) * 255);
    bytes[0] = 0x45;  // as in any real header: not all zero
    const std::uint16_t old_checksum = checksum_of(bytes);
    const auto at = 2 + 2 * random.below(7);
    if (i % 3 == 0) {
      const auto old_value = wire::load_be<std::uint32_t>(&bytes[at]);
      const auto value = static_cast<std::uint32_t>(random.next());
      wire::store_be(&bytes[at], value);
      REQUIRE(update_checksum32(old_checksum, old_value, value) == checksum_of(bytes));
    } else {
      const auto old_value = wire::load_be<std::uint16_t>(&bytes[at]);
      const auto value = static_cast<std::uint16_t>(i % 5 == 0 ? 0xffff : random.next());
      wire::store_be(&bytes[at], value);
      REQUIRE(update_checksum(old_checksum, old_value, value) == checksum_of(bytes));
    }
  }
}

TEST_CASE("finished frames verify, and no flipped bit escapes") {
  const test::OnePacket one;
  Packet* p = one.p;
  test::Lcg random{3};
  for (int i = 0; i < 400; ++i) {
    test::FlowSpec flow;
    flow.is6 = i % 2 != 0;
    const std::uint8_t protocols[] = {wire::kProtoTcp, wire::kProtoUdp,
                                      flow.is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp};
    flow.protocol = protocols[random.below(3)];
    flow.src_port = static_cast<std::uint16_t>(random.next());
    flow.payload = static_cast<std::uint32_t>(random.below(60));
    flow.vlan = random.below(4) == 0;
    flow.stream = random.next();
    test::build(*p, flow);
    const Bytes frame = test::frame_of(*p);
    const std::size_t l3 = flow.vlan ? 18 : 14;
    REQUIRE(test::slow_verify(frame, l3));
    REQUIRE(verify_checksums(*p) == ChecksumFault::ok);
    const std::size_t l4 = l3 + (flow.is6 ? 40 : 20);
    for (int flips = 0; flips < 20; ++flips) {
      Bytes bad = frame;
      const std::size_t bit = l4 * 8 + random.below((frame.size() - l4) * 8);
      bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      test::set_frame(*p, bad, l4 + (flow.protocol == wire::kProtoTcp ? 20 : 8));
      // What still parses must be seen (a UDP checksum cannot become 0 by one flip unless it had
      // one bit).
      const auto parsed = datapath::parse_headers(*p);
      if (!parsed.ok()) continue;
      if (flow.protocol == wire::kProtoUdp && bad[l4 + 6] == 0 && bad[l4 + 7] == 0) continue;
      REQUIRE(verify_checksums(*p) != ChecksumFault::ok);
    }
    if (flow.is6) continue;
    test::set_frame(*p, frame);
    p->data()[l3 + 8] ^= 1;  // TTL
    REQUIRE(verify_checksums(*p) == ChecksumFault::ipv4_header);
  }
}

TEST_CASE("a UDP checksum that comes out as zero is sent as ones") {
  const test::OnePacket one;
  Packet* p = one.p;
  test::FlowSpec flow;
  flow.protocol = wire::kProtoUdp;
  unsigned seen = 0;
  for (std::uint32_t port = 0; port < 65536; ++port) {
    flow.src_port = static_cast<std::uint16_t>(port);
    test::build(*p, flow);
    const std::uint16_t checksum = wire::load_be<std::uint16_t>(p->data() + 40);
    REQUIRE(checksum != 0);
    seen += checksum == 0xffff;
  }
  REQUIRE(seen >= 1);
}

TEST_CASE("no checksum over IPv4 is fine, over IPv6 it is not") {
  const test::OnePacket one;
  Packet* p = one.p;
  for (bool is6 : {false, true}) {
    test::FlowSpec flow;
    flow.is6 = is6;
    flow.protocol = wire::kProtoUdp;
    test::build(*p, flow);
    wire::store_be<std::uint16_t>(p->data() + p->header_size() - 2, 0);
    REQUIRE((verify_checksums(*p) == ChecksumFault::ok) == !is6);
  }
}

TEST_CASE("a damaged inner frame is found when asked for") {
  const test::OnePacket one;
  Packet* p = one.p;
  datapath::TunnelEncap e;
  e.src = Ip4{1};
  e.dst = Ip4{2};
  for (auto kind : {datapath::TunnelKind::vxlan, datapath::TunnelKind::geneve}) {
    e.kind = kind;
    test::FlowSpec flow;
    flow.payload = 99;
    test::build(*p, flow);
    p->data()[50] ^= 4;  // TCP checksum
    REQUIRE(verify_checksums(*p) == ChecksumFault::tcp);
    datapath::encap(*p, datapath::make_outer(e), 1);
    REQUIRE(verify_checksums(*p, false) == ChecksumFault::ok);
    REQUIRE(verify_checksums(*p, true) == ChecksumFault::inner);
  }
}

TEST_CASE("the sum of any range of a frame") {
  const test::OnePacket one;
  Packet* p = one.p;
  test::Lcg random{9};
  for (int i = 0; i < 3000; ++i) {
    const auto headers = static_cast<std::uint32_t>(random.below(60));
    std::fill_n(p->reset_headers(headers), headers, static_cast<std::uint8_t>(random.next()));
    p->payload =
        Payload::stream(random.next(), random.next(), static_cast<std::uint32_t>(random.below(90)));
    const Bytes frame = test::frame_of(*p);
    const auto from = static_cast<std::uint32_t>(random.below(headers + 1));
    const auto to = static_cast<std::uint32_t>(from + random.below(frame.size() - from + 1));
    REQUIRE(sum_range(*p, from, to) == test::slow_sum(frame, from, to));
  }
}

}  // namespace
}  // namespace weft
