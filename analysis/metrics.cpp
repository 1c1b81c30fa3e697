#include <fmt/format.h>

#include <string_view>

#include "analysis/figures.h"
#include "analysis/outputs.h"
#include "analysis/text.h"

namespace weft::analysis {

namespace {

/// RFC 4180: quoted only where it must be.
std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

/// Collects rows of one object at a time.
class Writer {
 public:
  Writer(const Results& results, const std::function<void(const std::string&)>& sink)
      : results_(results), sink_(sink), end_(seconds_text(results.identity.reached)) {}

  void object(const std::string& name) { object_ = csv_field(name); }
  void total(std::string_view metric, std::uint64_t value, std::string_view unit) {
    row(end_, metric, value, unit);
  }
  void total(std::string_view metric, Duration value) {
    sink_(fmt::format("{},{},{},{},ps\n", end_, object_, metric, value.ps));
  }
  void point(Time at, std::string_view metric, std::uint64_t value, std::string_view unit) {
    row(seconds_text(at), metric, value, unit);
  }

  void run() {
    object("run");
    const Totals& t = results_.totals;
    total("events", results_.engine.events, "events");
    total("packets_created", t.created, "packets");
    total("packets_delivered", t.delivered, "packets");
    total("packets_consumed", t.consumed, "packets");
    total("packets_dropped", t.dropped, "packets");
    total("packets_in_flight", t.in_flight, "packets");
    total("packet_hops", t.packet_hops, "packets");
    for (const ReasonCount& r : t.by_reason) {
      total(fmt::format("dropped.{}", r.reason), r.count, "packets");
    }
  }

  void counters(const PairResult& p) {
    total("sent", p.sent, "count");
    total("delivered", p.delivered, "count");
    total("lost", p.lost(), "count");
    total("pending", p.pending, "count");
    total("duplicates", p.duplicates, "count");
    total("reordered", p.reordered, "count");
    total("bytes", p.bytes, "bytes");
    total("connections_opened", p.connections_opened, "count");
    total("connections_closed", p.connections_closed, "count");
    total("connections_lost", p.connections_lost, "count");
    total("completed", p.completed, "count");
    total("retransmits", p.retransmits, "count");
  }

  void traffic(const TrafficResult& t) {
    const std::string name = "traffic/" + t.name;
    object(name);
    counters(total_of(t));
    total("goodput", goodput_bps(t), "bps");
    const LatencyFigures f = latency_of(t);
    total("latency_samples", f.count, "count");
    if (f.count > 0) {
      total("latency_min", f.min);
      total("latency_mean", f.mean);
      total("latency_p50", f.p50);
      total("latency_p90", f.p90);
      total("latency_p99", f.p99);
      total("latency_p999", f.p999);
      total("latency_max", f.max);
    }
    if (t.pairs.size() > 1) {
      for (const PairResult& p : t.pairs) {
        object(fmt::format("{}/{}>{}", name, p.from, p.to));
        counters(p);
      }
      object(name);
    }
    Time at{};
    for (const TrafficPoint& p : t.series) {
      if (p.sent != 0) point(at, "sent", p.sent, "count");
      if (p.delivered != 0) point(at, "delivered", p.delivered, "count");
      if (p.bytes != 0) point(at, "bytes", p.bytes, "bytes");
      if (p.retransmits != 0) point(at, "retransmits", p.retransmits, "count");
      if (p.connections_lost != 0) point(at, "connections_lost", p.connections_lost, "count");
      at += results_.traffic_interval;
    }
  }

