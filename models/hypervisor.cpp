#include "models/hypervisor.h"

#include <fmt/format.h>

#include <algorithm>

#include "datapath/checksum.h"
#include "datapath/conntrack.h"
#include "datapath/statement.h"
#include "datapath/wire/wire.h"
#include "models/control_stream.h"
#include "models/hop.h"
#include "models/hypervisor_parts.h"

namespace weft::models {

Hypervisor::Hypervisor(Node node, HypervisorConfig config, std::shared_ptr<const Plan> plan)
    : node_(std::move(node)),
      config_(std::move(config)),
      plan_(std::move(plan)),
      pipeline_(config_.vtep, config_.caches, config_.hash_seed),
      sink_(std::make_unique<Sink>(pipeline_)) {
  using datapath::PortKind;
  pipeline_.connection_tracking().set_options(config_.connections);
  pipeline_.add_port({.number = kUplinkPort, .name = "uplink", .kind = PortKind::uplink});
  pipeline_.add_port({.number = kLocalPort, .name = "local", .kind = PortKind::local});
  pipeline_.add_port({.number = kTunnelPort,
                      .name = "tunnel",
                      .kind = PortKind::tunnel,
                      .tunnel = config_.tunnel});
  own_station_ = std::make_unique<OwnStation>(*this);
}

Hypervisor::~Hypervisor() {
  // The stack refers to the ends of migrations and to the control session, which take leave of it
  // when they go during the run; at the end it goes first.
  own_station_->guest.reset();
}

void Hypervisor::place(Vm vm) {
  const std::size_t at = places_.size();
  places_.push_back(std::make_unique<Place>(*this, static_cast<std::uint32_t>(at), std::move(vm)));
}

std::vector<const Vm*> Hypervisor::vms() const {
  std::vector<const Vm*> all;
  for (const auto& p : places_)
    if (p && p->vm.guest) all.push_back(&p->vm);
  for (const auto& [event, sink] : arriving_)
    if (const Vm* held = sink->held()) all.push_back(held);
  return all;
}

bool Hypervisor::runs(const std::string& vm) const {
  return std::any_of(places_.begin(), places_.end(), [&](const auto& p) {
    return p && p->vm.name == vm && p->vm.guest && p->running;
  });
}

const ControlCounters& Hypervisor::control_counters() const {
  return session_ ? session_->counters() : to_controller_.counters;
}

Hypervisor::Place* Hypervisor::find(const std::string& vm, bool with_guest) {
  for (const auto& p : places_)
    if (p && p->vm.name == vm && (p->vm.guest != nullptr) == with_guest) return p.get();
  return nullptr;
}

void Hypervisor::start() {
  pipeline_.set_world(
      {.new_packet_id = [this] { return node_.context().unique_id(); }, .pool = &node_.pool()});
  if (node_.check == CheckLevel::full) pipeline_.check_caches(1);
  if (node_.check == CheckLevel::sampled) pipeline_.check_caches(64);
  own_station_->start(config_.own_stack, config_.gateway, config_.gateway_mac);
  acceptor_ = std::make_unique<Acceptor>(*this);
  own_station_->guest->stack().listen(kMigrationPort, acceptor_.get());
  if (controller_) {
    session_ = std::make_unique<ControlSession>(
        own_station_->guest->stack(), *controller_, node_.name,
        [this](const std::vector<std::uint8_t>& message) { hear(message); });
    session_->open();
  }
  if (controller_ || to_controller_.channel.valid()) {
    agent_.emplace(config_.agent, *sink_);
    agent_->start(node_.now());
  }
  for (const auto& place : places_) {
    place->plug_in();
    if (agent_) agent_->port_up(place->local_port(), node_.now());
  }
  for (const std::string& line : config_.rules) {
    const auto statement = datapath::parse_statement(line);
    WEFT_CHECK(statement.ok(), "{}: {}", line, statement.ok() ? "" : statement.error().text());
    const auto applied = pipeline_.apply(*statement);
    WEFT_CHECK(applied.ok(), "{}: {}", line, applied.ok() ? "" : applied.error().text());
  }
  node_.context().arm(boot_timer_, node_.now() + (agent_ ? config_.boot_limit : Duration{}),
                      kBootTimer, 0, 0);
  node_.context().arm(expire_timer_, node_.now() + milliseconds(100), kExpireTimer, 0, 0);
}

void Hypervisor::handle(sim::Context& context, const sim::Event& event) {
  node_.enter(context);
  switch (event.kind) {
    case kFrame:
      if (Packet* packet = node_.receive(event)) {
        check_frame(*packet);
        pending_.push_back({packet, kUplinkPort});
      }
      break;
    case kStationTimer: {
      const auto station = static_cast<std::uint32_t>(event.data >> 32);
      const auto slot = static_cast<std::uint32_t>(event.data);
      if (station == UINT32_MAX) {
        own_station_->guest->on_timer(slot);
      } else if (station < places_.size() && places_[station] && places_[station]->running) {
        if (node_.faults.move_without_timers && places_[station]->vm.incarnation > 1) break;
        places_[station]->vm.guest->on_timer(slot);
      }
      break;
    }
    case kControl: {
      std::unique_ptr<ControlMessage> message(event.pointer<ControlMessage>());
      hear(message->bytes);
      break;
    }
    case kControlTimer:
      agent_->tick(node_.now());
      break;
    case kExpireTimer:
      outputs_.clear();
      pipeline_.expire(node_.now(), outputs_);
      for (const auto& d : outputs_.dropped) node_.drop(d.packet, d.reason, kUplinkPort.value);
      context.arm(expire_timer_, node_.now() + milliseconds(100), kExpireTimer, 0, 0);
      break;
    case kUpcallTimer:
      outputs_.clear();
      pipeline_.serve_upcalls(node_.now(), outputs_);
      pumping_ = true;  // what guests answer waits until all is handed out
      hand_out(0);
      pumping_ = false;
      break;
    case kBootTimer:
      boot();
      break;
    case kCommand:
      command(static_cast<std::uint32_t>(event.data));
      break;
    case kHandoff:
      take_handoff(std::unique_ptr<Handoff>(event.pointer<Handoff>()));
      break;
    case kStart:
      start();
      break;
    case kTopology:
      return;
    default:
      WEFT_CHECK(node_.handle_state(event), "hypervisor {} got an event of kind {}", node_.name,
                 event.kind);
  }
  settle();
  if (!boot_armed_ && !booted_ && agent_ && agent_->in_sync()) {
    boot_armed_ = true;
    context.arm(boot_timer_, node_.now() + config_.boot_delay, kBootTimer, 0, 0);
  }
}

// Switches what waits and sends what the agent has to say; in band that is again to be switched.
void Hypervisor::settle() {
  do {
    pump();
    if (agent_) flush_agent();
  } while (!pending_.empty());
}

void Hypervisor::hear(const std::vector<std::uint8_t>& message) {
  node_.context().note(message.size(), hash_bytes(std::as_bytes(std::span{message})));
  if (!agent_ || !node_.up) return;
  agent_->on_message(message, node_.now());
  const std::uint64_t version = agent_->stats().version;
  if (version > (installed_.empty() ? 0 : installed_.back().version))
    installed_.push_back({version, node_.now()});
}

void Hypervisor::boot() {
  booted_ = true;
  for (const auto& place : places_) {
    if (!place || place->running || !place->vm.guest) continue;
    place->running = true;
    place->vm.guest->attach(place->station);
  }
}

void Hypervisor::discard(const sim::Event& event) {
  if (event.kind == kControl) delete event.pointer<ControlMessage>();
  if (event.kind == kHandoff) delete event.pointer<Handoff>();
  Device::discard(event);
}

// Runs the switch until nothing waits any more. Guests answer into pending_, so the loop is what
// keeps a request and its reply on one host from nesting.
void Hypervisor::pump() {
  if (pumping_) return;
  pumping_ = true;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const Pending next = pending_[i];
    if (node_.traced(*next.packet)) [[unlikely]] {
      for (const auto& line : pipeline_.trace(*next.packet, next.port, node_.now()))
        node_.trace_line(*next.packet,
                         "  " + std::string(static_cast<std::size_t>(line.depth) * 2, ' ') +
                             datapath::format_trace_line(line));
    }
    outputs_.clear();
    pipeline_.process({&next.packet, 1}, next.port, node_.now(), outputs_);
    hand_out(next.port.value);
  }
  pending_.clear();
  pumping_ = false;
  const Time upcall = pipeline_.next_upcall();
  auto& context = node_.context();
  if (upcall != Time::never() &&
      (!context.armed(upcall_timer_) || context.deadline(upcall_timer_) != upcall))
    context.arm(upcall_timer_, upcall, kUpcallTimer, 0, 0);
}

