// What the compilers of routes, policies, NAT and gateways share.
#pragma once

#include <cstdint>

#include "control/compile_env.h"

namespace weft::control {

/// Number of the router port that is connected to the address; 0: none is.
std::uint32_t port_towards(Env& env, const Router& router, const IpAddress& address);

}  // namespace weft::control
