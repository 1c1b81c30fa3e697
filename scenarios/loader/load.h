// The loader's own door: as load_scenario_text (spec.h), and it tells which keys the readers know,
// for the test that keeps schema.json in step.
#pragma once

#include "scenarios/loader/reader.h"
#include "scenarios/spec.h"

namespace weft::scenarios {

LoadResult load_with_vocabulary(const std::string& text, const std::string& file,
                                const std::vector<std::string>& set, Vocabulary* vocabulary);

}  // namespace weft::scenarios
