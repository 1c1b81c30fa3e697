// Tenants: networks, routers, groups of VMs. Policy is in policy.cpp, where VMs go in
// placement.cpp.
//
// Addresses of VMs. The router has the first address of every subnet (.1). The K-th VM of a
// network, counted over the tenant's groups in the order of the file, gets host number 10 + K (.11,
// .12 ...); in a subnet that is too small for that, 1 + K. Written addresses (`ip:`) are kept and
// skipped. MACs are 02:00:00 and the VM's number within its tenant: the same in every tenant on
// purpose, as nothing keeps two real tenants from choosing the same.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "scenarios/loader/placement.h"
#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

constexpr std::uint32_t kFirstVni = 5001;
constexpr std::uint64_t kFirstHostNumber = 10;  ///< the first VM has the one after it

struct VmOverride {
  const YamlNode::Entry* entry = nullptr;
  std::vector<std::pair<IpAddress, Place>> ips;
  std::optional<Mac> mac;
  std::optional<ByteCount> memory, dirty;
  const YamlNode* host = nullptr;
};

std::uint64_t host_numbers(const Prefix& subnet) {
  const int bits = (subnet.address.is6 ? 128 : 32) - subnet.length;
  if (subnet.address.is6) return bits >= 40 ? 1ULL << 40 : (1ULL << bits) - 1;
  return bits < 2 ? 0 : (1ULL << bits) - 2;
}

/// Reads one tenant; what is being built and what refers to it within.
class TenantReader {
 public:
  TenantReader(Context& context, std::size_t index, Placement& placement)
      : context_(context),
        diag_(context.diag),
        index_(index),
        tenant_(context.scenario.tenants[index]),
        placement_(placement) {}

  void read(const YamlNode& node) {
    Reader reader(diag_, node, "tenant", "tenant " + tenant_.name);
    if (const YamlNode* networks = reader.require("networks")) read_networks(*networks);
    if (const YamlNode* routers = reader.take("routers")) read_routers(*routers);
    const YamlNode* vms = reader.take("vms");
    if (vms != nullptr) read_overrides(*vms);
    if (const YamlNode* groups = reader.take("groups")) read_groups(*groups);
    for (const auto& [name, over] : overrides_) {
      if (context_.vms[index_].count(name) != 0 || groups_broken_) continue;
      diag_.error(over.entry->place, fmt::format("tenant {} has no VM `{}`", tenant_.name, name),
                  suggest(name, names_of(context_.vms[index_])));
    }
    assign_macs();
    assign_addresses();
    if (const YamlNode* policy = reader.take("policy")) read_policy(*policy);
    reader.finish();
  }

 private:
  // --- networks and routers ---

  void read_networks(const YamlNode& section) {
    if (!is_map(diag_, section, "networks")) return;
    for (const YamlNode::Entry& entry : section.entries) {
      if (!is_name(diag_, entry.place, entry.key, "network")) continue;
      NetworkSpec network;
      network.name = entry.key;
      network.place = entry.place;
      Reader reader(diag_, *entry.value, "network", "network " + entry.key);
      const YamlNode* one = reader.take("subnet");
      const YamlNode* several = reader.take("subnets");
      if (one != nullptr && several != nullptr) {
        diag_.error(several->place, "both `subnet` and `subnets`", "give one of them");
      }
      if (one == nullptr && several == nullptr) {
        diag_.error(entry.place, fmt::format("network {} needs `subnet`", entry.key),
                    "for example subnet: 10.0.1.0/24");
      }
      if (one != nullptr) add_subnet(network, *one);
      if (several != nullptr && is_list(diag_, *several, "subnets")) {
        for (const YamlNode* item : several->items) add_subnet(network, *item);
      }
      reader.read_integer("mtu", network.mtu, 576, 65000);
      reader.read_integer("vni", network.vni, 1, (1u << 24) - 1);
      reader.finish();
      context_.networks[index_].emplace(network.name, tenant_.networks.size());
      tenant_.networks.push_back(std::move(network));
    }
  }

  void add_subnet(NetworkSpec& network, const YamlNode& node) {
    Prefix subnet;
    if (!convert(diag_, node, subnet)) return;
    for (const Prefix& other : network.subnets) {
      if (other.address.is6 == subnet.address.is6) {
        diag_.error(node.place, "a network has at most one IPv4 and one IPv6 subnet",
                    "make it two networks and a router");
        return;
      }
    }
    const std::uint32_t first = subnet.address.v4().value >> 24;
    const bool unusable = subnet.address.is6 ? (subnet.address.v6().high >> 56) == 0xff
                                             : first == 0 || first == 127 || first >= 224;
    if (unusable) {
      diag_.error(node.place, fmt::format("{} is not for hosts", subnet.text()),
                  "for example 10.0.1.0/24");
    }
    network.subnets.push_back(subnet);
  }

