#include "scenarios/run/load_estimate.h"

#include <algorithm>

namespace weft::scenarios {
namespace {

constexpr double kSegment = 1448;  // payload of a full segment behind a tunnel
constexpr double kJumbo = 8900;    // of the hypervisors' own connections
constexpr double kAcksPerData = 0.5;

/// Packets of one pair over the run, both directions.
double packets_of(const TrafficSpec& t, Duration run) {
  const Time stop = std::min(t.stop, Time{} + run);
  const double seconds = std::max(0.0, (stop - t.start).seconds());
  auto segments = [](std::uint64_t bytes) {
    return 1 + static_cast<double>(bytes) / kSegment * (1 + kAcksPerData);
  };
  switch (t.kind) {
    case TrafficKind::ping:
    case TrafficKind::scan:
      return 2 * seconds / std::max(t.interval.seconds(), 1e-9);
    case TrafficKind::udp:
      return seconds * static_cast<double>(t.rate.bps) /
             (8.0 * static_cast<double>(t.size.bytes + 28));
    case TrafficKind::rpc:
      return seconds * static_cast<double>(t.frequency.per_kilosecond) / 1000 *
             (segments(t.request.bytes) + segments(t.response.bytes));
    case TrafficKind::bulk:
      return segments(t.size.bytes) * static_cast<double>(std::max<std::uint64_t>(t.repeat, 1));
  }
  return 0;
}

}  // namespace

std::vector<double> estimate_load(const Scenario& s, Duration end) {
  const auto& u = s.underlay;
  std::vector<double> load(u.nodes.size(), 1.0);
  std::vector<std::size_t> spines;
  for (std::size_t i = 0; i < u.nodes.size(); ++i)
    if (u.leaf_spine && u.nodes[i].name.starts_with("spine-")) spines.push_back(i);
  // The switch that a machine hangs on.
  std::vector<std::size_t> next(u.nodes.size());
  for (std::size_t i = 0; i < next.size(); ++i) next[i] = i;
  for (const auto& l : u.links) {
    auto machine = [&](std::size_t n) {
      return u.nodes[n].kind == NodeKind::host || u.nodes[n].kind == NodeKind::hypervisor;
    };
    if (machine(l.a)) next[l.a] = l.b;
    if (machine(l.b)) next[l.b] = l.a;
  }
  auto add = [&](std::size_t from, std::size_t to, double packets) {
    // A machine does more with a packet (guest, switch, tunnel) than a router.
    load[from] += 2 * packets;
    if (to == from) return;
    load[to] += 2 * packets;
    load[next[from]] += packets;
    if (next[to] == next[from]) return;
    load[next[to]] += packets;
    for (const std::size_t spine : spines)
      load[spine] += packets / static_cast<double>(spines.size());
  };
  auto place = [&](const EndpointRef& e) {
    return e.tenant ? s.tenants[*e.tenant].vms[e.index].host : e.index;
  };
  for (const auto& t : s.traffic) {
    const double packets = packets_of(t, end);
    for (const auto& pair : t.pairs) add(place(pair.from), place(pair.to), packets);
  }
  for (const auto& e : s.events) {
    if (!e.migrate || (e.at && *e.at >= Time{} + end)) continue;
    const auto& vm = s.tenants[*e.migrate->vm.tenant].vms[e.migrate->vm.index];
    add(vm.host, e.migrate->to, static_cast<double>(vm.memory.bytes) / kJumbo * (1 + kAcksPerData));
  }
  return load;
}

}  // namespace weft::scenarios
