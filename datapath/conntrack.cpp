#include "datapath/conntrack.h"

#include <algorithm>

#include "base/hash.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

// What a full table or zone looks at before it gives up a connection, and before it refuses.
constexpr std::uint32_t kReclaimWhenFull = 16;
constexpr std::uint32_t kReclaimBeforeRefusing = 256;

bool is_icmp(std::uint8_t protocol) {
  return protocol == wire::kProtoIcmp || protocol == wire::kProtoIcmpv6;
}

constexpr std::uint8_t both(unsigned a, unsigned b) { return static_cast<std::uint8_t>(a | b); }

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

CtTuple ConnTrack::original_of(const Entry& e) const {
  return {e.src,
          e.dst,
          e.src_port,
          e.dst_port,
          e.protocol,
          e.has(Entry::kIs6),
          static_cast<std::uint8_t>(is_icmp(e.protocol) ? 1 : 0)};
}

CtTuple ConnTrack::reply_of(const Entry& e) const {
  CtTuple t = original_of(e).reversed();
  if (e.reply == 0) return t;
  const Reply& r = replies_[e.reply - 1];
  t.src = r.src;
  t.dst = r.dst;
  t.src_port = r.src_port;
  t.dst_port = r.dst_port;
  return t;
}

Connection ConnTrack::connection_of(const Entry& e) const {
  Connection c;
  c.original = original_of(e);
  c.reply = reply_of(e);
  c.expires = e.expires;
  c.mark = e.mark;
  if (e.label != 0) c.label = labels_[e.label - 1];
  c.zone = e.zone;
  c.tcp = e.state();
  c.seen_reply = e.has(Entry::kSeenReply);
  c.dnat = e.reply != 0 && e.has(Entry::kDnat);
  c.snat = e.reply != 0 && !c.dnat;
  if (e.tcp != 0) c.windows = tcp_[e.tcp - 1];
  return c;
}

std::uint32_t ConnTrack::locate(const CtTuple& t, std::uint16_t zone, std::uint32_t hash,
                                bool& reply) const {
  if (slots_.empty()) return kNone;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask; slots_[i].index != 0; i = (i + 1) & mask) {
    if (slots_[i].hash != hash) continue;
    const std::uint32_t index = slots_[i].index - 1;
    const Entry& e = entries_[index];
    if (e.zone != zone || e.protocol != t.protocol || e.has(Entry::kIs6) != t.is6) continue;
    if (e.src == t.src && e.dst == t.dst && e.src_port == t.src_port && e.dst_port == t.dst_port &&
        t.echo != 2) {
      reply = false;
      return index;
    }
    if (t.echo == 1) continue;  // no reply
    const bool found =
        e.reply == 0 ? e.src == t.dst && e.dst == t.src && e.src_port == t.dst_port &&
                           e.dst_port == t.src_port
                     : !options_.faults.nat_without_reverse &&
                           replies_[e.reply - 1] == Reply{t.src, t.dst, t.src_port, t.dst_port};
    if (found) {
      reply = true;
      return index;
    }
  }
  return kNone;
}

void ConnTrack::prefetch_slot(std::uint32_t hash) const {
  if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
}

std::uint32_t ConnTrack::likely(std::uint32_t hash) const {
  if (slots_.empty()) return kNone;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask; slots_[i].index != 0; i = (i + 1) & mask)
    if (slots_[i].hash == hash) return slots_[i].index - 1;
  return kNone;
}

void ConnTrack::prefetch_connection(std::uint32_t hash) const {
  if (const std::uint32_t i = likely(hash); i != kNone) __builtin_prefetch(&entries_[i]);
}

