// GuestTimers: every timer of one guest, and its clock.
//
// A guest is a movable value. While it travels between two hypervisors it is paused, and as on a
// real machine its clock stands still: a retransmission that was due in 150 ms is due 150 ms after
// the guest runs again. So a guest has a clock of its own,
//
//     now() = the station's now - all the time that it has spent detached,
//
// and all deadlines inside it (TCP, ARP, applications) are points of that clock. detach() forgets
// the kernel's timers, attach() arms them again on the new station, in slot order. Statistics use
// world(), the time that everybody shares.
//
// Whoever wants a timer takes a slot once and re-arms it; a slot that is freed is reused, last
// freed first, so numbers are the same in every run.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "models/guest/station.h"

namespace weft::models {

class TimerTarget {
 public:
  virtual void on_timer(std::uint64_t argument) = 0;

 protected:
  ~TimerTarget() = default;
};

class GuestTimers {
 public:
  using Slot = std::uint32_t;

  bool attached() const { return station_ != nullptr; }
  Station& station() const { return *station_; }
  /// The guest's clock (see above). Attached only.
  Time now() const { return Time{station_->now().ps - paused_.ps}; }
  /// The clock of the run.
  Time world() const { return station_->now(); }
  /// A point of the run's clock as a point of the guest's; never() stays never().
  Time from_world(Time t) const { return t == Time::never() ? t : Time{t.ps - paused_.ps}; }
  Time to_world(Time t) const { return t == Time::never() ? t : Time{t.ps + paused_.ps}; }

  Slot add(TimerTarget* target, std::uint64_t argument);
  void remove(Slot slot);
  /// Arms (again) for `at` of the guest's clock; a time that has passed means now. While detached
  /// it only takes note.
  void arm(Slot slot, Time at);
  void cancel(Slot slot);
  Time deadline(Slot slot) const { return entries_[slot].deadline; }  ///< never(): not armed

  /// The kernel says that `slot` fired: disarms it and calls its target.
  void fire(Slot slot);

  void attach(Station& station);
  void detach();
  void warm(sim::WarmLines& lines) const {
    sim::WarmLines::add(lines.timer, entries_.data(), entries_.size() * sizeof(Entry));
  }

 private:
  struct Entry {
    TimerTarget* target = nullptr;
    std::uint64_t argument = 0;
    Time deadline = Time::never();
    sim::TimerId kernel{};
  };
  Station* station_ = nullptr;
  Duration paused_{};
  Time detached_at_{};  ///< of the run's clock
  bool ran_ = false;
  std::vector<Entry> entries_;
  std::vector<Slot> free_;
};

}  // namespace weft::models
