// ControllerHost: the machine of a controller that is reached in band: a host on one link of the
// fabric, whose stack listens on kControlPort. Hypervisors connect and say who they are
// (control_stream.h); of two connections in the same name the newer counts, because the older is
// what its hypervisor has given up. While the controller process is dead nobody listens: what
// connects is refused, and the connections it had are reset.
//
// So everything that delays, loses or cuts off packets does so to control as well.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/control_stream.h"
#include "models/controller_process.h"
#include "models/guest/guest.h"
#include "models/node.h"

namespace weft::models {

class ControllerHost final : public Device,
                             public Station,
                             private TcpAcceptor,
                             private ControllerProcess::Transport {
 public:
  ControllerHost(Node node, Guest guest);
  ~ControllerHost() override;
  /// Once, before the run.
  void install(control::ControllerOptions options, control::Transaction initial,
               std::vector<ControllerAction> actions);
  const ControllerProcess& process() const { return *process_; }

  void handle(sim::Context& context, const sim::Event& event) override;
  Node& node() override { return node_; }

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
  class Peer;
  using Transport = ControllerProcess::Transport;
  TcpEvents* on_accept(TcpConnection& connection) override;
  void send(sim::Context& context, const std::string& hypervisor,
            std::vector<std::uint8_t> message) override;
  void running(bool is) override;
  ControlCounters counters() const override { return counters_; }

  Node node_;
  std::vector<std::unique_ptr<Peer>> peers_;  ///< in the order of their connections
  std::map<std::string, Peer*> named_;        ///< those that have said hello
  Guest guest_;
  std::optional<ControllerProcess> process_;
  ControlCounters counters_;
};

}  // namespace weft::models
