#include "datapath/translate.h"

#include <fmt/core.h>

#include <algorithm>

#include "datapath/learn.h"
#include "datapath/multipath.h"
#include "datapath/text_piece.h"
#include "datapath/tunnel/nvgre.h"
#include "datapath/wire/ethernet.h"

namespace weft::datapath {
namespace {

constexpr int kMaxDepth = 64;
constexpr int kMaxResubmits = 4096;
constexpr std::size_t kMaxTags = 8;  // behind the outermost
/// What of word 6 is in the packet.
constexpr std::uint64_t kLabelBits = place::ipv6_label.ones() << place::ipv6_label.shift;

class Translator {
 public:
  Translator(const SwitchView& view, RecirculationTable& recirculation, const FlowKey& key,
             std::vector<TraceLine>* trace, bool text)
      : view_(view),
        recirculation_(recirculation),
        key_(key),
        in_port_(key.get(place::in_port)),
        trace_(trace),
        text_(trace != nullptr && text) {
    look(place::in_port);
    look(place::recirc_id);
  }

  Decision run() {
    std::uint8_t table = 0;
    if (const std::uint64_t id = key_.get(place::recirc_id); id != 0) {
      const FrozenState& state = recirculation_.state(static_cast<std::uint32_t>(id));
      table = state.table;
      std::copy(state.metadata.begin(), state.metadata.end(), key_.w.begin() + kPacketWords);
      mirrored_ = state.mirrored;
      stack_ = state.stack;
      tags_ = state.tags;
    } else {
      mirror_arrival();
    }
    const FlowKey before = key_;
    visit(table, 0);
    if (text_)
      say(0, key_ == before ? "unchanged" : format_flow(key_), TraceLine::Kind::final_flow);
    finish();
    return std::move(out_);
  }

 private:
  // --- what has been looked at ---
  void look_bits(unsigned word, std::uint64_t bits) {
    if (word < kPacketWords) out_.mask.w[word] |= bits & ~constant_.w[word];
  }
  void look(FieldPlace p) { look_bits(p.word, p.ones() << p.shift); }
  void look(const FieldInfo& f) {
    if (f.bits == 128) {
      look_bits(f.word, ~0ULL);
      look_bits(f.word + 1u, ~0ULL);
    } else {
      look(f.at());
    }
  }
  void look(const FlowMask& bits) {
    for (unsigned i = 0; i < kPacketWords; ++i) look_bits(i, bits.w[i]);
  }
  void look(const FieldRange& r) {
    FlowMask bits;
    look_at_range(bits, r);
    look(bits);
  }
  void look_at_prerequisites_of(const FieldInfo& f) {
    FlowMask bits;
    look_at_prerequisites(bits, f.needs);
    look(bits);
  }

  // --- writing ---
  /// Bits of the field that are to be written, as words of the key; emitted by commit_changes().
  void write(const FieldInfo& f, Ip6 value, Ip6 mask) {
    if (f.needs != Prerequisite::none) {
      look_at_prerequisites_of(f);
      if (!prerequisites_hold(f.needs, key_)) return;  // the packet has no such field
    }
    if (f.id == Field::vlan_tci || f.id == Field::vlan_vid || f.needs == Prerequisite::vlan)
      return write_vlan(f, value, mask);
    write_field_masked(key_, f, value, mask);
    FlowKey bits;
    write_field(bits, f, mask);
    for (unsigned i = 0; i < kKeyWords; ++i) {
      constant_.w[i] |= bits.w[i];
      if (i < kPacketWords) dirty_.w[i] |= bits.w[i];
    }
  }
  void write_vlan(const FieldInfo& f, Ip6 value, Ip6 mask) {
    look(place::vlan_tci);
    FlowKey changed = key_;
    write_field_masked(changed, f, value, mask);
    std::uint64_t tci = changed.get(place::vlan_tci);
    if (f.id != Field::vlan_tci)
      tci |= kVlanPresent;  // mod_vlan_vid adds a tag where there is none
    set_tag(tci);
  }
  void set_tag(std::uint64_t tci) {
    const bool had = (key_.get(place::vlan_tci) & kVlanPresent) != 0;
    const bool has = (tci & kVlanPresent) != 0;
    if (!has) return pop_tag();
    if (!had) return push_tag(wire::kEtherVlan, tci);
    commit_changes();
    emit(StepKind::set_vlan, 0, tci & ~static_cast<std::uint64_t>(kVlanPresent));
    tag_is(tci);
  }
  void pop_tag() {
    if ((key_.get(place::vlan_tci) & kVlanPresent) == 0) return;
    commit_changes();
    std::uint16_t behind = 0;
    if (!tags_.empty()) {
      behind = tags_.back();
      tags_.pop_back();
    }
    emit(StepKind::pop_vlan, 0, behind);
    tag_is(behind);
  }
  /// The key goes on saying what it knows of the packet; a tag that was there is behind the new
  /// one.
  void push_tag(std::uint32_t type, std::uint64_t tci) {
    const std::uint64_t old = key_.get(place::vlan_tci);
    if (tags_.size() >= kMaxTags) return end_with(DropReason::malformed, cookie_);
    if ((old & kVlanPresent) != 0) tags_.push_back(static_cast<std::uint16_t>(old));
    commit_changes();
    emit(StepKind::push_vlan, type, tci & ~static_cast<std::uint64_t>(kVlanPresent));
    tag_is(tci);
  }
  void tag_is(std::uint64_t tci) {
    key_.set(place::vlan_tci, tci);
    constant_.w[place::vlan_tci.word] |= place::vlan_tci.ones() << place::vlan_tci.shift;
  }
  /// Changes of packet fields so far become steps, before something acts on the packet.
  void commit_changes() {
    emit_change(place::ipv6_label.word, StepKind::set, kLabelBits);
    for (unsigned i = 7; i < kHeaderWords; ++i)
      if (i != 14 && i != 15) emit_change(i, StepKind::set);
  }
  /// Also those that only the key carries, before it is looked up again.
  void commit_key() {
    commit_changes();
    for (unsigned i = 0; i < 7; ++i) emit_change(i, StepKind::set_key);
    emit_change(14, StepKind::set_key);
    emit_change(15, StepKind::set_key);
    for (unsigned i = kHeaderWords; i < kPacketWords; ++i) emit_change(i, StepKind::set_key);
  }
  void emit_change(unsigned word, StepKind kind, std::uint64_t bits = ~0ULL) {
    if ((dirty_.w[word] & bits) == 0) return;
    Step step;
    step.kind = kind;
    step.word = static_cast<std::uint8_t>(word);
    step.mask = dirty_.w[word] & bits;
    step.value = key_.w[word] & step.mask;
    out_.steps.push_back(step);
    dirty_.w[word] &= ~bits;
  }

