// The slow twin of the switch's tables: rules are values in a list, a packet is its flow key, and
// each action does at once what its documentation says. No masks, no caches, no decisions, no
// bytes. (Connections are the real ConnTrack, which has a twin of its own.)
//
// Meters of packets are; each asks the whole history of what it let through. Answers and tunnels
// are not modelled: they have tests with golden bytes.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "datapath/conntrack.h"
#include "datapath/group.h"
#include "datapath/meter.h"
#include "datapath/mirror.h"
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
  std::vector<datapath::FlowKey> controller;
};

class PipelineTwin {
 public:
  std::vector<datapath::Rule> rules;
  std::vector<std::uint32_t> ports;  // of VMs
  std::vector<std::uint32_t> down;   // of those
  std::vector<datapath::Group> groups;
  struct Limit {
    datapath::Meter meter;
    std::vector<Time> admitted{};
  };
  std::vector<Limit> meters;
  std::vector<datapath::Mirror> mirrors;
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
    for (std::size_t i = 0; i < mirrors.size(); ++i)
      if (mirrors[i].from == std::vector{static_cast<std::uint32_t>(one.in_port)}) mirror(one, i);
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
    bool stopped = false;  // this list of actions
    std::uint16_t tag_type = 0x8100;
    std::vector<std::pair<std::uint16_t, std::uint64_t>> behind;  // tags: type and vlan_tci
    int weight = 0;
    DropReason reason = DropReason::no_rule;
    int takers = 0;         // actions that take the packet, whether they are reached or not
    bool exceeded = false;  // a meter has stopped it; the rest is only looked through
    int takers_behind = 0;  // ... for takers there
    std::uint32_t mirrored = 0;
    std::vector<Ip6> stack;
    std::vector<datapath::Rule> learned;
    int next_table = 0;        // of a copy that waits
    std::vector<One> pending;  // copies made by ct(table=N)
  };

  void go(One& p, int table) {
    visit(p, table);
    // Who teaches a rule does not see it yet; what it forked does.
    learn(p);
    for (const datapath::Rule& r : std::exchange(later_, {})) add(r);
    if (p.exceeded && (p.takers == 0 || p.takers_behind > 0))
      result_.dropped.push_back(DropReason::meter_exceeded);
    else if (p.takers == 0)
      result_.dropped.push_back(p.reason);
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
    const auto list = rule->actions;
    actions(p, list);
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
    if (p.exceeded) {
      if (a.table != datapath::Action::kNoTable) take(p);
      return;
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
    take(p);
    One copy;
    copy.key = p.key;
    copy.mirrored = p.mirrored;
    copy.stack = p.stack;
    copy.tag_type = p.tag_type;
    copy.behind = p.behind;
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
    if (!is_up(port)) return suppose(p, DropReason::no_port, 2);
    for (std::size_t i = 0; i < mirrors.size(); ++i)
      if (mirrors[i].to == std::vector{static_cast<std::uint32_t>(port)}) mirror(p, i);
    if (take(p)) result_.out.push_back({static_cast<std::uint32_t>(port), shown(p)});
  }

  /// The key as one reads it who looks through one tag.
  static datapath::FlowKey shown(const One& p) {
    if (p.behind.empty()) return p.key;
    datapath::FlowKey k;
    k.w[7] = p.key.w[7];
    k.w[8] = p.key.w[8];
    k.set(datapath::place::eth_type, p.behind.back().first);
    return k;
  }

  bool is_up(std::uint64_t port) const {
    return std::find(ports.begin(), ports.end(), port) != ports.end() &&
           std::find(down.begin(), down.end(), port) == down.end();
  }
  /// True if the packet is still there to be taken.
  static bool take(One& p) {
    ++p.takers;
    p.takers_behind += p.exceeded ? 1 : 0;
    return !p.exceeded;
  }
  /// Random mirrors have one port of a kind, and another one as their output.
  void mirror(One& p, std::size_t i) {
    const auto output = mirrors[i].output;
    if ((p.mirrored >> i & 1) != 0 || p.in_port == output || !is_up(output)) return;
    p.mirrored |= 1u << i;
    if (!p.exceeded) result_.out.push_back({output, shown(p)});
  }

  template <class Run>
  void on_a_copy(One& p, Run run) {
    One copy = p;
    copy.takers = copy.takers_behind = 0;
    copy.pending.clear();
    copy.learned.clear();
    run(copy);
    p.weight = copy.weight;
    p.reason = copy.reason;
    p.mirrored = copy.mirrored;
    for (One& next : copy.pending) p.pending.push_back(next);
    learn(copy);
    if (copy.takers == 0) return;
    const bool stopped_inside = copy.exceeded && !p.exceeded;
    if (stopped_inside && copy.takers_behind > 0)
      result_.dropped.push_back(DropReason::meter_exceeded);
    take(p);
  }
  void actions(One& p, const std::vector<datapath::Action>& list) {
    for (const datapath::Action& a : list) {
      if (p.ended || p.stopped) break;
      act(p, a);
    }
    p.stopped = false;
  }

  bool is_live(const datapath::Bucket& b) const {
    if (b.watch_port != datapath::Bucket::kNone && !is_up(b.watch_port)) return false;
    if (b.watch_group == datapath::Bucket::kNone) return true;
    for (const auto& g : groups)
      if (g.id == b.watch_group)
        for (const auto& inner : g.buckets)
          if (is_live(inner)) return true;
    return false;
  }
  void group(One& p, std::uint32_t id) {
    const datapath::Group* g = nullptr;
    for (const auto& x : groups)
      if (x.id == id) g = &x;
    if (g == nullptr) return suppose(p, DropReason::no_bucket, 2);
    std::vector<const datapath::Bucket*> run;
    for (const auto& b : g->buckets)
      if (is_live(b)) run.push_back(&b);
    if (g->type == datapath::GroupType::all) {
      suppose(p, DropReason::no_bucket, 1);
    } else {
      if (g->type == datapath::GroupType::select && !run.empty()) {
        // Each bucket as often as it weighs; which is a matter of the hash, which is the real one.
        std::vector<const datapath::Bucket*> shares;
        for (const auto* b : run) shares.insert(shares.end(), b->weight, b);
        datapath::FlowMask unused;
        const std::uint64_t hash = datapath::group_hash(*g, p.key, unused);
        run = {shares[static_cast<std::size_t>(
            static_cast<unsigned __int128>(hash) * shares.size() >> 64)]};
      }
      if (run.empty()) return suppose(p, DropReason::no_bucket, 2);
      run.resize(1);
    }
    for (const auto* b : run)
      on_a_copy(p, [&](One& copy) {
        suppose(copy, DropReason::rule_drop, 1);
        actions(copy, b->actions);
      });
  }

  void meter(One& p, std::uint32_t id) {
    if (p.exceeded) return;
    for (Limit& m : meters) {
      if (m.meter.id != id) continue;
      // What is left of the bucket after everything that it let through, in 10^-12 packets.
      const auto rate = static_cast<__int128>(m.meter.bands[0].rate);
      const __int128 packet = 1'000'000'000'000, full = m.meter.bands[0].burst * packet;
      __int128 left = full;
      Time then{};
      const auto wait = [&](Time until) {
        left = std::min(full, left + rate * (until - then).ps);
        then = until;
      };
      for (const Time t : m.admitted) {
        wait(t);
        left -= packet;
      }
      wait(now_);
      if (left < packet)
        p.exceeded = true;
      else
        m.admitted.push_back(now_);
    }
  }

  /// Bit by bit, from the key to the rule.
  void teach(One& p, const datapath::Learn& l) {
    if (p.exceeded) return;
    datapath::Rule rule;
    rule.table = l.table;
    rule.priority = l.priority;
    rule.cookie = l.cookie;
    for (const datapath::LearnSpec& s : l.specs) {
      const Ip6 source =
          s.immediate ? s.value : datapath::read_field(p.key, datapath::info(s.source.field));
      const unsigned from = s.immediate ? 0 : s.source.from;
      Ip6 value{}, mask{};
      const bool output = s.kind == datapath::LearnSpec::Kind::output;
      const unsigned bits = output ? s.source.bits : s.target.bits;
      for (unsigned n = 0; n < bits; ++n) {
        const unsigned to = n + (output ? 0u : s.target.from);
        (to < 64 ? mask.low : mask.high) |= 1ULL << (to % 64);
        if (bit_of(source, from + n)) (to < 64 ? value.low : value.high) |= 1ULL << (to % 64);
      }
      datapath::Action a;
      if (output) {
        a.kind = datapath::ActionKind::output;
        a.port = static_cast<std::uint32_t>(value.low);
        rule.actions.push_back(a);
      } else if (s.kind == datapath::LearnSpec::Kind::load) {
        a.kind = datapath::ActionKind::set;
        a.target = {s.target.field, 0, datapath::info(s.target.field).bits};
        a.value = value;
        a.mask = mask;
        rule.actions.push_back(a);
      } else {
        const auto& f = datapath::info(s.target.field);
        datapath::write_field_masked(rule.match.value, f, value, mask);
        datapath::write_field_masked(rule.match.mask, f, mask, mask);
      }
    }
    p.learned.push_back(rule);
  }
  void learn(One& p) {
    for (const datapath::Rule& r : p.learned) later_.push_back(r);
    p.learned.clear();
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
        if (ttl <= 1) {
          if (!p.exceeded) result_.controller.push_back(shown(p));
          p.stopped = true;
          return suppose(p, DropReason::ttl_expired, 3);
        }
        return p.key.set(place::nw_ttl, ttl - 1);
      }
      case ActionKind::ct:
        return ct(p, a);
      case ActionKind::push_vlan:
        if (const auto tci = p.key.get(place::vlan_tci); tci != 0)
          p.behind.emplace_back(p.tag_type, tci);
        p.tag_type = static_cast<std::uint16_t>(a.number);
        return p.key.set(place::vlan_tci, 0x1000);
      case ActionKind::pop_vlan:
        if (p.behind.empty()) {
          p.tag_type = 0x8100;
          return p.key.set(place::vlan_tci, 0);
        }
        p.key.set(place::vlan_tci, p.behind.back().second);
        p.tag_type = p.behind.back().first;
        p.behind.pop_back();
        return;
      case ActionKind::group:
        return group(p, a.number);
      case ActionKind::meter:
        return meter(p, a.number);
      case ActionKind::learn:
        return teach(p, a.learn.at(0));
      case ActionKind::clone:
        return on_a_copy(p, [&](One& copy) { actions(copy, a.nested); });
      case ActionKind::controller:
        if (take(p)) result_.controller.push_back(shown(p));
        return;
      case ActionKind::exit:
        p.ended = true;
        return;
      case ActionKind::push: {
        Ip6 v{};
        const Ip6 source = datapath::read_field(p.key, datapath::info(a.source.field));
        for (unsigned n = 0; n < a.source.bits; ++n)
          if (bit_of(source, a.source.from + n)) (n < 64 ? v.low : v.high) |= 1ULL << (n % 64);
        p.stack.push_back(v);
        return;
      }
      case ActionKind::pop: {
        if (p.stack.empty()) return;
        Ip6 value{}, mask{};
        for (unsigned n = 0; n < a.target.bits; ++n) {
          const unsigned to = a.target.from + n;
          (to < 64 ? mask.low : mask.high) |= 1ULL << (to % 64);
          if (bit_of(p.stack.back(), n)) (to < 64 ? value.low : value.high) |= 1ULL << (to % 64);
        }
        p.stack.pop_back();
        return write(p, datapath::info(a.target.field), value, mask);
      }
      default:
        throw std::logic_error("the twin does not model this action");
    }
  }

  TwinResult result_;
  std::vector<datapath::Rule> later_;  // learnt, not yet there
  std::uint16_t icmp_id_ = 0;
  datapath::TcpSegment tcp_{};
  Time now_{};
};

}  // namespace weft::oracle
