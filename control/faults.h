// Faults planted on purpose in agents and controllers, for the command that shows that the checks
// catch them (weft mutate) and for nothing else. All off unless somebody sets one by name.
#pragma once

#include <string_view>

namespace weft::control {

struct Faults {
  bool keep_old_tunnel = false;     ///< agent: a port that moved is still sent to where it was
  bool keep_removed_rules = false;  ///< agent: rules that should go stay in the switch
  bool forget_deny = false;         ///< compiler: deny rules make no flows

  /// False if there is no such fault.
  bool set(std::string_view name) {
    if (name == "keep_old_tunnel") return keep_old_tunnel = true;
    if (name == "keep_removed_rules") return keep_removed_rules = true;
    if (name == "forget_deny") return forget_deny = true;
    return false;
  }
};

}  // namespace weft::control