// What the switch made of a packet that came in at `in_port` (0: of several, which had waited).
void Hypervisor::hand_out(std::uint32_t in_port) {
  node_.ledger.created += outputs_.created.size();
  for (const Packet* p : outputs_.created) node_.note_created(*p);
  for (Packet* p : outputs_.consumed) node_.consume(p);
  for (const auto& c : outputs_.controller) node_.consume(c.packet);
  for (const auto& d : outputs_.dropped) {
    if (policy_tap_ != nullptr && d.reason == DropReason::policy) [[unlikely]]
      policy_tap_->refused(node_.now(), node_.context().order(), *d.packet, d.cookie);
    if (!left_.empty()) [[unlikely]]
      count_lost(*d.packet, d.reason);
    node_.drop(d.packet, d.reason, in_port, d.cookie);
  }
  // Guests may push to pending_ (not to outputs_) while they are given their packets.
  for (std::size_t k = 0; k < outputs_.out.size(); ++k) {
    const auto out = outputs_.out[k];
    if (out.port == kUplinkPort) {
      node_.transmit(0, out.packet);
    } else if (out.port == kLocalPort) {
      own_station_->guest->receive(out.packet);
    } else if (out.port.value >= 1 && out.port.value <= places_.size() &&
               places_[out.port.value - 1]) {
      give_to_vm(*places_[out.port.value - 1], out.packet);
    } else {
      count_lost(*out.packet, DropReason::no_port);
      node_.drop(out.packet, DropReason::no_port, out.port.value);
    }
  }
}

