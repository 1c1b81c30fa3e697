#include "sim/worker.h"

#include <algorithm>
#include <bit>
#include <climits>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace weft::sim {

namespace {

constexpr std::uint32_t kInsertionSort = 24;  ///< up to here a slice is sorted by insertion
constexpr unsigned kLeastSpins = 16, kMostSpins = 4000;  ///< pauses before a waiting worker blocks

bool after(const Event& a, const Event& b) { return before(b, a); }

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// std::atomic::wait yields its time slice several times before it blocks, which on a machine with
// other work costs milliseconds per window; the kernel is asked directly where that is possible.
void sleep_while(std::atomic<int>& word, int value) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<int*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
#else
  word.wait(value);
#endif
}

void wake_all(std::atomic<int>& word) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<int*>(&word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr,
          0);
#else
  word.notify_all();
#endif
}

void insertion_sort(std::uint64_t* keys, std::uint32_t count) {
  for (std::uint32_t i = 1; i < count; ++i) {
    const std::uint64_t key = keys[i];
    std::uint32_t j = i;
    for (; j > 0 && keys[j - 1] > key; --j) keys[j] = keys[j - 1];
    keys[j] = key;
  }
}

std::string describe(const Event& e, const std::vector<std::string>& names) {
  const auto name = [&](std::uint32_t lp) {
    return lp < names.size() ? names[lp] : fmt::format("LP {}", lp);
  };
  const std::uint32_t target = e.target & ~kVehicle;
  return fmt::format("event (time {} ps, class {}, origin {}, sequence {}) for {}, kind {}",
                     e.time.ps, to_string(e.event_class()), name(e.origin().value), e.sequence(),
                     name(target), e.kind);
}

}  // namespace

void Barrier::arrive_and_wait(unsigned& patience) {
  const int phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) != 0) wake_all(phase_);
    return;
  }
  for (unsigned i = 0; spin_ && i < patience; ++i) {
    if (phase_.load(std::memory_order_acquire) != phase) {
      patience = std::min(patience + patience / 8 + 1, kMostSpins);
      return;
    }
    pause();
  }
  patience = std::max(patience / 2, kLeastSpins);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (phase_.load(std::memory_order_seq_cst) == phase) sleep_while(phase_, phase);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

TimerSlot& LpState::new_timer(TimerId& handle) {
  if (free_timer == UINT32_MAX) {
    timers.push_back(std::make_unique<TimerSlot[]>(kBlock));
    for (std::uint32_t i = kBlock; i-- > 0;) {
      TimerSlot& slot = timers.back()[i];
      slot.index = timer_count + i;
      slot.next_free = free_timer;
      free_timer = slot.index;
    }
    timer_count += kBlock;
  }
  TimerSlot& slot = timer(free_timer);
  free_timer = slot.next_free;
  handle = {slot.index, slot.generation};
  return slot;
}

Worker::Worker(unsigned index_of, WindowWidth width, LpState* lp_states, std::size_t lp_count,
               const Channel* all_channels, std::size_t count_of_channels,
               const std::vector<std::string>* lp_names, std::uint64_t run_seed)
    : calendar(width),
      channels(all_channels),
      channel_count(count_of_channels),
      index(index_of),
      states(lp_states),
      seed(run_seed),
      names(lp_names),
      counts_(lp_count),
      touched_(lp_count + 1) {
  context.worker_ = this;
}

// --- what handlers call, rare half
// ------------------------------------------------------------------

void Worker::file_slowly(const Event& event) {
  if (calendar.window_of(event.time) == calendar.current()) return push_near(event);
  calendar.place(event);
}

void Worker::mail(std::uint32_t to, const Event& event) {
  outbox[parity][to].push_back(event);
  mailed_next = std::min(mailed_next, calendar.visible(calendar.window_of(event.time)));
}

void Worker::send_vehicle(TimerSlot& slot) {
  const std::uint64_t current = calendar.current();
  // A vehicle within the window being run cannot be taken out: it will find itself superseded.
  if (slot.vehicle_order != 0 && calendar.window_of(slot.vehicle_time) != current)
    calendar.remove_vehicle(slot);
  slot.vehicle_time = slot.deadline;
  slot.vehicle_order = slot.order;
  const Event vehicle{slot.deadline,
                      slot.order,
                      context.self_.value | kVehicle,
                      0,
                      0,
                      reinterpret_cast<std::uintptr_t>(&slot)};
  if (calendar.window_of(slot.deadline) == current) return push_near(vehicle);
  calendar.place(vehicle);
}

