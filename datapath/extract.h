// From a packet to its FlowKey: the packet part, without tunnel and connection-tracking fields,
// which the packet does not carry.
#pragma once

#include "datapath/flow_key.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

/// Fills words 7-13 and 16-19, the TCP flags and the IPv6 label of `key` (which must be zero there)
/// from the frame. `parsed` is what parse_headers() said about it; fields behind a parse error stay
/// zero.
void extract(const Packet& packet, const ParsedHeaders& parsed, FlowKey& key);

}  // namespace weft::datapath
