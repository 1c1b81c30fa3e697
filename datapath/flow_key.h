// FlowKey: everything about a packet that a rule may look at, as plain 64-bit words, and the one
// table of fields that says where in those words each field lives.
//
// Why words: a mask is a FlowKey too, so matching, masking, hashing, "which bits did the lookup
// look at" and set_field are loops over words, whatever the field. Nothing pads, nothing is
// converted, equality is memcmp.
//
//   word 0      in_port (low 32), recirculation id (high 32)
//        1      tun_id
//        2-5    tun_src, tun_dst (128 bits each: high word first)
//        6      tun_metadata0 (low 32), ipv6_label (20), tun_flags (4), tun_ttl (8)
//        7      eth_dst (low 48), vlan_tci (high 16; bit 12 set: a tag is there)
//        8      eth_src (low 48), eth_type (high 16; of the payload after the tag)
//        9      nw_proto, nw_tos, nw_ttl, nw_frag (8 bits each, from the low end), tp_src, tp_dst
//       10-13   ip_src, ip_dst (128 bits each; IPv4 in the low 32 bits of the low word)
//       14      tcp_flags (low 16), ct_zone (16), ct_state (24), ct_nw_proto (8)
//       15      ct_mark (low 32), ct_tp_src, ct_tp_dst
//       16-17   arp_sha / nd_sll, arp_tha / nd_tll (low 48 bits each); tun_tos (48-55 of 16)
//       18-19   nd_target
//       20-21   ct_label
//       22-25   ct_nw_src / ct_ipv6_src, ct_nw_dst / ct_ipv6_dst (as ip_src and ip_dst)
//      ---------------------------------------------------------------- metadata part
//       26      metadata
//       27-34   reg0 ... reg15 (two per word, even register in the high half: a word is an
//               xreg, two words are an xxreg)
//       35      pkt_mark (low 32)
//
// As in Open vSwitch, ARP uses the IP fields (opcode in nw_proto, spa and tpa in ip_src and ip_dst)
// and ICMP uses the ports (type in tp_src, code in tp_dst).
//
// The ct_ fields are those of the last ct() that the packet went through: what no packet carries,
// but what its connection says; ct_nw_src and so on are the connection's original direction as its
// first packet had it, before any NAT.
//
// Caches look at the packet part only (words below kPacketWords): when a packet enters, the
// metadata part is zero, and after recirculation it is a function of the recirculation id.
//
// Invariant: a field that its packet does not have is zero.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/net_types.h"
#include "base/result.h"

namespace weft::datapath {

/// Place of a field of up to 64 bits inside a key: `bits` bits of word `word` from bit `shift`.
struct FieldPlace {
  std::uint8_t word;
  std::uint8_t shift;
  std::uint8_t bits;
  constexpr std::uint64_t ones() const { return bits == 64 ? ~0ULL : (1ULL << bits) - 1; }
};

namespace place {
inline constexpr FieldPlace in_port{0, 0, 32}, recirc_id{0, 32, 32}, tun_id{1, 0, 64},
    tun_metadata0{6, 0, 32}, ipv6_label{6, 32, 20}, tun_flags{6, 52, 4}, tun_ttl{6, 56, 8},
    tun_tos{16, 48, 8}, eth_dst{7, 0, 48}, vlan_tci{7, 48, 16}, eth_src{8, 0, 48},
    eth_type{8, 48, 16}, nw_proto{9, 0, 8}, nw_tos{9, 8, 8}, nw_ttl{9, 16, 8}, nw_frag{9, 24, 8},
    tp_src{9, 32, 16}, tp_dst{9, 48, 16}, nw_src{11, 0, 32}, nw_dst{13, 0, 32},
    tcp_flags{14, 0, 16}, ct_zone{14, 16, 16}, ct_state{14, 32, 24}, ct_nw_proto{14, 56, 8},
    ct_mark{15, 0, 32}, ct_tp_src{15, 32, 16}, ct_tp_dst{15, 48, 16}, hw_src{16, 0, 48},
    hw_dst{17, 0, 48}, ct_nw_src{23, 0, 32}, ct_nw_dst{25, 0, 32}, metadata{26, 0, 64},
    pkt_mark{35, 0, 32};
constexpr FieldPlace reg(unsigned n) {
  return {static_cast<std::uint8_t>(27 + n / 2), static_cast<std::uint8_t>(n % 2 == 0 ? 32 : 0),
          32};
}
/// First (high) word of the 128-bit fields.
inline constexpr unsigned tun_src = 2, tun_dst = 4, ip_src = 10, ip_dst = 12, nd_target = 18,
                          ct_label = 20, ct_src = 22, ct_dst = 24;
}  // namespace place

inline constexpr unsigned kPacketWords = 26;
/// The words from 7 on that lie in the packet itself, but for 14 and 15, end here. (So does
/// ipv6_label, of word 6.)
inline constexpr unsigned kHeaderWords = 20;
inline constexpr unsigned kKeyWords = 36;
inline constexpr unsigned kRegisters = 16;

/// vlan_tci: set when the frame has an 802.1Q tag.
inline constexpr std::uint16_t kVlanPresent = 0x1000;
/// nw_frag bits.
inline constexpr std::uint8_t kFragAny = 1, kFragLater = 2;
struct FlowKey {
  std::array<std::uint64_t, kKeyWords> w{};

