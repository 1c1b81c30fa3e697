#include "scenarios/swarm/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/random.h"

namespace weft::scenarios::swarm {
namespace {

struct Network {
  bool v4 = false, v6 = false;
  int router = -1;
};
struct Group {
  std::size_t network = 0;
  unsigned count = 1;
  int host = -1;  ///< all of its VMs start there; -1: the loader chooses
};
struct Tenant {
  std::string name;
  std::vector<Network> networks;
  std::vector<Group> groups;
  bool policy = false;
  unsigned rules = 0;
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : seed_(seed), random_(seed, "swarm/scenario") {}

  Draft make() {
    choose_features();
    head();
    underlay();
    overlay();
    tenants();
    traffic();
    events();
    return std::move(draft_);
  }

 private:
  std::uint64_t pick(std::uint64_t low, std::uint64_t high) {
    return low + random_.below(high - low + 1);
  }
  bool chance(unsigned percent) { return random_.below(100) < percent; }
  template <class T>
  const T& one_of(const std::vector<T>& list) {
    return list[random_.below(list.size())];
  }
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... arguments) {
    draft_.head += fmt::format(format, std::forward<Args>(arguments)...) + "\n";
  }

  void choose_features() {
    migrations_ = chance(50);
    link_failures_ = chance(30);
    node_failures_ = chance(20);
    outages_ = chance(25);
    policy_changes_ = chance(40);
    damage_ = chance(25);
    control_loss_ = chance(25);
    in_band_ = chance(15);
    if (in_band_) control_loss_ = false;
    same_addresses_ = chance(50);
    colliding_vnis_ = chance(30);
    latency_us_ = one_of(std::vector<unsigned>{50, 200, 1000});
    start_ms_ = (control_loss_ ? 100 : 25) + 10 * latency_us_ / 1000;
    duration_ms_ = start_ms_ + static_cast<unsigned>(pick(80, 160));
  }

  void head() {
    line("name: swarm-{}", seed_);
    line("seed: {}", seed_);
    line("duration: {}ms\n", duration_ms_);
  }

  void underlay() {
    spines_ = static_cast<unsigned>(pick(1, 3));
    leaves_ = static_cast<unsigned>(pick(1, 3));
    per_leaf_ = static_cast<unsigned>(pick(leaves_ == 1 ? 2 : 1, 3));
    line("underlay:");
    if (chance(30)) line("  family: ipv6");
    line("  leaf_spine: {{spines: {}, leaves: {}, hosts_per_leaf: {}}}", spines_, leaves_,
         per_leaf_);
    const auto damage = [&] {
      std::string text;
      if (damage_ && chance(60)) text += fmt::format(", loss: 0.{}%", pick(1, 9));
      if (damage_ && chance(40)) text += fmt::format(", corruption: 0.{}%", pick(1, 9));
      return text;
    };
    const std::vector<unsigned> rates{10, 25, 40};
    line("  host_links: {{rate: {}Gbps, delay: {}us, queue: 1MB{}}}", one_of(rates), pick(1, 5),
         damage());
    line("  fabric_links: {{rate: {}Gbps, delay: {}us, queue: 2MB{}}}", one_of(rates), pick(1, 5),
         damage());
    line("  convergence: {}ms\n", pick(1, 10));
  }

  void overlay() {
    line("overlay:");
    line("  encapsulation: {}", chance(50) ? "vxlan" : "geneve");
    if (chance(20)) {
      line("  caches: {{exact_match: {}, megaflow: {}}}", chance(50), chance(50));
    }
    const char* style = chance(50) ? "hybrid" : "central";
    if (in_band_) return line("  control: {{style: {}, through: fabric}}\n", style);
    line("  control: {{style: {}, latency: {}us{}}}\n", style, latency_us_,
         control_loss_ ? fmt::format(", loss: {}%", pick(1, 10)) : "");
  }

  unsigned hosts() const { return leaves_ * per_leaf_; }
  std::string host(unsigned number) const {
    return fmt::format("hv-{}-{}", number / per_leaf_ + 1, number % per_leaf_ + 1);
  }

  void tenants() {
    const std::vector<std::string> names{"red", "blue", "green"};
    line("tenants:");
    for (std::uint64_t t = 0, n = pick(1, 3); t < n; ++t) {
      tenants_.push_back({names[t], {}, {}, false, 0});
      tenant(tenants_.back(), static_cast<unsigned>(t));
    }
    line("");
  }

