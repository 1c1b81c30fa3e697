// weft mutate: plants faults one at a time and shows that something catches each of them. The
// faults are hooks in datapath/faults.h, control/faults.h and models/faults.h; the detectors are
// the random scenarios of weft swarm, run with every check on, until one of them complains.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "cli/commands.h"
#include "cli/test_runner.h"
#include "scenarios/swarm/swarm.h"

namespace weft::cli {
namespace {

struct Plant {
  const char* name;
  const char* what;
};

constexpr Plant kPlants[] = {
    {"skip_revalidation", "cached decisions outlive the rules they came from"},
    {"truncate_vni", "16 of the 24 bits of the identifier reach the wire"},
    {"widen_mask", "megaflows forget that ports were looked at"},
    {"skip_checksum_update", "rewritten headers keep their old checksums"},
    {"skip_commit", "ct(commit) does not remember the connection"},
    {"swap_logical_ports", "the GENEVE option carries egress as ingress"},
    {"keep_old_tunnel", "a port that moved is still sent to where it was"},
    {"keep_removed_rules", "rules that should go stay in the switch"},
    {"forget_deny", "deny rules make no flows"},
    {"move_without_connections", "a VM's tracked connections stay behind"},
    {"move_without_last_round", "stop-and-copy sends no memory"},
    {"move_without_timers", "the timers of a VM that moved never go off"},
    {"route_into_failures", "routers never hear of failed links"},
    {"lose_silently", "a frame now and then vanishes without a verdict"},
    {"tcp_ignores_gaps", "TCP takes what comes next for what was due next"},
};

struct Flags {
  std::string seeds = "1..100";
  std::string only;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
};

int mutate(const Flags& flags) {
  const auto seeds = parse_seeds(flags.seeds);
  if (!seeds) {
    print_errors({seeds.error()});
    return kBadInput;
  }
  scenarios::swarm::SwarmOptions options;
  options.shrink = false;
  options.compare_threads_every = 0;
  unsigned escaped = 0, planted = 0;
  fmt::print("{:<26} {:<16} {:<9} {}\n", "fault", "caught by", "seed", "how");
  for (const Plant& plant : kPlants) {
    if (!flags.only.empty() && flags.only != plant.name) continue;
    ++planted;
    options.plant = plant.name;
    // In blocks: most faults are caught by one of the first scenarios.
    const scenarios::swarm::SeedOutcome* hit = nullptr;
    std::vector<scenarios::swarm::SeedOutcome> outcomes;
    for (std::size_t at = 0; at < seeds->size() && hit == nullptr; at += flags.jobs) {
      const auto end = std::min(seeds->size(), at + flags.jobs);
      outcomes = scenarios::swarm::run_seeds({seeds->begin() + static_cast<std::ptrdiff_t>(at),
                                              seeds->begin() + static_cast<std::ptrdiff_t>(end)},
                                             flags.jobs, options, [](const auto&) {});
      for (const auto& o : outcomes)
        if (hit == nullptr && o.finding.found()) hit = &o;
    }
    if (hit == nullptr) {
      ++escaped;
      fmt::print("{:<26} {:<16} {:<9} {}\n", plant.name, "ESCAPED", "-", plant.what);
    } else {
      fmt::print("{:<26} {:<16} {:<9} {}\n", plant.name, hit->finding.kind, hit->seed,
                 hit->finding.reason);
    }
    std::fflush(stdout);
  }
  if (planted == 0) {
    print_errors({Error{fmt::format("there is no fault '{}'", flags.only),
                        {},
                        "weft mutate without --only lists them"}});
    return kBadInput;
  }
  fmt::print("{} faults planted, {} caught, {} escaped\n", planted, planted - escaped, escaped);
  return escaped == 0 ? kOk : kFailed;
}

const Command command{
    "mutate", "Plant faults and show that the checks catch each", 90,
    "  weft mutate\n"
    "  weft mutate --only truncate_vni\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("--seeds", flags->seeds, "Random scenarios that try to catch a fault");
      app.add_option("--only", flags->only, "This fault alone");
      app.add_option("--jobs,-j", flags->jobs, "So many at once (default: one per core)")
          ->check(CLI::Range(1, 1024));
      return [flags] { return mutate(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
