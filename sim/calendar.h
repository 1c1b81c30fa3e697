// The lookahead calendar: where events wait until their window is reached.
//
// Time is cut into windows of one width, which is no more than the lookahead (engine.h). Window
// number b holds the events with b*width <= time < (b+1)*width. Because nothing that one LP sends
// another lands in the window being run, a window's bucket is only ever appended to while it waits,
// and is ordered once, when it is reached (worker.cpp). So an event costs one append, one copy out
// and its share of a sort of a few neighbours in the cache: no tree, no heap, whatever the number
// of events that wait.
//
// Buckets form a radix wheel of six levels with 4096 slots each. The level of a window is that of
// the highest base-4096 digit in which its number differs from the current one: level 0 holds
// single windows, level 1 blocks of 4096 windows, and so on. Reaching a block cascades it one level
// down or more, so even an event a year away is moved five times at most. A bitmap of the slots in
// use lets idle time be skipped in a handful of instructions.
//
// A bucket is a list of 1 KiB chunks of 31 events, linked backwards, and is known by one pointer to
// its next free place; that place lying on a chunk's end says "full", and null says "empty" (null
// is a multiple of 1 KiB too, so one test finds both). Chunks are recycled, last freed first used,
// and never returned before the calendar dies: nothing allocates in the steady state.
//
// A timer's vehicle (TimerSlot below) knows where it lies, so that it can be taken out when its
// timer is moved to an earlier time: the last event of the bucket takes its place.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/time.h"
#include "sim/event.h"

namespace weft::sim {

/// In Event::target: the event is the vehicle of a timer, and `data` its TimerSlot.
inline constexpr std::uint32_t kVehicle = 1u << 31;

/// A timer of an LP. Its `order` is that of the last arming (0: not armed); the vehicle is the one
/// event in the calendar that will look at the timer, at `vehicle_time` <= `deadline` (it may have
/// been sent for an earlier arming; vehicle_order 0: none is under way). Stable in memory.
struct alignas(64) TimerSlot {
  Time deadline{};
  std::uint64_t order = 0;
  std::uint64_t data = 0;
  Time vehicle_time{};
  std::uint64_t vehicle_order = 0;
  Event* where = nullptr;  ///< of the vehicle while it waits in a bucket
  std::uint32_t generation = 0;
  std::uint32_t next_free = UINT32_MAX;
  std::uint32_t index = 0;
  std::uint16_t kind = 0;
  std::uint16_t aux = 0;
};

/// A window's width, chosen so that finding the window of a time is a shift and a multiplication:
/// m * 2^shift picoseconds with m < 256, at most 1 % below what was asked for.
class WindowWidth {
 public:
  explicit WindowWidth(Duration most);
  std::uint64_t index(Time t) const {
    const auto halves = static_cast<std::uint64_t>(t.ps) >> shift_ << 1;
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(halves) * reciprocal_ >> 64);
  }
  Time start(std::uint64_t window) const { return {static_cast<std::int64_t>(window * width_)}; }
  Duration width() const { return {static_cast<std::int64_t>(width_)}; }

  /// Offsets within a window fit 32 bits; a wider window is never chosen.
  static constexpr std::int64_t kWidest = (std::int64_t{1} << 32) - 1;

 private:
  std::uint64_t width_ = 1;
  std::uint64_t reciprocal_ = 0;  ///< 2^63 / m, rounded up
  unsigned shift_ = 0;
};

struct alignas(1024) Chunk {
  static constexpr std::size_t kEvents = 31;
  Chunk* previous;
  std::uint64_t padding[3];
  Event events[kEvents];

  static Chunk* of(Event* cursor) {
    return reinterpret_cast<Chunk*>((reinterpret_cast<std::uintptr_t>(cursor) - 1) &
                                    ~std::uintptr_t{1023});
  }
};
static_assert(sizeof(Chunk) == 1024);

class Calendar {
 public:
  static constexpr int kDigitBits = 12;
  static constexpr int kLevels = 6;
  static constexpr std::uint64_t kSlots = 1u << kDigitBits;
  static constexpr std::uint64_t kNone = UINT64_MAX;

