#include "analysis/results.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace weft::analysis {

PairResult total_of(const TrafficResult& traffic) {
  PairResult sum;
  for (const PairResult& p : traffic.pairs) {
    sum.sent += p.sent;
    sum.delivered += p.delivered;
    sum.duplicates += p.duplicates;
    sum.reordered += p.reordered;
    sum.pending += p.pending;
    sum.bytes += p.bytes;
    sum.connections_opened += p.connections_opened;
    sum.connections_closed += p.connections_closed;
    sum.connections_lost += p.connections_lost;
    sum.completed += p.completed;
    sum.retransmits += p.retransmits;
  }
  return sum;
}

bool passed(const Results& results) {
  return results.identity.fault.empty() &&
         std::all_of(results.expectations.begin(), results.expectations.end(),
                     [](const ExpectationOutcome& e) { return e.passed; });
}

}  // namespace weft::analysis
