#include <fmt/format.h>

#include "scenarios/import/nbctl_runner.h"

namespace weft::imports {
namespace {

/// The table that a command's name begins with.
std::string_view table_of(std::string_view command) {
  constexpr std::pair<std::string_view, std::string_view> kTables[] = {
      {"lsp-", "Logical_Switch_Port"},
      {"ls-", "Logical_Switch"},
      {"lrp-", "Logical_Router_Port"},
      {"lr-", "Logical_Router"},
      {"lb-", "Load_Balancer"},
      {"pg-", "Port_Group"},
      {"meter-", "Meter"},
      {"mirror-", "Mirror"},
      {"dhcp-options-", "DHCP_Options"},
      {"ha-chassis-group-", "HA_Chassis_Group"}};
  for (const auto& [prefix, table] : kTables)
    if (command.starts_with(prefix)) return table;
  return {};
}

std::pair<std::string, std::string> cut(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, {}};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace

void Runner::ls_add(const Call& call) {
  if (call.has("--may-exist") && call.has("--add-duplicate"))
    return error(call.name, "--may-exist and --add-duplicate exclude each other");
  if (!call.args.empty() && !call.has("--add-duplicate") &&
      !store_.named("Logical_Switch", call.arg(0)).empty()) {
    if (!call.has("--may-exist"))
      error(call.args[0], fmt::format("there is a Logical_Switch '{}' already", call.arg(0)),
            "--may-exist if that is right");
    return;
  }
  put(create("Logical_Switch", place_), "name", call.arg(0));
}

void Runner::delete_named(const Call& call) {
  const std::string_view table = table_of(call.name.text);
  if (call.args.empty()) {
    while (!store_.rows(table).empty()) store_.erase(*store_.rows(table).begin()->second);
    return;
  }
  if (NbRow* row = find(table, call.args[0], call.has("--if-exists"))) store_.erase(*row);
}

void Runner::lsp_add(const Call& call) {
  NbRow* ls = find("Logical_Switch", call.args[0]);
  if (ls == nullptr) return;
  if (call.args.size() == 3)
    return error(call.args[2], "a parent needs the tag of its child",
                 "lsp-add SWITCH PORT PARENT TAG");
  if (call.args.size() == 4 && !is_number(call.args[3], 0, 4095, "VLAN tag")) return;
  const auto same = store_.named("Logical_Switch_Port", call.arg(1));
  if (!same.empty()) {
    if (!call.has("--may-exist"))
      return error(call.args[1], fmt::format("there is a port '{}' already", call.arg(1)),
                   "--may-exist if that is right");
    if (!ls->get("ports").contains(same.front()->uuid))
      error(call.args[1], fmt::format("the port '{}' is on another switch", call.arg(1)));
    return;
  }
  NbRow& port = create("Logical_Switch_Port", place_);
  put(port, "name", call.arg(1));
  put(port, "parent_name", call.arg(2));
  put(port, "tag_request", call.arg(3));
  put_into(*ls, "ports", port.uuid);
}

void Runner::lsp_del(const Call& call) {
  NbRow* port = find("Logical_Switch_Port", call.args[0], call.has("--if-exists"));
  if (port == nullptr) return;
  for (NbRow* ls : store_.referrers("Logical_Switch", "ports", port->uuid))
    take_from(*ls, "ports", port->uuid);
  store_.erase(*port);
}

void Runner::lsp_set_list(const Call& call) {
  NbRow* port = find("Logical_Switch_Port", call.args[0]);
  if (port == nullptr) return;
  Datum values;
  for (std::size_t i = 1; i < call.args.size(); ++i) values[call.arg(i)];
  put(*port, call.name.text == "lsp-set-addresses" ? "addresses" : "port_security",
      std::move(values));
}

void Runner::lsp_set_type(const Call& call) {
  if (NbRow* port = find("Logical_Switch_Port", call.args[0])) put(*port, "type", call.arg(1));
}

void Runner::set_options(const Call& call) {
  NbRow* row = find(table_of(call.name.text), call.args[0]);
  if (row == nullptr) return;
  Datum options;
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    const auto [key, value] = cut(call.arg(i));
    if (call.arg(i).find('=') == std::string::npos)
      return error(call.args[i], fmt::format("'{}' is not KEY=VALUE", call.arg(i)));
    options[key] = value;
  }
  put(*row, "options", std::move(options));
}

void Runner::set_enabled(const Call& call) {
  NbRow* row = find(table_of(call.name.text), call.args[0]);
  if (row != nullptr && is_choice(call.args[1], {"enabled", "disabled"}))
    put(*row, "enabled", std::string(call.arg(1) == "enabled" ? "true" : "false"));
}

void Runner::lsp_set_dhcp(const Call& call) {
  NbRow* port = find("Logical_Switch_Port", call.args[0]);
  if (port == nullptr) return;
  std::string uuid;
  if (call.args.size() > 1) {
    const NbRow* dhcp = record(*nb_table("DHCP_Options"), call.args[1]);
    if (dhcp == nullptr) return;
    uuid = dhcp->uuid;
  }
  put(*port, call.name.text == "lsp-set-dhcpv4-options" ? "dhcpv4_options" : "dhcpv6_options",
      uuid);
}

void Runner::lsp_mirror(const Call& call) {
  NbRow* port = find("Logical_Switch_Port", call.args[0]);
  const NbRow* mirror = find("Mirror", call.args[1]);
  if (port == nullptr || mirror == nullptr) return;
  const bool attached = port->get("mirror_rules").contains(mirror->uuid);
  if (call.name.text == "lsp-attach-mirror") {
    if (attached && !call.has("--may-exist"))
      return error(call.args[1], fmt::format("the mirror '{}' is attached already", call.arg(1)));
    put_into(*port, "mirror_rules", mirror->uuid);
  } else {
    take_from(*port, "mirror_rules", mirror->uuid);
  }
}

std::string Runner::direction(const Word& word) {
  if (word.text.starts_with('t')) return "to-lport";
  if (word.text.starts_with('f')) return "from-lport";
  error(word, fmt::format("'{}' is neither to-lport nor from-lport", word.text));
  return {};
}

NbRow* Runner::acl_owner(const Call& call) {
  const std::string type = call.option("--type");
  if (type == "switch") return find("Logical_Switch", call.args[0]);
  if (type == "port-group") return find("Port_Group", call.args[0]);
  if (!type.empty()) {
    error(call.options.find("--type")->second,
          fmt::format("'{}' is neither switch nor port-group", type));
    return nullptr;
  }
  NbRow* ls = find("Logical_Switch", call.args[0], true);
  NbRow* group = find("Port_Group", call.args[0], true);
  if (ls != nullptr && group != nullptr) {
    error(call.args[0], fmt::format("'{}' is a switch and a port group", call.arg(0)),
          "--type=switch or --type=port-group says which is meant");
    return nullptr;
  }
  if (group != nullptr) return group;
  return ls != nullptr ? ls : find("Logical_Switch", call.args[0]);
}

void Runner::acl_add(const Call& call) {
  NbRow* owner = acl_owner(call);
  if (owner == nullptr) return;
  const std::string way = direction(call.args[1]);
  if (way.empty() || !is_number(call.args[2], 0, 32767, "priority") ||
      !is_choice(call.args[4],
                 {"allow", "allow-related", "allow-stateless", "drop", "reject", "pass"}))
    return;
  const std::string priority = *canonical_atom(AtomType::integer, call.arg(2));
  for (NbRow* same : children(*owner, "acls")) {
    if (same->text("direction") != way || std::to_string(same->number("priority")) != priority ||
        same->text("match") != call.arg(3))
      continue;
    if (!call.has("--may-exist"))
      error(call.name, fmt::format("'{}' has such an ACL already", call.arg(0)),
            "--may-exist if that is right");
    return;
  }
  if (call.has("--tier") && !is_number(call.options.find("--tier")->second, 0, 3, "tier")) return;
  if (call.has("--label") &&
      !is_number(call.options.find("--label")->second, 0, 4294967295, "label"))
    return;
  NbRow& acl = create("ACL", place_);
  put(acl, "direction", way);
  put(acl, "priority", priority);
  put(acl, "match", call.arg(3));
  put(acl, "action", call.arg(4));
  put(acl, "name", call.option("--name"));
  put(acl, "severity", call.option("--severity"));
  put(acl, "meter", call.option("--meter"));
  put(acl, "tier", call.option("--tier"));
  put(acl, "label", call.option("--label"));
  if (call.has("--log") || call.has("--name") || call.has("--severity") || call.has("--meter"))
    put(acl, "log", std::string("true"));
  if (call.has("--apply-after-lb")) put_into(acl, "options", "apply-after-lb", "true");
  put_into(*owner, "acls", acl.uuid);
}

void Runner::acl_del(const Call& call) {
  NbRow* owner = acl_owner(call);
  if (owner == nullptr) return;
  if (call.args.size() == 3)
    return error(call.args[2], "a priority needs a match",
                 "acl-del OWNER DIRECTION PRIORITY MATCH");
  const std::string way = call.args.size() > 1 ? direction(call.args[1]) : std::string();
  if (call.args.size() > 1 && way.empty()) return;
  for (NbRow* acl : children(*owner, "acls")) {
    if (!way.empty() && acl->text("direction") != way) continue;
    if (call.args.size() > 3 && (std::to_string(acl->number("priority")) != call.arg(2) ||
                                 acl->text("match") != call.arg(3)))
      continue;
    take_from(*owner, "acls", acl->uuid);
  }
}

void Runner::qos_add(const Call& call) {
  NbRow* ls = find("Logical_Switch", call.args[0]);
  if (ls == nullptr) return;
  const std::string way = direction(call.args[1]);
  if (way.empty() || !is_number(call.args[2], 0, 32767, "priority")) return;
  Datum action, bandwidth;
  for (std::size_t i = 4; i < call.args.size(); ++i) {
    auto [key, value] = cut(call.arg(i));
    const Word number{value, call.args[i].place};
    if (key == "dscp") {
      if (!is_number(number, 0, 63, "DSCP")) return;
      action[key] = value;
    } else if (key == "mark") {
      if (!is_number(number, 0, 4294967295, "mark")) return;
      action[key] = value;
    } else if (key == "rate" || key == "burst") {
      if (!is_number(number, 1, 4294967295, key)) return;
      bandwidth[key] = value;
    } else {
      return error(call.args[i], fmt::format("'{}' is none of dscp=, rate=, burst=", call.arg(i)));
    }
  }
  if (action.empty() && !bandwidth.contains("rate"))
    return error(call.name, "a QoS rule marks (dscp=) or limits (rate=)");
  for (NbRow* same : children(*ls, "qos_rules")) {
    if (same->text("direction") != way || same->text("match") != call.arg(3) ||
        std::to_string(same->number("priority")) != call.arg(2))
      continue;
    if (!call.has("--may-exist"))
      error(call.name, fmt::format("'{}' has such a QoS rule already", call.arg(0)),
            "--may-exist if that is right");
    return;
  }
  NbRow& qos = create("QoS", place_);
  put(qos, "direction", way);
  put(qos, "priority", *canonical_atom(AtomType::integer, call.arg(2)));
  put(qos, "match", call.arg(3));
  put(qos, "action", std::move(action));
  put(qos, "bandwidth", std::move(bandwidth));
  put_into(*ls, "qos_rules", qos.uuid);
}

void Runner::qos_del(const Call& call) {
  NbRow* ls = find("Logical_Switch", call.args[0]);
  if (ls == nullptr) return;
  if (call.args.size() > 1 && is_uuid(call.arg(1))) return take_from(*ls, "qos_rules", call.arg(1));
  if (call.args.size() == 3) return error(call.args[2], "a priority needs a match");
  const std::string way = call.args.size() > 1 ? direction(call.args[1]) : std::string();
  if (call.args.size() > 1 && way.empty()) return;
  for (NbRow* qos : children(*ls, "qos_rules")) {
    if (!way.empty() && qos->text("direction") != way) continue;
    if (call.args.size() > 3 && (std::to_string(qos->number("priority")) != call.arg(2) ||
                                 qos->text("match") != call.arg(3)))
      continue;
    take_from(*ls, "qos_rules", qos->uuid);
  }
}

void Runner::pg_add(const Call& call) {
  const auto same = store_.named("Port_Group", call.arg(0));
  if (!same.empty() && !call.has("--may-exist"))
    return error(call.args[0], fmt::format("there is a Port_Group '{}' already", call.arg(0)));
  NbRow& group = same.empty() ? create("Port_Group", place_) : *same.front();
  put(group, "name", call.arg(0));
  pg_set_ports(call);
}

void Runner::pg_set_ports(const Call& call) {
  NbRow* group = find("Port_Group", call.args[0]);
  if (group == nullptr) return;
  Datum ports;
  for (std::size_t i = 1; i < call.args.size(); ++i)
    if (const NbRow* port = find("Logical_Switch_Port", call.args[i])) ports[port->uuid];
  put(*group, "ports", std::move(ports));
}

void Runner::meter_add(const Call& call) {
  if (!is_choice(call.args[1], {"drop"}) || !is_choice(call.args[3], {"kbps", "pktps"}) ||
      !is_number(call.args[2], 1, 4294967295, "rate"))
    return;
  if (!store_.named("Meter", call.arg(0)).empty())
    return error(call.args[0], fmt::format("there is a Meter '{}' already", call.arg(0)));
  NbRow& band = create("Meter_Band", place_);
  put(band, "action", std::string("drop"));
  put(band, "rate", call.arg(2));
  if (call.args.size() > 4 && is_number(call.args[4], 0, 4294967295, "burst"))
    put(band, "burst_size", call.arg(4));
  NbRow& meter = create("Meter", place_);
  put(meter, "name", call.arg(0));
  put(meter, "unit", call.arg(3));
  if (call.has("--fair")) put(meter, "fair", std::string("true"));
  put_into(meter, "bands", band.uuid);
}

void Runner::mirror_add(const Call& call) {
  if (!is_choice(call.args[1], {"gre", "erspan", "local", "lport"})) return;
  const bool tunnel = call.arg(1) == "gre" || call.arg(1) == "erspan";
  // Mirrors within the host have no index: mirror-add NAME local FILTER SINK.
  const std::size_t shift = call.args.size() == 5 ? 1 : 0;
  if (tunnel && shift == 0)
    return error(call.name, "a mirror through a tunnel has an index",
                 "mirror-add NAME TYPE INDEX FILTER DESTINATION");
  if (!is_choice(call.args[2 + shift], {"from-lport", "to-lport", "both"})) return;
  if (shift == 1 && !is_number(call.args[2], 0, 4294967295, "index")) return;
  if (!store_.named("Mirror", call.arg(0)).empty()) {
    if (!call.has("--may-exist"))
      error(call.args[0], fmt::format("there is a Mirror '{}' already", call.arg(0)));
    return;
  }
  NbRow& mirror = create("Mirror", place_);
  put(mirror, "name", call.arg(0));
  put(mirror, "type", call.arg(1));
  if (shift == 1) put(mirror, "index", *canonical_atom(AtomType::integer, call.arg(2)));
  put(mirror, "filter", call.arg(2 + shift));
  put(mirror, "sink", call.arg(3 + shift));
}

void Runner::dhcp_create(const Call& call) {
  put(create("DHCP_Options", place_), "cidr", call.arg(0));
}

void Runner::lb_add(const Call& call) {
  if (call.args.size() > 3 && !is_choice(call.args[3], {"tcp", "udp", "sctp"})) return;
  const auto same = store_.named("Load_Balancer", call.arg(0));
  if (same.size() > 1 && !call.has("--add-duplicate")) {
    find("Load_Balancer", call.args[0]);
    return;
  }
  const std::string& vip = call.args[1].text;
  const bool with_port =
      vip.starts_with('[') ? vip.find("]:") != std::string::npos
                           : vip.find(':') == vip.rfind(':') && vip.find(':') != std::string::npos;
  if (!with_port && call.args.size() > 3)
    return error(call.args[3], "a protocol is for a virtual address with a port");
  const bool fresh = same.empty() || call.has("--add-duplicate");
  if (!fresh && same.front()->get("vips").contains(vip) && !call.has("--may-exist"))
    return error(call.args[1],
                 fmt::format("'{}' has the virtual address {} already", call.arg(0), vip),
                 "--may-exist to replace its backends");
  NbRow& lb = fresh ? create("Load_Balancer", place_) : *same.front();
  put(lb, "name", call.arg(0));
  std::string backends;
  for (char c : call.arg(2))
    if (c != ' ') backends += c;
  put_into(lb, "vips", vip, backends);
  if (fresh || call.args.size() > 3)
    put(lb, "protocol", call.args.size() > 3 ? call.arg(3) : std::string("tcp"));
  if (call.has("--reject")) put_into(lb, "options", "reject", "true");
  if (call.has("--event")) put_into(lb, "options", "event", "true");
  if (call.has("--add-route")) put_into(lb, "options", "add_route", "true");
}

void Runner::lb_del(const Call& call) {
  NbRow* lb = find("Load_Balancer", call.args[0], call.has("--if-exists"));
  if (lb == nullptr) return;
  if (call.args.size() > 1) {
    if (!lb->get("vips").contains(call.arg(1)) && !call.has("--if-exists"))
      return error(call.args[1],
                   fmt::format("'{}' has no virtual address {}", call.arg(0), call.arg(1)));
    take_from(*lb, "vips", call.arg(1));
    if (lb->has("vips")) return;
  }
  store_.erase(*lb);
}

void Runner::attach_lb(const Call& call) {
  NbRow* row = find(table_of(call.name.text), call.args[0]);
  const NbRow* lb = find("Load_Balancer", call.args[1]);
  if (row == nullptr || lb == nullptr) return;
  if (row->get("load_balancer").contains(lb->uuid) && !call.has("--may-exist"))
    return error(call.args[1],
                 fmt::format("'{}' has load balancer '{}' already", call.arg(0), call.arg(1)),
                 "--may-exist if that is right");
  put_into(*row, "load_balancer", lb->uuid);
}

void Runner::detach_lb(const Call& call) {
  NbRow* row = find(table_of(call.name.text), call.args[0]);
  if (row == nullptr) return;
  if (call.args.size() == 1) return put(*row, "load_balancer", Datum{});
  const NbRow* lb = find("Load_Balancer", call.args[1], call.has("--if-exists"));
  if (lb == nullptr) return;
  if (!row->get("load_balancer").contains(lb->uuid) && !call.has("--if-exists"))
    return error(call.args[1],
                 fmt::format("'{}' has no load balancer '{}'", call.arg(0), call.arg(1)));
  take_from(*row, "load_balancer", lb->uuid);
}

}  // namespace weft::imports
