// ConnTrack: connections by zone, as Open vSwitch's ct() action sees them.
//
// A zone is a name space (a VM's port, a router); two zones may know the same 5-tuple. A packet is
// *tracked* in a zone: that finds the connection, advances its state and gives ct_state bits. A
// packet without a connection is `new`; it stays so until somebody *commits* it. As in OVS, packets
// of the original direction are `new` until a reply has been seen and `est` from then on; replies
// are `est|rpl`; an ICMP error about a known connection is `rel` (and `rpl` if it travels against
// the original direction); what makes no sense is `inv`. Every answer has `trk`. `snat` and `dnat`
// say which side of this very packet the action translated (nat.h).
//
// TCP has the states and the windows of Linux's nf_conntrack (conntrack_tcp.h). A SYN on a
// connection that is over (time-wait, close) forgets it and is new.
//
// Time is injected. A connection whose time is up is treated as absent from that moment on;
// expire() only reclaims its memory, a bounded number of slots per call, so what a packet is told
// never depends on when it is called. (Limits do count what is not reclaimed yet; a full table or
// zone reclaims some before it refuses.)
//
// Every live connection has two tuples, of its original direction and of its replies; no tuple is
// that of two connections of one zone. Without NAT the one is the other turned round. A commit that
// would break this is refused: with NAT for want of a free address and port (nat_exhausted),
// without as a clash.
//
// Room. A connection is *expendable* while it is not (or no longer) a conversation: half-open or
// closing TCP, and all else until a reply has been seen. When the table is full, the zone with the
// most expendable connections gives up its oldest one for the new one (`early_drop`), unless it
// holds fewer than the zone that asks: then that one gives up its own. A zone at its own limit
// always gives up its own. Who has none to give is refused. So whoever floods loses connections of
// the flood, and a port with few keeps them. Each zone lists its expendable ones by age, from when
// they became expendable; picking one costs O(1), but for a look at all zones after the one that
// pays has come down by 1/64.
//
// Storage: a connection is one cache line; TCP windows, the tuple of translated replies and labels
// lie in slabs of their own and exist only where needed. An open-addressing table of (hash, index)
// with linear probing and backward-shift deletion finds them. The hash is the same for both
// directions, so a connection has one entry there, and a second one if it is translated. Nothing
// here iterates in an order that depends on the hash, except to reclaim memory. An unused table
// owns no memory. For bursts: hash all, prefetch_slot all, prefetch_connection all, prefetch_rest
// all, then track with the hash. tests/oracle/conntrack_twin.h is the slow twin.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"
#include "base/time.h"
#include "datapath/conntrack_options.h"
#include "datapath/conntrack_tcp.h"
#include "datapath/faults.h"
#include "datapath/nat.h"
#include "datapath/packet.h"
#include "datapath/parse.h"
#include "datapath/slab.h"

namespace weft::datapath {

// ct_state, with OVS's numbers.
inline constexpr std::uint8_t kCtNew = 0x01;
inline constexpr std::uint8_t kCtEstablished = 0x02;
inline constexpr std::uint8_t kCtRelated = 0x04;
inline constexpr std::uint8_t kCtReply = 0x08;
inline constexpr std::uint8_t kCtInvalid = 0x10;
inline constexpr std::uint8_t kCtTracked = 0x20;
inline constexpr std::uint8_t kCtSnat = 0x40;
inline constexpr std::uint8_t kCtDnat = 0x80;

/// Both ends as one direction sees them. IPv4 addresses lie in the low 32 bits.
struct CtTuple {
  Ip6 src{};
  Ip6 dst{};
  std::uint16_t src_port = 0;  ///< ICMP echo: the identifier
  std::uint16_t dst_port = 0;  ///< ICMP echo: the identifier
  std::uint8_t protocol = 0;
  bool is6 = false;
  std::uint8_t echo = 0;  ///< ICMP: 1 request, 2 reply

