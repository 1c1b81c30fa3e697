#include "scenarios/run/expect.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "analysis/figures.h"
#include "analysis/text.h"
#include "base/units.h"

namespace weft::scenarios {

using namespace analysis;

namespace {

enum class Unit : std::uint8_t { count, time, bytes, rate, ratio };

Unit unit_of(std::string_view measure) {
  static constexpr std::string_view kTimes[] = {"downtime", "total_time", "p50",  "p90",
                                                "p99",      "p999",       "mean", "max"};
  static constexpr std::string_view kRatios[] = {"delivered_ratio", "utilisation", "hit_ratio"};
  static constexpr std::string_view kBytes[] = {"bytes", "peak_queue"};
  const auto in = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), measure) != std::end(names);
  };
  if (in(kTimes)) return Unit::time;
  if (in(kRatios)) return Unit::ratio;
  if (in(kBytes)) return Unit::bytes;
  return measure == "goodput" ? Unit::rate : Unit::count;
}

/// Bounds are shown exactly as they bind; what was seen may be rounded for reading.
std::string value_text(Unit unit, std::int64_t v, bool exact) {
  const auto u = static_cast<std::uint64_t>(v);
  if (v < 0 && unit != Unit::time) return fmt::format("{}", v);
  switch (unit) {
    case Unit::time:
      return exact ? format_duration(Duration{v}) : human_duration(Duration{v});
    case Unit::bytes:
      return exact ? format_bytes({u}) : human_bytes(u);
    case Unit::rate:
      return exact ? format_rate({u}) : human_rate(u);
    case Unit::ratio:
      return human_ppm(u);
    case Unit::count:
      break;
  }
  return format_count(u);
}

std::string bounds_text(Unit unit, const Bounds& b) {
  const auto text = [&](std::int64_t v) { return value_text(unit, v, true); };
  if (b.min && b.max) {
    return *b.min == *b.max ? text(*b.min) : fmt::format("{} – {}", text(*b.min), text(*b.max));
  }
  if (b.min) return "≥ " + text(*b.min);
  return b.max ? "≤ " + text(*b.max) : "without a bound";
}

std::string subject_text(const Scenario& s, const ExpectSpec& e) {
  const auto name = [&](const auto& list) {
    return e.index < list.size() ? list[e.index].name : std::string("?");
  };
  switch (e.subject) {
    case ExpectSpec::Subject::migration:
      return "migration " + name(s.events);
    case ExpectSpec::Subject::traffic:
      return "traffic " + name(s.traffic);
    case ExpectSpec::Subject::link:
      return "link " + name(s.underlay.links);
    case ExpectSpec::Subject::caches:
      return e.node && *e.node < s.underlay.nodes.size()
                 ? "caches of " + s.underlay.nodes[*e.node].name
                 : "caches";
    case ExpectSpec::Subject::drops:
      return e.reason ? "drops by " + *e.reason : "drops";
    case ExpectSpec::Subject::controller:
      return "controller";
  }
  return "?";
}

std::string expectation_text(const Scenario& s, const ExpectSpec& e) {
  std::vector<std::string> parts;
  for (const auto& [measure, bounds] : e.measures) {
    parts.push_back(measure + " " + bounds_text(unit_of(measure), bounds));
  }
  if (e.dropped_by) parts.push_back("dropped by " + *e.dropped_by);
  if (e.during && *e.during < s.events.size())
    parts.push_back("during " + s.events[*e.during].name);
  if (e.from || e.to) {
    parts.push_back(fmt::format("{}{}", e.from ? "from " + human_time(*e.from) : "",
                                e.to ? (e.from ? " to " : "to ") + human_time(*e.to) : ""));
  }
  return fmt::format("{}: {}", subject_text(s, e), fmt::join(parts, ", "));
}

/// The drop's rule or its reason goes by this name ("policy" stands for every rule of it).
bool is_by(const DropGroup& g, std::string_view name) { return g.rule == name || g.reason == name; }

class Judge {
 public:
  Judge(const Scenario& scenario, const Results& results, const ExpectSpec& spec)
      : s_(scenario), r_(results), e_(spec) {}