  void read_routers(const YamlNode& section) {
    if (!is_map(diag_, section, "routers")) return;
    std::map<std::size_t, std::string> router_of;
    for (const YamlNode::Entry& entry : section.entries) {
      if (!is_name(diag_, entry.place, entry.key, "router")) continue;
      RouterSpec router;
      router.name = entry.key;
      router.place = entry.place;
      // All routers may share a MAC: no two of them are in one network.
      router.mac = Mac::from_u64(0x020052000001ULL + tenant_.routers.size());
      const YamlNode* list = entry.value;
      if (list->kind == YamlNode::Kind::map) {
        Reader reader(diag_, *list, "router", "router " + entry.key);
        list = reader.require("networks");
        reader.read("mac", router.mac);
        reader.finish();
      }
      if (list == nullptr || !is_list(diag_, *list, "router " + entry.key)) continue;
      for (const YamlNode* item : list->items) {
        const auto network = resolve_network(*item);
        if (!network) continue;
        const auto [found, fresh] = router_of.emplace(*network, entry.key);
        if (!fresh) {
          diag_.error(
              item->place,
              fmt::format("network {} already has the router {}", item->text, found->second),
              "a network has one router");
          continue;
        }
        check_overlap(router, *network, item->place);
        router.networks.push_back(*network);
      }
      tenant_.routers.push_back(std::move(router));
    }
  }

  void check_overlap(const RouterSpec& router, std::size_t network, const Place& place) {
    for (const std::size_t other : router.networks) {
      for (const Prefix& a : tenant_.networks[network].subnets) {
        for (const Prefix& b : tenant_.networks[other].subnets) {
          if (a.address.is6 != b.address.is6) continue;
          if (!a.contains(b.address) && !b.contains(a.address)) continue;
          diag_.error(place,
                      fmt::format("{} of {} and {} of {} overlap on router {}", a.text(),
                                  tenant_.networks[network].name, b.text(),
                                  tenant_.networks[other].name, router.name),
                      "a router cannot tell them apart; give one another subnet");
        }
      }
    }
  }

  std::optional<std::size_t> resolve_network(const YamlNode& value) {
    const auto text = scalar_text(diag_, value, "the name of a network");
    if (!text) return std::nullopt;
    const NameTable& table = context_.networks[index_];
    const auto found = table.find(*text);
    if (found != table.end()) return found->second;
    diag_.error(value.place, fmt::format("tenant {} has no network `{}`", tenant_.name, *text),
                suggest(*text, names_of(table)));
    return std::nullopt;
  }

  // --- VMs ---

  void read_overrides(const YamlNode& section) {
    if (!is_map(diag_, section, "vms")) return;
    for (const YamlNode::Entry& entry : section.entries) {
      VmOverride over;
      over.entry = &entry;
      Reader reader(diag_, *entry.value, "vm", "vm " + entry.key);
      if (const YamlNode* ip = reader.take("ip")) {
        std::vector<const YamlNode*> list{ip};
        if (ip->kind == YamlNode::Kind::sequence) list.assign(ip->items.begin(), ip->items.end());
        for (const YamlNode* item : list) {
          IpAddress address;
          if (convert(diag_, *item, address)) over.ips.emplace_back(address, item->place);
        }
      }
      reader.read("mac", over.mac);
      reader.read("memory", over.memory);
      ByteCount dirty{};
      if (reader.read_bytes_per_second("dirty", dirty)) over.dirty = dirty;
      over.host = reader.take("host");
      reader.finish();
      overrides_.emplace(entry.key, std::move(over));
    }
  }

  void read_groups(const YamlNode& section) {
    if (!is_map(diag_, section, "groups")) return;
    const std::size_t errors = diag_.count();
    for (const YamlNode::Entry& entry : section.entries) {
      if (is_name(diag_, entry.place, entry.key, "group")) read_group(entry);
    }
    groups_broken_ = diag_.count() != errors;
    if (groups_broken_) context_.tenants_whole = false;
  }

