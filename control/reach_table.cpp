#include "control/reach_table.h"

#include <algorithm>
#include <set>

namespace weft::control {
namespace {

/// A part of a unit whose ports are in one class.
struct Piece {
  std::size_t port_class = 0;
  std::vector<std::string> ports;
};

std::vector<std::string> ports_of(const std::vector<Piece>& pieces,
                                  const std::set<std::size_t>& chosen) {
  std::vector<std::string> out;
  if (chosen.size() == pieces.size()) return out;
  for (const std::size_t i : chosen)
    out.insert(out.end(), pieces[i].ports.begin(), pieces[i].ports.end());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::map<std::string, std::vector<std::string>> reach_units(const Intent& intent) {
  std::map<std::string, std::vector<std::string>> out;
  std::set<std::string> grouped;
  for (const auto& [name, group] : intent.groups()) {
    if (group.members.empty()) continue;
    out["group " + name].assign(group.members.begin(), group.members.end());
    grouped.insert(group.members.begin(), group.members.end());
  }
  for (const auto& [name, port] : intent.ports())
    if (!grouped.contains(name)) out["network " + port.network].push_back(name);
  return out;
}

std::vector<ReachRow> reach_table(const Intent& intent, const Verification& v) {
  std::map<std::string, std::size_t> class_of;
  for (std::size_t k = 0; k < v.classes.size(); ++k)
    for (const std::string& port : v.classes[k].ports) class_of[port] = k;

  std::map<std::string, std::vector<Piece>> units;
  std::map<std::size_t, std::set<std::pair<std::string, std::size_t>>> where;  // class -> pieces
  for (const auto& [name, ports] : reach_units(intent)) {
    std::map<std::size_t, std::vector<std::string>> by_class;
    for (const std::string& port : ports) by_class[class_of.at(port)].push_back(port);
    auto& pieces = units[name];
    for (auto& [k, members] : by_class) {
      where[k].insert({name, pieces.size()});
      pieces.push_back({k, std::move(members)});
    }
  }

  std::map<Verification::Pair, std::pair<ReachSummary, std::string>> said;
  for (const auto& [pair, reach] : v.reach) {
    const std::string &a = v.classes[pair.first].ports[0], &b = v.classes[pair.second].ports[0];
    ReachSummary summary = ReachSummary::of(reach);
    if (summary.is_empty()) continue;
    std::string text = reach_text(intent, summary, a, b);
    said[pair] = {std::move(summary), std::move(text)};
  }

  // What holds from which piece to which, for each pair of units that have any.
  std::map<std::pair<std::string, std::string>,
           std::map<std::string, std::map<std::size_t, std::set<std::size_t>>>>
      cells;  // -> text -> from piece -> to pieces
  std::map<std::string, const ReachSummary*> summaries;
  for (const auto& [pair, what] : said) {
    summaries[what.second] = &what.first;
    for (const auto& [from, i] : where[pair.first])
      for (const auto& [to, j] : where[pair.second]) {
        const Piece &a = units[from][i], &b = units[to][j];
        if (a.ports.size() == 1 && a.ports == b.ports) continue;  // to itself
        cells[{from, to}][what.second][i].insert(j);
      }
  }

  std::vector<ReachRow> out;
  for (const auto& [names, texts] : cells)
    for (const auto& [text, by_from] : texts) {
      const auto &from = units[names.first], &to = units[names.second];
      // A lone port says nothing of itself: it does not speak against "all".
      const auto completed = [&](std::size_t i, std::set<std::size_t> js) {
        for (std::size_t j = 0; j < to.size(); ++j)
          if (from[i].ports.size() == 1 && from[i].ports == to[j].ports) js.insert(j);
        return js;
      };
      std::map<std::set<std::size_t>, std::set<std::size_t>> by_to;  // to pieces -> from pieces
      for (const auto& [i, js] : by_from) by_to[completed(i, js)].insert(i);
      for (const auto& [js, is] : by_to)
        out.push_back({names.first, names.second, ports_of(from, is), ports_of(to, js),
                       *summaries[text], text});
    }
  return out;
}

}  // namespace weft::control
