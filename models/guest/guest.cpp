#include "models/guest/guest.h"

#include <algorithm>
#include <map>

#include "models/guest/apps.h"

namespace weft::models {

struct Guest::Impl {
  explicit Impl(GuestConfig c) : config(std::move(c)), stack(config.net) {
    world.stack = &stack;
    world.check_integrity = config.check_integrity;
  }

  void begin() {
    for (const ClientConfig& c : config.clients) (void)world.stats_of(c.traffic, c.pair);
    for (const PeerConfig& p : config.peers) (void)world.stats_of(p.traffic, p.pair);
    // Servers first: a client of the same instant finds them listening.
    std::map<std::pair<bool, std::uint16_t>, std::vector<PeerConfig>> servers;
    for (const PeerConfig& p : config.peers) {
      if (p.kind == AppKind::ping || p.kind == AppKind::scan) continue;
      servers[{p.kind != AppKind::udp, p.port}].push_back(p);
    }
    for (auto& [key, peers] : servers) {
      apps.push_back(key.first ? make_tcp_server(world, std::move(peers))
                               : make_udp_sink(world, std::move(peers)));
      apps.back()->begin({});
    }
    std::uint16_t identifier = 1;
    for (const ClientConfig& c : config.clients) {
      switch (c.kind) {
        case AppKind::ping:
          apps.push_back(make_ping(world, c, identifier++));
          break;
        case AppKind::udp:
          apps.push_back(make_udp_sender(world, c));
          break;
        case AppKind::bulk:
          apps.push_back(make_bulk_client(world, c));
          break;
        case AppKind::rpc:
          apps.push_back(make_rpc_client(world, c));
          break;
        case AppKind::scan:
          apps.push_back(make_scan(world, c));
          break;
      }
      apps.back()->begin(stack.timers().station().stream(c.name));
    }
  }

  GuestConfig config;
  Netstack stack;
  AppWorld world;
  std::vector<std::unique_ptr<App>> apps;
  bool begun = false;
};

Guest::Guest(GuestConfig config) : impl_(std::make_unique<Impl>(std::move(config))) {}
Guest::~Guest() = default;
Guest::Guest(Guest&&) noexcept = default;
Guest& Guest::operator=(Guest&&) noexcept = default;

void Guest::attach(Station& station) {
  impl_->stack.attach(station);
  if (impl_->begun) return;
  impl_->begun = true;
  impl_->begin();
}

void Guest::detach() { impl_->stack.detach(); }
bool Guest::attached() const { return impl_->stack.timers().attached(); }
void Guest::receive(Packet* packet) { impl_->stack.receive(packet); }
void Guest::on_timer(std::uint32_t slot) { impl_->stack.on_timer(slot); }
void Guest::announce() { impl_->stack.announce(); }
void Guest::warm(sim::WarmLines& lines) const {
  lines.add(&impl_->stack, sizeof impl_->stack + sizeof impl_->world);
  impl_->stack.warm(lines);
  for (const auto& app : impl_->apps) app->warm(lines);
}
Netstack& Guest::stack() { return impl_->stack; }
const Netstack& Guest::stack() const { return impl_->stack; }
const std::vector<std::unique_ptr<TrafficStats>>& Guest::stats() const {
  return impl_->world.stats;
}

std::vector<Waiting> Guest::waiting() const {
  std::vector<Waiting> out;
  for (const auto& app : impl_->apps) app->waiting(out);
  return out;
}

namespace {

/// Where the record of (traffic, pair) is or belongs.
auto find_record(const std::vector<std::unique_ptr<TrafficStats>>& stats, std::uint32_t traffic,
                 std::uint32_t pair) {
  return std::lower_bound(stats.begin(), stats.end(), std::pair(traffic, pair),
                          [](const auto& record, const auto& key) {
                            return std::pair(record->traffic, record->pair) < key;
                          });
}

}  // namespace

const TrafficStats* Guest::pair_stats(std::uint32_t traffic, std::uint32_t pair) const {
  const auto& stats = impl_->world.stats;
  const auto it = find_record(stats, traffic, pair);
  return it != stats.end() && (*it)->traffic == traffic && (*it)->pair == pair ? it->get()
                                                                               : nullptr;
}

TrafficStats& AppWorld::stats_of(std::uint32_t traffic, std::uint32_t pair) {
  const auto at = find_record(stats, traffic, pair);
  if (at != stats.end() && (*at)->traffic == traffic && (*at)->pair == pair) return **at;
  const auto made = stats.insert(at, std::make_unique<TrafficStats>());
  (*made)->traffic = traffic;
  (*made)->pair = pair;
  return **made;
}

void AppWorld::verify(TrafficStats& record, const Payload& data, std::uint64_t stream,
                      std::uint64_t offset) const {
  if (data.is_stream() && data.stream_id() == stream && data.offset() == offset) return;
  bool right = false;
  if (!data.is_stream()) {  // real bytes: compare them
    std::vector<std::uint8_t> is(data.size()), should(data.size());
    data.materialise(0, is);
    Payload::stream(stream, offset, data.size()).materialise(0, should);
    right = is == should;
  }
  if (right) return;
  ++record.integrity_faults;
  WEFT_CHECK(!check_integrity,
             "traffic {}: {} bytes delivered at position {} of stream {:x} are those at {} of {:x}",
             record.traffic, data.size(), offset, stream, data.offset(), data.stream_id());
}

ArrivalRecord::Arrival ArrivalRecord::add(std::uint64_t number) {
  if (number >= next_) {
    if (number > next_) {
      if (holes_.size() >= kMostHoles)
        holes_.erase(holes_.begin(), holes_.begin() + static_cast<std::ptrdiff_t>(kMostHoles / 2));
      holes_.push_back({next_, number});
    }
    next_ = number + 1;
    return Arrival::in_order;
  }
  auto it = std::lower_bound(holes_.begin(), holes_.end(), number,
                             [](const Hole& h, std::uint64_t n) { return h.end <= n; });
  if (it == holes_.end() || number < it->begin) return Arrival::duplicate;
  if (it->begin == number && it->end == number + 1) {
    holes_.erase(it);
  } else if (it->begin == number) {
    ++it->begin;
  } else if (it->end == number + 1) {
    --it->end;
  } else {
    const Hole right{number + 1, it->end};
    it->end = number;
    holes_.insert(it + 1, right);
  }
  return Arrival::late;
}

}  // namespace weft::models
