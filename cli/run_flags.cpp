#include "cli/run_flags.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <system_error>

#include "base/units.h"
#include "cli/commands.h"

namespace weft::cli {

namespace {

/// What a number may be made of: CLI11 would take -1 and what is too large for the largest.
const CLI::Validator whole_number(
    [](const std::string& text) {
      std::uint64_t value = 0;
      const char* const end = text.data() + text.size();
      const auto [at, error] = std::from_chars(text.data(), end, value);
      return error == std::errc() && at == end
                 ? std::string()
                 : "takes a whole number from 0 to 18446744073709551615, not '" + text + "'";
    },
    "");

const CLI::Validator not_empty(
    [](const std::string& text) { return text.empty() ? "takes a name, not ''" : std::string(); },
    "");

}  // namespace

void add_run_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("--seed", flags.seed, "Seed instead of the scenario's")->check(whole_number);
  app.add_option("--out", flags.out, "Folder for the outputs (default: runs/NAME-SEED)")
      ->check(not_empty);
  app.add_flag("--force", flags.force, "Replace an earlier run's folder given by --out");
  app.add_option("--threads", flags.threads,
                 "Worker threads; the results are the same for any number")
      ->check(CLI::Range(1u, 256u));
  app.add_option("--set", flags.set,
                 "Change a value of the scenario: path.to.key=value (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--until", flags.until,
                 "Stop at this simulated time, e.g. 500ms; expectations are not judged then");
  app.add_option("--capture", flags.captures, "Capture a point: POINT or POINT=FILTER (repeatable)")
      ->allow_extra_args(false);
  app.add_flag("--no-capture", flags.no_captures, "Leave out the scenario's captures");
  app.add_option("--check", flags.check, "How much to check while running: basic, sampled, full")
      ->check(CLI::IsMember({"basic", "sampled", "full"}));
}

Result<scenarios::RunOptions> to_options(const RunFlags& flags) {
  scenarios::RunOptions o;
  o.seed = flags.seed;
  o.out = flags.out;
  o.force = flags.force;
  o.threads = flags.threads;
  o.set = flags.set;
  o.captures = flags.captures;
  o.no_captures = flags.no_captures;
  o.check = flags.check == "basic"  ? scenarios::CheckLevel::basic
            : flags.check == "full" ? scenarios::CheckLevel::full
                                    : scenarios::CheckLevel::sampled;
  o.version = version();
  if (!flags.until.empty()) {
    auto until = parse_duration(flags.until);
    if (!until.ok()) return Error{"--until: " + until.error().message, {}, until.error().remedy};
    if (until->ps <= 0) return Error{"--until must be above zero", {}, "for example --until 500ms"};
    o.until = *until;
  }
  return o;
}

}  // namespace weft::cli