void Hypervisor::give_to_vm(Place& place, Packet* packet) {
  // Tenant isolation, checked on every packet whatever the level: it is one comparison.
  WEFT_CHECK(packet->tenant == place.vm.tenant,
             "at {} on {}: packet {:#x} of tenant {} reached {} of tenant {}", node_.now().ps,
             node_.name, packet->id, packet->tenant, place.vm.name, place.vm.tenant);
  if (policy_tap_ != nullptr) [[unlikely]]
    policy_tap_->given(node_.now(), node_.context().order(), *packet, place.vm.name);
  if (place.tap != nullptr) [[unlikely]]
    place.tap->frame(node_.now(), node_.context().order(), Direction::out, *packet);
  if (!place.running) {
    count_lost(*packet, DropReason::vm_paused);
    return node_.drop(packet, DropReason::vm_paused, place.number().value);
  }
  place.vm.guest->receive(packet);
}

void Hypervisor::count_lost(const Packet& packet, DropReason reason) {
  if (reason != DropReason::vm_paused && reason != DropReason::vm_gone &&
      reason != DropReason::no_port)
    return;
  if (packet.header_size() < sizeof(wire::EthernetHeader)) return;
  const Mac to = wire::at<wire::EthernetHeader>(packet.data()).dst;
  for (auto left = left_.rbegin(); left != left_.rend(); ++left) {
    if (left->tenant != packet.tenant || !(left->mac == to)) continue;
    ++left->lost;
    return;
  }
}

std::uint64_t Hypervisor::packets_lost(std::uint32_t event) const {
  std::uint64_t lost = 0;
  for (const Left& left : left_)
    if (left.event == event) lost += left.lost;
  return lost;
}

void Hypervisor::set_vm_tap(const std::string& vm, FrameTap* tap) {
  taps_[vm] = tap;
  if (Place* place = find_place(vm)) place->tap = tap;
}

void Hypervisor::check_frame(const Packet& packet) {
  if (node_.check == CheckLevel::basic) return;
  if (node_.check == CheckLevel::sampled && packet.id % 64 != 0) return;
  const ChecksumFault fault = verify_checksums(packet, true);
  // Damage that the scenario asked for (undetected corruption) is no breach: the receiver drops it.
  WEFT_CHECK(fault == ChecksumFault::ok || node_.may_see_damage,
             "at {} on {}: packet {:#x} arrived with a wrong checksum: {}", node_.now().ps,
             node_.name, packet.id, to_string(fault));
}

void Hypervisor::flush_agent() {
  for (auto& out : agent_->take_outgoing())
    if (session_)
      session_->send(out.bytes);
    else
      to_controller_.send(node_.context(), node_.name, std::move(out.bytes));
  const Time next = agent_->next_wakeup();
  auto& context = node_.context();
  if (next == Time::never()) {
    context.cancel(agent_timer_);
  } else if (!context.armed(agent_timer_) || context.deadline(agent_timer_) != next) {
    context.arm(agent_timer_, std::max(next, node_.now()), kControlTimer, 0, 0);
  }
}

void Hypervisor::report(std::uint32_t event, std::uint32_t phase, std::uint64_t bytes,
                        std::uint64_t dirtied, std::string text) {
  auto& context = node_.context();
  records_.push_back(
      {node_.now(), context.order(), event, phase, bytes, dirtied, std::move(text), node_.index});
  context.note(event, phase);
  if (director_)
    context.send(*director_, node_.now() + kSignalDelay, sim::EventClass::control, kPhase, 0,
                 pack_phase(event, phase));
}

