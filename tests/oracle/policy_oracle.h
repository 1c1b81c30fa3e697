// The oracle of policy: a page that says from the specification alone who may talk to whom. It
// shares nothing with control/ or datapath/: no compiled rule, no table, no connection tracking.
//
//   1. Two VMs are joined if they are in the same network, or in two networks of one router of the
//      same tenant. Nothing else ever arrives.
//   2. A tenant without a policy allows everything within.
//   3. Of the rules that match, those of the highest priority decide; if one of them denies, it is
//      denied. If no rule matches, the default decides.
//   4. A rule is about the direction in which a conversation was opened. Replies pass where the
//      opening direction is allowed.
//
// A policy that changes has versions. What was in force is known exactly; when the switches follow
// is not, so who asks about a moment gets the verdicts of all versions that may have been in force.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "scenarios/spec.h"

namespace weft::oracle {

/// One packet in the direction in which its conversation was opened; indices within the tenant.
struct Question {
  std::size_t from = 0, to = 0;
  IpAddress source, destination;
  scenarios::Protocol protocol = scenarios::Protocol::any;  ///< any: neither ICMP, TCP nor UDP
  std::uint16_t port = 0;                                   ///< destination; 0 for ICMP
};

struct Answer {
  bool allowed = false;
  /// Rules that may be named as the reason of a refusal; "default" if none matches.
  std::set<std::string> reasons;
};

inline bool joined(const scenarios::TenantSpec& tenant, std::size_t network_a,
                   std::size_t network_b) {
  if (network_a == network_b) return true;
  return std::any_of(tenant.routers.begin(), tenant.routers.end(), [&](const auto& router) {
    const auto& n = router.networks;
    return std::count(n.begin(), n.end(), network_a) > 0 &&
           std::count(n.begin(), n.end(), network_b) > 0;
  });
}

inline bool is_peer(const scenarios::TenantSpec& tenant, const scenarios::PeerSpec& peer,
                    std::size_t vm, const IpAddress& address) {
  using Kind = scenarios::PeerSpec::Kind;
  switch (peer.kind) {
    case Kind::any:
      return true;
    case Kind::group:
      return tenant.vms[vm].group == peer.index;
    case Kind::vm:
      return vm == peer.index;
    case Kind::network:
      return tenant.vms[vm].network == peer.index;
    case Kind::prefix:
      return peer.prefix.contains(address);
  }
  return false;
}

inline bool matches(const scenarios::TenantSpec& tenant, const scenarios::PolicyRuleSpec& rule,
                    const Question& q) {
  if (!is_peer(tenant, rule.from, q.from, q.source)) return false;
  if (!is_peer(tenant, rule.to, q.to, q.destination)) return false;
  if (rule.protocol == scenarios::Protocol::any) return true;
  if (rule.protocol != q.protocol) return false;
  return rule.ports.empty() ||
         std::any_of(rule.ports.begin(), rule.ports.end(),
                     [&](const auto& r) { return r.first <= q.port && q.port <= r.last; });
}

/// `policy`: the version in force; null if the tenant has none.
inline Answer judge(const scenarios::TenantSpec& tenant, const scenarios::PolicySpec* policy,
                    const Question& q) {
  if (!joined(tenant, tenant.vms[q.from].network, tenant.vms[q.to].network)) return {false, {}};
  if (policy == nullptr) return {true, {}};
  Answer answer{policy->default_allow, {"default"}};
  int best = -1;
  for (const auto& rule : policy->rules) {
    if (!matches(tenant, rule, q) || rule.priority < best) continue;
    if (rule.priority > best) answer = {true, {}};
    best = rule.priority;
    if (rule.allow) continue;
    answer.allowed = false;
    answer.reasons.insert(rule.name);
  }
  return answer;
}

}  // namespace weft::oracle