void ConnTrack::prefetch_rest(std::uint32_t hash) const {
  const std::uint32_t i = likely(hash);
  if (i == kNone) return;
  const Entry& e = entries_[i];
  if (e.tcp != 0) __builtin_prefetch(&tcp_[e.tcp - 1]);
  if (e.reply != 0) __builtin_prefetch(&replies_[e.reply - 1]);
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

void ConnTrack::put_slot(std::uint32_t hash, std::uint32_t index) {
  if ((used_slots_ + std::size_t{1}) * 4 > slots_.size() * 3) grow();
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash & mask;
  while (slots_[i].index != 0) i = (i + 1) & mask;
  slots_[i] = {hash, index + 1};
  ++used_slots_;
}

void ConnTrack::take_slot(std::uint32_t hash, std::uint32_t index) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = hash & mask;
  while (slots_[hole].index != index + 1 || slots_[hole].hash != hash) hole = (hole + 1) & mask;
  // Backward shift: whatever could not be at home because of the hole moves up.
  for (std::size_t i = (hole + 1) & mask; slots_[i].index != 0; i = (i + 1) & mask) {
    const std::size_t home = slots_[i].hash & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole] = {};
  --used_slots_;
}

ConnTrack::Zone& ConnTrack::zone_of(std::uint16_t zone) {
  auto it = std::lower_bound(zones_.begin(), zones_.end(), zone,
                             [](const Zone& z, std::uint16_t n) { return z.zone < n; });
  if (it == zones_.end() || it->zone != zone) it = zones_.insert(it, Zone{.zone = zone});
  return *it;
}

ConnTrack ConnTrack::over(const ConnTrack& base) {
  ConnTrack out(base.options_, base.seed_);
  out.base_ = &base;
  out.policies_ = base.policies_;
  for (const Zone& z : base.zones_)
    if (z.limit != 0) out.zones_.push_back({.zone = z.zone, .limit = z.limit});
  // Asked before a choice of NAT: replies of translated connections may be taken.
  out.translated_ = base.translated_;
  return out;
}

void ConnTrack::adopt(const CtTuple& tuple, std::uint16_t zone, Time now) {
  bool reply = false;
  const std::uint32_t index = base_->locate(tuple, zone, base_->hash_of(tuple, zone), reply);
  if (index == kNone || !base_->alive(index, now)) return;
  if (std::find(adopted_.begin(), adopted_.end(), index) != adopted_.end()) return;
  adopted_.push_back(index);
  const Connection c = base_->connection_of(base_->entries_[index]);
  insert(c, hash_of(c.original, zone));
}

std::pair<std::uint32_t, std::uint32_t> ConnTrack::left_in_base(std::uint16_t zone) const {
  if (base_ == nullptr) [[likely]]
    return {0, 0};
  const auto here = std::count_if(adopted_.begin(), adopted_.end(),
                                  [&](std::uint32_t i) { return base_->entries_[i].zone == zone; });
  return {base_->live_ - static_cast<std::uint32_t>(adopted_.size()),
          base_->size_of_zone(zone) - static_cast<std::uint32_t>(here)};
}

bool ConnTrack::zone_full(const Zone& z, std::uint32_t others) const {
  const std::uint32_t limit = z.limit != 0 ? z.limit : options_.zone_limit;
  return limit != 0 && z.count + others >= limit && !options_.faults.ct_no_limits;
}

bool ConnTrack::has_room(std::uint16_t zone, Time now) {
  bool zone_is_full = false;
  const auto full = [&] {
    const auto [others, others_here] = left_in_base(zone);
    zone_is_full = zone_full(zone_of(zone), others_here);
    return zone_is_full || live_ + others >= options_.max_connections;
  };
  if (!full()) [[likely]]
    return true;
  expire(now, kReclaimWhenFull);
  if (!full()) return true;
  if (options_.early_drop) {
    if (base_ != nullptr) return base_->could_give_up(zone, zone_is_full);
    Zone& asking = zone_of(zone);
    Zone* payer = zone_is_full ? &asking : payer_for(asking);
    if (payer != nullptr && give_up_oldest(*payer)) return !full();
  }
  expire(now, kReclaimBeforeRefusing);
  return !full();
}

