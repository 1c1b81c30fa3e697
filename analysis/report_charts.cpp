// Charts over time and distributions.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "analysis/figures.h"
#include "analysis/report_parts.h"
#include "analysis/text.h"

namespace weft::analysis::report {

namespace {

constexpr double kWidth = 1000, kLeft = 62, kRight = 990, kTop = 18, kBottom = 158, kHeight = 184;

/// The least of 1, 2, 5 times a power of ten that is no less than v.
std::uint64_t nice(std::uint64_t v) {
  std::uint64_t power = 1;
  for (;;) {
    for (const std::uint64_t k : {1, 2, 5}) {
      if (k * power >= v) return k * power;
    }
    if (power > UINT64_MAX / 100) return v;
    power *= 10;
  }
}

double x_of(Time t, Time end) {
  if (end.ps <= 0) return kLeft;
  const double part =
      static_cast<double>(std::clamp<std::int64_t>(t.ps, 0, end.ps)) / static_cast<double>(end.ps);
  return kLeft + (kRight - kLeft) * part;
}

std::string line(const char* classes, double x1, double y1, double x2, double y2) {
  return fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
                     classes, x1, y1, x2, y2);
}

std::string text_at(double x, double y, const char* anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>", x, y, anchor,
                     escape(text));
}

std::string time_axis(Time end) {
  std::string svg = line("axis", kLeft, kBottom, kRight, kBottom);
  if (end.ps <= 0) return svg;
  const auto step = static_cast<std::int64_t>(nice(static_cast<std::uint64_t>((end.ps + 9) / 10)));
  for (std::int64_t t = 0; t <= end.ps; t += step) {
    const double x = x_of(Time{t}, end);
    svg += line("axis", x, kBottom, x, kBottom + 4);
    svg += text_at(x, kBottom + 17,
                   t == 0            ? "start"
                   : x > kRight - 20 ? "end"
                                     : "middle",
                   human_time(Time{t}));
    if (t > end.ps - step) break;
  }
  return svg;
}

std::string bands_svg(const std::vector<Band>& bands, Time end) {
  std::string svg;
  double label_free = 0;
  for (const Band& b : bands) {
    const double x1 = x_of(b.from, end);
    const double width = std::max(x_of(b.to, end) - x1, 1.0);
    svg += fmt::format(
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\">"
        "<title>{}: {} – {}</title></rect>",
        b.bad ? "badband" : "band", x1, kTop, width, kBottom - kTop, escape(b.name),
        human_time(b.from), human_time(b.to));
    if (x1 >= label_free) {
      svg += text_at(x1 + 3, kTop - 5, "start", b.name);
      label_free = x1 + 7.0 * static_cast<double>(display_width(b.name)) + 10;
    }
  }
  return svg;
}

std::string legend(const std::vector<Series>& series) {
  std::string html = "<div class=\"legend\">";
  for (const Series& s : series) {
    html += fmt::format("<span><i class=\"k{}\"></i>{}</span>", s.colour.substr(1), escape(s.name));
  }
  return html + "</div>";
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string chart_data(const TimeChart& c, double scale) {
  std::string series;
  for (const Series& s : c.series) {
    if (!series.empty()) series += ',';
    series +=
        fmt::format("{{\"name\":{},\"values\":[{}]}}", json_text(s.name), fmt::join(s.values, ","));
  }
  const int digits = c.step < milliseconds(1) ? 6 : c.step < seconds(1) ? 3 : 0;
  return fmt::format(
      "{{\"width\":{},\"left\":{},\"right\":{},\"end\":{:.9f},\"step\":{:.9f},\"digits\":{},"
      "\"scale\":{:.6f},\"unit\":{},\"series\":[{}]}}",
      kWidth, kLeft, kRight, (c.end - Time{}).seconds(), c.step.seconds(), digits, scale,
      json_text(c.unit.empty() ? "" : " " + c.unit), series);
}

/// Per-second value of a column's sum, rounded down.
std::uint64_t per_second(std::uint64_t v, Duration step) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(v) * 1'000'000'000'000 /
                                    static_cast<std::uint64_t>(std::max<std::int64_t>(step.ps, 1)));
}

}  // namespace

