// Every file of tests/scenarios/bad is refused with the error that its first line tells:
//   # expect-error: LINE:COLUMN: part of the message
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scenarios/loader/document.h"
#include "scenarios/spec.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(std::string(WEFT_SOURCE_DIR) + folder)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string all(const std::vector<Error>& errors) {
  std::string out;
  for (const auto& e : errors) out += e.text() + "\n";
  return out;
}

}  // namespace

TEST_CASE("every bad scenario is refused where and as its first line says") {
  const auto files = files_in("/tests/scenarios/bad");
  REQUIRE(files.size() > 100);
  for (const std::string& file : files) {
    INFO(file);
    std::ifstream in(file);
    std::string first;
    std::getline(in, first);
    int line = -1, column = -1, length = 0;
    REQUIRE(std::sscanf(first.c_str(), "# expect-error: %d:%d: %n", &line, &column, &length) == 2);
    const std::string message = first.substr(static_cast<std::size_t>(length));

    const auto result = load_scenario(file);
    CHECK(!result.scenario);
    INFO(all(result.errors));
    const bool found = std::any_of(result.errors.begin(), result.errors.end(), [&](const Error& e) {
      return e.place.line == line && e.place.column == column && e.place.file == file &&
             e.message.find(message) != std::string::npos;
    });
    CHECK(found);
    // One cause, few words: an error does not drag a crowd behind it.
    CHECK(result.errors.size() <= 3);
  }
}

TEST_CASE("every good scenario and every library scenario loads") {
  for (const char* folder : {"/tests/scenarios/good", "/scenarios/library"}) {
    const auto files = files_in(folder);
    REQUIRE(files.size() >= 3);
    for (const std::string& file : files) {
      INFO(file);
      const auto result = load_scenario(file);
      INFO(all(result.errors));
      CHECK(result.scenario);
    }
  }
}

TEST_CASE("library scenarios begin with what to look for, and expect something") {
  for (const std::string& file : files_in("/scenarios/library")) {
    INFO(file);
    const auto result = load_scenario(file);
    REQUIRE(result.scenario);
    CHECK(result.scenario->warnings.empty());
    CHECK(result.scenario->name == fs::path(file).stem().string());
    CHECK(result.scenario->text.substr(0, 2) == "# ");
    CHECK(result.scenario->text.find("# Look for:") != std::string::npos);
    CHECK(!result.scenario->expect.empty());
  }
}

TEST_CASE("the library's example is the design's") {
  // The whole of it stands in the manual too; what it may not lose is checked here.
  const auto result =
      load_scenario(std::string(WEFT_SOURCE_DIR) + "/scenarios/library/three-tier-migration.yaml");
  REQUIRE(result.scenario);
  CHECK(result.scenario->text.find(
            "{after: move-1.round-2, fail: {link: leaf-1--spine-1, for: 500ms}}") !=
        std::string::npos);
}

TEST_CASE("files that cannot be read") {
  auto result = load_scenario("/no/such/file.yaml");
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].message.find("No such file") != std::string::npos);
  result = load_scenario(WEFT_SOURCE_DIR);
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].message.find("directory") != std::string::npos);
}

TEST_CASE("a scenario that ends anywhere is loaded or refused, never worse") {
  for (const std::string& file : files_in("/scenarios/library")) {
    INFO(file);
    const auto text = read_text_file(file);
    REQUIRE(text);
    for (std::size_t n = 0; n < text->size(); n += 7) {
      const auto result = load_scenario_text(text->substr(0, n), "cut.yaml");
      CHECK(result.scenario.has_value() == result.errors.empty());
    }
  }
}

TEST_CASE("a scenario with any one byte changed is loaded or refused, never worse") {
  const auto text =
      read_text_file(std::string(WEFT_SOURCE_DIR) + "/scenarios/library/three-tier-migration.yaml");
  REQUIRE(text);
  const std::size_t body = text->find("name:");
  for (std::size_t n = body; n < text->size(); n += 3) {
    for (const char c : {'\0', '{', ']', '-', '9', '*', '"', '\t', '\x80'}) {
      std::string changed = *text;
      changed[n] = c;
      const auto result = load_scenario_text(changed, "changed.yaml");
      CHECK(result.scenario.has_value() == result.errors.empty());
    }
  }
}

TEST_CASE("all errors are told, up to a limit") {
  std::string text =
      "underlay: {leaf_spine: {spines: 1, leaves: 1, hosts_per_leaf: 1}}\ntraffic:\n";
  for (int i = 0; i < 80; ++i) text += "  - {from: nobody, to: nobody, pong: {}}\n";
  const auto result = load_scenario_text(text, "many.yaml");
  CHECK(result.errors.size() == 51);
  CHECK(result.errors.back().message.find("more errors") != std::string::npos);
}
