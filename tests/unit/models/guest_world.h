// A world for guests without the engine: a tiny deterministic event loop, and wires with delay,
// rate, queue, loss, duplication and reordering. Every frame that a stack transmits is checked
// (lengths, checksums), and every packet must end in one verdict: conservation is asserted by
// settled().
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/units.h"
#include "datapath/checksum.h"
#include "datapath/packet.h"
#include "datapath/wire/wire.h"
#include "models/guest/guest.h"
#include "models/guest/netstack.h"
#include "models/guest/tcp_connection.h"

namespace weft::models::test {

struct WireOptions {
  Duration delay = microseconds(10);
  BitRate rate{0};                   ///< 0: infinite
  std::uint64_t queue = UINT64_MAX;  ///< bytes of backlog
  std::uint64_t loss_ppb = 0, duplicate_ppb = 0, reorder_ppb = 0;
  Duration reorder_by = microseconds(100);
};

class World;

/// One end: a stack's station. Frames go to all other ends of the world (a hub), which is what two
/// or three hosts need.
class End final : public Station {
 public:
  World* world = nullptr;
  std::size_t index = 0;
  WireOptions wire;
  std::function<void(Packet*)> receive;  ///< null: unplugged
  std::function<void(std::uint32_t)> on_timer;
  /// Decides about each frame sent: true lets it pass.
  std::function<bool(const Packet&)> filter;
  RandomStream random;
  Time busy_until{};
  std::array<std::uint64_t, kDropReasons> drops{};
  std::uint64_t created = 0, delivered = 0, consumed = 0, dropped = 0, lost = 0, received = 0;
  std::vector<std::vector<std::uint8_t>> sent;  ///< frames, if `record`
  bool record = false;

  Time now() const override;
  Packet* create() override;
  void transmit(Packet* p) override;
  void deliver(Packet* p) override;
  void consume(Packet* p) override;
  void drop(Packet* p, DropReason reason) override;
  void arm(sim::TimerId& timer, Time at, std::uint32_t slot) override;
  void cancel(sim::TimerId& timer) override;
  RandomStream stream(std::string_view name) const override;
  void note(std::uint64_t, std::uint64_t) override {}
};

class World {
 public:
  explicit World(std::uint64_t seed_value = 1) : seed(seed_value), pool_(arena) {}
  ~World() {
    while (!events_.empty()) {
      if (events_.top().packet != nullptr) pool_.give(events_.top().packet);
      events_.pop();
    }
  }

  End& end() {
    ends.push_back(std::make_unique<End>());
    End& e = *ends.back();
    e.world = this;
    e.index = ends.size() - 1;
    e.random = RandomStream(seed, "wire/" + std::to_string(e.index));
    return e;
  }

  void at(Time when, std::function<void()> action) {
    actions_.push_back(std::move(action));
    push({when, 0, nullptr, SIZE_MAX, static_cast<std::uint32_t>(actions_.size() - 1), 0});
  }

  bool step(Time until) {
    if (events_.empty() || events_.top().at > until) return false;
    const Event e = events_.top();
    events_.pop();
    time = e.at;
    ++steps;
    if (e.packet != nullptr) {
      End& to = *ends[e.end];
      --in_flight;
      if (to.receive) {
        ++to.received;
        to.receive(e.packet);
      } else {
        ++unplugged;
        pool_.give(e.packet);
      }
    } else if (e.end == SIZE_MAX) {
      actions_[e.slot]();
    } else {
      End& to = *ends[e.end];
      Armed& a = armed[{e.end, e.slot}];
      if (a.generation == e.generation && a.on) {
        a.on = false;
        if (to.on_timer) to.on_timer(e.slot);
      }
    }
    return true;
  }
  void run(Duration d) {
    const Time until = time + d;
    while (step(until)) {
    }
    time = until;
  }

  /// created == delivered + consumed + dropped + lost on wires + under way, over all ends.
  bool settled() const {
    std::uint64_t made = duplicated, ended = unplugged + in_flight;
    for (const auto& e : ends) {
      made += e->created;
      ended += e->delivered + e->consumed + e->dropped + e->lost;
    }
    return made == ended;
  }

  struct Event {
    Time at;
    std::uint64_t order;
    Packet* packet;
    std::size_t end;
    std::uint32_t slot;
    std::uint32_t generation;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  struct Armed {
    std::uint32_t generation = 0;
    bool on = false;
  };
  void push(Event e) {
    e.order = order_++;
    events_.push(e);
  }

  std::uint64_t seed;
  Time time{};
  std::uint64_t steps = 0, in_flight = 0, duplicated = 0, unplugged = 0, ids = 0;
  std::vector<std::unique_ptr<End>> ends;
  std::map<std::pair<std::size_t, std::uint32_t>, Armed> armed;
  PacketArena arena;
  PacketPool& pool() { return pool_; }

