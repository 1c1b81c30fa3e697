// The underlay: leaf-spine from numbers, named nodes and links, GraphML, or all of them together.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "scenarios/loader/graphml.h"
#include "scenarios/loader/ports.h"
#include "scenarios/loader/sections.h"

namespace weft::scenarios {

std::vector<std::string> names_of(const NameTable& table) {
  std::vector<std::string> names;
  names.reserve(table.size());
  for (const auto& [name, index] : table) names.push_back(name);
  return names;
}

namespace {

const std::vector<std::string> kNodeKinds{"router", "switch", "hub", "host", "hypervisor"};
constexpr NodeKind kKindOf[] = {NodeKind::router, NodeKind::bridge, NodeKind::hub, NodeKind::host,
                                NodeKind::hypervisor};

void read_ecn(Diagnostics& diag, const YamlNode& node, LinkSpec& link) {
  Reader reader(diag, node, "ecn", "ecn");
  EcnSpec ecn;
  if (reader.require("min")) reader.read("min", ecn.min);
  if (reader.require("max")) reader.read("max", ecn.max);
  reader.finish();
  if (ecn.min > ecn.max) {
    diag.error(reader.place("min"), "ecn: `min` is above `max`",
               "marking begins at min and is certain from max on");
  }
  link.ecn = ecn;
}

/// "10.0.0.1/24" -> address and length, host bits kept.
bool read_interface_address(Diagnostics& diag, const YamlNode& node, IpAddress& address,
                            int& length) {
  const auto text = scalar_text(diag, node, "an address with its prefix length, as 10.0.0.1/24");
  if (!text) return false;
  const std::size_t slash = text->find('/');
  const auto parsed = parse_ip(std::string_view(*text).substr(0, slash));
  if (!parsed) {
    diag.error(node.place, parsed.error().message, parsed.error().remedy);
    return false;
  }
  address = *parsed;
  length = parsed->is6 ? 64 : 24;
  if (slash == std::string::npos) return true;
  const std::string digits = text->substr(slash + 1);
  const int longest = parsed->is6 ? 128 : 32;
  const bool good = !digits.empty() && digits.size() <= 3 &&
                    digits.find_first_not_of("0123456789") == std::string::npos;
  length = good ? std::stoi(digits) : -1;
  if (length >= 1 && length <= longest) return true;
  diag.error(node.place, fmt::format("`/{}` is no prefix length", digits),
             fmt::format("from /1 to /{}", longest));
  return false;
}

void build_leaf_spine(Context& context, const YamlNode& section, const LinkSpec& host_link,
                      const LinkSpec& fabric_link, std::optional<ByteCount> memory) {
  UnderlaySpec& underlay = context.scenario.underlay;
  Reader reader(context.diag, section, "leaf_spine", "leaf_spine");
  const std::size_t errors = context.diag.count();
  for (const char* key : {"spines", "leaves", "hosts_per_leaf"}) reader.require(key);
  reader.read_integer("spines", underlay.spines, 1, 1024);
  reader.read_integer("leaves", underlay.leaves, 1, 16384);
  reader.read_integer("hosts_per_leaf", underlay.hosts_per_leaf, 1, 16384);
  NodeKind kind = NodeKind::hypervisor;
  reader.read_choice("hosts", kind,
                     {{"hypervisor", NodeKind::hypervisor}, {"host", NodeKind::host}});
  reader.finish();
  if (context.diag.count() != errors) return;

  const std::uint64_t hosts = std::uint64_t{underlay.leaves} * underlay.hosts_per_leaf;
  const std::uint64_t links = hosts + std::uint64_t{underlay.leaves} * underlay.spines;
  if (hosts > kMaxHosts || links > kMaxLinks) {
    context.diag.error(
        section.place,
        fmt::format("{} hosts and {} links: above the limit of {} and {}", format_count(hosts),
                    format_count(links), format_count(kMaxHosts), format_count(kMaxLinks)));
    return;
  }
  underlay.leaf_spine = true;
  NodeSpec node;
  node.place = section.place;
  std::vector<std::size_t> leaves, spines;
  for (std::uint32_t s = 1; s <= underlay.spines; ++s) {
    node.name = fmt::format("spine-{}", s);
    if (const auto index = add_node(context, node)) spines.push_back(*index);
  }
  for (std::uint32_t l = 1; l <= underlay.leaves; ++l) {
    node.name = fmt::format("leaf-{}", l);
    if (const auto index = add_node(context, node)) leaves.push_back(*index);
  }
  const auto connect = [&](const LinkSpec& like, std::size_t a, std::size_t b) {
    LinkSpec link = like;
    link.name.clear();
    link.a = a;
    link.b = b;
    link.place = section.place;
    add_link(context, std::move(link));
  };
  for (const std::size_t leaf : leaves) {
    for (const std::size_t spine : spines) connect(fabric_link, leaf, spine);
  }
  node.kind = kind;
  if (kind == NodeKind::hypervisor) node.memory = memory;
  const char* const prefix = kind == NodeKind::hypervisor ? "hv" : "host";
  for (std::uint32_t l = 0; l < leaves.size(); ++l) {
    node.leaf = leaves[l];
    for (std::uint32_t n = 1; n <= underlay.hosts_per_leaf; ++n) {
      node.name = fmt::format("{}-{}-{}", prefix, l + 1, n);
      if (const auto index = add_node(context, node)) connect(host_link, leaves[l], *index);
    }
  }
}

struct PendingInterface {
  std::size_t node;
  const YamlNode::Entry* entry;
};

void read_nodes(Context& context, const YamlNode& section, std::optional<ByteCount> memory,
                std::vector<PendingInterface>& interfaces) {
  if (!is_map(context.diag, section, "nodes")) return;
  for (const YamlNode::Entry& entry : section.entries) {
    if (!is_name(context.diag, entry.place, entry.key, "node")) continue;
    NodeSpec node;
    node.name = entry.key;
    node.place = entry.place;
    Reader reader(context.diag, *entry.value, "node", "node " + entry.key);
    std::size_t kind = 0;
    if (const YamlNode* value = reader.require("kind")) {
      kind = convert_choice(context.diag, *value, "kind of node", kNodeKinds).value_or(0);
    }
    node.kind = kKindOf[kind];
    if (const YamlNode* ip = reader.take("ip")) {
      IpAddress address;
      if (read_interface_address(context.diag, *ip, address, node.prefix_length)) {
        node.address = address;
        if (node.kind == NodeKind::bridge || node.kind == NodeKind::hub) {
          context.diag.error(ip->place, fmt::format("a {} has no address", kNodeKinds[kind]),
                             "it moves frames, not IP packets; `kind: router` has addresses");
        } else if (address.is6 != context.scenario.underlay.ipv6) {
          context.diag.error(ip->place,
                             fmt::format("{} is not of the underlay's family ({})", address.text(),
                                         context.scenario.underlay.ipv6 ? "ipv6" : "ipv4"),
                             "`family:` of the underlay says which it is");
        }
      }
    }
    reader.read("gateway", node.gateway);
    reader.read("mac", node.mac);
    if (node.kind == NodeKind::hypervisor) node.memory = memory;
    reader.read("memory", node.memory);
    const YamlNode* addresses = reader.take("interfaces");
    reader.finish();
    const auto index = add_node(context, std::move(node));
    if (addresses == nullptr || !index) continue;
    if (kKindOf[kind] != NodeKind::router) {
      context.diag.error(addresses->place, "only a router has `interfaces`", "a host has one `ip`");
    } else if (is_map(context.diag, *addresses, "interfaces")) {
      for (const auto& one : addresses->entries) interfaces.push_back({*index, &one});
    }
  }
}

/// The two ends of "a--b" or of [a, b].
bool read_ends(Context& context, const YamlNode& value, LinkSpec& link) {
  std::vector<YamlNode> ends;
  if (value.kind == YamlNode::Kind::sequence) {
    for (const YamlNode* item : value.items) ends.push_back(*item);
  } else if (const auto text = scalar_text(context.diag, value, "a link such as `h1--sw`")) {
    const std::size_t dashes = text->find("--");
    YamlNode end = value;
    end.text = text->substr(0, dashes);
    ends.push_back(end);
    if (dashes != std::string::npos) {
      end.text = text->substr(dashes + 2);
      ends.push_back(end);
    }
  } else {
    return false;
  }
  if (ends.size() != 2) {
    context.diag.error(value.place, fmt::format("a link has two ends, found {}", ends.size()),
                       "write `h1--sw` or {between: [h1, sw]}");
    return false;
  }
  const auto a = resolve_node(context, ends[0], "node");
  const auto b = resolve_node(context, ends[1], "node");
  if (!a || !b) return false;
  if (*a == *b) {
    context.diag.error(value.place, fmt::format("a link from `{}` to itself", ends[0].text));
    return false;
  }
  link.a = *a;
  link.b = *b;
  return true;
}

void read_links(Context& context, const YamlNode& section, const LinkSpec& host_link,
                const LinkSpec& fabric_link) {
  if (!is_list(context.diag, section, "links")) return;
  for (const YamlNode* item : section.items) {
    LinkSpec ends;
    if (item->kind == YamlNode::Kind::map) {
      Reader reader(context.diag, *item, "link", "link");
      const YamlNode* between = reader.require("between");
      bool good = between != nullptr && read_ends(context, *between, ends);
      LinkSpec link = host_link;
      if (good) {
        const auto& nodes = context.scenario.underlay.nodes;
        if (!is_machine(nodes[ends.a]) && !is_machine(nodes[ends.b])) link = fabric_link;
        link.a = ends.a;
        link.b = ends.b;
      }
      if (reader.read("name", link.name)) {
        // A name like those we give, A--B, is allowed: GraphML that was written here has them.
        const std::size_t dashes = link.name.find("--");
        const Place place = reader.place("name");
        const std::string_view name = link.name;
        is_name(context.diag, place, name.substr(0, dashes), "link");
        if (dashes != std::string::npos) {
          is_name(context.diag, place, name.substr(dashes + 2), "link");
        }
      }
      read_link_keys(reader, link);
      reader.finish();
      link.place = item->place;
      if (good) add_link(context, std::move(link));
    } else if (read_ends(context, *item, ends)) {
      const auto& nodes = context.scenario.underlay.nodes;
      const bool machine = is_machine(nodes[ends.a]) || is_machine(nodes[ends.b]);
      LinkSpec link = machine ? host_link : fabric_link;
      link.a = ends.a;
      link.b = ends.b;
      link.place = item->place;
      add_link(context, std::move(link));
    }
  }
}

void read_overrides(Context& context, const YamlNode& section) {
  if (!is_map(context.diag, section, "overrides")) return;
  for (const YamlNode::Entry& entry : section.entries) {
    YamlNode name;
    name.kind = YamlNode::Kind::scalar;
    name.text = entry.key;
    name.place = entry.place;
    const auto index = resolve_link(context, name);
    LinkSpec unused;
    LinkSpec& link = index ? context.scenario.underlay.links[*index] : unused;
    Reader reader(context.diag, *entry.value, "link_keys", "link " + entry.key);
    read_link_keys(reader, link);
    reader.finish();
  }
}

std::optional<GraphTree> read_graphml(Context& context, const YamlNode& value) {
  const auto name = scalar_text(context.diag, value, "the name of a GraphML file");
  if (!name) return std::nullopt;
  const std::string path = (*name)[0] == '/' ? *name : context.folder + *name;
  const auto text = read_text_file(path);
  if (!text) {
    context.diag.error(value.place, fmt::format("`{}` {}", path, text.error().message),
                       "the name counts from the scenario's folder");
    return std::nullopt;
  }
  context.scenario.graph = *text;
  auto tree = parse_graphml(*text, path);
  if (!tree) {
    context.diag.error(tree.error().place, tree.error().message, tree.error().remedy);
    return std::nullopt;
  }
  return std::move(tree).value();
}

void resolve_interfaces(Context& context, const std::vector<PendingInterface>& pending) {
  UnderlaySpec& underlay = context.scenario.underlay;
  for (const auto& [node, entry] : pending) {
    std::optional<std::size_t> link;
    std::vector<std::string> peers;
    for (std::size_t i = 0; i < underlay.links.size(); ++i) {
      const LinkSpec& l = underlay.links[i];
      if (l.a != node && l.b != node) continue;
      const std::string& peer = underlay.nodes[l.a == node ? l.b : l.a].name;
      peers.push_back(peer);
      if (entry->key == peer || entry->key == l.name) link = i;
    }
    if (!link) {
      context.diag.error(
          entry->place,
          fmt::format("`{}` has no link to `{}`", underlay.nodes[node].name, entry->key),
          suggest(entry->key, peers));
      continue;
    }
    InterfaceSpec interface { *link, {}, 0 };
    if (!read_interface_address(context.diag, *entry->value, interface.address,
                                interface.prefix_length)) {
      continue;
    }
    if (interface.address.is6 != underlay.ipv6) {
      context.diag.error(entry->value->place, fmt::format("{} is not of the underlay's family",
                                                          interface.address.text()));
    }
    underlay.nodes[node].interfaces.push_back(interface);
  }
}

void mark_parallel_links(UnderlaySpec& underlay) {
  std::map<std::pair<std::size_t, std::size_t>, std::vector<LinkSpec*>> between;
  for (LinkSpec& link : underlay.links) between[std::minmax(link.a, link.b)].push_back(&link);
  for (const auto& [nodes, links] : between)
    for (LinkSpec* link : links) link->parallel = links.size() > 1;
}

void check_links_of_machines(Context& context) {
  const UnderlaySpec& underlay = context.scenario.underlay;
  std::vector<int> degree(underlay.nodes.size(), 0);
  for (const LinkSpec& link : underlay.links) ++degree[link.a], ++degree[link.b];
  for (std::size_t i = 0; i < underlay.nodes.size(); ++i) {
    const NodeSpec& node = underlay.nodes[i];
    if (!is_machine(node) || degree[i] == 1) continue;
    context.diag.error(
        node.place, fmt::format("`{}` has {} links: a host has exactly one", node.name, degree[i]),
        "connect it to one switch, hub, router or host");
  }
}

}  // namespace

void read_link_keys(Reader& reader, LinkSpec& link) {
  if (reader.read("rate", link.rate) && link.rate.bps == 0) {
    reader.diag().error(reader.place("rate"), "a link's rate must be above zero",
                        "to cut a link, use an event: fail: {link: NAME}");
  }
  Duration delay = link.delay;
  if (reader.read("delay", delay) && delay.ps <= 0) {
    reader.diag().error(reader.place("delay"), "a link without delay",
                        "the order of events between devices needs a delay above zero; 100ns is a "
                        "short cable");
  } else {
    link.delay = delay;
  }
  reader.read("queue", link.queue);
  if (const YamlNode* ecn = reader.take("ecn")) read_ecn(reader.diag(), *ecn, link);
  reader.read_integer("mtu", link.mtu, 576, 65535);
  reader.read("loss", link.loss);
  reader.read("corruption", link.corruption);
  reader.read("corruption_undetected", link.corruption_undetected);
  reader.read_integer("framing", link.framing, 0, 1000);
  reader.read_integer("weight", link.weight, 1, 65535);
}

std::optional<std::size_t> add_node(Context& context, NodeSpec node) {
  UnderlaySpec& underlay = context.scenario.underlay;
  const std::size_t index = underlay.nodes.size();
  const auto [found, fresh] = context.nodes.emplace(node.name, index);
  if (!fresh) {
    context.diag.error(
        node.place, fmt::format("there are two nodes `{}`", node.name),
        fmt::format("the other is in line {}", underlay.nodes[found->second].place.line));
    return std::nullopt;
  }
  underlay.nodes.push_back(std::move(node));
  return index;
}

std::optional<std::size_t> add_link(Context& context, LinkSpec link) {
  UnderlaySpec& underlay = context.scenario.underlay;
  const auto rank = [&](std::size_t n) {
    const NodeSpec& node = underlay.nodes[n];
    if (is_machine(node)) return 2;
    return node.name.rfind("leaf-", 0) == 0 ? 0 : 1;
  };
  // A leaf stands before a spine, a switch before a host; else as written.
  const bool leaf_spine_pair = underlay.nodes[link.b].name.rfind("leaf-", 0) == 0 &&
                               underlay.nodes[link.a].name.rfind("spine-", 0) == 0;
  if ((rank(link.a) == 2 && rank(link.b) < 2) || leaf_spine_pair) std::swap(link.a, link.b);
  const std::string& a = underlay.nodes[link.a].name;
  const std::string& b = underlay.nodes[link.b].name;
  if (link.name.empty()) link.name = a + "--" + b;
  const std::size_t index = underlay.links.size();
  const auto [found, fresh] = context.links.emplace(link.name, index);
  if (!fresh) {
    context.diag.error(link.place, fmt::format("there are two links `{}`", link.name),
                       fmt::format("the other is in line {}; give one of them a `name:`",
                                   underlay.links[found->second].place.line));
    return std::nullopt;
  }
  context.links.emplace(b + "--" + a, index);
  underlay.links.push_back(std::move(link));
  return index;
}

std::optional<std::size_t> resolve_node(Context& context, const YamlNode& value,
                                        std::string_view what) {
  const auto text = scalar_text(context.diag, value, fmt::format("the name of a {}", what));
  if (!text) return std::nullopt;
  const auto found = context.nodes.find(*text);
  if (found != context.nodes.end()) return found->second;
  if (context.underlay_whole) {
    context.diag.error(value.place, fmt::format("there is no {} `{}`", what, *text),
                       suggest(*text, names_of(context.nodes)));
  }
  return std::nullopt;
}

std::optional<std::size_t> resolve_hypervisor(Context& context, const YamlNode& value) {
  const auto host = resolve_node(context, value, "hypervisor");
  if (!host || context.scenario.underlay.nodes[*host].kind == NodeKind::hypervisor) return host;
  context.diag.error(value.place, fmt::format("`{}` is no hypervisor", value.text),
                     "VMs run on hypervisors, which have virtual switches; `weft ls FILE hosts` "
                     "lists them");
  return std::nullopt;
}

std::optional<std::size_t> resolve_link(Context& context, const YamlNode& value) {
  const auto text = scalar_text(context.diag, value, "the name of a link");
  if (!text) return std::nullopt;
  const auto found = context.links.find(*text);
  if (found != context.links.end()) return found->second;
  if (context.underlay_whole) {
    std::vector<std::string> names;
    for (const LinkSpec& link : context.scenario.underlay.links) names.push_back(link.name);
    context.diag.error(value.place, fmt::format("there is no link `{}`", *text),
                       suggest(*text, names));
  }
  return std::nullopt;
}

void read_underlay(Context& context, const YamlNode* section, const Place& top) {
  const std::size_t errors = context.diag.count();
  static const YamlNode kNothing;
  if (section == nullptr)
    context.diag.error(top, "the scenario needs `underlay`",
                       "for example underlay: {leaf_spine: {spines: 2, "
                       "leaves: 2, hosts_per_leaf: 2}}");
  UnderlaySpec& underlay = context.scenario.underlay;
  Reader reader(context.diag, section == nullptr ? kNothing : *section, "underlay", "underlay");
  underlay.place = reader.place();
  reader.read_choice("family", underlay.ipv6, {{"ipv4", false}, {"ipv6", true}});
  reader.read("convergence", underlay.convergence);
  if (const YamlNode* value = reader.take("ecmp")) {
    Reader keys(context.diag, *value, "ecmp", "ecmp");
    keys.read("hash_gre_key", underlay.hash_gre_key);
    keys.finish();
  }

  LinkSpec host_link, fabric_link;
  host_link.rate = {25'000'000'000};
  fabric_link.rate = {100'000'000'000};
  fabric_link.queue = {2'000'000};
  for (auto [key, link] : {std::pair{"host_links", &host_link}, {"fabric_links", &fabric_link}}) {
    if (const YamlNode* value = reader.take(key)) {
      Reader keys(context.diag, *value, "link_keys", key);
      read_link_keys(keys, *link);
      keys.finish();
    }
  }
  std::optional<ByteCount> memory;
  if (const YamlNode* value = reader.take("hypervisors")) {
    Reader keys(context.diag, *value, "hypervisors", "hypervisors");
    keys.read("memory", memory);
    keys.finish();
  }
  const YamlNode* leaf_spine = reader.take("leaf_spine");
  const YamlNode* nodes = reader.take("nodes");
  const YamlNode* links = reader.take("links");
  const YamlNode* graphml = reader.take("graphml");
  const YamlNode* overrides = reader.take("overrides");
  reader.finish();
  const bool is_there = section != nullptr && (section->kind == YamlNode::Kind::map ||
                                               section->kind == YamlNode::Kind::null);
  if (is_there && leaf_spine == nullptr && nodes == nullptr && graphml == nullptr) {
    context.diag.error(reader.place(), "underlay has no nodes",
                       "give `leaf_spine`, `nodes` and `links`, or `graphml`");
  }

  std::vector<PendingInterface> interfaces;
  if (leaf_spine != nullptr) build_leaf_spine(context, *leaf_spine, host_link, fabric_link, memory);
  if (nodes != nullptr) read_nodes(context, *nodes, memory, interfaces);
  std::optional<GraphTree> graph;
  if (graphml != nullptr) graph = read_graphml(context, *graphml);
  if (graph) read_nodes(context, *graph->nodes, memory, interfaces);
  context.underlay_whole = context.diag.count() == errors;
  if (graph) read_links(context, *graph->links, host_link, fabric_link);
  if (links != nullptr) read_links(context, *links, host_link, fabric_link);
  if (overrides != nullptr) read_overrides(context, *overrides);
  resolve_interfaces(context, interfaces);
  mark_parallel_links(context.scenario.underlay);
  if (context.diag.count() == errors) check_links_of_machines(context);
  context.underlay_whole = context.diag.count() == errors;
}

}  // namespace weft::scenarios
