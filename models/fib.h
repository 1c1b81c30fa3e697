// Fib: longest-prefix match of one router, IPv4 and IPv6, with next-hop sets.
//
// Structure: per family one flat hash table for each prefix length in use, longest first. A leaf
// has two lengths (hosts, other leaves' subnets), so a lookup is one or two probes of tables of
// some kilobytes that stay in the cache; there is no cache of destinations in front, which
// thousands of hosts would thrash. The router's own addresses are entries of full length. Rebuilt
// as a whole when routes change.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/hash.h"
#include "models/topology.h"

namespace weft::models {

class Fib {
 public:
  struct Match {
    std::span<const NextHop> hops;  ///< empty: no route, or an own address
    bool own = false;
  };

  void rebuild(std::span<const Route> routes, std::span<const IpAddress> own);

  Match lookup(const IpAddress& destination) const {
    return destination.is6 ? find(tables6_, destination.bits) : find(tables4_, destination.v4());
  }

 private:
  static constexpr std::uint32_t kEmpty = 0, kOwn = UINT32_MAX;

  template <class Bits>
  struct Slot {
    Bits bits{};
    std::uint32_t first = 0, count = kEmpty;
  };
  template <class Bits>
  struct Table {
    int length = 0;
    Bits mask{};
    unsigned shift = 0;             // 64 - log2 of the number of slots
    std::vector<Slot<Bits>> slots;  // power of two, at most half full
  };
  template <class Bits>
  using Tables = std::vector<Table<Bits>>;  // longest first

  static std::uint64_t spread(Ip4 a) { return a.value * 0x9E3779B97F4A7C15ULL; }
  static std::uint64_t spread(const Ip6& a) { return mix64(a.low, a.high); }
  static Ip4 masked(Ip4 a, Ip4 m) { return {a.value & m.value}; }
  static Ip6 masked(const Ip6& a, const Ip6& m) { return {a.high & m.high, a.low & m.low}; }

  template <class Bits>
  Match find(const Tables<Bits>& tables, const Bits& address) const {
    for (const Table<Bits>& table : tables) {
      const Bits bits = masked(address, table.mask);
      for (std::size_t at = spread(bits) >> table.shift;;
           at = (at + 1) & (table.slots.size() - 1)) {
        const Slot<Bits>& slot = table.slots[at];
        if (slot.count == kEmpty) break;
        if (slot.bits != bits) continue;
        if (slot.count == kOwn) return {{}, true};
        return {{hops_.data() + slot.first, slot.count}, false};
      }
    }
    return {};
  }
  template <class Bits>
  void put(Tables<Bits>& tables, const Bits& bits, int length, std::uint32_t first,
           std::uint32_t count);
  template <class Bits>
  void size(Tables<Bits>& tables, int length, std::size_t entries);

  Tables<Ip4> tables4_;
  Tables<Ip6> tables6_;
  std::vector<NextHop> hops_;
};

}  // namespace weft::models
