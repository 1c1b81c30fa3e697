#include "datapath/statement.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <span>

#include "base/names.h"
#include "base/units.h"

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
                     int column, std::uint64_t least = 0) {
  std::string_view digits = text;
  const bool hex = digits.starts_with("0x");
  if (hex) digits.remove_prefix(2);
  std::uint64_t v = 0;
  const auto [end, e] =
      std::from_chars(digits.data(), digits.data() + digits.size(), v, hex ? 16 : 10);
  if (digits.empty() || e != std::errc{} || end != digits.data() + digits.size() || v > limit ||
      v < least)
    return Error{fmt::format("'{}' is not a value of {}", text, name),
                 {"", 0, column},
                 fmt::format("write a number from {} to {}", least, limit)};
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

/// A choice about what tunnels send; false: `name` is none.
Result<bool> choice(EncapChoices& choices, std::string_view name, std::string_view value,
                    int column) {
  auto done = set_choice(choices, name, value);
  if (done) return done;
  Error e = done.error();
  e.message = fmt::format("{}: {}", name, e.message);
  e.place.column = column;
  return e;
}

/// One word of several: its number.
Result<> word_into(std::size_t& target, std::string_view name, std::string_view text,
                   std::span<const std::string_view> words, int column) {
  std::string all;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == text) return target = i, Result<>{};
    all += (i == 0 ? "" : ", ") + std::string(words[i]);
  }
  return Error{
      fmt::format("'{}' is not a value of {}", text, name), {"", 0, column}, "write one of " + all};
}

constexpr std::string_view kFragmentWords[] = {"reassemble", "refuse"};
constexpr std::string_view kZeroWords[] = {"by_rfc", "accept", "ipv4", "refuse"};
constexpr std::string_view kTrackedWords[] = {"invalid", "reassemble"};
constexpr std::string_view kKeepWords[] = {"keep", "copy"};

Result<VtepConfig> parse_vtep(Rest rest) {
  VtepConfig v;
  std::vector<std::string> keys = {"address",    "mac",       "next_hop",
                                   "mtu",        "fragments", "zero_checksum",
                                   "decap_dscp", "decap_ttl", "verify_checksum"};
  keys.insert(keys.end(), choice_names().begin(), choice_names().end());
  int mtu_at = rest.column;
  auto done = for_each_item(
      rest, [&](std::string_view name, std::string_view value, int column) -> Result<> {
        const int at = column + static_cast<int>(name.size()) + 1;
        ReceiverOptions& r = v.receiver;
        std::size_t word = 0;
        if (name == "address") return put(v.address, weft::parse_ip(value), at);
        if (name == "mac") return put(v.mac, parse_mac(value), at);
        if (name == "next_hop") return put(v.next_hop, parse_mac(value), at);
        if (name == "mtu") {
          mtu_at = at;
          return number_into(v.underlay_mtu, name, value, 65535, at, 576);
        }
        if (name == "fragments") {
          auto ok = word_into(word, name, value, kFragmentWords, at);
          r.refuse_fragments = word == 1;
          return ok;
        }
        if (name == "zero_checksum") {
          auto ok = word_into(word, name, value, kZeroWords, at);
          r.decap.zero_checksum = static_cast<ZeroChecksum>(word);
          return ok;
        }
        if (name == "decap_dscp" || name == "decap_ttl") {
          auto ok = word_into(word, name, value, kKeepWords, at);
          (name == "decap_ttl" ? r.decap.copy_ttl : r.decap.copy_dscp) = word == 1;
          return ok;
        }
        if (name == "verify_checksum")
          return number_into(r.decap.verify_checksum, name, value, 1, at);
        const auto chosen = choice(v.sends, name, value, at);
        if (!chosen) return chosen.error();
        if (!*chosen) return unknown_key("vtep", name, column, keys);
        if (v.sends.keep_inner_vlan) r.decap.vxlan_inner_vlan = *v.sends.keep_inner_vlan;
        return {};
      });
  if (!done) return done.error();
  if (v.address.is6 && v.underlay_mtu < 1280)
    return Error{fmt::format("an MTU of {} for IPv6", v.underlay_mtu),
                 {"", 0, mtu_at},
                 "write 1280 or more (RFC 8200, 5)"};
  return v;
}

