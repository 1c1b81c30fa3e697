#include "scenarios/loader/document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>
#include <unordered_map>

#include "base/names.h"

namespace weft::scenarios {

const YamlNode::Entry* YamlNode::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::string_view YamlNode::kind_text() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return "text";
    case Kind::sequence:
      return "a list";
    case Kind::map:
      return "a map";
  }
  return "something";
}

namespace {
/// Carries an Error out of yaml-cpp's event calls.
struct Refused {
  Error error;
};
}  // namespace

/// Builds the tree from events. A frame is an open map or list; in a map, keys and values
/// alternate.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Document& document, const std::string& file, std::vector<Error>& errors,
              int lines_before)
      : document_(document), file_(file), errors_(errors), lines_before_(lines_before) {}

  YamlNode* root() const { return root_; }
  const YamlNode* last_scalar() const { return last_scalar_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(document_.make(YamlNode::Kind::null, place(mark)), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    // An alias inside the thing it names would never end.
    if (found == anchors_.end() || found->second.open) {
      throw Refused{{"an alias refers to something that is not finished yet", place(mark),
                     "an alias (*name) can only repeat what stands before it"}};
    }
    attach(found->second.node, place(mark));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode* node = document_.make(YamlNode::Kind::scalar, place(mark));
    node->text = value;
    node->quoted = tag == "!";
    last_scalar_ = node;
    if (!node->quoted && (value.empty() || value == "~" || value == "null")) {
      node->kind = YamlNode::Kind::null;
    }
    add(node, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(document_.make(YamlNode::Kind::sequence, place(mark)), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(document_.make(YamlNode::Kind::map, place(mark)), anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Anchor {
    YamlNode* node;
    bool open;
  };
  struct Frame {
    YamlNode* node;
    YAML::anchor_t anchor;
    bool has_key = false;
    std::string key;
    Place key_place;
    std::map<std::string, int, std::less<>> lines;  ///< of the keys so far
  };

  Place place(const YAML::Mark& mark) const {
    return {file_, lines_before_ + mark.line + 1, mark.column + 1};
  }

  void add(YamlNode* node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = {node, false};
    attach(node, node->place);
  }
  void open(YamlNode* node, YAML::anchor_t anchor) {
    if (frames_.size() >= kMaxDepth) {
      throw Refused{{fmt::format("nested more than {} levels deep", kMaxDepth), node->place,
                     "a scenario needs fewer than ten"}};
    }
    if (anchor != 0) anchors_[anchor] = {node, true};
    Frame frame;
    frame.node = node;
    frame.anchor = anchor;
    frames_.push_back(std::move(frame));
  }
  void close() {
    YamlNode* node = frames_.back().node;
    if (frames_.back().anchor != 0) anchors_[frames_.back().anchor].open = false;
    frames_.pop_back();
    attach(node, node->place);
  }
  void attach(YamlNode* node, const Place& at) {
    if (frames_.empty()) {
      root_ = node;
      return;
    }
    Frame& frame = frames_.back();
    YamlNode& parent = *frame.node;
    if (parent.kind == YamlNode::Kind::map && !frame.has_key) {
      if (node->kind != YamlNode::Kind::scalar) {
        throw Refused{{fmt::format("a key must be text, not {}", node->kind_text()), at,
                       "write `key: value`"}};
      }
      frame.has_key = true;
      frame.key = node->text;
      frame.key_place = at;
      return;
    }
    parent.expanded += node->expanded;
    if (parent.expanded > kMaxNodes) {
      throw Refused{{fmt::format("the document expands to more than {} values", kMaxNodes), at,
                     "aliases (*name) repeat what they name; use fewer of them"}};
    }
    if (parent.kind == YamlNode::Kind::sequence) {
      parent.items.push_back(node);
      return;
    }
    frame.has_key = false;
    const auto [found, fresh] = frame.lines.emplace(frame.key, frame.key_place.line);
    if (!fresh) {
      errors_.push_back({fmt::format("`{}` is given twice", frame.key), frame.key_place,
                         fmt::format("it is already given in line {}", found->second)});
      return;
    }
    parent.entries.push_back({frame.key, frame.key_place, node});
  }

  Document& document_;
  std::string file_;
  std::vector<Error>& errors_;
  int lines_before_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Anchor> anchors_;
  YamlNode* root_ = nullptr;
  const YamlNode* last_scalar_ = nullptr;
};

namespace {
/// yaml-cpp takes the end of the file for a closing quote: is that of the last scalar there?
bool closing_quote_missing(const std::string& text, const YamlNode& scalar, int lines_before) {
  std::size_t at = 0;
  for (int line = 1; line < scalar.place.line - lines_before; ++line) at = text.find('\n', at) + 1;
  for (int column = 1; column < scalar.place.column && at < text.size(); ++column) {
    do {
      ++at;  // a character of UTF-8
    } while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  }
  if (at >= text.size() || (text[at] != '"' && text[at] != '\'')) return false;
  const char quote = text[at];
  for (++at; at < text.size(); ++at) {
    const bool doubled = quote == '\'' && text.compare(at, 2, "''") == 0;
    if (doubled || (quote == '"' && text[at] == '\\')) {
      ++at;
    } else if (text[at] == quote) {
      return false;
    }
  }
  return true;
}
}  // namespace

YamlNode* Document::make(YamlNode::Kind kind, Place place) {
  if (nodes_.size() >= 4 * kMaxNodes) {
    throw Refused{{"the document is too large", place, "split it, or make it smaller"}};
  }
  nodes_.emplace_back();
  nodes_.back().kind = kind;
  nodes_.back().place = std::move(place);
  return &nodes_.back();
}

std::unique_ptr<Document> Document::parse(const std::string& text, const std::string& file,
                                          std::vector<Error>& errors, int lines_before) {
  if (auto checked = check_text(text, file, lines_before); !checked) {
    errors.push_back(checked.error());
    return nullptr;
  }
  auto document = std::make_unique<Document>();
  TreeBuilder builder(*document, file, errors, lines_before);
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder) || builder.root() == nullptr ||
        builder.root()->kind == YamlNode::Kind::null) {
      errors.push_back({"the file is empty: a scenario was expected",
                        {file, 1, 1},
                        "`weft new` prints one to start from"});
      return nullptr;
    }
    document->root_ = builder.root();
    if (builder.last_scalar() != nullptr && builder.last_scalar()->quoted &&
        closing_quote_missing(text, *builder.last_scalar(), lines_before)) {
      errors.push_back({"not valid YAML: a quote is opened and never closed",
                        builder.last_scalar()->place, "is the file complete?"});
      return nullptr;
    }
    if (parser.HandleNextDocument(builder)) {
      errors.push_back({"more than one document (`---`) in the file", builder.root()->place,
                        "one file is one scenario"});
      return nullptr;
    }
  } catch (const Refused& refused) {
    errors.push_back(refused.error);
    return nullptr;
  } catch (const YAML::Exception& e) {
    Place place{file, lines_before + 1, 1};
    if (!e.mark.is_null()) place = {file, lines_before + e.mark.line + 1, e.mark.column + 1};
    errors.push_back({"not valid YAML: " + e.msg, place,
                      "check indentation, brackets and quotes here and in the line before; "
                      "is the file complete?"});
    return nullptr;
  } catch (const std::exception& e) {
    errors.push_back({std::string("not readable as YAML: ") + e.what(), {file, 1, 1}, ""});
    return nullptr;
  }
  return document;
}

namespace {

std::vector<std::string> names_in(const YamlNode& node) {
  std::vector<std::string> names;
  for (const auto& entry : node.entries) names.push_back(entry.key);
  for (const YamlNode* item : node.items) {
    if (const auto* name = item->find("name")) names.push_back(name->value->text);
  }
  return names;
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

/// One step of a path. `slot` is the parent's pointer: the node is copied into it first, because an
/// alias may share it and an override means this place only.
Result<YamlNode*> Document::descend(YamlNode*& slot, std::string_view segment, const Place& place) {
  nodes_.push_back(*slot);
  slot = &nodes_.back();
  YamlNode& node = *slot;
  if (node.kind == YamlNode::Kind::null) {
    node.kind = YamlNode::Kind::map;
    node.place = place;
  }
  if (node.kind == YamlNode::Kind::scalar) {
    return Error{fmt::format("there is no `{}` in `{}`", segment, node.text), place,
                 "the path leads through a plain value"};
  }
  return &node;
}

Result<> Document::set(const std::string& assignment) {
  const Place place{"--set " + assignment, 1, 1};
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{"an override is PATH=VALUE", place, "for example --set traffic.0.rpc.rate=500/s"};
  }
  std::vector<Error> errors;
  const std::string value_text = assignment.substr(equals + 1);
  YamlNode* value = nullptr;
  if (value_text.find_first_not_of(" \t") == std::string::npos) {
    value = make(YamlNode::Kind::null, place);
  } else {
    auto parsed = parse(value_text, place.file, errors);
    if (!errors.empty()) return errors.front();
    value = parsed->root_;
    // Adopt the parsed nodes; a deque's elements move, so they are walked and copied.
    std::vector<std::pair<YamlNode**, YamlNode*>> work{{&value, parsed->root_}};
    while (!work.empty()) {
      auto [slot, from] = work.back();
      work.pop_back();
      nodes_.push_back(*from);
      YamlNode& copy = nodes_.back();
      *slot = &copy;
      for (auto& entry : copy.entries) work.emplace_back(&entry.value, entry.value);
      for (auto& item : copy.items) work.emplace_back(&item, item);
    }
  }

  YamlNode** slot = &root_;
  std::string_view path(assignment.data(), equals);
  while (true) {
    const std::size_t dot = path.find('.');
    const std::string_view segment = path.substr(0, dot);
    auto node = descend(*slot, segment, place);
    if (!node) return node.error();
    YamlNode& here = **node;
    if (here.kind == YamlNode::Kind::map) {
      auto found = std::find_if(here.entries.begin(), here.entries.end(),
                                [&](const auto& entry) { return entry.key == segment; });
      if (found == here.entries.end()) {
        here.entries.push_back({std::string(segment), place, make(YamlNode::Kind::null, place)});
        found = here.entries.end() - 1;
      }
      slot = &found->value;
    } else {
      std::size_t index = here.items.size();
      for (std::size_t i = 0; i < here.items.size(); ++i) {
        const auto* name = here.items[i]->find("name");
        if (name != nullptr && name->value->text == segment) index = i;
      }
      const bool number = !segment.empty() && segment.size() < 8 &&
                          segment.find_first_not_of("0123456789") == std::string_view::npos;
      if (index == here.items.size() && number) index = std::stoul(std::string(segment));
      if (index >= here.items.size()) {
        const auto names = names_in(here);
        const std::string nearest = nearest_name(segment, names);
        std::string remedy = fmt::format("it has {} items, counted from 0", here.items.size());
        if (!nearest.empty())
          remedy = fmt::format("did you mean `{}`?", nearest);
        else if (!names.empty())
          remedy += "; names: " + join(names);
        return Error{fmt::format("there is no item `{}` in the list", segment), place, remedy};
      }
      slot = &here.items[index];
    }
    if (dot == std::string_view::npos) break;
    path.remove_prefix(dot + 1);
  }
  *slot = value;
  return {};
}

Result<std::string> read_text_file(const std::string& path) {
  const Place place{path, 0, 0};
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    return Error{fmt::format("cannot be opened: {}", std::strerror(errno)), place,
                 "check the name; library scenarios lie in scenarios/library"};
  }
  std::string text;
  char buffer[65536];
  std::size_t n = 0;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0 && text.size() <= kMaxFileBytes) {
    text.append(buffer, n);
  }
  const bool failed = std::ferror(file) != 0;
  const int reason = errno;
  std::fclose(file);
  if (failed) return Error{fmt::format("cannot be read: {}", std::strerror(reason)), place, ""};
  if (text.size() > kMaxFileBytes) {
    return Error{fmt::format("is larger than {} MiB", kMaxFileBytes >> 20), place,
                 "a scenario is a short text"};
  }
  return text;
}

