// Import: what users have today - an OVN northbound database, a script of ovn-nbctl commands, the
// NetworkPolicies of a Kubernetes cluster - as weft's desired state (control/intent.h) and a
// placement of its ports.
//
// The promise: nothing is skipped in silence. What has no counterpart in weft and would change what
// happens to a guest's packet is an error that names file, line, table, row and column and says
// what to do. What changes nothing for packets is left out, and listed as such (nb_schema.h, and
// docs/import.md for people). In between are notes: the import succeeds and says what is not there.
//
// The result is one transaction that inserts every row. It was applied to an empty Intent already,
// so whoever applies it to another empty one succeeds. Cookies count from 1; `origins` says which
// row of the user's each of them is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/intent.h"
#include "scenarios/import/nb_store.h"
#include "scenarios/loader/reader.h"

namespace weft::imports {

enum class Format : std::uint8_t { scenario, ovn_database, nbctl_script, kubernetes };
/// "an OVN northbound database"
std::string_view name_of(Format format);

/// A row of what was imported.
struct Origin {
  std::string table;  ///< "ACL", "NetworkPolicy"
  std::string uuid;   ///< OVN's; of scripts: one that weft made
  std::string name;   ///< as the user calls it; may be empty
  Place place;        ///< script, YAML: the line; database: the record that wrote it last
  /// "ACL 'web-in' 1a2b3c4d (shop.nbctl:12)"
  std::string text() const;
};

/// Who carries what. Hypervisors that the network names by itself come first, by name, then those
/// that were made up: "hv-1", ...
struct Placement {
  std::vector<std::string> hypervisors;
  /// Port -> hypervisor. Ports of no single one (ways out to physical networks) are not in it.
  std::map<std::string, std::string> ports;
};

struct ImportOptions {
  /// How many hypervisors are made up for ports that ask for none; 0: one per ten such ports, at
  /// most 16. The ports are dealt out in turn, by name.
  std::uint32_t hypervisors = 0;
  /// Of a damaged database: what lies before the damage, with a note.
  bool up_to_damage = false;
};

struct Imported {
  Format format = Format::ovn_database;
  std::string file;
  control::Transaction transaction;
  Placement placement;
  std::map<std::uint64_t, Origin> origins;       ///< by cookie
  std::map<control::RowId, Origin> row_origins;  ///< by row, as far as it stands for one
  std::vector<Error> notes;  ///< what is not there, for people; places as in errors
  /// The state that the transaction leads to.
  control::Intent intent() const;
};

struct ImportResult {
  std::optional<Imported> network;  ///< none: there are errors
  std::vector<Error> errors;
};

/// From text or bytes; `file` is for messages.
ImportResult import_ovn_database(std::string_view bytes, const std::string& file,
                                 const ImportOptions& options = {});
ImportResult import_nbctl(const std::string& text, const std::string& file,
                          const ImportOptions& options = {});
ImportResult import_kubernetes(const std::string& text, const std::string& file,
                               const ImportOptions& options = {});

/// Hypervisors of the names that are there, then made up ones, over which `free` ports are dealt
/// out in turn (ImportOptions::hypervisors).
void spread_ports(const std::set<std::string>& named, const std::vector<std::string>& free,
                  const ImportOptions& options, Placement& out);

/// Checks the transaction against an empty Intent; what it breaks goes to `diag`.
ImportResult finish_import(Imported imported, scenarios::Diagnostics& diag);

}  // namespace weft::imports
