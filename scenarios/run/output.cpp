#include "scenarios/run/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "analysis/outputs.h"

namespace weft::scenarios {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRecord = "run.json";
constexpr const char* kSource = "scenario.yaml";
constexpr const char* kReserve = ".reserve";
constexpr std::size_t kReserveSize = 256 * 1024;
constexpr const char* kGraph = "underlay.graphml";

/// Every file a run writes; a folder that holds anything else is not ours to delete.
bool is_run_file(const fs::path& relative) {
  static const char* const names[] = {"summary.json", "metrics.csv", "events.jsonl", "report.html",
                                      kSource,        kGraph,        kRecord,        "captures"};
  const std::string first = relative.begin()->string();
  if (std::find(std::begin(names), std::end(names), first) == std::end(names)) return false;
  if (first != "captures") return relative == fs::path(first);
  return relative == fs::path(first) || relative.extension() == ".pcapng";
}

/// Why it must not be replaced; empty: it is a run's folder.
std::string why_not_ours(const fs::path& folder) {
  std::error_code e;
  if (!fs::is_regular_file(folder / kRecord, e)) return "it is not the folder of a run of weft";
  auto it = fs::recursive_directory_iterator(folder, e);
  if (e) return "it cannot be read: " + e.message();
  for (; it != fs::recursive_directory_iterator(); it.increment(e)) {
    if (e) return "it cannot be read: " + e.message();
    const fs::path relative = it->path().lexically_relative(folder);
    if (!is_run_file(relative))
      return fmt::format("it holds '{}', which weft did not write", relative.string());
  }
  return {};
}

Error system_error(const std::string& what, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return {fmt::format("{}: {}", what, std::strerror(code)),
          {},
          full ? "free some space or choose another place with --out FOLDER"
               : "choose a place that can be written with --out FOLDER"};
}

/// Writes the whole text or leaves no file.
Result<> write_file(const fs::path& path, const std::string& text) {
  const auto fail = [&](int code) -> Result<> {
    ::unlink(path.c_str());
    return system_error(fmt::format("cannot write '{}'", path.filename().string()), code);
  };
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0)
    return system_error(fmt::format("cannot write '{}'", path.filename().string()), errno);
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      const int code = n == 0 ? ENOSPC : errno;
      ::close(fd);
      return fail(code);
    }
  }
  return ::close(fd) == 0 ? Result<>() : fail(errno);
}

Result<std::string> read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  if (!in || !(text << in.rdbuf()).good()) {
    return Error{fmt::format("cannot read '{}'", path.string()), {}, ""};
  }
  return text.str();
}

/// A name that is safe as one path component.
std::string component(const std::string& name) {
  std::string safe;
  for (const char c : name) {
    const auto u = static_cast<unsigned char>(c);
    safe += c == '/' || u < 0x20 || u == 0x7f ? '_' : c;
  }
  if (safe.empty() || safe[0] == '.') safe = "_" + safe;
  return safe.substr(0, 200);
}

