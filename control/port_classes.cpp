#include "control/port_classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "control/logical.h"

namespace weft::control {
namespace {

using datapath::Action;
using datapath::ActionKind;
using datapath::Field;
using datapath::FieldInfo;
using datapath::Rule;
namespace at = datapath::place;

/// What kind of identity a value is.
enum class Domain : std::uint8_t { none, port, key, mac, ip4, ip6 };

Domain domain_of(Field field) {
  switch (field) {
    case Field::in_port:
    case Field::reg13:
      return Domain::port;
    case Field::reg14:
    case Field::reg15:
      return Domain::key;
    case Field::eth_src:
    case Field::eth_dst:
    case Field::arp_sha:
    case Field::arp_tha:
    case Field::nd_sll:
    case Field::nd_tll:
      return Domain::mac;
    case Field::nw_src:
    case Field::nw_dst:
    case Field::arp_spa:
    case Field::arp_tpa:
    case Field::ct_nw_src:
    case Field::ct_nw_dst:
    case Field::reg4:
      return Domain::ip4;
    case Field::ipv6_src:
    case Field::ipv6_dst:
    case Field::ct_ipv6_src:
    case Field::ct_ipv6_dst:
    case Field::nd_target:
    case Field::xxreg1:
      return Domain::ip6;
    default:
      return Domain::none;
  }
}

/// Fields of a match that can hold an identity; those that share bits with one that comes before
/// in a packet of this kind are left out.
std::vector<Field> fields_of(const datapath::Match& m) {
  const bool is6 = m.mask.get(at::eth_type) == 0xffff && m.value.get(at::eth_type) == 0x86dd;
  const auto& wide = datapath::info(Field::xxreg1);
  const Ip6 next_hop = datapath::read_field(m.mask, wide);
  const bool wide_hop = (next_hop.high & 0xffffffffULL) != 0 || next_hop.low != 0;
  std::vector<Field> out = {Field::in_port, Field::reg13,   Field::reg14,
                            Field::reg15,   Field::eth_src, Field::eth_dst,
                            Field::arp_sha, Field::arp_tha, wide_hop ? Field::xxreg1 : Field::reg4};
  if (is6)
    out.insert(out.end(), {Field::ipv6_src, Field::ipv6_dst, Field::nd_target, Field::ct_ipv6_src,
                           Field::ct_ipv6_dst});
  else
    out.insert(out.end(), {Field::nw_src, Field::nw_dst, Field::ct_nw_src, Field::ct_nw_dst});
  return out;
}

bool is_zero(const Ip6& v) { return v.high == 0 && v.low == 0; }

/// One value that may be an identity. `datapath`: of keys; 0: not known.
struct Value {
  Domain domain = Domain::none;
  std::uint32_t datapath = 0;
  Ip6 value{};
  auto operator<=>(const Value&) const = default;
};

/// A condition on, or a change of, a part of a value.
struct Part {
  Domain domain = Domain::none;
  std::uint32_t datapath = 0;
  Ip6 value{}, mask{};
  auto operator<=>(const Part&) const = default;
};

/// A rule, or one of the copies it makes, whose values can be read and replaced.
struct Template {
  Rule rule;
  std::uint32_t datapath = 0;  ///< that its keys are of

  /// Calls visit(domain, datapath, value, mask) for each value; `mask` is of the field's bits, and
  /// `value` may be changed.
  template <class Visit>
  void each(Visit visit) {
    for (const Field f : fields_of(rule.match)) {
      const FieldInfo& field = datapath::info(f);
      const Ip6 mask = datapath::read_field(rule.match.mask, field);
      if (is_zero(mask)) continue;
      Ip6 value = datapath::read_field(rule.match.value, field);
      visit(domain_of(f), datapath, value, full(field, mask), mask);
      datapath::write_field(rule.match.value, field, value);
    }
    std::uint32_t scope = datapath;
    each_action(rule.actions, scope, visit);
  }

