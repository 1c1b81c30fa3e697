// Texts of the actions that have a language of their own inside the parentheses. For action.cpp.
#pragma once

#include <string>

#include "datapath/text_piece.h"

namespace weft::datapath {

/// learn(...): `names` for the values of in_port and so on.
Result<Learn> parse_learn(const Piece& inside);
std::string format_learn(const Learn& learn);

/// "max_len=128,reason=no_match,id=1,userdata=00.01"
Result<ControllerSpec> parse_controller(const Piece& inside);
/// The whole action.
std::string format_controller(const ControllerSpec& controller);

Result<DhcpLease> parse_dhcp(const Piece& inside);
std::string format_dhcp(const DhcpLease& lease);

}  // namespace weft::datapath
