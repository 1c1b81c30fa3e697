#include "models/host.h"

namespace weft::models {

void Host::handle(sim::Context& context, const sim::Event& event) {
  node_.enter(context);
  switch (event.kind) {
    case kFrame:
      if (Packet* packet = node_.receive(event)) guest_.receive(packet);
      return;
    case kStationTimer:
      return guest_.on_timer(static_cast<std::uint32_t>(event.data));
    case kStart:
      return guest_.attach(*this);
    case kTopology:
      return;
    default:
      WEFT_CHECK(node_.handle_state(event), "host {} got an event of kind {}", node_.name,
                 event.kind);
  }
}

}  // namespace weft::models
