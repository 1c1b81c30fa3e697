// The runner of `weft test`, on runs that are told what to come to.
#include "cli/test_runner.h"

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/catch.h"

using namespace weft;
using namespace weft::cli;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  Folder() : path(fs::temp_directory_path() / ("weft-test-runner-" + std::to_string(getpid()))) {
    fs::remove_all(path);
    fs::create_directories(path / "deep");
    for (const char* name : {"good.yaml", "fails.yaml", "deep/crash.yml", "notes.txt"}) {
      std::ofstream(path / name) << "name: x\n";
    }
  }
  ~Folder() { fs::remove_all(path); }
};

scenarios::RunOutcome scripted(const std::string& file, const scenarios::RunOptions& options) {
  const std::string name = fs::path(file).stem().string();
  scenarios::RunOutcome outcome;
  outcome.results.digest = "digest-" + std::to_string(options.seed.value_or(0));
  analysis::ExpectationOutcome expectation;
  expectation.text = "traffic p: delivered 0";
  expectation.passed = true;
  expectation.place = {file, 12, 5};
  if (name == "fails" || name == "lies") {
    expectation.passed = false;
    expectation.seen = "delivered 3 <of> 5";
    expectation.when = "at 2s";
    outcome.exit_code = name == "lies" ? 0 : 1;
  } else if (name == "bad") {
    outcome.exit_code = 2;
    outcome.errors.push_back({"unknown key 'sed'", {file, 2, 1}, "did you mean 'seed'?"});
    return outcome;
  } else if (name == "fault") {
    throw InternalFault("two events with equal keys");
  } else if (name == "breach") {
    outcome.exit_code = 3;
    outcome.results.identity.fault = "1 packet has no verdict";
  } else if (name == "crash") {
    std::fputs("last words\n", stderr);
    raise(SIGKILL);
  } else if (name == "exits") {
    _exit(7);
  } else if (name == "hangs") {
    while (true) pause();
  }
  outcome.results.expectations.push_back(expectation);
  return outcome;
}

std::vector<TestResult> run_names(const std::vector<std::string>& names, unsigned jobs) {
  std::vector<TestCase> cases;
  for (const std::string& n : names) cases.push_back({"folder/" + n + ".yaml", {}});
  TestRunOptions options;
  options.jobs = jobs;
  options.timeout_seconds = 1;
  std::size_t told = 0;
  auto results = run_cases(cases, options, scripted, [&](const TestResult&) { ++told; });
  CHECK(told == names.size());
  return results;
}

std::string all(const TestResult& r) {
  std::string out;
  for (const std::string& line : r.details) out += line + "\n";
  return out;
}

}  // namespace

