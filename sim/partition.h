// Which worker runs which logical process. Grows one part after the other from a corner of the
// graph of channels, always adding the LP that is tied most closely to the part and least to the
// rest (greedy graph growing, Karypis and Kumar 1998), until the part has its share of the weight.
// A pure function of its input: ties go to the lower id. The partition never changes a result, only
// how long it takes.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace weft::sim {

/// The worker of each LP. `weights` >= 0, one per LP; `edges` are pairs of LPs that exchange
/// messages, in any direction and order, repeated if they have several channels; workers >= 1.
std::vector<unsigned> assign_workers(std::span<const double> weights,
                                     std::span<const std::pair<std::uint32_t, std::uint32_t>> edges,
                                     unsigned workers);

}  // namespace weft::sim
