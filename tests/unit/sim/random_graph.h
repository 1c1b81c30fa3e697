// A random world for the kernel's tests: processes that send, schedule for themselves, arm, move
// and cancel timers, all drawn from a generator of their own. The same decisions drive the engine
// and its twin (tests/oracle/calendar_twin.h), through Behaviour, which knows neither.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/engine.h"
#include "tests/oracle/calendar_twin.h"

namespace weft::sim::test {

struct Draw {
  std::uint64_t state;
  std::uint64_t operator()(std::uint64_t bound) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (state >> 11) % bound;
  }
};

struct Record {
  std::int64_t time;
  std::uint32_t event_class, origin;
  std::uint64_t sequence;
  std::uint16_t kind, aux;
  std::uint64_t data;
  bool operator==(const Record&) const = default;
};

struct Outgoing {
  std::uint32_t channel;
  std::int64_t delay;
};

struct GraphOptions {
  std::uint64_t seed = 1;
  std::uint32_t processes = 12;
  std::uint32_t channels_per_process = 3;
  std::int64_t least_delay = 1'000'000;
  std::uint32_t tokens_per_process = 4;  ///< events under way that are no timers
  std::uint64_t ties_percent = 20;       ///< of times that are rounded so that they collide
  bool record = true;
};

/// What one process decides. C: how to act; H: its timer handle.
template <class H>
struct Behaviour {
  Draw draw;
  const GraphOptions* options;
  std::vector<Outgoing> out;
  std::vector<H> timers = std::vector<H>(5);
  std::vector<Record> log;

