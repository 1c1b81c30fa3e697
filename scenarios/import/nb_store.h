// NbStore: OVN's northbound database in memory, as rows of columns. Both importers fill it - one
// from the file that ovsdb-server keeps, one by running ovn-nbctl commands - and nb_map.h reads it,
// so that what a table means is said once.
//
// It keeps what ovsdb-server keeps: a reference marked weak vanishes with the row it names; a row
// of a table that is not a root lives only while a strong reference names it (settle()); names that
// must be unique are (check()). A column that holds its default is not stored at all: `Datum` is
// then empty.
//
// A Datum is a set of elements (map from element to "") or a map; elements are text in one form:
// integers in decimal, booleans "true" and "false", UUIDs in lower case.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "scenarios/import/nb_schema.h"

namespace weft::imports {

using Datum = std::map<std::string, std::string, std::less<>>;

struct NbRow {
  const NbTable* table = nullptr;
  std::string uuid;
  std::uint64_t born = 0;  ///< transaction that inserted it
  Place place;             ///< where it was written last
  std::map<std::string, Datum, std::less<>> columns;

  const Datum& get(std::string_view column) const;
  /// The only element; empty if there is none.
  const std::string& text(std::string_view column) const;
  bool has(std::string_view column) const { return !get(column).empty(); }
  bool is_true(std::string_view column) const { return text(column) == "true"; }
  std::int64_t number(std::string_view column) const;
  /// Of a map; empty if there is none.
  const std::string& option(std::string_view column, std::string_view key) const;
  /// "Logical_Switch_Port 'vm1'", "ACL 1a2b3c4d": the name, or the first digits of the UUID.
  std::string title() const;
  std::string short_uuid() const { return uuid.substr(0, 8); }
};

class NbStore {
 public:
  using Rows = std::map<std::string, std::unique_ptr<NbRow>, std::less<>>;

  /// The UUID must be new.
  NbRow& insert(const NbTable& table, const std::string& uuid, const Place& place);
  void set(NbRow& row, const NbColumn& column, Datum value);
  void erase(NbRow& row);

  const Rows& rows(std::string_view table) const;
  NbRow* find(std::string_view table, std::string_view uuid) const;
  /// Rows whose column `name` is this.
  std::vector<NbRow*> named(std::string_view table, const std::string& name) const;
  /// Rows of `table` that name this row in `column`.
  std::vector<NbRow*> referrers(std::string_view table, std::string_view column,
                                const std::string& uuid) const;

  /// The end of a transaction: removes rows that nothing keeps alive, and gives their titles.
  std::vector<std::string> settle();
  /// What ovsdb-server would refuse: references to nothing, names that are not unique, values of
  /// the wrong kind.
  std::vector<Error> check() const;
  std::uint64_t transaction = 0;  ///< counts; the reader of a file or script moves it on

 private:
  struct Referrer {
    std::string table, uuid, column;
    auto operator<=>(const Referrer&) const = default;
  };
  void link(const NbRow& row, const NbColumn& column, bool add);

  std::map<std::string, Rows, std::less<>> tables_;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> names_;
  std::map<std::string, std::set<Referrer>, std::less<>> strong_, weak_;  // by what they name
  std::set<std::pair<std::string, std::string>> suspects_;                // table, UUID
};

/// "1a2b3c4d-...", 36 characters of hexadecimal digits and dashes.
bool is_uuid(std::string_view text);
/// `text` as one element of the column (its key, or its value): an error says what is expected.
Result<std::string> canonical_atom(AtomType type, std::string_view text);

}  // namespace weft::imports
