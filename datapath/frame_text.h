// A frame as one line of text, in the manner of tcpdump: for `weft explain`, comments in captures
// and traces. Frames inside tunnels follow behind the tunnel's header.
//
//   IP 10.0.1.2.40000 > 10.0.2.3.8080: tcp SYN seq 17 win 65535, length 0
//   IP 192.168.0.1.50123 > 192.168.0.2.6081: geneve vni 5 in 1 out 2: IP 10.0.1.2 > ...
#pragma once

#include <string>

#include "datapath/packet.h"

namespace weft::datapath {

std::string describe_frame(const Packet& packet);

}  // namespace weft::datapath
