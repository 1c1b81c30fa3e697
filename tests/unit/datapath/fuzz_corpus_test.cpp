// The fuzzers' targets with any compiler: every seed of tests/fuzz/corpus, and mutations of each
// that are the same in every run. The longer search is `./weft fuzz`.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/catch.h"
#include "tests/fuzz/state_entry.h"
#include "tests/unit/datapath/frames.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
constexpr int kMutations = 400;

test::Bytes read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What libFuzzer does, in small: bytes changed, removed, repeated, put in from another seed.
void mutate(test::Bytes& bytes, const std::vector<test::Bytes>& others, test::Lcg& random) {
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
        const test::Bytes piece(here, here + length);
        bytes.insert(here, piece.begin(), piece.end());
        break;
      }
      default: {
        const test::Bytes& other = others[random.below(others.size())];
        const auto from = random.below(other.size() + 1);
        const auto count = std::min<std::size_t>(other.size() - from, random.below(64));
        bytes.insert(here, other.begin() + static_cast<std::ptrdiff_t>(from),
                     other.begin() + static_cast<std::ptrdiff_t>(from + count));
      }
    }
  }
}

TEST_CASE("seeds of the fuzzers, and mutations of them") {
  for (const fuzz::Target& target : fuzz::kTargets) {
    const fs::path folder = fs::path(WEFT_SOURCE_DIR) / "tests/fuzz/corpus" / target.name;
    INFO(folder.string());
    REQUIRE(fs::exists(fs::path(WEFT_SOURCE_DIR) / "tests/fuzz" /
                       ("fuzz_" + std::string(target.name) + ".cpp")));
    std::vector<fs::path> files;
    if (fs::exists(folder))
      for (const auto& f : fs::directory_iterator(folder)) files.push_back(f.path());
    std::sort(files.begin(), files.end());
    REQUIRE(files.size() >= 3);
    std::vector<test::Bytes> seeds;
    seeds.reserve(files.size());
    for (const auto& f : files) seeds.push_back(read(f));
    test::Lcg random{17};
    for (std::size_t i = 0; i < seeds.size(); ++i) {
      INFO(files[i].filename().string());
      REQUIRE_NOTHROW(target.run(seeds[i]));
      for (int n = 0; n < kMutations; ++n) {
        test::Bytes bytes = seeds[i];
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
}

}  // namespace
}  // namespace weft
