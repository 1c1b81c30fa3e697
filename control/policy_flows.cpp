#include "control/policy_flows.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/expression_symbols.h"
#include "control/logical.h"

namespace weft::control {
namespace {

std::string of_profile(std::uint64_t profile) {
  return fmt::format("reg1=0x{:x},reg2=0x{:x}", profile >> 32, profile & 0xffffffffu);
}

const char* protocol_name(AclProtocol protocol, bool is6) {
  switch (protocol) {
    case AclProtocol::any:
      break;
    case AclProtocol::icmp:
      return is6 ? "icmp6" : "icmp";
    case AclProtocol::tcp:
      return is6 ? "tcp6" : "tcp";
    case AclProtocol::udp:
      return is6 ? "udp6" : "udp";
  }
  return is6 ? "ipv6" : "ip";
}

/// Matches of one side for one family; one empty text if the side is open.
std::vector<std::string> side_matches(bool any, const std::vector<Prefix>& prefixes, bool is6,
                                      bool source) {
  if (any) return {""};
  std::vector<std::string> out;
  for (const Prefix& p : prefixes)
    if (p.address.is6 == is6) out.push_back("," + prefix_match(p, source));
  return out;
}

Stage table_of(AclDirection direction) {
  return direction == AclDirection::to_port ? Stage::policy : Stage::from_policy;
}
Stage after(AclDirection direction) {
  return direction == AclDirection::to_port ? Stage::shape : Stage::from_shape;
}

/// Adds the flows of one match with one verdict. What forbids an open connection marks it as well.
void add_verdict(const Acl& acl, int priority, const std::string& match, std::vector<Flow>& out) {
  const Stage table = table_of(acl.direction);
  const std::string next = go_to(after(acl.direction));
  const auto add = [&](const std::string& more, std::string actions) {
    out.push_back(stage_flow(table, priority, match + more, std::move(actions)));
    out.back().body.cookie = acl.cookie;
  };
  switch (acl.action) {
    case AclAction::allow:
      return add("", next);
    case AclAction::allow_stateless:
      return add("", "load:1->NXM_NX_REG0[0]," + next);
    case AclAction::pass:
      return add("", fmt::format("load:0x{:x}->NXM_NX_REG3[],{}", acl.tier + 1, go_to(table)));
    case AclAction::drop:
    case AclAction::reject:
      break;
  }
  // Where ports are sent to, the sender may be anywhere: the answer finds it as if the port had
  // sent it, from nowhere in particular (it may leave by the tunnel that the packet came from).
  const std::string refuse = acl.action != AclAction::reject ? "drop(policy)"
                             : acl.direction == AclDirection::from_port
                                 ? "reject"
                                 : fmt::format(
                                       "move:NXM_NX_REG15[]->NXM_NX_REG14[],load:0->NXM_NX_REG15[],"
                                       "load:0->NXM_OF_IN_PORT[],reject(table={})",
                                       static_cast<unsigned>(Stage::to_router));
  add(",ct_state=-est", refuse);
  if (acl.spare_established) return add(",ct_state=+est", next);
  add(",ct_state=+est",
      fmt::format("ct(commit,zone={},exec(load:1->NXM_NX_CT_MARK[0])),{}", kZone, refuse));
}

int priority_of(const Acl& acl) {
  return std::min(65'535, 2 * acl.priority + 1 + (acl.denies() ? 1 : 0));
}

}  // namespace

std::vector<Flow> acl_flows(const Acl& acl, std::uint64_t profile, bool any_source,
                            const std::vector<Prefix>& sources, bool any_destination,
                            const std::vector<Prefix>& destinations) {
  std::vector<std::string> ports;
  for (const AclPorts& range : acl.ports)
    for (const std::string& mask : port_masks(range))
      ports.push_back(mask.empty() ? "" : ",tp_dst=" + mask);
  if (ports.empty()) ports.emplace_back();

  std::vector<Flow> out;
  for (const bool is6 : {false, true}) {
    const std::string head = fmt::format("{},reg3={},{}", of_profile(profile), acl.tier,
                                         protocol_name(acl.protocol, is6));
    for (const std::string& from : side_matches(any_source, sources, is6, true))
      for (const std::string& to : side_matches(any_destination, destinations, is6, false))
        for (const std::string& port : ports)
          add_verdict(acl, priority_of(acl), head + from + to + port, out);
  }
  return out;
}

std::vector<Flow> match_flows(const Acl& acl, std::uint64_t profile,
                              const std::vector<datapath::Match>& matches) {
  std::vector<Flow> out;
  const std::string head = fmt::format("{},reg3={}", of_profile(profile), acl.tier);
  for (const datapath::Match& m : matches) {
    const std::string text = datapath::format_match(m);
    add_verdict(acl, priority_of(acl), text.empty() ? head : head + "," + text, out);
  }
  return out;
}

std::vector<Flow> default_flows(const Tenant& tenant, std::uint64_t profile, int last_tier_to,
                                int last_tier_from) {
  std::vector<Flow> out;
  Acl rest;
  rest.action = tenant.default_allow || !tenant.has_policy ? AclAction::allow : AclAction::drop;
  rest.cookie = tenant.has_policy ? tenant.default_cookie : cookie_of(Stage::policy);
  for (const AclDirection d : {AclDirection::to_port, AclDirection::from_port}) {
    const Stage table = table_of(d);
    const int last = d == AclDirection::to_port ? last_tier_to : last_tier_from;
    const std::string head = of_profile(profile);
    for (int tier = 0; tier < last; ++tier)
      out.push_back(
          stage_flow(table, 0, fmt::format("{},reg3={}", head, tier),
                     fmt::format("load:0x{:x}->NXM_NX_REG3[],{}", tier + 1, go_to(table))));
    // Between peers, who sends is never judged at its own port.
    rest.direction = d;
    Acl end = rest;
    if (d == AclDirection::from_port) end.action = AclAction::allow;
    for (const int tier : {last, last + 1})
      add_verdict(end, 0, fmt::format("{},reg3={}", head, tier), out);
  }
  return out;
}

Expression without_own_scope(const Expression& expression, const Acl& acl) {
  if (acl.to.kind != Peer::Kind::group) return expression;
  const char* side = acl.direction == AclDirection::to_port ? "outport" : "inport";
  const auto is_scope = [&](const Expression& e) {
    return e.kind == Expression::Kind::compare && e.relation == Relation::eq &&
           e.symbol->name == side && e.operands.size() == 1 &&
           e.operands[0].kind == Operand::Kind::port_group &&
           (e.operands[0].name == acl.to.name ||
            acl.tenant + "/" + e.operands[0].name == acl.to.name);
  };
  const Expression all{};  // true
  if (is_scope(expression)) return all;
  if (expression.kind != Expression::Kind::all_of) return expression;
  Expression out = expression;
  std::erase_if(out.children, is_scope);
  if (out.children.empty()) return all;
  return out.children.size() == 1 ? Expression(out.children[0]) : out;
}

}  // namespace weft::control
