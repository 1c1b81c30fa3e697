// Policy rules: {name, allow: {from: web, to: app, tcp: 8080}, priority}.
#include <fmt/format.h>

#include <algorithm>

#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

std::optional<std::uint16_t> port_number(std::string_view text) {
  if (text.empty() || text.size() > 5) return std::nullopt;
  unsigned value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// 8080, "8000-8100", any, or a list of those.
void read_ports(Diagnostics& diag, const YamlNode& node, std::vector<PortRange>& ports) {
  if (node.kind == YamlNode::Kind::sequence) {
    if (node.items.empty()) diag.error(node.place, "an empty list of ports", "`any` is all ports");
    for (const YamlNode* item : node.items) read_ports(diag, *item, ports);
    return;
  }
  const auto text = scalar_text(diag, node, "a port, a range such as 8000-8100, or any");
  if (!text || *text == "any" || *text == "true") return;
  const std::size_t dash = text->find('-');
  const auto first = port_number(trim(std::string_view(*text).substr(0, dash)));
  const auto last = dash == std::string::npos
                        ? first
                        : port_number(trim(std::string_view(*text).substr(dash + 1)));
  if (!first || !last) {
    diag.error(node.place, fmt::format("`{}` is no port", *text),
               "0 to 65535, a range such as 8000-8100, or any");
  } else if (*first > *last) {
    diag.error(node.place, fmt::format("the range {} ends before it begins", *text));
  } else {
    ports.push_back({*first, *last});
  }
}

class RuleReader {
 public:
  RuleReader(Context& context, std::size_t tenant)
      : context_(context), diag_(context.diag), tenant_(tenant) {}

  std::optional<PolicyRuleSpec> read(const YamlNode& node, std::size_t number) {
    PolicyRuleSpec rule;
    rule.place = node.place;
    rule.name = fmt::format("rule-{}", number + 1);
    Reader reader(diag_, node, "policy_rule", "policy rule");
    if (reader.read("name", rule.name)) {
      is_name(diag_, reader.place("name"), rule.name, "policy rule");
      if (rule.name == "default") {
        diag_.error(reader.place("name"), "a rule cannot be named `default`",
                    "policy.default is what no rule matches");
      }
    }
    reader.read_integer("priority", rule.priority, 0, 65535);
    const YamlNode* allow = reader.take("allow");
    const YamlNode* deny = reader.take("deny");
    reader.finish();
    if ((allow == nullptr) == (deny == nullptr)) {
      if (node.kind == YamlNode::Kind::map) {
        diag_.error(node.place, "a rule has either `allow` or `deny`",
                    "for example {name: web-to-app, allow: {from: web, to: app, tcp: 8080}}");
      }
      return std::nullopt;
    }
    rule.allow = allow != nullptr;
    read_match(allow != nullptr ? *allow : *deny, rule);
    return rule;
  }

 private:
  void read_match(const YamlNode& node, PolicyRuleSpec& rule) {
    Reader reader(diag_, node, "policy_match", rule.allow ? "allow" : "deny");
    if (const YamlNode* from = reader.take("from")) read_peer(*from, rule.from);
    if (const YamlNode* to = reader.take("to")) read_peer(*to, rule.to);
    read_protocol(reader, node, "a rule is about one protocol", "make it two rules", rule.protocol,
                  rule.ports);
    reader.finish();
  }

  void read_peer(const YamlNode& node, PeerSpec& peer) {
    const auto text = scalar_text(diag_, node, "a group, a VM, a network, a prefix or any");
    if (!text || *text == "any") return;
    const TenantSpec& tenant = context_.scenario.tenants[tenant_];
    std::string name = *text;
    if (name.rfind(tenant.name + "/", 0) == 0) name = name.substr(tenant.name.size() + 1);
    const auto look = [&](const NameTable& table, PeerSpec::Kind kind) {
      const auto found = table.find(name);
      if (found == table.end()) return false;
      peer.kind = kind;
      peer.index = found->second;
      return true;
    };
    if (look(context_.groups[tenant_], PeerSpec::Kind::group)) return;
    if (look(context_.vms[tenant_], PeerSpec::Kind::vm)) return;
    if (look(context_.networks[tenant_], PeerSpec::Kind::network)) return;
    const bool address = text->find_first_of("./:") != std::string::npos &&
                         text->find_first_not_of("0123456789abcdefABCDEF.:/") == std::string::npos;
    if (address) {
      peer.kind = PeerSpec::Kind::prefix;
      if (text->find('/') != std::string::npos) {
        convert(diag_, node, peer.prefix);
        return;
      }
      IpAddress one;
      if (convert(diag_, node, one)) peer.prefix = {one, one.is6 ? 128 : 32};
      return;
    }
    if (!context_.tenants_whole) return;  // it may be one of what could not be read
    std::vector<std::string> names = names_of(context_.groups[tenant_]);
    for (const auto& n : names_of(context_.networks[tenant_])) names.push_back(n);
    for (const auto& n : names_of(context_.vms[tenant_])) names.push_back(n);
    diag_.error(node.place,
                fmt::format("tenant {} has no group, VM or network `{}`", tenant.name, *text),
                suggest(*text, names));
  }

  Context& context_;
  Diagnostics& diag_;
  std::size_t tenant_;
};

}  // namespace

void read_protocol(Reader& reader, const YamlNode& node, const char* one, const char* remedy,
                   Protocol& protocol, std::vector<PortRange>& ports) {
  Diagnostics& diag = reader.diag();
  int protocols = 0;
  for (auto [key, which] : {std::pair{"tcp", Protocol::tcp}, {"udp", Protocol::udp}}) {
    if (const YamlNode* value = reader.take(key)) {
      protocol = which;
      read_ports(diag, *value, ports);
      ++protocols;
    }
  }
  if (const YamlNode* icmp = reader.take("icmp")) {
    const auto text = scalar_text(diag, *icmp, "any");
    if (text && *text != "any" && *text != "true") {
      diag.error(icmp->place, fmt::format("expected `any`, found `{}`", *text),
                 "ICMP has no ports");
    }
    protocol = Protocol::icmp;
    ++protocols;
  }
  if (const YamlNode* any = reader.take("protocol")) {
    const auto index = convert_choice(diag, *any, "protocol", {"any", "icmp", "tcp", "udp"});
    if (index) protocol = static_cast<Protocol>(*index);
    ++protocols;
  }
  if (protocols > 1) diag.error(node.place, one, remedy);
}

std::vector<PolicyRuleSpec> read_policy_rules(Context& context, const YamlNode& list,
                                              std::size_t tenant) {
  std::vector<PolicyRuleSpec> rules;
  if (!is_list(context.diag, list, "rules")) return rules;
  NameTable names;
  for (const YamlNode* item : list.items) {
    auto rule = RuleReader(context, tenant).read(*item, rules.size());
    if (!rule) continue;
    const auto [found, fresh] = names.emplace(rule->name, rules.size());
    if (!fresh) {
      context.diag.error(rule->place, fmt::format("there are two rules `{}`", rule->name),
                         fmt::format("the other is in line {}", rules[found->second].place.line));
    }
    rules.push_back(std::move(*rule));
  }
  return rules;
}

}  // namespace weft::scenarios
