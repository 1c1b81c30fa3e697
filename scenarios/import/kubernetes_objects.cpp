#include "scenarios/import/kubernetes_objects.h"

#include <fmt/format.h>

#include <algorithm>

#include "scenarios/import/nb_addresses.h"
#include "scenarios/loader/document.h"

namespace weft::imports::k8s {
namespace {

using scenarios::Diagnostics;
using scenarios::Document;
using scenarios::Reader;
using scenarios::YamlNode;

constexpr const char* kHowToGet = "kubectl get namespaces,pods,networkpolicies -A -o yaml";

class ObjectReader {
 public:
  ObjectReader(Objects& out, Diagnostics& diag) : out_(out), diag_(diag) {}

  void object(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::map) {
      diag_.error(node.place, fmt::format("expected a Kubernetes object, not {}", node.kind_text()),
                  kHowToGet);
      return;
    }
    const std::string kind = text(node, "kind"), version = text(node, "apiVersion");
    if (kind == "List" || kind == "PodList" || kind == "NamespaceList" ||
        kind == "NetworkPolicyList") {
      const YamlNode* items = find(node, "items");
      if (items == nullptr || !scenarios::is_list(diag_, *items, "items")) return;
      for (const YamlNode* item : items->items) object(*item);
      return;
    }
    const bool known = kind == "Pod" || kind == "Namespace" || kind == "NetworkPolicy";
    if (!known) {
      diag_.error(node.place,
                  kind.empty() ? "an object without `kind`"
                               : fmt::format("weft knows no objects of kind {}", kind),
                  fmt::format("Namespace, Pod and NetworkPolicy are read: {}", kHowToGet));
      return;
    }
    const char* wanted = kind == "NetworkPolicy" ? "networking.k8s.io/v1" : "v1";
    if (version != wanted) {
      diag_.error(node.place, fmt::format("{} of apiVersion '{}'", kind, version),
                  fmt::format("weft reads {}", wanted));
      return;
    }
    const YamlNode* metadata = find(node, "metadata");
    const std::string name = metadata == nullptr ? std::string() : text(*metadata, "name");
    if (name.empty()) {
      diag_.error(node.place, fmt::format("a {} without metadata.name", kind));
      return;
    }
    std::string space = text(*metadata, "namespace");
    if (space.empty()) space = "default";
    for (const std::string* part : {&name, static_cast<const std::string*>(&space)}) {
      if (part->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos)
        continue;
      diag_.error(metadata->place, fmt::format("'{}' is no name of Kubernetes", *part),
                  "lower-case letters, digits, - and .");
      return;
    }
    if (kind == "Namespace") {
      Namespace n{name, labels(*metadata, "labels"), node.place};
      if (!out_.spaces.emplace(name, std::move(n)).second)
        diag_.error(node.place, fmt::format("the namespace '{}' is there twice", name));
    } else if (kind == "Pod") {
      pod(node, *metadata, space, name);
    } else {
      policy(node, space, name);
    }
  }

 private:
  static const YamlNode* find(const YamlNode& node, std::string_view key) {
    if (node.kind != YamlNode::Kind::map) return nullptr;
    const YamlNode::Entry* entry = node.find(key);
    return entry == nullptr ? nullptr : entry->value;
  }
  static std::string text(const YamlNode& node, std::string_view key) {
    const YamlNode* value = find(node, key);
    return value == nullptr || value->kind != YamlNode::Kind::scalar ? std::string() : value->text;
  }

  Labels labels(const YamlNode& node, std::string_view key) {
    Labels out;
    const YamlNode* map = find(node, key);
    if (map == nullptr || !scenarios::is_map(diag_, *map, key)) return out;
    for (const YamlNode::Entry& entry : map->entries) {
      if (entry.value->kind == YamlNode::Kind::scalar || entry.value->kind == YamlNode::Kind::null)
        out[entry.key] = entry.value->text;
      else
        diag_.error(entry.place, fmt::format("the label '{}' is no text", entry.key));
    }
    return out;
  }

