#include "datapath/statement.h"

#include <fmt/core.h>

#include <charconv>

#include "base/names.h"

namespace weft::datapath {
namespace {

using Subject = Statement::Subject;
using Verb = Statement::Verb;

constexpr struct {
  std::string_view word;
  Verb verb;
} kVerbs[] = {{"add", Verb::add},
              {"modify", Verb::modify},
              {"modify_strict", Verb::modify_strict},
              {"delete", Verb::remove},
              {"delete_strict", Verb::remove_strict},
              {"insert_buckets", Verb::insert_buckets},
              {"insert_bucket", Verb::insert_buckets},
              {"remove_buckets", Verb::remove_buckets},
              {"remove_bucket", Verb::remove_buckets}};

/// What is left of a line, and where it begins in it.
struct Rest {
  std::string_view text;
  int column = 1;

  void skip(std::size_t n) {
    text.remove_prefix(n);
    column += static_cast<int>(n);
  }
  void skip_blanks() {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) skip(1);
  }
  /// Takes `word` off the front if it is a word by itself.
  bool take(std::string_view word) {
    if (!text.starts_with(word)) return false;
    if (text.size() > word.size() && text[word.size()] != ' ' && text[word.size()] != '\t')
      return false;
    skip(word.size());
    skip_blanks();
    return true;
  }
};

Error shifted(Error e, int column) {
  if (e.place.column > 0) e.place.column += column - 1;
  return e;
}

/// Visits NAME=VALUE items between commas: visit(name, value, has_value, column of the name).
template <class Visit>
Result<> for_each_item(Rest rest, Visit visit) {
  while (!rest.text.empty()) {
    const std::size_t end = std::min(rest.text.find(','), rest.text.size());
    const std::string_view item = rest.text.substr(0, end);
    const auto equals = item.find('=');
    const bool has = equals != std::string_view::npos;
    auto done = visit(item.substr(0, equals), has ? item.substr(equals + 1) : std::string_view{},
                      rest.column);
    if (!done) return done;
    rest.skip(std::min(end + 1, rest.text.size()));
    rest.skip_blanks();
  }
  return {};
}

template <class T>
Result<> number_into(T& target, std::string_view name, std::string_view text, std::uint64_t limit,
                     int column) {
  std::string_view digits = text;
  const bool hex = digits.starts_with("0x");
  if (hex) digits.remove_prefix(2);
  std::uint64_t v = 0;
  const auto [end, e] =
      std::from_chars(digits.data(), digits.data() + digits.size(), v, hex ? 16 : 10);
  if (digits.empty() || e != std::errc{} || end != digits.data() + digits.size() || v > limit)
    return Error{fmt::format("'{}' is not a value of {}", text, name),
                 {"", 0, column},
                 fmt::format("write a number from 0 to {}", limit)};
  target = static_cast<T>(v);
  return {};
}

template <class T, class Parsed>
Result<> put(T& target, Parsed parsed, int column) {
  if (!parsed) {
    Error e = parsed.error();
    e.place.column = column;
    return e;
  }
  target = *parsed;
  return {};
}

Error unknown_key(std::string_view what, std::string_view key, int column,
                  const std::vector<std::string>& keys) {
  std::string all;
  for (const auto& k : keys) all += (all.empty() ? "" : ", ") + k;
  const std::string near = nearest_name(key, keys);
  return {fmt::format("{} has no '{}'", what, key),
          {"", 0, column},
          near.empty() ? "it takes " + all : fmt::format("did you mean {}?", near)};
}

Result<VtepConfig> parse_vtep(Rest rest) {
  VtepConfig v;
  const std::vector<std::string> keys = {"address", "mac", "next_hop",
                                         "mtu",     "ttl", "udp_checksum"};
  auto done = for_each_item(
      rest, [&](std::string_view name, std::string_view value, int column) -> Result<> {
        const int at = column + static_cast<int>(name.size()) + 1;
        if (name == "address") return put(v.address, weft::parse_ip(value), at);
        if (name == "mac") return put(v.mac, parse_mac(value), at);
        if (name == "next_hop") return put(v.next_hop, parse_mac(value), at);
        if (name == "mtu") return number_into(v.underlay_mtu, name, value, 65535, at);
        if (name == "ttl") return number_into(v.ttl, name, value, 255, at);
        if (name == "udp_checksum") return number_into(v.udp_checksum, name, value, 1, at);
        return unknown_key("vtep", name, column, keys);
      });
  if (!done) return done.error();
  return v;
}

std::string format_vtep(const VtepConfig& v) {
  return fmt::format("vtep address={},mac={},next_hop={},mtu={},ttl={},udp_checksum={}",
                     v.address.text(), v.mac.text(), v.next_hop.text(), v.underlay_mtu, v.ttl,
                     v.udp_checksum ? 1 : 0);
}

Result<Mirror> parse_mirror(Rest rest, const PortNames* names) {
  Mirror m;
  const std::vector<std::string> keys = {"name", "select_all", "select_src_port", "select_dst_port",
                                         "output_port"};
  auto done = for_each_item(
      rest, [&](std::string_view name, std::string_view value, int column) -> Result<> {
        const int at = column + static_cast<int>(name.size()) + 1;
        const auto port = [&](std::uint32_t& target) -> Result<> {
          if (!find_port(value, names, target) || target == 0 || target > 65279)
            return Error{fmt::format("'{}' is not a port", value),
                         {"", 0, at},
                         "write a number from 1 to 65279, or the name of a port declared before"};
          return {};
        };
        if (name == "name") return m.name = std::string(value), Result<>{};
        if (name == "select_all") return m.all = true, Result<>{};
        if (name == "select_src_port") return port(m.from.emplace_back());
        if (name == "select_dst_port") return port(m.to.emplace_back());
        if (name == "output_port") return port(m.output);
        return unknown_key("a mirror", name, column, keys);
      });
  if (!done) return done.error();
  if (m.output == 0)
    return Error{"a mirror without an output", {"", 0, rest.column}, "add output_port=N"};
  if (!m.all && m.from.empty() && m.to.empty())
    return Error{"a mirror that selects nothing",
                 {"", 0, rest.column},
                 "add select_src_port=N, select_dst_port=N or select_all"};
  return m;
}

std::string format_mirror(const Mirror& m) {
  std::string out = "mirror ";
  if (!m.name.empty()) out += "name=" + m.name + ",";
  if (m.all) out += "select_all,";
  for (const auto p : m.from) out += fmt::format("select_src_port={},", p);
  for (const auto p : m.to) out += fmt::format("select_dst_port={},", p);
  return out + fmt::format("output_port={}", m.output);
}

bool removes(Verb v) { return v == Verb::remove || v == Verb::remove_strict; }

/// "add", "modify", "delete"...; add if there is none.
Verb take_verb(Rest& rest) {
  for (const auto& v : kVerbs)
    if (rest.take(v.word)) return v.verb;
  return Verb::add;
}

std::string word_of(Verb verb) {
  for (const auto& v : kVerbs)
    if (v.verb == verb) return std::string(v.word);
  return "";
}

}  // namespace

