#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "scenarios/loader/draw.h"
#include "scenarios/loader/ports.h"

namespace weft::scenarios {
namespace {

constexpr int kMargin = 24, kTitle = 56, kSwitchHeight = 30, kLayerGap = 96, kVm = 11, kVmGap = 3;

/// Okabe and Ito's colours, which colour-blind people can tell apart; then around again.
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#8c6d31", "#5a5a5a"};

struct Box {
  int x = 0, y = 0, width = 0, height = 0;  ///< x: the middle
};

class Picture {
 public:
  explicit Picture(const Scenario& scenario)
      : scenario_(scenario), underlay_(scenario.underlay), boxes_(underlay_.nodes.size()) {
    vms_.resize(underlay_.nodes.size());
    neighbours_.resize(underlay_.nodes.size());
    for (std::size_t t = 0; t < scenario.tenants.size(); ++t) {
      const TenantSpec& tenant = scenario.tenants[t];
      for (std::size_t v = 0; v < tenant.vms.size(); ++v)
        vms_[tenant.vms[v].host].emplace_back(t, v);
    }
    for (const LinkSpec& link : underlay_.links) {
      neighbours_[link.a].push_back(link.b);
      neighbours_[link.b].push_back(link.a);
    }
    layer();
    place();
  }

  std::string text() const {
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
        "{1}\" "
        "font-family=\"system-ui, sans-serif\" font-size=\"11\" text-anchor=\"middle\">\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n"
        "<text x=\"{2}\" y=\"30\" font-size=\"17\" font-weight=\"600\" text-anchor=\"start\" "
        "fill=\"#1a1a1a\">{3}</text>\n",
        width_, height_, kMargin, scenario_.name);
    out += "<g fill=\"none\" stroke=\"#9aa5b1\" stroke-width=\"1.2\">\n";
    for (const LinkSpec& link : underlay_.links) out += draw_link(link);
    out += "</g>\n";
    for (std::size_t n = 0; n < boxes_.size(); ++n) out += draw_node(n);
    out += draw_legend();
    return out + "</svg>\n";
  }

 private:
  /// Distance of each switch from the nearest machine; machines are layer 0.
  void layer() {
    layer_.assign(underlay_.nodes.size(), -1);
    std::deque<std::size_t> queue;
    for (std::size_t n = 0; n < layer_.size(); ++n) {
      if (!is_machine(underlay_.nodes[n])) continue;
      layer_[n] = 0;
      queue.push_back(n);
    }
    int deepest = 0;
    for (; !queue.empty(); queue.pop_front()) {
      const std::size_t n = queue.front();
      for (const std::size_t other : neighbours_[n]) {
        if (layer_[other] >= 0) continue;
        layer_[other] = layer_[n] + 1;
        deepest = std::max(deepest, layer_[other]);
        queue.push_back(other);
      }
    }
    for (int& l : layer_) {
      if (l < 0) l = deepest + 1;  // no machine anywhere near
    }
    rows_.resize(static_cast<std::size_t>(*std::max_element(layer_.begin(), layer_.end())) + 1);
    for (std::size_t n = 0; n < layer_.size(); ++n)
      rows_[static_cast<std::size_t>(layer_[n])].push_back(n);
  }

  void place() {
    // Machines next to the others of their switch, which are in the order of the file.
    std::vector<std::size_t>& machines = rows_[0];
    const auto switch_of = [&](std::size_t n) {
      std::size_t best = SIZE_MAX;
      for (const std::size_t other : neighbours_[n]) best = std::min(best, other);
      return best;
    };
    std::stable_sort(machines.begin(), machines.end(),
                     [&](std::size_t a, std::size_t b) { return switch_of(a) < switch_of(b); });
    const std::size_t count = machines.size();
    box_width_ = count <= 16 ? 76 : count <= 64 ? 40 : 16;
    const int gap = count <= 16 ? 14 : count <= 64 ? 8 : 4;
    std::size_t widest = 0;
    for (std::size_t r = 1; r < rows_.size(); ++r) widest = std::max(widest, rows_[r].size());
    const int machine_width = static_cast<int>(count) * (box_width_ + gap);
    const int inner =
        std::max({480, machine_width, static_cast<int>(std::min<std::size_t>(widest, 64)) * 96});
    width_ = inner + 2 * kMargin;
    const int top = kTitle + kMargin;
    const int bottom = top + static_cast<int>(rows_.size() - 1) * kLayerGap;

    int tallest = 0;
    int x = kMargin + (inner - machine_width) / 2 + (box_width_ + gap) / 2;
    for (const std::size_t n : machines) {
      const int height = 24 + vm_rows(n) * (kVm + kVmGap) + (vms_[n].empty() ? 6 : 10);
      boxes_[n] = {x, bottom, box_width_, height};
      tallest = std::max(tallest, height);
      x += box_width_ + gap;
    }
    for (std::size_t r = 1; r < rows_.size(); ++r) {
      std::vector<std::size_t>& row = rows_[r];
      // Over the middle of what they are connected to below, then spread evenly.
      std::vector<std::pair<std::int64_t, std::size_t>> order;
      for (const std::size_t n : row) {
        std::int64_t sum = 0, below = 0;
        for (const std::size_t other : neighbours_[n]) {
          if (layer_[other] >= static_cast<int>(r)) continue;
          sum += boxes_[other].x;
          ++below;
        }
        order.emplace_back(below == 0 ? 0 : sum / below, n);
      }
      std::sort(order.begin(), order.end());
      const auto slots = static_cast<int>(row.size());
      const int width = std::min(84, std::max(8, inner / std::max(1, slots) - 8));
      for (int k = 0; k < slots; ++k) {
        boxes_[order[static_cast<std::size_t>(k)].second] = {
            kMargin + inner * (2 * k + 1) / (2 * slots), bottom - static_cast<int>(r) * kLayerGap,
            width, kSwitchHeight};
      }
    }
    height_ = bottom + tallest + kMargin + (scenario_.tenants.empty() ? 0 : 30);
  }