  // --- tables ---
  void visit(std::uint8_t table, int depth, std::uint32_t as_port = Action::kSamePort) {
    if (nesting_ >= kMaxDepth || ++resubmits_ > kMaxResubmits) {
      say(depth, fmt::format("table {}: too many resubmits: the packet is dropped", table));
      return give_up();
    }
    FlowMask looked;
    out_.tables.set(table);
    // Another port is only looked up; the actions see the packet's own.
    const std::uint64_t port_word = key_.w[0];
    if (as_port != Action::kSamePort) key_.set(place::in_port, as_port);
    const auto* rule = view_.tables->lookup(table, key_, looked);
    key_.w[0] = port_word;
    if (as_port != Action::kSamePort) looked.set(place::in_port, 0);
    look(looked);
    if (rule == nullptr) {
      say_table(depth, table, nullptr);
      if (text_) say(depth, "drop", TraceLine::Kind::action);
      suppose(DropReason::no_rule, 0);
      return;
    }
    const InstalledRule& installed = **rule;
    out_.rules.push_back(*rule);
    const std::uint64_t outer_cookie = cookie_;
    cookie_ = installed.rule.cookie;
    say_table(depth, table, *rule);
    suppose(DropReason::rule_drop, cookie_);
    const std::uint8_t outer_table = table_;
    const Match* const outer_match = match_;
    table_ = table;
    match_ = &installed.rule.match;
    ++nesting_;
    act(installed.rule.actions, depth);
    --nesting_;
    table_ = outer_table;
    match_ = outer_match;
    cookie_ = outer_cookie;
  }

  void act(const std::vector<Action>& actions, int depth) {
    if (text_ && actions.empty()) say(depth, "drop", TraceLine::Kind::action);
    for (const Action& a : actions) {
      if (ended_ || stopped_) break;
      if (text_) say(depth, format_actions({a}, match_), TraceLine::Kind::action);
      action_depth_ = depth;
      // A table that the last action leads to is shown at the same depth: long chains stay
      // readable.
      one(a, &a == &actions.back() ? depth - 1 : depth);
    }
    stopped_ = false;  // outer lists go on
  }

