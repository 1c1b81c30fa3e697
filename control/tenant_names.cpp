#include "control/tenant_names.h"

#include <algorithm>

namespace weft::control {

const Group* TenantNames::group(const std::string& name) const {
  if (const Group* g = group_row(name); g != nullptr && g->tenant == tenant_) return g;
  const Group* g = group_row(tenant_ + "/" + name);
  return g != nullptr && g->tenant == tenant_ ? g : nullptr;
}

std::optional<std::vector<std::string>> TenantNames::port_group(std::string_view name) const {
  const Group* g = group(std::string(name));
  if (g == nullptr) return std::nullopt;
  return std::vector<std::string>(g->members.begin(), g->members.end());
}

const AddressSet* TenantNames::set(const std::string& name) const {
  if (const AddressSet* s = set_row(name); s != nullptr && s->tenant == tenant_) return s;
  const AddressSet* s = set_row(tenant_ + "/" + name);
  return s != nullptr && s->tenant == tenant_ ? s : nullptr;
}

const Group* TenantNames::group_behind(const std::string& name) const {
  if (!name.ends_with("_ip4") && !name.ends_with("_ip6")) return nullptr;
  return group(name.substr(0, name.size() - 4));
}

std::optional<std::size_t> TenantNames::set_size(std::string_view text) const {
  const std::string name(text);
  if (const AddressSet* s = set(name)) return s->prefixes.size();
  if (const Group* g = group_behind(name)) return addresses_of(*g).size();
  return std::nullopt;
}

std::optional<std::size_t> TenantNames::group_size(std::string_view name) const {
  const Group* g = group(std::string(name));
  if (g == nullptr) return std::nullopt;
  return g->members.size();
}

std::optional<std::vector<Constant>> TenantNames::address_set(std::string_view text) const {
  const auto constant = [](const Prefix& p) {
    const bool host = p.length == (p.address.is6 ? 128 : 32);
    return parse_constant(host ? p.address.text() : p.text()).value();
  };
  std::vector<Constant> out;
  const std::string name(text);
  if (const AddressSet* s = set(name)) {
    for (const Prefix& p : s->prefixes) out.push_back(constant(p));
    return out;
  }
  const Group* g = group_behind(name);
  if (g == nullptr) return std::nullopt;
  const bool is6 = name.ends_with("_ip6");
  for (const IpAddress& a : addresses_of(*g))
    if (a.is6 == is6) out.push_back(constant({a, is6 ? 128 : 32}));
  return out;
}

std::optional<Cube> TenantNames::port(PortSide side, std::string_view name) const {
  PortPlace at = place(std::string(name));
  if (at.vni == 0) at = place(tenant_ + "/" + std::string(name));
  if (at.vni == 0) return std::nullopt;
  Cube cube = Cube::of(datapath::Field::metadata, at.vni);
  const bool in = side == PortSide::in;
  cube.narrow(Cube::of(in ? datapath::Field::reg14 : datapath::Field::reg15, at.key));
  return cube;
}

PortPlace IntentNames::place(const std::string& port) const {
  const Port* p = intent_.find<Table::port>(port);
  const Network* n = p == nullptr ? nullptr : intent_.find<Table::network>(p->network);
  return n == nullptr ? PortPlace{} : PortPlace{n->vni, p->key};
}

std::vector<IpAddress> IntentNames::addresses_of(const Group& group) const {
  std::vector<IpAddress> out;
  for (const std::string& member : group.members)
    if (const Port* p = intent_.find<Table::port>(member))
      out.insert(out.end(), p->addresses.begin(), p->addresses.end());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace weft::control
