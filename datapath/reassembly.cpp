#include "datapath/reassembly.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/tunnel/tunnel.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

/// The data of a part as it lies in its packet: first bytes of the header area, then payload.
std::span<const std::uint8_t> bytes_of(const Part& part) {
  const auto headers = part.packet->headers();
  if (part.begin >= headers.size()) return {};
  return headers.subspan(part.begin, std::min<std::size_t>(part.end, headers.size()) - part.begin);
}

Payload payload_of(const Part& part) {
  const std::uint32_t headers = part.packet->header_size();
  if (part.end <= headers) return {};
  const std::uint32_t from = std::max(part.begin, headers) - headers;
  return part.packet->payload.slice(from, part.end - headers - from);
}

void append(const Part& part, std::vector<std::uint8_t>& out) {
  const auto bytes = bytes_of(part);
  out.insert(out.end(), bytes.begin(), bytes.end());
  const Payload payload = payload_of(part);
  const std::size_t at = out.size();
  out.resize(at + payload.size());
  payload.materialise(0, {out.data() + at, payload.size()});
}

bool same_data(const Part& a, const Part& b) {
  std::vector<std::uint8_t> x, y;
  append(a, x);
  append(b, y);
  return x == y;
}

/// What a held packet costs, its descriptor counted as if it were bytes.
std::uint64_t cost_of(const Part& part) { return part.packet->size(); }

}  // namespace

void Reassembly::release(Whole& whole, DropReason reason, std::vector<GivenUp>& given_up) {
  for (std::size_t i = 0; i < whole.parts.size(); ++i)
    given_up.push_back({whole.parts[i].packet, reason, i + 1 == whole.parts.size()});
  whole.parts.clear();
  bytes_ -= whole.bytes;
  whole.bytes = 0;
}

void Reassembly::forget(Wholes::iterator it) {
  bytes_ -= it->second.bytes;
  by_age_.erase(it->second.order);
  whole_.erase(it);
}

void Reassembly::give_up(Wholes::iterator it, DropReason reason, std::vector<GivenUp>& given_up) {
  release(it->second, reason, given_up);
  forget(it);
}

void Reassembly::expire(Time now, std::vector<GivenUp>& given_up) {
  while (!by_age_.empty()) {
    const auto it = whole_.find(by_age_.begin()->second);
    if (it->second.deadline > now) return;
    give_up(it, DropReason::part_missing, given_up);
  }
}

void Reassembly::clear(std::vector<GivenUp>& given_up) {
  while (!by_age_.empty())
    give_up(whole_.find(by_age_.begin()->second), DropReason::part_missing, given_up);
}

Reassembly::Outcome Reassembly::add(const PartKey& key, Part part, std::uint32_t total, Time now,
                                    std::vector<Part>& parts, std::vector<GivenUp>& given_up) {
  expire(now, given_up);
  auto it = whole_.find(key);
  if (it == whole_.end()) {
    while (whole_.size() >= std::max(limits_.packets, 1u))
      give_up(whole_.find(by_age_.begin()->second), DropReason::part_full, given_up);
    it = whole_.try_emplace(key).first;
    it->second.deadline = now + limits_.timeout;
    it->second.order = next_order_++;
    by_age_.emplace(it->second.order, key);
  }
  Whole& w = it->second;
  const auto poison = [&] {
    release(w, DropReason::part_overlap, given_up);
    w.poisoned = true;
    return Outcome::refused;
  };
  if (w.poisoned) return Outcome::refused;

  const std::uint32_t part_end = part.offset + part.size();
  const auto after = std::lower_bound(w.parts.begin(), w.parts.end(), part.offset,
                                      [](const Part& p, std::uint32_t o) { return p.offset < o; });
  if (after != w.parts.end() && after->offset == part.offset && after->size() == part.size() &&
      (total == 0 || w.total == 0 || total == w.total) && same_data(*after, part))
    return Outcome::duplicate;
  if (total != 0) {
    if (w.total != 0 && w.total != total) return poison();
    w.total = total;
  }
  const bool beyond =
      w.total != 0 &&
      (part_end > w.total ||
       (!w.parts.empty() && w.parts.back().offset + w.parts.back().size() > w.total));
  const bool over_next = after != w.parts.end() && after->offset < part_end;
  const bool over_last =
      after != w.parts.begin() && std::prev(after)->offset + std::prev(after)->size() > part.offset;
  if (beyond || over_next || over_last) return poison();

  w.parts.insert(after, part);
  w.have += part.size();
  w.bytes += cost_of(part);
  bytes_ += cost_of(part);
  const bool last = limits_.ignore_gaps && part_end == w.total;
  if (w.total != 0 && (w.have == w.total || last)) {
    parts = std::move(w.parts);
    w.parts.clear();
    forget(it);
    return Outcome::complete;
  }
  // The oldest goes, this one not before all others; alone it may be as long as it likes: a packet
  // has an end.
  while (bytes_ > limits_.bytes && whole_.size() > 1) {
    const auto oldest = whole_.find(by_age_.begin()->second);
    if (oldest == it) break;
    give_up(oldest, DropReason::part_full, given_up);
  }
  return Outcome::held;
}

