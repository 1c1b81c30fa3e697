// Migration by pre-copy, both ends (see hypervisor.h and docs/life-of-a-migration.md). The two ends
// talk over one TCP connection between the hypervisors' own stacks:
//
//   source ─▶ round n, bytes | memory …            destination ─▶ round done
//   source ─▶ final, bytes   | memory …   + Handoff   destination ─▶ resumed
#include "base/check.h"
#include "models/hypervisor_parts.h"

namespace weft::models {

Payload MoveHeader::encode() const {
  std::uint8_t b[kSize] = {};
  wire::store_be(b, kMagic);
  wire::store_be(b + 4, static_cast<std::uint32_t>(type));
  wire::store_be(b + 8, event);
  wire::store_be(b + 12, round);
  wire::store_be(b + 16, bytes);
  return Payload::copy_of(b);
}

bool MoveHeader::decode(const std::uint8_t* b) {
  if (wire::load_be<std::uint32_t>(b) != kMagic) return false;
  const auto t = wire::load_be<std::uint32_t>(b + 4);
  if (t < 1 || t > 4) return false;
  type = static_cast<Type>(t);
  event = wire::load_be<std::uint32_t>(b + 8);
  round = wire::load_be<std::uint32_t>(b + 12);
  bytes = wire::load_be<std::uint64_t>(b + 16);
  return true;
}

// --- both
// -----------------------------------------------------------------------------------------

Hypervisor::MoveEnd::~MoveEnd() {
  if (!hv_.own_station_->guest) return;  // the run is over
  timers().remove(timer_);
  if (connection_ == nullptr) return;
  connection_->set_events(nullptr);
  connection_->abort();
}

void Hypervisor::MoveEnd::watch(std::optional<std::uint32_t> event) {
  if (event) {
    // A migration of a few bytes per second is slow, not dead.
    const auto& move = *hv_.plan_->events[*event].move;
    if (move.bandwidth) patience_ = kMovePatience + serialisation_time(1u << 16, *move.bandwidth);
  }
  progress_at_ = timers().now();
  timers().arm(timer_, progress_at_ + patience_ / kLooks);
}

void Hypervisor::MoveEnd::on_timer(std::uint64_t) {
  if (connection_ == nullptr) return;
  const Time now = timers().now();
  const std::uint64_t progress = connection_->received_total() + connection_->acknowledged_total();
  if (progress != progress_) {
    progress_ = progress;
    progress_at_ = now;
  } else if (now - progress_at_ >= patience_) {
    return connection_->abort();  // on_closed may destroy this object
  }
  timers().arm(timer_, now + patience_ / kLooks);
}

// --- source
// ---------------------------------------------------------------------------------------

Hypervisor::MoveSource::MoveSource(Hypervisor& hv, std::uint32_t event, Place& place)
    : MoveEnd(hv),
      event_(event),
      vm_(place.vm.name),
      memory_({place.vm.memory_bytes, place.vm.dirty_bytes_per_second,
               hv.plan_->events[event].move->max_downtime,
               hv.plan_->events[event].move->max_rounds}),
      memory_stream_(hash_string(place.vm.name, event)) {}

void Hypervisor::MoveSource::begin() {
  const auto& move = *hv_.plan_->events[event_].move;
  connection_ =
      hv_.own_station_->guest->stack().connect(hv_.addresses_.at(move.to), kMigrationPort, this);
  WEFT_CHECK(connection_ != nullptr, "{} has no address to migrate from", hv_.node_.name);
  const BitRate uplink = hv_.node_.ports.at(0).config.rate;
  connection_->limit_rate(move.bandwidth.value_or(BitRate{uplink.bps / 5 * 4}));
  watch(event_);
}

void Hypervisor::MoveSource::on_connected(TcpConnection&) {
  connected_ = true;
  send_round(0);
}

void Hypervisor::MoveSource::send_round(std::uint64_t dirtied) {
  auto round = memory_.round();
  if (round.stop_and_copy) stop_and_copy();
  memory_sent_ += round.bytes;
  hv_.report(event_,
             round.stop_and_copy ? static_cast<std::uint32_t>(Phase::stop_and_copy)
                                 : static_cast<std::uint32_t>(Phase::round) + round.number,
             round.bytes, dirtied);
  round_began_ = hv_.node_.now();
  if (hv_.node_.faults.move_without_last_round && round.stop_and_copy) round.bytes = 0;
  const MoveHeader header{
      round.stop_and_copy ? MoveHeader::Type::final_round : MoveHeader::Type::round, event_,
      round.number, round.bytes};
  connection_->send(header.encode());
  constexpr std::uint64_t kChunk = 1u << 30;
  for (std::uint64_t left = round.bytes; left > 0;) {
    const auto n = static_cast<std::uint32_t>(std::min(left, kChunk));
    connection_->send(Payload::stream(memory_stream_, memory_offset_, n));
    memory_offset_ += n;
    left -= n;
  }
}

// Pauses the guest and hands it over: from here on the destination (or the handoff on its way
// there) holds it. Its Place stays until the destination has resumed it.
void Hypervisor::MoveSource::stop_and_copy() {
  Place* place = hv_.find_place(vm_);
  WEFT_CHECK(place != nullptr && place->running, "{} vanished from {} while it was moved", vm_,
             hv_.node_.name);
  place->running = false;
  place->vm.guest->detach();
  hv_.left_.push_back({event_, place->vm.tenant, place->vm.guest->stack().config().mac});
  auto handoff = std::make_unique<Handoff>();
  handoff->event = event_;
  handoff->from_node = hv_.node_.index;
  handoff->connections =
      hv_.pipeline_.export_zone(control::zone_of(place->number().value), hv_.node_.now());
  handoff->vm = {.name = place->vm.name,
                 .index = place->vm.index,
                 .tenant = place->vm.tenant,
                 .memory_bytes = place->vm.memory_bytes,
                 .dirty_bytes_per_second = place->vm.dirty_bytes_per_second,
                 .incarnation = place->vm.incarnation,
                 .guest = std::move(place->vm.guest)};
  handoff->memory_bytes = memory_sent_ + memory_.round().bytes;
  if (hv_.node_.faults.move_without_connections) handoff->connections.clear();
  handed_over_ = true;
  hv_.send_handoff(hv_.plan_->events[event_].move->to, std::move(handoff));
}

void Hypervisor::MoveSource::on_received(TcpConnection& connection, const Payload& payload) {
  const bool sense = reader_.feed(
      payload,
      [&](const MoveHeader& h) {
        if (h.type == MoveHeader::Type::round_done && !handed_over_) {
          const Duration took = hv_.node_.now() - round_began_;
          const std::uint64_t dirtied = memory_.dirtied_in(took);
          memory_.finish_round(took);
          send_round(dirtied);
        } else if (h.type == MoveHeader::Type::resumed && handed_over_) {
          finish();
        }
        return h.event == event_;
      },
      [](std::uint32_t) {});
  if (!sense) connection.abort();
}

void Hypervisor::MoveSource::finish() {
  if (done_) return;
  done_ = true;
  if (Place* place = hv_.find_left_place(vm_)) hv_.unplug(*place);
  hv_.report(event_, static_cast<std::uint32_t>(Phase::done));
  if (connection_ != nullptr) connection_->close();
}

void Hypervisor::MoveSource::on_closed(TcpConnection&, TcpEnd end) {
  connection_ = nullptr;
  if (!done_ && !handed_over_) {
    hv_.report(event_, static_cast<std::uint32_t>(Phase::failed), 0, 0,
               end == TcpEnd::refused ? "the destination refused the migration's connection"
               : !connected_          ? "the destination did not answer"
                             : "the migration's connection was lost; the VM stays where it is");
  }
  // After the handoff the destination decides: it resumes the guest or sends it back, and says so.
  if (done_ || !handed_over_) hv_.leaving_.erase(event_);  // destroys this object: last statement
}

// --- destination
// ------------------------------------------------------------------------------------

void Hypervisor::MoveSink::on_received(TcpConnection& connection, const Payload& payload) {
  const bool sense = reader_.feed(
      payload, [&](const MoveHeader& h) { return header(h); },
      [&](std::uint32_t n) {
        left_ -= n;
        memory_received_ += n;
        if (left_ == 0) memory_arrived();
      });
  if (!sense) connection.abort();
}

bool Hypervisor::MoveSink::header(const MoveHeader& h) {
  if (!event_) {
    // Only what the plan knows, and only once: the stream is another machine's.
    if (h.event >= hv_.plan_->events.size() || !hv_.plan_->events[h.event].move ||
        hv_.plan_->events[h.event].move->to != hv_.node_.index || hv_.arriving_.contains(h.event))
      return false;
    event_ = h.event;
    watch(event_);
    // From `greeting_` to its name.
    for (auto& candidate : hv_.greeting_)
      if (candidate.get() == this) {
        hv_.arriving_[h.event] = std::move(candidate);
        std::erase(hv_.greeting_, nullptr);
        break;
      }
  }
  if (h.event != *event_) return false;
  current_ = h;
  left_ = h.bytes;
  if (left_ == 0) memory_arrived();
  return true;
}

void Hypervisor::MoveSink::memory_arrived() {
  if (current_.type == MoveHeader::Type::round) {
    connection_->send(
        MoveHeader{MoveHeader::Type::round_done, *event_, current_.round, 0}.encode());
  } else if (current_.type == MoveHeader::Type::final_round) {
    final_complete_ = true;
    resume_if_complete();
  }
}

void Hypervisor::MoveSink::take(std::unique_ptr<Handoff> handoff) {
  handoff_ = std::move(handoff);
  from_node_ = handoff_->from_node;
  resume_if_complete();
}

void Hypervisor::MoveSink::resume_if_complete() {
  if (!final_complete_ || !handoff_ || resumed_) return;
  WEFT_CHECK(memory_received_ == handoff_->memory_bytes,
             "at {} on {}: {} would resume with {} of {} bytes of memory", hv_.node_.now().ps,
             hv_.node_.name, handoff_->vm.name, memory_received_, handoff_->memory_bytes);
  resumed_ = true;
  Vm vm = std::move(handoff_->vm);
  ++vm.incarnation;
  const auto connections = std::move(handoff_->connections);
  handoff_.reset();
  hv_.report(*event_, static_cast<std::uint32_t>(Phase::resume));
  hv_.plug(std::move(vm), connections, true);
  if (connection_ != nullptr)
    connection_->send(MoveHeader{MoveHeader::Type::resumed, *event_, current_.round, 0}.encode());
}

void Hypervisor::MoveSink::give_back() {
  handoff_->kind = Handoff::Kind::returned;
  hv_.send_handoff(from_node_, std::move(handoff_));
}

void Hypervisor::MoveSink::on_peer_closed(TcpConnection& connection) { connection.close(); }

void Hypervisor::MoveSink::on_closed(TcpConnection&, TcpEnd end) {
  connection_ = nullptr;
  if (!event_) {
    std::erase_if(hv_.greeting_, [this](const auto& s) { return s.get() == this; });
    return;  // destroyed
  }
  if (handoff_) {
    give_back();
  } else if (resumed_ && end != TcpEnd::normal) {
    // The source may not have heard it over the connection.
    auto verdict = std::make_unique<Handoff>();
    verdict->event = *event_;
    verdict->kind = Handoff::Kind::resumed;
    hv_.send_handoff(from_node_, std::move(verdict));
  }
  // A guest that is still on its way finds nobody and goes back (take_handoff).
  hv_.arriving_.erase(*event_);  // destroys this object
}

}  // namespace weft::models
