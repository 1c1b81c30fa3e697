// The way of one frame through the physical network: links, repeaters and routers one after the
// other, with the models' own routes (models/topology.h), lookup (models/fib.h) and choice among
// equal paths (models/hop.h). Queues and chance are left out: a trace says where a packet goes, not
// how long it takes or whether a full queue loses it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "analysis/trace/network_view.h"
#include "datapath/packet.h"
#include "datapath/verdict.h"
#include "models/fib.h"

namespace weft::analysis {

struct UnderlayHop {
  bool is_link = false;
  std::uint32_t index = 0;  ///< of the link or node in the topology
  std::string name;
  std::size_t equal = 1;  ///< router: so many equal next hops there were
};

struct UnderlayWalk {
  std::vector<UnderlayHop> hops;  ///< from the first link on; ends with where it arrived
  bool arrived = false;           ///< else dropped, at the last hop
  std::uint32_t node = 0;         ///< where it ended
  DropReason reason{};
  std::string where;  ///< dropped: "leaf-1", "leaf-1--spine-2"
};

class UnderlayPath {
 public:
  /// `view` must outlive it.
  explicit UnderlayPath(const UnderlayView& view);
  /// Sends the frame out of the first port of a machine. Routers do to its bytes what they do.
  UnderlayWalk follow(std::uint32_t from, Packet& frame);

 private:
  struct Place {
    std::uint32_t node;
    std::uint16_t port;
  };
  const models::Fib& fib(std::uint32_t router);
  /// The link at a port and the other end; false: no link there.
  bool cross(Place from, std::uint32_t& link, Place& to) const;
  bool is_down(const std::vector<bool>& down, std::uint32_t i) const {
    return i < down.size() && down[i];
  }
  /// The port of a repeater behind which a station with this MAC is; false: nowhere.
  bool behind(std::uint32_t repeater, std::uint16_t in, std::uint64_t mac, std::uint16_t& out);
  bool reaches(Place at, std::uint64_t mac, int depth) const;

  const UnderlayView& view_;
  std::vector<std::vector<std::uint32_t>> links_;  ///< by node and port
  std::map<std::uint32_t, models::Fib> fibs_;
};

}  // namespace weft::analysis
