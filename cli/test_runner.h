// Scenarios as tests: which files and seeds, run side by side, told to a person and to CI.
//
// Every case runs in a process of its own, so a crash, a breached invariant or an endless loop is
// the failure of one case and says which. The parent has no threads and holds no state of a run.
// Results are in the order of the cases, whatever finished first.
//
// A case is one file with one seed. It passes if the run ended in good order and every expectation
// held. A scenario without `expect:` only shows that it runs; its result says so.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "scenarios/run/run.h"

namespace weft::cli {

struct TestCase {
  std::string file;
  std::optional<std::uint64_t> seed;  ///< none: the scenario's own
  /// The file's name without ending, and "@SEED" if one is set: "two-vms-ping@3".
  std::string name() const;
};

/// Case i (from 0) belongs to shard i % count + 1.
struct Shard {
  std::uint64_t index = 1;
  std::uint64_t count = 1;
};

struct TestSelection {
  std::vector<std::string>
      paths;           ///< files, and folders: their *.yaml and *.yml, at any depth, runs left out
  std::string filter;  ///< shell pattern on the case's name or its path; empty: all
  std::vector<std::uint64_t> seeds;  ///< each file with each of them; empty: the file's own
  Shard shard;
};

enum class TestStatus : std::uint8_t { passed, failed, bad_input, fault, crashed, timed_out };

struct TestResult {
  TestCase test;
  TestStatus status = TestStatus::failed;
  std::vector<std::string> details;  ///< why it did not pass, whole lines
  std::uint64_t expectations = 0;    ///< that were judged
  std::uint64_t unjudged = 0;        ///< because of --until
  std::uint64_t held = 0;
  std::string digest;
  std::uint64_t milliseconds = 0;  ///< wall time
  bool passed() const { return status == TestStatus::passed; }
};

struct TestRunOptions {
  unsigned jobs = 1;
  unsigned timeout_seconds = 0;  ///< per case; 0: none
  scenarios::RunOptions run;
  std::string out;  ///< folder for the run folders, OUT/CASE; empty: none is written
};

using RunFunction =
    std::function<scenarios::RunOutcome(const std::string&, const scenarios::RunOptions&)>;

/// "1..5", "7", "1,4,9..11": at most 100 000 of them.
Result<std::vector<std::uint64_t>> parse_seeds(std::string_view text);
/// "1/4"
Result<Shard> parse_shard(std::string_view text);
/// Sorted by path, then seed; nothing selected is an error.
Result<std::vector<TestCase>> select_cases(const TestSelection& selection);

/// Runs all; `done` is called for each as it ends.
std::vector<TestResult> run_cases(const std::vector<TestCase>& cases, const TestRunOptions& options,
                                  const RunFunction& run,
                                  const std::function<void(const TestResult&)>& done);

/// "ok    two-vms-ping@3 (4 expectations, 120 ms)", then the details.
std::string result_text(const TestResult& result);
/// The JUnit XML that CI servers read.
std::string junit_text(const std::vector<TestResult>& results);

}  // namespace weft::cli
