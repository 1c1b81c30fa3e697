#include "scenarios/run/run.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/units.h"
#include "scenarios/run/captures.h"
#include "scenarios/run/expect.h"
#include "scenarios/run/output.h"
#include "scenarios/run/points.h"
#include "scenarios/run/world.h"

namespace weft::scenarios {
namespace {

// Wall-clock time is for people only: progress and the summary's last lines.
using Clock = std::chrono::steady_clock;

std::uint64_t nanoseconds_since(Clock::time_point start) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

class ProgressLine {
 public:
  ProgressLine(Progress kind, Time end) : kind_(kind), end_(end) {}
  ~ProgressLine() {
    if (drawn_) std::fputs("\r\033[K", stderr);
  }
  void show(Time now, std::uint64_t events) {
    if (kind_ == Progress::none || now.ps == 0) return;
    const auto elapsed = nanoseconds_since(start_);
    const auto every = kind_ == Progress::terminal ? 200'000'000ULL : 5'000'000'000ULL;
    if (elapsed - last_ < every) return;
    last_ = elapsed;
    const auto clock = [](Time t) {  // milliseconds are enough for people
      return t.ps < 1'000'000'000 ? format_time(t)
                                  : format_time(Time{t.ps / 1'000'000'000 * 1'000'000'000});
    };
    const double done = now.seconds() / std::max(end_.seconds(), 1e-12);
    const double wall = static_cast<double>(elapsed) * 1e-9;
    const auto text =
        fmt::format("{} of {} simulated ({:.0f} %), {:.2f} M events/s, about {:.0f} s left",
                    clock(now), format_time(end_), done * 100,
                    static_cast<double>(events) / wall * 1e-6, wall / done - wall);
    if (kind_ == Progress::terminal) {
      fmt::print(stderr, "\r\033[K{}", text);
      drawn_ = true;
    } else {
      fmt::print(stderr, "{}\n", text);
    }
    std::fflush(stderr);
  }

