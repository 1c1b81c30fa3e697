// Verification of a logical network: who can open a connection to whom, with which packets, for all
// pairs of ports and all headers at once.
//
// What is verified is what the switches would do. The intent is compiled by the compiler that the
// controller runs; the rules of one vSwitch that carries every port (the hybrid agent's own join,
// rules.h) are the whole logical network in one place, because policy and routing do not depend on
// where ports are; and these rules are run on sets of packets (symbolic.h). There is no second
// reading of the intent.
//
//   intent -> Compiler -> records -> HostRules -> rules -> SymbolicTables
//                                                   └----> port classes (port_classes.h)
//
// Networks that no router joins, directly or by others, cannot reach each other, because no rule
// leads from one to the other; each such *component* has tables of its own. Within one, a port of
// each class sends everything that could begin a connection, and what arrives at a port of each
// class is written down: a class to itself by a second member. Nothing is sampled.
//
// **First packets.** What is sent is IPv4 or IPv6, whole, untagged, with TTL 64: a TCP SYN, UDP, an
// ICMP echo request, or any other protocol. Replies are implied: connection tracking lets the
// answers to whatever arrived pass. So ARP, neighbour discovery and DHCP are no part of it (they do
// not pass from guest to guest unless the responder does not know), nor are packets in the middle
// of a connection, ICMP errors, and fragments.
//
// What may arrive may depend on choices of the switch (a load balancer's backend, a source port of
// NAT); then every choice counts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/beam.h"
#include "control/compile.h"
#include "control/intent.h"
#include "control/symbolic.h"

namespace weft::control {

/// Packets that are treated alike on their way from a port to another.
struct Arrival {
  Cube sent;
  std::shared_ptr<const Beam> beam;  ///< that they are a part of
  /// What is known of them as they arrive.
  datapath::Match arrives() const { return beam->now(sent); }
  /// Those that arrive so; none: there are none.
  std::optional<Cube> arriving_as(const datapath::Match& match) const;
};

/// What one port can send to another; the ways may overlap.
struct Reach {
  std::vector<Arrival> arrivals;
  CubeSet sent() const;
};

/// Ports that rules treat alike; the first one was computed.
struct PortClass {
  std::vector<std::string> ports;
  std::size_t component = 0;
};

/// An Acl, Route or Policy that decides nothing.
struct IdleRule {
  RowId row;
  bool shadowed = false;   ///< packets that it matches come by, but others take them all
  std::vector<RowId> by;   ///< shadowed: which
  bool by_others = false;  ///< shadowed: also by rules that stem from no such row
};

struct Verification {
  using Pair = std::pair<std::size_t, std::size_t>;  ///< classes: from, to
  std::vector<PortClass> classes;
  /// By pair of classes: from the first port of one to the first of the other, or to the second
  /// of the same one. No entry: nothing arrives.
  std::map<Pair, Reach> reach;
  std::vector<IdleRule> idle;
  std::size_t rules = 0, components = 0;
  std::uint64_t visits = 0;  ///< of tables by sets of packets
  std::vector<std::string> notes;

  /// Which class a port is in; classes.size(): no such port.
  std::size_t class_of(const std::string& port) const;
  /// Null: nothing arrives. `from` and `to` are different ports.
  const Reach* between(const std::string& from, const std::string& to) const;
};

class Verifier {
 public:
  struct Options {
    SymbolicTables::Limits limits{};
    bool classes = true;  ///< false: each port by itself (the slow twin)
  };
  static Result<Verifier> of(const Intent& intent, const Options& options);
  ~Verifier();
  Verifier(Verifier&&) noexcept;
  Verifier& operator=(Verifier&&) noexcept;

  const Intent& intent() const;
  /// Ports that are treated alike.
  const std::vector<PortClass>& classes() const;
  /// `classes`: those above, or ones that divide them further.
  Result<Verification> run(const std::vector<PortClass>& classes);

 private:
  struct Impl;
  explicit Verifier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Classes none of which lies partly in one of the sets of ports.
std::vector<PortClass> divided(const std::vector<PortClass>& classes,
                               const std::vector<std::set<std::string>>& sets);

Result<Verification> verify(const Intent& intent, const Verifier::Options& options = {});

}  // namespace weft::control