std::vector<Band> bands_of(const Results& results) {
  std::vector<Band> bands;
  const auto is_migration = [&](const std::string& name) {
    return std::any_of(results.migrations.begin(), results.migrations.end(),
                       [&](const MigrationResult& m) { return m.name == name; });
  };
  for (const MigrationResult& m : results.migrations) {
    if (m.started) {
      bands.push_back({m.name, *m.started, m.ended.value_or(results.identity.reached), false});
    }
  }
  for (const EventResult& e : results.events) {
    if (e.started && !is_migration(e.name)) {
      bands.push_back({e.name, *e.started, e.ended.value_or(results.identity.reached), true});
    }
  }
  std::stable_sort(bands.begin(), bands.end(),
                   [](const Band& a, const Band& b) { return a.from < b.from; });
  return bands;
}

std::size_t columns_for(std::size_t buckets, std::size_t most) {
  return buckets <= most ? 1 : (buckets + most - 1) / most;
}

std::string time_chart(const TimeChart& c) {
  std::size_t columns = 0;
  for (const Series& s : c.series) columns = std::max(columns, s.values.size());
  if (columns == 0 || c.end.ps <= 0) return "<p class=\"dim\">no data</p>";
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < columns; ++i) {
    std::uint64_t stack = 0;
    for (const Series& s : c.series) {
      const std::uint64_t v = i < s.values.size() ? s.values[i] : 0;
      stack = c.stacked_columns ? stack + v : std::max(stack, v);
    }
    most = std::max(most, stack);
  }
  const std::uint64_t shown_most =
      nice(std::max<std::uint64_t>(c.per_second ? per_second(most, c.step) : most, 1));
  const double scale = c.per_second ? 1e12 / static_cast<double>(c.step.ps) : 1.0;
  const double height_per = (kBottom - kTop) * scale / static_cast<double>(shown_most);
  const auto y_of = [&](std::uint64_t v) { return kBottom - height_per * static_cast<double>(v); };
  const auto column_x = [&](std::size_t i) {
    return x_of(Time{} + c.step * static_cast<std::int64_t>(i), c.end);
  };

  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" data-chart=\"{}\">",
                                kWidth, kHeight, escape(chart_data(c, scale)));
  svg += fmt::format("<title>{}</title>", escape(c.title));
  svg += bands_svg(c.bands, c.end);
  for (std::uint64_t part = 1; part <= 2; ++part) {
    const double y = kBottom - (kBottom - kTop) * static_cast<double>(part) / 2;
    svg += line("grid", kLeft, y, kRight, y);
    const std::uint64_t value = shown_most * part / 2;
    std::string label = c.unit == "b/s"  ? human_rate(value)
                        : c.unit == "ps" ? human_duration({static_cast<std::int64_t>(value)})
                                         : human_figure(value);
    if (shown_most == 1 && part == 1) label = "0.5";
    svg += text_at(kLeft - 6, y + 4, "end", label + (c.per_second && c.unit.empty() ? "/s" : ""));
  }
  svg += time_axis(c.end);
  std::vector<std::uint64_t> below(columns, 0);
  for (const Series& s : c.series) {
    if (c.stacked_columns) {
      std::string path;
      for (std::size_t i = 0; i < s.values.size(); ++i) {
        if (s.values[i] == 0) continue;
        const double x = column_x(i);
        path += fmt::format("M{:.1f} {:.1f}V{:.1f}H{:.1f}V{:.1f}Z", x, y_of(below[i]),
                            y_of(below[i] + s.values[i]), std::max(column_x(i + 1) - 0.6, x + 0.8),
                            y_of(below[i]));
        below[i] += s.values[i];
      }
      svg += fmt::format("<path class=\"f {}\" d=\"{}\"/>", s.colour, path);
      continue;
    }
    std::string path;
    double last_y = -1;
    for (std::size_t i = 0; i < s.values.size(); ++i) {
      // Steps: a column holds from its start to its end. Equal neighbours need no point.
      const double y = y_of(s.values[i]);
      if (i == 0) path = fmt::format("M{:.1f} {:.1f}", column_x(0), y);
      if (i > 0 && y != last_y) path += fmt::format("H{:.1f}V{:.1f}", column_x(i), y);
      last_y = y;
    }
    path += fmt::format("H{:.1f}", column_x(s.values.size()));
    if (s.area) {
      svg += fmt::format("<path class=\"f area {}\" d=\"{}V{}H{:.1f}Z\"/>", s.colour, path, kBottom,
                         column_x(0));
    }
    svg += fmt::format("<path class=\"l {}\" d=\"{}\"/>", s.colour, path);
  }
  svg += line("cursor", kLeft, kTop, kLeft, kBottom);
  return legend(c.series) + svg + "</svg>";
}

