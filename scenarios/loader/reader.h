// Reader: how a section of the scenario is read. A Reader stands over one map, hands out its keys
// one by one, converted and checked, and at the end (`finish`) reports every key that nobody asked
// for with the nearest one that somebody did. So a section's reader reads like a table of its keys,
// and that table is at the same time what the errors say and what schema.json is tested against
// (Vocabulary: every key ever asked for, by section).
//
// Nothing here stops at the first error: a value that cannot be used leaves the default in place,
// and the load fails at the end because Diagnostics holds an error.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/names.h"
#include "base/net_types.h"
#include "base/result.h"
#include "base/units.h"
#include "scenarios/loader/document.h"

namespace weft::scenarios {

/// Section name (as in schema.json's $defs) -> keys that its reader knows.
using Vocabulary = std::map<std::string, std::set<std::string, std::less<>>, std::less<>>;

class Diagnostics {
 public:
  static constexpr std::size_t kLimit = 50;
  void error(const Place& place, std::string message, std::string remedy = {});
  void warning(const Place& place, std::string message, std::string remedy = {});
  /// All errors so far, also those beyond the limit that are not kept.
  std::size_t count() const { return count_; }

  std::vector<Error> errors;
  std::vector<Error> warnings;
  Vocabulary vocabulary;

 private:
  std::size_t count_ = 0;
};

/// "did you mean `x`?", or else "one of a, b, c" (the first few), or empty if there are none.
std::string suggest(std::string_view wrong, const std::vector<std::string>& candidates);

/// A scalar's text, or an error that says `expected` ("a duration such as 1us").
std::optional<std::string> scalar_text(Diagnostics& diag, const YamlNode& node,
                                       std::string_view expected);

bool convert(Diagnostics& diag, const YamlNode& node, std::string& out);
bool convert(Diagnostics& diag, const YamlNode& node, bool& out);
bool convert(Diagnostics& diag, const YamlNode& node, Duration& out);
bool convert(Diagnostics& diag, const YamlNode& node, Time& out);
bool convert(Diagnostics& diag, const YamlNode& node, BitRate& out);
bool convert(Diagnostics& diag, const YamlNode& node, ByteCount& out);
bool convert(Diagnostics& diag, const YamlNode& node, Frequency& out);
bool convert(Diagnostics& diag, const YamlNode& node, Probability& out);
bool convert(Diagnostics& diag, const YamlNode& node, IpAddress& out);
bool convert(Diagnostics& diag, const YamlNode& node, Mac& out);
bool convert(Diagnostics& diag, const YamlNode& node, Prefix& out);
bool convert_bytes_per_second(Diagnostics& diag, const YamlNode& node, ByteCount& out);
/// A whole number in [min, max]; `what` names it in the error ("hosts_per_leaf").
bool convert_integer(Diagnostics& diag, const YamlNode& node, std::string_view what,
                     std::uint64_t min, std::uint64_t max, std::uint64_t& out);
/// Index into `names`, or an error with the nearest.
std::optional<std::size_t> convert_choice(Diagnostics& diag, const YamlNode& node,
                                          std::string_view what,
                                          const std::vector<std::string>& names);
/// True: a map (nothing counts as an empty one). Else an error that says what was expected.
bool is_map(Diagnostics& diag, const YamlNode& node, std::string_view what);
bool is_list(Diagnostics& diag, const YamlNode& node, std::string_view what);
/// Letters, digits, `-` and `_`; up to 63; starts with a letter or digit; no `--`.
bool is_name(Diagnostics& diag, const Place& place, std::string_view name, std::string_view what);

class Reader {
 public:
  /// `section`: name in the vocabulary; `what`: how errors call it ("tenant shop").
  Reader(Diagnostics& diag, const YamlNode& node, std::string section, std::string what);

  /// The value of a key, or nothing if it is not there. Marks the key as known.
  const YamlNode* take(std::string_view key);
  /// As take, with an error if it is missing.
  const YamlNode* require(std::string_view key);
  bool has(std::string_view key) const { return node_.find(key) != nullptr; }

  /// Reads into `out`; leaves it alone if the key is missing or wrong. True if it was set.
  template <class T>
  bool read(std::string_view key, T& out) {
    const YamlNode* value = take(key);
    return value != nullptr && convert(diag_, *value, out);
  }
  template <class T>
  bool read(std::string_view key, std::optional<T>& out) {
    T value{};
    if (!read(key, value)) return false;
    out = value;
    return true;
  }
  template <class Int>
  bool read_integer(std::string_view key, Int& out, std::uint64_t min, std::uint64_t max) {
    const YamlNode* value = take(key);
    std::uint64_t wide = 0;
    if (value == nullptr || !convert_integer(diag_, *value, key, min, max, wide)) return false;
    out = static_cast<Int>(wide);
    return true;
  }
  template <class Enum>
  bool read_choice(std::string_view key, Enum& out,
                   std::initializer_list<std::pair<const char*, Enum>> choices) {
    const YamlNode* value = take(key);
    if (value == nullptr) return false;
    std::vector<std::string> names;
    for (const auto& choice : choices) names.emplace_back(choice.first);
    const auto index = convert_choice(diag_, *value, key, names);
    if (index) out = (choices.begin() + *index)->second;
    return index.has_value();
  }
  bool read_bytes_per_second(std::string_view key, ByteCount& out);
  /// A duration above zero.
  bool read_positive(std::string_view key, Duration& out);

  /// Reports unknown keys. Call once, last.
  void finish();

  /// Where to point: the value of `key`, or the section itself.
  Place place(std::string_view key = {}) const;
  const std::string& what() const { return what_; }
  Diagnostics& diag() { return diag_; }

 private:
  Diagnostics& diag_;
  const YamlNode& node_;
  std::set<std::string, std::less<>>& known_;
  std::vector<std::string> asked_;
  std::string what_;
};

}  // namespace weft::scenarios
