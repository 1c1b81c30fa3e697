// The folder of a run: summary.json, metrics.csv, events.jsonl, captures/*.pcapng, report.html,
// and what is needed to run it again (scenario.yaml, run.json: file, overrides, seed, until; a
// scenario that takes its underlay from a GraphML file: underlay.graphml, a copy of it).
//
//   RunFolder folder = RunFolder::create(options)   before the run: refuses what it must refuse
//   folder.capture_path("hv-1-1.uplink")            captures are written during the run
//   folder.finish(results)                          the rest; then the folder gets its final name
//
// While the run goes on everything lies in a hidden folder next to the final one
// (`.NAME.partial-PID`); finish() renames it into place, so that the final folder is always the
// whole of one run. An interrupted run finishes too, with `interrupted: true`. A run that is killed
// leaves its partial folder: the captures in it are whole up to the last flush.
//
// Default place: `runs/NAME-SEED`; if that is an earlier run's folder it is replaced. A folder
// given by --out must not exist, be empty, or be an earlier run's folder together with `force`.
// Anything else is refused: weft never deletes what weft did not write. A folder is an earlier
// run's if it holds a run.json that weft wrote and no file that a run does not have.
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
  /// Where to write the capture of a point now.
  std::string capture_path(const std::string& point) const;
  /// What CaptureFileInfo::path must say: "captures/hv-1-1.uplink.pcapng" ("/" becomes "_").
  static std::string capture_name(const std::string& point);

  /// Writes all files, fills results.files, renames the folder into place. Close the captures
  /// first. On an error (disk full) the Error says what was kept whole and where; what could be
  /// written is kept under the final name.
  Result<> finish(analysis::Results& results);

 private:
  RunFolder() = default;
  std::string path_;     ///< as it is shown
  std::string target_;   ///< absolute
  std::string partial_;  ///< absolute; empty: finished or moved from
};

/// What `weft explain` needs to run it again.
struct RunRecord {
  std::string scenario_path;  ///< the copy in the folder
  std::string file;           ///< as the user gave it then: what places in messages should say
  std::vector<std::string> overrides;  ///< and the one that makes the copy of a GraphML file used
  std::uint64_t seed = 0;
  Duration planned{};
  std::string version;
};
Result<RunRecord> read_run_record(const std::string& folder);

}  // namespace weft::scenarios
