// Port classes: which ports a network's rules treat alike, so that one of them can stand for all.
//
// A port has an *identity*: the values by which rules know it - its OpenFlow port (and tracking
// zone), its key within its network, its MAC, its addresses, the link-local address of its MAC.
// Two ports x and y are in one class if exchanging their identities everywhere maps the set of
// rules to itself. Then whatever x can send to a third port, y can, with its own addresses in place
// of x's, and so for what they receive: reachability needs to be computed for one of them only.
//
// How that is proved. Every field that can hold an identity belongs to one domain (port, key, MAC,
// IPv4, IPv6). From all rules that say an identity of x in full, x's are replaced by names ("my
// MAC"), the rest is left as it is. If x and y have the same list of such templates, the exchange
// maps each rule of x to one of y and back:
//   - a rule that names both would leave y's values in x's template, where y's template has names;
//     so it keeps x and y apart;
//   - a condition on a part of a value (a prefix, a mask) is left alone by the exchange iff it is
//     true of both or of neither: which conditions are true of it is part of a port's signature;
//   - rules that say neither are not changed by the exchange.
// Copies (`move`) must stay within a domain; if one does not, no two ports are equal (and `why`
// says so): each is then computed by itself. Templates are compared as text, not by hashes.
//
// A bucket of a group counts as a rule of its own, that nothing but its group leads to.
//
// A rule that makes several copies of a packet (flooding) is taken apart into its copies if each
// sets the same fields before it goes on; then their order means nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "datapath/group.h"
#include "datapath/rule.h"

namespace weft::control {

struct PortIdentity {
  std::string name;
  std::uint32_t datapath = 0, key = 0;
  std::uint32_t of_port = 0;
  Mac mac{};
  std::vector<IpAddress> addresses;
};

struct PortClasses {
  std::vector<std::uint32_t> of;  ///< class by port; numbers from 0 in the order of first members
  std::string why;                ///< why each port is a class of its own; empty: no such reason
};

PortClasses classify_ports(const std::vector<PortIdentity>& ports,
                           const std::vector<datapath::Rule>& rules,
                           const std::vector<datapath::Group>& groups);

}  // namespace weft::control
