#include "sim/engine.h"

#include <algorithm>
#include <thread>

#include "sim/partition.h"

namespace weft::sim {

struct Engine::Impl {
  explicit Impl(EngineOptions o) : options(o) {
    options.threads = std::clamp(options.threads, 1u, 256u);
    WEFT_CHECK(options.max_window.ps > 0, "max_window is {} ps", options.max_window.ps);
  }
  ~Impl();

  EngineOptions options;
  std::vector<std::unique_ptr<LogicalProcess>> processes;
  std::vector<std::string> names;
  std::vector<double> weights;
  std::vector<LpState> states;
  std::vector<Channel> channels;
  Duration lookahead = Duration{INT64_MAX};

  std::vector<Event> posted;  ///< not yet filed
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<Meeting> meeting;
  std::vector<Interval> intervals;
  std::atomic<bool> stop{false};
  bool failed = false;

  bool started() const { return !workers.empty(); }
  void start();
  void file_posted();
  void run_all(Time until);
};

Engine::Impl::~Impl() {
  const auto discard = [this](const Event& e) {
    if (!(e.target & kVehicle)) processes[e.target]->discard(e);
  };
  for (const Event& e : posted) discard(e);
  for (auto& worker : workers) worker->drain(discard);
  for (LpState& lp : states) {
    for (std::uint32_t i = 0; i < lp.timer_count; ++i) {
      const TimerSlot& slot = lp.timer(i);
      if (slot.order != 0)
        discard({slot.deadline, slot.order, lp.id, slot.kind, slot.aux, slot.data});
    }
  }
}

void Engine::Impl::start() {
  const std::size_t count = processes.size();
  const auto worker_count =
      static_cast<unsigned>(std::clamp<std::size_t>(count, 1, options.threads));
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (const Channel& ch : channels)
    if (ch.from != ch.to()) edges.emplace_back(ch.from, ch.to());
  const std::vector<unsigned> part = assign_workers(weights, edges, worker_count);
  for (LpState& lp : states) {
    lp.process = processes[lp.id].get();
    lp.worker = part[lp.id];
  }
  for (Channel& ch : channels) ch.to_and_worker |= part[ch.to()] << 24;

  const WindowWidth width(std::min(lookahead, options.max_window));
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  meeting = std::make_unique<Meeting>(worker_count, worker_count <= cores, stop, intervals);
  for (unsigned i = 0; i < worker_count; ++i) {
    workers.push_back(std::make_unique<Worker>(i, width, states.data(), count, channels.data(),
                                               channels.size(), &names, options.seed));
    workers.back()->prefetch_offsets = options.prefetch;
    for (auto& copy : workers.back()->outbox) copy.resize(worker_count);
  }
}

void Engine::Impl::file_posted() {
  for (const Event& e : posted) workers[states[e.target].worker]->calendar.place(e);
  posted.clear();
}

void Engine::Impl::run_all(Time until) {
  // A thread that cannot be started must not leave the others waiting at the barrier.
  enum { kWait, kGo, kAbort };
  std::atomic<int> signal{kWait};
  std::vector<std::thread> threads;
  const auto start_all = [&](int what) {
    signal.store(what, std::memory_order_release);
    signal.notify_all();
  };
  try {
    for (std::size_t i = 1; i < workers.size(); ++i) {
      threads.emplace_back([&, i] {
        signal.wait(kWait, std::memory_order_acquire);
        if (signal.load(std::memory_order_acquire) == kGo)
          workers[i]->run(*meeting, workers, until);
      });
    }
  } catch (...) {
    start_all(kAbort);
    for (std::thread& t : threads) t.join();
    throw;
  }
  start_all(kGo);
  workers[0]->run(*meeting, workers, until);
  for (std::thread& t : threads) t.join();
}

Engine::Engine(EngineOptions options) : impl_(std::make_unique<Impl>(options)) {}
Engine::~Engine() = default;

LpId Engine::add(std::string name, std::unique_ptr<LogicalProcess> lp, double weight) {
  Impl& m = *impl_;
  WEFT_CHECK(!m.started(), "LP {} added after the run began", name);
  WEFT_CHECK(lp != nullptr, "LP {} is null", name);
  WEFT_CHECK(weight >= 0, "LP {} has weight {}", name, weight);
  const auto id = static_cast<std::uint32_t>(m.processes.size());
  WEFT_CHECK(id < (1u << Event::kOriginBits), "more than 2^24 logical processes");
  m.processes.push_back(std::move(lp));
  m.names.push_back(std::move(name));
  m.weights.push_back(weight);
  LpState& state = m.states.emplace_back();
  state.id = id;
  state.next_order = static_cast<std::uint64_t>(id) << Event::kSequenceBits;
  return LpId{id};
}

Result<ChannelId> Engine::connect(LpId from, LpId to, Duration delay) {
  Impl& m = *impl_;
  WEFT_CHECK(!m.started(), "a channel was declared after the run began");
  WEFT_CHECK(from.value < size() && to.value < size(), "channel between LPs {} and {} of {}",
             from.value, to.value, size());
  if (from != to && delay.ps <= 0)
    return Error{fmt::format("the channel from {} to {} has {} delay", name(from), name(to),
                             delay.ps == 0 ? "no" : "a negative"),
                 {},
                 "give it a delay above zero: what separates two devices takes time, and the "
                 "order of events rests on it"};
  if (delay.ps < 0)
    return Error{fmt::format("the channel from {} to itself has a negative delay", name(from)),
                 {},
                 "give it a delay of zero or more"};
  const auto id = static_cast<std::uint32_t>(m.channels.size());
  m.channels.push_back({delay.ps, from.value, to.value});
  if (from != to) m.lookahead = std::min(m.lookahead, delay);
  return ChannelId{id};
}

void Engine::post(LpId target, Time at, EventClass c, std::uint16_t kind, std::uint16_t aux,
                  std::uint64_t data) {
  Impl& m = *impl_;
  WEFT_CHECK(target.value < size(), "event posted to LP {} of {}", target.value, size());
  WEFT_CHECK(at >= reached(), "event for {} posted at {} ps, but {} ps has been reached",
             name(target), at.ps, reached().ps);
  m.posted.push_back({at, m.states[target.value].take_order(c), target.value, kind, aux, data});
}

void Engine::run(Time until) {
  Impl& m = *impl_;
  WEFT_CHECK(!m.failed, "run() after a run that ended with a fault");
  if (!m.started()) m.start();
  m.file_posted();
  if (until <= reached()) return;
  m.meeting->next_due = Time::never();
  for (const Interval& interval : m.intervals)
    m.meeting->next_due = std::min(m.meeting->next_due, interval.due);
  m.run_all(until);

  std::exception_ptr fault = m.meeting->callback_fault;
  for (auto& worker : m.workers)
    if (!fault) fault = worker->fault;
  if (fault) {
    m.failed = true;
    std::rethrow_exception(fault);
  }
}

void Engine::request_stop() { impl_->stop.store(true, std::memory_order_relaxed); }
bool Engine::stopped() const { return impl_->stop.load(std::memory_order_relaxed); }
void Engine::clear_stop() { impl_->stop.store(false, std::memory_order_relaxed); }

Time Engine::reached() const { return impl_->started() ? impl_->workers[0]->done : Time{}; }

void Engine::on_interval(Duration every, std::function<void(Time)> callback) {
  WEFT_CHECK(every.ps > 0, "an interval of {} ps", every.ps);
  const Time due = Time{} + every * (reached().ps / every.ps + 1);
  impl_->intervals.push_back({every, due, std::move(callback)});
}

Chain128 Engine::digest() const {
  Chain128 all;
  for (const LpState& lp : impl_->states) all.add(lp.chain.low, lp.chain.high);
  return all;
}

Chain128 Engine::chain(LpId lp) const { return impl_->states.at(lp.value).chain; }
std::uint64_t Engine::events_of(LpId lp) const { return impl_->states.at(lp.value).events; }

EngineStats Engine::stats() const {
  const Impl& m = *impl_;
  EngineStats stats;
  stats.lookahead = m.lookahead.ps == INT64_MAX ? Duration{} : m.lookahead;
  stats.workers.resize(std::max<std::size_t>(1, m.workers.size()));
  for (const LpState& lp : m.states) {
    stats.events += lp.events;
    stats.workers[lp.worker].events += lp.events;
    ++stats.workers[lp.worker].logical_processes;
  }
  if (m.started()) {
    stats.windows = m.workers[0]->windows;
    stats.window = m.workers[0]->calendar.width();
  }
  for (const auto& worker : m.workers) stats.calendar_bytes += worker->calendar.bytes();
  return stats;
}

LogicalProcess& Engine::process(LpId lp) { return *impl_->processes.at(lp.value); }
const std::string& Engine::name(LpId lp) const { return impl_->names.at(lp.value); }
std::size_t Engine::size() const { return impl_->processes.size(); }
unsigned Engine::worker_of(LpId lp) const { return impl_->states.at(lp.value).worker; }
unsigned Engine::threads() const { return impl_->options.threads; }

}  // namespace weft::sim