  void tenant(Tenant& tenant, unsigned number) {
    line("  {}:", tenant.name);
    line("    networks:");
    std::map<int, std::string> routers;
    for (unsigned n = 0, count = static_cast<unsigned>(pick(1, 3)); n < count; ++n) {
      Network network;
      const auto families = random_.below(4);  // 0, 1: IPv4; 2: IPv6; 3: both
      network.v4 = families != 2;
      network.v6 = families >= 2;
      const unsigned octet = same_addresses_ ? 0 : number;
      std::vector<std::string> subnets;
      if (network.v4) subnets.push_back(fmt::format("10.{}.{}.0/24", octet, n));
      if (network.v6) subnets.push_back(fmt::format("\"2001:db8:{}:{}::/64\"", octet, n));
      std::string vni;
      // Equal in the lower 16 bits, tenant after tenant.
      if (colliding_vnis_) vni = fmt::format(", vni: {}", 6000 + n + (number << 16));
      line("      n{}: {{subnets: [{}]{}}}", n, fmt::join(subnets, ", "), vni);
      if (chance(75)) {
        network.router = chance(80) ? 1 : 2;
        auto& members = routers[network.router];
        members += fmt::format("{}n{}", members.empty() ? "" : ", ", n);
      }
      tenant.networks.push_back(network);
    }
    if (!routers.empty()) {
      line("    routers:");
      for (const auto& [router, members] : routers) line("      r{}: [{}]", router, members);
    }
    line("    groups:");
    for (unsigned g = 0, count = static_cast<unsigned>(pick(2, 3)); g < count; ++g) {
      Group group;
      group.network = random_.below(tenant.networks.size());
      group.count = static_cast<unsigned>(pick(1, 3));
      std::string place;
      if (chance(migrations_ ? 60 : 30)) {
        group.host = static_cast<int>(random_.below(hosts()));
        place = ", place: " + host(static_cast<unsigned>(group.host));
      }
      line("      g{}: {{count: {}, network: n{}, memory: {}MiB, dirty: {}MB/s{}}}", g, group.count,
           group.network, pick(2, 6), pick(0, 50), place);
      tenant.groups.push_back(group);
    }
    tenant.policy = chance(75);
    if (!tenant.policy) return;
    line("    policy:");
    line("      default: {}", chance(60) ? "deny" : "allow");
    tenant.rules = static_cast<unsigned>(pick(0, 6));
    if (tenant.rules > 0) line("      rules:");
    for (unsigned r = 0; r < tenant.rules; ++r)
      line("        - {}", rule(tenant, fmt::format("rule-{}", r)));
  }

  std::string vm(const Tenant& tenant, std::size_t group) {
    return fmt::format("g{}-{}", group, pick(1, tenant.groups[group].count));
  }

  std::string peer(const Tenant& tenant) {
    const std::size_t g = random_.below(tenant.groups.size());
    switch (random_.below(6)) {
      case 0:
        return "any";
      case 1:
        return vm(tenant, g);
      case 2:
        return fmt::format("n{}", tenant.groups[g].network);
      case 3: {
        const unsigned octet =
            same_addresses_ ? 0 : static_cast<unsigned>(&tenant - tenants_.data());
        const auto& network = tenant.networks[tenant.groups[g].network];
        if (network.v4) return fmt::format("10.{}.{}.8/29", octet, tenant.groups[g].network);
        return fmt::format("\"2001:db8:{}:{}::/112\"", octet, tenant.groups[g].network);
      }
      default:
        return fmt::format("g{}", g);
    }
  }

  std::string rule(const Tenant& tenant, const std::string& name) {
    std::string protocol;
    switch (random_.below(5)) {
      case 0:
        protocol = ", icmp: any";
        break;
      case 1:
      case 2: {
        const auto first = pick(8000, 8008);
        protocol = chance(50) ? fmt::format(", tcp: {}", first)
                              : fmt::format(", tcp: {}-{}", first, first + pick(1, 6));
        break;
      }
      case 3:
        protocol = fmt::format(", udp: {}-{}", pick(8000, 8004), pick(8004, 8010));
        break;
      default:
        break;
    }
    const char* verb = chance(65) ? "allow" : "deny";
    const std::string from = peer(tenant), to = peer(tenant);
    return fmt::format("{{name: {}, {}: {{from: {}, to: {}{}}}, priority: {}}}", name, verb, from,
                       to, protocol, one_of(std::vector<unsigned>{100, 100, 200}));
  }

  void traffic() {
    const auto wanted = pick(3, 8);
    for (unsigned t = 0, tries = 0; t < wanted && tries < 40; ++tries) {
      const Tenant& tenant = one_of(tenants_);
      const std::size_t a = random_.below(tenant.groups.size());
      const std::size_t b = random_.below(tenant.groups.size());
      const auto &na = tenant.networks[tenant.groups[a].network],
                 &nb = tenant.networks[tenant.groups[b].network];
      const bool v4 = na.v4 && nb.v4, v6 = na.v6 && nb.v6;
      const std::string from = chance(50) ? fmt::format("g{}", a) : vm(tenant, a);
      const std::string to = chance(50) ? fmt::format("g{}", b) : vm(tenant, b);
      const bool itself = from == to && (from.size() > 2 || tenant.groups[a].count == 1);
      const bool single = a == b && tenant.groups[a].count == 1;
      if ((!v4 && !v6) || itself || single) continue;
      const char* family = v4 && (!v6 || chance(50)) ? "ipv4" : "ipv6";
      draft_.traffic.push_back(fmt::format(
          "{{name: t{}, from: {}/{}, to: {}/{}, family: {}, {}, start: {}ms}}", t, tenant.name,
          from, tenant.name, to, family, what(8000 + t), start_ms_ + pick(0, 10)));
      ++t;
    }
  }