namespace {
/// Length of the UTF-8 sequence that starts with `lead`; 0: cannot start one.
std::size_t utf8_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}
}  // namespace

Result<> check_text(const std::string& text, const std::string& file, int lines_before) {
  int line = lines_before + 1;
  int column = 1;
  bool indentation = true;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const Place place{file, line, column};
    if (byte == '\n') {
      ++line, column = 1, indentation = true, ++i;
      continue;
    }
    if (byte == '\t' && indentation) {
      const std::size_t next = text.find_first_not_of(" \t\r", i);
      if (next != std::string::npos && text[next] != '\n' && text[next] != '#') {
        return Error{"a tab in the indentation", place, "YAML indents with spaces only"};
      }
    }
    if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f) {
      return Error{fmt::format("not a text file: byte 0x{:02x}", byte), place,
                   "a scenario is YAML in UTF-8"};
    }
    std::size_t length = utf8_length(byte);
    for (std::size_t k = 1; k < length; ++k) {
      if (i + k >= text.size() || (static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80)
        length = 0;
    }
    if (length == 0) {
      return Error{fmt::format("not UTF-8: byte 0x{:02x}", byte), place, "save the file as UTF-8"};
    }
    if (byte != ' ') indentation = false;
    i += length;
    ++column;
  }
  return {};
}

}  // namespace weft::scenarios
