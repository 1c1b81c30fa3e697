#include "datapath/conntrack.h"

#include <algorithm>

#include "base/hash.h"
#include "datapath/conntrack_tcp.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

// What a full table or zone looks at before it refuses.
constexpr std::uint32_t kReclaimWhenFull = 256;

Ip6 widen(Ip4 a) { return {0, a.value}; }

bool is_icmp(std::uint8_t protocol) {
  return protocol == wire::kProtoIcmp || protocol == wire::kProtoIcmpv6;
}

bool is_error_type(std::uint8_t type, bool is6) {
  if (is6) return type >= wire::kIcmpv6Unreachable && type <= wire::kIcmpv6ParameterProblem;
  return type == wire::kIcmpUnreachable || type == wire::kIcmpRedirect ||
         type == wire::kIcmpTimeExceeded || type == wire::kIcmpParameterProblem;
}

// Ports or echo identifier of the transport header at `p`, of which `n` bytes are there. False if
// the packet belongs to no connection.
bool fill_ports(CtTuple& tuple, const std::uint8_t* p, std::size_t n) {
  if (is_icmp(tuple.protocol)) {
    if (n < sizeof(wire::IcmpHeader)) return false;
    const auto& icmp = wire::at<wire::IcmpHeader>(p);
    const bool request =
        icmp.type == (tuple.is6 ? wire::kIcmpv6EchoRequest : wire::kIcmpEchoRequest);
    const bool answer = icmp.type == (tuple.is6 ? wire::kIcmpv6EchoReply : wire::kIcmpEchoReply);
    if (!request && !answer) return false;
    tuple.src_port = tuple.dst_port = icmp.identifier();
    tuple.echo = request ? 1 : 2;
    return true;
  }
  if (tuple.protocol == wire::kProtoTcp || tuple.protocol == wire::kProtoUdp) {
    if (n < 4) return false;
    tuple.src_port = wire::load_be<std::uint16_t>(p);
    tuple.dst_port = wire::load_be<std::uint16_t>(p + 2);
  }
  return true;
}

// The tuple of a packet quoted by an ICMP error. It is cut off, so its lengths mean nothing.
bool quoted_tuple(std::span<const std::uint8_t> bytes, bool is6, CtTuple& tuple) {
  tuple.is6 = is6;
  if (is6) {
    const auto* ip = wire::view<wire::Ipv6Header>(bytes);
    if (ip == nullptr || ip->version() != 6) return false;
    tuple.src = ip->src;
    tuple.dst = ip->dst;
    tuple.protocol = ip->next_header;
    return fill_ports(tuple, bytes.data() + sizeof *ip, bytes.size() - sizeof *ip);
  }
  const auto* ip = wire::view<wire::Ipv4Header>(bytes);
  if (ip == nullptr || ip->version() != 4 || ip->header_length() < sizeof *ip ||
      ip->header_length() > bytes.size() || ip->is_later_fragment()) {
    return false;
  }
  tuple.src = widen(ip->src);
  tuple.dst = widen(ip->dst);
  tuple.protocol = ip->protocol;
  return fill_ports(tuple, bytes.data() + ip->header_length(), bytes.size() - ip->header_length());
}

CtPacket icmp_error_packet(const Packet& packet, const ParsedHeaders& parsed) {
  // The quoted packet may lie in the payload: up to 60 + 8 bytes of it are needed.
  std::uint8_t quoted[68];
  const std::uint32_t n = std::min<std::uint32_t>(sizeof quoted, parsed.l3_end - parsed.payload);
  const std::uint32_t in_headers = std::min(n, packet.header_size() - parsed.payload);
  std::copy_n(packet.data() + parsed.payload, in_headers, quoted);
  packet.payload.materialise(0, {quoted + in_headers, n - in_headers});
  CtPacket out;
  if (quoted_tuple({quoted, n}, parsed.is_ipv6(), out.tuple)) out.kind = CtPacket::Kind::icmp_error;
  return out;
}

}  // namespace

CtTuple CtTuple::reversed() const {
  return {dst,
          src,
          dst_port,
          src_port,
          protocol,
          is6,
          static_cast<std::uint8_t>(echo == 0 ? 0 : 3 - echo)};
}