void join_parts(const std::vector<Part>& parts, std::span<const std::uint8_t> prefix,
                Packet& into) {
  std::vector<std::uint8_t> head(prefix.begin(), prefix.end());
  Payload tail;
  bool descriptor = true;  // so far: bytes, then one piece of a stream
  for (const Part& part : parts) {
    const auto bytes = bytes_of(part);
    const Payload payload = payload_of(part);
    if (!bytes.empty()) {
      descriptor = descriptor && tail.empty();
      head.insert(head.end(), bytes.begin(), bytes.end());
    }
    if (payload.empty()) continue;
    if (tail.empty()) {
      tail = payload;
      descriptor = descriptor && payload.is_stream();
    } else {
      const bool goes_on = payload.is_stream() && payload.stream_id() == tail.stream_id() &&
                           payload.offset() == tail.offset() + tail.size();
      descriptor = descriptor && goes_on;
      if (goes_on)
        tail = Payload::stream(tail.stream_id(), tail.offset(), tail.size() + payload.size());
    }
    if (!descriptor) break;
  }
  if (!descriptor) {
    head.assign(prefix.begin(), prefix.end());
    for (const Part& part : parts) append(part, head);
    tail.reset();
  }
  constexpr std::size_t kMostHeaders = 512;
  const std::size_t n = tail.empty() ? std::min(head.size(), kMostHeaders) : head.size();
  if (n < head.size()) tail = Payload::copy_of(std::span(head).subspan(n));
  into.payload = std::move(tail);
  std::memcpy(into.reset_headers(static_cast<std::uint32_t>(n)), head.data(), n);
}

namespace {

/// The fragment header of an IPv6 packet, and the byte that says that it comes next.
struct FragmentHeader6 {
  std::uint32_t at = 0;  ///< 0: none
  std::uint32_t named_at = 0;
};

FragmentHeader6 find_fragment_header(std::span<const std::uint8_t> bytes, std::uint32_t l3) {
  std::uint32_t named_at = l3 + 6;
  std::uint32_t at = l3 + sizeof(wire::Ipv6Header);
  for (int i = 0; i <= 8; ++i) {
    if (at + 8 > bytes.size()) return {};
    const std::uint8_t next = bytes[named_at];
    if (next == wire::kProtoFragment) return {at, named_at};
    std::uint32_t length = 0;
    if (next == wire::kProtoHopByHop || next == wire::kProtoRouting ||
        next == wire::kProtoDestinationOptions) {
      length = wire::at<wire::Ipv6ExtensionHeader>(bytes.data() + at).bytes();
    } else if (next == wire::kProtoAuthentication) {
      length = (bytes[at + 1] + 2u) * 4u;
    } else {
      return {};
    }
    named_at = at;
    at += length;
  }
  return {};
}

}  // namespace

FragmentPlace fragment_place(Packet& packet, const ParsedHeaders& parsed) {
  FragmentPlace out;
  WEFT_CHECK(parsed.ip_version != 0);
  const std::uint8_t* p = packet.data();
  out.part.packet = &packet;
  out.part.end = parsed.l3_end;
  bool more = false;
  if (parsed.is_ipv4()) {
    const auto& ip = wire::at<wire::Ipv4Header>(p + parsed.l3);
    if (fold_sum(sum_bytes({p + parsed.l3, ip.header_length()})) != 0xffff) return out;
    out.key = {ip.src.get(), ip.dst.get(), ip.identification, 0, ip.protocol};
    out.part.begin = parsed.l3 + ip.header_length();
    out.part.offset = (ip.flags_fragment & wire::Ipv4Header::kOffsetMask) * 8u;
    more = (ip.flags_fragment & wire::Ipv4Header::kMoreFragments) != 0;
  } else {
    const auto& ip = wire::at<wire::Ipv6Header>(p + parsed.l3);
    const auto found = find_fragment_header(packet.headers(), parsed.l3);
    if (found.at == 0) return out;
    const auto& fragment = wire::at<wire::Ipv6FragmentHeader>(p + found.at);
    // RFC 8200: next header is not part of the key, and of the first fragment counts alone.
    out.key = {ip.src.get(), ip.dst.get(), fragment.identification, 0, wire::kProtoFragment};
    out.part.begin = found.at + static_cast<std::uint32_t>(sizeof fragment);
    out.part.offset = fragment.offset_bytes();
    more = fragment.more_fragments();
  }
  if (out.part.begin >= out.part.end) return out;
  const std::uint32_t end = out.part.offset + out.part.size();
  if (more && out.part.size() % 8 != 0) return out;
  if (end > 0xffff) return out;
  out.total = more ? 0 : end;
  out.ok = true;
  return out;
}

