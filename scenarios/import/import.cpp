#include "scenarios/import/import.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "scenarios/import/nb_map.h"
#include "scenarios/import/nbctl.h"
#include "scenarios/import/ovsdb_file.h"

namespace weft::imports {

std::string_view name_of(Format format) {
  switch (format) {
    case Format::scenario:
      return "a scenario";
    case Format::ovn_database:
      return "an OVN northbound database";
    case Format::nbctl_script:
      return "a script of ovn-nbctl commands";
    case Format::kubernetes:
      return "Kubernetes objects";
  }
  return "nothing known";
}

std::string Origin::text() const {
  std::string out = table;
  if (!name.empty()) out += fmt::format(" '{}'", name);
  if (!uuid.empty()) out += " " + uuid.substr(0, 8);
  if (!place.file.empty())
    out += place.line > 0 ? fmt::format(" ({}:{})", place.file, place.line)
                          : fmt::format(" ({})", place.file);
  return out;
}

control::Intent Imported::intent() const {
  control::Intent intent;
  const auto applied = intent.apply(transaction);
  WEFT_CHECK(applied.ok(), "an import that was applied once fails");
  return intent;
}

void spread_ports(const std::set<std::string>& named, const std::vector<std::string>& free,
                  const ImportOptions& options, Placement& out) {
  out.hypervisors.assign(named.begin(), named.end());
  std::size_t made = options.hypervisors;
  if (made == 0) made = std::min<std::size_t>(16, (free.size() + 9) / 10);
  if (made == 0 && named.empty()) made = 1;
  std::vector<std::string> spread;
  for (std::size_t n = 1; spread.size() < made; ++n)
    if (const std::string name = fmt::format("hv-{}", n); !named.contains(name))
      spread.push_back(name);
  out.hypervisors.insert(out.hypervisors.end(), spread.begin(), spread.end());
  for (std::size_t i = 0; i < free.size(); ++i) out.ports[free[i]] = spread[i % spread.size()];
}

ImportResult finish_import(Imported imported, scenarios::Diagnostics& diag) {
  ImportResult out;
  if (diag.count() == 0) {
    control::Intent intent;
    const auto applied = intent.apply(imported.transaction);
    if (!applied) {
      // One violation a line, each beginning with the row that it is of.
      std::string_view rest = applied.error().message;
      while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        Place place{imported.file, 0, 0};
        std::size_t best = 0;
        for (const auto& [id, origin] : imported.row_origins) {
          const std::size_t at = line.find(fmt::format("'{}'", id.second));
          if (at != std::string_view::npos && at < 30 && id.second.size() > best) {
            best = id.second.size();
            place = origin.place;
          }
        }
        diag.error(place, std::string(line),
                   "weft has one form of this; docs/import.md says what is supported");
      }
    }
  }
  out.errors = diag.errors;
  if (diag.count() == 0) out.network = std::move(imported);
  return out;
}

ImportResult import_ovn_database(std::string_view bytes, const std::string& file,
                                 const ImportOptions& options) {
  scenarios::Diagnostics diag;
  Imported imported;
  imported.format = Format::ovn_database;
  imported.file = file;
  const auto contents = read_ovsdb(bytes, file, diag, {options.up_to_damage});
  if (!contents) return {std::nullopt, diag.errors};
  map_northbound(contents->store, options, imported, diag);
  if (contents->damage) imported.notes.insert(imported.notes.begin(), *contents->damage);
  return finish_import(std::move(imported), diag);
}

ImportResult import_nbctl(const std::string& text, const std::string& file,
                          const ImportOptions& options) {
  scenarios::Diagnostics diag;
  Imported imported;
  imported.format = Format::nbctl_script;
  imported.file = file;
  NbStore store;
  run_nbctl(text, file, store, diag);
  if (diag.count() > 0) return {std::nullopt, diag.errors};
  map_northbound(store, options, imported, diag);
  return finish_import(std::move(imported), diag);
}

}  // namespace weft::imports
