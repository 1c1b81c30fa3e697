// Rows of the desired state for people and for programs, from the one list of fields that each row
// has (control/intent.h).
#pragma once

#include <string>

#include "scenarios/import/import.h"

namespace weft::imports {

/// How many rows of which table, then each row with the fields that say something, then where ports
/// are. Ends with a line break.
std::string rows_text(const Imported& network);

/// {"format", "file", "tables": {"network": [{"name", ..., "origin"}], ...}, "placement",
/// "cookies", "notes"}: every field of every row.
std::string rows_json(const Imported& network);

}  // namespace weft::imports
