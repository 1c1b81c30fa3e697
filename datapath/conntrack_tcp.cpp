#include "datapath/conntrack_tcp.h"

#include "datapath/wire/transport.h"

namespace weft::datapath {
namespace {

using Flags = wire::TcpHeader;

// Columns are TcpState in order: none, syn_sent, syn_received, established, fin_wait, close_wait,
// last_ack, time_wait, close, syn_sent2. Letters name the state to go to; `v` is invalid, `i` is
// ignore. Rows: SYN, SYN+ACK, FIN, ACK, RST.
//   S syn_sent  R syn_received  E established  F fin_wait  C close_wait  L last_ack  T time_wait
//   X close  2 syn_sent2
constexpr char kOriginal[5][11] = {
    "SSiiiiiSS2", "vvRvvvvvvR", "vvFFLLLTXv", "EvEECCTTXv", "vXXXXXXXXX",
};
constexpr char kReply[5][11] = {
    "v2vvvvvSv2", "vRiiiiiiiR", "vvFFLLLTXv", "viRECCTTXi", "vXXXXXXXXX",
};

/// Row of the flags, or -1 if no stack would send this combination.
int row_of(std::uint8_t flags) {
  switch (flags & (Flags::kSyn | Flags::kFin | Flags::kRst | Flags::kAck)) {
    case Flags::kSyn:
      return 0;
    case Flags::kSyn | Flags::kAck:
      return (flags & Flags::kUrg) == 0 ? 1 : -1;
    case Flags::kFin | Flags::kAck:
      return 2;
    case Flags::kAck:
      return 3;
    case Flags::kRst:
    case Flags::kRst | Flags::kAck:
      return (flags & Flags::kUrg) == 0 ? 4 : -1;
    default:
      return -1;
  }
}

TcpState state_of(char letter) {
  switch (letter) {
    case 'S':
      return TcpState::syn_sent;
    case 'R':
      return TcpState::syn_received;
    case 'E':
      return TcpState::established;
    case 'F':
      return TcpState::fin_wait;
    case 'C':
      return TcpState::close_wait;
    case 'L':
      return TcpState::last_ack;
    case 'T':
      return TcpState::time_wait;
    case 'X':
      return TcpState::close;
    default:
      return TcpState::syn_sent2;
  }
}

constexpr std::uint8_t kSynRow = 1, kSynAckRow = 2, kAckRow = 4, kRstRow = 5;  // row + 1

// Sequence numbers wrap.
bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }
bool after(std::uint32_t a, std::uint32_t b) { return before(b, a); }

/// The least window that an old acknowledgement may lie behind.
constexpr std::uint32_t kMaxAckWindow = 66000;

using T = TcpTrack;

bool has(std::uint8_t set, std::uint8_t flag) { return (set & flag) != 0; }
void drop(std::uint8_t& set, std::uint8_t flag) { set &= static_cast<std::uint8_t>(~flag); }

void read_options(T& t, unsigned side, const TcpSegment& s) {
  t.scale[side] = 0;
  t.flags[side] &= T::kSideLiberal;
  if (s.sack_permitted) t.flags[side] |= T::kSideSack;
  if (s.window_scale != TcpSegment::kNoScale) {
    t.flags[side] |= T::kSideScales;
    t.scale[side] = s.window_scale > 14 ? std::uint8_t{14} : s.window_scale;
  }
}

/// A side is known from its SYN on.
void begin_side(T& t, unsigned side, const TcpSegment& s, bool reply) {
  t.end[side] = t.max_end[side] = s.end();
  t.max_window[side] = s.window == 0 ? 1u : s.window;
  read_options(t, side, s);
  // Windows are scaled if both sides offered to.
  if (reply && !(has(t.flags[0], T::kSideScales) && has(t.flags[1], T::kSideScales)))
    t.scale[0] = t.scale[1] = 0;
}

/// Whether the segment is in the windows, which move along if it is.
bool in_window(T& t, TcpState state, const TcpSegment& s, bool reply, std::uint8_t row,
               const TcpPolicy& policy) {
  const unsigned me = reply ? 1 : 0, you = 1 - me;
  const bool syn = has(s.flags, Flags::kSyn), acks = has(s.flags, Flags::kAck);
  std::uint32_t sequence = s.sequence, end = s.end();
  std::uint32_t ack = s.acknowledgement, sack = ack, window = s.window;
  if (has(t.flags[you], T::kSideSack) && after(s.sack, sack)) sack = s.sack;

  if (t.max_window[me] == 0) {
    if (syn) {
      begin_side(t, me, s, reply);
      if (!acks) return true;  // simultaneous open
    } else {
      // In the middle, without history: what the packet says must do.
      t.end[me] = end;
      const std::uint32_t scaled = window << t.scale[me];
      t.max_window[me] = scaled == 0 ? 1 : scaled;
      t.max_end[me] = end + t.max_window[me];
      if (t.max_window[you] == 0) {
        t.end[you] = t.max_end[you] = sack;
      } else if (sack == t.end[you] + 1) {
        ++t.end[you];  // the answer to a keep-alive
      }
    }
  } else if (syn && after(end, t.end[me]) &&
             (state == TcpState::syn_sent || state == TcpState::syn_received)) {
    // It calls again with another first sequence number.
    begin_side(t, me, s, reply);
    if (reply && !acks) return true;
  }
  // Some stacks set ACK in a RST and no number.
  if (!acks || (has(s.flags, Flags::kRst) && ack == 0)) ack = sack = t.end[you];
  if (has(s.flags, Flags::kRst) && sequence == 0 && state == TcpState::syn_sent)
    sequence = end = t.end[me];  // the answer to a SYN

  const std::uint32_t ack_window =
      t.max_window[me] > kMaxAckWindow ? t.max_window[me] : kMaxAckWindow;
  const bool inside = before(sequence, t.max_end[me] + 1) &&
                      (t.max_window[you] == 0 || after(end, t.end[me] - t.max_window[you] - 1)) &&
                      before(sack, t.end[you] + 1) && after(sack, t.end[you] - ack_window - 1);
  if (!inside) return policy.liberal || policy.unchecked || has(t.flags[me], T::kSideLiberal);

  if (!syn) window <<= t.scale[me];
  const std::uint32_t reach = window + (sack - ack);
  if (t.max_window[me] < reach) t.max_window[me] = reach;
  if (after(end, t.end[me])) {
    t.end[me] = end;
    t.flags[me] |= T::kSideUnacked;
  }
  if (acks && (!has(t.flags[me], T::kSideAcked) || after(ack, t.max_ack[me]))) {
    t.max_ack[me] = ack;
    t.flags[me] |= T::kSideAcked;
  }
  if (t.max_window[you] != 0 && after(end, t.max_end[me])) t.max_window[you] += end - t.max_end[me];
  if (after(sack + window, t.max_end[you] - 1)) {
    t.max_end[you] = sack + window;
    if (window == 0) ++t.max_end[you];  // a probe of the closed window
  }
  if (ack == t.end[you]) drop(t.flags[you], T::kSideUnacked);
  if (row == kAckRow) {
    if (has(t.bits, T::kLastReply) == reply && t.last_sequence == s.sequence && t.last_ack == ack &&
        t.last_end == end && t.last_window == s.window) {
      if (t.repeats != 255) ++t.repeats;
    } else {
      t.last_sequence = s.sequence;
      t.last_ack = ack;
      t.last_end = end;
      t.last_window = s.window;
      t.repeats = 0;
      t.bits = static_cast<std::uint8_t>((t.bits & ~T::kLastReply) | (reply ? T::kLastReply : 0));
    }
  }
  return true;
}

TcpStep accept(T& t, TcpState from, TcpState to, bool reply, bool seen_reply, std::uint8_t row,
               const TcpPolicy& policy) {
  t.last_kind = row;
  t.bits = static_cast<std::uint8_t>((t.bits & ~T::kLastReply) | (reply ? T::kLastReply : 0));
  if (from != to && to == TcpState::fin_wait) t.flags[reply ? 1 : 0] |= T::kSideClosed;
  if ((reply || seen_reply) && to == TcpState::established &&
      (from == TcpState::syn_received || from == TcpState::established))
    t.bits |= T::kAssured;
  TcpStep out{TcpStep::Kind::go, to};
  if (t.repeats >= policy.max_repeats) {
    out.timer = TcpStep::Timer::repeated;
  } else if (row == kRstRow) {
    out.timer = TcpStep::Timer::closed;
  } else if (has(static_cast<std::uint8_t>(t.flags[0] | t.flags[1]), T::kSideUnacked)) {
    out.timer = TcpStep::Timer::unacknowledged;
  }
  return out;
}

/// A segment that the table says to let through: it may tell that both ends are in step.
bool back_in_step(const T& t, const TcpSegment& s, bool reply, std::uint8_t row) {
  return row == kSynAckRow && t.last_kind == kSynRow && has(t.bits, T::kLastReply) != reply &&
         s.acknowledgement == t.last_end;
}

void note_ignored(T& t, TcpState state, const TcpSegment& s, bool reply, std::uint8_t row) {
  t.last_kind = row;
  t.last_sequence = s.sequence;
  t.last_end = s.end();
  t.last_window = s.window;
  t.bits = static_cast<std::uint8_t>((t.bits & ~T::kLastReply) | (reply ? T::kLastReply : 0));
  if (row == kSynRow && !reply) {
    drop(t.bits, T::kLastScales | T::kLastSack | T::kChallenge);
    t.last_scale = 0;
    if (s.window_scale != TcpSegment::kNoScale) {
      t.bits |= T::kLastScales;
      t.last_scale = s.window_scale > 14 ? std::uint8_t{14} : s.window_scale;
    }
    if (s.sack_permitted) t.bits |= T::kLastSack;
    // Its answer acknowledges what was there before, not the last FIN.
    if (state == TcpState::last_ack) t.bits |= T::kChallenge;
  }
  if (state == TcpState::syn_sent && row == kAckRow && reply) t.last_ack = s.acknowledgement;
}

/// The SYN that was let through is taken for what it was; its SYN+ACK follows.
void start_again_from_note(T& t, bool reply) {
  const unsigned you = reply ? 0 : 1, me = 1 - you;
  t.end[you] = t.max_end[you] = t.last_end;
  t.max_window[you] = t.last_window == 0 ? 1u : t.last_window;
  t.scale[you] = t.last_scale;
  t.flags[you] = static_cast<std::uint8_t>((has(t.bits, T::kLastScales) ? T::kSideScales : 0) |
                                           (has(t.bits, T::kLastSack) ? T::kSideSack : 0));
  t.max_ack[you] = 0;
  t.end[me] = t.max_end[me] = t.max_window[me] = t.max_ack[me] = 0;
  t.scale[me] = t.flags[me] = 0;
  drop(t.bits, T::kLastScales | T::kLastSack | T::kChallenge);
}

/// What a RST must fulfil before the windows are even looked at.
struct RstVerdict {
  bool invalid = false;
  bool closes = true;   ///< else the connection stays as it is: the other side will challenge it
  bool windows = true;  ///< they are still to be checked
};

RstVerdict judge_rst(const T& t, TcpState state, const TcpSegment& s, bool reply, bool seen_reply) {
  const unsigned you = reply ? 0 : 1;
  RstVerdict out;
  if (state >= TcpState::fin_wait && state <= TcpState::close) {  // ending anyway
    out.windows = false;
    return out;
  }
  if (has(t.flags[you], T::kSideAcked)) {
    if (before(s.sequence, t.max_ack[you])) {
      out.invalid = true;
      return out;
    }
    if (!has(t.bits, T::kAssured) || s.sequence == t.max_ack[you]) return out;
    if (t.last_kind == kAckRow && has(t.bits, T::kLastReply) == reply && s.sequence == t.last_end)
      return out;
    out.closes = false;
  }
  // The answer to a segment that was let through above.
  const bool asked = (seen_reply && t.last_kind == kSynRow) ||
                     (!has(t.bits, T::kAssured) && t.last_kind == kAckRow);
  if (asked && s.acknowledgement == t.last_end) out.windows = false;
  return out;
}

}  // namespace

