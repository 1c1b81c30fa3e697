// Mirror: copies of what comes in at some ports or goes out of some, to a port where somebody
// looks.
//
//   mirror name=m0,select_src_port=1,select_dst_port=2,output_port=9     several of each are
//   allowed mirror name=m1,select_all,output_port=9
//
// As in Open vSwitch: what comes in is copied as it came, what goes out as it goes out (before a
// tunnel's outer headers); no packet is copied twice by one mirror; and nothing that comes in at
// the output port itself is copied. Answers that the switch makes by itself (arp_reply and its
// kind) are not. The output port is no tunnel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace weft::datapath {

struct Mirror {
  std::string name;
  bool all = false;
  std::vector<std::uint32_t> from;  ///< ports whose arrivals are copied
  std::vector<std::uint32_t> to;    ///< ports whose departures are copied
  std::uint32_t output = 0;
  bool operator==(const Mirror&) const = default;

  bool takes_arrivals(std::uint64_t port) const {
    return port != output && (all || std::find(from.begin(), from.end(), port) != from.end());
  }
  bool takes_departures(std::uint64_t port) const {
    return port != output && (all || std::find(to.begin(), to.end(), port) != to.end());
  }
};
/// More than a decision can keep apart.
inline constexpr std::size_t kMaxMirrors = 32;

}  // namespace weft::datapath
