// The slow twin of the switch's tables: rules are values in a list, a packet is its flow key, and
// each action does at once what its documentation says. No masks, no caches, no decisions, no
// bytes. (Connections are the real ConnTrack, which has a twin of its own.)
//
// Answers and tunnels are not modelled: they have tests with golden bytes.
#pragma once

#include <stdexcept>
#include <vector>

#include "datapath/conntrack.h"
#include "datapath/rule.h"
#include "datapath/verdict.h"
#include "tests/oracle/classifier_twin.h"

namespace weft::oracle {

struct TwinOutput {
  std::uint32_t port;
  datapath::FlowKey key;
};

struct TwinResult {
  std::vector<TwinOutput> out;
  std::vector<DropReason> dropped;
};

class PipelineTwin {
 public:
  std::vector<datapath::Rule> rules;
  std::vector<std::uint32_t> ports;  // of VMs
  datapath::ConnTrack connections;

  void add(const datapath::Rule& r) {
    remove(r);
    rules.push_back(r);
  }
  void remove(const datapath::Rule& r) {
    std::erase_if(rules, [&](const datapath::Rule& x) {
      return x.table == r.table && x.priority == r.priority && x.match == r.match;
    });
  }

  /// `icmp_id`, `tcp`: what the key does not say.
  TwinResult run(datapath::FlowKey key, std::uint16_t icmp_id, const datapath::TcpSegment& tcp,
                 Time now) {
    result_ = {};
    icmp_id_ = icmp_id;
    tcp_ = tcp;
    now_ = now;
    One one;
    one.key = key;
    one.in_port = key.get(datapath::place::in_port);
    go(one, 0);
    return result_;
  }

 private:
  struct One {
    datapath::FlowKey key;
    std::uint64_t in_port = 0;
    bool tracked = false;
    std::uint16_t zone = 0;
    datapath::CtResult ct;
    bool ended = false;
    int weight = 0;
    DropReason reason = DropReason::no_rule;
    int takers = 0;
    int next_table = 0;        // of a copy that waits
    std::vector<One> pending;  // copies made by ct(table=N)
  };

  void go(One& p, int table) {
    visit(p, table);
    if (p.takers == 0) result_.dropped.push_back(p.reason);
    auto pending = std::move(p.pending);
    for (One& copy : pending) go(copy, copy.next_table);
  }
  static void suppose(One& p, DropReason r, int weight) {
    if (weight < p.weight) return;
    p.weight = weight;
    p.reason = r;
  }

  const datapath::Rule* best(const datapath::FlowKey& key, int table) const {
    ClassifierTwin list;
    for (std::uint32_t i = 0; i < rules.size(); ++i)
      if (rules[i].table == table) list.entries.push_back({rules[i].match, rules[i].priority, i});
    const std::uint32_t found = list.lookup(key);
    return found == ClassifierTwin::kNone ? nullptr : &rules[found];
  }

  void visit(One& p, int table) {
    const datapath::Rule* rule = best(p.key, table);
    if (rule == nullptr) return suppose(p, DropReason::no_rule, 1);
    suppose(p, DropReason::rule_drop, 1);
    for (const datapath::Action& a : rule->actions) {
      if (p.ended) return;
      act(p, a);
    }
  }

  static bool has(const datapath::FlowKey& k, datapath::Prerequisite need) {
    using datapath::Prerequisite;
    namespace place = datapath::place;
    const auto type = k.get(place::eth_type), proto = k.get(place::nw_proto);
    switch (need) {
      case Prerequisite::none:
      case Prerequisite::vlan:
        return true;
      case Prerequisite::ip4:
        return type == 0x800;
      case Prerequisite::ip6:
        return type == 0x86dd;
      case Prerequisite::ip:
        return type == 0x800 || type == 0x86dd;
      case Prerequisite::arp:
        return type == 0x806;
      case Prerequisite::ports:
        return type != 0x806 && (proto == 6 || proto == 17);
      case Prerequisite::tcp:
        return type != 0x806 && proto == 6;
      case Prerequisite::icmp:
        return (type == 0x800 && proto == 1) || (type == 0x86dd && proto == 58);
      case Prerequisite::nd:
        return type == 0x86dd && proto == 58;
    }
    return false;
  }

  /// Bit by bit.
  static bool bit_of(Ip6 v, unsigned n) {
    return ((n < 64 ? v.low >> n : v.high >> (n - 64)) & 1) != 0;
  }
  static void write(One& p, const datapath::FieldInfo& f, Ip6 value, Ip6 mask) {
    using datapath::Field;
    if (!has(p.key, f.needs)) return;
    Ip6 now = datapath::read_field(p.key, f);
    for (unsigned n = 0; n < f.bits; ++n) {
      if (!bit_of(mask, n)) continue;
      std::uint64_t& half = n < 64 ? now.low : now.high;
      const std::uint64_t one = 1ULL << (n % 64);
      half = bit_of(value, n) ? half | one : half & ~one;
    }
    datapath::write_field(p.key, f, now);
    if (f.needs == datapath::Prerequisite::vlan)
      p.key.set(datapath::place::vlan_tci, p.key.get(datapath::place::vlan_tci) | 0x1000);
    const bool tuple = (f.word >= 10 && f.word <= 13) || (f.word == 9 && f.shift >= 32);
    if (tuple) p.tracked = false;
  }
  static void move(One& p, const datapath::Action& a) {
    const auto& from = datapath::info(a.source.field);
    if (!has(p.key, from.needs)) return;
    const Ip6 source = datapath::read_field(p.key, from);
    Ip6 value{}, mask{};
    for (unsigned n = 0; n < a.source.bits; ++n) {
      const unsigned to = a.target.from + n;
      (to < 64 ? mask.low : mask.high) |= 1ULL << (to % 64);
      if (bit_of(source, a.source.from + n))
        (to < 64 ? value.low : value.high) |= 1ULL << (to % 64);
    }
    write(p, datapath::info(a.target.field), value, mask);
  }

