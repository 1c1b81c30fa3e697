// One random scenario per seed, as YAML text: what a person could have written, so that what swarm
// finds can be handed to `weft run`. The text is kept in pieces (a head, one line per traffic, one
// per event), because a failing scenario is made smaller by leaving pieces out.
//
// Each seed first draws which features it uses at all (swarm testing: Groce et al., ISSTA 2012): a
// scenario with everything on hides faults that need something to be off. The draws come from a
// named stream of the seed, so the same seed makes the same text on every machine.
//
// Conventions that the judge relies on: service ports are below 32768, where no client's port ever
// lies; policy and controller events have times, not phases.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::scenarios::swarm {

struct Draft {
  std::string head;  ///< everything up to the traffic
  std::vector<std::string> traffic;
  std::vector<std::string> events;

  std::string text() const;
};

Draft generate(std::uint64_t seed);

}  // namespace weft::scenarios::swarm
