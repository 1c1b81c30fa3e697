#include "control/expression.h"

#include <fmt/core.h>

#include <algorithm>

#include "control/expression_lex.h"
#include "control/expression_symbols.h"

namespace weft::control {
namespace {

using TokenKind = Token::Kind;

std::string_view text_of(Relation r) {
  switch (r) {
    case Relation::eq:
      return "==";
    case Relation::ne:
      return "!=";
    case Relation::lt:
      return "<";
    case Relation::le:
      return "<=";
    case Relation::gt:
      return ">";
    case Relation::ge:
      return ">=";
  }
  return "";
}

/// !(a < b) is a >= b.
Relation inverse(Relation r) {
  constexpr Relation k[] = {Relation::ne, Relation::eq, Relation::ge,
                            Relation::gt, Relation::le, Relation::lt};
  return k[static_cast<std::size_t>(r)];
}

/// a < b is b > a.
Relation turned(Relation r) {
  constexpr Relation k[] = {Relation::eq, Relation::ne, Relation::gt,
                            Relation::ge, Relation::lt, Relation::le};
  return k[static_cast<std::size_t>(r)];
}

bool is_relation(TokenKind k) { return k >= TokenKind::eq && k <= TokenKind::ge; }
Relation relation_of(TokenKind k) {
  return static_cast<Relation>(static_cast<unsigned>(k) - static_cast<unsigned>(TokenKind::eq));
}
static_assert(static_cast<unsigned>(TokenKind::ge) - static_cast<unsigned>(TokenKind::eq) ==
              static_cast<unsigned>(Relation::ge));

/// `a` and `b` under one operator; children of the same operator become its own.
Expression combine(Expression::Kind kind, std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Expression out;
  out.kind = kind;
  for (Expression& part : parts) {
    if (part.kind == kind)
      std::move(part.children.begin(), part.children.end(), std::back_inserter(out.children));
    else
      out.children.push_back(std::move(part));
  }
  return out;
}

/// A symbol, or some of its bits, where it stands.
struct Subject {
  const Symbol* symbol = nullptr;
  unsigned first = 0, bits = 0;
  int column = 1;
  std::string text() const {
    if (bits == symbol->bits) return symbol->name;
    return bits == 1 ? fmt::format("{}[{}]", symbol->name, first)
                     : fmt::format("{}[{}..{}]", symbol->name, first, first + bits - 1);
  }
};

struct OperandList {
  std::vector<Operand> all;
  std::vector<int> columns;
  bool braces = false;
  bool ports() const {
    return all.front().kind == Operand::Kind::port || all.front().kind == Operand::Kind::port_group;
  }
};

/// Recursive descent. Each function is told whether what it reads is negated, and returns it
/// without "not". The first error wins and ends everything.
class Parser {
 public:
  Parser(std::string_view text, ParseOptions options, const SymbolTable& table)
      : lexer_(text), options_(options), table_(table) {
    advance();
  }

  Result<Expression> parse() {
    auto e = sequence(false);
    if (failed_) return error_;
    if (token_.kind != TokenKind::end) {
      fail(token_.column, "expected && or ||, or the end",
           "two conditions are joined by && (both) or || (either)");
      return error_;
    }
    return e;
  }

 private:
  void fail(int column, std::string message, std::string remedy) {
    if (failed_) return;
    failed_ = true;
    error_ = {std::move(message), {{}, 0, column}, std::move(remedy)};
  }
  void advance() {
    if (failed_) return;
    auto next = lexer_.next();
    if (next) {
      token_ = std::move(*next);
      return;
    }
    failed_ = true;
    error_ = next.error();
  }
  /// Whether it is there; then it is read.
  bool accept(TokenKind kind) {
    if (failed_ || token_.kind != kind) return false;
    advance();
    return true;
  }

  Expression sequence(bool negated) {
    std::vector<Expression> parts;
    parts.push_back(term(negated));
    const TokenKind joint = token_.kind;
    if (failed_ || (joint != TokenKind::logical_and && joint != TokenKind::logical_or))
      return std::move(parts.front());
    while (accept(joint)) parts.push_back(term(negated));
    if (!failed_ && (token_.kind == TokenKind::logical_and || token_.kind == TokenKind::logical_or))
      fail(token_.column, "&& and || stand side by side",
           "say which comes first with parentheses: (a && b) || c");
    const bool all = (joint == TokenKind::logical_and) != negated;
    return combine(all ? Expression::Kind::all_of : Expression::Kind::any_of, std::move(parts));
  }

