#include <fmt/format.h>

#include "scenarios/loader/draw.h"
#include "scenarios/loader/ports.h"

namespace weft::scenarios {
namespace {

const char* dot_shape(NodeKind kind) {
  switch (kind) {
    case NodeKind::router:
      return "ellipse";
    case NodeKind::bridge:
      return "box";
    case NodeKind::hub:
      return "diamond";
    case NodeKind::host:
      return "box3d";
    case NodeKind::hypervisor:
      return "component";
  }
  return "box";
}

}  // namespace

std::string draw_dot(const Scenario& scenario) {
  const UnderlaySpec& underlay = scenario.underlay;
  std::vector<std::string> labels;
  for (const NodeSpec& node : underlay.nodes) labels.push_back(node.name);
  for (const TenantSpec& tenant : scenario.tenants) {
    for (const VmSpec& vm : tenant.vms) labels[vm.host] += "\\n" + vm.name;
  }
  std::string out =
      fmt::format("graph \"{}\" {{\n  node [fontname=\"sans-serif\"];\n", scenario.name);
  for (std::size_t n = 0; n < underlay.nodes.size(); ++n) {
    const NodeSpec& node = underlay.nodes[n];
    out += fmt::format("  \"{}\" [shape={}, label=\"{}\"];\n", node.name, dot_shape(node.kind),
                       labels[n]);
  }
  for (const LinkSpec& link : underlay.links) {
    out += fmt::format("  \"{}\" -- \"{}\" [label=\"{}\"];\n", underlay.nodes[link.a].name,
                       underlay.nodes[link.b].name, format_rate(link.rate));
  }
  return out + "}\n";
}

std::string draw_graphml(const Scenario& scenario) {
  // Names hold letters, digits, - and _ only, quantities no markup: nothing needs escaping. The
  // loader's own controllers are left out, or reading the file back would make them twice.
  const UnderlaySpec& underlay = scenario.underlay;
  const auto& control = scenario.overlay.control;
  const auto own = [&](std::size_t n) {
    return control.attach && n >= *control.attach && n < *control.attach + control.controllers;
  };
  std::string out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n";
  for (const char* key : {"kind", "ip", "memory"}) {
    out += fmt::format("  <key id=\"{0}\" for=\"node\" attr.name=\"{0}\" attr.type=\"string\"/>\n",
                       key);
  }
  for (const char* key : {"name", "rate", "delay", "queue", "mtu", "weight"}) {
    out += fmt::format("  <key id=\"{0}\" for=\"edge\" attr.name=\"{0}\" attr.type=\"string\"/>\n",
                       key);
  }
  out += fmt::format("  <graph id=\"{}\" edgedefault=\"undirected\">\n", scenario.name);
  const auto data = [](const char* key, const std::string& value) {
    return fmt::format("<data key=\"{}\">{}</data>", key, value);
  };
  for (std::size_t n = 0; n < underlay.nodes.size(); ++n) {
    const NodeSpec& node = underlay.nodes[n];
    if (own(n)) continue;
    out += fmt::format("    <node id=\"{}\">{}", node.name, data("kind", kind_name(node.kind)));
    if (is_machine(node) && node.address) {
      out += data("ip", fmt::format("{}/{}", node.address->text(), node.prefix_length));
    }
    if (node.memory) out += data("memory", fmt::format("{}B", node.memory->bytes));
    out += "</node>\n";
  }
  for (const LinkSpec& link : underlay.links) {
    if (own(link.a) || own(link.b)) continue;
    out += fmt::format("    <edge source=\"{}\" target=\"{}\">{}{}{}{}{}{}</edge>\n",
                       underlay.nodes[link.a].name, underlay.nodes[link.b].name,
                       data("name", link.name), data("rate", fmt::format("{}bps", link.rate.bps)),
                       data("delay", fmt::format("{}ps", link.delay.ps)),
                       data("queue", fmt::format("{}B", link.queue.bytes)),
                       data("mtu", std::to_string(link.mtu)),
                       data("weight", std::to_string(link.weight)));
  }
  return out + "  </graph>\n</graphml>\n";
}

}  // namespace weft::scenarios
