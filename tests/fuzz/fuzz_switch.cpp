#include "tests/fuzz/switch_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::fuzz::switch_file({data, size});
  return 0;
}