Result<PortConfig> parse_port(std::string_view text, int column) {
  PortConfig port;
  const auto equals = text.find('=');
  if (equals == std::string_view::npos)
    return Error{fmt::format("'{}' declares no port", text),
                 {"", 0, column},
                 "write NUMBER=KIND, such as 1=vm or 10=vxlan,remote=172.16.0.2"};
  if (auto r = number_into(port.number.value, "a port", text.substr(0, equals), 65279, column); !r)
    return r.error();
  if (port.number.value == 0) return Error{"0 is no port", {"", 0, column}, "ports are 1 to 65279"};
  Rest rest{text.substr(equals + 1), column + static_cast<int>(equals) + 1};
  bool first = true;
  const std::vector<std::string> kinds = {"vm",  "uplink", "local",   "vxlan", "geneve", "nvgre",
                                          "stt", "lisp",   "etherip", "gre",   "otv"};
  const std::vector<std::string> keys = {"name", "remote", "key", "tenant", "down"};
  auto done =
      for_each_item(rest, [&](std::string_view name, std::string_view value, int at) -> Result<> {
        if (first) {
          first = false;
          if (name == "vm") return port.kind = PortKind::vm, Result<>{};
          if (name == "uplink") return port.kind = PortKind::uplink, Result<>{};
          if (name == "local") return port.kind = PortKind::local, Result<>{};
          port.kind = PortKind::tunnel;
          port.tunnel = tunnel_kind_named(name);
          if (port.tunnel != TunnelKind::none) return {};
          return unknown_key("a port's kind", name, at, kinds);
        }
        const int value_at = at + static_cast<int>(name.size()) + 1;
        const bool tunnel = port.kind == PortKind::tunnel;
        if (name == "name") {
          if (value.empty())
            return Error{"an empty name", {"", 0, value_at}, "write name=NAME or leave it out"};
          port.name = std::string(value);
          return {};
        }
        if (name == "down") return port.up = false, Result<>{};
        if (name == "tenant") return number_into(port.tenant, name, value, 0xffffffff, value_at);
        if ((name == "remote" || name == "remote_ip" || name == "key") && !tunnel)
          return Error{fmt::format("{} is for tunnels", name), {"", 0, at}, "remove it"};
        if (name == "remote" || name == "remote_ip") {
          if (value == "flow") return {};
          return put(port.remote, weft::parse_ip(value), value_at);
        }
        if (name == "key") {
          if (value == "flow") return {};
          return number_into(port.key.emplace(), name, value, ~0ULL, value_at);
        }
        return unknown_key("a port", name, at, keys);
      });
  if (!done) return done.error();
  if (first) return Error{"a port without a kind", {"", 0, rest.column}, "write NUMBER=KIND"};
  return port;
}

