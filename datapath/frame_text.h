// A frame as one line of text, in the manner of tcpdump: for `weft explain`, comments in captures
// and traces. Frames inside tunnels follow behind the tunnel's header.
//
//   IP 10.0.1.2.40000 > 10.0.2.3.8080: Flags [S], seq 17, win 65535, mss 1460, length 0
//   IP 192.168.0.1.50123 > 192.168.0.2.6081: Geneve, vni 5, ports 1 -> 2: IP 10.0.1.2 > 10.0.2.3:
//   ...
#pragma once

#include <string>

#include "datapath/packet.h"

namespace weft::datapath {

std::string describe_frame(const Packet& packet);

}  // namespace weft::datapath
