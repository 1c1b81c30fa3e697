// The slow twin of datapath/conntrack: connections in a std::map under their original tuple, and
// TCP told state by state in words instead of a table. It shares types with the real one, but no
// code. Limits are not modelled.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "datapath/conntrack.h"

namespace weft::test {

class ConnTrackTwin {
 public:
  using Tuple = datapath::CtTuple;
  using Tcp = datapath::TcpState;

  explicit ConnTrackTwin(datapath::CtOptions options) : options_(options) {}

  datapath::CtResult track(const datapath::CtPacket& packet, std::uint16_t zone, Time now) {
    return handle(packet, zone, now, false, true, 0, 0);
  }
  datapath::CtResult commit(const datapath::CtPacket& packet, std::uint16_t zone, Time now,
                            std::uint32_t mark, std::uint32_t mask, bool already_tracked) {
    return handle(packet, zone, now, true, !already_tracked, mark, mask);
  }
  std::vector<datapath::Connection> connections(std::uint16_t zone, Time now) {
    drop_old(now);
    std::vector<datapath::Connection> out;
    for (const auto& [key, c] : table_)
      if (key.first == zone) out.push_back(c);
    return out;
  }
  void remove_port(std::uint16_t port) {
    for (auto it = table_.begin(); it != table_.end();) {
      it = it->second.original.dst_port == port ? table_.erase(it) : std::next(it);
    }
  }
  void copy_zone(std::uint16_t from, std::uint16_t to, Time now) {
    for (datapath::Connection c : connections(from, now)) {
      c.zone = to;
      table_.erase({to, turn(c.original)});
      table_[{to, c.original}] = c;
    }
  }

 private:
  enum class Flags { syn, syn_ack, fin, ack, rst, nonsense };
  struct Next {
    Tcp state;
    bool restart_timer;
  };

  static Tuple turn(const Tuple& t) {
    Tuple r = t;
    std::swap(r.src, r.dst);
    std::swap(r.src_port, r.dst_port);
    if (t.echo == 1) r.echo = 2;
    if (t.echo == 2) r.echo = 1;
    return r;
  }

  static Flags flags_of(std::uint8_t f) {
    const bool fin = f & 1, syn = f & 2, rst = f & 4, ack = f & 16, urgent = f & 32;
    if (syn && !fin && !rst && !ack) return Flags::syn;
    if (syn && !fin && !rst && ack && !urgent) return Flags::syn_ack;
    if (rst && !syn && !fin && !urgent) return Flags::rst;
    if (fin && ack && !syn && !rst) return Flags::fin;
    if (ack && !fin && !syn && !rst) return Flags::ack;
    return Flags::nonsense;
  }

  static bool over(Tcp s, Flags f, bool reply) {
    if (f != Flags::syn) return false;
    return s == Tcp::time_wait || (s == Tcp::close && !reply);
  }

  /// What an existing connection does with a segment; nothing: invalid.
  static std::optional<Next> step(Tcp s, Flags f, bool reply) {
    const Next stay{s, true};
    const Next ignore{s, false};
    if (f == Flags::nonsense) return {};
    if (f == Flags::rst) return Next{Tcp::close, true};
    if (s == Tcp::syn_sent || s == Tcp::syn_sent2) {
      if (f == Flags::fin) return {};
      if (f == Flags::syn && !reply) return stay;
      if (f == Flags::syn && reply) return Next{Tcp::syn_sent2, true};
      if (f == Flags::syn_ack && (reply || s == Tcp::syn_sent2))
        return Next{Tcp::syn_received, true};
      if (f == Flags::ack && reply) return ignore;
      return {};
    }
    if (s == Tcp::syn_received && f == Flags::syn_ack && !reply) return stay;
    // The handshake is behind us.
    if (f == Flags::syn && reply) return {};
    if (f == Flags::syn) return ignore;
    if (f == Flags::syn_ack && !reply) return {};
    if (f == Flags::syn_ack) return ignore;
    const bool fin = f == Flags::fin;
    switch (s) {
      case Tcp::syn_received:
        if (fin) return Next{Tcp::fin_wait, true};
        return reply ? stay : Next{Tcp::established, true};
      case Tcp::established:
        return fin ? Next{Tcp::fin_wait, true} : stay;
      case Tcp::fin_wait:
        return Next{fin ? Tcp::last_ack : Tcp::close_wait, true};
      case Tcp::close_wait:
        return fin ? Next{Tcp::last_ack, true} : stay;
      case Tcp::last_ack:
        return fin ? stay : Next{Tcp::time_wait, true};
      default:
        return stay;
    }
  }

