#include "control/symbolic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "base/hash.h"
#include "datapath/text_piece.h"

namespace weft::control {

using datapath::Action;
using datapath::ActionKind;
using datapath::Field;
using datapath::FlowKey;
using datapath::FlowMask;
using datapath::kKeyWords;
using datapath::NatSpec;
using datapath::Rule;
namespace at = datapath::place;

namespace {

/// As the switch (datapath/translate.cpp): tables within each other between two lookups.
constexpr int kMaxNesting = 64;
/// ct_state bits (datapath/conntrack.h is not the control plane's to include).
constexpr std::uint64_t kTracked = 0x20, kNew = 0x01, kSnat = 0x40, kDnat = 0x80;

/// Rules of one table with one mask, findable by some of its bits.
struct MaskGroup {
  struct Index {
    FlowMask part{};
    std::vector<std::uint8_t> words{};
    std::vector<std::pair<std::uint64_t, std::uint32_t>> by_hash{};  // sorted

    std::uint64_t hash(const FlowKey& key) const {
      std::uint64_t h = 0;
      for (const std::uint8_t w : words) h = mix64(h ^ (key.w[w] & part.w[w]), w + 1u);
      return h;
    }
    bool decided_by(const FlowMask& known) const {
      return std::all_of(words.begin(), words.end(),
                         [&](std::uint8_t w) { return (part.w[w] & ~known.w[w]) == 0; });
    }
  };
  std::vector<Index> indices;  // most bits first
  std::vector<std::uint32_t> rules;

  void add_index(const std::vector<Rule>& all, const FlowMask& mask, const FlowMask& some) {
    Index index;
    for (unsigned i = 0; i < kKeyWords; ++i) {
      index.part.w[i] = mask.w[i] & some.w[i];
      if (index.part.w[i] != 0) index.words.push_back(static_cast<std::uint8_t>(i));
    }
    if (index.words.empty()) return;
    if (!indices.empty() && indices.back().part == index.part) return;
    index.by_hash.reserve(rules.size());
    for (const std::uint32_t r : rules)
      index.by_hash.emplace_back(index.hash(all[r].match.value), r);
    std::sort(index.by_hash.begin(), index.by_hash.end());
    indices.push_back(std::move(index));
  }

  /// Every rule that could match a packet of which this is known, and perhaps some more.
  template <class Visit>
  void each_candidate(const datapath::Match& now, Visit visit) const {
    for (const Index& index : indices) {
      if (!index.decided_by(now.mask)) continue;
      const std::uint64_t h = index.hash(now.value);
      for (auto it = std::lower_bound(index.by_hash.begin(), index.by_hash.end(),
                                      std::pair(h, std::uint32_t{0}));
           it != index.by_hash.end() && it->first == h; ++it)
        visit(it->second);
      return;
    }
    for (const std::uint32_t r : rules) visit(r);
  }
};

bool is_named(const Rule& rule) { return rule.cookie >> 63 == 0 && rule.cookie != 0; }

}  // namespace

struct SymbolicTables::Impl {
  std::vector<Rule> rules;
  std::map<std::uint32_t, datapath::Group> groups;
  Limits limits;
  std::array<std::vector<MaskGroup>, 256> tables;
  std::uint64_t visits = 0;
  Visitor* visitor = nullptr;
  std::optional<Error> error;

  /// What comes back from a table to the actions behind resubmit.
  struct Ends {
    std::vector<Beam> beams;
    bool some_ended = false;
  };
  /// Where in the tables a beam is.
  struct Position {
    std::uint8_t table = 0;
    int nesting = 0;
  };

