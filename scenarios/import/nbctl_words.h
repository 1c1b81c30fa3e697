// The text of an ovn-nbctl script: lines as a shell would cut them into words, and the values of
// the generic database commands (ovs-vsctl(8), "Database Values").
//
// One command line a line; a backslash before the end of the line, or an open quote, goes on with
// the next. Quotes are those of sh: '...', "..." with \ before " \ $ and `, \ outside. # begins a
// comment at the beginning of a word. What a shell would expand or do by itself - $x, `x`, globs of
// variables, pipes, redirections, ; and & - is refused: weft runs no shell. (In '...' a $ is a $,
// as match expressions need it.)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "scenarios/import/nb_store.h"
#include "scenarios/loader/reader.h"

namespace weft::imports {

struct Word {
  std::string text;
  Place place;
};
using Line = std::vector<Word>;  ///< never empty

/// Errors go to `diag`; the lines that can be read are there all the same.
std::vector<Line> split_script(const std::string& text, const std::string& file,
                               scenarios::Diagnostics& diag);

/// `text` as a value of the column: "[a, b]", "a,b", "{k=v}", "\"quoted\"". A UUID may be "@name";
/// it is given as it stands.
Result<Datum> parse_value(const NbColumn& column, std::string_view text);
/// One element or key (`of_value`: what a key maps to), perhaps in double quotes.
Result<std::string> parse_atom(const NbColumn& column, bool of_value, std::string_view text);

/// "column", "column:key", then an operator and the rest: "other_config:subnet=10.0.0.0/24".
struct Assignment {
  std::string column;
  std::optional<std::string> key;
  std::optional<std::string> value;  ///< none: there was no `=`
};
Result<Assignment> parse_assignment(std::string_view text);

}  // namespace weft::imports