  void one(const Action& a, int depth) {
    switch (a.kind) {
      case ActionKind::output:
        return output(a.port, a.max_length);
      case ActionKind::output_field: {
        look(a.source);
        return output(static_cast<std::uint32_t>(read_range(key_, a.source).low));
      }
      case ActionKind::in_port:
        return output_to(key_.get(place::in_port), true);
      case ActionKind::flood:
        for (const PortConfig& p : *view_.ports)
          if (p.kind == PortKind::vm && p.number.value != key_.get(place::in_port))
            output(p.number.value);
        return;
      case ActionKind::drop:
        return end_with(a.reason, cookie_);
      case ActionKind::set:
        return write(info(a.target.field), a.value, a.mask);
      case ActionKind::move:
        return move(a);
      case ActionKind::resubmit:
        return resubmit(a, depth);
      case ActionKind::goto_table:
        return visit(static_cast<std::uint8_t>(a.table), depth + 1);
      case ActionKind::dec_ttl:
        return decrement_ttl(a);
      case ActionKind::ct:
        return track(a);
      case ActionKind::ct_clear: {
        const auto clear = [this](unsigned word, std::uint64_t bits) {
          key_.w[word] &= ~bits;
          constant_.w[word] |= bits;
          dirty_.w[word] |= bits;
        };
        clear(14, ~0xffffULL);
        for (unsigned i : {15u, 20u, 21u, 22u, 23u, 24u, 25u}) clear(i, ~0ULL);
        return;
      }
      case ActionKind::push_vlan:
        look(place::vlan_tci);
        return push_tag(a.number, kVlanPresent);
      case ActionKind::pop_vlan:
        look(place::vlan_tci);
        return pop_tag();
      case ActionKind::note:
        return;
      case ActionKind::arp_reply:
        look(place::eth_type);
        if (!key_.is_arp()) return;
        look(place::nw_proto);
        if (key_.get(place::nw_proto) != 1) return;
        return reply(StepKind::arp_reply, a.mac.to_u64());
      case ActionKind::nd_reply:
        if (!is_icmp(58, 135)) return;
        return reply(StepKind::nd_reply, a.mac.to_u64());
      case ActionKind::icmp_echo_reply:
        if (!is_icmp(1, 8) && !is_icmp(58, 128)) return;
        return reply(StepKind::icmp_echo_reply, 0);
      case ActionKind::icmp_error:
        return icmp_error(a);
      case ActionKind::dhcp_reply:
        return dhcp_reply(a);
      case ActionKind::dhcpv6_reply:
        return dhcpv6_reply(a);
      case ActionKind::dns_reply:
        return dns_reply(a);
      case ActionKind::reject:
        return reject(a);
      case ActionKind::all:
        for (const PortConfig& p : *view_.ports)
          if (p.number.value != key_.get(place::in_port)) output(p.number.value);
        return;
      case ActionKind::group:
        return group(a.number, depth);
      case ActionKind::meter:
        return meter(a.number);
      case ActionKind::learn:
        return learn(a.learn[0]);
      case ActionKind::controller:
        return controller(a.controller);
      case ActionKind::clone:
        return on_a_copy([&] { act(a.nested, depth + 1); });
      case ActionKind::push:
        return push(a);
      case ActionKind::pop:
        return pop(a);
      case ActionKind::exit:
        ended_ = true;
        return;
      case ActionKind::multipath: {
        FlowMask looked;
        const std::uint64_t link = multipath_link(a.multipath, a.number, key_, looked);
        look(looked);
        const FieldInfo& f = info(a.target.field);
        return write(f, shift_left({0, link}, a.target.from),
                     shift_left(low_ones(a.target.bits), a.target.from));
      }
    }
  }

  void emit(StepKind kind, std::size_t number, std::uint64_t value = 0) {
    Step step;
    step.kind = kind;
    step.number = static_cast<std::uint32_t>(number);
    step.value = value;
    out_.steps.push_back(step);
  }

  // --- copies, groups ---
  /// What `run` does is done to a copy of the packet and of its fields; what comes behind goes on
  /// with both as they are now.
  template <class Run>
  void on_a_copy(Run run) {
    commit_changes();
    const FlowKey key = key_;
    const FlowMask constant = constant_, dirty = dirty_;
    const auto stack = stack_;
    const auto tags = tags_;
    const bool ended = ended_;
    const std::uint64_t in_port = in_port_;
    std::vector<Step> before = std::move(out_.steps);
    out_.steps.clear();
    run();
    std::vector<Step> block = std::move(out_.steps);
    out_.steps = std::move(before);
    const bool taken = put_last_taker_last(block);
    // A copy that nobody takes is made for what it does to connections and tables, if it does.
    if (!block.empty()) {
      if (taken) {
        emit(StepKind::clone, block.size());
        out_.steps.insert(out_.steps.end(), block.begin(), block.end());
      } else {
        emit(StepKind::aside, block.size());
        out_.steps.insert(out_.steps.end(), block.begin(), block.end());
      }
    }
    key_ = key;
    constant_ = constant;
    dirty_ = dirty;
    stack_ = stack;
    tags_ = tags;
    ended_ = ended || given_up_;
    in_port_ = in_port;
  }

  bool port_is_up(std::uint32_t number) const {
    const PortConfig* p = view_.port(number);
    return p != nullptr && p->up;
  }

