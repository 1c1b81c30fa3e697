// LISP's data plane (RFC 9300): UDP port 4341, an 8-byte header, an IP packet. Between the sites
// there is no Ethernet: an ingress router takes it off, an egress router puts its own on.
//
//   flags N nonce, L locator-status bits, E echo the nonce, V map-versions, I instance id, KK key
//
// N and V share 24 bits and exclude each other; E means nothing without N; with I the instance id
// takes 24 of the 32 locator-status bits. Encrypted packets (KK, RFC 8061) are dropped: no keys
// here.
//
// Where a destination's site is comes from the map-cache (MapCache), which is static: nothing asks
// a Map-Server (RFC 9301). On a miss the packet is dropped with tunnel.no_mapping; nothing is
// queued.
#pragma once

#include <vector>

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::lisp {

inline constexpr std::uint32_t kHeaderSize = 8;

/// Writes the header at `out` and returns its size.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// Reads the header from the bytes behind UDP. Gives its size, or 0 with `result.reason` and
/// `result.detail`.
std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result);

/// The end of a decapsulation: the IP packet in [begin, end) becomes an Ethernet frame between the
/// options' addresses; ECN by RFC 6040, TTL not above the outer one (RFC 9300, 5.3).
void finish_decap(Packet& packet, std::uint32_t begin, std::uint32_t end,
                  const DecapOptions& options, Decap& result);

/// Which router is in front of a destination (EID prefix), by longest prefix in an instance.
class MapCache {
 public:
  /// A second mapping of the same prefix replaces the first. `negative`: no site has it.
  void add(std::uint32_t instance, const Prefix& eids, const IpAddress& locator);
  /// The locator; none if no prefix covers the destination.
  std::optional<IpAddress> lookup(std::uint32_t instance, const IpAddress& eid) const;
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint32_t instance;
    Prefix eids;
    IpAddress locator;
  };
  std::vector<Entry> entries_;  // longest prefixes first
};

/// An ingress router: looks the inner destination up and encapsulates. `base` is everything but
/// the outer destination. An Ethernet frame with an IP packet goes in.
struct IngressResult {
  bool ok = false;
  DropReason reason{};  ///< no_mapping; malformed: no IP packet; too_big
};
IngressResult encap_by_map(Packet& packet, const MapCache& map, const TunnelEncap& base,
                           std::uint32_t hash);

}  // namespace weft::datapath::lisp