  void link(std::size_t index) {
    const LinkResult& l = results_.links[index];
    for (int d = 0; d < 2; ++d) {
      const LinkDirection& way = l.directions[static_cast<std::size_t>(d)];
      object(fmt::format("link/{}/{}>{}", l.name, results_.nodes[way.from].name,
                         results_.nodes[way.to].name));
      total("packets", way.packets, "packets");
      total("bytes", way.bytes, "bytes");
      total("drops", way.drops, "packets");
      total("ecn_marks", way.ecn_marks, "packets");
      total("peak_queue", way.peak_queue_bytes, "bytes");
      total("utilisation", load_of(results_, index, d).mean_ppm, "ppm");
      Time at{};
      for (const LinkPoint& p : way.series) {
        if (p.bytes != 0) point(at, "bytes", p.bytes, "bytes");
        if (p.drops != 0) point(at, "drops", p.drops, "packets");
        if (p.peak_queue_bytes != 0) point(at, "peak_queue", p.peak_queue_bytes, "bytes");
        at += results_.link_interval;
      }
    }
  }

  void migration(const MigrationResult& m) {
    object("migration/" + m.name);
    total("done", m.state == MigrationState::done, "bool");
    if (!m.started) return;
    total("started", *m.started - Time{});
    if (m.ended) total("total_time", *m.ended - *m.started);
    total("downtime", m.downtime);
    total("rounds", pre_copy_rounds(m), "count");
    total("bytes", m.total_bytes, "bytes");
    total("packets_lost", m.packets_lost, "packets");
    for (const MigrationRound& r : m.rounds) {
      point(r.from, "round_bytes", r.bytes, "bytes");
      point(r.from, "round_dirtied", r.dirtied, "bytes");
      point(r.from, "round_time", static_cast<std::uint64_t>((r.to - r.from).ps), "ps");
    }
  }

  void caches(const CacheResult& c, const std::string& name) {
    object(name);
    total("lookups", c.lookups, "count");
    total("exact_match_hits", c.exact_match_hits, "count");
    total("megaflow_hits", c.megaflow_hits, "count");
    total("slow_path", c.slow_path, "count");
    total("hit_ratio", hit_ratio_ppm(c), "ppm");
    total("megaflows", c.megaflows, "count");
    total("masks", c.masks, "count");
    total("connections", c.connections, "count");
    total("rules", c.rules, "count");
    total("tuples", c.tuples, "count");
  }

  void control() {
    const ControlResult& c = results_.control;
    object("control");
    total("messages", c.messages, "count");
    total("bytes", c.bytes, "bytes");
    total("lost", c.lost, "count");
    total("resyncs", c.resyncs, "count");
    const LatencyFigures f = latency_of(std::span<const Sample>(c.programming));
    total("programming_samples", f.count, "count");
    if (f.count == 0) return;
    total("programming_p50", f.p50);
    total("programming_p99", f.p99);
    total("programming_max", f.max);
  }

  void drops() {
    for (const DropGroup& g : results_.drops) {
      object(fmt::format("drops/{}/{}", g.traffic.empty() ? "-" : g.traffic, drop_title(g)));
      total("count", g.count, "packets");
    }
  }

 private:
  void row(std::string_view at, std::string_view metric, std::uint64_t value,
           std::string_view unit) {
    sink_(fmt::format("{},{},{},{},{}\n", at, object_, metric, value, unit));
  }

  const Results& results_;
  const std::function<void(const std::string&)>& sink_;
  std::string end_;
  std::string object_;
};

}  // namespace

void write_metrics_csv(const Results& results,
                       const std::function<void(const std::string&)>& sink) {
  sink("time,object,metric,value,unit\n");
  Writer w(results, sink);
  w.run();
  for (const TrafficResult& t : results.traffic) w.traffic(t);
  for (const MigrationResult& m : results.migrations) w.migration(m);
  w.drops();
  w.control();
  w.caches(total_of(std::span<const CacheResult>(results.caches)), "caches");
  for (const CacheResult& c : results.caches) w.caches(c, "caches/" + c.node);
  for (std::size_t i = 0; i < results.links.size(); ++i) w.link(i);
}

std::string metrics_csv(const Results& results) {
  std::string text;
  write_metrics_csv(results, [&](const std::string& part) { text += part; });
  return text;
}

}  // namespace weft::analysis
