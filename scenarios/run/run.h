// One run of a scenario, from the file to the verdict: load, bind, simulate, judge, write. This is
// the one entry for `weft run`, `weft test`, swarm and the benchmarks.
//
// Nothing of a run leaks into the next: run_scenario may be called any number of times in one
// process, one after another. What a user can cause comes back in the outcome (exit code 2 and
// `errors`); a breached invariant comes back as exit code 3 with `results.identity.fault`, after
// the outputs were closed whole.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/results.h"
#include "base/result.h"
#include "base/time.h"
#include "scenarios/spec.h"

namespace weft::models {
class PacketTracer;
}

namespace weft::scenarios {

class World;

enum class CheckLevel : std::uint8_t { basic, sampled, full };
enum class Progress : std::uint8_t { none, lines, terminal };

struct RunOptions {
  std::vector<std::string> set;       ///< "path.to.key=value", applied to the YAML in order
  std::optional<std::uint64_t> seed;  ///< instead of the scenario's
  /// Stop here instead of at the scenario's duration; expectations are not judged then, for they
  /// are about the whole run.
  std::optional<Duration> until;
  unsigned threads = 1;
  CheckLevel check = CheckLevel::sampled;
  std::vector<std::string> captures;   ///< further ones: "POINT" or "POINT=FILTER"
  bool no_captures = false;            ///< leave out the scenario's captures too
  bool write_folder = true;            ///< false: nothing on disk (captures are off as well)
  std::string out;                     ///< folder; empty: runs/NAME-SEED
  bool force = false;                  ///< replace an earlier run's folder at `out`
  Progress progress = Progress::none;  ///< to standard error
  std::string version;                 ///< recorded in the results
  /// Set from a signal handler: the run stops at the next boundary and ends in good order.
  const std::atomic<bool>* stop = nullptr;

  // For weft's own tools:
  std::string plant;                       ///< a planted fault of the datapath (weft mutate)
  models::PacketTracer* tracer = nullptr;  ///< asked by every node (weft explain)
  /// Called once with the world that was built, before it runs (taps are hung on it here).
  std::function<void(World&)> prepare;
  /// Called between windows with the world at rest (weft swarm's oracle).
  std::function<void(World&, Time)> observe;
};

struct RunOutcome {
  /// 0 done and every expectation held (or none was judged, see `until`), 1 an expectation failed,
  /// 2 bad input, 3 a breached invariant, 130 stopped by `stop`.
  int exit_code = 0;
  std::vector<Error> errors;  ///< why it is 2, with places
  std::string folder;         ///< where the outputs are; empty: none
  analysis::Results results;  ///< as far as the run came
};

RunOutcome run_scenario(const std::string& file, const RunOptions& options);
/// The same for a scenario that is loaded already, or was made by a program. `load_ns`: wall time
/// that loading took, for the set-up figure.
RunOutcome run_loaded(Scenario scenario, const RunOptions& options, std::uint64_t load_ns = 0);

}  // namespace weft::scenarios