Joined join_fragments(const std::vector<Part>& parts, Packet& into) {
  const Part& first = parts.front();
  const auto headers = first.packet->headers();
  std::vector<std::uint8_t> prefix(headers.begin(), headers.begin() + first.begin);
  const ParsedHeaders parsed = parse_headers(*first.packet);
  const std::uint32_t l3 = parsed.l3;
  std::uint32_t data = 0;
  int ecn = -2;
  for (const Part& part : parts) {
    data += part.size();
    const ParsedHeaders h = parse_headers(*part.packet);
    if (ecn == -2)
      ecn = h.tos & wire::kEcnMask;
    else if (ecn >= 0)
      ecn = join_ecn(static_cast<std::uint8_t>(ecn), h.tos);
  }
  if (ecn < 0) return Joined::mixed_ecn;
  if (parsed.is_ipv4()) {
    const std::uint32_t total = static_cast<std::uint32_t>(prefix.size()) - l3 + data;
    if (total > 0xffff) return Joined::too_long;
    auto& ip = wire::at<wire::Ipv4Header>(prefix.data() + l3);
    ip.total_length = static_cast<std::uint16_t>(total);
    ip.flags_fragment = 0;
    ip.tos = static_cast<std::uint8_t>((ip.tos & ~wire::kEcnMask) | ecn);
    ip.checksum = 0;
    ip.checksum = checksum_of({prefix.data() + l3, ip.header_length()});
  } else {
    const auto found = find_fragment_header(headers, l3);
    prefix[found.named_at] = prefix[found.at];
    prefix.resize(found.at);
    const std::uint32_t length = found.at - l3 - sizeof(wire::Ipv6Header) + data;
    if (length > 0xffff) return Joined::too_long;
    auto& ip = wire::at<wire::Ipv6Header>(prefix.data() + l3);
    ip.payload_length = static_cast<std::uint16_t>(length);
    ip.set_first_word(static_cast<std::uint8_t>((ip.traffic_class() & ~wire::kEcnMask) | ecn),
                      ip.flow_label());
  }
  join_parts(parts, prefix, into);
  return Joined::ok;
}

