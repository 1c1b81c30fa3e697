// The folder of a run: what is refused, what is replaced, what is kept when the disk is full.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "analysis/outputs.h"
#include "scenarios/run/output.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

/// An empty place that is the current folder while a test runs.
struct Ground {
  fs::path before = fs::current_path();
  fs::path here;
  Ground() {
    static int n = 0;
    here = fs::temp_directory_path() /
           ("weft-out-" + std::to_string(::getpid()) + "-" + std::to_string(n++));
    fs::create_directories(here);
    fs::current_path(here);
  }
  ~Ground() {
    fs::current_path(before);
    fs::permissions(here, fs::perms::owner_all);
    fs::remove_all(here);
  }
};

Names entries(const fs::path& of) {
  Names names;
  for (const auto& e : fs::directory_iterator(of)) names.push_back(e.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(fs::absolute(path).parent_path());
  std::ofstream(path) << text;
}
std::string read(const fs::path& path) {
  std::stringstream s;
  s << std::ifstream(path).rdbuf();
  return s.str();
}

analysis::Results a_run() {
  analysis::Results r;
  r.identity = {.scenario = "lab",
                .file = "x/lab.yaml",
                .source = "name: lab\n",
                .overrides = {"a.b=1"},
                .seed = 7,
                .version = "0.1.0",
                .planned = seconds(1),
                .reached = Time{} + seconds(1)};
  r.digest = "00";
  return r;
}

const Names kFiles = {"events.jsonl", "metrics.csv",   "report.html",
                      "run.json",     "scenario.yaml", "summary.json"};

/// Runs to the end.
void run(const OutputOptions& options, analysis::Results results = a_run()) {
  auto folder = RunFolder::create(options);
  REQUIRE(folder.ok());
  REQUIRE(folder->finish(results).ok());
}

}  // namespace

TEST_CASE("the default folder holds the last run of a name and seed", "[output]") {
  Ground ground;
  auto folder = RunFolder::create({.name = "lab", .seed = 7});
  REQUIRE(folder.ok());
  CHECK(folder->path() == "runs/lab-7");
  CHECK(!fs::exists("runs/lab-7"));           // not before it is whole
  const std::string capture(3'000'001, 'c');  // larger than what is hashed in one piece
  write(folder->capture_path("t/web-1"), capture);
  auto results = a_run();
  results.captures = {{"t/web-1", "", RunFolder::capture_name("t/web-1"), 1, 7, ""}};
  REQUIRE(folder->finish(results).ok());
  auto files = kFiles;
  files.insert(files.begin(), "captures");
  CHECK(entries("runs/lab-7") == files);
  CHECK(entries("runs") == Names{"lab-7"});
  CHECK(read("runs/lab-7/scenario.yaml") == "name: lab\n");
  const auto summary = nlohmann::json::parse(read("runs/lab-7/summary.json"));
  CHECK(summary["files"]["captures/t_web-1.pcapng"] == analysis::xxh128(capture));
  CHECK(summary["files"]["metrics.csv"] == analysis::xxh128(read("runs/lab-7/metrics.csv")));
  CHECK(summary["files"].size() == 4);

  const auto record = read_run_record("runs/lab-7");
  REQUIRE(record.ok());
  CHECK(record.value().seed == 7);
  CHECK(record.value().file == "x/lab.yaml");
  CHECK(record.value().overrides == Names{"a.b=1"});
  CHECK(record.value().planned == seconds(1));
  CHECK(read(record.value().scenario_path) == "name: lab\n");

  // A second run replaces it, whole: the capture of the first is gone.
  run({.name = "lab", .seed = 7});
  CHECK(entries("runs/lab-7") == kFiles);
  CHECK(entries("runs") == Names{"lab-7"});
}

