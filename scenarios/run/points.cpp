#include "scenarios/run/points.h"

#include "base/names.h"
#include "scenarios/loader/ports.h"

namespace weft::scenarios {
namespace {

/// Calls f(point) for every point.
template <class F>
void each_point(const Scenario& s, F&& f) {
  const auto& u = s.underlay;
  for (std::size_t l = 0; l < u.links.size(); ++l)
    for (const std::size_t end : {u.links[l].a, u.links[l].b}) {
      CaptureSpec c;
      c.point = port_name(u, end, l);
      c.node = end;
      c.link = l;
      f(std::move(c));
    }
  for (std::size_t t = 0; t < s.tenants.size(); ++t)
    for (std::size_t v = 0; v < s.tenants[t].vms.size(); ++v) {
      CaptureSpec c;
      c.point = s.tenants[t].vms[v].name;
      c.node = s.tenants[t].vms[v].host;
      c.vm = EndpointRef{t, v};
      f(std::move(c));
    }
  CaptureSpec drops;
  drops.point = "drops";
  f(std::move(drops));
}

}  // namespace

std::vector<std::string> capture_points(const Scenario& scenario) {
  std::vector<std::string> names;
  each_point(scenario, [&](CaptureSpec c) { names.push_back(std::move(c.point)); });
  return names;
}

Result<CaptureSpec> parse_capture_option(const Scenario& scenario, const std::string& text) {
  const auto equals = text.find('=');
  const std::string point = text.substr(0, equals);
  CaptureSpec found;
  each_point(scenario, [&](CaptureSpec c) {
    if (c.point == point) found = std::move(c);
  });
  if (found.point.empty()) {
    const std::string near = nearest_name(point, capture_points(scenario));
    return Error{
        "--capture names no point of this scenario: '" + point + "'",
        {},
        near.empty() ? "weft ls FILE ports lists the points" : "did you mean '" + near + "'?"};
  }
  if (equals != std::string::npos) found.filter = text.substr(equals + 1);
  return found;
}

}  // namespace weft::scenarios