  void group(std::uint32_t id, int depth) {
    const int shown = action_depth_;
    const InstalledGroup* g = view_.groups == nullptr ? nullptr : view_.groups->find(id);
    if (g == nullptr || nesting_ >= kMaxDepth || ++resubmits_ > kMaxResubmits) {
      remark(g == nullptr ? "there is no such group" : "groups that lead to each other");
      return g == nullptr ? suppose(DropReason::no_bucket, cookie_, 2) : give_up();
    }
    out_.counters.push_back(g->count);
    const auto& buckets = g->group.buckets;
    std::vector<bool> live(buckets.size());
    for (std::size_t i = 0; i < buckets.size(); ++i)
      live[i] =
          view_.groups->is_live(buckets[i], [this](std::uint32_t p) { return port_is_up(p); });
    int chosen = -1;
    switch (g->group.type) {
      case GroupType::all:
        suppose(DropReason::no_bucket, cookie_);
        for (std::size_t i = 0; i < buckets.size(); ++i)
          if (live[i]) run_bucket(*g, i, depth, shown);
        return;
      case GroupType::indirect:
        chosen = live[0] ? 0 : -1;
        break;
      case GroupType::fast_failover:
        for (std::size_t i = 0; i < buckets.size() && chosen < 0; ++i)
          if (live[i]) chosen = static_cast<int>(i);
        break;
      case GroupType::select: {
        FlowMask looked;
        const std::uint64_t hash = group_hash(g->group, key_, looked);
        look(looked);
        chosen = select_bucket(*g, hash, live);
        break;
      }
    }
    if (chosen < 0) {
      remark("no live bucket");
      return suppose(DropReason::no_bucket, cookie_, 2);
    }
    run_bucket(*g, static_cast<std::size_t>(chosen), depth, shown);
  }
  void run_bucket(const InstalledGroup& g, std::size_t at, int depth, int shown) {
    out_.counters.push_back(g.bucket_counts[at]);
    action_depth_ = shown;
    remark(fmt::format("bucket {}", g.group.buckets[at].id));
    ++nesting_;
    on_a_copy([&] {
      suppose(DropReason::rule_drop, cookie_);
      act(g.group.buckets[at].actions, depth + 1);
    });
    --nesting_;
  }

  // --- meters, learning, the controller ---
  void meter(std::uint32_t id) {
    auto m = view_.meters == nullptr ? nullptr : view_.meters->find(id);
    if (m == nullptr) return remark("there is no such meter: no limit");
    commit_changes();
    emit(StepKind::meter, out_.meters.size(), cookie_);
    out_.meters.push_back(std::move(m));
  }
  void learn(const Learn& what) {
    FlowMask looked;
    auto rule = learned_rule(what, key_, looked);
    look(looked);
    if (text_) remark("would learn: " + format_rule(*rule));
    emit(StepKind::learn, out_.learns.size());
    out_.learns.push_back(std::move(rule));
  }
  void controller(const ControllerSpec& spec) {
    commit_changes();
    emit(StepKind::controller, out_.controllers.size());
    out_.controllers.push_back({spec, table_now(), cookie_});
  }
  bool is_udp_to(std::uint64_t port) {
    FlowMask looked;
    look_at_prerequisites(looked, Prerequisite::ports);
    look(looked);
    if (!prerequisites_hold(Prerequisite::ports, key_) || key_.get(place::nw_proto) != 17)
      return false;
    look(place::tp_dst);
    return key_.get(place::tp_dst) == port;
  }
  void dhcpv6_reply(const Action& a) {
    look(place::eth_type);
    if (!key_.is_ip6() || !is_udp_to(547)) return;
    look(place::tp_src);
    if (key_.get(place::tp_src) != 546) return;
    const std::size_t at = out_.leases6.size();
    out_.leases6.push_back(a.dhcp6[0]);
    reply(StepKind::dhcpv6_reply, 0);
    out_.steps.back().number = static_cast<std::uint32_t>(at);
  }
  void dns_reply(const Action& a) {
    if (!is_udp_to(53)) return;
    commit_changes();
    emit(StepKind::dns_reply, out_.names.size());
    out_.names.push_back(a.dns);
  }
  void reject(const Action& a) {
    look(place::eth_type);
    if (!key_.is_ip4() && !key_.is_ip6()) return end_with(DropReason::policy, cookie_);
    const std::size_t at = out_.errors.size();
    out_.errors.push_back({0, 0, a.address, cookie_});
    std::uint64_t answer = 0;
    if (a.table != Action::kNoTable) {
      commit_key();
      answer = freeze(a.table);
    }
    reply(StepKind::reject, answer);
    out_.steps.back().number = static_cast<std::uint32_t>(at);
  }
  void dhcp_reply(const Action& a) {
    look(place::eth_type);
    if (!key_.is_ip4() || !is_udp_to(67)) return;
    look(place::tp_src);
    if (key_.get(place::tp_src) != 68 && key_.get(place::tp_src) != 67) return;
    const std::size_t at = out_.leases.size();
    out_.leases.push_back(a.dhcp[0]);
    reply(StepKind::dhcp_reply, 0);
    out_.steps.back().number = static_cast<std::uint32_t>(at);
  }

