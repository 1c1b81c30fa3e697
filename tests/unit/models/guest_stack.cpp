// ARP, neighbour discovery, ICMP and UDP: golden frames, retries, verdicts.
#include <cstring>

#include "tests/catch.h"
#include "tests/unit/models/guest_world.h"

using namespace weft;
using namespace weft::models;
using namespace weft::models::test;

namespace {

std::string hex(const std::vector<std::uint8_t>& bytes) {
  static const char* digits = "0123456789abcdef";
  std::string s;
  for (std::uint8_t b : bytes) {
    s += digits[b >> 4];
    s += digits[b & 15];
  }
  return s;
}

struct Echo final : EchoReceiver {
  int replies = 0, notices = 0;
  std::uint16_t last = 0;
  void on_echo_reply(IpAddress, std::uint16_t sequence, const Payload&) override {
    ++replies;
    last = sequence;
  }
  void on_icmp(const IcmpNotice&) override { ++notices; }
};

struct Sink final : UdpReceiver {
  std::vector<Payload> got;
  std::vector<IcmpNotice> notices;
  void on_datagram(const Datagram& d) override { got.push_back(*d.payload); }
  void on_icmp(const IcmpNotice& n) override { notices.push_back(n); }
};

IpAddress address(bool six, std::size_t n) {
  return six ? IpAddress(ip6_of(n)) : IpAddress(ip4_of(n));
}

}  // namespace

TEST_CASE("stack: golden frames of a first ping over IPv4", "[guest]") {
  World world;
  Host a(world, 1), b(world, 2);
  a.end.record = b.end.record = true;
  Echo echo;
  a.stack.bind_echo(7, &echo);
  const std::uint8_t data[] = {1, 2, 3, 4};
  a.stack.send_echo(ip4_of(2), 7, 1, Payload::copy_of(data), 0);
  world.run(seconds(1));
  CHECK(echo.replies == 1);
  REQUIRE(a.end.sent.size() == 2);
  REQUIRE(b.end.sent.size() == 2);
  CHECK(hex(a.end.sent[0]) ==
        "ffffffffffff"
        "020000000001"
        "0806"
        "0001080006040001"
        "020000000001"
        "0a000001"
        "000000000000"
        "0a000002");
  CHECK(hex(b.end.sent[0]) ==
        "020000000001"
        "020000000002"
        "0806"
        "0001080006040002"
        "020000000002"
        "0a000002"
        "020000000001"
        "0a000001");
  CHECK(hex(a.end.sent[1]) ==
        "020000000002"
        "020000000001"
        "0800"
        "450000200001400040"
        "01"
        "26da"
        "0a000001"
        "0a000002"
        "0800"
        "f3f1"
        "0007"
        "0001"
        "01020304");
  CHECK(hex(b.end.sent[1]) ==
        "020000000001"
        "020000000002"
        "0800"
        "450000200001400040"
        "01"
        "26da"
        "0a000002"
        "0a000001"
        "0000"
        "fbf1"
        "0007"
        "0001"
        "01020304");
  CHECK(world.settled());
}

TEST_CASE("stack: golden frames of neighbour discovery", "[guest]") {
  World world;
  Host a(world, 1), b(world, 2);
  a.end.record = b.end.record = true;
  Echo echo;
  a.stack.bind_echo(7, &echo);
  a.stack.send_echo(ip6_of(2), 7, 1, Payload::stream(3, 0, 56), 0);
  world.run(seconds(1));
  CHECK(echo.replies == 1);
  REQUIRE(a.end.sent.size() == 2);
  // Solicitation to ff02::1:ff00:2 with our MAC; the sum of its words is ffff with the checksum.
  CHECK(hex(a.end.sent[0]).substr(0, 28 + 80) ==
        "3333ff000002"
        "020000000001"
        "86dd"
        "6000000000203aff"
        "fd000000000000000000000000000001"
        "ff0200000000000000000001ff000002");
  CHECK(hex(a.end.sent[0]).substr(28 + 80, 4) == "8700");
  CHECK(hex(a.end.sent[0]).substr(28 + 80 + 8) ==
        "00000000"
        "fd000000000000000000000000000002"
        "0101020000000001");
  CHECK(hex(b.end.sent[0]).substr(0, 28 + 80) ==
        "020000000001"
        "020000000002"
        "86dd"
        "6000000000203aff"
        "fd000000000000000000000000000002"
        "fd000000000000000000000000000001");
  CHECK(hex(b.end.sent[0]).substr(28 + 80, 4) == "8800");
  CHECK(hex(b.end.sent[0]).substr(28 + 80 + 8) ==
        "60000000"
        "fd000000000000000000000000000002"
        "0201020000000002");
  CHECK(world.settled());
}

