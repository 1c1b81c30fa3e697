// The whole simulator on the workloads A, B and C of docs/benchmarks.md: one thread, the checks of
// `--check basic`, captures off, counters and link series on, nothing written. Every run is a
// process of its own, so that its peak memory is its own; the best of some repetitions counts.
//
//   bench_scenarios [--repeat=N] [--threads=N] [FILE...]     (default: tests/bench/scenarios/*)
//
// Figures per second are per second of CPU time of the process (user and system): on a machine that
// other work shares, it is what can be compared. Wall time is printed beside it.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "scenarios/run/world.h"

namespace weft {
namespace {

struct Figures {
  double setup = 0, run = 0, run_wall = 0;  // seconds
  std::uint64_t hops = 0, events = 0, delivered = 0, dropped = 0, peak_bytes = 0;
  char digest[40] = {};
  bool good = false;
};

double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

Figures measure(const std::string& file, unsigned threads) {
  Figures f;
  const double begin = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const auto loaded = scenarios::load_scenario(file);
  if (!loaded.scenario) {
    for (const Error& e : loaded.errors) fmt::print(stderr, "{}\n", e.text());
    return f;
  }
  const auto& scenario = *loaded.scenario;
  auto built = scenarios::World::build(
      scenario, {.seed = scenario.seed, .threads = threads, .check = models::CheckLevel::basic});
  if (!built.ok()) {
    fmt::print(stderr, "{}\n", built.error().text());
    return f;
  }
  scenarios::World& world = **built;
  world.engine().on_interval(scenario.duration / 100, [&](Time now) {
    world.sample_links(now, scenario.duration / 100);
    world.check_invariants();
  });
  // Until the first traffic starts the control plane brings the switches up: set-up, too.
  Time first = Time::never();
  for (const auto& t : scenario.traffic) first = std::min(first, t.start);
  world.run(first);
  const std::uint64_t events = world.engine().stats().events;
  const auto hops = [&] {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < world.node_count(); ++i) sum += world.node(i).hops;
    return sum;
  };
  const std::uint64_t hops_before = hops();
  const double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const double wall = seconds_of(CLOCK_MONOTONIC);
  world.run(Time{} + scenario.duration);
  f.run_wall = seconds_of(CLOCK_MONOTONIC) - wall;
  f.run = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start;
  f.setup = start - begin;
  world.check_invariants();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  f.peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  for (std::size_t i = 0; i < world.node_count(); ++i) {
    f.delivered += world.node(i).ledger.delivered;
    f.dropped += world.node(i).ledger.dropped;
  }
  f.hops = hops() - hops_before;
  f.events = world.engine().stats().events - events;
  world.engine().digest().text().copy(f.digest, sizeof f.digest - 1);
  f.good = true;
  return f;
}

/// In a process of its own.
Figures measure_apart(const std::string& file, unsigned threads) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return {};
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_ends[0]);
    const Figures f = measure(file, threads);
    const bool written = write(pipe_ends[1], &f, sizeof f) == static_cast<ssize_t>(sizeof f);
    std::fflush(nullptr);
    _exit(written ? 0 : 1);
  }
  close(pipe_ends[1]);
  Figures f;
  if (child < 0 || read(pipe_ends[0], &f, sizeof f) != static_cast<ssize_t>(sizeof f)) f = {};
  close(pipe_ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return f;
}

/// What others reach, in million packet-hops per second (docs/benchmarks.md says how).
struct Peer {
  const char* ns;
  const char* htsim;
};
const std::map<std::string, Peer> kPeers{{"a-64", {"0.233", "4.64"}},
                                         {"a-256", {"0.162", "2.59"}},
                                         {"a-4096", {"-", "0.60"}},
                                         {"b-64", {"0.120", "2.35"}},
                                         {"c-64", {"0.182", "-"}}};

int run(int argc, char** argv) {
  unsigned repeat = 3, threads = 1;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--repeat=")) {
      repeat = static_cast<unsigned>(std::max(1, std::atoi(argument.c_str() + 9)));
    } else if (argument.starts_with("--threads=")) {
      threads = static_cast<unsigned>(std::max(1, std::atoi(argument.c_str() + 10)));
    } else if (argument.starts_with("--")) {
      continue;  // of Google Benchmark, meant for the other programs
    } else {
      files.push_back(argument);
    }
  }
  if (files.empty()) {
    for (const auto& entry : std::filesystem::directory_iterator(WEFT_BENCH_SCENARIOS))
      if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    // a-64, a-256, a-4096, b-64, ...
    std::sort(files.begin(), files.end(), [](const std::string& x, const std::string& y) {
      return std::pair(x[x.rfind('/') + 1], std::pair(x.size(), x)) <
             std::pair(y[y.rfind('/') + 1], std::pair(y.size(), y));
    });
  }
  fmt::print("{:<8} {:>12} {:>10} {:>10} {:>10} {:>9} {:>8} {:>8} {:>7} {:>7}\n", "workload",
             "packet-hops", "M hops/s", "M events/s", "CPU s", "wall s", "set-up s", "peak MB",
             "ns-3", "htsim");
  int status = 0;
  for (const std::string& file : files) {
    Figures best;
    for (unsigned r = 0; r < repeat; ++r) {
      const Figures f = measure_apart(file, threads);
      if (f.good && best.good && std::string_view(f.digest) != best.digest) {
        fmt::print("{}: two runs, two digests: {} and {}\n", file, f.digest, best.digest);
        status = 1;
      }
      const double setup = best.good ? std::min(best.setup, f.setup) : f.setup;
      if (f.good && (!best.good || f.run < best.run)) best = f;
      best.setup = setup;
    }
    const std::string name = std::filesystem::path(file).stem();
    if (!best.good) {
      fmt::print("{}: failed\n", name);
      status = 1;
      continue;
    }
    const auto peer = kPeers.find(name);
    fmt::print(
        "{:<8} {:>12} {:>10.2f} {:>10.2f} {:>10.2f} {:>9.2f} {:>8.2f} {:>8.1f} {:>7} {:>7}\n", name,
        best.hops, static_cast<double>(best.hops) / best.run * 1e-6,
        static_cast<double>(best.events) / best.run * 1e-6, best.run, best.run_wall, best.setup,
        static_cast<double>(best.peak_bytes) * 1e-6, peer == kPeers.end() ? "-" : peer->second.ns,
        peer == kPeers.end() ? "-" : peer->second.htsim);
    fmt::print("         digest {}, {} delivered, {} dropped\n", best.digest, best.delivered,
               best.dropped);
    std::fflush(stdout);
  }
  return status;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::run(argc, argv); }
