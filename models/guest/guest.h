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

/// A unit (traffic_stats.h) that a client has sent and has no answer to. Whether it is lost or
/// still on its way is not for the guest to know: scenarios/run looks for its packets.
struct Waiting {
  std::uint32_t traffic = 0, pair = 0;
  Time at{};                 ///< when it was sent
  std::uint64_t number = 0;  ///< ping: of the request; others: a number that grows
  bool stalled = false;      ///< no connection, or one whose retransmission timer has fired
  bool owes_acknowledgement = false;  ///< of what it has received: more comes when it has sent it
};

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
  /// What its clients wait for, in the order of the scenario's traffic and of sending.
  std::vector<Waiting> waiting() const;
  /// The record of one pair, or nullptr if this guest has no part in it.
  const TrafficStats* pair_stats(std::uint32_t traffic, std::uint32_t pair) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::models
