#include "analysis/trace/network_view.h"

#include <set>

namespace weft::analysis {

std::vector<HypervisorView> hypervisors_of(const std::map<std::string, std::string>& placement,
                                           const std::map<std::string, IpAddress>& addresses,
                                           const std::vector<std::string>& others) {
  std::map<std::string, HypervisorView> by_name;
  for (const auto& [name, address] : addresses) by_name[name].vtep.address = address;
  for (const auto& [port, hypervisor] : placement) by_name[hypervisor].ports.push_back(port);
  for (const std::string& name : others) by_name.try_emplace(name);
  std::set<IpAddress> taken;
  for (const auto& [name, address] : addresses) taken.insert(address);
  std::vector<HypervisorView> out;
  std::uint32_t next = 0xc0a80001;  // 192.168.0.1
  std::uint64_t mac = 0x0a0000000001;
  for (auto& [name, view] : by_name) {
    view.name = name;
    if (view.vtep.address.is_zero()) {
      while (taken.contains(IpAddress(Ip4{next}))) ++next;
      view.vtep.address = Ip4{next++};
    }
    view.vtep.mac = Mac::from_u64(mac++);
    view.vtep.stt_ports = true;
    out.push_back(std::move(view));
  }
  return out;
}

}  // namespace weft::analysis