  std::string what(unsigned port) {
    switch (random_.below(5)) {
      case 0:
        return fmt::format("ping: {{interval: {}ms, size: {}B}}", pick(2, 9), pick(8, 1400));
      case 1:
        return fmt::format("udp: {{port: {}, rate: {}Mbps, size: {}B, gaps: {}}}", port,
                           pick(1, 10), pick(50, 1400), chance(50) ? "poisson" : "even");
      case 2:
        return fmt::format("bulk: {{port: {}, size: {}KB}}", port, pick(20, 300));
      case 3:
        return fmt::format("rpc: {{port: {}, request: {}B, response: {}B, rate: {}/s}}", port,
                           pick(50, 600), pick(50, 20000), pick(100, 500));
      default:
        return fmt::format("scan: {{ports: {}-{}, interval: 1ms}}", pick(7998, 8002),
                           pick(8003, 8009));
    }
  }

  unsigned moment() {
    return start_ms_ + 12 + static_cast<unsigned>(random_.below((duration_ms_ - start_ms_) / 2));
  }

  void events() {
    unsigned number = 0;
    const auto add = [&](unsigned at, const std::string& what) {
      draft_.events.push_back(fmt::format("{{name: e{}, at: {}ms, {}}}", number++, at, what));
    };
    if (migrations_) {
      std::set<std::string> moved;
      for (std::uint64_t m = 0, n = pick(1, 3); m < n; ++m) {
        const Tenant& tenant = one_of(tenants_);
        const std::size_t g = random_.below(tenant.groups.size());
        const int from = tenant.groups[g].host;
        const std::string name = tenant.name + "/" + vm(tenant, g);
        // Where the loader placed a VM is not known here, and moving it to there is an error.
        if (from < 0 || !moved.insert(name).second) continue;
        const auto to = (static_cast<unsigned>(from) + pick(1, hosts() - 1)) % hosts();
        add(moment(), fmt::format("migrate: {{vm: {}, to: {}, max_downtime: {}ms}}", name,
                                  host(static_cast<unsigned>(to)), pick(1, 5)));
      }
    }
    if (link_failures_) {
      const bool fabric = chance(70);
      const auto leaf = pick(1, leaves_);
      const std::string link =
          fabric ? fmt::format("leaf-{}--spine-{}", leaf, pick(1, spines_))
                 : fmt::format("leaf-{}--hv-{}-{}", leaf, leaf, pick(1, per_leaf_));
      add(moment(), fmt::format("fail: {{link: {}, for: {}ms}}", link, pick(5, 30)));
    }
    if (node_failures_) {
      const std::string node = chance(50)   ? fmt::format("spine-{}", pick(1, spines_))
                               : chance(50) ? fmt::format("leaf-{}", pick(1, leaves_))
                                            : host(static_cast<unsigned>(random_.below(hosts())));
      add(moment(), fmt::format("fail: {{node: {}, for: {}ms}}", node, pick(5, 30)));
    }
    if (outages_) {
      add(moment(), fmt::format("controller: {{stop: controller-1, for: {}ms}}", pick(10, 40)));
    }
    if (policy_changes_) policy_changes(add);
  }

  template <class Add>
  void policy_changes(const Add& add) {
    for (std::size_t t = 0; t < tenants_.size(); ++t) {
      const Tenant& tenant = tenants_[t];
      if (!tenant.policy || !chance(70)) continue;
      std::string change;
      if (tenant.rules > 0 && chance(60))
        change += fmt::format(", remove: [rule-{}]", random_.below(tenant.rules));
      if (change.empty() || chance(60)) change += fmt::format(", add: [{}]", rule(tenant, "new-0"));
      add(moment(), fmt::format("policy: {{tenant: {}{}}}", tenant.name, change));
    }
  }

  std::uint64_t seed_;
  RandomStream random_;
  Draft draft_;
  bool migrations_ = false, link_failures_ = false, node_failures_ = false, outages_ = false;
  bool policy_changes_ = false, damage_ = false, control_loss_ = false;
  bool in_band_ = false;
  bool same_addresses_ = false, colliding_vnis_ = false;
  unsigned latency_us_ = 200, start_ms_ = 0, duration_ms_ = 0;
  unsigned spines_ = 1, leaves_ = 1, per_leaf_ = 1;
  std::vector<Tenant> tenants_;
};

}  // namespace

std::string Draft::text() const {
  std::string out = head;
  if (!traffic.empty()) out += "traffic:\n";
  for (const auto& t : traffic) out += "  - " + t + "\n";
  if (!events.empty()) out += "\nevents:\n";
  for (const auto& e : events) out += "  - " + e + "\n";
  return out;
}

Draft generate(std::uint64_t seed) { return Generator(seed).make(); }

}  // namespace weft::scenarios::swarm
