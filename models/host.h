// Host: a plain machine on one link, with an IP stack and no virtual switch.
#pragma once

#include "models/guest/guest.h"
#include "models/node.h"

namespace weft::models {

class Host final : public Device, public Station {
 public:
  Host(Node node, Guest guest) : node_(std::move(node)), guest_(std::move(guest)) {}
  void handle(sim::Context& context, const sim::Event& event) override;
  Node& node() override { return node_; }
  const Guest& guest() const { return guest_; }

  Time now() const override { return node_.now(); }
  Packet* create() override { return node_.create(); }
  void transmit(Packet* packet) override {
    node_.note_created(*packet);
    node_.transmit(0, packet);
  }
  void deliver(Packet* packet) override { node_.deliver(packet); }
  void consume(Packet* packet) override { node_.consume(packet); }
  void drop(Packet* packet, DropReason reason) override { node_.drop(packet, reason); }
  void arm(sim::TimerId& timer, Time at, std::uint32_t slot) override {
    node_.context().arm(timer, at, kStationTimer, 0, slot);
  }
  void cancel(sim::TimerId& timer) override { node_.context().cancel(timer); }
  RandomStream stream(std::string_view name) const override { return node_.context().stream(name); }
  void note(std::uint64_t a, std::uint64_t b) override { node_.context().note(a, b); }

 private:
  void warm();

  Node node_;
  Guest guest_;
  std::uint32_t handled_ = 0;
};

}  // namespace weft::models
