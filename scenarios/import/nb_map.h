// From OVN's northbound database to weft's desired state: the one place that says what a row means.
//
//   Logical_Switch          Network            Logical_Router       Router
//   Logical_Switch_Port     Port, or a port of a router, or a way out (localnet, l2gateway)
//   Port_Group              Group              Address_Set          AddressSet
//   ACL                     Acl by match, once for each switch or group that has it
//   Load_Balancer           LoadBalancer       NAT, static routes, policies, DHCP, DNS, QoS, Mirror
//
// Names are OVN's; where it has none, or the same twice, the table and the first digits of the UUID
// ("acl-1a2b3c4d"). Everything belongs to one tenant, "ovn": OVN knows no others.
//
// The result does not depend on UUIDs except in those names: rows are taken in the order of names
// and contents, so that the same network gets the same numbers whoever wrote it down.
#pragma once

#include "scenarios/import/import.h"

namespace weft::imports {

inline constexpr const char* kOvnTenant = "ovn";

/// Fills everything of `out` but format and file. Errors go to `diag`.
void map_northbound(const NbStore& store, const ImportOptions& options, Imported& out,
                    scenarios::Diagnostics& diag);

}  // namespace weft::imports
