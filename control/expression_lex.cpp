#include "control/expression_lex.h"

#include <fmt/core.h>

#include <array>
#include <bit>
#include <charconv>

namespace weft::control {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Error at(int column, std::string message, std::string remedy) {
  return {std::move(message), {{}, 0, column}, std::move(remedy)};
}
Error at(std::size_t offset, std::string message, std::string remedy) {
  return at(static_cast<int>(offset) + 1, std::move(message), std::move(remedy));
}

/// One number without a mask.
Result<Constant> read_plain(std::string_view text) {
  Constant c;
  if (text.find(':') != std::string_view::npos) {
    if (auto mac = parse_mac(text); mac && text.find('-') == std::string_view::npos) {
      c.form = Constant::Form::mac;
      c.value = {0, mac->to_u64()};
      return c;
    }
    const auto ip = parse_ip(text);
    if (!ip)
      return Error{fmt::format("'{}' is neither a MAC nor an IPv6 address", text),
                   {},
                   "write 02:00:00:00:00:01 or fd00::1"};
    c.form = Constant::Form::ip6;
    c.value = ip->bits;
    return c;
  }
  if (text.find('.') != std::string_view::npos) {
    const auto ip = parse_ip(text);
    if (!ip) return ip.error();
    c.form = Constant::Form::ip4;
    c.value = ip->bits;
    return c;
  }
  if (text.size() > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    c.form = Constant::Form::hex;
    const std::string_view digits = text.substr(2);
    bool good = !digits.empty();
    for (const char d : digits) {
      good = good && hex_digit(d) >= 0 && c.value.high >> 60 == 0;
      if (!good) break;
      c.value = {c.value.high << 4 | c.value.low >> 60,
                 c.value.low << 4 | static_cast<std::uint64_t>(hex_digit(d))};
    }
    if (good) return c;
    return Error{fmt::format("'{}' is not a number", text),
                 {},
                 "hexadecimal numbers have 1 to 32 digits after 0x"};
  }
  const auto [end, failure] =
      std::from_chars(text.data(), text.data() + text.size(), c.value.low, 10);
  if (failure != std::errc{} || end != text.data() + text.size())
    return Error{fmt::format("'{}' is not a number", text),
                 {},
                 "write a decimal number below 2^64, 0x..., an address, or a name that begins with "
                 "a letter"};
  if (text.size() > 1 && text[0] == '0')
    return Error{fmt::format("'{}' begins with a zero", text),
                 {},
                 "decimal numbers do not; hexadecimal ones begin with 0x"};
  return c;
}

Ip6 prefix_of(std::uint64_t length, unsigned width) {
  Ip6 m{};
  for (std::uint64_t i = 0; i < length; ++i) {
    const auto bit = width - 1 - static_cast<unsigned>(i);
    (bit >= 64 ? m.high : m.low) |= 1ULL << (bit % 64);
  }
  return m;
}

void put_utf8(std::string& out, std::uint32_t c) {
  const auto byte = [&out](std::uint32_t b) { out += static_cast<char>(b); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
  } else {
    byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)),
        byte(0x80 | (c & 0x3f));
  }
}

unsigned address_width(Constant::Form form) {
  switch (form) {
    case Constant::Form::ip4:
      return 32;
    case Constant::Form::ip6:
      return 128;
    case Constant::Form::mac:
      return 48;
    default:
      return 0;
  }
}

std::string plain_text(Constant::Form form, Ip6 v) {
  switch (form) {
    case Constant::Form::ip4:
      return Ip4{static_cast<std::uint32_t>(v.low)}.text();
    case Constant::Form::ip6:
      return v.text();
    case Constant::Form::mac:
      return Mac::from_u64(v.low).text();
    case Constant::Form::decimal:
      return fmt::format("{}", v.low);
    case Constant::Form::hex:
      break;
  }
  return v.high != 0 ? fmt::format("{:#x}{:016x}", v.high, v.low) : fmt::format("{:#x}", v.low);
}

unsigned bit_width(Ip6 v) {
  return static_cast<unsigned>(v.high != 0 ? 64 + std::bit_width(v.high) : std::bit_width(v.low));
}

}  // namespace