  explicit Calendar(WindowWidth width);
  Calendar(const Calendar&) = delete;
  Calendar& operator=(const Calendar&) = delete;

  std::uint64_t current() const { return current_; }
  std::uint64_t window_of(Time t) const { return width_.index(t); }
  Time start_of(std::uint64_t window) const { return width_.start(window); }
  Duration width() const { return width_.width(); }

  /// The hot path: files an event that belongs to a later window of the current block. False, and
  /// nothing done, if it belongs to the current window or beyond the block (one comparison).
  bool append_near(const Event& event) {
    const std::uint64_t window = width_.index(event.time);
    if ((window ^ current_) - 1 >= kSlots - 1) [[unlikely]]
      return false;
    *take_place(0, window & (kSlots - 1)) = event;
    return true;
  }
  /// Files any event with window >= current(), and says where it lies. Keeps TimerSlot::where.
  Event* place(const Event& event);
  /// Takes the vehicle of `slot` out; it lies in a bucket, not in the window being run.
  void remove_vehicle(TimerSlot& slot);

  /// The next window that may hold an event: exact within the current block, else the first window
  /// of the next block in use (empty windows may be visited). kNone: no event waits.
  std::uint64_t next() const;
  /// What next() of another calendar would say if it held an event of `window` only.
  std::uint64_t visible(std::uint64_t window) const;
  /// Makes `window` (no later than next()) the current one.
  void advance(std::uint64_t window);

  /// The bucket of the current window, detached; chunks in the order of filling, all full but the
  /// last. Give the chunks back with recycle().
  struct Bucket {
    Chunk* const* chunks;
    std::size_t chunk_count;
    std::size_t events;
  };
  Bucket open();
  void recycle(const Bucket& bucket);

  /// Takes out every event of every bucket (the run is over): calls f(Event) for each.
  template <class F>
  void drain(F&& f) {
    for (Level& level : levels_)
      for (std::uint64_t slot = 0; slot < kSlots; ++slot)
        if (level.cursors) drain_slot(level, slot, f);
  }
  std::uint64_t bytes() const;

 private:
  struct Level {
    std::unique_ptr<Event*[]> cursors;
    std::uint64_t summary = 0;
    std::uint64_t used[kSlots / 64] = {};
  };
  struct Slabs {
    std::vector<Chunk*> slabs;
    ~Slabs();
  };

  Event* take_place(int level, std::uint64_t slot) {
    Event*& cursor = levels_[level].cursors[slot];
    if ((reinterpret_cast<std::uintptr_t>(cursor) & 1023) == 0) [[unlikely]]
      grow(level, slot);
    return cursor++;
  }
  int level_of(std::uint64_t window) const {
    const std::uint64_t differs = window ^ current_;
    return differs == 0 ? 0 : (63 - std::countl_zero(differs)) / kDigitBits;
  }
  void grow(int level, std::uint64_t slot);
  void cascade(int level, std::uint64_t slot);
  Chunk* new_chunk();
  void free_chunk(Chunk* chunk) {
    chunk->previous = free_;
    free_ = chunk;
  }
  void clear_slot(Level& level, std::uint64_t slot) {
    level.cursors[slot] = nullptr;
    level.used[slot >> 6] &= ~(1ULL << (slot & 63));
    if (level.used[slot >> 6] == 0) level.summary &= ~(1ULL << (slot >> 6));
  }
  template <class F>
  void drain_slot(Level& level, std::uint64_t slot, F&& f) {
    Event* end = level.cursors[slot];
    if (!end) return;
    clear_slot(level, slot);
    for (Chunk* chunk = Chunk::of(end); chunk;) {
      for (Event* e = chunk->events; e != end; ++e) f(*e);
      Chunk* before_it = chunk->previous;
      free_chunk(chunk);
      chunk = before_it;
      if (chunk) end = chunk->events + Chunk::kEvents;
    }
  }

  WindowWidth width_;
  std::uint64_t current_ = 0;
  Level levels_[kLevels];
  Chunk* free_ = nullptr;
  std::vector<Chunk*> opened_;
  Slabs slabs_;
};

}  // namespace weft::sim
