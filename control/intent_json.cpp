#include "control/intent_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/names.h"

namespace weft::control {
namespace {

using Json = nlohmann::ordered_json;

template <class E>
struct Names;
template <>
struct Names<PortType> {
  static constexpr const char* all[] = {"vm", "external"};
};
template <>
struct Names<Peer::Kind> {
  static constexpr const char* all[] = {"any", "group", "port", "network", "prefix", "address_set"};
};
template <>
struct Names<AclProtocol> {
  static constexpr const char* all[] = {"any", "icmp", "tcp", "udp"};
};
template <>
struct Names<AclAction> {
  static constexpr const char* all[] = {"allow", "drop", "reject", "allow_stateless", "pass"};
};
template <>
struct Names<AclDirection> {
  static constexpr const char* all[] = {"to_port", "from_port"};
};
template <>
struct Names<Policy::Action> {
  static constexpr const char* all[] = {"allow", "drop", "reroute"};
};
template <>
struct Names<Nat::Kind> {
  static constexpr const char* all[] = {"snat", "dnat", "floating"};
};

template <class T>
concept HasFields = requires(T& t) {
  T::fields(t, [](const char*, auto&) {});
};

bool given_by_database(std::string_view field) { return field == "key" || field == "meter"; }

// --- writing ------------------------------------------------------------------------------------

struct ToJson {
  template <HasFields T>
  static Json of(const T& row, bool all = false) {
    Json out = Json::object();
    const T fresh{};
    // Only what differs from the defaults: the fields of both are visited in the same order.
    std::vector<Json> defaults;
    T::fields(fresh, [&](const char*, const auto& v) { defaults.push_back(value(v)); });
    std::size_t at = 0;
    T::fields(row, [&](const char* name, const auto& v) {
      Json json = value(v);
      if (!given_by_database(name) && (all || json != defaults[at])) out[name] = std::move(json);
      ++at;
    });
    return out;
  }
  static Json value(bool v) { return v; }
  static Json value(int v) { return v; }
  static Json value(std::uint16_t v) { return v; }
  static Json value(std::uint32_t v) { return v; }
  static Json value(std::uint64_t v) { return v; }
  static Json value(const std::string& v) { return v; }
  static Json value(const Mac& v) { return v.text(); }
  static Json value(const IpAddress& v) { return v.text(); }
  static Json value(const Prefix& v) { return v.text(); }
  template <class E>
  requires std::is_enum_v<E>
  static Json value(E v) { return Names<E>::all[static_cast<std::size_t>(v)]; }
  template <HasFields T>
  static Json value(const T& v) {
    return of(v);
  }
  template <class T>
  static Json value(const std::optional<T>& v) {
    return v ? value(*v) : Json(nullptr);
  }
  template <class T>
  static Json value(const std::map<std::string, T>& v) {
    Json out = Json::object();
    for (const auto& [key, x] : v) out[key] = value(x);
    return out;
  }
  template <class List>
  requires requires(const List& l) {
    typename List::key_type;
    l.begin();
  } || requires(const List& l) {
    l.data();
    l.begin();
  }
  static Json value(const List& v) {
    Json out = Json::array();
    for (const auto& x : v) out.push_back(value(x));
    return out;
  }
};

// --- reading ------------------------------------------------------------------------------------

/// Reads into values; the first thing that is wrong is kept, with the way to it.
struct FromJson {
  std::string path;
  std::optional<Error> error{};

  void fail(const std::string& message, const std::string& remedy = {}) {
    if (!error) error = Error{fmt::format("{}: {}", path, message), {}, remedy};
  }
  template <class Call>
  void inside(const std::string& step, Call&& call) {
    const std::size_t before = path.size();
    path += step;
    call();
    path.resize(before);
  }

  static std::string shown(const Json& j) {
    std::string text = j.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
  }