// --- room ----------------------------------------------------------------------------------------

void ConnTrack::list(std::uint32_t index) {
  Zone& z = zone_of(entries_[index].zone);
  links_[index] = {z.newest, kNone};
  (z.newest == kNone ? z.oldest : links_[z.newest].newer) = index;
  z.newest = index;
  ++z.expendable;
  if (z.zone != payer_ && z.expendable > runner_up_) runner_up_ = z.expendable;
}

void ConnTrack::unlist(std::uint32_t index) {
  Zone& z = zone_of(entries_[index].zone);
  const Link link = links_[index];
  (link.older == kNone ? z.oldest : links_[link.older].newer) = link.newer;
  (link.newer == kNone ? z.newest : links_[link.newer].older) = link.older;
  --z.expendable;
}

bool ConnTrack::give_up_oldest(Zone& zone) {
  if (zone.oldest == kNone) return false;
  erase(zone.oldest);
  ++early_drops_;
  return true;
}

ConnTrack::Zone* ConnTrack::payer_for(Zone& asking) {
  const auto it = std::lower_bound(zones_.begin(), zones_.end(), payer_,
                                   [](const Zone& z, std::uint16_t n) { return z.zone < n; });
  Zone* payer = it != zones_.end() && it->zone == payer_ ? &*it : nullptr;
  if (payer == nullptr || payer->expendable == 0 ||
      payer->expendable + payer->expendable / 64 < runner_up_) {
    runner_up_ = 0;
    payer = &zones_.front();
    for (Zone& z : zones_) {
      if (&z == payer) continue;
      if (z.expendable > payer->expendable) {
        runner_up_ = payer->expendable;
        payer = &z;
      } else {
        runner_up_ = std::max(runner_up_, z.expendable);
      }
    }
    payer_ = payer->zone;
  }
  // Nobody pays for one who holds more.
  return payer->count < asking.count ? &asking : payer;
}

bool ConnTrack::could_give_up(std::uint16_t zone, bool zone_is_full) const {
  return std::any_of(zones_.begin(), zones_.end(), [&](const Zone& z) {
    return z.expendable != 0 && (z.zone == zone || !zone_is_full);
  });
}

/// Fills in the tuple of the replies and inserts the connection.
CtResult::Refused ConnTrack::make(Connection& c, std::uint32_t hash, const NatSpec& nat, Time now,
                                  std::uint32_t& index) {
  if (!has_room(c.zone, now)) return CtResult::Refused::full;
  bool reply = false;
  c.reply = c.original.reversed();
  if (nat.chooses()) {
    struct Asked {
      ConnTrack& table;
      std::uint16_t zone;
      Time now;
    } const asked{*this, c.zone, now};
    const auto chosen = choose_reply(nat, c.original, seed_, [&asked](const CtTuple& t) {
      bool unused = false;
      if (asked.table.base_ != nullptr) [[unlikely]]
        asked.table.adopt(t, asked.zone, asked.now);
      const std::uint32_t i =
          asked.table.locate(t, asked.zone, asked.table.hash_of(t, asked.zone), unused);
      return i != kNone && asked.table.alive(i, asked.now) &&
             !asked.table.options_.faults.nat_shares_ports;
    });
    if (!chosen) return CtResult::Refused::nat_exhausted;
    if (*chosen != c.reply) {
      c.reply = *chosen;
      c.dnat = nat.kind == NatSpec::Kind::destination;
      c.snat = !c.dnat;
    }
  }
  if (c.translated() || translated_ != 0) {
    if (base_ != nullptr) [[unlikely]]
      adopt(c.reply, c.zone, now);
    const std::uint32_t other = locate(c.reply, c.zone, hash_of(c.reply, c.zone), reply);
    if (other != kNone) {
      if (options_.faults.nat_shares_ports) {
        // what must not be: two of them
      } else if (alive(other, now)) {
        return CtResult::Refused::clash;
      } else {
        erase(other);
      }
    }
  }
  index = insert(c, hash);
  return CtResult::Refused::no;
}

