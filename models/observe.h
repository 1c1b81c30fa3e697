// Observers: what may watch a run and cannot change it. Nodes hold plain pointers to them, null
// when nobody looks. An observer is called on the thread of the node's worker, so each belongs to
// one node; what it collects is merged later by (time, order).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "datapath/packet.h"
#include "models/ledger.h"

namespace weft::models {

enum class Direction : std::uint8_t { in, out };

/// Sees frames at one point: a link end, a VM's port, or a node's drops.
class FrameTap {
 public:
  virtual ~FrameTap() = default;
  virtual void frame(Time at, std::uint64_t order, Direction direction, const Packet& packet) = 0;
};

/// Sees what the switch of one hypervisor decides about VMs' packets (weft swarm compares each with
/// what the specification says): `given` for every packet that reaches a VM's port, before the VM
/// sees it, `refused` for every packet that a rule of the tenant's policy dropped.
class PolicyTap {
 public:
  virtual ~PolicyTap() = default;
  virtual void given(Time at, std::uint64_t order, const Packet& packet, const std::string& vm) = 0;
  virtual void refused(Time at, std::uint64_t order, const Packet& packet,
                       std::uint64_t cookie) = 0;
};

/// Follows chosen packets through a node, line by line (weft explain).
class PacketTracer {
 public:
  virtual ~PacketTracer() = default;
  virtual bool follows(const Packet& packet) const = 0;
  virtual void line(Time at, std::uint64_t order, const std::string& node, const Packet& packet,
                    std::string text) = 0;
};

}  // namespace weft::models
