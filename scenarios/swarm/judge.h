// Judge: compares what was seen (watch.h) and what came out of a run with the specification, by the
// policy oracle (tests/oracle/policy_oracle.h).
//
//   every delivery   sender and receiver are of one tenant, joined, addressed rightly, and a
//                    version of the policy that may have been in force allows it
//   every refusal    such a version denies it, by the rule that the switch named
//   liveness         while nothing is broken, what is always allowed arrives and what is always
//                    denied is seen to be refused
//
// When a policy changes, old and new may both be in force for a while: until the change has had
// time to travel to the hypervisors, which takes longer if the controller or a hypervisor is down
// or messages are lost. A change that meets a stopped controller never takes place. ICMP errors
// and neighbour discovery are judged by who may reach whom alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/results.h"
#include "scenarios/spec.h"
#include "scenarios/swarm/watch.h"

namespace weft::scenarios::swarm {

struct Verdicts {
  std::optional<std::string> complaint;  ///< the first, with the packet
  std::uint64_t deliveries = 0, refusals = 0, traffics_alive = 0;
};

Verdicts judge_run(const Scenario& scenario, const std::vector<Sight>& sights,
                   const analysis::Results& results);

}  // namespace weft::scenarios::swarm
