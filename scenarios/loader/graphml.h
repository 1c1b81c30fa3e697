// GraphML as the tree that `nodes:` and `links:` of a scenario would make.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "base/result.h"
#include "scenarios/loader/document.h"

namespace weft::scenarios {

struct GraphTree {
  std::deque<YamlNode> storage;
  YamlNode* nodes = nullptr;  ///< map: id -> {kind, ip, ...}
  YamlNode* links = nullptr;  ///< list of {between: [a, b], rate, ...}
};

Result<GraphTree> parse_graphml(const std::string& text, const std::string& file);

}  // namespace weft::scenarios
