// The slow twin of datapath/conntrack: connections in a list, TCP told state by state in words
// instead of a table, windows as one record per side. It shares types with the real one, but no
// code. Limits are not modelled.
//
// It does not choose addresses and ports for NAT: it is told what the real one chose (by
// `connections()` of that one) and judges: the choice lies in the range, nobody uses it, and where
// the real one found none there was none.
#pragma once

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "datapath/conntrack.h"

namespace weft::test {

class ConnTrackTwin {
 public:
  using Tuple = datapath::CtTuple;
  using Tcp = datapath::TcpState;
  using Packet = datapath::CtPacket;

  /// One side of a TCP connection.
  struct Side {
    std::uint32_t sent = 0;    ///< first number that it has not sent
    std::uint32_t may = 0;     ///< first number that it may not send
    std::uint32_t window = 0;  ///< the largest it gave; 0: not heard of
    std::optional<std::uint32_t> acked;
    bool scales = false, sack = false, closed_first = false, liberal = false, unacked = false;
    unsigned scale = 0;
  };
  enum class Flags { none, syn, syn_ack, fin, ack, rst };
  struct Entry {
    Tuple original, reply;
    Time expires{};
    std::uint32_t mark = 0;
    Ip6 label{};
    std::uint16_t zone = 0;
    Tcp state = Tcp::none;
    bool seen_reply = false;
    datapath::NatSpec::Kind nat = datapath::NatSpec::Kind::none;
    Side side[2];
    struct Last {
      Flags flags = Flags::none;
      bool reply = false;
      std::uint32_t sequence = 0, ack = 0, end = 0;
      std::uint16_t window = 0;
      bool scales = false, sack = false;
      unsigned scale = 0;
    } last;
    unsigned repeats = 0;
    bool both_opened = false, challenge = false, assured = false;
    bool translated() const { return nat != datapath::NatSpec::Kind::none; }
  };

  explicit ConnTrackTwin(datapath::CtOptions options) : options_(options) {}

  datapath::CtResult track(const Packet& packet, std::uint16_t zone, Time now, bool nat = false) {
    return handle(packet, zone, now, nullptr, true, nat, {});
  }
  /// `made`: the connection that the real one made for this packet, if it did.
  datapath::CtResult commit(const Packet& packet, std::uint16_t zone, Time now,
                            const datapath::CtCommit& what, bool already_tracked,
                            const std::optional<datapath::Connection>& made) {
    return handle(packet, zone, now, &what, !already_tracked,
                  what.nat.kind != datapath::NatSpec::Kind::none, made);
  }
  std::vector<Entry> connections(std::uint16_t zone, Time now) {
    drop_old(now);
    std::vector<Entry> out;
    for (const Entry& e : table_)
      if (e.zone == zone) out.push_back(e);
    std::sort(out.begin(), out.end(),
              [](const Entry& a, const Entry& b) { return a.original < b.original; });
    return out;
  }
  void remove_port(std::uint16_t port) {
    std::erase_if(table_, [port](const Entry& e) { return e.original.dst_port == port; });
  }
  void copy_zone(std::uint16_t from, std::uint16_t to, Time now) {
    for (Entry e : connections(from, now)) {
      std::erase_if(table_, [&](const Entry& o) {
        return o.zone == to && (o.original == e.original || o.reply == e.reply ||
                                o.original == e.reply || o.reply == e.original);
      });
      e.zone = to;
      table_.push_back(e);
    }
  }
  void set_zone_timeouts(std::uint16_t zone, const datapath::CtTimeouts& t) {
    policies_.emplace_back(zone, t);
  }

  static Tuple turn(const Tuple& t) {
    Tuple r = t;
    std::swap(r.src, r.dst);
    std::swap(r.src_port, r.dst_port);
    if (t.echo == 1) r.echo = 2;
    if (t.echo == 2) r.echo = 1;
    return r;
  }

 private:
  struct Next {
    Tcp state;
    bool let_through = false;
  };
  enum class Told { yes, ignored, invalid, over };