  auto operator<=>(const CtTuple&) const = default;
  CtTuple reversed() const;
  IpAddress source() const {
    return is6 ? IpAddress(src) : IpAddress(Ip4{static_cast<std::uint32_t>(src.low)});
  }
  IpAddress destination() const {
    return is6 ? IpAddress(dst) : IpAddress(Ip4{static_cast<std::uint32_t>(dst.low)});
  }
};

/// What tracking needs to know about a packet; read once, used in several zones.
struct CtPacket {
  enum class Kind : std::uint8_t {
    invalid,     ///< malformed, a later fragment, or an ICMP type that belongs to no connection
    flow,        ///< `tuple` is the packet's own
    icmp_error,  ///< `tuple` is that of the packet that the error is about
  };
  Kind kind = Kind::invalid;
  CtTuple tuple{};
  TcpSegment tcp{};
};
CtPacket ct_packet(const Packet& packet, const ParsedHeaders& parsed);

/// ct(commit,...)
struct CtCommit {
  std::uint32_t mark = 0, mark_mask = 0;  ///< exec(set_field:MARK/MASK->ct_mark)
  Ip6 label{}, label_mask{};              ///< exec(set_field:LABEL/MASK->ct_label)
  NatSpec nat{};
  bool force = false;  ///< a packet of the reply direction ends the connection and begins its own
  bool operator==(const CtCommit&) const = default;
};

/// A connection as others see it: a value.
struct Connection {
  CtTuple original{};
  CtTuple reply{};  ///< what replies look like before they are translated back
  Time expires{};
  std::uint32_t mark = 0;
  Ip6 label{};
  std::uint16_t zone = 0;
  TcpState tcp = TcpState::none;
  bool seen_reply = false;
  bool snat = false, dnat = false;  ///< which nat() made `reply` what it is
  TcpTrack windows{};

  bool translated() const { return snat || dnat; }
};

struct CtResult {
  enum class Refused : std::uint8_t { no, full, nat_exhausted, clash };
  std::uint8_t state = kCtTracked | kCtInvalid;  ///< kCt* bits
  Refused refused = Refused::no;                 ///< commit only: why there is no connection
  bool created = false;                          ///< commit only: this packet made the connection
  bool translate = false;                        ///< the packet is to become translation()'s
  bool reply = false;                            ///< the packet travels in the reply direction
  std::uint32_t mark = 0;                        ///< of the connection; 0 if there is none
  std::uint32_t connection = 0;                  ///< its index + 1; 0: none
};

class ConnTrack {
 public:
  explicit ConnTrack(CtOptions options = {}, std::uint64_t hash_seed = 0);

  /// A table that begins with all that `base` knows, and of which nothing comes back there: what is
  /// asked about is copied when it is first touched. `base` must outlive it and stay as it is.
  static ConnTrack over(const ConnTrack& base);

  const CtOptions& options() const { return options_; }
  /// For what is tracked from now on.
  void set_options(const CtOptions& options) { options_ = options; }

  /// ct(zone=...): finds and advances the connection. With `nat`, a packet of a translated
  /// connection is to be translated.
  CtResult track(const CtPacket& packet, std::uint16_t zone, Time now, bool nat = false) {
    return track(packet, zone, now, nat, hash(packet.tuple, zone, packet.kind));
  }
  CtResult track(const CtPacket& packet, std::uint16_t zone, Time now, bool nat,
                 std::uint32_t hash);
  /// ct(commit,zone=...,...): makes the connection if the packet is new, and sets the bits of mark
  /// and label that are in the masks. With `already_tracked` (track() was called for this packet in
  /// this zone) the state does not advance a second time.
  CtResult commit(const CtPacket& packet, std::uint16_t zone, Time now, const CtCommit& what = {},
                  bool already_tracked = false);
  /// What track() would say; changes nothing.
  CtResult peek(const CtPacket& packet, std::uint16_t zone, Time now, bool nat = false) const;

  // --- after track or commit, before the next change ---
  /// The tuple that a packet with result.translate gets (an ICMP error: its direction).
  CtTuple translation(const CtResult& result) const;
  Ip6 label(const CtResult& result) const;
  /// The original tuple of its connection; of a packet that has none, its own.
  CtTuple original(const CtResult& result, const CtPacket& packet) const;

