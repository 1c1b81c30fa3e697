// OVSDB's log format and the text of ovn-nbctl scripts, with what is refused and where.
#include <fmt/format.h>

#include "scenarios/import/nbctl.h"
#include "scenarios/import/nbctl_words.h"
#include "scenarios/import/ovsdb_file.h"
#include "scenarios/import/sha1.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::imports;

namespace {

std::string record(const std::string& json) {
  return fmt::format("OVSDB JSON {} {}\n{}\n", json.size() + 1, sha1_hex(json + "\n"), json);
}

const char* const kSchema =
    R"({"name":"OVN_Northbound","version":"7.0.0","tables":{)"
    R"("Logical_Switch":{"columns":{"name":{"type":"string"},)"
    R"("ports":{"type":{"key":{"type":"uuid","refTable":"Logical_Switch_Port"},"min":0,"max":"unlimited"}},)"
    R"("other_config":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}},)"
    R"("novelty":{"type":{"key":"string","min":0,"max":1}}}},)"
    R"("Logical_Switch_Port":{"columns":{"name":{"type":"string"},)"
    R"("enabled":{"type":{"key":"boolean","min":0,"max":1}},)"
    R"("addresses":{"type":{"key":"string","min":0,"max":"unlimited"}}}},)"
    R"("Novelty":{"columns":{"name":{"type":"string"}}}}})";
const std::string kSwitch = "aaaaaaaa-0000-4000-8000-000000000001";
const std::string kPort = "bbbbbbbb-0000-4000-8000-000000000001";
const std::string kFirst =
    record(R"({"_date":1,"Logical_Switch":{")" + kSwitch + R"(":{"name":"sw","ports":["uuid",")" +
           kPort + R"("],"other_config":["map",[["a","1"],["b","2"]]]}},"Logical_Switch_Port":{")" +
           kPort + R"(":{"name":"p","addresses":["set",["x","y"]],"enabled":false}}})");

struct Read {
  std::optional<OvsdbContents> contents;
  scenarios::Diagnostics diag;
  std::string errors() const {
    std::string out;
    for (const Error& e : diag.errors) out += e.text() + "\n";
    return out;
  }
};
Read read(const std::string& bytes, bool up_to_damage = false) {
  Read r;
  r.contents = read_ovsdb(bytes, "nb.db", r.diag, {up_to_damage});
  return r;
}

}  // namespace

TEST_CASE("SHA-1 of FIPS 180-4's examples") {
  CHECK(sha1_hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(sha1_hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK(sha1_hex(std::string(1'000'000, 'a')) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST_CASE("a log becomes rows: whole values, differences, deletions") {
  const std::string whole =
      record(R"({"Logical_Switch":{")" + kSwitch + R"(":{"other_config":["map",[["c","3"]]]}}})");
  const std::string diff = record(
      R"({"_is_diff":true,"Logical_Switch":{")" + kSwitch +
      R"(":{"other_config":["map",[["a","1"],["b","5"],["c","3"]]]}},"Logical_Switch_Port":{")" +
      kPort + R"(":{"addresses":["set",["y","z"]],"enabled":["set",[]]}}})");
  {
    const Read r = read(record(kSchema) + kFirst);
    INFO(r.errors());
    REQUIRE(r.contents);
    CHECK(r.contents->version == "7.0.0");
    CHECK(r.contents->records == 2);
    const NbRow& sw = *r.contents->store.find("Logical_Switch", kSwitch);
    CHECK(sw.text("name") == "sw");
    CHECK(sw.get("other_config") == Datum{{"a", "1"}, {"b", "2"}});
    const NbRow& port = *r.contents->store.find("Logical_Switch_Port", kPort);
    CHECK(port.get("enabled") == Datum{{"false", ""}});
    CHECK(port.title() == "Logical_Switch_Port 'p'");
    CHECK(port.place.line == 4);
  }
  {
    const Read r = read(record(kSchema) + kFirst + whole);
    REQUIRE(r.contents);
    CHECK(r.contents->store.find("Logical_Switch", kSwitch)->get("other_config") ==
          Datum{{"c", "3"}});
  }
  {
    const Read r = read(record(kSchema) + kFirst + diff);
    REQUIRE(r.contents);
    CHECK(r.contents->store.find("Logical_Switch", kSwitch)->get("other_config") ==
          Datum{{"b", "5"}, {"c", "3"}});
    const NbRow& port = *r.contents->store.find("Logical_Switch_Port", kPort);
    CHECK(port.get("addresses") == Datum{{"x", ""}, {"z", ""}});
    CHECK(!port.has("enabled"));
  }
  {
    const std::string gone = record(R"({"Logical_Switch":{")" + kSwitch +
                                    R"(":null},"Logical_Switch_Port":{")" + kPort + R"(":null}})");
    const Read r = read(record(kSchema) + kFirst + gone);
    REQUIRE(r.contents);
    CHECK(r.contents->store.rows("Logical_Switch").empty());
    CHECK(r.contents->store.rows("Logical_Switch_Port").empty());
  }
}

