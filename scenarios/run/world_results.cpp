// What happened, read off a world at rest into analysis::Results.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "models/guest/guest.h"
#include "models/host.h"
#include "models/hypervisor.h"
#include "scenarios/run/open_units.h"
#include "scenarios/run/world.h"

namespace weft::scenarios {

namespace {

const char* kind_text(TrafficKind kind) {
  switch (kind) {
    case TrafficKind::ping:
      return "ping";
    case TrafficKind::udp:
      return "udp";
    case TrafficKind::bulk:
      return "bulk";
    case TrafficKind::rpc:
      return "rpc";
    case TrafficKind::scan:
      return "scan";
  }
  return "?";
}

/// Files the open units of a pair under the buckets in which they were sent; how many those are.
std::uint64_t file_open(const std::vector<Time>& open, const models::TrafficStats& stats,
                        std::vector<analysis::TrafficPoint>& series) {
  std::map<std::uint32_t, std::uint64_t> left;  // sent, not answered
  for (const auto& b : stats.series)
    if (b.sent > b.delivered) left[b.index] = b.sent - b.delivered;
  std::uint64_t filed = 0;
  for (const Time at : open) {
    const auto found = left.find(static_cast<std::uint32_t>(at.ps / models::kTrafficBucket.ps));
    // A copy of a datagram that has arrived is on its way to nobody.
    if (found == left.end() || found->second == 0 || found->first >= series.size()) continue;
    --found->second;
    ++series[found->first].open;
    ++filed;
  }
  return filed;
}

}  // namespace

analysis::Results World::results() {
  analysis::Results out;
  out.identity.scenario = scenario_.name;
  out.identity.description = scenario_.description;
  out.identity.file = scenario_.file;
  out.identity.source = scenario_.text;
  out.identity.graph = scenario_.graph;
  out.identity.seed = options_.seed;
  out.identity.threads = options_.threads;
  out.identity.check_level = options_.check == models::CheckLevel::basic  ? "basic"
                             : options_.check == models::CheckLevel::full ? "full"
                                                                          : "sampled";
  out.identity.reached = engine_->reached();
  const auto stats = engine_->stats();
  out.engine.events = stats.events;
  out.engine.windows = stats.windows;
  out.engine.lookahead = stats.lookahead;
  out.engine.logical_processes = engine_->size();
  for (const auto& w : stats.workers) out.engine.workers.push_back({w.events, w.logical_processes});
  out.warnings = scenario_.warnings;
  out.digest = engine_->digest().text();
  for (std::uint32_t i = 0; i < engine_->size(); ++i)
    out.chains.push_back({engine_->name(sim::LpId{i}), engine_->chain(sim::LpId{i}).text(),
                          engine_->events_of(sim::LpId{i})});

  for (const auto* n : nodes_) {
    out.totals.created += n->ledger.created;
    out.totals.delivered += n->ledger.delivered;
    out.totals.consumed += n->ledger.consumed;
    out.totals.dropped += n->ledger.dropped;
    out.totals.packet_hops += n->hops;
  }
  out.totals.in_flight =
      out.totals.created - out.totals.delivered - out.totals.consumed - out.totals.dropped;
  for (std::size_t r = 0; r < kDropReasons; ++r) {
    std::uint64_t count = 0;
    for (const auto* n : nodes_) count += n->ledger.by_reason[r];
    if (count > 0)
      out.totals.by_reason.push_back({std::string(name_of(static_cast<DropReason>(r))), count});
  }
  fill_places(out);
  fill_links(out);
  fill_traffic(out);
  fill_drops(out);
  fill_migrations(out);
  fill_control(out);
  std::stable_sort(out.log.begin(), out.log.end(), [](const auto& a, const auto& b) {
    return std::pair(a.at, a.order) < std::pair(b.at, b.order);
  });
  return out;
}

void World::fill_places(analysis::Results& out) {
  const auto& u = scenario_.underlay;
  for (std::size_t i = 0; i < u.nodes.size(); ++i) {
    const auto& n = u.nodes[i];
    analysis::NodeInfo info{.name = n.name};
    switch (n.kind) {
      case NodeKind::router:
        info.kind = n.name.starts_with("spine-")  ? "spine"
                    : n.name.starts_with("leaf-") ? "leaf"
                                                  : "router";
        info.layer = !u.leaf_spine ? -1 : info.kind == "spine" ? 0 : 1;
        break;
      case NodeKind::bridge:
        info.kind = "switch";
        break;
      case NodeKind::hub:
        info.kind = "hub";
        break;
      case NodeKind::host:
        info.kind = "host";
        info.layer = u.leaf_spine ? 2 : -1;
        break;
      case NodeKind::hypervisor:
        info.kind = "hypervisor";
        info.layer = u.leaf_spine ? 2 : -1;
        break;
    }
    if (n.address) info.address = n.address->text();
    out.nodes.push_back(std::move(info));
  }
  std::map<std::string, std::size_t> now;
  for (std::size_t i = 0; i < hypervisors_.size(); ++i)
    if (hypervisors_[i] != nullptr)
      for (const models::Vm* vm : std::as_const(*hypervisors_[i]).vms()) now[vm->name] = i;
  for (const auto& t : scenario_.tenants)
    for (const auto& vm : t.vms) {
      analysis::VmInfo info{.name = vm.name, .tenant = t.name, .first_node = vm.host};
      for (const auto& a : vm.addresses) info.addresses.push_back(a.text());
      const auto found = now.find(vm.name);
      info.last_node = found == now.end() ? vm.host : found->second;
      out.vms.push_back(std::move(info));
    }
}

// Called when everything before `reached` is done, at the first window that begins at or after an
// interval's end: what has happened since the last call belongs to the interval that was open then.
// At the end of the run the interval that is open counts as far as it goes.
void World::sample_links(Time reached, Duration interval, bool at_end) {
  for (std::size_t l = 0; l < series_.size(); ++l) {
    const auto& link = scenario_.underlay.links[l];
    for (std::size_t d = 0; d < 2; ++d) {
      models::Port& p = port(d == 0 ? link.a : link.b, l);
      auto& series = series_[l][d];
      auto& last = last_sample_[l][d];
      while (true) {
        const Time begin = Time{} + interval * static_cast<std::int64_t>(series.size());
        const Time end = begin + interval;
        if (reached < end && (!at_end || reached <= begin)) break;
        const analysis::LinkPoint now{
            .packets = p.counters.tx_packets,
            .bytes = std::max(last.bytes, p.sent_bytes(std::min(end, reached))),
            .drops = p.counters.drops,
            .peak_queue_bytes = p.peak_backlog_bytes(),
            .ecn_marks = p.counters.ecn_marks};
        series.push_back({.packets = now.packets - last.packets,
                          .bytes = now.bytes - last.bytes,
                          .drops = now.drops - last.drops,
                          .peak_queue_bytes = p.interval_peak_bytes(),
                          .ecn_marks = now.ecn_marks - last.ecn_marks});
        p.interval_peak_ps = 0;
        last = now;
      }
    }
  }
}

void World::fill_links(analysis::Results& out) {
  for (std::size_t l = 0; l < scenario_.underlay.links.size(); ++l) {
    const auto& spec = scenario_.underlay.links[l];
    analysis::LinkResult r{.name = spec.name,
                           .a = spec.a,
                           .b = spec.b,
                           .rate_bps = spec.rate.bps,
                           .queue_bytes = spec.queue.bytes,
                           .directions = {},
                           .place = spec.place};
    for (std::size_t d = 0; d < 2; ++d) {
      const std::size_t from = d == 0 ? spec.a : spec.b, to = d == 0 ? spec.b : spec.a;
      const models::Port& p = port(from, l);
      auto& dir = r.directions[d];
      dir.from = from;
      dir.to = to;
      dir.packets = port(to, l).counters.rx_packets;
      dir.bytes = p.sent_bytes(out.identity.reached);
      dir.drops = p.counters.drops + p.counters.lost;
      dir.ecn_marks = p.counters.ecn_marks;
      dir.peak_queue_bytes = p.peak_backlog_bytes();
      dir.series = series_[l][d];
    }
    out.links.push_back(std::move(r));
  }
}

// A traffic's record is spread over the guests of its pairs; each guest keeps one per pair it takes
// part in, as client or as server.
void World::fill_traffic(analysis::Results& out) {
  std::vector<std::pair<EndpointRef, const models::Guest*>> guests;
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    if (hosts_[i] != nullptr) guests.push_back({EndpointRef{{}, i}, &hosts_[i]->guest()});
  std::map<std::string, EndpointRef> by_name;
  for (std::size_t t = 0; t < scenario_.tenants.size(); ++t)
    for (std::size_t v = 0; v < scenario_.tenants[t].vms.size(); ++v)
      by_name[scenario_.tenants[t].vms[v].name] = EndpointRef{t, v};
  std::map<EndpointRef, const models::Guest*> all(guests.begin(), guests.end());
  for (auto* hv : hypervisors_)
    if (hv != nullptr)
      for (const models::Vm* vm : std::as_const(*hv).vms())
        all[by_name.at(vm->name)] = vm->guest.get();

  std::vector<const models::Guest*> present;
  for (const auto& [end, guest] : all) present.push_back(guest);
  const OpenUnits open = open_units(scenario_, pools_->arena, present);

  const std::size_t buckets = static_cast<std::size_t>(
      (engine_->reached().ps + models::kTrafficBucket.ps - 1) / models::kTrafficBucket.ps);
  out.traffic_interval = models::kTrafficBucket;
  for (std::size_t i = 0; i < scenario_.traffic.size(); ++i) {
    const auto& spec = scenario_.traffic[i];
    analysis::TrafficResult r{.name = spec.name,
                              .kind = kind_text(spec.kind),
                              .start = spec.start,
                              .stop = std::min(spec.stop, engine_->reached()),
                              .place = spec.place};
    r.series.resize(buckets);
    for (std::uint32_t p = 0; p < spec.pairs.size(); ++p) {
      const auto& pair = spec.pairs[p];
      analysis::PairResult pr{.from = endpoint_name(pair.from), .to = endpoint_name(pair.to)};
      models::TrafficStats sum;
      for (const auto& end : {pair.from, pair.to}) {
        const auto guest = all.find(end);
        if (guest == all.end()) continue;  // travelling when the run ended
        if (const auto* s = guest->second->pair_stats(static_cast<std::uint32_t>(i), p))
          sum.merge(*s);
        if (pair.from == pair.to) break;
      }
      pr.sent = sum.sent;
      pr.delivered = sum.delivered;
      pr.duplicates = sum.duplicates;
      pr.reordered = sum.reordered;
      if (const auto found = open.find({static_cast<std::uint32_t>(i), p}); found != open.end())
        pr.pending = file_open(found->second, sum, r.series);
      pr.bytes = sum.bytes;
      pr.connections_opened = sum.connections_opened;
      pr.connections_closed = sum.connections_closed;
      pr.connections_lost = sum.connections_lost;
      pr.completed = sum.completed;
      pr.retransmits = sum.retransmits;
      r.pairs.push_back(std::move(pr));
      for (const auto& s : sum.samples) {
        r.samples.push_back({s.at, s.latency, p});
        r.histogram.add(s.latency);
      }
      r.histogram.merge(sum.latency);
      for (const auto& b : sum.series) {
        if (b.index >= r.series.size()) continue;
        auto& point = r.series[b.index];
        point.sent += b.sent;
        point.answered += b.delivered;
        point.delivered += b.delivered;
        point.bytes += b.bytes;
        point.retransmits += b.retransmits;
        point.connections_opened += b.opened;
        point.connections_lost += b.lost;
        point.duplicates += b.duplicates;
      }
    }
    std::stable_sort(r.samples.begin(), r.samples.end(), [](const auto& a, const auto& b) {
      return std::pair(a.at, a.pair) < std::pair(b.at, b.pair);
    });
    out.traffic.push_back(std::move(r));
  }
}

std::string World::where_text(std::size_t node, std::uint32_t where) const {
  const auto& n = *nodes_[node];
  if (hypervisors_[node] != nullptr && where >= 1) {
    if (where == models::kUplinkPort.value) return n.name + ".uplink";
    if (where == models::kLocalPort.value || where == models::kTunnelPort.value) return n.name;
    if (where < models::kUplinkPort.value) return fmt::format("{}.vm-port-{}", n.name, where);
    return n.name;
  }
  return where < n.ports.size() ? n.ports[where].config.name : n.name;
}

namespace {

/// How long an event lasts: none: to the end of the run.
std::optional<Duration> duration_of(const EventSpec& spec) {
  if (spec.fail) return spec.fail->duration;
  if (spec.controller && spec.controller->stop) return spec.controller->duration;
  return Duration{};
}

}  // namespace

std::vector<Time> World::times_of(std::uint32_t event) const {
  std::vector<Time> times;
  if (plan_->events[event].at) times.push_back(*plan_->events[event].at);
  if (director_ != nullptr)
    for (const auto& r : director_->records())
      if (r.event == event) times.push_back(r.at);
  return times;
}

void World::fill_migrations(analysis::Results& out) {
  using models::Phase;
  std::vector<models::PhaseRecord> records;
  for (auto* hv : hypervisors_)
    if (hv != nullptr) records.insert(records.end(), hv->records().begin(), hv->records().end());
  std::stable_sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
    return std::pair(a.at, a.order) < std::pair(b.at, b.order);
  });
  for (std::uint32_t i = 0; i < plan_->events.size(); ++i) {
    const auto& event = plan_->events[i];
    const auto& spec = scenario_.events[i];
    if (!event.move) {
      // Commands that nothing else notes: their own times.
      const std::vector<Time> times = times_of(i);
      const Time reached = engine_->reached();
      const auto lasting = duration_of(spec);
      analysis::EventResult result{.name = event.name, .started = {}, .ended = {}};
      for (const Time at : times) {
        if (at >= reached) continue;
        out.log.push_back(command_entry(i, at, false));
        result.started = at;
        if (lasting && at + *lasting < reached) {
          result.ended = at + *lasting;
          if (lasting->ps > 0) out.log.push_back(command_entry(i, *result.ended, true));
        }
      }
      out.events.push_back(std::move(result));
      if (event.after && times.empty() && reached >= Time{} + scenario_.duration)
        out.warnings.push_back({"event `" + event.name + "` never happened: `" +
                                    plan_->events[event.after->event].name + "` had no phase " +
                                    models::phase_name(event.after->phase),
                                spec.place, "look at the migration's rounds in the summary"});
      continue;
    }
    analysis::MigrationResult m{.name = event.name,
                                .vm = event.move->vm,
                                .from = {},
                                .to = scenario_.underlay.nodes[event.move->to].name,
                                .mode = "pre-copy",
                                .place = spec.place};
    std::optional<Time> paused;
    for (const auto& r : records) {
      if (r.event != i) continue;
      const auto phase = static_cast<Phase>(r.phase);
      const bool round = r.phase >= static_cast<std::uint32_t>(Phase::round);
      if (!m.phases.empty()) m.phases.back().to = r.at;
      if (!m.rounds.empty() && m.rounds.back().to == Time::never()) {
        m.rounds.back().to = r.at;
        m.rounds.back().dirtied = r.dirtied;
      }
      m.phases.push_back({models::phase_name(r.phase), r.at, r.at});
      if (phase == Phase::start) {
        m.started = r.at;
        m.state = analysis::MigrationState::running;
        m.from = scenario_.underlay.nodes[r.node].name;
      } else if (round || phase == Phase::stop_and_copy) {
        m.rounds.push_back({.number = static_cast<std::uint32_t>(m.rounds.size() + 1),
                            .stop_and_copy = !round,
                            .from = r.at,
                            .to = Time::never(),
                            .bytes = r.bytes});
        m.total_bytes += r.bytes;
        if (!round) paused = r.at;
      } else if (phase == Phase::resume) {
        if (paused) m.downtime = r.at - *paused;
      } else if (phase == Phase::done) {
        m.state = analysis::MigrationState::done;
        m.ended = r.at;
      } else if (phase == Phase::failed) {
        m.state = analysis::MigrationState::failed;
        m.failure = r.text;
        if (paused) m.downtime = r.at - *paused;  // it came back
        m.ended = r.at;
      }
      analysis::LogEntry entry{.at = r.at,
                               .order = r.order,
                               .kind = "migration",
                               .object = event.name,
                               .text = fmt::format("{} of {}", models::phase_name(r.phase), m.vm)};
      if (!r.text.empty()) entry.text += ": " + r.text;
      entry.details.push_back({"phase", models::phase_name(r.phase)});
      if (r.bytes > 0) entry.details.push_back({"bytes", static_cast<std::int64_t>(r.bytes)});
      out.log.push_back(std::move(entry));
    }
    for (const auto* hv : hypervisors_)
      if (hv != nullptr) m.packets_lost += hv->packets_lost(i);
    for (auto& round : m.rounds)
      if (round.to == Time::never()) round.to = engine_->reached();
    if (!m.phases.empty() && m.state == analysis::MigrationState::running)
      m.phases.back().to = engine_->reached();
    if (m.state == analysis::MigrationState::waiting && event.at &&
        *event.at < engine_->reached()) {
      m.state = analysis::MigrationState::failed;
      m.failure = "the VM was on no hypervisor when its time came: it was travelling";
    }
    out.events.push_back({.name = m.name, .started = m.started, .ended = m.ended});
    out.migrations.push_back(std::move(m));
  }
}

