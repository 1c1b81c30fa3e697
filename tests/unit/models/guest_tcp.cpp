// TCP over a wire that the test controls: scripted cases and transfers under random trouble.
#include "tests/catch.h"
#include "tests/unit/models/guest_world.h"

using namespace weft;
using namespace weft::models;
using namespace weft::models::test;

namespace {

constexpr std::uint64_t kStream = 77;

bool is_tcp(const Packet& p) {
  const auto* ethernet = wire::view<wire::EthernetHeader>(p.headers());
  if (ethernet->type == wire::kEtherIpv4) return p.data()[23] == wire::kProtoTcp;
  return ethernet->type == wire::kEtherIpv6 && p.data()[20] == wire::kProtoTcp;
}
std::uint32_t data_of(const Packet& p) { return is_tcp(p) ? p.payload.size() : 0; }

struct Pair {
  explicit Pair(std::uint64_t seed = 1, NetConfig a_config = net_of(1),
                NetConfig b_config = net_of(2))
      : world(seed), a(world, std::move(a_config)), b(world, std::move(b_config)) {
    server.stream = kStream;
    b.stack.listen(80, &server);
  }
  TcpConnection& connect(bool six = false) {
    client.connection =
        a.stack.connect(six ? IpAddress(ip6_of(2)) : IpAddress(ip4_of(2)), 80, &client);
    REQUIRE(client.connection != nullptr);
    return *client.connection;
  }
  void send(std::uint64_t bytes) {
    std::uint64_t at = client.connection->sent_total();
    for (; bytes > 0;) {
      const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, 1u << 30));
      client.connection->send(Payload::stream(kStream, at, n));
      at += n;
      bytes -= n;
    }
  }
  World world;
  Host a, b;
  Peer client, server;
};

}  // namespace

TEST_CASE("tcp: handshake, transfer and close, IPv4 and IPv6", "[tcp]") {
  const bool six = GENERATE(false, true);
  Pair t;
  t.connect(six);
  t.world.run(milliseconds(1));
  CHECK(t.client.connected == 1);
  CHECK(t.server.connected == 1);
  CHECK(t.client.connection->mss() == (six ? 1440 : 1460));
  t.send(1'000'000);
  t.client.connection->close();
  t.world.run(seconds(1));
  CHECK(t.server.received == 1'000'000);
  CHECK(t.server.mismatches == 0);
  CHECK(t.client.acknowledged == 1'000'000);
  CHECK(t.server.peer_closed == 1);
  CHECK(t.client.closed == 1);
  CHECK(t.server.closed == 1);
  CHECK(t.client.end == TcpEnd::normal);
  CHECK(t.server.end == TcpEnd::normal);
  CHECK(t.a.stack.stats().tcp_retransmits == 0);
  CHECK(t.a.stack.connections() == 1);  // TIME_WAIT at the side that closed first
  CHECK(t.b.stack.connections() == 0);
  t.world.run(seconds(61));
  CHECK(t.a.stack.connections() == 0);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: a closed port refuses at once", "[tcp]") {
  Pair t;
  t.client.connection = t.a.stack.connect(ip4_of(2), 81, &t.client);
  t.world.run(milliseconds(1));
  CHECK(t.client.closed == 1);
  CHECK(t.client.end == TcpEnd::refused);
  CHECK(t.b.drops(DropReason::no_listener) == 1);
  t.server.refuse = true;
  t.client = Peer{};
  t.connect();
  t.world.run(milliseconds(1));
  CHECK(t.client.end == TcpEnd::refused);
  CHECK(t.b.stack.connections() == 0);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: SYNs go out again after 1, 2, 4 s ... and then the connection is lost", "[tcp]") {
  Pair t;
  t.a.stack.add_static_neighbour(ip4_of(2), mac_of(2));
  std::vector<std::int64_t> at;
  t.a.end.filter = [&](const Packet&) {
    at.push_back(t.world.time.ps / milliseconds(1).ps);
    return false;
  };
  t.connect();
  t.world.run(seconds(300));
  CHECK(at == std::vector<std::int64_t>{0, 1000, 3000, 7000, 15000, 31000, 63000});
  CHECK(t.client.end == TcpEnd::timed_out);
  CHECK(t.client.closed == 1);
}

