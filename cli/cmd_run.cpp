// weft run: a scenario from the file to the verdict.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <csignal>
#include <memory>

#include "analysis/outputs.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/run_flags.h"
#include "scenarios/run/run.h"

namespace weft::cli {
namespace {

std::atomic<bool> stop_requested{false};

extern "C" void on_interrupt(int) {
  // The second Ctrl-C ends the process the usual way.
  stop_requested.store(true, std::memory_order_relaxed);
  std::signal(SIGINT, SIG_DFL);
}

struct Flags {
  std::string file;
  RunFlags run;
  bool quiet = false;
};

void print_warnings(const std::vector<Error>& warnings) {
  for (const Error& w : warnings) {
    std::string place = w.place.file;
    if (w.place.line > 0) place += fmt::format(":{}:{}", w.place.line, w.place.column);
    fmt::print(stderr, "{}{}warning: {}\n", place, place.empty() ? "" : ": ", w.message);
    if (!w.remedy.empty()) fmt::print(stderr, "  help: {}\n", w.remedy);
  }
}

/// All that a quiet run says of what did not hold.
void print_failed(const analysis::Results& results) {
  std::vector<std::string> failed;
  for (const auto& e : results.expectations)
    if (e.judged && !e.passed) failed.push_back(e.text);
  if (!failed.empty())
    fmt::print(stderr, "failed: {} of {} expectations: {}\n", failed.size(),
               results.expectations.size(), fmt::join(failed, "; "));
}

int run(const Flags& flags) {
  auto parsed = to_options(flags.run);
  if (!parsed.ok()) {
    print_errors({parsed.error()});
    return kBadInput;
  }
  scenarios::RunOptions options = std::move(parsed).value();
  options.progress = flags.quiet             ? scenarios::Progress::none
                     : isatty(STDERR_FILENO) ? scenarios::Progress::terminal
                                             : scenarios::Progress::lines;
  options.stop = &stop_requested;
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  const auto outcome = scenarios::run_scenario(flags.file, options);
  const auto& results = outcome.results;
  if (results.identity.scenario.empty()) {
    print_errors(outcome.errors);
    return outcome.exit_code;
  }
  print_warnings(results.warnings);
  if (!flags.quiet)
    fmt::print("{}", analysis::terminal_summary(results, analysis::terminal_style(STDOUT_FILENO),
                                                outcome.folder));
  std::fflush(stdout);
  print_errors(outcome.errors);
  if (flags.quiet) print_failed(results);
  if (!results.identity.fault.empty())
    fmt::print(stderr, "internal fault: {}\n  reproduce with: weft run {} --seed {} --check full\n",
               results.identity.fault, flags.file, results.identity.seed);
  return outcome.exit_code;
}

const Command command{
    "run", "Run a scenario: captures, metrics, report and a verdict", 10,
    "  weft run scenarios/library/three-tier-migration.yaml\n"
    "  weft run lab.yaml --seed 3 --until 2s --capture 'hv-1-1.uplink=udp port 6081'\n"
    "  weft run lab.yaml --set underlay.host_links.rate=10Gbps --threads 2 --out /tmp/lab\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file, "Scenario (YAML)")->required();
      add_run_flags(app, flags->run);
      app.add_flag(
          "-q,--quiet", flags->quiet,
          "No progress and no summary: only errors, warnings, what failed, and the exit code");
      return [flags] { return run(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
