// Kinds of events between the logical processes of models/: what `kind`, `aux` and `data` mean.
#pragma once

#include <cstdint>

namespace weft::models {

enum EventKind : std::uint16_t {
  /// arrival: aux = receiving port, data = Packet* (owned by the event).
  kFrame = 1,
  /// port_state: aux = port, data = 1 up, 0 down. Sent to both ends of a link at the same time.
  kPortState,
  /// port_state: data = 1 up, 0 down. The node itself.
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
};

/// What a topology change says, packed into Event::data.
struct TopologyChange {
  std::uint32_t index = 0;
  bool is_link = true;
  bool up = false;
  std::uint64_t pack() const {
    return static_cast<std::uint64_t>(index) << 2 | static_cast<std::uint64_t>(is_link) << 1 |
           static_cast<std::uint64_t>(up);
  }
  static TopologyChange unpack(std::uint64_t v) {
    return {static_cast<std::uint32_t>(v >> 2), (v & 2) != 0, (v & 1) != 0};
  }
};

}  // namespace weft::models