TEST_CASE("tcp: a lost SYN-ACK is sent again", "[tcp]") {
  Pair t;
  int n = 0;
  t.b.end.filter = [&](const Packet& p) { return !is_tcp(p) || ++n != 1; };
  t.connect();
  t.world.run(seconds(3));
  CHECK(t.client.connected == 1);
  CHECK(t.server.connected == 1);
  CHECK(t.server.accepted == 1);
  t.send(10'000);
  t.world.run(seconds(1));
  CHECK(t.server.received == 10'000);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: both sides open at the same time", "[tcp]") {
  // Two active opens that cross: both ports must be known, so one side's SYN is made to look like
  // an active open by connecting from both with a listener on neither.
  World world;
  Host a(world, 1), b(world, 2);
  a.stack.add_static_neighbour(ip4_of(2), mac_of(2));
  b.stack.add_static_neighbour(ip4_of(1), mac_of(1));
  Peer pa, pb;
  pa.connection = a.stack.connect(ip4_of(2), 32768, &pa);
  pb.connection = b.stack.connect(ip4_of(1), 32768, &pb);
  REQUIRE(pa.connection->local_port() == 32768);
  REQUIRE(pb.connection->local_port() == 32768);
  world.run(seconds(1));
  CHECK(pa.connected == 1);
  CHECK(pb.connected == 1);
  pa.connection->send(Payload::stream(5, 0, 3000));
  pb.connection->send(Payload::stream(6, 0, 3000));
  pa.connection->close();
  pb.connection->close();  // simultaneous close as well
  world.run(seconds(1));
  CHECK(pa.received == 3000);
  CHECK(pb.received == 3000);
  CHECK(pa.end == TcpEnd::normal);
  CHECK(pb.end == TcpEnd::normal);
  world.run(seconds(61));
  CHECK(a.stack.connections() + b.stack.connections() == 0);
  CHECK(world.settled());
}

TEST_CASE("tcp: retransmission timer by RFC 6298", "[tcp]") {
  Pair t;
  t.connect();
  t.world.run(milliseconds(10));
  // RTT 20 us + ARP: the minimum rules.
  CHECK(t.client.connection->rto() == milliseconds(200));
  std::vector<std::int64_t> at;
  const Time start = t.world.time;
  t.a.end.filter = [&](const Packet& p) {
    if (data_of(p) > 0) at.push_back((t.world.time - start) / milliseconds(1));
    return false;
  };
  t.send(100);
  t.world.run(seconds(3));
  CHECK(at == std::vector<std::int64_t>{0, 200, 600, 1400, 3000});
  CHECK(t.client.connection->congestion_window() == 1460);
  t.a.end.filter = nullptr;
  t.world.run(seconds(4));
  CHECK(t.server.received == 100);
  // Karn: the acknowledgement of a segment that was sent twice is no sample, the backoff stays ...
  CHECK(t.client.connection->rto() == milliseconds(6400));
  t.send(100);
  t.world.run(seconds(1));
  // ... until one that was sent once is acknowledged.
  CHECK(t.client.connection->rto() == milliseconds(200));
}

TEST_CASE("tcp: SRTT and RTTVAR follow the samples", "[tcp]") {
  NetConfig ca = net_of(1), cb = net_of(2);
  ca.tcp.min_rto = cb.tcp.min_rto = microseconds(1);
  Pair t(1, ca, cb);
  t.a.stack.add_static_neighbour(ip4_of(2), mac_of(2));
  t.b.stack.add_static_neighbour(ip4_of(1), mac_of(1));
  t.a.end.wire.delay = t.b.end.wire.delay = milliseconds(50);
  t.connect();
  t.world.run(milliseconds(150));
  // First sample R = 100 ms: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR.
  CHECK(t.client.connection->smoothed_rtt() == milliseconds(100));
  CHECK(t.client.connection->rto() == milliseconds(300));
  t.a.end.wire.delay = milliseconds(130);  // R' = 180 ms
  t.send(100);
  t.world.run(milliseconds(500));
  CHECK(t.client.connection->smoothed_rtt() == milliseconds(110));
  CHECK(t.client.connection->rto() == milliseconds(110) + microseconds(57'500) * 4);
}

TEST_CASE("tcp: the n-th segment is lost and comes again by fast retransmit", "[tcp]") {
  const int nth = GENERATE(1, 2, 3, 4, 5, 7, 10, 20, 50);
  Pair t;
  t.connect();
  t.world.run(milliseconds(1));
  int n = 0;
  t.a.end.filter = [&](const Packet& p) { return data_of(p) == 0 || ++n != nth; };
  t.send(200'000);
  t.world.run(milliseconds(150));  // no timer of 200 ms has run
  CHECK(t.server.received == 200'000);
  CHECK(t.server.mismatches == 0);
  CHECK(t.client.connection->counters().fast_retransmits == 1);
  CHECK(t.client.connection->counters().timeouts == 0);
  CHECK(t.client.connection->counters().retransmits == 1);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: several losses in one window are mended one round trip each", "[tcp]") {
  Pair t;
  t.connect();
  t.world.run(milliseconds(1));
  int n = 0;
  t.a.end.filter = [&](const Packet& p) {
    if (data_of(p) == 0) return true;
    ++n;
    return n != 30 && n != 32 && n != 35;
  };
  t.send(200'000);
  t.world.run(milliseconds(150));
  CHECK(t.server.received == 200'000);
  CHECK(t.client.connection->counters().fast_retransmits == 1);
  CHECK(t.client.connection->counters().retransmits == 3);
  CHECK(t.client.connection->counters().timeouts == 0);
}

TEST_CASE("tcp: reordering below three segments causes no retransmission", "[tcp]") {
  Pair t;
  t.connect();
  t.world.run(milliseconds(1));
  int n = 0;
  t.send(1'000);
  t.world.run(milliseconds(1));
  t.a.end.wire.rate = {1'000'000'000};
  // Segment 5 is held back by one and a half segment times.
  t.a.end.filter = [&](const Packet& p) {
    if (data_of(p) > 0) ++n;
    t.a.end.wire.delay = n == 5 && data_of(p) > 0 ? microseconds(28) : microseconds(10);
    return true;
  };
  t.send(14'600);
  t.world.run(milliseconds(100));
  CHECK(t.server.received == 15'600);
  CHECK(t.client.connection->counters().retransmits == 0);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: delayed acknowledgements: two segments or 40 ms", "[tcp]") {
  NetConfig cb = net_of(2);
  cb.tcp.quick_acks = 0;
  Pair t(1, net_of(1), cb);
  t.connect();
  t.world.run(milliseconds(1));
  t.send(100);
  t.world.run(milliseconds(30));
  CHECK(t.client.acknowledged == 0);
  t.world.run(milliseconds(15));
  CHECK(t.client.acknowledged == 100);
  t.send(2 * 1460);
  t.world.run(milliseconds(1));
  CHECK(t.client.acknowledged == 100 + 2 * 1460);
}

TEST_CASE("tcp: a closed window is probed and opens again", "[tcp]") {
  NetConfig cb = net_of(2);
  cb.tcp.receive_buffer = 20'000;
  Pair t(1, net_of(1), cb);
  t.connect();
  t.world.run(milliseconds(1));
  t.server.connection->set_reading(false);
  t.send(100'000);
  t.world.run(seconds(10));
  CHECK(t.server.received == 0);
  CHECK(t.client.acknowledged <= 20'000);
  CHECK(t.client.acknowledged > 17'000);
  // The window update is lost: the probe finds out.
  bool lose = true;
  t.b.end.filter = [&](const Packet&) { return !lose; };
  t.server.connection->set_reading(true);
  lose = false;
  t.world.run(seconds(60));
  CHECK(t.server.received == 100'000);
  CHECK(t.server.mismatches == 0);
  CHECK(t.client.closed == 0);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: abort resets the other side; a blind reset does not", "[tcp]") {
  Pair t;
  t.connect();
  t.world.run(milliseconds(1));
  SECTION("abort") {
    t.client.connection->abort();
    CHECK(t.client.end == TcpEnd::aborted);
    t.world.run(milliseconds(1));
    CHECK(t.server.end == TcpEnd::reset);
    CHECK(t.a.stack.connections() + t.b.stack.connections() == 0);
  }
  SECTION("a reset with a number inside the window but not the next is challenged") {
    // The last frame of a with the flags of a reset and a number a little ahead.
    t.a.end.record = true;
    t.send(100);
    t.world.run(milliseconds(100));
    std::vector<std::uint8_t> frame = t.a.end.sent.back();
    Packet* p = t.a.end.create();
    std::memcpy(p->reset_headers(54), frame.data(), 54);
    auto& h = wire::at<wire::TcpHeader>(p->data() + 34);
    wire::at<wire::Ipv4Header>(p->data() + 14).total_length = 40;
    h.sequence = h.sequence + 100 + 50;
    h.flags = wire::TcpHeader::kRst;
    finish_ipv4_checksum(*p, 14);
    finish_l4_checksum(*p, 14);
    t.a.end.transmit(p);
    t.world.run(milliseconds(100));
    CHECK(t.server.closed == 0);
    t.send(100);
    t.world.run(milliseconds(100));
    CHECK(t.server.received == 200);
  }
  CHECK(t.world.settled());
}

TEST_CASE("tcp: a peer that falls silent makes the connection lost", "[tcp]") {
  NetConfig ca = net_of(1);
  ca.tcp.retries = 5;
  Pair t(1, ca);
  t.connect();
  t.world.run(milliseconds(1));
  t.b.end.receive = nullptr;
  t.send(100);
  t.world.run(seconds(30));
  CHECK(t.client.closed == 1);
  CHECK(t.client.end == TcpEnd::timed_out);
  CHECK(t.a.stack.connections() == 0);
}

TEST_CASE("tcp: real bytes and descriptors travel in one stream", "[tcp]") {
  Pair t;
  t.server.stream = 0;
  t.server.keep = true;
  t.connect();
  t.world.run(milliseconds(1));
  std::vector<std::uint8_t> expected;
  int n = 0;
  t.a.end.filter = [&](const Packet& p) { return data_of(p) == 0 || ++n % 7 != 0; };
  for (std::uint32_t i = 0; i < 40; ++i) {
    std::vector<std::uint8_t> message(1 + i * 13 % 300, static_cast<std::uint8_t>(i));
    t.client.connection->send(Payload::copy_of(message));
    expected.insert(expected.end(), message.begin(), message.end());
    const Payload page = Payload::stream(9, i * 4096, 4096);
    t.client.connection->send(page);
    std::vector<std::uint8_t> bytes(4096);
    page.materialise(0, bytes);
    expected.insert(expected.end(), bytes.begin(), bytes.end());
  }
  t.world.run(seconds(60));
  std::vector<std::uint8_t> got;
  for (const Payload& p : t.server.pieces) {
    const std::size_t at = got.size();
    got.resize(at + p.size());
    p.materialise(0, std::span<std::uint8_t>(got).subspan(at));
  }
  CHECK(got.size() == expected.size());
  CHECK(got == expected);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: every byte arrives once and in order, whatever the wire does", "[tcp]") {
  const int loss_percent = GENERATE(0, 1, 5, 10, 20);
  const std::uint64_t seed = GENERATE(range(1, 7));
  const bool six = seed % 2 == 0;
  Pair t(seed);
  for (End* e : {&t.a.end, &t.b.end}) {
    e->wire.loss_ppb = static_cast<std::uint64_t>(loss_percent) * 10'000'000;
    e->wire.duplicate_ppb = 20'000'000;
    e->wire.reorder_ppb = 30'000'000;
    e->wire.rate = {10'000'000'000};
    e->wire.queue = 100'000;
  }
  t.server.close_back = true;
  t.connect(six);
  // Both directions at once.
  t.server.on_data = [&](TcpConnection& c, const Payload& p) {
    c.send(Payload::stream(kStream + 1, c.sent_total(), p.size()));
  };
  t.client.stream = kStream + 1;
  t.send(300'000);
  t.client.connection->close();
  t.world.run(seconds(100'000));
  INFO("loss " << loss_percent << " % seed " << seed);
  CHECK(t.client.closed == 1);
  CHECK(t.client.end == TcpEnd::normal);
  CHECK(t.server.received == 300'000);
  CHECK(t.client.received == 300'000);
  CHECK(t.server.mismatches + t.client.mismatches == 0);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: numbers wrap without harm", "[tcp]") {
  // More than 4 GiB over one connection; jumbo frames keep it short.
  NetConfig ca = net_of(1), cb = net_of(2);
  ca.mtu = cb.mtu = 65535;
  Pair t(3, ca, cb);
  t.a.end.wire.rate = t.b.end.wire.rate = {400'000'000'000};
  t.a.end.wire.queue = 4'000'000;
  t.connect();
  t.world.run(milliseconds(1));
  constexpr std::uint64_t kBytes = (9ULL << 30) + 12345;
  t.send(kBytes);
  t.client.connection->close();
  t.world.run(seconds(2));
  CHECK(t.server.received == kBytes);
  CHECK(t.server.mismatches == 0);
  CHECK(t.client.end == TcpEnd::normal);
}

TEST_CASE("tcp: the bottleneck decides the throughput", "[tcp]") {
  struct Case {
    std::uint64_t gbps;
    int delay_us;
    std::uint64_t queue;
  };
  const Case c = GENERATE(Case{1, 50, 100'000}, Case{10, 25, 500'000}, Case{25, 10, 1'000'000},
                          Case{100, 10, 2'000'000});
  NetConfig ca = net_of(1), cb = net_of(2);
  ca.mtu = cb.mtu = 9000;
  Pair t(1, ca, cb);
  t.a.end.wire = {microseconds(c.delay_us), {c.gbps * 1'000'000'000}, c.queue};
  t.b.end.wire = t.a.end.wire;
  t.connect();
  t.world.run(milliseconds(1));
  t.send(100ULL << 30);
  t.world.run(milliseconds(100));
  const std::uint64_t before = t.server.received;
  t.world.run(milliseconds(100));
  const double gbps = static_cast<double>(t.server.received - before) * 8 / 100e-3 / 1e9;
  const double ideal = static_cast<double>(c.gbps) * 8960 / (9014 + 24);
  INFO(c.gbps << " Gb/s: " << gbps << " of " << ideal);
  CHECK(gbps > 0.9 * ideal);
  CHECK(gbps < 1.001 * ideal);
}

TEST_CASE("tcp: a rate limit is kept", "[tcp]") {
  Pair t;
  t.connect();
  t.world.run(milliseconds(1));
  t.client.connection->limit_rate({100'000'000});
  t.send(100ULL << 20);
  t.world.run(milliseconds(200));
  const double mbps = static_cast<double>(t.server.received) * 8 / 0.2 / 1e6;
  CHECK(mbps > 97);
  CHECK(mbps < 103);
}

TEST_CASE("tcp: a smaller path MTU is learnt from ICMP", "[tcp]") {
  const bool six = GENERATE(false, true);
  Pair t;
  t.connect(six);
  t.world.run(milliseconds(1));
  // A router on the way that takes no more than 1400 bytes.
  std::uint64_t told = 0;
  t.a.end.filter = [&](const Packet& p) {
    if (p.size() <= 1414) return true;
    Packet* e = t.b.end.create();
    const std::uint32_t quoted = 54 - 14 + (six ? 20 : 0);
    const std::uint32_t l3 = six ? 40 : 20;
    std::uint8_t* f = e->reset_headers(14 + l3 + 8 + quoted);
    std::memset(f, 0, e->header_size());
    auto& ethernet = wire::at<wire::EthernetHeader>(f);
    ethernet.dst = mac_of(1);
    ethernet.src = mac_of(2);
    auto& h = wire::at<wire::IcmpHeader>(f + 14 + l3);
    if (six) {
      ethernet.type = wire::kEtherIpv6;
      auto& ip = wire::at<wire::Ipv6Header>(f + 14);
      ip.set_first_word(0, 0);
      ip.payload_length = static_cast<std::uint16_t>(8 + quoted);
      ip.next_header = wire::kProtoIcmpv6;
      ip.hop_limit = 64;
      ip.src = ip6_of(9);
      ip.dst = ip6_of(1);
      h.type = wire::kIcmpv6TooBig;
      h.set_mtu6(1400);
    } else {
      ethernet.type = wire::kEtherIpv4;
      auto& ip = wire::at<wire::Ipv4Header>(f + 14);
      ip.version_ihl = 0x45;
      ip.total_length = static_cast<std::uint16_t>(28 + quoted);
      ip.ttl = 64;
      ip.protocol = wire::kProtoIcmp;
      ip.src = ip4_of(9);
      ip.dst = ip4_of(1);
      h.type = wire::kIcmpUnreachable;
      h.code = wire::kIcmpFragmentationNeeded;
      h.word_low = 1400;
    }
    std::memcpy(f + 14 + l3 + 8, p.data() + 14, quoted);
    if (!six) finish_ipv4_checksum(*e, 14);
    finish_l4_checksum(*e, 14);
    ++told;
    t.b.end.transmit(e);
    return false;
  };
  t.send(100'000);
  t.world.run(milliseconds(100));  // before the retransmission timer
  CHECK(told > 0);
  CHECK(t.server.received == 100'000);
  CHECK(t.client.connection->mss() == (six ? 1340 : 1360));
  CHECK(t.a.stack.path_mtu(six ? IpAddress(ip6_of(2)) : IpAddress(ip4_of(2))) == 1400);
  CHECK(t.world.settled());
}

TEST_CASE("tcp: congestion marks slow the sender down without loss", "[tcp]") {
  NetConfig ca = net_of(1), cb = net_of(2);
  ca.tcp.ecn = cb.tcp.ecn = true;
  World world;
  Host a(world, ca);
  End& middle_end = world.end();  // index 1: unused
  (void)middle_end;
  Host b(world, cb);
  Peer client, server;
  server.stream = kStream;
  b.stack.listen(80, &server);
  // Mark every 50th data segment on its way in.
  int n = 0;
  b.end.receive = [&](Packet* p) {
    if (data_of(*p) > 0 && ++n % 50 == 0) {
      auto& ip = wire::at<wire::Ipv4Header>(p->data() + 14);
      CHECK((ip.tos & wire::kEcnMask) == wire::kEcnEct0);
      ip.tos = ip.tos | wire::kEcnCe;
      finish_ipv4_checksum(*p, 14);
    }
    b.stack.receive(p);
  };
  client.connection = a.stack.connect(ip4_of(2), 80, &client);
  client.connection->send(Payload::stream(kStream, 0, 2'000'000));
  world.run(seconds(1));
  CHECK(server.received == 2'000'000);
  CHECK(client.connection->counters().ecn_reductions > 3);
  CHECK(client.connection->counters().retransmits == 0);
}

TEST_CASE("tcp: thousands of connections come and go", "[tcp]") {
  NetConfig ca = net_of(1);
  ca.tcp.time_wait = milliseconds(10);
  Pair t(1, ca);
  struct Many final : TcpAcceptor {
    std::vector<std::unique_ptr<Peer>> peers;
    TcpEvents* on_accept(TcpConnection&) override {
      peers.push_back(std::make_unique<Peer>());
      peers.back()->stream = kStream;
      return peers.back().get();
    }
  } many;
  t.b.stack.listen(81, &many);
  std::vector<std::unique_ptr<Peer>> clients;
  for (int i = 0; i < 3000; ++i) {
    clients.push_back(std::make_unique<Peer>());
    Peer& c = *clients.back();
    c.connection = t.a.stack.connect(ip4_of(2), 81, &c);
    REQUIRE(c.connection != nullptr);
    c.connection->send(Payload::stream(kStream, 0, 2000));
    c.connection->close();
    if (i % 7 == 0) t.world.run(microseconds(50));
  }
  CHECK(t.a.stack.connections() > 100);
  t.world.run(seconds(30));
  std::uint64_t received = 0, mismatches = 0, normal = 0;
  for (auto& p : many.peers) {
    received += p->received;
    mismatches += p->mismatches;
  }
  for (auto& p : clients) normal += p->closed == 1 && p->end == TcpEnd::normal;
  // A backlog of 1024 half-open connections is never exceeded here.
  CHECK(normal == 3000);
  CHECK(received == 3000 * 2000);
  CHECK(mismatches == 0);
  CHECK(t.a.stack.connections() == 0);
  CHECK(t.b.stack.connections() == 0);
  CHECK(t.world.settled());
}
