// The slow, obvious twin of sim/: every event in one std::set ordered by its key, timers erased and
// inserted on the spot, one thread, no windows. It shares no code with the kernel (not even the
// key) and knows only the contract of sim/engine.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <vector>

namespace twin {

struct Event {
  std::int64_t time;
  int event_class;
  std::uint32_t origin;
  std::uint64_t sequence;
  std::uint32_t target;
  std::uint16_t kind, aux;
  std::uint64_t data;
  std::uint64_t timer = 0;  ///< of a firing: the handle, else 0

  auto key() const { return std::tuple(time, event_class, origin, sequence); }
  bool operator<(const Event& other) const { return key() < other.key(); }
};

class Engine {
 public:
  struct Channel {
    std::uint32_t from, to;
    std::int64_t delay;
  };
  using Handler = std::function<void(Engine&, const Event&)>;

  Engine(std::size_t processes, Handler handler)
      : sequences_(processes), handler_(std::move(handler)) {}

  std::uint32_t connect(std::uint32_t from, std::uint32_t to, std::int64_t delay) {
    channels_.push_back({from, to, delay});
    return static_cast<std::uint32_t>(channels_.size() - 1);
  }
  void insert(std::uint32_t origin, std::uint32_t target, std::int64_t at, int c,
              std::uint16_t kind, std::uint16_t aux, std::uint64_t data) {
    events_.insert({at, c, origin, sequences_[origin]++, target, kind, aux, data});
  }
  void run(std::int64_t until) {
    while (!events_.empty() && events_.begin()->time < until) {
      const Event e = *events_.begin();
      events_.erase(events_.begin());
      if (e.timer) timers_.erase(e.timer);
      now_ = e.time;
      self_ = e.target;
      handler_(*this, e);
    }
  }

  // What a handler may do.
  std::int64_t now() const { return now_; }
  void send(std::uint32_t channel, std::int64_t at, int c, std::uint16_t kind, std::uint16_t aux,
            std::uint64_t data) {
    insert(self_, channels_[channel].to, at, c, kind, aux, data);
  }
  void schedule(std::int64_t at, int c, std::uint16_t kind, std::uint16_t aux, std::uint64_t data) {
    insert(self_, self_, at, c, kind, aux, data);
  }
  void arm(std::uint64_t& timer, std::int64_t at, std::uint16_t kind, std::uint16_t aux,
           std::uint64_t data) {
    cancel(timer);
    timer = ++handles_;
    const auto [where, inserted] =
        events_.insert({at, 4, self_, sequences_[self_]++, self_, kind, aux, data, timer});
    (void)inserted;
    timers_[timer] = where;
  }
  void cancel(std::uint64_t& timer) {
    if (const auto found = timers_.find(timer); found != timers_.end()) {
      events_.erase(found->second);
      timers_.erase(found);
    }
    timer = 0;
  }
  std::int64_t deadline(std::uint64_t timer) const {
    const auto found = timers_.find(timer);
    return found == timers_.end() ? INT64_MAX : found->second->time;
  }

 private:
  std::set<Event> events_;
  std::map<std::uint64_t, std::set<Event>::iterator> timers_;
  std::vector<std::uint64_t> sequences_;
  std::vector<Channel> channels_;
  std::uint64_t handles_ = 0;
  std::int64_t now_ = 0;
  std::uint32_t self_ = 0;
  Handler handler_;
};

}  // namespace twin