  void build() {
    // Ties keep the order in which the rules were given.
    std::stable_sort(rules.begin(), rules.end(),
                     [](const Rule& a, const Rule& b) { return a.priority > b.priority; });
    std::map<std::pair<std::uint8_t, FlowMask>, MaskGroup> by_mask;
    for (std::uint32_t i = 0; i < rules.size(); ++i)
      by_mask[{rules[i].table, rules[i].match.mask}].rules.push_back(i);
    FlowMask all, registers, datapath;
    all.w.fill(~0ULL);
    for (unsigned i = datapath::kPacketWords; i < kKeyWords; ++i) registers.w[i] = ~0ULL;
    registers.w[at::in_port.word] = at::in_port.ones();
    datapath.w[at::metadata.word] = ~0ULL;
    for (auto& [key, group] : by_mask) {
      if (group.rules.size() > 4)
        for (const FlowMask* some : {&all, &registers, &datapath})
          group.add_index(rules, key.second, *some);
      tables[key.first].push_back(std::move(group));
    }
  }

  void fail(std::string message, std::string remedy = {}) {
    if (!error) error = Error{std::move(message), {}, std::move(remedy)};
  }
  void cannot(const Rule& rule, const Action& action, std::string_view why) {
    fail(fmt::format("cannot verify: rule `{}` uses action {}{}{}", datapath::format_rule(rule),
                     datapath::format_actions({action}), why.empty() ? "" : ": ", why));
  }

  // --- tables ---
  /// `ends`: null if nothing follows.
  void visit(std::uint8_t table, Beam beam, int nesting, Ends* ends) {
    if (error) return;
    if (nesting >= kMaxNesting) {
      if (ends != nullptr) ends->some_ended = true;
      return;
    }
    if (++visits > limits.visits)
      return fail(fmt::format("cannot verify: more than {} sets of packets are to be told apart",
                              limits.visits),
                  "fewer rules that match parts of addresses, or fewer ports that are treated each "
                  "in its own way");
    if (!visitor->wants(table, beam)) {
      if (ends != nullptr) ends->beams.push_back(std::move(beam));
      return;
    }
    const datapath::Match now = beam.now();
    std::vector<std::uint32_t> candidates;
    for (const MaskGroup& group : tables[table])
      group.each_candidate(now, [&](std::uint32_t r) { candidates.push_back(r); });
    std::sort(candidates.begin(), candidates.end());  // by priority

    std::vector<Cube> taken;                 // of higher priorities, as sent
    std::vector<std::size_t> takers;         // by which rules
    std::vector<std::uint32_t> same_takers;  // of the priority at hand
    std::vector<Cube> same_taken;
    int priority = -1;
    bool all_taken = false, all_taken_here = false;
    for (const std::uint32_t r : candidates) {
      const Rule& rule = rules[r];
      if (rule.priority != priority) {
        priority = rule.priority;
        taken.insert(taken.end(), same_taken.begin(), same_taken.end());
        takers.insert(takers.end(), same_takers.begin(), same_takers.end());
        same_taken.clear();
        same_takers.clear();
        all_taken = all_taken || all_taken_here;
      }
      const bool asked = is_named(rule) && visitor->asks_about(r);
      if (all_taken && !asked) continue;
      Cube part;
      if (!condition(beam, rule.match, part)) continue;
      if (all_taken) {
        visitor->hidden(r, takers);
        continue;
      }
      const bool everything = part.covers(beam.sent);
      same_taken.push_back(part);
      same_takers.push_back(r);
      all_taken_here = all_taken_here || everything;
      if (!asked && !matters(rule)) {
        if (ends != nullptr) ends->some_ended = true;
        continue;
      }
      Beam mine = beam;
      if (!everything) narrow(mine, part);
      for (const Cube& c : taken)
        if (c.overlaps(mine.sent)) mine.without.push_back(c);
      if (asked) {
        if (mine.is_inhabited(limits.cubes))
          visitor->used(r);
        else
          visitor->hidden(r, takers);
      }
      act(rule, 0, std::move(mine), {table, nesting}, ends);
      if (error) return;
    }
    if (all_taken || all_taken_here || ends == nullptr) return;
    beam.without.insert(beam.without.end(), taken.begin(), taken.end());
    beam.without.insert(beam.without.end(), same_taken.begin(), same_taken.end());
    ends->beams.push_back(std::move(beam));  // no rule: nothing happens
  }

  /// Whether anything but the end of the packet follows.
  static bool matters(const Rule& rule) {
    return !rule.actions.empty() && rule.actions.front().kind != ActionKind::drop &&
           rule.actions.front().kind != ActionKind::reject;
  }

