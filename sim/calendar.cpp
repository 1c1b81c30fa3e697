#include "sim/calendar.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace weft::sim {

namespace {
constexpr std::size_t kSlabChunks = 32;
constexpr std::align_val_t kChunkAlignment{alignof(Chunk)};
}  // namespace

WindowWidth::WindowWidth(Duration most) {
  WEFT_CHECK(most.ps > 0, "a window of {} ps", most.ps);
  const auto wanted = static_cast<std::uint64_t>(std::min(most.ps, kWidest));
  const int bits = std::bit_width(wanted);
  // index() is exact while (t >> shift) * m < 2^63: with m < 2^8 that takes a shift of 8 or more.
  // Narrower windows (below 33 ns) are powers of two, for which it is always exact.
  shift_ = static_cast<unsigned>(bits >= 16 ? bits - 8 : bits - 1);
  const std::uint64_t multiple = wanted >> shift_;
  width_ = multiple << shift_;
  reciprocal_ = ((1ULL << 63) + multiple - 1) / multiple;
}

Calendar::Slabs::~Slabs() {
  for (Chunk* slab : slabs) ::operator delete(slab, kChunkAlignment);
}

Calendar::Calendar(WindowWidth width) : width_(width) {
  levels_[0].cursors = std::make_unique<Event*[]>(kSlots);
}

Chunk* Calendar::new_chunk() {
  if (!free_) {
    auto* slab = static_cast<Chunk*>(::operator new(kSlabChunks * sizeof(Chunk), kChunkAlignment));
    slabs_.slabs.push_back(slab);
    for (std::size_t i = kSlabChunks; i-- > 0;) free_chunk(slab + i);
  }
  Chunk* chunk = free_;
  free_ = chunk->previous;
  return chunk;
}

void Calendar::grow(int level_number, std::uint64_t slot) {
  Level& level = levels_[level_number];
  Event*& cursor = level.cursors[slot];
  Chunk* chunk = new_chunk();
  chunk->previous = nullptr;
  if (cursor) {
    chunk->previous = Chunk::of(cursor);
  } else {
    level.used[slot >> 6] |= 1ULL << (slot & 63);
    level.summary |= 1ULL << (slot >> 6);
  }
  cursor = chunk->events;
}

Event* Calendar::place(const Event& event) {
  const std::uint64_t window = width_.index(event.time);
  const int level = level_of(window);
  if (!levels_[level].cursors) levels_[level].cursors = std::make_unique<Event*[]>(kSlots);
  Event* at = take_place(level, window >> (kDigitBits * level) & (kSlots - 1));
  *at = event;
  // A vehicle that was superseded within its window may be put back when the run's end cuts that
  // window; the timer's own vehicle is elsewhere then.
  if (event.target & kVehicle)
    if (auto* timer = event.pointer<TimerSlot>(); timer->vehicle_order == event.order)
      timer->where = at;
  return at;
}

void Calendar::remove_vehicle(TimerSlot& timer) {
  const std::uint64_t window = width_.index(timer.vehicle_time);
  const int number = level_of(window);
  Level& level = levels_[number];
  const std::uint64_t slot = window >> (kDigitBits * number) & (kSlots - 1);
  Event*& cursor = level.cursors[slot];
  Event* last = --cursor;
  if (last != timer.where) {
    *timer.where = *last;
    if (last->target & kVehicle) last->pointer<TimerSlot>()->where = timer.where;
  }
  timer.where = nullptr;
  Chunk* chunk = Chunk::of(last + 1);
  if (last != chunk->events) return;
  Chunk* before_it = chunk->previous;
  if (before_it) {
    cursor = before_it->events + Chunk::kEvents;
  } else {
    clear_slot(level, slot);
  }
  free_chunk(chunk);
}

std::uint64_t Calendar::next() const {
  for (int number = 0; number < kLevels; ++number) {
    const Level& level = levels_[number];
    if (level.summary == 0) continue;
    // Everything in a level lies at or after the current digit, so the first slot in use is next.
    const int word = std::countr_zero(level.summary);
    const auto slot = static_cast<std::uint64_t>(word * 64 + std::countr_zero(level.used[word]));
    const int shift = kDigitBits * number;
    return ((current_ >> shift & ~(kSlots - 1)) | slot) << shift;
  }
  return kNone;
}

std::uint64_t Calendar::visible(std::uint64_t window) const {
  const int shift = kDigitBits * level_of(window);
  return window >> shift << shift;
}

void Calendar::advance(std::uint64_t window) {
  const int number = level_of(window);
  current_ = window;
  // Lower levels hold nothing: their events would have come before `window`.
  if (number > 0) cascade(number, window >> (kDigitBits * number) & (kSlots - 1));
}

void Calendar::cascade(int number, std::uint64_t slot) {
  if (!levels_[number].cursors) return;
  drain_slot(levels_[number], slot, [this](const Event& e) { place(e); });
}

Calendar::Bucket Calendar::open() {
  const std::uint64_t slot = current_ & (kSlots - 1);
  Event* end = levels_[0].cursors[slot];
  opened_.clear();
  if (!end) return {nullptr, 0, 0};
  clear_slot(levels_[0], slot);
  for (Chunk* chunk = Chunk::of(end); chunk; chunk = chunk->previous) opened_.push_back(chunk);
  const auto in_last = static_cast<std::size_t>(end - opened_.front()->events);
  std::reverse(opened_.begin(), opened_.end());
  return {opened_.data(), opened_.size(), (opened_.size() - 1) * Chunk::kEvents + in_last};
}

void Calendar::recycle(const Bucket& bucket) {
  for (std::size_t i = bucket.chunk_count; i-- > 0;) free_chunk(bucket.chunks[i]);
}

std::uint64_t Calendar::bytes() const {
  std::uint64_t total = slabs_.slabs.size() * kSlabChunks * sizeof(Chunk);
  for (const Level& level : levels_)
    if (level.cursors) total += kSlots * sizeof(Event*);
  return total;
}

}  // namespace weft::sim
