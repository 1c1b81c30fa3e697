#include "sim/partition.h"

#include <set>

namespace weft::sim {

namespace {

/// Adjacency lists in one array: neighbours of v are list[first[v] .. first[v + 1]).
struct Adjacency {
  std::vector<std::uint32_t> first;
  std::vector<std::uint32_t> list;

  Adjacency(std::size_t count, std::span<const std::pair<std::uint32_t, std::uint32_t>> edges)
      : first(count + 1) {
    for (const auto& [a, b] : edges) ++first[a], ++first[b];
    std::uint32_t sum = 0;
    for (auto& f : first) sum += f, f = sum - f;
    list.resize(sum);
    std::vector<std::uint32_t> at(first.begin(), first.end() - 1);
    for (const auto& [a, b] : edges) list[at[a]++] = b, list[at[b]++] = a;
  }
  std::span<const std::uint32_t> of(std::uint32_t v) const {
    return std::span(list).subspan(first[v], first[v + 1] - first[v]);
  }
};

}  // namespace

std::vector<unsigned> assign_workers(std::span<const double> weights,
                                     std::span<const std::pair<std::uint32_t, std::uint32_t>> edges,
                                     unsigned workers) {
  const auto count = static_cast<std::uint32_t>(weights.size());
  std::vector<unsigned> part(count, 0);
  if (workers <= 1) return part;
  const Adjacency adjacency(count, edges);
  double remaining = 0;
  for (double w : weights) remaining += w;

  // cost[v]: edges from v to LPs that are still free, less its edges into the growing part.
  std::vector<std::int64_t> cost(count);
  std::set<std::pair<std::int64_t, std::uint32_t>> free, frontier;
  std::vector<bool> taken(count);
  for (std::uint32_t v = 0; v < count; ++v) {
    cost[v] = static_cast<std::int64_t>(adjacency.of(v).size());
    free.insert({cost[v], v});
  }
  for (unsigned worker = 0; worker < workers; ++worker) {
    const bool last = worker + 1 == workers;
    const double share = remaining / (workers - worker);
    double have = 0;
    std::uint32_t members = 0;
    while (!free.empty() && (last || free.size() >= workers - worker)) {
      const auto [c, v] = frontier.empty() ? *free.begin() : *frontier.begin();
      // An LP that would overshoot by more than what is missing is left to the next part.
      if (!last && members > 0 && have + weights[v] / 2 > share) break;
      frontier.erase({c, v});
      free.erase({c, v});
      taken[v] = true;
      part[v] = worker;
      have += weights[v];
      ++members;
      for (std::uint32_t n : adjacency.of(v)) {
        if (taken[n]) continue;
        free.erase({cost[n], n});
        frontier.erase({cost[n], n});
        cost[n] -= 2;  // one free neighbour fewer, one in the part more
        free.insert({cost[n], n});
        frontier.insert({cost[n], n});
      }
    }
    remaining -= have;
    // For the next part, edges into this one count neither way.
    std::vector<std::uint32_t> touched;
    for (const auto& [c, v] : frontier) touched.push_back(v);
    frontier.clear();
    for (std::uint32_t v : touched) {
      free.erase({cost[v], v});
      cost[v] = 0;
      for (std::uint32_t n : adjacency.of(v)) cost[v] += taken[n] ? 0 : 1;
      free.insert({cost[v], v});
    }
  }
  return part;
}

}  // namespace weft::sim