  datapath::CtPacket ct_packet(const datapath::FlowKey& k) const {
    namespace place = datapath::place;
    datapath::CtPacket c;
    const auto proto = static_cast<std::uint8_t>(k.get(place::nw_proto));
    if (!has(k, datapath::Prerequisite::ip)) return c;
    c.kind = datapath::CtPacket::Kind::flow;
    c.tuple.src = k.get128(place::ip_src);
    c.tuple.dst = k.get128(place::ip_dst);
    c.tuple.protocol = proto;
    c.tuple.is6 = k.is_ip6();
    if (proto == 6 || proto == 17) {
      c.tuple.src_port = static_cast<std::uint16_t>(k.get(place::tp_src));
      c.tuple.dst_port = static_cast<std::uint16_t>(k.get(place::tp_dst));
    } else {
      const auto type = k.get(place::tp_src);
      c.tuple.src_port = c.tuple.dst_port = icmp_id_;
      c.tuple.echo = type == 8 || type == 128 ? 1 : 2;
    }
    if (proto == 6) c.tcp = tcp_;
    return c;
  }

  void ct(One& p, const datapath::Action& a) {
    namespace place = datapath::place;
    std::uint16_t zone = a.zone;
    if (a.zone_from_field) {
      zone = 0;
      const Ip6 v = datapath::read_field(p.key, datapath::info(a.source.field));
      for (unsigned n = 0; n < a.source.bits && n < 16; ++n)
        if (bit_of(v, a.source.from + n)) zone = static_cast<std::uint16_t>(zone | 1u << n);
    }
    const datapath::CtPacket c = ct_packet(p.key);
    if (!a.commit) {
      p.ct = connections.track(c, zone, now_);
    } else {
      datapath::CtCommit what;
      what.force = a.force;
      for (const datapath::Action& set : a.nested) {
        const auto put = [](std::uint64_t old, std::uint64_t value, std::uint64_t mask) {
          return (old & ~mask) | (value & mask);
        };
        if (set.target.field == datapath::Field::ct_mark) {
          what.mark = static_cast<std::uint32_t>(put(what.mark, set.value.low, set.mask.low));
          what.mark_mask |= static_cast<std::uint32_t>(set.mask.low);
        } else {
          what.label = {put(what.label.high, set.value.high, set.mask.high),
                        put(what.label.low, set.value.low, set.mask.low)};
          what.label_mask = {what.label_mask.high | set.mask.high,
                             what.label_mask.low | set.mask.low};
        }
      }
      p.ct = connections.commit(c, zone, now_, what, p.tracked && p.zone == zone);
    }
    p.tracked = true;
    p.zone = zone;
    if (a.table == datapath::Action::kNoTable) return;
    ++p.takers;
    One copy;
    copy.key = p.key;
    copy.in_port = p.in_port;
    copy.tracked = true;
    copy.zone = zone;
    copy.key.set(place::ct_state, p.ct.state);
    copy.key.set(place::ct_zone, zone);
    copy.key.set(place::ct_mark, p.ct.mark);
    copy.key.set128(place::ct_label, connections.label(p.ct));
    const datapath::CtTuple t = connections.original(p.ct, c);
    copy.key.set128(place::ct_src, t.src);
    copy.key.set128(place::ct_dst, t.dst);
    copy.key.set(place::ct_nw_proto, t.protocol);
    if (t.echo == 0) {
      copy.key.set(place::ct_tp_src, t.src_port);
      copy.key.set(place::ct_tp_dst, t.dst_port);
    } else {
      copy.key.set(place::ct_tp_src, t.is6 ? 128 : 8);
      copy.key.set(place::ct_tp_dst, 0);
    }
    copy.next_table = a.table;
    p.pending.push_back(copy);
  }

  void output(One& p, std::uint64_t port) {
    if (port == p.in_port) return suppose(p, DropReason::same_port, 2);
    if (std::find(ports.begin(), ports.end(), port) == ports.end())
      return suppose(p, DropReason::no_port, 2);
    ++p.takers;
    result_.out.push_back({static_cast<std::uint32_t>(port), p.key});
  }

  void end(One& p, DropReason r) {
    suppose(p, r, 3);
    p.ended = true;
  }

  void act(One& p, const datapath::Action& a) {
    using datapath::ActionKind;
    namespace place = datapath::place;
    switch (a.kind) {
      case ActionKind::output:
        return output(p, a.port);
      case ActionKind::output_field:
        return output(p, datapath::read_field(p.key, datapath::info(a.source.field)).low);
      case ActionKind::drop:
        return end(p, a.reason);
      case ActionKind::set:
        return write(p, datapath::info(a.target.field), a.value, a.mask);
      case ActionKind::move:
        return move(p, a);
      case ActionKind::resubmit:
      case ActionKind::goto_table:
        return visit(p, a.table);
      case ActionKind::dec_ttl: {
        if (!has(p.key, datapath::Prerequisite::ip)) return;
        const auto ttl = p.key.get(place::nw_ttl);
        if (ttl <= 1) return end(p, DropReason::ttl_expired);
        return p.key.set(place::nw_ttl, ttl - 1);
      }
      case ActionKind::ct:
        return ct(p, a);
      case ActionKind::pop_vlan:
        return p.key.set(place::vlan_tci, 0);
      default:
        throw std::logic_error("the twin does not model this action");
    }
  }

  TwinResult result_;
  std::uint16_t icmp_id_ = 0;
  datapath::TcpSegment tcp_{};
  Time now_{};
};

}  // namespace weft::oracle
