// The fuzzers of imported files, replayed (tests/fuzz/replay.h).
#include "tests/catch.h"
#include "tests/fuzz/import_entry.h"
#include "tests/fuzz/replay.h"

namespace weft {
namespace {

TEST_CASE("seeds of the import's fuzzers, and mutations of them") {
  for (const fuzz::Target& target : fuzz::kImportTargets) fuzz::replay(target, 200);
}

}  // namespace
}  // namespace weft
