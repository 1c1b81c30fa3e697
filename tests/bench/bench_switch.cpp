// The virtual switch alone: one core, 64-byte frames, packets that are made beforehand and used
// again. What is timed is Pipeline::process and the reset of the packet's headers (a copy of 64
// bytes), in bursts of 32.
//
// Beside each rate stands that of Open vSwitch 3.1 with DPDK for the same case on a 2-core virtual
// machine (AMD Zen 3, 2.25 GHz), where source and sink cost 24-36 ns of each packet: ratios, give
// or take 30 %.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <memory>
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
  double ovs_mpps[4];  ///< for 1, 1 k, 100 k and 1 M flows; 0: not measured
  double aim[4];       ///< 0: none
  bool macs_vary;      ///< flows differ in MACs too
  enum Options { defaults, plain, priority_only } options;
  bool replies;  ///< the flows are established: every one has had a reply
};

/// `plain`: the classifier without its optimisations, so that the 5-tuple rules below take one
/// megaflow per flow. `priority_only`: sixteen rules take sixteen masks; no exact-match cache.
datapath::CacheOptions options_of(Case::Options which) {
  datapath::CacheOptions o;
  o.megaflow_limit = 2'000'000;
  if (which == Case::defaults) return o;
  o.classifier = {.staged_lookup = false,
                  .prefix_tracking = false,
                  .priority_sorting = which == Case::priority_only,
                  .port_tries = false};
  if (which == Case::priority_only) o.exact_match = false;
  return o;
}

constexpr const char* kCtAcl =
    "table=0,ip,actions=ct(table=1,zone=1)\n"
    "table=1,priority=3,ct_state=+trk+est,ip,in_port=1,actions=output:2\n"
    "table=1,priority=3,ct_state=+trk+est,ip,in_port=2,actions=output:1\n"
    "table=1,priority=2,ct_state=+trk+new,udp,tp_dst=80,actions=ct(commit,zone=1),output:2\n"
    "table=1,priority=1,actions=drop(policy)";
constexpr const char* kCtAclGeneve =
    "table=0,ip,actions=ct(table=1,zone=1)\n"
    "table=1,priority=3,ct_state=+trk+est,ip,in_port=2,actions=output:1\n"
    "table=1,priority=3,ct_state=+trk+est,ip,in_port=1,actions=resubmit(,2)\n"
    "table=1,priority=2,ct_state=+trk+new,udp,tp_dst=80,actions=ct(commit,zone=1),resubmit(,2)\n"
    "table=1,priority=1,actions=drop(policy)\n"
    "table=2,actions=set_field:42->tun_id,set_field:0x10002->tun_metadata0,"
    "set_field:172.16.0.2->tun_dst,output:11";

// Aims are those of the project; ct and ACL: established connections, as a switch sees them nearly
// always, and apart from that connections that never get an answer, so that every packet commits.
const Case kCases[] = {
    {"port", "in_port=1,actions=output:2", {13.8, 0, 0, 8.1}, {}, false, Case::defaults, false},
    // A rule per destination MAC, see below.
    {"l2", "", {7.2, 10.8, 4.3, 5.9}, {}, true, Case::defaults, false},
    {"5-tuple",
     "priority=1,ip,actions=output:2\n"
     "priority=2,udp,nw_src=1.1.1.1,nw_dst=2.2.2.2,tp_src=1,tp_dst=2,actions=drop",
     {9.0, 6.2, 2.1, 0.08},
     {0, 0, 6, 4},
     false,
     Case::plain,
     false},
    {"vxlan",
     "actions=set_field:42->tun_id,set_field:172.16.0.2->tun_dst,output:10",
     {7.0, 10.3, 4.3, 0},
     {0, 15, 8, 0},
     false,
     Case::defaults,
     false},
    {"geneve",
     "actions=set_field:42->tun_id,set_field:0x10002->tun_metadata0,"
     "set_field:172.16.0.2->tun_dst,output:11",
     {8.7, 8.6, 1.6, 0},
     {0, 15, 8, 0},
     false,
     Case::defaults,
     false},
    {"ct+acl", kCtAcl, {2.8, 3.2, 1.6, 0.9}, {}, false, Case::defaults, true},
    {"ct+acl+geneve", kCtAclGeneve, {3.0, 2.4, 0.9, 0}, {0, 6, 0, 3}, false, Case::defaults, true},
    {"ct+acl unanswered", kCtAcl, {2.8, 3.2, 1.6, 0.9}, {}, false, Case::defaults, false},
    {"ct+acl+geneve unanswered",
     kCtAclGeneve,
     {3.0, 2.4, 0.9, 0},
     {0, 6, 0, 3},
     false,
     Case::defaults,
     false},
    // Sixteen rules on ever more bits, one for every sixteenth flow, see below.
    {"16 subtables", "", {0, 6.3, 1.2, 1.3}, {0, 6, 0, 0}, false, Case::priority_only, false},
};

