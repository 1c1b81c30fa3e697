// report.html: the page, section by section. Nothing of the wall clock is in it, so its hash is a
// property of the run.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/figures.h"
#include "analysis/outputs.h"
#include "analysis/report_parts.h"
#include "analysis/text.h"
#include "base/units.h"

namespace weft::analysis {

namespace {

using namespace report;

constexpr std::size_t kMostColumns = 500;
constexpr std::size_t kMostCharts = 16;
constexpr std::size_t kMostLinks = 16;
constexpr std::size_t kMostDrops = 40;

class Page {
 public:
  explicit Page(const Results& results) : r_(results), bands_(bands_of(results)) {}

  std::string html() {
    out_ = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        // Whatever a scenario's names may contain: the page can reach no network.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<title>{} – weft</title><style>{}</style></head><body><main>\n",
        escape(r_.identity.scenario), kStyle);
    head();
    expectations();
    topology_section();
    traffic();
    migrations();
    drops();
    latency();
    links();
    datapath();
    foot();
    out_ +=
        fmt::format("</main><div id=\"tip\"></div><script>{}</script></body></html>\n", kScript);
    return std::move(out_);
  }

 private:
  void open(std::string_view id, std::string_view title) {
    out_ += fmt::format("<section id=\"{}\"><h2>{}</h2>\n", id, title);
  }
  void close() { out_ += "</section>\n"; }
  void tile(std::string_view value, std::string_view name) {
    out_ += fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>", escape(value),
                        escape(name));
  }
  /// A cell: text unless it says otherwise. Names come from files, so nothing in the text itself
  /// may decide.
  struct Cell {
    std::string text;
    bool right = false;
    bool html = false;
    Cell(std::string t) : text(std::move(t)) {}  // NOLINT: implicit by design
    Cell(const char* t) : text(t) {}             // NOLINT: implicit by design
  };
  static Cell right(std::string text) {
    Cell c(std::move(text));
    c.right = true;
    return c;
  }
  static Cell raw(std::string html) {
    Cell c(std::move(html));
    c.html = true;
    return c;
  }
  void row(const std::vector<Cell>& cells, const char* tag = "td") {
    out_ += "<tr>";
    for (const Cell& c : cells) {
      out_ += fmt::format("<{0}{1}>{2}</{0}>", tag, c.right ? " class=\"r\"" : "",
                          c.html ? c.text : escape(c.text));
    }
    out_ += "</tr>\n";
  }
  static std::string bar(std::uint64_t part, std::uint64_t whole, const char* classes = "") {
    const std::uint64_t tenths =
        whole == 0 ? 0 : std::min<std::uint64_t>(ppm(part, whole) / 1000, 1000);
    return fmt::format("<div class=\"bar\"><i class=\"{}\" style=\"width:{}.{}%\"></i></div>",
                       classes, tenths / 10, tenths % 10);
  }

  void head() {
    const RunIdentity& id = r_.identity;
    const Verdict verdict = verdict_of(r_);
    const bool bad = verdict == Verdict::failed, none = verdict == Verdict::none;
    const char* tone = bad ? "bad" : none || r_.expectations.empty() ? "dim" : "good";
    const char* word = !id.fault.empty()         ? "✗ fault"
                       : bad                     ? "✗ failed"
                       : none                    ? "not judged"
                       : r_.expectations.empty() ? "finished"
                                                 : "✓ passed";
    out_ += fmt::format("<header><h1>{}<span class=\"badge {}\">{}</span></h1>",
                        escape(id.scenario), tone, word);
    if (!id.description.empty()) out_ += fmt::format("<p>{}</p>", escape(id.description));
    out_ += fmt::format("<p class=\"dim\">{} · seed {} · weft {}{}</p>",
                        escape(short_place({id.file, 0, 0})), id.seed, escape(id.version),
                        id.overrides.empty()
                            ? ""
                            : " · " + escape(fmt::format("{}", fmt::join(id.overrides, " "))));
    if (id.interrupted) {
      out_ += fmt::format(
          "<p class=\"warn\">Interrupted at {} of {}: what follows is what was measured until "
          "then.</p>",
          human_time(id.reached), human_duration(id.planned));
    } else if (cut_short(r_)) {
      out_ += fmt::format("<p class=\"warn\">Stopped at {}; the scenario lasts {}.</p>",
                          human_time(id.reached), human_duration(id.duration));
    }
    if (!id.fault.empty()) out_ += fmt::format("<p class=\"bad\">{}</p>", escape(id.fault));
    out_ += "</header><div class=\"tiles\">";
    tile(human_time(id.reached), "simulated");
    tile(human_figure(r_.totals.created), "packets created");
    tile(human_figure(r_.totals.packet_hops), "packet-hops");
    tile(human_figure(r_.totals.dropped), "dropped");
    tile(human_figure(r_.engine.events), "events");
    if (!r_.nodes.empty())
      tile(fmt::format("{} / {}", r_.nodes.size(), r_.links.size()), "nodes / links");
    if (!r_.vms.empty()) tile(format_count(r_.vms.size()), "VMs");
    out_ += "</div>\n";
    for (const Error& w : r_.warnings) {
      const std::string place = short_place(w.place);
      out_ += fmt::format("<p class=\"warn\">{}{}</p>", place.empty() ? "" : escape(place) + ": ",
                          escape(w.message));
    }
  }