TcpStep tcp_could_start(const TcpSegment& s, const TcpPolicy& policy) {
  const int row = row_of(s.flags);
  if (row < 0) return {};
  const char letter = kOriginal[row][0];
  if (letter == 'v' || letter == 'i') return {};
  const TcpState next = state_of(letter);
  if (next != TcpState::syn_sent && !policy.loose) return {};
  return {TcpStep::Kind::go, next};
}

TcpStep tcp_start(TcpTrack& t, const TcpSegment& s, const TcpPolicy& policy) {
  const TcpStep step = tcp_could_start(s, policy);
  if (step.kind != TcpStep::Kind::go) return step;
  t = {};
  t.end[0] = t.max_end[0] = s.end();
  t.max_window[0] = s.window == 0 ? 1u : s.window;
  if (step.next == TcpState::syn_sent) {
    read_options(t, 0, s);
  } else {
    t.max_end[0] += t.max_window[0];
    t.flags[0] = t.flags[1] = T::kSideSack | T::kSideLiberal;
  }
  const auto row = static_cast<std::uint8_t>(row_of(s.flags) + 1);
  if (!in_window(t, step.next, s, false, row, policy)) return {};
  return accept(t, TcpState::none, step.next, false, false, row, policy);
}

TcpStep tcp_step(TcpTrack& t, TcpState state, const TcpSegment& s, bool reply, bool seen_reply,
                 const TcpPolicy& policy) {
  using Kind = TcpStep::Kind;
  const int found = row_of(s.flags);
  if (found < 0) return {Kind::invalid, state};
  const auto row = static_cast<std::uint8_t>(found + 1);
  const char letter = (reply ? kReply : kOriginal)[found][static_cast<std::size_t>(state)];
  if (letter == 'v') return {Kind::invalid, state};
  TcpState old = state, next = state;
  if (letter == 'i') {
    if (!back_in_step(t, s, reply, row)) {
      note_ignored(t, state, s, reply, row);
      return {Kind::ignore, state};
    }
    start_again_from_note(t, reply);
    old = TcpState::syn_sent;
    next = TcpState::syn_received;
  } else {
    next = state_of(letter);
  }
  if (letter == 'S' && (state == TcpState::time_wait || state == TcpState::close))
    return {Kind::reopen, TcpState::syn_sent};
  if (next == TcpState::time_wait && state == TcpState::last_ack && row == kAckRow &&
      has(t.bits, T::kLastReply) != reply && t.last_kind == kSynRow && has(t.bits, T::kChallenge)) {
    drop(t.bits, T::kChallenge);
    return {Kind::ignore, state};
  }
  if (next == TcpState::syn_sent2) t.bits |= T::kSimultaneous;
  if (next == TcpState::syn_received && reply && row == kAckRow && has(t.bits, T::kSimultaneous))
    next = TcpState::established;
  if (row == kRstRow && !policy.unchecked) {
    const RstVerdict rst = judge_rst(t, state, s, reply, seen_reply);
    if (rst.invalid && !policy.liberal) return {Kind::invalid, state};
    if (!rst.closes) next = state;
    if (!rst.windows) return accept(t, old, next, reply, seen_reply, row, policy);
  }
  if (!in_window(t, old, s, reply, row, policy)) return {Kind::invalid, state};
  return accept(t, old, next, reply, seen_reply, row, policy);
}

const char* to_string(TcpState state) {
  switch (state) {
    case TcpState::none:
      return "NONE";
    case TcpState::syn_sent:
      return "SYN_SENT";
    case TcpState::syn_received:
      return "SYN_RECV";
    case TcpState::established:
      return "ESTABLISHED";
    case TcpState::fin_wait:
      return "FIN_WAIT";
    case TcpState::close_wait:
      return "CLOSE_WAIT";
    case TcpState::last_ack:
      return "LAST_ACK";
    case TcpState::time_wait:
      return "TIME_WAIT";
    case TcpState::close:
      return "CLOSE";
    case TcpState::syn_sent2:
      return "SYN_SENT2";
  }
  return "?";
}

}  // namespace weft::datapath
