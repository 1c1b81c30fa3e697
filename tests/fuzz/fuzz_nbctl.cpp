#include "tests/fuzz/import_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::fuzz::nbctl_one({data, size});
  return 0;
}
