#include "cli/test_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/text.h"

namespace weft::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

bool is_scenario(const fs::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml";
}

bool matches(const std::string& pattern, const TestCase& test) {
  if (pattern.empty()) return true;
  return fnmatch(pattern.c_str(), test.name().c_str(), 0) == 0 ||
         fnmatch(pattern.c_str(), test.file.c_str(), 0) == 0 ||
         fnmatch(pattern.c_str(), fs::path(test.file).stem().c_str(), 0) == 0;
}

std::string place_prefix(const Place& place) {
  if (place.file.empty() || place.line == 0) return {};
  return fmt::format("{}:{}: ", place.file, place.line);
}

/// What the child has to say, as JSON.
std::string encode(const scenarios::RunOutcome& outcome) {
  nlohmann::json j;
  j["exit"] = outcome.exit_code;
  j["digest"] = outcome.results.digest;
  std::uint64_t held = 0, judged = 0;
  auto& details = j["details"] = nlohmann::json::array();
  for (const Error& e : outcome.errors) details.push_back(e.text());
  for (const auto& e : outcome.results.expectations) {
    if (!e.judged) continue;
    ++judged;
    if (e.passed) {
      ++held;
      continue;
    }
    details.push_back(fmt::format("{}expected {}; seen {}{}{}", place_prefix(e.place), e.text,
                                  e.seen, e.when.empty() ? "" : "; ", e.when));
  }
  if (!outcome.results.identity.fault.empty()) details.push_back(outcome.results.identity.fault);
  if (!outcome.folder.empty()) j["folder"] = outcome.folder;
  j["expectations"] = judged;
  j["unjudged"] = outcome.results.expectations.size() - judged;
  j["held"] = held;
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string read_all(std::FILE* file) {
  std::string out;
  std::rewind(file);
  char buffer[4096];
  std::size_t n = 0;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0) out.append(buffer, n);
  return out;
}

/// One child and the files that it writes to.
struct Running {
  std::size_t index = 0;
  Clock::time_point begin;
  std::FILE* answer = nullptr;  ///< encode()
  std::FILE* output = nullptr;  ///< all that it printed
};

void append_tail(std::vector<std::string>& details, const std::string& output) {
  constexpr std::size_t kLines = 20;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < output.size();) {
    const std::size_t end = std::min(output.find('\n', at), output.size());
    lines.push_back(output.substr(at, end - at));
    at = end + 1;
  }
  const std::size_t first = lines.size() > kLines ? lines.size() - kLines : 0;
  details.insert(details.end(), lines.begin() + static_cast<std::ptrdiff_t>(first), lines.end());
}

void judge(TestResult& result, int status, const std::string& answer, const std::string& output) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    result.status = signal == SIGALRM ? TestStatus::timed_out : TestStatus::crashed;
    result.details.push_back(
        signal == SIGALRM ? "took longer than --timeout allows"
                          : fmt::format("ended by signal {} ({})", signal, strsignal(signal)));
    append_tail(result.details, output);
    return;
  }
  const auto j = nlohmann::json::parse(answer, nullptr, false);
  if (j.is_discarded()) {
    result.status = TestStatus::crashed;
    result.details.push_back(
        fmt::format("ended with exit code {} and no result", WEXITSTATUS(status)));
    append_tail(result.details, output);
    return;
  }
  result.digest = j["digest"];
  result.expectations = j["expectations"];
  result.held = j["held"];
  result.unjudged = j["unjudged"];
  for (const auto& line : j["details"]) result.details.push_back(line);
  switch (j["exit"].get<int>()) {
    case 0:
      result.status = TestStatus::passed;
      break;
    case 1:
      result.status = TestStatus::failed;
      break;
    case 2:
      result.status = TestStatus::bad_input;
      break;
    default:
      result.status = TestStatus::fault;
      break;
  }
  // A run that calls itself good although something did not hold is not good.
  if (result.passed() && result.held != result.expectations) result.status = TestStatus::failed;
  if (!result.passed()) {
    if (j.contains("folder"))
      result.details.push_back("outputs: " + j["folder"].get<std::string>());
    append_tail(result.details, output);
  }
}

