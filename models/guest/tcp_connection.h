// TcpConnection: one end of a TCP connection. What it keeps to and who owns it: tcp.h.
#pragma once

#include <cstdint>
#include <vector>

#include "base/net_types.h"
#include "base/time.h"
#include "base/units.h"
#include "datapath/packet.h"
#include "models/guest/tcp.h"

namespace weft::models {

struct NetstackImpl;
struct TrafficStats;

/// What a connection has done; all numbers since its beginning.
struct TcpCounters {
  std::uint64_t segments_out = 0, segments_in = 0;
  std::uint64_t retransmits = 0;  ///< segments sent again, SYN and FIN too
  std::uint64_t timeouts = 0;
  std::uint64_t fast_retransmits = 0;  ///< entries into fast recovery
  std::uint64_t duplicate_segments = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t ecn_reductions = 0;
};

class TcpConnection {
 public:
  // --- for the application -------------------------------------------------------------------
  /// Appends to the stream; sent as the windows allow. After close() a programmer error.
  void send(Payload payload);
  /// No more data from this side: FIN after what was sent. While connecting with nothing to send it
  /// is the end (aborted).
  void close();
  /// RST to the peer; on_closed(aborted) follows at once.
  void abort();
  /// With false, what arrives stays in the receive buffer and the window closes.
  void set_reading(bool on);
  /// Upper bound of the rate at which payload is sent, {0}: none.
  void limit_rate(BitRate payload_rate);
  void set_events(TcpEvents* events) { events_ = events; }

  /// Counts segments and retransmissions into `record` too, those so far included.
  void count_into(TrafficStats* record);

  TcpState state() const { return state_; }
  const IpAddress& local() const { return local_; }
  const IpAddress& remote() const { return remote_; }
  std::uint16_t local_port() const { return local_port_; }
  std::uint16_t remote_port() const { return remote_port_; }
  std::uint32_t flow() const { return flow_; }
  const TcpCounters& counters() const { return counters_; }
  std::uint64_t sent_total() const { return queue_end_ - 1; }  ///< bytes given to send()
  std::uint64_t acknowledged_total() const;                    ///< bytes of those
  std::uint64_t received_total() const { return received_; }   ///< bytes given to on_received
  std::uint32_t mss() const { return mss_; }
  std::uint64_t congestion_window() const { return cwnd_; }
  std::uint64_t slow_start_threshold() const { return ssthresh_; }
  std::uint64_t in_flight() const { return snd_nxt_ - snd_una_; }
  Duration rto() const { return rto_; }
  /// The retransmission timer has fired and nothing was acknowledged since.
  bool timed_out() const { return backoff_ > 0; }
  /// Something was received that is yet to be acknowledged.
  bool owes_acknowledgement() const { return ack_deadline_ != Time::never(); }
  Duration smoothed_rtt() const { return srtt_; }
  std::uint64_t application_tag = 0;  ///< the application's own

 private:
  friend struct NetstackImpl;

  struct SendItem {
    std::uint64_t start;  // position of its first byte
    Payload payload;
  };
  struct Range {
    std::uint64_t start;
    Payload payload;
    std::uint64_t end() const { return start + payload.size(); }
  };

  // identity
  NetstackImpl* stack_ = nullptr;
  IpAddress local_{}, remote_{};
  std::uint16_t local_port_ = 0, remote_port_ = 0;
  TcpState state_ = TcpState::closed;
  bool passive_ = false;
  bool busy_ = false;        // inside input(), a timer or output(): callbacks only queue
  bool dead_ = false;        // to be freed when not busy
  bool fin_told_ = false;    // on_peer_closed has been called
  std::uint32_t index_ = 0;  // within the stack's table
  std::uint32_t flow_ = 0, pair_ = 0;
  std::uint32_t tenant_ = 0;
  TcpEvents* events_ = nullptr;
  TcpCounters counters_{};
  TrafficStats* record_ = nullptr;

  // sending; positions: 0 = SYN, data from 1, FIN at queue_end_
  std::uint32_t iss_ = 0;
  std::uint64_t snd_una_ = 0, snd_nxt_ = 0, snd_max_ = 0;
  std::uint64_t queue_end_ = 1;  // position after the last byte queued
  bool fin_queued_ = false;
  std::uint64_t snd_wnd_ = 0;  // bytes beyond snd_una_
  std::uint64_t max_wnd_ = 0;  // the largest the peer ever offered
  std::uint64_t wl1_ = 0, wl2_ = 0;
  std::uint8_t snd_scale_ = 0;
  std::uint32_t mss_ = 536, peer_mss_ = 536;
  std::vector<SendItem> items_;                  // unacknowledged and unsent, from items_head_
  std::size_t items_head_ = 0, items_next_ = 0;  // first kept; where snd_nxt_ was last found

  // congestion control
  std::uint64_t cwnd_ = 0, ssthresh_ = UINT64_MAX, acked_bytes_ = 0;
  std::uint64_t recover_ = 0;
  std::uint32_t dup_acks_ = 0;
  bool in_recovery_ = false, first_partial_ = false;
  bool ecn_ok_ = false, ecn_echo_ = false, ecn_cwr_ = false;
  std::uint64_t ecn_until_ = 0;
  bool limited_ = false;  // the last output() stopped at cwnd
  Time last_send_{};

  // round trip and retransmission (guest clock)
  Duration srtt_{}, rttvar_{}, rto_{};
  bool rtt_known_ = false, timing_ = false;
  std::uint64_t timed_end_ = 0;
  Time timed_at_{};
  Time rtx_deadline_ = Time::never();
  Time probe_deadline_ = Time::never();
  std::uint32_t backoff_ = 0, probes_ = 0;

  // receiving; positions relative to the peer's SYN (0), data from 1
  std::uint32_t irs_ = 0;
  std::uint64_t rcv_nxt_ = 0, rcv_adv_ = 0, last_ack_sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t peer_fin_ = UINT64_MAX;  // position of the peer's FIN, once seen
  std::uint8_t rcv_scale_ = 0;
  bool reading_ = true, ack_now_ = false;
  std::uint32_t quick_acks_ = 0;
  std::uint32_t unacked_segments_ = 0;
  Time ack_deadline_ = Time::never();
  std::vector<Range> ranges_;  // out of order, sorted, disjoint
  std::uint64_t range_bytes_ = 0;
  std::vector<Payload> unread_;  // in order, not taken because reading_ is false
  std::uint64_t unread_bytes_ = 0;

  // pacing and timers
  BitRate rate_limit_{};
  Time next_send_{};
  Time pace_deadline_ = Time::never();
  Time wait_deadline_ = Time::never();  // TIME_WAIT
  std::uint32_t timer_ = 0;             // slot of GuestTimers
  Time armed_ = Time::never();

  // headers
  std::uint32_t neighbour_epoch_ = 0;  // of the Ethernet header in template_
  std::uint8_t l4_ = 0;                // offset of the TCP header
  std::uint8_t template_[14 + 40 + 20];
  std::uint64_t tcp_sum_ = 0;  // of the pseudo header's addresses and protocol, the ports
  std::uint64_t ip_sum_ = 0;   // of the IPv4 header without length, identification, tos
};

}  // namespace weft::models
