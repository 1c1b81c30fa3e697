// The symbols of match expressions, as ovn-sb(5) lists them: fields and subfields with the place of
// their bits in a flow key, strings (inport, outport), and predicates with what they stand for.
// Symbols are made once, from one table, and live for ever.
//
// Registers are the logical ones: reg0 to reg9, xreg0 to xreg4, xxreg0 and xxreg1.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "control/expression.h"
#include "datapath/flow_key.h"

namespace weft::control {

struct Symbol {
  enum class Kind : std::uint8_t { number, port, predicate };
  std::string name;
  Kind kind = Kind::number;
  bool nominal = false;  ///< only ==, see expression.h
  /// number: `bits` bits of the field from bit `first` on.
  datapath::Field field{};
  std::uint8_t first = 0;
  std::uint8_t bits = 0;  ///< a predicate has 1, a string 0
  std::size_t index = 0;  ///< in SymbolTable::all()
  /// What a packet must be for the symbol to exist; none: nothing.
  std::vector<Expression> needs{};
  /// predicate: what it stands for (one expression).
  std::vector<Expression> stands_for{};
};

class SymbolTable {
 public:
  SymbolTable() = default;
  SymbolTable(SymbolTable&&) = default;  // symbols stay where they are
  SymbolTable& operator=(SymbolTable&&) = default;
  void add(Symbol symbol);
  /// nullptr if there is none.
  const Symbol* find(std::string_view name) const;
  /// The name nearest to a mistyped one; empty if none is near.
  std::string nearest(std::string_view wrong) const;
  /// What one needs or stands for comes before it.
  const std::deque<Symbol>& all() const { return all_; }

 private:
  std::deque<Symbol> all_;
  std::vector<const Symbol*> by_name_;
};

/// The one table.
const SymbolTable& symbols();

/// As parse_expression, with the symbols of `table` (how the table itself is made).
Result<Expression> parse_expression(std::string_view text, ParseOptions options,
                                    const SymbolTable& table);

}  // namespace weft::control
