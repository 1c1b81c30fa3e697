// events.jsonl and summary.json.
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/figures.h"
#include "analysis/outputs.h"
#include "analysis/text.h"

namespace weft::analysis {

namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json, int indent) {
  // Names come from files: what is not UTF-8 is replaced rather than refused.
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json place_json(const Place& place) {
  if (place.file.empty() && place.line == 0) return nullptr;
  return Json{{"file", place.file}, {"line", place.line}, {"column", place.column}};
}

Json log_line(const LogEntry& e) {
  Json details = Json::object();
  for (const LogDetail& d : e.details) {
    if (const auto* number = std::get_if<std::int64_t>(&d.value)) {
      details[d.key] = *number;
    } else {
      details[d.key] = std::get<std::string>(d.value);
    }
  }
  return Json{{"time_ps", e.at.ps}, {"order", e.order}, {"kind", e.kind},
              {"object", e.object}, {"text", e.text},   {"details", details}};
}

Json drop_line(const Results& results, const DropEntry& e) {
  const DropGroup& g = results.drops[e.group];
  Json details = {{"packet", e.packet}, {"reason", g.reason}, {"size_bytes", e.size}};
  if (!g.rule.empty()) details["rule"] = g.rule;
  if (!g.traffic.empty()) details["traffic"] = g.traffic;
  if (!g.tenant.empty()) details["tenant"] = g.tenant;
  if (!e.packet_text.empty()) details["frame"] = e.packet_text;
  if (!e.event.empty()) details["event"] = e.event;
  const Place& place = e.event.empty() ? g.place : e.place;
  if (!short_place(place).empty()) details["place"] = short_place(place);
  return Json{{"time_ps", e.at.ps},
              {"order", e.order},
              {"kind", "drop"},
              {"object", e.where},
              {"text", fmt::format("dropped: {}{}", drop_title(g),
                                   e.event.empty() ? "" : " (" + e.event + ")")},
              {"details", details}};
}

Json latency_json(const LatencyFigures& f) {
  if (f.count == 0) return Json{{"samples", 0}};
  return Json{{"samples", f.count},   {"exact", f.exact},     {"min_ps", f.min.ps},
              {"mean_ps", f.mean.ps}, {"p50_ps", f.p50.ps},   {"p90_ps", f.p90.ps},
              {"p99_ps", f.p99.ps},   {"p999_ps", f.p999.ps}, {"max_ps", f.max.ps}};
}

Json counters_json(const PairResult& p) {
  return Json{{"sent", p.sent},
              {"delivered", p.delivered},
              {"lost", p.lost()},
              {"pending", p.pending},
              {"duplicates", p.duplicates},
              {"reordered", p.reordered},
              {"bytes", p.bytes},
              {"connections_opened", p.connections_opened},
              {"connections_closed", p.connections_closed},
              {"connections_lost", p.connections_lost},
              {"completed", p.completed},
              {"retransmits", p.retransmits}};
}

Json traffic_json(const TrafficResult& t) {
  Json json = {
      {"name", t.name}, {"kind", t.kind}, {"start_ps", t.start.ps}, {"stop_ps", t.stop.ps}};
  json.update(counters_json(total_of(t)));
  json["goodput_bps"] = goodput_bps(t);
  json["latency"] = latency_json(latency_of(t));
  Json pairs = Json::array();
  for (const PairResult& p : t.pairs) {
    Json pair = {{"from", p.from}, {"to", p.to}};
    pair.update(counters_json(p));
    pairs.push_back(std::move(pair));
  }
  json["pairs"] = std::move(pairs);
  return json;
}

Json migration_json(const MigrationResult& m) {
  Json phases = Json::array();
  for (const MigrationPhase& p : m.phases) {
    phases.push_back({{"name", p.name}, {"from_ps", p.from.ps}, {"to_ps", p.to.ps}});
  }
  Json rounds = Json::array();
  for (const MigrationRound& r : m.rounds) {
    rounds.push_back({{"number", r.number},
                      {"stop_and_copy", r.stop_and_copy},
                      {"from_ps", r.from.ps},
                      {"to_ps", r.to.ps},
                      {"bytes", r.bytes},
                      {"dirtied_bytes", r.dirtied}});
  }
  Json json = {{"name", m.name}, {"vm", m.vm},     {"from", m.from},
               {"to", m.to},     {"mode", m.mode}, {"state", name_of(m.state)}};
  if (!m.failure.empty()) json["failure"] = m.failure;
  json["started_ps"] = m.started ? Json(m.started->ps) : Json(nullptr);
  json["ended_ps"] = m.ended ? Json(m.ended->ps) : Json(nullptr);
  json["downtime_ps"] = m.downtime.ps;
  json["bytes"] = m.total_bytes;
  json["packets_lost"] = m.packets_lost;
  json["phases"] = std::move(phases);
  json["rounds"] = std::move(rounds);
  return json;
}

Json links_json(const Results& results) {
  Json links = Json::array();
  for (std::size_t i = 0; i < results.links.size(); ++i) {
    const LinkResult& l = results.links[i];
    Json ways = Json::array();
    for (int d = 0; d < 2; ++d) {
      const LinkDirection& w = l.directions[static_cast<std::size_t>(d)];
      const LinkLoad load = load_of(results, i, d);
      ways.push_back({{"from", results.nodes[w.from].name},
                      {"to", results.nodes[w.to].name},
                      {"packets", w.packets},
                      {"bytes", w.bytes},
                      {"drops", w.drops},
                      {"ecn_marks", w.ecn_marks},
                      {"peak_queue_bytes", w.peak_queue_bytes},
                      {"mean_utilisation_ppm", load.mean_ppm},
                      {"peak_utilisation_ppm", load.peak_ppm}});
    }
    links.push_back({{"name", l.name}, {"rate_bps", l.rate_bps}, {"directions", std::move(ways)}});
  }
  return links;
}

Json cache_json(const CacheResult& c) {
  return Json{{"lookups", c.lookups},
              {"exact_match_hits", c.exact_match_hits},
              {"megaflow_hits", c.megaflow_hits},
              {"slow_path", c.slow_path},
              {"hit_ratio_ppm", hit_ratio_ppm(c)},
              {"megaflows", c.megaflows},
              {"masks", c.masks},
              {"connections", c.connections},
              {"rules", c.rules},
              {"tuples", c.tuples}};
}

Json totals_json(const Results& results) {
  const Totals& t = results.totals;
  Json reasons = Json::object();
  for (const ReasonCount& r : t.by_reason) reasons[r.reason] = r.count;
  return Json{{"events", results.engine.events},  {"packets_created", t.created},
              {"packets_delivered", t.delivered}, {"packets_consumed", t.consumed},
              {"packets_dropped", t.dropped},     {"packets_in_flight", t.in_flight},
              {"packet_hops", t.packet_hops},     {"dropped_by_reason", std::move(reasons)}};
}

Json expectations_json(const Results& results) {
  Json list = Json::array();
  for (const ExpectationOutcome& e : results.expectations) {
    list.push_back({{"text", e.text},
                    {"passed", e.judged ? Json(e.passed) : Json()},
                    {"seen", e.seen},
                    {"when", e.when},
                    {"place", place_json(e.place)}});
  }
  return list;
}

Json drops_json(const Results& results) {
  Json list = Json::array();
  for (const DropGroup& g : results.drops) {
    list.push_back({{"traffic", g.traffic},
                    {"reason", g.reason},
                    {"rule", g.rule},
                    {"event", g.event},
                    {"tenant", g.tenant},
                    {"count", g.count},
                    {"place", place_json(g.place)}});
  }
  return list;
}

/// What depends on the machine or on how it was run, not on the scenario.
Json execution_json(const Results& results) {
  Json workers = Json::array();
  for (const WorkerFigures& w : results.engine.workers) {
    workers.push_back({{"events", w.events}, {"logical_processes", w.logical_processes}});
  }
  const WallClock& w = results.wall;
  const auto per_second = [&](std::uint64_t n) {
    return w.run_ns == 0 ? 0
                         : static_cast<std::uint64_t>(static_cast<unsigned __int128>(n) *
                                                      1'000'000'000 / w.run_ns);
  };
  return Json{{"started", w.started},
              {"setup_ns", w.setup_ns},
              {"run_ns", w.run_ns},
              {"packet_hops_per_second", per_second(results.totals.packet_hops)},
              {"events_per_second", per_second(results.engine.events)},
              {"peak_rss_bytes", w.peak_rss_bytes},
              {"threads", results.identity.threads},
              {"windows", results.engine.windows},
              {"workers", std::move(workers)}};
}

}  // namespace

std::string events_jsonl(const Results& results) {
  std::string text;
  auto log = results.log.begin();
  auto drop = results.drop_entries.begin();
  while (log != results.log.end() || drop != results.drop_entries.end()) {
    const bool take_log = drop == results.drop_entries.end() ||
                          (log != results.log.end() && std::make_pair(log->at, log->order) <=
                                                           std::make_pair(drop->at, drop->order));
    text += dump(take_log ? log_line(*log++) : drop_line(results, *drop++), -1);
    text += '\n';
  }
  if (results.drop_entries_left_out > 0) {
    // Said in the file itself, so that nobody counts its lines as all the drops.
    text += dump(Json{{"time_ps", results.identity.reached.ps},
                      {"order", 0},
                      {"kind", "note"},
                      {"object", "run"},
                      {"text", fmt::format("{} more drops were counted but not recorded one by one",
                                           results.drop_entries_left_out)},
                      {"details", Json::object()}},
                 -1) +
            "\n";
  }
  return text;
}

std::string summary_json(const Results& results) {
  const RunIdentity& id = results.identity;
  Json caches = {{"all", cache_json(total_of(std::span<const CacheResult>(results.caches)))}};
  Json hypervisors = Json::object();
  for (const CacheResult& c : results.caches) hypervisors[c.node] = cache_json(c);
  caches["hypervisors"] = std::move(hypervisors);

  Json warnings = Json::array();
  for (const Error& w : results.warnings) {
    warnings.push_back({{"text", w.message}, {"place", place_json(w.place)}});
  }
  Json captures = Json::array();
  for (const CaptureFileInfo& c : results.captures) {
    captures.push_back({{"point", c.point},
                        {"filter", c.filter},
                        {"path", c.path},
                        {"packets", c.packets},
                        {"bytes", c.bytes},
                        {"error", c.error}});
  }
  Json chains = Json::array();
  for (const ChainInfo& c : results.chains) {
    chains.push_back({{"name", c.name}, {"digest", c.digest}, {"events", c.events}});
  }
  Json files = Json::object();
  for (const OutputFile& f : results.files) files[f.path] = f.xxh128;
  Json traffic = Json::array();
  for (const TrafficResult& t : results.traffic) traffic.push_back(traffic_json(t));
  Json migrations = Json::array();
  for (const MigrationResult& m : results.migrations) migrations.push_back(migration_json(m));
  const ControlResult& c = results.control;

  const Json json = {
      {"weft", id.version},
      {"scenario", id.scenario},
      {"description", id.description},
      {"file", id.file},
      {"seed", id.seed},
      {"overrides", id.overrides},
      {"check_level", id.check_level},
      {"planned_ps", id.planned.ps},
      {"duration_ps", id.duration.ps},
      {"reached_ps", id.reached.ps},
      {"interrupted", id.interrupted},
      {"fault", id.fault},
      {"output_error", results.output_error},
      {"passed", verdict_of(results) == Verdict::none
                     ? Json()
                     : Json(verdict_of(results) == Verdict::passed)},
      {"digest", results.digest},
      {"expectations", expectations_json(results)},
      {"warnings", std::move(warnings)},
      {"totals", totals_json(results)},
      {"traffic", std::move(traffic)},
      {"migrations", std::move(migrations)},
      {"drops", drops_json(results)},
      {"control",
       {{"messages", c.messages},
        {"bytes", c.bytes},
        {"lost", c.lost},
        {"resyncs", c.resyncs},
        {"unprogrammed", c.unprogrammed},
        {"programming", latency_json(latency_of(std::span<const Sample>(c.programming)))}}},
      {"caches", std::move(caches)},
      {"links", links_json(results)},
      {"lookahead_ps", results.engine.lookahead.ps},
      {"captures", std::move(captures)},
      {"chains", std::move(chains)},
      {"files", std::move(files)},
      {"execution", execution_json(results)}};
  return dump(json, 2) + "\n";
}

namespace {

std::string hash_text(const XXH128_hash_t& hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

std::string xxh128(const std::string& bytes) {
  return hash_text(XXH3_128bits(bytes.data(), bytes.size()));
}

std::optional<OutputFile> hash_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) return std::nullopt;
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  WEFT_CHECK(state != nullptr && XXH3_128bits_reset(state.get()) == XXH_OK);
  OutputFile result{path, {}, 0};
  std::vector<char> piece(1 << 20);
  for (std::size_t n; (n = std::fread(piece.data(), 1, piece.size(), file.get())) > 0;) {
    XXH3_128bits_update(state.get(), piece.data(), n);
    result.bytes += n;
  }
  if (std::ferror(file.get()) != 0) return std::nullopt;
  result.xxh128 = hash_text(XXH3_128bits_digest(state.get()));
  return result;
}

}  // namespace weft::analysis
