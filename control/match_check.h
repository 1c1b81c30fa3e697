// Whether a match of the intent can be compiled: it parses, the sets and groups that it names are
// there, it asks nothing that its rules cannot know, and it does not become too many matches.
//
// The last is first estimated from above by the sizes of its parts, and only counted if the
// estimate is too high: a set of thousands that gets a member does not expand what mentions it.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "control/intent.h"

namespace weft::control {

/// Most matches of one rule (of one member, where a set is taken apart).
inline constexpr std::size_t kMostMatches = 100'000;

enum class MatchUse : std::uint8_t {
  from_port,  ///< where the receiver is not known yet
  to_port,
  router,
};

/// `acl`: whose match it is, if it is one's. Errors go behind the name of the row.
Result<> check_match(const std::string& match, MatchUse use, const Acl* acl, const Intent& intent,
                     const std::string& tenant);

/// The names behind $ and @ in a match, and for NAME_ip4 and NAME_ip6 the group's as well; none if
/// it does not parse.
std::set<std::string> names_in(const std::string& match);

}  // namespace weft::control