void Worker::refuse_send(const Event& event, std::uint32_t channel) {
  orphans.push_back(event);
  if (channel >= channel_count)
    throw InternalFault(fmt::format("{} at {} ps: send on channel {}, which does not exist: {}",
                                    (*names)[context.self_.value], context.now_.ps, channel,
                                    describe(event, *names)));
  const Channel& ch = channels[channel];
  if (ch.from != context.self_.value)
    throw InternalFault(fmt::format("{} at {} ps: send on channel {}, which starts at {}: {}",
                                    (*names)[context.self_.value], context.now_.ps, channel,
                                    (*names)[ch.from], describe(event, *names)));
  throw InternalFault(
      fmt::format("{} at {} ps: message sent too early, the channel to {} has a delay of {} ps: {}",
                  (*names)[context.self_.value], context.now_.ps, (*names)[ch.to()], ch.delay,
                  describe(event, *names)));
}

void Worker::refuse_past(const Event& event) {
  orphans.push_back(event);
  throw InternalFault(fmt::format("{} at {} ps: scheduled in the past: {}",
                                  (*names)[context.self_.value], context.now_.ps,
                                  describe(event, *names)));
}

// --- one window
// -----------------------------------------------------------------------------------

void Worker::push_near(const Event& event) {
  near.push_back(event);
  std::push_heap(near.begin(), near.end(), after);
}

Event Worker::pop_near() {
  std::pop_heap(near.begin(), near.end(), after);
  const Event event = near.back();
  near.pop_back();
  return event;
}

void Worker::run_near(LpState& lp, const Event* before_this) {
  while (!near.empty() && (!before_this || before(near.front(), *before_this))) {
    const Event event = pop_near();
    if (event.time >= limit_) {
      held_.push_back(event);
    } else {
      handle(lp, event);
    }
  }
}

void Worker::arrive(LpState& lp, const Event& vehicle) {
  TimerSlot& slot = *vehicle.pointer<TimerSlot>();
  if (slot.vehicle_order != vehicle.order) return;
  slot.vehicle_order = 0;
  if (slot.order == 0) return;
  context.now_ = vehicle.time;
  if (slot.order != vehicle.order) return send_vehicle(slot);
  const Event firing{vehicle.time, vehicle.order, lp.id, slot.kind, slot.aux, slot.data};
  lp.free_slot(slot);
  handle(lp, firing);
}

void Worker::sort_keys(const Event* slice, std::uint32_t count) {
  std::uint64_t* keys = keys_.data();
  const auto key = [&](std::uint32_t i) {
    return static_cast<std::uint64_t>((slice[i].time - window_start_).ps) << 32 | i;
  };
  if (count <= kInsertionSort) {
    for (std::uint32_t i = 0; i < count; ++i) keys[i] = key(i);
  } else {
    // As many bins over the window as there are events, so that a bin holds one or two.
    const int bin_bits = std::bit_width(count - 1);
    const int width_bits = std::bit_width(static_cast<std::uint64_t>(calendar.width().ps - 1));
    const int shift = 32 + std::max(0, width_bits - bin_bits);
    const std::size_t bins = std::size_t{1} << bin_bits;
    if (bins_.size() < bins) bins_.resize(bins);
    std::fill_n(bins_.begin(), bins, 0);
    for (std::uint32_t i = 0; i < count; ++i) ++bins_[(scratch_[i] = key(i)) >> shift];
    std::uint32_t sum = 0;
    for (std::size_t b = 0; b < bins; ++b) sum += bins_[b], bins_[b] = sum - bins_[b];
    for (std::uint32_t i = 0; i < count; ++i) keys[bins_[scratch_[i] >> shift]++] = scratch_[i];
    std::uint32_t first = 0;
    for (std::size_t b = 0; b < bins; first = bins_[b++])
      if (bins_[b] - first > kInsertionSort) std::sort(keys + first, keys + bins_[b]);
  }
  insertion_sort(keys, count);
  for (std::uint32_t i = 1; i < count; ++i) {
    if ((keys[i] ^ keys[i - 1]) >> 32 != 0) [[likely]]
      continue;
    std::uint32_t end = i + 1;
    while (end < count && (keys[end] ^ keys[i]) >> 32 == 0) ++end;
    const auto at = [&](std::uint64_t k) -> const Event& {
      return slice[static_cast<std::uint32_t>(k)];
    };
    std::sort(keys + i - 1, keys + end,
              [&](std::uint64_t a, std::uint64_t b) { return at(a).order < at(b).order; });
    for (std::uint32_t j = i; j < end; ++j)
      WEFT_CHECK(at(keys[j]).order != at(keys[j - 1]).order, "two events with one key: {}",
                 describe(at(keys[j]), *names));
    i = end - 1;
  }
}