TEST_CASE("stack: announcements after a move", "[guest]") {
  World world;
  Host a(world, 1), b(world, 2);
  a.end.record = true;
  // b knows a at an old place.
  Echo echo;
  b.stack.bind_echo(1, &echo);
  b.stack.send_echo(ip4_of(1), 1, 1, {}, 0);
  b.stack.send_echo(ip6_of(1), 1, 2, {}, 0);
  world.run(milliseconds(1));
  CHECK(echo.replies == 2);
  a.end.sent.clear();
  a.stack.announce();
  REQUIRE(a.end.sent.size() == 2);
  CHECK(hex(a.end.sent[0]) ==
        "ffffffffffff"
        "020000000001"
        "0806"
        "0001080006040001"
        "020000000001"
        "0a000001"
        "000000000000"
        "0a000001");
  CHECK(hex(a.end.sent[1]).substr(0, 28 + 80) ==
        "333300000001"
        "020000000001"
        "86dd"
        "6000000000203aff"
        "fd000000000000000000000000000001"
        "ff020000000000000000000000000001");
  CHECK(hex(a.end.sent[1]).substr(28 + 80 + 8) ==
        "20000000"
        "fd000000000000000000000000000001"
        "0201020000000001");
  world.run(seconds(1));
  CHECK(world.settled());
}

TEST_CASE("stack: neighbours that do not answer: three requests, then no_neighbour", "[guest]") {
  const bool six = GENERATE(false, true);
  World world;
  Host a(world, 1);
  a.end.record = true;
  for (int i = 0; i < 70; ++i)
    a.stack.send_udp(address(six, 5), 1000, 2000, Payload::stream(1, 0, 10), 0);
  CHECK(a.drops(DropReason::no_neighbour) == 6);  // 64 may wait
  world.run(milliseconds(2900));
  CHECK(a.end.sent.size() == 3);
  CHECK(a.drops(DropReason::no_neighbour) == 6);
  world.run(milliseconds(200));
  CHECK(a.drops(DropReason::no_neighbour) == 70);
  CHECK(a.end.sent.size() == 3);
  world.run(seconds(10));
  CHECK(a.end.sent.size() == 3);
  // A later packet asks anew, and what waits goes out in order when the answer comes.
  Host b(world, 5);
  Sink sink;
  b.stack.bind_udp(2000, &sink);
  for (std::uint32_t i = 0; i < 5; ++i)
    a.stack.send_udp(address(six, 5), 1000, 2000, Payload::stream(1, i * 10, 10), 0);
  world.run(milliseconds(1));
  REQUIRE(sink.got.size() == 5);
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(sink.got[i].offset() == i * 10);
  CHECK(world.settled());
}

