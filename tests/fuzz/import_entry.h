// What the fuzzers of imported files do to an input: whatever it is, the import ends with a network
// that can be applied and shown, or with errors that say something - never both.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/check.h"
#include "scenarios/import/load_network.h"
#include "scenarios/import/rows.h"
#include "scenarios/import/sha1.h"
#include "tests/fuzz/target.h"

namespace weft::fuzz {

inline void check_import(const imports::ImportResult& result) {
  WEFT_CHECK(result.network.has_value() == result.errors.empty());
  for (const Error& e : result.errors) WEFT_CHECK(!e.message.empty() && e.place.file == "fuzz");
  if (!result.network) return;
  WEFT_CHECK(!imports::rows_text(*result.network).empty());
  WEFT_CHECK(!imports::rows_json(*result.network).empty());
  const control::Intent intent = result.network->intent();
  for (const auto& [name, port] : intent.ports())
    if (const auto it = result.network->placement.ports.find(name);
        it != result.network->placement.ports.end())
      WEFT_CHECK(!it->second.empty());
  for (const auto& [name, acl] : intent.acls())
    WEFT_CHECK(result.network->origins.contains(acl.cookie));
}

/// A database. Nobody guesses a SHA-1: behind a '~' every line is a record whose header is made.
inline void ovsdb_one(std::span<const std::uint8_t> input) {
  std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  std::string file(text);
  if (text.starts_with('~')) {
    file.clear();
    for (text.remove_prefix(1); !text.empty();) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string body = std::string(text.substr(0, end)) + "\n";
      text.remove_prefix(std::min(end + 1, text.size()));
      file += fmt::format("OVSDB JSON {} {}\n{}", body.size(), imports::sha1_hex(body), body);
    }
  }
  check_import(imports::import_ovn_database(file, "fuzz"));
  imports::ImportOptions options;
  options.up_to_damage = true;
  check_import(imports::import_ovn_database(file, "fuzz", options));
}

inline void nbctl_one(std::span<const std::uint8_t> input) {
  const std::string text(reinterpret_cast<const char*>(input.data()), input.size());
  check_import(imports::import_nbctl(text, "fuzz"));
  imports::format_of(text);
}

inline void networkpolicy_one(std::span<const std::uint8_t> input) {
  const std::string text(reinterpret_cast<const char*>(input.data()), input.size());
  check_import(imports::import_kubernetes(text, "fuzz"));
}

inline constexpr Target kImportTargets[] = {
    {"ovsdb", ovsdb_one},
    {"nbctl", nbctl_one},
    {"networkpolicy", networkpolicy_one},
};

}  // namespace weft::fuzz
