// The picture of the fabric: layers from top to bottom, links coloured by load, VMs below their
// hypervisor, a dashed arrow for each that moved.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "analysis/figures.h"
#include "analysis/report_parts.h"
#include "analysis/text.h"

namespace weft::analysis::report {

namespace {

constexpr double kWidth = 1000, kRow = 120, kNodeHeight = 26;
/// Above this many nodes hosts are drawn as a count below their switch.
constexpr std::size_t kMostNodes = 300;

bool is_end(const NodeInfo& n) { return n.kind == "host" || n.kind == "hypervisor"; }

struct Spot {
  double x = 0, y = 0, width = 0;
  bool drawn = false;
};

class Picture {
 public:
  explicit Picture(const Results& results) : r_(results), spots_(results.nodes.size()) {}

  std::string svg() {
    if (r_.nodes.empty()) return "<p class=\"dim\">no topology</p>";
    collapsed_ = r_.nodes.size() > kMostNodes;
    place();
    links();
    nodes();
    vms();
    return legend() +
           fmt::format("<svg viewBox=\"0 0 {} {:.0f}\" role=\"img\"><title>Topology</title>",
                       kWidth, height_) +
           out_ + "</svg>";
  }

 private:
  int layer_of(const NodeInfo& n) const {
    if (n.layer >= 0) return n.layer;
    return n.kind == "spine" ? 0 : is_end(n) ? 2 : 1;
  }

  /// Even rows in node order. The layers that exist are counted from the top; controllers, which
  /// are on no path, are left out.
  void place() {
    std::map<int, std::vector<std::size_t>> rows;
    for (std::size_t i = 0; i < r_.nodes.size(); ++i) {
      const NodeInfo& n = r_.nodes[i];
      if (n.kind == "controller" || (collapsed_ && is_end(n))) continue;
      rows[layer_of(n)].push_back(i);
    }
    double y = 30;
    for (const auto& [layer, row] : rows) {
      const double space = kWidth / static_cast<double>(row.size());
      for (std::size_t k = 0; k < row.size(); ++k) {
        Spot& s = spots_[row[k]];
        s.x = space * (static_cast<double>(k) + 0.5);
        s.y = y;
        s.width = std::min(space * 0.86, 96.0);
        s.drawn = true;
      }
      y += kRow;
    }
    height_ = y - kRow + 50;
  }

  const char* level(std::uint64_t ppm) const {
    return ppm >= 600'000   ? "u4"
           : ppm >= 300'000 ? "u3"
           : ppm >= 100'000 ? "u2"
           : ppm > 0        ? "u1"
                            : "u0";
  }

  void links() {
    const bool many = r_.links.size() > 80;
    for (std::size_t i = 0; i < r_.links.size(); ++i) {
      const LinkResult& l = r_.links[i];
      const Spot& a = spots_[l.a];
      const Spot& b = spots_[l.b];
      if (!a.drawn || !b.drawn) continue;
      std::string title = l.name + ", " + human_rate(l.rate_bps);
      std::uint64_t most = 0;
      for (int d = 0; d < 2; ++d) {
        const LinkLoad load = load_of(r_, i, d);
        const LinkDirection& w = l.directions[static_cast<std::size_t>(d)];
        most = std::max(most, load.mean_ppm);
        title += fmt::format("\n{}: {} mean, {} peak, {} dropped", direction_text(r_, load),
                             share_text(load.mean_ppm, true), human_ppm(load.peak_ppm),
                             human_figure(w.drops));
      }
      // Nodes of one layer are joined by an arc, so that the line does not run through others.
      const double arc = a.y == b.y ? 40 : 0;
      out_ += fmt::format(
          "<path class=\"link {}\" fill=\"none\" stroke-width=\"{}\" "
          "d=\"M{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}\"><title>{}</title></path>",
          level(most), many ? 1.6 : 3, a.x, a.y, (a.x + b.x) / 2, (a.y + b.y) / 2 - arc, b.x, b.y,
          escape(title));
    }
  }

