// The same script run by ovn-nbctl on a real ovsdb-server and by weft in memory leaves the same
// database behind - as the server's log, as a backup, and compacted.
#include <algorithm>

#include "scenarios/import/nbctl.h"
#include "scenarios/import/nbctl_words.h"
#include "scenarios/import/ovsdb_file.h"
#include "tests/catch.h"
#include "tests/unit/import/canonical.h"
#include "tests/unit/import/ovn_peer.h"

using namespace weft;
using namespace weft::imports;

namespace {

std::string all(const std::vector<Error>& errors) {
  std::string out;
  for (const Error& e : errors) out += e.text() + "\n";
  return out;
}

/// A row as text, with what it refers to in place of UUIDs.
std::string text_of(const NbStore& store, const NbRow& row) {
  std::string out = row.table->name + "(";
  for (const auto& [name, value] : row.columns) {
    const NbColumn& column = *row.table->column(name);
    std::vector<std::string> parts;
    for (const auto& [key, mapped] : value) {
      const NbRow* target = column.target.empty() ? nullptr : store.find(column.target, key);
      parts.push_back((target == nullptr ? key : text_of(store, *target)) + "=" + mapped);
    }
    std::sort(parts.begin(), parts.end());
    out += name + ":";
    for (const std::string& part : parts) out += part + ",";
  }
  return out + ")";
}

std::vector<std::string> contents(const NbStore& store) {
  std::vector<std::string> out;
  for (const auto& [name, table] : nb_tables()) {
    if (name == "NB_Global") continue;  // ovn-nbctl makes its row, with status in it
    for (const auto& [uuid, row] : store.rows(name)) out.push_back(text_of(store, *row));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<test::fs::path> scripts() {
  std::vector<test::fs::path> out;
  for (const char* folder : {"scenarios/library/ovn", "tests/data/import"})
    for (const auto& entry : test::fs::directory_iterator(test::fs::path(WEFT_SOURCE_DIR) / folder))
      if (entry.path().extension() == ".nbctl") out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

void compare(const std::string& what, const std::string& bytes, const NbStore& ours) {
  INFO(what);
  scenarios::Diagnostics diag;
  const auto real = read_ovsdb(bytes, what, diag);
  INFO(all(diag.errors));
  REQUIRE(real);
  const auto theirs = contents(real->store), mine = contents(ours);
  std::vector<std::string> missing, extra;
  std::set_difference(theirs.begin(), theirs.end(), mine.begin(), mine.end(),
                      std::back_inserter(missing));
  std::set_difference(mine.begin(), mine.end(), theirs.begin(), theirs.end(),
                      std::back_inserter(extra));
  CHECK(missing == std::vector<std::string>());
  CHECK(extra == std::vector<std::string>());
  CHECK(theirs.size() == mine.size());
}

}  // namespace

TEST_CASE("scripts leave the database that ovn-nbctl leaves") {
  if (const std::string missing = test::OvnPeer::missing(); !missing.empty()) {
    WARN("skipped: " << missing);
    return;
  }
  REQUIRE(scripts().size() >= 4);
  for (const test::fs::path& path : scripts()) {
    INFO(path.string());
    const std::string script = test::read_bytes(path);
    NbStore ours;
    scenarios::Diagnostics diag;
    run_nbctl(script, path.filename().string(), ours, diag);
    INFO(all(diag.errors));
    REQUIRE(diag.count() == 0);

    test::OvnPeer peer;
    for (const Line& line : split_script(script, path.filename().string(), diag)) {
      std::vector<std::string> words;
      for (const Word& word : line) words.push_back(word.text);
      if (words.front() == "ovn-nbctl") words.erase(words.begin());
      INFO("line " << line.front().place.line);
      CHECK(peer.nbctl(words) == "");
    }
    compare("the log", peer.file(), ours);
    // And so do the networks that they mean, where weft takes them.
    const auto mine = import_nbctl(script, "s");
    if (path.parent_path().filename() == "ovn") REQUIRE(mine.network);
    if (mine.network) {
      const auto theirs = import_ovn_database(peer.file(), "s");
      INFO(all(theirs.errors));
      REQUIRE(theirs.network);
      CHECK((test::canonical_rows(*mine.network) == test::canonical_rows(*theirs.network)));
      CHECK(test::canonical_origins(*mine.network) == test::canonical_origins(*theirs.network));
      CHECK(mine.network->placement.ports == theirs.network->placement.ports);
    }
    compare("a backup", peer.backup(), ours);
    peer.compact();
    compare("the compacted log", peer.file(), ours);
  }
}
