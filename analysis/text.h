// Text for people: rounded quantities, UTF-8 widths, aligned tables. Rounding is done with
// integers, so what a report says is the same on every machine. Nothing here is read back by a
// program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weft::analysis {

/// "84.2 µs", "1.21 ms", "2 s", "0 s": three significant digits.
std::string human_duration(Duration d);
/// As human_duration, but with the digits a point in time needs: "2.3141 s".
std::string human_time(Time t);
/// "4.42 GB": powers of 1000.
std::string human_bytes(std::uint64_t bytes);
/// "419 Mb/s".
std::string human_rate(std::uint64_t bits_per_second);
/// "12.3 M", "340 k", "12": for figures per second.
std::string human_figure(std::uint64_t n);
/// "97.1 %" of parts per million; "100 %", "0 %" only if exact.
std::string human_ppm(std::uint64_t ppm);
/// The same of something that is `there`: never "0 %", if so little that it rounds to that.
std::string share_text(std::uint64_t ppm, bool there);
/// "1 lookup", "3 lookups".
std::string counted(std::uint64_t n, std::string_view singular);
/// "scenario.yaml:41", without folders; empty if the place is unknown.
std::string short_place(const Place& place);
/// Seconds with nine digits, rounded down: "2.000000001".
std::string seconds_text(Time t);

/// For text and attribute values of HTML, SVG and XML; control characters become '?'.
std::string escape(std::string_view text);

/// a * 1'000'000 / b, rounded down, at most 2^64 - 1; 0 if b is 0.
std::uint64_t ppm(std::uint64_t a, std::uint64_t b);
/// Bits per second of `bytes` over `over`; 0 if it took no time.
std::uint64_t rate_bps(std::uint64_t bytes, Duration over);

/// Columns that a terminal needs: code points (wide and combining characters are not expected).
std::size_t display_width(std::string_view utf8);
/// At most `width` columns; what is cut ends in "…".
std::string fit(std::string_view utf8, std::size_t width);
/// Breaks at spaces so that no line is wider; a word that is wider by itself is kept whole.
std::vector<std::string> wrap(std::string_view utf8, std::size_t width);

enum class Align : std::uint8_t { left, right };

/// Rows of cells under headings, each column as wide as it must be, two spaces apart. If the table
/// is wider than `width`, its widest left-aligned columns give way.
class Table {
 public:
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);
  std::vector<std::string> lines(std::size_t width) const;
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace weft::analysis