TEST_CASE("stack: an old neighbour is asked again by unicast while it is still used", "[guest]") {
  const bool six = GENERATE(false, true);
  World world;
  Host a(world, 1);
  auto b = std::make_unique<Host>(world, 2);
  Sink sink;
  b->stack.bind_udp(9, &sink);
  auto send = [&] { a.stack.send_udp(address(six, 2), 9, 9, Payload::stream(1, 0, 10), 0); };
  send();
  world.run(seconds(59));
  a.end.record = true;
  send();
  world.run(seconds(2));
  CHECK(a.end.sent.size() == 1);  // the datagram alone
  a.end.sent.clear();
  send();
  world.run(seconds(1));
  REQUIRE(a.end.sent.size() == 2);  // a unicast probe and the datagram
  CHECK(hex(a.end.sent[0]).substr(0, 12) == "020000000002");
  CHECK(sink.got.size() == 3);
  world.run(seconds(61));
  b->end.receive = nullptr;  // it dies
  a.end.sent.clear();
  send();
  world.run(seconds(5));
  CHECK(a.end.sent.size() == 4);  // the datagram, three probes
  send();
  CHECK(hex(a.end.sent.back()).substr(0, 4) == (six ? "3333" : "ffff"));  // forgotten
  world.run(seconds(5));
  CHECK(a.drops(DropReason::no_neighbour) == 1);
}

TEST_CASE("stack: datagrams through a gateway, and without a route", "[guest]") {
  const bool six = GENERATE(false, true);
  World world;
  NetConfig ca = net_of(1);
  ca.gateway4 = ip4_of(2);
  ca.gateway6 = ip6_of(2);
  Host a(world, ca), b(world, 2);
  const IpAddress far = six ? IpAddress(Ip6{0xfd01ULL << 48, 1}) : IpAddress(Ip4{0x0b000001});
  a.end.record = true;
  a.stack.send_udp(far, 1, 2, Payload::stream(1, 0, 10), 0);
  world.run(milliseconds(1));
  REQUIRE(a.end.sent.size() == 2);
  CHECK(hex(a.end.sent[1]).substr(0, 12) == "020000000002");
  CHECK(b.drops(DropReason::guest_unwanted) == 1);  // it does not forward
  b.stack.send_udp(far, 1, 2, Payload::stream(1, 0, 10), 0);
  CHECK(b.drops(DropReason::no_route) == 1);
  CHECK(world.settled());
}

TEST_CASE("stack: a closed UDP port answers port unreachable", "[guest]") {
  const bool six = GENERATE(false, true);
  World world;
  Host a(world, 1), b(world, 2);
  Sink sink;
  a.stack.bind_udp(1000, &sink);
  a.stack.send_udp(address(six, 2), 1000, 2000, Payload::stream(1, 0, 1400), 3);
  world.run(milliseconds(1));
  CHECK(b.drops(DropReason::no_listener) == 1);
  REQUIRE(sink.notices.size() == 1);
  CHECK(sink.notices[0].kind == IcmpNotice::Kind::port_unreachable);
  CHECK(sink.notices[0].dst_port == 2000);
  CHECK(sink.notices[0].destination == address(six, 2));
  // At most fifty at once, then one per millisecond.
  for (int i = 0; i < 200; ++i)
    a.stack.send_udp(address(six, 2), 1000, 2000, Payload::stream(1, 0, 100), 3);
  world.run(microseconds(100));
  CHECK(sink.notices.size() >= 49);
  CHECK(sink.notices.size() <= 52);
  CHECK(world.settled());
}

TEST_CASE("stack: what does not fit the MTU is too big", "[guest]") {
  World world;
  Host a(world, 1), b(world, 2);
  Sink sink;
  b.stack.bind_udp(9, &sink);
  a.stack.send_udp(ip4_of(2), 9, 9, Payload::stream(1, 0, 1472), 0);
  a.stack.send_udp(ip4_of(2), 9, 9, Payload::stream(1, 0, 1473), 0);
  a.stack.send_udp(ip6_of(2), 9, 9, Payload::stream(1, 0, 1452), 0);
  a.stack.send_udp(ip6_of(2), 9, 9, Payload::stream(1, 0, 1453), 0);
  world.run(milliseconds(1));
  CHECK(sink.got.size() == 2);
  CHECK(a.drops(DropReason::too_big) == 2);
  CHECK(world.settled());
}

