#include "base/crc32c.h"

namespace weft {

bool crc32c_in_hardware() {
#ifdef WEFT_CRC32C_TARGET
  static const bool yes = __builtin_cpu_supports("sse4.2") != 0;
  return yes;
#else
  return false;
#endif
}

}  // namespace weft