  // --- bursts ---
  std::uint32_t hash(const CtPacket& packet, std::uint16_t zone) const {
    return hash(packet.tuple, zone, packet.kind);
  }
  void prefetch_slot(std::uint32_t hash) const;
  /// After prefetch_slot: the connection that the hash most likely names.
  void prefetch_connection(std::uint32_t hash) const;
  /// After prefetch_connection: its windows and its translation.
  void prefetch_rest(std::uint32_t hash) const;

  /// The connection of a tuple in either direction.
  std::optional<Connection> find(const CtTuple& tuple, std::uint16_t zone, Time now) const;
  /// Connections of the table (those whose time is up and that are not reclaimed yet included).
  std::uint32_t size() const { return live_; }
  std::uint32_t size_of_zone(std::uint16_t zone) const;
  /// Bytes that the table owns.
  std::size_t memory() const;
  /// Connections given up for others, ever.
  std::uint64_t early_drops() const { return early_drops_; }
  /// 0: no limit of its own.
  void set_zone_limit(std::uint16_t zone, std::uint32_t limit);
  /// Those of its policy, or everybody's.
  const CtTimeouts& zone_timeouts(std::uint16_t zone) const;
  /// A timeout policy of its own.
  void set_zone_timeouts(std::uint16_t zone, const CtTimeouts& timeouts);

  /// Reclaims what has expired, looking at no more than `max_slots` slots. Returns how many went.
  std::uint32_t expire(Time now, std::uint32_t max_slots = 4096);
  /// Removes what the predicate says (a policy changed, a VM left). Returns how many went.
  std::uint32_t remove_if(const std::function<bool(const Connection&)>& predicate);
  std::uint32_t remove_zone(std::uint16_t zone);

  /// Connections of a zone, sorted; without those whose time is up.
  std::vector<Connection> connections(std::uint16_t zone, Time now) const;
  /// One line each, as `ovs-appctl dpctl/dump-conntrack`, sorted by zone and original tuple.
  std::vector<std::string> dump(Time now) const;

  /// A zone as bytes: versioned, sorted, times as remaining times. Nothing is removed.
  std::vector<std::uint8_t> export_zone(std::uint16_t zone, Time now) const;
  /// Puts such bytes into `zone`; connections that share a tuple with one of them are replaced. All
  /// or nothing: bytes that are cut off, of another version or out of range are an Error. Returns
  /// how many came in; what exceeds a limit is left out.
  Result<std::uint32_t> import_zone(std::uint16_t zone, std::span<const std::uint8_t> bytes,
                                    Time now);

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t index = 0;  ///< connection + 1; 0: empty
  };
  /// A connection: one cache line.
  struct alignas(64) Entry {
    Ip6 src, dst;
    std::uint16_t src_port, dst_port;
    std::uint8_t protocol;
    std::uint8_t bits;  ///< k*; the TCP state in the upper half
    std::uint16_t zone;
    Time expires;
    std::uint32_t mark;
    std::uint32_t tcp, reply, label;  ///< index + 1 in the slabs; 0: none

    static constexpr std::uint8_t kUsed = 1, kIs6 = 2, kSeenReply = 4, kDnat = 8;
    bool has(std::uint8_t bit) const { return (bits & bit) != 0; }
    TcpState state() const { return static_cast<TcpState>(bits >> 4); }
    void set_state(TcpState s) {
      bits = static_cast<std::uint8_t>((bits & 0x0f) | static_cast<unsigned>(s) << 4);
    }
  };
  static_assert(sizeof(Entry) == 64);
  /// The tuple of the replies of a translated connection.
  struct Reply {
    Ip6 src, dst;
    std::uint16_t src_port, dst_port;
    bool operator==(const Reply&) const = default;
  };
  /// How a lookup treats the state: look only; advance; advanced already for this packet.
  enum class Mode : std::uint8_t { peek, advance, settled };
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Zone {
    std::uint16_t zone = 0;
    std::uint32_t count = 0;
    std::uint32_t limit = 0;
    std::uint32_t expendable = 0;                  ///< how many of them are
    std::uint32_t oldest = kNone, newest = kNone;  ///< of those
  };
  /// Neighbours of an expendable connection in its zone's list.
  struct Link {
    std::uint32_t older, newer;
  };

  /// The connection that the hash most likely names, or kNone.
  std::uint32_t likely(std::uint32_t hash) const;

