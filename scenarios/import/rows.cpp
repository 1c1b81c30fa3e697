#include "scenarios/import/rows.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <type_traits>

namespace weft::imports {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of(control::PortType v) {
  return v == control::PortType::external ? "external" : "vm";
}
const char* name_of(control::AclAction v) {
  constexpr const char* kNames[] = {"allow", "drop", "reject", "allow-stateless", "pass"};
  return kNames[static_cast<std::size_t>(v)];
}
const char* name_of(control::AclDirection v) {
  return v == control::AclDirection::to_port ? "to-port" : "from-port";
}
const char* name_of(control::AclProtocol v) {
  constexpr const char* kNames[] = {"any", "icmp", "tcp", "udp"};
  return kNames[static_cast<std::size_t>(v)];
}
const char* name_of(control::Peer::Kind v) {
  constexpr const char* kNames[] = {"any", "group", "port", "network", "prefix", "address set"};
  return kNames[static_cast<std::size_t>(v)];
}
const char* name_of(control::Policy::Action v) {
  constexpr const char* kNames[] = {"allow", "drop", "reroute"};
  return kNames[static_cast<std::size_t>(v)];
}
const char* name_of(control::Nat::Kind v) {
  constexpr const char* kNames[] = {"snat", "dnat", "floating"};
  return kNames[static_cast<std::size_t>(v)];
}

template <class T>
concept HasFields = requires(T& t) {
  T::fields(t, [](const char*, auto&) {});
};

Json json_of(bool v) { return v; }
Json json_of(int v) { return v; }
Json json_of(std::uint16_t v) { return v; }
Json json_of(std::uint32_t v) { return v; }
Json json_of(std::uint64_t v) { return v; }
Json json_of(const std::string& v) { return v; }
Json json_of(const Mac& v) { return v.text(); }
Json json_of(const IpAddress& v) { return v.text(); }
Json json_of(const Prefix& v) { return v.text(); }
Json json_of(const control::Peer& v) {
  if (v.kind == control::Peer::Kind::any) return "any";
  return fmt::format("{} {}", name_of(v.kind),
                     v.kind == control::Peer::Kind::prefix ? v.prefix.text() : v.name);
}
template <class E>
requires std::is_enum_v<E> Json json_of(E v) { return name_of(v); }
template <HasFields T>
Json json_of(const T& v);
template <class T>
Json json_of(const std::optional<T>& v);
template <class T>
Json json_of(const std::vector<T>& v);
template <class T>
Json json_of(const std::set<T>& v);
template <class K, class V>
Json json_of(const std::map<K, V>& v);

template <HasFields T>
Json json_of(const T& v) {
  Json out = Json::object();
  T::fields(v, [&](const char* name, const auto& field) { out[name] = json_of(field); });
  return out;
}
template <class T>
Json json_of(const std::optional<T>& v) {
  return v ? json_of(*v) : Json();
}
template <class T>
Json json_of(const std::vector<T>& v) {
  Json out = Json::array();
  for (const T& item : v) out.push_back(json_of(item));
  return out;
}
template <class T>
Json json_of(const std::set<T>& v) {
  Json out = Json::array();
  for (const T& item : v) out.push_back(json_of(item));
  return out;
}
template <class K, class V>
Json json_of(const std::map<K, V>& v) {
  Json out = Json::object();
  for (const auto& [key, value] : v) out[key] = json_of(value);
  return out;
}

Json fields_of(const control::Row& row) {
  return std::visit([](const auto& r) { return json_of(r); }, row);
}
/// Of a row of the same table that nothing was said about.
Json defaults_of(const control::Row& row) {
  return std::visit([](const auto& r) { return json_of(std::decay_t<decltype(r)>{}); }, row);
}

/// "a b", "[x, y]", "{k: v}": short, as it stands in a line.
std::string brief(const Json& v) {
  if (v.is_string()) {
    const std::string& text = v.get_ref<const std::string&>();
    return text.find_first_of(" ,") == std::string::npos ? text : '`' + text + '`';
  }
  std::string out;
  if (v.is_array()) {
    for (const Json& item : v) out += (out.empty() ? "" : ", ") + brief(item);
    return "[" + out + "]";
  }
  if (v.is_object()) {
    for (const auto& [key, value] : v.items()) {
      const bool nothing = (value.is_string() && value.get_ref<const std::string&>().empty()) ||
                           (value.is_structured() && value.empty());
      if (!nothing) out += (out.empty() ? "" : ", ") + key + ": " + brief(value);
    }
    return "{" + out + "}";
  }
  return v.dump();
}

std::string plural(std::string_view table, std::size_t n) {
  std::string name(table);
  for (char& c : name)
    if (c == '_') c = ' ';
  if (n != 1 && name.ends_with('y'))
    name.replace(name.size() - 1, 1, "ies");
  else if (n != 1 && !name.ends_with('s'))
    name += 's';
  return fmt::format("{} {}", n, name);
}

using ByTable = std::map<control::Table, std::map<std::string, const control::Row*>>;
ByTable by_table(const Imported& network) {
  ByTable out;
  for (const auto& change : network.transaction.changes)
    out[control::table_of(change.row)][control::name_of(change.row)] = &change.row;
  return out;
}

}  // namespace