unsigned Constant::width() const {
  if (masked) return bit_width(mask);
  const unsigned address = address_width(form);
  return address != 0 ? address : bit_width(value);
}

std::string Constant::text() const {
  std::string out = plain_text(form, value);
  if (!masked) return out;
  if (form == Form::ip4 || form == Form::ip6)
    for (unsigned n = 0, width = address_width(form); n <= width; ++n)
      if (prefix_of(n, width) == mask) return out + fmt::format("/{}", n);
  return out + "/" + plain_text(form, mask);
}

Result<Constant> parse_constant(std::string_view text) {
  const auto slash = text.find('/');
  auto value = read_plain(text.substr(0, slash));
  if (!value || slash == std::string_view::npos) return value;
  Constant out = *value;
  auto mask = read_plain(text.substr(slash + 1));
  if (!mask) return mask;
  const unsigned width = address_width(out.form);
  const bool ip = out.form == Constant::Form::ip4 || out.form == Constant::Form::ip6;
  out.masked = true;
  if (ip && mask->form == Constant::Form::decimal) {
    if (mask->value.low > width)
      return Error{fmt::format("'{}': the prefix is longer than the address", text),
                   {},
                   fmt::format("the length is a number from 0 to {}", width)};
    out.mask = prefix_of(mask->value.low, width);
  } else {
    if (mask->form != out.form && (width != 0 || address_width(mask->form) != 0))
      return Error{fmt::format("'{}': value and mask are of different kinds", text),
                   {},
                   "write both in the same form, or a prefix length"};
    // So that a text of the value reads back the same.
    if (out.form == Constant::Form::decimal && mask->form == Constant::Form::hex)
      out.form = Constant::Form::hex;
    out.mask = mask->value;
  }
  if ((out.value.high & ~out.mask.high) != 0 || (out.value.low & ~out.mask.low) != 0) {
    Constant meant = out;
    meant.value = {out.value.high & out.mask.high, out.value.low & out.mask.low};
    return Error{fmt::format("'{}' has bits set outside its mask", text),
                 {},
                 fmt::format("did you mean {}?", meant.text())};
  }
  if (ip && out.mask == prefix_of(width, width)) {
    out.masked = false;
    out.mask = {};
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::optional<Error> Lexer::skip_blanks() {
  while (at_ < text_.size()) {
    if (is_blank(text_[at_])) {
      ++at_;
      continue;
    }
    const std::string_view two = text_.substr(at_, 2);
    if (two == "//") {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (two == "/*") {
      const auto end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos || text_.substr(at_, end - at_).find('\n') != text_.npos)
        return at(at_, "the comment does not end on its line", "close it with */");
      at_ = end + 2;
    } else {
      break;
    }
  }
  return std::nullopt;
}

Result<Token> Lexer::string(Token token) {
  const std::size_t start = at_++;
  const auto hex4 = [this](std::size_t from) {
    std::uint32_t v = 0;
    if (from + 4 > text_.size()) return -1;
    for (std::size_t i = from; i < from + 4; ++i) {
      const int d = hex_digit(text_[i]);
      if (d < 0) return -1;
      v = v << 4 | static_cast<std::uint32_t>(d);
    }
    return static_cast<int>(v);
  };
  token.kind = Token::Kind::string;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      return token;
    }
    if (static_cast<unsigned char>(c) < 0x20) break;
    ++at_;
    if (c != '\\') {
      token.text += c;
      continue;
    }
    const std::size_t escape = at_ - 1;
    const char e = at_ < text_.size() ? text_[at_++] : '\0';
    static constexpr std::string_view kNames = "\"\\/bfnrt", kMeans = "\"\\/\b\f\n\r\t";
    if (const auto i = kNames.find(e); i != std::string_view::npos && e != '\0') {
      token.text += kMeans[i];
      continue;
    }
    int code = e == 'u' ? hex4(at_) : -1;
    if (code >= 0) at_ += 4;
    if (code >= 0xd800 && code < 0xdc00) {  // the first half of a pair
      const int low = text_.substr(at_, 2) == "\\u" ? hex4(at_ + 2) : -1;
      code =
          low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : -1;
      if (code >= 0) at_ += 6;
    } else if (code >= 0xdc00 && code < 0xe000) {
      code = -1;
    }
    if (code < 0)
      return at(escape, "this escape means nothing in a string",
                "strings are as in JSON: \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0041");
    put_utf8(token.text, static_cast<std::uint32_t>(code));
  }
  return at(start, "the string does not end", "close it with \" on the same line");
}

