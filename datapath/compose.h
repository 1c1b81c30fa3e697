// The opposite of extract(): a frame that has the fields of a flow key, with every length and
// checksum right. For packets that a person describes (weft trace).
#pragma once

#include <cstdint>
#include <span>

#include "datapath/flow_key.h"
#include "datapath/packet.h"

namespace weft::datapath {

struct ComposeOptions {
  std::uint16_t echo_id = 1;          ///< ICMP echo: identifier
  std::uint16_t echo_sequence = 1;    ///< ... and sequence number
  std::uint32_t sequence = 1;         ///< TCP
  std::uint32_t acknowledgement = 1;  ///< TCP, with the flag
  std::span<const std::uint8_t> payload{};
};

/// Makes `packet` an Ethernet frame (with a tag if vlan_tci says so) of ARP, IPv4 or IPv6 with TCP,
/// UDP, ICMP, ICMPv6 and neighbour discovery, or of `payload` alone behind another type. What a key
/// cannot say is as in a fresh connection: sequence 1, a full window, DF. Fragments are not made.
void compose_frame(Packet& packet, const FlowKey& key, const ComposeOptions& options = {});

}  // namespace weft::datapath