  // --- actions ---
  void act(const Rule& rule, std::size_t next, Beam beam, Position where, Ends* ends) {
    act(rule, rule.actions, next, std::move(beam), where, ends);
  }
  void act(const Rule& rule, const std::vector<Action>& actions, std::size_t next, Beam beam,
           Position where, Ends* ends) {
    for (std::size_t i = next; i < actions.size(); ++i) {
      if (error) return;
      const Action& a = actions[i];
      const bool last = i + 1 == actions.size();
      switch (a.kind) {
        case ActionKind::resubmit:
        case ActionKind::goto_table: {
          if (a.kind == ActionKind::resubmit && a.port != Action::kSamePort)
            return cannot(rule, a, "with another port");
          const auto table =
              a.table == Action::kSameTable ? where.table : static_cast<std::uint8_t>(a.table);
          if (last) return visit(table, std::move(beam), where.nesting + 1, ends);
          Ends back;
          visit(table, beam, where.nesting + 1, &back);
          if (ends != nullptr) ends->some_ended = ends->some_ended || back.some_ended;
          const bool as_before =
              !back.some_ended && std::all_of(back.beams.begin(), back.beams.end(),
                                              [&](const Beam& b) { return b.treated_as(beam); });
          if (as_before) break;
          for (Beam& b : back.beams) act(rule, actions, i + 1, std::move(b), where, ends);
          return;
        }
        case ActionKind::group:
          if (!run_group(rule, a, beam, where)) return;
          break;
        case ActionKind::clone:
          act(rule, a.nested, 0, beam, where, nullptr);
          break;
        case ActionKind::multipath:  // each link for some packets
          for (std::uint32_t link = 0; link < a.number; ++link) {
            Action choice = a;
            choice.value = datapath::shift_left({0, link}, a.target.from);
            choice.mask = datapath::shift_left(datapath::low_ones(a.target.bits), a.target.from);
            Beam branch = beam;
            if (!write(rule, choice, branch)) return;
            act(rule, actions, i + 1, std::move(branch), where, ends);
          }
          return;
        case ActionKind::ct:
          track(rule, a, beam, where);
          break;
        default: {
          const auto goes_on = simple(rule, a, beam);
          if (!goes_on) {
            if (ends != nullptr) ends->some_ended = true;
            return;
          }
        }
      }
    }
    if (ends != nullptr && !error) ends->beams.push_back(std::move(beam));
  }

  /// Actions with one outcome. False: the packet's way ends.
  bool simple(const Rule& rule, const Action& a, Beam& beam) {
    switch (a.kind) {
      case ActionKind::output:
        deliver(beam, a.port);
        return true;
      case ActionKind::output_field: {
        const auto& field = datapath::info(a.source.field);
        const datapath::Match now = beam.now();
        const Ip6 ones = datapath::field_ones(field), known = datapath::read_field(now.mask, field);
        if (known != ones || a.source.bits != field.bits) {
          cannot(rule, a, "the port is not one and the same for all packets");
          return false;
        }
        deliver(beam, static_cast<std::uint32_t>(datapath::read_field(now.value, field).low));
        return true;
      }
      case ActionKind::set:
        return write(rule, a, beam);
      case ActionKind::move:
        return move(rule, a, beam);
      case ActionKind::dec_ttl: {
        const auto ttl = beam.value.get(at::nw_ttl);
        if (beam.known.get(at::nw_ttl) != at::nw_ttl.ones()) {
          cannot(rule, a, "the TTL is not known");
          return false;
        }
        if (ttl <= 1) return false;
        set_constant(beam, Field::nw_ttl, ttl - 1);
        return true;
      }
      case ActionKind::ct_clear:
        forget_connection(beam);
        return true;
      // Nothing that others would receive, and nothing that later tables would see.
      case ActionKind::note:
      case ActionKind::meter:
      case ActionKind::controller:
      case ActionKind::dns_reply:  // only queries for its names end here
        return true;
      // Later packets get into a register what this one has there: it is a choice that they have
      // without the rule, too.
      case ActionKind::learn:
        if (!remembers_only(a.learn[0])) {
          cannot(rule, a, "the rule does more than to remember a choice");
          return false;
        }
        return true;
      // Answers go back to where the packet came from.
      case ActionKind::drop:
      case ActionKind::exit:
      case ActionKind::in_port:
      case ActionKind::arp_reply:
      case ActionKind::nd_reply:
      case ActionKind::icmp_echo_reply:
      case ActionKind::icmp_error:
      case ActionKind::dhcp_reply:
      case ActionKind::dhcpv6_reply:
      case ActionKind::reject:
        return false;
      default:
        cannot(rule, a, "");
        return false;
    }
  }

