#include "models/director.h"

#include <fmt/format.h>

#include "base/check.h"

namespace weft::models {

std::string phase_name(std::uint32_t phase) {
  switch (static_cast<Phase>(phase)) {
    case Phase::start:
      return "start";
    case Phase::stop_and_copy:
      return "stop-and-copy";
    case Phase::resume:
      return "resume";
    case Phase::done:
      return "done";
    case Phase::failed:
      return "failed";
    default:
      return fmt::format("round-{}", phase - static_cast<std::uint32_t>(Phase::round));
  }
}

void Director::handle(sim::Context& context, const sim::Event& event) {
  if (event.kind == kCommand) return carry_out(context, static_cast<std::uint32_t>(event.data));
  WEFT_CHECK(event.kind == kPhase, "the director got an event of kind {}", event.kind);
  const auto source = static_cast<std::uint32_t>(event.data >> 32);
  const auto phase = static_cast<std::uint32_t>(event.data);
  for (std::uint32_t i = 0; i < plan_->events.size(); ++i) {
    const auto& after = plan_->events[i].after;
    if (!after || after->event != source || after->phase != phase) continue;
    if (after->delay.ps == 0) {
      carry_out(context, i);
    } else {
      context.schedule(context.now() + after->delay, sim::EventClass::command, kCommand, 0, i);
    }
  }
}

void Director::carry_out(sim::Context& context, std::uint32_t index) {
  const PlanEvent& event = plan_->events[index];
  records_.push_back({.at = context.now() + kSignalDelay,
                      .order = context.order(),
                      .event = index,
                      .phase = static_cast<std::uint32_t>(Phase::start)});
  for (const auto& part : event.parts) {
    const auto channel = channels_.find(part.target);
    WEFT_CHECK(channel != channels_.end(), "event {} has a part for an LP out of reach",
               event.name);
    context.send(channel->second, context.now() + kSignalDelay + part.delay, part.event_class,
                 part.kind, part.aux, part.data);
  }
  // Events may also follow this one's start.
  for (std::uint32_t i = 0; i < plan_->events.size(); ++i) {
    const auto& after = plan_->events[i].after;
    if (after && after->event == index && !event.move &&
        after->phase == static_cast<std::uint32_t>(Phase::start))
      context.schedule(context.now() + after->delay, sim::EventClass::command, kCommand, 0, i);
  }
}

}  // namespace weft::models
