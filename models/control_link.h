// ControlLink: one direction of an out-of-band control channel: latency, loss, bandwidth, over a
// kernel channel. Messages are real bytes; their size takes time where a bandwidth is set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/units.h"
#include "models/event_kinds.h"
#include "sim/engine.h"

namespace weft::models {

/// Owned by the event that carries it.
struct ControlMessage {
  std::string from;
  std::vector<std::uint8_t> bytes;
};

/// What one end has sent.
struct ControlCounters {
  std::uint64_t messages = 0, bytes = 0, lost = 0;
  void add(const ControlCounters& other) {
    messages += other.messages;
    bytes += other.bytes;
    lost += other.lost;
  }
};

struct ControlLink {
  sim::ChannelId channel{};
  Duration latency{};
  std::optional<BitRate> bandwidth;
  std::uint64_t loss_ppb = 0;
  RandomStream loss;
  Time busy_until{};
  ControlCounters counters;

  void send(sim::Context& context, const std::string& from, std::vector<std::uint8_t> message) {
    ++counters.messages;
    counters.bytes += message.size();
    Time at = context.now() > busy_until ? context.now() : busy_until;
    if (bandwidth) at += serialisation_time(message.size(), *bandwidth);
    busy_until = at;
    if (loss_ppb != 0 && loss.chance_ppb(loss_ppb)) {
      ++counters.lost;
      return;
    }
    auto* owned = new ControlMessage{from, std::move(message)};
    context.send(channel, at + latency, sim::EventClass::control, kControl, 0,
                 reinterpret_cast<std::uintptr_t>(owned));
  }
};

}  // namespace weft::models
