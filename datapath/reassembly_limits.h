// How much may wait to be put together (reassembly.h). A plain value.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace weft::datapath {

struct ReassemblyLimits {
  std::uint32_t packets = 256;     ///< incomplete at a time
  std::uint64_t bytes = 8u << 20;  ///< of frames that wait, headers and payload
  Duration timeout = seconds(1);   ///< from the first part on
  bool ignore_gaps = false;        ///< a planted fault (faults.h): the last part completes it
  bool operator==(const ReassemblyLimits&) const = default;
};

}  // namespace weft::datapath
