// Inside of the ovn-nbctl interpreter: what the commands share. nbctl.cpp has the table of commands
// and the lines; nbctl_switches.cpp, nbctl_routers.cpp and nbctl_database.cpp the commands.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/import/nb_store.h"
#include "scenarios/import/nbctl_words.h"

namespace weft::imports {

/// One command of a line.
struct Call {
  Word name;
  std::map<std::string, Word, std::less<>> options;  ///< "--may-exist"; what stands after its =
  std::vector<Word> args;
  bool has(std::string_view option) const { return options.contains(option); }
  std::string option(std::string_view name_) const {
    const auto it = options.find(name_);
    return it == options.end() ? std::string() : it->second.text;
  }
  /// Empty if there are not so many.
  std::string arg(std::size_t i) const { return i < args.size() ? args[i].text : std::string(); }
};

class Runner {
 public:
  Runner(NbStore& store, scenarios::Diagnostics& diag) : store_(store), diag_(diag) {}
  void run(const Line& line);

  // nbctl_switches.cpp
  void ls_add(const Call&);
  void lsp_add(const Call&);
  void lsp_del(const Call&);
  void lsp_set_list(const Call&);
  void lsp_set_type(const Call&);
  void set_options(const Call&);
  void set_enabled(const Call&);
  void lsp_set_dhcp(const Call&);
  void lsp_mirror(const Call&);
  void acl_add(const Call&);
  void acl_del(const Call&);
  void qos_add(const Call&);
  void qos_del(const Call&);
  void pg_add(const Call&);
  void pg_set_ports(const Call&);
  void delete_named(const Call&);
  void meter_add(const Call&);
  void mirror_add(const Call&);
  void dhcp_create(const Call&);
  void lb_add(const Call&);
  void lb_del(const Call&);
  void attach_lb(const Call&);
  void detach_lb(const Call&);
  // nbctl_routers.cpp
  void lr_add(const Call&);
  void lrp_add(const Call&);
  void lrp_del(const Call&);
  void lrp_gateway(const Call&);
  void lrp_del_gateway(const Call&);
  void lrp_redirect(const Call&);
  void route_add(const Call&);
  void route_del(const Call&);
  void policy_add(const Call&);
  void policy_del(const Call&);
  void nat_add(const Call&);
  void nat_del(const Call&);
  void ha_add(const Call&);
  void ha_add_chassis(const Call&);
  void ha_remove_chassis(const Call&);
  // nbctl_database.cpp
  void db_create(const Call&);
  void db_set(const Call&);
  void db_add(const Call&);
  void db_remove(const Call&);
  void db_clear(const Call&);
  void db_destroy(const Call&);
  void db_get(const Call&);
  void nothing(const Call&) {}
  void unsupported(const Call&);

 private:
  void error(const Place& place, std::string message, std::string remedy = {});
  void error(const Word& word, std::string message, std::string remedy = {}) {
    error(word.place, std::move(message), std::move(remedy));
  }

  NbRow& create(std::string_view table, const Place& place, const std::string& uuid = {});
  std::string new_uuid();
  /// Sets a column to one value, or to nothing if it is empty.
  void put(NbRow& row, std::string_view column, const std::string& value);
  void put(NbRow& row, std::string_view column, Datum value);
  void put_into(NbRow& row, std::string_view column, const std::string& key,
                const std::string& value = {});
  /// The rows that a column names, as far as they exist.
  std::vector<NbRow*> children(const NbRow& row, std::string_view column) const;
  void take_from(NbRow& row, std::string_view column, const std::string& key);

  /// By UUID or name; an error (unless `quiet`) and null if there is none, or more than one.
  NbRow* find(std::string_view table, const Word& word, bool quiet = false);
  /// Also by "@name", an abbreviated UUID, or "." for the only row.
  NbRow* record(const NbTable& table, const Word& word, bool quiet = false);
  const NbTable* table(const Word& word);
  const NbColumn* column(const NbTable& table, const std::string& name, const Place& place);
  /// A UUID for "@name"; the same one for the rest of the line.
  std::string symbol(const std::string& name);
  void resolve_symbols(const NbColumn& column, Datum& value);

  bool is_number(const Word& word, std::int64_t min, std::int64_t max, std::string_view what);
  bool is_choice(const Word& word, std::initializer_list<std::string_view> choices);
  /// "to-lport", "from-lport" or the beginning of one; empty after an error.
  std::string direction(const Word& word);
  /// The switch or port group that has ACLs.
  NbRow* acl_owner(const Call&);

  NbStore& store_;
  scenarios::Diagnostics& diag_;
  std::map<std::string, std::string> symbols_;  // "@name" -> UUID, of this line
  std::map<std::string, Place> pending_;        // "@name" that no create has made yet
  std::uint64_t uuids_ = 0;
  Place place_;  // of the command that runs
  bool failed_ = false;
};

}  // namespace weft::imports
