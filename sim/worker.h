// A worker runs the logical processes of one thread, window by window, and this header holds the
// inline half of Context: what handlers call for every event.
//
// One window. The bucket of the current window is copied out grouped by LP (one counting pass, one
// copying pass); then each LP of the window runs its slice: keys of (offset in the window, index)
// are sorted in one word each, ties by `order`. So an LP's state is fetched once per window, not
// once per event. What the LP schedules for itself inside the window goes to a small binary heap
// that is merged into its slice and is empty again before the next LP starts.
//
// Several workers. Each has its own calendar; all stand in the same window. A message to another
// worker's LP goes to a mailbox of the pair (from, to). At the end of a window a worker publishes
// the next window in which it knows of an event (its calendar's or one it has mailed), and meets
// the others at a barrier; all then know the next window, take in their mail, and go on. Mailboxes
// and published values are doubled (by the parity of the round), so one barrier per window is
// enough: who is ahead writes the other copy. Decisions (stop, fault, interval, end) are taken by
// every worker from the same published values, so all take the same.
//
// Ownership: Engine::Impl owns the LPs, their LpState, the channels and the workers. While a window
// runs, an LpState is touched by the worker of that LP only.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "sim/calendar.h"
#include "sim/engine.h"

namespace weft::sim {

struct Channel {
  std::int64_t delay = 0;
  std::uint32_t from = 0;
  std::uint32_t to_and_worker = 0;  ///< LP in the low 24 bits, its worker in the high 8
  std::uint32_t to() const { return to_and_worker & 0xFFFFFF; }
  std::uint32_t worker() const { return to_and_worker >> 24; }
};

/// What the kernel keeps for one LP.
struct alignas(128) LpState {
  static constexpr std::uint32_t kBlock = 16;  ///< timer slots per block; blocks never move

  LogicalProcess* process = nullptr;
  Chain128 chain;
  std::uint64_t next_order = 0;  ///< origin and sequence number of the next event, without class
  std::uint64_t events = 0;
  std::uint64_t unique = 0;
  std::uint32_t id = 0;
  std::uint32_t timer_count = 0;
  std::uint32_t free_timer = UINT32_MAX;
  unsigned worker = 0;
  std::vector<std::unique_ptr<TimerSlot[]>> timers;
  std::unique_ptr<const void*[]> warm;  ///< lines for an arrival, then those for a timer
  std::uint32_t warm_arrival = 0, warm_all = 0;

  std::uint64_t take_order(EventClass c) {
    return static_cast<std::uint64_t>(c) << (Event::kSequenceBits + Event::kOriginBits) |
           next_order++;
  }
  TimerSlot& timer(std::uint32_t slot) { return timers[slot / kBlock][slot % kBlock]; }
  /// The slot of a handle, or null if the timer has fired or been cancelled.
  TimerSlot* find(const TimerId& id_of) {
    if (id_of.slot >= timer_count) return nullptr;
    TimerSlot& slot = timer(id_of.slot);
    return slot.generation == id_of.generation ? &slot : nullptr;
  }
  TimerSlot& new_timer(TimerId& handle);
  void free_slot(TimerSlot& slot) {
    slot.order = 0;
    ++slot.generation;
    slot.next_free = free_timer;
    free_timer = slot.index;
  }
};

/// What a worker tells the others at the end of a window.
struct alignas(64) Published {
  std::uint64_t next = Calendar::kNone;
  std::uint64_t events = 0;
  Time due = Time::never();  ///< of the next interval callback; that of worker 0 holds
  bool stop = false;
  bool fault = false;
};

/// Barrier of `count` threads. Waiters spin for some microseconds if every thread has a core of its
/// own, then block in the kernel.
class Barrier {
 public:
  Barrier(unsigned count, bool spin) : count_(count), spin_(spin) {}
  /// `patience`: the caller's own, spins that it is ready to spend; adapted to what spinning
  /// brings.
  void arrive_and_wait(unsigned& patience);

