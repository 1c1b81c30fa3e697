// The generic database commands: create, set, add, remove, clear, destroy, get --id.
#include <fmt/format.h>

#include <algorithm>

#include "base/names.h"
#include "scenarios/import/nbctl_runner.h"

namespace weft::imports {
namespace {

/// Names of tables and columns are found without regard to case, with - for _, and by any
/// beginning that is unique.
std::string folded(std::string_view name) {
  std::string out;
  for (char c : name) out += c == '-' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

template <class Map>
std::vector<const typename Map::mapped_type*> matches(const Map& all, std::string_view name) {
  const std::string wanted = folded(name);
  std::vector<const typename Map::mapped_type*> out;
  for (const auto& [key, value] : all) {
    const std::string have = folded(key);
    if (have == wanted) return {&value};
    if (have.starts_with(wanted)) out.push_back(&value);
  }
  return out;
}

template <class Map>
std::string remedy(const Map& all, std::string_view name) {
  std::vector<std::string> names;
  for (const auto& [key, value] : all) names.push_back(key);
  const std::string near = nearest_name(name, names);
  return near.empty() ? std::string() : fmt::format("did you mean '{}'?", near);
}

}  // namespace

const NbTable* Runner::table(const Word& word) {
  const auto found = matches(nb_tables(), word.text);
  if (found.size() == 1) return found.front();
  error(word,
        found.empty() ? fmt::format("OVN has no table '{}' that weft knows", word.text)
                      : fmt::format("several tables begin with '{}'", word.text),
        remedy(nb_tables(), word.text));
  return nullptr;
}

const NbColumn* Runner::column(const NbTable& table, const std::string& name, const Place& place) {
  const auto found = matches(table.columns, name);
  if (found.size() == 1) return found.front();
  error(place,
        found.empty() ? fmt::format("{} has no column '{}' that weft knows", table.name, name)
                      : fmt::format("several columns of {} begin with '{}'", table.name, name),
        remedy(table.columns, name));
  return nullptr;
}

std::string Runner::symbol(const std::string& name) {
  const auto it = symbols_.find(name);
  if (it != symbols_.end()) return it->second;
  return symbols_[name] = new_uuid();
}

NbRow* Runner::record(const NbTable& table, const Word& word, bool quiet) {
  if (word.text.starts_with('@')) {
    const auto it = symbols_.find(word.text);
    NbRow* row = it == symbols_.end() ? nullptr : store_.find(table.name, it->second);
    if (row == nullptr)
      error(word, fmt::format("nothing before it on this line creates {} as a {}", word.text,
                              table.name));
    return row;
  }
  const auto& rows = store_.rows(table.name);
  if (word.text == "." && table.name == "NB_Global") {
    if (rows.empty()) return &create("NB_Global", place_);
    return rows.begin()->second.get();
  }
  const char* by = nullptr;
  for (const char* name : {"name", "chassis_name"})
    if (by == nullptr && table.column(name) != nullptr) by = name;
  std::vector<NbRow*> abbreviated, named;
  for (const auto& [uuid, row] : rows) {
    if (folded(word.text) == uuid) return row.get();
    if (by != nullptr && row->text(by) == word.text) named.push_back(row.get());
    if (word.text.size() >= 4 && uuid.starts_with(folded(word.text)))
      abbreviated.push_back(row.get());
  }
  const auto& found = named.empty() ? abbreviated : named;
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    error(word, fmt::format("{} rows of {} could be '{}'", found.size(), table.name, word.text),
          "give the UUID of the one that is meant");
    return nullptr;
  }
  return quiet ? nullptr : find(table.name, word);
}

void Runner::resolve_symbols(const NbColumn& column, Datum& value) {
  if (column.key != AtomType::uuid) return;
  Datum out;
  for (const auto& [key, mapped] : value) {
    if (!key.starts_with('@')) {
      out[key] = mapped;
      continue;
    }
    if (!symbols_.contains(key)) pending_[key] = place_;
    out[symbol(key)] = mapped;
  }
  value = std::move(out);
}

void Runner::db_create(const Call& call) {
  const NbTable* t = table(call.args[0]);
  if (t == nullptr) return;
  std::string uuid;
  if (call.has("--id")) {
    const Word& id = call.options.find("--id")->second;
    if (id.text.starts_with('@')) {
      if (symbols_.contains(id.text) && !pending_.contains(id.text))
        return error(id, fmt::format("{} is created twice", id.text));
      uuid = symbol(id.text);
      pending_.erase(id.text);
    } else if (is_uuid(id.text)) {
      uuid = *canonical_atom(AtomType::uuid, id.text);
      for (const auto& [name, info] : nb_tables())
        if (store_.find(name, uuid) != nullptr)
          return error(id, fmt::format("there is a row {} already", uuid));
    } else {
      return error(id, fmt::format("'{}' is neither @NAME nor a UUID", id.text));
    }
  } else if (!t->root) {
    return error(call.name,
                 fmt::format("a row of {} vanishes at once if nothing refers to it", t->name),
                 "--id=@name create TABLE ..., and on the same line -- add TABLE ROW COLUMN @name");
  }
  NbRow& row = create(t->name, place_, uuid);
  Call rest;
  rest.name = call.name;
  rest.args = {call.args[0], {row.uuid, call.args[0].place}};
  rest.args.insert(rest.args.end(), call.args.begin() + 1, call.args.end());
  db_set(rest);
}

void Runner::db_set(const Call& call) {
  const NbTable* t = table(call.args[0]);
  NbRow* row = t == nullptr ? nullptr : record(*t, call.args[1], call.has("--if-exists"));
  if (row == nullptr) return;
  for (std::size_t i = 2; i < call.args.size(); ++i) {
    const Word& word = call.args[i];
    const auto parsed = parse_assignment(word.text);
    if (!parsed) {
      error(word, parsed.error().message);
      continue;
    }
    const NbColumn* c = column(*t, parsed->column, word.place);
    if (c == nullptr) continue;
    if (!parsed->value) {
      error(word, fmt::format("'{}' sets nothing", word.text), "COLUMN[:KEY]=VALUE");
      continue;
    }
    if (!parsed->key) {
      auto value = parse_value(*c, *parsed->value);
      if (!value) {
        error(word, fmt::format("column {}: {}", c->name, value.error().message));
        continue;
      }
      resolve_symbols(*c, *value);
      put(*row, c->name, std::move(*value));
      continue;
    }
    if (!c->is_map) {
      error(word, fmt::format("column {} is no map and has no keys", c->name));
      continue;
    }
    const auto key = parse_atom(*c, false, *parsed->key);
    const auto value = parse_atom(*c, true, *parsed->value);
    if (!key || !value) {
      error(word, fmt::format("column {}: {}", c->name,
                              key ? value.error().message : key.error().message));
      continue;
    }
    put_into(*row, c->name, *key, *value);
  }
}

void Runner::db_add(const Call& call) {
  const NbTable* t = table(call.args[0]);
  NbRow* row = t == nullptr ? nullptr : record(*t, call.args[1], call.has("--if-exists"));
  const NbColumn* c = row == nullptr ? nullptr : column(*t, call.arg(2), call.args[2].place);
  if (c == nullptr) return;
  Datum now = row->get(c->name);
  for (std::size_t i = 3; i < call.args.size(); ++i) {
    auto value = parse_value(*c, call.arg(i));
    if (!value) {
      error(call.args[i], fmt::format("column {}: {}", c->name, value.error().message));
      continue;
    }
    resolve_symbols(*c, *value);
    now.insert(value->begin(), value->end());
  }
  if (now.size() > c->max)
    return error(call.args[3], fmt::format("column {} holds one value", c->name), "use set");
  put(*row, c->name, std::move(now));
}

void Runner::db_remove(const Call& call) {
  const NbTable* t = table(call.args[0]);
  NbRow* row = t == nullptr ? nullptr : record(*t, call.args[1], call.has("--if-exists"));
  const NbColumn* c = row == nullptr ? nullptr : column(*t, call.arg(2), call.args[2].place);
  if (c == nullptr) return;
  Datum now = row->get(c->name);
  NbColumn keys = *c;
  keys.is_map = false;
  keys.min = 0, keys.max = kMany;
  for (std::size_t i = 3; i < call.args.size(); ++i) {
    const bool pairs = c->is_map && call.arg(i).find('=') != std::string::npos;
    auto value = parse_value(pairs ? *c : keys, call.arg(i));
    if (!value) {
      error(call.args[i], fmt::format("column {}: {}", c->name, value.error().message));
      continue;
    }
    resolve_symbols(*c, *value);
    for (const auto& [key, mapped] : *value) {
      const auto it = now.find(key);
      if (it != now.end() && (!pairs || it->second == mapped)) now.erase(it);
    }
  }
  if (now.size() < c->min)
    return error(call.args[3], fmt::format("column {} must keep a value", c->name));
  put(*row, c->name, std::move(now));
}

void Runner::db_clear(const Call& call) {
  const NbTable* t = table(call.args[0]);
  NbRow* row = t == nullptr ? nullptr : record(*t, call.args[1], call.has("--if-exists"));
  if (row == nullptr) return;
  for (std::size_t i = 2; i < call.args.size(); ++i) {
    const NbColumn* c = column(*t, call.arg(i), call.args[i].place);
    if (c == nullptr) continue;
    if (c->min > 0)
      error(call.args[i], fmt::format("column {} must have a value", c->name));
    else
      put(*row, c->name, Datum{});
  }
}

void Runner::db_destroy(const Call& call) {
  const NbTable* t = table(call.args[0]);
  if (t == nullptr) return;
  std::vector<NbRow*> rows;
  if (call.has("--all")) {
    for (const auto& [uuid, row] : store_.rows(t->name)) rows.push_back(row.get());
  } else if (call.args.size() == 1) {
    return error(call.name, "destroy needs a row", "or --all");
  }
  for (std::size_t i = 1; i < call.args.size(); ++i)
    if (NbRow* row = record(*t, call.args[i], call.has("--if-exists"))) rows.push_back(row);
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  for (NbRow* row : rows) {
    // A row that somebody needs cannot go: ovsdb-server refuses the whole transaction at its end.
    for (const auto& [name, info] : nb_tables())
      for (const auto& [column_name, c] : info.columns)
        if (c.strong && c.target == t->name)
          for (const NbRow* owner : store_.referrers(name, column_name, row->uuid))
            if (t->root)
              error(call.name, fmt::format("{} still refers to {}", owner->title(), row->title()),
                    "remove it there first, on the same line or earlier");
    store_.erase(*row);
  }
}

void Runner::db_get(const Call& call) {
  const NbTable* t = table(call.args[0]);
  if (t == nullptr) return;
  const NbRow* row = record(*t, call.args[1], call.has("--if-exists"));
  if (row == nullptr || !call.has("--id")) return;
  const Word& id = call.options.find("--id")->second;
  if (!id.text.starts_with('@')) return error(id, fmt::format("'{}' is no @NAME", id.text));
  symbols_[id.text] = row->uuid;
}

}  // namespace weft::imports
