#include "tests/fuzz/import_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::fuzz::networkpolicy_one({data, size});
  return 0;
}
