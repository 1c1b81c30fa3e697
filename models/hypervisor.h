// Hypervisor: one LP with everything that one machine runs - the virtual switch (datapath/), the
// control agent (control/), the guests, the machine's own IP stack, which carries migration memory
// - and one uplink to its leaf.
//
//        guests ── vm ports ──┐                   ┌── uplink (port 0 of the Node)
//                             ├── Pipeline ───────┤
//   own stack ── local port ──┘                   └── tunnel port: encapsulation, then uplink
//
// Everything inside one hypervisor happens at one instant: a frame that a guest sends is switched
// and put on the uplink's queue, or handed to another guest, during the same event. What guests
// send while a frame is being handled waits in `pending_` until the switch is free (no recursion).
//
// Guests are movable values (models/guest). A VM lives in a Place here; while it is being moved
// away its Place stays for what still arrives (dropped as vm.paused) until the destination has
// resumed it. Exactly one hypervisor, or one handoff event, holds a Guest at any moment.
//
// Its memory stream leaves a fifth of the uplink to the guests unless the scenario says otherwise:
// a host's own queue is not where its guests' packets should be lost.
//
// Migration (life-of-a-migration in docs/): the source opens a TCP connection from its own stack to
// the destination's, sends memory in rounds (pre_copy.h), pauses the guest, hands the guest over in
// a kernel message and the rest of the memory over TCP; the destination resumes it when both have
// arrived, plugs the port in (agent: port_up with a higher incarnation) and lets the guest announce
// itself. If the connection dies - or says nothing for kMovePatience - the guest goes on where it
// is, or comes back: before the handoff the source decides, after it the destination alone, and its
// verdict travels as a kernel message like the guest itself. So exactly one of them runs it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/agent.h"
#include "datapath/conntrack_options.h"
#include "datapath/pipeline.h"
#include "models/control_link.h"
#include "models/guest/guest.h"
#include "models/node.h"
#include "models/plan.h"
#include "models/pre_copy.h"

namespace weft::models {

inline constexpr datapath::PortNo kUplinkPort{60000};
inline constexpr datapath::PortNo kLocalPort{60001};
inline constexpr datapath::PortNo kTunnelPort{60002};
/// Longer than TCP takes to get over an outage of three seconds.
inline constexpr Duration kMovePatience = seconds(5);
inline constexpr std::uint16_t kMigrationPort = 49152;  ///< libvirt's first migration port

/// A VM as a value: what moves.
struct Vm {
  std::string name;          ///< "shop/web-1"
  std::uint32_t index = 0;   ///< over all VMs of the scenario
  std::uint32_t tenant = 0;  ///< tenant index + 1
  std::uint64_t memory_bytes = 0;
  std::uint64_t dirty_bytes_per_second = 0;
  std::uint32_t incarnation = 1;
  std::unique_ptr<Guest> guest;
};

/// Owned by the kHandoff event that carries it.
struct Handoff {
  std::uint32_t event = 0;      ///< plan index
  std::uint32_t from_node = 0;  ///< topology node of the source
  enum class Kind : std::uint8_t {
    guest,     ///< from the source, with the VM
    returned,  ///< from the destination, which gives the VM back
    resumed    ///< from the destination, without a VM: it runs there, the connection is gone
  } kind = Kind::guest;
  std::uint64_t memory_bytes = 0;  ///< of all rounds: what must have arrived before it may resume
  Vm vm;
  std::vector<datapath::ConnectionState> connections;
};

class ControlSession;

struct HypervisorConfig {
  datapath::VtepConfig vtep;
  datapath::TunnelKind tunnel = datapath::TunnelKind::geneve;
  datapath::CacheOptions caches;
  datapath::CtOptions connections;
  std::vector<std::string> rules;  ///< instead of a control plane's: lines of a switch file
  control::AgentOptions agent;
  NetConfig own_stack;
  Mac gateway_mac{};  ///< of the leaf's port: the own stack's static neighbour
  IpAddress gateway{};
  std::uint64_t hash_seed = 0;
  /// Guests boot when their ports are wired, as a cloud's compute service waits for "port up": this
  /// long after the agent has a complete state (time for the others' locations to arrive), at the
  /// latest at `boot_limit`, network or not.
  Duration boot_delay = milliseconds(1);
  Duration boot_limit = seconds(5);
};

class Hypervisor final : public Device {
 public:
  Hypervisor(Node node, HypervisorConfig config, std::shared_ptr<const Plan> plan);
  ~Hypervisor() override;

