#include "control/beam.h"

#include <algorithm>

namespace weft::control {

using datapath::Field;
using datapath::FieldInfo;
using datapath::FieldRange;
using datapath::FlowKey;
using datapath::FlowMask;
using datapath::kKeyWords;

namespace {

/// Where bits that nobody sent come from: words of the key that senders do not write.
constexpr unsigned kFirstFreshWord = datapath::kPacketWords;
constexpr unsigned kFreshBits = (kKeyWords - kFirstFreshWord) * 64;

FlowMask bits_of(const FieldInfo& field, Ip6 mask) {
  FlowMask out;
  datapath::write_field(out, field, mask);
  return out;
}

/// Bit `i` (0 is the lowest) of a field's range, as word and shift.
struct BitPlace {
  unsigned word, shift;
};
BitPlace bit_place(const FieldInfo& field, unsigned i) {
  if (field.bits == 128) return {i < 64 ? field.word + 1u : field.word, i % 64};
  return {field.word, field.shift + i};
}

void forget_copies(Beam& beam, const FlowMask& written) {
  std::vector<CopiedBits> kept;
  for (const CopiedBits& c : beam.copies) {
    const std::uint64_t mine = c.ones() << c.to_shift;
    if ((written.w[c.to_word] & mine) == 0) {
      kept.push_back(c);
      continue;
    }
    for (unsigned i = 0; i < c.bits; ++i) {
      if ((written.w[c.to_word] >> (c.to_shift + i) & 1) != 0) continue;
      CopiedBits one{c.to_word, static_cast<std::uint8_t>(c.to_shift + i), c.from_word,
                     static_cast<std::uint8_t>(c.from_shift + i), 1};
      CopiedBits* last = kept.empty() ? nullptr : &kept.back();
      if (last != nullptr && last->to_word == one.to_word && last->from_word == one.from_word &&
          last->to_shift + last->bits == one.to_shift &&
          last->from_shift + last->bits == one.from_shift)
        ++last->bits;
      else
        kept.push_back(one);
    }
  }
  beam.copies = std::move(kept);
}

/// What a bit is now.
struct Origin {
  bool constant;
  bool value;
  BitPlace from;
};
Origin origin_of(const Beam& beam, BitPlace p) {
  if ((beam.known.w[p.word] >> p.shift & 1) != 0)
    return {true, (beam.value.w[p.word] >> p.shift & 1) != 0, {}};
  for (const CopiedBits& c : beam.copies)
    if (c.to_word == p.word && c.to_shift <= p.shift && p.shift < c.to_shift + c.bits)
      return {false, false, {c.from_word, c.from_shift + (p.shift - c.to_shift)}};
  return {false, false, p};
}

void set_bit(Beam& beam, BitPlace to, const Origin& is) {
  const std::uint64_t bit = 1ULL << to.shift;
  if (is.constant) {
    beam.known.w[to.word] |= bit;
    beam.value.w[to.word] = (beam.value.w[to.word] & ~bit) | (is.value ? bit : 0);
    return;
  }
  beam.known.w[to.word] &= ~bit;
  beam.value.w[to.word] &= ~bit;
  if (is.from.word == to.word && is.from.shift == to.shift) return;
  if (!beam.copies.empty()) {
    CopiedBits& last = beam.copies.back();
    if (last.to_word == to.word && last.from_word == is.from.word &&
        last.to_shift + last.bits == to.shift && last.from_shift + last.bits == is.from.shift) {
      ++last.bits;
      return;
    }
  }
  beam.copies.push_back({static_cast<std::uint8_t>(to.word), static_cast<std::uint8_t>(to.shift),
                         static_cast<std::uint8_t>(is.from.word),
                         static_cast<std::uint8_t>(is.from.shift), 1});
}

/// The condition on what was sent under which `match` is true; false: under none.

}  // namespace

// --- beams ---------------------------------------------------------------------------------------

datapath::Match Beam::now(const Cube& part) const {
  datapath::Match out{value, known};
  const datapath::Match& from = part.match();
  FlowMask copied;
  for (const CopiedBits& c : copies) {
    copied.w[c.to_word] |= c.ones() << c.to_shift;
    out.mask.w[c.to_word] |= (from.mask.w[c.from_word] >> c.from_shift & c.ones()) << c.to_shift;
    out.value.w[c.to_word] |= (from.value.w[c.from_word] >> c.from_shift & c.ones()) << c.to_shift;
  }
  for (unsigned i = 0; i < kFirstFreshWord; ++i) {
    const std::uint64_t same = ~known.w[i] & ~copied.w[i];
    out.mask.w[i] |= from.mask.w[i] & same;
    out.value.w[i] |= from.value.w[i] & same;
  }
  return out;
}

datapath::Match Beam::now() const { return now(sent); }

std::optional<std::vector<Cube>> Beam::parts(std::size_t most) const {
  CubeSet all(std::vector<Cube>{sent});
  if (!without.empty()) {
    auto left = all.subtract_within(CubeSet(without), most);
    if (!left) return std::nullopt;
    all = std::move(*left);
  }
  std::vector<Cube> out = all.cubes();
  if (fresh != 0) {
    for (Cube& c : out) c = as_sent(c);
    CubeSet merged(std::move(out));
    merged.reduce();
    out = merged.cubes();
  }
  return out;
}

bool Beam::is_inhabited(std::size_t most) const {
  if (without.empty()) return true;
  for (const Cube& c : without)
    if (c.covers(sent)) return false;
  const auto left = parts(most);
  return !left || !left->empty();
}

bool make_up(Beam& beam, Field field) {
  const FieldInfo& f = datapath::info(field);
  if (beam.fresh + f.bits > kFreshBits) return false;
  forget_copies(beam, bits_of(f, datapath::field_ones(f)));
  for (unsigned i = 0; i < f.bits; ++i, ++beam.fresh)
    set_bit(beam, bit_place(f, i),
            {false, false, {kFirstFreshWord + beam.fresh / 64, beam.fresh % 64}});
  return true;
}

Cube as_sent(const Cube& cube) {
  datapath::Match m = cube.match();
  for (unsigned i = kFirstFreshWord; i < kKeyWords; ++i) m.mask.w[i] = m.value.w[i] = 0;
  return Cube(m);
}

void set_constant(Beam& beam, const FieldInfo& field, Ip6 value, Ip6 mask) {
  const FlowMask written = bits_of(field, mask);
  if (!beam.copies.empty()) forget_copies(beam, written);
  const FlowKey bits = bits_of(field, {value.high & mask.high, value.low & mask.low});
  for (unsigned i = 0; i < kKeyWords; ++i) {
    beam.known.w[i] |= written.w[i];
    beam.value.w[i] = (beam.value.w[i] & ~written.w[i]) | bits.w[i];
  }
}

void set_constant(Beam& beam, Field field, std::uint64_t value) {
  const FieldInfo& f = datapath::info(field);
  set_constant(beam, f, {0, value}, datapath::field_ones(f));
}

void copy_range(Beam& beam, const FieldRange& from, const FieldRange& to) {
  const FieldInfo &source = datapath::info(from.field), &target = datapath::info(to.field);
  const unsigned bits = std::min(from.bits, to.bits);
  std::vector<Origin> origins;
  FlowMask written;
  for (unsigned i = 0; i < bits; ++i) {
    origins.push_back(origin_of(beam, bit_place(source, from.from + i)));
    const BitPlace p = bit_place(target, to.from + i);
    written.w[p.word] |= 1ULL << p.shift;
  }
  forget_copies(beam, written);
  for (unsigned i = 0; i < bits; ++i) set_bit(beam, bit_place(target, to.from + i), origins[i]);
}

void copy_field(Beam& beam, Field from, Field to) {
  const std::uint8_t bits = datapath::info(from).bits;
  copy_range(beam, {from, 0, bits}, {to, 0, bits});
}

bool condition(const Beam& beam, const datapath::Match& match, Cube& out) {
  for (unsigned i = 0; i < kKeyWords; ++i)
    if (((match.value.w[i] ^ beam.value.w[i]) & match.mask.w[i] & beam.known.w[i]) != 0)
      return false;
  datapath::Match need;
  FlowMask open;
  for (unsigned i = 0; i < kKeyWords; ++i) open.w[i] = match.mask.w[i] & ~beam.known.w[i];
  for (const CopiedBits& c : beam.copies) {
    const std::uint64_t mine = c.ones() << c.to_shift & open.w[c.to_word];
    if (mine == 0) continue;
    open.w[c.to_word] &= ~mine;
    const std::uint64_t mask = mine >> c.to_shift << c.from_shift;
    const std::uint64_t value = (match.value.w[c.to_word] & mine) >> c.to_shift << c.from_shift;
    const std::uint64_t both = need.mask.w[c.from_word] & mask;
    if (((need.value.w[c.from_word] ^ value) & both) != 0) return false;
    need.mask.w[c.from_word] |= mask;
    need.value.w[c.from_word] |= value;
  }
  for (unsigned i = 0; i < kKeyWords; ++i) {
    if (open.w[i] == 0) continue;
    const std::uint64_t value = match.value.w[i] & open.w[i];
    if (((need.value.w[i] ^ value) & need.mask.w[i] & open.w[i]) != 0) return false;
    need.mask.w[i] |= open.w[i];
    need.value.w[i] |= value;
  }
  out = Cube(need);
  return beam.sent.overlaps(out);
}

bool narrow(Beam& beam, const Cube& to) {
  if (!beam.sent.narrow(to)) return false;
  std::erase_if(beam.without, [&](const Cube& c) { return !c.overlaps(beam.sent); });
  return true;
}

}  // namespace weft::control
