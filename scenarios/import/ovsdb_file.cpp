#include "scenarios/import/ovsdb_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/names.h"
#include "scenarios/import/sha1.h"

namespace weft::imports {
namespace {

using Json = nlohmann::json;

struct Record {
  std::size_t offset = 0;  ///< of its header
  int line = 1;            ///< of its JSON
  Json json;
};

/// Cuts the log into records and checks them.
class LogReader {
 public:
  LogReader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t offset() const { return at_; }

  Result<Record> next() {
    Record record;
    record.offset = at_;
    const std::size_t end = bytes_.find('\n', at_);
    const std::string_view header =
        bytes_.substr(at_, std::min(end, std::min(bytes_.size(), at_ + 120)) - at_);
    const auto words = split(header);
    if (words.size() == 4 && words[0] == "OVSDB" && words[1] == "CLUSTER") {
      return Error{"a member's file of a clustered database, which holds the log of the cluster",
                   place(),
                   "ovsdb-tool cluster-to-standalone OUT.db THIS.db writes a file to import; so "
                   "does ovsdb-client backup from a running server"};
    }
    std::size_t length = 0;
    const bool known =
        words.size() == 4 && words[0] == "OVSDB" && words[1] == "JSON" && words[3].size() == 40 &&
        end != std::string_view::npos &&
        std::from_chars(words[2].data(), words[2].data() + words[2].size(), length).ptr ==
            words[2].data() + words[2].size();
    if (!known) {
      return damaged(end == std::string_view::npos ? "the log is cut short in a record's header"
                                                   : "this is no header of a record");
    }
    if (length > bytes_.size() - end - 1) {
      return damaged(fmt::format("the log is cut short: the record has {} bytes, but {} are left",
                                 length, bytes_.size() - end - 1));
    }
    const std::string_view body = bytes_.substr(end + 1, length);
    const std::string sum = sha1_hex(body);
    if (sum != words[3])
      return damaged(fmt::format("the record has SHA-1 {}, but its header says {}", sum, words[3]));
    record.line = line_ + 1;
    record.json = Json::parse(body, nullptr, false);
    if (!record.json.is_object()) return damaged("the record is no JSON object");
    at_ = end + 1 + length;
    line_ += 1 + static_cast<int>(std::count(body.begin(), body.end(), '\n'));
    return record;
  }

 private:
  static std::vector<std::string_view> split(std::string_view line) {
    std::vector<std::string_view> out;
    while (!line.empty()) {
      const std::size_t space = std::min(line.find(' '), line.size());
      out.push_back(line.substr(0, space));
      line.remove_prefix(std::min(space + 1, line.size()));
    }
    return out;
  }
  Place place() const { return {file_, line_, 1}; }
  Error damaged(const std::string& what) const {
    return {fmt::format("damaged at offset {}: {}", at_, what), place(),
            "take a copy that is whole (ovsdb-client backup); --up-to-damage imports what stands "
            "before it"};
  }

  std::string_view bytes_;
  const std::string& file_;
  std::size_t at_ = 0;
  int line_ = 1;
};

/// A column as the schema in the file has it.
struct FileColumn {
  AtomType key = AtomType::string;
  AtomType value = AtomType::string;
  bool is_map = false;
  bool real = false;  ///< no column of OVN has such
  std::size_t max = 1;
};
using FileTable = std::map<std::string, FileColumn, std::less<>>;

std::optional<AtomType> atom_type(const Json& type) {
  const Json* name = &type;
  if (type.is_object()) {
    const auto it = type.find("type");
    if (it == type.end()) return std::nullopt;
    name = &*it;
  }
  if (!name->is_string()) return std::nullopt;
  const std::string& t = name->get_ref<const std::string&>();
  if (t == "string") return AtomType::string;
  if (t == "integer") return AtomType::integer;
  if (t == "boolean") return AtomType::boolean;
  if (t == "uuid") return AtomType::uuid;
  return std::nullopt;
}

std::optional<FileColumn> file_column(const Json& json) {
  if (!json.is_object() || !json.contains("type")) return std::nullopt;
  const Json& type = json["type"];
  FileColumn c;
  const bool whole = type.is_object();
  if (whole && !type.contains("key")) return std::nullopt;
  const auto key = atom_type(whole ? type["key"] : type);
  if (!key) return std::nullopt;
  c.key = *key;
  if (whole && type.contains("value")) {
    const auto value = atom_type(type["value"]);
    if (!value) return std::nullopt;
    c.value = *value;
    c.is_map = true;
  }
  if (whole && type.contains("max")) {
    const Json& max = type["max"];
    if (max.is_number_unsigned())
      c.max = max.get<std::size_t>();
    else
      c.max = kMany;
  }
  return c;
}

class Builder {
 public:
  Builder(const std::string& file, OvsdbContents& out) : file_(file), out_(out) {}

