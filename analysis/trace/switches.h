// Switches: the virtual switches of all hypervisors at one moment, for tracer.h. Two kinds: those
// of a network at rest, made here from the desired state when they are first asked for, and those
// of a simulation that has been run to a time (scenarios/run/trace_world.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "analysis/trace/network_view.h"
#include "datapath/trace.h"

namespace weft::analysis {

class Switches {
 public:
  struct Seat {
    std::size_t hypervisor = 0;  ///< index into NetworkView::hypervisors
    datapath::PortNo port{};
  };

  virtual ~Switches() = default;
  /// Where a port's guest is; nothing: nowhere.
  virtual std::optional<Seat> seat_of(const std::string& port) const = 0;
  /// The logical port at an OpenFlow port; empty: none.
  virtual std::string port_at(const Seat& seat) const = 0;
  /// Why the guest there takes nothing now; nothing: it does.
  virtual std::optional<DropReason> refusal_at(const Seat& seat) const = 0;
  virtual datapath::TraceResult trace(const Seat& seat, const Packet& packet,
                                      const datapath::TraceOptions& options) = 0;
  /// What the guest there knows of the conversation that a packet belongs to, and its headers do
  /// not say; nothing: there is none yet.
  struct Conversation {
    std::uint32_t sequence = 1, acknowledgement = 1;  ///< TCP: of the next segment
    std::uint16_t echo_id = 1;
  };
  virtual std::optional<Conversation> conversation(const Seat& seat,
                                                   const datapath::FlowKey& packet) const {
    (void)seat, (void)packet;
    return std::nullopt;
  }
  /// Where packets to trace come from.
  virtual PacketPool& pool() = 0;
};

/// Which rules switches at rest have: all, those that packets need (needed_rules.h), or, by itself,
/// the latter where a network is large. The answers are the same.
enum class RestRules : std::uint8_t { automatic, all, needed };

/// At rest: the control plane has converged, everything is up, no connection is established, and
/// the clock stands at zero. A switch is compiled when it is first asked. `view` must outlive it.
std::unique_ptr<Switches> switches_at_rest(const NetworkView& view,
                                           RestRules which = RestRules::automatic);

}  // namespace weft::analysis
