#include "control/expression_match.h"

#include <fmt/core.h>

#include <algorithm>

#include "control/expression_bits.h"
#include "control/expression_symbols.h"

namespace weft::control {
namespace {

Ip6 shifted_up(Ip6 v, unsigned by) {
  if (by == 0) return v;
  if (by >= 64) return {v.low << (by - 64), 0};
  return {v.high << by | v.low >> (64 - by), v.low << by};
}

Ip6 shifted_down(Ip6 v, unsigned by) {
  if (by == 0) return v;
  if (by >= 64) return {0, v.high >> (by - 64)};
  return {v.high >> by, v.low >> by | v.high << (64 - by)};
}

Error unknown(const Operand& o) {
  return {o.kind == Operand::Kind::address_set ? fmt::format("there is no address set '{}'", o.name)
                                               : fmt::format("there is no port group '{}'", o.name),
          {},
          "create it before the match that names it"};
}

/// The numbers that a comparison names, sets and all.
Result<std::vector<Constant>> numbers_of(const Expression& e, const Resolver& names) {
  std::vector<Constant> out;
  for (const Operand& o : e.operands) {
    if (o.kind == Operand::Kind::constant) {
      out.push_back(o.constant);
      continue;
    }
    const auto members = names.address_set(o.name);
    if (!members) return unknown(o);
    for (const Constant& c : *members) {
      if (c.width() > e.bits)
        return Error{fmt::format("{} of address set '{}' has {} bits, too many for {} with {}",
                                 c.text(), o.name, c.width(), e.symbol->name, e.bits),
                     {},
                     "keep IPv4, IPv6 and Ethernet addresses in sets of their own"};
      out.push_back(c);
    }
  }
  return out;
}

/// The ports that a comparison names, groups and all.
std::optional<Error> collect_ports(const Expression& e, const Resolver& names,
                                   std::vector<std::string>& out) {
  for (const Operand& o : e.operands) {
    if (o.kind == Operand::Kind::port) {
      out.push_back(o.name);
      continue;
    }
    const auto members = names.port_group(o.name);
    if (!members) return unknown(o);
    out.insert(out.end(), members->begin(), members->end());
  }
  return std::nullopt;
}

PortSide side_of(const Symbol& symbol) {
  return symbol.name == "inport" ? PortSide::in : PortSide::out;
}

bool compares(Ip6 a, Relation r, Ip6 b) {
  switch (r) {
    case Relation::lt:
      return a < b;
    case Relation::le:
      return a <= b;
    case Relation::gt:
      return a > b;
    default:
      return a >= b;
  }
}

Result<bool> evaluate_compare(const Expression& e, const Resolver& names,
                              const datapath::FlowKey& packet) {
  bool among = false;
  if (e.bits == 0) {
    std::vector<std::string> ports;
    if (auto wrong = collect_ports(e, names, ports)) return std::move(*wrong);
    for (const std::string& name : ports) {
      const auto cube = names.port(side_of(*e.symbol), name);
      among = among || (cube && cube->contains(packet));
    }
  } else {
    const auto numbers = numbers_of(e, names);
    if (!numbers) return numbers.error();
    const Ip6 field = datapath::read_field(packet, datapath::info(e.symbol->field));
    const Ip6 cut = shifted_down(field, e.symbol->first + e.first), all = ones(e.bits);
    const Ip6 value{cut.high & all.high, cut.low & all.low};
    if (e.relation != Relation::eq && e.relation != Relation::ne)
      return compares(value, e.relation, numbers->front().value);
    for (const Constant& c : *numbers) {
      const Ip6 mask = c.masked ? c.mask : all;
      among = among || Ip6{value.high & mask.high, value.low & mask.low} == c.value;
    }
  }
  return among == (e.relation == Relation::eq);
}

/// What does not depend on names: what symbols need, and what predicates and their opposites mean.
struct Meanings {
  std::vector<CubeSet> needs, is, is_not;
};
const Meanings& meanings();

/// Expressions to cubes, within limits.
class Converter {
 public:
  Converter(const Resolver& names, const Meanings& known, Limits limits)
      : names_(names), known_(known), most_(limits.matches) {}

  Result<CubeSet> convert(const Expression& e) const {
    switch (e.kind) {
      case Expression::Kind::truth:
        return e.positive ? CubeSet::everything() : CubeSet{};
      case Expression::Kind::resident:
        return names_.is_resident(e.operands.front().name) == e.positive ? CubeSet::everything()
                                                                         : CubeSet{};
      case Expression::Kind::predicate:
        return (e.positive ? known_.is : known_.is_not)[e.symbol->index];
      case Expression::Kind::compare:
        return e.bits == 0 ? compare_ports(e) : compare_numbers(e);
      case Expression::Kind::all_of:
        return all_of(e);
      case Expression::Kind::any_of:
        return any_of(e);
    }
    return CubeSet{};
  }

