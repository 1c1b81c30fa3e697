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

bool cut_short(const Results& results) {
  const RunIdentity& id = results.identity;
  return id.interrupted || id.reached < Time{} + id.duration;
}

Verdict verdict_of(const Results& results) {
  if (!results.identity.fault.empty()) return Verdict::failed;
  if (cut_short(results)) return Verdict::none;
  const bool all = std::all_of(results.expectations.begin(), results.expectations.end(),
                               [](const ExpectationOutcome& e) { return e.passed; });
  return all ? Verdict::passed : Verdict::failed;
}

}  // namespace weft::analysis
