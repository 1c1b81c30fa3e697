// What names in match expressions mean: to a tenant, an address set or group is its own by the name
// or by "TENANT/NAME"; the addresses of a group are the sets NAME_ip4 and NAME_ip6; a port is its
// network and key. The compiler and the checks of the intent look rows up in their own way.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/expression_match.h"
#include "control/intent.h"
#include "control/records.h"

namespace weft::control {

class TenantNames : public Resolver {
 public:
  explicit TenantNames(std::string tenant) : tenant_(std::move(tenant)) {}
  std::optional<std::vector<Constant>> address_set(std::string_view name) const override;
  std::optional<std::vector<std::string>> port_group(std::string_view name) const override;
  std::optional<Cube> port(PortSide side, std::string_view name) const override;
  /// How many members, without their values; none: there is no such set or group.
  std::optional<std::size_t> set_size(std::string_view name) const;
  std::optional<std::size_t> group_size(std::string_view name) const;
  /// Where a port is decides nothing: rules are the same everywhere.
  bool is_resident(std::string_view) const override { return false; }

 protected:
  const std::string& tenant() const { return tenant_; }

 private:
  /// Null if there is none.
  virtual const Group* group_row(const std::string& name) const = 0;
  virtual const AddressSet* set_row(const std::string& name) const = 0;
  /// vni 0: there is none.
  virtual PortPlace place(const std::string& port) const = 0;
  virtual std::vector<IpAddress> addresses_of(const Group& group) const = 0;

  const Group* group(const std::string& name) const;
  const AddressSet* set(const std::string& name) const;
  /// Of NAME_ip4, NAME_ip6, if there is no set of that name.
  const Group* group_behind(const std::string& name) const;
  const std::string tenant_;
};

/// Names as they are in an intent.
class IntentNames final : public TenantNames {
 public:
  IntentNames(const Intent& intent, std::string tenant)
      : TenantNames(std::move(tenant)), intent_(intent) {}

 private:
  const Group* group_row(const std::string& name) const override {
    return intent_.find<Table::group>(name);
  }
  const AddressSet* set_row(const std::string& name) const override {
    return intent_.find<Table::address_set>(name);
  }
  PortPlace place(const std::string& port) const override;
  std::vector<IpAddress> addresses_of(const Group& group) const override;

  const Intent& intent_;
};

}  // namespace weft::control