  void pod(const YamlNode& node, const YamlNode& metadata, const std::string& space,
           const std::string& name) {
    Pod pod;
    pod.space = space;
    pod.name = name;
    pod.labels = labels(metadata, "labels");
    pod.place = node.place;
    const YamlNode* spec = find(node, "spec");
    const YamlNode* status = find(node, "status");
    const std::string phase = status == nullptr ? "" : text(*status, "phase");
    if (phase == "Succeeded" || phase == "Failed") {
      out_.finished.push_back(pod.full_name());
      return;
    }
    if (spec != nullptr) {
      pod.node = text(*spec, "nodeName");
      if (const YamlNode* host = find(*spec, "hostNetwork");
          host != nullptr && host->text == "true") {
        diag_.error(
            host->place,
            fmt::format("the pod {} uses its node's network (hostNetwork), which policies "
                        "do not reach",
                        pod.full_name()),
            "leave such pods out: kubectl get pods --field-selector spec.hostNetwork=false");
        return;
      }
      container_ports(*spec, pod);
    }
    if (status != nullptr) addresses(*status, pod);
    if (!out_.pods.emplace(pod.full_name(), pod).second)
      diag_.error(node.place, fmt::format("the pod {} is there twice", pod.full_name()));
  }

  void addresses(const YamlNode& status, Pod& pod) {
    std::vector<const YamlNode*> nodes;
    if (const YamlNode* one = find(status, "podIP")) nodes.push_back(one);
    if (const YamlNode* several = find(status, "podIPs");
        several != nullptr && scenarios::is_list(diag_, *several, "podIPs"))
      for (const YamlNode* item : several->items)
        if (const YamlNode* ip = find(*item, "ip")) nodes.push_back(ip);
    for (const YamlNode* at : nodes) {
      IpAddress address;
      if (at->kind == YamlNode::Kind::null || !scenarios::convert(diag_, *at, address)) continue;
      if (std::find(pod.addresses.begin(), pod.addresses.end(), address) == pod.addresses.end())
        pod.addresses.push_back(address);
    }
    std::sort(pod.addresses.begin(), pod.addresses.end());
  }

  void container_ports(const YamlNode& spec, Pod& pod) {
    const YamlNode* containers = find(spec, "containers");
    if (containers == nullptr) return;
    for (const YamlNode* container : containers->items) {
      const YamlNode* ports = find(*container, "ports");
      if (ports == nullptr) continue;
      for (const YamlNode* item : ports->items) {
        ContainerPort port;
        port.name = text(*item, "name");
        port.protocol = text(*item, "protocol");
        if (port.protocol.empty()) port.protocol = "TCP";
        std::uint64_t number = 0;
        const YamlNode* at = find(*item, "containerPort");
        if (at == nullptr ||
            !scenarios::convert_integer(diag_, *at, "containerPort", 1, 65535, number))
          continue;
        port.number = static_cast<std::uint16_t>(number);
        if (!port.name.empty()) pod.ports.push_back(std::move(port));
      }
    }
  }

  // --- policies: every key counts
  // -----------------------------------------------------------------

  void policy(const YamlNode& node, const std::string& space, const std::string& name) {
    Policy policy;
    policy.space = space;
    policy.name = name;
    policy.place = node.place;
    Reader object(diag_, node, "networkpolicy", "the NetworkPolicy " + policy.full_name());
    for (const char* key : {"apiVersion", "kind", "metadata", "status"}) object.take(key);
    const YamlNode* spec_node = object.require("spec");
    object.finish();
    if (spec_node == nullptr || !scenarios::is_map(diag_, *spec_node, "spec")) return;
    Reader spec(diag_, *spec_node, "networkpolicy.spec", "spec");
    // An empty selector selects every pod of the namespace; so does a missing one.
    if (const YamlNode* pods = spec.take("podSelector")) policy.pods = selector(*pods);
    if (const YamlNode* list = spec.take("ingress")) policy.ingress = rules(*list, "from");
    const YamlNode* egress = spec.take("egress");
    if (egress != nullptr) policy.egress = rules(*egress, "to");
    if (const YamlNode* types = spec.take("policyTypes")) {
      if (scenarios::is_list(diag_, *types, "policyTypes")) {
        for (const YamlNode* type : types->items) {
          const auto i =
              scenarios::convert_choice(diag_, *type, "policyTypes", {"Ingress", "Egress"});
          if (i) (*i == 0 ? policy.isolates_ingress : policy.isolates_egress) = true;
        }
      }
    } else {
      policy.isolates_ingress = true;
      policy.isolates_egress = !policy.egress.empty();
    }
    spec.finish();
    if (!out_.policies.emplace(policy.full_name(), policy).second)
      diag_.error(node.place,
                  fmt::format("the NetworkPolicy {} is there twice", policy.full_name()));
  }

