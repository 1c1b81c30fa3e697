#include "datapath/rule.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace weft::datapath {
namespace {

constexpr std::string_view kIgnored[] = {"duration", "n_packets", "n_bytes",
                                         "idle_age", "hard_age",  "importance"};
/// Words that stand alone; counts are always kept.
constexpr std::string_view kIgnoredWords[] = {"reset_counts", "no_packet_counts", "no_byte_counts"};

Result<std::uint64_t> read_number(std::string_view name, std::string_view text, std::uint64_t limit,
                                  int column) {
  int base = 10;
  std::string_view digits = text;
  if (digits.starts_with("0x")) {
    base = 16;
    digits.remove_prefix(2);
  }
  std::uint64_t v = 0;
  const auto [end, e] = std::from_chars(digits.data(), digits.data() + digits.size(), v, base);
  if (digits.empty() || e != std::errc{} || end != digits.data() + digits.size() || v > limit)
    return Error{fmt::format("'{}' is not a value of {}", text, name),
                 {"", 0, column},
                 fmt::format("write a number from 0 to {}", limit)};
  return v;
}

/// A setting of the rule itself: true if `name` is one.
Result<bool> read_setting(Rule& rule, std::string_view name, std::string_view value, int column) {
  const auto put = [&](auto& target, std::uint64_t limit) -> Result<bool> {
    auto n = read_number(name, value, limit, column);
    if (!n) return n.error();
    target = static_cast<std::remove_reference_t<decltype(target)>>(*n);
    return true;
  };
  if (name == "table") return put(rule.table, 254);
  if (name == "priority") return put(rule.priority, 65535);
  if (name == "cookie") return put(rule.cookie, ~0ULL);
  if (name == "idle_timeout") return put(rule.idle_timeout, 65535);
  if (name == "hard_timeout") return put(rule.hard_timeout, 65535);
  for (std::string_view s : kIgnored)
    if (name == s) return true;
  return false;
}

/// What a filter takes beside the settings of a rule: true if `name` is one of them.
Result<bool> read_filter(RuleFilter& filter, const PortNames* names, std::string_view name,
                         std::string_view value, int column) {
  if (name == "cookie") {
    const auto slash = value.find('/');
    auto cookie = read_number(name, value.substr(0, slash), ~0ULL, column);
    if (!cookie) return cookie.error();
    filter.cookie_mask = ~0ULL;
    if (slash != std::string_view::npos) {
      auto mask =
          read_number(name, value.substr(slash + 1), ~0ULL, column + static_cast<int>(slash) + 1);
      if (!mask) return mask.error();
      filter.cookie_mask = *mask;
    }
    filter.cookie = *cookie & filter.cookie_mask;
    return true;
  }
  if (name == "out_port") {
    if (!find_port(value, names, filter.out_port) || filter.out_port == 0)
      return Error{fmt::format("'{}' is not a port", value),
                   {"", 0, column},
                   "write a number from 1 to 65279"};
    return true;
  }
  if (name == "out_group") {
    auto group = read_number(name, value, 0xffffffff, column);
    if (!group) return group.error();
    filter.out_group = *group;
    return true;
  }
  if (name == "table") filter.any_table = false;  // and it is read as a rule's
  return false;
}

Result<Rule> parse(std::string_view text, bool need_actions, const PortNames* names,
                   RuleFilter* filter = nullptr) {
  Rule rule;
  MatchReader match(names);
  std::size_t at = 0;
  bool seen_actions = false;
  while (at < text.size()) {
    const char c = text[at];
    if (c == ',' || c == ' ' || c == '\t') {
      ++at;
      continue;
    }
    const std::string_view rest = text.substr(at);
    const int column = static_cast<int>(at) + 1;
    const std::size_t word = rest.starts_with("actions=") ? 8 : rest.starts_with("action=") ? 7 : 0;
    if (word != 0) {
      seen_actions = true;
      if (!need_actions) break;
      auto known = match.finish();
      if (!known) return known.error();
      const ActionScope scope{&*known, rule.table};
      auto actions =
          parse_actions(rest.substr(word), column + static_cast<int>(word), names, &scope);
      if (!actions) return actions.error();
      if (rest.size() == word)
        return Error{"no actions after 'actions='", {"", 0, column}, "write actions=drop to drop"};
      rule.actions = std::move(*actions);
      break;
    }
    const std::size_t end = std::min(rest.find_first_of(", \t"), rest.size());
    const std::string_view item = rest.substr(0, end);
    const auto equals = item.find('=');
    bool setting = std::find(std::begin(kIgnoredWords), std::end(kIgnoredWords), item) !=
                   std::end(kIgnoredWords);
    if (item == "send_flow_rem") rule.send_flow_rem = setting = true;
    if (item == "check_overlap") rule.check_overlap = setting = true;
    if (equals != std::string_view::npos) {
      const int value_column = column + static_cast<int>(equals) + 1;
      if (filter != nullptr) {
        auto f = read_filter(*filter, names, item.substr(0, equals), item.substr(equals + 1),
                             value_column);
        if (!f) return f.error();
        if (*f) {
          at += end;
          continue;
        }
      }
      auto r = read_setting(rule, item.substr(0, equals), item.substr(equals + 1), value_column);
      if (!r) return r.error();
      setting = *r;
    }
    if (!setting)
      if (auto r = match.add(item, column); !r) return r.error();
    at += end;
  }
  if (need_actions && !seen_actions)
    return Error{"the rule has no actions",
                 {"", 0, static_cast<int>(text.size()) + 1},
                 "end it with actions=...; actions=drop drops"};
  auto m = match.finish();
  if (!m) return m.error();
  rule.match = *m;
  return rule;
}

}  // namespace

