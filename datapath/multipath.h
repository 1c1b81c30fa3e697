// multipath(fields, basis, algorithm, n_links, arg, dst): writes the number of one of n links,
// chosen by a hash of the flow, to a register; rules then act on that. Fields and algorithms are
// those of ovs-actions(7) that treat both directions of a connection alike, and eth_src; `arg` is
// 0. The bits of the hash are not those of Open vSwitch, which promises nothing about them.
#pragma once

#include <cstdint>
#include <string>

#include "datapath/text_piece.h"

namespace weft::datapath {

/// What is inside the parentheses.
Result<Action> parse_multipath(const Piece& inside);
/// The whole action.
std::string format_multipath(const Action& action);

/// 0 .. links - 1 for this flow; adds what was hashed to `looked_at`.
std::uint32_t multipath_link(const Multipath& multipath, std::uint32_t links, const FlowKey& key,
                             FlowMask& looked_at);

}  // namespace weft::datapath
