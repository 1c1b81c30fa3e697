#include "control/expression_bits.h"

#include <algorithm>
#include <bit>
#include <span>

namespace weft::control {
namespace {

Ip6 both(Ip6 a, Ip6 b) { return {a.high & b.high, a.low & b.low}; }
Ip6 either(Ip6 a, Ip6 b) { return {a.high | b.high, a.low | b.low}; }
Ip6 without(Ip6 a, Ip6 b) { return {a.high & ~b.high, a.low & ~b.low}; }
Ip6 bit_at(unsigned n) {
  const std::uint64_t bit = 1ULL << (n % 64);
  return n >= 64 ? Ip6{bit, 0} : Ip6{0, bit};
}
bool is_zero(Ip6 a) { return a == Ip6{}; }

/// Length of a mask that is a prefix of `width` bits; -1 if it is none.
int prefix_length(Ip6 mask, unsigned width) {
  const auto length = static_cast<unsigned>(std::popcount(mask.high) + std::popcount(mask.low));
  return mask == without(ones(width), ones(width - length)) ? static_cast<int>(length) : -1;
}

/// What lies outside the prefixes of `list` (sorted by value, disjoint, all within `at`), where
/// `at` has its first `length` bits fixed. One step per bit: at most 128 deep.
bool outside(std::span<const Bits> list, Bits at, unsigned length, unsigned width, std::size_t most,
             std::vector<Bits>& out) {
  if (list.empty()) {
    out.push_back(at);
    return out.size() <= most;
  }
  if (list.size() == 1 && list.front().mask == at.mask) return true;
  const Ip6 bit = bit_at(width - 1 - length);
  const auto middle = std::partition_point(
      list.begin(), list.end(), [&](const Bits& b) { return is_zero(both(b.value, bit)); });
  const auto low = static_cast<std::size_t>(middle - list.begin());
  at.mask = either(at.mask, bit);
  if (!outside(list.first(low), at, length + 1, width, most, out)) return false;
  at.value = either(at.value, bit);
  return outside(list.subspan(low), at, length + 1, width, most, out);
}

/// `a` without `b`, in disjoint pieces.
void subtract(Bits a, const Bits& b, unsigned width, std::vector<Bits>& out) {
  const Ip6 different{a.value.high ^ b.value.high, a.value.low ^ b.value.low};
  if (!is_zero(both(different, both(a.mask, b.mask)))) {
    out.push_back(a);
    return;
  }
  const Ip6 open = without(b.mask, a.mask);
  for (unsigned n = width; n-- > 0;) {
    const Ip6 bit = bit_at(n);
    if (is_zero(both(open, bit))) continue;
    a.mask = either(a.mask, bit);
    Bits piece = a;
    const Ip6 here = both(b.value, bit);
    piece.value = either(piece.value, without(bit, here));
    out.push_back(piece);
    a.value = either(a.value, here);
  }
}

}  // namespace

Ip6 ones(unsigned width) {
  if (width >= 128) return {~0ULL, ~0ULL};
  if (width >= 64) return {(1ULL << (width - 64)) - 1, ~0ULL};
  return {0, (1ULL << width) - 1};
}

void reduce(std::vector<Bits>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  if (list.size() < 2 || list.front().mask == list.back().mask) return;
  constexpr std::size_t kManyMasks = 1024;
  std::vector<std::span<const Bits>> groups;
  for (std::size_t begin = 0, i = 1; i <= list.size(); ++i) {
    if (i < list.size() && list[i].mask == list[begin].mask) continue;
    groups.emplace_back(list.data() + begin, i - begin);
    begin = i;
  }
  if (groups.size() > kManyMasks) return;
  std::vector<Bits> kept;
  for (const auto& group : groups) {
    std::vector<std::span<const Bits>> wider;
    for (const auto& other : groups)
      if (&other != &group && is_zero(without(other.front().mask, group.front().mask)))
        wider.push_back(other);
    for (const Bits& b : group)
      if (std::none_of(wider.begin(), wider.end(), [&](std::span<const Bits> w) {
            const Ip6 mask = w.front().mask;
            return std::binary_search(w.begin(), w.end(), Bits{mask, both(b.value, mask)});
          }))
        kept.push_back(b);
  }
  list.swap(kept);
}

std::vector<Bits> range(Ip6 low, Ip6 high, unsigned width) {
  std::vector<Bits> out;
  if (low > high) return out;
  // From below: the widest aligned block that fits, then the next.
  while (true) {
    Ip6 block{};  // its size - 1
    for (unsigned n = 0; n < width; ++n) {
      const Ip6 wider = either(block, bit_at(n));
      if (!is_zero(both(low, wider)) || either(low, wider) > high) break;
      block = wider;
    }
    out.push_back({without(ones(width), block), low});
    Ip6 end = either(low, block);
    if (end == high) break;
    if (++end.low == 0) ++end.high;
    low = end;
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<std::vector<Bits>> complement(const std::vector<Bits>& list, unsigned width,
                                            std::size_t most) {
  std::vector<Bits> out;
  const bool prefixes = std::all_of(
      list.begin(), list.end(), [&](const Bits& b) { return prefix_length(b.mask, width) >= 0; });
  if (prefixes) {
    std::vector<Bits> by_value = list;
    std::sort(by_value.begin(), by_value.end(),
              [](const Bits& a, const Bits& b) { return a.value < b.value; });
    if (!outside(by_value, {}, 0, width, most, out)) return std::nullopt;
  } else {
    out.emplace_back();
    std::vector<Bits> next;
    std::size_t work = 0;
    for (const Bits& b : list) {
      next.clear();
      for (const Bits& a : out) subtract(a, b, width, next);
      out.swap(next);
      work += out.size();
      if (out.size() > most || work / 32 > most) return std::nullopt;
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace weft::control
