// Runs a script of ovn-nbctl command lines (nbctl_words.h) on a database in memory, as ovn-nbctl
// does on a real one: every line is a transaction of one or more commands joined by `--`, each with
// its options before its name. What only reads (list, get, show, find, sync) does nothing. What
// weft has no counterpart of is an error with its line - here if the command itself has none, else
// when the database is mapped (nb_map.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scenarios/import/nb_store.h"
#include "scenarios/loader/reader.h"

namespace weft::imports {

/// Errors go to `diag`; the store holds what could be done all the same.
void run_nbctl(const std::string& text, const std::string& file, NbStore& store,
               scenarios::Diagnostics& diag);

/// Whether a text is such a script: its first word is ovn-nbctl or a command of it.
bool looks_like_nbctl(const std::string& text);

/// All commands, sorted: for messages, and for the list in docs/import.md.
std::vector<std::string> nbctl_commands();

}  // namespace weft::imports
