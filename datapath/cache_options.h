// What can be chosen about a switch's classifier and caches. Plain values: scenarios carry them
// too. None of them changes what happens to a packet, only how soon it is known.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace weft::datapath {

/// The optimisations of the classifier (classifier.h).
struct ClassifierOptions {
  bool staged_lookup = true;
  bool prefix_tracking = true;
  bool priority_sorting = true;
  bool port_tries = true;
  bool operator==(const ClassifierOptions&) const = default;
};

/// How fast the slow path is (upcall_queue.h). As it is, a packet that misses the caches is
/// answered at once.
struct SlowPathOptions {
  std::uint64_t per_second = 0;  ///< packets; 0: no limit, no delay
  std::uint32_t queue = 1024;    ///< packets that wait at most
  /// From one port at most, or of one network behind a tunnel; then these are served in turn. 0:
  /// all wait in one queue.
  std::uint32_t port_queue = 0;
  bool operator==(const SlowPathOptions&) const = default;
};

/// The classifier and the two caches in front of it (cache.h).
struct CacheOptions {
  ClassifierOptions classifier;  ///< how the slow path searches, and so how wide masks are
  SlowPathOptions slow_path;
  bool exact_match = true;
  bool megaflow = true;
  std::uint32_t exact_match_entries = 8192;
  std::uint32_t megaflow_limit = 200'000;
  /// Megaflows that packets from one port (behind a tunnel: of one network) may take; beyond it,
  /// they evict their own. 0: no limit.
  std::uint32_t megaflow_port_limit = 0;
  /// Beyond so many masks, new megaflows match exactly: nobody makes everybody's lookups longer.
  std::uint32_t mask_limit = 512;
  Duration idle_timeout = seconds(10);
  Duration hard_timeout{};              ///< a megaflow's greatest age; 0: none
  std::uint32_t sweep_entries = 65536;  ///< megaflows that one call of expire() looks at, at most
};

}  // namespace weft::datapath