  void read(const Json& j, bool& out) {
    if (j.is_boolean())
      out = j.get<bool>();
    else if (j == "true" || j == "false")
      out = j == "true";
    else
      fail(fmt::format("{} is neither true nor false", shown(j)));
  }
  template <class Number>
  requires std::is_integral_v<Number>
  void read(const Json& j, Number& out) {
    const bool fits_u = j.is_number_unsigned() &&
                        j.get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<Number>::max());
    const bool fits_i = std::is_signed_v<Number> && j.is_number_integer() &&
                        !j.is_number_unsigned() &&
                        j.get<std::int64_t>() >= std::int64_t(std::numeric_limits<Number>::min());
    if (fits_u || fits_i) {
      out = j.get<Number>();
      return;
    }
    if (j.is_string()) {
      const std::string& s = j.get_ref<const std::string&>();
      const bool hex = s.starts_with("0x");
      const char* first = s.data() + (hex ? 2 : 0);
      const auto [end, bad] = std::from_chars(first, s.data() + s.size(), out, hex ? 16 : 10);
      if (bad == std::errc() && end == s.data() + s.size() && end != first) return;
    }
    fail(fmt::format("{} is no number from {} to {}", shown(j), std::numeric_limits<Number>::min(),
                     std::numeric_limits<Number>::max()));
  }
  void read(const Json& j, std::string& out) {
    if (j.is_string())
      out = j.get<std::string>();
    else if (j.is_number())
      out = j.dump();
    else
      fail(fmt::format("{} is no text", shown(j)));
  }
  template <class T, class Parse>
  void parsed(const Json& j, T& out, Parse&& parse) {
    if (!j.is_string()) return fail(fmt::format("{} is no text", shown(j)));
    auto value = parse(j.get_ref<const std::string&>());
    if (!value) return fail(value.error().message, value.error().remedy);
    out = *value;
  }
  void read(const Json& j, Mac& out) { parsed(j, out, parse_mac); }
  void read(const Json& j, IpAddress& out) { parsed(j, out, parse_ip); }
  void read(const Json& j, Prefix& out) {
    // A lone address is the prefix of itself.
    if (j.is_string() && j.get_ref<const std::string&>().find('/') == std::string::npos) {
      IpAddress a;
      read(j, a);
      out = {a, a.is6 ? 128 : 32};
      return;
    }
    parsed(j, out, parse_prefix);
  }
  template <class E>
  requires std::is_enum_v<E>
  void read(const Json& j, E& out) {
    std::vector<std::string> names(std::begin(Names<E>::all), std::end(Names<E>::all));
    const std::string text = j.is_string() ? j.get<std::string>() : shown(j);
    const auto it = std::find(names.begin(), names.end(), text);
    if (it == names.end()) return unknown("value", text, names);
    out = static_cast<E>(it - names.begin());
  }
  template <HasFields T>
  void read(const Json& j, T& out) {
    fields(j, out);
  }
  template <class T>
  void read(const Json& j, std::optional<T>& out) {
    if (j.is_null()) return out.reset();
    T value{};
    read(j, value);
    out = std::move(value);
  }
  template <class T>
  void read(const Json& j, std::vector<T>& out) {
    each(
        j,
        [&](const Json& x) {
          T value{};
          read(x, value);
          out.push_back(std::move(value));
        },
        [&] { out.clear(); });
  }
  template <class T>
  void read(const Json& j, std::set<T>& out) {
    each(
        j,
        [&](const Json& x) {
          T value{};
          read(x, value);
          out.insert(std::move(value));
        },
        [&] { out.clear(); });
  }
  template <class T>
  void read(const Json& j, std::map<std::string, T>& out) {
    if (!j.is_object()) return fail(fmt::format("{} is no table of names and values", shown(j)));
    out.clear();
    for (const auto& [key, x] : j.items()) inside("." + key, [&] { read(x, out[key]); });
  }
  template <class Call, class Clear>
  void each(const Json& j, Call&& call, Clear&& clear) {
    if (!j.is_array()) return fail(fmt::format("{} is no list", shown(j)));
    clear();
    std::size_t at = 0;
    for (const Json& x : j) inside(fmt::format("[{}]", at++), [&] { call(x); });
  }

  void unknown(const char* what, const std::string& name, const std::vector<std::string>& known) {
    const std::string near = nearest_name(name, known);
    fail(fmt::format("there is no {} '{}'", what, name),
         near.empty() ? fmt::format("one of: {}", fmt::join(known, ", "))
                      : fmt::format("is it '{}'?", near));
  }

  /// `skip`: names that are read elsewhere.
  template <HasFields T>
  void fields(const Json& j, T& row, const std::set<std::string>& skip = {}) {
    if (!j.is_object()) return fail(fmt::format("{} is no table of fields", shown(j)));
    std::vector<std::string> known;
    T::fields(row, [&](const char* name, auto& value) {
      if (given_by_database(name)) return;
      known.emplace_back(name);
      if (const auto it = j.find(name); it != j.end())
        inside(fmt::format(".{}", name), [&] { read(*it, value); });
    });
    for (const auto& [key, x] : j.items())
      if (!skip.contains(key) && std::find(known.begin(), known.end(), key) == known.end())
        inside("." + key, [&] { unknown("field", key, known); });
  }
};

template <std::size_t... I>
Row empty_row(Table table, std::index_sequence<I...>) {
  static constexpr Row (*make[])() = {[] { return Row(std::in_place_index<I>); }...};
  return make[static_cast<std::size_t>(table)]();
}

class TransactionReader {
 public:
  /// `now` null: updates are read for their form.
  explicit TransactionReader(const Intent* now) : now_(now) {}

