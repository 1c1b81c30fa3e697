// Who may talk to whom, from the intent alone: a page that shares no code with the compiler.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "control/intent.h"

namespace weft::test {

/// One attempt to open a connection (or a datagram without one).
struct Attempt {
  std::string from, to;  // ports
  IpAddress source, destination;
  control::AclProtocol protocol = control::AclProtocol::tcp;
  std::uint16_t port = 0;  // destination port; icmp: none
};

struct Answer {
  enum class Kind { delivered, policy, unreachable } kind = Kind::delivered;
  std::uint64_t cookie = 0;  // policy: which rule refused
};

inline bool is_peer(const control::Intent& in, const control::Peer& peer, const std::string& port,
                    const IpAddress& address) {
  using Kind = control::Peer::Kind;
  const std::string& network = in.ports().at(port).network;
  if (peer.kind == Kind::any) return true;
  if (peer.kind == Kind::group) return in.groups().at(peer.name).members.count(port) > 0;
  if (peer.kind == Kind::port) return peer.name == port;
  if (peer.kind == Kind::network) return peer.name == network;
  if (peer.kind == Kind::prefix) return peer.prefix.contains(address);
  for (const Prefix& p : in.address_sets().at(peer.name).prefixes)
    if (p.contains(address)) return true;
  return false;
}

inline bool joined(const control::Intent& in, const std::string& a, const std::string& b) {
  if (a == b) return true;
  for (const auto& [name, router] : in.routers()) {
    bool has_a = false, has_b = false;
    for (const auto& p : router.ports) {
      has_a |= p.network == a;
      has_b |= p.network == b;
    }
    if (has_a && has_b) return true;
  }
  return false;
}

inline Answer judge(const control::Intent& in, const Attempt& attempt) {
  const auto& network = in.networks().at(in.ports().at(attempt.from).network);
  if (!joined(in, network.name, in.ports().at(attempt.to).network))
    return {Answer::Kind::unreachable};
  const auto& tenant = in.tenants().at(network.tenant);
  if (!tenant.has_policy) return {};
  const control::Acl* best = nullptr;
  for (const auto& [name, acl] : in.acls()) {
    if (acl.tenant != tenant.name) continue;
    if (!is_peer(in, acl.from, attempt.from, attempt.source)) continue;
    if (!is_peer(in, acl.to, attempt.to, attempt.destination)) continue;
    if (acl.protocol != control::AclProtocol::any && acl.protocol != attempt.protocol) continue;
    if (!acl.ports.empty() &&
        std::none_of(acl.ports.begin(), acl.ports.end(), [&](const control::AclPorts& r) {
          return r.first <= attempt.port && attempt.port <= r.last;
        }))
      continue;
    if (best == nullptr || acl.priority > best->priority ||
        (acl.priority == best->priority && !best->denies() && acl.denies()))
      best = &acl;
  }
  if (best == nullptr) {
    if (tenant.default_allow) return {};
    return {Answer::Kind::policy, tenant.default_cookie};
  }
  if (!best->denies()) return {};
  return {Answer::Kind::policy, best->cookie};
}

}  // namespace weft::test
