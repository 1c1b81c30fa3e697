// Guests with applications: every kind of traffic, its statistics, and moving in the middle of it.
#include "tests/catch.h"
#include "tests/unit/models/guest_world.h"

using namespace weft;
using namespace weft::models;
using namespace weft::models::test;

namespace {

IpAddress address(bool six, std::size_t n) {
  return six ? IpAddress(ip6_of(n)) : IpAddress(ip4_of(n));
}

ClientConfig client(AppKind kind, bool six) {
  ClientConfig c;
  c.kind = kind;
  c.name = "traffic/test";
  c.remote = address(six, 2);
  c.port = 80;
  c.start = Time{} + milliseconds(100);
  return c;
}
PeerConfig peer_of(const ClientConfig& c, bool six) {
  PeerConfig p;
  p.traffic = c.traffic;
  p.pair = c.pair;
  p.kind = c.kind;
  p.port = c.port;
  p.client = address(six, 1);
  p.size = c.size;
  p.request = c.request;
  p.response = c.response;
  p.count_from = c.start + c.warmup;
  return p;
}

struct Two {
  Two(const ClientConfig& c, bool six, std::uint64_t seed = 1)
      : world(seed),
        a({net_of(1), {c}, {}}),
        b({net_of(2), {}, {peer_of(c, six)}}),
        end_a(world.end()),
        end_b(world.end()) {
    plug(a, end_a);
    plug(b, end_b);
  }
  const TrafficStats& at_a() { return *a.stats()[0]; }
  const TrafficStats& at_b() { return *b.stats()[0]; }
  TrafficStats sum() {
    TrafficStats s = at_a();
    if (!b.stats().empty()) s.merge(at_b());
    return s;
  }
  World world;
  Guest a, b;
  End& end_a;
  End& end_b;
};

void check_series(const TrafficStats& s) {
  std::uint64_t sent = 0, delivered = 0, bytes = 0, opened = 0, lost = 0, retransmits = 0;
  std::int64_t last = -1;
  for (const TrafficBucket& b : s.series) {
    CHECK(static_cast<std::int64_t>(b.index) > last);
    last = b.index;
    sent += b.sent;
    delivered += b.delivered;
    bytes += b.bytes;
    opened += b.opened;
    lost += b.lost;
    retransmits += b.retransmits;
  }
  CHECK(sent == s.sent);
  CHECK(delivered == s.delivered);
  CHECK(bytes == s.bytes);
  CHECK(opened == s.connections_opened);
  CHECK(lost == s.connections_lost);
  CHECK(retransmits <= s.retransmits);
}

}  // namespace

TEST_CASE("apps: ping", "[guest][apps]") {
  const bool six = GENERATE(false, true);
  ClientConfig c = client(AppKind::ping, six);
  c.interval = milliseconds(10);
  c.count = 50;
  c.warmup = milliseconds(95);  // the first ten are not counted
  Two t(c, six);
  t.end_b.wire.duplicate_ppb = 100'000'000;
  t.world.run(seconds(2));
  CHECK(t.at_a().sent == 40);
  CHECK(t.at_a().delivered == 40);
  CHECK(t.at_a().duplicates > 0);
  REQUIRE(t.at_a().samples.size() == 40);
  CHECK(t.at_a().samples[5].latency == microseconds(20));
  check_series(t.at_a());
  CHECK(t.world.settled());
}

TEST_CASE("apps: udp counts loss, duplicates and reordering exactly", "[guest][apps]") {
  const bool six = GENERATE(false, true);
  const bool poisson = GENERATE(false, true);
  ClientConfig c = client(AppKind::udp, six);
  c.size = 1000;
  c.rate = {100'000'000};
  c.poisson = poisson;
  c.stop = c.start + seconds(1);
  Two t(c, six);
  t.end_a.wire.loss_ppb = 50'000'000;
  t.end_a.wire.duplicate_ppb = 20'000'000;
  t.end_a.wire.reorder_ppb = 10'000'000;
  t.end_a.wire.reorder_by = milliseconds(1);
  t.world.run(seconds(3));
  const double expected = 1e8 / 8 / (1000 + (six ? 48 : 28));
  const TrafficStats s = t.sum();
  CHECK(static_cast<double>(s.sent) > expected * 0.95);
  CHECK(static_cast<double>(s.sent) < expected * 1.05);
  CHECK(s.sent - s.delivered == t.end_a.lost);
  CHECK(s.duplicates == t.world.duplicated);
  CHECK(s.reordered > 0);
  CHECK(s.bytes == s.delivered * 1000);
  CHECK(s.latency.count == s.delivered);
  CHECK(s.latency.min_ps == microseconds(10).ps);
  // All but the one in a hundred that was held back (and datagrams queue behind nothing).
  CHECK(s.latency.buckets[LatencyHistogram::bucket_of(microseconds(10).ps)] * 100 >
        s.delivered * 95);
  CHECK(s.latency.max_ps == (milliseconds(1) + microseconds(10)).ps);
  CHECK(s.integrity_faults == 0);
  check_series(s);
  CHECK(t.world.settled());
}