  static bool remembers_only(const datapath::Learn& learn) {
    return std::all_of(learn.specs.begin(), learn.specs.end(), [](const datapath::LearnSpec& s) {
      return s.kind == datapath::LearnSpec::Kind::match ||
             (s.kind == datapath::LearnSpec::Kind::load && !s.immediate && s.source == s.target);
    });
  }

  void deliver(const Beam& beam, std::uint32_t port) {
    if (beam.value.get(at::in_port) != port) visitor->deliver(port, beam);
  }

  /// Whether the packets have the field; none: some have.
  static std::optional<bool> has(const Beam& beam, datapath::Prerequisite needs) {
    if (needs == datapath::Prerequisite::none) return true;
    const datapath::Match now = beam.now();
    FlowMask looked;
    datapath::look_at_prerequisites(looked, needs);
    for (unsigned i = 0; i < kKeyWords; ++i)
      if ((looked.w[i] & ~now.mask.w[i]) != 0) return std::nullopt;
    return datapath::prerequisites_hold(needs, now.value);
  }

  bool write(const Rule& rule, const Action& a, Beam& beam) {
    const auto& field = datapath::info(a.target.field);
    const auto there = has(beam, field.needs);
    if (!there || field.needs == datapath::Prerequisite::vlan || field.id == Field::vlan_vid ||
        field.id == Field::vlan_tci) {
      cannot(rule, a, there ? "" : "not all packets have the field");
      return false;
    }
    if (*there) set_constant(beam, field, a.value, a.mask);
    return true;
  }

  bool move(const Rule& rule, const Action& a, Beam& beam) {
    const auto from = has(beam, datapath::info(a.source.field).needs);
    const auto to = has(beam, datapath::info(a.target.field).needs);
    if (!from || !to) {
      cannot(rule, a, "not all packets have the field");
      return false;
    }
    if (*from && *to) copy_range(beam, a.source, a.target);
    return true;
  }

  /// False: an error.
  bool run_group(const Rule& rule, const Action& a, const Beam& beam, Position where) {
    const auto it = groups.find(a.number);
    if (it == groups.end()) {
      cannot(rule, a, "there is no such group");
      return false;
    }
    for (const datapath::Bucket& bucket : it->second.buckets)
      act(rule, bucket.actions, 0, beam, {where.table, where.nesting + 1}, nullptr);
    return !error;
  }

  // --- connection tracking ---
  static void forget_connection(Beam& beam) {
    for (const Field f :
         {Field::ct_state, Field::ct_zone, Field::ct_mark, Field::ct_label, Field::ct_ipv6_src,
          Field::ct_ipv6_dst, Field::ct_nw_proto, Field::ct_tp_src, Field::ct_tp_dst})
      set_constant(beam, f, 0);
  }

