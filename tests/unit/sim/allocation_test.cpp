// Nothing allocates per event in the steady state: operator new of this whole program is counted.
#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/catch.h"
#include "tests/unit/sim/random_graph.h"

namespace {
std::atomic<std::uint64_t> allocations{0};

void* counted(std::size_t size, std::size_t alignment) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::aligned_alloc(alignment, (size + alignment) / alignment * alignment);
}
void* counted_or_throw(std::size_t size, std::size_t alignment) {
  void* p = counted(size, alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
constexpr std::size_t kUsual = alignof(std::max_align_t);
}  // namespace

// All forms, so that none is left to a sanitizer's runtime, which would miss its partner.
using Alignment = std::align_val_t;
using Quiet = std::nothrow_t;
void* operator new(std::size_t n) { return counted_or_throw(n, kUsual); }
void* operator new[](std::size_t n) { return counted_or_throw(n, kUsual); }
void* operator new(std::size_t n, const Quiet&) noexcept { return counted(n, kUsual); }
void* operator new[](std::size_t n, const Quiet&) noexcept { return counted(n, kUsual); }
void* operator new(std::size_t n, Alignment a) { return counted_or_throw(n, std::size_t(a)); }
void* operator new[](std::size_t n, Alignment a) { return counted_or_throw(n, std::size_t(a)); }
void* operator new(std::size_t n, Alignment a, const Quiet&) noexcept {
  return counted(n, std::size_t(a));
}
void* operator new[](std::size_t n, Alignment a, const Quiet&) noexcept {
  return counted(n, std::size_t(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, Alignment) noexcept { std::free(p); }
void operator delete[](void* p, Alignment) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, Alignment) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, Alignment) noexcept { std::free(p); }
void operator delete(void* p, const Quiet&) noexcept { std::free(p); }
void operator delete[](void* p, const Quiet&) noexcept { std::free(p); }
void operator delete(void* p, Alignment, const Quiet&) noexcept { std::free(p); }
void operator delete[](void* p, Alignment, const Quiet&) noexcept { std::free(p); }

using namespace weft;
using namespace weft::sim;
using namespace weft::sim::test;

namespace {

/// Sends on, pushes a timer back, cancels another, schedules something within the window.
struct Steady : LogicalProcess {
  std::vector<ChannelId> out;
  TimerId retransmission, probe;
  std::uint64_t handled = 0;
  void handle(Context& c, const Event& e) override {
    ++handled;
    c.arm(retransmission, c.now() + milliseconds(20), 1, 0, 0);
    c.cancel(probe);
    c.arm(probe, c.now() + microseconds(3 + handled % 5), 2, 0, 0);
    if (e.kind == 0) {
      const auto way = static_cast<std::size_t>((handled * 0x9E3779B97F4A7C15ULL) >> 33);
      c.schedule(c.now() + nanoseconds(150), EventClass::port_state, 3, 0, 0);
      c.send(out[way % out.size()],
             c.now() + microseconds(1) + nanoseconds(static_cast<std::int64_t>(handled % 7) * 300),
             EventClass::arrival, 0, 0, 0);
    }
  }
};

}  // namespace

TEST_CASE("nothing allocates per event in the steady state") {
  for (unsigned threads : {1u, 2u}) {
    Engine engine{{.threads = threads}};
    std::vector<Steady*> lps;
    for (std::uint32_t i = 0; i < 20; ++i) {
      auto lp = std::make_unique<Steady>();
      lps.push_back(lp.get());
      engine.add("lp", std::move(lp));
    }
    for (std::uint32_t i = 0; i < 20; ++i) {
      for (std::uint32_t k : {1u, 6u, 13u})
        lps[i]->out.push_back(*engine.connect(LpId{i}, LpId{(i + k) % 20}, microseconds(1)));
      for (int k = 0; k < 30; ++k)
        engine.post(LpId{i}, Time{k * 1000}, EventClass::command, 0, 0, 0);
    }
    engine.run(Time{} + milliseconds(6));  // pools and mailboxes reach their size
    const std::uint64_t events = engine.stats().events;
    const std::uint64_t before_it = allocations;
    engine.run(Time{} + milliseconds(12));
    const std::uint64_t allocated = allocations - before_it;
    const std::uint64_t handled = engine.stats().events - events;
    CAPTURE(threads, handled, allocated);
    CHECK(handled > 1'000'000);
    CHECK(allocated < 100);  // a thread, a mailbox that grows once more; not one per 10^4 events
  }
}
