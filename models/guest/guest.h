// Guest: an IP stack, the applications on it and what they have seen; a VM of the overlay or a
// plain host. It is a movable value: exactly one logical process holds it at any moment, and when
// it migrates it travels inside the last message of the migration channel with everything it is -
// connections, neighbours, timers (as remaining times of its own clock), random streams (keyed by
// its own name) and statistics.
//
//   Guest guest({.net = ..., .clients = ..., .peers = ...});
//   guest.attach(station);          // first time: applications start at their times
//   guest.receive(packet);  guest.on_timer(slot);
//   guest.detach();                 // paused: it receives nothing, its clock stands still
//   ... moves to another LP ...
//   guest.attach(other_station);    // resumes
//   guest.announce();               // gratuitous ARP, unsolicited neighbour advertisement
//
// While it is detached nothing but stats() and moving it is allowed. A station outlives the guests
// that are attached to it: destroying an attached guest gives back what waits for a neighbour.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "datapath/packet.h"
#include "models/guest/netstack.h"
#include "models/guest/station.h"
#include "models/guest/traffic.h"
#include "models/guest/traffic_stats.h"

namespace weft::models {

struct GuestConfig {
  NetConfig net;
  std::vector<ClientConfig> clients;  ///< in scenario order
  std::vector<PeerConfig> peers;
  bool check_integrity =
      true;  ///< a delivered byte that is wrong is an InternalFault, else counted
};

class Guest {
 public:
  explicit Guest(GuestConfig config);
  ~Guest();
  Guest(Guest&&) noexcept;
  Guest& operator=(Guest&&) noexcept;

  void attach(Station& station);
  void detach();
  bool attached() const;
  void receive(Packet* packet);
  void on_timer(std::uint32_t slot);
  void announce();
  /// What receiving and sending will read.
  void warm(sim::WarmLines& lines) const;

  Netstack& stack();
  const Netstack& stack() const;
  /// One record per pair of each traffic that this guest takes part in, by (traffic, pair).
  const std::vector<std::unique_ptr<TrafficStats>>& stats() const;
  /// The record of one pair, or nullptr if this guest has no part in it.
  const TrafficStats* pair_stats(std::uint32_t traffic, std::uint32_t pair) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::models
