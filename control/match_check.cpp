#include "control/match_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/expression_symbols.h"
#include "control/policy_flows.h"
#include "control/tenant_names.h"

namespace weft::control {
namespace {

constexpr ParseOptions kAny{.any_comparison = true};
/// A symbol may need several things of both families.
constexpr std::size_t kFamilies = 4;

std::size_t times(std::size_t a, std::size_t b) {
  return a != 0 && b > kMostMatches / a ? kMostMatches + 1 : a * b;
}

bool mentions_symbol(const Expression& e, std::string_view name) {
  if (e.kind == Expression::Kind::compare && e.symbol->name == name) return true;
  return std::any_of(e.children.begin(), e.children.end(),
                     [&](const Expression& c) { return mentions_symbol(c, name); });
}

bool asks_for_residence(const Expression& e) {
  return e.kind == Expression::Kind::resident ||
         std::any_of(e.children.begin(), e.children.end(), asks_for_residence);
}

std::size_t members(const Operand& o, const TenantNames& names, const Reference* alone) {
  const bool set = o.kind == Operand::Kind::address_set;
  if (!set && o.kind != Operand::Kind::port_group) return 1;
  if (alone != nullptr && alone->kind == o.kind && alone->name == o.name) return 1;
  return (set ? names.set_size(o.name) : names.group_size(o.name)).value_or(0);
}

/// At least as many as it becomes, if the set `alone` has one member.
std::size_t estimate(const Expression& e, const TenantNames& names, const Reference* alone) {
  switch (e.kind) {
    case Expression::Kind::truth:
    case Expression::Kind::resident:
      return 1;
    case Expression::Kind::predicate:
      return 2 * 64;
    case Expression::Kind::compare: {
      std::size_t n = 0;
      for (const Operand& o : e.operands) n += members(o, names, alone);
      if (e.relation != Relation::eq) n = (n + 1) * 2 * std::max<std::size_t>(e.bits, 1);
      return times(n, kFamilies);
    }
    case Expression::Kind::all_of: {
      std::size_t n = 1;
      for (const Expression& c : e.children) n = times(n, estimate(c, names, alone));
      return n;
    }
    case Expression::Kind::any_of: {
      std::size_t n = 0;
      for (const Expression& c : e.children)
        n = std::min(n + estimate(c, names, alone), kMostMatches + 1);
      return n;
    }
  }
  return kMostMatches + 1;
}

Result<> check_size(const Expression& e, const Acl* acl, const TenantNames& names) {
  const auto split = acl != nullptr ? splittable_reference(e) : std::nullopt;
  if (estimate(e, names, split ? &*split : nullptr) <= kMostMatches) return {};
  const auto verdict = [](const auto& matches) -> Result<> {
    if (!matches) return matches.error();
    return {};
  };
  if (!split) return verdict(to_matches(e, names, {kMostMatches}));
  Element one;
  if (split->kind == Operand::Kind::address_set) {
    const auto all = names.address_set(split->name);
    if (!all || all->empty()) return {};
    one.constant = all->front();
  } else {
    const auto all = names.port_group(split->name);
    if (!all || all->empty()) return {};
    one.port = all->front();
  }
  return verdict(to_matches(e, names, *split, one, {kMostMatches}));
}

}  // namespace

Result<> check_match(const std::string& match, MatchUse use, const Acl* acl, const Intent& intent,
                     const std::string& tenant) {
  const auto parsed = parse_expression(match, kAny);
  if (!parsed)
    return Error{fmt::format("has a match that cannot be read: {}", parsed.error().text()), {}, ""};
  const IntentNames names(intent, tenant);
  const References all = parsed->references();
  for (const std::string& set : all.address_sets)
    if (!names.set_size(set))
      return Error{
          fmt::format("matches ${}, but tenant '{}' has no such address set", set, tenant), {}, ""};
  for (const std::string& group : all.port_groups)
    if (!names.group_size(group))
      return Error{
          fmt::format("matches @{}, but tenant '{}' has no such group", group, tenant), {}, ""};
  if (use == MatchUse::from_port && mentions_symbol(*parsed, "outport"))
    return Error{"judges what ports send by `outport`, which is not known then", {}, ""};
  if (use != MatchUse::router && asks_for_residence(*parsed))
    return Error{"asks is_chassis_resident(), but its rules are the same everywhere", {}, ""};
  const Expression e = acl != nullptr ? without_own_scope(*parsed, *acl) : *parsed;
  if (auto done = check_size(e, acl, names); !done)
    return Error{
        fmt::format("has a match that becomes too many: {}", done.error().message), {}, ""};
  return {};
}

std::set<std::string> names_in(const std::string& match) {
  std::set<std::string> out;
  const auto parsed = parse_expression(match, kAny);
  if (!parsed) return out;
  const References all = parsed->references();
  out = all.port_groups;
  for (const std::string& set : all.address_sets) {
    out.insert(set);
    if (set.ends_with("_ip4") || set.ends_with("_ip6")) out.insert(set.substr(0, set.size() - 4));
  }
  return out;
}

}  // namespace weft::control