[[noreturn]] void child(const TestCase& test, const TestRunOptions& options, const RunFunction& run,
                        const Running& files) {
  dup2(fileno(files.output), STDOUT_FILENO);
  dup2(fileno(files.output), STDERR_FILENO);
  if (options.timeout_seconds > 0) alarm(options.timeout_seconds);
  scenarios::RunOptions run_options = options.run;
  run_options.seed = test.seed;
  run_options.write_folder = !options.out.empty();
  if (run_options.write_folder) {
    run_options.out = (fs::path(options.out) / test.name()).string();
    run_options.force = true;
  }
  std::string answer;
  try {
    answer = encode(run(test.file, run_options));
  } catch (const std::exception& e) {
    scenarios::RunOutcome outcome;
    outcome.exit_code = 3;
    outcome.results.identity.fault = fmt::format("internal fault: {}", e.what());
    answer = encode(outcome);
  }
  std::fwrite(answer.data(), 1, answer.size(), files.answer);
  std::fflush(files.answer);
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(0);
}

std::string seconds_text(std::uint64_t milliseconds) {
  return fmt::format("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
}

const char* status_text(TestStatus status) {
  switch (status) {
    case TestStatus::passed:
      return "passed";
    case TestStatus::failed:
      return "an expectation did not hold";
    case TestStatus::bad_input:
      return "the scenario cannot be used";
    case TestStatus::fault:
      return "internal fault";
    case TestStatus::crashed:
      return "crashed";
    case TestStatus::timed_out:
      return "timed out";
  }
  return "";
}

}  // namespace

std::string TestCase::name() const {
  std::string out = fs::path(file).stem().string();
  if (seed) out += fmt::format("@{}", *seed);
  return out;
}

Result<std::vector<std::uint64_t>> parse_seeds(std::string_view text) {
  constexpr std::uint64_t kMost = 100'000;
  const Error error{fmt::format("'{}' is no list of seeds", text),
                    {},
                    "write a number, a range (1..5) or both with commas (1..5,9)"};
  std::vector<std::uint64_t> seeds;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + 1;
    const std::size_t dots = part.find("..");
    const auto first = whole_number(part.substr(0, dots));
    const auto last = dots == std::string_view::npos ? first : whole_number(part.substr(dots + 2));
    if (!first || !last || *last < *first) return error;
    if (*last - *first >= kMost - seeds.size()) {
      return Error{fmt::format("'{}' is more than {} seeds", text, kMost), {}, error.remedy};
    }
    for (std::uint64_t seed = *first;; ++seed) {
      seeds.push_back(seed);
      if (seed == *last) break;
    }
  }
  std::sort(seeds.begin(), seeds.end());
  seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
  return seeds;
}

Result<Shard> parse_shard(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::uint64_t count = 0;
  if (slash != std::string_view::npos) count = whole_number(text.substr(slash + 1)).value_or(0);
  const std::uint64_t index = whole_number(text.substr(0, slash)).value_or(0);
  if (index < 1 || index > count) {
    return Error{fmt::format("'{}' is no shard", text), {}, "write 1/4 for the first of four"};
  }
  return Shard{index, count};
}

Result<std::vector<TestCase>> select_cases(const TestSelection& selection) {
  std::vector<std::string> files;
  for (const std::string& path : selection.paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (fs::is_directory(status)) {
      const std::size_t before = files.size();
      for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
           it.increment(error)) {
        // The folder of a run holds a copy of its scenario: that is no further test.
        std::error_code none;
        if (it->is_directory(none) && fs::is_regular_file(it->path() / "run.json", none)) {
          it.disable_recursion_pending();
          continue;
        }
        if (is_scenario(it->path()) && it->is_regular_file()) files.push_back(it->path().string());
      }
      if (error) return Error{fmt::format("cannot read {}: {}", path, error.message()), {}, ""};
      if (files.size() == before) {
        return Error{fmt::format("{} has no scenario", path), {}, "scenarios end in .yaml or .yml"};
      }
    } else if (fs::exists(status)) {
      files.push_back(path);
    } else {
      return Error{fmt::format("there is no {}", path),
                   {},
                   "give scenario files, or folders of them such as scenarios/library"};
    }
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());

  std::vector<TestCase> cases;
  for (const std::string& file : files) {
    if (selection.seeds.empty()) cases.push_back({file, {}});
    for (const std::uint64_t seed : selection.seeds) cases.push_back({file, seed});
  }
  std::erase_if(cases, [&](const TestCase& c) { return !matches(selection.filter, c); });
  if (cases.empty()) {
    return Error{fmt::format("no scenario matches --filter '{}'", selection.filter),
                 {},
                 "the pattern is a shell's, on the name without .yaml: 'two-*'"};
  }
  std::vector<TestCase> mine;
  for (std::size_t i = selection.shard.index - 1; i < cases.size(); i += selection.shard.count) {
    mine.push_back(cases[i]);
  }
  return mine;
}