analysis::LogEntry World::command_entry(std::size_t index, Time at, bool over) const {
  const auto& spec = scenario_.events[index];
  const auto& u = scenario_.underlay;
  analysis::LogEntry entry{.at = at, .order = 0, .kind = "command", .object = spec.name};
  auto name = [&](const auto& what) {
    return what.link ? u.links[*what.link].name : u.nodes[*what.node].name;
  };
  if (over) {
    entry.text = spec.fail ? name(*spec.fail) + " comes back" : "the controller starts";
  } else if (spec.fail) {
    entry.text = name(*spec.fail) + " fails";
    if (spec.fail->duration) entry.text += " for " + format_duration(*spec.fail->duration);
  } else if (spec.heal) {
    entry.text = name(*spec.heal) + " comes back";
  } else if (spec.controller) {
    entry.text = spec.controller->stop ? "the controller stops" : "the controller starts";
    if (spec.controller->duration)
      entry.text += " for " + format_duration(*spec.controller->duration);
  } else if (spec.intent) {
    entry.text = "the desired state changes";
  } else if (spec.policy) {
    entry.text = "the policy of " + scenario_.tenants[spec.policy->tenant].name + " changes";
  }
  return entry;
}

/// For each transaction: from being asked to the last rule that it changed anywhere. One that is
/// not installed everywhere yet (a hypervisor is cut off, the run ended) has no figure, and is
/// counted.
void World::fill_programming(analysis::ControlResult& out) const {
  std::map<std::string, const models::Hypervisor*> by_name;
  for (std::size_t i = 0; i < hypervisors_.size(); ++i)
    if (hypervisors_[i] != nullptr) by_name[scenario_.underlay.nodes[i].name] = hypervisors_[i];
  for (const control::Asked& asked : controller_->asked()) {
    if (asked.hypervisors.empty()) continue;
    std::optional<Time> last = asked.at;
    for (const std::string& name : asked.hypervisors) {
      const auto& installed = by_name.at(name)->installed();
      const auto it = std::find_if(installed.begin(), installed.end(),
                                   [&](const auto& i) { return i.version >= asked.version; });
      if (it == installed.end()) last.reset();
      if (!last) break;
      last = std::max(*last, it->at);
    }
    if (last)
      out.programming.push_back({asked.at, *last - asked.at, 0});
    else
      ++out.unprogrammed;
  }
}

