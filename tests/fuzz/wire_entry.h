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
#include "datapath/tunnel/receiver.h"
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

/// Decapsulates for as long as there is a tunnel; what comes out is then put into one of each kind
/// and taken out again.
inline void tunnel_one(std::span<const std::uint8_t> input) {
  using datapath::TunnelKind;
  thread_local PacketArena arena;
  thread_local PacketPool pool(arena);
  Packet* p = pool.take();
  set_frame(*p, input);
  datapath::DecapOptions options;
  if (!input.empty()) {
    options.gre = static_cast<datapath::GreReading>(input[0] % 3);
    options.vxlan_inner_vlan = (input[0] & 4) != 0;
    options.verify_checksum = (input[0] & 8) == 0;
    options.copy_dscp = options.copy_ttl = (input[0] & 16) != 0;
  }
  for (int depth = 0;; ++depth) {
    const std::uint32_t size = p->size();
    const datapath::Decap d = datapath::decap(*p, datapath::parse_materialising(*p), options);
    // What comes out of LISP gets an Ethernet header, of STT perhaps a tag.
    WEFT_CHECK(p->size() <= size);
    if (!d.ok()) {
      WEFT_CHECK(d.status != datapath::Decap::Status::drop || d.detail[0] != 0);
      break;
    }
    WEFT_CHECK(p->size() + 14 + 20 + 2 <= size && p->size() >= 14 && depth < 4096);
  }
  const std::uint32_t size = p->size();
  for (std::size_t k = 1; k < datapath::kTunnelKinds && size >= 14 && size < 60000; ++k) {
    datapath::TunnelEncap encap;
    encap.src = Ip4{1};
    encap.dst = Ip4{2};
    encap.kind = static_cast<TunnelKind>(k);
    encap.vni = 0x5000 + input[0];
    encap.keep_inner_vlan = true;
    encap.mtu = 65535;
    encap.gre_checksum = encap.gre_sequence = (input[0] & 1) != 0;
    std::vector<std::uint8_t> before;
    std::vector<std::uint8_t> after;
    p->copy_frame(before);
    if (!datapath::encap(*p, datapath::make_outer(encap), 0)) {
      WEFT_CHECK(encap.kind == TunnelKind::lisp);
      continue;
    }
    WEFT_CHECK(verify_checksums(*p) == ChecksumFault::ok);
    datapath::DecapOptions back;
    back.vxlan_inner_vlan = true;
    if (encap.kind == TunnelKind::gre) back.gre = datapath::GreReading::gre;
    const datapath::Decap d = datapath::decap(*p, datapath::parse_headers(*p), back);
    p->copy_frame(after);
    if (encap.kind == TunnelKind::nvgre) {
      // Tags come off on the way in; behind two, another may show.
      if (!d.ok()) break;
      WEFT_CHECK(d.info.vni == encap.vni);
      if (after != before) break;
      continue;
    }
    WEFT_CHECK(d.ok(), "{}: {}", name_of(encap.kind), d.detail);
    if (encap.kind == TunnelKind::lisp) break;  // Ethernet is new, and the TTL may be
    WEFT_CHECK(before == after, "{}", name_of(encap.kind));
  }
  pool.give(p);
}

/// The input is a script: frames, each with its length in front (two bytes) and a byte of time, go
/// through a receiver that is small. Nothing may be lost or given back twice.
inline void receive_script(std::span<const std::uint8_t> input) {
  thread_local PacketArena arena;
  thread_local PacketPool pool(arena);
  datapath::ReceiverOptions options;
  options.fragments = {4, 4096, milliseconds(50)};
  options.frames = {4, 4096, milliseconds(50)};
  options.decap.verify_checksum = false;
  datapath::TunnelReceiver receiver(options);
  std::size_t out = 0;
  std::vector<Packet*> joined;
  std::vector<datapath::GivenUp> given_up;
  const auto settle = [&] {
    for (Packet* p : joined) pool.give(p);
    for (const auto& g : given_up) pool.give(g.packet);
    out -= joined.size() + given_up.size();
    joined.clear();
    given_up.clear();
  };
  Time now{};
  while (input.size() > 3) {
    const std::size_t n = std::min<std::size_t>(input[0] * 256u + input[1], input.size() - 3);
    now += milliseconds(input[2] % 32);
    Packet* p = pool.take();
    set_frame(*p, input.subspan(3, n));
    input = input.subspan(3 + n);
    ++out;
    const auto parsed = datapath::parse_materialising(*p);
    if (!parsed.ok() && parsed.fragment == datapath::Fragment::none) {
      pool.give(p);
      --out;
      continue;
    }
    const auto result = receiver.receive(*p, parsed, now, joined, given_up);
    if (result.what != datapath::TunnelReceiver::Result::What::held) {
      WEFT_CHECK(!result.decap.ok() || p->size() >= 14);
      datapath::describe_frame(*p);
      pool.give(p);
      --out;
    }
    settle();
    WEFT_CHECK(receiver.incomplete() <= 8);
  }
  receiver.clear(given_up);
  settle();
  WEFT_CHECK(out == 0 && receiver.incomplete() == 0);
}

}  // namespace weft::fuzz
