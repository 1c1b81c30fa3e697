// Tunnels: what VXLAN and GENEVE have in common. An Ethernet frame goes behind outer Ethernet, IP
// (v4 or v6), UDP and the tunnel's own header; decapsulation takes them off again.
//
//   const OuterTemplate outer = make_outer(TunnelEncap{...});   // once per (destination, network)
//   encap(packet, outer, flow_hash(packet, parsed));            // per packet
//   ...
//   Decap d = decap(packet, parse_headers(packet));             // on the uplink
//
// Encapsulation is a copy of the template and a patch of lengths, source port, ECN and checksums:
// the outer UDP checksum needs the sum of the inner frame, which is a few header bytes plus
// Payload::sum(), so it costs the same for every frame size. The outer IPv4 header has DF set and
// identification 0 (RFC 6864): a tunnel endpoint never fragments.
//
// ECN follows RFC 6040 (normal mode): copied outwards, combined inwards; CE outside and Not-ECT
// inside is a drop. DSCP is the template's, or the inner packet's with `inherit_dscp`.
//
// decap() checks what its RFC demands, and the outer IPv4 header checksum and a UDP checksum that
// is not 0. It never trusts a length. Whether the outer addresses are one's own is the caller's
// question, to be asked first.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/net_types.h"
#include "datapath/packet.h"
#include "datapath/parse.h"
#include "datapath/verdict.h"

namespace weft::datapath {

enum class TunnelKind : std::uint8_t { none, vxlan, geneve };

/// OVN's GENEVE option: class 0x0102, type 0x80 (critical), 4 bytes.
struct LogicalPorts {
  std::uint16_t ingress = 0;  ///< 15 bits
  std::uint16_t egress = 0;
  bool operator==(const LogicalPorts&) const = default;
};

/// Everything about an encapsulation that does not change from packet to packet.
struct TunnelEncap {
  TunnelKind kind = TunnelKind::geneve;
  Mac src_mac{};
  Mac dst_mac{};
  IpAddress src{};  ///< same family as dst
  IpAddress dst{};
  std::uint32_t vni = 0;  ///< 24 bits
  std::uint8_t dscp = 0;  ///< 6 bits
  bool inherit_dscp = false;
  std::uint8_t ttl = 64;
  /// Zero over IPv6 is allowed by RFC 6935 for tunnels; choose it knowingly.
  bool udp_checksum = true;
  std::optional<LogicalPorts> ports;  ///< GENEVE only
};

/// The outer headers, ready but for what depends on the packet.
struct OuterTemplate {
  static constexpr std::size_t kMaxSize = 14 + 40 + 8 + 8 + 8;
  alignas(16) std::uint8_t bytes[80] = {};
  TunnelKind kind = TunnelKind::none;
  bool is6 = false;
  bool udp_checksum = false;
  bool inherit_dscp = false;
  std::uint8_t size = 0;      ///< of all outer headers
  std::uint32_t ip_sum = 0;   ///< IPv4 header without lengths, TOS, checksum
  std::uint32_t udp_sum = 0;  ///< pseudo header, ports, tunnel header without lengths
};

/// Bytes that this encapsulation adds to a frame, outer Ethernet included.
std::uint32_t overhead_of(const TunnelEncap& encap);

OuterTemplate make_outer(const TunnelEncap& encap);

/// Puts the outer headers in front. The UDP source port comes from `hash`. False, and nothing
/// changes, if the frame is too long for the outer lengths (64 KiB).
bool encap(Packet& packet, const OuterTemplate& outer, std::uint32_t hash);

/// 49152-65535, from any hash of the inner headers.
constexpr std::uint16_t source_port_of(std::uint32_t hash) {
  return static_cast<std::uint16_t>(0xc000u | ((hash ^ hash >> 14 ^ hash >> 28) & 0x3fff));
}

struct TunnelInfo {
  TunnelKind kind = TunnelKind::none;
  std::uint32_t vni = 0;
  IpAddress src{};  ///< outer
  IpAddress dst{};
  std::uint8_t tos = 0;  ///< outer
  std::uint8_t ttl = 0;
  std::uint16_t src_port = 0;
  std::optional<LogicalPorts> ports;
};

struct Decap {
  enum class Status : std::uint8_t {
    ok,          ///< the packet is now the inner frame
    not_tunnel,  ///< no UDP to a tunnel's port, or a fragment: the packet is untouched
    drop,        ///< see `reason`; the outer headers are still there (padding may be gone)
  };
  Status status = Status::not_tunnel;
  DropReason reason{};
  const char* detail = "";  ///< what exactly was wrong, for traces
  TunnelInfo info{};        ///< also filled as far as it was read when status is drop

  bool ok() const { return status == Status::ok; }
};

struct DecapOptions {
  /// RFC 7348, 6.1: frames with an inner 802.1Q tag are discarded unless configured otherwise.
  bool vxlan_inner_vlan = false;
};

/// The kind whose port this UDP datagram is sent to; none for everything else.
TunnelKind tunnel_kind_of(std::span<const std::uint8_t> headers, const ParsedHeaders& outer);
inline TunnelKind tunnel_kind_of(const Packet& packet, const ParsedHeaders& outer) {
  return tunnel_kind_of(packet.headers(), outer);
}

/// `outer` is what parse_headers said about `packet`.
Decap decap(Packet& packet, const ParsedHeaders& outer, const DecapOptions& options = {});

/// Where the inner frame begins in a frame that looks like VXLAN or GENEVE, without changing or
/// verifying anything; 0 if it is no tunnel, its header is broken or not within `headers`. For
/// texts and checkers.
std::uint32_t inner_frame_offset(std::span<const std::uint8_t> headers, const ParsedHeaders& outer);

/// RFC 6040, figure 4: the ECN field that leaves a tunnel; -1: drop.
int decap_ecn(std::uint8_t inner, std::uint8_t outer);

}  // namespace weft::datapath
