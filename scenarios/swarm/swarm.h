// Swarm: runs random scenarios (generate.h) with every check on and lets the judge (judge.h)
// compare what happened with the specification. A finding carries what is needed to see it again:
// the YAML, made as small as leaving out traffic and events makes it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "scenarios/swarm/generate.h"

namespace weft::scenarios::swarm {

struct SwarmOptions {
  unsigned threads = 1;
  /// Each seed that this number divides is run again on two threads; the digests must agree. 0:
  /// none.
  unsigned compare_threads_every = 4;
  std::string plant;  ///< weft mutate
  bool shrink = true;
};

struct Finding {
  std::string kind;  ///< "refused by the loader", "internal fault", "policy", "digest"; empty: none
  std::string reason;  ///< what is wrong, with the first offending packet
  bool found() const { return !kind.empty(); }
};

struct SeedOutcome {
  std::uint64_t seed = 0;
  Finding finding;
  std::string yaml;  ///< the smallest scenario that shows it; empty if nothing was found
  std::uint64_t deliveries = 0, refusals = 0, traffics_alive = 0;
  std::uint64_t wall_ns = 0;
};

/// Runs one scenario; `name` stands in messages. Adds what was judged to `outcome`.
Finding try_scenario(const std::string& yaml, const std::string& name, const SwarmOptions& options,
                     bool compare_threads, SeedOutcome& outcome);
SeedOutcome run_seed(std::uint64_t seed, const SwarmOptions& options);
/// All seeds, `jobs` at once; `tell` is called in the order of the seeds, on this thread.
std::vector<SeedOutcome> run_seeds(const std::vector<std::uint64_t>& seeds, unsigned jobs,
                                   const SwarmOptions& options,
                                   const std::function<void(const SeedOutcome&)>& tell);

}  // namespace weft::scenarios::swarm
