// Names as people mistype them: the nearest of a set, for "did you mean".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// The candidate with the least edit distance (Damerau-Levenshtein) if it is near enough to be a
/// slip (at most a third of the length, at least 1), else empty.
std::string nearest_name(std::string_view wrong, const std::vector<std::string>& candidates);

}  // namespace weft
