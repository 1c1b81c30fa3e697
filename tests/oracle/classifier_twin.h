// The slow twin of datapath/classifier: all rules in one list, each looked at, bit by bit in the
// order that the documentation gives: priority, then the greater mask.
#pragma once

#include <vector>

#include "datapath/match.h"

namespace weft::oracle {

class ClassifierTwin {
 public:
  struct Entry {
    datapath::Match match;
    int priority;
    std::uint32_t owner;
  };
  std::vector<Entry> entries;

  static constexpr std::uint32_t kNone = 0xffffffff;

  std::uint32_t lookup(const datapath::FlowKey& key) const {
    const Entry* best = nullptr;
    for (const Entry& e : entries) {
      bool fits = true;
      for (std::size_t w = 0; w < key.w.size() && fits; ++w)
        for (int bit = 0; bit < 64; ++bit)
          if ((e.match.mask.w[w] >> bit & 1) != 0 &&
              (e.match.value.w[w] >> bit & 1) != (key.w[w] >> bit & 1))
            fits = false;
      if (!fits) continue;
      if (best == nullptr || e.priority > best->priority ||
          (e.priority == best->priority && e.match.mask.w > best->match.mask.w))
        best = &e;
    }
    return best == nullptr ? kNone : best->owner;
  }
  void remove(std::uint32_t owner) {
    std::erase_if(entries, [owner](const Entry& e) { return e.owner == owner; });
  }
};

}  // namespace weft::oracle
