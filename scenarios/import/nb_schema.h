// The tables of OVN's northbound database (ovn-nb(5)), as weft sees them: which columns there are,
// of what type, and what becomes of each. One list for everything: reading database files, running
// ovn-nbctl scripts, refusing what weft has no counterpart of, and the table in docs/import.md,
// which a test holds against it.
//
// What becomes of a column (`Use`) decides who is surprised:
//   used     the mapping (nb_map.h) reads it
//   listed   a map of options: each key is judged by itself (`options()`)
//   ignored  weft and OVN do the same whatever it says: notes of a cloud, status, how OVN works
//   noted    it changes nothing of how a guest's packet is treated, but something is not there
//            (advertisements, tags of the physical network): the import succeeds and says so
//   refused  it would change what happens to packets, and weft has nothing like it: unless it has
//            its default value, the import fails and names it
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weft::imports {

enum class AtomType : std::uint8_t { string, integer, boolean, uuid };
enum class Use : std::uint8_t { used, listed, ignored, noted, refused };

inline constexpr std::size_t kMany = std::numeric_limits<std::size_t>::max();

struct NbColumn {
  std::string name;
  AtomType key = AtomType::string;
  bool is_map = false;
  AtomType value = AtomType::string;
  std::size_t min = 1, max = 1;
  std::string target;                ///< uuid: the table it refers to
  bool strong = false;               ///< keeps what it refers to alive
  std::vector<std::string> choices;  ///< of a string; empty: any
  Use use = Use::used;
  std::string why;  ///< ignored, noted, refused
  bool is_set() const { return !is_map && max > 1; }
};

struct NbTable {
  std::string name;
  bool root = false;    ///< rows live although nothing refers to them
  bool unique = false;  ///< the column `name` is unique
  Use use = Use::used;  ///< ignored; refused: unless it is empty
  std::string why;
  std::map<std::string, NbColumn, std::less<>> columns;
  const NbColumn* column(std::string_view name) const;
};

/// A key of a `listed` column.
struct NbOption {
  std::string_view table, column;
  std::string_view key;  ///< ends with '*': all that begin so
  Use use = Use::used;
  std::string_view neutral;  ///< noted, refused: a value without effect, besides ""
  std::string_view why;
};

const std::map<std::string, NbTable, std::less<>>& nb_tables();
const NbTable* nb_table(std::string_view name);
const std::vector<NbOption>& nb_options();
const NbOption* nb_option(std::string_view table, std::string_view column, std::string_view key);
std::vector<std::string> nb_option_keys(std::string_view table, std::string_view column);
std::string_view name_of(Use use);

}  // namespace weft::imports
