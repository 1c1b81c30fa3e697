// Frames made of flow keys: reading one gives the key back, and every checksum is right.
#include "datapath/compose.h"

#include "datapath/checksum.h"
#include "datapath/extract.h"
#include "datapath/match.h"
#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft::test {
namespace {

using datapath::FlowKey;

const char* const kFlows[] = {
    "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=65535,tcp_flags=0x12,nw_ttl=64",
    "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=53,tp_dst=53,nw_ttl=1,nw_tos=184",
    "icmp,nw_src=1.2.3.4,nw_dst=4.3.2.1,icmp_type=8,icmp_code=0,nw_ttl=255",
    "icmp,nw_src=1.2.3.4,nw_dst=4.3.2.1,icmp_type=3,icmp_code=13",
    "ip,nw_src=1.2.3.4,nw_dst=4.3.2.1,nw_proto=89",
    "sctp,nw_src=1.2.3.4,nw_dst=4.3.2.1",
    "tcp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,tp_src=1,tp_dst=2,tcp_flags=0x2,ipv6_label=0xabcde",
    "udp6,ipv6_src=fd00::1,ipv6_dst=ff02::1,tp_src=546,tp_dst=547,nw_tos=255",
    "icmp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,icmp_type=128",
    "icmp6,ipv6_src=fd00::1,ipv6_dst=ff02::1:ff00:2,icmp_type=135,nd_target=fd00::2,"
    "nd_sll=02:00:00:00:00:01,nw_ttl=255",
    "icmp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,icmp_type=136,nd_target=fd00::1,"
    "nd_tll=02:00:00:00:00:01",
    "arp,arp_op=1,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=02:00:00:00:00:01",
    "arp,arp_op=2,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=02:00:00:00:00:01,"
    "arp_tha=02:00:00:00:00:02",
    "dl_type=0x88cc"};

TEST_CASE("a frame made of a flow reads as that flow", "[compose]") {
  PacketArena arena;
  PacketPool pool(arena);
  const std::vector<std::uint8_t> payload{1, 2, 3, 4, 5, 6, 7};
  for (const char* flow : kFlows) {
    for (const bool tag : {false, true}) {
      for (const std::size_t bytes : {std::size_t{0}, payload.size()}) {
        const std::string text = std::string(flow) +
                                 ",dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02" +
                                 (tag ? ",dl_vlan=7,dl_vlan_pcp=3" : "");
        INFO(text << " with " << bytes << " bytes");
        const auto match = datapath::parse_match(text);
        REQUIRE(match.ok());
        Packet* packet = pool.take();
        datapath::compose_frame(*packet, match->value,
                                {.payload = std::span(payload).first(bytes)});
        const auto parsed = datapath::parse_headers(*packet);
        REQUIRE(parsed.ok());
        FlowKey read;
        datapath::extract(*packet, parsed, read);
        REQUIRE(read == match->value);
        REQUIRE(verify_checksums(*packet) == ChecksumFault::ok);
        const Bytes frame = frame_of(*packet);
        const bool nd = text.find("nd_target") != std::string::npos;
        if (bytes != 0 && !nd && !match->value.is_arp())
          REQUIRE(std::equal(payload.begin(), payload.end(), frame.end() - 7));
        pool.give(packet);
      }
    }
  }
}

}  // namespace
}  // namespace weft::test
