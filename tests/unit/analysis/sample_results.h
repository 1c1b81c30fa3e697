// A made-up run with something in every section: what the outputs are tested on.
#pragma once

#include "analysis/results.h"

namespace weft::analysis {

inline Time at_ms(std::int64_t ms) { return Time{} + milliseconds(ms); }

inline void sample_topology(Results& r) {
  for (int s = 1; s <= 2; ++s) {
    r.nodes.push_back({.name = "spine-" + std::to_string(s), .kind = "spine", .layer = 0});
  }
  for (int l = 1; l <= 4; ++l) {
    r.nodes.push_back({.name = "leaf-" + std::to_string(l), .kind = "leaf", .layer = 1});
  }
  for (int l = 1; l <= 4; ++l) {
    for (int h = 1; h <= 4; ++h) {
      r.nodes.push_back({.name = "hv-" + std::to_string(l) + "-" + std::to_string(h),
                         .kind = "hypervisor",
                         .layer = 2,
                         .address = "172.16." + std::to_string(l) + "." + std::to_string(h)});
    }
  }
  const auto link = [&](std::size_t a, std::size_t b, std::uint64_t rate) {
    LinkResult x;
    x.name = r.nodes[a].name + "--" + r.nodes[b].name;
    x.a = a, x.b = b, x.rate_bps = rate, x.queue_bytes = 1'000'000;
    for (std::size_t d = 0; d < 2; ++d) {
      LinkDirection& w = x.directions[d];
      w.from = d == 0 ? a : b;
      w.to = d == 0 ? b : a;
      for (std::uint64_t i = 0; i < 100; ++i) {
        const bool moving = i >= 20 && i < 48 && (a == 2 || a == 4);
        const std::uint64_t load = rate / 8 / 10 * (moving ? 60 : (a * 7 + b * 5 + i) % 11) / 100;
        w.series.push_back({load / 1500, load, moving && i == 21 ? 7u : 0u, load / 500});
        w.packets += load / 1500;
        w.bytes += load;
        w.drops += w.series.back().drops;
        w.peak_queue_bytes = std::max(w.peak_queue_bytes, load / 500);
      }
    }
    r.links.push_back(x);
  };
  for (std::size_t l = 2; l < 6; ++l) {
    for (std::size_t s = 0; s < 2; ++s) link(l, s, 100'000'000'000);
  }
  for (std::size_t h = 6; h < 22; ++h) link(2 + (h - 6) / 4, h, 25'000'000'000);
  for (int i = 1; i <= 4; ++i) {
    const auto host = static_cast<std::size_t>(2 + 4 * i);
    r.vms.push_back(
        {"shop/web-" + std::to_string(i), "shop", {"10.0.1.1" + std::to_string(i)}, host, host});
    r.vms.push_back({"shop/app-" + std::to_string(i),
                     "shop",
                     {"10.0.2.1" + std::to_string(i)},
                     i == 1 ? 7u : host + 1,
                     i == 1 ? 15u : host + 1});
  }
  r.vms.push_back({"shop/db-1", "shop", {"10.0.3.2"}, 9, 9});
}

inline void sample_traffic(Results& r) {
  TrafficResult rpc{.name = "shopping", .kind = "rpc", .start = at_ms(100), .stop = at_ms(10'000)};
  rpc.place = {"three-tier-migration.yaml", 42, 5};
  for (int a = 1; a <= 4; ++a) {
    for (int b = 1; b <= 4; ++b) {
      rpc.pairs.push_back({.from = "shop/web-" + std::to_string(a),
                           .to = "shop/app-" + std::to_string(b),
                           .sent = 1980,
                           .delivered = 1979,
                           .pending = 1,
                           .bytes = 1979 * 16'000,
                           .connections_opened = 1,
                           .completed = 1979,
                           .retransmits = b == 1 ? 14u : 0u});
    }
  }
  for (int i = 0; i < 1000; ++i) {
    TrafficPoint p;
    if (i >= 10) {
      const bool down = i >= 278 && i < 281;
      p.sent = 32;
      p.delivered = down ? 24 : i == 281 ? 56 : 32;
      p.answered = 32;
      p.bytes = p.delivered * 16'000;
      p.retransmits = down ? 5 : 0;
    }
    rpc.series.push_back(p);
    for (std::uint32_t k = 0; i >= 10 && k < 4; ++k) {
      const bool slow = i >= 278 && i < 282 && k == 0;
      const Duration d = slow ? milliseconds(31 - (i - 278) * 7)
                              : microseconds(80 + (i * 37 + static_cast<int>(k) * 11) % 60);
      rpc.samples.push_back({at_ms(10 * i + static_cast<int>(k)) + d, d, k});
      rpc.histogram.add(d);
    }
  }
  r.traffic.push_back(rpc);

  TrafficResult ping{.name = "probing", .kind = "ping", .start = Time{}, .stop = at_ms(10'000)};
  ping.pairs.push_back({.from = "shop/web-1", .to = "shop/db-1", .sent = 1000});
  for (int i = 0; i < 1000; ++i) ping.series.push_back({.sent = 1});
  r.traffic.push_back(ping);
}

inline void sample_migration(Results& r) {
  MigrationResult m{.name = "move-1",
                    .vm = "shop/app-1",
                    .from = "hv-1-2",
                    .to = "hv-3-2",
                    .mode = "pre-copy",
                    .state = MigrationState::done,
                    .started = at_ms(2000),
                    .ended = at_ms(4811)};
  m.rounds = {{1, false, at_ms(2000), at_ms(3400), 4'294'967'296, 56'000'000},
              {2, false, at_ms(3400), at_ms(3420), 56'000'000, 800'000},
              {3, true, at_ms(3420), at_ms(3451), 800'000, 0}};
  m.phases = {{"start", at_ms(2000), at_ms(2000)},   {"round-1", at_ms(2000), at_ms(3400)},
              {"round-2", at_ms(3400), at_ms(3420)}, {"stop-and-copy", at_ms(3420), at_ms(3451)},
              {"resume", at_ms(3451), at_ms(3451)},  {"done", at_ms(4811), at_ms(4811)}};
  m.total_bytes = 4'351'767'296;
  m.downtime = milliseconds(31) + microseconds(250);
  m.packets_lost = 9;
  m.place = {"three-tier-migration.yaml", 46, 5};
  r.migrations.push_back(m);
}

inline Results sample_results() {
  Results r;
  r.identity = {.scenario = "three-tier-migration",
                .description = "A three-tier tenant whose app server moves.",
                .file = "scenarios/library/three-tier-migration.yaml",
                .source = "name: three-tier-migration\n",
                .overrides = {"overlay.encapsulation=vxlan"},
                .seed = 7,
                .version = "0.1.0",
                .threads = 2,
                .planned = seconds(10),
                .reached = at_ms(10'000)};
  r.engine = {.events = 38'612'345,
              .windows = 912'345,
              .lookahead = microseconds(1) + nanoseconds(7),
              .logical_processes = 23,
              .workers = {{19'612'345, 12}, {19'000'000, 11}}};
  r.wall = {.setup_ns = 52'000'000, .run_ns = 3'211'000'000, .peak_rss_bytes = 123'456'789};
  r.totals = {.created = 250'000,
              .delivered = 148'990,
              .consumed = 100'000,
              .dropped = 1'009,
              .in_flight = 1,
              .packet_hops = 1'234'567,
              .by_reason = {{"queue.full", 7}, {"policy", 1'000}, {"vm.paused", 2}}};
  sample_topology(r);
  sample_traffic(r);
  r.drops = {
      {"probing", "policy", "policy.default", "shop", {"three-tier-migration.yaml", 31, 7}, 1'000},
      {"shopping", "queue.full", "", "", {}, 7},
      {"shopping", "vm.paused", "", "shop", {}, 2}};
  for (int i = 0; i < 1000; ++i) {
    r.drop_entries.push_back({at_ms(10 * i), 5, static_cast<std::uint64_t>(i) + 77, 0, "hv-1-1", 98,
                              "10.0.1.11 > 10.0.3.2 icmp echo request"});
  }
  sample_migration(r);
  r.caches = {{"hv-1-1", 100'000, 97'100, 2'800, 100, 31, 9, 16, 412},
              {"hv-1-2", 50'000, 49'000, 990, 10, 12, 7, 4, 380}};
  r.control = {.messages = 1'234,
               .bytes = 345'678,
               .resyncs = 0,
               .programming = {{at_ms(1), microseconds(410), 0}, {at_ms(2), microseconds(950), 0}}};
  r.log = {{at_ms(2000),
            1,
            "migration",
            "move-1",
            "shop/app-1 starts to move",
            {{"bytes", std::int64_t{4'294'967'296}}}},
           {at_ms(3400), 9, "link", "leaf-1--spine-1", "fails", {{"for", std::string("500ms")}}}};
  r.warnings = {{"the tunnel needs 9058 bytes but the underlay's MTU is 9000",
                 {"three-tier-migration.yaml", 3, 1},
                 ""}};
  r.captures = {
      {"hv-1-1.uplink", "udp port 6081", "captures/hv-1-1.uplink.pcapng", 4'321, 654'321, ""}};
  r.expectations = {{"migration move-1: downtime <= 300ms",
                     true,
                     "downtime 31.3 ms",
                     "2 s - 4.811 s",
                     {"three-tier-migration.yaml", 56, 5}},
                    {"traffic shopping: connections_lost 0, p99 <= 5ms, during move-1",
                     false,
                     "p99 31 ms of 1 128 samples",
                     "during move-1 (2 s - 4.811 s); slowest at 2.811 s, shop/web-1 to shop/app-1",
                     {"three-tier-migration.yaml", 57, 5}},
                    {"traffic probing: sent >= 100, delivered 0, dropped by policy.default",
                     true,
                     "sent 1 000, delivered 0; policy.default dropped 1 000",
                     "",
                     {"three-tier-migration.yaml", 58, 5}}};
  r.digest = "0123456789abcdef0123456789abcdef";
  r.chains = {{"hv-1-1", "aa", 100}, {"leaf-1", "bb", 200}};
  return r;
}

}  // namespace weft::analysis
