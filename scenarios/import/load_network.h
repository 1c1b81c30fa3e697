// One door for every file that describes a network: tells what it is and reads it. For the commands
// that take "a scenario or what you have today": trace, verify, check, import.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scenarios/import/import.h"
#include "scenarios/spec.h"

namespace weft::imports {

/// By the content: OVSDB's first line; a first word that is ovn-nbctl or one of its commands;
/// `apiVersion` and `kind` on the first level; everything else is taken for a scenario.
Format format_of(const std::string& content);

struct LoadedNetwork {
  Format format = Format::scenario;
  std::optional<Imported> imported;             ///< everything but a scenario
  std::optional<scenarios::Scenario> scenario;  ///< a scenario, loaded and checked
  std::vector<Error> errors;                    ///< if there is neither
};

/// `set`: overrides, for scenarios only.
LoadedNetwork load_network(const std::string& path, const ImportOptions& options = {},
                           const std::vector<std::string>& set = {});

}  // namespace weft::imports
