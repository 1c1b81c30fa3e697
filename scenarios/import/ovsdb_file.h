// The file in which ovsdb-server keeps a database (ovsdb(5)), and which `ovsdb-client backup`
// writes: a log of records, each a line "OVSDB JSON LENGTH SHA1" and then LENGTH bytes of JSON. The
// first record is the schema; every further one is a transaction, which gives rows by table and
// UUID: null for a row that is deleted, else columns that are new - or, with "_is_diff", by what
// they changed: of a set the elements that come or go, of a map the pairs that come, go or change;
// columns of at most one value are given whole.
//
// Length and SHA-1 of each record are checked. A record that is cut short or damaged makes the
// whole file unusable (what follows may undo what stands before), unless `up_to_damage` asks for
// what lies before it; then `damage` says where it was and what was left out.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "scenarios/import/nb_store.h"
#include "scenarios/loader/reader.h"

namespace weft::imports {

struct OvsdbOptions {
  bool up_to_damage = false;
};

struct OvsdbContents {
  NbStore store;
  std::string version;  ///< of the schema
  std::size_t records = 0;
  std::optional<Error> damage;
};

/// Whether the file begins as one of ovsdb-server's does, standalone or clustered.
bool looks_like_ovsdb(std::string_view bytes);

/// `file` is for messages. What the store holds has the form of the schema (types, references);
/// nothing if there were errors.
std::optional<OvsdbContents> read_ovsdb(std::string_view bytes, const std::string& file,
                                        scenarios::Diagnostics& diag, OvsdbOptions options = {});

}  // namespace weft::imports
