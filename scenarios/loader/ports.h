// Names of ports and kinds, as `weft ls` prints them and captures use them.
#pragma once

#include <string>

#include "scenarios/spec.h"

namespace weft::scenarios {

/// "hv-1-1.uplink", "leaf-1.spine-2"; where several links join the same two nodes, "leaf-1.LINK".
std::string port_name(const UnderlaySpec& underlay, std::size_t node, std::size_t link);

/// As scenarios write it: "router", "switch", "hub", "host", "hypervisor".
const char* kind_name(NodeKind kind);

/// "0.1%": as scenarios write it, exactly.
std::string percent_text(Probability p);

/// A host or hypervisor: an end of the network, with one link.
inline bool is_machine(const NodeSpec& node) {
  return node.kind == NodeKind::host || node.kind == NodeKind::hypervisor;
}

}  // namespace weft::scenarios
