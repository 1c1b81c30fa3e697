// Policy as flows: the rules of one profile (stages.h), in either direction, tier by tier.
#pragma once

#include <cstdint>
#include <vector>

#include "control/expression.h"
#include "control/flow.h"
#include "control/intent.h"
#include "datapath/match.h"

namespace weft::control {

/// A rule between peers for one profile and some of its sources. `any_source`: no match on the
/// source.
std::vector<Flow> acl_flows(const Acl& acl, std::uint64_t profile, bool any_source,
                            const std::vector<Prefix>& sources, bool any_destination,
                            const std::vector<Prefix>& destinations);

/// A rule by expression, for one profile, of which `matches` are what is left to look at.
std::vector<Flow> match_flows(const Acl& acl, std::uint64_t profile,
                              const std::vector<datapath::Match>& matches);

/// From tier to tier, and behind the last one of each direction what no rule matched.
std::vector<Flow> default_flows(const Tenant& tenant, std::uint64_t profile, int last_tier_to,
                                int last_tier_from);

/// The expression without the condition that the profile stands for already: `outport == @G` (in
/// the other direction `inport == @G`) of a rule that judges the ports of group G.
Expression without_own_scope(const Expression& expression, const Acl& acl);

}  // namespace weft::control
