// The virtual switch alone: one core, 64-byte frames, packets that are made beforehand and used
// again. What is timed is Pipeline::process and the reset of the packet's headers (a copy of 64
// bytes), in bursts of 32.
//
// Beside each rate stands that of Open vSwitch 3.1 with DPDK for the same case on a 2-core virtual
// machine (AMD Zen 3, 2.25 GHz), where source and sink cost 24-36 ns of each packet: ratios, give
// or take 30 %.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cstring>
#include <vector>

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/pipeline.h"
#include "datapath/wire/wire.h"

namespace weft {
namespace {

using datapath::PortKind;
using datapath::PortNo;
using datapath::TunnelKind;

struct Case {
  const char* name;
  const char* rules;   ///< lines
  double ovs_mpps[3];  ///< for 1, 1 k and 100 k flows; 0: not measured
  bool macs_vary;      ///< flows differ in MACs too
};

/// The classifier without its optimisations: masks as wide as the rules', so that the 5-tuple rules
/// below take one megaflow per flow.
datapath::CacheOptions plain_masks() {
  datapath::CacheOptions o;
  o.classifier = {.staged_lookup = false,
                  .prefix_tracking = false,
                  .priority_sorting = false,
                  .port_tries = false};
  return o;
}

const Case kCases[] = {
    {"port", "in_port=1,actions=output:2", {13.8, 0, 0}, false},
    {"l2", "", {7.2, 10.8, 4.3}, true},  // a rule per destination MAC, see below
    {"5-tuple",
     "priority=1,ip,actions=output:2\n"
     "priority=2,udp,nw_src=1.1.1.1,nw_dst=2.2.2.2,tp_src=1,tp_dst=2,actions=drop",
     {9.0, 6.2, 2.1},
     false},
    {"vxlan",
     "actions=set_field:42->tun_id,set_field:172.16.0.2->tun_dst,output:10",
     {7.0, 10.3, 4.3},
     false},
    {"geneve",
     "actions=set_field:42->tun_id,set_field:0x10002->tun_metadata0,"
     "set_field:172.16.0.2->tun_dst,output:11",
     {8.7, 8.6, 1.6},
     false},
    {"ct+acl",
     "table=0,ip,actions=ct(table=1,zone=1)\n"
     "table=1,priority=3,ct_state=+trk+est,ip,actions=output:2\n"
     "table=1,priority=2,ct_state=+trk+new,udp,tp_dst=80,actions=ct(commit,zone=1),output:2\n"
     "table=1,priority=1,actions=drop(policy)",
     {2.8, 3.2, 1.6},
     false},
    {"ct+acl+geneve",
     "table=0,ip,actions=ct(table=1,zone=1)\n"
     "table=1,priority=3,ct_state=+trk+est,ip,actions=resubmit(,2)\n"
     "table=1,priority=2,ct_state=+trk+new,udp,tp_dst=80,actions=ct(commit,zone=1),resubmit(,2)\n"
     "table=1,priority=1,actions=drop(policy)\n"
     "table=2,actions=set_field:42->tun_id,set_field:0x10002->tun_metadata0,"
     "set_field:172.16.0.2->tun_dst,output:11",
     {3.0, 2.4, 0.9},
     false},
};

constexpr int kFlows[] = {1, 1000, 100'000};

struct Frame {
  std::uint8_t bytes[64];
};

std::vector<Frame> make_frames(int flows, bool macs_vary) {
  std::vector<Frame> frames(static_cast<std::size_t>(flows));
  PacketArena arena;
  PacketPool pool(arena);
  for (int i = 0; i < flows; ++i) {
    Packet* p = pool.take();
    std::uint8_t* f = p->reset_headers(64);
    std::memset(f, 0, 64);
    const auto n = static_cast<std::uint32_t>(i);
    auto& eth = wire::at<wire::EthernetHeader>(f);
    eth.dst = Mac::from_u64(0x020000000000 + (macs_vary ? n & 0xffff : 1));
    eth.src = Mac::from_u64(0x020000010000 + (macs_vary ? n >> 16 : 1));
    eth.type = wire::kEtherIpv4;
    auto& ip = wire::at<wire::Ipv4Header>(f + 14);
    ip.version_ihl = 0x45;
    ip.total_length = 50;
    ip.ttl = 64;
    ip.protocol = wire::kProtoUdp;
    ip.src = Ip4{0x0a000000 + (n >> 8)};
    ip.dst = Ip4{0x0a800000 + n % 251};
    auto& udp = wire::at<wire::UdpHeader>(f + 34);
    udp.src_port = static_cast<std::uint16_t>(1024 + (n & 0xff));
    udp.dst_port = 80;
    udp.length = 30;
    finish_l4_checksum(*p, 14);
    std::memcpy(frames[static_cast<std::size_t>(i)].bytes, p->data(), 64);
    pool.give(p);
  }
  return frames;
}

datapath::Pipeline make_switch(const char* rules, PacketPool& pool, PacketId& next_id,
                               std::uint32_t n, datapath::CacheOptions options = {}) {
  datapath::VtepConfig vtep;
  vtep.address = Ip4{0xac100000 + n};
  vtep.mac = Mac::from_u64(0x0a0000000000 + n);
  vtep.next_hop = Mac::from_u64(0x0a00000000ff);
  datapath::Pipeline sw(vtep, options, n);
  sw.set_world({[&next_id] { return ++next_id; }, &pool});
  sw.add_port({PortNo{1}, "vm-1", PortKind::vm, TunnelKind::none, 1});
  sw.add_port({PortNo{2}, "vm-2", PortKind::vm, TunnelKind::none, 1});
  sw.add_port({PortNo{10}, "vxlan", PortKind::tunnel, TunnelKind::vxlan, 0});
  sw.add_port({PortNo{11}, "geneve", PortKind::tunnel, TunnelKind::geneve, 0});
  sw.add_port({PortNo{20}, "uplink", PortKind::uplink, TunnelKind::none, 0});
  for (std::string_view all = rules; !all.empty();) {
    const auto end = std::min(all.find('\n'), all.size());
    const auto r = sw.add_flow(all.substr(0, end));
    WEFT_CHECK(r.ok(), "{}", r ? "" : r.error().text());
    all.remove_prefix(std::min(end + 1, all.size()));
  }
  return sw;
}

void run(benchmark::State& state, const Case& c, int flows, double reference) {
  PacketArena arena;
  PacketPool pool(arena);
  PacketId next_id = 0;
  datapath::Pipeline sw =
      make_switch(c.rules, pool, next_id, 1,
                  c.name == std::string_view("5-tuple") ? plain_masks() : datapath::CacheOptions{});
  const std::vector<Frame> frames = make_frames(flows, c.macs_vary);
  for (int n = 0; c.macs_vary && n < std::min(flows, 1 << 16); ++n)
    WEFT_CHECK(
        sw.add_flow(fmt::format("dl_dst={},actions=output:2",
                                Mac::from_u64(0x020000000000 + static_cast<unsigned>(n)).text()))
            .ok());
  constexpr std::size_t kBurst = 32;
  Packet* burst[kBurst];
  for (Packet*& p : burst) p = pool.take();
  datapath::Outputs out;
  std::size_t at = 0;
  Time now{};
  const auto one = [&] {
    for (Packet* p : burst) {
      std::memcpy(p->reset_headers(64), frames[at].bytes, 64);
      if (++at == frames.size()) at = 0;
    }
    now += microseconds(1);
    out.clear();
    sw.process(burst, PortNo{1}, now, out);
    WEFT_CHECK(out.out.size() == kBurst);
    for (std::size_t i = 0; i < kBurst; ++i) burst[i] = out.out[i].packet;
  };
  for (std::size_t i = 0; i < 2 * (frames.size() / kBurst + 1); ++i) one();
  const auto before = sw.stats();
  std::uint64_t packets = 0;
  for (auto _ : state) {
    one();
    packets += kBurst;
  }
  const auto& after = sw.stats();
  state.counters["Mpps"] =
      benchmark::Counter(static_cast<double>(packets) * 1e-6, benchmark::Counter::kIsRate);
  if (reference > 0) state.counters["OVS_Mpps"] = reference;
  state.counters["exact_hit_%"] =
      100.0 * static_cast<double>(after.exact_match_hits - before.exact_match_hits) /
      static_cast<double>(after.packets - before.packets);
  state.counters["megaflows"] = static_cast<double>(after.megaflows);
  for (Packet* p : burst) pool.give(p);
}

/// Both ends of workload C: a frame into VXLAN at one switch and out of it at the other.
void both_ends(benchmark::State& state, std::uint32_t payload) {
  PacketArena arena;
  PacketPool pool(arena);
  PacketId next_id = 0;
  datapath::Pipeline a =
      make_switch("in_port=1,actions=set_field:42->tun_id,set_field:172.16.0.2->tun_dst,output:10",
                  pool, next_id, 1);
  datapath::Pipeline b = make_switch("in_port=10,tun_id=42,actions=output:1", pool, next_id, 2);
  std::vector<Frame> frames = make_frames(1000, false);
  Packet* p = pool.take();
  datapath::Outputs out;
  std::size_t at = 0;
  Time now{};
  const Payload body = Payload::stream(1, 0, payload);
  for (auto _ : state) {
    std::uint8_t* f = p->reset_headers(42);
    std::memcpy(f, frames[at].bytes, 42);
    wire::at<wire::Ipv4Header>(f + 14).total_length = static_cast<std::uint16_t>(28 + payload);
    wire::at<wire::Ipv4Header>(f + 14).checksum = 0;
    wire::at<wire::UdpHeader>(f + 34).length = static_cast<std::uint16_t>(8 + payload);
    p->payload = body;
    if (++at == frames.size()) at = 0;
    now += microseconds(1);
    out.clear();
    a.process({&p, 1}, PortNo{1}, now, out);
    p = out.out[0].packet;
    out.clear();
    b.process({&p, 1}, PortNo{20}, now, out);
    WEFT_CHECK(out.out.size() == 1 && out.out[0].port == PortNo{1});
    p = out.out[0].packet;
  }
  state.counters["ns_per_pass"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 2e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  pool.give(p);
}

/// New flows, each one a megaflow of its own: the slow path and the insertion.
void new_megaflows(benchmark::State& state) {
  PacketArena arena;
  PacketPool pool(arena);
  PacketId next_id = 0;
  datapath::Pipeline sw = make_switch(kCases[2].rules, pool, next_id, 1, plain_masks());
  Packet* p = pool.take();
  const Frame frame = make_frames(1, false)[0];
  datapath::Outputs out;
  std::uint32_t n = 0;
  for (auto _ : state) {
    std::uint8_t* f = p->reset_headers(64);
    std::memcpy(f, frame.bytes, 64);
    wire::at<wire::Ipv4Header>(f + 14).src = Ip4{++n};
    out.clear();
    sw.process({&p, 1}, PortNo{1}, Time{} + nanoseconds(n), out);
    p = out.out[0].packet;
  }
  state.counters["new_per_s"] =
      benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsRate);
  state.counters["OVS_new_per_s"] = 109'000;
  pool.give(p);
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  using namespace weft;
  for (const Case& c : kCases)
    for (std::size_t i = 0; i < 3; ++i)
      benchmark::RegisterBenchmark(
          fmt::format("{}/flows:{}", c.name, kFlows[i]).c_str(),
          [&c, i](benchmark::State& s) { run(s, c, kFlows[i], c.ovs_mpps[i]); });
  for (const std::uint32_t payload : {22u, 958u})
    benchmark::RegisterBenchmark(fmt::format("vxlan both ends/payload:{}", payload).c_str(),
                                 [payload](benchmark::State& s) { both_ends(s, payload); });
  benchmark::RegisterBenchmark("new megaflows", new_megaflows);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