  std::uint32_t hash(const CtTuple& tuple, std::uint16_t zone, CtPacket::Kind kind) const {
    return kind == CtPacket::Kind::invalid ? 0 : hash_of(tuple, zone);
  }
  std::uint32_t hash_of(const CtTuple& tuple, std::uint16_t zone) const;
  CtTuple original_of(const Entry& e) const;
  CtTuple reply_of(const Entry& e) const;
  Connection connection_of(const Entry& e) const;
  /// Index of the connection, or kNone; `reply` says in which direction the tuple runs.
  std::uint32_t locate(const CtTuple& tuple, std::uint16_t zone, std::uint32_t hash,
                       bool& reply) const;
  bool alive(std::uint32_t index, Time now) const {
    return entries_[index].expires > now || options_.faults.ct_expired_answers;
  }
  CtResult answer_error(const CtPacket& packet, std::uint16_t zone, Time now, bool nat) const;
  /// What a packet of a connection that is there is told. False: it is over, and the packet new.
  bool answer_known(std::uint32_t index, const CtPacket& packet, bool reply, Mode mode, bool nat,
                    TcpTrack* track, CtResult& result, TcpStep& step) const;
  /// What a packet without a connection is told.
  CtResult answer_unknown(const CtPacket& packet) const;
  CtResult go(const CtPacket& packet, std::uint16_t zone, Time now, Mode mode, bool nat,
              std::uint32_t hash);
  CtResult::Refused make(Connection& connection, std::uint32_t hash, const NatSpec& nat, Time now,
                         std::uint32_t& index);
  bool has_room(std::uint16_t zone, Time now);
  bool zone_full(const Zone& zone, std::uint32_t others) const;
  /// The zone that gives up a connection when `asking` wants one more in a full table; or null.
  Zone* payer_for(Zone& asking);
  /// Gives up the zone's oldest expendable connection. False: it has none.
  bool give_up_oldest(Zone& zone);
  /// over(): whether the table below would find room.
  bool could_give_up(std::uint16_t zone, bool zone_is_full) const;
  static bool expendable(const Entry& e) {
    return e.state() == TcpState::none ? !e.has(Entry::kSeenReply)
                                       : e.state() != TcpState::established;
  }
  void list(std::uint32_t index);
  void unlist(std::uint32_t index);
  /// Copies the connection of this tuple from `base_`, if there is one and it is not here already.
  void adopt(const CtTuple& tuple, std::uint16_t zone, Time now);
  /// How many of `base_`, and of its zone, have not been adopted.
  std::pair<std::uint32_t, std::uint32_t> left_in_base(std::uint16_t zone) const;
  std::uint32_t insert(const Connection& connection, std::uint32_t hash);
  void put_slot(std::uint32_t hash, std::uint32_t index);
  void take_slot(std::uint32_t hash, std::uint32_t index);
  void set_label(Entry& e, Ip6 label);
  void erase(std::uint32_t index);
  void grow();
  Zone& zone_of(std::uint16_t zone);
  Duration timeout_of(const Entry& e, TcpStep::Timer timer) const;

  CtOptions options_;
  std::uint64_t seed_;
  std::vector<Slot> slots_;  ///< power of two
  std::uint32_t used_slots_ = 0;
  Slab<Entry> entries_;
  Slab<Link> links_;  ///< by the numbers of entries_
  Slab<TcpTrack> tcp_;
  Slab<Reply> replies_;
  Slab<Ip6> labels_;
  std::vector<Zone> zones_;                                     ///< sorted
  std::vector<std::pair<std::uint16_t, CtTimeouts>> policies_;  ///< sorted
  std::uint32_t live_ = 0;
  std::uint32_t translated_ = 0;
  std::uint32_t cursor_ = 0;
  std::uint64_t early_drops_ = 0;
  std::uint16_t payer_ = 0;             ///< the zone that paid last
  std::uint32_t runner_up_ = 0;         ///< no other zone has more expendable connections
  const ConnTrack* base_ = nullptr;     ///< over(): whose connections these are, too
  std::vector<std::uint32_t> adopted_;  ///< of base_'s: indices, whatever became of them here
};

}  // namespace weft::datapath
