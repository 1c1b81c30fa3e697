// Ping, UDP sender and sink.
#include <algorithm>

#include "models/guest/apps.h"

namespace weft::models {
namespace {

class Ping final : public App, public TimerTarget, public EchoReceiver {
 public:
  Ping(AppWorld& world, const ClientConfig& config, std::uint16_t identifier)
      : world_(world),
        config_(config),
        stats_(world.stats_of(config.traffic, config.pair)),
        identifier_(identifier) {}

  void begin(RandomStream) override {
    GuestTimers& timers = world_.stack->timers();
    timer_ = timers.add(this, 0);
    world_.stack->bind_echo(identifier_, this);
    timers.arm(timer_, timers.from_world(config_.start));
  }

  void on_timer(std::uint64_t) override {
    const Time now = world_.world();
    if (now >= config_.stop || (config_.count > 0 && number_ >= config_.count)) return;
    const std::uint64_t n = number_++;
    if (number_ < config_.count || config_.count == 0)
      world_.stack->timers().arm(timer_, world_.stack->timers().now() + config_.interval);
    const bool counted = now >= config_.start + config_.warmup;
    remember({n, now, counted, false});
    if (counted) {
      ++stats_.sent;
      ++stats_.bucket(now).sent;
    }
    const auto size = static_cast<std::uint32_t>(config_.size);
    const std::uint64_t stream = request_stream(content_key(config_.traffic, config_.pair));
    world_.stack->send_echo(config_.remote, identifier_, static_cast<std::uint16_t>(n),
                            Payload::stream(stream, n * size, size), config_.traffic + 1,
                            config_.pair);
  }

  void waiting(std::vector<Waiting>& out) const override {
    const auto first = static_cast<std::ptrdiff_t>(out.size());
    for (const Request& r : sent_)
      if (r.number != UINT64_MAX && r.counted && !r.answered)
        out.push_back({config_.traffic, config_.pair, r.at, r.number, false});
    std::sort(out.begin() + first, out.end(),
              [](const Waiting& a, const Waiting& b) { return a.number < b.number; });
  }

  void on_echo_reply(IpAddress from, std::uint16_t sequence, const Payload& payload) override {
    if (from != config_.remote) return;
    Request* request = nullptr;
    if (number_ > 0) {
      // The newest request with these 16 bits.
      const std::uint64_t last = number_ - 1;
      const std::uint64_t n = last - static_cast<std::uint16_t>(last - sequence);
      Request& candidate = sent_[n % sent_.size()];
      if (n <= last && candidate.number == n) request = &candidate;
    }
    if (request == nullptr || !request->counted) return;
    const Time now = world_.world();
    if (request->answered) {
      ++stats_.duplicates;
      ++stats_.bucket(now).duplicates;
      return;
    }
    const auto size = static_cast<std::uint32_t>(config_.size);
    if (size > 0) {
      const std::uint64_t stream = request_stream(content_key(config_.traffic, config_.pair));
      world_.verify(stats_, payload, stream, request->number * size);
    }
    request->answered = true;
    if (request->number < highest_) ++stats_.reordered;
    highest_ = std::max(highest_, request->number);
    ++stats_.delivered;
    ++stats_.completed;
    stats_.bytes += payload.size();
    ++stats_.bucket(request->at).delivered;
    TrafficBucket& b = stats_.bucket(now);
    ++b.completed;
    b.bytes += payload.size();
    stats_.samples.push_back({now, now - request->at});
  }

  void on_icmp(const IcmpNotice&) override { ++stats_.icmp_errors; }

 private:
  struct Request {
    std::uint64_t number = UINT64_MAX;
    Time at{};
    bool counted = false, answered = false;
  };

  /// A ring by number that grows while unanswered requests younger than ten seconds are in it.
  void remember(const Request& request) {
    while (true) {
      const Request& old = sent_[request.number % sent_.size()];
      if (old.number == UINT64_MAX || old.answered || request.at - old.at > seconds(10) ||
          sent_.size() >= 32768)
        break;
      std::vector<Request> larger(sent_.size() * 2);
      for (const Request& r : sent_)
        if (r.number != UINT64_MAX) larger[r.number % larger.size()] = r;
      sent_ = std::move(larger);
    }
    sent_[request.number % sent_.size()] = request;
  }

  AppWorld& world_;
  ClientConfig config_;
  TrafficStats& stats_;
  std::uint16_t identifier_;
  GuestTimers::Slot timer_ = 0;
  std::uint64_t number_ = 0, highest_ = 0;
  std::vector<Request> sent_ = std::vector<Request>(16);
};

class UdpSender final : public App, public TimerTarget, public UdpReceiver {
 public:
  UdpSender(AppWorld& world, const ClientConfig& config)
      : world_(world), config_(config), stats_(world.stats_of(config.traffic, config.pair)) {
    WEFT_CHECK(config.size >= 1 && config.rate.bps > 0);
    gap_ = serialisation_time(config.size + (config.remote.is6 ? 48 : 28), config.rate);
    stream_ = request_stream(content_key(config.traffic, config.pair));
  }

  void begin(RandomStream random) override {
    random_ = random;
    GuestTimers& timers = world_.stack->timers();
    timer_ = timers.add(this, 0);
    port_ = world_.stack->ephemeral_udp_port();
    world_.stack->bind_udp(port_, this);
    // Not all senders of a scenario at the same picosecond.
    const Duration phase{static_cast<std::int64_t>(
        random_.below(static_cast<std::uint64_t>(std::max<std::int64_t>(gap_.ps, 1))))};
    timers.arm(timer_, timers.from_world(config_.start + phase));
  }