 private:
  static bool full(const FieldInfo& field, Ip6 mask) { return mask == datapath::field_ones(field); }
  template <class Visit>
  static void address(IpAddress& a, Visit& visit) {
    visit(a.is6 ? Domain::ip6 : Domain::ip4, 0, a.bits, true, Ip6{});
  }
  template <class Visit>
  static void each_action(std::vector<Action>& actions, std::uint32_t& scope, Visit& visit) {
    for (Action& a : actions) {
      each_action(a.nested, scope, visit);
      switch (a.kind) {
        case ActionKind::set: {
          const FieldInfo& field = datapath::info(a.target.field);
          if (field.id == Field::metadata) scope = static_cast<std::uint32_t>(a.value.low);
          if (domain_of(field.id) == Domain::none) break;
          visit(domain_of(field.id), scope, a.value, full(field, a.mask), a.mask);
          break;
        }
        case ActionKind::output: {
          Ip6 value{0, a.port};
          visit(Domain::port, 0, value, true, Ip6{});
          a.port = static_cast<std::uint32_t>(value.low);
          break;
        }
        case ActionKind::arp_reply:
        case ActionKind::nd_reply: {
          Ip6 value{0, a.mac.to_u64()};
          visit(Domain::mac, 0, value, true, Ip6{});
          a.mac = Mac::from_u64(value.low);
          break;
        }
        case ActionKind::icmp_error:
          address(a.address, visit);
          break;
        case ActionKind::ct:
          if (!a.nat.has_address) break;
          visit(a.nat.is6 ? Domain::ip6 : Domain::ip4, 0, a.nat.min, true, Ip6{});
          visit(a.nat.is6 ? Domain::ip6 : Domain::ip4, 0, a.nat.max, true, Ip6{});
          break;
        case ActionKind::dhcp_reply:
          for (auto& lease : a.dhcp) {
            Ip6 client{0, lease.address.value};
            visit(Domain::ip4, 0, client, true, Ip6{});
            lease.address.value = static_cast<std::uint32_t>(client.low);
          }
          break;
        default:
          break;
      }
    }
  }
};

std::uint32_t datapath_of(const datapath::Match& m) {
  return m.mask.get(at::metadata) == at::metadata.ones()
             ? static_cast<std::uint32_t>(m.value.get(at::metadata))
             : 0;
}

/// The copies that a rule makes, or the rule.
std::vector<Template> taken_apart(const Rule& rule) {
  const std::uint32_t datapath = datapath_of(rule.match);
  std::vector<std::vector<Action>> copies(1);
  for (const Action& a : rule.actions) {
    copies.back().push_back(a);
    if (a.kind == ActionKind::resubmit) copies.emplace_back();
  }
  if (copies.back().empty()) copies.pop_back();
  if (copies.size() < 2) return {{rule, datapath}};
  const auto shape = [](const std::vector<Action>& actions) {
    std::vector<std::tuple<ActionKind, Field, std::uint8_t, std::uint8_t, std::uint16_t>> out;
    for (const Action& a : actions)
      out.emplace_back(a.kind, a.target.field, a.target.from, a.target.bits, a.table);
    return out;
  };
  const auto first = shape(copies.front());
  for (const auto& actions : copies)
    if (shape(actions) != first) return {{rule, datapath}};
  Rule head = rule;
  head.actions.clear();
  std::vector<Template> out(copies.size(), {head, datapath});
  for (std::size_t i = 0; i < copies.size(); ++i) out[i].rule.actions = std::move(copies[i]);
  return out;
}

std::optional<std::string> bad_move(const Rule& rule, const std::vector<Action>& actions) {
  for (const Action& a : actions) {
    if (auto bad = bad_move(rule, a.nested)) return bad;
    if (a.kind != ActionKind::move) continue;
    const bool whole = a.source.bits == datapath::info(a.source.field).bits &&
                       a.target.bits == datapath::info(a.target.field).bits;
    const Domain from = domain_of(a.source.field), to = domain_of(a.target.field);
    if (from != to || (from != Domain::none && !whole))
      return fmt::format("rule `{}` copies {} where it cannot be told apart from other values",
                         datapath::format_rule(rule), datapath::format_actions({a}));
  }
  return std::nullopt;
}

class Classifier {
 public:
  explicit Classifier(const std::vector<PortIdentity>& ports) : ports_(ports) {
    for (std::size_t i = 0; i < ports.size(); ++i)
      for (const auto& [value, name] : identities(ports[i])) owners_[value].emplace_back(i, name);
    templates_.resize(ports.size());
  }

  void add(const Rule& rule) {
    for (Template& t : taken_apart(rule)) add_template(t);
  }

  std::vector<std::uint32_t> classes() {
    std::map<Signature, std::uint32_t> numbers;
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      std::sort(templates_[i].begin(), templates_[i].end());
      Signature s{ports_[i].datapath, shape(ports_[i]), std::move(templates_[i]), parts_true_of(i)};
      const auto next = static_cast<std::uint32_t>(numbers.size());
      out.push_back(numbers.try_emplace(std::move(s), next).first->second);
    }
    return out;
  }

 private:
  /// Network, families of the addresses, templates, conditions that are true of it.
  using Signature = std::tuple<std::uint32_t, std::string, std::vector<std::uint32_t>,
                               std::vector<std::uint32_t>>;
  using Named = std::pair<Value, std::uint64_t>;

