// Meter: a limit of rate that `meter:N` holds packets against. One that exceeds a band is dropped
// (meter.exceeded) and the actions behind are not done for it. Text as of ovs-ofctl add-meter:
//
//   meter=1,kbps,burst,band=type=drop,rate=1000,burst_size=100
//
// Each band is a bucket of tokens on injected time: it holds burst_size (kilobits or packets; one
// second's worth of the rate if none is given), fills at `rate` (kilobits or packets a second), is
// full when the meter is made, and a packet takes its frame's bits, or one packet, out of it.
// Integers throughout: the level is counted in 10^-12 of a bit (or packet), so no rounding
// accumulates, whatever the times of packets are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weft::datapath {

struct MeterBand {
  std::uint32_t rate = 0;   ///< kb/s or packets/s
  std::uint32_t burst = 0;  ///< kb or packets; 0: `rate`
  bool operator==(const MeterBand&) const = default;
};

struct Meter {
  static constexpr std::uint32_t kMaxId = 0xffff0000;
  static constexpr std::uint32_t kAll = 0xffffffff;  ///< del-meter without an id
  std::uint32_t id = 0;
  bool packets = false;  ///< pktps
  std::vector<MeterBand> bands;
  bool operator==(const Meter&) const = default;
};

/// Errors carry the column (1-based). Without `need_bands` (del-meter) an id is enough.
Result<Meter> parse_meter(std::string_view text, int column = 1, bool need_bands = true);
std::string format_meter(const Meter& meter);

struct InstalledMeter {
  Meter meter;
  struct Band {
    unsigned __int128 level = 0;
    std::uint64_t packets = 0;  ///< that exceeded it
    std::uint64_t bytes = 0;
  };
  std::vector<Band> bands;
  Time filled{};
  Time added{};
  std::uint64_t packets = 0;  ///< that came
  std::uint64_t bytes = 0;

  InstalledMeter(Meter what, Time now);
  /// Counts a packet; false if it exceeds a band. Time that goes backwards stands still.
  bool admit(std::uint32_t size, Time now);
};

/// Shared with the decisions that use them.
class MeterTable {
 public:
  void put(Meter meter, Time now) {
    const std::uint32_t id = meter.id;
    meters_[id] = std::make_shared<InstalledMeter>(std::move(meter), now);
  }
  bool remove(std::uint32_t id) { return meters_.erase(id) != 0; }
  void clear() { meters_.clear(); }
  std::shared_ptr<InstalledMeter> find(std::uint32_t id) const {
    const auto it = meters_.find(id);
    return it == meters_.end() ? nullptr : it->second;
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [id, m] : meters_) visit(*m);
  }

 private:
  std::map<std::uint32_t, std::shared_ptr<InstalledMeter>> meters_;
};

}  // namespace weft::datapath
