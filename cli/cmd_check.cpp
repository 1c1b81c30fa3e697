// weft check: reads scenarios and says what is wrong with them, with the line and a caret.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "scenarios/import/load_network.h"
#include "scenarios/loader/ports.h"
#include "scenarios/run/captures.h"
#include "scenarios/spec.h"

namespace weft::cli {
namespace {

struct Flags {
  std::vector<std::string> files;
  std::vector<std::string> set;
  bool quiet = false;
};

/// Line `number` (from 1) of the file, or nothing.
std::string line_of(const std::string& path, int number) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return {};
  std::string line;
  int at = 1;
  for (int c = std::fgetc(file); c != EOF && at <= number; c = std::fgetc(file)) {
    if (c == '\n')
      ++at;
    else if (at == number)
      line += c == '\t' ? ' ' : static_cast<char>(c);
  }
  std::fclose(file);
  return line;
}

/// The line with a caret under the column; long lines are cut around it. Columns count characters.
std::string excerpt(const Place& place) {
  constexpr std::size_t kWidth = 96;
  if (place.line <= 0 || place.column <= 0) return {};
  const std::string line = line_of(place.file, place.line);
  if (line.empty()) return {};
  std::vector<std::string> characters;
  for (char c : line) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80 && !characters.empty())
      characters.back() += c;
    else if (static_cast<unsigned char>(c) >= 0x20)
      characters.emplace_back(1, c);
    else
      characters.emplace_back(" ");
  }
  const auto caret = std::min(static_cast<std::size_t>(place.column) - 1, characters.size());
  const std::size_t first = caret > kWidth * 3 / 4 ? caret - kWidth / 2 : 0;
  const std::size_t last = std::min(characters.size(), first + kWidth);
  std::string shown = first > 0 ? "..." : "";
  const std::size_t indent = shown.size() + caret - first;
  for (std::size_t i = first; i < last; ++i) shown += characters[i];
  if (last < characters.size()) shown += "...";
  return fmt::format("{:>6} | {}\n       | {}^\n", place.line, shown, std::string(indent, ' '));
}

void print(const Error& error, const char* kind) {
  std::string head;
  if (!error.place.file.empty()) head = error.place.file;
  if (error.place.line > 0) head += fmt::format(":{}:{}", error.place.line, error.place.column);
  if (!head.empty()) head += ": ";
  fmt::print(stderr, "{}{}: {}\n{}", head, kind, error.message, excerpt(error.place));
  if (!error.remedy.empty()) fmt::print(stderr, "  help: {}\n", error.remedy);
}

std::string plural(std::size_t n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string counts(const scenarios::Scenario& s) {
  std::size_t switches = 0, machines = 0, vms = 0, pairs = 0;
  for (const auto& node : s.underlay.nodes) {
    const bool machine =
        node.kind == scenarios::NodeKind::host || node.kind == scenarios::NodeKind::hypervisor;
    ++(machine ? machines : switches);
  }
  for (const auto& tenant : s.tenants) vms += tenant.vms.size();
  for (const auto& traffic : s.traffic) pairs += traffic.pairs.size();
  return fmt::format("{}, {}, {}, {}, {}, {} of traffic ({}), {}, {}", plural(machines, "host"),
                     switches == 1 ? "1 switch" : fmt::format("{} switches", switches),
                     plural(s.underlay.links.size(), "link"), plural(s.tenants.size(), "tenant"),
                     plural(vms, "VM"), plural(s.traffic.size(), "kind"), plural(pairs, "pair"),
                     plural(s.events.size(), "event"), plural(s.expect.size(), "expectation"));
}

int check(const Flags& flags) {
  int exit_code = kOk;
  for (const std::string& file : flags.files) {
    const auto loaded = imports::load_network(file, {}, flags.set);
    auto errors = loaded.errors;
    if (loaded.imported) {
      for (const Error& note : loaded.imported->notes) print(note, "note");
      if (!flags.quiet) fmt::print("{}: ok: {}\n", file, imports::name_of(loaded.imported->format));
      continue;
    }
    if (loaded.scenario) errors = scenarios::capture_filter_errors(loaded.scenario->captures);
    for (const Error& error : errors) print(error, "error");
    if (!loaded.scenario || !errors.empty()) {
      exit_code = kBadInput;
      continue;
    }
    for (const Error& warning : loaded.scenario->warnings) print(warning, "warning");
    if (!flags.quiet) fmt::print("{}: ok: {}\n", file, counts(*loaded.scenario));
  }
  return exit_code;
}

const Command command{
    "check", "Read scenarios and say what is wrong with them", 20,
    "  weft check scenarios/library/three-tier-migration.yaml\n"
    "  weft check --set traffic.shopping.rpc.rate=500/s "
    "scenarios/library/three-tier-migration.yaml\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->files, "Scenarios, or what weft import reads")->required();
      app.add_option("--set", flags->set, "Override PATH=VALUE, as traffic.0.rpc.rate=500/s")
          ->expected(1)
          ->take_all();
      app.add_flag("-q,--quiet", flags->quiet, "Only errors and warnings");
      return [flags] { return check(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
