// The overlay: encapsulation, caches, the control plane and how it is reached.
#include <fmt/format.h>

#include <algorithm>

#include "datapath/statement.h"
#include "scenarios/loader/sections.h"

namespace weft::scenarios {

std::uint32_t tunnel_overhead(const Scenario& scenario) {
  // Inner Ethernet and what is between it and IP: UDP or none, the tunnel's header (GENEVE's with
  // its 8-byte option of logical ports, GRE's with a key).
  std::uint32_t header = 8;
  switch (scenario.overlay.encapsulation) {
    case Encapsulation::stt:
      return 0;  // frames are cut to segments that fit
    case Encapsulation::geneve:
      header = 8 + 16;
      break;
    case Encapsulation::vxlan:
    case Encapsulation::otv:
      header = 8 + 8;
      break;
    case Encapsulation::nvgre:
      break;
    case Encapsulation::gre: {
      const datapath::EncapChoices& c = scenario.overlay.endpoint.sends;
      header += (c.gre_checksum.value_or(false) ? 4 : 0) + (c.gre_sequence.value_or(false) ? 4 : 0);
      break;
    }
  }
  return 14 + header + (scenario.underlay.ipv6 ? 40 : 20);
}

namespace {

void attach_controllers(Context& context, const YamlNode* attach) {
  UnderlaySpec& underlay = context.scenario.underlay;
  ControlSpec& control = context.scenario.overlay.control;
  std::optional<std::size_t> where;
  Place place = control.place;
  if (attach != nullptr) {
    where = resolve_node(context, *attach, "switch");
    place = attach->place;
    if (!where) return;
    const NodeKind kind = underlay.nodes[*where].kind;
    if (kind == NodeKind::host || kind == NodeKind::hypervisor) {
      context.diag.error(place, fmt::format("`{}` is no switch", underlay.nodes[*where].name),
                         "controllers hang on a leaf, a router, a switch or a hub");
      return;
    }
  } else {
    for (std::size_t i = 0; i < underlay.nodes.size() && !where; ++i) {
      if (underlay.nodes[i].name == "leaf-1") where = i;
    }
    for (std::size_t i = 0; i < underlay.nodes.size() && !where; ++i) {
      if (underlay.nodes[i].kind == NodeKind::router) where = i;
    }
    if (!where) {
      if (context.underlay_whole) {
        context.diag.error(place, "no router that controllers could be attached to",
                           "name a switch with `attach:`");
      }
      return;
    }
  }
  for (std::uint32_t c = 1; c <= control.controllers; ++c) {
    NodeSpec node;
    node.name = fmt::format("controller-{}", c);
    node.kind = NodeKind::host;
    node.place = place;
    if (underlay.leaf_spine && underlay.nodes[*where].name.rfind("leaf-", 0) == 0)
      node.leaf = *where;
    const auto index = add_node(context, std::move(node));
    if (!index) return;
    if (c == 1) control.attach = *index;
    LinkSpec link;
    link.rate = {25'000'000'000};
    link.a = *where;
    link.b = *index;
    link.place = place;
    add_link(context, std::move(link));
  }
}

void read_control(Context& context, const YamlNode& section) {
  ControlSpec& control = context.scenario.overlay.control;
  Reader reader(context.diag, section, "control", "control");
  control.place = section.place;
  reader.read_choice("style", control.style,
                     {{"hybrid", ControlStyle::hybrid}, {"central", ControlStyle::central}});
  reader.read_integer("controllers", control.controllers, 1, kMaxControllers);
  if (control.controllers > 1) {
    context.diag.error(reader.place("controllers"), "more than one controller is not there yet",
                       "write `controllers: 1`");
    control.controllers = 1;
  }
  Duration latency = control.latency;
  std::vector<const char*> of_own_wires;
  const bool has_latency = reader.read("latency", latency);
  if (has_latency) of_own_wires.push_back("latency");
  if (has_latency && latency.ps <= 0) {
    context.diag.error(reader.place("latency"), "a control channel without latency",
                       "the order of events between devices needs a delay above zero; 50us is a "
                       "controller in the next rack");
  } else {
    control.latency = latency;
  }
  if (reader.read("loss", control.loss)) of_own_wires.push_back("loss");
  if (reader.read("bandwidth", control.bandwidth)) {
    of_own_wires.push_back("bandwidth");
    if (control.bandwidth->bps == 0)
      context.diag.error(reader.place("bandwidth"),
                         "a control channel's bandwidth must be above zero");
  }
  reader.read_choice("through", control.in_band, {{"out-of-band", false}, {"fabric", true}});
  const YamlNode* attach = reader.take("attach");
  for (const char* key : of_own_wires)
    if (control.in_band)
      context.diag.warning(reader.place(key), fmt::format("`{}` has no effect in band", key),
                           "with `through: fabric` the links of the underlay decide");
  reader.finish();
  if (control.in_band) {
    attach_controllers(context, attach);
  } else if (attach != nullptr) {
    context.diag.error(attach->place, "`attach` without `through: fabric`",
                       "out-of-band controllers have their own wires");
  }
}

void read_caches(Context& context, const YamlNode& section, datapath::CacheOptions& o) {
  constexpr std::uint64_t kMost = 1u << 28;
  Reader keys(context.diag, section, "caches", "caches");
  keys.read("exact_match", o.exact_match);
  keys.read("megaflow", o.megaflow);
  keys.read_integer("exact_match_entries", o.exact_match_entries, 2, kMost);
  keys.read_integer("megaflows", o.megaflow_limit, 1, kMost);
  keys.read_integer("megaflows_per_port", o.megaflow_port_limit, 0, kMost);
  keys.read_integer("masks", o.mask_limit, 1, kMost);
  keys.read_positive("idle_timeout", o.idle_timeout);
  keys.read_positive("hard_timeout", o.hard_timeout);
  keys.finish();
}

void read_connections(Context& context, const YamlNode& section, datapath::CtOptions& o) {
  constexpr std::uint64_t kMost = 1u << 28;
  Reader keys(context.diag, section, "connections", "connections");
  keys.read_integer("limit", o.max_connections, 1, kMost);
  keys.read_integer("per_port_limit", o.zone_limit, 0, kMost);
  keys.read("early_drop", o.early_drop);
  keys.read("checksums", o.verify_checksums);
  keys.read_choice("fragments", o.fragments.reassemble, {{"reassemble", true}, {"invalid", false}});
  keys.read("loose", o.tcp.loose);
  if (const YamlNode* timeouts = keys.take("timeouts")) {
    Reader names(context.diag, *timeouts, "timeouts", "timeouts");
    for (const auto& t : datapath::kCtTimeoutNames)
      names.read_positive(t.name, o.timeouts.*t.which);
    names.finish();
  }
  keys.finish();
}

/// Keys of the section that are choices of what tunnels send, as switch files write them.
void read_choice(Reader& keys, std::string_view name, datapath::EncapChoices& choices) {
  const YamlNode* value = keys.take(name);
  if (value == nullptr) return;
  const auto text = scalar_text(keys.diag(), *value, name);
  if (!text) return;
  const auto done = datapath::set_choice(choices, name, *text);
  if (!done)
    keys.diag().error(value->place, fmt::format("`{}`: {}", name, done.error().message),
                      done.error().remedy);
}

void read_endpoint(Context& context, const YamlNode& section, OverlaySpec& overlay) {
  using datapath::ZeroChecksum;
  datapath::EncapChoices& c = overlay.endpoint.sends;
  datapath::DecapOptions& d = overlay.endpoint.receiver.decap;
  Reader keys(context.diag, section, "endpoint", "endpoint");
  for (const char* name : {"ecn", "dscp", "ttl", "source_ports", "outer_vlan"})
    read_choice(keys, name, c);
  const auto& nodes = context.scenario.underlay.nodes;
  if (c.outer_vlan && std::any_of(nodes.begin(), nodes.end(),
                                  [](const NodeSpec& n) { return n.kind == NodeKind::router; }))
    context.diag.warning(keys.place("outer_vlan"),
                         "routers of the underlay take untagged frames only",
                         "a tag outside gets through switches and hubs (`kind: switch`, `kind: "
                         "hub`); routers drop it as route.none");
  keys.read("udp_checksum", c.udp_checksum);
  keys.read("df", c.dont_fragment);
  bool keep = false;
  if (keys.read_choice("inner_vlan", keep, {{"strip", false}, {"keep", true}})) {
    c.keep_inner_vlan = keep;
    d.vxlan_inner_vlan = keep;
  }
  keys.read("flow_id", c.flow_id);
  keys.read("gre_checksum", c.gre_checksum);
  keys.read("gre_sequence", c.gre_sequence);
  keys.read("stt_vlan", c.stt_vlan);
  keys.read_choice("fragments", overlay.endpoint.receiver.refuse_fragments,
                   {{"reassemble", false}, {"refuse", true}});
  keys.read_choice("zero_checksum", d.zero_checksum,
                   {{"by_rfc", ZeroChecksum::by_rfc},
                    {"accept", ZeroChecksum::accept},
                    {"ipv4", ZeroChecksum::over_ipv4},
                    {"refuse", ZeroChecksum::refuse}});
  keys.read_choice("decap_dscp", d.copy_dscp, {{"keep", false}, {"copy", true}});
  keys.finish();
}

/// Lines of a switch file, as one text or as a list.
class RuleReader {
 public:
  RuleReader(Context& context, std::vector<std::string>& rules)
      : context_(context), rules_(rules) {}

  void read(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::sequence) {
      for (const YamlNode* item : node.items)
        if (const auto text = scalar_text(context_.diag, *item, "a rule")) add(item->place, *text);
      return;
    }
    const auto text = scalar_text(context_.diag, node, "rules, one a line");
    if (!text) return;
    // A block's text begins in the line behind its '|'.
    const bool block = text->find('\n') != std::string::npos;
    Place place = node.place;
    for (std::string_view rest = *text; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (block) {
        ++place.line;
        place.column = 1;
      }
      if (line.find_first_not_of(" \t") != std::string_view::npos && line[0] != '#')
        add(place, line);
    }
    if (rules_.empty())
      context_.diag.error(node.place, "no rule: the switches would forward nothing",
                          "leave `rules` out to have a control plane");
  }

 private:
  void add(const Place& place, std::string_view line) {
    using Subject = datapath::Statement::Subject;
    const auto s = datapath::parse_statement(line);
    if (!s) {
      const int column = s.error().place.column;
      return context_.diag.error(
          place, s.error().message,
          column > 0 ? fmt::format("column {} of `{}`; {}", column, line, s.error().remedy)
                     : s.error().remedy);
    }
    if (s->subject == Subject::port || s->subject == Subject::vtep)
      return context_.diag.error(place, fmt::format("`{}` is the scenario's to say", line),
                                 "ports are the VMs on the hypervisor, numbered from 1; the tunnel "
                                 "endpoint comes with the underlay");
    rules_.emplace_back(line);
  }

  Context& context_;
  std::vector<std::string>& rules_;
};

}  // namespace

void read_overlay(Context& context, const YamlNode* section) {
  OverlaySpec& overlay = context.scenario.overlay;
  if (section == nullptr) return;
  Reader reader(context.diag, *section, "overlay", "overlay");
  overlay.place = section->place;
  const YamlNode::Entry* written = section->find("encapsulation");
  const std::string name = written == nullptr ? "" : written->value->text;
  if (name == "lisp" || name == "etherip") {
    (void)reader.take("encapsulation");
    const bool lisp = name == "lisp";
    context.diag.error(
        written->value->place, fmt::format("`{}` cannot carry the tenants' networks", name),
        lisp ? "it carries IP without Ethernet, and its mapping system is not here; "
               "weft decap reads it"
             : "it has no identifier that tells networks apart; weft decap reads it");
  } else {
    reader.read_choice("encapsulation", overlay.encapsulation,
                       {{"geneve", Encapsulation::geneve},
                        {"vxlan", Encapsulation::vxlan},
                        {"nvgre", Encapsulation::nvgre},
                        {"stt", Encapsulation::stt},
                        {"gre", Encapsulation::gre},
                        {"otv", Encapsulation::otv}});
  }
  if (const YamlNode* caches = reader.take("caches")) {
    read_caches(context, *caches, overlay.caches);
  }
  if (const YamlNode* classifier = reader.take("classifier")) {
    datapath::ClassifierOptions& o = overlay.caches.classifier;
    Reader keys(context.diag, *classifier, "classifier", "classifier");
    keys.read("staged_lookup", o.staged_lookup);
    keys.read("prefix_tracking", o.prefix_tracking);
    keys.read("priority_sorting", o.priority_sorting);
    keys.read("port_tries", o.port_tries);
    keys.finish();
  }
  if (const YamlNode* slow = reader.take("slow_path")) {
    datapath::SlowPathOptions& o = overlay.caches.slow_path;
    Reader keys(context.diag, *slow, "slow_path", "slow_path");
    Frequency rate{};
    keys.require("rate");
    if (keys.read("rate", rate)) {
      o.per_second = rate.per_kilosecond / 1000;
      if (o.per_second == 0)
        context.diag.error(keys.place("rate"), "a slow path slower than a packet a second");
    }
    keys.read_integer("queue", o.queue, 1, 1u << 24);
    keys.read_integer("port_queue", o.port_queue, 0, 1u << 24);
    keys.finish();
  }
  if (const YamlNode* connections = reader.take("connections"))
    read_connections(context, *connections, overlay.connections);
  if (const YamlNode* endpoint = reader.take("endpoint"))
    read_endpoint(context, *endpoint, overlay);
  if (const YamlNode* rules = reader.take("rules")) RuleReader(context, overlay.rules).read(*rules);
  if (const YamlNode* control = reader.take("control")) read_control(context, *control);
  reader.finish();
}

}  // namespace weft::scenarios