std::string record_json(const analysis::Results& r) {
  const analysis::RunIdentity& id = r.identity;
  nlohmann::ordered_json json = {{"weft", id.version}, {"scenario", id.scenario},
                                 {"file", id.file},    {"overrides", id.overrides},
                                 {"seed", id.seed},    {"planned_ps", id.planned.ps}};
  if (!id.graph.empty()) json["graphml"] = kGraph;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<RunFolder> RunFolder::create(const OutputOptions& options) {
  RunFolder folder;
  const bool chosen = !options.out.empty();
  folder.path_ =
      chosen ? options.out : fmt::format("runs/{}-{}", component(options.name), options.seed);
  while (folder.path_.size() > 1 && folder.path_.back() == '/') folder.path_.pop_back();
  std::error_code e;
  const fs::path target = fs::absolute(folder.path_, e).lexically_normal();
  if (e) return Error{fmt::format("cannot use '{}': {}", folder.path_, e.message()), {}, ""};
  folder.target_ = target.string();

  const fs::file_status status = fs::symlink_status(target, e);
  if (fs::exists(status)) {
    if (!fs::is_directory(status)) {
      return Error{fmt::format("'{}' exists and is not a folder", folder.path_),
                   {},
                   "choose another place with --out FOLDER"};
    }
    const bool empty = fs::is_empty(target, e);
    if (e) return Error{fmt::format("cannot read '{}': {}", folder.path_, e.message()), {}, ""};
    if (!empty) {
      const std::string why = why_not_ours(target);
      if (!why.empty()) {
        return Error{fmt::format("the folder '{}' is not empty, and {}", folder.path_, why),
                     {},
                     "choose another place with --out FOLDER, or move it away"};
      }
      if (chosen && !options.force) {
        return Error{fmt::format("the folder '{}' holds an earlier run", folder.path_),
                     {},
                     "choose another place with --out FOLDER, or replace it with --force"};
      }
    }
  }

  const fs::path parent = target.parent_path();
  fs::create_directories(parent, e);
  if (e) return system_error(fmt::format("cannot create '{}'", parent.string()), e.value());
  const fs::path partial =
      parent / fmt::format(".{}.partial-{}", target.filename().string(), ::getpid());
  fs::remove_all(partial, e);
  fs::create_directories(partial / "captures", e);
  if (e) return system_error(fmt::format("cannot write to '{}'", folder.path_), e.value());
  folder.partial_ = partial.string();
  // Room for what must be written at the end whatever happens to the disk; without room it is done
  // without.
  if (const int fd = ::open((partial / kReserve).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
      fd >= 0) {
    const std::vector<char> zeros(kReserveSize);
    if (::write(fd, zeros.data(), zeros.size()) < 0) ::unlink((partial / kReserve).c_str());
    ::close(fd);
  }
  return folder;
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      partial_(std::exchange(other.partial_, {})) {}

RunFolder& RunFolder::operator=(RunFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(target_, other.target_);
  std::swap(partial_, other.partial_);
  return *this;
}

RunFolder::~RunFolder() {
  if (partial_.empty()) return;
  std::error_code e;
  fs::remove_all(partial_, e);
}

std::string RunFolder::capture_name(const std::string& point) {
  return "captures/" + component(point) + ".pcapng";
}

std::string RunFolder::capture_path(const std::string& point) const {
  WEFT_CHECK(!partial_.empty(), "a capture after the folder was finished");
  return partial_ + "/" + capture_name(point);
}

Result<> RunFolder::finish(analysis::Results& results) {
  WEFT_CHECK(!partial_.empty(), "finished twice");
  const fs::path folder = partial_;
  std::error_code e;
  std::vector<std::string> kept;
  std::optional<Error> first;
  results.files.clear();
  const auto keep = [&](const std::string& name, const std::string& text, bool hashed) {
    if (auto r = write_file(folder / name, text); !r.ok()) {
      if (!first) first = r.error();
      return;
    }
    kept.push_back(name);
    if (hashed) results.files.push_back({name, analysis::xxh128(text), text.size()});
  };

  // What tells what the run was comes first: it is small and makes the rest worth keeping.
  fs::remove(folder / kReserve, e);
  keep(kRecord, record_json(results), false);
  keep(kSource, results.identity.source, false);
  if (!results.identity.graph.empty()) keep(kGraph, results.identity.graph, false);
  keep("summary.json", analysis::summary_json(results), false);
  keep("metrics.csv", analysis::metrics_csv(results), true);
  keep("events.jsonl", analysis::events_jsonl(results), true);
  keep("report.html", analysis::report_html(results), true);
  for (const analysis::CaptureFileInfo& c : results.captures) {
    auto file = analysis::hash_file((folder / c.path).string());
    if (!file) continue;  // it never came to it: CaptureFileInfo::error says why
    kept.push_back(c.path);
    file->path = c.path;
    results.files.push_back(*std::move(file));
  }
  // Again, with the hashes of the others and what could not be written. The first stays until this
  // one is whole.
  if (first && results.output_error.empty()) results.output_error = first->message;
  if (auto r = write_file(folder / "summary.new", analysis::summary_json(results)); r.ok()) {
    fs::rename(folder / "summary.new", folder / "summary.json", e);
    if (std::find(kept.begin(), kept.end(), "summary.json") == kept.end())
      kept.push_back("summary.json");
  } else if (!first) {
    first = r.error();
  }
  if (fs::is_empty(folder / "captures", e)) fs::remove(folder / "captures", e);

  // Into place. The earlier run goes only now that this one is there.
  const fs::path target = target_;
  const fs::path old = folder.string() + ".old";
  if (fs::exists(fs::symlink_status(target, e))) {
    if (!fs::is_empty(target, e) && !why_not_ours(target).empty()) {
      const std::string at = std::exchange(partial_, {});
      return Error{fmt::format("'{}' was changed by somebody else during the run", path_),
                   {},
                   fmt::format("the files of this run are whole in '{}'", at)};
    }
    fs::rename(target, old, e);
  }
  fs::rename(folder, target, e);
  if (e) {
    const std::string at = std::exchange(partial_, {});
    return Error{fmt::format("cannot rename the run's folder to '{}': {}", path_, e.message()),
                 {},
                 fmt::format("the files of this run are whole in '{}'", at)};
  }
  partial_.clear();
  fs::remove_all(old, e);
  if (!first) return {};
  first->message +=
      fmt::format("; '{}' holds what was kept whole: {}", path_,
                  kept.empty() ? "nothing" : fmt::format("{}", fmt::join(kept, ", ")));
  return *first;
}

Result<RunRecord> read_run_record(const std::string& folder) {
  const fs::path path = fs::path(folder) / kRecord;
  auto text = read_file(path);
  if (!text.ok()) {
    return Error{fmt::format("'{}' is not the folder of a run: {}", folder, text.error().message),
                 {},
                 "give the folder that `weft run` named, e.g. runs/NAME-SEED"};
  }
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  const auto damaged = [&] {
    return Error{fmt::format("'{}' is damaged", path.string()), {}, "run the scenario again"};
  };
  if (!json.is_object()) return damaged();
  try {
    RunRecord record;
    record.scenario_path = (fs::path(folder) / kSource).string();
    json.at("file").get_to(record.file);
    json.at("overrides").get_to(record.overrides);
    // The copy of the scenario still names the graph where it lay then.
    if (json.contains("graphml"))
      record.overrides.push_back(std::string("underlay.graphml=") + kGraph);
    json.at("seed").get_to(record.seed);
    json.at("planned_ps").get_to(record.planned.ps);
    json.at("weft").get_to(record.version);
    return record;
  } catch (const nlohmann::json::exception&) {
    return damaged();
  }
}

}  // namespace weft::scenarios
