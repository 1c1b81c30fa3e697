#include "analysis/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "analysis/text.h"
#include "base/time.h"

namespace weft::analysis {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostChains = 8;

/// A run's folder, as far as diff needs it.
struct Run {
  std::string folder;
  Json summary;
};

Error not_a_run(const std::string& folder, const std::string& why) {
  return {fmt::format("'{}' is not the folder of a run: {}", folder, why),
          {},
          "give the folder that `weft run` named, e.g. runs/NAME-SEED"};
}

Result<Run> open_run(const std::string& folder) {
  std::ifstream in(folder + "/summary.json", std::ios::binary);
  if (!in) return not_a_run(folder, "it has no summary.json");
  Run run{folder, Json::parse(in, nullptr, false)};
  if (!run.summary.is_object() || !run.summary.contains("digest")) {
    return not_a_run(folder, "its summary.json is damaged");
  }
  return run;
}

std::string text_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return {};
  return it->is_string() ? it->get<std::string>()
                         : it->dump(-1, ' ', false, Json::error_handler_t::replace);
}

void compare_identity(const Run& a, const Run& b, RunDifference& d) {
  for (const char* key : {"scenario", "seed", "weft", "overrides", "planned_ps", "reached_ps",
                          "interrupted", "fault"}) {
    const std::string x = text_of(a.summary, key), y = text_of(b.summary, key);
    if (x != y) d.identity.push_back({key, x, y});
  }
}

/// name -> text of an object's members, or of an array's by their "name".
std::map<std::string, std::string> members(const Run& run, const char* key) {
  std::map<std::string, std::string> map;
  const auto it = run.summary.find(key);
  if (it == run.summary.end() || !it->is_object()) return map;
  for (const auto& [name, value] : it->items()) {
    if (value.is_string()) map[name] = value.get<std::string>();
  }
  return map;
}

void compare_files(const Run& a, const Run& b, RunDifference& d) {
  const auto x = members(a, "files"), y = members(b, "files");
  for (const auto& [name, hash] : x) {
    const auto other = y.find(name);
    if (other == y.end()) {
      d.only_in_one.push_back({name, "present", ""});
    } else if (other->second != hash && name.rfind("captures/", 0) == 0) {
      d.captures.push_back(name);
    }
  }
  for (const auto& [name, hash] : y) {
    if (!x.contains(name)) d.only_in_one.push_back({name, "", "present"});
  }
}

/// The order of ids, as the file has it: (name, "digest, N events").
std::vector<std::pair<std::string, std::string>> chains_of(const Run& run) {
  std::vector<std::pair<std::string, std::string>> chains;
  const auto it = run.summary.find("chains");
  if (it == run.summary.end() || !it->is_array()) return chains;
  for (const Json& c : *it) {
    if (!c.is_object()) continue;
    chains.emplace_back(text_of(c, "name"),
                        fmt::format("{}, {} events", text_of(c, "digest"), text_of(c, "events")));
  }
  return chains;
}

void compare_chains(const Run& a, const Run& b, RunDifference& d) {
  const auto x = chains_of(a), y = chains_of(b);
  const std::map<std::string, std::string> in_b(y.begin(), y.end());
  const std::map<std::string, std::string> in_a(x.begin(), x.end());
  const auto add = [&](const std::string& name, const std::string& p, const std::string& q) {
    ++d.chains;
    if (d.first_chains.size() < kMostChains) d.first_chains.push_back({name, p, q});
  };
  for (const auto& [name, text] : x) {
    const auto other = in_b.find(name);
    if (other == in_b.end() || other->second != text)
      add(name, text, other == in_b.end() ? "" : other->second);
  }
  for (const auto& [name, text] : y) {
    if (!in_a.contains(name)) add(name, "", text);
  }
}

/// A line without `order`, which only sorts events of one moment: it depends on how many events an
/// LP has had before, not on what happened.
std::string meaning_of(const std::string& line) {
  const std::size_t at = line.find("\"order\":");
  if (at == std::string::npos) return line;
  std::size_t end = at + 8;
  while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
  if (end < line.size() && line[end] == ',') ++end;
  return line.substr(0, at) + line.substr(end);
}

Result<> compare_events(const Run& a, const Run& b, RunDifference& d) {
  std::ifstream x(a.folder + "/events.jsonl", std::ios::binary),
      y(b.folder + "/events.jsonl", std::ios::binary);
  if (!x) return not_a_run(a.folder, "it has no events.jsonl");
  if (!y) return not_a_run(b.folder, "it has no events.jsonl");
  std::string p, q;
  for (std::size_t line = 1;; ++line) {
    const bool has_x = static_cast<bool>(std::getline(x, p));
    const bool has_y = static_cast<bool>(std::getline(y, q));
    if (!has_x && !has_y) return {};
    if (has_x && has_y && (p == q || meaning_of(p) == meaning_of(q))) continue;
    d.first_line = line;
    d.first_event = FieldDifference{fmt::format("line {}", line), has_x ? p : "", has_y ? q : ""};
    return {};
  }
}