 private:
  Error too_many() const {
    return {fmt::format("the match expands to more than {} matches of OpenFlow", most_),
            {},
            "split it: two large sets in one && multiply, and != of a large set is many prefixes"};
  }

  Result<CubeSet> all_of(const Expression& e) const {
    std::vector<CubeSet> parts;
    parts.reserve(e.children.size());
    for (const Expression& child : e.children) {
      auto part = convert(child);
      if (!part) return part;
      parts.push_back(std::move(*part));
    }
    std::stable_sort(parts.begin(), parts.end(),
                     [](const CubeSet& a, const CubeSet& b) { return a.size() < b.size(); });
    CubeSet out = std::move(parts.front());
    for (std::size_t i = 1; i < parts.size(); ++i) {
      auto next = out.intersect_within(parts[i], most_);
      if (!next) return too_many();
      out = std::move(*next);
    }
    return out;
  }

  Result<CubeSet> any_of(const Expression& e) const {
    CubeSet out;
    for (const Expression& child : e.children) {
      auto part = convert(child);
      if (!part) return part;
      out.add(*part);
      // Duplicates go before it is too much, so that repetition costs nothing.
      if (out.size() > most_) out.reduce();
      if (out.size() > most_) return too_many();
    }
    out.reduce();
    return out;
  }

  Result<CubeSet> compare_ports(const Expression& e) const {
    std::vector<std::string> ports;
    if (auto wrong = collect_ports(e, names_, ports)) return std::move(*wrong);
    CubeSet out;
    for (const std::string& name : ports)
      if (const auto cube = names_.port(side_of(*e.symbol), name)) out.add(*cube);
    out.reduce();
    if (e.relation == Relation::eq) return out;
    auto others = CubeSet::everything().subtract_within(out, most_);
    if (!others) return too_many();
    return std::move(*others);
  }

  Result<CubeSet> compare_numbers(const Expression& e) const {
    const auto numbers = numbers_of(e, names_);
    if (!numbers) return numbers.error();
    const Ip6 all = ones(e.bits);
    std::vector<Bits> list;
    if (e.relation == Relation::eq || e.relation == Relation::ne) {
      list.reserve(numbers->size());
      for (const Constant& c : *numbers) list.push_back({c.masked ? c.mask : all, c.value});
      reduce(list);
      if (e.relation == Relation::ne) {
        auto rest = complement(list, e.bits, most_);
        if (!rest) return too_many();
        list = std::move(*rest);
      }
    } else {
      list = range_of(e.relation, numbers->front().value, all, e.bits);
    }
    const CubeSet& needs = known_.needs[e.symbol->index];
    if (list.size() * needs.size() > most_) return too_many();
    const unsigned up = e.symbol->first + e.first;
    std::vector<Cube> out;
    out.reserve(list.size() * needs.size());
    for (const Cube& need : needs.cubes())
      for (const Bits& b : list) {
        out.push_back(Cube::of(e.symbol->field, shifted_up(b.value, up), shifted_up(b.mask, up)));
        if (!out.back().narrow(need)) out.pop_back();
      }
    return CubeSet(std::move(out));
  }

  static std::vector<Bits> range_of(Relation r, Ip6 bound, Ip6 all, unsigned width) {
    const auto before = [](Ip6 v) { return Ip6{v.low == 0 ? v.high - 1 : v.high, v.low - 1}; };
    const auto after = [](Ip6 v) { return Ip6{v.low == ~0ULL ? v.high + 1 : v.high, v.low + 1}; };
    switch (r) {
      case Relation::lt:
        return bound == Ip6{} ? std::vector<Bits>{} : range({}, before(bound), width);
      case Relation::le:
        return range({}, bound, width);
      case Relation::gt:
        return bound == all ? std::vector<Bits>{} : range(after(bound), all, width);
      default:
        return range(bound, all, width);
    }
  }

