// Director: the LP that carries out events which follow a phase of another ("after:
// move-1.round-2"). It hears phases from hypervisors and sends the parts of the commands that wait
// for them, each over a channel with kSignalDelay, so a command takes effect 2 x kSignalDelay after
// the phase (plus the event's own delay) - in every run, on any number of threads.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "models/plan.h"
#include "sim/engine.h"

namespace weft::models {

class Director final : public sim::LogicalProcess {
 public:
  explicit Director(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}
  /// Channels to the LPs that commands may concern; set while the world is built.
  void set_channel(sim::LpId to, sim::ChannelId channel) { channels_[to] = channel; }
  void handle(sim::Context& context, const sim::Event& event) override;
  /// When each event was carried out, by index (never: not yet).
  const std::vector<PhaseRecord>& records() const { return records_; }

 private:
  void carry_out(sim::Context& context, std::uint32_t event);

  std::shared_ptr<const Plan> plan_;
  std::map<sim::LpId, sim::ChannelId> channels_;
  std::vector<PhaseRecord> records_;
};

}  // namespace weft::models