  ExpectationOutcome judge() {
    outcome_.text = expectation_text(s_, e_);
    outcome_.place = e_.place;
    outcome_.passed = true;
    if (cut_short(r_)) return not_judged();
    if (e_.measures.empty() && !e_.dropped_by && e_.subject != ExpectSpec::Subject::migration) {
      fail("nothing was expected of it: a measure with a bound is missing");
    } else if (find_window()) {
      subject();
    }
    outcome_.seen = fmt::format("{}", fmt::join(seen_, "; "));
    if (!window_text_.empty()) when_.insert(when_.begin(), window_text_);
    outcome_.when = fmt::format("{}", fmt::join(when_, "; "));
    return std::move(outcome_);
  }

 private:
  void fail(std::string why) {
    outcome_.passed = false;
    seen_.push_back(std::move(why));
  }

  ExpectationOutcome not_judged() {
    const RunIdentity& id = r_.identity;
    outcome_.judged = outcome_.passed = false;
    outcome_.seen = id.interrupted
                        ? fmt::format("not judged: interrupted at {} of {}", human_time(id.reached),
                                      human_duration(id.planned))
                        : fmt::format("not judged: stopped at {}, the scenario lasts {}",
                                      human_time(id.reached), human_duration(id.duration));
    return std::move(outcome_);
  }

  /// Compares, and says what was seen (and what was wanted, if it was not).
  bool hold(const std::string& measure, const Bounds& b, std::int64_t value,
            const std::string& remark = {}) {
    const Unit unit = unit_of(measure);
    const bool ok = (b.min || b.max) && (!b.min || value >= *b.min) && (!b.max || value <= *b.max);
    // A miss by less than the rounding must not look like a hit: what failed is shown exactly.
    std::string text = measure + " " + value_text(unit, value, !ok);
    if (!remark.empty()) text += " " + remark;
    if (!ok && !b.min && !b.max) {
      text += ", but no bound was given";
    } else if (!ok) {
      text += ", wanted " + bounds_text(unit, b);
    }
    seen_.push_back(text);
    outcome_.passed = outcome_.passed && ok;
    return ok;
  }
  bool hold_count(const std::string& measure, const Bounds& b, std::uint64_t value,
                  const std::string& remark = {}) {
    const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return hold(measure, b, static_cast<std::int64_t>(std::min(value, most)), remark);
  }

  // --- windows
  // -------------------------------------------------------------------------------------

  /// False (and failed) if the window never came.
  bool find_window() {
    windowed_ = e_.during || e_.from || e_.to;
    from_ = Time{};
    to_ = r_.identity.reached;
    if (!windowed_) return true;
    if (e_.during && !during(*e_.during)) return false;
    if (e_.from) from_ = std::max(from_, *e_.from);
    if (e_.to) to_ = std::min(to_, *e_.to);
    if (from_ >= r_.identity.reached || from_ > to_) {
      fail(fmt::format("nothing was measured: the run ended at {}, the window begins at {}",
                       human_time(r_.identity.reached), human_time(from_)));
      return false;
    }
    window_text_ =
        fmt::format("{}{} – {}", e_.during ? "during " + s_.events[*e_.during].name + ", " : "",
                    human_time(from_), human_time(to_));
    return true;
  }

  bool during(std::size_t event) {
    if (event >= s_.events.size()) {
      fail("the event it refers to does not exist");
      return false;
    }
    const std::string& name = s_.events[event].name;
    std::optional<Time> started, ended;
    const auto noted = std::find_if(r_.events.begin(), r_.events.end(),
                                    [&](const EventResult& x) { return x.name == name; });
    if (noted != r_.events.end()) {
      started = noted->started, ended = noted->ended;
    } else if (s_.events[event].at && *s_.events[event].at < r_.identity.reached) {
      // A command of the scenario happens when it says.
      started = s_.events[event].at;
      ended = end_of_command(s_.events[event]);
    }
    if (const MigrationResult* m = migration(name)) started = m->started, ended = m->ended;
    if (!started) {
      fail(fmt::format("nothing was measured: event `{}` never happened", name));
      return false;
    }
    from_ = *started;
    if (ended) to_ = std::min(to_, *ended);
    return true;
  }

