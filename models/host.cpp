#include "models/host.h"

namespace weft::models {

void Host::handle(sim::Context& context, const sim::Event& event) {
  node_.enter(context);
  // What there is to be warmed settles soon; it is looked at again ever more rarely.
  ++handled_;
  if ((handled_ & (handled_ - 1)) == 0) [[unlikely]]
    warm();
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

void Host::warm() {
  if (handled_ < 4) return;
  sim::WarmLines lines;
  const auto* begin = reinterpret_cast<const char*>(this);
  const auto* end = reinterpret_cast<const char*>(&node_.ledger.dropped);
  lines.add(begin, static_cast<std::size_t>(end - begin));
  lines.add(&guest_, sizeof guest_);
  for (const Port& port : node_.ports) lines.add(&port, 128);
  guest_.warm(lines);
  node_.context().warm(lines);
}

}  // namespace weft::models
