#include "models/node.h"

#include <fmt/format.h>

#include "base/units.h"
#include "datapath/frame_text.h"
#include "models/hop.h"

namespace weft::models {

Packet* Node::receive(const sim::Event& event) {
  auto* packet = event.pointer<Packet>();
  Port& port = ports[event.aux];
  context_->note(packet->id, packet->size());
  if (!up || !port.up || packet->link_epoch != port.epoch) [[unlikely]] {
    drop(packet, up ? DropReason::link_down : DropReason::node_down, event.aux);
    return nullptr;
  }
  ++hops;
  ++port.counters.rx_packets;
  if (packet->corrupted != 0) [[unlikely]] {
    drop(packet, DropReason::bad_fcs, event.aux);
    return nullptr;
  }
  if (faults.lose_silently && packet->id % 64 == 0) [[unlikely]] {
    pool_->give(packet);
    return nullptr;
  }
  if (port.tap != nullptr) [[unlikely]]
    port.tap->frame(now(), context_->order(), Direction::in, *packet);
  if (traced(*packet)) [[unlikely]]
    trace_line(*packet, fmt::format("in  {}", port.config.name));
  return packet;
}

namespace {

/// Damage that no frame check notices: one bit anywhere in the frame. The payload stays a
/// descriptor unless it is hit.
void flip_bit(Packet& packet, RandomStream& random) {
  const auto at = static_cast<std::uint32_t>(random.below(packet.size()));
  if (at >= packet.header_size()) packet.materialise_payload(at + 1 - packet.header_size());
  std::uint8_t& byte = packet.headers()[at];
  byte = static_cast<std::uint8_t>(byte ^ 1u << random.below(8));
  packet.checksums_good = 0;
}

}  // namespace

void Node::transmit(std::uint16_t p, Packet* packet) {
  WEFT_CHECK(p < ports.size(), "{} has no port {}", name, p);
  Port& port = ports[p];
  const Time t = context_->now();
  if (!port.up || !up) [[unlikely]]
    return drop(packet, up ? DropReason::link_down : DropReason::node_down, p);
  const std::int64_t wire = port.wire_ps(packet->size());
  const std::int64_t backlog = port.busy_until > t ? (port.busy_until - t).ps : 0;
  const std::int64_t filled = backlog + wire;
  if (filled > port.queue_ps && backlog > 0) [[unlikely]] {
    ++port.counters.drops;
    return drop(packet, DropReason::queue_full, p);
  }
  if (port.ecn_max_ps > 0 && filled > port.ecn_min_ps) [[unlikely]] {
    const std::int64_t range = port.ecn_max_ps - port.ecn_min_ps;
    const std::int64_t over = filled - port.ecn_min_ps;
    const bool mark = over >= range || port.marking.below(static_cast<std::uint64_t>(range)) <
                                           static_cast<std::uint64_t>(over);
    if (mark && mark_congestion(*packet)) ++port.counters.ecn_marks;
  }
  if (port.tap != nullptr) [[unlikely]]
    port.tap->frame(t, context_->order(), Direction::out, *packet);
  if (traced(*packet)) [[unlikely]]
    trace_line(*packet, fmt::format("out {} ({} B, {} B queued)", port.config.name, packet->size(),
                                    port.backlog_bytes(t)));
  port.busy_until = t + Duration{filled};
  port.counters.peak_backlog_ps = std::max(port.counters.peak_backlog_ps, filled);
  port.interval_peak_ps = std::max(port.interval_peak_ps, filled);
  ++port.counters.tx_packets;
  port.counters.tx_bytes += std::max<std::uint32_t>(packet->size(), 60) + port.framing;
  if (port.lossy) [[unlikely]] {
    if (port.config.loss_ppb != 0 && port.loss.chance_ppb(port.config.loss_ppb)) {
      ++port.counters.lost;
      return drop(packet, DropReason::link_loss, p);
    }
    if (port.config.corruption_ppb != 0 && port.corruption.chance_ppb(port.config.corruption_ppb)) {
      if (port.config.corruption_undetected) {
        flip_bit(*packet, port.corruption);
      } else {
        packet->corrupted = 1;
      }
    }
  }
  packet->link_epoch = port.epoch;
  context_->send(port.channel, port.busy_until + Duration{port.delay_ps}, sim::EventClass::arrival,
                 kFrame, port.peer_port, reinterpret_cast<std::uintptr_t>(packet));
}

namespace {

std::uint64_t hash_headers(const Packet& packet, std::uint64_t what) {
  return hash_bytes(std::as_bytes(std::span{packet.data(), packet.header_size()}), what);
}

// What a header hash in the digest was taken at, beside Node::kDelivered and kConsumed; drops are
// kDropped + reason.
constexpr std::uint64_t kCreated = 3, kDropped = 16;

}  // namespace

void Node::note_created(const Packet& packet) {
  context_->note(packet.id, hash_headers(packet, kCreated));
}

void Node::end(Packet* packet, std::uint64_t how) {
  context_->note(packet->id, hash_headers(*packet, how));
  if (traced(*packet)) [[unlikely]]
    trace_line(*packet, how == kDelivered ? "delivered" : "consumed");
  pool_->give(packet);
}

void Node::drop(Packet* packet, DropReason reason, std::uint32_t where, std::uint64_t cookie) {
  context_->note(packet->id, hash_headers(*packet, kDropped + static_cast<std::uint64_t>(reason)));
  if (drop_tap != nullptr) [[unlikely]]
    drop_tap->frame(now(), context_->order(), Direction::in, *packet);
  if (traced(*packet)) [[unlikely]]
    trace_line(*packet, fmt::format("DROPPED {}: {}", name_of(reason), meaning_of(reason)));
  ledger.drop({.at = now(),
               .order = context_->order(),
               .packet = packet->id,
               .flow = packet->flow,
               .tenant = packet->tenant,
               .reason = reason,
               .cookie = cookie,
               .where = where,
               .size = packet->size(),
               .frame = ledger.wants_record() ? datapath::describe_frame(*packet) : std::string()});
  pool_->give(packet);
}

bool Node::handle_state(const sim::Event& event) {
  if (event.kind == kPortState) {
    Port& port = ports[event.aux];
    const bool is = port.outage.apply(TopologyChange::unpack(event.data));
    if (is == port.up) return true;
    port.up = is;
    ++port.epoch;
    if (port.up) port.busy_until = now();
    return true;
  }
  if (event.kind == kNodeState) {
    up = outage_.apply(TopologyChange::unpack(event.data));
    return true;
  }
  return false;
}

void Node::trace_line(const Packet& packet, std::string text) {
  tracer->line(now(), context_->order(), name, packet, std::move(text));
}

void Node::discard_frame(const sim::Event& event, Pools& pools) {
  pools.of_worker[0]->give(event.pointer<Packet>());
}

void Device::discard(const sim::Event& event) {
  if (event.kind == kFrame) Node::discard_frame(event, node().pools());
}

}  // namespace weft::models
