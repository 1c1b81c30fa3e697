// weft verify: who can open a connection to whom, for all pairs and all headers at once; what a
// change alters; whether what must never be possible is.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "control/logical.h"
#include "control/reach_table.h"
#include "control/verify.h"
#include "control/verify_diff.h"
#include "scenarios/import/load_network.h"
#include "scenarios/run/world.h"
#include "scenarios/spec.h"

namespace weft::cli {
namespace {

using control::Intent;
using control::Verification;
using Json = nlohmann::ordered_json;

struct Flags {
  std::string file;
  std::string against;
  std::vector<std::string> set;
  bool json = false;
  bool statistics = false;
};

/// Connections that must not be possible.
struct Never {
  std::set<std::string> from, to;   // ports
  std::string text;                 // "shop/web to shop/db: tcp 5432"
  std::vector<datapath::Match> as;  // any of these
  Place place;
};

/// What a file asks for.
struct Network {
  Intent intent;
  std::vector<Never> never;
};

std::set<std::string> names_of(const scenarios::Scenario& scenario,
                               const std::vector<scenarios::EndpointRef>& vms) {
  std::set<std::string> out;
  for (const auto& vm : vms) out.insert(scenario.tenants[*vm.tenant].vms[vm.index].name);
  return out;
}

Never never_of(const scenarios::Scenario& scenario, const scenarios::NeverSpec& spec) {
  using scenarios::Protocol;
  Never out{names_of(scenario, spec.from), names_of(scenario, spec.to), {}, {}, spec.place};
  static const std::map<Protocol, const char*> words = {{Protocol::any, "ip"},
                                                        {Protocol::icmp, "icmp"},
                                                        {Protocol::tcp, "tcp"},
                                                        {Protocol::udp, "udp"}};
  const std::string word = words.at(spec.protocol);
  std::vector<control::AclPorts> ports;
  for (const auto& range : spec.ports) ports.push_back({range.first, range.last});
  std::vector<std::string> masks;
  for (const auto& range : ports)
    for (const std::string& mask : control::port_masks(range))
      masks.push_back(mask.empty() ? "" : ",tp_dst=" + mask);
  if (masks.empty()) masks.emplace_back();
  for (const bool is6 : {false, true})
    for (const std::string& mask : masks)
      out.as.push_back(
          datapath::parse_match((is6 ? (word == "ip" ? "ipv6" : word + "6") : word) + mask)
              .value());
  out.text =
      fmt::format("{} to {}: {}", spec.from_text, spec.to_text, word == "ip" ? "anything" : word);
  if (!ports.empty()) out.text += " " + control::PortSet(ports).text();
  return out;
}

std::optional<Network> load(const std::string& path, const std::vector<std::string>& set) {
  auto loaded = imports::load_network(path, {}, set);
  if (!loaded.scenario && !loaded.imported) {
    print_errors(loaded.errors);
    return std::nullopt;
  }
  Network out;
  if (loaded.imported)
    for (const Error& note : loaded.imported->notes) fmt::print(stderr, "note: {}\n", note.message);
  const auto applied =
      out.intent.apply(loaded.imported ? loaded.imported->transaction
                                       : scenarios::World::desired_by(*loaded.scenario).intent);
  if (!applied) {
    print_errors({applied.error()});
    return std::nullopt;
  }
  if (loaded.scenario)
    for (const auto& spec : loaded.scenario->never)
      out.never.push_back(never_of(*loaded.scenario, spec));
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

/// A class's ports, by their group if they are all of it.
std::string who(const Intent& intent, const std::vector<std::string>& ports) {
  for (const auto& [name, group] : intent.groups())
    if (std::equal(ports.begin(), ports.end(), group.members.begin(), group.members.end()))
      return name;
  return who("", ports);
}

std::string command_of(const std::string& file, const control::ExamplePacket& e) {
  return fmt::format("weft trace {} --from {} --packet '{}'", file, e.from, e.packet);
}

struct Violation {
  const Never* never = nullptr;
  control::ExamplePacket example;
};

/// One packet for each of what must never be possible and is.
std::vector<Violation> violations(const Network& network, const Verification& v) {
  std::vector<Violation> out;
  for (const Never& never : network.never) {
    std::optional<Violation> found;
    for (const auto& [pair, reach] : v.reach) {
      const std::string& from = v.classes[pair.first].ports[0];
      const std::string& to = v.classes[pair.second].ports[pair.first == pair.second ? 1 : 0];
      if (found || !never.from.contains(from) || !never.to.contains(to)) continue;
      for (const datapath::Match& match : never.as)
        if (const auto e = example_packet(network.intent, reach, from, to, match); e && !found)
          found = {&never, *e};
    }
    if (found) out.push_back(*found);
  }
  return out;
}

void print_table(const Intent& intent, const Verification& v,
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

void print_never(const Flags& flags, const Network& network, const std::vector<Violation>& broken) {
  if (network.never.empty()) return;
  fmt::print("\nnever: {} of {} hold\n", network.never.size() - broken.size(),
             network.never.size());
  for (const Violation& v : broken)
    fmt::print("  {}:{}: {}: it is possible\n    {}\n", v.never->place.file, v.never->place.line,
               v.never->text, command_of(flags.file, v.example));
}

void print_changes(const Flags& flags, const Network& before, const Network& after,
                   const std::vector<control::ReachChange>& changes) {
  fmt::print("\nagainst {}: {}\n", flags.against,
             changes.empty() ? "no packet is treated in another way" : "");
  const auto side = [&](const char* what, const std::string& text,
                        const std::optional<control::ExamplePacket>& example, const Intent& intent,
                        const std::string& file, const control::ReachChange& c) {
    if (!example) return;
    fmt::print("  {} {} to {}: {}\n    {}\n", what, who(intent, c.from), who(intent, c.to), text,
               command_of(file, *example));
  };
  for (const auto& c : changes) {
    side("newly allowed:  ", c.allowed_text, c.allowed_example, after.intent, flags.file, c);
    side("newly forbidden:", c.forbidden_text, c.forbidden_example, before.intent, flags.against,
         c);
  }
}

Json json_of(const control::ExamplePacket& e) {
  return {{"from", e.from}, {"to", e.to}, {"packet", e.packet}};
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

Json json_of(const Network& network, const std::vector<Violation>& broken) {
  Json out = Json::array();
  for (const Never& never : network.never) {
    Json n{{"never", never.text}, {"line", never.place.line}, {"holds", true}};
    for (const Violation& v : broken)
      if (v.never == &never) {
        n["holds"] = false;
        n["example"] = json_of(v.example);
      }
    out.push_back(std::move(n));
  }
  return out;
}

Json json_of(const std::vector<control::ReachChange>& changes) {
  Json out = Json::array();
  for (const auto& c : changes) {
    Json j{{"from_ports", c.from}, {"to_ports", c.to}};
    if (c.allowed_example)
      j["newly_allowed"] = {{"what", c.allowed_text}, {"example", json_of(*c.allowed_example)}};
    if (c.forbidden_example)
      j["newly_forbidden"] = {{"what", c.forbidden_text},
                              {"example", json_of(*c.forbidden_example)}};
    out.push_back(std::move(j));
  }
  return out;
}

Result<Verification> run(const Network& network) {
  auto verifier = control::Verifier::of(network.intent, {});
  if (!verifier) return verifier.error();
  std::vector<std::set<std::string>> sets;
  for (const Never& never : network.never) {
    sets.push_back(never.from);
    sets.push_back(never.to);
  }
  return verifier->run(control::divided(verifier->classes(), sets));
}

int verify(const Flags& flags) {
  const auto network = load(flags.file, flags.set);
  if (!network) return kBadInput;
  std::optional<Network> other;
  if (!flags.against.empty() && !(other = load(flags.against, {}))) return kBadInput;

  const auto start = std::chrono::steady_clock::now();
  const auto verified = run(*network);
  if (!verified) {
    print_errors({verified.error()});
    return kBadInput;
  }
  const auto rows = control::reach_table(network->intent, *verified);
  const auto broken = violations(*network, *verified);
  std::vector<control::ReachChange> changes;
  if (other) {
    auto compared = control::compare_reach(other->intent, network->intent);
    if (!compared) {
      print_errors({compared.error()});
      return kBadInput;
    }
    changes = std::move(*compared);
  }
  if (flags.json) {
    Json out = json_of(*verified, rows);
    out["never"] = json_of(*network, broken);
    if (other) out["against"] = json_of(changes);
    fmt::print("{}\n", out.dump(2));
  } else {
    print_table(network->intent, *verified, rows);
    print_never(flags, *network, broken);
    if (other) print_changes(flags, *other, *network, changes);
  }
  for (const std::string& note : verified->notes) fmt::print(stderr, "note: {}\n", note);
  if (flags.statistics) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    fmt::print(stderr, "{} ports in {} classes, {} rules, {} visits of tables, {:.3f} s\n",
               network->intent.ports().size(), verified->classes.size(), verified->rules,
               verified->visits, took.count());
  }
  return broken.empty() && changes.empty() ? kOk : kFailed;
}

const Command command{
    "verify", "Who can open a connection to whom: all pairs, all headers, all at once", 85,
    "  weft verify scenarios/library/three-tier-migration.yaml\n"
    "  weft verify new.yaml --against old.yaml     what the change alters (exit code 1: "
    "something)\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file, "Scenario, or what weft import reads")->required();
      app.add_option("--against", flags->against,
                     "Say what FILE allows and forbids that this file does not");
      app.add_option("--set", flags->set, "Override PATH=VALUE of the scenario FILE")
          ->expected(1)
          ->take_all();
      app.add_flag("--json", flags->json, "As JSON");
      app.add_flag("--statistics", flags->statistics, "Say how much work it was");
      return [flags] { return verify(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