TEST_CASE("weft deletes nothing that it did not write", "[output]") {
  Ground ground;
  struct Row {
    const char* name;
    std::function<void()> prepare;
    OutputOptions options;
    const char* message;  ///< empty: allowed
  };
  const OutputOptions out{.out = "o", .name = "lab", .seed = 7};
  const OutputOptions forced{.out = "o", .force = true, .name = "lab", .seed = 7};
  const OutputOptions usual{.name = "lab", .seed = 7};
  const auto stranger = [] { write("o/thesis.tex", "x"); };
  const std::vector<Row> rows = {
      {"new", [] {}, out, ""},
      {"empty", [] { fs::create_directories("o"); }, out, ""},
      {"with a slash", [] {}, {.out = "o/", .name = "lab"}, ""},
      {"nested", [] {}, {.out = "o/p/q", .name = "lab"}, ""},
      {"an earlier run", [&] { run(out); }, out, "holds an earlier run"},
      {"an earlier run, forced", [&] { run(out); }, forced, ""},
      {"somebody's folder", stranger, out, "not the folder of a run"},
      {"somebody's folder, forced", stranger, forced, "not the folder of a run"},
      {"a run with a stranger in it", [&] { run(out), write("o/notes.txt", "x"); }, forced,
       "'notes.txt', which weft did not write"},
      {"a stranger among the captures", [&] { run(out), write("o/captures/mine.txt", "x"); },
       forced, "mine.txt"},
      {"a file", [] { write("o", "x"); }, forced, "not a folder"},
      {"a link to a folder", [] { fs::create_directories("p"), fs::create_symlink("p", "o"); },
       forced, "not a folder"},
      {"somebody's in the usual place", [] { write("runs/lab-7/x", ""); }, usual,
       "not the folder of a run"},
      {"a file in the way", [] { write("o", "x"); }, {.out = "o/p", .name = "lab"}, "cannot"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    for (const auto& e : fs::directory_iterator(".")) fs::remove_all(e.path());
    row.prepare();
    const auto before = fs::is_directory("o") ? entries("o") : Names();
    auto folder = RunFolder::create(row.options);
    if (*row.message == '\0') {
      INFO((folder.ok() ? "" : folder.error().text()));
      REQUIRE(folder.ok());
      auto results = a_run();
      CHECK(folder->finish(results).ok());
      CHECK(entries(folder->path()) == kFiles);
    } else {
      REQUIRE(!folder.ok());
      INFO(folder.error().text());
      CHECK(folder.error().message.find(row.message) != std::string::npos);
      CHECK(!folder.error().remedy.empty());
      if (fs::is_directory("o")) CHECK(entries("o") == before);
    }
  }
}

TEST_CASE("a run that is abandoned leaves nothing, and the earlier one stays", "[output]") {
  Ground ground;
  run({.name = "lab", .seed = 7});
  const auto before = read("runs/lab-7/summary.json");
  {
    auto folder = RunFolder::create({.name = "lab", .seed = 7});
    REQUIRE(folder.ok());
    write(folder->capture_path("x"), "half");
    const RunFolder moved = std::move(*folder);
    CHECK(fs::exists(moved.capture_path("x")));
  }
  CHECK(entries("runs") == Names{"lab-7"});
  CHECK(read("runs/lab-7/summary.json") == before);
}

TEST_CASE("what appears during the run is not overwritten", "[output]") {
  Ground ground;
  auto folder = RunFolder::create({.out = "o", .name = "lab"});
  REQUIRE(folder.ok());
  write("o/thesis.tex", "mine");
  auto results = a_run();
  const auto r = folder->finish(results);
  REQUIRE(!r.ok());
  CHECK(read("o/thesis.tex") == "mine");
  // The run is whole where the remedy says.
  const auto& remedy = r.error().remedy;
  const auto at = remedy.substr(remedy.find('\'') + 1, remedy.rfind('\'') - remedy.find('\'') - 1);
  CHECK(entries(at) == kFiles);
}

TEST_CASE("an interrupted run is written whole", "[output]") {
  Ground ground;
  auto results = a_run();
  results.identity.interrupted = true;
  results.identity.reached = Time{} + milliseconds(3);
  run({.name = "lab", .seed = 7}, results);
  const auto summary = nlohmann::json::parse(read("runs/lab-7/summary.json"));
  CHECK(summary["interrupted"] == true);
  CHECK(summary["reached_ps"] == 3'000'000'000);
  CHECK(entries("runs/lab-7") == kFiles);
}

TEST_CASE("a full disk: the error says what is whole", "[output]") {
  Ground ground;
  auto folder = RunFolder::create({.name = "lab", .seed = 7});
  REQUIRE(folder.ok());
  auto results = a_run();
  results.log.resize(2000);  // events.jsonl alone is too large
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = old;
  limit.rlim_cur = 60'000;
  setrlimit(RLIMIT_FSIZE, &limit);
  const auto r = folder->finish(results);
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  REQUIRE(!r.ok());
  CHECK(r.error().message.find("cannot write 'events.jsonl'") != std::string::npos);
  CHECK(r.error().message.find("summary.json") != std::string::npos);
  CHECK(!r.error().remedy.empty());
  // No file is there in part: what is missing is missing, what is there is whole.
  CHECK(!fs::exists("runs/lab-7/events.jsonl"));
  const auto summary = nlohmann::json::parse(read("runs/lab-7/summary.json"));
  CHECK(!summary["files"].contains("events.jsonl"));
  CHECK(summary["files"]["metrics.csv"] == analysis::xxh128(read("runs/lab-7/metrics.csv")));
}

TEST_CASE("a place that cannot be written is an error before the run", "[output]") {
  Ground ground;
  if (::geteuid() == 0) {
    // Permissions do not bind the superuser, but /proc does.
    auto folder = RunFolder::create({.out = "/proc/weft-run", .name = "lab"});
    REQUIRE(!folder.ok());
    CHECK(folder.error().remedy.find("--out") != std::string::npos);
    return;
  }
  fs::permissions(ground.here, fs::perms::owner_read | fs::perms::owner_exec);
  auto folder = RunFolder::create({.name = "lab", .seed = 7});
  REQUIRE(!folder.ok());
  CHECK(folder.error().remedy.find("--out") != std::string::npos);
}

TEST_CASE("names of captures stay in their folder", "[output]") {
  CHECK(RunFolder::capture_name("hv-1-1.uplink") == "captures/hv-1-1.uplink.pcapng");
  CHECK(RunFolder::capture_name("shop/web-1") == "captures/shop_web-1.pcapng");
  CHECK(RunFolder::capture_name("../../etc/x") == "captures/_.._.._etc_x.pcapng");
}

TEST_CASE("a record that is missing or damaged is an error", "[output]") {
  Ground ground;
  CHECK(!read_run_record("nowhere").ok());
  for (const char* text : {"", "{", "[]", "{}", "{\"file\": 3}", "null"}) {
    write("d/run.json", text);
    const auto r = read_run_record("d");
    REQUIRE(!r.ok());
    CHECK(!r.error().remedy.empty());
  }
}