/// One row of metrics.csv: everything but the value names it.
struct Row {
  std::string key;    ///< "time,object,metric"
  std::string value;  ///< "value unit"
};

/// time and the last two fields hold no comma; the object between them may, in quotes.
bool split(const std::string& line, Row& row) {
  const std::size_t unit = line.rfind(',');
  if (unit == std::string::npos || unit == 0) return false;
  const std::size_t value = line.rfind(',', unit - 1);
  if (value == std::string::npos) return false;
  row.key = line.substr(0, value);
  row.value = line.substr(value + 1, unit - value - 1) + " " + line.substr(unit + 1);
  return true;
}

Result<std::vector<Row>> read_metrics(const Run& run) {
  std::ifstream in(run.folder + "/metrics.csv", std::ios::binary);
  if (!in) return not_a_run(run.folder, "it has no metrics.csv");
  std::vector<Row> rows;
  std::string line;
  std::getline(in, line);
  if (line != "time,object,metric,value,unit")
    return not_a_run(run.folder, "its metrics.csv is damaged");
  for (Row row; std::getline(in, line);) {
    if (!split(line, row)) return not_a_run(run.folder, "its metrics.csv is damaged");
    rows.push_back(row);
  }
  return rows;
}

/// "10.000000000,traffic/web,sent" as "traffic/web sent", with the time in front if it is wanted.
std::string metric_name(const std::string& key, bool with_time) {
  const std::size_t time = key.find(','), metric = key.rfind(',');
  std::string name = key.substr(time + 1, metric - time - 1) + " " + key.substr(metric + 1);
  return with_time ? key.substr(0, time) + " s  " + name : name;
}

/// name -> value and place in the file.
using Values = std::map<std::string, std::pair<std::string, std::size_t>>;

/// What differs, in the order of the files: they put first what a reader looks for first.
void compare(const Values& a, const Values& b, std::vector<FieldDifference>& out) {
  std::vector<std::pair<std::size_t, FieldDifference>> found;
  for (const auto& [name, value] : a) {
    const auto other = b.find(name);
    if (other == b.end()) {
      found.push_back({value.second, {name, value.first, ""}});
    } else if (other->second.first != value.first) {
      found.push_back({value.second, {name, value.first, other->second.first}});
    }
  }
  for (const auto& [name, value] : b) {
    if (!a.contains(name)) found.push_back({value.second, {name, "", value.first}});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& p, const auto& q) { return p.first < q.first; });
  for (auto& f : found) out.push_back(std::move(f.second));
}

Result<> compare_metrics(const Run& a, const Run& b, RunDifference& d) {
  auto x = read_metrics(a);
  if (!x.ok()) return x.error();
  auto y = read_metrics(b);
  if (!y.ok()) return y.error();
  // The two ends may differ in time (one was interrupted): totals are compared by their name.
  const auto end_of = [](const Run& run) {
    const auto it = run.summary.find("reached_ps");
    return seconds_text(
        Time{it != run.summary.end() && it->is_number_integer() ? it->get<std::int64_t>() : 0});
  };
  const auto named = [](const std::vector<Row>& rows, const std::string& end) {
    Values totals, series;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string& key = rows[i].key;
      const bool total = key.compare(0, key.find(','), end) == 0;
      (total ? totals[metric_name(key, false)] : series[key]) = {rows[i].value, i};
    }
    return std::pair(std::move(totals), std::move(series));
  };
  const auto [totals_a, series_a] = named(*x, end_of(a));
  const auto [totals_b, series_b] = named(*y, end_of(b));
  compare(totals_a, totals_b, d.totals);
  compare(series_a, series_b, d.series);
  // By time, numerically; within a moment by name.
  std::stable_sort(d.series.begin(), d.series.end(),
                   [](const FieldDifference& p, const FieldDifference& q) {
                     const std::size_t m = p.name.find(','), n = q.name.find(',');
                     return std::pair(m, p.name.compare(0, m, q.name, 0, n)) < std::pair(n, 0);
                   });
  for (FieldDifference& f : d.series) f.name = metric_name(f.name, true);
  return {};
}

std::string shown(const std::string& text, const char* none) { return text.empty() ? none : text; }

/// "+12.5 %" if both begin with a number and a is not zero.
std::string change(const FieldDifference& f) {
  std::int64_t a = 0, b = 0;
  if (std::from_chars(f.a.data(), f.a.data() + f.a.size(), a).ec != std::errc() ||
      std::from_chars(f.b.data(), f.b.data() + f.b.size(), b).ec != std::errc() || a == 0) {
    return {};
  }
  return fmt::format("{:+.3g} %", (static_cast<double>(b) - static_cast<double>(a)) * 100.0 /
                                      std::abs(static_cast<double>(a)));
}

