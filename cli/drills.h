// Drills: a few minutes in the life of one switch, one connection table, one tunnel endpoint, each
// with what must come out. `weft mutate` runs them with a fault of datapath/faults.h planted,
// before it tries whole simulations: they reach what no scenario does (NAT, STT) and say at once
// what broke. Without a fault they pass.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft::cli {

struct DrillFailure {
  std::string drill;
  std::string what;
};

/// The first drill that fails with this fault planted (empty: none); nothing if all pass, and for a
/// fault that is not the datapath's.
std::optional<DrillFailure> run_drills(std::string_view fault);

}  // namespace weft::cli
