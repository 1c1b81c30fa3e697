#include "scenarios/import/nb_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace weft::imports {
namespace {
const Datum kNothing;
const std::string kEmpty;

/// "0", "false", "", the UUID of zeros: what a column that must have a value has by default.
bool is_default(const NbColumn& column, const Datum& value) {
  if (column.min != 1 || column.max != 1 || value.size() != 1) return value.empty();
  const std::string& v = value.begin()->first;
  switch (column.key) {
    case AtomType::string:
      return v.empty();
    case AtomType::integer:
      return v == "0";
    case AtomType::boolean:
      return v == "false";
    case AtomType::uuid:
      return v == "00000000-0000-0000-0000-000000000000";
  }
  return false;
}
}  // namespace

const Datum& NbRow::get(std::string_view column) const {
  WEFT_CHECK(table->column(column) != nullptr, "no column {} in {}", column, table->name);
  const auto it = columns.find(column);
  return it == columns.end() ? kNothing : it->second;
}

const std::string& NbRow::text(std::string_view column) const {
  const Datum& d = get(column);
  return d.empty() ? kEmpty : d.begin()->first;
}

std::int64_t NbRow::number(std::string_view column) const {
  const std::string& t = text(column);
  std::int64_t out = 0;
  std::from_chars(t.data(), t.data() + t.size(), out);
  return out;
}

const std::string& NbRow::option(std::string_view column, std::string_view key) const {
  const Datum& d = get(column);
  const auto it = d.find(key);
  return it == d.end() ? kEmpty : it->second;
}

std::string NbRow::title() const {
  for (const char* column : {"name", "chassis_name"})
    if (table->column(column) != nullptr && has(column))
      return fmt::format("{} '{}'", table->name, text(column));
  return fmt::format("{} {}", table->name, short_uuid());
}

NbRow& NbStore::insert(const NbTable& table, const std::string& uuid, const Place& place) {
  auto row = std::make_unique<NbRow>();
  row->table = &table;
  row->uuid = uuid;
  row->born = transaction;
  row->place = place;
  if (!table.root) suspects_.emplace(table.name, uuid);
  const auto [it, fresh] = tables_[table.name].emplace(uuid, std::move(row));
  WEFT_CHECK(fresh, "UUID {} twice", uuid);
  return *it->second;
}

void NbStore::link(const NbRow& row, const NbColumn& column, bool add) {
  const auto it = row.columns.find(column.name);
  if (it == row.columns.end()) return;
  if (column.name == "name") {
    const auto key = std::make_pair(row.table->name, row.text("name"));
    if (add)
      names_[key].insert(row.uuid);
    else if (auto& all = names_[key]; all.erase(row.uuid) > 0 && all.empty())
      names_.erase(key);
  }
  if (column.target.empty()) return;
  auto& index = column.strong ? strong_ : weak_;
  for (const auto& [target, ignored] : it->second) {
    const Referrer who{row.table->name, row.uuid, column.name};
    if (add) {
      index[target].insert(who);
      continue;
    }
    auto& all = index[target];
    all.erase(who);
    if (!all.empty()) continue;
    index.erase(target);
    if (column.strong) suspects_.emplace(column.target, target);
  }
}

void NbStore::set(NbRow& row, const NbColumn& column, Datum value) {
  link(row, column, false);
  if (is_default(column, value))
    row.columns.erase(column.name);
  else
    row.columns[column.name] = std::move(value);
  link(row, column, true);
}

void NbStore::erase(NbRow& row) {
  for (const auto& [name, column] : row.table->columns) link(row, column, false);
  if (const auto it = weak_.find(row.uuid); it != weak_.end()) {
    const auto all = it->second;
    for (const Referrer& r : all) {
      NbRow* from = find(r.table, r.uuid);
      if (from == nullptr) continue;
      Datum rest = from->get(r.column);
      rest.erase(row.uuid);
      set(*from, *from->table->column(r.column), std::move(rest));
    }
  }
  const std::string table = row.table->name, uuid = row.uuid;
  tables_[table].erase(uuid);
}

