#include "analysis/trace/rule_meaning.h"

#include <fmt/format.h>

#include "control/stages.h"

namespace weft::analysis {

namespace place = datapath::place;
using datapath::Match;

RuleMeaning::RuleMeaning(const NetworkView& view, const AddressBook& book)
    : view_(view), book_(book) {
  using control::Table;
  const auto& intent = view.intent;
  for (const auto& [id, row] : intent.tenants())
    if (row.has_policy) name(row.default_cookie, "default of tenant " + id);
  for (const auto& [id, row] : intent.acls()) name(row.cookie, "acl " + id);
  for (const auto& [id, row] : intent.rows<Table::route>()) name(row.cookie, "route " + id);
  for (const auto& [id, row] : intent.rows<Table::policy>())
    name(row.cookie, "routing policy " + id);
  for (const auto& [id, row] : intent.rows<Table::nat>()) name(row.cookie, "nat " + id);
  for (const auto& [id, row] : intent.rows<Table::load_balancer>())
    name(row.cookie, "load balancer " + id);
  for (const auto& [id, row] : intent.networks()) networks_.emplace(row.vni, id);
  for (const auto& [id, row] : intent.ports()) {
    ports_.emplace(std::pair(row.network, row.key), "port " + id);
    macs_.emplace(std::pair(row.network, row.mac.to_u64()), "port " + id);
  }
  for (const auto& [id, row] : intent.routers()) {
    routers_.emplace(control::kRouterDatapath + row.key, id);
    for (const auto& port : row.ports)
      macs_.emplace(std::pair(port.network, port.mac.to_u64()), "router " + id);
  }
}

void RuleMeaning::name(std::uint64_t cookie, std::string text) {
  if (cookie == 0) return;
  if (const auto origin = view_.origins.find(cookie);
      origin != view_.origins.end() && !origin->second.place.empty())
    text += ", " + origin->second.place;
  rows_.emplace(cookie, std::move(text));
}

std::string RuleMeaning::stage(std::uint8_t table) const {
  if (!view_.rules.empty()) return fmt::format("table {}", table);
  const std::string_view name = control::name_of(static_cast<control::Stage>(table));
  return name.empty() ? fmt::format("table {}", table) : std::string(name);
}

std::string RuleMeaning::datapath_named(std::uint64_t metadata) const {
  if (const auto router = routers_.find(metadata); router != routers_.end())
    return "router " + router->second;
  const auto network = networks_.find(metadata);
  return network == networks_.end() ? std::string() : "network " + network->second;
}

std::string RuleMeaning::around(const std::vector<datapath::TraceLine>& lines,
                                std::size_t at) const {
  if (!view_.rules.empty()) return {};
  for (std::size_t i = std::min(at + 1, lines.size()); i-- > 0;) {
    if (lines[i].rule == nullptr) continue;
    const datapath::Rule& rule = lines[i].rule->rule;
    // What a rule does holds behind it, what it matches before.
    for (auto a = rule.actions.rbegin(); i < at && a != rule.actions.rend(); ++a)
      if (a->kind == datapath::ActionKind::set && a->target.field == datapath::Field::metadata)
        return datapath_named(a->value.low);
    if (rule.match.mask.get(place::metadata) == place::metadata.ones())
      return datapath_named(rule.match.value.get(place::metadata));
  }
  return {};
}

std::string RuleMeaning::intent_of(std::uint64_t cookie) const {
  const auto row = rows_.find(cookie);
  return row == rows_.end() ? std::string() : row->second;
}

std::string RuleMeaning::intent(const datapath::Rule& rule) const {
  if (!view_.rules.empty()) return "overlay.rules";
  if (const std::string row = intent_of(rule.cookie); !row.empty()) return row;
  const Match& m = rule.match;
  const auto exactly = [&m](datapath::FieldPlace p) { return m.mask.get(p) == p.ones(); };
  if (!exactly(place::metadata)) return {};
  const std::uint64_t datapath = m.value.get(place::metadata);
  if (const auto router = routers_.find(datapath); router != routers_.end())
    return "router " + router->second;
  const auto network = networks_.find(datapath);
  if (network == networks_.end()) return {};
  const auto look_up = [&](const auto& table, std::uint64_t key) -> std::string {
    const auto found = table.find(std::pair(network->second, key));
    return found == table.end() ? std::string() : found->second;
  };
  std::string about;
  // The next hop, where neighbours are resolved.
  if (exactly(place::reg(4)))
    if (const auto* owner = book_.owner(network->second,
                                        IpAddress(Ip4{static_cast<std::uint32_t>(m.value.reg(4))})))
      about = (owner->router ? "router " : "port ") + owner->name;
  for (const unsigned reg : {15u, 14u})
    if (about.empty() && exactly(place::reg(reg)))
      about = look_up(ports_, m.value.get(place::reg(reg)));
  if (about.empty() && exactly(place::eth_dst)) about = look_up(macs_, m.value.get(place::eth_dst));
  const auto address = [&]() -> std::optional<IpAddress> {
    if (m.mask.get128(place::nd_target) == Ip6{~0ULL, ~0ULL})
      return IpAddress(m.value.get128(place::nd_target));
    if (m.mask.get128(place::ip_dst) == Ip6{~0ULL, ~0ULL} && m.value.is_ip6())
      return IpAddress(m.value.get128(place::ip_dst));
    if (exactly(place::nw_dst))
      return IpAddress(Ip4{static_cast<std::uint32_t>(m.value.get(place::nw_dst))});
    return std::nullopt;
  }();
  if (about.empty() && address)
    if (const auto* owner = book_.owner(network->second, *address))
      about = (owner->router ? "router " : "port ") + owner->name;
  return about.empty() ? "network " + network->second : about;
}

}  // namespace weft::analysis