std::string format_port(const PortConfig& p) {
  std::string out = fmt::format("{}=", p.number.value);
  switch (p.kind) {
    case PortKind::vm:
      out += "vm";
      break;
    case PortKind::uplink:
      out += "uplink";
      break;
    case PortKind::local:
      out += "local";
      break;
    case PortKind::tunnel:
      out += name_of(p.tunnel);
      break;
  }
  if (!p.name.empty()) out += ",name=" + p.name;
  if (!p.remote.is_zero()) out += ",remote=" + p.remote.text();
  if (p.key) out += fmt::format(",key={}", *p.key);
  if (p.tenant != 0) out += fmt::format(",tenant={}", p.tenant);
  if (!p.up) out += ",down";
  return out;
}

namespace {

bool mentions_table(std::string_view text) {
  text = text.substr(0, text.find("actions="));
  for (std::size_t at = text.find("table="); at != std::string_view::npos;
       at = text.find("table=", at + 1))
    if (at == 0 || text[at - 1] == ',' || text[at - 1] == ' ') return true;
  return false;
}

Result<Statement> parse_flow(Rest rest, Statement s, const PortNames* names) {
  auto rule =
      removes(s.verb) ? parse_rule_key(rest.text, names, &s.filter) : parse_rule(rest.text, names);
  if (!rule) return shifted(rule.error(), rest.column);
  s.rule = std::move(*rule);
  if (s.verb == Verb::modify) s.filter.any_table = !mentions_table(rest.text);
  return s;
}

/// Takes command_bucket_id=ID out of the text of a group, which keeps its length.
Result<> take_bucket_place(std::string& text, std::uint32_t& at, int column) {
  constexpr std::string_view kKey = "command_bucket_id=";
  const auto begin = text.find(kKey);
  if (begin == std::string::npos) return {};
  const auto value_at = begin + kKey.size();
  const auto end = std::min(text.find_first_of(", \t", value_at), text.size());
  const std::string value = text.substr(value_at, end - value_at);
  if (value == "first")
    at = Bucket::kFirst;
  else if (value == "last")
    at = Bucket::kLast;
  else if (value == "all")
    at = Bucket::kAll;
  else if (auto ok = number_into(at, "command_bucket_id", value, Group::kMaxId - 1,
                                 column + static_cast<int>(value_at));
           !ok)
    return ok;
  text.replace(begin, end - begin, end - begin, ',');
  return {};
}

}  // namespace