const NbStore::Rows& NbStore::rows(std::string_view table) const {
  static const Rows none;
  const auto it = tables_.find(table);
  return it == tables_.end() ? none : it->second;
}

NbRow* NbStore::find(std::string_view table, std::string_view uuid) const {
  const Rows& all = rows(table);
  const auto it = all.find(uuid);
  return it == all.end() ? nullptr : it->second.get();
}

std::vector<NbRow*> NbStore::named(std::string_view table, const std::string& name) const {
  std::vector<NbRow*> out;
  const auto it = names_.find({std::string(table), name});
  if (it != names_.end())
    for (const std::string& uuid : it->second) out.push_back(find(table, uuid));
  return out;
}

std::vector<NbRow*> NbStore::referrers(std::string_view table, std::string_view column,
                                       const std::string& uuid) const {
  std::vector<NbRow*> out;
  for (const auto* index : {&strong_, &weak_}) {
    const auto it = index->find(uuid);
    if (it == index->end()) continue;
    for (const Referrer& r : it->second)
      if (r.table == table && r.column == column)
        if (NbRow* row = find(r.table, r.uuid)) out.push_back(row);
  }
  return out;
}

std::vector<std::string> NbStore::settle() {
  std::vector<std::string> gone;
  while (!suspects_.empty()) {
    const auto [table, uuid] = *suspects_.begin();
    suspects_.erase(suspects_.begin());
    NbRow* row = find(table, uuid);
    if (row == nullptr || row->table->root || strong_.contains(uuid)) continue;
    gone.push_back(row->title());
    erase(*row);
  }
  ++transaction;
  return gone;
}

std::vector<Error> NbStore::check() const {
  std::vector<Error> out;
  for (const auto& [name, rows] : tables_) {
    for (const auto& [uuid, row] : rows) {
      for (const auto& [column_name, value] : row->columns) {
        const NbColumn& column = *row->table->column(column_name);
        const auto wrong = [&](const std::string& what) {
          out.push_back(
              {fmt::format("{}, column {}: {}", row->title(), column_name, what), row->place, {}});
        };
        if (value.size() > column.max)
          wrong(fmt::format("has {} values, but may have {}", value.size(), column.max));
        for (const auto& [element, mapped] : value) {
          if (!column.choices.empty() && std::find(column.choices.begin(), column.choices.end(),
                                                   element) == column.choices.end())
            wrong(fmt::format("'{}' is none of {}", element, fmt::join(column.choices, ", ")));
          if (column.strong && find(column.target, element) == nullptr)
            wrong(fmt::format("refers to {} {}, which does not exist", column.target, element));
        }
      }
    }
  }
  for (const auto& [key, uuids] : names_) {
    const NbTable* table = nb_table(key.first);
    if (table->unique && uuids.size() > 1)
      out.push_back({fmt::format("there are {} rows of {} named '{}', which must be unique",
                                 uuids.size(), key.first, key.second),
                     find(key.first, *uuids.rbegin())->place,
                     {}});
  }
  return out;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !digit) return false;
  }
  return true;
}

Result<std::string> canonical_atom(AtomType type, std::string_view text) {
  switch (type) {
    case AtomType::string:
      return std::string(text);
    case AtomType::boolean:
      if (text == "true" || text == "false") return std::string(text);
      return Error{fmt::format("'{}' is neither true nor false", text)};
    case AtomType::integer: {
      std::int64_t number = 0;
      const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (failed != std::errc() || end != text.data() + text.size())
        return Error{fmt::format("'{}' is no whole number", text)};
      return std::to_string(number);
    }
    case AtomType::uuid: {
      if (!is_uuid(text)) return Error{fmt::format("'{}' is no UUID", text)};
      std::string lower(text);
      for (char& c : lower)
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c + 32);
      return lower;
    }
  }
  return std::string(text);
}

}  // namespace weft::imports
