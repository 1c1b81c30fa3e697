// What a trace of a packet comes to (Pipeline::trace_packet): the lines that tell it, and what the
// packet, its copies and the answers to it became, as real packets.
//
// Nothing is told about the switch that the switch does not do: the tables are its own, and the
// steps are carried out by the code that carries them out for packets in earnest, on a switch that
// has its ports, endpoint and connections (ConnTrack::over) and is thrown away. What a packet would
// do to connections, NAT's choice included, later passes of the same packet see; meters admit as
// they would now; learn() and statistics do nothing (so a later pass does not know what the same
// packet's learn() would have taught). The slow path decides, never a cache.
#pragma once

#include <memory>
#include <vector>

#include "datapath/packet.h"
#include "datapath/pipeline.h"

namespace weft::datapath {

/// A packet that goes back to its pool by itself.
struct GiveBack {
  PacketPool* pool = nullptr;
  void operator()(Packet* packet) const { pool->give(packet); }
};
using HeldPacket = std::unique_ptr<Packet, GiveBack>;

struct TraceEnd {
  enum class Kind : std::uint8_t {
    out,         ///< sent to `port`; to the uplink as it is on the wire
    dropped,     ///< for `reason`
    consumed,    ///< the switch answered it, or it was a fragment that waits for others
    controller,  ///< given to the owner of the switch
  };
  Kind kind = Kind::out;
  Output::Kind how = Output::Kind::forwarded;  ///< out
  PortNo port{};                               ///< out
  DropReason reason{};                         ///< dropped
  std::uint64_t cookie = 0;                    ///< dropped, controller: of the rule
  HeldPacket packet;
  /// Index in TraceResult::lines of the table (and rule) that ended it so; kNoLine: none did.
  static constexpr std::size_t kNoLine = static_cast<std::size_t>(-1);
  std::size_t line = kNoLine;
};

struct TraceResult {
  std::vector<TraceLine> lines;
  std::vector<TraceEnd> ends;  ///< in the order in which they came about
};

}  // namespace weft::datapath
