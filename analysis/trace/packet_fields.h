// The headers of a packet by ovs-ofctl's names, as `weft trace` reads and prints them: eth_src,
// ip_dst, tcp_dst...
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datapath/flow_key.h"
#include "datapath/packet.h"

namespace weft::analysis {

struct PacketField {
  std::string_view name;
  std::string text;     ///< "10.0.0.2", "80"
  bool number = false;  ///< `text` is a decimal number
};

/// What the frame has, outermost headers only, in the order of the headers.
std::vector<PacketField> packet_fields(const datapath::FlowKey& key);
/// "tcp,eth_src=...,ip_dst=10.0.2.11,tcp_dst=8080": reads back as the same packet.
std::string packet_text(const datapath::FlowKey& key);
/// The fields of a frame.
datapath::FlowKey key_of(const Packet& packet);

}  // namespace weft::analysis
