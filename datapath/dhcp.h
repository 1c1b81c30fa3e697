// DHCP (RFC 2131) as a switch answers it for a port whose lease the control plane has decided: no
// state, one address per rule. DISCOVER gets OFFER, REQUEST gets ACK, or NAK if it asks for another
// address, INFORM gets ACK without an address; what needs no answer (DECLINE, RELEASE, a REQUEST to
// another server) gets none.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/net_types.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

struct DhcpLease {
  Ip4 address{};  ///< for the client
  Ip4 server{};
  Mac mac{};      ///< the server's
  Ip4 netmask{};  ///< 0: not said
  std::vector<Ip4> routers;
  std::vector<Ip4> dns;
  std::uint32_t lease = 3600;  ///< seconds
  std::uint16_t mtu = 0;       ///< 0: not said
  std::string domain;
  std::string hostname;
  /// Further options: code 1..254 and up to 255 bytes.
  std::vector<std::pair<std::uint8_t, std::string>> options;
  bool operator==(const DhcpLease&) const = default;
};

enum class DhcpAnswer : std::uint8_t { reply, none, malformed };

/// `request` is a UDP datagram from port 68 to port 67; fills `reply` if the answer is one.
DhcpAnswer make_dhcp_reply(const Packet& request, const ParsedHeaders& parsed,
                           const DhcpLease& lease, Packet& reply);

}  // namespace weft::datapath
