// multipath: its text, its shares, both directions alike, and what it looks at.
#include "datapath/multipath.h"

#include "tests/catch.h"

namespace weft::test {
namespace {

using datapath::Action;
using datapath::FlowKey;
using datapath::FlowMask;
namespace place = datapath::place;

Action action(const std::string& text) {
  auto parsed = datapath::parse_actions(text);
  INFO((parsed ? std::string() : parsed.error().text()));
  REQUIRE(parsed);
  return parsed->at(0);
}

FlowKey flow(std::uint32_t n) {
  FlowKey key;
  key.set(place::eth_type, 0x0800);
  key.set(place::nw_proto, 17);
  key.set(place::nw_src, 0x0a000000 + n / 7);
  key.set(place::nw_dst, 0x0a800001);
  key.set(place::tp_src, 1024 + n % 5000);
  key.set(place::tp_dst, 80);
  return key;
}

FlowKey turned(FlowKey key) {
  const auto swap = [&](auto a, auto b) {
    const auto old = key.get(a);
    key.set(a, key.get(b));
    key.set(b, old);
  };
  swap(place::nw_src, place::nw_dst);
  swap(place::tp_src, place::tp_dst);
  return key;
}

TEST_CASE("multipath reads back as it prints; what it cannot do has a place and a remedy") {
  for (const char* text : {"multipath(symmetric_l3l4+udp,7,hrw,3,0,reg10)",
                           "multipath(eth_src,0,modulo_n,16,0,reg1[4..7])"})
    CHECK(datapath::format_actions(datapath::parse_actions(text).value()) ==
          datapath::format_actions({action(text)}));
  struct Wrong {
    const char* text;
    int column;
  };
  for (const Wrong& w : {Wrong{"multipath(symmetric_l4,0,hrw,3,0,reg10)", 11},
                         Wrong{"multipath(eth_src,0,iter_hash,3,0,reg10)", 21},
                         Wrong{"multipath(eth_src,0,hrw,0,0,reg10)", 25},
                         Wrong{"multipath(eth_src,0,hrw,17,0,reg10[0..3])", 30},
                         Wrong{"multipath(eth_src,0,hrw,2,0,nw_dst)", 29},
                         Wrong{"multipath(eth_src,0,hrw,2)", 11}}) {
    const auto parsed = datapath::parse_actions(w.text);
    INFO(w.text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().place.column == w.column);
    CHECK_FALSE(parsed.error().remedy.empty());
  }
}

TEST_CASE("multipath spreads flows evenly, keeps both directions together, and hrw moves few") {
  for (const char* algorithm : {"modulo_n", "hrw"}) {
    const std::string head = std::string("multipath(symmetric_l3l4+udp,0,") + algorithm;
    const Action four = action(head + ",4,0,reg10)"), five = action(head + ",5,0,reg10)");
    std::vector<unsigned> count(4);
    unsigned moved = 0;
    constexpr unsigned kFlows = 8000;
    for (std::uint32_t n = 0; n < kFlows; ++n) {
      FlowMask looked;
      const auto link = multipath_link(four.multipath, 4, flow(n), looked);
      REQUIRE(link == multipath_link(four.multipath, 4, turned(flow(n)), looked));
      ++count.at(link);
      const auto later = multipath_link(five.multipath, 5, flow(n), looked);
      if (later != link) ++moved;
      // What it did not look at decides nothing.
      FlowKey other = flow(n);
      for (unsigned w = 0; w < datapath::kKeyWords; ++w) other.w[w] ^= ~looked.w[w] & 0x5555;
      REQUIRE(link == multipath_link(four.multipath, 4, other, looked));
    }
    INFO(algorithm << " moved " << moved);
    for (const unsigned c : count) {
      CHECK(c > kFlows / 4 - kFlows / 40);
      CHECK(c < kFlows / 4 + kFlows / 40);
    }
    if (std::string(algorithm) == "hrw") CHECK(moved < kFlows / 4);
  }
}

}  // namespace
}  // namespace weft::test