  Result<> schema(const Record& record) {
    const auto name = record.json.find("name");
    const auto tables = record.json.find("tables");
    if (name == record.json.end() || !name->is_string() || tables == record.json.end() ||
        !tables->is_object())
      return fail(record, "the first record is no schema of a database");
    if (*name != "OVN_Northbound") {
      Error e = fail(record,
                     fmt::format("a database '{}', not OVN_Northbound", name->get<std::string>()));
      e.remedy = "the northbound database is what a cloud asks OVN for: often ovnnb_db.db";
      return e;
    }
    if (const auto v = record.json.find("version"); v != record.json.end() && v->is_string())
      out_.version = *v;
    for (const auto& [table, definition] : tables->items()) {
      if (!definition.is_object() || !definition.contains("columns") ||
          !definition["columns"].is_object())
        return fail(record, fmt::format("the schema's table {} has no columns", table));
      FileTable& known = tables_[table];
      for (const auto& [column, type] : definition["columns"].items()) {
        const auto c = file_column(type);
        if (!c)
          return fail(record, fmt::format("the schema's column {} of {} has a type that is none",
                                          column, table));
        known[column] = *c;
      }
    }
    return {};
  }

  Result<> transaction(const Record& record) {
    bool diff = false;
    if (const auto it = record.json.find("_is_diff"); it != record.json.end())
      diff = it->is_boolean() && it->get<bool>();
    for (const auto& [table, rows] : record.json.items()) {
      if (table.starts_with("_")) {
        if (table == "_date" || table == "_comment" || table == "_is_diff") continue;
        return fail(record, fmt::format("a record has '{}', which weft does not know", table));
      }
      const auto known = tables_.find(table);
      if (known == tables_.end() || !rows.is_object())
        return fail(record,
                    fmt::format("a record changes table {}, which its schema has not", table));
      for (const auto& [uuid, row] : rows.items()) {
        if (auto done = change(record, table, known->second, uuid, row, diff); !done)
          return done.error();
      }
    }
    return {};
  }

  /// Tables and columns that weft has not heard of, if they hold anything.
  std::vector<Error> foreign() const {
    std::vector<Error> out;
    std::vector<std::string> tables;
    for (const auto& [name, table] : nb_tables()) tables.push_back(name);
    for (const auto& [table, rows] : foreign_rows_)
      if (!rows.empty())
        out.push_back(
            {fmt::format("table {} has {} rows, and weft does not know it", table, rows.size()),
             {file_, rows.begin()->second, 1},
             nearest_name(table, tables).empty()
                 ? "a version of OVN that is newer than weft; remove the rows"
                 : fmt::format("is it {}?", nearest_name(table, tables))});
    for (const auto& [key, value] : foreign_columns_)
      if (!value.first.empty())
        out.push_back({fmt::format("{}, row {}: weft does not know column {}", std::get<0>(key),
                                   std::get<1>(key).substr(0, 8), std::get<2>(key)),
                       {file_, value.second, 1},
                       "a version of OVN that is newer than weft; clear the column"});
    return out;
  }

 private:
  Error fail(const Record& record, const std::string& what) const {
    return {
        fmt::format("{} (record at offset {})", what, record.offset), {file_, record.line, 1}, {}};
  }

  Result<std::string> atom(AtomType type, const Json& json) const {
    if (type == AtomType::uuid) {
      if (!json.is_array() || json.size() != 2 || json[0] != "uuid" || !json[1].is_string())
        return Error{"expected [\"uuid\", ...]"};
      return canonical_atom(type, json[1].get<std::string>());
    }
    if (type == AtomType::string && json.is_string()) return json.get<std::string>();
    if (type == AtomType::boolean && json.is_boolean())
      return std::string(json.get<bool>() ? "true" : "false");
    if (type == AtomType::integer && json.is_number_integer())
      return std::to_string(json.get<std::int64_t>());
    return Error{fmt::format("the value is {}, not of its column's type", json.type_name())};
  }

  Result<Datum> datum(const FileColumn& c, const Json& json) const {
    Datum out;
    const bool tagged = json.is_array() && json.size() == 2 && json[0].is_string() &&
                        json[1].is_array() && (json[0] == "set" || json[0] == "map");
    if (c.is_map) {
      if (!tagged || json[0] != "map") return Error{"expected [\"map\", ...]"};
      for (const Json& pair : json[1]) {
        if (!pair.is_array() || pair.size() != 2) return Error{"a pair of a map has two parts"};
        auto key = atom(c.key, pair[0]);
        auto value = atom(c.value, pair[1]);
        if (!key) return key.error();
        if (!value) return value.error();
        out[*key] = *value;
      }
      return out;
    }
    if (!tagged) {
      auto only = atom(c.key, json);
      if (!only) return only.error();
      out[*only];
      return out;
    }
    for (const Json& element : json[1]) {
      auto key = atom(c.key, element);
      if (!key) return key.error();
      out[*key];
    }
    return out;
  }

