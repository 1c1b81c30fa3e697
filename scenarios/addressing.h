// Addresses that follow from others by rule.
#pragma once

#include "base/net_types.h"

namespace weft::scenarios {

/// A logical router's address in a subnet: the first host address (10.0.1.0/24 -> 10.0.1.1).
inline IpAddress router_address(const Prefix& subnet) {
  IpAddress a = subnet.address;
  a.bits.low += 1;
  return a;
}

}  // namespace weft::scenarios