  void read_group(const YamlNode::Entry& entry) {
    GroupSpec group;
    group.name = entry.key;
    group.place = entry.place;
    Reader reader(diag_, *entry.value, "group", "group " + entry.key);
    std::uint64_t count = 1;
    const bool counted = reader.read_integer("count", count, 1, kMaxVms);
    std::optional<std::size_t> network;
    if (const YamlNode* value = reader.require("network")) network = resolve_network(*value);
    VmSpec vm;
    vm.place = entry.place;
    reader.read("memory", vm.memory);
    if (vm.memory.bytes == 0) diag_.error(reader.place("memory"), "a VM without memory");
    reader.read_bytes_per_second("dirty", vm.dirty_per_second);
    const YamlNode* place = reader.take("place");
    if (const YamlNode* aliases = reader.take("aliases")) {
      if (count != 1)
        diag_.error(aliases->place, fmt::format("the same addresses for {} VMs", count),
                    "aliases are for a group of one VM");
      if (is_list(diag_, *aliases, "aliases"))
        for (const YamlNode* item : aliases->items) read_alias(*item, vm);
    }
    reader.finish();
    placement_.total_vms += count;
    if (placement_.total_vms > kMaxVms) {
      diag_.error(counted ? reader.place("count") : entry.place,
                  fmt::format("{} VMs: above the limit of {}", format_count(placement_.total_vms),
                              format_count(kMaxVms)));
      return;
    }
    if (!network) return;
    group.network = *network;
    vm.network = *network;
    vm.group = tenant_.groups.size();
    if (!check_room(group, count, reader.place("count"))) return;
    for (std::uint64_t n = 1; n <= count; ++n) {
      const std::string name = fmt::format("{}-{}", entry.key, n);
      vm.name = tenant_.name + "/" + name;
      if (!context_.vms[index_].emplace(name, tenant_.vms.size()).second) {
        diag_.error(entry.place, fmt::format("there are two VMs `{}`", vm.name),
                    "two groups' names and numbers meet; rename one");
        return;
      }
      group.vms.push_back(tenant_.vms.size());
      tenant_.vms.push_back(vm);
      apply_override(name, tenant_.vms.back());
    }
    placement_.add_group(context_, index_, group, place);
    for (const std::size_t v : group.vms) {
      const auto over = overrides_.find(tenant_.vms[v].name.substr(tenant_.name.size() + 1));
      if (over == overrides_.end() || over->second.host == nullptr) continue;
      placement_.pin(context_, index_, v, *over->second.host);
    }
    context_.groups[index_].emplace(group.name, tenant_.groups.size());
    tenant_.groups.push_back(std::move(group));
  }

  /// "10.0.0.7/24"; without a length the address stands alone.
  void read_alias(const YamlNode& node, VmSpec& vm) {
    const auto text = scalar_text(diag_, node, "an address such as 10.0.0.7/24");
    if (!text) return;
    const std::size_t slash = text->find('/');
    const auto address = parse_ip(std::string_view(*text).substr(0, slash));
    const std::string digits = slash == std::string::npos ? "" : text->substr(slash + 1);
    const int most = address && address->is6 ? 128 : 32;
    const bool number = !digits.empty() && digits.size() <= 3 &&
                        digits.find_first_not_of("0123456789") == std::string::npos;
    const int length = slash == std::string::npos ? most : number ? std::stoi(digits) : most + 1;
    if (!address || length > most)
      return diag_.error(node.place, fmt::format("`{}` is no address", *text),
                         "for example 10.0.0.7/24");
    vm.aliases.emplace_back(*address, length);
  }

  void apply_override(const std::string& name, VmSpec& vm) {
    const auto found = overrides_.find(name);
    if (found == overrides_.end()) return;
    const VmOverride& over = found->second;
    vm.place = over.entry->place;
    if (over.mac) vm.mac = *over.mac;
    if (over.memory) vm.memory = *over.memory;
    if (over.dirty) vm.dirty_per_second = *over.dirty;
  }

  /// VMs in a network so far, with those of the group to come.
  bool check_room(const GroupSpec& group, std::uint64_t count, const Place& place) {
    in_network_.resize(tenant_.networks.size(), 0);
    in_network_[group.network] += count;
    for (const Prefix& subnet : tenant_.networks[group.network].subnets) {
      const std::uint64_t room = host_numbers(subnet);
      if (in_network_[group.network] + 1 <= room) continue;
      diag_.error(
          place,
          fmt::format("{} is too small: {} VMs and a router need {} addresses, it has {}",
                      subnet.text(), format_count(in_network_[group.network]),
                      format_count(in_network_[group.network] + 1), format_count(room)),
          fmt::format("give network {} a shorter prefix", tenant_.networks[group.network].name));
      return false;
    }
    return true;
  }

