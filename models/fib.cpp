#include "models/fib.h"

#include <algorithm>
#include <array>
#include <bit>

namespace weft::models {
namespace {

Ip4 mask_of(Ip4, int length) { return {length == 0 ? 0 : ~std::uint32_t{0} << (32 - length)}; }
Ip6 mask_of(const Ip6&, int length) {
  auto half = [](int n) { return n <= 0 ? 0 : n >= 64 ? ~0ULL : ~0ULL << (64 - n); };
  return {half(length), half(length - 64)};
}

}  // namespace

template <class Bits>
void Fib::size(Tables<Bits>& tables, int length, std::size_t entries) {
  if (entries == 0) return;
  Table<Bits>& table = tables.emplace_back();
  table.length = length;
  table.mask = mask_of(Bits{}, length);
  const std::size_t slots = std::bit_ceil(std::max<std::size_t>(entries * 2, 2));
  table.shift = 64 - static_cast<unsigned>(std::countr_zero(slots));
  table.slots.resize(slots);
}

template <class Bits>
void Fib::put(Tables<Bits>& tables, const Bits& bits, int length, std::uint32_t first,
              std::uint32_t count) {
  for (Table<Bits>& table : tables) {
    if (table.length != length) continue;
    std::size_t at = spread(bits) >> table.shift;
    while (table.slots[at].count != kEmpty && table.slots[at].bits != bits)
      at = (at + 1) & (table.slots.size() - 1);
    // What was put first stays: own addresses come before routes.
    if (table.slots[at].count == kEmpty) table.slots[at] = {bits, first, count};
    return;
  }
}

void Fib::rebuild(std::span<const Route> routes, std::span<const IpAddress> own) {
  tables4_.clear();
  tables6_.clear();
  hops_.clear();
  std::array<std::size_t, 33> entries4{};
  std::array<std::size_t, 129> entries6{};
  const auto count = [&](const IpAddress& a, int length) {
    ++(a.is6 ? entries6.data() : entries4.data())[length];
  };
  for (const IpAddress& a : own) count(a, a.is6 ? 128 : 32);
  for (const Route& r : routes) count(r.prefix.address, r.prefix.length);
  for (int length = 32; length >= 0; --length)
    size(tables4_, length, entries4[static_cast<std::size_t>(length)]);
  for (int length = 128; length >= 0; --length)
    size(tables6_, length, entries6[static_cast<std::size_t>(length)]);

  const auto enter = [&](const IpAddress& a, int length, std::uint32_t first, std::uint32_t n) {
    if (a.is6)
      put(tables6_, a.bits, length, first, n);
    else
      put(tables4_, a.v4(), length, first, n);
  };
  for (const IpAddress& a : own) enter(a, a.is6 ? 128 : 32, 0, kOwn);
  for (const Route& r : routes) {
    // Equal next-hop sets of neighbouring routes share their storage.
    auto first = static_cast<std::uint32_t>(hops_.size());
    const auto n = static_cast<std::uint32_t>(r.hops.size());
    if (hops_.size() >= n && std::equal(r.hops.begin(), r.hops.end(), hops_.end() - n)) {
      first -= n;
    } else {
      hops_.insert(hops_.end(), r.hops.begin(), r.hops.end());
    }
    enter(r.prefix.address, r.prefix.length, first, n);
  }
}

}  // namespace weft::models
