// Simulated time: 64-bit counts of picoseconds, so that one byte at 400 Gb/s is exactly 20 ps and
// no rounding decides an order. `Time` is a point since the start of the run, `Duration` a
// difference; mixing them up does not compile. Range: about 106 days either way.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace weft {

struct Duration {
  std::int64_t ps = 0;

  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration d) const { return {ps + d.ps}; }
  constexpr Duration operator-(Duration d) const { return {ps - d.ps}; }
  constexpr Duration operator-() const { return {-ps}; }
  constexpr Duration operator*(std::int64_t k) const { return {ps * k}; }
  constexpr Duration operator/(std::int64_t k) const { return {ps / k}; }
  constexpr std::int64_t operator/(Duration d) const { return ps / d.ps; }
  constexpr Duration& operator+=(Duration d) {
    ps += d.ps;
    return *this;
  }
  constexpr Duration& operator-=(Duration d) {
    ps -= d.ps;
    return *this;
  }
  /// For people only (tables, reports): never feeds an event.
  constexpr double seconds() const { return static_cast<double>(ps) * 1e-12; }
};

constexpr Duration picoseconds(std::int64_t n) { return {n}; }
constexpr Duration nanoseconds(std::int64_t n) { return {n * 1'000}; }
constexpr Duration microseconds(std::int64_t n) { return {n * 1'000'000}; }
constexpr Duration milliseconds(std::int64_t n) { return {n * 1'000'000'000}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1'000'000'000'000}; }

struct Time {
  std::int64_t ps = 0;

  constexpr auto operator<=>(const Time&) const = default;
  constexpr Time operator+(Duration d) const { return {ps + d.ps}; }
  constexpr Time operator-(Duration d) const { return {ps - d.ps}; }
  constexpr Duration operator-(Time t) const { return {ps - t.ps}; }
  constexpr Time& operator+=(Duration d) {
    ps += d.ps;
    return *this;
  }
  constexpr double seconds() const { return static_cast<double>(ps) * 1e-12; }
  static constexpr Time never() { return {std::numeric_limits<std::int64_t>::max()}; }
};

}  // namespace weft
