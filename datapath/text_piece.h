// Pieces of a rule's text, each with the column of its first character, so that every error says
// where it is. For the parsers of actions, groups, meters and statements.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"
#include "datapath/action.h"

namespace weft::datapath {

struct Piece {
  std::string_view text;
  int column = 1;
  Piece from(std::size_t n) const { return {text.substr(n), column + static_cast<int>(n)}; }
  Piece part(std::size_t from_, std::size_t n) const {
    return {text.substr(from_, n), column + static_cast<int>(from_)};
  }
};

Error fail(const Piece& p, std::string message, std::string remedy);
/// Without the blanks around it.
Piece trim(Piece p);
/// Decimal or 0x...
std::optional<std::uint64_t> read_number(std::string_view text);
Result<std::uint64_t> number_up_to(const Piece& p, std::uint64_t limit, std::string_view what);
/// Cuts at the commas that are in no parenthesis.
Result<std::vector<Piece>> split(Piece all);

/// A piece NAME=VALUE, NAME:VALUE or NAME(VALUE), cut in two; `mark` is 0 for a mere NAME.
struct NameAndValue {
  Piece name;
  char mark = '\0';
  Piece value;
};
Result<NameAndValue> cut(const Piece& p, std::string_view marks);

/// "did you mean X?" if X is near, else `otherwise`.
std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& names,
                         std::string otherwise);

Result<const FieldInfo*> field_of(const Piece& p);
/// "NXM_NX_REG0[]", "reg0", "NXM_NX_REG0[3]", "reg0[0..15]".
Result<FieldRange> range_of(const Piece& p);
/// ip_dscp is the upper six bits of nw_tos.
bool is_dscp(std::string_view name);
/// With commas for the blanks between items, which Open vSwitch takes too; of the same length.
std::string blanks_to_commas(std::string_view text);

Ip6 shift_left(Ip6 v, unsigned n);
Ip6 shift_right(Ip6 v, unsigned n);
/// The low `n` bits set.
Ip6 low_ones(unsigned n);

}  // namespace weft::datapath