CtPacket ct_packet(const Packet& packet, const ParsedHeaders& parsed) {
  CtPacket out;
  if (!parsed.ok() || parsed.ip_version == 0 || parsed.fragment == Fragment::later) return out;
  const std::uint8_t* p = packet.data();
  CtTuple& tuple = out.tuple;
  tuple.protocol = parsed.ip_proto;
  tuple.is6 = parsed.is_ipv6();
  if (tuple.is6) {
    const auto& ip = wire::at<wire::Ipv6Header>(p + parsed.l3);
    tuple.src = ip.src;
    tuple.dst = ip.dst;
  } else {
    const auto& ip = wire::at<wire::Ipv4Header>(p + parsed.l3);
    tuple.src = widen(ip.src);
    tuple.dst = widen(ip.dst);
  }
  if (parsed.l4 == 0) {
    // No transport header that we know: a connection of addresses and protocol. ICMP of the other
    // family, which no stack would take, is none.
    if (!is_icmp(tuple.protocol)) out.kind = CtPacket::Kind::flow;
    return out;
  }
  if (is_icmp(tuple.protocol) && is_error_type(p[parsed.l4], tuple.is6)) {
    return icmp_error_packet(packet, parsed);
  }
  if (fill_ports(tuple, p + parsed.l4, parsed.payload - parsed.l4)) {
    out.kind = CtPacket::Kind::flow;
    out.tcp_flags = parsed.tcp_flags;
  }
  return out;
}

ConnTrack::ConnTrack(CtOptions options, std::uint64_t hash_seed)
    : options_(options), seed_(hash_seed) {}

// --- the table -----------------------------------------------------------------------------------

std::uint32_t ConnTrack::hash_of(const CtTuple& t, std::uint16_t zone) const {
  // The sum of both ends' hashes: the same whichever way the packet runs.
  const std::uint64_t a =
      mix64(t.src.low ^ static_cast<std::uint64_t>(t.src_port) << 48, t.src.high ^ seed_);
  const std::uint64_t b =
      mix64(t.dst.low ^ static_cast<std::uint64_t>(t.dst_port) << 48, t.dst.high ^ seed_);
  const std::uint64_t h = mix64(a + b, static_cast<std::uint64_t>(zone) << 8 | t.protocol);
  return static_cast<std::uint32_t>(h ^ h >> 32);
}

std::int64_t ConnTrack::locate(const CtTuple& tuple, std::uint16_t zone, std::uint32_t hash,
                               bool& reply) const {
  if (slots_.empty()) return -1;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask; slots_[i].index != 0; i = (i + 1) & mask) {
    if (slots_[i].hash != hash) continue;
    const std::uint32_t index = slots_[i].index - 1;
    const Connection& c = entries_[index].connection;
    if (c.zone != zone) continue;
    if (c.original == tuple) {
      reply = false;
      return index;
    }
    if (c.original == tuple.reversed()) {
      reply = true;
      return index;
    }
  }
  return -1;
}

void ConnTrack::grow() {
  std::vector<Slot> slots(std::max<std::size_t>(16, slots_.size() * 2));
  const std::size_t mask = slots.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.index == 0) continue;
    std::size_t i = slot.hash & mask;
    while (slots[i].index != 0) i = (i + 1) & mask;
    slots[i] = slot;
  }
  slots_ = std::move(slots);
}

ConnTrack::Zone& ConnTrack::zone_of(std::uint16_t zone) {
  auto it = std::lower_bound(zones_.begin(), zones_.end(), zone,
                             [](const Zone& z, std::uint16_t n) { return z.zone < n; });
  if (it == zones_.end() || it->zone != zone) it = zones_.insert(it, Zone{zone, 0, 0});
  return *it;
}

bool ConnTrack::make(const Connection& connection, std::uint32_t hash, Time now) {
  Zone* zone = &zone_of(connection.zone);
  auto full = [&] {
    return live_ >= options_.max_connections || (zone->limit != 0 && zone->count >= zone->limit);
  };
  if (full()) [[unlikely]] {
    expire(now, kReclaimWhenFull);
    if (full()) return false;
  }
  if ((live_ + std::size_t{1}) * 4 > slots_.size() * 3) grow();
  if (free_ == 0) {
    entries_.emplace_back();
    free_ = static_cast<std::uint32_t>(entries_.size());
  }
  const std::uint32_t index = free_ - 1;
  Entry& entry = entries_[index];
  free_ = entry.next_free;
  entry.connection = connection;
  entry.hash = hash;
  entry.next_free = kUsed;
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash & mask;
  while (slots_[i].index != 0) i = (i + 1) & mask;
  slots_[i] = {hash, index + 1};
  ++zone->count;
  ++live_;
  return true;
}