void Worker::run_slice(LpState& lp, Event* slice, std::uint32_t count) {
  context.self_ = LpId{lp.id};
  context.lp_ = &lp;
  const std::uint64_t events_before = lp.events;
  std::uint32_t taken = 0;
  keys_[0] = 0;
  try {
    if (count > 1) sort_keys(slice, count);
    while (taken < count) {
      const Event& event = slice[static_cast<std::uint32_t>(keys_[taken])];
      if (!near.empty()) run_near(lp, &event);
      ++taken;
      prefetch(slice[taken + kAhead - 1]);
      handle(lp, event);
    }
    if (!near.empty()) run_near(lp, nullptr);
    WEFT_CHECK((lp.next_order >> Event::kSequenceBits) == lp.id, "{} has used up its numbers",
               (*names)[lp.id]);
  } catch (...) {
    while (taken < count) orphans.push_back(slice[static_cast<std::uint32_t>(keys_[taken++])]);
    events += lp.events - events_before;
    throw;
  }
  events += lp.events - events_before;
}

void Worker::reserve(std::size_t count) {
  if (count <= capacity_) return;
  capacity_ = std::max(count + count / 2, std::size_t{256});
  WEFT_CHECK(capacity_ <= UINT32_MAX, "{} events in one window", count);
  active_ = std::make_unique<Event[]>(capacity_ + kAhead);
  keys_.resize(capacity_);
  scratch_.resize(capacity_);
}

// In steps, each of which reads what an earlier one has fetched: an LP's state, the list of its
// lines, the lines.
void Worker::warm_ahead(std::uint32_t group, std::uint32_t groups) {
  asm volatile("");  // g++ leaves out calls of functions that do nothing but fetch
  const std::uint32_t* touched = touched_.data();
  if (group + 3 < groups) {
    const char* state = reinterpret_cast<const char*>(&states[touched[group + 3]]);
    __builtin_prefetch(state, 1);
    __builtin_prefetch(state + 64, 1);
  }
  if (group + 2 < groups) {
    const LpState& lp = states[touched[group + 2]];
    const char* process = reinterpret_cast<const char*>(lp.process);
    __builtin_prefetch(process);
    __builtin_prefetch(process + 64);
    __builtin_prefetch(lp.timers.data());
    const void* const* lines = lp.warm.get();
    for (std::uint32_t i = 0; i < lp.warm_all; i += 8) __builtin_prefetch(lines + i);
  }
  if (group + 1 < groups) {
    const LpState& lp = states[touched[group + 1]];
    const std::uint32_t begin = counts_[touched[group]];  // the end of the slice before it
    const bool timer = (active_[begin].target & kVehicle) != 0;
    const void* const* lines = lp.warm.get();
    const std::uint32_t end = timer ? lp.warm_all : lp.warm_arrival;
    for (std::uint32_t i = timer ? lp.warm_arrival : 0; i < end; ++i)
      __builtin_prefetch(lines[i], 1);
  }
}

void WarmLines::add(std::vector<const void*>& lines, const void* begin, std::size_t bytes) {
  constexpr std::uintptr_t kLine = 64;
  if (begin == nullptr || bytes == 0) return;
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  for (std::uintptr_t line = at & ~(kLine - 1); line < at + bytes; line += kLine) {
    const auto* p = reinterpret_cast<const void*>(line);
    if (lines.size() >= kMost) return;
    if (std::find(lines.begin(), lines.end(), p) == lines.end()) lines.push_back(p);
  }
}

void Context::warm(const WarmLines& lines) {
  LpState& lp = *lp_;
  const auto all = static_cast<std::uint32_t>(lines.arrival.size() + lines.timer.size());
  worker_->warm_lines += all;
  worker_->warm_lines -= lp.warm_all;
  lp.warm = std::make_unique<const void*[]>(all);
  std::copy(lines.timer.begin(), lines.timer.end(),
            std::copy(lines.arrival.begin(), lines.arrival.end(), lp.warm.get()));
  lp.warm_arrival = static_cast<std::uint32_t>(lines.arrival.size());
  lp.warm_all = all;
}

