// Kinds of events between the logical processes of models/: what `kind`, `aux` and `data` mean.
#pragma once

#include <cstdint>
#include <vector>

namespace weft::models {

enum EventKind : std::uint16_t {
  /// arrival: aux = receiving port, data = Packet* (owned by the event).
  kFrame = 1,
  /// port_state: aux = port, data = TopologyChange packed. Sent to both ends of a link at the same
  /// time.
  kPortState,
  /// port_state: data = TopologyChange packed. The node itself.
  kNodeState,
  /// port_state: data = TopologyChange packed: what routers learn after the convergence delay.
  kTopology,
  /// control: data = ControlMessage* (owned), aux = controller index or 0.
  kControl,
  /// timer: data = station index << 32 | slot of its GuestTimers.
  kStationTimer,
  /// timer: the control agent's or controller's next wake-up.
  kControlTimer,
  /// timer: housekeeping of a vSwitch (idle flows and connections).
  kExpireTimer,
  /// timer: the guests of a hypervisor boot.
  kBootTimer,
  /// command: start of everything at time zero.
  kStart,
  /// command: data = index of the scenario's event.
  kCommand,
  /// control: data = MigrationHandoff* (owned): the guest itself, between hypervisors.
  kHandoff,
  /// control: to the director: data = event index << 32 | phase index.
  kPhase,
  /// timer: a packet has waited for the vSwitch's slow path.
  kUpcallTimer,
};

/// A link or a node fails or comes back, packed into Event::data. Failures overlap: `by` names the
/// failure (1..2^30 - 1), so that the end of one does not undo another. Up with `by` = 0 mends the
/// element, whatever made it fail.
struct TopologyChange {
  std::uint32_t index = 0;  ///< of the link or node
  bool is_link = true;
  bool up = false;
  std::uint32_t by = 0;
  std::uint64_t pack() const {
    return static_cast<std::uint64_t>(by) << 34 | static_cast<std::uint64_t>(index) << 2 |
           static_cast<std::uint64_t>(is_link) << 1 | static_cast<std::uint64_t>(up);
  }
  static TopologyChange unpack(std::uint64_t v) {
    return {static_cast<std::uint32_t>(v >> 2), (v & 2) != 0, (v & 1) != 0,
            static_cast<std::uint32_t>(v >> 34)};
  }
};

/// All that keeps something down: its own failures, and those of what it needs (a port: its link
/// and the nodes at both ends). It is up when none is left.
class Outage {
 public:
  bool up() const { return causes_.empty(); }
  /// Gives up().
  bool apply(const TopologyChange& change) {
    std::erase_if(causes_, [&](const TopologyChange& c) {
      return c.is_link == change.is_link && c.index == change.index &&
             (c.by == change.by || (change.up && change.by == 0));
    });
    if (!change.up) causes_.push_back(change);
    return up();
  }

 private:
  std::vector<TopologyChange> causes_;
};

}  // namespace weft::models
