#include "analysis/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "base/units.h"

namespace weft::analysis {

namespace {

struct Unit {
  std::uint64_t size;
  const char* name;
};

/// value / unit rounded to `digits` significant digits (at least those before the point), trailing
/// zeros cut. Units ascend in size; the one is taken in which the rounded value is at least 1.
std::string significant(std::uint64_t value, const std::vector<Unit>& units, int digits) {
  std::size_t u = 0;
  while (u + 1 < units.size() && value >= units[u + 1].size) ++u;
  for (;; ++u) {
    const std::uint64_t size = units[u].size;
    int decimals = digits;
    for (std::uint64_t whole = value / size; whole > 0; whole /= 10) --decimals;
    if (value < size) decimals = digits - 1;
    decimals = std::max(decimals, 0);
    std::uint64_t scale = 1;
    for (int i = 0; i < decimals; ++i) scale *= 10;
    if (size < scale) {  // an exact count of the smallest unit
      scale = 1;
      decimals = 0;
    }
    const auto scaled = static_cast<std::uint64_t>(
        (static_cast<unsigned __int128>(value) * scale + size / 2) / size);
    // 999.96 us rounds up to 1000: that is 1 ms.
    if (u + 1 < units.size() && static_cast<unsigned __int128>(scaled) * size >=
                                    static_cast<unsigned __int128>(units[u + 1].size) * scale) {
      continue;
    }
    std::string text = fmt::format("{}", scaled / scale);
    if (scaled % scale != 0) {
      std::string rest = fmt::format("{:0{}}", scaled % scale, decimals);
      while (rest.back() == '0') rest.pop_back();
      text += "." + rest;
    }
    const std::string name = units[u].name;
    return name.empty() ? text : text + " " + name;
  }
}

const std::vector<Unit>& time_units() {
  static const std::vector<Unit> units = {
      {1, "ps"}, {1'000, "ns"}, {1'000'000, "µs"}, {1'000'000'000, "ms"}, {1'000'000'000'000, "s"}};
  return units;
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string human_duration(Duration d) {
  if (d.ps == 0) return "0 s";
  const bool negative = d.ps < 0;
  const auto magnitude =
      negative ? 0 - static_cast<std::uint64_t>(d.ps) : static_cast<std::uint64_t>(d.ps);
  return (negative ? "-" : "") + significant(magnitude, time_units(), 3);
}

std::string human_time(Time t) {
  if (t == Time::never()) return "never";
  if (t.ps <= 0) return human_duration(Duration{t.ps});
  return significant(static_cast<std::uint64_t>(t.ps), time_units(), 6);
}

std::string human_bytes(std::uint64_t bytes) {
  return significant(bytes,
                     {{1, "B"},
                      {1'000, "KB"},
                      {1'000'000, "MB"},
                      {1'000'000'000, "GB"},
                      {1'000'000'000'000, "TB"}},
                     3);
}

std::string human_rate(std::uint64_t bits_per_second) {
  return significant(bits_per_second,
                     {{1, "b/s"},
                      {1'000, "Kb/s"},
                      {1'000'000, "Mb/s"},
                      {1'000'000'000, "Gb/s"},
                      {1'000'000'000'000, "Tb/s"}},
                     3);
}

std::string human_figure(std::uint64_t n) {
  return significant(n, {{1, ""}, {1'000, "k"}, {1'000'000, "M"}, {1'000'000'000, "G"}}, 3);
}

std::string human_ppm(std::uint64_t ppm) {
  if (ppm == 0) return "0 %";
  if (ppm < 1'000'000 && ppm >= 999'500)
    return fmt::format("{}.{:02} %", ppm / 10'000, ppm / 100 % 100);
  if (ppm < 1'000) return ppm < 100 ? "<0.01 %" : fmt::format("0.{:02} %", ppm / 100);
  return significant(ppm, {{10'000, "%"}}, 3);
}

std::string share_text(std::uint64_t ppm, bool there) {
  return human_ppm(there && ppm == 0 ? 1 : ppm);
}

std::string counted(std::uint64_t n, std::string_view singular) {
  return fmt::format("{} {}{}", format_count(n), singular, n == 1 ? "" : "s");
}

std::string short_place(const Place& place) {
  if (place.file.empty() && place.line == 0) return {};
  const std::string name = place.file.substr(place.file.rfind('/') + 1);
  return place.line == 0 ? name : fmt::format("{}:{}", name, place.line);
}

std::string seconds_text(Time t) {
  const bool negative = t.ps < 0;
  const auto ns =
      (negative ? 0 - static_cast<std::uint64_t>(t.ps) : static_cast<std::uint64_t>(t.ps)) / 1'000;
  return fmt::format("{}{}.{:09}", negative ? "-" : "", ns / 1'000'000'000, ns % 1'000'000'000);
}

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\n':
        out += "&#10;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\t' ? '?' : c;
    }
  }
  return out;
}

std::uint64_t ppm(std::uint64_t a, std::uint64_t b) {
  if (b == 0) return 0;
  const unsigned __int128 v = static_cast<unsigned __int128>(a) * 1'000'000 / b;
  const auto most = std::numeric_limits<std::uint64_t>::max();
  return v > most ? most : static_cast<std::uint64_t>(v);
}

std::uint64_t rate_bps(std::uint64_t bytes, Duration over) {
  if (over.ps <= 0) return 0;
  const unsigned __int128 v = static_cast<unsigned __int128>(bytes) * 8 * 1'000'000'000'000 /
                              static_cast<std::uint64_t>(over.ps);
  const auto most = std::numeric_limits<std::uint64_t>::max();
  return v > most ? most : static_cast<std::uint64_t>(v);
}

std::size_t display_width(std::string_view utf8) {
  return static_cast<std::size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return !continues(c); }));
}

std::string fit(std::string_view utf8, std::size_t width) {
  if (display_width(utf8) <= width) return std::string(utf8);
  if (width == 0) return {};
  std::size_t columns = 0;
  std::size_t end = 0;
  for (; end < utf8.size(); ++end) {
    if (!continues(utf8[end]) && ++columns == width) break;
  }
  return std::string(utf8.substr(0, end)) + "…";
}

std::vector<std::string> wrap(std::string_view utf8, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  while (!utf8.empty()) {
    const std::size_t end = std::min(utf8.find(' '), utf8.size());
    const std::string_view word = utf8.substr(0, end);
    if (!line.empty() && display_width(line) + 1 + display_width(word) > width) {
      lines.push_back(std::move(line));
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
    utf8.remove_prefix(std::min(end + 1, utf8.size()));
  }
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

void Table::add(std::vector<std::string> cells) {
  WEFT_CHECK(cells.size() <= columns_.size(), "{} cells in a table of {}", cells.size(),
             columns_.size());
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<std::string> Table::lines(std::size_t width) const {
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], display_width(row[c]));
  }
  std::size_t total = columns_.empty() ? 0 : 2 * (columns_.size() - 1);
  for (const std::size_t w : widths) total += w;
  constexpr std::size_t kLeast = 8;
  while (total > width) {
    std::size_t widest = columns_.size();
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c] == Align::left && widths[c] > kLeast &&
          (widest == columns_.size() || widths[c] > widths[widest])) {
        widest = c;
      }
    }
    if (widest == columns_.size()) break;
    --widths[widest];
    --total;
  }
  std::vector<std::string> lines;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string cell = fit(row[c], widths[c]);
      const std::string space(widths[c] - display_width(cell), ' ');
      if (c > 0) line += "  ";
      line += columns_[c] == Align::left ? cell + space : space + cell;
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace weft::analysis
