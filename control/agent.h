// The control plane's two halves as the rest of weft sees them: a Controller (desired state,
// compiler, reconciler) and an Agent on each hypervisor. Both are pure: no I/O, no clock, no
// simulator. Bytes and the time go in, bytes and rules come out; whoever owns one carries its
// messages (a simulated channel with latency, loss and bandwidth, a TCP connection, a test).
//
//   intent ─transact─▶ Controller ──messages──▶ Agent ──rules (ovs-ofctl text)──▶ vSwitch
//                          ▲────────discovered state───────┘
//
// Messages may be lost, late, duplicated or reordered; either side may restart at any moment. The
// protocol is versioned and idempotent, so that both ends come to rest with an empty difference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "base/time.h"

namespace weft::control {

using Bytes = std::vector<std::uint8_t>;

/// Where the agent's rules go. Rules are in ovs-ofctl's syntax (datapath/pipeline.h).
class RuleSink {
 public:
  virtual ~RuleSink() = default;
  virtual void add_rule(const std::string& text) = 0;
  virtual void delete_rule(const std::string& text) = 0;
};

/// A virtual port that exists on this hypervisor now.
struct LocalPort {
  std::string name;           ///< "shop/web-1"
  std::uint32_t of_port = 0;  ///< port number on the vSwitch
  bool up = true;
};

}  // namespace weft::control
