// weft swarm: random scenarios against the oracle of policy (scenarios/swarm).
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "cli/commands.h"
#include "cli/test_runner.h"
#include "scenarios/swarm/swarm.h"

namespace weft::cli {
namespace {

struct Flags {
  std::string seeds = "1..100";
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  std::string keep;
  scenarios::swarm::SwarmOptions options;
  bool no_shrink = false;
  bool print = false;
  bool verbose = false;
};

int swarm(Flags& flags) {
  namespace fs = std::filesystem;
  const auto seeds = parse_seeds(flags.seeds);
  if (!seeds) {
    print_errors({seeds.error()});
    return kBadInput;
  }
  if (flags.print) {
    for (const auto seed : *seeds) fmt::print("{}", scenarios::swarm::generate(seed).text());
    return kOk;
  }
  if (!flags.keep.empty()) {
    std::error_code ec;
    fs::create_directories(flags.keep, ec);
    if (ec) {
      print_errors({Error{fmt::format("cannot make the folder {}: {}", flags.keep, ec.message()),
                          {},
                          "give another --keep"}});
      return kBadInput;
    }
  }
  flags.options.shrink = !flags.no_shrink;
  std::uint64_t deliveries = 0, refusals = 0, alive = 0, failures = 0, wall = 0;
  bool unwritten = false;
  run_seeds(*seeds, flags.jobs, flags.options, [&](const scenarios::swarm::SeedOutcome& o) {
    deliveries += o.deliveries;
    refusals += o.refusals;
    alive += o.traffics_alive;
    wall += o.wall_ns;
    if (flags.verbose)
      fmt::print("seed {}: {} deliveries, {} refusals, {} ms\n", o.seed, o.deliveries, o.refusals,
                 o.wall_ns / 1'000'000);
    if (!o.finding.found()) return;
    ++failures;
    fmt::print("seed {}: {}: {}\n  reproduce with: weft swarm --seeds {}..{}\n", o.seed,
               o.finding.kind, o.finding.reason, o.seed, o.seed);
    if (!flags.keep.empty()) {
      const auto path = fs::path(flags.keep) / fmt::format("swarm-{}.yaml", o.seed);
      std::ofstream file(path);
      file << o.yaml;
      file.close();
      if (!file) unwritten = true;
      fmt::print("             or with: weft run {} --check full\n", path.string());
    }
    std::fflush(stdout);
  });
  fmt::print(
      "{} scenarios: {} deliveries and {} refusals judged, {} traffics proved alive, {} failed "
      "({:.0f} ms each)\n",
      seeds->size(), deliveries, refusals, alive, failures,
      static_cast<double>(wall) / 1e6 /
          static_cast<double>(std::max<std::size_t>(1, seeds->size())));
  if (unwritten) {
    print_errors({Error{fmt::format("could not write all scenarios to {}", flags.keep), {}, ""}});
    return kBadInput;
  }
  return failures == 0 ? kOk : kFailed;
}

const Command command{
    "swarm", "Run random scenarios and compare all they do with an oracle", 90,
    "  weft swarm --seeds 1..100\n"
    "  weft swarm --seeds 17..17 --keep /tmp/found\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("--seeds", flags->seeds, "One scenario per seed: 1..100 or 1,7,9");
      app.add_option("--jobs,-j", flags->jobs, "So many at once (default: one per core)")
          ->check(CLI::Range(1, 1024));
      app.add_option("--threads", flags->options.threads, "Threads per run")
          ->check(CLI::Range(1, 256));
      app.add_option("--keep", flags->keep, "Write the scenarios that failed to this folder");
      app.add_flag("--no-shrink", flags->no_shrink, "Keep failed scenarios as they were made");
      app.add_flag("--print", flags->print, "Print the scenarios instead of running them");
      app.add_flag("-v,--verbose", flags->verbose, "A line for every seed");
      return [flags] { return swarm(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