 private:
  Progress kind_;
  Time end_;
  Clock::time_point start_ = Clock::now();
  std::uint64_t last_ = 0;
  bool drawn_ = false;
};

models::CheckLevel level_of(CheckLevel c) {
  switch (c) {
    case CheckLevel::basic:
      return models::CheckLevel::basic;
    case CheckLevel::sampled:
      return models::CheckLevel::sampled;
    case CheckLevel::full:
      return models::CheckLevel::full;
  }
  return models::CheckLevel::sampled;
}

RunOutcome bad_input(std::vector<Error> errors) {
  RunOutcome outcome;
  outcome.exit_code = 2;
  outcome.errors = std::move(errors);
  return outcome;
}

/// Resolution of the time series: a hundred points or so, in round figures.
Duration series_interval(Duration run) {
  for (const std::int64_t us : {10, 100, 1'000, 10'000, 100'000, 1'000'000})
    if (run / microseconds(us) <= 200) return microseconds(us);
  return seconds(10);
}

}  // namespace

RunOutcome run_scenario(const std::string& file, const RunOptions& options) {
  const auto setup_start = Clock::now();
  LoadResult loaded = load_scenario(file, options.set);
  if (!loaded.scenario) return bad_input(std::move(loaded.errors));
  return run_loaded(*loaded.scenario, options, nanoseconds_since(setup_start));
}

RunOutcome run_loaded(Scenario scenario, const RunOptions& options, std::uint64_t load_ns) {
  const auto setup_start = Clock::now();
  if (options.seed) scenario.seed = *options.seed;
  const Duration duration =
      options.until ? std::min(*options.until, scenario.duration) : scenario.duration;
  const Time end = Time{} + duration;

  if (options.no_captures || !options.write_folder) scenario.captures.clear();
  if (options.write_folder)
    for (const auto& text : options.captures) {
      auto spec = parse_capture_option(scenario, text);
      if (!spec.ok()) return bad_input({spec.error()});
      std::erase_if(scenario.captures,
                    [&](const CaptureSpec& c) { return c.point == spec->point; });
      scenario.captures.push_back(std::move(spec).value());
    }

  if (auto errors = capture_filter_errors(scenario.captures); !errors.empty())
    return bad_input(std::move(errors));

  auto built = World::build(scenario, {.seed = scenario.seed,
                                       .threads = options.threads,
                                       .check = level_of(options.check),
                                       .plant = options.plant,
                                       .tracer = options.tracer,
                                       .end = duration});
  if (!built.ok()) return bad_input({built.error()});
  World& world = **built;

  std::optional<RunFolder> folder;
  std::unique_ptr<Captures> captures;
  if (options.write_folder) {
    auto made = RunFolder::create(
        {.out = options.out, .force = options.force, .name = scenario.name, .seed = scenario.seed});
    if (!made.ok()) return bad_input({made.error()});
    folder.emplace(std::move(made).value());
    auto opened = Captures::open(world, scenario.captures, *folder, "weft " + options.version);
    if (!opened.ok()) return bad_input({opened.error()});
    captures = std::move(opened).value();
  }

  if (options.prepare) options.prepare(world);
  ProgressLine progress(options.progress, end);
  auto& engine = world.engine();
  const Duration interval = series_interval(duration);
  engine.on_interval(interval, [&](Time now) {
    world.sample_links(now, interval);
    if (captures) captures->flush(now);
    world.check_invariants();
    if (options.observe) options.observe(world, now);
    progress.show(now, options.progress == Progress::none ? 0 : engine.stats().events);
    if (options.stop != nullptr && options.stop->load(std::memory_order_relaxed))
      engine.request_stop();
  });
  const std::uint64_t setup_ns = load_ns + nanoseconds_since(setup_start);

  RunOutcome outcome;
  std::string fault;
  const auto run_start = Clock::now();
  try {
    world.run(end);
    world.check_invariants();
  } catch (const InternalFault& f) {
    fault = f.what();
  }
  const std::uint64_t run_ns = nanoseconds_since(run_start);

  world.sample_links(engine.reached(), interval, true);
  outcome.results = world.results();
  auto& results = outcome.results;
  results.link_interval = interval;
  results.identity.overrides = options.set;
  results.identity.version = options.version;
  results.identity.planned = duration;
  results.identity.duration = scenario.duration;
  results.identity.fault = fault;
  const bool stopped = engine.stopped() && results.identity.reached < end;
  results.identity.interrupted = stopped || !fault.empty();
  results.wall.setup_ns = setup_ns;
  results.wall.run_ns = run_ns;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  results.wall.peak_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  if (options.until && *options.until > scenario.duration)
    results.warnings.push_back(
        {fmt::format("--until {} is beyond the scenario's duration of {}: it ran to its end",
                     format_duration(*options.until), format_duration(scenario.duration)),
         {},
         "--set duration=... makes a scenario longer"});
  if (captures) results.captures = captures->close();
  results.expectations = evaluate(scenario, results);

  outcome.exit_code = !fault.empty()                                               ? 3
                      : stopped                                                    ? 130
                      : analysis::verdict_of(results) == analysis::Verdict::failed ? 1
                                                                                   : 0;
  for (const auto& c : results.captures)
    if (!c.error.empty()) {
      outcome.errors.push_back(
          {fmt::format("capture of {}: {}", c.point, c.error),
           {},
           "the packets before that are kept; free some space, capture less (a filter, fewer "
           "points) or choose another folder with --out"});
      if (results.output_error.empty()) results.output_error = outcome.errors.back().message;
    }
  if (folder) {
    outcome.folder = folder->path();
    if (auto done = folder->finish(results); !done.ok()) {
      outcome.errors.push_back(done.error());
      if (results.output_error.empty()) results.output_error = done.error().message;
    }
  }
  if (!results.output_error.empty() && outcome.exit_code < 2) outcome.exit_code = 2;
  return outcome;
}

}  // namespace weft::scenarios