  std::int64_t gap() {
    const auto d = static_cast<std::uint64_t>(options->least_delay);
    switch (draw(16)) {
      case 0:
        return 0;
      case 1:
      case 2:
      case 3:
        return static_cast<std::int64_t>(draw(d / 8 + 1));
      case 4:
        return static_cast<std::int64_t>(d * 4095 + draw(3 * d));  // end of a block
      case 5:
        return static_cast<std::int64_t>(d * draw(20'000));  // the next blocks
      case 6:
        return draw(64) ? 1 : static_cast<std::int64_t>(d * draw(40'000'000));  // far away
      default:
        return static_cast<std::int64_t>(draw(6 * d + 1));
    }
  }
  std::int64_t rounded(std::int64_t at, std::int64_t floor) {
    if (draw(100) >= options->ties_percent) return at;
    const std::int64_t grid = options->least_delay / 2 + 1;
    return at / grid * grid < floor ? at : at / grid * grid;
  }

  /// One event in, one token out; timers on top.
  template <class C>
  void act(C& c, std::int64_t now, bool is_timer) {
    if (!is_timer) {
      const auto event_class = static_cast<int>(draw(4));
      const auto kind = static_cast<std::uint16_t>(draw(1000));
      const auto aux = static_cast<std::uint16_t>(draw(7));
      if (!out.empty() && draw(4) != 0) {
        const Outgoing& o = out[draw(out.size())];
        const std::int64_t floor = now + o.delay;
        c.send(o.channel, rounded(floor + gap(), floor), event_class, kind, aux, draw(1u << 20));
      } else {
        c.schedule(rounded(now + gap(), now), event_class, kind, aux, draw(1u << 20));
      }
    }
    H& timer = timers[draw(timers.size())];
    switch (draw(6)) {
      case 0:
      case 1:
      case 2:
        c.arm(timer, rounded(now + gap(), now), static_cast<std::uint16_t>(draw(9)), 1, draw(99));
        break;
      case 3:
        c.cancel(timer);
        break;
      case 4:  // move to an earlier time, several times: what leaves stale vehicles behind
        for (std::int64_t k = 3; k >= 0; --k)
          c.arm(timer, now + options->least_delay * 2 * k * k, 7, 0, 0);
        break;
      default:
        break;
    }
    log.push_back({c.deadline(timer), 0, 0, draw.state, 0, 0, 0});
    if (!options->record) log.clear();
  }
};

struct Action {  // weft's Context as Behaviour wants it
  Context& c;
  static Time at(std::int64_t t) { return Time{t}; }
  void send(std::uint32_t channel, std::int64_t t, int k, std::uint16_t kind, std::uint16_t aux,
            std::uint64_t data) {
    c.send(ChannelId{channel}, at(t), static_cast<EventClass>(k), kind, aux, data);
  }
  void schedule(std::int64_t t, int k, std::uint16_t kind, std::uint16_t aux, std::uint64_t data) {
    c.schedule(at(t), static_cast<EventClass>(k), kind, aux, data);
  }
  void arm(TimerId& timer, std::int64_t t, std::uint16_t kind, std::uint16_t aux,
           std::uint64_t data) {
    c.arm(timer, at(t), kind, aux, data);
  }
  void cancel(TimerId& timer) { c.cancel(timer); }
  std::int64_t deadline(const TimerId& timer) { return c.deadline(timer).ps; }
};

class Process : public LogicalProcess {
 public:
  Behaviour<TimerId> behaviour;
  void handle(Context& context, const Event& e) override {
    const bool is_timer = e.event_class() == EventClass::timer;
    if (behaviour.options->record)
      behaviour.log.push_back({context.now().ps, static_cast<std::uint32_t>(e.event_class()),
                               e.origin().value, e.sequence(), e.kind, e.aux, e.data});
    Action action{context};
    behaviour.act(action, context.now().ps, is_timer);
    context.note(behaviour.draw.state, e.data);
  }
};

inline std::uint64_t process_seed(const GraphOptions& o, std::uint32_t lp) {
  return (o.seed * 0x9E3779B97F4A7C15ULL ^ (lp + 1) * 0xD1B54A32D192ED03ULL) | 1;
}

/// Calls connect(from, to, delay) and post(lp, time) as the options say.
template <class Connect, class Post>
void build_graph(const GraphOptions& o, Connect&& connect, Post&& post) {
  Draw draw{o.seed * 77 + 5};
  for (std::uint32_t lp = 0; lp < o.processes; ++lp) {
    for (std::uint32_t k = 0; k < o.channels_per_process; ++k) {
      const auto to = static_cast<std::uint32_t>(draw(o.processes));
      const std::int64_t extra =
          static_cast<std::int64_t>(draw(3) * static_cast<std::uint64_t>(o.least_delay) / 2);
      // A channel of a process to itself may have no delay at all.
      const std::int64_t delay = to == lp && draw(2) ? 0 : o.least_delay + extra;
      connect(lp, to, delay);
    }
  }
  for (std::uint32_t lp = 0; lp < o.processes; ++lp)
    for (std::uint32_t k = 0; k < o.tokens_per_process; ++k)
      post(lp, static_cast<std::int64_t>(draw(static_cast<std::uint64_t>(o.least_delay) * 3)));
}

struct World {
  explicit World(const GraphOptions& o, unsigned threads = 1, Duration max_window = milliseconds(1))
      : options(std::make_unique<GraphOptions>(o)),
        engine(std::make_unique<Engine>(EngineOptions{o.seed, threads, max_window})) {
    for (std::uint32_t lp = 0; lp < o.processes; ++lp) {
      auto process = std::make_unique<Process>();
      process->behaviour.draw.state = process_seed(o, lp);
      process->behaviour.options = options.get();
      processes.push_back(process.get());
      engine->add("lp-" + std::to_string(lp), std::move(process));
    }
    build_graph(
        o,
        [&](std::uint32_t from, std::uint32_t to, std::int64_t delay) {
          const ChannelId id = *engine->connect(LpId{from}, LpId{to}, Duration{delay});
          processes[from]->behaviour.out.push_back({id.value, delay});
        },
        [&](std::uint32_t lp, std::int64_t at) {
          engine->post(LpId{lp}, Time{at}, EventClass::command, 1, 0, 0);
        });
  }
  std::unique_ptr<GraphOptions> options;
  std::vector<Process*> processes;  ///< owned by the engine
  std::unique_ptr<Engine> engine;
};

struct TwinWorld {
  explicit TwinWorld(const GraphOptions& o)
      : options(o),
        behaviours(o.processes),
        engine(o.processes, [this](twin::Engine& e, const twin::Event& event) {
          Behaviour<std::uint64_t>& b = behaviours[event.target];
          b.log.push_back({event.time, static_cast<std::uint32_t>(event.event_class), event.origin,
                           event.sequence, event.kind, event.aux, event.data});
          b.act(e, e.now(), event.event_class == 4);
        }) {
    for (std::uint32_t lp = 0; lp < o.processes; ++lp) {
      behaviours[lp].draw.state = process_seed(o, lp);
      behaviours[lp].options = &options;
    }
    build_graph(
        o,
        [&](std::uint32_t from, std::uint32_t to, std::int64_t delay) {
          behaviours[from].out.push_back({engine.connect(from, to, delay), delay});
        },
        [&](std::uint32_t lp, std::int64_t at) { engine.insert(lp, lp, at, 0, 1, 0, 0); });
  }
  GraphOptions options;
  std::vector<Behaviour<std::uint64_t>> behaviours;
  twin::Engine engine;
};

}  // namespace weft::sim::test
