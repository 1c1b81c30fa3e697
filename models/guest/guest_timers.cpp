#include "models/guest/guest_timers.h"

#include "base/check.h"

namespace weft::models {

GuestTimers::Slot GuestTimers::add(TimerTarget* target, std::uint64_t argument) {
  Slot slot;
  if (free_.empty()) {
    slot = static_cast<Slot>(entries_.size());
    entries_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  entries_[slot].target = target;
  entries_[slot].argument = argument;
  return slot;
}

void GuestTimers::remove(Slot slot) {
  cancel(slot);
  entries_[slot].target = nullptr;
  free_.push_back(slot);
}

void GuestTimers::arm(Slot slot, Time at) {
  Entry& e = entries_[slot];
  if (at == Time::never()) {
    cancel(slot);
    return;
  }
  e.deadline = at;
  if (station_ == nullptr) return;
  if (e.deadline < now()) e.deadline = now();
  station_->arm(e.kernel, to_world(e.deadline), slot);
}

void GuestTimers::cancel(Slot slot) {
  Entry& e = entries_[slot];
  if (e.deadline == Time::never()) return;
  e.deadline = Time::never();
  if (station_ != nullptr) station_->cancel(e.kernel);
}

void GuestTimers::fire(Slot slot) {
  WEFT_CHECK(slot < entries_.size(), "timer slot {} of {}", slot, entries_.size());
  Entry& e = entries_[slot];
  if (e.target == nullptr || e.deadline == Time::never()) return;
  e.deadline = Time::never();
  TimerTarget* target = e.target;
  target->on_timer(e.argument);  // may add slots: `e` is not used after this
}

void GuestTimers::attach(Station& station) {
  WEFT_CHECK(station_ == nullptr, "attached twice");
  station_ = &station;
  if (ran_) paused_ += station.now() - detached_at_;
  ran_ = true;
  for (Slot slot = 0; slot < entries_.size(); ++slot) {
    Entry& e = entries_[slot];
    e.kernel = {};
    if (e.target != nullptr && e.deadline != Time::never()) arm(slot, e.deadline);
  }
}

void GuestTimers::detach() {
  WEFT_CHECK(station_ != nullptr, "detached twice");
  for (Entry& e : entries_) {
    if (e.target != nullptr && e.deadline != Time::never()) station_->cancel(e.kernel);
    e.kernel = {};
  }
  detached_at_ = station_->now();
  station_ = nullptr;
}

}  // namespace weft::models
