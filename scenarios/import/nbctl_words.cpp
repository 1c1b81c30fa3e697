#include "scenarios/import/nbctl_words.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weft::imports {
namespace {

class Splitter {
 public:
  Splitter(const std::string& text, const std::string& file, scenarios::Diagnostics& diag)
      : text_(text), file_(file), diag_(diag) {}

  std::vector<Line> run() {
    while (at_ < text_.size()) step();
    end_line();
    return std::move(lines_);
  }

 private:
  char peek(std::size_t n = 0) const { return at_ + n < text_.size() ? text_[at_ + n] : '\0'; }
  char take() {
    const char c = text_[at_++];
    if (c == '\n')
      ++place_.line, place_.column = 1;
    else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80)
      ++place_.column;
    return c;
  }
  Place here() const { return {file_, place_.line, place_.column}; }

  void step() {
    const char c = peek();
    if (c == '\\' && peek(1) == '\n') {
      take(), take();
    } else if (c == '\n') {
      end_line();
      take();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      end_word();
      take();
    } else if (c == '#' && !open_) {
      while (at_ < text_.size() && peek() != '\n') take();
    } else {
      part(c);
    }
  }

  void part(char c) {
    if (!open_) word_ = {{}, here()};
    open_ = true;
    const Place place = here();
    switch (c) {
      case '\'':
        quoted_single(place);
        break;
      case '"':
        quoted_double(place);
        break;
      case '\\':
        take();
        if (at_ < text_.size()) word_.text += take();
        break;
      case '$':
      case '`':
        shell(place, c, "variables and commands are not expanded",
              "write what it stands for; where OVN wants a $, as in '$web', use single quotes");
        break;
      case ';':
      case '&':
      case '|':
      case '<':
      case '>':
      case '(':
      case ')':
        shell(place, c, "weft runs no shell",
              "one ovn-nbctl command line a line, several commands joined by --; quote what "
              "belongs to a word");
        break;
      default:
        word_.text += take();
    }
  }

  void shell(const Place& place, char c, const char* why, const char* remedy) {
    if (!broken_) diag_.error(place, fmt::format("'{}' outside of quotes: {}", c, why), remedy);
    broken_ = true;
    take();
  }

  void quoted_single(const Place& place) {
    take();
    while (at_ < text_.size() && peek() != '\'') word_.text += take();
    close(place);
  }

  void quoted_double(const Place& place) {
    take();
    while (at_ < text_.size() && peek() != '"') {
      const char c = peek();
      const char next = peek(1);
      if (c == '\\' && next == '\n') {
        take(), take();
      } else if (c == '\\' && (next == '"' || next == '\\' || next == '$' || next == '`')) {
        take();
        word_.text += take();
      } else if (c == '$' || c == '`') {
        shell(here(), c, "variables and commands are not expanded",
              "write what it stands for; where OVN wants a $, as in '$web', use single quotes");
      } else {
        word_.text += take();
      }
    }
    close(place);
  }

  void close(const Place& place) {
    if (at_ < text_.size()) {
      take();
      return;
    }
    diag_.error(place, "a quote is opened and never closed", "is the file complete?");
    broken_ = true;
  }

  void end_word() {
    if (open_) line_.push_back(std::move(word_));
    open_ = false;
  }
  void end_line() {
    end_word();
    if (!line_.empty() && !broken_) lines_.push_back(std::move(line_));
    line_.clear();
    broken_ = false;
  }

  const std::string& text_;
  const std::string& file_;
  scenarios::Diagnostics& diag_;
  std::size_t at_ = 0;
  Place place_{{}, 1, 1};
  std::vector<Line> lines_;
  Line line_;
  Word word_;
  bool open_ = false;    ///< a word, perhaps of nothing: ''
  bool broken_ = false;  ///< the line has an error
};

constexpr std::string_view kDelimiters = ":=, []{}!<>";

