#include "scenarios/swarm/swarm.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "scenarios/run/run.h"
#include "scenarios/swarm/judge.h"
#include "scenarios/swarm/watch.h"

namespace weft::scenarios::swarm {
namespace {

RunOptions run_options(const SwarmOptions& options, unsigned threads) {
  RunOptions o;
  o.threads = threads;
  o.check = CheckLevel::full;
  o.write_folder = false;
  o.plant = options.plant;
  return o;
}

/// Leaves out one piece after the other as long as the same kind of finding remains.
template <class StillFails>
void shrink_pieces(std::vector<std::string>& pieces, const StillFails& still_fails) {
  for (std::size_t i = pieces.size(); i-- > 0;) {
    const std::string kept = pieces[i];
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i));
    if (!still_fails()) pieces.insert(pieces.begin() + static_cast<std::ptrdiff_t>(i), kept);
  }
}

}  // namespace

Finding try_scenario(const std::string& yaml, const std::string& name, const SwarmOptions& options,
                     bool compare_threads, SeedOutcome& outcome) {
  auto loaded = load_scenario_text(yaml, name);
  if (!loaded.scenario)
    return {"refused by the loader", loaded.errors.empty() ? "" : loaded.errors.front().text()};
  const Scenario& scenario = *loaded.scenario;
  try {
    Watch watch;
    RunOptions o = run_options(options, options.threads);
    o.prepare = [&](World& world) { watch.attach(world); };
    const RunOutcome run = run_loaded(scenario, o);
    if (run.exit_code == 2)
      return {"refused by the world", run.errors.empty() ? "" : run.errors.front().text()};
    if (!run.results.identity.fault.empty()) return {"internal fault", run.results.identity.fault};
    const auto verdicts = judge_run(scenario, watch.take(), run.results);
    outcome.deliveries += verdicts.deliveries;
    outcome.refusals += verdicts.refusals;
    outcome.traffics_alive += verdicts.traffics_alive;
    if (verdicts.complaint) return {"policy", *verdicts.complaint};
    for (const auto& e : run.results.expectations)
      if (e.judged && !e.passed) return {"expectation", e.text + ": " + e.seen};
    if (compare_threads) {
      // Without the observers: they must not change a run either.
      const RunOutcome again = run_loaded(scenario, run_options(options, options.threads + 1));
      if (!again.results.identity.fault.empty())
        return {"internal fault", again.results.identity.fault};
      if (again.results.digest != run.results.digest)
        return {"digest", fmt::format("{} on {} threads, {} on {}", run.results.digest,
                                      options.threads, again.results.digest, options.threads + 1)};
    }
  } catch (const InternalFault& fault) {
    return {"internal fault", fault.what()};
  }
  return {};
}

SeedOutcome run_seed(std::uint64_t seed, const SwarmOptions& options) {
  SeedOutcome outcome;
  outcome.seed = seed;
  const auto begin = std::chrono::steady_clock::now();
  Draft draft = generate(seed);
  const std::string name = fmt::format("swarm-{}.yaml", seed);
  const bool compare =
      options.compare_threads_every > 0 && seed % options.compare_threads_every == 0;
  outcome.finding = try_scenario(draft.text(), name, options, compare, outcome);
  if (outcome.finding.found()) {
    if (options.shrink) {
      const auto still_fails = [&] {
        SeedOutcome unused;
        const Finding f = try_scenario(draft.text(), name, options, compare, unused);
        if (f.kind != outcome.finding.kind) return false;
        outcome.finding.reason = f.reason;
        return true;
      };
      shrink_pieces(draft.events, still_fails);
      shrink_pieces(draft.traffic, still_fails);
      shrink_pieces(draft.events, still_fails);
    }
    outcome.yaml = draft.text();
  }
  outcome.wall_ns = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin)
          .count());
  return outcome;
}

std::vector<SeedOutcome> run_seeds(const std::vector<std::uint64_t>& seeds, unsigned jobs,
                                   const SwarmOptions& options,
                                   const std::function<void(const SeedOutcome&)>& tell) {
  std::vector<SeedOutcome> outcomes(seeds.size());
  std::vector<char> done(seeds.size(), 0);
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> workers;
  for (unsigned j = 0; j < std::max(1U, jobs); ++j)
    workers.emplace_back([&] {
      for (std::size_t i = next++; i < seeds.size(); i = next++) {
        SeedOutcome outcome = run_seed(seeds[i], options);
        const std::lock_guard lock(mutex);
        outcomes[i] = std::move(outcome);
        done[i] = 1;
        changed.notify_one();
      }
    });
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done[i] != 0; });
    lock.unlock();
    tell(outcomes[i]);
  }
  return outcomes;
}

}  // namespace weft::scenarios::swarm