  // --- mirrors ---
  void mirror(const Mirror& m, std::size_t at) {
    const PortConfig* port = view_.port(m.output);
    if ((mirrored_ >> at & 1) != 0 || port == nullptr || !port->up ||
        port->kind == PortKind::tunnel)
      return;
    mirrored_ |= 1u << at;
    commit_changes();
    emit(StepKind::mirror, m.output);
  }
  void mirror_arrival() {
    if (view_.mirrors == nullptr) return;
    for (std::size_t i = 0; i < view_.mirrors->size(); ++i)
      if ((*view_.mirrors)[i].takes_arrivals(in_port_)) mirror((*view_.mirrors)[i], i);
  }
  void mirror_departure(std::uint64_t port) {
    if (view_.mirrors == nullptr) return;
    for (std::size_t i = 0; i < view_.mirrors->size(); ++i)
      if ((*view_.mirrors)[i].takes_departures(port) && (*view_.mirrors)[i].output != in_port_)
        mirror((*view_.mirrors)[i], i);
  }

  bool is_icmp(std::uint64_t proto, std::uint64_t type) {
    look(place::eth_type);
    look(place::nw_proto);
    look(place::nw_frag);
    if (key_.get(place::nw_proto) != proto || !(proto == 1 ? key_.is_ip4() : key_.is_ip6()) ||
        (key_.get(place::nw_frag) & kFragLater) != 0)
      return false;
    look(place::tp_src);
    return key_.get(place::tp_src) == type;
  }

  void move(const Action& a) {
    const FieldInfo& from = info(a.source.field);
    const FieldInfo& to = info(a.target.field);
    look_at_prerequisites_of(from);
    if (!prerequisites_hold(from.needs, key_)) return;
    look(a.source);
    write(to, shift_left(read_range(key_, a.source), a.target.from),
          shift_left(low_ones(a.target.bits), a.target.from));
  }

  // --- the stack ---
  void push(const Action& a) {
    const FieldInfo& from = info(a.source.field);
    look_at_prerequisites_of(from);
    look(a.source);
    stack_.push_back(read_range(key_, a.source));
  }
  void pop(const Action& a) {
    if (stack_.empty()) return remark("nothing on the stack");
    const Ip6 ones = low_ones(a.target.bits);
    Ip6 v = stack_.back();
    stack_.pop_back();
    v = {v.high & ones.high, v.low & ones.low};
    write(info(a.target.field), shift_left(v, a.target.from), shift_left(ones, a.target.from));
  }

  void resubmit(const Action& a, int depth) {
    const auto table =
        a.table == Action::kSameTable ? table_now() : static_cast<std::uint8_t>(a.table);
    visit(table, depth + 1, a.port);
  }
  std::uint8_t table_now() const { return table_; }

  void decrement_ttl(const Action& a) {
    look(place::eth_type);
    if (!key_.is_ip4() && !key_.is_ip6()) return;
    look(place::nw_ttl);
    const std::uint64_t ttl = key_.get(place::nw_ttl);
    if (ttl <= 1) {
      remark("the TTL is used up: no further action of this rule");
      commit_changes();
      for (const std::uint16_t id : a.ids.empty() ? std::vector<std::uint16_t>{0} : a.ids) {
        emit(StepKind::packet_in, out_.controllers.size());
        ControllerSpec spec;
        spec.reason = 2;
        spec.id = id;
        out_.controllers.push_back({spec, table_now(), cookie_});
      }
      stopped_ = true;
      return suppose(DropReason::ttl_expired, cookie_, 3);
    }
    write(info(Field::nw_ttl), {0, ttl - 1}, {0, 0xff});
  }

  CtCommit what_to_commit(const Action& a) {
    CtCommit what;
    what.nat = a.nat;
    what.force = a.force;
    if (a.nested.empty()) return what;
    // exec() writes only ct_mark and ct_label: run it on a key of its own.
    Translator scratch(view_, recirculation_, key_, nullptr, false);
    scratch.constant_ = constant_;
    scratch.out_.mask = out_.mask;
    for (const Action& nested : a.nested) {
      if (nested.kind == ActionKind::set)
        scratch.write(info(nested.target.field), nested.value, nested.mask);
      else if (nested.kind == ActionKind::move)
        scratch.move(nested);
    }
    out_.mask = scratch.out_.mask;
    what.mark = static_cast<std::uint32_t>(scratch.key_.get(place::ct_mark));
    what.mark_mask = static_cast<std::uint32_t>(scratch.dirty_.get(place::ct_mark));
    what.label = scratch.key_.get128(place::ct_label);
    what.label_mask = scratch.dirty_.get128(place::ct_label);
    what.mark &= what.mark_mask;
    what.label.high &= what.label_mask.high;
    what.label.low &= what.label_mask.low;
    return what;
  }