/// A word of a value: in double quotes (kept), or up to a delimiter.
Result<std::string> take_token(std::string_view& text) {
  std::size_t end = 0;
  if (text.starts_with('"')) {
    for (end = 1; end < text.size() && text[end] != '"'; ++end)
      if (text[end] == '\\') ++end;
    if (end >= text.size()) return Error{fmt::format("{}: the quote is not closed", text)};
    ++end;
  } else {
    end = std::min(text.find_first_of(kDelimiters), text.size());
    if (end == 0) {
      if (text.empty()) return Error{"a value is missing; the empty text is written \"\""};
      return Error{
          fmt::format("'{}' stands where a value should; quote it: '\"{}\"'", text[0], text)};
    }
  }
  std::string token(text.substr(0, end));
  text.remove_prefix(end);
  return token;
}

}  // namespace

std::vector<Line> split_script(const std::string& text, const std::string& file,
                               scenarios::Diagnostics& diag) {
  return Splitter(text, file, diag).run();
}

Result<std::string> parse_atom(const NbColumn& column, bool of_value, std::string_view text) {
  const AtomType type = of_value ? column.value : column.key;
  if (type == AtomType::string) {
    if (text.empty()) return Error{"a value is missing; the empty text is written \"\""};
    if (!text.starts_with('"')) return std::string(text);
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_string()) return Error{fmt::format("{} is no text in double quotes", text)};
    return json.get<std::string>();
  }
  if (type == AtomType::uuid && text.starts_with('@') && text.size() > 1) return std::string(text);
  return canonical_atom(type, text);
}

Result<Datum> parse_value(const NbColumn& column, std::string_view text) {
  const char open = column.is_map ? '{' : '[';
  const char close = column.is_map ? '}' : ']';
  const auto skip = [&](std::string_view blanks) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  };
  Datum out;
  skip(" ");
  const bool bracket = text.starts_with(open);
  if (bracket) text.remove_prefix(1);
  skip(" ,");
  while (!text.empty() && text[0] != close) {
    auto token = take_token(text);
    if (!token) return token.error();
    auto key = parse_atom(column, false, *token);
    if (!key) return key.error();
    std::string value;
    if (column.is_map) {
      if (!text.starts_with('='))
        return Error{fmt::format("after the key '{}' a = and its value are missing", *key)};
      text.remove_prefix(1);
      auto value_token = take_token(text);
      if (!value_token) return value_token.error();
      auto parsed = parse_atom(column, true, *value_token);
      if (!parsed) return parsed.error();
      value = *parsed;
    }
    if (!out.emplace(*key, value).second) return Error{fmt::format("'{}' is there twice", *key)};
    skip(" ,");
  }
  if (bracket != text.starts_with(close))
    return Error{bracket ? fmt::format("the {} is never closed", open)
                         : fmt::format("a {} closes nothing", close)};
  if (bracket) text.remove_prefix(1);
  skip(" ");
  if (!text.empty()) return Error{fmt::format("'{}' is too much", text)};
  if (out.size() < column.min || out.size() > column.max)
    return Error{fmt::format("{} values, but the column has {}", out.size(),
                             column.min == 1 && column.max == 1 ? "exactly one"
                             : column.max == 1                  ? "at most one"
                                                                : "at least one")};
  return out;
}

Result<Assignment> parse_assignment(std::string_view text) {
  const std::string_view whole = text;
  Assignment out;
  auto column = take_token(text);
  if (!column) return column.error();
  out.column = *column;
  if (text.starts_with(':')) {
    text.remove_prefix(1);
    auto key = take_token(text);
    if (!key) return key.error();
    out.key = *key;
  }
  if (text.empty()) return out;
  if (!text.starts_with('=')) return Error{fmt::format("'{}' is not COLUMN[:KEY]=VALUE", whole)};
  out.value = std::string(text.substr(1));
  return out;
}

}  // namespace weft::imports
