#include "datapath/packet.h"

#include <cstring>
#include <mutex>
#include <utility>

namespace weft {

// --- Packet --------------------------------------------------------------------------------------

void Packet::move_to(std::uint32_t new_head, std::uint32_t new_capacity) {
  const std::uint8_t* from = data();
  if (base_ == storage_ && large_ != nullptr && large_capacity_ >= new_capacity) {
    std::memcpy(large_.get() + new_head, from, header_size_);
  } else {
    std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[new_capacity]);
    std::memcpy(buffer.get() + new_head, from, header_size_);
    large_ = std::move(buffer);
    large_capacity_ = new_capacity;
  }
  base_ = large_.get();
  head_ = new_head;
  capacity_ = large_capacity_;
}

void Packet::grow(std::uint32_t need_in_front) {
  const std::uint32_t new_head = need_in_front + kHeadroom;
  move_to(new_head, new_head + header_size_ + (capacity_ - head_ - header_size_) + kHeadroom);
}

void Packet::grow_tail(std::uint32_t header_size) {
  move_to(head_, head_ + header_size + header_size / 2 + kHeadroom);
}

std::uint8_t* Packet::reset_headers(std::uint32_t n) {
  header_size_ = 0;
  route_hash = 0;
  checksums_good = 0;
  head_ = kHeadroom;
  if (n > capacity_ - kHeadroom) [[unlikely]]
    grow_tail(n);
  header_size_ = n;
  return data();
}

void Packet::resize_headers(std::uint32_t n) {
  if (n > capacity_ - head_) [[unlikely]]
    grow_tail(n);
  header_size_ = n;
  route_hash = 0;
}

void Packet::materialise_payload(std::uint32_t n) {
  WEFT_CHECK(n <= payload.size(), "{} bytes of a payload of {}", n, payload.size());
  const std::uint32_t old = header_size_;
  resize_headers(old + n);
  payload.materialise(0, {data() + old, n});
  payload = payload.slice(n, payload.size() - n);
}

void Packet::copy_frame(std::vector<std::uint8_t>& out) const {
  out.resize(size());
  if (header_size_ > 0) std::memcpy(out.data(), data(), header_size_);
  payload.materialise(0, std::span(out).subspan(header_size_));
}

// --- arena and pools -----------------------------------------------------------------------------

// A batch is a list of exactly kBatch packets. There are never more batches than slabs, so `full`
// grows only together with the slabs. Pools that die leave loose packets.
struct PacketArena::Impl {
  mutable std::mutex mutex;
  std::vector<std::unique_ptr<Packet[]>> slabs;
  std::vector<Packet*> full;
  Packet* loose = nullptr;
  std::size_t loose_count = 0;
};

PacketArena::PacketArena() : impl_(std::make_unique<Impl>()) {}
PacketArena::~PacketArena() = default;

std::size_t PacketArena::allocated() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->slabs.size() * PacketPool::kBatch;
}

std::size_t PacketArena::idle() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->full.size() * PacketPool::kBatch + impl_->loose_count;
}

std::vector<const Packet*> PacketArena::in_use() const {
  std::lock_guard lock(impl_->mutex);
  std::vector<const Packet*> out;
  for (const auto& slab : impl_->slabs)
    for (std::size_t i = 0; i < PacketPool::kBatch; ++i)
      if (slab[i].id != 0) out.push_back(&slab[i]);
  return out;
}

PacketPool::~PacketPool() {
  auto& arena = *arena_->impl_;
  std::lock_guard lock(arena.mutex);
  for (Packet* list : {free_, spare_}) {
    while (list != nullptr) {
      Packet* next = list->next_;
      list->next_ = arena.loose;
      arena.loose = list;
      ++arena.loose_count;
      list = next;
    }
  }
}

void PacketPool::refill() {
  if (spare_ != nullptr) {
    free_ = std::exchange(spare_, nullptr);
    free_count_ = kBatch;
    return;
  }
  auto& arena = *arena_->impl_;
  std::lock_guard lock(arena.mutex);
  if (!arena.full.empty()) {
    free_ = arena.full.back();
    arena.full.pop_back();
    free_count_ = kBatch;
    return;
  }
  if (arena.loose != nullptr) {
    for (; free_count_ < kBatch && arena.loose != nullptr; ++free_count_) {
      Packet* packet = std::exchange(arena.loose, arena.loose->next_);
      packet->next_ = free_;
      free_ = packet;
    }
    arena.loose_count -= free_count_;
    return;
  }
  arena.slabs.emplace_back(new Packet[kBatch]);
  arena.full.reserve(arena.slabs.size());
  Packet* slab = arena.slabs.back().get();
  for (std::size_t i = 0; i + 1 < kBatch; ++i) slab[i].next_ = &slab[i + 1];
  free_ = slab;
  free_count_ = kBatch;
}

Packet* PacketPool::take() {
  if (free_ == nullptr) [[unlikely]]
    refill();
  Packet* p = free_;
  free_ = p->next_;
  --free_count_;
  p->next_ = nullptr;
  p->id = 0;
  p->parent = 0;
  p->born = Time{};
  p->tenant = 0;
  p->flow = 0;
  p->pair = 0;
  p->link_epoch = 0;
  p->route_hash = 0;
  p->segment_size = 0;
  p->corrupted = 0;
  p->observed = 0;
  p->fragment_id = 0;
  p->fragment_size = 0;
  p->checksums_good = 0;
  p->base_ = p->storage_;
  p->capacity_ = Packet::kInlineStorage;
  p->head_ = Packet::kHeadroom;
  p->header_size_ = 0;
  return p;
}

void PacketPool::give(Packet* p) {
  p->payload.reset();
  p->id = 0;
  if (free_count_ == kBatch) [[unlikely]] {
    Packet* third = std::exchange(spare_, free_);
    free_ = nullptr;
    free_count_ = 0;
    if (third != nullptr) {
      auto& arena = *arena_->impl_;
      std::lock_guard lock(arena.mutex);
      arena.full.push_back(third);
    }
  }
  p->next_ = free_;
  free_ = p;
  ++free_count_;
}

Packet* PacketPool::clone(const Packet& original, PacketId id) {
  Packet* p = take();
  std::uint8_t* to = p->reset_headers(original.header_size());
  if (original.header_size() > 0) std::memcpy(to, original.data(), original.header_size());
  p->payload = original.payload;
  p->id = id;
  p->parent = original.id;
  p->born = original.born;
  p->tenant = original.tenant;
  p->flow = original.flow;
  p->pair = original.pair;
  p->link_epoch = original.link_epoch;
  p->route_hash = original.route_hash;
  p->segment_size = original.segment_size;
  p->corrupted = original.corrupted;
  p->observed = original.observed;
  p->fragment_id = original.fragment_id;
  p->fragment_size = original.fragment_size;
  p->checksums_good = original.checksums_good;
  return p;
}

}  // namespace weft
