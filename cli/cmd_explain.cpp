// weft explain: what became of a packet. A run's folder holds all that is needed to run it again,
// and a run is the same every time, so the way of a packet is not recorded: the scenario runs once
// more, with a tracer that follows this one.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/commands.h"
#include "datapath/frame_text.h"
#include "models/observe.h"
#include "scenarios/run/output.h"
#include "scenarios/run/run.h"

namespace weft::cli {
namespace {

using Json = nlohmann::json;

struct Flags {
  std::string run;
  std::string packet;
  bool drops = false;
  std::size_t limit = 100;
};

/// "0.500002138s": as captures show it, and of one width.
std::string clock_text(Time t) {
  const std::int64_t ns = t.ps / 1000;
  return fmt::format("{}.{:09}s", ns / 1'000'000'000, ns % 1'000'000'000);
}

/// Follows one packet and whatever is made from it (copies, errors, replies that name it as
/// parent).
class Follow final : public models::PacketTracer {
 public:
  Follow(PacketId packet, std::atomic<bool>& stop) : stop_(stop) {
    ids_.insert(packet);
    open_.insert(packet);
  }
  bool follows(const Packet& packet) const override {
    if (ids_.contains(packet.id)) return true;
    if (packet.parent == 0 || !ids_.contains(packet.parent)) return false;
    ids_.insert(packet.id);
    open_.insert(packet.id);
    return true;
  }
  void line(Time at, std::uint64_t, const std::string& node, const Packet& packet,
            std::string text) override {
    if (!seen_.contains(packet.id) || text.starts_with("out ")) {
      const std::string frame = datapath::describe_frame(packet);
      if (frame != last_frame_) fmt::print("\n  packet {}: {}\n", packet.id, frame);
      last_frame_ = frame;
    }
    seen_.insert(packet.id);
    fmt::print("{:>14}  {:<12}  {}\n", clock_text(at), node, text);
    if (text.starts_with("DROPPED") || text == "delivered" || text == "consumed") {
      open_.erase(packet.id);
      if (open_.empty()) stop_.store(true);
    }
  }
  bool found() const { return !seen_.empty(); }

 private:
  mutable std::set<PacketId> ids_, open_;
  std::set<PacketId> seen_;
  std::string last_frame_;
  std::atomic<bool>& stop_;
};

int list_drops(const Flags& flags) {
  std::ifstream in(flags.run + "/events.jsonl");
  if (!in) {
    print_errors({{"'" + flags.run + "' holds no events.jsonl",
                   {},
                   "give the folder that `weft run` named"}});
    return kBadInput;
  }
  std::size_t shown = 0, all = 0;
  std::string line;
  while (std::getline(in, line)) {
    const Json entry = Json::parse(line, nullptr, false);
    if (!entry.is_object() || entry.value("kind", "") != "drop") continue;
    ++all;
    if (shown >= flags.limit) continue;
    ++shown;
    const Json details = entry.value("details", Json::object());
    std::string why = details.value("rule", details.value("reason", std::string("?")));
    if (details.contains("place")) why += " (" + details["place"].get<std::string>() + ")";
    fmt::print("{:>14}  packet {:<16} {:<20} {}\n",
               clock_text(Time{entry.value("time_ps", std::int64_t{0})}),
               details.value("packet", std::uint64_t{0}), entry.value("object", std::string()),
               why);
    if (details.contains("frame"))
      fmt::print("{:>14}  {}\n", "", details["frame"].get<std::string>());
  }
  if (all == 0) {
    fmt::print("no packet was dropped\n");
  } else if (shown < all) {
    fmt::print("... and {} more (--limit N shows more)\n", all - shown);
  }
  return kOk;
}

int follow(const Flags& flags) {
  auto record = scenarios::read_run_record(flags.run);
  if (!record.ok()) {
    print_errors({record.error()});
    return kBadInput;
  }
  PacketId id = 0;
  try {
    std::size_t used = 0;
    id = std::stoull(flags.packet, &used, 0);
    if (used != flags.packet.size()) throw std::invalid_argument("trailing");
  } catch (const std::exception&) {
    print_errors({{"--packet takes a number, not '" + flags.packet + "'",
                   {},
                   "`weft explain RUN --drops` lists dropped packets with their numbers"}});
    return kBadInput;
  }
  if (record->version != version())
    fmt::print(stderr, "warning: the run was made by weft {}, this is {}: the way may differ\n",
               record->version, version());
  std::atomic<bool> stop{false};
  Follow tracer(id, stop);
  scenarios::RunOptions options;
  options.seed = record->seed;
  options.set = record->overrides;
  options.until = record->planned;
  options.write_folder = false;
  options.check = scenarios::CheckLevel::basic;
  options.version = version();
  options.tracer = &tracer;
  options.stop = &stop;
  const auto outcome = scenarios::run_scenario(record->scenario_path, options);
  if (outcome.exit_code == kBadInput || outcome.exit_code == kInternalFault) {
    print_errors(outcome.errors);
    if (!outcome.results.identity.fault.empty())
      fmt::print(stderr, "{}\n", outcome.results.identity.fault);
    return outcome.exit_code;
  }
  if (!tracer.found()) {
    print_errors({{fmt::format("this run has no packet {}", id),
                   {},
                   "`weft explain RUN --drops` lists dropped packets with their numbers"}});
    return kBadInput;
  }
  for (const auto& drop : outcome.results.drop_entries) {
    if (drop.packet != id) continue;
    const auto& group = outcome.results.drops[drop.group];
    if (!group.rule.empty())
      fmt::print("\n  dropped by {} of {}, {}:{}:{}\n", group.rule, group.tenant, record->file,
                 group.place.line, group.place.column);
    if (!drop.event.empty())
      fmt::print("\n  dropped because of event {}, {}:{}:{}\n", drop.event, record->file,
                 drop.place.line, drop.place.column);
  }
  return kOk;
}

const Command command{
    "explain", "The whole way of one packet of a run, or every dropped packet and why", 80,
    "  weft explain runs/three-tier-migration-7 --drops\n"
    "  weft explain runs/three-tier-migration-7 --packet 1099511627781\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("RUN", flags->run, "Folder of a run")->required();
      auto* packet = app.add_option("--packet", flags->packet,
                                    "Number of the packet (from --drops, or a capture's comment)");
      auto* drops =
          app.add_flag("--drops", flags->drops, "Every dropped packet with the rule and its line");
      drops->excludes(packet);
      app.add_option("--limit", flags->limit, "How many drops to list (default 100)");
      return [flags] {
        if (flags->drops) return list_drops(*flags);
        if (!flags->packet.empty()) return follow(*flags);
        print_errors(
            {{"weft explain needs --packet N or --drops", {}, "weft explain RUN --drops"}});
        return static_cast<int>(kBadInput);
      };
    }};

}  // namespace
}  // namespace weft::cli