  int vms_per_row() const { return std::max(1, (box_width_ - 8) / (kVm + kVmGap)); }
  static constexpr std::size_t kVmRows = 5;
  int vm_rows(std::size_t n) const {
    const auto per_row = static_cast<std::size_t>(vms_per_row());
    return static_cast<int>(std::min(kVmRows, (vms_[n].size() + per_row - 1) / per_row));
  }

  std::string draw_link(const LinkSpec& link) const {
    const Box &a = boxes_[link.a], &b = boxes_[link.b];
    const std::string title =
        fmt::format("{}: {}, {}", link.name, format_rate(link.rate), format_duration(link.delay));
    if (a.y == b.y) {
      // Neighbours of one layer: an arc above them.
      const int rise = std::min(60, 16 + std::abs(a.x - b.x) / 8);
      return fmt::format("<path d=\"M{} {} Q{} {} {} {}\"><title>{}</title></path>\n", a.x, a.y,
                         (a.x + b.x) / 2, a.y - rise, b.x, b.y, title);
    }
    const Box& upper = a.y < b.y ? a : b;
    const Box& lower = a.y < b.y ? b : a;
    return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"><title>{}</title></line>\n",
                       upper.x, upper.y + upper.height, lower.x, lower.y, title);
  }

  std::string draw_node(std::size_t n) const {
    const NodeSpec& node = underlay_.nodes[n];
    const Box& box = boxes_[n];
    const bool machine = is_machine(node);
    const char* fill = node.kind == NodeKind::router   ? "#e8eef7"
                       : node.kind == NodeKind::bridge ? "#e6f4ea"
                       : node.kind == NodeKind::hub    ? "#fdf0e3"
                                                       : "#fafafa";
    std::string out = fmt::format(
        "<g><title>{}{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\" "
        "fill=\"{}\" "
        "stroke=\"#52606d\"/>\n",
        node.name, node.address ? " " + node.address->text() : "", box.x - box.width / 2, box.y,
        box.width, box.height, machine ? 4 : 8, fill);
    // A name that does not fit is left to the title (the tool tip).
    if (static_cast<int>(node.name.size()) * 6 <= box.width) {
      out += fmt::format("<text x=\"{}\" y=\"{}\" fill=\"#1a1a1a\">{}</text>\n", box.x,
                         box.y + (machine ? 16 : 19), node.name);
    }
    out += draw_vms(n);
    return out + "</g>\n";
  }

  std::string draw_vms(std::size_t n) const {
    std::string out;
    const auto per_row = static_cast<std::size_t>(vms_per_row());
    const std::size_t shown = std::min(vms_[n].size(), per_row * kVmRows);
    const Box& box = boxes_[n];
    for (std::size_t i = 0; i < shown; ++i) {
      const auto [t, v] = vms_[n][i];
      const std::size_t in_row = std::min(per_row, shown - i / per_row * per_row);
      const int left = box.x - static_cast<int>(in_row) * (kVm + kVmGap) / 2 + kVmGap / 2;
      const bool rest = i + 1 == shown && shown < vms_[n].size();
      out += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" "
          "fill=\"{}\"><title>{}</title></rect>\n",
          left + static_cast<int>(i % per_row) * (kVm + kVmGap),
          box.y + 24 + static_cast<int>(i / per_row) * (kVm + kVmGap), kVm, kVm,
          rest ? "#c0c0c0" : colour(t),
          rest ? fmt::format("and {} more", vms_[n].size() - shown + 1)
               : fmt::format("{} {}", scenario_.tenants[t].vms[v].name,
                             scenario_.tenants[t].vms[v].addresses.empty()
                                 ? ""
                                 : scenario_.tenants[t].vms[v].addresses.front().text()));
    }
    return out;
  }

  std::string draw_legend() const {
    constexpr std::size_t kShown = 12;
    std::string out;
    int x = kMargin;
    for (std::size_t t = 0; t < std::min(kShown, scenario_.tenants.size()); ++t) {
      const std::string& name = scenario_.tenants[t].name;
      out += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" fill=\"{}\"/>"
          "<text x=\"{}\" y=\"{}\" text-anchor=\"start\" fill=\"#1a1a1a\">{}</text>\n",
          x, height_ - kMargin - 4, kVm, kVm, colour(t), x + kVm + 5, height_ - kMargin + 5, name);
      x += kVm + 24 + static_cast<int>(name.size()) * 7;
    }
    return out;
  }

  static const char* colour(std::size_t tenant) { return kColours[tenant % std::size(kColours)]; }

  const Scenario& scenario_;
  const UnderlaySpec& underlay_;
  std::vector<Box> boxes_;
  std::vector<std::vector<std::pair<std::size_t, std::size_t>>> vms_;  ///< by node: tenant, VM
  std::vector<std::vector<std::size_t>> neighbours_, rows_;
  std::vector<int> layer_;
  int width_ = 0, height_ = 0, box_width_ = 0;
};

}  // namespace

std::string draw_svg(const Scenario& scenario) { return Picture(scenario).text(); }

}  // namespace weft::scenarios
