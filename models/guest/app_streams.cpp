// Bulk and rpc clients and their server.
#include <algorithm>

#include "models/guest/apps.h"

namespace weft::models {
namespace {

/// What both clients do: one connection at a time, opened again (later) when it is lost.
class StreamClient : public App, public TimerTarget, public TcpEvents {
 public:
  StreamClient(AppWorld& world, const ClientConfig& config)
      : world_(world),
        config_(config),
        stats_(world.stats_of(config.traffic, config.pair)),
        key_(content_key(config.traffic, config.pair)) {}

 protected:
  GuestTimers& timers() { return world_.stack->timers(); }
  bool counted(Time at) const { return at >= config_.start + config_.warmup; }
  std::uint64_t base() const { return incarnation_ << kIncarnationShift; }

  bool open() {
    connection_ = world_.stack->connect(config_.remote, config_.port, this, config_.traffic + 1,
                                        config_.pair);
    if (connection_ == nullptr) {
      count_lost();
      return false;
    }
    connection_->count_into(&stats_);
    return true;
  }
  void on_connected(TcpConnection&) override {
    ++stats_.connections_opened;
    ++stats_.bucket(world_.world()).opened;
  }
  bool stalled() const { return connection_ == nullptr || connection_->timed_out(); }
  bool owes_acknowledgement() const { return !stalled() && connection_->owes_acknowledgement(); }
  void count_lost() {
    ++stats_.connections_lost;
    ++stats_.bucket(world_.world()).lost;
  }

  AppWorld& world_;
  ClientConfig config_;
  TrafficStats& stats_;
  std::uint64_t key_;
  std::uint64_t incarnation_ = 0;  // number of the connection
  TcpConnection* connection_ = nullptr;
  bool stopping_ = false;
};

constexpr Duration kReopen = seconds(1);  // after a connection that was lost

class BulkClient final : public StreamClient {
 public:
  using StreamClient::StreamClient;

  void begin(RandomStream) override {
    start_timer_ = timers().add(this, 0);
    stop_timer_ = timers().add(this, 1);
    timers().arm(start_timer_, timers().from_world(config_.start));
    timers().arm(stop_timer_, timers().from_world(config_.stop));
  }

  void on_timer(std::uint64_t argument) override {
    if (argument == 0) {
      if (world_.world() < config_.stop) transfer();
      return;
    }
    stopping_ = true;
    timers().cancel(start_timer_);
    if (connection_ != nullptr) connection_->abort();
  }

  void waiting(std::vector<Waiting>& out) const override {
    if (transferring_ && !done_ && connection_ != nullptr && counted(started_))
      out.push_back({config_.traffic, config_.pair, started_, incarnation_, stalled(),
                     owes_acknowledgement()});
  }

 private:
  void transfer() {
    transferring_ = true;
    started_ = world_.world();
    done_ = false;
    if (counted(started_)) {
      ++stats_.sent;
      ++stats_.bucket(started_).sent;
    }
    if (!open()) again(kReopen);
  }

  void again(Duration wait) {
    ++incarnation_;
    if (stopping_ || (config_.repeat > 0 && incarnation_ >= config_.repeat)) return;
    timers().arm(start_timer_, timers().now() + wait);
  }

  void on_connected(TcpConnection& c) override {
    StreamClient::on_connected(c);
    constexpr std::uint64_t kPiece = 1u << 30;
    for (std::uint64_t at = 0; at < config_.size; at += kPiece)
      c.send(Payload::stream(request_stream(key_), base() + at,
                             static_cast<std::uint32_t>(std::min(kPiece, config_.size - at))));
    c.close();
  }

  void on_acknowledged(TcpConnection&, std::uint64_t total) override {
    if (done_ || total < config_.size) return;
    done_ = true;
    if (!counted(started_)) return;
    const Time now = world_.world();
    ++stats_.delivered;
    ++stats_.completed;
    ++stats_.bucket(started_).delivered;
    ++stats_.bucket(now).completed;
    stats_.samples.push_back({now, now - started_});
  }

  void on_closed(TcpConnection&, TcpEnd end) override {
    connection_ = nullptr;
    if (end == TcpEnd::normal || (end == TcpEnd::aborted && stopping_)) {
      ++stats_.connections_closed;
      again({});
    } else {
      count_lost();
      again(kReopen);
    }
  }

