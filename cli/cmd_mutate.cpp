// weft mutate: plants faults one at a time and shows that something catches each of them. The
// faults are hooks in datapath/faults.h, control/faults.h and models/faults.h; the detectors are a
// few drills of one switch (cli/drills.h), traps (scenarios/swarm/traps.h) and then the random
// scenarios of weft swarm, run with every check on and judged by the oracle of policy, until one of
// them complains. The first row plants nothing: what complains there is no detector.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "cli/commands.h"
#include "cli/drills.h"
#include "cli/test_runner.h"
#include "scenarios/swarm/swarm.h"
#include "scenarios/swarm/traps.h"

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
    {"widen_mask_one_bit", "megaflows forget the last bit of the destination address"},
    {"forget_tos_in_mask", "megaflows forget that the TOS was looked at"},
    {"skip_checksum_update", "rewritten headers keep their old checksums"},
    {"skip_commit", "ct(commit) does not remember the connection"},
    {"swap_logical_ports", "the GENEVE option carries egress as ingress"},
    {"rules_never_expire", "idle and hard timeouts of rules do nothing"},
    {"forget_counts", "packets of a revalidated cache entry count for no rule"},
    {"ct_no_windows", "TCP segments are taken whatever their numbers"},
    {"ct_expired_answers", "a connection whose time is up still answers"},
    {"ct_forget_mark", "exec(...) of ct(commit) sets no mark"},
    {"ct_no_limits", "the limit of a zone does not count"},
    {"nat_without_reverse", "replies of a translated connection are not known as such"},
    {"nat_shares_ports", "NAT gives away addresses and ports that are in use"},
    {"nat_forgets_quotes", "what an ICMP error quotes is not translated back"},
    {"move_without_nat", "the translations of an exported zone stay behind"},
    {"forget_ecn", "the outer congestion mark is lost"},
    {"accept_critical", "unknown critical GENEVE options are ignored"},
    {"ignore_lost_segments", "an STT frame comes out without a segment of it"},
    {"keep_old_tunnel", "a port that moved is still sent to where it was"},
    {"keep_removed_rules", "rules that should go stay in the switch"},
    {"forget_deny", "deny rules make no flows"},
    {"move_without_connections", "a VM's tracked connections stay behind"},
    {"move_without_last_round", "stop-and-copy sends no memory"},
    {"move_without_timers", "the timers of a VM that moved never go off"},
    {"route_into_failures", "routers never hear of failed links"},
    {"reuse_port_numbers", "a VM that arrives gets the number of one that left"},
    {"lose_silently", "a frame now and then vanishes without a verdict"},
    {"tcp_ignores_gaps", "TCP takes what comes next for what was due next"},
};

struct Flags {
  std::string seeds = "1..100";
  std::string only;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
};

struct Catch {
  std::string scenario, kind, how;
};

std::optional<Catch> try_traps(const scenarios::swarm::SwarmOptions& options) {
  for (const auto& trap : scenarios::swarm::traps()) {
    scenarios::swarm::SeedOutcome unused;
    const auto finding = scenarios::swarm::try_scenario(trap.yaml, std::string(trap.name) + ".yaml",
                                                        options, false, unused);
    if (finding.found()) return Catch{trap.name, finding.kind, finding.reason};
  }
  return std::nullopt;
}

/// In blocks of `jobs`: most faults are caught by one of the first scenarios.
std::optional<Catch> try_seeds(const std::vector<std::uint64_t>& seeds, unsigned jobs,
                               const scenarios::swarm::SwarmOptions& options) {
  for (std::size_t at = 0; at < seeds.size(); at += jobs) {
    const auto first = seeds.begin() + static_cast<std::ptrdiff_t>(at);
    const auto last =
        seeds.begin() + static_cast<std::ptrdiff_t>(std::min(seeds.size(), at + jobs));
    for (const auto& o : scenarios::swarm::run_seeds({first, last}, jobs, options, [](auto&) {}))
      if (o.finding.found())
        return Catch{fmt::format("seed {}", o.seed), o.finding.kind, o.finding.reason};
  }
  return std::nullopt;
}

/// One line of a table, however many the message has; without where in the source it was noticed.
std::string one_line(std::string text) {
  if (const auto end = text.find('\n'); end != std::string::npos) text.resize(end);
  const auto failed = text.find("check failed: ");
  return failed == std::string::npos ? text : text.substr(failed + 14);
}

void print_row(const char* fault, const std::string& where, const std::string& kind,
               const std::string& how) {
  fmt::print("{:<26} {:<20} {:<15} {}\n", fault, where, kind, how);
  std::fflush(stdout);
}

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
  print_row("fault", "caught in", "by", "how");
  if (const auto wrong = run_drills("")) {
    print_row("(none)", wrong->drill, "drill", one_line(wrong->what));
    return kInternalFault;
  }
  if (const auto wrong = try_traps(options)) {
    print_row("(none)", wrong->scenario, wrong->kind, one_line(wrong->how));
    return kInternalFault;
  }
  print_row("(none)", "-", "-", "no drill and no trap complains");
  for (const Plant& plant : kPlants) {
    if (!flags.only.empty() && flags.only != plant.name) continue;
    ++planted;
    options.plant = plant.name;
    std::optional<Catch> hit;
    if (const auto f = run_drills(plant.name)) hit = Catch{f->drill, "drill", f->what};
    if (!hit) hit = try_traps(options);
    if (!hit) hit = try_seeds(*seeds, flags.jobs, options);
    if (hit) {
      print_row(plant.name, hit->scenario, hit->kind, one_line(hit->how));
    } else {
      ++escaped;
      print_row(plant.name, "-", "ESCAPED", plant.what);
    }
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