  Result<Transaction> run(const std::string& text) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) return Error{"this is no JSON", {}, "see docs/intent.md for its form"};
    in_.path = "transaction";
    if (!json.is_object()) {
      in_.fail("is no table with `changes`");
    } else {
      for (const auto& [key, value] : json.items()) top(key, value);
      if (!json.contains("changes")) in_.fail("has no `changes`");
    }
    if (in_.error) return *in_.error;
    return std::move(out_);
  }

 private:
  void top(const std::string& key, const Json& value) {
    if (key == "by") return in_.inside(".by", [&] { in_.read(value, out_.by); });
    if (key != "changes") return in_.unknown("key", key, {"by", "changes"});
    if (!value.is_array()) return in_.fail("`changes` is no list");
    std::size_t at = 0;
    for (const Json& c : value) in_.inside(fmt::format(".changes[{}]", at++), [&] { change(c); });
  }

  void change(const Json& json) {
    if (!json.is_object() || json.size() != 1)
      return in_.fail("is no single `insert`, `update` or `remove`");
    const std::string verb = json.begin().key();
    const Json& body = json.begin().value();
    if (verb != "insert" && verb != "update" && verb != "remove")
      return in_.unknown("change", verb, {"insert", "update", "remove"});
    in_.inside("." + verb, [&] { row(verb, body); });
  }

  void row(const std::string& verb, const Json& body) {
    if (!body.is_object()) return in_.fail("is no table of fields");
    std::string table_name, name;
    for (const auto& [key, into] : {std::pair("table", &table_name), std::pair("name", &name)}) {
      const auto it = body.find(key);
      if (it == body.end()) return in_.fail(fmt::format("has no `{}`", key));
      in_.inside(fmt::format(".{}", key), [&] { in_.read(*it, *into); });
    }
    const auto table = table_named(table_name);
    if (!table) {
      std::vector<std::string> names;
      for (std::size_t t = 0; t < kTables; ++t) names.emplace_back(name_of(static_cast<Table>(t)));
      return in_.inside(".table", [&] { in_.unknown("table", table_name, names); });
    }
    if (verb == "remove") {
      for (const auto& [key, value] : body.items())
        if (key != "table" && key != "name") in_.unknown("key", key, {"table", "name"});
      out_.remove(*table, name);
      return;
    }
    Row fresh = empty_row(*table, std::make_index_sequence<kTables>{});
    if (verb == "update" && now_ != nullptr) {
      // What earlier changes of this transaction made of the row counts.
      std::optional<Row> is = now_->row({*table, name});
      for (const Transaction::Change& c : out_.changes)
        if (c.kind != Transaction::Kind::remove && table_of(c.row) == *table &&
            name_of(c.row) == name)
          is = c.row;
      if (is) fresh = std::move(*is);
    }
    std::visit(
        [&](auto& r) {
          r.name = name;
          in_.fields(body, r, {"table", "name"});
          if constexpr (requires { r.cookie; })
            if (r.cookie == 0) r.cookie = cookie_by_name(*table, name);
        },
        fresh);
    if (verb == "insert") out_.insert(std::move(fresh));
    if (verb == "update") out_.update(std::move(fresh));
  }

  const Intent* now_;
  FromJson in_{};
  Transaction out_;
};

/// `all`: fields that have their default value too, which an update has to say.
Json json_of(const Row& row, bool all = false) {
  Json out = {{"table", std::string(name_of(table_of(row)))}, {"name", name_of(row)}};
  std::visit([&](const auto& r) { out.update(ToJson::of(r, all)); }, row);
  return out;
}

}  // namespace

std::uint64_t cookie_by_name(Table table, const std::string& name) {
  const std::uint64_t hash = hash_string(fmt::format("{}/{}", name_of(table), name));
  return 1ULL << 62 | (hash & ((1ULL << 62) - 1));
}

Result<Transaction> transaction_from_json(const std::string& json, const Intent& now) {
  return TransactionReader(&now).run(json);
}

Result<> check_transaction_json(const std::string& json) {
  auto read = TransactionReader(nullptr).run(json);
  if (!read) return read.error();
  return {};
}

std::string row_to_json(const Row& row) {
  return json_of(row).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string transaction_to_json(const Transaction& transaction) {
  static constexpr const char* kVerbs[] = {"insert", "update", "remove"};
  Json out = Json::object();
  if (!transaction.by.empty()) out["by"] = transaction.by;
  out["changes"] = Json::array();
  for (const Transaction::Change& c : transaction.changes) {
    Json body = json_of(c.row, c.kind == Transaction::Kind::update);
    if (c.kind == Transaction::Kind::remove)
      body = {{"table", std::string(name_of(table_of(c.row)))}, {"name", name_of(c.row)}};
    out["changes"].push_back({{kVerbs[static_cast<std::size_t>(c.kind)], std::move(body)}});
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace weft::control