Result<Statement> parse_statement(std::string_view line, const PortNames* names) {
  Rest rest{line, 1};
  rest.skip_blanks();
  while (!rest.text.empty() &&
         (rest.text.back() == ' ' || rest.text.back() == '\t' || rest.text.back() == '\r'))
    rest.text.remove_suffix(1);
  Statement s;
  if (rest.take("port")) {
    s.subject = Subject::port;
    auto port = parse_port(rest.text, rest.column);
    if (!port) return port.error();
    s.port = std::move(*port);
    return s;
  }
  if (rest.take("vtep")) {
    s.subject = Subject::vtep;
    auto vtep = parse_vtep(rest);
    if (!vtep) return vtep.error();
    s.vtep = *vtep;
    return s;
  }
  if (rest.take("mirror")) {
    s.subject = Subject::mirror;
    auto mirror = parse_mirror(rest, names);
    if (!mirror) return mirror.error();
    s.mirror = std::move(*mirror);
    return s;
  }
  const bool group = rest.take("group"), meter = !group && rest.take("meter");
  if (!group && !meter) rest.take("flow");
  s.verb = take_verb(rest);
  const bool buckets = s.verb == Verb::insert_buckets || s.verb == Verb::remove_buckets;
  if (buckets && !group && !rest.text.starts_with("group_id="))
    return Error{
        fmt::format("{} is for groups", word_of(s.verb)),
        {"", 0, 1},
        fmt::format("write group {} group_id=N,command_bucket_id=last,...", word_of(s.verb))};
  if (group || rest.text.starts_with("group_id=")) {
    s.subject = Subject::group;
    std::string text(rest.text);
    if (auto ok = take_bucket_place(text, s.at_bucket, rest.column); !ok) return ok.error();
    auto parsed = parse_group(text, names, rest.column, !removes(s.verb) && !buckets);
    if (parsed && buckets && parsed->id == GroupTable::kAll)
      return Error{"buckets of no group", {"", 0, rest.column}, "begin with group_id=N"};
    if (!parsed) return parsed.error();
    s.group = std::move(*parsed);
    return s;
  }
  if (meter || rest.text.starts_with("meter=") || rest.text.starts_with("meter_id=")) {
    s.subject = Subject::meter;
    auto parsed = parse_meter(rest.text, rest.column, !removes(s.verb));
    if (!parsed) return parsed.error();
    s.meter = std::move(*parsed);
    return s;
  }
  return parse_flow(rest, std::move(s), names);
}

std::string format_statement(const Statement& s) {
  switch (s.subject) {
    case Subject::port:
      return "port " + format_port(s.port);
    case Subject::vtep:
      return format_vtep(s.vtep);
    case Subject::mirror:
      return format_mirror(s.mirror);
    case Subject::group: {
      const std::string verb = s.verb == Verb::add ? "" : word_of(s.verb) + " ";
      if (s.verb == Verb::insert_buckets || s.verb == Verb::remove_buckets) {
        const std::string at = s.at_bucket == Bucket::kFirst  ? "first"
                               : s.at_bucket == Bucket::kLast ? "last"
                               : s.at_bucket == Bucket::kAll  ? "all"
                                                              : fmt::format("{}", s.at_bucket);
        return fmt::format("group {}group_id={},command_bucket_id={}{}", verb, s.group.id, at,
                           format_buckets(s.group));
      }
      if (!removes(s.verb)) return "group " + verb + format_group(s.group);
      if (s.group.id == GroupTable::kAll) return "group " + verb + "group_id=all";
      return fmt::format("group {}group_id={}", verb, s.group.id);
    }
    case Subject::meter: {
      const std::string verb = s.verb == Verb::add ? "" : word_of(s.verb) + " ";
      if (!removes(s.verb)) return "meter " + verb + format_meter(s.meter);
      if (s.meter.id == Meter::kAll) return "meter " + verb + "meter=all";
      return fmt::format("meter {}meter={}", verb, s.meter.id);
    }
    case Subject::flow:
      break;
  }
  const std::string verb = s.verb == Verb::add ? "" : word_of(s.verb);
  const std::string space = verb.empty() ? "" : " ";
  if (removes(s.verb)) {
    const std::string key = format_rule_key(s.rule, s.filter, s.verb == Verb::remove_strict);
    return key.empty() ? verb : verb + space + key;
  }
  std::string rule = format_rule(s.rule);
  if (s.verb == Verb::modify && s.filter.any_table) rule = rule.substr(rule.find(',') + 1);
  return verb + space + rule;
}

Result<std::vector<FileStatement>> parse_switch_file(std::string_view text,
                                                     const std::string& file) {
  std::vector<FileStatement> out;
  PortNames names;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto s = parse_statement(line, &names);
    if (!s) {
      Error e = s.error();
      e.place.file = file;
      e.place.line = number;
      if (e.place.column == 0) e.place.column = 1;
      return e;
    }
    if (s->subject == Subject::port) {
      if (!s->port.name.empty()) names[s->port.name] = s->port.number.value;
      if (s->port.kind == PortKind::local) names["LOCAL"] = s->port.number.value;
    }
    out.push_back({number, std::move(*s)});
  }
  return out;
}

}  // namespace weft::datapath
