#include "datapath/fragment_store.h"

#include <algorithm>

#include "datapath/wire/wire.h"

namespace weft::datapath {

FragmentStore::Outcome FragmentStore::add(std::uint64_t owner, std::uint16_t zone, Packet& packet,
                                          const ParsedHeaders& parsed,
                                          const ReassemblyLimits& limits, Time now,
                                          std::vector<Packet*>& joined,
                                          std::vector<GivenUp>& given_up) {
  FragmentPlace place = fragment_place(packet, parsed);
  if (!place.ok) return Outcome::malformed;
  place.key.ports = zone;
  Reassembly& room = owners_.try_emplace(owner, limits).first->second;
  room.set_limits(limits);
  switch (room.add(place.key, place.part, place.total, now, parts_, given_up)) {
    case Reassembly::Outcome::held:
      return Outcome::held;
    case Reassembly::Outcome::duplicate:
      return Outcome::duplicate;
    case Reassembly::Outcome::refused:
      return Outcome::refused;
    case Reassembly::Outcome::complete:
      break;
  }
  std::uint32_t size = 0;
  for (const Part& part : parts_) {
    const ParsedHeaders h = parse_headers(*part.packet);
    size = std::max(size, h.l3_end - h.l3);
    if (part.packet != &packet) joined.push_back(part.packet);
  }
  if (room.packets() == 0) owners_.erase(owner);
  if (join_fragments(parts_, packet) != Joined::ok) return Outcome::malformed;
  packet.fragment_size = static_cast<std::uint16_t>(std::min(size, 0xffffu));
  packet.fragment_id = place.key.id;
  packet.checksums_good = 0;
  return Outcome::whole;
}

void FragmentStore::expire(Time now, std::vector<GivenUp>& given_up) {
  for (auto it = owners_.begin(); it != owners_.end();) {
    it->second.expire(now, given_up);
    it = it->second.packets() == 0 ? owners_.erase(it) : std::next(it);
  }
}

std::size_t FragmentStore::packets() const {
  std::size_t n = 0;
  for (const auto& [owner, room] : owners_) n += room.packets();
  return n;
}

}  // namespace weft::datapath