std::string latency_chart(const TrafficResult& traffic) {
  LatencyHistogram built;
  const LatencyHistogram* h = &traffic.histogram;
  if (h->count < traffic.samples.size()) {
    for (const Sample& s : traffic.samples) built.add(s.latency);
    h = &built;
  }
  if (h->count == 0) return "<p class=\"dim\">nothing was measured</p>";
  // The histogram's buckets are nearly logarithmic: their index is the axis.
  const std::size_t pad = 1u << (LatencyHistogram::kSubBits - 1);
  const std::size_t low = LatencyHistogram::bucket_of(h->min_ps);
  const std::size_t first = low > pad ? low - pad : 0;
  const std::size_t last = LatencyHistogram::bucket_of(h->max_ps) + pad;
  const std::size_t join = columns_for(last - first, 96);
  std::vector<std::uint64_t> columns((last - first + join - 1) / join, 0);
  for (std::size_t b = first; b < std::min(last, h->buckets.size()); ++b) {
    columns[(b - first) / join] += h->buckets[b];
  }
  const std::uint64_t most = *std::max_element(columns.begin(), columns.end());
  // Each bucket is a position; between its bounds the axis is linear.
  const auto x_at = [&](std::int64_t ps) {
    const std::size_t b = LatencyHistogram::bucket_of(ps);
    const auto lower = static_cast<double>(LatencyHistogram::lower_bound_of(b));
    const auto upper = static_cast<double>(LatencyHistogram::lower_bound_of(b + 1));
    const double inside = (static_cast<double>(ps) - lower) / (upper - lower);
    const double position = static_cast<double>(b) + inside - static_cast<double>(first);
    return kLeft + (kRight - kLeft) * position / static_cast<double>(columns.size() * join);
  };
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\"><title>{}</title>", kWidth,
                                kHeight, escape(traffic.name + ": latency distribution"));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] == 0) continue;
    const double width = (kRight - kLeft) / static_cast<double>(columns.size());
    // The least visible height is one unit: a single slow answer must be seen.
    const double height = std::max(
        (kBottom - kTop) * static_cast<double>(columns[i]) / static_cast<double>(most), 1.5);
    const std::size_t b = first + i * join;
    svg += fmt::format(
        "<rect class=\"f c1\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
        "<title>{} – {}: {}</title></rect>",
        kLeft + width * static_cast<double>(i), kBottom - height, std::max(width - 1.0, 1.0),
        height, human_duration(Duration{LatencyHistogram::lower_bound_of(b)}),
        human_duration(Duration{LatencyHistogram::lower_bound_of(b + join)}),
        human_figure(columns[i]));
  }
  svg += line("axis", kLeft, kBottom, kRight, kBottom);
  for (std::int64_t decade = 1; decade > 0 && decade <= h->max_ps; decade *= 10) {
    for (const std::int64_t k : {1, 2, 5}) {
      const std::int64_t ps = decade > INT64_MAX / 10 ? decade : decade * k;
      if (ps < LatencyHistogram::lower_bound_of(first)) continue;
      const double x = x_at(ps);
      if (x > kRight) break;
      svg += line("axis", x, kBottom, x, kBottom + 4);
      svg += text_at(x, kBottom + 17, "middle", human_duration(Duration{ps}));
    }
    if (decade > INT64_MAX / 10) break;
  }
  const LatencyFigures f = latency_of(traffic);
  double free = 0;
  double y = kTop - 5;
  const std::pair<const char*, Duration> marks[] = {
      {"p50", f.p50}, {"p90", f.p90}, {"p99", f.p99}, {"max", f.max}};
  for (const auto& [name, value] : marks) {
    const double x = std::min(x_at(value.ps), kRight);
    const std::string label = fmt::format("{} {}", name, human_duration(value));
    const double width = 6.2 * static_cast<double>(display_width(label));
    y = x < free ? y + 13 : kTop - 5;
    free = std::max(free, x + width + 8);
    svg += line("mark", x, y + 3, x, kBottom);
    svg += x + width > kRight ? text_at(x - 3, y, "end", label) : text_at(x + 3, y, "start", label);
  }
  return svg + "</svg>";
}

