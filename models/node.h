// Node: what every device of the fabric has in common - ports, a ledger, a name - and the two
// things all of them do: take a frame off a link and put one on a link. A device (router, bridge,
// host, hypervisor) is an LP that holds a Node and decides what happens in between.
//
// During one call of handle() the node holds the kernel's context and the worker's packet pool
// (enter()). Every packet that a node frees goes through deliver, consume or drop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "datapath/packet.h"
#include "models/event_kinds.h"
#include "models/faults.h"
#include "models/ledger.h"
#include "models/observe.h"
#include "models/port.h"
#include "sim/engine.h"

namespace weft::models {

/// One packet pool per worker thread over a common arena.
struct Pools {
  explicit Pools(unsigned workers) {
    for (unsigned i = 0; i < workers; ++i) of_worker.push_back(std::make_unique<PacketPool>(arena));
  }
  /// Packets that somebody holds. Only while all workers are at rest.
  std::size_t in_use() const {
    std::size_t idle = arena.idle();
    for (const auto& pool : of_worker) idle += pool->idle();
    return arena.allocated() - idle;
  }
  PacketArena arena;
  std::vector<std::unique_ptr<PacketPool>> of_worker;
};

enum class CheckLevel : std::uint8_t { basic, sampled, full };

class Node {
  sim::Context* context_ = nullptr;
  PacketPool* pool_ = nullptr;

 public:
  // What every frame needs comes first.
  std::vector<Port> ports;
  std::uint64_t hops = 0;  ///< frames that arrived here over a link: packet-hops
  PacketTracer* tracer = nullptr;
  bool up = true;
  CheckLevel check = CheckLevel::sampled;
  bool may_see_damage = false;  ///< the scenario has links that corrupt undetected
  Faults faults;                ///< weft mutate only
  std::uint32_t index = 0;      ///< in the topology
  Ledger ledger;
  FrameTap* drop_tap = nullptr;
  std::string name;

  Node(std::string node_name, std::uint32_t node_index, Pools& pools)
      : index(node_index), name(std::move(node_name)), pools_(&pools) {}

  void enter(sim::Context& context) {
    context_ = &context;
    // The engine never moves an LP to another worker.
    if (pool_ == nullptr) [[unlikely]]
      pool_ = pools_->of_worker[context.worker()].get();
  }
  sim::Context& context() const { return *context_; }
  Time now() const { return context_->now(); }
  PacketPool& pool() { return *pool_; }

  /// A new packet: named, born now, counted.
  Packet* create() {
    Packet* p = pool_->take();
    p->id = context_->unique_id();
    p->born = context_->now();
    ++ledger.created;
    return p;
  }
  /// Its headers as they were made go into the digest. To be called once for each packet, when it
  /// is whole and first handed on.
  void note_created(const Packet& packet);
  /// Takes the frame of an arrival event; nullptr if it did not survive the wire (already dropped).
  Packet* receive(const sim::Event& event);
  /// Puts a frame on a port's queue; takes it over.
  void transmit(std::uint16_t port, Packet* packet);

  void deliver(Packet* packet) {
    ++ledger.delivered;
    end(packet, kDelivered);
  }
  void consume(Packet* packet) {
    ++ledger.consumed;
    end(packet, kConsumed);
  }
  void drop(Packet* packet, DropReason reason, std::uint32_t where = 0, std::uint64_t cookie = 0);

  /// kPortState and kNodeState; false if the event is neither.
  bool handle_state(const sim::Event& event);
  void trace(const Packet& packet, const char* text) {
    if (tracer != nullptr) [[unlikely]]
      trace_line(packet, text);
  }
  bool traced(const Packet& packet) const { return tracer != nullptr && tracer->follows(packet); }
  void trace_line(const Packet& packet, std::string text);
  /// Frees what an event that will never run holds (a frame in flight at the end of the run).
  static void discard_frame(const sim::Event& event, Pools& pools);
  Pools& pools() { return *pools_; }

 private:
  static constexpr std::uint64_t kDelivered = 1, kConsumed = 2;  // in the digest
  void end(Packet* packet, std::uint64_t how);

  Outage outage_;  // `up` follows from it

  Pools* pools_;
};

/// An LP of models/ that has a Node.
class Device : public sim::LogicalProcess {
 public:
  virtual Node& node() = 0;
  void discard(const sim::Event& event) override;
};

}  // namespace weft::models
