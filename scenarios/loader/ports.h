// Names of ports, as `weft ls` prints them and captures use them.
#pragma once

#include <string>

#include "scenarios/spec.h"

namespace weft::scenarios {

/// "hv-1-1.uplink", "leaf-1.spine-2"; "NODE.LINK" for a link that was given a name of its own.
std::string port_name(const UnderlaySpec& underlay, std::size_t node, std::size_t link);

}  // namespace weft::scenarios
