// Names of fields that depend on the kind of packet. The key keeps the ports of TCP, UDP and SCTP
// in one place, as it does the types of ICMP and ICMPv6; texts call them by the protocol's own
// names, and Open vSwitch takes no other. So a text is checked against what the match of its rule
// says, and printed with the names that fit it.
#pragma once

#include <string>
#include <string_view>

#include "datapath/action.h"
#include "datapath/match.h"
#include "datapath/text_piece.h"

namespace weft::datapath {

/// What is known of the packets that actions are written for.
struct Known {
  const Match* match = nullptr;  ///< nullptr: nothing is known, and nothing refused (groups)
  bool tagged = false;           ///< by an action before
};

/// An error if packets of the match need not have the field that `p` names.
Result<> check_known(const Piece& p, const FieldInfo& field, const Known& known);

/// As set_field writes it: "udp_dst".
std::string_view name_of_field(const FieldInfo& field, const Match* match);
/// As move writes it: "NXM_OF_UDP_DST[0..3]".
std::string format_range(const FieldRange& range, const Match* match = nullptr);

}  // namespace weft::datapath