  /// Failures last for their time or to the end of the run; a change of policy is a moment.
  static std::optional<Time> end_of_command(const EventSpec& e) {
    if (e.migrate) return std::nullopt;
    if (e.fail) return e.fail->duration ? std::optional(*e.at + *e.fail->duration) : std::nullopt;
    if (e.controller && e.controller->stop) {
      return e.controller->duration ? std::optional(*e.at + *e.controller->duration) : std::nullopt;
    }
    return e.at;
  }

  const MigrationResult* migration(const std::string& name) const {
    for (const MigrationResult& m : r_.migrations) {
      if (m.name == name) return &m;
    }
    return nullptr;
  }

  /// Buckets that the window touches; an end on a border does not touch the bucket behind it.
  std::pair<std::size_t, std::size_t> buckets(Duration interval, std::size_t size) const {
    const auto first = static_cast<std::size_t>(from_.ps / interval.ps);
    auto last = static_cast<std::size_t>(to_.ps / interval.ps);
    if (to_.ps % interval.ps != 0 || to_ == from_) ++last;
    return {std::min(first, size), std::min(last, size)};
  }
  void note_buckets(Duration interval) {
    if (from_.ps % interval.ps == 0 && to_.ps % interval.ps == 0) return;
    window_text_ += fmt::format(" (counted in steps of {})", human_duration(interval));
  }
  bool inside(Time t) const { return t >= from_ && t <= to_; }

  // --- subjects
  // --------------------------------------------------------------------------------------

  void subject() {
    switch (e_.subject) {
      case ExpectSpec::Subject::migration:
        return migration_subject();
      case ExpectSpec::Subject::traffic:
        return traffic_subject();
      case ExpectSpec::Subject::link:
        return link_subject();
      case ExpectSpec::Subject::caches:
        return caches_subject();
      case ExpectSpec::Subject::drops:
        return drops_subject();
      case ExpectSpec::Subject::controller:
        return controller_subject();
    }
  }

  void unknown(const std::string& measure) {
    fail(fmt::format("there is no measure '{}'", measure));
  }

  void migration_subject() {
    const std::string& name = s_.events.at(e_.index).name;
    const MigrationResult* m = migration(name);
    if (m == nullptr || !m->started) {
      return fail(m != nullptr && !m->failure.empty()
                      ? fmt::format("{} never started: {}", name, m->failure)
                      : fmt::format("{} never started", name));
    }
    when_.push_back(fmt::format("{} – {}", human_time(*m->started),
                                m->ended ? human_time(*m->ended) : "the end of the run"));
    if (m->state != MigrationState::done || !m->ended) {
      std::string why = fmt::format("{} {}", name, name_of(m->state));
      if (!m->failure.empty()) why += ": " + m->failure;
      if (!m->phases.empty()) why += fmt::format(" (last phase: {})", m->phases.back().name);
      return fail(why);
    }
    if (e_.measures.empty()) seen_.push_back(fmt::format("{} → {}, done", m->from, m->to));
    for (const auto& [measure, bounds] : e_.measures) {
      if (measure == "downtime") {
        hold(measure, bounds, m->downtime.ps);
      } else if (measure == "rounds") {
        hold_count(measure, bounds, pre_copy_rounds(*m));
      } else if (measure == "bytes") {
        hold_count(measure, bounds, m->total_bytes);
      } else if (measure == "packets_lost") {
        hold_count(measure, bounds, m->packets_lost);
      } else if (measure == "total_time") {
        hold(measure, bounds, (*m->ended - *m->started).ps);
      } else {
        unknown(measure);
      }
    }
  }

