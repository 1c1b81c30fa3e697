// Bursts: the same packets give the same, in the same order, whether they come one by one or many
// at once; and the parser's short cut agrees with the parser.
#include "datapath/extract.h"
#include "datapath/fast_parse.h"
#include "tests/unit/datapath/random_rules.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using datapath::FlowKey;

std::string text_of(const Packet& p) {
  std::string t;
  for (const std::uint8_t b : frame_of(p)) t += static_cast<char>(b);
  return t;
}

std::vector<std::string> seen(const datapath::Outputs& o) {
  std::vector<std::string> out;
  for (const auto& x : o.out)
    out.push_back(std::to_string(x.port.value) + " " + text_of(*x.packet));
  for (const auto& d : o.dropped)
    out.push_back(std::string(name_of(d.reason)) + " " + std::to_string(d.cookie) + " " +
                  text_of(*d.packet));
  return out;
}

datapath::CacheOptions options_of(std::uint64_t seed) {
  datapath::CacheOptions o;
  o.exact_match = seed % 3 != 0;
  o.megaflow = seed % 5 != 0;
  // Evictions in the middle of a burst.
  if (seed % 2 == 0) o.megaflow_limit = 6;
  if (seed % 4 == 0) o.exact_match_entries = 8;
  if (seed % 7 == 0) o.mask_limit = 4;
  return o;
}

TEST_CASE("a burst is its packets one after the other", "[pipeline][burst]") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    RandomRules random(seed);
    Lab one(options_of(seed)), many(options_of(seed));
    for (int step = 0; step < 60; ++step) {
      for (int n = step == 0 ? 25 : static_cast<int>(random.below(2)); n > 0; --n) {
        const std::string rule = random.rule(4);
        REQUIRE(one.pipeline.add_flow(rule).ok());
        REQUIRE(many.pipeline.add_flow(rule).ok());
      }
      one.now += milliseconds(1);
      many.now = one.now;
      const auto in_port = static_cast<std::uint32_t>(1 + random.below(4));
      std::vector<FlowSpec> specs;
      for (auto n = 1 + random.below(70); n > 0; --n)
        specs.push_back(specs.empty() || random.below(3) != 0 ? random.packet()
                                                              : specs[random.below(specs.size())]);
      std::vector<Packet*> packets[2];
      for (const FlowSpec& f : specs) {
        packets[0].push_back(one.packet(f));
        packets[1].push_back(many.packet(f));
        if (random.below(20) == 0)  // cut short
          for (auto& p : packets) p.back()->resize_headers(17);
      }
      one.release();
      many.release();
      for (Packet* p : packets[0])
        one.pipeline.process({&p, 1}, datapath::PortNo{in_port}, one.now, one.outputs);
      many.pipeline.process(packets[1], datapath::PortNo{in_port}, many.now, many.outputs);
      INFO("seed " << seed << " step " << step);
      REQUIRE(seen(many.outputs) == seen(one.outputs));
    }
    const auto &a = one.pipeline.stats(), &b = many.pipeline.stats();
    REQUIRE(a.packets == b.packets);
    REQUIRE(b.packets == b.exact_match_hits + b.megaflow_hits + b.slow_path);
    REQUIRE(one.pipeline.dump_flows() == many.pipeline.dump_flows());
    REQUIRE(one.pipeline.dump_connections() == many.pipeline.dump_connections());
  }
}

TEST_CASE("a burst from the uplink keeps its order", "[pipeline][burst]") {
  Lab sender, one, many;
  sender.rules("actions=set_field:7->tun_id,set_field:172.16.0.1->tun_dst,output:10");
  for (Lab* l : {&one, &many})
    l->rules("in_port=10,tun_id=7,udp,actions=output:1\nin_port=10,tcp,actions=output:2");
  RandomRules random(3);
  std::vector<Bytes> frames;
  for (int i = 0; i < 100; ++i) {
    sender.send(random.packet(), 1);
    Packet* p = sender.take_output();
    frames.push_back(frame_of(*p));
    sender.pool.give(p);
    if (random.below(10) == 0) frames.back()[45] ^= 0x40;  // a broken VXLAN header or checksum
    if (random.below(10) == 0) frames.back()[33] ^= 1;     // another host's
    if (random.below(10) == 0) frames.back().resize(30);
  }
  std::vector<Packet*> packets;
  for (const Bytes& f : frames) packets.push_back(many.packet(f));
  many.pipeline.process(packets, datapath::PortNo{20}, many.now, many.outputs);
  for (const Bytes& f : frames) {
    Packet* p = one.packet(f);
    one.pipeline.process({&p, 1}, datapath::PortNo{20}, one.now, one.outputs);
  }
  REQUIRE(seen(many.outputs) == seen(one.outputs));
  REQUIRE(many.outputs.out.size() > 30);
  REQUIRE(many.outputs.dropped.size() > 5);
}

TEST_CASE("the parser's short cut agrees with the parser", "[parse]") {
  RandomRules random(11);
  std::uint64_t taken = 0, left = 0;
  OnePacket one;
  for (int i = 0; i < 60'000; ++i) {
    build(*one.p, random.packet());
    Bytes frame = frame_of(*one.p);
    // Damage: lengths, offsets, flags, types; and frames that end early or go on in the payload.
    for (auto n = random.below(3); n > 0; --n) {
      const std::size_t at = 12 + random.below(std::min<std::size_t>(frame.size() - 12, 44));
      frame[at] ^= static_cast<std::uint8_t>(1u << random.below(8));
    }
    if (random.below(8) == 0) frame.resize(random.below(frame.size() + 1));
    if (random.below(8) == 0) frame.resize(frame.size() + random.below(20));
    set_frame(*one.p, frame, random.below(6) == 0 ? random.below(frame.size() + 1) : SIZE_MAX);
    datapath::ParsedHeaders fast;
    FlowKey fast_key;
    if (!datapath::parse_plain(*one.p, fast, fast_key)) {
      ++left;
      REQUIRE(fast_key == FlowKey{});
      continue;
    }
    ++taken;
    const datapath::ParsedHeaders slow = datapath::parse_headers(*one.p);
    FlowKey slow_key;
    datapath::extract(*one.p, slow, slow_key);
    REQUIRE(fast_key == slow_key);
    REQUIRE(slow.ok());
    const auto fields = [](const datapath::ParsedHeaders& p) {
      return std::tuple(p.fragment, p.ip_version, p.ip_proto, p.tos, p.ttl, p.has_vlan, p.tcp_flags,
                        p.vlan_tci, p.eth_type, p.l3, p.l4, p.payload, p.l3_end);
    };
    REQUIRE(fields(fast) == fields(slow));
  }
  REQUIRE(taken > 10'000);
  REQUIRE(left > 10'000);
}

}  // namespace
}  // namespace weft::test
