#include "base/names.h"

#include <algorithm>

namespace weft {
namespace {

constexpr std::size_t kEdit = 2;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Edit distance with insertion, deletion, substitution and swap of neighbours, each kEdit; another
/// case of the same letter counts half of that.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);  // row i - 2
  std::vector<std::size_t> last(b.size() + 1);    // row i - 1
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j * kEdit;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i * kEdit;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const char x = a[i - 1];
      const char y = b[j - 1];
      const std::size_t change = x == y ? 0 : lower(x) == lower(y) ? kEdit / 2 : kEdit;
      row[j] = std::min({last[j] + kEdit, row[j - 1] + kEdit, last[j - 1] + change});
      if (i > 1 && j > 1 && x == b[j - 2] && a[i - 2] == y) {
        row[j] = std::min(row[j], before[j - 2] + kEdit);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view wrong, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 128;  // beyond this it is not a slip of the keyboard
  if (wrong.size() > kLongest) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, wrong.size() / 3) * kEdit + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t distance = edit_distance(wrong, candidate);
    // A slip leaves something of the name: "a" is not near "b".
    if (distance < best_distance && distance < std::max(wrong.size(), candidate.size()) * kEdit) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace weft
