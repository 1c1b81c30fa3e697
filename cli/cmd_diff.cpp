// weft diff: two runs' folders, what differs first and by how much.
#include <cstdio>
#include <memory>

#include "analysis/diff.h"
#include "cli/commands.h"

namespace weft::cli {
namespace {

struct Flags {
  std::string a, b;
  std::size_t most = 20;
  bool quiet = false;
};

int diff(const Flags& flags) {
  const auto difference = analysis::diff_runs(flags.a, flags.b);
  if (!difference.ok()) {
    print_errors({difference.error()});
    return kBadInput;
  }
  if (!flags.quiet) {
    std::fputs(analysis::difference_text(*difference, flags.a, flags.b, flags.most).c_str(),
               stdout);
  }
  return difference->same ? kOk : kFailed;
}

const Command command{"diff", "Compare two runs: the first event that differs, then the metrics",
                      70,
                      "  weft diff runs/two-vms-ping-1 runs/two-vms-ping-2\n"
                      "  weft diff --most 0 before after          every metric that differs\n",
                      [](CLI::App& app) -> Action {
                        auto flags = std::make_shared<Flags>();
                        app.add_option("RUN_A", flags->a, "Folder of a run")->required();
                        app.add_option("RUN_B", flags->b, "Folder of another run")->required();
                        app.add_option("--most", flags->most, "Metrics shown of each kind (0: all)")
                            ->capture_default_str();
                        app.add_flag("-q,--quiet", flags->quiet,
                                     "Only the exit code: 0 same, 1 different, 2 bad input");
                        return [flags] { return diff(*flags); };
                      }};

}  // namespace
}  // namespace weft::cli
