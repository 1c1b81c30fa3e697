// ConnTrack: connections by zone, as Open vSwitch's ct() action sees them.
//
// A zone is a name space (a VM's port, a router); two zones may know the same 5-tuple. A packet is
// *tracked* in a zone: that finds the connection, advances its state and gives ct_state bits. A
// packet without a connection is `new`; it stays so until somebody *commits* it. As in OVS, packets
// of the original direction are `new` until a reply has been seen and `est` from then on; replies
// are `est|rpl`; an ICMP error about a known connection is `rel` (and `rpl` if it travels against
// the original direction); what makes no sense is `inv`. Every answer has `trk`.
//
// TCP follows the state table of Linux's nf_conntrack (the nine states of TcpState), driven by
// flags and direction; sequence windows are not checked (Linux: nf_conntrack_tcp_be_liberal). With
// `tcp_loose` (default) an ACK without a connection may start one in the middle. A SYN on a
// connection that is over (time-wait, close) forgets it and is new.
//
// Time is injected. A connection whose time is up is treated as absent from that moment on;
// expire() only reclaims its memory, a bounded number of slots per call, so what a packet is told
// never depends on when it is called. (Limits do count what is not reclaimed yet; a full table or
// zone reclaims some before it refuses.)
//
// Storage: connections lie in a flat vector with a free list; an open-addressing table of
// (hash, index) with linear probing and backward-shift deletion finds them. The hash is the same
// for both directions, so a connection has one entry. Nothing here iterates in an order that
// depends on the hash, except to reclaim memory. tests/oracle/conntrack_twin.h is the slow twin.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"
#include "base/time.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

// ct_state, with OVS's numbers.
inline constexpr std::uint8_t kCtNew = 0x01;
inline constexpr std::uint8_t kCtEstablished = 0x02;
inline constexpr std::uint8_t kCtRelated = 0x04;
inline constexpr std::uint8_t kCtReply = 0x08;
inline constexpr std::uint8_t kCtInvalid = 0x10;
inline constexpr std::uint8_t kCtTracked = 0x20;

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
  std::uint8_t tcp_flags = 0;
  CtTuple tuple{};
};
CtPacket ct_packet(const Packet& packet, const ParsedHeaders& parsed);

enum class TcpState : std::uint8_t {
  none,  ///< not TCP
  syn_sent,
  syn_received,
  established,
  fin_wait,
  close_wait,
  last_ack,
  time_wait,
  close,
  syn_sent2,  ///< simultaneous open
};
const char* to_string(TcpState state);

struct CtOptions {
  std::uint32_t max_connections = 1u << 20;
  bool tcp_loose = true;
  // Linux's defaults.
  Duration tcp_syn_sent = seconds(120);
  Duration tcp_syn_received = seconds(60);
  Duration tcp_established = seconds(432'000);
  Duration tcp_fin_wait = seconds(120);
  Duration tcp_close_wait = seconds(60);
  Duration tcp_last_ack = seconds(30);
  Duration tcp_time_wait = seconds(120);
  Duration tcp_close = seconds(10);
  Duration udp = seconds(30);  ///< only one direction seen
  Duration udp_replied = seconds(120);
  Duration icmp = seconds(30);
  Duration other = seconds(600);
};

struct Connection {
  CtTuple original{};
  Time expires{};
  std::uint32_t mark = 0;
  std::uint16_t zone = 0;
  TcpState tcp = TcpState::none;
  bool seen_reply = false;
};

struct CtResult {
  std::uint8_t state = kCtTracked | kCtInvalid;  ///< kCt* bits
  bool full = false;                             ///< commit only: no room (ct.full)
  bool created = false;                          ///< commit only: this packet made the connection
  std::uint32_t mark = 0;                        ///< of the connection; 0 if there is none
};

class ConnTrack {
 public:
  explicit ConnTrack(CtOptions options = {}, std::uint64_t hash_seed = 0);

  /// ct(zone=...): finds and advances the connection.
  CtResult track(const CtPacket& packet, std::uint16_t zone, Time now);
  /// ct(commit,zone=...,exec(set_field:mark/mask->ct_mark)): makes the connection if the packet is
  /// new, and sets the mark's bits in `mark_mask`. With `already_tracked` (track() was called for
  /// this packet in this zone) the state does not advance a second time.
  CtResult commit(const CtPacket& packet, std::uint16_t zone, Time now, std::uint32_t mark = 0,
                  std::uint32_t mark_mask = 0, bool already_tracked = false);
  /// What track() would say; changes nothing.
  CtResult peek(const CtPacket& packet, std::uint16_t zone, Time now) const;

  /// The connection of a tuple in either direction, or nullptr. Valid until the next change.
  const Connection* find(const CtTuple& tuple, std::uint16_t zone, Time now) const;
  /// Connections of the table (those whose time is up and that are not reclaimed yet included).
  std::uint32_t size() const { return live_; }
  std::uint32_t size_of_zone(std::uint16_t zone) const;
  /// 0: no limit of its own.
  void set_zone_limit(std::uint16_t zone, std::uint32_t limit);

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
  /// Puts such bytes into `zone`; connections that exist are replaced. All or nothing: bytes that
  /// are cut off, of another version or out of range are an Error. Returns how many came in; what
  /// exceeds a limit is left out.
  Result<std::uint32_t> import_zone(std::uint16_t zone, std::span<const std::uint8_t> bytes,
                                    Time now);

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t index = 0;  ///< connection + 1; 0: empty
  };
  static constexpr std::uint32_t kUsed = UINT32_MAX;
  struct Entry {
    Connection connection;
    std::uint32_t hash = 0;
    std::uint32_t next_free = 0;  ///< kUsed, or the next free index + 1
    bool used() const { return next_free == kUsed; }
  };
  static_assert(sizeof(Connection) == 56);
  /// How a lookup treats the state: look only; advance; advanced already for this packet.
  enum class Mode : std::uint8_t { peek, advance, settled };
  struct Found {
    CtResult result;
    std::int64_t index = -1;  ///< of a live connection
    std::int64_t stale = -1;  ///< of one that is expired or over and must go
    std::uint32_t hash = 0;
    bool reply = false;
    TcpState next = TcpState::none;  ///< state to go to
    bool refresh = false;
  };
  struct Zone {
    std::uint16_t zone;
    std::uint32_t count;
    std::uint32_t limit;
  };

  std::uint32_t hash_of(const CtTuple& tuple, std::uint16_t zone) const;
  /// Index of the connection, or -1; `reply` says in which direction the tuple runs.
  std::int64_t locate(const CtTuple& tuple, std::uint16_t zone, std::uint32_t hash,
                      bool& reply) const;
  /// What the packet is told, and what is to be done about it. Changes nothing.
  Found look(const CtPacket& packet, std::uint16_t zone, Time now, Mode mode) const;
  void advance(const Found& found, Time now);
  bool make(const Connection& connection, std::uint32_t hash, Time now);
  void erase(std::uint32_t index);
  void grow();
  Zone& zone_of(std::uint16_t zone);
  Duration timeout_of(const Connection& connection) const;

  CtOptions options_;
  std::uint64_t seed_;
  std::vector<Slot> slots_;  ///< power of two
  std::vector<Entry> entries_;
  std::vector<Zone> zones_;  ///< sorted
  std::uint32_t free_ = 0;   ///< index + 1
  std::uint32_t live_ = 0;
  std::uint32_t cursor_ = 0;
};

}  // namespace weft::datapath
