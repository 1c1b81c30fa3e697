// Connection tracking alone, one core: new connections, packets of connections that are there, and
// the bytes that one of them takes. Packets are read beforehand (CtPacket); a tracked packet is one
// lookup with its state and windows advanced. `burst` is the same in bursts of 32 with the lookups
// prefetched, as a pipeline does it. The second argument: 0 UDP, 1 TCP, 2 UDP with source NAT.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/check.h"
#include "datapath/conntrack.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

enum Case : std::int64_t { kUdp, kTcp, kNat };

constexpr int kBurst = 32;

CtPacket packet_of(std::uint64_t n, std::int64_t what) {
  CtPacket p;
  p.kind = CtPacket::Kind::flow;
  p.tuple.src.low = 0x0a000000 + (n >> 16);
  p.tuple.dst.low = 0x0a800001;
  p.tuple.src_port = static_cast<std::uint16_t>(n);
  p.tuple.dst_port = 80;
  p.tuple.protocol = what == kTcp ? wire::kProtoTcp : wire::kProtoUdp;
  if (what == kTcp) {
    p.tcp.flags = wire::TcpHeader::kSyn;
    p.tcp.sequence = 1000;
    p.tcp.window = 65535;
  }
  return p;
}

CtCommit commit_of(std::int64_t what) {
  CtCommit c;
  // 64 addresses: room for a million connections to one server.
  if (what == kNat) c.nat = parse_nat("src=192.0.2.0-192.0.2.63").value();
  return c;
}

CtOptions large() {
  CtOptions o;
  o.max_connections = 1u << 22;
  return o;
}

/// A table with connections that are established, and for each the next packet of either side.
struct Table {
  ConnTrack ct{large(), 1};
  std::vector<CtPacket> packets;

  Table(std::uint64_t count, std::int64_t what) {
    const CtCommit commit = commit_of(what);
    packets.reserve(count);
    for (std::uint64_t n = 0; n < count; ++n) {
      CtPacket p = packet_of(n, what);
      CtResult r = ct.commit(p, 1, Time{}, commit);
      WEFT_CHECK(r.created);
      CtPacket answer = p;
      answer.tuple = (r.translate ? ct.translation(r) : p.tuple).reversed();
      if (what == kTcp) {
        answer.tcp = {.sequence = 5000, .acknowledgement = 1001, .sack = 1001, .window = 65535};
        answer.tcp.flags = wire::TcpHeader::kSyn | wire::TcpHeader::kAck;
        WEFT_CHECK(ct.track(answer, 1, Time{}).state & kCtReply);
        p.tcp = {.sequence = 1001, .acknowledgement = 5001, .sack = 5001, .window = 65535};
        p.tcp.flags = wire::TcpHeader::kAck;
        WEFT_CHECK(ct.track(p, 1, Time{}).state & kCtEstablished);
        answer.tcp = {.sequence = 5001, .acknowledgement = 1001, .sack = 1001, .window = 65535};
        answer.tcp.flags = wire::TcpHeader::kAck;
      }
      packets.push_back(n % 2 == 0 ? p : answer);
    }
    // Visited in a scattered order.
    for (std::uint64_t i = count; i > 1; --i)
      std::swap(packets[i - 1], packets[(i * 0x9E3779B97F4A7C15ULL >> 20) % i]);
  }
};

void report(benchmark::State& state, const ConnTrack& ct) {
  state.counters["bytes/connection"] =
      ct.size() == 0 ? 0 : static_cast<double>(ct.memory()) / ct.size();
}

void tracked(benchmark::State& state) {
  Table table(static_cast<std::uint64_t>(state.range(0)), state.range(1));
  const bool nat = state.range(1) == kNat;
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.ct.track(table.packets[i], 1, Time{}, nat).state);
    if (++i == table.packets.size()) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
  report(state, table.ct);
}

void tracked_burst(benchmark::State& state) {
  Table table(static_cast<std::uint64_t>(state.range(0)), state.range(1));
  const bool nat = state.range(1) == kNat;
  const ConnTrack& ct = table.ct;
  std::size_t i = 0;
  std::uint32_t hash[kBurst];
  for (auto _ : state) {
    if (i + kBurst > table.packets.size()) i = 0;
    for (std::size_t k = 0; k < kBurst; ++k)
      ct.prefetch_slot(hash[k] = ct.hash(table.packets[i + k], 1));
    for (const std::uint32_t h : hash) ct.prefetch_connection(h);
    for (const std::uint32_t h : hash) ct.prefetch_rest(h);
    for (std::size_t k = 0; k < kBurst; ++k)
      benchmark::DoNotOptimize(table.ct.track(table.packets[i + k], 1, Time{}, nat, hash[k]).state);
    i += kBurst;
  }
  state.SetItemsProcessed(state.iterations() * kBurst);
  report(state, table.ct);
}

/// A new connection each time (track, then commit, as rules do), in a table that holds range(0) of
/// them and reclaims the old ones as time passes.
void fresh(benchmark::State& state) {
  const auto live = state.range(0);
  ConnTrack ct(large(), 1);
  CtOptions options = large();
  options.timeouts.tcp_syn_sent = options.timeouts.udp;
  ct.set_options(options);
  const CtCommit commit = commit_of(state.range(1));
  const Duration step = options.timeouts.udp / live;
  Time now{};
  std::uint64_t n = 0;
  const auto one = [&] {
    now += step;
    const CtPacket p = packet_of(n++, state.range(1));
    benchmark::DoNotOptimize(ct.track(p, 1, now).state);
    WEFT_CHECK(ct.commit(p, 1, now, commit, true).created);
    ct.expire(now, 2);
  };
  for (std::int64_t k = 0; k < live; ++k) one();
  for (auto _ : state) one();
  state.SetItemsProcessed(state.iterations());
}

void cases(benchmark::internal::Benchmark* b) {
  for (const std::int64_t what : {kUdp, kTcp, kNat})
    for (const std::int64_t count : {std::int64_t{1000}, std::int64_t{1'000'000}})
      b->Args({count, what});
}
BENCHMARK(tracked)->Apply(cases);
BENCHMARK(tracked_burst)->Apply(cases);
BENCHMARK(fresh)->Apply(cases);

}  // namespace
}  // namespace weft::datapath

BENCHMARK_MAIN();
