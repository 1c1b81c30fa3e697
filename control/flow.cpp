#include "control/flow.h"

#include <fmt/format.h>

#include <charconv>

#include "control/encoding.h"

namespace weft::control {

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::admit:
      return "admit";
    case Stage::port_security:
      return "port-security";
    case Stage::mirror_from:
      return "mirror-from";
    case Stage::from_port_ct:
      return "from-port-ct";
    case Stage::from_port_state:
      return "from-port-state";
    case Stage::from_classify:
      return "from-classify";
    case Stage::from_policy:
      return "from-policy";
    case Stage::from_shape:
      return "from-shape";
    case Stage::balance:
      return "balance";
    case Stage::from_commit:
      return "from-commit";
    case Stage::to_backend:
      return "to-backend";
    case Stage::responder:
      return "responder";
    case Stage::services:
      return "services";
    case Stage::affinity:
      return "affinity";
    case Stage::to_router:
      return "to-router";
    case Stage::router_input:
      return "router-input";
    case Stage::router_undo:
      return "router-undo";
    case Stage::router_dnat:
      return "router-dnat";
    case Stage::router_translate:
      return "router-translate";
    case Stage::router_balance:
      return "router-balance";
    case Stage::route:
      return "route";
    case Stage::route_member:
      return "route-member";
    case Stage::reroute:
      return "reroute";
    case Stage::reroute_member:
      return "reroute-member";
    case Stage::router_egress:
      return "router-egress";
    case Stage::router_undnat:
      return "router-undnat";
    case Stage::router_snat:
      return "router-snat";
    case Stage::router_output:
      return "router-output";
    case Stage::resolve:
      return "resolve";
    case Stage::l2_lookup:
      return "l2-lookup";
    case Stage::neighbour:
      return "neighbour";
    case Stage::neighbour_found:
      return "neighbour-found";
    case Stage::locate:
      return "locate";
    case Stage::encapsulate:
      return "encapsulate";
    case Stage::from_tunnel:
      return "from-tunnel";
    case Stage::to_port_ct:
      return "to-port-ct";
    case Stage::to_port_state:
      return "to-port-state";
    case Stage::classify:
      return "classify";
    case Stage::policy:
      return "policy";
    case Stage::shape:
      return "shape";
    case Stage::commit:
      return "commit";
    case Stage::mirror_to:
      return "mirror-to";
    case Stage::deliver:
      return "deliver";
  }
  return {};
}

std::string RuleKey::text() const {
  if (table >= kMeterTable) return match;
  return fmt::format("table={},priority={}{}{}", table, priority, match.empty() ? "" : ",", match);
}

Flow stage_flow(Stage stage, int priority, std::string match, std::string actions) {
  return {
      {static_cast<std::uint8_t>(stage), static_cast<std::uint16_t>(priority), std::move(match)},
      {cookie_of(stage), std::move(actions)}};
}

Flow group_flow(std::uint32_t id, std::string body) {
  return {{kGroupTable, 0, fmt::format("group_id={}", id)}, {0, std::move(body)}};
}

Flow meter_flow(std::uint32_t id, std::string body) {
  return {{kMeterTable, 0, fmt::format("meter={}", id)}, {0, std::move(body)}};
}

std::string removal_of(std::string_view key) {
  if (key.starts_with("group_id=")) return fmt::format("group delete {}", key);
  if (key.starts_with("meter=")) return fmt::format("meter delete {}", key);
  return fmt::format("delete_strict {}", key);
}

std::string rule_text(const RuleKey& key, const RuleBody& body) {
  if (key.table >= kMeterTable) return fmt::format("{},{}", key.match, body.actions);
  return fmt::format("cookie=0x{:x},{},actions={}", body.cookie, key.text(), body.actions);
}

std::optional<Flow> parse_rule_text(std::string_view text) {
  const auto skip = [&](std::string_view what) {
    if (!text.starts_with(what)) return false;
    text.remove_prefix(what.size());
    return true;
  };
  const auto number = [&](auto& value, int base) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return error == std::errc{};
  };
  Flow flow;
  const bool group = text.starts_with("group_id=");
  if (group || text.starts_with("meter=")) {
    const auto comma = text.find(',');
    if (comma == std::string_view::npos) return std::nullopt;
    flow.key = {group ? kGroupTable : kMeterTable, 0, std::string(text.substr(0, comma))};
    flow.body.actions = text.substr(comma + 1);
    return flow;
  }
  if (!skip("cookie=0x") || !number(flow.body.cookie, 16) || !skip(",table=") ||
      !number(flow.key.table, 10) || !skip(",priority=") || !number(flow.key.priority, 10))
    return std::nullopt;
  const auto actions = text.find(",actions=");
  if (actions == std::string_view::npos) return std::nullopt;
  if (actions > 0) {
    if (text[0] != ',') return std::nullopt;
    flow.key.match = text.substr(1, actions - 1);
  }
  flow.body.actions = text.substr(actions + 9);
  return flow;
}

std::string encode_flows(const std::vector<Flow>& flows) {
  std::string out;
  Writer w(out);
  w.u32(static_cast<std::uint32_t>(flows.size()));
  for (const Flow& f : flows) {
    w.u8(f.key.table);
    w.u16(f.key.priority);
    w.u64(f.body.cookie);
    w.text(f.key.match);
    w.text(f.body.actions);
  }
  return out;
}

std::optional<std::vector<Flow>> decode_flows(std::string_view bytes) {
  Reader r(bytes);
  std::vector<Flow> flows;
  const std::uint32_t n = r.count(19);
  flows.reserve(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    Flow& f = flows.emplace_back();
    f.key.table = r.u8();
    f.key.priority = r.u16();
    f.body.cookie = r.u64();
    f.key.match = r.text();
    f.body.actions = r.text();
  }
  if (!r.finished()) return std::nullopt;
  return flows;
}

std::string go_to(Stage stage) {
  return fmt::format("resubmit(,{})", static_cast<unsigned>(stage));
}

}  // namespace weft::control
