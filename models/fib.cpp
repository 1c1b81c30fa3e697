#include "models/fib.h"

#include <algorithm>
#include <bit>

namespace weft::models {
namespace {

Ip6 mask_of(bool is6, int length) {
  const int ones = is6 ? length : length + 96;
  auto half = [](int n) { return n <= 0 ? 0 : n >= 64 ? ~0ULL : ~0ULL << (64 - n); };
  return {half(ones), half(ones - 64)};
}

std::uint64_t slot_hash(const Ip6& bits) { return mix64(bits.low, bits.high); }

}  // namespace

void Fib::rebuild(std::span<const Route> routes) {
  ++generation_;
  tables_.clear();
  hops_.clear();
  std::vector<const Route*> sorted;
  sorted.reserve(routes.size());
  for (const auto& r : routes) sorted.push_back(&r);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Route* x, const Route* y) {
    return std::pair(x->prefix.address.is6, -x->prefix.length) <
           std::pair(y->prefix.address.is6, -y->prefix.length);
  });
  for (std::size_t i = 0; i < sorted.size();) {
    const bool is6 = sorted[i]->prefix.address.is6;
    const int length = sorted[i]->prefix.length;
    std::size_t end = i;
    while (end < sorted.size() && sorted[end]->prefix.address.is6 == is6 &&
           sorted[end]->prefix.length == length)
      ++end;
    Table table{is6, length, mask_of(is6, length), {}};
    table.slots.resize(std::bit_ceil((end - i) * 2));
    for (; i < end; ++i) {
      const Route& r = *sorted[i];
      // Equal next-hop sets of neighbouring routes share their storage.
      std::uint32_t first = static_cast<std::uint32_t>(hops_.size());
      const auto n = static_cast<std::uint32_t>(r.hops.size());
      if (hops_.size() >= n && std::equal(r.hops.begin(), r.hops.end(), hops_.end() - n)) {
        first -= n;
      } else {
        hops_.insert(hops_.end(), r.hops.begin(), r.hops.end());
      }
      std::size_t at = slot_hash(r.prefix.address.bits) & (table.slots.size() - 1);
      while (table.slots[at].count != 0) at = (at + 1) & (table.slots.size() - 1);
      table.slots[at] = {r.prefix.address.bits, first, n};
    }
    tables_.push_back(std::move(table));
  }
  const std::size_t want = std::clamp<std::size_t>(std::bit_ceil(routes.size() * 2), 256, 8192);
  if (cache_.size() < want) cache_.assign(want, {});
}

std::span<const NextHop> Fib::lookup_slow(const IpAddress& destination, CacheEntry& entry) {
  entry = {destination, generation_, 0, 0};
  for (const auto& table : tables_) {
    if (table.is6 != destination.is6) continue;
    const Ip6 bits{destination.bits.high & table.mask.high, destination.bits.low & table.mask.low};
    std::size_t at = slot_hash(bits) & (table.slots.size() - 1);
    while (table.slots[at].count != 0) {
      if (table.slots[at].bits == bits) {
        entry.first = table.slots[at].first;
        entry.count = table.slots[at].count;
        return {hops_.data() + entry.first, entry.count};
      }
      at = (at + 1) & (table.slots.size() - 1);
    }
  }
  return {};
}

}  // namespace weft::models
