#include "datapath/action_parts.h"

#include <fmt/core.h>

#include <algorithm>

namespace weft::datapath {
namespace {

/// A value for `bits` bits of field `f`: a number, or as a match writes it.
Result<Ip6> value_for(const Piece& p, const FieldInfo& f, unsigned bits) {
  Ip6 v{};
  if (const auto n = read_number(p.text)) {
    v.low = *n;
  } else {
    auto parsed = parse_field_value(f, p.text);
    if (!parsed) return fail(p, parsed.error().message, parsed.error().remedy);
    v = parsed->value;
  }
  const Ip6 ones = low_ones(bits);
  if ((v.low & ~ones.low) != 0 || (v.high & ~ones.high) != 0)
    return fail(p, fmt::format("{} does not fit {} bits", p.text, bits),
                "write a smaller value or a wider range");
  return v;
}

Error unequal(const Piece& p, const FieldRange& a, const FieldRange& b) {
  return fail(p, fmt::format("{} bits become {} bits", a.bits, b.bits),
              "give both sides ranges of equal width: NXM_OF_VLAN_TCI[0..11]");
}

/// A field of the match: FIELD, FIELD=FIELD or FIELD=VALUE.
Result<LearnSpec> parse_match_spec(const Piece& p, const Known& known) {
  LearnSpec s;
  const auto equals = p.text.find('=');
  auto target = range_of(trim(p.part(0, equals)));
  if (!target) return target.error();
  s.target = s.source = *target;
  if (equals == std::string_view::npos) {
    if (auto ok = check_known(p, info(target->field), known); !ok) return ok.error();
    return s;
  }
  const Piece right = trim(p.from(equals + 1));
  const bool field = find_field(right.text.substr(0, right.text.find('['))) != nullptr;
  if (field) {
    auto source = range_of(right);
    if (!source) return source.error();
    if (source->bits != s.target.bits) return unequal(p, *source, s.target);
    if (auto ok = check_known(right, info(source->field), known); !ok) return ok.error();
    s.source = *source;
    return s;
  }
  auto value = value_for(right, info(s.target.field), s.target.bits);
  if (!value) return value.error();
  s.immediate = true;
  s.source = {};
  s.value = *value;
  return s;
}

Result<LearnSpec> parse_load_spec(const Piece& p, const Piece& rest, const Known& known) {
  const auto arrow = rest.text.find("->");
  if (arrow == std::string_view::npos)
    return fail(p, "load has no '->'", "write load:FIELD[]->FIELD[]");
  LearnSpec s;
  s.kind = LearnSpec::Kind::load;
  const Piece left = trim(rest.part(0, arrow));
  const Piece right = trim(rest.from(arrow + 2));
  auto target = range_of(right);
  if (!target) return target.error();
  if (!info(target->field).writable)
    return fail(right, fmt::format("{} cannot be written", info(target->field).name),
                "registers, addresses, ports and tunnel fields can");
  s.target = *target;
  if (find_field(left.text.substr(0, left.text.find('['))) != nullptr) {
    auto source = range_of(left);
    if (!source) return source.error();
    if (source->bits != target->bits) return unequal(p, *source, *target);
    if (auto ok = check_known(left, info(source->field), known); !ok) return ok.error();
    s.source = *source;
    return s;
  }
  auto value = value_for(left, info(target->field), target->bits);
  if (!value) return value.error();
  s.immediate = true;
  s.value = *value;
  return s;
}

/// `from`: the match of the rule that learns, `to`: what is known of the one that is learned.
std::string format_spec(const LearnSpec& s, const Match* from, const Match* to) {
  const auto value = [&] {
    return s.value.high != 0 ? fmt::format("{:#x}{:016x}", s.value.high, s.value.low)
                             : fmt::format("{:#x}", s.value.low);
  };
  switch (s.kind) {
    case LearnSpec::Kind::match:
      if (s.immediate) return format_range(s.target, to) + "=" + value();
      if (s.source == s.target && format_range(s.source, from) == format_range(s.target, to))
        return format_range(s.target, to);
      return format_range(s.target, to) + "=" + format_range(s.source, from);
    case LearnSpec::Kind::load:
      return "load:" + (s.immediate ? value() : format_range(s.source, from)) + "->" +
             format_range(s.target, to);
    case LearnSpec::Kind::output:
      return "output:" + format_range(s.source, from);
  }
  return "";
}

/// What is known of the packets that a learnt rule is for.
Match learned_match(const Learn& learn) {
  Match m;
  for (const LearnSpec& s : learn.specs) {
    if (s.kind != LearnSpec::Kind::match) continue;
    const FieldInfo& f = info(s.target.field);
    const Ip6 mask = shift_left(low_ones(s.target.bits), s.target.from);
    write_field_masked(m.mask, f, mask, mask);
    // What comes from the packet is not known: a value that is no number of a protocol.
    write_field_masked(m.value, f, s.immediate ? shift_left(s.value, s.target.from) : Ip6{}, mask);
  }
  return m;
}

/// The rules that are learnt must have what their fields need: read as a rule's match would be.
Result<> check_specs(const Learn& learn, const Piece& all) {
  const Match m = learned_match(learn);
  for (const LearnSpec& s : learn.specs) {
    if (s.kind == LearnSpec::Kind::output) continue;
    const FieldInfo& f = info(s.target.field);
    if (!has_prerequisite(m, f.needs))
      return fail(
          all,
          fmt::format("{} exists only in some packets, and learn() does not say which", f.name),
          "add eth_type=0x800, and nw_proto=6 for ports, with their numbers");
  }
  return {};
}

}  // namespace

Result<Learn> parse_learn(const Piece& inside, const Known& known) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  Learn learn;
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    auto item = cut(p, "=:");
    if (!item) return item.error();
    const std::string_view name = item->name.text;
    const auto number = [&](auto& target, std::uint64_t limit) -> Result<> {
      auto n = number_up_to(item->value, limit, name);
      if (!n) return n.error();
      target = static_cast<std::remove_reference_t<decltype(target)>>(*n);
      return {};
    };
    Result<> done;
    if (name == "table") {
      done = number(learn.table, 254);
    } else if (name == "priority") {
      done = number(learn.priority, 0xffff);
    } else if (name == "idle_timeout") {
      done = number(learn.idle_timeout, 0xffff);
    } else if (name == "hard_timeout") {
      done = number(learn.hard_timeout, 0xffff);
    } else if (name == "cookie") {
      done = number(learn.cookie, ~0ULL);
    } else if (name == "fin_idle_timeout" || name == "fin_hard_timeout" || name == "limit" ||
               name == "delete_learned" || name == "send_flow_rem" || name == "result_dst") {
      return fail(p, fmt::format("weft's learn() has no {}", name), "remove it");
    } else if (name == "output" && item->mark == ':') {
      auto source = range_of(item->value);
      if (!source) return source.error();
      if (source->bits > 64) return fail(item->value, "a port has 32 bits", "use in_port");
      if (auto ok = check_known(item->value, info(source->field), known); !ok) return ok.error();
      LearnSpec s;
      s.kind = LearnSpec::Kind::output;
      s.source = *source;
      learn.specs.push_back(s);
    } else {
      auto s = name == "load" && item->mark == ':' ? parse_load_spec(p, item->value, known)
                                                   : parse_match_spec(p, known);
      if (!s) return s.error();
      learn.specs.push_back(*s);
    }
    if (!done) return done.error();
  }
  if (auto ok = check_specs(learn, inside); !ok) return ok.error();
  return learn;
}

