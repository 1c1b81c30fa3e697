// Events and their order. This is the contract of DESIGN.md, "Time and order".
//
// An event is a 32-byte POD. Its key is (time, class, origin, the origin's own sequence number);
// keys are unique, and they depend neither on the order of insertion nor on the partition of the
// logical processes over threads. Class, origin and sequence are packed into one word, `order`, so
// that comparing two keys is two integer comparisons:
//
//     63 61 60           37 36                                   0
//     +-----+---------------+-------------------------------------+
//     |class|  origin (LP)  |  the origin's sequence number       |
//     +-----+---------------+-------------------------------------+
//
// `kind`, `aux` and `data` belong to the receiving LP; the kernel never looks at them. `data` may
// be an owning pointer (a packet, a message, a guest): exactly one event holds it, and whoever
// handles the event takes it over. Events that are never handled (the run ends) are given to
// LogicalProcess::discard.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"

namespace weft::sim {

using LpId = StrongId<struct LpTag>;            ///< dense, 0..; at most 2^24
using ChannelId = StrongId<struct ChannelTag>;  ///< dense, in the order of declaration

enum class EventClass : std::uint8_t {
  command = 0,
  port_state = 1,
  arrival = 2,
  control = 3,
  timer = 4
};

std::string_view to_string(EventClass c);

struct Event {
  Time time{};
  std::uint64_t order = 0;
  std::uint32_t target = 0;
  std::uint16_t kind = 0;
  std::uint16_t aux = 0;
  std::uint64_t data = 0;

  static constexpr int kSequenceBits = 37;
  static constexpr int kOriginBits = 24;
  static constexpr std::uint64_t make_order(EventClass c, LpId origin, std::uint64_t sequence) {
    return static_cast<std::uint64_t>(c) << (kSequenceBits + kOriginBits) |
           static_cast<std::uint64_t>(origin.value) << kSequenceBits | sequence;
  }
  constexpr EventClass event_class() const {
    return static_cast<EventClass>(order >> (kSequenceBits + kOriginBits));
  }
  constexpr LpId origin() const {
    return LpId{static_cast<std::uint32_t>(order >> kSequenceBits & ((1u << kOriginBits) - 1))};
  }
  constexpr std::uint64_t sequence() const { return order & ((1ULL << kSequenceBits) - 1); }
  template <class T>
  T* pointer() const {
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(data));
  }
};
static_assert(sizeof(Event) == 32);

constexpr bool before(const Event& a, const Event& b) {
  return a.time != b.time ? a.time < b.time : a.order < b.order;
}

}  // namespace weft::sim