std::string rows_text(const Imported& network) {
  const ByTable tables = by_table(network);
  std::string out = fmt::format("{}: {}\n", network.file, imports::name_of(network.format));
  std::string counts;
  for (const auto& [table, rows] : tables)
    counts += (counts.empty() ? "  " : ", ") + plural(control::name_of(table), rows.size());
  out += counts.empty() ? "  nothing\n" : counts + "\n";
  for (const auto& [table, rows] : tables) {
    out += fmt::format("\n{}:\n", plural(control::name_of(table), rows.size()));
    for (const auto& [name, row] : rows) {
      out += "  " + name;
      const Json defaults = defaults_of(*row), fields = fields_of(*row);
      for (const auto& [field, value] : fields.items())
        // 0.0.0.0/0 says something.
        if (value != defaults[field] || field == "prefix")
          out += fmt::format("  {}={}", field, brief(value));
      out += "\n";
    }
  }
  std::map<std::string, std::vector<std::string>> carried;
  for (const auto& [port, hypervisor] : network.placement.ports)
    carried[hypervisor].push_back(port);
  out += fmt::format("\n{}:\n", plural("hypervisor", network.placement.hypervisors.size()));
  for (const std::string& name : network.placement.hypervisors)
    out += fmt::format("  {}  {}\n", name, fmt::join(carried[name], " "));
  return out;
}

std::string rows_json(const Imported& network) {
  Json out = Json::object();
  out["format"] = std::string(imports::name_of(network.format));
  out["file"] = network.file;
  const auto origin_json = [](const Origin& o) {
    return Json{{"table", o.table},
                {"uuid", o.uuid},
                {"name", o.name},
                {"file", o.place.file},
                {"line", o.place.line}};
  };
  Json& tables = out["tables"] = Json::object();
  for (const auto& [table, rows] : by_table(network)) {
    Json list = Json::array();
    for (const auto& [name, row] : rows) {
      Json object{{"name", name}};
      object.update(fields_of(*row));
      const auto it = network.row_origins.find({table, name});
      if (it != network.row_origins.end()) object["origin"] = origin_json(it->second);
      list.push_back(std::move(object));
    }
    tables[std::string(control::name_of(table))] = std::move(list);
  }
  out["placement"] =
      Json{{"hypervisors", network.placement.hypervisors}, {"ports", network.placement.ports}};
  Json& cookies = out["cookies"] = Json::object();
  for (const auto& [cookie, origin] : network.origins)
    cookies[std::to_string(cookie)] = origin_json(origin);
  Json& notes = out["notes"] = Json::array();
  for (const Error& note : network.notes) notes.push_back(note.message);
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace weft::imports
