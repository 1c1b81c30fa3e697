#include "scenarios/import/nb_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/names.h"
#include "control/expression.h"
#include "scenarios/import/nb_mapper.h"

namespace weft::imports {

void map_northbound(const NbStore& store, const ImportOptions& options, Imported& out,
                    scenarios::Diagnostics& diag) {
  NbMapper(store, options, out, diag).run();
}

void NbMapper::run() {
  judge();
  name_rows();
  if (diag_.count() == 0) {
    map_tenant();
    map_dhcp();
    map_switches();
    map_routers();
    finish_ports();
    map_sets();
    map_acls();
    map_load_balancers();
    map_dns();
    map_qos();
    map_mirrors();
    place();
  }
  write_notes();
}

// --- what becomes of each column -----------------------------------------------------------------

void NbMapper::judge() {
  for (const auto& [name, table] : nb_tables()) {
    for (const NbRow* row : sorted(name)) {
      if (table.use == Use::refused) {
        diag_.error(row->place, fmt::format("{}: {}", row->title(), table.why),
                    "remove the row, or what depends on it");
        continue;
      }
      if (table.use == Use::ignored) continue;
      for (const auto& [column_name, value] : row->columns)
        judge_column(*row, *table.column(column_name));
    }
  }
}

void NbMapper::judge_column(const NbRow& row, const NbColumn& column) {
  const auto all = [&] {
    std::string out;
    for (const auto& [key, value] : row.get(column.name))
      out += (out.empty() ? "" : ", ") + key + (column.is_map ? "=" + value : "");
    return out;
  };
  const std::string what = row.table->name + "." + column.name;
  if (column.use == Use::refused)
    refuse(row, column.name, fmt::format("'{}': {}", all(), column.why), "clear the column");
  if (column.use == Use::noted) note(row, what, column.why);
  if (column.use != Use::listed) return;
  for (const auto& [key, value] : row.get(column.name)) {
    const NbOption* option = nb_option(row.table->name, column.name, key);
    if (option == nullptr) {
      const auto known = nb_option_keys(row.table->name, column.name);
      refuse(row, column.name, fmt::format("weft does not know the key '{}'", key),
             scenarios::suggest(key, known));
      continue;
    }
    if (option->use == Use::used || option->use == Use::ignored) continue;
    if (value.empty() || value == option->neutral) continue;
    if (option->use == Use::noted)
      note(row, what + ":" + key, std::string(option->why));
    else
      refuse(row, column.name, fmt::format("{}={}: {}", key, value, option->why), "remove the key");
  }
}

void NbMapper::refuse(const NbRow& row, std::string_view column, const std::string& what,
                      const std::string& remedy) {
  diag_.error(row.place, fmt::format("{}, column {}: {}", row.title(), column, what), remedy);
}

void NbMapper::note(const NbRow& row, const std::string& what, const std::string& why) {
  notes_[{what, why}].push_back(&row);
}

void NbMapper::write_notes() {
  for (const auto& [key, rows] : notes_) {
    const std::string more =
        rows.size() > 1 ? fmt::format(" and {} more", rows.size() - 1) : std::string();
    out_.notes.push_back(
        {fmt::format("{} of {}{}: {}", key.first, rows.front()->title(), more, key.second),
         rows.front()->place,
         {}});
  }
}

// --- names and order -----------------------------------------------------------------------------

std::string NbMapper::contents(const NbRow& row) const {
  std::string out;
  for (const auto& [name, value] : row.columns) {
    const NbColumn& column = *row.table->column(name);
    if (column.use == Use::ignored) continue;
    out += name;
    if (column.target.empty()) {
      for (const auto& [key, mapped] : value) out += '\1' + key + '\2' + mapped;
      continue;
    }
    std::vector<std::string> parts;
    for (const auto& [uuid, ignored] : value) {
      const NbRow* target = store_.find(column.target, uuid);
      if (target == nullptr) continue;
      const bool named = target->table->column("name") != nullptr && target->has("name");
      parts.push_back(named ? target->text("name") : contents(*target));
    }
    std::sort(parts.begin(), parts.end());
    for (const std::string& part : parts) out += '\1' + part;
  }
  return out;
}

NbMapper::Rows NbMapper::sorted(std::string_view table) const {
  Rows out;
  for (const auto& [uuid, row] : store_.rows(table)) out.push_back(row.get());
  if (out.empty()) return out;
  if (out.front()->table->unique) {
    std::sort(out.begin(), out.end(),
              [](const NbRow* a, const NbRow* b) { return a->text("name") < b->text("name"); });
    return out;
  }
  std::vector<std::pair<std::string, const NbRow*>> keyed;
  for (const NbRow* row : out)
    keyed.emplace_back(
        (row->table->column("name") == nullptr ? "" : row->text("name")) + '\1' + contents(*row),
        row);
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = keyed[i].second;
  return out;
}

NbMapper::Rows NbMapper::children(const NbRow& row, std::string_view column) const {
  const std::string& target = row.table->column(column)->target;
  std::vector<std::pair<std::string, const NbRow*>> keyed;
  for (const auto& [uuid, ignored] : row.get(column)) {
    const NbRow* child = store_.find(target, uuid);
    if (child == nullptr) continue;
    const bool named = child->table->column("name") != nullptr;
    std::string key = named ? child->text("name") : std::string();
    if (!child->table->unique) key += '\1' + contents(*child);
    keyed.emplace_back(std::move(key), child);
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Rows out;
  for (const auto& [key, child] : keyed) out.push_back(child);
  return out;
}

void NbMapper::name_rows() {
  for (const char* table : {"Logical_Switch", "Logical_Router", "Load_Balancer"}) {
    std::string prefix = table;
    for (char& c : prefix)
      c = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    for (const NbRow* row : sorted(table)) {
      const std::string& name = row->text("name");
      if (name.empty())
        names_[row] = prefix + "-" + row->short_uuid();
      else if (store_.named(table, name).size() > 1)
        names_[row] = name + "-" + row->short_uuid();
    }
  }
}

std::string NbMapper::name_of(const NbRow& row) const {
  const auto it = names_.find(&row);
  return it == names_.end() ? row.text("name") : it->second;
}

std::string NbMapper::made_name(control::Table table, std::string_view prefix, const NbRow& row) {
  std::string name = fmt::format("{}-{}", prefix, row.short_uuid());
  if (!taken_.contains({table, name})) return name;
  name = fmt::format("{}-{}", prefix, row.uuid);
  for (int n = 2; taken_.contains({table, name}); ++n)
    name = fmt::format("{}-{}-{}", prefix, row.uuid, n);
  return name;
}

std::uint64_t NbMapper::cookie(const NbRow& row) {
  const bool named = row.table->column("name") != nullptr;
  out_.origins[++cookies_] = {row.table->name, row.uuid, named ? row.text("name") : std::string(),
                              row.place};
  return cookies_;
}

void NbMapper::insert(control::Row row, const NbRow* origin) {
  const control::RowId id{control::table_of(row), control::name_of(row)};
  taken_.insert(id);
  if (origin != nullptr) {
    const bool named = origin->table->column("name") != nullptr;
    out_.row_origins[id] = {origin->table->name, origin->uuid,
                            named ? origin->text("name") : std::string(), origin->place};
  }
  out_.transaction.insert(std::move(row));
}

bool NbMapper::check_match(const NbRow& row) {
  const std::string& match = row.text("match");
  const auto parsed = control::parse_expression(match);
  if (!parsed) {
    refuse(row, "match",
           fmt::format("{} (character {} of `{}`)", parsed.error().message,
                       parsed.error().place.column, match),
           parsed.error().remedy);
    return false;
  }
  const control::References named = parsed->references();
  bool whole = true;
  const auto missing = [&](const std::string& what, const std::string& name) {
    refuse(row, "match", fmt::format("there is no {} '{}'", what, name));
    whole = false;
  };
  for (const std::string& set : named.address_sets) {
    const bool of_group = (set.ends_with("_ip4") || set.ends_with("_ip6")) &&
                          !store_.named("Port_Group", set.substr(0, set.size() - 4)).empty();
    if (!of_group && store_.named("Address_Set", set).empty()) missing("address set", set);
  }
  for (const std::string& group : named.port_groups)
    if (store_.named("Port_Group", group).empty()) missing("port group", group);
  for (const std::string& port : named.ports) {
    const bool known = !store_.named("Logical_Switch_Port", port).empty() ||
                       !store_.named("Logical_Router_Port", port).empty();
    if (!known) missing("port", port);
  }
  return whole;
}

bool NbMapper::check_enabled(const NbRow& row) {
  if (!row.has("enabled") || row.is_true("enabled")) return true;
  refuse(row, "enabled", "weft's routers and their ports are always enabled",
         "remove the row, or enable it");
  return false;
}

// --- placement -----------------------------------------------------------------------------------

void NbMapper::place() {
  std::vector<std::string> free;
  for (const auto& [name, port] : ports_) {
    if (port.type == control::PortType::external || nobodys_.contains(name)) continue;
    if (port.requested.empty())
      free.push_back(name);
    else
      out_.placement.ports[name] = port.requested;
  }
  spread_ports(chassis_, free, options_, out_.placement);
  // A way out is where its network's gateways are, and where addresses are translated in place; if
  // there are no gateways, on every hypervisor, as in OVN.
  for (control::Transaction::Change& change : out_.transaction.changes) {
    auto* port = std::get_if<control::Port>(&change.row);
    if (port == nullptr || port->type != control::PortType::external || !port->requested.empty())
      continue;
    std::vector<std::string> where = exits_[port->network];
    if (where.empty()) where = out_.placement.hypervisors;
    for (const std::string& name : floating_[port->network])
      if (const auto it = out_.placement.ports.find(name);
          it != out_.placement.ports.end() &&
          std::find(where.begin(), where.end(), it->second) == where.end())
        where.push_back(it->second);
    port->requested = where.front();
    port->also.assign(where.begin() + 1, where.end());
  }
}

}  // namespace weft::imports
