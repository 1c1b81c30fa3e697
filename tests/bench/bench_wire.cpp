// Micro benchmarks of datapath/: parser, tunnels, checksums. Items are
// packets.
#include <benchmark/benchmark.h>

#include "datapath/checksum.h"
#include "datapath/parse.h"
#include "datapath/tunnel/tunnel.h"
#include "tests/unit/datapath/frames.h"

namespace weft::datapath {
namespace {

// 256 frames of different flows, so that branches and caches see more than one.
struct Frames {
  static constexpr std::size_t kCount = 256;
  PacketArena arena;
  PacketPool pool{arena};
  std::vector<Packet*> packets;
  std::vector<ParsedHeaders> parsed;

  explicit Frames(bool is6 = false, std::uint32_t payload = 1400) {
    for (std::uint32_t i = 0; i < kCount; ++i) {
      test::FlowSpec flow;
      flow.is6 = is6;
      flow.src += i;
      flow.src_port = static_cast<std::uint16_t>(30000 + i * 7);
      flow.protocol = i % 4 == 0 ? wire::kProtoUdp : wire::kProtoTcp;
      flow.payload = payload;
      flow.stream = i;
      packets.push_back(pool.take());
      test::build(*packets.back(), flow);
      parsed.push_back(parse_headers(*packets.back()));
    }
  }
  ~Frames() {
    for (Packet* p : packets) pool.give(p);
  }
};

TunnelEncap encap_of(bool vxlan) {
  TunnelEncap e;
  e.kind = vxlan ? TunnelKind::vxlan : TunnelKind::geneve;
  e.src = Ip4{0xc0a80001};
  e.dst = Ip4{0xc0a80002};
  e.vni = 5;
  e.udp_checksum = !vxlan;
  if (!vxlan) e.ports = LogicalPorts{1, 2};
  return e;
}

void parse(benchmark::State& state) {
  Frames f(state.range(0) != 0);
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(parse_headers(*f.packets[i++ % Frames::kCount]));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(parse)->Arg(0)->Arg(1)->ArgName("ipv6");

void hash(benchmark::State& state) {
  Frames f;
  std::size_t i = 0;
  for (auto _ : state) {
    const std::size_t k = i++ % Frames::kCount;
    benchmark::DoNotOptimize(flow_hash(*f.packets[k], f.parsed[k]));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(hash);

// Encapsulation alone; the outer headers are pulled off again, which costs next to nothing.
void encap_only(benchmark::State& state) {
  Frames f;
  const OuterTemplate outer = make_outer(encap_of(state.range(0) != 0));
  std::size_t i = 0;
  for (auto _ : state) {
    Packet& p = *f.packets[i % Frames::kCount];
    benchmark::DoNotOptimize(encap(p, outer, static_cast<std::uint32_t>(i++)));
    p.pull(outer.size);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encap_only)->Arg(0)->Arg(1)->ArgName("vxlan");

void encap_parse_decap(benchmark::State& state) {
  Frames f;
  const OuterTemplate outer = make_outer(encap_of(state.range(0) != 0));
  std::size_t i = 0;
  for (auto _ : state) {
    Packet& p = *f.packets[i % Frames::kCount];
    encap(p, outer, static_cast<std::uint32_t>(i++));
    benchmark::DoNotOptimize(decap(p, parse_headers(p)).ok());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encap_parse_decap)->Arg(0)->Arg(1)->ArgName("vxlan");

void payload_sum(benchmark::State& state) {
  const Payload payload = Payload::stream(1, 1, static_cast<std::uint32_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(payload.sum());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(payload_sum)->Arg(64)->Arg(64000);

void verify_tunnelled(benchmark::State& state) {
  Frames f;
  const OuterTemplate outer = make_outer(encap_of(false));
  for (Packet* p : f.packets) encap(*p, outer, 1);
  std::size_t i = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(verify_checksums(*f.packets[i++ % Frames::kCount], true));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(verify_tunnelled);

void pool_take_give(benchmark::State& state) {
  PacketArena arena;
  PacketPool pool(arena);
  Packet* held[100];
  for (auto _ : state) {
    for (Packet*& p : held) p = pool.take();
    for (Packet* p : held) pool.give(p);
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(pool_take_give);

}  // namespace
}  // namespace weft::datapath

BENCHMARK_MAIN();
