// What Acls decide about one packet, straight from the intent: a page that shares no code with the
// compiler of policy (it reads matches with parse_expression and evaluate()).
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "control/expression_match.h"
#include "control/intent.h"
#include "control/tenant_names.h"
#include "datapath/flow_key.h"

namespace weft::test {

struct AclVerdict {
  bool allowed = true;
  bool rejects = false;
  bool stateless = false;  ///< allowed without being tracked
  /// Denied: the rules that may say so (of equal standing), or the default's cookie.
  std::vector<std::uint64_t> cookies;
  std::string text() const {
    std::string out = allowed ? "allowed" : rejects ? "rejected" : "dropped";
    for (const std::uint64_t c : cookies) out += " " + std::to_string(c);
    return out;
  }
};

/// All Acls of the port's tenant that judge what `port` sends (from_port) or is sent. `packet` has
/// the registers of the logical pipeline: metadata, reg14 and reg15.
inline AclVerdict judge_acls(const control::Intent& in, const std::string& port,
                             control::AclDirection direction, const datapath::FlowKey& packet) {
  using control::Acl;
  using control::AclAction;
  const std::string tenant = in.tenant_of_port(port);
  const control::Tenant& owner = in.tenants().at(tenant);
  const control::IntentNames names(in, tenant);
  const auto concerns = [&](const Acl& acl) {
    if (acl.tenant != tenant || acl.match.empty() || acl.direction != direction) return false;
    if (acl.to.kind == control::Peer::Kind::group) {
      if (!in.groups().at(acl.to.name).members.contains(port)) return false;
    } else if (in.ports().at(port).network != acl.to.name) {
      return false;
    }
    const auto match = control::parse_expression(acl.match, {.any_comparison = true});
    return *control::evaluate(*match, names, packet);
  };
  for (int tier = 0; tier < Acl::kTiers; ++tier) {
    std::vector<const Acl*> best;
    const auto standing = [](const Acl& a) {
      return 2 * a.priority +
             (a.action == AclAction::drop || a.action == AclAction::reject ? 1 : 0);
    };
    for (const auto& [name, acl] : in.acls()) {
      if (acl.tier != tier || !concerns(acl)) continue;
      if (!best.empty() && standing(acl) < standing(*best[0])) continue;
      if (!best.empty() && standing(acl) > standing(*best[0])) best.clear();
      best.push_back(&acl);
    }
    if (best.empty()) continue;
    // Of equal standing the first by name decides what is done.
    const AclAction what = best[0]->action;
    if (what == AclAction::pass) continue;
    AclVerdict out;
    out.allowed = what == AclAction::allow || what == AclAction::allow_stateless;
    out.stateless = what == AclAction::allow_stateless;
    out.rejects = what == AclAction::reject;
    if (!out.allowed) out.cookies = {best[0]->cookie};
    return out;
  }
  if (direction == control::AclDirection::from_port || !owner.has_policy || owner.default_allow)
    return {};
  AclVerdict out;
  out.allowed = false;
  out.cookies = {owner.default_cookie};
  return out;
}

}  // namespace weft::test
