// Placement: which hypervisor each VM starts on. VMs that are told where to go come first, in any
// order; the others then follow in the order of the file:
//   spread  the hypervisor with the fewest VMs that has the memory; among equals, host 1 of every
//           leaf before host 2 of any, so that a group's VMs are on different leaves
//   pack    the first hypervisor, in the order of `weft ls`, that has the memory
//   HOST    that one; {app-1: HOST, ...} those, and the rest spread
#pragma once

#include <cstdint>
#include <vector>

#include "scenarios/loader/sections.h"

namespace weft::scenarios {

class Placement {
 public:
  void add_group(Context& context, std::size_t tenant, const GroupSpec& group,
                 const YamlNode* place);
  /// `host:` of one VM; stronger than its group's `place`.
  void pin(Context& context, std::size_t tenant, std::size_t vm, const YamlNode& host);
  /// Places all VMs. Errors: no hypervisor, none with enough memory.
  void run(Context& context);

  std::uint64_t total_vms = 0;  ///< over all tenants, checked by who adds

 private:
  enum class Way : std::uint8_t { spread, pack, pinned };
  struct Request {
    std::size_t tenant, vm;
    Way way = Way::spread;
    std::size_t host = 0;
    Place place;
  };
  std::vector<Request> requests_;
  std::vector<std::vector<std::size_t>> request_of_;  ///< [tenant][vm]
};

}  // namespace weft::scenarios
