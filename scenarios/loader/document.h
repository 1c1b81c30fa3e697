// Document: a YAML file as an immutable tree that remembers where everything was written.
//
// Why not YAML::Node: we need the place of every *key* (not only of values), duplicate keys as
// errors, and a bound on what aliases expand to before anything walks the tree. So the tree is
// built from yaml-cpp's events. Aliases share nodes; `expanded` counts what a walk would meet, and
// a document that expands to more than kMaxNodes is refused (a "YAML bomb").
//
// Overrides (`--set path=value`) are applied to the tree before anyone reads it; what they put
// there has the override's text as its file, so that an error points to the command line.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace weft::scenarios {

constexpr std::uint64_t kMaxNodes = 1'000'000;
constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxFileBytes = 64u << 20;

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, sequence, map };
  struct Entry {
    std::string key;
    Place place;  ///< of the key
    YamlNode* value = nullptr;
  };

  Kind kind = Kind::null;
  bool quoted = false;
  std::string text;  ///< scalar
  std::vector<Entry> entries;
  std::vector<YamlNode*> items;
  std::uint64_t expanded = 1;
  Place place;

  const Entry* find(std::string_view key) const;
  /// "a map", "a list", "text", "nothing": for messages.
  std::string_view kind_text() const;
};

class Document {
 public:
  /// Errors of syntax end the parse; duplicate keys are collected. `lines_before`: of the file, if
  /// the text is a part of it.
  static std::unique_ptr<Document> parse(const std::string& text, const std::string& file,
                                         std::vector<Error>& errors, int lines_before = 0);
  /// "traffic.0.rpc.rate=5/s", "traffic.shopping.rpc.rate=5/s": list items by index or `name`.
  Result<> set(const std::string& assignment);

  const YamlNode& root() const { return *root_; }

 private:
  friend class TreeBuilder;
  YamlNode* make(YamlNode::Kind kind, Place place);
  Result<YamlNode*> descend(YamlNode*& slot, std::string_view segment, const Place& place);

  std::deque<YamlNode> nodes_;
  YamlNode* root_ = nullptr;
};

/// Reads a whole text file: refuses folders, binary files and files above kMaxFileBytes.
Result<std::string> read_text_file(const std::string& path);
/// What yaml-cpp says badly or not at all: NUL bytes, control characters, bytes that are not UTF-8,
/// tabs in the indentation.
Result<> check_text(const std::string& text, const std::string& file, int lines_before = 0);

}  // namespace weft::scenarios
