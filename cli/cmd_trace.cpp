// weft trace: what happens to a packet that a VM sends, and why: at rest or at a time of the
// scenario's simulation.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "analysis/trace/tracer.h"
#include "base/units.h"
#include "cli/commands.h"
#include "scenarios/import/load_network.h"
#include "scenarios/run/trace_world.h"

namespace weft::cli {
namespace {

struct Flags {
  std::string file;
  std::string from;
  std::string packet;
  std::string at;
  std::string batch;
  std::vector<std::string> set;
  std::optional<std::uint64_t> seed;
  unsigned threads = 1;
  std::uint32_t hypervisors = 0;
  bool json = false;
};

int refused(std::vector<Error> errors) {
  print_errors(errors);
  return kBadInput;
}

/// The network to ask about.
Result<scenarios::TraceTarget> target_of(const Flags& flags, imports::LoadedNetwork network) {
  if (network.imported) {
    if (!flags.at.empty())
      return Error{fmt::format("{} is {}: nothing happens in it that --at could wait for",
                               flags.file, name_of(network.format)),
                   {},
                   "without --at the network is at rest"};
    return scenarios::trace_at_rest(*network.imported);
  }
  scenarios::Scenario scenario = std::move(*network.scenario);
  if (flags.seed) scenario.seed = *flags.seed;
  if (flags.at.empty()) return scenarios::trace_at_rest(scenario);
  const auto at = parse_duration(flags.at);
  if (!at) {
    Error e = at.error();
    e.place.file = "--at";
    return e;
  }
  return scenarios::trace_at(scenario, Time{} + *at, flags.threads);
}

int one(analysis::Tracer& tracer, const Flags& flags) {
  const auto answer = tracer.ask(flags.from, flags.packet, !flags.json);
  if (!answer) {
    Error e = answer.error();
    e.place.file = e.place.column != 0 ? "--packet" : "--from";
    return refused({e});
  }
  fmt::print("{}", flags.json ? trace_json(*answer, 2) + "\n" : trace_text(*answer));
  return kOk;
}

/// "FROM PACKET" in a line; an error has a place in the line.
Result<analysis::TraceAnswer> ask(analysis::Tracer& tracer, const std::string& line, bool text) {
  const auto begin = line.find_first_not_of(" \t");
  const auto end = std::min(line.find_first_of(" \t", begin), line.size());
  const auto packet = std::min(line.find_first_not_of(" \t", end), line.size());
  auto answer = tracer.ask(line.substr(begin, end - begin), line.substr(packet), text);
  if (answer) return answer;
  Error e = answer.error();
  e.place.column = static_cast<int>(
      e.place.column != 0 ? packet + static_cast<std::size_t>(e.place.column) : begin + 1);
  return e;
}

int many(analysis::Tracer& tracer, const Flags& flags) {
  std::ifstream file;
  const bool standard = flags.batch == "-";
  if (!standard) {
    file.open(flags.batch);
    if (!file)
      return refused({{"cannot read '" + flags.batch + "'", {}, "one query a line: FROM PACKET"}});
  }
  std::istream& in = standard ? std::cin : file;
  int number = 0;
  int code = kOk;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const auto first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') continue;
    const auto answer = ask(tracer, line, !flags.json);
    if (!answer) {
      Error e = answer.error();
      e.place.file = standard ? "<stdin>" : flags.batch;
      e.place.line = number;
      if (flags.json)  // answers stay one a query
        fmt::print("{}\n", nlohmann::ordered_json{{"line", number}, {"error", e.message}}.dump());
      print_errors({e});
      code = kBadInput;
    } else {
      fmt::print("{}", flags.json ? trace_json(*answer, -1) + "\n"
                                  : fmt::format("# {}\n{}\n", line, trace_text(*answer)));
    }
    if (standard) std::fflush(stdout);
  }
  return code;
}

int trace(const Flags& flags) {
  if (flags.batch.empty() == (flags.from.empty() || flags.packet.empty()))
    return refused({{flags.batch.empty() ? "there is no packet to trace"
                                         : "--batch and --from, --packet exclude each other",
                     {},
                     "--from PORT --packet FIELDS, or --batch FILE with one FROM PACKET a line"}});
  auto loaded = imports::load_network(flags.file, {.hypervisors = flags.hypervisors}, flags.set);
  if (!loaded.scenario && !loaded.imported) return refused(loaded.errors);
  auto target = target_of(flags, std::move(loaded));
  if (!target) return refused({target.error()});
  analysis::Tracer tracer(target->view, std::move(target->switches));
  return flags.batch.empty() ? one(tracer, flags) : many(tracer, flags);
}

const Command command{
    "trace", "What happens to a packet that a VM sends, rule by rule, and why", 75,
    "  weft trace scenarios/library/three-tier-migration.yaml \\\n"
    "      --from shop/web-1 --packet 'tcp,ip_dst=10.0.2.11,tcp_dst=8080'\n"
    "  weft trace scenarios/library/ovn/three-tier.nbctl \\\n"
    "      --from web-1 --packet 'tcp,ip_dst=10.0.2.11,tcp_dst=8080'\n"
    "  weft trace FILE --from shop/web-1 --packet 'icmp,ip_dst=10.0.3.11' --at 3s --json\n"
    "  echo \"shop/web-1 arp,arp_tpa=10.0.1.1\" | weft trace FILE --batch - --json\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file,
                     "Scenario (YAML), OVN database, ovn-nbctl script, Kubernetes policies")
          ->required();
      app.add_option("--from", flags->from, "Port that sends: TENANT/VM");
      app.add_option("--packet", flags->packet,
                     "Fields of ovs-ofctl; what is missing is filled in as the guest would");
      app.add_option("--at", flags->at, "Run the simulation so far first (default: all at rest)");
      app.add_option("--batch", flags->batch,
                     "File with one FROM PACKET a line; -: standard input");
      app.add_option("--set", flags->set, "Override PATH=VALUE")->expected(1)->take_all();
      app.add_option("--seed", flags->seed, "Instead of the scenario's");
      app.add_option("--threads", flags->threads, "For --at (default 1)")
          ->check(CLI::Range(1u, 256u));
      app.add_option("--hypervisors", flags->hypervisors,
                     "Imports: so many are made up for ports that name none");
      app.add_flag("--json", flags->json, "One JSON object a packet");
      return [flags] { return trace(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
