// Pictures: GraphML is read back to the same graph; SVG and DOT name everything that is there.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "scenarios/loader/draw.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::scenarios;

namespace {

Scenario load(const std::string& path) {
  auto result = load_scenario(path);
  for (const auto& error : result.errors) UNSCOPED_INFO(error.text());
  REQUIRE(result.scenario);
  return std::move(*result.scenario);
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("GraphML that we write is the graph that we read") {
  const std::string folder = std::string(WEFT_BINARY_DIR) + "/draw_test";
  std::filesystem::create_directories(folder);
  for (const char* name : {"three-tier-migration", "lesson-1-hub", "lesson-3-router"}) {
    INFO(name);
    const Scenario s = load(std::string(WEFT_SOURCE_DIR) + "/scenarios/library/" + name + ".yaml");
    std::ofstream(folder + "/graph.graphml") << draw_graphml(s);
    std::ofstream(folder + "/back.yaml") << "underlay: {graphml: graph.graphml}\n";
    const Scenario back = load(folder + "/back.yaml");
    REQUIRE(back.underlay.nodes.size() == s.underlay.nodes.size());
    REQUIRE(back.underlay.links.size() == s.underlay.links.size());
    for (std::size_t n = 0; n < s.underlay.nodes.size(); ++n) {
      const NodeSpec &a = s.underlay.nodes[n], &b = back.underlay.nodes[n];
      CHECK(a.name == b.name);
      CHECK(a.kind == b.kind);
      CHECK((a.kind == NodeKind::router || a.address == b.address));
    }
    for (std::size_t l = 0; l < s.underlay.links.size(); ++l) {
      const LinkSpec &a = s.underlay.links[l], &b = back.underlay.links[l];
      CHECK(a.name == b.name);
      CHECK(a.a == b.a);
      CHECK(a.b == b.b);
      CHECK(a.rate == b.rate);
      CHECK(a.delay == b.delay);
      CHECK(a.queue == b.queue);
    }
  }
  std::filesystem::remove_all(folder);
}

TEST_CASE("the SVG has a box for each node and VM and a line for each link") {
  const Scenario s =
      load(std::string(WEFT_SOURCE_DIR) + "/scenarios/library/three-tier-migration.yaml");
  const std::string svg = draw_svg(s);
  CHECK(svg == draw_svg(s));
  CHECK(svg.rfind("<svg ", 0) == 0);
  CHECK(count(svg, "<line ") + count(svg, "<path ") == s.underlay.links.size());
  for (const auto& node : s.underlay.nodes) CHECK(count(svg, ">" + node.name + "</text>") == 1);
  for (const auto& vm : s.tenants[0].vms) CHECK(count(svg, "<title>" + vm.name + " ") == 1);
  const std::string dot = draw_dot(s);
  CHECK(count(dot, " -- ") == s.underlay.links.size());
  CHECK(count(dot, "shape=") == s.underlay.nodes.size());
}

TEST_CASE("pictures of graphs without machines, and of many") {
  for (const char* text :
       {"underlay: {nodes: {a: {kind: router}, b: {kind: router}, c: {kind: hub}}, links: [a--b, "
        "b--c]}\n",
        "underlay: {nodes: {alone: {kind: router}}}\n",
        "underlay: {leaf_spine: {spines: 4, leaves: 32, hosts_per_leaf: 16}}\n"}) {
    const auto result = load_scenario_text(text, "t.yaml");
    REQUIRE(result.scenario);
    const std::string svg = draw_svg(*result.scenario);
    CHECK(count(svg, "<g><title>") == result.scenario->underlay.nodes.size());
  }
}

TEST_CASE("GraphML that is not whole is refused, with the place") {
  const std::string folder = std::string(WEFT_BINARY_DIR) + "/graphml_test";
  std::filesystem::create_directories(folder);
  struct Row {
    const char* xml;
    const char* message;
    int line;
  };
  const Row rows[] = {
      {"", "no nodes", 1},
      {"<html></html>", "not GraphML", 1},
      {"<graphml>\n<graph>\n<node id='a'>", "`<node>` is open", 3},
      {"<graphml>\n<node id='a'></graph>", "closes nothing", 2},
      {"<graphml>\n<node></node></graphml>", "without `id`", 2},
      {"<graphml>\n<node id='a'/>\n<edge source='a'/></graphml>", "`source` and `target`", 3},
      {"<graphml>\n<node id='a'/>\n<edge source='a' target='b'/></graphml>", "no node `b`", 3},
      {"<graphml>\n<node id='a'><data key='kind'>hots</data></node></graphml>",
       "kind of node `hots`", 2},
      {"<graphml>\n<node id='a'><data key='kinds'>host</data></node></graphml>",
       "unknown key `kinds`", 2},
      {"<graphml>\n<node id='a'/><node id='a'/></graphml>", "two nodes `a`", 2},
      {"<graphml>\n<node id=a/></graphml>", "without quotes", 2},
      {"<graphml>\n<node id='a", "ends within a tag", 2},
      {"<!DOCTYPE x [<!ENTITY a 'b'>]>\n<graphml/>", "document type", 1},
      {"<graphml>\n<!-- never", "comment without end", 2},
  };
  std::ofstream(folder + "/s.yaml") << "underlay: {graphml: g.graphml}\n";
  for (const Row& row : rows) {
    INFO(row.xml);
    std::ofstream(folder + "/g.graphml") << row.xml;
    const auto result = load_scenario(folder + "/s.yaml");
    REQUIRE(!result.errors.empty());
    INFO(result.errors[0].text());
    CHECK(result.errors[0].message.find(row.message) != std::string::npos);
    CHECK(result.errors[0].place.line == row.line);
    CHECK(result.errors[0].place.file == folder + "/g.graphml");
  }
  std::filesystem::remove_all(folder);
}