Result<Rule> parse_rule(std::string_view text, const PortNames* names) {
  return parse(text, true, names);
}
Result<Rule> parse_rule_key(std::string_view text, const PortNames* names, RuleFilter* filter) {
  return parse(text, false, names, filter);
}

std::string format_priority_and_match(const Rule& rule) {
  std::string out = fmt::format("priority={}", rule.priority);
  const std::string match = format_match(rule.match);
  if (!match.empty()) out += "," + match;
  return out;
}

std::string format_rule(const Rule& rule) {
  std::string out = fmt::format("table={}", rule.table);
  if (rule.cookie != 0) out += fmt::format(",cookie={:#x}", rule.cookie);
  if (rule.idle_timeout != 0) out += fmt::format(",idle_timeout={}", rule.idle_timeout);
  if (rule.hard_timeout != 0) out += fmt::format(",hard_timeout={}", rule.hard_timeout);
  if (rule.send_flow_rem) out += ",send_flow_rem";
  if (rule.check_overlap) out += ",check_overlap";
  return out + "," + format_priority_and_match(rule) +
         ",actions=" + format_actions(rule.actions, &rule.match);
}

std::string format_rule_key(const Rule& rule, const RuleFilter& filter, bool strict) {
  std::string out;
  const auto item = [&out](const std::string& t) { out += (out.empty() ? "" : ",") + t; };
  if (!filter.any_table) item(fmt::format("table={}", rule.table));
  if (filter.cookie_mask == ~0ULL)
    item(fmt::format("cookie={:#x}", filter.cookie));
  else if (filter.cookie_mask != 0)
    item(fmt::format("cookie={:#x}/{:#x}", filter.cookie, filter.cookie_mask));
  if (filter.out_port != 0) item(fmt::format("out_port={}", filter.out_port));
  if (filter.out_group != ~0ULL) item(fmt::format("out_group={}", filter.out_group));
  if (strict) item(fmt::format("priority={}", rule.priority));
  const std::string match = format_match(rule.match);
  if (!match.empty()) item(match);
  return out;
}

bool is_covered(const Rule& rule, const Rule& key, const RuleFilter& filter) {
  if (!filter.any_table && rule.table != key.table) return false;
  if ((rule.cookie & filter.cookie_mask) != filter.cookie) return false;
  for (unsigned i = 0; i < kKeyWords; ++i) {
    const std::uint64_t bits = key.match.mask.w[i];
    if ((rule.match.mask.w[i] & bits) != bits ||
        (rule.match.value.w[i] & bits) != key.match.value.w[i])
      return false;
  }
  const auto has = [&rule](auto predicate) {
    return std::any_of(rule.actions.begin(), rule.actions.end(), predicate);
  };
  if (filter.out_port != 0 && !has([&](const Action& a) {
        return a.kind == ActionKind::output && a.port == filter.out_port;
      }))
    return false;
  return filter.out_group == ~0ULL || has([&](const Action& a) {
           return a.kind == ActionKind::group && a.number == filter.out_group;
         });
}

}  // namespace weft::datapath
