// TCP alone: segments per second through two stacks back to back. The station between them is a
// ring: a frame that is sent is received by the other stack one step later, so what is measured is
// the stack (build, checksum, parse, look up, acknowledge), not a kernel or a link.
#include <benchmark/benchmark.h>

#include <deque>
#include <vector>

#include "datapath/packet.h"
#include "models/guest/netstack.h"
#include "models/guest/tcp_connection.h"

namespace {

using namespace weft;
using namespace weft::models;

struct Ring;

struct Side final : Station {
  Ring* ring = nullptr;
  int index = 0;
  Time now() const override;
  Packet* create() override;
  void transmit(Packet* p) override;
  void deliver(Packet* p) override;
  void consume(Packet* p) override { deliver(p); }
  void drop(Packet* p, DropReason) override { deliver(p); }
  // The wire loses nothing and the clock hardly moves: no timer is ever due.
  void arm(sim::TimerId&, Time, std::uint32_t) override {}
  void cancel(sim::TimerId&) override {}
  RandomStream stream(std::string_view name) const override { return {1, name}; }
  void note(std::uint64_t, std::uint64_t) override {}
};

struct Ring {
  Time time{};
  PacketArena arena;
  PacketPool pool{arena};
  std::deque<std::pair<Packet*, int>> wire;
  std::uint64_t ids = 0;
  ~Ring() {
    for (auto& [p, to] : wire) pool.give(p);
  }
};

Time Side::now() const { return ring->time; }
Packet* Side::create() {
  Packet* p = ring->pool.take();
  p->id = ++ring->ids;
  p->born = ring->time;
  return p;
}
void Side::transmit(Packet* p) { ring->wire.emplace_back(p, 1 - index); }
void Side::deliver(Packet* p) { ring->pool.give(p); }

struct Sink final : TcpEvents, TcpAcceptor {
  std::uint64_t received = 0;
  TcpEvents* on_accept(TcpConnection&) override { return this; }
  void on_received(TcpConnection&, const Payload& p) override { received += p.size(); }
};

void transfer(benchmark::State& state) {
  const bool six = state.range(0) == 6;
  const auto connections = static_cast<int>(state.range(1));
  Ring ring;
  Side side[2];
  std::vector<std::unique_ptr<Netstack>> stack;
  for (int i = 0; i < 2; ++i) {
    side[i].ring = &ring;
    side[i].index = i;
    NetConfig c;
    c.name = i == 0 ? "a" : "b";
    c.mac = Mac::from_u64(0x020000000001ULL + static_cast<std::uint64_t>(i));
    c.addresses = {{Ip4{0x0a000001u + static_cast<std::uint32_t>(i)}, 24},
                   {Ip6{0xfd00ULL << 48, 1ULL + static_cast<std::uint64_t>(i)}, 64}};
    c.tcp.receive_buffer = 64'000;
    stack.push_back(std::make_unique<Netstack>(c));
    stack[static_cast<std::size_t>(i)]->attach(side[i]);
  }
  Sink server, client;
  stack[1]->listen(80, &server);
  std::vector<TcpConnection*> open;
  const IpAddress to = six ? IpAddress(Ip6{0xfd00ULL << 48, 2}) : IpAddress(Ip4{0x0a000002});
  for (int i = 0; i < connections; ++i) {
    open.push_back(stack[0]->connect(to, 80, &client));
    open.back()->send(Payload::stream(1, 0, 1u << 31));
  }
  std::uint64_t hops = 0;
  for (auto _ : state) {
    for (int i = 0; i < 1000 && !ring.wire.empty(); ++i) {
      const auto [p, where] = ring.wire.front();
      ring.wire.pop_front();
      ring.time += nanoseconds(100);
      stack[static_cast<std::size_t>(where)]->receive(p);
      ++hops;
    }
    for (TcpConnection* c : open)
      if (c->sent_total() - c->acknowledged_total() < 1u << 28)
        c->send(Payload::stream(1, c->sent_total(), 1u << 30));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(hops));
  state.counters["payload_GB"] = static_cast<double>(server.received) * 1e-9;
  state.counters["retransmits"] = static_cast<double>(stack[0]->stats().tcp_retransmits);
  state.counters["packets_allocated"] = static_cast<double>(ring.arena.allocated());
}
BENCHMARK(transfer)->ArgNames({"ip", "connections"})->Args({4, 1})->Args({4, 100})->Args({6, 1});

}  // namespace

BENCHMARK_MAIN();