  void expectations() {
    open("expectations", "Expectations");
    if (r_.expectations.empty())
      out_ +=
          "<p class=\"dim\">The scenario expects nothing: a run without <code>expect:</code> "
          "shows, but does not test.</p>";
    out_ += "<ul class=\"expect\">";
    for (const ExpectationOutcome& e : r_.expectations) {
      out_ +=
          fmt::format("<li class=\"{}\"><b>{}</b><br><span class=\"dim\">{}{}{}</span></li>",
                      !e.judged  ? "na"
                      : e.passed ? "ok"
                                 : "no",
                      escape(e.text), escape(e.seen), e.when.empty() ? "" : " · " + escape(e.when),
                      short_place(e.place).empty() ? "" : " · " + escape(short_place(e.place)));
    }
    out_ += "</ul>";
    close();
  }

  void topology_section() {
    open("topology", "Topology");
    out_ += topology(r_);
    close();
  }

  std::string chart_of(const TrafficResult& t) const {
    const std::size_t join = columns_for(t.series.size(), kMostColumns);
    TimeChart chart;
    chart.title = t.name + " over time";
    chart.step = r_.traffic_interval * static_cast<std::int64_t>(join);
    chart.end = std::max(r_.identity.reached, Time{} + chart.step);
    chart.bands = bands_;
    const bool bytes = t.kind == "bulk";
    Series sent{"sent", "c6", {}, false};
    Series delivered{bytes ? "goodput" : "delivered", "c1", {}, true};
    for (std::size_t i = 0; i < t.series.size(); i += join) {
      std::uint64_t s = 0, d = 0;
      for (std::size_t k = i; k < std::min(i + join, t.series.size()); ++k) {
        s += t.series[k].sent;
        d += bytes ? t.series[k].bytes * 8 : t.series[k].delivered;
      }
      sent.values.push_back(s);
      delivered.values.push_back(d);
    }
    // What is delivered is drawn over what was sent: grey that shows is what is missing.
    if (!bytes) chart.series.push_back(std::move(sent));
    chart.series.push_back(std::move(delivered));
    if (bytes) chart.unit = "b/s";
    return time_chart(chart);
  }

  void traffic() {
    if (r_.traffic.empty()) return;
    open("traffic", "Traffic");
    out_ += "<table>";
    row({"", "", right("pairs"), right("sent"), right("delivered"), right("lost"),
         right("connections"), right("lost"), right("retransmits"), right("goodput")},
        "th");
    for (const TrafficResult& t : r_.traffic) {
      const PairResult sum = total_of(t);
      const auto count = [](std::uint64_t n) { return right(format_count(n)); };
      row({t.name, t.kind, count(t.pairs.size()), count(sum.sent), count(sum.delivered),
           count(sum.lost()), count(sum.connections_opened), count(sum.connections_lost),
           count(sum.retransmits), right((sum.bytes > 0 ? human_rate(goodput_bps(t)) : "–"))});
    }
    out_ += "</table>";
    for (std::size_t i = 0; i < std::min(r_.traffic.size(), kMostCharts); ++i) {
      out_ += fmt::format("<h3>{}</h3>", escape(r_.traffic[i].name));
      out_ += chart_of(r_.traffic[i]);
    }
    close();
  }

  void migrations() {
    if (r_.migrations.empty()) return;
    open("migrations", "Migrations");
    for (const MigrationResult& m : r_.migrations) {
      const bool done = m.state == MigrationState::done;
      out_ += fmt::format("<h3><span class=\"{}\">{}</span> {}: {} from {} to {}, {}</h3>",
                          done ? "good" : "bad", done ? "✓" : "✗", escape(m.name), escape(m.vm),
                          escape(m.from), escape(m.to), name_of(m.state));
      if (!m.failure.empty()) out_ += fmt::format("<p class=\"bad\">{}</p>", escape(m.failure));
      if (!m.started) continue;
      out_ += fmt::format("<p>downtime <b>{}</b> · {} · {} sent · {} lost{}</p>",
                          m.downtime.ps > 0 ? human_duration(m.downtime) : "–",
                          counted(pre_copy_rounds(m), "round"), human_bytes(m.total_bytes),
                          counted(m.packets_lost, "packet"),
                          m.ended ? " · " + human_duration(*m.ended - *m.started) + " in all" : "");
      out_ += migration_timeline(m);
      rounds(m);
    }
    close();
  }

