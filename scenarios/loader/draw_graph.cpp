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

namespace {

/// The address is one of its interfaces', and will be again.
bool is_interface(const NodeSpec& node) {
  return !node.interfaces.empty() && node.address == node.interfaces.front().address;
}

}  // namespace

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
  for (const char* key : {"kind", "ip", "gateway", "mac", "memory", "interfaces"}) {
    out += fmt::format("  <key id=\"{0}\" for=\"node\" attr.name=\"{0}\" attr.type=\"string\"/>\n",
                       key);
  }
  for (const char* key : {"name", "rate", "delay", "queue", "mtu", "weight", "framing", "loss",
                          "corruption", "corruption_undetected", "ecn_min", "ecn_max"}) {
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
    if (node.address && !is_interface(node)) {
      out += data("ip", fmt::format("{}/{}", node.address->text(), node.prefix_length));
    }
    if (node.gateway) out += data("gateway", node.gateway->text());
    if (node.mac != Mac{}) out += data("mac", node.mac.text());
    std::string interfaces;
    for (const InterfaceSpec& i : node.interfaces) {
      const LinkSpec& link = underlay.links[i.link];
      if (own(link.a) || own(link.b)) continue;
      interfaces += fmt::format("{}{}={}/{}", interfaces.empty() ? "" : " ", link.name,
                                i.address.text(), i.prefix_length);
    }
    if (!interfaces.empty()) out += data("interfaces", interfaces);
    if (node.memory) out += data("memory", fmt::format("{}B", node.memory->bytes));
    out += "</node>\n";
  }
  for (const LinkSpec& link : underlay.links) {
    if (own(link.a) || own(link.b)) continue;
    out += fmt::format("    <edge source=\"{}\" target=\"{}\">", underlay.nodes[link.a].name,
                       underlay.nodes[link.b].name);
    out += data("name", link.name) + data("rate", fmt::format("{}bps", link.rate.bps)) +
           data("delay", fmt::format("{}ps", link.delay.ps)) +
           data("queue", fmt::format("{}B", link.queue.bytes)) +
           data("mtu", std::to_string(link.mtu)) + data("weight", std::to_string(link.weight)) +
           data("framing", std::to_string(link.framing));
    if (link.loss.ppb > 0) out += data("loss", percent_text(link.loss));
    if (link.corruption.ppb > 0) out += data("corruption", percent_text(link.corruption));
    if (link.corruption_undetected) out += data("corruption_undetected", "true");
    if (link.ecn) {
      out += data("ecn_min", fmt::format("{}B", link.ecn->min.bytes)) +
             data("ecn_max", fmt::format("{}B", link.ecn->max.bytes));
    }
    out += "</edge>\n";
  }
  return out + "  </graph>\n</graphml>\n";
}

}  // namespace weft::scenarios