  const Resolver& names_;
  const Meanings& known_;
  std::size_t most_;
};

const Meanings& meanings() {
  static const Meanings kMeanings = [] {
    Meanings m;
    const NameTable none;
    const Converter convert(none, m, Limits{});
    for (const Symbol& s : symbols().all()) {
      m.needs.push_back(s.needs.empty() ? CubeSet::everything()
                                        : convert.convert(s.needs.front()).value());
      m.is.push_back(s.stands_for.empty() ? CubeSet{}
                                          : convert.convert(s.stands_for.front()).value());
      m.is_not.push_back(s.stands_for.empty() ? CubeSet{} : m.is.back().complement());
    }
    return m;
  }();
  return kMeanings;
}

/// `field == $set` or `inport == @group`; none: the expression is something else.
std::optional<Reference> single_reference(const Expression& e) {
  if (e.kind != Expression::Kind::compare || e.relation != Relation::eq || e.operands.size() != 1)
    return std::nullopt;
  const Operand& o = e.operands.front();
  if (o.kind != Operand::Kind::address_set && o.kind != Operand::Kind::port_group)
    return std::nullopt;
  return Reference{o.kind, o.name};
}

std::size_t times_named(const Expression& e, const Reference& r) {
  std::size_t n = 0;
  for (const Operand& o : e.operands) n += o.kind == r.kind && o.name == r.name ? 1 : 0;
  for (const Expression& child : e.children) n += times_named(child, r);
  return n;
}

}  // namespace

std::optional<std::vector<Constant>> NameTable::address_set(std::string_view name) const {
  const auto it = address_sets.find(name);
  if (it == address_sets.end()) return std::nullopt;
  return it->second;
}

std::optional<std::vector<std::string>> NameTable::port_group(std::string_view name) const {
  const auto it = port_groups.find(name);
  if (it == port_groups.end()) return std::nullopt;
  return it->second;
}

std::optional<Cube> NameTable::port(PortSide side, std::string_view name) const {
  const auto it = ports.find(name);
  if (it == ports.end()) return std::nullopt;
  return Cube::of(side == PortSide::in ? in_register : out_register, it->second);
}

bool NameTable::is_resident(std::string_view port) const { return residents.contains(port); }

Result<bool> evaluate(const Expression& e, const Resolver& names, const datapath::FlowKey& packet) {
  switch (e.kind) {
    case Expression::Kind::truth:
      return e.positive;
    case Expression::Kind::resident:
      return names.is_resident(e.operands.front().name) == e.positive;
    case Expression::Kind::predicate: {
      auto is = evaluate(e.symbol->stands_for.front(), names, packet);
      if (!is) return is;
      return *is == e.positive;
    }
    case Expression::Kind::compare:
      if (!e.symbol->needs.empty()) {
        auto has = evaluate(e.symbol->needs.front(), names, packet);
        if (!has || !*has) return has;
      }
      return evaluate_compare(e, names, packet);
    case Expression::Kind::all_of:
    case Expression::Kind::any_of:
      break;
  }
  const bool all = e.kind == Expression::Kind::all_of;
  for (const Expression& child : e.children) {
    auto one = evaluate(child, names, packet);
    if (!one || *one != all) return one;
  }
  return all;
}

Result<CubeSet> to_cubes(const Expression& expression, const Resolver& names, Limits limits) {
  auto cubes = Converter(names, meanings(), limits).convert(expression);
  if (!cubes) return cubes;
  std::vector<Cube> real;
  real.reserve(cubes->size());
  for (const Cube& c : cubes->cubes())
    if (const auto some = c.existing()) real.push_back(*some);
  CubeSet out(std::move(real));
  out.reduce();
  return out;
}

Result<std::vector<datapath::Match>> to_matches(const Expression& expression, const Resolver& names,
                                                Limits limits) {
  const auto cubes = to_cubes(expression, names, limits);
  if (!cubes) return cubes.error();
  std::vector<datapath::Match> out;
  out.reserve(cubes->size());
  for (const Cube& c : cubes->cubes()) out.push_back(c.match());
  return out;
}

std::vector<Reference> splittable_references(const Expression& e) {
  std::vector<Reference> out;
  const auto consider = [&](const Expression& part) {
    const auto r = single_reference(part);
    if (r && times_named(e, *r) == 1) out.push_back(*r);
  };
  if (e.kind == Expression::Kind::all_of)
    for (const Expression& child : e.children) consider(child);
  else
    consider(e);
  return out;
}

std::optional<Reference> splittable_reference(const Expression& expression) {
  auto all = splittable_references(expression);
  if (all.empty()) return std::nullopt;
  return std::move(all.front());
}

std::optional<std::vector<Constant>> OneElement::address_set(std::string_view name) const {
  if (reference_.kind == Operand::Kind::address_set && name == reference_.name)
    return std::vector<Constant>{element_.constant};
  return names_.address_set(name);
}

std::optional<std::vector<std::string>> OneElement::port_group(std::string_view name) const {
  if (reference_.kind == Operand::Kind::port_group && name == reference_.name)
    return std::vector<std::string>{element_.port};
  return names_.port_group(name);
}

Result<std::vector<datapath::Match>> to_matches(const Expression& expression, const Resolver& names,
                                                const Reference& reference, const Element& element,
                                                Limits limits) {
  const auto all = splittable_references(expression);
  WEFT_CHECK(std::find(all.begin(), all.end(), reference) != all.end(),
             "'{}' cannot be split by {}", expression.text(), reference.name);
  return to_matches(expression, OneElement(names, reference, element), limits);
}

}  // namespace weft::control