std::uint32_t ConnTrack::insert(const Connection& c, std::uint32_t hash) {
  const std::uint32_t index = entries_.take();
  Entry& e = entries_[index];
  e.src = c.original.src;
  e.dst = c.original.dst;
  e.src_port = c.original.src_port;
  e.dst_port = c.original.dst_port;
  e.protocol = c.original.protocol;
  e.zone = c.zone;
  e.bits = both(Entry::kUsed, (c.original.is6 ? Entry::kIs6 : 0u) |
                                  (c.seen_reply ? Entry::kSeenReply : 0u) |
                                  (c.dnat ? Entry::kDnat : 0u));
  e.set_state(c.tcp);
  e.expires = c.expires;
  e.mark = c.mark;
  if (c.tcp != TcpState::none) {
    e.tcp = tcp_.take() + 1;
    tcp_[e.tcp - 1] = c.windows;
  }
  if (c.translated()) {
    e.reply = replies_.take() + 1;
    replies_[e.reply - 1] = {c.reply.src, c.reply.dst, c.reply.src_port, c.reply.dst_port};
    ++translated_;
  }
  set_label(e, c.label);
  put_slot(hash, index);
  if (c.translated()) put_slot(hash_of(c.reply, c.zone), index);
  ++zone_of(c.zone).count;
  links_.cover(index);
  if (expendable(e)) list(index);
  ++live_;
  return index;
}

void ConnTrack::set_label(Entry& e, Ip6 label) {
  if (label == Ip6{}) {
    if (e.label != 0) labels_.give(e.label - 1);
    e.label = 0;
    return;
  }
  if (e.label == 0) e.label = labels_.take() + 1;
  labels_[e.label - 1] = label;
}

void ConnTrack::erase(std::uint32_t index) {
  Entry& e = entries_[index];
  if (expendable(e)) unlist(index);
  take_slot(hash_of(original_of(e), e.zone), index);
  if (e.reply != 0) {
    take_slot(hash_of(reply_of(e), e.zone), index);
    replies_.give(e.reply - 1);
    --translated_;
  }
  if (e.tcp != 0) tcp_.give(e.tcp - 1);
  set_label(e, {});
  --zone_of(e.zone).count;
  --live_;
  e.bits = 0;
  entries_.give(index);
}

// --- tracking ------------------------------------------------------------------------------------

const CtTimeouts& ConnTrack::zone_timeouts(std::uint16_t zone) const {
  if (policies_.empty()) return options_.timeouts;
  const auto it = std::lower_bound(policies_.begin(), policies_.end(), zone,
                                   [](const auto& p, std::uint16_t z) { return p.first < z; });
  return it != policies_.end() && it->first == zone ? it->second : options_.timeouts;
}

Duration ConnTrack::timeout_of(const Entry& e, TcpStep::Timer timer) const {
  const CtTimeouts* t = &zone_timeouts(e.zone);
  Duration by_state{};
  switch (e.state()) {
    case TcpState::none:
      if (e.protocol == wire::kProtoUdp) return e.has(Entry::kSeenReply) ? t->udp_replied : t->udp;
      return is_icmp(e.protocol) ? t->icmp : t->other;
    case TcpState::syn_sent:
    case TcpState::syn_sent2:
      by_state = t->tcp_syn_sent;
      break;
    case TcpState::syn_received:
      by_state = t->tcp_syn_received;
      break;
    case TcpState::established:
      by_state = t->tcp_established;
      break;
    case TcpState::fin_wait:
      by_state = t->tcp_fin_wait;
      break;
    case TcpState::close_wait:
      by_state = t->tcp_close_wait;
      break;
    case TcpState::last_ack:
      by_state = t->tcp_last_ack;
      break;
    case TcpState::time_wait:
      by_state = t->tcp_time_wait;
      break;
    case TcpState::close:
      by_state = t->tcp_close;
      break;
  }
  switch (timer) {
    case TcpStep::Timer::state:
      return by_state;
    case TcpStep::Timer::closed:
      return t->tcp_close;
    case TcpStep::Timer::repeated:
      return std::min(by_state, t->tcp_repeated);
    case TcpStep::Timer::unacknowledged:
      return std::min(by_state, t->tcp_unacknowledged);
  }
  return by_state;
}