void World::fill_control(analysis::Results& out) {
  const auto count = [&](const models::ControlCounters& counters) {
    out.control.messages += counters.messages;
    out.control.bytes += counters.bytes;
    out.control.lost += counters.lost;
  };
  if (controller_ != nullptr) {
    const auto stats = controller_->total_stats();
    out.control.resyncs = stats.resyncs;
    fill_programming(out.control);
    count(controller_->counters());
    for (const auto& e : controller_->log())
      out.log.push_back({.at = e.at,
                         .order = e.order,
                         .kind = "control",
                         .object = "controller-1",
                         .text = e.text,
                         .details = {}});
  }
  for (std::size_t i = 0; i < hypervisors_.size(); ++i) {
    if (hypervisors_[i] == nullptr) continue;
    count(hypervisors_[i]->control_counters());
    const auto& s = hypervisors_[i]->pipeline().stats();
    out.caches.push_back({.node = scenario_.underlay.nodes[i].name,
                          .lookups = s.packets,
                          .exact_match_hits = s.exact_match_hits,
                          .megaflow_hits = s.megaflow_hits,
                          .slow_path = s.slow_path,
                          .megaflows = s.megaflows,
                          .masks = s.masks,
                          .connections = s.connections,
                          .rules = s.rules,
                          .tuples = s.tuples_searched + s.exact_match_hits});
  }
}

