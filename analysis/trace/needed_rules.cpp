#include "analysis/trace/needed_rules.h"

#include <algorithm>

#include "control/stages.h"
#include "models/hypervisor.h"

namespace weft::analysis {

using control::PortPlace;
using control::RecordValue;
using control::Table;

struct NeededRules::Host {
  explicit Host(control::Chassis chassis) : rules(chassis) {}
  control::HostRules rules;
  std::set<std::uint32_t> datapaths;
  std::set<std::uint64_t> profiles;
  std::set<std::string> ports;  // whose records it has
};

namespace {
std::set<std::string> ports_somewhere(const NetworkView& view) {
  std::set<std::string> out;
  for (const HypervisorView& h : view.hypervisors) out.insert(h.ports.begin(), h.ports.end());
  return out;
}
}  // namespace

bool NeededRules::is_for(const control::Intent& intent) {
  for (const auto& [name, port] : intent.ports())
    if (port.type != control::PortType::vm || !port.also.empty()) return false;
  for (const auto& [name, router] : intent.routers()) {
    if (!router.gateways.empty()) return false;
    for (const auto& port : router.ports)
      if (!port.gateways.empty()) return false;
  }
  return intent.rows<Table::mirror>().empty();
}

NeededRules::NeededRules(const NetworkView& view)
    : view_(view), compiler_(control::Compiler::of(view.intent, {}, ports_somewhere(view))) {
  std::set<IpAddress> led_to;
  for (const auto& [id, row] : view.intent.rows<Table::route>())
    if (row.next_hop) led_to.insert(*row.next_hop);
  for (const auto& [id, row] : view.intent.rows<Table::policy>())
    led_to.insert(row.next_hops.begin(), row.next_hops.end());
  for (const auto& [id, row] : view.intent.rows<Table::nat>()) led_to.insert(row.logical.address);
  for (const auto& [id, row] : view.intent.rows<Table::load_balancer>())
    for (const auto& vip : row.vips)
      for (const auto& backend : vip.backends) led_to.insert(backend.address);
  for (const auto& [id, port] : view.intent.ports()) {
    const bool led = std::any_of(port.addresses.begin(), port.addresses.end(),
                                 [&](const IpAddress& a) { return led_to.contains(a); });
    if (led || port.unknown || !port.allowed.empty() || port.addresses.empty())
      always_.push_back(id);
  }
  for (std::size_t h = 0; h < view.hypervisors.size(); ++h)
    for (std::uint32_t i = 0; i < view.hypervisors[h].ports.size(); ++i)
      seats_.try_emplace(view.hypervisors[h].ports[i], h, i + 1);
  restart();
}
NeededRules::~NeededRules() = default;

void NeededRules::restart() {
  hosts_.clear();
  hosts_.resize(view_.hypervisors.size());
}

std::vector<std::string> NeededRules::ports_of(const std::string& network) const {
  std::vector<std::string> out;
  for (const auto& [id, port] : view_.intent.ports())
    if (port.network == network) out.push_back(id);
  return out;
}

std::vector<std::string> NeededRules::local_ports(std::size_t hypervisor) const {
  return view_.hypervisors[hypervisor].ports;
}

const NeededRules::Records& NeededRules::common_of(std::uint32_t datapath) {
  const auto [it, fresh] = common_.try_emplace(datapath);
  if (!fresh) return it->second;
  const std::string range = control::network_range(datapath);
  const auto& all = compiler_.records();
  for (auto r = all.lower_bound(range); r != all.end() && r->first.starts_with(range); ++r)
    if (!control::is_port_record(r->first)) it->second.emplace_back(r->first, r->second);
  return it->second;
}

const NeededRules::ProfileRecords& NeededRules::of_profile(std::uint64_t profile) {
  const auto [it, fresh] = profiles_.try_emplace(profile);
  if (!fresh) return it->second;
  const std::string range = control::profile_range(profile);
  const auto& all = compiler_.records();
  for (auto r = all.lower_bound(range); r != all.end() && r->first.starts_with(range); ++r) {
    // a/PROFILE/ACL|SOURCE: of one port, if the source is one.
    const std::string source = r->first.substr(r->first.rfind('|') + 1);
    const bool of_port = view_.intent.ports().contains(source);
    (of_port ? it->second.of_port[source] : it->second.common).emplace_back(r->first, r->second);
  }
  return it->second;
}

void NeededRules::put(Host& host, const Records& records) {
  for (const auto& [key, value] : records) host.rules.set_record(key, value);
}

NeededRules::Host& NeededRules::host(std::size_t hypervisor) {
  std::unique_ptr<Host>& slot = hosts_[hypervisor];
  if (slot) return *slot;
  const HypervisorView& view = view_.hypervisors[hypervisor];
  slot = std::make_unique<Host>(control::Chassis{.vtep = view.vtep.address,
                                                 .tunnel_port = models::kTunnelPort.value,
                                                 .tunnel = view_.tunnel_type});
  for (const std::string& port : view.ports) {
    const PortPlace place = compiler_.place_of(port);
    if (place.vni == 0) continue;
    const auto& reach = compiler_.reach(place.vni);
    slot->datapaths.insert(reach.begin(), reach.end());
  }
  for (const std::uint32_t datapath : slot->datapaths) put(*slot, common_of(datapath));
  for (const std::string& port : always_) give(*slot, hypervisor, port);
  return *slot;
}

void NeededRules::give(Host& host, std::size_t hypervisor, const std::string& port) {
  const PortPlace place = compiler_.place_of(port);
  if (!host.datapaths.contains(place.vni) || !host.ports.insert(port).second) return;
  const auto& all = compiler_.records();
  const auto seat = seats_.find(port);
  const std::string key = control::port_record_key(place);
  if (const auto record = all.find(key); record != all.end())
    host.rules.set_record(key, record->second);
  if (seat != seats_.end()) {
    const HypervisorView& at = view_.hypervisors[seat->second.first];
    host.rules.set_record(control::location_key(place),
                          std::make_shared<const std::string>(
                              control::encode(control::LocationRecord{at.vtep.address, at.name})));
  }
  for (const std::uint64_t profile : host.profiles) {
    const auto& of_port = of_profile(profile).of_port;
    if (const auto found = of_port.find(port); found != of_port.end()) put(host, found->second);
  }
  if (seat == seats_.end() || seat->second.first != hypervisor) return;
  host.rules.set_local(port, seat->second.second);
  const std::string range = control::local_record_key(place);
  for (auto r = all.lower_bound(range); r != all.end() && r->first.starts_with(range); ++r)
    host.rules.set_record(r->first, r->second);
  const std::uint64_t profile = compiler_.profile_of_port(port);
  if (profile == 0 || !host.profiles.insert(profile).second) return;
  const ProfileRecords& records = of_profile(profile);
  put(host, records.common);
  for (const std::string& known : host.ports)
    if (const auto found = records.of_port.find(known); found != records.of_port.end())
      put(host, found->second);
}

std::vector<control::RuleChange> NeededRules::begin(std::size_t hypervisor) {
  return host(hypervisor).rules.update();
}

bool NeededRules::lacks(std::size_t hypervisor, const std::vector<std::string>& ports) {
  const Host& at = host(hypervisor);
  return std::any_of(ports.begin(), ports.end(), [&](const std::string& port) {
    return !at.ports.contains(port) && at.datapaths.contains(compiler_.place_of(port).vni);
  });
}

std::vector<control::RuleChange> NeededRules::name(std::size_t hypervisor,
                                                   const std::vector<std::string>& ports) {
  Host& to = host(hypervisor);
  const std::size_t before = to.ports.size();
  for (const std::string& port : ports) give(to, hypervisor, port);
  if (to.ports.size() == before) return {};
  return to.rules.update();
}

}  // namespace weft::analysis