std::string format_vtep(const VtepConfig& v) {
  const ReceiverOptions& r = v.receiver;
  std::string out = fmt::format("vtep address={},mac={},next_hop={},mtu={}", v.address.text(),
                                v.mac.text(), v.next_hop.text(), v.underlay_mtu);
  if (r.refuse_fragments) out += ",fragments=refuse";
  if (r.decap.zero_checksum != ZeroChecksum::by_rfc)
    out += fmt::format(",zero_checksum={}",
                       kZeroWords[static_cast<std::size_t>(r.decap.zero_checksum)]);
  if (r.decap.copy_dscp) out += ",decap_dscp=copy";
  if (r.decap.copy_ttl) out += ",decap_ttl=copy";
  if (!r.decap.verify_checksum) out += ",verify_checksum=0";
  return out + format_choices(v.sends);
}

Result<CtStatement> parse_ct(Rest rest) {
  CtStatement s;
  const int begin = rest.column;
  std::vector<std::string> keys = {"zone",      "max",   "limit",   "early_drop",
                                   "checksums", "loose", "liberal", "fragments"};
  for (const auto& t : kCtTimeoutNames) keys.emplace_back(t.name);
  int whole_table = 0;  // where a key stands that no zone has
  auto done = for_each_item(
      rest, [&](std::string_view name, std::string_view value, int column) -> Result<> {
        const int at = column + static_cast<int>(name.size()) + 1;
        constexpr std::uint64_t kMost = 1u << 28;
        if (name == "zone") return number_into(s.zone.emplace(), name, value, 65535, at);
        if (name == "limit") return number_into(s.limit.emplace(), name, value, kMost, at);
        for (const auto& t : kCtTimeoutNames) {
          if (name != t.name) continue;
          Duration d{};
          if (auto ok = put(d, parse_duration(value), at); !ok) return ok;
          if (d.ps <= 0)
            return Error{fmt::format("a timeout of {}", value),
                         {"", 0, at},
                         "write a duration above zero, such as 30s"};
          std::erase_if(s.timeouts, [&](const auto& p) { return p.first == t.which; });
          s.timeouts.emplace_back(t.which, d);
          return {};
        }
        whole_table = column;
        if (name == "max")
          return number_into(s.max_connections.emplace(), name, value, kMost, at, 1);
        if (name == "early_drop") return number_into(s.early_drop.emplace(), name, value, 1, at);
        if (name == "checksums")
          return number_into(s.verify_checksums.emplace(), name, value, 1, at);
        if (name == "loose") return number_into(s.loose.emplace(), name, value, 1, at);
        if (name == "liberal") return number_into(s.liberal.emplace(), name, value, 1, at);
        if (name == "fragments") {
          std::size_t word = 0;
          auto ok = word_into(word, name, value, kTrackedWords, at);
          s.reassemble = word == 1;
          return ok;
        }
        return unknown_key("ct", name, column, keys);
      });
  if (!done) return done.error();
  if (s.zone && whole_table != 0)
    return Error{"what concerns the whole table, in a statement about one zone",
                 {"", 0, whole_table},
                 "write a ct statement of its own for it, without zone="};
  if (s == CtStatement{} || (s.zone && !s.limit && s.timeouts.empty()))
    return Error{"a ct statement that says nothing",
                 {"", 0, begin},
                 "add limit=N or a timeout, such as udp=30s"};
  return s;
}