Result<Token> Lexer::number(Token token, std::size_t length) {
  auto end = at_ + length;
  if (end + 1 < text_.size() && text_[end] == '/' && text_[end + 1] != '/' &&
      text_[end + 1] != '*') {
    ++end;
    while (end < text_.size() &&
           (is_letter(text_[end]) || is_digit(text_[end]) || text_[end] == ':' ||
            (text_[end] == '.' && text_.substr(end, 2) != "..")))
      ++end;
  }
  auto constant = parse_constant(text_.substr(at_, end - at_));
  if (!constant) {
    Error e = constant.error();
    e.place.column = token.column;
    return e;
  }
  token.kind = Token::Kind::constant;
  token.constant = *constant;
  at_ = end;
  return token;
}

Result<Token> Lexer::next() {
  if (auto error = skip_blanks()) return std::move(*error);
  Token token;
  token.column = static_cast<int>(at_) + 1;
  if (at_ == text_.size()) return token;
  const char c = text_[at_];
  if (c == '"') return string(std::move(token));

  // A word: a name, a number or an address. Those with a colon are addresses.
  std::size_t length = 0;
  bool colon = false;
  const bool sigil = c == '$' || c == '@';
  for (std::size_t i = at_ + (sigil ? 1 : 0); i < text_.size(); ++i) {
    const char w = text_[i];
    if (w == ':') colon = true;
    if (!is_letter(w) && !is_digit(w) && (w != ':' || sigil) &&
        (w != '.' || text_.substr(i, 2) == ".."))
      break;
    ++length;
  }
  if (sigil) {
    if (length == 0 || is_digit(text_[at_ + 1]))
      return at(at_, fmt::format("a name must follow {}", c),
                c == '$' ? "address sets are written $name" : "port groups are written @name");
    token.kind = c == '$' ? Token::Kind::address_set : Token::Kind::port_group;
    token.text = text_.substr(at_ + 1, length);
    at_ += length + 1;
    return token;
  }
  if (length > 0 && (colon || is_digit(c))) return number(std::move(token), length);
  if (length > 0 && c != '.') {
    token.kind = Token::Kind::name;
    token.text = text_.substr(at_, length);
    at_ += length;
    return token;
  }

  using K = Token::Kind;
  struct Mark {
    std::string_view text;
    K kind;
  };
  static constexpr std::array kMarks = {Mark{"==", K::eq},          Mark{"!=", K::ne},
                                        Mark{"<=", K::le},          Mark{">=", K::ge},
                                        Mark{"&&", K::logical_and}, Mark{"||", K::logical_or},
                                        Mark{"..", K::dots},        Mark{"<", K::lt},
                                        Mark{">", K::gt},           Mark{"!", K::logical_not},
                                        Mark{",", K::comma},        Mark{"(", K::left_parenthesis},
                                        Mark{"{", K::left_brace},   Mark{")", K::right_parenthesis},
                                        Mark{"}", K::right_brace},  Mark{"[", K::left_bracket},
                                        Mark{"]", K::right_bracket}};
  for (const Mark& mark : kMarks) {
    if (text_.substr(at_, mark.text.size()) != mark.text) continue;
    token.kind = mark.kind;
    at_ += mark.text.size();
    return token;
  }
  if (c == '=' || c == '&' || c == '|')
    return at(at_, fmt::format("'{}' alone means nothing in a match", c),
              fmt::format("write {}{}", c, c));
  const bool printable = c > 0x20 && c < 0x7f;
  return at(at_,
            printable ? fmt::format("'{}' has no place in a match", c)
                      : fmt::format("byte {:#04x} has no place in a match",
                                    static_cast<unsigned>(static_cast<unsigned char>(c))),
            "names of ports go between quotes");
}

}  // namespace weft::control