void World::check_invariants() {
  // Conservation: what was created and has no verdict is what somebody holds, no more and no less.
  std::uint64_t created = 0, ended = 0;
  for (const auto* n : nodes_) {
    created += n->ledger.created;
    ended += n->ledger.delivered + n->ledger.consumed + n->ledger.dropped;
  }
  WEFT_CHECK(ended <= created, "conservation: by {} {} packets had ended of {} created",
             format_time(engine_->reached()), ended, created);
  WEFT_CHECK(created - ended == pools_->in_use(),
             "conservation: by {} {} packets had no verdict yet, but {} exist",
             format_time(engine_->reached()), created - ended, pools_->in_use());
  // One place per VM.
  std::map<std::string, std::string> places;
  for (std::size_t i = 0; i < hypervisors_.size(); ++i) {
    if (hypervisors_[i] == nullptr) continue;
    for (const models::Vm* vm : std::as_const(*hypervisors_[i]).vms()) {
      const auto [it, fresh] = places.emplace(vm->name, scenario_.underlay.nodes[i].name);
      WEFT_CHECK(fresh, "by {} {} was on {} and on {}", format_time(engine_->reached()), vm->name,
                 it->second, scenario_.underlay.nodes[i].name);
    }
  }
}

}  // namespace weft::scenarios