TEST_CASE("files that are no usable database say where and why") {
  const std::string good = record(kSchema) + kFirst;
  const auto refused = [](const std::string& bytes) {
    const Read r = read(bytes);
    CHECK(!r.contents);
    REQUIRE(r.diag.errors.size() == 1);
    return r.errors();
  };
  /// All of the parts.
  const auto says = [](const std::string& text, std::initializer_list<std::string> parts) {
    INFO(text);
    for (const std::string& part : parts) CHECK(text.find(part) != std::string::npos);
  };
  says(refused(good.substr(0, good.size() - 7)),
       {fmt::format("damaged at offset {}: the log is cut short", record(kSchema).size()),
        "nb.db:3:1", "--up-to-damage"});
  says(refused(good + "OVSDB JSON 5"), {"cut short in a record's header"});
  says(refused(good + "garbage\n"), {"no header of a record", "nb.db:5:1"});
  std::string flipped = good;
  flipped[flipped.size() - 20] ^= 1;
  says(refused(flipped), {"but its header says"});
  says(refused("OVSDB CLUSTER 12 " + std::string(40, 'a') + "\n{}\n"),
       {"clustered", "cluster-to-standalone"});
  says(refused(record(R"({"name":"OVN_Southbound","tables":{}})")),
       {"'OVN_Southbound', not OVN_Northbound"});
  says(refused(record("[1]")), {"no JSON object"});
  says(refused(good + record(R"({"Nowhere":{}})")), {"which its schema has not"});
  says(refused(good + record(R"({"Logical_Switch":{")" + kSwitch + R"(":{"name":5}}})")),
       {"Logical_Switch 'sw', column name: the value is number"});
  says(refused(good + record(R"({"Logical_Switch":{")" + kPort + R"(":null}})")),
       {"is deleted, but it is not there"});
  says(refused(good + record(R"({"Novelty":{")" + kPort + R"(":{"name":"x"}}})")),
       {"table Novelty has 1 rows, and weft does not know it"});
  says(refused(good + record(R"({"Logical_Switch":{")" + kSwitch + R"(":{"novelty":"x"}}})")),
       {"row aaaaaaaa: weft does not know column novelty"});
  says(refused(good + record(R"({"Logical_Switch":{"aaaaaaaa-0000-4000-8000-000000000002":)"
                             R"({"ports":["uuid","cccccccc-0000-4000-8000-000000000001"]}}})")),
       {"refers to Logical_Switch_Port cccccccc"});

  const Read before = read(good + "garbage\n", true);
  REQUIRE(before.contents);
  REQUIRE(before.contents->damage);
  says(before.contents->damage->text(), {"8 bytes from there on were left out"});
  CHECK(before.contents->store.rows("Logical_Switch").size() == 1);
}

TEST_CASE("a column that weft does not know is no matter while it is empty") {
  const std::string there = record(R"({"Logical_Switch":{")" + kSwitch + R"(":{"novelty":"x"}}})");
  const std::string gone =
      record(R"({"_is_diff":true,"Logical_Switch":{")" + kSwitch + R"(":{"novelty":["set",[]]}}})");
  CHECK(!read(record(kSchema) + kFirst + there).contents);
  CHECK(read(record(kSchema) + kFirst + there + gone).contents);
}

TEST_CASE("lines of a script become words as sh would make them") {
  struct Case {
    const char* text;
    std::vector<std::string> words;  // "|" ends a line
  };
  const Case cases[] = {
      {"ls-add a # comment\n\n# more\nls-add b", {"ls-add", "a", "|", "ls-add", "b"}},
      {"a 'b c' \"d e\" f\\ g", {"a", "b c", "d e", "f g"}},
      {"a \"x\\\"y\\$z\\n\" '$w'\"$\"", {}},
      {"a \"x\\\"y\\$z\\n\" '$w'", {"a", "x\"y$z\\n", "$w"}},
      {"a \\\n  b", {"a", "b"}},
      {"a b#c '' \"\"", {"a", "b#c", "", ""}},
      {"a 'two\nlines'", {"a", "two\nlines"}},
      {"a\r\nb\r\n", {"a", "|", "b"}},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    scenarios::Diagnostics diag;
    std::vector<std::string> words;
    for (const Line& line : split_script(c.text, "s", diag)) {
      if (!words.empty()) words.emplace_back("|");
      for (const Word& word : line) words.push_back(word.text);
    }
    CHECK(words == c.words);
    CHECK((diag.count() > 0) == c.words.empty());
  }
}

