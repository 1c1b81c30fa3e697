// GraphML: nodes with `kind` (default: router), `ip`, `gateway`, `mac`, `memory`, `interfaces`
// ("LINK=10.0.0.1/24 ..."); edges with `name` and the keys of a link, in the scenario's units
// ("rate" = "10Gbps"), a map's entries as keys of their own (`ecn_min`, `ecn_max`). The file is
// turned into the same tree that a scenario's `nodes` and `links` make, so that there is one set of
// checks, and the errors point into the GraphML file. Only what GraphML needs of XML is read:
// elements, attributes, character data, comments, the five named entities; no DTD, so no entity
// bombs.
#include "scenarios/loader/graphml.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "scenarios/loader/document.h"

namespace weft::scenarios {
namespace {

struct Element {
  std::string name;
  std::vector<std::pair<std::string, std::string>> attributes;
  Place place;
  bool empty = false;

  const std::string* find(std::string_view key) const {
    for (const auto& [k, v] : attributes) {
      if (k == key) return &v;
    }
    return nullptr;
  }
};

/// A pull reader: start tags, end tags and text, in the order of the file.
class XmlReader {
 public:
  enum class Token : std::uint8_t { start, end, text, done, bad };
  XmlReader(const std::string& source, const std::string& file) : text_(source), file_(file) {}

  Token next() {
    if (at_ >= text_.size()) return Token::done;
    place_ = here();
    if (text_[at_] != '<') return read_text();
    if (starts("<!--")) return skip_to("-->", "a comment without end") ? next() : Token::bad;
    if (starts("<?")) return skip_to("?>", "an instruction without end") ? next() : Token::bad;
    if (starts("<![CDATA[")) return bad("CDATA is not read here");
    if (starts("<!")) return bad("a document type is not read here");
    if (starts("</")) return read_end();
    return read_start();
  }

  Element element;
  std::string text;
  Error error;
  Place here() const { return {file_, line_, static_cast<int>(at_ - line_start_) + 1}; }

 private:
  bool starts(const char* what) const { return text_.compare(at_, std::strlen(what), what) == 0; }
  Token bad(std::string message) {
    error = {"GraphML: " + std::move(message), place_, "is the file complete?"};
    return Token::bad;
  }
  void step(std::size_t n = 1) {
    for (; n > 0 && at_ < text_.size(); --n, ++at_) {
      if (text_[at_] == '\n') ++line_, line_start_ = at_ + 1;
    }
  }
  bool skip_to(const char* end, const char* message) {
    const std::size_t found = text_.find(end, at_);
    if (found == std::string::npos) return bad(message), false;
    step(found + std::strlen(end) - at_);
    return true;
  }
  static bool space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void spaces() {
    while (at_ < text_.size() && space(text_[at_])) step();
  }
  std::string word() {
    std::string out;
    while (at_ < text_.size() && !space(text_[at_]) &&
           std::strchr("<>/=\"'", text_[at_]) == nullptr) {
      out += text_[at_];
      step();
    }
    return out;
  }
  static std::string decode(std::string_view raw) {
    std::string out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const std::size_t end = raw[i] == '&' ? raw.find(';', i) : std::string_view::npos;
      if (end == std::string_view::npos || end - i > 10) {
        out += raw[i];
        continue;
      }
      const std::string_view name = raw.substr(i + 1, end - i - 1);
      if (name == "lt")
        out += '<';
      else if (name == "gt")
        out += '>';
      else if (name == "amp")
        out += '&';
      else if (name == "quot")
        out += '"';
      else if (name == "apos")
        out += '\'';
      else
        out += raw.substr(i, end - i + 1);
      i = end;
    }
    return out;
  }
  Token read_text() {
    const std::size_t end = std::min(text_.find('<', at_), text_.size());
    text = decode(std::string_view(text_).substr(at_, end - at_));
    step(end - at_);
    return Token::text;
  }
  Token read_end() {
    step(2);
    element = {};
    element.name = word();
    element.place = place_;
    spaces();
    if (at_ >= text_.size() || text_[at_] != '>') return bad("an end tag without `>`");
    step();
    return Token::end;
  }
  Token read_start() {
    step();
    element = {};
    element.place = place_;
    element.name = word();
    if (element.name.empty()) return bad("a tag without a name");
    while (true) {
      spaces();
      if (at_ >= text_.size()) return bad("the file ends within a tag");
      if (text_[at_] == '>') return step(), Token::start;
      if (text_[at_] == '/') {
        step();
        if (at_ >= text_.size() || text_[at_] != '>') return bad("`/` without `>`");
        element.empty = true;
        return step(), Token::start;
      }
      const std::string key = word();
      spaces();
      if (key.empty() || at_ >= text_.size() || text_[at_] != '=')
        return bad("an attribute without value");
      step();
      spaces();
      const char quote = at_ < text_.size() ? text_[at_] : '\0';
      if (quote != '"' && quote != '\'') return bad("an attribute's value without quotes");
      step();
      const std::size_t end = text_.find(quote, at_);
      if (end == std::string::npos) return bad("the file ends within a tag");
      element.attributes.emplace_back(key, decode(std::string_view(text_).substr(at_, end - at_)));
      step(end + 1 - at_);
    }
  }

