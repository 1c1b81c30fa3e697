// Port: one end of a link, owned by the node that transmits on it.
//
// One event per hop. The transmit queue is never stored: a port keeps until when its transmitter is
// busy, the backlog follows from that (busy_until - now), and a frame that is accepted is scheduled
// at once for the moment its last bit reaches the far end:
//
//     arrival = max(now, busy_until) + wire bytes * ps per byte + delay
//
// Wire bytes are the frame padded to Ethernet's 60 bytes plus `framing` (FCS 4, preamble 8, gap
// 12).
//
// DropTail: a frame that finds more than `queue` bytes waiting in front of it (its own included) is
// dropped, except that an idle transmitter always takes one frame. ECN: the probability of a CE
// mark rises linearly from 0 at `ecn_min` to 1 at `ecn_max` of backlog (RFC 3168; only ECT
// packets).
//
// State generation. `epoch` counts the changes of the link's state; both ends see the same changes
// at the same times (class 1 precedes arrivals), so a frame that was queued or on the wire when the
// link failed carries an old epoch and the receiver drops it as link.down.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/fixed.h"
#include "base/net_types.h"
#include "base/random.h"
#include "base/units.h"
#include "models/event_kinds.h"
#include "models/observe.h"
#include "sim/engine.h"

namespace weft::models {

struct PortConfig {
  std::string name;        ///< "hv-1-1.uplink"
  std::uint32_t link = 0;  ///< index of the link in the topology
  BitRate rate{};
  Duration delay{};
  std::uint64_t queue_bytes = 0;
  std::uint64_t ecn_min = 0, ecn_max = 0;  ///< 0, 0: no marking
  std::uint32_t mtu = 9000;
  std::uint32_t framing = 24;
  std::uint64_t loss_ppb = 0;
  std::uint64_t corruption_ppb = 0;
  bool corruption_undetected = false;
  Mac mac{};
};

struct PortCounters {
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_packets = 0, tx_bytes = 0;  ///< accepted for transmission (wire bytes)
  std::int64_t peak_backlog_ps = 0;
  std::uint64_t drops = 0;  ///< queue full
  std::uint64_t lost = 0;   ///< on the wire, by loss
  std::uint64_t ecn_marks = 0;
};

/// What every frame needs comes first, in two cache lines; some of it is derived from `config` by
/// prepare().
struct alignas(64) Port {
  Time busy_until{};
  std::int64_t ps_per_byte = 0;  ///< 0: not a whole number, use `rate`
  std::int64_t queue_ps = 0;
  std::int64_t delay_ps = 0;
  std::int64_t ecn_max_ps = 0;
  FrameTap* tap = nullptr;
  sim::ChannelId channel{};
  std::uint32_t epoch = 0;
  std::uint32_t framing = 0;
  std::uint32_t mtu = 0;

  Mac mac{};
  std::uint16_t peer_port = 0;
  bool up = true;
  bool lossy = false;                 ///< loses or damages frames
  std::int64_t interval_peak_ps = 0;  ///< highest backlog since the observer last reset it
  PortCounters counters;

  std::int64_t ecn_min_ps = 0;
  PortConfig config;
  RandomStream loss, corruption, marking;
  Outage outage;  ///< `up` follows from it

  /// Derives the fast-path figures; `name` of the link direction keys the random streams.
  void prepare(std::uint64_t seed);

  std::int64_t wire_ps(std::uint32_t frame_bytes) const {
    const std::uint32_t bytes = std::max<std::uint32_t>(frame_bytes, 60) + framing;
    if (ps_per_byte != 0) [[likely]]
      return bytes * ps_per_byte;
    return serialisation_time(bytes, config.rate).ps;
  }
  /// Bytes that wait or are being sent at `now`.
  std::uint64_t backlog_bytes(Time now) const;
  /// Wire bytes that have left by `now`: accepted, and not waiting any more.
  std::uint64_t sent_bytes(Time now) const {
    return counters.tx_bytes - std::min(counters.tx_bytes, backlog_bytes(now));
  }
  std::uint64_t peak_backlog_bytes() const { return bytes_in(counters.peak_backlog_ps); }
  std::uint64_t interval_peak_bytes() const { return bytes_in(interval_peak_ps); }
  /// Bytes that take `ps` to send.
  std::uint64_t bytes_in(std::int64_t ps) const;
};

}  // namespace weft::models