  /// What a column becomes by a difference.
  static Datum changed(const FileColumn& c, Datum now, const Datum& difference) {
    if (c.max == 1) return difference;
    for (const auto& [key, value] : difference) {
      const auto it = now.find(key);
      if (it == now.end())
        now[key] = value;
      else if (c.is_map && it->second != value)
        it->second = value;
      else
        now.erase(it);
    }
    return now;
  }

  Result<> change(const Record& record, const std::string& table, const FileTable& columns,
                  const std::string& uuid_text, const Json& row, bool diff) {
    const auto uuid = canonical_atom(AtomType::uuid, uuid_text);
    if (!uuid) return fail(record, fmt::format("table {}: {}", table, uuid.error().message));
    if (!row.is_null() && !row.is_object())
      return fail(record, fmt::format("table {}, row {}: neither null nor an object", table,
                                      uuid->substr(0, 8)));
    const NbTable* known = nb_table(table);
    if (known == nullptr) {
      auto& rows = foreign_rows_[table];
      if (row.is_null())
        rows.erase(*uuid);
      else
        rows[*uuid] = record.line;
      return {};
    }
    NbRow* now = out_.store.find(table, *uuid);
    if (row.is_null()) {
      if (now == nullptr)
        return fail(record, fmt::format("table {}: row {} is deleted, but it is not there", table,
                                        uuid->substr(0, 8)));
      out_.store.erase(*now);
      std::erase_if(foreign_columns_, [&](const auto& f) {
        return std::get<0>(f.first) == table && std::get<1>(f.first) == *uuid;
      });
      return {};
    }
    const Place place{file_, record.line, 1};
    if (now == nullptr) now = &out_.store.insert(*known, *uuid, place);
    now->place = place;
    for (const auto& [name, value] : row.items()) {
      const auto wrong = [&](const std::string& what) {
        return fail(record, fmt::format("{}, column {}: {}", now->title(), name, what));
      };
      const auto it = columns.find(name);
      if (it == columns.end()) return wrong("the file's schema has no such column");
      auto parsed = datum(it->second, value);
      if (!parsed) return wrong(parsed.error().message);
      const NbColumn* column = known->column(name);
      if (column == nullptr) {
        auto& [held, line] = foreign_columns_[{table, *uuid, name}];
        held = diff ? changed(it->second, std::move(held), *parsed) : std::move(*parsed);
        line = record.line;
        // What is there by default says nothing.
        if (held.size() == 1 && it->second.max == 1 && !it->second.is_map &&
            (held.contains("") || held.contains("0") || held.contains("false")))
          held.clear();
        continue;
      }
      if (column->is_map != it->second.is_map || column->key != it->second.key)
        return wrong("it is of another type than in the OVN that weft knows");
      out_.store.set(*now, *column,
                     diff ? changed(it->second, now->get(name), *parsed) : std::move(*parsed));
    }
    return {};
  }

  const std::string& file_;
  OvsdbContents& out_;
  std::map<std::string, FileTable, std::less<>> tables_;
  std::map<std::string, std::map<std::string, int>> foreign_rows_;  // -> line
  std::map<std::tuple<std::string, std::string, std::string>, std::pair<Datum, int>>
      foreign_columns_;
};

}  // namespace

bool looks_like_ovsdb(std::string_view bytes) { return bytes.starts_with("OVSDB "); }

std::optional<OvsdbContents> read_ovsdb(std::string_view bytes, const std::string& file,
                                        scenarios::Diagnostics& diag, OvsdbOptions options) {
  const auto refuse = [&](const Error& e) {
    diag.error(e.place, e.message, e.remedy);
    return std::nullopt;
  };
  OvsdbContents out;
  LogReader log(bytes, file);
  Builder builder(file, out);
  const auto first = log.next();
  if (!first) return refuse(first.error());
  if (auto read = builder.schema(*first); !read) return refuse(read.error());
  out.records = 1;
  while (!log.at_end()) {
    const auto record = log.next();
    if (!record) {
      if (!options.up_to_damage) return refuse(record.error());
      out.damage = record.error();
      out.damage->remedy =
          fmt::format("{} bytes from there on were left out", bytes.size() - log.offset());
      break;
    }
    if (auto read = builder.transaction(*record); !read) return refuse(read.error());
    out.store.settle();
    ++out.records;
  }
  std::vector<Error> errors = builder.foreign();
  for (Error& e : out.store.check()) errors.push_back(std::move(e));
  for (const Error& e : errors) refuse(e);
  if (!errors.empty()) return std::nullopt;
  return out;
}

}  // namespace weft::imports
