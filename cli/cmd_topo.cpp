// weft topo: the topology as a picture (SVG) or for other tools (DOT, GraphML).
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "scenarios/loader/draw.h"

namespace weft::cli {
namespace {

struct Flags {
  std::string file;
  std::string format = "svg";
  std::string out;
  std::vector<std::string> set;
};

/// Writes all of it or says why not; a file that could not be finished is removed.
Result<> write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  const auto failed = [&](int reason) {
    return Error{fmt::format("cannot be written: {}", std::strerror(reason)),
                 {path, 0, 0},
                 "choose another place with -o"};
  };
  if (file == nullptr) return failed(errno);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int reason = errno;
  const bool closed = std::fclose(file) == 0;
  if (written && closed) return {};
  std::remove(path.c_str());
  return failed(written ? errno : reason);
}

int topo(const Flags& flags) {
  const auto loaded = scenarios::load_scenario(flags.file, flags.set);
  if (!loaded.scenario) {
    print_errors(loaded.errors);
    return kBadInput;
  }
  const auto draw = flags.format == "dot"       ? scenarios::draw_dot
                    : flags.format == "graphml" ? scenarios::draw_graphml
                                                : scenarios::draw_svg;
  const std::string text = draw(*loaded.scenario);
  if (flags.out.empty() || flags.out == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return kOk;
  }
  if (const auto written = write_file(flags.out, text); !written) {
    print_errors({written.error()});
    return kBadInput;
  }
  return kOk;
}

const Command command{
    "topo", "Draw the topology: SVG, DOT or GraphML", 40,
    "  weft topo scenarios/library/three-tier-migration.yaml -o topology.svg\n"
    "  weft topo --format dot scenarios/library/lesson-3-router.yaml | dot -Tpng > topology.png\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file, "Scenario (YAML)")->required();
      app.add_option("--format", flags->format, "Form of the drawing: svg, dot or graphml")
          ->check(CLI::IsMember({"svg", "dot", "graphml"}))
          ->capture_default_str();
      app.add_option("-o,--out", flags->out, "File; standard output if not given");
      app.add_option("--set", flags->set, "Override PATH=VALUE")->expected(1)->take_all();
      return [flags] { return topo(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