TEST_CASE("stack: what a received frame can have wrong", "[guest]") {
  struct Case {
    const char* what;
    DropReason reason;
    std::function<void(Packet&)> spoil;
  };
  const std::vector<Case> cases = {
      {"another station's MAC", DropReason::not_for_me, [](Packet& p) { p.data()[5] = 9; }},
      {"a foreign multicast", DropReason::not_for_me, [](Packet& p) { p.data()[0] = 1; }},
      {"damaged on the wire", DropReason::bad_fcs, [](Packet& p) { p.corrupted = 1; }},
      {"unknown type", DropReason::guest_unwanted, [](Packet& p) { p.data()[12] = 0x99; }},
      {"IP version", DropReason::malformed, [](Packet& p) { p.data()[14] = 0x55; }},
      {"IP header length", DropReason::malformed, [](Packet& p) { p.data()[14] = 0x44; }},
      {"total length", DropReason::malformed, [](Packet& p) { p.data()[16] = 0x7f; }},
      {"header checksum", DropReason::bad_checksum, [](Packet& p) { p.data()[22] ^= 1; }},
      {"another address", DropReason::guest_unwanted,
       [](Packet& p) {
         p.data()[33] = 77;
         finish_ipv4_checksum(p, 14);
         finish_l4_checksum(p, 14);
       }},
      {"a fragment", DropReason::guest_unwanted,
       [](Packet& p) {
         p.data()[20] = 0x20;
         finish_ipv4_checksum(p, 14);
       }},
      {"UDP checksum", DropReason::bad_checksum, [](Packet& p) { p.data()[40] ^= 1; }},
      {"payload", DropReason::bad_checksum,
       [](Packet& p) { p.payload = Payload::stream(2, 0, p.payload.size()); }},
      {"UDP length", DropReason::malformed,
       [](Packet& p) {
         p.data()[38] = 0x40;
         // The checksum covers the length twice; set it right for what is there.
         auto& h = wire::at<wire::UdpHeader>(p.data() + 34);
         h.checksum = 0;
       }},
      {"cut off", DropReason::malformed,
       [](Packet& p) {
         p.payload.reset();
         p.resize_headers(20);
       }},
      {"protocol", DropReason::guest_unwanted,
       [](Packet& p) {
         p.data()[23] = 99;
         finish_ipv4_checksum(p, 14);
       }},
  };
  World world;
  Host a(world, 1), b(world, 2);
  Sink sink;
  b.stack.bind_udp(9, &sink);
  a.stack.add_static_neighbour(ip4_of(2), mac_of(2));
  const Case* current = nullptr;
  b.end.receive = [&](Packet* p) {
    if (current != nullptr) current->spoil(*p);
    b.stack.receive(p);
  };
  a.stack.send_udp(ip4_of(2), 9, 9, Payload::stream(1, 0, 100), 0);
  world.run(milliseconds(1));
  REQUIRE(sink.got.size() == 1);
  for (const Case& c : cases) {
    current = &c;
    const std::uint64_t before = b.drops(c.reason);
    a.stack.send_udp(ip4_of(2), 9, 9, Payload::stream(1, 0, 100), 0);
    world.run(milliseconds(1));
    INFO(c.what);
    CHECK(b.drops(c.reason) == before + 1);
    CHECK(sink.got.size() == 1);
  }
  CHECK(world.settled());
}