  void rounds(const MigrationResult& m) {
    if (m.rounds.empty()) return;
    std::uint64_t most = 1;
    for (const MigrationRound& r : m.rounds) most = std::max({most, r.bytes, r.dirtied});
    out_ +=
        "<div class=\"legend\"><span><i class=\"k1\"></i>sent</span><span><i "
        "class=\"k2\"></i>dirtied meanwhile</span></div><table>";
    row({"round", right("from"), right("time"), right("sent"), right("dirtied"), ""}, "th");
    for (const MigrationRound& r : m.rounds) {
      row({r.stop_and_copy ? "stop-and-copy" : fmt::format("{}", r.number),
           right(human_time(r.from)), right(human_duration(r.to - r.from)),
           right(human_bytes(r.bytes)), right(human_bytes(r.dirtied)),
           raw(bar(r.bytes, most) + bar(r.dirtied, most, "s"))});
    }
    out_ += "</table>";
  }

  void drops() {
    open("drops", "Drops");
    if (r_.drops.empty()) {
      out_ += "<p class=\"dim\">No packet was dropped.</p>";
      return close();
    }
    out_ += drops_chart();
    if (r_.drop_entries_left_out > 0) {
      out_ += fmt::format(
          "<p class=\"dim\">The chart shows the {} drops that were recorded one by one; {} more "
          "were counted.</p>",
          format_count(r_.drop_entries.size()), format_count(r_.drop_entries_left_out));
    }
    const auto places = drop_places(r_);
    out_ += "<table>";
    row({right("count"), "by", "reason", "traffic", "at", "line"}, "th");
    for (std::size_t i = 0; i < std::min(r_.drops.size(), kMostDrops); ++i) {
      const DropGroup& g = r_.drops[i];
      row({right(format_count(g.count)), drop_cause(g), g.reason,
           g.traffic.empty() ? "–" : g.traffic, places[i], short_place(g.place)});
    }
    out_ += "</table>";
    close();
  }

  std::string drops_chart() const {
    constexpr std::size_t kColumns = 120, kKinds = 5;
    if (r_.drop_entries.empty() || r_.identity.reached.ps <= 0) return {};
    TimeChart chart;
    chart.title = "Drops over time";
    chart.end = r_.identity.reached;
    chart.step = Duration{(chart.end.ps + static_cast<std::int64_t>(kColumns) - 1) /
                          static_cast<std::int64_t>(kColumns)};
    chart.bands = bands_;
    chart.stacked_columns = true;
    chart.per_second = false;
    // One colour per group, the most frequent first; the rest share the last.
    for (std::size_t i = 0; i < std::min(r_.drops.size(), kKinds); ++i) {
      const DropGroup& g = r_.drops[i];
      chart.series.push_back({g.traffic.empty() ? drop_title(g) : drop_title(g) + ", " + g.traffic,
                              fmt::format("c{}", i + 1), std::vector<std::uint64_t>(kColumns, 0),
                              false});
    }
    if (r_.drops.size() > kKinds)
      chart.series.push_back({"others", "c6", std::vector<std::uint64_t>(kColumns, 0), false});
    for (const DropEntry& d : r_.drop_entries) {
      const auto column =
          std::min<std::size_t>(static_cast<std::size_t>(d.at.ps / chart.step.ps), kColumns - 1);
      ++chart.series[std::min<std::size_t>(d.group, chart.series.size() - 1)].values[column];
    }
    return time_chart(chart);
  }

  /// The slowest answer of each step: where a move or a failure was felt.
  std::string slowest_chart(const TrafficResult& t) const {
    constexpr std::int64_t kColumns = 250;
    TimeChart chart;
    chart.title = t.name + ": slowest answers over time";
    chart.end = r_.identity.reached;
    chart.step = Duration{std::max<std::int64_t>((chart.end.ps + kColumns - 1) / kColumns, 1)};
    chart.bands = bands_;
    chart.unit = "ps";
    chart.per_second = false;
    Series slowest{"slowest answer", "c2", std::vector<std::uint64_t>(kColumns, 0), true};
    for (const Sample& s : t.samples) {
      auto& most = slowest.values[static_cast<std::size_t>(
          std::clamp<std::int64_t>(s.at.ps / chart.step.ps, 0, kColumns - 1))];
      most = std::max(most, static_cast<std::uint64_t>(s.latency.ps));
    }
    chart.series.push_back(std::move(slowest));
    return time_chart(chart);
  }