std::vector<TestResult> run_cases(const std::vector<TestCase>& cases, const TestRunOptions& options,
                                  const RunFunction& run,
                                  const std::function<void(const TestResult&)>& done) {
  std::vector<TestResult> results(cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) results[i].test = cases[i];
  std::map<pid_t, Running> running;
  std::size_t next = 0;

  while (next < cases.size() || !running.empty()) {
    while (next < cases.size() && running.size() < std::max(1U, options.jobs)) {
      Running r{next, Clock::now(), std::tmpfile(), std::tmpfile()};
      WEFT_CHECK(r.answer != nullptr && r.output != nullptr, "no temporary file: {}",
                 std::strerror(errno));
      std::fflush(stdout);
      std::fflush(stderr);
      const pid_t pid = fork();
      WEFT_CHECK(pid >= 0, "no further process: {}", std::strerror(errno));
      if (pid == 0) child(cases[next], options, run, r);
      running.emplace(pid, r);
      ++next;
    }
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0 && errno == EINTR) continue;
    const auto it = running.find(pid);
    if (it == running.end()) continue;
    TestResult& result = results[it->second.index];
    result.milliseconds = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - it->second.begin)
            .count());
    judge(result, status, read_all(it->second.answer), read_all(it->second.output));
    std::fclose(it->second.answer);
    std::fclose(it->second.output);
    running.erase(it);
    done(result);
  }
  return results;
}

std::string result_text(const TestResult& result) {
  const std::string held =
      result.status != TestStatus::passed ? status_text(result.status)
      : result.unjudged > 0
          ? fmt::format("{} not judged: stopped before its end",
                        result.unjudged == 1 ? "1 expectation"
                                             : fmt::format("{} expectations", result.unjudged))
      : result.expectations == 0 ? "no expectations"
      : result.expectations == 1 ? "1 expectation"
                                 : fmt::format("{} expectations", result.expectations);
  std::string out = fmt::format("{:<4}  {} ({}, {} s)\n", result.passed() ? "ok" : "FAIL",
                                result.test.name(), held, seconds_text(result.milliseconds));
  for (const std::string& line : result.details) out += fmt::format("      {}\n", line);
  return out;
}

std::string junit_text(const std::vector<TestResult>& results) {
  std::uint64_t failures = 0;
  std::uint64_t errors = 0;
  std::uint64_t milliseconds = 0;
  for (const TestResult& r : results) {
    milliseconds += r.milliseconds;
    if (r.passed()) continue;
    ++(r.status == TestStatus::failed ? failures : errors);
  }
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  out += fmt::format(
      "<testsuite name=\"weft\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\">\n",
      results.size(), failures, errors, seconds_text(milliseconds));
  for (const TestResult& r : results) {
    out += fmt::format("<testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
                       analysis::escape(fs::path(r.test.file).parent_path().string()),
                       analysis::escape(r.test.name()), seconds_text(r.milliseconds));
    if (r.passed()) {
      out += "/>\n";
      continue;
    }
    const char* tag = r.status == TestStatus::failed ? "failure" : "error";
    out += fmt::format(">\n<{} message=\"{}\">{}</{}>\n</testcase>\n", tag,
                       analysis::escape(status_text(r.status)),
                       analysis::escape(fmt::format("{}", fmt::join(r.details, "\n"))), tag);
  }
  return out + "</testsuite>\n</testsuites>\n";
}

}  // namespace weft::cli