std::string migration_timeline(const MigrationResult& m) {
  if (!m.started || m.rounds.empty()) return {};
  const Time begin = *m.started;
  const Time end = std::max(m.ended.value_or(m.rounds.back().to), m.rounds.back().to);
  if (end == begin) return {};
  const auto x_at = [&](Time t) {
    return kLeft + (kRight - kLeft) * static_cast<double>((t - begin).ps) /
                       static_cast<double>((end - begin).ps);
  };
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} 92\" role=\"img\"><title>{}</title>", kWidth,
                                escape(m.name + ": time line"));
  // Two lines for names: what does not fit beside its neighbour goes above it.
  double free[2] = {0, 0};
  for (const MigrationRound& r : m.rounds) {
    const double x = x_at(r.from);
    const double width = std::max(x_at(r.to) - x, 1.5);
    const std::string name = r.stop_and_copy ? "stop-and-copy" : fmt::format("round {}", r.number);
    svg += fmt::format(
        "<rect class=\"f {}\" x=\"{:.1f}\" y=\"36\" width=\"{:.1f}\" height=\"26\" rx=\"2\">"
        "<title>{}: {} – {} ({}), {} sent, {} dirtied</title></rect>",
        r.stop_and_copy     ? "c2"
        : r.number % 2 == 1 ? "c1"
                            : "c3",
        x, std::max(width - 0.8, 1.2), name, human_time(r.from), human_time(r.to),
        human_duration(r.to - r.from), human_bytes(r.bytes), human_bytes(r.dirtied));
    const double label = 6.8 * static_cast<double>(name.size());
    const int row = x >= free[0] ? 0 : x >= free[1] ? 1 : -1;
    if (row < 0 || x + label > kRight) continue;
    svg += fmt::format("<text class=\"label\" x=\"{:.1f}\" y=\"{}\">{}</text>", x,
                       row == 0 ? 30 : 14, name);
    free[row] = x + label + 10;
  }
  svg += line("axis", kLeft, 68, kRight, 68);
  const auto step =
      static_cast<std::int64_t>(nice(static_cast<std::uint64_t>(((end - begin).ps + 7) / 8)));
  for (std::int64_t t = 0; t <= (end - begin).ps; t += step) {
    const double x = x_at(begin + Duration{t});
    svg += line("axis", x, 68, x, 72);
    svg += text_at(x, 85,
                   t == 0            ? "start"
                   : x > kRight - 20 ? "end"
                                     : "middle",
                   t == 0 ? human_time(begin) : "+" + human_duration(Duration{t}));
  }
  return svg + "</svg>";
}

}  // namespace weft::analysis::report