  Expression term(bool negated) {
    const int column = token_.column;
    const bool inverted = accept(TokenKind::logical_not);
    bool atomic = false;
    Expression e = primary(negated != inverted, atomic);
    if (inverted && !atomic)
      fail(column, "! stands before a comparison", "put the comparison in parentheses: !(a == b)");
    return e;
  }

  /// `atomic`: something that ! may stand before.
  Expression primary(bool negated, bool& atomic) {
    if (failed_) return {};
    const int column = token_.column;
    if (accept(TokenKind::left_parenthesis)) {
      atomic = true;
      if (depth_ == kExpressionDepth) {
        fail(column, fmt::format("parentheses are nested deeper than {}", kExpressionDepth),
             "split the match");
        return {};
      }
      ++depth_;
      Expression e = sequence(negated);
      --depth_;
      if (!accept(TokenKind::right_parenthesis))
        fail(token_.column, "expected ) or && or ||",
             fmt::format("close the parenthesis of column {}", column));
      return e;
    }
    return token_.kind == TokenKind::name ? from_symbol(negated, atomic)
                                          : from_constant(negated, atomic);
  }

  Expression from_symbol(bool negated, bool& atomic) {
    if (token_.text == "is_chassis_resident") {
      atomic = true;
      return resident(negated);
    }
    const Subject s = subject();
    if (failed_ || s.symbol == nullptr) return {};
    if (is_relation(token_.kind)) {
      const int column = token_.column;
      const Relation r = relation_of(token_.kind);
      advance();
      return compare(s, r, column, operands(), negated);
    }
    atomic = true;
    if (s.bits == 0) {
      fail(token_.column, fmt::format("expected == after {}", s.symbol->name),
           fmt::format("write {} == \"PORT\" or {} == @GROUP", s.symbol->name, s.symbol->name));
      return {};
    }
    if (s.bits > 1 && !negated) {
      fail(token_.column, fmt::format("expected a comparison after {}", s.text()),
           fmt::format("{} has {} bits; write {} != 0 if that is meant", s.text(), s.bits,
                       s.text()));
      return {};
    }
    OperandList zero;
    zero.all.emplace_back();
    zero.columns.push_back(s.column);
    return compare(s, Relation::ne, s.column, std::move(zero), negated);
  }

  Expression resident(bool negated) {
    Expression e;
    e.kind = Expression::Kind::resident;
    e.positive = !negated;
    advance();
    if (!accept(TokenKind::left_parenthesis)) {
      fail(token_.column, "expected (", "write is_chassis_resident(\"PORT\")");
      return {};
    }
    Operand port;
    port.kind = Operand::Kind::port;
    port.name = token_.text;
    if (!accept(TokenKind::string))
      fail(token_.column, "expected the name of a port in quotes",
           "write is_chassis_resident(\"PORT\")");
    if (!accept(TokenKind::right_parenthesis))
      fail(token_.column, "expected )", "write is_chassis_resident(\"PORT\")");
    e.operands.push_back(std::move(port));
    return e;
  }

  /// `80 == tcp.dst`, `1024 <= tcp.dst < 2048`, `1`.
  Expression from_constant(bool negated, bool& atomic) {
    const int column = token_.column;
    if (token_.kind == TokenKind::end || token_.kind > TokenKind::constant) {
      if (token_.kind != TokenKind::left_brace) {
        fail(column, "expected a condition",
             "a condition is such as ip4.src == 10.0.0.1, tcp, !ct.est or 1");
        return {};
      }
    }
    OperandList left = operands();
    if (failed_) return {};
    if (!is_relation(token_.kind)) {
      const Operand& o = left.all.front();
      if (!left.braces && o.kind == Operand::Kind::constant && !o.constant.masked &&
          o.constant.form == Constant::Form::decimal && o.constant.value <= Ip6{0, 1}) {
        atomic = true;
        Expression e;
        e.positive = (o.constant.value.low == 1) != negated;
        return e;
      }
      fail(token_.column, "expected a comparison after a constant",
           "write SYMBOL == CONSTANT; only 0 (never) and 1 (always) stand alone");
      return {};
    }
    const Relation r1 = relation_of(token_.kind);
    const int r1_column = token_.column;
    advance();
    const Subject s = subject();
    if (failed_) return {};
    if (!is_relation(token_.kind))
      return compare(s, turned(r1), r1_column, std::move(left), negated);
    const Relation r2 = relation_of(token_.kind);
    const int r2_column = token_.column;
    advance();
    OperandList right = operands();
    if (failed_) return {};
    const auto upward = [](Relation r) { return r == Relation::lt || r == Relation::le; };
    const auto downward = [](Relation r) { return r == Relation::gt || r == Relation::ge; };
    if (!(upward(r1) && upward(r2)) && !(downward(r1) && downward(r2))) {
      fail(column, fmt::format("{} ... {} is not a range", text_of(r1), text_of(r2)),
           "a range is written 1 <= x < 5 or 5 > x >= 1");
      return {};
    }
    std::vector<Expression> both;
    both.push_back(compare(s, turned(r1), r1_column, std::move(left), negated));
    both.push_back(compare(s, r2, r2_column, std::move(right), negated));
    return combine(negated ? Expression::Kind::any_of : Expression::Kind::all_of, std::move(both));
  }

