#include "datapath/tunnel/receiver.h"

#include <algorithm>

#include "datapath/tunnel/stt.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using What = TunnelReceiver::Result::What;

/// Whether fragments of this protocol may be a tunnel's.
bool may_be_tunnel(std::uint8_t protocol) {
  return protocol == wire::kProtoUdp || protocol == wire::kProtoGre ||
         protocol == wire::kProtoEtherIp || protocol == wire::kProtoTcp;
}

TunnelReceiver::Result ended(Decap decap, DropReason reason, const char* detail) {
  refuse(decap, reason, detail);
  return {What::packet, decap};
}

void give_others(const std::vector<Part>& parts, const Packet& packet,
                 std::vector<Packet*>& joined) {
  for (const Part& part : parts)
    if (part.packet != &packet) joined.push_back(part.packet);
}

}  // namespace

TunnelReceiver::TunnelReceiver(ReceiverOptions options)
    : options_(std::move(options)), fragments_(options_.fragments), frames_(options_.frames) {}

void TunnelReceiver::configure(const ReceiverOptions& options) {
  options_ = options;
  fragments_.set_limits(options_.fragments);
  frames_.set_limits(options_.frames);
}

TunnelReceiver::Result TunnelReceiver::receive(Packet& packet, const ParsedHeaders& parsed,
                                               Time now, std::vector<Packet*>& joined,
                                               std::vector<GivenUp>& given_up,
                                               std::vector<std::uint8_t>* options_bytes) {
  ParsedHeaders outer = parsed;
  if (outer.fragment != Fragment::none) [[unlikely]] {
    if (!may_be_tunnel(outer.ip_proto)) return {};
    if (options_.refuse_fragments) {
      // A first fragment says what it is of.
      ParsedHeaders whole = outer;
      whole.fragment = Fragment::none;
      const DecapOptions& o = options_.decap;
      if (outer.fragment == Fragment::first &&
          tunnel_kind_of(packet, whole, o.ports, o.gre, o.gre_keys) == TunnelKind::none)
        return {};
    }
    if (options_.refuse_fragments) return ended({}, DropReason::part_refused, "a fragment");
    const FragmentPlace place = fragment_place(packet, outer);
    if (!place.ok)
      return ended({}, DropReason::malformed, "a fragment that breaks the rules of fragments");
    switch (fragments_.add(place.key, place.part, place.total, now, parts_, given_up)) {
      case Reassembly::Outcome::held:
        return {What::held, {}};
      case Reassembly::Outcome::duplicate:
        return {What::again, {}};
      case Reassembly::Outcome::refused:
        return ended({}, DropReason::part_overlap, "fragments overlap or contradict each other");
      case Reassembly::Outcome::complete:
        break;
    }
    const Joined joins = join_fragments(parts_, packet);
    give_others(parts_, packet, joined);
    if (joins == Joined::mixed_ecn)
      return ended({}, DropReason::tunnel_bad, "CE on one fragment, Not-ECT on another (RFC 3168)");
    if (joins == Joined::too_long)
      return ended({}, DropReason::malformed, "fragments that no IP packet can have been cut to");
    outer = parse_materialising(packet);
    if (!outer.ok()) return ended({}, DropReason::malformed, to_string(outer.error));
  }
  Decap d = decap(packet, outer, options_.decap, options_bytes);
  if (d.status == Decap::Status::segment) [[unlikely]]
    return take_segment(packet, d, now, joined, given_up);
  return {What::packet, d};
}

TunnelReceiver::Result TunnelReceiver::take_segment(Packet& packet, Decap decap, Time now,
                                                    std::vector<Packet*>& joined,
                                                    std::vector<GivenUp>& given_up) {
  const SttSegment& s = decap.segment;
  const PartKey key{decap.info.src, decap.info.dst, s.frame_id, decap.info.src_port,
                    wire::kProtoTcp};
  const Part part{&packet, s.offset, s.begin, s.end};
  for (const Done& d : done_)
    if (d.key == key && d.until > now) return {What::again, {}};
  switch (frames_.add(key, part, s.frame_length, now, parts_, given_up)) {
    case Reassembly::Outcome::held:
      return {What::held, {}};
    case Reassembly::Outcome::duplicate:
      return {What::again, {}};
    case Reassembly::Outcome::refused:
      return ended(decap, DropReason::part_overlap, "segments overlap or contradict each other");
    case Reassembly::Outcome::complete:
      break;
  }
  const Done whole{key, now + options_.frames.timeout};
  if (done_.size() < kDone)
    done_.push_back(whole);
  else
    done_[next_done_++ % kDone] = whole;
  int ecn = decap.info.tos & wire::kEcnMask;
  std::uint8_t ttl = decap.info.ttl;
  for (const Part& p : parts_) {
    const ParsedHeaders h = parse_headers(*p.packet);
    ttl = std::min(ttl, h.ttl);
    if (ecn >= 0) ecn = join_ecn(static_cast<std::uint8_t>(ecn), h.tos);
  }
  join_parts(parts_, {}, packet);
  give_others(parts_, packet, joined);
  if (ecn < 0)
    return ended(decap, DropReason::tunnel_bad, "CE on one segment, Not-ECT on another (RFC 3168)");
  decap.info.tos = static_cast<std::uint8_t>((decap.info.tos & ~wire::kEcnMask) | ecn);
  decap.info.ttl = ttl;
  stt::open_frame(packet, 0, packet.size(), options_.decap, decap);
  return {What::packet, decap};
}

void TunnelReceiver::expire(Time now, std::vector<GivenUp>& given_up) {
  fragments_.expire(now, given_up);
  frames_.expire(now, given_up);
}

void TunnelReceiver::clear(std::vector<GivenUp>& given_up) {
  fragments_.clear(given_up);
  frames_.clear(given_up);
}

}  // namespace weft::datapath
