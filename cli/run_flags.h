// The flags that `weft run` and every command that runs scenarios have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "scenarios/run/run.h"

namespace CLI {
class App;
}

namespace weft::cli {

struct RunFlags {
  std::optional<std::uint64_t> seed;
  std::string out;
  bool force = false;
  unsigned threads = 1;
  std::vector<std::string> set;
  std::string until;
  std::vector<std::string> captures;
  bool no_captures = false;
  std::string check = "sampled";
};

void add_run_flags(CLI::App& app, RunFlags& flags);
/// Checks and converts; an Error names the flag.
Result<scenarios::RunOptions> to_options(const RunFlags& flags);

}  // namespace weft::cli
