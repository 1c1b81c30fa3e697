#include <functional>
#include <nlohmann/json.hpp>

#include <map>
#include <set>
#include <sstream>

#include "analysis/outputs.h"
#include "analysis/text.h"
#include "sample_results.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::analysis;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// (object, metric) -> value of the totals, i.e. of the rows at the end of the run.
std::map<std::string, std::string> totals_of(const std::string& csv) {
  std::map<std::string, std::string> totals;
  for (const std::string& line : lines_of(csv)) {
    std::istringstream in(line);
    std::string time, object, metric, value, unit;
    std::getline(in, time, ','), std::getline(in, object, ','), std::getline(in, metric, ',');
    std::getline(in, value, ','), std::getline(in, unit, ',');
    if (time == "10.000000000") totals[object + " " + metric] = value + " " + unit;
  }
  return totals;
}

}  // namespace

TEST_CASE("metrics.csv is tidy and says what the results say", "[outputs]") {
  const auto csv = metrics_csv(sample_results());
  const auto lines = lines_of(csv);
  REQUIRE(lines.size() > 1000);
  CHECK(lines[0] == "time,object,metric,value,unit");
  for (const auto& line : lines) REQUIRE(std::count(line.begin(), line.end(), ',') == 4);
  const auto totals = totals_of(csv);
  CHECK(totals.at("run packet_hops") == "1234567 packets");
  CHECK(totals.at("run dropped.policy") == "1000 packets");
  CHECK(totals.at("traffic/probing sent") == "1000 count");
  CHECK(totals.at("traffic/probing lost") == "1000 count");
  CHECK(totals.at("traffic/probing latency_samples") == "0 count");
  CHECK(totals.count("traffic/probing latency_p99") == 0);
  CHECK(totals.at("traffic/shopping latency_max") == "31000000000 ps");
  CHECK(totals.at("traffic/shopping/shop/web-1>shop/app-1 retransmits") == "14 count");
  CHECK(totals.at("migration/move-1 downtime") == "31250000000 ps");
  CHECK(totals.at("drops/probing/policy.default count") == "1000 packets");
  CHECK(totals.at("caches hit_ratio") == "999266 ppm");
  CHECK(totals.at("link/leaf-1--spine-1/leaf-1>spine-1 ecn_marks") == "0 packets");
  CHECK(csv.find("\n3.400000000,migration/move-1,round_bytes,56000000,bytes\n") !=
        std::string::npos);
}

TEST_CASE("names with commas and quotes stay one field", "[outputs]") {
  Results r;
  r.traffic.push_back({.name = "a,\"b\"", .kind = "ping"});
  CHECK(metrics_csv(r).find("\"traffic/a,\"\"b\"\"\",sent,0,count") != std::string::npos);
}

TEST_CASE("each line of events.jsonl is an object, in order of time", "[outputs]") {
  Results r = sample_results();
  r.drop_entries_left_out = 12;
  const auto lines = lines_of(events_jsonl(r));
  REQUIRE(lines.size() == 1003);
  std::pair<std::int64_t, std::uint64_t> before{-1, 0};
  std::map<std::string, int> kinds;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto e = nlohmann::json::parse(lines[i]);
    const std::pair key{e.at("time_ps").get<std::int64_t>(), e.at("order").get<std::uint64_t>()};
    if (i + 1 < lines.size()) CHECK(before <= key);
    before = key;
    ++kinds[e.at("kind")];
  }
  CHECK(kinds ==
        std::map<std::string, int>{{"drop", 1000}, {"link", 1}, {"migration", 1}, {"note", 1}});
  const auto drop = nlohmann::json::parse(lines[0]);
  CHECK(drop["object"] == "hv-1-1");
  CHECK(drop["text"] == "dropped: policy.default");
  CHECK(drop["details"]["place"] == "three-tier-migration.yaml:31");
  CHECK(drop["details"]["packet"] == 77);
  CHECK(lines.back().find("12 more drops") != std::string::npos);
}

