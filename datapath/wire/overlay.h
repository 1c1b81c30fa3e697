// The headers of the encapsulations: what lies between the outer IP, UDP or TCP-shaped header and
// the inner frame. Encoding and decoding are in datapath/tunnel, one file each.
#pragma once

#include "datapath/wire/endian.h"

namespace weft::wire {

struct VxlanHeader {
  std::uint8_t flags;
  std::uint8_t reserved1[3];
  be24 vni;
  std::uint8_t reserved2;

  static constexpr std::uint8_t kFlagI = 0x08;
};
static_assert(sizeof(VxlanHeader) == 8 && Header<VxlanHeader>);

struct GeneveHeader {
  std::uint8_t version_options;  ///< version (2 bits), options length in words (6 bits)
  std::uint8_t flags;
  be16 protocol;  ///< 0x6558: an Ethernet frame follows
  be24 vni;
  std::uint8_t reserved;

  static constexpr std::uint8_t kFlagControl = 0x80;   ///< O
  static constexpr std::uint8_t kFlagCritical = 0x40;  ///< C

  unsigned version() const { return version_options >> 6; }
  unsigned options_length() const { return (version_options & 0x3f) * 4u; }
};
static_assert(sizeof(GeneveHeader) == 8 && Header<GeneveHeader>);

struct GeneveOption {
  be16 option_class;
  std::uint8_t type;
  std::uint8_t reserved_length;  ///< low 5 bits: length of the data in words

  static constexpr std::uint8_t kCritical = 0x80;  ///< bit of `type`
  unsigned data_length() const { return (reserved_length & 0x1f) * 4u; }
};
static_assert(sizeof(GeneveOption) == 4 && Header<GeneveOption>);

/// OVN's option with the logical ports: one reserved bit, 15 bits ingress, 16 bits egress.
inline constexpr std::uint16_t kGeneveClassOvn = 0x0102;
inline constexpr std::uint8_t kGeneveTypeOvnPorts = 0x80;

/// GRE (RFC 2784, 2890). The optional fields follow in this order: checksum and reserved (4 bytes),
/// key (4), sequence number (4).
struct GreHeader {
  be16 flags_version;
  be16 protocol;

  static constexpr std::uint16_t kChecksum = 0x8000;  ///< C
  static constexpr std::uint16_t kRouting = 0x4000;   ///< R (RFC 1701)
  static constexpr std::uint16_t kKey = 0x2000;       ///< K
  static constexpr std::uint16_t kSequence = 0x1000;  ///< S
  static constexpr std::uint16_t kVersionMask = 0x0007;
  /// Bits 1-5 of RFC 2784's Reserved0 that RFC 2890 did not take: a receiver that does not speak
  /// RFC 1701 drops a packet that has one of them set.
  static constexpr std::uint16_t kMustBeZero = 0x4c00;
};
static_assert(sizeof(GreHeader) == 4 && Header<GreHeader>);

/// NVGRE (RFC 7637): GRE with a key and nothing else; the key is VSID and FlowID.
struct NvgreHeader {
  GreHeader gre;
  be24 vsid;
  std::uint8_t flow_id;  ///< 0: unused

  /// 0-0xFFF are reserved, 0xFFFFFF is between vendors' endpoints.
  static constexpr std::uint32_t kFirstVsid = 0x1000;
  static constexpr std::uint32_t kLastVsid = 0xfffffe;
};
static_assert(sizeof(NvgreHeader) == 8 && Header<NvgreHeader>);

/// The 18 bytes in front of the frame in an STT frame's first segment (draft-davie-stt-08).
struct SttHeader {
  std::uint8_t version;  ///< 0
  std::uint8_t flags;
  std::uint8_t l4_offset;  ///< from the end of this header to the inner layer-4 header; 0: none
  std::uint8_t reserved;
  be16 mss;   ///< payload of the segments that the frame is to be cut to; 0: it is not to be cut
  be16 vlan;  ///< PCP (3 bits), V, VLAN ID (12 bits)
  be64 context;
  be16 padding;  ///< makes the IP header behind Ethernet lie at a multiple of four

  static constexpr std::uint8_t kChecksumVerified = 0x01;
  static constexpr std::uint8_t kChecksumPartial = 0x02;
  static constexpr std::uint8_t kIpv4 = 0x04;
  static constexpr std::uint8_t kTcp = 0x08;
  static constexpr std::uint16_t kVlanPresent = 0x1000;  ///< V
};
static_assert(sizeof(SttHeader) == 18 && Header<SttHeader>);

/// LISP's data plane (RFC 9300, section 5).
struct LispHeader {
  std::uint8_t flags;
  be24 nonce;         ///< N: nonce; V: source and destination map-version, 12 bits each
  be32 instance_lsb;  ///< I: instance id (24 bits) and locator-status bits (8); else 32 of these

  static constexpr std::uint8_t kNonce = 0x80;          ///< N
  static constexpr std::uint8_t kLocatorStatus = 0x40;  ///< L
  static constexpr std::uint8_t kEchoNonce = 0x20;      ///< E
  static constexpr std::uint8_t kMapVersion = 0x10;     ///< V
  static constexpr std::uint8_t kInstance = 0x08;       ///< I
  static constexpr std::uint8_t kEncrypted = 0x03;      ///< KK (RFC 8061)
};
static_assert(sizeof(LispHeader) == 8 && Header<LispHeader>);

/// EtherIP (RFC 3378).
struct EtherIpHeader {
  be16 version_reserved;  ///< version 3 in the high 4 bits, the rest zero
  static constexpr std::uint16_t kVersion3 = 0x3000;
};
static_assert(sizeof(EtherIpHeader) == 2 && Header<EtherIpHeader>);

/// OTV (draft-hasmit-otv): VXLAN's shape, with an overlay id where VXLAN has reserved bits.
struct OtvHeader {
  std::uint8_t flags;
  be24 overlay;
  be24 instance;
  std::uint8_t reserved;

  static constexpr std::uint8_t kFlagI = 0x08;
};
static_assert(sizeof(OtvHeader) == 8 && Header<OtvHeader>);

}  // namespace weft::wire
