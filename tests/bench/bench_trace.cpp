// weft trace: three tiers of N ports together behind one router with two rules of policy, 50 ports
// a hypervisor. What loading costs, what a question costs the first time that a packet names its
// ports, and later.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>

#include "analysis/trace/tracer.h"
#include "scenarios/run/trace_world.h"

namespace weft::scenarios {
namespace {

using analysis::Tracer;

Scenario three_tier(std::uint32_t ports) {
  const std::uint32_t hosts = std::max(2u, ports / 50);
  std::string text = fmt::format(
      "underlay: {{leaf_spine: {{spines: 4, leaves: {}, "
      "hosts_per_leaf: {}}}}}\n",
      std::max(1u, hosts / 10), std::min(10u, hosts));
  text +=
      "tenants:\n  shop:\n    networks:\n"
      "      web-net: {subnet: 10.1.0.0/16}\n"
      "      app-net: {subnet: 10.2.0.0/16}\n"
      "      db-net: {subnet: 10.3.0.0/16}\n"
      "    routers: {r1: [web-net, app-net, db-net]}\n    groups:\n";
  for (const char* tier : {"web", "app", "db"})
    text += fmt::format("      {}: {{count: {}, network: {}-net, memory: 1MiB}}\n", tier, ports / 3,
                        tier);
  text +=
      "    policy:\n      default: deny\n      rules:\n"
      "        - {name: web-to-app, allow: {from: web, to: app, tcp: 8080}}\n"
      "        - {name: app-to-db, allow: {from: app, to: db, tcp: 5432}}\n";
  auto loaded = load_scenario_text(text, "bench.yaml");
  WEFT_CHECK(loaded.scenario.has_value(), "{}",
             loaded.errors.empty() ? "" : loaded.errors.front().text());
  return *loaded.scenario;
}

std::unique_ptr<Tracer> tracer_of(const Scenario& scenario) {
  auto target = trace_at_rest(scenario);
  WEFT_CHECK(target.ok());
  return std::make_unique<Tracer>(target->view, std::move(target->switches));
}

/// Question number n: another client and another server each time, for all pairs in turn.
void ask(Tracer& tracer, std::uint32_t ports, std::uint64_t n, bool json) {
  const std::uint64_t tier = ports / 3;
  const std::uint64_t client = 1 + n * 7919 % tier, server = 10 + 1 + n * 104'729 % tier;
  const auto answer = tracer.ask(fmt::format("shop/web-{}", client),
                                 fmt::format("tcp,ip_dst=10.2.{}.{},tcp_dst={}", server >> 8,
                                             server & 255, n % 2 == 0 ? 8080 : 80),
                                 false);
  WEFT_CHECK(answer.ok() && (answer->verdict == analysis::TraceVerdict::delivered) == (n % 2 == 0));
  if (json) benchmark::DoNotOptimize(trace_json(*answer, -1).size());
}

void load(benchmark::State& state) {
  const Scenario scenario = three_tier(static_cast<std::uint32_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(tracer_of(scenario).get());
}
BENCHMARK(load)->Arg(99)->Arg(999)->Arg(5001)->Unit(benchmark::kMillisecond);

void first_question(benchmark::State& state) {
  const auto ports = static_cast<std::uint32_t>(state.range(0));
  const Scenario scenario = three_tier(ports);
  auto tracer = tracer_of(scenario);
  std::uint64_t n = 0;
  for (auto _ : state) {
    if (n == ports / 3) {
      state.PauseTiming();
      tracer = tracer_of(scenario);
      n = 0;
      state.ResumeTiming();
    }
    ask(*tracer, ports, n++, true);
  }
}
BENCHMARK(first_question)->Arg(99)->Arg(999)->Arg(5001)->Unit(benchmark::kMicrosecond);

void question(benchmark::State& state) {
  const auto ports = static_cast<std::uint32_t>(state.range(0));
  auto tracer = tracer_of(three_tier(ports));
  std::uint64_t n = 0;
  for (; n < ports / 3; ++n) ask(*tracer, ports, n, false);
  for (auto _ : state) ask(*tracer, ports, n++ % (ports / 3), true);
}
BENCHMARK(question)->Arg(99)->Arg(999)->Arg(5001)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace weft::scenarios

BENCHMARK_MAIN();
