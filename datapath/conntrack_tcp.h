// The TCP state machine of connection tracking: Linux's nf_conntrack_proto_tcp table. A step is
// determined by the state, the flags and the direction, and by nothing else.
#pragma once

#include <cstdint>

#include "datapath/conntrack.h"

namespace weft::datapath {

struct TcpStep {
  enum class Kind : std::uint8_t {
    go,       ///< the state becomes `next`, the timer starts again
    ignore,   ///< let through, nothing changes
    invalid,  ///< makes no sense here
    reopen,   ///< a SYN on a connection that is over: forget it, the packet is new
  };
  Kind kind;
  TcpState next;
};

/// From TcpState::none (no connection) the result is `go` to syn_sent or, for an ACK in the middle
/// of a connection, to established; or `invalid`.
TcpStep tcp_step(TcpState state, std::uint8_t flags, bool reply);

}  // namespace weft::datapath