 private:
  const unsigned count_;
  const bool spin_;
  alignas(64) std::atomic<unsigned> arrived_{0};
  alignas(64) std::atomic<int> phase_{0};
  alignas(64) std::atomic<unsigned> sleepers_{0};
};

/// A callback of Engine::on_interval.
struct Interval {
  Duration every{};
  Time due{};
  std::function<void(Time)> callback;
};

/// What all workers share; written between barriers only, by worker 0, but for the atomics.
struct Meeting {
  Meeting(unsigned workers, bool spin, const std::atomic<bool>& stop_flag,
          std::vector<Interval>& all_intervals)
      : barrier(workers, spin), intervals(all_intervals), stop(stop_flag) {
    for (auto& copy : published) copy.resize(workers);
  }
  /// On worker 0, all others waiting.
  void call_intervals(Time reached);

  Barrier barrier;
  std::vector<Published> published[2];
  std::vector<Interval>& intervals;
  Time next_due = Time::never();
  std::exception_ptr callback_fault;
  const std::atomic<bool>& stop;
  static_assert(std::atomic<bool>::is_always_lock_free);  // request_stop() in a signal handler
};

struct Worker {
  Worker(unsigned index, WindowWidth width, LpState* states, std::size_t lp_count,
         const Channel* channels, std::size_t channel_count, const std::vector<std::string>* names,
         std::uint64_t seed);

  // --- hot path, inlined into handlers -----------------------------------------------------------
  void file(const Event& event) {
    if (!calendar.append_near(event)) [[unlikely]]
      file_slowly(event);
  }
  void file_slowly(const Event& event);  ///< the current window, or beyond the calendar's block
  void mail(std::uint32_t to, const Event& event);
  void send_vehicle(TimerSlot& slot);
  [[noreturn]] void refuse_send(const Event& event, std::uint32_t channel);
  [[noreturn]] void refuse_past(const Event& event);

  // --- one run (all workers together) ----------------------------------------------------------
  /// Runs windows until `until`; the other workers run the same loop on their threads.
  void run(Meeting& meeting, std::vector<std::unique_ptr<Worker>>& all, Time until);
  /// Every event this worker still holds, once the run is over.
  template <class F>
  void drain(F&& f) {
    calendar.drain(f);
    for (const Event& e : near) f(e);
    for (const Event& e : orphans) f(e);
    for (const Event& e : held_) f(e);
    for (auto& copy : outbox)
      for (auto& box : copy)
        for (const Event& e : box) f(e);
  }

  Context context;
  Calendar calendar;
  const Channel* channels;
  std::size_t channel_count;
  unsigned index;
  unsigned parity = 0;
  LpState* states;
  std::uint64_t seed;
  const std::vector<std::string>* names;
  std::array<std::uint32_t, 4> prefetch_offsets{};

  std::vector<Event> near;                    ///< binary heap by key: this LP, this window
  std::vector<std::vector<Event>> outbox[2];  ///< by parity, by worker
  std::uint64_t mailed_next = Calendar::kNone;
  std::vector<Event> orphans;  ///< of a run that ended with a fault
  std::exception_ptr fault;
  std::uint64_t windows = 0;
  Time done{};  ///< everything earlier has been run
  std::uint64_t events = 0;
  /// Lines that this worker's LPs have named; few enough stay in the cache by themselves.
  std::uint64_t warm_lines = 0;
  static constexpr std::uint64_t kManyLines = 8192;

 private:
  /// How far ahead prefetch() looks; `active_` is longer by as much.
  static constexpr std::uint32_t kAhead = 6;