namespace {

/// ct_state's bits for a packet that is translated.
std::uint8_t nat_bits(bool dnat, bool reply) { return dnat != reply ? kCtDnat : kCtSnat; }

}  // namespace

CtResult ConnTrack::answer_error(const CtPacket& packet, std::uint16_t zone, Time now,
                                 bool nat) const {
  CtResult result;
  // The error runs against the packet that it quotes.
  const CtTuple direction = packet.tuple.reversed();
  const std::uint32_t index = locate(direction, zone, hash_of(direction, zone), result.reply);
  if (index == kNone || !alive(index, now)) return {};
  const Entry& e = entries_[index];
  result.state = both(kCtTracked | kCtRelated, result.reply ? kCtReply : 0u);
  result.mark = e.mark;
  result.connection = index + 1;
  result.translate = nat && e.reply != 0;
  if (result.translate) result.state |= nat_bits(e.has(Entry::kDnat), result.reply);
  return result;
}

CtResult ConnTrack::answer_unknown(const CtPacket& packet) const {
  CtResult result;
  if (packet.tuple.protocol == wire::kProtoTcp &&
      tcp_could_start(packet.tcp, options_.tcp).kind != TcpStep::Kind::go)
    return result;
  if (packet.tuple.echo == 2) return result;  // an echo reply that nobody asked for
  result.state = kCtTracked | kCtNew;
  return result;
}

bool ConnTrack::answer_known(std::uint32_t index, const CtPacket& packet, bool reply, Mode mode,
                             bool nat, TcpTrack* track, CtResult& result, TcpStep& step) const {
  const Entry& e = entries_[index];
  step = {TcpStep::Kind::go, e.state()};
  if (track != nullptr && mode != Mode::settled) {
    step = tcp_step(*track, e.state(), packet.tcp, reply, e.has(Entry::kSeenReply), options_.tcp);
    if (step.kind == TcpStep::Kind::reopen) return false;
  }
  result.mark = e.mark;
  if (step.kind == TcpStep::Kind::invalid) return true;
  result.connection = index + 1;
  result.reply = reply;
  if (reply) {
    result.state = kCtTracked | kCtEstablished | kCtReply;
  } else {
    result.state = both(kCtTracked, e.has(Entry::kSeenReply) ? kCtEstablished : kCtNew);
  }
  result.translate = nat && e.reply != 0;
  if (result.translate) result.state |= nat_bits(e.has(Entry::kDnat), reply);
  return true;
}

CtResult ConnTrack::go(const CtPacket& packet, std::uint16_t zone, Time now, Mode mode, bool nat,
                       std::uint32_t hash) {
  if (packet.kind == CtPacket::Kind::invalid) return {};
  const bool error = packet.kind == CtPacket::Kind::icmp_error;
  if (base_ != nullptr) [[unlikely]]
    adopt(error ? packet.tuple.reversed() : packet.tuple, zone, now);
  if (error) return answer_error(packet, zone, now, nat);
  bool reply = false;
  const std::uint32_t index = locate(packet.tuple, zone, hash, reply);
  if (index == kNone) return answer_unknown(packet);
  if (!alive(index, now)) {
    erase(index);
    return answer_unknown(packet);
  }
  Entry& e = entries_[index];
  CtResult result;
  TcpStep step;
  if (!answer_known(index, packet, reply, mode, nat, e.tcp != 0 ? &tcp_[e.tcp - 1] : nullptr,
                    result, step)) {
    erase(index);
    return answer_unknown(packet);
  }
  if (result.connection == 0 || mode != Mode::advance) return result;
  const bool was_expendable = expendable(e);
  e.set_state(step.next);
  if (reply) e.bits |= Entry::kSeenReply;
  if (was_expendable != expendable(e)) (was_expendable ? unlist(index) : list(index));
  if (step.kind == TcpStep::Kind::go) e.expires = now + timeout_of(e, step.timer);
  return result;
}

