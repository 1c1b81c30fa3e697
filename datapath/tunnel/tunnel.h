// Tunnels: what the encapsulations have in common. A frame goes behind outer Ethernet, IP (v4 or
// v6), for most of them UDP, and the tunnel's own header; decapsulation takes them off again.
//
//   const OuterTemplate outer = make_outer(TunnelEncap{...});   // once per (destination, network)
//   encap(packet, outer, flow_hash(packet, parsed));            // per packet
//   ...
//   Decap d = decap(packet, parse_headers(packet));             // on the uplink
//
//   vxlan, geneve, otv   UDP, 24-bit identifier, an Ethernet frame
//   lisp                 UDP, 24-bit instance id, an IP packet: Ethernet comes off and on again
//   nvgre, gre, etherip  straight behind IP, no port that a switch could hash
//   stt                  looks like TCP; a frame may be many segments (stt.h)
//
// Encapsulation is a copy of the template and a patch of lengths, source port, ECN and checksums:
// the outer UDP checksum needs the sum of the inner frame, which is a few header bytes plus
// Payload::sum(), so it costs the same for every frame size. The outer IPv4 header has DF set and
// identification 0 (RFC 6864): a tunnel endpoint never fragments.
//
// ECN follows RFC 6040: copied outwards (normal mode) or not (compatibility mode), combined
// inwards; CE outside and Not-ECT inside is a drop. DSCP and TTL are the template's, or the inner
// packet's. Every choice that an RFC leaves to an endpoint is a field of TunnelEncap or of
// DecapOptions; docs/encapsulations.md lists them with their defaults.
//
// decap() checks what its RFC demands, and the outer IPv4 header checksum and a UDP checksum that
// is not 0. It never trusts a length: the outer IP and UDP lengths say where a packet ends, not the
// frame. It handles one packet: fragments and STT segments are put together by TunnelReceiver
// (receiver.h). Whether the outer addresses are one's own is the caller's question, to be asked
// first.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/net_types.h"
#include "datapath/packet.h"
#include "datapath/parse.h"
#include "datapath/verdict.h"

namespace weft::datapath {

enum class TunnelKind : std::uint8_t { none, vxlan, geneve, nvgre, stt, lisp, etherip, gre, otv };
inline constexpr std::size_t kTunnelKinds = 9;

/// "vxlan"; "none".
const char* name_of(TunnelKind kind);
/// The kind of that name; none for anything else.
TunnelKind tunnel_kind_named(std::string_view name);

/// Whether packets say which logical ports they are between (GENEVE's option, STT's context id).
constexpr bool carries_ports(TunnelKind kind) {
  return kind == TunnelKind::geneve || kind == TunnelKind::stt;
}
/// Bits of the identifier; EtherIP has none.
constexpr unsigned identifier_bits(TunnelKind kind) {
  switch (kind) {
    case TunnelKind::stt:
      return 64;
    case TunnelKind::gre:
      return 32;
    case TunnelKind::none:
    case TunnelKind::etherip:
      return 0;
    default:
      return 24;
  }
}

/// OVN's GENEVE option: class 0x0102, type 0x80 (critical), 4 bytes.
struct LogicalPorts {
  std::uint16_t ingress = 0;  ///< 15 bits
  std::uint16_t egress = 0;
  bool operator==(const LogicalPorts&) const = default;
};

/// What LISP's header says beside the instance id (RFC 9300, 5.1).
struct LispFields {
  std::optional<std::uint32_t> nonce;         ///< 24 bits; not together with map_versions
  bool echo_nonce = false;                    ///< asks for the nonce back; needs one
  std::optional<std::uint32_t> map_versions;  ///< source and destination, 12 bits each
  std::optional<std::uint32_t> locators;      ///< status bits: 32, with an instance id 8
  bool operator==(const LispFields&) const = default;
};

/// Everything about an encapsulation that does not change from packet to packet.
struct TunnelEncap {
  TunnelKind kind = TunnelKind::geneve;
  Mac src_mac{};
  Mac dst_mac{};
  IpAddress src{};  ///< same family as dst
  IpAddress dst{};
  /// VNI, VSID, instance id (24 bits each), GRE key (32), STT context id (64).
  std::uint64_t vni = 0;
  std::uint8_t dscp = 0;  ///< 6 bits
  bool inherit_dscp = false;
  std::uint8_t ttl = 64;
  bool inherit_ttl = false;  ///< the inner packet's, where there is one
  /// RFC 6040, 4.1: Not-ECT outside, for a far end that does not know ECN.
  bool ecn_compatibility = false;
  /// Zero over IPv6 is allowed by RFC 6935 for tunnels; choose it knowingly.
  bool udp_checksum = true;
  bool all_source_ports = false;  ///< 16 bits of entropy instead of 49152-65535
  /// Another range of source ports than 49152-65535, both ends included; 0: none.
  std::uint16_t first_source_port = 0;
  std::uint16_t last_source_port = 0;
  std::uint16_t port = 0;                   ///< destination port; 0: the registered one
  bool dont_fragment = true;                ///< IPv4's DF
  std::optional<std::uint16_t> outer_vlan;  ///< tag control information of an 802.1Q tag outside
  /// VXLAN: an inner 802.1Q tag travels as it is instead of being stripped (RFC 7348, 6.1).
  bool keep_inner_vlan = false;
  std::optional<LogicalPorts> ports;  ///< GENEVE and STT; STT then carries `vni` in 24 bits
  std::vector<std::uint8_t> options;  ///< GENEVE: further options, see geneve::append_option
  bool control = false;               ///< GENEVE: O, a message between endpoints
  bool flow_id = true;                ///< NVGRE: from the hash; else 0, unused
  bool gre_key = true;                ///< GRE: send `vni` as key
  bool gre_checksum = false;
  bool gre_sequence = false;
  bool instance = true;        ///< LISP: send `vni` as instance id
  LispFields lisp;             ///< LISP
  std::uint32_t overlay = 0;   ///< OTV: overlay id, 24 bits
  std::uint32_t mtu = 9000;    ///< STT: bytes of an outer IP packet, to cut segments by
  bool vlan_in_header = true;  ///< STT: an inner tag travels in the STT header