  Subject subject() {
    Subject s;
    if (failed_) return s;
    s.column = token_.column;
    if (token_.kind != TokenKind::name) {
      fail(token_.column, "expected a symbol", "symbols are such as ip4.src, tcp.dst or inport");
      return s;
    }
    s.symbol = table_.find(token_.text);
    if (s.symbol == nullptr) {
      const std::string near = table_.nearest(token_.text);
      fail(token_.column, fmt::format("there is no symbol '{}'", token_.text.substr(0, 64)),
           near.empty() ? "symbols are those of ovn-sb(5), such as ip4.src, tcp.dst or inport; "
                          "names of ports go between quotes"
                        : fmt::format("did you mean {}?", near));
      return s;
    }
    advance();
    s.bits = s.symbol->bits;
    if (token_.kind == TokenKind::left_bracket) select_bits(s);
    return s;
  }

  /// The number of a bit; -1 and an error if there is none.
  int bit_number() {
    const Constant& c = token_.constant;
    if (token_.kind != TokenKind::constant || c.masked || c.form != Constant::Form::decimal ||
        c.value > Ip6{0, 127}) {
      fail(token_.column, "expected the number of a bit", "write name[BIT] or name[FIRST..LAST]");
      return -1;
    }
    const int n = static_cast<int>(c.value.low);
    advance();
    return n;
  }

  void select_bits(Subject& s) {
    const int column = token_.column;
    advance();
    const int low = bit_number();
    int high = low;
    if (accept(TokenKind::dots)) high = bit_number();
    if (!accept(TokenKind::right_bracket))
      fail(token_.column, "expected ]", "write name[BIT] or name[FIRST..LAST]");
    if (failed_) return;
    if (s.bits == 0) {
      fail(column, fmt::format("{} is a name and has no bits", s.symbol->name),
           "compare it with a name");
    } else if (low > high) {
      fail(column, fmt::format("bits {} to {} are none", low, high), "the lower bit comes first");
    } else if (high >= static_cast<int>(s.bits)) {
      fail(column,
           fmt::format("{} has {} bits, so there is no bit {}", s.symbol->name, s.bits, high),
           fmt::format("bits are 0 to {}", s.bits - 1));
    } else if (s.symbol->nominal && high - low + 1 != static_cast<int>(s.bits) &&
               !options_.any_comparison) {
      fail(column, fmt::format("{} can only be matched as a whole", s.symbol->name),
           fmt::format("write {} == VALUE", s.symbol->name));
    }
    s.first = static_cast<unsigned>(low);
    s.bits = static_cast<unsigned>(high - low + 1);
  }

  OperandList operands() {
    OperandList list;
    if (failed_) return list;
    list.braces = accept(TokenKind::left_brace);
    do {
      operand(list);
      if (failed_ || !list.braces) return list;
      accept(TokenKind::comma);
    } while (!accept(TokenKind::right_brace) && !failed_);
    return list;
  }

