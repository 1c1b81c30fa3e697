// Network address translation: what ct(...,nat(...)) asks for, which address and port a connection
// gets, and the change of the bytes.
//
// A translated connection has two tuples: that of its original direction, as its first packet came
// in, and that of its replies. Translation is the difference between the one and the other turned
// round. conntrack.h keeps both and sees to it that no two connections of a zone share one.
//
// The choice (choose_reply) is made once, when the connection is committed:
//   - The address: of a range, one that a hash picks: of source and destination (default, `hash`),
//     of the source alone (`persistent`: a client keeps its address whoever it talks to), of the
//     whole 5-tuple (`random`).
//     `persistent` apart, a crowded address gives way to the next one.
//   - The port (ICMP: the echo identifier): its own, if the range has it and nobody uses it; else,
//     and with `hash` and `random` at once, from a place that a hash of the 5-tuple picks, on
//     through the range. nat(src=A) without ports keeps to the port's class, as Linux does: below
//     512, below 1024, or 1024 and above. nat(dst=A) without ports keeps the port.
//   - If the destination leaves no choice and its replies are taken, the source port is changed
//   too.
// Nothing here is random: hashes are keyed by the switch's seed, so the same flow gets the same
// port in every run. A range of up to kMaxNatTries places is searched whole; of a larger one that
// many places spread over it are tried. If none is free the connection is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "datapath/nat_spec.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

struct CtTuple;
struct CtPacket;

inline constexpr unsigned kMaxNatTries = 1024;

/// The tuple of the replies of `original` under `spec`, or nothing if all are `taken` (asked only
/// about tuples of replies). `seed` keys the hashes.
std::optional<CtTuple> choose_reply(const NatSpec& spec, const CtTuple& original,
                                    std::uint64_t seed,
                                    const std::function<bool(const CtTuple&)>& taken);

/// Makes a packet, of which `was` was read, one with the tuple `now`; every checksum that covers
/// what changes is updated. An ICMP error gets `now` as the tuple of its direction: its own address
/// changes where the connection's does, and the packet that it quotes is translated back.
/// `fix_checksums` = false is a planted fault.
void translate_packet(Packet& packet, const ParsedHeaders& parsed, const CtPacket& was,
                      const CtTuple& now, bool fix_checksums = true);

}  // namespace weft::datapath