TEST_CASE("stack: frames of noise never crash and each ends once", "[guest]") {
  World world;
  Host a(world, 1), b(world, 2);
  Sink sink;
  b.stack.bind_udp(9, &sink);
  Peer server;
  b.stack.listen(80, &server);
  a.end.record = b.end.record = true;
  // Real frames of every kind, then the same with random bytes changed and random lengths.
  Echo echo;
  a.stack.bind_echo(1, &echo);
  Peer client;
  for (const IpAddress& to : {IpAddress(ip4_of(2)), IpAddress(ip6_of(2))}) {
    a.stack.send_echo(to, 1, 1, Payload::stream(1, 0, 60), 0);
    a.stack.send_udp(to, 9, 9, Payload::stream(1, 0, 60), 0);
    a.stack.send_udp(to, 9, 10, Payload::stream(1, 0, 60), 0);
    client.connection = a.stack.connect(to, 80, &client);
    client.connection->send(Payload::stream(1, 0, 60));
    world.run(seconds(1));
  }
  std::vector<std::vector<std::uint8_t>> frames = a.end.sent;
  frames.insert(frames.end(), b.end.sent.begin(), b.end.sent.end());
  REQUIRE(frames.size() > 20);
  a.end.record = b.end.record = false;
  a.end.receive = nullptr;
  RandomStream random(1, "noise");
  for (int i = 0; i < 60'000; ++i) {
    std::vector<std::uint8_t> f = frames[random.below(frames.size())];
    for (auto k = random.below(4); k > 0; --k)
      f[random.below(f.size())] = static_cast<std::uint8_t>(random.below(256));
    if (random.below(4) == 0) f.resize(random.below(f.size() + 1));
    Packet* p = b.end.create();
    const std::size_t head = random.below(std::min<std::size_t>(f.size(), 120) + 1);
    std::memcpy(p->reset_headers(static_cast<std::uint32_t>(head)), f.data(), head);
    p->payload = Payload::copy_of(std::span<const std::uint8_t>(f).subspan(head));
    if (f.size() >= 34 && random.below(2) == 0) {  // let it past the checksums
      if (p->header_size() < 80 && p->payload.size() > 0)
        p->materialise_payload(std::min(80 - p->header_size(), p->payload.size()));
      const std::uint32_t ihl = p->header_size() > 14 ? (p->data()[14] & 15) * 4u : 0;
      if (p->header_size() >= 14 + std::max(ihl, 20u) && p->data()[12] == 8)
        finish_ipv4_checksum(*p, 14);
    }
    b.stack.receive(p);
    if (i % 64 == 0) world.run(microseconds(1));
  }
  world.run(seconds(300));
  CHECK(world.settled());
}

TEST_CASE("guest timers: a pause is no time", "[guest]") {
  struct Target final : TimerTarget {
    std::vector<std::pair<std::uint64_t, std::int64_t>> fired;
    World* world = nullptr;
    void on_timer(std::uint64_t a) override { fired.push_back({a, world->time.ps / 1'000'000}); }
  } target;
  World world;
  target.world = &world;
  End& first = world.end();
  End& second = world.end();
  GuestTimers timers;
  first.on_timer = second.on_timer = [&](std::uint32_t slot) { timers.fire(slot); };
  timers.attach(first);
  const auto a = timers.add(&target, 1), b = timers.add(&target, 2), c = timers.add(&target, 3);
  timers.arm(a, Time{} + microseconds(100));
  timers.arm(b, Time{} + microseconds(300));
  timers.arm(c, Time{} + microseconds(300));
  world.run(microseconds(200));
  timers.detach();
  world.run(microseconds(1000));
  timers.attach(second);
  CHECK(timers.now() == Time{} + microseconds(200));
  CHECK(timers.world() == Time{} + microseconds(1200));
  CHECK(timers.to_world(timers.from_world(Time{} + microseconds(5))) == Time{} + microseconds(5));
  world.run(microseconds(1000));
  CHECK(target.fired ==
        std::vector<std::pair<std::uint64_t, std::int64_t>>{{1, 100}, {2, 1300}, {3, 1300}});
  timers.arm(b, timers.now() + microseconds(10));
  timers.cancel(b);
  timers.remove(c);
  CHECK(timers.add(&target, 4) == c);  // last freed, first reused
  world.run(microseconds(1000));
  CHECK(target.fired.size() == 3);
}
