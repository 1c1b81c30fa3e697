// Transactions as JSON: the one intent API, in a scenario's `events:` and over a socket alike.
//
//   {"by": "shop",
//    "changes": [{"insert": {"table": "acl", "name": "shop/ssh", "tenant": "shop", ...}},
//                {"update": {"table": "group", "name": "shop/web", "members": ["shop/web-1"]}},
//                {"remove": {"table": "port", "name": "shop/web-2"}}]}
//
// A row's fields have the names of intent.h's `fields`; addresses, prefixes and MACs are text,
// enumerations their names. An insert says what differs from the defaults, an update what changes:
// the rest is taken from the row as it is. Numbers that the database gives (`key`, `meter`) cannot
// be said. A row that names itself in drops and traces by a cookie gets one that follows from its
// name unless it says one. Numbers and truth values may be text ("100", "true"), which is what YAML
// gives.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "control/intent.h"

namespace weft::control {

/// `now` is what updates start from. Errors say where ("changes[2].insert.mac"), what was expected
/// and the nearest valid name.
Result<Transaction> transaction_from_json(const std::string& json, const Intent& now);
/// Only the form: tables, fields and values; an update may be of a row that there is not yet.
Result<> check_transaction_json(const std::string& json);

/// One row, or all of a transaction, as the same JSON.
std::string row_to_json(const Row& row);
std::string transaction_to_json(const Transaction& transaction);

/// The cookie of a row that says none: 2^62 and more, from its table and name.
std::uint64_t cookie_by_name(Table table, const std::string& name);

}  // namespace weft::control
