#include "scenarios/run/captures.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "analysis/text.h"
#include "models/hypervisor.h"

namespace weft::scenarios {

class Captures::Tap final : public models::FrameTap {
 public:
  struct Frame {
    Time at;
    std::uint64_t order;
    PacketId packet;
    models::Direction direction;
    std::vector<std::uint8_t> bytes;
  };
  explicit Tap(pcap::CaptureFilter filter) : filter_(std::move(filter)) {}
  void frame(Time at, std::uint64_t order, models::Direction direction,
             const Packet& packet) override {
    if (!filter_.matches(packet.headers(), packet.size())) return;
    Frame f{at, order, packet.id, direction, {}};
    packet.copy_frame(f.bytes);
    frames.push_back(std::move(f));
  }
  std::vector<Frame> frames;

 private:
  pcap::CaptureFilter filter_;
};

struct Captures::File {
  CaptureSpec spec;
  std::vector<std::unique_ptr<Tap>> taps;
  std::optional<pcap::PcapngWriter> writer;
  std::string name;
  std::string path;  ///< where it lies during the run
  std::string error;

  /// The first error stays. It names the file by where it will be found.
  void fail(const Error& e) {
    if (!error.empty()) return;
    error = e.message;
    if (const auto at = error.find(path); at != std::string::npos)
      error.replace(at, path.size(), name);
  }
};

Captures::~Captures() = default;

std::string drop_text(const World& world, std::size_t node, const models::DropRecord& record) {
  std::string text = fmt::format("dropped at {} by {}", world.where_text(node, record.where),
                                 name_of(record.reason));
  const auto* origin = world.origin_of(record.cookie);
  if (origin != nullptr && record.reason == DropReason::policy)
    text = fmt::format("dropped at {} by {} of {} ({})", world.where_text(node, record.where),
                       origin->rule, world.scenario().tenants[origin->tenant].name,
                       analysis::short_place(origin->place));
  if (const EventSpec* event = world.failure_behind(node, record); event != nullptr)
    text += fmt::format(" because of {} ({})", event->name, analysis::short_place(event->place));
  return text + fmt::format("; packet {}", record.packet);
}

std::vector<Error> capture_filter_errors(const std::vector<CaptureSpec>& specs) {
  std::vector<Error> errors;
  for (const auto& spec : specs)
    if (const auto filter = pcap::CaptureFilter::compile(spec.filter); !filter.ok()) {
      errors.push_back(filter.error());
      errors.back().place = spec.place;
      errors.back().message = "capture of " + spec.point + ": " + errors.back().message;
    }
  return errors;
}

Result<std::unique_ptr<Captures>> Captures::open(World& world,
                                                 const std::vector<CaptureSpec>& specs,
                                                 const RunFolder& folder,
                                                 const std::string& application) {
  std::unique_ptr<Captures> captures(new Captures());
  captures->world_ = &world;
  captures->seen_.resize(world.node_count());
  for (const auto& spec : specs) {
    auto filter = pcap::CaptureFilter::compile(spec.filter);
    if (!filter.ok()) {
      Error e = filter.error();
      e.place = spec.place;
      return e;
    }
    auto file = std::make_unique<File>();
    file->spec = spec;
    file->name = RunFolder::capture_name(spec.point);
    file->path = folder.capture_path(spec.point);
    auto tap = [&] {
      file->taps.push_back(std::make_unique<Tap>(*filter));
      return file->taps.back().get();
    };
    std::uint64_t speed = 0;
    if (spec.vm) {
      const auto& vm = world.scenario().tenants[*spec.vm->tenant].vms[spec.vm->index];
      // The VM may move: its port is watched wherever it is plugged in.
      for (std::size_t i = 0; i < world.node_count(); ++i)
        if (auto* hv = world.hypervisor(i)) hv->set_vm_tap(vm.name, tap());
    } else if (spec.link) {
      auto& port = world.port(spec.node, *spec.link);
      WEFT_CHECK(port.tap == nullptr, "point {} is captured twice", spec.point);
      port.tap = tap();
      speed = port.config.rate.bps;
    } else {
      for (std::size_t i = 0; i < world.node_count(); ++i) world.node(i).drop_tap = tap();
    }
    auto writer = pcap::PcapngWriter::open(file->path, {.application = application,
                                                        .comment = world.scenario().name,
                                                        .interface = spec.point,
                                                        .filter = spec.filter,
                                                        .speed_bps = speed});
    if (!writer.ok()) return writer.error();
    file->writer.emplace(std::move(writer).value());
    captures->files_.push_back(std::move(file));
  }
  return captures;
}

void Captures::collect_drops() {
  for (std::size_t i = 0; i < world_->node_count(); ++i) {
    const auto& records = world_->node(i).ledger.records;
    for (; seen_[i] < records.size(); ++seen_[i])
      comments_.emplace(records[seen_[i]].packet, drop_text(*world_, i, records[seen_[i]]));
  }
}

void Captures::flush(Time now, bool everything) {
  if (files_.empty()) return;
  collect_drops();
  const Time limit = everything ? Time::never() : now - kLag;
  for (auto& file : files_) {
    struct Next {
      const Tap::Frame* frame;
    };
    std::vector<Next> ready;
    std::vector<std::size_t> taken(file->taps.size());
    for (std::size_t t = 0; t < file->taps.size(); ++t) {
      auto& frames = file->taps[t]->frames;  // in the order of the node's own events
      while (taken[t] < frames.size() && frames[taken[t]].at < limit)
        ready.push_back({&frames[taken[t]++]});
    }
    if (file->taps.size() > 1)
      std::stable_sort(ready.begin(), ready.end(), [](const Next& a, const Next& b) {
        return std::pair(a.frame->at, a.frame->order) < std::pair(b.frame->at, b.frame->order);
      });
    for (const auto& next : ready) {
      if (!file->error.empty()) break;
      const auto comment = comments_.find(next.frame->packet);
      const bool in = next.frame->direction == models::Direction::in;
      const auto done =
          file->writer->write(next.frame->at, next.frame->bytes,
                              comment == comments_.end() ? std::string_view{} : comment->second,
                              in ? pcap::Direction::inbound : pcap::Direction::outbound);
      if (!done.ok()) file->fail(done.error());
    }
    for (std::size_t t = 0; t < file->taps.size(); ++t) {
      auto& frames = file->taps[t]->frames;
      frames.erase(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(taken[t]));
    }
  }
}

std::vector<analysis::CaptureFileInfo> Captures::close() {
  flush(Time::never(), true);
  std::vector<analysis::CaptureFileInfo> out;
  for (auto& file : files_) {
    if (const auto done = file->writer->close(); !done.ok()) file->fail(done.error());
    out.push_back({.point = file->spec.point,
                   .filter = file->spec.filter,
                   .path = file->name,
                   .packets = file->writer->packets(),
                   .bytes = file->writer->bytes(),
                   .error = file->error});
  }
  return out;
}

}  // namespace weft::scenarios