  static Flags flags_of(std::uint8_t f) {
    const bool fin = f & 1, syn = f & 2, rst = f & 4, ack = f & 16, urgent = f & 32;
    if (syn && !fin && !rst && !ack) return Flags::syn;
    if (syn && !fin && !rst && ack && !urgent) return Flags::syn_ack;
    if (rst && !syn && !fin && !urgent) return Flags::rst;
    if (fin && ack && !syn && !rst) return Flags::fin;
    if (ack && !fin && !syn && !rst) return Flags::ack;
    return Flags::none;
  }

  /// Where the segment would lead; nothing: it makes no sense.
  static std::optional<Next> table(Tcp s, Flags f, bool reply) {
    const Next stay{s}, let_through{s, true};
    if (f == Flags::none) return {};
    if (f == Flags::rst) return Next{Tcp::close};
    if (s == Tcp::syn_sent || s == Tcp::syn_sent2) {
      if (f == Flags::fin) return {};
      if (f == Flags::syn && !reply) return stay;
      if (f == Flags::syn && reply) return Next{Tcp::syn_sent2};
      if (f == Flags::syn_ack && (reply || s == Tcp::syn_sent2)) return Next{Tcp::syn_received};
      if (f == Flags::ack && reply) return let_through;
      return {};
    }
    if (s == Tcp::syn_received && f == Flags::syn_ack && !reply) return stay;
    // The handshake is behind us.
    if (f == Flags::syn && reply) return {};
    if (f == Flags::syn) return let_through;
    if (f == Flags::syn_ack && !reply) return {};
    if (f == Flags::syn_ack) return let_through;
    const bool fin = f == Flags::fin;
    switch (s) {
      case Tcp::syn_received:
        if (fin) return Next{Tcp::fin_wait};
        return reply ? stay : Next{Tcp::established};
      case Tcp::established:
        return fin ? Next{Tcp::fin_wait} : stay;
      case Tcp::fin_wait:
        return Next{fin ? Tcp::last_ack : Tcp::close_wait};
      case Tcp::close_wait:
        return fin ? Next{Tcp::last_ack} : stay;
      case Tcp::last_ack:
        return fin ? stay : Next{Tcp::time_wait};
      default:
        return stay;
    }
  }

  /// How far a lies behind b.
  static std::int64_t past(std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(a - b);
  }

  static void hear_syn(Side& side, const datapath::TcpSegment& s) {
    const bool liberal = side.liberal;
    side = {};
    side.liberal = liberal;
    side.sent = side.may = s.end();
    side.window = std::max<std::uint32_t>(1, s.window);
    side.sack = s.sack_permitted;
    side.scales = s.window_scale != datapath::TcpSegment::kNoScale;
    if (side.scales) side.scale = std::min<unsigned>(14, s.window_scale);
  }
  static void agree_on_scale(Entry& e) {
    if (!e.side[0].scales || !e.side[1].scales) e.side[0].scale = e.side[1].scale = 0;
  }