  GuestTimers::Slot start_timer_ = 0, stop_timer_ = 0;
  Time started_{};
  bool transferring_ = false, done_ = false;
};

class RpcClient final : public StreamClient {
 public:
  RpcClient(AppWorld& world, const ClientConfig& config) : StreamClient(world, config) {
    WEFT_CHECK(config.request >= 1 && config.response >= 1 && config.frequency.per_kilosecond > 0);
    gap_ = Duration{
        static_cast<std::int64_t>(1'000'000'000'000'000ULL / config.frequency.per_kilosecond)};
  }

  void begin(RandomStream random) override {
    random_ = random;
    request_timer_ = timers().add(this, 0);
    stop_timer_ = timers().add(this, 1);
    open_timer_ = timers().add(this, 2);
    const Duration phase{static_cast<std::int64_t>(
        random_.below(static_cast<std::uint64_t>(std::max<std::int64_t>(gap_.ps, 1))))};
    timers().arm(open_timer_, timers().from_world(config_.start));
    timers().arm(request_timer_, timers().from_world(config_.start + phase));
    timers().arm(stop_timer_, timers().from_world(config_.stop));
  }

  void on_timer(std::uint64_t argument) override {
    if (argument == 2) {
      connect();
    } else if (argument == 0) {
      const Time now = world_.world();
      if (now >= config_.stop) return;
      timers().arm(request_timer_,
                   timers().now() + (config_.poisson ? random_.exponential(gap_) : gap_));
      issue(now);
    } else {
      stopping_ = true;
      timers().cancel(request_timer_);
      timers().cancel(open_timer_);
      close_if_done();
    }
  }

  void waiting(std::vector<Waiting>& out) const override {
    for (std::size_t i = head_; i < requests_.size(); ++i)
      if (requests_[i].counted)
        out.push_back(
            {config_.traffic, config_.pair, requests_[i].at, i, stalled(), owes_acknowledgement()});
  }

 private:
  struct Request {
    Time at;
    bool counted;
  };

  void connect() {
    if (stopping_ || connection_ != nullptr) return;
    issued_ = 0;
    answered_bytes_ = 0;
    if (!open()) {
      timers().arm(open_timer_, timers().now() + kReopen);
      return;
    }
    for (std::size_t i = head_; i < requests_.size(); ++i) send_one();
  }

  void send_one() {
    connection_->send(
        Payload::stream(request_stream(key_), base() + issued_ * config_.request, config_.request));
    ++issued_;
  }

  void issue(Time now) {
    const bool count = counted(now);
    if (count) {
      ++stats_.sent;
      ++stats_.bucket(now).sent;
    }
    if (head_ > 1024 && head_ * 2 > requests_.size()) {
      requests_.erase(requests_.begin(), requests_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    requests_.push_back({now, count});
    if (connection_ != nullptr) send_one();
  }

  void on_received(TcpConnection&, const Payload& data) override {
    const Time now = world_.world();
    world_.verify(stats_, data, response_stream(key_), base() + answered_bytes_);
    answered_bytes_ += data.size();
    if (counted(now)) {
      stats_.bytes += data.size();
      stats_.bucket(now).bytes += data.size();
    }
    partial_ += data.size();
    while (partial_ >= config_.response && head_ < requests_.size()) {
      partial_ -= config_.response;
      const Request request = requests_[head_++];
      if (!request.counted) continue;
      ++stats_.delivered;
      ++stats_.completed;
      ++stats_.bucket(request.at).delivered;
      ++stats_.bucket(now).completed;
      stats_.samples.push_back({now, now - request.at});
    }
    if (head_ == requests_.size()) {
      requests_.clear();
      head_ = 0;
    }
    close_if_done();
  }

  void close_if_done() {
    if (stopping_ && connection_ != nullptr && head_ == requests_.size()) connection_->close();
  }

  void on_peer_closed(TcpConnection& c) override { c.close(); }

  void on_closed(TcpConnection&, TcpEnd end) override {
    connection_ = nullptr;
    if (end == TcpEnd::normal || stopping_)
      ++stats_.connections_closed;
    else
      count_lost();
    requests_.clear();  // what was under way is lost
    head_ = 0;
    partial_ = 0;
    ++incarnation_;
    if (!stopping_) timers().arm(open_timer_, timers().now() + kReopen);
  }

  RandomStream random_;
  Duration gap_{};
  GuestTimers::Slot request_timer_ = 0, stop_timer_ = 0, open_timer_ = 0;
  std::vector<Request> requests_;  // from head_: not answered yet
  std::size_t head_ = 0;
  std::uint64_t issued_ = 0;          // on this connection
  std::uint64_t answered_bytes_ = 0;  // on this connection
  std::uint64_t partial_ = 0;
};

/// A connection for each request: connect, send, hear the answer, close. The requests do not wait
/// for each other.
class ReconnectingClient final : public App, public TimerTarget {
 public:
  ReconnectingClient(AppWorld& world, const ClientConfig& config)
      : world_(world),
        config_(config),
        stats_(world.stats_of(config.traffic, config.pair)),
        key_(content_key(config.traffic, config.pair)) {
    WEFT_CHECK(config.request >= 1 && config.response >= 1 && config.frequency.per_kilosecond > 0);
    gap_ = Duration{
        static_cast<std::int64_t>(1'000'000'000'000'000ULL / config.frequency.per_kilosecond)};
  }

  void begin(RandomStream random) override {
    request_timer_ = timers().add(this, 0);
    const Duration phase{static_cast<std::int64_t>(
        random.below(static_cast<std::uint64_t>(std::max<std::int64_t>(gap_.ps, 1))))};
    timers().arm(request_timer_, timers().from_world(config_.start + phase));
  }

  void on_timer(std::uint64_t) override {
    const Time now = world_.world();
    if (now >= config_.stop) return;
    timers().arm(request_timer_, timers().now() + gap_);
    const std::uint64_t n = number_++;
    const bool counted = now >= config_.start + config_.warmup;
    if (counted) {
      ++stats_.sent;
      ++stats_.bucket(now).sent;
    }
    std::size_t index;
    if (free_.empty()) {
      index = calls_.size();
      calls_.push_back(std::make_unique<Call>(*this));
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Call& call = *calls_[index];
    call.index = index;
    call.at = now;
    call.counted = counted;
    call.base = n % kMostNumbers << kIncarnationShift;
    call.answered = 0;
    const std::size_t remotes = config_.more_remotes.size() + 1;
    const std::size_t r = n % remotes;
    const auto port = static_cast<std::uint16_t>(config_.port + n / remotes % config_.sessions);
    TcpConnection* c = world_.stack->connect(r == 0 ? config_.remote : config_.more_remotes[r - 1],
                                             port, &call, config_.traffic + 1);
    if (c == nullptr) {
      lost();
      free_.push_back(index);
      return;
    }
    c->count_into(&stats_);
  }

 private:
  static constexpr std::uint64_t kMostNumbers = 1ULL << (64 - kIncarnationShift);

  struct Call final : TcpEvents {
    explicit Call(ReconnectingClient& c) : client(c) {}

    void on_connected(TcpConnection& c) override {
      ++client.stats_.connections_opened;
      ++client.stats_.bucket(client.world_.world()).opened;
      c.send(Payload::stream(request_stream(client.key_), base, client.config_.request));
    }
    void on_received(TcpConnection& c, const Payload& data) override {
      TrafficStats& stats = client.stats_;
      const Time now = client.world_.world();
      client.world_.verify(stats, data, response_stream(client.key_), base + answered);
      const bool was_whole = answered >= client.config_.response;
      answered += data.size();
      if (counted) {
        stats.bytes += data.size();
        stats.bucket(now).bytes += data.size();
      }
      if (was_whole || answered < client.config_.response) return;
      if (counted) {
        ++stats.delivered;
        ++stats.completed;
        ++stats.bucket(at).delivered;
        ++stats.bucket(now).completed;
        stats.samples.push_back({now, now - at});
      }
      c.close();
    }
    void on_peer_closed(TcpConnection& c) override { c.close(); }
    void on_closed(TcpConnection&, TcpEnd end) override {
      if (end == TcpEnd::normal) {
        ++client.stats_.connections_closed;
      } else {
        client.lost();
      }
      client.free_.push_back(index);
    }

    ReconnectingClient& client;
    std::size_t index = 0;
    Time at{};
    bool counted = false;
    std::uint64_t base = 0, answered = 0;
  };

  GuestTimers& timers() { return world_.stack->timers(); }
  void lost() {
    ++stats_.connections_lost;
    ++stats_.bucket(world_.world()).lost;
  }

  AppWorld& world_;
  ClientConfig config_;
  TrafficStats& stats_;
  std::uint64_t key_;
  Duration gap_{};
  GuestTimers::Slot request_timer_ = 0;
  std::uint64_t number_ = 0;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<std::size_t> free_;
};

class TcpServer final : public App, public TcpAcceptor {
 public:
  TcpServer(AppWorld& world, std::vector<PeerConfig> peers) : world_(world) {
    for (PeerConfig& p : peers)
      sources_.push_back(
          {request_stream(content_key(p.traffic, p.pair)), p, &world.stats_of(p.traffic, p.pair)});
    std::sort(sources_.begin(), sources_.end(),
              [](const Source& a, const Source& b) { return a.stream < b.stream; });
  }

  void begin(RandomStream) override { world_.stack->listen(sources_[0].config.port, this); }

  TcpEvents* on_accept(TcpConnection&) override {
    std::size_t index;
    if (free_.empty()) {
      index = sessions_.size();
      sessions_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    sessions_[index] = std::make_unique<Session>(*this, index);
    return sessions_[index].get();
  }

 private:
  struct Source {
    std::uint64_t stream;
    PeerConfig config;
    TrafficStats* stats;
    std::uint64_t connections = 0;
  };

  struct Session final : TcpEvents {
    Session(TcpServer& s, std::size_t i) : server(s), index(i) {}

    void on_received(TcpConnection& c, const Payload& data) override {
      if (source == nullptr && !identify(c, data)) return;
      AppWorld& world = server.world_;
      TrafficStats& stats = *source->stats;
      world.verify(stats, data, source->stream, base + received);
      received += data.size();
      const Time now = world.world();
      if (now >= source->config.count_from) {
        stats.bytes += data.size();
        stats.bucket(now).bytes += data.size();
      }
      if (source->config.kind != AppKind::rpc) return;
      const PeerConfig& config = source->config;
      const std::uint64_t stream = response_stream(content_key(config.traffic, config.pair));
      while (received >= (served + 1) * config.request) {
        c.send(Payload::stream(stream, base + served * config.response, config.response));
        ++served;
      }
    }

    /// Who is it? The content says so; real bytes do not, then the address must.
    bool identify(TcpConnection& c, const Payload& data) {
      if (data.is_stream()) {
        auto it = std::lower_bound(
            server.sources_.begin(), server.sources_.end(), data.stream_id(),
            [](const Source& s, std::uint64_t stream) { return s.stream < stream; });
        if (it != server.sources_.end() && it->stream == data.stream_id()) source = &*it;
      }
      for (Source& s : server.sources_)
        if (source == nullptr && s.config.client == c.remote()) source = &s;
      if (source == nullptr) return false;
      const std::uint64_t ordinal = source->connections++;
      base = (data.is_stream() ? data.offset() >> kIncarnationShift : ordinal) << kIncarnationShift;
      c.count_into(source->stats);
      return true;
    }

    void on_peer_closed(TcpConnection& c) override { c.close(); }
    void on_closed(TcpConnection&, TcpEnd) override {
      TcpServer& s = server;
      const std::size_t i = index;
      s.sessions_[i].reset();  // *this
      s.free_.push_back(i);
    }

    TcpServer& server;
    std::size_t index;
    Source* source = nullptr;
    std::uint64_t base = 0, received = 0, served = 0;
  };

  AppWorld& world_;
  std::vector<Source> sources_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<std::size_t> free_;
};

}  // namespace

std::unique_ptr<App> make_bulk_client(AppWorld& world, const ClientConfig& config) {
  return std::make_unique<BulkClient>(world, config);
}
std::unique_ptr<App> make_rpc_client(AppWorld& world, const ClientConfig& config) {
  if (config.reconnect) return std::make_unique<ReconnectingClient>(world, config);
  return std::make_unique<RpcClient>(world, config);
}
std::unique_ptr<App> make_tcp_server(AppWorld& world, std::vector<PeerConfig> peers) {
  return std::make_unique<TcpServer>(world, std::move(peers));
}

}  // namespace weft::models