  constexpr std::uint64_t get(FieldPlace p) const { return w[p.word] >> p.shift & p.ones(); }
  constexpr void set(FieldPlace p, std::uint64_t v) {
    w[p.word] = (w[p.word] & ~(p.ones() << p.shift)) | (v & p.ones()) << p.shift;
  }
  constexpr Ip6 get128(unsigned word) const { return {w[word], w[word + 1]}; }
  constexpr void set128(unsigned word, Ip6 v) {
    w[word] = v.high;
    w[word + 1] = v.low;
  }
  constexpr std::uint32_t reg(unsigned n) const {
    return static_cast<std::uint32_t>(get(place::reg(n)));
  }
  /// IPv6 iff eth_type says so.
  constexpr bool is_ip4() const { return get(place::eth_type) == 0x0800; }
  constexpr bool is_ip6() const { return get(place::eth_type) == 0x86dd; }
  constexpr bool is_arp() const { return get(place::eth_type) == 0x0806; }

  constexpr auto operator<=>(const FlowKey&) const = default;
};
static_assert(sizeof(FlowKey) == kKeyWords * 8);

/// Bits set: the rule looks at them, or the lookup did.
using FlowMask = FlowKey;

/// Marks all bits of a field as looked at.
constexpr void look_at(FlowMask& mask, FieldPlace p) { mask.w[p.word] |= p.ones() << p.shift; }
constexpr void look_at128(FlowMask& mask, unsigned word) {
  mask.w[word] = mask.w[word + 1] = ~0ULL;
}

/// Hash of the packet part. Fast: words that a plain packet leaves zero are skipped.
std::uint64_t hash_packet_part(const FlowKey& key, std::uint64_t seed);
/// Symmetric in nothing: hash of MACs, addresses, protocol and ports, for tunnel source ports.
std::uint32_t hash_inner_flow(const FlowKey& key, std::uint64_t seed);

// --- the table of fields ------------------------------------------------------------------------

/// In the order in which a match is printed.
enum class Field : std::uint8_t {
  ct_state,
  ct_zone,
  ct_mark,
  ct_label,
  ct_nw_src,
  ct_nw_dst,
  ct_ipv6_src,
  ct_ipv6_dst,
  ct_nw_proto,
  ct_tp_src,
  ct_tp_dst,
  pkt_mark,
  reg0,
  reg1,
  reg2,
  reg3,
  reg4,
  reg5,
  reg6,
  reg7,
  reg8,
  reg9,
  reg10,
  reg11,
  reg12,
  reg13,
  reg14,
  reg15,
  xreg0,
  xreg1,
  xreg2,
  xreg3,
  xreg4,
  xreg5,
  xreg6,
  xreg7,
  xxreg0,
  xxreg1,
  xxreg2,
  xxreg3,
  tun_id,
  tun_src,
  tun_dst,
  tun_ipv6_src,
  tun_ipv6_dst,
  tun_tos,
  tun_ttl,
  tun_flags,
  tun_metadata0,
  metadata,
  in_port,
  vlan_tci,
  vlan_vid,
  dl_vlan,
  dl_vlan_pcp,
  eth_src,
  eth_dst,
  eth_type,
  nw_src,
  nw_dst,
  ipv6_src,
  ipv6_dst,
  ipv6_label,
  arp_spa,
  arp_tpa,
  arp_op,
  nw_proto,
  nw_tos,
  nw_ecn,
  nw_ttl,
  ip_frag,
  tp_src,
  tp_dst,
  tcp_flags,
  icmp_type,
  icmp_code,
  arp_sha,
  arp_tha,
  nd_target,
  nd_sll,
  nd_tll,
};
inline constexpr unsigned kFields = static_cast<unsigned>(Field::nd_tll) + 1;

/// How values of a field are written.
enum class FieldFormat : std::uint8_t {
  decimal,
  hex,
  mac,
  ip4,
  ip6,
  ct_state,
  frag,
  tcp_flags,
  tun_flags
};

/// What a packet must be for the field to exist; a match must say so ("ip", "tcp", ...).
enum class Prerequisite : std::uint8_t { none, ip4, ip6, ip, arp, ports, tcp, icmp, nd, vlan };

struct FieldInfo {
  Field id;
  std::string_view name;     ///< as printed in a match
  std::string_view aliases;  ///< other accepted names (ofctl, OXM, NXM), space separated
  std::string_view nxm;      ///< as printed in load and move
  std::uint8_t word;         ///< for 128 bits: the high word
  std::uint8_t shift;
  std::uint8_t bits;  ///< up to 64, or 128
  FieldFormat format;
  Prerequisite needs;
  bool writable;  ///< set_field, load and move may write it

  constexpr FieldPlace at() const { return {word, shift, bits}; }
};

const FieldInfo& info(Field field);
/// By any of its names; nullptr if there is none.
const FieldInfo* find_field(std::string_view name);
/// The field name nearest to a mistyped one; empty if none is near.
std::string nearest_field(std::string_view wrong);

/// Value of any field as 128 bits.
Ip6 read_field(const FlowKey& key, const FieldInfo& field);
void write_field(FlowKey& key, const FieldInfo& field, Ip6 value);
/// As write_field, only for the bits set in `mask`.
void write_field_masked(FlowKey& key, const FieldInfo& field, Ip6 value, Ip6 mask);
/// All bits of the field.
Ip6 field_ones(const FieldInfo& field);

/// Result of reading a value: "80", "0x50", "10.0.0.0/8", "02:00:00:00:00:01", "+trk-new".
struct MaskedValue {
  Ip6 value{};
  Ip6 mask{};
  bool operator==(const MaskedValue&) const = default;
};
Result<MaskedValue> parse_field_value(const FieldInfo& field, std::string_view text);
/// Inverse of parse_field_value; the shortest form that reads back the same.
std::string format_field_value(const FieldInfo& field, MaskedValue v);

}  // namespace weft::datapath
