// A port scan: one SYN after another; what comes back tells open, refused or filtered. Or a flood
// of fragments: the beginning of one datagram after another, of which the rest never comes.
#include "models/guest/apps.h"

namespace weft::models {
namespace {

constexpr Duration kPatience = seconds(2);  // one retransmission of the SYN lies within

class Scan final : public App, public TimerTarget, public TcpEvents {
 public:
  Scan(AppWorld& world, const ClientConfig& config)
      : world_(world),
        config_(config),
        stats_(world.stats_of(config.traffic, config.pair)),
        next_(config.scan_first),
        oldest_(config.scan_first),
        probes_(static_cast<std::size_t>(config.scan_last) - config.scan_first + 1u) {}

  void begin(RandomStream) override {
    probe_timer_ = timers().add(this, 0);
    patience_timer_ = timers().add(this, 1);
    timers().arm(probe_timer_, timers().from_world(config_.start));
  }

  void on_timer(std::uint64_t argument) override {
    if (argument == 0)
      probe();
    else
      give_up();
  }

  void waiting(std::vector<Waiting>& out) const override {
    for (std::uint32_t port = config_.scan_first; port < next_; ++port) {
      const Probe& p = probes_[port - config_.scan_first];
      if (p.counted && p.connection != nullptr)
        out.push_back({config_.traffic, config_.pair, p.at, port, p.connection->timed_out()});
    }
  }

 private:
  struct Probe {
    TcpConnection* connection = nullptr;  // null: not sent yet, or answered
    Time at{};
    Time deadline = Time::never();  // guest clock
    bool counted = false;
  };

  GuestTimers& timers() { return world_.stack->timers(); }

  void probe() {
    const Time now = world_.world();
    if (next_ > config_.scan_last || now >= config_.stop) return;
    const std::uint32_t port = next_++;
    timers().arm(probe_timer_, timers().now() + config_.interval);
    Probe& p = probes_[port - config_.scan_first];
    p.at = now;
    p.deadline = timers().now() + kPatience;
    p.counted = now >= config_.start + config_.warmup;
    if (p.counted) {
      ++stats_.sent;
      ++stats_.bucket(now).sent;
    }
    if (config_.scan_fragments) {
      constexpr std::uint32_t kData = 1400;  // a multiple of 8, with UDP's header
      world_.stack->send_first_fragment(config_.remote, static_cast<std::uint16_t>(port),
                                        Payload::stream(config_.traffic, port, kData - 8),
                                        config_.traffic + 1, config_.pair);
      return;
    }
    p.connection = world_.stack->connect(config_.remote, static_cast<std::uint16_t>(port), this,
                                         config_.traffic + 1, config_.pair);
    if (p.connection == nullptr) return;
    p.connection->application_tag = port;
    p.connection->count_into(&stats_);
    if (timers().deadline(patience_timer_) == Time::never())
      timers().arm(patience_timer_, p.deadline);
  }

  void give_up() {
    while (oldest_ < next_) {
      Probe& p = probes_[oldest_ - config_.scan_first];
      if (p.connection != nullptr) {
        if (p.deadline > timers().now()) {
          timers().arm(patience_timer_, p.deadline);
          return;
        }
        p.connection->abort();  // on_closed counts it
      }
      ++oldest_;
    }
  }

  void answered(Probe& p) {
    if (!p.counted) return;
    const Time now = world_.world();
    ++stats_.delivered;
    ++stats_.completed;
    ++stats_.bucket(p.at).delivered;
    ++stats_.bucket(now).completed;
    stats_.samples.push_back({now, now - p.at});
  }

  Probe& probe_of(const TcpConnection& c) {
    return probes_[c.application_tag - config_.scan_first];
  }

  void on_connected(TcpConnection& c) override {
    Probe& p = probe_of(c);
    if (p.counted) ++stats_.ports_open;
    ++stats_.connections_opened;
    ++stats_.bucket(world_.world()).opened;
    answered(p);
    p.connection = nullptr;
    c.abort();
  }

  void on_closed(TcpConnection& c, TcpEnd end) override {
    Probe& p = probe_of(c);
    if (p.connection == nullptr) return;  // was open
    p.connection = nullptr;
    if (end == TcpEnd::refused) {
      if (p.counted) ++stats_.ports_refused;
      answered(p);
    } else if (p.counted) {
      ++stats_.ports_filtered;
    }
  }

  AppWorld& world_;
  ClientConfig config_;
  TrafficStats& stats_;
  std::uint32_t next_, oldest_;
  std::vector<Probe> probes_;
  GuestTimers::Slot probe_timer_ = 0, patience_timer_ = 0;
};

}  // namespace

std::unique_ptr<App> make_scan(AppWorld& world, const ClientConfig& config) {
  return std::make_unique<Scan>(world, config);
}

}  // namespace weft::models
