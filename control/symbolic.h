// SymbolicTables: a switch's rules, run on beams (beam.h) instead of packets.
//
// What a rule's table does with a beam: the rules are tried from the highest priority on; each
// takes the part that it matches, and that part is taken out for the ones below. Rules of equal
// priority that overlap are both possible, because a switch may choose either.
//
// Where a switch decides by something that is not in the packet, everything that can happen
// happens: each bucket of a group, each port of a range of nat(). What arrives is therefore what
// *may* arrive. What cannot be said so - an action that is not known here, a value that would have
// to be known - ends the run with an error that names rule and action; nothing is guessed.
//
// Connection tracking sees the first packet of a connection: ct() makes it +trk+new, in every zone;
// nat(...) with an address translates, `nat` alone has nothing to translate. What answers a packet
// (ARP, DHCP, echo, errors) delivers nothing to others, what is copied to a controller neither.
//
// A beam that fixes what a rule looks at finds the rule by a hash, however many there are: rules
// are grouped by mask, and each group has an index over all of the mask, over its registers, and
// over the datapath alone. Others look at every rule of the group.
//
// Work is bounded by `Limits`; a run that would exceed them is an error, too.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "control/beam.h"
#include "datapath/group.h"
#include "datapath/rule.h"

namespace weft::control {

class SymbolicTables {
 public:
  struct Limits {
    std::uint64_t visits = 50'000'000;  ///< of tables, over the whole life of this object
    std::size_t cubes = 20'000;         ///< of one set
  };

  /// Who asks. `rule` is an index into rules().
  class Visitor {
   public:
    virtual ~Visitor() = default;
    /// Whether the beam's way from this table on is of interest. If not, it is taken to come back
    /// from there as it is.
    virtual bool wants(std::uint8_t table, const Beam& beam) = 0;
    virtual void deliver(std::uint32_t of_port, const Beam& beam) = 0;
    /// Whether it is to be told of this rule's part.
    virtual bool asks_about(std::size_t rule) = 0;
    /// Some packet is judged by this rule.
    virtual void used(std::size_t rule) = 0;
    /// Packets that it matches came by, but `higher` ones took them all.
    virtual void hidden(std::size_t rule, const std::vector<std::size_t>& higher) = 0;
  };

  SymbolicTables(std::vector<datapath::Rule> rules, std::vector<datapath::Group> groups,
                 Limits limits);
  ~SymbolicTables();
  SymbolicTables(SymbolicTables&&) noexcept;
  SymbolicTables& operator=(SymbolicTables&&) noexcept;

  const std::vector<datapath::Rule>& rules() const;
  std::uint64_t visits() const;
  Result<> run(std::uint8_t table, const Beam& beam, Visitor& visitor);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::control
