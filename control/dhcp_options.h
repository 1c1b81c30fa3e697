// DHCP options by OVN's names (ovn-nb(5), "DHCP_Options"), as the parameters of the switch's
// dhcp_reply() and dhcpv6_reply(). What has a parameter of its own there gets that; everything else
// is an option by its number, in bytes.
#pragma once

#include <string>

#include "base/result.h"
#include "control/intent.h"

namespace weft::control {

/// ",netmask=255.255.255.0,router=10.0.0.1,...": everything but the client's address. Errors name
/// the option that does not exist or that has a value it cannot have.
Result<std::string> dhcp_parameters(const DhcpOptions& options);

/// "dhcp_reply(...)", "dhcpv6_reply(...)" for a client with this address; `address` is ignored by a
/// server of options only (dhcpv6_stateless). `options` have been checked.
std::string dhcp_action(const DhcpOptions& options, const IpAddress& address);

/// Whether a DHCPv6 server gives no addresses.
bool is_stateless(const DhcpOptions& options);

}  // namespace weft::control
