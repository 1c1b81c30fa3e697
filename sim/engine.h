// The kernel's public face: logical processes, channels, the context that a handler is given, and
// the engine that runs them. It knows no packet.
//
//   Engine engine{{.seed = 7, .threads = 2}};
//   LpId a = engine.add("hv-1-1", std::make_unique<Hypervisor>(...));
//   LpId b = engine.add("leaf-1", std::make_unique<Switch>(...));
//   ChannelId ab = engine.connect(a, b, microseconds(1));
//   engine.post(a, Time{}, EventClass::command, kStart, 0, 0);      // before the run only
//   engine.run(Time{} + seconds(10));
//
// Rules (each is checked, and a breach is an InternalFault that names the event):
//  - An LP owns its state; only its handler touches it. LPs speak only over channels.
//  - A channel between two LPs has a delay above zero (connect() returns an Error otherwise). A
//    message sent on it at t arrives no earlier than t + delay.
//  - Lookahead = least delay of all channels. Windows (buckets) are no wider than that, so what one
//    LP sends another never lands in the window being run.
//  - Within a window the engine may run LPs in any order, but each LP sees its own events in the
//    order of their keys. Observers therefore collect per LP (or per worker) and merge by key.
//
// Timers. `arm` returns a TimerId owned by the LP. Re-arming takes a new sequence number, so the
// firing order is that of the last arming; the kernel keeps at most one stale vehicle per timer, so
// pushing a retransmission timer back on every acknowledgement costs a store, not a heap entry.
//
// A timer that has fired is no longer armed; its handle may be armed again or dropped. A handle is
// meaningless to another LP. Whoever moves a timer to another LP cancels and re-arms it there. A
// timer that is armed when the engine is destroyed is an event that was never handled (discard).
//
// The bodies of Context's methods are in sim/worker.h, which this header includes at its end: they
// are inlined into handlers. The calendar is described in sim/calendar.h, how windows are run and
// workers meet in sim/worker.h.
//
// Digest. Each LP has a Chain128 to which the kernel adds (time, order, kind) of every event it
// handles; the handler adds what it finds worth adding by Context::note. The run digest combines
// the chains in the order of LP ids.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "sim/event.h"

namespace weft::sim {

class Context;

class LogicalProcess {
 public:
  virtual ~LogicalProcess() = default;
  virtual void handle(Context& context, const Event& event) = 0;
  /// An event for this LP that will never be handled: free what it owns.
  virtual void discard(const Event& event) { (void)event; }
};

/// Cache lines that an LP's handlers will read, for an arrival and for a timer. In a world of
/// thousands of LPs none of them is in the cache any more when its turn comes; the engine fetches
/// them while it runs the LPs before. A hint: addresses may be stale, and nothing depends on them.
struct WarmLines {
  std::vector<const void*> arrival, timer;
  static constexpr std::size_t kMost = 96;  ///< of either kind; more would not arrive in time
  /// All lines of [begin, begin + bytes); those that are there already are not added again.
  static void add(std::vector<const void*>& lines, const void* begin, std::size_t bytes);
  void add(const void* begin, std::size_t bytes) {
    add(arrival, begin, bytes);
    add(timer, begin, bytes);
  }
};

/// A timer of an LP. Default-constructed: not armed. Copying is harmless but pointless.
struct TimerId {
  std::uint32_t slot = UINT32_MAX;
  std::uint32_t generation = 0;
  bool operator==(const TimerId&) const = default;
};

struct EngineOptions {
  std::uint64_t seed = 1;
  unsigned threads = 1;
  /// Upper bound of the width of a window; the lookahead may make it narrower.
  Duration max_window = milliseconds(1);
  /// If Event::data is a pointer: offsets into what it points to that handlers read first. They are
  /// fetched into the cache a few events ahead; a hint, without any other effect.
  std::array<std::uint32_t, 4> prefetch = {0, 64, 192, 256};
};

struct WorkerStats {
  std::uint64_t events = 0;
  std::uint64_t logical_processes = 0;
};

struct EngineStats {
  std::uint64_t events = 0;   ///< handled, vehicles of stale timers not counted
  std::uint64_t windows = 0;  ///< windows that held at least one event
  Duration lookahead{};       ///< least delay between two LPs; zero if there is no such channel
  Duration window{};          ///< width of a window, zero before the first run
  std::uint64_t calendar_bytes = 0;  ///< memory that holds waiting events, all workers
  std::vector<WorkerStats> workers;
};

struct Worker;   // sim/worker.h
struct LpState;  // sim/worker.h

/// What a handler may do. Valid only during the call of handle().
class Context {
 public:
  Time now() const { return now_; }
  LpId self() const { return self_; }
  /// Key of the event being handled, for records that are merged later.
  std::uint64_t order() const { return order_; }