  const std::string& text_;
  std::string file_;
  std::size_t at_ = 0, line_start_ = 0;
  int line_ = 1;
  Place place_;
};

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

Result<GraphTree> parse_graphml(const std::string& text, const std::string& file) {
  GraphTree tree;
  const auto make = [&](YamlNode::Kind kind, const Place& place, std::string value = {}) {
    YamlNode& node = tree.storage.emplace_back();
    node.kind = kind;
    node.place = place;
    node.text = std::move(value);
    return &node;
  };
  tree.nodes = make(YamlNode::Kind::map, {file, 1, 1});
  tree.links = make(YamlNode::Kind::sequence, {file, 1, 1});

  XmlReader xml(text, file);
  std::map<std::string, std::string, std::less<>> key_names;  // <key id> -> attr.name
  std::vector<std::string> open;
  YamlNode* current = nullptr;  // the node or edge that <data> belongs to
  std::string data_key;
  Place data_place;
  const auto scalar = [&](const std::string& value) {
    return make(YamlNode::Kind::scalar, data_place, value);
  };
  /// What the text of a <data> is in the tree: maps are written flat, for GraphML has none.
  const auto put = [&](const std::string& key, const std::string& value) {
    if (key == "ecn_min" || key == "ecn_max") {
      auto ecn = std::find_if(current->entries.begin(), current->entries.end(),
                              [](const YamlNode::Entry& entry) { return entry.key == "ecn"; });
      if (ecn == current->entries.end())
        ecn = current->entries.insert(ecn,
                                      {"ecn", data_place, make(YamlNode::Kind::map, data_place)});
      ecn->value->entries.push_back({key.substr(4), data_place, scalar(value)});
    } else if (key == "interfaces") {
      YamlNode* map = make(YamlNode::Kind::map, data_place);
      for (std::size_t at = 0; at < value.size();) {
        const std::size_t end = std::min(value.find_first_of(" \t\r\n", at), value.size());
        const std::string word = value.substr(at, end - at);
        at = end + 1;
        if (word.empty()) continue;
        const std::size_t equals = std::min(word.find('='), word.size());
        const std::string address = equals < word.size() ? word.substr(equals + 1) : "";
        map->entries.push_back({word.substr(0, equals), data_place, scalar(address)});
      }
      current->entries.push_back({key, data_place, map});
    } else {
      current->entries.push_back({key, data_place, scalar(value)});
    }
  };
  while (true) {
    const auto token = xml.next();
    if (token == XmlReader::Token::bad) return xml.error;
    if (token == XmlReader::Token::done) break;
    const Element& e = xml.element;
    if (token == XmlReader::Token::text) {
      const std::string value = trimmed(xml.text);
      if (current != nullptr && !data_key.empty() && !value.empty()) put(data_key, value);
      continue;
    }
    if (token == XmlReader::Token::end) {
      if (open.empty() || open.back() != e.name) {
        return Error{fmt::format("GraphML: `</{}>` closes nothing", e.name), e.place,
                     open.empty() ? "" : fmt::format("`{}` is open", open.back())};
      }
      open.pop_back();
      if (e.name == "data") data_key.clear();
      if (e.name == "node" || e.name == "edge") current = nullptr;
      continue;
    }
    if (open.empty() && e.name != "graphml") {
      return Error{fmt::format("not GraphML: it begins with `<{}>`", e.name), e.place, ""};
    }
    if (open.size() >= kMaxDepth) return Error{"GraphML: nested too deep", e.place, ""};
    if (e.name == "key") {
      const std::string* id = e.find("id");
      const std::string* name = e.find("attr.name");
      if (id != nullptr) key_names[*id] = name != nullptr ? *name : *id;
    } else if (e.name == "node") {
      const std::string* id = e.find("id");
      if (id == nullptr) return Error{"GraphML: a node without `id`", e.place, ""};
      current = make(YamlNode::Kind::map, e.place);
      tree.nodes->entries.push_back({*id, e.place, current});
    } else if (e.name == "edge") {
      const std::string* source = e.find("source");
      const std::string* target = e.find("target");
      if (source == nullptr || target == nullptr) {
        return Error{"GraphML: an edge needs `source` and `target`", e.place, ""};
      }
      current = make(YamlNode::Kind::map, e.place);
      YamlNode* ends = make(YamlNode::Kind::sequence, e.place);
      ends->items = {make(YamlNode::Kind::scalar, e.place, *source),
                     make(YamlNode::Kind::scalar, e.place, *target)};
      current->entries.push_back({"between", e.place, ends});
      tree.links->items.push_back(current);
    } else if (e.name == "data" && current != nullptr) {
      const std::string* key = e.find("key");
      if (key == nullptr) return Error{"GraphML: data without `key`", e.place, ""};
      const auto found = key_names.find(*key);
      data_key = found == key_names.end() ? *key : found->second;
      data_place = e.place;
      const YamlNode::Entry* ecn = current->find("ecn");
      const bool again = data_key.rfind("ecn_", 0) == 0
                             ? ecn != nullptr && ecn->value->find(data_key.substr(4)) != nullptr
                             : current->find(data_key) != nullptr;
      if (again) {
        return Error{fmt::format("GraphML: `{}` is given twice", data_key), e.place, ""};
      }
    }
    if (e.empty) {
      if (e.name == "node" || e.name == "edge") current = nullptr;
      if (e.name == "data") data_key.clear();
    } else {
      open.push_back(e.name);
    }
  }
  if (!open.empty()) {
    return Error{fmt::format("GraphML: the file ends, but `<{}>` is open", open.back()), xml.here(),
                 "is the file complete?"};
  }
  if (tree.nodes->entries.empty()) return Error{"GraphML: no nodes", {file, 1, 1}, ""};
  // A node of which nothing is said is a router.
  for (auto& entry : tree.nodes->entries) {
    if (entry.value->find("kind") != nullptr) continue;
    entry.value->entries.push_back(
        {"kind", entry.place, make(YamlNode::Kind::scalar, entry.place, "router")});
  }
  return tree;
}

}  // namespace weft::scenarios
