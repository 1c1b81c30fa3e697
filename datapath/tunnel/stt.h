// STT (draft-davie-stt-08): frames behind a header that has TCP's shape and none of its meaning, so
// that NICs cut and join them in hardware. A frame of up to 64 KiB, a guest's super-segment whole,
// becomes as many segments as the underlay's MTU asks for:
//
//   | Ethernet | IP | TCP-shaped: seq = frame length << 16 | offset, ack = frame id | data |
//
// and the data of all segments, in order, is the 18-byte STT header and the inner frame. The frame
// length counts the STT header, so the largest inner frame has 65,517 bytes.
//
// Cutting slices payload descriptors; nothing is copied. Every segment has a right TCP checksum.
// Flags of the TCP shape are sent as ACK (and PSH on the last segment) and ignored on receipt;
// nothing is ever answered, acknowledged or sent again.
//
// The STT header: `kChecksumVerified` says that the sender found the inner checksums right (we
// look: a descriptor's sum costs nothing). A super-segment goes with its segment size in `mss` and
// `kChecksumPartial`: its TCP checksum covers the pseudo header only, and the receiver completes
// it. An inner 802.1Q tag travels in the `vlan` field (V bit); one with DEI set, for which there is
// no room, stays in the frame. The context id is the sender's and the receiver's own business; with
// TunnelEncap::ports it holds, from the top, 32 bits of identifier, ingress port, egress port.
//
// Receiving: decap() takes segments that are whole frames; others are Decap::Status::segment and go
// through TunnelReceiver (receiver.h).
#pragma once

#include <functional>
#include <vector>

#include "datapath/tunnel/tunnel.h"

namespace weft::datapath::stt {

inline constexpr std::uint32_t kSegmentHeader = 20;
inline constexpr std::uint32_t kFrameHeader = 18;
inline constexpr std::uint32_t kMaxFrame = 65535 - kFrameHeader;  ///< inner, in bytes

/// Writes the segment header and the STT header, as far as they never change; returns their size.
std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out);

/// The context id that a packet with these ports carries, and back.
constexpr std::uint64_t context_of(std::uint64_t network, LogicalPorts ports) {
  return network << 32 | static_cast<std::uint64_t>(ports.ingress & 0x7fff) << 16 | ports.egress;
}
constexpr std::uint32_t network_of(std::uint64_t context) {
  return static_cast<std::uint32_t>(context >> 32);
}
constexpr LogicalPorts ports_of(std::uint64_t context) {
  return {static_cast<std::uint16_t>(context >> 16 & 0x7fff), static_cast<std::uint16_t>(context)};
}

/// encap() of a frame that fits one segment; false, and nothing changes, if it does not.
bool encap_single(Packet& packet, const OuterTemplate& outer, std::uint32_t hash,
                  std::uint32_t frame_id);

/// Bytes of data that one segment holds.
std::uint32_t segment_data(const OuterTemplate& outer);

/// encap() of any frame. `packet` becomes the first segment; further ones are taken from `pool`,
/// named by `new_id` and appended to `more` in order. False, and nothing changes, if the frame is
/// longer than kMaxFrame.
bool encap_frame(Packet& packet, const OuterTemplate& outer, std::uint32_t hash,
                 std::uint32_t frame_id, PacketPool& pool, const std::function<PacketId()>& new_id,
                 std::vector<Packet*>& more);

/// decap() of a packet to STT's port.
void decap(Packet& packet, const ParsedHeaders& outer, const DecapOptions& options, Decap& result);

/// The data of all segments, [begin, end) of `packet`, becomes the inner frame. `result.info` holds
/// what is known from outside.
void open_frame(Packet& packet, std::uint32_t begin, std::uint32_t end, const DecapOptions& options,
                Decap& result);

/// For texts and checkers: size of both headers in a segment that is a whole frame; else 0.
std::uint32_t decode_whole(std::span<const std::uint8_t> headers, const ParsedHeaders& outer,
                           Decap& result);

}  // namespace weft::datapath::stt
