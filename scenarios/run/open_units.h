// What is still on its way when a run ends.
//
// A unit of traffic (models/guest/traffic_stats.h) that was sent and not answered is *open* if
// something of it is still on its way, and lost otherwise:
//
//   ping, udp   a packet that carries it (or its echo) exists: on a link, in a queue, waiting for
//   an
//               address to be resolved
//   rpc, bulk   the connection has a packet on its way, or the client is about to acknowledge; a
//               connection whose retransmission timer has fired without an answer does not count,
//               nor does one that was lost and not opened again
//   scan        as for tcp, the youngest probes for as many packets as there are
//
// There is no time limit in it: what was dropped is lost at once, and what waits only for a timer
// is lost as well, since the run ended before it could be repaired.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "datapath/packet.h"
#include "models/guest/guest.h"
#include "scenarios/spec.h"

namespace weft::scenarios {

/// (traffic, pair) -> when each open unit was sent, ascending.
using OpenUnits = std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<Time>>;

/// While everything is at rest.
OpenUnits open_units(const Scenario& scenario, const PacketArena& packets,
                     const std::vector<const models::Guest*>& guests);

}  // namespace weft::scenarios
