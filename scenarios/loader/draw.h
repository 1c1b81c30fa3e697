// Pictures of a scenario's topology: SVG drawn here, DOT for Graphviz, GraphML for other tools (and
// for `underlay: {graphml: ...}`, which reads it back).
//
// The SVG is layered: machines at the bottom, each with its VMs as small squares in the colour of
// their tenant; above them the switches by their distance from the nearest machine (leaves, then
// spines); links between switches of one layer are arcs. Same scenario, same bytes. Names hold
// letters, digits, - and _ only, so that no format needs escaping.
#pragma once

#include <string>

#include "scenarios/spec.h"

namespace weft::scenarios {

std::string draw_svg(const Scenario& scenario);
std::string draw_dot(const Scenario& scenario);
std::string draw_graphml(const Scenario& scenario);

}  // namespace weft::scenarios
