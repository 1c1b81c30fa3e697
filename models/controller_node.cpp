#include "models/controller_node.h"

#include <memory>

#include "base/check.h"

namespace weft::models {

void ControllerNode::handle(sim::Context& context, const sim::Event& event) {
  switch (event.kind) {
    case kStart:
      process_.start(context);
      break;
    case kCommand:
      process_.act(context, event.data);
      break;
    case kControl: {
      const std::unique_ptr<ControlMessage> message(event.pointer<ControlMessage>());
      process_.on_message(context, message->from, message->bytes);
      break;
    }
    case kControlTimer:
      process_.tick(context);
      break;
    default:
      WEFT_CHECK(false, "controller {} got an event of kind {}", name_, event.kind);
  }
  process_.flush(context);
}

void ControllerNode::discard(const sim::Event& event) {
  if (event.kind == kControl) delete event.pointer<ControlMessage>();
}

void ControllerNode::send(sim::Context& context, const std::string& hypervisor,
                          std::vector<std::uint8_t> message) {
  const auto link = links_.find(hypervisor);
  WEFT_CHECK(link != links_.end(), "controller {} has no link to {}", name_, hypervisor);
  link->second.send(context, name_, std::move(message));
}

ControlCounters ControllerNode::counters() const {
  ControlCounters all;
  for (const auto& [hypervisor, link] : links_) all.add(link.counters);
  return all;
}

}  // namespace weft::models
