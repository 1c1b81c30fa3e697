// ARP for IPv4 over Ethernet (RFC 826).
#pragma once

#include "datapath/wire/endian.h"

namespace weft::wire {

inline constexpr std::uint16_t kArpRequest = 1;
inline constexpr std::uint16_t kArpReply = 2;

struct ArpHeader {
  be16 hardware_type;            ///< 1
  be16 protocol_type;            ///< 0x0800
  std::uint8_t hardware_length;  ///< 6
  std::uint8_t protocol_length;  ///< 4
  be16 operation;
  Mac sender_mac;
  Ip4Field sender_ip;
  Mac target_mac;
  Ip4Field target_ip;

  /// Sets the constant first six bytes.
  void set_ethernet_ipv4() {
    hardware_type = 1;
    protocol_type = 0x0800;
    hardware_length = 6;
    protocol_length = 4;
  }
  bool is_ethernet_ipv4() const {
    return hardware_type == 1 && protocol_type == 0x0800 && hardware_length == 6 &&
           protocol_length == 4;
  }
};
static_assert(sizeof(ArpHeader) == 28 && Header<ArpHeader>);

}  // namespace weft::wire
