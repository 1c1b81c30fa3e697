// NetworkPolicies: the rules that an example becomes, what is refused and where, and - over random
// clusters and policies - that the rules let through what Kubernetes' words say, and nothing else.
// The judge below reads the policies as values and shares nothing with the importer.
#include <fmt/format.h>

#include <algorithm>

#include "control/expression_match.h"
#include "scenarios/import/kubernetes.h"
#include "scenarios/import/rows.h"
#include "tests/catch.h"
#include "tests/unit/import/ovn_peer.h"

using namespace weft;
using imports::Imported;
using imports::ImportResult;

namespace {

std::string all(const std::vector<Error>& errors) {
  std::string out;
  for (const Error& e : errors) out += e.text() + "\n";
  return out;
}

Imported import_yaml(const std::string& yaml) {
  ImportResult result = imports::import_kubernetes(yaml, "k.yaml");
  INFO(yaml << "\n" << all(result.errors));
  REQUIRE(result.network);
  return std::move(*result.network);
}

/// What the imported rules say of a first packet, as weft judges by: the highest priority of a
/// direction wins, what nothing matches passes; first what the sender sends, then what is received.
class Judge {
 public:
  explicit Judge(const Imported& network) : intent_(network.intent()) {
    std::uint32_t key = 0;
    for (const auto& [name, port] : intent_.ports()) names_.ports[name] = ++key;
    for (const auto& [name, group] : intent_.groups())
      names_.port_groups[name] = {group.members.begin(), group.members.end()};
    for (const auto& [name, set] : intent_.address_sets())
      for (const Prefix& p : set.prefixes)
        names_.address_sets[name].push_back(control::parse_constant(p.text()).value());
    for (const auto& [name, set] : intent_.address_sets()) names_.address_sets[name];
    for (const auto& [name, acl] : intent_.acls())
      acls_.push_back({&acl, control::parse_expression(acl.match).value()});
  }

  /// Ports by name; empty: somebody outside.
  bool allows(const std::string& from, const std::string& to, std::uint32_t source,
              std::uint32_t destination, std::uint8_t protocol, std::uint16_t port) const {
    namespace at = datapath::place;
    datapath::FlowKey key;
    key.set(at::eth_type, 0x800);
    key.set(at::nw_src, source);
    key.set(at::nw_dst, destination);
    key.set(at::nw_proto, protocol);
    key.set(at::tp_src, 40000);
    key.set(at::tp_dst, port);
    if (!from.empty()) key.set(at::reg(14), names_.ports.at(from));
    if (!to.empty()) key.set(at::reg(15), names_.ports.at(to));
    return (from.empty() || verdict(control::AclDirection::from_port, from, key)) &&
           (to.empty() || verdict(control::AclDirection::to_port, to, key));
  }

 private:
  bool verdict(control::AclDirection direction, const std::string& at,
               const datapath::FlowKey& key) const {
    int best = -1;
    bool allowed = true;
    for (const auto& [acl, match] : acls_) {
      if (acl->direction != direction || acl->priority <= best) continue;
      if (!intent_.groups().at(acl->to.name).members.contains(at)) continue;
      const auto is = control::evaluate(match, names_, key);
      REQUIRE(is.ok());
      if (!*is) continue;
      best = acl->priority;
      allowed = !acl->denies();
    }
    return allowed;
  }

