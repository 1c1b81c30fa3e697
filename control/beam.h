// Beam: a set of packets that have been treated alike so far by a switch's rules. It has two sides:
//
//   what was sent      a cube over the headers as the sender wrote them, and cubes that are taken
//                      out of it (what rules of higher priority have caught)
//   what it is now     of every bit of the flow key: a constant, or a copy of a bit that was sent
//
// A rule's match is a condition on what the packets are now; bits that are constants decide it,
// the others turn it into a condition on what was sent. So load, set_field and move are exact, and
// a beam that arrives somewhere says which packets, as sent, get there, and what they look like
// then. (Header space analysis - Kazemian, Varghese, McKeown, NSDI 2012 - with differences left
// unevaluated until someone needs them, and with the inverse of all rewrites kept along.)
//
// Bits that nobody sent and nobody knows (a port that nat() may choose) are *made up*: they come
// from words of the sent side that no sender writes, and `parts` of a beam are over what senders
// write only: "there is a choice with which it gets there".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/cube.h"
#include "datapath/action.h"

namespace weft::control {

/// Bits of the key that are copies of other bits as they were sent.
struct CopiedBits {
  std::uint8_t to_word = 0, to_shift = 0, from_word = 0, from_shift = 0, bits = 0;
  bool operator==(const CopiedBits&) const = default;
  std::uint64_t ones() const { return bits == 64 ? ~0ULL : (1ULL << bits) - 1; }
};

struct Beam {
  Cube sent;
  std::vector<Cube> without;
  datapath::FlowMask known{};      ///< bits that are constants now
  datapath::FlowKey value{};       ///< and which; zero elsewhere
  std::vector<CopiedBits> copies;  ///< disjoint, of bits that are not `known`; other bits are
                                   ///< what they were when sent
  unsigned fresh = 0;              ///< bits made up so far (they follow those that are sent)

  /// What is known of the packets now: constants, and copies of bits that `sent` fixes.
  datapath::Match now() const;
  /// `now()` of one part of what was sent.
  datapath::Match now(const Cube& part) const;
  /// Everything that was sent, as cubes; disjoint if nothing was made up. None: more than `most`.
  std::optional<std::vector<Cube>> parts(std::size_t most) const;
  /// Whether there is a packet in it; if that takes more than `most` cubes, true.
  bool is_inhabited(std::size_t most) const;
  bool treated_as(const Beam& other) const {
    return known == other.known && value == other.value && copies == other.copies;
  }
};

/// Writes a constant to the bits `mask` of a field.
void set_constant(Beam& beam, const datapath::FieldInfo& field, Ip6 value, Ip6 mask);
void set_constant(Beam& beam, datapath::Field field, std::uint64_t value);
/// Copies as `move` does: the low bits, if one range is longer.
void copy_range(Beam& beam, const datapath::FieldRange& from, const datapath::FieldRange& to);
void copy_field(Beam& beam, datapath::Field from, datapath::Field to);
/// Makes the field up. False: too many bits have been made up.
bool make_up(Beam& beam, datapath::Field field);

/// The condition on what was sent under which `match` is true now; false: under none that is left.
bool condition(const Beam& beam, const datapath::Match& match, Cube& out);
/// Keeps the part that was sent so. False if there is none; then the beam is as before.
bool narrow(Beam& beam, const Cube& to);

/// The cube without what senders do not write.
Cube as_sent(const Cube& cube);

}  // namespace weft::control