TEST_CASE("seeds are numbers, ranges and lists") {
  CHECK(*parse_seeds("7") == std::vector<std::uint64_t>{7});
  CHECK(*parse_seeds("1..5") == std::vector<std::uint64_t>{1, 2, 3, 4, 5});
  CHECK(*parse_seeds("9,1..3,2") == std::vector<std::uint64_t>{1, 2, 3, 9});
  CHECK(parse_seeds("1..100000")->size() == 100'000);
  CHECK(*parse_seeds("18446744073709551615") == std::vector<std::uint64_t>{~0ULL});
  for (const char* bad : {"", "x", "1..", "..3", "3..1", "1,,2", "1..2..3", "-1", "1.5", " 1",
                          "1..100001", "0..18446744073709551615", "18446744073709551616"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_seeds(bad).ok());
  }
}

TEST_CASE("a shard is one of so many") {
  CHECK(parse_shard("1/4")->index == 1);
  CHECK(parse_shard("4/4")->count == 4);
  for (const char* bad : {"", "0/4", "5/4", "1", "/", "1/", "1/0", "a/b", "1/4/2"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_shard(bad).ok());
  }
}

TEST_CASE("cases are the scenarios of files and folders, with each seed") {
  const Folder folder;
  const auto names = [](const TestSelection& s) {
    std::vector<std::string> out;
    for (const TestCase& c : *select_cases(s)) out.push_back(c.name());
    return out;
  };
  using Names = std::vector<std::string>;
  const std::string root = folder.path.string();
  CHECK(names({{root}, "", {}, {}}) == Names{"crash", "fails", "good"});
  CHECK(names({{root, root + "/good.yaml"}, "", {}, {}}) == Names{"crash", "fails", "good"});
  // What a run left there is no further scenario, unless it is asked for.
  fs::create_directories(folder.path / "runs/good-1");
  std::ofstream(folder.path / "runs/good-1/scenario.yaml") << "name: good\n";
  std::ofstream(folder.path / "runs/good-1/run.json") << "{}\n";
  CHECK(names({{root}, "", {}, {}}) == Names{"crash", "fails", "good"});
  CHECK(names({{root + "/runs/good-1"}, "", {}, {}}) == Names{"scenario"});
  CHECK(names({{root}, "?a*", {}, {}}) == Names{"fails"});
  CHECK(names({{root}, "*/deep/*", {}, {}}) == Names{"crash"});
  CHECK(names({{root}, "good", {3, 4}, {}}) == Names{"good@3", "good@4"});
  CHECK(names({{root}, "*@4", {3, 4}, {}}) == Names{"crash@4", "fails@4", "good@4"});

  CHECK_FALSE(select_cases({{root + "/absent.yaml"}, "", {}, {}}).ok());
  CHECK_FALSE(select_cases({{root}, "nothing-like-it", {}, {}}).ok());
  fs::remove(folder.path / "deep/crash.yml");
  CHECK_FALSE(select_cases({{root + "/deep"}, "", {}, {}}).ok());
}

TEST_CASE("shards part the cases: each is in exactly one") {
  const Folder folder;
  TestSelection selection{{folder.path.string()}, "", {1, 2, 3, 4, 5}, {}};
  const std::size_t total = select_cases(selection)->size();
  REQUIRE(total == 15);
  for (std::uint64_t count : {1, 2, 4, 7, 15}) {
    std::map<std::string, int> seen;
    for (std::uint64_t index = 1; index <= count; ++index) {
      selection.shard = {index, count};
      for (const TestCase& c : *select_cases(selection)) ++seen[c.name()];
    }
    CHECK(seen.size() == total);
    for (const auto& [name, times] : seen) CHECK(times == 1);
  }
}

TEST_CASE("each way to end is told apart, and none ends the others") {
  const std::vector<std::string> names{"good",   "fails", "lies",  "bad",   "fault",
                                       "breach", "crash", "exits", "hangs", "good"};
  const auto jobs = static_cast<unsigned>(GENERATE(1, 3, 16));
  const auto results = run_names(names, jobs);
  REQUIRE(results.size() == names.size());
  const TestStatus expected[] = {TestStatus::passed,    TestStatus::failed,  TestStatus::failed,
                                 TestStatus::bad_input, TestStatus::fault,   TestStatus::fault,
                                 TestStatus::crashed,   TestStatus::crashed, TestStatus::timed_out,
                                 TestStatus::passed};
  for (std::size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i]);
    CHECK(results[i].test.name() == names[i]);
    CHECK(results[i].status == expected[i]);
    CHECK(results[i].details.empty() == results[i].passed());
  }
  CHECK(results[0].held == 1);
  CHECK(results[0].digest == "digest-0");
  CHECK(all(results[1])
            .find("folder/fails.yaml:12: expected traffic p: delivered 0; seen "
                  "delivered 3 <of> 5; at 2s") != std::string::npos);
  CHECK(all(results[3]).find("did you mean 'seed'?") != std::string::npos);
  CHECK(all(results[4]).find("two events with equal keys") != std::string::npos);
  CHECK(all(results[5]).find("1 packet has no verdict") != std::string::npos);
  CHECK(all(results[6]).find("last words") != std::string::npos);
  CHECK(all(results[7]).find("exit code 7") != std::string::npos);
}

TEST_CASE("the seed reaches the run") {
  TestRunOptions options;
  const auto results =
      run_cases({{"a/good.yaml", 41}, {"a/good.yaml", {}}}, options, scripted, [](const auto&) {});
  CHECK(results[0].digest == "digest-41");
  CHECK(results[1].digest == "digest-0");
}

TEST_CASE("JUnit text counts and escapes") {
  auto results = run_names({"good", "fails", "crash"}, 2);
  for (TestResult& r : results) r.milliseconds = 1500;
  const std::string text = junit_text(results);
  CHECK(text.find("<testsuite name=\"weft\" tests=\"3\" failures=\"1\" errors=\"1\" "
                  "time=\"4.500\">") != std::string::npos);
  CHECK(text.find("<testcase classname=\"folder\" name=\"good\" time=\"1.500\"/>") !=
        std::string::npos);
  CHECK(text.find("delivered 3 &lt;of&gt; 5") != std::string::npos);
  CHECK(text.find("<of>") == std::string::npos);
}
