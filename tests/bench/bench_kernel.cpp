// The kernel alone: what an event costs before any packet is touched.
//
//   ninja bench_kernel && bin/bench_kernel
//
// Counters: events/s, allocations per event (operator new is counted; the steady state has none),
// and bytes of the calendar per pending event.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "sim/engine.h"

namespace {
std::atomic<std::uint64_t> allocations{0};
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // both halves are replaced, below
#endif
void* operator new(std::size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t n, std::align_val_t a) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto align = static_cast<std::size_t>(a);
  if (void* p = std::aligned_alloc(align, (n + align - 1) / align * align)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace {

using namespace weft;
using namespace weft::sim;

struct Fast {  // a cheap generator, so that the handler is not what is measured
  std::uint64_t state;
  std::uint64_t operator()() {
    return state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  }
  std::int64_t below(std::uint64_t n) {
    return static_cast<std::int64_t>(static_cast<unsigned __int128>((*this)()) * n >> 64);
  }
};

constexpr Duration kDelay = microseconds(1);

/// Hands every event on to a neighbour, after the channel's delay and a random gap.
struct Node : LogicalProcess {
  Fast draw{1};
  std::vector<ChannelId> out;
  std::uint64_t spread = 1;
  void handle(Context& c, const Event& e) override {
    const auto which = static_cast<std::size_t>(draw.below(out.size()));
    c.send(out[which], c.now() + kDelay + Duration{draw.below(spread)}, EventClass::arrival, 1, 0,
           e.data);
  }
};

void report(benchmark::State& state, Engine& engine, std::uint64_t events, std::uint64_t allocated,
            std::uint64_t pending) {
  const auto n = static_cast<double>(events);
  state.counters["events/s"] = benchmark::Counter(n, benchmark::Counter::kIsRate);
  state.counters["ns/event"] =
      benchmark::Counter(n / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["allocs/event"] = static_cast<double>(allocated) / n;
  if (pending > 0)
    state.counters["bytes/pending"] =
        static_cast<double>(engine.stats().calendar_bytes) / static_cast<double>(pending);
  state.counters["events/window"] =
      static_cast<double>(engine.stats().events) / static_cast<double>(engine.stats().windows);
}

/// Runs `slice` of simulated time per iteration, after warming up.
void measure(benchmark::State& state, Engine& engine, Duration slice, std::uint64_t pending) {
  Time until = Time{} + slice + slice;
  engine.run(until);
  const std::uint64_t events = engine.stats().events;
  const std::uint64_t allocated = allocations.load();
  for (auto _ : state) {
    until += slice;
    engine.run(until);
  }
  const std::uint64_t now_allocated = allocations.load();
  report(state, engine, engine.stats().events - events, now_allocated - allocated, pending);
}

/// Hold model: `pending` events over `lps` processes with four channels each, threads.
void hold(benchmark::State& state) {
  const auto pending = static_cast<std::uint64_t>(state.range(0));
  const auto lps = static_cast<std::uint32_t>(state.range(1));
  Engine engine{{.seed = 1, .threads = static_cast<unsigned>(state.range(2))}};
  std::vector<Node*> nodes;
  for (std::uint32_t i = 0; i < lps; ++i) {
    auto node = std::make_unique<Node>();
    node->draw.state = i * 77 + 1;
    node->spread = static_cast<std::uint64_t>(kDelay.ps) * 8;
    nodes.push_back(node.get());
    engine.add("node-" + std::to_string(i), std::move(node));
  }
  Fast draw{9};
  for (std::uint32_t i = 0; i < lps; ++i)
    for (std::uint32_t k : {1u, lps / 3 + 1, lps / 2 + 1, lps - 1})
      nodes[i]->out.push_back(*engine.connect(LpId{i}, LpId{(i + k) % lps}, kDelay));
  for (std::uint64_t i = 0; i < pending; ++i)
    engine.post(LpId{static_cast<std::uint32_t>(i % lps)}, Time{draw.below(5'000'000)},
                EventClass::arrival, 1, 0, i);
  // Mean hold time 5 us; about a million events per iteration, or 10 ms.
  const auto slice = std::min<std::int64_t>(10'000'000'000,
                                            5'000'000'000'000 / static_cast<std::int64_t>(pending));
  measure(state, engine, Duration{slice}, pending);
}
BENCHMARK(hold)  // CPU time: holds on a busy machine too
    ->ArgNames({"pending", "lps", "threads"})
    ->ArgsProduct({{100, 1'000, 10'000, 100'000, 1'000'000}, {64}, {1}})
    ->ArgsProduct({{10'000, 100'000, 1'000'000}, {4096}, {1}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(hold)
    ->ArgNames({"pending", "lps", "threads"})
    ->Args({100'000, 64, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// A ring: each event goes round, one event per process and window.
void ring(benchmark::State& state) {
  const auto lps = static_cast<std::uint32_t>(state.range(0));
  Engine engine{{.seed = 1, .threads = static_cast<unsigned>(state.range(1))}};
  std::vector<Node*> nodes;
  for (std::uint32_t i = 0; i < lps; ++i) {
    auto node = std::make_unique<Node>();
    nodes.push_back(node.get());
    engine.add("node-" + std::to_string(i), std::move(node));
  }
  for (std::uint32_t i = 0; i < lps; ++i)
    nodes[i]->out.push_back(*engine.connect(LpId{i}, LpId{(i + 1) % lps}, kDelay));
  for (std::uint32_t i = 0; i < lps; ++i)
    engine.post(LpId{i}, Time{i}, EventClass::arrival, 1, 0, i);
  measure(state, engine, Duration{kDelay.ps * 1'000'000 / lps}, lps);
}
BENCHMARK(ring)
    ->ArgNames({"lps", "threads"})
    ->ArgsProduct({{1, 16, 256, 65'536}, {1}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(ring)
    ->ArgNames({"lps", "threads"})
    ->Args({256, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// A retransmission timer per flow that every event pushes back, as acknowledgements do.
struct Flow : LogicalProcess {
  std::vector<TimerId> timers = std::vector<TimerId>(64);
  Fast draw{1};
  void handle(Context& c, const Event& e) override {
    c.arm(timers[static_cast<std::size_t>(draw.below(timers.size()))], c.now() + milliseconds(200),
          2, 0, 0);
    if (e.event_class() != EventClass::timer)
      c.schedule(c.now() + Duration{1'000'000 + draw.below(1'000'000)}, EventClass::arrival, 1, 0,
                 0);
  }
};
void rearm(benchmark::State& state) {
  Engine engine{{.seed = 1, .threads = 1, .max_window = microseconds(1)}};
  const auto lps = static_cast<std::uint32_t>(state.range(0));
  for (std::uint32_t i = 0; i < lps; ++i) {
    auto flow = std::make_unique<Flow>();
    flow->draw.state = i;
    engine.add("flow-" + std::to_string(i), std::move(flow));
    engine.post(LpId{i}, Time{i}, EventClass::arrival, 1, 0, 0);
  }
  measure(state, engine, Duration{1'500'000'000'000 / lps}, 0);
}
BENCHMARK(rearm)->ArgName("lps")->Arg(16)->Arg(1024)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
