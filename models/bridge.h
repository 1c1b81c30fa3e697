// Bridge: an Ethernet switch that learns (IEEE 802.1D without spanning tree: the loader refuses
// loops), or, with learning off, a hub that repeats every frame to all other ports.
//
// Copies made by flooding are packets of their own (a verdict each) that name the first as parent;
// the last port gets the frame itself, so flooding to one port copies nothing.
#pragma once

#include <map>

#include "models/node.h"

namespace weft::models {

class Bridge final : public Device {
 public:
  static constexpr Duration kAging = seconds(300);

  Bridge(Node node, bool learns) : node_(std::move(node)), learns_(learns) {}
  void handle(sim::Context& context, const sim::Event& event) override;
  Node& node() override { return node_; }

 private:
  struct Station {
    std::uint16_t port;
    Time seen;
  };
  void flood(std::uint16_t in, Packet* packet);

  Node node_;
  bool learns_;
  std::map<Mac, Station> stations_;
};

}  // namespace weft::models
