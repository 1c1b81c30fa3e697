// What the fuzzers and the tests that replay them share: a target is a name (fuzz_NAME.cpp,
// corpus/NAME) and what is done to an input. It throws InternalFault when a promise is broken.
#pragma once

#include <cstdint>
#include <span>

namespace weft::fuzz {

struct Target {
  const char* name;
  void (*run)(std::span<const std::uint8_t>);
};

}  // namespace weft::fuzz