CtResult ConnTrack::track(const CtPacket& packet, std::uint16_t zone, Time now, bool nat,
                          std::uint32_t hash) {
  return go(packet, zone, now, Mode::advance, nat, hash);
}

CtResult ConnTrack::peek(const CtPacket& packet, std::uint16_t zone, Time now, bool nat) const {
  if (packet.kind == CtPacket::Kind::invalid) return {};
  if (packet.kind == CtPacket::Kind::icmp_error) return answer_error(packet, zone, now, nat);
  bool reply = false;
  const std::uint32_t index = locate(packet.tuple, zone, hash_of(packet.tuple, zone), reply);
  CtResult result;
  if (index == kNone || !alive(index, now)) return answer_unknown(packet);
  const Entry& e = entries_[index];
  TcpTrack copy;
  if (e.tcp != 0) copy = tcp_[e.tcp - 1];
  TcpStep step;
  if (answer_known(index, packet, reply, Mode::peek, nat, e.tcp != 0 ? &copy : nullptr, result,
                   step))
    return result;
  return answer_unknown(packet);
}

CtResult ConnTrack::commit(const CtPacket& packet, std::uint16_t zone, Time now,
                           const CtCommit& what, bool already_tracked) {
  const std::uint32_t hash = this->hash(packet, zone);
  const bool flow = packet.kind == CtPacket::Kind::flow;
  const std::uint32_t mark_mask = options_.faults.ct_forget_mark ? 0 : what.mark_mask;
  if (what.force && flow && (answer_unknown(packet).state & kCtNew) != 0) {
    bool reply = false;
    if (base_ != nullptr) [[unlikely]]
      adopt(packet.tuple, zone, now);
    const std::uint32_t index = locate(packet.tuple, zone, hash, reply);
    if (index != kNone && reply) erase(index);
  }
  CtResult result = go(packet, zone, now, already_tracked ? Mode::settled : Mode::advance,
                       what.nat.kind != NatSpec::Kind::none, hash);
  const auto merge = [](std::uint64_t old, std::uint64_t value, std::uint64_t mask) {
    return (old & ~mask) | (value & mask);
  };
  if (result.connection != 0) {
    if (!flow) return result;
    Entry& e = entries_[result.connection - 1];
    e.mark = static_cast<std::uint32_t>(merge(e.mark, what.mark, mark_mask));
    result.mark = e.mark;
    if (what.label_mask != Ip6{}) {
      const Ip6 old = label(result);
      set_label(e, {merge(old.high, what.label.high, what.label_mask.high),
                    merge(old.low, what.label.low, what.label_mask.low)});
    }
    return result;
  }
  if ((result.state & kCtNew) == 0) return result;
  Connection c;
  c.original = packet.tuple;
  c.zone = zone;
  c.mark = what.mark & mark_mask;
  c.label = {what.label.high & what.label_mask.high, what.label.low & what.label_mask.low};
  TcpStep step{TcpStep::Kind::go, TcpState::none};
  if (packet.tuple.protocol == wire::kProtoTcp)
    step = tcp_start(c.windows, packet.tcp, options_.tcp);
  c.tcp = step.next;
  std::uint32_t index = kNone;
  result.refused = make(c, hash, what.nat, now, index);
  if (result.refused != CtResult::Refused::no) return result;
  Entry& e = entries_[index];
  e.expires = now + timeout_of(e, step.timer);
  result.created = true;
  result.mark = c.mark;
  result.connection = index + 1;
  result.translate = c.translated();
  if (result.translate) result.state |= nat_bits(c.dnat, false);
  return result;
}

