// Quantities as people write them: "25Gbps", "1us", "64KB" (1000 bytes each), "4GiB", "200/s",
// "0.1%". A unit is always written; a number alone is an error that says which units fit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace weft {

/// Bits per second.
struct BitRate {
  std::uint64_t bps = 0;
  constexpr auto operator<=>(const BitRate&) const = default;
};
/// Bytes.
struct ByteCount {
  std::uint64_t bytes = 0;
  constexpr auto operator<=>(const ByteCount&) const = default;
};
/// Events per 1000 seconds: "200/s" is 200'000, "0.5/s" is 500. Also k/s, M/s, /min.
struct Frequency {
  std::uint64_t per_kilosecond = 0;
  constexpr auto operator<=>(const Frequency&) const = default;
};
/// Parts per billion: "1%" is 10'000'000, "0.001" is 1'000'000, "1e-6" is 1'000.
struct Probability {
  std::uint64_t ppb = 0;
  constexpr auto operator<=>(const Probability&) const = default;
};

/// ps, ns, us, ms, s, min, h. Decimals are exact: "1.5us"; more digits than a picosecond is an
/// error.
Result<Duration> parse_duration(std::string_view text);
/// bps, Kbps, Mbps, Gbps, Tbps (powers of 1000).
Result<BitRate> parse_rate(std::string_view text);
/// B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of 1024).
Result<ByteCount> parse_bytes(std::string_view text);
/// As parse_bytes, followed by "/s".
Result<ByteCount> parse_bytes_per_second(std::string_view text);
Result<Frequency> parse_frequency(std::string_view text);
Result<Probability> parse_probability(std::string_view text);

/// The shortest exact form where there is one ("1us", "2.5ms"), else three significant digits.
std::string format_duration(Duration d);
std::string format_time(Time t);
std::string format_rate(BitRate r);
std::string format_bytes(ByteCount b);
/// 1234567 -> "1 234 567".
std::string format_count(std::uint64_t n);

/// Time that `bytes` take at `rate`, rounded up to a whole picosecond.
Duration serialisation_time(std::uint64_t bytes, BitRate rate);

}  // namespace weft
