// The frame of the `weft` command. Each subcommand is one file, cli/cmd_NAME.cpp, that registers
// itself; main.cpp knows none of them by name. A subcommand is thin: it reads its flags, calls the
// part of weft that does the work, and turns the outcome into text and an exit code.
//
//   namespace {
//   const weft::cli::Command command{
//       "check", "Read a scenario and say what is wrong with it", 20,
//       "  weft check scenarios/library/two-vms-ping.yaml\n",
//       [](CLI::App& app) -> weft::cli::Action {
//         struct Flags { std::string file; };
//         auto flags = std::make_shared<Flags>();
//         app.add_option("FILE", flags->file, "Scenario (YAML)")->required();
//         return [flags] { return check(flags->file); };
//       }};
//   }
//
// Exit codes are a contract with scripts: see ExitCode. Results go to standard output, everything
// else (errors, warnings, progress) to standard error. An InternalFault may be thrown from
// anywhere: main() says what to report and returns 3.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace weft::cli {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,         ///< it ran, and did not do what it should: an expectation, a difference
  kBadInput = 2,       ///< a flag, a file or a scenario that weft cannot use
  kInternalFault = 3,  ///< a breached invariant: a fault of weft itself
  kInterrupted = 130,  ///< Ctrl-C, as shells count it
};

/// Runs the command with the flags that were parsed; returns the exit code.
using Action = std::function<int()>;

/// A file-scope constant of this type is a subcommand.
class Command {
 public:
  /// `order` sorts the help (run 10, check 20, ls 30, topo 40, new 50, test 60, diff 70,
  /// explain 80, others 90). `examples`: whole lines, indented by two, shown under --help.
  Command(std::string name, std::string summary, int order, std::string examples,
          std::function<Action(CLI::App&)> setup);

  std::string name;
  std::string summary;
  int order;
  std::string examples;
  std::function<Action(CLI::App&)> setup;
};

/// All subcommands, in the order of the help.
std::vector<const Command*> commands();

/// "0.1.0"
const char* version();

/// Prints each error (place, message, help) to standard error.
void print_errors(const std::vector<Error>& errors);

}  // namespace weft::cli