  /// What goes on in a table, with what belongs to no header as it is now.
  std::uint32_t freeze(std::uint16_t table) {
    FrozenState state;
    state.table = static_cast<std::uint8_t>(table);
    state.mirrored = mirrored_;
    state.stack = stack_;
    state.tags = tags_;
    std::copy(key_.w.begin() + kPacketWords, key_.w.end(), state.metadata.begin());
    return recirculation_.intern(state);
  }

  void track(const Action& a) {
    // What is tracked is the packet as it is now.
    commit_changes();
    std::uint16_t zone = a.zone;
    if (a.zone_from_field) {
      look(a.source);
      zone = static_cast<std::uint16_t>(read_range(key_, a.source).low);
    }
    Step step;
    step.kind = a.commit ? StepKind::commit : StepKind::track;
    step.zone = zone;
    if (a.commit) {
      step.value = cookie_;
      step.number = static_cast<std::uint32_t>(out_.commits.size());
      out_.commits.push_back(what_to_commit(a));
    } else {
      step.number = a.nat.kind != NatSpec::Kind::none;
    }
    out_.steps.push_back(step);
    if (a.table == Action::kNoTable) return;  // tracking still refreshes the connection
    commit_key();
    Step again;
    again.kind = StepKind::recirculate;
    again.number = freeze(a.table);
    out_.steps.push_back(again);
    if (text_)
      remark(fmt::format("goes on in table {} with recirc_id {:#x}", a.table, again.number));
  }

  void icmp_error(const Action& a) {
    look(place::eth_type);
    if (a.address.is6 ? !key_.is_ip6() : !key_.is_ip4())
      return end_with(DropReason::rule_drop, cookie_);
    commit_changes();
    Step step;
    step.kind = StepKind::icmp_error;
    step.number = static_cast<std::uint32_t>(out_.errors.size());
    out_.errors.push_back({a.icmp_type, a.icmp_code, a.address, cookie_});
    out_.steps.push_back(step);
    ended_ = true;
  }

  void reply(StepKind kind, std::uint64_t value) {
    commit_changes();
    Step step;
    step.kind = kind;
    step.value = value;
    out_.steps.push_back(step);
    ended_ = true;
  }

  // --- output ---
  void output(std::uint32_t port, std::uint16_t max_length = 0) {
    if (port == Action::kLocalPort) {
      const auto local =
          std::find_if(view_.ports->begin(), view_.ports->end(),
                       [](const PortConfig& p) { return p.kind == PortKind::local; });
      if (local != view_.ports->end()) port = local->number.value;
    }
    if (port == key_.get(place::in_port)) {
      remark("skipping output to input port");
      return suppose(DropReason::same_port, cookie_, 2);
    }
    output_to(port, false, max_length);
  }
  void output_to(std::uint64_t number, bool back, std::uint16_t max_length = 0) {
    const PortConfig* port = view_.port(static_cast<std::uint32_t>(number));
    if (port == nullptr || !port->up) {
      remark(port == nullptr ? "there is no such port" : "the port is down");
      return suppose(DropReason::no_port, cookie_, 2);
    }
    commit_changes();
    mirror_departure(number);
    Step step;
    step.value = cookie_;
    step.zone = max_length;
    if (port->kind == PortKind::tunnel) {
      step.kind = StepKind::tunnel;
      if (!add_outer(*port, back, step.number)) {
        remark("the flow says no tunnel destination");
        return suppose(DropReason::tunnel_unknown, cookie_, 2);
      }
    } else {
      step.kind = StepKind::output;
      step.number = port->number.value;
    }
    out_.steps.push_back(step);
  }
  bool add_outer(const PortConfig& port, bool back, std::uint32_t& index) {
    const unsigned destination = back ? place::tun_src : place::tun_dst;
    look_bits(place::tun_id.word, ~0ULL);
    if (view_.vtep->address.is6) look_bits(destination, ~0ULL);
    look_bits(destination + 1, view_.vtep->address.is6 ? ~0ULL : 0xffffffffULL);
    if (carries_ports(port.tunnel)) look(place::tun_metadata0);
    if (port.tunnel == TunnelKind::geneve) look(place::tun_flags);
    OuterStep outer;
    if (!make_outer_step(view_, port, key_, back, outer)) return false;
    index = static_cast<std::uint32_t>(out_.outers.size());
    out_.outers.push_back(outer);
    return true;
  }

