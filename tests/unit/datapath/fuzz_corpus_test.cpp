// The fuzzers of the datapath, replayed (tests/fuzz/replay.h).
#include "tests/catch.h"
#include "tests/fuzz/replay.h"
#include "tests/fuzz/state_entry.h"

namespace weft {
namespace {

TEST_CASE("seeds of the fuzzers, and mutations of them") {
  for (const fuzz::Target& target : fuzz::kTargets) fuzz::replay(target, 400);
}

}  // namespace
}  // namespace weft
