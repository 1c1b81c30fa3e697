#include "scenarios/run/open_units.h"

#include <algorithm>

namespace weft::scenarios {
namespace {

/// The packets of one pair that exist.
struct Carried {
  std::map<std::uint64_t, Time> units;  ///< number -> birth of the packet, where that can be told
  std::vector<Time> others;             ///< births of the rest
  std::size_t count() const { return units.size() + others.size(); }
};

/// The youngest `most` of those that `may` still be answered.
template <class May>
void take_youngest(const std::vector<models::Waiting>& waiting, std::size_t most, May may,
                   std::vector<Time>& open) {
  for (auto w = waiting.rbegin(); w != waiting.rend() && most > 0; ++w) {
    if (!may(*w)) continue;
    open.push_back(w->at);
    --most;
  }
}

}  // namespace

OpenUnits open_units(const Scenario& scenario, const PacketArena& packets,
                     const std::vector<const models::Guest*>& guests) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, Carried> carried;
  for (const Packet* p : packets.in_use()) {
    if (p->flow == 0 || p->flow > scenario.traffic.size() || p->pair == kNoPair) continue;
    const TrafficSpec& spec = scenario.traffic[p->flow - 1];
    Carried& c = carried[{p->flow - 1, p->pair}];
    const bool numbered =
        (spec.kind == TrafficKind::ping || spec.kind == TrafficKind::udp) && spec.size.bytes > 0 &&
        p->payload.is_stream() &&
        p->payload.stream_id() == models::request_stream(models::content_key(p->flow - 1, p->pair));
    if (numbered) {
      const auto [it, fresh] = c.units.emplace(p->payload.offset() / spec.size.bytes, p->born);
      it->second = std::min(it->second, p->born);
    } else {
      c.others.push_back(p->born);
    }
  }

  std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<models::Waiting>> waiting;
  for (const models::Guest* guest : guests)
    for (const models::Waiting& w : guest->waiting()) waiting[{w.traffic, w.pair}].push_back(w);

  OpenUnits open;
  for (const auto& [key, c] : carried) {  // datagrams: nobody waits for them
    const TrafficSpec& spec = scenario.traffic[key.first];
    if (spec.kind != TrafficKind::udp) continue;
    std::vector<Time> times = c.others;
    for (const auto& [number, born] : c.units) times.push_back(born);
    std::erase_if(times, [&](Time t) { return t < spec.start + spec.warmup; });
    open[key] = std::move(times);
  }
  for (const auto& [key, list] : waiting) {
    const Carried& c = carried[key];
    std::vector<Time>& times = open[key];
    switch (scenario.traffic[key.first].kind) {
      case TrafficKind::udp:
        break;
      case TrafficKind::ping:
        for (const auto& w : list)
          if (c.units.contains(w.number)) times.push_back(w.at);
        take_youngest(
            list, c.others.size(), [&](const auto& w) { return !c.units.contains(w.number); },
            times);
        break;
      case TrafficKind::scan:
        take_youngest(
            list, c.count(), [](const auto& w) { return !w.stalled; }, times);
        break;
      case TrafficKind::bulk:
      case TrafficKind::rpc:
        for (const auto& w : list)
          if (!w.stalled && (c.count() > 0 || w.owes_acknowledgement)) times.push_back(w.at);
        break;
    }
  }
  for (auto& [key, times] : open) std::sort(times.begin(), times.end());
  return open;
}

}  // namespace weft::scenarios
