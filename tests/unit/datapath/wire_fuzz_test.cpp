// The fuzzers' entry points over random bytes and damaged frames, with any compiler.
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
      e.kind = random.below(2) != 0 ? datapath::TunnelKind::vxlan : datapath::TunnelKind::geneve;
      e.src = Ip4{1};
      e.dst = Ip4{2};
      if (random.below(2) != 0) e.ports = datapath::LogicalPorts{1, 2};
      if (e.kind == datapath::TunnelKind::vxlan) e.ports.reset();
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

}  // namespace
}  // namespace weft
