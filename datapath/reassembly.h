// Putting packets together that travel in parts: IP fragments (RFC 791, 8200) and STT segments.
//
// Parts of one packet share a key and say where their data belongs; the last IP fragment, and every
// STT segment, says how long the whole is. Parts wait here as they came. When there is no gap left
// the parts are given back in order and join_parts() makes one packet of them.
//
// Safe against senders that lie. Parts that overlap, contradict the length, or reach beyond it cost
// the whole packet (RFC 5722), and its later parts are refused until its time is up; only an exact
// repetition of a part is harmless. A packet that is not complete in time is given up. Memory is
// bounded by packets and by bytes: the oldest goes first. All of it is decided by what has arrived
// and when, in a fixed order.
//
// Ownership: add() takes the packet over in every case but `duplicate` and `refused`, where it
// stays the caller's; every packet that is held comes back, as a part of a whole or as given up.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/net_types.h"
#include "base/time.h"
#include "datapath/packet.h"
#include "datapath/parse.h"
#include "datapath/reassembly_limits.h"
#include "datapath/verdict.h"

namespace weft::datapath {

/// Which packet a part is of. `id`: IP identification or STT frame id; `ports`: STT's, else 0.
struct PartKey {
  IpAddress src{};
  IpAddress dst{};
  std::uint32_t id = 0;
  std::uint32_t ports = 0;
  std::uint8_t protocol = 0;
  auto operator<=>(const PartKey&) const = default;
};

/// A packet's data [begin, end) belongs at `offset` of the whole, which has `total` bytes (0: this
/// part does not know).
struct Part {
  Packet* packet = nullptr;
  std::uint32_t offset = 0;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t size() const { return end - begin; }
};

/// A part that nothing becomes of. `last`: the last of its packet.
struct GivenUp {
  Packet* packet;
  DropReason reason;
  bool last;
};

class Reassembly {
 public:
  enum class Outcome : std::uint8_t {
    held,
    complete,   ///< `parts` is the whole, in order, the new one among them
    duplicate,  ///< the caller keeps it: it is there already
    refused,    ///< the caller keeps it: part_overlap
  };
  explicit Reassembly(ReassemblyLimits limits = {}) : limits_(limits) {}

  /// `given_up` is appended to: the packets that had to go for this one, or because of it.
  Outcome add(const PartKey& key, Part part, std::uint32_t total, Time now,
              std::vector<Part>& parts, std::vector<GivenUp>& given_up);
  /// Gives up what has waited too long.
  void expire(Time now, std::vector<GivenUp>& given_up);
  /// Gives up everything.
  void clear(std::vector<GivenUp>& given_up);

  /// For what comes from now on.
  void set_limits(const ReassemblyLimits& limits) { limits_ = limits; }
  std::size_t packets() const { return whole_.size(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Whole {
    std::vector<Part> parts;  // by offset
    std::uint32_t total = 0;  // 0: not known yet
    std::uint32_t have = 0;
    std::uint64_t bytes = 0;
    bool poisoned = false;
    Time deadline{};
    std::uint64_t order = 0;
  };
  using Wholes = std::map<PartKey, Whole>;
  void give_up(Wholes::iterator it, DropReason reason, std::vector<GivenUp>& given_up);
  void forget(Wholes::iterator it);
  void release(Whole& whole, DropReason reason, std::vector<GivenUp>& given_up);

  ReassemblyLimits limits_;
  Wholes whole_;
  std::map<std::uint64_t, PartKey> by_age_;  // deadlines rise with it: one timeout for all
  std::uint64_t next_order_ = 0;
  std::uint64_t bytes_ = 0;
};

/// Makes `into` (one of the parts' packets) begin with `prefix` bytes and go on with the data of
/// the parts, which follow each other. Payload descriptors that continue each other become one;
/// everything else is copied.
void join_parts(const std::vector<Part>& parts, std::span<const std::uint8_t> prefix, Packet& into);

/// What an IP fragment says of itself. The frame must parse as far as its IP header.
struct FragmentPlace {
  bool ok = false;  ///< false: the fragment breaks the rules (RFC 791, 8200 section 4.5)
  PartKey key{};
  Part part{};
  std::uint32_t total = 0;  ///< of the data behind the IP header, if this is the last
};
FragmentPlace fragment_place(Packet& packet, const ParsedHeaders& parsed);

/// `into` is spoilt if it is not `ok`.
enum class Joined : std::uint8_t {
  ok,
  too_long,   ///< longer than an IP packet can be
  mixed_ecn,  ///< CE on one fragment, Not-ECT on another (RFC 3168, 5.3)
};
/// The whole packet of all fragments, in `into`: the first one's IP header, no longer a fragment's.
Joined join_fragments(const std::vector<Part>& parts, Packet& into);

/// Cuts an IP packet into fragments whose IP packets have at most `mtu` bytes, all numbered `id`:
/// `packet` becomes the first, copies of its headers from `pool` carry the others, which are
/// appended to `more` in order. An IPv4 packet keeps its own identification. What fits stays whole.
void cut_to_fragments(Packet& packet, std::uint32_t mtu, std::uint32_t id, PacketPool& pool,
                      const std::function<PacketId()>& new_id, std::vector<Packet*>& more);

}  // namespace weft::datapath