  bool operator==(const TunnelEncap&) const = default;
};

/// The outer headers, ready but for what depends on the packet.
struct OuterTemplate {
  alignas(16) std::uint8_t bytes[96] = {};
  TunnelKind kind = TunnelKind::none;
  bool is6 = false;
  bool udp = false;
  bool udp_checksum = false;
  bool inherit_dscp = false;
  bool inherit_ttl = false;
  bool all_source_ports = false;
  std::uint16_t first_source_port = 0;  ///< with `last_source_port` != 0
  std::uint16_t last_source_port = 0;
  bool strip_vlan = false;  ///< an inner tag comes off first
  bool flow_id = false;
  bool vlan_in_header = false;
  std::uint8_t ecn_mask = 3;       ///< of the inner ECN field, what goes outside
  std::uint8_t ttl = 64;           ///< for what is no IP, if inherit_ttl
  std::uint8_t l3 = 14;            ///< where the outer IP header begins
  std::uint8_t l4 = 34;            ///< and what is behind it
  std::uint16_t size = 0;          ///< of all outer headers, `more` included
  std::uint16_t mtu = 0;           ///< STT
  std::uint32_t ip_sum = 0;        ///< IPv4 header without lengths, TOS, checksum
  std::uint32_t udp_sum = 0;       ///< pseudo header, ports, tunnel header without lengths
  std::vector<std::uint8_t> more;  ///< GENEVE options that `bytes` has no room for
};

/// Bytes that this encapsulation adds to a frame, outer Ethernet included; for STT to one that is
/// one segment. LISP adds less to an Ethernet frame: it does not carry the inner Ethernet header.
std::uint32_t overhead_of(const TunnelEncap& encap);

/// A breach of a field's range (a VNI above 24 bits, a reserved VSID) is the caller's error.
OuterTemplate make_outer(const TunnelEncap& encap);

/// Puts the outer headers in front. The UDP source port (or NVGRE's FlowID) comes from `hash`;
/// `sequence` numbers GRE packets that have one, and names STT frames. False, and nothing changes,
/// if the frame is too long for the outer lengths (64 KiB) or, with STT, for one segment (stt.h
/// cuts), and if LISP is given something that is not IP.
bool encap(Packet& packet, const OuterTemplate& outer, std::uint32_t hash,
           std::uint32_t sequence = 0);

/// 49152-65535, from any hash of the inner headers.
constexpr std::uint16_t source_port_of(std::uint32_t hash) {
  return static_cast<std::uint16_t>(0xc000u | ((hash ^ hash >> 14 ^ hash >> 28) & 0x3fff));
}
/// All 16 bits but 0.
constexpr std::uint16_t wide_source_port_of(std::uint32_t hash) {
  const auto port = static_cast<std::uint16_t>(hash ^ hash >> 16);
  return port == 0 ? std::uint16_t{1} : port;
}

/// first..last.
constexpr std::uint16_t source_port_in(std::uint32_t hash, std::uint16_t first,
                                       std::uint16_t last) {
  const std::uint32_t mixed = hash ^ hash << 16;  // ranges take the upper bits
  const std::uint64_t n = static_cast<std::uint64_t>(last - first) + 1;
  return static_cast<std::uint16_t>(first + (mixed * n >> 32));
}
/// The one that this template says.
inline std::uint16_t source_port_for(const OuterTemplate& outer, std::uint32_t hash) {
  if (outer.last_source_port != 0) [[unlikely]]
    return source_port_in(hash, outer.first_source_port, outer.last_source_port);
  return outer.all_source_ports ? wide_source_port_of(hash) : source_port_of(hash);
}

struct TunnelInfo {
  TunnelKind kind = TunnelKind::none;
  bool has_id = false;  ///< EtherIP, GRE without key and LISP without I have none
  std::uint64_t vni = 0;
  IpAddress src{};  ///< outer
  IpAddress dst{};
  std::uint8_t tos = 0;  ///< outer
  std::uint8_t ttl = 0;
  std::uint8_t flow_id = 0;       ///< NVGRE
  bool partial_checksum = false;  ///< STT: the inner layer-4 checksum is not complete
  std::uint16_t src_port = 0;
  std::optional<LogicalPorts> ports;      ///< GENEVE
  std::optional<std::uint32_t> sequence;  ///< GRE
  std::uint32_t overlay = 0;              ///< OTV
  LispFields lisp{};
};

/// An STT segment that is not a frame by itself, or the place of a whole one.
struct SttSegment {
  std::uint32_t frame_id = 0;
  std::uint32_t frame_length = 0;  ///< STT header included
  std::uint32_t offset = 0;        ///< of this segment's data in it
  std::uint32_t begin = 0;         ///< of the data in the packet
  std::uint32_t end = 0;
};

struct Decap {
  enum class Status : std::uint8_t {
    ok,          ///< the packet is now the inner frame
    not_tunnel,  ///< to no tunnel's port, or a fragment: the packet is untouched
    drop,        ///< see `reason`; the outer headers are still there (padding may be gone)
    control,     ///< GENEVE's O: for the endpoint itself; the packet is untouched
    segment,     ///< a part of an STT frame, see `segment`; the packet is untouched
  };
  Status status = Status::not_tunnel;
  DropReason reason{};
  const char* detail = "";  ///< what exactly was wrong, for traces
  TunnelInfo info{};        ///< also filled as far as it was read when status is drop
  SttSegment segment{};     ///< STT

