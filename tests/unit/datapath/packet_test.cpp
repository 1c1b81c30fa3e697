// Packet and its pools: room in front and behind, clones, and no allocation in the steady state.
#include "datapath/packet.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <thread>

#include "tests/catch.h"

namespace weft {
namespace {

std::vector<std::uint8_t> frame_of(const Packet& p) {
  std::vector<std::uint8_t> out;
  p.copy_frame(out);
  return out;
}

TEST_CASE("a fresh packet is empty whatever it was before") {
  PacketArena arena;
  PacketPool pool(arena);
  Packet* p = pool.take();
  p->id = 5;
  p->tenant = 7;
  p->segment_size = 1460;
  p->corrupted = 1;
  p->reset_headers(900);
  p->payload = Payload::stream(1, 2, 3);
  pool.give(p);
  Packet* q = pool.take();
  REQUIRE(q == p);
  REQUIRE(q->id == 0);
  REQUIRE(q->tenant == 0);
  REQUIRE(q->segment_size == 0);
  REQUIRE(q->corrupted == 0);
  REQUIRE(q->size() == 0);
  REQUIRE(q->payload.empty());
  pool.give(q);
}

TEST_CASE("push and pull beyond the inline storage keep the bytes") {
  PacketArena arena;
  PacketPool pool(arena);
  Packet* p = pool.take();
  for (int life = 0; life < 3; ++life) {
    std::vector<std::uint8_t> expected(54);
    std::iota(expected.begin(), expected.end(), std::uint8_t{1});
    std::copy(expected.begin(), expected.end(), p->reset_headers(54));
    p->payload = Payload::stream(3, 0, 100);
    std::vector<std::uint8_t> tail(100);
    p->payload.materialise(0, tail);
    expected.insert(expected.end(), tail.begin(), tail.end());
    for (std::uint32_t n : {50u, 70u, 90u, 8u, 300u}) {
      p->route_hash = 9;
      std::fill_n(p->push(n), n, static_cast<std::uint8_t>(n));
      REQUIRE(p->route_hash == 0);
      expected.insert(expected.begin(), n, static_cast<std::uint8_t>(n));
      REQUIRE(frame_of(*p) == expected);
    }
    p->materialise_payload(60);
    REQUIRE(p->payload.size() == 40);
    REQUIRE(frame_of(*p) == expected);
    p->pull(300);
    expected.erase(expected.begin(), expected.begin() + 300);
    REQUIRE(frame_of(*p) == expected);
    p->resize_headers(40);
    REQUIRE(p->size() == 80);
    REQUIRE_THROWS_AS(p->pull(41), InternalFault);
    REQUIRE_THROWS_AS(p->materialise_payload(41), InternalFault);
    pool.give(p);
    p = pool.take();
  }
  pool.give(p);
}

TEST_CASE("reset_headers makes room for any size") {
  PacketArena arena;
  PacketPool pool(arena);
  Packet* p = pool.take();
  for (std::uint32_t n : {0u, 128u, 129u, 5000u, 14u, 6000u}) {
    std::uint8_t* bytes = p->reset_headers(n);
    REQUIRE(p->header_size() == n);
    std::fill_n(bytes, n, std::uint8_t{0xab});
    p->push(Packet::kHeadroom);
    REQUIRE(std::count(p->data() + Packet::kHeadroom, p->data() + p->header_size(), 0xab) == n);
  }
  pool.give(p);
}

TEST_CASE("a clone has its own headers and shares the payload") {
  PacketArena arena;
  PacketPool pool(arena);
  Packet* p = pool.take();
  p->id = 10;
  p->tenant = 3;
  p->born = Time{77};
  std::fill_n(p->reset_headers(200), 200, std::uint8_t{1});
  p->payload = Payload::copy_of(std::vector<std::uint8_t>(30, 9));
  Packet* c = pool.clone(*p, 11);
  REQUIRE(c->id == 11);
  REQUIRE(c->parent == 10);
  REQUIRE(c->tenant == 3);
  REQUIRE(c->born == Time{77});
  REQUIRE(frame_of(*c) == frame_of(*p));
  c->data()[0] = 2;
  REQUIRE(p->data()[0] == 1);
  pool.give(p);
  REQUIRE(frame_of(*c)[229] == 9);
  pool.give(c);
}

TEST_CASE("packets that are always freed elsewhere do not make the arena grow") {
  PacketArena arena;
  std::mutex mutex;
  std::vector<Packet*> belt;
  bool done = false;
  std::size_t freed = 0;
  std::thread consumer([&] {
    PacketPool pool(arena);
    std::vector<Packet*> mine;
    for (bool last = false; !last;) {
      {
        std::lock_guard lock(mutex);
        last = done;
        mine.swap(belt);
      }
      for (Packet* p : mine) pool.give(p);
      freed += mine.size();
      mine.clear();
    }
  });
  {
    PacketPool pool(arena);
    for (int i = 0; i < 200000;) {
      std::lock_guard lock(mutex);
      for (; belt.size() < 256 && i < 200000; ++i) belt.push_back(pool.take());
    }
    std::lock_guard lock(mutex);
    done = true;
  }
  consumer.join();
  REQUIRE(freed == 200000);
  // On the belt and in the consumer's hands (256 each) and up to three batches per pool.
  REQUIRE(arena.allocated() <= 512 + 6 * PacketPool::kBatch);
}

TEST_CASE("pools that come and go leave their packets behind") {
  PacketArena arena;
  for (int i = 0; i < 100; ++i) {
    PacketPool pool(arena);
    std::vector<Packet*> held;
    for (int k = 0; k < 150; ++k) held.push_back(pool.take());
    std::sort(held.begin(), held.end());
    REQUIRE(std::adjacent_find(held.begin(), held.end()) == held.end());
    for (Packet* p : held) pool.give(p);
  }
  REQUIRE(arena.allocated() == 3 * PacketPool::kBatch);
}

}  // namespace
}  // namespace weft
