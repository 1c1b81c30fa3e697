// Imports without what depends on UUIDs: names that were made from them are numbered instead.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scenarios/import/import.h"

namespace weft::test {

inline std::vector<control::Row> canonical_rows(const imports::Imported& network) {
  std::map<control::Table, int> numbers;
  std::map<std::string, std::string> renamed;  // DHCP options, which ports refer to
  std::vector<control::Row> out;
  for (const auto& change : network.transaction.changes) {
    control::Row row = change.row;
    const control::RowId id{control::table_of(row), control::name_of(row)};
    const auto origin = network.row_origins.find(id);
    const bool made = origin != network.row_origins.end() && !origin->second.uuid.empty() &&
                      id.second.find(origin->second.uuid.substr(0, 8)) != std::string::npos;
    if (made) {
      const std::string name =
          std::string(control::name_of(id.first)) + "#" + std::to_string(++numbers[id.first]);
      renamed[id.second] = name;
      std::visit([&](auto& r) { r.name = name; }, row);
    }
    if (auto* port = std::get_if<control::Port>(&row))
      for (std::string* dhcp : {&port->dhcp4, &port->dhcp6})
        if (renamed.contains(*dhcp)) *dhcp = renamed[*dhcp];
    out.push_back(std::move(row));
  }
  return out;
}

inline std::vector<std::string> canonical_origins(const imports::Imported& network) {
  std::vector<std::string> out;
  for (const auto& [cookie, origin] : network.origins)
    out.push_back(std::to_string(cookie) + " " + origin.table + " " + origin.name);
  return out;
}

}  // namespace weft::test