constexpr int kFlows[] = {1, 1000, 100'000, 1'000'000};

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
    ip.dst = Ip4{0x0a800000 + n % 16};
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

constexpr std::size_t kBurst = 32;

/// Bursts of frames that are made beforehand, in turn; packets come back from the output.
class Feeder {
 public:
  Feeder(datapath::Pipeline& sw, PacketPool& pool, std::vector<Frame> frames)
      : sw_(sw), pool_(pool), frames_(std::move(frames)) {
    for (Packet*& p : burst_) p = pool_.take();
  }
  ~Feeder() {
    for (Packet* p : burst_) pool_.give(p);
  }
  /// `change` may alter a frame's bytes before it goes in.
  template <class Change>
  void burst(std::uint32_t in_port, Change change) {
    for (Packet* p : burst_) {
      std::uint8_t* f = p->reset_headers(64);
      std::memcpy(f, frames_[at_].bytes, 64);
      change(f);
      if (++at_ == frames_.size()) at_ = 0;
    }
    now_ += microseconds(1);
    out_.clear();
    sw_.process(burst_, PortNo{in_port}, now_, out_);
    WEFT_CHECK(out_.out.size() == kBurst);
    for (std::size_t i = 0; i < kBurst; ++i) burst_[i] = out_.out[i].packet;
  }
  /// Every frame once, at least.
  template <class Change>
  void round(std::uint32_t in_port, Change change) {
    at_ = 0;
    for (std::size_t i = 0; i <= frames_.size() / kBurst; ++i) burst(in_port, change);
  }

 private:
  datapath::Pipeline& sw_;
  PacketPool& pool_;
  std::vector<Frame> frames_;
  Packet* burst_[kBurst];
  datapath::Outputs out_;
  std::size_t at_ = 0;
  Time now_{};
};

void as_it_is(std::uint8_t*) {}
/// The packet that answers it (checksums stay right: everything changes places).
void turned_round(std::uint8_t* f) {
  std::swap_ranges(f + 26, f + 30, f + 30);
  std::swap_ranges(f + 34, f + 36, f + 36);
}

void run(benchmark::State& state, const Case& c, std::size_t column) {
  const int flows = kFlows[column];
  PacketArena arena;
  PacketPool pool(arena);
  PacketId next_id = 0;
  datapath::Pipeline sw = make_switch(c.rules, pool, next_id, 1, options_of(c.options));
  const auto add = [&sw](const std::string& rule) {
    WEFT_CHECK(sw.add_flow(rule).ok(), "{}", rule);
  };
  for (int n = 0; c.macs_vary && n < std::min(flows, 1 << 16); ++n)
    add(fmt::format("dl_dst={},actions=output:2",
                    Mac::from_u64(0x020000000000 + static_cast<unsigned>(n)).text()));
  for (int n = 0; c.options == Case::priority_only && n < 16; ++n)
    add(fmt::format("priority={},ip,nw_dst=10.128.0.{},nw_src=10.0.0.0/{},actions=output:2",
                    100 - n, n, 3 + n));
  Feeder feeder(sw, pool, make_frames(flows, c.macs_vary));
  feeder.round(1, as_it_is);
  if (c.replies) feeder.round(2, turned_round);
  feeder.round(1, as_it_is);
  const auto before = sw.stats();
  std::uint64_t packets = 0;
  for (auto _ : state) {
    feeder.burst(1, as_it_is);
    packets += kBurst;
  }
  const auto& after = sw.stats();
  const auto bytes = sw.memory();
  state.counters["Mpps"] =
      benchmark::Counter(static_cast<double>(packets) * 1e-6, benchmark::Counter::kIsRate);
  if (c.ovs_mpps[column] > 0) state.counters["OVS_Mpps"] = c.ovs_mpps[column];
  if (c.aim[column] > 0) state.counters["aim"] = c.aim[column];
  state.counters["exact_%"] =
      100.0 * static_cast<double>(after.exact_match_hits - before.exact_match_hits) /
      static_cast<double>(after.packets - before.packets);
  state.counters["masks"] = static_cast<double>(after.masks);
  state.counters["megaflows"] = static_cast<double>(after.megaflows);
  if (after.megaflows >= 1000)
    state.counters["B/megaflow"] =
        static_cast<double>(bytes.megaflows) / static_cast<double>(after.megaflows);
  if (after.connections >= 1000)
    state.counters["B/connection"] =
        static_cast<double>(bytes.connections) / static_cast<double>(after.connections);
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

/// New flows in bursts, each one a megaflow (plain masks), or a connection (ct and ACL), of its
/// own: the slow path and the insertion; for connections tracking, lookup, commit. A million at
/// most: then they go, and all begins again, with the clock stopped.
void new_flows(benchmark::State& state, bool connections) {
  PacketArena arena;
  PacketPool pool(arena);
  PacketId next_id = 0;
  std::uint64_t made = 0;
  double bytes = 0;
  const auto options = options_of(connections ? Case::defaults : Case::plain);
  const auto fresh = [&] {
    return make_switch(connections ? kCtAcl : kCases[2].rules, pool, next_id, 1, options);
  };
  datapath::Pipeline sw = fresh();
  auto feeder = std::make_unique<Feeder>(sw, pool, make_frames(1, false));
  std::uint32_t n = 0;
  for (auto _ : state) {
    feeder->burst(1, [&n](std::uint8_t* f) {
      // Checksums stay right: connection tracking looks at them.
      auto& ip = wire::at<wire::Ipv4Header>(f + 14);
      const std::uint32_t old = ip.src.get().value;
      ip.src = Ip4{++n};
      ip.checksum = update_checksum32(ip.checksum, old, n);
      auto& udp = wire::at<wire::UdpHeader>(f + 34);
      udp.checksum = update_checksum32(udp.checksum, old, n);
    });
    made += kBurst;
    if (n < 1'000'000) continue;
    state.PauseTiming();
    const auto memory = sw.memory();
    bytes = static_cast<double>(connections ? memory.connections : memory.megaflows) / n;
    feeder.reset();
    sw = fresh();
    feeder = std::make_unique<Feeder>(sw, pool, make_frames(1, false));
    n = 0;
    state.ResumeTiming();
  }
  state.counters["new/s"] =
      benchmark::Counter(static_cast<double>(made), benchmark::Counter::kIsRate);
  state.counters["OVS_new/s"] = connections ? 547'000 : 109'000;
  state.counters["aim"] = connections ? 1'500'000 : 1'000'000;
  if (bytes > 0) state.counters[connections ? "B/connection" : "B/megaflow"] = bytes;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  using namespace weft;
  for (const Case& c : kCases)
    for (std::size_t i = 0; i < std::size(kFlows); ++i)
      benchmark::RegisterBenchmark(fmt::format("{}/flows:{}", c.name, kFlows[i]).c_str(),
                                   [&c, i](benchmark::State& s) { run(s, c, i); });
  for (const std::uint32_t payload : {22u, 958u})
    benchmark::RegisterBenchmark(fmt::format("vxlan both ends/payload:{}", payload).c_str(),
                                 [payload](benchmark::State& s) { both_ends(s, payload); });
  benchmark::RegisterBenchmark("new megaflows", [](benchmark::State& s) { new_flows(s, false); });
  benchmark::RegisterBenchmark("new connections", [](benchmark::State& s) { new_flows(s, true); });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
