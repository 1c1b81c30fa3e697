// Loading: text -> tree -> overrides -> sections in the order in which they refer to each other.
#include "scenarios/loader/load.h"

#include <fmt/format.h>

#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/// The name of a scenario that gives none: its file's, in letters that a name may have.
std::string stem_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::size_t dot = name.rfind('.');
  if (dot != std::string::npos && dot > 0) name.resize(dot);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '_') c = '-';
  }
  return name;
}

void read_scenario(Context& context, const YamlNode& root) {
  Scenario& scenario = context.scenario;
  if (!is_map(context.diag, root, "a scenario")) return;
  Reader reader(context.diag, root, "scenario", "the scenario");
  if (reader.read("name", scenario.name))
    is_name(context.diag, reader.place("name"), scenario.name, "scenario");
  reader.read("description", scenario.description);
  reader.read_integer("seed", scenario.seed, 0, UINT64_MAX);
  reader.read_positive("duration", scenario.duration);
  const YamlNode* underlay = reader.take("underlay");
  const YamlNode* overlay = reader.take("overlay");
  if (const YamlNode* tcp = reader.take("tcp")) {
    Reader keys(context.diag, *tcp, "tcp", "tcp");
    keys.read("ecn", scenario.tcp.ecn);
    keys.finish();
  }
  const YamlNode* tenants = reader.take("tenants");
  const YamlNode* traffic = reader.take("traffic");
  const YamlNode* events = reader.take("events");
  const YamlNode* capture = reader.take("capture");
  const YamlNode* expect = reader.take("expect");
  const YamlNode* never = reader.take("never");
  reader.finish();

  read_underlay(context, underlay, root.place);
  read_overlay(context, overlay);
  if (context.underlay_whole) assign_underlay_addresses(context);
  read_tenants(context, tenants);
  read_traffic(context, traffic);
  read_events(context, events);
  read_captures(context, capture);
  read_expectations(context, expect);
  read_never(context, never);
  if (context.diag.count() == 0) look_over(context);
}

}  // namespace

LoadResult load_with_vocabulary(const std::string& text, const std::string& file,
                                const std::vector<std::string>& set, Vocabulary* vocabulary) {
  LoadResult result;
  Context context;
  context.scenario.file = file;
  context.scenario.text = text;
  context.scenario.name = stem_of(file);
  context.folder = folder_of(file);
  auto document = Document::parse(text, file, context.diag.errors);
  if (document != nullptr) {
    for (const std::string& assignment : set) {
      if (auto done = document->set(assignment); !done) context.diag.errors.push_back(done.error());
    }
    if (!context.diag.errors.empty()) {
      // Duplicate keys, bad overrides: what follows would be about something else.
      result.errors = std::move(context.diag.errors);
      return result;
    }
    read_scenario(context, document->root());
  }
  if (vocabulary != nullptr) {
    for (auto& [section, keys] : context.diag.vocabulary) (*vocabulary)[section].merge(keys);
  }
  result.errors = std::move(context.diag.errors);
  if (context.diag.count() > result.errors.size() && !result.errors.empty()) {
    result.errors.push_back(
        {fmt::format("{} more errors", context.diag.count() - result.errors.size()),
         {file, 0, 0},
         ""});
  }
  if (!result.errors.empty()) return result;
  context.scenario.warnings = std::move(context.diag.warnings);
  result.scenario = std::move(context.scenario);
  return result;
}

LoadResult load_scenario_text(const std::string& text, const std::string& name,
                              const std::vector<std::string>& set) {
  return load_with_vocabulary(text, name, set, nullptr);
}

LoadResult load_scenario(const std::string& path, const std::vector<std::string>& set) {
  auto text = read_text_file(path);
  if (!text) {
    LoadResult result;
    result.errors.push_back(text.error());
    return result;
  }
  return load_with_vocabulary(*text, path, set, nullptr);
}

}  // namespace weft::scenarios