std::string format_ct(const CtStatement& s) {
  std::string out;
  const auto add = [&](std::string_view name, const auto& value) {
    if (value) out += fmt::format(",{}={}", name, static_cast<std::uint64_t>(*value));
  };
  add("zone", s.zone);
  add("max", s.max_connections);
  add("limit", s.limit);
  add("early_drop", s.early_drop);
  add("checksums", s.verify_checksums);
  add("loose", s.loose);
  add("liberal", s.liberal);
  if (s.reassemble) out += *s.reassemble ? ",fragments=reassemble" : ",fragments=invalid";
  for (const auto& t : kCtTimeoutNames)
    for (const auto& [which, value] : s.timeouts)
      if (which == t.which) {
        // Exact, in the largest unit that divides it.
        constexpr std::pair<std::int64_t, const char*> kUnits[] = {{1'000'000'000'000, "s"},
                                                                   {1'000'000'000, "ms"},
                                                                   {1'000'000, "us"},
                                                                   {1000, "ns"},
                                                                   {1, "ps"}};
        for (const auto& [ps, unit] : kUnits) {
          if (value.ps % ps != 0) continue;
          out += fmt::format(",{}={}{}", t.name, value.ps / ps, unit);
          break;
        }
      }
  return "ct " + out.substr(1);
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

namespace {

std::string format_kind(const PortConfig& p) {
  switch (p.kind) {
    case PortKind::vm:
      return "vm";
    case PortKind::uplink:
      return "uplink";
    case PortKind::local:
      return "local";
    case PortKind::tunnel:
      return name_of(p.tunnel);
  }
  return "";
}

/// Whether a tunnel of this kind has that choice.
bool has_choice(TunnelKind kind, std::string_view name) {
  const bool udp = kind == TunnelKind::vxlan || kind == TunnelKind::geneve ||
                   kind == TunnelKind::lisp || kind == TunnelKind::otv;
  if (name == "udp_checksum") return udp;
  if (name == "source_ports") return udp || kind == TunnelKind::stt;
  if (name == "inner_vlan") return kind == TunnelKind::vxlan;
  if (name == "flow_id") return kind == TunnelKind::nvgre;
  if (name == "stt_vlan") return kind == TunnelKind::stt;
  if (name.starts_with("gre_")) return kind == TunnelKind::gre;
  if (name.starts_with("lisp_")) return kind == TunnelKind::lisp;
  return true;
}

Result<> key_into(PortConfig& port, std::string_view value, int at, int value_at) {
  const unsigned bits = identifier_bits(port.tunnel);
  if (bits == 0)
    return Error{fmt::format("{} carries no key", name_of(port.tunnel)), {"", 0, at}, "remove it"};
  // RFC 7637, 3.2: VSIDs below 0x1000 and the last one are reserved.
  const bool vsid = port.tunnel == TunnelKind::nvgre;
  const std::uint64_t most = vsid ? 0xfffffe : bits == 64 ? ~0ULL : (1ULL << bits) - 1;
  return number_into(port.key.emplace(), "key", value, most, value_at, vsid ? 0x1000 : 0);
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
  std::vector<std::string> keys = {"name", "remote", "key", "tenant", "down"};
  keys.insert(keys.end(), choice_names().begin(), choice_names().end());
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
          return key_into(port, value, at, value_at);
        }
        const auto chosen = choice(port.sends, name, value, value_at);
        if (!chosen) return chosen.error();
        if (!*chosen) return unknown_key("a port", name, at, keys);
        if (!tunnel || !has_choice(port.tunnel, name))
          return Error{
              fmt::format("{} is not for {}", name, format_kind(port)), {"", 0, at}, "remove it"};
        return {};
      });
  if (!done) return done.error();
  if (first) return Error{"a port without a kind", {"", 0, rest.column}, "write NUMBER=KIND"};
  return port;
}