  void run_window(Time limit);
  void run_groups(const Calendar::Bucket& bucket);
  void warm_ahead(std::uint32_t group, std::uint32_t groups);
  void run_slice(LpState& lp, Event* slice, std::uint32_t count);
  void sort_keys(const Event* slice, std::uint32_t count);
  void handle(LpState& lp, const Event& event) {
    if (event.target & kVehicle) [[unlikely]]
      return arrive(lp, event);
    context.now_ = event.time;
    context.order_ = event.order;
    lp.chain.add(static_cast<std::uint64_t>(event.time.ps),
                 event.order + event.kind * 0x9E3779B97F4A7C15ULL);
    ++lp.events;
    lp.process->handle(context, event);
  }
  /// Asks for the cache lines that the handler of an event a few places on will need. `data` may be
  /// no pointer at all: a prefetch of a bad address does nothing.
  void prefetch(const Event& event) const {
    for (std::uint32_t offset : prefetch_offsets)
      __builtin_prefetch(reinterpret_cast<const char*>(event.data + offset));
  }
  void arrive(LpState& lp, const Event& vehicle);
  void run_near(LpState& lp, const Event* before_this);
  void push_near(const Event& event);
  Event pop_near();
  void hold_back(Calendar::Bucket& bucket);
  void reserve(std::size_t events_of_window);

  unsigned patience_ = 1000;
  std::uint64_t all_events_ = 0;  ///< of all workers, when they last met
  Time limit_ = Time::never();
  Time window_start_{};
  std::vector<std::uint32_t> counts_;   ///< by LP: events in the bucket, then end of its slice
  std::vector<std::uint32_t> touched_;  ///< LPs with events in the bucket
  std::unique_ptr<Event[]> active_;     ///< the bucket, grouped by LP
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint64_t> scratch_;
  std::vector<std::uint32_t> bins_;
  std::size_t capacity_ = 0;
  std::vector<Event> held_;  ///< events of the last window that lie at or after the run's end
};

// --- Context: the inline half
// ---------------------------------------------------------------------

inline void Context::send(ChannelId channel, Time at, EventClass c, std::uint16_t kind,
                          std::uint16_t aux, std::uint64_t data) {
  Worker& w = *worker_;
  if (channel.value >= w.channel_count) [[unlikely]]
    w.refuse_send({at, 0, self_.value, kind, aux, data}, channel.value);
  const Channel& ch = w.channels[channel.value];
  const Event event{at, lp_->take_order(c), ch.to(), kind, aux, data};
  if (ch.from != self_.value || at - now_ < Duration{ch.delay}) [[unlikely]]
    w.refuse_send(event, channel.value);
  if (ch.worker() != w.index) return w.mail(ch.worker(), event);
  w.file(event);
}

inline void Context::schedule(Time at, EventClass c, std::uint16_t kind, std::uint16_t aux,
                              std::uint64_t data) {
  const Event event{at, lp_->take_order(c), self_.value, kind, aux, data};
  if (at < now_) [[unlikely]]
    worker_->refuse_past(event);
  worker_->file(event);
}

inline void Context::arm(TimerId& timer, Time at, std::uint16_t kind, std::uint16_t aux,
                         std::uint64_t data) {
  if (at < now_) [[unlikely]]
    worker_->refuse_past({at, lp_->take_order(EventClass::timer), self_.value, kind, aux, data});
  TimerSlot* slot = lp_->find(timer);
  if (!slot) slot = &lp_->new_timer(timer);
  slot->deadline = at;
  slot->order = lp_->take_order(EventClass::timer);
  slot->data = data;
  slot->kind = kind;
  slot->aux = aux;
  if (slot->vehicle_order == 0 || at < slot->vehicle_time) worker_->send_vehicle(*slot);
}

inline void Context::cancel(TimerId& timer) {
  if (TimerSlot* slot = lp_->find(timer)) lp_->free_slot(*slot);
  timer = TimerId{};
}

inline bool Context::armed(const TimerId& timer) const { return lp_->find(timer) != nullptr; }

inline Time Context::deadline(const TimerId& timer) const {
  const TimerSlot* slot = lp_->find(timer);
  return slot ? slot->deadline : Time::never();
}

inline void Context::note(std::uint64_t a, std::uint64_t b) { lp_->chain.add(a, b); }

inline std::uint64_t Context::unique_id() {
  return static_cast<std::uint64_t>(self_.value) << 40 | ++lp_->unique;
}

inline RandomStream Context::stream(std::string_view name) const {
  return RandomStream(worker_->seed, name);
}

inline unsigned Context::worker() const { return worker_->index; }

}  // namespace weft::sim
