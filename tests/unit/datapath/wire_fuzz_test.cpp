// The fuzzers' entry points over random bytes and damaged frames, with any compiler.
#include "datapath/tunnel/stt.h"
#include "datapath/tunnel/tunnel.h"
#include "tests/catch.h"
#include "tests/fuzz/wire_entry.h"
#include "tests/unit/datapath/frames.h"

namespace weft {
namespace {

TEST_CASE("fuzz entry points over random bytes") {
  const test::OnePacket one;
  Packet* p = one.p;
  test::Lcg random{11};
  for (int i = 0; i < 40000; ++i) {
    test::Bytes input;
    if (i % 8 == 0) {
      input.resize(random.below(120));
      for (auto& b : input) b = static_cast<std::uint8_t>(random.next());
    } else {
      test::FlowSpec flow;
      flow.is6 = random.below(2) != 0;
      flow.protocol = random.below(2) != 0 ? wire::kProtoTcp : wire::kProtoUdp;
      flow.vlan = random.below(4) == 0;
      flow.tos = static_cast<std::uint8_t>(random.next());
      flow.payload = static_cast<std::uint32_t>(random.below(40));
      test::build(*p, flow);
      datapath::TunnelEncap e;
      e.kind = static_cast<datapath::TunnelKind>(1 + random.below(datapath::kTunnelKinds - 1));
      e.vni = 0x1000;
      e.src = Ip4{1};
      e.dst = Ip4{2};
      if (random.below(2) != 0) e.ports = datapath::LogicalPorts{1, 2};
      e.udp_checksum = random.below(2) != 0;
      for (auto n = random.below(3); n > 0; --n) datapath::encap(*p, datapath::make_outer(e), 1);
      input = test::frame_of(*p);
      input.insert(input.begin(), static_cast<std::uint8_t>(random.next()));
      for (auto n = random.below(5); n > 0; --n)
        input[random.below(input.size())] = static_cast<std::uint8_t>(random.next());
    }
    REQUIRE_NOTHROW(fuzz::parse_one(input));
    REQUIRE_NOTHROW(fuzz::tunnel_one(input));
  }
}

TEST_CASE("the receiver's fuzz entry point over segments, damaged and mixed up") {
  test::Lcg random{12};
  PacketArena arena;
  PacketPool pool(arena);
  for (int i = 0; i < 3000; ++i) {
    test::Bytes script;
    std::vector<Packet*> segments;
    for (std::uint32_t frame = 0; frame < 3; ++frame) {
      test::FlowSpec flow;
      flow.payload = static_cast<std::uint32_t>(random.below(600));
      datapath::TunnelEncap e;
      e.kind = datapath::TunnelKind::stt;
      e.src = Ip4{1};
      e.dst = Ip4{2};
      e.mtu = static_cast<std::uint32_t>(150 + random.below(200));
      segments.push_back(pool.take());
      test::build(*segments.back(), flow);
      std::vector<Packet*> more;
      REQUIRE(datapath::stt::encap_frame(
          *segments.back(), datapath::make_outer(e), 1, frame, pool, [] { return PacketId{1}; },
          more));
      segments.insert(segments.end(), more.begin(), more.end());
    }
    for (std::size_t k = segments.size(); k > 1; --k)
      std::swap(segments[k - 1], segments[random.below(k)]);
    for (Packet* p : segments) {
      test::Bytes frame = test::frame_of(*p);
      pool.give(p);
      if (random.below(4) == 0) frame[random.below(frame.size())] ^= 1;
      const std::size_t n = frame.size() + 1;
      script.insert(script.end(), {static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n),
                                   static_cast<std::uint8_t>(random.below(4)),
                                   static_cast<std::uint8_t>(random.next())});
      script.insert(script.end(), frame.begin(), frame.end());
    }
    REQUIRE_NOTHROW(fuzz::receive_script(script));
  }
}

}  // namespace
}  // namespace weft
