// weft import: reads what somebody has today and says what weft understood of it.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "scenarios/import/load_network.h"
#include "scenarios/import/rows.h"

namespace weft::cli {
namespace {

struct Flags {
  std::string file;
  std::string out;
  imports::ImportOptions options;
  bool json = false;
};

int run(const Flags& flags) {
  const auto loaded = imports::load_network(flags.file, flags.options);
  if (loaded.format == imports::Format::scenario) {
    if (!loaded.scenario) {
      print_errors(loaded.errors);
    } else {
      print_errors({Error{"this is a scenario already",
                          {flags.file, 0, 0},
                          "weft import reads OVN northbound databases, scripts of ovn-nbctl "
                          "commands and Kubernetes NetworkPolicies"}});
    }
    return kBadInput;
  }
  if (!loaded.imported) {
    print_errors(loaded.errors);
    return kBadInput;
  }
  for (const Error& note : loaded.imported->notes) {
    Error shown = note;
    fmt::print(stderr, "{}{}note: {}\n",
               shown.place.file.empty() ? std::string() : shown.place.file + ":",
               shown.place.line > 0 ? fmt::format("{}: ", shown.place.line) : std::string(" "),
               shown.message);
    if (!shown.remedy.empty()) fmt::print(stderr, "  help: {}\n", shown.remedy);
  }
  const std::string text =
      flags.json ? imports::rows_json(*loaded.imported) : imports::rows_text(*loaded.imported);
  if (flags.out.empty()) {
    fmt::print("{}", text);
    return kOk;
  }
  std::FILE* file = std::fopen(flags.out.c_str(), "wb");
  const bool written =
      file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file == nullptr || std::fclose(file) != 0 || !written) {
    print_errors({Error{"cannot be written", {flags.out, 0, 0}, "check the folder and its space"}});
    return kBadInput;
  }
  return kOk;
}

const Command command{
    "import", "Read an OVN database, an ovn-nbctl script or NetworkPolicies; say what they mean",
    90,
    "  weft import scenarios/library/ovn/three-tier.nbctl\n"
    "  weft import --json /var/lib/ovn/ovnnb_db.db --out network.json\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file,
                     "OVN northbound database, ovn-nbctl commands, or Kubernetes YAML")
          ->required();
      app.add_flag("--json", flags->json, "Every field of every row, as JSON");
      app.add_option("--out", flags->out, "Write to this file");
      app.add_option("--hypervisors", flags->options.hypervisors,
                     "Hypervisors for ports that ask for none (default: one per 10, at most 16)")
          ->check(CLI::Range(1, 10000));
      app.add_flag("--up-to-damage", flags->options.up_to_damage,
                   "Of a damaged database, import what stands before the damage");
      return [flags] { return run(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
