// weft diff on made-up folders: equal runs, each kind of difference, folders that are none.
#include "analysis/diff.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "analysis/outputs.h"
#include "sample_results.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::analysis;
namespace fs = std::filesystem;

namespace {

struct Folders {
  fs::path path = fs::temp_directory_path() / ("weft-diff-" + std::to_string(::getpid()));
  Folders() { fs::create_directories(path); }
  ~Folders() { fs::remove_all(path); }
  std::string write(const std::string& name, Results r) const {
    const fs::path folder = path / name;
    fs::create_directories(folder);
    std::ofstream(folder / "metrics.csv") << metrics_csv(r);
    std::ofstream(folder / "events.jsonl") << events_jsonl(r);
    r.files = {{"metrics.csv", xxh128(metrics_csv(r)), 0},
               {"events.jsonl", xxh128(events_jsonl(r)), 0}};
    for (const CaptureFileInfo& c : r.captures)
      r.files.push_back({c.path, xxh128(c.point + c.filter), 0});
    std::ofstream(folder / "summary.json") << summary_json(r);
    return folder.string();
  }
};

}  // namespace

TEST_CASE("runs that differ only in the real world are the same", "[diff]") {
  Folders folders;
  Results b = sample_results();
  b.identity.threads = 8;
  b.wall.run_ns *= 3;
  b.engine.workers = {{1, 2}};
  b.identity.file = "elsewhere.yaml";
  b.captures.clear();  // captures off
  const auto d = diff_runs(folders.write("a", sample_results()), folders.write("b", b));
  REQUIRE(d.ok());
  CHECK(d->same);
  CHECK(d->only_in_one.size() == 1);
  const auto text = difference_text(*d, "a", "b", 20);
  CHECK(text.find("The runs are the same") != std::string::npos);
  CHECK(text.find("captures/hv-1-1.uplink.pcapng only in A") != std::string::npos);
}

TEST_CASE("the order of events alone, a tie-break, is no difference", "[diff]") {
  Folders folders;
  Results b = sample_results();
  for (auto& d : b.drop_entries) d.order += 1;
  const auto d = diff_runs(folders.write("a", sample_results()), folders.write("b", b));
  REQUIRE(d.ok());
  CHECK(!d->first_event);
  CHECK(d->same);
}

TEST_CASE("the first event that differs, then the metrics", "[diff]") {
  struct Row {
    const char* name;
    std::function<void(Results&)> change;
    std::vector<const char*> words;
  };
  const std::vector<Row> rows = {
      {"digest alone",
       [](Results& r) { r.digest = "f00"; },
       {"f00", "events that were logged are the same"}},
      {"an event",
       [](Results& r) {
         r.log[1].text = "fails for good";
         r.digest = "1";
       },
       {"line 343 of events.jsonl", "3.400000000 s  link leaf-1--spine-1: fails", "fails for good",
        "differ in text"}},
      {"an event, in its details, after some that differ only in their order",
       [](Results& r) {
         for (auto& d : r.drop_entries) d.order += 1;
         r.drop_entries[900].size = 99;
       },
       {"9.000000000 s", "differ in details.size_bytes"}},
      {"fewer events",
       [](Results& r) { r.drop_entries.pop_back(); },
       {"line 1002", "(no more events)"}},
      {"a total",
       [](Results& r) { r.traffic[1].pairs[0].delivered = 10; },
       {"traffic/probing delivered", "0 count", "10 count", "traffic/probing lost", "990 count",
        "-1 %"}},
      {"a metric along the way",
       [](Results& r) { r.traffic[0].series[50].delivered = 31; },
       {"Metrics over time: 1 differ", "0.500000000 s  traffic/shopping delivered", "32 count",
        "31 count"}},
      {"a metric that only one has",
       [](Results& r) { r.traffic[0].series[50].retransmits = 2; },
       {"0.500000000 s  traffic/shopping retransmits", "–"}},
      {"seed", [](Results& r) { r.identity.seed = 8, r.digest = "2"; }, {"seed: A 7, B 8"}},
      {"a logical process",
       [](Results& r) { r.chains[1].digest = "cc"; },
       {"another way: 1", "leaf-1", "bb, 200 events", "cc, 200 events"}},
      {"a capture",
       [](Results& r) { r.captures[0].filter = "x"; },
       {"captures/hv-1-1.uplink.pcapng differs"}},
      {"interrupted: totals are still compared by name",
       [](Results& r) {
         r.identity.reached = at_ms(9005), r.identity.interrupted = true, r.totals.created = 9;
       },
       {"interrupted: A false, B true", "run packets_created", "250000 packets", "9 packets"}},
  };
  Folders folders;
  const auto a = folders.write("a", sample_results());
  for (const Row& row : rows) {
    INFO(row.name);
    Results b = sample_results();
    row.change(b);
    const auto d = diff_runs(a, folders.write("b", b));
    REQUIRE(d.ok());
    CHECK(!d->same);
    const auto text = difference_text(*d, "a", "b", 20);
    INFO(text);
    for (const char* word : row.words) {
      INFO("wanted: " << word);
      CHECK(text.find(word) != std::string::npos);
    }
  }
}

TEST_CASE("long lists are cut, and said to be", "[diff]") {
  Folders folders;
  Results b = sample_results();
  for (auto& p : b.traffic[0].series) p.delivered += 1;
  const auto d = diff_runs(folders.write("a", sample_results()), folders.write("b", b));
  REQUIRE(d.ok());
  CHECK(d->series.size() == 1000);
  CHECK(difference_text(*d, "a", "b", 5).find("… and 995 more") != std::string::npos);
  CHECK(difference_text(*d, "a", "b", 0).find("more") == std::string::npos);
}

TEST_CASE("what is no run is an error that says which and why", "[diff]") {
  Folders folders;
  const auto good = folders.write("good", sample_results());
  const auto bad = folders.write("bad", sample_results());
  struct Row {
    const char* file;
    const char* text;  ///< null: removed
    const char* word;
  };
  for (const Row& row : std::vector<Row>{
           {"metrics.csv", "time\n", "metrics.csv is damaged"},
           {"metrics.csv", "time,object,metric,value,unit\nx\n", "metrics.csv is damaged"},
           {"metrics.csv", nullptr, "no metrics.csv"},
           {"events.jsonl", nullptr, "no events.jsonl"},
           {"summary.json", "{\"digest\"", "summary.json is damaged"},
           {"summary.json", "[1]", "summary.json is damaged"},
           {"summary.json", nullptr, "no summary.json"}}) {
    fs::remove(fs::path(bad) / row.file);
    if (row.text != nullptr) std::ofstream(fs::path(bad) / row.file) << row.text;
    for (const bool first : {true, false}) {
      const auto d = first ? diff_runs(bad, good) : diff_runs(good, bad);
      REQUIRE(!d.ok());
      CHECK(d.error().message.find(bad) != std::string::npos);
      CHECK(d.error().message.find(row.word) != std::string::npos);
    }
  }
  // Odd but well-formed: every member of the wrong kind is survived.
  std::ofstream(fs::path(bad) / "metrics.csv") << metrics_csv(sample_results());
  std::ofstream(fs::path(bad) / "events.jsonl") << "not json\n";
  std::ofstream(fs::path(bad) / "summary.json")
      << R"({"digest": 5, "files": [1], "chains": [1, {"name": 3}], "reached_ps": "x", "seed": {}})";
  const auto d = diff_runs(good, bad);
  REQUIRE(d.ok());
  CHECK(!d->same);
  CHECK(!difference_text(*d, "a", "b", 0).empty());
}