  bool windows(Entry& e, Tcp state, const datapath::TcpSegment& s, bool reply, Flags f) const {
    Side& me = e.side[reply];
    Side& you = e.side[!reply];
    const bool syn = s.flags & 2, rst = s.flags & 4, ack_set = s.flags & 16;
    std::uint32_t from = s.sequence, to = s.end(), ack = s.acknowledgement, right = ack;
    if (you.sack && past(s.sack, right) > 0) right = s.sack;
    const bool calls_again = syn && me.window != 0 && past(to, me.sent) > 0 &&
                             (state == Tcp::syn_sent || state == Tcp::syn_received);
    if ((me.window == 0 && syn) || calls_again) {
      hear_syn(me, s);
      if (reply) agree_on_scale(e);
      if (!ack_set && (!calls_again || reply)) return true;
    } else if (me.window == 0) {
      const std::uint32_t size = std::max<std::uint32_t>(1, std::uint32_t{s.window} << me.scale);
      me.sent = to;
      me.window = size;
      me.may = to + size;
      if (you.window == 0) {
        you.sent = you.may = right;
      } else if (right == you.sent + 1) {
        you.sent = right;
      }
    }
    if (!ack_set || (rst && ack == 0)) ack = right = you.sent;
    if (rst && from == 0 && state == Tcp::syn_sent) from = to = me.sent;

    const bool not_too_far = past(from, me.may) <= 0;
    const bool not_too_old = you.window == 0 || past(to, me.sent - you.window) >= 0;
    const bool acks_sent = past(right, you.sent) <= 0;
    const bool acks_recent = past(right, you.sent - std::max(me.window, 66000u)) >= 0;
    if (!(not_too_far && not_too_old && acks_sent && acks_recent))
      return options_.tcp.liberal || me.liberal;

    const std::uint32_t size = syn ? s.window : std::uint32_t{s.window} << me.scale;
    me.window = std::max(me.window, size + (right - ack));
    if (past(to, me.sent) > 0) {
      me.sent = to;
      me.unacked = true;
    }
    if (ack_set && (!me.acked || past(ack, *me.acked) > 0)) me.acked = ack;
    if (you.window != 0 && past(to, me.may) > 0) you.window += to - me.may;
    if (past(right + size, you.may) >= 0) you.may = right + size + (size == 0 ? 1 : 0);
    if (ack == you.sent) you.unacked = false;
    if (f != Flags::ack) return true;
    Entry::Last& l = e.last;
    if (l.reply == reply && l.sequence == s.sequence && l.ack == ack && l.end == to &&
        l.window == s.window) {
      ++e.repeats;
    } else {
      e.repeats = 0;
      l.reply = reply;
      l.sequence = s.sequence;
      l.ack = ack;
      l.end = to;
      l.window = s.window;
    }
    return true;
  }

  void settle(Entry& e, Tcp next, bool reply, Flags f, Time now, Tcp from) const {
    e.last.flags = f;
    e.last.reply = reply;
    if (next == Tcp::fin_wait && from != Tcp::fin_wait) e.side[reply].closed_first = true;
    if ((reply || e.seen_reply) && next == Tcp::established &&
        (from == Tcp::syn_received || from == Tcp::established))
      e.assured = true;
    e.state = next;
    const datapath::CtTimeouts& t = timeouts(e);
    Duration d = timeout(e);
    if (e.repeats >= options_.tcp.max_repeats)
      d = std::min(d, t.tcp_repeated);
    else if (f == Flags::rst)
      d = t.tcp_close;
    else if (e.side[0].unacked || e.side[1].unacked)
      d = std::min(d, t.tcp_unacknowledged);
    e.expires = now + d;
  }

  Told segment(Entry& e, const datapath::TcpSegment& s, bool reply, Time now) const {
    const Flags f = flags_of(s.flags);
    const auto next = table(e.state, f, reply);
    if (f == Flags::syn && (e.state == Tcp::time_wait || (e.state == Tcp::close && !reply)))
      return Told::over;
    if (!next) return Told::invalid;
    Tcp from = e.state, to = next->state;
    Entry::Last& l = e.last;
    if (next->let_through) {
      const bool answers = f == Flags::syn_ack && l.flags == Flags::syn && l.reply != reply &&
                           s.acknowledgement == l.end;
      if (!answers) {
        l.flags = f;
        l.reply = reply;
        l.sequence = s.sequence;
        l.end = s.end();
        l.window = s.window;
        if (f == Flags::syn && !reply) {
          l.scales = s.window_scale != datapath::TcpSegment::kNoScale;
          l.scale = l.scales ? std::min<unsigned>(14, s.window_scale) : 0;
          l.sack = s.sack_permitted;
          e.challenge = e.state == Tcp::last_ack;
        }
        if (e.state == Tcp::syn_sent && f == Flags::ack && reply) l.ack = s.acknowledgement;
        return Told::ignored;
      }
      Side caller;
      caller.sent = caller.may = l.end;
      caller.window = std::max<std::uint32_t>(1, l.window);
      caller.scales = l.scales;
      caller.scale = l.scale;
      caller.sack = l.sack;
      e.side[!reply] = caller;
      e.side[reply] = {};
      l.scales = l.sack = e.challenge = false;
      from = Tcp::syn_sent;
      to = Tcp::syn_received;
    }
    if (e.state == Tcp::last_ack && to == Tcp::time_wait && f == Flags::ack && l.reply != reply &&
        l.flags == Flags::syn && e.challenge) {
      e.challenge = false;
      return Told::ignored;
    }
    if (to == Tcp::syn_sent2) e.both_opened = true;
    if (to == Tcp::syn_received && reply && f == Flags::ack && e.both_opened) to = Tcp::established;
    if (f == Flags::rst) {
      const Tcp ending[] = {Tcp::fin_wait, Tcp::close_wait, Tcp::last_ack, Tcp::time_wait,
                            Tcp::close};
      if (std::find(std::begin(ending), std::end(ending), e.state) != std::end(ending)) {
        settle(e, to, reply, f, now, from);
        return Told::yes;
      }
      const auto heard = e.side[!reply].acked;
      if (heard && past(s.sequence, *heard) < 0 && !options_.tcp.liberal) return Told::invalid;
      const bool follows = l.flags == Flags::ack && l.reply == reply && s.sequence == l.end;
      const bool plausible =
          heard && past(s.sequence, *heard) >= 0 && (!e.assured || s.sequence == *heard || follows);
      const bool old = heard && past(s.sequence, *heard) < 0;
      if (heard && !plausible && !old) to = e.state;
      const bool answers_what_was_let_through =
          s.acknowledgement == l.end &&
          ((e.seen_reply && l.flags == Flags::syn) || (!e.assured && l.flags == Flags::ack));
      if (!plausible && !old && answers_what_was_let_through) {
        settle(e, to, reply, f, now, from);
        return Told::yes;
      }
    }
    if (!windows(e, from, s, reply, f)) return Told::invalid;
    settle(e, to, reply, f, now, from);
    return Told::yes;
  }