// --- VMs that come and go
// --------------------------------------------------------------------------

Hypervisor::Place& Hypervisor::plug(Vm vm, std::vector<datapath::ConnectionState> connections,
                                    bool announce) {
  // It may come back before this end has heard that it had arrived there.
  if (Place* left = find_left_place(vm.name)) unplug(*left);
  // A number that was in use is not given away again while there are fresh ones: rules about the VM
  // that had it stay until the controller has heard that it left, and would bring its packets here.
  std::size_t at = places_.size();
  if (at + 1 >= kUplinkPort.value || node_.faults.reuse_port_numbers) {
    at = 0;
    while (at < places_.size() && places_[at]) ++at;
  }
  WEFT_CHECK(at + 1 < kUplinkPort.value, "{} has no port number left for {}", node_.name, vm.name);
  if (at == places_.size()) places_.emplace_back();
  places_[at] = std::make_unique<Place>(*this, static_cast<std::uint32_t>(at), std::move(vm));
  Place& place = *places_[at];
  place.plug_in();
  pipeline_.import_zone(control::zone_of(place.number().value), connections, node_.now());
  if (agent_) agent_->port_up(place.local_port(), node_.now());
  place.running = true;
  place.vm.guest->attach(place.station);
  if (announce) place.vm.guest->announce();
  return place;
}

void Hypervisor::unplug(Place& place) {
  if (agent_) agent_->port_down(place.vm.name, node_.now());
  (void)pipeline_.export_zone(control::zone_of(place.number().value), node_.now());
  pipeline_.remove_port(place.number());
  places_[place.index].reset();
}

void Hypervisor::send_handoff(std::uint32_t to_node, std::unique_ptr<Handoff> handoff) {
  const auto channel = handoff_.find(to_node);
  WEFT_CHECK(channel != handoff_.end(), "{} has no handoff channel to node {}", node_.name,
             to_node);
  node_.context().send(channel->second, node_.now() + kSignalDelay, sim::EventClass::control,
                       kHandoff, 0, reinterpret_cast<std::uintptr_t>(handoff.release()));
}

void Hypervisor::command(std::uint32_t event) {
  const auto& move = plan_->events.at(event).move;
  WEFT_CHECK(move.has_value(), "{} was given event {}, which moves nothing", node_.name, event);
  const auto already = [&](std::uint32_t other) {
    report(event, static_cast<std::uint32_t>(Phase::failed), 0, 0,
           fmt::format("{} is already being moved by {}", move->vm, plan_->events[other].name));
  };
  for (const auto& [other, sink] : arriving_)
    if (const Vm* held = sink->held(); held != nullptr && held->name == move->vm)
      return already(other);
  Place* place = find_place(move->vm);
  if (place == nullptr) return;  // another hypervisor has it: every one that might is asked
  if (move->to == node_.index)
    return report(event, static_cast<std::uint32_t>(Phase::failed), 0, 0,
                  fmt::format("{} is already on {}", move->vm, node_.name));
  for (const auto& [other, source] : leaving_)
    if (source->vm_name() == move->vm && source->holds_guest()) return already(other);
  if (!place->running)
    return report(event, static_cast<std::uint32_t>(Phase::failed), 0, 0,
                  fmt::format("{} has not booted yet", move->vm));
  report(event, static_cast<std::uint32_t>(Phase::start));
  leaving_[event] = std::make_unique<MoveSource>(*this, event, *place);
  leaving_[event]->begin();
}

void Hypervisor::take_handoff(std::unique_ptr<Handoff> handoff) {
  const std::uint32_t event = handoff->event;
  if (handoff->kind == Handoff::Kind::resumed) {
    const auto source = leaving_.find(event);
    if (source != leaving_.end()) {
      source->second->finish();
      leaving_.erase(event);
    }
    return;
  }
  if (handoff->kind == Handoff::Kind::returned) {
    // The destination could not finish: the guest goes on here.
    ++handoff->vm.incarnation;
    plug(std::move(handoff->vm), std::move(handoff->connections), true);
    report(
        event, static_cast<std::uint32_t>(Phase::failed), 0, 0,
        "the connection that carried the memory was lost during stop-and-copy; the VM came back");
    leaving_.erase(event);
    return;
  }
  const auto sink = arriving_.find(event);
  if (sink == arriving_.end()) {  // its connection has died
    handoff->kind = Handoff::Kind::returned;
    const std::uint32_t from = handoff->from_node;
    send_handoff(from, std::move(handoff));
    return;
  }
  sink->second->take(std::move(handoff));
}

}  // namespace weft::models