void ConnTrack::erase(std::uint32_t index) {
  Entry& entry = entries_[index];
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = entry.hash & mask;
  while (slots_[hole].index != index + 1) hole = (hole + 1) & mask;
  // Backward shift: whatever could not be at home because of the hole moves up.
  for (std::size_t i = (hole + 1) & mask; slots_[i].index != 0; i = (i + 1) & mask) {
    const std::size_t home = slots_[i].hash & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole] = {};
  --zone_of(entry.connection.zone).count;
  --live_;
  entry.next_free = free_;
  free_ = index + 1;
}

// --- tracking ------------------------------------------------------------------------------------

Duration ConnTrack::timeout_of(const Connection& c) const {
  switch (c.tcp) {
    case TcpState::none:
      break;
    case TcpState::syn_sent:
    case TcpState::syn_sent2:
      return options_.tcp_syn_sent;
    case TcpState::syn_received:
      return options_.tcp_syn_received;
    case TcpState::established:
      return options_.tcp_established;
    case TcpState::fin_wait:
      return options_.tcp_fin_wait;
    case TcpState::close_wait:
      return options_.tcp_close_wait;
    case TcpState::last_ack:
      return options_.tcp_last_ack;
    case TcpState::time_wait:
      return options_.tcp_time_wait;
    case TcpState::close:
      return options_.tcp_close;
  }
  const std::uint8_t protocol = c.original.protocol;
  if (protocol == wire::kProtoUdp) return c.seen_reply ? options_.udp_replied : options_.udp;
  return is_icmp(protocol) ? options_.icmp : options_.other;
}

ConnTrack::Found ConnTrack::look(const CtPacket& packet, std::uint16_t zone, Time now,
                                 Mode mode) const {
  Found found;
  if (packet.kind == CtPacket::Kind::invalid) return found;
  const CtTuple& tuple = packet.tuple;
  found.hash = hash_of(tuple, zone);
  std::int64_t index = locate(tuple, zone, found.hash, found.reply);
  if (index >= 0 && entries_[static_cast<std::size_t>(index)].connection.expires <= now) {
    found.stale = index;
    index = -1;
  }

  CtResult& result = found.result;
  if (packet.kind == CtPacket::Kind::icmp_error) {
    found.stale = -1;
    if (index < 0) return found;
    // The error runs against the packet that it quotes.
    result.state =
        static_cast<std::uint8_t>(kCtTracked | kCtRelated | (found.reply ? 0 : kCtReply));
    result.mark = entries_[static_cast<std::size_t>(index)].connection.mark;
    return found;
  }

  const bool is_tcp = tuple.protocol == wire::kProtoTcp;
  if (index >= 0) {
    const Connection& c = entries_[static_cast<std::size_t>(index)].connection;
    TcpStep step{TcpStep::Kind::ignore, c.tcp};
    if (is_tcp && mode != Mode::settled) step = tcp_step(c.tcp, packet.tcp_flags, found.reply);
    if (step.kind != TcpStep::Kind::reopen) {
      result.mark = c.mark;
      if (step.kind == TcpStep::Kind::invalid) return found;
      found.index = index;
      found.next = step.next;
      found.refresh = !is_tcp || step.kind == TcpStep::Kind::go;
      result.state = kCtTracked;
      if (found.reply) {
        result.state |= kCtEstablished | kCtReply;
      } else {
        result.state |= c.seen_reply ? kCtEstablished : kCtNew;
      }
      return found;
    }
    found.stale = index;
  }
  if (is_tcp) {
    const TcpStep step = tcp_step(TcpState::none, packet.tcp_flags, false);
    const bool loose = step.next == TcpState::established;
    if (step.kind != TcpStep::Kind::go || (loose && !options_.tcp_loose)) return found;
    found.next = step.next;
  }
  if (tuple.echo == 2) return found;  // an echo reply that nobody asked for
  found.reply = false;
  result.state = kCtTracked | kCtNew;
  return found;
}

