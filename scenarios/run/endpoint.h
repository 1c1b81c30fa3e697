// A hypervisor's place in the underlay, as its switch and its agent are told it.
#pragma once

#include <cstddef>
#include <utility>

#include "control/agent.h"
#include "datapath/pipeline.h"
#include "scenarios/spec.h"

namespace weft::scenarios {

/// What the switch and the agent call an encapsulation.
std::pair<datapath::TunnelKind, control::TunnelType> tunnel_of(Encapsulation e);

/// The tunnel endpoint of the hypervisor that is node `node`, on its first link.
datapath::VtepConfig vtep_of(const Scenario& scenario, std::size_t node);

}  // namespace weft::scenarios
