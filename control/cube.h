// Cubes: sets of packets as values. A Cube fixes some bits of a flow key and leaves the others
// free, which is what one OpenFlow match says; a CubeSet is a union of cubes. With union,
// intersection and difference of them a policy becomes a set of packets that can be compared with
// another one without sending a single packet.
//
// The space is the whole datapath::FlowKey: every field that a rule may look at (Ethernet, VLAN,
// ARP, IPv4, IPv6, transport, ICMP, neighbour discovery, connection state, registers, metadata), so
// a match of a rule is a cube without any conversion and back.
//
// A cube is *well-formed* if it has a field only together with what the field needs: tp_dst only
// with all of nw_proto and eth_type. Matches that parse_match accepts are. All operations keep it:
// differences split along eth_type first, then nw_proto, then the rest, so that
// "everything but tcp,tp_dst=80" is "not IP", "IP but not TCP", "TCP but not to 80".
//
// Costs: one cube is two flow keys (576 bytes); intersections and tests are loops over its words.
// Differences are disjoint pieces, at most one per bit that the subtracted cube fixes. Where an
// adversary chooses the sets, use the forms with a limit: unions of cubes can grow with the product
// of their sizes.
#pragma once

#include <compare>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "datapath/match.h"

namespace weft::control {

class Cube {
 public:
  /// Every packet.
  Cube() = default;
  explicit Cube(const datapath::Match& match) : match_(match) {}
  /// The packets whose field has `value` in the bits of `mask`. Says nothing of what the field
  /// needs: tp_dst=80 alone is not well-formed.
  static Cube of(datapath::Field field, Ip6 value, Ip6 mask);
  static Cube of(datapath::Field field, std::uint64_t value);

  const datapath::Match& match() const { return match_; }
  bool is_everything() const { return match_.mask == datapath::FlowMask{}; }
  bool contains(const datapath::FlowKey& key) const { return match_.matches(key); }
  /// Whether every packet of `other` is in this one.
  bool covers(const Cube& other) const;
  bool overlaps(const Cube& other) const;

  /// Keeps only what is in `other` too. False if nothing is; then this cube is as before.
  bool narrow(const Cube& other);
  /// None: no packet is in both.
  std::optional<Cube> intersect(const Cube& other) const;
  /// Appends disjoint cubes that together are this one without `other`.
  void subtract(const Cube& other, std::vector<Cube>& out) const;
  /// The packets of the cube that can exist, where that is not what it says: a fragment that is not
  /// the first is a fragment (nw_frag=0/0x1 becomes nw_frag=no, which has a text), and what has no
  /// tag, or is untracked, has nothing else in vlan_tci or ct_state. None: no packet can.
  std::optional<Cube> existing() const;
  /// One packet of the cube: bits that do not matter are zero.
  datapath::FlowKey example() const { return match_.value; }
  /// In ovs-ofctl's syntax; "" is everything.
  std::string text() const { return datapath::format_match(match_); }

  /// By mask, then by value: an order for canonical lists, without further meaning.
  std::strong_ordering operator<=>(const Cube& other) const;
  bool operator==(const Cube&) const = default;

 private:
  datapath::Match match_{};
};

class CubeSet {
 public:
  static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

  /// No packet.
  CubeSet() = default;
  explicit CubeSet(std::vector<Cube> cubes) : cubes_(std::move(cubes)) {}
  static CubeSet everything() { return CubeSet({Cube{}}); }

  const std::vector<Cube>& cubes() const { return cubes_; }
  std::size_t size() const { return cubes_.size(); }
  bool is_empty() const { return cubes_.empty(); }
  bool contains(const datapath::FlowKey& key) const;
  /// Whether every packet of `other` is in this set, and whether the sets mean the same packets.
  bool covers(const CubeSet& other) const;
  bool same_packets(const CubeSet& other) const;
  /// A packet of the set; none if it is empty.
  std::optional<datapath::FlowKey> example() const;

  void add(const Cube& cube) { cubes_.push_back(cube); }
  void add(const CubeSet& other);
  CubeSet unite(const CubeSet& other) const;
  CubeSet intersect(const CubeSet& other) const;
  CubeSet subtract(const CubeSet& other) const;
  CubeSet complement() const { return everything().subtract(*this); }
  /// None: the result, or the work towards it, would be more than `most` cubes (and some slack).
  std::optional<CubeSet> intersect_within(const CubeSet& other, std::size_t most) const;
  std::optional<CubeSet> subtract_within(const CubeSet& other, std::size_t most) const;

  /// Sorts, and removes cubes that lie within another one of the list. (Not those that only a
  /// union of others covers; and with more than kManyMasks different masks only duplicates go.)
  void reduce();
  static constexpr std::size_t kManyMasks = 1024;

  bool operator==(const CubeSet&) const = default;

 private:
  std::vector<Cube> cubes_;
};

}  // namespace weft::control
