// The fuzzers' targets with any compiler, in a unit test: every seed of tests/fuzz/corpus, and
// mutations of each that are the same in every run. The longer search is `./weft fuzz`.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/check.h"
#include "tests/catch.h"
#include "tests/fuzz/target.h"

namespace weft::fuzz {

using Bytes = std::vector<std::uint8_t>;

struct Lcg {
  std::uint64_t state;
  std::uint64_t next() {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state >> 20;
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
};

inline Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What libFuzzer does, in small: bytes changed, removed, repeated, put in from another seed.
inline void mutate(Bytes& bytes, const std::vector<Bytes>& others, Lcg& random) {
  for (auto n = 1 + random.below(4); n > 0; --n) {
    if (bytes.empty()) bytes.push_back(0);
    const auto at = random.below(bytes.size());
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto length = static_cast<std::ptrdiff_t>(random.below(bytes.size() - at) % 16);
    switch (random.below(6)) {
      case 0:
      case 1:
        *here = static_cast<std::uint8_t>(random.next());
        break;
      case 2:
        *here = static_cast<std::uint8_t>(*here ^ 1u << random.below(8));
        break;
      case 3:
        bytes.erase(here, here + length);
        break;
      case 4: {
        const Bytes piece(here, here + length);
        bytes.insert(here, piece.begin(), piece.end());
        break;
      }
      default: {
        const Bytes& other = others[random.below(others.size())];
        const auto from = random.below(other.size() + 1);
        const auto count = std::min<std::size_t>(other.size() - from, random.below(64));
        bytes.insert(here, other.begin() + static_cast<std::ptrdiff_t>(from),
                     other.begin() + static_cast<std::ptrdiff_t>(from + count));
      }
    }
  }
}

/// Seeds and `mutations` of each; a target needs at least three seeds.
inline void replay(const Target& target, int mutations) {
  const std::filesystem::path fuzz = std::filesystem::path(WEFT_SOURCE_DIR) / "tests/fuzz";
  const std::filesystem::path folder = fuzz / "corpus" / target.name;
  INFO(folder.string());
  REQUIRE(std::filesystem::exists(fuzz / ("fuzz_" + std::string(target.name) + ".cpp")));
  std::vector<std::filesystem::path> files;
  if (std::filesystem::exists(folder))
    for (const auto& f : std::filesystem::directory_iterator(folder)) files.push_back(f.path());
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() >= 3);
  std::vector<Bytes> seeds;
  seeds.reserve(files.size());
  for (const auto& f : files) seeds.push_back(read_file(f));
  Lcg random{17};
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    INFO(files[i].filename().string());
    REQUIRE_NOTHROW(target.run(seeds[i]));
    for (int n = 0; n < mutations; ++n) {
      Bytes bytes = seeds[i];
      mutate(bytes, seeds, random);
      try {
        target.run(bytes);
      } catch (const InternalFault& fault) {
        std::string hex;
        for (const std::uint8_t b : bytes)
          hex += "0123456789abcdef"[b >> 4], hex += "0123456789abcdef"[b & 15];
        FAIL("mutation " << n << ": " << fault.what() << "\ninput " << hex);
      }
    }
  }
}

}  // namespace weft::fuzz