  /// Every value that is the port's, and what templates say instead.
  static std::vector<Named> identities(const PortIdentity& p) {
    std::vector<Named> out = {{{Domain::port, 0, {0, p.of_port}}, 1},
                              {{Domain::key, p.datapath, {0, p.key}}, 2},
                              {{Domain::mac, 0, {0, p.mac.to_u64()}}, 3},
                              {{Domain::ip6, 0, link_local(p.mac)}, 4}};
    std::uint64_t n = 16;
    for (const IpAddress& a : p.addresses)
      out.push_back({{a.is6 ? Domain::ip6 : Domain::ip4, 0, a.bits}, n++});
    return out;
  }
  static std::string shape(const PortIdentity& p) {
    std::string out;
    for (const IpAddress& a : p.addresses) out += a.is6 ? '6' : '4';
    return out;
  }

  void add_template(Template& t) {
    std::set<std::size_t> mentioned;
    t.each([&](Domain domain, std::uint32_t datapath, Ip6& value, bool full, Ip6 mask) {
      if (!full) {
        parts_.insert({domain, domain == Domain::key ? datapath : 0, value, mask});
        return;
      }
      each_owner(domain, datapath, value,
                 [&](std::size_t port, std::uint64_t) { mentioned.insert(port); });
    });
    for (const std::size_t port : mentioned) {
      Template mine = t;
      std::string names;
      mine.each([&](Domain domain, std::uint32_t datapath, Ip6& value, bool full, Ip6) {
        if (!full) return;
        std::uint64_t name = 0;
        each_owner(domain, datapath, value, [&](std::size_t owner, std::uint64_t n) {
          if (owner == port) name = n;
        });
        names += fmt::format("{},", name);
        if (name != 0) value = {};
      });
      const std::string text = names + datapath::format_rule(mine.rule);
      const auto next = static_cast<std::uint32_t>(interned_.size());
      templates_[port].push_back(interned_.try_emplace(text, next).first->second);
    }
  }

  template <class Visit>
  void each_owner(Domain domain, std::uint32_t datapath, Ip6 value, Visit visit) const {
    if (domain != Domain::key) datapath = 0;
    if (domain == Domain::key && datapath == 0) {  // of any network
      for (auto it = owners_.lower_bound({domain, 0, {}});
           it != owners_.end() && it->first.domain == domain; ++it)
        if (it->first.value == value)
          for (const auto& [port, name] : it->second) visit(port, name);
      return;
    }
    const auto it = owners_.find({domain, datapath, value});
    if (it == owners_.end()) return;
    for (const auto& [port, name] : it->second) visit(port, name);
  }

  std::vector<std::uint32_t> parts_true_of(std::size_t port) const {
    std::vector<std::uint32_t> out;
    const auto mine = identities(ports_[port]);
    std::uint32_t number = 0;
    for (const Part& part : parts_) {
      ++number;
      for (const auto& [value, name] : mine) {
        const bool here =
            value.domain == part.domain && (part.datapath == 0 || value.datapath == part.datapath);
        const Ip6 &v = value.value, &m = part.mask;
        if (here && (v.high & m.high) == (part.value.high & m.high) &&
            (v.low & m.low) == (part.value.low & m.low)) {
          out.push_back(number);
          out.push_back(static_cast<std::uint32_t>(name));
        }
      }
    }
    return out;
  }

  const std::vector<PortIdentity>& ports_;
  std::map<Value, std::vector<std::pair<std::size_t, std::uint64_t>>> owners_;
  std::map<std::string, std::uint32_t> interned_;
  std::vector<std::vector<std::uint32_t>> templates_;
  std::set<Part> parts_;
};

}  // namespace

PortClasses classify_ports(const std::vector<PortIdentity>& ports, const std::vector<Rule>& rules,
                           const std::vector<datapath::Group>& groups) {
  std::vector<Rule> all = rules;
  for (const datapath::Group& g : groups)
    for (const datapath::Bucket& b : g.buckets) {
      all.emplace_back();
      all.back().cookie = g.id;
      all.back().actions = b.actions;
    }
  PortClasses out;
  for (const Rule& rule : all)
    if (auto bad = bad_move(rule, rule.actions)) out.why = *bad;
  if (!out.why.empty()) {
    for (std::uint32_t i = 0; i < ports.size(); ++i) out.of.push_back(i);
    return out;
  }
  Classifier classifier(ports);
  for (const Rule& rule : all) classifier.add(rule);
  out.of = classifier.classes();
  return out;
}

}  // namespace weft::control
