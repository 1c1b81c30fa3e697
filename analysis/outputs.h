// Outputs: Results as the texts of a run's folder and of the terminal. Pure functions: the bytes
// are a property of the run (same scenario, seed, version -> same text, whatever the threads),
// except summary.json's "wall" and "files" sections and the terminal's last lines.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "analysis/results.h"

namespace weft::analysis {

/// Tidy: time,object,metric,value,unit. Time in seconds with 9 digits; totals carry the time at the
/// end of the run. Sorted by what a reader looks for: run, traffic, links, caches, control, drops.
void write_metrics_csv(const Results& results, const std::function<void(const std::string&)>& sink);
std::string metrics_csv(const Results& results);

/// One JSON object per line: the log and the single drops, merged by (time, key).
std::string events_jsonl(const Results& results);

/// Everything but the time series. Keys keep their order; numbers are integers with the unit in the
/// key (`_ps`, `_bytes`).
std::string summary_json(const Results& results);

struct TerminalStyle {
  bool colour = false;
  unsigned width = 100;
};
/// Colour if `descriptor` is a terminal, NO_COLOR is not set and TERM is not "dumb".
TerminalStyle terminal_style(int descriptor);

/// What a person reads when a run is over. `folder` empty: nothing was written.
std::string terminal_summary(const Results& results, const TerminalStyle& style,
                             const std::string& folder);

/// The page, whole: no network, no other file.
std::string report_html(const Results& results);

/// XXH3-128 of bytes, 32 hexadecimal digits.
std::string xxh128(const std::string& bytes);
/// Of a file, read in pieces; `path` of the result is what is given. None: it cannot be read.
std::optional<OutputFile> hash_file(const std::string& path);

}  // namespace weft::analysis