CtTuple ConnTrack::translation(const CtResult& result) const {
  const Entry& e = entries_[result.connection - 1];
  return result.reply ? original_of(e).reversed() : reply_of(e).reversed();
}

Ip6 ConnTrack::label(const CtResult& result) const {
  if (result.connection == 0) return {};
  const Entry& e = entries_[result.connection - 1];
  return e.label == 0 ? Ip6{} : labels_[e.label - 1];
}

CtTuple ConnTrack::original(const CtResult& result, const CtPacket& packet) const {
  if (result.connection != 0) return original_of(entries_[result.connection - 1]);
  return (result.state & kCtInvalid) != 0 ? CtTuple{} : packet.tuple;
}

std::optional<Connection> ConnTrack::find(const CtTuple& tuple, std::uint16_t zone,
                                          Time now) const {
  bool reply = false;
  const std::uint32_t index = locate(tuple, zone, hash_of(tuple, zone), reply);
  if (index == kNone || !alive(index, now)) return std::nullopt;
  return connection_of(entries_[index]);
}

// --- the whole -----------------------------------------------------------------------------------

std::uint32_t ConnTrack::size_of_zone(std::uint16_t zone) const {
  for (const Zone& z : zones_)
    if (z.zone == zone) return z.count;
  return 0;
}

std::size_t ConnTrack::memory() const {
  return slots_.capacity() * sizeof(Slot) + entries_.memory() + links_.memory() + tcp_.memory() +
         replies_.memory() + labels_.memory() + zones_.capacity() * sizeof(Zone) +
         policies_.capacity() * sizeof(policies_[0]);
}

void ConnTrack::set_zone_limit(std::uint16_t zone, std::uint32_t limit) {
  zone_of(zone).limit = limit;
}

void ConnTrack::set_zone_timeouts(std::uint16_t zone, const CtTimeouts& timeouts) {
  std::erase_if(policies_, [zone](const auto& p) { return p.first == zone; });
  policies_.insert(std::upper_bound(policies_.begin(), policies_.end(), zone,
                                    [](std::uint16_t z, const auto& p) { return z < p.first; }),
                   {zone, timeouts});
}

std::uint32_t ConnTrack::expire(Time now, std::uint32_t max_slots) {
  std::uint32_t gone = 0;
  for (std::uint32_t n = std::min(max_slots, entries_.size()); n > 0; --n) {
    if (cursor_ >= entries_.size()) cursor_ = 0;
    const std::uint32_t index = cursor_++;
    const Entry& e = entries_[index];
    if (!e.has(Entry::kUsed) || alive(index, now)) continue;
    erase(index);
    ++gone;
  }
  return gone;
}

std::uint32_t ConnTrack::remove_if(const std::function<bool(const Connection&)>& predicate) {
  std::uint32_t gone = 0;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    if (!entries_[i].has(Entry::kUsed) || !predicate(connection_of(entries_[i]))) continue;
    erase(i);
    ++gone;
  }
  return gone;
}

std::uint32_t ConnTrack::remove_zone(std::uint16_t zone) {
  std::uint32_t gone = 0;
  for (std::uint32_t i = 0; i < entries_.size() && zone_of(zone).count != 0; ++i) {
    if (!entries_[i].has(Entry::kUsed) || entries_[i].zone != zone) continue;
    erase(i);
    ++gone;
  }
  return gone;
}

std::vector<Connection> ConnTrack::connections(std::uint16_t zone, Time now) const {
  std::vector<Connection> out;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    if (e.has(Entry::kUsed) && e.zone == zone && alive(i, now)) out.push_back(connection_of(e));
  }
  std::sort(out.begin(), out.end(),
            [](const Connection& a, const Connection& b) { return a.original < b.original; });
  return out;
}

}  // namespace weft::datapath
