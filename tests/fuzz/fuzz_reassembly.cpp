#include "tests/fuzz/wire_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::fuzz::receive_script({data, size});
  return 0;
}
