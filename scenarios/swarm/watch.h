// Watch: writes down every packet that reached a VM's port and every packet that a policy refused,
// with all that a judge needs and nothing that the switch thinks of it. One book per hypervisor (an
// observer belongs to one worker); they are read after the run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "base/time.h"
#include "datapath/packet.h"

namespace weft::scenarios {
class World;
}

namespace weft::scenarios::swarm {

struct Sight {
  Time at{};
  std::uint64_t order = 0;
  PacketId packet = 0;
  std::uint32_t tenant = 0;  ///< index + 1, as the packet's tag says
  std::uint32_t flow = 0;    ///< traffic index + 1
  bool given = false;        ///< reached `vm`; else refused by a rule
  std::string vm;            ///< "red/g0-1"
  std::string rule;          ///< refused: "policy.default", "policy.rule-1"; empty: unknown
  std::string node;          ///< hypervisor
  Mac source_mac, destination_mac;
  bool ip = false;
  IpAddress source, destination;
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t icmp_type = 0;

  /// "1.25ms at hv-1-1: packet 0x12 10.0.0.11:40000 > 10.0.0.12:80 tcp given to red/g0-1"
  std::string text() const;
};

class Watch {
 public:
  Watch();
  ~Watch();
  /// Hangs observers on all hypervisors; the watch must outlive the run.
  void attach(World& world);
  /// All sights in order of (time, order). Call after the run.
  std::vector<Sight> take();

 private:
  class Book;
  std::vector<std::unique_ptr<Book>> books_;
};

}  // namespace weft::scenarios::swarm