void ConnTrack::advance(const Found& found, Time now) {
  if (found.stale >= 0) erase(static_cast<std::uint32_t>(found.stale));
  if (found.index < 0) return;
  Connection& c = entries_[static_cast<std::size_t>(found.index)].connection;
  c.tcp = found.next;
  c.seen_reply |= found.reply;
  if (found.refresh) c.expires = now + timeout_of(c);
}

CtResult ConnTrack::track(const CtPacket& packet, std::uint16_t zone, Time now) {
  const Found found = look(packet, zone, now, Mode::advance);
  advance(found, now);
  return found.result;
}

CtResult ConnTrack::peek(const CtPacket& packet, std::uint16_t zone, Time now) const {
  return look(packet, zone, now, Mode::peek).result;
}

CtResult ConnTrack::commit(const CtPacket& packet, std::uint16_t zone, Time now, std::uint32_t mark,
                           std::uint32_t mark_mask, bool already_tracked) {
  Found found = look(packet, zone, now, already_tracked ? Mode::settled : Mode::advance);
  if (!already_tracked) {
    advance(found, now);
  } else if (found.stale >= 0) {
    erase(static_cast<std::uint32_t>(found.stale));
  }
  CtResult& result = found.result;
  if (found.index >= 0) {
    std::uint32_t& stored = entries_[static_cast<std::size_t>(found.index)].connection.mark;
    stored = (stored & ~mark_mask) | (mark & mark_mask);
    result.mark = stored;
    return result;
  }
  if ((result.state & kCtNew) == 0) return result;
  Connection c;
  c.original = packet.tuple;
  c.zone = zone;
  c.mark = mark & mark_mask;
  c.tcp = found.next;
  c.expires = now + timeout_of(c);
  if (make(c, found.hash, now)) {
    result.created = true;
    result.mark = c.mark;
  } else {
    result.full = true;
  }
  return result;
}

const Connection* ConnTrack::find(const CtTuple& tuple, std::uint16_t zone, Time now) const {
  bool reply = false;
  const std::int64_t index = locate(tuple, zone, hash_of(tuple, zone), reply);
  if (index < 0) return nullptr;
  const Connection& c = entries_[static_cast<std::size_t>(index)].connection;
  return c.expires > now ? &c : nullptr;
}

// --- the whole -----------------------------------------------------------------------------------

std::uint32_t ConnTrack::size_of_zone(std::uint16_t zone) const {
  for (const Zone& z : zones_)
    if (z.zone == zone) return z.count;
  return 0;
}

void ConnTrack::set_zone_limit(std::uint16_t zone, std::uint32_t limit) {
  zone_of(zone).limit = limit;
}

std::uint32_t ConnTrack::expire(Time now, std::uint32_t max_slots) {
  std::uint32_t gone = 0;
  const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(max_slots, entries_.size()));
  for (std::uint32_t i = 0; i < n; ++i) {
    if (cursor_ >= entries_.size()) cursor_ = 0;
    const std::uint32_t index = cursor_++;
    if (!entries_[index].used() || entries_[index].connection.expires > now) continue;
    erase(index);
    ++gone;
  }
  return gone;
}

std::uint32_t ConnTrack::remove_if(const std::function<bool(const Connection&)>& predicate) {
  std::uint32_t gone = 0;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    if (!entries_[i].used() || !predicate(entries_[i].connection)) continue;
    erase(i);
    ++gone;
  }
  return gone;
}

std::uint32_t ConnTrack::remove_zone(std::uint16_t zone) {
  return remove_if([zone](const Connection& c) { return c.zone == zone; });
}

std::vector<Connection> ConnTrack::connections(std::uint16_t zone, Time now) const {
  std::vector<Connection> out;
  for (const Entry& e : entries_) {
    if (e.used() && e.connection.zone == zone && e.connection.expires > now) {
      out.push_back(e.connection);
    }
  }
  std::sort(out.begin(), out.end(),
            [](const Connection& a, const Connection& b) { return a.original < b.original; });
  return out;
}

}  // namespace weft::datapath