  Duration timeout(const datapath::Connection& c) const {
    const auto& o = options_;
    if (c.original.protocol == 6) {
      const std::map<Tcp, Duration> times = {{Tcp::syn_sent, o.tcp_syn_sent},
                                             {Tcp::syn_sent2, o.tcp_syn_sent},
                                             {Tcp::syn_received, o.tcp_syn_received},
                                             {Tcp::established, o.tcp_established},
                                             {Tcp::fin_wait, o.tcp_fin_wait},
                                             {Tcp::close_wait, o.tcp_close_wait},
                                             {Tcp::last_ack, o.tcp_last_ack},
                                             {Tcp::time_wait, o.tcp_time_wait},
                                             {Tcp::close, o.tcp_close}};
      return times.at(c.tcp);
    }
    if (c.original.protocol == 17) return c.seen_reply ? o.udp_replied : o.udp;
    if (c.original.protocol == 1 || c.original.protocol == 58) return o.icmp;
    return o.other;
  }

  void drop_old(Time now) {
    for (auto it = table_.begin(); it != table_.end();) {
      it = now >= it->second.expires ? table_.erase(it) : std::next(it);
    }
  }

  datapath::CtResult handle(const datapath::CtPacket& packet, std::uint16_t zone, Time now,
                            bool commit, bool advance, std::uint32_t mark, std::uint32_t mask) {
    using namespace datapath;
    drop_old(now);
    CtResult invalid;
    invalid.state = kCtTracked | kCtInvalid;
    if (packet.kind == CtPacket::Kind::invalid) return invalid;
    const Tuple& t = packet.tuple;
    const bool tcp = t.protocol == 6;
    const Flags flags = flags_of(packet.tcp_flags);

    auto it = table_.find({zone, t});
    bool reply = false;
    if (it == table_.end()) {
      it = table_.find({zone, turn(t)});
      reply = it != table_.end();
    }
    CtResult out;
    if (packet.kind == CtPacket::Kind::icmp_error) {
      if (it == table_.end()) return invalid;
      out.state = kCtTracked | kCtRelated;
      if (!reply) out.state |= kCtReply;
      out.mark = it->second.mark;
      return out;
    }
    if (it != table_.end() && tcp && advance && over(it->second.tcp, flags, reply)) {
      table_.erase(it);
      it = table_.end();
    }
    if (it != table_.end()) {
      Connection& c = it->second;
      out.state = kCtTracked;
      if (reply) {
        out.state |= kCtEstablished | kCtReply;
      } else {
        out.state |= c.seen_reply ? kCtEstablished : kCtNew;
      }
      if (advance) {
        std::optional<Next> next = Next{c.tcp, true};
        if (tcp) next = step(c.tcp, flags, reply);
        if (!next) {
          invalid.mark = c.mark;
          return invalid;
        }
        c.tcp = next->state;
        if (reply) c.seen_reply = true;
        if (next->restart_timer) c.expires = now + timeout(c);
      }
      if (commit) c.mark = (c.mark & ~mask) | (mark & mask);
      out.mark = c.mark;
      return out;
    }
    Connection fresh;
    if (tcp) {
      if (flags == Flags::syn) {
        fresh.tcp = Tcp::syn_sent;
      } else if (flags == Flags::ack && options_.tcp_loose) {
        fresh.tcp = Tcp::established;
      } else {
        return invalid;
      }
    }
    if (t.echo == 2) return invalid;
    out.state = kCtTracked | kCtNew;
    if (commit) {
      fresh.original = t;
      fresh.zone = zone;
      fresh.mark = mark & mask;
      fresh.expires = now + timeout(fresh);
      table_[{zone, t}] = fresh;
      out.created = true;
      out.mark = fresh.mark;
    }
    return out;
  }

  datapath::CtOptions options_;
  std::map<std::pair<std::uint16_t, Tuple>, datapath::Connection> table_;
};

}  // namespace weft::test