  std::vector<Rule> rules(const YamlNode& list, const char* peers_key) {
    std::vector<Rule> out;
    if (!scenarios::is_list(diag_, list, "rules")) return out;
    for (const YamlNode* item : list.items) {
      Rule rule;
      rule.place = item->place;
      if (!scenarios::is_map(diag_, *item, "a rule")) continue;
      Reader reader(diag_, *item, "networkpolicy.rule", "a rule");
      if (const YamlNode* peers = reader.take(peers_key);
          peers != nullptr && scenarios::is_list(diag_, *peers, peers_key))
        for (const YamlNode* p : peers->items) rule.peers.push_back(peer(*p));
      if (const YamlNode* ports = reader.take("ports");
          ports != nullptr && scenarios::is_list(diag_, *ports, "ports"))
        for (const YamlNode* p : ports->items) rule.ports.push_back(port(*p));
      reader.finish();
      out.push_back(std::move(rule));
    }
    return out;
  }

  Peer peer(const YamlNode& node) {
    Peer out;
    if (!scenarios::is_map(diag_, node, "a peer")) return out;
    Reader reader(diag_, node, "networkpolicy.peer", "a peer");
    if (const YamlNode* pods = reader.take("podSelector")) out.pods = selector(*pods);
    if (const YamlNode* spaces = reader.take("namespaceSelector")) out.spaces = selector(*spaces);
    if (const YamlNode* block = reader.take("ipBlock")) ip_block(*block, out);
    reader.finish();
    const bool selects = out.pods || out.spaces;
    if (selects == out.block.has_value() && diag_.count() == 0)
      diag_.error(node.place, selects ? "a peer is either an ipBlock or selected by labels"
                                      : "a peer without podSelector, namespaceSelector or ipBlock");
    return out;
  }

  void ip_block(const YamlNode& node, Peer& out) {
    if (!scenarios::is_map(diag_, node, "ipBlock")) return;
    Reader reader(diag_, node, "networkpolicy.ipblock", "ipBlock");
    out.block = Prefix{};
    if (const YamlNode* cidr = reader.require("cidr")) prefix(*cidr, *out.block);
    if (const YamlNode* except = reader.take("except");
        except != nullptr && scenarios::is_list(diag_, *except, "except")) {
      for (const YamlNode* item : except->items) {
        Prefix p;
        if (!prefix(*item, p)) continue;
        if (p.address.is6 != out.block->address.is6 || p.length <= out.block->length ||
            !out.block->contains(p.address))
          diag_.error(item->place,
                      fmt::format("{} does not lie inside {}", p.text(), out.block->text()));
        out.except.push_back(p);
      }
    }
    reader.finish();
  }

  bool prefix(const YamlNode& node, Prefix& out) {
    const auto parsed = parse_loose_prefix(node.text);
    if (!parsed || node.kind != YamlNode::Kind::scalar) {
      diag_.error(node.place, fmt::format("'{}' is no prefix", node.text), "such as 10.0.0.0/8");
      return false;
    }
    out = *parsed;
    return true;
  }

  PolicyPort port(const YamlNode& node) {
    PolicyPort out;
    if (!scenarios::is_map(diag_, node, "a port")) return out;
    Reader reader(diag_, node, "networkpolicy.port", "a port");
    if (const YamlNode* protocol = reader.take("protocol")) {
      out.protocol = protocol->text;
      if (out.protocol != "TCP" && out.protocol != "UDP")
        diag_.error(protocol->place,
                    fmt::format("weft's policy knows TCP and UDP, not {}", out.protocol),
                    "remove the port");
    }
    std::uint64_t number = 0;
    if (const YamlNode* at = reader.take("port")) {
      const bool digits =
          !at->text.empty() && at->text.find_first_not_of("0123456789") == std::string::npos;
      if (at->kind != YamlNode::Kind::scalar)
        diag_.error(at->place, "a port is a number or the name of a container's port");
      else if (!digits)
        out.name = at->text;
      else if (scenarios::convert_integer(diag_, *at, "port", 1, 65535, number))
        out.first = out.last = static_cast<std::uint16_t>(number);
    }
    if (const YamlNode* at = reader.take("endPort")) {
      if (!out.first)
        diag_.error(at->place, "endPort needs a port that is a number");
      else if (scenarios::convert_integer(diag_, *at, "endPort", *out.first, 65535, number))
        out.last = static_cast<std::uint16_t>(number);
    }
    reader.finish();
    return out;
  }