  // While the world is built:
  void place(Vm vm);
  void set_control_link(ControlLink link) { to_controller_ = std::move(link); }
  /// The control channel in band, instead of a link: a TCP connection to this address.
  void set_controller(IpAddress address) { controller_ = address; }
  void set_director(sim::ChannelId channel) { director_ = channel; }
  void set_handoff_channel(std::uint32_t to_node, sim::ChannelId channel) {
    handoff_[to_node] = channel;
  }
  void set_node_address(std::uint32_t node, IpAddress vtep) { addresses_[node] = vtep; }
  void set_vm_tap(const std::string& vm, FrameTap* tap);
  void set_policy_tap(PolicyTap* tap) { policy_tap_ = tap; }

  void handle(sim::Context& context, const sim::Event& event) override;
  void discard(const sim::Event& event) override;
  Node& node() override { return node_; }

  // For the world, between windows or after the run:
  const std::vector<PhaseRecord>& records() const { return records_; }
  const datapath::Pipeline& pipeline() const { return pipeline_; }
  datapath::Pipeline& pipeline() { return pipeline_; }
  const control::Agent* agent() const { return agent_ ? &*agent_ : nullptr; }
  /// When each version of the controller's transactions was installed, oldest first.
  struct Installed {
    std::uint64_t version = 0;
    Time at{};
  };
  const std::vector<Installed>& installed() const { return installed_; }
  const ControlCounters& control_counters() const;
  /// Unicast packets for its VM that were dropped here because it had been moved away (a plan
  /// event): while it was paused, and after that until the last sender knew its new place.
  std::uint64_t packets_lost(std::uint32_t event) const;
  /// Whether the VM's guest is here and takes what it is given: it has booted and is not paused.
  bool runs(const std::string& vm) const;
  /// The VMs that are here now (also paused ones whose guest is here).
  std::vector<const Vm*> vms() const;
  std::vector<Vm*> vms();

 private:
  class VmStation;
  class OwnStation;
  class Sink;
  struct Place;
  class MoveEnd;
  class MoveSource;
  class MoveSink;
  class Acceptor;
  friend class VmStation;
  friend class OwnStation;

  void start();
  void boot();
  void settle();
  void pump();
  void hand_out(std::uint32_t in_port);
  void give_to_vm(Place& place, Packet* packet);
  /// Counts a packet that is about to be dropped for the VM that it would have been for.
  void count_lost(const Packet& packet, DropReason reason);
  void check_frame(const Packet& packet);
  /// Where a VM is, and where it was until it was handed over and not yet taken away.
  Place* find_place(const std::string& vm) { return find(vm, true); }
  Place* find_left_place(const std::string& vm) { return find(vm, false); }
  Place* find(const std::string& vm, bool with_guest);
  Place& plug(Vm vm, std::vector<datapath::ConnectionState> connections, bool announce);
  void unplug(Place& place);
  void flush_agent();
  void hear(const std::vector<std::uint8_t>& message);
  void command(std::uint32_t event);
  void take_handoff(std::unique_ptr<Handoff> handoff);
  void send_handoff(std::uint32_t to_node, std::unique_ptr<Handoff> handoff);
  void report(std::uint32_t event, std::uint32_t phase, std::uint64_t bytes = 0,
              std::uint64_t dirtied = 0, std::string text = {});

  Node node_;
  HypervisorConfig config_;
  std::shared_ptr<const Plan> plan_;
  datapath::Pipeline pipeline_;
  datapath::Outputs outputs_;
  struct Pending {
    Packet* packet;
    datapath::PortNo port;
  };
  std::vector<Pending> pending_;
  bool pumping_ = false;

  std::unique_ptr<Sink> sink_;
  std::vector<Installed> installed_;
  std::optional<control::Agent> agent_;
  ControlLink to_controller_;
  std::optional<IpAddress> controller_;
  std::unique_ptr<ControlSession> session_;  ///< in band only
  sim::TimerId agent_timer_, expire_timer_, boot_timer_, upcall_timer_;
  bool booted_ = false, boot_armed_ = false;
  std::optional<sim::ChannelId> director_;
  std::map<std::uint32_t, sim::ChannelId> handoff_;
  std::map<std::uint32_t, IpAddress> addresses_;
  std::map<std::string, FrameTap*> taps_;
  PolicyTap* policy_tap_ = nullptr;

  std::unique_ptr<OwnStation> own_station_;
  std::vector<std::unique_ptr<Place>> places_;  ///< index = OpenFlow port - 1; null: free
  std::map<std::uint32_t, std::unique_ptr<MoveSource>> leaving_;  ///< by plan event
  std::map<std::uint32_t, std::unique_ptr<MoveSink>> arriving_;
  std::vector<std::unique_ptr<MoveSink>> greeting_;  ///< accepted, not yet named
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<PhaseRecord> records_;
  /// A VM that was handed over, and what arrived for it since.
  struct Left {
    std::uint32_t event, tenant;
    Mac mac;
    std::uint64_t lost = 0;
  };
  std::vector<Left> left_;  ///< in order of time
};

}  // namespace weft::models
