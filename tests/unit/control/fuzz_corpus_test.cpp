// The fuzzers of the control plane, replayed (tests/fuzz/replay.h).
#include "tests/catch.h"
#include "tests/fuzz/control_entry.h"
#include "tests/fuzz/replay.h"

namespace weft {
namespace {

TEST_CASE("seeds of the control plane's fuzzers, and mutations of them") {
  for (const fuzz::Target& target : fuzz::kControlTargets) fuzz::replay(target, 400);
}

}  // namespace
}  // namespace weft
