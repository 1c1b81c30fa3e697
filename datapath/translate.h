// The slow path: runs a key through the flow tables and gives the decision (decision.h).
//
// While it runs it keeps, beside the key, which bits have become constants (set_field wrote them,
// or they were copied from bits that have been looked at). A lookup adds to the decision's mask
// only bits that still come from the packet.
//
// ct(table=N) ends a decision: what follows depends on the connection. The registers and the table
// to go on in are interned as a recirculation id (RecirculationTable); the packet comes back with
// that id in its key.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "datapath/faults.h"
#include "datapath/flow_tables.h"
#include "datapath/group.h"
#include "datapath/meter.h"
#include "datapath/mirror.h"
#include "datapath/pipeline.h"

namespace weft::datapath {

/// What a packet goes on with after recirculation.
struct FrozenState {
  std::uint8_t table = 0;
  std::array<std::uint64_t, kKeyWords - kPacketWords> metadata{};
  std::uint32_t mirrored = 0;  ///< mirrors that have copied it
  std::vector<Ip6> stack;      ///< of push and pop
  std::vector<std::uint16_t>
      tags;  ///< vlan_tci of the tags behind the outermost, the next one last
  auto operator<=>(const FrozenState&) const = default;
};

class RecirculationTable {
 public:
  /// The id of a state, 1.. in the order of first use.
  std::uint32_t intern(const FrozenState& state);
  const FrozenState& state(std::uint32_t id) const { return *states_[id - 1]; }
  std::size_t size() const { return states_.size(); }
  void clear();

 private:
  std::map<FrozenState, std::uint32_t> ids_;
  std::vector<const FrozenState*> states_;
};

/// The switch around the tables, as the slow path sees it.
struct SwitchView {
  const FlowTables* tables = nullptr;
  const VtepConfig* vtep = nullptr;
  const std::vector<PortConfig>* ports = nullptr;  ///< sorted by number
  const Faults* faults = nullptr;
  const GroupTable* groups = nullptr;
  const MeterTable* meters = nullptr;
  const std::vector<Mirror>* mirrors = nullptr;

  const PortConfig* port(std::uint32_t number) const;
};

/// The encapsulation that a packet with this key gets when it is output to `port`: towards tun_dst,
/// or `back` to where it came from. False if the key says no destination.
bool make_outer_step(const SwitchView& view, const PortConfig& port, const FlowKey& key, bool back,
                     OuterStep& outer);

/// `trace`, if given, receives a line per table, rule and action; without `text`, per table, with
/// the rule and no text.
Decision translate(const SwitchView& view, RecirculationTable& recirculation, const FlowKey& key,
                   std::vector<TraceLine>* trace = nullptr, bool text = true);

}  // namespace weft::datapath