  /// The packet goes on in another table, as connection tracking sees it; what is behind the
  /// action goes on with the packet as it was.
  void track(const Rule& rule, const Action& a, const Beam& beam, Position) {
    if (a.table == Action::kNoTable) {
      // What is sent is translated, but what later tables see of the packet is not.
      if (a.nat.kind == NatSpec::Kind::destination) cannot(rule, a, "nat(dst) without a table");
      return;
    }
    Beam after = beam;
    forget_connection(after);
    set_constant(after, Field::ct_state, kTracked | kNew);
    if (a.zone_from_field)
      copy_range(after, a.source, {Field::ct_zone, 0, 16});
    else
      set_constant(after, Field::ct_zone, a.zone);
    copy_field(after, Field::ipv6_src, Field::ct_ipv6_src);
    copy_field(after, Field::ipv6_dst, Field::ct_ipv6_dst);
    copy_field(after, Field::nw_proto, Field::ct_nw_proto);
    copy_field(after, Field::tp_src, Field::ct_tp_src);
    copy_field(after, Field::tp_dst, Field::ct_tp_dst);
    for (const Action& nested : a.nested) {
      const bool done = nested.kind == ActionKind::set    ? write(rule, nested, after)
                        : nested.kind == ActionKind::move ? move(rule, nested, after)
                                                          : false;
      if (!done) return cannot(rule, nested, "");
    }
    const auto table = static_cast<std::uint8_t>(a.table);
    if (!a.nat.chooses()) return visit(table, std::move(after), 0, nullptr);
    if (!a.commit) return cannot(rule, a, "nat() that chooses without commit");
    translate(rule, a, std::move(after), table);
  }

  void translate(const Rule& rule, const Action& a, Beam beam, std::uint8_t table) {
    const NatSpec& nat = a.nat;
    const bool source = nat.kind == NatSpec::Kind::source;
    const auto family =
        has(beam, nat.is6 ? datapath::Prerequisite::ip6 : datapath::Prerequisite::ip4);
    if (nat.has_address) {
      if (!family) return cannot(rule, a, "packets of two families");
      if (!*family) return;  // refused by the switch
      if (nat.min != nat.max) return cannot(rule, a, "a range of addresses");
      const auto& field = datapath::info(nat.is6 ? (source ? Field::ipv6_src : Field::ipv6_dst)
                                                 : (source ? Field::nw_src : Field::nw_dst));
      set_constant(beam, field, nat.min, datapath::field_ones(field));
    }
    const std::uint64_t state = kTracked | kNew | (source ? kSnat : kDnat);
    set_constant(beam, Field::ct_state, state);
    // Ports exist in TCP and UDP only; a source port may have to give way to another connection's.
    const bool ports = nat.port_min != 0 || source;
    if (!ports) return visit(table, std::move(beam), 0, nullptr);
    for (const std::uint64_t protocol : {std::uint64_t{6}, std::uint64_t{17}}) {
      Cube part;
      const Cube of = Cube::of(Field::nw_proto, protocol);
      if (!condition(beam, of.match(), part)) continue;
      Beam one = beam;
      narrow(one, part);
      const Field field = source ? Field::tp_src : Field::tp_dst;
      if (nat.port_min != 0 && nat.port_min == nat.port_max)
        set_constant(one, field, nat.port_min);
      else if (!make_up(one, field))
        return cannot(rule, a, "too many translations in a row");
      visit(table, std::move(one), 0, nullptr);
      beam.without.push_back(part);
    }
    visit(table, std::move(beam), 0, nullptr);
  }
};

SymbolicTables::SymbolicTables(std::vector<Rule> rules, std::vector<datapath::Group> groups,
                               Limits limits)
    : impl_(std::make_unique<Impl>()) {
  impl_->rules = std::move(rules);
  impl_->limits = limits;
  for (datapath::Group& g : groups) impl_->groups.emplace(g.id, std::move(g));
  impl_->build();
}
SymbolicTables::~SymbolicTables() = default;
SymbolicTables::SymbolicTables(SymbolicTables&&) noexcept = default;
SymbolicTables& SymbolicTables::operator=(SymbolicTables&&) noexcept = default;

const std::vector<Rule>& SymbolicTables::rules() const { return impl_->rules; }
std::uint64_t SymbolicTables::visits() const { return impl_->visits; }

Result<> SymbolicTables::run(std::uint8_t table, const Beam& beam, Visitor& visitor) {
  impl_->visitor = &visitor;
  impl_->error.reset();
  impl_->visit(table, beam, 0, nullptr);
  if (impl_->error) return *impl_->error;
  return {};
}

}  // namespace weft::control
