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

}  // namespace

TcpStep tcp_step(TcpState state, std::uint8_t flags, bool reply) {
  const int row = row_of(flags);
  if (row < 0) return {TcpStep::Kind::invalid, state};
  const auto column = static_cast<std::size_t>(state);
  const char letter = (reply ? kReply : kOriginal)[row][column];
  if (letter == 'v') return {TcpStep::Kind::invalid, state};
  if (letter == 'i') return {TcpStep::Kind::ignore, state};
  if (letter == 'S' && (state == TcpState::time_wait || state == TcpState::close)) {
    return {TcpStep::Kind::reopen, TcpState::syn_sent};
  }
  return {TcpStep::Kind::go, state_of(letter)};
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