  void latency() {
    if (r_.traffic.empty()) return;
    open("latency", "Latency");
    out_ += "<table>";
    row({"", right("samples"), right("min"), right("mean"), right("p50"), right("p90"),
         right("p99"), right("p99.9"), right("max")},
        "th");
    for (const TrafficResult& t : r_.traffic) {
      const LatencyFigures f = latency_of(t);
      if (f.count == 0) {
        row({t.name, right("0"), right("–"), right("–"), right("–"), right("–"), right("–"),
             right("–"), right("–")});
        continue;
      }
      const auto time = [](Duration d) { return right(human_duration(d)); };
      row({t.name, right(format_count(f.count)), time(f.min), time(f.mean), time(f.p50),
           time(f.p90), time(f.p99), time(f.p999), time(f.max)});
    }
    out_ += "</table>";
    std::size_t charts = 0;
    for (const TrafficResult& t : r_.traffic) {
      if ((t.samples.empty() && t.histogram.count == 0) || charts++ >= kMostCharts) continue;
      out_ += fmt::format("<h3>{}</h3>", escape(t.name));
      out_ += latency_chart(t);
      if (!t.samples.empty()) out_ += slowest_chart(t);
    }
    close();
  }

  void links() {
    const auto loads = busiest_links(r_);
    if (loads.empty()) return;
    open("links", loads.size() > kMostLinks ? "Links, the busiest" : "Links");
    out_ += "<table>";
    row({"", right("rate"), right("mean"), right("peak"), "", right("packets"), right("peak queue"),
         right("drops"), right("ECN marks")},
        "th");
    for (std::size_t i = 0; i < std::min(loads.size(), kMostLinks); ++i) {
      const LinkLoad& l = loads[i];
      const LinkResult& link = r_.links[l.link];
      const LinkDirection& d = link.directions[static_cast<std::size_t>(l.direction)];
      row({direction_text(r_, l), right(human_rate(link.rate_bps)),
           right(share_text(l.mean_ppm, true)), right(human_ppm(l.peak_ppm)),
           raw(bar(l.mean_ppm, 1'000'000) + bar(l.peak_ppm, 1'000'000, "s")),
           right(format_count(d.packets)), right(human_bytes(l.peak_queue_bytes)),
           right(format_count(d.drops)), right(format_count(d.ecn_marks))});
    }
    out_ +=
        "</table><div class=\"legend\"><span><i class=\"k1\"></i>mean</span><span><i "
        "class=\"k2\"></i>peak</span></div>";
    close();
  }

  void datapath() {
    const CacheResult c = total_of(std::span<const CacheResult>(r_.caches));
    if (c.lookups == 0 && r_.control.messages == 0) return;
    open("datapath", "Datapath and control");
    if (c.lookups > 0) {
      out_ += "<table>";
      row({"", right("lookups"), right("exact match"), right("megaflow"), right("slow path"),
           right("megaflows"), right("masks"), right("connections"), right("rules")},
          "th");
      const auto line = [&](const std::string& name, const CacheResult& x) {
        row({name, right(format_count(x.lookups)),
             right(human_ppm(ppm(x.exact_match_hits, x.lookups))),
             right(human_ppm(ppm(x.megaflow_hits, x.lookups))),
             right(human_ppm(ppm(x.slow_path, x.lookups))), right(format_count(x.megaflows)),
             right(format_count(x.masks)), right(format_count(x.connections)),
             right(format_count(x.rules))});
      };
      line("all", c);
      constexpr std::size_t kMostHypervisors = 16;
      for (std::size_t i = 0; i < std::min(r_.caches.size(), kMostHypervisors); ++i)
        line(r_.caches[i].node, r_.caches[i]);
      out_ += "</table>";
    }
    if (r_.control.messages > 0) {
      out_ += fmt::format("<p>Control: {}, {} · {} lost · {}</p>",
                          counted(r_.control.messages, "message"), human_bytes(r_.control.bytes),
                          format_count(r_.control.lost), counted(r_.control.resyncs, "resync"));
    }
    close();
  }

  void foot() {
    out_ += fmt::format("<footer>run digest <code>{}</code>", escape(r_.digest));
    for (const CaptureFileInfo& c : r_.captures) {
      out_ += fmt::format("<br>capture <code>{}</code>: {}", escape(c.path),
                          counted(c.packets, "packet"));
    }
    out_ += "</footer>\n";
  }

  const Results& r_;
  std::vector<Band> bands_;
  std::string out_;
};

}  // namespace

std::string report_html(const Results& results) { return Page(results).html(); }

}  // namespace weft::analysis
