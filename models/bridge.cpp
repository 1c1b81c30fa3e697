#include "models/bridge.h"

#include "datapath/wire/ethernet.h"

namespace weft::models {

void Bridge::handle(sim::Context& context, const sim::Event& event) {
  node_.enter(context);
  if (event.kind != kFrame) {
    if (node_.handle_state(event)) {
      stations_.clear();  // what was learned through a port that failed is not trusted
      return;
    }
    if (event.kind == kTopology) return;  // bridges do not route
    WEFT_CHECK(false, "bridge {} got an event of kind {}", node_.name, event.kind);
  }
  Packet* packet = node_.receive(event);
  if (packet == nullptr) return;
  const std::uint16_t in = event.aux;
  const auto* eth = wire::view<wire::EthernetHeader>(packet->headers());
  if (eth == nullptr) return node_.drop(packet, DropReason::malformed, in);
  if (!learns_) return flood(in, packet);
  if (!eth->src.is_multicast()) stations_[eth->src] = {in, node_.now()};
  if (!eth->dst.is_multicast()) {
    const auto known = stations_.find(eth->dst);
    if (known != stations_.end() && node_.now() - known->second.seen <= kAging) {
      const std::uint16_t out = known->second.port;
      if (out == in) return node_.drop(packet, DropReason::same_port, in);
      node_.trace(*packet, "switch: the destination was learned");
      return node_.transmit(out, packet);
    }
  }
  node_.trace(*packet, "switch: flooded");
  flood(in, packet);
}

void Bridge::flood(std::uint16_t in, Packet* packet) {
  std::uint16_t last = UINT16_MAX;
  for (std::uint16_t p = 0; p < node_.ports.size(); ++p) {
    if (p == in || !node_.ports[p].up) continue;
    if (last != UINT16_MAX) {
      Packet* copy = node_.pool().clone(*packet, node_.context().unique_id());
      ++node_.ledger.created;
      node_.note_created(*copy);
      node_.transmit(last, copy);
    }
    last = p;
  }
  if (last == UINT16_MAX) return node_.drop(packet, DropReason::same_port, in);
  node_.transmit(last, packet);
}

}  // namespace weft::models
