#include "scenarios/import/load_network.h"

#include "scenarios/import/kubernetes.h"
#include "scenarios/import/nbctl.h"
#include "scenarios/import/ovsdb_file.h"
#include "scenarios/loader/document.h"

namespace weft::imports {

Format format_of(const std::string& content) {
  if (looks_like_ovsdb(content)) return Format::ovn_database;
  if (looks_like_kubernetes(content)) return Format::kubernetes;
  if (looks_like_nbctl(content)) return Format::nbctl_script;
  return Format::scenario;
}

LoadedNetwork load_network(const std::string& path, const ImportOptions& options,
                           const std::vector<std::string>& set) {
  LoadedNetwork out;
  auto content = scenarios::read_text_file(path);
  if (!content) {
    out.errors = {content.error()};
    return out;
  }
  out.format = format_of(*content);
  ImportResult result;
  switch (out.format) {
    case Format::scenario: {
      auto loaded = scenarios::load_scenario_text(*content, path, set);
      out.scenario = std::move(loaded.scenario);
      out.errors = std::move(loaded.errors);
      return out;
    }
    case Format::ovn_database:
      result = import_ovn_database(*content, path, options);
      break;
    case Format::nbctl_script:
      result = import_nbctl(*content, path, options);
      break;
    case Format::kubernetes:
      result = import_kubernetes(*content, path, options);
      break;
  }
  if (!set.empty()) {
    out.errors = {
        {"--set overrides keys of a scenario, and this is " + std::string(name_of(out.format)),
         {path, 0, 0},
         {}}};
    return out;
  }
  out.imported = std::move(result.network);
  out.errors = std::move(result.errors);
  return out;
}

}  // namespace weft::imports
