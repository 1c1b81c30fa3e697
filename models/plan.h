// Plan: the scenario's events as the world's LPs carry them out. Immutable and shared: a command
// event carries an index into it, and each LP that it concerns does its own part - a link's two
// ends change state, routers learn after the convergence delay, the controller changes intent, the
// hypervisor that holds the VM begins to move it.
//
// Commands with a time are posted at load, one event per LP. Commands that follow a phase of
// another event ("after: move-1.round-2") are sent by the Director (director.h), an LP that hears
// of phases over channels with kSignalDelay and speaks over channels with the same delay.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "base/units.h"
#include "models/event_kinds.h"
#include "sim/engine.h"

namespace weft::models {

inline constexpr Duration kSignalDelay = microseconds(10);

/// Phases of events, for `after:` and for the log.
enum class Phase : std::uint16_t { start = 0, stop_and_copy, resume, done, failed, round = 16 };
constexpr std::uint64_t pack_phase(std::uint32_t event, std::uint32_t phase) {
  return static_cast<std::uint64_t>(event) << 32 | phase;
}
std::string phase_name(std::uint32_t phase);  ///< "round-2"

struct MovePlan {
  std::string vm;
  std::uint32_t to = 0;  ///< topology node of the destination
  std::optional<BitRate> bandwidth;
  Duration max_downtime{};
  std::uint32_t max_rounds = 30;
};

/// What one command does at one LP: an event of class `event_class`, posted or sent `delay` after
/// the command's time.
struct CommandPart {
  sim::LpId target{};
  sim::EventClass event_class = sim::EventClass::command;
  std::uint16_t kind = kCommand;
  std::uint16_t aux = 0;
  std::uint64_t data = 0;
  Duration delay{};
};

struct PlanEvent {
  std::string name;
  std::optional<Time> at;
  struct After {
    std::uint32_t event = 0;
    std::uint32_t phase = 0;
    Duration delay{};
  };
  std::optional<After> after;
  std::optional<MovePlan> move;
  std::vector<CommandPart> parts;
};

struct Plan {
  std::vector<PlanEvent> events;
};

/// One moment of an event, as the LP where it happened noted it.
struct PhaseRecord {
  Time at{};
  std::uint64_t order = 0;
  std::uint32_t event = 0;
  std::uint32_t phase = 0;    ///< Phase, or Phase::round + number
  std::uint64_t bytes = 0;    ///< round, stop_and_copy: to be sent in it
  std::uint64_t dirtied = 0;  ///< round, stop_and_copy: bytes dirtied during the one before
  std::string text{};         ///< failed: why
  std::uint32_t node = 0;     ///< topology node that noted it
};

}  // namespace weft::models
