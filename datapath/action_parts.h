// Texts of the actions that have a language of their own inside the parentheses. For action.cpp.
#pragma once

#include <string>

#include "datapath/field_names.h"
#include "datapath/text_piece.h"

namespace weft::datapath {

/// learn(...), of a rule for packets that are `known`.
Result<Learn> parse_learn(const Piece& inside, const Known& known);
std::string format_learn(const Learn& learn, const Match* match);

/// "max_len=128,reason=no_match,id=1,userdata=00.01"
Result<ControllerSpec> parse_controller(const Piece& inside);
/// The whole action.
std::string format_controller(const ControllerSpec& controller);

Result<DhcpLease> parse_dhcp(const Piece& inside);
std::string format_dhcp(const DhcpLease& lease);

/// "mac=02:00:00:00:00:01,address=fd00::5,dns=fd00::1,domain=lab"
Result<Dhcp6Lease> parse_dhcp6(const Piece& inside);
std::string format_dhcp6(const Dhcp6Lease& lease);

/// "ttl=60,vm1.lab=10.0.0.4/fd00::4,vm2.lab=10.0.0.5"
Result<SharedDns> parse_dns(const Piece& inside);
std::string format_dns(const SharedDns& dns);

}  // namespace weft::datapath