  control::Intent intent_;
  control::NameTable names_;
  std::vector<std::pair<const control::Acl*, control::Expression>> acls_;
};

struct Lcg {
  std::uint64_t state;
  std::uint32_t below(std::uint32_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>((state >> 33) % n);
  }
};

// --- a cluster, its policies, and what Kubernetes says of them -----------------------------------

struct Pod {
  std::string space, name, app, zone;  // labels app and, unless empty, zone
  std::uint32_t address;
  std::uint16_t http;  // number of the container port "http"; 0: none
};
struct Select {
  std::string app;  // matchLabels
  int zone = 0;     // 1: zone Exists, 2: zone DoesNotExist, 3: zone In [a], 4: zone NotIn [a]
  bool selects(const std::string& a, const std::string& z) const {
    const bool zone_fits = zone == 0   ? true
                           : zone == 1 ? !z.empty()
                           : zone == 2 ? z.empty()
                           : zone == 3 ? z == "a"
                                       : z != "a";
    return (app.empty() || app == a) && zone_fits;
  }
  std::string yaml() const {
    const char* kZones[] = {
        "", "{key: zone, operator: Exists}", "{key: zone, operator: DoesNotExist}",
        "{key: zone, operator: In, values: [a]}", "{key: zone, operator: NotIn, values: [a]}"};
    std::string out = "{";
    if (!app.empty()) out += "matchLabels: {app: " + app + "}";
    if (zone != 0)
      out += std::string(app.empty() ? "" : ", ") + "matchExpressions: [" + kZones[zone] + "]";
    return out + "}";
  }
};
struct Peer {
  int kind = 0;  // 0: pods here, 1: pods of a namespace, 2: all of a namespace, 3: a block
  Select pods;
  std::string space;
  std::uint32_t block = 0;
  int length = 0;
  bool except = false;  // the upper half
};
struct Port {
  int kind = 0;  // 0: number, 1: range, 2: name, 3: whole protocol
  std::uint16_t first = 0, last = 0;
  bool udp = false;
};
struct Rule {
  std::vector<Peer> peers;
  std::vector<Port> ports;
};
struct Policy {
  std::string space;
  Select pods;
  bool types = false, ingress = true, egress = false;
  std::vector<Rule> in, out;
};
struct Cluster {
  std::vector<Pod> pods;
  std::vector<Policy> policies;
};

Select random_select(Lcg& r) {
  const char* kApps[] = {"", "web", "db"};
  return {kApps[r.below(3)], static_cast<int>(r.below(3) == 0 ? r.below(5) : 0)};
}

std::vector<Rule> random_rules(Lcg& r) {
  std::vector<Rule> out(r.below(3));
  for (Rule& rule : out) {
    for (auto n = r.below(3); n > 0; --n) {
      Peer p;
      p.kind = static_cast<int>(r.below(4));
      p.pods = random_select(r);
      p.space = r.below(2) == 0 ? "one" : "two";
      p.length = 24 + static_cast<int>(r.below(9));
      p.block = (0x0a000000 + r.below(16)) & (p.length == 32 ? ~0u : ~(0xffffffffu >> p.length));
      p.except = p.length < 31 && r.below(2) == 0;
      rule.peers.push_back(p);
    }
    for (auto n = r.below(3); n > 0; --n) {
      Port p;
      p.kind = static_cast<int>(r.below(4));
      p.first = static_cast<std::uint16_t>(79 + r.below(3));
      p.last = static_cast<std::uint16_t>(p.first + r.below(3));
      p.udp = r.below(3) == 0;
      if (p.kind == 2) p.udp = false;
      rule.ports.push_back(p);
    }
  }
  return out;
}

Cluster random_cluster(std::uint64_t seed) {
  Lcg r{seed};
  Cluster c;
  const char* kApps[] = {"web", "db"};
  const char* kZones[] = {"", "a", "b"};
  for (std::uint32_t i = 0; i < 7; ++i)
    c.pods.push_back({r.below(2) == 0 ? "one" : "two", fmt::format("pod-{}", i), kApps[r.below(2)],
                      kZones[r.below(3)], 0x0a000001 + i,
                      static_cast<std::uint16_t>(r.below(3) == 0 ? 0 : 79 + r.below(3))});
  for (auto n = 1 + r.below(4); n > 0; --n) {
    Policy p;
    p.space = r.below(2) == 0 ? "one" : "two";
    p.pods = random_select(r);
    p.in = random_rules(r);
    p.out = random_rules(r);
    p.types = r.below(2) == 0;
    p.ingress = !p.types || r.below(2) == 0;
    p.egress = p.types ? !p.ingress || r.below(2) == 0 : !p.out.empty();
    c.policies.push_back(std::move(p));
  }
  return c;
}

std::string yaml_of(const std::vector<Rule>& rules, const char* key, const char* peers) {
  if (rules.empty()) return "";
  std::string out = fmt::format("  {}:\n", key);
  for (const Rule& rule : rules) {
    out += fmt::format("  - {}: [", peers);
    for (const Peer& p : rule.peers) {
      if (&p != &rule.peers.front()) out += ", ";
      const std::string space =
          "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: " + p.space + "}}";
      const std::string block = Prefix{Ip4{p.block}, p.length}.text();
      if (p.kind == 0) out += "{podSelector: " + p.pods.yaml() + "}";
      if (p.kind == 1) out += "{podSelector: " + p.pods.yaml() + ", " + space + "}";
      if (p.kind == 2) out += "{" + space + "}";
      if (p.kind == 3) out += "{ipBlock: {cidr: " + block;
      if (p.kind == 3 && p.except)
        out +=
            ", except: [" + Prefix{Ip4{p.block | 1u << (31 - p.length)}, p.length + 1}.text() + "]";
      if (p.kind == 3) out += "}}";
    }
    out += "]\n    ports: [";
    for (const Port& p : rule.ports) {
      if (&p != &rule.ports.front()) out += ", ";
      out += fmt::format("{{protocol: {}", p.udp ? "UDP" : "TCP");
      if (p.kind == 0) out += fmt::format(", port: {}", p.first);
      if (p.kind == 1) out += fmt::format(", port: {}, endPort: {}", p.first, p.last);
      if (p.kind == 2) out += ", port: http";
      out += "}";
    }
    out += "]\n";
  }
  return out;
}

std::string yaml_of(const Cluster& c) {
  std::string out;
  for (const Pod& p : c.pods) {
    out += fmt::format(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\n  namespace: {}\n  labels: {{app: "
        "{}{}}}\n"
        "spec:\n  containers:\n  - name: c\n    ports: [{}]\nstatus: {{podIP: {}}}\n---\n",
        p.name, p.space, p.app, p.zone.empty() ? "" : ", zone: " + p.zone,
        p.http == 0 ? "" : fmt::format("{{name: http, containerPort: {}}}", p.http),
        Ip4{p.address}.text());
  }
  int n = 0;
  for (const Policy& p : c.policies) {
    out += fmt::format(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{}, namespace: "
        "{}}}\nspec:\n  podSelector: {}\n",
        n++, p.space, p.pods.yaml());
    if (p.types)
      out += fmt::format("  policyTypes: [{}{}{}]\n", p.ingress ? "Ingress" : "",
                         p.ingress && p.egress ? ", " : "", p.egress ? "Egress" : "");
    out += yaml_of(p.in, "ingress", "from") + yaml_of(p.out, "egress", "to") + "---\n";
  }
  return out;
}

/// One direction of one pod: isolated by any policy that selects it, then what any of them allows.
/// `other`: null for somebody outside of the cluster.
bool kubernetes_allows(const Cluster& c, const Pod& self, bool ingress, const Pod* other,
                       std::uint32_t other_address, const Pod& destination, bool to_pod, bool udp,
                       std::uint16_t port) {
  bool isolated = false;
  for (const Policy& p : c.policies) {
    if (p.space != self.space || !p.pods.selects(self.app, self.zone)) continue;
    if (!(ingress ? p.ingress : p.egress)) continue;
    isolated = true;
    for (const Rule& rule : ingress ? p.in : p.out) {
      bool peer = rule.peers.empty();
      for (const Peer& q : rule.peers) {
        if (q.kind == 3) {
          bool inside = Prefix{Ip4{q.block}, q.length}.contains(Ip4{other_address});
          if (q.except && (other_address >> (31 - q.length) & 1) == 1) inside = false;
          peer |= inside;
        } else if (other != nullptr) {
          const bool space = other->space == (q.kind == 0 ? p.space : q.space);
          peer |= space && (q.kind == 2 || q.pods.selects(other->app, other->zone));
        }
      }
      bool fits = rule.ports.empty();
      for (const Port& q : rule.ports) {
        if (q.udp != udp) continue;
        if (q.kind == 0) fits |= port == q.first;
        if (q.kind == 1) fits |= port >= q.first && port <= q.last;
        if (q.kind == 2) fits |= to_pod && destination.http != 0 && port == destination.http;
        if (q.kind == 3) fits = true;
      }
      if (peer && fits) return true;
    }
  }
  return !isolated;
}

}  // namespace

TEST_CASE("random policies let through what Kubernetes says") {
  int allowed = 0, denied = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Cluster c = random_cluster(seed);
    const std::string yaml = yaml_of(c);
    const Judge judge(import_yaml(yaml));
    for (const Pod& from : c.pods) {
      for (const Pod& to : c.pods) {
        if (&from == &to) continue;
        for (const bool udp : {false, true}) {
          for (const std::uint16_t port : {78, 79, 80, 81, 82, 83}) {
            const bool wanted =
                kubernetes_allows(c, from, false, &to, to.address, to, true, udp, port) &&
                kubernetes_allows(c, to, true, &from, from.address, to, true, udp, port);
            const bool got = judge.allows(from.space + "/" + from.name, to.space + "/" + to.name,
                                          from.address, to.address, udp ? 17 : 6, port);
            ++(wanted ? allowed : denied);
            if (got == wanted) continue;
            FAIL("seed " << seed << ": " << from.name << " -> " << to.name << " "
                         << (udp ? "udp " : "tcp ") << port << ": " << got << "\n"
                         << yaml);
          }
        }
      }
      // Towards and from addresses outside of the cluster.
      for (const std::uint32_t outside : {0x0a00000fu, 0x0a0000c8u, 0xc0000201u}) {
        const std::string name = from.space + "/" + from.name;
        CHECK(judge.allows(name, "", from.address, outside, 6, 80) ==
              kubernetes_allows(c, from, false, nullptr, outside, from, false, false, 80));
        CHECK(judge.allows("", name, outside, from.address, 6, 80) ==
              kubernetes_allows(c, from, true, nullptr, outside, from, true, false, 80));
      }
    }
  }
  CHECK(allowed > 2000);
  CHECK(denied > 2000);
}

TEST_CASE("the example's shop: who may ask whom") {
  const Imported network = import_yaml(
      test::read_bytes(std::string(WEFT_SOURCE_DIR) + "/scenarios/kubernetes/shop.yaml"));
  CHECK(network.notes.empty());
  const Judge judge(network);
  const control::Intent intent = network.intent();
  const auto& ports = intent.ports();
  struct Case {
    const char *from, *to;
    int protocol, port;
    bool allowed;
  };
  const Case cases[] = {
      {"shop/front-0", "shop/api-0", 6, 9000, true},
      {"shop/front-0", "shop/api-1", 6, 9001, true},  // its own number of "rest"
      {"shop/front-0", "shop/api-1", 6, 9000, false},
      {"shop/front-0", "shop/db-0", 6, 5432, false},
      {"shop/api-0", "shop/db-0", 6, 5432, true},
      {"shop/api-1", "shop/db-0", 6, 5432, false},  // the canary
      {"shop/db-0", "shop/api-0", 6, 9000, false},
      {"shop/api-0", "kube-system/coredns-0", 17, 53, true},
      {"shop/api-0", "kube-system/coredns-0", 17, 54, false},
      {"shop/api-0", "monitoring/prometheus-0", 17, 53, false},
      {"monitoring/prometheus-0", "shop/db-0", 6, 9100, true},
      {"monitoring/prometheus-0", "shop/db-0", 6, 9101, false},
      {"kube-system/coredns-0", "shop/db-0", 6, 9100, false},
      {"monitoring/prometheus-0", "kube-system/coredns-0", 6, 1, true},
  };
  for (const Case& c : cases) {
    INFO(c.from << " " << c.to << " " << c.port);
    CHECK(judge.allows(c.from, c.to, ports.at(c.from).addresses[0].v4().value,
                       ports.at(c.to).addresses[0].v4().value,
                       static_cast<std::uint8_t>(c.protocol),
                       static_cast<std::uint16_t>(c.port)) == c.allowed);
  }
  const std::uint32_t front = ports.at("shop/front-0").addresses[0].v4().value;
  CHECK(judge.allows("", "shop/front-0", 0xc6336401, front, 6, 8080));
  CHECK(!judge.allows("", "shop/front-0", 0xcb007105, front, 6, 8080));
  CHECK(network.placement.ports.at("shop/db-0") == "node-2");
  CHECK(network.placement.hypervisors == std::vector<std::string>{"node-1", "node-2"});
  // A drop leads to the policy and its line.
  const control::Acl& acl = intent.acls().at("np.shop.db.ingress");
  CHECK(network.origins.at(acl.cookie).name == "shop/db isolates ingress");
  CHECK(network.origins.at(acl.cookie).place.line > 100);
}

TEST_CASE("Kubernetes objects that weft cannot use say why and where") {
  const std::string pod =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0.1}\n---\n";
  const std::string policy =
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: n}\nspec:\n";
  struct Case {
    std::string yaml;
    int line, column;
    const char* message;
  };
  const Case cases[] = {
      {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n", 1, 1, "of kind Deployment"},
      {pod + "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: n}\n", 6, 1,
       "of apiVersion 'extensions/v1beta1'"},
      {pod + pod, 6, 1, "the pod default/p is there twice"},
      {pod + "kind: Pod\napiVersion: v1\n", 6, 1, "without metadata.name"},
      {pod + "- 1\n", 6, 1, "expected a Kubernetes object"},
      {pod + "apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nspec: {hostNetwork: true}\n", 9, 21,
       "uses its node's network"},
      {pod + "apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nstatus: {podIP: here}\n", 9, 17,
       "here"},
      {pod + "apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nstatus: {podIP: 10.0.0.1}\n", 1, 1,
       "address 10.0.0.1"},
      {policy + "  podSelectr: {}\n", 5, 3, "podSelectr"},
      {policy + "  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]\n", 5,
       59, "does not lie inside"},
      {policy + "  ingress: [{ports: [{protocol: SCTP, port: 1}]}]\n", 5, 33, "not SCTP"},
      {policy + "  ingress: [{ports: [{port: 70000}]}]\n", 5, 29, "70000"},
      {policy + "  ingress: [{ports: [{port: 80, endPort: 70}]}]\n", 5, 42, "endPort"},
      {policy + "  ingress: [{from: [{}]}]\n", 5, 21, "a peer without"},
      {policy + "  podSelector: {matchExpressions: [{key: a, operator: Is}]}\n", 5, 55, "operator"},
      {policy + "  podSelector: {matchExpressions: [{key: a, operator: In}]}\n", 5, 36,
       "need values"},
      {policy + "  policyTypes: [ingress]\n", 5, 17, "policyTypes"},
      {pod + "a: [\n", 7, 1, "YAML"},
  };
  for (const Case& c : cases) {
    const ImportResult result = imports::import_kubernetes(c.yaml, "k.yaml");
    INFO(c.yaml << "\n" << all(result.errors));
    CHECK(!result.network);
    REQUIRE(!result.errors.empty());
    CHECK(result.errors.front().place == Place{"k.yaml", c.line, c.column});
    CHECK(all(result.errors).find(c.message) != std::string::npos);
  }
}

TEST_CASE("pods without addresses, ended pods, unknown namespaces are noted") {
  const Imported network = import_yaml(
      "apiVersion: v1\nkind: PodList\nitems:\n"
      "- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
      "- {apiVersion: v1, kind: Pod, metadata: {name: b}, status: {podIP: 10.244.0.2}}\n"
      "- {apiVersion: v1, kind: Pod, metadata: {name: c}, status: {phase: Succeeded}}\n");
  const control::Intent intent = network.intent();
  const auto& ports = intent.ports();
  CHECK(ports.size() == 2);
  CHECK(ports.at("default/a").addresses == std::vector<IpAddress>{Ip4{0x0af40003}});
  CHECK(network.notes.size() == 2);
}
