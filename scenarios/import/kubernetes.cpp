#include "scenarios/import/kubernetes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "scenarios/import/kubernetes_objects.h"

namespace weft::imports {
namespace {

using k8s::Labels;
using k8s::Objects;
using k8s::Pod;
using k8s::PolicyPort;

constexpr int kDropPriority = 1000;
constexpr int kAllowPriority = 1001;

/// Names of Kubernetes have no _, names in matches no -.
std::string word(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string join(const std::vector<std::string>& parts, std::string_view by) {
  if (parts.size() == 1) return parts.front();
  return fmt::format("({})", fmt::join(parts, by));
}

class KubernetesMapper {
 public:
  KubernetesMapper(const Objects& objects, const ImportOptions& options, Imported& out)
      : objects_(objects), options_(options), out_(out), pods_(objects.pods) {}

  void run() {
    control::Tenant tenant;
    tenant.name = kKubernetesTenant;
    tenant.has_policy = !objects_.policies.empty();
    if (tenant.has_policy)
      tenant.default_cookie = cookie("NetworkPolicy", "no policy selects the pod", {out_.file});
    out_.transaction.insert(std::move(tenant));
    give_addresses();
    map_pods();
    for (const auto& [name, policy] : objects_.policies) map_policy(policy);
    write_notes();
  }

 private:
  std::uint64_t cookie(const std::string& table, const std::string& name, const Place& place) {
    out_.origins[++cookies_] = {table, "", name, place};
    return cookies_;
  }
  void insert(control::Row row, const std::string& table, const std::string& name,
              const Place& place) {
    out_.row_origins[{control::table_of(row), control::name_of(row)}] = {table, "", name, place};
    out_.transaction.insert(std::move(row));
  }

  // --- pods
  // ---------------------------------------------------------------------------------------

  /// Pods that were written by hand have no status: the lowest free of what kubeadm calls pods.
  void give_addresses() {
    std::set<IpAddress> used;
    for (const auto& [name, pod] : pods_) used.insert(pod.addresses.begin(), pod.addresses.end());
    std::uint32_t next = 0x0af40002;  // 10.244.0.2
    for (auto& [name, pod] : pods_) {
      if (!pod.addresses.empty()) continue;
      while (used.contains(Ip4{next})) ++next;
      pod.addresses.emplace_back(Ip4{next++});
      without_address_.push_back(name);
    }
  }

  static Mac mac_of(const Pod& pod, std::set<Mac>& used) {
    const IpAddress& a = pod.addresses.front();
    std::uint64_t low = a.bits.low & 0xffffffff;
    for (;; low = (low + 1) & 0xffffffff) {
      const Mac mac = Mac::from_u64(0x0a5800000000ULL | low);
      if (used.insert(mac).second) return mac;
    }
  }

  /// The smallest prefix that has all pods' addresses of a family, none of them at its ends.
  std::optional<Prefix> subnet(bool six) const {
    std::set<IpAddress> all;
    for (const auto& [name, pod] : pods_)
      for (const IpAddress& a : pod.addresses)
        if (a.is6 == six) all.insert(a);
    if (all.empty()) return std::nullopt;
    const int bits = six ? 128 : 32;
    for (int length = six ? 64 : 24; length >= 8; --length) {
      Prefix p{*all.begin(), length};
      for (int i = 0; i < bits - length; ++i)
        (i < 64 ? p.address.bits.low : p.address.bits.high) &= ~(1ULL << (i % 64));
      const auto fits = [&](const IpAddress& a) {
        const std::uint32_t host = six ? 0 : 0xffffffffu >> length;
        const bool end = !six && (a == p.address || (a.v4().value & host) == host);
        return p.contains(a) && !end;
      };
      if (std::all_of(all.begin(), all.end(), fits)) return p;
    }
    return std::nullopt;
  }

  void map_pods() {
    control::Network network;
    network.name = kPodNetwork;
    network.tenant = kKubernetesTenant;
    network.vni = 1;
    network.any_address = true;
    for (const bool six : {false, true})
      if (const auto p = subnet(six)) network.subnets.push_back(*p);
    out_.transaction.insert(std::move(network));
    std::set<Mac> macs;
    std::set<std::string> nodes;
    std::vector<std::string> free;
    for (const auto& [name, pod] : pods_) {
      control::Port port;
      port.name = name;
      port.network = kPodNetwork;
      port.addresses = pod.addresses;
      port.mac = mac_of(pod, macs);
      port.requested = pod.node;
      if (pod.node.empty()) {
        free.push_back(name);
      } else {
        nodes.insert(pod.node);
        out_.placement.ports[name] = pod.node;
      }
      insert(std::move(port), "Pod", name, pod.place);
    }
    spread_ports(nodes, free, options_, out_.placement);
  }

  Labels labels_of(const std::string& space) {
    Labels out;
    const auto it = objects_.spaces.find(space);
    if (it == objects_.spaces.end())
      unknown_spaces_.insert(space);
    else
      out = it->second.labels;
    out["kubernetes.io/metadata.name"] = space;
    return out;
  }

  // --- policies
  // -----------------------------------------------------------------------------------

  void map_policy(const k8s::Policy& policy) {
    const std::string base = fmt::format("np.{}.{}", word(policy.space), word(policy.name));
    control::Group group;
    group.name = base;
    group.tenant = kKubernetesTenant;
    std::vector<const Pod*> selected;
    for (const auto& [name, pod] : pods_) {
      if (pod.space != policy.space || !policy.pods.selects(pod.labels)) continue;
      group.members.insert(name);
      selected.push_back(&pod);
    }
    if (selected.empty()) selects_nothing_.push_back(policy.full_name());
    insert(std::move(group), "NetworkPolicy", policy.full_name(), policy.place);
    for (const bool ingress : {true, false}) {
      if (!(ingress ? policy.isolates_ingress : policy.isolates_egress)) continue;
      const std::string way = ingress ? "ingress" : "egress";
      const std::string port = fmt::format("{} == @{}", ingress ? "outport" : "inport", base);
      add_acl(base, base + "." + way, ingress, control::AclAction::drop, kDropPriority,
              port + " && ip", policy.full_name() + " isolates " + way, policy.place);
      const auto& rules = ingress ? policy.ingress : policy.egress;
      for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::string name = fmt::format("{}.{}.{}", base, way, i);
        std::string match = port;
        if (!add_peers(policy, rules[i], name, ingress, match)) continue;
        if (!add_ports(policy, rules[i], name, ingress ? &selected : nullptr, match)) continue;
        add_acl(base, name, ingress, control::AclAction::allow, kAllowPriority, match,
                fmt::format("{} {}[{}]", policy.full_name(), way, i), rules[i].place);
      }
    }
  }

  void add_acl(const std::string& group, const std::string& name, bool ingress,
               control::AclAction action, int priority, const std::string& match,
               const std::string& origin, const Place& place) {
    control::Acl acl;
    acl.name = name;
    acl.tenant = kKubernetesTenant;
    acl.action = action;
    acl.priority = priority;
    acl.to = {control::Peer::Kind::group, group, {}};
    acl.direction = ingress ? control::AclDirection::to_port : control::AclDirection::from_port;
    acl.match = match;
    acl.cookie = cookie("NetworkPolicy", origin, place);
    insert(std::move(acl), "NetworkPolicy", origin, place);
  }

  /// "ip4.src == $set" for each family that the set has.
  void add_set(const std::string& name, const std::set<IpAddress>& addresses, bool source,
               const std::string& origin, const Place& place, std::vector<std::string>& out) {
    for (const bool six : {false, true}) {
      control::AddressSet set;
      set.name = name + (six ? ".ip6" : ".ip4");
      set.tenant = kKubernetesTenant;
      for (const IpAddress& a : addresses)
        if (a.is6 == six) set.prefixes.push_back({a, six ? 128 : 32});
      // A selector that selects nobody is false, and says so by an empty set.
      if (set.prefixes.empty() && (six || !addresses.empty())) continue;
      out.push_back(
          fmt::format("{}.{} == ${}", six ? "ip6" : "ip4", source ? "src" : "dst", set.name));
      insert(std::move(set), "NetworkPolicy", origin, place);
    }
  }

  bool add_peers(const k8s::Policy& policy, const k8s::Rule& rule, const std::string& name,
                 bool ingress, std::string& match) {
    if (rule.peers.empty()) {
      match += " && ip";
      return true;
    }
    std::set<IpAddress> selected;
    bool selects = false;
    std::vector<std::string> parts;
    for (const k8s::Peer& peer : rule.peers) {
      if (peer.block) {
        const std::string field =
            fmt::format("ip{}.{}", peer.block->address.is6 ? 6 : 4, ingress ? "src" : "dst");
        std::string text = peer.block->length == 0
                               ? fmt::format("ip{}", peer.block->address.is6 ? 6 : 4)
                               : fmt::format("{} == {}", field, peer.block->text());
        if (!peer.except.empty()) {
          std::vector<std::string> except;
          for (const Prefix& p : peer.except) except.push_back(p.text());
          text = fmt::format("({} && {} != {{{}}})", text, field, fmt::join(except, ", "));
        }
        parts.push_back(std::move(text));
        continue;
      }
      selects = true;
      for (const auto& [pod_name, pod] : pods_) {
        const bool here =
            peer.spaces ? peer.spaces->selects(labels_of(pod.space)) : pod.space == policy.space;
        if (here && (!peer.pods || peer.pods->selects(pod.labels)))
          selected.insert(pod.addresses.begin(), pod.addresses.end());
      }
    }
    if (selects) add_set(name, selected, ingress, policy.full_name(), rule.place, parts);
    match += " && " + join(parts, " || ");
    return true;
  }

  /// `own`: pods whose container ports names mean; none: everybody's. False: no packet can match.
  bool add_ports(const k8s::Policy& policy, const k8s::Rule& rule, const std::string& name,
                 const std::vector<const Pod*>* own, std::string& match) {
    if (rule.ports.empty()) return true;
    std::vector<std::string> parts;
    for (const PolicyPort& port : rule.ports) {
      const std::string protocol = port.protocol == "UDP" ? "udp" : "tcp";
      if (!port.name.empty()) {
        add_named_port(policy, rule, name, own, port, protocol, parts);
      } else if (!port.first) {
        parts.push_back(protocol);
      } else if (*port.first == *port.last) {
        parts.push_back(fmt::format("{}.dst == {}", protocol, *port.first));
      } else {
        parts.push_back(fmt::format("{} <= {}.dst <= {}", *port.first, protocol, *port.last));
      }
    }
    if (parts.empty()) {
      no_such_port_.push_back(policy.full_name());
      return false;
    }
    match += " && " + join(parts, " || ");
    return true;
  }

  /// A name means what the pod that is asked calls so: one part for each number.
  void add_named_port(const k8s::Policy& policy, const k8s::Rule& rule, const std::string& name,
                      const std::vector<const Pod*>* own, const PolicyPort& port,
                      const std::string& protocol, std::vector<std::string>& parts) {
    std::map<std::uint16_t, std::set<IpAddress>> by_number;
    const auto look = [&](const Pod& pod) {
      for (const k8s::ContainerPort& c : pod.ports)
        if (c.name == port.name && c.protocol == port.protocol)
          by_number[c.number].insert(pod.addresses.begin(), pod.addresses.end());
    };
    if (own != nullptr) {
      for (const Pod* pod : *own) look(*pod);
    } else {
      for (const auto& [pod_name, pod] : pods_) look(pod);
    }
    for (const auto& [number, addresses] : by_number) {
      std::vector<std::string> where;
      const std::string set = fmt::format("{}.{}.{}.{}", name, protocol, word(port.name), number);
      if (!sets_.insert(set).second) continue;
      add_set(set, addresses, false, policy.full_name(), rule.place, where);
      parts.push_back(fmt::format("({} && {}.dst == {})", join(where, " || "), protocol, number));
    }
  }

  void write_notes() {
    const auto note = [&](const std::vector<std::string>& names, const std::string& what) {
      if (names.empty()) return;
      const std::string more =
          names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : std::string();
      out_.notes.push_back(
          {fmt::format("{}{}: {}", names.front(), more, what), {out_.file, 0, 0}, {}});
    };
    note(without_address_, "the pod has no status.podIP; weft gave it an address of 10.244.0.0/16");
    note(objects_.finished, "the pod has ended and is left out");
    note({unknown_spaces_.begin(), unknown_spaces_.end()},
         "the namespace is not in the file; it is known by its name only");
    note(selects_nothing_, "the policy selects no pod");
    note(no_such_port_, "no pod has a container port of the name that a rule allows");
  }

  const Objects& objects_;
  const ImportOptions& options_;
  Imported& out_;
  std::map<std::string, Pod> pods_;
  std::uint64_t cookies_ = 0;
  std::set<std::string> sets_, unknown_spaces_;
  std::vector<std::string> without_address_, selects_nothing_, no_such_port_;
};

}  // namespace

bool looks_like_kubernetes(const std::string& text) {
  bool version = false, kind = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line(text.data() + at, end - at);
    at = end + 1;
    // JSON, as kubectl -o json prints it: the keys of the first object are indented.
    if (line.starts_with("    \"")) line.remove_prefix(4);
    if (line.starts_with("{")) line.remove_prefix(1);
    if (line.starts_with('"')) line.remove_prefix(1);
    version |= line.starts_with("apiVersion:") || line.starts_with("apiVersion\":");
    kind |= line.starts_with("kind:") || line.starts_with("kind\":");
    if (version && kind) return true;
  }
  return false;
}

ImportResult import_kubernetes(const std::string& text, const std::string& file,
                               const ImportOptions& options) {
  scenarios::Diagnostics diag;
  Imported imported;
  imported.format = Format::kubernetes;
  imported.file = file;
  Objects objects;
  k8s::read_objects(text, file, objects, diag);
  if (diag.count() > 0) return {std::nullopt, diag.errors};
  KubernetesMapper(objects, options, imported).run();
  return finish_import(std::move(imported), diag);
}

}  // namespace weft::imports
