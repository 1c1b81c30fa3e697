#include "tests/fuzz/state_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::fuzz::conntrack_script({data, size});
  return 0;
}