void Worker::run_groups(const Calendar::Bucket& bucket) {
  const auto for_each = [&](auto&& f) {
    for (std::size_t i = 0; i < bucket.chunk_count; ++i) {
      const Event* e = bucket.chunks[i]->events;
      const std::size_t left = bucket.events - i * Chunk::kEvents;
      for (const Event* end = e + std::min(left, Chunk::kEvents); e != end; ++e) f(*e);
    }
  };
  std::uint32_t* counts = counts_.data();
  std::uint32_t* touched = touched_.data();
  std::uint32_t groups = 0;
  for_each([&](const Event& e) {
    const std::uint32_t lp = e.target & ~kVehicle;
    touched[groups] = lp;
    groups += counts[lp]++ == 0;
  });
  std::uint32_t sum = 0;
  for (std::uint32_t g = 0; g < groups; ++g) {
    std::uint32_t& c = counts[touched[g]];
    sum += c;
    c = sum - c;
  }
  for_each([&](const Event& e) { active_[counts[e.target & ~kVehicle]++] = e; });
  calendar.recycle(bucket);

  std::uint32_t group = 0, first = 0;
  try {
    while (group < groups) {
      const std::uint32_t lp = touched[group++];
      const std::uint32_t begin = first;
      first = counts[lp];
      counts[lp] = 0;
      // Fetch what the LPs after this one will touch first: their state and object.
      if (warm_lines >= kManyLines) {
        warm_ahead(group, groups);
      } else {
        if (group + 1 < groups) __builtin_prefetch(&states[touched[group + 1]], 1);
        if (group < groups) {
          const char* next = reinterpret_cast<const char*>(states[touched[group]].process);
          __builtin_prefetch(next);
          __builtin_prefetch(next + 64);
        }
      }
      run_slice(states[lp], &active_[begin], first - begin);
    }
  } catch (...) {
    while (first < sum) orphans.push_back(active_[first++]);
    throw;
  }
}

void Worker::hold_back(Calendar::Bucket& bucket) {
  std::vector<Event> runs;
  for (std::size_t i = 0; i < bucket.events; ++i) {
    const Event& e = bucket.chunks[i / Chunk::kEvents]->events[i % Chunk::kEvents];
    (e.time < limit_ ? runs : held_).push_back(e);
  }
  calendar.recycle(bucket);
  for (const Event& e : runs) calendar.place(e);
  bucket = calendar.open();
}

void Worker::run_window(Time limit) {
  limit_ = limit;
  window_start_ = calendar.start_of(calendar.current());
  Calendar::Bucket bucket = calendar.open();
  if (bucket.events == 0) return;
  if (limit - window_start_ < calendar.width()) hold_back(bucket);
  reserve(bucket.events);
  run_groups(bucket);
  for (const Event& e : held_) calendar.place(e);
  held_.clear();
}

// --- one run
// --------------------------------------------------------------------------------------

void Worker::run(Meeting& meeting, std::vector<std::unique_ptr<Worker>>& all, Time until) {
  const bool alone = all.size() == 1;
  bool cut = false;  // the window that `until` cuts has been run; what it holds back stays there
  while (true) {
    Published& mine = meeting.published[parity][index];
    mine.next = std::min(calendar.next(), mailed_next);
    mine.events = events;
    mine.due = meeting.next_due;
    mine.stop = meeting.stop.load(std::memory_order_relaxed);
    mine.fault = fault != nullptr;
    mailed_next = Calendar::kNone;
    if (!alone) meeting.barrier.arrive_and_wait(patience_);

    Published told;
    for (const Published& p : meeting.published[parity]) {
      told.next = std::min(told.next, p.next);
      told.events += p.events;
      told.stop |= p.stop;
      told.fault |= p.fault;
    }
    told.due = meeting.published[parity][0].due;
    windows += told.events != all_events_;
    all_events_ = told.events;
    if (!alone) {
      for (auto& other : all) {
        std::vector<Event>& box = other->outbox[parity][index];
        for (const Event& e : box) calendar.place(e);
        box.clear();
      }
      parity ^= 1;
    }

    if (told.fault) return;
    const bool idle = cut || told.next == Calendar::kNone || calendar.start_of(told.next) >= until;
    const Time reached = idle ? until : std::max(done, calendar.start_of(told.next));
    done = std::max(done, reached);
    if (idle || told.stop) return;
    if (told.due <= reached) {
      if (!alone) meeting.barrier.arrive_and_wait(patience_);
      if (index == 0) meeting.call_intervals(reached);
      if (!alone) meeting.barrier.arrive_and_wait(patience_);
      if (meeting.callback_fault) return;
    }
    calendar.advance(told.next);
    cut = until - calendar.start_of(told.next) < calendar.width();
    try {
      run_window(until);
    } catch (...) {
      fault = std::current_exception();
    }
  }
}

void Meeting::call_intervals(Time reached) {
  next_due = Time::never();
  try {
    for (Interval& interval : intervals) {
      if (interval.due <= reached) {
        interval.callback(reached);
        interval.due = Time{} + interval.every * (reached.ps / interval.every.ps + 1);
      }
      next_due = std::min(next_due, interval.due);
    }
  } catch (...) {
    callback_fault = std::current_exception();
  }
}

}  // namespace weft::sim
