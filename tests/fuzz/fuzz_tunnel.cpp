#include "tests/fuzz/wire_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::fuzz::tunnel_one({data, size});
  return 0;
}