  void operand(OperandList& list) {
    if (failed_) return;
    Operand o;
    switch (token_.kind) {
      case TokenKind::constant:
        o.constant = token_.constant;
        break;
      case TokenKind::string:
        o.kind = Operand::Kind::port;
        break;
      case TokenKind::address_set:
        o.kind = Operand::Kind::address_set;
        break;
      case TokenKind::port_group:
        o.kind = Operand::Kind::port_group;
        break;
      default:
        return fail(token_.column, "expected a constant",
                    token_.kind == TokenKind::name
                        ? fmt::format("names of ports go between quotes: \"{}\"; sets are "
                                      "written $NAME, groups @NAME",
                                      token_.text.substr(0, 64))
                        : "a constant is a number, an address, \"PORT\", $SET or @GROUP");
    }
    if (o.kind != Operand::Kind::constant) o.name = token_.text;
    list.all.push_back(std::move(o));
    list.columns.push_back(token_.column);
    if (list.ports() != (list.all.back().kind == Operand::Kind::port ||
                         list.all.back().kind == Operand::Kind::port_group))
      return fail(token_.column, "the set mixes ports and numbers",
                  list.ports() ? "name only ports here: \"PORT\" or @GROUP"
                               : "write only numbers, addresses and $SET here");
    advance();
  }

  /// Whether `s r list` may be said.
  bool check(const Subject& s, Relation r, int r_column, const OperandList& list, bool negated) {
    const Symbol& symbol = *s.symbol;
    if ((s.bits == 0) != list.ports()) {
      fail(list.columns.front(),
           fmt::format("{} is compared with {}", symbol.name,
                       list.ports() ? "names of ports" : "a number"),
           s.bits == 0
               ? fmt::format("write {} == \"PORT\" or {} == @GROUP", symbol.name, symbol.name)
               : "write a number, an address or $SET");
      return false;
    }
    for (std::size_t i = 0; i < list.all.size() && s.bits > 0; ++i) {
      const Operand& o = list.all[i];
      if (o.kind != Operand::Kind::constant || o.constant.width() <= s.bits) continue;
      fail(list.columns[i],
           fmt::format("{} has {} bits, too many for {} with {}", o.constant.text(),
                       o.constant.width(), s.text(), s.bits),
           family_remedy(symbol, o.constant));
      return false;
    }
    const bool equality = r == Relation::eq || r == Relation::ne;
    const bool one = !list.braces && list.all.front().kind == Operand::Kind::constant;
    if (!equality && (!one || list.all.front().constant.masked)) {
      fail(r_column, fmt::format("{} needs one number on the other side", text_of(r)),
           one ? "compare bits instead of a masked number: eth.src[0..15] > 0x1111"
               : "sets are compared with == and !=");
      return false;
    }
    if (!equality &&
        (symbol.kind != Symbol::Kind::number || (symbol.nominal && !options_.any_comparison))) {
      fail(r_column, fmt::format("{} has no order: {} says nothing of it", symbol.name, text_of(r)),
           "compare it with == and a set of values");
      return false;
    }
    if (symbol.kind != Symbol::Kind::predicate && symbol.nominal && !options_.any_comparison &&
        (r == Relation::ne) != negated) {
      fail(s.column, fmt::format("{} can only be tested for being equal", symbol.name),
           "OVN has no flow for \"not equal\" of it: list the values that are meant, or write two "
           "rules of different priorities");
      return false;
    }
    return true;
  }

  static std::string family_remedy(const Symbol& symbol, const Constant& c) {
    if (c.form == Constant::Form::ip6 && symbol.name.starts_with("ip4."))
      return fmt::format("did you mean ip6{}?", symbol.name.substr(3));
    return "a constant must fit into the bits that it is compared with";
  }

  Expression compare(const Subject& s, Relation r, int r_column, OperandList list, bool negated) {
    if (failed_ || !check(s, r, r_column, list, negated)) return {};
    if (negated) r = inverse(r);
    if (s.symbol->kind == Symbol::Kind::predicate) return predicate(s, r, std::move(list));
    Expression e;
    e.kind = Expression::Kind::compare;
    e.symbol = s.symbol;
    e.first = static_cast<std::uint8_t>(s.first);
    e.bits = static_cast<std::uint8_t>(s.bits);
    e.relation = r;
    e.operands = std::move(list.all);
    // One bit is 1 or 0, however it was said.
    Operand& only = e.operands.front();
    if (s.bits == 1 && e.operands.size() == 1 && only.kind == Operand::Kind::constant &&
        !only.constant.masked && (r == Relation::eq || r == Relation::ne)) {
      const std::uint64_t bit = only.constant.value.low ^ (r == Relation::ne ? 1u : 0u);
      only.constant = {};
      only.constant.value.low = bit;
      e.relation = Relation::eq;
    }
    return e;
  }