  const datapath::CtTimeouts& timeouts(const Entry& e) const {
    for (auto it = policies_.rbegin(); it != policies_.rend(); ++it)
      if (it->first == e.zone) return it->second;
    return options_.timeouts;
  }
  Duration timeout(const Entry& e) const {
    const auto& t = timeouts(e);
    if (e.original.protocol == 6) {
      const std::pair<Tcp, Duration> times[] = {{Tcp::syn_sent, t.tcp_syn_sent},
                                                {Tcp::syn_sent2, t.tcp_syn_sent},
                                                {Tcp::syn_received, t.tcp_syn_received},
                                                {Tcp::established, t.tcp_established},
                                                {Tcp::fin_wait, t.tcp_fin_wait},
                                                {Tcp::close_wait, t.tcp_close_wait},
                                                {Tcp::last_ack, t.tcp_last_ack},
                                                {Tcp::time_wait, t.tcp_time_wait},
                                                {Tcp::close, t.tcp_close}};
      for (const auto& [state, time] : times)
        if (state == e.state) return time;
    }
    if (e.original.protocol == 17) return e.seen_reply ? t.udp_replied : t.udp;
    if (e.original.protocol == 1 || e.original.protocol == 58) return t.icmp;
    return t.other;
  }

  void drop_old(Time now) {
    std::erase_if(table_, [now](const Entry& e) { return now >= e.expires; });
  }
  Entry* find(const Tuple& t, std::uint16_t zone, bool& reply) {
    for (Entry& e : table_) {
      if (e.zone != zone || (e.original != t && e.reply != t)) continue;
      reply = e.original != t;
      return &e;
    }
    return nullptr;
  }
  bool used(const Tuple& t, std::uint16_t zone) {
    bool reply = false;
    return find(t, zone, reply) != nullptr;
  }

  static void tell_nat(const Entry& e, bool nat, bool reply, datapath::CtResult& out) {
    if (!nat || !e.translated()) return;
    out.translate = true;
    const bool source = (e.nat == datapath::NatSpec::Kind::source) != reply;
    out.state |= source ? datapath::kCtSnat : datapath::kCtDnat;
  }

