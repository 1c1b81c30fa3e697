// Station: the world as an IP stack sees it. A guest behind a virtual port, a plain host on a link
// and the hypervisor's own stack (which carries migration memory) run the same Netstack over it.
//
// Timers go through GuestTimers (guest_timers.h), a table that belongs to the *guest*: it can be
// detached when the guest leaves its LP and attached on another, where the timers are re-armed in
// slot order under the destination's origin.
//
// Verdicts: whoever ends a packet's life reports it through the station (deliver, consume or drop),
// which also gives the packet back to the pool.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/random.h"
#include "base/time.h"
#include "datapath/packet.h"
#include "datapath/verdict.h"
#include "sim/engine.h"

namespace weft::models {

class Station {
 public:
  virtual ~Station() = default;
  virtual Time now() const = 0;
  /// A fresh packet with id, born, tenant set, counted as created.
  virtual Packet* create() = 0;
  /// Hands a finished Ethernet frame to the port or link. Takes it over.
  virtual void transmit(Packet* packet) = 0;
  virtual void deliver(Packet* packet) = 0;                  ///< verdict delivered; frees
  virtual void consume(Packet* packet) = 0;                  ///< verdict consumed; frees
  virtual void drop(Packet* packet, DropReason reason) = 0;  ///< frees
  /// Kernel timers. When one fires, call Guest::on_timer(slot) (or Netstack::on_timer). A station
  /// is one guest's: slots of different guests on an LP are told apart by the station.
  virtual void arm(sim::TimerId& timer, Time at, std::uint32_t slot) = 0;
  virtual void cancel(sim::TimerId& timer) = 0;
  virtual RandomStream stream(std::string_view name) const = 0;
  virtual void note(std::uint64_t a, std::uint64_t b) = 0;  ///< digest
};

}  // namespace weft::models