  /// Sends on a channel that starts at this LP; `at` is no earlier than now + the channel's delay.
  void send(ChannelId channel, Time at, EventClass c, std::uint16_t kind, std::uint16_t aux,
            std::uint64_t data);
  /// Schedules for this LP itself; `at` is no earlier than now. Cannot be cancelled: use arm.
  void schedule(Time at, EventClass c, std::uint16_t kind, std::uint16_t aux, std::uint64_t data);

  /// Arms `timer` (a new one, or one that exists, armed or not) for `at` >= now.
  void arm(TimerId& timer, Time at, std::uint16_t kind, std::uint16_t aux, std::uint64_t data);
  /// Cancels; harmless if not armed. The handle becomes a default one.
  void cancel(TimerId& timer);
  bool armed(const TimerId& timer) const;
  /// The deadline, or Time::never() if not armed.
  Time deadline(const TimerId& timer) const;

  /// Replaces what is fetched before this LP's turn.
  void warm(const WarmLines& lines);
  /// Adds to this LP's digest chain.
  void note(std::uint64_t a, std::uint64_t b);
  /// A number that is unique over the run and the same in every run: origin << 40 | counter.
  std::uint64_t unique_id();
  /// A random stream keyed by the run's seed and this name.
  RandomStream stream(std::string_view name) const;
  /// Index of the worker thread that runs this LP now: 0 .. threads-1 (for per-worker pools).
  unsigned worker() const;

 private:
  friend struct Worker;
  friend class Engine;
  Worker* worker_ = nullptr;
  LpState* lp_ = nullptr;
  Time now_{};
  LpId self_{};
  std::uint64_t order_ = 0;
};

class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// `weight`: expected share of the work, for the automatic partition (a hypervisor with 20
  /// guests weighs more than a spine).
  LpId add(std::string name, std::unique_ptr<LogicalProcess> lp, double weight = 1.0);
  /// Declares a channel; `delay` > 0 or an Error that names both ends. A channel from an LP to
  /// itself is allowed to have any delay.
  Result<ChannelId> connect(LpId from, LpId to, Duration delay);
  /// Before or between runs, at >= reached(): an event from outside (origin: the target itself).
  void post(LpId target, Time at, EventClass c, std::uint16_t kind, std::uint16_t aux,
            std::uint64_t data);

  /// Runs every event with time < `until` (events at `until` itself do not run). May be called
  /// again with a later time. Throws InternalFault on a breach, after all workers have stopped.
  void run(Time until);
  /// Asks a running engine to stop at the end of its current window (Ctrl-C; any thread, and
  /// safe in a signal handler).
  void request_stop();
  /// A stop was requested. It stays so, and run() returns at once, until clear_stop().
  bool stopped() const;
  void clear_stop();
  /// The time up to which everything has been run.
  Time reached() const;

  /// Called on the calling thread of run() between windows, at most every `every` of *simulated*
  /// time, with all workers at rest: progress, checkers, flushing observers. Cannot schedule.
  void on_interval(Duration every, std::function<void(Time)> callback);

  Chain128 digest() const;
  Chain128 chain(LpId lp) const;
  std::uint64_t events_of(LpId lp) const;
  EngineStats stats() const;
  LogicalProcess& process(LpId lp);
  const std::string& name(LpId lp) const;
  std::size_t size() const;
  /// The worker that an LP belongs to; meaningful after the first run().
  unsigned worker_of(LpId lp) const;
  /// Index range of Context::worker(): EngineOptions::threads, at least 1.
  unsigned threads() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::sim

#include "sim/worker.h"  // IWYU pragma: keep: Context's inline bodies