 private:
  PacketPool pool_;
  std::priority_queue<Event> events_;
  std::vector<std::function<void()>> actions_;
  std::uint64_t order_ = 0;
};

inline Time End::now() const { return world->time; }
inline Packet* End::create() {
  ++created;
  Packet* p = world->pool().take();
  p->id = ++world->ids;
  p->born = world->time;
  return p;
}
inline void End::transmit(Packet* p) {
  const ChecksumFault fault = verify_checksums(*p);
  WEFT_CHECK(fault == ChecksumFault::ok, "a bad checksum was sent: {}", to_string(fault));
  const auto* ip4 = wire::view<wire::Ipv4Header>(p->headers(), 14);
  if (wire::at<wire::EthernetHeader>(p->data()).type == wire::kEtherIpv4)
    WEFT_CHECK(ip4 != nullptr && ip4->total_length == p->size() - 14);
  if (record) {
    sent.emplace_back();
    p->copy_frame(sent.back());
  }
  Time at = world->time;
  bool lose = filter && !filter(*p);
  if (wire.rate.bps > 0 && !lose) {
    const Duration backlog = busy_until > at ? busy_until - at : Duration{};
    const Duration mine = serialisation_time(p->size() + 24, wire.rate);
    if (wire.queue != UINT64_MAX && backlog + mine > serialisation_time(wire.queue, wire.rate))
      lose = true;
    else
      busy_until = at = at + backlog + mine;
  }
  if (!lose && wire.loss_ppb > 0) lose = random.chance_ppb(wire.loss_ppb);
  if (lose) {
    ++lost;
    world->pool().give(p);
    return;
  }
  if (world->ends.size() == 1) {  // nobody is there
    ++lost;
    world->pool().give(p);
    return;
  }
  at += wire.delay;
  if (wire.reorder_ppb > 0 && random.chance_ppb(wire.reorder_ppb)) at += wire.reorder_by;
  const bool twice = wire.duplicate_ppb > 0 && random.chance_ppb(wire.duplicate_ppb);
  bool first = true;
  for (const auto& e : world->ends) {
    if (e->index == index) continue;
    for (int copy = twice ? 2 : 1; copy > 0; --copy) {
      Packet* sending = p;
      if (!first) {
        sending = world->pool().clone(*p, ++world->ids);
        sending->born = p->born;
        ++world->duplicated;
      }
      first = false;
      ++world->in_flight;
      world->push({at, 0, sending, e->index, 0, 0});
    }
  }
}
inline void End::deliver(Packet* p) {
  ++delivered;
  world->pool().give(p);
}
inline void End::consume(Packet* p) {
  ++consumed;
  world->pool().give(p);
}
inline void End::drop(Packet* p, DropReason reason) {
  ++dropped;
  ++drops[static_cast<std::size_t>(reason)];
  world->pool().give(p);
}
inline void End::arm(sim::TimerId& timer, Time at, std::uint32_t slot) {
  timer.slot = slot;
  World::Armed& a = world->armed[{index, slot}];
  ++a.generation;
  a.on = true;
  world->push({at, 0, nullptr, index, slot, a.generation});
}
inline void End::cancel(sim::TimerId& timer) {
  if (timer.slot == UINT32_MAX) return;
  world->armed[{index, timer.slot}].on = false;
  timer = {};
}
inline RandomStream End::stream(std::string_view name) const {
  return RandomStream(world->seed, name);
}

inline Mac mac_of(std::size_t n) { return Mac::from_u64(0x020000000000ULL + n); }
inline Ip4 ip4_of(std::size_t n) { return {0x0a000000u + static_cast<std::uint32_t>(n)}; }
inline Ip6 ip6_of(std::size_t n) { return {0xfd00ULL << 48, n}; }

/// Host n: 10.0.0.n/24 and fd00::n/64.
inline NetConfig net_of(std::size_t n) {
  NetConfig c;
  c.name = "host-" + std::to_string(n);
  c.mac = mac_of(n);
  c.addresses = {{ip4_of(n), 24}, {ip6_of(n), 64}};
  return c;
}

/// A bare stack plugged into an end.
struct Host {
  Host(World& world, std::size_t n) : Host(world, net_of(n)) {}
  Host(World& world, NetConfig config) : end(world.end()), stack(std::move(config)) {
    end.receive = [this](Packet* p) { stack.receive(p); };
    end.on_timer = [this](std::uint32_t slot) { stack.on_timer(slot); };
    stack.attach(end);
  }
  std::uint64_t drops(DropReason r) const { return end.drops[static_cast<std::size_t>(r)]; }
  End& end;
  Netstack stack;
};

/// A guest plugged into an end.
inline void plug(Guest& guest, End& end) {
  end.receive = [&guest](Packet* p) { guest.receive(p); };
  end.on_timer = [&guest](std::uint32_t slot) { guest.on_timer(slot); };
  guest.attach(end);
}
inline void unplug(Guest& guest, End& end) {
  guest.detach();
  end.receive = nullptr;
  end.on_timer = nullptr;
}

/// What a test's application sees of a connection; also accepts.
struct Peer final : TcpEvents, TcpAcceptor {
  TcpConnection* connection = nullptr;
  std::uint64_t received = 0, acknowledged = 0;
  std::uint64_t stream = 0;  ///< expected content; 0: any
  std::uint64_t mismatches = 0;
  int connected = 0, accepted = 0, peer_closed = 0, closed = 0;
  TcpEnd end = TcpEnd::normal;
  bool close_back = true;
  bool refuse = false;
  std::vector<Payload> pieces;
  bool keep = false;
  std::function<void(TcpConnection&, const Payload&)> on_data;

  TcpEvents* on_accept(TcpConnection& c) override {
    if (refuse) return nullptr;
    connection = &c;
    ++accepted;
    return this;
  }
  void on_connected(TcpConnection&) override { ++connected; }
  void on_received(TcpConnection& c, const Payload& p) override {
    if (stream != 0 && !(p.is_stream() && p.stream_id() == stream && p.offset() == received))
      ++mismatches;
    received += p.size();
    if (keep) pieces.push_back(p);
    if (on_data) on_data(c, p);
  }
  void on_acknowledged(TcpConnection&, std::uint64_t total) override { acknowledged = total; }
  void on_peer_closed(TcpConnection& c) override {
    ++peer_closed;
    if (close_back) c.close();
  }
  void on_closed(TcpConnection&, TcpEnd e) override {
    ++closed;
    end = e;
    connection = nullptr;
  }
};

}  // namespace weft::models::test
