// The pieces of a Hypervisor that only its own source files need: where a VM lives (Place), what
// the world looks like to it (VmStation) and to the machine's own stack (OwnStation), where the
// agent's rules go (Sink), and the two ends of a migration (MoveSource, MoveSink).
#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "control/flow.h"
#include "datapath/wire/endian.h"
#include "models/guest/tcp_connection.h"
#include "models/hypervisor.h"

namespace weft::models {

class Hypervisor::Sink final : public control::RuleSink {
 public:
  explicit Sink(datapath::Pipeline& pipeline) : pipeline_(pipeline) {}
  void add_rule(const std::string& text) override {
    const auto done = pipeline_.apply(text);
    WEFT_CHECK(done.ok(), "the agent made a rule that the switch refuses: '{}': {}", text,
               done.error().text());
    book_.add(text);
  }
  void delete_rule(const std::string& text) override {
    const auto done = pipeline_.apply(control::removal_of(text));
    WEFT_CHECK(done.ok(), "the agent deleted a rule that the switch refuses: '{}': {}", text,
               done.error().text());
    book_.remove(text);
  }
  std::vector<std::string> installed_rules() const override { return book_.rules(); }

 private:
  datapath::Pipeline& pipeline_;
  control::RuleBook book_;
};

/// What VMs and the own stack share of the world.
class HypervisorStation : public Station {
 public:
  HypervisorStation(Node& node, std::uint32_t station) : node_(node), station_(station) {}
  Time now() const override { return node_.now(); }
  void deliver(Packet* packet) override { node_.deliver(packet); }
  void consume(Packet* packet) override { node_.consume(packet); }
  void drop(Packet* packet, DropReason reason) override {
    node_.drop(packet, reason, station_ + 1);
  }
  void arm(sim::TimerId& timer, Time at, std::uint32_t slot) override {
    node_.context().arm(timer, at, kStationTimer, 0,
                        static_cast<std::uint64_t>(station_) << 32 | slot);
  }
  void cancel(sim::TimerId& timer) override { node_.context().cancel(timer); }
  RandomStream stream(std::string_view name) const override { return node_.context().stream(name); }
  void note(std::uint64_t a, std::uint64_t b) override { node_.context().note(a, b); }

 protected:
  Node& node_;
  std::uint32_t station_;
};

class Hypervisor::VmStation final : public HypervisorStation {
 public:
  VmStation(Hypervisor& hv, Place& place, std::uint32_t station)
      : HypervisorStation(hv.node_, station), hv_(hv), place_(place) {}
  Packet* create() override;
  void transmit(Packet* packet) override;

 private:
  Hypervisor& hv_;
  Place& place_;
};

struct Hypervisor::Place {
  Place(Hypervisor& owner, std::uint32_t at, Vm what)
      : hv(owner), index(at), vm(std::move(what)), station(owner, *this, at) {
    const auto found = owner.taps_.find(vm.name);
    if (found != owner.taps_.end()) tap = found->second;
  }
  datapath::PortNo number() const { return datapath::PortNo{index + 1}; }
  control::LocalPort local_port() const {
    return {.name = vm.name, .of_port = index + 1, .up = true, .incarnation = vm.incarnation};
  }
  void plug_in() {
    hv.pipeline_.add_port(
        {.number = number(), .name = vm.name, .kind = datapath::PortKind::vm, .tenant = vm.tenant});
  }

  Hypervisor& hv;
  std::uint32_t index;
  Vm vm;
  VmStation station;
  FrameTap* tap = nullptr;
  bool running = false;  ///< the guest is attached: booted and not paused
};

inline Packet* Hypervisor::VmStation::create() {
  Packet* p = node_.create();
  p->tenant = place_.vm.tenant;
  return p;
}

inline void Hypervisor::VmStation::transmit(Packet* packet) {
  node_.note_created(*packet);
  if (place_.tap != nullptr) [[unlikely]]
    place_.tap->frame(node_.now(), node_.context().order(), Direction::in, *packet);
  if (node_.traced(*packet)) [[unlikely]]
    node_.trace_line(*packet, fmt::format("sent by {}", place_.vm.name));
  hv_.pending_.push_back({packet, place_.number()});
}

class Hypervisor::OwnStation final : public HypervisorStation {
 public:
  explicit OwnStation(Hypervisor& hv) : HypervisorStation(hv.node_, UINT32_MAX), hv_(hv) {}
  void start(const NetConfig& config, const IpAddress& gateway, const Mac& gateway_mac) {
    guest = std::make_unique<Guest>(GuestConfig{.net = config});
    guest->stack().add_static_neighbour(gateway, gateway_mac);
    guest->attach(*this);
  }
  Packet* create() override { return node_.create(); }
  void transmit(Packet* packet) override {
    node_.note_created(*packet);
    hv_.pending_.push_back({packet, kLocalPort});
  }

  std::unique_ptr<Guest> guest;

 private:
  Hypervisor& hv_;
};

// --- migration
// ---------------------------------------------------------------------------------------

/// The header in front of each piece of the migration stream, 32 bytes on the wire.
struct MoveHeader {
  static constexpr std::uint32_t kMagic = 0x5746544d;  // "WFTM"
  static constexpr std::uint32_t kSize = 32;
  enum class Type : std::uint32_t { round = 1, final_round = 2, round_done = 3, resumed = 4 };
  Type type = Type::round;
  std::uint32_t event = 0;
  std::uint32_t round = 0;
  std::uint64_t bytes = 0;  ///< of memory that follow