  bool ok() const { return status == Status::ok; }
  bool dropped() const { return status == Status::drop; }
};

/// Destination ports by which tunnels over UDP and STT are known; 0: never.
struct TunnelPorts {
  std::uint16_t vxlan = 4789;
  std::uint16_t geneve = 6081;
  std::uint16_t otv = 8472;
  std::uint16_t lisp = 4341;
  std::uint16_t stt = 7471;
};

/// by_rfc: VXLAN (RFC 7348), LISP (RFC 9300) and OTV are taken without one; GENEVE over IPv6 is not
/// (RFC 8926, 4.3 wants that configured).
enum class ZeroChecksum : std::uint8_t { by_rfc, accept, over_ipv4, refuse };
/// GRE that carries Ethernet is NVGRE or plain Ethernet over GRE; the wire does not say which.
enum class GreReading : std::uint8_t {
  by_key,  ///< with a key it is NVGRE, without it is not
  nvgre,   ///< all of it
  gre,     ///< none of it
};

struct DecapOptions {
  TunnelPorts ports{};
  GreReading gre = GreReading::by_key;
  /// Keys that are plain GRE's although `gre` is by_key.
  std::vector<std::uint32_t> gre_keys;
  /// RFC 7348, 6.1: frames with an inner 802.1Q tag are discarded unless configured otherwise.
  bool vxlan_inner_vlan = false;
  /// UDP without a checksum.
  ZeroChecksum zero_checksum = ZeroChecksum::by_rfc;
  bool verify_checksum = true;   ///< one that is there: UDP, GRE, STT's; false: ignored
  bool copy_dscp = false;        ///< the outer DSCP replaces the inner one (RFC 2983, uniform)
  bool forget_ecn = false;       ///< a planted fault (faults.h)
  bool accept_critical = false;  ///< another
  bool copy_ttl = false;         ///< the outer TTL replaces a higher inner one; LISP always does
  /// Further critical GENEVE options that the caller understands: (class, type).
  std::vector<std::pair<std::uint16_t, std::uint8_t>> known_options;
  /// Ethernet addresses of what comes out of LISP, which carries none.
  Mac lisp_src_mac{};
  Mac lisp_dst_mac{};
};

/// The tunnel that this packet is for, by its port or IP protocol; none for everything else and
/// for fragments.
TunnelKind tunnel_kind_of(std::span<const std::uint8_t> headers, const ParsedHeaders& outer,
                          const TunnelPorts& ports = {}, GreReading gre = GreReading::by_key,
                          std::span<const std::uint32_t> gre_keys = {});
inline TunnelKind tunnel_kind_of(const Packet& packet, const ParsedHeaders& outer,
                                 const TunnelPorts& ports = {}, GreReading gre = GreReading::by_key,
                                 std::span<const std::uint32_t> gre_keys = {}) {
  return tunnel_kind_of(packet.headers(), outer, ports, gre, gre_keys);
}

/// `outer` is what parse_headers said about `packet`. `options_bytes`, if given, receives GENEVE's
/// options.
Decap decap(Packet& packet, const ParsedHeaders& outer, const DecapOptions& options = {},
            std::vector<std::uint8_t>* options_bytes = nullptr);

/// Where the inner frame begins and ends in a frame that looks like a tunnel's, without changing or
/// verifying anything.
struct InnerPlace {
  TunnelKind kind = TunnelKind::none;  ///< none: no tunnel, or its header is broken or not there
  bool is_ip = false;                  ///< LISP: an IP packet, not an Ethernet frame
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  Decap header{};  ///< info of the tunnel's header; with kind set, reason and detail if it is bad
};
/// For texts and checkers. `begin` is 0 if there is no whole inner frame header.
InnerPlace inner_place(std::span<const std::uint8_t> headers, const ParsedHeaders& outer);
/// The same, begin only; 0: none.
std::uint32_t inner_frame_offset(std::span<const std::uint8_t> headers, const ParsedHeaders& outer);

/// RFC 6040, figure 4: the ECN field that leaves a tunnel; -1: drop.
int decap_ecn(std::uint8_t inner, std::uint8_t outer);
/// RFC 3168, 5.3: of a packet whose parts had these; -1: drop (CE here, Not-ECT there).
int join_ecn(std::uint8_t a, std::uint8_t b);

// --- for the files of this folder ------------------------------------------------------------

/// Fills `result` as a drop; returns 0, which decoders give back.
std::uint32_t refuse(Decap& result, DropReason reason, const char* detail);

/// The end of every decapsulation: the outer headers up to `begin` go, the frame ends at `end`;
/// inner tag, ECN, DSCP and TTL as the options say.
void finish_decap(Packet& packet, std::uint32_t begin, std::uint32_t end,
                  const DecapOptions& options, Decap& result);

/// Sum of the pseudo header of the IP packet at `l3`; not folded.
std::uint64_t outer_pseudo_sum(const std::uint8_t* l3, bool is6, std::uint8_t protocol,
                               std::uint32_t length);

/// Writes Ethernet and IP of `outer` in front of a packet whose data begins behind them.
void write_outer_ip(std::uint8_t* p, const OuterTemplate& outer, std::uint8_t tos, std::uint8_t ttl,
                    std::uint32_t ip_size);

/// The IP header in an Ethernet frame, as far as tunnels care.
struct InnerIp {
  std::uint32_t l3 = 0;
  std::uint8_t version = 0;  ///< 0: no IP
  std::uint8_t tos = 0;
  std::uint8_t ttl = 0;
  bool tagged = false;
};
/// Tags that are looked through, one behind the other.
inline constexpr std::uint32_t kInnerTags = 4;
/// `from`: where the frame begins; `there`: where the bytes end.
InnerIp inner_ip(const std::uint8_t* p, std::uint32_t from, std::uint32_t there);
/// Bytes of an inner frame that inner_ip looks at.
inline constexpr std::uint32_t kInnerLook = 14 + kInnerTags * 4 + 9;

}  // namespace weft::datapath