  /// `tcp == 1`, `ip4 != {0, 1}`.
  Expression predicate(const Subject& s, Relation r, OperandList list) {
    std::vector<Expression> parts;
    for (std::size_t i = 0; i < list.all.size(); ++i) {
      const Operand& o = list.all[i];
      if (o.kind != Operand::Kind::constant || o.constant.masked) {
        fail(list.columns[i], fmt::format("{} is true or false", s.symbol->name),
             "compare it with 0 or 1, or write its name alone");
        return {};
      }
      Expression e;
      e.kind = Expression::Kind::predicate;
      e.symbol = s.symbol;
      e.positive = (o.constant.value.low == 1) == (r == Relation::eq);
      if (!e.positive && s.symbol->nominal && !options_.any_comparison) {
        fail(s.column, fmt::format("{} can only be tested for being true", s.symbol->name),
             "OVN has no flow for its opposite: list what is meant instead, or write two rules of "
             "different priorities");
        return {};
      }
      parts.push_back(std::move(e));
    }
    return combine(r == Relation::eq ? Expression::Kind::any_of : Expression::Kind::all_of,
                   std::move(parts));
  }

  Lexer lexer_;
  ParseOptions options_;
  const SymbolTable& table_;
  Token token_;
  Error error_;
  bool failed_ = false;
  int depth_ = 0;
};

void print(const Expression& e, std::string& out) {
  switch (e.kind) {
    case Expression::Kind::truth:
      out += e.positive ? '1' : '0';
      return;
    case Expression::Kind::resident:
      out += fmt::format("{}is_chassis_resident({})", e.positive ? "" : "!",
                         quoted(e.operands.front().name));
      return;
    case Expression::Kind::predicate:
      if (!e.positive) out += '!';
      out += e.symbol->name;
      return;
    case Expression::Kind::compare:
      break;
    default:
      for (std::size_t i = 0; i < e.children.size(); ++i) {
        if (i > 0) out += e.kind == Expression::Kind::all_of ? " && " : " || ";
        const bool nested = !e.children[i].children.empty();
        if (nested) out += '(';
        print(e.children[i], out);
        if (nested) out += ')';
      }
      return;
  }
  const Subject s{e.symbol, e.first, e.bits, 0};
  const Operand& first = e.operands.front();
  if (e.bits == 1 && e.operands.size() == 1 && e.relation == Relation::eq &&
      first.kind == Operand::Kind::constant && !first.constant.masked &&
      first.constant.form == Constant::Form::decimal) {
    out += (first.constant.value.low == 1 ? "" : "!") + s.text();
    return;
  }
  out += s.text();
  out += ' ';
  out += text_of(e.relation);
  out += ' ';
  if (e.operands.size() > 1) out += '{';
  for (std::size_t i = 0; i < e.operands.size(); ++i) {
    if (i > 0) out += ", ";
    out += e.operands[i].text();
  }
  if (e.operands.size() > 1) out += '}';
}

void collect(const Expression& e, References& into) {
  for (const Operand& o : e.operands) {
    if (o.kind == Operand::Kind::port) into.ports.insert(o.name);
    if (o.kind == Operand::Kind::address_set) into.address_sets.insert(o.name);
    if (o.kind == Operand::Kind::port_group) into.port_groups.insert(o.name);
  }
  for (const Expression& child : e.children) collect(child, into);
}

}  // namespace

std::string Operand::text() const {
  switch (kind) {
    case Kind::port:
      return quoted(name);
    case Kind::address_set:
      return "$" + name;
    case Kind::port_group:
      return "@" + name;
    case Kind::constant:
      break;
  }
  return constant.text();
}

std::string Expression::text() const {
  std::string out;
  print(*this, out);
  return out;
}

References Expression::references() const {
  References out;
  collect(*this, out);
  return out;
}

bool Expression::operator==(const Expression& o) const {
  return kind == o.kind && positive == o.positive && symbol == o.symbol && first == o.first &&
         bits == o.bits && relation == o.relation && operands == o.operands &&
         children == o.children;
}

Result<Expression> parse_expression(std::string_view text, ParseOptions options,
                                    const SymbolTable& table) {
  if (text.size() > kExpressionLength)
    return Error{fmt::format("the match is longer than {} bytes", kExpressionLength),
                 {{}, 0, 1},
                 "put its addresses into an address set"};
  return Parser(text, options, table).parse();
}

Result<Expression> parse_expression(std::string_view text, ParseOptions options) {
  return parse_expression(text, options, symbols());
}

}  // namespace weft::control
