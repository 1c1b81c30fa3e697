// Changing headers inside a packet, with every checksum that covers them updated incrementally
// (RFC 1624), and frames that the switch makes itself in answer to one.
#pragma once

#include <cstdint>

#include "datapath/flow_key.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

/// Writes the bits `mask` of word `word` of the flow key (6-13, 16-19) into the packet: the
/// fields that live in that word, and the checksums over them. The tag of word 7 is not touched.
/// `fix_checksums` = false is a planted fault.
void rewrite_word(Packet& packet, const ParsedHeaders& parsed, unsigned word, std::uint64_t value,
                  std::uint64_t mask, bool fix_checksums = true);

/// 802.1Q tags. The offsets in `parsed` are wrong afterwards (but for set_tag): parse again.
void push_tag(Packet& packet, std::uint16_t tci, std::uint16_t type = 0x8100);
void pop_tag(Packet& packet, const ParsedHeaders& parsed);
void set_tag(Packet& packet, const ParsedHeaders& parsed, std::uint16_t tci);

}  // namespace weft::datapath