  // --- the end ---
  /// Why the packet was dropped if nothing took it; a later or weightier reason wins.
  void suppose(DropReason reason, std::uint64_t cookie, int weight = 1) {
    if (weight < weight_) return;
    weight_ = weight;
    reason_ = reason;
    reason_cookie_ = cookie;
  }
  void end_with(DropReason reason, std::uint64_t cookie) {
    suppose(reason, cookie, 3);
    ended_ = true;
  }
  /// Rules that lead to each other: the packet is dropped as a whole, whatever was done before, or
  /// a loop would be an amplifier.
  void give_up() {
    given_up_ = true;
    end_with(DropReason::resubmit_limit, cookie_);
  }
  static bool takes_packet(StepKind k) {
    return k == StepKind::output || k == StepKind::tunnel || k == StepKind::recirculate ||
           k == StepKind::arp_reply || k == StepKind::nd_reply || k == StepKind::icmp_error ||
           k == StepKind::icmp_echo_reply || k == StepKind::dhcp_reply ||
           k == StepKind::dhcpv6_reply || k == StepKind::reject || k == StepKind::clone ||
           k == StepKind::controller;
  }
  /// Seen from outside though nobody takes the packet: connections, tables, meters, mirrors.
  static bool has_effect(StepKind k) {
    return takes_packet(k) || k == StepKind::commit || k == StepKind::track ||
           k == StepKind::aside || k == StepKind::meter || k == StepKind::learn ||
           k == StepKind::mirror || k == StepKind::dns_reply || k == StepKind::packet_in;
  }
  /// clone and aside are one with the steps that belong to them.
  static std::size_t length_at(const std::vector<Step>& steps, std::size_t at) {
    const bool block = steps[at].kind == StepKind::clone || steps[at].kind == StepKind::aside;
    return block ? 1 + steps[at].number : 1;
  }
  /// Removes changes behind the packet's last use, and puts the last step that takes the packet
  /// last: what is tracked behind it is tracked before it instead, and what is rewritten between
  /// the two is rewritten in a copy. False if no step takes the packet.
  static bool put_last_taker_last(std::vector<Step>& steps) {
    constexpr auto kNowhere = static_cast<std::size_t>(-1);
    std::size_t last = kNowhere, end = 0;
    for (std::size_t i = 0; i < steps.size(); i += length_at(steps, i)) {
      if (takes_packet(steps[i].kind)) last = i;
      if (has_effect(steps[i].kind)) end = i + length_at(steps, i);
    }
    steps.resize(end);
    if (last == kNowhere) return false;
    steps[last].last = true;
    const auto at = steps.begin() + static_cast<std::ptrdiff_t>(last);
    const std::size_t length = length_at(steps, last);
    std::rotate(at, at + static_cast<std::ptrdiff_t>(length), steps.end());
    if (last + length < steps.size()) {
      Step aside;
      aside.kind = StepKind::aside;
      aside.number = static_cast<std::uint32_t>(steps.size() - length - last);
      steps.insert(at, aside);
    }
    return true;
  }
  void finish() {
    if (given_up_) out_.steps.clear();
    if (!put_last_taker_last(out_.steps))
      emit(StepKind::drop, static_cast<std::size_t>(reason_), reason_cookie_);
    for (unsigned i = kPacketWords; i < kKeyWords; ++i) out_.mask.w[i] = 0;
    if (view_.faults->widen_mask) out_.mask.w[9] &= 0xffffffffULL;
    if (view_.faults->widen_mask_one_bit) out_.mask.w[13] &= ~1ULL;
    if (view_.faults->forget_tos_in_mask) out_.mask.set(place::nw_tos, 0);
  }
  /// What became of the action that was shown last.
  void remark(std::string_view text) {
    if (text_) say(action_depth_ + 1, fmt::format(" -> {}", text));
  }
  void say(int depth, std::string text, TraceLine::Kind kind = TraceLine::Kind::note) {
    if (text_) trace_->push_back({depth, std::move(text), cookie_, kind});
  }
  void say_table(int depth, std::uint8_t table, std::shared_ptr<const InstalledRule> rule) {
    if (trace_ == nullptr) return;
    std::string text;
    if (text_ && rule == nullptr) text = fmt::format("{:2}. No match.", table);
    if (text_ && rule != nullptr) {
      const std::string match = format_match(rule->rule.match);
      const std::string cookie = cookie_ == 0 ? "" : fmt::format(", cookie {:#x}", cookie_);
      text = fmt::format("{:2}. {}{}priority {}{}", table, match, match.empty() ? "" : ", ",
                         rule->rule.priority, cookie);
    }
    const std::uint64_t cookie = rule == nullptr ? 0 : rule->rule.cookie;
    trace_->push_back(
        {depth, std::move(text), cookie, TraceLine::Kind::table, table, std::move(rule)});
  }

