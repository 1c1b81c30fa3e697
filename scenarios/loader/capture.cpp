// Capture points: a port (`hv-1-1.uplink`, `leaf-1.spine-2`), a VM's port (`shop/web-1`), or
// `drops`.
#include <fmt/format.h>

#include "scenarios/loader/ports.h"
#include "scenarios/loader/sections.h"

namespace weft::scenarios {

std::string port_name(const UnderlaySpec& underlay, std::size_t node, std::size_t link) {
  const NodeSpec& n = underlay.nodes[node];
  if (is_machine(n)) return n.name + ".uplink";
  const LinkSpec& l = underlay.links[link];
  if (l.parallel) return n.name + "." + l.name;
  return n.name + "." + underlay.nodes[l.a == node ? l.b : l.a].name;
}

std::string percent_text(Probability p) {
  std::string text = fmt::format("{}.{:07}", p.ppb / 10'000'000, p.ppb % 10'000'000);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text + "%";
}

const char* kind_name(NodeKind kind) {
  switch (kind) {
    case NodeKind::router:
      return "router";
    case NodeKind::bridge:
      return "switch";
    case NodeKind::hub:
      return "hub";
    case NodeKind::host:
      return "host";
    case NodeKind::hypervisor:
      return "hypervisor";
  }
  return "";
}

namespace {

void find_point(Context& context, CaptureSpec& capture, const Place& place) {
  const Scenario& scenario = context.scenario;
  if (capture.point == "drops") return;
  const std::size_t slash = capture.point.find('/');
  if (slash != std::string::npos) {
    const auto tenant = context.tenants.find(capture.point.substr(0, slash));
    if (tenant != context.tenants.end()) {
      const auto vm = context.vms[tenant->second].find(capture.point.substr(slash + 1));
      if (vm != context.vms[tenant->second].end()) {
        capture.vm = EndpointRef{tenant->second, vm->second};
        capture.node = vm_of(scenario, *capture.vm).host;
        return;
      }
    }
  }
  for (std::size_t l = 0; l < scenario.underlay.links.size(); ++l) {
    const LinkSpec& link = scenario.underlay.links[l];
    for (const std::size_t end : {link.a, link.b}) {
      // The name of the node decides quickly for nearly all of them.
      const std::string& node = scenario.underlay.nodes[end].name;
      if (capture.point.compare(0, node.size(), node) != 0) continue;
      const std::string name = port_name(scenario.underlay, end, l);
      const std::string& peer = scenario.underlay.nodes[end == link.a ? link.b : link.a].name;
      if (capture.point != name && capture.point != node + "." + link.name &&
          (link.parallel || capture.point != node + "." + peer)) {
        continue;
      }
      capture.point = name;
      capture.node = end;
      capture.link = l;
      return;
    }
  }
  if (!context.underlay_whole || !context.tenants_whole) return;
  std::vector<std::string> points{"drops"};
  for (std::size_t l = 0; l < scenario.underlay.links.size(); ++l) {
    points.push_back(port_name(scenario.underlay, scenario.underlay.links[l].a, l));
    points.push_back(port_name(scenario.underlay, scenario.underlay.links[l].b, l));
  }
  for (auto& name : vm_names(scenario)) points.push_back(std::move(name));
  context.diag.error(place, fmt::format("there is no capture point `{}`", capture.point),
                     suggest(capture.point, points) + "; `weft ls FILE ports` lists the ports");
}

}  // namespace

void read_captures(Context& context, const YamlNode* section) {
  if (section == nullptr || !is_list(context.diag, *section, "capture")) return;
  NameTable seen;
  for (const YamlNode* item : section->items) {
    CaptureSpec capture;
    capture.place = item->place;
    Place place = item->place;
    bool good = false;
    if (item->kind == YamlNode::Kind::map) {
      Reader reader(context.diag, *item, "capture", "capture");
      reader.require("point");
      good = reader.read("point", capture.point);
      place = reader.place("point");
      reader.read("filter", capture.filter);
      reader.finish();
    } else {
      good = convert(context.diag, *item, capture.point);
    }
    if (!good) continue;
    find_point(context, capture, place);
    const auto [found, fresh] = seen.emplace(capture.point, context.scenario.captures.size());
    if (!fresh) {
      context.diag.error(place, fmt::format("`{}` is captured twice", capture.point),
                         fmt::format("the other is in line {}; join the filters with `or`",
                                     context.scenario.captures[found->second].place.line));
    }
    context.scenario.captures.push_back(std::move(capture));
  }
}

}  // namespace weft::scenarios
