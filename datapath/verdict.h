// How a packet ends. Every packet that is ever created ends in exactly one verdict: delivered (its
// payload reached a guest's application or socket), consumed (a switch or a stack took it as
// control traffic: ARP, ICMP error, an acknowledgement), or dropped with one reason of
// drop_reasons.def.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft {

enum class DropReason : std::uint8_t {
#define WEFT_DROP(id, name, meaning) id,
#include "datapath/drop_reasons.def"
#undef WEFT_DROP
};

inline constexpr std::size_t kDropReasons = 0
// NOLINTNEXTLINE(bugprone-macro-parentheses)
#define WEFT_DROP(id, name, meaning) +1
#include "datapath/drop_reasons.def"
#undef WEFT_DROP
    ;

std::string_view name_of(DropReason reason);     ///< "queue.full"
std::string_view meaning_of(DropReason reason);  ///< a sentence

}  // namespace weft
