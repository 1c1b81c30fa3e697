// weft verify: who can open a connection to whom, for all pairs and all headers at once.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "control/reach_table.h"
#include "control/verify.h"
#include "scenarios/run/world.h"
#include "scenarios/spec.h"

namespace weft::cli {
namespace {

using control::Intent;
using control::Verification;
using Json = nlohmann::ordered_json;

struct Flags {
  std::string file;
  std::vector<std::string> set;
  bool json = false;
  bool statistics = false;
};

/// What a file asks for.
struct Network {
  Intent intent;
};

std::optional<Network> load(const std::string& path, const std::vector<std::string>& set) {
  auto loaded = scenarios::load_scenario(path, set);
  if (!loaded.scenario) {
    print_errors(loaded.errors);
    return std::nullopt;
  }
  Network out;
  if (auto applied = out.intent.apply(scenarios::World::desired_by(*loaded.scenario).intent);
      !applied) {
    print_errors({applied.error()});
    return std::nullopt;
  }
  return out;
}

/// "shop/web", or some of its ports.
std::string who(const std::string& unit, const std::vector<std::string>& ports) {
  constexpr std::size_t kShown = 3;
  const std::string name = unit.starts_with("group ") ? unit.substr(6) : "(no group) " + unit;
  if (ports.empty()) return name;
  std::string out;
  for (std::size_t i = 0; i < std::min(kShown, ports.size()); ++i)
    out += (i == 0 ? "" : ", ") + ports[i];
  if (ports.size() > kShown) out += fmt::format(" and {} more", ports.size() - kShown);
  return out;
}

std::string row_name(const control::RowId& id) {
  return fmt::format("{} {}", control::name_of(id.first), id.second);
}

std::string idle_text(const control::IdleRule& rule) {
  if (!rule.shadowed) return "never used: no packet that it matches comes to it";
  std::string by;
  for (const auto& other : rule.by) by += (by.empty() ? "" : ", ") + row_name(other);
  if (rule.by_others) by += by.empty() ? "rules of the network itself" : " and others";
  return "shadowed by " + by;
}

void print_text(const Intent& intent, const Verification& v,
                const std::vector<control::ReachRow>& rows) {
  std::size_t from = 4, to = 2;
  for (const auto& row : rows) {
    from = std::max(from, who(row.from, row.from_ports).size());
    to = std::max(to, who(row.to, row.to_ports).size());
  }
  fmt::print("{:<{}}  {:<{}}  {}\n", "FROM", from, "TO", to, "CAN OPEN");
  for (const auto& row : rows)
    fmt::print("{:<{}}  {:<{}}  {}\n", who(row.from, row.from_ports), from,
               who(row.to, row.to_ports), to, row.text);
  const std::size_t units = control::reach_units(intent).size();
  std::set<std::pair<std::string, std::string>> speaking;
  for (const auto& row : rows) speaking.insert({row.from, row.to});
  fmt::print("nothing else: {} of {} pairs are silent\n", units * units - speaking.size(),
             units * units);
  if (!v.idle.empty()) fmt::print("\nrules that decide nothing:\n");
  for (const auto& rule : v.idle) fmt::print("  {}: {}\n", row_name(rule.row), idle_text(rule));
}

Json json_of(const Verification& v, const std::vector<control::ReachRow>& rows) {
  Json out;
  out["reach"] = Json::array();
  for (const auto& row : rows) {
    Json r{{"from", row.from}, {"to", row.to}, {"allows", row.text}};
    if (!row.from_ports.empty()) r["from_ports"] = row.from_ports;
    if (!row.to_ports.empty()) r["to_ports"] = row.to_ports;
    out["reach"].push_back(std::move(r));
  }
  out["idle_rules"] = Json::array();
  for (const auto& rule : v.idle) {
    Json by = Json::array();
    for (const auto& other : rule.by) by.push_back(row_name(other));
    out["idle_rules"].push_back(
        {{"rule", row_name(rule.row)}, {"why", rule.shadowed ? "shadowed" : "unused"}, {"by", by}});
  }
  return out;
}

int verify(const Flags& flags) {
  const auto network = load(flags.file, flags.set);
  if (!network) return kBadInput;
  const auto start = std::chrono::steady_clock::now();
  const auto verified = control::verify(network->intent);
  if (!verified) {
    print_errors({verified.error()});
    return kBadInput;
  }
  const auto rows = control::reach_table(network->intent, *verified);
  if (flags.json) {
    fmt::print("{}\n", json_of(*verified, rows).dump(2));
  } else {
    print_text(network->intent, *verified, rows);
  }
  for (const std::string& note : verified->notes) fmt::print(stderr, "note: {}\n", note);
  if (flags.statistics) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    fmt::print(stderr, "{} ports in {} classes, {} rules, {} visits of tables, {:.3f} s\n",
               network->intent.ports().size(), verified->classes.size(), verified->rules,
               verified->visits, took.count());
  }
  return kOk;
}

const Command command{
    "verify", "Who can open a connection to whom: all pairs, all headers, all at once", 85,
    "  weft verify scenarios/library/three-tier-migration.yaml\n", [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file, "Scenario (YAML)")->required();
      app.add_option("--set", flags->set, "Override PATH=VALUE of the scenario")
          ->expected(1)
          ->take_all();
      app.add_flag("--json", flags->json, "As JSON");
      app.add_flag("--statistics", flags->statistics, "Say how much work it was");
      return [flags] { return verify(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