  datapath::CtResult handle(const Packet& packet, std::uint16_t zone, Time now,
                            const datapath::CtCommit* commit, bool advance, bool nat,
                            const std::optional<datapath::Connection>& made) {
    using namespace datapath;
    drop_old(now);
    CtResult invalid;
    invalid.state = kCtTracked | kCtInvalid;
    if (packet.kind == Packet::Kind::invalid) return invalid;
    const Tuple& t = packet.tuple;
    const bool tcp = t.protocol == 6;
    const Flags flags = flags_of(packet.tcp.flags);
    const bool may_start =
        t.echo != 2 && (!tcp || flags == Flags::syn || (flags == Flags::ack && options_.tcp.loose));

    bool reply = false;
    CtResult out;
    if (packet.kind == Packet::Kind::icmp_error) {
      const Entry* e = find(turn(t), zone, reply);
      if (e == nullptr) return invalid;
      out.state = kCtTracked | kCtRelated;
      if (reply) out.state |= kCtReply;
      out.reply = reply;
      out.mark = e->mark;
      tell_nat(*e, nat, reply, out);
      return out;
    }
    Entry* e = find(t, zone, reply);
    if (e != nullptr && commit != nullptr && commit->force && reply && may_start) {
      table_.erase(table_.begin() + (e - table_.data()));
      e = nullptr;
    }
    if (e != nullptr && advance) {
      Told told = Told::yes;
      if (tcp) told = segment(*e, packet.tcp, reply, now);
      if (told == Told::over) {
        table_.erase(table_.begin() + (e - table_.data()));
        e = nullptr;
      } else if (told == Told::invalid) {
        invalid.mark = e->mark;
        return invalid;
      }
    }
    if (e != nullptr) {
      out.state = kCtTracked;
      out.reply = reply;
      if (reply) {
        out.state |= kCtEstablished | kCtReply;
      } else {
        out.state |= e->seen_reply ? kCtEstablished : kCtNew;
      }
      if (advance && reply) e->seen_reply = true;
      if (advance && !tcp) e->expires = now + timeout(*e);
      // (TCP's timer has run from the state that the segment led to, with replies seen or not.)
      if (commit != nullptr) {
        e->mark = (e->mark & ~commit->mark_mask) | (commit->mark & commit->mark_mask);
        e->label.high = (e->label.high & ~commit->label_mask.high) |
                        (commit->label.high & commit->label_mask.high);
        e->label.low =
            (e->label.low & ~commit->label_mask.low) | (commit->label.low & commit->label_mask.low);
      }
      out.mark = e->mark;
      tell_nat(*e, nat, reply, out);
      return out;
    }
    if (!may_start) return invalid;
    out.state = kCtTracked | kCtNew;
    if (commit == nullptr) return out;
    Entry fresh;
    fresh.original = t;
    fresh.zone = zone;
    fresh.mark = commit->mark & commit->mark_mask;
    fresh.label = {commit->label.high & commit->label_mask.high,
                   commit->label.low & commit->label_mask.low};
    if (tcp) {
      Side& me = fresh.side[0];
      fresh.state = flags == Flags::syn ? Tcp::syn_sent : Tcp::established;
      if (flags == Flags::syn) {
        hear_syn(me, packet.tcp);
      } else {
        me.sent = packet.tcp.end();
        me.window = std::max<std::uint32_t>(1, packet.tcp.window);
        me.may = me.sent + me.window;
        me.liberal = me.sack = fresh.side[1].liberal = fresh.side[1].sack = true;
      }
      windows(fresh, fresh.state, packet.tcp, false, flags);
      settle(fresh, fresh.state, false, flags, now, Tcp::none);
    } else {
      fresh.expires = now + timeout(fresh);
    }
    judge_choice(*commit, fresh, made, out);
    if (out.refused != CtResult::Refused::no) return out;
    table_.push_back(fresh);
    out.created = true;
    out.mark = fresh.mark;
    tell_nat(fresh, nat, false, out);
    return out;
  }