  /// Counters of the whole run, or of the window's buckets.
  PairResult counters(const TrafficResult& t) {
    if (!windowed_) return total_of(t);
    note_buckets(r_.traffic_interval);
    PairResult sum;
    const auto [first, last] = buckets(r_.traffic_interval, t.series.size());
    std::uint64_t answered = 0;
    for (std::size_t i = first; i < last; ++i) {
      const TrafficPoint& p = t.series[i];
      sum.sent += p.sent;
      sum.delivered += p.delivered;
      sum.duplicates += p.duplicates;
      sum.bytes += p.bytes;
      sum.retransmits += p.retransmits;
      sum.connections_opened += p.connections_opened;
      sum.connections_lost += p.connections_lost;
      answered += p.answered;
      sum.pending += p.open;
    }
    sum.completed = sum.delivered;
    const std::uint64_t settled = answered + sum.pending;
    window_lost_ = sum.sent > settled ? sum.sent - settled : 0;
    window_answered_ = answered;
    return sum;
  }

  void traffic_subject() {
    const std::string& name = s_.traffic.at(e_.index).name;
    const auto found = std::find_if(r_.traffic.begin(), r_.traffic.end(),
                                    [&](const TrafficResult& t) { return t.name == name; });
    if (found == r_.traffic.end()) return fail("nothing was measured: the traffic never ran");
    const PairResult sum = counters(*found);
    const std::uint64_t lost = windowed_ ? window_lost_ : sum.lost();
    const bool was_ok = outcome_.passed;
    for (const auto& [measure, bounds] : e_.measures) {
      traffic_measure(*found, sum, lost, measure, bounds);
    }
    if (e_.dropped_by) dropped_by(*found, sum, lost);
    if (was_ok && !outcome_.passed && lost > 0) first_drop(name);
  }

  void traffic_measure(const TrafficResult& t, const PairResult& sum, std::uint64_t lost,
                       const std::string& measure, const Bounds& b) {
    if (measure == "sent") return (void)hold_count(measure, b, sum.sent);
    if (unit_of(measure) == Unit::time) return latency(t, lost, measure, b);
    if (sum.sent == 0 && sum.delivered == 0) {
      return fail(fmt::format("nothing was measured for {}: nothing was sent", measure));
    }
    const std::uint64_t settled = sum.sent - std::min(sum.pending, sum.sent);
    if (measure == "delivered") {
      const bool ok =
          hold_count(measure, b, sum.delivered, fmt::format("of {} sent", format_count(sum.sent)));
      if (ok && b.max == 0 && !e_.dropped_by) what_dropped(t);
    } else if (measure == "lost") {
      hold_count(measure, b, lost, of_sent(sum));
    } else if (measure == "duplicated") {
      if (sum.delivered == 0) return nothing_delivered(measure);
      hold_count(measure, b, sum.duplicates);
    } else if (measure == "connections") {
      hold_count(measure, b, sum.connections_opened);
    } else if (measure == "connections_lost") {
      connections_lost(t, sum, b);
    } else if (measure == "completed") {
      hold_count(measure, b, sum.completed);
    } else if (measure == "retransmits") {
      if (total_of(t).connections_opened == 0) return no_connection(measure);
      hold_count(measure, b, sum.retransmits);
    } else if (measure == "goodput") {
      const Duration over = windowed_ ? to_ - from_ : t.stop - t.start;
      if (over.ps <= 0) return fail("nothing was measured for goodput: the time is zero");
      if (sum.bytes == 0) return nothing_delivered(measure);
      hold_count(measure, b, rate_bps(sum.bytes, over));
    } else if (measure == "delivered_ratio") {
      if (settled == 0) return fail("nothing was measured: all that was sent is still on its way");
      const std::uint64_t arrived = windowed_ ? window_answered_ : sum.delivered;
      hold_count(
          measure, b, ppm(arrived, settled),
          fmt::format(
              "({} of {}{})", format_count(arrived), format_count(settled),
              sum.pending > 0 ? fmt::format(", {} more open", format_count(sum.pending)) : ""));
    } else {
      unknown(measure);
    }
  }

  void nothing_delivered(const std::string& measure) {
    fail(fmt::format("nothing was measured for {}: nothing was delivered", measure));
  }
  void no_connection(const std::string& measure) {
    fail(fmt::format("nothing was measured for {}: no connection was ever opened", measure));
  }