  Selector selector(const YamlNode& node) {
    Selector out;
    if (!scenarios::is_map(diag_, node, "a selector")) return out;
    Reader reader(diag_, node, "networkpolicy.selector", "a selector");
    reader.take("matchLabels");
    out.labels = labels(node, "matchLabels");
    if (const YamlNode* list = reader.take("matchExpressions");
        list != nullptr && scenarios::is_list(diag_, *list, "matchExpressions"))
      for (const YamlNode* item : list->items) requirement(*item, out);
    reader.finish();
    return out;
  }

  void requirement(const YamlNode& node, Selector& out) {
    if (!scenarios::is_map(diag_, node, "an expression")) return;
    Requirement r;
    Reader reader(diag_, node, "networkpolicy.expression", "an expression");
    if (const YamlNode* key = reader.require("key")) r.key = key->text;
    if (const YamlNode* op = reader.require("operator")) {
      const auto i = scenarios::convert_choice(diag_, *op, "operator",
                                               {"In", "NotIn", "Exists", "DoesNotExist"});
      if (i) r.op = static_cast<Requirement::Operator>(*i);
    }
    const YamlNode* values = reader.take("values");
    if (values != nullptr && scenarios::is_list(diag_, *values, "values"))
      for (const YamlNode* v : values->items) r.values.push_back(v->text);
    reader.finish();
    const bool listed = r.op == Requirement::Operator::in || r.op == Requirement::Operator::not_in;
    if (listed == r.values.empty())
      diag_.error(node.place,
                  listed ? "In and NotIn need values" : "Exists and DoesNotExist have no values");
    out.requirements.push_back(std::move(r));
  }

  Objects& out_;
  Diagnostics& diag_;
};

}  // namespace

bool Selector::selects(const Labels& have) const {
  for (const auto& [key, value] : labels) {
    const auto it = have.find(key);
    if (it == have.end() || it->second != value) return false;
  }
  return std::all_of(requirements.begin(), requirements.end(), [&](const Requirement& r) {
    const auto it = have.find(r.key);
    const bool listed = it != have.end() &&
                        std::find(r.values.begin(), r.values.end(), it->second) != r.values.end();
    switch (r.op) {
      case Requirement::Operator::in:
        return listed;
      case Requirement::Operator::not_in:
        return !listed;
      case Requirement::Operator::exists:
        return it != have.end();
      case Requirement::Operator::does_not_exist:
        return it == have.end();
    }
    return false;
  });
}

void read_objects(const std::string& text, const std::string& file, Objects& out,
                  Diagnostics& diag) {
  ObjectReader reader(out, diag);
  // A line that begins with --- always begins a document.
  int line = 0, first = 0;
  std::string part;
  bool anything = false;
  const auto finish = [&] {
    if (anything) {
      std::vector<Error> errors;
      const auto document = Document::parse(part, file, errors, first);
      for (const Error& e : errors) diag.error(e.place, e.message, e.remedy);
      if (document != nullptr) reader.object(document->root());
    }
    part.clear();
    anything = false;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view here(text.data() + at, end - at);
    at = end + 1;
    if (here.starts_with("---") && (here.size() == 3 || here[3] == ' ' || here[3] == '\r' ||
                                    here[3] == '\t' || here[3] == '#')) {
      finish();
      first = line + 1;
    } else {
      const std::size_t word = here.find_first_not_of(" \t\r");
      anything |= word != std::string_view::npos && here[word] != '#';
      part.append(here);
      part += '\n';
    }
    ++line;
  }
  finish();
}

}  // namespace weft::imports::k8s