TEST_CASE("apps: bulk transfers one after another", "[guest][apps]") {
  const bool six = GENERATE(false, true);
  ClientConfig c = client(AppKind::bulk, six);
  c.size = 500'000;
  c.repeat = 5;
  Two t(c, six);
  t.end_a.wire.loss_ppb = 10'000'000;
  t.world.run(seconds(60));
  const TrafficStats s = t.sum();
  CHECK(s.sent == 5);
  CHECK(s.delivered == 5);
  CHECK(s.connections_opened == 5);
  CHECK(s.connections_closed == 5);
  CHECK(s.connections_lost == 0);
  CHECK(s.bytes == 2'500'000);
  CHECK(s.retransmits > 0);
  CHECK(s.samples.size() == 5);
  check_series(s);
  CHECK(t.world.settled());
}

TEST_CASE("apps: rpc, open loop over one connection", "[guest][apps]") {
  const bool six = GENERATE(false, true);
  ClientConfig c = client(AppKind::rpc, six);
  c.request = 500;
  c.response = 16'000;
  c.frequency = {200'000};
  c.stop = c.start + seconds(1);
  Two t(c, six);
  t.world.run(seconds(5));
  const TrafficStats s = t.sum();
  CHECK(s.sent == 200);
  CHECK(s.delivered == 200);
  CHECK(s.connections_opened == 1);
  CHECK(s.connections_closed == 1);
  CHECK(s.bytes == 200 * 16'500);
  REQUIRE(s.samples.size() == 200);
  for (std::size_t i = 1; i < 200; ++i) CHECK(s.samples[i].latency < milliseconds(1));
  check_series(s);
  CHECK(t.world.settled());
}

TEST_CASE("apps: an rpc connection that is lost is opened again", "[guest][apps]") {
  ClientConfig c = client(AppKind::rpc, false);
  c.request = c.response = 100;
  c.frequency = {100'000};
  c.stop = c.start + seconds(10);
  Two t(c, false);
  t.world.run(seconds(2));
  // The other guest is replaced by one that has never heard of the connection: it resets.
  unplug(t.b, t.end_b);
  Guest fresh({net_of(2), {}, {peer_of(c, false)}});
  plug(fresh, t.end_b);
  t.world.run(seconds(10));
  const TrafficStats& s = t.at_a();
  CHECK(s.connections_lost == 1);
  CHECK(s.connections_opened == 2);
  CHECK(s.sent == 1000);
  CHECK(s.delivered < 1000);
  CHECK(s.delivered > 800);
  CHECK(s.integrity_faults == 0);
}

TEST_CASE("apps: traffic that nobody lets through says so", "[guest][apps]") {
  const AppKind kind = GENERATE(AppKind::ping, AppKind::udp, AppKind::bulk, AppKind::rpc);
  ClientConfig c = client(kind, false);
  c.interval = milliseconds(10);
  c.rate = {1'000'000};
  c.frequency = {100'000};
  c.size = 1000;
  Two t(c, false);
  t.end_a.filter = [](const Packet& p) { return p.data()[13] == 6; };  // ARP alone
  t.world.run(seconds(3));
  const TrafficStats s = t.sum();
  CHECK(s.sent > 0);
  CHECK(s.delivered == 0);
  CHECK(s.connections_opened == 0);
}

TEST_CASE("apps: scan tells open, refused and filtered ports", "[guest][apps]") {
  ClientConfig c = client(AppKind::scan, false);
  c.interval = milliseconds(1);
  c.scan_first = 75;
  c.scan_last = 94;
  ClientConfig server = client(AppKind::rpc, false);
  World world;
  Guest a({net_of(1), {c}, {}}), b({net_of(2), {}, {peer_of(server, false)}});
  End& end_a = world.end();
  End& end_b = world.end();
  plug(a, end_a);
  plug(b, end_b);
  // Ports from 90 on are filtered on the way.
  end_a.filter = [](const Packet& p) {
    if (p.data()[13] != 0 || p.data()[23] != 6) return true;
    return wire::view<wire::TcpHeader>(p.headers(), 34)->dst_port < 90;
  };
  world.run(seconds(10));
  const TrafficStats& s = *a.stats()[0];
  CHECK(s.sent == 20);
  CHECK(s.ports_open == 1);
  CHECK(s.ports_refused == 14);
  CHECK(s.ports_filtered == 5);
  CHECK(s.delivered == 15);
  CHECK(a.stack().connections() == 0);
  CHECK(b.stack().connections() == 0);
  CHECK(world.settled());
}

TEST_CASE("guest: connections survive a move in the middle of a transfer", "[guest][apps]") {
  const bool six = GENERATE(false, true);
  const int pause_ms = GENERATE(1, 50, 300, 2000);
  const bool move_server = GENERATE(false, true);
  ClientConfig bulk = client(AppKind::bulk, six);
  bulk.size = 50'000'000;
  ClientConfig rpc = client(AppKind::rpc, six);
  rpc.traffic = 1;
  rpc.port = 81;
  rpc.request = 100;
  rpc.response = 1000;
  rpc.frequency = {1'000'000};
  rpc.stop = rpc.start + seconds(3);
  ClientConfig udp = client(AppKind::udp, six);
  udp.traffic = 2;
  udp.port = 82;
  udp.size = 100;
  udp.rate = {1'000'000};
  udp.stop = udp.start + seconds(3);
  World world;
  Guest a({net_of(1), {bulk, rpc, udp}, {}});
  Guest b({net_of(2), {}, {peer_of(bulk, six), peer_of(rpc, six), peer_of(udp, six)}});
  End& end_a = world.end();
  End& end_b = world.end();
  End& elsewhere = world.end();
  for (End* e : {&end_a, &end_b, &elsewhere}) {
    e->wire.rate = {1'000'000'000};
    e->wire.queue = 200'000;  // 1.6 ms
  }
  plug(a, end_a);
  plug(b, end_b);
  world.run(milliseconds(250));
  Guest& moved = move_server ? b : a;
  unplug(moved, move_server ? end_b : end_a);
  world.run(milliseconds(pause_ms));
  Guest arrived = std::move(moved);  // a value
  plug(arrived, elsewhere);
  arrived.announce();
  world.run(seconds(60));
  const Guest& sender = move_server ? a : arrived;
  const Guest& sink = move_server ? arrived : b;
  TrafficStats s[3];
  for (std::size_t i = 0; i < 3; ++i) {
    s[i] = *sender.stats()[i];
    s[i].merge(*sink.stats()[i]);
    CHECK(s[i].connections_lost == 0);
    CHECK(s[i].integrity_faults == 0);
    check_series(s[i]);
  }
  CHECK(s[0].delivered == 1);
  CHECK(s[0].bytes == 50'000'000);
  CHECK(s[0].connections_closed == 1);
  CHECK(s[1].delivered == s[1].sent);
  CHECK(s[1].sent > (move_server ? 2900 : 900));
  CHECK(s[2].delivered + 5 >= s[2].sent - (move_server ? s[2].sent : 0));
  const int rate = six ? 844 : 977;  // datagrams of 148 or 128 bytes in 1 Mb/s
  if (!move_server) {
    // The sender's clock stood still: it did not burst afterwards.
    CHECK(static_cast<int>(s[2].sent) <= rate * (3000 - pause_ms) / 1000 + 5);
  } else {
    // What was sent to the paused guest is lost, nothing else.
    const auto lost = static_cast<int>(s[2].sent - s[2].delivered);
    INFO("paused for " << pause_ms << " ms, lost " << lost);
    CHECK(std::abs(lost - rate * pause_ms / 1000) <= 11);
  }
  CHECK(world.settled());
}

TEST_CASE("guest: two runs are the same, packet for packet", "[guest][apps]") {
  auto run = [](std::uint64_t seed) {
    ClientConfig c = client(AppKind::rpc, false);
    c.request = 3000;
    c.response = 20'000;
    c.frequency = {300'000};
    c.poisson = true;
    Two t(c, false, seed);
    t.end_a.wire.loss_ppb = t.end_b.wire.loss_ppb = 30'000'000;
    t.end_a.record = t.end_b.record = true;
    t.world.run(seconds(1));
    Chain128 chain;
    for (End* e : {&t.end_a, &t.end_b})
      for (const auto& f : e->sent) chain.add_bytes(std::as_bytes(std::span(f)));
    chain.add(t.at_a().delivered, t.world.steps);
    return chain.text();
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("guest: wrong content is an internal fault, or counted", "[guest][apps]") {
  const bool check = GENERATE(true, false);
  ClientConfig c = client(AppKind::udp, false);
  c.rate = {1'000'000};
  c.size = 1000;
  World world;
  Guest a({net_of(1), {c}, {}, check}), b({net_of(2), {}, {peer_of(c, false)}, check});
  End& end_a = world.end();
  End& end_b = world.end();
  plug(a, end_a);
  plug(b, end_b);
  int n = 0;
  end_b.receive = [&](Packet* p) {
    if (p->payload.size() == 1000 && ++n == 5) {  // a mix-up that the checksum does not see
      p->payload = Payload::stream(p->payload.stream_id(), p->payload.offset() + 2, 1000);
      finish_l4_checksum(*p, 14);
    }
    b.receive(p);
  };
  if (check) {
    CHECK_THROWS_AS(world.run(seconds(1)), InternalFault);
  } else {
    world.run(seconds(1));
    CHECK(b.stats()[0]->integrity_faults == 1);
  }
}