  void assign_macs() {
    // MACs must differ where they could meet: within a tenant.
    std::map<Mac, std::size_t> used;
    const auto clash = [&](std::size_t v) {
      const auto [found, fresh] = used.emplace(tenant_.vms[v].mac, v);
      if (fresh) return false;
      diag_.error(tenant_.vms[v].place,
                  fmt::format("{} and {} have the same MAC {}", tenant_.vms[found->second].name,
                              tenant_.vms[v].name, tenant_.vms[v].mac.text()));
      return true;
    };
    for (std::size_t v = 0; v < tenant_.vms.size(); ++v) {
      if (tenant_.vms[v].mac != Mac{}) clash(v);
    }
    std::uint64_t number = 0;
    for (std::size_t v = 0; v < tenant_.vms.size(); ++v) {
      VmSpec& vm = tenant_.vms[v];
      ++number;
      if (vm.mac != Mac{}) continue;
      do {
        vm.mac = Mac::from_u64(0x020000000000ULL + number);
      } while (used.count(vm.mac) != 0 && ++number != 0);
      used.emplace(vm.mac, v);
    }
  }

  void assign_addresses() {
    for (std::size_t n = 0; n < tenant_.networks.size(); ++n) {
      for (std::size_t s = 0; s < tenant_.networks[n].subnets.size(); ++s) {
        assign_subnet(n, tenant_.networks[n].subnets[s]);
      }
    }
    for (const auto& [name, over] : overrides_) {
      const auto found = context_.vms[index_].find(name);
      if (found == context_.vms[index_].end()) continue;
      const VmSpec& vm = tenant_.vms[found->second];
      for (const auto& [address, place] : over.ips) {
        if (std::find(vm.addresses.begin(), vm.addresses.end(), address) != vm.addresses.end())
          continue;
        const NetworkSpec& network = tenant_.networks[vm.network];
        std::string subnets;
        for (const Prefix& p : network.subnets) subnets += (subnets.empty() ? "" : ", ") + p.text();
        diag_.error(
            place,
            fmt::format("{} is not a free address of network {}", address.text(), network.name),
            fmt::format("its subnets: {}; the first address is the router's", subnets));
      }
    }
  }

  void assign_subnet(std::size_t network, const Prefix& subnet) {
    const std::uint64_t room = host_numbers(subnet);
    std::set<IpAddress> written{host_address(subnet, 1)};
    const auto written_for = [&](const VmSpec& vm) -> std::optional<IpAddress> {
      const auto over = overrides_.find(vm.name.substr(tenant_.name.size() + 1));
      if (over == overrides_.end()) return std::nullopt;
      for (const auto& [address, place] : over->second.ips) {
        if (subnet.contains(address)) return address;
      }
      return std::nullopt;
    };
    std::vector<std::size_t> members;
    std::map<std::size_t, IpAddress> fixed;
    for (std::size_t v = 0; v < tenant_.vms.size(); ++v) {
      if (tenant_.vms[v].network != network) continue;
      members.push_back(v);
      const auto address = overrides_.empty() ? std::nullopt : written_for(tenant_.vms[v]);
      if (!address) continue;
      const bool network_or_broadcast =
          *address == subnet.address ||
          (!subnet.address.is6 && *address == host_address(subnet, room + 1));
      if (!network_or_broadcast && written.insert(*address).second) fixed.emplace(v, *address);
    }
    std::uint64_t next =
        members.size() + kFirstHostNumber + fixed.size() <= room ? kFirstHostNumber : 1;
    for (const std::size_t v : members) {
      VmSpec& vm = tenant_.vms[v];
      const auto found = fixed.find(v);
      if (found != fixed.end()) {
        vm.addresses.push_back(found->second);
        ++next;  // its number stays its own: writing one address moves no other VM's
        continue;
      }
      IpAddress address;
      do {
        address = host_address(subnet, ++next);
      } while (next <= room && written.count(address) != 0);
      if (next > room) {  // fixed addresses in the middle: start over from the lowest free one
        next = 1;
        while (written.count(host_address(subnet, next)) != 0) ++next;
        address = host_address(subnet, next);
      }
      written.insert(address);
      vm.addresses.push_back(address);
    }
  }

  void read_policy(const YamlNode& node) {
    PolicySpec policy;
    policy.place = node.place;
    policy.default_place = node.place;
    Reader reader(diag_, node, "policy", "policy of " + tenant_.name);
    if (reader.read_choice("default", policy.default_allow, {{"deny", false}, {"allow", true}})) {
      policy.default_place = reader.place("default");
    }
    tenant_.policy = policy;
    if (const YamlNode* rules = reader.take("rules")) {
      tenant_.policy->rules = read_policy_rules(context_, *rules, index_);
    }
    reader.finish();
  }