std::string event_text(const std::string& line) {
  if (line.empty()) return "(no more events)";
  const Json e = Json::parse(line, nullptr, false);
  if (!e.is_object() || !e.contains("time_ps") || !e["time_ps"].is_number_integer()) return line;
  return fmt::format("{} s  {} {}: {}  {}", seconds_text(Time{e["time_ps"].get<std::int64_t>()}),
                     text_of(e, "kind"), text_of(e, "object"), text_of(e, "text"),
                     text_of(e, "details"));
}

/// "differ in text, details.bytes"; empty if one of them is no event.
std::string fields_text(const FieldDifference& event) {
  const Json a = Json::parse(event.a, nullptr, false), b = Json::parse(event.b, nullptr, false);
  if (!a.is_object() || !b.is_object()) return {};
  std::vector<std::string> fields;
  const auto compare = [&](const Json& x, const Json& y, const std::string& prefix) {
    std::set<std::string> keys;
    for (const Json* side : {&x, &y})
      for (const auto& [key, value] : side->items()) keys.insert(key);
    for (const std::string& key : keys) {
      if (key == "order" || (prefix.empty() && key == "details")) continue;
      const auto p = x.find(key), q = y.find(key);
      if (p == x.end() || q == y.end() || *p != *q) fields.push_back(prefix + key);
    }
  };
  compare(a, b, "");
  const Json none = Json::object();
  const Json& p = a.contains("details") && a["details"].is_object() ? a["details"] : none;
  const Json& q = b.contains("details") && b["details"].is_object() ? b["details"] : none;
  compare(p, q, "details.");
  return fields.empty() ? "" : fmt::format("  differ in {}\n", fmt::join(fields, ", "));
}

void metrics_text(std::string& out, const char* title, const std::vector<FieldDifference>& all,
                  std::size_t most) {
  if (all.empty()) return;
  const std::size_t count = most == 0 ? all.size() : std::min(all.size(), most);
  out += fmt::format("\n{}: {} differ\n", title, all.size());
  Table t({Align::left, Align::right, Align::right, Align::right});
  t.add({"", "A", "B", ""});
  for (std::size_t i = 0; i < count; ++i) {
    t.add({all[i].name, shown(all[i].a, "–"), shown(all[i].b, "–"), change(all[i])});
  }
  for (const std::string& l : t.lines(120)) out += "  " + l + "\n";
  if (count < all.size()) out += fmt::format("  … and {} more\n", all.size() - count);
}

}  // namespace

Result<RunDifference> diff_runs(const std::string& folder_a, const std::string& folder_b) {
  auto a = open_run(folder_a);
  if (!a.ok()) return a.error();
  auto b = open_run(folder_b);
  if (!b.ok()) return b.error();
  RunDifference d;
  d.digest_a = text_of(a->summary, "digest");
  d.digest_b = text_of(b->summary, "digest");
  compare_identity(*a, *b, d);
  compare_files(*a, *b, d);
  compare_chains(*a, *b, d);
  if (auto r = compare_events(*a, *b, d); !r.ok()) return r.error();
  if (auto r = compare_metrics(*a, *b, d); !r.ok()) return r.error();
  d.same = d.digest_a == d.digest_b && d.captures.empty() && !d.first_event && d.chains == 0 &&
           d.totals.empty() && d.series.empty();
  return d;
}

std::string difference_text(const RunDifference& d, const std::string& name_a,
                            const std::string& name_b, std::size_t most) {
  std::string out =
      fmt::format("A  {}  digest {}\nB  {}  digest {}\n", name_a, d.digest_a, name_b, d.digest_b);
  for (const FieldDifference& f : d.identity) {
    out += fmt::format("  {}: A {}, B {}\n", f.name, shown(f.a, "–"), shown(f.b, "–"));
  }
  for (const FieldDifference& f : d.only_in_one) {
    out += fmt::format("  {} only in {}\n", f.name, f.a.empty() ? "B" : "A");
  }
  if (d.same) return out + "\nThe runs are the same.\n";
  if (d.first_event) {
    out += fmt::format("\nFirst event that differs (line {} of events.jsonl)\n  A  {}\n  B  {}\n",
                       d.first_line, event_text(d.first_event->a), event_text(d.first_event->b));
    out += fields_text(*d.first_event);
  } else {
    out += "\nThe events that were logged are the same.\n";
  }
  if (d.chains > 0) {
    out += fmt::format("\nLogical processes that went another way: {}\n", d.chains);
    for (const FieldDifference& f : d.first_chains) {
      out += fmt::format("  {}\n    A  {}\n    B  {}\n", f.name, shown(f.a, "–"), shown(f.b, "–"));
    }
    if (d.chains > d.first_chains.size())
      out += fmt::format("  … and {} more\n", d.chains - d.first_chains.size());
  }
  for (const std::string& c : d.captures) out += fmt::format("\n{} differs\n", c);
  metrics_text(out, "Metrics of the whole run", d.totals, most);
  metrics_text(out, "Metrics over time", d.series, most);
  return out;
}

}  // namespace weft::analysis