  /// "of 148 sent, 2 of them open": what is on its way is neither lost nor delivered.
  static std::string of_sent(const PairResult& sum) {
    std::string text = fmt::format("of {} sent", format_count(sum.sent));
    if (sum.pending > 0) text += fmt::format(", {} of them open", format_count(sum.pending));
    return text;
  }

  void connections_lost(const TrafficResult& t, const PairResult& sum, const Bounds& b) {
    const PairResult whole = total_of(t);
    if (whole.connections_opened + whole.connections_lost == 0)
      return no_connection("connections_lost");
    std::string remark = fmt::format("of {}", format_count(whole.connections_opened));
    if (!windowed_ && sum.connections_lost > 0) {
      const auto worst = std::max_element(t.pairs.begin(), t.pairs.end(),
                                          [](const PairResult& x, const PairResult& y) {
                                            return x.connections_lost < y.connections_lost;
                                          });
      remark += fmt::format(", e.g. {} to {}", worst->from, worst->to);
    }
    hold_count("connections_lost", b, sum.connections_lost, remark);
  }

  void latency(const TrafficResult& t, std::uint64_t lost, const std::string& measure,
               const Bounds& b) {
    const LatencyFigures f = windowed_ ? latency_of(t, from_, to_) : latency_of(t);
    if (windowed_ && !f.exact) {
      return fail(
          fmt::format("nothing was measured for {}: single latencies were not kept, so a "
                      "window cannot be judged",
                      measure));
    }
    if (f.count == 0) {
      return fail(fmt::format("nothing was measured for {}: no answer came back", measure));
    }
    const Duration value = measure == "p50"    ? f.p50
                           : measure == "p90"  ? f.p90
                           : measure == "p99"  ? f.p99
                           : measure == "p999" ? f.p999
                           : measure == "mean" ? f.mean
                           : measure == "max"  ? f.max
                                               : Duration{-1};
    if (value.ps < 0) return unknown(measure);
    std::string remark = fmt::format("of {}", counted(f.count, "sample"));
    if (!f.exact) remark += " (to 3 %)";
    if (lost > 0) remark += fmt::format(", the {} lost left out", format_count(lost));
    if (!hold(measure, b, value.ps, remark) && f.exact && f.max_pair < t.pairs.size()) {
      const PairResult& p = t.pairs[f.max_pair];
      const std::string slowest = fmt::format("slowest {} at {}, {} to {}", human_duration(f.max),
                                              human_time(f.max_at), p.from, p.to);
      if (std::find(when_.begin(), when_.end(), slowest) == when_.end()) when_.push_back(slowest);
    }
  }

  // --- drops
  // -----------------------------------------------------------------------------------------

  /// Drops per group, within the window. False if that cannot be known.
  bool count_drops(std::vector<std::uint64_t>& counts) {
    counts.assign(r_.drops.size(), 0);
    if (!windowed_) {
      for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = r_.drops[i].count;
      return true;
    }
    if (r_.drop_entries_left_out > 0) {
      fail(fmt::format(
          "the drops of a window cannot be judged: {} were counted but not recorded one "
          "by one",
          format_count(r_.drop_entries_left_out)));
      return false;
    }
    for (const DropEntry& d : r_.drop_entries) {
      if (inside(d.at)) ++counts[d.group];
    }
    return true;
  }

