// docs/import.md says of every column, option and command what the code says. With WEFT_WRITE_DOCS
// set, its tables are written anew.
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "scenarios/import/nb_schema.h"
#include "scenarios/import/nbctl.h"
#include "tests/catch.h"
#include "tests/unit/import/ovn_peer.h"

using namespace weft;
using namespace weft::imports;

namespace {

std::string columns_table() {
  std::string out = "\n| table | column or option | | why |\n| --- | --- | --- | --- |\n";
  const auto add = [&](std::string_view table, const std::string& what, Use use,
                       std::string_view why, std::string_view neutral) {
    const std::string unless =
        neutral.empty() ? std::string() : fmt::format(" (`{}` is not)", neutral);
    out += fmt::format("| {} | {} | {}{} | {} |\n", table, what, name_of(use), unless, why);
  };
  for (const auto& [name, table] : nb_tables()) {
    if (table.use != Use::used) {
      add(name, "all", table.use, table.why, "");
      continue;
    }
    for (const auto& [column_name, column] : table.columns) {
      if (column_name == "external_ids") continue;
      if (column.use == Use::listed) {
        for (const NbOption& o : nb_options())
          if (o.table == name && o.column == column_name)
            add(name, fmt::format("`{}:{}`", column_name, o.key), o.use, o.why, o.neutral);
      } else if (column.use != Use::used) {
        add(name, fmt::format("`{}`", column_name), column.use, column.why, "");
      }
    }
  }
  return out + "\n";
}

std::string commands_list() {
  std::string out =
      "\nCommands that read or that are about the database itself do nothing; "
      "`fwd-group-add` and `static-mac-binding-add` are refused.\n\n";
  std::string line;
  for (const std::string& command : nbctl_commands()) {
    if (line.size() + command.size() > 94) {
      out += line + "\n";
      line.clear();
    }
    line += fmt::format("{}`{}`", line.empty() ? "" : " ", command);
  }
  return out + line + "\n\n";
}

/// What stands between "<!-- NAME: ..." and "<!-- end -->".
std::pair<std::size_t, std::size_t> section(const std::string& doc, const std::string& name) {
  const std::size_t head = doc.find("<!-- " + name + ":");
  REQUIRE(head != std::string::npos);
  const std::size_t from = doc.find('\n', head) + 1;
  const std::size_t to = doc.find("<!-- end -->", from);
  REQUIRE(to != std::string::npos);
  return {from, to - from};
}

}  // namespace

TEST_CASE("the tables of docs/import.md are those of the code") {
  const std::string path = std::string(WEFT_SOURCE_DIR) + "/docs/import.md";
  std::string doc = test::read_bytes(path);
  for (const auto& [name, text] :
       {std::pair{"columns", columns_table()}, std::pair{"commands", commands_list()}}) {
    const auto [from, length] = section(doc, name);
    if (std::getenv("WEFT_WRITE_DOCS") != nullptr) doc.replace(from, length, text);
    const auto [at, size] = section(doc, name);
    CHECK(doc.substr(at, size) == text);
  }
  if (std::getenv("WEFT_WRITE_DOCS") != nullptr) std::ofstream(path, std::ios::binary) << doc;
}

TEST_CASE("every option belongs to a column that lists its keys") {
  for (const NbOption& o : nb_options()) {
    INFO(o.table << " " << o.column << " " << o.key);
    const NbTable* table = nb_table(o.table);
    REQUIRE(table != nullptr);
    REQUIRE(table->column(o.column) != nullptr);
    CHECK(table->column(o.column)->use == Use::listed);
    CHECK((o.use == Use::used) == o.why.empty());
  }
  for (const auto& [name, table] : nb_tables())
    for (const auto& [column_name, column] : table.columns)
      if (!column.target.empty()) CHECK(nb_table(column.target) != nullptr);
}
