// TCP for guests, hosts and the hypervisors' own stack.
//
// What it keeps to: RFC 9293 (states, checks of sequence numbers), 5681 and 6582 (slow start,
// congestion avoidance, NewReno), 6928 (initial window of 10), 3465 (byte counting, L = 2), 3042
// (limited transmit), 6298 (retransmission timer, Karn), 7323 (window scale), 5961 (resets must hit
// the next expected number, else a challenge), 3168 (ECN, when configured), 1122 (delayed
// acknowledgements, silly windows, zero-window probes). No SACK and no timestamps yet.
//
// Streams are sequences of Payload slices: descriptors whose bytes nobody needs to make, or real
// bytes (control messages), in any mixture. A segment never crosses the border of two slices that
// do not continue each other. Sequence numbers inside are 64-bit positions (0 is the SYN, data
// begins at 1); only the wire has 32 bits, so nothing wraps.
//
// Cost. A connection is one object, found by a flat hash; headers are made from a template; there
// is one timer slot per connection, armed for the earliest of its deadlines and left alone when a
// deadline moves later. In the steady state a segment allocates nothing.
//
// Who owns what: the stack owns connections. A TcpConnection& is valid until on_closed() returns.
// Callbacks may call everything of the connection, including close() and abort().
#pragma once

#include <cstdint>

#include "base/net_types.h"
#include "base/time.h"
#include "base/units.h"
#include "datapath/payload.h"

namespace weft::models {

class Netstack;
class TcpConnection;

enum class TcpState : std::uint8_t {
  closed,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  time_wait
};

enum class TcpEnd : std::uint8_t {
  normal,     ///< both sides closed
  refused,    ///< reset while connecting
  reset,      ///< reset by the peer
  timed_out,  ///< too many retransmissions
  aborted     ///< by abort()
};

struct TcpConfig {
  std::uint32_t receive_buffer = 4u << 20;  ///< bytes; the window scale follows from it
  bool delayed_ack = true;
  Duration delayed_ack_time = milliseconds(40);
  std::uint32_t quick_acks = 16;  ///< segments at the beginning that are acknowledged at once
  Duration min_rto = milliseconds(200);
  Duration initial_rto = seconds(1);
  Duration max_rto = seconds(120);
  std::uint32_t syn_retries = 6;
  std::uint32_t retries = 15;  ///< of the same data before the connection counts as lost
  Duration time_wait = seconds(60);
  std::uint32_t initial_window = 10;  ///< segments
  bool ecn = true;                    ///< ask for and grant ECN (RFC 3168)
  bool ignore_gaps = false;           ///< a planted fault (models/faults.h), for weft mutate only
};

class TcpEvents {
 public:
  virtual void on_connected(TcpConnection&) {}
  /// The next bytes of the stream, in order, each once.
  virtual void on_received(TcpConnection&, const Payload&) {}
  /// `total`: bytes of ours that the peer has acknowledged since the beginning.
  virtual void on_acknowledged(TcpConnection&, std::uint64_t total) { (void)total; }
  /// The peer has closed its direction; everything it sent has been received.
  virtual void on_peer_closed(TcpConnection&) {}
  /// The end; the connection must not be used after this returns.
  virtual void on_closed(TcpConnection&, TcpEnd) {}

 protected:
  ~TcpEvents() = default;
};

class TcpAcceptor {
 public:
  /// A SYN for the listening port: who takes the connection? nullptr refuses it (RST).
  virtual TcpEvents* on_accept(TcpConnection&) = 0;

 protected:
  ~TcpAcceptor() = default;
};

}  // namespace weft::models