  std::string drops_text(const std::string& traffic, const std::vector<std::uint64_t>& counts,
                         std::string_view except = {}) const {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const DropGroup& g = r_.drops[i];
      if (g.traffic != traffic || counts[i] == 0 || (!except.empty() && is_by(g, except))) continue;
      std::string part = fmt::format("{} dropped {}", drop_title(g), format_count(counts[i]));
      if (const std::string place = short_place(g.place); !place.empty())
        part += " (" + place + ")";
      parts.push_back(part);
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  /// `delivered: 0` without `dropped_by`: somebody must have dropped it all the same.
  void what_dropped(const TrafficResult& t) {
    std::vector<std::uint64_t> counts;
    if (!count_drops(counts)) return;
    const std::string by = drops_text(t.name, counts);
    if (by.empty()) return fail("nothing arrived, but nothing was dropped either");
    seen_.push_back(by);
  }

  void dropped_by(const TrafficResult& t, const PairResult& sum, std::uint64_t lost) {
    const std::string& name = *e_.dropped_by;
    if (sum.sent == 0) {
      return fail(fmt::format("nothing was sent, so {} had nothing to drop", name));
    }
    std::vector<std::uint64_t> counts;
    if (!count_drops(counts)) return;
    std::uint64_t by_it = 0;
    std::string place;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const DropGroup& g = r_.drops[i];
      if (g.traffic != t.name || !is_by(g, name) || counts[i] == 0) continue;
      by_it += counts[i];
      place = short_place(g.place);
    }
    const std::string others = drops_text(t.name, counts, name);
    std::string dropped = fmt::format("{} dropped {}", name, format_count(by_it));
    if (!place.empty()) dropped += " (" + place + ")";
    if (lost == 0) return fail(fmt::format("nothing was lost; {}", dropped));
    if (!others.empty()) return fail(fmt::format("{}, but {}", dropped, others));
    // One frame is one unit only where the traffic has no connection: a request that waits for a
    // connection that is refused is lost without a frame of its own.
    const bool frames = t.kind == "ping" || t.kind == "udp" || t.kind == "scan";
    if (by_it == 0 || (frames && by_it < lost)) {
      return fail(fmt::format("{}, but {} were lost", dropped, format_count(lost)));
    }
    seen_.push_back(dropped);
  }

  void first_drop(const std::string& traffic) {
    for (const DropEntry& d : r_.drop_entries) {
      if (r_.drops[d.group].traffic != traffic || (windowed_ && !inside(d.at))) continue;
      when_.push_back(fmt::format("first drop at {} at {}: {}", human_time(d.at), d.where,
                                  drop_title(r_.drops[d.group])));
      return;
    }
  }

