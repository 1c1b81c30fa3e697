// DecisionStore: the decisions that megaflows rest on, each kept once. A hundred thousand megaflows
// of one rule do the same; sharing what they do keeps a megaflow small and the steps in the cache.
//
// A shared decision lives as long as somebody holds it (take/release); its address never changes,
// and the object is used again, never freed: a late look at it reads another's or an empty one.
// Its mask is not part of it: that belongs to the megaflow. Two decisions are one only if they
// agree in everything else, the rules that they count for and the bytes of outer headers included.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "datapath/decision.h"
#include "datapath/hash_index.h"

namespace weft::datapath {

struct Megaflow;

struct SharedDecision {
  Decision decision;
  /// One step, which outputs or encapsulates or drops the packet itself and leaves its key alone.
  bool simple = false;
  /// No step writes the key: whoever reads it afterwards finds what was extracted.
  bool keeps_key = false;
  bool tracks_first = false;  ///< the first step is ct(): its zone says where to look
  /// A guess: the megaflow that a packet found last when it came back from here (after ct). Whoever
  /// uses it compares.
  mutable Megaflow* next = nullptr;
  std::uint32_t hash = 0;
  std::uint32_t slot = 0;
  std::uint32_t holders = 0;
};

class DecisionStore {
 public:
  /// The shared form of `decision`, with one holder more.
  const SharedDecision* take(Decision decision);
  /// One holder less; the last one's leaving ends it.
  void release(const SharedDecision* decision);
  std::size_t size() const { return live_; }
  std::size_t memory_bytes() const;

 private:
  std::vector<std::unique_ptr<SharedDecision>> all_;
  std::vector<std::uint32_t> free_;
  HashIndex index_;
  std::size_t live_ = 0;
};

}  // namespace weft::datapath
