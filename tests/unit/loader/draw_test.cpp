// Pictures: GraphML is read back to the same graph; SVG and DOT name everything that is there.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <tuple>

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

void same_network(const Scenario& s, const Scenario& back) {
  REQUIRE(back.underlay.nodes.size() == s.underlay.nodes.size());
  REQUIRE(back.underlay.links.size() == s.underlay.links.size());
  for (std::size_t n = 0; n < s.underlay.nodes.size(); ++n) {
    const NodeSpec &a = s.underlay.nodes[n], &b = back.underlay.nodes[n];
    INFO(a.name);
    CHECK(a.name == b.name);
    CHECK(a.kind == b.kind);
    CHECK(a.address == b.address);
    CHECK(a.prefix_length == b.prefix_length);
    CHECK(a.gateway == b.gateway);
    CHECK(a.mac == b.mac);
    CHECK(a.memory == b.memory);
    std::vector<std::tuple<std::size_t, std::string, int>> x, y;
    for (const auto& i : a.interfaces)
      if (i.link < s.underlay.links.size())
        x.emplace_back(i.link, i.address.text(), i.prefix_length);
    for (const auto& i : b.interfaces) y.emplace_back(i.link, i.address.text(), i.prefix_length);
    CHECK(x == y);
  }
  for (std::size_t l = 0; l < s.underlay.links.size(); ++l) {
    const LinkSpec &a = s.underlay.links[l], &b = back.underlay.links[l];
    INFO(a.name);
    CHECK(a.name == b.name);
    CHECK(a.a == b.a);
    CHECK(a.b == b.b);
    CHECK(a.rate == b.rate);
    CHECK(a.delay == b.delay);
    CHECK(a.queue == b.queue);
    CHECK(a.mtu == b.mtu);
    CHECK(a.weight == b.weight);
    CHECK(a.framing == b.framing);
    CHECK(a.loss == b.loss);
    CHECK(a.corruption == b.corruption);
    CHECK(a.corruption_undetected == b.corruption_undetected);
    CHECK(a.parallel == b.parallel);
    REQUIRE(a.ecn.has_value() == b.ecn.has_value());
    if (a.ecn) CHECK(a.ecn->min == b.ecn->min);
    if (a.ecn) CHECK(a.ecn->max == b.ecn->max);
  }
}

}  // namespace

TEST_CASE("GraphML that we write is the graph that we read") {
  const std::string folder = std::string(WEFT_BINARY_DIR) + "/draw_test";
  std::filesystem::create_directories(folder);
  // One with everything that a link can have, and parallel links.
  std::ofstream(folder + "/links.yaml") <<
      R"(underlay:
  leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 2}
  host_links: {loss: 0.1%, corruption: 1e-9, corruption_undetected: true, framing: 20, weight: 3}
  fabric_links: {rate: 40Gbps, delay: 1234ps, queue: 3MB, ecn: {min: 100KB, max: 400KB}, mtu: 1600}
  hypervisors: {memory: 64GiB}
  nodes: {edge: {kind: router}, far: {kind: router, ip: 10.9.9.9/32}, h: {kind: host, ip: 10.1.0.5/16, mac: "02:00:00:00:00:99"}}
  links: [{between: [edge, spine-1], name: one, corruption: 1%}, {between: [edge, spine-1], name: two}, edge--h, far--edge]
)";
  for (const char* name :
       {"scenarios/library/three-tier-migration", "scenarios/library/lesson-1-hub",
        "scenarios/library/lesson-3-router", "scenarios/library/control-in-band",
        "scenarios/library/ipv6-underlay", ""}) {
    INFO(name);
    const Scenario s = load(*name == '\0' ? folder + "/links.yaml"
                                          : std::string(WEFT_SOURCE_DIR) + "/" + name + ".yaml");
    std::ofstream(folder + "/graph.graphml") << draw_graphml(s);
    std::ofstream(folder + "/back.yaml")
        << (s.underlay.ipv6 ? "underlay: {family: ipv6, graphml: graph.graphml}\n"
                            : "underlay: {graphml: graph.graphml}\n");
    Scenario back = load(folder + "/back.yaml");
    Scenario whole = s;
    if (const auto& attach = s.overlay.control.attach) {  // controllers are no part of the drawing
      whole.underlay.nodes.resize(*attach);
      std::erase_if(whole.underlay.links,
                    [&](const LinkSpec& l) { return l.a >= *attach || l.b >= *attach; });
    }
    same_network(whole, back);
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
