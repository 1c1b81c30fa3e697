// Faults planted on purpose in the models, for the command that shows that the checks catch them
// (weft mutate) and for nothing else. All off unless somebody sets one by name; every hook is one
// test of a flag off the path of ordinary packets, or beside a branch that is there anyway.
#pragma once

#include <string_view>

namespace weft::models {

struct Faults {
  bool move_without_connections = false;  ///< a VM's tracked connections stay behind
  bool move_without_last_round = false;   ///< stop-and-copy sends no memory
  bool move_without_timers = false;       ///< the timers of a VM that moved never go off
  bool route_into_failures = false;       ///< routers never hear of failed links
  bool reuse_port_numbers = false;        ///< a VM that arrives gets the number of one that left
  bool lose_silently = false;             ///< a frame now and then vanishes without a verdict
  bool tcp_ignores_gaps = false;          ///< TCP takes what comes next for what was due next

  /// False if there is no such fault.
  bool set(std::string_view name) {
    if (name == "move_without_connections") return move_without_connections = true;
    if (name == "move_without_last_round") return move_without_last_round = true;
    if (name == "move_without_timers") return move_without_timers = true;
    if (name == "route_into_failures") return route_into_failures = true;
    if (name == "reuse_port_numbers") return reuse_port_numbers = true;
    if (name == "lose_silently") return lose_silently = true;
    if (name == "tcp_ignores_gaps") return tcp_ignores_gaps = true;
    return false;
  }
};

}  // namespace weft::models
