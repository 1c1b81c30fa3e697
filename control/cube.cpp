#include "control/cube.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

namespace weft::control {
namespace {

using datapath::FlowKey;
using datapath::kKeyWords;

/// Where differences split first: what other fields need.
struct Segment {
  unsigned word;
  std::uint64_t bits;
};
constexpr std::uint64_t ones_of(datapath::FieldPlace p) { return p.ones() << p.shift; }
constexpr std::uint64_t kTagPresent = 1ULL << 60, kTracked = 1ULL << 37;
constexpr std::array kFirst = {
    Segment{datapath::place::eth_type.word, ones_of(datapath::place::eth_type)},
    Segment{datapath::place::nw_proto.word, ones_of(datapath::place::nw_proto)},
    Segment{datapath::place::nw_proto.word, ~ones_of(datapath::place::nw_proto)},
    Segment{datapath::place::vlan_tci.word, kTagPresent},
    Segment{datapath::place::ct_state.word, kTracked}};

/// More pairs than this for a result of `most` cubes is work that was not asked for.
constexpr std::size_t work_for(std::size_t most) {
  return most > CubeSet::kNoLimit / 64 ? CubeSet::kNoLimit : (most + 65'536) * 32;
}

}  // namespace

Cube Cube::of(datapath::Field field, Ip6 value, Ip6 mask) {
  Cube c;
  const datapath::FieldInfo& f = datapath::info(field);
  datapath::write_field(c.match_.mask, f, mask);
  datapath::write_field(c.match_.value, f, {value.high & mask.high, value.low & mask.low});
  return c;
}

Cube Cube::of(datapath::Field field, std::uint64_t value) {
  return of(field, {0, value}, datapath::field_ones(datapath::info(field)));
}

bool Cube::covers(const Cube& other) const {
  const auto &a = match_, &b = other.match_;
  for (unsigned i = 0; i < kKeyWords; ++i)
    if ((a.mask.w[i] & ~b.mask.w[i]) != 0 || ((a.value.w[i] ^ b.value.w[i]) & a.mask.w[i]) != 0)
      return false;
  return true;
}

bool Cube::overlaps(const Cube& other) const {
  const auto &a = match_, &b = other.match_;
  std::uint64_t conflict = 0;
  for (unsigned i = 0; i < kKeyWords; ++i)
    conflict |= (a.value.w[i] ^ b.value.w[i]) & a.mask.w[i] & b.mask.w[i];
  return conflict == 0;
}

bool Cube::narrow(const Cube& other) {
  if (!overlaps(other)) return false;
  for (unsigned i = 0; i < kKeyWords; ++i) {
    match_.mask.w[i] |= other.match_.mask.w[i];
    match_.value.w[i] |= other.match_.value.w[i];
  }
  return true;
}

std::optional<Cube> Cube::intersect(const Cube& other) const {
  Cube both = *this;
  if (!both.narrow(other)) return std::nullopt;
  return both;
}

void Cube::subtract(const Cube& other, std::vector<Cube>& out) const {
  if (!overlaps(other)) {
    out.push_back(*this);
    return;
  }
  Cube rest = *this;  // agrees with `other` in all bits seen so far
  const auto split = [&](unsigned word, std::uint64_t bits) {
    bits &= other.match_.mask.w[word] & ~rest.match_.mask.w[word];
    while (bits != 0) {
      const std::uint64_t bit = std::bit_floor(bits);
      bits &= ~bit;
      rest.match_.mask.w[word] |= bit;
      out.push_back(rest);
      out.back().match_.value.w[word] |= ~other.match_.value.w[word] & bit;
      rest.match_.value.w[word] |= other.match_.value.w[word] & bit;
    }
  };
  for (const Segment& s : kFirst) split(s.word, s.bits);
  for (unsigned i = 0; i < kKeyWords; ++i) split(i, ~0ULL);
}

std::optional<Cube> Cube::existing() const {
  namespace at = datapath::place;
  Cube c = *this;
  const std::uint64_t known = c.match_.mask.get(at::nw_frag), is = c.match_.value.get(at::nw_frag);
  constexpr std::uint64_t kAny = datapath::kFragAny, kLater = datapath::kFragLater;
  if ((known & kAny) != 0 && (is & kAny) == 0) {
    if ((is & kLater) != 0) return std::nullopt;
    c.match_.mask.set(at::nw_frag, known | kLater);
  } else if ((is & kLater) != 0) {
    c.match_.mask.set(at::nw_frag, known | kAny);
    c.match_.value.set(at::nw_frag, is | kAny);
  }
  const auto empty_without = [&](datapath::FieldPlace field, std::uint64_t bit) {
    const std::uint64_t value = c.match_.value.get(field);
    return (c.match_.mask.get(field) & bit) == 0 || (value & bit) != 0 || value == 0;
  };
  if (!empty_without(at::vlan_tci, datapath::kVlanPresent)) return std::nullopt;
  if (!empty_without(at::ct_state, kTracked >> at::ct_state.shift)) return std::nullopt;
  return c;
}

std::strong_ordering Cube::operator<=>(const Cube& other) const {
  const auto by_mask = match_.mask <=> other.match_.mask;
  return std::is_neq(by_mask) ? by_mask : match_.value <=> other.match_.value;
}

bool CubeSet::contains(const FlowKey& key) const {
  return std::any_of(cubes_.begin(), cubes_.end(), [&](const Cube& c) { return c.contains(key); });
}

bool CubeSet::covers(const CubeSet& other) const { return other.subtract(*this).is_empty(); }

bool CubeSet::same_packets(const CubeSet& other) const {
  return covers(other) && other.covers(*this);
}

std::optional<FlowKey> CubeSet::example() const {
  if (cubes_.empty()) return std::nullopt;
  return cubes_.front().example();
}

void CubeSet::add(const CubeSet& other) {
  cubes_.insert(cubes_.end(), other.cubes_.begin(), other.cubes_.end());
}

CubeSet CubeSet::unite(const CubeSet& other) const {
  CubeSet all = *this;
  all.add(other);
  all.reduce();
  return all;
}

CubeSet CubeSet::intersect(const CubeSet& other) const {
  return *intersect_within(other, kNoLimit);
}

CubeSet CubeSet::subtract(const CubeSet& other) const { return *subtract_within(other, kNoLimit); }

std::optional<CubeSet> CubeSet::intersect_within(const CubeSet& other, std::size_t most) const {
  if (!cubes_.empty() && other.size() > work_for(most) / cubes_.size()) return std::nullopt;
  CubeSet out;
  if (cubes_.size() == 1 || other.size() == 1) out.cubes_.reserve(cubes_.size() * other.size());
  for (const Cube& a : cubes_)
    for (const Cube& b : other.cubes_) {
      if (!a.overlaps(b)) continue;
      out.cubes_.push_back(a);
      out.cubes_.back().narrow(b);
      if (out.size() > most) return std::nullopt;
    }
  if (out.size() > 1) out.reduce();
  return out;
}

std::optional<CubeSet> CubeSet::subtract_within(const CubeSet& other, std::size_t most) const {
  std::vector<Cube> left = cubes_, next;
  std::size_t work = 0;
  for (const Cube& b : other.cubes_) {
    next.clear();
    for (const Cube& a : left) a.subtract(b, next);
    left.swap(next);
    work += left.size();
    if (left.size() > most || work > work_for(most)) return std::nullopt;
  }
  return CubeSet(std::move(left));
}

void CubeSet::reduce() {
  if (cubes_.size() < 2) return;
  if (!std::is_sorted(cubes_.begin(), cubes_.end())) {
    std::vector<std::uint32_t> order(cubes_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return cubes_[a] < cubes_[b]; });
    std::vector<Cube> sorted;
    sorted.reserve(cubes_.size());
    for (const std::uint32_t i : order) sorted.push_back(cubes_[i]);
    cubes_.swap(sorted);
  }
  cubes_.erase(std::unique(cubes_.begin(), cubes_.end()), cubes_.end());

