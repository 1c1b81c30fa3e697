// schema.json and the readers know the same keys, section by section, in both directions. The
// readers tell which keys they asked for while they read tests/scenarios/good/all-keys.yaml.
#include <fstream>
#include <nlohmann/json.hpp>

#include "scenarios/loader/document.h"
#include "scenarios/loader/load.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

nlohmann::json schema() {
  std::ifstream in(std::string(WEFT_SOURCE_DIR) + "/scenarios/schema.json");
  REQUIRE(in);
  return nlohmann::json::parse(in);
}

std::set<std::string> keys_of(const nlohmann::json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

}  // namespace

TEST_CASE("schema.json has the readers' keys and no others") {
  const std::string file = std::string(WEFT_SOURCE_DIR) + "/tests/scenarios/good/all-keys.yaml";
  const auto text = read_text_file(file);
  REQUIRE(text);
  Vocabulary vocabulary;
  const auto result = load_with_vocabulary(*text, file, {}, &vocabulary);
  for (const auto& error : result.errors) UNSCOPED_INFO(error.text());
  REQUIRE(result.scenario);

  const nlohmann::json whole = schema();
  std::set<std::string> described;
  for (const auto& [section, definition] : whole.at("$defs").items()) {
    if (definition.contains("properties")) described.insert(section);
  }
  described.insert("scenario");
  std::set<std::string> read;
  for (const auto& [section, keys] : vocabulary) {
    INFO(section);
    read.insert(section);
    const nlohmann::json& definition =
        section == "scenario" ? whole : whole.at("$defs").at(section);
    CHECK(keys_of(definition.at("properties")) == std::set<std::string>(keys.begin(), keys.end()));
    CHECK(definition.at("additionalProperties") == false);
  }
  CHECK(described == read);
}

TEST_CASE("everything in schema.json is described") {
  const nlohmann::json whole = schema();
  for (const auto& [section, definition] : whole.at("$defs").items()) {
    INFO(section);
    CHECK(definition.contains("description"));
  }
}
