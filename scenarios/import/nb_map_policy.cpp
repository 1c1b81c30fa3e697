#include <fmt/format.h>

#include <algorithm>

#include "scenarios/import/nb_mapper.h"

namespace weft::imports {

using control::Acl;
using control::AclAction;
using control::AclDirection;
using control::Peer;

// OVN allows what no ACL matches, unless options:default_acl_drop turns that round - for switches
// that have any ACLs, by themselves or through a port group.
void NbMapper::map_tenant() {
  control::Tenant tenant;
  tenant.name = "ovn";
  tenant.has_policy = !store_.rows("ACL").empty();
  for (const NbRow* global : sorted("NB_Global")) {
    if (global->option("options", "default_acl_drop") != "true") continue;
    tenant.has_policy = true;
    tenant.default_allow = false;
    tenant.default_cookie = cookie(*global);
  }
  if (tenant.has_policy && tenant.default_cookie == 0) {
    tenant.default_cookie = ++cookies_;
    out_.origins[cookies_] = {"NB_Global", "", "no ACL matches: OVN allows", {out_.file, 0, 0}};
  }
  insert(std::move(tenant), nullptr);
}

void NbMapper::map_sets() {
  for (const NbRow* row : sorted("Address_Set")) {
    control::AddressSet set;
    set.name = row->text("name");
    set.tenant = "ovn";
    for (const auto& [text, ignored] : row->get("addresses")) {
      const auto prefix = parse_loose_prefix(text);
      if (prefix)
        set.prefixes.push_back(*prefix);
      else
        refuse(*row, "addresses", fmt::format("'{}' is no address or prefix", text),
               parse_mac(text) ? "weft's address sets hold IP addresses" : "");
    }
    std::sort(set.prefixes.begin(), set.prefixes.end());
    set.prefixes.erase(std::unique(set.prefixes.begin(), set.prefixes.end()), set.prefixes.end());
    insert(std::move(set), row);
  }
  for (const NbRow* row : sorted("Port_Group")) {
    control::Group group;
    group.name = row->text("name");
    group.tenant = "ovn";
    for (const NbRow* port : children(*row, "ports")) {
      if (ports_.contains(port->text("name")))
        group.members.insert(port->text("name"));
      else
        refuse(*row, "ports",
               fmt::format("{} is of type {}, which weft's groups do not hold", port->title(),
                           port->text("type")),
               "take it out of the group");
    }
    insert(std::move(group), row);
  }
}

void NbMapper::map_acls() {
  std::map<const NbRow*, std::vector<Peer>> owners;
  Rows order;
  const auto own = [&](const NbRow& owner, Peer::Kind kind, const std::string& name) {
    for (const NbRow* acl : children(owner, "acls")) {
      auto& peers = owners[acl];
      if (peers.empty()) order.push_back(acl);
      peers.push_back({kind, name, {}});
    }
  };
  std::set<std::string> judged;  // networks with any ACL
  for (const NbRow* ls : sorted("Logical_Switch")) {
    own(*ls, Peer::Kind::network, name_of(*ls));
    if (ls->has("acls")) judged.insert(name_of(*ls));
  }
  for (const NbRow* group : sorted("Port_Group")) {
    own(*group, Peer::Kind::group, group->text("name"));
    for (const NbRow* port : children(*group, "ports"))
      if (group->has("acls") && ports_.contains(port->text("name")))
        judged.insert(ports_[port->text("name")].network);
  }
  const NbRow* stateless = nullptr;
  bool stateful = false;
  for (const NbRow* acl : order) {
    if (acl->text("action") == "allow-stateless") stateless = acl;
    stateful |= acl->text("action") == "allow-related";
    for (const Peer& to : owners[acl]) map_acl(*acl, to, owners[acl].size() > 1);
  }
  if (stateless != nullptr && stateful)
    note(*stateless, "ACL.action allow-stateless beside allow-related",
         "in weft the higher priority decides; in OVN a stateless rule always goes first");
  for (const NbRow* global : sorted("NB_Global"))
    if (global->option("options", "default_acl_drop") == "true")
      for (const NbRow* ls : sorted("Logical_Switch"))
        if (!judged.contains(name_of(*ls))) allow_all(name_of(*ls));
}

void NbMapper::map_acl(const NbRow& row, const Peer& to, bool shared) {
  Acl acl;
  const std::string& name = row.text("name");
  const bool own_name = !name.empty() && store_.named("ACL", name).size() == 1;
  acl.name = own_name ? name : made_name(control::Table::acl, name.empty() ? "acl" : name, row);
  if (shared) acl.name += "@" + to.name;
  while (taken_.contains({control::Table::acl, acl.name})) acl.name += "'";
  acl.tenant = "ovn";
  const std::string& action = row.text("action");
  acl.action = action == "drop"              ? AclAction::drop
               : action == "reject"          ? AclAction::reject
               : action == "allow-stateless" ? AclAction::allow_stateless
               : action == "pass"            ? AclAction::pass
                                             : AclAction::allow;
  acl.priority = static_cast<int>(row.number("priority"));
  if (acl.priority < 0 || acl.priority > Acl::kMaxPriority)
    return refuse(row, "priority", fmt::format("{} is not 0 to 32767", row.text("priority")));
  acl.direction =
      row.text("direction") == "from-lport" ? AclDirection::from_port : AclDirection::to_port;
  acl.to = to;
  acl.match = row.text("match");
  acl.tier = static_cast<int>(row.number("tier"));
  if (acl.tier < 0 || acl.tier >= Acl::kTiers)
    return refuse(row, "tier", fmt::format("{} is not 0 to 3", row.text("tier")));
  acl.log = row.is_true("log");
  if (!check_match(row)) return;
  acl.cookie = cookie(row);
  insert(std::move(acl), &row);
}

// A switch without ACLs, where others drop by default.
void NbMapper::allow_all(const std::string& network) {
  for (const auto& [direction, suffix] :
       {std::pair{AclDirection::from_port, "from"}, std::pair{AclDirection::to_port, "to"}}) {
    Acl acl;
    acl.name = fmt::format("no-acls-{}-{}", suffix, network);
    acl.tenant = "ovn";
    acl.action = AclAction::allow_stateless;
    acl.priority = 0;
    acl.direction = direction;
    acl.to = {Peer::Kind::network, network, {}};
    acl.match = "1";
    acl.tier = Acl::kTiers - 1;
    acl.cookie = ++cookies_;
    out_.origins[cookies_] = {"Logical_Switch", "", network + " has no ACLs", {out_.file, 0, 0}};
    insert(std::move(acl), nullptr);
  }
}

}  // namespace weft::imports
