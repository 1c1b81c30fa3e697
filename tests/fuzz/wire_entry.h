// What the fuzzers of datapath/ do to an input. Each function throws InternalFault (which libFuzzer
// and Catch2 both report) when a promise is broken; memory errors are the sanitizers' matter.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/conntrack.h"
#include "datapath/frame_text.h"
#include "datapath/packet.h"
#include "datapath/parse.h"
#include "datapath/tunnel/tunnel.h"

namespace weft::fuzz {

/// The first byte says how much of the rest lies in the header area.
inline void set_frame(Packet& packet, std::span<const std::uint8_t> input) {
  if (input.empty()) {
    packet.reset_headers(0);
    packet.payload.reset();
    return;
  }
  const auto frame = input.subspan(1);
  const auto n = static_cast<std::uint32_t>(frame.size() * input[0] / 255);
  std::copy_n(frame.begin(), n, packet.reset_headers(n));
  packet.payload = Payload::copy_of(frame.subspan(n));
}

/// Parser, checksums, connection tracking and text over a frame.
inline void parse_one(std::span<const std::uint8_t> input) {
  thread_local PacketArena arena;
  thread_local PacketPool pool(arena);
  Packet* p = pool.take();
  set_frame(*p, input);
  const std::uint32_t size = p->size();
  datapath::parse_headers(*p);
  verify_checksums(*p, true);
  const datapath::ParsedHeaders h = datapath::parse_materialising(*p);
  WEFT_CHECK(h.error != datapath::ParseError::needs_payload);
  WEFT_CHECK(p->size() == size);
  WEFT_CHECK(h.l3_end <= size && h.payload <= p->header_size());
  if (h.ok()) {
    WEFT_CHECK(h.l3 <= h.payload && h.payload <= h.l3_end);
    datapath::flow_hash(*p, h);
  }
  datapath::ConnTrack track;
  const datapath::CtPacket packet = datapath::ct_packet(*p, h);
  const datapath::CtResult result = track.commit(packet, 1, Time{});
  WEFT_CHECK(result.created == ((result.state & datapath::kCtNew) != 0));
  WEFT_CHECK(track.size() == (result.created ? 1u : 0u));
  WEFT_CHECK(!datapath::describe_frame(*p).empty());
  pool.give(p);
}

/// Decapsulates for as long as there is a tunnel; what comes out is then put into one and taken
/// out.
inline void tunnel_one(std::span<const std::uint8_t> input) {
  thread_local PacketArena arena;
  thread_local PacketPool pool(arena);
  Packet* p = pool.take();
  set_frame(*p, input);
  for (;;) {
    const std::uint32_t size = p->size();
    const datapath::Decap d = datapath::decap(*p, datapath::parse_materialising(*p));
    WEFT_CHECK(p->size() <= size);
    if (!d.ok()) break;
    WEFT_CHECK(p->size() + 50 <= size && p->size() >= 14 && d.info.vni < 1u << 24);
  }
  if (p->size() >= 14 && p->size() < 65000) {
    datapath::TunnelEncap encap;
    encap.src = Ip4{1};
    encap.dst = Ip4{2};
    encap.kind = input[0] % 2 == 0 ? datapath::TunnelKind::vxlan : datapath::TunnelKind::geneve;
    std::vector<std::uint8_t> before;
    std::vector<std::uint8_t> after;
    p->copy_frame(before);
    WEFT_CHECK(datapath::encap(*p, datapath::make_outer(encap), 0));
    WEFT_CHECK(verify_checksums(*p) == ChecksumFault::ok);
    const datapath::Decap d =
        datapath::decap(*p, datapath::parse_headers(*p), {.vxlan_inner_vlan = true});
    WEFT_CHECK(d.ok(), "{}", d.detail);
    p->copy_frame(after);
    WEFT_CHECK(before == after);
  }
  pool.give(p);
}

}  // namespace weft::fuzz
