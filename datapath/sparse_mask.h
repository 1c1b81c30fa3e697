// SparseMask: a FlowMask as the list of its words that are not zero, for loops that touch nothing
// else. One per mask of the megaflow cache. StagedMask: the same in the order in which a lookup
// looks at a packet (metadata, L2, L3, L4), for the subtables of the classifier.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/hash.h"
#include "datapath/flow_key.h"

namespace weft::datapath {

struct SparseMask {
  std::array<std::uint64_t, kKeyWords> bits{};
  std::array<std::uint8_t, kKeyWords> word{};
  std::uint8_t count = 0;

  SparseMask() = default;
  explicit SparseMask(const FlowMask& mask, unsigned words = kKeyWords) {
    for (unsigned i = 0; i < words; ++i) {
      if (mask.w[i] == 0) continue;
      bits[count] = mask.w[i];
      word[count++] = static_cast<std::uint8_t>(i);
    }
  }
  /// Of the bits of `key` that the mask has: CRC-32C of each word times the odd number that the
  /// seed gives. Keyed, because a tenant chooses the keys, a chain of collisions is a linear
  /// search, and CRC alone is linear: who does not know the seed cannot choose keys that collide.
  /// With the processor's instruction where it has one; the portable path is equal bit for bit.
  std::uint32_t hash(const FlowKey& key, std::uint64_t seed) const {
    std::uint32_t h;
    const FlowKey* one = &key;
    hash_burst({&one, 1}, seed, &h);
    return h;
  }
  /// The same for many keys at once.
  void hash_burst(std::span<const FlowKey* const> keys, std::uint64_t seed,
                  std::uint32_t* out) const;
  void hash_burst_portable(std::span<const FlowKey* const> keys, std::uint64_t seed,
                           std::uint32_t* out) const;
};

/// The stages of a lookup, from what rarely differs between packets to what often does.
enum class Stage : std::uint8_t { metadata, l2, l3, l4 };
inline constexpr unsigned kStages = 4;

/// The bits of a key that belong to a stage. Every bit belongs to exactly one.
constexpr FlowMask stage_bits(Stage stage) {
  FlowMask m;
  const auto add = [&m](auto... fields) {
    ((m.w[fields.word] |= fields.ones() << fields.shift), ...);
  };
  const auto add128 = [&m](auto... words) { ((m.w[words] = ~0ULL, m.w[words + 1] = ~0ULL), ...); };
  switch (stage) {
    case Stage::l2:
      add(place::eth_dst, place::vlan_tci, place::eth_src, place::eth_type);
      break;
    case Stage::l3:
      add(place::nw_proto, place::nw_tos, place::nw_ttl, place::nw_frag);
      add128(place::ip_src, place::ip_dst, place::nd_target);
      add(place::hw_src, place::hw_dst, place::ipv6_label);
      break;
    case Stage::l4:
      add(place::tp_src, place::tp_dst, place::tcp_flags);
      break;
    case Stage::metadata:
      for (const Stage other : {Stage::l2, Stage::l3, Stage::l4}) {
        const FlowMask o = stage_bits(other);
        for (unsigned i = 0; i < kKeyWords; ++i) m.w[i] |= o.w[i];
      }
      for (unsigned i = 0; i < kKeyWords; ++i) m.w[i] = ~m.w[i];
      break;
  }
  return m;
}

/// A mask as a list of (word, bits), stage by stage; a word may occur in several stages. Stages
/// without bits are left out.
struct StagedMask {
  static constexpr unsigned kMost = kKeyWords + 8;
  std::array<std::uint64_t, kMost> bits{};
  std::array<std::uint8_t, kMost> word{};
  std::array<std::uint8_t, kStages> end{};  ///< of each stage's part of the list
  std::array<Stage, kStages> stage{};
  std::uint8_t stages = 0;
  std::uint8_t count = 0;

  StagedMask() = default;
  /// Not `staged`: everything in one stage.
  StagedMask(const FlowMask& mask, bool staged);
  /// Hash of the first stages: the caller goes on from one to the next.
  static constexpr std::uint64_t kStart = 0x243F6A8885A308D3ULL;
  std::uint64_t hash_on(std::uint64_t h, const FlowKey& key, unsigned from, unsigned to) const {
    for (unsigned i = from; i < to; ++i)
      h = fold_multiply(h ^ (key.w[word[i]] & bits[i]), 0xA0761D6478BD642FULL + word[i]);
    return h;
  }
  static std::uint32_t finish(std::uint64_t h) { return static_cast<std::uint32_t>(h ^ h >> 32); }
};

}  // namespace weft::datapath
