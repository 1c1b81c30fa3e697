#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <span>
#include <vector>

#include "base/names.h"

namespace weft {
namespace {

using Wide = unsigned __int128;

constexpr Wide kWideMax = ~Wide{0};

/// digits * 10^exponent, exactly as written.
struct Decimal {
  Wide digits = 0;
  int exponent = 0;
};

/// One unit and what it is worth: multiplier / divisor of the smallest step of the quantity.
struct Unit {
  std::string_view name;
  std::uint64_t multiplier;
  std::uint64_t divisor = 1;  ///< Not 1: the result is rounded to the nearest step.
};

struct Quantity {
  std::string_view what;     ///< "a duration"
  std::string_view example;  ///< "1us"
  std::string_view step;     ///< the smallest step: "1ps"
  std::span<const Unit> units;
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
};

constexpr std::array<Unit, 7> kTimeUnits{{{"ps", 1},
                                          {"ns", 1'000},
                                          {"us", 1'000'000},
                                          {"ms", 1'000'000'000},
                                          {"s", 1'000'000'000'000},
                                          {"min", 60'000'000'000'000},
                                          {"h", 3'600'000'000'000'000}}};
constexpr std::array<Unit, 5> kRateUnits{{{"bps", 1},
                                          {"Kbps", 1'000},
                                          {"Mbps", 1'000'000},
                                          {"Gbps", 1'000'000'000},
                                          {"Tbps", 1'000'000'000'000}}};
constexpr std::array<Unit, 9> kByteUnits{{{"B", 1},
                                          {"KB", 1'000},
                                          {"MB", 1'000'000},
                                          {"GB", 1'000'000'000},
                                          {"TB", 1'000'000'000'000},
                                          {"KiB", 1ULL << 10},
                                          {"MiB", 1ULL << 20},
                                          {"GiB", 1ULL << 30},
                                          {"TiB", 1ULL << 40}}};
constexpr std::array<Unit, 9> kByteRateUnits{{{"B/s", 1},
                                              {"KB/s", 1'000},
                                              {"MB/s", 1'000'000},
                                              {"GB/s", 1'000'000'000},
                                              {"TB/s", 1'000'000'000'000},
                                              {"KiB/s", 1ULL << 10},
                                              {"MiB/s", 1ULL << 20},
                                              {"GiB/s", 1ULL << 30},
                                              {"TiB/s", 1ULL << 40}}};
constexpr std::array<Unit, 5> kFrequencyUnits{{{"/s", 1'000},
                                               {"k/s", 1'000'000},
                                               {"M/s", 1'000'000'000},
                                               {"/min", 1'000, 60},
                                               {"/h", 1'000, 3'600}}};
constexpr std::array<Unit, 2> kProbabilityUnits{{{"", 1'000'000'000}, {"%", 10'000'000}}};

constexpr Quantity kDuration{"a duration", "10us", "1ps", kTimeUnits,
                             std::numeric_limits<std::int64_t>::max()};
constexpr Quantity kRate{"a rate", "25Gbps", "1bps", kRateUnits};
constexpr Quantity kBytes{"a size", "64KB", "1B", kByteUnits};
constexpr Quantity kBytesPerSecond{"a rate in bytes", "2GB/s", "1B/s", kByteRateUnits};
constexpr Quantity kFrequency{"a frequency", "200/s", "0.001/s", kFrequencyUnits};
constexpr Quantity kProbability{"a probability", "0.1%", "0.0000001%", kProbabilityUnits,
                                1'000'000'000};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string unit_list(const Quantity& q) {
  std::string out;
  for (const Unit& u : q.units) {
    if (u.name.empty()) continue;
    if (!out.empty()) out += ", ";
    out += u.name;
  }
  return out;
}

Error make_error(std::string message, const Quantity& q) {
  return Error{
      std::move(message),
      {},
      fmt::format("{} is written like \"{}\" (units: {})", q.what, q.example, unit_list(q))};
}

/// Reads the leading number of `text`; `rest` becomes what follows it.
bool read_decimal(std::string_view text, Decimal& out, std::string_view& rest) {
  std::size_t i = 0;
  bool any = false;
  bool fraction = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !fraction) {
      fraction = true;
      continue;
    }
    if (!is_digit(c)) break;
    any = true;
    if (out.digits > (kWideMax - 9) / 10) return false;
    out.digits = out.digits * 10 + static_cast<unsigned>(c - '0');
    if (fraction) --out.exponent;
  }
  if (!any || (i > 0 && text[i - 1] == '.')) return false;
  // An exponent only where digits follow the 'e'.
  if (i + 1 < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    std::size_t j = i + 1;
    bool negative = false;
    if (text[j] == '-' || text[j] == '+') negative = text[j++] == '-';
    if (j < text.size() && is_digit(text[j])) {
      int exponent = 0;
      for (; j < text.size() && is_digit(text[j]); ++j) {
        if (exponent < 1000) exponent = exponent * 10 + (text[j] - '0');
      }
      out.exponent += negative ? -exponent : exponent;
      i = j;
    }
  }
  while (out.digits != 0 && out.digits % 10 == 0) {
    out.digits /= 10;
    ++out.exponent;
  }
  if (out.digits == 0) out.exponent = 0;
  rest = text.substr(i);
  return true;
}

Result<std::uint64_t> parse_quantity(std::string_view text, const Quantity& q) {
  if (!text.empty() && text.front() == '-') {
    return make_error(fmt::format("'{}' is negative: {} is not", text, q.what), q);
  }
  Decimal number;
  std::string_view name;
  if (!read_decimal(text, number, name)) {
    return make_error(fmt::format("'{}' is not {}", text, q.what), q);
  }
  if (name.size() > 1 && name.front() == ' ') name.remove_prefix(1);

  const Unit* unit = nullptr;
  for (const Unit& u : q.units) {
    if (u.name == name) unit = &u;
  }
  if (unit == nullptr) {
    if (name.empty()) return make_error(fmt::format("'{}' has no unit", text), q);
    std::vector<std::string> names;
    for (const Unit& u : q.units) {
      if (!u.name.empty()) names.emplace_back(u.name);
    }
    const std::string near = nearest_name(name, names);
    return make_error(
        fmt::format("'{}': '{}' is not a unit of {}{}", text, name, q.what,
                    near.empty() ? std::string{} : fmt::format("; did you mean '{}'?", near)),
        q);
  }

  const auto too_large = [&] { return make_error(fmt::format("'{}' is too large", text), q); };
  Wide value = number.digits;
  if (value > kWideMax / unit->multiplier) return too_large();
  value *= unit->multiplier;
  for (; number.exponent > 0; --number.exponent) {
    if (value > kWideMax / 10) return too_large();
    value *= 10;
  }
  Wide divisor = unit->divisor;
  bool exact = true;
  for (; number.exponent < 0; ++number.exponent) {
    if (value % 10 == 0) {
      value /= 10;
    } else if (divisor > kWideMax / 20) {
      divisor = kWideMax / 2;
      exact = false;
      break;
    } else {
      divisor *= 10;
    }
  }
  exact = exact && value % divisor == 0;
  if (!exact && unit->divisor == 1) {
    return make_error(fmt::format("'{}' is finer than the smallest step, {}", text, q.step), q);
  }
  const Wide rounded = value / divisor + (value % divisor >= divisor - divisor / 2 ? 1 : 0);
  if (rounded == 0 && value != 0) {
    return make_error(fmt::format("'{}' is finer than the smallest step, {}", text, q.step), q);
  }
  if (rounded > q.limit) {
    if (q.units.data() == kProbabilityUnits.data()) {
      return make_error(fmt::format("'{}' is more than 1, which is 100%", text), q);
    }
    return too_large();
  }
  return static_cast<std::uint64_t>(rounded);
}

/// value / scale with at most three decimals, or nothing if that is not exact.
std::string exact_text(std::uint64_t value, std::uint64_t scale) {
  std::uint64_t rest = value % scale;
  std::string out = fmt::format("{}", value / scale);
  if (rest == 0) return out;
  out += '.';
  for (int i = 0; i < 3 && rest != 0; ++i) {
    const Wide wide = static_cast<Wide>(rest) * 10;
    out += static_cast<char>('0' + static_cast<int>(wide / scale));
    rest = static_cast<std::uint64_t>(wide % scale);
  }
  return rest == 0 ? out : std::string{};
}

/// value / scale to three significant digits (whole digits are never dropped).
std::string rounded_text(std::uint64_t value, std::uint64_t scale) {
  int decimals = value / scale >= 100 ? 0 : value / scale >= 10 ? 1 : 2;
  Wide power = decimals == 0 ? 1 : decimals == 1 ? 10 : 100;
  const Wide scaled = (static_cast<Wide>(value) * power + scale / 2) / scale;
  std::string out = fmt::format("{}", static_cast<std::uint64_t>(scaled / power));
  std::uint64_t rest = static_cast<std::uint64_t>(scaled % power);
  if (rest == 0) return out;
  if (decimals == 2 && rest % 10 == 0) {
    rest /= 10;
    decimals = 1;
  }
  return out + (decimals == 2 ? fmt::format(".{:02}", rest) : fmt::format(".{}", rest));
}

/// The largest unit that leaves at least 1, `factor` apart, written exactly or rounded.
std::string format_scaled(std::uint64_t value, std::span<const Unit> units) {
  std::size_t i = 0;
  while (i + 1 < units.size() && value >= units[i + 1].multiplier) ++i;
  std::string text = exact_text(value, units[i].multiplier);
  if (text.empty()) {
    text = rounded_text(value, units[i].multiplier);
    if (text == "1000" && i + 1 < units.size()) {  // 999.9996ms
      text = "1";
      ++i;
    }
  }
  return text + std::string(units[i].name);
}

std::uint64_t magnitude(std::int64_t v) {
  return v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v);
}

constexpr std::uint64_t kSecond = 1'000'000'000'000;

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  auto r = parse_quantity(text, kDuration);
  if (!r) return r.error();
  return Duration{static_cast<std::int64_t>(*r)};
}

Result<BitRate> parse_rate(std::string_view text) {
  auto r = parse_quantity(text, kRate);
  if (!r) return r.error();
  return BitRate{*r};
}

Result<ByteCount> parse_bytes(std::string_view text) {
  auto r = parse_quantity(text, kBytes);
  if (!r) return r.error();
  return ByteCount{*r};
}

Result<ByteCount> parse_bytes_per_second(std::string_view text) {
  auto r = parse_quantity(text, kBytesPerSecond);
  if (!r) return r.error();
  return ByteCount{*r};
}

Result<Frequency> parse_frequency(std::string_view text) {
  auto r = parse_quantity(text, kFrequency);
  if (!r) return r.error();
  return Frequency{*r};
}

Result<Probability> parse_probability(std::string_view text) {
  auto r = parse_quantity(text, kProbability);
  if (!r) return r.error();
  return Probability{*r};
}

std::string format_duration(Duration d) {
  const std::uint64_t v = magnitude(d.ps);
  const std::string sign = d.ps < 0 ? "-" : "";
  if (v == 0) return "0s";
  if (v % (3600 * kSecond) == 0) return fmt::format("{}{}h", sign, v / (3600 * kSecond));
  if (v % (60 * kSecond) == 0) return fmt::format("{}{}min", sign, v / (60 * kSecond));
  return sign + format_scaled(v, std::span<const Unit>(kTimeUnits).first(5));
}

std::string format_time(Time t) {
  if (t == Time::never()) return "never";
  const std::uint64_t v = magnitude(t.ps);
  std::string out = fmt::format("{}{}.{:012}", t.ps < 0 ? "-" : "", v / kSecond, v % kSecond);
  while (out.back() == '0') out.pop_back();
  if (out.back() == '.') out.pop_back();
  return out + "s";
}

std::string format_rate(BitRate r) { return format_scaled(r.bps, kRateUnits); }

std::string format_bytes(ByteCount b) {
  std::string decimal = format_scaled(b.bytes, std::span<const Unit>(kByteUnits).first(5));
  if (b.bytes == 0) return decimal;
  const bool exact = parse_bytes(decimal).ok() && parse_bytes(decimal)->bytes == b.bytes;
  for (std::size_t i = kByteUnits.size(); i-- > 5;) {
    if (b.bytes % kByteUnits[i].multiplier != 0) continue;
    std::string binary =
        fmt::format("{}{}", b.bytes / kByteUnits[i].multiplier, kByteUnits[i].name);
    if (!exact || binary.size() < decimal.size()) return binary;
    break;
  }
  return decimal;
}

std::string format_count(std::uint64_t n) {
  const std::string digits = fmt::format("{}", n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ' ';
    out += digits[i];
  }
  return out;
}

Duration serialisation_time(std::uint64_t bytes, BitRate rate) {
  WEFT_CHECK(rate.bps > 0, "a rate of 0 bps never sends {} bytes", bytes);
  const Wide bit_picoseconds = static_cast<Wide>(bytes) * 8 * kSecond;
  const Wide ps = (bit_picoseconds + rate.bps - 1) / rate.bps;
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  return Duration{ps > static_cast<Wide>(kMax) ? kMax : static_cast<std::int64_t>(ps)};
}

}  // namespace weft
