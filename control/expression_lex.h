// The words of match expressions, one at a time (for expression.cpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "control/expression.h"

namespace weft::control {

struct Token {
  enum class Kind : std::uint8_t {
    end,
    name,
    address_set,
    port_group,
    string,
    constant,
    left_parenthesis,
    right_parenthesis,
    left_brace,
    right_brace,
    left_bracket,
    right_bracket,
    eq,
    ne,
    lt,
    le,
    gt,
    ge,
    logical_not,
    logical_and,
    logical_or,
    comma,
    dots,
  };
  Kind kind = Kind::end;
  std::string text{};  ///< name; string without its quotes
  Constant constant{};
  int column = 1;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Result<Token> next();

 private:
  std::optional<Error> skip_blanks();
  Result<Token> string(Token token);
  Result<Token> number(Token token, std::size_t length);

  std::string_view text_;
  std::size_t at_ = 0;
};

/// In JSON's quotes.
std::string quoted(std::string_view text);

}  // namespace weft::control
