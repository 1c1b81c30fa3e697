// DHCPv6 (RFC 8415) as a switch answers it for a port whose address the control plane has decided,
// like dhcp.h: no state, one address per rule. SOLICIT gets ADVERTISE; REQUEST, RENEW, REBIND,
// CONFIRM, RELEASE, DECLINE and INFORMATION-REQUEST get REPLY. What names another server, or is a
// server's or a relay's message, gets none.
//
// The server's identifier is a DUID-LL of its MAC. A client that asks for an address (IA_NA) where
// the rule has none is told so (NoAddrsAvail), one that asks for a prefix, too (NoPrefixAvail);
// addresses that a client names and that are not its own come back with a lifetime of zero.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/net_types.h"
#include "datapath/dhcp.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

struct Dhcp6Lease {
  Ip6 address{};  ///< for the client; zero: none, it makes its own (stateless)
  Mac mac{};      ///< the server's
  Ip6 server{};   ///< that answers come from; zero: the link-local address of `mac`
  std::vector<Ip6> dns;
  std::vector<std::string> domains;  ///< search list, as DnsTable has names
  std::uint32_t lease = 3600;        ///< seconds; 0xffffffff: for ever
  /// Further options: code 1..65535 and up to 255 bytes.
  std::vector<std::pair<std::uint16_t, std::string>> options;
  bool operator==(const Dhcp6Lease&) const = default;
};

/// fe80:: and the modified EUI-64 of the MAC (RFC 4291, appendix A).
Ip6 link_local_of(Mac mac);

/// `request` is a UDP datagram over IPv6 from port 546 to port 547; fills `reply` if the answer is
/// one.
DhcpAnswer make_dhcp6_reply(const Packet& request, const ParsedHeaders& parsed,
                            const Dhcp6Lease& lease, Packet& reply);

}  // namespace weft::datapath
