// FragmentStore: fragments that wait for the rest of their packet before connection tracking sees
// it, as Open vSwitch and Linux do: ct() needs ports and a checksum, and later fragments have
// neither. The whole packet goes on in place of the fragment that completed it, and is cut to
// fragments of the sizes that came before it leaves the switch (Packet::fragment_size).
//
// Everybody who sends (a port; behind a tunnel a network) has room of its own, so a flood of
// fragments pushes out nobody else's. Who has nothing waiting owns no memory.
#pragma once

#include <map>
#include <vector>

#include "datapath/reassembly.h"

namespace weft::datapath {

class FragmentStore {
 public:
  enum class Outcome : std::uint8_t {
    held,       ///< it is the store's now
    whole,      ///< the packet is whole; the others of it are in `joined`
    duplicate,  ///< the caller keeps it, here and below
    refused,    ///< it overlaps or contradicts others
    malformed,  ///< it breaks the rules of fragments, or its header checksum is wrong
  };
  /// `packet` is a fragment and has been parsed. Fragments of different zones never meet.
  Outcome add(std::uint64_t owner, std::uint16_t zone, Packet& packet, const ParsedHeaders& parsed,
              const ReassemblyLimits& limits, Time now, std::vector<Packet*>& joined,
              std::vector<GivenUp>& given_up);
  /// Gives up what has waited too long.
  void expire(Time now, std::vector<GivenUp>& given_up);
  /// Packets that are not whole.
  std::size_t packets() const;

 private:
  std::map<std::uint64_t, Reassembly> owners_;
  std::vector<Part> parts_;
};

}  // namespace weft::datapath
