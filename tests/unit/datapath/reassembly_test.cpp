// Parts of packets: STT segments against a slow twin with loss, reordering, repetitions, overlaps
// and lies; super-segments that travel as descriptors; limits of memory and time; IP fragments.
#include "datapath/reassembly.h"

#include <map>
#include "datapath/tunnel/receiver.h"
#include "datapath/tunnel/stt.h"

#include "tests/catch.h"
#include "tests/oracle/reassembly_twin.h"
#include "tests/unit/datapath/frames.h"

namespace weft::datapath {
namespace {

using test::Bytes;
using test::frame_of;
using What = TunnelReceiver::Result::What;

struct Lab {
  PacketArena arena;
  PacketPool pool{arena};
  std::vector<Packet*> joined;
  std::vector<GivenUp> given_up;

  ~Lab() { settle(); }
  void settle() {
    for (Packet* p : joined) pool.give(p);
    for (const GivenUp& g : given_up) pool.give(g.packet);
    joined.clear();
    given_up.clear();
  }
  Packet* packet(const Bytes& bytes, std::size_t headers = 128) {
    Packet* p = pool.take();
    test::set_frame(*p, bytes, headers);
    return p;
  }
  std::vector<Packet*> cut(const test::FlowSpec& flow, std::uint32_t mtu, std::uint32_t frame,
                           std::uint16_t segment_size = 0, bool is6 = false) {
    TunnelEncap e;
    e.kind = TunnelKind::stt;
    e.src = is6 ? IpAddress(Ip6{1, 1}) : IpAddress(Ip4{1});
    e.dst = is6 ? IpAddress(Ip6{1, 2}) : IpAddress(Ip4{2});
    e.vni = frame;
    e.mtu = mtu;
    std::vector<Packet*> out;
    Packet* first = pool.take();
    test::build(*first, flow);
    first->segment_size = segment_size;
    REQUIRE(stt::encap_frame(
        *first, make_outer(e), 5, frame, pool, [] { return PacketId{7}; }, out));
    out.insert(out.begin(), first);
    return out;
  }
};

TEST_CASE("a super-segment crosses as one STT frame, without a copy") {
  Lab lab;
  for (const bool is6 : {false, true}) {
    for (const bool tag : {false, true}) {
      for (const std::uint32_t mtu : {1280u, 1500u, 9000u, 65535u}) {
        test::FlowSpec flow;
        flow.payload = stt::kMaxFrame - 54;
        flow.vlan = tag;
        flow.tos = 2;
        Packet* plain = lab.pool.take();
        test::build(*plain, flow);
        const Bytes inner = frame_of(*plain);
        lab.pool.give(plain);
        if (tag) REQUIRE(inner.size() == stt::kMaxFrame + 4);
        auto segments = lab.cut(flow, mtu, 3, 1448, is6);
        TunnelReceiver receiver;
        for (std::size_t i = 0; i < segments.size(); ++i) {
          Packet* p = segments[i];
          REQUIRE(p->size() - 14 <= mtu);
          REQUIRE((p->payload.is_stream() && p->header_size() < 200));
          REQUIRE(verify_checksums(*p) == ChecksumFault::ok);
          REQUIRE((i == 0 || p->parent == segments[0]->id));
          const auto r = receiver.receive(*p, parse_headers(*p), Time{}, lab.joined, lab.given_up);
          if (i + 1 < segments.size()) {
            REQUIRE(r.what == What::held);
            continue;
          }
          INFO(r.decap.detail);
          REQUIRE(r.decap.ok());
          REQUIRE(lab.joined.size() == segments.size() - 1);
          REQUIRE(p->segment_size == 1448);
          REQUIRE(p->payload == Payload::stream(flow.stream, 17, flow.payload));
          REQUIRE(frame_of(*p) == inner);
          lab.pool.give(p);
        }
        lab.settle();
      }
    }
  }
  // One byte more does not fit.
  test::FlowSpec flow;
  flow.payload = stt::kMaxFrame - 54 + 1;
  Packet* p = lab.pool.take();
  test::build(*p, flow);
  const Bytes before = frame_of(*p);
  TunnelEncap e;
  e.kind = TunnelKind::stt;
  e.src = Ip4{1};
  e.dst = Ip4{2};
  std::vector<Packet*> more;
  REQUIRE_FALSE(stt::encap_frame(
      *p, make_outer(e), 5, 1, lab.pool, [] { return PacketId{7}; }, more));
  REQUIRE(frame_of(*p) == before);
  lab.pool.give(p);
}

TEST_CASE("STT reassembly does what its slow twin does") {
  test::Lcg random{17};
  unsigned whole = 0, not_whole = 0;
  for (int round = 0; round < 300; ++round) {
    Lab lab;
    ReceiverOptions options;
    options.frames.timeout = milliseconds(20);
    TunnelReceiver receiver(options);
    oracle::ReassemblyTwin twin(milliseconds(20));
    struct Segment {
      std::uint32_t frame, total, offset;
      Bytes data;
      Bytes packet;
    };
    std::vector<Segment> wire;
    for (std::uint32_t frame = 1; frame <= 6; ++frame) {
      test::FlowSpec flow;
      flow.payload = static_cast<std::uint32_t>(random.below(3000));
      flow.src_port = static_cast<std::uint16_t>(frame);
      const auto mtu = static_cast<std::uint32_t>(300 + random.below(900));
      for (Packet* p : lab.cut(flow, mtu, frame)) {
        const Bytes bytes = frame_of(*p);
        lab.pool.give(p);
        const auto sequence = wire::load_be<std::uint32_t>(bytes.data() + 38);
        Segment s{
            frame, sequence >> 16, sequence & 0xffff, {bytes.begin() + 54, bytes.end()}, bytes};
        // Some frames meet liars: bytes that are others, lengths that are others, other cuts.
        if (frame == 5 && random.below(8) == 0) s.data.back() ^= 1;
        if (frame == 5 && random.below(12) == 0) ++s.total;
        if (frame == 6 && random.below(6) == 0 && s.data.size() > 40 && s.offset > 0) {
          s.data.erase(s.data.begin(), s.data.begin() + 8);
          s.offset += 8;
        }
        if (random.below(12) == 0) continue;  // lost
        for (auto n = random.below(8) == 0 ? 2 : 1; n > 0; --n) wire.push_back(s);
      }
    }
    for (std::size_t i = wire.size(); i > 1; --i)
      if (random.below(3) == 0) std::swap(wire[i - 1], wire[random.below(i)]);
    Time now{};
    std::map<std::uint32_t, Time> done;
    for (const Segment& s : wire) {
      now += microseconds(static_cast<std::int64_t>(random.below(1500)));
      Bytes bytes(s.packet.begin(), s.packet.begin() + 54);
      bytes.insert(bytes.end(), s.data.begin(), s.data.end());
      wire::store_be(bytes.data() + 16, static_cast<std::uint16_t>(bytes.size() - 14));
      wire::store_be(bytes.data() + 38, s.total << 16 | s.offset);
      Packet* p = lab.packet(bytes, random.below(bytes.size() + 1));
      parse_materialising(*p);
      finish_l4_checksum(*p, 14);
      const auto r = receiver.receive(*p, parse_materialising(*p), now, lab.joined, lab.given_up);
      // A single segment that is a whole frame needs no reassembly.
      // A frame that has been whole is not there once more when all its segments are.
      std::optional<Bytes> expected;
      const bool single = s.offset == 0 && s.data.size() == s.total;
      if (!single && done.contains(s.frame) && done.at(s.frame) > now) {
        REQUIRE(r.what == What::again);
        lab.pool.give(p);
        lab.settle();
        continue;
      }
      if (single)
        expected = s.data;
      else
        expected = twin.add(s.frame, s.total, s.offset, s.data, now);
      if (expected && !single) done[s.frame] = now + milliseconds(20);
      INFO("round " << round << " frame " << s.frame << " offset " << s.offset);
      REQUIRE(r.decap.ok() == (expected.has_value() && r.what == What::packet && r.decap.ok()));
      if (expected) {
        REQUIRE(r.what == What::packet);
        if (r.decap.ok()) REQUIRE(frame_of(*p) == Bytes(expected->begin() + 18, expected->end()));
        ++whole;
      } else {
        REQUIRE_FALSE(r.decap.ok());
        ++not_whole;
      }
      if (r.what != What::held) lab.pool.give(p);
      lab.settle();
    }
    receiver.clear(lab.given_up);
    lab.settle();
    REQUIRE(receiver.incomplete() == 0);
  }
  REQUIRE(whole > 500);
  REQUIRE(not_whole > 1000);
}

TEST_CASE("what waits is bounded in packets, bytes and time") {
  Lab lab;
  Reassembly parts({3, 4000, milliseconds(10)});
  std::vector<Part> done;
  const auto add = [&](std::uint32_t id, std::uint32_t offset, std::uint32_t size, Time now) {
    Packet* p = lab.packet(Bytes(size));
    const auto outcome =
        parts.add({Ip4{1}, Ip4{2}, id, 0, 6}, {p, offset, 0, size}, 65000, now, done, lab.given_up);
    if (outcome != Reassembly::Outcome::held) lab.pool.give(p);
    return outcome;
  };
  using Outcome = Reassembly::Outcome;
  for (std::uint32_t id = 1; id <= 3; ++id) REQUIRE(add(id, 0, 100, Time{}) == Outcome::held);
  REQUIRE(lab.given_up.empty());
  REQUIRE(add(4, 0, 100, Time{}) == Outcome::held);  // the oldest goes
  REQUIRE(lab.given_up.size() == 1);
  REQUIRE(lab.given_up[0].reason == DropReason::part_full);
  REQUIRE(parts.packets() == 3);
  lab.settle();
  REQUIRE(add(4, 1000, 3900, Time{}) == Outcome::held);
  REQUIRE(lab.given_up.size() == 2);  // 2 and 3 made room
  REQUIRE(parts.bytes() == 4000);
  lab.settle();
  REQUIRE(add(4, 1000, 3900, Time{}) == Outcome::duplicate);
  REQUIRE(add(4, 1000, 3899, Time{}) == Outcome::refused);
  REQUIRE(lab.given_up.size() == 2);
  REQUIRE(lab.given_up[0].reason == DropReason::part_overlap);
  REQUIRE(lab.given_up[1].last);
  REQUIRE(add(4, 5000, 10, Time{}) == Outcome::refused);  // poisoned until its time is up
  lab.settle();
  REQUIRE(parts.bytes() == 0);
  REQUIRE(add(4, 5000, 10, Time{} + milliseconds(10)) == Outcome::held);
  parts.expire(Time{} + milliseconds(19), lab.given_up);
  REQUIRE(lab.given_up.empty());
  parts.expire(Time{} + milliseconds(20), lab.given_up);
  REQUIRE(lab.given_up.size() == 1);
  REQUIRE(lab.given_up[0].reason == DropReason::part_missing);
  REQUIRE(parts.packets() == 0);
}

/// Fragments of the IP packet in `frame` (untagged), `size` bytes of data each.
std::vector<Bytes> fragments_of(const Bytes& frame, std::size_t size) {
  const bool is6 = frame[14] >> 4 == 6;
  const std::size_t head = is6 ? 54 : 34;
  std::vector<Bytes> out;
  for (std::size_t at = head; at < frame.size(); at += size) {
    const std::size_t n = std::min(size, frame.size() - at);
    const bool more = at + n < frame.size();
    Bytes f(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(head));
    const auto offset = static_cast<std::uint16_t>(at - head);
    if (is6) {
      f.insert(f.end(), {f[20], 0, 0, 0, 0, 0, 0, 9});
      f[20] = wire::kProtoFragment;
      wire::store_be(f.data() + 56, static_cast<std::uint16_t>(offset | (more ? 1 : 0)));
      wire::store_be(f.data() + 18, static_cast<std::uint16_t>(n + 8));
    } else {
      wire::store_be(f.data() + 18, std::uint16_t{9});
      wire::store_be(f.data() + 20, static_cast<std::uint16_t>(offset / 8 | (more ? 0x2000 : 0)));
      wire::store_be(f.data() + 16, static_cast<std::uint16_t>(n + 20));
      f[24] = f[25] = 0;
      wire::store_be(f.data() + 24, static_cast<std::uint16_t>(~test::slow_sum(f, 14, 34)));
    }
    const auto from = frame.begin() + static_cast<std::ptrdiff_t>(at);
    f.insert(f.end(), from, from + static_cast<std::ptrdiff_t>(n));
    out.push_back(std::move(f));
  }
  return out;
}

TEST_CASE("outer fragments are put together, in any order, or refused") {
  test::Lcg random{3};
  for (const bool is6 : {false, true}) {
    for (const bool refuse : {false, true}) {
      for (int i = 0; i < 200; ++i) {
        Lab lab;
        TunnelEncap e;
        e.kind = i % 2 == 0 ? TunnelKind::geneve : TunnelKind::gre;
        e.src = is6 ? IpAddress(Ip6{1, 1}) : IpAddress(Ip4{1});
        e.dst = is6 ? IpAddress(Ip6{1, 2}) : IpAddress(Ip4{2});
        e.gre_key = false;
        test::FlowSpec flow;
        flow.payload = static_cast<std::uint32_t>(500 + random.below(4000));
        Packet* p = lab.pool.take();
        test::build(*p, flow);
        const Bytes inner = frame_of(*p);
        encap(*p, make_outer(e), 1);
        auto pieces = fragments_of(frame_of(*p), 8 * (10 + random.below(50)));
        lab.pool.give(p);
        for (std::size_t k = pieces.size(); k > 1; --k)
          std::swap(pieces[k - 1], pieces[random.below(k)]);
        TunnelReceiver receiver({.refuse_fragments = refuse});
        for (std::size_t k = 0; k < pieces.size(); ++k) {
          Packet* piece = lab.packet(pieces[k], random.below(120) + 64);
          const auto r = receiver.receive(*piece, parse_materialising(*piece), Time{}, lab.joined,
                                          lab.given_up);
          if (refuse) {
            REQUIRE(r.decap.reason == DropReason::part_refused);
          } else if (k + 1 < pieces.size()) {
            REQUIRE(r.what == What::held);
            continue;
          } else {
            INFO(r.decap.detail);
            REQUIRE(r.decap.ok());
            REQUIRE(frame_of(*piece) == inner);
          }
          lab.pool.give(piece);
        }
      }
    }
  }
}

}  // namespace
}  // namespace weft::datapath