std::string format_learn(const Learn& l, const Match* match) {
  const Match learned = learned_match(l);
  std::string out = fmt::format("learn(table={}", l.table);
  if (l.idle_timeout != 0) out += fmt::format(",idle_timeout={}", l.idle_timeout);
  if (l.hard_timeout != 0) out += fmt::format(",hard_timeout={}", l.hard_timeout);
  if (l.priority != 32768) out += fmt::format(",priority={}", l.priority);
  if (l.cookie != 0) out += fmt::format(",cookie={:#x}", l.cookie);
  for (const LearnSpec& s : l.specs) out += "," + format_spec(s, match, &learned);
  return out + ")";
}

// --- controller ---

namespace {
constexpr std::string_view kReasons[] = {"no_match", "action", "invalid_ttl"};
}

Result<ControllerSpec> parse_controller(const Piece& inside) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  ControllerSpec c;
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    if (read_number(p.text)) {
      auto n = number_up_to(p, 0xffff, "length");
      if (!n) return n.error();
      c.max_length = static_cast<std::uint16_t>(*n);
      continue;
    }
    auto item = cut(p, "=");
    if (!item) return item.error();
    const std::string_view name = item->name.text;
    const auto number = [&](std::uint16_t& target) -> Result<> {
      auto n = number_up_to(item->value, 0xffff, name);
      if (!n) return n.error();
      target = static_cast<std::uint16_t>(*n);
      return {};
    };
    Result<> done;
    if (name == "max_len") {
      done = number(c.max_length);
    } else if (name == "id") {
      done = number(c.id);
    } else if (name == "reason") {
      const auto* at = std::find(std::begin(kReasons), std::end(kReasons), item->value.text);
      if (at == std::end(kReasons))
        return fail(item->value, fmt::format("'{}' is not a reason", item->value.text),
                    "one of no_match, action, invalid_ttl");
      c.reason = static_cast<std::uint8_t>(at - std::begin(kReasons));
    } else if (name == "userdata") {
      const std::string_view t = item->value.text;
      for (std::size_t i = 0; i < t.size(); i += 3) {
        const auto byte = t.size() - i >= 2 && (i + 2 == t.size() || t[i + 2] == '.')
                              ? read_number("0x" + std::string(t.substr(i, 2)))
                              : std::nullopt;
        if (!byte)
          return fail(item->value.from(i), "userdata is bytes of two hexadecimal digits",
                      "write userdata=00.01.ff");
        c.userdata.push_back(static_cast<std::uint8_t>(*byte));
      }
    } else {
      return fail(p, fmt::format("controller() has no '{}'", name),
                  did_you_mean(name, {"max_len", "reason", "id", "userdata"},
                               "it takes max_len, reason, id, userdata"));
    }
    if (!done) return done.error();
  }
  return c;
}

std::string format_controller(const ControllerSpec& c) {
  if (c == ControllerSpec{c.max_length, 1, 0, {}})
    return fmt::format("CONTROLLER:{}", c.max_length);
  std::string inside;
  const auto item = [&inside](const std::string& t) { inside += (inside.empty() ? "" : ",") + t; };
  if (c.max_length != 0xffff) item(fmt::format("max_len={}", c.max_length));
  if (c.reason != 1) item(fmt::format("reason={}", kReasons[c.reason]));
  if (c.id != 0) item(fmt::format("id={}", c.id));
  std::string bytes;
  for (const std::uint8_t b : c.userdata)
    bytes += fmt::format("{}{:02x}", bytes.empty() ? "" : ".", b);
  if (!bytes.empty()) item("userdata=" + bytes);
  return "controller(" + inside + ")";
}

}  // namespace weft::datapath
