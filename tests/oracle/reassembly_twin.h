// The slow twin of STT reassembly: bytes in a map, looked through from the start each time. It
// knows no limits of memory, no descriptors and no order of anything but arrival.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"

namespace weft::oracle {

class ReassemblyTwin {
 public:
  explicit ReassemblyTwin(Duration timeout) : timeout_(timeout) {}

  /// The frame's data if this segment completes it.
  std::optional<std::vector<std::uint8_t>> add(std::uint32_t frame, std::uint32_t total,
                                               std::uint32_t offset,
                                               const std::vector<std::uint8_t>& data, Time now) {
    for (auto it = frames_.begin(); it != frames_.end();)
      it = it->second.deadline <= now ? frames_.erase(it) : std::next(it);
    Frame& f = frames_.try_emplace(frame, Frame{{}, now + timeout_, total, false}).first->second;
    if (f.broken) return std::nullopt;
    bool same = total == f.total;
    bool fresh = true;
    for (std::uint32_t i = 0; i < data.size(); ++i) {
      const auto old = f.bytes.find(offset + i);
      if (old == f.bytes.end()) continue;
      fresh = false;
    }
    if (!fresh) {
      // A repetition is the same segment, not merely the same bytes.
      const auto segment = f.segments.find(offset);
      same = same && segment != f.segments.end() && segment->second == data;
    }
    if (!same) {
      f.broken = true;
      return std::nullopt;
    }
    if (!fresh) return std::nullopt;
    f.segments[offset] = data;
    for (std::uint32_t i = 0; i < data.size(); ++i) f.bytes[offset + i] = data[i];
    if (f.bytes.size() != f.total) return std::nullopt;
    std::vector<std::uint8_t> whole;
    for (const auto& [at, byte] : f.bytes) whole.push_back(byte);
    frames_.erase(frame);
    return whole;
  }

 private:
  struct Frame {
    std::map<std::uint32_t, std::uint8_t> bytes;
    Time deadline{};
    std::uint32_t total = 0;
    bool broken = false;
    std::map<std::uint32_t, std::vector<std::uint8_t>> segments;
  };
  Duration timeout_;
  std::map<std::uint32_t, Frame> frames_;
};

}  // namespace weft::oracle
