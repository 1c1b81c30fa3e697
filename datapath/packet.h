// Packet: a buffer with headroom in which every header, inner and outer, is the real wire format,
// followed by a Payload (payload.h). A frame on the wire is headers() + payload; no FCS.
//
//   storage   [ headroom ........ | headers (Ethernet first) | tailroom ]   payload
//                                 ^ data()                   ^ data()+header_size()
//
// push() takes from the headroom (encapsulation), pull() gives back (decapsulation). If a header
// does not fit the 256-byte inline storage, the packet moves to a larger buffer by itself; nothing
// else changes.
//
// Who owns what: a Packet comes from a PacketPool and is held by exactly one place at a time (an
// event, a queue, a handler's local). Whoever ends its life gives it to the pool of its own thread;
// pools of different threads balance in batches, so nothing allocates in the steady state.
// Every packet ends in exactly one verdict: whoever frees one has reported it first
// (models/ledger).
//
// `id` is named by the LP that created it (Context::unique_id), so it is the same in every run.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/ids.h"
#include "base/time.h"
#include "datapath/payload.h"

namespace weft {

using PacketId = std::uint64_t;

class PacketPool;

/// Of a packet about a traffic (an ICMP error) that carries none of its units.
inline constexpr std::uint32_t kNoPair = UINT32_MAX;

class Packet {
 public:
  static constexpr std::size_t kInlineStorage = 256;
  static constexpr std::size_t kHeadroom = 128;

  // --- identity and simulation metadata: on no wire -------------------------------------------
  PacketId id = 0;
  PacketId parent = 0;             ///< the packet this one was cloned or cut from, else 0
  Time born{};                     ///< when it was created
  std::uint32_t tenant = 0;        ///< 0: underlay; else tenant index + 1 (checked by invariants)
  std::uint32_t flow = 0;          ///< traffic index + 1 of the scenario, 0: none
  std::uint32_t pair = 0;          ///< with `flow`: which of the traffic's pairs, or kNoPair
  std::uint32_t link_epoch = 0;    ///< state generation of the link it was sent on
  std::uint32_t route_hash = 0;    ///< cached hash of the outermost flow; 0: not computed
  std::uint16_t segment_size = 0;  ///< >0: a super-segment to be cut to this payload size
  std::uint8_t corrupted = 0;      ///< damaged on the wire; the next receiver drops it as bad_fcs
  std::uint8_t observed = 0;       ///< a trace follows it
  std::uint32_t fragment_id = 0;   ///< identification of the fragments that it came in
  /// >0: fragments were put together to this packet, of at most so many bytes of IP each; it is to
  /// be cut to such again before it leaves the switch.
  std::uint16_t fragment_size = 0;
  /// The checksums of its (innermost) IP and layer 4 have been verified. Who changes bytes without
  /// updating them sets it to 0.
  std::uint8_t checksums_good = 0;

  Payload payload;

  // --- headers -----------------------------------------------------------------------------------
  std::uint8_t* data() { return base_ + head_; }
  const std::uint8_t* data() const { return base_ + head_; }
  std::uint32_t header_size() const { return header_size_; }
  std::span<std::uint8_t> headers() { return {data(), header_size_}; }
  std::span<const std::uint8_t> headers() const { return {data(), header_size_}; }
  /// Length of the frame on the wire without FCS, in bytes.
  std::uint32_t size() const { return header_size_ + payload.size(); }

  /// Adds `n` bytes in front (contents undefined) and returns the new data().
  std::uint8_t* push(std::uint32_t n) {
    if (n > head_) [[unlikely]]
      grow(n);
    head_ -= n;
    header_size_ += n;
    route_hash = 0;
    return data();
  }
  /// Removes `n` bytes from the front; n <= header_size().
  void pull(std::uint32_t n) {
    WEFT_CHECK(n <= header_size_);
    head_ += n;
    header_size_ -= n;
    route_hash = 0;
  }
  /// Sets the header area to `n` bytes starting at the default headroom (contents undefined).
  std::uint8_t* reset_headers(std::uint32_t n);
  /// Extends or cuts the header area at its end.
  void resize_headers(std::uint32_t n);
  /// Moves the first n bytes of the payload into the header area (a parser needs them as bytes);
  /// n <= payload.size().
  void materialise_payload(std::uint32_t n);
  /// The whole frame as bytes, written to `out` (cleared first).
  void copy_frame(std::vector<std::uint8_t>& out) const;

 private:
  friend class PacketPool;
  friend class PacketArena;
  Packet() : base_(storage_), capacity_(kInlineStorage) {}
  void grow(std::uint32_t need_in_front);
  void grow_tail(std::uint32_t header_size);
  void move_to(std::uint32_t new_head, std::uint32_t new_capacity);

  std::uint8_t* base_;
  std::uint32_t head_ = kHeadroom;
  std::uint32_t header_size_ = 0;
  std::uint32_t capacity_;
  std::uint32_t large_capacity_ = 0;
  std::unique_ptr<std::uint8_t[]> large_;  // kept for the packet's next life once it was needed
  Packet* next_ = nullptr;                 // pool's free list
  alignas(16) std::uint8_t storage_[kInlineStorage];
};

/// Where packets live. Thread-safe. Pools (below) exchange batches of free packets through it, and
/// any pool may free any packet of its arena. It outlives its pools and all packets.
class PacketArena {
 public:
  PacketArena();
  ~PacketArena();
  PacketArena(const PacketArena&) = delete;
  PacketArena& operator=(const PacketArena&) = delete;
  /// Packets ever allocated from the system: constant in the steady state.
  std::size_t allocated() const;
  /// Those of them that the arena itself keeps for its pools.
  std::size_t idle() const;
  /// Packets that somebody holds, in no particular order. Only while all threads are at rest.
  std::vector<const Packet*> in_use() const;

 private:
  friend class PacketPool;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A thread's pool: not thread-safe by itself. It keeps at most two batches; a full third goes to
/// the arena, an empty one comes from there.
class PacketPool {
 public:
  static constexpr std::size_t kBatch = 64;

  explicit PacketPool(PacketArena& arena) : arena_(&arena) {}
  ~PacketPool();
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  /// Free packets that this pool keeps.
  std::size_t idle() const { return free_count_ + (spare_ != nullptr ? kBatch : 0); }

  /// A fresh packet: metadata zero, no headers, no payload.
  Packet* take();
  /// Gives a packet back. Its verdict must have been reported.
  void give(Packet* packet);
  /// A copy of headers, payload and metadata with id = `id` and parent = original.id.
  Packet* clone(const Packet& original, PacketId id);

 private:
  void refill();

  PacketArena* arena_;
  Packet* free_ = nullptr;  // taken from and given to
  std::size_t free_count_ = 0;
  Packet* spare_ = nullptr;  // a whole batch or nothing
};

}  // namespace weft
