// The terminal's summary: what a person reads when a run is over. Sections without content are left
// out, except that silence is never a success: a run without expectations says so.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "analysis/figures.h"
#include "analysis/outputs.h"
#include "analysis/text.h"
#include "base/units.h"

namespace weft::analysis {

namespace {

constexpr std::size_t kMostRows = 12;  ///< of a section; the rest is counted
constexpr std::size_t kBusiest = 5;

enum class Tone : std::uint8_t { plain, bold, dim, good, bad, warn };

std::string_view code_of(Tone tone) {
  switch (tone) {
    case Tone::plain:
      return "";
    case Tone::bold:
      return "\x1b[1m";
    case Tone::dim:
      return "\x1b[2m";
    case Tone::good:
      return "\x1b[32m";
    case Tone::bad:
      return "\x1b[31m";
    case Tone::warn:
      return "\x1b[33m";
  }
  return "";
}

/// One block per 1/8 of a cell: "███▍    ".
std::string bar(std::uint64_t ppm, std::size_t cells) {
  static const char* const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const std::uint64_t eighths =
      std::min<std::uint64_t>((ppm * cells * 8 + 500'000) / 1'000'000, cells * 8);
  std::string text;
  for (std::uint64_t i = 0; i < eighths / 8; ++i) text += "█";
  text += parts[eighths % 8];
  text.append(cells - display_width(text), ' ');
  return text;
}

class Summary {
 public:
  Summary(const Results& results, const TerminalStyle& style)
      : r_(results), style_(style), width_(std::clamp<std::size_t>(style.width, 40, 100)) {}

  std::string text(const std::string& folder) {
    headline();
    traffic();
    migrations();
    drops();
    links();
    caches();
    control();
    captures();
    expectations();
    run(folder);
    return std::move(out_);
  }

 private:
  std::string paint(Tone tone, std::string_view text) const {
    if (!style_.colour || tone == Tone::plain) return std::string(text);
    return fmt::format("{}{}\x1b[0m", code_of(tone), text);
  }
  void line(std::string_view text = {}, Tone tone = Tone::plain) {
    out_ += paint(tone, text);
    out_ += '\n';
  }
  void heading(std::string_view name) {
    line();
    line(name, Tone::bold);
  }
  /// Rows of which the first is a heading; `tones` colours whole rows (by their index).
  void table(const Table& t, const std::vector<Tone>& tones = {}) {
    const auto lines = t.lines(width_ - 2);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const Tone tone = i == 0 ? Tone::dim : i < tones.size() ? tones[i] : Tone::plain;
      line("  " + lines[i], tone);
    }
  }
  void paragraph(std::string_view text, std::size_t indent, Tone tone = Tone::plain) {
    for (const std::string& l : wrap(text, width_ - indent)) {
      line(std::string(indent, ' ') + l, tone);
    }
  }
  void more(std::size_t all, std::string_view what) {
    if (all > kMostRows) {
      line(fmt::format("  … and {} more {}, see the report", all - kMostRows, what), Tone::dim);
    }
  }

  void headline() {
    const RunIdentity& id = r_.identity;
    std::string how = fmt::format("seed {} · {} simulated", id.seed, human_time(id.reached));
    line(fmt::format("{}  {}", paint(Tone::bold, id.scenario), paint(Tone::dim, how)));
    if (id.interrupted) {
      paragraph(fmt::format("interrupted at {} of {}", human_time(id.reached),
                            human_duration(id.planned)),
                0, Tone::warn);
    } else if (cut_short(r_)) {
      paragraph(fmt::format("stopped at {}, the scenario lasts {}", human_time(id.reached),
                            human_duration(id.duration)),
                0, Tone::warn);
    }
    if (!id.fault.empty()) paragraph("fault: " + id.fault, 0, Tone::bad);
  }

  void traffic() {
    if (r_.traffic.empty()) return;
    heading("Traffic");
    Table t({Align::left, Align::left, Align::right, Align::right, Align::right, Align::right,
             Align::right, Align::right, Align::right});
    t.add({"", "", "sent", "delivered", "lost", "p50", "p99", "max", "goodput"});
    std::vector<Tone> tones(1, Tone::plain);
    for (const TrafficResult& x : r_.traffic) {
      const PairResult sum = total_of(x);
      const LatencyFigures f = latency_of(x);
      const bool any = f.count > 0;
      const std::string about = f.exact ? "" : "≈";
      t.add({x.name, x.kind, format_count(sum.sent), format_count(sum.delivered),
             format_count(sum.lost()), any ? about + human_duration(f.p50) : "–",
             any ? about + human_duration(f.p99) : "–", any ? human_duration(f.max) : "–",
             sum.bytes > 0 ? human_rate(goodput_bps(x)) : "–"});
      tones.push_back(Tone::plain);
    }
    table(t, tones);
    for (const TrafficResult& x : r_.traffic) traffic_details(x);
  }

  void traffic_details(const TrafficResult& x) {
    const PairResult sum = total_of(x);
    std::vector<std::string> parts;
    if (x.pairs.size() > 1) parts.push_back(counted(x.pairs.size(), "pair"));
    if (sum.connections_opened + sum.connections_lost > 0) {
      parts.push_back(counted(sum.connections_opened, "connection"));
      if (sum.connections_lost > 0) parts.push_back(format_count(sum.connections_lost) + " lost");
    }
    if (sum.retransmits > 0) parts.push_back(counted(sum.retransmits, "retransmit"));
    if (sum.duplicates > 0) parts.push_back(counted(sum.duplicates, "duplicate"));
    if (sum.reordered > 0) parts.push_back(format_count(sum.reordered) + " reordered");
    if (sum.pending > 0) parts.push_back(format_count(sum.pending) + " open at the end");
    if (const auto mean = mean_interval(x.samples)) {
      const auto text = [](double ps) { return human_duration({static_cast<std::int64_t>(ps)}); };
      parts.push_back(fmt::format("mean {} ± {}", text(mean->mean_ps), text(mean->half_width_ps)));
    }
    if (parts.empty() || (parts.size() == 1 && x.pairs.size() > 1)) return;
    paragraph(fmt::format("{}: {}", x.name, fmt::join(parts, " · ")), 2, Tone::dim);
  }

  void migrations() {
    if (r_.migrations.empty()) return;
    heading("Migrations");
    for (const MigrationResult& m : r_.migrations) {
      const bool done = m.state == MigrationState::done;
      paragraph(fmt::format("{} {}  {}  {} → {}  {}", done ? "✓" : "✗", m.name, m.vm, m.from, m.to,
                            name_of(m.state)),
                2, done ? Tone::good : Tone::bad);
      if (!m.failure.empty()) paragraph(m.failure, 4);
      if (!m.started) continue;
      std::string facts = fmt::format(
          "downtime {} · {} · {} · {} lost", m.downtime.ps > 0 ? human_duration(m.downtime) : "–",
          counted(pre_copy_rounds(m), "round"), human_bytes(m.total_bytes),
          counted(m.packets_lost, "packet"));
      if (m.ended) facts += fmt::format(" · {} in all", human_duration(*m.ended - *m.started));
      paragraph(facts, 4);
      paragraph(phase_line(m), 4, Tone::dim);
    }
  }

  std::string phase_line(const MigrationResult& m) const {
    std::vector<std::string> parts = {"start " + human_time(*m.started)};
    for (const MigrationRound& r : m.rounds) {
      const std::string name =
          r.stop_and_copy ? "stop-and-copy" : fmt::format("round-{}", r.number);
      parts.push_back(
          fmt::format("{} {} {}", name, human_duration(r.to - r.from), human_bytes(r.bytes)));
    }
    constexpr std::size_t kMostRounds = 6;
    if (parts.size() > kMostRounds + 1) {
      const std::size_t cut = parts.size() - kMostRounds;
      parts.erase(parts.begin() + 4, parts.begin() + static_cast<std::ptrdiff_t>(4 + cut));
      parts.insert(parts.begin() + 4, fmt::format("… {} rounds …", cut));
    }
    if (m.ended) parts.push_back(fmt::format("{} {}", name_of(m.state), human_time(*m.ended)));
    return fmt::format("{}", fmt::join(parts, " ▸ "));
  }

  void drops() {
    if (r_.totals.dropped == 0 && r_.drops.empty()) return;
    heading("Drops");
    Table t({Align::right, Align::left, Align::left, Align::left, Align::left});
    t.add({"count", "by", "traffic", "at", "line"});
    const auto places = drop_places(r_);
    for (std::size_t i = 0; i < std::min(r_.drops.size(), kMostRows); ++i) {
      const DropGroup& g = r_.drops[i];
      t.add({format_count(g.count), drop_cause(g), g.traffic.empty() ? "–" : g.traffic, places[i],
             short_place(g.place)});
    }
    table(t);
    more(r_.drops.size(), "kinds");
  }

  void links() {
    const auto loads = busiest_links(r_);
    if (loads.empty()) return;
    heading(loads.size() > kBusiest ? "Links, the busiest" : "Links");
    Table t({Align::left, Align::right, Align::left, Align::right, Align::right, Align::right,
             Align::right});
    t.add({"", "mean", "", "peak", "queue", "drops", "ECN"});
    for (std::size_t i = 0; i < std::min(loads.size(), kBusiest); ++i) {
      const LinkLoad& l = loads[i];
      const LinkDirection& d = r_.links[l.link].directions[static_cast<std::size_t>(l.direction)];
      t.add({direction_text(r_, l), share_text(l.mean_ppm, true), bar(l.mean_ppm, 10),
             human_ppm(l.peak_ppm), human_bytes(l.peak_queue_bytes), format_count(d.drops),
             format_count(d.ecn_marks)});
    }
    table(t);
  }

  void caches() {
    const CacheResult c = total_of(std::span<const CacheResult>(r_.caches));
    if (c.lookups == 0) return;
    heading("Caches");
    paragraph(fmt::format("{} on {}: exact match {}, megaflow {}, slow path {}",
                          counted(c.lookups, "lookup"), counted(r_.caches.size(), "hypervisor"),
                          human_ppm(ppm(c.exact_match_hits, c.lookups)),
                          human_ppm(ppm(c.megaflow_hits, c.lookups)),
                          human_ppm(ppm(c.slow_path, c.lookups))),
              2);
    paragraph(fmt::format("at the end: {} · {} · {} · {}", counted(c.megaflows, "megaflow"),
                          counted(c.masks, "mask"), counted(c.connections, "connection"),
                          counted(c.rules, "rule")),
              2, Tone::dim);
  }

  void control() {
    const ControlResult& c = r_.control;
    if (c.messages == 0) return;
    heading("Control");
    std::string text =
        fmt::format("{}, {} · {} lost · {}", counted(c.messages, "message"), human_bytes(c.bytes),
                    format_count(c.lost), counted(c.resyncs, "resync"));
    const LatencyFigures f = latency_of(std::span<const Sample>(c.programming));
    if (f.count > 0) {
      text += fmt::format(" · rules in place after {} (p50), {} (p99), {} (max)",
                          human_duration(f.p50), human_duration(f.p99), human_duration(f.max));
    }
    if (c.unprogrammed > 0)
      text += fmt::format(" · {} not in place everywhere", counted(c.unprogrammed, "change"));
    paragraph(text, 2);
  }

  void captures() {
    if (r_.captures.empty()) return;
    heading("Captures");
    for (const CaptureFileInfo& c : r_.captures) {
      paragraph(fmt::format("{}: {}, {}{}", c.path, counted(c.packets, "packet"),
                            human_bytes(c.bytes), c.filter.empty() ? "" : " · " + c.filter),
                2);
      if (!c.error.empty()) paragraph(c.error, 4, Tone::bad);
    }
  }

  void expectations() {
    heading("Expectations");
    if (r_.expectations.empty()) line("  none: the scenario has no `expect:`", Tone::dim);
    for (const ExpectationOutcome& e : r_.expectations) {
      const std::string place = short_place(e.place);
      const char* mark = !e.judged ? "–" : e.passed ? "✓" : "✗";
      paragraph(fmt::format("{} {}", mark, e.text), 2,
                !e.judged  ? Tone::warn
                : e.passed ? Tone::good
                           : Tone::bad);
      std::string seen = e.seen;
      if (!e.when.empty()) seen += " · " + e.when;
      if (e.judged && !e.passed && !place.empty()) seen += " · " + place;
      paragraph(seen, 4, e.passed ? Tone::dim : Tone::plain);
    }
  }

  void run(const std::string& folder) {
    heading("Run");
    const WallClock& w = r_.wall;
    const EngineFigures& e = r_.engine;
    if (w.run_ns > 0) {
      const Duration run{static_cast<std::int64_t>(w.run_ns) * 1'000};
      const Duration setup{static_cast<std::int64_t>(w.setup_ns) * 1'000};
      const auto rate = [&](std::uint64_t n) {
        return human_figure(static_cast<std::uint64_t>(static_cast<unsigned __int128>(n) *
                                                       1'000'000'000 / w.run_ns));
      };
      paragraph(fmt::format("wall time {} + {} set-up · {} packet-hops/s · {} events/s · peak "
                            "memory {}",
                            human_duration(run), human_duration(setup), rate(r_.totals.packet_hops),
                            rate(e.events), human_bytes(w.peak_rss_bytes)),
                2);
    }
    paragraph(fmt::format("{} · {} · lookahead {} · {}", counted(e.events, "event"),
                          counted(e.windows, "window"), human_time(Time{e.lookahead.ps}),
                          counted(r_.totals.packet_hops, "packet-hop")),
              2);
    if (e.workers.size() > 1) {
      std::vector<std::string> shares;
      shares.reserve(e.workers.size());
      for (const WorkerFigures& x : e.workers) {
        shares.push_back(
            fmt::format("{} ({})", format_count(x.events), human_ppm(ppm(x.events, e.events))));
      }
      paragraph(fmt::format("events per worker: {}", fmt::join(shares, ", ")), 2);
    }
    line("  digest " + r_.digest, Tone::dim);
    if (!folder.empty()) line("  folder " + folder);
    line();
    verdict();
  }

  void verdict() {
    const auto failed = static_cast<std::size_t>(
        std::count_if(r_.expectations.begin(), r_.expectations.end(),
                      [](const ExpectationOutcome& e) { return !e.passed; }));
    const std::size_t all = r_.expectations.size();
    const Verdict verdict = verdict_of(r_);
    const bool ok = verdict == Verdict::passed;
    if (!r_.identity.fault.empty()) {
      line("✗ FAULT: weft broke one of its own rules; see above", Tone::bad);
    } else if (!r_.output_error.empty()) {
      const bool judged = verdict != Verdict::none && all > 0;
      line(judged ? fmt::format("✗ OUTPUTS INCOMPLETE: {} of {} hold", all - failed,
                                counted(all, "expectation"))
                  : "✗ OUTPUTS INCOMPLETE",
           Tone::bad);
      paragraph(r_.output_error, 2, Tone::bad);
    } else if (verdict == Verdict::none) {
      const std::string what = all == 0 ? "" : fmt::format(": {}", counted(all, "expectation"));
      line(fmt::format("– NOT JUDGED{}; {} at {} of {}", what,
                       r_.identity.interrupted ? "interrupted" : "stopped",
                       human_time(r_.identity.reached),
                       human_duration(std::max(r_.identity.planned, r_.identity.duration))),
           Tone::warn);
    } else if (all == 0) {
      line("– finished; nothing was expected");
    } else {
      line(ok ? fmt::format("✓ PASSED: {} of {} hold", all, counted(all, "expectation"))
              : fmt::format("✗ FAILED: {} of {} did not hold", failed, counted(all, "expectation")),
           ok ? Tone::good : Tone::bad);
    }
  }

  const Results& r_;
  const TerminalStyle& style_;
  std::size_t width_;
  std::string out_;
};

}  // namespace

TerminalStyle terminal_style(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool wanted = no_colour == nullptr || *no_colour == '\0';
  const bool able = term != nullptr && std::string_view(term) != "dumb";
  return {.colour = wanted && able && ::isatty(descriptor) == 1};
}

std::string terminal_summary(const Results& results, const TerminalStyle& style,
                             const std::string& folder) {
  return Summary(results, style).text(folder);
}

}  // namespace weft::analysis