TEST_CASE("scripts with mistakes say which word is wrong") {
  struct Case {
    const char* text;
    int line, column;
    const char* message;
  };
  const Case cases[] = {
      {"ls-add $NAME", 1, 8, "'$' outside of quotes"},
      {"ls-add a && ls-add b", 1, 10, "weft runs no shell"},
      {"ls-add 'a", 1, 8, "never closed"},
      {"ls-ad a", 1, 1, "no command 'ls-ad'"},
      {"ls-add a\nls-add a", 2, 8, "there is a Logical_Switch 'a' already"},
      {"ls-add a b", 1, 1, "ls-add takes 0 to 1 arguments, not 2"},
      {"lsp-add nowhere p", 1, 9, "there is no Logical_Switch 'nowhere'"},
      {"--nonsense ls-add a", 1, 1, "ls-add has no option --nonsense"},
      {"ls-add a -- lr-route-add --ecmp r 1.0.0.0/8 1.1.1.1", 1, 26, "stands after its command"},
      {"ls-add a -- acl-add a up 1 ip drop", 1, 23, "neither to-lport nor from-lport"},
      {"ls-add a -- acl-add a to-lport 40000 ip drop", 1, 32, "'40000' is no priority"},
      {"ls-add a -- acl-add a to-lport 1 ip maybe", 1, 37, "'maybe' is none of allow"},
      {"create Nothing a=b", 1, 8, "no table 'Nothing'"},
      {"create L a=b", 1, 8, "several tables begin with 'L'"},
      {"create Address_Set nam=x colour=y", 1, 26, "Address_Set has no column 'colour'"},
      {"create Address_Set name=x addresses=fd00::1", 1, 27, "quote it"},
      {"create ACL priority=1", 1, 1, "vanishes at once"},
      {"--id=@a create ACL priority=1", 1, 1, "@a vanishes at once"},
      {"ls-add a\nadd Logical_Switch a acls @x", 2, 1, "@x is used, but nothing"},
      {"ls-add a\nset Logical_Switch a name", 2, 22, "'name' sets nothing"},
      {"ls-add a\nset Logical_Switch a name:x=y", 2, 22, "is no map"},
      {"ls-add a\nset Logical_Switch a other_config=x", 2, 22, "a = and its value are missing"},
      {"lr-add r\nlr-route-add r here 10.0.0.1", 2, 16, "'here' is no prefix"},
      {"lr-add r\nlrp-add r p 00:00:00:00:00 10.0.0.1/24", 2, 13, "is no MAC"},
      {"lr-add r\nlr-nat-add r snat 1.1.1.1 10.0.0.0/8 p", 2, 1, "come together"},
      {"fwd-group-add g a 1.1.1.1 00:00:00:00:00:01 p", 1, 1, "weft has nothing like it"},
      {"ls-add a\nls-add b\nlsp-add a p\n--may-exist lsp-add b p", 4, 23, "on another switch"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    NbStore store;
    scenarios::Diagnostics diag;
    run_nbctl(c.text, "s.nbctl", store, diag);
    REQUIRE(!diag.errors.empty());
    const Error& e = diag.errors.front();
    INFO(e.text());
    CHECK(e.place == Place{"s.nbctl", c.line, c.column});
    CHECK(e.message.find(c.message) != std::string::npos);
    CHECK(diag.errors.size() <= 2);
  }
}

TEST_CASE("a text is known to be a script by its first command") {
  CHECK(looks_like_nbctl("#!/bin/sh\n# x\n\novn-nbctl show\n"));
  CHECK(looks_like_nbctl("--may-exist ls-add a"));
  CHECK(looks_like_nbctl("/usr/bin/ovn-nbctl --db=x ls-add a"));
  CHECK(!looks_like_nbctl("name: a-scenario\nseed: 7\n"));
  CHECK(!looks_like_nbctl(""));
  CHECK(!looks_like_nbctl("apiVersion: v1\n"));
}
