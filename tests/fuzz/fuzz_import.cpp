#include "tests/fuzz/state_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::fuzz::import_one({data, size});
  return 0;
}