  /// Sets the tuple of the replies, or says why the connection must be refused.
  void judge_choice(const datapath::CtCommit& commit, Entry& fresh,
                    const std::optional<datapath::Connection>& made, datapath::CtResult& out) {
    using datapath::CtResult;
    using datapath::NatSpec;
    const NatSpec& nat = commit.nat;
    fresh.reply = turn(fresh.original);
    const bool applies = nat.chooses() && (!nat.has_address || nat.is6 == fresh.original.is6);
    if (!applies) {
      if (!used(fresh.reply, fresh.zone)) return;
      out.refused = nat.chooses() ? CtResult::Refused::nat_exhausted : CtResult::Refused::clash;
      return;
    }
    if (!made) {
      for (const Tuple& c : small_choice(nat, fresh.original))
        if (!used(c, fresh.zone) && c != fresh.original)
          throw std::logic_error("NAT found nothing, but there is something free");
      out.refused = CtResult::Refused::nat_exhausted;
      return;
    }
    if (!allowed(nat, fresh.original, made->reply))
      throw std::logic_error("NAT chose what the rule does not allow");
    if (used(made->reply, fresh.zone))
      throw std::logic_error("two connections share their replies");
    // The chosen address with the ports left as they are.
    Tuple kept = fresh.reply;
    const bool source = nat.kind == NatSpec::Kind::source;
    (source ? kept.dst : kept.src) = source ? made->reply.dst : made->reply.src;
    if (kept != made->reply && kept != fresh.original && allowed(nat, fresh.original, kept) &&
        !used(kept, fresh.zone) && !nat.hash && !nat.random)
      throw std::logic_error("NAT changed a port without need");
    if (made->reply != fresh.reply) fresh.nat = nat.kind;
    fresh.reply = made->reply;
  }

  static bool is_icmp(const Tuple& t) { return t.protocol == 1 || t.protocol == 58; }
  static bool has_ports(const Tuple& t) { return t.protocol == 6 || t.protocol == 17; }

  /// The least and the greatest port that may take the place of this one where no rule names any.
  static std::pair<unsigned, unsigned> port_class(const Tuple& original) {
    const unsigned own = original.src_port;
    if (is_icmp(original)) return {0, 65535};
    if (own < 512) return {1, 511};
    if (own < 1024) return {600, 1023};
    return {1024, 65535};
  }

  static bool allowed(const datapath::NatSpec& nat, const Tuple& original, const Tuple& reply) {
    const bool source = nat.kind == datapath::NatSpec::Kind::source;
    const Tuple plain = turn(original);
    if (reply.protocol != plain.protocol || reply.is6 != plain.is6 || reply.echo != plain.echo)
      return false;
    const Ip6 kept = source ? reply.src : reply.dst, chosen = source ? reply.dst : reply.src;
    if (kept != (source ? plain.src : plain.dst)) return false;
    if (nat.has_address ? chosen < nat.min || chosen > nat.max
                        : chosen != (source ? plain.dst : plain.src))
      return false;
    const auto [low, high] = port_class(original);
    const bool free_port = reply.dst_port >= low && reply.dst_port <= high;
    if (is_icmp(original))
      return reply.src_port == reply.dst_port &&
             (source && nat.port_min != 0
                  ? reply.dst_port >= nat.port_min && reply.dst_port <= nat.port_max
                  : free_port);
    if (!has_ports(original)) return reply.src_port == 0 && reply.dst_port == 0;
    if (source)
      return reply.src_port == plain.src_port &&
             (nat.port_min != 0 ? reply.dst_port >= nat.port_min && reply.dst_port <= nat.port_max
                                : free_port);
    return (free_port || reply.dst_port == plain.dst_port) &&
           (nat.port_min != 0 ? reply.src_port >= nat.port_min && reply.src_port <= nat.port_max
                              : reply.src_port == plain.src_port);
  }

  /// Every tuple that the rule allows, where they are few: sources with a range of ports.
  static std::vector<Tuple> small_choice(const datapath::NatSpec& nat, const Tuple& original) {
    std::vector<Tuple> out;
    if (nat.kind != datapath::NatSpec::Kind::source || !nat.has_address || nat.port_min == 0)
      return out;
    for (Ip6 a = nat.min; a <= nat.max; ++a.low) {
      Tuple t = turn(original);
      t.dst = a;
      if (!has_ports(original) && !is_icmp(original)) {
        out.push_back(t);
        continue;
      }
      for (unsigned p = nat.port_min; p <= nat.port_max; ++p) {
        t.dst_port = static_cast<std::uint16_t>(p);
        if (is_icmp(original)) t.src_port = t.dst_port;
        out.push_back(t);
      }
    }
    return out;
  }

  datapath::CtOptions options_;
  std::vector<std::pair<std::uint16_t, datapath::CtTimeouts>> policies_;
  std::vector<Entry> table_;
};

}  // namespace weft::test
