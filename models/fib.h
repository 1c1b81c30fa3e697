// Fib: longest-prefix match of one router, IPv4 and IPv6, with next-hop sets.
//
// Structure: one flat hash table per prefix length in use (longest first), in front of it a
// direct-mapped cache of exact destinations. A leaf has two lengths (hosts, other leaves' subnets),
// so a miss costs two probes. Rebuilt as a whole when routes change.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/hash.h"
#include "models/topology.h"

namespace weft::models {

class Fib {
 public:
  void rebuild(std::span<const Route> routes);
  /// The next hops for a destination; empty if there is no route.
  std::span<const NextHop> lookup(const IpAddress& destination) {
    const std::uint64_t h = mix64(destination.bits.low, destination.bits.high + destination.is6);
    CacheEntry& e = cache_[h & (cache_.size() - 1)];
    if (e.destination == destination && e.generation == generation_) [[likely]]
      return {hops_.data() + e.first, e.count};
    return lookup_slow(destination, e);
  }
  std::span<const NextHop> lookup(const IpAddress& destination) const = delete;

 private:
  struct CacheEntry {
    IpAddress destination{};
    std::uint32_t generation = 0;
    std::uint32_t first = 0, count = 0;
  };
  struct Slot {
    Ip6 bits{};
    std::uint32_t first = 0, count = 0;  // count 0: empty
  };
  struct Table {
    bool is6 = false;
    int length = 0;
    Ip6 mask{};
    std::vector<Slot> slots;  // power of two, at most half full
  };
  std::span<const NextHop> lookup_slow(const IpAddress& destination, CacheEntry& entry);

  std::vector<CacheEntry> cache_ = std::vector<CacheEntry>(256);
  std::uint32_t generation_ = 1;
  std::vector<Table> tables_;  // longest first
  std::vector<NextHop> hops_;
};

}  // namespace weft::models
