// Traps: small scenarios written by hand, each for a kind of fault that random scenarios meet
// seldom. weft mutate tries them before the random ones; without a fault they pass.
#pragma once

#include <span>

namespace weft::scenarios::swarm {

struct Trap {
  const char* name;
  const char* yaml;
};

std::span<const Trap> traps();

}  // namespace weft::scenarios::swarm