  const SwitchView& view_;
  RecirculationTable& recirculation_;
  FlowKey key_;
  FlowMask constant_{};    // bits that no longer depend on the packet
  FlowMask dirty_{};       // bits written since they were last made a step
  std::uint64_t in_port_;  // where it came in, whatever rules have written over it since
  std::vector<TraceLine>* trace_;
  const bool text_;
  Decision out_{};
  std::uint64_t cookie_ = 0;
  std::vector<Ip6> stack_;
  std::vector<std::uint16_t> tags_;  // behind the outermost
  std::uint32_t mirrored_ = 0;       // by mirror: this packet has been copied
  int resubmits_ = 0;
  int nesting_ = 0;
  int action_depth_ = 0;
  std::uint8_t table_ = 0;        // of the rule that is being carried out
  const Match* match_ = nullptr;  // its
  bool ended_ = false;
  bool stopped_ = false;   // this list of actions
  bool given_up_ = false;  // the rules loop
  int weight_ = 0;
  DropReason reason_ = DropReason::no_rule;
  std::uint64_t reason_cookie_ = 0;
};

}  // namespace

std::uint32_t RecirculationTable::intern(const FrozenState& state) {
  const auto [it, fresh] = ids_.try_emplace(state, static_cast<std::uint32_t>(states_.size()) + 1);
  if (fresh) states_.push_back(&it->first);
  return it->second;
}

void RecirculationTable::clear() {
  ids_.clear();
  states_.clear();
}

const PortConfig* SwitchView::port(std::uint32_t number) const {
  const auto it =
      std::lower_bound(ports->begin(), ports->end(), number,
                       [](const PortConfig& p, std::uint32_t n) { return p.number.value < n; });
  return it != ports->end() && it->number.value == number ? &*it : nullptr;
}

bool make_outer_step(const SwitchView& view, const PortConfig& port, const FlowKey& key, bool back,
                     OuterStep& outer) {
  const VtepConfig& vtep = *view.vtep;
  Ip6 to = key.get128(back ? place::tun_src : place::tun_dst);
  if (!port.remote.is_zero()) {
    if (port.remote.is6 != vtep.address.is6) return false;
    to = port.remote.bits;
  }
  if (!vtep.address.is6) to = {0, to.low & 0xffffffff};
  if (to == Ip6{}) return false;
  outer.port = port.number.value;
  TunnelEncap& e = outer.encap;
  e.kind = port.tunnel;
  e.src_mac = vtep.mac;
  e.dst_mac = vtep.next_hop;
  e.src = vtep.address;
  e.dst = vtep.address.is6 ? IpAddress(to) : IpAddress(Ip4{static_cast<std::uint32_t>(to.low)});
  const unsigned bits = identifier_bits(port.tunnel);
  e.vni = port.key.value_or(key.get(place::tun_id));
  if (bits < 64) e.vni &= (1ULL << bits) - 1;
  if (port.tunnel == TunnelKind::nvgre && !nvgre::valid_vsid(e.vni)) return false;
  e.mtu = vtep.underlay_mtu;
  if (view.faults->truncate_vni) e.vni &= 0xffff;
  // RFC 7348 advises no checksum over IPv4; over IPv6 UDP demands one.
  e.udp_checksum = port.tunnel != TunnelKind::vxlan || vtep.address.is6;
  if (port.tunnel == TunnelKind::geneve || (port.tunnel == TunnelKind::stt && vtep.stt_ports)) {
    const auto option = static_cast<std::uint32_t>(key.get(place::tun_metadata0));
    LogicalPorts logical{static_cast<std::uint16_t>(option >> 16 & 0x7fff),
                         static_cast<std::uint16_t>(option)};
    if (back != view.faults->swap_logical_ports)
      logical = {static_cast<std::uint16_t>(logical.egress & 0x7fff), logical.ingress};
    if (option != 0 || port.tunnel == TunnelKind::stt) e.ports = logical;
    if (port.tunnel == TunnelKind::stt) e.vni &= 0xffffffff;
  }
  // RFC 9300, 5.3: an ITR copies both outwards.
  e.inherit_dscp = e.inherit_ttl = port.tunnel == TunnelKind::lisp;
  apply(vtep.sends, e);
  apply(port.sends, e);
  e.control = port.tunnel == TunnelKind::geneve && (key.get(place::tun_flags) & 1) != 0;
  outer.overhead = overhead_of(e);
  outer.bytes = make_outer(e);
  return true;
}

Decision translate(const SwitchView& view, RecirculationTable& recirculation, const FlowKey& key,
                   std::vector<TraceLine>* trace, bool text) {
  return Translator(view, recirculation, key, trace, text).run();
}

}  // namespace weft::datapath