  Context& context_;
  Diagnostics& diag_;
  std::size_t index_;
  TenantSpec& tenant_;
  Placement& placement_;
  std::map<std::string, VmOverride, std::less<>> overrides_;
  std::vector<std::uint64_t> in_network_;
  bool groups_broken_ = false;
};

/// Written VNIs stay; the others are counted up from kFirstVni around them.
void assign_vnis(Context& context) {
  std::map<std::uint32_t, std::string> used;
  for (const TenantSpec& tenant : context.scenario.tenants) {
    for (const NetworkSpec& network : tenant.networks) {
      if (network.vni == 0) continue;
      if (context.scenario.overlay.encapsulation == Encapsulation::nvgre &&
          (network.vni < 0x1000 || network.vni == 0xffffff))
        context.diag.error(network.place,
                           fmt::format("VNI {} of {}/{} is no VSID of NVGRE", network.vni,
                                       tenant.name, network.name),
                           "RFC 7637 reserves 0-4095 and 16777215");
      const auto [found, fresh] = used.emplace(network.vni, tenant.name + "/" + network.name);
      if (fresh) continue;
      context.diag.error(network.place,
                         fmt::format("VNI {} is already that of {}", network.vni, found->second),
                         "it tells networks apart on the wire, over all tenants");
    }
  }
  std::uint32_t next = kFirstVni;
  for (TenantSpec& tenant : context.scenario.tenants) {
    for (NetworkSpec& network : tenant.networks) {
      if (network.vni != 0) continue;
      while (used.count(next) != 0) ++next;
      network.vni = next++;
    }
  }
}

}  // namespace

const VmSpec& vm_of(const Scenario& scenario, const EndpointRef& vm) {
  return scenario.tenants[*vm.tenant].vms[vm.index];
}

std::string endpoint_name(const Scenario& scenario, const EndpointRef& endpoint) {
  return endpoint.tenant ? vm_of(scenario, endpoint).name
                         : scenario.underlay.nodes[endpoint.index].name;
}

std::vector<std::string> vm_names(const Scenario& scenario) {
  std::vector<std::string> names;
  for (const TenantSpec& tenant : scenario.tenants) {
    for (const VmSpec& vm : tenant.vms) names.push_back(vm.name);
  }
  return names;
}

std::optional<EndpointRef> resolve_vm(Context& context, const YamlNode& value) {
  const auto text = scalar_text(context.diag, value, "the name of a VM, as shop/web-1");
  if (!text) return std::nullopt;
  const std::size_t slash = text->find('/');
  if (slash != std::string::npos) {
    const auto tenant = context.tenants.find(text->substr(0, slash));
    if (tenant != context.tenants.end()) {
      const NameTable& vms = context.vms[tenant->second];
      const auto vm = vms.find(text->substr(slash + 1));
      if (vm != vms.end()) return EndpointRef{tenant->second, vm->second};
    }
  }
  if (context.tenants_whole) {
    context.diag.error(value.place, fmt::format("there is no VM `{}`", *text),
                       suggest(*text, vm_names(context.scenario)));
  }
  return std::nullopt;
}

void read_tenants(Context& context, const YamlNode* section) {
  const std::size_t errors = context.diag.count();
  if (section == nullptr || !is_map(context.diag, *section, "tenants")) return;
  // All tenants exist before any is read: references into the vector stay valid.
  std::vector<const YamlNode*> nodes;
  for (const YamlNode::Entry& entry : section->entries) {
    if (!is_name(context.diag, entry.place, entry.key, "tenant")) continue;
    if (context.nodes.count(entry.key) != 0) {
      context.diag.error(entry.place, fmt::format("`{}` is already the name of a node", entry.key));
    }
    context.tenants.emplace(entry.key, nodes.size());
    TenantSpec tenant;
    tenant.name = entry.key;
    tenant.place = entry.place;
    context.scenario.tenants.push_back(std::move(tenant));
    nodes.push_back(entry.value);
  }
  context.networks.resize(nodes.size());
  context.groups.resize(nodes.size());
  context.vms.resize(nodes.size());
  Placement placement;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    TenantReader(context, i, placement).read(*nodes[i]);
  assign_vnis(context);
  placement.run(context);
  context.tenants_whole = context.diag.count() == errors;
}

}  // namespace weft::scenarios
