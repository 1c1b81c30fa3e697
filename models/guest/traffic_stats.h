// What a guest has seen of one traffic, as client, as server or as both. The record moves with the
// guest; analysis adds the records of all guests up.
//
// A *unit* is what the traffic sends: a ping, a datagram, a request of an rpc, a whole transfer of
// a bulk, a probe of a scan.
//
//   sent       units sent; counted by the client
//   delivered  units that arrived, each once: echo replies (client), datagrams (server), responses
//              of an rpc (client), transfers received whole (client, when everything is
//              acknowledged), ports that answered a scan (client)
//
// so sent - delivered is what was lost (or is still under way) for every kind. A rpc or bulk whose
// connection the policy denies has sent > 0 and delivered = 0.
//
// The time series has a bucket per 10 ms of the run's clock in which something happened. `sent` and
// `delivered` are filed under the time of *sending*: in every window sent - delivered is the loss
// of what was sent in that window. Everything else is filed under the time when it happened.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/latency_histogram.h"
#include "base/time.h"

namespace weft::models {

struct LatencySample {
  Time at{};  ///< completion, of the run's clock
  Duration latency{};
};

struct TrafficBucket {
  std::uint32_t index = 0;      ///< time / 10 ms
  std::uint32_t sent = 0;       ///< units, by the time of sending
  std::uint32_t delivered = 0;  ///< units, by the time of sending
  std::uint32_t duplicates = 0;
  std::uint32_t opened = 0;  ///< connections
  std::uint32_t lost = 0;    ///< connections
  std::uint32_t completed = 0;
  std::uint32_t retransmits = 0;
  std::uint64_t bytes = 0;  ///< payload that reached an application
};

inline constexpr Duration kTrafficBucket = milliseconds(10);

struct TrafficStats {
  std::uint32_t traffic = 0;
  std::uint32_t pair = 0;

  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;
  std::uint64_t duplicates = 0;          ///< units that came again
  std::uint64_t reordered = 0;           ///< units that came after a later one
  std::uint64_t bytes = 0;               ///< payload that reached an application (both directions)
  std::uint64_t completed = 0;           ///< responses, transfers, pings; udp: none
  std::uint64_t connections_opened = 0;  ///< by the client
  std::uint64_t connections_lost = 0;    ///< by the client: reset, refused or timed out
  std::uint64_t connections_closed = 0;  ///< by the client: in order
  std::uint64_t retransmits = 0;         ///< segments sent again, by either side
  std::uint64_t segments_sent = 0;       ///< TCP, all of them, by either side
  std::uint64_t segments_received = 0;
  std::uint64_t icmp_errors = 0;       ///< unreachable, TTL exceeded, too big, for what was sent
  std::uint64_t integrity_faults = 0;  ///< bytes that were not what should come
  std::uint64_t ports_open = 0, ports_refused = 0, ports_filtered = 0;  ///< scan

  std::vector<LatencySample> samples;  ///< ping, rpc, bulk
  LatencyHistogram latency;            ///< udp, one way
  std::vector<TrafficBucket> series;   ///< by index, ascending

  /// The bucket of `at`, made if it does not exist.
  TrafficBucket& bucket(Time at);
  void merge(const TrafficStats& other);
};

}  // namespace weft::models