  void on_timer(std::uint64_t) override {
    const Time now = world_.world();
    if (now >= config_.stop || (config_.count > 0 && number_ >= config_.count)) return;
    const std::uint64_t n = number_++;
    const Duration gap = config_.poisson ? random_.exponential(gap_) : gap_;
    if (number_ < config_.count || config_.count == 0)
      world_.stack->timers().arm(timer_, world_.stack->timers().now() + gap);
    if (now >= config_.start + config_.warmup) {
      ++stats_.sent;
      ++stats_.bucket(now).sent;
    }
    const auto size = static_cast<std::uint32_t>(config_.size);
    world_.stack->send_udp(config_.remote, port_, config_.port,
                           Payload::stream(stream_, n * size, size), config_.traffic + 1,
                           config_.pair);
  }

  void on_datagram(const Datagram&) override {}
  void on_icmp(const IcmpNotice&) override { ++stats_.icmp_errors; }
  void warm(sim::WarmLines& lines) const override {
    sim::WarmLines::add(lines.timer, this, sizeof *this);
    sim::WarmLines::add(lines.timer, &stats_, 64);
    if (!stats_.series.empty())
      sim::WarmLines::add(lines.timer, &stats_.series.back(), sizeof(TrafficBucket));
  }

 private:
  AppWorld& world_;
  ClientConfig config_;
  TrafficStats& stats_;
  RandomStream random_;
  Duration gap_{};
  std::uint64_t stream_ = 0;
  std::uint64_t number_ = 0;
  GuestTimers::Slot timer_ = 0;
  std::uint16_t port_ = 0;
};

class UdpSink final : public App, public UdpReceiver {
 public:
  UdpSink(AppWorld& world, std::vector<PeerConfig> peers) : world_(world) {
    for (PeerConfig& p : peers)
      sources_.push_back({request_stream(content_key(p.traffic, p.pair)),
                          p,
                          &world.stats_of(p.traffic, p.pair),
                          {}});
    std::sort(sources_.begin(), sources_.end(),
              [](const Source& a, const Source& b) { return a.stream < b.stream; });
  }

  void begin(RandomStream) override { world_.stack->bind_udp(sources_[0].config.port, this); }

  void on_datagram(const Datagram& d) override {
    Source* source = find(d);
    if (source == nullptr) return;
    TrafficStats& stats = *source->stats;
    const auto size = static_cast<std::uint32_t>(source->config.size);
    // A datagram of real bytes (a port, a capture) has no number; it counts as the next one.
    const std::uint64_t n =
        d.payload->is_stream() && size > 0 ? d.payload->offset() / size : source->unnumbered++;
    if (d.payload->size() != size)
      ++stats.integrity_faults;
    else
      world_.verify(stats, *d.payload, source->stream, n * size);
    if (d.born < source->config.count_from) {
      source->arrivals.add(n);
      return;
    }
    const Time now = world_.world();
    const ArrivalRecord::Arrival arrival = source->arrivals.add(n);
    if (arrival == ArrivalRecord::Arrival::duplicate) {
      ++stats.duplicates;
      ++stats.bucket(now).duplicates;
      return;
    }
    if (arrival == ArrivalRecord::Arrival::late) ++stats.reordered;
    ++stats.delivered;
    stats.bytes += d.payload->size();
    ++stats.bucket(d.born).delivered;
    stats.bucket(now).bytes += d.payload->size();
    stats.latency.add(now - d.born);
  }

  void warm(sim::WarmLines& lines) const override {
    sim::WarmLines::add(lines.arrival, this, sizeof *this);
    sim::WarmLines::add(lines.arrival, sources_.data(), sources_.size() * sizeof(Source));
    if (sources_.size() > 4) return;
    for (const Source& s : sources_) {
      const TrafficStats& stats = *s.stats;
      sim::WarmLines::add(lines.arrival, &stats, sizeof stats);
      if (!stats.series.empty())
        sim::WarmLines::add(lines.arrival, &stats.series.back(), sizeof(TrafficBucket));
      if (stats.latency.count > 0) {
        const std::size_t at = LatencyHistogram::bucket_of(stats.latency.max_ps);
        sim::WarmLines::add(lines.arrival, &stats.latency.buckets[at], 8);
      }
    }
  }

 private:
  struct Source {
    std::uint64_t stream;
    PeerConfig config;
    TrafficStats* stats;
    ArrivalRecord arrivals;
    std::uint64_t unnumbered = 0;
  };

  Source* find(const Datagram& d) {
    if (d.payload->is_stream()) {
      auto it =
          std::lower_bound(sources_.begin(), sources_.end(), d.payload->stream_id(),
                           [](const Source& s, std::uint64_t stream) { return s.stream < stream; });
      if (it != sources_.end() && it->stream == d.payload->stream_id()) return &*it;
    }
    for (Source& s : sources_)
      if (s.config.client == d.src) return &s;
    return nullptr;
  }

  AppWorld& world_;
  std::vector<Source> sources_;
};

}  // namespace

std::unique_ptr<App> make_ping(AppWorld& world, const ClientConfig& config,
                               std::uint16_t identifier) {
  return std::make_unique<Ping>(world, config, identifier);
}
std::unique_ptr<App> make_udp_sender(AppWorld& world, const ClientConfig& config) {
  return std::make_unique<UdpSender>(world, config);
}
std::unique_ptr<App> make_udp_sink(AppWorld& world, std::vector<PeerConfig> peers) {
  return std::make_unique<UdpSink>(world, std::move(peers));
}

}  // namespace weft::models