namespace {

/// Where the fragment header belongs: behind hop-by-hop options and what routers on the way read.
FragmentHeader6 place_for_fragment_header(std::span<const std::uint8_t> bytes, std::uint32_t l3) {
  FragmentHeader6 at{l3 + static_cast<std::uint32_t>(sizeof(wire::Ipv6Header)), l3 + 6};
  FragmentHeader6 out = at;
  for (int i = 0; i <= 8 && at.at + 8 <= bytes.size(); ++i) {
    const std::uint8_t next = bytes[at.named_at];
    if (next != wire::kProtoHopByHop && next != wire::kProtoRouting &&
        next != wire::kProtoDestinationOptions)
      break;
    at.named_at = at.at;
    at.at += wire::at<wire::Ipv6ExtensionHeader>(bytes.data() + at.at).bytes();
    // Destination options go along only where a routing header follows them.
    if (next != wire::kProtoDestinationOptions && at.at <= bytes.size()) out = at;
  }
  return out;
}

/// RFC 791: only options with the copied flag are in every fragment; the others become padding.
void blank_options(std::span<std::uint8_t> options) {
  constexpr std::uint8_t kEnd = 0, kNop = 1, kCopied = 0x80;
  for (std::size_t i = 0; i < options.size() && options[i] != kEnd;) {
    if (options[i] == kNop) {
      ++i;
      continue;
    }
    if (i + 1 >= options.size() || options[i + 1] < 2) return;
    const std::size_t n = std::min<std::size_t>(options[i + 1], options.size() - i);
    if ((options[i] & kCopied) == 0) std::fill_n(options.begin() + static_cast<long>(i), n, kNop);
    i += n;
  }
}

/// What a fragment's headers say of its place.
void place_fragment(std::span<std::uint8_t> prefix, std::uint32_t l3, std::uint32_t offset,
                    std::uint32_t size, bool more, std::uint32_t fragment_header) {
  const auto units = static_cast<std::uint16_t>(offset / 8);
  if (fragment_header == 0) {
    auto& ip = wire::at<wire::Ipv4Header>(prefix.data() + l3);
    if (offset != 0) blank_options(prefix.subspan(l3 + sizeof ip, ip.header_length() - sizeof ip));
    ip.total_length = static_cast<std::uint16_t>(ip.header_length() + size);
    ip.flags_fragment =
        static_cast<std::uint16_t>(units | (more ? wire::Ipv4Header::kMoreFragments : 0));
    ip.checksum = 0;
    ip.checksum = checksum_of({prefix.data() + l3, ip.header_length()});
    return;
  }
  auto& ip = wire::at<wire::Ipv6Header>(prefix.data() + l3);
  ip.payload_length =
      static_cast<std::uint16_t>(prefix.size() - l3 - sizeof(wire::Ipv6Header) + size);
  wire::store_be(prefix.data() + fragment_header + 2,
                 static_cast<std::uint16_t>(units << 3 | (more ? 1 : 0)));
}

}  // namespace

void cut_to_fragments(Packet& packet, std::uint32_t mtu, std::uint32_t id, PacketPool& pool,
                      const std::function<PacketId()>& new_id, std::vector<Packet*>& more) {
  const ParsedHeaders parsed = parse_materialising(packet);
  if (parsed.ip_version == 0 || parsed.fragment != Fragment::none) return;
  if (parsed.l3_end < packet.size()) trim_frame(packet, parsed.l3_end);
  if (parsed.l3_end - parsed.l3 <= mtu) return;
  const auto headers = packet.headers();
  std::uint32_t begin = 0;  // of the data
  std::vector<std::uint8_t> prefix;
  std::uint32_t fragment_header = 0;
  if (parsed.is_ipv4()) {
    begin = parsed.l3 + wire::at<wire::Ipv4Header>(headers.data() + parsed.l3).header_length();
    prefix.assign(headers.begin(), headers.begin() + begin);
  } else {
    const auto at = place_for_fragment_header(headers, parsed.l3);
    begin = fragment_header = at.at;
    prefix.assign(headers.begin(), headers.begin() + begin);
    const std::uint8_t next = prefix[at.named_at];
    prefix[at.named_at] = wire::kProtoFragment;
    prefix.insert(prefix.end(), {next, 0, 0, 0, 0, 0, 0, 0});
    wire::store_be(prefix.data() + fragment_header + 4, id);
  }
  const std::uint32_t total = parsed.l3_end - begin;
  const auto around = static_cast<std::uint32_t>(prefix.size()) - parsed.l3;
  const std::uint32_t room = mtu < around + 8 ? 8 : (mtu - around) / 8 * 8;
  const auto fill = [&](Packet& out, std::uint32_t from, std::uint32_t size) {
    // What of the data lies in the header area is copied, the rest is shared.
    const std::uint32_t in_headers = packet.header_size() - begin;
    const std::uint32_t copied = from < in_headers ? std::min(size, in_headers - from) : 0;
    std::vector<std::uint8_t> head = prefix;
    place_fragment(head, parsed.l3, from, size, from + size < total, fragment_header);
    head.insert(head.end(), headers.begin() + begin + from,
                headers.begin() + begin + from + copied);
    Payload rest;
    if (size > copied) rest = packet.payload.slice(from + copied - in_headers, size - copied);
    std::memcpy(out.reset_headers(static_cast<std::uint32_t>(head.size())), head.data(),
                head.size());
    out.payload = std::move(rest);
  };
  for (std::uint32_t from = room; from < total; from += room) {
    Packet* piece = pool.take();
    piece->id = new_id();
    piece->parent = packet.id;
    piece->born = packet.born;
    piece->tenant = packet.tenant;
    piece->flow = packet.flow;
    piece->pair = packet.pair;
    piece->observed = packet.observed;
    fill(*piece, from, std::min(room, total - from));
    more.push_back(piece);
  }
  fill(packet, 0, std::min(room, total));
}

}  // namespace weft::datapath