TEST_CASE("summary.json has everything, as integers, in a stable order", "[outputs]") {
  Results r = sample_results();
  r.files = {{"metrics.csv", "ff", 3}, {"captures/x.pcapng", "ee", 4}};
  const std::string text = summary_json(r);
  CHECK(text == summary_json(r));
  const auto j = nlohmann::json::parse(text);
  CHECK(j["scenario"] == "three-tier-migration");
  CHECK(j["passed"] == false);
  CHECK(j["digest"] == r.digest);
  CHECK(j["files"]["captures/x.pcapng"] == "ee");
  CHECK(j["traffic"][0]["sent"] == 16 * 1980);
  CHECK(j["traffic"][0]["pairs"].size() == 16);
  CHECK(j["migrations"][0]["rounds"][2]["stop_and_copy"] == true);
  CHECK(j["links"].size() == 24);
  CHECK(j["expectations"][1]["place"]["line"] == 57);
  CHECK(j["execution"]["packet_hops_per_second"] == 1'234'567ULL * 1'000'000'000 / 3'211'000'000);
  CHECK(j["chains"][1]["name"] == "leaf-1");
  // No floating point anywhere.
  const std::function<void(const nlohmann::json&)> walk = [&](const nlohmann::json& v) {
    CHECK(!v.is_number_float());
    if (v.is_structured()) {
      for (const auto& x : v) walk(x);
    }
  };
  walk(j);
  // What the machine did lies in "execution" alone: two runs differ nowhere else.
  Results other = r;
  other.identity.threads = 8;
  other.engine.windows = 5;
  other.engine.workers = {{1, 1}};
  other.wall = {};
  auto a = nlohmann::json::parse(text);
  auto b = nlohmann::json::parse(summary_json(other));
  CHECK(a != b);
  a.erase("execution"), b.erase("execution");
  CHECK(a == b);
  CHECK(metrics_csv(r) == metrics_csv(other));
  CHECK(events_jsonl(r) == events_jsonl(other));
}

TEST_CASE("text that is not UTF-8 does not break the JSON", "[outputs]") {
  Results r;
  r.identity.scenario = "bad \xff name";
  r.log.push_back({Time{}, 0, "x", "\xc3", "text", {}});
  CHECK(!nlohmann::json::parse(summary_json(r)).is_discarded());
  CHECK(!nlohmann::json::parse(lines_of(events_jsonl(r)).at(0)).is_discarded());
}

TEST_CASE("no name becomes a part of the page", "[outputs]") {
  const auto count = [](const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++n;
    return n;
  };
  // The same page with a harmless and a harmful name has the same elements.
  const auto page = [](const std::string& name) {
    Results r = sample_results();
    r.identity.scenario = r.identity.description = r.identity.file = r.identity.fault = name;
    r.identity.overrides = {name};
    r.nodes[0].name = r.nodes[7].name = r.nodes[7].address = r.vms[0].name = name;
    r.traffic[0].name = r.traffic[0].kind = r.traffic[0].pairs[0].from = name;
    for (auto& g : r.drops) g.traffic = g.reason = g.rule = g.place.file = name;
    for (auto& d : r.drop_entries) d.where = name;
    auto& m = r.migrations[0];
    m.name = m.vm = m.from = m.to = m.failure = name;
    r.caches[0].node = r.captures[0].path = r.digest = r.links[0].name = name;
    r.events = {{name, at_ms(1), at_ms(2)}};
    auto& e = r.expectations[0];
    e.text = e.seen = e.when = name;
    r.warnings[0].message = name;
    return report_html(r);
  };
  const std::string good = page("(x)");
  for (const char* bad : {"<b>", "<script>alert(1)</script>", "</script>", "</style>", "\"><i>",
                          "'><i>", ">x", "<x"}) {
    const std::string html = page(bad);
    INFO(bad);
    CHECK(count(html, "<") == count(good, "<"));
    CHECK(count(html, ">") == count(good, ">"));
    CHECK(count(html, "\"") == count(good, "\""));
  }
}