std::string format_port(const PortConfig& p) {
  std::string out = fmt::format("{}={}", p.number.value, format_kind(p));
  if (!p.name.empty()) out += ",name=" + p.name;
  if (!p.remote.is_zero()) out += ",remote=" + p.remote.text();
  if (p.key) out += fmt::format(",key={}", *p.key);
  out += format_choices(p.sends);
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
  if (rest.take("ct")) {
    s.subject = Subject::ct;
    auto ct = parse_ct(rest);
    if (!ct) return ct.error();
    s.ct = std::move(*ct);
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
    case Subject::ct:
      return format_ct(s.ct);
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

namespace {

/// What statements of one file say together: each thing is declared once, and fits the endpoint.
class FileSense {
 public:
  Result<> take(const Statement& s, std::string_view line, int number) {
    switch (s.subject) {
      case Subject::port:
        return take_port(s.port, line, number);
      case Subject::vtep:
        if (auto r = once("vtep", "", line.find("vtep"), number); !r) return r;
        vtep_ = s.vtep.address;
        break;
      case Subject::group:
        return take_numbered("group", s.verb, s.group.id, s.group.id == GroupTable::kAll,
                             line.find("group_id="), number);
      case Subject::meter:
        return take_numbered("meter", s.verb, s.meter.id, s.meter.id == Meter::kAll,
                             line.find("meter"), number);
      case Subject::mirror:
        if (!s.mirror.name.empty())
          return once("mirror", s.mirror.name, line.find("name="), number);
        break;
      default:
        break;
    }
    return {};
  }

  /// The endpoint may be declared behind its ports.
  Result<> finish() const {
    if (!vtep_) return {};
    for (const Remote& r : remotes_)
      if (r.address.is6 != vtep_->is6 && !vtep_->is_zero())
        return Error{
            fmt::format("{} is not of the endpoint's family ({})", r.address.text(), vtep_->text()),
            {"", r.line, r.column},
            vtep_->is6 ? "write an IPv6 address" : "write an IPv4 address"};
    return {};
  }

 private:
  struct Remote {
    IpAddress address;
    int line, column;
  };

  static int column_of(std::size_t at) {
    return at == std::string_view::npos ? 1 : static_cast<int>(at) + 1;
  }

  /// `name`: which one of several.
  Result<> once(std::string_view what, const std::string& name, std::size_t at, int number) {
    const auto [first, is_new] = declared_.try_emplace(fmt::format("{} {}", what, name), number);
    if (is_new) return {};
    return Error{fmt::format("{}{}{} is there already, since line {}", what,
                             name.empty() ? "" : " ", name, first->second),
                 {"", number, column_of(at)},
                 "remove one of the two"};
  }

  Result<> take_port(const PortConfig& p, std::string_view line, int number) {
    const auto equals = std::min(line.find('='), line.size());
    const auto digits = line.find_first_of("0123456789");
    if (auto r = once("port", fmt::format("{}", p.number.value), std::min(digits, equals), number);
        !r)
      return r;
    if (!p.name.empty())
      if (auto r = once("a port named", p.name, line.find("name="), number); !r) return r;
    if (p.kind == PortKind::uplink || p.kind == PortKind::local)
      if (auto r =
              once(p.kind == PortKind::local ? "a port of kind local" : "a port of kind uplink", "",
                   equals + 1, number);
          !r)
        return r;
    if (!p.remote.is_zero())
      remotes_.push_back({p.remote, number, column_of(line.find('=', line.find("remote")) + 1)});
    return {};
  }

  Result<> take_numbered(std::string_view what, Verb verb, std::uint32_t id, bool all,
                         std::size_t at, int number) {
    if (removes(verb)) {
      if (all)
        std::erase_if(declared_,
                      [&](const auto& d) { return d.first.starts_with(fmt::format("{} ", what)); });
      declared_.erase(fmt::format("{} {}", what, id));
      return {};
    }
    if (verb != Verb::add) return {};
    auto r = once(what, fmt::format("{}", id), at, number);
    if (r) return r;
    Error e = r.error();
    e.remedy = fmt::format("write `{} modify ...` to change it", what);
    return e;
  }

  std::map<std::string, int, std::less<>> declared_;
  std::vector<Remote> remotes_;
  std::optional<IpAddress> vtep_;
};

}  // namespace

Result<std::vector<FileStatement>> parse_switch_file(std::string_view text,
                                                     const std::string& file) {
  std::vector<FileStatement> out;
  PortNames names;
  FileSense sense;
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
    if (auto sensible = sense.take(*s, line, number); !sensible) {
      Error e = sensible.error();
      e.place.file = file;
      return e;
    }
    if (s->subject == Subject::port) {
      if (!s->port.name.empty()) names[s->port.name] = s->port.number.value;
      if (s->port.kind == PortKind::local) names["LOCAL"] = s->port.number.value;
    }
    out.push_back({number, std::move(*s)});
  }
  if (auto sensible = sense.finish(); !sensible) {
    Error e = sensible.error();
    e.place.file = file;
    return e;
  }
  return out;
}

}  // namespace weft::datapath
