// weft test: scenarios as tests. Which, how and what is told: test_runner.h.
#include <fmt/core.h>

#include <fstream>
#include <thread>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/test_runner.h"

namespace weft::cli {
namespace {

struct Flags {
  TestSelection selection;
  TestRunOptions options;
  std::string seeds, shard, junit, until, check = "full";
};

int run_tests(Flags& flags) {
  std::vector<Error> errors;
  if (!flags.seeds.empty()) {
    auto seeds = parse_seeds(flags.seeds);
    if (seeds)
      flags.selection.seeds = *seeds;
    else
      errors.push_back(seeds.error());
  }
  if (!flags.shard.empty()) {
    auto shard = parse_shard(flags.shard);
    if (shard)
      flags.selection.shard = *shard;
    else
      errors.push_back(shard.error());
  }
  if (!flags.until.empty()) {
    auto until = parse_duration(flags.until);
    if (until)
      flags.options.run.until = *until;
    else
      errors.push_back(until.error());
  }
  if (!errors.empty()) {
    print_errors(errors);
    return kBadInput;
  }
  flags.options.run.check = flags.check == "basic"     ? scenarios::CheckLevel::basic
                            : flags.check == "sampled" ? scenarios::CheckLevel::sampled
                                                       : scenarios::CheckLevel::full;
  flags.options.run.version = version();

  auto cases = select_cases(flags.selection);
  if (!cases) {
    print_errors({cases.error()});
    return kBadInput;
  }
  // Opened before hours of tests are run for a file that cannot be written.
  std::ofstream junit;
  if (!flags.junit.empty()) {
    junit.open(flags.junit, std::ios::trunc);
    if (!junit) {
      print_errors({Error{fmt::format("cannot write {}", flags.junit), {}, ""}});
      return kBadInput;
    }
  }
  const auto results = run_cases(*cases, flags.options, scenarios::run_scenario,
                                 [](const TestResult& r) { fmt::print("{}", result_text(r)); });
  std::size_t passed = 0;
  bool unusable = false;
  bool fault = false;
  for (const TestResult& r : results) {
    if (r.passed()) ++passed;
    if (r.status == TestStatus::bad_input) unusable = true;
    if (r.status == TestStatus::fault || r.status == TestStatus::crashed) fault = true;
  }
  if (!flags.junit.empty()) {
    junit << junit_text(results);
    junit.close();
    if (!junit) {
      print_errors({Error{fmt::format("could not write all of {}", flags.junit), {}, ""}});
      return kBadInput;
    }
  }
  fmt::print("{} passed, {} failed\n", passed, results.size() - passed);
  if (fault) return kInternalFault;
  if (unusable) return kBadInput;
  return passed == results.size() ? kOk : kFailed;
}

const Command command{
    "test", "Run scenarios as tests", 60,
    "  weft test scenarios/library\n"
    "  weft test scenarios/library --filter 'two-*' --seeds 1..5 --junit results.xml\n"
    "  weft test tests/scenarios --shard 1/4\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      flags->options.jobs = std::max(1U, std::thread::hardware_concurrency());
      TestSelection& selection = flags->selection;
      TestRunOptions& options = flags->options;
      app.add_option("PATH", selection.paths, "Scenario files, and folders of them")->required();
      app.add_option("--filter", selection.filter, "Only names that match this shell pattern");
      app.add_option("--seeds", flags->seeds, "Each with these seeds: 1..5 or 1,7,9");
      app.add_option("--shard", flags->shard, "A part of the cases: 1/4 is the first of four");
      app.add_option("--jobs,-j", options.jobs, "So many at once (default: one per core)")
          ->check(CLI::Range(1, 1024));
      app.add_option("--junit", flags->junit, "Write a JUnit XML file for CI");
      app.add_option("--out", options.out, "Keep the run folders in this folder");
      app.add_option("--timeout", options.timeout_seconds, "Seconds of real time per case");
      app.add_option("--threads", options.run.threads, "Threads per run")
          ->check(CLI::Range(1, 1024));
      app.add_option("--set", options.run.set, "Override: path.to.key=value (repeatable)")
          ->allow_extra_args(false);
      app.add_option("--until", flags->until,
                     "Stop each run at this simulated time: its expectations are not judged");
      app.add_option("--check", flags->check, "Invariants: basic, sampled, full (default)")
          ->check(CLI::IsMember({"basic", "sampled", "full"}));
      return [flags] { return run_tests(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
