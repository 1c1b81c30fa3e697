// learn(): the rule that a packet teaches. Values are taken from the flow key as it is at the
// action; what they were taken from has been looked at, so a cached decision teaches the same rule.
//
// The rule is added when the packet's decision is carried out, not while it is made: the pass that
// teaches does not see it yet (as in Open vSwitch, where a pass sees the tables of one version).
// Teaching a rule that is there already restarts its hard timeout and changes nothing else.
#pragma once

#include <memory>

#include "datapath/flow_key.h"
#include "datapath/rule.h"

namespace weft::datapath {

/// Adds the bits that the rule was made from to `looked_at`.
std::shared_ptr<const Rule> learned_rule(const Learn& learn, const FlowKey& key,
                                         FlowMask& looked_at);

/// The bits of a range, in the low bits.
Ip6 read_range(const FlowKey& key, const FieldRange& range);
/// Marks the bits of a range as looked at.
void look_at_range(FlowMask& mask, const FieldRange& range);

}  // namespace weft::datapath