  // Groups of one mask. A cube lies within another one iff a group of a narrower mask has it.
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < cubes_.size(); ++i)
    if (i == 0 || cubes_[i].match().mask != cubes_[i - 1].match().mask) begins.push_back(i);
  if (begins.size() < 2 || begins.size() > kManyMasks) return;
  begins.push_back(cubes_.size());
  const auto mask_of = [&](std::size_t group) -> const datapath::FlowMask& {
    return cubes_[begins[group]].match().mask;
  };
  std::vector<bool> gone(cubes_.size());
  for (std::size_t g = 0; g + 1 < begins.size(); ++g) {
    for (std::size_t wide = 0; wide + 1 < begins.size(); ++wide) {
      const datapath::FlowMask& mask = mask_of(wide);
      bool narrower = wide != g;
      for (unsigned i = 0; i < kKeyWords && narrower; ++i)
        narrower = (mask.w[i] & ~mask_of(g).w[i]) == 0;
      if (!narrower) continue;
      const auto first = cubes_.begin() + static_cast<std::ptrdiff_t>(begins[wide]);
      const auto last = cubes_.begin() + static_cast<std::ptrdiff_t>(begins[wide + 1]);
      for (std::size_t i = begins[g]; i < begins[g + 1]; ++i) {
        if (gone[i]) continue;
        FlowKey value = cubes_[i].match().value;
        for (unsigned n = 0; n < kKeyWords; ++n) value.w[n] &= mask.w[n];
        const auto found =
            std::lower_bound(first, last, value,
                             [](const Cube& c, const FlowKey& v) { return c.match().value < v; });
        gone[i] = found != last && found->match().value == value;
      }
    }
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < cubes_.size(); ++i) {
    if (gone[i]) continue;
    if (kept != i) cubes_[kept] = cubes_[i];
    ++kept;
  }
  cubes_.resize(kept);
}

}  // namespace weft::control