  void drops_subject() {
    if (r_.totals.created == 0) return fail("nothing was measured: there was no packet to drop");
    std::vector<std::uint64_t> counts;
    if (!count_drops(counts)) return;
    std::uint64_t sum = 0;
    std::vector<std::string> kinds;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const DropGroup& g = r_.drops[i];
      if (counts[i] == 0 || (e_.reason && !is_by(g, *e_.reason))) continue;
      sum += counts[i];
      if (kinds.size() < 3) {
        kinds.push_back(fmt::format("{} {}{}", drop_title(g), format_count(counts[i]),
                                    g.traffic.empty() ? "" : " of " + g.traffic));
      }
    }
    for (const auto& [measure, bounds] : e_.measures) {
      if (measure != "count") {
        unknown(measure);
        continue;
      }
      const std::string remark = kinds.empty() ? "" : fmt::format("({})", fmt::join(kinds, ", "));
      if (!hold_count(measure, bounds, sum, remark)) {
        for (const DropEntry& d : r_.drop_entries) {
          const DropGroup& g = r_.drops[d.group];
          if (!inside(d.at) || (e_.reason && !is_by(g, *e_.reason))) continue;
          when_.push_back(fmt::format("first at {} at {}", human_time(d.at), d.where));
          break;
        }
      }
    }
  }

  // --- links, caches, controller
  // ---------------------------------------------------------------------

  LinkPoint link_window(const LinkDirection& d) const {
    LinkPoint sum;
    const auto [first, last] = buckets(r_.link_interval, d.series.size());
    for (std::size_t i = first; i < last; ++i) {
      sum.packets += d.series[i].packets;
      sum.bytes += d.series[i].bytes;
      sum.drops += d.series[i].drops;
      sum.ecn_marks += d.series[i].ecn_marks;
      sum.peak_queue_bytes = std::max(sum.peak_queue_bytes, d.series[i].peak_queue_bytes);
    }
    return sum;
  }

  void link_subject() {
    const std::string& name = s_.underlay.links.at(e_.index).name;
    const auto found = std::find_if(r_.links.begin(), r_.links.end(),
                                    [&](const LinkResult& l) { return l.name == name; });
    if (found == r_.links.end()) return fail("nothing was measured: the link was not there");
    LinkPoint sum;
    std::uint64_t busier = 0;
    Duration over = r_.identity.reached - Time{};
    if (windowed_) {
      note_buckets(r_.link_interval);
      const auto [first, last] = buckets(r_.link_interval, found->directions[0].series.size());
      over = r_.link_interval * static_cast<std::int64_t>(last - first);
    }
    for (const LinkDirection& d : found->directions) {
      const LinkPoint p =
          windowed_ ? link_window(d)
                    : LinkPoint{d.packets, d.bytes, d.drops, d.peak_queue_bytes, d.ecn_marks};
      sum.packets += p.packets;
      sum.drops += p.drops;
      sum.ecn_marks += p.ecn_marks;
      sum.peak_queue_bytes = std::max(sum.peak_queue_bytes, p.peak_queue_bytes);
      busier = std::max(busier, ppm(rate_bps(p.bytes, over), found->rate_bps));
    }
    const bool idle = sum.packets == 0 && sum.drops == 0;
    for (const auto& [measure, bounds] : e_.measures) {
      if (measure == "utilisation") {
        if (r_.totals.packet_hops == 0 || over.ps == 0) {
          fail("nothing was measured: no packet was on any link");
        } else {
          hold_count(measure, bounds, busier, "(the busier direction)");
        }
      } else if (measure != "drops" && measure != "ecn_marks" && measure != "peak_queue") {
        unknown(measure);
      } else if (idle) {
        fail(fmt::format("nothing was measured for {}: the link carried nothing", measure));
      } else {
        hold_count(measure, bounds,
                   measure == "drops"       ? sum.drops
                   : measure == "ecn_marks" ? sum.ecn_marks
                                            : sum.peak_queue_bytes);
      }
    }
  }

  void caches_subject() {
    if (windowed_) return fail("caches are counted over the whole run only, not over a window");
    CacheResult c;
    if (e_.node) {
      const std::string& name = s_.underlay.nodes.at(*e_.node).name;
      for (const CacheResult& x : r_.caches) {
        if (x.node == name) c = x;
      }
    } else {
      c = total_of(std::span<const CacheResult>(r_.caches));
    }
    if (c.lookups == 0) return fail("nothing was measured: no packet was looked up");
    for (const auto& [measure, bounds] : e_.measures) {
      const std::string of = fmt::format("of {}", counted(c.lookups, "lookup"));
      if (measure == "hit_ratio") {
        hold_count(measure, bounds, hit_ratio_ppm(c), of);
      } else if (measure == "megaflows") {
        hold_count(measure, bounds, c.megaflows);
      } else if (measure == "masks") {
        hold_count(measure, bounds, c.masks);
      } else if (measure == "slow_path") {
        hold_count(measure, bounds, c.slow_path, of);
      } else if (measure == "tuples_per_1000_lookups") {
        hold_count(measure, bounds, c.tuples * 1000 / c.lookups, of);
      } else {
        unknown(measure);
      }
    }
  }

  void controller_subject() {
    if (windowed_)
      return fail("the controller is counted over the whole run only, not over a window");
    if (r_.control.messages == 0)
      return fail("nothing was measured: the controller sent no message");
    for (const auto& [measure, bounds] : e_.measures) {
      if (measure == "messages") {
        hold_count(measure, bounds, r_.control.messages);
      } else if (measure == "resyncs") {
        hold_count(measure, bounds, r_.control.resyncs);
      } else {
        unknown(measure);
      }
    }
  }

  const Scenario& s_;
  const Results& r_;
  const ExpectSpec& e_;
  ExpectationOutcome outcome_;
  std::vector<std::string> seen_, when_;
  bool windowed_ = false;
  Time from_{}, to_{};
  std::string window_text_;
  std::uint64_t window_lost_ = 0, window_answered_ = 0;
};

}  // namespace

std::vector<ExpectationOutcome> evaluate(const Scenario& scenario, const Results& results) {
  std::vector<ExpectationOutcome> outcomes;
  for (const ExpectSpec& e : scenario.expect) {
    outcomes.push_back(Judge(scenario, results, e).judge());
  }
  return outcomes;
}

}  // namespace weft::scenarios