  void nodes() {
    std::vector<std::size_t> hosts(r_.nodes.size(), 0);
    for (const LinkResult& l : r_.links) {
      if (is_end(r_.nodes[l.a])) ++hosts[l.b];
      if (is_end(r_.nodes[l.b])) ++hosts[l.a];
    }
    for (std::size_t i = 0; i < r_.nodes.size(); ++i) {
      const Spot& s = spots_[i];
      if (!s.drawn) continue;
      const NodeInfo& n = r_.nodes[i];
      out_ += fmt::format(
          "<rect class=\"node{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" "
          "rx=\"5\">"
          "<title>{}</title></rect>",
          is_end(n) ? "" : " sw", s.x - s.width / 2, s.y - kNodeHeight / 2, s.width, kNodeHeight,
          escape(n.address.empty() ? fmt::format("{} ({})", n.name, n.kind)
                                   : fmt::format("{} ({}) {}", n.name, n.kind, n.address)));
      const auto letters = static_cast<std::size_t>(s.width / 6.6);
      if (letters >= 4) {
        out_ += fmt::format(
            "<text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" "
            "pointer-events=\"none\">{}</text>",
            s.x, s.y + 4, escape(fit(n.name, letters)));
      }
      if (collapsed_ && hosts[i] > 0 && letters >= 4) {
        out_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", s.x,
                            s.y + 30, counted(hosts[i], "host"));
      }
    }
  }

  void vms() {
    if (collapsed_) return;
    std::vector<std::size_t> filled(r_.nodes.size(), 0);
    const auto slot = [&](std::size_t node) {
      const Spot& s = spots_[node];
      const auto per_row = std::max<std::size_t>(static_cast<std::size_t>(s.width / 13), 1);
      const std::size_t k = filled[node]++;
      const std::size_t row = k / per_row;
      const double x = s.x - s.width / 2 + 13.0 * static_cast<double>(k % per_row);
      const double y = s.y + kNodeHeight / 2 + 6 + 13.0 * static_cast<double>(row);
      height_ = std::max(height_, y + 24);
      return std::pair(x, y);
    };
    for (const VmInfo& vm : r_.vms) {
      if (vm.last_node >= spots_.size() || !spots_[vm.last_node].drawn) continue;
      const bool moved = vm.first_node != vm.last_node;
      const auto [x, y] = slot(vm.last_node);
      const std::string title =
          fmt::format("{} on {}{}\n{}", vm.name, r_.nodes[vm.last_node].name,
                      moved ? ", moved from " + r_.nodes[vm.first_node].name : "",
                      fmt::join(vm.addresses, ", "));
      out_ += fmt::format(
          "<rect class=\"vm{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"11\" height=\"11\" rx=\"2\">"
          "<title>{}</title></rect>",
          moved ? " moved" : "", x, y, escape(title));
      if (!moved || vm.first_node >= spots_.size() || !spots_[vm.first_node].drawn) continue;
      const auto [gx, gy] = slot(vm.first_node);
      out_ += fmt::format(
          "<rect class=\"ghost\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"11\" height=\"11\" rx=\"2\">"
          "<title>{} was here</title></rect>",
          gx, gy, escape(vm.name));
      const double low = std::max(y, gy) + 34;
      height_ = std::max(height_, low + 6);
      out_ += fmt::format(
          "<path class=\"move\" d=\"M{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} "
          "{:.1f}\"><title>{}</title></path>",
          gx + 5.5, gy + 12, (x + gx) / 2 + 5.5, low + 14, x + 5.5, y + 12, escape(title));
    }
  }

  std::string legend() const {
    std::string html = "<div class=\"legend\">";
    const std::pair<const char*, const char*> levels[] = {{"u0", "idle"},
                                                          {"u1", "below 10 %"},
                                                          {"u2", "10 – 30 %"},
                                                          {"u3", "30 – 60 %"},
                                                          {"u4", "60 % and more"}};
    for (const auto& [key, text] : levels) {
      html += fmt::format("<span><i class=\"k{}\"></i>{}</span>", key, text);
    }
    if (!r_.vms.empty() && !collapsed_) {
      html += "<span><i class=\"k3\"></i>VM</span><span><i class=\"k2\"></i>VM that moved</span>";
    }
    return html + "</div>";
  }

  const Results& r_;
  std::vector<Spot> spots_;
  std::string out_;
  double height_ = 0;
  bool collapsed_ = false;
};

}  // namespace

std::string topology(const Results& results) { return Picture(results).svg(); }

}  // namespace weft::analysis::report
