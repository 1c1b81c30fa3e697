// TCP inside connection tracking, as Linux's nf_conntrack_proto_tcp does it: a table of states and
// flags, and windows that say which segments belong to the connection at all.
//
// The table: nine states, five kinds of segment, two directions. The windows (van Rooij, "Real
// stateful TCP packet filtering in IP Filter", 2001): of each side is known the highest sequence
// number that it has sent (`end`), the highest that it may send (`max_end`: what the other has
// acknowledged plus the window it gave), the largest window it ever gave, and the highest
// acknowledgement. A segment is in the window if
//   I    it begins no later than the sender may send,
//   II   it ends no earlier than one window of the receiver before what has been sent,
//   III  it acknowledges nothing that the receiver has not sent,
//   IV   it acknowledges nothing that is older than a window.
// Windows are scaled once both SYNs carried the option (RFC 7323); a SACK block counts as an
// acknowledgement of its right edge (RFC 2018).
//
// A segment outside is invalid, changes nothing but what is said below, and never reaches the
// state table, so nobody can close a connection by guessing its ports alone. A RST must carry the
// sequence number that the other side acknowledged last, or follow what the sender sent last;
// otherwise the connection stays as it is. A connection picked up in the middle (loose) has no
// history, and its windows are not checked (`liberal`).
//
// Where both ends are in step and the tracker is not (a host that crashed and calls again from the
// same port), a SYN in the middle is let through and remembered; if it is answered by a SYN+ACK
// that acknowledges it, tracking starts afresh from there.
#pragma once

#include <cstdint>

namespace weft::datapath {

enum class TcpState : std::uint8_t {
  none,  ///< not TCP
  syn_sent,
  syn_received,
  established,
  fin_wait,
  close_wait,
  last_ack,
  time_wait,
  close,
  syn_sent2,  ///< simultaneous open
};
const char* to_string(TcpState state);

/// What matters of one segment.
struct TcpSegment {
  static constexpr std::uint8_t kNoScale = 0xff;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint32_t sack = 0;    ///< highest right edge of its SACK blocks; else the acknowledgement
  std::uint32_t length = 0;  ///< bytes of data
  std::uint16_t window = 0;
  std::uint8_t flags = 0;
  std::uint8_t window_scale = kNoScale;  ///< option of a SYN
  bool sack_permitted = false;           ///< option of a SYN
  /// First sequence number behind it.
  std::uint32_t end() const {
    return sequence + length + (flags >> 1 & 1u) + (flags & 1u);  // SYN and FIN count as one
  }
};

/// What is remembered of a TCP connection; [0] is the side that opened it.
struct TcpTrack {
  std::uint32_t end[2]{};
  std::uint32_t max_end[2]{};
  std::uint32_t max_window[2]{};  ///< 0: this side has sent nothing yet
  std::uint32_t max_ack[2]{};
  std::uint8_t scale[2]{};
  std::uint8_t flags[2]{};  ///< kSide*
  // The segment before.
  std::uint32_t last_sequence = 0;
  std::uint32_t last_ack = 0;
  std::uint32_t last_end = 0;
  std::uint16_t last_window = 0;
  std::uint8_t last_kind = 0;   ///< row of the table + 1; 0: none
  std::uint8_t last_scale = 0;  ///< of a SYN that was let through
  std::uint8_t bits = 0;        ///< kLast*, kAssured
  std::uint8_t repeats = 0;     ///< how often the same acknowledgement came again

  static constexpr std::uint8_t kSideScales = 1;    ///< its SYN had the window scale option
  static constexpr std::uint8_t kSideSack = 2;      ///< it takes SACK
  static constexpr std::uint8_t kSideClosed = 4;    ///< it sent the first FIN
  static constexpr std::uint8_t kSideLiberal = 8;   ///< its windows are not checked
  static constexpr std::uint8_t kSideUnacked = 16;  ///< it has sent data not yet acknowledged
  static constexpr std::uint8_t kSideAcked = 32;    ///< max_ack is known
  static constexpr std::uint8_t kLastReply = 1;     ///< direction of the segment before
  static constexpr std::uint8_t kLastScales = 2;    ///< a SYN that was let through: its options
  static constexpr std::uint8_t kLastSack = 4;
  static constexpr std::uint8_t kSimultaneous = 8;  ///< both sides sent a SYN
  static constexpr std::uint8_t kChallenge = 16;    ///< the next ACK may be a challenge (RFC 5961)
  static constexpr std::uint8_t kAssured = 32;      ///< it has been established

  bool operator==(const TcpTrack&) const = default;
};
static_assert(sizeof(TcpTrack) == 56);

struct TcpPolicy {
  bool loose = true;     ///< an ACK may start a connection in the middle
  bool liberal = false;  ///< segments outside the windows are valid all the same
  std::uint8_t max_repeats = 3;
  bool unchecked = false;  ///< a planted fault: no windows at all
};

struct TcpStep {
  enum class Kind : std::uint8_t {
    go,       ///< the state becomes `next`, the timer starts again
    ignore,   ///< let through, the state stays
    invalid,  ///< makes no sense here
    reopen,   ///< a SYN on a connection that is over: forget it, the packet is new
  };
  /// Which timeout applies, unless that of the state is shorter.
  enum class Timer : std::uint8_t { state, closed, repeated, unacknowledged };
  Kind kind = Kind::invalid;
  TcpState next = TcpState::none;
  Timer timer = Timer::state;
};

/// The first segment: `go` to syn_sent or, picked up in the middle, to established; or `invalid`.
TcpStep tcp_start(TcpTrack& track, const TcpSegment& segment, const TcpPolicy& policy);
/// The first segment again, without remembering anything.
TcpStep tcp_could_start(const TcpSegment& segment, const TcpPolicy& policy);
/// A segment of a connection that is there. `seen_reply`: a segment of the reply direction came
/// before.
TcpStep tcp_step(TcpTrack& track, TcpState state, const TcpSegment& segment, bool reply,
                 bool seen_reply, const TcpPolicy& policy);

}  // namespace weft::datapath
