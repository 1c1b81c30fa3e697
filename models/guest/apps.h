// Applications of a guest: what the plain values of traffic.h become. Private to models/guest.
//
// Every application is an object that lives as long as its guest and moves with it: timers are
// slots of the guest's own table, random streams are keyed by the traffic's name, statistics are
// records of the guest. Times of the run's clock (start, stop, samples) are compared with
// timers.world(), gaps are timers of the guest's clock, so an application pauses with its guest.
#pragma once

#include <memory>
#include <vector>

#include "models/guest/guest.h"
#include "models/guest/tcp_connection.h"

namespace weft::models {

/// What applications of one guest share.
struct AppWorld {
  Netstack* stack = nullptr;
  bool check_integrity = true;
  std::vector<std::unique_ptr<TrafficStats>> stats;  ///< by (traffic, pair)

  TrafficStats& stats_of(std::uint32_t traffic, std::uint32_t pair);
  Time world() const { return stack->timers().world(); }
  /// Compares what was delivered with what should come: `length` bytes of `stream` at `offset`.
  void verify(TrafficStats& stats, const Payload& data, std::uint64_t stream,
              std::uint64_t offset) const;
};

class App {
 public:
  virtual ~App() = default;
  /// At the first attach.
  virtual void begin(RandomStream random) = 0;
  /// Appends what it has sent and still waits for, oldest first.
  virtual void waiting(std::vector<Waiting>&) const {}
  /// What it will read when something arrives or its timer fires.
  virtual void warm(sim::WarmLines&) const {}
};

/// Units that were sent, in order of their numbers, and which of them have arrived: tells
/// duplicates and reordering with memory only for the holes.
class ArrivalRecord {
 public:
  enum class Arrival : std::uint8_t { in_order, late, duplicate };
  Arrival add(std::uint64_t number);

 private:
  struct Hole {
    std::uint64_t begin, end;
  };
  static constexpr std::size_t kMostHoles = 65536;  // older ones count as lost for good
  std::uint64_t next_ = 0;
  std::vector<Hole> holes_;  // ascending
};

std::unique_ptr<App> make_ping(AppWorld& world, const ClientConfig& config,
                               std::uint16_t identifier);
std::unique_ptr<App> make_udp_sender(AppWorld& world, const ClientConfig& config);
std::unique_ptr<App> make_bulk_client(AppWorld& world, const ClientConfig& config);
std::unique_ptr<App> make_rpc_client(AppWorld& world, const ClientConfig& config);
std::unique_ptr<App> make_scan(AppWorld& world, const ClientConfig& config);
/// One server per port; the peers of that port.
std::unique_ptr<App> make_udp_sink(AppWorld& world, std::vector<PeerConfig> peers);
std::unique_ptr<App> make_tcp_server(AppWorld& world, std::vector<PeerConfig> peers);

inline constexpr int kIncarnationShift = 40;  ///< connection n of a pair starts at n << 40

}  // namespace weft::models