TEST_CASE("the terminal's summary fits, and shows what matters", "[outputs]") {
  const Results r = sample_results();
  for (const unsigned width : {100u, 80u, 60u, 1000u}) {
    INFO(width);
    const auto text = terminal_summary(r, {.colour = false, .width = width}, "runs/x-7");
    CHECK(text.find('\x1b') == std::string::npos);
    for (const auto& line : lines_of(text)) {
      INFO(line);
      CHECK(display_width(line) <= std::max(std::min(width, 100u), 80u));
    }
    for (const char* part : {"three-tier-migration",
                             "seed 7",
                             "shopping",
                             "31 664",
                             "✓ move-1",
                             "hv-1-2 → hv-3-2",
                             "downtime 31.3 ms",
                             "2 rounds",
                             "stop-and-copy 31 ms",
                             "policy.default",
                             "exact match",
                             "1 234 messages",
                             "✗ traffic shopping",
                             "p99 31 ms",
                             "384 k packet-hops/s",
                             "912 345 windows",
                             "events per worker",
                             "50.8 %",
                             "0123456789abcdef0123456789abcdef",
                             "runs/x-7",
                             "FAILED: 1 of 3"}) {
      INFO(part);
      // A narrow terminal breaks lines: compare with the line breaks taken out.
      std::string joined;
      for (const auto& line : lines_of(text)) {
        const auto start = line.find_first_not_of(' ');
        joined += (start == std::string::npos ? "" : line.substr(start)) + " ";
      }
      CHECK(joined.find(part) != std::string::npos);
    }
  }
}

TEST_CASE("colour wraps whole lines and changes no text", "[outputs]") {
  const Results r = sample_results();
  const auto plain = terminal_summary(r, {.colour = false}, "");
  std::string coloured = terminal_summary(r, {.colour = true}, "");
  CHECK(coloured.find("\x1b[31m") != std::string::npos);
  for (std::size_t at; (at = coloured.find('\x1b')) != std::string::npos;) {
    coloured.erase(at, coloured.find('m', at) - at + 1);
  }
  CHECK(coloured == plain);
}

TEST_CASE("the last line is the verdict, and promises nothing that is not so", "[outputs]") {
  struct Row {
    std::function<void(Results&)> change;
    const char* verdict;  ///< words of the last lines
    const char* json;     ///< summary.json's `passed`
  };
  const auto last = [](const Results& r) {
    const auto text = terminal_summary(r, {.colour = false, .width = 100}, "");
    return text.substr(text.rfind("\n\n"));
  };
  const std::vector<Row> rows = {
      {[](Results&) {}, "✓ PASSED: 3 of 3 expectations hold", "true"},
      {[](Results& r) { r.expectations[0].passed = false; }, "✗ FAILED: 1 of 3", "false"},
      {[](Results& r) { r.identity.interrupted = true; },
       "– NOT JUDGED: 3 expectations; interrupted at 10 s of 10 s", "null"},
      {[](Results& r) { r.identity.duration = seconds(20); },
       "– NOT JUDGED: 3 expectations; stopped at 10 s of 20 s", "null"},
      {[](Results& r) { r.output_error = "cannot write 'run.json': no space"; },
       "✗ OUTPUTS INCOMPLETE: 3 of 3 expectations hold\n  cannot write 'run.json': no space",
       "true"},
  };
  for (const Row& row : rows) {
    Results r = sample_results();
    for (auto& e : r.expectations) e.passed = true;
    row.change(r);
    INFO(last(r));
    CHECK(last(r).find(row.verdict) != std::string::npos);
    CHECK((last(r).find("PASSED") != std::string::npos) ==
          (std::string(row.verdict).find("PASSED") != std::string::npos));
    CHECK(nlohmann::json::parse(summary_json(r))["passed"].dump() == row.json);
  }
}

TEST_CASE("an empty run is summarised without fuss", "[outputs]") {
  Results r;
  r.identity.scenario = "nothing";
  const auto text = terminal_summary(r, {}, "");
  CHECK(text.find("nothing was expected") != std::string::npos);
  CHECK(text.find("PASSED") == std::string::npos);
  r.identity.fault = "event 3 came before event 2";
  r.identity.interrupted = true;
  r.identity.planned = seconds(1);
  const auto fault = terminal_summary(r, {}, "");
  CHECK(fault.find("event 3 came before event 2") != std::string::npos);
  CHECK(fault.find("FAULT") != std::string::npos);
  CHECK(fault.find("interrupted at 0 s of 1 s") != std::string::npos);
}

TEST_CASE("hashes are XXH3-128", "[outputs]") {
  // From xxHash's own test vectors: the hash of nothing.
  CHECK(xxh128("") == "99aa06d3014798d86001c324468d497f");
}
