// The folder of a run: summary.json, metrics.csv, events.jsonl, captures/*.pcapng, report.html,
// and what is needed to run it again (scenario.yaml, run.json: overrides, seed).
//
//   RunFolder folder = RunFolder::create(options)   before the run: refuses what it must refuse
//   folder.capture_path("hv-1-1.uplink")            captures are written during the run
//   folder.finish(results)                          the rest; then the folder gets its final name
//
// While the run goes on everything lies in a hidden folder next to the final one
// (`.NAME.partial-PID`); finish() renames it into place, so that the final folder is always the
// whole of one run. An interrupted run finishes too, with `interrupted: true`.
//
// Default place: `runs/NAME-SEED`; if that is an earlier run's folder it is replaced. A folder
// given by --out must not exist, be empty, or be an earlier run's folder together with `force`.
// Anything else is refused: weft never deletes what weft did not write.
#pragma once

#include <string>

#include "analysis/results.h"
#include "base/result.h"

namespace weft::scenarios {

struct OutputOptions {
  std::string out;     ///< --out; empty: runs/NAME-SEED
  bool force = false;  ///< replace an earlier run's folder given by --out
  std::string name;    ///< of the scenario
  std::uint64_t seed = 0;
};

class RunFolder {
 public:
  static Result<RunFolder> create(const OutputOptions& options);
  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&& other) noexcept;
  ~RunFolder();  ///< without finish(): removes the partial folder

  /// Where it will be.
  const std::string& path() const { return path_; }
  /// Where to write the capture of a point now ("/" in its name becomes "_"); and what
  /// CaptureFileInfo::path must say.
  std::string capture_path(const std::string& point) const;
  static std::string capture_name(const std::string& point);

  /// Writes all files, fills results.files, renames the folder into place. On an error (disk full)
  /// the Error says what was kept whole and where; the folder keeps what could be written.
  Result<> finish(analysis::Results& results);

 private:
  RunFolder() = default;
  std::string path_;
  std::string partial_;
  bool finished_ = true;
};

}  // namespace weft::scenarios