  Payload encode() const;
  /// False if these are not the bytes of a header.
  bool decode(const std::uint8_t* from);
};

/// Puts headers together from a byte stream in which they alternate with memory.
class MoveReader {
 public:
  /// Takes one slice; calls on_header(header) for each header until it returns false, and
  /// on_memory(n) for memory bytes that belong to the last one. False: the stream makes no sense.
  template <class OnHeader, class OnMemory>
  bool feed(const Payload& payload, OnHeader&& on_header, OnMemory&& on_memory) {
    std::uint32_t at = 0;
    while (at < payload.size()) {
      if (memory_left_ > 0) {
        const auto n =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(memory_left_, payload.size() - at));
        memory_left_ -= n;
        at += n;
        on_memory(n);
        continue;
      }
      const std::uint32_t n = std::min(MoveHeader::kSize - filled_, payload.size() - at);
      payload.materialise(at, {bytes_ + filled_, n});
      filled_ += n;
      at += n;
      if (filled_ < MoveHeader::kSize) break;
      filled_ = 0;
      MoveHeader header;
      if (!header.decode(bytes_)) return false;
      memory_left_ = header.bytes;
      if (!on_header(header)) return false;
    }
    return true;
  }

 private:
  std::uint8_t bytes_[MoveHeader::kSize] = {};
  std::uint32_t filled_ = 0;
  std::uint64_t memory_left_ = 0;
};

/// What both ends have: the connection, and a watchdog that aborts it when nothing has come of it
/// for kMovePatience (longer for a very slow migration). Takes leave of the stack when it goes.
class Hypervisor::MoveEnd : public TcpEvents, public TimerTarget {
 public:
  explicit MoveEnd(Hypervisor& hv) : hv_(hv), timer_(timers().add(this, 0)) {}
  virtual ~MoveEnd();
  MoveEnd(const MoveEnd&) = delete;
  MoveEnd& operator=(const MoveEnd&) = delete;
  void on_timer(std::uint64_t argument) override;

 protected:
  GuestTimers& timers() { return hv_.own_station_->guest->stack().timers(); }
  void watch(std::optional<std::uint32_t> event);

  Hypervisor& hv_;
  TcpConnection* connection_ = nullptr;

 private:
  GuestTimers::Slot timer_;
  static constexpr std::int64_t kLooks = 5;  ///< within the patience
  Duration patience_ = kMovePatience;
  std::uint64_t progress_ = 0;  ///< bytes, either way, at progress_at_
  Time progress_at_{};
};

class Hypervisor::MoveSource final : public MoveEnd {
 public:
  MoveSource(Hypervisor& hv, std::uint32_t event, Place& place);
  void begin();
  const std::string& vm_name() const { return vm_; }
  bool holds_guest() const { return !handed_over_; }
  /// The guest runs at the destination.
  void finish();
  void on_connected(TcpConnection& connection) override;
  void on_received(TcpConnection& connection, const Payload& payload) override;
  void on_closed(TcpConnection& connection, TcpEnd end) override;

 private:
  void send_round(std::uint64_t dirtied);
  void stop_and_copy();

  std::uint32_t event_;
  std::string vm_;
  PreCopy memory_;
  MoveReader reader_;
  Time round_began_{};
  std::uint64_t memory_stream_;
  std::uint64_t memory_offset_ = 0;
  std::uint64_t memory_sent_ = 0;
  bool connected_ = false;
  bool handed_over_ = false;
  bool done_ = false;
};

class Hypervisor::MoveSink final : public MoveEnd {
 public:
  MoveSink(Hypervisor& hv, TcpConnection& connection) : MoveEnd(hv) {
    connection_ = &connection;
    watch({});
  }
  void on_received(TcpConnection& connection, const Payload& payload) override;
  void on_peer_closed(TcpConnection& connection) override;
  void on_closed(TcpConnection& connection, TcpEnd end) override;
  /// The guest has come over.
  void take(std::unique_ptr<Handoff> handoff);
  const Vm* held() const { return handoff_ ? &handoff_->vm : nullptr; }
  Vm* held() { return handoff_ ? &handoff_->vm : nullptr; }

 private:
  bool header(const MoveHeader& header);
  void memory_arrived();
  void resume_if_complete();
  void give_back();

  std::optional<std::uint32_t> event_;
  std::uint32_t from_node_ = 0;
  MoveReader reader_;
  MoveHeader current_;
  std::uint64_t left_ = 0;
  std::uint64_t memory_received_ = 0;
  bool final_complete_ = false;
  bool resumed_ = false;
  std::unique_ptr<Handoff> handoff_;
};

class Hypervisor::Acceptor final : public TcpAcceptor {
 public:
  explicit Acceptor(Hypervisor& hv) : hv_(hv) {}
  TcpEvents* on_accept(TcpConnection& connection) override {
    hv_.greeting_.push_back(std::make_unique<MoveSink>(hv_, connection));
    return hv_.greeting_.back().get();
  }

 private:
  Hypervisor& hv_;
};

}  // namespace weft::models
